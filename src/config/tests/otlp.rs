//! `[otlp]`.

use super::*;
use crate::config::fault::Weight;

/// The table with these lines; the one line is `endpoint` where none of them is.
fn with(lines: &str) -> Folder {
    let endpoint = if lines.contains("endpoint =") {
        ""
    } else {
        "endpoint = \"https://otlp.example:4318\"\n"
    };
    let table = format!("[otlp]\n{endpoint}{lines}\n[upstreams.app]");
    let folder = Folder::with(&change(MAIN, "[upstreams.app]", &table), MERCHANTS);
    folder.write("token.txt", "Bearer token-marker\n");
    folder.write("lines.txt", "Bearer token-marker\nanother\n");
    folder.write("blank.txt", "\n");
    folder.write("ca.pem", &authority());
    folder
}

fn authority() -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn the_endpoint_is_the_whole_url_or_a_collector() {
    for (stated, whole) in [
        ("https://otlp.example", "https://otlp.example/v1/traces"),
        ("https://otlp.example:4318/", "https://otlp.example:4318/v1/traces"),
        ("https://otlp.example/own", "https://otlp.example/own"),
        ("https://otlp.example/?a=b", "https://otlp.example/?a=b"),
    ] {
        let lines = format!("ca = \"ca.pem\"\nendpoint = \"{stated}\"");
        let (config, _) = with(&lines).load().unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.otlp.unwrap().collector.endpoint.to_string(), whole);
        assert!(config.routes.iter().all(|route| route.changes.trace), "its spans go on");
    }
    assert!(Folder::new().load().unwrap().0.otlp.is_none());
}

#[test]
fn headers_come_from_elsewhere_and_are_not_shown() {
    let folder = with(
        "ca = \"ca.pem\"\nheaders.Authorization = { file = \"token.txt\" }\n\
         headers.X-Scope-OrgID = { env = \"SHORT_SECRET\" }",
    );
    let (config, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    for name in ["token.txt", "ca.pem"] {
        assert!(config.watched.contains(&folder.path(name)), "{name} is watched");
    }
    assert!(!format!("{config:?}").contains("marker"));
    let headers = config.otlp.unwrap().collector.headers;
    let headers: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let expected: [(&str, &[u8]); 2] =
        [("authorization", b"Bearer token-marker"), ("x-scope-orgid", b"env-marker")];
    assert_eq!(headers, expected);
}

#[test]
fn mistakes_are_told_and_secrets_are_not() {
    for (lines, key, words) in [
        ("endpoint = \"otlp.example\"", "endpoint", "https://collector.internal:4318"),
        ("endpoint = \"https://me:marker@otlp.example\"", "endpoint", "user or password"),
        ("endpoint = \"http://127.0.0.1:4318\"", "endpoint", "named networks only"),
        ("endpoint = \"https://10.0.0.1\"", "endpoint", "none of the networks"),
        (
            "endpoint = \"http://127.0.0.1\"\nnetworks = [\"127.0.0.1\"]\nca = \"ca.pem\"",
            "ca",
            "shows no certificate",
        ),
        ("headers.Authorization = \"Bearer marker\"", "headers.Authorization", "a table"),
        ("headers.Authorization = {}", "headers.Authorization", "one of file, list or env"),
        ("headers.Host = { env = \"ACME_SECRET\" }", "headers.Host", "no header field"),
        ("headers.\"a b\" = { env = \"ACME_SECRET\" }", "headers.a b", "no header field"),
        (
            "headers.X-A = { env = \"ACME_SECRET\" }\nheaders.x-a = { env = \"SHORT_SECRET\" }",
            "headers.x-a",
            "stands here twice",
        ),
        ("headers.X-A = { file = \"lines.txt\" }", "headers.X-A", "in one line"),
        ("headers.X-A = { file = \"blank.txt\" }", "headers.X-A", "in one line"),
        ("headers.X-A = { list = \"secrets.txt\", id = \"pk_acme\" }", "", "has the same bytes"),
        ("service = \"two words\"", "service", "a name of 1 to 64"),
        ("sample = 1.5", "sample", "a share from 0 to 1"),
        ("sample = -0.0000001", "sample", "a share from 0 to 1"),
        ("unverified = { per_second = 0, burst = 1 }", "unverified.per_second", "unlimited"),
        ("queue = 0", "queue", "unlimited"),
        ("queue = 10\nbatch = 11", "batch", "room for 10"),
        ("interval = \"2m\"", "interval", "from 10ms to 60s"),
        ("deadline = \"0s\"", "deadline", "unlimited"),
        ("retry_for = \"500ms\"", "retry_for", "from 1s to 3600s"),
        ("protocol = \"grpc\"", "protocol", "unknown key"),
    ] {
        let faults = with(lines).faults();
        let found = faults.iter().any(|fault| {
            fault.to_string().contains(words)
                && (key.is_empty() || fault.to_string().contains(&format!("otlp.{key}")))
        });
        assert!(found, "{lines}: {faults}");
        assert!(!faults.to_string().contains("marker"), "{lines}: {faults}");
    }
}

#[test]
fn check_says_where_spans_go() {
    let notes = |lines: &str| {
        let (_, notes) = with(lines).load().unwrap_or_else(|faults| panic!("{faults}"));
        let of_spans = notes.into_iter().filter(|note| note.key.starts_with("otlp"));
        of_spans.map(|note| (note.weight, note.text)).collect::<Vec<_>>()
    };
    let [(weight, text)] = &notes("ca = \"ca.pem\"")[..] else { panic!("one note") };
    assert_eq!(*weight, Weight::Information);
    assert!(text.contains("otlp.example:4318") && text.contains("1 % of the others"), "{text}");
    let local = "endpoint = \"http://localhost:4318\"\nnetworks = [\"127.0.0.0/8\"]";
    assert_eq!(notes(local).len(), 1);
    let clear = "endpoint = \"http://otlp.example\"\nnetworks = [\"10.0.0.0/8\"]";
    assert!(notes(clear).iter().any(|(weight, _)| *weight == Weight::Warning));
}
