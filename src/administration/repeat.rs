//! Idempotency keys: a call that is repeated, because its answer was lost, makes nothing twice.
//!
//! What the first call made is noted in the audit log, in the transaction that made it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Code, Problem};
use crate::crypto::{hex, sha256};
use crate::store::{Actor, Change, View};

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;

/// A call with an idempotency key: the same for whoever repeats it.
pub(super) struct Call {
    object: String,
    verb: &'static str,
    digest: String,
}

/// What is noted of a call.
#[derive(Serialize, Deserialize)]
struct Note {
    verb: String,
    input: String,
    made: Value,
}

impl Call {
    /// The call that an input is, where it has a key. Keys of two actors have nothing to do with
    /// each other. Secrets of the input are not part of what is compared.
    pub(super) fn of(
        verb: &'static str,
        actor: &Actor,
        key: Option<&str>,
        input: &impl Serialize,
    ) -> Result<Option<Self>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let visible = key.bytes().all(|b| b.is_ascii_graphic());
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !visible {
            let detail = "an idempotency key is 1 to 128 visible ASCII characters";
            return Err(Problem::new(Code::InvalidInput, detail));
        }
        let input = serde_json::to_vec(input)
            .map_err(|fault| Problem::new(Code::InvalidInput, fault.to_string()))?;
        let digest = String::from_utf8_lossy(&hex(&sha256(&input))).into_owned();
        Ok(Some(Self { object: format!("idempotency:{}:{key}", actor.name), verb, digest }))
    }

    /// What an earlier call with this key made; none where this is the first.
    pub(super) fn earlier<T: for<'de> Deserialize<'de>>(
        call: Option<&Self>,
        view: &View<'_>,
    ) -> Result<Option<T>, Problem> {
        let Some(call) = call else { return Ok(None) };
        let Some(row) = view.audit(Some(&call.object), None, 1)?.pop() else { return Ok(None) };
        let unreadable = |fault: serde_json::Error| {
            Problem::new(Code::Store, format!("{}: {fault}", call.object))
        };
        let note: Note = serde_json::from_value(row.detail).map_err(unreadable)?;
        if note.verb != call.verb || note.input != call.digest {
            let detail = "this idempotency key was used for another input: take a new one";
            return Err(Problem::new(Code::KeyReused, detail));
        }
        serde_json::from_value(note.made).map(Some).map_err(unreadable)
    }

    /// Notes what this call has made.
    pub(super) fn note(
        call: Option<&Self>,
        change: &mut Change<'_>,
        made: impl Serialize,
    ) -> Result<(), Problem> {
        let Some(call) = call else { return Ok(()) };
        let made = serde_json::to_value(made).unwrap_or_default();
        let note = Note { verb: call.verb.to_owned(), input: call.digest.clone(), made };
        let note = serde_json::to_value(note).unwrap_or_default();
        Ok(change.audit("call.noted", &call.object, note, None)?)
    }
}
