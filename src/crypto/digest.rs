//! Digests of every kind that partners sign with, chosen by name, at once or piece by piece.
//!
//! MD5 and SHA-1 are here because partners use them, not because they are good.

use std::fmt;

use sha2::Digest as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The most bytes that a digest or MAC has.
pub const TAG_BYTES_MAX: usize = 64;

/// A digest or MAC value: at most [`TAG_BYTES_MAX`] bytes, wiped when dropped, since a digest of
/// secrets is one itself.
#[derive(Clone)]
pub struct Tag {
    bytes: [u8; TAG_BYTES_MAX],
    length: usize,
}

impl Tag {
    /// Takes a value; what is longer than [`TAG_BYTES_MAX`] is cut.
    pub fn new(value: &[u8]) -> Self {
        let length = value.len().min(TAG_BYTES_MAX);
        let mut bytes = [0; TAG_BYTES_MAX];
        if let (Some(to), Some(from)) = (bytes.get_mut(..length), value.get(..length)) {
            to.copy_from_slice(from);
        }
        Self { bytes, length }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Tag {
    /// Wipes what there is; behind it are zeros.
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.get_mut(..self.length) {
            bytes.zeroize();
        }
    }
}

impl ZeroizeOnDrop for Tag {}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹{} bytes›", self.length)
    }
}

/// One list of all algorithms, from which everything else is made.
macro_rules! algorithms {
    ($($variant:ident $name:literal $bytes:literal $state:ty, $about:literal;)*) => {
        /// A digest by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Algorithm {
            $(#[doc = $about] $variant,)*
        }

        impl Algorithm {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How long the value is, in bytes.
            pub fn bytes(self) -> usize {
                match self { $(Self::$variant => $bytes,)* }
            }

            /// Begins a message.
            pub fn begin(self) -> Hasher {
                Hasher(match self { $(Self::$variant => State::$variant(<$state>::new()),)* })
            }
        }

        #[derive(Clone)]
        enum State { $($variant($state),)* }

        impl Hasher {
            /// Adds bytes.
            pub fn update(&mut self, bytes: &[u8]) {
                match &mut self.0 { $(State::$variant(state) => state.update(bytes),)* }
            }

            /// Ends the message, and begins anew.
            pub fn finish(&mut self) -> Tag {
                match &mut self.0 {
                    $(State::$variant(state) => Tag::new(&state.finalize_reset()),)*
                }
            }
        }
    };
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

algorithms! {
    Md5 "md5" 16 md5::Md5, "MD5 (RFC 1321): broken, met in older payment forms.";
    Sha1 "sha1" 20 sha1::Sha1, "SHA-1 (FIPS 180-4): broken for whoever chooses both messages.";
    Sha224 "sha224" 28 sha2::Sha224, "SHA-224 (FIPS 180-4).";
    Sha256 "sha256" 32 sha2::Sha256, "SHA-256 (FIPS 180-4).";
    Sha384 "sha384" 48 sha2::Sha384, "SHA-384 (FIPS 180-4).";
    Sha512 "sha512" 64 sha2::Sha512, "SHA-512 (FIPS 180-4).";
    Sha512Of256 "sha512-256" 32 sha2::Sha512_256, "SHA-512/256 (FIPS 180-4).";
    Sha3Of256 "sha3-256" 32 sha3::Sha3_256, "SHA3-256 (FIPS 202).";
    Sha3Of512 "sha3-512" 64 sha3::Sha3_512, "SHA3-512 (FIPS 202).";
    Keccak256 "keccak256" 32 sha3::Keccak256, "Keccak-256 with the padding from before FIPS 202.";
    Blake2b "blake2b" 64 blake2::Blake2b512, "BLAKE2b with 64 bytes (RFC 7693).";
}

impl Algorithm {
    /// The algorithm of a name, as [`Algorithm::name`] gives it.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.name() == name)
    }

    /// The digest of some bytes.
    pub fn of(self, bytes: &[u8]) -> Tag {
        let mut hasher = self.begin();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// The CRC-32 of ISO 3309, as zlib and PayPal compute it, over pieces. It proves nothing by itself.
#[derive(Clone, Default)]
pub struct Crc32(crc32fast::Hasher);

impl Crc32 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The check value.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(tag: &Tag) -> String {
        tag.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of "abc": RFC 1321, FIPS 180-4 and FIPS 202 examples, RFC 7693 appendix A, and for Keccak
    /// the value that Ethereum's documentation gives.
    #[test]
    fn published_values_of_abc() {
        let expected = [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "sha384",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            ("sha512-256", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
            ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
            (
                "sha3-512",
                "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e\
                 10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
            ),
            ("keccak256", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
            (
                "blake2b",
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
                 7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
            ),
        ];
        assert_eq!(expected.len(), Algorithm::ALL.len());
        for (name, value) in expected {
            let algorithm = Algorithm::find(name).unwrap();
            assert_eq!(hex(&algorithm.of(b"abc")), value, "{name}");
            assert_eq!(algorithm.bytes() * 2, value.len(), "{name}");
        }
        assert_eq!(Algorithm::find("SHA256"), None);
    }

    #[test]
    fn pieces_are_as_good_as_the_whole() {
        let message: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for algorithm in Algorithm::ALL {
            let mut hasher = algorithm.begin();
            for piece in message.chunks(77) {
                hasher.update(piece);
            }
            assert_eq!(hasher.finish().as_bytes(), algorithm.of(&message).as_bytes());
        }
    }

    /// The check value that catalogues of CRCs give for "123456789".
    #[test]
    fn crc_of_the_nine_digits() {
        let mut crc = Crc32::default();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.finish(), 0xcbf4_3926);
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Algorithm::Md5.of(b"abc")), "‹16 bytes›");
    }
}
