//! Opening: shape, exact lengths, checks, and only then the key and the cipher.

use std::borrow::Cow;

use http::HeaderValue;
use zeroize::Zeroizing;

use super::cipher::{Feed, Mode};
use super::inside::Unpacked;
use super::jwe::{JweKey, Management, Token};
use super::{CannotOpen, Choice, Envelope, Method, Opened, Part, Prepared, check, coding};
use crate::recipe::json::{Json, Style};
use crate::recipe::path::Path;
use crate::recipe::{Evaluation, Fault, Subject, Value};
use crate::secret::Plaintext;

/// What a message holds of a sealed text, decoded and not yet trusted.
struct Pieces<'e> {
    iv: Cow<'e, [u8]>,
    aad: Cow<'e, [u8]>,
    data: Plaintext,
}

impl Envelope {
    /// Opens a message. The subject's own secret and values are not looked at: the prepared ones
    /// count.
    ///
    /// # Errors
    /// When it cannot be opened, whatever the reason.
    pub fn open(&self, prepared: &Prepared, subject: &Subject<'_>) -> Result<Opened, CannotOpen> {
        let subject = Subject {
            secret: prepared.secret.as_ref().map(|secret| secret.as_slice()),
            values: &prepared.values,
            ..*subject
        };
        if !self.each.is_empty() {
            return self.open_each(prepared, subject);
        }
        let look = self.names.look(subject, &prepared.settled, []);
        let opened = self.open_one(prepared, &look)?;
        let unpacked = self.unpack(prepared, subject, opened)?;
        if !self.after.is_empty() {
            let given = [("plain", Value::from(&*unpacked.text))];
            let look = self.names.look(subject, &prepared.settled, given);
            check::all_hold(&self.after, &look, prepared)?;
        }
        let content_type = if unpacked.made_json {
            HeaderValue::from_static("application/json")
        } else {
            self.content_type.clone()
        };
        Ok(Opened { text: unpacked.text, content_type })
    }

    /// Whether nothing sealed is there at all: the place of the ciphertext is empty.
    pub fn is_absent(&self, prepared: &Prepared, subject: &Subject<'_>) -> bool {
        let subject = Subject { values: &prepared.values, ..*subject };
        let look = self.names.look(subject, &prepared.settled, []);
        let absent = |part: &Part| match part {
            Part::Settled(_) => false,
            Part::Message(template) => matches!(look.value(template), Err(Fault::Absent(_))),
        };
        self.each.is_empty() && absent(&self.data)
    }

    fn unpack(
        &self,
        prepared: &Prepared,
        subject: Subject<'_>,
        opened: Plaintext,
    ) -> Result<Unpacked, CannotOpen> {
        if !self.inside.reads_message() {
            return self.inside.unpack(opened);
        }
        let given = [("opened", Value::from(&*opened))];
        self.inside.unpack_with(&opened, &self.names.look(subject, &prepared.settled, given))
    }

    fn open_one(
        &self,
        prepared: &Prepared,
        look: &Evaluation<'_>,
    ) -> Result<Plaintext, CannotOpen> {
        match &self.method {
            Method::Jwe(jwe) => {
                let text = self.text(&self.data, look)?;
                let token = Token::read(&text)?;
                check::all_hold(&self.before, look, prepared)?;
                let key_id = jwe.key_id(&token)?;
                let part = self.key_for(key_id.as_deref())?;
                let at = if let Part::Settled(at) = part { Some(*at) } else { None };
                match jwe.management {
                    Management::Direct => {
                        let key = Zeroizing::new(self.bytes(part, look, prepared)?.into_owned());
                        jwe.open(&token, &JweKey::Shared(&key))
                    }
                    Management::Wrapped(_) => {
                        let key = at.and_then(|at| prepared.private(at)).ok_or(CannotOpen)?;
                        jwe.open(&token, &JweKey::Private(key))
                    }
                }
            }
            Method::Records => {
                let body = self.bytes(&self.data, look, prepared)?;
                check::all_hold(&self.before, look, prepared)?;
                let key = self.bytes(self.key_for(None)?, look, prepared)?;
                let key = Zeroizing::new(key.into_owned());
                coding::open(&key, &body).map(Plaintext::from)
            }
            Method::Block(choice) => self.open_block(*choice, prepared, look),
            Method::Chosen { by, choices } => {
                let word = look.text(by)?;
                let choice = choices.iter().find(|(own, _)| *own == *word).ok_or(CannotOpen)?.1;
                self.open_block(choice, prepared, look)
            }
        }
    }

    fn open_block(
        &self,
        choice: Choice,
        prepared: &Prepared,
        look: &Evaluation<'_>,
    ) -> Result<Plaintext, CannotOpen> {
        let Pieces { iv, aad, mut data } = self.pieces(choice, prepared, look)?;
        check::all_hold(&self.before, look, prepared)?;
        let key = self.content_key(prepared, look)?;
        let feed = Feed { key: &key, iv: &iv, aad: &aad, padding: choice.padding };
        choice.cipher.open(&feed, data.buffer())?;
        Ok(data)
    }

