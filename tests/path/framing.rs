//! One head, one body, one reading: what two programs could take apart differently never gets
//! through.

use std::time::Duration;

use crate::support::client::Ended;
use crate::support::gateway::Gateway;
use crate::support::request::{Request, chunked};
use crate::support::setup::{Setup, kwik, v1};
use crate::support::upstream::Recorded;

const BODY: &[u8] = b"{\"amount\":100}";

/// A good POST with the default body.
fn order(gateway: &Gateway) -> Request {
    kwik().sign(Request::post("/v1/orders", BODY), gateway.now())
}

/// A good POST whose body comes in chunks, as bytes; `lines` go into its head.
fn chunked_order(gateway: &Gateway, lines: &str, chunks: &[u8]) -> Vec<u8> {
    let head = order(gateway).by_hand().body(b"").with_lines(lines);
    [&head, chunks].concat()
}

/// What the upstream got must be framed by one length and nothing else.
fn is_rebuilt(request: &Recorded, body: &[u8]) {
    assert_eq!(request.body, body);
    assert_eq!(request.value("content-length"), body.len().to_string());
    assert!(!request.has("transfer-encoding") && request.trailers.is_empty());
}

/// Row 1. Accepted as RFC 9112 allows: Transfer-Encoding wins, framing is made anew, the connection
/// closes, and what follows is no request.
#[test]
fn a_length_beside_chunks_is_one_request_and_the_last_of_its_connection() {
    let gateway = Gateway::start();
    let hidden = "GET /v1/hidden HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "transfer-ENCODING: Chunked\r\nCONTENT-length: 200\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    ] {
        gateway.advance(1);
        let before = gateway.upstream.count();
        let bytes = chunked_order(&gateway, lines, &chunked(BODY, 5));
        let mut client = gateway.client();
        client.send([&bytes, hidden.as_bytes()].concat());
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{lines}");
        assert_ne!(client.end(), Ended::Silent, "{lines}");
        assert!(client.left_over().is_empty(), "one answer to {lines}");
        assert_eq!(gateway.upstream.count(), before + 1, "{lines}");
        is_rebuilt(&gateway.upstream.last(), BODY);
    }
    gateway.advance(1);
    let old = chunked_order(&gateway, "Transfer-Encoding: chunked\r\n", &chunked(BODY, 5));
    let old = String::from_utf8(old).unwrap().replace(" HTTP/1.1\r\n", " HTTP/1.0\r\n");
    gateway.drops(old.as_bytes(), &[400]);
}

/// Row 2.
#[test]
fn a_length_that_is_no_plain_number_is_refused() {
    let gateway = Gateway::start();
    for lines in [
        "Content-Length: 14\r\nContent-Length: 15\r\n",
        "Content-Length: 14, 14\r\n",
        "Content-Length: 14, 15\r\n",
        "Content-Length: +14\r\n",
        "Content-Length: -14\r\n",
        "Content-Length: 0x0e\r\n",
        "Content-Length: 14.0\r\n",
        "Content-Length: 1 4\r\n",
        "Content-Length: \r\n",
        "Content-Length: １４\r\n",
        "Content-Length: 14\0\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        gateway.drops(&chunked_order(&gateway, lines, BODY), &[400, 413]);
    }
    let most = "Content-Length: 18446744073709551615\r\n";
    gateway.drops(&chunked_order(&gateway, most, BODY), &[400, 413, 431]);
    for length in ["9223372036854775808", "18446744073709551613", "1048577"] {
        let lines = format!("Content-Length: {length}\r\n");
        gateway.refuses_bytes(&chunked_order(&gateway, &lines, BODY), "body_too_large");
    }
}

/// Row 2. Two lengths that are equal are one length (RFC 9110, section 8.6): the HTTP library joins
/// them, and the service sees one.
#[test]
fn equal_lengths_are_one_length() {
    let gateway = Gateway::start();
    let lines = "Content-Length: 14\r\nContent-Length: 14\r\n";
    let mut client = gateway.client();
    client.send(chunked_order(&gateway, lines, BODY));
    assert_eq!(client.answer().status, 200);
    is_rebuilt(&gateway.upstream.last(), BODY);
    assert_eq!(gateway.upstream.count(), 1);
}

