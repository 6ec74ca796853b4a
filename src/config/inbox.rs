//! `[inbox]`: how much of webhooks is kept, and for how long.

use std::time::Duration;

use super::node::{Mismatch, Node};
use super::reader::Table;
use super::value::{self, DAY};
use crate::journal::JournalLimits;
use crate::limit::MIB;

/// More deliveries, keys or refusals than any disk holds.
const COUNT_MAX: u64 = 10_000_000_000;

/// The limits of a journal of which nothing is said.
pub(super) const DEFAULT: JournalLimits = JournalLimits {
    bytes: 8 * 1024 * 1024 * 1024,
    open: 1_000_000,
    keys: 50_000_000,
    refusals: 10_000,
    keep_done: Duration::from_secs(30 * 24 * 3600),
    keep_failed: Duration::from_secs(90 * 24 * 3600),
    keep_refusals: Duration::from_secs(30 * 24 * 3600),
};

/// The limits of the journal.
pub(super) fn limits(table: &mut Table<'_>) -> JournalLimits {
    let size = table.optional("size", value::size(16 * MIB..=16 * 1024 * 1024 * MIB));
    let mut count = |key: &'static str, default: u64| {
        table.optional(key, |node| value::number(node, 1..=COUNT_MAX)).unwrap_or(default)
    };
    let open = count("open", DEFAULT.open);
    let keys = count("keys", DEFAULT.keys);
    let refusals = count("refusals", DEFAULT.refusals);
    let mut keep =
        |key: &'static str, default: Duration| table.optional(key, kept).unwrap_or(default);
    JournalLimits {
        bytes: size.and_then(|size| u64::try_from(size.get()).ok()).unwrap_or(DEFAULT.bytes),
        open,
        keys,
        refusals,
        keep_done: keep("keep", DEFAULT.keep_done),
        keep_failed: keep("keep_failed", DEFAULT.keep_failed),
        keep_refusals: keep("keep_refusals", DEFAULT.keep_refusals),
    }
}

/// For how long something is kept: an hour to ten years.
pub(super) fn kept(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration from 1h to 3660d in whole seconds, such as \"12h\" or \"30d\"";
    value::duration_within(node, expected, Duration::from_secs(3600)..=DAY * 3660)
}
