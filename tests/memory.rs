//! What merchants cost: bytes that the allocator gave out, of a real gate that loaded many.
//!
//! `cargo test --test memory -- --nocapture` shows the number.
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

use std::thread;

use countersign::app::{Gate, Options, Past};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::telemetry::LogSink;
use tempfile::TempDir;
use tikv_jemalloc_ctl::{epoch, stats};

use support::setup::{Setup, credential, merchant};
use support::signer::Signer;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a merchant with one credential may take, in bytes, all tables that know it included.
const MERCHANT_BYTES_MAX: usize = 1024;

/// A gate that configuration tells of so many merchants, with names as long as usual.
fn start(merchants: usize) -> (Gate, TempDir) {
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
    let gate = Gate::start(config, Clock::system(), options);
    (gate.unwrap_or_else(|fault| panic!("{fault}")), folder)
}

/// Bytes given out while a gate with so many merchants runs. A thread of its own starts it, for
/// what a thread keeps for its next allocations counts as given out until it ends.
fn allocated(merchants: usize) -> usize {
    let (gate, _folder) = thread::spawn(move || start(merchants)).join().expect("started");
    epoch::advance().expect("statistics");
    let bytes = stats::allocated::read().expect("statistics");
    gate.stop();
    bytes
}

#[test]
fn a_merchant_with_one_credential_takes_at_most_1_kib() {
    allocated(100); // what is made once is made
    let (few, many) = (allocated(10_000), allocated(20_000));
    let each = (many - few) / 10_000;
    println!("{each} bytes a merchant with one credential");
    assert!(each <= MERCHANT_BYTES_MAX, "{each} bytes");
}
