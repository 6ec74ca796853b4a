//! Sealing: the way back. What opening reads from a message is put into one, step by step: first
//! what is drawn at random, then the ciphertext, then the MAC over both. After each step the
//! opening side's own templates read the message, so that nothing is said twice.

use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::compile::{Compiler, HANDED};
use super::fresh::Fresh;
use super::names::{Names, Way};
use super::{Method, Part};
use crate::recipe::value::Type;
use crate::recipe::{Origin, Template};

/// Values that parts may read when sealing, beside the fresh ones.
pub(super) const MADE: [(&str, Type); 6] = [
    ("iv", Type::Bytes),
    ("data", Type::Bytes),
    ("tag", Type::Bytes),
    ("wrapped", Type::Bytes),
    ("mac", Type::Bytes),
    ("mac2", Type::Bytes),
];

/// How to seal, compiled.
pub(super) struct Sealing {
    /// Names for the parts.
    pub(super) names: Names,
    /// Names for the message around them: a part's name means its text.
    pub(super) message_names: Names,
    pub(super) fresh: Vec<(String, Fresh)>,
    /// The initialisation vector is drawn, and does not follow from the message.
    pub(super) draws_iv: bool,
    /// How the text is put up, where [`super::inside::Inside`] cannot know.
    pub(super) inside: Option<Template>,
    /// The parts as they are written, in order.
    pub(super) parts: Vec<(String, Template)>,
    /// The protected header of a token.
    pub(super) header: Option<Template>,
    pub(super) record_bytes: u32,
    pub(super) key_id: String,
    pub(super) body: Option<Template>,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) query: Option<Template>,
}

/// A message around a sealed text.
#[derive(Clone, Default)]
pub struct Message {
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// Header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The query, without its question mark.
    pub query: String,
}

impl Sealing {
    /// Reads the table `seal`; `None` where there is none.
    pub(super) fn compile(compiler: &Compiler<'_>, method: &Method) -> Option<Self> {
        let reading = &compiler.reading;
        if !reading.has("seal") {
            return None;
        }
        let drawn = reading.below("seal.fresh").into_iter();
        let drawn =
            drawn.filter_map(|name| Some((name.to_owned(), Fresh::compile(reading, name)?)));
        let fresh: Vec<(String, Fresh)> = drawn.collect();
        let part_names = reading.below("seal.parts");
        let kind_of = |name: &str| {
            let drawn = fresh.iter().find(|(own, _)| own == name).map(|(_, fresh)| fresh.kind());
            let token = name == "data" && matches!(method, Method::Jwe(_));
            let made = MADE.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind);
            let made = if token { Some(Type::Text) } else { made };
            let handed = HANDED.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind);
            drawn.or(made).or(handed)
        };
        let mut extra: Vec<&str> = MADE.iter().map(|(name, _)| *name).collect();
        extra.extend(fresh.iter().map(|(name, _)| name.as_str()));
        let mut names = compiler.names_with(&extra, |name| kind_of(name).map(Way::Given));
        let parts = Self::parts(compiler, &part_names, &mut names, &kind_of);
        extra.extend(&part_names);
        let message_names = compiler.names_with(&extra, |name| {
            let part = parts.iter().find(|(own, _)| own == name).map(|(_, part)| part.kind());
            part.or_else(|| kind_of(name)).map(Way::Given)
        });
        let template = |key: &str, names: &Names| {
            reading.text(key).and_then(|text| compiler.template(key, text, names))
        };
        let body = template("seal.body", &message_names);
        let query = template("seal.query", &message_names);
        let headers = reading.below("seal.headers").into_iter().filter_map(|name| {
            let key = format!("seal.headers.{name}");
            let value = template(&key, &message_names)?;
            let wrong = || reading.refuse(&key, "no header can have this name", None);
            let name = HeaderName::from_bytes(name.as_bytes()).ok().or_else(wrong)?;
            Some((name, value))
        });
        let headers: Vec<_> = headers.collect();
        let reads_iv =
            |template: &Template| template.origins().contains(&Origin::Given("iv".into()));
        let drawn = fresh.iter().any(|(name, _)| name == "iv");
        // In the message around the parts, a part's name means its text.
        let is_part = parts.iter().any(|(name, _)| name == "iv");
        let around = body.iter().chain(&query).chain(headers.iter().map(|(_, value)| value));
        let placed = parts.iter().map(|(_, part)| part).any(reads_iv)
            || (!is_part && around.into_iter().any(reads_iv));
        Some(Self {
            draws_iv: drawn || placed,
            inside: template("seal.inside", &names),
            header: template("seal.header", &names),
            record_bytes: reading
                .number("seal.rs", 1 << 20)
                .and_then(|bytes| u32::try_from(bytes).ok())
                .unwrap_or(4096),
            key_id: reading.text("seal.key_id").unwrap_or_default().to_owned(),
            names,
            message_names,
            fresh,
            parts,
            body,
            headers,
            query,
        })
    }

    /// The parts in order, each compiled with those before it.
    fn parts(
        compiler: &Compiler<'_>,
        part_names: &[&str],
        names: &mut Names,
        kind_of: &dyn Fn(&str) -> Option<Type>,
    ) -> Vec<(String, Template)> {
        let mut parts = Vec::new();
        for name in part_names {
            let key = format!("seal.parts.{name}");
            let text = compiler.reading.text(&key);
            let part = text.and_then(|text| compiler.template(&key, text, names));
            let Some(part) = part else { continue };
            // A later part may read it, unless its name means a value here: `iv` is bytes still.
            if kind_of(name).is_none() {
                names.announce(name, part.kind());
            }
            parts.push(((*name).to_owned(), part));
        }
        parts
    }

    /// Length of a drawn initialisation vector of a method, in bytes.
    pub(super) fn iv_bytes(method: &Method) -> usize {
        match method {
            Method::Block(choice) => choice.cipher.iv_bytes().first().copied().unwrap_or(0),
            Method::Chosen { choices, .. } => {
                choices.first().and_then(|(_, c)| c.cipher.iv_bytes().first().copied()).unwrap_or(0)
            }
            Method::Jwe(jwe) => jwe.content.iv_bytes(),
            Method::Records => 0,
        }
    }
}

/// Whether a part is known before any message is.
pub(super) fn is_fixed(part: Option<&Part>) -> bool {
    matches!(part, Some(Part::Settled(_)))
}
