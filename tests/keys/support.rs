//! A folder with a configuration and a store, and the program on it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use countersign::administration::{Office, Verb, verbs};
use countersign::clock::Clock;
use countersign::config::keys::KeysConfig;
use countersign::custody::Masters;
use countersign::store::{Actor, ActorKind, Store};
use serde_json::Value;
use tempfile::TempDir;

const GATE: &str = "state = \"state\"\nmerchants = \"merchants.toml\"\n";
/// A merchant of the file, beside those of the store.
const MERCHANTS: &str = "[merchants.stated]\nrate = { per_second = 1, burst = 1 }\n\
    [merchants.stated.credentials.pk_stated]\nenvironment = \"test\"\n";

/// A place where keys are kept.
pub(crate) struct Place {
    folder: TempDir,
    /// The verbs that were said here.
    said: RefCell<BTreeSet<&'static str>>,
    files: RefCell<u32>,
}

impl Place {
    /// A new place with a store in which nothing is.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gate.toml"), GATE).unwrap();
        std::fs::write(folder.path().join("merchants.toml"), MERCHANTS).unwrap();
        let place = Self { folder, said: RefCell::default(), files: RefCell::default() };
        let state = place.path("state");
        good(&place.program(&["init", "--state", state.to_str().unwrap()]));
        good(&place.run(&["master", "create"]));
        place
    }

    /// A place with the merchant `acme`, and a credential of it: its key id and its secret.
    pub(crate) fn with_credential() -> (Self, String, String) {
        let place = Self::new();
        place.say(&["merchant", "create", "--merchant", "acme", "--name", "Acme", "--rate", "9/9"]);
        let (made, secret) = place.secret(&CREATE);
        let key_id = made["key_id"].as_str().unwrap().to_owned();
        (place, key_id, secret)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new file with these bytes, of mode 0600.
    pub(crate) fn file(&self, bytes: &[u8]) -> String {
        let path = self.new_name();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn new_name(&self) -> String {
        *self.files.borrow_mut() += 1;
        let name = format!("file-{}", self.files.borrow());
        self.path(&name).to_str().unwrap().to_owned()
    }

    fn program(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// The store of this place, in this process.
    pub(crate) fn office(&self) -> Office {
        let KeysConfig { keys, catalogue } = KeysConfig::load(&self.path("gate.toml")).unwrap();
        let masters = Masters::open(&keys.master).unwrap();
        let store = Store::open(&keys.store, masters, Clock::system()).unwrap();
        let (store, catalogue) = (Arc::new(store), Arc::new(catalogue));
        let (master, state, clock) = (keys.master, keys.state, Clock::system());
        Office {
            keys: Some(store),
            catalogue,
            master,
            state,
            copies: None,
            clock,
            progress: |_, _| {},
        }
    }

    /// A run of the program with the configuration of this place.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.program(&[arguments, &["--config", "gate.toml"]].concat())
    }

    /// A run that goes on beside others.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&[arguments, &["--config", "gate.toml"]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What a verb gives as JSON; it must succeed.
    pub(crate) fn say(&self, arguments: &[&str]) -> Value {
        let output = self.run_verb(arguments, &[]);
        serde_json::from_str(good(&output)).unwrap()
    }

    /// What a verb gives, and the secret that it hands over.
    pub(crate) fn secret(&self, arguments: &[&str]) -> (Value, String) {
        let path = self.new_name();
        let output = self.run_verb(arguments, &["--secret-out", &path]);
        let value = serde_json::from_str(good(&output)).unwrap();
        let mut secret = std::fs::read_to_string(&path).unwrap();
        assert_eq!(secret.pop(), Some('\n'));
        assert!(!text(&output.stdout).contains(&secret), "a secret in a file is not printed");
        (value, secret)
    }

    /// The problem that a verb ends with: its code, and all of it.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> (String, Value) {
        let path = self.new_name();
        let shows = verb(arguments).discloses && !arguments.contains(&"--secret-out");
        let more = ["--secret-out", path.as_str()];
        let output = self.run_verb(arguments, if shows { &more } else { &[] });
        assert!(!Path::new(&path).exists(), "a file for a secret that was not made");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
        let problem: Value = serde_json::from_str(text(&output.stdout)).unwrap();
        (problem["code"].as_str().unwrap().to_owned(), problem)
    }

    fn run_verb(&self, arguments: &[&str], more: &[&str]) -> Output {
        let verb = verb(arguments);
        let mut all = [arguments, more, &["--json"]].concat();
        if verb.drastic {
            all.push("--yes");
        }
        let output = self.run(&all);
        if output.status.success() {
            self.said.borrow_mut().insert(verb.name);
        }
        output
    }

    /// The verbs that nobody said here.
    pub(crate) fn unsaid(&self) -> Vec<&'static str> {
        let said = self.said.borrow();
        verbs().map(|verb| verb.name).filter(|name| !said.contains(name)).collect()
    }

    /// The states of a credential's versions of a kind, by number.
    pub(crate) fn states(&self, key_id: &str, kind: &str) -> Vec<String> {
        let listed = self.say(&["secret", "list", key_id]);
        let own = listed["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
        own.map(|item| item["state"].as_str().unwrap().to_owned()).collect()
    }
}

/// The verb that arguments begin with.
fn verb(arguments: &[&str]) -> &'static Verb {
    let two = arguments.get(..2).unwrap_or_default().join(" ");
    let one = arguments.first().copied().unwrap_or_default();
    let verb = verbs().find(|verb| verb.name == two || verb.name == one);
    verb.unwrap_or_else(|| panic!("{two} is no verb"))
}

/// What makes the credential of [`Place::with_credential`].
pub(crate) const CREATE: [&str; 12] = [
    "credential",
    "create",
    "--merchant",
    "acme",
    "--name",
    "Orders",
    "--environment",
    "test",
    "--scheme",
    "kwikpaisa",
    "--scope",
    "POST /v1/orders",
];

/// Who acts in this process.
pub(crate) fn actor() -> Actor {
    let name = "test".to_owned();
    Actor { kind: ActorKind::System, name, address: None, request_id: None }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a run that must succeed.
pub(crate) fn good(output: &Output) -> &str {
    let told = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told:?}");
    told.0
}

/// Every byte of every file of a folder.
pub(crate) fn everything_in(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}
