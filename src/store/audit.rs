//! The audit log: rows that each hold the digest of the one before, so that none can be changed,
//! taken out or cut off without that it shows.

use rusqlite::Connection;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::crypto::{equal, sha256};

use super::key::StoreKeys;
use super::record;
use super::row::AuditRow;
use super::table::Head;
use super::{Actor, StoreFault};

/// What happened.
pub(super) struct Event<'a> {
    pub(super) action: &'static str,
    pub(super) object: &'a str,
    pub(super) detail: Value,
    pub(super) reason: Option<&'a str>,
}

/// The digest of a row: SHA-256 over all its columns, with the digest of the row before in the
/// place of its own.
fn digest_of(row: &AuditRow, before: [u8; 32]) -> [u8; 32] {
    sha256(record::message_of(&AuditRow { digest: before, ..row.clone() }).bytes())
}

/// Writes a row behind the last one.
///
/// # Errors
/// The database.
pub(super) fn append(
    connection: &Connection,
    keys: &StoreKeys,
    head: &mut Head,
    (actor, at): (&Actor, Timestamp),
    event: Event<'_>,
) -> Result<(), StoreFault> {
    let mut row = AuditRow {
        sequence: head.audits.saturating_add(1),
        at,
        actor_kind: actor.kind.word().to_owned(),
        actor: actor.name.clone(),
        address: actor.address,
        request_id: actor.request_id.clone(),
        action: event.action.to_owned(),
        object: event.object.to_owned(),
        detail: event.detail,
        reason: event.reason.map(str::to_owned),
        digest: [0; 32],
    };
    row.digest = digest_of(&row, head.audit_digest);
    record::put(connection, &keys.rows, &row)?;
    head.audits = row.sequence;
    head.audit_digest = row.digest;
    Ok(())
}

/// Walks the whole log, and says how many rows it has.
///
/// # Errors
/// The first row that is broken, by its number; the database.
pub(super) fn verify(
    connection: &Connection,
    keys: &StoreKeys,
    head: &Head,
) -> Result<u64, StoreFault> {
    let (mut sequence, mut digest) = (0_u64, [0; 32]);
    let broken = |sequence: u64, cause: &str| StoreFault::Tampered {
        table: "audit",
        row: sequence.to_string(),
        cause: cause.to_owned(),
    };
    record::scan::<AuditRow>(connection, "ORDER BY sequence", &[], |found| {
        let row = found.proved(&keys.rows)?;
        sequence += 1;
        if row.sequence != sequence {
            return Err(broken(sequence, "the row is gone"));
        }
        if !equal(&row.digest, &digest_of(&row, digest)) {
            return Err(broken(sequence, "it does not follow from the row before"));
        }
        digest = row.digest;
        Ok(())
    })?;
    if sequence < head.audits {
        return Err(broken(sequence + 1, "the row is gone, and all after it"));
    }
    if sequence > head.audits || !equal(&digest, &head.audit_digest) {
        return Err(broken(sequence, "it is not the last row that was written"));
    }
    Ok(sequence)
}
