//! The documents against the program: tables that list what it knows, schemes that it has built in,
//! and commands whose output they show.
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

use countersign::administration;
use countersign::administration::token::RoleWord;
use countersign::config::scheme::builtin;
use countersign::console;
use countersign::crypto::asymmetric::Algorithm as Asymmetric;
use countersign::crypto::digest::Algorithm as Digest;
use countersign::doctor::Mistake;
use countersign::recipe::function::{self, Function, Kind, Parameter, Presence, Takes};
use countersign::recipe::source;

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect(name)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the table below a heading, without its head.
fn rows(text: &str, heading: &str) -> Vec<String> {
    let below = text.lines().skip_while(|line| *line != heading).skip(1);
    let own = below.take_while(|line| !line.starts_with('#'));
    own.filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

/// A row; what stands in a cell must not end it.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}

fn same(name: &str, heading: &str, right: &[String]) {
    let found = rows(&document(name), heading);
    let missing: Vec<&String> = right.iter().filter(|row| !found.contains(row)).collect();
    let surplus: Vec<&String> = found.iter().filter(|row| !right.contains(row)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{name}, {heading}: without\n{missing:#?}\nand with\n{surplus:#?}\nthe table is\n{}",
        right.join("\n")
    );
    assert_eq!(found, right, "{name}, {heading}: in this order");
}

/// A function as it is written, with what stands in its parentheses; brackets for what can be left
/// out.
fn written(function: &Function) -> String {
    let parameter = |one: &Parameter| {
        let name = match one.kind {
            Kind::Choice(choices) if choices.len() <= 3 => {
                choices.iter().map(|choice| format!("'{choice}'")).collect::<Vec<_>>().join(" or ")
            }
            _ => one.name.to_owned(),
        };
        match one.presence {
            Presence::Required => name,
            Presence::Optional => format!("[{name}]"),
            Presence::Repeated | Presence::InPairs => format!("{name}, …"),
            Presence::Any => format!("[{name}, …]"),
        }
    };
    match function.parameters {
        [] => format!("`{}`", function.name),
        some => {
            let all: Vec<String> = some.iter().map(parameter).collect();
            format!("`{}({})`", function.name, all.join(", "))
        }
    }
}

fn takes(function: &Function) -> String {
    match function.takes {
        Takes::Text => "text".to_owned(),
        Takes::Bytes => "text, bytes".to_owned(),
        Takes::Only(types) => types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// One table for command line, API and document.
#[test]
fn every_verb_and_every_problem_has_its_row() {
    let verbs: Vec<String> = administration::verbs()
        .map(|verb| {
            let call = format!("`{} {}`", verb.method.as_str(), verb.path);
            let role = format!("`{}`", RoleWord(verb.role));
            row(&[&format!("`{}`", verb.name), &call, &role, verb.summary])
        })
        .collect();
    same("docs/admin-api.md", "## Verbs", &verbs);
    let problems: Vec<String> = console::codes()
        .map(|(code, status, title)| row(&[&format!("`{code}`"), &status.to_string(), title]))
        .collect();
    same("docs/admin-api.md", "## Problems", &problems);
}

#[test]
fn every_source_has_its_row() {
    let right: Vec<String> =
        source::sources().map(|(name, about)| row(&[&format!("`{name}`"), about])).collect();
    same("docs/schemes.md", "### Sources", &right);
}

#[test]
fn every_function_has_its_row() {
    let right: Vec<String> =
        function::all().map(|one| row(&[&written(one), &takes(one), one.about])).collect();
    same("docs/schemes.md", "### Functions", &right);
}

#[test]
fn every_mistake_has_its_row() {
    let hint = |one: &Mistake| one.hint().replace('\\', "\\\\");
    let right: Vec<String> =
        Mistake::ALL.iter().map(|one| row(&[&format!("`{}`", one.code()), &hint(one)])).collect();
    same("docs/rejections.md", "## Mistakes", &right);
}

#[test]
fn every_algorithm_is_named() {
    let text = document("docs/schemes.md");
    let digests = Digest::ALL.iter().map(|digest| digest.name());
    for name in digests.chain(Asymmetric::ALL.iter().map(|algorithm| algorithm.name())) {
        let stem = name.trim_end_matches("-der");
        assert!(text.contains(&format!("`{stem}`")), "{name} is not in docs/schemes.md");
    }
}

/// Every file below a folder, with its text.
fn sources_below(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources_below(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                found.push_str(&fs::read_to_string(path).unwrap());
            }
            false => {}
        }
    }
}

/// What is said to prove something is there.
#[test]
fn tests_that_are_named_exist() {
    let mut all = String::new();
    ["src", "tests"].iter().for_each(|folder| sources_below(&root().join(folder), &mut all));
    let text = document("docs/security.md");
    let named: Vec<&str> =
        text.split("(`").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    let word = |name: &&&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let tests: Vec<&&str> = named.iter().filter(word).filter(|name| name.contains('_')).collect();
    assert!(tests.len() > 10, "{tests:?}");
    for name in tests {
        assert!(all.contains(&format!("fn {name}(")), "{name} is no test");
    }
}

/// Every code by which a webhook is refused, with the status of its answer.
#[test]
fn every_refusal_of_a_webhook_has_its_row() {
    let source = document("src/inbox/refusal.rs");
    let arms = |function: &str| -> Vec<(String, String)> {
        let body = source.split(&format!("fn {function}(")).nth(1).unwrap();
        let body = body.split("\n    }\n").next().unwrap();
        let arms = body.split(",\n").filter_map(|arm| arm.rsplit_once(" => "));
        let names = |(names, value): (&str, &str)| {
            let names = names.split("Self::").skip(1);
            let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect();
            names.map(|text| (name(text), value.to_owned())).collect::<Vec<_>>()
        };
        arms.flat_map(names).collect()
    };
    let (codes, statuses) = (arms("code"), arms("status"));
    assert!(codes.len() > 15 && codes.len() == statuses.len(), "{codes:?} {statuses:?}");
    let found = rows(&document("docs/webhooks.md"), "## What is refused");
    assert_eq!(found.len(), codes.len(), "{found:#?}");
    for (((_, code), (_, status)), row) in codes.iter().zip(&statuses).zip(&found) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1], format!("`{}`", code.trim_matches('"')), "in this order");
        let name = status.trim_start_matches("Some(StatusCode::").trim_end_matches(')');
        let right = match name {
            "None" => "the source's".to_owned(),
            name => status_of(name).to_string(),
        };
        assert_eq!(cells[2], right, "{row}");
    }
}

