//! What a scheme's signature binds, found in its compiled templates, and what stays open.
//!
//! Only functions that are known to keep everything count: whatever else a value goes through may
//! lose something, and then what it reads is bound in part only.

use std::collections::BTreeSet;
use std::fmt;

use http::HeaderName;

use crate::recipe::{Origin, Scope, Template, Type};

use super::Scheme;
use super::algorithm::{Algorithm, Method};
use super::claims::Claim;
use super::definition::Definition;
use super::plan::Plan;
use super::walk::{Reading, readings, readings_elsewhere};

/// What a signature binds. A part that is not bound can be changed by whoever sees the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The method.
    pub method: bool,
    /// The target: path and query.
    pub target: bool,
    /// The body.
    pub body: bool,
    /// The time.
    pub time: ClaimCoverage,
    /// A value that is used once.
    pub nonce: ClaimCoverage,
}

/// What a signature binds of a claim, which not every scheme has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimCoverage {
    /// It is stated, and signed as it is.
    Signed,
    /// It is stated, and can be changed.
    Unsigned,
    /// It is not stated, or need not be.
    Absent,
}

impl ClaimCoverage {
    /// Whether it is stated and signed.
    pub fn is_signed(self) -> bool {
        self == Self::Signed
    }
}

/// How much a good signature proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Nothing.
    None,
    /// That the sender knows a token, and nothing of the message.
    Token,
    /// Some of the message.
    Partial,
    /// The whole body.
    Full,
}

impl Strength {
    /// The strength of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::None, Self::Token, Self::Partial, Self::Full];
        all.into_iter().find(|strength| strength.as_str() == name)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Coverage {
    /// The parts that are not bound, in words: unsigned, or not there at all.
    pub fn open_parts(&self) -> Vec<&'static str> {
        self.parts_where(|claim| !claim.is_signed())
    }

    /// The parts that are there and can be changed, in words.
    pub fn unsigned_parts(&self) -> Vec<&'static str> {
        self.parts_where(|claim| claim == ClaimCoverage::Unsigned)
    }

    fn parts_where(&self, counts: impl Fn(ClaimCoverage) -> bool) -> Vec<&'static str> {
        let parts = [
            (!self.method, "method"),
            (!self.target, "target"),
            (!self.body, "body"),
            (counts(self.time), "time"),
            (counts(self.nonce), "nonce"),
        ];
        parts.iter().filter(|(open, _)| *open).map(|(_, name)| *name).collect()
    }

    /// Whether one signature can serve several methods or targets.
    pub fn leaves_target_open(&self) -> bool {
        !(self.method && self.target)
    }
}

/// Why a scheme cannot guard a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What the scheme does, to stand behind its name.
    pub problem: String,
    /// What to do.
    pub hint: String,
    /// Whether it does not count on a route that remembers its requests.
    pub mended_by_remembering: bool,
}

impl Scheme {
    /// Whether its signature binds all that a template reads, whatever the method: two messages
    /// under one signature give the same value. A template that reads nothing of a message is not
    /// bound by anything. `scope` is that of the template, not the scheme's.
    pub fn binds(&self, template: &Template, scope: &Scope) -> bool {
        let reads = template.origins().iter().any(|origin| !is_fixed(origin));
        reads && self.unbound(template, scope).is_empty()
    }

    /// What a template reads that the signature does not bind, in words and in order.
    pub fn unbound(&self, template: &Template, scope: &Scope) -> Vec<String> {
        let read = readings_elsewhere(template, scope);
        let named = |reading: &Reading<'_>| match reading.origin {
            Some(origin) => origin.to_string(),
            None => "a value that is handed in".to_owned(),
        };
        let read = read.iter().filter(|one| one.origin.is_none_or(|origin| !is_fixed(origin)));
        let open: BTreeSet<String> = match &self.protocol {
            Some(protocol) => {
                let open =
                    |one: &&Reading<'_>| !one.origin.is_some_and(|origin| protocol.binds(origin));
                read.filter(open).map(named).collect()
            }
            None => {
                let both = |plan| (Bound::new(plan), Bound::without(plan, Vec::new()));
                let bounds: Vec<_> = self.plans().map(both).collect();
                let fixed = |one: &Reading<'_>| bounds.iter().all(|(all, ex)| all.fixes(ex, one));
                let open = |one: &&Reading<'_>| !fixed(one);
                read.filter(open).map(named).collect()
            }
        };
        open.into_iter().collect()
    }
}

/// Whether it is no part of a message.
fn is_fixed(origin: &Origin) -> bool {
    let of_credential = matches!(origin, Origin::Secret | Origin::Credential(_));
    of_credential || matches!(origin, Origin::Constant | Origin::PublicUrl)
}

