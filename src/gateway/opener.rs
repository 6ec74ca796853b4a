//! What a route knows of sealed bodies: the envelope, whether clear bodies pass, and the envelope
//! made ready for the keys that came by.
//!
//! RSA, and keys that take thousands of rounds to derive, are worked out on other threads: a core
//! serves its other requests meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::Semaphore;

use crate::envelope::{CannotOpen, Envelope, Fixed, Message, Opened, Prepared};
use crate::recipe::Subject;
use crate::scheme::VerifyingKey;
use crate::secret::NamedSecrets;

/// Costly openings of one route at the same time; the others wait for their turn.
const TURNS: usize = 4;

/// How the bodies of a route are opened.
pub struct Opener {
    envelope: Arc<Envelope>,
    required: bool,
    /// By the place of the key in memory, which stays taken as long as the key is held here.
    ready: Mutex<HashMap<usize, Ready>>,
    turns: Arc<Semaphore>,
}

#[derive(Clone)]
struct Ready {
    _key: Arc<VerifyingKey>,
    prepared: Arc<Prepared>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("envelope", &self.envelope.name())
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

/// A message that owns what it says: to be looked at on another thread.
pub struct Sealed {
    /// The method.
    pub method: String,
    /// Host or `:authority` as sent.
    pub authority: String,
    /// Path and query as sent.
    pub target: String,
    /// The header fields as sent.
    pub headers: HeaderMap,
    /// The body in its pieces.
    pub body: Vec<Bytes>,
}

impl Sealed {
    fn subject<'s>(&'s self, values: &'s NamedSecrets) -> Subject<'s> {
        Subject {
            method: &self.method,
            scheme: "https",
            authority: &self.authority,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
            status: None,
            public_url: None,
            secret: None,
            values,
        }
    }
}

impl Opener {
    /// An envelope for a route; where it is not required, a body without anything sealed passes.
    pub fn new(envelope: Arc<Envelope>, required: bool) -> Self {
        let ready = Mutex::default();
        Self { envelope, required, ready, turns: Arc::new(Semaphore::new(TURNS)) }
    }

    /// The envelope.
    pub fn envelope(&self) -> &Arc<Envelope> {
        &self.envelope
    }

    /// Whether clear bodies are refused.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether it opens bodies that are sealed by a content coding.
    pub fn opens_codings(&self) -> bool {
        self.envelope.is_content_coding()
    }

    /// Opens a message by the key that signed it; nothing where nothing is sealed and need not be.
    ///
    /// # Errors
    /// When it cannot be opened, whatever the reason.
    pub async fn open(
        self: &Arc<Self>,
        key: &Arc<VerifyingKey>,
        message: Sealed,
    ) -> Result<Option<Opened>, CannotOpen> {
        self.work(key, move |own, prepared| own.look(prepared, &message)).await
    }

    /// Seals an answer for the key that signed its request.
    ///
    /// # Errors
    /// When the envelope cannot seal it.
    pub async fn seal(
        self: &Arc<Self>,
        key: &Arc<VerifyingKey>,
        text: Bytes,
    ) -> Result<Message, CannotOpen> {
        self.work(key, move |own, prepared| {
            own.envelope.seal(prepared, &text, &Fixed::default(), None)
        })
        .await
    }

    /// Does something with the envelope made ready for a key, on another thread where that takes
    /// long.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        key: &Arc<VerifyingKey>,
        work: impl FnOnce(&Self, &Prepared) -> Result<T, CannotOpen> + Send + 'static,
    ) -> Result<T, CannotOpen> {
        let ready = self.ready().get(&place(key)).cloned();
        match ready {
            Some(ready) if !self.envelope.is_costly() => work(self, &ready.prepared),
            ready => {
                let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| CannotOpen)?;
                let (own, key) = (Arc::clone(self), Arc::clone(key));
                let working = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    let ready = ready.map_or_else(|| own.prepare(&key), Ok)?;
                    work(&own, &ready.prepared)
                });
                // A panic in there is a defect, and no reason to pass a body on.
                working.await.map_err(|_| CannotOpen)?
            }
        }
    }

    fn look(&self, prepared: &Prepared, message: &Sealed) -> Result<Option<Opened>, CannotOpen> {
        let values = NamedSecrets::default();
        let subject = message.subject(&values);
        if !self.required && self.envelope.is_absent(prepared, &subject) {
            return Ok(None);
        }
        self.envelope.open(prepared, &subject).map(Some)
    }

    fn prepare(&self, key: &Arc<VerifyingKey>) -> Result<Ready, CannotOpen> {
        let prepared = self.envelope.prepare(Some(key.secret().expose()), key.values())?;
        let ready = Ready { _key: Arc::clone(key), prepared: Arc::new(prepared) };
        self.ready().insert(place(key), ready.clone());
        Ok(ready)
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<usize, Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(key: &Arc<VerifyingKey>) -> usize {
    Arc::as_ptr(key).addr()
}
