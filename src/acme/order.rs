//! One order, from the name to the chain (RFC 8555, section 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, RsaKeySize,
};
use zeroize::Zeroizing;

use super::answers::{Answers, Shown};
use super::fault::{Fault, Reason};
use super::{CertificateKey, Challenge, Spec};

/// How often it is looked how far the authority is: what took a while is seen within a fifth of it.
/// The order's own deadline ends it.
const LOOK: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.2)
    .timeout(Duration::from_secs(24 * 3600));
/// The longest token: those of authorities have 43 bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// An order that is being made for one name.
pub(super) struct Ordering<'a> {
    pub(super) account: &'a Account,
    pub(super) spec: &'a Spec,
    pub(super) name: &'a str,
    pub(super) answers: &'a Answers,
}

impl Ordering<'_> {
    /// Makes the order and sees it through: the new key and the chain, in one PEM text. `replaced`
    /// names the certificate that it is instead of (RFC 9773, section 5).
    pub(super) async fn obtain(
        &self,
        replaced: Option<CertificateIdentifier<'_>>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut order = match self.begin(replaced.clone()).await {
            // It may be about what is replaced: another order was first, or nobody knows it there.
            Err(Fault { reason: Reason::Refused, .. }) if replaced.is_some() => {
                self.begin(None).await?
            }
            order => order?,
        };
        if order.state().status == OrderStatus::Pending {
            let _shown = self.prove(&mut order).await?;
            self.be_seen(&mut order).await?;
        }
        let key = self.make_key()?;
        order.finalize_csr(&self.request_for(&key)?).await?;
        let chain = match order.poll_certificate(&LOOK).await {
            Err(Error::Str(_)) if order.state().status == OrderStatus::Invalid => {
                return Err(Fault::new(Reason::Refused, "the authority ended the order"));
            }
            chain => chain?,
        };
        let mut pem = Zeroizing::new(key.serialize_pem().into_bytes());
        // In one piece, so that no part of the key is left behind where it grew.
        let mut whole = Zeroizing::new(Vec::with_capacity(pem.len() + chain.len() + 1));
        whole.append(&mut pem);
        whole.push(b'\n');
        whole.extend_from_slice(chain.as_bytes());
        Ok(whole)
    }

    async fn begin(&self, replaced: Option<CertificateIdentifier<'_>>) -> Result<Order, Fault> {
        let names = [Identifier::Dns(self.name.to_owned())];
        let new = NewOrder::new(&names);
        let new = self.spec.profile.iter().fold(new, |new, profile| new.profile(profile));
        let new = replaced.into_iter().fold(new, NewOrder::replaces);
        Ok(self.account.new_order(&new).await?)
    }

    /// Shows the authority that the name leads here, if it does not know.
    async fn prove(&self, order: &mut Order) -> Result<Option<Shown<'_>>, Fault> {
        if order.state().authorizations.len() != 1 {
            return Err(Fault::unreadable("not one authorization for one name"));
        }
        let mut authorizations = order.authorizations();
        let Some(authorization) = authorizations.next().await else { return Ok(None) };
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            return Ok(None);
        }
        if authorization.identifier().to_string() != self.name {
            return Err(Fault::unreadable("an authorization for another name"));
        }
        let wanted = self.spec.challenge;
        let Some(mut challenge) = authorization.challenge(kind(wanted)) else {
            let detail = format!("the authority offers no {} for this name", wanted.as_str());
            return Err(Fault::new(Reason::ChallengeFailed, detail));
        };
        let (token, proof) = (challenge.token.clone(), challenge.key_authorization());
        if !is_token(&token) {
            return Err(Fault::unreadable("a challenge without a good token"));
        }
        let shown = self.answers.show(wanted, self.name, token, proof.as_str())?;
        match challenge.set_ready().await {
            Err(Error::Api(problem)) => Err(Fault::told(&problem, Reason::ChallengeFailed)),
            outcome => Ok(outcome.map(|()| Some(shown))?),
        }
    }

    /// Waits until the authority has seen what is shown.
    async fn be_seen(&self, order: &mut Order) -> Result<(), Fault> {
        let unseen = match order.poll_ready(&LOOK).await {
            Ok(OrderStatus::Ready) => return Ok(()),
            Ok(_) => Fault::new(Reason::ChallengeFailed, "the authority did not see the proof"),
            Err(Error::Api(problem)) => Fault::told(&problem, Reason::ChallengeFailed),
            Err(error) => return Err(error.into()),
        };
        let mut authorizations = order.authorizations();
        let Some(authorization) = authorizations.next().await else { return Err(unseen) };
        let (mut authorization, wanted) = (authorization?, kind(self.spec.challenge));
        let all = authorization.refresh().await?.challenges.iter();
        let problem = all.filter(|one| one.r#type == wanted).find_map(|one| one.error.as_ref());
        Err(problem.map_or(unseen, |problem| Fault::told(problem, Reason::ChallengeFailed)))
    }

    fn make_key(&self) -> Result<Zeroizing<KeyPair>, Fault> {
        let made = match self.spec.key {
            CertificateKey::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            CertificateKey::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            CertificateKey::Rsa2048 => {
                KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            }
        };
        made.map(Zeroizing::new).map_err(Fault::local)
    }

    /// What the authority is to sign, in DER (RFC 2986).
    fn request_for(&self, key: &KeyPair) -> Result<Vec<u8>, Fault> {
        let params = CertificateParams::new(vec![self.name.to_owned()]);
        let mut params = params.map_err(Fault::local)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(Fault::local)?;
        Ok(request.der().to_vec())
    }
}

fn kind(challenge: Challenge) -> ChallengeType {
    match challenge {
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Challenge::Http01 => ChallengeType::Http01,
    }
}

fn is_token(token: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
