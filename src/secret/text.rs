//! Ids and secrets of our own as text: a prefix that says what it is, base62 digits, and six more
//! that are the CRC-32 of everything before, so that a mistyped or cut one is told at once.
//!
//! Pure: who makes one brings the random bytes.

use std::fmt;

use zeroize::Zeroizing;

use super::Secret;

/// In the order of ASCII, so that texts sort as their numbers do.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of a CRC-32.
const CHECKSUM_DIGITS: usize = 6;
/// Digits of a time in seconds, good until the year 3769.
const TIME_DIGITS: usize = 6;
/// Digits behind the time in an id.
const ID_DIGITS: usize = 10;

/// What a text of ours is. The prefix says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// The public id of a credential.
    KeyId {
        /// Of which environment.
        live: bool,
    },
    /// What signs: the whole text, as UTF-8.
    Secret {
        /// Of which environment.
        live: bool,
    },
    /// What rolling keys begin with: the 160 bytes that the text stands for.
    Anchor {
        /// Of which environment.
        live: bool,
    },
    /// What an operator's program shows to the admin API.
    ApiToken,
    /// The id of a merchant.
    MerchantId,
    /// The public id of an API token.
    TokenId,
}

/// What was found out about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// One of ours, and whole.
    Whole(TextKind),
    /// One of ours, but a character is wrong, missing or too much.
    Mistyped(TextKind),
    /// Nothing that we make.
    Foreign,
}

impl TextKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::KeyId { live: false },
        Self::KeyId { live: true },
        Self::Secret { live: false },
        Self::Secret { live: true },
        Self::Anchor { live: false },
        Self::Anchor { live: true },
        Self::ApiToken,
        Self::MerchantId,
        Self::TokenId,
    ];

    /// How its texts begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::KeyId { live: false } => "pk_test_",
            Self::KeyId { live: true } => "pk_live_",
            Self::Secret { live: false } => "csh_test_",
            Self::Secret { live: true } => "csh_live_",
            Self::Anchor { live: false } => "css_test_",
            Self::Anchor { live: true } => "css_live_",
            Self::ApiToken => "csa_",
            Self::MerchantId => "mer_",
            Self::TokenId => "tok_",
        }
    }

    /// Whether nobody else may see it.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret { .. } | Self::Anchor { .. } | Self::ApiToken)
    }

    /// The environment that it belongs to; none where it belongs to both.
    pub fn live(self) -> Option<bool> {
        match self {
            Self::KeyId { live } | Self::Secret { live } | Self::Anchor { live } => Some(live),
            Self::ApiToken | Self::MerchantId | Self::TokenId => None,
        }
    }

    /// Digits between prefix and checksum.
    fn digits(self) -> usize {
        match self {
            Self::KeyId { .. } => 14,
            Self::Secret { .. } | Self::ApiToken => 43,
            Self::Anchor { .. } => 215,
            Self::MerchantId | Self::TokenId => TIME_DIGITS + ID_DIGITS,
        }
    }

    /// Digits behind the prefix.
    pub fn tail_digits(self) -> usize {
        self.digits() + CHECKSUM_DIGITS
    }

    /// Puts prefix, digits and checksum together, in room for all of it.
    fn text(self, digits: &[u8]) -> Zeroizing<Vec<u8>> {
        let length = self.prefix().len() + self.tail_digits();
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        text.extend_from_slice(self.prefix().as_bytes());
        text.extend_from_slice(digits);
        let checksum = encoded(&crc32fast::hash(&text).to_be_bytes(), CHECKSUM_DIGITS);
        text.extend_from_slice(&checksum);
        text
    }

    /// Whether these digits and their checksum are what stands behind the prefix.
    fn ends_with(self, tail: impl Iterator<Item = u8>) -> bool {
        let mut text = Zeroizing::new(Vec::with_capacity(self.tail_digits()));
        text.extend(tail.take(self.tail_digits()));
        let digits = text.get(..self.digits()).unwrap_or_default();
        let good = text.len() == self.tail_digits() && digits.iter().all(u8::is_ascii_alphanumeric);
        good && self.text(digits).ends_with(&text)
    }
}

impl fmt::Display for TextKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyId { live: false } => "a test key id",
            Self::KeyId { live: true } => "a live key id",
            Self::Secret { live: false } => "a test secret",
            Self::Secret { live: true } => "a live secret",
            Self::Anchor { live: false } => "a test anchor",
            Self::Anchor { live: true } => "a live anchor",
            Self::ApiToken => "an API token",
            Self::MerchantId => "the id of a merchant",
            Self::TokenId => "the id of an API token",
        })
    }
}

/// Why a text is not the secret of a credential, although it is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Its checksum does not hold.
    #[error("it looks like {0}, but is mistyped or cut: copy it again, whole")]
    Mistyped(TextKind),
    /// It is for the other environment.
    #[error("it is {0}, and test and live never mix")]
    Environment(TextKind),
    /// It is for something else.
    #[error("it is {0}, which does not sign")]
    OtherUse(TextKind),
}

