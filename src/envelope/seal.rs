//! Sealing one text: the order of the steps.

use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use bytes::Bytes;

use super::cipher::{Feed, Mode, TAG_BYTES};
use super::jwe::Management;
use super::sealing::{Message, Sealing, is_fixed};
use super::{CannotOpen, Envelope, Method, Part, Prepared, coding, wrap};
use crate::clock::Clock;
use crate::crypto::random_bytes;
use crate::recipe::json::Json;
use crate::recipe::{Evaluation, Subject, Value};

/// Values that are set instead of drawn: to seal once more what was sealed before.
#[derive(Default)]
pub struct Fixed {
    /// By name: those of `seal.fresh`, and `iv`, `cek`, `wrapped`, `random`, `salt`, `header`.
    pub values: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// Initialisation vectors of the members of `each`, in order.
    pub member_ivs: Vec<Vec<u8>>,
    /// The records of aes128gcm with their delimiters and padding.
    pub records: Vec<Vec<u8>>,
    /// Size of the records of aes128gcm.
    pub record_bytes: Option<u32>,
}

/// The parts as they are written, by name; and as `data` the sealed bytes.
pub type Parts = Vec<(String, Zeroizing<Vec<u8>>)>;

/// Puts parts into a message.
pub type Frame<'f> = &'f dyn Fn(&Parts) -> Result<Message, CannotOpen>;

/// What is known of a message in the making.
#[derive(Default)]
struct Known(Vec<(String, Zeroizing<Vec<u8>>)>);

impl Known {
    fn set(&mut self, name: &str, value: Vec<u8>) {
        self.0.retain(|(own, _)| own != name);
        self.0.push((name.to_owned(), Zeroizing::new(value)));
    }

    fn get(&self, name: &str) -> &[u8] {
        self.0.iter().find(|(own, _)| own == name).map_or(&[], |(_, value)| value.as_slice())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// With the sealed bytes, for a body that is nothing else.
    fn with_data(mut self, data: &[u8]) -> Self {
        if !self.has("data") {
            self.set("data", data.to_vec());
        }
        self
    }

    fn parts(self) -> Parts {
        self.0
    }

    /// As values of the language; what is not known yet is empty.
    fn values<'k>(&'k self, names: &[&'k str]) -> Vec<(&'k str, Value<'k>)> {
        let mut values: Vec<_> = names.iter().map(|name| (*name, Value::from(""))).collect();
        values.extend(self.0.iter().map(|(name, bytes)| {
            let text = std::str::from_utf8(bytes);
            (name.as_str(), text.map_or_else(|_| Value::from(bytes.as_slice()), Value::from))
        }));
        values
    }
}

impl Envelope {
    /// Seals a text and puts it into the recipe's own message, or into `frame`'s.
    ///
    /// # Errors
    /// When the envelope says nothing about sealing, a value is missing, or a length does not fit.
    pub fn seal(
        &self,
        prepared: &Prepared,
        text: &[u8],
        fixed: &Fixed,
        frame: Option<Frame<'_>>,
    ) -> Result<Message, CannotOpen> {
        let sealing = self.sealing.as_ref().ok_or(CannotOpen)?;
        if !self.each.is_empty() {
            return self.seal_each(sealing, prepared, text, fixed, frame);
        }
        let run = Run { envelope: self, sealing, prepared, frame };
        let mut known = run.draw(fixed)?;
        known.set("plain", text.to_vec());
        run.seal_one(&mut known, text, fixed)?;
        run.message(&known, self.tags(&run, &known)?)
    }

    /// The MACs and digests that the message must carry, as the checks read it.
    fn tags(&self, run: &Run<'_>, known: &Known) -> Result<Vec<Vec<u8>>, CannotOpen> {
        let message = run.message(known, Vec::new())?;
        run.read(&message, known, |look| {
            let checks = self.before.iter().chain(&self.after);
            let tags = checks.filter_map(|check| check.tag(look, run.prepared).transpose());
            tags.map(|tag| tag.map(|tag| tag.as_bytes().to_vec())).collect()
        })
    }

