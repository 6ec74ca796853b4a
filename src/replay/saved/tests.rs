use std::fs;
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::super::tests::{NOW, once, read};
use super::*;
use crate::clock::{Clock, Hand};
use crate::replay::{Marker, NotReady, Refusal, Stamped};

const BYTES: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();
const AHEAD: Duration = Duration::from_secs(30);

/// A machine with a state folder and a clock, on which gates run one after the other.
struct Machine {
    dir: TempDir,
    clock: Clock,
    hand: Hand,
}

/// A gate's part that counts here.
struct Run {
    memory: Arc<Memory>,
    folder: Arc<StateFolder>,
    marker: Marker,
    opening: Opening,
}

impl Machine {
    fn new() -> Self {
        let machine = Self::uninitialised();
        StateFolder::init(&machine.path()).unwrap();
        machine
    }

    fn uninitialised() -> Self {
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(NOW));
        Self { dir: tempfile::tempdir().unwrap(), clock, hand }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn start(&self) -> Run {
        let folder = Arc::new(StateFolder::open(&self.path()).unwrap());
        let (memory, opening) = Memory::open(&folder, BYTES, self.clock.now(), AHEAD).unwrap();
        let memory = Arc::new(memory);
        let clock = self.clock.clone();
        let marker = Marker::start(Arc::clone(&memory), Arc::clone(&folder), clock).unwrap();
        Run { memory, folder, marker, opening }
    }
}

impl Run {
    fn pass(&self, stamped: Stamped<'_>) -> Result<(), Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { self.memory.claim(stamped, &Arc::from([])).await?.keep() })
    }

    fn stop(self) {
        self.marker.stop();
        self.memory.save(&self.folder).unwrap();
    }

    /// As far as the folder can tell, the end of the process: nothing is saved.
    fn kill(self) {
        drop(self.marker);
    }
}

#[test]
fn a_new_folder_has_no_past_until_the_first_mark() {
    let machine = Machine::new();
    let run = machine.start();
    assert_eq!(run.opening.past, Past::None);
    assert!(run.memory.ready(machine.clock.now()).is_ok());
    assert_eq!(run.pass(once(NOW, b"a")), Ok(()));
    assert!(!run.folder.has_no_past().unwrap());
    assert!(run.folder.mark().unwrap().unwrap() >= NOW + 2);
}

#[test]
fn a_start_that_accepted_nothing_still_has_no_past() {
    let machine = Machine::new();
    let folder = StateFolder::open(&machine.path()).unwrap();
    drop(Memory::open(&folder, BYTES, machine.clock.now(), AHEAD).unwrap());
    drop(folder);
    assert_eq!(machine.start().opening.past, Past::None);
}

#[test]
fn after_a_clean_stop_replays_are_known_and_others_pass() {
    let machine = Machine::new();
    let run = machine.start();
    let shares = [run.memory.share("m"), run.memory.test_share()];
    assert_eq!(run.pass(once(NOW, b"the mark is written")), Ok(()));
    assert_eq!(run.memory.pass(once(NOW, b"a"), &shares), Ok(()));
    for n in 0..200_u8 {
        assert_eq!(run.pass(once(NOW + u64::from(n % 25), &[n])), Ok(()));
    }
    assert_eq!(run.pass(read(NOW, b"r", "/1")), Ok(()));
    let entries = run.memory.usage().entries;
    run.stop();
    machine.hand.advance(Duration::from_secs(5));
    let run = machine.start();
    assert_eq!(run.opening.past, Past::Whole { entries });
    assert!(run.opening.notes.is_empty());
    assert_eq!(run.folder.saved().unwrap().map(drop), None);
    assert_eq!((run.memory.share("m").used(), run.memory.test_share().used()), (1, 1));
    assert_eq!(run.pass(once(NOW, b"a")), Err(Refusal::Seen));
    for n in 0..200_u8 {
        assert_eq!(run.pass(once(NOW + u64::from(n % 25), &[n])), Err(Refusal::Seen));
    }
    assert_eq!(run.pass(once(NOW, b"r")), Err(Refusal::Seen));
    assert_eq!(run.pass(read(NOW, b"r", "/1")), Err(Refusal::Seen));
    assert_eq!(run.pass(read(NOW, b"r", "/2")), Ok(()));
    assert_eq!(run.pass(once(NOW, b"new")), Ok(()));
    let memory = &run.memory;
    memory.sweep(Timestamp::from_secs(NOW + 1000), Duration::from_secs(300));
    assert_eq!(memory.usage().entries, 0);
    assert_eq!(memory.share("m").used(), 0);
}

#[test]
fn what_was_forgotten_stays_forgotten_over_a_clean_stop() {
    let machine = Machine::new();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW, b"a")), Ok(()));
    run.memory.sweep(Timestamp::from_secs(NOW + 400), Duration::from_secs(300));
    run.stop();
    assert_eq!(machine.start().pass(once(NOW, b"a")), Err(Refusal::Stale));
}

