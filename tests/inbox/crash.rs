//! The real program is killed again and again while providers send: every message that was
//! acknowledged is delivered, none is stored twice, and nothing that was not verified is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::kit::{Plan, all_of, signed, status};
use super::provider::{SHOP, STRIPE, STRIPE_OLD, stripe, stripe_event};
use super::support::client::Client;
use super::support::process::{Site, wall_now};
use super::support::upstream::Step;

const PATH: &str = "/webhooks/stripe";
const KILLS: u32 = 100;
const MESSAGES: u64 = 20_000;
const SENDERS: usize = 8;

/// What the senders know together.
#[derive(Default)]
struct Mail {
    next: AtomicU64,
    /// Where the gate listens now; nothing while it is away.
    address: Mutex<Option<std::net::SocketAddr>>,
    acknowledged: AtomicU64,
    over: AtomicBool,
    /// Forged ones that were acknowledged: none.
    believed: AtomicU64,
}

/// Every twentieth message is forged. Every third is signed by the secret that was before.
fn message(number: u64) -> super::support::request::Request {
    let secret = match number {
        n if n % 20 == 7 => "whsec_of_somebody_else",
        n if n % 3 == 0 => STRIPE_OLD,
        _ => STRIPE,
    };
    stripe(PATH, &stripe_event(&format!("evt_{number}")), wall_now(), &[secret])
}

fn is_forged(number: u64) -> bool {
    number % 20 == 7
}

/// One provider's connection: it goes on with the next message once the one before was answered,
/// and sends that one again until it is.
fn sender(mail: &Mail) {
    let mut client: Option<Client> = None;
    loop {
        let number = mail.next.fetch_add(1, Ordering::Relaxed);
        if number >= MESSAGES {
            return;
        }
        loop {
            if mail.over.load(Ordering::Relaxed) {
                return;
            }
            if client.is_none() {
                let address = *mail.address.lock().unwrap();
                let dialled = address.map(|address| {
                    Client::dial(address, super::support::request::HOST, &["http/1.1"])
                });
                client = dialled.and_then(Result::ok);
                if client.is_none() {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
            }
            let mut open = client.take().unwrap();
            open.patience(Duration::from_secs(10));
            open.send(message(number).h1());
            let Ok(answer) = open.try_answer("POST") else { continue };
            client = Some(open);
            match (answer.status, is_forged(number)) {
                (200, false) => drop(mail.acknowledged.fetch_add(1, Ordering::Relaxed)),
                (200, true) => drop(mail.believed.fetch_add(1, Ordering::Relaxed)),
                (401, true) => {}
                // Full, or shutting down: again.
                (503, _) => continue,
                (other, _) => panic!("{other} for {number}: {}", answer.text()),
            }
            // A provider repeats itself now and then, though it was answered.
            if number.is_multiple_of(11) {
                let mut again = client.take().unwrap();
                again.send(message(number).h1());
                client = again.try_answer("POST").ok().map(|_| again);
            }
            break;
        }
    }
}

/// Rows 90 and 91.
#[test]
fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    let mut plan = Plan::new().stripe(&["stripe", "stripe-old"], "window = \"1h\"").destination(
        "schedule = [\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \
         \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]\n\
         rate = { per_second = 100000, burst = 100000 }\ndeadline = \"2s\"",
    );
    plan.setup.named_secret("stripe-old", STRIPE_OLD);
    plan.write();
    // The shop's service is no better: now and then it fails, or does not answer.
    plan.shop.answer_with(|request| match request.number % 97 {
        0 => status("500 Internal Server Error"),
        1 => vec![Step::Close],
        _ => status("200 OK"),
    });
    let site = Site::new(plan.setup.clone());
    let mail = Arc::new(Mail::default());
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let mail = Arc::clone(&mail);
            std::thread::spawn(move || sender(&mail))
        })
        .collect();
    for round in 0..KILLS {
        let process = site.serve();
        *mail.address.lock().unwrap() = Some(process.address);
        // A share of the messages a round, so that every kill falls among them.
        let share = MESSAGES * u64::from(round + 1) / u64::from(KILLS + 1);
        let until = Instant::now() + Duration::from_secs(20);
        while mail.next.load(Ordering::Relaxed) < share && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(u64::from(round) * 131 % 5000));
        *mail.address.lock().unwrap() = None;
        process.kill();
    }
    let process = site.serve();
    *mail.address.lock().unwrap() = Some(process.address);
    for sender in senders {
        sender.join().unwrap_or_else(|_| panic!("a sender failed\n{}", process.output()));
    }
    mail.over.store(true, Ordering::Relaxed);
    let genuine: BTreeSet<u64> = (0..MESSAGES).filter(|number| !is_forged(*number)).collect();
    assert_eq!(mail.believed.load(Ordering::Relaxed), 0);
    assert_eq!(mail.acknowledged.load(Ordering::Relaxed), genuine.len() as u64);
    // Everything arrives.
    let good = |number: usize| !matches!(number % 97, 0 | 1);
    let until = Instant::now() + Duration::from_secs(60);
    let ids = loop {
        let calls = all_of(&plan.shop, 1);
        let mut ids: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut arrived = BTreeSet::new();
        for call in &calls {
            let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
            let number: u64 = body["id"].as_str().unwrap()["evt_".len()..].parse().unwrap();
            ids.entry(number).or_default().insert(signed(call, &[SHOP]));
            if good(call.number) {
                arrived.insert(number);
            }
        }
        if arrived.len() >= genuine.len() {
            assert_eq!(arrived, genuine, "nothing that was not verified");
            break ids;
        }
        assert!(
            Instant::now() < until,
            "{} of {} arrived\n{}",
            arrived.len(),
            genuine.len(),
            process.output().lines().rev().take(20).collect::<Vec<_>>().join("\n")
        );
        std::thread::sleep(Duration::from_millis(500));
    };
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
}
