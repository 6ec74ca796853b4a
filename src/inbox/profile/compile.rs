//! From what is written of a source's messages to what is done with them: every template compiled,
//! every mistake with its key.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::Regex;

use crate::inbox::message::{Check, Fact, Reading, Rule};
use crate::recipe::{Credentials, Mistake, Origin, Scope, Template};
use crate::scheme::Scheme;

use super::{CheckText, Compiled, InquiryText, Profile, ProfileMistake};

/// The keys of what must hold of a text, of which one is stated.
const RULES: &str = "one_of = […], matches = \"…\" or equals = \"…\"";

/// Compiles a profile for a scheme.
///
/// # Errors
/// Every mistake.
pub(super) fn profile(
    profile: &Profile,
    scheme: &Scheme,
    schemes: &dyn Fn(&str) -> Option<Arc<Scheme>>,
) -> Result<Compiled, Vec<ProfileMistake>> {
    let mut compiler = Compiler::new(profile, scheme, schemes);
    let compiled = compiler.compiled();
    match compiled {
        Some(compiled) if compiler.mistakes.is_empty() => Ok(compiled),
        _ => Err(compiler.mistakes),
    }
}

pub(super) struct Compiler<'p> {
    pub(super) profile: &'p Profile,
    pub(super) scheme: &'p Scheme,
    pub(super) schemes: &'p dyn Fn(&str) -> Option<Arc<Scheme>>,
    pub(super) mistakes: Vec<ProfileMistake>,
    /// Names whose values are at fault: who uses one of these is not told that it does not exist.
    broken: Vec<String>,
    /// Values beside the secret that are read anywhere.
    pub(super) value_names: BTreeSet<String>,
}

impl<'p> Compiler<'p> {
    fn new(
        profile: &'p Profile,
        scheme: &'p Scheme,
        schemes: &'p dyn Fn(&str) -> Option<Arc<Scheme>>,
    ) -> Self {
        let (mistakes, broken, value_names) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { profile, scheme, schemes, mistakes, broken, value_names }
    }

    fn compiled(&mut self) -> Option<Compiled> {
        let profile = self.profile;
        let mut scope = Scope::new(Credentials::Any);
        self.lets("let", &profile.lets, &mut scope);
        let facts = self.facts("facts", &profile.facts, &scope);
        let mut shape = self.shape(&scope);
        let (identity, closed) = self.identity(&scope);
        let exceptions = closed.iter().map(|closed| closed.exception.clone()).collect();
        shape.extend(closed.into_iter().map(|closed| closed.check));
        let id = facts.iter().find(|(fact, _)| *fact == Fact::Id).map(|(_, template)| template);
        let id_is_unsigned = id.is_some_and(|id| !self.scheme.binds(id, &scope));
        let answers = self.answers(&scope);
        let unproved = self.unproved(&facts, &scope);
        let confirm = profile.confirm.as_ref().map(|text| self.inquiry("confirm", text));
        let order = profile.order.as_ref().map(|text| self.inquiry("order", text));
        let post_back = profile.post_back.as_ref().map(|text| self.post_back(text, &scope));
        Some(Compiled {
            reading: Reading { scope, facts, shape, identity: identity? },
            answers: answers?,
            confirm: whole(confirm)?,
            order: whole(order)?,
            post_back: whole(post_back)?,
            value_names: std::mem::take(&mut self.value_names).into_iter().collect(),
            exceptions,
            id_is_unsigned,
            unproved,
        })
    }

