//! The same rules over HTTP/2, and the floods that only HTTP/2 knows.

use std::time::{Duration, Instant};

use crate::support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, encode, frame,
};
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, kwik, v1};
use crate::support::upstream::{Step, answer};
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn order(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

fn field(name: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (name.to_vec(), value.to_vec())
}

/// The fields of a good request after a change.
fn changed(gateway: &Gateway, change: impl FnOnce(&mut Fields)) -> Fields {
    let mut fields = order(gateway).h2();
    change(&mut fields);
    fields
}

/// Another value for one field.
fn with(gateway: &Gateway, name: &str, value: &[u8]) -> Fields {
    changed(gateway, |fields| {
        let own = fields.iter_mut().find(|(own, _)| own == name.as_bytes());
        own.unwrap().1 = value.to_vec();
    })
}

/// One more field at the end.
fn plus(gateway: &Gateway, name: &[u8], value: &[u8]) -> Fields {
    changed(gateway, |fields| fields.push(field(name, value)))
}

/// Sends these fields with the body of a good request and tells what came of it.
fn outcome(gateway: &Gateway, fields: &Fields) -> Outcome {
    let mut frames = gateway.frames();
    frames.open(1, fields, false);
    frames.send(DATA, END_STREAM, 1, BODY);
    frames.outcome(1)
}

/// Refused in HTTP/2's terms, or as `bad_request`; nothing forwarded either way.
fn is_refused(gateway: &Gateway, fields: &Fields) {
    let outcome = outcome(gateway, fields);
    let bad = outcome.code().as_deref() == Some("bad_request");
    let shown: Vec<_> = fields
        .iter()
        .map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
        .collect();
    assert!(outcome.is_protocol_refusal() || bad, "{outcome:?} to {shown:?}");
    assert_eq!(gateway.upstream.bytes(), 0, "{shown:?}");
}

#[test]
fn a_good_request_passes_frame_by_frame() {
    let gateway = Gateway::start();
    let outcome = outcome(&gateway, &order(&gateway).h2());
    assert_eq!(outcome, Outcome::Answer { status: 200, body: "{\"ok\":true}".into() });
    let seen = gateway.upstream.last();
    assert_eq!((seen.body.as_slice(), seen.value("host").as_str()), (BODY, "api.example.com"));
    assert_eq!(seen.value("content-length"), BODY.len().to_string());
}

/// Row 28.
#[test]
fn bytes_that_no_field_may_hold_are_refused() {
    let gateway = Gateway::start();
    for bad in [&b"a\r\nx-evil: 1"[..], b"a\nb", b"a\rb", b"a\0b"] {
        is_refused(&gateway, &plus(&gateway, b"x-extra", bad));
        is_refused(&gateway, &plus(&gateway, &[b"x-", bad].concat(), b"1"));
        for name in [":path", ":authority", ":method"] {
            let value = [b"/v2/orders", bad].concat();
            is_refused(&gateway, &with(&gateway, name, &value));
        }
    }
    for (name, value) in [
        (&b"X-Extra"[..], &b"1"[..]),
        (b"connection", b"x-api-key"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"keep-alive"),
        (b"upgrade", b"websocket"),
        (b"te", b"gzip"),
        (b"", b"1"),
        (b"x extra", b"1"),
    ] {
        is_refused(&gateway, &plus(&gateway, name, value));
    }
}

/// Row 29.
#[test]
fn pseudo_headers_come_once_first_and_complete() {
    let gateway = Gateway::start();
    for name in [":method", ":path", ":scheme", ":authority"] {
        let twice = changed(&gateway, |fields| {
            let own = fields.iter().find(|(own, _)| own == name.as_bytes()).unwrap().clone();
            fields.insert(0, own);
        });
        is_refused(&gateway, &twice);
        let late = changed(&gateway, |fields| {
            let at = fields.iter().position(|(own, _)| own == name.as_bytes()).unwrap();
            let own = fields.remove(at);
            fields.push(own);
        });
        is_refused(&gateway, &late);
        if name != ":authority" {
            let none = changed(&gateway, |f| f.retain(|(own, _)| own != name.as_bytes()));
            is_refused(&gateway, &none);
        }
    }
    is_refused(&gateway, &changed(&gateway, |f| f.insert(0, field(b":unknown", b"1"))));
    is_refused(&gateway, &changed(&gateway, |f| f.insert(0, field(b":status", b"200"))));
    is_refused(&gateway, &changed(&gateway, |f| f.insert(0, field(b":protocol", b"websocket"))));
    let no_host = changed(&gateway, |f| f.retain(|(own, _)| own != b":authority"));
    is_refused(&gateway, &no_host);
}

/// Row 7 and row 29. The HTTP library does not show pseudo headers among trailers: they are dropped
/// like all the others.
#[test]
fn trailers_are_dropped_or_refused() {
    let gateway = Gateway::start();
    for trailer in [
        field(b"x-countersign-merchant", b"evil"),
        field(b":path", b"/v2/evil"),
        field(b":method", b"GET"),
    ] {
        let before = gateway.upstream.count();
        let mut frames = gateway.frames();
        frames.open(1, &order(&gateway).h2(), false);
        frames.send(DATA, 0, 1, BODY);
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &encode(&[trailer]));
        match frames.outcome(1) {
            Outcome::Answer { status: 200, .. } => {
                let seen = gateway.upstream.last();
                assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v2/orders"));
                assert_eq!(seen.value("x-countersign-merchant"), "globex");
                assert!(seen.trailers.is_empty());
            }
            outcome => {
                let bad = outcome.code().as_deref() == Some("bad_request");
                assert!(outcome.is_protocol_refusal() || bad, "{outcome:?}");
                assert_eq!(gateway.upstream.count(), before);
            }
        }
    }
}

