//! `[keys]`: where merchants' keys are kept, and where the master key is that keeps them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Document;
use super::envelope;
use super::fault::{Fault, Faults};
use super::node::{Mismatch, Node};
use super::reader::Table;
use super::scheme;
use super::secret_file::{self, Environment};
use super::value;
use crate::administration::catalogue::{Catalogue, Shelf};
use crate::custody::{MasterSource, TokenSpec};
use crate::secret::Secret;

/// The store, in the state folder.
const STORE: &str = "keys.db";
/// What was revoked and destroyed, beside the store and its backups.
const TOMBSTONES: &str = "keys.tombstones";
/// The master key, where the configuration names none.
const MASTER: &str = "master.key";
/// How long rows of the audit log are kept: the twelve months of PCI DSS 10.5.1, and some weeks to
/// look back at them.
const AUDIT_KEPT: Duration = Duration::from_secs(400 * 86_400);

/// Where keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The state folder.
    pub state: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// What was revoked and destroyed, for good.
    pub tombstones: PathBuf,
    /// Where the master key is.
    pub master: MasterSource,
    /// How long rows of the audit log are kept.
    pub audit_kept: Duration,
}

/// What commands about keys need of a configuration: less than a gate, so that keys can be made
/// before certificates and routes are there.
#[derive(Debug)]
pub struct KeysConfig {
    /// Where keys are kept.
    pub keys: Keys,
    /// Every scheme and envelope that a credential may name, and who stands in the merchants file.
    pub catalogue: Catalogue,
}

impl KeysConfig {
    /// Reads `state`, `[keys]`, `schemes` and `envelopes` of a configuration, and the names in its
    /// merchants file. What else stands there is not looked at.
    ///
    /// # Errors
    /// Every mistake in what is read.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        #[expect(clippy::disallowed_methods, reason = "config reads the secrets kept there")]
        load(path, &|name| std::env::var_os(name))
    }
}

fn load(path: &Path, environment: Environment<'_>) -> Result<KeysConfig, Faults> {
    let mut faults = Vec::new();
    let loaded = load_parts(path, environment, &mut faults);
    Faults::collect(faults)?;
    loaded.ok_or_else(|| Faults::only(Fault::of_file(path, "it cannot be used")))
}

fn load_parts(
    path: &Path,
    environment: Environment<'_>,
    faults: &mut Vec<Fault>,
) -> Option<KeysConfig> {
    let text = super::text_of(path, faults)?;
    let document = Document::parse(path, &text);
    let (keys, merchants, schemes, envelopes) = Table::read_root(&document, |table| {
        table.leave_rest();
        let state = table.required("state", value::path);
        let keys = keys(table, state.as_deref(), environment);
        let merchants = table.optional("merchants", value::path);
        let schemes = table.list("schemes", value::path);
        (keys, merchants, schemes, table.list("envelopes", value::path))
    });
    faults.extend(document.into_faults());
    let schemes = scheme::read_all(&schemes, faults);
    let envelopes = envelope::read_all(&envelopes, faults);
    let (stated_merchants, stated_key_ids) = match merchants {
        Some(path) if path.is_file() => stated(&path, faults)?,
        _ => Default::default(),
    };
    let catalogue = catalogue(&schemes, &envelopes, stated_merchants, stated_key_ids);
    Some(KeysConfig { keys: keys?, catalogue })
}

/// What credentials of the store may name.
pub(super) fn catalogue(
    schemes: &scheme::Schemes,
    envelopes: &envelope::Envelopes,
    stated_merchants: BTreeSet<String>,
    stated_key_ids: BTreeSet<String>,
) -> Catalogue {
    Catalogue {
        schemes: Shelf {
            own: schemes.own().collect(),
            builtin: scheme::builtin,
            builtin_names: scheme::builtin_names().collect(),
        },
        envelopes: Shelf {
            own: envelopes.own().collect(),
            builtin: envelope::builtin,
            builtin_names: envelope::builtin_names().collect(),
        },
        stated_merchants,
        stated_key_ids,
    }
}

/// The ids of merchants and of credentials in a merchants file.
fn stated(path: &Path, faults: &mut Vec<Fault>) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let text = super::text_of(path, faults)?;
    let document = Document::parse(path, &text);
    let (mut merchants, mut key_ids) = (BTreeSet::new(), BTreeSet::new());
    Table::read_root(&document, |table| {
        table.leave_rest();
        table.named("merchants", |name, table| {
            table.leave_rest();
            merchants.insert(name.get_ref().to_string());
            key_ids.extend(table.names("credentials").into_iter().map(str::to_owned));
            Some(())
        });
    });
    faults.extend(document.into_faults());
    Some((merchants, key_ids))
}

/// The `[keys]` table of a root table; nothing where the state folder is not known.
pub(super) fn keys(
    table: &mut Table<'_>,
    state: Option<&Path>,
    environment: Environment<'_>,
) -> Option<Keys> {
    let read = table.table("keys", |table| {
        let stated = table.node("master").is_some();
        let read = |table: &mut Table<'_>| master(table, environment);
        let master = (stated, table.table("master", read).flatten());
        (master, table.optional("audit_kept", audit_kept))
    });
    let state = state?;
    let (master, audit_kept) = read.unwrap_or_default();
    let master = match master {
        (true, master) => master?,
        (false, _) => MasterSource::File(state.join(MASTER)),
    };
    let audit_kept = audit_kept.unwrap_or(AUDIT_KEPT);
    let (store, tombstones) = (state.join(STORE), state.join(TOMBSTONES));
    Some(Keys { state: state.to_owned(), store, tombstones, master, audit_kept })
}

