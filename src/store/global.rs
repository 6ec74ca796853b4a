//! Changes of what is no merchant's: policies, epochs, tokens, kills, use, the audit log.

use std::sync::Arc;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::custody::KeyBytes;

use super::StoreFault;
use super::audit::{self, Event};
use super::change::{Change, conflict};
use super::cover;
use super::key;
use super::record;
use super::row::{EpochRow, KillRow, PolicyRow, TokenRow, UsageRow};
use super::table::{Purpose, StoredEpoch, StoredKek};
use super::tombstone::Tombstone;
use super::view::seconds;

impl Change<'_> {
    /// The KEK that wraps now; the first of epochs is made when it is needed.
    pub(super) fn current_kek(
        &mut self,
        purpose: Purpose,
    ) -> Result<(u32, Arc<KeyBytes>), StoreFault> {
        let keks = self.view.stored_keks()?;
        let ring = &self.view.store.ring;
        match keks.iter().find(|kek| kek.purpose == purpose && kek.current) {
            Some(kek) => Ok((kek.version, ring.kek(self.view.connection(), kek.version)?)),
            None => self.make_kek(purpose, &keks),
        }
    }

    /// Makes a KEK that wraps from now on.
    pub(super) fn make_kek(
        &mut self,
        purpose: Purpose,
        keks: &[StoredKek],
    ) -> Result<(u32, Arc<KeyBytes>), StoreFault> {
        let newest = keks.iter().map(|kek| kek.version).max().unwrap_or(0);
        for kek in keks.iter().filter(|kek| kek.purpose == purpose && kek.current) {
            let revision = kek.revision + 1;
            self.write_kek(&StoredKek { current: false, revision, ..kek.clone() })?;
        }
        let store = self.view.store;
        let (row, key) = store.ring.new_kek(newest + 1, purpose, self.view.now())?;
        self.write_kek(&row)?;
        Ok((row.version, key))
    }

    pub(super) fn write_kek(&mut self, row: &StoredKek) -> Result<(), StoreFault> {
        let (connection, rows) = (self.view.connection(), &self.view.store.keys.rows);
        record::put(connection, rows, row)?;
        self.view.head.keks = cover::of_table::<StoredKek>(connection, rows)?;
        self.wrapping_changed();
        Ok(())
    }

    /// What wraps what is another now: what was proved before says nothing of it.
    pub(super) fn wrapping_changed(&mut self) {
        self.view.head.wrapping = self.view.head.wrapping.saturating_add(1);
        self.wrote(None);
    }

    /// A new policy, or a changed one.
    ///
    /// # Errors
    /// As above.
    pub fn put_policy(&mut self, row: &PolicyRow) -> Result<(), StoreFault> {
        let known = self.view.policies()?;
        let known = known.iter().find(|known| known.name == row.name);
        if known.map_or(0, |known| known.revision) != row.revision {
            return Err(conflict(format!("policy {}", row.name)));
        }
        let raised = PolicyRow { revision: row.revision + 1, ..row.clone() };
        record::put(self.view.connection(), &self.view.store.keys.rows, &raised)?;
        self.cover_policies()
    }

    /// Removes a policy that no credential names.
    ///
    /// # Errors
    /// As above.
    pub fn remove_policy(&mut self, name: &str) -> Result<(), StoreFault> {
        if !self.view.policies()?.iter().any(|known| known.name == name) {
            return Err(StoreFault::Missing(format!("policy {name}")));
        }
        let connection = self.view.connection();
        let named = "SELECT count(*) FROM credential WHERE policy = ?1";
        let named: i64 = connection.query_row(named, [name], |row| row.get(0))?;
        if named > 0 {
            let cause = format!("policy {name} is that of {named} credentials");
            return Err(StoreFault::Refused(cause));
        }
        record::delete::<PolicyRow>(connection, &[&name])?;
        self.cover_policies()
    }

    fn cover_policies(&mut self) -> Result<(), StoreFault> {
        let (connection, rows) = (self.view.connection(), &self.view.store.keys.rows);
        self.view.head.policies = cover::of_table::<PolicyRow>(connection, rows)?;
        self.wrote(None);
        Ok(())
    }

    /// A new epoch with a new secret.
    ///
    /// # Errors
    /// As above.
    pub fn add_epoch(&mut self, row: &EpochRow) -> Result<(), StoreFault> {
        if self.view.epochs()?.iter().any(|known| known.number == row.number) {
            return Err(StoreFault::Exists(format!("epoch {}", row.number)));
        }
        let (version, kek) = self.current_kek(Purpose::Epochs)?;
        let blob = key::seal_epoch(row.number, (version, &kek), &key::new_key()?)?;
        let (kek, blob) = (Some(version), Some(blob));
        self.write_epoch(&StoredEpoch { row: row.clone(), kek, blob, revision: 1 })
    }

    /// Overwrites an epoch's secret.
    ///
    /// # Errors
    /// As above.
    pub fn destroy_epoch(&mut self, number: u32) -> Result<(), StoreFault> {
        let known = self.view.stored_epochs()?;
        let Some(known) = known.into_iter().find(|known| known.row.number == number) else {
            return Err(StoreFault::Missing(format!("epoch {number}")));
        };
        let destroyed_at = known.row.destroyed_at.or(Some(self.view.now()));
        let row = EpochRow { destroyed_at, ..known.row };
        let revision = known.revision + 1;
        self.wiped = true;
        self.write_epoch(&StoredEpoch { row, kek: None, blob: None, revision })
    }

    fn write_epoch(&mut self, row: &StoredEpoch) -> Result<(), StoreFault> {
        let (connection, rows) = (self.view.connection(), &self.view.store.keys.rows);
        record::put(connection, rows, row)?;
        self.view.head.epochs = cover::of_table::<StoredEpoch>(connection, rows)?;
        self.wrote(None);
        Ok(())
    }

    /// A token of the admin API, new or changed.
    ///
    /// # Errors
    /// As above; a revoked one stays so.
    pub fn put_token(&mut self, row: &TokenRow) -> Result<(), StoreFault> {
        let known = self.view.tokens()?;
        let known = known.iter().find(|known| known.id == row.id);
        if known.map_or(0, |known| known.revision) != row.revision {
            return Err(conflict(format!("token {}", row.id)));
        }
        let revoked = known.is_some_and(|known| known.revoked_at.is_some());
        match (revoked, row.revoked_at) {
            (true, None) => {
                return Err(StoreFault::Refused(format!("token {} is revoked for good", row.id)));
            }
            (false, Some(at)) => {
                self.tombstones.push(Tombstone::Token { id: row.id.clone(), at: at.secs() });
            }
            _ => {}
        }
        let raised = TokenRow { revision: row.revision + 1, ..row.clone() };
        let (connection, rows) = (self.view.connection(), &self.view.store.keys.rows);
        record::put(connection, rows, &raised)?;
        self.view.head.tokens = cover::of_table::<TokenRow>(connection, rows)?;
        self.wrote(None);
        Ok(())
    }

    /// A chain that is dead from now on. Those that nobody can present any more are forgotten.
    ///
    /// # Errors
    /// As above.
    pub fn add_kill(&mut self, row: &KillRow) -> Result<(), StoreFault> {
        let connection = self.view.connection();
        record::put(connection, &self.view.store.keys.rows, row)?;
        let forget = "DELETE FROM kill WHERE until < ?1";
        connection.prepare_cached(forget)?.execute([seconds(self.view.now())])?;
        self.tombstones.push(Tombstone::Chain {
            key_id: row.key_id.clone(),
            chain: row.chain,
            at: row.at.secs(),
            until: row.until.secs(),
        });
        let merchant = self.view.credential(&row.key_id)?.map(|credential| credential.merchant);
        self.wrote(merchant.as_deref());
        Ok(())
    }

    /// Adds to the use of a version in an hour. Use is no change that others have to follow.
    ///
    /// # Errors
    /// As above.
    pub fn add_usage(&mut self, row: &UsageRow) -> Result<(), StoreFault> {
        let (connection, rows) = (self.view.connection(), &self.view.store.keys.rows);
        let (kind, hour) = (row.kind.to_string(), seconds(row.hour));
        let key: [&dyn rusqlite::ToSql; 4] = [&row.key_id, &kind, &row.number, &hour];
        let mut sum = row.clone();
        if let Some(known) = record::get::<UsageRow>(connection, rows, &key)? {
            sum.requests = sum.requests.saturating_add(known.requests);
            if known.last_at > sum.last_at {
                (sum.last_at, sum.last_address) = (known.last_at, known.last_address);
            }
        }
        record::put(connection, rows, &sum)?;
        self.wrote = true;
        Ok(())
    }

    /// Forgets the use in hours before one.
    ///
    /// # Errors
    /// The database.
    pub fn forget_usage(&mut self, before: Timestamp) -> Result<(), StoreFault> {
        let forget = "DELETE FROM usage WHERE hour < ?1";
        self.view.connection().prepare_cached(forget)?.execute([seconds(before)])?;
        self.wrote = true;
        Ok(())
    }

    /// What happened, for the audit log: an action of KEYS such as `secret.rotated`, the object it
    /// happened to, and details that hold no secret.
    ///
    /// # Errors
    /// The database.
    pub fn audit(
        &mut self,
        action: &'static str,
        object: &str,
        detail: Value,
        reason: Option<&str>,
    ) -> Result<(), StoreFault> {
        let (store, at) = (self.view.store, self.view.now());
        let mut head = self.view.head.clone();
        let event = Event { action, object, detail, reason };
        let connection = self.view.connection();
        audit::append(connection, &store.keys, &mut head, (&self.actor, at), event)?;
        self.view.head = head;
        self.wrote = true;
        Ok(())
    }
}
