//! The mirror: what of the others' contents is to be here too, what became of each, and how much room is left.
//!
//! Owns the standing wish and the books about it. What is offered stands in the directory, what is held in the
//! catalogue; what follows is decided in `flow/mirror.rs`.

use std::time::Duration;

use crate::core::door::ConnId;
use crate::core::id::{ContentId, PeerId};
use crate::core::sorted::SortedMap;
use crate::core::time::Time;
use crate::wire::message::{Entry, Wanted};

/// Contents that the mirror keeps books about at most; beyond them nothing new is fetched.
pub(in crate::core) const MIRRORED_MAX: usize = 500_000;
/// The first wait before a content that failed is tried again; it doubles with each failure.
const RETRY_WAIT_MIN: Duration = Duration::from_secs(5);
/// The longest.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);
/// A peer's catalogue is walked again no sooner than this.
const WALK_GAP: Duration = Duration::from_secs(2);

/// What became of a content that was wanted, or was once here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is being fetched; so many bytes of the room are its.
    Coming { bytes: u64, failures: u32 },
    /// It was fetched.
    Here { bytes: u64 },
    /// It was here and its owner took it away: it is not fetched again.
    Gone,
}

/// A content that did not come.
#[derive(Debug)]
struct Failed {
    /// It is tried again from then on, if somebody offers it.
    again: Time,
    failures: u32,
    name: String,
    size: u64,
}

/// A walk through one peer's catalogue.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// The connection it goes over, until it is over.
    conn: Option<ConnId>,
    /// The state of the catalogue that it is of.
    generation: u64,
    began: Time,
}

/// Why a content is not fetched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum Refusal {
    /// It is coming, was fetched, was taken away, or waits to be tried again.
    Known,
    /// There is no room for it.
    NoRoom,
    /// There are no books for it.
    TooMany,
}

/// A standing wish for contents.
#[derive(Debug)]
pub(in crate::core) struct Mirror {
    /// Comes back in the events about it.
    pub(in crate::core) ticket: u32,
    /// What is wanted: what any of these matches.
    wanted: Vec<Wanted>,
    /// Whether people heard that there is no room; until there is some again.
    pub(in crate::core) full_said: bool,
    /// Bytes that may still be fetched.
    room_bytes: u64,
    courses: SortedMap<ContentId, Course>,
    failed: SortedMap<ContentId, Failed>,
    walks: SortedMap<PeerId, Walk>,
}

impl Mirror {
    /// A wish for what any of `wanted` matches, `room_bytes` in all.
    pub(in crate::core) fn new(ticket: u32, wanted: Vec<Wanted>, room_bytes: u64) -> Mirror {
        Mirror {
            ticket,
            wanted,
            full_said: false,
            room_bytes,
            courses: SortedMap::new(),
            failed: SortedMap::new(),
            walks: SortedMap::new(),
        }
    }

    /// What a peer is asked for when its catalogue is walked.
    pub(in crate::core) fn asks_for(&self) -> Wanted {
        match &self.wanted[..] {
            [one] => one.clone(),
            _ => Wanted::All,
        }
    }

    /// Whether an entry of a peer is wanted and can be fetched from it. An empty content has no chunk that a peer could have:
    /// whoever lists it has all of it.
    pub(in crate::core) fn wants(&self, entry: &Entry) -> bool {
        (entry.have > 0 || (entry.size == 0 && entry.of == 0))
            && self.wanted.iter().any(|wanted| wanted.matches(&entry.name, &entry.id))
    }

    /// Takes room for a content that is to be fetched.
    pub(in crate::core) fn take(&mut self, now: Time, content: ContentId, bytes: u64) -> Result<(), Refusal> {
        let failures = match self.failed.get(&content) {
            Some(failed) if failed.again > now => return Err(Refusal::Known),
            failed => failed.map_or(0, |failed| failed.failures),
        };
        if self.courses.contains_key(&content) {
            return Err(Refusal::Known);
        }
        if self.courses.len() + self.failed.len() >= MIRRORED_MAX {
            return Err(Refusal::TooMany);
        }
        self.room_bytes = self.room_bytes.checked_sub(bytes).ok_or(Refusal::NoRoom)?;
        self.failed.remove(&content);
        self.courses.insert(content, Course::Coming { bytes, failures });
        Ok(())
    }

