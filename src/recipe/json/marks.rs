//! Where strings of JSON may end: found for a whole text in one pass, by the wide registers of the
//! processor.

use wide::u8x16;

/// Bytes that are looked at together.
const CHUNK: usize = 64;

/// The places of quotes, backslashes and control characters in a text, in their order.
pub(super) struct Marks<'t> {
    /// What was not looked at yet.
    rest: &'t [u8],
    /// Where it begins.
    next: usize,
    /// The marks of the chunk before it that were not given yet, a bit for each byte.
    found: u64,
}

impl<'t> Marks<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text.as_bytes(), next: 0, found: 0 }
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            if let Some((chunk, rest)) = self.rest.split_first_chunk() {
                (self.found, self.rest) = (marked(chunk), rest);
            } else if self.rest.is_empty() {
                return None;
            } else {
                (self.found, self.rest) = (marked_in_last(self.rest), &[]);
            }
            self.next += CHUNK;
        }
        let bit = usize::try_from(self.found.trailing_zeros()).ok()?;
        self.found &= self.found - 1;
        Some(self.next - CHUNK + bit)
    }
}

/// A bit for each byte that is marked, the lowest for the first.
fn marked(chunk: &[u8; CHUNK]) -> u64 {
    let (parts, _) = chunk.as_chunks();
    parts.iter().rev().fold(0, |bits, part| {
        let bytes = u8x16::new(*part);
        // With the second lowest bit turned, a quote is 32 and follows the control characters.
        let turned = bytes ^ u8x16::splat(b'"' ^ b' ');
        let low = turned.min(u8x16::splat(b' ')).simd_eq(turned);
        let mark = low | bytes.simd_eq(u8x16::splat(b'\\'));
        bits << 16 | u64::from(mark.to_bitmask())
    })
}

/// The same for the end of a text, which fills no chunk. Kept out of the loop, which it would fill.
#[cold]
fn marked_in_last(rest: &[u8]) -> u64 {
    let mut chunk = [b' '; CHUNK];
    chunk.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    marked(&chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte of ASCII at every place of a text that ends within a chunk.
    #[test]
    fn marks_are_those_of_a_plain_reading() {
        let ascii: String = (0..=127_u8).map(char::from).collect();
        for turned in 0..CHUNK {
            let text = format!("{}{ascii}ä\\", "x".repeat(turned));
            let is_mark = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
            let plain: Vec<usize> =
                text.bytes().enumerate().filter(|(_, b)| is_mark(b)).map(|(at, _)| at).collect();
            assert_eq!(Marks::of(&text).collect::<Vec<_>>(), plain);
        }
    }
}
