//! Every kind of mistake in either file: what is said and at which key.

use super::*;
use crate::config::Colour;

/// Loads with one change and expects one fault with this key and these words in its text.
fn check(folder: &Folder, key: &str, words: &str) {
    let faults = folder.faults();
    let all: Vec<_> = faults.iter().collect();
    assert_eq!(all.len(), 1, "{faults}");
    assert_eq!(all[0].key, key, "{faults}");
    let text = all[0].to_string();
    assert!(text.contains(words), "{words:?} is not in\n{text}");
}

fn check_main(from: &str, to: &str, key: &str, words: &str) {
    check(&Folder::with(&change(MAIN, from, to), MERCHANTS), key, words);
}

fn check_merchants(from: &str, to: &str, key: &str, words: &str) {
    check(&Folder::with(MAIN, &change(MERCHANTS, from, to)), key, words);
}

const ADDRESS: &str = "address = \"127.0.0.1:8443\"";
const URL: &str = "url = \"http://127.0.0.1:8080\"";
const PATH: &str = "path = \"/v1/*\"";

#[test]
fn mistakes_in_the_listener() {
    let cases = [
        ("address = \"8443\"", "listener.address", "expected an IP address and a port"),
        ("address = 8443", "listener.address", "found an integer"),
        ("", "listener.address", "the key `address` is missing"),
        ("adress = 1\naddress = \"127.0.0.1:8443\"", "listener.adress", "did you mean `address`?"),
        ("address = \"127.0.0.1:9443\"", "operations", "has the address of the listener"),
    ];
    for (to, key, words) in cases {
        let main = change(MAIN, ADDRESS, to);
        let main = if key == "operations" { main + "[operations]\n" } else { main };
        check(&Folder::with(&main, MERCHANTS), key, words);
    }
    let certificates = "certificates = [{ chain = \"gate.pem\", key = \"gate.key\" }]";
    check_main(certificates, "", "listener.certificates", "is missing");
    check_main(certificates, "certificates = []", "listener.certificates", "plain HTTP is never");
    let to = "certificates = [{ chain = \"gate.pem\" }]";
    check_main(certificates, to, "listener.certificates[0].key", "the key `key` is missing");
}

#[test]
fn mistakes_in_numbers_sizes_and_durations() {
    let cases = [
        ("connections.total = 0", "connections.total", "zero does not mean unlimited"),
        ("connections.total = -1", "connections.total", "from 1 to 10000000, found -1"),
        ("connections.total = 99999999", "connections.total", "found 99999999"),
        ("connections.total = \"many\"", "connections.total", "found a string"),
        ("connections.per_address = 30000", "connections.per_address", "more than 20000 in all"),
        ("limits.body = \"1MB\"", "limits.body", "KiB, MiB and GiB"),
        ("limits.body = \"0\"", "limits.body", "zero does not mean unlimited"),
        ("limits.body = \"2GiB\"", "limits.body", "from 1 to 1GiB"),
        ("limits.body = \"300MiB\"", "limits.body", "300MiB does not fit into 128MiB, half"),
        ("limits.unverified = \"1MiB\"", "limits.body", "1MiB does not fit into 512KiB"),
        ("limits.value = \"64KiB\"", "limits.value", "longer than the whole head"),
        ("deadlines.idle = \"5 parsecs\"", "deadlines.idle", "found \"5 parsecs\""),
        ("deadlines.idle = 5", "deadlines.idle", "a duration has a unit"),
        ("deadlines.idle = \"0s\"", "deadlines.idle", "zero does not mean unlimited"),
        ("deadlines.idle = \"25h\"", "deadlines.idle", "from 1ms to 24h"),
        ("http2.stream_window = 1", "http2.stream_window", "a size from 65535"),
        ("failures = { per_second = 1 }", "failures.burst", "is missing"),
        (
            "connections.networks = [{ network = \"10.0.0.1/8\", connections = 1 }]",
            "connections.networks[0].network",
            "the network is \"10.0.0.0/8\"",
        ),
        (
            "connections.networks = [{ network = \"ten\", connections = 1 }]",
            "connections.networks[0].network",
            "expected a network",
        ),
        (
            "connections.networks = [{ network = \"::1\", connections = 1 }, \
          { network = \"::1\", connections = 2 }]",
            "connections.networks",
            "stands here twice",
        ),
    ];
    for (line, key, words) in cases {
        check_main(ADDRESS, &format!("{ADDRESS}\n{line}"), &format!("listener.{key}"), words);
    }
    check_main("state =", "workers = 0\nstate =", "workers", "from 1 to 1024");
    check_main("state =", "log.format = \"jsno\"\nstate =", "log.format", "did you mean \"json\"?");
    check_main("state =", "log.access = 1\nstate =", "log.access", "expected true or false");
    for share in ["0", "0.0", "1.5", "-0.1", "nan", "0.0000001", "\"half\""] {
        let line = format!("log.sample = {share}\nstate =");
        check_main("state =", &line, "log.sample", "a share above 0 and up to 1");
    }
    check_main("state =", "log.slow = \"2s\"\nstate =", "log.slow", "`log.sample`");
    let line = "log.access = false\nlog.sample = 0.5\nstate =";
    check_main("state =", line, "log.sample", "without an access log");
}

