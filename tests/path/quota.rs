//! Limits: no more than the stated burst, counted for whoever proved to be who he is, and no cost
//! to anybody else.

use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, credential, credential_with, merchant, v1, version};
use crate::support::signer::Signer;
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";
const FEW: &str = "rate = { per_second = 1, burst = 5 }";

fn few() -> Signer {
    Signer::v1("pk_few", "few-live-94e0b7c2d85a1f63")
}

fn of(signer: &Signer, gateway: &Gateway) -> Request {
    signer.sign(Request::post("/v2/orders", BODY), gateway.now())
}

/// Sends until the limit says no; how many passed, and how long to wait.
fn spend(signer: &Signer, gateway: &Gateway) -> (usize, u64) {
    let mut client = gateway.client();
    for passed in 0..1000 {
        let answer = client.ask(&of(signer, gateway));
        if answer.status != 200 {
            assert_eq!(answer.refusal().code, "rate_limited");
            let wait = answer.value("retry-after").expect("when to come again");
            return (passed, wait.parse().unwrap());
        }
    }
    panic!("no limit in sight");
}

/// Row 80. A slow machine may earn one or two more while the burst goes out.
#[test]
fn a_burst_is_what_is_stated_and_the_wait_is_true() {
    let gateway = Gateway::with(Setup::new().partner("few", &few(), FEW));
    let started = Instant::now();
    let (passed, wait) = spend(&few(), &gateway);
    let earned = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((5..=5 + earned).contains(&passed), "{passed}");
    assert!((1..=2).contains(&wait), "{wait}");
    // The same bytes may come again: the claim was withdrawn.
    let request = of(&few(), &gateway);
    let refused = gateway.ask(&request);
    if refused.status == 429 {
        assert_eq!(refused.refusal().forwarded, "no");
        std::thread::sleep(Duration::from_millis(1000 * wait));
        gateway.accepts(&request);
        gateway.refuses(&request, "replayed");
    }
    // Others are not touched.
    gateway.accepts(&of(&v1(), &gateway));
}

/// Row 80: all credentials of a merchant together, each with its own limit below.
#[test]
fn credentials_share_their_merchants_limit() {
    let one = Signer::v1("pk_one", "one-live-0b3d5f7a9c1e2846");
    let two = Signer::v1("pk_two", "two-live-1c4e6a8b0d2f3957");
    let credentials = [
        credential("pair", &one, "live", "rate = { per_second = 1, burst = 3 }"),
        credential("pair", &two, "live", ""),
    ];
    let rate = "rate = { per_second = 1, burst = 6 }";
    let table = merchant("pair", rate, &credentials);
    let gateway = Gateway::with(Setup::new().merchant(table, &[&one, &two]));
    let (first, _) = spend(&one, &gateway);
    assert!((3..=4).contains(&first), "{first} of its own three");
    let (second, _) = spend(&two, &gateway);
    assert!((2..=5).contains(&second), "{second} of what the merchant has left");
}

/// Row 80: neither rotation nor reload fills a limit up again.
#[test]
fn a_new_secret_and_a_reload_fill_nothing_up() {
    let mut gateway = Gateway::with(Setup::new().partner("few", &few(), FEW));
    spend(&few(), &gateway);
    let rotated = Signer::v1("pk_few", "few-next-5a7c9e1b3d0f2846");
    let versions =
        [version("few-next", "active", ""), version("pk_few", "retiring", "2999-01-01T00:00:00Z")];
    let credential = credential_with("few", &few(), "environment = \"live\"", &versions);
    gateway
        .change(|setup| {
            setup.named_secret("few-next", "few-next-5a7c9e1b3d0f2846");
            *setup.merchants.last_mut().unwrap() = merchant("few", FEW, &[credential]);
        })
        .unwrap();
    let (passed, _) = spend(&rotated, &gateway);
    assert!(passed <= 2, "{passed} at once after a rotation");
}

/// Row 80: what a client writes into headers is no address and no key.
#[test]
fn spoofed_headers_buy_nothing() {
    let gateway = Gateway::with(Setup::new().partner("few", &few(), FEW));
    spend(&few(), &gateway);
    let mut refused = 0;
    for n in 0..10 {
        let request = of(&few(), &gateway)
            .header("X-Forwarded-For", format!("203.0.113.{n}"))
            .header("Forwarded", format!("for=203.0.113.{n}"))
            .header("X-Real-IP", format!("203.0.113.{n}"))
            .header("X-Countersign-Credential", "pk_live_globex");
        refused += usize::from(gateway.ask(&request).status == 429);
    }
    assert!(refused >= 8, "{refused} of 10");
}

/// Replays and bad signatures spend nothing of the one they name.
#[test]
fn only_what_passes_is_counted() {
    let gateway = Gateway::with(Setup::new().partner("few", &few(), FEW));
    let first = of(&few(), &gateway);
    gateway.accepts(&first);
    let mut client = gateway.client();
    for _ in 0..30 {
        assert_eq!(client.ask(&first).refusal().code, "replayed");
        let bad = of(&few(), &gateway).set("X-SIGNATURE", "0".repeat(64));
        assert_eq!(client.ask(&bad).refusal().code, "invalid_signature");
        let stale = few().sign(Request::post("/v2/orders", BODY), gateway.now() - 999);
        assert_eq!(client.ask(&stale).refusal().code, "stale_timestamp");
    }
    let (passed, _) = spend(&few(), &gateway);
    assert!(passed >= 4, "{passed}");
}