    /// The facts of the payment that nothing proves.
    fn unproved(&self, facts: &[(Fact, Template)], scope: &Scope) -> Vec<&'static str> {
        let profile = self.profile;
        let unsigned = profile.unsigned.as_deref() == Some("confirm");
        let inquiries = || profile.confirm.iter().chain(&profile.order);
        let open = facts.iter().filter(|(fact, template)| {
            let signed = !unsigned && self.scheme.unbound(template, scope).is_empty();
            let compared = |text: &InquiryText| text.facts.iter().any(|(n, _)| n == fact.as_str());
            !matches!(fact, Fact::Date | Fact::Event | Fact::Id)
                && !signed
                && !inquiries().any(compared)
        });
        open.map(|(fact, _)| fact.as_str()).collect()
    }

    pub(super) fn mistake(&mut self, mistake: ProfileMistake) {
        // What a name stands for is compiled once for every place that can name it.
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// A template of any type.
    pub(super) fn template(&mut self, key: &str, text: &str, scope: &Scope) -> Option<Template> {
        let placed = |mistake: Mistake| ProfileMistake {
            key: key.to_owned(),
            span: Some(mistake.span),
            problem: mistake.problem,
            hint: mistake.hint,
        };
        match Template::compile(text, scope) {
            Ok(template) => {
                for origin in template.origins().iter() {
                    if let Origin::Credential(name) = origin {
                        self.value_names.insert(name.to_string());
                    }
                }
                Some(template)
            }
            Err(found) => {
                let broken = |mistake: &Mistake| {
                    let word = text.get(mistake.span.clone()).unwrap_or_default();
                    let word = word.strip_prefix('@').unwrap_or(word).split('.').next();
                    self.broken.iter().any(|name| Some(name.as_str()) == word)
                };
                // What goes wrong behind a name that is at fault is no mistake of its own.
                if !found.iter().any(broken) {
                    found.into_iter().for_each(|mistake| self.mistake(placed(mistake)));
                }
                None
            }
        }
    }

    /// A template that gives one text or bytes.
    pub(super) fn value(&mut self, key: &str, text: &str, scope: &Scope) -> Option<Template> {
        use crate::recipe::Type::{List, Pairs};
        let template = self.template(key, text, scope)?;
        match template.kind() {
            kind @ (List | Pairs) => {
                let problem = format!("one value belongs here, and this is {kind}");
                let hint = "make it text with 'join', or take one with 'nth' or 'get'";
                self.mistake(ProfileMistake::of(key, problem).hint(hint));
                None
            }
            _ => Some(template),
        }
    }

    /// The same for what others may see: it reads nothing of the credential.
    pub(super) fn open_value(&mut self, key: &str, text: &str, scope: &Scope) -> Option<Template> {
        let template = self.value(key, text, scope)?;
        let secret = |origin: &Origin| matches!(origin, Origin::Secret | Origin::Credential(_));
        match template.origins().iter().any(secret) {
            true => {
                let problem = "this is kept and handed on, so nothing secret can stand in it";
                self.mistake(ProfileMistake::of(key, problem));
                None
            }
            false => Some(template),
        }
    }

    /// The same for what is compared: it may read values of the credential, and not the secret,
    /// which the scheme alone looks at.
    fn compared_value(&mut self, key: &str, text: &str, scope: &Scope) -> Option<Template> {
        let template = self.value(key, text, scope)?;
        match template.origins().contains(&Origin::Secret) {
            true => {
                let problem = "messages are not compared with the secret; the scheme does that";
                let hint = "name a value of its own: {cred:NAME}";
                self.mistake(ProfileMistake::of(key, problem).hint(hint));
                None
            }
            false => Some(template),
        }
    }

    /// Names of a scope, in their order.
    pub(super) fn lets(&mut self, key: &str, lets: &[(String, String)], scope: &mut Scope) {
        for (name, text) in lets {
            let key = format!("{key}.{name}");
            if Fact::named(name).is_some() {
                let problem = format!("`{name}` is the name of a fact");
                self.mistake(ProfileMistake::of(key, problem).hint("take another name"));
                continue;
            }
            let Some(template) = self.template(&key, text, scope) else {
                self.broken.push(name.clone());
                continue;
            };
            if let Err(fault) = scope.define(name, template) {
                self.mistake(ProfileMistake::of(key, format!("{name}: {fault}")));
            }
        }
    }

    /// Facts by name.
    pub(super) fn facts(
        &mut self,
        key: &str,
        facts: &[(String, String)],
        scope: &Scope,
    ) -> Vec<(Fact, Template)> {
        let mut compiled = Vec::new();
        for (name, text) in facts {
            let key = format!("{key}.{name}");
            let Some(fact) = Fact::named(name) else {
                let names = Fact::ALL.map(|(name, _)| name).join(", ");
                let problem = format!("there is no fact '{name}'");
                self.mistake(ProfileMistake::of(key, problem).hint(format!("one of {names}")));
                continue;
            };
            let template = self.open_value(&key, text, scope);
            compiled.extend(template.map(|template| (fact, template)));
        }
        compiled
    }

    fn shape(&mut self, scope: &Scope) -> Vec<Check> {
        let checks = self.profile.shape.iter().enumerate();
        let check = |(at, text)| self.check(&format!("shape[{at}]"), text, scope);
        checks.filter_map(check).collect()
    }

    /// What must hold of a text.
    pub(super) fn check(&mut self, key: &str, text: &CheckText, scope: &Scope) -> Option<Check> {
        let value_key = format!("{key}.value");
        let value = match text.value.is_empty() {
            true => {
                let hint = "what is looked at: value = \"{json:…}\"";
                self.mistake(ProfileMistake::of(value_key, "there is no value").hint(hint));
                None
            }
            false => self.compared_value(&value_key, &text.value, scope),
        };
        let rule = match (&text.one_of, &text.matches, &text.equals) {
            (Some(texts), None, None) if texts.is_empty() => {
                let problem = "no value is among none";
                self.mistake(ProfileMistake::of(format!("{key}.one_of"), problem));
                None
            }
            (Some(texts), None, None) => {
                Some(Rule::OneOf(texts.iter().map(|text| text.as_str().into()).collect()))
            }
            (None, Some(pattern), None) => self.pattern(key, pattern, value.as_ref()),
            (None, None, Some(other)) => {
                let key = format!("{key}.equals");
                self.compared_value(&key, other, scope).map(Rule::Equals)
            }
            _ => {
                let problem = "a check says one thing of its value";
                self.mistake(ProfileMistake::of(key, problem).hint(RULES));
                None
            }
        };
        let shown = if text.name.is_empty() { &text.value } else { &text.name };
        Some(Check { value: value?, rule: rule?, shown: shown.as_str().into() })
    }

    fn pattern(&mut self, key: &str, pattern: &str, value: Option<&Template>) -> Option<Rule> {
        let key = format!("{key}.matches");
        if value.is_some_and(Template::is_secret) {
            let problem = "what is secret is compared as a whole";
            self.mistake(ProfileMistake::of(key, problem).hint("take equals = \"…\""));
            return None;
        }
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => Some(Rule::Matches(regex)),
            Err(_) => {
                let problem = match Regex::new(pattern) {
                    Err(regex::Error::Syntax(text)) => {
                        let last = text.lines().last().unwrap_or_default();
                        let last = last.trim_start_matches("error: ");
                        format!("this is no regular expression: {last}")
                    }
                    _ => "this is no regular expression that can be used here".to_owned(),
                };
                self.mistake(ProfileMistake::of(key, problem));
                None
            }
        }
    }
}

/// Something that may be absent, and whole where it is not.
pub(super) fn whole<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    part.map_or(Some(None), |part| part.map(Some))
}
