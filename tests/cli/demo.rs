//! `countersign demo`, and what a newcomer does with it.

use crate::support::*;

/// What the tour must show, in its order.
const CODES: [Option<&str>; 18] = [
    None,
    None,
    None,
    Some("replayed"),
    Some("invalid_signature"),
    Some("invalid_signature"),
    Some("invalid_signature"),
    Some("stale_timestamp"),
    Some("stale_timestamp"),
    Some("not_in_scope"),
    Some("address_not_allowed"),
    Some("rate_limited"),
    Some("body_too_large"),
    Some("missing_header"),
    Some("malformed_header"),
    Some("bad_request"),
    Some("misdirected"),
    Some("no_route"),
];

#[test]
fn the_tour_ends_well_and_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let output =
        countersign(&["demo", "--exit", "--port=0"]).env("TMPDIR", place.path()).output().unwrap();
    let shown = good(&output);
    assert!(shown.contains("18 of 18 as expected."), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colour where no terminal is");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn programs_read_the_outcomes() {
    let output = run(&["demo", "--exit", "--port=0", "--json"]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    assert_eq!(json["as_expected"], true);
    let codes: Vec<_> =
        json["outcomes"].as_array().unwrap().iter().map(|one| one["code"].as_str()).collect();
    assert_eq!(codes, CODES);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--port={}", taken.local_addr().unwrap().port());
    let output = run(&["demo", "--exit", &port, "--operations-port=0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("choose another port with --port N"));
}

/// The line that signs by itself, run as it was printed, and the gate's own programs beside it.
#[test]
fn the_printed_line_works() {
    let place = tempfile::tempdir().unwrap();
    let mut command = countersign(&["demo", "--port=0"]);
    command.env("TMPDIR", place.path());
    let mut demo = Running::start(command);
    let shown = demo.read_until("Ctrl-C ends");
    let line = shown.lines().find(|line| line.starts_with("body=")).unwrap();
    let first = shell(&line.replace("curl ", "curl -sS "));
    let json: serde_json::Value = serde_json::from_str(good(&first)).unwrap();
    assert_eq!(json["identity"]["x-countersign-merchant"], "acme", "{json}");
    let again = shell(&format!("sleep 1.1; {}", line.replace("curl ", "curl -sS --http1.1 ")));
    assert!(good(&again).contains("\"acme\""), "{}", text(&again.stdout));
    let metrics = shown.lines().find(|line| line.ends_with("/metrics")).unwrap();
    assert!(good(&shell(&metrics.replace("curl ", "curl -sS "))).contains("# TYPE"));

    let folder = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    let url = line.rsplit(' ').next().unwrap();
    let arguments = |data: &'static str| {
        vec![
            "send".to_owned(),
            "--key-id=pk_test_acme".to_owned(),
            format!("--secret-list={}/secrets.txt", folder.display()),
            format!("--ca={}/ca.pem", folder.display()),
            format!("--url={url}"),
            "--json".to_owned(),
            format!("--data={data}"),
        ]
    };
    for (data, more, version) in [("a", "--http1", "HTTP/1.1"), ("b", "--http2", "HTTP/2.0")] {
        let mut all = arguments(data);
        all.push(more.to_owned());
        let output = run(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
        assert_eq!((json["status"].as_u64(), json["version"].as_str()), (Some(200), Some(version)));
    }
    let mut all = arguments("c");
    all.push("--timestamp=1700000000".to_owned());
    let output = run(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("stale_timestamp"));

    let (status, error) = demo.terminate();
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
