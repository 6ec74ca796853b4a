//! What is known of each name: its certificate, and what is done for it when. Shared by whoever
//! orders and by reloads, which both change it whole and put the outcome in force at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use instant_acme::RenewalInfo;
use serde_json::json;

use super::Spec;
use super::fault::{Fault, cleaned};
use super::plan::{Facts, Plan};
use super::vault::{Failures, Vault};
use crate::clock::{Clock, Timestamp};
use crate::crypto::random;
use crate::serve::{Issued, Tls};
use crate::telemetry::{Level, Log};

/// Every name that certificates are ordered for.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Stock>);

#[derive(Clone, Debug, Default)]
struct Stock {
    spec: Option<Arc<Spec>>,
    entries: BTreeMap<Box<str>, Entry>,
}

/// One name.
#[derive(Clone, Debug)]
struct Entry {
    /// Its certificate, with the directory of whoever issued it.
    issued: Option<(Issued, Box<str>)>,
    plan: Plan,
}

/// Something to do for a name.
pub(super) struct Task {
    pub(super) spec: Arc<Spec>,
    pub(super) name: Box<str>,
    /// Its certificate, where this authority issued one.
    pub(super) issued: Option<Issued>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Order a certificate.
    Order,
    /// Ask when the authority wants it renewed.
    Ask,
}

/// How a name stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The name.
    pub name: Box<str>,
    /// Whether it has a certificate.
    pub has_certificate: bool,
    /// When the next order is made, in Unix seconds.
    pub next_attempt: u64,
}

/// A change by a reload, ready to be put in force. Nobody else changes anything meanwhile.
#[must_use]
pub struct Change<'s> {
    current: MutexGuard<'s, Stock>,
    new: Stock,
}

impl Shelf {
    /// Makes a change ready: names that stay keep their certificates, others are looked for in the
    /// state folder.
    pub fn prepare(
        &self,
        spec: Option<&Spec>,
        vault: &Vault,
        clock: &Clock,
        log: &Log,
    ) -> Change<'_> {
        let current = self.stock();
        let mut new = Stock { spec: spec.cloned().map(Arc::new), entries: BTreeMap::new() };
        let Some(spec) = spec else { return Change { current, new } };
        let same = current.spec.as_ref().is_some_and(|own| own.directory == spec.directory);
        for name in &spec.names {
            let entry = match current.entries.get(name).cloned() {
                Some(mut entry) if same => {
                    entry.plan.try_sooner();
                    entry
                }
                before => {
                    let found = kept(name, vault, clock, log);
                    let found = found.map(|issued| (issued, spec.directory.clone()));
                    let issued = found.or(before.and_then(|entry| entry.issued));
                    Entry::new(issued, vault.failures(name))
                }
            };
            new.entries.insert(name.clone(), entry);
        }
        Change { current, new }
    }

    /// What is due now, if anything.
    pub(super) fn due(&self, now: Timestamp) -> Option<Task> {
        let stock = self.stock();
        let spec = stock.spec.as_ref()?;
        stock.entries.iter().find_map(|(name, entry)| {
            let own = entry.issued_by(&spec.directory);
            let order = now.secs() >= entry.order_at(&spec.directory);
            let ask = own.is_some() && now.secs() >= entry.plan.ask_at;
            let kind = if order { Kind::Order } else { ask.then_some(Kind::Ask)? };
            let (spec, name) = (Arc::clone(spec), name.clone());
            Some(Task { spec, name, issued: own.cloned(), kind })
        })
    }

    /// The authority and the names in force.
    pub(super) fn spec(&self) -> Option<Arc<Spec>> {
        self.stock().spec.clone()
    }

    /// Orders as soon as can be.
    pub(super) fn want(&self, name: &str) {
        if let Some(entry) = self.stock().entries.get_mut(name) {
            entry.plan.renew_at = 0;
            entry.plan.try_at = 0;
        }
    }

    /// Puts a new certificate in force. One that nobody wants any more is left alone.
    pub(super) fn put(&self, task: &Task, now: Timestamp, issued: Issued, tls: &Tls) {
        let mut stock = self.stock();
        let Some(entry) = stock.entries.get_mut(&task.name) else { return };
        entry.has(issued, &task.spec.directory);
        entry.plan.succeeded(now.secs());
        tls.show_issued(&stock.issued());
    }

    /// Notes that an order came to nothing, and says what is known of failures now. Where it is the
    /// authority that fails, other names wait as well.
    pub(super) fn failed(&self, task: &Task, now: Timestamp, fault: &Fault) -> Option<Failures> {
        let mut stock = self.stock();
        let entry = stock.entries.get_mut(&task.name)?;
        entry.plan.failed(now.secs(), fault.wait);
        let plan = entry.plan.clone();
        if fault.is_of_the_authority() {
            stock.entries.values_mut().for_each(|other| other.plan.wait_with(&plan));
        }
        let (count, failed_at, try_at) = (plan.failures, plan.failed_at, plan.try_at);
        Some(Failures { count, failed_at, try_at })
    }

    /// Notes what the authority says of renewal, and when it is asked again.
    pub(super) fn told(
        &self,
        task: &Task,
        now: Timestamp,
        info: Option<&RenewalInfo>,
        wait: Option<Duration>,
    ) -> Result<(), ()> {
        let mut stock = self.stock();
        let Some(entry) = stock.entries.get_mut(&task.name) else { return Ok(()) };
        entry.plan.ask_again(now.secs(), wait);
        let leaf = task.issued.as_ref().and_then(Issued::leaf);
        match info.zip(leaf.and_then(Facts::of)) {
            Some((info, facts)) => entry.plan.told(info, &facts),
            None => Ok(()),
        }
    }

    /// How each name stands.
    pub fn standings(&self) -> Vec<Standing> {
        let stock = self.stock();
        let directory = stock.spec.as_ref().map_or("", |spec| &spec.directory);
        let all = stock.entries.iter().map(|(name, entry)| Standing {
            name: name.clone(),
            has_certificate: entry.issued.is_some(),
            next_attempt: entry.order_at(directory),
        });
        all.collect()
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change<'_> {
    /// The certificates that are served once it is in force.
    pub fn issued(&self) -> Vec<Issued> {
        self.new.issued()
    }

    /// Puts it in force.
    pub fn install(mut self) {
        *self.current = self.new;
    }
}

