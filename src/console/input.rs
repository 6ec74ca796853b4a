//! The input of a verb from what a call brings: members of the path, parameters of the query, the
//! body, and two headers. What the verb does not take is refused by the verb.

use std::fmt;

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH};
use http::request::Parts as Head;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::administration::clearable::is_clearable;
use crate::administration::{Code, Method, Problem, Verb};
use crate::recipe::form;

use super::body::takes_body;
use super::refusal::Refusal;
use super::route::Found;

/// The member that `If-Match` brings: the revision that a change is meant for.
pub(super) const REVISION: &str = "revision";
/// The member that `Idempotency-Key` brings.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";
const IDEMPOTENCY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Puts the input together.
pub(super) fn read(
    found: &Found,
    head: &Head,
    body: Option<Zeroizing<Vec<u8>>>,
) -> Result<Map<String, Value>, Refusal> {
    let form = Form::of(found.verb);
    let mut input = body.map_or_else(|| Ok(Map::new()), |body| members(&body))?;
    let query = head.uri.query().unwrap_or_default();
    match takes_body(found.verb.method) {
        true if query.is_empty() => {}
        true => return Err(Refusal::input("what is to be done stands in the body, not the query")),
        false => form.parameters(query, &mut input)?,
    }
    for (name, header) in [(REVISION, "If-Match"), (IDEMPOTENCY_KEY, "Idempotency-Key")] {
        if input.contains_key(name) {
            return Err(Refusal::input(format!("{name} is said by the header {header}")));
        }
    }
    if found.verb.method == Method::Patch {
        form.refuse_null(&input)?;
    }
    for (name, value) in &found.members {
        if input.insert((*name).to_owned(), form.value(name, value)).is_some() {
            return Err(Refusal::input(format!("{name} stands in the path")));
        }
    }
    if let Some(revision) = revision(&head.headers)? {
        if !form.takes(REVISION) {
            return Err(Refusal::input("If-Match is not for this: it has no revision"));
        }
        input.insert(REVISION.to_owned(), revision.into());
    }
    // Where it is not taken, doing the same twice is doing it once.
    if let Some(key) = idempotency_key(&head.headers)?
        && form.takes(IDEMPOTENCY_KEY)
    {
        input.insert(IDEMPOTENCY_KEY.to_owned(), key.into());
    }
    Ok(input)
}

/// The members of a verb's input and how their text is read.
struct Form(Map<String, Value>);

/// How the text of a member becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    Number,
    Truth,
}

impl Form {
    fn of(verb: &Verb) -> Self {
        let schema = verb.input_schema().to_value();
        let properties = schema.get("properties").and_then(Value::as_object);
        Self(properties.cloned().unwrap_or_default())
    }

    fn takes(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What a text stands for. One that is not of the form stays text, which the verb refuses.
    fn value(&self, name: &str, text: &str) -> Value {
        self.0.get(name).map_or(Shape::Text, Shape::of).read(text)
    }

    /// Refuses `null` for a member of an update that cannot be empty: whoever sends it means
    /// something other than to leave it as it is.
    fn refuse_null(&self, input: &Map<String, Value>) -> Result<(), Refusal> {
        let stays = |name: &str| self.0.get(name).is_some_and(|schema| !is_clearable(schema));
        match input.iter().find(|(name, value)| value.is_null() && stays(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::input(format!(
                "{name} is null, and cannot be emptied: give it a value, or leave it out"
            ))),
        }
    }

    /// Adds the parameters of a query. One that is a list stands there once for each item.
    fn parameters(&self, query: &str, input: &mut Map<String, Value>) -> Result<(), Refusal> {
        let pairs = form::parse(query.as_bytes());
        let pairs = pairs.map_err(|_| Refusal::input("the query is no form in UTF-8"))?;
        for (name, text) in pairs {
            let items = self.0.get(&*name).and_then(|schema| schema.get("items"));
            match (items, input.get_mut(&*name)) {
                (Some(items), Some(Value::Array(list))) => list.push(Shape::of(items).read(&text)),
                (Some(items), _) => {
                    let list = vec![Shape::of(items).read(&text)];
                    input.insert(name.into_owned(), list.into());
                }
                (None, None) => {
                    let value = self.value(&name, &text);
                    input.insert(name.into_owned(), value);
                }
                (None, Some(_)) => {
                    return Err(Refusal::input("a parameter of the query stands there twice"));
                }
            }
        }
        Ok(())
    }
}

impl Shape {
    fn of(schema: &Value) -> Self {
        let is = |word: &str| match schema.get("type") {
            Some(Value::String(own)) => own == word,
            Some(Value::Array(all)) => all.iter().any(|own| own == word),
            _ => false,
        };
        match () {
            () if is("integer") || is("number") => Self::Number,
            () if is("boolean") => Self::Truth,
            () => Self::Text,
        }
    }

