//! Somebody else writes to the file. The schema is asked which columns there are, so none is
//! forgotten.

use countersign::custody::{MasterSource, Masters};
use countersign::store::row::*;
use countersign::store::{Store, StoreFault};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::*;

/// Tables whose changed rows need not be noticed by their MACs, and why.
const EXEMPT_TABLES: [(&str, &str); 1] =
    [("ledger_%", "digests of the ledger are keyed: nobody makes one that means something")];

/// Tables where an older copy, or a row taken out, need not be noticed, and why.
const UNCOVERED: [(&str, &str); 4] = [
    ("data_key", "the same key under an earlier KEK; without it the merchant is refused"),
    ("store_key", "the same key under an earlier KEK; without it nothing opens"),
    ("kill", "the tombstones have it too, and what they say counts"),
    ("usage", "a counter of requests: nothing is let in by it"),
];

fn tables(raw: &Connection) -> Vec<String> {
    let (exempt, _) = EXEMPT_TABLES[0];
    let text =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE ?1 ORDER BY 1";
    let mut statement = raw.prepare(text).unwrap();
    let names = statement.query_map([exempt], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

/// Columns of a table, and those of its key.
fn columns(raw: &Connection, table: &str) -> (Vec<String>, Vec<String>) {
    let mut statement = raw.prepare("SELECT name, pk FROM pragma_table_info(?1)").unwrap();
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?)));
    let rows: Vec<(String, u32)> = rows.unwrap().map(Result::unwrap).collect();
    let key = rows.iter().filter(|(_, pk)| *pk > 0).map(|(name, _)| name.clone()).collect();
    (rows.into_iter().map(|(name, _)| name).collect(), key)
}

