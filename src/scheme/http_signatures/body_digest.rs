//! Digests of the body in `Content-Digest` and `Repr-Digest` (RFC 9530), with SHA-256 and SHA-512.
//!
//! A signature covers the field; these tie the body to the field. Digests of other algorithms are
//! passed over, as the RFC has it, but one of these two must be there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_RANGE, HeaderMap, HeaderName};
use sfv::{BareItem, ListEntry};
use smallvec::SmallVec;

use crate::crypto::digest::{Algorithm, Hasher};
use crate::crypto::equal_bytes;

use super::component::{Component, Name};
use super::fault::Fault;
use super::structured;

/// `Content-Digest`.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// `Repr-Digest`.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// The algorithms by their names in the fields.
const ALGORITHMS: [(&str, Algorithm); 2] =
    [("sha-256", Algorithm::Sha256), ("sha-512", Algorithm::Sha512)];

/// The digests that a body must have, while it is taken in.
#[derive(Default)]
pub struct BodyDigests {
    expected: SmallVec<[(Algorithm, Box<[u8]>); 1]>,
    hashers: SmallVec<[(Algorithm, Hasher); 1]>,
}

/// The field of a component that ties the body, where it is one.
pub(super) fn field_of(component: &Component) -> Option<(HeaderName, &'static str)> {
    [(CONTENT_DIGEST, "Content-Digest"), (REPR_DIGEST, "Repr-Digest")]
        .into_iter()
        .find(|(field, _)| component.is_field(field))
}

/// Whether a component, where it is a digest of the body, names one that is checked.
pub(super) fn ties_body(component: &Component, headers: &HeaderMap) -> bool {
    let known = |key: &str| ALGORITHMS.iter().any(|(name, _)| *name == key);
    let whole = component.parameters.key.as_deref().is_none_or(known);
    match &component.name {
        _ if component.parameters.of_request || !whole => false,
        Name::Field(name) if *name == CONTENT_DIGEST => true,
        // Of a part of a representation, the digest is that of the whole (RFC 9530 section 3).
        Name::Field(name) if *name == REPR_DIGEST => !headers.contains_key(CONTENT_RANGE),
        _ => false,
    }
}

impl BodyDigests {
    /// The digests in the fields that a signature covers.
    ///
    /// # Errors
    /// When a field is malformed or has no digest of an algorithm that is known here.
    pub(super) fn of(covered: &[Component], headers: &HeaderMap) -> Result<Self, Fault> {
        let mut digests = Self::default();
        let mut seen = [false; 2];
        for component in covered.iter().filter(|component| ties_body(component, headers)) {
            let Some((field, shown)) = field_of(component) else { continue };
            let index = usize::from(field == REPR_DIGEST);
            if let Some(seen) = seen.get_mut(index)
                && !std::mem::replace(seen, true)
            {
                digests.add(headers, &field, shown)?;
            }
        }
        Ok(digests)
    }

    fn add(
        &mut self,
        headers: &HeaderMap,
        field: &HeaderName,
        shown: &'static str,
    ) -> Result<(), Fault> {
        if !headers.contains_key(field) {
            return Err(Fault::Missing(shown));
        }
        let malformed = || Fault::Malformed(shown);
        let text = structured::combined(headers, field).ok_or_else(malformed)?;
        let dictionary = structured::dictionary(&text).ok_or_else(malformed)?;
        let before = self.expected.len();
        for (name, algorithm) in ALGORITHMS {
            let Some(entry) = dictionary.get(name) else { continue };
            let ListEntry::Item(item) = entry else { return Err(malformed()) };
            let BareItem::ByteSequence(value) = &item.bare_item else { return Err(malformed()) };
            if value.len() != algorithm.bytes() {
                return Err(malformed());
            }
            self.expected.push((algorithm, value.as_slice().into()));
            if !self.hashers.iter().any(|(known, _)| *known == algorithm) {
                self.hashers.push((algorithm, algorithm.begin()));
            }
        }
        if self.expected.len() == before { Err(malformed()) } else { Ok(()) }
    }