#[test]
fn after_a_kill_replays_are_refused_also_those_stamped_ahead() {
    let machine = Machine::new();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW, b"a")), Ok(()));
    assert_eq!(run.pass(once(NOW + 20, b"ahead")), Ok(()));
    run.kill();
    machine.hand.advance(Duration::from_secs(1));
    let run = machine.start();
    assert_eq!(run.opening.past, Past::UpTo(Timestamp::from_secs(NOW + 20)));
    assert_eq!(run.pass(once(NOW, b"a")), Err(Refusal::Stale));
    assert_eq!(run.pass(once(NOW + 20, b"ahead")), Err(Refusal::Stale));
    let until = Timestamp::from_secs(NOW + 20);
    let now = machine.clock.now();
    assert_eq!(run.memory.ready(now), Err(NotReady::PastUnknown { until }));
    assert_eq!(run.pass(once(NOW + 21, b"b")), Ok(()));
    machine.hand.advance(Duration::from_secs(20));
    assert!(run.memory.ready(machine.clock.now()).is_ok());
}

#[test]
fn after_a_kill_without_stamps_ahead_it_takes_two_seconds() {
    let machine = Machine::new();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW, b"a")), Ok(()));
    run.kill();
    let run = machine.start();
    assert_eq!(run.opening.past, Past::UpTo(Timestamp::from_secs(NOW + 2)));
    machine.hand.advance(Duration::from_secs(3));
    assert_eq!(run.pass(once(NOW + 3, b"b")), Ok(()));
    assert!(run.memory.ready(machine.clock.now()).is_ok());
}

#[test]
fn a_kill_after_a_clean_start_forgets_nothing() {
    let machine = Machine::new();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW + 20, b"first run")), Ok(()));
    run.stop();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW + 10, b"second run")), Ok(()));
    run.kill();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW + 20, b"first run")), Err(Refusal::Stale));
    assert_eq!(run.pass(once(NOW + 10, b"second run")), Err(Refusal::Stale));
}

#[test]
fn a_folder_that_says_nothing_waits_for_the_time_ahead() {
    let machine = Machine::uninitialised();
    fs::create_dir(machine.path()).unwrap();
    let run = machine.start();
    let until = Timestamp::from_secs(NOW + 30);
    assert_eq!(run.opening.past, Past::Unknown { until });
    assert_eq!(run.pass(once(NOW + 30, b"a")), Err(Refusal::Stale));
    assert_eq!(run.memory.ready(until), Err(NotReady::PastUnknown { until }));
    machine.hand.advance(Duration::from_secs(31));
    assert!(run.memory.ready(machine.clock.now()).is_ok());
    assert_eq!(run.pass(once(NOW + 31, b"a")), Ok(()));
}

#[test]
fn a_mark_over_an_hour_ahead_names_both_times() {
    let machine = Machine::new();
    let folder = StateFolder::open(&machine.path()).unwrap();
    folder.write_mark(NOW + 3600).unwrap();
    assert!(Memory::open(&folder, BYTES, machine.clock.now(), AHEAD).is_ok());
    folder.write_mark(NOW + 3601).unwrap();
    let fault = Memory::open(&folder, BYTES, machine.clock.now(), AHEAD).unwrap_err().to_string();
    assert!(fault.contains(&(NOW + 3601).to_string()) && fault.contains(&NOW.to_string()));
}

#[test]
fn a_saved_memory_with_any_wrong_byte_is_not_used() {
    let machine = Machine::new();
    let run = machine.start();
    for n in 0..20_u8 {
        assert_eq!(run.pass(once(NOW, &[n])), Ok(()));
    }
    run.stop();
    let file = machine.path().join("replay.bin");
    let good = fs::read(&file).unwrap();
    let mut cases: Vec<Vec<u8>> = [0, 1, 40, good.len() - 1].map(|n| good[..n].to_vec()).into();
    cases.extend((0..good.len()).step_by(7).map(|at| {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        bad
    }));
    cases.push([&good[..], b"x"].concat());
    let folder = StateFolder::open(&machine.path()).unwrap();
    for bad in cases {
        fs::write(&file, bad).unwrap();
        let (memory, opening) = Memory::open(&folder, BYTES, machine.clock.now(), AHEAD).unwrap();
        assert!(matches!(opening.past, Past::UpTo(_)));
        assert!(matches!(opening.notes[..], [OpeningNote::SavedUnusable { .. }]));
        assert_eq!(memory.usage().entries, 0);
        assert_eq!(memory.pass(once(NOW, &[3]), &[]), Err(Refusal::Stale));
        assert!(!file.exists());
    }
    fs::write(&file, &good).unwrap();
    let (memory, _) = Memory::open(&folder, BYTES, machine.clock.now(), AHEAD).unwrap();
    assert_eq!(memory.usage().entries, 20);
}