#[test]
fn mistakes_in_upstreams() {
    let key = "upstreams.app.url";
    for url in
        ["ftp://a", "http://", "127.0.0.1:8080", "http://a:0", "http://a:99999", "http://a b"]
    {
        check_main(URL, &format!("url = \"{url}\""), key, "a URL of scheme, host and port");
    }
    check_main(URL, "url = \"http://a/base\"", key, "leave them out here");
    check_main(
        URL,
        &format!("{URL}\nca = \"main.toml\""),
        "upstreams.app.ca",
        "a plain http upstream shows no certificate",
    );
    check_main(URL, "url = \"https://a\"\nca = \"none.pem\"", "upstreams.app.ca", "No such file");
    check_main(
        URL,
        "url = \"https://a\"\nca = \"main.toml\"",
        "upstreams.app.ca",
        "no certificate",
    );
    let main = change(MAIN, URL, "url = \"https://[::1]\"\nca = \"ca.pem\"");
    let folder = Folder::with(&main, MERCHANTS);
    let ca = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
    folder.write("ca.pem", &ca.cert.pem());
    let upstream = folder.load().unwrap().0.upstreams.remove(0);
    assert_eq!((upstream.urls[0].host.as_str(), upstream.urls[0].port), ("::1", 443));
    assert_eq!(upstream.urls[0].to_string(), "[::1]:443");
    let folder = Folder::with(&change(MAIN, "[upstreams.app]", "[upstreams.\"a b\"]"), MERCHANTS);
    assert!(folder.faults().to_string().contains("expected a name of 1 to 64"));
    let folder = Folder::with(&change(MAIN, URL, "url = \"http://user:hunter2@a\""), MERCHANTS);
    assert!(!folder.faults().to_string().contains("hunter2"));
}

#[test]
fn mistakes_in_addresses_of_upstreams() {
    for (lines, key, words) in [
        ("urls = []", "urls", "an upstream has an address"),
        ("urls = \"http://a\"", "urls", "expected an array"),
        ("urls = [\"http://a\", \"ftp://b\"]", "urls[1]", "a URL of scheme, host and port"),
        ("urls = [\"http://a\", \"https://b\"]", "urls", "all are https or all are http"),
        ("urls = [\"http://a\", \"http://A:80\"]", "urls", "a:80 is there twice"),
        ("url = \"http://a\"\nurls = [\"http://b\"]", "url", "state one of them"),
        ("URL\nqueue = 0", "queue", "from 1 to 100000"),
        ("URL\nqueue_for = \"0s\"", "queue_for", "zero does not mean unlimited"),
        ("URL\nejection = { failures = 0 }", "ejection.failures", "from 1 to 10000"),
        ("URL\nejection = { at_most = 0.0 }", "ejection.at_most", "from 0.001 to 1.0"),
        ("URL\nejection = { at_most = 1.5 }", "ejection.at_most", "from 0.001 to 1.0"),
        ("URL\nejection = { at_most = \"1\" }", "ejection.at_most", "from 0.001 to 1.0"),
        ("URL\nejection = { statuses = [500] }", "ejection.statuses[0]", "from 502 to 504"),
        ("URL\nhttp2 = true", "http2", "over plain http nobody can agree"),
        ("URL\nhttp2_in_clear = true", "http2_in_clear", "for `http2 = true` over plain http"),
        ("URL\nhttp2_streams = 4", "http2_streams", "streams are of `http2 = true` only"),
        ("URL\ncertificate = \"gate.pem\"", "certificate", "of no use without `key`"),
        ("URL\nkey = \"gate.key\"", "key", "of no use without `certificate`"),
        (
            "URL\ncertificate = \"gate.pem\"\nkey = \"gate.key\"",
            "certificate",
            "a plain http upstream asks for no certificate",
        ),
        ("URL\nresolve = \"500ms\"", "resolve", "a duration of whole seconds"),
        ("URL\nhealth = {}", "health.path", "the key `path` is missing"),
        ("URL\nhealth = { path = \"x\" }", "health.path", "a path such as"),
        ("URL\nhealth = { path = \"/\", status = [] }", "health.status", "no address is ever"),
        ("URL\nhealth = { path = \"/\", status = [99] }", "health.status[0]", "from 200 to 599"),
        ("URL\nhealth = { path = \"/\", every = \"0s\" }", "health.every", "zero does not"),
        ("URL\nejection = { fro = \"1s\" }", "ejection.fro", "did you mean `for`?"),
    ] {
        check_main(URL, &lines.replace("URL", URL), &format!("upstreams.app.{key}"), words);
    }
}

