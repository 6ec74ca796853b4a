//! The PROXY protocol: rows 19, 20, 39 and 42 where a balancer is in front.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dial::{LISTED, LISTED_TEXT, client, http2, tcp, try_client};
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::request::{HOST, Request};
use crate::support::setup::{Setup, v1};
use crate::support::signer::Signer;
use crate::support::{tls, wait_until};

const OTHER: [u8; 4] = [127, 0, 0, 2];
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn setup() -> Setup {
    Setup::new().with("listener.proxy_protocol", &format!("{{ from = [{LISTED_TEXT}] }}"))
}

fn order(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", b"{}"), gateway.now())
}

/// A header of version 1.
fn text(client: &str) -> Vec<u8> {
    let ip: IpAddr = client.parse().unwrap();
    let (family, target) = if ip.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "fd00::1") };
    format!("PROXY {family} {client} {target} 50000 443\r\n").into_bytes()
}

/// A header of version 2, with more after the addresses.
fn binary(client: &str, more: &[u8]) -> Vec<u8> {
    let (family, addresses) = match client.parse().unwrap() {
        IpAddr::V4(ip) => (0x11, [ip.octets(), [10, 0, 0, 1]].concat()),
        IpAddr::V6(ip) => (0x21, [ip.octets(), [0xfd; 16]].concat()),
    };
    let rest = [&addresses[..], &50_000_u16.to_be_bytes(), &443_u16.to_be_bytes(), more].concat();
    framed(0x21, family, &rest)
}

fn framed(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn faults(gateway: &Gateway) -> f64 {
    gateway.metric("countersign_tls_handshake_failures_total", &["\"proxy_header\""])
}

/// The client in the newest line of a request, and what it came through.
fn logged(gateway: &Gateway, lines: usize) -> (String, Value) {
    wait_until("the line", || gateway.request_lines().len() >= lines);
    let line = gateway.request_lines().last().unwrap().clone();
    (line["peer"].as_str().unwrap().to_owned(), line["via"].clone())
}

/// Waits for the event of a refused connection: who was the last, and through whom.
fn told(gateway: &Gateway, reason: &str, peer: &str, via: &Value) {
    wait_until(&format!("{reason} of {peer}"), || {
        gateway.log().lines().any(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let (told, of) = (&line["event"], &line["reason"]);
            let from = (&line["last_peer"], &line["last_via"]);
            told == "connection_refused" && of == reason && from == (&json!(peer), via)
        })
    });
}

/// The whole path knows the client that the balancer names: rules, log, and the service.
#[test]
fn the_client_that_a_balancer_names_is_who_it_is() {
    let there = Signer::v1("pk_there", "there-live-7e9a1b3d5f0c2846");
    let setup = setup().partner("there", &there, r#"addresses = ["203.0.113.7", "2001:db8::7"]"#);
    let gateway = Gateway::with(setup);
    let request = || there.sign(Request::post("/v2/orders", b"{}"), gateway.now());
    let mut lines = 0;
    for (ip, header) in [
        ("203.0.113.7", text("203.0.113.7")),
        ("203.0.113.7", text("::ffff:203.0.113.7")),
        ("203.0.113.7", binary("203.0.113.7", &[])),
        ("203.0.113.7", binary("::ffff:203.0.113.7", &[])),
        ("2001:db8::7", text("2001:db8::7")),
        ("2001:db8::7", binary("2001:db8::7", &[4, 0, 2, 0, 0])),
    ] {
        // What a header of the request says, beside it, is nothing.
        let spoofed = request().header("X-Forwarded-For", "198.51.100.1");
        let answers = [
            client(LISTED, &gateway, &header).ask(&spoofed),
            http2(LISTED, &gateway, &header).ask(&request().header("Forwarded", "for=x")),
        ];
        for answer in answers {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(gateway.upstream.last().value("x-forwarded-for"), ip);
        }
        lines += 2;
        assert_eq!(logged(&gateway, lines), (ip.to_owned(), json!("127.0.0.9")));
    }
    // Another client of the same balancer.
    let answer = client(LISTED, &gateway, &text("203.0.113.8")).ask(&request());
    assert_eq!(answer.refusal().code, "address_not_allowed");
    assert_eq!(faults(&gateway), 0.0);
}

/// The balancer's own connections, of which its checks of health are made.
#[test]
fn a_balancer_that_speaks_for_itself_keeps_its_address() {
    let gateway = Gateway::with(setup());
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 203.0.113.7 10.0.0.1 50000 443\r\n".to_vec(),
        framed(0x20, 0x00, &[]),
        framed(0x20, 0x11, &[203, 0, 113, 7, 10, 0, 0, 1, 0, 1, 0, 2]),
        framed(0x21, 0x00, b"whatever"),
    ] {
        let answer = client(LISTED, &gateway, &header).ask(&order(&gateway));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(gateway.upstream.last().value("x-forwarded-for"), "127.0.0.9");
    }
    assert_eq!(logged(&gateway, 5), ("127.0.0.9".to_owned(), Value::Null));
}

