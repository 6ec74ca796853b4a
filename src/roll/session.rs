//! The session call: fresh chains under the anchor, for a client that begins or has lost its keys.

use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::clock::Timestamp;

use super::chains::{Kill, presentable};
use super::exchange::{Event, Party, Refusal, Roll};
use super::kid::{ChainId, Kid};
use super::policy::Policy;

/// Where it goes, by POST.
pub const PATH: &str = "/.well-known/countersign/key-session";
/// Chains that one call gives.
pub const LANES_MAX: usize = 16;
/// Chains that one call replaces.
pub const REPLACES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    lanes: usize,
    #[serde(default)]
    replaces: Vec<String>,
}

/// Why a session call is refused after it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// It is not of its form.
    #[error("not {{\"lanes\": 1 to 16, \"replaces\": [kid, …]}} with 64 kids at most")]
    Form,
    /// No room, no epoch, or no random bytes.
    #[error("there is no room for what it replaces, or no epoch")]
    Busy,
}

impl From<Refusal> for SessionFault {
    fn from(_: Refusal) -> Self {
        Self::Busy
    }
}

impl Roll {
    /// Answers a session call that opened: kills the chains that it replaces, and gives as many new
    /// ones as it asks for.
    ///
    /// # Errors
    /// Nothing is killed then.
    pub fn session(
        &self,
        party: &Party<'_>,
        policy: &Policy,
        call: &[u8],
        now: Timestamp,
    ) -> Result<Zeroizing<Vec<u8>>, SessionFault> {
        // The library would take an array for the object.
        let object = call.trim_ascii_start().starts_with(b"{");
        let call: Call = serde_json::from_slice(call).map_err(|_| SessionFault::Form)?;
        if !object || !(1..=LANES_MAX).contains(&call.lanes) || call.replaces.len() > REPLACES_MAX {
            return Err(SessionFault::Form);
        }
        let replaced = call.replaces.iter().map(|kid| kid.parse().map(|kid: Kid| kid.chain));
        let mut replaced: Vec<ChainId> =
            replaced.collect::<Result<_, _>>().map_err(|_| SessionFault::Form)?;
        replaced.sort_unstable();
        replaced.dedup();
        // What nobody can present any more is dead already, and what has not begun is no chain.
        let start_max = now.saturating_add(super::policy::AHEAD);
        replaced.retain(|chain| now <= presentable(*chain, policy) && chain.start() <= start_max);
        if !self.chains.has_room_for(party.key_id, replaced.len()) {
            return Err(SessionFault::Busy);
        }
        let sets = (0..call.lanes).map(|_| self.begin(party, policy, now));
        let sets = sets.collect::<Result<Vec<_>, _>>()?;
        for chain in replaced {
            let until = presentable(chain, policy);
            let kill = Kill { key_id: Arc::clone(party.key_id), chain, at: now, until };
            self.chains.kill(&kill);
            self.tell(&Event::Killed(kill));
        }
        self.tell(&Event::Session { key_id: Arc::clone(party.key_id), lanes: sets.len() });
        Ok(answer(&sets))
    }
}

/// `{"sets":[…]}`, in room of its own from the beginning.
fn answer(sets: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    let bytes: usize = sets.iter().map(|set| set.len() + 1).sum();
    let mut json = Zeroizing::new(Vec::with_capacity(bytes + 16));
    json.extend_from_slice(br#"{"sets":["#);
    for (index, set) in sets.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(set);
    }
    json.extend_from_slice(b"]}");
    json
}
