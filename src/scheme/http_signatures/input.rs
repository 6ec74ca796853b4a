//! One signature out of `Signature-Input` and `Signature` (RFC 9421 section 4): what it covers,
//! what it says of itself, and its value. Nothing here is proved yet.

use http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, InnerList, ListEntry};

use crate::clock::Timestamp;

use super::component::Component;
use super::fault::Fault;
use super::{Algorithm, structured};

/// `Signature-Input`.
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature`.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The most components that one signature may cover.
pub(super) const COMPONENTS_MAX: usize = 32;
/// The longest key id or nonce, in characters.
const NAME_CHARS_MAX: usize = 128;
/// The longest signature, in bytes: that of an RSA key of 8192 bits.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// What a message says of its signature.
#[derive(Debug)]
pub struct Claims {
    key_id: Box<str>,
    created: Timestamp,
    expires: Option<Timestamp>,
    nonce: Option<Box<str>>,
    signature: Vec<u8>,
    pub(super) components: Vec<Component>,
    /// The value of `@signature-params`.
    pub(super) parameters: Box<str>,
}

/// How the signature that counts is found among several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// There must be only one.
    #[default]
    Only,
    /// By its label, the key in both fields.
    Label(Box<str>),
    /// By its parameter `tag`.
    Tag(Box<str>),
}

impl Choice {
    /// The label that is looked for.
    pub(super) fn label(&self) -> Option<&str> {
        match self {
            Self::Label(label) => Some(label),
            Self::Only | Self::Tag(_) => None,
        }
    }

    /// The tag that is looked for.
    pub(super) fn tag(&self) -> Option<&str> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Only | Self::Label(_) => None,
        }
    }
}

impl Claims {
    /// The key id, 1 to 128 visible ASCII characters.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// When it was signed.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The last second in which it may be taken, where it says so.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// What is used once, where it has it: 1 to 128 visible ASCII characters.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// The signature, 1 byte to 1 KiB.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What is covered, in the order in which it is signed.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Reads the signature that counts.
    pub(super) fn read(
        headers: &HeaderMap,
        choice: &Choice,
        algorithm: Algorithm,
    ) -> Result<Self, Fault> {
        let inputs = field(headers, &SIGNATURE_INPUT, "Signature-Input")?;
        let signatures = field(headers, &SIGNATURE, "Signature")?;
        let unpaired = |label| !signatures.contains_key(label);
        if inputs.len() != signatures.len() || inputs.keys().any(unpaired) {
            return Err(Fault::Labels);
        }
        let mut chosen = inputs.iter().filter(|(label, entry)| {
            choice.label().is_none_or(|wanted| label.as_str() == wanted)
                && choice.tag().is_none_or(|wanted| tag_of(entry) == Some(wanted))
        });
        let (label, entry) = chosen.next().ok_or(Fault::NoneChosen)?;
        if chosen.next().is_some() {
            return Err(Fault::SeveralChosen);
        }
        let ListEntry::InnerList(input) = entry else {
            return Err(Fault::Malformed("Signature-Input"));
        };
        let signature = match signatures.get(label) {
            Some(ListEntry::Item(item)) => item.bare_item.as_byte_sequence(),
            _ => None,
        };
        let signature = signature
            .filter(|bytes| (1..=SIGNATURE_BYTES_MAX).contains(&bytes.len()))
            .ok_or(Fault::Malformed("Signature"))?;
        let said = Said::of(input, algorithm)?;
        Ok(Self {
            key_id: said.key_id.ok_or(Fault::NoParameter("keyid"))?,
            created: said.created.ok_or(Fault::NoParameter("created"))?,
            expires: said.expires,
            nonce: said.nonce,
            signature: signature.to_vec(),
            components: components(input)?,
            parameters: structured::member(entry)
                .ok_or(Fault::Malformed("Signature-Input"))?
                .into(),
        })
    }
}

/// The parameters of a signature that are known.
#[derive(Default)]
struct Said {
    key_id: Option<Box<str>>,
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
    nonce: Option<Box<str>>,
}

impl Said {
    /// Reads them. Others may be there: they are signed like these.
    fn of(input: &InnerList, algorithm: Algorithm) -> Result<Self, Fault> {
        let mut said = Self::default();
        for (name, value) in &input.params {
            match name.as_str() {
                "keyid" => said.key_id = Some(text(value).ok_or(Fault::Parameter("keyid"))?),
                "nonce" => said.nonce = Some(text(value).ok_or(Fault::Parameter("nonce"))?),
                "created" => said.created = Some(time(value).ok_or(Fault::Parameter("created"))?),
                "expires" => said.expires = Some(time(value).ok_or(Fault::Parameter("expires"))?),
                "alg" if value.as_string().map(|name| name.as_str()) == Some(algorithm.name()) => {}
                "alg" => return Err(Fault::Algorithm),
                _ => {}
            }
        }
        Ok(said)
    }
}

fn field(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<sfv::Dictionary, Fault> {
    if !headers.contains_key(name) {
        return Err(Fault::Missing(shown));
    }
    let text = structured::combined(headers, name).ok_or(Fault::Malformed(shown))?;
    if text.len() > structured::FIELD_BYTES_MAX {
        return Err(Fault::TooLong(shown));
    }
    structured::dictionary(&text).ok_or(Fault::Malformed(shown))
}

fn tag_of(entry: &ListEntry) -> Option<&str> {
    let ListEntry::InnerList(input) = entry else { return None };
    input.params.get("tag")?.as_string().map(|tag| tag.as_str())
}

fn components(input: &InnerList) -> Result<Vec<Component>, Fault> {
    if input.items.len() > COMPONENTS_MAX {
        return Err(Fault::Components);
    }
    let mut components = Vec::with_capacity(input.items.len());
    for item in &input.items {
        let component = Component::from_item(item)?;
        if components.contains(&component) {
            return Err(Fault::Component(component.as_str().into()));
        }
        components.push(component);
    }
    Ok(components)
}

/// 1 to 128 visible ASCII characters.
fn text(value: &BareItem) -> Option<Box<str>> {
    let text = value.as_string()?.as_str();
    is_name(text).then(|| text.into())
}

/// Whether a text can be a key id or a nonce.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whole Unix seconds.
fn time(value: &BareItem) -> Option<Timestamp> {
    u64::try_from(value.as_integer()?).ok().map(Timestamp::from_secs)
}
