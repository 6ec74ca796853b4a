//! Addresses that keep failing, and addresses that verified something of late.
//!
//! Promises a table that never grows: what does not fit displaces what tells least. It refuses to
//! know a clock: times are passed in, as the time since the gate started.
//! Must never be done here: counting a good request against its address.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::limit::Rate;

/// Entries that one address may be in. More find a better one to displace, fewer are read faster.
const WAYS: usize = 8;
/// How long an address counts as known after it verified a request, in seconds.
const TRUSTED_SECS: u32 = 600;

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It failed too often; the time after which it may try again.
    pub slowed: Option<Duration>,
    /// It verified a request in the last ten minutes.
    pub trusted: bool,
    /// That was in this very second, so that noting another changes nothing.
    pub noted: bool,
}

/// Failed admissions by address (IPv6: by /64) as leaky buckets, in a table of fixed size. All
/// times are the time since the gate started.
pub struct Addresses {
    sets: Box<[Set]>,
    hasher: SipHasher24,
    /// What one failure weighs, in ns: the time in which the rate forgives it.
    failure_ns: u64,
    /// What may be owed before an address is slowed, in ns.
    burst_ns: u64,
}

/// Entries that addresses share. Every request looks at one, so that must not write: where many
/// requests come by one address, its memory would go from core to core with each of them.
#[derive(Default)]
struct Set {
    /// Odd while an entry changes; another number after every change.
    version: AtomicU64,
    entries: [Cells; WAYS],
    /// Held by who changes an entry.
    writing: Mutex<()>,
}

/// An entry where readers and a writer meet.
#[derive(Default)]
struct Cells {
    address: AtomicU64,
    clear_at_ns: AtomicU64,
    verified_at: AtomicU32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// Keyed hash of the address; 0 is an empty entry.
    address: u64,
    /// When everything owed will be forgiven, in ns.
    clear_at_ns: u64,
    /// When a request last verified, in seconds plus one; 0 is never.
    verified_at: u32,
}

/// How much an entry tells; the one that tells least is displaced.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Empty,
    /// Neither owes nor is trusted.
    Nothing,
    /// Owes so much.
    Owes(u64),
    /// Verified last at this time. Above debts: whoever has many addresses to fail from must not
    /// displace the partners.
    Trusted(u32),
}

impl Addresses {
    /// Entries that a table has by default: 1.6 MiB.
    pub const ENTRIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

    /// A table of about so many entries, in which an address may fail at a rate.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(entries: NonZeroUsize, rate: Rate) -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|fault| io::Error::other(fault.to_string()))?;
        let sets = (entries.get() / WAYS).max(1).next_power_of_two();
        let failure_ns = (1_000_000_000 / u64::from(rate.per_second.get())).max(1);
        Ok(Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            hasher: SipHasher24::new_with_key(&key),
            failure_ns,
            burst_ns: failure_ns.saturating_mul(u64::from(rate.burst.get())),
        })
    }

    /// Counts a failed admission.
    pub fn failed(&self, ip: IpAddr, now: Duration) {
        let now_ns = nanoseconds(now);
        self.change(ip, now, |entry| {
            // Never owes more than the burst: who stops failing waits for one failure's time.
            let owed = entry.owed_ns(now_ns).saturating_add(self.failure_ns).min(self.burst_ns);
            entry.clear_at_ns = now_ns.saturating_add(owed);
        });
    }

    /// Notes that a request of this address verified.
    pub fn verified(&self, ip: IpAddr, now: Duration) {
        self.change(ip, now, |entry| entry.verified_at = note(seconds(now)));
    }

    /// What is known of an address, in one look.
    pub fn standing(&self, ip: IpAddr, now: Duration) -> Standing {
        let (address, set) = self.set(ip);
        let Some(entry) = set.find(address) else {
            return Standing { slowed: None, trusted: false, noted: false };
        };
        let may_owe_ns = self.burst_ns.saturating_sub(self.failure_ns);
        let wait_ns = entry.owed_ns(nanoseconds(now)).saturating_sub(may_owe_ns);
        let slowed = (wait_ns > 0).then(|| Duration::from_nanos(wait_ns));
        let now = seconds(now);
        Standing { slowed, trusted: entry.is_trusted(now), noted: entry.is_noted(now) }
    }

    /// The time after which an address that failed too often may try again.
    pub fn slowed(&self, ip: IpAddr, now: Duration) -> Option<Duration> {
        self.standing(ip, now).slowed
    }

    /// Whether an address verified a request in the last ten minutes.
    pub fn trusted(&self, ip: IpAddr, now: Duration) -> bool {
        self.standing(ip, now).trusted
    }

    /// Bytes that the table takes, at any time.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.sets)
    }

    fn change(&self, ip: IpAddr, now: Duration, change: impl FnOnce(&mut Entry)) {
        let (address, set) = self.set(ip);
        let (now_ns, now_secs) = (nanoseconds(now), seconds(now));
        let worth = |entry: &Entry| match entry.address == address {
            true => None,
            false => Some(entry.worth(now_ns, now_secs)),
        };
        set.change(worth, |entry| {
            if entry.address != address {
                *entry = Entry { address, ..Entry::default() };
            }
            change(entry);
        });
    }

    fn set(&self, ip: IpAddr) -> (u64, &Set) {
        let address = self.hasher.hash(&network(ip)).max(1);
        // The number of sets is a power of two that fits, and there is at least one.
        let mask = u64::try_from(self.sets.len()).unwrap_or(1).wrapping_sub(1);
        let at = usize::try_from((address >> 8) & mask).unwrap_or(0);
        #[expect(
            clippy::indexing_slicing,
            reason = "masked to the power of two that is the length"
        )]
        let set = &self.sets[at];
        (address, set)
    }
}

