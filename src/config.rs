//! The configuration: typed, complete, and made by [`Config::load`] alone.
//!
//! A bad value cannot be held: there is no validation afterwards. Every mistake in all files is
//! found at once. Secrets go from their files straight into [`crate::secret::Secret`]; no fault
//! and no note shows one. Only here and in `main` is the environment read.

mod capacity;
mod destination;
mod document;
pub mod envelope;
mod fault;
mod inbox;
pub mod keys;
mod listener;
mod log;
mod merchant;
mod node;
mod otlp;
mod place;
pub mod provider;
mod reach;
mod reader;
mod review;
mod route;
pub mod scheme;
mod secret_file;
mod secret_place;
mod source;
mod upstream;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::administration::catalogue::Catalogue;
use crate::clock::{Clock, Timestamp};
use crate::store::ledger::LedgerLimits;
use crate::telemetry::{LogFormat, Sampling};
use capacity::Capacity;
use document::Document;
use envelope::Envelopes;
pub use fault::{Colour, Excerpt, Fault, Faults, Note, Weight};
use keys::Keys;
pub use listener::{Listener, Operations};
use merchant::{PlacedMerchant, Register};
use reach::Callers;
use reader::Table;
use scheme::Schemes;
use secret_file::{Environment, SecretSources};
use source::PlacedSource;

use crate::gateway::route::RouteSpec;
use crate::gateway::upstream::UpstreamSpec;
use crate::inbox::source::Source;
use crate::journal::JournalLimits;
use crate::keyring::{KeyId, MerchantSpec};
use crate::limit::{BODY_BYTES_MAX, MIB, REPLAY_MEMORY_BYTES, UNVERIFIED_BYTES_MAX};
use crate::otlp::Export;

/// Everything that the gate is told.
#[derive(Debug)]
pub struct Config {
    /// The folder of what must survive a restart.
    pub state: PathBuf,
    /// Where merchants' keys are kept.
    pub keys: Keys,
    /// What credentials that are kept there may name. Which names are taken here, the keyring
    /// knows.
    pub catalogue: Arc<Catalogue>,
    /// Threads that serve requests.
    pub workers: NonZeroUsize,
    /// Where requests come in.
    pub listener: Listener,
    /// Where metrics, health and readiness are asked for.
    pub operations: Operations,
    /// The memory of accepted requests.
    pub replay: Replay,
    /// How much the ledger of orders and remembered requests may hold.
    pub ledger: LedgerLimits,
    /// What is logged and how.
    pub log: Log,
    /// Where the spans of requests are exported to, if anywhere.
    pub otlp: Option<Export>,
    /// The services behind the gate.
    pub upstreams: Vec<UpstreamSpec>,
    /// Which requests are taken.
    pub routes: Vec<RouteSpec>,
    /// Who may sign.
    pub merchants: Vec<MerchantSpec>,
    /// From whom webhooks come.
    pub sources: Vec<Source>,
    /// How much of webhooks is kept, and for how long.
    pub inbox: JournalLimits,
    /// Every file that this configuration depends on: both files, schemes, secrets, certificates,
    /// keys and CAs.
    pub watched: Vec<PathBuf>,
}

/// The memory of accepted requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// How large it is, in bytes.
    pub memory_bytes: NonZeroUsize,
}

impl Default for Replay {
    fn default() -> Self {
        Self { memory_bytes: REPLAY_MEMORY_BYTES }
    }
}

/// What is logged and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// Whether requests have lines.
    pub access: bool,
    /// How many of good requests have one; none: all.
    pub sampling: Option<Sampling>,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, access: true, sampling: None }
    }
}

impl Config {
    /// Reads the file at `path`, the merchants file that it names, and the secrets and CAs that
    /// both name. Certificates and keys are only named. The notes are for `countersign check`,
    /// warnings first.
    ///
    /// # Errors
    /// Every mistake found, in the order of files and lines.
    pub fn load(path: &Path) -> Result<(Self, Vec<Note>), Faults> {
        #[expect(clippy::disallowed_methods, reason = "config reads the secrets kept there")]
        load(path, &|name| std::env::var_os(name))
    }
}

impl Config {
    /// Secrets of sources that end soon, or that verify nothing now: for `countersign check`.
    pub fn ending_secrets(&self, now: Timestamp) -> Vec<Note> {
        source::ending(&self.sources, now)
    }
}

fn load(path: &Path, environment: Environment<'_>) -> Result<(Config, Vec<Note>), Faults> {
    let mut faults = Vec::new();
    let loaded = load_all(path, environment, &mut faults);
    Faults::collect(faults)?;
    // Nothing comes back only where a fault said why; this one would be a mistake of ours.
    loaded.ok_or_else(|| Faults::only(Fault::of_file(path, "it cannot be used")))
}