#[test]
fn mistakes_in_routes() {
    let cases = [
        ("path = \"v1\"", "path", "a path begins with '/'"),
        ("path = \"/v1/*/x\"", "path", "a star stands only at the end"),
        ("path = \"/v1/../x\"", "path", "no empty segment"),
        ("path = \"/v1/*\"\nmethods = [\"get\"]", "methods[0]", "in upper case"),
        ("path = \"/v1/*\"\nmethods = \"GET\"", "methods", "expected an array"),
        ("path = \"/v1/*\"\nhosts = [\"*.example.com\"]", "hosts[0]", "no wildcards"),
        ("path = \"/v1/*\"\nhosts = [\"a:80\"]", "hosts[0]", "without port"),
        ("path = \"/v1/*\"\nscheme = \"kwikpasia\"", "scheme", "did you mean \"kwikpaisa\"?"),
        ("path = \"/v1/*\"\nwindow = \"500ms\"", "window", "whole seconds"),
        ("path = \"/v1/*\"\nahead = \"500ms\"", "ahead", "whole seconds"),
        ("path = \"/v1/*\"\nahead = \"601s\"", "ahead", "whole seconds to 10m"),
        ("path = \"/v1/*\"\nbody = \"129MiB\"", "body", "129MiB does not fit into 128MiB"),
        ("path = \"/v1/*\"\nrequire = [\"body\", \"nonce\"]", "require", "does not sign the nonce"),
        ("path = \"/v1/*\"\nrequire = [\"nonces\"]", "require[0]", "did you mean \"nonce\"?"),
        ("path = \"/v1/*\"\nenvelope = \"paykum\"", "envelope", "did you mean \"paykun\"?"),
        ("path = \"/v1/*\"\nsealed = \"required\"", "sealed", "there is no envelope"),
        (
            "path = \"/v1/*\"\nscheme = \"bybit-v5\"\nenvelope = \"secpaid-webhook\"",
            "envelope",
            "does not notice altered bodies",
        ),
        ("path = \"/v1/*\"\nenvelope = \"paykun\"\nsealed = \"of\"", "sealed", "`off`"),
    ];
    for (to, key, words) in cases {
        check_main(PATH, to, &format!("routes[0].{key}"), words);
    }
    let upstream = "upstream = \"app\"";
    check_main(upstream, "upstream = \"ap\"", "routes[0].upstream", "did you mean \"app\"?");
    check_main(upstream, "upstream = \"elsewhere\"", "routes[0].upstream", "[upstreams.NAME]");
    let none = MAIN.split("[[routes]]").next().unwrap();
    check(&Folder::with(none, MERCHANTS), "routes", "the key `routes` is missing");
}

