//! Where strings of JSON may end: found for a whole text in one pass, by the wide registers of the
//! processor.

use fearless_simd::{Level, Simd, dispatch, mask8x64, prelude::*, u8x64};

/// Bytes that are looked at together.
const CHUNK: usize = 64;

/// The places of quotes, backslashes and control characters in a text.
pub(super) struct Marks {
    /// A bit for each byte, the lowest of the first word for the first.
    words: Vec<u64>,
}

impl Marks {
    pub(super) fn of(text: &str) -> Self {
        Self::found_with(Level::new(), text)
    }

    fn found_with(level: Level, text: &str) -> Self {
        let mut words = Vec::with_capacity(text.len().div_ceil(CHUNK));
        dispatch!(level, simd => fill(simd, text.as_bytes(), &mut words));
        Self { words }
    }

    /// The first mark at a place or behind it.
    #[inline]
    pub(super) fn find(&self, at: usize) -> Option<usize> {
        let mut word = at / CHUNK;
        let mut bits = self.words.get(word)? & (u64::MAX << (at % CHUNK));
        while bits == 0 {
            word += 1;
            bits = *self.words.get(word)?;
        }
        let bit = usize::try_from(bits.trailing_zeros()).ok()?;
        Some(word * CHUNK + bit)
    }
}

#[inline(always)]
fn fill<S: Simd>(simd: S, text: &[u8], words: &mut Vec<u64>) {
    let (chunks, rest) = text.as_chunks();
    words.extend(chunks.iter().map(|chunk| marked(simd, *chunk)));
    if !rest.is_empty() {
        let mut chunk = [b' '; CHUNK];
        chunk.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        words.push(marked(simd, chunk));
    }
}

#[inline(always)]
fn marked<S: Simd>(simd: S, chunk: [u8; CHUNK]) -> u64 {
    let bytes = u8x64::simd_from(simd, chunk);
    let marks: mask8x64<S> = bytes.simd_lt(b' ') | bytes.simd_eq(b'"') | bytes.simd_eq(b'\\');
    marks.to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte of ASCII at every place of a text that ends within a chunk, with the widest
    /// registers and with those that every processor has.
    #[test]
    fn marks_are_those_of_a_plain_reading() {
        let ascii: String = (0..=127_u8).map(char::from).collect();
        let levels = [Level::new(), Level::baseline()];
        for (turned, level) in (0..CHUNK).flat_map(|turned| levels.map(|level| (turned, level))) {
            let text = format!("{}{ascii}ä\\", "x".repeat(turned));
            let is_mark = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
            let marks = Marks::found_with(level, &text);
            for at in 0..=text.len() + CHUNK {
                let plain = text.bytes().enumerate().skip(at).find(|(_, byte)| is_mark(byte));
                assert_eq!(marks.find(at), plain.map(|(at, _)| at), "{at} of {turned}, {level:?}");
            }
        }
    }
}
