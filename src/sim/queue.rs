//! The virtual clock's queue: what will happen, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::core::{BrokenWhy, ConnId, Rng, Time};
use crate::sim::tcp::StreamRef;

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
    /// A host answers a push.
    PushAnswer { host: u32, incarnation: u32, push: u32 },
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
    /// A host wants something of the classic peers: one of its gets.
    ClassicGet { host: u32, incarnation: u32, get: u32 },
    /// A paused host goes on.
    Resumed { host: u32 },
    /// A line of the scenario's timeline.
    Action(u32),
    /// The oracle looks at everything.
    Sweep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scheduled {
    at: Time,
    shuffle: u32,
    sequence: u64,
    happening: Happening,
}

/// A heap on (time, shuffle, sequence). Without a shuffle, what was put in first comes first.
#[derive(Debug)]
pub(super) struct Queue {
    heap: BinaryHeap<Scheduled>,
    sequence: u64,
    shuffle: Option<Rng>,
}

impl Queue {
    /// An empty queue; with `shuffle`, events of one instant come in an order that this stream draws.
    pub(super) fn new(shuffle: Option<Rng>) -> Queue {
        Queue { heap: BinaryHeap::new(), sequence: 0, shuffle }
    }

    /// Something will happen at `at`.
    pub(super) fn push(&mut self, at: Time, happening: Happening) {
        let shuffle = match (&mut self.shuffle, ordered_by_nature(&happening)) {
            (Some(rng), false) => u32::try_from(rng.below(1 << 16)).unwrap_or(0),
            _ => 0,
        };
        self.sequence += 1;
        self.heap.push(Scheduled { at, shuffle, sequence: self.sequence, happening });
    }

    /// Whether events of one instant come in an order that is drawn.
    pub(super) fn shuffles(&self) -> bool {
        self.shuffle.is_some()
    }

    /// When the next thing happens.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|next| next.at)
    }

    /// The next thing that happens.
    pub(super) fn pop(&mut self) -> Option<(Time, Happening)> {
        let mut next = self.heap.peek_mut()?;
        let happened = (next.at, next.happening);
        // A datagram stays in its place until it has reached everybody.
        if let Happening::Datagram { next: host, of, .. } = &mut next.happening
            && *host + 1 < *of
        {
            *host += 1;
        } else {
            PeekMut::pop(next);
        }
        Some(happened)
    }
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
    /// The heap's greatest is the earliest.
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
