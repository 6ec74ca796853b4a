//! Signing a request, as a client does. The gate itself uses none of this on the path of a request.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::clock::Timestamp;
use crate::crypto::{NoRandom, hex, random};
use crate::recipe::{Evaluation, Fault, Subject};
use crate::secret::NamedSecrets;

use super::claims::{Claim, is_key_id};
use super::http_signatures;
use super::plan::Plan;
use super::{Scheme, VerifyingKey};

/// A request to be signed.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The public key id.
    pub key_id: &'a str,
    /// The time to sign.
    pub timestamp: Timestamp,
    /// The method.
    pub method: &'a Method,
    /// Host, with its port where that is not 443, as it will be sent.
    pub authority: &'a str,
    /// Path and query as they will be sent.
    pub target: &'a str,
    /// `Content-Type` as it will be sent; empty when none is.
    pub content_type: &'a str,
    /// Further header fields as they will be sent.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// Why a request cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignFault {
    /// A key id that no header can carry.
    #[error("a key id is 1 to 128 visible ASCII characters")]
    KeyId,
    /// A content type that no header can carry.
    #[error("a content type is a header value: visible ASCII and spaces")]
    ContentType,
    /// A claim that travels in the message itself, which is not rewritten here.
    #[error("the scheme's {0} is no header of its own: put it into the request yourself")]
    Place(&'static str),
    /// A method that the scheme says nothing of.
    #[error("the scheme does not sign this method")]
    Method,
    /// Something that the scheme signs is not in the request.
    #[error("the scheme cannot sign this request: {0}")]
    Message(#[from] Fault),
    /// The scheme does not say how answers are signed.
    #[error("the scheme does not sign answers")]
    Answer,
    /// Only the owner of a private key signs by this scheme.
    #[error("this scheme is signed with a private key, which is not kept here")]
    PrivateKey,
    /// Something that a protocol signs cannot be signed.
    #[error("the scheme cannot sign this request: {0}")]
    Protocol(#[from] http_signatures::NotSigned),
    /// No random bytes for a nonce.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl Scheme {
    /// The headers that make a request signed, in the order in which to send them.
    ///
    /// # Errors
    /// When a claim is not a header of its own, the message lacks something, or there are no random
    /// bytes for a nonce.
    pub fn sign(
        &self,
        key: &VerifyingKey,
        request: &Outgoing<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignFault> {
        let mut sent = request.headers.clone();
        if !request.content_type.is_empty() {
            let text = HeaderValue::from_str(request.content_type);
            sent.insert(CONTENT_TYPE, text.map_err(|_| SignFault::ContentType)?);
        }
        if !sent.contains_key(HOST) {
            let host = HeaderValue::from_str(request.authority);
            sent.extend(host.ok().map(|host| (HOST, host)));
        }
        if let Some(protocol) = &self.protocol {
            return protocol.sign(key, request, &sent);
        }
        let plan = self.plan(request.method.as_str()).ok_or(SignFault::Method)?;
        if plan.key_id.is_some() && !is_key_id(request.key_id.as_bytes()) {
            return Err(SignFault::KeyId);
        }
        let mut headers = Vec::new();
        let mut put = |claim: &Option<Claim>, text: &str| {
            let Some(claim) = claim else { return Ok(()) };
            let (name, value) = claim.header_for(text)?;
            sent.insert(name.clone(), value.clone());
            headers.push((name, value));
            Ok::<_, SignFault>(())
        };
        put(&plan.key_id, request.key_id)?;
        let time = self.time_unit.write(request.timestamp).unwrap_or_default();
        put(&plan.time, &time)?;
        if plan.nonce.is_some() {
            let nonce = hex(&random::<32>()?);
            put(&plan.nonce, &String::from_utf8_lossy(nonce.get(..32).unwrap_or_default()))?;
        }
        let (body, values) = ([Bytes::copy_from_slice(request.body)], NamedSecrets::default());
        let subject = Subject {
            method: request.method.as_str(),
            scheme: "https",
            authority: request.authority,
            target: request.target,
            headers: &sent,
            body: if request.body.is_empty() { &[] } else { &body },
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        let signature = self.signature_of(&subject, key)?.ok_or(SignFault::PrivateKey)?;
        let place = plan.places.first().ok_or(SignFault::Method)?;
        let text = self.encoding.encode(&signature);
        headers.push(place.signature.header_for(&String::from_utf8_lossy(&text))?);
        Ok(headers)
    }

    /// The signature that a message must have under a key, decoded; none where only a private key
    /// makes it.
    ///
    /// # Errors
    /// When the message lacks something that is signed.
    pub fn signature_of(
        &self,
        subject: &Subject<'_>,
        key: &VerifyingKey,
    ) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(protocol) = &self.protocol {
            return protocol.signature_of(subject, key);
        }
        let plan = self.plan(subject.method).ok_or_else(Fault::absent)?;
        let subject = key.subject(subject);
        let evaluation = Evaluation::new(subject, &plan.scope);
        let mut state = self.begin(plan, key, &evaluation)?;
        evaluation.feed(&plan.message, &mut |bytes| state.update(bytes))?;
        Ok(state.finish().signature().map(<[u8]>::to_vec))
    }

    /// The signature under a key of a text that somebody made of a message, for the doctor.
    pub(crate) fn signature_over(
        &self,
        subject: &Subject<'_>,
        text: &[Cow<'_, [u8]>],
        key: &VerifyingKey,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let plan = self.plan(subject.method).ok_or_else(Fault::absent)?;
        let evaluation = Evaluation::new(key.subject(subject), &plan.scope);
        let mut state = self.begin(plan, key, &evaluation)?;
        text.iter().for_each(|piece| state.update(piece));
        Ok(state.finish().signature().map(<[u8]>::to_vec))
    }

    /// The message under the key of the first place.
    fn begin(
        &self,
        plan: &Plan,
        key: &VerifyingKey,
        evaluation: &Evaluation<'_>,
    ) -> Result<super::algorithm::InProgress, Fault> {
        let place = plan.places.first().ok_or_else(Fault::absent)?;
        if let Some(ready) = place.slot.and_then(|slot| key.ready.get(slot)) {
            return Ok(ready.begin());
        }
        let method = plan.algorithm.of(evaluation)?;
        let bytes = evaluation.secret_bytes(&place.key)?;
        let key = super::algorithm::Key::new(method, &bytes).map_err(|_| Fault::malformed())?;
        Ok(key.begin())
    }
}

impl Claim {
    /// The header that carries a text as this claim.
    fn header_for(&self, text: &str) -> Result<(HeaderName, HeaderValue), SignFault> {
        let (name, before) = self.slot().ok_or(SignFault::Place(self.shown))?;
        let value = HeaderValue::from_str(&format!("{before}{text}"));
        Ok((name.clone(), value.map_err(|_| SignFault::KeyId)?))
    }
}