/// What is found in the plans of a scheme.
pub(super) struct Found {
    pub(super) coverage: Coverage,
    pub(super) strength: Strength,
    /// What stays open, a sentence each.
    pub(super) open: Vec<String>,
}

/// Facts about a scheme that others ask for.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) credential_headers: Vec<HeaderName>,
    pub(super) value_names: Vec<Box<str>>,
    pub(super) reads_body: bool,
    pub(super) reads_public_url: bool,
    pub(super) reads_form: bool,
    pub(super) reads_query: bool,
    pub(super) names_key: bool,
}

/// The coverage of a scheme: what the signatures of all methods bind.
pub(super) fn of(plans: &[&Plan]) -> Found {
    let bounds: Vec<Bound<'_>> = plans.iter().map(|plan| Bound::new(plan)).collect();
    let (path, query) = (bounds.iter().all(Bound::path), bounds.iter().all(Bound::query));
    let claimed = |claim: fn(&Plan) -> Option<&Claim>| {
        let mut both = plans.iter().zip(&bounds);
        let bound = |(plan, bound): (&&Plan, &Bound<'_>)| {
            claim(plan).is_some_and(|claim| bound.claim(plan, claim))
        };
        match plans.iter().any(|plan| claim(plan).is_some()) {
            true if both.all(bound) => ClaimCoverage::Signed,
            true => ClaimCoverage::Unsigned,
            false => ClaimCoverage::Absent,
        }
    };
    let coverage = Coverage {
        method: bounds.iter().all(Bound::method),
        target: path && query,
        body: bounds.iter().all(Bound::body),
        time: claimed(|plan| plan.time.as_ref()),
        nonce: claimed(|plan| plan.nonce.as_ref()),
    };
    let says_something = plans.iter().zip(&bounds).all(|(plan, bound)| bound.says_something(plan));
    let strength = match (coverage.body, says_something) {
        (true, _) => Strength::Full,
        (false, true) => Strength::Partial,
        (false, false) => Strength::Token,
    };
    let mut open = Vec::new();
    let mut say = |bound: bool, text: String| open.extend((!bound).then_some(text));
    say(coverage.method, "the method is not signed".to_owned());
    say(
        coverage.target,
        match (path, query) {
            (true, _) => "the path is signed, the query is not, or not all of it".to_owned(),
            (_, true) => "the query is signed, the path is not".to_owned(),
            _ => match parts(plans, |origin| matches!(origin, Origin::QueryField(_))) {
                read if read.is_empty() => "path and query are not signed".to_owned(),
                read => format!("of the target only {read} is signed"),
            },
        },
    );
    say(
        coverage.body,
        match parts(plans, Origin::is_body) {
            read if read.is_empty() => "the body is not signed".to_owned(),
            read => format!("of the body only some is signed: what is made of {read}"),
        },
    );
    for (claim, name) in [(coverage.time, "time"), (coverage.nonce, "nonce")] {
        open.extend(match claim {
            ClaimCoverage::Signed => None,
            ClaimCoverage::Unsigned => {
                Some(format!("the {name} that the message states is not signed as it is"))
            }
            ClaimCoverage::Absent => Some(format!("there is no {name}")),
        });
    }
    Found { coverage, strength, open }
}

/// The origins that the messages read and a test picks, as a list for people.
fn parts(plans: &[&Plan], picked: impl Fn(&Origin) -> bool) -> String {
    let read = plans.iter().flat_map(|plan| plan.message.origins().iter());
    let names: BTreeSet<String> =
        read.filter(|origin| picked(origin)).map(ToString::to_string).collect();
    let names: Vec<String> = names.into_iter().collect();
    names.join(", ")
}

