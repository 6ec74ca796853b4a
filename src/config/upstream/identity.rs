//! `certificate` and `key` of an upstream.

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;

use super::certificates;
use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::secret_file::{self, LOOSE_BITS};
use crate::config::value;
use crate::gateway::upstream::Identity;
use crate::secret::Secret;

/// Who the gate is to an upstream that asks; files that were read go to `watched`.
pub(super) fn identity(
    table: &mut Table<'_>,
    in_clear: bool,
    watched: &mut Vec<PathBuf>,
) -> Option<Identity> {
    let (certificate, key) = (table.node("certificate"), table.node("key"));
    let problem = match (certificate.is_some(), key.is_some()) {
        (false, false) => return None,
        (true, false) => Some(("certificate", "`certificate` is of no use without `key`")),
        (false, true) => Some(("key", "`key` is of no use without `certificate`")),
        (true, true) if in_clear => {
            Some(("certificate", "a plain http upstream asks for no certificate"))
        }
        (true, true) => None,
    };
    if let Some((key, problem)) = problem {
        table.refuse(key, problem, None);
        return None;
    }
    let chain = table.optional("certificate", |node| {
        let path = value::path(node)?;
        watched.push(path.clone());
        certificates(node, &path, "a PEM file of a certificate and those that vouch for it")
    });
    table.optional("key", |node| {
        let path = value::path(node)?;
        watched.push(path.clone());
        chain.map(|chain| read(node, &path, chain)).transpose()
    })?
}

fn read(
    node: &Node<'_>,
    path: &std::path::Path,
    chain: Vec<CertificateDer<'static>>,
) -> Result<Identity, Mismatch> {
    let text = node.str("a path")?;
    let refuse = |expected: &str, why: String| Mismatch::text(expected, text).hint(why);
    let expected = "a PEM file of the private key of `certificate`";
    let (bytes, mode) = secret_file::read(path)
        .map_err(|error| refuse(expected, format!("{}: {error}", path.display())))?;
    if mode & LOOSE_BITS != 0 {
        let expected = "a key file that others cannot read and only its owner can write";
        return Err(refuse(expected, format!("run: chmod g-w,o-rwx '{}'", path.display())));
    }
    Identity::new(chain, Secret::of_any_length(bytes.to_vec()))
        .map_err(|error| refuse(expected, format!("{}: {error}", path.display())))
}