#[test]
fn keys_that_roll_where_they_cannot() {
    let alone = [
        ("path = \"/v1/*\"\nrolling = \"standart\"", "rolling", "did you mean \"standard\"?"),
        (
            "path = \"/v1/*\"\nrolling = \"strict\"\nenvelope = \"paykun\"",
            "envelope",
            "a body is sealed once",
        ),
        (
            "path = \"/v1/*\"\nscheme = \"countersign-v1\"\nrolling = \"strict\"\n\
             sign_answers = true",
            "sign_answers",
            "vouches for itself",
        ),
        ("path = \"/.well-known/countersign/key-session\"", "path", "the gate itself answers"),
    ];
    for (to, key, words) in alone {
        check_main(PATH, to, &format!("routes[0].{key}"), words);
    }
    let first = change(MAIN, PATH, &format!("{PATH}\nrolling = \"standard\""));
    let with = |rest: &str| {
        let second = "[[routes]]\nname = \"other\"\nupstream = \"app\"\npath = \"/v2/*\"\n";
        Folder::with(&format!("{first}{second}{rest}"), MERCHANTS)
    };
    let unlike = with("rolling = \"strict\"\n");
    check(&unlike, "routes[1].rolling", "a scheme rolls in one way");
    let other = "rolling = \"standard\"\nscheme = \"countersign-v1\"\n";
    check(&with(other), "routes[1].rolling", "whose a session call is");
    assert!(with("rolling = \"standard\"\nanswer_bytes_max = \"1KiB\"\n").load().is_ok());
}

#[test]
fn routes_that_nothing_decides_between() {
    let route = |rest: &str| format!("{MAIN}[[routes]]\nupstream = \"app\"\n{rest}");
    let twin = route("name = \"other\"\npath = \"/v1/*\"\nmethods = [\"GET\"]\n");
    check(&Folder::with(&twin, MERCHANTS), "routes[1].path", "same host, path and method");
    let named = route("name = \"orders\"\npath = \"/v2/*\"\n");
    check(&Folder::with(&named, MERCHANTS), "routes[1].name", "is taken by the route at");
    for apart in ["path = \"/v1/x\"", "path = \"/v1/*\"\nhosts = [\"a.example\"]"] {
        let main = route(&format!("name = \"other\"\n{apart}\n"));
        assert!(Folder::with(&main, MERCHANTS).load().is_ok(), "{apart}");
    }
}

#[test]
fn mistakes_in_merchants() {
    let rate = "rate = { per_second = 50, burst = 100 }";
    check_merchants(rate, "", "merchants.acme.rate", "is missing");
    let to = "rate = { per_second = 0, burst = 1 }";
    check_merchants(rate, to, "merchants.acme.rate.per_second", "does not mean unlimited");
    let key = "merchants.acme.credentials.pk_acme";
    let environment = "environment = \"live\"";
    check_merchants(environment, "", &format!("{key}.environment"), "is missing");
    let cases = [
        ("environment = \"prod\"", "environment", "expected `test` or `live`, found \"prod\""),
        ("environment = \"live\"\nexpires = \"soon\"", "expires", "a time in whole seconds"),
        (
            "environment = \"live\"\nexpires = \"2030-01-01T00:00:00.5Z\"",
            "expires",
            "whole seconds",
        ),
        ("environment = \"live\"\nexpires = 2030-01-01T00:00:00", "expires", "with its offset"),
        ("environment = \"live\"\nscope = []", "scope", "did you mean `scopes`?"),
    ];
    for (to, own, words) in cases {
        check_merchants(environment, to, &format!("{key}.{own}"), words);
    }
    let scopes = "scopes = [\"* /v1/*\"]";
    check_merchants(scopes, "", &format!("{key}.scopes"), "so scopes are needed");
    check_merchants(
        scopes,
        "scopes = [\"/v1\"]",
        &format!("{key}.scopes[0]"),
        "a space and a path",
    );
    let to = format!("addresses = [\"11.0.0.1\"]\n{scopes}");
    let merchants = change(MERCHANTS, scopes, &to)
        .replace(rate, &format!("{rate}\naddresses = [\"10.0.0.0/8\"]"));
    check(&Folder::with(MAIN, &merchants), &format!("{key}.addresses"), "nobody may call");
    let twin = MERCHANTS.replace("merchants.acme", "merchants.bolt");
    let twin = change(&twin, "secrets.txt\"", "secrets.txt\", id = \"spare\"");
    let folder = Folder::with(MAIN, &format!("{MERCHANTS}{twin}"));
    check(
        &folder,
        "merchants.bolt.credentials.pk_acme",
        "the key id is taken by the credential at",
    );
    let long =
        MERCHANTS.replace("pk_acme", &"k".repeat(129)).replace(".txt\"", ".txt\", id = \"spare\"");
    check(
        &Folder::with(MAIN, &long),
        &format!("merchants.acme.credentials.{}", "k".repeat(129)),
        "1 to 128",
    );
}

