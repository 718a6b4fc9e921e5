//! Whom to serve next: who is far behind first, a newcomer before all; among equals round-robin by chunk.
//!
//! Owns the queues of requests and the upload slots. Knows neither files nor frames.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::door::ConnId;
use crate::core::id::ContentId;
use crate::core::sorted::{SortedMap, SortedSet};
use crate::core::time::Time;

/// Who is less behind than one of so many parts of the file counts as equal.
const PROGRESS_PARTS: u32 = 32;

/// One chunk that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) struct Ask {
    /// Our channel on the connection that asked.
    pub(in crate::core) channel: u32,
    /// The content.
    pub(in crate::core) content: ContentId,
    /// The chunk, in the cut of that channel.
    pub(in crate::core) chunk: u32,
}

/// An upload slot in use.
#[derive(Debug, Clone, Copy)]
struct Active {
    /// When bytes last moved.
    moved: Time,
    /// Whether a chunk is on its way; before that the slot can be given back.
    begun: bool,
}

/// Queues and slots.
#[derive(Debug)]
pub(in crate::core) struct Uploader {
    slots: usize,
    slot_stall: Duration,
    queues: SortedMap<ConnId, VecDeque<Ask>>,
    /// Connections with a queue and no slot, in the order they get one.
    turns: VecDeque<ConnId>,
    /// Connections with a slot.
    active: SortedMap<ConnId, Active>,
    /// How far those who ask have come, in parts of what they want; see [`PROGRESS_PARTS`].
    progress: SortedMap<ConnId, u32>,
    /// Connections that were served at least once; who is not among them goes first.
    served: SortedSet<ConnId>,
}

impl Uploader {
    /// Queues without requests, `slots` slots; one that moves nothing for `slot_stall` is lent to another.
    pub(in crate::core) fn new(slots: usize, slot_stall: Duration) -> Uploader {
        Uploader {
            slots: slots.max(1),
            slot_stall,
            queues: SortedMap::new(),
            turns: VecDeque::new(),
            active: SortedMap::new(),
            served: SortedSet::new(),
            progress: SortedMap::new(),
        }
    }

    /// Queues a request. Follow with [`Uploader::grant`].
    pub(in crate::core) fn push(&mut self, conn: ConnId, ask: Ask) {
        let queue = self.queues.entry(conn).or_default();
        let waits = !queue.is_empty() || self.active.contains_key(&conn);
        queue.push_back(ask);
        if !waits {
            self.line_up(conn);
        }
    }

    /// Who asks has come so far.
    pub(in crate::core) fn note_progress(&mut self, conn: ConnId, had: u32, of: u32) {
        self.progress.insert(conn, had.saturating_mul(PROGRESS_PARTS) / of.max(1));
    }

    /// How many requests of `conn` are queued.
    pub(in crate::core) fn queued(&self, conn: ConnId) -> usize {
        self.queues.get(&conn).map_or(0, VecDeque::len)
    }