fn load_all(
    path: &Path,
    environment: Environment<'_>,
    faults: &mut Vec<Fault>,
) -> Option<(Config, Vec<Note>)> {
    let text = text_of(path, faults)?;
    let secrets = SecretSources::new(environment)
        .map_err(|fault| faults.push(Fault::of_file(path, fault.to_string())))
        .ok()?;
    let document = Document::parse(path, &text);
    let mut reading =
        Reading { environment, secrets, callers: Callers::default(), watched: Vec::new(), faults };
    reading.watched.push(path.to_owned());
    let draft = Table::read_root(&document, |table| draft(table, &mut reading));
    let Reading { secrets, callers, mut watched, faults, .. } = reading;
    watched.extend(callers.watched);
    let merchants = merchants(&draft, secrets, &document, &mut watched, faults);
    let known = merchants.as_deref().unwrap_or_default();
    let absent = source::check_credentials(&draft.sources, known, &document);
    faults.extend(document.into_faults());
    draft.finish(merchants?, absent, watched)
}

/// What reading the main file needs, and where it leaves what it finds.
struct Reading<'r> {
    environment: Environment<'r>,
    secrets: SecretSources<'r>,
    callers: Callers,
    watched: Vec<PathBuf>,
    faults: &'r mut Vec<Fault>,
}