/// Row 74: what a merchant may do bounds what he can put into the replay memory.
#[test]
fn quotas_bound_what_enters_the_replay_memory() {
    let gateway = Gateway::with(Setup::new().partner("few", &few(), FEW));
    let started = Instant::now();
    let mut client = gateway.client();
    let mut passed = 0;
    for _ in 0..300 {
        let answer = client.ask(&of(&few(), &gateway));
        assert!([200, 429].contains(&answer.status));
        passed += u32::from(answer.status == 200);
    }
    assert!(u64::from(passed) <= 6 + started.elapsed().as_secs(), "{passed}");
    let entries = gateway.metric("countersign_replay_entries", &[]);
    assert!(entries <= f64::from(passed), "{entries} entries of {passed} accepted");
}

/// Received bytes that nothing vouches for yet are bounded, and a stranger's part of them is small:
/// beyond it the gate is busy for him. Who has verified a request of late is no stranger.
#[test]
fn a_stranger_cannot_fill_the_memory_for_bodies() {
    let gateway = Gateway::with(Setup::new().with("listener.limits.unverified", "\"2MiB\""));
    let large =
        |bytes: usize| v1().sign(Request::post("/v2/orders", &vec![b'x'; bytes]), gateway.now());
    gateway.refuses(&large(16 * 1024 + 1), "busy");
    gateway.refuses(&large(100 * 1024).chunks(1000), "busy");
    gateway.accepts(&large(16 * 1024));
    gateway.accepts(&large(1000 * 1024));
    wait_until("memory given back", || gateway.metric("countersign_body_bytes", &[]) == 0.0);
}

/// Rates that could fill the memory do not load.
#[test]
fn rates_beyond_the_replay_memory_do_not_load() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new().with("replay.memory", r#""1MiB""#).partner(
        "few",
        &few(),
        "rate = { per_second = 1000, burst = 1000 }",
    );
    Setup::write_certificates(folder.path());
    let file = setup.write(folder.path(), "http://localhost:1");
    let faults = countersign::config::Config::load(&file).expect_err("too much").to_string();
    assert!(faults.contains("replay") && faults.contains("few"), "{faults}");
}

/// An address that keeps failing is slowed; one that is good, or another, is not.
#[test]
fn an_address_that_keeps_failing_is_slowed() {
    let setup = Setup::new().with("listener.failures", "{ per_second = 1, burst = 10 }");
    let gateway = Gateway::with(setup);
    let bad = || of(&v1(), &gateway).set("X-SIGNATURE", "0".repeat(64));
    // Good requests cost nothing, however many.
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.ask(&of(&v1(), &gateway)).status, 200);
    }
    let started = Instant::now();
    let mut failed = 0;
    let slowed = loop {
        let answer = client.ask(&bad());
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.refusal().code, "invalid_signature");
        failed += 1;
        assert!(failed < 100, "never slowed");
    };
    let earned = usize::try_from(started.elapsed().as_secs()).unwrap() + 2;
    assert!((10..=10 + earned).contains(&failed), "{failed}");
    assert_eq!(slowed.refusal().code, "rate_limited");
    assert!(slowed.value("retry-after").is_some());
    // Another address, spoofing nothing, is served.
    let other = from_elsewhere(&gateway, &of(&v1(), &gateway));
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    // And after a while so is this one.
    std::thread::sleep(Duration::from_millis(2100));
    gateway.accepts(&of(&v1(), &gateway));
}

/// Asks from 127.0.0.2.
fn from_elsewhere(gateway: &Gateway, request: &Request) -> String {
    use socket2::{Domain, Socket, Type};
    use std::io::{Read as _, Write as _};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&gateway.address.into()).unwrap();
    let name = rustls::pki_types::ServerName::try_from("api.example.com").unwrap();
    let config = crate::support::tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let socket: std::net::TcpStream = socket.into();
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.write_all(&request.clone().header("Connection", "close").h1()).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

/// Rows 18 and 19: the peer's own address decides, in whatever family it shows.
#[test]
fn allowed_addresses_are_those_of_the_peer() {
    let here = Signer::v1("pk_here", "here-live-6d8f0a2c4e1b3957");
    let there = Signer::v1("pk_there", "there-live-7e9a1b3d5f0c2846");
    let setup = Setup::new().partner("here", &here, r#"addresses = ["127.0.0.0/8"]"#).partner(
        "there",
        &there,
        r#"addresses = ["203.0.113.7"]"#,
    );
    let listeners = ["127.0.0.1:0", "[::]:0"];
    for listener in listeners {
        let setup = setup.clone().with("listener.address", &format!("\"{listener}\""));
        let mut gateway = Gateway::with(setup);
        // The IPv6 listener shows IPv4 clients as mapped addresses.
        gateway.address = ([127, 0, 0, 1], gateway.address.port()).into();
        let spoofed = |signer: &Signer| {
            of(signer, &gateway)
                .header("X-Forwarded-For", "203.0.113.7")
                .header("X-Real-IP", "203.0.113.7")
                .header("Forwarded", "for=203.0.113.7")
        };
        gateway.refuses(&spoofed(&there), "address_not_allowed");
        gateway.accepts(&spoofed(&here));
        let seen = gateway.upstream.last();
        assert_eq!(seen.value("x-forwarded-for"), "127.0.0.1", "{listener}");
        let told = [seen.values("x-real-ip"), seen.values("forwarded")].concat();
        assert!(!told.iter().any(|value| value.contains("203.0.113.7")), "{told:?}");
        // Only the owner of a good signature learns that the address is the reason.
        let bad = spoofed(&there).set("X-SIGNATURE", "0".repeat(64));
        gateway.refuses(&bad, "invalid_signature");
    }
}
