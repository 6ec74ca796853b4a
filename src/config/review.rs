//! Notes across routes and credentials: what a right configuration still leaves open.

pub(super) mod front;

use std::collections::BTreeMap;

use super::capacity::fills_two;
use super::fault::{Note, Weight};
use crate::gateway::route::RouteSpec;
use crate::keyring::{CredentialSpec, KeyId, MerchantSpec};
use crate::peer::Bindings;

/// Names that one note lists.
const NAMES_MAX: usize = 5;

/// Every note about the two together. Some credentials verify webhooks and need no route.
pub(super) fn notes(
    routes: &[RouteSpec],
    merchants: &[MerchantSpec],
    of_sources: &[&KeyId],
) -> Vec<Note> {
    let mut notes = repeatable_reads(routes, merchants);
    notes.extend(unused_credentials(routes, merchants, of_sources));
    notes.extend(unknown_credentials(routes, merchants));
    if merchants.is_empty() && !routes.is_empty() {
        notes.push(Note {
            weight: Weight::Warning,
            key: "merchants".to_owned(),
            text: "no merchant is configured: every request will be refused".to_owned(),
        });
    }
    notes
}

fn credentials(merchants: &[MerchantSpec]) -> impl Iterator<Item = &CredentialSpec> {
    merchants.iter().flat_map(|merchant| &merchant.credentials)
}

fn repeatable_reads(routes: &[RouteSpec], merchants: &[MerchantSpec]) -> Vec<Note> {
    // Where requests are remembered, a signature passes once, whatever it reads.
    let open = routes.iter().filter(|route| !route.remember);
    let open = open.filter(|route| route.scheme.coverage().leaves_target_open());
    let note = |route: &RouteSpec| {
        let same = credentials(merchants).filter(|c| c.scheme == route.scheme && fills_two(c));
        let names: Vec<&str> = same.map(|credential| credential.key_id.as_str()).collect();
        let text = match names.as_slice() {
            [] => "every signature is good for one request: no credential has repeatable_reads"
                .to_owned(),
            names => format!(
                "one signature is good for a GET or HEAD of every target in scope, once each, with \
                 {}; repeatable_reads = false makes it one request",
                listed(names)
            ),
        };
        let weight = if names.is_empty() { Weight::Information } else { Weight::Warning };
        Note { weight, key: format!("routes.{}.scheme", route.name), text }
    };
    open.map(note).collect()
}

fn unused_credentials(
    routes: &[RouteSpec],
    merchants: &[MerchantSpec],
    of_sources: &[&KeyId],
) -> Vec<Note> {
    let mut unused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for credential in credentials(merchants) {
        if of_sources.contains(&&credential.key_id) {
            continue;
        }
        if routes.iter().all(|route| route.scheme != credential.scheme) {
            unused.entry(credential.scheme.name()).or_default().push(credential.key_id.as_str());
        }
    }
    let note = |(scheme, names): (&str, Vec<&str>)| Note {
        weight: Weight::Warning,
        key: "merchants".to_owned(),
        text: format!("no route takes the scheme {scheme}, so nobody can use {}", listed(&names)),
    };
    unused.into_iter().map(note).collect()
}

/// Routes that are for one credential, and there is none of that name under their scheme.
fn unknown_credentials(routes: &[RouteSpec], merchants: &[MerchantSpec]) -> Vec<Note> {
    let note = |route: &RouteSpec| {
        let named = route.credential.as_ref()?;
        let known = |one: &CredentialSpec| one.key_id == *named && one.scheme == route.scheme;
        let text = format!("no credential {named} signs by {}", route.scheme.name());
        let key = format!("routes.{}.credential", route.name);
        (!credentials(merchants).any(known)).then_some(Note { weight: Weight::Warning, key, text })
    };
    routes.iter().filter_map(note).collect()
}

/// Key ids that are bound to certificates, and no credential in the file has. One misspelt binds
/// nobody.
pub(super) fn unknown_bindings(
    bindings: Option<&Bindings>,
    merchants: &[MerchantSpec],
) -> Option<Note> {
    let known = |key_id: &&str| credentials(merchants).any(|c| c.key_id.as_str() == *key_id);
    let mut unknown: Vec<&str> = bindings?.key_ids().filter(|key_id| !known(key_id)).collect();
    unknown.sort_unstable();
    (!unknown.is_empty()).then(|| Note {
        weight: Weight::Warning,
        key: "listener.client_certificates.credentials".to_owned(),
        text: format!(
            "no credential in the merchants file is called {}: certificates are asked for only \
             where the store has one of this name",
            listed(&unknown)
        ),
    })
}

/// A few names, and how many more.
fn listed(names: &[&str]) -> String {
    let some: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
    match names.len() - some.len() {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}
