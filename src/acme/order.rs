//! One order, from the name to the chain (RFC 8555, section 7.4).

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, RsaKeySize,
};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::account::encode;
use super::answers::Answers;
use super::authority::{Account, Authority, Problem, fault_of, location, parse};
use super::fault::{Fault, Reason};
use super::{CertificateKey, Spec};

/// The first wait for something that the authority has under way; each further one is half as long
/// again.
const WAIT: Duration = Duration::from_millis(250);
/// The longest of these waits, whatever the authority says: the order's deadline ends them.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest token: those of authorities have 43 bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// An order as the authority sees it (RFC 8555, section 7.1.3).
#[derive(Deserialize)]
struct OrderDocument {
    status: Status,
    authorizations: Vec<String>,
    finalize: String,
    certificate: Option<String>,
    error: Option<Problem>,
}

/// What the authority has to see (RFC 8555, section 7.1.4).
#[derive(Deserialize)]
struct Authorization {
    identifier: Identifier,
    status: Status,
    challenges: Vec<ChallengeDocument>,
}

#[derive(Deserialize)]
struct Identifier {
    value: String,
}

#[derive(Deserialize)]
struct ChallengeDocument {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    token: Option<String>,
    error: Option<Problem>,
}

/// How far something is (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pending,
    Processing,
    Ready,
    Valid,
    #[serde(other)]
    Ended,
}

/// An order that is being made for one name.
pub(super) struct Ordering<'a> {
    pub(super) authority: &'a Authority<'a>,
    pub(super) account: &'a Account,
    pub(super) spec: &'a Spec,
    pub(super) name: &'a str,
    pub(super) answers: &'a Answers,
}