/// The number of a status, by the name of its constant.
fn status_of(name: &str) -> u16 {
    let words = name.to_lowercase().replace('_', " ");
    let all = (100..600).filter_map(|code| http::StatusCode::from_u16(code).ok());
    let named = |status: &http::StatusCode| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_lowercase().replace(['-', '\''], " ") == words
    };
    all.into_iter().find(named).unwrap_or_else(|| panic!("{name} is no status")).as_u16()
}

/// A block of code: what stands behind its fence, and its text.
struct Block {
    kind: String,
    /// The file that it is.
    file: Option<String>,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let inner = lines.by_ref().take_while(|line| *line != "```");
        let text: String = inner.map(|line| format!("{line}\n")).collect();
        let mut words = fence.split(' ').map(str::to_owned);
        let kind = words.next().unwrap_or_default();
        blocks.push(Block { kind, file: words.next(), text });
    }
    blocks
}

/// A partner that a document shows must be the one that the program has.
#[test]
fn schemes_that_are_shown_are_those_that_are_built_in() {
    let folder = root().join("config/schemes");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut shown = 0;
    for block in blocks(&document("docs/schemes.md")) {
        let name = block.text.strip_prefix('[').and_then(|text| text.split(']').next());
        let Some(name) = name.filter(|name| block.kind == "toml" && builtin(name).is_some()) else {
            continue;
        };
        assert!(all.contains(&block.text), "{name} is another in config/schemes");
        shown += 1;
    }
    assert!(shown >= 5, "{shown} built-in schemes are shown");
}

/// Every line of an envelope that a document shows stands in the one that the program has.
#[test]
fn envelopes_that_are_shown_are_those_that_are_built_in() {
    let mut shown = 0;
    for block in blocks(&document("docs/envelopes.md")) {
        let name = block.text.strip_prefix('[').and_then(|text| text.split([']', '.']).next());
        let Some(name) = name.filter(|_| block.kind == "toml") else { continue };
        let file = root().join(format!("config/envelopes/{name}.toml"));
        let Ok(own) = fs::read_to_string(file) else { continue };
        for line in block.text.lines() {
            assert!(own.lines().any(|other| other == line), "{name} has no line {line}");
        }
        shown += 1;
    }
    assert!(shown >= 5, "{shown} built-in envelopes are shown");
}

/// Commands of a block with the output that stands below each.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), Vec::new())),
            (None, Some((command, _))) if goes_on => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some((_, output))) => output.push(line.to_owned()),
            (None, None) => panic!("output without a command: {line}"),
        }
        goes_on = (goes_on || line.starts_with("$ ")) && line.ends_with('\\');
    }
    all
}

/// Whether an output is the one that is shown; a line `…` stands for any lines.
fn is_shown(shown: &[String], output: &[String]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=output.len()).any(|at| is_shown(rest, &output[at..]))
        }
        Some((first, rest)) => {
            output.first().is_some_and(|line| line == first) && is_shown(rest, &output[1..])
        }
    }
}

fn run(command: &str, folder: &Path) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let output = Command::new("sh")
        .args(["-c", &format!("PATH=\"$PROGRAM_FOLDER:$PATH\"; {{ {command}\n}} 2>&1")])
        .env("PROGRAM_FOLDER", program.parent().unwrap())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// What a reader types gives what he reads.
#[test]
fn commands_print_what_is_shown() {
    commands_print("docs/schemes.md");
    commands_print("docs/envelopes.md");
}

fn commands_print(page: &str) {
    let place = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    let mut count = 0;
    for block in blocks(&document(page)) {
        if let Some(file) = &block.file {
            let file = place.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, &block.text).unwrap();
        }
        if block.kind != "console" {
            continue;
        }
        for (command, shown) in commands(&block.text) {
            let output = run(&command, place.path());
            count += 1;
            if !is_shown(&shown, &output) {
                faults.push(format!("$ {command}\n{}", output.join("\n")));
            }
        }
    }
    assert!(count >= 10, "{count} commands");
    assert!(faults.is_empty(), "the output of {page} is now\n{}", faults.join("\n\n"));
}

#[test]
fn every_problem_of_a_verb_has_its_row() {
    let right: Vec<String> = countersign::administration::Code::ALL
        .iter()
        .map(|code| {
            let (name, status) = (format!("`{}`", code.as_str()), code.status().to_string());
            row(&[&name, &status, code.title()])
        })
        .collect();
    same("docs/keys.md", "### Problems", &right);
}

#[test]
fn every_verb_has_its_row() {
    let right: Vec<String> = countersign::administration::verbs()
        .map(|verb| {
            let way = format!("`{} {}`", verb.method.as_str(), verb.path);
            let role = RoleWord(verb.role).to_string();
            row(&[&format!("`{}`", verb.name), &way, &role, verb.summary])
        })
        .collect();
    same("docs/keys.md", "### Verbs", &right);
}
