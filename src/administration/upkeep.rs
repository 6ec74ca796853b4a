//! What the gate does to keys by itself: by use, by time, by policy.

use std::collections::HashMap;

use serde_json::Value;

use crate::store::{Store, StoreFault};
use crate::telemetry::{Level, Use, UsedVersion};

/// Something that was done, for log and metrics.
#[derive(Debug)]
pub struct Done {
    /// Its name.
    pub event: &'static str,
    /// How much it matters.
    pub level: Level,
    /// To what, and how.
    pub fields: Value,
}

/// Writes down which versions were used.
///
/// # Errors
/// The database.
pub fn note_uses(
    _store: &Store,
    _uses: &HashMap<UsedVersion, Use>,
) -> Result<Vec<Done>, StoreFault> {
    Ok(Vec::new())
}

/// Does what time and policies bring about.
///
/// # Errors
/// The database.
pub fn run(_store: &Store) -> Result<Vec<Done>, StoreFault> {
    Ok(Vec::new())
}
