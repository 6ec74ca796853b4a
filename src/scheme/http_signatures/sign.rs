//! Signing by RFC 9421: requests, as a client does, and the gate's own responses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, InnerList, KeyRef, ListEntry};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::{asymmetric, mac};

use super::component::Component;
use super::fault::Fault;
use super::input::{SIGNATURE, SIGNATURE_INPUT, is_name};
use super::message::{Message, Request, Response};
use super::{
    Algorithm, BodyDigests, CONTENT_DIGEST, HttpSignatures, Method, body_digest, structured,
};

/// The label of a signature where none is chosen.
const LABEL: &str = "sig1";

/// What signs: a shared secret or a private key.
pub enum Signer {
    /// A shared secret.
    Secret(mac::Key),
    /// A private key.
    Private(asymmetric::PrivateKey),
}

/// What a signature says of itself.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    /// The key id, 1 to 128 visible ASCII characters.
    pub key_id: &'a str,
    /// When it is signed.
    pub created: Timestamp,
    /// Until when it may be taken.
    pub expires: Option<Timestamp>,
    /// What is used once, 1 to 128 visible ASCII characters.
    pub nonce: Option<&'a str>,
}

/// Why a message cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// Something that is to be covered cannot be.
    #[error(transparent)]
    Component(#[from] Fault),
    /// A key id, nonce, label or tag that no signature can carry.
    #[error("the {0} cannot be sent: give 1 to 128 visible ASCII characters")]
    Name(&'static str),
    /// A digest in the message that is not that of its body.
    #[error("the message has a digest that is not that of its body")]
    Digest,
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] asymmetric::NotSigned),
}

impl Signer {
    /// Makes a secret ready: as it is for a MAC, and otherwise a private key as
    /// [`asymmetric::PrivateKey::read`] takes it.
    ///
    /// # Errors
    /// When it is no private key for the algorithm.
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, asymmetric::KeyFault> {
        Ok(match algorithm.method() {
            Method::Mac(algorithm) => Self::Secret(algorithm.key(secret)),
            Method::KeyPair(algorithm) => {
                Self::Private(asymmetric::PrivateKey::read(secret, algorithm)?)
            }
        })
    }

    /// Signs what `feed` feeds.
    pub(super) fn sign(
        &self,
        feed: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Fault>,
    ) -> Result<Zeroizing<Vec<u8>>, NotSigned> {
        let signature = match self {
            Self::Secret(key) => {
                let mut mac = key.begin();
                feed(&mut |bytes| mac.update(bytes))?;
                mac.finish().as_bytes().to_vec()
            }
            Self::Private(key) => {
                let mut message = key.algorithm().begin();
                feed(&mut |bytes| message.update(bytes))?;
                key.sign(message)?
            }
        };
        Ok(Zeroizing::new(signature))
    }
}

