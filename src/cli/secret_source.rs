//! Where `sign` and `send` take a secret from: a file or the environment.
//!
//! Never from an argument, which every user of the machine can read. It goes nowhere but into the
//! MAC.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign::secret::Secret;
use countersign::secret::text::{Recognised, check_secret, recognise};
use zeroize::Zeroizing;

use super::{Failure, SECRET_VARIABLE};

/// The arguments that name a secret.
#[derive(Debug, Args)]
pub(crate) struct SecretSource {
    /// File that holds the secret and nothing else (a line break at its end does not count)
    #[arg(long, value_name = "FILE", conflicts_with = "secret_list")]
    secret_file: Option<PathBuf>,

    /// File with one `id secret` a line, as `countersign certs dev` makes; without a file the
    /// secret is read from the environment variable COUNTERSIGN_SECRET
    #[arg(long, value_name = "FILE")]
    secret_list: Option<PathBuf>,
}

impl SecretSource {
    /// The secret of a key id; `environment` reads the variable, when no file is named.
    pub(crate) fn read(
        &self,
        key_id: &str,
        environment: impl FnOnce() -> Option<OsString>,
    ) -> Result<Secret, Failure> {
        let (bytes, origin) = if let Some(path) = &self.secret_file {
            (secret_alone(&read_secret(path)?), path.display().to_string())
        } else if let Some(path) = &self.secret_list {
            let found = listed(&read_secret(path)?, key_id);
            (found.map_err(|e| Failure::failed(e.at(path, key_id)))?, path.display().to_string())
        } else {
            let found = environment().ok_or_else(|| Failure::usage(NO_SECRET))?;
            (found.into_encoded_bytes(), SECRET_VARIABLE.to_owned())
        };
        let mut bytes = Zeroizing::new(bytes);
        let live = match recognise(key_id.as_bytes()) {
            Recognised::Whole(kind) => kind.live(),
            _ => None,
        };
        check_secret(&bytes, live)
            .map_err(|e| Failure::failed(format_args!("{origin}: the secret of {key_id}: {e}")))?;
        Secret::new(std::mem::take(&mut *bytes))
            .map_err(|e| Failure::failed(format_args!("{origin}: {e}")))
    }
}

const NO_SECRET: &str = "no secret to sign with: give --secret-file FILE, --secret-list FILE, or \
     set COUNTERSIGN_SECRET (an argument would show it to every user of this machine)";

/// The bytes of a file that holds one secret and nothing else.
pub(crate) fn secret_in(path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(secret_alone(&read_secret(path)?))
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(e) => {
            Err(Failure::failed(format_args!("{}: cannot read the secret: {e}", path.display())))
        }
    }
}

/// The content of a file without the line break that editors put at its end.
fn secret_alone(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes).to_vec()
}

/// Why a list gives no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListFault {
    Absent,
    Repeated,
}

impl ListFault {
    fn at(self, path: &Path, key_id: &str) -> String {
        let what = match self {
            Self::Absent => "no line begins with",
            Self::Repeated => "more than one line begins with",
        };
        format!("{}: {what} {key_id}; a line is `id secret`", path.display())
    }
}

/// The one secret of an id in lines of `id secret`; empty lines and `#` lines do not count.
pub(crate) fn listed(list: &[u8], key_id: &str) -> Result<Vec<u8>, ListFault> {
    let lines = list.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut found = lines.filter_map(|line| {
        let gap = line.iter().position(u8::is_ascii_whitespace)?;
        let (id, secret) = line.split_at_checked(gap)?;
        (id == key_id.as_bytes()).then(|| secret.trim_ascii().to_vec())
    });
    let secret = found.next().ok_or(ListFault::Absent)?;
    if found.next().is_some() { Err(ListFault::Repeated) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_the_one_secret_of_an_id() {
        let list = b"# comment\r\n\nk1 first secret\r\n  k2\t second \nk3\nk4 a\nk4 b";
        assert_eq!(listed(list, "k1").unwrap(), b"first secret");
        assert_eq!(listed(list, "k2").unwrap(), b"second");
        assert_eq!(listed(list, "k3").unwrap_err(), ListFault::Absent);
        assert_eq!(listed(list, "k4").unwrap_err(), ListFault::Repeated);
    }

    #[test]
    fn one_line_break_is_not_part_of_a_secret() {
        assert_eq!(secret_alone(b"abc\n\n"), b"abc\n");
        assert_eq!(secret_alone(b" abc \r\n"), b" abc ");
    }
}
