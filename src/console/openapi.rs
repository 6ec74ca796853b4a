//! The description of the admin API (OpenAPI 3.1), made from the table of verbs.

use serde_json::{Map, Value, json};

use crate::administration::clearable::is_clearable;
use crate::administration::token::RoleWord;
use crate::administration::{Method, Verb, verbs};

use super::answer::makes;
use super::body::takes_body;
use super::input::{IDEMPOTENCY_KEY, REVISION};
use super::refusal::codes;

/// The whole document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for verb in verbs() {
        let methods = paths.entry(verb.path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(verb.method.as_str().to_ascii_lowercase(), operation(verb));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Countersign admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Merchants, credentials, and the life of their secrets.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "csa_…",
                    "description": "A token of `countersign token create`.",
                },
            },
            "schemas": { "Problem": problem() },
            "responses": refusals(),
        },
    })
}

/// The name of a verb's operation: `credential set-value` is `credentialSetValue`.
pub fn operation_id(verb: &Verb) -> String {
    let mut id = String::new();
    for word in verb.name.split([' ', '-']) {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if !id.is_empty() => id.extend(first.to_uppercase()),
            first => id.extend(first),
        }
        id.extend(letters);
    }
    id
}

fn tag(verb: &Verb) -> &'static str {
    verb.name.split(' ').next().unwrap_or_default()
}

fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = verbs().map(tag).collect();
    names.dedup();
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn operation(verb: &Verb) -> Value {
    let input = verb.input_schema().to_value();
    let members = input.get("properties").and_then(Value::as_object).cloned();
    let mut rest = members.unwrap_or_default();
    let required = input.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_required = |name: &str| required.iter().any(|own| own == name);
    let mut parameters: Vec<Value> = verb
        .path_members()
        .map(|name| parameter("path", name, true, rest.remove(name).unwrap_or_default()))
        .collect();
    parameters.extend(rest.remove(REVISION).map(|_| if_match()));
    parameters.extend(rest.remove(IDEMPOTENCY_KEY).map(|_| idempotency_key()));
    let mut body = None;
    if !takes_body(verb.method) {
        let query = rest.into_iter();
        parameters.extend(query.map(|(name, schema)| {
            let required = is_required(&name);
            parameter("query", &name, required, schema)
        }));
    } else if !rest.is_empty() {
        if verb.method == Method::Patch {
            rest.values_mut().filter(|schema| !is_clearable(schema)).for_each(remove_null);
        }
        let required: Vec<&String> = rest.keys().filter(|name| is_required(name)).collect();
        let schema = json!({
            "type": "object",
            "properties": rest,
            "required": required,
            "additionalProperties": false,
        });
        body = Some(json!({
            "required": !required.is_empty(),
            "content": { "application/json": { "schema": schema } },
        }));
    }
    let operation = json!({
        "operationId": operation_id(verb),
        "tags": [tag(verb)],
        "summary": verb.summary,
        "x-countersign-role": RoleWord(verb.role).to_string(),
        "x-countersign-command": format!("countersign {}", verb.name),
        "parameters": parameters,
        "responses": responses(verb),
    });
    with(operation, "requestBody", body)
}

/// An object with one member more, where there is something for it.
fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value);
    }
    object
}

fn if_match() -> Value {
    json!({
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the answer that the change is meant for; without, or with *, \
                        whatever stands there.",
        "schema": { "type": "string", "pattern": "^(\"[0-9]{1,15}\"|\\*)$" },
    })
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same input makes nothing twice.",
        "schema": { "type": "string", "pattern": "^[!-~]{1,128}$" },
    })
}

fn parameter(place: &str, name: &str, required: bool, mut schema: Value) -> Value {
    remove_null(&mut schema);
    let described = schema.as_object_mut().and_then(|members| members.remove("description"));
    if place == "path"
        && let Some(members) = schema.as_object_mut()
        && members.get("type").is_some_and(|kind| kind == "string")
    {
        members.entry("minLength").or_insert_with(|| 1.into());
    }
    let parameter = json!({ "name": name, "in": place, "required": required, "schema": schema });
    with(parameter, "description", described)
}

