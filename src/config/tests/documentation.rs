//! `docs/configuration.md` against the readers: every key of one is a key of the other, and every
//! default that it states is the real one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::reader::asked;

struct Row {
    tables: Vec<String>,
    key: String,
    default: Option<String>,
}

/// The rows of all tables below headings that name configuration tables.
fn rows() -> Vec<Row> {
    let text = include_str!("../../../docs/configuration.md");
    let mut rows = Vec::new();
    let mut tables = Vec::new();
    let ticked =
        |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for line in text.lines() {
        if line.starts_with('#') {
            tables = ticked(line);
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let key = ticked(cells[1]).concat();
            let default = ticked(cells[3]).pop().filter(|_| cells[3].starts_with('`'));
            rows.push(Row { tables: tables.clone(), key, default });
        }
    }
    rows
}

/// Loads a configuration that enters every table, and gives the keys that were asked for.
fn asked_keys() -> BTreeSet<(String, String)> {
    let main = MAIN
        .replace("certificates", "failures = { per_second = 1, burst = 1 }\ncertificates")
        .replace(
            "[upstreams.app]",
            "connections.networks = [{ network = \"::1\", connections = 1 }]\n\
            deadlines.body_pace = {}\nlimits = {}\nhttp2 = {}\n[replay]\n[ledger]\n[log]\n\
            [keys.master.token]\nmodule = \"m\"\ntoken = \"t\"\nkeys = [\"k\"]\n\
            pin_file = \"p\"\n\
            [operations]\ncertificates = [{ chain = \"a\", key = \"b\" }]\n[upstreams.app]",
        )
        .replace("http://127.0.0.1:8080\"", "http://127.0.0.1:8080\"\ndeadlines = {}")
        .replace("path = ", "unique_order = { field = \"/id\" }\npath = ");
    let merchants = change(MERCHANTS, "scopes", "rate = { per_second = 1, burst = 1 }\nscopes");
    let folder = Folder::with(&main, &merchants);
    // The built-in schemes are read when the first of them is asked for, by the same readers.
    assert!(crate::config::scheme::builtin("kwikpaisa").is_some());
    let keys = asked::during(|| {
        folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    });
    keys.into_iter().map(|(path, key)| (pattern(&path), key.to_owned())).collect()
}

/// A key path with names in capitals and without numbers.
fn pattern(path: &str) -> String {
    let path = path.replace("pk_acme", "KEY_ID").replace("merchants.acme", "merchants.ID");
    path.replace("upstreams.app", "upstreams.NAME").replace("[0]", "[]")
}

#[test]
fn every_key_has_a_row_and_every_row_a_key() {
    let asked = asked_keys();
    let mut documented = BTreeSet::new();
    for row in rows() {
        for table in &row.tables {
            let table = if table.starts_with('(') { "" } else { table.as_str() };
            documented.insert((table.to_owned(), row.key.clone()));
        }
    }
    let missing: Vec<_> = asked.difference(&documented).collect();
    let extra: Vec<_> = documented.difference(&asked).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "not documented: {missing:?}; no key: {extra:?}"
    );
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let plain = Folder::new().load().unwrap().0;
    let mut stated: BTreeMap<String, String> = BTreeMap::new();
    for row in rows() {
        let Some(default) = row.default.filter(|default| !default.contains("limits.body")) else {
            continue;
        };
        for table in row.tables.iter().filter(|table| !table.starts_with("merchants")) {
            *stated.entry(table.clone()).or_default() += &format!("{} = {default}\n", row.key);
        }
    }
    let mut main = MAIN.to_owned();
    for (table, lines) in stated {
        main = match table.as_str() {
            "listener" => change(&main, ADDRESS, &format!("{ADDRESS}\n{lines}")),
            "routes[]" => main + &lines,
            "upstreams.NAME" => {
                change(&main, "[upstreams.app]", &format!("[upstreams.app]\n{lines}"))
            }
            other => {
                let header = other.replace("NAME", "app");
                change(&main, "[[routes]]", &format!("[{header}]\n{lines}[[routes]]"))
            }
        };
    }
    let folder = Folder::with(&main, MERCHANTS);
    let (full, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}\n{main}"));
    let without_folder = |config: &Config, folder: &str| format!("{config:?}").replace(folder, "");
    let here = |config: &Config| {
        let folder = config.state.parent().unwrap().to_str().unwrap().to_owned();
        without_folder(config, &folder)
    };
    assert_eq!(here(&full), here(&plain));
}

const ADDRESS: &str = "address = \"127.0.0.1:8443\"";
