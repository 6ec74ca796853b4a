//! The service behind: what it gets, and what clients get when it misbehaves in any way.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::certificates::authority;
use crate::support::client::Ended;
use crate::support::frames::Outcome;
use crate::support::gateway::Gateway;
use crate::support::request::{Request, chunked};
use crate::support::setup::{Setup, kwik, route, upstream, v1};
use crate::support::upstream::{Step, Upstream, answer, ok, own_target};
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

fn get(gateway: &Gateway, target: &str) -> Request {
    v1().sign(Request::get(target), gateway.now())
}

/// Identity is set and never copied; credentials end at the gate.
#[test]
fn the_service_gets_the_request_and_who_sent_it_and_no_credentials() {
    let gateway = Gateway::start();
    let request = Request::post("/v1/orders?a=1", BODY)
        .header("Accept", "application/json")
        .header("User-Agent", "partner/1.0")
        .header("Idempotency-Key", "k-1")
        .header("X-Countersign-Merchant", "globex")
        .header("X-Countersign-Credential", "pk_live_globex")
        .header("X-Countersign-Request-Id", "spoofed")
        .header("X-Countersign-Verified-At", "1")
        .header("X-Countersign-Anything", "1")
        .header("X-Forwarded-For", "203.0.113.7, 198.51.100.1")
        .header("X-Forwarded-Proto", "http")
        .header("X-Forwarded-Host", "evil.example.com")
        .header("Forwarded", "for=203.0.113.7")
        .header("X-Real-IP", "203.0.113.7")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Authorization", "Basic x")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "trailers")
        .header("Trailer", "X-Extra");
    for h2 in [false, true] {
        gateway.advance(1);
        let mut request = kwik().sign(request.clone(), gateway.now());
        if h2 {
            request = request.without("Keep-Alive").without("Proxy-Connection");
            gateway.accepts_h2(&request);
        } else {
            gateway.accepts(&request);
        }
        let seen = gateway.upstream.last();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/orders?a=1"));
        assert_eq!(seen.body, BODY);
        for (name, value) in [
            ("host", "api.example.com"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("user-agent", "partner/1.0"),
            ("idempotency-key", "k-1"),
            ("x-countersign-merchant", "acme"),
            ("x-countersign-credential", "pk_live_acme"),
            ("x-forwarded-for", "127.0.0.1"),
        ] {
            assert_eq!(seen.value(name), value, "{name}");
        }
        assert_eq!(seen.value("x-countersign-verified-at"), gateway.now().to_string());
        assert!(!["", "spoofed"].contains(&seen.value("x-countersign-request-id").as_str()));
        for name in [
            "x-api-key",
            "x-timestamp",
            "x-signature",
            "x-countersign-anything",
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
        ] {
            assert!(!seen.has(name), "{name}");
        }
        let told: Vec<String> =
            seen.headers.iter().map(|(_, v)| String::from_utf8_lossy(v).into()).collect();
        for spoof in ["203.0.113.7", "evil.example.com", "globex"] {
            assert!(!told.iter().any(|value| value.contains(spoof)), "{spoof} in {told:?}");
        }
    }
    // The nonce is a credential as well.
    gateway.accepts(&post(&gateway));
    assert!(!gateway.upstream.last().has("x-nonce"));
}

/// The request id is one and the same for the client, the service and the log.
#[test]
fn the_request_id_is_the_same_everywhere() {
    let gateway = Gateway::start();
    let answer = gateway.accepts(&post(&gateway));
    let id = answer.value("x-countersign-request-id").unwrap().to_owned();
    assert_eq!(gateway.upstream.last().value("x-countersign-request-id"), id);
    wait_until("the log line", || gateway.log().contains(&id));
    let refused = gateway.ask(&post(&gateway).without("X-NONCE"));
    let id = refused.json()["request_id"].as_str().unwrap().to_owned();
    wait_until("the log line", || gateway.log().contains(&id));
}

/// Answers keep their status, their end-to-end headers and their body, in either framing.
#[test]
fn answers_pass_with_their_framing_made_anew() {
    let gateway = Gateway::start();
    let chunked = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-Own: 1\r\n\
                   Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Secret\r\nX-Secret: s\r\n\
                   Keep-Alive: timeout=5\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let to_close = "HTTP/1.1 200 OK\r\nX-Own: 1\r\n\r\nuntil the end";
    for (bytes, status, body) in [(chunked, 201, "abcde"), (to_close, 200, "until the end")] {
        let bytes = bytes.as_bytes().to_vec();
        let until_close = status == 200;
        gateway.upstream.answer_with(move |_| {
            let close = if until_close { vec![Step::Close] } else { Vec::new() };
            [vec![Step::Send(bytes.clone())], close].concat()
        });
        for answer in [gateway.ask(&post(&gateway)), gateway.ask_h2(&post(&gateway))] {
            assert_eq!((answer.status, answer.text().as_str()), (status, body));
            assert_eq!(answer.value("x-own"), Some("1"));
            for name in ["x-secret", "keep-alive", "x-trailer"] {
                assert_eq!(answer.value(name), None, "{name}");
            }
            if status == 201 {
                let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
                assert_eq!(cookies.count(), 2);
            }
        }
    }
    for (status, line) in [(204, "204 No Content"), (304, "304 Not Modified")] {
        gateway.upstream.answer(format!("HTTP/1.1 {line}\r\nX-Own: 1\r\n\r\n").as_bytes());
        let mut client = gateway.client();
        assert_eq!(client.ask(&post(&gateway)).status, status);
        assert_eq!(client.ask(&post(&gateway)).status, status, "the connection goes on");
    }
    for (status, line) in [(400, "400 Bad Request"), (503, "503 Service Unavailable")] {
        gateway.upstream.answer(&answer(line, &[("Retry-After", "7")], b"own words"));
        let answer = gateway.ask(&post(&gateway));
        assert_eq!((answer.status, answer.text().as_str()), (status, "own words"));
        assert_eq!(answer.value("retry-after"), Some("7"));
    }
}

/// Answers of any length arrive as they were.
#[test]
fn long_answers_arrive_whole() {
    let gateway = Gateway::start();
    let body: Vec<u8> = (0..8_000_000_u32).flat_map(|n| n.to_le_bytes()).take(8_000_001).collect();
    let pieces =
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunked(&body, 70_001)]
            .concat();
    for bytes in [ok(&body), pieces] {
        gateway.upstream.answer(&bytes);
        assert!(gateway.ask(&post(&gateway)).body == body);
        assert!(gateway.ask_h2(&post(&gateway)).body == body);
    }
}

