//! What each address did in the present second.
//!
//! Addresses of IPv4 have a table of their own: with keys of 4 bytes instead of the 17 of an [`IpAddr`], a thousand entries
//! take 19 KB instead of 45. Of a thousand simulated peers each has two such tables.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::types::time::Time;

/// The most addresses that are counted in a second.
const SOURCES_MAX: usize = 8_192;
const SECOND: Duration = Duration::from_secs(1);

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct Sources {
    second_began: Time,
    v4: BTreeMap<Ipv4Addr, u32>,
    v6: BTreeMap<Ipv6Addr, u32>,
}

impl Sources {
    /// Nothing counted yet.
    pub(crate) const fn new(now: Time) -> Sources {
        Sources { second_began: now, v4: BTreeMap::new(), v6: BTreeMap::new() }
    }

    /// Begins another second when the present one is over. True if it was.
    pub(crate) fn renew(&mut self, now: Time) -> bool {
        let is_over = self.forget(now);
        if is_over {
            self.second_began = now;
        }
        is_over
    }

    /// Frees the counts of a second that is over. True if it is.
    pub(crate) fn forget(&mut self, now: Time) -> bool {
        let is_over = now >= self.end();
        if is_over {
            self.v4.clear();
            self.v6.clear();
        }
        is_over
    }

    /// When the present second is over.
    pub(crate) fn end(&self) -> Time {
        self.second_began + SECOND
    }

    /// What was counted of an address; `None`: nothing, and there is no room to count it.
    pub(crate) fn of(&self, source: &IpAddr) -> Option<u32> {
        let count = match source {
            IpAddr::V4(source) => self.v4.get(source),
            IpAddr::V6(source) => self.v6.get(source),
        };
        let has_room = self.v4.len().saturating_add(self.v6.len()) < SOURCES_MAX;
        count.copied().or(has_room.then_some(0))
    }

    /// Counts more of an address; returns how much that is by now.
    pub(crate) fn add(&mut self, source: IpAddr, more: u32) -> u32 {
        let count = match source {
            IpAddr::V4(source) => self.v4.entry(source).or_default(),
            IpAddr::V6(source) => self.v6.entry(source).or_default(),
        };
        *count = count.saturating_add(more);
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_counts_so_many_addresses_of_both_kinds_and_is_forgotten() {
        let v4 = |number: u32| IpAddr::from(number.to_be_bytes());
        let v6 = IpAddr::from([7; 16]);
        let mut sources = Sources::new(Time::ZERO);
        assert_eq!((sources.add(v6, 2), sources.add(v6, 3), sources.of(&v6)), (2, 5, Some(5)));
        for number in 0..8_191 {
            assert_eq!((sources.of(&v4(number)), sources.add(v4(number), 1)), (Some(0), 1));
        }
        assert_eq!([v4(0), v4(8_191), v6].map(|source| sources.of(&source)), [Some(1), None, Some(5)]);
        assert!(!sources.renew(Time::from_millis(999)) && sources.of(&v4(8_191)).is_none());
        // Forgetting begins no second.
        assert!(sources.forget(Time::from_millis(1_000)) && sources.of(&v6) == Some(0));
        assert!(sources.renew(Time::from_millis(1_500)) && sources.end() == Time::from_millis(2_500));
    }
}
