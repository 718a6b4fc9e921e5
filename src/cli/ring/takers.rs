//! The peers that download from this one, and whether one of them still needs this process.

use std::time::{Duration, Instant};

use crate::core::status::NeighboursStatus;

/// So long those who were lost, or never came, are waited for.
const AWAITED: Duration = Duration::from_secs(30);

/// How those who came stand, and since when.
#[derive(Debug)]
pub(super) struct Takers {
    /// Complete, connected and lacking chunks, gone and lacking chunks.
    counts: (usize, usize, usize),
    changed: Instant,
}

/// How an owner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerStands {
    /// Somebody lacks chunks, or may still come.
    Needed,
    /// All who were expected are complete.
    Done,
    /// Who is here is complete, and who was lost did not come back.
    Left,
}

impl Takers {
    /// Nobody came yet.
    pub(super) fn new(now: Instant) -> Takers {
        Takers { counts: (0, 0, 0), changed: now }
    }

    /// Something happened that starts the waiting anew.
    pub(super) fn changed(&mut self, now: Instant) {
        self.changed = now;
    }

    /// When the waiting for those who are not here is over, unless it is: then only what happens changes anything.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        Some(self.changed + AWAITED).filter(|over| *over > now)
    }

    /// Whether a peer that is complete may go: so are its neighbours; or the owner, which knows, has gone; or nobody came for so
    /// long.
    pub(super) fn peer_may_go(&mut self, status: &NeighboursStatus, now: Instant) -> bool {
        self.note(status, now);
        let all_here = status.takers_done > 0 && status.takers_lost == 0;
        let over = all_here || status.owner_left || self.next_look(now).is_none();
        over && status.takers_open == 0 && status.quiet
    }

    /// How an owner stands that expects so many peers.
    pub(super) fn owner_stands(
        &mut self,
        status: &NeighboursStatus,
        expected: usize,
        now: Instant,
    ) -> OwnerStands {
        self.note(status, now);
        if status.takers_open > 0 || !status.quiet {
            return OwnerStands::Needed;
        }
        match (status.takers_done + status.takers_lost >= expected, status.takers_lost) {
            (true, 0) => OwnerStands::Done,
            (true, _) if self.next_look(now).is_none() => OwnerStands::Left,
            _ => OwnerStands::Needed,
        }
    }

    fn note(&mut self, status: &NeighboursStatus, now: Instant) {
        let counts = (status.takers_done, status.takers_open, status.takers_lost);
        if counts != self.counts {
            (self.counts, self.changed) = (counts, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(done: usize, open: usize, lost: usize) -> NeighboursStatus {
        NeighboursStatus {
            owner: None,
            upstream: Vec::new(),
            owner_left: false,
            holds_all: true,
            takers_done: done,
            takers_open: open,
            takers_lost: lost,
            quiet: true,
        }
    }

    #[test]
    fn an_owner_waits_for_all_it_expects_but_not_for_ever_for_the_lost() {
        let start = Instant::now();
        let mut takers = Takers::new(start);
        let mut at = |seconds, status: NeighboursStatus| {
            takers.owner_stands(&status, 3, start + Duration::from_secs(seconds))
        };
        // Who never came is waited for.
        assert_eq!(at(100, status(2, 0, 0)), OwnerStands::Needed);
        assert_eq!(at(101, status(2, 1, 0)), OwnerStands::Needed);
        assert_eq!(at(500, status(2, 1, 0)), OwnerStands::Needed);
        assert_eq!(at(501, status(2, 0, 1)), OwnerStands::Needed);
        assert_eq!(at(530, status(2, 0, 1)), OwnerStands::Needed);
        assert_eq!(at(531, status(2, 0, 1)), OwnerStands::Left);
        // It came back.
        assert_eq!(at(532, status(2, 1, 0)), OwnerStands::Needed);
        assert_eq!(at(533, NeighboursStatus { quiet: false, ..status(3, 0, 0) }), OwnerStands::Needed);
        assert_eq!(at(534, status(3, 0, 0)), OwnerStands::Done);
        // One more came than was expected, and was lost.
        assert_eq!(at(535, status(3, 0, 1)), OwnerStands::Needed);
        assert_eq!(at(565, status(3, 0, 1)), OwnerStands::Left);
    }

    #[test]
    fn a_peer_goes_with_its_neighbours_or_the_owner_or_in_time() {
        let start = Instant::now();
        let at = |seconds, status: NeighboursStatus| {
            Takers::new(start).peer_may_go(&status, start + Duration::from_secs(seconds))
        };
        assert!(at(0, status(1, 0, 0)) && !at(0, status(1, 1, 0)) && !at(0, status(1, 0, 1)));
        assert!(!at(29, status(0, 0, 0)) && at(30, status(0, 0, 0)));
        assert!(at(0, NeighboursStatus { owner_left: true, ..status(0, 0, 1) }));
        assert!(!at(99, NeighboursStatus { quiet: false, owner_left: true, ..status(1, 0, 0) }));
        // Nothing is looked at again and again when the time is over and somebody still takes.
        let mut takers = Takers::new(start);
        assert_eq!(takers.next_look(start), Some(start + AWAITED));
        assert!(!takers.peer_may_go(&status(0, 1, 0), start));
        assert_eq!(takers.next_look(start + AWAITED), None);
    }
}
