//! Master keys as text: one `mk_… hexadecimal` a line, the newest last. A key's name is a digest of
//! the key, so that a mistyped, mixed up or cut line is told at once.

use zeroize::Zeroizing;

use super::{CustodyFault, KeyBytes, MasterId};
use crate::crypto::{self, DigestInProgress, HexCase};

/// What the name of a key begins with.
pub const KEY_LINE_PREFIX: &str = "mk_";
/// `mk_` and 16 digits, a space, 64 digits.
pub const KEY_LINE_BYTES: usize = 19 + 1 + 64;
/// So many rotations without a removal are not meant.
const KEYS_MAX: usize = 64;
/// With the line break.
const LINE_BYTES: usize = KEY_LINE_BYTES + 1;
/// The longest text that is a list, with room for other line breaks.
pub(super) const TEXT_BYTES_MAX: usize = KEYS_MAX * (LINE_BYTES + 1);

const LABEL: &[u8] = b"countersign master key 1\0";

/// A master key in memory.
pub(super) struct HeldKey {
    pub(super) id: MasterId,
    pub(super) bytes: KeyBytes,
}

impl HeldKey {
    /// A new key.
    pub(super) fn random() -> Result<Self, CustodyFault> {
        Ok(Self::of(Zeroizing::new(crypto::random()?)))
    }

    fn of(bytes: KeyBytes) -> Self {
        let mut digest = DigestInProgress::default();
        digest.update(LABEL);
        digest.update(&*bytes);
        let digits = crypto::hex(&digest.finish());
        let name = KEY_LINE_PREFIX.chars().chain(digits.iter().take(16).copied().map(char::from));
        Self { id: MasterId(name.collect()), bytes }
    }
}

/// Reads keys, the newest last. Between its words may stand any white space, since an environment
/// file often has no room for line breaks.
///
/// # Errors
/// What is wrong, without a byte of a key.
pub(super) fn parse(text: &[u8], origin: &str) -> Result<Vec<HeldKey>, CustodyFault> {
    let fault = |what: String| CustodyFault::Master(format!("{origin}: {what}"));
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut keys: Vec<HeldKey> = Vec::new();
    while let Some(id) = words.next() {
        let number = keys.len() + 1;
        let bytes = words.next().and_then(|word| crypto::unhex(word, HexCase::Lower));
        let key = bytes.map(|bytes| HeldKey::of(Zeroizing::new(bytes)));
        let key = key.filter(|key| key.id.0.as_bytes() == id).ok_or_else(|| {
            fault(format!(
                "master key {number} is mistyped or cut: a line is `mk_` and 16 digits, a space, \
                 64 hexadecimal digits, and the name must be that of the key; take it from a backup"
            ))
        })?;
        if keys.iter().any(|other| other.id == key.id) {
            return Err(fault(format!("the master key {} stands there twice", key.id.0)));
        }
        keys.push(key);
    }
    match keys.len() {
        0 => Err(fault("holds no master key".into())),
        1..=KEYS_MAX => Ok(keys),
        _ => {
            Err(fault(format!("more than {KEYS_MAX} master keys; remove those that are not used")))
        }
    }
}

/// Whether bytes are a master key with its name, as a line of a file has it.
pub fn is_key_line(line: &[u8]) -> bool {
    parse(line, "").is_ok_and(|keys| keys.len() == 1)
}

/// Writes keys, in room for all of them, so that no copy is left behind.
pub(super) fn write(keys: &[HeldKey]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(keys.len() * LINE_BYTES));
    for key in keys {
        text.extend_from_slice(key.id.0.as_bytes());
        text.push(b' ');
        text.extend_from_slice(&*Zeroizing::new(crypto::hex(&key.bytes)));
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let keys = [HeldKey::random().unwrap(), HeldKey::random().unwrap()];
        let text = write(&keys);
        assert_eq!(text.len(), 2 * LINE_BYTES);
        for text in [text.to_vec(), String::from_utf8_lossy(&text).replace('\n', " ").into_bytes()]
        {
            let read = parse(&text, "here").unwrap();
            assert_eq!(read.len(), 2);
            for (read, key) in read.iter().zip(&keys) {
                assert_eq!((&read.id, &read.bytes), (&key.id, &key.bytes));
            }
        }
    }

    /// `printf 'countersign master key 1\0' | cat - <(head -c 32 /dev/zero) | sha256sum`.
    #[test]
    fn a_name_is_what_another_program_computes() {
        let key = HeldKey::of(Zeroizing::new([0; 32]));
        assert_eq!(key.id.as_str(), "mk_299c2b18020738d9");
    }

    #[test]
    fn a_list_that_is_changed_anywhere_is_refused_without_showing_it() {
        let keys = [HeldKey::random().unwrap(), HeldKey::random().unwrap()];
        let text = write(&keys);
        for at in 0..text.len() {
            let mut other = text.to_vec();
            other[at] = if other[at] == b'7' { b'8' } else { b'7' };
            let Err(fault) = parse(&other, "here") else { panic!("byte {at}") };
            let fault = fault.to_string();
            assert!(fault.starts_with("here: ") && !fault.contains(&fault_of(&text)), "{fault}");
        }
        for length in (0..text.len() - 1).filter(|length| !(84..=85).contains(length)) {
            assert!(parse(&text[..length], "here").is_err(), "{length} bytes");
        }
        assert!(parse(&[&text[..], &text].concat(), "here").is_err());
    }

    fn fault_of(text: &[u8]) -> String {
        String::from_utf8_lossy(&text[20..40]).into_owned()
    }
}
