//! Asking before delivering, and posting back.

use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};
use crate::inbox::courier::tests::bench::{
    Bench, destination, inquiry, ms, posting_back, run, source, until,
};
use crate::inbox::courier::tests::service::{Deed, Service};
use crate::inbox::profile::InquiryText;
use crate::inbox::source::SourceKeys;
use crate::journal::{Filter, State, Work};

fn says(order: &str, state: &str) -> Deed {
    Deed::Says(format!("{{\"order\": \"{order}\", \"state\": \"{state}\"}}"))
}

#[test]
fn only_what_everybody_agrees_to_is_delivered() {
    run(async {
        let shop = Service::start(|_| Deed::Status(200, "")).await;
        let provider = Service::start(|_| says("order-1", "succeeded")).await;
        let merchant = Service::start(|received| match received.number {
            0 => Deed::Status(500, ""),
            _ => says("order-1", "succeeded"),
        })
        .await;
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(1_790_000_000));
        let asked = source("pay", destination("shop", shop.address), |profile| {
            profile.confirm = Some(inquiry(provider.address));
            profile.order = Some(inquiry(merchant.address));
        });
        let mut bench = Bench::new(vec![asked], clock);
        bench.start();
        let id = bench.keep("pay", "order-1").await;
        until("it was asked", || bench.outcomes(&id, Work::Confirm) == ["status"]).await;
        assert_eq!(bench.state(&id), State::Confirming);
        assert!(provider.received().is_empty(), "who comes second is not asked in vain");
        hand.advance(Duration::from_secs(12));
        bench.until_state(&id, State::Delivered).await;
        assert_eq!(bench.outcomes(&id, Work::Confirm), ["status", "agreed"]);
        assert_eq!(provider.received()[0].line, "GET /ask?order=order-1 HTTP/1.1");
        let told = "agreed; asked=provider,merchant; state=succeeded";
        assert_eq!(shop.received()[0].header("countersign-confirmation"), told);
        let agreed = bench.metrics.confirmations.with_label_values(&["pay", "agreed"]);
        assert_eq!(agreed.get(), 1);
    });
}

#[test]
fn what_somebody_disagrees_with_is_not_delivered_unless_an_operator_answers_for_it() {
    run(async {
        let shop = Service::start(|_| Deed::Status(200, "")).await;
        let provider = Service::start(|_| says("order-1", "failed")).await;
        let asked = source("pay", destination("shop", shop.address), |profile| {
            profile.confirm = Some(inquiry(provider.address));
        });
        let mut bench = Bench::working(vec![asked]);
        let id = bench.keep("pay", "order-1").await;
        bench.until_state(&id, State::Disagreed).await;
        let confirmation = bench.history(&id).delivery.confirmation.unwrap();
        assert!(!confirmation.agreed);
        assert_eq!((confirmation.asked.as_str(), confirmation.differences.len()), ("provider", 1));
        assert!(shop.received().is_empty());
        let filter = Filter { ids: vec![id.as_str().to_owned()], ..Filter::default() };
        assert_eq!(bench.desk().replay(&filter, true).unwrap(), 1);
        bench.until_state(&id, State::Delivered).await;
        assert_eq!(shop.received()[0].header("countersign-confirmation"), "by-operator");
        bench.until_told("delivery_disagreed").await;
    });
}

#[test]
fn a_payment_may_be_pending_for_so_long_and_no_longer() {
    run(async {
        let shop = Service::start(|_| Deed::Status(200, "")).await;
        let provider = Service::start(|_| says("order-1", "pending")).await;
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(1_790_000_000));
        let mut asked = source("pay", destination("shop", shop.address), |profile| {
            profile.confirm = Some(inquiry(provider.address));
        });
        if let Some(confirm) = &mut asked.confirm {
            confirm.pending_for = Duration::from_secs(15);
        }
        let mut bench = Bench::new(vec![asked], clock);
        bench.start();
        let id = bench.keep("pay", "order-1").await;
        until("it was asked", || bench.outcomes(&id, Work::Confirm).len() == 1).await;
        hand.advance(Duration::from_secs(12));
        until("it was asked again", || bench.outcomes(&id, Work::Confirm).len() == 2).await;
        assert_eq!(bench.state(&id), State::Confirming);
        // Thirty seconds would be next; patience ends before.
        assert_eq!(bench.history(&id).due, [(Work::Confirm, 1_790_000_015_000)]);
        hand.advance(Duration::from_secs(3));
        bench.until_state(&id, State::Disagreed).await;
        let confirmation = bench.history(&id).delivery.confirmation.unwrap();
        assert_eq!(confirmation.differences, ["state: still pending"]);
        assert!(shop.received().is_empty());
    });
}

