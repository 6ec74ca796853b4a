//! Asking whether a delivery is true, once: the merchant's own service what was ordered, then the
//! provider what became of it. Only what everybody agrees to is delivered.

use std::time::Duration;

use crate::clock::Clock;
use crate::inbox::inquiry::{Finding, Means};
use crate::inbox::source::{Asked, LiveKey, Source};
use crate::journal::{Confirmation, Settled, Task};
use crate::keyring::Keyring;

use super::Outcome;
use super::attempt::Try;
use super::lane::Learned;
use super::schedule;

/// The longest wait that a provider may ask for.
const ASKED_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What the provider is called.
const PROVIDER: &str = "provider";
/// What the merchant's service is called.
const MERCHANT: &str = "merchant";

/// What was found, and who was asked for it.
#[derive(Debug)]
struct Found {
    finding: Finding,
    /// Whose answer that is.
    who: &'static str,
    /// Everybody who was asked.
    asked: String,
}

/// Asks whether a delivery is true.
pub(super) async fn confirm(
    clock: &Clock,
    source: &Source,
    keyring: &Keyring,
    task: &Task,
    attempt: Try,
) -> Outcome {
    let found = ask(clock, source, keyring, task).await;
    let pending_for = source.confirm.as_ref().map_or(Duration::MAX, |confirm| confirm.pending_for);
    conclude(found, pending_for, task, attempt, clock.now_millis())
}

/// Asks one after another, and no further than to the first who does not agree. The merchant's
/// service first: a provider may count how often it is asked.
async fn ask(clock: &Clock, source: &Source, keyring: &Keyring, task: &Task) -> Found {
    let nothing = |code| Finding::NoAnswer { code, status: None, retry_after: None };
    let mut found = Found { finding: nothing("nobody_to_ask"), who: "", asked: String::new() };
    let Some(confirm) = &source.confirm else { return found };
    let now = clock.now();
    let live = source.keys.live(now, &source.scheme, keyring);
    let Some(newest) = newest(&live) else {
        found.finding = nothing("no_keys");
        return found;
    };
    let means = Means { key: newest.key, values: &source.values, now };
    for (who, asked) in [(MERCHANT, &confirm.order), (PROVIDER, &confirm.provider)] {
        let Some(Asked { inquiry, caller }) = asked else { continue };
        let finding = inquiry.ask(caller, &task.delivery, means).await;
        found.who = who;
        // In the order in which they are always told.
        found.asked = match found.asked.as_str() {
            "" => who.to_owned(),
            before => format!("{who},{before}"),
        };
        let agrees = matches!(finding, Finding::Agrees { .. });
        found.finding = finding;
        if !agrees {
            break;
        }
    }
    found
}

/// The secret that calls are made with: the newest that is in use, and one that waits for its first
/// use only where there is no other.
pub(super) fn newest<'l, 'k>(live: &'l [LiveKey<'k>]) -> Option<&'l LiveKey<'k>> {
    live.iter().max_by_key(|live| (!live.pending, live.number))
}

/// What follows from what was found.
fn conclude(
    found: Found,
    pending_for: Duration,
    task: &Task,
    attempt: Try,
    now_millis: u64,
) -> Outcome {
    let Found { finding, who, asked } = found;
    let confirmation = |agreed, state, differences| {
        let at_millis = now_millis;
        Confirmation { agreed, asked, state, differences, at_millis }
    };
    let (code, state, missing) = match finding {
        Finding::Agrees { state } => {
            let confirmation = confirmation(true, state, Vec::new());
            let attempt = attempt.end("agreed", None);
            return Outcome::well(Settled::Confirmed { attempt, confirmation });
        }
        Finding::Differs { state, differences } => {
            let confirmation = confirmation(false, state, differences);
            let attempt = attempt.end("differs", None);
            return Outcome::well(Settled::Disagreed { attempt, confirmation });
        }
        Finding::NoAnswer { code, status, retry_after } => {
            let asked = retry_after.map(|seconds| Duration::from_secs(seconds).min(ASKED_MAX));
            let wait = schedule::no_answer(task.attempts);
            let due_millis = schedule::due(now_millis, wait, asked);
            let settled = Settled::Again { due_millis, attempt: attempt.end(code, status) };
            return Outcome { settled, learned: Learned::Failed };
        }
        Finding::Pending => ("pending", Some("pending".to_owned()), "state: still pending"),
        Finding::Unknown if who == MERCHANT => ("unknown", None, "order: unknown"),
        Finding::Unknown => ("unknown", None, "transaction: unknown"),
    };
    let first = task.first_tried_millis.unwrap_or(attempt.at_millis);
    let patience = u64::try_from(pending_for.as_millis()).unwrap_or(u64::MAX);
    let patience_ends = first.saturating_add(patience);
    let attempt = attempt.end(code, None);
    if now_millis >= patience_ends {
        let confirmation = confirmation(false, state, vec![missing.to_owned()]);
        return Outcome::well(Settled::Disagreed { attempt, confirmation });
    }
    // Once more when patience ends, and no later.
    let due_millis = schedule::due(now_millis, schedule::pending(task.attempts), None);
    let due_millis = due_millis.min(patience_ends);
    Outcome::well(Settled::Again { due_millis, attempt })
}
