//! The keys of a running gate that its store holds: follows what any process changes there, and
//! tells it what was used. No request waits for any of this.

pub(super) mod rolling;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::administration::catalogue::Catalogue;
use crate::administration::chores::{Done, Upkeep};
use crate::administration::{Office, Problem};
use crate::clock::{Clock, Timestamp};
use crate::config::keys::Keys;
use crate::crypto::NoRandom;
use crate::custody::Masters;
use crate::keyring::lifecycle::State;
use crate::keyring::managed::{self, Recipes};
use crate::keyring::{Keyring, MerchantSpec};
use crate::secret::Secret;
use crate::store::{Changed, HeldCredential, Holding, Store, StoreFault, View};
use crate::telemetry::Level;

use rolling::Rolled;

use super::StartFault;
use super::assembly::{Parts, lock};

/// How often the store is asked whether anybody changed it.
const LOOK: Duration = Duration::from_millis(250);
/// How often what was used is written down.
const WRITE_DOWN: Duration = Duration::from_secs(1);
/// How often that is done which time alone brings about.
const UPKEEP: Duration = Duration::from_secs(5);
/// How often a gate without a store looks for one.
const WAIT_FOR_STORE: Duration = Duration::from_secs(1);
/// How long the store may be out of reach before the gate is not ready.
const PATIENCE: Duration = Duration::from_secs(15);

/// The store of a running gate, and how much of it the gate has seen.
pub(super) struct Managed {
    pub(super) store: Arc<Store>,
    upkeep: Mutex<Upkeep>,
    seen: Mutex<Seen>,
}

/// What the gate has seen of the store.
#[derive(Clone, Copy)]
struct Seen {
    data_version: u64,
    sequence: u64,
    at: Instant,
    /// Whether the log knows that the store is out of reach.
    told: bool,
}

/// What a look into the store brought.
#[derive(Default)]
pub(super) struct Look {
    /// Merchants as they are now.
    pub(super) merchants: Vec<MerchantSpec>,
    /// Merchants whose rows cannot be believed.
    pub(super) gone: Vec<Arc<str>>,
    /// Whether this is the whole store, and not what changed in it.
    whole: bool,
    /// Suspended secrets with the key ids of their credentials: they may come back.
    suspended: Vec<(String, Secret)>,
    /// Epochs and kills, where they may have changed.
    rolled: Option<Rolled>,
    /// Why something is not in service.
    pub(super) refused: Vec<String>,
    sequence: u64,
}

impl Managed {
    /// Opens the store, where there is one: the first command that keeps a key makes it.
    ///
    /// # Errors
    /// Master keys that are not there, a file that is none of ours.
    pub(super) fn open(keys: &Keys, clock: &Clock) -> Result<Option<Self>, StoreFault> {
        if !keys.store.exists() {
            return Ok(None);
        }
        let masters = Masters::open(&keys.master)?;
        let store = Arc::new(Store::open(&keys.store, masters, clock.clone())?);
        let seen = Seen { data_version: 0, sequence: 0, at: Instant::now(), told: false };
        Ok(Some(Self { store, upkeep: Mutex::default(), seen: Mutex::new(seen) }))
    }

    /// Everything in the store.
    ///
    /// # Errors
    /// The database. A row that was tampered with is among what is refused.
    pub(super) fn everything(&self, catalogue: &Catalogue) -> Result<Look, StoreFault> {
        let data_version = self.store.data_version()?;
        let look = self.look(catalogue, |view, look| look.read_all(view))?;
        self.saw(data_version, look.sequence);
        Ok(look)
    }

    /// What changed since the last look; nothing when nothing did.
    ///
    /// # Errors
    /// As above.
    fn changes(&self, catalogue: impl FnOnce() -> Catalogue) -> Result<Option<Look>, StoreFault> {
        let data_version = self.store.data_version()?;
        let seen = *lock(&self.seen);
        if data_version == seen.data_version {
            lock(&self.seen).at = Instant::now();
            return Ok(None);
        }
        let look =
            self.look(&catalogue(), |view, look| match view.changes_after(seen.sequence)? {
                Some(changes) => look.read_some(view, changes),
                None => look.read_all(view),
            })?;
        self.saw(data_version, look.sequence);
        Ok(Some(look))
    }

