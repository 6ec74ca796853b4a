//! What merchants and bodies cost: bytes that the allocator gave out to a real gate.
//!
//! `cargo test --test memory -- --nocapture` shows the numbers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "the kit is that of the path tests; this file uses a part of it")]
#[path = "path/support/mod.rs"]
mod support;

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use countersign::app::{self, Options, Past};
use countersign::clock::{Clock, Timestamp};
use countersign::config::Config;
use countersign::custody::Masters;
use countersign::limit::{MIB, Rate};
use countersign::replay::StateFolder;
use countersign::secret::Secret;
use countersign::store::row::{
    CredentialRow, Kind, MerchantRow, MerchantStatus, SecretOrigin, VersionRow, VersionState,
};
use countersign::store::{Actor, ActorKind, Change, Store, StoreFault};
use countersign::telemetry::LogSink;
use tempfile::TempDir;
use tikv_jemalloc_ctl::{epoch, stats};

use support::gateway::Gateway;
use support::request::Request;
use support::setup::{Setup, credential, merchant, v1};
use support::signer::Signer;
use support::wait_until;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a merchant with one credential may take, in bytes, all tables that know it included.
const MERCHANT_BYTES_MAX: usize = 1024;

/// One measurement at a time: both count what the whole process is given.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A gate that configuration tells of so many merchants, with names as long as usual.
fn start(merchants: usize) -> (app::Gate, TempDir) {
    let mut setup = Setup::new().with("replay.memory", "\"1GiB\"").with("workers", "1");
    for n in 0..merchants {
        let (id, secret) = (format!("merchant-{n:06}"), format!("a-secret-of-merchant-{n:06}"));
        let signer = Signer::kwikpaisa(&format!("pk_live_{n:016}"), &secret);
        let table = credential(&id, &signer, "live", "scopes = [\"POST /v1/*\"]");
        let rate = "rate = { per_second = 1, burst = 1 }";
        setup = setup.merchant(merchant(&id, rate, &[table]), &[]);
        setup.secrets.push((signer.key_id, secret));
    }
    let folder = tempfile::tempdir().expect("folder");
    Setup::write_certificates(folder.path());
    let file = setup.write(folder.path(), "http://127.0.0.1:1");
    let (config, _) = Config::load(&file).unwrap_or_else(|faults| panic!("{faults}"));
    let options = Options { source: Some(file), log: LogSink::Discard, past: Past::None };
    let gate = app::Gate::start(config, Clock::system(), options);
    (gate.unwrap_or_else(|fault| panic!("{fault}")), folder)
}

/// Bytes given out now, by size classes.
fn allocated() -> usize {
    epoch::advance().expect("statistics");
    stats::allocated::read().expect("statistics")
}

/// The same while a gate runs. A thread of its own starts it, for what a thread keeps for its next
/// allocations counts as given out until it ends.
fn least_allocated(start: impl FnOnce() -> (app::Gate, TempDir) + Send) -> usize {
    let started = thread::scope(|scope| scope.spawn(start).join().expect("started"));
    let (gate, _folder) = started;
    // The least of some looks: what the gate's chores take for a moment is no merchant's.
    let looks = (0..LOOKS).map(|_| {
        thread::sleep(Duration::from_millis(100));
        allocated()
    });
    let bytes = looks.min().expect("some");
    gate.stop();
    bytes
}

/// For longer than the gate's chores take turns.
const LOOKS: usize = 30;

#[test]
fn a_merchant_with_one_credential_takes_at_most_1_kib() {
    let _alone = alone();
    least_allocated(|| start(100)); // what is made once is made
    let few = least_allocated(|| start(10_000));
    let each = (least_allocated(|| start(20_000)) - few) / 10_000;
    println!("{each} bytes a merchant with one credential");
    assert!(each <= MERCHANT_BYTES_MAX, "{each} bytes");
}

/// A gate whose store holds so many merchants, each with one credential.
fn start_stored(merchants: usize) -> (app::Gate, TempDir) {
    let setup = Setup::new().with("replay.memory", "\"1GiB\"").with("workers", "1");
    let folder = tempfile::tempdir().expect("folder");
    Setup::write_certificates(folder.path());
    let file = setup.write(folder.path(), "http://127.0.0.1:1");
    StateFolder::init(&folder.path().join("state")).unwrap_or_else(|fault| panic!("{fault}"));
    let (config, _) = Config::load(&file).unwrap_or_else(|faults| panic!("{faults}"));
    let masters = Masters::create(&config.keys.master).expect("a master key");
    let store = Store::open(&config.keys.store, masters, Clock::system()).expect("a store");
    let fill = |change: &mut Change<'_>| (0..merchants).try_for_each(|n| put(change, n));
    store.change::<_, StoreFault>(&actor(), fill).expect("merchants");
    drop(store);
    let options = Options { source: Some(file), log: LogSink::Discard, past: Past::FromState };
    let gate = app::Gate::start(config, Clock::system(), options);
    (gate.unwrap_or_else(|fault| panic!("{fault}")), folder)
}

