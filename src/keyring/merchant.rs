//! What configuration says of merchants and their credentials, before it becomes a keyring.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::keyring::lifecycle::State;
use crate::limit::Rate;
use crate::roll::Material;
use crate::scheme::{Scheme, VerifyingKey};
use crate::target::{PathFault, PathPattern};

/// The public name of a credential: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

/// Why text is not a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 1 to 128 visible ASCII characters")]
pub struct KeyIdFault;

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id, not copied.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdFault;

    fn from_str(text: &str) -> Result<Self, KeyIdFault> {
        let good = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if good { Ok(Self(text.into())) } else { Err(KeyIdFault) }
    }
}

impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Test and live never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// For trying things out.
    Test,
    /// For real money.
    Live,
}

impl Environment {
    /// The name in configuration, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// What a credential may call: `POST /v1/orders`, `GET /v1/*`, `* /v1/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    method: Option<Method>,
    path: PathPattern,
}

/// Why text is not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeFault {
    /// Not `METHOD PATH`.
    #[error("a scope is a method (or *), a space and a path, such as \"POST /v1/orders\"")]
    Form,
    /// A method that is no token.
    #[error("the method is not one")]
    Method,
    /// A path that no request can have.
    #[error(transparent)]
    Path(#[from] PathFault),
}

impl Scope {
    /// Whether a request with this method and raw path falls under the scope.
    pub fn allows(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|own| own == method) && self.path.matches(path)
    }
}

impl FromStr for Scope {
    type Err = ScopeFault;

    fn from_str(text: &str) -> Result<Self, ScopeFault> {
        let (method, path) = text.split_once(' ').ok_or(ScopeFault::Form)?;
        let method = match method {
            "*" => None,
            name => Some(Method::from_bytes(name.as_bytes()).map_err(|_| ScopeFault::Method)?),
        };
        Ok(Self { method, path: path.parse()? })
    }
}

/// One merchant as configuration states it.
#[derive(Debug)]
pub struct MerchantSpec {
    /// Its id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub id: Arc<str>,
    /// What all its credentials may do together.
    pub rate: Rate,
    /// Networks that its credentials may call from; empty: any.
    pub addresses: Vec<IpNet>,
    /// Its credentials.
    pub credentials: Vec<CredentialSpec>,
}

/// One credential as configuration states it.
#[derive(Debug)]
pub struct CredentialSpec {
    /// Its public key id.
    pub key_id: KeyId,
    /// Test or live.
    pub environment: Environment,
    /// The one scheme that its secrets sign by.
    pub scheme: Arc<Scheme>,
    /// What its bodies are sealed in, on routes that ask for that.
    pub envelope: Option<Arc<Envelope>>,
    /// What signs answers, where the scheme signs them with a secret of their own.
    pub answer_key: Option<VerifyingKey>,
    /// What its keys roll by, on routes that ask for that.
    pub rolling: Option<Material>,
    /// What it may do by itself; none: as much as its merchant.
    pub rate: Option<Rate>,
    /// Networks that it may call from, within those of its merchant; empty: as its merchant.
    pub addresses: Vec<IpNet>,
    /// What it may call; empty: everything (only for schemes that sign method and target).
    pub scopes: Vec<Scope>,
    /// Whether a GET or HEAD without a body may repeat with other targets under one MAC, where the
    /// scheme signs neither method nor target.
    pub repeatable_reads: bool,
    /// The last second in which it is good; none: no end.
    pub expires: Option<Timestamp>,
    /// Out of use for now.
    pub suspended: bool,
    /// Its secrets, 1 to 4.
    pub versions: Vec<VersionSpec>,
}

/// One secret version as configuration states it.
#[derive(Debug)]
pub struct VersionSpec {
    /// The secret, ready for the credential's scheme.
    pub key: VerifyingKey,
    /// Its number in the store; 0 for one that configuration states.
    pub number: u32,
    /// Its state.
    pub state: State,
    /// Pending, and verifies already: its first use makes it the active one.
    pub on_first_use: bool,
    /// The last second in which it verifies; always given for a retiring version.
    pub until: Option<Timestamp>,
}
