//! The sources of the language: what a pipeline can begin with.

use std::sync::Arc;

use http::HeaderName;

use crate::recipe::mistake::Mistake;
use crate::recipe::origin::{Name, Origin};
use crate::recipe::path::Path;
use crate::recipe::syntax::Word;
use crate::recipe::value::Type;

/// What a pipeline reads first, with every name resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Text written in the template.
    Literal(Box<str>),
    Method,
    Scheme,
    Authority,
    Host,
    Port,
    Path,
    /// A segment of the path, from 0.
    Segment(usize),
    Target,
    Query,
    Url,
    PublicUrl,
    Status,
    Body,
    Header(HeaderName),
    HeaderAll(HeaderName),
    Cookie(Arc<str>),
    QueryField(Arc<str>),
    QueryAll(Arc<str>),
    Form(Arc<str>),
    FormAll(Arc<str>),
    /// A JSON member: its path, and that as written.
    Json(Arc<Path>, Arc<str>),
    Xml(Arc<str>),
    XmlAll(Arc<str>),
    QueryFields,
    FormFields,
    JsonDocument,
    XmlElements,
    Headers,
    Secret,
    Credential(Arc<str>),
    /// A name of the scope.
    Named(usize),
    /// A member of a name of the scope that is JSON or pairs.
    Member(usize, Arc<Path>, Arc<str>),
}

/// A source that is one word, with what it gives in a line.
type Plain = (&'static str, fn() -> Source, &'static str);

static WORDS: [Plain; 18] = [
    ("method", || Source::Method, "The method."),
    ("scheme", || Source::Scheme, "`https` or `http`."),
    ("authority", || Source::Authority, "Host and port as sent."),
    ("host", || Source::Host, "The host as sent, without a port."),
    ("port", || Source::Port, "The port, where one was sent."),
    ("path", || Source::Path, "The path as sent."),
    ("target", || Source::Target, "Path and query as sent."),
    ("query", || Source::Query, "The query as sent, without `?`; empty where there is none."),
    ("url", || Source::Url, "Scheme, `://`, authority and target."),
    ("url(public)", || Source::PublicUrl, "The public address, as configured."),
    ("status", || Source::Status, "The status of a response."),
    ("body", || Source::Body, "The body as sent."),
    ("secret", || Source::Secret, "The secret."),
    ("params.query", || Source::QueryFields, "All query parameters, decoded, in order."),
    ("params.form", || Source::FormFields, "All form fields of the body, decoded, in order."),
    ("params.json", || Source::JsonDocument, "The body, read as JSON."),
    ("params.xml", || Source::XmlElements, "The children of the XML root that hold text."),
    ("params.headers", || Source::Headers, "All headers, names in lower case."),
];

/// Makes a source of the name that is asked for, which was written at a place.
type Make = fn(&Word<'_>) -> Result<Source, Mistake>;

/// A source that takes a name, with what it gives in a line.
type Naming = (&'static str, Make, &'static str);

static NAMING: [Naming; 12] = [
    ("header", |name| header(name).map(Source::Header), "A header, which must be there once."),
    ("header_all", |name| header(name).map(Source::HeaderAll), "All values of a header."),
    ("cookie", |name| Ok(Source::Cookie(text(name))), "A cookie."),
    ("query", |name| Ok(Source::QueryField(text(name))), "The first query parameter of a name."),
    ("query_all", |name| Ok(Source::QueryAll(text(name))), "All query parameters of a name."),
    ("form", |name| Ok(Source::Form(text(name))), "The first form field of a name."),
    ("form_all", |name| Ok(Source::FormAll(text(name))), "All form fields of a name."),
    ("json", |name| path(name).map(|path| Source::Json(path, text(name))), "A JSON member."),
    ("xml", |name| Ok(Source::Xml(text(name))), "An XML element, which must be there once."),
    ("xml_all", |name| Ok(Source::XmlAll(text(name))), "All XML elements of a name."),
    ("cred", |name| Ok(Source::Credential(text(name))), "A value of the credential."),
    ("path", |name| segment(name).map(Source::Segment), "A segment of the path, from 0."),
];

/// Every source as it is written, with what it gives in a line.
pub fn sources() -> impl Iterator<Item = (String, &'static str)> {
    let words = WORDS.iter().map(|(name, _, about)| ((*name).to_owned(), *about));
    words.chain(NAMING.iter().map(|(name, _, about)| (format!("{name}:…"), *about)))
}

/// Whether a name means a source, so that nothing else can have it.
pub(crate) fn is_source(name: &str) -> bool {
    WORDS.iter().any(|(own, ..)| *own == name)
}

/// The words that a source can begin with.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(name, ..)| *name).chain(NAMING.iter().map(|(name, ..)| *name))
}

