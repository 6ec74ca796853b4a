//! Clients that come in clear: where HTTPS is, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::config::scheme::builtin_schemes;
use countersign::redirect::{Challenges, Redirect};
use countersign::serve::{CertificateFiles, Connections, Door, Drain, Origins, Settings, Tls};
use countersign::serve::{bind, run_plain};
use countersign::telemetry::connections::ConnectionMetrics;
use prometheus::{IntCounterVec, Opts, Registry};

use crate::dial::{LISTED, LISTED_TEXT, tcp};
use crate::support::certificates::authority;
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::{tls, wait_until};

const HERE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

fn gateway() -> Gateway {
    Gateway::with(Setup::new().with("listener.redirect", "\"127.0.0.1:0\""))
}

fn redirect(gateway: &Gateway) -> SocketAddr {
    gateway.redirects().expect("a listener in clear")
}

/// Sends bytes from an address, and reads to the end of the connection, which must come.
fn say(source: [u8; 4], address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = tcp(source, address);
    let _ = socket.write_all(bytes);
    rest(&mut socket)
}

fn rest(socket: &mut TcpStream) -> String {
    let mut came = Vec::new();
    match socket.read_to_end(&mut came) {
        Ok(_) => {}
        Err(fault) => assert_ne!(fault.kind(), std::io::ErrorKind::WouldBlock, "never closed"),
    }
    String::from_utf8_lossy(&came).into_owned()
}

fn get(gateway: &Gateway, target: &str, headers: &str) -> String {
    let head = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
    say(HERE, redirect(gateway), head.as_bytes())
}

fn location(answer: &str) -> Option<&str> {
    answer.lines().find_map(|line| line.strip_prefix("location: "))
}

fn counted(gateway: &Gateway, outcome: &str) -> f64 {
    let label = format!("\"{outcome}\"");
    gateway.metric("countersign_plain_requests_total", &[&label])
}

