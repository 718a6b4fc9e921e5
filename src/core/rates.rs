//! How many datagrams are looked at: so many a second of one source, so many of all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::core::limits::Limits;
use crate::core::time::Time;

/// The most sources that are counted one by one; a second in which more come counts them together.
const SOURCES_MAX: usize = 4_096;
const SECOND: Duration = Duration::from_secs(1);

/// Counts of the present second.
#[derive(Debug)]
pub(in crate::core) struct Rates {
    per_source: u32,
    total: u32,
    second_began: Time,
    counted: u32,
    sources: BTreeMap<IpAddr, u32>,
}

impl Rates {
    /// Nothing counted yet.
    pub(in crate::core) fn new(limits: &Limits) -> Rates {
        Rates {
            per_source: limits.datagrams_per_source_per_s,
            total: limits.datagrams_per_s,
            second_began: Time::ZERO,
            counted: 0,
            sources: BTreeMap::new(),
        }
    }

    /// Counts a datagram; false when it is one too many.
    pub(in crate::core) fn admit(&mut self, now: Time, source: IpAddr) -> bool {
        if now.since(self.second_began) >= SECOND {
            self.second_began = now;
            self.counted = 0;
            self.sources.clear();
        }
        if self.counted >= self.total
            || (self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source))
        {
            return false;
        }
        let of_source = self.sources.entry(source).or_default();
        if *of_source >= self.per_source {
            return false;
        }
        *of_source += 1;
        self.counted += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_admits_so_many() {
        let limits = Limits { datagrams_per_source_per_s: 2, datagrams_per_s: 3, ..Limits::default() };
        let mut rates = Rates::new(&limits);
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let mut admit = |ms, last| rates.admit(Time::from_millis(ms), host(last));
        assert_eq!([admit(0, 1), admit(1, 1), admit(2, 1)], [true, true, false]);
        assert_eq!([admit(3, 2), admit(4, 2)], [true, false]);
        assert!(admit(1_000, 1));
    }
}
