//! Base64 decoded 64 characters at a time, by AVX-512 with its permutations of bytes (VBMI).

use std::arch::x86_64::*;

use base64_simd::Base64;
use fearless_simd::{Avx512, kernel, prelude::*, u8x64};

use crate::secret::wipe;

/// Characters of a block.
pub(super) const CHARACTERS: usize = 64;
/// The bytes that they stand for.
const BYTES: usize = CHARACTERS / 4 * 3;
/// In place of the value of a character that has none.
const NO_VALUE: u8 = 0x80;

/// The value of each character of ASCII.
pub(super) struct Values([u8; 128]);

impl Values {
    /// Those of an alphabet that ends with two characters of its own.
    pub(super) fn new(last: [u8; 2]) -> Self {
        let characters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last);
        let mut values = [NO_VALUE; 128];
        for (character, value) in characters.zip(0..) {
            if let Some(place) = values.get_mut(usize::from(character)) {
                *place = value;
            }
        }
        Self(values)
    }

    /// The bytes of a text. Its last block, whole or not, is left to the library, and whatever
    /// padding means with it.
    pub(super) fn decode(&self, avx512: Avx512, text: &[u8], library: &Base64) -> Option<Vec<u8>> {
        let before = text.len().saturating_sub(1) / CHARACTERS * CHARACTERS;
        let (text, last) = text.split_at_checked(before)?;
        let (blocks, _) = text.as_chunks();
        let mut bytes = Vec::with_capacity((blocks.len() + 1) * BYTES);
        if decode_blocks(avx512, &self.0, blocks, &mut bytes)
            && library.decode_append(last, &mut bytes).is_ok()
        {
            return Some(bytes);
        }
        wipe(&mut bytes);
        None
    }
}

/// Where the bytes of a block stand when each four characters are one number, its lowest byte
/// first: three of every four, in turned order.
#[rustfmt::skip]
const PLACES: [u8; CHARACTERS] = [
    2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 18, 17, 16, 22, 21, 20, 26, 25, 24, 30, 29, 28,
    34, 33, 32, 38, 37, 36, 42, 41, 40, 46, 45, 44, 50, 49, 48, 54, 53, 52, 58, 57, 56, 62, 61, 60,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

kernel!(
    /// Adds the bytes of whole blocks; says whether every character has a value.
    fn decode_blocks(
        avx512: Avx512,
        values: &[u8; 128],
        blocks: &[[u8; CHARACTERS]],
        bytes: &mut Vec<u8>,
    ) -> bool {
        let load = |array: &[u8; 64]| __m512i::from(u8x64::simd_from(avx512, *array));
        let (values, _) = values.as_chunks();
        let [low, high] = values else { return false };
        let (low, high, places) = (load(low), load(high), load(&PLACES));
        let mut wrong = _mm512_setzero_si512();
        for block in blocks {
            let text = load(block);
            let values = _mm512_permutex2var_epi8(low, text, high);
            // What is beyond ASCII has its highest bit set, as what has no value.
            wrong = _mm512_or_si512(wrong, _mm512_or_si512(values, text));
            // Six bits each: two in 12, then four in 24.
            let twos = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x0140_0140));
            let fours = _mm512_madd_epi16(twos, _mm512_set1_epi32(0x0001_1000));
            let packed = u8x64::simd_from(avx512, _mm512_permutexvar_epi8(places, fours));
            if let Some(packed) = packed.first_chunk::<BYTES>() {
                bytes.extend_from_slice(packed);
            }
        }
        _mm512_movepi8_mask(wrong) == 0
    }
);
