//! What a source states in place of what its provider's profile states.

use super::{AnswerText, CallText, InquiryText, PostBackText, Profile};

/// Names with their texts, in order.
type Texts = Vec<(String, String)>;

impl Profile {
    /// The same with what `own` states in place of what this states: lists whole, named texts by
    /// name, tables by their members. A named text that is empty takes the other away.
    #[must_use]
    pub fn overridden_by(&self, own: &Self) -> Self {
        Self {
            about: text(&self.about, &own.about),
            secret_is: either(&self.secret_is, &own.secret_is),
            scheme: either(&self.scheme, &own.scheme),
            methods: either(&self.methods, &own.methods),
            probes: either(&self.probes, &own.probes),
            unsigned: either(&self.unsigned, &own.unsigned),
            lets: texts(&self.lets, &own.lets),
            facts: texts(&self.facts, &own.facts),
            identity: either(&self.identity, &own.identity),
            closed: list(&self.closed, &own.closed),
            shape: list(&self.shape, &own.shape),
            pass: either(&self.pass, &own.pass),
            answers: answers(&self.answers, &own.answers),
            confirm: both(&self.confirm, &own.confirm, inquiry),
            order: both(&self.order, &own.order, inquiry),
            post_back: both(&self.post_back, &own.post_back, post_back),
        }
    }
}

fn either<T: Clone>(base: &Option<T>, own: &Option<T>) -> Option<T> {
    own.as_ref().or(base.as_ref()).cloned()
}

fn both<T: Clone>(base: &Option<T>, own: &Option<T>, join: fn(&T, &T) -> T) -> Option<T> {
    match (base, own) {
        (Some(base), Some(own)) => Some(join(base, own)),
        _ => either(base, own),
    }
}

fn text(base: &str, own: &str) -> String {
    if own.is_empty() { base } else { own }.to_owned()
}

fn list<T: Clone>(base: &[T], own: &[T]) -> Vec<T> {
    if own.is_empty() { base } else { own }.to_vec()
}

/// Texts by name: those of both, each in the place where it stood, new ones behind.
fn texts(base: &[(String, String)], own: &[(String, String)]) -> Texts {
    let stated = |name: &str| own.iter().find(|(other, _)| other == name);
    let here = base.iter().map(|pair| stated(&pair.0).unwrap_or(pair));
    let new = own.iter().filter(|(name, _)| base.iter().all(|(other, _)| other != name));
    here.chain(new).filter(|(_, text)| !text.is_empty()).cloned().collect()
}

/// The same for names of header fields, whose case does not count. They are spelt as the source
/// spells them.
fn headers(base: &[(String, String)], own: &[(String, String)]) -> Texts {
    let spelt = |(name, text): &(String, String)| {
        let stated = own.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        (stated.map_or(name, |(other, _)| other).clone(), text.clone())
    };
    texts(&base.iter().map(spelt).collect::<Texts>(), own)
}

fn answers(
    base: &[(String, AnswerText)],
    own: &[(String, AnswerText)],
) -> Vec<(String, AnswerText)> {
    let stated = |name: &str| own.iter().find(|(other, _)| other == name);
    let here = base.iter().map(|(name, base)| {
        let joined = stated(name).map_or_else(|| base.clone(), |(_, own)| answer(base, own));
        (name.clone(), joined)
    });
    let new = own.iter().filter(|(name, _)| base.iter().all(|(other, _)| other != name));
    here.chain(new.cloned()).collect()
}

fn answer(base: &AnswerText, own: &AnswerText) -> AnswerText {
    AnswerText {
        status: either(&base.status, &own.status),
        content_type: either(&base.content_type, &own.content_type),
        body: either(&base.body, &own.body),
        location: either(&base.location, &own.location),
    }
}

fn call(base: &CallText, own: &CallText) -> CallText {
    let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    CallText {
        method: either(&base.method, &own.method),
        url: text(&base.url, &own.url),
        headers: headers(&base.headers, &own.headers),
        lets: texts(&base.lets, &own.lets),
        body: stated(&either(&base.body, &own.body)),
        sign: stated(&either(&base.sign, &own.sign)),
        key_id: stated(&either(&base.key_id, &own.key_id)),
    }
}

fn inquiry(base: &InquiryText, own: &InquiryText) -> InquiryText {
    InquiryText {
        call: call(&base.call, &own.call),
        lets: texts(&base.lets, &own.lets),
        require: list(&base.require, &own.require),
        unknown: either(&base.unknown, &own.unknown),
        facts: texts(&base.facts, &own.facts),
    }
}

fn post_back(base: &PostBackText, own: &PostBackText) -> PostBackText {
    PostBackText { call: call(&base.call, &own.call), when: either(&base.when, &own.when) }
}
