//! One try: its name, its length, what came of it.

use std::time::Instant;

use crate::clock::Clock;
use crate::crypto::{self, NoRandom};
use crate::journal::Attempt;

/// Digits and letters without those that look alike.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS_IN_NAME: usize = 26;

/// A try that has begun.
pub(super) struct Try {
    pub(super) id: String,
    pub(super) at_millis: u64,
    begun: Instant,
}

impl Try {
    /// Begins.
    ///
    /// # Errors
    /// When there are no random bytes for its name.
    pub(super) fn begin(clock: &Clock) -> Result<Self, NoRandom> {
        let mut id = String::from("att_");
        for byte in crypto::random::<LETTERS_IN_NAME>()? {
            let letter = LETTERS.get(usize::from(byte) % LETTERS.len());
            id.extend(letter.map(|letter| char::from(*letter)));
        }
        Ok(Self { id, at_millis: clock.now_millis(), begun: Instant::now() })
    }

    /// Ends it with a code, and the status of the answer where there was one.
    pub(super) fn end(self, outcome: &str, status: Option<u16>) -> Attempt {
        let took_millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = outcome.to_owned();
        Attempt { id: self.id, at_millis: self.at_millis, took_millis, outcome, status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn every_try_has_a_name_of_its_own() {
        let (clock, _) = Clock::by_hand(Timestamp::from_secs(1));
        let [a, b] = [(); 2].map(|()| Try::begin(&clock).unwrap().id);
        assert_ne!(a, b);
        for id in [a, b] {
            let name = id.strip_prefix("att_").unwrap();
            assert!(name.len() == 26 && name.bytes().all(|byte| LETTERS.contains(&byte)), "{id}");
        }
    }
}
