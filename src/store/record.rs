//! How a row lies in its table: its columns in order, and a MAC over the table's name and all of
//! them, so that a row that somebody else wrote shows.
//!
//! Must never be done here: reading a row without its MAC where the key is known.

use std::sync::OnceLock;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::crypto::{MacKey, equal_bytes};

use super::StoreFault;

/// What takes one column or more.
pub(super) trait Columns: Sized {
    /// Their names; `field` is the name for what takes one.
    fn names(field: &'static str, into: &mut Vec<&'static str>);
    /// Their values.
    fn put(&self, into: &mut Vec<Value>);
    /// What was put.
    fn take(from: &mut Fields<'_, '_>) -> Result<Self, NotOfItsForm>;
}

/// A row with a table of its own.
pub(super) trait Table: Columns {
    /// The table's name.
    const NAME: &'static str;
    /// So many of its first columns are its key.
    const KEY: usize;
    /// Its statements, made once.
    fn texts() -> &'static OnceLock<Texts>;
}

/// The statements of a table.
pub(super) struct Texts {
    /// `SELECT` and every column and the MAC `FROM` it; a condition follows.
    select: String,
    by_key: String,
    put: String,
    delete: String,
    columns: usize,
}

/// The value of a column is none that is ever written there.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotOfItsForm;

/// The columns of a row that are not taken yet.
pub(super) struct Fields<'row, 'statement> {
    row: &'row Row<'statement>,
    at: usize,
}

impl<'row> Fields<'row, '_> {
    /// The next value.
    pub(super) fn next(&mut self) -> Result<ValueRef<'row>, NotOfItsForm> {
        let value = self.row.get_ref(self.at).map_err(|_| NotOfItsForm)?;
        self.at += 1;
        Ok(value)
    }

    /// Whether the next value is none.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.row.get_ref(self.at), Ok(ValueRef::Null))
    }
}

/// A row as it was found: nothing is proved yet.
pub(super) struct Found<T> {
    name: String,
    row: Result<T, NotOfItsForm>,
    message: Vec<u8>,
    mac: Vec<u8>,
}

impl<T: Table> Found<T> {
    fn read(row: &Row<'_>) -> Result<Self, StoreFault> {
        let columns = T::texts().get_or_init(texts::<T>).columns;
        let mut message = Message::of(T::NAME);
        let mut name = String::new();
        for at in 0..columns {
            let value = row.get_ref(at)?;
            message.add(value);
            if at < T::KEY {
                add_name(&mut name, value);
            }
        }
        let mac = match row.get_ref(columns)? {
            ValueRef::Blob(mac) => mac.to_vec(),
            _ => Vec::new(),
        };
        let row = T::take(&mut Fields { row, at: 0 });
        Ok(Self { name, row, message: message.0, mac })
    }

    /// What it says, before anything is proved: to find the key that proves it.
    pub(super) fn claimed(&self) -> Result<&T, StoreFault> {
        self.row.as_ref().map_err(|_| self.tampered("a column is not of its form"))
    }

    /// The row, where its MAC is right.
    pub(super) fn proved(self, key: &MacKey) -> Result<T, StoreFault> {
        if !equal_bytes(&self.stands_for(key), &self.mac) {
            return Err(self.tampered("its MAC is not right: the row was changed from outside"));
        }
        let fault = self.tampered("a column is not of its form");
        self.row.map_err(|_| fault)
    }

    /// A MAC by another key, as [`message_of`] has it.
    pub(super) fn stands_for(&self, key: &MacKey) -> [u8; 32] {
        let mut mac = key.begin();
        mac.update(&self.message);
        mac.finish()
    }