/// Row 3.
#[test]
fn the_only_transfer_coding_is_chunked() {
    let gateway = Gateway::start();
    for lines in [
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: cow, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding:\u{a0}chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\0\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer\r\n-Encoding: chunked\r\n",
        "Content-Length: 14\r\nTransfer-Encoding: identity\r\n",
        "Transfer_Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        gateway.drops(&chunked_order(&gateway, lines, &chunked(BODY, 5)), &[400, 501]);
    }
}

/// Rows 4 and 5. The head is good, so that the fault shows in the middle of the body.
#[test]
fn a_broken_chunk_is_refused() {
    let gateway = Gateway::start();
    let end = "\r\n0\r\n\r\n";
    for chunks in [
        format!("0xe\r\n{{\"amount\":100}}{end}"),
        format!("+e\r\n{{\"amount\":100}}{end}"),
        format!("-e\r\n{{\"amount\":100}}{end}"),
        format!("0_e\r\n{{\"amount\":100}}{end}"),
        format!("1000000000000000e\r\n{{\"amount\":100}}{end}"),
        format!("1000000000000000000000000000000e\r\n{{\"amount\":100}}{end}"),
        format!("\r\n{{\"amount\":100}}{end}"),
        format!(" \r\n{{\"amount\":100}}{end}"),
        format!("e\0\r\n{{\"amount\":100}}{end}"),
        format!("g\r\n{{\"amount\":100}}{end}"),
        format!("e\n{{\"amount\":100}}{end}"),
        format!("e\r{{\"amount\":100}}{end}"),
        format!("e;x\n{{\"amount\":100}}{end}"),
        format!("e;x=\"\n\"\r\n{{\"amount\":100}}{end}"),
        "e\r\n{\"amount\":100}\n0\r\n\r\n".into(),
        "e\r\n{\"amount\":100}\r0\r\n\r\n".into(),
        "e\r\n{\"amount\":100}0\r\n\r\n".into(),
        "d\r\n{\"amount\":100}\r\n0\r\n\r\n".into(),
    ] {
        let bytes = chunked_order(&gateway, "Transfer-Encoding: chunked\r\n", chunks.as_bytes());
        gateway.drops(&bytes, &[400]);
    }
}

/// Row 6, the part that is about the outcome; what it costs is a bench.
#[test]
fn long_extensions_and_small_chunks_end_in_a_refusal_or_in_one_rebuilt_request() {
    let gateway = Gateway::start();
    let many = (0..150).map(|_| format!("1;{}\r\nx\r\n", "e".repeat(200))).collect::<String>();
    for (chunks, body) in [
        (format!("e;{}\r\n{{\"amount\":100}}\r\n0\r\n\r\n", "e".repeat(20_000)), BODY.to_vec()),
        (format!("{many}0\r\n\r\n"), vec![b'x'; 150]),
        (String::from_utf8(chunked(&[b'x'; 6000], 1)).unwrap(), vec![b'x'; 6000]),
    ] {
        gateway.advance(1);
        let before = gateway.upstream.count();
        let request = kwik().sign(Request::post("/v1/orders", &body), gateway.now());
        let head = request.by_hand().body(b"").with_lines("Transfer-Encoding: chunked\r\n");
        let mut client = gateway.client();
        client.send([&head, chunks.as_bytes()].concat());
        match client.answer().status {
            200 => is_rebuilt(&gateway.upstream.last(), &body),
            status => {
                assert!([400, 413].contains(&status), "{status}");
                assert_eq!(gateway.upstream.count(), before);
            }
        }
    }
}

