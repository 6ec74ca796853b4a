//! How a message is signed: claims out of it, and a verdict over bytes. Pure: no clock, no key
//! look-up, no network.
//!
//! A scheme is data: a [`Definition`] as its table states it, compiled by [`Scheme::compile`]. All
//! others know this face only: [`Scheme::claims`], [`Scheme::key`], [`Scheme::verify`] and
//! [`Scheme::coverage`].

mod algorithm;
mod answer;
mod claims;
mod compile;
mod content;
mod coverage;
mod decoy;
mod definition;
mod encoding;
mod form;
pub mod http_signatures;
mod key;
mod parts;
mod plan;
mod protocol;
mod sign;
#[cfg(test)]
mod tests;
mod time_unit;
mod vector;
mod verification;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use http::HeaderName;

use crate::limit::Window;

pub use algorithm::KeyFault;
pub use answer::{Answer, AnswerSecret, AnswerVerdict};
pub use claims::{ClaimFault, Claims};
pub use coverage::{ClaimCoverage, Coverage, Strength, Unfit};
pub use definition::{
    AnswerTable, Definition, Formula, MustList, Place, Respond, SchemeMistake, Vector,
};
pub use form::Form;
pub use key::VerifyingKey;
pub use parts::{Part, Piece, Written, one_line};
pub use sign::{Outgoing, SignFault};
pub use vector::Refusal;
pub use verification::{Verdict, Verification};

use answer::AnswerPlan;
use coverage::Facts;
use encoding::Encoding;
use plan::Plan;
use protocol::Protocol;
use time_unit::TimeUnit;

/// A way of signing messages.
pub struct Scheme {
    name: Box<str>,
    definition: Definition,
    time_unit: TimeUnit,
    encoding: Encoding,
    nonce_length: Option<(usize, usize)>,
    coverage: Coverage,
    strength: Strength,
    open: Vec<String>,
    unfit: Vec<Unfit>,
    facts: Facts,
    plans: Vec<(Box<str>, Plan)>,
    /// For the methods that have no plan of their own.
    rest: Option<Plan>,
    /// How answers are signed, where that is said.
    answer: Option<AnswerPlan>,
    /// In place of plans, where it is a protocol and no recipe.
    protocol: Option<Protocol>,
}

impl Scheme {
    /// Its name in configuration, logs and metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is written down as.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The protocol, where it is HTTP Message Signatures and no recipe.
    pub fn http_signatures(&self) -> Option<&http_signatures::HttpSignatures> {
        self.protocol.as_ref().map(Protocol::signatures)
    }

    /// What its signature binds.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// How much its signature proves.
    pub fn strength(&self) -> Strength {
        self.strength
    }

    /// What it leaves open, a sentence each, without a full stop.
    pub fn left_open(&self) -> &[String] {
        &self.open
    }

    /// Why it cannot guard a route of the gateway; nothing where it can. Some of it does not count
    /// on a route that remembers its requests.
    pub fn unfit_for_routes(&self) -> &[Unfit] {
        &self.unfit
    }

    /// Whether it can guard a route that remembers its requests, and no other.
    pub fn needs_remembering(&self) -> bool {
        !self.unfit.is_empty() && self.unfit.iter().all(|unfit| unfit.mended_by_remembering)
    }

    /// The headers that carry its claims: they end at the gate.
    pub fn credential_headers(&self) -> &[HeaderName] {
        &self.facts.credential_headers
    }

    /// Whether its claims cannot be read before the body is there.
    pub fn reads_body(&self) -> bool {
        self.facts.reads_body
    }

    /// Whether it reads the address under which the gate is known.
    pub fn reads_public_url(&self) -> bool {
        self.facts.reads_public_url
    }

    /// Whether it reads fields of a form in the body.
    pub fn reads_form(&self) -> bool {
        self.facts.reads_form
    }

    /// Whether it reads parameters of the query by their names.
    pub fn reads_query(&self) -> bool {
        self.facts.reads_query
    }

    /// Whether a message says who signs it.
    pub fn names_key(&self) -> bool {
        self.facts.names_key
    }

    /// The values of a credential that it reads beside the secret.
    pub fn value_names(&self) -> impl Iterator<Item = &str> {
        self.facts.value_names.iter().map(|name| &**name)
    }

    /// How old or far ahead a message may be, where its route does not say.
    pub fn window(&self) -> Window {
        let default = Window::default();
        Window {
            past: self.definition.window.unwrap_or(default.past),
            ahead: self.definition.ahead.unwrap_or(default.ahead),
        }
    }

    /// The plan for a method; none where the scheme says nothing of it.
    fn plan(&self, method: &str) -> Option<&Plan> {
        let own = self.plans.iter().find(|(name, _)| **name == *method);
        own.map(|(_, plan)| plan).or(self.rest.as_ref())
    }

    fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter().map(|(_, plan)| plan).chain(&self.rest)
    }
}

/// Schemes are the same if they are written alike under one name.
impl PartialEq for Scheme {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.name == other.name && self.definition == other.definition
    }
}

impl Eq for Scheme {}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scheme").field(&self.name).finish()
    }
}

/// What refusals call the place of a claim, for as long as the process lives. Each name is kept
/// once, and only configuration names places.
pub fn place_name(text: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.get(text) {
        return name;
    }
    let name: &'static str = Box::leak(text.into());
    names.insert(name);
    name
}