    /// How many digests are computed over the body.
    pub fn count(&self) -> usize {
        self.hashers.len()
    }

    /// Adds bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hashers.iter_mut().for_each(|(_, hasher)| hasher.update(bytes));
    }

    /// Ends the body: whether it has every digest that it must have. None is needed of a body that
    /// no digest is covered of.
    pub fn finish(self) -> bool {
        let values: SmallVec<[_; 2]> = self
            .hashers
            .into_iter()
            .map(|(algorithm, mut hasher)| (algorithm, hasher.finish()))
            .collect();
        self.expected.iter().all(|(algorithm, expected)| {
            let own = values.iter().find(|(known, _)| known == algorithm);
            own.is_some_and(|(_, value)| equal_bytes(value.as_bytes(), expected))
        })
    }
}

/// The value of a digest field for a body, with SHA-256.
pub(super) fn field_value(body: &[Bytes]) -> String {
    let mut hasher = Algorithm::Sha256.begin();
    body.iter().for_each(|piece| hasher.update(piece));
    format!("sha-256=:{}:", STANDARD.encode(hasher.finish().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&'static str, &str)], covered: &[&str], body: &str) -> Result<bool, Fault> {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let covered: Vec<Component> =
            covered.iter().map(|text| Component::of(text).unwrap()).collect();
        let mut digests = BodyDigests::of(&covered, &headers)?;
        body.as_bytes().chunks(3).for_each(|piece| digests.update(piece));
        Ok(digests.finish())
    }

    /// RFC 9530 section 2 and appendix B: the digests of `{"hello": "world"}` and a line feed.
    const BODY: &str = "{\"hello\": \"world\"}\n";
    const SHA_256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA_512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCs\
                           yRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

    #[test]
    fn examples_of_rfc_9530() {
        for field in ["content-digest", "repr-digest"] {
            for value in [SHA_256, SHA_512, &format!("{SHA_256}, {SHA_512}")] {
                assert_eq!(check(&[(field, value)], &[field], BODY), Ok(true), "{value}");
                assert_eq!(check(&[(field, value)], &[field], "{}"), Ok(false), "{value}");
            }
        }
        assert_eq!(field_value(&[Bytes::from_static(BODY.as_bytes())]), SHA_256);
    }

    #[test]
    fn every_digest_that_is_known_must_hold() {
        let wrong = SHA_256.replace("RK", "RL");
        let both = format!("{wrong}, {SHA_512}");
        assert_eq!(check(&[("content-digest", &both)], &["content-digest"], BODY), Ok(false));
        let with_other = format!("md5=:AAAA:, {SHA_512}");
        let covered = ["\"content-digest\";key=\"sha-512\""];
        assert_eq!(check(&[("content-digest", &with_other)], &covered, BODY), Ok(true));
        let fields = [("content-digest", SHA_256), ("repr-digest", &wrong)];
        assert_eq!(check(&fields, &["content-digest"], BODY), Ok(true));
        assert_eq!(check(&fields, &["content-digest", "repr-digest"], BODY), Ok(false));
    }

    #[test]
    fn a_field_without_a_digest_that_is_known_refuses() {
        let malformed = Err(Fault::Malformed("Content-Digest"));
        for value in
            ["md5=:AAAA:", "sha-256=:AAAA:", "sha-256=x", "sha-256", "sha-256=(1)", "\"", ""]
        {
            assert_eq!(check(&[("content-digest", value)], &["content-digest"], ""), malformed);
        }
        let repeated = format!("{SHA_256}, {SHA_256}");
        assert_eq!(check(&[("content-digest", &repeated)], &["content-digest"], BODY), malformed);
        let missing = Err(Fault::Missing("Content-Digest"));
        assert_eq!(check(&[], &["content-digest"], ""), missing);
    }
}
