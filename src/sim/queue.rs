//! The virtual clock's queue: what will happen, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::core::{BrokenWhy, ConnId, Rng};
use crate::sim::tcp::StreamRef;
use crate::types::Time;

/// One thing that will happen. `end` is 0 for the side that dialled and 1 for the side that accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// A datagram is at the next of the `of` hosts that it reaches at this instant.
    Datagram { packet: u32, next: u32, of: u32 },
    /// A host's uplink has put so many bytes of a stream on the wire.
    Transmitted { host: u32, stream: StreamRef, end: u8, bytes: u64 },
    /// So many bytes that `end` sent are at the other side.
    Arrived { stream: StreamRef, end: u8, bytes: u64 },
    /// The end of what `end` sent is at the other side.
    FinArrived { stream: StreamRef, end: u8 },
    /// A reset is at `end`.
    Reset { stream: StreamRef, end: u8 },
    /// `end` hears that the other side has room again.
    WindowOpened { stream: StreamRef, end: u8 },
    /// A dial is at the host that is dialled.
    Syn { stream: StreamRef, to: u32 },
    /// The dialler hears what became of its dial.
    Dialled { stream: StreamRef, outcome: Result<(), BrokenWhy> },
    /// `end` has waited long enough for its last bytes to leave.
    LingerOver { stream: StreamRef, end: u8 },
    /// The oldest job of a host's disk is done.
    StoreDone { host: u32, incarnation: u32 },
    /// A deadline of a host's peer is due.
    Timer { host: u32, incarnation: u32 },
    /// A host answers an offer.
    Answer {
        /// Which host.
        host: u32,
        /// Whose peer.
        incarnation: u32,
        /// The offer.
        offer: u32,
    },
    /// A host answers a transfer.
    TransferAnswer { host: u32, incarnation: u32, transfer: u32 },
    /// A host wants something: one of its gets.
    Get { host: u32, incarnation: u32, get: u32 },
    /// A garbage host sends its next datagram.
    Garbage { host: u32, incarnation: u32 },
    /// A foreign peer announces what it has.
    ForeignAnnounces { host: u32, incarnation: u32 },
    /// A foreign peer looks for what it may fetch.
    ForeignWishes { host: u32, incarnation: u32 },
    /// A foreign peer sends garbage.
    ForeignFloods { host: u32, incarnation: u32 },
    /// A pause in a foreign peer's conversation is over, or its patience.
    ForeignGoesOn { host: u32, incarnation: u32, conn: ConnId },
    /// A hostile host does what it is there for.
    HostileActs { host: u32, incarnation: u32 },
    /// A host wants something of the classic peers: one of its gets.
    ClassicGet { host: u32, incarnation: u32, get: u32 },
    /// A paused host goes on.
    Resumed { host: u32 },
    /// A line of the scenario's timeline.
    Action(u32),
    /// The oracle looks at everything.
    Sweep,
}

