//! Messages without a signature, and signed times.

use std::time::{Duration, Instant};

use http::StatusCode;

use crate::inbox::profile::Profile;
use crate::journal::{State, Work};

use super::kit::{Desk, OTHER, SECRET, confirm, plain, profile, signed, source};

const PAID: &str = r#"{"order":"A-1","status":"paid","id":"evt_1"}"#;

fn desk() -> Desk {
    let mut source = source("github", "github", &profile());
    source.unsigned = true;
    source.confirm = Some(confirm());
    Desk::new(source)
}

#[tokio::test]
async fn an_unsigned_message_is_confirmed_and_takes_the_place_of_no_signed_one() {
    let desk = desk();
    for _ in 0..2 {
        let answer = desk.bring(plain("/webhooks/github", PAID)).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!((desk.counted("stored"), desk.counted("duplicate")), (1, 1));
    let [task] = desk.due(Work::Confirm).try_into().unwrap();
    let verdict = &task.delivery.verdict;
    assert_eq!((&*verdict.strength, verdict.secret_version), ("none", None));
    assert_eq!(verdict.must_confirm.as_deref(), Some("unsigned"));
    // The true message about the same order, signed.
    assert_eq!(desk.bring_signed(PAID, SECRET).await.0, StatusCode::OK);
    assert_eq!(desk.counted("stored"), 2);
}

#[tokio::test]
async fn a_signature_that_is_there_must_be_good() {
    let desk = desk();
    assert_eq!(desk.bring_signed(PAID, OTHER).await.0, StatusCode::UNAUTHORIZED);
    let mut empty = signed(PAID, SECRET);
    empty.headers_mut().insert("x-hub-signature-256", "".parse().unwrap());
    assert_eq!(desk.bring(empty).await.status(), StatusCode::UNAUTHORIZED);
    assert!(desk.due(Work::Confirm).is_empty());
}

#[tokio::test]
async fn only_so_many_unsigned_ones_are_taken_at_once() {
    let desk = desk();
    let mut taken = 0;
    for number in 0..150 {
        let body = PAID.replace("A-1", &number.to_string());
        let answer = desk.bring(plain("/webhooks/github", &body)).await;
        taken += usize::from(answer.status() == StatusCode::OK);
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!(answer.headers().contains_key("retry-after"));
        }
    }
    assert!((100..150).contains(&taken), "{taken}");
    assert_eq!(desk.bring_signed(PAID, SECRET).await.0, StatusCode::OK, "signed ones go on");
}

#[tokio::test]
async fn a_token_says_nothing_so_only_the_same_bytes_are_the_same_message() {
    let profile = Profile { identity: None, ..profile() };
    let mut source = source("xendit", "xendit", &profile);
    source.confirm = Some(confirm());
    let desk = Desk::new(source);
    for (body, token) in [(PAID, SECRET), (PAID, SECRET), ("{}", SECRET), (PAID, OTHER)] {
        let mut request = plain("/webhooks/xendit", body);
        let token = http::HeaderValue::from_bytes(token).unwrap();
        request.headers_mut().insert("x-callback-token", token);
        request.headers_mut().insert("webhook-id", "w1".parse().unwrap());
        desk.bring(request).await;
    }
    assert_eq!((desk.counted("stored"), desk.counted("duplicate")), (2, 1));
    assert_eq!(desk.counted("invalid_signature"), 1);
}

#[tokio::test]
async fn what_may_be_older_than_memory_is_confirmed() {
    let mut source = source("github", "github", &profile());
    source.remember = Duration::from_secs(1);
    let desk = Desk::new(source);
    desk.bring_signed(PAID, SECRET).await;
    assert_eq!(desk.due(Work::Deliver).len(), 1);
    desk.hand.advance(Duration::from_secs(10));
    // The journal forgets by itself, within a moment: until then each is told by its key.
    let deadline = Instant::now() + Duration::from_secs(10);
    for number in 0.. {
        let body = PAID.replace("A-1", &number.to_string());
        assert_eq!(desk.bring_signed(&body, SECRET).await.0, StatusCode::OK);
        let delivered = desk.due(Work::Deliver).len();
        if delivered < number + 2 {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was forgotten");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Nobody can be asked: it is held.
    assert!(desk.due(Work::Confirm).is_empty());
    let held = desk.inbox.journal.usage().unwrap().deliveries;
    assert!(held.contains(&("shop".to_owned(), State::Held, 1)), "{held:?}");
}

/// Slack's scheme signs its time: `v0:TIME:BODY`.
async fn slack(desk: &Desk, stamp: u64) -> StatusCode {
    use crate::crypto::{MacKey, hex};
    use crate::secret::Secret;

    let mut mac = MacKey::new(&Secret::of_any_length(SECRET.to_vec())).begin();
    mac.update(format!("v0:{stamp}:{PAID}").as_bytes());
    let signature = format!("v0={}", String::from_utf8_lossy(&hex(&mac.finish())));
    let mut request = plain("/webhooks/slack", PAID);
    let headers = request.headers_mut();
    headers.insert("x-slack-signature", signature.parse().unwrap());
    headers.insert("x-slack-request-timestamp", stamp.to_string().parse().unwrap());
    desk.bring(request).await.status()
}

#[tokio::test]
async fn a_signed_time_lies_within_the_window_of_its_source_past_and_ahead_apart() {
    let profile = Profile { identity: None, ..profile() };
    let mut source = source("slack", "slack", &profile);
    source.window.past = Duration::from_secs(100);
    source.window.ahead = Duration::from_secs(20);
    let desk = Desk::new(source);
    let now = super::kit::NOW.secs();
    for (stamp, status) in [
        (now - 101, StatusCode::UNAUTHORIZED),
        (now - 100, StatusCode::OK),
        (now + 20, StatusCode::OK),
        (now + 21, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(slack(&desk, stamp).await, status, "{stamp}");
    }
    assert_eq!((desk.counted("stale_timestamp"), desk.counted("stored")), (2, 2));
    // Judged by when it comes.
    desk.hand.advance(Duration::from_secs(1));
    assert_eq!(slack(&desk, now + 21).await, StatusCode::OK);
}
