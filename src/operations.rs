//! The operations listener: `/metrics`, `/healthz`, `/readyz`, `/findings`, which read what others
//! keep and change nothing, and the admin API, which has rules of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use prometheus::Registry;
use serde_json::json;

use crate::clock::{Clock, ClockState};
use crate::console::Console;
use crate::doctor::{Finding, Mistake, Practice};
use crate::peer::Peer;
use crate::replay::{Memory, NotReady};
use crate::serve::{Arriving, Drain, Handler, Tls};
use crate::telemetry::encode;

/// What operators and their programs ask.
pub struct Operations {
    registry: Registry,
    readiness: Readiness,
    practice: Arc<Practice>,
    /// Brings the gauges up to date that nobody counts along.
    refresh: Box<dyn Fn()>,
    console: Option<Console>,
}

/// Whether the gate can take requests, and if not, why.
#[derive(Clone)]
pub struct Readiness {
    clock: Clock,
    memory: Arc<Memory>,
    drain: Drain,
    tls: Arc<Tls>,
    /// Whether the store of keys is out of reach, for whoever finds out.
    pub stale: Arc<AtomicBool>,
}

/// A reason not to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The gate was told to stop.
    Draining,
    /// The wall clock jumped ahead and the jump does not count yet.
    ClockSteppedAhead,
    /// The wall clock is far behind the gate's time.
    ClockBehind,
    /// What was accepted before the start is not known yet.
    PastUnknown,
    /// The mark in the state folder cannot be written.
    MarkOverdue,
    /// The store of keys is out of reach: revocations may not have arrived.
    KeysStale,
    /// The listener has no certificate yet: the authority has issued none.
    CertificateMissing,
}

impl Obstacle {
    /// Every obstacle.
    pub const ALL: [Self; 7] = [
        Self::Draining,
        Self::ClockSteppedAhead,
        Self::ClockBehind,
        Self::PastUnknown,
        Self::MarkOverdue,
        Self::KeysStale,
        Self::CertificateMissing,
    ];

    /// Its name in answers and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::ClockSteppedAhead => "clock_stepped_ahead",
            Self::ClockBehind => "clock_behind",
            Self::PastUnknown => "past_unknown",
            Self::MarkOverdue => "mark_overdue",
            Self::KeysStale => "keys_stale",
            Self::CertificateMissing => "certificate_missing",
        }
    }
}

impl Readiness {
    /// Asks these; `tls` has the certificates of the listener.
    pub fn new(clock: Clock, memory: Arc<Memory>, drain: Drain, tls: Arc<Tls>) -> Self {
        Self { clock, memory, drain, tls, stale: Arc::default() }
    }

    /// Everything that is in the way; nothing when the gate is ready.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let draining = self.drain.has_begun().then_some(Obstacle::Draining);
        let clock = match self.clock.state() {
            ClockState::Good => None,
            ClockState::SteppedAhead { .. } => Some(Obstacle::ClockSteppedAhead),
            ClockState::Behind { .. } => Some(Obstacle::ClockBehind),
        };
        let memory = match self.memory.ready(self.clock.now()) {
            Ok(()) => None,
            Err(NotReady::PastUnknown { .. }) => Some(Obstacle::PastUnknown),
            Err(NotReady::MarkOverdue { .. }) => Some(Obstacle::MarkOverdue),
            Err(NotReady::Closed) => Some(Obstacle::Draining),
        };
        let keys = self.stale.load(Ordering::Relaxed).then_some(Obstacle::KeysStale);
        let bare = (!self.tls.has_certificate()).then_some(Obstacle::CertificateMissing);
        let mut all: Vec<_> = [draining, clock, memory, keys, bare].into_iter().flatten().collect();
        all.dedup();
        all
    }
}

impl Operations {
    /// Answers from a registry, a readiness and the doctor's notes; `refresh` runs before every
    /// scrape. Without a console there is no admin API.
    pub fn new(
        registry: Registry,
        readiness: Readiness,
        practice: Arc<Practice>,
        refresh: Box<dyn Fn()>,
        console: Option<Console>,
    ) -> Self {
        Self { registry, readiness, practice, refresh, console }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const JSON: &str = "application/json";
        if *method != Method::GET && *method != Method::HEAD {
            let text = json!({ "error": "only GET and HEAD" }).to_string();
            return text_answer(StatusCode::METHOD_NOT_ALLOWED, JSON, text.into());
        }
        match path {
            "/metrics" => {
                (self.refresh)();
                match encode(&self.registry) {
                    Ok(text) => text_answer(StatusCode::OK, "text/plain; version=0.0.4", text),
                    Err(_) => text_answer(StatusCode::INTERNAL_SERVER_ERROR, JSON, Vec::new()),
                }
            }
            "/healthz" => text_answer(StatusCode::OK, JSON, b"{\"alive\":true}".to_vec()),
            "/readyz" => {
                let obstacles = self.readiness.obstacles();
                let names: Vec<_> = obstacles.iter().map(|one| one.as_str()).collect();
                let status = match names.is_empty() {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                let text = json!({ "ready": names.is_empty(), "obstacles": names }).to_string();
                text_answer(status, JSON, text.into())
            }
            "/findings" => {
                let findings = self.practice.findings();
                let findings: Vec<_> = findings.iter().map(finding).collect();
                let text = json!({ "findings": findings }).to_string();
                text_answer(StatusCode::OK, JSON, text.into())
            }
            _ => {
                let paths = ["/metrics", "/healthz", "/readyz", "/findings"];
                let text = json!({ "paths": paths }).to_string();
                text_answer(StatusCode::NOT_FOUND, JSON, text.into())
            }
        }
    }
}

/// What the doctor found about one refused request.
fn finding(finding: &Finding) -> serde_json::Value {
    json!({
        "at": finding.at.secs(),
        "request_id": finding.request_id.as_str(),
        "key_id": &*finding.owner.key_id,
        "merchant": &*finding.owner.merchant,
        "environment": finding.owner.environment,
        "mistake": finding.mistake.map(Mistake::code),
        "hint": finding.mistake.map(Mistake::hint),
    })
}

impl Handler for Operations {
    type Body = Full<Bytes>;

    async fn handle(
        &self,
        head: Box<Parts>,
        body: Arriving,
        peer: &Rc<Peer>,
    ) -> Response<Full<Bytes>> {
        match &self.console {
            Some(console) if Console::owns(head.uri.path()) => {
                console.handle(head, body, peer.ip).await
            }
            _ => self.answer(&head.method, head.uri.path()),
        }
    }
}

fn text_answer(status: StatusCode, kind: &'static str, text: Vec<u8>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