/// A header and what follows, in one piece and byte by byte; the longest that is taken.
#[test]
fn a_header_ends_where_it_ends() {
    let gateway = Gateway::with(setup());
    let longest = binary("203.0.113.7", &vec![0x16; 4096 - 28]);
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16)).into_bytes();
    assert_eq!((longest.len(), line.len()), (4096, 107));
    for header in [text("203.0.113.7"), binary("203.0.113.7", &[]), longest, line] {
        for piece in [1, 11, 16, header.len()] {
            let mut first = header.clone();
            let mut socket = tcp(LISTED, gateway.address);
            if piece < 16 && header.len() > 200 {
                continue;
            }
            if piece == header.len() {
                // Together with the first bytes of TLS.
                let name = HOST.to_owned().try_into().unwrap();
                let config = tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
                let mut session = rustls::ClientConnection::new(config, name).unwrap();
                session.write_tls(&mut first).unwrap();
                socket.write_all(&first).unwrap();
                let mut stream = rustls::StreamOwned::new(session, socket);
                stream.write_all(&order(&gateway).h1()).unwrap();
                let mut status = [0; 12];
                stream.read_exact(&mut status).unwrap();
                assert_eq!(&status, b"HTTP/1.1 200");
                continue;
            }
            for part in first.chunks(piece) {
                socket.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            let config = tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
            let mut client = Client::over(socket, HOST, config).expect("handshake");
            assert_eq!(client.ask(&order(&gateway)).status, 200);
        }
    }
    assert_eq!(faults(&gateway), 0.0);
}

/// Whether the gate ends a connection without a word.
fn ends_in_silence(mut socket: TcpStream) -> bool {
    let mut came = Vec::new();
    // A reset is an end as well: bytes of ours may not have been read.
    let _ = socket.read_to_end(&mut came);
    came.is_empty()
}

/// Row 20: absent, broken or too long from a balancer; present from anybody else.
#[test]
fn a_header_must_be_there_from_balancers_and_from_nobody_else() {
    let gateway = Gateway::with(setup());
    let broken: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 50000\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 50000 443\n".to_vec(),
        b"PROXY TCP4 203.0.113.07 10.0.0.1 50000 443\r\n".to_vec(),
        b"PROXY TCP6 203.0.113.7 10.0.0.1 50000 443\r\n".to_vec(),
        b"PROXY TCP4 api.example.com 10.0.0.1 50000 443\r\n".to_vec(),
        b"proxy tcp4 203.0.113.7 10.0.0.1 50000 443\r\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(108 - 16)).into_bytes(),
        vec![b'P'; 4096],
        [b"\r\n\r\n\0\r\nQUIX\n".as_slice(), &[0x21, 0x11, 0, 0]].concat(),
        framed(0x11, 0x11, &[0; 12]),
        framed(0x22, 0x11, &[1; 12]),
        framed(0x21, 0x11, &[1; 11]),
        framed(0x21, 0x31, &[1; 216]),
        framed(0x21, 0x12, &[1; 12]),
        framed(0x21, 0x21, &[1; 12]),
        framed(0x20, 0x00, &[0; 4081]),
    ];
    for (count, header) in broken.iter().enumerate() {
        let shown = String::from_utf8_lossy(&header[..header.len().min(60)]).into_owned();
        let mut socket = tcp(LISTED, gateway.address);
        let _ = socket.write_all(header);
        assert!(ends_in_silence(socket), "{shown:?}");
        wait_until("it is counted", || faults(&gateway) >= (count + 1) as f64);
    }
    // TLS itself, without a header before it.
    assert!(try_client(LISTED, &gateway, b"").is_none());
    wait_until("it is counted", || faults(&gateway) >= (broken.len() + 1) as f64);
    told(&gateway, "proxy_header", "127.0.0.9", &Value::Null);
    // And headers from who may not send one, alone and before TLS.
    let before = faults(&gateway);
    for (count, header) in [text("203.0.113.7"), binary("203.0.113.7", &[])].iter().enumerate() {
        let mut socket = tcp(OTHER, gateway.address);
        socket.write_all(header).unwrap();
        assert!(ends_in_silence(socket));
        assert!(try_client(OTHER, &gateway, header).is_none());
        let counted = before + 2.0 * (count + 1) as f64;
        wait_until("they are counted", || faults(&gateway) >= counted);
    }
    told(&gateway, "proxy_header", "127.0.0.2", &Value::Null);
    assert_eq!(client(OTHER, &gateway, b"").ask(&order(&gateway)).status, 200);
    assert_eq!(gateway.upstream.count(), 1);
}