    /// Seals members of a JSON text, each by itself; the rest stays.
    fn seal_each(
        &self,
        sealing: &Sealing,
        prepared: &Prepared,
        text: &[u8],
        fixed: &Fixed,
        frame: Option<Frame<'_>>,
    ) -> Result<Message, CannotOpen> {
        let mut document = Json::parse(text)?;
        let mut parts = Parts::new();
        let run = Run { envelope: self, sealing, prepared, frame: None };
        for (at, path) in self.each.iter().enumerate() {
            let member = document.get(path).ok_or(CannotOpen)?.text()?.into_owned();
            let mut known = run.draw(fixed)?;
            if let Some(iv) = fixed.member_ivs.get(at) {
                known.set("iv", iv.clone());
            }
            known.set("plain", member.clone().into_bytes());
            run.seal_one(&mut known, member.as_bytes(), fixed)?;
            let (_, sealed) = run.parts(&known).0.into_iter().next().ok_or(CannotOpen)?;
            let text = std::str::from_utf8(&sealed).map_err(|_| CannotOpen)?;
            super::opening::replace(&mut document, path, text)?;
            let name = path.steps().last().map(|step| step.name.to_string()).unwrap_or_default();
            parts.push((name, sealed));
        }
        match frame {
            Some(frame) => frame(&parts),
            None => Ok(Message {
                body: Zeroizing::new(document.write(crate::recipe::json::Style::COMPACT).into()),
                ..Message::default()
            }),
        }
    }
}

/// A key of the content.
type Key = Zeroizing<Vec<u8>>;

/// One sealing.
struct Run<'r> {
    envelope: &'r Envelope,
    sealing: &'r Sealing,
    prepared: &'r Prepared,
    frame: Option<Frame<'r>>,
}

