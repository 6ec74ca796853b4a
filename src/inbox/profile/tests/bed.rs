//! Messages, and what a built-in profile makes of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{provider, scheme};
use crate::crypto::sha256;
use crate::inbox::message::{Misshapen, Read};
use crate::inbox::profile::{Compiled, Profile};
use crate::recipe::Subject;
use crate::scheme::{Scheme, Vector, VerifyingKey};
use crate::secret::{NamedSecrets, Secret};

/// Where a message has its signature, before it is signed.
pub(in crate::inbox) const HEX: &str = "$HEX$";
/// The same in base64.
pub(in crate::inbox) const BASE64: &str = "$BASE64$";

/// A built-in profile with its scheme and one set of secrets.
pub(in crate::inbox) struct Bed {
    pub(in crate::inbox) name: String,
    pub(in crate::inbox) profile: &'static Profile,
    pub(in crate::inbox) scheme: Arc<Scheme>,
    pub(in crate::inbox) compiled: Compiled,
    pub(in crate::inbox) values: NamedSecrets,
    pub(in crate::inbox) key: VerifyingKey,
}

impl Bed {
    pub(in crate::inbox) fn new(name: &str, secret: &str, values: &[(&str, &str)]) -> Self {
        let profile = provider::builtin(name).unwrap();
        let scheme = scheme::builtin(profile.scheme.as_deref().unwrap()).unwrap();
        let compiled = profile.compile(&scheme, &|name| scheme::builtin(name)).unwrap();
        let mut named = NamedSecrets::default();
        values.iter().for_each(|(name, value)| named.insert(name, value.as_bytes().to_vec()));
        let secret = Secret::of_any_length(secret.as_bytes().to_vec());
        let key = scheme.key(&secret, named.clone()).unwrap();
        Self { name: name.to_owned(), profile, scheme, compiled, values: named, key }
    }

    /// Puts the signature of a message where it has a place for it.
    pub(in crate::inbox) fn sign(&self, message: &Vector) -> Vector {
        let texts = || message.headers.iter().map(|(_, text)| text).chain([&message.body]);
        if !texts().any(|text| text.contains(HEX) || text.contains(BASE64)) {
            return message.clone();
        }
        let signature =
            message.with_subject(|subject| self.scheme.signature_of(&subject, &self.key));
        let signature = signature.unwrap().unwrap().unwrap();
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = STANDARD.encode(&signature);
        let put = |text: &str| text.replace(HEX, &hex).replace(BASE64, &base64);
        let mut signed = message.clone();
        signed.body = put(&signed.body);
        signed.headers.iter_mut().for_each(|(_, value)| *value = put(value));
        signed
    }

    /// Looks at a message with the values of the source.
    pub(in crate::inbox) fn look<T>(
        &self,
        message: &Vector,
        look: impl FnOnce(Subject<'_>) -> T,
    ) -> Option<T> {
        let values = &self.values;
        message.with_subject(|subject| look(Subject { values, ..subject })).ok()
    }

    pub(in crate::inbox) fn verifies(&self, message: &Vector) -> bool {
        let verifies = |subject: Subject<'_>| {
            let Ok(claims) = self.scheme.claims(&subject) else { return false };
            self.scheme.verify(&[&self.key], &claims, subject).finish().matched.is_some()
        };
        self.look(message, verifies).unwrap_or(false)
    }

    pub(in crate::inbox) fn read(&self, message: &Vector) -> Result<Read, Misshapen> {
        let read = |subject: Subject<'_>| {
            let whole = sha256(format!("{}\n{}", message.url, message.body).as_bytes());
            let content = self.scheme.content_digest(&subject).unwrap_or(whole);
            self.compiled.reading.read(subject, &content)
        };
        self.look(message, read).unwrap()
    }

    /// What is answered to a message that was stored.
    pub(in crate::inbox) fn stored(&self, message: &Vector) -> (u16, String) {
        let answer = &self.compiled.answers.stored;
        let (body, _) = self.look(message, |one| answer.of(&self.compiled.reading, one)).unwrap();
        (answer.status.as_u16(), String::from_utf8(body).unwrap())
    }
}

/// A message with a body.
pub(in crate::inbox) fn message(headers: &[(&str, &str)], body: &str) -> Vector {
    Vector {
        method: "POST".into(),
        url: "https://gate.example/webhooks".into(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        body: body.into(),
        ..Vector::default()
    }
}

/// The message by which a scheme proves itself.
pub(in crate::inbox) fn vector(scheme: &str) -> Vector {
    let scheme = scheme::builtin(scheme).unwrap();
    scheme.definition().vector.clone().unwrap()
}

/// The message of a recipe.
pub(in crate::inbox) fn recipe(id: &str) -> Vector {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/recipes");
    let text = fs::read_to_string(folder.join(format!("{id}.json"))).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let vector = &json["vector"];
    let text = |key: &str| vector[key].as_str().unwrap_or_default().to_owned();
    let pairs = |key: &str| {
        let members = vector[key].as_object().into_iter().flatten();
        members.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    Vector {
        secret: text("secret"),
        values: pairs("credentials"),
        method: text("method"),
        url: text("url"),
        headers: pairs("headers"),
        body: text("body"),
        published: false,
    }
}
