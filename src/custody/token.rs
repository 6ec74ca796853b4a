//! Master keys in a token that never gives them away, by PKCS#11 (OASIS, 2.40 and later).
//!
//! The token is asked when keys are loaded or changed, and at no other time: it may be far away.

mod module;

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::blob::{self, NONCE_BYTES, TAG_BYTES};
use super::{CustodyFault, KeyBytes, MasterId, TokenSpec, in_use, key_file};
use crate::crypto;

/// What the names of keys in a token begin with; their labels follow.
const PREFIX: &str = "hsm_";
const KEY_BYTES: u64 = 32;
const TAG_BITS: u64 = 128;

/// The keys of a token that are configured, and those that rotation made of the first.
pub(super) struct Token {
    spec: TokenSpec,
    /// The current one first; never empty.
    ids: Vec<MasterId>,
}

impl Token {
    /// Logs in and finds the keys.
    pub(super) fn open(spec: &TokenSpec) -> Result<Self, CustodyFault> {
        let first = first(spec)?;
        let found = module::ask(spec, |_, session| labels(session))?;
        let found = found.map_err(|e| module::refused(spec, &e))?;
        let ranked = ranked(&spec.keys, &found);
        if ranked.first().is_none_or(|label| generation(first, label).is_none()) {
            return Err(CustodyFault::Absent(format!("{}, key {first}", spec.described())));
        }
        for label in &ranked {
            let looked_at = module::ask(spec, |_, session| weakness(session, label))?;
            if let Some(weakness) = looked_at.map_err(|e| module::refused(spec, &e))? {
                return Err(module::fault(spec, format_args!("key {label}: {weakness}")));
            }
        }
        let ids = ranked.into_iter().map(|label| MasterId(format!("{PREFIX}{label}"))).collect();
        Ok(Self { spec: spec.clone(), ids })
    }

    /// Makes a key of the first label.
    pub(super) fn create(spec: &TokenSpec) -> Result<Self, CustodyFault> {
        let _lock = key_file::lock(&spec.pin_file)?;
        match Self::open(spec) {
            Err(CustodyFault::Absent(_)) => generate(spec, first(spec)?)?,
            Err(fault) => return Err(fault),
            Ok(_) => return Err(module::fault(spec, "the key exists; it is never made anew")),
        }
        Self::open(spec)
    }

    /// Every key at hand, the current one first.
    pub(super) fn ids(&self) -> &[MasterId] {
        &self.ids
    }

    pub(super) fn wrap(
        &self,
        id: &MasterId,
        key: &KeyBytes,
        place: &[u8],
    ) -> Result<Vec<u8>, CustodyFault> {
        let bound = blob::bound_to(id.mark(), place)?;
        let random: [u8; NONCE_BYTES] = crypto::random()?;
        let (nonce, sealed) = self
            .ask(id, |session, handle| {
                let mut nonce = random;
                let parameters = GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?;
                let sealed = session.encrypt(&Mechanism::AesGcm(parameters), handle, &**key)?;
                // Some tokens insist on a nonce of their own, and have put it here.
                Ok((nonce, sealed))
            })?
            .map_err(|e| module::refused(&self.spec, &e))?;
        if sealed.len() != key.len() + TAG_BYTES {
            return Err(module::fault(&self.spec, "its AES-GCM makes no tag of 16 bytes"));
        }
        Ok(blob::joined(id.mark(), &nonce, &sealed))
    }

    pub(super) fn unwrap(
        &self,
        id: &MasterId,
        blob: &[u8],
        place: &[u8],
    ) -> Result<KeyBytes, CustodyFault> {
        let parts = blob::parts(blob).ok_or(CustodyFault::DoesNotOpen)?;
        let bound = blob::bound_to(id.mark(), place)?;
        let clear = self.ask(id, |session, handle| {
            let mut nonce = parts.nonce;
            let parameters = GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?;
            let clear = session.decrypt(&Mechanism::AesGcm(parameters), handle, parts.sealed)?;
            Ok(Zeroizing::new(clear))
        })?;
        // Tokens say all kinds of things of a tag that is wrong.
        let clear = clear.map_err(|_| CustodyFault::DoesNotOpen)?;
        let key = clear.as_array().ok_or(CustodyFault::DoesNotOpen)?;
        Ok(Zeroizing::new(*key))
    }

    /// Makes the next key of the first label: `LABEL-2`, `LABEL-3` and so on.
    pub(super) fn rotate(&self) -> Result<Self, CustodyFault> {
        let _lock = key_file::lock(&self.spec.pin_file)?;
        let first = first(&self.spec)?;
        let found = Self::open(&self.spec)?;
        let newest = found.labels().next().and_then(|label| generation(first, label));
        let next = newest.unwrap_or_default().saturating_add(1);
        generate(&self.spec, &format!("{first}-{next}"))?;
        Self::open(&self.spec)
    }

    /// Destroys an earlier key in the token.
    pub(super) fn remove(&self, id: &str) -> Result<Self, CustodyFault> {
        let _lock = key_file::lock(&self.spec.pin_file)?;
        let found = Self::open(&self.spec)?;
        let at = found.ids.iter().position(|own| own.0 == id);
        if at == Some(0) {
            return Err(in_use(id));
        }
        let missing = || CustodyFault::Missing(id.to_owned());
        let id = at.and_then(|at| found.ids.get(at)).ok_or_else(missing)?;
        let label = label_of(id);
        let destroyed = module::ask(&self.spec, |context, session| {
            let writing = context.open_rw_session(session.get_session_info()?.slot_id())?;
            keys(&writing, Some(label))?.into_iter().try_for_each(|key| writing.destroy_object(key))
        })?;
        destroyed.map_err(|e| module::refused(&self.spec, &e))?;
        Self::open(&self.spec)
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(label_of)
    }

