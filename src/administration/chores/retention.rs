//! What is forgotten in time, once a day: counts of use, and old rows of the audit log.

use std::time::Duration;

use serde_json::json;

use super::{Done, gate};
use crate::administration::{Office, Problem};
use crate::clock::Timestamp;
use crate::telemetry::Level;

const DAY: Duration = Duration::from_secs(86_400);
/// How long counts of use are kept: a year, and some weeks to look back at it.
const USES_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// The most rows of the audit log that one transaction removes: other writers wait for it.
const STEP: u64 = 1000;

/// When something is to be forgotten next.
#[derive(Debug, Default)]
pub(super) struct Retention {
    at: Option<Timestamp>,
}

impl Retention {
    /// Forgets what is too old. Of a long audit log one step is removed, and the rest by the next
    /// calls; one that does not prove true is left as it is, and told of.
    ///
    /// # Errors
    /// The store.
    pub(super) fn run(
        &mut self,
        office: &Office,
        audit_kept: Duration,
    ) -> Result<Option<Done>, Problem> {
        let store = office.store()?;
        let now = store.read(|view| Ok::<_, Problem>(view.now()))?;
        if self.at.is_some_and(|at| now < at) {
            return Ok(None);
        }
        self.at = Some(now.saturating_add(DAY));
        let before = now.saturating_sub(USES_KEPT);
        store.change(&gate(), |change| Ok::<_, Problem>(change.forget_usage(before)?))?;
        let before = now.saturating_sub(audit_kept);
        let trimmed =
            store.change(&gate(), |change| Ok::<_, Problem>(change.trim_audit(before, STEP)?));
        match trimmed {
            Ok(STEP) => self.at = None,
            Ok(_) => {}
            Err(problem) => {
                let fields = json!({ "code": problem.code.as_str(), "cause": problem.detail });
                let event = "audit_not_trimmed";
                return Ok(Some(Done { event, level: Level::Error, fields }));
            }
        }
        Ok(None)
    }
}