/// Row 39: silence, and a header that never ends.
#[test]
fn a_header_must_be_whole_in_time() {
    let setup = Setup::new().with(
        "listener.proxy_protocol",
        &format!("{{ from = [{LISTED_TEXT}], deadline = \"500ms\" }}"),
    );
    let gateway = Gateway::with(setup);
    for first in [&b""[..], b"P", b"PROXY TCP4 203.0.113.7 ", &SIGNATURE[..5], SIGNATURE] {
        let started = Instant::now();
        let mut socket = tcp(LISTED, gateway.address);
        socket.write_all(first).unwrap();
        assert!(ends_in_silence(socket));
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(4), "{took:?}");
    }
    // Drops of it do not make it longer.
    let mut socket = tcp(LISTED, gateway.address);
    let started = Instant::now();
    let drip = text("203.0.113.7");
    let all_taken = drip.iter().all(|byte| {
        std::thread::sleep(Duration::from_millis(60));
        socket.write_all(&[*byte]).is_ok()
    });
    assert!(!all_taken || ends_in_silence(socket));
    assert!(started.elapsed() >= Duration::from_millis(450));
    wait_until("all are counted", || faults(&gateway) >= 6.0);
    // The deadline is only that of the header.
    let mut late = client(LISTED, &gateway, &text("203.0.113.7"));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(late.ask(&order(&gateway)).status, 200);
}

/// Row 42: connections count under the client that is behind a balancer, never under the balancer.
#[test]
fn connections_count_under_the_client() {
    let setup = setup()
        .with("listener.connections.total", "14")
        .with("listener.connections.per_address", "3");
    let gateway = Gateway::with(setup);
    let refused = |reason| gateway.metric("countersign_connections_refused_total", &[reason]);
    let one = || try_client(LISTED, &gateway, &text("203.0.113.7"));
    let mut held: Vec<Client> = (0..3).map(|_| one().expect("room")).collect();
    assert!(one().is_none(), "the fourth of one client");
    wait_until("it is counted", || refused("\"address\"") >= 1.0);
    told(&gateway, "address", "203.0.113.7", &json!("127.0.0.9"));
    // More clients than the balancer alone may have connections.
    for n in 1..=8 {
        let header = binary(&format!("198.51.100.{n}"), &[]);
        held.push(client(LISTED, &gateway, &header));
    }
    for client in &mut held {
        assert_eq!(client.ask(&order(&gateway)).status, 200);
    }
    // The total holds for those as well that have not said whose they are.
    let silent: Vec<TcpStream> = (0..3).map(|_| tcp(LISTED, gateway.address)).collect();
    wait_until("they fill it up", || {
        gateway.metric("countersign_connections_accepted_total", &[]) >= 15.0
    });
    assert!(try_client(LISTED, &gateway, &text("198.51.100.99")).is_none());
    wait_until("it is counted", || refused("\"total\"") >= 1.0);
    drop(silent);
    held.pop();
    wait_until("room again", || try_client(LISTED, &gateway, &text("198.51.100.99")).is_some());
}

/// A client that keeps failing is slowed; others behind the same balancer are not.
#[test]
fn failures_count_under_the_client() {
    let setup = setup().with("listener.failures", "{ per_second = 1, burst = 5 }");
    let gateway = Gateway::with(setup);
    let mut bad = client(LISTED, &gateway, &text("203.0.113.7"));
    wait_until("it is slowed", || {
        bad.ask(&order(&gateway).set("X-SIGNATURE", "0".repeat(64))).status == 429
    });
    let mut good = client(LISTED, &gateway, &text("203.0.113.8"));
    assert_eq!(good.ask(&order(&gateway)).status, 200);
}

/// Rows 19 and 20: an IPv6 listener shows a balancer of IPv4 as a mapped address.
#[test]
fn a_balancer_is_known_in_whatever_family_it_shows() {
    let setup = setup().with("listener.address", "\"[::]:0\"");
    let mut gateway = Gateway::with(setup);
    gateway.address = SocketAddr::from(([127, 0, 0, 1], gateway.address.port()));
    let answer = client(LISTED, &gateway, &text("203.0.113.7")).ask(&order(&gateway));
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.upstream.last().value("x-forwarded-for"), "203.0.113.7");
    assert!(try_client(LISTED, &gateway, b"").is_none());
}

/// Balancers come and go by reload; a stop does not wait for those that say nothing.
#[test]
fn balancers_are_reloaded_and_do_not_hold_up_a_stop() {
    let mut gateway = Gateway::start();
    assert_eq!(client(LISTED, &gateway, b"").ask(&order(&gateway)).status, 200);
    let table = format!("{{ from = [{LISTED_TEXT}], deadline = \"5s\" }}");
    gateway.change(|setup| setup.set("listener.proxy_protocol", &table)).unwrap();
    assert!(try_client(LISTED, &gateway, b"").is_none());
    let header = text("203.0.113.7");
    assert_eq!(client(LISTED, &gateway, &header).ask(&order(&gateway)).status, 200);
    gateway.change(|setup| setup.set("listener.deadlines.drain", "\"300ms\"")).unwrap();
    let silent = tcp(LISTED, gateway.address);
    let accepted = || gateway.metric("countersign_connections_accepted_total", &[]);
    wait_until("it is accepted", || accepted() >= 4.0);
    let started = Instant::now();
    assert_eq!(gateway.stop(), 1);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(ends_in_silence(silent));
}
