//! Which endpoints may be dialled, and when again: the one back-off of every dial, bans, and a memory of oneself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::types::Time;

/// The most endpoints that are remembered.
const ENDPOINTS_MAX: usize = 8_192;
/// With this number of banned endpoints the whole address is banned: the peer there comes back under other ports.
const BANNED_PER_ADDRESS_MAX: usize = 3;

/// What is remembered of endpoints.
#[derive(Debug, Default)]
pub(crate) struct Dialer {
    wait_min: Duration,
    wait_max: Duration,
    /// Endpoints that failed.
    failures: BTreeMap<SocketAddr, Failures>,
    /// Endpoints where something answers that is no peer, and of which that was told.
    strangers: BTreeSet<SocketAddr>,
    /// Endpoints that were banned, and until when.
    banned: BTreeMap<SocketAddr, Time>,
    /// Addresses that were banned as a whole, and until when.
    banned_addresses: BTreeMap<IpAddr, Time>,
    /// Bad chunks of endpoints.
    bad_chunks: BTreeMap<SocketAddr, u32>,
    /// Endpoints where nobody said hello when they were dialled last.
    away: BTreeSet<SocketAddr>,
    /// Endpoints that turned out to be this peer.
    own: BTreeSet<SocketAddr>,
    /// This host's addresses, where many peers may be.
    own_addresses: Vec<IpAddr>,
}

/// How an endpoint failed.
#[derive(Debug, Clone, Copy)]
struct Failures {
    /// How often in a row.
    count: u32,
    last: Time,
    /// When it may be dialled again.
    again: Time,
}

impl Dialer {
    /// Waits `wait_min` after a first failure, twice as long after each further one, `wait_max` at most.
    pub(crate) fn new(wait_min: Duration, wait_max: Duration, own_addresses: Vec<IpAddr>) -> Dialer {
        Dialer { wait_min, wait_max, own_addresses, ..Dialer::default() }
    }

    /// Whether `to` may be dialled now.
    pub(crate) fn may_dial(&self, now: Time, to: &SocketAddr) -> bool {
        !self.own.contains(to)
            && !self.is_banned(now, to)
            && self.failures.get(to).is_none_or(|failures| failures.again <= now)
    }

    /// When `to` may be dialled again, if that is later than now and not never.
    pub(crate) fn again(&self, now: Time, to: &SocketAddr) -> Option<Time> {
        if self.own.contains(to) {
            return None;
        }
        let failed = self.failures.get(to).map(|failures| failures.again);
        let banned = self.banned_until(now, to);
        failed.max(banned).filter(|again| *again > now)
    }

    /// A dial failed, or its connection is over.
    pub(crate) fn failed(&mut self, now: Time, to: SocketAddr) {
        self.failed_at_most(now, to, self.wait_max);
    }

    /// The same, for an endpoint that is waited for no longer than `wait_max`.
    pub(crate) fn failed_at_most(&mut self, now: Time, to: SocketAddr, wait_max: Duration) {
        if self.failures.len() >= ENDPOINTS_MAX && !self.failures.contains_key(&to) {
            let soonest = self.failures.iter().min_by_key(|(_, failures)| failures.again);
            if let Some(soonest) = soonest.map(|(addr, _)| *addr) {
                self.failures.remove(&soonest);
            }
        }
        let failures = self.failures.entry(to).or_insert(Failures { count: 0, last: now, again: now });
        let doubled = self.wait_min.saturating_mul(1u32.checked_shl(failures.count).unwrap_or(u32::MAX));
        failures.count = failures.count.saturating_add(1).min(31);
        failures.last = now;
        failures.again = now + doubled.min(wait_max).min(self.wait_max);
    }

    /// How often it failed in a row.
    pub(crate) fn failures(&self, to: &SocketAddr) -> u32 {
        self.failures.get(to).map_or(0, |failures| failures.count)
    }

    /// Whether it failed, and no connection to it was of use since.
    pub(crate) fn has_failed(&self, to: &SocketAddr) -> bool {
        self.failures.contains_key(to)
    }

    /// Nobody there said hello when it was dialled.
    pub(crate) fn unanswered(&mut self, to: SocketAddr) {
        if self.away.len() >= ENDPOINTS_MAX {
            self.away.clear();
        }
        self.away.insert(to);
    }

    /// Somebody there said hello.
    pub(crate) fn answered(&mut self, to: &SocketAddr) {
        self.away.remove(to);
    }

    /// Whether the last dial to it failed.
    pub(crate) fn is_away(&self, to: &SocketAddr) -> bool {
        self.away.contains(to)
    }

    /// A connection to it was of use.
    pub(crate) fn succeeded(&mut self, to: &SocketAddr) {
        self.failures.remove(to);
    }

    /// Another peer than before is said to be there: it waits no longer than after a first failure. What failed is not
    /// forgotten, because anybody can say so, again and again.
    pub(crate) fn newcomer(&mut self, to: &SocketAddr) {
        if let Some(failures) = self.failures.get_mut(to) {
            failures.again = failures.again.min(failures.last + self.wait_min);
        }
    }

    /// Something answers there that is no peer. True when that was not told yet.
    pub(crate) fn note_stranger(&mut self, there: SocketAddr) -> bool {
        self.strangers.len() < ENDPOINTS_MAX && self.strangers.insert(there)
    }

