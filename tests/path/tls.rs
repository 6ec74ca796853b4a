//! The TLS port: versions and suites, odd handshakes, names and certificates, and clients that stay
//! silent or slow.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::certificates::authority;
use crate::support::client::{Client, Ended, tcp_ends_after};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::{Step, answer};
use crate::support::{tls, wait_until};

const BODY: &[u8] = b"{\"amount\":100}";

fn order(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

/// Whether OpenSSL's client gets through a handshake with these arguments, and what it says.
fn openssl(address: SocketAddr, arguments: &[&str]) -> (bool, String) {
    let target = address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &target, "-servername", "api.example.com"]);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().expect("openssl must be installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&output.stderr);
    (text.contains("Cipher is ") && !text.contains("Cipher is (NONE)"), text)
}

/// Row 37.
#[test]
fn only_tls_12_and_13_with_strong_suites_are_spoken() {
    let gateway = Gateway::start();
    let weak = "DEFAULT@SECLEVEL=0";
    for arguments in [
        &["-tls1", "-cipher", weak][..],
        &["-tls1_1", "-cipher", weak],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "NULL:aNULL:@SECLEVEL=0"],
    ] {
        let (through, said) = openssl(gateway.address, arguments);
        assert!(!through, "{arguments:?}: {said}");
        assert!(said.contains("alert") || said.contains("no protocols"), "{arguments:?}: {said}");
    }
    for arguments in [
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"][..],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        &["-tls1_3"],
    ] {
        let (through, said) = openssl(gateway.address, arguments);
        assert!(through, "{arguments:?}: {said}");
        assert!(said.contains("Compression: NONE"), "{said}");
    }
    // An RSA certificate for the other name.
    let rsa =
        ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384", "-servername", "shop.example.com"];
    assert!(openssl(gateway.address, &rsa).0);
    assert_eq!(gateway.ask(&order(&gateway)).status, 200);
}

/// A ClientHello of TLS 1.3 with these extensions, in records of at most so many bytes.
fn hello(extensions: &[(u16, Vec<u8>)], record_bytes: usize) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0x13, 0x01, 0xc0, 0x2b, 1, 0]);
    let mut list = Vec::new();
    for (kind, content) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        list.extend(content);
    }
    body.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend(list);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    let mut records = Vec::new();
    for piece in message.chunks(record_bytes) {
        records.extend([22, 3, 1]);
        records.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
        records.extend(piece);
    }
    records
}

fn server_name(name: &[u8]) -> (u16, Vec<u8>) {
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let entry = [&[0][..], &length(name.len()), name].concat();
    (0, [&length(entry.len())[..], &entry].concat())
}

