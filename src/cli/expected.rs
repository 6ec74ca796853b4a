//! What a client knows of the answer to come: how its signature is checked, and how it is opened.

use std::sync::Arc;

use bytes::Bytes;
use countersign::recipe::Subject;
use countersign::scheme::{Answer, AnswerSecret, AnswerVerdict, Scheme, VerifyingKey};
use countersign::secret::{NamedSecrets, Secret};
use http::{HeaderMap, Request, Response};

use super::Failure;
use super::sealing::Sealing;

/// The answer to one signed request.
pub(crate) struct Expected {
    pub(crate) scheme: Arc<Scheme>,
    /// The key that signed the request.
    pub(crate) key: VerifyingKey,
    /// The envelope of request and answer.
    pub(crate) sealing: Option<Sealing>,
    pub(crate) key_id: String,
}

impl Expected {
    /// What checks the signature: the secret of the request, or another where the scheme wants
    /// one. None where the scheme signs no answers, or the other secret is not given.
    pub(crate) fn answer_key(&self, own: Option<Vec<u8>>) -> Result<Option<VerifyingKey>, Failure> {
        let own = match (self.scheme.answer_secret(), own) {
            (Some(AnswerSecret::Request), None) => return Ok(Some(self.key.clone())),
            (Some(AnswerSecret::Own), Some(own)) => own,
            (_, None) => return Ok(None),
            (_, Some(_)) => {
                return Err(Failure::usage(format_args!(
                    "--answer-secret-file: {} has no secret of its own for answers",
                    self.scheme.name()
                )));
            }
        };
        let secret = Secret::new(own).map_err(Failure::failed)?;
        self.scheme.key(&secret, self.key.values().clone()).map(Some).map_err(Failure::failed)
    }

    /// What is to be said of the signature of an answer.
    pub(crate) fn judge(
        &self,
        key: &VerifyingKey,
        request: &Request<Bytes>,
        answer: &Response<Bytes>,
    ) -> AnswerVerdict {
        let authority = request.uri().authority().map_or("", |authority| authority.as_str());
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let body = |bytes: &Bytes| if bytes.is_empty() { vec![] } else { vec![bytes.clone()] };
        let (sent, received) = (body(request.body()), body(answer.body()));
        let headers: &HeaderMap = request.headers();
        let values = NamedSecrets::default();
        let asked = Subject {
            method: request.method().as_str(),
            scheme: "https",
            authority,
            target,
            headers,
            body: &sent,
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        let claims = self.scheme.claims(&asked).ok();
        let nonce = claims.as_ref().and_then(|claims| claims.nonce()).unwrap_or_default();
        let answer = Answer {
            key_id: &self.key_id,
            nonce: &String::from_utf8_lossy(nonce),
            method: request.method().as_str(),
            authority,
            target,
            request_headers: headers,
            status: answer.status().as_u16(),
            headers: answer.headers(),
            body: &received,
        };
        self.scheme.verify_answer(key, &answer)
    }
}
