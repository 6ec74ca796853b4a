//! What the store of keys costs: loading 100,000 merchants into a keyring, finding keys in it, a
//! durable change, and a rewrap of all data keys while others read and write.
//!
//! `cargo bench --bench store`. A load of 2 s or more, a look-up of 200 ns or more, or a read that
//! waits for the rewrap, ends with status 1.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

use std::fs;
use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign::clock::{Clock, Timestamp};
use countersign::config::{envelope, scheme};
use countersign::custody::{MasterSource, Masters};
use countersign::keyring::Keyring;
use countersign::keyring::managed::{self, Recipes};
use countersign::limit::Rate;
use countersign::quota::Quotas;
use countersign::replay::Memory;
use countersign::secret::Secret;
use countersign::store::row::{
    CredentialRow, Kind, MerchantRow, MerchantStatus, SecretOrigin, VersionRow, VersionState,
};
use countersign::store::{Actor, ActorKind, Store, StoreFault};

/// The program's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MERCHANTS: u32 = 100_000;
const LOAD_MAX: Duration = Duration::from_secs(2);
/// The longest that one merchant may take to read while a rewrap runs.
const READ_MAX: Duration = Duration::from_millis(100);
/// The longest that one look-up may take, on average, whether it finds somebody or not.
const LOOK_UP_NS_MAX: u128 = 200;
const LOOK_UPS: u32 = 1_000_000;
const LOADS: usize = 5;
const CHANGES: usize = 500;

fn actor() -> Actor {
    let name = "bench".to_owned();
    Actor { kind: ActorKind::System, name, address: None, request_id: None }
}

fn merchant(id: &str) -> MerchantRow {
    let rate = NonZeroU32::MIN.saturating_add(99);
    MerchantRow {
        id: id.to_owned(),
        name: format!("Merchant {id}"),
        status: MerchantStatus::Active,
        rate: Rate { per_second: rate, burst: rate },
        addresses: vec!["192.0.2.0/24".parse().expect("a network")],
        contacts: vec!["keys@merchant.example".to_owned()],
        created_at: Timestamp::from_secs(1_750_000_000),
        revision: 0,
    }
}

fn credential(merchant: &str, key_id: &str) -> CredentialRow {
    CredentialRow {
        key_id: key_id.to_owned(),
        merchant: merchant.to_owned(),
        live: true,
        name: "till".to_owned(),
        scheme: "countersign-v1".to_owned(),
        envelope: None,
        rate: None,
        addresses: Vec::new(),
        scopes: vec!["POST /v1/orders".to_owned()],
        repeatable_reads: false,
        expires_at: None,
        suspended: false,
        policy: None,
        created_at: Timestamp::from_secs(1_750_000_000),
        revision: 0,
    }
}