/// Everything that keeps a scheme from guarding a route.
pub(super) fn unfit(
    plans: &[&Plan],
    found: &Found,
    declared: Option<Strength>,
    definition: &Definition,
) -> Vec<Unfit> {
    let mut unfit = Vec::new();
    let mut say = |problem: String, hint: &str, mended_by_remembering: bool| {
        unfit.push(Unfit { problem, hint: hint.to_owned(), mended_by_remembering });
    };
    let webhooks = "it is for webhooks; for requests take a scheme such as countersign-v1";
    let remember = "take a scheme such as countersign-v1, or have every request remembered for the \
                    life of its secret: remember = true";
    if plans.iter().any(|plan| plan.time.is_none()) {
        let problem = "signs no time, so a request could come again for ever";
        say(problem.to_owned(), remember, true);
    } else if !found.coverage.time.is_signed() {
        let problem = "does not sign the time that it states: `time` must stand in `message` as it \
                       is, without `default`";
        say(problem.to_owned(), remember, true);
    }
    if found.coverage.nonce == ClaimCoverage::Unsigned {
        say(
            "does not sign the nonce that it states: `nonce` must stand in `message` as it is, \
             without `default`"
                .to_owned(),
            "remove `nonce` from the scheme, or sign it",
            false,
        );
    }
    let strength = declared.unwrap_or(found.strength).min(found.strength);
    if strength <= Strength::Token {
        let problem = format!("proves nothing of a request: its strength is {strength}");
        say(problem, webhooks, false);
    }
    let several = |plan: &Plan| {
        let list = |place: &super::plan::Place| place.signature.template.kind() == Type::List;
        plan.places.len() > 1 || plan.places.iter().any(list)
    };
    if plans.iter().any(|plan| several(plan)) {
        say("takes several signatures, and a request has one".to_owned(), webhooks, false);
    }
    if definition.time_unit.as_deref() == Some("s or ms") {
        let problem = "takes times of two lengths, so digits could move into what stands beside";
        say(problem.to_owned(), "say which: time_unit = \"s\" or \"ms\"", false);
    }
    unfit
}

/// What others ask of a scheme, gathered once.
pub(super) fn facts(plans: &[&Plan]) -> Facts {
    let mut facts = Facts { names_key: true, ..Facts::default() };
    let mut values = BTreeSet::new();
    for plan in plans {
        facts.names_key &= plan.key_id.is_some();
        let claims = [&plan.key_id, &plan.time, &plan.nonce, &plan.deadline];
        let signatures = plan.places.iter().map(|place| &place.signature);
        for claim in claims.into_iter().flatten().chain(signatures) {
            for origin in claim.template.origins().iter() {
                facts.reads_body |= origin.is_body();
                if let Origin::Header(name) = origin
                    && !facts.credential_headers.contains(&name.0)
                {
                    facts.credential_headers.push(name.0.clone());
                }
            }
        }
        for template in plan.templates() {
            for origin in template.origins().iter() {
                facts.reads_public_url |= *origin == Origin::PublicUrl;
                facts.reads_form |= matches!(origin, Origin::Form(_) | Origin::FormFields);
                facts.reads_query |= matches!(origin, Origin::QueryField(_) | Origin::QueryFields);
                if let Origin::Credential(name) = origin {
                    values.insert(Box::from(&**name));
                }
            }
        }
    }
    facts.value_names = values.into_iter().collect();
    facts
}

/// Whether a template reads nothing but the credential.
pub(super) fn is_of_credential(template: &Template) -> bool {
    template.origins().iter().all(|origin| origin.is_secret() || *origin == Origin::Constant)
}

/// What one plan's signature binds.
struct Bound<'p> {
    readings: Vec<Reading<'p>>,
    /// The parameters that hold the signature: what is signed is all but these.
    signatures: Vec<String>,
}

impl<'p> Bound<'p> {
    /// What it binds of a message beside the signature itself.
    fn new(plan: &'p Plan) -> Self {
        Self::without(plan, plan.signature_names())
    }

    /// What it binds when leaving out these parameters counts as no loss.
    fn without(plan: &'p Plan, own: Vec<String>) -> Self {
        let compared = matches!(plan.algorithm, Algorithm::Fixed(Method::Comparison));
        let mut bound = match compared {
            true => Vec::new(),
            false => readings(&plan.message, &plan.scope, &own),
        };
        // What equals something that is bound is bound as well.
        for [left, right] in &plan.require {
            let left = readings(left, &plan.scope, &own);
            let right = readings(right, &plan.scope, &own);
            let held = Self { readings: bound, signatures: Vec::new() };
            let (by_left, by_right) = (held.binds_all(&left), held.binds_all(&right));
            bound = held.readings;
            bound.extend(if by_left { right.clone() } else { Vec::new() });
            bound.extend(if by_right { left } else { Vec::new() });
        }
        Self { readings: bound, signatures: own }
    }

