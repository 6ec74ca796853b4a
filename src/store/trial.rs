//! The proof that everything opens: every MAC is checked, every blob opened, the audit log walked.
//! Nothing of a secret is kept or told.

use super::change::Change;
use super::holding::Opened;
use super::key::open_epoch;
use super::record::{self, Table};
use super::row::{KillRow, UsageRow};
use super::table::ChangeRow;
use super::view::{View, gone};
use super::{Actor, Store, StoreFault};

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub struct Trial {
    /// Merchants.
    pub merchants: u64,
    /// Credentials.
    pub credentials: u64,
    /// Versions.
    pub versions: u64,
    /// Secrets that opened.
    pub secrets: u64,
    /// Rows of the audit log.
    pub audits: u64,
    /// Versions and merchants that are dead by the tombstones, and not by the database.
    pub raised: usize,
    /// Why nothing may be used until the store is confirmed, if so. This is no fault of the
    /// database.
    pub unconfirmed: Option<String>,
    /// Everything that is wrong.
    pub faults: Vec<StoreFault>,
}

impl Store {
    /// Opens every blob and checks every MAC; `progress` hears how many merchants were done. When
    /// nothing is wrong, keys that nothing depends on may be removed.
    ///
    /// # Errors
    /// The database, the operating system. What is wrong with rows is in the answer.
    pub fn verify_all(
        &self,
        actor: &Actor,
        progress: impl FnMut(u64),
    ) -> Result<Trial, StoreFault> {
        let (trial, wrapping) = self.read::<_, StoreFault>(|view| {
            let trial = view.tried(progress)?;
            Ok((trial, view.head.wrapping))
        })?;
        if trial.faults.is_empty() {
            self.change(actor, |change| {
                change.note_proof(wrapping);
                Ok::<_, StoreFault>(())
            })?;
        }
        Ok(trial)
    }
}

impl Change<'_> {
    /// Says that everything opened with this wrapping, where it is still the same.
    fn note_proof(&mut self, wrapping: u64) {
        if self.view.head.wrapping == wrapping {
            self.view.head.proved = Some(wrapping);
            self.wrote = true;
        }
    }
}

impl View<'_> {
    /// Whether everything was proved since something was last wrapped.
    pub(super) fn proved_since(&self) -> Result<(), StoreFault> {
        if self.head.proved == Some(self.head.wrapping) {
            return Ok(());
        }
        let cause = "no full trial passed since keys were wrapped anew: run it first".to_owned();
        Err(StoreFault::Refused(cause))
    }

    fn tried(&self, progress: impl FnMut(u64)) -> Result<Trial, StoreFault> {
        let mut trial = Trial { unconfirmed: self.unconfirmed()?, ..Trial::default() };
        self.try_database(&mut trial)?;
        self.try_merchants(&mut trial, progress)?;
        let mut note = |found: Result<(), StoreFault>| match found {
            Err(fault @ StoreFault::Database(_)) => Err(fault),
            Err(fault) => {
                trial.faults.push(fault);
                Ok(())
            }
            Ok(()) => Ok(()),
        };
        note(self.try_keks())?;
        note(self.try_epochs())?;
        note(self.policies().map(drop))?;
        note(self.tokens().map(drop))?;
        self.try_rows::<KillRow>(&mut note)?;
        self.try_rows::<UsageRow>(&mut note)?;
        note(self.try_newest_change())?;
        let mut audits = 0;
        note(self.verify_audit().map(|rows| audits = rows))?;
        trial.audits = audits;
        Ok(trial)
    }

    /// What SQLite itself says of the file.
    fn try_database(&self, trial: &mut Trial) -> Result<(), StoreFault> {
        let mut statement = self.connection().prepare("PRAGMA integrity_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let said: String = row.get(0)?;
            if said != "ok" {
                trial.faults.push(gone("database", "file", &said));
            }
        }
        Ok(())
    }

    fn try_merchants(
        &self,
        trial: &mut Trial,
        mut progress: impl FnMut(u64),
    ) -> Result<(), StoreFault> {
        let mut refused = Vec::new();
        self.pass(None, Opened::All, |found| {
            let holding = match found {
                Ok(holding) => holding,
                Err(fault) => return refused.push(fault),
            };
            trial.merchants += 1;
            trial.raised += holding.raised;
            for credential in &holding.credentials {
                let secrets = credential.versions.iter().filter(|(_, secret)| secret.is_some());
                trial.credentials += 1;
                trial.versions += count(credential.versions.len());
                trial.secrets += count(secrets.count());
            }
            progress(trial.merchants);
        })?;
        trial.faults.append(&mut refused);
        Ok(())
    }

    /// Opens KEKs by their master keys, and the store's own key by its KEK, not as remembered.
    fn try_keks(&self) -> Result<(), StoreFault> {
        let ring = &self.store.ring;
        for kek in self.stored_keks()? {
            ring.open_kek(&kek)?;
        }
        ring.store_keys(self.connection()).map(drop)
    }

    fn try_epochs(&self) -> Result<(), StoreFault> {
        for epoch in self.stored_epochs()? {
            if let (Some(version), Some(sealed)) = (epoch.kek, &epoch.blob) {
                let kek = self.store.ring.kek(self.connection(), version)?;
                open_epoch(epoch.row.number, &kek, sealed)?;
            }
        }
        Ok(())
    }

    /// The change log must end where the head says.
    fn try_newest_change(&self) -> Result<(), StoreFault> {
        let mut newest = 0;
        record::scan::<ChangeRow>(self.connection(), "ORDER BY sequence", &[], |found| {
            newest = found.proved(&self.store.keys.rows)?.sequence;
            Ok(())
        })?;
        if newest == self.head.changes {
            return Ok(());
        }
        Err(gone("change", &newest.to_string(), "it is not the last row that was written"))
    }

    fn try_rows<T: Table>(
        &self,
        note: &mut impl FnMut(Result<(), StoreFault>) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        record::scan::<T>(self.connection(), "", &[], |found| {
            note(found.proved(&self.store.keys.rows).map(drop))
        })
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