    /// A peer answers there.
    pub(crate) fn note_peer(&mut self, there: &SocketAddr) {
        self.strangers.remove(there);
    }

    /// It is this peer itself.
    pub(crate) fn is_self(&mut self, to: SocketAddr) {
        if self.own.len() < ENDPOINTS_MAX {
            self.own.insert(to);
        }
    }

    /// It sent a bad chunk; returns how many by now.
    pub(crate) fn bad_chunk(&mut self, from: SocketAddr) -> u32 {
        if self.bad_chunks.len() >= ENDPOINTS_MAX {
            self.bad_chunks.clear();
        }
        let count = self.bad_chunks.entry(from).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Bans an endpoint until `until`: nothing is requested of it. The third ban bans its address.
    pub(crate) fn ban(&mut self, now: Time, whom: SocketAddr, until: Time) {
        if self.banned.len() >= ENDPOINTS_MAX {
            self.banned.retain(|_, until| *until > now);
        }
        self.bad_chunks.remove(&whom);
        self.banned.insert(whom, until);
        let ip = whom.ip();
        let (first, last) = (SocketAddr::new(ip, 0), SocketAddr::new(ip, u16::MAX));
        let bans = self.banned.range(first..=last).filter(|(_, until)| **until > now).count();
        let is_shared = ip.is_loopback() || self.own_addresses.contains(&ip);
        if !is_shared && bans >= BANNED_PER_ADDRESS_MAX {
            if self.banned_addresses.len() >= ENDPOINTS_MAX {
                self.banned_addresses.retain(|_, until| *until > now);
            }
            self.banned_addresses.insert(ip, until);
        }
    }

    /// Whether it is banned.
    pub(crate) fn is_banned(&self, now: Time, whom: &SocketAddr) -> bool {
        self.banned_until(now, whom).is_some()
    }

    /// Until when it is banned, itself or with its address.
    fn banned_until(&self, now: Time, whom: &SocketAddr) -> Option<Time> {
        let until = self.banned.get(whom).max(self.banned_addresses.get(&whom.ip()));
        until.copied().filter(|until| *until > now)
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
        dialer.failed(Time::ZERO, to);
        dialer.failed_at_most(Time::ZERO, to, Duration::from_millis(10));
        assert_eq!(dialer.again(Time::ZERO, &to), Some(Time::from_millis(10)));
    }

    #[test]
    fn a_newcomer_waits_for_little_and_nothing_is_forgotten() {
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(60), Vec::new());
        let to = SocketAddr::from(([127, 0, 0, 1], 7117));
        for _ in 0..4 {
            dialer.failed(Time::ZERO, to);
        }
        dialer.newcomer(&to);
        assert_eq!(dialer.again(Time::ZERO, &to), Some(Time::from_millis(1_000)));
        dialer.failed(Time::from_millis(1_000), to);
        assert_eq!(dialer.again(Time::ZERO, &to), Some(Time::from_millis(17_000)));
    }

    #[test]
    fn a_full_table_forgets_what_may_be_dialled_first() {
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(60), Vec::new());
        let at = |number: usize| {
            let [.., high, low] = number.to_be_bytes();
            SocketAddr::from(([10, 0, high, low], 7117))
        };
        for number in 0..ENDPOINTS_MAX {
            dialer.failed(Time::from_millis(1_000), at(number));
        }
        dialer.failed(Time::ZERO, at(7));
        dialer.failed(Time::ZERO, at(ENDPOINTS_MAX));
        assert_eq!(dialer.failures.len(), ENDPOINTS_MAX);
        assert_eq!(dialer.failures(&at(ENDPOINTS_MAX)), 1);
    }

    #[test]
    fn bans_end_and_oneself_does_not() {
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(5), Vec::new());
        let to = SocketAddr::from(([127, 0, 0, 1], 7117));
        dialer.ban(Time::ZERO, to, Time::from_millis(10));
        assert!(!dialer.may_dial(Time::ZERO, &to) && dialer.may_dial(Time::from_millis(10), &to));
        dialer.is_self(to);
        assert!(!dialer.may_dial(Time::from_millis(10), &to));
        assert_eq!(dialer.again(Time::ZERO, &to), None);
    }

    #[test]
    fn an_address_with_many_banned_ports_is_banned() {
        let own = IpAddr::from([10, 0, 0, 9]);
        let mut dialer = Dialer::new(Duration::from_secs(1), Duration::from_secs(5), vec![own]);
        let until = Time::from_millis(10);
        for ip in [IpAddr::from([10, 0, 0, 1]), own, IpAddr::from([127, 0, 0, 1])] {
            for port in 2_000..2_002 {
                dialer.ban(Time::ZERO, SocketAddr::new(ip, port), until);
            }
            assert!(!dialer.is_banned(Time::ZERO, &SocketAddr::new(ip, 3_000)));
            dialer.ban(Time::ZERO, SocketAddr::new(ip, 2_002), until);
        }
        let other = SocketAddr::from(([10, 0, 0, 1], 3_000));
        assert!(dialer.is_banned(Time::ZERO, &other) && !dialer.is_banned(until, &other));
        assert_eq!(dialer.again(Time::ZERO, &other), Some(until));
        assert!(!dialer.is_banned(Time::ZERO, &SocketAddr::new(own, 3_000)));
        assert!(!dialer.is_banned(Time::ZERO, &SocketAddr::from(([127, 0, 0, 1], 3_000))));
    }
}
