//! The courier over a real journal and real sockets, with services that misbehave.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};
use crate::inbox::destination::Destination;
use crate::journal::{Filter, State, Work};

mod bench;
mod confirming;
mod handover;
mod lanes;
mod service;

use bench::{Bench, destination, ms, run, secret, source, until};
use service::{Deed, Service};

/// A source for a destination, with nothing special about it.
fn plain(name: &str, destination: Destination) -> crate::inbox::source::Source {
    source(name, destination, |_| {})
}

#[test]
fn what_fails_is_tried_again_under_the_same_id() {
    run(async {
        let service = Service::start(|received| match received.number {
            0 => Deed::Status(500, ""),
            1 => Deed::Close,
            _ => Deed::Status(204, ""),
        })
        .await;
        let mut bench = Bench::working(vec![plain("pay", destination("shop", service.address))]);
        let id = bench.keep("pay", "order-1").await;
        bench.until_state(&id, State::Delivered).await;
        let received = service.received();
        assert_eq!(received.len(), 3);
        let attempts = bench.attempts(&id, Work::Deliver);
        let noted: Vec<_> = attempts.iter().map(|a| (a.outcome.as_str(), a.status)).collect();
        assert_eq!(noted, [("status", Some(500)), ("broke", None), ("delivered", Some(204))]);
        for (number, (received, attempt)) in received.iter().zip(&attempts).enumerate() {
            assert_eq!(received.line, "POST /webhooks?shop=1 HTTP/1.1");
            assert_eq!(received.body, "{\"order\": \"order-1\"}");
            assert_eq!(received.header("webhook-id"), id.as_str());
            let told = format!("{}; id={}", number + 1, attempt.id);
            assert_eq!(received.header("countersign-attempt"), told);
        }
        let mut names: Vec<&str> = attempts.iter().map(|attempt| attempt.id.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), 3);
        let counted = bench.metrics.attempts.with_label_values(&["deliver", "shop", "delivered"]);
        until("it is counted", || counted.get() == 1).await;
    });
}

#[test]
fn every_misbehaviour_is_a_failure_and_the_schedule_ends() {
    run(async {
        let service = Service::start(|received| match received.number {
            0 => Deed::Hang,
            1 => Deed::Cut,
            _ => Deed::Status(302, "location: http://127.0.0.1:1/elsewhere\r\n"),
        })
        .await;
        let shop = Destination { deadline: ms(200), ..destination("shop", service.address) };
        let mut bench = Bench::working(vec![plain("pay", shop)]);
        let id = bench.keep("pay", "order-1").await;
        bench.until_state(&id, State::Dead).await;
        assert_eq!(bench.outcomes(&id, Work::Deliver), ["timed_out", "broke", "status"]);
        assert_eq!(service.received().len(), 3);
        assert!(bench.history(&id).due.is_empty());
        bench.until_told("delivery_dead").await;
    });
}

#[test]
fn what_is_dead_is_delivered_when_an_operator_says_so() {
    run(async {
        let service = Service::start(|received| match received.number {
            0..3 => Deed::Status(404, ""),
            _ => Deed::Status(200, ""),
        })
        .await;
        let mut bench = Bench::working(vec![plain("pay", destination("shop", service.address))]);
        let id = bench.keep("pay", "order-1").await;
        bench.until_state(&id, State::Dead).await;
        let filter = Filter { ids: vec![id.as_str().to_owned()], ..Filter::default() };
        assert_eq!(bench.desk().replay(&filter, false).unwrap(), 1);
        bench.until_state(&id, State::Delivered).await;
        let received = service.received();
        let (first, last) = (&received[0], &received[3]);
        assert_eq!(first.header("webhook-id"), last.header("webhook-id"));
        assert_ne!(first.header("countersign-attempt"), last.header("countersign-attempt"));
        assert!(last.header("countersign-attempt").starts_with("1; "));
    });
}

#[test]
fn a_slow_destination_holds_up_no_other() {
    run(async {
        let slow = Service::start(|_| Deed::Hang).await;
        let quick = Service::start(|_| Deed::Status(200, "")).await;
        let patient = Destination { deadline: ms(60_000), ..destination("slow", slow.address) };
        let mut bench = Bench::working(vec![
            plain("one", patient),
            plain("two", destination("quick", quick.address)),
        ]);
        for n in 0..20 {
            bench.keep("one", &format!("slow-{n}")).await;
        }
        until("the slow one is busy", || slow.received().len() == 8).await;
        let begun = Instant::now();
        for n in 0..20 {
            bench.keep("two", &format!("quick-{n}")).await;
        }
        until("the quick one has all", || quick.received().len() == 20).await;
        assert!(begun.elapsed() < ms(10_000));
        assert_eq!(slow.received().len(), 8, "no more than its concurrency");
    });
}

