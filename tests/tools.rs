//! Programs that others wrote, against the real gate: h2load and nghttp, curl, sslscan and
//! slowhttptest. A tool that is missing is an error that says how to install it, never a skip.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "the kit is that of the path tests; this file uses a part of it")]
#[path = "path/support/mod.rs"]
mod support;

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use support::gateway::Gateway;
use support::request::Request;
use support::setup::{GENEROUS, Setup, credential, merchant, v1};
use support::signer::Signer;
use support::upstream::ok;
use support::wait_until;

const BODY: &str = "{\"amount\":100}";

/// Runs a tool of a Debian package.
fn tool(package: &str, command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|fault| {
        panic!("{name} cannot be run ({fault}); install it: apt-get install {package}")
    })
}

fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

fn order(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY.as_bytes()), gateway.now())
}

/// A signed POST by curl, over either protocol, against the certificate as it is.
#[test]
fn curl_gets_through_over_both_protocols() {
    let gateway = Gateway::start();
    let port = gateway.address.port();
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let authority = format!("api.example.com:{port}");
        let request = Request::post("/v2/orders?a=1", BODY.as_bytes()).authority(&authority);
        let request = v1().sign(request, gateway.now());
        let mut command = Command::new("curl");
        command.args(["-sS", flag, "--cacert"]).arg(gateway.folder.path().join("ca.pem"));
        command.args(["--resolve", &format!("{authority}:127.0.0.1")]);
        command.args(["-w", "\n%{http_code} %{http_version}", "--data-binary", BODY]);
        for name in ["Content-Type", "X-API-KEY", "X-TIMESTAMP", "X-NONCE", "X-SIGNATURE"] {
            command.args(["-H", &format!("{name}: {}", request.value(name))]);
        }
        command.arg(format!("https://{authority}/v2/orders?a=1"));
        let output = tool("curl", &mut command);
        let text = said(&output);
        assert_eq!(text, format!("{{\"ok\":true}}\n200 {version}"));
        assert_eq!(gateway.upstream.last().body, BODY.as_bytes());
        let text = said(&tool("curl", &mut command));
        assert!(
            text.contains("\"replayed\"") && text.ends_with(&format!("409 {version}")),
            "{text}"
        );
    }
}

/// nghttp sees a server that speaks HTTP/2 as it should, refusals included.
#[test]
fn nghttp_gets_through() {
    let gateway = Gateway::start();
    gateway.upstream.answer(&ok(b"by nghttp"));
    let authority = format!("127.0.0.1:{}", gateway.address.port());
    let request = Request::get("/v2/orders").authority("api.example.com");
    let request = v1().sign(request, gateway.now());
    let ask = || {
        let mut command = Command::new("nghttp");
        command.args(["-v", "-H", ":authority: api.example.com"]);
        for name in ["X-API-KEY", "X-TIMESTAMP", "X-NONCE", "X-SIGNATURE"] {
            command.args(["-H", &format!("{name}: {}", request.value(name))]);
        }
        command.arg(format!("https://{authority}/v2/orders"));
        said(&tool("nghttp2-client", &mut command))
    };
    // An address is no server name: the default certificate counts.
    let first = ask();
    assert!(first.contains(":status: 200") && first.contains("by nghttp"), "{first}");
    let second = ask();
    assert!(second.contains(":status: 409"), "{second}");
    assert_eq!(gateway.upstream.count(), 1);
}

/// h2load: thousands of requests, of which exactly one is not a replay.
#[test]
fn h2load_gets_one_request_through_and_no_error() {
    let gateway = Gateway::start();
    let authority = format!("127.0.0.1:{}", gateway.address.port());
    let request = Request::get("/v2/orders").authority(&authority);
    let request = v1().sign(request, gateway.now());
    let mut command = Command::new("h2load");
    command.args(["-n", "4000", "-c", "10", "-m", "20"]);
    for name in ["X-API-KEY", "X-TIMESTAMP", "X-NONCE", "X-SIGNATURE"] {
        command.args(["-H", &format!("{name}: {}", request.value(name))]);
    }
    command.arg(format!("https://{authority}/v2/orders"));
    let text = said(&tool("nghttp2-client", &mut command));
    assert!(text.contains("status codes: 1 2xx, 0 3xx, 3999 4xx, 0 5xx"), "{text}");
    assert!(text.contains("0 errored, 0 timeout"), "{text}");
    assert_eq!(gateway.upstream.count(), 1);
}

