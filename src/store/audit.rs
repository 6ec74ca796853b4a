//! The audit log: rows that each hold the digest of the one before, so that none can be changed,
//! taken out or cut off without that it shows. Old ones are trimmed in the open: a row says which.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::crypto::{HexCase, equal, hex, sha256, unhex};

use super::key::StoreKeys;
use super::record;
use super::row::AuditRow;
use super::table::Head;
use super::view::{integer, seconds};
use super::{Actor, StoreFault};

/// The action of the row that says which rows were trimmed.
const TRIMMED: &str = "audit.trimmed";

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

/// What the oldest row that is kept follows from: nothing, or the last row that was trimmed. That
/// stands in the newest row that tells of a trimming: it has its place in the chain and a MAC.
fn beginning(connection: &Connection, keys: &StoreKeys) -> Result<Place, StoreFault> {
    let mut beginning = Place { sequence: 0, digest: [0; 32] };
    let newest = "WHERE action = ?1 ORDER BY sequence DESC LIMIT 1";
    record::scan::<AuditRow>(connection, newest, &[&TRIMMED], |found| {
        let row = found.proved(&keys.rows)?;
        let sequence = row.detail.get("through").and_then(Value::as_u64);
        let digest = row.detail.get("digest").and_then(Value::as_str);
        let digest = digest.and_then(|text| unhex(text.as_bytes(), HexCase::Lower));
        let place = sequence.zip(digest).map(|(sequence, digest)| Place { sequence, digest });
        beginning =
            place.ok_or_else(|| broken(row.sequence, "it does not say what was trimmed"))?;
        Ok(())
    })?;
    Ok(beginning)
}

/// A place in the chain: the number and the digest of a row.
struct Place {
    sequence: u64,
    digest: [u8; 32],
}

fn broken(sequence: u64, cause: &str) -> StoreFault {
    StoreFault::Tampered { table: "audit", row: sequence.to_string(), cause: cause.to_owned() }
}

/// Walks the log from its beginning through a number, or to its end.
fn walk(
    connection: &Connection,
    keys: &StoreKeys,
    Place { mut sequence, mut digest }: Place,
    through: u64,
) -> Result<Place, StoreFault> {
    let rows = "WHERE sequence <= ?1 ORDER BY sequence";
    record::scan::<AuditRow>(connection, rows, &[&integer(through)], |found| {
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
    Ok(Place { sequence, digest })
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
    let beginning = beginning(connection, keys)?;
    let trimmed = beginning.sequence;
    let Place { sequence, digest } = walk(connection, keys, beginning, u64::MAX)?;
    if sequence < head.audits {
        return Err(broken(sequence + 1, "the row is gone, and all after it"));
    }
    if sequence > head.audits || !equal(&digest, &head.audit_digest) {
        return Err(broken(sequence, "it is not the last row that was written"));
    }
    Ok(sequence - trimmed)
}

/// Removes the oldest rows, of those that are older than a time, at most so many, and writes down
/// what the rest follows from. Nobody can hide a change in them by waiting for that: they are
/// walked first.
///
/// # Errors
/// The first row that is broken, by its number; the database.
pub(super) fn trim(
    connection: &Connection,
    keys: &StoreKeys,
    head: &mut Head,
    (actor, at): (&Actor, Timestamp),
    (before, most): (Timestamp, u64),
) -> Result<u64, StoreFault> {
    let beginning = beginning(connection, keys)?;
    let (first, last) = (beginning.sequence, beginning.sequence.saturating_add(most));
    let kept = "SELECT min(sequence) FROM audit WHERE sequence <= ?1 AND at >= ?2";
    let kept: Option<i64> = connection
        .prepare_cached(kept)?
        .query_row([integer(last), seconds(before)], |row| row.get(0))?;
    let last = kept.map_or(last.min(head.audits), |kept| kept.unsigned_abs().saturating_sub(1));
    if last <= first {
        return Ok(0);
    }
    let end = walk(connection, keys, beginning, last)?;
    if end.sequence != last {
        return Err(broken(end.sequence + 1, "the row is gone"));
    }
    let remove = "DELETE FROM audit WHERE sequence <= ?1";
    connection.prepare_cached(remove)?.execute([integer(last)])?;
    let digest = String::from_utf8_lossy(&hex(&end.digest)).into_owned();
    let detail = json!({ "through": last, "digest": digest });
    let event = Event { action: TRIMMED, object: "audit", detail, reason: None };
    append(connection, keys, head, (actor, at), event)?;
    Ok(last - first)
}