    /// Asks the token for something with a key; what it says itself stands inside.
    fn ask<T>(
        &self,
        id: &MasterId,
        ask: impl Fn(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<Result<T, Error>, CustodyFault> {
        let once = || {
            module::ask(&self.spec, |_, session| {
                match keys(session, Some(label_of(id)))?.as_slice() {
                    [handle] => ask(session, *handle).map(Some),
                    _ => Ok(None),
                }
            })
        };
        let answer = match once()? {
            // It was there before: rather the token went, and there is more to say of that.
            Ok(None) => {
                module::leave(&self.spec);
                once()?
            }
            answer => answer,
        };
        match answer.transpose() {
            Some(answer) => Ok(answer),
            None => Err(CustodyFault::Missing(id.0.clone())),
        }
    }
}

fn first(spec: &TokenSpec) -> Result<&str, CustodyFault> {
    let first = spec.keys.first().map(String::as_str);
    first.ok_or_else(|| module::fault(spec, "no label of a key is configured"))
}

fn label_of(id: &MasterId) -> &str {
    id.0.strip_prefix(PREFIX).unwrap_or(&id.0)
}

/// The AES keys in the token, those of a label or all.
fn keys(session: &Session, label: Option<&str>) -> Result<Vec<ObjectHandle>, Error> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
    ];
    template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
    session.find_objects(&template)
}

fn labels(session: &Session) -> Result<Vec<String>, Error> {
    let mut labels = Vec::new();
    for key in keys(session, None)? {
        for attribute in session.get_attributes(key, &[AttributeType::Label])? {
            if let Attribute::Label(label) = attribute {
                labels.extend(String::from_utf8(label));
            }
        }
    }
    Ok(labels)
}

/// What is wrong with a key as a master key.
fn weakness(session: &Session, label: &str) -> Result<Option<&'static str>, Error> {
    let keys = keys(session, Some(label))?;
    let [key] = keys.as_slice() else {
        return Ok(Some("there are several of this label; rename those that are not meant"));
    };
    let wanted = [AttributeType::Extractable, AttributeType::Sensitive, AttributeType::ValueLen];
    let attributes = session.get_attributes(*key, &wanted)?;
    let weakness = attributes.iter().find_map(|attribute| match attribute {
        Attribute::Extractable(true) | Attribute::Sensitive(false) => {
            Some("it can be read out of the token; a master key is sensitive and not extractable")
        }
        Attribute::ValueLen(bytes) if **bytes != KEY_BYTES => Some("it has not 256 bits"),
        _ => None,
    });
    Ok(weakness)
}

/// Makes a key that never leaves the token.
fn generate(spec: &TokenSpec, label: &str) -> Result<(), CustodyFault> {
    let id: [u8; 16] = crypto::random()?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let alone = module::ask(spec, |context, session| {
        let writing = context.open_rw_session(session.get_session_info()?.slot_id())?;
        let key = writing.generate_key(&Mechanism::AesKeyGen, &template)?;
        // The lock holds on this machine only; another may share the token.
        let alone = keys(&writing, Some(label))?.len() == 1;
        if !alone {
            writing.destroy_object(key)?;
        }
        Ok(alone)
    })?;
    match alone.map_err(|e| module::refused(spec, &e))? {
        true => Ok(()),
        false => Err(module::fault(spec, format_args!("{label} was made meanwhile; try again"))),
    }
}

/// The keys that count, of all that are in the token: by the order of the configured labels, of
/// each the one that was rotated last first.
fn ranked(configured: &[String], found: &[String]) -> Vec<String> {
    let mut ranked: Vec<String> = Vec::new();
    for first in configured {
        let mut family: Vec<(u32, &String)> = found
            .iter()
            .filter(|label| !ranked.contains(label))
            .filter_map(|label| Some((generation(first, label)?, label)))
            .collect();
        family.sort_unstable();
        family.dedup();
        ranked.extend(family.into_iter().rev().map(|(_, label)| label.clone()));
    }
    ranked
}

/// Which key of a label it is: the label itself is the first, `LABEL-2` the second.
fn generation(first: &str, label: &str) -> Option<u32> {
    match label.strip_prefix(first)? {
        "" => Some(1),
        rest => {
            let digits = rest.strip_prefix('-')?;
            let number: u32 = digits.parse().ok()?;
            // As rotation writes it, and in no other way.
            (number >= 2 && number.to_string() == digits).then_some(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_rotated_last_comes_first() {
        let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        let found: Vec<String> =
            owned(&["b", "a", "a-10", "a-9", "a-01", "a-1", "a-x", "ab", "c", "b-2", "a-9"]);
        let ranked = |labels: &[&str]| ranked(&owned(labels), &found).join(" ");
        assert_eq!(ranked(&["a"]), "a-10 a-9 a");
        assert_eq!(ranked(&["b", "a"]), "b-2 b a-10 a-9 a");
        assert_eq!(ranked(&["a-9", "a"]), "a-9 a-10 a");
        assert_eq!(ranked(&["d"]), "");
    }
}
