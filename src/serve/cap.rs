//! How many connections are open, in all and per address.
//!
//! A slot is given back when it is dropped, whatever ended its connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limit::ConnectionLimits;
use crate::peer::network_of;
use crate::telemetry::connections::Refusal;

/// The open connections of one listener, shared by all cores.
#[derive(Debug)]
pub struct Connections(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    limits: ConnectionLimits,
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    /// None while it is not known whose it is.
    network: Option<IpAddr>,
}

impl Connections {
    /// No connection yet.
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Counts {
            limits: by_longest_prefix(limits),
            total: 0,
            by_network: HashMap::new(),
        })))
    }

    /// Replaces the limits. Connections that are open stay, even above a smaller limit.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.lock().limits = by_longest_prefix(limits);
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.lock().total
    }

    /// Takes a slot for a connection from `ip`, which must be canonical.
    pub(super) fn enter(self: &Arc<Self>, ip: IpAddr) -> Result<Slot, Refusal> {
        let mut counts = self.lock();
        counts.has_room()?;
        let network = Some(counts.take(ip)?);
        counts.total += 1;
        drop(counts);
        Ok(Slot { connections: Arc::clone(self), network })
    }

    /// Takes a slot for a connection of which a balancer will say whose it is.
    pub(super) fn enter_unnamed(self: &Arc<Self>) -> Result<Slot, Refusal> {
        let mut counts = self.lock();
        counts.has_room()?;
        counts.total += 1;
        drop(counts);
        Ok(Slot { connections: Arc::clone(self), network: None })
    }

    fn leave(&self, network: Option<IpAddr>) {
        let mut counts = self.lock();
        counts.total = counts.total.saturating_sub(1);
        let Some(network) = network else { return };
        if let Some(held) = counts.by_network.get_mut(&network) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                counts.by_network.remove(&network);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Every update is complete before the guard goes, so a panic elsewhere leaves good counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Counts the connection under `ip`, which must be canonical, now that it is known.
    pub(super) fn count_under(&mut self, ip: IpAddr) -> Result<(), Refusal> {
        let network = self.connections.lock().take(ip)?;
        self.network = Some(network);
        Ok(())
    }
}

impl Counts {
    fn has_room(&self) -> Result<(), Refusal> {
        if self.total < self.limits.total.get() { Ok(()) } else { Err(Refusal::Total) }
    }

    /// Counts one more connection of an address and tells what it is counted under.
    fn take(&mut self, ip: IpAddr) -> Result<IpAddr, Refusal> {
        let (network, limit) = (network_of(ip), self.limit(ip));
        let held = self.by_network.entry(network).or_default();
        if *held >= limit.get() {
            return Err(Refusal::Address);
        }
        *held += 1;
        Ok(network)
    }

    fn limit(&self, ip: IpAddr) -> NonZeroUsize {
        let named = self.limits.per_network.iter().find(|(network, _)| network.contains(&ip));
        named.map_or(self.limits.per_address, |(_, limit)| *limit)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.leave(self.network);
    }
}

fn by_longest_prefix(mut limits: ConnectionLimits) -> ConnectionLimits {
    limits.per_network.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total: usize, each: usize, named: &[(&str, usize)]) -> Arc<Connections> {
        let count = |n| NonZeroUsize::new(n).unwrap();
        Connections::new(ConnectionLimits {
            total: count(total),
            per_address: count(each),
            per_network: named.iter().map(|(net, n)| (net.parse().unwrap(), count(*n))).collect(),
            ..ConnectionLimits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_dropped_slot_is_free_again_and_leaves_no_trace() {
        let connections = connections(10, 1, &[]);
        let slot = connections.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(connections.enter(ip("192.0.2.1")).unwrap_err(), Refusal::Address);
        assert!(connections.enter(ip("192.0.2.2")).is_ok());
        drop(slot);
        assert!(connections.enter(ip("192.0.2.1")).is_ok());
        assert_eq!(connections.open(), 0);
        assert!(connections.lock().by_network.is_empty());
    }

    #[test]
    fn the_total_holds_for_all_addresses() {
        let connections = connections(2, 9, &[]);
        let _one = connections.enter(ip("192.0.2.1")).unwrap();
        let _two = connections.enter(ip("192.0.2.2")).unwrap();
        assert_eq!(connections.enter(ip("192.0.2.3")).unwrap_err(), Refusal::Total);
        assert_eq!(connections.lock().by_network.len(), 2);
    }

    #[test]
    fn an_ipv6_64_is_one_address() {
        let connections = connections(10, 1, &[]);
        let _one = connections.enter(ip("2001:db8:1:2::1")).unwrap();
        assert!(connections.enter(ip("2001:db8:1:2:ffff::9")).is_err());
        assert!(connections.enter(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn the_longest_prefix_decides() {
        let connections = connections(100, 1, &[("10.0.0.0/8", 3), ("10.1.0.0/16", 2)]);
        let held = |text: &str| {
            let mut slots = Vec::new();
            while let Ok(slot) = connections.enter(ip(text)) {
                slots.push(slot);
            }
            slots.len()
        };
        assert_eq!(held("10.9.0.1"), 3);
        assert_eq!(held("10.1.0.1"), 2);
        assert_eq!(held("192.0.2.1"), 1);
    }

    #[test]
    fn a_connection_counts_under_whoever_it_turns_out_to_be_of() {
        let connections = connections(3, 1, &[]);
        let mut one = connections.enter_unnamed().unwrap();
        let mut two = connections.enter_unnamed().unwrap();
        let mut three = connections.enter_unnamed().unwrap();
        assert_eq!(connections.enter_unnamed().unwrap_err(), Refusal::Total);
        one.count_under(ip("192.0.2.1")).unwrap();
        assert_eq!(two.count_under(ip("192.0.2.1")).unwrap_err(), Refusal::Address);
        three.count_under(ip("192.0.2.2")).unwrap();
        drop(two);
        assert_eq!(connections.open(), 2);
        drop((one, three));
        assert!(connections.lock().by_network.is_empty());
        assert!(connections.enter(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn smaller_limits_keep_what_is_open() {
        let connections = connections(10, 2, &[]);
        let slots = [connections.enter(ip("::1")).unwrap(), connections.enter(ip("::1")).unwrap()];
        connections.set_limits(ConnectionLimits {
            per_address: NonZeroUsize::MIN,
            ..ConnectionLimits::default()
        });
        assert_eq!(connections.open(), 2);
        assert!(connections.enter(ip("::1")).is_err());
        drop(slots);
        assert!(connections.enter(ip("::1")).is_ok());
    }
}