#[test]
fn who_fails_is_tried_by_one_delivery_at_a_time() {
    run(async {
        let well = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&well);
        let service = Service::start(move |_| match own.load(Ordering::SeqCst) {
            false => Deed::Hang,
            true => Deed::Slow(ms(50)),
        })
        .await;
        let shop = Destination {
            deadline: ms(100),
            schedule: vec![ms(1); 200],
            ..destination("shop", service.address)
        };
        let mut bench = Bench::working(vec![plain("pay", shop)]);
        let mut ids = Vec::new();
        for n in 0..16 {
            ids.push(bench.keep("pay", &format!("order-{n}")).await);
        }
        // All that began together have failed by then; who comes now comes alone.
        until("the first ones failed", || service.received().len() > 12).await;
        service.take_most_open();
        let before = service.received().len();
        until("several tried", || service.received().len() >= before + 4).await;
        // The service may see the end of one after the beginning of the next.
        let most = service.take_most_open();
        assert!(most <= 2, "{most}");
        well.store(true, Ordering::SeqCst);
        for id in &ids {
            bench.until_state(id, State::Delivered).await;
        }
        assert!(service.take_most_open() > 1, "and all together once it is well");
    });
}

#[test]
fn an_ordered_lane_keeps_its_order_whatever_fails() {
    run(async {
        // Every second message fails at first.
        let service = Service::start(|received| match received.number % 2 {
            0 => Deed::Status(503, ""),
            _ => Deed::Status(200, ""),
        })
        .await;
        let shop = Destination {
            ordered: true,
            schedule: vec![ms(10); 20],
            ..destination("shop", service.address)
        };
        let mut bench = Bench::new(vec![plain("pay", shop)], Clock::system());
        let mut ids = Vec::new();
        for n in 0..12 {
            ids.push(bench.keep("pay", &format!("order-{}", n % 3)).await);
        }
        bench.start();
        for id in &ids {
            bench.until_state(id, State::Delivered).await;
        }
        for order in 0..3 {
            let wanted: Vec<&str> =
                ids.iter().skip(order).step_by(3).map(|id| id.as_str()).collect();
            let received = service.received();
            let of_order = |body: &str| body.contains(&format!("order-{order}"));
            let mut came: Vec<&str> = received
                .iter()
                .filter(|received| of_order(&received.body))
                .map(|received| received.header("webhook-id"))
                .collect();
            // A message may come several times, and none before the last of those before it.
            came.dedup();
            assert_eq!(came, wanted);
        }
    });
}

#[test]
fn another_secret_signs_the_next_attempt() {
    run(async {
        let service = Service::start(|_| Deed::Status(500, "")).await;
        let shop = |secrets| Destination {
            secrets,
            schedule: vec![ms(10); 1000],
            ..destination("shop", service.address)
        };
        let mut bench = Bench::working(vec![plain("pay", shop(vec![secret(1)]))]);
        let id = bench.keep("pay", "order-1").await;
        until("it fails", || service.received().len() >= 2).await;
        bench.reload(vec![plain("pay", shop(vec![secret(2), secret(1)]))]);
        let signed = |received: &service::Received| {
            let time = Timestamp::from_secs(received.header("webhook-timestamp").parse().unwrap());
            let body = received.body.as_bytes();
            let by = |secrets: &[_]| super::signature::signatures(secrets, id.as_str(), time, body);
            let told = received.header("webhook-signature");
            let [one, two] = [vec![secret(1)], vec![secret(2), secret(1)]].map(|all| by(&all));
            assert!(told == one || told == two, "{told}");
            told == two
        };
        assert!(service.received().iter().take(2).all(|received| !signed(received)));
        until("the new one signs", || service.received().iter().any(signed)).await;
    });
}

#[test]
fn gone_stops_a_destination_until_an_operator_resumes_it() {
    run(async {
        let service = Service::start(|received| match received.number {
            0 => Deed::Status(410, ""),
            _ => Deed::Status(200, ""),
        })
        .await;
        let other = Service::start(|_| Deed::Status(200, "")).await;
        let mut bench = Bench::working(vec![
            plain("pay", destination("shop", service.address)),
            plain("else", destination("other", other.address)),
        ]);
        let first = bench.keep("pay", "order-1").await;
        until("it is stopped", || bench.journal.stopped().unwrap().contains_key("shop")).await;
        until("it is noted", || bench.outcomes(&first, Work::Deliver) == ["gone"]).await;
        let second = bench.keep("pay", "order-2").await;
        // What comes later for somebody else passes by, and not what lies here.
        let third = bench.keep("else", "order-3").await;
        bench.until_state(&third, State::Delivered).await;
        tokio::time::sleep(ms(600)).await;
        assert_eq!(service.received().len(), 1);
        for id in [&first, &second] {
            assert_eq!(bench.state(id), State::Delivering);
        }
        assert!(bench.desk().resume("shop").unwrap());
        for id in [&first, &second] {
            bench.until_state(id, State::Delivered).await;
        }
        bench.until_told("destination_stopped").await;
    });
}

