//! What must happen when, without input: one moment for each thing that waits.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::io::ConnId;
use crate::types::{ContentId, Time};

/// A thing that waits for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A connection's handshake, keep-alive or stall.
    Connection(ConnId),
    /// A newcomer's next question to everybody.
    Acquaint,
    /// The next announcement round.
    Announce,
    /// The next delayed answer to a query.
    Answer,
    /// A search's next question or its end.
    Search(u32),
    /// What the mirror tries again.
    Mirror,
    /// More of what the mirror put off.
    MirrorNext,
    /// A download's next review.
    Download(ContentId),
    /// Recipients of offers that are looked for, and other receivers of what was accepted.
    Offers,
    /// Endpoints that may be dialled again.
    Dial,
    /// An upload that may be slow, so that another goes beside it.
    UploadSlot,
    /// Peers that have been silent for too long.
    Expiry,
    /// An owner that offered nothing yet.
    Owner,
    /// Super-seeding: chunks that may be late, or places that nobody took.
    Seeding,
    /// Others that may be told that there is nothing to send.
    Idle,
    /// The end of the time to leave.
    Leave,
    /// The next round of announcements in the classic dialects.
    ClassicAnnounce,
    /// The next datagram of a round of announcements in the classic dialects.
    ClassicDatagram,
    /// Classic peers that have been silent for too long.
    ClassicExpiry,
    /// The file that tells who has what, to be written, or to be read again.
    ClassicDictionary,
    /// A classic file that is fetched: its next retry, or the end of its patience.
    ClassicFetch(u32),
    /// Names that are looked through for others.
    Look,
}

impl Timer {
    /// Its name, for logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Timer::Connection(_) => "connection",
            Timer::Acquaint => "acquaint",
            Timer::MirrorNext => "mirror next",
            Timer::Announce => "announce",
            Timer::Answer => "answer",
            Timer::Search(_) => "search",
            Timer::Mirror => "mirror",
            Timer::Download(_) => "download",
            Timer::Offers => "offers",
            Timer::Dial => "dial",
            Timer::UploadSlot => "upload slot",
            Timer::Expiry => "expiry",
            Timer::Owner => "owner",
            Timer::Seeding => "seeding",
            Timer::Idle => "idle",
            Timer::Leave => "leave",
            Timer::ClassicAnnounce => "classic announce",
            Timer::ClassicDatagram => "classic datagram",
            Timer::ClassicExpiry => "classic expiry",
            Timer::ClassicDictionary => "classic dictionary",
            Timer::ClassicFetch(_) => "classic fetch",
            Timer::Look => "look",
        }
    }
}

/// What is set anew with nearly every chunk, in the order of [`Timer`].
const BUSY: [Timer; 2] = [Timer::UploadSlot, Timer::Idle];

/// At most one moment a thing, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// The moments of [`BUSY`], which stand in no order with the others.
    busy: [Option<Time>; 2],
    /// The first of the others: it is looked at with every input, and few inputs change it.
    next: Option<(Time, Timer)>,
    by_time: BTreeSet<(Time, Timer)>,
    moments: BTreeMap<Timer, Time>,
}

impl Timers {
    /// `timer` is due at `at`, whatever was set before.
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        if let Some(busy) = self.busy_mut(timer) {
            *busy = Some(at);
            return;
        }
        let before = self.moments.insert(timer, at);
        if before == Some(at) {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, timer));
        }
        self.by_time.insert((at, timer));
        if self.is_next(timer) || self.next.is_none_or(|next| (at, timer) < next) {
            self.next = self.by_time.first().copied();
        }
    }

    /// `timer` is due at `at`, unless it already is due earlier.
    pub(crate) fn set_no_later(&mut self, timer: Timer, at: Time) {
        if self.moment(&timer).is_none_or(|present| present > at) {
            self.set(timer, at);
        }
    }

    /// `timer` no longer waits.
    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(busy) = self.busy_mut(timer) {
            *busy = None;
            return;
        }
        if let Some(at) = self.moments.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
        if self.is_next(timer) {
            self.next = self.by_time.first().copied();
        }
    }

    /// Whether `timer` waits.
    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.moment(timer).is_some()
    }

    /// Takes out the first thing that is due.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.busy.iter().flatten().chain(self.next.as_ref().map(|(at, _)| at)).all(|at| *at > now) {
            return None;
        }
        let (_, timer) = self.first()?;
        self.clear(timer);
        Some(timer)
    }

    /// The earliest moment, and whose it is.
    pub(crate) fn first(&self) -> Option<(Time, Timer)> {
        let mut first = self.next;
        for (at, timer) in self.busy.iter().zip(BUSY) {
            if let Some(at) = *at
                && first.is_none_or(|first| (at, timer) < first)
            {
                first = Some((at, timer));
            }
        }
        first
    }

    /// When `timer` is due, if it waits.
    fn moment(&self, timer: &Timer) -> Option<Time> {
        match BUSY.iter().position(|busy| busy == timer) {
            Some(at) => self.busy.get(at).copied().flatten(),
            None => self.moments.get(timer).copied(),
        }
    }

    fn busy_mut(&mut self, timer: Timer) -> Option<&mut Option<Time>> {
        let at = BUSY.iter().position(|busy| *busy == timer)?;
        self.busy.get_mut(at)
    }

    fn is_next(&self, timer: Timer) -> bool {
        self.next.is_some_and(|(_, next)| next == timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_waits_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Announce, Time::from_millis(5));
        timers.set(Timer::Expiry, Time::from_millis(3));
        timers.set(Timer::Announce, Time::from_millis(1));
        timers.set_no_later(Timer::Announce, Time::from_millis(2));
        assert_eq!(timers.first(), Some((Time::from_millis(1), Timer::Announce)));
        assert_eq!(timers.pop_due(Time::ZERO), None);
        assert_eq!(timers.pop_due(Time::from_millis(4)), Some(Timer::Announce));
        assert_eq!(timers.pop_due(Time::from_millis(4)), Some(Timer::Expiry));
        assert_eq!(timers.first(), None);
    }

    #[test]
    fn the_first_is_known_whatever_changes() {
        let mut timers = Timers::default();
        let of = [Timer::Announce, Timer::Expiry, Timer::Idle, Timer::Offers, Timer::UploadSlot];
        for step in 0..200u64 {
            let timer = of[step as usize * 7 % 5];
            match step % 5 {
                0 => timers.clear(timer),
                1 => timers.set_no_later(timer, Time::from_millis(step * 31 % 17)),
                2 => drop(timers.pop_due(Time::from_millis(5))),
                _ => timers.set(timer, Time::from_millis(step * 13 % 11)),
            }
            let all = of.iter().filter_map(|timer| Some((timers.moment(timer)?, *timer)));
            assert_eq!(timers.first(), all.min());
            assert_eq!(timers.moments.len(), timers.by_time.len());
        }
    }
}
