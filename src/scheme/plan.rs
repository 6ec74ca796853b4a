//! What a scheme does with the messages of one method, compiled.

use smallvec::SmallVec;

use crate::recipe::{Origin, Scope, Template};

use super::algorithm::Algorithm;
use super::claims::Claim;

/// A scheme for one method.
pub(super) struct Plan {
    pub(super) scope: Scope,
    pub(super) key_id: Option<Claim>,
    pub(super) time: Option<Claim>,
    pub(super) nonce: Option<Claim>,
    pub(super) deadline: Option<Claim>,
    /// What is signed.
    pub(super) message: Template,
    pub(super) algorithm: Algorithm,
    pub(super) places: SmallVec<[Place; 1]>,
    /// Pairs that must be equal.
    pub(super) require: Vec<[Template; 2]>,
    /// Lists and what they must name.
    pub(super) must_list: Vec<(Template, Vec<String>)>,
}

/// Where a signature is, and by which key.
pub(super) struct Place {
    pub(super) signature: Claim,
    pub(super) key: Template,
    /// Where a credential keeps the key, where it depends on nothing but the credential.
    pub(super) slot: Option<usize>,
}

impl Plan {
    /// Whether what is signed differs from key to key.
    pub(super) fn holds_secret(&self) -> bool {
        self.message.is_secret()
    }

    /// Whether nobody can make a signature without the secret.
    pub(super) fn proves_the_secret(&self) -> bool {
        let keyed = match &self.algorithm {
            Algorithm::Fixed(method) => method.is_keyed(),
            Algorithm::Chosen(_) => false,
        };
        keyed || self.message.is_secret()
    }

    /// Whether it requires nothing of a message beside its signature.
    pub(super) fn checks_nothing(&self) -> bool {
        self.require.is_empty() && self.must_list.is_empty()
    }

    /// Everything that it evaluates.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let claims = [&self.key_id, &self.time, &self.nonce, &self.deadline];
        let claims = claims.into_iter().flatten().map(|claim| &claim.template);
        let places = self.places.iter().flat_map(|place| [&place.signature.template, &place.key]);
        let checks =
            self.require.iter().flatten().chain(self.must_list.iter().map(|(list, _)| list));
        std::iter::once(&self.message).chain(claims).chain(places).chain(checks)
    }

    /// The parameters that hold signatures.
    pub(super) fn signature_names(&self) -> Vec<String> {
        let origins =
            self.places.iter().flat_map(|place| place.signature.template.origins().iter());
        let named = origins.filter_map(|origin| match origin {
            Origin::QueryField(name)
            | Origin::Form(name)
            | Origin::Json(name)
            | Origin::Xml(name) => Some(name.to_string()),
            _ => None,
        });
        named.collect()
    }
}
