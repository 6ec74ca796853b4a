//! Schemes that are a protocol and no recipe: HTTP Message Signatures (RFC 9421), with the face
//! that other schemes have.

mod answer;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::crypto::digest::Tag;
use crate::crypto::{DigestInProgress, hex, random};
use crate::recipe::{Fault, Origin, Subject};
use crate::secret::Secret;

use super::algorithm::{InProgress, Method};
use super::coverage::{ClaimCoverage, Coverage, Facts, Strength};
use super::definition::{Definition, SchemeMistake};
use super::http_signatures::{
    self as http_signatures, Algorithm, BodyDigests, Choice, HttpSignatures, Message, Request,
    Requirement, Signer, Statement,
};
use super::parts::{Part, Piece, Written};
use super::{ClaimFault, Claims, Outgoing, SignFault, Verdict, VerifyingKey};

/// What `protocol` may say.
const NAME: &str = "rfc9421";
/// What a signature must cover where `covers` does not say.
const COVERS: [&str; 3] = ["method", "target", "body"];
/// Bytes of body that one step takes in before others get their turn.
const STEP_BYTES: usize = 64 * 1024;

/// A protocol as a scheme.
pub(super) struct Protocol {
    signatures: HttpSignatures,
}

impl Protocol {
    /// The protocol that a definition names; none where it is a recipe.
    ///
    /// # Errors
    /// Keys that do not go together, and values that are not understood.
    pub(super) fn of(definition: &Definition) -> Result<Option<Self>, Vec<SchemeMistake>> {
        let Some(name) = &definition.protocol else { return Self::none(definition) };
        let mut mistakes = Vec::new();
        if name != NAME {
            let hint = format!("the protocol that there is: {NAME}");
            mistakes.push(SchemeMistake::of("protocol", "no protocol of this name").hint(hint));
        }
        for key in definition.keys_of_recipes() {
            let problem = format!("a scheme with a protocol has no `{key}`");
            mistakes.push(SchemeMistake::of(key, problem));
        }
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| {
            definition.mac.as_deref().is_some_and(|name| name == algorithm.name())
        });
        if algorithm.is_none() {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            let problem = "no algorithm of the protocol";
            mistakes.push(SchemeMistake::of("mac", problem).hint(format!("one of {names}")));
        }
        if definition.label.is_some() && definition.tag.is_some() {
            let problem = "a signature is chosen by its label or by its tag, not by both";
            mistakes.push(SchemeMistake::of("tag", problem));
        }
        let choice = match (&definition.label, &definition.tag) {
            (Some(label), _) => Choice::Label(label.as_str().into()),
            (_, Some(tag)) => Choice::Tag(tag.as_str().into()),
            _ => Choice::Only,
        };
        let words: Vec<&str> = match &definition.covers {
            Some(words) => words.iter().map(String::as_str).collect(),
            None => COVERS.to_vec(),
        };
        let requirement = Requirement::of(&words).map_err(|fault| {
            let hint = "method, target, body, nonce, or a component such as date or @authority";
            SchemeMistake::of("covers", fault.to_string()).hint(hint)
        });
        match (algorithm, requirement) {
            (Some(algorithm), Ok(requirement)) if mistakes.is_empty() => {
                Ok(Some(Self { signatures: HttpSignatures { algorithm, choice, requirement } }))
            }
            (_, requirement) => {
                mistakes.extend(requirement.err());
                Err(mistakes)
            }
        }
    }

    fn none(definition: &Definition) -> Result<Option<Self>, Vec<SchemeMistake>> {
        let keys = [
            ("label", definition.label.is_some()),
            ("tag", definition.tag.is_some()),
            ("covers", definition.covers.is_some()),
        ];
        let stray = keys.into_iter().filter(|(_, there)| *there);
        let mistakes: Vec<SchemeMistake> = stray
            .map(|(key, _)| SchemeMistake::of(key, format!("`{key}` goes with `protocol`")))
            .collect();
        if mistakes.is_empty() { Ok(None) } else { Err(mistakes) }
    }

    /// The protocol itself.
    pub(super) fn signatures(&self) -> &HttpSignatures {
        &self.signatures
    }

    /// How it is computed.
    pub(super) fn method(&self) -> Method {
        match self.signatures.algorithm.method() {
            http_signatures::Method::Mac(algorithm) => Method::Mac(algorithm),
            http_signatures::Method::KeyPair(algorithm) => Method::Public(algorithm),
        }
    }

    /// What its signatures bind: what they must cover.
    pub(super) fn coverage(&self) -> Coverage {
        let Requirement { method, target, body, nonce, .. } = self.signatures.requirement;
        // A nonce is a parameter of the signature, and so signed wherever it is.
        let nonce = if nonce { ClaimCoverage::Signed } else { ClaimCoverage::Absent };
        Coverage { method, target, body, time: ClaimCoverage::Signed, nonce }
    }

    /// Whether what a message gives for an origin is covered by every signature that counts.
    pub(super) fn binds(&self, origin: &Origin) -> bool {
        let requirement = &self.signatures.requirement;
        match origin {
            Origin::Method => requirement.method,
            Origin::Path | Origin::Query | Origin::Target => requirement.target,
            Origin::QueryField(_) | Origin::QueryFields => requirement.target,
            Origin::Header(name) => requirement.covers_field(&name.0),
            origin => origin.is_body() && requirement.body,
        }
    }

    /// How much they prove.
    pub(super) fn strength(&self) -> Strength {
        if self.signatures.requirement.body { Strength::Full } else { Strength::Partial }
    }

    /// What they may leave open, a sentence each.
    pub(super) fn open(&self) -> Vec<String> {
        let open = self.coverage().open_parts().into_iter();
        open.map(|part| format!("the {part} need not be covered")).collect()
    }

    /// What others ask about a scheme.
    pub(super) fn facts() -> Facts {
        Facts {
            credential_headers: HttpSignatures::credential_headers().to_vec(),
            names_key: true,
            ..Facts::default()
        }
    }

    /// Reads the claims of a message. What must be covered of its head is asked for here already.
    pub(super) fn claims(&self, subject: &Subject<'_>) -> Result<Claims, ClaimFault> {
        let message = message(subject);
        let claims = self.signatures.claims(subject.headers);
        let claims = claims.and_then(|claims| {
            self.signatures.check(&claims, &message, false)?;
            Ok(claims)
        });
        claims.map(Claims::of_protocol).map_err(|fault| match fault {
            http_signatures::Fault::Missing(name) => ClaimFault::Missing(name),
            fault => ClaimFault::Malformed(fault.header()),
        })
    }

    /// Whether a message has none of the fields that carry signatures.
    pub(super) fn finds_no_signature(subject: &Subject<'_>) -> bool {
        let fields = HttpSignatures::credential_headers();
        fields.iter().all(|name| !subject.headers.contains_key(name))
    }

    /// Begins to verify a message against keys.
    pub(super) fn verify<'a>(
        &self,
        keys: &[&VerifyingKey],
        claims: &'a http_signatures::Claims,
        subject: &Subject<'a>,
    ) -> ProtocolVerification<'a> {
        let message = message(subject);
        let mut states: SmallVec<[InProgress; 4]> =
            keys.iter().filter_map(|key| key.ready.first()).map(|key| key.begin()).collect();
        let mut own_digest =
            matches!(self.method(), Method::Public(_)).then(DigestInProgress::default);
        let mut sink = |bytes: &[u8]| {
            states.iter_mut().for_each(|state| state.update(bytes));
            if let Some(digest) = &mut own_digest {
                digest.update(bytes);
            }
        };
        let has_body = subject.body.iter().any(|piece| !piece.is_empty());
        let checked = self.signatures.check(claims, &message, has_body);
        let checked = checked.and_then(|()| claims.feed(&message, &mut sink));
        let digests = checked.and_then(|()| claims.body_digests(&message));
        ProtocolVerification {
            signature: claims.signature(),
            states,
            own_digest,
            digests: digests.ok(),
            pieces: subject.body.iter(),
        }
    }

    /// What signs with a secret; none where that is a public key.
    pub(super) fn signer(&self, secret: &Secret) -> Option<Signer> {
        Signer::new(self.signatures.algorithm, secret.expose()).ok()
    }

    /// The headers that make a request signed. The key must have the secret, or the private key.
    pub(super) fn sign(
        &self,
        key: &VerifyingKey,
        request: &Outgoing<'_>,
        sent: &HeaderMap,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignFault> {
        let signer = key.signer.as_deref().ok_or(SignFault::PrivateKey)?;
        let nonce = hex(&random::<32>()?);
        let nonce = String::from_utf8_lossy(nonce.get(..32).unwrap_or_default());
        let statement = Statement {
            key_id: request.key_id,
            created: request.timestamp,
            expires: None,
            nonce: Some(&nonce),
        };
        let message = Message::Request(Request {
            method: request.method.as_str(),
            scheme: "https",
            authority: request.authority,
            target: request.target,
            headers: sent,
        });
        let body = [Bytes::copy_from_slice(request.body)];
        Ok(self.signatures.sign(signer, &statement, &message, &body)?)
    }

    /// The signature that a message must have under a key.
    pub(super) fn signature_of(
        &self,
        subject: &Subject<'_>,
        key: &VerifyingKey,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let claims = self.signatures.claims(subject.headers).map_err(|_| Fault::malformed())?;
        let mut state = key.ready.first().ok_or_else(Fault::absent)?.begin();
        let fed = claims.feed(&message(subject), &mut |bytes| state.update(bytes));
        fed.map_err(|_| Fault::malformed())?;
        Ok(state.finish().signature().map(<[u8]>::to_vec))
    }

    /// The pieces of what a message signs.
    pub(super) fn parts(&self, subject: &Subject<'_>) -> Result<Vec<Part>, Fault> {
        let claims = self.signatures.claims(subject.headers).map_err(|_| Fault::malformed())?;
        let lines = claims.lines(&message(subject)).map_err(|_| Fault::malformed())?;
        let mut parts = Vec::new();
        let last = lines.len().saturating_sub(1);
        for (index, (name, value)) in lines.into_iter().enumerate() {
            let mut put = |piece, bytes| parts.push(Part { piece, bytes: Some(bytes), span: 0..0 });
            put(Piece::Text, format!("{name}: ").into_bytes());
            put(Piece::Reads(vec![name]), value);
            if index < last {
                put(Piece::Text, b"\n".to_vec());
            }
        }
        Ok(parts)
    }

    /// What must be covered, for people.
    pub(super) fn pieces(&self) -> Vec<Written> {
        let Requirement { method, target, body, nonce, components } = &self.signatures.requirement;
        let words = [
            (*method, "@method", "the method"),
            (*target, "@target-uri", "scheme, host, path and query, or these by themselves"),
            (*body, "content-digest", "the digest of the body, where there is one"),
            (*nonce, ";nonce", "a value that is used once"),
        ];
        let words = words.into_iter().filter(|(needed, ..)| *needed);
        let mut pieces: Vec<(String, String)> =
            words.map(|(_, name, about)| (name.to_owned(), about.to_owned())).collect();
        let own = |name: String| (name, "this component".to_owned());
        pieces.extend(components.iter().map(ToString::to_string).map(own));
        let about = "what the signature says of itself: components, created, keyid and the rest";
        pieces.push(("@signature-params".to_owned(), about.to_owned()));
        vec![("*".to_owned(), pieces)]
    }
}

