//! The pages about the samples: every program is named, the short ones print what they promise, and
//! every mistake has the answer that a vector shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::language::samples;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

/// What stands in brackets after a link's text.
fn links(text: &str) -> BTreeSet<String> {
    let after = text.split("](").skip(1);
    after.map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
}

#[test]
fn the_page_names_every_program() {
    let named = links(&page("docs/signing/README.md"));
    let mut programs = BTreeSet::new();
    for folder in fs::read_dir(samples()).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let language = folder.file_name().unwrap().to_str().unwrap();
        for entry in entries {
            programs.insert(format!("{language}/{}", entry.unwrap().file_name().display()));
        }
    }
    assert_eq!(programs.len(), 12, "{programs:?}");
    for program in programs {
        assert!(named.contains(&program), "{program} is not in docs/signing/README.md");
    }
    for link in named.iter().filter(|link| !link.contains('#')) {
        assert!(samples().join(link).exists(), "{link} in docs/signing/README.md");
    }
}

/// A row of the table of mistakes that links to vectors ends in the answer that they expect.
#[test]
fn every_mistake_has_the_answer_of_its_vectors() {
    let page = page("docs/signing/README.md");
    let mut vectors = 0;
    for row in page.lines().filter(|line| line.contains("tests/vectors/") && line.contains('|')) {
        for link in links(row) {
            let vector = fs::read(samples().join(&link)).unwrap();
            let vector = String::from_utf8_lossy(&vector).into_owned();
            let expected = vector.lines().find_map(|line| line.strip_prefix("expect: ")).unwrap();
            assert!(row.contains(&format!("| `{expected}` |")), "{link} expects {expected}: {row}");
            vectors += 1;
        }
    }
    assert!(vectors >= 5, "{vectors} vectors");
}

/// Each program of the page about signing prints both signatures of its worked example.
#[test]
fn the_short_programs_print_the_signatures_of_the_example() {
    let page = page("docs/signing.md");
    // What verifies answers prints nothing; tests/path/answers.rs runs it against the gate.
    let page = page.split("\n## Answers").next().unwrap();
    let blocks: Vec<(&str, &str)> = page
        .split("\n```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap())
        .collect();
    let is_signature = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let texts = blocks.iter().map(|(_, text)| *text);
    let expected: Vec<&str> = texts.filter(|text| is_signature(text)).collect();
    assert_eq!(expected.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let mut programs = 0;
    for (language, text) in blocks {
        let runner = match language {
            "bash" => "bash",
            "python" => "python3",
            "php" => "php",
            "js" => "node",
            "text" => continue,
            other => panic!("a program in {other}, which this test cannot run"),
        };
        let file = folder.path().join(language);
        fs::write(&file, text).unwrap();
        let output = Command::new(runner).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{language}");
        programs += 1;
    }
    assert_eq!(programs, 4);
}