impl Run<'_> {
    /// Whatever is new in every message.
    fn draw(&self, fixed: &Fixed) -> Result<Known, CannotOpen> {
        let clock = Clock::system();
        let mut known = Known::default();
        for (name, fresh) in &self.sealing.fresh {
            known.set(name, fresh.draw(&clock)?);
        }
        if self.sealing.draws_iv && !known.has("iv") {
            let length = Sealing::iv_bytes(&self.envelope.method);
            known.set("iv", random_bytes(length).map_err(|_| CannotOpen)?);
        }
        let random = self.envelope.inside.random_bytes();
        known.set("random", random_bytes(random).map_err(|_| CannotOpen)?);
        fixed.values.iter().for_each(|(name, value)| known.set(name, value.to_vec()));
        Ok(known)
    }

    /// Looks at a message as opening does.
    fn read<T>(
        &self,
        message: &Message,
        known: &Known,
        read: impl FnOnce(&Evaluation<'_>) -> Result<T, CannotOpen>,
    ) -> Result<T, CannotOpen> {
        let headers: HeaderMap = message.headers.iter().cloned().collect();
        let body = [Bytes::copy_from_slice(&message.body)];
        let target =
            if message.query.is_empty() { "/".to_owned() } else { format!("/?{}", message.query) };
        let subject = self.subject(&target, &headers, &body);
        let given = known.values(&["plain", "opened", "unwrapped", "item"]);
        read(&self.envelope.names.look(subject, &self.prepared.settled, given))
    }

    fn subject<'s>(
        &'s self,
        target: &'s str,
        headers: &'s HeaderMap,
        body: &'s [Bytes],
    ) -> Subject<'s> {
        Subject {
            method: "POST",
            scheme: "https",
            authority: "",
            target,
            headers,
            body,
            status: None,
            public_url: None,
            secret: self.prepared.secret.as_ref().map(|secret| secret.as_slice()),
            values: &self.prepared.values,
        }
    }

    /// Seals what is put up; the ciphertext and the tag are known then.
    fn seal_one(&self, known: &mut Known, text: &[u8], fixed: &Fixed) -> Result<(), CannotOpen> {
        let envelope = self.envelope;
        let (key, wrapped) = self.key(known)?;
        known.set("wrapped", wrapped);
        let first = self.message(known, Vec::new()).unwrap_or_default();
        let inner = self.inner(&first, known, text)?;
        match &envelope.method {
            Method::Jwe(jwe) => {
                let key = key.ok_or(CannotOpen)?;
                let header = self.header(known)?;
                let iv = if known.has("iv") {
                    known.get("iv").to_vec()
                } else {
                    random_bytes(jwe.content.iv_bytes()).map_err(|_| CannotOpen)?
                };
                let token = jwe.seal(&header, &key, known.get("wrapped"), &iv, &inner)?;
                known.set("data", token.into_bytes());
            }
            Method::Records => {
                let key = self.settled_key()?;
                let salt = if known.has("salt") {
                    known.get("salt").to_vec()
                } else {
                    random_bytes(16).map_err(|_| CannotOpen)?
                };
                let head = coding::Head {
                    salt: salt.try_into().map_err(|_| CannotOpen)?,
                    record_bytes: fixed.record_bytes.unwrap_or(self.sealing.record_bytes),
                    key_id: if known.has("keyid") {
                        known.get("keyid")
                    } else {
                        self.sealing.key_id.as_bytes()
                    },
                };
                let sealed = if fixed.records.is_empty() {
                    coding::seal(&key, &head, &inner)?
                } else {
                    coding::seal_records(&key, &head, &fixed.records)?
                };
                known.set("data", sealed);
            }
            Method::Block(choice) => self.block(*choice, known, &first, key, inner)?,
            Method::Chosen { by, choices } => {
                let word = self.read(&first, known, |look| Ok(look.text(by)?.into_owned()))?;
                let choice = choices.iter().find(|(own, _)| *own == word).ok_or(CannotOpen)?.1;
                self.block(choice, known, &first, key, inner)?;
            }
        }
        Ok(())
    }

    fn block(
        &self,
        choice: super::Choice,
        known: &mut Known,
        first: &Message,
        key: Option<Zeroizing<Vec<u8>>>,
        mut inner: Zeroizing<Vec<u8>>,
    ) -> Result<(), CannotOpen> {
        let envelope = self.envelope;
        let (iv, aad, key) = self.read(first, known, |look| {
            let bytes = |part: Option<&Part>| match part {
                Some(part) => envelope.bytes(part, look, self.prepared).map(|b| b.into_owned()),
                None => Ok(Vec::new()),
            };
            let iv = if self.sealing.draws_iv && !is_fixed(envelope.iv.as_ref()) {
                known.get("iv").to_vec()
            } else {
                bytes(envelope.iv.as_ref())?
            };
            let key = match key {
                Some(key) => key,
                None => envelope.content_key(self.prepared, look)?,
            };
            Ok((iv, bytes(envelope.aad.as_ref())?, key))
        })?;
        let feed = Feed { key: &key, iv: &iv, aad: &aad, padding: choice.padding };
        choice.cipher.seal(&feed, &mut inner)?;
        let mut data = std::mem::take(&mut *inner);
        if choice.cipher.mode() == Mode::Gcm && envelope.tag.is_some() {
            let tag = data.split_off(data.len().saturating_sub(TAG_BYTES));
            known.set("tag", tag);
        }
        known.set("iv", iv);
        known.set("data", data);
        Ok(())
    }

    /// The content's key and, where it travels, how it is wrapped.
    fn key(&self, known: &Known) -> Result<(Option<Key>, Vec<u8>), CannotOpen> {
        let envelope = self.envelope;
        let cek = || Some(Zeroizing::new(known.get("cek").to_vec())).filter(|_| known.has("cek"));
        if let Method::Jwe(jwe) = &envelope.method {
            let key = self.settled_key()?;
            let (fresh, wrapped) = match jwe.management {
                Management::Wrapped(_) if known.has("wrapped") => {
                    (cek().ok_or(CannotOpen)?, known.get("wrapped").to_vec())
                }
                _ => jwe.fresh_key(&key, cek())?,
            };
            return Ok((Some(fresh), wrapped));
        }
        let Some(unwrap) = &envelope.unwrap else { return Ok((None, Vec::new())) };
        let Part::Settled(at) = unwrap.key else { return Err(CannotOpen) };
        let length = envelope.method.key_bytes().ok_or(CannotOpen)?;
        let fresh = match cek() {
            Some(cek) => cek,
            None => Zeroizing::new(random_bytes(length).map_err(|_| CannotOpen)?),
        };
        let wrapped = if known.has("wrapped") {
            known.get("wrapped").to_vec()
        } else {
            wrap::wrap(unwrap.way, &self.prepared.settled.bytes(at)?, &fresh)?
        };
        Ok((Some(fresh), wrapped))
    }

    fn settled_key(&self) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let listed = self.envelope.keys.first().map(|(_, key)| key);
        match self.envelope.key.as_ref().or(listed) {
            Some(Part::Settled(at)) => {
                Ok(Zeroizing::new(self.prepared.settled.bytes(*at)?.into_owned()))
            }
            _ => Err(CannotOpen),
        }
    }

    /// The protected header of a token.
    fn header(&self, known: &Known) -> Result<String, CannotOpen> {
        if known.has("header") {
            return String::from_utf8(known.get("header").to_vec()).map_err(|_| CannotOpen);
        }
        match &self.sealing.header {
            Some(template) => {
                self.made(&self.sealing.names, known, |look| Ok(look.text(template)?.into_owned()))
            }
            None => Err(CannotOpen),
        }
    }

    /// The text, put up as it stands inside.
    fn inner(
        &self,
        first: &Message,
        known: &Known,
        text: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        match &self.sealing.inside {
            Some(template) => {
                self.made(&self.sealing.names, known, |look| Ok(look.secret_bytes(template)?))
            }
            None => self.read(first, known, |look| {
                self.envelope.inside.pack(text, look, known.get("random"))
            }),
        }
    }

    /// Evaluates over what is known, without a message.
    fn made<T>(
        &self,
        names: &super::names::Names,
        known: &Known,
        read: impl FnOnce(&Evaluation<'_>) -> Result<T, CannotOpen>,
    ) -> Result<T, CannotOpen> {
        let headers = HeaderMap::new();
        let subject = self.subject("/", &headers, &[]);
        let blank: Vec<&str> = names.given_names().collect();
        read(&names.look(subject, &self.prepared.settled, known.values(&blank)))
    }

    /// The parts as they are written, each after those before it; what cannot be written yet is
    /// empty.
    fn parts(&self, known: &Known) -> Known {
        let mut all = Known(known.0.clone());
        let mut parts = Known::default();
        for (name, template) in &self.sealing.parts {
            let written = self
                .made(&self.sealing.names, &all, |look| Ok(look.secret_bytes(template)?.to_vec()));
            let written = written.unwrap_or_default();
            if !all.has(name) {
                all.set(name, written.clone());
            }
            parts.set(name, written);
        }
        parts
    }

    /// The message as far as it is known.
    fn message(&self, known: &Known, tags: Vec<Vec<u8>>) -> Result<Message, CannotOpen> {
        let mut all = Known(known.0.clone());
        for (name, tag) in ["mac", "mac2"].into_iter().zip(tags) {
            all.set(name, tag);
        }
        let parts = self.parts(&all);
        if let Some(frame) = self.frame {
            return frame(&parts.with_data(all.get("data")).parts());
        }
        parts.0.iter().for_each(|(name, text)| all.set(name, text.to_vec()));
        let names = &self.sealing.message_names;
        let body = self.sealing.body.as_ref().ok_or(CannotOpen)?;
        self.made(names, &all, |look| {
            let mut message = Message { body: look.secret_bytes(body)?, ..Message::default() };
            for (name, template) in &self.sealing.headers {
                let value = HeaderValue::from_str(&look.text(template)?).map_err(|_| CannotOpen)?;
                message.headers.push((name.clone(), value));
            }
            if let Some(query) = &self.sealing.query {
                message.query = look.text(query)?.into_owned();
            }
            Ok(message)
        })
    }
}
