//! Replay memory against rates, the notes, and the time that a large list takes.

use super::*;
use crate::config::Weight;

/// One merchant; `{}` of the credential go into its table.
fn merchant(id: &str, rate: &str, credential: &str) -> String {
    format!(
        "[merchants.{id}]\nrate = {rate}\n[merchants.{id}.credentials.pk_{id}]\n{credential}\n\
         secrets = [{{ list = \"secrets.txt\" }}]\n"
    )
}

const SIGNS_ALL: &str = "environment = \"live\"\nscheme = \"countersign-v1\"";
const SIGNS_ALL_TEST: &str = "environment = \"test\"\nscheme = \"countersign-v1\"";
const LEAVES_OPEN: &str = "environment = \"live\"\nscopes = [\"* /v1/*\"]";

/// 1,000,000 bytes and more hold 26,214 entries; a quarter is 6,553, an eighth 3,276; 341 s.
fn faults_with_a_mebibyte(merchants: &[String]) -> Vec<String> {
    let main = change(MAIN, "[listener]", "replay = { memory = \"1MiB\" }\n[listener]");
    let folder = Folder::with(&main, &merchants.concat());
    let ids = ["a", "b", "c", "d", "e"];
    let secrets: String =
        ids.iter().map(|id| format!("pk_{id} a-secret-0123456789-{id}\n")).collect();
    folder.write("secrets.txt", &secrets);
    match folder.load() {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_merchant_has_at_most_a_quarter() {
    let fits = merchant("a", "{ per_second = 19, burst = 74 }", SIGNS_ALL);
    assert!(faults_with_a_mebibyte(&[fits]).is_empty());
    let burst = merchant("a", "{ per_second = 19, burst = 75 }", SIGNS_ALL);
    let faults = faults_with_a_mebibyte(&[burst]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    for words in [
        "merchants.a.rate: the merchant a needs 6554 entries",
        "may fill 1/4: 6553",
        "per_second = 18;",
        "replay.memory = \"2MiB\"",
        "rate = { per_second = …, burst = … }",
    ] {
        assert!(faults[0].contains(words), "{words}: {}", faults[0]);
    }
    let twice = merchant("a", "{ per_second = 9, burst = 207 }", LEAVES_OPEN);
    assert!(faults_with_a_mebibyte(&[twice]).is_empty());
    let twice = merchant("a", "{ per_second = 9, burst = 208 }", LEAVES_OPEN);
    assert_eq!(faults_with_a_mebibyte(&[twice]).len(), 1);
    let strict = format!("{LEAVES_OPEN}\nrepeatable_reads = false");
    let once = merchant("a", "{ per_second = 19, burst = 74 }", &strict);
    assert!(faults_with_a_mebibyte(&[once]).is_empty());
    let own = format!("{LEAVES_OPEN}\nrate = {{ per_second = 1, burst = 1 }}");
    let partly_twice = merchant("a", "{ per_second = 18, burst = 73 }", &own);
    assert!(faults_with_a_mebibyte(&[partly_twice]).is_empty());
}

#[test]
fn all_together_fit_and_tests_take_an_eighth() {
    let five = |rate| ["a", "b", "c", "d", "e"].map(|id| merchant(id, rate, SIGNS_ALL));
    assert!(faults_with_a_mebibyte(&five("{ per_second = 15, burst = 100 }")).is_empty());
    let faults = faults_with_a_mebibyte(&five("{ per_second = 19, burst = 1 }"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("all merchants together need 32400 entries"), "{}", faults[0]);
    let test = merchant("a", "{ per_second = 10, burst = 1 }", SIGNS_ALL_TEST);
    let faults = faults_with_a_mebibyte(std::slice::from_ref(&test));
    assert!(faults[0].contains("all test credentials together need 3411 entries"), "{faults:?}");
    assert!(faults[0].contains("may fill 1/8: 3276") && faults[0].contains("per_second = 9;"));
}

#[test]
fn notes_say_what_stays_open() {
    let main = change(MAIN, "http://127.0.0.1:8080", "http://10.0.0.7:8080")
        + "[upstreams.spare]\nurl = \"http://localhost\"\n";
    let other = merchant("bolt", "{ per_second = 1, burst = 1 }", SIGNS_ALL)
        .replace("txt\"", "txt\", id = \"spare\"");
    let (_, notes) = Folder::with(&main, &format!("{MERCHANTS}{other}")).load().unwrap();
    let text: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    for words in [
        "WARNING: routes.orders.scheme: kwikpaisa leaves the method, target unsigned",
        "good for a GET or HEAD of every target in scope, once each, with pk_acme;",
        "no route takes the scheme countersign-v1, so nobody can use pk_bolt",
        "WARNING: upstreams.app.url: PLAIN HTTP to 10.0.0.7",
        "note: upstreams.spare: no route uses this upstream",
        "hold 39360 requests a second in all, 9840 of one merchant",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(!text.contains("PLAIN HTTP to localhost"));
    assert_eq!(notes[0].weight, Weight::Warning);
}

#[test]
fn long_bodies_are_for_known_addresses() {
    let with = |body: &str| {
        let main =
            change(MAIN, "path = \"/v1/*\"", &format!("path = \"/v1/*\"\nbody = \"{body}\""));
        let (_, notes) = Folder::with(&main, MERCHANTS).load().unwrap();
        notes.into_iter().find(|note| note.key == "routes.orders.body")
    };
    assert!(with("2MiB").is_none(), "what a stranger may hold");
    let note = with("2049KiB").unwrap();
    assert_eq!(note.weight, Weight::Warning);
    for words in ["up to 2049KiB", "may hold 2MiB", "unverified, 256MiB"] {
        assert!(note.text.contains(words), "{words}: {}", note.text);
    }
    assert!(with("128MiB").is_some(), "as much as half of the memory loads");
}

/// A scheme looks for its claims in so much of a body; a route must not promise more.
#[test]
fn bodies_are_no_longer_than_what_is_looked_at_for_claims() {
    let mut schemes = crate::config::scheme::builtin_schemes();
    let in_body = schemes.find(|one| {
        one.reads_body() && one.unfit_for_routes().is_empty() && !one.reads_public_url()
    });
    let in_body = in_body.expect("a scheme with claims in the body");
    let owner = if in_body.names_key() { "" } else { "credential = \"pk_acme\"\n" };
    let route = format!("scheme = \"{}\"\n{owner}", in_body.name());
    let with = |route: &str| Folder::with(&format!("{MAIN}{route}"), MERCHANTS);
    let text = with(&format!("{route}body = \"9MiB\"\n")).faults().to_string();
    assert!(text.contains("reads its claims in the body, of 8MiB at most"), "{text}");
    assert!(with(&format!("{route}body = \"8MiB\"\n")).load().is_ok());
    let of_all = "[listener]\nlimits.body = \"9MiB\"";
    let main = change(MAIN, "[listener]", of_all);
    let folder = Folder::with(&format!("{main}{route}"), MERCHANTS);
    assert!(folder.faults().to_string().contains("say so: body = \"8MiB\""));
    let (config, notes) = with("body = \"64MiB\"\nbody_deadline = \"2m\"\n").load().unwrap();
    assert_eq!(config.routes[0].body_deadline, Some(std::time::Duration::from_secs(120)));
    let note = notes.iter().find(|note| note.key == "routes.orders.body").unwrap();
    assert!(note.text.contains("4 such bodies at the same time fill it"), "{note}");
}