    fn look(
        &self,
        catalogue: &Catalogue,
        reader: impl FnOnce(&View<'_>, &mut Gathering<'_>) -> Result<(), StoreFault>,
    ) -> Result<Look, StoreFault> {
        self.store.read(|view| {
            let look = Look { sequence: view.sequence()?, ..Look::default() };
            let mut gathering = Gathering { look, catalogue };
            reader(view, &mut gathering)?;
            Ok(gathering.look)
        })
    }

    fn saw(&self, data_version: u64, sequence: u64) {
        *lock(&self.seen) = Seen { data_version, sequence, at: Instant::now(), told: false };
    }

    /// Whether revocations may not have arrived for a while.
    fn is_stale(&self) -> bool {
        lock(&self.seen).at.elapsed() > PATIENCE
    }
}

impl Look {
    /// Takes the suspended secrets out; nothing where not all of the store could be read, for then
    /// there may be more.
    pub(super) fn take_suspended(&mut self) -> Option<Vec<(String, Secret)>> {
        let suspended = std::mem::take(&mut self.suspended);
        (self.whole && self.refused.is_empty()).then_some(suspended)
    }
}

/// The suspended signing secrets of a merchant.
fn suspended(holding: &Holding) -> Vec<(String, Secret)> {
    let of = |held: &HeldCredential| {
        let key_id = held.row.key_id.clone();
        let resting = held.versions.iter().filter(|(row, _)| row.state == State::Suspended);
        let secrets = resting.filter_map(|(_, secret)| secret.clone());
        secrets.map(|secret| (key_id.clone(), secret)).collect::<Vec<_>>()
    };
    holding.credentials.iter().flat_map(of).collect()
}

/// A look in the making.
struct Gathering<'c> {
    look: Look,
    catalogue: &'c Catalogue,
}

