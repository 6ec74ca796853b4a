//! Bodies that come slowly, in pieces, or not to their end; and defects.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body::{Body, Frame};

use crate::gateway::admission::budget::Budget;
use crate::journal::Work;

use super::kit::{Desk, SECRET, profile, signed, source};

const PAID: &str = r#"{"order":"A-1","status":"paid","id":"evt_1"}"#;

/// A body that does what is written here, step by step.
struct Scripted(VecDeque<Step>);

enum Step {
    Piece(&'static str),
    /// Nothing comes any more.
    Wait,
    /// The connection is lost.
    Break,
    /// Whoever reads it has a defect.
    Panic,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.0.pop_front() {
            Some(Step::Piece(text)) => Poll::Ready(Some(Ok(Frame::data(text.into())))),
            Some(Step::Wait) => {
                self.0.push_front(Step::Wait);
                Poll::Pending
            }
            Some(Step::Break) => Poll::Ready(Some(Err("lost"))),
            Some(Step::Panic) => panic!("a defect, for a test"),
            None => Poll::Ready(None),
        }
    }
}

/// A signed message whose body comes so.
fn scripted(steps: impl IntoIterator<Item = Step>) -> Request<Scripted> {
    signed(PAID, SECRET).map(|_| Scripted(steps.into_iter().collect()))
}

fn desk() -> Desk {
    Desk::new(source("github", "github", &profile()))
}

#[tokio::test]
async fn pieces_are_kept_as_one_body() {
    let desk = desk();
    let (first, second) = PAID.split_at(9);
    let answer = desk.bring(scripted([Step::Piece(first), Step::Piece(second)])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(&desk.due(Work::Deliver)[0].delivery.body[..], PAID.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_not_waited_for_and_its_connection_closes() {
    let desk = desk();
    let answer = desk.bring(scripted([Step::Piece("{"), Step::Wait])).await;
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(desk.counted("body_too_slow"), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_message() {
    let desk = desk();
    let answer = desk.bring(scripted([Step::Piece(PAID), Step::Break])).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(desk.due(Work::Deliver).is_empty());
}

#[tokio::test]
async fn a_defect_ends_in_an_answer_and_is_counted() {
    let desk = desk();
    let answer = desk.bring(scripted([Step::Panic])).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((desk.counted("internal"), desk.metrics.panics.get()), (1, 1));
    assert_eq!(desk.bring_signed(PAID, SECRET).await.0, StatusCode::OK, "the next one goes on");
}

#[tokio::test]
async fn a_sender_that_leaves_is_counted_as_gone() {
    let desk = desk();
    let bring = desk.bring(scripted([Step::Piece("{"), Step::Wait]));
    assert!(futures_util::FutureExt::now_or_never(bring).is_none());
    assert_eq!(desk.counted("client_gone"), 1);
}

#[tokio::test]
async fn without_memory_for_it_a_message_is_asked_to_come_again() {
    let mut desk = desk();
    desk.inbox.budget = Budget::new(1024);
    let answer = desk.bring(signed(PAID, SECRET)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(desk.counted("busy"), 1);
}

#[tokio::test]
async fn a_message_gives_its_memory_back() {
    let desk = desk();
    desk.bring_signed(PAID, SECRET).await;
    desk.bring_signed(PAID, b"another-secret").await;
    assert_eq!(desk.inbox.budget.held(), 0);
}

#[tokio::test]
async fn an_unread_body_is_drained_a_little_so_that_the_connection_stays() {
    let mut source = source("github", "github", &profile());
    source.body_bytes_max = NonZeroUsize::MIN;
    let desk = Desk::new(source);
    let answer = desk.bring(scripted([Step::Piece("{}"), Step::Piece("{}")])).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.headers().get("connection"), None);
    let long: &str = "x".repeat(70_000).leak();
    let answer = desk.bring(scripted([Step::Piece("{}"), Step::Piece(long)])).await;
    assert_eq!(answer.headers()["connection"], "close");
}

#[tokio::test]
async fn over_http2_the_authority_is_kept_as_host() {
    let desk = desk();
    let mut request = signed(PAID, SECRET);
    request.headers_mut().remove("host");
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = "https://gate.example:8443/webhooks/github".parse().unwrap();
    assert_eq!(desk.bring(request).await.status(), StatusCode::OK);
    let kept = &desk.due(Work::Deliver)[0].delivery;
    let host = ("host".to_owned(), Bytes::from_static(b"gate.example:8443"));
    assert!(kept.headers.contains(&host), "{:?}", kept.headers);
    assert_eq!(kept.target, "/webhooks/github");
}