#[test]
fn broken_files() {
    check_main("state = \"state\"", "state = \"state", "", "not valid TOML");
    let folder = Folder::with(&change(MAIN, ADDRESS, &format!("{ADDRESS}\n{ADDRESS}")), MERCHANTS);
    check(&folder, "", "duplicate key");
    let both = change(MAIN, ADDRESS, &format!("{ADDRESS}\n{ADDRESS}")).replace("http:", "gopher:");
    assert_eq!(Folder::with(&both, MERCHANTS).faults().iter().count(), 2);
    let broken = change(MAIN, ADDRESS, "address = ").replace("http:", "gopher:");
    let folder = Folder::with(&broken, &change(MERCHANTS, "50", "0"));
    let faults = folder.faults();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["", "merchants.acme.rate.per_second"], "{faults}");
    let folder = Folder::with(&change(MAIN, ADDRESS, &format!("{ADDRESS}\n{ADDRESS}")), MERCHANTS);
    assert!(folder.faults().to_string().contains("main.toml:6:1"), "{}", folder.faults());
    let folder = Folder::new();
    std::fs::write(folder.path("merchants.toml"), b"\n\xff").unwrap();
    check(&folder, "", "merchants.toml:2: not UTF-8");
    std::fs::remove_file(folder.path("merchants.toml")).unwrap();
    check(&folder, "", "cannot be read: No such file");
    std::fs::remove_file(folder.path("main.toml")).unwrap();
    check(&folder, "", "main.toml: cannot be read");
}

#[test]
fn many_mistakes_show_at_once_in_the_order_of_lines() {
    let main = MAIN
        .replace("127.0.0.1:8443", "here")
        .replace("http:", "gopher:")
        .replace("/v1/*", "v1")
        .replace("state =", "stat =");
    let merchants = MERCHANTS.replace("50", "0").replace("live", "prod").replace("* /v1", "v1");
    let faults = Folder::with(&main, &merchants).faults();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "state",
        "stat",
        "listener.address",
        "upstreams.app.url",
        "routes[0].path",
        "merchants.acme.rate.per_second",
        "merchants.acme.credentials.pk_acme.environment",
        "merchants.acme.credentials.pk_acme.scopes[0]",
    ];
    assert_eq!(keys, expected, "{faults}");
    assert!(faults.to_string().ends_with("8 mistakes in the configuration"));
}

#[test]
fn a_fault_points_at_its_place() {
    let folder = Folder::with(&change(MAIN, ADDRESS, "address = \"hé\" # ours"), MERCHANTS);
    let faults = folder.faults();
    let text = faults.to_string();
    let picture = " 5 | address = \"hé\"\n   |           ^^^^\n";
    assert!(text.contains("main.toml:5:11: listener.address: expected"), "{text}");
    assert!(text.contains(picture) && !text.contains("ours"), "{text}");
    assert!(faults.render(Colour::Ansi).contains("\u{1b}[31m^^^^\u{1b}[0m"));
    let json = serde_json::to_value(&faults).unwrap();
    assert_eq!(json[0]["line"], 5);
    assert_eq!(json[0]["column"], 11);
    assert_eq!(json[0]["key"], "listener.address");
    assert_eq!(json[0]["found"], "\"hé\"");
    assert_eq!(json[0]["source"]["text"], "address = \"hé\"");
}

#[test]
fn a_key_cannot_speak_to_the_terminal() {
    let folder = Folder::with(&format!("\"\\u001b[2J\" = 1\n{MAIN}"), MERCHANTS);
    let text = folder.faults().to_string();
    assert!(text.contains("unknown key") && !text.contains('\u{1b}'), "{text}");
}
