//! Where values come from: what a template reads, through everything that it names.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

/// One thing that a template reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Text that is written in the template.
    Constant,
    /// The method.
    Method,
    /// `https` or `http`.
    Scheme,
    /// Host and port as sent.
    Authority,
    /// The path as sent.
    Path,
    /// Path and query as sent.
    Target,
    /// Scheme, authority, path and query.
    Url,
    /// The query as sent, empty where there is none.
    Query,
    /// All query parameters, decoded.
    QueryFields,
    /// One query parameter.
    QueryField(Arc<str>),
    /// All headers.
    Headers,
    /// One header.
    Header(Name),
    /// One cookie.
    Cookie(Arc<str>),
    /// The body as sent.
    Body,
    /// All form fields of the body.
    FormFields,
    /// The JSON document that the body is.
    JsonDocument,
    /// All elements of the XML document that the body is.
    XmlElements,
    /// One form field of the body.
    Form(Arc<str>),
    /// One JSON member of the body.
    Json(Arc<str>),
    /// One XML element of the body.
    Xml(Arc<str>),
    /// The address under which the gate is known, from configuration.
    PublicUrl,
    /// The status of a response.
    Status,
    /// The secret.
    Secret,
    /// A named value of the credential.
    Credential(Arc<str>),
    /// A value that is handed in when the message is looked at.
    Given(Arc<str>),
}

/// A header's name that can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub HeaderName);

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl Origin {
    /// Whether nobody may see it. What is handed in may be a plaintext.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Credential(_) | Self::Given(_))
    }

    /// Whether it is read from the body.
    pub fn is_body(&self) -> bool {
        let whole = matches!(self, Self::Body | Self::FormFields | Self::JsonDocument);
        whole || matches!(self, Self::XmlElements | Self::Form(_) | Self::Json(_) | Self::Xml(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("text"),
            Self::Method => f.write_str("method"),
            Self::Scheme => f.write_str("scheme"),
            Self::Authority => f.write_str("authority"),
            Self::Path => f.write_str("path"),
            Self::Target => f.write_str("target"),
            Self::Url => f.write_str("url"),
            Self::Query => f.write_str("query"),
            Self::QueryFields => f.write_str("params.query"),
            Self::QueryField(name) => write!(f, "query:{name}"),
            Self::Headers => f.write_str("params.headers"),
            Self::Header(name) => write!(f, "header:{}", name.0),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Body => f.write_str("body"),
            Self::FormFields => f.write_str("params.form"),
            Self::JsonDocument => f.write_str("params.json"),
            Self::XmlElements => f.write_str("params.xml"),
            Self::Form(name) => write!(f, "form:{name}"),
            Self::Json(path) => write!(f, "json:{path}"),
            Self::Xml(name) => write!(f, "xml:{name}"),
            Self::PublicUrl => f.write_str("url(public)"),
            Self::Status => f.write_str("status"),
            Self::Secret => f.write_str("secret"),
            Self::Credential(name) => write!(f, "cred:{name}"),
            Self::Given(name) => f.write_str(name),
        }
    }
}

/// A set of origins, each once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Adds one.
    pub fn insert(&mut self, origin: Origin) {
        if let Err(at) = self.0.binary_search(&origin) {
            self.0.insert(at, origin);
        }
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &Self) {
        other.iter().for_each(|origin| self.insert(origin.clone()));
    }

    /// Whether it is in the set.
    pub fn contains(&self, origin: &Origin) -> bool {
        self.0.binary_search(origin).is_ok()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Origin> {
        self.0.iter()
    }

    /// Whether one of them is secret.
    pub fn hold_secret(&self) -> bool {
        self.iter().any(Origin::is_secret)
    }

    /// Whether one of them is in the body.
    pub fn hold_body(&self) -> bool {
        self.iter().any(Origin::is_body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_each_origin_once() {
        let mut origins = Origins::default();
        origins.insert(Origin::Secret);
        origins.insert(Origin::Body);
        origins.insert(Origin::Secret);
        assert_eq!(origins.iter().collect::<Vec<_>>(), [&Origin::Body, &Origin::Secret]);
        assert!(origins.hold_secret() && origins.hold_body());
    }
}