    /// Whether nobody is being served and nobody waits.
    pub(in crate::core) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.queues.is_empty()
    }

    /// How many connections are being served or wait.
    pub(in crate::core) fn len(&self) -> usize {
        self.active.len() + self.turns.len()
    }

    /// How many connections wait for a slot.
    pub(in crate::core) fn waiting(&self) -> usize {
        self.turns.len()
    }

    /// Takes back a request that was not begun. True when it was there.
    pub(in crate::core) fn cancel(&mut self, conn: ConnId, channel: u32, chunk: u32) -> bool {
        let Some(queue) = self.queues.get_mut(&conn) else { return false };
        let Some(at) = queue.iter().position(|ask| (ask.channel, ask.chunk) == (channel, chunk)) else {
            return false;
        };
        queue.remove(at);
        self.forget_empty(conn);
        true
    }

    /// Takes back all requests for a content; returns them with who asked.
    pub(in crate::core) fn cancel_content(&mut self, content: &ContentId) -> Vec<(ConnId, Ask)> {
        self.cancel_where(|ask| ask.content == *content)
    }

    /// Takes back all requests for one chunk of a content, whose every channel cuts it alike; returns them with who
    /// asked.
    pub(in crate::core) fn cancel_chunk(&mut self, content: &ContentId, chunk: u32) -> Vec<(ConnId, Ask)> {
        self.cancel_where(|ask| ask.content == *content && ask.chunk == chunk)
    }

    /// Forgets a connection and all it asked for.
    pub(in crate::core) fn remove(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
        self.active.remove(&conn);
        self.served.remove(&conn);
        self.progress.remove(&conn);
        self.turns.retain(|waiting| *waiting != conn);
    }

    /// The next connection that gets a slot, if one is free.
    pub(in crate::core) fn grant(&mut self, now: Time) -> Option<ConnId> {
        let moving = self.active.values().filter(|active| now.since(active.moved) < self.slot_stall).count();
        if moving >= self.slots {
            return None;
        }
        let progress = |at: &usize| self.turns.get(*at).and_then(|conn| self.progress.get(conn));
        let at = (0..self.turns.len()).min_by_key(progress)?;
        let conn = self.turns.remove(at)?;
        self.active.insert(conn, Active { moved: now, begun: false });
        Some(conn)
    }

    /// The request that a connection with a slot is served next, if it is not being served; it leaves the queue.
    pub(in crate::core) fn begin(&mut self, conn: ConnId, now: Time) -> Option<Ask> {
        let active = self.active.get_mut(&conn).filter(|active| !active.begun)?;
        let queue = self.queues.get_mut(&conn)?;
        let ask = queue.pop_front()?;
        *active = Active { moved: now, begun: true };
        if queue.is_empty() {
            self.queues.remove(&conn);
        }
        Some(ask)
    }

    /// Bytes of the upload to `conn` moved.
    pub(in crate::core) fn moved(&mut self, conn: ConnId, now: Time) {
        if let Some(active) = self.active.get_mut(&conn) {
            active.moved = now;
        }
    }

    /// The chunk to `conn` is through: its slot is free, and it lines up again if it asked for more.
    pub(in crate::core) fn finish(&mut self, conn: ConnId) {
        self.active.remove(&conn);
        self.served.insert(conn);
        if self.queued(conn) > 0 {
            self.line_up(conn);
        }
    }

    /// When the first slot will be lent, if somebody waits for one.
    pub(in crate::core) fn deadline(&self, now: Time) -> Option<Time> {
        if self.turns.is_empty() {
            return None;
        }
        self.active.values().map(|active| active.moved + self.slot_stall).filter(|at| *at > now).min()
    }

    fn cancel_where(&mut self, is_gone: impl Fn(&Ask) -> bool) -> Vec<(ConnId, Ask)> {
        let mut gone = Vec::new();
        for (conn, queue) in &mut self.queues {
            gone.extend(queue.iter().filter(|ask| is_gone(ask)).map(|ask| (*conn, *ask)));
            queue.retain(|ask| !is_gone(ask));
        }
        for (conn, _) in &gone {
            self.forget_empty(*conn);
        }
        gone
    }

    fn line_up(&mut self, conn: ConnId) {
        let newcomers = || self.turns.iter().take_while(|waiting| !self.served.contains(waiting)).count();
        let place = if self.served.contains(&conn) { self.turns.len() } else { newcomers() };
        self.turns.insert(place, conn);
    }

    fn forget_empty(&mut self, conn: ConnId) {
        if self.queues.get(&conn).is_some_and(VecDeque::is_empty) {
            self.queues.remove(&conn);
            self.turns.retain(|waiting| *waiting != conn);
            // A slot without a request would never be used, nor given back.
            if self.active.get(&conn).is_some_and(|active| !active.begun) {
                self.active.remove(&conn);
            }
        }
    }

    /// Panics when a connection that asks is in no line, or in two.
    pub(in crate::core) fn check(&self) {
        for (conn, queue) in &self.queues {
            assert!(!queue.is_empty(), "an empty queue is kept for {conn}");
            let places = self.turns.iter().filter(|waiting| *waiting == conn).count();
            assert_eq!(places + usize::from(self.active.contains_key(conn)), 1, "{conn} waits in one place");
        }
        for (conn, active) in &self.active {
            assert!(active.begun || self.queues.contains_key(conn), "{conn} has a slot for nothing");
        }
        for conn in &self.turns {
            assert!(self.queues.contains_key(conn), "{conn} waits for nothing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn ask(chunk: u32) -> Ask {
        Ask { channel: 0, content: ContentId([0; 32]), chunk }
    }

    fn uploader(slots: usize) -> Uploader {
        Uploader::new(slots, Duration::from_millis(200))
    }

    #[test]
    fn turns_go_round_by_chunk() {
        let mut uploader = uploader(1);
        for chunk in 0..2 {
            uploader.push(conn(1), ask(chunk));
            uploader.push(conn(2), ask(chunk));
        }
        let mut order = Vec::new();
        while let Some(granted) = uploader.grant(Time::ZERO) {
            uploader.check();
            order.push((granted.slot, uploader.begin(granted, Time::ZERO).unwrap().chunk));
            uploader.finish(granted);
        }
        assert_eq!(order, [(1, 0), (2, 0), (1, 1), (2, 1)]);
        assert!(uploader.is_idle());
    }

    #[test]
    fn a_newcomer_goes_before_who_was_served() {
        let mut uploader = uploader(1);
        (0..3).for_each(|chunk| uploader.push(conn(1), ask(chunk)));
        uploader.push(conn(2), ask(0));
        assert_eq!(uploader.grant(Time::ZERO), Some(conn(1)));
        uploader.begin(conn(1), Time::ZERO);
        uploader.finish(conn(1));
        uploader.push(conn(3), ask(0));
        let order: Vec<_> = uploader.turns.iter().map(|conn| conn.slot).collect();
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn who_is_far_behind_goes_first() {
        let mut uploader = uploader(1);
        for (slot, had) in [(1, 70), (2, 69), (3, 20)] {
            uploader.push(conn(slot), ask(0));
            uploader.note_progress(conn(slot), had, 100);
        }
        let mut order = Vec::new();
        while let Some(granted) = uploader.grant(Time::ZERO) {
            uploader.begin(granted, Time::ZERO);
            uploader.finish(granted);
            order.push(granted.slot);
        }
        assert_eq!(order, [3, 1, 2]);
    }

    #[test]
    fn a_stalled_upload_lends_its_slot() {
        let mut uploader = uploader(1);
        uploader.push(conn(2), ask(0));
        uploader.push(conn(1), ask(0));
        assert_eq!(uploader.grant(Time::ZERO), Some(conn(2)));
        assert_eq!(uploader.grant(Time::from_millis(199)), None);
        assert_eq!(uploader.deadline(Time::from_millis(199)), Some(Time::from_millis(200)));
        assert_eq!(uploader.grant(Time::from_millis(200)), Some(conn(1)));
        assert_eq!(uploader.deadline(Time::from_millis(200)), None);
    }

    #[test]
    fn what_is_taken_back_is_not_served() {
        let mut uploader = uploader(1);
        uploader.push(conn(1), ask(0));
        uploader.push(conn(1), ask(1));
        assert!(uploader.cancel(conn(1), 0, 0) && !uploader.cancel(conn(1), 0, 0));
        assert_eq!(uploader.grant(Time::ZERO), Some(conn(1)));
        assert_eq!(uploader.cancel_content(&ContentId([0; 32])), [(conn(1), ask(1))]);
        uploader.check();
        assert!(uploader.is_idle());
        uploader.push(conn(1), ask(2));
        uploader.remove(conn(1));
        assert!(uploader.is_idle() && uploader.grant(Time::ZERO).is_none());
    }
}
