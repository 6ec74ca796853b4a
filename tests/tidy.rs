//! Rules of the house that no compiler checks: layers, sizes, words, and that every code is proved
//! and documented. An exception is a line here with its reason; the lists must shrink.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Parts and their layers, each layer with its order within; a file belongs to the longest name
/// that fits. Imports point to what stands lower, or stay within their part.
const LAYERS: [(&str, (u32, u32)); 47] = [
    ("clock", (1, 0)),
    ("secret", (1, 0)),
    ("limit", (1, 0)),
    ("target", (1, 0)),
    ("peer", (1, 0)),
    ("relay", (1, 0)),
    ("bell", (1, 0)),
    ("batch", (1, 1)),
    ("local", (1, 0)),
    ("crypto", (2, 0)),
    ("recipe", (2, 1)),
    ("telemetry", (2, 1)),
    ("scheme", (3, 0)),
    ("envelope", (3, 0)),
    ("replay", (3, 0)),
    ("quota", (3, 0)),
    ("doctor", (3, 1)),
    ("custody", (3, 0)),
    ("store", (3, 2)),
    ("journal", (3, 2)),
    ("outbound", (3, 0)),
    ("otlp", (3, 1)),
    ("roll", (3, 1)),
    ("keyring", (4, 0)),
    ("administration", (5, 0)),
    ("gateway::upstream", (4, 0)),
    ("gateway::rejection", (4, 0)),
    ("gateway::opener", (4, 0)),
    ("gateway::reply", (4, 0)),
    ("gateway::protection", (4, 1)),
    ("gateway::route", (4, 1)),
    ("gateway::admission", (5, 0)),
    ("gateway::forward", (6, 0)),
    ("gateway::answer", (7, 0)),
    ("gateway", (7, 1)),
    ("serve", (7, 0)),
    ("console", (7, 1)),
    ("inbox", (7, 1)),
    ("operations", (7, 2)),
    ("redirect", (7, 1)),
    ("acme", (7, 2)),
    ("client", (7, 0)),
    ("config", (8, 0)),
    ("app", (9, 0)),
    ("cli", (10, 0)),
    ("main", (10, 1)),
    ("lib", (10, 2)),
];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Names that say nothing.
const BANNED_NAMES: [&str; 8] =
    ["util", "utils", "helper", "helpers", "manager", "common", "core", "types"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the project, sorted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Build output, history, and the keys that `certs dev` makes: none of it is in the tree.
        let outside = ["target", ".git"].contains(&name.as_str()) || path.ends_with("certs/dev");
        if path.is_dir() && !outside {
            collect(&path, extension, found);
        } else if path.is_file() && (extension.is_empty() || name.ends_with(extension)) {
            found.push(path);
        }
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Source that ships: no tests.
fn shipped() -> Vec<(PathBuf, String)> {
    let is_test = |path: &PathBuf| {
        path.components()
            .any(|part| ["tests", "tests.rs"].contains(&&*part.as_os_str().to_string_lossy()))
    };
    let inside = root().join("src");
    let all = files("src", ".rs").into_iter();
    let all = all.filter(|path| !is_test(&path.strip_prefix(&inside).unwrap().to_path_buf()));
    all.map(|path| (path.clone(), without_tests(&fs::read_to_string(path).unwrap()))).collect()
}

/// The text without modules that are only there for tests.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\n#[cfg(test)]\n") {
        let (before, after) = rest.split_at(at + 1);
        kept.push_str(before);
        let item = after.lines().nth(1).unwrap_or_default();
        let end = if item.ends_with('{') { after.find("\n}\n").map(|end| end + 3) } else { None };
        rest = &after[end.unwrap_or("#[cfg(test)]\n".len())..];
    }
    kept.push_str(rest);
    kept
}

/// A line without its comment, as far as that can be told without parsing strings.
fn code_of(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() }
}

/// The module path of a source file: `src/gateway/admission/body.rs` is `gateway::admission::body`.
fn module_of(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// The part that a module path belongs to, and its layer.
fn part_of(module: &[String]) -> Option<(&'static str, (u32, u32))> {
    let matching = LAYERS.iter().filter(|(name, _)| {
        let own: Vec<&str> = name.split("::").collect();
        module.len() >= own.len() && own.iter().zip(module).all(|(a, b)| a == b)
    });
    matching.max_by_key(|(name, _)| name.len()).copied()
}

/// Every path that a file imports from its own crate, written from the root. Trees are spread out.
fn imports(text: &str, module: &[String]) -> BTreeSet<Vec<String>> {
    let code: String = text.lines().map(|line| format!("{}\n", code_of(line))).collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            spread(&code[at + "crate::".len()..], &[], &mut found);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let rest = &code[at..];
        let ups = rest.split("super::").take_while(|part| part.is_empty()).count();
        let base = &module[..module.len().saturating_sub(ups)];
        spread(&rest[ups * "super::".len()..], base, &mut found);
    }
    found
}