/// Row 7.
#[test]
fn trailers_are_dropped_and_never_become_headers() {
    let gateway = Gateway::start();
    for trailers in [
        "Content-Length: 3\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".into(),
        "Host: evil.example.com\r\n".into(),
        "X-API-KEY: pk_live_globex\r\n".into(),
        "X-Countersign-Merchant: globex\r\nX-Forwarded-For: 1.2.3.4\r\n".into(),
        "X-Extra: 1\r\n".into(),
        format!("X-Extra: {}\r\n", "x".repeat(40_000)),
        (0..500).map(|n| format!("X-{n}: 1\r\n")).collect(),
        "GET /v1/hidden HTTP/1.1\r\n".into(),
    ] {
        gateway.advance(1);
        let before = gateway.upstream.count();
        let chunks = format!("e\r\n{{\"amount\":100}}\r\n0\r\n{trailers}\r\n");
        let bytes = chunked_order(&gateway, "Transfer-Encoding: chunked\r\n", chunks.as_bytes());
        let mut client = gateway.client();
        client.send(bytes);
        match client.answer().status {
            200 => {
                let request = gateway.upstream.last();
                is_rebuilt(&request, BODY);
                assert_eq!(request.value("x-countersign-merchant"), "acme");
                assert_eq!(request.value("host"), "api.example.com");
                assert!(!request.has("x-extra") && !request.has("x-api-key"));
            }
            status => {
                assert!([400, 413, 431].contains(&status), "{status} to {trailers:.40}");
                assert_eq!(gateway.upstream.count(), before);
            }
        }
    }
}

