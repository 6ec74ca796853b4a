//! Who orders and renews: one task beside the cores, one order at a time.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier, Error};
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Spec;
use super::answers::Answers;
use super::fault::{Fault, Reason, cleaned};
use super::order::Ordering;
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

/// The account with the authority that configuration names. Forgotten after every failure, and
/// where configuration is another.
type Known = Option<(Arc<Spec>, Account)>;

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
                        Kind::Ask => self.ask(&task, &mut known).await,
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
        let obtained = async {
            let account = &self.known(&task.spec, known).await?;
            let (spec, name, answers) = (&*task.spec, &*task.name, &*self.answers);
            let ordering = Ordering { account, spec, name, answers };
            ordering.obtain(task.issued.as_ref().and_then(id)).await
        };
        let obtained = tokio::time::timeout(task.spec.deadline, obtained).await;
        let detail = "the order was not done within its deadline";
        let obtained = obtained.unwrap_or_else(|_| Err(Fault::new(Reason::TimedOut, detail)));
        match obtained.and_then(|pem| Ok((self.check(task, &vault, &pem)?, pem))) {
            Ok((issued, pem)) => self.succeed(task, &vault, issued, &pem),
            Err(fault) => {
                *known = None;
                self.fail(task, &vault, &fault);
            }
        }
    }

    async fn known(&self, spec: &Arc<Spec>, known: &mut Known) -> Result<Account, Fault> {
        if let Some((_, account)) = known.as_ref().filter(|(own, _)| Arc::ptr_eq(own, spec)) {
            return Ok(account.clone());
        }
        let account = self.account(spec, &(self.vault)(&spec.directory)).await?;
        *known = Some((Arc::clone(spec), account.clone()));
        Ok(account)
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
    async fn ask(&self, task: &Task, known: &mut Known) {
        let asked = async {
            let Some(id) = task.issued.as_ref().and_then(id) else { return Ok(None) };
            match self.known(&task.spec, known).await?.renewal_info(&id).await {
                Err(Error::Unsupported(_)) => Ok(None),
                told => Ok(Some(told?)),
            }
        };
        let asked = tokio::time::timeout(task.spec.deadline, asked).await;
        let detail = "no answer within the deadline";
        let asked = asked.unwrap_or_else(|_| Err(Fault::new(Reason::TimedOut, detail)));
        let now = self.clock.now();
        let told = match &asked {
            Ok(Some((info, wait))) => self.shelf.told(task, now, Some(info), Some(*wait)),
            Ok(None) => self.shelf.told(task, now, None, None),
            Err(fault) => self.shelf.told(task, now, None, fault.wait),
        };
        let fault = match (asked, told) {
            (Err(fault), _) => fault,
            (Ok(_), Err(())) => Fault::unreadable("a window that is none"),
            (Ok(_), Ok(())) => return,
        };
        *known = None;
        let fields = json!({
            "certificate": &*task.name,
            "reason": fault.reason.as_str(),
            "problem": fault.problem,
            "detail": fault.detail,
        });
        self.log.event(Level::Warn, "renewal_info_failed", fields);
    }
}

/// What a certificate is called in renewal information (RFC 9773, section 4.1); none where it does
/// not name its authority's key.
fn id(issued: &Issued) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(issued.leaf()?).ok()
}
