//! Structured fields (RFC 8941), more strictly than that: a key that is repeated refuses, since
//! readers differ in which one counts.

use http::header::{HeaderMap, HeaderName};
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{
    BareItemFromInput, Dictionary, FieldType as _, Item, KeyRef, List, ListEntry, ListSerializer,
    Parser, Version,
};

/// The longest structured field that is read, in bytes.
pub(super) const FIELD_BYTES_MAX: usize = 8 * 1024;
/// The most keys of a dictionary, or parameters of an item.
const KEYS_MAX: usize = 64;

/// What a structured field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dictionary,
    List,
    Item,
}

/// The type of a field, where its specification makes it a structured one.
fn kind(name: &HeaderName) -> Option<Kind> {
    match name.as_str() {
        "accept-signature"
        | "cdn-cache-control"
        | "content-digest"
        | "priority"
        | "repr-digest"
        | "signature"
        | "signature-input"
        | "want-content-digest"
        | "want-repr-digest" => Some(Kind::Dictionary),
        "accept-ch" | "cache-status" | "proxy-status" => Some(Kind::List),
        "sec-fetch-dest" | "sec-fetch-mode" | "sec-fetch-site" | "sec-fetch-user"
        | "sec-purpose" => Some(Kind::Item),
        _ => None,
    }
}

/// The values of a field as one (RFC 9110 section 5.3): without the white space around each, joined
/// by a comma and a space. `None` when there is none, or not all of it is ASCII.
pub(super) fn combined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut combined = None::<String>;
    for value in headers.get_all(name) {
        let value = std::str::from_utf8(value.as_bytes()).ok().filter(|value| value.is_ascii())?;
        let value = value.trim_matches([' ', '\t']);
        match &mut combined {
            None => combined = Some(value.to_owned()),
            Some(text) => {
                text.push_str(", ");
                text.push_str(value);
            }
        }
    }
    combined
}

/// A dictionary without repeated keys.
pub(super) fn dictionary(text: &str) -> Option<Dictionary> {
    parser(text)?.parse_dictionary_with_visitor(Unique::default()).ok()?;
    parser(text)?.parse().ok()
}

/// A member of a dictionary as it is serialized, without its key (RFC 8941 section 4.1.2).
pub(super) fn member(entry: &ListEntry) -> Option<String> {
    let mut list = ListSerializer::new();
    list.members([entry]);
    list.finish()
}

/// One member of a field that is a dictionary (RFC 9421 section 2.1.2).
pub(super) fn member_of(name: &HeaderName, text: &str, key: &str) -> Option<String> {
    if kind(name).is_some_and(|kind| kind != Kind::Dictionary) {
        return None;
    }
    let key = KeyRef::from_str(key).ok()?;
    member(dictionary(text)?.get(key)?)
}

/// A field as its specification serializes it (RFC 9421 section 2.1.1); `None` when it is not known
/// to be a structured one, or is malformed or empty.
pub(super) fn serialized(name: &HeaderName, text: &str) -> Option<String> {
    match kind(name)? {
        Kind::Dictionary => dictionary(text)?.serialize(),
        Kind::List => {
            parser(text)?.parse_list_with_visitor(Unique::default()).ok()?;
            parser(text)?.parse::<List>().ok()?.serialize()
        }
        Kind::Item => {
            parser(text)?.parse_item_with_visitor(Unique::default()).ok()?;
            Some(parser(text)?.parse::<Item>().ok()?.serialize())
        }
    }
}

fn parser(text: &str) -> Option<Parser<'_>> {
    (text.len() <= FIELD_BYTES_MAX).then(|| Parser::new(text).with_version(Version::Rfc8941))
}

/// Looks at keys, and refuses the second of the same name.
#[derive(Default)]
struct Unique<'de>(Vec<&'de KeyRef>);

#[derive(Debug, thiserror::Error)]
#[error("a repeated key, or too many")]
struct Repeated;

impl<'de> Unique<'de> {
    fn see(&mut self, key: &'de KeyRef) -> Result<(), Repeated> {
        if self.0.len() >= KEYS_MAX || self.0.contains(&key) {
            return Err(Repeated);
        }
        self.0.push(key);
        Ok(())
    }
}

impl<'de> ParameterVisitor<'de> for Unique<'de> {
    type Out = ();
    type Error = Repeated;

    fn parameter(&mut self, key: &'de KeyRef, _: BareItemFromInput<'de>) -> Result<(), Repeated> {
        self.see(key)
    }

    fn finish(self) -> Result<(), Repeated> {
        Ok(())
    }
}

impl<'de> DictionaryVisitor<'de> for Unique<'de> {
    type Out = ();
    type Error = Repeated;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Repeated> {
        self.see(key)?;
        Ok(Unique::default())
    }

    fn finish(self) -> Result<(), Repeated> {
        Ok(())
    }
}

impl<'de> ListVisitor<'de> for Unique<'de> {
    type Out = ();
    type Error = Repeated;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Repeated> {
        Ok(Unique::default())
    }

    fn finish(self) -> Result<(), Repeated> {
        Ok(())
    }
}

impl<'de> EntryVisitor<'de> for Unique<'de> {
    type Error = Repeated;

    fn item(self) -> Result<impl ItemVisitor<'de>, Repeated> {
        Ok(Unique::default())
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Repeated> {
        Ok(Unique::default())
    }
}

impl<'de> InnerListVisitor<'de> for Unique<'de> {
    type Error = Repeated;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Repeated> {
        Ok(Unique::default())
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Repeated> {
        Ok(Unique::default())
    }
}

impl<'de> ItemVisitor<'de> for Unique<'de> {
    type Out = ();
    type Error = Repeated;

    fn bare_item(
        self,
        _: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Repeated> {
        Ok(Unique::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_parameters_stand_once() {
        assert!(dictionary("a=1, b=2;x;y, c=(1 2;x);x").is_some());
        for text in ["a=1, a=2", "a=1;x;x", "a=(1;x;x)", "a=(1);x;x=1", "a=1,", "a=@1"] {
            assert!(dictionary(text).is_none(), "{text}");
        }
    }

    /// RFC 9421 section 2.1.2.
    #[test]
    fn members_are_serialized_strictly() {
        let name = HeaderName::from_static("example-dict");
        let text = "a=1, b=2;x=1;y=2, c=(a   b    c), d";
        for (key, value) in [("a", "1"), ("d", "?1"), ("b", "2;x=1;y=2"), ("c", "(a b c)")] {
            assert_eq!(member_of(&name, text, key).as_deref(), Some(value));
        }
        assert_eq!(member_of(&name, text, "e"), None);
        assert_eq!(member_of(&HeaderName::from_static("accept-ch"), text, "a"), None);
    }

    /// RFC 9421 section 2.1.1, with a dictionary that has a specification.
    #[test]
    fn known_fields_are_serialized_strictly() {
        let priority = HeaderName::from_static("priority");
        let text = "a=1,    b=2;x=1;y=2,   c=(a   b   c)";
        let strict = "a=1, b=2;x=1;y=2, c=(a b c)";
        assert_eq!(serialized(&priority, text).as_deref(), Some(strict));
        assert_eq!(serialized(&HeaderName::from_static("x-own"), text), None);
        let list = HeaderName::from_static("accept-ch");
        assert_eq!(serialized(&list, "a,b;c=1").as_deref(), Some("a, b;c=1"));
        let item = HeaderName::from_static("sec-fetch-mode");
        assert_eq!(serialized(&item, " cors ").as_deref(), Some("cors"));
    }
}
