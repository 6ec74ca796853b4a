//! What is remembered of chains while they can be presented: first uses, uses of each set, kills.
//!
//! A chain costs memory from its first use, never from its issue. Nothing is dropped before nobody
//! can present it any more; when there is no room, a first use is refused. Must never be done here:
//! holding the lock of a credential for longer than one look-up takes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use crate::clock::Timestamp;

use super::kid::{ChainId, Kid};
use super::policy::{AHEAD, Policy};

/// Chains of one credential that are remembered; beyond them a first use has to wait.
pub const CHAINS_MAX: usize = 10_000;
/// Key sets of one chain whose uses are counted at the same time. A chain that has more in its
/// grace is used up: its client begins another.
pub const SETS_MAX: usize = 16_384;
/// Chains and counted key sets of all credentials together: about 150 MiB.
pub const ENTRIES_MAX: usize = 4_000_000;

/// A chain that is dead from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Whose it was.
    pub key_id: Arc<str>,
    /// Which one.
    pub chain: ChainId,
    /// Since when.
    pub at: Timestamp,
    /// The last second in which anybody could present it.
    pub until: Timestamp,
}

/// Why a key set is refused, by what is remembered of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worn {
    /// The chain was killed.
    Revoked,
    /// A newer set was used more than the grace ago, or it cannot be known whether one was.
    Superseded,
    /// The set sealed as many messages as it may.
    Exhausted,
    /// There is no room for another chain.
    Full,
}

/// The memory of chains, shared by all cores.
pub struct Chains {
    by_credential: DashMap<Arc<str>, Arc<Mutex<Own>>>,
    /// Chains and counted sets in all.
    entries: AtomicUsize,
    /// Key sets made up to this second may have been superseded without our knowing.
    lost: Timestamp,
    chains_max: usize,
    entries_max: usize,
}

/// The chains of one credential.
#[derive(Default)]
struct Own(HashMap<ChainId, Chain>);

struct Chain {
    /// Until when it can be presented.
    until: Timestamp,
    killed: bool,
    floor: u32,
    /// First uses of ever higher generations, apart from each other; of those that are older than
    /// the grace there is none but the floor.
    firsts: VecDeque<First>,
    /// The highest generation that was used, which may follow the last of `firsts` closely.
    newest: Option<First>,
    /// How often each set was used: by generation, then by when it was made, for a generation can
    /// have siblings.
    uses: BTreeMap<(u32, u32), u32>,
}

#[derive(Clone, Copy)]
struct First {
    generation: u32,
    at: Timestamp,
}

impl Chains {
    /// A memory that knows nothing of what was before `now_millis`, in milliseconds since 1970.
    pub fn new(now_millis: u64) -> Self {
        let lost = Timestamp::from_secs(now_millis.div_ceil(1000));
        Self {
            by_credential: DashMap::new(),
            entries: AtomicUsize::new(0),
            lost,
            chains_max: CHAINS_MAX,
            entries_max: ENTRIES_MAX,
        }
    }

    /// Key sets that were made up to this second are superseded.
    pub fn lost(&self) -> Timestamp {
        self.lost
    }

    /// Takes one use of a key set, before anything is opened with it. Dropped, it is given back;
    /// kept, it is the first use of its generation, if it is one.
    ///
    /// # Errors
    /// See [`Worn`], in the order of the protocol's checks.
    pub fn take(
        &self,
        key_id: &Arc<str>,
        kid: Kid,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Use, Worn> {
        let own = self.of(key_id);
        let mut chains = lock(&own);
        let known = chains.0.len();
        if let Some(chain) = chains.0.get_mut(&kid.chain) {
            if chain.killed {
                return Err(Worn::Revoked);
            }
            chain.settle(policy, now, &self.entries);
            if kid.generation < chain.floor {
                return Err(Worn::Superseded);
            }
        }
        if kid.issued_at() <= self.lost {
            return Err(Worn::Superseded);
        }
        let room = |more| self.has_room(more);
        let chain = match chains.0.get_mut(&kid.chain) {
            Some(chain) => chain,
            None if known >= self.chains_max || !room(2) => return Err(Worn::Full),
            None => {
                self.entries.fetch_add(1, Ordering::Relaxed);
                chains.0.entry(kid.chain).or_insert_with(Chain::default)
            }
        };
        chain.until = chain.until.max(presentable(kid.chain, policy));
        let set = (kid.generation, kid.issued);
        let sets = chain.uses.len();
        match chain.uses.get_mut(&set) {
            Some(uses) if *uses >= policy.uses_max => return Err(Worn::Exhausted),
            Some(uses) => *uses += 1,
            None if sets >= SETS_MAX => return Err(Worn::Exhausted),
            None if !room(1) => return Err(Worn::Full),
            None => {
                self.entries.fetch_add(1, Ordering::Relaxed);
                chain.uses.insert(set, 1);
            }
        }
        drop(chains);
        Ok(Use { own, kid, policy: *policy, now, kept: false })
    }

    /// Kills a chain, now and for as long as anybody could present it.
    pub fn kill(&self, kill: &Kill) {
        let own = self.of(&kill.key_id);
        let mut chains = lock(&own);
        let chain = chains.0.entry(kill.chain).or_insert_with(|| {
            self.entries.fetch_add(1, Ordering::Relaxed);
            Chain::default()
        });
        self.entries.fetch_sub(chain.uses.len(), Ordering::Relaxed);
        *chain = Chain { killed: true, until: chain.until.max(kill.until), ..Chain::default() };
    }

    /// Whether a credential has room for so many more chains, killed ones among them.
    pub fn has_room_for(&self, key_id: &Arc<str>, more: usize) -> bool {
        let known = lock(&self.of(key_id)).0.len();
        known.saturating_add(more) <= self.chains_max && self.has_room(more)
    }

    /// Forgets chains that nobody can present any more. To be called once in a while, off the path.
    pub fn sweep(&self, now: Timestamp) {
        // What a shard's lock is held for is one credential after the other.
        let all: Vec<_> = self.by_credential.iter().map(|own| Arc::clone(own.key())).collect();
        for key_id in all {
            let Some(own) = self.by_credential.get(&key_id).map(|own| Arc::clone(&own)) else {
                continue;
            };
            let mut chains = lock(&own);
            chains.0.retain(|_, chain| {
                let stays = now <= chain.until;
                if !stays {
                    self.entries.fetch_sub(1 + chain.uses.len(), Ordering::Relaxed);
                }
                stays
            });
            drop(chains);
            drop(own);
            // Nobody else holds it, or it is left for the next time.
            self.by_credential
                .remove_if(&key_id, |_, own| Arc::strong_count(own) == 1 && lock(own).0.is_empty());
        }
    }

    /// Chains and counted sets that are remembered.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    fn has_room(&self, more: usize) -> bool {
        self.entries().saturating_add(more) <= self.entries_max
    }

