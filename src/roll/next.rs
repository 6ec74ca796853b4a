//! A key set as it is handed over: compact JSON, byte for byte the same from every gate.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::clock::Timestamp;

use super::keys::{KEY_SET_BYTES, KeySet, Side};
use super::kid::Kid;

/// What `alg` says.
pub const ALGORITHM: &str = "A256CBC-HS512";
/// Room for one key set as JSON, in bytes, so that it is never moved unwiped.
const JSON_BYTES: usize = 512;

/// Writes a key set, with the last second in which it is good and how many messages it may seal.
pub fn write(to: &mut Zeroizing<Vec<u8>>, kid: Kid, keys: &KeySet, expiry: Timestamp, uses: u32) {
    // Writing into memory does not fail.
    let _ = write!(&mut **to, r#"{{"v":1,"kid":"{kid}","alg":"{ALGORITHM}","c2s":"#);
    side(to, keys.to_gate());
    to.extend_from_slice(br#","s2c":"#);
    side(to, keys.to_client());
    let _ = write!(&mut **to, r#","exp":{expiry},"max":{uses}}}"#);
}

/// The same on its own.
pub fn to_json(kid: Kid, keys: &KeySet, expiry: Timestamp, uses: u32) -> Zeroizing<Vec<u8>> {
    let mut json = Zeroizing::new(Vec::with_capacity(JSON_BYTES));
    write(&mut json, kid, keys, expiry, uses);
    json
}

fn side(to: &mut Zeroizing<Vec<u8>>, side: Side<'_>) {
    let mut text = Zeroizing::new([0; 96]);
    for (name, bytes) in [(r#"{"key":""#, &side.key[..]), (r#"","iv":""#, &side.mask[..])] {
        to.extend_from_slice(name.as_bytes());
        let written = BASE64_URL_SAFE_NO_PAD.encode_slice(bytes, &mut *text);
        to.extend_from_slice(written.ok().and_then(|end| text.get(..end)).unwrap_or_default());
    }
    to.extend_from_slice(br#""}"#);
}

/// A key set as a client holds it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its name.
    pub kid: Kid,
    /// Its keys.
    pub keys: KeySet,
    /// The last second in which it is good.
    pub expiry: Timestamp,
    /// How many messages it may seal.
    pub uses_max: u32,
}

/// JSON that is no key set of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no key set of roll.v1")]
pub struct NoKeySet;

/// Borrowed from the text, so that no key is copied; base64url has no escapes.
#[derive(Deserialize)]
struct Shown<'a> {
    v: u8,
    kid: &'a str,
    alg: &'a str,
    #[serde(borrow)]
    c2s: ShownSide<'a>,
    #[serde(borrow)]
    s2c: ShownSide<'a>,
    exp: u64,
    max: u32,
}

#[derive(Deserialize)]
struct ShownSide<'a> {
    key: &'a str,
    iv: &'a str,
}

impl Held {
    /// Reads a key set. Members that are not known are left alone: later gates may add some.
    ///
    /// # Errors
    /// When it is none of this version.
    pub fn from_json(json: &[u8]) -> Result<Self, NoKeySet> {
        serde_json::from_slice(json).map_err(|_| NoKeySet)
    }

    fn read(shown: &Shown<'_>) -> Result<Self, NoKeySet> {
        if shown.v != 1 || shown.alg != ALGORITHM {
            return Err(NoKeySet);
        }
        let mut bytes = Zeroizing::new([0; KEY_SET_BYTES]);
        let mut room = bytes.as_mut_slice();
        for (text, length) in
            [(shown.c2s.key, 64), (shown.s2c.key, 64), (shown.c2s.iv, 16), (shown.s2c.iv, 16)]
        {
            let part = BASE64_URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
            let part = part.ok().filter(|part| part.len() == length).ok_or(NoKeySet)?;
            let (own, rest) = room.split_at_mut_checked(length).ok_or(NoKeySet)?;
            own.copy_from_slice(&part);
            room = rest;
        }
        Ok(Self {
            kid: shown.kid.parse().map_err(|_| NoKeySet)?,
            keys: KeySet::from_bytes(&bytes),
            expiry: Timestamp::from_secs(shown.exp),
            uses_max: shown.max,
        })
    }

    /// The key set as JSON, for whoever keeps it.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        to_json(self.kid, &self.keys, self.expiry, self.uses_max)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(&Shown::deserialize(from)?).map_err(D::Error::custom)
    }
}
