//! `[destinations.NAME]`: the merchant's services that webhooks are delivered to.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use zeroize::Zeroizing;

use super::fault::{Note, Weight};
use super::listener;
use super::node::{Mismatch, Node, nearest, one_of};
use super::reach::{self, Callers};
use super::reader::Table;
use super::secret_file::{SecretSources, Wiped};
use super::secret_place::{self, literal};
use super::source::PlacedSource;
use super::value::{self, DAY};
use crate::inbox::destination::Destination;
use crate::limit::Rate;
use crate::secret::Secret;

/// Secrets of one destination.
const SECRETS_MAX: usize = 4;
/// What the text of a secret begins with (Standard Webhooks 1.0.0).
const PREFIX: &[u8] = b"whsec_";
/// Bytes that the text of a secret stands for (Standard Webhooks 1.0.0).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

const DEADLINE: Duration = Duration::from_secs(15);
const DEADLINE_MAX: Duration = Duration::from_secs(300);
const CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
const CONCURRENCY_MAX: u64 = 1000;
const RATE: Rate = Rate {
    per_second: NonZeroU32::MIN.saturating_add(99),
    burst: NonZeroU32::MIN.saturating_add(99),
};

/// Waits between attempts, in seconds: ten attempts over three days and a half.
const SCHEDULE: [u64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];
const WAITS_MAX: usize = 30;
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const SCHEDULE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Every destination, and the names of those at fault.
#[derive(Default)]
pub(super) struct Destinations<'n> {
    pub(super) all: Vec<Arc<Destination>>,
    names: Vec<&'n str>,
    /// Of these, whose URLs are in clear, and whose networks are opened.
    pub(super) opened: Vec<Opened>,
}

/// What of a destination deserves a second look.
pub(super) struct Opened {
    pub(super) name: Arc<str>,
    pub(super) networks: Vec<String>,
    pub(super) in_clear: bool,
    /// Whether all networks are of this machine.
    pub(super) loopback: bool,
}

/// Every destination.
pub(super) fn destinations<'n>(
    table: &mut Table<'n>,
    secrets: &mut SecretSources<'_>,
    callers: &mut Callers,
) -> Destinations<'n> {
    let names = table.names("destinations");
    let mut opened = Vec::new();
    let all = table.named("destinations", |name, table| {
        let own = table.own_name(name);
        let (destination, seen) = destination(name.get_ref(), own, table, secrets, callers)?;
        opened.push(seen);
        Some(Arc::new(destination))
    });
    Destinations { all, names, opened }
}

fn destination(
    owner: &str,
    name: Option<&str>,
    table: &mut Table<'_>,
    secrets: &mut SecretSources<'_>,
    callers: &mut Callers,
) -> Option<(Destination, Opened)> {
    let example = "a URL such as \"https://shop.internal:8443/webhooks\"";
    let url = table.required("url", |node| url(node, example));
    let own = own_secrets(table, owner, secrets);
    let reach = callers.reach(table);
    let deadline = table.optional("deadline", deadline).unwrap_or(DEADLINE);
    let concurrency = table.optional("concurrency", value::count(CONCURRENCY_MAX));
    let rate = table.table("rate", listener::rate).unwrap_or(Some(RATE));
    let ordered = table.optional("ordered", value::boolean).unwrap_or(false);
    let schedule = schedule(table);
    let (url, reach) = (url?, reach?);
    let https = url.scheme_str() == Some("https");
    if let Err(fault) = reach::check(https, url.host().unwrap_or_default(), &reach) {
        table.refuse("url", fault.problem, Some(fault.hint));
        return None;
    }
    if !https && table.stated("ca") {
        table.refuse("ca", "a plain http service shows no certificate to check", None);
        return None;
    }
    let caller = callers.caller(table, &reach);
    let name: Arc<str> = Arc::from(name?);
    let opened = Opened {
        name: Arc::clone(&name),
        networks: reach.networks.iter().map(ToString::to_string).collect(),
        in_clear: !https,
        loopback: reach.networks.iter().all(|network| network.addr().is_loopback()),
    };
    let destination = Destination {
        name,
        url,
        caller: caller?,
        secrets: own?,
        deadline,
        concurrency: concurrency.unwrap_or(CONCURRENCY),
        rate: rate?,
        ordered,
        schedule: schedule?,
    };
    Some((destination, opened))
}

/// A whole URL that can be called.
pub(super) fn url(node: &Node<'_>, expected: &str) -> Result<Uri, Mismatch> {
    let text = node.str(expected).map_err(Mismatch::hidden)?;
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    if authority.split(['/', '?', '#']).next().unwrap_or_default().contains('@') {
        let hint = "a user or password has no place here";
        let found = "one with a user or password".to_owned();
        return Err(Mismatch { found, ..Mismatch::text(expected, "") }.hidden().hint(hint));
    }
    if text.contains('#') {
        return Err(Mismatch::text(expected, text).hint("a fragment is never sent"));
    }
    let host = |url: &Uri| value::is_host(&url.host().unwrap_or_default().to_ascii_lowercase());
    let schemed = |url: &Uri| matches!(url.scheme_str(), Some("https" | "http"));
    let parsed = text.parse::<Uri>().ok().filter(|url| schemed(url) && host(url));
    let port = |url: &Uri| {
        url.authority().is_some_and(|all| all.as_str().ends_with(':')) || url.port_u16() == Some(0)
    };
    parsed.filter(|url| !port(url)).ok_or_else(|| Mismatch::text(expected, text))
}

