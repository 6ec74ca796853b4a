//! What a request says of itself, each part exactly once and of its exact form.

use std::cell::OnceCell;
use std::fmt;

use http::header::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::recipe::expression::{Expression, Operand};
use crate::recipe::source::Source;
use crate::recipe::{Evaluation, Fault, Origin, Piece, Scope, Subject, Template, Value};

use super::Scheme;
use super::encoding::SignatureBytes;
use super::http_signatures;
use super::plan::Plan;
use super::protocol::Protocol;

/// The longest key id or nonce, in characters.
const NAME_CHARS_MAX: usize = 128;
/// The most signatures that one place may hold.
const SIGNATURES_MAX: usize = 16;

/// Key id, timestamp, nonce and signature as a request states them. Nothing here is proved yet.
#[derive(Debug)]
pub struct Claims {
    key_id: Option<Said>,
    timestamp: Option<Timestamp>,
    deadline: Option<Timestamp>,
    nonce: Option<Said>,
    pub(super) signatures: SmallVec<[Candidate; 1]>,
    /// What a protocol has to say beside.
    pub(super) protocol: Option<Box<http_signatures::Claims>>,
}

/// A signature, and at which place of the scheme it stands.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) place: usize,
    pub(super) bytes: SignatureBytes,
}

/// A text of a message.
#[derive(Debug)]
enum Said {
    /// A header's value, not copied.
    Header(HeaderValue),
    /// Text from anywhere else.
    Text(Box<str>),
}

/// Why a request has no claims; the name is that of the header, or `query:NAME`, `form:NAME`,
/// `json:PATH` or `xml:NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// It is absent.
    Missing(&'static str),
    /// It is repeated or not of its form.
    Malformed(&'static str),
}

impl fmt::Display for ClaimFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is absent"),
            Self::Malformed(name) => write!(f, "{name} is repeated or not of its form"),
        }
    }
}

/// Where a claim is.
pub(super) struct Claim {
    pub(super) template: Template,
    /// The header, where the claim is its whole value.
    pub(super) header: Option<HeaderName>,
    /// What a fault calls it.
    pub(super) shown: &'static str,
}

impl Claims {
    /// The key id, 1 to 128 visible ASCII characters; none where the scheme has none.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_ref().map(Said::as_str)
    }

    /// The timestamp, where the scheme has one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The last second in which the message may be taken, where it says so.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The nonce, where the scheme has one.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_ref().map(Said::as_bytes)
    }

    /// The signatures, decoded; mostly there is one.
    pub fn signatures(&self) -> impl Iterator<Item = &[u8]> {
        self.signatures.iter().map(|one| &*one.bytes)
    }
}

impl Claims {
    /// Those that a protocol states.
    pub(super) fn of_protocol(claims: http_signatures::Claims) -> Self {
        Self {
            key_id: Some(Said::Text(claims.key_id().into())),
            timestamp: Some(claims.created()),
            deadline: claims.expires(),
            nonce: claims.nonce().map(|nonce| Said::Text(nonce.into())),
            signatures: SmallVec::new(),
            protocol: Some(Box::new(claims)),
        }
    }
}

impl Said {
    fn as_str(&self) -> &str {
        match self {
            Self::Header(value) => value.to_str().unwrap_or_default(),
            Self::Text(text) => text,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Header(value) => value.as_bytes(),
            Self::Text(text) => text.as_bytes(),
        }
    }
}

impl Scheme {
    /// Reads the claims of a message.
    ///
    /// # Errors
    /// The first claim that is absent, repeated or malformed, in the order of key id, time, nonce,
    /// signature.
    pub fn claims(&self, subject: &Subject<'_>) -> Result<Claims, ClaimFault> {
        if let Some(protocol) = &self.protocol {
            return protocol.claims(subject);
        }
        let plan = self.plan(subject.method).ok_or(ClaimFault::Malformed("method"))?;
        let reader = Reader { subject, scope: &plan.scope, evaluation: OnceCell::new() };
        let key_id = reader.said(plan.key_id.as_ref(), is_key_id)?;
        let timestamp = reader.time(plan.time.as_ref(), self)?;
        let nonce = reader.said(plan.nonce.as_ref(), |nonce| self.is_nonce(nonce))?;
        let deadline = reader.time(plan.deadline.as_ref(), self)?;
        let signatures = reader.signatures(plan, self)?;
        Ok(Claims { key_id, timestamp, deadline, nonce, signatures, protocol: None })
    }

    /// Whether a message has no signature at all, at any place: absent, and not malformed, nor in a
    /// header that says something else.
    pub fn finds_no_signature(&self, subject: &Subject<'_>) -> bool {
        if self.protocol.is_some() {
            return Protocol::finds_no_signature(subject);
        }
        let Some(plan) = self.plan(subject.method) else { return false };
        let places = plan.places.iter().map(|place| place.signature.template.origins());
        let mut origins = places.flat_map(|origins| origins.iter());
        let is_there = |origin: &Origin| match origin {
            Origin::Header(name) => subject.headers.contains_key(&name.0),
            _ => false,
        };
        let reader = Reader { subject, scope: &plan.scope, evaluation: OnceCell::new() };
        !origins.any(is_there)
            && matches!(reader.signatures(plan, self), Err(ClaimFault::Missing(_)))
    }

    fn is_nonce(&self, text: &[u8]) -> bool {
        match self.nonce_length {
            Some((least, most)) => {
                let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
                (least..=most).contains(&text.len()) && text.iter().all(good)
            }
            None => is_key_id(text),
        }
    }
}