/// Rows 14 and 23 over HTTP/2: the same guard for both protocols.
#[test]
fn authority_scheme_and_target_have_one_reading() {
    let gateway = Gateway::start();
    is_refused(&gateway, &plus(&gateway, b"host", b"shop.example.com"));
    is_refused(&gateway, &with(&gateway, ":authority", b"user@api.example.com"));
    is_refused(&gateway, &with(&gateway, ":authority", b"api.example.com/x"));
    is_refused(&gateway, &with(&gateway, ":authority", b""));
    is_refused(&gateway, &with(&gateway, ":scheme", b"http"));
    is_refused(&gateway, &with(&gateway, ":scheme", b"ftp"));
    is_refused(&gateway, &with(&gateway, ":path", b"*"));
    is_refused(&gateway, &with(&gateway, ":path", b""));
    is_refused(&gateway, &with(&gateway, ":path", b"v2/orders"));
    is_refused(&gateway, &with(&gateway, ":path", b"https://api.example.com/v2/orders"));
    is_refused(&gateway, &with(&gateway, ":path", b"/v2/or ders"));
    is_refused(&gateway, &with(&gateway, ":path", b"/v2/orders HTTP/1.1\tX"));
    is_refused(&gateway, &with(&gateway, ":method", b"TRACE"));
    is_refused(&gateway, &with(&gateway, ":method", b"CONNECT"));
    let tunnel = vec![field(b":method", b"CONNECT"), field(b":authority", b"service:80")];
    is_refused(&gateway, &tunnel);
    let equal = plus(&gateway, b"host", b"api.example.com");
    assert!(matches!(outcome(&gateway, &equal), Outcome::Answer { status: 200, .. }));
}

/// Row 30.
#[test]
fn a_length_that_the_data_does_not_keep_is_refused() {
    let gateway = Gateway::start();
    for length in ["13", "15", "0", "999999999999"] {
        is_refused_or_large(&gateway, &plus(&gateway, b"content-length", length.as_bytes()));
    }
    is_refused(&gateway, &plus(&gateway, b"content-length", b"+14"));
    let twice = changed(&gateway, |fields| {
        fields.extend([field(b"content-length", b"14"), field(b"content-length", b"15")]);
    });
    is_refused(&gateway, &twice);
    assert_eq!(gateway.upstream.count(), 0);
}

