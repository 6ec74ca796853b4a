//! What is no merchant's, read and changed: policies, epochs, KEKs, tokens, kills, use, the audit
//! log.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::custody::KeyBytes;
use crate::secret::Secret;

use super::StoreFault;
use super::audit::{self, Event};
use super::change::{Change, conflict};
use super::cover;
use super::key::{self, open_epoch};
use super::record;
use super::row::{AuditRow, EpochRow, KekRow, KillRow, PolicyRow, TokenRow, UsageRow};
use super::table::{Purpose, StoredEpoch, StoredKek};
use super::tombstone::Tombstone;
use super::view::{View, integer, limit, seconds};

impl View<'_> {
    /// Every policy, by name.
    ///
    /// # Errors
    /// The database, and a row that was tampered with.
    pub fn policies(&self) -> Result<Vec<PolicyRow>, StoreFault> {
        cover::whole_table(self.connection(), &self.store.keys.rows, &self.head.policies)
    }

    pub(super) fn stored_epochs(&self) -> Result<Vec<StoredEpoch>, StoreFault> {
        cover::whole_table(self.connection(), &self.store.keys.rows, &self.head.epochs)
    }

    /// Every epoch, by number, the destroyed ones too.
    ///
    /// # Errors
    /// As above.
    pub fn epochs(&self) -> Result<Vec<EpochRow>, StoreFault> {
        Ok(self.stored_epochs()?.into_iter().map(|stored| stored.row).collect())
    }

    /// The secret of an epoch; none once it is destroyed.
    ///
    /// # Errors
    /// As above.
    pub fn epoch_secret(&self, number: u32) -> Result<Option<Secret>, StoreFault> {
        let stored = self.stored_epochs()?;
        let Some(stored) = stored.into_iter().find(|stored| stored.row.number == number) else {
            return Err(StoreFault::Missing(format!("epoch {number}")));
        };
        let (Some(version), Some(sealed)) = (stored.kek, stored.blob) else { return Ok(None) };
        let kek = self.store.ring.kek(self.connection(), version)?;
        open_epoch(number, &kek, &sealed).map(Some)
    }

    pub(super) fn stored_keks(&self) -> Result<Vec<StoredKek>, StoreFault> {
        cover::whole_table(self.connection(), &self.store.keys.rows, &self.head.keks)
    }

    /// Every KEK version of merchants' data keys.
    ///
    /// # Errors
    /// As above.
    pub fn keks(&self) -> Result<Vec<KekRow>, StoreFault> {
        let mut count =
            self.connection().prepare_cached("SELECT count(*) FROM data_key WHERE kek = ?1")?;
        let stored = self.stored_keks()?.into_iter();
        let merchants = stored.filter(|stored| stored.purpose == Purpose::Merchants);
        let mut rows = Vec::new();
        for stored in merchants {
            rows.push(KekRow {
                version: stored.version,
                current: stored.current,
                master: stored.master,
                created_at: stored.created_at,
                wraps: count
                    .query_row([stored.version], |row| row.get::<_, i64>(0))?
                    .unsigned_abs(),
            });
        }
        Ok(rows)
    }

    /// Every token of the admin API.
    ///
    /// # Errors
    /// As above.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreFault> {
        let keys = &self.store.keys.rows;
        let mut rows: Vec<TokenRow> =
            cover::whole_table(self.connection(), keys, &self.head.tokens)?;
        let dead = self.dead()?;
        for row in &mut rows {
            row.revoked_at = row.revoked_at.or(dead.token(&row.id));
        }
        Ok(rows)
    }

    /// Chains of rolling keys that were killed and could still be presented.
    ///
    /// # Errors
    /// As above.
    pub fn kills(&self) -> Result<Vec<KillRow>, StoreFault> {
        let keys = &self.store.keys.rows;
        let mut rows: Vec<KillRow> = record::select(self.connection(), keys, "", &[])?;
        let kept: HashSet<_> = rows.iter().map(|row| (row.key_id.clone(), row.chain)).collect();
        let dead = self.dead()?;
        let more = dead.chains().filter(|row| !kept.contains(&(row.key_id.clone(), row.chain)));
        rows.extend(more.cloned());
        rows.retain(|row| row.until >= self.now());
        rows.sort_by(|a, b| (&a.key_id, a.chain).cmp(&(&b.key_id, b.chain)));
        Ok(rows)
    }

    /// The use of a credential's versions, hour by hour, the newest first, since one.
    ///
    /// # Errors
    /// As above.
    pub fn usage(&self, key_id: &str, since: Timestamp) -> Result<Vec<UsageRow>, StoreFault> {
        let condition = "WHERE key_id = ?1 AND hour >= ?2 ORDER BY hour DESC, kind, number";
        let keys = &self.store.keys.rows;
        record::select(self.connection(), keys, condition, &[&key_id, &seconds(since)])
    }

    /// Audit rows before one, the newest first, at most so many; of an object or of all.
    ///
    /// # Errors
    /// As above.
    pub fn audit(
        &self,
        object: Option<&str>,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<AuditRow>, StoreFault> {
        let before = before.map_or(i64::MAX, integer);
        let keys = &self.store.keys.rows;
        match object {
            Some(object) => {
                let condition =
                    "WHERE object = ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3";
                record::select(
                    self.connection(),
                    keys,
                    condition,
                    &[&object, &before, &limit(most)],
                )
            }
            None => {
                let condition = "WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2";
                record::select(self.connection(), keys, condition, &[&before, &limit(most)])
            }
        }
    }

    /// Walks the whole audit log, and says how many rows it has.
    ///
    /// # Errors
    /// The first row that is broken, by its number; the database.
    pub fn verify_audit(&self) -> Result<u64, StoreFault> {
        super::audit::verify(self.connection(), &self.store.keys, &self.head)
    }
}

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
        self.wrote(None);
        self.wrapping_changed();
        Ok(())
    }

    /// What wraps what is another now: what was proved before says nothing of it.
    pub(super) fn wrapping_changed(&mut self) {
        self.view.head.wrapping = self.view.head.wrapping.saturating_add(1);
        self.wrote = true;
    }

    /// Removes a KEK that wraps nothing.
    pub(super) fn delete_kek(&mut self, version: u32) -> Result<(), StoreFault> {
        let (connection, rows) = (self.view.connection(), &self.view.store.keys.rows);
        record::delete::<StoredKek>(connection, &[&version])?;
        self.view.head.keks = cover::of_table::<StoredKek>(connection, rows)?;
        self.view.store.ring.forget(version);
        self.wiped = true;
        self.wrote(None);
        Ok(())
    }

    /// A new policy, or a changed one.
    ///
    /// # Errors
    /// [`StoreFault::Conflict`], the database, and a row that was tampered with.
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
        self.write_epoch(&StoredEpoch { row, kek: None, blob: None, revision })?;
        self.drop_spent_keks()
    }

    /// Removes earlier KEKs of epochs that wrap none any more.
    fn drop_spent_keks(&mut self) -> Result<(), StoreFault> {
        let epochs = self.view.stored_epochs()?;
        for kek in self.view.stored_keks()? {
            let wraps = epochs.iter().any(|epoch| epoch.kek == Some(kek.version));
            if kek.purpose == Purpose::Epochs && !kek.current && !wraps {
                self.delete_kek(kek.version)?;
            }
        }
        Ok(())
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

    /// Removes the oldest rows of the audit log that are older than a time, at most so many, and
    /// says how many those were. What is left can be walked as before.
    ///
    /// # Errors
    /// A row among them that was tampered with; the database.
    pub fn trim_audit(&mut self, before: Timestamp, most: u64) -> Result<u64, StoreFault> {
        let (store, by) = (self.view.store, (&self.actor, self.view.now()));
        let mut head = self.view.head.clone();
        let connection = self.view.connection();
        let trimmed = audit::trim(connection, &store.keys, &mut head, by, (before, most))?;
        self.view.head = head;
        self.wrote |= trimmed > 0;
        Ok(trimmed)
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
