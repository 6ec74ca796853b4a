//! Who calls: the token of an operator, looked up without telling anything by the time it takes.

use std::io;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::clock::Timestamp;
use crate::crypto::{Bytes32, equal, sha256};
use crate::limit::Rate;
use crate::quota::Addresses;
use crate::secret::text::{Recognised, TextKind, recognise};
use crate::store::row::{Role, TokenRow};
use crate::store::{Store, StoreFault};

use super::refusal::{Refusal, Stranger};

/// Calls without a good token, and calls that a token may not make, from one address (IPv6: from
/// one /64) before it is slowed. More than a person errs, and few enough for the audit log.
const FAILURES: Rate =
    Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN.saturating_add(59) };
/// Addresses that are remembered: 100 KiB.
const ADDRESSES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// Who holds a token that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    /// The token's id.
    pub(super) id: String,
    /// What it may do.
    pub(super) role: Role,
    /// The one merchant that it is for.
    pub(super) merchant: Option<String>,
}

/// SHA-256 of the token that a call brings (RFC 6750, section 2.1). Its checksum tells a mistyped
/// one without asking the store.
pub(super) fn token(headers: &HeaderMap) -> Result<Bytes32, Stranger> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else { return Err(Stranger::Missing) };
    let (scheme, text) = value.as_bytes().split_at_checked(7).ok_or(Stranger::Missing)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Err(Stranger::Missing);
    }
    match recognise(text) {
        Recognised::Whole(TextKind::ApiToken) => Ok(sha256(text)),
        _ => Err(Stranger::Mistyped),
    }
}

/// Every token of the store, read again whenever the store has changed.
#[derive(Default)]
pub(super) struct Operators(Mutex<Option<(u64, Arc<[TokenRow]>)>>);

impl Operators {
    /// Who holds a token now.
    ///
    /// # Errors
    /// Nobody, or not any more; a store that does not answer.
    pub(super) fn find(
        &self,
        store: &Store,
        digest: &Bytes32,
        now: Timestamp,
    ) -> Result<Operator, Refusal> {
        let rows = self.rows(store)?;
        holder(&rows, digest, now).map_err(Refusal::Unauthorized)
    }

    fn rows(&self, store: &Store) -> Result<Arc<[TokenRow]>, StoreFault> {
        // Asked before reading: what changes in between is read the next time.
        let version = store.data_version()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, rows)) = &*known
            && *seen == version
        {
            return Ok(Arc::clone(rows));
        }
        let rows: Arc<[TokenRow]> = store.read(|view| view.tokens())?.into();
        *known = Some((version, Arc::clone(&rows)));
        Ok(rows)
    }
}

fn holder(rows: &[TokenRow], digest: &Bytes32, now: Timestamp) -> Result<Operator, Stranger> {
    // All rows are looked at, whichever it is.
    let found = rows.iter().fold(None, |found, row| match equal(&row.digest, digest) {
        true => Some(row),
        false => found,
    });
    let row = found.ok_or(Stranger::Unknown)?;
    if row.revoked_at.is_some() {
        return Err(Stranger::Revoked);
    }
    if now > row.expires_at {
        return Err(Stranger::Expired);
    }
    Ok(Operator { id: row.id.clone(), role: row.role, merchant: row.merchant.clone() })
}

/// Addresses that keep failing.
pub(super) struct Failures {
    addresses: Addresses,
    started: Instant,
}

impl Failures {
    pub(super) fn new() -> io::Result<Self> {
        let addresses = Addresses::new(ADDRESSES, FAILURES)?;
        Ok(Self { addresses, started: Instant::now() })
    }

    /// Counts a call without a good token, or one that its token may not make; the time that the
    /// address is to wait, where there were too many before.
    pub(super) fn count(&self, ip: IpAddr) -> Option<Duration> {
        let now = self.started.elapsed();
        let slowed = self.addresses.slowed(ip, now);
        if slowed.is_none() {
            self.addresses.failed(ip, now);
        }
        slowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::text;

    fn header(value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.try_into().unwrap());
        headers
    }

    fn row(digest: Bytes32, expires_at: u64, revoked_at: Option<u64>) -> TokenRow {
        TokenRow {
            id: "tok_1".into(),
            name: "n".into(),
            role: Role::Admin,
            merchant: None,
            digest,
            created_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(expires_at),
            revoked_at: revoked_at.map(Timestamp::from_secs),
            revision: 1,
        }
    }

    #[test]
    fn a_token_is_a_whole_one_behind_bearer() {
        let text = text::api_token(&[3; 32]);
        let whole = [b"bearer ", text.expose()].concat();
        assert_eq!(token(&header(&whole)), Ok(sha256(text.expose())));
        assert_eq!(token(&HeaderMap::new()), Err(Stranger::Missing));
        for other in [&b"Basic abc"[..], b"Bearer", b"", text.expose()] {
            assert_eq!(token(&header(other)), Err(Stranger::Missing));
        }
        let cut = &whole[..whole.len() - 1];
        let secret = [b"Bearer ", text::secret(true, &[1; 32]).expose()].concat();
        for mistyped in [cut, b"Bearer  ", b"Bearer csa_", &secret] {
            assert_eq!(token(&header(mistyped)), Err(Stranger::Mistyped));
        }
        let mut twice = header(&whole);
        twice.append(AUTHORIZATION, whole.as_slice().try_into().unwrap());
        assert_eq!(token(&twice), Err(Stranger::Missing));
    }

    #[test]
    fn a_token_is_good_until_its_last_second_unless_revoked() {
        let now = Timestamp::from_secs(100);
        let rows = [row([1; 32], 100, None), row([2; 32], 99, None), row([3; 32], 200, Some(50))];
        assert_eq!(holder(&rows, &[1; 32], now).unwrap().role, Role::Admin);
        assert_eq!(holder(&rows, &[2; 32], now), Err(Stranger::Expired));
        assert_eq!(holder(&rows, &[3; 32], now), Err(Stranger::Revoked));
        assert_eq!(holder(&rows, &[4; 32], now), Err(Stranger::Unknown));
        assert_eq!(holder(&[], &[4; 32], now), Err(Stranger::Unknown));
    }
}
