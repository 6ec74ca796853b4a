//! What a scheme's signature binds, found in its compiled templates, and what stays open.
//!
//! Only functions that are known to keep everything count: whatever else a value goes through may
//! lose something, and then what it reads is bound in part only.

mod bound;

use std::collections::BTreeSet;
use std::fmt;

use http::HeaderName;

use crate::recipe::{Origin, Scope, Template, Type};

use super::Scheme;
use super::claims::Claim;
use super::definition::Definition;
use super::plan::Plan;
use super::walk::{Reading, readings_elsewhere};

use bound::Bound;

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

#[cfg(test)]
mod tests;