/// Row 8.
#[test]
fn a_body_that_stops_half_way_is_refused_at_its_deadline() {
    let setup = Setup::new().with("listener.deadlines.body", r#""300ms""#);
    let gateway = Gateway::with(setup);
    let whole = order(&gateway).h1();
    let mut client = gateway.refuses_bytes(&whole[..whole.len() - 3], "body_too_slow");
    assert_ne!(client.end(), Ended::Silent);
    let mut client = gateway.client();
    client.send(&whole[..whole.len() - 3]);
    client.half_close();
    assert_ne!(client.end(), Ended::Silent);
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// Rows 9, 10 and 11.
#[test]
fn a_header_line_that_is_not_a_name_and_a_value_is_refused() {
    let gateway = Gateway::start();
    for lines in [
        &b"X-Extra : 1\r\n"[..],
        b"X-Extra\t: 1\r\n",
        b": 1\r\n",
        b"X-Ex\x01tra: 1\r\n",
        b"X-Ex\xffra: 1\r\n",
        b"X-Ex tra: 1\r\n",
        b"X(Extra): 1\r\n",
        b"no colon at all\r\n",
        b"X-Extra: 1\r\n 2\r\n",
        b"X-Extra: 1\r\n\t2\r\n",
        b" X-Extra: 1\r\n",
        b"X-Extra: a\0b\r\n",
        b"X-Extra: a\rb\r\n",
        b"X-Extra: a\x7fb\r\n",
        b"X-Extra: a\x08b\r\n",
    ] {
        gateway.drops(&order(&gateway).with_lines(lines), &[400]);
    }
    for first in ["POST", "POST /v1/orders", "POST /v1/orders HTTP/1.2", "POST /v1/orders HTTP/2.0"]
    {
        let bytes = order(&gateway).edited("POST /v1/orders HTTP/1.1", first);
        gateway.drops(&bytes, &[400, 505]);
    }
    for first in [" POST /v1/orders HTTP/1.1", "PO(ST /v1/orders HTTP/1.1", "\0POST / HTTP/1.1"] {
        let bytes = order(&gateway).edited("POST /v1/orders HTTP/1.1", first);
        gateway.drops(&bytes, &[400]);
    }
}

/// Row 12: a claim given twice is no claim, even when both are equal.
#[test]
fn a_claim_given_twice_is_malformed() {
    let gateway = Gateway::start();
    let request = v1().sign(Request::post("/v2/orders", BODY), gateway.now());
    for name in ["X-API-KEY", "X-TIMESTAMP", "X-NONCE", "X-SIGNATURE"] {
        let value = request.value(name);
        gateway.refuses(&request.clone().header(name, &value), "malformed_header");
        gateway.refuses(&request.clone().header(name, "other"), "malformed_header");
        gateway
            .refuses(&request.clone().set(name, format!("{value}, {value}")), "malformed_header");
        gateway.refuses(&request.clone().without(name), "missing_header");
        gateway.refuses(&request.clone().set(name, ""), "malformed_header");
    }
    gateway.accepts(&request);
}

/// Row 13.
#[test]
fn names_in_any_case_and_space_round_values_change_nothing() {
    let gateway = Gateway::start();
    let request = order(&gateway);
    let signature = request.value("X-SIGNATURE");
    let bytes = request
        .edited(&format!("X-SIGNATURE: {signature}"), format!("x-SigNature:  \t{signature} \t "));
    let bytes = String::from_utf8(bytes).unwrap().replace("X-API-KEY: ", "x-api-key:");
    let mut client = gateway.client();
    client.send(bytes);
    assert_eq!(client.answer().status, 200);
    assert_eq!(gateway.upstream.count(), 1);
}

/// Row 14, HTTP/1.1.
#[test]
fn there_is_exactly_one_valid_host() {
    let gateway = Gateway::start();
    let host = "Host: api.example.com\r\n";
    for lines in [
        "",
        "Host:\r\n",
        "Host: api.example.com\r\nHost: api.example.com\r\n",
        "Host: api.example.com\r\nHost: shop.example.com\r\n",
        "Host: api.example.com, shop.example.com\r\n",
        "Host: user@api.example.com\r\n",
        "Host: api.example.com/v1\r\n",
        "Host: api.example.com:port\r\n",
        "Host: api.example.com:\r\n",
        "Host: api.example.com:443:443\r\n",
        "Host: api_example.com\r\n",
        "Host: https://api.example.com\r\n",
    ] {
        gateway.refuses_bytes(&order(&gateway).edited(host, lines), "bad_request");
    }
    for target in [
        "http://api.example.com/v1/orders",
        "https://api.example.com/v1/orders",
        "https://user@api.example.com/v1/orders",
        "https://shop.example.com/v1/orders",
    ] {
        gateway.refuses_bytes(&order(&gateway).target(target).h1(), "bad_request");
    }
    let with_port = order(&gateway).edited(host, "Host: API.example.com:8443\r\n");
    let mut client = gateway.client();
    client.send(with_port);
    assert_eq!(client.answer().status, 200, "a port and capitals are part of a valid Host");
}

/// Row 16: naming a header in `Connection` takes it off nobody's list.
#[test]
fn connection_cannot_take_a_claim_or_an_identity_away() {
    let gateway = Gateway::start();
    let listed = "X-API-KEY, X-Signature, X-Forwarded-For, X-Countersign-Merchant, X-Hop";
    let request = order(&gateway).header("Connection", listed).header("X-Hop", "1");
    gateway.accepts(&request);
    let seen = gateway.upstream.last();
    assert_eq!(seen.value("x-countersign-merchant"), "acme");
    assert_eq!(seen.value("x-countersign-credential"), "pk_live_acme");
    assert_eq!(seen.value("x-forwarded-for"), "127.0.0.1");
    assert!(!seen.has("x-hop"), "hop-by-hop ends here");
    gateway.refuses_h1(&request.without("X-API-KEY"), "missing_header");
}

/// Row 17.
#[test]
fn names_with_an_underscore_are_refused() {
    let gateway = Gateway::start();
    for name in ["X_API_KEY", "Content_Length", "X_Countersign_Merchant", "x_extra"] {
        gateway.refuses(&order(&gateway).header(name, "1"), "bad_request");
    }
}

/// Row 21.
#[test]
fn a_head_beyond_its_limits_is_refused() {
    let gateway = Gateway::start();
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    gateway.drops_quietly(&order(&gateway).with_lines(fields(101)), &[431]);
    gateway.drops_quietly(&order(&gateway).with_lines(fields(2000)), &[431]);
    let value = |bytes: usize| format!("X-Extra: {}\r\n", "x".repeat(bytes));
    gateway.refuses_bytes(&order(&gateway).with_lines(value(8193)), "headers_too_large");
    gateway.drops_quietly(&order(&gateway).with_lines(value(100_000)), &[431]);
    gateway.drops_quietly(
        &order(&gateway).with_lines(format!("{}: 1\r\n", "n".repeat(70_000))),
        &[400, 431],
    );
    let total = (0..5).map(|n| format!("X-{n}: {}\r\n", "x".repeat(8000))).collect::<String>();
    gateway.refuses_bytes(&order(&gateway).with_lines(total), "headers_too_large");
    let target = |bytes: usize| order(&gateway).target(&format!("/v1/{}", "t".repeat(bytes)));
    gateway.drops_quietly(&target(70_000).h1(), &[414, 431]);
    gateway.refuses_bytes(&target(33_000).h1(), "headers_too_large");
    gateway.drops_quietly(&order(&gateway).method(&"M".repeat(20_000)).h1(), &[400]);
    gateway.refuses_bytes(&order(&gateway).method(&"M".repeat(17)).h1(), "bad_request");
    gateway.accepts(&order(&gateway).header("X-Extra", "x".repeat(8192)));
}

/// Row 22.
#[test]
fn a_body_is_only_asked_for_once_it_can_matter() {
    let gateway = Gateway::start();
    let expecting = |value: &str| order(&gateway).header("Expect", value);
    for odd in ["200-ok", "100-continue, 100-continue", "x"] {
        gateway.refuses(&expecting(odd), "bad_request");
    }
    // Without claims, out of time or on no route nothing is asked for.
    let early = [
        (expecting("100-continue").without("X-SIGNATURE"), "missing_header"),
        (kwik().sign(expecting("100-continue"), gateway.now() - 301), "stale_timestamp"),
        (expecting("100-continue").target("/nowhere"), "no_route"),
    ];
    for (request, code) in early {
        let client = gateway.refuses_bytes(&request.head(), code);
        assert!(client.left_over().is_empty());
    }
    let mut client = gateway.client();
    client.send(expecting("100-continue").head());
    let mut rest = gateway.client();
    assert!(rest.left_over().is_empty());
    client.patience(Duration::from_millis(500));
    assert_eq!(client.try_answer("GET").unwrap_err(), Ended::Silent);
    client.patience(Duration::from_secs(10));
    client.send(BODY);
    assert_eq!(client.answer().status, 200);
    let wrong = expecting("100-continue").set("X-SIGNATURE", "0".repeat(64));
    gateway.refuses_bytes(&wrong.h1(), "invalid_signature");
    rest.half_close();
}

/// Row 23.
#[test]
fn the_protocol_cannot_be_changed() {
    let gateway = Gateway::start();
    let hidden = b"GET /v1/hidden HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    for lines in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Upgrade: TLS/1.3\r\n",
        "HTTP2-Settings: AAMAAABk\r\n",
    ] {
        let bytes = [&order(&gateway).with_lines(lines)[..], hidden].concat();
        gateway.refuses_bytes(&bytes, "bad_request");
    }
    let connect = "CONNECT service:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    gateway.drops(connect.as_bytes(), &[400, 405]);
    gateway.refuses_bytes(&order(&gateway).method("TRACE").h1(), "bad_request");
    gateway.refuses_bytes(&order(&gateway).target("*").method("OPTIONS").h1(), "bad_request");
    let mut client = gateway.client();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    if let Ok(answer) = client.try_answer("GET") {
        assert!([400, 505].contains(&answer.status), "{answer:?}");
    }
    assert_ne!(client.end(), Ended::Silent);
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// Row 24.
#[test]
fn pipelined_requests_are_answered_once_and_in_order() {
    let gateway = Gateway::start();
    gateway.upstream.answer_with(|request| {
        vec![crate::support::upstream::Step::Send(crate::support::upstream::ok(
            request.target.as_bytes(),
        ))]
    });
    let one = |n: u8| {
        let request = Request::post(&format!("/v2/{n}"), BODY);
        v1().sign(request, gateway.now()).h1()
    };
    let mut client = gateway.client();
    client.send([one(1), one(2), one(3)].concat());
    for n in 1..=3 {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, format!("/v2/{n}")));
    }
    let bad = "POST /v2/5 HTTP/1.1\r\nHost : x\r\n\r\n";
    client.send([one(4), bad.into(), one(6)].concat());
    assert_eq!(client.answer().text(), "/v2/4");
    assert_eq!(client.answer().status, 400);
    assert_ne!(client.end(), Ended::Silent);
    assert_eq!(gateway.upstream.count(), 4, "nothing after the bad one");
}

