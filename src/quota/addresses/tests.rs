use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

fn rate(per_second: u32, burst: u32) -> Rate {
    let [per_second, burst] = [per_second, burst].map(|n| NonZeroU32::new(n).unwrap());
    Rate { per_second, burst }
}

fn table(per_second: u32, burst: u32) -> Addresses {
    Addresses::new(Addresses::ENTRIES, rate(per_second, burst)).unwrap()
}

fn v4(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(n))
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_address_is_slowed_after_its_burst_and_only_for_a_while() {
    let table = table(1, 3);
    let ip = v4(1);
    for _ in 0..2 {
        table.failed(ip, at(10));
        assert_eq!(table.slowed(ip, at(10)), None);
    }
    table.failed(ip, at(10));
    assert_eq!(table.slowed(ip, at(10)), Some(at(1)));
    assert_eq!(table.slowed(v4(2), at(10)), None);
    assert_eq!(table.slowed(ip, at(11)), None);
    // However long it fails on, what it owes stays within the burst.
    for _ in 0..1000 {
        table.failed(ip, at(11));
    }
    assert_eq!(table.slowed(ip, at(11)), Some(at(1)));
    assert_eq!(table.slowed(ip, at(12)), None);
    table.failed(ip, at(12));
    assert_eq!(table.slowed(ip, at(12)), Some(at(1)));
}

#[test]
fn good_requests_cost_their_address_nothing() {
    let table = table(1, 2);
    for second in 0..10_000 {
        table.verified(v4(1), at(second));
        let standing = table.standing(v4(1), at(second));
        assert_eq!(standing, Standing { slowed: None, trusted: true, noted: true });
        assert!(!table.standing(v4(1), at(second + 1)).noted);
    }
}

#[test]
fn trust_lasts_ten_minutes() {
    let table = table(1, 2);
    assert!(!table.trusted(v4(1), at(0)));
    table.verified(v4(1), at(0));
    assert!(table.trusted(v4(1), at(600)));
    assert!(!table.trusted(v4(1), at(601)));
    assert!(!table.trusted(v4(2), at(0)));
}

#[test]
fn mapped_addresses_and_a_whole_64_are_one_caller() {
    let table = table(1, 1);
    for (failing, same, other) in [
        ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:3::1"),
    ] {
        table.failed(failing.parse().unwrap(), at(0));
        assert!(table.slowed(same.parse().unwrap(), at(0)).is_some());
        assert!(table.slowed(other.parse().unwrap(), at(0)).is_none());
    }
}

#[test]
fn a_million_addresses_take_no_more_memory_and_leave_partners_trusted() {
    let table = table(1, 10);
    let before = table.bytes();
    assert!(before <= 2 << 20, "{before}");
    for n in 0..1000 {
        table.verified(v4(n), at(0));
    }
    for n in 0..1_000_000 {
        table.failed(v4(0x0100_0000 + n), at(1));
    }
    assert_eq!(table.bytes(), before);
    let trusted = (0..1000).filter(|n| table.trusted(v4(*n), at(1))).count();
    assert_eq!(trusted, 1000);
}

#[test]
fn the_deepest_in_debt_are_kept_longest() {
    let table = table(1, 10);
    for _ in 0..10 {
        table.failed(v4(7), at(0));
    }
    for n in 0..1_000_000 {
        table.failed(v4(0x0100_0000 + n), at(0));
    }
    assert!(table.slowed(v4(7), at(0)).is_some());
}

#[test]
fn nobody_reads_an_entry_of_two_moments() {
    let set = Set::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u32;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                let address = u64::from(number % 3 + 1);
                let clear_at_ns = u64::from(number);
                let entry = Entry { address, clear_at_ns, verified_at: number };
                // Always the place that is not empty, so that it is another address's each time.
                set.change(|entry| entry.address == 0, |place| *place = entry);
            }
        });
        let mut seen = 0;
        while seen < 100_000 {
            if let Some(entry) = set.find(1) {
                let Entry { address, clear_at_ns, verified_at } = entry;
                let whole = (address, clear_at_ns) == (1, u64::from(verified_at));
                if !whole || verified_at % 3 != 0 {
                    done.store(true, Ordering::Relaxed);
                    panic!("{address} {clear_at_ns} {verified_at}");
                }
                seen += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn threads_lose_no_failure() {
    let table = table(1, 4001);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| table.failed(v4(1), at(0))));
        }
    });
    assert_eq!(table.slowed(v4(1), at(0)), None);
    table.failed(v4(1), at(0));
    assert_eq!(table.slowed(v4(1), at(0)), Some(at(1)));
}

proptest! {
    /// While the table has room, it says what an exact count says.
    #[test]
    fn it_counts_like_a_list_of_all(
        events in prop::collection::vec((0_u32..20, 0_u64..1500), 1..300),
        per_second in 1_u32..50,
        burst in 1_u32..20,
    ) {
        let table = table(per_second, burst);
        let weight = 1_000_000_000 / u64::from(per_second);
        let most = weight * u64::from(burst);
        let mut owed: HashMap<u32, u64> = HashMap::new();
        let mut now = Duration::ZERO;
        for (address, later_ms) in events {
            now += Duration::from_millis(later_ms);
            for debt in owed.values_mut() {
                *debt = debt.saturating_sub(later_ms * 1_000_000);
            }
            table.failed(v4(address), now);
            let debt = owed.entry(address).or_default();
            *debt = (*debt + weight).min(most);
            for (address, debt) in &owed {
                let slowed = debt.checked_sub(most - weight).filter(|wait| *wait > 0);
                prop_assert_eq!(table.slowed(v4(*address), now), slowed.map(Duration::from_nanos));
            }
        }
    }

    /// Whatever comes, the table has its size, and the last to fail is in it.
    #[test]
    fn a_small_table_stays_small(addresses in prop::collection::vec(any::<u32>(), 1..500)) {
        let table = Addresses::new(NonZeroUsize::new(16).unwrap(), rate(1, 1)).unwrap();
        let bytes = table.bytes();
        for address in addresses {
            table.failed(v4(address), at(5));
            prop_assert!(table.slowed(v4(address), at(5)).is_some());
            prop_assert_eq!(table.bytes(), bytes);
        }
    }
}
