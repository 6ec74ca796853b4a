//! An order passes once in its period: whoever signs it anew, and whatever became of the gate.

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use countersign::config::envelope::builtin;
use countersign::envelope::Fixed;
use countersign::secret::NamedSecrets;

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::process::{Process, Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant, route, upstream, v1};
use crate::support::signer::Signer;
use crate::support::upstream::{Step, answer, ok};
use crate::support::wait_until;

const UNIQUE: &str = r#"methods = ["POST"]
unique_order = { field = "/order_id" }"#;

/// The standard gate, whose route of `countersign-v1` names an order.
fn setup(more: &str) -> Setup {
    let mut setup = Setup::new();
    setup.routes[1] = route("v1", "/v2/*", "countersign-v1", more);
    setup
}

fn body(number: &str) -> Vec<u8> {
    format!("{{\"order_id\":\"{number}\",\"amount\":100}}").into_bytes()
}

fn sign(signer: &Signer, target: &str, body: &[u8], now: u64) -> Request {
    signer.sign(Request::post(target, body), now)
}

fn order(gateway: &Gateway, number: &str) -> Request {
    sign(&v1(), "/v2/orders", &body(number), gateway.now())
}

fn is_duplicate(answer: &Answer) -> bool {
    let refusal = answer.refusal();
    assert_eq!(refusal.forwarded, "earlier", "{refusal:?}");
    refusal.code == "duplicate_order"
}

#[test]
fn an_order_signed_anew_is_refused() {
    let gateway = Gateway::with(setup(UNIQUE));
    gateway.accepts(&order(&gateway, "A-1"));
    gateway.refuses_h1(&order(&gateway, "A-1"), "duplicate_order");
    assert!(is_duplicate(&gateway.ask_h2(&order(&gateway, "A-1"))));
    let other = br#"{"amount":999,"other":[1],"order_id":"A-1"}"#;
    let other = sign(&v1(), "/v2/elsewhere?a=1", other, gateway.now());
    let detail = gateway.ask(&other).json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("answered"), "{detail}");
    gateway.accepts(&order(&gateway, "A-2"));
    gateway.accepts(&order(&gateway, "a-1"));
    assert_eq!(gateway.upstream.count(), 3);
    assert_eq!(gateway.metric("countersign_requests_total", &["duplicate_order"]), 3.0);
    wait_until("the rows", || gateway.metric("countersign_ledger_orders", &[]) == 3.0);
}