fn spread(text: &str, base: &[String], found: &mut BTreeSet<Vec<String>>) {
    let text = text.trim_start();
    if let Some(inner) = text.strip_prefix('{') {
        let mut depth = 1;
        let mut start = 0;
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                spread(&inner[start..at], base, found);
                start = at + 1;
            }
            if depth == 0 {
                return;
            }
        }
        return;
    }
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return;
    }
    let mut path = base.to_vec();
    path.push(name.clone());
    match text[name.len()..].strip_prefix("::") {
        Some(rest) if name.starts_with(|c: char| c.is_lowercase()) => spread(rest, &path, found),
        _ => {
            found.insert(path);
        }
    }
}

#[test]
fn imports_point_to_lower_layers() {
    let mut faults = Vec::new();
    for (path, text) in shipped() {
        let module = module_of(&path);
        if module == ["lib"] {
            continue;
        }
        let Some((part, layer)) = part_of(&module) else {
            faults.push(format!("{}: in no layer", shown(&path)));
            continue;
        };
        for import in imports(&text, &module) {
            let Some((other, below)) = part_of(&import) else {
                faults.push(format!("{}: {} is in no layer", shown(&path), import.join("::")));
                continue;
            };
            // A part is its own folder; its opening file may name its children.
            let own = other == part || other.starts_with(&format!("{part}::"));
            if below >= layer && !own {
                faults.push(format!(
                    "{} (layer {layer:?}) imports {} (layer {below:?})",
                    shown(&path),
                    import.join("::")
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn imports_are_spread_out_in_full() {
    let text = "use crate::a::{B, c::{D, e}, self};\nlet x = crate::f::g();\nuse super::h;\n";
    let module = ["m".to_owned(), "n".to_owned()];
    let found: Vec<String> = imports(text, &module).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::B", "a::c::D", "a::c::e", "a::self", "f::g", "m::h"]);
}

#[test]
fn files_and_functions_are_short() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in files(folder, ".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            if lines.len() > FILE_LINES_MAX && folder == "src" {
                faults.push(format!("{}: {} lines", shown(&path), lines.len()));
            }
            for (at, line) in lines.iter().enumerate() {
                let indent = line.len() - line.trim_start().len();
                let words = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn "];
                let more = ["pub(super) fn ", "pub(super) async fn ", "pub(crate) async fn "];
                let starts = |word: &&str| line.trim_start().starts_with(word);
                // What a trait asks for has no body.
                if !words.iter().chain(&more).any(starts) || line.ends_with(';') {
                    continue;
                }
                let end = format!("{}}}", " ".repeat(indent));
                let length = lines[at..].iter().position(|line| *line == end).unwrap_or(0) + 1;
                if length > FUNCTION_LINES_MAX && folder == "src" {
                    faults.push(format!("{}:{}: {length} lines", shown(&path), at + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn lines_fit_the_page() {
    let mut faults = Vec::new();
    for path in ["src", "tests"].into_iter().flat_map(|folder| files(folder, ".rs")) {
        for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                faults.push(format!("{}:{}", shown(&path), at + 1));
            }
        }
    }
    assert!(faults.is_empty(), "longer than {COLUMNS_MAX}:\n{}", faults.join("\n"));
}

#[test]
fn names_say_what_a_file_is() {
    let mut faults = Vec::new();
    for path in ["src", "tests", "benches"].into_iter().flat_map(|folder| files(folder, ".rs")) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bad = |word: &str| BANNED_NAMES.contains(&word) || word == "handler" || word == "misc";
        if stem.split('_').any(bad) {
            faults.push(shown(&path));
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}", "todo\u{21}", "unimplemented\u{21}"];
    let mut faults = Vec::new();
    // Recorded messages say what they say.
    let recorded = |path: &PathBuf| path.starts_with(root().join("tests/vectors/recipes"));
    for path in files("", "").into_iter().filter(|path| !recorded(path)) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (at, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}", shown(&path), at + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Each pattern only where it belongs, and `unwrap` and `expect` nowhere.
#[test]
fn time_environment_and_panics_stay_in_their_places() {
    let mut faults = Vec::new();
    for (path, text) in shipped() {
        let module = module_of(&path);
        let top = module[0].as_str();
        for (at, line) in text.lines().enumerate() {
            let code = code_of(line);
            let mut refuse = |what: &str| {
                faults.push(format!("{}:{}: {what}", shown(&path), at + 1));
            };
            if code.contains("SystemTime") && top != "clock" {
                refuse("the wall clock is read in clock.rs");
            }
            let environment = ["env::var", "env::vars"].iter().any(|call| code.contains(call));
            if environment && !["main", "config"].contains(&top) {
                refuse("the environment is read in main.rs and config");
            }
            if code.contains(".unwrap()") || code.contains(".expect(") || code.contains("panic!(") {
                refuse("no unwrap, expect or panic");
            }
            if code.contains("unsafe ") {
                refuse("no unsafe");
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A new outcome must not find its status by falling through.
#[test]
fn tables_of_outcomes_have_no_wildcard() {
    for name in ["src/gateway/answer.rs", "src/gateway/rejection.rs"] {
        let text = without_tests(&fs::read_to_string(root().join(name)).unwrap());
        for (at, line) in text.lines().enumerate() {
            let code = code_of(line).trim_start();
            let wildcard = code.starts_with("_ =>") || code.starts_with("_ if ");
            assert!(!wildcard, "{name}:{}: {line}", at + 1);
        }
    }
}

/// The codes of refusals.
fn codes() -> Vec<&'static str> {
    let all = countersign::telemetry::Code::ALL.map(countersign::telemetry::Code::as_str);
    all.into_iter().filter(|code| *code != "forwarded").collect()
}

#[test]
fn every_code_is_proved() {
    let mut vectors = String::new();
    for path in files("tests/vectors", ".http") {
        vectors.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap()));
    }
    let tests = files("tests/path", ".rs").into_iter().chain(files("tests/roll", ".rs"));
    let tests = tests.chain(files("tests/routes", ".rs"));
    let tests = tests.filter(|path| !path.to_string_lossy().contains("/support/"));
    let tests: String = tests.map(|path| fs::read_to_string(path).unwrap()).collect();
    for code in codes() {
        let vector = vectors.contains(&format!("expect: {code}\n"));
        let test = tests.contains(&format!("\"{code}\""));
        assert!(vector || test, "{code} has neither a vector nor a path test");
    }
}

#[test]
fn every_code_is_documented() {
    let text = fs::read_to_string(root().join("docs/rejections.md")).expect("docs/rejections.md");
    for code in codes() {
        let heading = text.lines().any(|line| {
            (line.starts_with('|') || line.starts_with('#')) && line.contains(&format!("`{code}`"))
        });
        assert!(heading, "{code} has no row in docs/rejections.md");
    }
}

#[test]
fn the_documents_are_there() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "docs/configuration.md",
        "docs/envelopes.md",
        "docs/performance.md",
        "docs/rejections.md",
        "docs/schemes.md",
        "config/countersign.toml",
    ] {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        assert!(text.len() > 100, "{name} is missing or empty");
    }
}

/// Rules name what is in the tree, and nothing in the tree is secret or of one machine.
#[test]
fn no_key_and_no_path_of_a_machine_is_in_the_tree() {
    let key = ["-----BEGIN", " PRIVATE KEY-----"].concat();
    let kinds = ["-----BEGIN RSA", "-----BEGIN EC", "-----BEGIN OPENSSH"].map(String::from);
    let places = [["/wo", "rk/"].concat(), ["/fa", "rm"].concat(), ["../sha", "red"].concat()];
    let mut faults = Vec::new();
    for path in files("", "") {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if text.contains(&key) || kinds.iter().any(|kind| text.contains(&format!("{kind} PRIVATE")))
        {
            faults.push(format!("{}: a private key", shown(&path)));
        }
        if places.iter().any(|place| text.contains(place)) {
            faults.push(format!("{}: a path of one machine", shown(&path)));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Every source file says what it promises, in at most six lines.
#[test]
fn every_file_says_what_it_is_for() {
    let mut faults = Vec::new();
    for path in files("src", ".rs") {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
        let tests = path.to_string_lossy().contains("tests");
        if (lines == 0 || lines > 6) && !tests && !path.ends_with("lib.rs") {
            faults.push(format!("{}: {lines} lines of module doc", shown(&path)));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
