//! Answers that are signed: what a scheme says of them, and both sides of it.
//!
//! A scheme never verifies its own answers. Where request and answer are signed with one secret,
//! both messages begin with a fixed text, and neither text is the beginning of the other; any other
//! scheme signs answers with a secret of their own.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::Timestamp;
use crate::crypto::equal_bytes;
use crate::recipe::{Evaluation, Given, Scope, Subject, Template, Value};
use crate::secret::NamedSecrets;

use super::algorithm::Proof;
use super::{Scheme, SignFault, VerifyingKey};

/// Whose secret signs the answers of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSecret {
    /// The one that verified the request, in the same version.
    Request,
    /// One that the credential has for answers alone.
    Own,
}

/// An answer, and the request that it answers.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The request's key id.
    pub key_id: &'a str,
    /// The request's nonce; empty where it has none.
    pub nonce: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's `Host` or `:authority` as sent.
    pub authority: &'a str,
    /// The request's path and query as sent.
    pub target: &'a str,
    /// The request's header fields as sent.
    pub request_headers: &'a HeaderMap,
    /// The status.
    pub status: u16,
    /// The header fields of the answer.
    pub headers: &'a HeaderMap,
    /// The body of the answer as it is sent.
    pub body: &'a [Bytes],
}

/// What is to be said of an answer's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerVerdict {
    /// There is none.
    Absent,
    /// It is good: the answer is whole, and to this request as far as the scheme binds the two.
    Good,
    /// It is not.
    Bad,
}

impl AnswerVerdict {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// How answers are signed, compiled.
pub(super) struct AnswerPlan {
    pub(super) scope: Scope,
    pub(super) given: Handed,
    pub(super) message: Template,
    pub(super) headers: Vec<AnswerHeader>,
    pub(super) secret: AnswerSecret,
}

/// The values that are handed in to the message of an answer.
pub(super) struct Handed {
    pub(super) key_id: Given,
    pub(super) nonce: Given,
    pub(super) time: Given,
}

/// A header of an answer: one value and the text around it.
pub(super) struct AnswerHeader {
    pub(super) name: HeaderName,
    pub(super) before: Box<str>,
    pub(super) said: Said,
    pub(super) after: Box<str>,
}

/// What a header of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    KeyId,
    Nonce,
    Time,
    Signature,
}

impl Said {
    /// Every one, with its name in templates.
    pub(super) const NAMES: [(&str, Self); 4] = [
        ("key_id", Self::KeyId),
        ("nonce", Self::Nonce),
        ("time", Self::Time),
        ("signature", Self::Signature),
    ];
}

impl Scheme {
    /// Whose secret signs answers; none where the scheme does not say how answers are signed.
    pub fn answer_secret(&self) -> Option<AnswerSecret> {
        match &self.protocol {
            Some(protocol) => Some(protocol.answer_secret()),
            None => self.answer.as_ref().map(|plan| plan.secret),
        }
    }

    /// The headers that make an answer signed. They take the place of others of their names. The
    /// key is made by [`Scheme::key`], or by [`Scheme::signing_key`] where answers have a secret of
    /// their own.
    ///
    /// # Errors
    /// When the scheme signs no answers, or this one lacks something that is signed.
    pub fn sign_answer(
        &self,
        key: &VerifyingKey,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignFault> {
        if let Some(protocol) = &self.protocol {
            return protocol.sign_answer(key, answer, now);
        }
        let plan = self.answer.as_ref().ok_or(SignFault::Answer)?;
        let time = self.time_unit.write(now).ok_or(SignFault::Answer)?;
        let proof = self.answer_proof(plan, key, answer, &time)?;
        let signature = self.encoding.encode(proof.signature().ok_or(SignFault::PrivateKey)?);
        let signature = String::from_utf8_lossy(&signature);
        let header = |header: &AnswerHeader| {
            let value = match header.said {
                Said::KeyId => answer.key_id,
                Said::Nonce => answer.nonce,
                Said::Time => &time,
                Said::Signature => &signature,
            };
            let text = format!("{}{value}{}", header.before, header.after);
            let value = HeaderValue::from_str(&text).map_err(|_| SignFault::KeyId)?;
            Ok((header.name.clone(), value))
        };
        plan.headers.iter().map(header).collect()
    }

    /// Whether the signature of an answer is good. The caller decides how old an answer may be.
    pub fn verify_answer(&self, key: &VerifyingKey, answer: &Answer<'_>) -> AnswerVerdict {
        if let Some(protocol) = &self.protocol {
            return protocol.verify_answer(key, answer);
        }
        let Some(plan) = &self.answer else { return AnswerVerdict::Absent };
        let signed = plan.headers.iter().find(|header| header.said == Said::Signature);
        if signed.is_none_or(|header| !answer.headers.contains_key(&header.name)) {
            return AnswerVerdict::Absent;
        }
        match self.answer_holds(plan, key, answer) {
            Some(true) => AnswerVerdict::Good,
            _ => AnswerVerdict::Bad,
        }
    }

    fn answer_holds(
        &self,
        plan: &AnswerPlan,
        key: &VerifyingKey,
        answer: &Answer<'_>,
    ) -> Option<bool> {
        let (mut time, mut signature) = ("", None);
        for header in &plan.headers {
            let value = header.value(answer.headers)?;
            match header.said {
                Said::KeyId if value != answer.key_id => return None,
                Said::Nonce if value != answer.nonce => return None,
                Said::KeyId | Said::Nonce => {}
                Said::Time => time = self.time_unit.read(value.as_bytes()).map(|_| value)?,
                Said::Signature => signature = self.encoding.decode(value.as_bytes()),
            }
        }
        let proof = self.answer_proof(plan, key, answer, time).ok()?;
        Some(equal_bytes(proof.signature()?, &signature?))
    }

    /// What the signature of an answer must be.
    fn answer_proof(
        &self,
        plan: &AnswerPlan,
        key: &VerifyingKey,
        answer: &Answer<'_>,
        time: &str,
    ) -> Result<Proof, SignFault> {
        let of_request = self.plan(answer.method).ok_or(SignFault::Method)?;
        let slot = of_request.places.first().and_then(|place| place.slot);
        let ready = slot.and_then(|slot| key.ready.get(slot)).ok_or(SignFault::Answer)?;
        let mut state = ready.begin();
        let (mut digits, values) = (itoa::Buffer::new(), NamedSecrets::default());
        let subject = Subject {
            method: answer.method,
            scheme: "https",
            authority: answer.authority,
            target: answer.target,
            headers: answer.headers,
            body: answer.body,
            status: Some(digits.format(answer.status)),
            public_url: None,
            secret: None,
            values: &values,
        };
        let mut evaluation = Evaluation::new(subject, &plan.scope);
        evaluation.give(plan.given.key_id, Value::from(answer.key_id));
        evaluation.give(plan.given.nonce, Value::from(answer.nonce));
        evaluation.give(plan.given.time, Value::from(time));
        evaluation.feed(&plan.message, &mut |bytes| state.update(bytes))?;
        Ok(state.finish())
    }
}

impl AnswerHeader {
    /// The value that it carries in an answer, where it is there once and of its form.
    fn value<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut values = headers.get_all(&self.name).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        value.to_str().ok()?.strip_prefix(&*self.before)?.strip_suffix(&*self.after)
    }
}

#[cfg(test)]
mod tests;