/// A refusal of a HEAD has no body that the next answer could be mistaken for.
#[test]
fn a_refused_head_request_has_no_body() {
    let gateway = Gateway::start();
    let mut client = gateway.client();
    client.send(Request::new("HEAD", "/nowhere").h1());
    let answer = client.answer_to("HEAD");
    assert_eq!((answer.status, answer.body.len()), (404, 0));
    assert_eq!(client.ask(&order(&gateway)).status, 200);
}

/// Row 25. A client that writes its whole body before it reads must still get its answer.
#[test]
fn a_refused_body_still_gets_its_answer() {
    let gateway = Gateway::start();
    gateway.accepts(&order(&gateway));
    for (bytes, goes_on) in [(1024, true), (48 * 1024, true), (1024 * 1024, false)] {
        let big = Request::post("/v1/orders", &vec![b'x'; bytes]);
        let stale = kwik().sign(big.clone(), gateway.now() - 1000);
        let mut client = gateway.client();
        let answer = client.ask(&stale);
        assert_eq!(answer.refusal().code, "stale_timestamp", "{bytes}");
        assert_eq!(answer.value("connection") == Some("close"), !goes_on, "{bytes}");
        if goes_on {
            gateway.advance(1);
            assert_eq!(client.ask(&order(&gateway)).status, 200, "next after {bytes}");
        }
        let unknown = kwik().sign(big, gateway.now()).set("X-SIGNATURE", "0".repeat(64));
        let mut client = gateway.client();
        assert_eq!(client.ask(&unknown).refusal().code, "invalid_signature", "{bytes}");
        gateway.advance(1);
        assert_eq!(client.ask(&order(&gateway)).status, 200, "the body was read: {bytes}");
    }
}