    /// The true size of a content that is coming is known. False when there is no room for it.
    pub(in crate::core) fn resize(&mut self, content: &ContentId, size: u64) -> bool {
        let Some(Course::Coming { bytes, .. }) = self.courses.get_mut(content) else { return true };
        match (self.room_bytes + *bytes).checked_sub(size) {
            Some(room) => {
                (self.room_bytes, *bytes) = (room, size);
                true
            }
            None => false,
        }
    }

    /// A content that was coming is here; `fetched` false when it was here all the time.
    pub(in crate::core) fn finished(&mut self, content: &ContentId, fetched: bool) {
        let Some(Course::Coming { bytes, .. }) = self.courses.get(content).copied() else { return };
        if fetched {
            self.courses.insert(*content, Course::Here { bytes });
        } else {
            self.give_back(bytes);
            self.courses.remove(content);
        }
    }

    /// A content that was coming failed. Gives when it is tried again.
    pub(in crate::core) fn failed(
        &mut self,
        now: Time,
        content: ContentId,
        name: &str,
        size: u64,
    ) -> Option<Time> {
        let Some(Course::Coming { bytes, failures }) = self.courses.get(&content).copied() else {
            return None;
        };
        let failures = failures.saturating_add(1);
        self.courses.remove(&content);
        self.give_back(bytes);
        let wait = RETRY_WAIT_MIN.saturating_mul(1 << (failures - 1).min(16)).min(RETRY_WAIT_MAX);
        let failed = Failed { again: now + wait, failures, name: name.to_owned(), size };
        self.failed.insert(content, failed);
        Some(now + wait)
    }

    /// A content is not here any more; its owner took it away or changed it.
    pub(in crate::core) fn gone(&mut self, content: ContentId) {
        match self.courses.get(&content).copied() {
            Some(Course::Coming { .. }) => return,
            Some(Course::Here { bytes }) => self.give_back(bytes),
            None if self.courses.len() >= MIRRORED_MAX => return,
            Some(Course::Gone) | None => {}
        }
        self.courses.insert(content, Course::Gone);
    }

    /// A content is here by itself.
    pub(in crate::core) fn returned(&mut self, content: &ContentId) {
        self.failed.remove(content);
        if self.courses.get(content) == Some(&Course::Gone) {
            self.courses.remove(content);
        }
    }

    /// What failed and may be tried again: content, name and size.
    pub(in crate::core) fn due(&self, now: Time) -> Vec<(ContentId, String, u64)> {
        let due = self.failed.iter().filter(|(_, failed)| failed.again <= now);
        due.map(|(content, failed)| (*content, failed.name.clone(), failed.size)).collect()
    }

    /// When something that failed is next to be tried again.
    pub(in crate::core) fn next_retry(&self, now: Time) -> Option<Time> {
        self.failed.values().map(|failed| failed.again).filter(|again| *again > now).min()
    }

    /// Whether a peer's catalogue, now in the state of `generation`, is to be walked.
    pub(in crate::core) fn may_walk(&self, now: Time, peer: &PeerId, generation: u64) -> bool {
        self.walks.get(peer).is_none_or(|walk| {
            walk.conn.is_none() && walk.generation != generation && now.since(walk.began) >= WALK_GAP
        })
    }

    /// A walk begins over a connection.
    pub(in crate::core) fn walk_began(&mut self, now: Time, peer: PeerId, conn: ConnId, generation: u64) {
        self.walks.insert(peer, Walk { conn: Some(conn), generation, began: now });
    }

    /// The last page came, of the catalogue in this state.
    pub(in crate::core) fn walk_ended(&mut self, peer: &PeerId, generation: u64) {
        if let Some(walk) = self.walks.get_mut(peer) {
            (walk.conn, walk.generation) = (None, generation);
        }
    }

    /// A connection is over; a walk over it begins anew over another.
    pub(in crate::core) fn connection_over(&mut self, conn: ConnId) {
        self.walks.retain(|_, walk| walk.conn != Some(conn));
    }