/// All rows of a table.
fn rows_of(raw: &Connection, table: &str) -> Vec<Vec<Value>> {
    let count = columns(raw, table).0.len();
    let mut statement = raw.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
    let rows = statement.query_map([], |row| (0..count).map(|at| row.get(at)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

fn put(raw: &Connection, table: &str, row: &[Value]) {
    let places = vec!["?"; row.len()].join(", ");
    let text = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
    raw.execute(&text, rusqlite::params_from_iter(row)).unwrap();
}

fn delete(raw: &Connection, table: &str, row: &[Value]) {
    let (all, key) = columns(raw, table);
    let same: Vec<String> = key.iter().map(|name| format!("{name} = ?")).collect();
    let values = key.iter().map(|name| &row[all.iter().position(|one| one == name).unwrap()]);
    let text = format!("DELETE FROM {table} WHERE {}", same.join(" AND "));
    assert_eq!(raw.execute(&text, rusqlite::params_from_iter(values)).unwrap(), 1);
}

/// A value with one bit flipped, at the start or at the end.
fn flipped(value: &Value, first: bool) -> Value {
    let flip = |bytes: &mut [u8]| match (bytes.len(), first) {
        (0, _) => {}
        (_, true) => bytes[0] ^= 1,
        (length, false) => bytes[length - 1] ^= 2,
    };
    match value {
        Value::Null => Value::Null,
        Value::Integer(number) => Value::Integer(number ^ if first { 1 } else { 1 << 40 }),
        Value::Real(number) => Value::Real(-number),
        Value::Text(text) if text.is_empty() => Value::Text("x".to_owned()),
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            flip(&mut bytes);
            Value::Text(String::from_utf8(bytes).unwrap())
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            flip(&mut bytes);
            Value::Blob(bytes)
        }
    }
}

/// What a start and a look at everything say.
fn faults(house: &House) -> Vec<String> {
    match house.try_open() {
        Err(fault) => vec![format!("open: {fault}")],
        Ok(store) => match store.verify_all(&actor(), |_| {}) {
            Err(fault) => vec![format!("all: {fault}")],
            Ok(trial) => trial.faults.iter().map(ToString::to_string).collect(),
        },
    }
}

/// Merchants that a gate would serve.
fn served(store: &Store) -> Vec<String> {
    everyone(store).0.into_iter().map(|holding| holding.merchant.id).collect()
}

fn settled() -> House {
    let house = House::new();
    let store = filled(&house);
    assert!(tried(&store).faults.is_empty());
    drop(store);
    house
}

#[test]
fn a_flipped_bit_in_any_column_of_any_table_is_refused() {
    let house = settled();
    let raw = house.raw();
    let mut cases = 0;
    for table in tables(&raw) {
        let (names, key) = columns(&raw, &table);
        let rows = rows_of(&raw, &table);
        assert!(!rows.is_empty(), "{table} has no row to change");
        for (at, column) in names.iter().enumerate() {
            // The row of the first merchant, or one in which the column says something.
            let row = rows.iter().find(|row| row[at] != Value::Null).unwrap_or(&rows[0]);
            for first in [true, false] {
                let copy = house.copied();
                let other = copy.raw();
                let mut changed = row.clone();
                changed[at] = match flipped(&row[at], first) {
                    Value::Null => Value::Integer(1),
                    value => value,
                };
                if changed[at] == Value::Integer(1) && row[at] == Value::Null {
                    // A strict table takes no number for text.
                    let text =
                        format!("SELECT type FROM pragma_table_info('{table}') WHERE name = ?1");
                    let kind: String = other.query_row(&text, [column], |row| row.get(0)).unwrap();
                    changed[at] = match kind.as_str() {
                        "INTEGER" => Value::Integer(1),
                        "TEXT" => Value::Text("x".to_owned()),
                        _ => Value::Blob(vec![0; 32]),
                    };
                }
                if key.contains(column) {
                    delete(&other, &table, row);
                }
                put(&other, &table, &changed);
                drop(other);
                let found = faults(&copy);
                assert!(!found.is_empty(), "{table}.{column} ({first}): nothing was noticed");
                cases += 1;
            }
        }
    }
    assert!(cases > 250, "{cases}");
}

#[test]
fn one_merchants_changed_row_keeps_only_that_one_out() {
    let house = settled();
    for (table, change) in [
        ("merchant", "UPDATE merchant SET status = 'suspended' WHERE id = 'mer_a'"),
        ("data_key", "UPDATE data_key SET blob = zeroblob(85) WHERE merchant = 'mer_a'"),
        ("data_key", "DELETE FROM data_key WHERE merchant = 'mer_a'"),
        ("credential", "UPDATE credential SET suspended = 1 WHERE merchant = 'mer_a'"),
        ("merchant", "DELETE FROM credential WHERE merchant = 'mer_a'"),
        ("version", "UPDATE version SET state = 'revoked' WHERE merchant = 'mer_a' AND number = 2"),
        ("version", "UPDATE version SET blob = zeroblob(60) WHERE merchant = 'mer_a'"),
        ("merchant", "DELETE FROM version WHERE merchant = 'mer_a' AND number = 1"),
    ] {
        let copy = house.copied();
        copy.raw().execute_batch(change).unwrap();
        let store = copy.open();
        assert_eq!(served(&store), ["mer_b"], "{change}");
        let (_, found) = everyone(&store);
        let named = |fault: &StoreFault| match fault {
            StoreFault::Tampered { table: own, row, .. } => *own == table && row.contains("mer_a"),
            _ => false,
        };
        assert!(found.iter().any(named), "{change}: {found:?}");
        assert!(read(&store, |view| view.holding("mer_b")).is_some());
        assert!(store.read(|view| view.holding("mer_a")).is_err());
        let read = store.read(|view| {
            view.credentials(Some("mer_a"), "", 9)?;
            view.versions("pk_mer_a")
        });
        assert!(read.is_err(), "{change}");
    }
}

/// Everything that a change writes, so that every table has an older copy of some row.
fn changed_everywhere(store: &Store) {
    change(store, |change| {
        let mut policy = change.policies()?.remove(0);
        policy.automatic = false;
        change.put_policy(&policy)?;
        let mut row = change.merchant("mer_a")?.unwrap();
        row.name.push('!');
        change.set_merchant(&row)?;
        let mut row = change.credential("pk_mer_a")?.unwrap();
        row.suspended = true;
        change.set_credential(&row)?;
        for mut row in change.versions("pk_mer_a")? {
            row.shown = false;
            change.set_version(&row)?;
        }
        for epoch in [1, 2] {
            change.destroy_epoch(epoch)?;
        }
        let mut token = change.tokens()?.remove(0);
        token.revoked_at = Some(at(2));
        change.put_token(&token)?;
        change.add_usage(&usage(1, 11))?;
        change.audit("everything.changed", "all", serde_json::json!({}), None)
    })
    .unwrap();
    let path = store.path().with_file_name("master.key");
    Masters::open(&MasterSource::File(path)).unwrap().rotate().unwrap();
    store.rewrap_masters(&actor()).unwrap();
}

#[test]
fn an_older_copy_of_any_row_and_a_row_taken_out_are_noticed() {
    let house = settled();
    let before: Vec<_> = {
        let raw = house.raw();
        tables(&raw).into_iter().map(|table| (rows_of(&raw, &table), table)).collect()
    };
    let store = house.open();
    changed_everywhere(&store);
    assert!(tried(&store).faults.is_empty());
    drop(store);
    let exempt = |table: &str| UNCOVERED.iter().any(|(name, _)| *name == table);
    let (mut older, mut taken) = (0, 0);
    for (old_rows, table) in before {
        let now = rows_of(&house.raw(), &table);
        for row in old_rows.iter().filter(|row| !now.contains(row)) {
            let copy = house.copied();
            let raw = copy.raw();
            put(&raw, &table, row);
            drop(raw);
            older += usize::from(!exempt(&table));
            assert!(exempt(&table) || !faults(&copy).is_empty(), "{table}: an older {row:?}");
        }
        for row in &now {
            let copy = house.copied();
            delete(&copy.raw(), &table, row);
            taken += usize::from(!exempt(&table));
            // The change log may be trimmed; a gap makes every gate read everything anew.
            let gap = table == "change" && row != now.last().unwrap();
            let noticed = exempt(&table) || gap || !faults(&copy).is_empty();
            assert!(noticed, "{table}: {row:?} was taken out");
        }
    }
    assert!(older > 10 && taken > 20, "{older} {taken}");
}

#[test]
fn a_whole_merchant_that_is_put_back_or_taken_out_is_noticed() {
    let house = settled();
    let own = ["merchant", "data_key", "credential", "version"];
    let rows: Vec<_> = own.iter().map(|table| rows_of(&house.raw(), table)).collect();
    let store = house.open();
    let mut row = read(&store, |view| Ok(view.versions("pk_mer_a")?.remove(0)));
    row.state = VersionState::Pending;
    change(&store, |change| change.set_version(&row)).unwrap();
    drop(store);
    let raw = house.raw();
    for (table, rows) in own.iter().zip(&rows) {
        rows.iter().for_each(|row| put(&raw, table, row));
    }
    let found = faults(&house);
    assert!(found.iter().any(|fault| fault.contains("merchant all")), "{found:?}");
    for table in own {
        let column = if table == "merchant" { "id" } else { "merchant" };
        raw.execute(&format!("DELETE FROM {table} WHERE {column} = 'mer_a'"), []).unwrap();
    }
    let found = faults(&house);
    assert!(found.iter().any(|fault| fault.contains("merchant all")), "{found:?}");
}

/// Rows of one that are changed as well must not hide that another was put back.
#[test]
fn a_merchant_that_is_put_back_behind_a_changed_one_is_noticed() {
    let house = settled();
    let old = rows_of(&house.raw(), "merchant").remove(0);
    let store = house.open();
    let row = read(&store, |view| view.merchant("mer_a")).unwrap();
    let row = MerchantRow { status: MerchantStatus::Suspended, ..row };
    change(&store, |change| change.set_merchant(&row)).unwrap();
    drop(store);
    let raw = house.raw();
    put(&raw, "merchant", &old);
    raw.execute_batch("UPDATE version SET shown = 0 WHERE merchant = 'mer_b'").unwrap();
    let found = faults(&house);
    assert!(found.iter().any(|fault| fault.contains("mer_b")), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("merchant all")), "{found:?}");
}

#[test]
fn a_row_of_another_store_or_of_another_merchant_is_refused() {
    let (house, other) = (settled(), settled());
    for table in ["policy", "token", "credential", "version", "merchant", "epoch", "kek"] {
        let copy = house.copied();
        let foreign = rows_of(&other.raw(), table).remove(0);
        put(&copy.raw(), table, &foreign);
        assert!(!faults(&copy).is_empty(), "{table}");
    }
    // The secret of one merchant's version in the place of another's, with its MAC and without.
    for columns in ["blob", "blob, mac", "equality, blob, mac"] {
        let copy = house.copied();
        let raw = copy.raw();
        raw.execute_batch("DROP INDEX equal_secrets").unwrap();
        let text = format!(
            "UPDATE version SET ({columns}) = (SELECT {columns} FROM version v WHERE \
             v.merchant = 'mer_b' AND v.kind = 'signing' AND v.number = 2) WHERE \
             merchant = 'mer_a' AND kind = 'signing' AND number = 2"
        );
        assert_eq!(raw.execute(&text, []).unwrap(), 1);
        drop(raw);
        assert_eq!(served(&copy.open()), ["mer_b"], "{columns}");
    }
    let copy = house.copied();
    let swap = "UPDATE credential SET key_id = 'pk_other' WHERE key_id = 'pk_mer_a';
        UPDATE credential SET key_id = 'pk_mer_a' WHERE key_id = 'pk_mer_b';
        UPDATE credential SET key_id = 'pk_mer_b' WHERE key_id = 'pk_other';";
    copy.raw().execute_batch(swap).unwrap();
    assert!(served(&copy.open()).is_empty());
}

#[test]
fn a_broken_audit_log_names_its_first_broken_row() {
    let house = settled();
    for (change, row) in [
        ("UPDATE audit SET reason = 'nobody asked' WHERE sequence = 2", "audit 2"),
        ("UPDATE audit SET mac = zeroblob(32) WHERE sequence = 2", "audit 2"),
        ("DELETE FROM audit WHERE sequence = 1", "audit 1"),
        ("DELETE FROM audit WHERE sequence = 2", "audit 2"),
        ("DELETE FROM audit WHERE sequence = 3", "audit 3"),
        ("DELETE FROM audit", "audit 1"),
    ] {
        let copy = house.copied();
        copy.raw().execute_batch(change).unwrap();
        let store = copy.open();
        let fault = store.read(|view| view.verify_audit()).unwrap_err().to_string();
        assert!(fault.starts_with(row), "{change}: {fault}");
    }
}

#[test]
fn a_secret_is_in_no_file_in_clear() {
    let house = House::new();
    let store = filled(&house);
    let backup = house.folder.path().join("copy.db");
    store.backup(&actor(), &backup).unwrap();
    let clear = |bytes: &[u8]| files_with(house.folder.path(), bytes);
    assert!(!clear(b"pk_mer_a").is_empty(), "what is no secret is found");
    assert_eq!(clear(b"MARKER"), [""; 0]);
    let epoch = read(&store, |view| view.epoch_secret(1)).unwrap();
    assert_eq!(clear(epoch.expose()), [""; 0]);
    drop(store);
    assert_eq!(clear(b"MARKER"), [""; 0]);
}

#[test]
fn what_was_destroyed_is_in_no_file_even_wrapped() {
    let house = House::new();
    let store = filled(&house);
    let text = "SELECT blob FROM version WHERE merchant = 'mer_a' AND kind = 'signing'";
    let blobs = || -> Vec<Vec<u8>> {
        let raw = house.raw();
        let mut statement = raw.prepare(text).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let blobs = blobs();
    let key: Vec<u8> = house
        .raw()
        .query_row("SELECT blob FROM data_key WHERE merchant = 'mer_a'", [], |row| row.get(0))
        .unwrap();
    let found = |blob: &[u8]| files_with(house.folder.path(), &blob[blob.len() - 24..]);
    assert!(
        !found(&blobs[0]).is_empty() && !found(&blobs[1]).is_empty() && !found(&key).is_empty()
    );
    let mut row = read(&store, |view| Ok(view.versions("pk_mer_a")?.remove(0)));
    row.state = VersionState::Destroyed;
    change(&store, |change| change.set_version(&row)).unwrap();
    assert_eq!(found(&blobs[0]), [""; 0]);
    assert!(!found(&blobs[1]).is_empty());
    let mut row = read(&store, |view| view.merchant("mer_a")).unwrap();
    row.status = MerchantStatus::Closed;
    change(&store, |change| change.set_merchant(&row)).unwrap();
    assert_eq!(found(&blobs[1]), [""; 0]);
    assert_eq!(found(&key), [""; 0]);
    assert!(tried(&store).faults.is_empty());
}

#[test]
fn a_merchant_is_refused_before_its_cover_is_made_anew() {
    let house = settled();
    let gone = "DELETE FROM version WHERE merchant = 'mer_a' AND number = 1";
    house.raw().execute_batch(gone).unwrap();
    let store = house.open();
    let washed = change(&store, |change| {
        let row = change.credential("pk_mer_a")?.unwrap();
        change.set_credential(&row)
    });
    assert!(matches!(washed, Err(StoreFault::Tampered { .. })), "{washed:?}");
}