/// Takes `null` out of a schema: text cannot say it, and an update takes it only for what it can
/// empty. The member is left out instead.
fn remove_null(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if members.get("default").is_some_and(Value::is_null) {
        members.remove("default");
    }
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            members.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(words)) = members.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let null = json!({ "type": "null" });
    let either = members.get("anyOf").and_then(Value::as_array).cloned();
    let rest: Vec<Value> =
        either.unwrap_or_default().into_iter().filter(|one| *one != null).collect();
    if let [Value::Object(only)] = rest.as_slice() {
        members.remove("anyOf");
        for (name, value) in only {
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn responses(verb: &Verb) -> Value {
    let schema = verb.output_schema().to_value();
    let has = |name: &str| schema.get("properties").and_then(|all| all.get(name)).is_some();
    let (status, description) = if makes(verb) { ("201", "Made") } else { ("200", "Done") };
    let headers = [
        ("X-Request-Id", "The id of this call.", true),
        ("ETag", "The revision, for If-Match.", has("revision")),
        ("Link", "The next page, as rel=\"next\".", has("next")),
        ("Location", "Where that is which was made.", makes(verb)),
    ];
    let headers: Map<String, Value> = headers
        .into_iter()
        .filter(|(.., sent)| *sent)
        .map(|(name, about, _)| {
            let header = json!({ "description": about, "schema": { "type": "string" } });
            (name.to_owned(), header)
        })
        .collect();
    let done = json!({
        "description": description,
        "headers": headers,
        "content": { "application/json": { "schema": schema } },
    });
    let refusals = statuses().into_iter().map(|status| {
        let name = format!("#/components/responses/{}", name_of(status));
        (status.to_string(), json!({ "$ref": name }))
    });
    Value::Object([(status.to_owned(), done)].into_iter().chain(refusals).collect())
}

fn statuses() -> Vec<u16> {
    let mut statuses: Vec<u16> = codes().map(|(_, status, _)| status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn name_of(status: u16) -> String {
    format!("Problem{status}")
}

fn refusals() -> Value {
    let refusal = |status: u16| {
        let own: Vec<_> = codes().filter(|(_, other, _)| *other == status).collect();
        let lines: Vec<String> =
            own.iter().map(|(code, _, title)| format!("`{code}`: {title}")).collect();
        let words: Vec<&str> = own.iter().map(|(code, ..)| *code).collect();
        let schema = json!({
            "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "properties": { "status": { "const": status }, "code": { "enum": words } } },
            ],
        });
        let response = json!({
            "description": lines.join("; "),
            "content": { "application/problem+json": { "schema": schema } },
        });
        (name_of(status), response)
    };
    Value::Object(statuses().into_iter().map(refusal).collect())
}

/// RFC 9457, with a code for programs.
fn problem() -> Value {
    let words: Vec<&str> = codes().map(|(code, ..)| code).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": words },
            "detail": {
                "type": "string",
                "description": "What is wrong and what to do, for people.",
            },
            "request_id": { "type": "string" },
            "at": {
                "type": "string",
                "format": "date-time",
                "description": "When trying again can help.",
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_an_operation_of_its_own_name() {
        let document = document();
        for verb in verbs() {
            let operation = &document["paths"][verb.path][verb.method.as_str().to_lowercase()];
            assert_eq!(operation["operationId"], operation_id(verb), "{}", verb.name);
            assert_eq!(operation["summary"], verb.summary);
            let names: Vec<_> = operation["parameters"].as_array().unwrap().iter().collect();
            let in_path = names.iter().filter(|one| one["in"] == "path").count();
            assert_eq!(in_path, verb.path_members().count(), "{}", verb.name);
        }
        let paths = document["paths"].as_object().unwrap();
        let operations: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(operations, verbs().count());
    }

    /// What a call brings by header or path stands in no body, and nothing is `null` in a query.
    #[test]
    fn each_member_is_in_one_place() {
        let document = document();
        let text = document.to_string();
        assert!(!text.contains("\"idempotency_key\"") && !text.contains("$defs"));
        for verb in verbs() {
            let operation = &document["paths"][verb.path][verb.method.as_str().to_lowercase()];
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(body["properties"].get(REVISION).is_none());
            for parameter in operation["parameters"].as_array().unwrap() {
                assert!(!parameter["schema"].to_string().contains("null"), "{parameter}");
            }
        }
    }

    #[test]
    fn names_of_operations_are_words_run_together() {
        let verb = crate::administration::verb("credential set-value").unwrap();
        assert_eq!(operation_id(verb), "credentialSetValue");
    }
}
