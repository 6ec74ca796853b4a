//! `countersign certs dev`: what a gate needs to start on a developer's machine.
//!
//! Never for production: the certificates are for this machine's own names only. The authority's
//! key is thrown away once it has signed, so that nobody can issue more in its name.

mod authority;
mod folder;
mod renew;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use countersign::clock::Timestamp;
use countersign::crypto::{NoRandom, hex, random};
use countersign::replay::StateFolder;
use zeroize::Zeroizing;

use super::{Failure, now};

pub(crate) use authority::{Authority, CertFault, KeyKind};
pub(crate) use folder::{Folder, Mode};
pub(crate) use renew::{RenewArguments, renew};

/// Certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a development authority, certificates for localhost, and secrets for the sample
    Dev(DevArguments),
    /// Have a running gate order a certificate now, from the authority in [listener.acme]
    Renew(RenewArguments),
}

/// Where to put what is made.
#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// Folder for certificates, keys, secrets and the gate's state
    #[arg(long, value_name = "DIR", default_value = "certs/dev")]
    dir: PathBuf,

    /// Put new ones in the place of those that exist: what relies on the old ones stops working
    #[arg(long)]
    force: bool,
}

/// The test credential of the sample merchant `acme`.
pub(crate) const ACME: &str = "pk_test_acme";
/// The live credential of the sample merchant `bazaar`.
pub(crate) const BAZAAR: &str = "pk_live_bazaar";

const PEOPLE: Mode = Mode::Everyone;
const OWNER: Mode = Mode::OwnerOnly;

pub(crate) fn dev(arguments: &DevArguments) -> Result<(), Failure> {
    let files =
        development_files(now()).map_err(|e| Failure::because("cannot make certificates", &e))?;
    let folder = Folder::open(&arguments.dir).map_err(Failure::failed)?;
    if !arguments.force {
        let names: Vec<&str> = files.iter().map(|file| file.name).collect();
        folder.refuse_existing(&names).map_err(|e| {
            Failure::failed(format_args!("{e}; nothing was written (--force makes new ones)"))
        })?;
    }
    let mut out = std::io::stdout().lock();
    for file in &files {
        let path = folder.write(file.name, file.content.as_bytes(), file.mode);
        let path = path.map_err(Failure::failed)?;
        writeln!(out, "{:<24}  {}", path.display().to_string(), file.what)?;
    }
    let state = arguments.dir.join("state");
    let what = make_state(&state)?;
    writeln!(out, "{:<24}  {what}", state.display().to_string())?;
    Ok(())
}

/// A gate starts only in a folder that was made for it; a state that exists is never touched.
fn make_state(path: &Path) -> Result<&'static str, Failure> {
    let used = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        return Ok("state of a gate, kept as it was");
    }
    StateFolder::init(path).map_err(Failure::failed)?;
    Ok("state of a gate that has no past")
}

/// One file to be made.
struct DevelopmentFile {
    name: &'static str,
    what: &'static str,
    mode: Mode,
    content: Zeroizing<String>,
}

fn development_files(now: Timestamp) -> Result<Vec<DevelopmentFile>, CertFault> {
    let authority = Authority::new(now)?;
    let ecdsa = authority.issue(KeyKind::EcdsaP256)?;
    let rsa = authority.issue(KeyKind::Rsa2048)?;
    let file = |name, what, mode, content: String| DevelopmentFile {
        name,
        what,
        mode,
        content: Zeroizing::new(content),
    };
    Ok(vec![
        file(
            "ca.pem",
            "the authority: give it to clients (curl --cacert)",
            PEOPLE,
            authority.pem(),
        ),
        file("gate.pem", "certificate for localhost, 127.0.0.1, ::1 (ECDSA)", PEOPLE, ecdsa.chain),
        file("gate.key", "its key", OWNER, ecdsa.key),
        file("gate-rsa.pem", "the same with RSA, for clients without ECDSA", PEOPLE, rsa.chain),
        file("gate-rsa.key", "its key", OWNER, rsa.key),
        file("secrets.txt", "secrets of the sample merchants", OWNER, secret_list()?),
    ])
}

/// New secrets for the sample's credentials, `id secret` a line.
pub(crate) fn secret_list() -> Result<String, NoRandom> {
    let mut list = String::new();
    for id in [ACME, BAZAAR] {
        let secret = Zeroizing::new(hex(&random::<32>()?));
        list.push_str(id);
        list.push(' ');
        list.extend(secret.iter().map(|digit| char::from(*digit)));
        list.push('\n');
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_long() {
        let list = secret_list().unwrap();
        let lines: Vec<_> = list.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert_eq!(lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ACME, BAZAAR]);
        assert!(lines.iter().all(|(_, secret)| secret.len() == 64));
        assert_ne!(lines[0].1, lines[1].1);
    }
}
