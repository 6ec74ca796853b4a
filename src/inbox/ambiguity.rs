//! Messages that two readers could read differently. Where a signature covers some fields and not
//! the whole body, whoever sees a message can add to it; what is handed on must then mean to the
//! merchant's service what was verified here.

use std::collections::HashSet;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::recipe::form::{self, Plus};
use crate::recipe::{Fault, Subject};
use crate::scheme::Strength;

use super::message::Misshapen;
use super::source::Source;

/// Checks that a message has one reading, where its signature alone does not see to that.
///
/// # Errors
/// A field that stands there twice, of which some take the first and some the last; or a media type
/// by which others read other fields.
pub(super) fn check(source: &Source, subject: &Subject<'_>) -> Result<(), Misshapen> {
    if source.strength >= Strength::Full {
        return Ok(());
    }
    let scheme = &source.scheme;
    let kind = MediaType::of(subject.headers);
    let fits = match scheme.reads_form() {
        true => kind == MediaType::Form,
        false => kind == MediaType::Other,
    };
    if !fits {
        return Err(misshapen("Content-Type"));
    }
    if scheme.reads_form() {
        each_once(&subject.body.concat())?;
    }
    if scheme.reads_query() {
        each_once(subject.query().as_bytes())?;
    }
    Ok(())
}

/// How the body is read by who goes by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaType {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Any `multipart/…`.
    Multipart,
    /// Something else, or not said.
    Other,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Self {
        // There is one at most: a head with several is refused at the door.
        let text = headers.get(CONTENT_TYPE);
        let text = text.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let text = text.unwrap_or_default().to_ascii_lowercase();
        let essence = text.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/x-www-form-urlencoded" => Self::Form,
            one if one.starts_with("multipart/") => Self::Multipart,
            _ => Self::Other,
        }
    }
}

/// Every name stands in a form or query once, as PHP and others see names as well: up to a bracket,
/// with a dot or a space as a line below.
fn each_once(text: &[u8]) -> Result<(), Misshapen> {
    let mut seen = HashSet::new();
    for field in text.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        let name = field.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = form::decode(name, Plus::Space).map_err(|_: Fault| misshapen("fields"))?;
        let name = name.split(['[', '\0']).next().unwrap_or_default();
        let name = name.trim_start_matches(' ').replace(['.', ' '], "_");
        if !seen.insert(name) {
            return Err(misshapen("a field that stands there twice"));
        }
    }
    Ok(())
}

fn misshapen(what: &str) -> Misshapen {
    Misshapen { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_there_once_however_it_is_written() {
        for good in ["", "a=1", "a=1&b=2", "a=1&&b=", "A=1&a=2", "a=1&b=a=1"] {
            assert!(each_once(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "a=1&a=2",
            "a=1&%61=2",
            "a&a",
            "a=1&a[]=2",
            "a=1&a[x]=2",
            "a_b=1&a.b=2",
            "a_b=1&a+b=2",
            "a=1&+a=2",
            "a=1&a%00x=2",
            "=1&=2",
        ] {
            assert!(each_once(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn media_types_are_told_apart() {
        let of = |values: &[&str]| {
            let named = |value: &&str| (CONTENT_TYPE, value.parse().unwrap());
            MediaType::of(&values.iter().map(named).collect())
        };
        assert_eq!(of(&[]), MediaType::Other);
        let form = "Application/X-WWW-Form-Urlencoded ; charset=utf-8";
        assert_eq!(of(&[form]), MediaType::Form);
        assert_eq!(of(&["multipart/form-data; boundary=x"]), MediaType::Multipart);
        assert_eq!(of(&["application/json"]), MediaType::Other);
    }
}