#[test]
fn a_hundred_at_once_are_one() {
    let gateway = Gateway::with(setup(UNIQUE));
    gateway
        .upstream
        .answer_with(|_| vec![Step::Pause(Duration::from_millis(100)), Step::Send(ok(b"{}"))]);
    for number in ["1", "2"] {
        let before = gateway.upstream.count();
        let answers: Vec<Answer> = thread::scope(|scope| {
            let all: Vec<_> =
                (0..100).map(|_| scope.spawn(|| gateway.ask(&order(&gateway, number)))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().filter(|answer| answer.status != 200).all(is_duplicate));
        assert_eq!(gateway.upstream.count(), before + 1);
    }
}

#[test]
fn merchants_environments_and_routes_are_apart_and_groups_together() {
    let (other, test) = (
        Signer::v1("pk_live_other", "other-live-73c0d1be94a2f586"),
        Signer::v1("pk_test_other", "other-test-73c0d1be94a2f586"),
    );
    let second = Signer::v1("pk_live_second", "second-live-73c0d1be94a2f586");
    let credentials = [(&other, "live"), (&second, "live"), (&test, "test")]
        .map(|(signer, environment)| credential("other", signer, environment, ""));
    let grouped = UNIQUE.replace("\" }", "\", group = \"pay\" }");
    let setup = setup(UNIQUE)
        .merchant(merchant("other", GENEROUS, &credentials), &[&other, &second, &test])
        .route("first", "/a/*", "countersign-v1", &grouped)
        .route("second", "/b/*", "countersign-v1", &grouped);
    let gateway = Gateway::with(setup);
    let ask = |signer: &Signer, target: &str| {
        gateway.ask(&sign(signer, target, &body("1"), gateway.now()))
    };
    for (signer, target) in
        [(&v1(), "/v2/x"), (&other, "/v2/x"), (&test, "/v2/x"), (&other, "/a/x")]
    {
        assert_eq!(ask(signer, target).status, 200, "{target}");
        assert!(is_duplicate(&ask(signer, target)), "{target}");
    }
    // Another credential of the same merchant, and another route of the same group.
    assert!(is_duplicate(&ask(&second, "/v2/x")));
    assert!(is_duplicate(&ask(&other, "/b/x")));
    assert_eq!(gateway.upstream.count(), 4);
}

#[test]
fn after_its_period_a_number_is_free() {
    let unique = UNIQUE.replace("\" }", "\", period = \"7d\" }");
    let gateway = Gateway::with(setup(&unique));
    gateway.accepts(&order(&gateway, "1"));
    // Two steps, each of which the clock takes for a step of the wall clock that stands.
    for seconds in [3 * 86_400, 4 * 86_400 - 1] {
        gateway.advance(seconds);
        gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
    }
    gateway.advance(1);
    gateway.accepts(&order(&gateway, "1"));
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
}

#[test]
fn some_statuses_release_an_order() {
    let own = UNIQUE.replace("\" }", "\", release = [402] }").replace("/order_id", "/data/id");
    let none = UNIQUE.replace("\" }", "\", release = [] }");
    let setup = setup(UNIQUE).route("own", "/own/*", "countersign-v1", &own).route(
        "none",
        "/none/*",
        "countersign-v1",
        &none,
    );
    let gateway = Gateway::with(setup);
    let own_body = |number: u16| format!("{{\"data\":{{\"id\":{number}}}}}").into_bytes();
    for (status, default, own) in [
        (200, false, false),
        (400, true, false),
        (402, false, true),
        (404, true, false),
        (409, false, false),
        (422, true, false),
        (500, false, false),
        (503, false, false),
    ] {
        let text = answer(&format!("{status} Said"), &[], b"{}");
        gateway.upstream.answer(&text);
        for (target, body, released) in [
            ("/v2/x", body(&status.to_string()), default),
            ("/own/x", own_body(status), own),
            ("/none/x", body(&status.to_string()), false),
        ] {
            let request = || sign(&v1(), target, &body, gateway.now());
            assert_eq!(gateway.ask(&request()).status, status, "{target}");
            let again = gateway.ask(&request());
            match released {
                true => assert_eq!(again.text(), "{}", "{target} {status}"),
                false => assert!(is_duplicate(&again), "{target} {status}"),
            }
        }
    }
}

/// A port that refuses connections.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn what_was_never_sent_is_free_and_what_may_have_arrived_is_not() {
    let unreachable = upstream("gone", &format!("http://127.0.0.1:{}", closed_port()), "");
    let mut setup = setup(UNIQUE).service("deadlines = { response = \"300ms\" }").route(
        "away",
        "/away/*",
        "countersign-v1",
        &format!("{UNIQUE}\nupstream = \"gone\""),
    );
    setup.upstreams.push(unreachable);
    let mut gateway = Gateway::with(setup);
    let away = |gateway: &Gateway| sign(&v1(), "/away/x", &body("1"), gateway.now());
    for _ in 0..3 {
        assert_eq!(gateway.ask(&away(&gateway)).refusal().code, "upstream_unreachable");
    }
    let near = route("away", "/away/*", "countersign-v1", UNIQUE);
    gateway.change(|setup| setup.routes[2] = near).unwrap();
    gateway.accepts(&away(&gateway));
    gateway.refuses_h1(&away(&gateway), "duplicate_order");

    for (number, steps, code) in [
        ("broke", vec![Step::Close], "upstream_broke"),
        ("nonsense", vec![Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close], "upstream_broke"),
        ("silent", vec![Step::Hold], "upstream_timed_out"),
    ] {
        gateway.upstream.answer_with(move |_| steps.clone());
        assert_eq!(gateway.ask(&order(&gateway, number)).refusal().code, code);
        let again = gateway.ask(&order(&gateway, number));
        assert!(is_duplicate(&again));
        assert!(again.text().contains("not known"), "{}", again.text());
    }
}

/// A connection that turns out dead gives the request back unsent: it goes out once, by another.
#[test]
fn an_order_that_is_sent_by_a_second_connection_is_noted_once() {
    let gateway = Gateway::with(setup(UNIQUE));
    for round in 0..20 {
        gateway.accepts(&order(&gateway, &format!("{round}-a")));
        gateway.upstream.close_all();
        gateway.upstream.wait_open(0);
        let number = format!("{round}-b");
        let answer = gateway.ask(&order(&gateway, &number));
        let (sent, status) =
            (gateway.upstream.count_of(|one| one.body == body(&number)), answer.status);
        match status {
            200 => assert_eq!(sent, 1),
            _ => assert_eq!((sent, answer.refusal().code.as_str()), (0, "upstream_broke")),
        }
        // Whatever became of it, nobody sends it twice.
        assert!(is_duplicate(&gateway.ask(&order(&gateway, &number))), "{status}");
    }
}

#[test]
fn a_client_that_leaves_does_not_make_its_order_free() {
    let gateway = Gateway::with(setup(UNIQUE));
    gateway.upstream.answer_with(|_| vec![Step::Hold, Step::Send(ok(b"{}"))]);
    let mut client = gateway.client();
    client.send(order(&gateway, "1").h1());
    gateway.upstream.wait_for(1);
    drop(client);
    wait_until("the client to be gone", || gateway.log().contains("client_gone"));
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
}

#[test]
fn a_number_is_one_text_or_one_whole_number() {
    let gateway = Gateway::with(setup(UNIQUE));
    let ask = |body: &str| gateway.ask(&sign(&v1(), "/v2/x", body.as_bytes(), gateway.now()));
    assert_eq!(ask(r#"{"order_id":1001}"#).status, 200);
    for same in
        [r#"{"order_id":"1001"}"#, r#"{ "order_id" : 1001 }"#, r#"{"order_id":"\u0031001"}"#]
    {
        assert!(is_duplicate(&ask(same)), "{same}");
    }
    let before = gateway.upstream.bytes();
    for bad in [
        "",
        "null",
        "[]",
        "order_id=1",
        r#"{"order":"1"}"#,
        r#"{"order_id":null}"#,
        r#"{"order_id":""}"#,
        r#"{"order_id":1.5}"#,
        r#"{"order_id":1e3}"#,
        r#"{"order_id":["1"]}"#,
        r#"{"order_id":"5","order_id":"6"}"#,
        r#"{"order_id":"5","\u006frder_id":"6"}"#,
        r#"{"order_id":"5"} "#.trim_end_matches("} "),
        "{\"order_id\":\"\u{feff}5\"",
    ] {
        let mut client = gateway.client();
        let answer = client.ask(&sign(&v1(), "/v2/x", bad.as_bytes(), gateway.now()));
        assert_eq!(answer.refusal().code, "bad_request", "{bad}");
        assert_eq!(answer.json()["claim"], "json:/order_id", "{bad}");
        // The framing was good: the connection goes on.
        assert_eq!(client.ask(&order(&gateway, "1001")).status, 409, "{bad}");
    }
    assert_eq!(gateway.upstream.bytes(), before);
}

/// The order is looked for in what the service gets: in what was sealed.
#[test]
fn of_a_sealed_body_the_text_counts() {
    const SECRET: &str = "6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";
    let partner = Signer::kwikpaisa("pk_live_sealed", SECRET);
    let more = "scopes = [\"* /sealed/*\"]\nenvelope = \"paykun\"";
    let table = merchant("sealing", GENEROUS, &[credential("sealing", &partner, "live", more)]);
    let setup = Setup::new()
        .route("sealed", "/sealed/*", "kwikpaisa", &format!("envelope = \"paykun\"\n{UNIQUE}"))
        .merchant(table, &[&partner]);
    let gateway = Gateway::with(setup);
    let envelope = builtin("paykun").unwrap();
    let prepared = envelope.prepare(Some(SECRET.as_bytes()), &NamedSecrets::default()).unwrap();
    let seal = |text: &[u8]| {
        let sealed = envelope.seal(&prepared, text, &Fixed::default(), None).unwrap();
        gateway.advance(1);
        sign(&partner, "/sealed/orders", &sealed.body, gateway.now())
    };
    gateway.accepts(&seal(&body("1")));
    gateway.refuses_h1(&seal(&body("1")), "duplicate_order");
    gateway.refuses_h1(&seal(b"order_id=2"), "bad_request");
    gateway.accepts(&seal(&body("2")));
}

#[test]
fn the_ledger_is_opened_when_a_route_first_asks_and_survives_reloads_and_restarts() {
    let mut gateway = Gateway::with_state(setup(""));
    let file = gateway.folder.path().join("state/ledger.db");
    gateway.accepts(&order(&gateway, "1"));
    assert!(!file.exists());
    gateway.change(|own| own.routes = setup(UNIQUE).routes).unwrap();
    assert!(file.exists());
    gateway.accepts(&order(&gateway, "1"));
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
    gateway.reload().unwrap();
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
    gateway.change(|own| own.routes = setup("").routes).unwrap();
    gateway.accepts(&order(&gateway, "1"));
    gateway.change(|own| own.routes = setup(UNIQUE).routes).unwrap();
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
    gateway.restart();
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
    gateway.accepts(&order(&gateway, "2"));
}

fn ask(gate: &Process, target: &str, number: &str) -> Answer {
    gate.ask(&sign(&v1(), target, &body(number), wall_now()))
}

/// After an unclean stop requests are refused for two seconds; then the answer is what is meant.
fn ask_in_time(gate: &Process, target: &str, number: &str) -> Answer {
    let mut last = None;
    wait_until("an answer", || {
        let answer = ask(gate, target, number);
        let early = answer.status == 401 && answer.refusal().code == "stale_timestamp";
        last = (!early).then_some(answer);
        last.is_some()
    });
    last.unwrap()
}

/// Killed with one order sent, one answered and one about to be sent: the first two are kept, the
/// last is free.
#[test]
fn after_sigkill_what_was_sent_is_kept_and_what_was_not_is_free() {
    // It takes connections, and says nothing in their handshakes.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let mut setup = setup(UNIQUE).route(
        "slow",
        "/slow/*",
        "countersign-v1",
        &format!("{UNIQUE}\nupstream = \"silent\""),
    );
    setup.upstreams.push(upstream("silent", &url, "deadlines = { connect = \"60s\" }"));
    let mut site = Site::new(setup);
    let gate = site.serve();
    gate.wait_ready();
    assert_eq!(ask(&gate, "/v2/x", "answered").status, 200);
    site.upstream.answer_with(|_| vec![Step::Hold, Step::Send(ok(b"{}"))]);
    let send = |target: &str, number: &str| {
        let mut client = crate::support::client::Client::connect(gate.address);
        client.send(sign(&v1(), target, &body(number), wall_now()).h1());
        client
    };
    let _sent = send("/v2/x", "sent");
    site.upstream.wait_for(2);
    let _reserved = send("/slow/x", "reserved");
    let _connected = silent.accept().unwrap();
    let twice = ask(&gate, "/slow/x", "reserved");
    assert!(is_duplicate(&twice) && twice.text().contains("on its way"), "{}", twice.text());
    gate.kill();

    site.upstream.answer(&ok(b"{}"));
    site.setup.routes[2] = route("slow", "/slow/*", "countersign-v1", UNIQUE);
    site.write();
    let gate = site.serve();
    assert!(is_duplicate(&ask_in_time(&gate, "/v2/x", "sent")));
    assert!(is_duplicate(&ask_in_time(&gate, "/v2/x", "answered")));
    assert_eq!(ask_in_time(&gate, "/slow/x", "reserved").status, 200);
    assert_eq!(site.upstream.count(), 3);
}

/// Row 92: another process that holds the file. Nothing is forwarded that cannot be noted, other
/// routes go on, and it recovers by itself.
#[test]
fn a_ledger_that_cannot_be_written_makes_its_routes_busy() {
    let setup = setup(UNIQUE).route("free", "/free/*", "countersign-v1", "");
    let gateway = Gateway::with_state(setup);
    gateway.accepts(&order(&gateway, "1"));
    let file = gateway.folder.path().join("state/ledger.db");
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    gateway.refuses_h1(&order(&gateway, "2"), "busy");
    gateway.accepts(&sign(&v1(), "/free/x", &body("2"), gateway.now()));
    wait_until("the log", || gateway.log().contains("ledger_failing"));
    assert!(gateway.metric("countersign_ledger_commit_failures_total", &[]) >= 1.0);
    other.execute_batch("ROLLBACK").unwrap();
    wait_until("it to recover", || gateway.ask(&order(&gateway, "2")).status == 200);
    gateway.refuses_h1(&order(&gateway, "1"), "duplicate_order");
    gateway.refuses_h1(&order(&gateway, "2"), "duplicate_order");
    wait_until("the log", || gateway.log().contains("ledger_recovered"));
}

/// Row 92: no room. The file may not grow, which is what a full disk is to a database.
#[test]
fn a_full_disk_makes_its_routes_busy_and_forwards_nothing() {
    let site = Site::new(setup(UNIQUE));
    drop(site.serve());
    let gate = site.run({
        let mut command = Command::new("sh");
        let limited = "trap '' XFSZ; ulimit -f 400; exec \"$0\" serve --config countersign.toml";
        command.args(["-c", limited, env!("CARGO_BIN_EXE_countersign")]);
        command
    });
    assert_eq!(ask_in_time(&gate, "/v2/x", "first").status, 200);
    let mut accepted = 1;
    let refused = (0..2000).find(|number| {
        let answer = ask(&gate, "/v2/x", &number.to_string());
        accepted += usize::from(answer.status == 200);
        if answer.status == 200 {
            return false;
        }
        let refusal = answer.refusal();
        assert_eq!((refusal.code.as_str(), refusal.forwarded.as_str()), ("busy", "no"));
        true
    });
    let refused = refused.expect("no limit").to_string();
    assert_eq!(site.upstream.count(), accepted);
    assert!(is_duplicate(&ask(&gate, "/v2/x", "first")));
    drop(gate);
    // With room again, nothing of before is lost, and what was refused may come.
    let gate = site.serve();
    assert!(is_duplicate(&ask_in_time(&gate, "/v2/x", "first")));
    assert!(is_duplicate(&ask(&gate, "/v2/x", "0")));
    assert_eq!(ask(&gate, "/v2/x", &refused).status, 200);
}
