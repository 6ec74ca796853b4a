//! Base64 text decoded strictly (RFC 4648, sections 3.2 to 3.5): with its padding where it has
//! some, without bits left over, and without anything else between.
//!
//! Sealed bodies are mostly base64 of base64, and decoding is what opening one costs beside its
//! cryptography, so it is done by the wide registers of the processor: by a library, and faster
//! here where the processor has the widest.

use std::sync::LazyLock;

use base64_simd::Base64;

#[cfg(target_arch = "x86_64")]
mod avx512;

/// A kind of base64 text.
pub(super) struct Alphabet {
    library: &'static Base64,
    #[cfg(target_arch = "x86_64")]
    values: avx512::Values,
}

/// RFC 4648, section 4.
pub(super) static STANDARD: LazyLock<Alphabet> =
    LazyLock::new(|| Alphabet::new(&base64_simd::STANDARD, *b"+/"));
/// The same, never padded.
pub(super) static STANDARD_NO_PAD: LazyLock<Alphabet> =
    LazyLock::new(|| Alphabet::new(&base64_simd::STANDARD_NO_PAD, *b"+/"));
/// RFC 4648, section 5.
pub(super) static URL_SAFE: LazyLock<Alphabet> =
    LazyLock::new(|| Alphabet::new(&base64_simd::URL_SAFE, *b"-_"));
/// The same, never padded.
pub(super) static URL_SAFE_NO_PAD: LazyLock<Alphabet> =
    LazyLock::new(|| Alphabet::new(&base64_simd::URL_SAFE_NO_PAD, *b"-_"));

impl Alphabet {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "read there only"))]
    fn new(library: &'static Base64, last: [u8; 2]) -> Self {
        Self {
            library,
            #[cfg(target_arch = "x86_64")]
            values: avx512::Values::new(last),
        }
    }

    /// The bytes of a text; `None` if it is not what encoding gives.
    pub(super) fn decode(&self, text: &[u8]) -> Option<Vec<u8>> {
        #[cfg(target_arch = "x86_64")]
        if text.len() > avx512::CHARACTERS
            && let Some(avx512) = fearless_simd::Level::new().as_avx512()
        {
            return self.values.decode(avx512, text, self.library);
        }
        self.decode_by_library(text)
    }

    fn decode_by_library(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.library.decode_to_vec(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{
        BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
    };
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Another library says what is right, also for texts with a byte replaced, put in or left
        /// out anywhere.
        #[test]
        fn decodes_what_another_library_does(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![any::<u8>(), "[-A-Za-z0-9+/_= ]".prop_map(|c| c.as_bytes()[0])],
            change in 0..4_u8,
        ) {
            let kinds: [(&Alphabet, &base64::engine::GeneralPurpose); 4] = [
                (&STANDARD, &BASE64_STANDARD),
                (&STANDARD_NO_PAD, &BASE64_STANDARD_NO_PAD),
                (&URL_SAFE, &BASE64_URL_SAFE),
                (&URL_SAFE_NO_PAD, &BASE64_URL_SAFE_NO_PAD),
            ];
            for (alphabet, other) in kinds {
                let mut text = other.encode(&bytes).into_bytes();
                prop_assert_eq!(alphabet.decode(&text), Some(bytes.clone()));
                prop_assert_eq!(alphabet.decode_by_library(&text), Some(bytes.clone()));
                match change {
                    0 => text.insert(at.index(text.len() + 1), byte),
                    1 if !text.is_empty() => { text.remove(at.index(text.len())); }
                    _ if !text.is_empty() => {
                        let at = at.index(text.len());
                        text[at] = byte;
                    }
                    _ => {}
                }
                prop_assert_eq!(alphabet.decode(&text), other.decode(&text).ok());
                prop_assert_eq!(alphabet.decode_by_library(&text), other.decode(&text).ok());
            }
        }
    }

    /// Every byte at every place of two blocks.
    #[test]
    fn one_wrong_character_is_enough() {
        for (at, byte) in (0..128).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut text = [b'A'; 132];
            text[at] = byte;
            let other = BASE64_STANDARD.decode(text).ok();
            assert_eq!(STANDARD.decode(&text), other, "{byte} at {at}");
        }
    }
}
