//! Files with messages, run against envelopes: a message that must open, a text that must seal to
//! that very message, and altered messages that must be refused.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use countersign::envelope::{CannotOpen, Envelope, Fixed, Message, Parts};
use countersign::recipe::json::{Json, Style};
use countersign::recipe::path;
use countersign::secret::NamedSecrets;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use zeroize::Zeroizing;

use super::TestArguments;
use super::message::Parcel;
use crate::cli::Failure;

/// What came of one message.
struct Outcome {
    id: String,
    name: String,
    expected: &'static str,
    found: &'static str,
}

impl Outcome {
    fn holds(&self) -> bool {
        self.expected == self.found
    }
}

pub(super) fn run(arguments: &TestArguments) -> Result<(), Failure> {
    let all = arguments.source.all()?;
    let mut out = anstream::stdout().lock();
    let (mut good, mut bad) = (0_usize, 0_usize);
    for path in &arguments.vectors {
        let bytes = std::fs::read(path)
            .map_err(|e| Failure::because(format_args!("cannot read {}", path.display()), &e))?;
        let file = File::read(path, &bytes)?;
        let id = file.text("id").ok_or_else(|| file.wrong("id is missing"))?;
        let envelope = all.iter().find(|envelope| envelope.name() == id);
        let outcomes = match envelope {
            Some(envelope) => file.outcomes(&id, envelope)?,
            None => vec![Outcome {
                id,
                name: "envelope".into(),
                expected: "is known",
                found: "is not known",
            }],
        };
        for outcome in outcomes {
            if outcome.holds() {
                good += 1
            } else {
                bad += 1
            }
            let Outcome { id, name, expected, found } = &outcome;
            let holds = outcome.holds();
            if arguments.json {
                let (expect, case) = (expected, name);
                let line = json!({
                    "id": id, "case": case, "expect": expect, "found": found, "holds": holds,
                });
                writeln!(out, "{line}")?;
            } else if holds {
                writeln!(out, "ok    {id}: {name}: {found}")?;
            } else {
                writeln!(out, "FAIL  {id}: {name}: expected {expected}, found {found}")?;
            }
        }
    }
    if !arguments.json {
        writeln!(out, "{good} hold, {bad} do not")?;
    }
    if bad == 0 { Ok(()) } else { Err(Failure::told()) }
}

/// A file of messages.
struct File<'f> {
    path: &'f Path,
    json: Json<'f>,
}

/// The member at a path.
fn at<'j, 'a>(json: &'j Json<'a>, path: &str) -> Option<&'j Json<'a>> {
    json.get(&path::Path::parse(path).ok()?)
}

fn text_of(json: Option<&Json<'_>>) -> Option<String> {
    json?.text().ok().map(std::borrow::Cow::into_owned)
}

