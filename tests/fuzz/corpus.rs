//! What is altered: the schemes and envelopes of this project, and the messages of its tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::config::scheme::builtin_schemes;
use countersign::scheme::{Scheme, Vector};
use serde_json::Value;

/// The texts of all files in a folder, in the order of their names.
pub(crate) fn texts(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Every table of TOML files, by itself, with the tables below it.
pub(crate) fn tables(folder: &str) -> Vec<String> {
    let mut all = Vec::new();
    for text in texts(folder) {
        let mut current = String::new();
        for line in text.lines() {
            let begins = line.starts_with('[') && !line.starts_with("[[") && !line.contains('.');
            if begins && !current.is_empty() {
                all.push(std::mem::take(&mut current));
            }
            current.push_str(line);
            current.push('\n');
        }
        all.push(current);
    }
    all.retain(|table| table.contains('['));
    all
}

/// Every text in TOML files that is a template.
pub(crate) fn templates() -> Vec<String> {
    fn collect(value: &toml::Value, found: &mut Vec<String>) {
        match value {
            toml::Value::String(text) if text.contains('{') => found.push(text.clone()),
            toml::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            toml::Value::Table(table) => table.values().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for text in ["config/schemes", "config/envelopes"].into_iter().flat_map(texts) {
        collect(&toml::Value::Table(text.parse().unwrap()), &mut found);
    }
    assert!(found.len() > 400, "{}", found.len());
    found
}

/// Every built-in scheme that has a message, with it.
pub(crate) fn messages() -> Vec<(Arc<Scheme>, Vector)> {
    let recipes: Vec<Value> = texts("tests/vectors/recipes")
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let of_recipe = |scheme: &Scheme| {
        let recipe = recipes.iter().find(|one| one["id"] == scheme.name())?;
        Some(vector(&recipe["vector"]))
    };
    let all = builtin_schemes().filter_map(|scheme| {
        let own = scheme.definition().vector.clone();
        let vector = own.or_else(|| of_recipe(&scheme))?;
        Some((scheme, vector))
    });
    let all: Vec<_> = all.collect();
    assert!(all.len() >= 74, "{}", all.len());
    all
}

fn vector(value: &Value) -> Vector {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let pairs = |key: &str| {
        let pairs = value[key].as_object().into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    Vector {
        secret: text("secret"),
        values: pairs("credentials"),
        method: text("method"),
        url: text("url"),
        headers: pairs("headers"),
        body: text("body"),
        published: false,
    }
}
