//! Answers by HTTP Message Signatures: `@status` says that it is one, and components of the request
//! bind it to that (RFC 9421 section 2.4).

use http::header::{HeaderName, HeaderValue};

use crate::clock::Timestamp;
use crate::scheme::algorithm::Method;
use crate::scheme::answer::{Answer, AnswerSecret, AnswerVerdict};
use crate::scheme::http_signatures::{Claims, Fault, Message, Request, Response, Statement};
use crate::scheme::{SignFault, VerifyingKey};

use super::Protocol;

impl Protocol {
    /// Whose secret signs answers: that of the request, unless the gate has but its public half.
    pub(in crate::scheme) fn answer_secret(&self) -> AnswerSecret {
        match self.method() {
            Method::Public(_) => AnswerSecret::Own,
            Method::Mac(_) | Method::Comparison => AnswerSecret::Request,
        }
    }

    /// The headers that make an answer signed.
    pub(in crate::scheme) fn sign_answer(
        &self,
        key: &VerifyingKey,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignFault> {
        let signer = key.signer.as_deref().ok_or(SignFault::PrivateKey)?;
        let statement =
            Statement { key_id: answer.key_id, created: now, expires: None, nonce: None };
        Ok(self.signatures.sign(signer, &statement, &message(answer), answer.body)?)
    }

    /// Whether the signature of an answer is good.
    pub(in crate::scheme) fn verify_answer(
        &self,
        key: &VerifyingKey,
        answer: &Answer<'_>,
    ) -> AnswerVerdict {
        let claims = match self.signatures.claims(answer.headers) {
            Ok(claims) => claims,
            Err(Fault::Missing(_)) => return AnswerVerdict::Absent,
            Err(_) => return AnswerVerdict::Bad,
        };
        match self.holds(key, answer, &claims) {
            Some(true) => AnswerVerdict::Good,
            _ => AnswerVerdict::Bad,
        }
    }

    fn holds(&self, key: &VerifyingKey, answer: &Answer<'_>, claims: &Claims) -> Option<bool> {
        let message = message(answer);
        let has_body = answer.body.iter().any(|piece| !piece.is_empty());
        self.signatures.check(claims, &message, has_body).ok()?;
        let mut digests = claims.body_digests(&message).ok()?;
        answer.body.iter().for_each(|piece| digests.update(piece));
        let mut state = key.ready.first()?.begin();
        claims.feed(&message, &mut |bytes| state.update(bytes)).ok()?;
        let whole = digests.finish();
        Some(state.finish().is(claims.signature()) && whole && claims.key_id() == answer.key_id)
    }
}

/// An answer as the protocol looks at it.
fn message<'a>(answer: &Answer<'a>) -> Message<'a> {
    let request = Request {
        method: answer.method,
        scheme: "https",
        authority: answer.authority,
        target: answer.target,
        headers: answer.request_headers,
    };
    Message::Response(Response { status: answer.status, headers: answer.headers }, request)
}
