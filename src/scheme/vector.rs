//! Trying a scheme on a whole message: its own vector when it loads, and the cases of anybody.

use std::fmt;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use crate::recipe::Subject;
use crate::secret::{NamedSecrets, Secret};

use super::algorithm::KeyFault;
use super::definition::Vector;
use super::{ClaimFault, Scheme};

/// Why a message does not verify.
#[derive(Debug)]
pub enum Refusal {
    /// It is no message: what is wrong with it.
    Message(String),
    /// The secret is none for this scheme.
    Key(KeyFault),
    /// A claim is absent or malformed.
    Claim(ClaimFault),
    /// The signature is another, or something that is required does not hold.
    Signature,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(problem) => f.write_str(problem),
            Self::Key(fault) => fault.fmt(f),
            Self::Claim(fault) => fault.fmt(f),
            Self::Signature => f.write_str("the signature is not that of the message"),
        }
    }
}

impl Vector {
    /// Whether its message verifies under its secret. The time is not looked at.
    ///
    /// # Errors
    /// Why it does not.
    pub fn verify(&self, scheme: &Scheme) -> Result<(), Refusal> {
        let mut values = NamedSecrets::default();
        for (name, value) in &self.values {
            values.insert(name, value.clone().into_bytes());
        }
        let secret = Secret::of_any_length(self.secret.clone().into_bytes());
        let key = scheme.key(&secret, values).map_err(Refusal::Key)?;
        self.with_subject(|subject| {
            let claims = scheme.claims(&subject).map_err(Refusal::Claim)?;
            let verdict = scheme.verify(&[&key], &claims, subject).finish();
            verdict.matched.map(|_| ()).ok_or(Refusal::Signature)
        })?
    }

    /// Its message, for whoever looks at it.
    ///
    /// # Errors
    /// When it is no message.
    pub fn with_subject<T>(&self, look: impl FnOnce(Subject<'_>) -> T) -> Result<T, Refusal> {
        let problem = |text: &str| Refusal::Message(text.to_owned());
        let (scheme, rest) =
            self.url.split_once("://").ok_or_else(|| problem("the url has no scheme"))?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let target = if target.is_empty() { "/" } else { target };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let header = name.parse::<HeaderName>();
            let header = header.map_err(|_| problem("a header name is none"))?;
            let value = HeaderValue::from_str(value.trim_matches([' ', '\t']));
            headers.append(header, value.map_err(|_| problem("a header value is none"))?);
        }
        let host = match headers.get(HOST) {
            Some(host) => host.clone(),
            None => {
                let host = HeaderValue::from_str(authority);
                let host = host.map_err(|_| problem("the host is none"))?;
                headers.insert(HOST, host.clone());
                host
            }
        };
        let (body, values) = ([Bytes::from(self.body.clone())], NamedSecrets::default());
        Ok(look(Subject {
            method: &self.method,
            scheme,
            authority: host.to_str().unwrap_or_default(),
            target,
            headers: &headers,
            body: if self.body.is_empty() { &[] } else { &body },
            status: None,
            public_url: Some(&self.url),
            secret: None,
            values: &values,
        }))
    }
}
