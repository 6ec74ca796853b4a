//! A configured sender of webhooks: everything that is known before a message comes.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::clock::Timestamp;
use crate::inbox::destination::Destination;
use crate::inbox::inquiry::{Call, Inquiry};
use crate::inbox::message::{Answers, Check, Reading};
use crate::keyring::{KeyId, Keyring, LIVE_VERSIONS_MAX};
use crate::limit::Window;
use crate::outbound::Caller;
use crate::scheme::{Scheme, Strength, VerifyingKey};
use crate::secret::NamedSecrets;
use crate::target::PathPattern;

/// A configured sender of webhooks.
pub struct Source {
    /// Its name in logs and metrics: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: Arc<str>,
    /// Hosts in lower case, without port; empty: any.
    pub hosts: Vec<String>,
    /// Its paths.
    pub path: PathPattern,
    /// Methods that bring messages.
    pub methods: Vec<Method>,
    /// Methods that are answered 200 and not looked at: how providers try an address out.
    pub probes: Vec<Method>,
    /// The scheme that its messages are signed by.
    pub scheme: Arc<Scheme>,
    /// Whose secrets verify them.
    pub keys: SourceKeys,
    /// Whether a message without any signature is taken, to be confirmed; never where it cannot be.
    pub unsigned: bool,
    /// How far a signed time may lie from now.
    pub window: Window,
    /// The largest body, in bytes.
    pub body_bytes_max: NonZeroUsize,
    /// The address under which the provider knows it, where the scheme signs that.
    pub public_url: Option<Arc<str>>,
    /// What is read of a message, and by what a repeated one is known.
    pub reading: Reading,
    /// What is answered.
    pub answers: Answers,
    /// How much a good signature proves, and what follows.
    pub strength: Strength,
    /// Whom to ask whether a message is true before it is delivered; none: nobody.
    pub confirm: Option<Confirm>,
    /// How fields are posted back to the provider.
    pub post_back: Option<PostBack>,
    /// Where its deliveries go.
    pub destination: Arc<Destination>,
    /// Header fields that are handed on with a delivery, beside those of the signature.
    pub pass: Vec<HeaderName>,
    /// How long the key of a repeated message is kept.
    pub remember: Duration,
    /// Values beside the secret that inquiries, post-backs and shape checks read as `cred:NAME`.
    pub values: NamedSecrets,
}

/// Whose secrets verify the messages of a source.
pub enum SourceKeys {
    /// Its own, from configuration.
    Own(Vec<SourceKey>),
    /// Those of a credential in the keyring, whichever they are when a message comes.
    Credential(KeyId),
}

/// One secret of a source.
pub struct SourceKey {
    /// Ready for the scheme.
    pub key: VerifyingKey,
    /// Its number: its place in configuration, from 1.
    pub number: u32,
    /// The first second in which it verifies.
    pub from: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

/// Whom to ask whether a message is true.
pub struct Confirm {
    /// The provider; none: only the merchant's own service is asked.
    pub provider: Option<Asked>,
    /// The merchant's service: what was ordered.
    pub order: Option<Asked>,
    /// The least time between two calls for this source.
    pub every: Duration,
    /// For how long a transaction may be pending or unknown before that is a disagreement.
    pub pending_for: Duration,
}

/// Somebody who is asked.
pub struct Asked {
    /// What.
    pub inquiry: Inquiry,
    /// Over which connections.
    pub caller: Caller,
}

/// How fields are posted back to the provider.
pub struct PostBack {
    /// The call.
    pub call: Call,
    /// Over which connections.
    pub caller: Caller,
    /// For which messages: a template of the reading's scope and the values for which it is done.
    pub when: Option<Check>,
}

/// A key that may verify a message now.
pub struct LiveKey<'k> {
    /// The key.
    pub key: &'k VerifyingKey,
    /// Its number.
    pub number: u32,
    /// Whether it is a pending version of a credential, which its first use makes the active one.
    pub pending: bool,
}

impl Source {
    /// Whether everything has to be confirmed: the scheme proves less than the whole body.
    pub fn must_confirm(&self) -> bool {
        self.strength < Strength::Full || self.unsigned
    }
}

impl SourceKeys {
    /// The keys that verify at a time, at most [`LIVE_VERSIONS_MAX`]; none where
    /// the credential is unknown, suspended, or of another scheme.
    pub fn live<'k>(
        &'k self,
        now: Timestamp,
        scheme: &Scheme,
        keyring: &'k Keyring,
    ) -> Vec<LiveKey<'k>> {
        match self {
            Self::Own(keys) => {
                let live = keys.iter().filter(|one| (one.from..=one.until).contains(&now));
                let live =
                    live.map(|one| LiveKey { key: &one.key, number: one.number, pending: false });
                live.take(LIVE_VERSIONS_MAX).collect()
            }
            Self::Credential(key_id) => {
                let live = keyring.live_versions(key_id.as_str(), scheme, now);
                let live =
                    live.map(|(key, by)| LiveKey { key, number: by.number, pending: by.pending });
                live.take(LIVE_VERSIONS_MAX).collect()
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All sources, and where their deliveries go: one snapshot, swapped whole.
#[derive(Debug, Default)]
pub struct Sources {
    /// Sources, the more telling path first.
    sources: Vec<Arc<Source>>,
}

impl Sources {
    /// Puts sources in the order in which they are tried.
    pub fn new(sources: Vec<Source>) -> Self {
        let mut sources: Vec<Arc<Source>> = sources.into_iter().map(Arc::new).collect();
        let rank = |source: &Arc<Source>| (source.path.precedence(), !source.hosts.is_empty());
        sources.sort_by_key(|source| std::cmp::Reverse(rank(source)));
        Self { sources }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The source for a host (without port, any case) and raw path, whatever the method.
    pub fn find(&self, host: &str, path: &str) -> Option<&Arc<Source>> {
        self.sources.iter().find(|source| {
            let of_host = |own: &String| own.eq_ignore_ascii_case(host);
            source.path.matches(path)
                && (source.hosts.is_empty() || source.hosts.iter().any(of_host))
        })
    }

    /// The source of a name.
    pub fn named(&self, name: &str) -> Option<&Arc<Source>> {
        self.sources.iter().find(|source| *source.name == *name)
    }

    /// Every source.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.iter()
    }
}
