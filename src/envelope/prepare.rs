//! An envelope with a key: all that depends on secrets alone is worked out here, once. A key that
//! is derived in sixty thousand rounds is derived for the first message only.

use zeroize::Zeroizing;

use super::names::Settled;
use super::wrap::Unwrapping;
use super::{CannotOpen, Envelope, Method, Part};
use crate::crypto::mac;
use crate::secret::NamedSecrets;

/// What one key makes of an envelope. Wiped when dropped.
pub struct Prepared {
    pub(super) settled: Settled,
    pub(super) secret: Option<Zeroizing<Vec<u8>>>,
    pub(super) values: NamedSecrets,
    /// Keys of MACs by the position of their bytes.
    macs: Vec<(usize, mac::Algorithm, mac::Key)>,
    /// Private keys by the position of their text.
    private: Vec<(usize, Unwrapping)>,
    fitted: bool,
}

impl Prepared {
    pub(super) fn mac(&self, at: usize, algorithm: mac::Algorithm) -> Option<&mac::Key> {
        let same =
            |(own, of, _): &&(usize, mac::Algorithm, mac::Key)| *own == at && *of == algorithm;
        self.macs.iter().find(same).map(|(_, _, key)| key)
    }

    pub(super) fn private(&self, at: usize) -> Option<&Unwrapping> {
        self.private.iter().find(|(own, _)| *own == at).map(|(_, key)| key)
    }

    /// Whether the key had another length than the cipher's, so that zero bytes were added to it
    /// or its end was cut off: secrets that are made now should fit.
    pub fn was_fitted(&self) -> bool {
        self.fitted
    }
}

impl Envelope {
    /// Works out all that depends on a secret and named values.
    ///
    /// # Errors
    /// When one of the values is missing, cannot be decoded, or is no key.
    pub fn prepare(
        &self,
        secret: Option<&[u8]>,
        values: &NamedSecrets,
    ) -> Result<Prepared, CannotOpen> {
        let templates = self.settled_names.iter().chain(&self.hoisted);
        let settled = Settled::work_out(&self.written.scope, templates, secret, values)?;
        let mut prepared = Prepared {
            settled,
            secret: secret.map(|secret| Zeroizing::new(secret.to_vec())),
            values: values.clone(),
            macs: Vec::new(),
            private: Vec::new(),
            fitted: false,
        };
        for (at, algorithm) in self.before.iter().chain(&self.after).filter_map(|c| c.settled_key())
        {
            let key = algorithm.key(&prepared.settled.bytes(at)?);
            prepared.macs.push((at, algorithm, key));
        }
        self.prepare_private(&mut prepared)?;
        self.check_lengths(&mut prepared)?;
        Ok(prepared)
    }

    fn prepare_private(&self, prepared: &mut Prepared) -> Result<(), CannotOpen> {
        let unwrap = self.unwrap.iter().map(|unwrap| (unwrap.way, &unwrap.key));
        let mut wanted: Vec<_> = unwrap.collect();
        if let Method::Jwe(jwe) = &self.method
            && let super::jwe::Management::Wrapped(way) = jwe.management
        {
            wanted.extend(
                self.key.iter().chain(self.keys.iter().map(|(_, key)| key)).map(|key| (way, key)),
            );
        }
        for (way, part) in wanted {
            let Part::Settled(at) = part else { continue };
            // A public key seals only: what comes in cannot be opened with it.
            if let Ok(key) = Unwrapping::from_pem(way, &prepared.settled.bytes(*at)?) {
                prepared.private.push((*at, key));
            } else if super::wrap::wrap(way, &prepared.settled.bytes(*at)?, &[0; 16]).is_err() {
                return Err(CannotOpen);
            }
        }
        Ok(())
    }

    /// A settled key of a wrong length would refuse every message: told at once.
    fn check_lengths(&self, prepared: &mut Prepared) -> Result<(), CannotOpen> {
        let wrapped = self.is_costly();
        let (Some(Part::Settled(at)), Some(length), false) =
            (&self.key, self.method.key_bytes(), wrapped)
        else {
            return Ok(());
        };
        let found = prepared.settled.bytes(*at)?.len();
        if found == length {
            return Ok(());
        }
        prepared.fitted = self.fit_key && found > 0;
        if prepared.fitted { Ok(()) } else { Err(CannotOpen) }
    }
}
