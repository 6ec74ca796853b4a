//! What a gate loads: merchants one by one, each with everything that is its own, so that one whose
//! rows were tampered with is refused and all others go on.

use std::sync::Arc;

use rusqlite::{Rows, Statement, ToSql};

use crate::crypto::equal;
use crate::secret::Secret;

use super::StoreFault;
use super::change::add_member;
use super::cover::MerchantCover;
use super::record::{self, Found, Table};
use super::row::{CredentialRow, MerchantRow, MerchantStatus, VersionRow, VersionState};
use super::table::{DataKey, StoredMerchant, StoredVersion};
use super::tombstone::Dead;
use super::view::{View, gone, lay_to_rest, open_secret};

/// A merchant and everything that is its own.
#[derive(Debug)]
pub struct Holding {
    /// The merchant: suspended where nothing of the store may be used until it is confirmed.
    pub merchant: MerchantRow,
    /// Its credentials by key id.
    pub credentials: Vec<HeldCredential>,
    /// Versions and merchants that were revoked or closed once and are not in the database: it is
    /// an older copy. They are revoked and closed here.
    pub raised: usize,
}

/// A credential and its secrets.
#[derive(Debug)]
pub struct HeldCredential {
    /// The credential.
    pub row: CredentialRow,
    /// Its versions by kind and number. The secret of one that was revoked or destroyed is not
    /// read.
    pub versions: Vec<(VersionRow, Option<Secret>)>,
}

/// The rows of a statement, with one read ahead.
struct Ahead<'statement, T> {
    rows: Rows<'statement>,
    next: Option<Found<T>>,
}

impl<'statement, T: Table> Ahead<'statement, T> {
    fn new(
        statement: &'statement mut Statement<'_>,
        of: &[&dyn ToSql],
    ) -> Result<Self, StoreFault> {
        let mut ahead = Self { rows: statement.query(of)?, next: None };
        ahead.advance()?;
        Ok(ahead)
    }

