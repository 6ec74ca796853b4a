//! Many at once: nothing mixes, nobody waits for somebody else's trouble.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::frames::{DATA, END_STREAM, Outcome};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant, v1};
use crate::support::signer::Signer;
use crate::support::upstream::{Recorded, Step, ok};

/// A merchant for each of some signers, each with a secret of its own.
fn many(count: usize) -> (Setup, Vec<Signer>) {
    let mut setup = Setup::new();
    let mut signers = Vec::new();
    for n in 0..count {
        let secret = format!("{}-secret-{n:04}", crate::support::signer::fresh_nonce());
        let signer = Signer::v1(&format!("pk_many_{n}"), &secret);
        let name = format!("many{n}");
        let rate = GENEROUS.replace("20000", "100");
        let table = merchant(&name, &rate, &[credential(&name, &signer, "live", "")]);
        setup = setup.merchant(table, &[&signer]);
        signers.push(signer);
    }
    (setup, signers)
}

/// Answers with whatever came, and who it was said to be from.
fn echo(request: &Recorded) -> Vec<Step> {
    let from = request.value("x-countersign-credential");
    vec![Step::Send(ok(&[from.as_bytes(), b" ", &request.body].concat()))]
}

/// A body of its own for each number, of very different lengths.
fn body(n: usize) -> Vec<u8> {
    format!("{n}-").repeat(1 + n * 37 % 3000).into_bytes()
}

#[test]
fn two_hundred_streams_with_bodies_and_secrets_of_their_own_never_mix() {
    let (setup, signers) = many(40);
    let gateway = Gateway::with(setup.with("listener.http2.streams", "250"));
    gateway.upstream.answer_with(echo);
    let sign = |n: usize| {
        let signer = &signers[n % signers.len()];
        signer.sign(Request::post(&format!("/v2/{n}"), &body(n)), gateway.now())
    };
    let check = |n: usize, text: &str| {
        let expected =
            format!("pk_many_{} {}", n % signers.len(), String::from_utf8_lossy(&body(n)));
        assert!(text == expected, "stream {n} got {text:.60}");
    };
    for _ in 0..2 {
        let requests: Vec<Request> = (0..200).map(sign).collect();
        let answers = gateway.http2().ask_all(&requests);
        for (n, answer) in answers.into_iter().enumerate() {
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "stream {n}: {}", answer.text());
            check(n, &answer.text());
        }
    }
    // The same again with frames of all streams in turn, a few bytes of each at a time.
    let mut frames = gateway.frames();
    let small = |n: usize| vec![u8::try_from(b'a' as usize + n % 26).unwrap(); 30 + n];
    let mut sent = HashMap::new();
    for n in 0..60_usize {
        let request = signers[n % 40].sign(Request::post("/v2/turns", &small(n)), gateway.now());
        frames.open(u32::try_from(2 * n + 1).unwrap(), &request.h2(), false);
        sent.insert(n, request.body);
    }
    for round in 0..12 {
        for n in 0..60_usize {
            let body = &sent[&n];
            let (from, to) = ((round * 10).min(body.len()), (round * 10 + 10).min(body.len()));
            let flags = if to == body.len() { END_STREAM } else { 0 };
            if from < body.len() {
                frames.send(DATA, flags, u32::try_from(2 * n + 1).unwrap(), &body[from..to]);
            }
        }
    }
    for n in 0..60_usize {
        let expected = format!("pk_many_{} {}", n % 40, String::from_utf8_lossy(&sent[&n]));
        let outcome = frames.outcome(u32::try_from(2 * n + 1).unwrap());
        assert_eq!(outcome, Outcome::Answer { status: 200, body: expected });
    }
}

/// Over many HTTP/1.1 connections as well, with good and bad ones between each other.
#[test]
fn good_and_bad_requests_side_by_side_never_mix() {
    let (setup, signers) = many(16);
    let gateway = Gateway::with(setup);
    gateway.upstream.answer_with(echo);
    thread::scope(|scope| {
        for worker in 0..8_usize {
            let (gateway, signers) = (&gateway, &signers);
            scope.spawn(move || {
                let mut client = gateway.client();
                for round in 0..30_usize {
                    let n = worker * 30 + round;
                    let signer = &signers[n % 16];
                    let request = Request::post(&format!("/v2/{n}"), &body(n));
                    let request = signer.sign(request, gateway.now());
                    if round % 3 == 2 {
                        // Signed by another merchant's secret.
                        let wrong = Signer {
                            key_id: signer.key_id.clone(),
                            ..signers[(n + 1) % 16].clone()
                        };
                        let request = wrong.sign(request, gateway.now());
                        assert_eq!(client.ask(&request).refusal().code, "invalid_signature");
                        continue;
                    }
                    let answer = client.ask(&request);
                    let expected =
                        format!("{} {}", signer.key_id, String::from_utf8_lossy(&body(n)));
                    assert_eq!((answer.status, answer.text()), (200, expected));
                }
            });
        }
    });
    assert_eq!(gateway.upstream.count(), 8 * 20);
}

/// Slow heads, slow bodies and silent connections, a hundred of them, while one good client works.
#[test]
fn a_crowd_of_slow_clients_holds_up_nobody() {
    let setup =
        Setup::new().deadline("handshake", 1500).deadline("head", 1500).deadline("body", 1500);
    let gateway = Gateway::with(setup);
    let order = || v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
    let crowd: Vec<Client> = (0..60)
        .map(|n| {
            let mut client = gateway.client();
            let whole = order().h1();
            match n % 3 {
                0 => drop(client.send(&whole[..30])),
                1 => drop(client.send(&whole[..whole.len() - 1])),
                _ => {}
            }
            client
        })
        .collect();
    let raw: Vec<_> =
        (0..40).map(|_| std::net::TcpStream::connect(gateway.address).unwrap()).collect();
    let client = Http2::connect(gateway.address);
    let mut h1 = gateway.client();
    let started = Instant::now();
    for _ in 0..40 {
        let began = Instant::now();
        assert_eq!(h1.ask(&order()).status, 200);
        assert_eq!(client.ask(&order()).status, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    for (n, mut slow) in crowd.into_iter().enumerate() {
        if n % 3 != 2 {
            assert!(slow.ends_within(Duration::from_secs(6)), "client {n} is still there");
        }
    }
    drop(raw);
}

/// Row 98: one long body does not hold up the small ones on the same core.
#[test]
fn long_bodies_let_small_ones_through() {
    let setup = Setup::new()
        .with("workers", "1")
        .with("listener.limits.body", "\"32MiB\"")
        .with("listener.limits.unverified", "\"4GiB\"");
    let gateway = Gateway::with(setup);
    let order = || v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
    gateway.accepts(&order());
    let big = vec![b'x'; 24 * 1024 * 1024];
    thread::scope(|scope| {
        let long = scope.spawn(|| {
            let request = v1().sign(Request::post("/v2/long", &big), gateway.now());
            gateway.ask(&request).status
        });
        let mut client = gateway.client();
        let mut slowest = Duration::ZERO;
        while !long.is_finished() {
            let began = Instant::now();
            assert_eq!(client.ask(&order()).status, 200);
            slowest = slowest.max(began.elapsed());
        }
        assert_eq!(long.join().unwrap(), 200);
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    });
}
