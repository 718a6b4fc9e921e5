//! The requests of one download, by chunk, with the counts that are asked for at every turn kept beside them.
//!
//! Reading is that of the map; whatever changes a request goes through here, so that the counts stay right.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::core::io::ConnId;
use crate::types::Time;

/// One request for a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) conn: ConnId,
    pub(crate) asked: Time,
    /// When its first byte came.
    pub(crate) begun: Option<Time>,
    /// It took too long: the chunk may be asked elsewhere.
    pub(crate) late: bool,
    /// It was moved here without hearing whether the other source had begun: the chunk may still come from there.
    pub(crate) moved: bool,
    /// It was revoked, to be moved: where to, and when.
    pub(crate) revoked: Option<(ConnId, Time)>,
}

/// Requests by chunk: one, or two when the first is late or all is in flight.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_chunk: BTreeMap<u32, Vec<Flight>>,
    /// Chunks with a request that is not late.
    timely: usize,
    /// How many requests are late at each connection where one is.
    late_at: BTreeMap<ConnId, usize>,
}

impl Deref for Flights {
    type Target = BTreeMap<u32, Vec<Flight>>;

    fn deref(&self) -> &BTreeMap<u32, Vec<Flight>> {
        &self.by_chunk
    }
}

impl Flights {
    /// How many chunks are asked for and not late.
    pub(crate) fn timely(&self) -> usize {
        self.timely
    }

    /// Whether a request at `conn` is late.
    pub(crate) fn is_late_at(&self, conn: ConnId) -> bool {
        self.late_at.contains_key(&conn)
    }

    /// The request of `chunk` at `conn`.
    pub(crate) fn at(&self, chunk: u32, conn: ConnId) -> Option<&Flight> {
        self.by_chunk.get(&chunk)?.iter().find(|flight| flight.conn == conn)
    }

    /// `chunk` is asked for at a connection.
    pub(crate) fn insert(&mut self, chunk: u32, flight: Flight) {
        self.change(chunk, |flights| flights.push(flight));
        self.count_late(flight.conn, false, flight.late);
    }

    /// The first byte of `chunk` came from `conn`: when it was asked for there, if it was.
    pub(crate) fn begin(&mut self, chunk: u32, conn: ConnId, now: Time) -> Option<Time> {
        let (asked, was_late) = self.change(chunk, |flights| {
            let flight = flights.iter_mut().find(|flight| flight.conn == conn)?;
            flight.begun = Some(now);
            Some((flight.asked, std::mem::take(&mut flight.late)))
        })?;
        self.count_late(conn, was_late, false);
        Some(asked)
    }

    /// The request of `chunk` at `conn` is late.
    pub(crate) fn mark_late(&mut self, chunk: u32, conn: ConnId) {
        let was_late = self.change(chunk, |flights| {
            let flight = flights.iter_mut().find(|flight| flight.conn == conn)?;
            Some(std::mem::replace(&mut flight.late, true))
        });
        self.count_late(conn, false, was_late == Some(false));
    }

    /// The request of `chunk` at `conn` was moved there, unasked.
    pub(crate) fn note_moved(&mut self, chunk: u32, conn: ConnId) {
        let flights = self.by_chunk.get_mut(&chunk).map_or(&mut [][..], Vec::as_mut_slice);
        flights.iter_mut().filter(|flight| flight.conn == conn).for_each(|flight| flight.moved = true);
    }

    /// The request of `chunk` at `conn` was revoked, to be moved to another connection.
    pub(crate) fn note_revoked(&mut self, chunk: u32, conn: ConnId, to: ConnId, now: Time) {
        let flights = self.by_chunk.get_mut(&chunk).map_or(&mut [][..], Vec::as_mut_slice);
        if let Some(flight) = flights.iter_mut().find(|flight| flight.conn == conn) {
            flight.revoked = Some((to, now));
        }
    }

    /// Takes out the request of `chunk` at `conn`.
    pub(crate) fn remove(&mut self, chunk: u32, conn: ConnId) -> Option<Flight> {
        let flight = self.change(chunk, |flights| {
            let at = flights.iter().position(|flight| flight.conn == conn)?;
            Some(flights.swap_remove(at))
        })?;
        self.count_late(conn, flight.late, false);
        Some(flight)
    }

    /// Changes the requests of a chunk, and how many chunks are on their way in time.
    fn change<T>(&mut self, chunk: u32, change: impl FnOnce(&mut Vec<Flight>) -> T) -> T {
        let timely = |flights: &[Flight]| flights.iter().any(|flight| !flight.late);
        // Most chunks have one request, and a list begins with room for four.
        let flights = self.by_chunk.entry(chunk).or_insert_with(|| Vec::with_capacity(1));
        let before = timely(flights);
        let changed = change(flights);
        let after = timely(flights);
        if flights.is_empty() {
            self.by_chunk.remove(&chunk);
        }
        self.timely = self.timely.saturating_add(usize::from(after)).saturating_sub(usize::from(before));
        changed
    }

    fn count_late(&mut self, conn: ConnId, was: bool, is: bool) {
        if is {
            let count = self.late_at.entry(conn).or_default();
            *count = count.saturating_add(1);
        }
        if was && let Some(count) = self.late_at.get_mut(&conn) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.late_at.remove(&conn);
            }
        }
    }

    /// Panics when a count is not that of the requests.
    pub(crate) fn check(&self) {
        let timely = self.by_chunk.values().filter(|flights| flights.iter().any(|flight| !flight.late));
        assert_eq!(timely.count(), self.timely, "chunks that are not late");
        let late = || self.by_chunk.values().flatten().filter(|flight| flight.late);
        let count = |of: &ConnId| late().filter(|flight| flight.conn == *of).count();
        assert!(late().all(|flight| self.late_at.contains_key(&flight.conn)), "requests that are late");
        assert!(self.late_at.iter().all(|(conn, late)| *late == count(conn)), "requests that are late");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn flight(slot: u32) -> Flight {
        Flight { conn: conn(slot), asked: Time::ZERO, begun: None, late: false, moved: false, revoked: None }
    }

    #[test]
    fn the_counts_follow_each_change() {
        let mut flights = Flights::default();
        for (chunk, slot) in [(1, 1), (2, 1), (2, 2), (3, 2)] {
            flights.insert(chunk, flight(slot));
            flights.check();
        }
        assert_eq!((flights.timely(), flights.len()), (3, 3));
        for (chunk, slot) in [(2, 1), (2, 2), (3, 2), (3, 2)] {
            flights.mark_late(chunk, conn(slot));
            flights.check();
        }
        assert_eq!(
            (flights.timely(), flights.is_late_at(conn(1)), flights.is_late_at(conn(2))),
            (1, true, true)
        );
        assert_eq!(flights.begin(2, conn(1), Time::ZERO), Some(Time::ZERO));
        assert_eq!(flights.begin(2, conn(3), Time::ZERO), None);
        assert_eq!((flights.timely(), flights.is_late_at(conn(1))), (2, false));
        assert_eq!(flights.at(2, conn(1)).and_then(|flight| flight.begun), Some(Time::ZERO));
        flights.check();
        for (chunk, slot) in [(3, 2), (2, 2), (2, 1), (1, 1)] {
            assert!(
                flights.remove(chunk, conn(slot)).is_some() && flights.remove(chunk, conn(slot)).is_none()
            );
            flights.check();
        }
        assert!(flights.is_empty() && flights.timely() == 0 && !flights.is_late_at(conn(2)));
        // Asking for what is not there leaves nothing behind.
        flights.mark_late(9, conn(1));
        assert!(flights.is_empty());
    }
}
