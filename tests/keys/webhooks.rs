//! A journal in which something of everything is, as a gate leaves it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use countersign::clock::{Clock, Timestamp};
use countersign::journal::{
    Attempt, Confirmation, Facts, Journal, Kept, NewDelivery, Refusal, Settled, Verdict, Work,
};
use countersign::telemetry::GateMetrics;

/// When the first webhook came: 2025-11-24T16:00:00Z. Each came a minute after the one before.
const START: u64 = 1_764_000_000;

/// What no list and no log may show.
pub(crate) const SIGNATURE: &str = "a-marker-of-a-signature";
/// What only who asks for the body sees.
pub(crate) const BODY: &str = "{\"payer\":\"a-marker-of-a-body\"}";

fn delivery(number: u8) -> NewDelivery {
    NewDelivery {
        source: "fiuu".into(),
        destination: "shop".into(),
        key: [number; 32],
        secret: Some([1; 16]),
        key_until: Timestamp::MAX,
        received_millis: (START + 60 * u64::from(number)) * 1000 + 500,
        method: "POST".into(),
        target: format!("/webhooks/fiuu?skey={SIGNATURE}"),
        headers: vec![
            ("Content-Type".into(), "application/json".into()),
            ("X-Signature".into(), SIGNATURE.into()),
        ],
        body: Bytes::from_static(BODY.as_bytes()),
        verdict: Verdict {
            scheme: "fiuu".into(),
            strength: "partial".into(),
            secret_version: Some(1),
            stated: None,
            provider_id: Some("3157".into()),
            must_confirm: Some("partial".into()),
        },
        facts: Facts::from([("order".into(), format!("order {number}"))]),
        order_key: Some(format!("order {number}")),
        first: Some(Work::Deliver),
        post_back: false,
    }
}

/// Makes it: three webhooks, of which the first is dead, the second disagreed about and the third
/// is held; one that was refused; and the destination `shop`, which is stopped. Their ids.
pub(crate) fn keep(state: &Path) -> Vec<String> {
    let metrics = GateMetrics::new().unwrap().inbox.journal;
    let journal = Journal::open(state, Clock::system(), metrics).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ids = runtime.block_on(fill(&journal));
    // Closed, it has written everything.
    drop(journal);
    ids
}

async fn fill(journal: &Arc<Journal>) -> Vec<String> {
    let mut ids = Vec::new();
    for (number, first) in [(0, Some(Work::Deliver)), (1, Some(Work::Confirm)), (2, None)] {
        let new = NewDelivery { first, ..delivery(number) };
        let Ok(Kept::Stored(id)) = journal.keep(new).await else { panic!("not stored") };
        ids.push(id.to_string());
    }
    let attempt = |outcome: &str, status| Attempt {
        id: "att_01jdev0000000000000000000".into(),
        at_millis: START * 1000,
        took_millis: 12,
        outcome: outcome.into(),
        status,
    };
    let over = Settled::GivenUp { attempt: attempt("status", Some(500)) };
    journal.settle(1, Work::Deliver, over).await.unwrap();
    let confirmation = Confirmation {
        agreed: false,
        asked: "provider".into(),
        state: Some("failed".into()),
        differences: vec!["state: succeeded, failed".into()],
        at_millis: START * 1000,
    };
    let differs = Settled::Disagreed { attempt: attempt("differs", Some(200)), confirmation };
    journal.settle(2, Work::Confirm, differs).await.unwrap();
    journal.stop_destination("shop", "410").await.unwrap();
    journal.note_refusal(Refusal {
        source: "fiuu".into(),
        reason: "invalid_signature",
        // Old ones are not kept.
        at_millis: Clock::system().now_millis(),
        head_bytes: 300,
        body_bytes: 20,
        address: "192.0.2.7".parse().unwrap(),
    });
    ids
}

/// Keeps one more, and gives its id.
pub(crate) fn keep_one(state: &Path, number: u8) -> String {
    let metrics = GateMetrics::new().unwrap().inbox.journal;
    let journal = Journal::open(state, Clock::system(), metrics).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    match runtime.block_on(journal.keep(delivery(number))) {
        Ok(Kept::Stored(id)) => id.to_string(),
        other => panic!("{other:?}"),
    }
}
