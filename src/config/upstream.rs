//! `[upstreams.NAME]`: the services behind the gate.

mod ejection;
mod health;
mod identity;
mod url;

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
use crate::gateway::upstream::{Queue, UpstreamSpec, UpstreamTls, UpstreamUrl};
use crate::limit::{UPSTREAM_CONNECTIONS, UPSTREAM_QUEUE, UpstreamDeadlines};

/// More connections than one upstream can use.
const CONNECTIONS_MAX: u64 = 100_000;

/// Every upstream; files that were read go to `watched`.
pub(super) fn upstreams(table: &mut Table<'_>, watched: &mut Vec<PathBuf>) -> Vec<UpstreamSpec> {
    table.named("upstreams", |name, table| {
        let name = table.own_name(name);
        let urls = url::urls(table);
        let connections = table.optional("connections", value::count(CONNECTIONS_MAX));
        let queue = table.optional("queue", value::count(CONNECTIONS_MAX));
        let queue_for = table.optional("queue_for", value::duration);
        let deadlines = table.table("deadlines", deadlines).unwrap_or_default();
        let ejection = table.table("ejection", ejection::ejection);
        let health = table.table("health", health::health).flatten();
        let resolve = table.optional("resolve", url::resolve);
        let in_clear = urls.as_ref().is_some_and(|urls| !urls.tls);
        if table.node("ca").is_some() && in_clear {
            table.refuse("ca", "a plain http upstream shows no certificate to check", None);
            return None;
        }
        let identity = identity::identity(table, in_clear, watched);
        let streams_max = url::streams(table, in_clear);
        let ca = table.optional("ca", |node| {
            let path = value::path(node)?;
            watched.push(path.clone());
            roots(node, &path)
        });
        let urls = urls?;
        let roots = ca.map_or(UpstreamTls::SystemRoots, UpstreamTls::Roots);
        Some(UpstreamSpec {
            tls: urls.tls.then_some(roots),
            identity,
            streams_max,
            connections_max: connections.unwrap_or(UPSTREAM_CONNECTIONS),
            queue: Queue {
                length_max: queue.unwrap_or(UPSTREAM_QUEUE),
                patience: queue_for.unwrap_or(deadlines.connect),
            },
            deadlines,
            ejection,
            health,
            resolve,
            ..UpstreamSpec::new(Arc::from(name?), urls.places)
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

pub(super) fn roots(
    node: &Node<'_>,
    path: &std::path::Path,
) -> Result<Vec<CertificateDer<'static>>, Mismatch> {
    certificates(node, path, "a PEM file of certificate authorities")
}

fn certificates(
    node: &Node<'_>,
    path: &std::path::Path,
    expected: &str,
) -> Result<Vec<CertificateDer<'static>>, Mismatch> {
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

/// Upstreams that are reached in clear over a network, and settings that do nothing.
pub(super) fn notes(upstreams: &[UpstreamSpec]) -> Vec<Note> {
    upstreams.iter().flat_map(|one| in_clear(one).chain(spread(one)).collect::<Vec<_>>()).collect()
}

fn in_clear(upstream: &UpstreamSpec) -> impl Iterator<Item = Note> {
    let key = if upstream.urls.len() == 1 { "url" } else { "urls" };
    let loopback = |url: &UpstreamUrl| {
        let ip = url.host.parse::<IpAddr>();
        ip.map_or(url.host == "localhost", |ip| ip.to_canonical().is_loopback())
    };
    let away = upstream.urls.iter().filter(move |url| upstream.tls.is_none() && !loopback(url));
    away.map(move |url| Note {
        weight: Weight::Warning,
        key: format!("upstreams.{}.{key}", upstream.name),
        text: format!(
            "PLAIN HTTP to {}: whoever is on the way reads and changes every admitted request; use \
             https, or an address of this machine",
            url.host
        ),
    })
}

/// What is worth knowing of how requests are spread.
fn spread(upstream: &UpstreamSpec) -> Option<Note> {
    let several = upstream.urls.len() > 1;
    let note = |key: &str, text: &str| Note {
        weight: Weight::Information,
        key: format!("upstreams.{}{key}", upstream.name),
        text: text.to_owned(),
    };
    match upstream.ejection.as_ref().filter(|_| upstream.resolve.is_none()) {
        None if several && upstream.ejection.is_none() && upstream.health.is_none() => Some(note(
            "",
            "an address that fails keeps its share of the requests: ejection = {} leaves it out \
             for a while",
        )),
        Some(ejection) => {
            let out_max = upstream.urls.len() * usize::from(ejection.at_most.get()) / 1000;
            let none = out_max == 0;
            none.then(|| note(".ejection", "at_most of so few addresses is none: it does nothing"))
        }
        None => None,
    }
}