fn is_refused_or_large(gateway: &Gateway, fields: &Fields) {
    let outcome = outcome(gateway, fields);
    let code = outcome.code();
    let known = matches!(code.as_deref(), Some("bad_request" | "body_too_large"));
    assert!(outcome.is_protocol_refusal() || known, "{outcome:?}");
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// After an attack on one connection, another client is served at once.
fn others_are_served(gateway: &Gateway, attack: &str) {
    let started = Instant::now();
    assert_eq!(gateway.ask_h2(&order(gateway)).status, 200, "after {attack}");
    assert!(started.elapsed() < Duration::from_secs(2), "after {attack}: {:?}", started.elapsed());
}

/// Row 31.
#[test]
fn rapid_resets_are_cut_and_cost_others_nothing() {
    let gateway = Gateway::start();
    let fields = encode(&Request::get("/v2/orders").h2());
    let mut frames = gateway.frames();
    for n in 0..4000_u32 {
        let stream = 2 * n + 1;
        let pair = [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ];
        if !frames.client.send(pair.concat()) {
            break;
        }
    }
    assert!(frames.gone_within(Duration::from_secs(10)), "4000 resets");
    others_are_served(&gateway, "rapid resets");

    // The server is made to reset: a window update of nothing is a fault of the stream.
    let mut frames = gateway.frames();
    for n in 0..4000_u32 {
        let stream = 2 * n + 1;
        let pair = [
            frame(HEADERS, END_HEADERS, stream, &fields),
            frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes()),
        ];
        if !frames.client.send(pair.concat()) {
            break;
        }
    }
    assert!(frames.gone_within(Duration::from_secs(10)), "4000 resets by the server");
    others_are_served(&gateway, "resets by the server");
}

/// Row 32.
#[test]
fn endless_header_blocks_are_cut() {
    let gateway = Gateway::start();
    let fields = encode(&Request::get("/v2/orders").h2());
    for (name, piece, count) in [
        ("empty", Vec::new(), 20_000),
        ("full", encode(&vec![field(b"x-extra", &[b'x'; 100]); 100]), 2_000),
    ] {
        let mut frames = gateway.frames();
        frames.send(HEADERS, END_STREAM, 1, &fields);
        for _ in 0..count {
            if !frames.send(CONTINUATION, 0, 1, &piece) {
                break;
            }
        }
        assert!(frames.gone_within(Duration::from_secs(10)), "{name}");
        others_are_served(&gateway, name);
    }
}

/// Row 33, the part that is about others; its costs are a bench.
#[test]
fn floods_of_small_frames_leave_others_served() {
    let gateway = Gateway::start();
    let floods: [(&str, u8, u8, &[u8]); 5] = [
        ("settings", SETTINGS, 0, &[]),
        ("pings", PING, 0, b"01234567"),
        ("ping answers", PING, ACK, b"01234567"),
        ("window updates", WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
        ("unknown frames", 0xfa, 0, b"x"),
    ];
    for (name, kind, flags, payload) in floods {
        let mut frames = gateway.frames();
        let burst = frame(kind, flags, 0, payload).repeat(500);
        frames.client.patience(Duration::from_millis(1));
        for _ in 0..40 {
            if !frames.client.send(&burst) {
                break;
            }
            let _ = frames.next();
        }
        others_are_served(&gateway, name);
    }
    let mut frames = gateway.frames();
    let burst = frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]).repeat(500);
    let _ = (0..40).all(|_| frames.client.send(&burst));
    others_are_served(&gateway, "priorities");
    let mut frames = gateway.frames();
    frames.open(1, &order(&gateway).h2(), false);
    let _ = (0..100).all(|_| frames.client.send(frame(DATA, 0, 1, &[]).repeat(500)));
    others_are_served(&gateway, "empty data");
}

/// Row 34.
#[test]
fn compressed_header_bombs_are_refused() {
    let gateway = Gateway::start();
    let mut block = encode(&Request::get("/v2/orders").h2());
    // One entry of the table, then many references to it.
    block.extend([&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'y'; 4000]].concat());
    block.extend(vec![0xbe; 10_000]);
    let mut frames = gateway.frames();
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    let outcome = frames.outcome(1);
    let large = matches!(outcome, Outcome::Answer { status: 431, .. });
    assert!(outcome.is_protocol_refusal() || large, "{outcome:?}");

    let fields = changed(&gateway, |f| f.extend((0..2000).map(|_| field(b"x", b"y"))));
    let mut frames = gateway.frames();
    frames.open(1, &fields, true);
    let outcome = frames.outcome(1);
    let large = matches!(outcome, Outcome::Answer { status: 431, .. });
    assert!(outcome.is_protocol_refusal() || large, "{outcome:?}");
    assert_eq!(gateway.upstream.bytes(), 0);
    others_are_served(&gateway, "bombs");
}