impl Stock {
    fn issued(&self) -> Vec<Issued> {
        let all = self.entries.values();
        all.filter_map(|entry| entry.issued.as_ref().map(|(issued, _)| issued.clone())).collect()
    }
}

impl Entry {
    /// What is known at first of a name: its certificate, and orders that failed.
    fn new(issued: Option<(Issued, Box<str>)>, failures: Option<Failures>) -> Self {
        // Where the name stands in every spread. Without random bytes, at its beginning.
        let place = random().map_or(0, u32::from_be_bytes);
        let mut entry = Self { issued: None, plan: Plan::new(place) };
        if let Some((issued, directory)) = issued {
            entry.has(issued, &directory);
        }
        if let Some(Failures { count, failed_at, try_at }) = failures {
            entry.plan.remember(count, failed_at, try_at);
        }
        entry
    }

    fn has(&mut self, issued: Issued, directory: &str) {
        if let Some(facts) = issued.leaf().and_then(Facts::of) {
            self.plan.has(&facts);
        }
        self.issued = Some((issued, directory.into()));
    }

    /// Its certificate, if this authority issued it.
    fn issued_by(&self, directory: &str) -> Option<&Issued> {
        self.issued.as_ref().filter(|(_, by)| **by == *directory).map(|(issued, _)| issued)
    }

    /// When an order is made. A certificate of another authority is only there until then.
    fn order_at(&self, directory: &str) -> u64 {
        let due = self.issued_by(directory).map_or(0, |_| self.plan.renew_at);
        due.max(self.plan.try_at)
    }
}

/// The certificate of a name in the state folder. One that cannot be served is put aside.
fn kept(name: &str, vault: &Vault, clock: &Clock, log: &Log) -> Option<Issued> {
    let place = vault.place(name);
    let read = vault.certificate(name).map_err(|fault| fault.to_string());
    let read = read.transpose()?.and_then(|pem| {
        let issued = Issued::read(&pem, &place, clock.wall_millis());
        let issued = issued.map_err(|faults| faults.to_string())?;
        let own = issued.stands_for(name).then_some(issued);
        own.ok_or_else(|| format!("{}: is not for {name}", place.display()))
    });
    read.inspect_err(|why| {
        let aside = vault.set_aside(name);
        let fields = json!({
            "certificate": name,
            "cause": cleaned(why),
            "kept_as": aside.is_ok().then(|| format!("{}.damaged", place.display())),
        });
        log.event(Level::Warn, "certificate_set_aside", fields);
    })
    .ok()
}
