//! The signature doctor: which likely mistake makes the signature that somebody sent.
//!
//! It signs the message again in the ways in which people get it wrong, and compares. It never
//! gives out what the right signature is, nor a secret: only the name of a mistake. The gate
//! refuses first and asks the doctor afterwards; whatever it finds, a request stays refused.

mod body;
mod key;
mod message;
mod mistake;
mod practice;
mod request;
mod shape;

use std::borrow::Cow;

use bytes::Bytes;

use crate::crypto::digest::Algorithm;
use crate::crypto::{equal_bytes, mac};
use crate::recipe::Subject;
use crate::scheme::{Claims, Part, Piece, Scheme, VerifyingKey};

pub use mistake::Mistake;
pub use practice::{FINDINGS_MAX, Finding, Practice};
pub(crate) use shape::{malformed, staleness};

/// The longest body that is looked into, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// What one attempt costs beside its bytes: a key is set up and a message begun.
const ATTEMPT_BYTES: usize = 512;

/// A message whose signature matched none of its credential's keys.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What it should have been signed by.
    pub scheme: &'a Scheme,
    /// The message.
    pub subject: Subject<'a>,
    /// What it says of itself.
    pub claims: &'a Claims,
    /// The keys that were tried.
    pub keys: &'a [&'a VerifyingKey],
    /// Keys of the same credential that do not verify: pending or ended, never revoked.
    pub others: &'a [&'a VerifyingKey],
}

/// How much may still be hashed, in bytes. A measure of time that does not depend on the machine.
#[derive(Clone, Copy, Debug)]
pub struct Work(usize);

impl Work {
    /// For a request that waits for its answer: about a millisecond.
    pub const ONE_REQUEST: Self = Self(1024 * 1024);
    /// Without a bound, for somebody who asks on a command line.
    pub const OFFLINE: Self = Self(usize::MAX);
}

/// The work is used up before anything was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UsedUp;

type Attempt = Result<Option<Mistake>, UsedUp>;

/// The mistake that explains the signature; none where none is known that does, or where the work
/// was used up before it was found.
pub fn diagnose(case: Case<'_>, work: Work) -> Option<Mistake> {
    let bytes: usize = case.subject.body.iter().map(Bytes::len).sum();
    if bytes > BODY_BYTES_MAX {
        return None;
    }
    let body = case.subject.body.concat();
    let lines = case.subject.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let head = lines.sum::<usize>() + case.subject.target.len();
    let mut examination = Examination { case, body: &body, head, left: work.0 };
    examination.run().ok().flatten()
}

struct Examination<'a> {
    case: Case<'a>,
    /// The body in one piece.
    body: &'a [u8],
    /// How long the head is: what reads it may read all of it each time.
    head: usize,
    left: usize,
}

impl<'a> Examination<'a> {
    /// Every kind of mistake with every key, the likely kinds first.
    fn run(&mut self) -> Attempt {
        let ways = [
            Self::other_versions,
            Self::bodies,
            Self::secrets,
            Self::requests,
            Self::messages,
            Self::digests,
        ];
        for way in ways {
            for key in self.case.keys {
                if let Some(mistake) = way(self, key)? {
                    return Ok(Some(mistake));
                }
            }
        }
        Ok(None)
    }

    fn other_versions(&mut self, _: &VerifyingKey) -> Attempt {
        for key in self.case.others {
            if self.signs(&self.case.subject.clone(), key)? {
                return Ok(Some(Mistake::OtherVersion));
            }
        }
        Ok(None)
    }

    fn bodies(&mut self, key: &VerifyingKey) -> Attempt {
        for (mistake, variant) in body::VARIANTS {
            let Some(other) = variant(self.body).filter(|other| other != self.body) else {
                continue;
            };
            let pieces = [Bytes::from(other)];
            let subject = Subject { body: &pieces, ..self.case.subject };
            if self.signs(&subject, key)? {
                return Ok(Some(*mistake));
            }
        }
        Ok(None)
    }

