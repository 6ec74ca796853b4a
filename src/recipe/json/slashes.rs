//! `\/` made `/`, many bytes at a time by AVX-512: PHP writes every slash of a base64 text like
//! that. Where the processor cannot, whoever reads the strings takes it as one more escape.

use std::arch::x86_64::*;

use fearless_simd::{Level, kernel, prelude::*, u8x64};

/// Bytes that are looked at together.
const CHUNK: usize = 64;

/// A JSON text without the backslashes before slashes, up to where something else is escaped. What
/// it says stays the same, and what is no JSON does not become any.
pub(super) fn resolved(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(avx512) = Level::new().as_avx512() {
        let (read, written) = resolve_chunks(avx512, &mut text);
        text.copy_within(read.., written);
        text.truncate(text.len() - (read - written));
    }
    text
}

kernel!(
    /// How far it came, and where what it made of that ends.
    fn resolve_chunks(avx512: Avx512, text: &mut [u8]) -> (usize, usize) {
        let splat = |byte| __m512i::from(u8x64::splat(avx512, byte));
        let (backslash, slash) = (splat(b'\\'), splat(b'/'));
        let (mut read, mut written) = (0, 0);
        // Whether a backslash ends the chunk before: a bit, as it is wanted below.
        let mut escaped = 0;
        while let Some(chunk) = text.get(read..).and_then(|rest| rest.first_chunk::<CHUNK>()) {
            let bytes = __m512i::from(u8x64::simd_from(avx512, *chunk));
            let backslashes = _mm512_cmpeq_epi8_mask(bytes, backslash);
            let others = _mm512_cmpneq_epi8_mask(bytes, slash);
            if (backslashes << 1 | escaped) & others != 0 {
                break;
            }
            escaped = backslashes >> (CHUNK - 1);
            // Written whole: what is too much is written over, or cut off.
            let kept = u8x64::simd_from(avx512, _mm512_maskz_compress_epi8(!backslashes, bytes));
            let Some(to) = text.get_mut(written..written + CHUNK) else { break };
            to.copy_from_slice(&*kept);
            read += CHUNK;
            written += CHUNK - usize::try_from(backslashes.count_ones()).unwrap_or_default();
        }
        // A backslash whose slash was not seen stays.
        if escaped != 0
            && let Some(to) = text.get_mut(written)
        {
            *to = b'\\';
            written += 1;
        }
        (read, written)
    }
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::recipe::json::{Document, Json};

    /// Texts of some hundred bytes in which slashes, backslashes and quotes are everywhere.
    fn texts() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[a-z]{1,40}",
            6 => Just("\\/".to_owned()),
            1 => Just("/".to_owned()),
            1 => prop_oneof![Just("\\\\"), Just("\\"), Just("\\n")].prop_map(str::to_owned),
            1 => prop_oneof![Just("\""), Just("ä"), Just("\n")].prop_map(str::to_owned),
        ];
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn documents_say_what_their_text_says(name in texts(), value in texts()) {
            for text in [format!("{{\"{name}\":\"{value}\",\"/\":1}}"), value] {
                let plain = Json::parse(text.as_bytes());
                let read = Document::parse(text.clone().into_bytes());
                match (plain, read) {
                    (Ok(plain), Ok(read)) => prop_assert!(plain == *read.json()),
                    (Err(plain), Err(read)) => prop_assert_eq!(plain, read),
                    _ => prop_assert!(false, "{} is JSON in one way only", text),
                }
            }
        }
    }

    /// Another escape at every place of a long text of slashes.
    #[test]
    fn an_escape_of_another_kind_ends_it_anywhere() {
        for (at, other) in
            (0..100).flat_map(|at| ["\\n", "\\\\", "\\\"", "\\u00e4"].map(|o| (at, o)))
        {
            for slash in ["\\/", "\\/b", "b\\/b"] {
                let text = format!("\"{}{other}{}\"", slash.repeat(at), slash.repeat(100 - at));
                let read = Document::parse(text.clone().into_bytes()).unwrap();
                assert!(Json::parse(text.as_bytes()).unwrap() == *read.json(), "{text}");
            }
        }
    }
}
