//! Last step: the journal. What is kept is what was verified, with all that is to be done for it.

use bytes::Bytes;
use http::header::HOST;

use crate::journal::{Busy, Journal, Kept, NewDelivery, Verdict, Work};
use crate::recipe::Subject;
use crate::scheme::Strength;

use super::answer::Outcome;
use super::entry::Announced;
use super::shape::Told;
use super::source::Source;
use super::verification::Verified;

/// Keeps a message, or finds that it was kept before.
///
/// # Errors
/// [`Busy`]: nothing was kept.
pub(super) async fn keep(told: Told<'_>, journal: &Journal) -> Result<Outcome, Busy> {
    let must_confirm = must_confirm(told.verified(), journal);
    let delivery = delivery(told, must_confirm);
    let held = must_confirm.filter(|_| delivery.first.is_none());
    Ok(match journal.keep(delivery).await? {
        Kept::Stored(id) => Outcome::Stored(id, held),
        Kept::Duplicate(id) => Outcome::Duplicate(id),
    })
}

/// Why a message has to be confirmed before it is delivered, where it has to.
fn must_confirm(verified: &Verified<'_>, journal: &Journal) -> Option<&'static str> {
    let source = verified.received().announced().source();
    let Some(by) = verified.by() else { return Some("unsigned") };
    match source.strength {
        Strength::None => Some("unsigned"),
        Strength::Token => Some("token"),
        Strength::Partial => Some("partial"),
        // What signs no time can come again when its key is forgotten.
        Strength::Full
            if !source.scheme.coverage().time.is_signed()
                && journal.has_forgotten(&source.name, &by.secret) =>
        {
            Some("older_than_memory")
        }
        Strength::Full => source.confirm.is_some().then_some("asked_for"),
    }
}

fn delivery(told: Told<'_>, must_confirm: Option<&'static str>) -> NewDelivery {
    let key = told.key();
    let (by, stated) = (told.verified().by(), told.verified().stated());
    let received = told.verified().received();
    let announced = received.announced();
    let (source, facts) = (announced.source(), told.into_facts());
    let strength = by.map_or(Strength::None, |_| source.strength);
    let first = match must_confirm {
        None => Some(Work::Deliver),
        Some(_) => source.confirm.as_ref().map(|_| Work::Confirm),
    };
    // Nobody makes the gate speak to a provider who has not signed anything.
    let post_back = by.is_some() && is_posted_back(source, received.subject());
    NewDelivery {
        source: source.name.clone(),
        destination: source.destination.name.clone(),
        key,
        secret: by.map(|by| by.secret),
        key_until: announced.now().saturating_add(source.remember),
        received_millis: announced.received_millis(),
        method: announced.head().method.to_string(),
        target: announced.target().to_owned(),
        headers: headers(announced),
        body: received.body().clone(),
        verdict: Verdict {
            scheme: source.scheme.name().to_owned(),
            strength: strength.as_str().to_owned(),
            secret_version: by.map(|by| by.number),
            stated: stated.map(|stated| stated.secs()),
            provider_id: facts.get("id").cloned(),
            must_confirm: must_confirm.map(str::to_owned),
        },
        order_key: facts.get("order").cloned(),
        facts,
        first,
        post_back,
    }
}

fn is_posted_back(source: &Source, subject: Subject<'_>) -> bool {
    let when = source.post_back.as_ref().map(|post_back| post_back.when.as_ref());
    when.is_some_and(|when| when.is_none_or(|when| when.holds(&source.reading, subject)))
}

/// The header fields as they came, without tokens: where nothing is signed, what proves the sender
/// is the secret itself. Over HTTP/2 the authority stands for Host, which whoever looks at the
/// message later asks for.
fn headers(announced: &Announced) -> Vec<(String, Bytes)> {
    let fields = &announced.head().headers;
    let scheme = &announced.source().scheme;
    let hidden =
        if scheme.strength() > Strength::Token { &[] } else { scheme.credential_headers() };
    let copied = |value: &[u8]| Bytes::copy_from_slice(value);
    let host = (!fields.contains_key(HOST))
        .then(|| (HOST.as_str().to_owned(), copied(announced.authority().as_bytes())));
    let shown = fields.iter().filter(|(name, _)| !hidden.contains(name));
    let own = shown.map(|(name, value)| (name.as_str().to_owned(), copied(value.as_bytes())));
    host.into_iter().chain(own).collect()
}