/// A request as the protocol looks at it.
fn message<'a>(subject: &Subject<'a>) -> Message<'a> {
    Message::Request(Request {
        method: subject.method,
        scheme: subject.scheme,
        authority: subject.authority,
        target: subject.target,
        headers: subject.headers,
    })
}

/// A verification in progress: the signature base is fed from the start, the body in steps.
pub(super) struct ProtocolVerification<'a> {
    signature: &'a [u8],
    /// One a key.
    states: SmallVec<[InProgress; 4]>,
    /// What is signed, where signatures say nothing of it.
    own_digest: Option<DigestInProgress>,
    /// None where the signature covers too little or what is not there.
    digests: Option<BodyDigests>,
    pieces: std::slice::Iter<'a, Bytes>,
}

impl ProtocolVerification<'_> {
    /// Takes in some of the body and says whether more is left.
    pub(super) fn step(&mut self) -> bool {
        let Some(digests) = &mut self.digests else { return false };
        let mut bytes = 0;
        for piece in self.pieces.by_ref() {
            digests.update(piece);
            bytes += piece.len() * digests.count();
            if bytes >= STEP_BYTES {
                break;
            }
        }
        !self.pieces.as_slice().is_empty()
    }

    /// Ends the message: which of the keys signed it, where the body is the one that was signed.
    pub(super) fn finish(mut self) -> Verdict {
        while self.step() {}
        let body = self.digests.is_some_and(BodyDigests::finish);
        let digest = self.own_digest.as_mut().map(DigestInProgress::finish);
        let mut verdict = Verdict { matched: None, proof: Tag::new(&[]) };
        for (index, state) in self.states.into_iter().enumerate() {
            let proof = state.finish();
            if proof.is(self.signature) && body {
                let own = digest.as_ref().map_or(proof.signature(), |digest| Some(digest));
                verdict =
                    Verdict { matched: Some(index), proof: Tag::new(own.unwrap_or_default()) };
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