fn actor() -> Actor {
    Actor { kind: ActorKind::System, name: "test".into(), address: None, request_id: None }
}

/// A merchant like those of the file above.
fn put(change: &mut Change<'_>, n: usize) -> Result<(), StoreFault> {
    let (id, key_id) = (format!("merchant-{n:06}"), format!("pk_live_{n:016}"));
    let one = NonZeroU32::MIN;
    change.add_merchant(&MerchantRow {
        id: id.clone(),
        name: id.clone(),
        status: MerchantStatus::Active,
        rate: Rate { per_second: one, burst: one },
        addresses: Vec::new(),
        contacts: Vec::new(),
        created_at: Timestamp::from_secs(1),
        revision: 0,
    })?;
    change.add_credential(&CredentialRow {
        key_id: key_id.clone(),
        merchant: id.clone(),
        live: true,
        name: id,
        scheme: "kwikpaisa".to_owned(),
        envelope: None,
        rate: None,
        addresses: Vec::new(),
        scopes: vec!["POST /v1/*".to_owned()],
        repeatable_reads: true,
        expires_at: None,
        suspended: false,
        policy: None,
        created_at: Timestamp::from_secs(1),
        revision: 0,
    })?;
    let secret = Secret::of_any_length(format!("a-secret-of-merchant-{n:06}").into_bytes());
    change.add_version(&version(key_id), &secret)
}

fn version(key_id: String) -> VersionRow {
    VersionRow {
        key_id,
        kind: Kind::Signing,
        number: 1,
        state: VersionState::Active,
        suspended_from: None,
        on_first_use: false,
        check_value: "0a1b2c".to_owned(),
        origin: SecretOrigin::Generated,
        created_by: "test".to_owned(),
        created_at: Timestamp::from_secs(1),
        activate_at: None,
        activated_at: Some(Timestamp::from_secs(1)),
        overlap_secs: 0,
        retire_at: None,
        expires_at: None,
        revoked_at: None,
        compromised_since: None,
        reason: None,
        destroyed_at: None,
        shown: true,
        revision: 0,
    }
}

#[test]
fn a_merchant_of_the_store_takes_at_most_1_kib() {
    let _alone = alone();
    least_allocated(|| start_stored(100)); // what is made once is made
    let few = least_allocated(|| start_stored(10_000));
    let each = (least_allocated(|| start_stored(20_000)) - few) / 10_000;
    println!("{each} bytes a merchant of the store");
    assert!(each <= MERCHANT_BYTES_MAX, "{each} bytes");
}

/// Bodies that never end, in large records and in small ones.
#[test]
fn a_counted_byte_of_a_body_takes_at_most_1_25_bytes() {
    let _alone = alone();
    let gateway = Gateway::start();
    let body = vec![b'x'; MIB];
    let request = v1().sign(Request::post("/v2/orders", &body), gateway.now());
    gateway.accepts(&request); // the address is known from here on
    for record_bytes in [16 * 1024, 1000] {
        let mut clients: Vec<_> = (0..48).map(|_| gateway.client()).collect();
        let before = allocated();
        let unfinished = &request.h1()[..request.h1().len() - 1];
        for record in unfinished.chunks(record_bytes) {
            for client in &mut clients {
                client.send(record);
            }
        }
        let counted = || gateway.metric("countersign_body_bytes", &[]) as usize;
        wait_until("all received", || counted() >= clients.len() * (MIB - 1));
        let ratio = (allocated() - before) as f64 / counted() as f64;
        println!("{ratio:.3} bytes a counted byte, in records of {record_bytes}");
        assert!(ratio <= 1.25, "{ratio}");
        drop(clients);
        wait_until("given back", || counted() == 0);
    }
}

/// Bodies of which a few bytes came, one by one.
#[test]
fn a_few_bytes_of_a_body_do_not_hold_many_buffers() {
    const CLIENTS: usize = 100;
    let _alone = alone();
    let gateway = Gateway::start();
    let request = v1().sign(Request::post("/v2/orders", &[b'x'; 1000]), gateway.now());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| gateway.client()).collect();
    let before = allocated();
    for client in &mut clients {
        client.send(request.head());
    }
    for came in 1..=15 {
        for client in &mut clients {
            client.send([b'x']);
        }
        let counted = || gateway.metric("countersign_body_bytes", &[]) as usize;
        wait_until("all received", || counted() >= CLIENTS * came);
    }
    let each = (allocated() - before) / CLIENTS;
    println!("{each} bytes for a request of which 15 bytes of body came");
    assert!(each <= 32 * 1024, "{each} bytes");
}
