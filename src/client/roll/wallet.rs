//! The keys that a client holds for one chain: what seals its next message, and what opens answers.
//!
//! It knows no network. A set is given up for a newer one only, so a lost answer costs nothing.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::random;
use crate::roll::next::{Held, NoKeySet};
use crate::roll::sealing::{NoRandom, P, aad_next, aad_request, aad_response};
use crate::roll::{KeySet, Label};
use crate::secret::Plaintext;

/// What one worker of a partner holds: its anchor, and the newest set of its chain.
#[derive(Clone)]
pub struct Wallet {
    version: u32,
    anchor: KeySet,
    newest: Option<Held>,
    /// Messages that were sealed by the newest set.
    uses: u32,
}

/// A sealed message, and what its answer is opened with. Kept until that is here, whatever the
/// wallet holds by then.
pub struct Sealed {
    label: Label,
    keys: KeySet,
    p: P,
    bytes: Vec<u8>,
}

/// The answer does not prove that it is the gate's, and says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not sealed, or does not open")]
pub struct Unproved;

#[derive(Deserialize)]
struct Kept {
    set: Held,
    uses: u32,
}

#[derive(Deserialize)]
struct Sets {
    sets: Vec<Held>,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    sealed: &'a str,
}

impl Wallet {
    /// A wallet with a version of the anchor and nothing else: it needs a session.
    pub fn new(version: u32, anchor: KeySet) -> Self {
        Self { version, anchor, newest: None, uses: 0 }
    }

    /// Whether there is no set that is good at `now` and may seal another message.
    pub fn needs_session(&self, now: Timestamp) -> bool {
        let good = |held: &&Held| now <= held.expiry && self.uses < held.uses_max;
        self.newest.as_ref().filter(good).is_none()
    }

    /// The newest set.
    pub fn newest(&self) -> Option<&Held> {
        self.newest.as_ref()
    }

    /// The newest set and its uses as JSON, to be kept where only their owner can read them.
    pub fn to_state(&self) -> Option<Zeroizing<Vec<u8>>> {
        let set = self.newest.as_ref()?.to_json();
        let mut state = Zeroizing::new(Vec::with_capacity(set.len() + 64));
        state.extend_from_slice(b"{\"set\":");
        state.extend_from_slice(&set);
        state.extend_from_slice(format!(",\"uses\":{}}}\n", self.uses).as_bytes());
        Some(state)
    }

    /// Takes up what was kept.
    ///
    /// # Errors
    /// When it is nothing that a wallet wrote.
    pub fn resume(&mut self, state: &[u8]) -> Result<(), NoKeySet> {
        let Kept { set, uses } = serde_json::from_slice(state).map_err(|_| NoKeySet)?;
        (self.newest, self.uses) = (Some(set), uses);
        Ok(())
    }

