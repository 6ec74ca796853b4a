//! What a right configuration of sources amounts to, and what it still leaves open.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::PlacedSource;
use super::asking::Asking;
use crate::clock::Timestamp;
use crate::config::fault::{Note, Weight};
use crate::config::value::DAY;
use crate::inbox::profile::Profile;
use crate::inbox::source::{Source, SourceKeys};
use crate::keyring::KeyId;

/// Providers try again for days: what is forgotten sooner may come back as new.
const REMEMBER_SHORT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long before its end a secret is warned of.
const ENDING: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is said of a source beside what it is.
pub(in crate::config) struct Noted {
    secret_is: Option<String>,
    identity: Option<Vec<String>>,
    exceptions: Vec<String>,
    id_is_unsigned: bool,
    /// Keys whose calls may reach networks beside the public ones.
    networks: Vec<(&'static str, Vec<String>)>,
    /// Keys whose calls go in clear, and whether their answers prove themselves.
    in_clear: Vec<(&'static str, bool)>,
}

impl Noted {
    pub(super) fn of(
        profile: &Profile,
        asking: &Asking,
        exceptions: &[String],
        id_is_unsigned: bool,
    ) -> Self {
        let networks = [
            ("confirm", asking.confirm.networks()),
            ("order", asking.order.networks()),
            ("post_back", asking.post_back.networks()),
        ];
        let asked = [("confirm", &profile.confirm), ("order", &profile.order)].into_iter();
        let asked = asked.filter_map(|(key, inquiry)| {
            let inquiry = inquiry.as_ref()?;
            Some((key, &inquiry.call.url, !inquiry.require.is_empty()))
        });
        let posted = profile.post_back.as_ref().map(|one| ("post_back", &one.call.url, true));
        let calls = asked.chain(posted).filter(|(_, url, _)| !url.starts_with("https://"));
        Self {
            secret_is: profile.secret_is.clone(),
            identity: profile.identity.clone(),
            exceptions: exceptions.to_vec(),
            id_is_unsigned,
            networks: networks.into_iter().filter(|(_, all)| !all.is_empty()).collect(),
            in_clear: calls.map(|(key, _, proved)| (key, proved)).collect(),
        }
    }
}

/// Every note about sources. Credentials that stand in no merchants file are `absent`.
pub(in crate::config) fn notes(placed: &[PlacedSource], absent: &[(Arc<str>, KeyId)]) -> Vec<Note> {
    let mut notes: Vec<Note> = placed.iter().flat_map(of_one).collect();
    notes.extend(absent.iter().map(|(source, key_id)| Note {
        weight: Weight::Warning,
        key: format!("sources.{source}.credential"),
        text: format!(
            "{key_id} is not in the merchants file; until it is in the store with this scheme, \
             messages get 503 no_keys"
        ),
    }));
    notes
}

fn of_one(placed: &PlacedSource) -> Vec<Note> {
    let PlacedSource { source, noted, .. } = placed;
    let mut notes = Vec::new();
    let mut say = |weight, key: &str, text: String| {
        notes.push(Note { weight, key: format!("sources.{}{key}", source.name), text });
    };
    for (key, networks) in &noted.networks {
        let text = format!("its calls may reach {} beside the internet", networks.join(", "));
        say(Weight::Warning, &format!(".{key}.networks"), text);
    }
    for (key, proved) in &noted.in_clear {
        let text = match proved {
            true => "PLAIN HTTP: whoever is on the way reads every call",
            false => {
                "PLAIN HTTP, and nothing proves the answer: whoever is on the way can make \
                      a false message look confirmed; use https, or require a proof of the answer"
            }
        };
        say(Weight::Warning, &format!(".{key}.url"), text.to_owned());
    }
    if source.remember < REMEMBER_SHORT {
        let text = format!(
            "keys of repeated messages are kept for {}, and providers try again for days: what \
             comes later is confirmed or held where its time is not signed, else it is new",
            days(source.remember)
        );
        say(Weight::Warning, ".remember", text);
    }
    if source.unsigned {
        let text = "messages without a signature are taken, 10 a second at most, and delivered \
                    only when they are confirmed";
        say(Weight::Warning, ".unsigned", text.to_owned());
    }
    say(Weight::Information, ".scheme", proves(source));
    say(Weight::Information, ".confirm", follows(source));
    say(Weight::Information, ".identity", known_by(source, noted));
    if noted.id_is_unsigned {
        let text = "messages state an id that is not signed: it is noted, and nothing is known by \
                    it";
        say(Weight::Information, ".facts.id", text.to_owned());
    }
    if let Some(secret_is) = &noted.secret_is {
        say(Weight::Information, ".secrets", format!("meant is {secret_is}"));
    }
    notes
}

/// How much a good signature proves, and what it leaves open.
fn proves(source: &Source) -> String {
    let open = source.scheme.left_open();
    let open = if open.is_empty() { "nothing is left open".to_owned() } else { open.join("; ") };
    format!("{} has the strength {}: {open}", source.scheme.name(), source.strength)
}

/// What follows: who is asked.
fn follows(source: &Source) -> String {
    let Some(confirm) = &source.confirm else {
        return "what is signed well is delivered; nobody is asked".to_owned();
    };
    let who = match (&confirm.provider, &confirm.order) {
        (Some(_), Some(_)) => "by asking the provider and your own service: both must agree",
        (Some(_), None) => "by asking the provider",
        (None, _) => "by asking your own service; the provider is not asked",
    };
    format!("every message is confirmed before it is delivered, {who}")
}

/// By what a repeated message is known, and for how long.
fn known_by(source: &Source, noted: &Noted) -> String {
    let by = match noted.identity.as_deref() {
        Some(all) if !all.is_empty() => all.join(", "),
        _ if source.scheme.coverage().nonce.is_signed() => "the nonce, which is signed".to_owned(),
        _ => "all that is signed".to_owned(),
    };
    let kept = days(source.remember);
    let exceptions = noted.exceptions.iter().map(|one| format!("; {one}"));
    format!("a repeated message is known by {by}, for {kept}{}", exceptions.collect::<String>())
}

/// A duration in days where it is whole days, else in hours.
fn days(duration: Duration) -> String {
    let (secs, day) = (duration.as_secs(), DAY.as_secs());
    if secs.is_multiple_of(day) {
        format!("{} d", secs / day)
    } else {
        format!("{} h", secs / 3600)
    }
}

/// Sources whose own secrets end within two weeks, or of which none is good now.
pub(in crate::config) fn ending(sources: &[Source], now: Timestamp) -> Vec<Note> {
    let mut notes = Vec::new();
    for source in sources {
        let SourceKeys::Own(keys) = &source.keys else { continue };
        let key = format!("sources.{}.secrets", source.name);
        let mut say = |weight, text| notes.push(Note { weight, key: key.clone(), text });
        let live = keys.iter().filter(|one| one.from <= now && now <= one.until);
        let Some(last) = live.map(|one| one.until).max() else {
            say(Weight::Warning, "none verifies now: messages get 503 no_keys".to_owned());
            continue;
        };
        // One that takes over without a gap.
        let next =
            keys.iter().filter(|one| one.from <= last.saturating_add(Duration::from_secs(1)));
        let last = next.map(|one| one.until).max().unwrap_or(last);
        if last < now.saturating_add(ENDING) {
            let text = format!("after {} none verifies: put the next one beside it", date(last));
            say(Weight::Warning, text);
        }
    }
    notes
}

/// RFC 3339, in UTC.
fn date(time: Timestamp) -> String {
    let moment = i64::try_from(time.secs()).ok();
    let moment = moment.and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| time.to_string())
}
