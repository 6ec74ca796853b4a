//! A webhook with all that happened to it. Values that may be signatures or tokens are not shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Item, desk, moment, note};
use crate::administration::form::Moment;
use crate::administration::verb::Output;
use crate::administration::{Code, Office, Problem};
use crate::clock::Timestamp;
use crate::journal::{Attempt, Facts, History, Work};
use crate::store::Actor;

/// Header fields whose values are shown. Any other may be a signature or a token.
const SHOWN: [&str; 6] =
    ["content-type", "content-length", "content-encoding", "date", "host", "user-agent"];

/// Which webhook to show.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Its id.
    pub delivery: String,
    /// Show its body as well, which may hold what a payer would not want to be read. That it was
    /// read is in the audit log.
    #[serde(default)]
    pub body: bool,
}

/// A header field as it came.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Bytes of its value.
    pub bytes: u64,
    /// Its value, where it can be neither a signature nor a token.
    pub value: Option<String>,
}

/// Something that was tried.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Try {
    /// What: `confirm`, `post_back` or `deliver`.
    pub work: String,
    /// When it began.
    pub at: Moment,
    /// What came of it.
    pub outcome: String,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub took_millis: u64,
    /// Its own name.
    pub attempt: String,
}

/// Something that is to be done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Due {
    /// What: `confirm`, `post_back` or `deliver`.
    pub work: String,
    /// When.
    pub at: Moment,
}

/// What was found out by asking.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Found {
    /// Who was asked: `provider`, `merchant`, both with a comma, or `operator`.
    pub asked: String,
    /// The state that the provider gives.
    pub state: Option<String>,
    /// Where they disagree.
    pub differences: Vec<String>,
    /// When.
    pub at: Moment,
}

/// A webhook with all that happened to it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Detail {
    /// What a list shows of it.
    #[serde(flatten)]
    pub item: Item,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Bytes of its query, which may hold a signature.
    pub query_bytes: Option<u64>,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// The scheme that it was verified by.
    pub scheme: String,
    /// How much that proves: `full`, `partial`, `token` or `none`.
    pub strength: String,
    /// Which secret verified it: its number; none: it is unsigned.
    pub secret_version: Option<u32>,
    /// The time that it states.
    pub stated_at: Option<Moment>,
    /// What the provider calls it.
    pub provider_id: Option<String>,
    /// Why it had to be confirmed, where it had to.
    pub must_confirm: Option<String>,
    /// What was found out by asking.
    pub confirmation: Option<Found>,
    /// What it says.
    pub facts: Facts,
    /// Its body as text, where that was asked for and it is UTF-8.
    pub body: Option<String>,
    /// Its body in base64, where that was asked for and it is not.
    pub body_base64: Option<String>,
    /// Its header fields.
    pub headers: Vec<Header>,
    /// What was tried, the oldest first; of more than 50, the first and the last 25.
    pub attempts: Vec<Try>,
    /// What is still to be done.
    pub due: Vec<Due>,
}

impl Output for Detail {}

pub(super) fn show(office: &Office, actor: &Actor, input: Show) -> Result<Detail, Problem> {
    let found = desk(office)?.show(&input.delivery)?;
    let missing = || Problem::new(Code::NotFound, format!("there is no {}", input.delivery));
    let history = found.ok_or_else(missing)?;
    if input.body {
        note(office, actor, ("inbox.body_shown", &input.delivery), json!({}), None)?;
    }
    Ok(detail(&history, input.body))
}

fn detail(history: &History, with_body: bool) -> Detail {
    let one = &history.delivery;
    let (path, query) = match one.target.split_once('?') {
        Some((path, query)) => (path, Some(length(query.len()))),
        None => (&*one.target, None),
    };
    let text = std::str::from_utf8(&one.body).ok();
    let confirmation = one.confirmation.as_ref().map(|found| Found {
        asked: found.asked.clone(),
        state: found.state.clone(),
        differences: found.differences.clone(),
        at: moment(found.at_millis),
    });
    Detail {
        item: Item::from(one),
        method: one.method.clone(),
        path: path.to_owned(),
        query_bytes: query,
        body_bytes: length(one.body.len()),
        scheme: one.verdict.scheme.clone(),
        strength: one.verdict.strength.clone(),
        secret_version: one.verdict.secret_version,
        stated_at: one.verdict.stated.map(|secs| Moment(Timestamp::from_secs(secs))),
        provider_id: one.verdict.provider_id.clone(),
        must_confirm: one.verdict.must_confirm.clone(),
        confirmation,
        facts: one.facts.clone(),
        body: text.filter(|_| with_body).map(str::to_owned),
        body_base64: (with_body && text.is_none()).then(|| STANDARD.encode(&one.body)),
        headers: one.headers.iter().map(|(name, value)| header(name, value)).collect(),
        attempts: history.attempts.iter().map(|(work, one)| tried(*work, one)).collect(),
        due: history.due.iter().map(|(work, at)| due(*work, *at)).collect(),
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn header(name: &str, value: &[u8]) -> Header {
    let shown = SHOWN.iter().any(|own| own.eq_ignore_ascii_case(name));
    let text = shown.then(|| String::from_utf8_lossy(value).into_owned());
    Header { name: name.to_owned(), bytes: length(value.len()), value: text }
}

fn tried(work: Work, attempt: &Attempt) -> Try {
    Try {
        work: word(work).to_owned(),
        at: moment(attempt.at_millis),
        outcome: attempt.outcome.clone(),
        status: attempt.status,
        took_millis: attempt.took_millis,
        attempt: attempt.id.clone(),
    }
}

fn due(work: Work, at_millis: u64) -> Due {
    Due { work: word(work).to_owned(), at: moment(at_millis) }
}

fn word(work: Work) -> &'static str {
    match work {
        Work::Confirm => "confirm",
        Work::PostBack => "post_back",
        Work::Deliver => "deliver",
    }
}
