//! Webhooks acknowledged a second over TLS, each on the disk before its answer: with 1, 16 and 256
//! senders, first in an empty journal, then with 100,000 deliveries that wait for a destination
//! that is away. Senders and gate share the machine.
//!
//! The disk is that of the folder for temporary files; `TMPDIR` names another. `queues.py` beside
//! this file measures what else could be put there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench says what it expects"
)]

#[allow(dead_code, reason = "the kit is that of the path tests; this uses a part of it")]
#[path = "../tests/path/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use support::gateway::Gateway;
use support::request::Request;
use support::setup::Setup;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SECRET: &str = "whsec_5f0d2c8ab7e94163bb1d";
const WAITING: u64 = 100_000;

fn setup(destination: u16) -> Setup {
    let mut setup = Setup::new();
    setup.named_secret("stripe", SECRET);
    setup.named_secret("shop", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    setup.set("log.access", "false");
    setup.upstreams.push(format!(
        "[destinations.shop]\nurl = \"http://127.0.0.1:{destination}/\"\n\
         networks = [\"127.0.0.0/8\"]\nsecrets = [{{ list = \"secrets.txt\", id = \"shop\" }}]\n\
         [sources.stripe]\nprovider = \"stripe\"\npath = \"/webhooks/stripe\"\n\
         destination = \"shop\"\nsecrets = [{{ list = \"secrets.txt\", id = \"stripe\" }}]\n\
         window = \"24h\"\n"
    ));
    setup
}

/// About as long as a message of a payment provider.
fn message(number: u64, at: u64) -> Request {
    let body = format!(
        "{{\"id\":\"evt_{number}\",\"object\":\"event\",\"type\":\"charge.succeeded\",\
         \"pad\":\"{}\"}}",
        "x".repeat(900)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let mac = support::signer::hex(&mac.finalize().into_bytes());
    Request::post("/webhooks/stripe", body.as_bytes())
        .header("Stripe-Signature", format!("t={at},v1={mac}"))
}

/// So many senders, each with a connection of its own and a number of messages.
fn run(gate: &Gateway, numbers: &AtomicU64, label: &str, senders: usize, each: usize) {
    let (at, barrier) = (gate.now(), Barrier::new(senders + 1));
    let (mut times, elapsed) = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..senders)
            .map(|_| {
                scope.spawn(|| {
                    let next = || message(numbers.fetch_add(1, Ordering::Relaxed), at).h1();
                    let messages: Vec<Vec<u8>> = (0..each).map(|_| next()).collect();
                    let mut client = gate.client();
                    barrier.wait();
                    let send = |bytes: &Vec<u8>| {
                        let started = Instant::now();
                        client.send(bytes);
                        let answer = client.answer();
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        started.elapsed()
                    };
                    messages.iter().map(send).collect::<Vec<_>>()
                })
            })
            .collect();
        barrier.wait();
        let started = Instant::now();
        let times: Vec<Duration> =
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
        (times, started.elapsed().as_secs_f64())
    });
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "{label:8} {senders:4} senders: {:7.0} a second, half in {:7.3} ms, 99 % in {:7.3} ms",
        times.len() as f64 / elapsed,
        at(0.5),
        at(0.99),
    );
}

fn main() {
    // A port that nobody listens on: every attempt fails at once, as with a service that is away.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let gate = Arc::new(Gateway::with_state(setup(port)));
    let over = Arc::new(AtomicBool::new(false));
    let (clock, own) = (Arc::clone(&gate), Arc::clone(&over));
    let clock = std::thread::spawn(move || {
        while !own.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            clock.hand.advance(Duration::from_millis(100));
            clock.clock().tick();
        }
    });
    let numbers = AtomicU64::new(0);
    for (senders, each) in [(1, 2000), (16, 1000), (256, 100)] {
        run(&gate, &numbers, "few wait", senders, each);
    }
    let sent = numbers.load(Ordering::Relaxed);
    if sent < WAITING {
        let each = usize::try_from((WAITING - sent).div_ceil(64)).unwrap();
        run(&gate, &numbers, "filling", 64, each);
    }
    for (senders, each) in [(1, 2000), (16, 1000), (256, 100)] {
        run(&gate, &numbers, "100,000", senders, each);
    }
    let waiting = gate.metric("countersign_webhook_deliveries", &["shop", "delivering"]);
    println!("{waiting} deliveries wait");
    over.store(true, Ordering::Relaxed);
    clock.join().unwrap();
}