    /// Whether a reading of another scope is bound: it, what it is made of, or the whole that it is
    /// a part of. A whole that is signed as its parts does not fix how it is spelt, and one that is
    /// signed without its signature does not fix how that is written: `exact` says what is bound
    /// when leaving the signature out counts as a loss.
    fn fixes(&self, exact: &Self, reading: &Reading<'_>) -> bool {
        use Origin::{
            Body, Form, FormFields, Header, Headers, Json, JsonDocument, Query, QueryField,
            QueryFields, Target, Url, Xml, XmlElements,
        };
        if reading.is_handed_in() {
            return false;
        }
        let bound = |name: &str| match self.signatures.iter().any(|own| own == name) {
            true => exact,
            false => self,
        };
        let raw_query = || self.whole(|own| matches!(own, Query | Target | Url));
        let part = |bound: &Self, parts: &Origin| bound.whole(|own| own == parts || *own == Body);
        let in_whole = reading.origin.is_some_and(|origin| match origin {
            Origin::Path => self.path(),
            Target => self.path() && raw_query(),
            Query => raw_query(),
            QueryFields => exact.query(),
            QueryField(name) => bound(name).query(),
            Header(_) => self.whole(|own| own == origin || *own == Headers),
            FormFields | JsonDocument | XmlElements | Body => part(exact, origin),
            Form(name) => part(bound(name), &FormFields),
            Json(name) => part(bound(name), &JsonDocument),
            Xml(name) => part(bound(name), &XmlElements),
            _ => false,
        });
        in_whole || exact.readings.iter().any(|own| own.fixes(reading))
    }

    fn binds_all(&self, readings: &[Reading<'_>]) -> bool {
        let fixed = |origin: &Origin| origin.is_secret() || *origin == Origin::Constant;
        let message = readings.iter().filter(|one| one.origin.is_none_or(|o| !fixed(o)));
        message.clone().count() > 0 && message.clone().all(|one| self.binds(one))
    }

    /// Whether a reading is bound: itself, or the whole that it is a part of.
    fn binds(&self, reading: &Reading<'_>) -> bool {
        let origin = reading.origin;
        let whole = origin.is_some_and(|origin| match origin {
            Origin::QueryField(_) | Origin::QueryFields | Origin::Query => self.query(),
            Origin::Path => self.path(),
            origin if origin.is_body() => self.body(),
            Origin::Header(_) => self.whole(|own| own == origin),
            _ => false,
        });
        whole || self.readings.iter().any(|own| own.keeps(reading))
    }

    fn whole(&self, wanted: impl Fn(&Origin) -> bool) -> bool {
        self.readings.iter().any(|own| own.whole && own.origin.is_some_and(&wanted))
    }

    fn method(&self) -> bool {
        self.whole(|origin| *origin == Origin::Method)
    }

    fn path(&self) -> bool {
        self.whole(|origin| matches!(origin, Origin::Path | Origin::Target | Origin::Url))
    }

    fn query(&self) -> bool {
        self.whole(|origin| {
            matches!(origin, Origin::Query | Origin::QueryFields | Origin::Target | Origin::Url)
        })
    }

    fn body(&self) -> bool {
        self.whole(|origin| {
            matches!(
                origin,
                Origin::Body | Origin::JsonDocument | Origin::FormFields | Origin::XmlElements
            )
        })
    }

    /// Whether a claim stands in what is signed as it is read, without `default`.
    fn claim(&self, plan: &Plan, claim: &Claim) -> bool {
        let claimed = readings(&claim.template, &plan.scope, &[]);
        let plain = claimed.iter().all(|reading| !reading.may_be_absent());
        plain && !claimed.is_empty() && claimed.iter().all(|reading| self.binds(reading))
    }

    /// Whether the message says more than who signs, when, and by which secret.
    fn says_something(&self, plan: &Plan) -> bool {
        let claims = [&plan.key_id, &plan.time, &plan.nonce].into_iter().flatten();
        let claims: Vec<&Origin> =
            claims.flat_map(|claim| claim.template.origins().iter()).collect();
        let idle = |origin: &Origin| {
            let about = matches!(
                origin,
                Origin::Constant | Origin::Method | Origin::Scheme | Origin::Authority
            );
            about || origin.is_secret() || *origin == Origin::PublicUrl || claims.contains(&origin)
        };
        let read = plan.message.origins().iter();
        let only_claims = read.clone().filter(|origin| !idle(origin)).count() == 0;
        // A nonce may be the very thing that is signed.
        !self.readings.is_empty() && (!only_claims || self.signs_content_as_claim(plan))
    }

    /// Whether a claim is cut out of a text that says more, such as a header that holds an event.
    fn signs_content_as_claim(&self, plan: &Plan) -> bool {
        let claims = [&plan.key_id, &plan.time, &plan.nonce].into_iter().flatten();
        let mut read = claims.flat_map(|claim| readings(&claim.template, &plan.scope, &[]));
        read.any(|cut| {
            !cut.whole && cut.origin.is_some_and(|origin| self.whole(|own| own == origin))
        })
    }
}

#[cfg(test)]
mod tests;