    fn read(self, text: &str) -> Value {
        let read = match self {
            Self::Text => None,
            Self::Number if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse::<u64>().ok().map(Value::from)
            }
            Self::Number => None,
            Self::Truth => text.parse::<bool>().ok().map(Value::from),
        };
        read.unwrap_or_else(|| text.into())
    }
}

/// The revision that `If-Match` names (RFC 9110, section 13.1.1); none for `*`.
fn revision(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(text) = single(headers, &IF_MATCH)? else { return Ok(None) };
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(tag) = tag else {
        let detail = "If-Match is one ETag of an earlier answer, such as \"7\" in its quotes, or *";
        return Err(Refusal::input(detail));
    };
    match Shape::Number.read(tag) {
        Value::Number(revision) if !tag.is_empty() => Ok(revision.as_u64()),
        _ => Err(Problem::new(Code::Changed, "no revision ever had this ETag").into()),
    }
}

/// The key of a call that may be repeated, with or without quotes.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let text = single(headers, &IDEMPOTENCY_HEADER)?;
    Ok(text.map(|text| {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        bare.unwrap_or(text).to_owned()
    }))
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Refusal::input(format!("{name} is not visible ASCII"))),
        },
        (Some(_), Some(_)) => Err(Refusal::input(format!("{name} stands there twice"))),
    }
}

/// The members of a JSON object. One that stands there twice would be read one way here and another
/// way elsewhere, so it is refused.
fn members(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let read = serde_json::from_slice::<Members>(body);
    // Only where it is wrong: the text itself may hold a secret.
    read.map(|members| members.0).map_err(|fault| {
        let what =
            if fault.is_data() { "not a JSON object with each member once" } else { "no JSON" };
        let (line, column) = (fault.line(), fault.column());
        Refusal::input(format!("the body is {what}: line {line}, column {column}"))
    })
}

struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::json;

    use super::super::route::Routes;
    use super::*;

    fn input(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Value, String> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let found = Routes::new().find(&method, head.uri.path()).unwrap();
        let body = Some(Zeroizing::new(body.as_bytes().to_vec())).filter(|body| !body.is_empty());
        read(&found, &head, body).map(Value::Object).map_err(|refusal| refusal.detail())
    }

    #[test]
    fn path_query_body_and_headers_make_one_input() {
        let rotate = "/admin/v1/credentials/pk%2F1:rotate";
        let headers = [("Idempotency-Key", "\"k1\"")];
        let made = input("POST", rotate, &headers, r#"{"overlap":"1h"}"#).unwrap();
        assert_eq!(made, json!({"key_id": "pk/1", "overlap": "1h", "idempotency_key": "k1"}));
        let show = input("GET", "/admin/v1/credentials?limit=5&after=a+b%2B", &[], "").unwrap();
        assert_eq!(show, json!({"limit": 5, "after": "a b+"}));
        let update = input("PATCH", "/admin/v1/merchants/a", &[("If-Match", "\"7\"")], "{}");
        assert_eq!(update.unwrap(), json!({"merchant": "a", "revision": 7}));
        let any = input("PATCH", "/admin/v1/merchants/a", &[("If-Match", "*")], "{}");
        assert_eq!(any.unwrap(), json!({"merchant": "a"}));
        let revoke = "/admin/v1/credentials/a/secrets/signing/3:revoke";
        assert_eq!(input("POST", revoke, &[], "").unwrap()["version"], 3);
    }

    #[test]
    fn what_has_another_form_stays_text_for_the_verb_to_refuse() {
        let list = |query: &str| input("GET", &format!("/admin/v1/merchants?{query}"), &[], "");
        assert_eq!(list("limit=-1").unwrap(), json!({"limit": "-1"}));
        assert_eq!(list("limit=99999999999999999999").unwrap()["limit"], "99999999999999999999");
        assert_eq!(list("nothing=1").unwrap(), json!({"nothing": "1"}));
        assert!(list("limit=1&limit=2").is_err());
        assert!(list("after=%FF").is_err());
    }

    #[test]
    fn nothing_is_said_in_two_places() {
        let merchant = "/admin/v1/merchants/a";
        let patch = |headers: &[(&str, &str)], body: &str| input("PATCH", merchant, headers, body);
        assert!(patch(&[], r#"{"merchant":"b"}"#).unwrap_err().contains("in the path"));
        assert!(patch(&[], r#"{"revision":1}"#).unwrap_err().contains("If-Match"));
        assert!(patch(&[], r#"{"name":"a","name":"b"}"#).unwrap_err().contains("each member once"));
        assert!(input("PATCH", "/admin/v1/merchants/a?name=b", &[], "{}").is_err());
        let twice = [("If-Match", "\"1\""), ("If-Match", "\"2\"")];
        assert!(patch(&twice, "{}").unwrap_err().contains("twice"));
        assert!(patch(&[("If-Match", "7")], "{}").unwrap_err().contains("quotes"));
        assert!(patch(&[("If-Match", "W/\"7\"")], "{}").unwrap_err().contains("quotes"));
        assert!(patch(&[("If-Match", "\"x\"")], "{}").unwrap_err().contains("no revision"));
        let create = input("POST", "/admin/v1/merchants", &[("If-Match", "\"1\"")], "{}");
        assert!(create.unwrap_err().contains("no revision"));
    }

    /// `null` empties what can be empty, as the document says of it; of all else it is a mistake.
    #[test]
    fn what_an_update_cannot_empty_is_never_null() {
        let document = super::super::openapi::document();
        let (mut emptied, mut refused) = (0, 0);
        for verb in crate::administration::verbs().filter(|verb| verb.method == Method::Patch) {
            let target = verb.path.replace(['{', '}'], "");
            let body = &document["paths"][verb.path]["patch"]["requestBody"];
            let schema = &body["content"]["application/json"]["schema"];
            for (name, schema) in schema["properties"].as_object().unwrap() {
                let read = input("PATCH", &target, &[], &json!({ name: null }).to_string());
                if schema.to_string().contains("null") {
                    assert_eq!(read.unwrap()[name], Value::Null, "{} {name}", verb.name);
                    emptied += 1;
                } else {
                    let detail = read.unwrap_err();
                    assert!(detail.starts_with(&format!("{name} is null, ")), "{detail}");
                    refused += 1;
                }
            }
        }
        assert_eq!((emptied > 4, refused > 10), (true, true), "{emptied}, {refused}");
        // Where something is made, there is nothing that it could empty.
        let made = input("POST", "/admin/v1/merchants", &[], r#"{"name":null}"#);
        assert_eq!(made.unwrap(), json!({ "name": null }));
    }

    #[test]
    fn a_body_is_an_object_and_never_shown() {
        for bad in ["[]", "1", "\"hush\"", "{", "{\"a\":hush}", "{}{}", "\u{feff}{}", "nul"] {
            let fault = input("POST", "/admin/v1/merchants", &[], bad).unwrap_err();
            assert!(!fault.contains("hush"), "{fault}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        assert!(input("POST", "/admin/v1/merchants", &[], &deep).is_err());
    }
}
