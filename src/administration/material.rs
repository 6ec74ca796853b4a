//! Secrets of credentials: made here or brought by a partner, and whether they fit what reads them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::disclosure::{Given, Shown};
use super::form::as_word;
use super::{Code, Office, Problem};
use crate::crypto::{MacKey, hex, random, random_bytes};
use crate::envelope::Envelope;
use crate::scheme::{AnswerSecret, Scheme};
use crate::secret::{NamedSecrets, Secret, text};
use crate::store::View;
use crate::store::row::{CredentialRow, Kind, SecretOrigin, VersionRow, VersionState};

/// How the text of a given secret stands for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The bytes of the text.
    Text,
    /// Base64 (RFC 4648, section 4), with padding.
    Base64,
    /// Two hexadecimal digits a byte.
    Hex,
}

as_word! {
    /// How the text of a given secret stands for its bytes.
    Encoding of Coding:
    "text" = Coding::Text,
    "base64" = Coding::Base64,
    "hex" = Coding::Hex,
}

/// The bytes of a text.
pub(super) fn decode(given: &Given, encoding: Option<Encoding>) -> Result<Vec<u8>, Problem> {
    let text = given.as_str();
    let wrong = |what: &str| {
        let detail = format!("the secret is not {what}: say how it is written by secret_encoding");
        Problem::new(Code::InvalidInput, detail)
    };
    match encoding.map_or(Coding::Text, |encoding| encoding.0) {
        Coding::Text => Ok(text.as_bytes().to_vec()),
        Coding::Base64 => STANDARD.decode(text.trim_ascii()).map_err(|_| wrong("base64")),
        Coding::Hex => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let pairs = text.trim_ascii().as_bytes().chunks(2);
            let byte = |pair: &[u8]| match pair {
                [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
                _ => None,
            };
            pairs.map(byte).collect::<Option<_>>().ok_or_else(|| wrong("hexadecimal"))
        }
    }
}

/// A secret, as it is kept and as its partner gets it.
pub(super) struct Material {
    /// The bytes that are kept.
    pub(super) secret: Secret,
    /// The text that stands for them; none where nobody ever gets it.
    pub(super) shown: Option<Shown>,
    /// Where it came from.
    pub(super) origin: SecretOrigin,
}

/// The first 6 hexadecimal digits of HMAC-SHA256(secret, `kcv`).
pub(super) fn check_value(secret: &Secret) -> String {
    let mut mac = MacKey::new(secret).begin();
    mac.update(b"kcv");
    hex(&mac.finish()).iter().take(6).map(|digit| char::from(*digit)).collect()
}

/// The text of a kept secret that its partner gets; none where nobody does.
pub(super) fn shown(kind: &Kind, live: bool, secret: &Secret) -> Option<Shown> {
    match kind {
        Kind::Root => None,
        Kind::Anchor => {
            let bytes = secret.expose().try_into().ok()?;
            Shown::of(&text::anchor(live, bytes))
        }
        Kind::Signing | Kind::Answer | Kind::Value(_) => Shown::of(secret),
    }
}

/// What reads the secrets of a credential.
pub(super) struct Readers {
    scheme: Arc<Scheme>,
    envelope: Option<Arc<Envelope>>,
    live: bool,
    values: NamedSecrets,
}

impl Readers {
    /// The scheme and envelope of these names.
    pub(super) fn find(
        office: &Office,
        (scheme, envelope): (&str, Option<&str>),
        live: bool,
    ) -> Result<Self, Problem> {
        let catalogue = &office.catalogue;
        let unknown = |what: &str, name: &str, near: Option<&str>| {
            let near = near.map(|near| format!(": did you mean {near}?"));
            let detail = format!("there is no {what} {name}{}", near.unwrap_or_default());
            Problem::new(Code::NotFound, detail)
        };
        let schemes = &catalogue.schemes;
        let found = schemes.find(scheme);
        let scheme = found.ok_or_else(|| unknown("scheme", scheme, schemes.nearest(scheme)))?;
        let envelopes = &catalogue.envelopes;
        let find = |name: &str| {
            let found = envelopes.find(name);
            found.ok_or_else(|| unknown("envelope", name, envelopes.nearest(name)))
        };
        let envelope = envelope.map(find).transpose()?;
        Ok(Self { scheme, envelope, live, values: NamedSecrets::default() })
    }

    /// What reads the secrets of a credential in the store, with its values.
    pub(super) fn of(
        office: &Office,
        view: &View<'_>,
        credential: &CredentialRow,
        versions: &[VersionRow],
    ) -> Result<Self, Problem> {
        let names = (credential.scheme.as_str(), credential.envelope.as_deref());
        let mut readers = Self::find(office, names, credential.live)?;
        for row in versions.iter().filter(|row| row.state == VersionState::Active) {
            if let Kind::Value(name) = &row.kind {
                readers.values.insert(name, view.secret(row)?.expose().to_vec());
            }
        }
        Ok(readers)
    }

