//! Several processes on one store.

use std::process::Child;

use crate::support::{Place, text};

/// How each of some runs at the same time ended: its exit status and what it said.
fn ends(runs: Vec<Child>) -> Vec<(Option<i32>, String)> {
    let end = |run: Child| {
        let output = run.wait_with_output().unwrap();
        (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    runs.into_iter().map(end).collect()
}

#[test]
fn rotations_at_the_same_time_keep_the_rules() {
    let (place, key_id, _) = Place::with_credential();
    let runs = (0..6).map(|n| {
        let out = place.path(&format!("out-{n}"));
        place.start(&["credential", "rotate", &key_id, "--secret-out", out.to_str().unwrap()])
    });
    let ends = ends(runs.collect());
    let good = ends.iter().filter(|(code, _)| *code == Some(0)).count();
    let full = ends.iter().filter(|(_, said)| said.contains("(slots_full)")).count();
    assert_eq!((good, full), (2, 4), "{ends:?}");
    assert_eq!(place.states(&key_id, "signing"), ["retiring", "retiring", "active"]);
    let files = (0..6).filter(|n| place.path(&format!("out-{n}")).exists()).count();
    assert_eq!(files, 2, "whoever made a secret has it");
    assert_eq!(place.say(&["store", "verify"])["good"], true);
}

#[test]
fn one_idempotency_key_in_many_processes_makes_one_thing() {
    let (place, _, _) = Place::with_credential();
    let words = ["merchant", "create", "--name", "B", "--rate", "1/1", "--idempotency-key", "one"];
    let ends = ends((0..6).map(|_| place.start(&words)).collect());
    assert!(ends.iter().all(|(code, _)| *code == Some(0)), "{ends:?}");
    assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].1), "one outcome for all");
    assert_eq!(place.say(&["merchant", "list"])["items"].as_array().unwrap().len(), 2);
}

#[test]
fn an_edit_that_was_meant_for_another_revision_is_refused() {
    let (place, key_id, _) = Place::with_credential();
    place.say(&["credential", "update", &key_id, "--name", "New", "--revision", "1"]);
    let late = ["credential", "update", &key_id, "--name", "Late", "--revision", "1"];
    assert_eq!(place.refusal(&late).0, "changed");
    let late = ["secret", "revoke", &key_id, "signing", "1", "--reason", "x", "--revision", "7"];
    assert_eq!(place.refusal(&late).0, "changed");
    let late = ["merchant", "update", "acme", "--name", "Late", "--revision", "9"];
    assert_eq!(place.refusal(&late).0, "changed");
    assert_eq!(place.say(&["credential", "show", &key_id])["name"], "New");
}
