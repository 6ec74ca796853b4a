//! Webhooks that were taken, kept on the disk until they are done with: deliveries, what is still
//! to be done for each, what was refused, and by what a repeated one is known.
//!
//! Promises that what [`Journal::keep`] said is kept has reached the disk, once, together with all
//! that is to be done for it; and that nothing else is. One thread of its own writes, and commits
//! at once whatever queued meanwhile; reading has connections of its own, and neither waits for the
//! other. Must never be done here: judging a message, or waiting for a disk on the caller's thread.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};
use crate::telemetry::JournalMetrics;

/// The journal of a state folder, open.
pub struct Journal {}

/// The name of a delivery: `dlv_` and 26 letters and digits. It stays the same over all attempts,
/// and is the `webhook-id` that the merchant's service sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(Arc<str>);

/// How much a journal may hold. Whatever is full refuses new deliveries with [`Busy`]; nothing
/// that is not done with is ever removed to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// Bytes of deliveries, done ones included.
    pub bytes: u64,
    /// Deliveries that are not done with.
    pub open: u64,
    /// Keys by which repeated deliveries are known.
    pub keys: u64,
    /// Refused messages of one source that are noted; the oldest make room.
    pub refusals: u64,
    /// How long a delivery that is done with is kept.
    pub keep_done: Duration,
    /// How long one that is dead or disagreed about is kept.
    pub keep_failed: Duration,
    /// How long a refused message is noted.
    pub keep_refusals: Duration,
}

impl Default for JournalLimits {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Self {
            bytes: 8 * 1024 * 1024 * 1024,
            open: 1_000_000,
            keys: 50_000_000,
            refusals: 10_000,
            keep_done: days(30),
            keep_failed: days(90),
            keep_refusals: days(30),
        }
    }
}

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

/// What [`Journal::keep`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is on the disk.
    Stored(DeliveryId),
    /// It was there before.
    Duplicate(DeliveryId),
}

/// The journal is full, away, or has too much to do. Nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A message that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The name of its source.
    pub source: Arc<str>,
    /// Why: a code.
    pub reason: &'static str,
    /// When it came, in Unix milliseconds.
    pub at_millis: u64,
    /// Bytes of its head.
    pub head_bytes: u64,
    /// Bytes of its body that were read.
    pub body_bytes: u64,
    /// From where it came.
    pub address: std::net::IpAddr,
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

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The database.
    #[error("{}: the journal of webhooks cannot be used: {cause}", .path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// What it said.
        cause: rusqlite::Error,
    },
    /// The file.
    #[error("{}: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] crate::crypto::NoRandom),
    /// No thread.
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
}

/// Which deliveries an operator means. What is not said is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// These names.
    pub ids: Vec<String>,
    /// Of a source.
    pub source: Option<String>,
    /// For a destination.
    pub destination: Option<String>,
    /// In a state.
    pub state: Option<State>,
    /// About an order.
    pub order: Option<String>,
    /// That came at or after this time, in Unix milliseconds.
    pub since_millis: Option<u64>,
    /// That came before this time, in Unix milliseconds.
    pub until_millis: Option<u64>,
    /// Only those after this place in the journal.
    pub after: Option<i64>,
}

/// A delivery with all that happened to it.
#[derive(Clone, Debug)]
pub struct History {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, the oldest first, with what was tried.
    pub attempts: Vec<(Work, Attempt)>,
    /// When what is still to be done is due, in Unix milliseconds.
    pub due: Vec<(Work, u64)>,
}

/// A refused message, as it was noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalRow {
    /// The name of its source.
    pub source: String,
    /// Why: a code.
    pub reason: String,
    /// When it came, in Unix milliseconds.
    pub at_millis: u64,
    /// Bytes of its head.
    pub head_bytes: u64,
    /// Bytes of its body that were read.
    pub body_bytes: u64,
    /// From where it came.
    pub address: String,
}

/// How much a journal holds, for gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of deliveries.
    pub bytes: u64,
    /// Keys by which repeated ones are known.
    pub keys: u64,
    /// Deliveries by destination and state.
    pub deliveries: Vec<(String, State, u64)>,
    /// When the oldest came that is not done with, by destination, in Unix milliseconds.
    pub oldest_open_millis: Vec<(String, u64)>,
}

impl Journal {
    /// Opens the journal of a state folder for the gate: makes one where there is none, and starts
    /// the thread that writes.
    ///
    /// # Errors
    /// What the file, the database or the system says.
    pub fn open(
        _folder: &Path,
        _clock: Clock,
        _metrics: JournalMetrics,
    ) -> Result<Arc<Self>, JournalFault> {
        unimplemented!()
    }

    /// A journal that ends with the process, for demonstrations and tests.
    ///
    /// # Errors
    /// What the database or the system says.
    pub fn in_memory(_clock: Clock, _metrics: JournalMetrics) -> Result<Arc<Self>, JournalFault> {
        unimplemented!()
    }

    /// Sets how much may be kept from now on.
    pub fn set_limits(&self, _limits: JournalLimits) {
        unimplemented!()
    }

