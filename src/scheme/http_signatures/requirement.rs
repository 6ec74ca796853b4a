//! What a signature must cover before it counts. A signature over nothing is one over anything.

use http::HeaderName;

use super::body_digest;
use super::component::{Component, Name};
use super::fault::Fault;
use super::input::Claims;
use super::message::Message;

/// What a signature of a request must cover, beside the time, which it always does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The method.
    pub method: bool,
    /// Host, path and query: by `@target-uri`, or by `@authority` with `@request-target` or with
    /// `@path` and `@query`.
    pub target: bool,
    /// The body, where there is one: by `content-digest` or `repr-digest`.
    pub body: bool,
    /// A nonce.
    pub nonce: bool,
    /// Further components.
    pub components: Vec<Component>,
}

impl Default for Requirement {
    /// Method, target and body.
    fn default() -> Self {
        Self { method: true, target: true, body: true, nonce: false, components: Vec::new() }
    }
}

impl Requirement {
    /// A requirement in words: `method`, `target`, `body`, `nonce`, or the identifier of a
    /// component such as `date` or `"priority";key="u"`.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn of(words: &[&str]) -> Result<Self, Fault> {
        let mut requirement = Self { method: false, target: false, body: false, ..Self::default() };
        for word in words {
            match *word {
                "method" => requirement.method = true,
                "target" => requirement.target = true,
                "body" => requirement.body = true,
                "nonce" => requirement.nonce = true,
                text => requirement.components.push(Component::of(text)?),
            }
        }
        Ok(requirement)
    }

    /// Whether it asks for a whole field, however its value is taken.
    pub fn covers_field(&self, field: &HeaderName) -> bool {
        let whole = |component: &&Component| component.parameters.key.is_none();
        self.components.iter().filter(whole).any(|component| component.is_field(field))
    }

    /// Checks what a signature covers, see [`super::HttpSignatures::check`].
    pub(super) fn check(
        &self,
        claims: &Claims,
        message: &Message<'_>,
        has_body: bool,
    ) -> Result<(), Fault> {
        let covered = claims.components();
        let response = matches!(message, Message::Response(..));
        let has = |name: Name| {
            let here = |component: &&Component| component.parameters.of_request == response;
            covered.iter().filter(here).any(|component| component.name == name)
        };
        let target = || {
            has(Name::TargetUri)
                || has(Name::Authority)
                    && (has(Name::RequestTarget) || has(Name::Path) && has(Name::Query))
        };
        let body = || covered.iter().any(|one| body_digest::ties_body(one, message.headers()));
        let status = || covered.iter().any(|component| component.name == Name::Status);
        let needs = [
            (self.method && !has(Name::Method), "method"),
            (self.target && !target(), "target"),
            (self.body && has_body && !body(), "body"),
            (self.nonce && !response && claims.nonce().is_none(), "nonce"),
            (response && !status(), "status"),
        ];
        if let Some((_, word)) = needs.into_iter().find(|(lacking, _)| *lacking) {
            return Err(Fault::NotCovered(word.into()));
        }
        let lacking = |component: &&Component| !response && !covered.contains(component);
        match self.components.iter().find(lacking) {
            None => Ok(()),
            Some(component) => Err(Fault::NotCovered(component.as_str().into())),
        }
    }
}