/// What browsers send of themselves is sent on.
#[test]
fn a_browser_is_sent_to_https() {
    let gateway = gateway();
    let browser = "Host: api.example.com\r\nUser-Agent: x\r\nAccept: */*\r\n\
                   Accept-Language: en\r\nUpgrade-Insecure-Requests: 1\r\n\
                   Sec-Fetch-Mode: navigate\r\nConnection: keep-alive\r\n";
    let answer = get(&gateway, "/v1/orders?page=2&of=a%20b", browser);
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert_eq!(location(&answer), Some("https://api.example.com/v1/orders?page=2&of=a%20b"));
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    // Another certificate's name, another port, and a HEAD.
    let answer = get(&gateway, "/", "Host: Shop.example.com:8080\r\n");
    assert_eq!(location(&answer), Some("https://Shop.example.com/"), "{answer}");
    let head = b"HEAD /x HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let answer = say(HERE, redirect(&gateway), head);
    assert!(answer.starts_with("HTTP/1.1 308 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    // Without an order for certificates their place is like any other.
    let answer = get(&gateway, "/.well-known/acme-challenge/x", "Host: api.example.com\r\n");
    assert_eq!(location(&answer), Some("https://api.example.com/.well-known/acme-challenge/x"));
    assert_eq!(counted(&gateway, "redirected"), 4.0);
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// Whoever sent a credential in clear must learn it, and not be sent on to where it works.
#[test]
fn no_credential_is_sent_on() {
    let gateway = gateway();
    let mut names: Vec<String> = ["authorization", "proxy-authorization", "cookie", "x-unheard-of"]
        .map(str::to_owned)
        .to_vec();
    for scheme in builtin_schemes() {
        names.extend(scheme.credential_headers().iter().map(ToString::to_string));
    }
    names.sort();
    names.dedup();
    assert!(names.len() > 50, "{}", names.len());
    for name in &names {
        let answer = get(&gateway, "/", &format!("Host: api.example.com\r\n{name}: x\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{name}: {answer}");
        assert!(answer.contains("\"https_required\"") && location(&answer).is_none(), "{name}");
    }
    for query in ["signature=0", "x=1&X-Amz-Signature=0", "api_key=1", "%73ig=0", "access_token"] {
        let answer = get(&gateway, &format!("/?{query}"), "Host: api.example.com\r\n");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{query}: {answer}");
        assert!(location(&answer).is_none(), "{query}");
    }
    assert_eq!(counted(&gateway, "secret"), (names.len() + 5) as f64);
}

/// Everything else ends here.
#[test]
fn nothing_else_is_taken() {
    let gateway = gateway();
    for (status, bytes) in [
        ("403", "POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\n\r\n{}"),
        ("403", "PUT / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 0\r\n\r\n"),
        ("403", "OPTIONS * HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        ("403", "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: api.example.com.evil.example\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: api.example.com/@evil\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: api.example.com\r\nHost: api.example.com\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\n\r\n"),
        ("400", "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        ("400", "GET //evil.example/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        ("400", "GET /a/../b HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\n\r\n{}"),
        ("400", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("400", "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n"),
    ] {
        let answer = say(HERE, redirect(&gateway), bytes.as_bytes());
        // HTTP/2 is hung up on.
        let expected = if bytes.starts_with("PRI") { "" } else { status };
        let found = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(found, expected, "{bytes:?}: {answer:?}");
        assert!(location(&answer).is_none(), "{bytes:?}: {answer:?}");
    }
    let long = format!("/{}", "x".repeat(8200));
    assert!(get(&gateway, &long, "Host: api.example.com\r\n").starts_with("HTTP/1.1 400 "));
    let many = "Accept: x\r\n".repeat(300);
    let answer = get(&gateway, "/", &format!("Host: api.example.com\r\n{many}"));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    // A second request on the connection is not read.
    let twice = "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n".repeat(2);
    let answer = say(HERE, redirect(&gateway), twice.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    // And TLS is not spoken here.
    let config = tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
    let client =
        crate::support::client::Client::dial_with(redirect(&gateway), "api.example.com", config);
    assert!(client.is_err());
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// Rows 39, 41 and 42 for the port in clear: who is silent or slow goes, and holds up nobody.
#[test]
fn slow_and_many_clients_hold_up_nobody() {
    let gateway = gateway();
    let started = Instant::now();
    let mut held: Vec<TcpStream> = (0..32).map(|_| tcp(HERE, redirect(&gateway))).collect();
    for (n, socket) in held.iter_mut().enumerate() {
        if n % 2 == 0 {
            socket.write_all(b"GET / HTTP/1.1\r\nHost: api").unwrap();
        }
    }
    // The next of the same address is closed; another is answered.
    wait_until("one is too many", || get(&gateway, "/", "Host: api.example.com\r\n").is_empty());
    let head = b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let answer = say(OTHER, redirect(&gateway), head);
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    for socket in &mut held {
        assert_eq!(rest(socket), "");
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(12), "{took:?}");
    wait_until("room again", || {
        get(&gateway, "/", "Host: api.example.com\r\n").starts_with("HTTP/1.1 308 ")
    });
}

/// A balancer says there as well whose a connection is; and a stop waits for nobody there.
#[test]
fn balancers_are_listened_to_and_a_stop_waits_for_nobody() {
    let mut gateway = gateway();
    let port = redirect(&gateway);
    gateway
        .change(|setup| {
            let table = format!("{{ from = [{LISTED_TEXT}] }}");
            setup.set("listener.proxy_protocol", &table);
        })
        .unwrap();
    let request = "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let with = format!("PROXY TCP4 203.0.113.7 10.0.0.1 50000 80\r\n{request}");
    assert!(say(LISTED, port, with.as_bytes()).starts_with("HTTP/1.1 308 "));
    assert_eq!(say(LISTED, port, request.as_bytes()), "");
    assert!(say(OTHER, port, request.as_bytes()).starts_with("HTTP/1.1 308 "));
    assert!(!say(OTHER, port, with.as_bytes()).contains("308"));
    // Where it listens does not change while the gate runs.
    let refused = gateway.change(|setup| setup.set("listener.redirect", "\"127.0.0.1:1\""));
    assert!(refused.unwrap_err().contains("listener.redirect"));
    let mut silent = tcp(HERE, port);
    let started = Instant::now();
    gateway.stop();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(rest(&mut silent), "");
    assert!(TcpStream::connect(port).is_err());
}

struct One;

impl Challenges for One {
    fn are_expected(&self) -> bool {
        true
    }

    fn answer(&self, token: &str) -> Option<String> {
        (token == "tok_EN-1").then(|| "tok_EN-1.thumbprint".to_owned())
    }
}

/// An authority that asks for a token gets the text for it, under any name and on one connection.
#[test]
fn an_authority_gets_the_text_of_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = authority().api.write(folder.path(), "api");
    let socket = bind("127.0.0.1:0".parse().unwrap(), NonZeroUsize::MIN).unwrap().remove(0);
    let address = socket.local_addr().unwrap();
    let drain = Drain::new();
    let ended = std::thread::spawn({
        let drain = drain.clone();
        move || {
            let now = 1000 * crate::support::gateway::START;
            let answers = IntCounterVec::new(Opts::new("answers", "x"), &["outcome"]).unwrap();
            let limits = countersign::limit::ConnectionLimits::default();
            let settings = Settings {
                deadlines: Default::default(),
                pace: Default::default(),
                head: Default::default(),
                http2: Default::default(),
                requests_max: NonZeroUsize::MIN,
                origins: Origins::default(),
            };
            let door = Door {
                tls: Arc::new(Tls::load(&[CertificateFiles { chain, key }], now).unwrap()),
                connections: Connections::new(limits),
                settings: Arc::new(arc_swap::ArcSwap::from_pointee(settings)),
                metrics: ConnectionMetrics::new(&Registry::new()).unwrap(),
                handler: Rc::new(Redirect::new(Some(Arc::new(One)), answers)),
                drain,
            };
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build_local(Default::default()).unwrap();
            runtime.block_on(run_plain(socket, door))
        }
    });
    let ask = |token: &str, more: &str| {
        let target = format!("/.well-known/acme-challenge/{token}");
        let text = format!("GET {target} HTTP/1.1\r\nHost: new.example.com\r\n{more}\r\n");
        say(HERE, address, text.as_bytes())
    };
    let answer = ask("tok_EN-1", "User-Agent: authority\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntok_EN-1.thumbprint"), "{answer}");
    for token in ["other", "", "tok_EN-1/", "tok_EN-1?x=1&..", "..%2ftok_EN-1"] {
        assert!(!ask(token, "").contains("thumbprint") || token.contains('?'), "{token}");
    }
    assert!(ask("other", "").starts_with("HTTP/1.1 404 "));
    drain.begin();
    assert_eq!(ended.join().unwrap().unwrap(), 0);
}
