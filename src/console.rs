//! The admin API on the operations listener: every verb of `administration` over HTTP.
//!
//! Routes, inputs and the OpenAPI document are made from the table of verbs and from nothing else.
//! Promises that a verb is run only for a token that is good, may do it and is for its merchant,
//! and that no call holds up the listener: the store is asked on few threads beside it.
//! Must never be done here: deciding anything about keys. That is a verb's.

mod answer;
mod body;
mod desk;
mod input;
pub mod openapi;
mod operator;
mod permit;
mod refusal;
mod route;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Method, Response};
use http_body::Body as _;
use http_body_util::Full;
use prometheus::{IntCounter, IntCounterVec};
use serde_json::{Map, Value};

use crate::administration::{Office, Verb};
use crate::clock::Clock;
use crate::crypto::{Bytes32, random};
use crate::serve::Arriving;
use crate::telemetry::Log;

use desk::Desk;
pub use refusal::codes;
use refusal::{Code, Refusal};
pub use route::{Found, Routes};

/// Where everything of the admin API begins.
pub const ROOT: &str = "/admin/v1";
/// Where the description of the API is, which needs no token.
pub const DOCUMENT: &str = "/admin/v1/openapi.json";

/// Finds the store of a gate, as soon as there is one. May block.
pub type FindOffice = Box<dyn Fn() -> Option<Office> + Send + Sync>;

/// The admin API.
pub struct Console {
    routes: Routes,
    document: Bytes,
    desk: Arc<Desk>,
}

/// Where calls are counted.
#[derive(Clone, Debug)]
pub struct Counters {
    /// By verb and code.
    pub calls: IntCounterVec,
    /// Where the store did not answer.
    pub store_failures: IntCounter,
}

/// One call, as log and audit see it.
#[derive(Clone, Debug)]
struct Call {
    /// Its id: 32 hexadecimal digits.
    id: String,
    ip: IpAddr,
    verb: Option<&'static Verb>,
    /// What it is about: the members of its path.
    object: String,
    /// The id of the token, once it is known to be good.
    operator: Option<String>,
    started: Instant,
}

/// A call whose input is whole.
struct Ready {
    verb: &'static Verb,
    token: Bytes32,
    input: Map<String, Value>,
}

impl Console {
    /// An API over the store that `office` finds; calls are logged and counted.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(office: FindOffice, clock: Clock, log: Log, counters: Counters) -> io::Result<Self> {
        // A first refusal must show as an increase, not as a new series.
        counters.calls.with_label_values(&["none", Code::Unauthorized.as_str()]).reset();
        Ok(Self {
            routes: Routes::new(),
            document: Bytes::from(openapi::document().to_string()),
            desk: Arc::new(Desk::new(office, clock, log, counters)?),
        })
    }

    /// Whether a path is the admin API's.
    pub fn owns(path: &str) -> bool {
        path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        head: Box<Head>,
        mut body: Arriving,
        ip: IpAddr,
    ) -> Response<Full<Bytes>> {
        let path = head.uri.path();
        if head.method == Method::OPTIONS
            && let Some(allowed) = self.methods(path)
        {
            return answer::options(&head, &allowed);
        }
        if path == DOCUMENT && [Method::GET, Method::HEAD].contains(&head.method) {
            return answer::document(&head, &self.document);
        }
        let mut call = Call::new(ip);
        let done = match self.admit(&mut call, &head, &mut body).await {
            Ok(ready) => Desk::carry_out(&self.desk, &call, ready).await,
            Err(refusal) => {
                self.desk.note(&call, Some(&refusal));
                Err(refusal)
            }
        };
        let unread = !body.is_end_stream();
        let now = self.desk.now();
        match done {
            Ok(outcome) => answer::outcome(&call, &head, &self.routes, outcome),
            Err(refusal) => answer::refusal(&call, &head, &refusal, unread, now),
        }
    }

    /// The methods that a path takes; none where nothing answers.
    fn methods(&self, path: &str) -> Option<Vec<&'static str>> {
        match path {
            DOCUMENT => Some(vec!["GET", "HEAD", "OPTIONS"]),
            _ => self.routes.methods(path),
        }
    }

    /// Every call passes these steps, in this order, or is refused.
    async fn admit(
        &self,
        call: &mut Call,
        head: &Head,
        body: &mut Arriving,
    ) -> Result<Ready, Refusal> {
        let path = head.uri.path();
        let found = self.routes.find(&head.method, path);
        let found = found.ok_or_else(|| Refusal::nothing_at(self.methods(path)))?;
        call.is_for(&found);
        let token = operator::token(&head.headers);
        let token = token.map_err(|why| self.desk.weigh(Refusal::Unauthorized(why), call))?;
        let (operator, permitted) = Desk::admit(&self.desk, call, found.verb, token).await?;
        call.operator = Some(operator);
        permitted?;
        let _place = if body.is_end_stream() { None } else { Some(self.desk.place()?) };
        let body = body::read(&head.headers, found.verb.method, body).await?;
        let input = input::read(&found, head, body)?;
        Ok(Ready { verb: found.verb, token, input })
    }
}

impl Call {
    fn new(ip: IpAddr) -> Self {
        let id = random::<16>().map(u128::from_be_bytes).unwrap_or_default();
        Self {
            id: format!("{id:032x}"),
            ip,
            verb: None,
            object: String::new(),
            operator: None,
            started: Instant::now(),
        }
    }

    fn is_for(&mut self, found: &Found) {
        self.verb = Some(found.verb);
        self.object = found.object();
    }
}
