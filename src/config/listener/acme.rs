//! `listener.acme`: the authority that issues the listener's certificates, and for which names.

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use zeroize::Zeroizing;

use crate::acme::{CertificateKey, Challenge, ExternalAccount, Spec};
use crate::config::node::{Mismatch, Node};
use crate::config::reach::{self, Callers};
use crate::config::reader::Table;
use crate::config::secret_file::SecretSources;
use crate::config::{secret_place, value};
use crate::secret::Secret;

/// Names of one gate.
const NAMES_MAX: usize = 100;
/// Contacts of one account.
const CONTACTS_MAX: usize = 10;
const DEADLINE: Duration = Duration::from_secs(5 * 60);
const DEADLINE_MAX: Duration = Duration::from_secs(3600);

const KEYS: [(&str, CertificateKey); 3] = [
    ("p-256", CertificateKey::P256),
    ("p-384", CertificateKey::P384),
    ("rsa-2048", CertificateKey::Rsa2048),
];
const CHALLENGES: [(&str, Challenge); 2] =
    [("tls-alpn-01", Challenge::TlsAlpn01), ("http-01", Challenge::Http01)];

/// What of the listener decides which proofs are possible.
#[derive(Clone, Copy)]
pub(super) struct Surroundings {
    /// Whether a client without a certificate is refused.
    pub(super) demands_certificates: bool,
    /// Whether anybody may come in clear.
    pub(super) redirects: bool,
}

pub(super) fn acme(
    table: &mut Table<'_>,
    around: Surroundings,
    secrets: &mut SecretSources<'_>,
    callers: &mut Callers,
) -> Option<Spec> {
    let directory = table.required("directory", directory);
    let reach = callers.reach(table);
    let contacts = contacts(table);
    let names = names(table);
    let challenge = challenge(table, around);
    let agreed = terms(table);
    let is_external = table.stated("external_account");
    let read = |table: &mut Table<'_>| external_account(table, secrets);
    let external = table.table("external_account", read).flatten();
    let profile = table.optional("profile", value::name).map(Box::from);
    let key = table.optional("key", value::choice(&KEYS)).unwrap_or(CertificateKey::P256);
    let deadline = table.optional("deadline", deadline).unwrap_or(DEADLINE);
    let (directory, reach) = (directory?, reach?);
    if let Err(fault) = reach::check(true, directory.host().unwrap_or_default(), &reach) {
        table.refuse("directory", fault.problem, Some(fault.hint));
        return None;
    }
    let caller = callers.caller(table, &reach)?;
    (agreed && external.is_some() == is_external).then_some(())?;
    let (directory, names) = (directory.to_string().into(), names?);
    let challenge = challenge?;
    Some(Spec { directory, caller, contacts, names, challenge, external, profile, key, deadline })
}

fn directory(node: &Node<'_>) -> Result<Uri, Mismatch> {
    let expected = "the https URL of a directory, such as \"https://ca.internal/acme/directory\"";
    let text = node.str(expected)?;
    let good = |url: &Uri| {
        let host = url.host().unwrap_or_default().to_ascii_lowercase();
        let anonymous = url.authority().is_some_and(|all| !all.as_str().contains('@'));
        url.scheme_str() == Some("https") && anonymous && value::is_host(&host)
    };
    let parsed = text.parse::<Uri>().ok().filter(|url| good(url) && !text.contains('#'));
    parsed.ok_or_else(|| match text.starts_with("http:") {
        true => Mismatch::text(expected, text).hint("an authority is asked over https only"),
        false => Mismatch::text(expected, text),
    })
}

fn contacts(table: &mut Table<'_>) -> Vec<Box<str>> {
    let contacts = table.list("contacts", |node| {
        let expected = "a contact such as \"mailto:operations@example.com\"";
        let text = node.str(expected)?;
        let address = text.strip_prefix("mailto:").unwrap_or_default();
        let one = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '?');
        let good = address.split('@').filter(|part| !part.is_empty()).count() == 2;
        match good && address.chars().all(one) && text.len() <= 320 {
            true => Ok(Box::from(text)),
            false if text.contains('@') && !text.starts_with("mailto:") => {
                Err(Mismatch::text(expected, text).hint(format!("\"mailto:{text}\"")))
            }
            false => Err(Mismatch::text(expected, text)),
        }
    });
    if contacts.len() > CONTACTS_MAX {
        table.refuse("contacts", format!("at most {CONTACTS_MAX} contacts"), None);
    }
    contacts
}

