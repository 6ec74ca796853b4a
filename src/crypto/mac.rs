//! Message authentication by a name from configuration: HMAC with every digest, or a plain digest
//! where the secret stands in the message itself.
//!
//! HMAC-SHA-256, which most partners use, keeps its own key type and is not boxed.

use sha2::Digest;
use sha2::digest::FixedOutputReset;
use sha2::digest::common::BlockSizeUser;
use zeroize::Zeroizing;

use super::digest::{self, Hasher, Tag};
use super::{MacInProgress, MacKey};

/// How a message is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC (RFC 2104) with a digest.
    Hmac(digest::Algorithm),
    /// A digest of the message, which holds the secret.
    Digest(digest::Algorithm),
}

impl Algorithm {
    /// The algorithm of a name: `hmac-sha256` and its like, or the bare name of a digest.
    pub fn find(name: &str) -> Option<Self> {
        match name.strip_prefix("hmac-") {
            Some(digest) => digest::Algorithm::find(digest).map(Self::Hmac),
            None => digest::Algorithm::find(name).map(Self::Digest),
        }
    }

    /// Every algorithm, HMACs first.
    pub fn all() -> impl Iterator<Item = Self> {
        let digests = digest::Algorithm::ALL.iter().copied();
        digests.clone().map(Self::Hmac).chain(digests.map(Self::Digest))
    }

    /// The name in configuration.
    pub fn name(self) -> String {
        match self {
            Self::Hmac(digest) => format!("hmac-{}", digest.name()),
            Self::Digest(digest) => digest.name().to_owned(),
        }
    }

    /// How long the value is, in bytes.
    pub fn bytes(self) -> usize {
        let (Self::Hmac(digest) | Self::Digest(digest)) = self;
        digest.bytes()
    }

    /// Sets a key up, once for many messages. A plain digest takes none and leaves `key` unused.
    pub fn key(self, key: &[u8]) -> Key {
        match self {
            Self::Hmac(digest::Algorithm::Sha256) => Key::HmacSha256(MacKey::from_bytes(key)),
            Self::Hmac(digest) => Key::Hmac(Box::new(State::new(digest, key))),
            Self::Digest(digest) => Key::Digest(digest),
        }
    }

    /// The value of one message.
    pub fn of(self, key: &[u8], message: &[u8]) -> Tag {
        let mut mac = self.key(key).begin();
        mac.update(message);
        mac.finish()
    }
}

/// A key that is ready to authenticate messages.
#[derive(Clone)]
pub enum Key {
    /// HMAC-SHA-256.
    HmacSha256(MacKey),
    /// HMAC with another digest.
    Hmac(Box<State>),
    /// No key at all: a plain digest.
    Digest(digest::Algorithm),
}

impl Key {
    /// Begins a message.
    pub fn begin(&self) -> InProgress {
        match self {
            Self::HmacSha256(key) => InProgress::HmacSha256(key.begin()),
            Self::Hmac(state) => InProgress::Hmac(state.clone()),
            Self::Digest(digest) => InProgress::Digest(Box::new(digest.begin())),
        }
    }
}

/// A value in the making.
#[derive(Clone)]
pub enum InProgress {
    /// HMAC-SHA-256.
    HmacSha256(MacInProgress),
    /// HMAC with another digest.
    Hmac(Box<State>),
    /// A plain digest.
    Digest(Box<Hasher>),
}