impl Ordering<'_> {
    /// Makes the order and sees it through: the new key and the chain, in one PEM text. `replaced`
    /// names the certificate that it is instead of (RFC 9773, section 5).
    pub(super) async fn obtain(&self, replaced: Option<&str>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let answer = match self.begin(replaced).await {
            Err(fault) if replaced.is_some() && fault.is("alreadyReplaced") => {
                self.begin(None).await?
            }
            outcome => outcome?,
        };
        let (url, order) = (location(&answer)?, parse::<OrderDocument>(&answer)?);
        if order.status == Status::Pending {
            let [authorization] = order.authorizations.as_slice() else {
                return Err(Fault::unreadable("not one authorization for one name"));
            };
            self.prove(authorization).await?;
        }
        let order = self.until(&url, |status| status != Status::Pending).await?;
        let key = self.make_key()?;
        let order = match order.status {
            Status::Ready => {
                let request = json!({ "csr": encode(&self.request_for(&key)?) });
                self.ask(&order.finalize, Some(&request)).await?;
                let ended = |status| matches!(status, Status::Valid | Status::Ended);
                self.until(&url, ended).await?
            }
            _ => order,
        };
        let place = order.certificate.filter(|_| order.status == Status::Valid);
        let Some(place) = place else {
            let problem = order.error.unwrap_or_default();
            return Err(told(problem, Reason::Refused, "the authority ended the order"));
        };
        let chain = self.ask(&place, None).await?;
        let mut pem = Zeroizing::new(key.serialize_pem().into_bytes());
        // In one piece, so that no part of the key is left behind where it grew.
        let mut whole = Zeroizing::new(Vec::with_capacity(pem.len() + chain.body().len() + 1));
        whole.append(&mut pem);
        whole.push(b'\n');
        whole.extend_from_slice(chain.body());
        Ok(whole)
    }

    async fn begin(&self, replaced: Option<&str>) -> Result<Response<Bytes>, Fault> {
        let mut order = json!({ "identifiers": [{ "type": "dns", "value": self.name }] });
        if let Some(order) = order.as_object_mut() {
            if let Some(profile) = &self.spec.profile {
                order.insert("profile".into(), json!(profile));
            }
            if let Some(replaced) = replaced {
                order.insert("replaces".into(), json!(replaced));
            }
        }
        self.ask(self.authority.new_order(), Some(&order)).await
    }

    /// Shows the authority that the name leads here, until it has seen it.
    async fn prove(&self, url: &str) -> Result<(), Fault> {
        let authorization: Authorization = parse(&self.ask(url, None).await?)?;
        if authorization.status == Status::Valid {
            return Ok(());
        }
        if authorization.identifier.value != self.name {
            return Err(Fault::unreadable("an authorization for another name"));
        }
        let wanted = self.spec.challenge;
        let offered = authorization.challenges.iter().find(|one| one.kind == wanted.as_str());
        let Some(challenge) = offered else {
            let detail = format!("the authority offers no {} for this name", wanted.as_str());
            return Err(Fault::new(Reason::ChallengeFailed, detail));
        };
        let token = challenge.token.as_deref().filter(|token| is_token(token));
        let token = token.ok_or_else(|| Fault::unreadable("a challenge without a good token"))?;
        let thumbprint = self.account.key.thumbprint();
        let _shown = self.answers.show(wanted, self.name, token, &thumbprint)?;
        self.ask(&challenge.url, Some(&json!({}))).await?;
        let mut wait = WAIT;
        loop {
            let answer = self.ask(url, None).await?;
            let now: Authorization = parse(&answer)?;
            match now.status {
                Status::Valid => return Ok(()),
                Status::Pending | Status::Processing => self.rest(&answer, &mut wait).await,
                Status::Ready | Status::Ended => {
                    let all = now.challenges.into_iter();
                    let problem = all.filter(|one| one.kind == wanted.as_str());
                    let problem = problem.filter_map(|one| one.error).next().unwrap_or_default();
                    let detail = "the authority did not see the proof";
                    return Err(told(problem, Reason::ChallengeFailed, detail));
                }
            }
        }
    }

    /// Looks at the order until it is as far as wanted.
    async fn until(
        &self,
        url: &str,
        enough: impl Fn(Status) -> bool,
    ) -> Result<OrderDocument, Fault> {
        let mut wait = WAIT;
        loop {
            let answer = self.ask(url, None).await?;
            let order: OrderDocument = parse(&answer)?;
            if enough(order.status) {
                return Ok(order);
            }
            self.rest(&answer, &mut wait).await;
        }
    }

    async fn rest(&self, answer: &Response<Bytes>, wait: &mut Duration) {
        let asked = self.authority.wait(answer).unwrap_or_default();
        tokio::time::sleep(asked.clamp(*wait, WAIT_MAX)).await;
        *wait = (*wait * 3 / 2).min(WAIT_MAX);
    }

    async fn ask(&self, url: &str, payload: Option<&Value>) -> Result<Response<Bytes>, Fault> {
        self.authority.ask(self.account, url, payload).await
    }

    fn make_key(&self) -> Result<Zeroizing<KeyPair>, Fault> {
        let made = match self.spec.key {
            CertificateKey::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            CertificateKey::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            CertificateKey::Rsa2048 => {
                KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            }
        };
        made.map(Zeroizing::new).map_err(|fault| local(&fault))
    }

    /// What the authority is to sign, in DER (RFC 2986).
    fn request_for(&self, key: &KeyPair) -> Result<Vec<u8>, Fault> {
        let params = CertificateParams::new(vec![self.name.to_owned()]);
        let mut params = params.map_err(|fault| local(&fault))?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(|fault| local(&fault))?;
        Ok(request.der().to_vec())
    }
}

fn local(fault: &rcgen::Error) -> Fault {
    Fault::new(Reason::Local, fault.to_string())
}

/// What the authority says, or `detail` where it says nothing.
fn told(problem: Problem, reason: Reason, detail: &str) -> Fault {
    let mut fault = fault_of(problem, reason, None);
    if fault.is("rateLimited") {
        fault.reason = Reason::RateLimited;
    }
    if fault.detail.is_empty() {
        detail.clone_into(&mut fault.detail);
    }
    fault
}

fn is_token(token: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