/// Row 38.
#[test]
fn odd_hellos_end_in_an_alert_and_hurt_nobody() {
    let gateway = Gateway::with(Setup::new().deadline("handshake", 500));
    let many = (0..100).map(|n| (0x4000 + n, vec![0; 10])).collect::<Vec<_>>();
    let twice = [server_name(b"api.example.com"), server_name(b"shop.example.com")];
    for (name, bytes) in [
        ("a name of 300 bytes", hello(&[server_name(&[b'a'; 300])], 16_384)),
        ("a name with NUL", hello(&[server_name(b"api.example.com\0.evil")], 16_384)),
        ("an address as name", hello(&[server_name(b"127.0.0.1")], 16_384)),
        ("an empty name", hello(&[server_name(b"")], 16_384)),
        ("two names", hello(&twice, 16_384)),
        ("100 extensions", hello(&many, 16_384)),
        ("records of one byte", hello(&many, 1)),
        ("64 kB", hello(&[(0x4000, vec![0; 65_000])], 16_384)),
        ("a record that is too long", [&[22, 3, 1, 0xff, 0xff][..], &[1; 70_000]].concat()),
        ("an empty record", [&[22, 3, 1, 0, 0][..]].concat()),
        ("an SSLv2 hello", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
        ("application data", vec![23, 3, 3, 0, 5, 1, 2, 3, 4, 5]),
    ] {
        let started = Instant::now();
        let (ended, _, came) = tcp_ends_after(gateway.address, &bytes);
        assert_ne!(ended, Ended::Silent, "{name}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}");
        let alert_or_hello = came.first().is_none_or(|kind| matches!(kind, 20..=22));
        assert!(alert_or_hello || came.starts_with(b"HTTP/1.1 400"), "{name}: {came:02x?}");
    }
    assert_eq!(gateway.ask(&order(&gateway)).status, 200);
    assert_eq!(gateway.ask_h2(&order(&gateway)).status, 200);
}

/// Row 38: a good hello that comes in single bytes is served.
#[test]
fn a_handshake_in_single_bytes_is_served() {
    struct Trickle(TcpStream);
    impl Read for Trickle {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(bytes)
        }
    }
    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(&bytes[..1])
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }
    let gateway = Gateway::start();
    let socket = TcpStream::connect(gateway.address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let name = rustls::pki_types::ServerName::try_from("api.example.com").unwrap();
    let config = tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = rustls::StreamOwned::new(session, Trickle(socket));
    stream.write_all(&order(&gateway).h1()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

/// Row 15.
#[test]
fn a_host_that_the_connection_is_not_for_is_misdirected() {
    let gateway = Gateway::start();
    for authority in ["shop.example.com", "localhost", "127.0.0.1", "example.com"] {
        let request = Request::post("/v2/orders", BODY).authority(authority);
        gateway.refuses(&v1().sign(request, gateway.now()), "misdirected");
    }
    let shop = Request::post("/v2/orders", BODY).authority("shop.example.com");
    let shop = v1().sign(shop, gateway.now());
    let mut client = Client::dial(gateway.address, "shop.example.com", &["http/1.1"]).unwrap();
    assert_eq!(client.ask(&order(&gateway)).refusal().code, "misdirected");
    assert_eq!(client.ask(&shop).status, 200);
    let client = Http2::connect_as(gateway.address, "shop.example.com");
    assert_eq!(client.ask(&order(&gateway)).refusal().code, "misdirected");
}

/// Row 15: without a name the default certificate decides.
#[test]
fn without_a_server_name_the_default_certificate_decides() {
    let gateway = Gateway::start();
    // An address is never sent as a server name.
    let dial = || Client::dial(gateway.address, "127.0.0.1", &["http/1.1"]).unwrap();
    for (authority, status) in
        [("127.0.0.1", 200), ("api.example.com", 200), ("shop.example.com", 421)]
    {
        let request = Request::post("/v2/orders", BODY).authority(authority);
        let answer = dial().ask(&v1().sign(request, gateway.now()));
        assert_eq!(answer.status, status, "{authority}: {}", answer.text());
    }
}

/// Row 20, and the rule that nothing is served in clear.
#[test]
fn clear_text_on_the_tls_port_gets_400_and_a_close() {
    let gateway = Gateway::start();
    assert_eq!(gateway.redirects(), None, "nothing listens in clear unasked");
    for clear in [
        &b"GET /v1/orders HTTP/1.1\r\nHost: api.example.com\r\n\r\n"[..],
        b"POST /v2/orders HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\n\r\n{}",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 443\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
    ] {
        let (ended, after, came) = tcp_ends_after(gateway.address, clear);
        assert_ne!(ended, Ended::Silent);
        assert!(after < Duration::from_secs(3), "{after:?}");
        let text = String::from_utf8_lossy(&came).into_owned();
        if clear.starts_with(b"GET") || clear.starts_with(b"POST") {
            assert!(text.starts_with("HTTP/1.1 400 "), "{text:?}");
            assert!(!text.to_lowercase().contains("location:"), "{text:?}");
        }
        assert!(!text.contains(" 200 "), "{text:?}");
    }
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// Rows 39 and 41, the silent ones: each is gone at its deadline, while others are served.
#[test]
fn silent_clients_are_gone_at_their_deadline_while_others_are_served() {
    let setup = Setup::new().deadline("handshake", 400).deadline("head", 400).deadline("idle", 400);
    let gateway = Gateway::with(setup);
    let whole_hello = hello(&[server_name(b"api.example.com")], 16_384);
    let half_hello = &whole_hello[..60];
    let silent = std::thread::scope(|scope| {
        let address = gateway.address;
        let tcp = scope.spawn(move || tcp_ends_after(address, b""));
        let half = scope.spawn(move || tcp_ends_after(address, half_hello));
        let wait_tls = move |protocol: &'static str, first: &'static [u8]| {
            let mut client = Client::dial(address, "api.example.com", &[protocol]).unwrap();
            let started = Instant::now();
            client.send(first);
            let ended = client.end();
            (ended, started.elapsed(), Vec::new())
        };
        let h1 = scope.spawn(move || wait_tls("http/1.1", b""));
        let head =
            scope.spawn(move || wait_tls("http/1.1", b"POST /v2/orders HTTP/1.1\r\nHost: a"));
        let h2 = scope.spawn(move || wait_tls("h2", b""));
        let preface = scope.spawn(move || wait_tls("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        for _ in 0..10 {
            assert_eq!(gateway.ask(&order(&gateway)).status, 200);
            std::thread::sleep(Duration::from_millis(30));
        }
        [
            ("TCP only", tcp),
            ("half a hello", half),
            ("TLS only", h1),
            ("half a head", head),
            ("TLS for HTTP/2", h2),
            ("a preface", preface),
        ]
        .map(|(name, thread)| (name, thread.join().unwrap()))
    });
    for (name, (ended, after, _)) in silent {
        assert_ne!(ended, Ended::Silent, "{name}");
        assert!(after < Duration::from_secs(4), "{name} after {after:?}");
        assert!(after > Duration::from_millis(200), "{name} after {after:?}");
    }
}

/// Row 41: drips. A total deadline holds whatever comes in between.
#[test]
fn slow_heads_and_bodies_end_at_the_total_deadline() {
    let setup = Setup::new()
        .deadline("head", 500)
        .deadline("body", 60_000)
        .with("listener.deadlines.body_pace", r#"{ bytes_per_second = 1024, grace = "400ms" }"#);
    let gateway = Gateway::with(setup);
    let request = order(&gateway);
    let drip = |whole: &[u8], drops: &[u8]| {
        let mut client = gateway.client();
        client.send(whole);
        let started = Instant::now();
        client.patience(Duration::from_millis(20));
        for byte in drops {
            if !client.send([*byte])
                || matches!(client.more(), Ok(_) | Err(Ended::Closed | Ended::Cut))
            {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(5), "still taken");
        }
        client.patience(Duration::from_secs(10));
        (client.try_answer("POST"), started.elapsed())
    };
    let head = request.head();
    let (answer, after) = drip(&head[..20], &head[20..]);
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 408));
    assert!(after < Duration::from_secs(4), "{after:?}");
    let long = v1().sign(Request::post("/v2/orders", &[b'x'; 2000]), gateway.now());
    let (answer, after) = drip(&long.head(), &long.body);
    assert_eq!(answer.unwrap().refusal().code, "body_too_slow");
    assert!(after < Duration::from_secs(4), "{after:?}");
    assert_eq!(gateway.upstream.bytes(), 0);
}

/// Row 41: a client that does not read a big answer.
#[test]
fn a_client_that_does_not_read_is_given_up() {
    let gateway = Gateway::with(Setup::new().deadline("stall", 500));
    let big = answer("200 OK", &[], &vec![b'x'; 64 * 1024 * 1024]);
    gateway.upstream.answer_with(move |_| vec![Step::Send(big.clone())]);
    let mut client = gateway.client();
    client.send(order(&gateway).h1());
    gateway.upstream.wait_for(1);
    // The upstream connection is let go though nobody read a byte of the answer.
    gateway.upstream.wait_open(0);
    assert!(matches!(client.try_answer("POST"), Err(Ended::Cut | Ended::Closed)));
    gateway.upstream.answer_with(|_| vec![Step::Send(answer("200 OK", &[], b"{}"))]);
    assert_eq!(gateway.ask(&order(&gateway)).status, 200);
}

/// Row 40.
#[test]
fn early_data_is_never_taken() {
    let gateway = Gateway::start();
    let mut config = (*tls::client(&["http/1.1"], &[&rustls::version::TLS13])).clone();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let mut first =
        Client::dial_with(gateway.address, "api.example.com", Arc::clone(&config)).unwrap();
    assert_eq!(first.ask(&order(&gateway)).status, 200);
    let again = Arc::clone(&config);
    let mut second = Client::dial_with(gateway.address, "api.example.com", again).unwrap();
    assert_eq!(second.stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert!(!second.stream.conn.is_early_data_accepted());
    assert_eq!(second.ask(&order(&gateway)).status, 200);
    let name = rustls::pki_types::ServerName::try_from("api.example.com").unwrap();
    let mut session = rustls::ClientConnection::new(config, name).unwrap();
    assert!(session.early_data().is_none(), "no ticket allows it");
}

/// A connection from another address of this machine.
fn from(source: [u8; 4], gateway: &Gateway) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&gateway.address.into()).unwrap();
    socket.into()
}

/// Row 42.
#[test]
fn one_address_cannot_hold_all_connections() {
    let setup = Setup::new()
        .with("listener.connections.total", "12")
        .with("listener.connections.per_address", "5");
    let gateway = Gateway::with(setup);
    let mut held: Vec<Client> = (0..5).map(|_| gateway.client()).collect();
    wait_until("the sixth to be refused", || {
        Client::dial(gateway.address, "api.example.com", &["http/1.1"]).is_err()
    });
    // Another address is served meanwhile.
    let socket = from([127, 0, 0, 2], &gateway);
    let name = rustls::pki_types::ServerName::try_from("api.example.com").unwrap();
    let config = tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let mut other = rustls::StreamOwned::new(session, socket);
    other.write_all(&order(&gateway).h1()).unwrap();
    let mut first = [0; 12];
    other.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // And every one that is held still works; one that goes makes room.
    assert_eq!(held[0].ask(&order(&gateway)).status, 200);
    held.pop();
    wait_until("room again", || {
        Client::dial(gateway.address, "api.example.com", &["http/1.1"]).is_ok()
    });
}

/// Row 42: the limit over all addresses.
#[test]
fn the_total_of_connections_is_bounded() {
    let setup = Setup::new()
        .with("listener.connections.total", "6")
        .with("listener.connections.per_address", "3");
    let gateway = Gateway::with(setup);
    let held: Vec<TcpStream> = [[127, 0, 0, 2], [127, 0, 0, 3]]
        .iter()
        .flat_map(|a| (0..3).map(|_| from(*a, &gateway)))
        .collect();
    wait_until("all to be accepted", || {
        gateway.metric("countersign_connections_accepted_total", &[]) >= 6.0
    });
    wait_until("the seventh to be refused", || {
        Client::dial(gateway.address, "api.example.com", &["http/1.1"]).is_err()
    });
    drop(held);
    wait_until("room again", || {
        Client::dial(gateway.address, "api.example.com", &["http/1.1"]).is_ok()
    });
}

/// Row 43: a bad certificate file changes nothing, a good one changes new handshakes only.
#[test]
fn a_certificate_is_replaced_whole_or_not_at_all() {
    let gateway = Gateway::start();
    let folder = gateway.folder.path();
    let served = || {
        let client = Client::dial(gateway.address, "api.example.com", &["http/1.1"]).unwrap();
        client.stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let old = served();
    let mut held = gateway.client();
    let fresh = authority().issue(&["api.example.com"], 30);
    let expired = authority().issue(&["api.example.com"], -1);
    for (name, chain, key) in [
        ("half a file", &fresh.chain[..fresh.chain.len() / 2], authority().api.key.as_str()),
        ("an empty file", "", &authority().api.key),
        ("the key of another", &fresh.chain, &authority().api.key),
        ("an expired one", &expired.chain, &expired.key),
    ] {
        fs::write(folder.join("api.pem"), chain).unwrap();
        fs::write(folder.join("api.key"), key).unwrap();
        let fault = gateway.reload().expect_err(name);
        assert!(fault.contains("api."), "{name}: names the file: {fault}");
        assert_eq!(served(), old, "{name}");
    }
    fs::write(folder.join("api.pem"), &fresh.chain).unwrap();
    fs::write(folder.join("api.key"), &fresh.key).unwrap();
    gateway.reload().unwrap();
    assert_ne!(served(), old);
    assert_eq!(held.ask(&order(&gateway)).status, 200, "an old connection lives on");
}

/// The protocol is what was agreed, never what the bytes look like.
#[test]
fn the_protocol_is_chosen_by_alpn_only() {
    let gateway = Gateway::start();
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let client = Client::dial(gateway.address, "api.example.com", offered).unwrap();
        assert_eq!(client.protocol().as_deref(), agreed, "{offered:?}");
    }
    assert!(Client::dial(gateway.address, "api.example.com", &["spdy/3"]).is_err());
    let mut client = Client::dial(gateway.address, "api.example.com", &[]).unwrap();
    assert_eq!(client.ask(&order(&gateway)).status, 200);
    let mut client = Client::dial(gateway.address, "api.example.com", &["h2"]).unwrap();
    client.send(order(&gateway).h1());
    assert_ne!(client.end(), Ended::Silent);
    assert_eq!(gateway.upstream.count(), 1);
}