    fn secrets(&mut self, key: &VerifyingKey) -> Attempt {
        let key_id = self.case.claims.key_id().unwrap_or_default();
        for (mistake, other) in key::variants(key.secret(), key_id) {
            let Ok(other) = self.case.scheme.key(&other, key.values().clone()) else { continue };
            if self.signs(&self.case.subject.clone(), &other)? {
                return Ok(Some(mistake));
            }
        }
        Ok(None)
    }

    fn requests(&mut self, key: &VerifyingKey) -> Attempt {
        for (mistake, other) in request::variants(&self.case.subject) {
            if self.signs(&other.subject(&self.case.subject), key)? {
                return Ok(Some(mistake));
            }
        }
        Ok(None)
    }

    fn messages(&mut self, key: &VerifyingKey) -> Attempt {
        // What holds the secret is not taken apart.
        let Some(parts) = self.parts(key) else { return Ok(None) };
        let parts: Vec<message::Part<'_>> =
            parts.iter().map(|(bytes, fixed)| message::Part { bytes, fixed: *fixed }).collect();
        let time = self.case.claims.timestamp().map(|stamp| stamp.secs().to_string());
        let times = time.iter().flat_map(|text| message::times(&parts, text));
        let all =
            times.chain(message::variants(&parts).map(|(mistake, pieces)| {
                (mistake, pieces.into_iter().map(Cow::Borrowed).collect())
            }));
        for (mistake, pieces) in all {
            if self.signs_pieces(&pieces, key)? {
                return Ok(Some(mistake));
            }
        }
        Ok(None)
    }

    /// Other algorithms over the right message.
    fn digests(&mut self, key: &VerifyingKey) -> Attempt {
        let Some(parts) = self.parts(key) else { return Ok(None) };
        let message = parts.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>().concat();
        let secret = key.secret().expose();
        for algorithm in Algorithm::ALL {
            let keyed = mac::Algorithm::Hmac(*algorithm);
            let attempts = [
                (Mistake::Swapped, keyed.of(&message, secret)),
                (Mistake::OtherAlgorithm, keyed.of(secret, &message)),
                (Mistake::PlainDigest, algorithm.of(&message)),
                (Mistake::PlainDigest, algorithm.of(&[&message[..], secret].concat())),
                (Mistake::PlainDigest, algorithm.of(&[secret, &message[..]].concat())),
            ];
            self.spend(attempts.len() * (message.len() + ATTEMPT_BYTES))?;
            for (mistake, made) in attempts {
                if self.is_claimed(made.as_bytes()) {
                    return Ok(Some(mistake));
                }
            }
        }
        Ok(None)
    }

    /// The pieces of the right message, and whether they are of the scheme; none where one is
    /// secret or cannot be had.
    fn parts(&self, key: &VerifyingKey) -> Option<Vec<(Vec<u8>, bool)>> {
        let parts = self.case.scheme.parts(&self.case.subject, key).ok()?;
        let part = |part: Part| Some((part.bytes?, part.piece == Piece::Text));
        parts.into_iter().map(part).collect()
    }

    /// Whether the signature is that of a message under a key.
    fn signs(&mut self, subject: &Subject<'_>, key: &VerifyingKey) -> Result<bool, UsedUp> {
        let bytes: usize = subject.body.iter().map(Bytes::len).sum();
        self.spend(bytes + self.head + ATTEMPT_BYTES)?;
        let made = self.case.scheme.signature_of(subject, key).ok().flatten();
        Ok(made.is_some_and(|made| self.is_claimed(&made)))
    }

    fn signs_pieces(
        &mut self,
        pieces: &[Cow<'_, [u8]>],
        key: &VerifyingKey,
    ) -> Result<bool, UsedUp> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.spend(bytes + ATTEMPT_BYTES)?;
        let made = self.case.scheme.signature_over(&self.case.subject, pieces, key);
        let made = made.ok().flatten();
        Ok(made.is_some_and(|made| self.is_claimed(&made)))
    }

    fn is_claimed(&self, made: &[u8]) -> bool {
        self.case.claims.signatures().fold(false, |found, one| equal_bytes(one, made) | found)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), UsedUp> {
        self.left = self.left.checked_sub(bytes).ok_or(UsedUp)?;
        Ok(())
    }
}