#[test]
fn nobody_comes_back_sooner_than_he_was_asked() {
    run(async {
        let service = Service::start(|received| match received.number {
            0 => Deed::Status(429, "retry-after: 100\r\n"),
            _ => Deed::Status(200, ""),
        })
        .await;
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(1_790_000_000));
        let shop = Destination {
            schedule: vec![Duration::from_secs(5)],
            ..destination("shop", service.address)
        };
        let mut bench = Bench::new(vec![plain("pay", shop)], clock);
        bench.start();
        let id = bench.keep("pay", "order-1").await;
        until("it is noted", || !bench.outcomes(&id, Work::Deliver).is_empty()).await;
        assert_eq!(bench.history(&id).due, [(Work::Deliver, 1_790_000_100_000)]);
        hand.advance(Duration::from_secs(99));
        tokio::time::sleep(ms(600)).await;
        assert_eq!(service.received().len(), 1);
        hand.advance(Duration::from_secs(1));
        bench.until_state(&id, State::Delivered).await;
        let received = service.received();
        assert_eq!(received[1].header("webhook-timestamp"), "1790000100");
    });
}

#[test]
fn what_was_under_way_when_all_ended_is_done_again() {
    run(async {
        let service = Service::start(|received| match received.number {
            0 => Deed::Hang,
            _ => Deed::Status(200, ""),
        })
        .await;
        let shop = Destination { deadline: ms(60_000), ..destination("shop", service.address) };
        let mut bench = Bench::working(vec![plain("pay", shop)]);
        let id = bench.keep("pay", "order-1").await;
        until("it is under way", || service.received().len() == 1).await;
        bench.kill().await;
        assert_eq!(bench.state(&id), State::Delivering);
        bench.start();
        bench.until_state(&id, State::Delivered).await;
        let ids = service.received();
        assert!(ids.iter().all(|received| received.header("webhook-id") == id.as_str()));
    });
}

#[test]
fn who_is_told_to_stop_ends_what_is_under_way() {
    run(async {
        let service = Service::start(|_| Deed::Slow(ms(300))).await;
        let mut bench = Bench::working(vec![plain("pay", destination("shop", service.address))]);
        let id = bench.keep("pay", "order-1").await;
        until("it is under way", || service.received().len() == 1).await;
        bench.stop().await;
        assert_eq!(bench.state(&id), State::Delivered);
        let later = bench.keep("pay", "order-2").await;
        tokio::time::sleep(ms(300)).await;
        assert_eq!(bench.state(&later), State::Delivering);
    });
}

#[test]
fn what_is_gone_from_configuration_lies_until_it_is_back() {
    run(async {
        let service = Service::start(|_| Deed::Status(200, "")).await;
        let sources = || vec![plain("pay", destination("shop", service.address))];
        let mut bench = Bench::new(sources(), Clock::system());
        let id = bench.keep("pay", "order-1").await;
        bench.reload(Vec::new());
        bench.start();
        tokio::time::sleep(ms(600)).await;
        assert_eq!((bench.state(&id), service.received().len()), (State::Delivering, 0));
        bench.reload(sources());
        bench.until_state(&id, State::Delivered).await;
    });
}

#[test]
fn a_lane_goes_no_faster_than_its_rate() {
    run(async {
        let service = Service::start(|_| Deed::Status(200, "")).await;
        let mut shop = destination("shop", service.address);
        let [per_second, burst] = [20, 5].map(|n| std::num::NonZeroU32::new(n).unwrap());
        shop.rate = crate::limit::Rate { per_second, burst };
        shop.concurrency = NonZeroUsize::new(4).unwrap();
        let mut bench = Bench::new(vec![plain("pay", shop)], Clock::system());
        for n in 0..15 {
            bench.keep("pay", &format!("order-{n}")).await;
        }
        let begun = Instant::now();
        bench.start();
        until("all are there", || service.received().len() == 15).await;
        // Five at once, and ten at twenty a second.
        assert!(begun.elapsed() > ms(450), "{:?}", begun.elapsed());
        assert!(begun.elapsed() < ms(5000), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_reload_begins_nothing_twice_that_is_under_way() {
    run(async {
        let service = Service::start(|_| Deed::Slow(ms(900))).await;
        let sources = || vec![plain("pay", destination("shop", service.address))];
        let mut bench = Bench::working(sources());
        let id = bench.keep("pay", "order-1").await;
        until("it is under way", || service.received().len() == 1).await;
        for sources in [sources(), Vec::new(), sources()] {
            bench.reload(sources);
            // Long enough that the courier looks.
            tokio::time::sleep(ms(260)).await;
        }
        bench.until_state(&id, State::Delivered).await;
        assert_eq!(service.received().len(), 1);
        let next = bench.keep("pay", "order-2").await;
        bench.until_state(&next, State::Delivered).await;
    });
}