#[test]
fn an_old_saved_memory_put_back_is_not_used() {
    let machine = Machine::new();
    machine.start().stop();
    let file = machine.path().join("replay.bin");
    let old = fs::read(&file).unwrap();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW + 20, b"a")), Ok(()));
    run.kill();
    fs::write(&file, old).unwrap();
    let run = machine.start();
    assert!(matches!(run.opening.notes[..], [OpeningNote::SavedUnusable { .. }]));
    assert_eq!(run.pass(once(NOW + 20, b"a")), Err(Refusal::Stale));
}

#[test]
fn a_damaged_mark_means_that_nothing_is_known() {
    let machine = Machine::new();
    machine.start().kill();
    fs::write(machine.path().join("mark"), "what?").unwrap();
    let run = machine.start();
    assert!(matches!(run.opening.notes[..], [OpeningNote::MarkDamaged(_)]));
    assert!(matches!(run.opening.past, Past::Unknown { .. }));
}

/// A folder in the way of the new mark stands for a full or read-only disk: root can write
/// anywhere.
#[test]
fn a_mark_that_cannot_be_written_means_busy_until_it_can() {
    let machine = Machine::new();
    let run = machine.start();
    assert_eq!(run.pass(once(NOW, b"a")), Ok(()));
    let in_the_way = machine.path().join("mark.new");
    fs::create_dir(&in_the_way).unwrap();
    machine.hand.advance(Duration::from_secs(10));
    let start = Instant::now();
    assert_eq!(run.pass(once(NOW + 10, b"b")), Err(Refusal::Busy));
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(matches!(
        run.memory.ready(machine.clock.now()),
        Err(NotReady::MarkOverdue { since }) if since > Duration::from_secs(2)
    ));
    assert!(run.memory.mark_fault().is_some());
    // At once now, and also for stamps that the old mark covers.
    let start = Instant::now();
    assert_eq!(run.pass(once(NOW, b"c")), Err(Refusal::Busy));
    assert!(start.elapsed() < Duration::from_secs(1));
    fs::remove_dir(&in_the_way).unwrap();
    let start = Instant::now();
    while run.memory.ready(machine.clock.now()).is_err() || run.memory.mark_fault().is_some() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(run.pass(once(NOW + 10, b"b")), Ok(()));
    assert_eq!(run.pass(once(NOW, b"c")), Ok(()));
}

#[test]
fn claims_of_many_threads_wait_for_one_mark() {
    let machine = Machine::new();
    let run = machine.start();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let run = &run;
            scope.spawn(move || {
                for second in 0..20_u8 {
                    let stamp = NOW + u64::from(second);
                    assert_eq!(run.pass(once(stamp, &[thread, second])), Ok(()));
                    assert!(run.folder.mark().unwrap().unwrap() >= stamp);
                }
            });
        }
    });
    assert_eq!(run.memory.usage().entries, 160);
}

/// Claims that race with the save: what passed is in the file.
#[test]
fn what_passes_while_the_memory_is_saved_is_saved() {
    for round in 0..20 {
        let machine = Machine::new();
        let run = machine.start();
        assert_eq!(run.pass(once(NOW, b"the mark is written")), Ok(()));
        let memory = &run.memory;
        let passed = std::thread::scope(|scope| {
            let claims = |thread: u8| {
                scope.spawn(move || {
                    let mut passed = Vec::new();
                    for n in 0..100_000_u32 {
                        let proof = [&n.to_le_bytes()[..], &[thread]].concat();
                        let reads = n % 2 == 0;
                        let stamped =
                            if reads { read(NOW, &proof, "/") } else { once(NOW, &proof) };
                        match memory.pass(stamped, &[]) {
                            Ok(()) => passed.push((proof, reads)),
                            Err(Refusal::Busy | Refusal::Full) => break,
                            Err(refusal) => panic!("{refusal}"),
                        }
                    }
                    passed
                })
            };
            let threads = [claims(1), claims(2)];
            std::thread::sleep(Duration::from_micros(100 * round));
            memory.save(&run.folder).unwrap();
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        run.kill();
        let folder = StateFolder::open(&machine.path()).unwrap();
        // The clock stands still, and so the mark that the file belongs to.
        let (memory, opening) = Memory::open(&folder, BYTES, machine.clock.now(), AHEAD).unwrap();
        assert!(matches!(opening.past, Past::Whole { .. }), "{opening:?}");
        for (proof, reads) in passed {
            assert_eq!(memory.pass(once(NOW, &proof), &[]), Err(Refusal::Seen));
            if reads {
                assert_eq!(memory.pass(read(NOW, &proof, "/"), &[]), Err(Refusal::Seen));
            }
        }
    }
}