impl Happening {
    /// The process that it concerns, by host and incarnation, if it is nothing to the next one on that host.
    pub(super) fn process(&self) -> Option<(u32, u32)> {
        match *self {
            Happening::StoreDone { host, incarnation }
            | Happening::Timer { host, incarnation }
            | Happening::Answer { host, incarnation, .. }
            | Happening::TransferAnswer { host, incarnation, .. }
            | Happening::Get { host, incarnation, .. }
            | Happening::Garbage { host, incarnation }
            | Happening::ForeignAnnounces { host, incarnation }
            | Happening::ForeignWishes { host, incarnation }
            | Happening::ForeignFloods { host, incarnation }
            | Happening::ForeignGoesOn { host, incarnation, .. }
            | Happening::HostileActs { host, incarnation }
            | Happening::ClassicGet { host, incarnation, .. } => Some((host, incarnation)),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scheduled {
    at: Time,
    shuffle: u32,
    sequence: u64,
    happening: Happening,
}

/// A slot of the near future lasts so many nanoseconds, as a power of two: 33 µs, in which a large swarm does some dozens of
/// things.
const SLOT_NANOS_LOG: u32 = 15;
/// So many slots make the near future: 0.3 s, in which nearly all of what will happen does.
const SLOTS: u64 = 8_192;

/// What will happen, in the order of (time, shuffle, sequence). Without a shuffle, what was put in first comes first.
///
/// What happens in the present slot of time is in order; what happens in one of the slots of the near future lies there as it
/// came, and is put in order when the slot's time has come; all else is in a heap. A heap for all of it would be so large
/// that to go through it takes longer than most of what happens.
#[derive(Debug)]
pub(super) struct Queue {
    /// The present slot and what was before it, the next thing last.
    present: Vec<Scheduled>,
    /// The number of the present slot.
    slot: u64,
    /// The slots of the near future, each at its number's remainder.
    near: Vec<Vec<Scheduled>>,
    /// Which of them are not empty, a bit each.
    occupied: [u64; SLOTS as usize / 64],
    /// The memory of slots that are over.
    spare: Vec<Vec<Scheduled>>,
    far: BinaryHeap<Scheduled>,
    sequence: u64,
    shuffle: Option<Rng>,
}

impl Queue {
    /// An empty queue; with `shuffle`, events of one instant come in an order that this stream draws.
    pub(super) fn new(shuffle: Option<Rng>) -> Queue {
        Queue {
            present: Vec::new(),
            slot: 0,
            near: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; SLOTS as usize / 64],
            spare: Vec::new(),
            far: BinaryHeap::new(),
            sequence: 0,
            shuffle,
        }
    }

    /// Something will happen at `at`.
    pub(super) fn push(&mut self, at: Time, happening: Happening) {
        let shuffle = match (&mut self.shuffle, ordered_by_nature(&happening)) {
            (Some(rng), false) => u32::try_from(rng.below(1 << 16)).unwrap_or(0),
            _ => 0,
        };
        self.sequence += 1;
        let scheduled = Scheduled { at, shuffle, sequence: self.sequence, happening };
        let slot = slot_of(at);
        if slot <= self.slot {
            let place = self.present.partition_point(|other| *other < scheduled);
            self.present.insert(place, scheduled);
        } else if slot - self.slot < SLOTS {
            let place = (slot % SLOTS) as usize;
            self.occupied[place / 64] |= 1 << (place % 64);
            let slot = &mut self.near[place];
            if slot.capacity() == 0 {
                *slot = self.spare.pop().unwrap_or_default();
            }
            slot.push(scheduled);
        } else {
            self.far.push(scheduled);
        }
    }

    /// Whether events of one instant come in an order that is drawn.
    pub(super) fn shuffles(&self) -> bool {
        self.shuffle.is_some()
    }

    /// When the next thing happens.
    pub(super) fn next_at(&mut self) -> Option<Time> {
        if self.present.is_empty() {
            self.begin_next_slot();
        }
        self.present.last().map(|next| next.at)
    }

    /// The next thing that happens.
    pub(super) fn pop(&mut self) -> Option<(Time, Happening)> {
        self.next_at()?;
        let next = self.present.last_mut()?;
        let happened = (next.at, next.happening);
        // A datagram stays in its place until it has reached everybody.
        if let Happening::Datagram { next: host, of, .. } = &mut next.happening
            && *host + 1 < *of
        {
            *host += 1;
        } else {
            self.present.pop();
        }
        Some(happened)
    }

    /// The first slot in which something happens becomes the present one, which is over.
    fn begin_next_slot(&mut self) {
        let near = self.next_near();
        let far = self.far.peek().map(|next| slot_of(next.at));
        let Some(slot) = near.into_iter().chain(far).min() else { return };
        self.slot = slot;
        if near == Some(slot) {
            let place = (slot % SLOTS) as usize;
            self.occupied[place / 64] &= !(1 << (place % 64));
            let over = std::mem::replace(&mut self.present, std::mem::take(&mut self.near[place]));
            self.spare.push(over);
        }
        while let Some(next) = self.far.peek()
            && slot_of(next.at) == slot
        {
            self.present.extend(self.far.pop());
        }
        self.present.sort_unstable();
    }

    /// The first slot of the near future in which something happens.
    fn next_near(&self) -> Option<u64> {
        let first = (self.slot + 1) % SLOTS;
        let words = self.occupied.len() as u64;
        // The word of the first slot is looked at twice: what lies before that slot in it comes last.
        let word_at = |step: u64| {
            let word = (first / 64 + step) % words;
            let from = if step == 0 { u64::MAX << (first % 64) } else { u64::MAX };
            (word, self.occupied[word as usize] & from)
        };
        let (word, bits) = (0..=words).map(word_at).find(|(_, bits)| *bits != 0)?;
        let place = word * 64 + u64::from(bits.trailing_zeros());
        Some(self.slot + 1 + (place + SLOTS - first) % SLOTS)
    }
}

/// The number of the slot that an instant is in.
fn slot_of(at: Time) -> u64 {
    at.as_nanos() >> SLOT_NANOS_LOG
}

/// What one stream or one disk does stays in its order, even within an instant.
fn ordered_by_nature(happening: &Happening) -> bool {
    matches!(
        happening,
        Happening::Transmitted { .. }
            | Happening::Arrived { .. }
            | Happening::FinArrived { .. }
            | Happening::Reset { .. }
            | Happening::Syn { .. }
            | Happening::Dialled { .. }
            | Happening::StoreDone { .. }
            | Happening::Action(_)
    )
}

impl Ord for Scheduled {
    /// The greatest is the earliest.
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (other.at, other.shuffle, other.sequence).cmp(&(self.at, self.shuffle, self.sequence))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_first_and_ties_by_sequence() {
        let mut queue = Queue::new(None);
        for (at, action) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.push(Time::from_millis(at), Happening::Action(action));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, [1, 3, 0, 2].map(Happening::Action));
    }

    #[test]
    fn a_datagram_reaches_all_before_what_follows_from_it() {
        let mut queue = Queue::new(None);
        let datagram = |next| Happening::Datagram { packet: 7, next, of: 3 };
        queue.push(Time::ZERO, datagram(0));
        queue.push(Time::ZERO, Happening::Action(1));
        assert_eq!(queue.pop(), Some((Time::ZERO, datagram(0))));
        queue.push(Time::ZERO, Happening::Action(2));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, [datagram(1), datagram(2), Happening::Action(1), Happening::Action(2)]);
    }

