//! What configuration says of answers: keys of routes, `answer_secret`, and the table `answer` of
//! schemes.

use super::*;

const OWN: &str = "answer_secret = { list = \"secrets.txt\", id = \"spare\" }\n";

fn faults(route: &str, credential: &str) -> String {
    let merchants = change(MERCHANTS, "scopes", &format!("{credential}scopes"));
    Folder::with(&format!("{MAIN}{route}"), &merchants).faults().to_string()
}

#[test]
fn answers_can_be_signed_and_sealed() {
    let main = format!("{MAIN}sign_answers = true\nanswer_bytes_max = \"2MiB\"\n");
    let folder = Folder::with(&main, &change(MERCHANTS, "scopes", &format!("{OWN}scopes")));
    let (config, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    let answers = config.routes[0].answers;
    assert!(answers.sign && !answers.seal);
    assert_eq!(answers.bytes_max.get(), 2 * 1024 * 1024);
    let key = config.merchants[0].credentials[0].answer_key.as_ref().unwrap();
    assert_eq!(key.secret().expose(), b"spare-secret-0123456789");
    let main = format!("{MAIN}envelope = \"paykun\"\nseal_answers = true\n");
    let (config, notes) = Folder::with(&main, MERCHANTS).load().unwrap();
    assert!(config.routes[0].answers.seal);
    assert!(notes.iter().any(|note| note.text.contains("nothing says which request")));
}

#[test]
fn what_cannot_be_signed_or_sealed_does_not_load() {
    for (route, credential, problem) in [
        ("sign_answers = true\n", "", "signs them with a secret of their own"),
        (
            "",
            "scheme = \"countersign-v1\"\nanswer_secret = { env = \"ACME_SECRET\" }\n",
            "signs answers with the secret of their request",
        ),
        ("", "answer_secret = { list = \"secrets.txt\" }\n", "the same bytes as one of"),
        ("", "answer_secret = { env = \"SHORT_SECRET\" }\n", "cannot be used"),
        ("seal_answers = true\n", "", "there is no envelope to seal answers in"),
        ("answer_bytes_max = \"2MiB\"\n", "", "neither signed nor sealed"),
        ("sign_answers = true\nanswer_bytes_max = \"17MiB\"\n", OWN, "answer_bytes_max"),
        (
            "envelope = \"ccavenue\"\nseal_answers = true\n",
            "",
            "ccavenue does not notice altered bodies",
        ),
    ] {
        let shown = faults(route, credential);
        assert!(shown.contains(problem), "{route}{credential}: {shown}");
        assert!(!shown.contains("spare-secret"), "{shown}");
    }
}

#[test]
fn a_mistake_in_how_answers_are_signed_has_a_caret() {
    let folder = Folder::with(&format!("schemes = [\"own.toml\"]\n{MAIN}"), MERCHANTS);
    folder.write(
        "own.toml",
        "[own]\nkey_id = \"{header:K}\"\ntime = \"{header:T}\"\nmessage = \"{body}{header:T}\"\n\
         mac = \"hmac-sha256\"\nsignature = \"{header:S}\"\n\
         [own.answer]\nmessage = \"{body}{time}\"\n\
         headers = { S = \"{signature}\", T = \"{tme}\" }\n",
    );
    let shown = folder.faults().to_string();
    for (problem, place) in [
        ("an answer could pass for a request", "own.answer.message"),
        ("tme", "own.answer.headers.T"),
    ] {
        assert!(shown.contains(problem) && shown.contains(place), "{shown}");
    }
    assert!(shown.contains("^^^^^^"), "{shown}");
}
