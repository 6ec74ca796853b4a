//! What a signature covers, by its identifier (RFC 9421 section 2).
//!
//! An identifier keeps its parameters in the order in which they were sent, since that is what is
//! signed; two that differ in that order alone are the same.

use std::fmt;

use http::HeaderName;
use sfv::{BareItem, FieldType as _, Item};

use super::fault::Fault;

/// A component identifier.
#[derive(Clone, Debug)]
pub struct Component {
    /// As it is serialized: the name in quotes, and the parameters.
    text: Box<str>,
    pub(super) name: Name,
    pub(super) parameters: Parameters,
}

/// What a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A header field.
    Field(HeaderName),
    /// `@method`.
    Method,
    /// `@target-uri`.
    TargetUri,
    /// `@authority`.
    Authority,
    /// `@scheme`.
    Scheme,
    /// `@request-target`.
    RequestTarget,
    /// `@path`.
    Path,
    /// `@query`.
    Query,
    /// `@query-param` of a name, percent-encoded.
    QueryParam(Box<str>),
    /// `@status`.
    Status,
}

/// How the value of a component is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// `sf`: serialized as a structured field.
    pub(super) strict: bool,
    /// `bs`: each value of the field by itself, in base64.
    pub(super) wrapped: bool,
    /// `req`: of the request that the response answers.
    pub(super) of_request: bool,
    /// `key`: one member of a dictionary.
    pub(super) key: Option<Box<str>>,
}

impl Component {
    /// A component by its identifier, such as `@method`, `content-type` or
    /// `"content-digest";req`. A name without parameters may stand without quotes.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn of(text: &str) -> Result<Self, Fault> {
        let quoted = if text.starts_with('"') { text.to_owned() } else { format!("\"{text}\"") };
        let item = sfv::Parser::new(&quoted).parse::<Item>();
        let item = item.map_err(|_| Fault::Component(text.into()))?;
        Self::from_item(&item)
    }

    /// A component by its item in `Signature-Input`.
    pub(super) fn from_item(item: &Item) -> Result<Self, Fault> {
        let text: Box<str> = item.serialize().into();
        let (name, parameters) = parts(item).ok_or_else(|| Fault::Component(text.clone()))?;
        Ok(Self { text, name, parameters })
    }

    /// As it is serialized.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same component of the request that a response answers.
    pub(super) fn of_request(&self) -> Self {
        let mut component = self.clone();
        if !component.parameters.of_request {
            component.parameters.of_request = true;
            component.text = format!("{};req", self.text).into();
        }
        component
    }

    /// Whether it is a field, however its value is taken, unless that is from the request.
    pub(super) fn is_field(&self, field: &HeaderName) -> bool {
        matches!(&self.name, Name::Field(name) if name == field) && !self.parameters.of_request
    }

    pub(super) fn item(&self) -> Option<Item> {
        sfv::Parser::new(&*self.text).parse().ok()
    }
}

impl PartialEq for Component {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.parameters) == (&other.name, &other.parameters)
    }
}

impl Eq for Component {}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an identifier says; `None` where it says something that is not understood.
fn parts(item: &Item) -> Option<(Name, Parameters)> {
    let BareItem::String(name) = &item.bare_item else { return None };
    let mut parameters = Parameters::default();
    let mut query_name = None;
    for (parameter, value) in &item.params {
        match (parameter.as_str(), value) {
            ("sf", BareItem::Boolean(true)) => parameters.strict = true,
            ("bs", BareItem::Boolean(true)) => parameters.wrapped = true,
            ("req", BareItem::Boolean(true)) => parameters.of_request = true,
            ("key", BareItem::String(key)) => parameters.key = Some(key.as_str().into()),
            ("name", BareItem::String(name)) => query_name = Some(name.as_str().into()),
            // `tr` as well: trailers are not kept.
            _ => return None,
        }
    }
    let name = match (name.as_str(), query_name) {
        ("@query-param", Some(name)) => Name::QueryParam(name),
        (_, Some(_)) => return None,
        ("@method", None) => Name::Method,
        ("@target-uri", None) => Name::TargetUri,
        ("@authority", None) => Name::Authority,
        ("@scheme", None) => Name::Scheme,
        ("@request-target", None) => Name::RequestTarget,
        ("@path", None) => Name::Path,
        ("@query", None) => Name::Query,
        ("@status", None) => Name::Status,
        (name, None) => Name::Field(HeaderName::from_lowercase(name.as_bytes()).ok()?),
    };
    let structured = parameters.strict || parameters.key.is_some();
    let conflict = match &name {
        Name::Field(_) => parameters.wrapped && structured,
        // A status belongs to no request.
        Name::Status => structured || parameters.wrapped || parameters.of_request,
        _ => structured || parameters.wrapped,
    };
    (!conflict).then_some((name, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_and_kept() {
        for text in [
            "\"@method\"",
            "\"content-digest\";req",
            "\"@query-param\";name=\"Pet\"",
            "\"x\";sf;req",
            "\"x\";key=\"a b\"",
            "\"x\";bs",
        ] {
            assert_eq!(Component::of(text).unwrap().as_str(), text);
        }
        assert_eq!(Component::of("@path").unwrap().as_str(), "\"@path\"");
    }

    #[test]
    fn the_order_of_parameters_makes_no_difference() {
        let [one, two] = ["\"x\";sf;req", "\"x\";req;sf"].map(|text| Component::of(text).unwrap());
        assert_eq!(one, two);
        assert_ne!(one, Component::of("\"x\";sf").unwrap());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "\"@unknown\"",
            "\"@signature-params\"",
            "\"Content-Type\"",
            "\"x y\"",
            "\"\"",
            "\"@query-param\"",
            "\"@method\";name=\"a\"",
            "\"@method\";sf",
            "\"@path\";bs",
            "\"@status\";req",
            "\"x\";tr",
            "\"x\";sf;bs",
            "\"x\";key=\"a\";bs",
            "\"x\";sf=?0",
            "\"x\";sf=1",
            "\"x\";key=a",
            "\"x\";other",
            "\"x",
        ] {
            assert_eq!(Component::of(text), Err(Fault::Component(shown(text))), "{text}");
        }
    }

    /// What the fault names: the identifier as it is serialized.
    fn shown(text: &str) -> Box<str> {
        text.into()
    }
}