    #[test]
    fn near_and_far_come_in_one_order() {
        let mut queue = Queue::new(None);
        let mut rng = Rng::new(3);
        let mut expected = Vec::new();
        let mut now = 0;
        for action in 0..5_000u32 {
            // From this very moment to well beyond the near future.
            let at = now + rng.next_u64() % (1 << (10 + rng.below(20)));
            queue.push(Time::from_nanos(at), Happening::Action(action));
            expected.push((Time::from_nanos(at), action));
            if action % 3 == 0 {
                expected.sort_unstable();
                let (at, next) = expected.remove(0);
                assert_eq!(queue.next_at(), Some(at));
                assert_eq!(queue.pop(), Some((at, Happening::Action(next))));
                now = at.as_nanos();
            }
        }
        expected.sort_unstable();
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert!(rest.into_iter().eq(expected.into_iter().map(|(at, next)| (at, Happening::Action(next)))));
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn a_shuffle_stays_within_an_instant() {
        let mut queue = Queue::new(Some(Rng::new(7)));
        for host in 0..100 {
            queue.push(Time::from_millis(u64::from(host % 2)), Happening::Resumed { host });
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert!(order.is_sorted_by_key(|(at, _)| *at));
        let hosts: Vec<_> = order.iter().map(|(_, what)| *what).collect();
        assert_ne!(
            hosts[..50],
            (0..50).map(|host| Happening::Resumed { host: host * 2 }).collect::<Vec<_>>()
        );
    }
}