#[test]
fn messages_are_posted_back_whatever_becomes_of_their_delivery() {
    run(async {
        let shop = Service::start(|_| Deed::Status(500, "")).await;
        let provider = Service::start(|received| match received.number {
            0 => Deed::Status(500, ""),
            _ => Deed::Status(200, ""),
        })
        .await;
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(1_790_000_000));
        let mut target = destination("shop", shop.address);
        target.schedule = Vec::new();
        let posted = source("pay", target, |profile| {
            profile.post_back = Some(posting_back(provider.address));
        });
        let mut bench = Bench::new(vec![posted], clock);
        bench.start();
        let id = bench.keep("pay", "order-1").await;
        bench.until_state(&id, State::Dead).await;
        until("it failed", || bench.outcomes(&id, Work::PostBack) == ["status"]).await;
        hand.advance(Duration::from_secs(12));
        until("it was taken", || bench.outcomes(&id, Work::PostBack) == ["status", "taken"]).await;
        let received = provider.received();
        assert_eq!(received[1].line, "POST /back HTTP/1.1");
        assert_eq!(received[1].body, "{\"order\": \"order-1\"}&treq=1");
        assert!(bench.history(&id).due.is_empty());
        tokio::time::sleep(ms(300)).await;
        assert_eq!(provider.received().len(), 2);
    });
}

#[test]
fn post_backs_end_with_their_schedule_and_are_counted() {
    run(async {
        let shop = Service::start(|_| Deed::Status(200, "")).await;
        let provider = Service::start(|_| Deed::Status(500, "")).await;
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(1_790_000_000));
        let posted = source("pay", destination("shop", shop.address), |profile| {
            profile.post_back = Some(posting_back(provider.address));
        });
        let mut bench = Bench::new(vec![posted], clock);
        bench.start();
        let id = bench.keep("pay", "order-1").await;
        for tried in 1..=8 {
            until("it failed", || bench.outcomes(&id, Work::PostBack).len() == tried).await;
            hand.advance(Duration::from_secs(52_000));
        }
        until("it is over", || bench.history(&id).due.is_empty()).await;
        assert_eq!(bench.state(&id), State::Delivered);
        bench.until_told("post_back_given_up").await;
        assert_eq!(bench.metrics.stuck.with_label_values(&["pay", "post_back"]).get(), 1);
    });
}

#[test]
fn a_provider_is_asked_no_more_often_than_it_likes() {
    run(async {
        let shop = Service::start(|_| Deed::Status(200, "")).await;
        let provider = Service::start(|_| Deed::Status(404, "")).await;
        let mut asked = source("pay", destination("shop", shop.address), |profile| {
            let unknown = Some(vec![404]);
            profile.confirm = Some(InquiryText { unknown, ..inquiry(provider.address) });
        });
        if let Some(confirm) = &mut asked.confirm {
            confirm.every = ms(200);
            confirm.pending_for = Duration::ZERO;
        }
        let mut bench = Bench::working(vec![asked]);
        let begun = Instant::now();
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(bench.keep("pay", &format!("order-{n}")).await);
        }
        for id in &ids {
            bench.until_state(id, State::Disagreed).await;
            let confirmation = bench.history(id).delivery.confirmation.unwrap();
            assert_eq!(confirmation.differences, ["transaction: unknown"]);
        }
        assert!(begun.elapsed() >= ms(590), "{:?}", begun.elapsed());
        assert_eq!(provider.received().len(), 4);
    });
}

#[test]
fn without_a_secret_nobody_is_asked_and_nothing_is_believed() {
    run(async {
        let shop = Service::start(|_| Deed::Status(200, "")).await;
        let provider = Service::start(|_| says("order-1", "succeeded")).await;
        let mut asked = source("pay", destination("shop", shop.address), |profile| {
            profile.confirm = Some(inquiry(provider.address));
        });
        asked.keys = SourceKeys::Own(Vec::new());
        let mut bench = Bench::working(vec![asked]);
        let id = bench.keep("pay", "order-1").await;
        until("it was tried", || bench.outcomes(&id, Work::Confirm) == ["no_keys"]).await;
        assert_eq!(bench.state(&id), State::Confirming);
        assert!(provider.received().is_empty() && shop.received().is_empty());
    });
}