    /// Takes a message apart: every encoding strictly, every length exactly.
    fn pieces<'e>(
        &'e self,
        choice: Choice,
        prepared: &'e Prepared,
        look: &'e Evaluation<'_>,
    ) -> Result<Pieces<'e>, CannotOpen> {
        let optional = |part: &'e Option<Part>| match part {
            Some(part) => self.bytes(part, look, prepared),
            None => Ok(Cow::Borrowed(&[][..])),
        };
        let (iv, aad, tag) = (optional(&self.iv)?, optional(&self.aad)?, optional(&self.tag)?);
        let mut data = Plaintext::from(self.bytes(&self.data, look, prepared)?.into_owned());
        let block = usize::from(choice.cipher.block_bytes());
        let whole = choice.cipher.mode() == Mode::Gcm
            || (!data.is_empty() && data.len().is_multiple_of(block));
        if !whole || !choice.cipher.iv_bytes().contains(&iv.len()) {
            return Err(CannotOpen);
        }
        if self.tag.is_some() {
            if tag.len() != super::cipher::TAG_BYTES {
                return Err(CannotOpen);
            }
            data.buffer().extend_from_slice(&tag);
        }
        Ok(Pieces { iv, aad, data })
    }

    /// The key of the content.
    pub(super) fn content_key(
        &self,
        prepared: &Prepared,
        look: &Evaluation<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let length = self.method.key_bytes().ok_or(CannotOpen)?;
        let mut key = match (&self.unwrap, &self.key) {
            (Some(unwrap), key) => {
                let Part::Settled(at) = unwrap.key else { return Err(CannotOpen) };
                let private = prepared.private(at).ok_or(CannotOpen)?;
                let wrapped = look.bytes(&unwrap.wrapped)?;
                let Some(Part::Message(template)) = key else {
                    return private.unwrap(&wrapped, length);
                };
                let inner = private.decrypt(&wrapped)?;
                let given = [("unwrapped", Value::from(inner.as_slice()))];
                let look = self.names.look(*look.subject(), &prepared.settled, given);
                look.secret_bytes(template)?
            }
            (None, Some(key)) => Zeroizing::new(self.bytes(key, look, prepared)?.into_owned()),
            (None, None) => return Err(CannotOpen),
        };
        if self.fit_key {
            key.resize(length, 0);
        }
        Ok(key)
    }

    /// The key for the id that a token names: without a list of ids, the only one.
    fn key_for(&self, id: Option<&str>) -> Result<&Part, CannotOpen> {
        let listed = self.keys.iter().find(|(own, _)| Some(own.as_str()) == id);
        let only = self.key.as_ref().filter(|_| self.keys.is_empty());
        listed.map(|(_, key)| key).or(only).ok_or(CannotOpen)
    }

    pub(super) fn bytes<'e>(
        &self,
        part: &'e Part,
        look: &'e Evaluation<'_>,
        prepared: &'e Prepared,
    ) -> Result<Cow<'e, [u8]>, CannotOpen> {
        match part {
            Part::Settled(at) => prepared.settled.bytes(*at),
            Part::Message(template) => Ok(look.bytes(template)?),
        }
    }

    fn text<'e>(
        &self,
        part: &'e Part,
        look: &'e Evaluation<'_>,
    ) -> Result<Cow<'e, str>, CannotOpen> {
        match part {
            Part::Settled(_) => Err(CannotOpen),
            Part::Message(template) => Ok(look.text(template)?),
        }
    }

    /// Opens members of a JSON body, each by itself; the rest stays.
    fn open_each(&self, prepared: &Prepared, subject: Subject<'_>) -> Result<Opened, CannotOpen> {
        let body = Plaintext::from(subject.body.concat());
        let mut document = Json::parse(&body)?;
        for path in &self.each {
            let text = document.get(path).ok_or(CannotOpen)?.text()?.into_owned();
            let given = [("item", Value::from(text.as_str()))];
            let look = self.names.look(subject, &prepared.settled, given);
            let opened = self.open_one(prepared, &look)?;
            let unpacked = self.unpack(prepared, subject, opened)?;
            let plain = std::str::from_utf8(&unpacked.text).map_err(|_| CannotOpen)?;
            replace(&mut document, path, plain)?;
        }
        let text = Plaintext::from(document.write(Style::COMPACT).into_bytes());
        document.wipe();
        Ok(Opened { text, content_type: self.content_type.clone() })
    }
}

/// Puts a text in the place of a member.
pub(super) fn replace(document: &mut Json<'_>, path: &Path, text: &str) -> Result<(), CannotOpen> {
    let mut at = document;
    for step in path.steps() {
        at = match at {
            Json::Object(members) => {
                let found = members.iter_mut().find(|(name, _)| *name == *step.name);
                &mut found.ok_or(CannotOpen)?.1
            }
            Json::Array(items) => {
                step.index.and_then(|index| items.get_mut(index)).ok_or(CannotOpen)?
            }
            _ => return Err(CannotOpen),
        };
    }
    at.wipe();
    *at = Json::String(Cow::Owned(text.to_owned()));
    Ok(())
}
