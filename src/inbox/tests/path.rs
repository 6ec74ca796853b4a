//! Signed messages from their head to their answer.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;

use crate::inbox::profile::{AnswerText, CheckText};
use crate::inbox::source::SourceKeys;
use crate::journal::{JournalLimits, Work};
use crate::scheme::Strength;

use super::kit::{Desk, OTHER, SECRET, confirm, own, plain, profile, signed, source};

const PAID: &str = r#"{"order":"A-1","status":"paid","id":"evt_1"}"#;

fn desk() -> Desk {
    Desk::new(source("github", "github", &profile()))
}

#[tokio::test]
async fn what_is_signed_is_kept_as_it_came_and_delivered() {
    let desk = desk();
    let mut request = signed(PAID, SECRET);
    *request.uri_mut() = "/webhooks/github?a=1".parse().unwrap();
    let answer = desk.bring(request).await;
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"kept A-1"[..]));
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let due = desk.due(Work::Deliver);
    let [task] = due.as_slice() else { panic!("{due:?}") };
    let kept = &task.delivery;
    assert_eq!((&*kept.target, &kept.body[..]), ("/webhooks/github?a=1", PAID.as_bytes()));
    assert_eq!((&*kept.method, kept.order_key.as_deref()), ("POST", Some("A-1")));
    let host = ("host".to_owned(), Bytes::from_static(b"gate.example"));
    assert!(kept.headers.contains(&host), "{:?}", kept.headers);
    let verdict = &kept.verdict;
    assert_eq!((&*verdict.scheme, &*verdict.strength), ("github", "full"));
    assert_eq!((verdict.secret_version, verdict.must_confirm.as_deref()), (Some(1), None));
    assert_eq!(verdict.provider_id.as_deref(), Some("evt_1"));
    assert_eq!(desk.counted("stored"), 1);
}

#[tokio::test]
async fn a_repeated_one_is_acknowledged_and_kept_once_whichever_secret_signs_it() {
    let mut source = source("github", "github", &profile());
    source.keys = own("github", &[SECRET, OTHER]);
    let desk = Desk::new(source);
    for secret in [SECRET, OTHER, SECRET] {
        assert_eq!(desk.bring_signed(PAID, secret).await.0, StatusCode::OK);
    }
    assert_eq!((desk.counted("stored"), desk.counted("duplicate")), (1, 2));
    assert_eq!(desk.due(Work::Deliver).len(), 1);
    let other = PAID.replace("paid", "refunded");
    desk.bring_signed(&other, OTHER).await;
    let due = desk.due(Work::Deliver);
    assert_eq!(due.len(), 2);
    assert_eq!(due[1].delivery.verdict.secret_version, Some(2));
}

#[tokio::test]
async fn what_is_not_signed_well_leaves_nothing_but_that_it_came() {
    let desk = desk();
    let (status, text) = desk.bring_signed(PAID, OTHER).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(text.contains("\"invalid_signature\"") && !text.contains("A-1"), "{text}");
    let missing = desk.bring(plain("/webhooks/github", PAID)).await;
    assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(missing.headers()["www-authenticate"], "Countersign");
    let mut twice = signed(PAID, SECRET);
    let own = twice.headers()["x-hub-signature-256"].clone();
    twice.headers_mut().append("x-hub-signature-256", own);
    assert_eq!(desk.bring(twice).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(desk.counted("invalid_signature"), 1);
    assert_eq!((desk.counted("missing_claim"), desk.counted("malformed_claim")), (1, 1));
    assert!(desk.due(Work::Deliver).is_empty());
}

#[tokio::test]
async fn a_source_says_how_its_refusals_look() {
    let mut profile = profile();
    let answer = AnswerText {
        status: Some(400),
        body: Some("no".to_owned()),
        content_type: Some("text/plain".to_owned()),
        location: None,
    };
    profile.answers.push(("refused".to_owned(), answer));
    let desk = Desk::new(source("github", "github", &profile));
    assert_eq!(desk.bring_signed(PAID, OTHER).await, (StatusCode::BAD_REQUEST, "no".to_owned()));
}

#[tokio::test]
async fn a_browser_is_sent_on() {
    let mut profile = profile();
    let answer = AnswerText {
        status: Some(303),
        location: Some("https://shop.example/thanks?order={json:order | urlencode}".to_owned()),
        ..AnswerText::default()
    };
    profile.answers = vec![("stored".to_owned(), answer)];
    let desk = Desk::new(source("github", "github", &profile));
    let answer = desk.bring(signed(PAID, SECRET)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "https://shop.example/thanks?order=A-1");
    // What a message says is no header of its own.
    let split = PAID.replace("A-1", "A\\r\\nX: 1");
    let answer = desk.bring(signed(&split, SECRET)).await;
    let location = "https://shop.example/thanks?order=A%0D%0AX%3A%201";
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], location);
}