/// Row 37, by a scanner that others trust.
#[test]
fn sslscan_finds_only_tls_12_and_13_and_no_weak_suite() {
    let gateway = Gateway::start();
    for name in ["api.example.com", "shop.example.com"] {
        let mut command = Command::new("sslscan");
        command.args(["--no-colour", &format!("--sni-name={name}")]);
        command.arg(gateway.address.to_string());
        let text = said(&tool("sslscan", &mut command));
        let state = |protocol: &str| {
            let line = text.lines().find(|line| line.starts_with(protocol));
            line.unwrap_or_else(|| panic!("{protocol} in {text}")).contains("enabled")
        };
        for (protocol, on) in [
            ("SSLv2", false),
            ("SSLv3", false),
            ("TLSv1.0", false),
            ("TLSv1.1", false),
            ("TLSv1.2", true),
            ("TLSv1.3", true),
        ] {
            assert_eq!(state(protocol), on, "{protocol} for {name}: {text}");
        }
        assert!(text.contains("Session renegotiation not supported"), "{text}");
        assert!(
            text.contains("Compression disabled") || !text.contains("Compression enabled"),
            "{text}"
        );
        assert!(!text.contains("vulnerable to heartbleed\n") || text.contains("not vulnerable"));
        let suites: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("Accepted") || line.starts_with("Preferred"))
            .collect();
        assert!(suites.len() >= 6, "{text}");
        for suite in suites {
            let strong = ["GCM", "CHACHA20"].iter().any(|word| suite.contains(word));
            let weak = ["CBC", "RC4", "DES", "NULL", "EXP", "MD5", "  RSA"];
            assert!(strong && !weak.iter().any(|word| suite.contains(word)), "{suite}");
            let old = suite.contains("TLSv1.2");
            assert!(!old || suite.contains("ECDHE"), "no forward secrecy: {suite}");
        }
    }
}

/// slowhttptest with slow heads and slow bodies, while a good client is served.
#[test]
fn slowhttptest_holds_up_nobody() {
    let good = Signer::v1("pk_good", "good-live-2b4d6f8a0c1e3957");
    let table = merchant("good", GENEROUS, &[credential("good", &good, "live", "")]);
    let setup = Setup::new().merchant(table, &[&good]).deadline("handshake", 2000);
    let gateway = Gateway::with(setup.deadline("head", 2000).deadline("body", 2000));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("https://{}/v2/orders", gateway.address);
    for (mode, more) in [("-H", &["-i", "1"][..]), ("-B", &["-s", "8192", "-i", "1"])] {
        thread::scope(|scope| {
            let attack = scope.spawn(|| {
                let mut command = Command::new("slowhttptest");
                command.args([mode, "-c", "200", "-r", "100", "-l", "10", "-p", "3", "-u", &url]);
                command.args(more).current_dir(folder.path());
                said(&tool("slowhttptest", &mut command))
            });
            thread::sleep(Duration::from_millis(1500));
            let mut client = gateway.client();
            let mut served = 0;
            let mut slowest = Duration::ZERO;
            while !attack.is_finished() {
                let began = Instant::now();
                let request = good.sign(Request::post("/v2/orders", b"{}"), gateway.now());
                assert_eq!(client.ask(&request).status, 200);
                slowest = slowest.max(began.elapsed());
                served += 1;
                thread::sleep(Duration::from_millis(20));
            }
            let text = attack.join().unwrap();
            assert!(served > 20 && slowest < Duration::from_secs(2), "{served} in {slowest:?}");
            let plain = without_colours(&text);
            assert!(plain.contains("service available:   YES"), "{mode}: {plain}");
        });
    }
    wait_until("the slow ones to be gone", || {
        gateway.metric("countersign_connections_open", &[]) < 3.0
    });
    assert_eq!(gateway.ask(&order(&gateway)).status, 200);
}

/// Text without what colours it on a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.split('\u{1b}');
    plain.push_str(rest.next().unwrap_or_default());
    for piece in rest {
        plain.push_str(piece.split_once('m').map_or(piece, |(_, after)| after));
    }
    plain
}
