//! Last step: the order is new. [`Admitted`] is the only thing that can be forwarded, and where its
//! route asks for that, nobody else can get its order number while it is on its way, nor after.
//!
//! Here it is only taken; it becomes durable when it is about to leave, by [`Noted::sent`].

use http::StatusCode;

use crate::gateway::admission::observed::Stopped;
use crate::gateway::admission::opening::{Outbound, Readable};
use crate::gateway::rejection::{Flaw, Rejection};
use crate::gateway::route::{Route, UniqueOrder};
use crate::recipe::json::Json;
use crate::store::ledger::{Busy, Hold, Order, Refused};

/// The longest order number, in bytes.
const NUMBER_BYTES_MAX: usize = 256;

/// A request that passed every step.
#[must_use]
pub struct Admitted {
    readable: Readable,
    noted: Option<Box<Noted>>,
}

/// What the ledger has of a request on its way. Dropped, it is given back if nothing has left, and
/// kept if something may have.
#[must_use]
pub struct Noted {
    order: Option<Hold>,
    message: Option<Box<Hold>>,
    unique: Option<UniqueOrder>,
    /// It was sent by a connection that broke, and may have arrived.
    may_have_arrived: bool,
}

/// Takes the order of a request, where its route asks for it.
///
/// # Errors
/// `bad_request` for a body that does not say its order number as the route asks,
/// `duplicate_order`, and `busy`.
pub(super) async fn reserve(mut readable: Readable) -> Result<Admitted, Stopped> {
    let route = readable.route();
    if !route.spec.needs_ledger() {
        return Ok(Admitted { readable, noted: None });
    }
    let (unique, order) = match route.spec.unique_order.clone() {
        Some(unique) => {
            let order = Box::pin(take(&readable, route, &unique)).await?;
            (Some(unique), Some(order))
        }
        None => (None, None),
    };
    let message = readable.take_remembered();
    let noted = Noted { order, message, unique, may_have_arrived: false };
    Ok(Admitted { readable, noted: Some(Box::new(noted)) })
}

async fn take(readable: &Readable, route: &Route, unique: &UniqueOrder) -> Result<Hold, Rejection> {
    let ledger = route.ledger.as_ref().ok_or(Rejection::Busy)?;
    let flaw = || Rejection::BadRequest(Flaw::OrderNumber(unique.place));
    let text = readable.text();
    let document = Json::parse(&text).map_err(|_| flaw())?;
    let credential = readable.credential();
    let order = Order {
        merchant: &credential.merchant.id,
        environment: credential.environment.as_str(),
        group: &unique.group,
        value: number(&document, &unique.field).ok_or_else(flaw)?,
        period: unique.period,
    };
    ledger.reserve(&order).await.map_err(|refused| match refused {
        Refused::Taken(state) => Rejection::DuplicateOrder(state),
        Refused::Busy => Rejection::Busy,
    })
}

