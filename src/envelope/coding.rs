//! The content coding `aes128gcm` (RFC 8188): salt, record size and key id in front, then records,
//! each sealed by itself.

use zeroize::Zeroizing;

use super::cipher::{Cipher, Feed, TAG_BYTES};
use super::padding::Padding;
use crate::crypto::derivation::hkdf;
use crate::crypto::digest::Algorithm::Sha256;
use crate::envelope::CannotOpen;

/// Salt, record size and length of the key id (section 2.1).
const HEAD_BYTES: usize = 16 + 4 + 1;
/// A record holds at least a tag and a delimiter.
const RECORD_BYTES_MIN: usize = TAG_BYTES + 2;
/// Ends every record but the last.
const MORE: u8 = 1;
/// Ends the last record.
const LAST: u8 = 2;

/// What stands in front of the records.
pub struct Head<'a> {
    /// Salt of the key.
    pub salt: [u8; 16],
    /// Bytes of a record, its tag included.
    pub record_bytes: u32,
    /// Names the key; empty or anything the two agreed on.
    pub key_id: &'a [u8],
}

impl<'a> Head<'a> {
    /// Takes the head off a body.
    ///
    /// # Errors
    /// When it is cut short or its records cannot hold anything.
    pub fn read(body: &'a [u8]) -> Result<(Self, &'a [u8]), CannotOpen> {
        let (head, rest) = body.split_at_checked(HEAD_BYTES).ok_or(CannotOpen)?;
        let (salt, size) = head.split_at_checked(16).ok_or(CannotOpen)?;
        let [a, b, c, d, id_bytes] = *size else { return Err(CannotOpen) };
        let record_bytes = u32::from_be_bytes([a, b, c, d]);
        let (key_id, records) = rest.split_at_checked(usize::from(id_bytes)).ok_or(CannotOpen)?;
        let salt = salt.try_into().map_err(|_| CannotOpen)?;
        let head = Self { salt, record_bytes, key_id };
        head.room()?;
        Ok((head, records))
    }

    /// Bytes of a record.
    fn room(&self) -> Result<usize, CannotOpen> {
        let room = usize::try_from(self.record_bytes).map_err(|_| CannotOpen)?;
        if room < RECORD_BYTES_MIN { Err(CannotOpen) } else { Ok(room) }
    }

    fn write(&self) -> Result<Vec<u8>, CannotOpen> {
        let id_bytes = u8::try_from(self.key_id.len()).map_err(|_| CannotOpen)?;
        Ok([&self.salt[..], &self.record_bytes.to_be_bytes(), &[id_bytes], self.key_id].concat())
    }
}

/// Opens a body.
///
/// # Errors
/// When its head, a record's tag or a delimiter is wrong, or the last record is missing or not the
/// last.
pub fn open(key: &[u8], body: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
    let (head, records) = Head::read(body)?;
    let keys = Keys::derive(key, &head.salt)?;
    let records: Vec<&[u8]> = records.chunks(head.room()?).collect();
    // As much as it can hold, so that it never moves and leaves a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
    for (number, record) in records.iter().enumerate() {
        let mut opened = Zeroizing::new(record.to_vec());
        keys.cipher.open(&keys.feed(&keys.nonce(number)?), &mut opened)?;
        let end = opened.iter().rposition(|byte| *byte != 0).ok_or(CannotOpen)?;
        let delimiter = if number + 1 == records.len() { LAST } else { MORE };
        if opened.get(end) != Some(&delimiter) {
            return Err(CannotOpen);
        }
        text.extend_from_slice(opened.get(..end).ok_or(CannotOpen)?);
    }
    if records.is_empty() { Err(CannotOpen) } else { Ok(text) }
}

/// Seals a text into records that are full but for the last.
///
/// # Errors
/// When the head's records cannot hold anything, or its key id is longer than 255 bytes.
pub fn seal(key: &[u8], head: &Head<'_>, text: &[u8]) -> Result<Vec<u8>, CannotOpen> {
    let room = head.room()? - TAG_BYTES - 1;
    let record = |piece: &[u8]| Zeroizing::new([piece, &[MORE]].concat());
    let mut records: Vec<Zeroizing<Vec<u8>>> = text.chunks(room).map(record).collect();
    match records.last_mut().and_then(|record| record.last_mut()) {
        Some(delimiter) => *delimiter = LAST,
        None => records.push(Zeroizing::new(vec![LAST])),
    }
    seal_records(key, head, &records)
}