#[tokio::test]
async fn the_shape_of_a_message_is_looked_at_after_its_signature() {
    let mut profile = profile();
    profile.shape.push(CheckText {
        name: "status".to_owned(),
        value: "{json:status}".to_owned(),
        one_of: Some(vec!["paid".to_owned()]),
        ..CheckText::default()
    });
    let desk = Desk::new(source("github", "github", &profile));
    let odd = PAID.replace("paid", "odd");
    assert_eq!(desk.bring_signed(&odd, SECRET).await.0, StatusCode::UNAUTHORIZED);
    desk.bring_signed(&odd, OTHER).await;
    assert_eq!((desk.counted("misshapen"), desk.counted("invalid_signature")), (1, 1));
    assert!(desk.due(Work::Deliver).is_empty());
}

#[tokio::test]
async fn probes_and_odd_methods_keep_nothing() {
    let desk = desk();
    let ask = |method| {
        let request = Request::builder().method(method).uri("/webhooks/github");
        request.header("host", "gate.example").body(Full::<Bytes>::default()).unwrap()
    };
    let answer = desk.bring(ask(Method::GET)).await;
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
    let answer = desk.bring(ask(Method::DELETE)).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()["allow"], "POST, GET");
    assert_eq!((desk.counted("probe"), desk.counted("method")), (1, 1));
}

#[tokio::test]
async fn a_head_with_two_readings_is_refused_and_its_connection_closes() {
    let desk = desk();
    let mut request = signed(PAID, SECRET);
    request.headers_mut().append("host", "other.example".parse().unwrap());
    let answer = desk.bring(request).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers()["connection"], "close");
    let mut request = signed(PAID, SECRET);
    request.headers_mut().insert("host", "other.example".parse().unwrap());
    assert_eq!(desk.bring(request).await.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read_to_its_end() {
    let mut source = source("github", "github", &profile());
    source.body_bytes_max = std::num::NonZeroUsize::MIN.saturating_add(9);
    let desk = Desk::new(source);
    let answer = desk.bring(signed(PAID, SECRET)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(desk.counted("body_too_large"), 1);
}

#[tokio::test]
async fn without_a_key_nothing_is_believed_and_the_sender_tries_again() {
    let mut source = source("github", "github", &profile());
    source.keys = SourceKeys::Own(Vec::new());
    let desk = Desk::new(source);
    let answer = desk.bring(signed(PAID, SECRET)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(desk.counted("no_keys"), 1);
}

#[tokio::test]
async fn a_full_journal_takes_nothing_and_the_same_message_may_come_again() {
    let desk = desk();
    desk.inbox.journal.set_limits(JournalLimits { open: 0, ..JournalLimits::default() });
    let answer = desk.bring(signed(PAID, SECRET)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    desk.inbox.journal.set_limits(JournalLimits::default());
    assert_eq!(desk.bring_signed(PAID, SECRET).await.0, StatusCode::OK);
    assert_eq!((desk.counted("busy"), desk.counted("stored")), (1, 1));
}

#[tokio::test]
async fn an_address_that_keeps_failing_is_slowed() {
    let desk = desk();
    let mut last = StatusCode::UNAUTHORIZED;
    for _ in 0..200 {
        last = desk.bring_signed(PAID, OTHER).await.0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let answer = desk.bring(signed(PAID, SECRET)).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn what_others_have_a_provider_send_keeps_its_true_messages_from_nobody() {
    let desk = desk();
    assert_eq!(desk.bring_signed(PAID, SECRET).await.0, StatusCode::OK);
    for _ in 0..200 {
        assert_eq!(desk.bring_signed(PAID, OTHER).await.0, StatusCode::UNAUTHORIZED);
    }
    let next = PAID.replace("A-1", "A-2");
    assert_eq!(desk.bring_signed(&next, SECRET).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_proves_too_little_is_confirmed_first_or_held() {
    for (strength, word) in [(Strength::Partial, "partial"), (Strength::Token, "token")] {
        for asked in [true, false] {
            let mut source = source("github", "github", &profile());
            source.strength = strength;
            source.confirm = asked.then(confirm);
            let desk = Desk::new(source);
            assert_eq!(desk.bring_signed(PAID, SECRET).await.0, StatusCode::OK);
            assert!(desk.due(Work::Deliver).is_empty());
            let due = desk.due(Work::Confirm);
            assert_eq!(due.len(), usize::from(asked));
            assert_eq!(desk.told("delivery_held"), usize::from(!asked));
            for task in due {
                assert_eq!(task.delivery.verdict.must_confirm.as_deref(), Some(word));
            }
        }
    }
    let mut asked = source("github", "github", &profile());
    asked.confirm = Some(confirm());
    let desk = Desk::new(asked);
    desk.bring_signed(PAID, SECRET).await;
    let due = desk.due(Work::Confirm);
    assert_eq!(due[0].delivery.verdict.must_confirm.as_deref(), Some("asked_for"));
}