fn audit_kept(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration from \"366d\" to \"3660d\": a year at least";
    value::duration_within(node, expected, value::DAY * 366..=value::DAY * 3660)
}

/// `{ file = "…" }`, `{ env = "…" }` or `{ token = { … } }`.
fn master(table: &mut Table<'_>, environment: Environment<'_>) -> Option<MasterSource> {
    let file = table.optional("file", value::path);
    let variable = table.optional("env", |node| secret_file::variable(node, environment));
    let token = table.table("token", token);
    let named = ["file", "env", "token"].into_iter().filter(|key| table.node(key).is_some());
    match named.collect::<Vec<_>>().as_slice() {
        ["file"] => file.map(MasterSource::File),
        ["env"] => variable.map(|mut bytes| {
            let secret = Secret::of_any_length(std::mem::take(&mut *bytes));
            MasterSource::Environment(secret)
        }),
        ["token"] => token.flatten().map(MasterSource::Token),
        _ => {
            let hint = "master = { file = \"master.key\" }, { env = \"…\" } or { token = { … } }";
            let problem = "the master key is in one place: file, env or token";
            table.refuse("", problem, Some(hint.to_owned()));
            None
        }
    }
}

fn token(table: &mut Table<'_>) -> Option<TokenSpec> {
    let module = table.required("module", value::path);
    let token = table.required("token", label);
    let keys = table.list("keys", label);
    if keys.is_empty() {
        let hint = "keys = [\"countersign-1\"]: the current one first, then earlier ones";
        table.refuse("keys", "the labels of keys in the token are needed", Some(hint.to_owned()));
    }
    let pin_file = table.required("pin_file", value::path);
    let complete = !keys.is_empty();
    complete.then_some(TokenSpec { module: module?, token: token?, keys, pin_file: pin_file? })
}

/// A label in a token: 1 to 64 bytes of text.
fn label(node: &Node<'_>) -> Result<String, Mismatch> {
    let expected = "a label of 1 to 64 bytes";
    let text = node.str(expected)?;
    let good = (1..=64).contains(&text.len()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| Mismatch::text(expected, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KeysConfig, Faults> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("countersign.toml");
        std::fs::write(&path, text).unwrap();
        let merchants = "[merchants.acme]\nrate = 7\n[merchants.acme.credentials.pk_a]\nx = 1\n";
        std::fs::write(place.path().join("merchants.toml"), merchants).unwrap();
        load(&path, &|name| (name == "MASTER").then(|| "mk_1 00".into()))
    }

    #[test]
    fn what_commands_about_keys_need_is_read_and_the_rest_is_left() {
        let config = read("state = \"s\"\nmerchants = \"merchants.toml\"\nlistener = 3\n").unwrap();
        assert!(config.keys.store.ends_with("s/keys.db"));
        assert!(config.keys.tombstones.ends_with("s/keys.tombstones"));
        let MasterSource::File(path) = &config.keys.master else { panic!("a file by default") };
        assert!(path.ends_with("s/master.key"));
        assert!(config.catalogue.stated_key_ids.contains("pk_a"));
        assert!(config.catalogue.stated_merchants.contains("acme"));
        assert!(config.catalogue.schemes.find("kwikpaisa").is_some());
        assert!(config.catalogue.envelopes.find("paykun").is_some());
    }

    #[test]
    fn the_audit_log_is_kept_for_a_year_at_least() {
        let with = |text: &str| read(&format!("state = \"s\"\n[keys]\n{text}\n"));
        let days = |text: &str| with(text).unwrap().keys.audit_kept.as_secs() / 86_400;
        assert_eq!((days(""), days("audit_kept = \"2000d\"")), (400, 2000));
        for bad in ["\"365d\"", "\"0d\"", "\"4000d\"", "400", "\"400\"", "\"for ever\""] {
            assert!(with(&format!("audit_kept = {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_master_key_is_in_one_place() {
        let with = |master: &str| read(&format!("state = \"s\"\n[keys]\nmaster = {master}\n"));
        assert!(matches!(
            with("{ env = \"MASTER\" }").unwrap().keys.master,
            MasterSource::Environment(_)
        ));
        let token = "{ token = { module = \"m.so\", token = \"t\", keys = [\"a\"], \
                     pin_file = \"p\" } }";
        assert!(matches!(with(token).unwrap().keys.master, MasterSource::Token(_)));
        for bad in [
            "{ }",
            "{ env = \"OTHER\" }",
            "{ file = \"a\", env = \"MASTER\" }",
            "{ token = { module = \"m.so\", token = \"t\", keys = [], pin_file = \"p\" } }",
            "{ vault = \"v\" }",
            "\"mk_1 00\"",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
        assert!(read("[keys]\n").is_err(), "without a state folder");
    }
}
