//! Opening the store that a configuration names, and who does.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;

use countersign::administration::{Office, Verb};
use countersign::clock::Clock;
use countersign::config::keys::KeysConfig;
use countersign::custody::Masters;
use countersign::store::{Actor, ActorKind, Store};
use indicatif::ProgressBar;

use crate::cli::Failure;
use crate::cli::check::colour;
use crate::cli::failure::chain;

/// Reads what commands about keys need of a configuration.
pub(super) fn configuration(config: &Path) -> Result<KeysConfig, Failure> {
    KeysConfig::load(config).map_err(|faults| Failure::configuration(faults.render(colour())))
}

/// Opens what a verb works on. The store of keys must be there, but for verbs about webhooks.
pub(super) fn open(config: &Path, verb: &Verb) -> Result<Office, Failure> {
    let KeysConfig { keys, catalogue } = configuration(config)?;
    let (clock, catalogue) = (Clock::system(), Arc::new(catalogue));
    if !keys.store.exists() && verb.name.starts_with("inbox ") {
        let (master, state) = (keys.master, keys.state);
        return Ok(Office { keys: None, catalogue, master, state, copies: None, clock, progress });
    }
    if !keys.store.exists() {
        return Err(Failure::failed(format_args!(
            "{}: there is no store of keys; `countersign master create --config {}` makes one",
            keys.store.display(),
            config.display()
        )));
    }
    let masters = Masters::open(&keys.master).map_err(|fault| Failure::failed(chain(&fault)))?;
    let store = Store::open(&keys.store, masters, clock.clone());
    let store = store.map_err(|fault| Failure::failed(chain(&fault)))?;
    let (master, state, keys) = (keys.master, keys.state, Some(Arc::new(store)));
    Ok(Office { keys, catalogue, master, state, copies: None, clock, progress })
}

/// Shows how far a long verb has come, on a terminal that people look at.
fn progress(done: u64, of: u64) {
    static BAR: OnceLock<ProgressBar> = OnceLock::new();
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = BAR.get_or_init(|| match of {
        0 => ProgressBar::new_spinner(),
        of => ProgressBar::new(of),
    });
    bar.set_position(done);
    if of > 0 && done >= of {
        bar.finish_and_clear();
    }
}

/// The operating system's user.
pub(super) fn actor() -> Actor {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = users.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()));
    let name = own.and_then(|line| line.split(':').next()).filter(|name| !name.is_empty());
    let name = name.map_or(format!("uid {id}"), str::to_owned);
    Actor { kind: ActorKind::CommandLine, name, address: None, request_id: None }
}