/// The source that one word means.
pub(crate) fn plain(word: &str) -> Option<Source> {
    WORDS.iter().find(|(own, ..)| *own == word).map(|(_, source, _)| source())
}

/// The source that a word with a name means; `None` if the word takes none.
pub(crate) fn naming(word: &str, name: &Word<'_>) -> Option<Result<Source, Mistake>> {
    NAMING.iter().find(|(own, ..)| *own == word).map(|(_, make, _)| make(name))
}

/// Whether a word takes a name.
pub(crate) fn takes_name(word: &str) -> bool {
    NAMING.iter().any(|(own, ..)| *own == word)
}

fn text(name: &Word<'_>) -> Arc<str> {
    Arc::from(&*name.text)
}

fn header(name: &Word<'_>) -> Result<HeaderName, Mistake> {
    HeaderName::from_bytes(name.text.as_bytes()).map_err(|_| {
        Mistake::new(name.span.clone(), format!("'{}' cannot be a header's name", name.text))
    })
}

fn path(name: &Word<'_>) -> Result<Arc<Path>, Mistake> {
    let path = Path::parse(&name.text).map_err(|problem| Mistake::new(name.span.clone(), problem));
    path.map(Arc::new)
}

fn segment(name: &Word<'_>) -> Result<usize, Mistake> {
    name.text.parse().map_err(|_| {
        Mistake::new(name.span.clone(), "a segment of the path has a number, counted from 0")
    })
}

impl Source {
    /// Its type; for names of the scope the caller knows it.
    pub(crate) fn kind(&self) -> Type {
        match self {
            Self::Body | Self::Secret | Self::Credential(_) => Type::Bytes,
            Self::HeaderAll(_) | Self::QueryAll(_) | Self::FormAll(_) | Self::XmlAll(_) => {
                Type::List
            }
            Self::QueryFields | Self::FormFields | Self::XmlElements | Self::Headers => Type::Pairs,
            Self::Json(..) | Self::JsonDocument => Type::Json,
            _ => Type::Text,
        }
    }

    /// What it reads; `None` for names of the scope, which read what they stand for.
    pub(crate) fn origin(&self) -> Option<Origin> {
        Some(match self {
            Self::Literal(_) => Origin::Constant,
            Self::Method => Origin::Method,
            Self::Scheme => Origin::Scheme,
            Self::Authority | Self::Host | Self::Port => Origin::Authority,
            Self::Path | Self::Segment(_) => Origin::Path,
            Self::Target => Origin::Target,
            Self::Query => Origin::Query,
            Self::Url => Origin::Url,
            Self::PublicUrl => Origin::PublicUrl,
            Self::Status => Origin::Status,
            Self::Body => Origin::Body,
            Self::Header(name) | Self::HeaderAll(name) => Origin::Header(Name(name.clone())),
            Self::Cookie(name) => Origin::Cookie(name.clone()),
            Self::QueryField(name) | Self::QueryAll(name) => Origin::QueryField(name.clone()),
            Self::Form(name) | Self::FormAll(name) => Origin::Form(name.clone()),
            Self::Json(_, path) => Origin::Json(path.clone()),
            Self::Xml(name) | Self::XmlAll(name) => Origin::Xml(name.clone()),
            Self::QueryFields => Origin::QueryFields,
            Self::FormFields => Origin::FormFields,
            Self::JsonDocument => Origin::JsonDocument,
            Self::XmlElements => Origin::XmlElements,
            Self::Headers => Origin::Headers,
            Self::Secret => Origin::Secret,
            Self::Credential(name) => Origin::Credential(name.clone()),
            Self::Named(_) | Self::Member(..) => return None,
        })
    }

    /// Whether it stands for its whole origin, and not for a part of it.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self, Self::Host | Self::Port | Self::Segment(_) | Self::Member(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word<'_> {
        Word { text: text.into(), span: 0..text.len() }
    }

    #[test]
    fn names_are_checked_when_they_are_compiled() {
        let header = naming("header", &word("X-API-KEY")).unwrap().unwrap();
        assert_eq!(header, Source::Header(HeaderName::from_static("x-api-key")));
        assert!(naming("header", &word("X Y")).unwrap().is_err());
        assert!(naming("json", &word("a..b")).unwrap().is_err());
        assert!(naming("path", &word("x")).unwrap().is_err());
        assert!(naming("body", &word("x")).is_none());
    }

    #[test]
    fn sources_are_listed_once() {
        let mut all: Vec<String> = sources().map(|(name, _)| name).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
