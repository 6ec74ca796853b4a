//! The `countersign` program: arguments, then a command, then an exit status.

mod cli;

use std::process::ExitCode;

use rustix::io::Errno;
use rustix::process::{self, DumpableBehavior, Resource, Rlimit};
use tikv_jemalloc_ctl::{Access, AsName};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    settle_allocator();
    if let Err(e) = keep_memory_private() {
        eprintln!("countersign: cannot keep others from reading this process's memory: {e}");
        return ExitCode::FAILURE;
    }
    match cli::run(environment_secret, environment_supervisor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Most commands hold keys in memory: no core file is written of it, and no other process of the
/// same user reads it. Root still can.
fn keep_memory_private() -> rustix::io::Result<()> {
    process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The first line prevents core files as well. A sandbox may forbid to set limits, even to none.
    match process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        Err(Errno::PERM) => Ok(()),
        set => set,
    }
}

/// The secret that `sign` and `send` use when no file is named.
#[expect(clippy::disallowed_methods, reason = "the environment is read here, for the command")]
fn environment_secret() -> Option<std::ffi::OsString> {
    std::env::var_os(cli::SECRET_VARIABLE)
}

/// What whoever started this process gave it.
#[expect(clippy::disallowed_methods, reason = "the environment is read here, for the command")]
fn environment_supervisor() -> cli::Supervisor {
    cli::Supervisor {
        names: std::env::var_os("LISTEN_FDNAMES"),
        ear: std::env::var_os("NOTIFY_SOCKET"),
        sockets: listenfd::ListenFd::from_env(),
    }
}

/// Lets memory that a burst has used go back to the system within two seconds, by a thread of the
/// allocator's own. Where the allocator refuses, its defaults (ten seconds) serve as well.
fn settle_allocator() {
    const DECAY_MS: isize = 2000;
    let _ = tikv_jemalloc_ctl::background_thread::write(true);
    // The default for arenas to come, and the one arena that exists by now.
    for name in [
        &b"arenas.dirty_decay_ms\0"[..],
        b"arenas.muzzy_decay_ms\0",
        b"arena.0.dirty_decay_ms\0",
        b"arena.0.muzzy_decay_ms\0",
    ] {
        let _ = name.name().write(DECAY_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_takes_its_settings() {
        settle_allocator();
        for name in [&b"arenas.dirty_decay_ms\0"[..], b"arena.0.muzzy_decay_ms\0"] {
            let decay: isize = name.name().read().unwrap();
            assert_eq!(decay, 2000);
        }
        assert!(tikv_jemalloc_ctl::background_thread::read().unwrap());
    }
}
