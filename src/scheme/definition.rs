//! What a scheme's table says, as it is written, before anything is checked.
//!
//! Every text has a key, such as `message`, `let.digest.POST` or `require[0][1]`: the one that a
//! [`SchemeMistake`] names, so that whoever read the table knows the place.

use std::ops::Range;
use std::time::Duration;

/// A scheme's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// What it is, in a line.
    pub about: String,
    /// Who signed: a text of 1 to 128 visible characters.
    pub key_id: Option<Formula>,
    /// When it was signed.
    pub time: Option<Formula>,
    /// How `time` is written; Unix seconds where it is not said.
    pub time_unit: Option<String>,
    /// How old a message may be, where the route does not say.
    pub window: Option<Duration>,
    /// How far ahead a message may be, where the route does not say.
    pub ahead: Option<Duration>,
    /// What is used once.
    pub nonce: Option<Formula>,
    /// The least and the most characters of a nonce, which are then letters, digits, `_` and `-`.
    pub nonce_length: Option<(usize, usize)>,
    /// Until when a message may be taken, in the unit of `time`.
    pub deadline: Option<Formula>,
    /// Named values, in their order.
    pub lets: Vec<(String, Formula)>,
    /// What is signed.
    pub message: Option<Formula>,
    /// `rfc9421`, where the scheme is no recipe.
    pub protocol: Option<String>,
    /// Of a protocol: the label of the signature that counts.
    pub label: Option<String>,
    /// Of a protocol: the tag of the signature that counts.
    pub tag: Option<String>,
    /// Of a protocol: what a signature must cover.
    pub covers: Option<Vec<String>>,
    /// The algorithm: a name, or a template that ends in `map`.
    pub mac: Option<String>,
    /// The key, where it is not the secret as it is.
    pub key: Option<Formula>,
    /// How the signature is written; hexadecimal where it is not said.
    pub encode: Option<String>,
    /// `exact` or `ci`.
    pub compare: Option<String>,
    /// Where the signature is.
    pub signature: Option<Formula>,
    /// Further signatures, each with a key of its own or the same; one that matches is enough.
    pub any: Vec<Place>,
    /// Pairs of templates that must have equal values.
    pub require: Vec<[String; 2]>,
    /// Lists inside the message and what they must name.
    pub must_list: Vec<MustList>,
    /// How answers are signed.
    pub answer: Option<AnswerTable>,
    /// What acknowledges a message to its sender, where an empty 200 does not.
    pub respond: Option<Respond>,
    /// How little it proves, where it proves less than it seems to.
    pub strength: Option<String>,
    /// A message that must verify, or the scheme does not load.
    pub vector: Option<Vector>,
}

impl Definition {
    /// The keys that it has and that only a recipe can have.
    pub(super) fn keys_of_recipes(&self) -> impl Iterator<Item = &'static str> {
        [
            ("key_id", self.key_id.is_some()),
            ("time", self.time.is_some()),
            ("time_unit", self.time_unit.is_some()),
            ("nonce", self.nonce.is_some()),
            ("nonce_length", self.nonce_length.is_some()),
            ("deadline", self.deadline.is_some()),
            ("let", !self.lets.is_empty()),
            ("message", self.message.is_some()),
            ("key", self.key.is_some()),
            ("encode", self.encode.is_some()),
            ("compare", self.compare.is_some()),
            ("signature", self.signature.is_some()),
            ("any", !self.any.is_empty()),
            ("require", !self.require.is_empty()),
            ("must_list", !self.must_list.is_empty()),
            ("answer", self.answer.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, there)| there.then_some(key))
    }
}

/// A template, or one for each method with `*` for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// For every method.
    Always(String),
    /// By method.
    ByMethod(Vec<(String, String)>),
}

/// A further place of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the signature is.
    pub signature: Formula,
    /// The key, where it is another.
    pub key: Option<Formula>,
}

/// A list inside the message and what it must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MustList {
    /// The list.
    pub list: String,
    /// What must be in it.
    pub names: Vec<String>,
}

/// How answers are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerTable {
    /// `request`, or `own` for a secret that signs nothing else.
    pub secret: Option<String>,
    /// What is signed: `status`, headers and body of the answer, method and target of the request,
    /// and `key_id`, `nonce` and `time`.
    pub message: Option<String>,
    /// The headers that say so, each a template with one value.
    pub headers: Vec<(String, String)>,
}

/// What acknowledges a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Its media type.
    pub content_type: String,
}

/// A message that must verify. Its secret is an example that everybody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// The secret, or the public key.
    pub secret: String,
    /// The credential's other values.
    pub values: Vec<(String, String)>,
    /// The method.
    pub method: String,
    /// `https://host/path?query`.
    pub url: String,
    /// The header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Whether the provider or a public test prints the signature; else it was computed.
    pub published: bool,
}

/// What is wrong with a definition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeMistake {
    /// The key that it is about; a scheme that lacks a key names the key that is missing.
    pub key: String,
    /// The part of that key's text, in bytes; the whole where there is none.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

impl SchemeMistake {
    /// A mistake of a whole key.
    pub fn of(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), span: None, problem: problem.into(), hint: None }
    }

    /// The same, and what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Formula {
    /// The text for a method and its key below `key`; none where neither the method nor `*` is
    /// named.
    pub(super) fn text(&self, key: &str, method: &str) -> Option<(&str, String)> {
        match self {
            Self::Always(text) => Some((text, key.to_owned())),
            Self::ByMethod(texts) => {
                let named = |name: &str| texts.iter().find(|(method, _)| method == name);
                let (method, text) = named(method).or_else(|| named("*"))?;
                Some((text, format!("{key}.{method}")))
            }
        }
    }

    /// All its templates.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::Always(text) => (Some(text.as_str()), &[][..]),
            Self::ByMethod(texts) => (None, texts.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|(_, text)| text.as_str()))
    }

    /// The methods that it names.
    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::Always(_) => &[][..],
            Self::ByMethod(texts) => texts,
        };
        texts.iter().map(|(method, _)| method.as_str())
    }
}
