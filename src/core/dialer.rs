//! Which endpoints may be dialled, and when again: back-off, strikes, and a memory of oneself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::sorted::{SortedMap, SortedSet};
use crate::core::time::Time;

/// The most endpoints that are remembered.
const ENDPOINTS_MAX: usize = 8_192;
/// So many struck endpoints of one address mean the whole address: whoever is there comes back under other ports.
const STRUCK_PER_ADDRESS_MAX: usize = 3;

/// What is remembered of endpoints.
#[derive(Debug)]
pub(in crate::core) struct Dialer {
    wait_min: Duration,
    wait_max: Duration,
    /// Endpoints that failed: how often in a row, and when they may be dialled again.
    failures: SortedMap<SocketAddr, (u32, Time)>,
    /// Endpoints that were struck, and until when.
    struck: SortedMap<SocketAddr, Time>,
    /// Bad chunks of endpoints.
    bad_chunks: SortedMap<SocketAddr, u32>,
    /// Endpoints where nobody said hello when they were dialled last.
    away: SortedSet<SocketAddr>,
    /// Endpoints that turned out to be this peer.
    own: SortedSet<SocketAddr>,
    /// This host's addresses, where many peers may be.
    own_addresses: Vec<IpAddr>,
}

impl Dialer {
    /// Waits `wait_min` after a first failure, twice as long after each further one, `wait_max` at most.
    pub(in crate::core) fn new(wait_min: Duration, wait_max: Duration, own_addresses: Vec<IpAddr>) -> Dialer {
        Dialer {
            wait_min,
            wait_max,
            failures: SortedMap::new(),
            struck: SortedMap::new(),
            bad_chunks: SortedMap::new(),
            away: SortedSet::new(),
            own: SortedSet::new(),
            own_addresses,
        }
    }

    /// Whether `to` may be dialled now.
    pub(in crate::core) fn may_dial(&self, now: Time, to: &SocketAddr) -> bool {
        !self.own.contains(to)
            && !self.is_struck(now, to)
            && self.failures.get(to).is_none_or(|(_, again)| *again <= now)
    }

    /// When `to` may be dialled again, if that is later than now and not never.
    pub(in crate::core) fn again(&self, now: Time, to: &SocketAddr) -> Option<Time> {
        if self.own.contains(to) {
            return None;
        }
        let failed = self.failures.get(to).map(|(_, again)| *again);
        let struck = self.struck_until(now, to);
        failed.max(struck).filter(|again| *again > now)
    }

    /// A dial failed, or its connection ended before anything useful came of it.
    pub(in crate::core) fn failed(&mut self, now: Time, to: SocketAddr) {
        if self.failures.len() >= ENDPOINTS_MAX {
            self.failures.retain(|_, (_, again)| *again > now);
        }
        if self.failures.len() >= ENDPOINTS_MAX {
            return;
        }
        let (count, again) = self.failures.entry(to).or_insert((0, now));
        let wait =
            self.wait_min.saturating_mul(1u32.checked_shl(*count).unwrap_or(u32::MAX)).min(self.wait_max);
        *count = count.saturating_add(1).min(31);
        *again = now + wait;
    }

    /// Nobody there said hello when it was dialled.
    pub(in crate::core) fn unanswered(&mut self, to: SocketAddr) {
        if self.away.len() >= ENDPOINTS_MAX {
            self.away.clear();
        }
        self.away.insert(to);
    }

    /// Somebody there said hello.
    pub(in crate::core) fn answered(&mut self, to: &SocketAddr) {
        self.away.remove(to);
    }

    /// Whether the last dial to it failed.
    pub(in crate::core) fn is_away(&self, to: &SocketAddr) -> bool {
        self.away.contains(to)
    }

    /// A connection to it stands.
    pub(in crate::core) fn succeeded(&mut self, to: &SocketAddr) {
        self.failures.remove(to);
    }

    /// It is this peer itself.
    pub(in crate::core) fn is_self(&mut self, to: SocketAddr) {
        if self.own.len() < ENDPOINTS_MAX {
            self.own.insert(to);
        }
    }