    fn of(&self, key_id: &Arc<str>) -> Arc<Mutex<Own>> {
        if let Some(own) = self.by_credential.get(key_id) {
            return Arc::clone(&own);
        }
        Arc::clone(&self.by_credential.entry(Arc::clone(key_id)).or_default())
    }
}

/// Until when a chain can be presented, by a clock that may be behind.
pub(super) fn presentable(chain: ChainId, policy: &Policy) -> Timestamp {
    chain.start().saturating_add(policy.chain_ttl).saturating_add(AHEAD)
}

fn lock(own: &Mutex<Own>) -> MutexGuard<'_, Own> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chains").field("entries", &self.entries()).finish_non_exhaustive()
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            until: Timestamp::from_secs(0),
            killed: false,
            floor: 0,
            firsts: VecDeque::new(),
            newest: None,
            uses: BTreeMap::new(),
        }
    }
}

impl Chain {
    /// Raises the floor to the highest generation that was first used more than the grace ago, and
    /// forgets what lies below it.
    fn settle(&mut self, policy: &Policy, now: Timestamp, entries: &AtomicUsize) {
        let old = |first: &First| first.at.saturating_add(policy.grace) < now;
        let before = self.floor;
        while let Some(first) = self.firsts.pop_front_if(|first| old(first)) {
            self.floor = self.floor.max(first.generation);
        }
        if let Some(newest) = self.newest.filter(old) {
            self.floor = self.floor.max(newest.generation);
        }
        if self.floor > before {
            let kept = self.uses.split_off(&(self.floor, 0));
            let gone = std::mem::replace(&mut self.uses, kept);
            entries.fetch_sub(gone.len(), Ordering::Relaxed);
        }
    }

    /// Notes a use of a generation.
    fn used(&mut self, generation: u32, policy: &Policy, now: Timestamp) {
        let newest = First { generation, at: now };
        match self.newest {
            Some(before) if generation <= before.generation => return,
            Some(before) => {
                // By the clock of another gate a higher generation may have been used earlier; then
                // it stands for those before it.
                while self.firsts.pop_back_if(|last| last.at >= before.at).is_some() {}
                let last = self.firsts.back();
                if last.is_none_or(|last| last.at.saturating_add(policy.apart()) <= before.at) {
                    self.firsts.push_back(before);
                }
            }
            None => {}
        }
        self.newest = Some(newest);
    }
}

/// One use of a key set that was taken.
#[must_use = "a use is kept when the message opened; dropped, it is given back"]
pub struct Use {
    own: Arc<Mutex<Own>>,
    kid: Kid,
    policy: Policy,
    now: Timestamp,
    kept: bool,
}

impl Use {
    /// Keeps it: the message opened. Says whether the chain is alive still.
    pub fn keep(mut self) -> bool {
        self.kept = true;
        let mut chains = lock(&self.own);
        let chain = chains.0.get_mut(&self.kid.chain).filter(|chain| !chain.killed);
        let alive = chain.is_some();
        if let Some(chain) = chain {
            chain.used(self.kid.generation, &self.policy, self.now);
        }
        alive
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let mut chains = lock(&self.own);
        let set = (self.kid.generation, self.kid.issued);
        let chain = chains.0.get_mut(&self.kid.chain);
        // An entry that counts nothing goes with its chain.
        if let Some(uses) = chain.and_then(|chain| chain.uses.get_mut(&set)) {
            *uses = uses.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Use").field(&self.kid).finish()
    }
}

#[cfg(test)]
mod tests;