/// Seals records that have their delimiters and, where wanted, padding.
///
/// # Errors
/// As [`seal`].
pub fn seal_records(
    key: &[u8],
    head: &Head<'_>,
    records: &[impl AsRef<[u8]>],
) -> Result<Vec<u8>, CannotOpen> {
    let keys = Keys::derive(key, &head.salt)?;
    let mut body = head.write()?;
    for (number, record) in records.iter().enumerate() {
        let mut record = record.as_ref().to_vec();
        keys.cipher.seal(&keys.feed(&keys.nonce(number)?), &mut record)?;
        body.extend_from_slice(&record);
    }
    Ok(body)
}

/// Key and base of the nonces (sections 2.2 and 2.3).
struct Keys {
    cipher: Cipher,
    key: Zeroizing<Vec<u8>>,
    base: [u8; 12],
}

impl Keys {
    fn derive(key: &[u8], salt: &[u8; 16]) -> Result<Self, CannotOpen> {
        let cipher = Cipher::named("aes-128-gcm").ok_or(CannotOpen)?;
        let derive =
            |info: &[u8], length| hkdf(Sha256, key, salt, info, length).map_err(|_| CannotOpen);
        let base = derive(b"Content-Encoding: nonce\0", 12)?;
        Ok(Self {
            cipher,
            key: derive(b"Content-Encoding: aes128gcm\0", 16)?,
            base: base.as_slice().try_into().map_err(|_| CannotOpen)?,
        })
    }

    /// The base with the number of the record folded in.
    fn nonce(&self, number: usize) -> Result<[u8; 12], CannotOpen> {
        let number = u32::try_from(number).map_err(|_| CannotOpen)?.to_be_bytes();
        let mut nonce = self.base;
        nonce.iter_mut().rev().zip(number.iter().rev()).for_each(|(byte, n)| *byte ^= n);
        Ok(nonce)
    }

    fn feed<'f>(&'f self, iv: &'f [u8; 12]) -> Feed<'f> {
        Feed { key: &self.key, iv, aad: &[], padding: Padding::None }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    /// RFC 8188, section 3.1.
    #[test]
    fn one_record_of_the_rfc_opens_and_seals() {
        let key = BASE64_URL_SAFE_NO_PAD.decode("yqdlZ-tYemfogSmv7Ws5PQ").unwrap();
        let body = "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg";
        let body = BASE64_URL_SAFE_NO_PAD.decode(body).unwrap();
        assert_eq!(*open(&key, &body).unwrap(), b"I am the walrus");
        let (head, _) = Head::read(&body).unwrap();
        assert_eq!(seal(&key, &head, b"I am the walrus").unwrap(), body);
    }

    #[test]
    fn records_can_be_neither_cut_off_nor_moved() {
        let head = Head { salt: [7; 16], record_bytes: 20, key_id: b"k" };
        let body = seal(&[1; 16], &head, b"0123456789").unwrap();
        assert_eq!(*open(&[1; 16], &body).unwrap(), b"0123456789");
        let front = HEAD_BYTES + 1;
        assert!(open(&[1; 16], &body[..front + 20]).is_err(), "first record alone");
        let swapped = [&body[..front], &body[front + 20..front + 40], &body[front..front + 20]];
        assert!(open(&[1; 16], &swapped.concat()).is_err());
        assert!(open(&[1; 16], &body[..front]).is_err(), "no record");
        for at in 0..body.len() {
            // Size and name of the head: the key id is not sealed.
            let mut altered = body.clone();
            altered[at] ^= 1;
            let unsealed = (HEAD_BYTES..front).contains(&at);
            assert_eq!(open(&[1; 16], &altered).is_ok(), unsealed, "{at}");
        }
    }
}