fn version(key_id: &str) -> VersionRow {
    VersionRow {
        key_id: key_id.to_owned(),
        kind: Kind::Signing,
        number: 1,
        state: VersionState::Active,
        suspended_from: None,
        on_first_use: false,
        check_value: "0a1b2c".to_owned(),
        origin: SecretOrigin::Generated,
        created_by: "bench".to_owned(),
        created_at: Timestamp::from_secs(1_750_000_000),
        activate_at: None,
        activated_at: Some(Timestamp::from_secs(1_750_000_000)),
        overlap_secs: 86_400,
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

fn id(n: u32) -> String {
    format!("mer_{n:08}")
}

fn fill(store: &Store) {
    for block in 0..MERCHANTS / 10_000 {
        let filled = store.change::<_, StoreFault>(&actor(), |change| {
            for n in block * 10_000..(block + 1) * 10_000 {
                let (id, key_id) = (id(n), format!("pk_live_{n:020}"));
                let secret = format!("csh_live_{n:043}").into_bytes();
                change.add_merchant(&merchant(&id))?;
                change.add_credential(&credential(&id, &key_id))?;
                change.add_version(&version(&key_id), &Secret::of_any_length(secret))?;
            }
            Ok(())
        });
        filled.expect("merchants");
    }
}

/// How long this thread was on a processor so far.
fn on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// Everything into a keyring, as a gate loads it, and the time of one core that it took: what else
/// the machine does is left out.
fn load(store: &Store) -> (Keyring, Duration) {
    let start = on_processor();
    let recipes = Recipes { scheme: &scheme::builtin, envelope: &envelope::builtin };
    let mut merchants = Vec::new();
    let read = store.read::<_, StoreFault>(|view| {
        view.everyone(|holding| {
            let (spec, out) = managed::merchant(holding.expect("a whole merchant"), recipes);
            assert!(out.is_empty());
            merchants.push(spec);
        })
    });
    read.expect("everyone");
    let memory = Memory::without_past(NonZeroUsize::MIN.saturating_add(1 << 29));
    let keyring = Keyring::build(merchants, &memory.expect("random bytes"), &Quotas::new());
    let keyring = keyring.expect("a keyring");
    let took = on_processor().saturating_sub(start);
    assert_eq!(keyring.len(), usize::try_from(MERCHANTS).unwrap_or_default());
    (keyring, took)
}

/// Nanoseconds that it takes to find the keys of a credential, or the decoys of none.
fn look_up(keyring: &Keyring) -> u128 {
    let scheme = scheme::builtin("countersign-v1").expect("a preset");
    let now = Timestamp::from_secs(1_760_000_000);
    // A step that is prime to their number meets all in an order that no cache foresees; every
    // second one is nobody's.
    let nth = |n: u32| u64::from(n) * 7919 % (2 * u64::from(MERCHANTS));
    let key_ids: Vec<String> = (0..LOOK_UPS).map(|n| format!("pk_live_{:020}", nth(n))).collect();
    let start = on_processor();
    for key_id in &key_ids {
        drop(black_box(keyring.verifying_keys(black_box(key_id), &scheme, now)));
    }
    on_processor().saturating_sub(start).as_nanos() / u128::from(LOOK_UPS)
}

fn touch(store: &Store, n: u32) -> Duration {
    let start = Instant::now();
    let changed = store.change::<_, StoreFault>(&actor(), |change| {
        let row = change.merchant(&id(n))?.ok_or(StoreFault::Missing("merchant".to_owned()))?;
        change.set_merchant(&row)
    });
    changed.expect("a change");
    start.elapsed()
}

fn told(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    println!("{what}: p50 {:?}, p99 {:?}, worst {worst:?}, of {}", at(50), at(99), times.len());
    worst
}

/// Does something again and again until it is told to stop, with how long each time took.
fn again(done: &AtomicBool, step: impl Fn(u32) -> Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut n = 0_u32;
    while !done.load(Ordering::Relaxed) {
        times.push(step(n % MERCHANTS));
        n = n.wrapping_add(7919);
        thread::sleep(Duration::from_millis(1));
    }
    times
}

/// Moves all data keys while one reads and another writes; the longest that a read took.
fn rewrap(store: &Store) -> Duration {
    store.rotate_kek(&actor()).expect("a KEK");
    let done = AtomicBool::new(false);
    let hold = |n| {
        let start = Instant::now();
        black_box(store.read(|view| view.holding(&id(n))).expect("a merchant"));
        start.elapsed()
    };
    thread::scope(|scope| {
        let reads = scope.spawn(|| again(&done, hold));
        let writes = scope.spawn(|| again(&done, |n| touch(store, n)));
        let start = Instant::now();
        let moved = store.rewrap(&actor(), |_, _| {}).expect("a rewrap");
        println!("rewrap of {} data keys: {:?}", moved.moved, start.elapsed());
        done.store(true, Ordering::Relaxed);
        told("changes meanwhile", writes.join().expect("a writer"));
        told("reads of a merchant meanwhile", reads.join().expect("a reader"))
    })
}

fn open(folder: &Path) -> Store {
    let source = MasterSource::File(folder.join("master.key"));
    let masters = Masters::open(&source).or_else(|_| Masters::create(&source)).expect("a key");
    Store::open(&folder.join("keys.db"), masters, Clock::system()).expect("a store")
}

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let start = Instant::now();
    fill(&store);
    println!("{MERCHANTS} merchants with a credential each written: {:?}", start.elapsed());
    drop(store);
    let start = Instant::now();
    let store = open(folder.path());
    println!("open: {:?}", start.elapsed());
    let loads: Vec<Duration> = (0..LOADS).map(|_| load(&store).1).collect();
    let slowest = told("load of everything, on one core", loads);
    let look_up = look_up(&load(&store).0);
    println!("look-up: {look_up} ns");
    let changes = (0..CHANGES).map(|n| touch(&store, u32::try_from(n).unwrap_or_default()));
    told("durable change of a merchant", changes.collect());
    let waited = rewrap(&store);
    let start = Instant::now();
    let trial = store.verify_all(&actor(), |_| {}).expect("a trial");
    assert!(trial.faults.is_empty());
    println!("every blob and MAC: {:?}", start.elapsed());
    if slowest >= LOAD_MAX || waited >= READ_MAX || look_up >= LOOK_UP_NS_MAX {
        println!("too slow");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
