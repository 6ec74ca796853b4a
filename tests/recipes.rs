//! Documented ways of signing, each with messages that must verify and messages that must not: by
//! the library, and by the program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::config::scheme::builtin;
use countersign::scheme::Vector;
use countersign::secret::{NamedSecrets, Secret};
use serde_json::Value;

fn recipes() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/recipes");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (path, value)
    };
    files.into_iter().map(read).collect()
}

/// A message: the vector of a recipe, with what a case says put in its place.
fn message(vector: &Value, case: &Value) -> Vector {
    let text = |key: &str| {
        let value = case.get(key).or_else(|| vector.get(key));
        value.map(|value| value.as_str().unwrap().to_owned()).unwrap_or_default()
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in [vector, case]
        .into_iter()
        .flat_map(|from| from.get("headers").and_then(Value::as_object).into_iter().flatten())
    {
        headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        headers.extend(value.as_str().map(|value| (name.clone(), value.to_owned())));
    }
    let credentials = case.get("credentials").or_else(|| vector.get("credentials"));
    let values = credentials.and_then(Value::as_object).into_iter().flatten();
    Vector {
        secret: text("secret"),
        values: values
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().into()))
            .collect(),
        method: text("method"),
        url: text("url"),
        headers,
        body: text("body"),
        published: false,
    }
}

#[test]
fn every_recipe_holds_with_every_case() {
    let mut faults = Vec::new();
    let mut messages = 0;
    let recipes = recipes();
    for (_, recipe) in &recipes {
        let id = recipe["id"].as_str().unwrap();
        let Some(scheme) = builtin(id) else {
            faults.push(format!("{id}: no such scheme"));
            continue;
        };
        let none = Value::Null;
        let whole = (&none, "vector", true);
        let cases = recipe["cases"].as_array().into_iter().flatten().map(|case| {
            (case, case["name"].as_str().unwrap(), case["expect"].as_str().unwrap() == "accept")
        });
        for (case, name, expected) in std::iter::once(whole).chain(cases) {
            messages += 1;
            let outcome = message(&recipe["vector"], case).verify(&scheme);
            if outcome.is_ok() != expected {
                faults.push(format!("{id}: {name}: {:?}", outcome.map_err(|e| e.to_string())));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert_eq!(recipes.len(), 74);
    assert!(messages > 180, "{messages}");
}

#[test]
fn what_is_signed_is_what_the_recipe_says() {
    for (_, recipe) in recipes() {
        let (id, vector) = (recipe["id"].as_str().unwrap(), &recipe["vector"]);
        let scheme = builtin(id).unwrap_or_else(|| panic!("{id}"));
        let expected = match vector["signed_string_base64"].as_str() {
            Some(text) => STANDARD.decode(text).unwrap(),
            None => vector["signed_string"].as_str().unwrap().as_bytes().to_vec(),
        };
        let message = message(vector, &Value::Null);
        let mut values = NamedSecrets::default();
        for (name, value) in &message.values {
            values.insert(name, value.clone().into_bytes());
        }
        let secret = Secret::of_any_length(message.secret.clone().into_bytes());
        let key = scheme.key(&secret, values).unwrap();
        let signed = message.with_subject(|subject| scheme.signed_text(&subject, &key).unwrap());
        let shown = String::from_utf8_lossy(&expected).into_owned();
        assert_eq!(String::from_utf8_lossy(&signed.unwrap()), shown, "{id}");
    }
}

fn countersign(arguments: &[&str], files: &[PathBuf]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .args(files)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_program_finds_them_good() {
    let files: Vec<PathBuf> = recipes().into_iter().map(|(path, _)| path).collect();
    let (good, text) = countersign(&["scheme", "test"], &files);
    assert!(good, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("good  ")).count(), 74, "{text}");
}