/// Looks whether a text can be the secret of a credential, whose environment may be known. What
/// others make can.
///
/// # Errors
/// When it is one of ours that is mistyped, of the other environment, or for something else.
pub fn check_secret(text: &[u8], live: Option<bool>) -> Result<(), TextFault> {
    match recognise(text) {
        Recognised::Mistyped(kind) if kind.is_secret() => Err(TextFault::Mistyped(kind)),
        Recognised::Whole(kind @ TextKind::Secret { .. }) => match live {
            Some(live) if kind.live() != Some(live) => Err(TextFault::Environment(kind)),
            _ => Ok(()),
        },
        Recognised::Whole(kind) => Err(TextFault::OtherUse(kind)),
        // An id of someone else may begin as ours do.
        Recognised::Mistyped(_) | Recognised::Foreign => Ok(()),
    }
}

/// A new key id of random bytes.
pub fn key_id(live: bool, random: &[u8; 10]) -> String {
    let kind = TextKind::KeyId { live };
    public(kind, &encoded(random, kind.digits()))
}

/// A new secret of random bytes.
pub fn secret(live: bool, random: &[u8; 32]) -> Secret {
    private(TextKind::Secret { live }, random)
}

/// The text of an anchor, see [`anchor_bytes`].
pub fn anchor(live: bool, bytes: &[u8; 160]) -> Secret {
    private(TextKind::Anchor { live }, bytes)
}

/// A new API token of random bytes.
pub fn api_token(random: &[u8; 32]) -> Secret {
    private(TextKind::ApiToken, random)
}

/// A new id of a merchant that is made at a time, in seconds since 1970: ids sort by it.
pub fn merchant_id(secs: u64, random: &[u8; 7]) -> String {
    dated(TextKind::MerchantId, secs, random)
}

/// A new id of an API token, as [`merchant_id`].
pub fn token_id(secs: u64, random: &[u8; 7]) -> String {
    dated(TextKind::TokenId, secs, random)
}