impl HttpSignatures {
    /// The headers that make a message signed, in the order in which to send them: `Content-Digest`
    /// where there is a body and none yet, `Signature-Input` and `Signature`.
    ///
    /// Of a request, method, target, content type, body and whatever the requirement names are
    /// covered; of a response, status, content type and body, and method, target and digest of the
    /// request that it answers.
    ///
    /// # Errors
    /// When something cannot be covered or sent, or the key does not sign.
    pub fn sign(
        &self,
        signer: &Signer,
        statement: &Statement<'_>,
        message: &Message<'_>,
        body: &[Bytes],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, NotSigned> {
        let mut sent = message.headers().clone();
        let mut added = Vec::new();
        if body.iter().any(|piece| !piece.is_empty()) && !sent.contains_key(CONTENT_DIGEST) {
            let value = header(&body_digest::field_value(body), "digest")?;
            sent.insert(CONTENT_DIGEST, value.clone());
            added.push((CONTENT_DIGEST, value));
        }
        let message = message.with(&sent);
        let components = self.covered(&message)?;
        let mut digests = BodyDigests::of(&components, &sent)?;
        body.iter().for_each(|piece| digests.update(piece));
        if !digests.finish() {
            return Err(NotSigned::Digest);
        }
        let parameters = self.parameters(statement, &components)?;
        let signature =
            signer.sign(|sink| super::base(&components, &parameters, &message, sink))?;
        let label = self.choice.label().unwrap_or(LABEL);
        let label = KeyRef::from_str(label).map_err(|_| NotSigned::Name("label"))?.as_str();
        let signature = format!("{label}=:{}:", STANDARD.encode(&*signature));
        added.push((SIGNATURE_INPUT, header(&format!("{label}={parameters}"), "label")?));
        added.push((SIGNATURE, header(&signature, "label")?));
        Ok(added)
    }

    /// What is covered.
    fn covered(&self, message: &Message<'_>) -> Result<Vec<Component>, Fault> {
        let own = |names: &[&str]| {
            let fields = [CONTENT_TYPE, CONTENT_DIGEST].into_iter();
            let fields = fields.filter(|name| message.headers().contains_key(name));
            let names = names.iter().map(|name| Component::of(name));
            let all = names.chain(fields.map(|name| Component::of(name.as_str())));
            all.collect::<Result<Vec<_>, _>>()
        };
        let mut components = match message {
            Message::Request(_) => own(&["@method", "@target-uri"])?,
            Message::Response(_, request) => {
                let mut components = own(&["@status"])?;
                for name in ["@method", "@target-uri"] {
                    components.push(Component::of(name)?.of_request());
                }
                if request.headers.contains_key(CONTENT_DIGEST) {
                    components.push(Component::of(CONTENT_DIGEST.as_str())?.of_request());
                }
                return Ok(components);
            }
        };
        for component in &self.requirement.components {
            if !components.contains(component) {
                components.push(component.clone());
            }
        }
        Ok(components)
    }

    /// The value of `@signature-params`.
    fn parameters(
        &self,
        statement: &Statement<'_>,
        components: &[Component],
    ) -> Result<String, NotSigned> {
        let items = components.iter().filter_map(Component::item).collect();
        let mut list = InnerList::new(items);
        let mut put = |name: &'static str, value: Result<BareItem, NotSigned>| {
            list.params.insert(KeyRef::constant(name).to_owned(), value?);
            Ok::<_, NotSigned>(())
        };
        put("created", time(statement.created))?;
        put("keyid", text(statement.key_id, "key id"))?;
        if let Some(expires) = statement.expires {
            put("expires", time(expires))?;
        }
        if let Some(nonce) = statement.nonce {
            put("nonce", text(nonce, "nonce"))?;
        }
        if let Some(tag) = self.choice.tag() {
            put("tag", text(tag, "tag"))?;
        }
        structured::member(&ListEntry::InnerList(list)).ok_or(NotSigned::Name("key id"))
    }
}

impl<'a> Message<'a> {
    /// The same message with other header fields.
    fn with(&self, headers: &'a HeaderMap) -> Self {
        match *self {
            Self::Request(request) => Self::Request(Request { headers, ..request }),
            Self::Response(response, request) => {
                Self::Response(Response { headers, ..response }, request)
            }
        }
    }
}

fn header(text: &str, what: &'static str) -> Result<HeaderValue, NotSigned> {
    HeaderValue::from_str(text).map_err(|_| NotSigned::Name(what))
}

fn text(text: &str, what: &'static str) -> Result<BareItem, NotSigned> {
    let name = Some(text).filter(|text| is_name(text)).map(|text| sfv::StringRef::from_str(text));
    let name = name.and_then(Result::ok).ok_or(NotSigned::Name(what))?;
    Ok(BareItem::String(name.to_owned()))
}

fn time(time: Timestamp) -> Result<BareItem, NotSigned> {
    BareItem::try_from(time.secs()).map_err(|_| NotSigned::Name("time"))
}