impl Gathering<'_> {
    fn read_all(&mut self, view: &View<'_>) -> Result<(), StoreFault> {
        self.look.whole = true;
        self.read_rolled(view)?;
        view.everyone(|holding| match holding {
            Ok(holding) => self.keep(holding),
            Err(fault) => self.look.refused.push(fault.to_string()),
        })
    }

    fn read_some(&mut self, view: &View<'_>, changes: Vec<Changed>) -> Result<(), StoreFault> {
        // A kill is a change of its merchant's, like any other.
        self.read_rolled(view)?;
        let ids: BTreeSet<String> = changes.into_iter().filter_map(|one| one.merchant).collect();
        for id in ids {
            match view.holding(&id) {
                Ok(Some(holding)) => self.keep(holding),
                Ok(None) => self.look.gone.push(id.into()),
                Err(fault @ StoreFault::Tampered { .. }) => {
                    self.look.gone.push(id.into());
                    self.look.refused.push(fault.to_string());
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Reads epochs and kills. Where they cannot be believed, what was known of them stays, and
    /// everything else is followed all the same.
    fn read_rolled(&mut self, view: &View<'_>) -> Result<(), StoreFault> {
        match rolling::read(view) {
            Ok(rolled) => self.look.rolled = Some(rolled),
            Err(fault @ StoreFault::Tampered { .. }) => self.look.refused.push(fault.to_string()),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Takes a merchant, but for what the merchants file has as well.
    fn keep(&mut self, holding: Holding) {
        let catalogue = self.catalogue;
        let recipes = Recipes {
            scheme: &|name| catalogue.schemes.find(name),
            envelope: &|name| catalogue.envelopes.find(name),
        };
        self.look.suspended.extend(suspended(&holding));
        let id = holding.merchant.id.clone();
        let (mut spec, out) = managed::merchant(holding, recipes);
        let refused = &mut self.look.refused;
        refused.extend(out.iter().map(ToString::to_string));
        if catalogue.stated_merchants.contains(&id) {
            let why = "the merchants file has it too, and it may live in one of the two only";
            refused.push(format!("the merchant {id} of the store is out of service: {why}"));
            return;
        }
        spec.credentials.retain(|credential| {
            let key_id = credential.key_id.as_str();
            let taken = catalogue.stated_key_ids.contains(key_id);
            if taken {
                let why = "the merchants file has one of this name";
                refused.push(format!("the credential {key_id} is out of service: {why}"));
            }
            !taken
        });
        self.look.merchants.push(spec);
    }
}

impl Parts {
    /// Brings the whole store into force, if there is one. Says whether there is.
    ///
    /// # Errors
    /// Master keys that are not there, a file that is none of ours, no random bytes.
    pub(super) fn open_keys(&self) -> Result<bool, StartFault> {
        let Some(managed) = Managed::open(&self.keys, &self.clock)? else {
            self.forget_the_dead(Some(Vec::new()));
            return Ok(false);
        };
        let keyring = self.keyring.load_full();
        let mut look = managed.everything(&with_names(&lock(&self.catalogue), &keyring))?;
        self.tell_refused(&look);
        look.rolled.take().into_iter().for_each(|rolled| self.apply_rolled(rolled));
        let suspended = look.take_suspended();
        let next = self.keyring_with(&self.keyring.load(), look)?;
        self.keyring.store(Arc::new(next));
        self.forget_the_dead(suspended);
        self.note_applied();
        *lock(&self.managed) = Some(Arc::new(managed));
        Ok(true)
    }

    /// Lets the ledger forget what was signed by secrets that are no more. Where it is not known
    /// which those are, it forgets nothing.
    pub(super) fn forget_the_dead(&self, suspended: Option<Vec<(String, Secret)>>) {
        let Some(suspended) = suspended else { return };
        let resting = suspended.iter().map(|(key_id, secret)| (key_id.as_str(), secret.expose()));
        let keyring = self.keyring.load_full();
        self.kept.ledger.keep_only(keyring.secrets().chain(resting));
    }

    /// Looks for a store that was made since the start.
    fn find_keys(&self) {
        match self.open_keys() {
            Ok(true) => self.log.event(Level::Info, "key_store_opened", json!({})),
            Ok(false) => {}
            Err(fault) => {
                let cause = json!({ "cause": fault.to_string() });
                self.log.event(Level::Error, "key_store_out_of_reach", cause);
            }
        }
    }

    /// A keyring in which that is in force what a look brought.
    pub(super) fn keyring_with(&self, before: &Keyring, look: Look) -> Result<Keyring, NoRandom> {
        let (memory, quotas) = (&self.kept.memory, &self.kept.quotas);
        match look.whole {
            true => before.stated().with(look.merchants, &[], memory, quotas),
            false => before.with(look.merchants, &look.gone, memory, quotas),
        }
    }

    /// Brings what changed in the store into force.
    fn follow(&self, managed: &Managed) {
        // While a reload builds a keyring from the store, this must not put an older one back.
        let catalogue = lock(&self.catalogue);
        let named = || with_names(&catalogue, &self.keyring.load());
        match managed.changes(named) {
            Ok(None) => {}
            Ok(Some(look)) => self.apply_look(look),
            Err(fault) => self.tell_problem(managed, &fault.into()),
        }
    }

    fn apply_look(&self, mut look: Look) {
        self.tell_refused(&look);
        look.rolled.take().into_iter().for_each(|rolled| self.apply_rolled(rolled));
        let (changed, sequence) = (look.merchants.len() + look.gone.len(), look.sequence);
        match self.keyring_with(&self.keyring.load(), look) {
            Ok(next) => self.keyring.store(Arc::new(next)),
            Err(fault) => {
                let cause = json!({ "cause": fault.to_string() });
                return self.log.event(Level::Error, "keys_not_applied", cause);
            }
        }
        self.note_applied();
        self.metrics.keys.sequence.set(i64::try_from(sequence).unwrap_or(i64::MAX));
        if changed > 0 {
            let fields = json!({ "merchants": changed, "sequence": sequence });
            self.log.event(Level::Info, "keys_applied", fields);
        }
    }

    /// Says what of the store is not in service.
    pub(super) fn tell_refused(&self, look: &Look) {
        let refused = i64::try_from(look.refused.len()).unwrap_or(i64::MAX);
        self.metrics.keys.refused.set(refused);
        for cause in &look.refused {
            self.log.event(Level::Error, "key_refused", json!({ "cause": cause }));
        }
    }

    fn tell_problem(&self, managed: &Managed, problem: &Problem) {
        let told = std::mem::replace(&mut lock(&managed.seen).told, true);
        self.metrics.keys.failures.inc();
        if !told {
            let fields = json!({ "code": problem.code.as_str(), "cause": problem.detail });
            self.log.event(Level::Error, "key_store_out_of_reach", fields);
        }
    }

    /// Writes down which versions were used; what cannot be written is tried again.
    fn write_down_uses(&self, managed: &Managed) {
        let uses = self.uses.take();
        if uses.is_empty() {
            return;
        }
        let office = self.own_office(managed);
        let noted = lock(&managed.upkeep).note_uses(&office, &uses);
        match noted {
            Ok(done) => self.tell_done(&done),
            Err(problem) => {
                self.uses.give_back(uses);
                self.tell_problem(managed, &problem);
            }
        }
    }

    /// Where operators' verbs find what they work on, and which names are taken.
    pub(super) fn office(&self, managed: &Managed) -> Office {
        let catalogue = with_names(&lock(&self.catalogue), &self.keyring.load());
        Office { catalogue: Arc::new(catalogue), ..self.own_office(managed) }
    }

    /// The same for what the gate does by itself, which names nothing.
    fn own_office(&self, managed: &Managed) -> Office {
        let (store, catalogue) = (Arc::clone(&managed.store), Arc::clone(&lock(&self.catalogue)));
        let (master, state) = (self.keys.master.clone(), self.keys.state.clone());
        Office {
            keys: Some(store),
            catalogue,
            copies: Some(state.join("backups")),
            master,
            state,
            clock: self.clock.clone(),
            progress: |_, _| {},
        }
    }

    fn keep_up(&self, managed: &Managed) {
        let office = self.own_office(managed);
        let mut upkeep = lock(&managed.upkeep);
        match upkeep.run(&office, self.keys.audit_kept) {
            Ok(done) => self.tell_done(&done),
            Err(problem) => self.tell_problem(managed, &problem),
        }
        let ends = upkeep.next_end().map_or(0, Timestamp::secs);
        self.metrics.keys.next_end.set(i64::try_from(ends).unwrap_or(i64::MAX));
    }

    /// Says what the gate did to keys by itself.
    fn tell_done(&self, done: &[Done]) {
        for one in done {
            self.metrics.keys.done.with_label_values(&[one.event]).inc();
            self.log.event(one.level, one.event, one.fields.clone());
        }
    }
}

/// What credentials may name, and what they must not be called, since configuration states it.
pub(super) fn with_names(catalogue: &Catalogue, keyring: &Keyring) -> Catalogue {
    let (stated_merchants, stated_key_ids) = keyring.stated_names();
    Catalogue { stated_merchants, stated_key_ids, ..catalogue.clone() }
}

/// Starts the threads of the store, until the gate ends: one that follows it, and one that writes
/// to it. What is due is found by reading everything, and no revocation may wait for that.
pub(super) fn spawn(parts: &Arc<Parts>) -> Result<[JoinHandle<()>; 2], StartFault> {
    let (follower, writer) = (Arc::clone(parts), Arc::clone(parts));
    let thread = |name: &str| std::thread::Builder::new().name(name.into());
    Ok([
        thread("keys").spawn(move || follower.follow_keys())?,
        thread("key-upkeep").spawn(move || writer.keep_up_keys())?,
    ])
}

impl Parts {
    fn follow_keys(&self) {
        let mut looked = Instant::now();
        while !self.has_ended_after(LOOK) {
            let managed = lock(&self.managed).clone();
            if let Some(managed) = managed {
                self.follow(&managed);
                self.readiness.stale.store(managed.is_stale(), Ordering::Relaxed);
            } else if looked.elapsed() >= WAIT_FOR_STORE {
                looked = Instant::now();
                self.find_keys();
            }
        }
    }

    fn keep_up_keys(&self) {
        let mut kept = None::<Instant>;
        loop {
            // Once more at the end: the last second's uses would be lost otherwise.
            let ended = self.has_ended_after(WRITE_DOWN);
            if let Some(managed) = lock(&self.managed).clone() {
                self.write_down_uses(&managed);
                self.write_down_events(&managed);
                if !ended && kept.is_none_or(|kept| kept.elapsed() >= UPKEEP) {
                    kept = Some(Instant::now());
                    self.keep_up(&managed);
                    self.keep_up_epochs(&managed);
                }
            }
            if ended {
                return;
            }
        }
    }
}