    /// Its MAC, as it was found.
    pub(super) fn mac(&self) -> &[u8] {
        &self.mac
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The merchant that it names, where that is the first column of its key.
    pub(super) fn owner(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// A fault of this row.
    pub(super) fn tampered(&self, cause: &str) -> StoreFault {
        StoreFault::Tampered { table: T::NAME, row: self.name.clone(), cause: cause.to_owned() }
    }
}

/// What a MAC is made over: every value with its type and length, so that no two rows read alike.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Begins with a name that says what the values are.
    pub(super) fn of(name: &str) -> Self {
        let mut message = Self(Vec::with_capacity(384));
        message.0.extend_from_slice(b"countersign 1");
        message.add(ValueRef::Text(name.as_bytes()));
        message
    }

    /// Adds a value.
    pub(super) fn add(&mut self, value: ValueRef<'_>) {
        let (tag, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                self.0.push(1);
                self.0.extend_from_slice(&number.to_be_bytes());
                return;
            }
            ValueRef::Real(number) => {
                self.0.push(2);
                self.0.extend_from_slice(&number.to_be_bytes());
                return;
            }
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.0.push(tag);
        self.0.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// Adds text.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.add(ValueRef::Text(text.as_bytes()));
        self
    }

    /// Adds bytes.
    pub(super) fn blob(mut self, bytes: &[u8]) -> Self {
        self.add(ValueRef::Blob(bytes));
        self
    }

    /// Adds a number.
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.push(5);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Their MAC.
    pub(super) fn mac(&self, key: &MacKey) -> [u8; 32] {
        let mut mac = key.begin();
        mac.update(&self.0);
        mac.finish()
    }
}

/// Everything that a row says, for one that stands for it.
pub(super) fn message_of<T: Table>(row: &T) -> Message {
    let mut message = Message::of(T::NAME);
    values_of(row).iter().for_each(|value| message.add(value.into()));
    message
}

fn add_name(name: &mut String, value: ValueRef<'_>) {
    if !name.is_empty() {
        name.push('/');
    }
    match value {
        ValueRef::Integer(number) => name.push_str(&number.to_string()),
        ValueRef::Text(text) => name.push_str(&String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            bytes.iter().for_each(|byte| name.push_str(&format!("{byte:02x}")))
        }
        ValueRef::Null | ValueRef::Real(_) => name.push('?'),
    }
}

fn values_of<T: Table>(row: &T) -> Vec<Value> {
    let mut values = Vec::new();
    row.put(&mut values);
    values
}

fn texts<T: Table>() -> Texts {
    let mut columns = Vec::new();
    T::names("", &mut columns);
    let (key, rest) = columns.split_at(T::KEY.min(columns.len()));
    let all = columns.join(", ");
    let select = format!("SELECT {all}, mac FROM {} ", T::NAME);
    let matching: Vec<String> =
        key.iter().enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
    let matching = matching.join(" AND ");
    let places: Vec<String> = (1..=columns.len() + 1).map(|at| format!("?{at}")).collect();
    let sets = rest.iter().chain(&["mac"]).map(|name| format!("{name} = excluded.{name}"));
    let put = format!(
        "INSERT INTO {} ({all}, mac) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        T::NAME,
        places.join(", "),
        key.join(", "),
        sets.collect::<Vec<_>>().join(", ")
    );
    Texts {
        by_key: format!("{select}WHERE {matching}"),
        delete: format!("DELETE FROM {} WHERE {matching}", T::NAME),
        select,
        put,
        columns: columns.len(),
    }
}

/// Every row that a condition (with an order) finds, as it is found.
///
/// # Errors
/// The database, and what `each` says.
pub(super) fn scan<T: Table>(
    connection: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
    mut each: impl FnMut(Found<T>) -> Result<(), StoreFault>,
) -> Result<(), StoreFault> {
    let text = select_text::<T>(condition);
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        each(Found::read(row)?)?;
    }
    Ok(())
}

/// The statement that reads rows of a table by a condition.
pub(super) fn select_text<T: Table>(condition: &str) -> String {
    let texts = T::texts().get_or_init(texts::<T>);
    [&texts.select, condition].concat()
}

/// Reads the rows of a statement made of [`select_text`].
pub(super) fn read<T: Table>(row: &Row<'_>) -> Result<Found<T>, StoreFault> {
    Found::read(row)
}

/// The rows that a condition finds, all proved.
///
/// # Errors
/// The database, and a row that was tampered with.
pub(super) fn select<T: Table>(
    connection: &Connection,
    key: &MacKey,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<T>, StoreFault> {
    let mut all = Vec::new();
    scan(connection, condition, values, |found| {
        all.push(found.proved(key)?);
        Ok(())
    })?;
    Ok(all)
}

/// The row of a key, as it is found.
///
/// # Errors
/// The database.
pub(super) fn find<T: Table>(
    connection: &Connection,
    values: &[&dyn ToSql],
) -> Result<Option<Found<T>>, StoreFault> {
    let texts = T::texts().get_or_init(texts::<T>);
    let mut statement = connection.prepare_cached(&texts.by_key)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(Found::read).transpose()
}

/// The row of a key, proved.
///
/// # Errors
/// The database, and a row that was tampered with.
pub(super) fn get<T: Table>(
    connection: &Connection,
    key: &MacKey,
    values: &[&dyn ToSql],
) -> Result<Option<T>, StoreFault> {
    find(connection, values)?.map(|found: Found<T>| found.proved(key)).transpose()
}

/// Writes a row with its MAC, new or in the place of the one with its key.
///
/// # Errors
/// The database.
pub(super) fn put<T: Table>(
    connection: &Connection,
    key: &MacKey,
    row: &T,
) -> Result<(), StoreFault> {
    let texts = T::texts().get_or_init(texts::<T>);
    let mut values = values_of(row);
    let mut message = Message::of(T::NAME);
    values.iter().for_each(|value| message.add(value.into()));
    values.push(Value::Blob(message.mac(key).to_vec()));
    connection.prepare_cached(&texts.put)?.execute(params_from_iter(values))?;
    Ok(())
}

/// Removes the row of a key.
///
/// # Errors
/// The database.
pub(super) fn delete<T: Table>(
    connection: &Connection,
    values: &[&dyn ToSql],
) -> Result<(), StoreFault> {
    let texts = T::texts().get_or_init(texts::<T>);
    connection.prepare_cached(&texts.delete)?.execute(values)?;
    Ok(())
}