    /// What it signs by.
    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Adds a value beside the secret, or takes another for it.
    ///
    /// # Errors
    /// For a name that neither scheme nor envelope reads.
    pub(super) fn set_value(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Problem> {
        let names = self.value_names();
        if !names.iter().any(|own| own == name) {
            let read = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let detail = format!("nothing reads the value {name}; what is read: {read}");
            return Err(Problem::new(Code::Unfit, detail));
        }
        self.values.insert(name, bytes);
        Ok(())
    }

    fn value_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.scheme.value_names().map(str::to_owned).collect();
        names.extend(self.envelope.iter().flat_map(|envelope| envelope.value_names()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether scheme and envelope can use a secret; `fitted` takes one whose length is not that of
    /// the envelope's key.
    ///
    /// # Errors
    /// [`Code::Unfit`].
    pub(super) fn check(&self, kind: &Kind, secret: &Secret, fitted: bool) -> Result<(), Problem> {
        let unfit = |detail: String| Err(Problem::new(Code::Unfit, detail));
        let scheme = self.scheme.name();
        match kind {
            Kind::Signing => {
                let missing = self.value_names().into_iter().find(|n| self.values.get(n).is_none());
                if let Some(name) = missing {
                    return unfit(format!(
                        "{scheme} or its envelope reads the value {name}: give it"
                    ));
                }
                if let Err(fault) = self.scheme.key(secret, self.values.clone()) {
                    return unfit(format!("{scheme} cannot use the secret: {fault}"));
                }
                self.check_sealing(secret, fitted)
            }
            Kind::Answer if self.scheme.answer_secret() != Some(AnswerSecret::Own) => {
                unfit(format!("{scheme} does not sign answers with a secret of their own"))
            }
            Kind::Answer => match self.scheme.signing_key(secret, self.values.clone()) {
                Ok(_) => Ok(()),
                Err(fault) => unfit(format!("{scheme} cannot use the answer secret: {fault}")),
            },
            Kind::Anchor if secret.expose().len() != 160 => {
                unfit("an anchor has 160 bytes, as a text that begins with css_".to_owned())
            }
            Kind::Root if secret.expose().len() != 32 => unfit("a root has 32 bytes".to_owned()),
            Kind::Anchor | Kind::Root | Kind::Value(_) => Ok(()),
        }
    }

    fn check_sealing(&self, secret: &Secret, fitted: bool) -> Result<(), Problem> {
        let Some(envelope) = self.envelope.as_deref().filter(|envelope| !envelope.derives()) else {
            return Ok(());
        };
        let name = envelope.name();
        let detail = match envelope.prepare(Some(secret.expose()), &self.values) {
            Ok(prepared) if prepared.was_fitted() && !fitted => format!(
                "the secret has not the length of the key of {name}, and would be filled with zero \
                 bytes or cut; for one that is in use already, say fitted"
            ),
            Ok(_) => return Ok(()),
            Err(_) => format!("{name} cannot use the secret and values as keys"),
        };
        Err(Problem::new(Code::Unfit, detail))
    }

    /// A secret that a partner brings.
    pub(super) fn import(
        &self,
        kind: &Kind,
        (given, encoding): (&Given, Option<Encoding>),
        fitted: bool,
    ) -> Result<Material, Problem> {
        let refuse = |detail: String| Problem::new(Code::InvalidInput, detail);
        let bytes = decode(given, encoding)?;
        let secret = match kind {
            Kind::Anchor => {
                let bytes = text::anchor_bytes(&Zeroizing::new(bytes));
                let whole = "an anchor is a text that begins with css_, copied whole";
                let bytes = bytes.ok_or_else(|| refuse(whole.to_owned()))?;
                Secret::of_any_length(bytes.to_vec())
            }
            Kind::Root => {
                return Err(refuse("a root is made here and never leaves: it has no other".into()));
            }
            Kind::Value(_) => Secret::of_any_length(bytes),
            Kind::Signing | Kind::Answer => {
                text::check_secret(&bytes, Some(self.live))
                    .map_err(|fault| refuse(format!("the secret: {fault}")))?;
                Secret::new(bytes).map_err(|fault| refuse(fault.to_string()))?
            }
        };
        self.check(kind, &secret, fitted)?;
        Ok(Material { secret, shown: None, origin: SecretOrigin::Imported })
    }

    /// A new secret that fits: our own form where that is possible, else random text of another
    /// length or alphabet.
    ///
    /// # Errors
    /// Where no text fits: a scheme whose partners sign with a private key of their own.
    pub(super) fn generate(&self, kind: &Kind) -> Result<Material, Problem> {
        let candidates: Vec<Secret> = match kind {
            Kind::Anchor => vec![Secret::of_any_length(random_bytes(160)?)],
            Kind::Root => vec![Secret::of_any_length(random_bytes(32)?)],
            Kind::Value(_) => vec![text::secret(self.live, &random()?)],
            Kind::Signing | Kind::Answer => {
                let mut all = vec![text::secret(self.live, &random()?)];
                for length in [32, 24, 16] {
                    // The digits of a secret of ours are random up to its checksum.
                    let digits = text::secret(self.live, &random()?);
                    let prefix = text::TextKind::Secret { live: self.live }.prefix().len();
                    let digits = digits.expose().get(prefix + 1..prefix + 1 + length);
                    all.push(Secret::of_any_length(digits.unwrap_or_default().to_vec()));
                }
                all.push(Secret::of_any_length(hex(&random()?).to_vec()));
                let bytes = Zeroizing::new(random::<32>()?);
                all.push(Secret::of_any_length(STANDARD.encode(*bytes).into_bytes()));
                all
            }
        };
        let mut first = None;
        for secret in candidates {
            match self.check(kind, &secret, false) {
                Ok(()) => {
                    let shown = shown(kind, self.live, &secret);
                    let origin = SecretOrigin::Generated;
                    return Ok(Material { secret, shown, origin });
                }
                Err(problem) => drop(first.get_or_insert(problem)),
            }
        }
        let mut problem = first.unwrap_or_else(|| Problem::new(Code::Unfit, "no secret fits"));
        problem.detail.push_str("; none that is made here fits: import the partner's");
        Err(problem)
    }
}
