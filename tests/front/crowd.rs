//! Row 96: many connections, each with the largest head and body, on the real program: its memory
//! stays within what its limits say, and what is beyond them is refused.

use crate::dial::tcp;
use crate::support::client::Client;
use crate::support::process::{Process, Site, wall_now};
use crate::support::request::{HOST, Request};
use crate::support::setup::{Setup, v1};
use crate::support::{tls, wait_until};

const CONNECTIONS: u8 = 200;
const SOURCES: u8 = 8;
const BODY_BYTES: usize = 1 << 20;
/// `listener.limits.unverified`.
const BODIES_KIB: usize = 16 << 10;
/// TLS, HTTP and the largest head of one connection, generously.
const CONNECTION_KIB: usize = 128;

/// A value of /proc/PID/status, in KiB.
fn memory_kib(process: &Process, key: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The sum of a metric over all lines that hold a text.
fn metric(process: &Process, name: &str, label: &str) -> f64 {
    let text = process.operation("/metrics").text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn connect(source: u8, process: &Process) -> Client {
    let config = tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
    Client::over(tcp([127, 0, 0, source], process.address), HOST, config).unwrap()
}

#[test]
fn memory_for_heads_and_bodies_is_bounded_and_the_rest_is_refused() {
    let site = Site::new(
        Setup::new()
            .with("listener.limits.unverified", "\"16MiB\"")
            .with("listener.connections", "{ total = 400, per_address = 400 }"),
    );
    let process = site.serve();
    process.wait_ready();
    let good = || v1().sign(Request::post("/v2/orders", b"{}"), wall_now());
    // Addresses that are known may use all of the memory.
    for source in 1..=SOURCES {
        assert_eq!(connect(source, &process).ask(&good()).status, 200);
    }
    let before = memory_kib(&process, "VmRSS:");
    let fill = (0..4).fold(Request::post("/v2/orders", &[]), |request, n| {
        request.header(&format!("X-Fill-{n}"), "x".repeat(7000))
    });
    let head = fill.header("Content-Length", BODY_BYTES.to_string()).by_hand();
    let first = [v1().sign(head, wall_now()).head(), vec![b'x'; BODY_BYTES - 1]].concat();
    let held: Vec<Client> = (0..CONNECTIONS)
        .map(|n| {
            let mut client = connect(1 + n % SOURCES, &process);
            client.send(&first);
            client
        })
        .collect();
    let busy = || metric(&process, "countersign_requests_total", "code=\"busy\"");
    wait_until("most to be refused", || busy() >= f64::from(CONNECTIONS - 17));
    let bytes = metric(&process, "countersign_body_bytes", "");
    assert!(bytes > 8e6 && bytes <= (BODIES_KIB << 10) as f64, "{bytes}");
    let grown = memory_kib(&process, "VmHWM:").saturating_sub(before);
    let allowed = BODIES_KIB * 5 / 4 + usize::from(CONNECTIONS) * CONNECTION_KIB;
    assert!(grown <= allowed, "grown by {grown} KiB, allowed are {allowed}");
    // Small requests are served meanwhile, where there is room, and all are when it is over.
    drop(held);
    wait_until("room again", || connect(1, &process).ask(&good()).status == 200);
    wait_until("memory given back", || metric(&process, "countersign_body_bytes", "") == 0.0);
}
