//! What configuration says of changes on the way: paths and header fields.

use super::*;

fn with(route: &str) -> Folder {
    Folder::with(&format!("{MAIN}{route}\n"), MERCHANTS)
}

#[test]
fn a_route_can_change_paths_and_headers() {
    let changes = |route: &str| {
        let (config, _) = with(route).load().unwrap_or_else(|faults| panic!("{faults}"));
        config.routes[0].changes.clone()
    };
    assert_eq!(changes(""), Default::default(), "nothing by default");
    let path = |route: &str| {
        let change = changes(route).path.unwrap();
        (change.from.to_string(), change.to.to_string())
    };
    assert_eq!(path("strip = \"/v1\""), ("/v1".into(), String::new()));
    assert_eq!(path("replace = { from = \"/v1\", to = \"/\" }"), ("/v1".into(), String::new()));
    assert_eq!(
        path("replace = { from = \"/v1\", to = \"/v2/a\" }"),
        ("/v1".into(), "/v2/a".into())
    );
    let all = changes(
        "request_headers = { set = { X-Zone = \"a b\" }, remove = [\"X-Debug\"] }\n\
         response_headers.remove = [\"Server\"]",
    );
    let (request, answer) = (all.request.unwrap(), all.answer.unwrap());
    assert_eq!((request.set[0].0.as_str(), request.set[0].1.as_bytes()), ("x-zone", &b"a b"[..]));
    assert_eq!(request.remove[0].as_str(), "x-debug");
    assert_eq!((answer.remove[0].as_str(), answer.set.len()), ("server", 0));
    assert_eq!(changes("request_headers = {}"), Default::default());
}

#[test]
fn mistakes_are_told() {
    let request = |what: &str| format!("request_headers = {{ {what} }}");
    let answer = |what: &str| format!("response_headers = {{ {what} }}");
    let many: String = (0..33).map(|n| format!("X-{n} = \"1\",")).collect();
    for (route, words) in [
        ("strip = \"/v1/\"".to_owned(), "without a slash at its end"),
        ("strip = \"v1\"".to_owned(), "a path begins with '/'"),
        ("strip = \"/\"".to_owned(), "without a slash at its end"),
        ("strip = \"/v1/..\"".to_owned(), "'.' or '..'"),
        ("strip = \"/v1//a\"".to_owned(), "no empty segment"),
        ("strip = \"/v\"".to_owned(), "not every path of this route begins with /v"),
        ("strip = \"/v1/orders\"".to_owned(), "not every path of this route begins"),
        ("strip = \"/v1?a\"".to_owned(), "the beginning of a path"),
        (format!("strip = \"/{}\"", "a".repeat(256)), "the beginning of a path"),
        ("replace = { from = \"/v1\" }".to_owned(), "the key `to` is missing"),
        ("replace = { from = \"/v1\", to = \"/a/./b\" }".to_owned(), "'.' or '..'"),
        ("replace = { from = \"/v1\", to = \"\" }".to_owned(), "a path begins with '/'"),
        (
            "strip = \"/v1\"\nreplace = { from = \"/v1\", to = \"/a\" }".to_owned(),
            "a path is changed once",
        ),
        (request("set = { X-Countersign-Merchant = \"a\" }"), "the gate itself rules"),
        (request("remove = [\"X-Forwarded-For\"]"), "the gate itself rules"),
        (request("remove = [\"via\"]"), "the gate itself rules"),
        (request("set = { X-Seal-Kid = \"a\" }"), "the gate itself rules"),
        (answer("remove = [\"X-Countersign-Request-Id\"]"), "the gate itself rules"),
        (request("set = { Content-Length = \"1\" }"), "belongs to the framing"),
        (request("set = { host = \"a\" }"), "belongs to the framing"),
        (request("remove = [\"Transfer-Encoding\"]"), "belongs to the framing"),
        (answer("set = { Connection = \"close\" }"), "belongs to the framing"),
        (answer("remove = [\"Proxy-Authenticate\"]"), "belongs to the framing"),
        (request("set = { X_Zone = \"a\" }"), "underscore"),
        (request("remove = [\"a b\"]"), "the name of a header field"),
        (request("set = { Authorization = \"Bearer a\" }"), "a secret has no place"),
        (answer("set = { Set-Cookie = \"a=b\" }"), "a secret has no place"),
        (request("set = { X-A = \"a\\r\\nX-B: b\" }"), "visible ASCII"),
        (request("set = { X-A = \" a\" }"), "visible ASCII"),
        (request("set = { X-A = 7 }"), "visible ASCII"),
        (request("set = { X-A = \"1\", x-a = \"2\" }"), "stands here twice"),
        (request("set = { X-A = \"1\" }, remove = [\"x-a\"]"), "stands here twice"),
        (request(&format!("set = {{ {many} }}")), "more than 32 fields"),
        (request("add = {}"), "the keys here are"),
    ] {
        let text = with(&route).faults().to_string();
        assert!(text.contains(words), "{route}: {words:?} is not in\n{text}");
    }
}