struct Reader<'s> {
    subject: &'s Subject<'s>,
    scope: &'s Scope,
    /// Made for the first claim that is more than a header's value.
    evaluation: OnceCell<Evaluation<'s>>,
}

impl<'s> Reader<'s> {
    fn evaluation(&self) -> &Evaluation<'s> {
        self.evaluation.get_or_init(|| Evaluation::new(*self.subject, self.scope))
    }

    fn said(
        &self,
        claim: Option<&Claim>,
        good: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<Said>, ClaimFault> {
        let Some(claim) = claim else { return Ok(None) };
        let said = match &claim.header {
            Some(name) => Said::Header(self.header(name, claim)?.clone()),
            None => Said::Text(self.text(claim)?),
        };
        if !good(said.as_bytes()) {
            return Err(ClaimFault::Malformed(claim.shown));
        }
        Ok(Some(said))
    }

    fn time(
        &self,
        claim: Option<&Claim>,
        scheme: &Scheme,
    ) -> Result<Option<Timestamp>, ClaimFault> {
        let Some(claim) = claim else { return Ok(None) };
        let time = match &claim.header {
            Some(name) => scheme.time_unit.read(self.header(name, claim)?.as_bytes()),
            None => scheme.time_unit.read(self.text(claim)?.as_bytes()),
        };
        time.map(Some).ok_or(ClaimFault::Malformed(claim.shown))
    }

    /// The signatures at all places. Of several places one may be absent, not all.
    fn signatures(
        &self,
        plan: &Plan,
        scheme: &Scheme,
    ) -> Result<SmallVec<[Candidate; 1]>, ClaimFault> {
        let mut found = SmallVec::new();
        let mut first_fault = None;
        let length = plan.algorithm.signature_bytes();
        for (place, at) in plan.places.iter().enumerate() {
            let claim = &at.signature;
            match self.signatures_at(claim, (place, length), scheme, &mut found) {
                Ok(()) => {}
                Err(fault @ ClaimFault::Missing(_)) => drop(first_fault.get_or_insert(fault)),
                Err(fault) => return Err(fault),
            }
        }
        match first_fault {
            Some(fault) if found.is_empty() => Err(fault),
            _ => Ok(found),
        }
    }

    fn signatures_at(
        &self,
        claim: &Claim,
        (place, length): (usize, Option<usize>),
        scheme: &Scheme,
        found: &mut SmallVec<[Candidate; 1]>,
    ) -> Result<(), ClaimFault> {
        let malformed = ClaimFault::Malformed(claim.shown);
        let right = |bytes: &SignatureBytes| match length {
            Some(length) => bytes.len() == length,
            None => !bytes.is_empty(),
        };
        let mut add = |text: &[u8]| {
            let bytes = scheme.encoding.decode(text).filter(right);
            bytes.map(|bytes| found.push(Candidate { place, bytes }))
        };
        if let Some(name) = &claim.header {
            return add(self.header(name, claim)?.as_bytes()).ok_or(malformed);
        }
        let value =
            self.evaluation().value(&claim.template).map_err(|fault| claim.fault(&fault))?;
        match &value {
            // Of several one may be of another version of the provider's scheme, and so malformed.
            Value::List(items) if items.len() <= SIGNATURES_MAX => {
                let good = items.iter().filter_map(|item| add(item.as_bytes())).count();
                match items.len() {
                    0 => Err(ClaimFault::Missing(claim.shown)),
                    _ if good == 0 => Err(malformed),
                    _ => Ok(()),
                }
            }
            Value::List(_) => Err(malformed),
            one => {
                let bytes = one.bytes().map_err(|fault| claim.fault(&fault))?;
                add(&bytes).ok_or(malformed)
            }
        }
    }

    /// The one value of a header.
    fn header(&self, name: &HeaderName, claim: &Claim) -> Result<&HeaderValue, ClaimFault> {
        let mut values = self.subject.headers.get_all(name).iter();
        let value = values.next().ok_or(ClaimFault::Missing(claim.shown))?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(ClaimFault::Malformed(claim.shown)),
        }
    }

    fn text(&self, claim: &Claim) -> Result<Box<str>, ClaimFault> {
        let text = self.evaluation().text(&claim.template).map_err(|fault| claim.fault(&fault))?;
        Ok(text.into())
    }
}

impl Claim {
    pub(super) fn new(template: Template, shown: &'static str) -> Self {
        let header = match template.pieces() {
            [Piece::Hole(Expression { source: Source::Header(name), calls, .. })] => {
                calls.is_empty().then(|| name.clone())
            }
            _ => None,
        };
        Self { template, header, shown }
    }

    /// The header that carries it, and what stands there before it; none where it is elsewhere.
    pub(super) fn slot(&self) -> Option<(&HeaderName, &str)> {
        if let Some(name) = &self.header {
            return Some((name, ""));
        }
        let [Piece::Hole(expression)] = self.template.pieces() else { return None };
        let Source::Header(name) = &expression.source else { return None };
        match &*expression.calls {
            [call] if call.function.name == "after" => match &*call.operands {
                [Operand::Text(before)] => Some((name, before)),
                _ => None,
            },
            _ => None,
        }
    }

    fn fault(&self, fault: &Fault) -> ClaimFault {
        match fault {
            Fault::Absent(_) => ClaimFault::Missing(self.shown),
            _ => ClaimFault::Malformed(self.shown),
        }
    }
}

/// Whether a text can be a key id: 1 to 128 visible ASCII characters.
pub(super) fn is_key_id(text: &[u8]) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}