/// Who stands in the merchants file: nobody where there is none, and all merchants are in the
/// store. Nothing where it cannot be read.
fn merchants(
    draft: &Draft,
    secrets: SecretSources<'_>,
    main: &Document<'_>,
    watched: &mut Vec<PathBuf>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<PlacedMerchant>> {
    let Some(path) = &draft.merchants else {
        watched.extend(secrets.watched);
        return Some(Vec::new());
    };
    if main.is_broken() && !path.is_file() {
        return None;
    }
    watched.push(path.clone());
    let text = text_of(path, faults)?;
    let document = Document::parse(path, &text);
    let mut register = Register::new(secrets, &draft.schemes, &draft.envelopes, &draft.routes);
    let merchants = Table::read_root(&document, |table| merchant::merchants(table, &mut register));
    if !main.is_broken() {
        draft.capacity().check(&merchants, &document);
    }
    faults.extend(document.into_faults());
    watched.append(&mut register.secrets.watched);
    Some(merchants)
}

/// The text of a file, or a fault. It is wiped in the end: it may hold a literal secret by mistake.
fn text_of(path: &Path, faults: &mut Vec<Fault>) -> Option<Zeroizing<String>> {
    let bytes = match secret_file::read(path) {
        Ok((bytes, _)) => bytes,
        Err(error) => {
            faults.push(Fault::of_file(path, format!("cannot be read: {error}")));
            return None;
        }
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Some(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let fault = Fault::of_file(path, "not UTF-8 text");
            faults.push(Fault { line: Some(line), ..fault });
            None
        }
    }
}

/// The main file, where parts at fault are missing.
struct Draft {
    state: Option<PathBuf>,
    keys: Option<Keys>,
    workers: NonZeroUsize,
    listener: Option<Listener>,
    operations: Operations,
    replay: Replay,
    ledger: LedgerLimits,
    log: Log,
    otlp: Option<Export>,
    merchants: Option<PathBuf>,
    upstreams: Vec<UpstreamSpec>,
    schemes: Schemes,
    envelopes: Envelopes,
    routes: Vec<RouteSpec>,
    inbox: JournalLimits,
    sources: Vec<PlacedSource>,
    /// Notes about destinations.
    delivering: Vec<Note>,
}

fn draft(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let Reading { environment, secrets, callers, watched, faults } = reading;
    let state = table.required("state", value::path);
    let keys = keys::keys(table, state.as_deref(), *environment);
    let workers = table.optional("workers", value::count(1024));
    let read = |table: &mut Table<'_>| listener::listener(table, secrets, callers);
    let listener = table.required_table("listener", read).flatten();
    let (listener, body_bytes_max) = listener.unzip();
    let operations = table.table("operations", listener::operations).unwrap_or_default();
    let replay = table.table("replay", replay).unwrap_or_default();
    let ledger = table.table("ledger", ledger).unwrap_or_default();
    let log = table.table("log", log::log).unwrap_or_default();
    let otlp = table.table("otlp", |table| otlp::otlp(table, secrets, watched)).flatten();
    let merchants = table.optional("merchants", value::path);
    let upstreams = upstream::upstreams(table, watched);
    let files = table.list("schemes", value::path);
    let schemes = scheme::read_all(&files, faults);
    watched.extend(files);
    let files = table.list("envelopes", value::path);
    let envelopes = envelope::read_all(&files, faults);
    watched.extend(files);
    let body_bytes_max = body_bytes_max.unwrap_or(BODY_BYTES_MAX);
    let unverified_bytes_max =
        listener.as_ref().map_or(UNVERIFIED_BYTES_MAX, |listener| listener.unverified_bytes_max);
    let surroundings = route::Surroundings {
        upstreams: table.names("upstreams"),
        schemes: &schemes,
        envelopes: &envelopes,
        body_bytes_max,
        unverified_bytes_max,
        trace: otlp.is_some() || listener.as_ref().is_some_and(|listener| listener.trace),
        now: Clock::system().now(),
    };
    let routes = route::routes(table, &surroundings);
    let inbox = table.table("inbox", inbox::limits).unwrap_or(inbox::DEFAULT);
    let destinations = destination::destinations(table, secrets, callers);
    let mut surroundings = source::Surroundings {
        schemes: &schemes,
        destinations: &destinations,
        routes: &routes,
        body_bytes_max,
        unverified_bytes_max,
        secrets,
        callers,
    };
    let sources = source::sources(table, &mut surroundings);
    let delivering = destination::notes(&destinations, &sources);
    if let Some(listener) = &listener {
        compare(table, listener, &operations);
    }
    Draft {
        state,
        keys,
        workers: workers.unwrap_or_else(cores),
        listener,
        operations,
        replay,
        ledger,
        log,
        otlp,
        merchants,
        upstreams,
        schemes,
        envelopes,
        routes: routes.into_iter().map(|(route, _)| route).collect(),
        inbox,
        sources,
        delivering,
    }
}

/// What the operations listener must have of its own.
fn compare(table: &Table<'_>, listener: &Listener, operations: &Operations) {
    let only_ordered = listener.certificates.is_empty() && listener.acme.is_some();
    if only_ordered && operations.certificates.is_empty() {
        let problem = "it needs a certificate of its own where the listener has none from files: \
                       it says why the gate is not ready";
        let hint = "certificates = [{ chain = \"…\", key = \"…\" }] in [operations]";
        table.refuse("operations", problem, Some(hint.to_owned()));
    }
    if listener.address == operations.address && listener.address.port() != 0 {
        table.refuse("operations", "it has the address of the listener", None);
    }
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn replay(table: &mut Table<'_>) -> Replay {
    let memory = table.optional("memory", value::size(MIB..=1024 * 1024 * MIB));
    memory.map_or_else(Replay::default, |memory_bytes| Replay { memory_bytes })
}

fn ledger(table: &mut Table<'_>) -> LedgerLimits {
    let default = LedgerLimits::default();
    let orders = table.optional("orders", |node| value::number(node, 1..=10_000_000_000));
    let messages = table.optional("remembered", |node| value::number(node, 1..=1_000_000_000));
    LedgerLimits {
        orders: orders.unwrap_or(default.orders),
        messages: messages.unwrap_or(default.messages),
    }
}

impl Draft {
    fn capacity(&self) -> Capacity {
        Capacity::new(self.replay.memory_bytes, &self.routes)
    }

    /// The whole, where nothing is missing.
    fn finish(
        self,
        merchants: Vec<PlacedMerchant>,
        absent: Vec<(Arc<str>, KeyId)>,
        mut watched: Vec<PathBuf>,
    ) -> Option<(Config, Vec<Note>)> {
        let capacity = self.capacity();
        let listener = self.listener?;
        let mut operations = self.operations;
        if operations.certificates.is_empty() {
            operations.certificates.clone_from(&listener.certificates);
        }
        let certificates = listener.certificates.iter().chain(&operations.certificates);
        watched.extend(certificates.flat_map(|files| [files.chain.clone(), files.key.clone()]));
        if let Some(clients) = &listener.client_certificates {
            watched.push(clients.authorities.clone());
            watched.extend_from_slice(&clients.revoked);
        }
        watched.sort();
        watched.dedup();
        let merchants: Vec<MerchantSpec> =
            merchants.into_iter().map(|placed| placed.spec).collect();
        // The keyring knows the names that are taken, and need not hold them twice.
        let none = BTreeSet::new;
        let catalogue = keys::catalogue(&self.schemes, &self.envelopes, none(), none());
        let unverified = listener.unverified_bytes_max;
        let mut notes =
            route::notes(&self.routes, &self.upstreams, unverified, Clock::system().now());
        let of_sources: Vec<&KeyId> =
            self.sources.iter().filter_map(PlacedSource::credential).collect();
        notes.extend(review::notes(&self.routes, &merchants, &of_sources));
        notes.extend(review::unknown_bindings(listener.bindings.as_ref(), &merchants));
        notes.extend(review::front::notes(&listener.origins));
        notes.extend(upstream::notes(&self.upstreams));
        notes.extend(capacity.notes());
        notes.extend(route::orders::capacity(&self.routes, &merchants, self.ledger));
        notes.extend(source::notes(&self.sources, &absent));
        notes.extend(self.otlp.iter().flat_map(otlp::notes));
        notes.extend(self.delivering);
        notes.sort_by_key(|note| note.weight);
        let config = Config {
            state: self.state?,
            keys: self.keys?,
            catalogue: Arc::new(catalogue),
            workers: self.workers,
            listener,
            operations,
            replay: self.replay,
            ledger: self.ledger,
            log: self.log,
            otlp: self.otlp,
            upstreams: self.upstreams,
            routes: self.routes,
            merchants,
            sources: self.sources.into_iter().map(|placed| placed.source).collect(),
            inbox: self.inbox,
            watched,
        };
        Some((config, notes))
    }
}
