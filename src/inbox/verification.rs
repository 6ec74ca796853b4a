//! Sixth step: proof. [`Verified`] was signed by a live secret of its source, over the very bytes
//! that are kept; or it is unsigned, for a source that takes such to have them confirmed.

use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::crypto::{DigestInProgress, MacKey};
use crate::keyring::{Keyring, LIVE_VERSIONS_MAX};
use crate::recipe::Subject;
use crate::scheme::{Strength, Verdict, VerifyingKey};

use super::body::Received;
use super::freshness::Fresh;
use super::refusal::Refused;
use super::source::{LiveKey, Source};

/// A message that can be believed as far as its scheme goes.
#[must_use]
pub(super) struct Verified<'m> {
    fresh: Fresh<'m>,
    by: Option<By>,
    content: [u8; 32],
}

/// Which secret signed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct By {
    /// A digest of it, within the source.
    pub(super) secret: [u8; 16],
    /// Its number.
    pub(super) number: u32,
    /// Whether it is a pending version of a credential.
    pub(super) pending: bool,
}

/// Tries every live key with every signature, on the bytes as they came, in constant time. `room`
/// is asked for an unsigned message.
///
/// # Errors
/// `no_keys`, `invalid_signature`, `too_many_unsigned`.
pub(super) async fn verify<'m>(
    fresh: Fresh<'m>,
    keyring: &Keyring,
    now: Timestamp,
    room: impl FnOnce() -> Result<(), Duration>,
) -> Result<Verified<'m>, Refused> {
    let received = fresh.stated().received();
    let (source, subject) = (received.announced().source(), received.subject());
    let Some(claims) = fresh.stated().claims() else {
        room().map_err(Refused::TooManyUnsigned)?;
        let content = of_everything(&subject);
        return Ok(Verified { fresh, by: None, content });
    };
    let live = source.keys.live(now, &source.scheme, keyring);
    if live.is_empty() {
        return Err(Refused::NoKeys);
    }
    let keys: SmallVec<[&VerifyingKey; LIVE_VERSIONS_MAX]> =
        live.iter().map(|one| one.key).collect();
    let mut verification = source.scheme.verify(&keys, claims, subject);
    while verification.step() {
        tokio::task::yield_now().await;
    }
    let verdict = verification.finish();
    let matched = verdict.matched.and_then(|index| live.get(index));
    let by = Some(By::new(source, matched.ok_or(Refused::InvalidSignature)?));
    let content = content(source, &subject, &verdict);
    Ok(Verified { fresh, by, content })
}

/// By what else a repeated message is known, whoever signed it.
fn content(source: &Source, subject: &Subject<'_>, verdict: &Verdict) -> [u8; 32] {
    let scheme = &source.scheme;
    match scheme.content_digest(subject) {
        Some(digest) => digest,
        // A token is the same in all messages, and says nothing of any.
        None if scheme.strength() <= Strength::Token => of_everything(subject),
        None => {
            let mut digest = DigestInProgress::default();
            digest.update(b"countersign webhook proof\0");
            digest.update(verdict.proof.as_bytes());
            digest.finish()
        }
    }
}

/// A digest of target and body, for a message of which nothing is signed.
fn of_everything(subject: &Subject<'_>) -> [u8; 32] {
    let mut digest = DigestInProgress::default();
    digest.update(b"countersign webhook content\0");
    let length = u64::try_from(subject.target.len()).unwrap_or(u64::MAX);
    digest.update(&length.to_be_bytes());
    digest.update(subject.target.as_bytes());
    subject.body.iter().for_each(|piece| digest.update(piece));
    digest.finish()
}

impl By {
    fn new(source: &Source, key: &LiveKey<'_>) -> Self {
        let mut digest = MacKey::new(key.key.secret()).begin();
        digest.update(b"countersign webhook secret\0");
        digest.update(source.name.as_bytes());
        let digest = digest.finish();
        let secret = digest.first_chunk().copied().unwrap_or_default();
        Self { secret, number: key.number, pending: key.pending }
    }
}

impl<'m> Verified<'m> {
    /// The message.
    pub(super) fn received(&self) -> &'m Received {
        self.fresh.stated().received()
    }

    /// The time that it states, where its scheme has one.
    pub(super) fn stated(&self) -> Option<Timestamp> {
        self.fresh.stated().claims()?.timestamp()
    }

    /// Which secret signed it; none: it is unsigned.
    pub(super) fn by(&self) -> Option<By> {
        self.by
    }

    /// The digest of exactly what is signed of it.
    pub(super) fn content(&self) -> &[u8; 32] {
        &self.content
    }
}
