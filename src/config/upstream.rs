//! `[upstreams.NAME]`: the services behind the gate.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::fault::{Note, Weight};
use super::node::{Mismatch, Node};
use super::reader::Table;
use super::secret_file;
use super::value;
use crate::gateway::upstream::{UpstreamSpec, UpstreamTls};
use crate::limit::{UPSTREAM_CONNECTIONS, UpstreamDeadlines};

/// More connections than one upstream can use.
const CONNECTIONS_MAX: u64 = 100_000;

struct Url {
    tls: bool,
    host: String,
    port: u16,
}

/// Every upstream; files that were read go to `watched`.
pub(super) fn upstreams(table: &mut Table<'_>, watched: &mut Vec<PathBuf>) -> Vec<UpstreamSpec> {
    table.named("upstreams", |name, table| {
        let name = table.own_name(name);
        let url = table.required("url", url);
        let connections = table.optional("connections", value::count(CONNECTIONS_MAX));
        let deadlines = table.table("deadlines", deadlines).unwrap_or_default();
        let in_clear = url.as_ref().is_some_and(|url| !url.tls);
        if table.node("ca").is_some() && in_clear {
            table.refuse("ca", "a plain http upstream shows no certificate to check", None);
            return None;
        }
        let ca = table.optional("ca", |node| {
            let path = value::path(node)?;
            watched.push(path.clone());
            roots(node, &path)
        });
        let url = url?;
        let roots = ca.map_or(UpstreamTls::SystemRoots, UpstreamTls::Roots);
        Some(UpstreamSpec {
            name: Arc::from(name?),
            host: url.host,
            port: url.port,
            tls: url.tls.then_some(roots),
            connections_max: connections.unwrap_or(UPSTREAM_CONNECTIONS),
            deadlines,
        })
    })
}

fn deadlines(table: &mut Table<'_>) -> UpstreamDeadlines {
    let default = UpstreamDeadlines::default();
    let mut deadline = |key, default| table.optional(key, value::duration).unwrap_or(default);
    UpstreamDeadlines {
        connect: deadline("connect", default.connect),
        response: deadline("response", default.response),
        idle: deadline("idle", default.idle),
    }
}

fn url(node: &Node<'_>) -> Result<Url, Mismatch> {
    let expected = "a URL of scheme, host and port, such as \"http://127.0.0.1:8080\"";
    let text = node.str(expected)?;
    if text.contains('@') {
        let hint = "a user or password has no place in an upstream's URL";
        let found = "one with a user or password".to_owned();
        return Err(Mismatch { found, ..Mismatch::text(expected, "") }.hidden().hint(hint));
    }
    parse_url(text).ok_or_else(|| {
        let mismatch = Mismatch::text(expected, text);
        match text.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?', '#'])) {
            Some((_, rest)) if !rest.is_empty() => {
                mismatch.hint("a request's own path and query are sent: leave them out here")
            }
            _ => mismatch,
        }
    })
}

fn parse_url(text: &str) -> Option<Url> {
    let (tls, rest) = match text.split_once("://")? {
        ("http", rest) => (false, rest),
        ("https", rest) => (true, rest),
        _ => return None,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let port_at =
        authority.rfind(':').filter(|at| !authority.get(*at..).unwrap_or("").contains(']'));
    let (host, port) = match port_at.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok().filter(|p| *p != 0)?),
        None => (authority, if tls { 443 } else { 80 }),
    };
    let host = host.to_ascii_lowercase();
    if !value::is_host(&host) {
        return None;
    }
    Some(Url { tls, host: host.trim_matches(['[', ']']).to_owned(), port })
}

pub(super) fn roots(
    node: &Node<'_>,
    path: &std::path::Path,
) -> Result<Vec<CertificateDer<'static>>, Mismatch> {
    let expected = "a PEM file of certificate authorities";
    let text = node.str(expected)?;
    let refuse = |why: String| Err(Mismatch::text(expected, text).hint(why));
    let bytes = match secret_file::read(path) {
        Ok((bytes, _)) => bytes,
        Err(error) => return refuse(format!("{}: {error}", path.display())),
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => refuse(format!("{} holds no certificate", path.display())),
        Err(_) => refuse(format!("{} is not PEM", path.display())),
    }
}

/// Upstreams that are reached in clear over a network.
pub(super) fn notes(upstreams: &[UpstreamSpec]) -> Vec<Note> {
    let in_clear = upstreams.iter().filter(|upstream| {
        let ip = upstream.host.parse::<IpAddr>();
        let loopback =
            ip.map_or(upstream.host == "localhost", |ip| ip.to_canonical().is_loopback());
        upstream.tls.is_none() && !loopback
    });
    let note = |upstream: &UpstreamSpec| Note {
        weight: Weight::Warning,
        key: format!("upstreams.{}.url", upstream.name),
        text: format!(
            "PLAIN HTTP to {}: whoever is on the way reads and changes every admitted request; use \
             https, or an address of this machine",
            upstream.host
        ),
    };
    in_clear.map(note).collect()
}