/// Row 26.
#[test]
fn coded_bodies_are_refused() {
    let gateway = Gateway::start();
    for coding in ["gzip", "deflate", "br", "zstd", "aes128gcm", "identity, gzip", "x"] {
        let request = order(&gateway).header("Content-Encoding", coding);
        gateway.refuses(&request, "unsupported_encoding");
    }
    gateway.accepts(&order(&gateway).header("Content-Encoding", "identity"));
}

/// Row 27.
#[test]
fn one_byte_over_the_limit_is_too_large() {
    let gateway = Gateway::with(Setup::new().deadline("body", 5000));
    let limit = 1024 * 1024;
    let sized = |bytes: usize| Request::post("/v1/orders", &vec![b'x'; bytes]);
    gateway.refuses(&kwik().sign(sized(limit + 1), gateway.now()), "body_too_large");
    let chunks = kwik().sign(sized(limit + 1), gateway.now()).chunks(32 * 1024);
    gateway.refuses(&chunks, "body_too_large");
    gateway.accepts(&kwik().sign(sized(limit), gateway.now()));
    gateway.advance(1);
    gateway.accepts(&kwik().sign(sized(limit), gateway.now()).chunks(10_000));
    gateway.advance(1);
    gateway.accepts_h2(&kwik().sign(sized(limit), gateway.now()));
    assert_eq!(gateway.upstream.last().body.len(), limit);
}
