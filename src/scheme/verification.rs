//! The MACs of a message, step by step, and whether one of them is the signature.
//!
//! Every key that is given is tried to the end, whichever of them matches.

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use smallvec::SmallVec;

use crate::crypto::{Bytes32, DigestInProgress, MacInProgress, equal, hex};

use super::{Claims, Recipe, Scheme, VerifyingKey};

/// Bytes of body that one step takes in, all keys together, before others get their turn.
const STEP_BYTES: usize = 64 * 1024;

/// A request as it was received, byte for byte.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// What it says of itself.
    pub claims: &'a Claims,
    /// The method.
    pub method: &'a Method,
    /// Host or `:authority` as sent.
    pub authority: &'a str,
    /// Path and query exactly as sent.
    pub target: &'a str,
    /// The header fields as sent.
    pub headers: &'a HeaderMap,
    /// The body in the pieces in which it came.
    pub body: &'a [Bytes],
}

/// What came of trying the keys.
#[derive(Debug)]
pub struct Verdict {
    /// Which of the keys signed the message.
    pub matched: Option<usize>,
    /// The MAC that the message has under that key.
    pub mac: Bytes32,
}

/// A verification in progress.
pub struct Verification<'a> {
    recipe: Recipe,
    message: Message<'a>,
    macs: SmallVec<[MacInProgress; 1]>,
    digest: DigestInProgress,
    pieces: std::slice::Iter<'a, Bytes>,
}

impl Scheme {
    /// Begins to verify a message against keys, of which at most one is expected to match.
    pub fn verify<'a>(&self, keys: &[&VerifyingKey], message: Message<'a>) -> Verification<'a> {
        Verification {
            recipe: self.recipe,
            message,
            macs: keys.iter().map(|key| key.0.begin()).collect(),
            digest: DigestInProgress::default(),
            pieces: message.body.iter(),
        }
    }
}

impl Verification<'_> {
    /// Takes in some of the body and says whether more is left.
    pub fn step(&mut self) -> bool {
        let mut bytes = 0;
        for piece in self.pieces.by_ref() {
            bytes += match self.recipe {
                Recipe::KwikPaisa => {
                    self.macs.iter_mut().for_each(|mac| mac.update(piece));
                    piece.len() * self.macs.len()
                }
                Recipe::CountersignV1 => {
                    self.digest.update(piece);
                    piece.len()
                }
            };
            if bytes >= STEP_BYTES {
                break;
            }
        }
        !self.pieces.as_slice().is_empty()
    }

    /// Ends the message and compares, in constant time over all keys.
    pub fn finish(self) -> Verdict {
        let signature = self.message.claims.signature;
        let mut verdict = Verdict { matched: None, mac: [0; 32] };
        for (index, mac) in self.macs().into_iter().enumerate() {
            if equal(&mac, &signature) {
                verdict = Verdict { matched: Some(index), mac };
            }
        }
        verdict
    }

    /// Ends the message: its MAC under each key.
    pub(super) fn macs(mut self) -> SmallVec<[Bytes32; 1]> {
        while self.step() {}
        let timestamp = self.message.claims.timestamp_text.as_bytes();
        match self.recipe {
            Recipe::KwikPaisa => self.macs.iter_mut().for_each(|mac| mac.update(timestamp)),
            Recipe::CountersignV1 => {
                let text = nine_lines(&self.message, &hex(&self.digest.finish()));
                self.macs.iter_mut().for_each(|mac| mac.update(&text));
            }
        }
        self.macs.into_iter().map(MacInProgress::finish).collect()
    }
}

/// The text that `countersign-v1` signs. No line can hold a line break: header values and targets
/// cannot, and the rest is of our own making.
fn nine_lines(message: &Message<'_>, body_digest: &[u8; 64]) -> Vec<u8> {
    let claims = message.claims;
    let content_type = message.headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let lines: [&[u8]; 8] = [
        claims.key_id.as_bytes(),
        claims.timestamp_text.as_bytes(),
        claims.nonce().unwrap_or_default(),
        message.method.as_str().as_bytes(),
        &message.authority.as_bytes().to_ascii_lowercase(),
        message.target.as_bytes(),
        content_type,
        body_digest,
    ];
    let mut text = Vec::with_capacity(256 + message.target.len() + content_type.len());
    text.extend_from_slice(b"countersign-v1");
    for line in lines {
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    text
}
