//! What `check` says of sources that are right.

use super::*;
use crate::clock::Timestamp;

#[test]
fn each_source_is_told_of() {
    let (_, notes) = loaded(&folder(WEBHOOKS));
    for words in [
        "note: sources.fiuu.scheme: fiuu has the strength partial: ",
        "of the body only some is signed",
        "note: sources.fiuu.confirm: every message is confirmed before it is delivered, by asking \
         the provider",
        "note: sources.fiuu.identity: a repeated message is known by {form:tranID}, ",
        "for 400 d; form:nbcb is not signed, and is one of '', '1', '2'",
        "note: sources.fiuu.secrets: meant is the secret key, not the verify key",
    ] {
        assert!(notes.contains(words), "{words:?} is not in\n{notes}");
    }
    assert!(!notes.contains("WARNING: sources"), "{notes}");
    let (_, notes) = loaded(&folder(OWN));
    for words in ["by all that is signed, for 400 d", "nobody is asked"] {
        assert!(notes.contains(words), "{words:?} is not in\n{notes}");
    }
}

#[test]
fn what_deserves_a_second_look_is_a_warning() {
    let short = change(OWN, PATH, &format!("{PATH}\nremember = \"6d\""));
    let (_, notes) = loaded(&folder(&short));
    assert!(notes.contains("WARNING: sources.own.remember: "), "{notes}");
    let week = change(OWN, PATH, &format!("{PATH}\nremember = \"7d\""));
    assert!(!loaded(&folder(&week)).1.contains("WARNING: sources"));
    let clear = "facts.state = \"{json:state}\"\n[sources.own.confirm]\n\
                 url = \"http://10.0.0.1/x\"\nnetworks = [\"10.0.0.0/8\"]\nca = \"ca.pem\"\n\
                 answer = { facts = { state = \"{json:state}\" } }\n";
    let (_, notes) = loaded(&folder(&format!("{OWN}{clear}")));
    for words in [
        "WARNING: sources.own.confirm.url: PLAIN HTTP, and nothing proves the answer",
        "WARNING: sources.own.confirm.networks: its calls may reach 10.0.0.0/8",
    ] {
        assert!(notes.contains(words), "{words:?} is not in\n{notes}");
    }
    let proof = "[[\"{json:mac}\", \"{json:state | hmac('sha256', @secret) | hex}\"]]";
    let proved = change(clear, "answer = {", &format!("answer = {{ require = {proof},"));
    let (_, notes) = loaded(&folder(&format!("{OWN}{proved}")));
    assert!(notes.contains("PLAIN HTTP: whoever is on the way reads every call"), "{notes}");
}

#[test]
fn secrets_that_end_are_told_of_in_time() {
    let end = 1_893_456_000;
    let told = |secrets: &str, now: u64| {
        let secrets = format!("secrets = [{secrets}]");
        let own = change(OWN, "secrets = [{ file = \"fiuu.txt\" }]", &secrets);
        let (config, _) = loaded(&folder(&own));
        let notes = config.ending_secrets(Timestamp::from_secs(now));
        notes.iter().map(|note| format!("{note}\n")).collect::<String>()
    };
    let one = "{ file = \"fiuu.txt\", until = \"2030-01-01T00:00:00Z\" }";
    let fortnight = 14 * 24 * 3600;
    assert_eq!(told(one, end - fortnight), "");
    let text = told(one, end - fortnight + 1);
    assert!(text.contains("after 2030-01-01T00:00:00Z none verifies"), "{text}");
    assert!(told(one, end).contains("none verifies: put"), "the last second");
    assert!(told(one, end + 1).contains("none verifies now"));
    let both = |from: &str| format!("{one}, {{ file = \"next.txt\", from = \"{from}\" }}");
    assert_eq!(told(&both("2029-12-31T00:00:00Z"), end - 10), "");
    assert_eq!(told(&both("2030-01-01T00:00:01Z"), end - 10), "", "without a gap");
    let gap = told(&both("2030-01-01T00:00:02Z"), end - 10);
    assert!(gap.contains("after 2030-01-01T00:00:00Z none verifies"), "{gap}");
    assert_eq!(told("{ file = \"fiuu.txt\" }", end), "");
}