fn members<'j, 'a>(json: Option<&'j Json<'a>>) -> &'j [(std::borrow::Cow<'a, str>, Json<'a>)] {
    match json {
        Some(Json::Object(members)) => members,
        _ => &[],
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// Texts of a list, as bytes.
fn hex_list(json: &Json<'_>) -> Option<Vec<Vec<u8>>> {
    let Json::Array(items) = json else { return None };
    items.iter().map(|item| unhex(&item.text().ok()?)).collect()
}

impl<'f> File<'f> {
    fn read(path: &'f Path, bytes: &'f [u8]) -> Result<Self, Failure> {
        let json = Json::parse(bytes).map_err(|e| {
            Failure::failed(format_args!("{}: not JSON with unique members: {e}", path.display()))
        })?;
        Ok(Self { path, json })
    }

    fn wrong(&self, what: &str) -> Failure {
        Failure::failed(format_args!("{}: {what}", self.path.display()))
    }

    fn text(&self, path: &str) -> Option<String> {
        text_of(at(&self.json, path))
    }

    fn outcomes(&self, id: &str, envelope: &Envelope) -> Result<Vec<Outcome>, Failure> {
        let plain = self.text("vector.plaintext");
        let plain = plain.ok_or_else(|| self.wrong("vector.plaintext is missing"))?;
        let outcome = |name: &str, expected, found| Outcome {
            id: id.to_owned(),
            name: name.to_owned(),
            expected,
            found,
        };
        let parcel = self.parcel(None)?;
        let mut all = vec![outcome("vector", "opens", self.open(envelope, &parcel, None, &plain))];
        if at(&self.json, "vector.seal").is_some() {
            let found = self.seal(envelope, &parcel, &plain).unwrap_or("does not seal");
            all.push(outcome("seal", "seals to it", found));
        }
        let Some(Json::Array(cases)) = at(&self.json, "cases") else { return Ok(all) };
        for case in cases {
            let name = text_of(at(case, "name")).unwrap_or_default();
            let expected = match text_of(at(case, "expect")).as_deref() {
                Some("open") => "opens",
                Some("refuse") => "is refused",
                _ => return Err(self.wrong("a case expects `open` or `refuse`")),
            };
            let plain = text_of(at(case, "plaintext")).unwrap_or_else(|| plain.clone());
            let parcel = self.parcel(Some(case))?;
            all.push(outcome(&name, expected, self.open(envelope, &parcel, Some(case), &plain)));
        }
        Ok(all)
    }

    /// The vector's message with what a case replaces.
    fn parcel(&self, case: Option<&Json<'_>>) -> Result<Parcel, Failure> {
        let vector = at(&self.json, "vector").ok_or_else(|| self.wrong("vector is missing"))?;
        let pick = |name: &str| {
            let own = case.and_then(|case| at(case, name));
            text_of(own).or_else(|| text_of(at(vector, name)))
        };
        let own_body = case.filter(|case| at(case, "body").or(at(case, "body_base64")).is_some());
        let from = own_body.unwrap_or(vector);
        let body = match (text_of(at(from, "body")), text_of(at(from, "body_base64"))) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(text)) => {
                BASE64_STANDARD.decode(text).map_err(|_| self.wrong("body_base64 is no base64"))?
            }
            (None, None) => Vec::new(),
        };
        let target = pick("query").map_or_else(|| "/".to_owned(), |query| format!("/?{query}"));
        let mut headers = HeaderMap::new();
        let own = members(case.and_then(|case| at(case, "headers")));
        for (name, value) in members(at(vector, "headers")).iter().chain(own) {
            let header = HeaderName::from_bytes(name.as_bytes());
            let header = header.map_err(|_| self.wrong("a header has a bad name"))?;
            match value.text().ok().and_then(|text| HeaderValue::from_str(&text).ok()) {
                Some(value) => drop(headers.insert(header, value)),
                None => drop(headers.remove(header)),
            }
        }
        let body = vec![Bytes::from(body)];
        Ok(Parcel { method: "POST".into(), target, headers, body, ..Parcel::default() })
    }

    /// All secrets by name; the first of them is the secret itself.
    fn secrets(&self, case: Option<&Json<'_>>) -> (Option<Vec<u8>>, NamedSecrets) {
        let own = members(case.and_then(|case| at(case, "secrets")));
        let all = members(at(&self.json, "vector.secrets"));
        let mut values = NamedSecrets::default();
        for (name, value) in all.iter().chain(own) {
            values.insert(name, value.flat_text().into_owned().into_bytes());
        }
        let first = all.first().and_then(|(name, _)| values.get(name).map(<[u8]>::to_vec));
        (first, values)
    }

    fn open(
        &self,
        envelope: &Envelope,
        parcel: &Parcel,
        case: Option<&Json<'_>>,
        plain: &str,
    ) -> &'static str {
        let (secret, values) = self.secrets(case);
        let Ok(prepared) = envelope.prepare(secret.as_deref(), &values) else {
            return "has secrets that do not fit";
        };
        match envelope.open(&prepared, &parcel.subject()) {
            Ok(opened) if *opened.text == *plain.as_bytes() => "opens",
            Ok(_) => "opens to another text",
            Err(CannotOpen) => "is refused",
        }
    }

    fn seal(
        &self,
        envelope: &Envelope,
        parcel: &Parcel,
        plain: &str,
    ) -> Result<&'static str, CannotOpen> {
        let (secret, values) = self.secrets(None);
        let prepared = envelope.prepare(secret.as_deref(), &values)?;
        let fixed = self.fixed();
        let wrapped = fixed.values.iter().any(|(name, _)| name == "wrapped");
        let frame = |parts: &Parts| self.frame(parts);
        let sealed = envelope.seal(&prepared, plain.as_bytes(), &fixed, Some(&frame))?;
        let body = parcel.body.concat();
        let query = parcel.target.strip_prefix("/?").unwrap_or_default();
        let headers: HeaderMap = sealed.headers.iter().cloned().collect();
        let same = *sealed.body == body && sealed.query == query && headers == parcel.headers;
        if same {
            return Ok("seals to it");
        }
        if !envelope.is_costly() || wrapped {
            return Ok("seals to another message");
        }
        // A key is wrapped anew each time: the message must open, that is all.
        let target =
            if sealed.query.is_empty() { "/".to_owned() } else { format!("/?{}", sealed.query) };
        let body = vec![Bytes::copy_from_slice(&sealed.body)];
        let again = Parcel { method: "POST".into(), target, headers, body, ..Parcel::default() };
        let opens = self.open(envelope, &again, None, plain) == "opens";
        Ok(if opens { "seals to it" } else { "seals to a message that does not open" })
    }

    /// What the file sets instead of random values.
    fn fixed(&self) -> Fixed {
        let mut fixed = Fixed::default();
        for (name, value) in members(at(&self.json, "vector.seal")) {
            let mut set = |name: &str, value: Option<Vec<u8>>| {
                fixed.values.extend(value.map(|value| (name.to_owned(), Zeroizing::new(value))));
            };
            match (&**name, value) {
                ("template" | "headers" | "query", _) => {}
                ("jwe_header", header) => set("header", Some(header.write(Style::COMPACT).into())),
                ("wrapped_key_hex", value) => {
                    set("wrapped", text_of(Some(value)).and_then(|text| unhex(&text)));
                }
                ("iv_hex", list @ Json::Array(_)) => {
                    fixed.member_ivs = hex_list(list).unwrap_or_default();
                }
                ("records_hex", list) => fixed.records = hex_list(list).unwrap_or_default(),
                ("rs", value) => {
                    fixed.record_bytes = text_of(Some(value)).and_then(|text| text.parse().ok());
                }
                (name, value) => match (name.strip_suffix("_hex"), text_of(Some(value))) {
                    (Some(name), Some(text)) => set(name, unhex(&text)),
                    (None, text) => set(name, text.map(String::into_bytes)),
                    (Some(_), None) => {}
                },
            }
        }
        fixed
    }

    /// The file's own message around the parts.
    fn frame(&self, parts: &Parts) -> Result<Message, CannotOpen> {
        let seal = at(&self.json, "vector.seal").ok_or(CannotOpen)?;
        let mut message = Message::default();
        let template = text_of(at(seal, "template")).unwrap_or_default();
        message.body = if template.is_empty() {
            let data = parts.iter().find(|(name, _)| name == "data").ok_or(CannotOpen)?;
            data.1.clone()
        } else {
            Zeroizing::new(self.fill(&template, parts, "form")?.into_bytes())
        };
        for (name, value) in members(at(seal, "headers")) {
            let value = self.fill(&value.flat_text(), parts, "")?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| CannotOpen)?;
            message.headers.push((name, HeaderValue::from_str(&value).map_err(|_| CannotOpen)?));
        }
        let query = text_of(at(seal, "query")).unwrap_or_default();
        message.query = self.fill(&query, parts, "query")?;
        Ok(message)
    }

    /// Puts parts into their holes; percent-encoded where they travel in an `encoded` place.
    fn fill(&self, template: &str, parts: &Parts, encoded: &str) -> Result<String, CannotOpen> {
        let places = members(at(&self.json, "where"));
        let place = |name: &str| {
            let own = places.iter().find(|(own, _)| *own == name).or(places.first());
            own.and_then(|(_, place)| text_of(at(place, "in")))
        };
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(CannotOpen)?;
            let (_, part) = parts.iter().find(|(own, _)| own == name).ok_or(CannotOpen)?;
            let part = std::str::from_utf8(part).map_err(|_| CannotOpen)?;
            text.push_str(before);
            if place(name).as_deref() == Some(encoded) {
                text.push_str(&percent(part));
            } else {
                text.push_str(part);
            }
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// Text as form values and query parameters have it.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