    /// Keeps a delivery with everything that is to be done for it, unless its key is known.
    ///
    /// # Errors
    /// [`Busy`]: nothing was kept, and the sender has to try again.
    pub async fn keep(&self, _delivery: NewDelivery) -> Result<Kept, Busy> {
        unimplemented!()
    }

    /// Notes a refused message. Waits for nobody; under a flood some are only counted.
    pub fn note_refusal(&self, _refusal: Refusal) {
        unimplemented!()
    }

    /// Whether keys of a secret of a source were forgotten because of their age: then a message
    /// under it may be older than memory reaches, and has to be confirmed.
    pub fn has_forgotten(&self, _source: &str, _secret: &[u8; 16]) -> bool {
        unimplemented!()
    }

    /// What is due in a lane at a time, the longest due first, without those whose sequence is
    /// among `without`. In an ordered lane nothing comes before what is older and of the same order
    /// key. Blocks shortly: for the thread that does the work.
    ///
    /// # Errors
    /// What the database says.
    pub fn due(
        &self,
        _lane: &Lane,
        _now_millis: u64,
        _ordered: bool,
        _most: usize,
        _without: &HashSet<i64>,
    ) -> Result<Vec<Task>, JournalFault> {
        unimplemented!()
    }

    /// When the next task of a lane is due, in Unix milliseconds.
    ///
    /// # Errors
    /// What the database says.
    pub fn next_due(&self, _lane: &Lane) -> Result<Option<u64>, JournalFault> {
        unimplemented!()
    }

    /// Writes down what came of a task.
    ///
    /// # Errors
    /// [`Busy`]: it is as if it had not been tried; it will be tried again.
    pub async fn settle(&self, _sequence: i64, _work: Work, _settled: Settled) -> Result<(), Busy> {
        unimplemented!()
    }

    /// Resolves after the next commit that brought work, or that another process made.
    /// Subscribe (call) before reading, await after: then no wake is missed.
    pub fn changed(&self) -> tokio::sync::futures::OwnedNotified {
        unimplemented!()
    }

    /// Stops a destination (410): nothing is delivered to it until it is resumed.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn stop_destination(&self, _name: &str, _why: &str) -> Result<(), Busy> {
        unimplemented!()
    }

    /// Destinations that are stopped, with why.
    ///
    /// # Errors
    /// What the database says.
    pub fn stopped(&self) -> Result<BTreeMap<String, String>, JournalFault> {
        unimplemented!()
    }

    /// How much it holds. Blocks shortly.
    ///
    /// # Errors
    /// What the database says.
    pub fn usage(&self) -> Result<Usage, JournalFault> {
        unimplemented!()
    }

    /// Why nothing could be written the last time, if so: for the log.
    pub fn fault(&self) -> Option<String> {
        unimplemented!()
    }
}

/// The journal as an operator sees it, beside or without a running gate.
pub struct Desk {}

impl Desk {
    /// Opens the journal of a state folder, which must be there.
    ///
    /// # Errors
    /// What the file or the database says.
    pub fn open(_folder: &Path, _clock: Clock) -> Result<Self, JournalFault> {
        unimplemented!()
    }

    /// Deliveries that a filter means, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn list(&self, _filter: &Filter, _most: usize) -> Result<Vec<Delivery>, JournalFault> {
        unimplemented!()
    }

    /// Deliveries after a place in the journal, the oldest first: to follow what comes.
    ///
    /// # Errors
    /// What the database says.
    pub fn after(&self, _filter: &Filter, _most: usize) -> Result<Vec<Delivery>, JournalFault> {
        unimplemented!()
    }

    /// One delivery with all that happened to it.
    ///
    /// # Errors
    /// What the database says.
    pub fn show(&self, _id: &str) -> Result<Option<History>, JournalFault> {
        unimplemented!()
    }

    /// Refused messages, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn refusals(
        &self,
        _source: Option<&str>,
        _most: usize,
    ) -> Result<Vec<RefusalRow>, JournalFault> {
        unimplemented!()
    }

    /// Has deliveries delivered once more: the same id, new attempts, the whole schedule anew. What
    /// is held, disagreed about or still being confirmed is delivered only where `unconfirmed`
    /// says that the operator answers for it; else it is confirmed anew. Gives how many.
    ///
    /// # Errors
    /// What the database says; nothing was changed.
    pub fn replay(&self, _filter: &Filter, _unconfirmed: bool) -> Result<u64, JournalFault> {
        unimplemented!()
    }

    /// Lets a stopped destination have deliveries again. Gives whether it was stopped.
    ///
    /// # Errors
    /// What the database says.
    pub fn resume(&self, _destination: &str) -> Result<bool, JournalFault> {
        unimplemented!()
    }

    /// Destinations that are stopped, with why.
    ///
    /// # Errors
    /// What the database says.
    pub fn stopped(&self) -> Result<BTreeMap<String, String>, JournalFault> {
        unimplemented!()
    }
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