/// The order number: a text, or a whole number as it is written.
fn number<'d>(document: &'d Json<'_>, field: &[Box<str>]) -> Option<&'d str> {
    let found = field.iter().try_fold(document, |value, step| match value {
        Json::Object(members) => {
            members.iter().find(|(name, _)| **name == **step).map(|(_, value)| value)
        }
        Json::Array(items) => index(step).and_then(|index| items.get(index)),
        _ => None,
    });
    let number = match found? {
        Json::String(text) => text,
        Json::Number(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => text,
        _ => return None,
    };
    (1..=NUMBER_BYTES_MAX).contains(&number.len()).then_some(&**number)
}

/// The index that a step of a pointer is (RFC 6901, section 4).
fn index(step: &str) -> Option<usize> {
    let good = step.bytes().all(|b| b.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    if good { step.parse().ok() } else { None }
}

impl Admitted {
    /// Takes the request apart; only forwarding has use for it.
    pub fn into_outbound(self) -> (Outbound, Option<Box<Noted>>) {
        (self.readable.into_outbound(), self.noted)
    }
}

impl Noted {
    /// Notes that it is about to leave: durable when this returns. Nothing may leave before.
    ///
    /// # Errors
    /// [`Busy`]: then it must not leave.
    pub async fn sent(&mut self) -> Result<(), Busy> {
        // Both wait for the same commit.
        let order = async {
            match &mut self.order {
                Some(hold) => hold.sent().await,
                None => Ok(()),
            }
        };
        let message = async {
            match &mut self.message {
                Some(hold) => hold.sent().await,
                None => Ok(()),
            }
        };
        let (order, message) = futures_util::future::join(order, message).await;
        order.and(message)
    }

    /// Notes that it was answered, and releases the order where its route says so of the status.
    pub fn answered(self, status: StatusCode) {
        let released = self.unique.is_some_and(|unique| unique.release.contains(&status));
        self.order.into_iter().for_each(|hold| hold.answered(released));
        self.message.into_iter().for_each(|hold| hold.answered(false));
    }

    /// Notes that it may have arrived, whatever becomes of further attempts.
    pub fn may_have_arrived(&mut self) {
        self.may_have_arrived = true;
    }

    /// Gives everything back, where it is certain that nothing has left.
    pub fn give_back(self) {
        if self.may_have_arrived {
            return;
        }
        self.order.into_iter().for_each(Hold::give_back);
        self.message.into_iter().for_each(|hold| hold.give_back());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str, field: &[&str]) -> Option<String> {
        let field: Vec<Box<str>> = field.iter().map(|step| Box::from(*step)).collect();
        let document = Json::parse(body.as_bytes()).ok()?;
        number(&document, &field).map(str::to_owned)
    }

    #[test]
    fn texts_and_whole_numbers_are_taken_as_they_are_written() {
        for (body, expected) in [
            (r#"{"id":"A-1"}"#, Some("A-1")),
            (r#"{"id":"\u0041-1"}"#, Some("A-1")),
            (r#"{"id":1001}"#, Some("1001")),
            (r#"{"id":"1001"}"#, Some("1001")),
            (r#"{"id":" 1001"}"#, Some(" 1001")),
            (r#"{"id":12345678901234567890123}"#, Some("12345678901234567890123")),
            (r#"{"id":-7}"#, Some("-7")),
            (r#"{"id":1.0}"#, None),
            (r#"{"id":1e3}"#, None),
            (r#"{"id":""}"#, None),
            (r#"{"id":null}"#, None),
            (r#"{"id":true}"#, None),
            (r#"{"id":["1"]}"#, None),
            (r#"{"id":{}}"#, None),
            (r#"{"Id":"1"}"#, None),
            (r#"{"id":"1","id":"1"}"#, None),
            (r#"{"id":"1","\u0069d":"2"}"#, None),
            (r#"{"id":"1","other":{"a":1,"a":2}}"#, None),
            ("id=1", None),
            ("", None),
        ] {
            assert_eq!(found(body, &["id"]).as_deref(), expected, "{body}");
        }
        let longest = format!("{{\"id\":\"{}\"}}", "x".repeat(NUMBER_BYTES_MAX));
        assert_eq!(found(&longest, &["id"]).unwrap().len(), NUMBER_BYTES_MAX);
        assert_eq!(found(&longest.replace("\"x", "\"xx"), &["id"]), None);
    }

    #[test]
    fn pointers_lead_into_objects_and_arrays() {
        let body = r#"{"a":[{"b/c":"x"},"y"],"0":"z","01":"w"}"#;
        for (field, expected) in [
            (&["a", "0", "b/c"][..], Some("x")),
            (&["a", "1"], Some("y")),
            (&["a", "01"], None),
            (&["a", "-"], None),
            (&["a", ""], None),
            (&["a", "2"], None),
            (&["0"], Some("z")),
            (&["01"], Some("w")),
            (&[], None),
        ] {
            assert_eq!(found(body, field).as_deref(), expected, "{field:?}");
        }
    }
}
