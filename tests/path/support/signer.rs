//! Signs as a partner would, from the documents alone: nothing of the library is used.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, hmac};

use super::request::Request;

/// A key id with its secret and the way it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signer {
    pub(crate) key_id: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) way: Way,
}

/// The two built-in schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    KwikPaisa,
    V1,
}

impl Signer {
    pub(crate) fn kwikpaisa(key_id: &str, secret: &str) -> Self {
        Self { key_id: key_id.into(), secret: secret.into(), way: Way::KwikPaisa }
    }

    pub(crate) fn v1(key_id: &str, secret: &str) -> Self {
        Self { key_id: key_id.into(), secret: secret.into(), way: Way::V1 }
    }

    /// The request with its claims; `at` is the timestamp in Unix seconds.
    pub(crate) fn sign(&self, request: Request, at: u64) -> Request {
        self.sign_as(request, &at.to_string(), &fresh_nonce())
    }

    /// The request with its claims, timestamp and nonce as the test words them.
    pub(crate) fn sign_as(&self, request: Request, timestamp: &str, nonce: &str) -> Request {
        let message = match self.way {
            Way::KwikPaisa => [request.body.as_slice(), timestamp.as_bytes()].concat(),
            Way::V1 => nine_lines(&self.key_id, timestamp, nonce, &request),
        };
        let signature = hmac_hex(&self.secret, &message);
        self.claims(request, timestamp, nonce, &signature)
    }

    /// The request with claims around a signature that may be anything.
    pub(crate) fn claims(
        &self,
        request: Request,
        timestamp: &str,
        nonce: &str,
        signature: &str,
    ) -> Request {
        let request = request.set("X-API-KEY", &self.key_id).set("X-TIMESTAMP", timestamp);
        let request = match self.way {
            Way::KwikPaisa => request,
            Way::V1 => request.set("X-NONCE", nonce),
        };
        request.set("X-SIGNATURE", signature)
    }
}

/// What `countersign-v1` signs, written from its description.
pub(crate) fn nine_lines(key_id: &str, timestamp: &str, nonce: &str, request: &Request) -> Vec<u8> {
    let digest = hex(digest::digest(&digest::SHA256, &request.body).as_ref());
    let lines = [
        "countersign-v1",
        key_id,
        timestamp,
        nonce,
        &request.method,
        &request.authority.to_lowercase(),
        &request.target,
        &request.value("Content-Type"),
        &digest,
    ];
    lines.join("\n").into_bytes()
}

/// HMAC-SHA-256 in lower-case hexadecimal.
pub(crate) fn hmac_hex(secret: &[u8], message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hex(hmac::sign(&key, message).as_ref())
}

/// HMAC-SHA-256 by Python's standard library.
pub(crate) fn python_hmac_hex(secret: &str, message: &[u8]) -> String {
    let program = "import hashlib, hmac, sys\n\
                   key = sys.argv[1].encode()\n\
                   print(hmac.new(key, sys.stdin.buffer.read(), hashlib.sha256).hexdigest())";
    said_by(Command::new("python3").args(["-c", program, secret]), message).trim().to_owned()
}

/// HMAC-SHA-256 by OpenSSL's command line.
pub(crate) fn openssl_hmac_hex(secret: &str, message: &[u8]) -> String {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-hmac", secret, "-r"]);
    let text = said_by(&mut command, message);
    text.split_whitespace().next().expect("a digest").to_owned()
}

pub(crate) fn said_by(command: &mut Command, input: &[u8]) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|fault| panic!("{command:?} must be installed: {fault}"));
    child.stdin.take().expect("stdin").write_all(input).expect("input taken");
    let output = child.wait_with_output().expect("output");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A nonce that no other request of this run has.
pub(crate) fn fresh_nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("nonce_{}-{:010}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