/// A client of HTTP/1.0 knows no chunks: the end of the connection is the end of the answer.
#[test]
fn http_1_0_is_answered_without_chunks() {
    let gateway = Gateway::start();
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (bytes, body) in [(chunks.to_vec(), "abc"), (ok(b"plain"), "plain")] {
        gateway.upstream.answer(&bytes);
        let mut client = gateway.client();
        client.send(post(&gateway).edited(" HTTP/1.1", " HTTP/1.0"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        assert_eq!(answer.value("transfer-encoding"), None);
        assert_ne!(client.end(), Ended::Silent);
    }
}

/// HTTP/2 may split a cookie header; towards HTTP/1.1 it is one again (RFC 9113, section 8.2.3).
#[test]
fn a_split_cookie_is_one_header_for_the_service() {
    let gateway = Gateway::start();
    let mut fields = post(&gateway).h2();
    for crumb in ["a=1", "b=2", "c=3"] {
        fields.push((b"cookie".to_vec(), crumb.as_bytes().to_vec()));
    }
    let mut frames = gateway.frames();
    frames.open(1, &fields, false);
    frames.send(crate::support::frames::DATA, crate::support::frames::END_STREAM, 1, BODY);
    assert!(matches!(frames.outcome(1), Outcome::Answer { status: 200, .. }));
    assert_eq!(gateway.upstream.last().value("cookie"), "a=1; b=2; c=3");
}

/// Row 83: a service that cannot be reached.
#[test]
fn an_unreachable_service_is_told_within_the_deadline() {
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // A listener that never shakes hands.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let other_name = Upstream::start_tls(&authority().shop);
    let good = Upstream::start_tls(&authority().api);
    let plain = Upstream::start();
    let port = |upstream: &Upstream| upstream.address.port();
    let ca = "ca = \"ca.pem\"\n";
    let mut setup = Setup::new();
    for (name, url, more) in [
        ("closed", format!("http://{closed}"), ""),
        ("dns", "http://nothing.invalid:80".into(), ""),
        ("mute", format!("https://localhost:{}", mute.local_addr().unwrap().port()), ca),
        ("name", format!("https://localhost:{}", port(&other_name)), ca),
        ("root", format!("https://localhost:{}", port(&good)), ""),
        ("clear", format!("https://localhost:{}", port(&plain)), ca),
        ("good", format!("https://localhost:{}", port(&good)), ca),
    ] {
        setup.upstreams.push(upstream(name, &url, &format!("{more}deadlines.connect = \"500ms\"")));
        let path = format!("/v2/{name}/*");
        setup.routes.push(route(name, &path, "countersign-v1", &format!("upstream = \"{name}\"")));
    }
    let gateway = Gateway::with(setup);
    for name in ["closed", "dns", "mute", "name", "root", "clear"] {
        let started = Instant::now();
        let request = v1().sign(Request::post(&format!("/v2/{name}/x"), BODY), gateway.now());
        let refusal = gateway.ask(&request).refusal();
        assert_eq!(refusal.code, "upstream_unreachable", "{name}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
        assert_eq!(refusal.forwarded, "no", "{name}: not a byte of it has left");
        gateway.refuses_h1(&request, "replayed");
    }
    assert_eq!(other_name.count() + plain.count() + good.count(), 0);
    let answer = gateway.ask(&v1().sign(Request::post("/v2/good/x", BODY), gateway.now()));
    assert_eq!((answer.status, good.count()), (200, 1));
}

/// Row 83: a service that takes the request and never answers.
#[test]
fn a_service_that_does_not_answer_times_out() {
    let gateway = Gateway::with(Setup::new().service("deadlines.response = \"300ms\""));
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let started = Instant::now();
    let refusal = gateway.ask(&post(&gateway)).refusal();
    assert_eq!(refusal.code, "upstream_timed_out");
    assert_eq!(refusal.forwarded, "maybe");
    assert!(started.elapsed() < Duration::from_secs(3));
    let refusal = gateway.ask_h2(&get(&gateway, "/v2/x")).refusal();
    assert_eq!(refusal.code, "upstream_timed_out");
    assert_eq!(gateway.upstream.count(), 2, "a request that timed out is not sent again");
}

/// Row 84: an answer that breaks off is seen to break off.
#[test]
fn an_answer_that_is_cut_reaches_the_client_cut() {
    let gateway = Gateway::with(Setup::new().service("deadlines.response = \"400ms\""));
    let part = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this".to_vec();
    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec();
    for bytes in [part, chunk] {
        for last in [Step::Close, Step::Reset, Step::HalfClose, Step::Hold] {
            let steps =
                vec![Step::Send(bytes.clone()), Step::Pause(Duration::from_millis(30)), last];
            gateway.upstream.answer_with(move |_| steps.clone());
            let mut client = gateway.client();
            client.send(post(&gateway).h1());
            let ended = client.try_answer("POST").expect_err("a whole answer");
            assert_ne!(ended, Ended::Silent);
            let mut frames = gateway.frames();
            frames.request(1, &post(&gateway));
            let outcome = frames.outcome(1);
            assert!(outcome.is_protocol_refusal(), "{outcome:?}");
        }
    }
    gateway.upstream.answer_with(own_target);
    assert_eq!(gateway.ask(&get(&gateway, "/v2/after")).text(), "/v2/after");
}

/// Row 84: slow is not broken; endless ends when the client goes.
#[test]
fn a_slow_answer_passes_and_an_endless_one_ends_with_its_client() {
    let setup = Setup::new().with("workers", "1").service("deadlines.response = \"2s\"");
    let gateway = Gateway::with(setup);
    gateway.upstream.answer_with(|_| vec![Step::Drip(ok(b"slowly"), Duration::from_millis(5))]);
    assert_eq!(gateway.ask(&post(&gateway)).text(), "slowly");
    gateway.upstream.answer_with(|_| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        vec![Step::Send(head), Step::Flood(b"5\r\nhello\r\n".repeat(100))]
    });
    let mut client = gateway.client();
    client.send(post(&gateway).h1());
    for _ in 0..20 {
        client.more().unwrap();
    }
    drop(client);
    gateway.upstream.wait_open(0);
}

/// Row 85: answers that are none. The next client gets its own answer, whatever came before.
#[test]
fn malformed_answers_harm_only_their_own_request() {
    let gateway = Gateway::with(Setup::new().service("deadlines.response = \"1s\""));
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let head = "HTTP/1.1 200 OK\r\n";
    let many = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(3000);
    let huge = format!("X-Huge: {}\r\n", "x".repeat(600_000));
    for (name, bytes, statuses) in [
        ("garbage", "not HTTP at all\r\n\r\n".to_owned(), &[502][..]),
        ("empty lines", "\r\n\r\n\r\n".into(), &[502, 504]),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[502]),
        (
            "101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into(),
            &[502],
        ),
        ("NUL", format!("{head}X-Nul: a\0b\r\nContent-Length: 2\r\n\r\nok"), &[502]),
        ("a name with space", format!("{head}X Y: 1\r\nContent-Length: 2\r\n\r\nok"), &[502]),
        ("two lengths", format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"), &[502]),
        ("a bad length", format!("{head}Content-Length: +2\r\n\r\nok"), &[502]),
        (
            "gzip, chunked",
            format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            &[502],
        ),
        ("huge headers", format!("{head}{huge}Content-Length: 2\r\n\r\nok"), &[502]),
        ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok".into(), &[502]),
        ("a status of 999", "HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nok".into(), &[502, 999]),
        ("3000 early hints", format!("{many}{good}"), &[200, 502]),
        ("LF lines", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into(), &[200, 502]),
        (
            "CL and TE",
            format!(
                "{head}Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            ),
            &[200, 502],
        ),
        ("two answers", format!("{good}{good}"), &[200]),
        ("stray bytes", format!("{good}stray"), &[200]),
        (
            "an answer for somebody else",
            format!("{good}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"),
            &[200],
        ),
    ] {
        let bytes = bytes.into_bytes();
        gateway.upstream.answer_with(move |_| vec![Step::Send(bytes.clone())]);
        let status = gateway.ask(&post(&gateway)).status;
        assert!(statuses.contains(&status), "{name}: {status}");
        gateway.upstream.answer_with(own_target);
        for n in 0..4 {
            let target = format!("/v2/next/{n}");
            let answer = gateway.ask(&get(&gateway, &target));
            assert_eq!((answer.status, answer.text()), (200, target), "after {name}");
        }
    }
    // A bad chunk shows only after the head has been passed on.
    gateway.upstream.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n");
    let mut client = gateway.client();
    client.send(post(&gateway).h1());
    if let Ok(answer) = client.try_answer("POST") {
        assert_eq!(answer.refusal().code, "upstream_broke");
    }
    // An answer before anybody asked.
    gateway.upstream.answer_with(|request| {
        let stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray".to_vec();
        [own_target(request), vec![Step::Pause(Duration::from_millis(50)), Step::Send(stray)]]
            .concat()
    });
    for n in 0..6 {
        let target = format!("/v2/own/{n}");
        let answer = gateway.ask(&get(&gateway, &target));
        assert!(answer.text() == target || answer.status == 502, "{}", answer.text());
        // Not while a request is on its way: then nobody could tell the two apart.
        thread::sleep(Duration::from_millis(100 + 10 * n));
    }
}

/// Row 86.
#[test]
fn an_answer_before_the_body_was_read_is_passed_on() {
    let gateway = Gateway::start();
    let close = [("Connection", "close")];
    let early = answer("413 Content Too Large", &close, b"too much for us");
    gateway.upstream.at_head(move |_| {
        Some(vec![Step::Send(early.clone()), Step::Pause(Duration::from_millis(50)), Step::Close])
    });
    let big = Request::post("/v2/orders", &vec![b'x'; 1024 * 1024]);
    for _ in 0..5 {
        let answer = gateway.ask(&v1().sign(big.clone(), gateway.now()));
        assert_eq!((answer.status, answer.text().as_str()), (413, "too much for us"));
        let answer = gateway.ask_h2(&v1().sign(big.clone(), gateway.now()));
        assert_eq!((answer.status, answer.text().as_str()), (413, "too much for us"));
    }
    assert_eq!(gateway.upstream.connections(), 10, "such a connection is not used again");
}

/// Row 87: of a change at most one copy leaves; a read may be asked again once.
#[test]
fn only_reads_are_sent_again_after_a_byte_has_left() {
    let gateway = Gateway::start();
    gateway.upstream.at_head(|_| Some(vec![Step::Close]));
    let refusal = gateway.ask(&post(&gateway)).refusal();
    assert_eq!((refusal.code.as_str(), refusal.forwarded.as_str()), ("upstream_broke", "maybe"));
    assert_eq!(gateway.upstream.heads(), 1);
    // A fresh connection that breaks is not stale: a read is not sent for ever.
    let refusal = gateway.ask(&get(&gateway, "/v2/x")).refusal();
    assert_eq!(refusal.code, "upstream_broke");
    assert!(gateway.upstream.heads() <= 3, "{}", gateway.upstream.heads());
}

/// Row 87: a pooled connection that turns out to be dead.
#[test]
fn a_stale_pooled_connection_costs_a_read_nothing_and_never_doubles_a_change() {
    let gateway = Gateway::with(Setup::new().with("workers", "1"));
    for round in 0..20_u64 {
        gateway.upstream.at_head(|_| None);
        assert_eq!(gateway.ask(&post(&gateway)).status, 200);
        // Every connection dies with the next head on it; new ones are good.
        let old = gateway.upstream.connections();
        gateway.upstream.at_head(move |head| (head.connection <= old).then(|| vec![Step::Close]));
        let heads = gateway.upstream.heads();
        if round % 2 == 0 {
            let answer = gateway.ask(&get(&gateway, "/v2/read"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(gateway.upstream.heads() <= heads + 2);
        } else {
            let answer = gateway.ask(&post(&gateway));
            assert!([200, 502].contains(&answer.status), "{}", answer.text());
            assert_eq!(gateway.upstream.heads(), heads + 1, "one copy only");
        }
    }
    // Closed while idle: nobody has to notice, and nothing is sent twice.
    gateway.upstream.at_head(|_| None);
    for round in 0..20_u64 {
        assert_eq!(gateway.ask(&post(&gateway)).status, 200);
        let heads = gateway.upstream.heads();
        gateway.upstream.close_all();
        if round % 2 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        let answer = gateway.ask(&post(&gateway));
        assert!([200, 502].contains(&answer.status), "{}", answer.text());
        assert!(gateway.upstream.heads() <= heads + 1, "one copy only");
    }
}

/// Connections to the service are used again, and not beyond their number.
#[test]
fn connections_are_pooled_and_capped() {
    let setup = Setup::new().with("workers", "1").service("connections = 4");
    let gateway = Gateway::with(setup);
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.ask(&post(&gateway)).status, 200);
    }
    assert_eq!(gateway.upstream.connections(), 1, "used again");
    gateway.upstream.answer_with(|request| {
        [vec![Step::Pause(Duration::from_millis(20))], own_target(request)].concat()
    });
    let requests: Vec<Request> = (0..40).map(|n| get(&gateway, &format!("/v2/{n}"))).collect();
    for (n, answer) in gateway.http2().ask_all(&requests).into_iter().enumerate() {
        assert_eq!(answer.unwrap().text(), format!("/v2/{n}"));
    }
    assert!(gateway.upstream.connections() <= 4, "{}", gateway.upstream.connections());
}

/// Row 88: a service that hangs holds up nobody else's.
#[test]
fn a_hanging_service_leaves_the_others_alone() {
    let slow = Upstream::start();
    slow.answer_with(|_| vec![Step::Hold]);
    let mut setup = Setup::new();
    setup.upstreams.push(upstream("slow", &format!("http://{}", slow.address), "connections = 8"));
    setup.routes.push(route("slow", "/v2/slow/*", "countersign-v1", "upstream = \"slow\""));
    let gateway = Gateway::with(setup);
    thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            let requests: Vec<Request> =
                (0..30).map(|n| get(&gateway, &format!("/v2/slow/{n}"))).collect();
            gateway.http2().ask_all(&requests)
        });
        slow.wait_for(4);
        let mut client = gateway.client();
        for _ in 0..50 {
            let started = Instant::now();
            assert_eq!(client.ask(&post(&gateway)).status, 200);
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        }
        slow.answer_with(own_target);
        slow.release();
        // Those that held go on without an answer of their own; the rest were in line.
        drop(slow);
        let _ = hanging.join().unwrap();
    });
}

/// A client that goes away frees the connection to the service.
#[test]
fn a_client_that_goes_away_frees_the_service() {
    let gateway = Gateway::start();
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let mut client = gateway.client();
    client.send(post(&gateway).h1());
    gateway.upstream.wait_for(1);
    drop(client);
    let mut frames = gateway.frames();
    frames.request(1, &post(&gateway));
    gateway.upstream.wait_for(2);
    assert_eq!(frames.known(1), None);
    frames.send(crate::support::frames::RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    gateway.upstream.release();
    gateway.upstream.answer_with(own_target);
    let mut frames = gateway.frames();
    frames.request(1, &get(&gateway, "/v2/own"));
    assert_eq!(frames.outcome(1), Outcome::Answer { status: 200, body: "/v2/own".into() });
}