/// The secrets that sign, decoded; nothing where one is at fault.
fn own_secrets(
    table: &mut Table<'_>,
    owner: &str,
    sources: &mut SecretSources<'_>,
) -> Option<Vec<Secret>> {
    let node = table.required("secrets", |node| Ok(*node))?;
    let Some(items) = node.value().as_array() else {
        node.take::<()>(&table.path_of("secrets"), |node| Err(literal(node)));
        return None;
    };
    if !(1..=SECRETS_MAX).contains(&items.len()) {
        let problem =
            format!("a destination has 1 to {SECRETS_MAX} secrets; here are {}", items.len());
        table.refuse("secrets", problem, None);
        return None;
    }
    let read = |(path, item): (String, Node<'_>)| {
        if item.value().is_table() {
            Table::of(&item, path, "a table", |table| secret(table, owner, sources)).flatten()
        } else {
            item.take(&path, |item| Err(literal(item)))
        }
    };
    let all: Vec<Option<Secret>> =
        table.items("secrets", "an array").into_iter().map(read).collect();
    all.into_iter().collect()
}

fn secret(table: &mut Table<'_>, owner: &str, sources: &mut SecretSources<'_>) -> Option<Secret> {
    let text = secret_place::bytes(table, owner, sources)?;
    let Some(bytes) = decoded(&text) else {
        let problem = format!(
            "the secret of {owner} cannot be used: it is whsec_ and the base64 of {} to {} bytes",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        );
        let hint = "make one: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"";
        table.refuse("", problem, Some(hint.to_owned()));
        return None;
    };
    let place = format!("the destination {owner} ({})", table.document().place(table.span().start));
    // A scheme may take the text as it is, without its prefix, or what it stands for.
    let forms = [text.as_slice(), text.get(PREFIX.len()..).unwrap_or_default(), &bytes];
    let earlier = forms.map(|form| sources.remember(form, place.clone()));
    if let Some(earlier) = earlier.into_iter().flatten().next() {
        let problem = format!("this secret of {owner} has the same bytes as one of {earlier}");
        let hint = "make a secret of its own for every destination";
        table.refuse("", problem, Some(hint.to_owned()));
        return None;
    }
    Some(Secret::of_any_length(bytes.to_vec()))
}

/// The bytes that the text of a secret stands for.
pub(super) fn decoded(text: &[u8]) -> Option<Wiped> {
    let bytes = Zeroizing::new(STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?);
    SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
}

fn deadline(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration of whole seconds from 1s to 5m, such as \"15s\"";
    value::duration_within(node, expected, Duration::from_secs(1)..=DEADLINE_MAX)
}

fn wait(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration of whole seconds from 1s to 7d, such as \"5m\" or \"2h\"";
    value::duration_within(node, expected, Duration::from_secs(1)..=WAIT_MAX)
}

/// The waits between attempts.
fn schedule(table: &mut Table<'_>) -> Option<Vec<Duration>> {
    if !table.stated("schedule") {
        table.node("schedule");
        return Some(SCHEDULE.map(Duration::from_secs).to_vec());
    }
    let count = table.items("schedule", "an array of durations").len();
    let waits = table.list("schedule", wait);
    if waits.len() < count {
        return None;
    }
    if !(1..=WAITS_MAX).contains(&count) {
        let problem = format!("a schedule has 1 to {WAITS_MAX} waits; here are {count}");
        table.refuse("schedule", problem, None);
        return None;
    }
    let whole: Duration = waits.iter().sum();
    if whole > SCHEDULE_MAX {
        let problem = format!(
            "these waits are {} days in all, and a delivery is tried for {} at most",
            whole.as_secs().div_ceil(DAY.as_secs()),
            SCHEDULE_MAX.as_secs() / DAY.as_secs()
        );
        table.refuse("schedule", problem, None);
        return None;
    }
    Some(waits)
}

impl Destinations<'_> {
    /// The destination of a name, or why there is none. Nothing where it is at fault itself, which
    /// was told at its own place.
    pub(super) fn find(&self, node: &Node<'_>) -> Result<Option<Arc<Destination>>, Mismatch> {
        let expected = match self.names.as_slice() {
            [] => "the name of a destination".to_owned(),
            names => format!("a destination: {}", one_of(names)),
        };
        let text = node.str(&expected)?;
        if let Some(found) = self.all.iter().find(|one| *one.name == *text) {
            return Ok(Some(Arc::clone(found)));
        }
        if self.names.contains(&text) {
            return Ok(None);
        }
        Err(Mismatch::text(expected, text).hint(match nearest(text, &self.names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "define it as a table [destinations.NAME] with its url and secrets".to_owned(),
        }))
    }
}

/// Destinations in clear, those with opened networks, and those that nothing goes to.
pub(super) fn notes(destinations: &Destinations<'_>, sources: &[PlacedSource]) -> Vec<Note> {
    let mut notes = Vec::new();
    for opened in &destinations.opened {
        let mut say = |weight, key: &str, text: String| {
            notes.push(Note { weight, key: format!("destinations.{}{key}", opened.name), text });
        };
        if opened.in_clear && !opened.loopback {
            let text = "PLAIN HTTP: whoever is on the way reads every delivery, and can keep it";
            say(Weight::Warning, ".url", text.to_owned());
        }
        if !opened.networks.is_empty() && !opened.loopback {
            let networks = opened.networks.join(", ");
            let text = format!("deliveries may reach {networks} beside the internet");
            say(Weight::Warning, ".networks", text);
        }
        if sources.iter().all(|placed| placed.source.destination.name != opened.name) {
            say(Weight::Information, "", "no source delivers to this destination".to_owned());
        }
    }
    notes
}
