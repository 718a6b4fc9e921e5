//! Places for connections: which are taken, by whom, and since when each was of no use.
//!
//! Knows neither what a connection is of use for nor how it is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::io::ConnId;
use crate::types::Time;

/// The connections that have a place. A connection that is being closed to make room has none any more.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: BTreeMap<ConnId, (IpAddr, Time)>,
    /// By the moment up to which each is known to have been of use. Nobody says so when that changes: who looks for a
    /// connection that can go looks at the first ones, and moves those that were of use since ([`Places::note`]).
    by_age: BTreeSet<(Time, ConnId)>,
    /// The same for each address.
    by_address: BTreeSet<(IpAddr, Time, ConnId)>,
    /// How many each address has, and the addresses by that.
    counts: BTreeMap<IpAddr, usize>,
    by_count: BTreeSet<(usize, IpAddr)>,
}

impl Places {
    /// A connection with this address takes a place.
    pub(crate) fn take(&mut self, conn: ConnId, ip: IpAddr, now: Time) {
        self.give_back(conn);
        self.taken.insert(conn, (ip, now));
        self.by_age.insert((now, conn));
        self.by_address.insert((ip, now, conn));
        self.count(ip, self.of(ip).saturating_add(1));
    }

    /// A connection leaves its place, if it has one.
    pub(crate) fn give_back(&mut self, conn: ConnId) {
        if let Some((ip, at)) = self.taken.remove(&conn) {
            self.by_age.remove(&(at, conn));
            self.by_address.remove(&(ip, at, conn));
            self.count(ip, self.of(ip).saturating_sub(1));
        }
    }

    /// How many are taken.
    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }

    /// How many connections with this address have one.
    pub(crate) fn of(&self, ip: IpAddr) -> usize {
        self.counts.get(&ip).copied().unwrap_or(0)
    }

    /// The address that has most, and how many.
    pub(crate) fn most_crowded(&self) -> Option<(IpAddr, usize)> {
        self.by_count.last().map(|(count, ip)| (*ip, *count))
    }

    /// The connection that was of use least recently, as far as is known, of all or of one address; and when that was.
    pub(crate) fn oldest(&self, of: Option<IpAddr>) -> Option<(ConnId, Time)> {
        match of {
            Some(ip) => self.first_of(ip),
            None => self.by_age.first().map(|(at, conn)| (*conn, *at)),
        }
    }

    /// A connection was of use at this moment.
    pub(crate) fn note(&mut self, conn: ConnId, at: Time) {
        if let Some((ip, _)) = self.taken.get(&conn) {
            self.take(conn, *ip, at);
        }
    }

    fn count(&mut self, ip: IpAddr, count: usize) {
        if let Some(was) = self.counts.remove(&ip) {
            self.by_count.remove(&(was, ip));
        }
        if count > 0 {
            self.counts.insert(ip, count);
            self.by_count.insert((count, ip));
        }
    }

    fn first_of(&self, ip: IpAddr) -> Option<(ConnId, Time)> {
        let first = (ip, Time::ZERO, ConnId { slot: 0, generation: 0 });
        let (of, at, conn) = self.by_address.range(first..).next()?;
        (*of == ip).then_some((*conn, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_who_was_of_use_least_recently() {
        let conn = |slot| ConnId { slot, generation: 0 };
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let mut places = Places::default();
        for slot in 0..6 {
            places.take(conn(slot), host(slot as u8 % 2), Time::from_millis(u64::from(slot)));
        }
        assert_eq!(places.oldest(None), Some((conn(0), Time::ZERO)));
        assert_eq!(places.oldest(Some(host(1))), Some((conn(1), Time::from_millis(1))));
        places.note(conn(0), Time::from_millis(9));
        assert_eq!(places.oldest(None), Some((conn(1), Time::from_millis(1))));
        assert_eq!(places.oldest(Some(host(0))), Some((conn(2), Time::from_millis(2))));
        [1, 3, 5, 5].into_iter().for_each(|slot| places.give_back(conn(slot)));
        assert_eq!((places.of(host(1)), places.of(host(0))), (0, 3));
        assert_eq!((places.most_crowded(), places.oldest(Some(host(1)))), (Some((host(0), 3)), None));
        places.note(conn(1), Time::ZERO);
        assert_eq!((places.len(), places.oldest(None)), (3, Some((conn(2), Time::from_millis(2)))));
    }
}
