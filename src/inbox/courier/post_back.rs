//! Sending a message back to its provider, once: some take only that as a receipt.

use std::time::Duration;

use crate::clock::Clock;
use crate::inbox::inquiry::Means;
use crate::inbox::source::Source;
use crate::journal::{Settled, Task};
use crate::keyring::Keyring;
use crate::limit::MIB;

use super::Outcome;
use super::attempt::Try;
use super::confirm::newest;
use super::lane::Learned;
use super::schedule;

/// From the call to the whole answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer, in bytes. Nobody reads it.
const ANSWER_BYTES_MAX: usize = MIB;

/// Sends a message back.
pub(super) async fn post_back(
    clock: &Clock,
    source: &Source,
    keyring: &Keyring,
    task: &Task,
    attempt: Try,
) -> Outcome {
    let (code, status) = match post(clock, source, keyring, task).await {
        Ok(status) if (200..300).contains(&status) => {
            let attempt = attempt.end("taken", Some(status));
            return Outcome::well(Settled::Done { attempt });
        }
        Ok(status) => ("status", Some(status)),
        // What a message lacks it lacks for ever.
        Err("unaskable") => {
            let attempt = attempt.end("unaskable", None);
            return Outcome::well(Settled::GivenUp { attempt });
        }
        Err(code) => (code, None),
    };
    let attempt = attempt.end(code, status);
    let settled = match schedule::post_back(task.attempts) {
        Some(wait) => {
            let due_millis = schedule::due(clock.now_millis(), wait, None);
            Settled::Again { due_millis, attempt }
        }
        None => Settled::GivenUp { attempt },
    };
    Outcome { settled, learned: Learned::Failed }
}

/// The status of the answer, or by a code why there is none.
async fn post(
    clock: &Clock,
    source: &Source,
    keyring: &Keyring,
    task: &Task,
) -> Result<u16, &'static str> {
    let post_back = source.post_back.as_ref().ok_or("nobody_to_ask")?;
    let now = clock.now();
    let live = source.keys.live(now, &source.scheme, keyring);
    let newest = newest(&live).ok_or("no_keys")?;
    let means = Means { key: newest.key, values: &source.values, now };
    let request = post_back.call.request(&task.delivery, means).map_err(|_| "unaskable")?;
    let answer = post_back.caller.call(request, DEADLINE, ANSWER_BYTES_MAX).await;
    answer.map(|answer| answer.status().as_u16()).map_err(|fault| fault.code())
}