impl InProgress {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::HmacSha256(mac) => mac.update(bytes),
            Self::Hmac(state) => state.update(bytes),
            Self::Digest(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the message, and is of no use afterwards.
    pub fn finish(&mut self) -> Tag {
        match self {
            Self::HmacSha256(mac) => Tag::new(&mac.finish()),
            Self::Hmac(state) => state.finish(),
            Self::Digest(hasher) => hasher.finish(),
        }
    }
}

/// One list from digests to the states of their HMACs.
macro_rules! states {
    ($($variant:ident($digest:ty)),* $(,)?) => {
        #[derive(Clone)]
        enum Inner { $($variant(Nested<$digest>),)* }

        impl State {
            fn new(digest: digest::Algorithm, key: &[u8]) -> Self {
                Self(match digest {
                    $(digest::Algorithm::$variant => Inner::$variant(Nested::with(key)),)*
                })
            }

            fn update(&mut self, bytes: &[u8]) {
                match &mut self.0 { $(Inner::$variant(state) => state.add(bytes),)* }
            }

            fn finish(&mut self) -> Tag {
                match &mut self.0 { $(Inner::$variant(state) => state.end(),)* }
            }
        }
    };
}

/// The state of an HMAC.
#[derive(Clone)]
pub struct State(Inner);

states! {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Sha512Of256(sha2::Sha512_256),
    Sha3Of256(sha3::Sha3_256),
    Sha3Of512(sha3::Sha3_512),
    Keccak256(sha3::Keccak256),
    Blake2b(blake2::Blake2b512),
}

/// HMAC over any digest. Both halves of the key are taken in when it is set up, so that a message
/// costs its own blocks only, and nothing is kept but digests, which wipe themselves.
#[derive(Clone)]
struct Nested<D> {
    inner: D,
    outer: D,
}

/// The two states that an HMAC begins from, inner and outer: what is made of the block that the key
/// fills, under each mask.
pub(super) fn states<D, S>(key: &[u8], begin: impl Fn(&[u8]) -> S) -> [S; 2]
where
    D: Digest + BlockSizeUser + FixedOutputReset,
{
    let mut block = Zeroizing::new(vec![0; D::block_size()]);
    let digest = (key.len() > block.len()).then(|| {
        let mut digest = D::new_with_prefix(key);
        Tag::new(&digest.finalize_reset())
    });
    let key = digest.as_ref().map_or(key, Tag::as_bytes);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    // The second mask is laid over the first.
    [0x36, 0x36 ^ 0x5c].map(|mask| {
        block.iter_mut().for_each(|byte| *byte ^= mask);
        begin(&block)
    })
}

impl<D: Digest + BlockSizeUser + FixedOutputReset> Nested<D> {
    fn with(key: &[u8]) -> Self {
        let [inner, outer] = states::<D, _>(key, |block| D::new_with_prefix(block));
        Self { inner, outer }
    }

    fn add(&mut self, bytes: &[u8]) {
        Digest::update(&mut self.inner, bytes);
    }

    fn end(&mut self) -> Tag {
        Digest::update(&mut self.outer, self.inner.finalize_reset());
        Tag::new(&self.outer.finalize_reset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(tag: &Tag) -> String {
        tag.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Python: `hmac.new(key, b"what do ya want for nothing?", name).hexdigest()` with the keys
    /// `b"Jefe"` and `b"\xaa" * 200`; the first is in RFC 2202 and RFC 4231 too. Python has no
    /// Keccak of the old padding.
    #[test]
    fn values_of_another_implementation() {
        let expected = include_str!("mac/values.txt");
        let mut seen = 0;
        for line in expected.lines() {
            let mut words = line.split(' ');
            let [name, length, value] = std::array::from_fn(|_| words.next().unwrap());
            let key = if length == "4" { b"Jefe".to_vec() } else { vec![0xaa; 200] };
            let algorithm = Algorithm::find(name).unwrap();
            let tag = algorithm.of(&key, b"what do ya want for nothing?");
            assert_eq!(hex(&tag), value, "{name} {length}");
            assert_eq!(algorithm.bytes(), tag.as_bytes().len());
            seen += 1;
        }
        assert_eq!(seen, 20);
    }

    /// By the definition of HMAC with the digest alone, block of 136 bytes.
    #[test]
    fn keccak_by_definition() {
        let digest = digest::Algorithm::Keccak256;
        let block = |mask: u8| -> Vec<u8> {
            let mut block = vec![mask; 136];
            block.iter_mut().zip(b"Jefe").for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = digest.of(&[block(0x36), b"message".to_vec()].concat());
        let outer = digest.of(&[block(0x5c), inner.as_bytes().to_vec()].concat());
        let tag = Algorithm::Hmac(digest).of(b"Jefe", b"message");
        assert_eq!(tag.as_bytes(), outer.as_bytes());
    }

    #[test]
    fn names_lead_back_to_their_algorithms() {
        for algorithm in Algorithm::all() {
            assert_eq!(Algorithm::find(&algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::find("hmac-crc32"), None);
        assert_eq!(Algorithm::find("HMAC-SHA256"), None);
    }

    #[test]
    fn a_plain_digest_takes_no_key() {
        let md5 = Algorithm::find("md5").unwrap();
        assert_eq!(hex(&md5.of(b"anything", b"abc")), "900150983cd24fb0d6963f7d28e17f72");
    }
}