/// The names; nothing where none is good.
fn names(table: &mut Table<'_>) -> Option<Vec<Box<str>>> {
    if table.node("names").is_none() {
        table.missing("names");
        return None;
    }
    let stated = table.items("names", "an array of host names").len();
    let names = table.list("names", name);
    if !(1..=NAMES_MAX).contains(&stated) {
        let problem =
            format!("an authority is asked for 1 to {NAMES_MAX} names; here are {stated}");
        table.refuse("names", problem, None);
        return None;
    }
    for (n, name) in names.iter().enumerate() {
        if names.iter().take(n).any(|earlier| earlier == name) {
            table.refuse("names", format!("the name {name} stands here twice"), None);
        }
    }
    Some(names)
}

fn name(node: &Node<'_>) -> Result<Box<str>, Mismatch> {
    let expected = "a host name such as \"api.example.com\"";
    let text = node.str(expected)?;
    let host = text.to_ascii_lowercase();
    let mismatch = Mismatch::text(expected, text);
    if host.contains('*') {
        return Err(mismatch.hint(
            "neither tls-alpn-01 nor http-01 can prove a wildcard: name each host, or take a \
             wildcard certificate from files",
        ));
    }
    if host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[') {
        return Err(mismatch.hint("certificates are ordered for host names only"));
    }
    match value::is_host(&host) && !host.contains('_') {
        true => Ok(host.into()),
        false => Err(mismatch),
    }
}

/// How names are proved, where the listener makes it possible.
fn challenge(table: &mut Table<'_>, around: Surroundings) -> Option<Challenge> {
    let stated = table.stated("challenge");
    let challenge = match table.optional("challenge", value::choice(&CHALLENGES)) {
        None if stated => return None,
        challenge => challenge.unwrap_or(Challenge::TlsAlpn01),
    };
    match challenge {
        Challenge::TlsAlpn01 if around.demands_certificates => {
            let problem = "tls-alpn-01 cannot be done where every client must show a certificate: \
                           the authority has none";
            let hint = "challenge = \"http-01\", with `listener.redirect` on port 80";
            table.refuse("challenge", problem, Some(hint.to_owned()));
            None
        }
        Challenge::Http01 if !around.redirects => {
            let problem = "http-01 is answered in clear, and nobody listens there";
            let hint = "redirect = \"0.0.0.0:80\" in [listener], or challenge = \"tls-alpn-01\"";
            table.refuse("challenge", problem, Some(hint.to_owned()));
            None
        }
        challenge => Some(challenge),
    }
}

/// Whether somebody agreed to the authority's terms, in so many words.
fn terms(table: &mut Table<'_>) -> bool {
    let agreed = table.required("terms_agreed", value::boolean);
    if agreed == Some(false) {
        let problem = "an authority issues nothing to who does not agree to its terms";
        let hint = "read them (its directory names them), then: terms_agreed = true";
        table.refuse("terms_agreed", problem, Some(hint.to_owned()));
    }
    agreed == Some(true)
}

fn external_account(
    table: &mut Table<'_>,
    secrets: &mut SecretSources<'_>,
) -> Option<ExternalAccount> {
    let id = table.required("id", |node| {
        let expected = "the id that the authority gave, 1 to 256 visible characters";
        let text = node.str(expected)?;
        let good = (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Box::from(text)).ok_or_else(|| Mismatch::text(expected, text))
    });
    let owner: Box<str> = id.clone().unwrap_or_default();
    if table.node("key").is_some_and(|node| !node.value().is_table()) {
        table.required("key", |node| Err::<(), _>(secret_place::literal(node)));
        return None;
    }
    let key = table.required_table("key", |table| {
        let text = secret_place::bytes(table, &owner, secrets)?;
        let text = text.trim_ascii();
        let text = text.split(|b| *b == b'=').next().unwrap_or_default();
        let key = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).ok();
        let Some(key) = key.and_then(|key| Secret::new(key.to_vec()).ok()) else {
            let problem = "the key cannot be used: it is the base64url of 16 bytes or more, as \
                           the authority gave it";
            table.refuse("", problem, None);
            return None;
        };
        let place =
            format!("the external account ({})", table.document().place(table.span().start));
        if let Some(earlier) = secrets.remember(key.expose(), place) {
            table.refuse("", format!("this key has the same bytes as one of {earlier}"), None);
            return None;
        }
        Some(key)
    });
    Some(ExternalAccount { id: id?, key: key.flatten()? })
}

fn deadline(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration of whole seconds from 1s to 1h, such as \"5m\"";
    value::duration_within(node, expected, Duration::from_secs(1)..=DEADLINE_MAX)
}