    /// Seals a message under the newest set; an empty one for a request without a body. Nothing
    /// where a session is needed.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn seal(
        &mut self,
        at: Timestamp,
        method: &str,
        target: &str,
        text: &[u8],
    ) -> Result<Option<Sealed>, NoRandom> {
        let Some(held) = &self.newest else { return Ok(None) };
        self.uses = self.uses.saturating_add(1);
        let keys = (Label::Rolled(held.kid), held.keys.clone());
        Sealed::by(keys, at, method, target, text).map(Some)
    }

    /// Seals a session call under the anchor: one chain, in the place of the one that is held.
    ///
    /// # Errors
    /// As above.
    pub fn seal_call(&self, at: Timestamp, target: &str) -> Result<Sealed, NoRandom> {
        let replaces = self.newest.iter().map(|held| format!("\"{}\"", held.kid));
        let replaces = replaces.collect::<Vec<_>>().join(",");
        let text = format!("{{\"lanes\":1,\"replaces\":[{replaces}]}}");
        let keys = (Label::Anchor(self.version), self.anchor.clone());
        Sealed::by(keys, at, "POST", target, text.as_bytes())
    }

    /// Opens an answer and takes up the set that it brings, if that is a newer one.
    ///
    /// # Errors
    /// When it is not sealed for this very message under this status.
    pub fn open(
        &mut self,
        sealed: &Sealed,
        status: u16,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Plaintext, Unproved> {
        let text = sealed.open(status, headers, body)?;
        let next = decoded(headers, "x-seal-next")?;
        let aad = aad_next(sealed.label, &sealed.p);
        let next = sealed.keys.to_client().open(&aad, &next).map_err(|_| Unproved)?;
        self.adopt(Held::from_json(&next).map_err(|_| Unproved)?);
        Ok(text)
    }

    /// Opens the answer to a session call and begins its chain.
    ///
    /// # Errors
    /// As above, and when it holds no set.
    pub fn begin(
        &mut self,
        sealed: &Sealed,
        status: u16,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(), Unproved> {
        let text = sealed.open(status, headers, body)?;
        let Sets { sets } = serde_json::from_slice(&text).map_err(|_| Unproved)?;
        let first = sets.into_iter().next().ok_or(Unproved)?;
        (self.newest, self.uses) = (Some(first), 0);
        Ok(())
    }

    /// Takes up a set of the same chain that is newer than the one that is held.
    fn adopt(&mut self, next: Held) {
        let newer = self.newest.as_ref().is_some_and(|held| {
            let place = |held: &Held| (held.kid.generation, held.kid.issued);
            held.kid.chain == next.kid.chain && place(&next) > place(held)
        });
        if newer {
            (self.newest, self.uses) = (Some(next), 0);
        }
    }
}

impl Sealed {
    /// Seals a text by these keys, for a request with this time, method and target.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn by(
        (label, keys): (Label, KeySet),
        at: Timestamp,
        method: &str,
        target: &str,
        text: &[u8],
    ) -> Result<Self, NoRandom> {
        let p = random()?;
        let aad = aad_request(at, method, target, label);
        let bytes = keys.to_gate().seal_with(&aad, text, &p);
        Ok(Self { label, keys, p, bytes })
    }

    /// What `X-SEAL-KID` says.
    pub fn label(&self) -> Label {
        self.label
    }

    /// The sealed bytes: the body as `application/vnd.countersign.sealed`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same as `X-SEAL-PROOF` of a request without a body, or inside `{"sealed": …}`.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&self.bytes)
    }

    /// Opens the answer's body, or what proves that it has none.
    fn open(&self, status: u16, headers: &HeaderMap, body: &Bytes) -> Result<Plaintext, Unproved> {
        let echoed = headers.get("x-seal-kid").and_then(|kid| kid.to_str().ok());
        if echoed != Some(&self.label.to_string()) {
            return Err(Unproved);
        }
        let wrapped: Option<Wrapped<'_>> = serde_json::from_slice(body).ok();
        let sealed = match (body.is_empty(), wrapped) {
            (true, _) => decoded(headers, "x-seal-proof")?,
            (false, Some(wrapped)) => decode(wrapped.sealed.as_bytes())?,
            (false, None) => body.to_vec(),
        };
        let aad = aad_response(status, self.label, &self.p);
        let text = self.keys.to_client().open(&aad, &sealed).map_err(|_| Unproved)?;
        // A proof says that there is no body, and brings none.
        if body.is_empty() && !text.is_empty() { Err(Unproved) } else { Ok(text) }
    }
}

fn decoded(headers: &HeaderMap, name: &str) -> Result<Vec<u8>, Unproved> {
    decode(headers.get(name).ok_or(Unproved)?.as_bytes())
}

fn decode(text: &[u8]) -> Result<Vec<u8>, Unproved> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Unproved)
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.newest.as_ref().map(|held| held.kid);
        f.debug_struct("Wallet").field("newest", &newest).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealed").field(&self.label).finish()
    }
}
