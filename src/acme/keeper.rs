//! Who orders and renews: one task beside the cores, one order at a time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::account::AccountKey;
use super::answers::Answers;
use super::authority::{Account, Authority, parse};
use super::fault::{Fault, Reason, cleaned};
use super::order::Ordering;
use super::plan::{Facts, RenewalInfo};
use super::shelf::{Kind, Shelf, Task};
use super::vault::Vault;
use crate::clock::Clock;
use crate::serve::{Issued, Tls};
use crate::telemetry::{AcmeMetrics, Level, Log};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// Orders and renews certificates.
pub struct Keeper {
    /// What is to be done.
    pub shelf: Arc<Shelf>,
    /// Where a certificate is put in force.
    pub tls: Arc<Tls>,
    /// What authorities are shown.
    pub answers: Arc<Answers>,
    /// Finds what is kept of an authority by its directory.
    pub vault: Box<dyn Fn(&str) -> Vault>,
    /// The gate's time.
    pub clock: Clock,
    /// Where outcomes are told.
    pub log: Log,
    /// Where they are counted.
    pub metrics: AcmeMetrics,
}

/// An account, and the directory that it belongs to. Forgotten after every failure.
type Known = Option<(Box<str>, Account)>;

impl Keeper {
    /// Works until it is told to stop. An order that is under way then ends unfinished.
    pub async fn run(&self, stop: CancellationToken) {
        let work = async {
            let mut look = tokio::time::interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut known = None;
            loop {
                look.tick().await;
                self.take_wishes();
                while let Some(task) = self.shelf.due(self.clock.now()) {
                    match task.kind {
                        Kind::Order => self.order(&task, &mut known).await,
                        Kind::Ask => self.ask(&task).await,
                    }
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Certificates that somebody wants now.
    fn take_wishes(&self) {
        let Some(spec) = self.shelf.spec() else { return };
        let vault = (self.vault)(&spec.directory);
        for name in &spec.names {
            // A folder that cannot be read is told by the next order.
            if vault.takes_wish(name).unwrap_or(false) {
                self.log.event(Level::Info, "certificate_wanted", json!({ "certificate": name }));
                self.shelf.want(name);
            }
        }
    }

    async fn order(&self, task: &Task, known: &mut Known) {
        let vault = (self.vault)(&task.spec.directory);
        let obtained = tokio::time::timeout(task.spec.deadline, self.obtain(task, known, &vault));
        let detail = "the order was not done within its deadline";
        let obtained = obtained.await;
        let obtained = obtained.unwrap_or_else(|_| Err(Fault::new(Reason::TimedOut, detail)));
        match obtained.and_then(|pem| Ok((self.check(task, &vault, &pem)?, pem))) {
            Ok((issued, pem)) => self.succeed(task, &vault, issued, &pem),
            Err(fault) => {
                *known = None;
                self.fail(task, &vault, &fault);
            }
        }
    }

    async fn obtain(
        &self,
        task: &Task,
        known: &mut Known,
        vault: &Vault,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let spec = &task.spec;
        let authority = Authority::meet(spec, &self.clock).await?;
        let account = match known.take() {
            Some((directory, account)) if directory == spec.directory => account,
            _ => authority.account(self.account_key(vault)?, spec).await?,
        };
        let facts = task.issued.as_ref().and_then(Issued::leaf).and_then(Facts::of);
        let replaced = facts.and_then(|facts| facts.id).filter(|_| authority.knows_renewal());
        let ordering = Ordering {
            authority: &authority,
            account: &account,
            spec,
            name: &task.name,
            answers: &self.answers,
        };
        let obtained = ordering.obtain(replaced.as_deref()).await;
        *known = Some((spec.directory.clone(), account));
        obtained
    }

    /// The key of the account. One that is damaged is put aside: then the account is a new one.
    fn account_key(&self, vault: &Vault) -> Result<AccountKey, Fault> {
        let local = |fault: std::io::Error| Fault::new(Reason::Local, fault.to_string());
        if let Some(pem) = vault.account().map_err(local)? {
            if let Some(key) = AccountKey::read(&pem) {
                return Ok(key);
            }
            vault.set_account_aside().map_err(local)?;
            self.log.event(Level::Warn, "account_key_set_aside", json!({}));
        }
        let pem = AccountKey::make()?;
        // On the disk before anybody hears of it: an account whose key is lost is of no use.
        vault.keep_account(&pem).map_err(local)?;
        let unusable = || Fault::new(Reason::Local, "a new key cannot be read");
        AccountKey::read(pem.as_bytes()).ok_or_else(unusable)
    }

    /// What was issued, if it can be served.
    fn check(&self, task: &Task, vault: &Vault, pem: &[u8]) -> Result<Issued, Fault> {
        let unusable = |why: String| Fault::new(Reason::UnusableCertificate, cleaned(&why));
        let issued = Issued::read(pem, &vault.place(&task.name), self.clock.wall_millis());
        let issued = issued.map_err(|faults| unusable(faults.to_string()))?;
        if issued.stands_for(&task.name) {
            return Ok(issued);
        }
        Err(unusable("the certificate is not for this name".to_owned()))
    }

    fn succeed(&self, task: &Task, vault: &Vault, issued: Issued, pem: &[u8]) {
        let name = &*task.name;
        let kept = vault.keep_certificate(name, pem).and_then(|()| vault.forget_failures(name));
        if let Err(fault) = kept {
            // It is good all the same; only the next start has to order again.
            let fields = json!({ "certificate": name, "cause": fault.to_string() });
            self.log.event(Level::Error, "certificate_not_kept", fields);
        }
        let until = issued.expiry();
        let now = self.clock.now();
        self.shelf.put(task, now, issued, &self.tls);
        self.metrics.issued(name, now.secs());
        let fields = json!({
            "certificate": name,
            "directory": &*task.spec.directory,
            "renewed": task.issued.is_some(),
            "until": until,
        });
        self.log.event(Level::Info, "certificate_issued", fields);
    }

    fn fail(&self, task: &Task, vault: &Vault, fault: &Fault) {
        self.metrics.failed(fault.reason);
        let failures = self.shelf.failed(task, self.clock.now(), fault);
        let kept = failures.map_or(Ok(()), |all| vault.keep_failures(&task.name, all));
        let fields = json!({
            "certificate": &*task.name,
            "directory": &*task.spec.directory,
            "reason": fault.reason.as_str(),
            "problem": fault.problem,
            "detail": fault.detail,
            "failures": failures.map(|all| all.count),
            "next_attempt": failures.map(|all| all.try_at),
            "not_kept": kept.err().map(|fault| fault.to_string()),
        });
        let level = if task.issued.is_some() { Level::Warn } else { Level::Error };
        self.log.event(level, "certificate_failed", fields);
    }

    /// Asks when the certificate is to be renewed. Without an answer it is renewed by its life.
    async fn ask(&self, task: &Task) {
        let asked = tokio::time::timeout(task.spec.deadline, self.renewal_info(task)).await;
        let detail = "no answer within the deadline";
        let asked = asked.unwrap_or_else(|_| Err(Fault::new(Reason::TimedOut, detail)));
        let now = self.clock.now();
        let told = match &asked {
            Ok(Some((info, wait))) => self.shelf.told(task, now, Some(info), *wait),
            Ok(None) => self.shelf.told(task, now, None, None),
            Err(fault) => self.shelf.told(task, now, None, fault.wait),
        };
        let fault = match (asked, told) {
            (Err(fault), _) => fault,
            (Ok(_), Err(())) => Fault::unreadable("a window that is none"),
            (Ok(_), Ok(())) => return,
        };
        let fields = json!({
            "certificate": &*task.name,
            "reason": fault.reason.as_str(),
            "problem": fault.problem,
            "detail": fault.detail,
        });
        self.log.event(Level::Warn, "renewal_info_failed", fields);
    }

    async fn renewal_info(
        &self,
        task: &Task,
    ) -> Result<Option<(RenewalInfo, Option<Duration>)>, Fault> {
        let facts = task.issued.as_ref().and_then(Issued::leaf).and_then(Facts::of);
        let Some(id) = facts.and_then(|facts| facts.id) else { return Ok(None) };
        let authority = Authority::meet(&task.spec, &self.clock).await?;
        let Some(answer) = authority.renewal_info(&id).await? else { return Ok(None) };
        let wait = authority.wait(&answer);
        parse(&answer).map(|info| Some((info, wait)))
    }
}