impl Set {
    /// The entry of an address, as it is at one moment.
    fn find(&self, address: u64) -> Option<Entry> {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let of_it = |cells: &&Cells| cells.address.load(Ordering::Relaxed) == address;
            let found = self.entries.iter().find(of_it).map(Cells::get);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return found;
            }
            // Somebody is changing it: what was read may be of two moments.
            drop(self.writing.lock());
        }
    }

    /// Changes the entry that is worth least.
    fn change<W: Ord>(&self, worth: impl Fn(&Entry) -> W, change: impl FnOnce(&mut Entry)) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cells) = self.entries.iter().min_by_key(|cells| worth(&cells.get())) else {
            return;
        };
        let mut entry = cells.get();
        change(&mut entry);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        cells.set(entry);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }
}

impl Cells {
    fn get(&self) -> Entry {
        Entry {
            address: self.address.load(Ordering::Relaxed),
            clear_at_ns: self.clear_at_ns.load(Ordering::Relaxed),
            verified_at: self.verified_at.load(Ordering::Relaxed),
        }
    }

    fn set(&self, entry: Entry) {
        self.address.store(entry.address, Ordering::Relaxed);
        self.clear_at_ns.store(entry.clear_at_ns, Ordering::Relaxed);
        self.verified_at.store(entry.verified_at, Ordering::Relaxed);
    }
}

impl Entry {
    fn owed_ns(&self, now_ns: u64) -> u64 {
        self.clear_at_ns.saturating_sub(now_ns)
    }

    fn is_trusted(&self, now_secs: u32) -> bool {
        self.verified_at
            .checked_sub(1)
            .is_some_and(|at| now_secs.saturating_sub(at) <= TRUSTED_SECS)
    }

    fn is_noted(&self, now_secs: u32) -> bool {
        self.verified_at == note(now_secs)
    }

    fn worth(&self, now_ns: u64, now_secs: u32) -> Worth {
        match self.owed_ns(now_ns) {
            _ if self.address == 0 => Worth::Empty,
            _ if self.is_trusted(now_secs) => Worth::Trusted(self.verified_at),
            0 => Worth::Nothing,
            owed => Worth::Owes(owed),
        }
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// The network that counts as one caller: an IPv4 address, mapped or not, or an IPv6 /64.
fn network(ip: IpAddr) -> [u8; 9] {
    let (kind, [a, b, c, d, e, f, g, h]) = match ip.to_canonical() {
        IpAddr::V4(v4) => (4, u64::from(v4.to_bits()).to_le_bytes()),
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h, ..] = v6.octets();
            (6, [a, b, c, d, e, f, g, h])
        }
    };
    [kind, a, b, c, d, e, f, g, h]
}

/// A second as an entry holds it, where 0 is never.
fn note(second: u32) -> u32 {
    second.saturating_add(1)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
