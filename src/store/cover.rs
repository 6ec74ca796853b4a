//! What shows that a row is gone, is an older copy, or came from elsewhere: a MAC over the names
//! and MACs of all rows that belong together.

use rusqlite::Connection;

use crate::crypto::{MacKey, equal};

use super::StoreFault;
use super::record::{self, Message, Table};

/// The cover of a merchant's rows in the making: credentials by key id, then versions by key id,
/// kind and number.
pub(super) struct MerchantCover(Message);

impl MerchantCover {
    pub(super) fn of(merchant: &str) -> Self {
        Self(Message::of("cover").text(merchant))
    }

    pub(super) fn credential(self, key_id: &str, mac: &[u8]) -> Self {
        Self(self.0.text("credential").text(key_id).blob(mac))
    }

    pub(super) fn version(self, (key_id, kind, number): (&str, &str, u32), mac: &[u8]) -> Self {
        Self(self.0.text("version").text(key_id).text(kind).number(number.into()).blob(mac))
    }

    pub(super) fn mac(&self, key: &MacKey) -> [u8; 32] {
        self.0.mac(key)
    }
}

/// The cover of what is in the database now.
///
/// # Errors
/// The database.
pub(super) fn of_merchant(
    connection: &Connection,
    key: &MacKey,
    merchant: &str,
) -> Result<[u8; 32], StoreFault> {
    let mut cover = MerchantCover::of(merchant);
    let mut statement = connection
        .prepare_cached("SELECT key_id, mac FROM credential WHERE merchant = ?1 ORDER BY key_id")?;
    let mut rows = statement.query([merchant])?;
    while let Some(row) = rows.next()? {
        cover = cover.credential(&row.get::<_, String>(0)?, &row.get::<_, Vec<u8>>(1)?);
    }
    let mut statement = connection.prepare_cached(
        "SELECT key_id, kind, number, mac FROM version WHERE merchant = ?1 \
         ORDER BY key_id, kind, number",
    )?;
    let mut rows = statement.query([merchant])?;
    while let Some(row) = rows.next()? {
        let (key_id, kind): (String, String) = (row.get(0)?, row.get(1)?);
        cover = cover.version((&key_id, &kind, row.get(2)?), &row.get::<_, Vec<u8>>(3)?);
    }
    Ok(cover.mac(key))
}

fn begin<T: Table>() -> Message {
    Message::of("cover").text(T::NAME)
}

/// The cover of a whole table as it is in the database now.
///
/// # Errors
/// The database.
pub(super) fn of_table<T: Table>(
    connection: &Connection,
    key: &MacKey,
) -> Result<[u8; 32], StoreFault> {
    let mut message = Some(begin::<T>());
    record::scan::<T>(connection, "ORDER BY 1", &[], |found| {
        message = message.take().map(|message| message.text(found.name()).blob(found.mac()));
        Ok(())
    })?;
    Ok(message.unwrap_or_else(begin::<T>).mac(key))
}

/// All rows of a table, proved one by one and together.
///
/// # Errors
/// The database, and a row that was tampered with.
pub(super) fn whole_table<T: Table>(
    connection: &Connection,
    key: &MacKey,
    cover: &[u8; 32],
) -> Result<Vec<T>, StoreFault> {
    let rows = record::select::<T>(connection, key, "ORDER BY 1", &[])?;
    if !equal(&of_table::<T>(connection, key)?, cover) {
        return Err(StoreFault::Tampered {
            table: T::NAME,
            row: "all".to_owned(),
            cause: "a row was deleted or added from outside, or is an older copy".to_owned(),
        });
    }
    Ok(rows)
}