/// Rows 34 and 35: streams that wait for ever are given up, and there are never more than allowed.
#[test]
fn open_streams_are_bounded_and_end_at_their_deadline() {
    let setup = Setup::new()
        .with("listener.deadlines.body", r#""500ms""#)
        .with("listener.http2.streams", "100");
    let gateway = Gateway::with(setup);
    let mut frames = gateway.frames();
    let mut refused = 0;
    for n in 0..200_u32 {
        frames.open(2 * n + 1, &order(&gateway).h2(), false);
    }
    let mut slow = 0;
    for n in 0..200_u32 {
        match frames.outcome(2 * n + 1) {
            Outcome::Reset(_) => refused += 1,
            Outcome::Answer { status: 408, .. } => slow += 1,
            Outcome::Gone => break,
            other => panic!("stream {}: {other:?}", 2 * n + 1),
        }
    }
    assert!(slow <= 100, "{slow} at their deadline, {refused} refused at once");
    assert_eq!(gateway.upstream.bytes(), 0);
    others_are_served(&gateway, "open streams");
}

/// Row 35: answers that nobody reads.
#[test]
fn answers_that_nobody_reads_are_given_up() {
    let gateway = Gateway::with(Setup::new().with("listener.deadlines.stall", r#""500ms""#));
    gateway.upstream.answer_with(|_| vec![Step::Send(answer("200 OK", &[], &[b'x'; 300_000]))]);
    // No window at all for answers.
    let mut frames = Frames::connect_with(gateway.address, &[(4, 0)]);
    for n in 0..100_u32 {
        frames.request(2 * n + 1, &order(&gateway));
    }
    for n in 0..100_u32 {
        let outcome = frames.outcome(2 * n + 1);
        assert!(outcome.is_protocol_refusal(), "stream {}: {outcome:?}", 2 * n + 1);
    }
    wait_until("upstream connections to be let go", || gateway.upstream.open_connections() < 5);
}

/// Row 36: whatever a reset falls into, the claim stays and at most one request leaves.
#[test]
fn a_reset_in_the_middle_never_makes_two_of_one() {
    let gateway = Gateway::start();
    for round in 0..30_u64 {
        let body = round.to_string();
        let request = Request::post("/v1/orders", body.as_bytes());
        let request = kwik().sign(request, gateway.now());
        let mut frames = gateway.frames();
        let parts = [
            frame(HEADERS, END_HEADERS, 1, &encode(&request.h2())),
            frame(DATA, END_STREAM, 1, body.as_bytes()),
            frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()),
        ];
        if round % 2 == 0 {
            frames.client.send(parts.concat());
        } else {
            frames.client.send(parts[..2].concat());
            std::thread::sleep(Duration::from_micros(100 * round));
            frames.client.send(&parts[2]);
        }
        let again = gateway.ask(&request);
        match again.status {
            200 => {}
            409 => assert_eq!(again.refusal().code, "replayed"),
            other => panic!("{other}"),
        }
        assert_eq!(gateway.ask_h2(&request).refusal().code, "replayed");
    }
    // What was on its way to the service when its stream was reset may arrive late.
    std::thread::sleep(Duration::from_millis(200));
    for round in 0..30_u64 {
        let body = round.to_string().into_bytes();
        let times = gateway.upstream.count_of(|request| request.body == body);
        assert!(times <= 1, "round {round}: {times} times");
    }
}

/// Row 25 over HTTP/2: a refusal ends its stream, not its neighbours.
#[test]
fn a_refusal_ends_its_own_stream_only() {
    let gateway = Gateway::start();
    // An address that has proved itself may hold more memory.
    gateway.accepts(&order(&gateway));
    let client = gateway.http2();
    let big = Request::post("/v2/orders", &vec![b'x'; 1024 * 1024]);
    let mut requests = Vec::new();
    for n in 0..20 {
        requests.push(match n % 4 {
            0 => order(&gateway),
            1 => v1().sign(big.clone(), gateway.now() - 1000),
            2 => v1().sign(big.clone(), gateway.now()).set("X-SIGNATURE", "0".repeat(64)),
            _ => Request::get("/nowhere"),
        });
    }
    for (n, answer) in client.ask_all(&requests).into_iter().enumerate() {
        let answer = answer.unwrap_or_else(|fault| panic!("request {n}: {fault}"));
        match n % 4 {
            0 => assert_eq!(answer.status, 200),
            1 => assert_eq!(answer.refusal().code, "stale_timestamp"),
            2 => assert_eq!(answer.refusal().code, "invalid_signature"),
            _ => assert_eq!(answer.refusal().code, "no_route"),
        }
    }
    assert_eq!(gateway.upstream.count(), 6);
}
