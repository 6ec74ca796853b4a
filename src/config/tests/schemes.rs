//! Schemes of one's own: what is said of mistakes, and where.

use super::*;
use crate::config::Colour;

const ACME: &str = r#"
[acme]
about     = "a partner"
key_id    = "{header:X-Key}"
time      = "{header:X-Time}"
message   = "{body}{header:X-Time}"
mac       = "hmac-sha256"
signature = "{header:X-Sign}"
"#;

/// A configuration with one file of schemes and a route that uses one of them.
fn folder(schemes: &str, scheme: &str) -> Folder {
    let main =
        change(MAIN, "state = \"state\"", "state = \"state\"\nschemes = [\"own/acme.toml\"]");
    let main = change(
        &main,
        "upstream = \"app\"\n",
        &format!("upstream = \"app\"\nscheme = \"{scheme}\"\n"),
    );
    let folder = Folder::with(&main, MERCHANTS);
    fs::create_dir(folder.path("own")).unwrap();
    folder.write("own/acme.toml", schemes);
    folder
}

/// The faults as people see them.
fn said(folder: &Folder) -> String {
    folder.faults().render(Colour::Plain)
}

#[test]
fn a_route_takes_a_scheme_of_ones_own() {
    let folder = folder(ACME, "acme");
    let (config, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.routes[0].scheme.name(), "acme");
    assert!(config.watched.iter().any(|path| path.ends_with("own/acme.toml")));
}

