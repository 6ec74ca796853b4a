//! What the doctor says of a request whose signature matched no key. It changes no decision: the
//! request is refused before anybody asks.
//!
//! Owners of test credentials are told the mistake with the refusal. Of live ones it is found out
//! after the answer, and kept for operators: nothing that a caller sees or can time depends on it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::doctor::{BODY_BYTES_MAX, Case, Finding, Mistake, Practice, Work, diagnose};
use crate::gateway::admission::OwnRoute;
use crate::gateway::admission::claims::subject;
use crate::gateway::admission::stated::Stated;
use crate::keyring::{Credential, Environment, VerifyingKeys};
use crate::recipe::Subject;
use crate::scheme::{Claims, VerifyingKey};
use crate::secret::NamedSecrets;
use crate::telemetry::RequestId;

/// How long after a refusal a live credential's request is looked into: its answer has left by
/// then.
const AFTER: Duration = Duration::from_millis(100);

/// Asks the doctor about a refused request, and gives the mistake that its caller may be told.
pub(super) fn ask(
    practice: &Arc<Practice>,
    stated: &Stated,
    keys: &VerifyingKeys<'_>,
) -> Option<Mistake> {
    let credential = keys.credential()?;
    if stated.body_bytes() > BODY_BYTES_MAX || !practice.admits(stated.peer.ip, stated.arrived()) {
        return None;
    }
    let patient = Patient {
        credential: Arc::clone(credential),
        route: Rc::clone(stated.route()),
        at: stated.now(),
        request_id: *stated.record.id(),
    };
    match credential.environment {
        Environment::Test => {
            let values = NamedSecrets::default();
            let url = patient.route.spec.public_url.as_deref();
            let message = subject(stated, stated.body(), url, &values);
            patient.examine(practice, message, stated.claims())
        }
        Environment::Live => {
            let saved = Saved::of(stated.head(), stated.authority().to_str(), stated.body());
            let practice = Arc::clone(practice);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(AFTER).await;
                let values = NamedSecrets::default();
                let message = saved.subject(patient.route.spec.public_url.as_deref(), &values);
                if let Ok(claims) = patient.route.spec.scheme.claims(&message) {
                    patient.examine(&practice, message, &claims);
                }
            });
            None
        }
    }
}

/// Whose request it is.
struct Patient {
    credential: Arc<Credential>,
    route: Rc<OwnRoute>,
    at: Timestamp,
    request_id: RequestId,
}

impl Patient {
    fn examine(
        &self,
        practice: &Practice,
        subject: Subject<'_>,
        claims: &Claims,
    ) -> Option<Mistake> {
        let keys: SmallVec<[&VerifyingKey; 4]> = self.credential.live_keys(self.at).collect();
        let others: SmallVec<[&VerifyingKey; 4]> = self.credential.resting_keys(self.at).collect();
        let scheme = &self.route.spec.scheme;
        let case = Case { scheme, subject, claims, keys: &keys, others: &others };
        let mistake = diagnose(case, Work::ONE_REQUEST);
        practice.note(Finding {
            at: self.at,
            request_id: self.request_id,
            owner: Arc::clone(&self.credential.owner),
            mistake,
        });
        mistake
    }
}

/// What is kept of a request until its answer has left.
struct Saved {
    method: Method,
    authority: String,
    target: String,
    headers: HeaderMap,
    body: Vec<Bytes>,
}

impl Saved {
    fn of<E>(head: &Parts, authority: Result<&str, E>, body: &[Bytes]) -> Self {
        Self {
            method: head.method.clone(),
            authority: authority.unwrap_or_default().to_owned(),
            target: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            headers: head.headers.clone(),
            body: body.to_vec(),
        }
    }

    fn subject<'a>(&'a self, public_url: Option<&'a str>, values: &'a NamedSecrets) -> Subject<'a> {
        Subject {
            method: self.method.as_str(),
            scheme: "https",
            authority: &self.authority,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
            status: None,
            public_url,
            secret: None,
            values,
        }
    }
}
