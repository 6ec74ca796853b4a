//! Sealed bodies: how a message is encrypted, as data; opening and sealing.
//!
//! An [`Envelope`] is compiled from a [`Definition`]; for each key it is prepared once, into a
//! [`Prepared`]. Nothing that fails inside an envelope says what failed: there is one error,
//! [`CannotOpen`].

mod check;
pub mod cipher;
pub mod coding;
mod compile;
mod cover;
pub mod definition;
mod fresh;
mod inside;
pub mod jwe;
mod names;
mod opening;
pub mod padding;
mod php;
mod prepare;
mod seal;
mod sealing;
pub mod wrap;

use std::fmt;

use http::HeaderValue;

use crate::recipe::path::Path;
use crate::recipe::{Fault, Origin, Origins, Template};
use crate::secret::Plaintext;

use check::Check;
use cipher::Cipher;
use inside::Inside;
use jwe::Jwe;
use names::Names;
use padding::Padding;
use sealing::Sealing;
use wrap::Wrap;

pub use definition::{Definition, EnvelopeMistake, Literal};
pub use prepare::Prepared;
pub use seal::{Fixed, Frame, Parts};
pub use sealing::Message;

/// What is sealed cannot be opened: its shape, length, key, tag, MAC, padding or content is wrong.
/// Which, is told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed body cannot be opened")]
pub struct CannotOpen;

impl From<Fault> for CannotOpen {
    fn from(_: Fault) -> Self {
        Self
    }
}

/// How messages of one kind are sealed.
pub struct Envelope {
    name: String,
    about: String,
    content_type: HeaderValue,
    authenticated: bool,
    method: Method,
    /// A key of another length is filled with zero bytes or cut, as PHP's OpenSSL does.
    fit_key: bool,
    unwrap: Option<Unwrap>,
    key: Option<Part>,
    /// Keys by the id that a token names.
    keys: Vec<(String, Part)>,
    iv: Option<Part>,
    tag: Option<Part>,
    aad: Option<Part>,
    data: Part,
    /// What `data` reads, names followed.
    reads: Origins,
    /// Members that are sealed each by itself.
    each: Vec<Path>,
    before: Vec<Check>,
    after: Vec<Check>,
    inside: Inside,
    sealing: Option<Sealing>,
    /// The names as opening reads them.
    names: Names,
    /// The names as written, for what is settled.
    written: Names,
    /// The names that are settled, as templates of `written`.
    settled_names: Vec<Template>,
    hoisted: Vec<Template>,
    /// Every secret that opening reads.
    secrets: Vec<Origin>,
    derives: bool,
}

/// How a part comes to its value.
enum Part {
    /// Worked out when the envelope was prepared for the key, at this position.
    Settled(usize),
    /// Read from the message.
    Message(Template),
}

/// How the text is sealed.
enum Method {
    Block(Choice),
    /// The message says which, of some.
    Chosen {
        by: Template,
        choices: Vec<(String, Choice)>,
    },
    Jwe(Jwe),
    /// The content coding aes128gcm.
    Records,
}

#[derive(Clone, Copy)]
struct Choice {
    cipher: Cipher,
    padding: Padding,
}

/// A key that travels with the message.
struct Unwrap {
    way: Wrap,
    key: Part,
    wrapped: Template,
}

/// A text that was sealed; wiped when dropped.
pub struct Opened {
    /// The text.
    pub text: Plaintext,
    /// What the text is, for the header that says so.
    pub content_type: HeaderValue,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹envelope {}›", self.name)
    }
}

impl Envelope {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in a line.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Whether it notices every altered message by itself.
    pub fn authenticates(&self) -> bool {
        self.authenticated
    }

    /// How the text is sealed, in words of configuration.
    pub fn cipher(&self) -> String {
        match &self.method {
            Method::Block(choice) => choice.cipher.to_string(),
            Method::Chosen { choices, .. } => {
                let names: Vec<String> =
                    choices.iter().map(|(_, c)| c.cipher.to_string()).collect();
                names.join(" or ")
            }
            Method::Jwe(jwe) => jwe.to_string(),
            Method::Records => "aes128gcm".to_owned(),
        }
    }

    /// The secrets that it reads, as templates name them.
    pub fn needs(&self) -> Vec<String> {
        self.secrets.iter().map(ToString::to_string).collect()
    }

    /// The names of the credential's values that it reads.
    pub fn value_names(&self) -> Vec<String> {
        let name = |origin: &Origin| match origin {
            Origin::Credential(name) => Some(name.to_string()),
            _ => None,
        };
        self.secrets.iter().filter_map(name).collect()
    }

    /// Whether making it ready for a key takes thousands of rounds.
    pub fn derives(&self) -> bool {
        self.derives
    }

    /// What the ciphertext is read from.
    pub fn reads(&self) -> &Origins {
        &self.reads
    }

    /// Whether it is a content coding (RFC 8188), which a header names.
    pub fn is_content_coding(&self) -> bool {
        matches!(self.method, Method::Records)
    }

    /// Whether opening takes an RSA operation: a third of a millisecond and more.
    pub fn is_costly(&self) -> bool {
        let wrapped =
            matches!(self.method, Method::Jwe(Jwe { management: jwe::Management::Wrapped(_), .. }));
        wrapped || self.unwrap.is_some()
    }

    /// Whether it can seal answers for whoever sealed the request: in a body alone, whatever the
    /// answer is, and for a key that the caller has.
    pub fn seals_answers(&self) -> bool {
        let in_body = |sealing: &Sealing| sealing.query.is_none() && sealing.body.is_some();
        let alone = matches!(self.method, Method::Jwe(_) | Method::Records);
        let fits = self.sealing.as_ref().is_some_and(|one| alone || in_body(one));
        fits && self.each.is_empty() && !self.is_costly()
    }

    /// What a message that it seals is, for the header that says so.
    pub fn sealed_content_type(&self) -> HeaderValue {
        let reads = |test: fn(&Origin) -> bool| self.reads.iter().any(test);
        HeaderValue::from_static(
            if reads(|one| matches!(one, Origin::Form(_) | Origin::FormFields)) {
                "application/x-www-form-urlencoded"
            } else if reads(|one| matches!(one, Origin::Json(_) | Origin::JsonDocument)) {
                "application/json"
            } else if reads(|one| matches!(one, Origin::Xml(_) | Origin::XmlElements)) {
                "application/xml"
            } else {
                match self.method {
                    Method::Jwe(_) => "application/jose",
                    Method::Records => "application/octet-stream",
                    Method::Block(_) | Method::Chosen { .. } => "text/plain; charset=utf-8",
                }
            },
        )
    }

    /// Whether it can seal too.
    pub fn seals(&self) -> bool {
        self.sealing.is_some()
    }
}

impl Method {
    /// The length of the key of the content, in bytes; none where any will do.
    fn key_bytes(&self) -> Option<usize> {
        match self {
            Self::Block(choice) => Some(choice.cipher.key_bytes()),
            Self::Chosen { choices, .. } => choices.first().map(|(_, c)| c.cipher.key_bytes()),
            Self::Jwe(jwe) => Some(jwe.content.key_bytes()),
            Self::Records => None,
        }
    }
}
