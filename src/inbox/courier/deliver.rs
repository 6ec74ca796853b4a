//! Handing a delivery to the merchant's service, once.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};

use crate::clock::{Clock, Timestamp};
use crate::inbox::destination::Destination;
use crate::inbox::source::Source;
use crate::journal::{Settled, Task};
use crate::limit::MIB;
use crate::outbound::{CallFault, retry_after};

use super::Outcome;
use super::attempt::Try;
use super::lane::Learned;
use super::request::{Handover, request};
use super::schedule;

/// The longest answer of a service, in bytes. Nobody reads it.
const ANSWER_BYTES_MAX: usize = MIB;

/// What an answer, or none, means for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meaning {
    /// What the service says about itself.
    learned: Learned,
    /// What came of the attempt.
    code: &'static str,
    status: Option<u16>,
    /// How long it asks to be left alone.
    asked: Option<Duration>,
}

/// Hands a delivery over. `source` is where it came from, if that is still there.
pub(super) async fn deliver(
    clock: &Clock,
    destination: &Destination,
    source: Option<&Source>,
    task: &Task,
    attempt: Try,
) -> Outcome {
    let handover = Handover {
        url: &destination.url,
        secrets: &destination.secrets,
        passed: source.map(passed).unwrap_or_default(),
        number: task.attempts.saturating_add(1),
        attempt_id: &attempt.id,
        now: clock.now(),
    };
    let request = request(&task.delivery, &handover);
    let answer = destination.caller.call(request, destination.deadline, ANSWER_BYTES_MAX).await;
    let Meaning { learned, code, status, asked } = meaning(answer, clock.now());
    let attempt = attempt.end(code, status);
    let now_millis = clock.now_millis();
    let wait = schedule::deliver(&destination.schedule, task.attempts);
    let settled = match (learned, wait) {
        (Learned::Well, _) => Settled::Done { attempt },
        // It stays due, for when an operator lets the destination have deliveries again.
        (Learned::Gone, _) => Settled::Again { due_millis: now_millis, attempt },
        (Learned::Failed, Some(wait)) => {
            Settled::Again { due_millis: schedule::due(now_millis, wait, asked), attempt }
        }
        (Learned::Failed, None) => Settled::GivenUp { attempt },
    };
    Outcome { settled, learned }
}

/// The header fields that go with the deliveries of a source: those of its signature, by which the
/// service can verify it once more, and those that configuration names.
fn passed(source: &Source) -> Vec<&HeaderName> {
    source.scheme.credential_headers().iter().chain(&source.pass).collect()
}

/// Any 2xx is a receipt. 410 ends deliveries for good; everything else, a redirect too, is tried
/// again, and those who say that they have too much to do may say for how long.
fn meaning(answer: Result<Response<Bytes>, CallFault>, now: Timestamp) -> Meaning {
    let failed = |code| Meaning { learned: Learned::Failed, code, status: None, asked: None };
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return failed(fault.code()),
    };
    let status = Some(answer.status().as_u16());
    match answer.status() {
        StatusCode::GONE => Meaning { learned: Learned::Gone, status, ..failed("gone") },
        code if code.is_success() => {
            Meaning { learned: Learned::Well, status, ..failed("delivered") }
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Meaning { status, asked: retry_after(answer.headers(), now), ..failed("status") }
        }
        _ => Meaning { status, ..failed("status") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16) -> Meaning {
        let answer = Response::builder().status(status).header("retry-after", "60");
        meaning(Ok(answer.body(Bytes::new()).unwrap()), Timestamp::from_secs(0))
    }

    #[test]
    fn only_success_is_a_receipt_and_only_gone_is_the_end() {
        for status in 200..600 {
            let expected = match status {
                200..=299 => (Learned::Well, "delivered"),
                410 => (Learned::Gone, "gone"),
                _ => (Learned::Failed, "status"),
            };
            let Meaning { learned, code, status: noted, .. } = of(status);
            assert_eq!(((learned, code), noted), (expected, Some(status)));
        }
        let none = meaning(Err(CallFault::Broke), Timestamp::from_secs(0));
        assert_eq!((none.learned, none.code, none.status), (Learned::Failed, "broke", None));
    }

    #[test]
    fn who_has_too_much_to_do_says_for_how_long() {
        for status in 200..600 {
            let asked = [429, 502, 503, 504].contains(&status).then_some(Duration::from_secs(60));
            assert_eq!(of(status).asked, asked, "{status}");
        }
    }
}
