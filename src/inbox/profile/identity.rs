//! By what a repeated message is known, and that nobody can make another of it: all of it is
//! signed, or can be one of few.

use crate::inbox::message::{Check, Identity, Rule};
use crate::recipe::{Origin, Scope, Template};
use crate::scheme::Formula;

use super::ProfileMistake;
use super::compile::Compiler;

/// The most values that an unsigned part can have: as often can one message come again.
const CLOSED_MAX: usize = 16;
const CONTENT: &str = "leave `identity` out, and the digest of what is signed is taken";

/// A part of the identity that is not signed.
pub(super) struct Closed {
    /// That it is one of few.
    pub(super) check: Check,
    /// The same for people.
    pub(super) exception: String,
}

impl Compiler<'_> {
    /// The identity, and what is not signed in it. A message without any signature is told apart by
    /// all of its content as well, whatever the identity is.
    pub(super) fn identity(&mut self, scope: &Scope) -> (Option<Identity>, Vec<Closed>) {
        match self.profile.identity.as_deref() {
            Some([]) => (Some(Identity::Content), Vec::new()),
            Some(texts) => self.composed(texts, scope),
            None => (Some(self.found(scope)), Vec::new()),
        }
    }

    /// Where none is stated: the nonce of the scheme if that is signed, else the content.
    fn found(&self, scope: &Scope) -> Identity {
        let Some(Formula::Always(text)) = &self.scheme.definition().nonce else {
            return Identity::Content;
        };
        let nonce = Template::compile(text, scope).ok();
        match nonce.filter(|nonce| self.scheme.binds(nonce, scope)) {
            Some(nonce) => Identity::Composed(vec![nonce]),
            None => Identity::Content,
        }
    }

    fn composed(&mut self, texts: &[String], scope: &Scope) -> (Option<Identity>, Vec<Closed>) {
        let (mut templates, mut closed) = (Vec::new(), Vec::new());
        for (at, text) in texts.iter().enumerate() {
            let key = format!("identity[{at}]");
            let Some(template) = self.open_value(&key, text, scope) else { continue };
            if template.origins().iter().all(|origin| *origin == Origin::Constant) {
                let problem = "this is the same for all messages";
                let hint = "read something of the message: \"{json:id}\"";
                self.mistake(ProfileMistake::of(key, problem).hint(hint));
                continue;
            }
            let open = self.scheme.unbound(&template, scope);
            if !open.is_empty() {
                match self.closed(text, &open, scope) {
                    Some(part) => closed.push(part),
                    None => self.unsigned(key, &open),
                }
            }
            templates.push(template);
        }
        let whole = templates.len() == texts.len();
        (whole.then_some(Identity::Composed(templates)), closed)
    }

    fn unsigned(&mut self, key: String, open: &[String]) {
        let (open, name) = (open.join(", "), self.scheme.name());
        let problem = format!(
            "{open}: not signed by {name}, so that one message could come again under another \
             identity"
        );
        let hint = format!("{CONTENT}; or list in `closed` all values that it can have");
        self.mistake(ProfileMistake::of(key, problem).hint(hint));
    }

    /// A part that is not signed and stands among those that are closed.
    fn closed(&mut self, text: &str, open: &[String], scope: &Scope) -> Option<Closed> {
        let profile = self.profile;
        let mut closed = profile.closed.iter().enumerate();
        let (at, (_, values)) = closed.find(|(_, (value, _))| value.trim() == text.trim())?;
        let key = format!("closed[{at}]");
        if values.is_empty() || values.len() > CLOSED_MAX {
            let problem = format!("an unsigned part has 1 to {CLOSED_MAX} values");
            self.mistake(ProfileMistake::of(format!("{key}.one_of"), problem));
        }
        let value = self.open_value(&format!("{key}.value"), text, scope)?;
        let open = open.join(", ");
        let rule = Rule::OneOf(values.iter().map(|value| value.as_str().into()).collect());
        let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
        let exception = format!("{open} is not signed, and is one of {}", quoted.join(", "));
        Some(Closed { check: Check { value, rule, shown: open.into() }, exception })
    }
}