    /// It sent a bad chunk; returns how many by now.
    pub(in crate::core) fn bad_chunk(&mut self, from: SocketAddr) -> u32 {
        if self.bad_chunks.len() >= ENDPOINTS_MAX {
            self.bad_chunks.clear();
        }
        let count = self.bad_chunks.entry(from).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Nothing is asked of it until `until`.
    pub(in crate::core) fn strike(&mut self, now: Time, whom: SocketAddr, until: Time) {
        if self.struck.len() >= ENDPOINTS_MAX {
            self.struck.retain(|_, until| *until > now);
        }
        self.bad_chunks.remove(&whom);
        self.struck.insert(whom, until);
    }

    /// Whether it is struck.
    pub(in crate::core) fn is_struck(&self, now: Time, whom: &SocketAddr) -> bool {
        self.struck_until(now, whom).is_some()
    }

    /// Until when it is struck at least, if it is: itself, or with its whole address.
    fn struck_until(&self, now: Time, whom: &SocketAddr) -> Option<Time> {
        let ip = whom.ip();
        let (first, last) = (SocketAddr::new(ip, 0), SocketAddr::new(ip, u16::MAX));
        let of_address =
            self.struck.range(first..=last).map(|(_, until)| *until).filter(|until| *until > now);
        let shared = ip.is_loopback() || self.own_addresses.contains(&ip);
        let address = if !shared && of_address.clone().count() >= STRUCK_PER_ADDRESS_MAX {
            of_address.min()
        } else {
            None
        };
        self.struck.get(whom).copied().filter(|until| *until > now).max(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_end() {
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(5), Vec::new());
        let to = SocketAddr::from(([127, 0, 0, 1], 7117));
        let mut waits = Vec::new();
        for _ in 0..5 {
            dialer.failed(Time::ZERO, to);
            waits.push(dialer.again(Time::ZERO, &to).unwrap().since(Time::ZERO).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert!(!dialer.may_dial(Time::ZERO, &to) && dialer.may_dial(Time::from_millis(5_000), &to));
        dialer.succeeded(&to);
        assert!(dialer.may_dial(Time::ZERO, &to));
    }

    #[test]
    fn strikes_end_and_oneself_does_not() {
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(5), Vec::new());
        let to = SocketAddr::from(([127, 0, 0, 1], 7117));
        dialer.strike(Time::ZERO, to, Time::from_millis(10));
        assert!(!dialer.may_dial(Time::ZERO, &to) && dialer.may_dial(Time::from_millis(10), &to));
        dialer.is_self(to);
        assert!(!dialer.may_dial(Time::from_millis(10), &to));
        assert_eq!(dialer.again(Time::ZERO, &to), None);
    }

    #[test]
    fn who_is_struck_under_many_ports_is_struck_under_all() {
        let own = IpAddr::from([10, 0, 0, 9]);
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(5), vec![own]);
        let until = Time::from_millis(10);
        for ip in [IpAddr::from([10, 0, 0, 1]), own, IpAddr::from([127, 0, 0, 1])] {
            for port in 2_000..2_002 {
                dialer.strike(Time::ZERO, SocketAddr::new(ip, port), until);
            }
            assert!(!dialer.is_struck(Time::ZERO, &SocketAddr::new(ip, 3_000)));
            dialer.strike(Time::ZERO, SocketAddr::new(ip, 2_002), until);
        }
        let other = SocketAddr::from(([10, 0, 0, 1], 3_000));
        assert!(dialer.is_struck(Time::ZERO, &other) && !dialer.is_struck(until, &other));
        assert_eq!(dialer.again(Time::ZERO, &other), Some(until));
        assert!(!dialer.is_struck(Time::ZERO, &SocketAddr::new(own, 3_000)));
        assert!(!dialer.is_struck(Time::ZERO, &SocketAddr::from(([127, 0, 0, 1], 3_000))));
    }
}