    fn advance(&mut self) -> Result<Option<Found<T>>, StoreFault> {
        let next = self.rows.next()?.map(record::read).transpose()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The next row that belongs to a merchant. What stands before it belongs to nobody.
    fn of(
        &mut self,
        merchant: &str,
        lost: &mut Vec<StoreFault>,
    ) -> Result<Option<Found<T>>, StoreFault> {
        while let Some(next) = &self.next {
            match next.owner().cmp(merchant) {
                std::cmp::Ordering::Less => {
                    lost.push(next.tampered("it belongs to no merchant"));
                    self.advance()?;
                }
                std::cmp::Ordering::Equal => return self.advance(),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What is left belongs to nobody.
    fn rest(&mut self, lost: &mut Vec<StoreFault>) -> Result<(), StoreFault> {
        while let Some(found) = self.advance()? {
            lost.push(found.tampered("it belongs to no merchant"));
        }
        Ok(())
    }
}

/// A merchant's rows as they were found.
struct Lot {
    merchant: Found<StoredMerchant>,
    data_key: Option<Found<DataKey>>,
    credentials: Vec<Found<CredentialRow>>,
    versions: Vec<Found<StoredVersion>>,
}

/// Which secrets a pass opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// None.
    Nothing,
    /// Those that may still be used.
    InUse,
    /// All that there are, for a proof that they open.
    All,
}

impl View<'_> {
    /// Every merchant with all that is its own, by id, in one pass; a fault for each one whose rows
    /// were tampered with, and for what belongs to nobody.
    ///
    /// # Errors
    /// The database.
    pub fn everyone(
        &self,
        each: impl FnMut(Result<Holding, StoreFault>),
    ) -> Result<(), StoreFault> {
        self.pass(None, Opened::InUse, each)
    }

    /// The same without any secret, for whoever goes by states and times alone.
    ///
    /// # Errors
    /// The database.
    pub fn everyone_sealed(
        &self,
        each: impl FnMut(Result<Holding, StoreFault>),
    ) -> Result<(), StoreFault> {
        self.pass(None, Opened::Nothing, each)
    }

    /// A merchant with all that is its own.
    ///
    /// # Errors
    /// The database, and a row that was tampered with.
    pub fn holding(&self, merchant: &str) -> Result<Option<Holding>, StoreFault> {
        let mut found = None;
        self.pass(Some(merchant), Opened::InUse, |next| {
            if !matches!(found, Some(Err(_))) {
                found = Some(next);
            }
        })?;
        found.transpose()
    }

    /// Goes through all merchants, or one.
    pub(super) fn pass(
        &self,
        of: Option<&str>,
        secrets: Opened,
        mut each: impl FnMut(Result<Holding, StoreFault>),
    ) -> Result<(), StoreFault> {
        let (only, own) = match of {
            Some(_) => ("WHERE id = ?1 ", "WHERE merchant = ?1 "),
            None => ("", ""),
        };
        let values: Vec<&dyn ToSql> = of.iter().map(|of| -> &dyn ToSql { of }).collect();
        let connection = self.connection();
        let ready = |text: String| connection.prepare(&text);
        let ordered = |order: &str| [own, order].concat();
        let mut merchants =
            ready(record::select_text::<StoredMerchant>(&[only, "ORDER BY id"].concat()))?;
        let mut data_keys = ready(record::select_text::<DataKey>(&ordered("ORDER BY merchant")))?;
        let order = "ORDER BY merchant, key_id";
        let mut credentials = ready(record::select_text::<CredentialRow>(&ordered(order)))?;
        let order = "ORDER BY merchant, key_id, kind, number";
        let mut versions = ready(record::select_text::<StoredVersion>(&ordered(order)))?;
        let mut merchants = Ahead::<StoredMerchant>::new(&mut merchants, &values)?;
        let mut data_keys = Ahead::<DataKey>::new(&mut data_keys, &values)?;
        let mut credentials = Ahead::<CredentialRow>::new(&mut credentials, &values)?;
        let mut versions = Ahead::<StoredVersion>::new(&mut versions, &values)?;
        let (dead, mut lost, mut sum) = (self.dead()?, Vec::new(), [0; 32]);
        let unconfirmed = dead.doubt(&self.head).is_some();
        while let Some(merchant) = merchants.advance()? {
            let id = merchant.owner().to_owned();
            let lot = Lot {
                data_key: data_keys.of(&id, &mut lost)?,
                credentials: all_of(&mut credentials, &id, &mut lost)?,
                versions: all_of(&mut versions, &id, &mut lost)?,
                merchant,
            };
            add_member(&mut sum, &lot.merchant.stands_for(&self.store.keys.members));
            let held = self.held(lot, secrets, &dead).map(|mut holding| {
                if unconfirmed && holding.merchant.status == MerchantStatus::Active {
                    holding.merchant.status = MerchantStatus::Suspended;
                }
                holding
            });
            each(held);
        }
        data_keys.rest(&mut lost)?;
        credentials.rest(&mut lost)?;
        versions.rest(&mut lost)?;
        lost.into_iter().for_each(|fault| each(Err(fault)));
        if of.is_none() && !equal(&sum, &self.store.keys.open_sum(&self.head.merchants)?) {
            let cause = "one was changed, deleted or added from outside, or is an older copy";
            each(Err(gone("merchant", "all", cause)));
        }
        Ok(())
    }

    fn held(&self, lot: Lot, secrets: Opened, dead: &Arc<Dead>) -> Result<Holding, StoreFault> {
        let id = lot.merchant.owner().to_owned();
        let data_key = lot.data_key.ok_or_else(|| gone("data_key", &id, "the row is gone"))?;
        let mut cover = MerchantCover::of(&id);
        for found in &lot.credentials {
            cover = cover.credential(&found.claimed()?.key_id, found.mac());
        }
        for found in &lot.versions {
            let row = &found.claimed()?.row;
            cover = cover.version((&row.key_id, &row.kind.to_string(), row.number), found.mac());
        }
        let (stored, keys) =
            self.opened(lot.merchant, data_key, |keys| Ok(cover.mac(&keys.rows)))?;
        let mut merchant = stored.row;
        let mut raised = 0;
        if dead.merchant(&id).is_some() && merchant.status != MerchantStatus::Closed {
            merchant.status = MerchantStatus::Closed;
            raised += 1;
        }
        let closed = merchant.status == MerchantStatus::Closed;
        let mut versions = lot.versions.into_iter().peekable();
        let mut credentials = Vec::with_capacity(lot.credentials.len());
        for found in lot.credentials {
            let credential = found.proved(&keys.rows)?;
            let mut own = Vec::new();
            let is_own = |next: &Found<StoredVersion>| {
                next.claimed().is_ok_and(|stored| stored.row.key_id == credential.key_id)
            };
            while let Some(found) = versions.next_if(is_own) {
                let mut stored = found.proved(&keys.rows)?;
                let kept = stored.row.state;
                lay_to_rest(&mut stored.row, dead);
                raised += usize::from(stored.row.state != kept);
                let in_use = !closed && stored.row.state < VersionState::Revoked;
                let secret = match secrets {
                    Opened::Nothing => None,
                    Opened::InUse if !in_use => None,
                    Opened::InUse | Opened::All => open_secret(&stored, credential.live, &keys)?,
                };
                own.push((stored.row, secret));
            }
            credentials.push(HeldCredential { row: credential, versions: own });
        }
        match versions.next() {
            Some(found) => Err(found.tampered("it belongs to no credential")),
            None => Ok(Holding { merchant, credentials, raised }),
        }
    }
}

fn all_of<T: Table>(
    ahead: &mut Ahead<'_, T>,
    merchant: &str,
    lost: &mut Vec<StoreFault>,
) -> Result<Vec<Found<T>>, StoreFault> {
    let mut all = Vec::new();
    while let Some(found) = ahead.of(merchant, lost)? {
        all.push(found);
    }
    Ok(all)
}