/// The bytes that the text of an anchor stands for; nothing for any other text.
pub fn anchor_bytes(text: &[u8]) -> Option<Zeroizing<[u8; 160]>> {
    let Recognised::Whole(kind @ TextKind::Anchor { .. }) = recognise(text) else { return None };
    let digits = text.get(kind.prefix().len()..)?.get(..kind.digits())?;
    let mut bytes = Zeroizing::new([0; 160]);
    for digit in digits {
        let mut carry = value_of(*digit)?;
        for byte in bytes.iter_mut().rev() {
            let [.., high, low] = (u32::from(*byte) * 62 + carry).to_be_bytes();
            (*byte, carry) = (low, u32::from(high));
        }
        // More than 160 bytes can say.
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

/// Says what a text is. A changed character, two neighbours that changed places, a part that is
/// missing at either end: all of it is noticed, but for one in four thousand millions.
pub fn recognise(text: &[u8]) -> Recognised {
    for kind in TextKind::ALL {
        if let Some(tail) = text.strip_prefix(kind.prefix().as_bytes()) {
            let whole = tail.len() == kind.tail_digits() && kind.ends_with(tail.iter().copied());
            return if whole { Recognised::Whole(kind) } else { Recognised::Mistyped(kind) };
        }
    }
    let mistyped = TextKind::ALL.into_iter().find(|kind| is_whole_but_its_prefix(text, *kind));
    mistyped.map_or(Recognised::Foreign, Recognised::Mistyped)
}

/// Whether only the prefix is wrong or missing, or its last character changed places with the digit
/// behind it.
fn is_whole_but_its_prefix(text: &[u8], kind: TextKind) -> bool {
    let Some(at) = text.len().checked_sub(kind.tail_digits()) else { return false };
    let Some((head, tail)) = text.split_at_checked(at) else { return false };
    let swapped = || head.last().into_iter().chain(tail.iter().skip(1)).copied();
    kind.ends_with(tail.iter().copied()) || kind.ends_with(swapped())
}

fn public(kind: TextKind, digits: &[u8]) -> String {
    String::from_utf8_lossy(&kind.text(digits)).into_owned()
}

fn private(kind: TextKind, bytes: &[u8]) -> Secret {
    Secret::of_any_length(std::mem::take(&mut *kind.text(&encoded(bytes, kind.digits()))))
}

fn dated(kind: TextKind, secs: u64, random: &[u8; 7]) -> String {
    let time = encoded(&secs.to_be_bytes(), TIME_DIGITS);
    public(kind, &[&time[..], &encoded(random, ID_DIGITS)].concat())
}

/// The lowest so many base62 digits of a number in bytes, the highest first.
fn encoded(bytes: &[u8], digits: usize) -> Zeroizing<Vec<u8>> {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut text = Zeroizing::new(vec![0; digits]);
    for digit in text.iter_mut().rev() {
        let mut rest = 0;
        for byte in number.iter_mut() {
            let part = rest * 256 + u32::from(*byte);
            *byte = u8::try_from(part / 62).unwrap_or_default();
            rest = part % 62;
        }
        let value = usize::try_from(rest).unwrap_or_default();
        *digit = DIGITS.get(value).copied().unwrap_or_default();
    }
    text
}

fn value_of(digit: u8) -> Option<u32> {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        b'A'..=b'Z' => digit - b'A' + 10,
        b'a'..=b'z' => digit - b'a' + 36,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text of each kind, by bytes that are chosen.
    fn all(live: bool, seed: &[u8; 160]) -> Vec<(TextKind, Vec<u8>)> {
        let short = seed.first_chunk().unwrap();
        vec![
            (TextKind::KeyId { live }, key_id(live, seed.first_chunk().unwrap()).into_bytes()),
            (TextKind::Secret { live }, secret(live, short).expose().to_vec()),
            (TextKind::Anchor { live }, anchor(live, seed).expose().to_vec()),
            (TextKind::ApiToken, api_token(short).expose().to_vec()),
            (TextKind::MerchantId, merchant_id(1_764_000_000, seed.last_chunk().unwrap()).into()),
            (TextKind::TokenId, token_id(1_764_000_000, seed.last_chunk().unwrap()).into()),
        ]
    }

    fn seed() -> impl Strategy<Value = [u8; 160]> {
        // Zeros in front and all ones are where numbers in digits go wrong.
        let any = proptest::collection::vec(any::<u8>(), 160);
        let few = proptest::collection::vec(prop_oneof![Just(0_u8), Just(255)], 160);
        prop_oneof![any, few].prop_map(|bytes| bytes.try_into().unwrap())
    }

    proptest! {
        #[test]
        fn a_text_is_recognised_and_an_anchor_read(live: bool, seed in seed()) {
            for (kind, text) in all(live, &seed) {
                prop_assert_eq!(recognise(&text), Recognised::Whole(kind));
                prop_assert_eq!(text.len(), kind.prefix().len() + kind.tail_digits());
                let read = anchor_bytes(&text);
                if matches!(kind, TextKind::Anchor { .. }) {
                    prop_assert_eq!(*read.unwrap(), seed);
                } else {
                    prop_assert!(read.is_none());
                }
            }
        }

        #[test]
        fn a_changed_character_is_noticed(
            live: bool,
            seed in seed(),
            at: prop::sample::Index,
            to in prop_oneof![any::<u8>(), prop::sample::select(DIGITS.to_vec())],
        ) {
            for (kind, text) in all(live, &seed) {
                let mut other = text.clone();
                other[at.index(text.len())] = to;
                let found = recognise(&other);
                let noticed = matches!(found, Recognised::Mistyped(_));
                prop_assert!(noticed || other == text, "{kind}: {found:?}");
            }
        }

        #[test]
        fn neighbours_that_change_places_are_noticed(
            live: bool,
            seed in seed(),
            at: prop::sample::Index,
        ) {
            for (kind, text) in all(live, &seed) {
                let mut other = text.clone();
                let at = at.index(text.len() - 1);
                other.swap(at, at + 1);
                let found = recognise(&other);
                let noticed = matches!(found, Recognised::Mistyped(_));
                prop_assert!(noticed || other == text, "{kind} at {at}: {found:?}");
            }
        }

        #[test]
        fn a_missing_or_doubled_character_is_noticed(
            live: bool,
            seed in seed(),
            at: prop::sample::Index,
        ) {
            for (kind, text) in all(live, &seed) {
                let at = kind.prefix().len() + at.index(kind.tail_digits());
                let mut shorter = text.clone();
                shorter.remove(at);
                prop_assert_eq!(recognise(&shorter), Recognised::Mistyped(kind));
                let mut longer = text.clone();
                longer.insert(at, text[at]);
                prop_assert_eq!(recognise(&longer), Recognised::Mistyped(kind));
            }
        }

        #[test]
        fn ids_sort_by_time(
            earlier in 0_u64..50_000_000_000,
            after in 1_u64..1_000_000,
            a: [u8; 7],
            b: [u8; 7],
        ) {
            prop_assert!(merchant_id(earlier, &a) < merchant_id(earlier + after, &b));
        }

        #[test]
        fn what_others_make_is_foreign(text in "[0-9A-Za-z+/=_-]{0,300}") {
            let own = TextKind::ALL.iter().any(|kind| text.starts_with(kind.prefix()));
            prop_assume!(!own);
            prop_assert_eq!(recognise(text.as_bytes()), Recognised::Foreign);
        }
    }

    /// By Python: `zlib.crc32`, and numbers in base 62 by `divmod`.
    #[test]
    fn texts_are_as_another_program_makes_them() {
        let bytes: [u8; 160] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let made: Vec<String> = all(true, &bytes)
            .into_iter()
            .map(|(_, text)| String::from_utf8(text).unwrap())
            .collect();
        assert_eq!(made.join("\n"), include_str!("../../tests/vectors/texts.txt").trim_end());
    }

    #[test]
    fn all_ones_fit_and_one_more_does_not() {
        let text = anchor(false, &[255; 160]);
        assert_eq!(*anchor_bytes(text.expose()).unwrap(), [255; 160]);
        let kind = TextKind::Anchor { live: false };
        let over = kind.text(&[b'z'; 215]);
        assert_eq!(recognise(&over), Recognised::Whole(kind));
        assert!(anchor_bytes(&over).is_none());
    }
}
