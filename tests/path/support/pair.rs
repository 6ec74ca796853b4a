//! A partner that has a key pair, and signs with OpenSSL's command line.

use std::process::{Command, Stdio};

use super::signer::said_by;

/// A key pair of a partner, in a file that only OpenSSL reads.
pub(crate) struct Pair {
    folder: tempfile::TempDir,
    /// Base64 of the public key, as the credential has it.
    pub(crate) public: String,
}

impl Pair {
    fn new(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let mut command = Command::new("openssl");
        command.arg("genpkey").args(options).arg("-out").arg(&file);
        // It draws its progress there.
        said_by(command.stderr(Stdio::null()), b"");
        let mut command = Command::new("openssl");
        let pem = said_by(command.args(["pkey", "-pubout", "-in"]).arg(&file), b"");
        let public = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self { folder, public }
    }

    pub(crate) fn rsa() -> Self {
        Self::new(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    }

    pub(crate) fn p256() -> Self {
        Self::new(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    pub(crate) fn signs(&self, options: &[&str], message: &[u8]) -> Vec<u8> {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("openssl");
        command.arg("dgst").args(options).arg("-sign").arg(file("key.pem"));
        said_by(command.arg("-out").arg(file("signature")), message);
        std::fs::read(file("signature")).unwrap()
    }
}

/// r and s, 32 bytes each, of a signature in DER (RFC 3279, section 2.2.3).
pub(crate) fn r_and_s(der: &[u8]) -> Vec<u8> {
    let (r, rest) = integer(&der[2..]);
    [r, integer(rest).0].concat()
}

fn integer(der: &[u8]) -> (Vec<u8>, &[u8]) {
    let length = usize::from(der[1]);
    let (digits, rest) = der[2..].split_at(length);
    let start = digits.iter().position(|byte| *byte != 0).unwrap();
    let digits = &digits[start..];
    ([&vec![0; 32 - digits.len()], digits].concat(), rest)
}
