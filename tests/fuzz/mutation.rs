//! Random choices from a seed, and bytes altered by them.

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn new(seed: u64, round: u64) -> Self {
        let mut source = Self(seed ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        source.next();
        source
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound that is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// The bytes with one to eight alterations; `words` are put in now and then.
    pub(crate) fn bytes(&mut self, bytes: &[u8], words: &[&str]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(7) {
            self.alter(&mut bytes, words);
        }
        bytes
    }

    /// The same for text.
    pub(crate) fn text(&mut self, text: &str, words: &[&str]) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes(), words)).into_owned()
    }

    fn alter(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        let at = self.below(bytes.len() + 1);
        let longest = 1 << self.below(7);
        let end = (at + self.below(longest)).min(bytes.len());
        match self.below(7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            3 if at < bytes.len() => {
                bytes[at] = *self.pick(b"\0\n\r\t \"'\\{}()[]<>&;:=,.|%+-/@09azAZ\x7f\x80\xff");
            }
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 => {
                let many = 1 << self.below(9);
                let piece = bytes[at..end.min(at + 8)].repeat(many);
                bytes.splice(at..at, piece);
            }
            _ if !words.is_empty() => {
                let word = self.pick(words).as_bytes().to_vec();
                let end = if self.one_in(2) { at } else { end };
                bytes.splice(at..end, word);
            }
            _ => {}
        }
    }
}
