//! Calls that are made for a message, and what is read of their answers.

use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, Method};

use crate::inbox::inquiry::{Call, Handed, Inquiry, address};
use crate::inbox::message::{Check, Fact};
use crate::recipe::{Credentials, Scope, Template, Type};
use crate::scheme::Scheme;

use super::compile::{Compiler, whole};
use super::{CallText, InquiryText, PostBackText, ProfileMistake};

/// Header fields that belong to the connection or follow from the call.
const OWN_HEADERS: [HeaderName; 8] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    UPGRADE,
    TE,
    TRAILER,
    PROXY_AUTHORIZATION,
];
/// Statuses that say that nothing is known, where that is not said.
const UNKNOWN: [u16; 1] = [404];

impl Compiler<'_> {
    /// A question and what its answer must say.
    pub(super) fn inquiry(&mut self, key: &str, text: &InquiryText) -> Option<Inquiry> {
        let call = self.call(key, &text.call);
        let key = format!("{key}.answer");
        let mut scope = Scope::new(Credentials::Any);
        let given = self.handed(&mut scope);
        self.lets(&format!("{key}.let"), &text.lets, &mut scope);
        let facts = self.facts(&format!("{key}.facts"), &text.facts, &scope);
        if text.facts.is_empty() {
            let problem = "nothing is compared, so that every answer would agree";
            let hint = "facts = { amount = \"{json:…}\", state = \"{json:…}\" }";
            self.mistake(ProfileMistake::of(format!("{key}.facts"), problem).hint(hint));
        }
        for (name, _) in &text.facts {
            let stated = self.profile.facts.iter().any(|(own, _)| own == name);
            if Fact::named(name).is_some() && !stated {
                let problem = format!("messages of this source say nothing of `{name}`");
                let hint = format!("state it: facts.{name} = \"…\", or do not compare it");
                self.mistake(ProfileMistake::of(format!("{key}.facts.{name}"), problem).hint(hint));
            }
        }
        let mut require = Vec::with_capacity(text.require.len());
        for (at, [left, right]) in text.require.iter().enumerate() {
            let left = self.value(&format!("{key}.require[{at}][0]"), left, &scope);
            let right = self.value(&format!("{key}.require[{at}][1]"), right, &scope);
            require.extend(left.zip(right).map(|(left, right)| [left, right]));
        }
        let unknown = text.unknown.clone().unwrap_or_else(|| UNKNOWN.to_vec());
        if unknown.iter().any(|status| !(400..600).contains(status)) {
            let problem = "these are statuses from 400 to 599";
            self.mistake(ProfileMistake::of(format!("{key}.unknown"), problem));
        }
        Some(Inquiry { call: call?, scope, given, require, unknown, facts })
    }

    /// How fields are posted back.
    pub(super) fn post_back(
        &mut self,
        text: &PostBackText,
        scope: &Scope,
    ) -> Option<(Call, Option<Check>)> {
        let call = self.call("post_back", &text.call);
        let when = text.when.as_ref().map(|when| self.check("post_back.when", when, scope));
        Some((call?, whole(when)?))
    }

    /// The facts of a message, as names of a scope.
    fn handed(&mut self, scope: &mut Scope) -> Vec<Handed> {
        let mut given = Vec::new();
        for (name, fact) in Fact::ALL {
            if self.profile.facts.iter().any(|(own, _)| own == name)
                && let Ok(place) = Scope::expect(scope, name, Type::Text)
            {
                given.push(Handed { fact, place });
            }
        }
        given
    }

    fn call(&mut self, key: &str, text: &CallText) -> Option<Call> {
        let mut scope = Scope::new(Credentials::Any);
        self.lets("let", &self.profile.lets, &mut scope);
        let given = self.handed(&mut scope);
        self.lets(&format!("{key}.let"), &text.lets, &mut scope);
        let method = self.method(key, text);
        let url = self.url(key, text, &scope);
        let headers = self.headers(key, text, &scope);
        let body = text.body.as_ref().filter(|body| !body.is_empty());
        let body = body.map(|body| self.value(&format!("{key}.body"), body, &scope));
        let sign = text.sign.as_ref().map(|name| self.sign(key, name, text, &scope));
        if text.sign.is_none() && text.key_id.is_some() {
            let problem = "a key id stands beside the scheme that it signs by";
            let hint = "sign = \"SCHEME\"";
            self.mistake(ProfileMistake::of(format!("{key}.key_id"), problem).hint(hint));
        }
        let (body, sign) = (whole(body)?, whole(sign)?);
        Some(Call { method: method?, url: url?, headers: headers?, body, scope, given, sign })
    }

    fn method(&mut self, key: &str, text: &CallText) -> Option<Method> {
        let has_body = text.body.as_ref().is_some_and(|body| !body.is_empty());
        let name = text.method.as_deref().unwrap_or(if has_body { "POST" } else { "GET" });
        let method = Method::from_bytes(name.as_bytes()).ok();
        let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH];
        let method = method.filter(|method| known.contains(method));
        if method.is_none() {
            let problem = format!("calls are not made with the method '{name}'");
            let mistake = ProfileMistake::of(format!("{key}.method"), problem);
            self.mistake(mistake.hint("one of GET, POST, PUT, PATCH"));
        }
        if method == Some(Method::GET) && has_body {
            let problem = "a GET has no body";
            self.mistake(ProfileMistake::of(format!("{key}.method"), problem));
        }
        method
    }

    fn url(&mut self, key: &str, text: &CallText, scope: &Scope) -> Option<Template> {
        let key = format!("{key}.url");
        if text.url.is_empty() {
            let hint = "url = \"https://api.example.com/payments/{transaction | urlencode}\"";
            self.mistake(ProfileMistake::of(key, "nobody is named who is called").hint(hint));
            return None;
        }
        let template = self.value(&key, &text.url, scope)?;
        match address::check(&template, scope, address::Kind::Call) {
            Ok(()) => Some(template),
            Err(wrong) => {
                self.mistake(wrong.at(&key));
                None
            }
        }
    }

    fn headers(
        &mut self,
        key: &str,
        text: &CallText,
        scope: &Scope,
    ) -> Option<Vec<(HeaderName, Template)>> {
        let mut headers: Vec<(HeaderName, Template)> = Vec::with_capacity(text.headers.len());
        for (name, value) in &text.headers {
            let key = format!("{key}.headers.{name}");
            let header = HeaderName::from_bytes(name.as_bytes()).ok();
            let problem = match &header {
                None => Some(format!("'{name}' cannot be a header's name")),
                Some(header) if OWN_HEADERS.contains(header) => {
                    Some(format!("{header} follows from the call and is not stated"))
                }
                Some(header) if headers.iter().any(|(own, _)| own == header) => {
                    Some(format!("{header} is stated twice"))
                }
                Some(_) => None,
            };
            if let Some(problem) = problem {
                self.mistake(ProfileMistake::of(key.clone(), problem));
            }
            headers.extend(header.zip(self.value(&key, value, scope)));
        }
        (headers.len() == text.headers.len()).then_some(headers)
    }

    /// The scheme that signs a call, and under which key id.
    fn sign(
        &mut self,
        key: &str,
        name: &str,
        text: &CallText,
        scope: &Scope,
    ) -> Option<(Arc<Scheme>, Template)> {
        let Some(scheme) = (self.schemes)(name) else {
            let problem = format!("there is no scheme '{name}'");
            let hint = "`countersign scheme list` names the built-in ones";
            self.mistake(ProfileMistake::of(format!("{key}.sign"), problem).hint(hint));
            return None;
        };
        self.value_names.extend(scheme.value_names().map(str::to_owned));
        let id_key = format!("{key}.key_id");
        if text.key_id.is_none() && scheme.names_key() {
            let problem = format!("{name} says who signs, and nothing is stated");
            let hint = "key_id = \"{cred:key_id}\"";
            self.mistake(ProfileMistake::of(id_key.clone(), problem).hint(hint));
        }
        let key_id = self.value(&id_key, text.key_id.as_deref().unwrap_or_default(), scope)?;
        Some((scheme, key_id))
    }
}
