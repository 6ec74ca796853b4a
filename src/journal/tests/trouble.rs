//! What happens when it cannot be written.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Another process that holds the file makes it busy, and nothing of the batch is kept.
#[test]
fn a_commit_that_fails_keeps_nothing_and_is_told() {
    let bed = Bed::new();
    let journal = bed.open();
    stored(run(journal.keep(delivery(1))));
    let other = bed.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = Settled::Done { attempt: attempt(1) };
    run(async {
        let (kept, settled) =
            tokio::join!(journal.keep(delivery(2)), journal.settle(1, Work::Deliver, done.clone()));
        assert_eq!((kept, settled), (Err(Busy), Err(Busy)));
    });
    assert!(journal.fault().is_some());
    assert_eq!(sequences(&due(&journal, Work::Deliver, START_MILLIS)), [1], "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    wait_for("it can be written again", || journal.fault().is_none());
    assert_eq!(sequences(&due(&journal, Work::Deliver, START_MILLIS)), [1]);
    stored(run(journal.keep(delivery(2))));
    run(journal.settle(1, Work::Deliver, done)).unwrap();
}

/// An asker who leaves before the answer is told that it is a duplicate when he comes back, or it
/// is stored then.
#[test]
fn an_asker_who_leaves_loses_nothing() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        for key in 0..100_u8 {
            let wait = Duration::from_micros(u64::from(key) * 5);
            drop(timeout(wait, journal.keep(delivery(key))).await);
            journal.keep(delivery(key)).await.unwrap();
        }
    });
    assert_eq!(due(&journal, Work::Deliver, START_MILLIS).len(), 100);
}

#[test]
fn nobody_else_may_read_the_files() {
    let bed = Bed::new();
    let journal = bed.open();
    stored(run(journal.keep(delivery(1))));
    let mut seen = 0;
    for entry in std::fs::read_dir(bed.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert_eq!(seen, 3, "the database, its log and the index of that");
}

#[test]
fn what_a_newer_version_made_is_not_touched_and_what_is_not_there_is_not_made_by_a_desk() {
    let bed = Bed::new();
    assert!(matches!(
        Desk::open(bed.folder.path(), bed.clock.clone()),
        Err(JournalFault::File { .. })
    ));
    drop(bed.open());
    bed.database().execute_batch("PRAGMA user_version = 2").unwrap();
    let again = Journal::open(bed.folder.path(), bed.clock.clone(), metrics());
    assert!(matches!(again, Err(JournalFault::Newer { .. })));
}
