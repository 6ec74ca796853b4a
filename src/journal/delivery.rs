//! What a delivery is: how it comes, how it is kept, what is to be done for it, and what came of
//! it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The name of a delivery: `dlv_` and 26 letters and digits. It stays the same over all attempts,
/// and is the `webhook-id` that the merchant's service sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub(super) Arc<str>);

/// Attempts of one delivery that are kept; of more, the first and the last.
pub const ATTEMPTS_MAX: usize = 50;

/// What is to be done for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// Ask the provider, and whoever else is to be asked, whether it is true.
    Confirm,
    /// Send the fields back to the provider, as its acknowledgement.
    PostBack,
    /// Hand it to the merchant's service.
    Deliver,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Somebody is asked whether it is true.
    Confirming,
    /// On its way to the merchant's service.
    Delivering,
    /// The merchant's service has it.
    Delivered,
    /// Who was asked says something else. It is not delivered.
    Disagreed,
    /// Attempts to deliver it are over.
    Dead,
    /// It needs to be confirmed, and nobody can be asked: an operator has to look at it.
    Held,
}

/// A webhook that was verified, and is to be kept.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The name of its source.
    pub source: Arc<str>,
    /// The name of its destination.
    pub destination: Arc<str>,
    /// By what a repeated one is known, within the source.
    pub key: [u8; 32],
    /// Which secret verified it: a digest, within the source. Nothing where it is unsigned.
    pub secret: Option<[u8; 16]>,
    /// How long `key` is kept.
    pub key_until: Timestamp,
    /// When it came, in Unix milliseconds.
    pub received_millis: u64,
    /// Its method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Header fields as they came, in their order.
    pub headers: Vec<(String, Bytes)>,
    /// Its body as it came.
    pub body: Bytes,
    /// What was found out about it.
    pub verdict: Verdict,
    /// What it says, by the names of facts.
    pub facts: Facts,
    /// What it is about: deliveries of one order key can be kept in their order.
    pub order_key: Option<String>,
    /// What is to be done first. Nothing: it is held.
    pub first: Option<Work>,
    /// Whether it is posted back to its provider beside that.
    pub post_back: bool,
}

/// What a message says, by the names of facts (`order`, `amount`, …).
pub type Facts = BTreeMap<String, String>;

/// What was found out about a message when it came. It is never judged again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The scheme that it was verified by.
    pub scheme: String,
    /// How much that proves: `full`, `partial`, `token` or `none`.
    pub strength: String,
    /// Which secret verified it: its number in the keyring or the configuration; none: unsigned.
    pub secret_version: Option<u32>,
    /// The time that it states, in Unix seconds, where its scheme has one.
    pub stated: Option<u64>,
    /// What the provider calls it, signed or not.
    pub provider_id: Option<String>,
    /// Why it has to be confirmed, where it has to.
    pub must_confirm: Option<String>,
}

/// What was found out by asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Whether everybody who was asked agrees.
    pub agreed: bool,
    /// Who was asked: `provider`, `merchant`, or both with a comma.
    pub asked: String,
    /// The state that the provider gives, in the words of its profile.
    pub state: Option<String>,
    /// Where they disagree: a fact with both values a line; or why nobody could be asked.
    pub differences: Vec<String>,
    /// When, in Unix milliseconds.
    pub at_millis: u64,
}

/// A queue of work: that of one destination, or of one source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// What is done in it.
    pub work: Work,
    /// Of the destination for [`Work::Deliver`], else of the source.
    pub name: Arc<str>,
}

/// Something that is to be done.
#[derive(Clone, Debug)]
pub struct Task {
    /// For which delivery.
    pub delivery: Arc<Delivery>,
    /// What.
    pub work: Work,
    /// How often it was tried in vain since it began, or since an operator asked for it anew.
    pub attempts: u32,
    /// When it was tried first, in Unix milliseconds; none: never.
    pub first_tried_millis: Option<u64>,
}

/// A delivery as it is kept.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its place in the journal: later ones have higher numbers.
    pub sequence: i64,
    /// Its name.
    pub id: DeliveryId,
    /// The name of its source.
    pub source: Arc<str>,
    /// The name of its destination.
    pub destination: Arc<str>,
    /// How far it is.
    pub state: State,
    /// When it came, in Unix milliseconds.
    pub received_millis: u64,
    /// Its method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Header fields as they came.
    pub headers: Vec<(String, Bytes)>,
    /// Its body as it came.
    pub body: Bytes,
    /// What was found out when it came.
    pub verdict: Verdict,
    /// What it says.
    pub facts: Facts,
    /// What was found out by asking.
    pub confirmation: Option<Confirmation>,
    /// What it is about.
    pub order_key: Option<String>,
}

/// One try, as it is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Its own name, `att_` and 26 letters and digits: new with every try.
    pub id: String,
    /// When it began, in Unix milliseconds.
    pub at_millis: u64,
    /// How long it took, in milliseconds.
    pub took_millis: u64,
    /// What came of it: a code, such as `delivered`, `status`, `timed_out`, `refused_address`.
    pub outcome: String,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
}

/// What came of a task.
#[derive(Clone, Debug)]
pub enum Settled {
    /// It is to be tried again at a time, in Unix milliseconds.
    Again {
        /// When.
        due_millis: u64,
        /// What was tried.
        attempt: Attempt,
    },
    /// It is done: a delivery is delivered, a post-back was taken.
    Done {
        /// What was tried.
        attempt: Attempt,
    },
    /// Attempts are over. A delivery is dead; a post-back is given up, and counted.
    GivenUp {
        /// What was tried.
        attempt: Attempt,
    },
    /// Of [`Work::Confirm`]: everybody agrees; it is to be delivered.
    Confirmed {
        /// What was tried.
        attempt: Attempt,
        /// What was found out.
        confirmation: Confirmation,
    },
    /// Of [`Work::Confirm`]: somebody does not.
    Disagreed {
        /// What was tried.
        attempt: Attempt,
        /// What was found out.
        confirmation: Confirmation,
    },
}

impl DeliveryId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
