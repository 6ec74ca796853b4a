//! What the signature of one plan binds: what its message keeps, and what equals something that is
//! kept.

use crate::recipe::Origin;
use crate::scheme::algorithm::{Algorithm, Method};
use crate::scheme::claims::Claim;
use crate::scheme::plan::Plan;
use crate::scheme::walk::{Reading, readings};

/// What one plan's signature binds.
pub(super) struct Bound<'p> {
    readings: Vec<Reading<'p>>,
    /// The parameters that hold the signature: what is signed is all but these.
    signatures: Vec<String>,
}

impl<'p> Bound<'p> {
    /// What it binds of a message beside the signature itself.
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self::without(plan, plan.signature_names())
    }

    /// What it binds when leaving out these parameters counts as no loss.
    pub(super) fn without(plan: &'p Plan, own: Vec<String>) -> Self {
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
    pub(super) fn fixes(&self, exact: &Self, reading: &Reading<'_>) -> bool {
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

    pub(super) fn method(&self) -> bool {
        self.whole(|origin| *origin == Origin::Method)
    }

    pub(super) fn path(&self) -> bool {
        self.whole(|origin| matches!(origin, Origin::Path | Origin::Target | Origin::Url))
    }

    pub(super) fn query(&self) -> bool {
        self.whole(|origin| {
            matches!(origin, Origin::Query | Origin::QueryFields | Origin::Target | Origin::Url)
        })
    }

    pub(super) fn body(&self) -> bool {
        self.whole(|origin| {
            matches!(
                origin,
                Origin::Body | Origin::JsonDocument | Origin::FormFields | Origin::XmlElements
            )
        })
    }

    /// Whether a claim stands in what is signed as it is read, without `default`.
    pub(super) fn claim(&self, plan: &Plan, claim: &Claim) -> bool {
        let claimed = readings(&claim.template, &plan.scope, &[]);
        let plain = claimed.iter().all(|reading| !reading.may_be_absent());
        plain && !claimed.is_empty() && claimed.iter().all(|reading| self.binds(reading))
    }

    /// Whether the message says more than who signs, when, and by which secret.
    pub(super) fn says_something(&self, plan: &Plan) -> bool {
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