    /// The catalogues of these peers may be walked again whatever is known of them.
    pub(in crate::core) fn forget_walks(&mut self, of: impl Fn(&PeerId) -> bool) {
        self.walks.retain(|peer, walk| walk.conn.is_some() || !of(peer));
    }

    fn give_back(&mut self, bytes: u64) {
        self.room_bytes = self.room_bytes.saturating_add(bytes);
        self.full_said = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ContentId = ContentId([1; 32]);
    const B: ContentId = ContentId([2; 32]);

    fn mirror(room: u64) -> Mirror {
        Mirror::new(0, vec![Wanted::Glob("*.txt".to_owned()), Wanted::Name("x".to_owned())], room)
    }

    #[test]
    fn room_is_taken_and_given_back() {
        let mut mirror = mirror(10);
        assert_eq!(mirror.take(Time::ZERO, A, 6), Ok(()));
        assert_eq!(mirror.take(Time::ZERO, A, 6), Err(Refusal::Known));
        assert_eq!(mirror.take(Time::ZERO, B, 6), Err(Refusal::NoRoom));
        assert!(mirror.resize(&A, 10) && !mirror.resize(&A, 11) && mirror.resize(&A, 4));
        assert_eq!(mirror.take(Time::ZERO, B, 6), Ok(()));
        mirror.finished(&A, true);
        mirror.gone(A);
        assert_eq!(mirror.take(Time::ZERO, A, 1), Err(Refusal::Known), "taken away is not fetched again");
        assert_eq!(mirror.room_bytes, 4);
        mirror.finished(&B, false);
        assert_eq!(mirror.room_bytes, 10);
    }

    #[test]
    fn what_failed_is_tried_again_later_and_later() {
        let mut mirror = mirror(10);
        let mut now = Time::ZERO;
        let mut waits = Vec::new();
        for _ in 0..14 {
            mirror.take(now, A, 6).unwrap();
            let again = mirror.failed(now, A, "a.txt", 6).unwrap();
            assert_eq!(mirror.next_retry(now), Some(again));
            assert!(mirror.due(now).is_empty() && mirror.take(now, A, 6) == Err(Refusal::Known));
            assert_eq!(mirror.due(again), [(A, "a.txt".to_owned(), 6)]);
            waits.push(again.since(now));
            now = again;
        }
        assert_eq!((waits[0], waits[1], waits[13]), (RETRY_WAIT_MIN, RETRY_WAIT_MIN * 2, RETRY_WAIT_MAX));
        mirror.returned(&A);
        assert_eq!(mirror.take(Time::ZERO, A, 10), Ok(()));
    }

    #[test]
    fn a_catalogue_is_walked_once_a_state() {
        let mut mirror = mirror(10);
        let (peer, conn) = (PeerId([1; 16]), ConnId { slot: 0, generation: 0 });
        let later = Time::ZERO + WALK_GAP;
        assert!(mirror.may_walk(Time::ZERO, &peer, 5));
        mirror.walk_began(Time::ZERO, peer, conn, 5);
        assert!(!mirror.may_walk(later, &peer, 6), "one at a time");
        mirror.walk_ended(&peer, 5);
        assert!(!mirror.may_walk(later, &peer, 5) && mirror.may_walk(later, &peer, 6));
        assert!(!mirror.may_walk(Time::ZERO, &peer, 6));
        mirror.walk_began(later, peer, conn, 6);
        mirror.connection_over(conn);
        assert!(mirror.may_walk(later, &peer, 6), "it was not finished");
    }

    #[test]
    fn whoever_has_nothing_of_it_offers_nothing() {
        let mirror = mirror(10);
        let entry = |name: &str, have| Entry { id: A, name: name.to_owned(), size: 1, have, of: 1 };
        assert!(mirror.wants(&entry("d/a.txt", 1)) && mirror.wants(&entry("x", 1)));
        assert!(!mirror.wants(&entry("a.txt", 0)) && !mirror.wants(&entry("a.png", 1)));
        let empty = |of| Entry { size: 0, of, ..entry("a.txt", 0) };
        assert!(mirror.wants(&empty(0)));
        assert!(!mirror.wants(&empty(1)), "its size is not known yet");
    }
}
