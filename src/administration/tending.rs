//! What a running gate does to secrets by itself: what is due takes over, what is over ends, a
//! first use is followed.

use super::{Office, Problem, credential, version};
use crate::keyring::lifecycle::{self, Turn};
use crate::store::Actor;
use crate::store::row::Kind;

/// Writes what time alone has changed of a credential's versions, and says whether it was anything.
///
/// # Errors
/// The store.
pub fn settle(office: &Office, actor: &Actor, key_id: &str) -> Result<bool, Problem> {
    office.store.change(actor, |change| {
        credential::find_open(change, key_id)?;
        let mut all = change.versions(key_id)?;
        let (now, mut wrote) = (change.now(), false);
        all.sort_by(|a, b| a.kind.cmp(&b.kind));
        for versions in all.chunk_by(|a, b| a.kind == b.kind) {
            let turn = lifecycle::tick(versions, now);
            wrote |= turn != Turn::default();
            version::write(change, versions, &turn, None)?;
        }
        Ok(wrote)
    })
}

/// Follows the first use of a version that waited for it. Nothing happens where another process was
/// told before.
///
/// # Errors
/// The store; a version that is not there.
pub fn first_use(
    office: &Office,
    actor: &Actor,
    (key_id, kind, number): (&str, &Kind, u32),
) -> Result<(), Problem> {
    office.store.change(actor, |change| {
        credential::find_open(change, key_id)?;
        let versions = version::of_kind(change, key_id, kind)?;
        let turn = lifecycle::first_use(&versions, number, change.now())?;
        version::write(change, &versions, &turn, None)
    })
}
