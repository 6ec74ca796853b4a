//! `[sources.NAME]`: what loads, and every mistake at its place.

mod calls;
mod keys;
mod notes;

use std::time::Duration;

use super::*;
use crate::inbox::source::SourceKeys;
use crate::scheme::Strength;

/// A right source with its destination; tests change pieces of it.
pub(super) const WEBHOOKS: &str = r#"
[destinations.shop]
url = "https://shop.example/webhooks"
ca = "ca.pem"
secrets = [{ file = "shop.whsec" }]
[sources.fiuu]
provider = "fiuu"
path = "/webhooks/fiuu"
destination = "shop"
secrets = [{ file = "fiuu.txt" }]
values = { verify_key = { file = "verify.txt" }, domain = { file = "domain.txt" } }
[sources.fiuu.confirm]
ca = "ca.pem"
[sources.fiuu.post_back]
ca = "ca.pem"
"#;

/// One whose scheme proves the whole body, with nothing of a provider.
const OWN: &str = r#"
[destinations.shop]
url = "https://shop.example/webhooks"
ca = "ca.pem"
secrets = [{ file = "shop.whsec" }]
[sources.own]
scheme = "github"
path = "/webhooks/own"
destination = "shop"
secrets = [{ file = "fiuu.txt" }]
"#;

const PATH: &str = "path = \"/webhooks/own\"";