#[test]
fn mistakes_in_templates_have_a_caret_under_them() {
    let schemes = ACME
        .replace("{body}{header:X-Time}", "\\n{body | sha265}{header:X-Time | hx}")
        .replace("\"hmac-sha256\"", "\"hmac-sha265\"");
    let text = said(&folder(&schemes, "acme"));
    let expected = [
        "acme.toml:6:24: acme.message: there is no function 'sha265'\n \
         6 | message   = \"\\n{body | sha265}{header:X-Time | hx}\"\n   \
         |                        ^^^^^^\n   \
         = hint: did you mean 'sha256'?",
        "acme.toml:6:48: acme.message: there is no function 'hx'",
        "   |                                                ^^\n",
        "acme.toml:7:13: acme.mac: there is no algorithm 'hmac-sha265'",
        "3 mistakes in the configuration",
    ];
    for words in expected {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn an_unknown_key_hides_no_other_mistake() {
    let schemes = change(ACME, "message ", "tiem_unit = \"s\"\nmessage ");
    let schemes = change(&schemes, "{body}{header:X-Time}", "{body | sha265}{header:X-Time}");
    let text = said(&folder(&schemes, "acme"));
    for words in ["acme.tiem_unit: unknown key", "there is no function 'sha265'", "2 mistakes"] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

/// A name whose value is at fault is told once, and hides no other mistake.
#[test]
fn a_mistake_in_a_name_hides_no_other() {
    let schemes = change(ACME, "message ", "let.a = \"{b}\"\nlet.b = \"{a}\"\nmessage ");
    let schemes = change(
        &schemes,
        "{body}{header:X-Time}",
        "{a | hex}{body | hmac('sha256', @b)}{body | sha265}{header:X-Time}",
    );
    let text = said(&folder(&schemes, "acme"));
    for words in [
        "acme.let.a: there is no source or name 'b'",
        "acme.message: there is no function 'sha265'",
        "2 mistakes in the configuration",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn of_a_long_line_the_part_around_the_mistake_is_shown() {
    let long = format!("{}{{hedaer:X-Time}}{{header:X-Time}}", "{body}-".repeat(60));
    let text = said(&folder(&change(ACME, "{body}{header:X-Time}", &long), "acme"));
    let line = text.lines().position(|line| line.contains("{hedaer:X-Time}")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let caret = lines[line + 1].chars().position(|c| c == '^').unwrap();
    let under: String = lines[line].chars().skip(caret).take(6).collect();
    assert_eq!(under, "hedaer", "{text}");
    assert!(lines[line].chars().count() < 220, "{text}");
}

#[test]
fn every_key_is_checked() {
    let cases = [
        ("mac       = \"hmac-sha256\"", "", "acme.mac: the key `mac` is missing"),
        ("mac       =", "mack      =", "did you mean `mac`?"),
        ("\"{header:X-Time}\"", "7", "acme.time: expected a template"),
        ("about ", "time_unit = \"h\"\nabout ", "acme.time_unit: there is no unit 'h'"),
        ("about ", "encode = \"b64\"\nabout ", "acme.encode: there is no encoding 'b64'"),
        ("about ", "window = \"0s\"\nabout ", "acme.window: expected"),
        ("about ", "require = [\"{body}\"]\nabout ", "acme.require[0]: expected two templates"),
        ("about ", "strength = \"strong\"\nabout ", "acme.strength: expected full, partial"),
        ("\"{header:X-Sign}\"", "{ get = \"{header:A}\" }", "a method in upper case"),
        ("about ", "vector = { secret = \"s\", published = false }\nabout ", "own vector: "),
        ("[acme]", "[kwikpaisa]", "a built-in scheme has this name"),
        ("[acme]", "[\"a b\"]", "expected a name"),
    ];
    for (from, to, words) in cases {
        let schemes = change(ACME, from, to);
        let text = said(&folder(&schemes, "kwikpaisa"));
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn a_route_refuses_what_cannot_guard_it() {
    let unfit = |from: &str, to: &str| said(&folder(&change(ACME, from, to), "acme"));
    for (from, to, words) in [
        ("time      = \"{header:X-Time}\"\n", "", "acme signs no time"),
        ("{body}{header:X-Time}", "{body}", "acme does not sign the time that it states"),
        (
            "time      = \"{header:X-Time}\"",
            "time      = \"{header:X-Time | default('1')}\"",
            "acme does not sign the time that it states",
        ),
        ("about ", "nonce = \"{header:X-N}\"\nabout ", "acme does not sign the nonce"),
        ("{body}{header:X-Time}", "{header:X-Time}", "its strength is token"),
        ("about ", "strength = \"none\"\nabout ", "its strength is none"),
        ("key_id    = \"{header:X-Key}\"\n", "", "credential = "),
        ("\"{header:X-Sign}\"", "\"{header:X-Sign | split(',')}\"", "takes several signatures"),
        ("about ", "time_unit = \"s or ms\"\nabout ", "takes times of two lengths"),
    ] {
        let text = unfit(from, to);
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let text = said(&folder(ACME, "github"));
    assert!(text.contains("github signs no time"), "{text}");
    let text = said(&folder(ACME, "acmee"));
    assert!(text.contains("did you mean \"acme\"?"), "{text}");
}

#[test]
fn a_credential_gives_the_values_that_its_scheme_reads() {
    let schemes = ACME.replace("{body}", "{cred:pass}{body}");
    let with = |more: &str| {
        let folder = folder(&schemes, "acme");
        let merchants = change(MERCHANTS, "scopes", &format!("scheme = \"acme\"\n{more}\nscopes"));
        folder.write("merchants.toml", &merchants);
        folder.write("pass", "word");
        folder
    };
    assert!(with("values = { pass = { file = \"pass\" } }").load().is_ok());
    let text = said(&with(""));
    assert!(text.contains("the scheme reads `pass` beside the secret"), "{text}");
    let text = said(&with("values = { pass = { file = \"pass\" }, more = { file = \"pass\" } }"));
    assert!(text.contains("the scheme reads `pass`, and no such value"), "{text}");
    let text = said(&with("values = { pass = \"word\" }"));
    assert!(!text.contains("word\""), "{text}");
}

#[test]
fn what_a_right_configuration_leaves_open_is_told() {
    let notes = |folder: &Folder| {
        let (_, notes) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
        notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let schemes = change(ACME, "{body}{header:X-Time}", "{json:amount}{json:order}{header:X-Time}");
    let text = notes(&folder(&schemes, "acme"));
    let open = "acme leaves the method, target, body unsigned";
    assert!(text.contains(open), "{text}");
    let some = "acme: of the body only some is signed: what is made of json:amount, json:order";
    assert!(text.contains(some), "{text}");
    let schemes = change(ACME, "{body}", "{method}{target}{body}");
    let text = notes(&folder(&schemes, "acme"));
    assert!(!text.contains("unsigned"), "there is no nonce to change: {text}");
    let schemes = change(ACME, "key_id    = \"{header:X-Key}\"\n", "");
    let silent = folder(&schemes, "acme\"\ncredential = \"pk_nobody");
    let text = notes(&silent);
    assert!(text.contains("no credential pk_nobody signs by acme"), "{text}");
}