/// A folder with both files, and everything that the sources above name.
pub(super) fn folder_with(main: &str, merchants: &str) -> Folder {
    let folder = Folder::with(main, merchants);
    let ca = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
    folder.write("ca.pem", &ca.cert.pem());
    folder.write("shop.whsec", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    folder.write("fiuu.txt", "fiuu-secret-0123456789\n");
    folder.write("next.txt", "fiuu-next-0123456789\n");
    folder.write("verify.txt", "verify-marker\n");
    folder.write("domain.txt", "SHOP\n");
    folder
}

fn folder(webhooks: &str) -> Folder {
    folder_with(&format!("{MAIN}{webhooks}"), MERCHANTS)
}

fn loaded(folder: &Folder) -> (Config, String) {
    let (config, notes) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    (config, notes.iter().map(|note| format!("{note}\n")).collect())
}

/// Expects one fault with this key of the one source and these words in its text.
fn check(folder: &Folder, source: &str, key: &str, words: &str) {
    let faults = folder.faults();
    let all: Vec<_> = faults.iter().collect();
    assert_eq!(all.len(), 1, "{faults}");
    assert_eq!(all[0].key, format!("sources.{source}{key}"), "{faults}");
    assert!(all[0].line.is_some(), "{faults}");
    let text = all[0].to_string();
    assert!(text.contains(words), "{words:?} is not in\n{text}");
}

/// The same with more lines in the table of the source of one's own.
fn check_own(lines: &str, key: &str, words: &str) {
    check(&folder(&change(OWN, PATH, &format!("{PATH}\n{lines}"))), "own", key, words);
}

#[test]
fn a_provider_says_most_of_it() {
    let folder = folder(WEBHOOKS);
    let (config, _) = loaded(&folder);
    let source = &config.sources[0];
    assert_eq!((&*source.name, source.path.to_string().as_str()), ("fiuu", "/webhooks/fiuu"));
    assert_eq!(source.methods, [Method::POST]);
    assert_eq!((source.scheme.name(), source.strength), ("fiuu", Strength::Partial));
    assert!(source.must_confirm() && source.confirm.as_ref().unwrap().provider.is_some());
    assert!(source.post_back.is_some() && !source.unsigned);
    assert_eq!(source.remember, Duration::from_secs(400 * 24 * 3600));
    assert_eq!(source.values.get("domain"), Some(&b"SHOP"[..]));
    assert_eq!(&*source.destination.name, "shop");
    for name in ["fiuu.txt", "verify.txt", "shop.whsec", "ca.pem"] {
        assert!(config.watched.contains(&folder.path(name)), "{name} is watched");
    }
    let shown = format!("{config:?}");
    assert!(!shown.contains("verify-marker") && !shown.contains("fiuu-secret"));
}

#[test]
fn a_source_can_say_all_of_it() {
    let lines = r#"
hosts = ["Hooks.example"]
methods = ["POST", "PUT"]
probes = ["GET"]
window = "1m"
ahead = "5s"
body = "64KiB"
remember = "40d"
pass = ["X-GitHub-Event"]
identity = ["{json:id}"]
shape = [{ name = "kind", value = "{json:kind}", one_of = ["paid"] }]
let = { kind = "{json:kind}" }
facts = { order = "{json:order}", event = "{kind}" }
answers = { stored = { status = 202, body = "OK" }, refused = { status = 400 } }"#;
    let (config, _) = loaded(&folder(&change(OWN, PATH, &format!("{PATH}{lines}"))));
    let source = &config.sources[0];
    assert_eq!(source.hosts, ["hooks.example"]);
    assert_eq!((source.methods.len(), source.probes.len()), (2, 1));
    assert_eq!((source.window.past.as_secs(), source.window.ahead.as_secs()), (60, 5));
    assert_eq!(source.body_bytes_max.get(), 64 * 1024);
    assert_eq!(source.remember, Duration::from_secs(40 * 24 * 3600));
    assert_eq!(source.pass, [HeaderName::from_static("x-github-event")]);
    assert_eq!(source.answers.stored.status, 202);
    assert_eq!(source.answers.refused.status, 400);
    assert!(!source.must_confirm() && source.confirm.is_none() && source.post_back.is_none());
}

#[test]
fn nothing_loads_without_scheme_secret_or_destination() {
    let without = |line: &str| folder(&change(OWN, line, ""));
    check(&without("scheme = \"github\"\n"), "own", "", "nothing says how its messages are signed");
    check(&without("secrets = [{ file = \"fiuu.txt\" }]"), "own", "", "without a secret nothing");
    check(&without("destination = \"shop\"\n"), "own", ".destination", "is missing");
    check(&without("path = \"/webhooks/own\"\n"), "own", ".path", "is missing");
    let with = |from: &str, to: &str| folder(&change(OWN, from, to));
    let misspelt = with("destination = \"shop\"", "destination = \"shpo\"");
    check(&misspelt, "own", ".destination", "did you mean \"shop\"?");
    let unknown = with("destination = \"shop\"", "destination = \"elsewhere\"");
    check(&unknown, "own", ".destination", "[destinations.NAME]");
    let misspelt = with("scheme = \"github\"", "scheme = \"gihtub\"");
    check(&misspelt, "own", ".scheme", "did you mean \"github\"?");
    let misspelt = with("scheme = \"github\"", "provider = \"Fiu\"");
    check(&misspelt, "own", ".provider", "did you mean \"fiuu\"?");
    check(&with("scheme = \"github\"", "scheme = 7"), "own", ".scheme", "found an integer");
    let unnamed = folder(&OWN.replace("[sources.own]", "[sources.\"a b\"]"));
    check(&unnamed, "a b", "", "expected a name of 1 to 64");
    // What a destination at fault would have been is told once, at its own place.
    let broken = with("https://shop.example/webhooks", "gopher://shop.example/");
    let faults = broken.faults();
    assert_eq!(faults.iter().count(), 1, "{faults}");
}

#[test]
fn paths_that_something_else_could_match() {
    let main = |route: &str| MAIN.replace("/v1/*", route);
    for (route, source) in [
        ("/webhooks/*", "/webhooks/own"),
        ("/*", "/webhooks/own"),
        ("/webhooks/own", "/webhooks/own"),
        ("/webhooks/own/one", "/webhooks/own/*"),
        ("/webhooks/own/below/*", "/webhooks/own/*"),
    ] {
        let own = OWN.replace("/webhooks/own", source);
        let folder = folder_with(&format!("{}{own}", main(route)), MERCHANTS);
        check(&folder, "own", ".path", "could match the same request");
        let text = folder.faults().to_string();
        assert!(text.contains("route \"orders\" (at ") && text.contains("main.toml:9)"), "{text}");
        assert!(text.contains("source \"own\" (at "), "{text}");
        let apart = own.replace("scheme =", "hosts = [\"hooks.example\"]\nscheme =");
        let named = main(route) + "hosts = [\"api.example\"]\n";
        assert!(folder_with(&format!("{named}{apart}"), MERCHANTS).load().is_ok(), "{route}");
        let same = main(route) + "hosts = [\"hooks.example\"]\n";
        assert!(folder_with(&format!("{same}{apart}"), MERCHANTS).load().is_err(), "{route}");
    }
    let second = OWN.split("[sources.own]").nth(1).unwrap();
    for path in ["/webhooks/own", "/webhooks/*"] {
        let second = second.replace("/webhooks/own", path);
        let folder = folder(&format!("{OWN}[sources.second]{second}"));
        check(&folder, "second", ".path", "of the source \"own\" (at ");
    }
    let session = OWN.replace("/webhooks/own", "/.well-known/countersign/*");
    check(&folder(&session), "own", ".path", "the gate itself answers session calls");
}

#[test]
fn routes_may_be_absent_where_webhooks_are_taken() {
    let main = MAIN.split("[[routes]]").next().unwrap().replace("merchants = ", "#");
    let (config, notes) = loaded(&folder_with(&format!("{main}{WEBHOOKS}"), ""));
    assert!(config.routes.is_empty() && config.merchants.is_empty());
    assert!(!notes.contains("every request will be refused"), "{notes}");
    let folder = folder_with(&main, "");
    assert!(folder.faults().to_string().contains("the key `routes` is missing"));
}

#[test]
fn mistakes_in_what_is_read_have_their_places() {
    check_own("facts.ordr = \"{json:order}\"", ".facts.ordr", "there is no fact 'ordr'");
    check_own("facts.order = \"{json:}\"", ".facts.order", "main.toml");
    check_own("let = { a = \"{jsn:x}\" }", ".let.a", "^^^");
    check_own("identity = [\"{header:X-GitHub-Delivery}\"]", ".identity[0]", "not signed");
    check_own("closed = [{ value = \"{json:a}\" }]", ".closed[0].one_of", "has values");
    check_own("closed = [{ one_of = [\"a\"] }]", ".closed[0].value", "is missing");
    check_own("shape = [{ name = \"a\", value = \"{json:a}\" }]", ".shape[0]", "one thing");
    check_own("shape = [{ value = \"{json:a}\", one_of = [\"1\"] }]", ".shape[0].name", "missing");
    let bad = "shape = [{ name = \"a\", value = \"{json:a}\", matches = \"(\" }]";
    check_own(bad, ".shape[0].matches", "main.toml");
    check_own("pass = [\"X Y\"]", ".pass[0]", "the name of a header field");
    check_own("pass = [\"Authorization\"]", ".pass[0]", "never handed on");
    check_own("pass = [\"Content-Type\"]", ".pass[0]", "without being named");
    check_own("methods = [\"post\"]", ".methods[0]", "in upper case");
    check_own("methods = []", ".methods", "without a method no message comes");
    check_own("probes = [\"POST\"]", ".probes", "POST brings messages here");
    check_own("unsigned = \"maybe\"", ".unsigned", "expected `confirm` or `refuse`");
    check_own("answers.stored.status = 404", ".answers.stored.status", "200 to 399");
    check_own("answers.refused.status = 99", ".answers.refused.status", "from 200 to 599");
    check_own("answers.stord.status = 200", ".answers.stord", "did you mean `stored`?");
    check_own("remember = \"59m\"", ".remember", "from 1h to 3660d");
    check_own("body = \"129MiB\"", ".body", "does not fit into 128MiB");
    check_own("winow = \"5m\"", ".winow", "did you mean `window`?");
    let timed = OWN.replace("\"github\"", "\"stripe\"\nwindow = \"2h\"\nremember = \"1h\"");
    check(&folder(&timed), "own", ".remember", "would count as new");
}

#[test]
fn the_public_address_is_stated_where_it_is_signed() {
    check_own("public_url = \"https://hooks.example\"", ".public_url", "does not read");
    let own = OWN.replace("\"github\"", "\"hooked\"");
    let with = |lines: &str| {
        let own = change(&own, PATH, &format!("{PATH}\n{lines}"));
        let folder = folder_with(&format!("schemes = [\"hooked.toml\"]\n{MAIN}{own}"), MERCHANTS);
        folder.write(
            "hooked.toml",
            "[hooked]\nmessage = \"{url(public)}{body}\"\nmac = \"hmac-sha256\"\n\
             signature = \"{header:X-Signature}\"\n",
        );
        folder
    };
    check(&with(""), "own", ".public_url", "signs the address that the provider calls");
    let (config, _) = loaded(&with("public_url = \"https://hooks.example/own\""));
    assert_eq!(config.sources[0].public_url.as_deref(), Some("https://hooks.example/own"));
}

#[test]
fn a_mistake_in_a_template_has_a_caret_under_it() {
    let own = change(OWN, PATH, &format!("{PATH}\nfacts.amount = \"{{json:amount | fixd(2)}}\""));
    let text = folder(&own).faults().to_string();
    let picture = "facts.amount = \"{json:amount | fixd(2)}\"\n";
    assert!(text.contains(picture), "{text}");
    let caret = text.lines().find(|line| line.contains('^')).unwrap();
    assert!(caret.trim_end().ends_with("^^^^"), "{text}");
    // What the profile says is at fault under another scheme is told at the scheme.
    let other = change(WEBHOOKS, "provider = \"fiuu\"", "provider = \"fiuu\"\nscheme = \"xendit\"");
    let faults = folder(&other).faults();
    let first = faults.iter().next().unwrap();
    assert_eq!(first.key, "sources.fiuu.scheme", "{faults}");
    assert!(first.problem.starts_with("identity["), "{faults}");
}

#[test]
fn every_mistake_of_webhooks_shows_at_once() {
    let webhooks = WEBHOOKS
        .replace("https://shop", "gopher://shop")
        .replace("\"fiuu.txt\"", "\"none.txt\"")
        .replace("\"/webhooks/fiuu\"", "\"webhooks\"")
        .replace("[sources.fiuu.confirm]", "[sources.fiuu.confirm]\nevry = \"1s\"");
    let main = format!("{}[inbox]\nsize = \"0\"\n{webhooks}", MAIN.replace("/v1/*", "v1"));
    let faults = folder_with(&main, MERCHANTS).faults();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "routes[0].path",
        "inbox.size",
        "destinations.shop.url",
        "sources.fiuu.path",
        "sources.fiuu.secrets[0].file",
        "sources.fiuu.confirm.evry",
    ];
    assert_eq!(keys, expected, "{faults}");
}
