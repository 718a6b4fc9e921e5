//! Virtual TCP: ordered streams of control bytes and of payload that is only described.
//!
//! A [`Pipe`] is one direction: a send buffer, what is on the wire, and a receive buffer, told apart by four
//! positions in one queue of pieces. Moving bytes along it is arithmetic; only control bytes are really there.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::core::ConnId;
use crate::sim::checker::Checker;
use crate::sim::classic::ClassicChecker;
use crate::sim::network::index;
use crate::types::Time;

/// A pipe keeps so many bytes of memory for control bytes while there are none: pages are rare, and pipes are many.
const CONTROL_KEPT_BYTES: usize = 1 << 10;

/// A stretch of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes of [`Pipe`]'s control queue.
    Control { len: u64 },
    /// Bytes of a content that are not carried.
    Payload { content: u32, offset: u64, len: u64, bad: bool },
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    written: u64,
    sent: u64,
    arrived: u64,
    consumed: u64,
    /// The writer has written its last byte.
    pub(super) fin: bool,
    /// The end of the stream is on the wire.
    pub(super) fin_sent: bool,
    /// The end of the stream is at the reader's.
    pub(super) fin_arrived: bool,
    pieces: VecDeque<Piece>,
    control: VecDeque<u8>,
    /// No piece arrives before the one sent before it.
    pub(super) last_arrival: Time,
}

impl Pipe {
    /// Whether nothing was written yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.written == 0
    }

    /// How many bytes a send buffer of `capacity` bytes still takes.
    pub(super) fn room(&self, capacity: u64) -> u64 {
        capacity.saturating_sub(self.written - self.sent)
    }

    /// How many bytes wait in the send buffer.
    pub(super) fn unsent(&self) -> u64 {
        self.written - self.sent
    }

    /// How many bytes may go on the wire now, with a receive window of `window` bytes.
    pub(super) fn sendable(&self, window: u64) -> u64 {
        self.unsent().min(self.window_room(window))
    }

    /// How many bytes wait for the reader.
    pub(super) fn available(&self) -> u64 {
        self.arrived - self.consumed
    }

    /// How much of the reader's window of `window` bytes is free.
    pub(super) fn window_room(&self, window: u64) -> u64 {
        window.saturating_sub(self.sent - self.consumed)
    }

    /// Whether bytes that were written are not read yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.written > self.consumed
    }

    /// Whether the reader has read all there will ever be.
    pub(super) fn at_end(&self) -> bool {
        self.fin_arrived && self.available() == 0
    }

    pub(super) fn write_control(&mut self, bytes: &[u8]) {
        self.control.extend(bytes);
        self.written += bytes.len() as u64;
        match self.pieces.back_mut() {
            Some(Piece::Control { len }) => *len += bytes.len() as u64,
            _ => self.pieces.push_back(Piece::Control { len: bytes.len() as u64 }),
        }
    }

    pub(super) fn write_payload(&mut self, content: u32, offset: u64, len: u64, bad: bool) {
        self.written += len;
        if let Some(Piece::Payload { content: c, offset: o, len: l, bad: b }) = self.pieces.back_mut()
            && *c == content
            && *b == bad
            && *o + *l == offset
        {
            *l += len;
            return;
        }
        self.pieces.push_back(Piece::Payload { content, offset, len, bad });
    }

    /// Puts `bytes` on the wire, or as many as there still are; returns how many.
    pub(super) fn transmit(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.min(self.unsent());
        self.sent += bytes;
        bytes
    }

    pub(super) fn arrive(&mut self, bytes: u64) {
        self.arrived += bytes;
    }

    /// What the reader finds first, cut to what has arrived.
    pub(super) fn front(&self) -> Option<Piece> {
        let available = self.available();
        if available == 0 {
            return None;
        }
        Some(match *self.pieces.front()? {
            Piece::Control { len } => Piece::Control { len: len.min(available) },
            Piece::Payload { content, offset, len, bad } => {
                Piece::Payload { content, offset, len: len.min(available), bad }
            }
        })
    }

    /// Copies the first `len` control bytes into `scratch`, and says how many payload bytes have arrived behind them.
    pub(super) fn peek_control(&self, len: u64, scratch: &mut Vec<u8>) -> u64 {
        scratch.clear();
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.control.len());
        let (a, b) = self.control.as_slices();
        let from_a = len.min(a.len());
        scratch.extend_from_slice(&a[..from_a]);
        scratch.extend_from_slice(&b[..len - from_a]);
        let whole_piece =
            matches!(self.pieces.front(), Some(Piece::Control { len: all }) if *all == len as u64);
        if whole_piece { self.available() - len as u64 } else { 0 }
    }

    /// The reader takes `bytes` from the first piece, which has them.
    pub(super) fn consume(&mut self, bytes: u64) {
        self.consumed += bytes;
        let empty = match self.pieces.front_mut() {
            Some(Piece::Control { len }) => {
                let taken = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.control.len());
                self.control.drain(..taken);
                if self.control.is_empty() {
                    self.control.shrink_to(CONTROL_KEPT_BYTES);
                }
                *len -= bytes;
                *len == 0
            }
            Some(Piece::Payload { offset, len, .. }) => {
                *offset += bytes;
                *len -= bytes;
                *len == 0
            }
            None => false,
        };
        if empty {
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() {
            // Both begin at the start of their memory again, instead of wandering through all of it.
            self.pieces.clear();
            self.control.clear();
        }
    }

    /// Throws away all that has arrived: nobody reads it any more.
    pub(super) fn discard_arrived(&mut self) {
        while let Some(piece) = self.front() {
            match piece {
                Piece::Control { len } | Piece::Payload { len, .. } => self.consume(len),
            }
        }
    }

    /// Forgets what was not sent: the sender's machine is gone.
    pub(super) fn forget_unsent(&mut self) {
        self.written = self.sent;
        self.fin = false;
    }
}

/// A stream that may be gone by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamRef {
    slot: u32,
    generation: u32,
}

/// What the driver of one end still does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    /// It belongs to the core's connection.
    Held(ConnId),
    /// The core is done with it; what was written still leaves.
    Lingering(ConnId),
    /// The driver has forgotten it.
    Gone,
}

/// One end of a stream: a socket, and the pipe it writes into.
#[derive(Debug)]
pub(super) struct End {
    host: u32,
    /// In the ready queue of its host, to read.
    pub(super) wants_read: bool,
    /// In the ready queue of its host, to write.
    pub(super) wants_write: bool,
    /// The last write found no room, so that room is news.
    pub(super) write_blocked: bool,
    /// In the uplink's queue, or on it.
    pub(super) in_uplink: bool,
    /// The reader's window is full, so that room in it is news.
    pub(super) window_blocked: bool,
    /// The network does not carry it now.
    pub(super) held_back: bool,
    /// The core was told of the end of the stream.
    pub(super) end_told: bool,
    /// Closed as the protocol has it: what still comes is thrown away without a reset.
    pub(super) quiet: bool,
    pub(super) socket: Socket,
    pub(super) out: Pipe,
    /// Elsewhere, because it is rarely looked at.
    pub(super) address: Box<SocketAddr>,
    /// Where the span under way goes on, and whether its bytes are wrong.
    pub(super) span: Option<(usize, u64, bool)>,
    /// Listens to what is written here.
    pub(super) checker: Box<Checker>,
    /// The same, on a classic connection.
    pub(super) classic: Box<ClassicChecker>,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The dialler does not know yet whether somebody answers.
    Dialling,
    /// Both sides may write.
    Open,
}

/// A TCP connection as the network sees it.
#[derive(Debug)]
pub(super) struct Stream {
    /// How many stood in its slot before it.
    generation: u32,
    pub(super) phase: Phase,
    /// It carries a classic conversation: every byte of it is really there.
    pub(super) classic: bool,
    /// So it does because a file is sent on it.
    pub(super) transfer: bool,
    pub(super) ends: [End; 2],
}

/// All streams, in slots that are used again.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Option<Stream>>,
    /// How many streams stood in each slot.
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl End {
    pub(super) fn new(host: usize, address: SocketAddr, socket: Socket) -> End {
        End {
            host: index(host),
            address: Box::new(address),
            socket,
            out: Pipe::default(),
            wants_read: false,
            wants_write: false,
            write_blocked: false,
            in_uplink: false,
            window_blocked: false,
            held_back: false,
            end_told: false,
            quiet: false,
            span: None,
            checker: Box::default(),
            classic: Box::default(),
        }
    }

    /// Whose end it is.
    pub(super) fn host(&self) -> usize {
        self.host as usize
    }

    /// The core's connection, unless the core is done with it.
    pub(super) fn conn(&self) -> Option<ConnId> {
        match self.socket {
            Socket::Held(conn) => Some(conn),
            Socket::Lingering(_) | Socket::Gone => None,
        }
    }
}

impl Stream {
    /// One that is being dialled.
    pub(super) fn dialled(ends: [End; 2], classic: bool, transfer: bool) -> Stream {
        Stream { generation: 0, phase: Phase::Dialling, classic, transfer, ends }
    }
}

impl Streams {
    pub(super) fn insert(&mut self, stream: Stream) -> StreamRef {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.generations.push(0);
            index(self.slots.len() - 1)
        });
        let generation = self.generations[slot as usize];
        self.slots[slot as usize] = Some(Stream { generation, ..stream });
        StreamRef { slot, generation }
    }

    pub(super) fn get(&self, stream: StreamRef) -> Option<&Stream> {
        self.slots.get(stream.slot as usize)?.as_ref().filter(|found| found.generation == stream.generation)
    }

    pub(super) fn get_mut(&mut self, stream: StreamRef) -> Option<&mut Stream> {
        self.slots
            .get_mut(stream.slot as usize)?
            .as_mut()
            .filter(|found| found.generation == stream.generation)
    }

    pub(super) fn end_mut(&mut self, stream: StreamRef, end: u8) -> Option<&mut End> {
        self.get_mut(stream).map(|stream| &mut stream.ends[usize::from(end)])
    }

    /// Forgets a stream that neither side holds any more and nothing moves on.
    pub(super) fn remove_if_over(&mut self, stream: StreamRef) {
        let over = self.get(stream).is_some_and(|found| {
            let done = |end: &End| {
                end.socket == Socket::Gone
                    && !end.in_uplink
                    && end.out.unsent() == 0
                    && (!end.out.fin || end.out.fin_sent)
            };
            found.ends.iter().all(done)
        });
        if over {
            self.remove(stream);
        }
    }

    pub(super) fn remove(&mut self, stream: StreamRef) {
        if self.get(stream).is_some() {
            let generation = &mut self.generations[stream.slot as usize];
            *generation = generation.wrapping_add(1);
            self.slots[stream.slot as usize] = None;
            self.free.push(stream.slot);
        }
    }

    /// All streams, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamRef, &Stream)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, place)| {
            place.as_ref().map(|stream| (StreamRef { slot, generation: stream.generation }, stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_order_and_boundaries() {
        let mut pipe = Pipe::default();
        pipe.write_control(b"ab");
        pipe.write_control(b"c");
        pipe.write_payload(4, 100, 10, false);
        pipe.write_payload(4, 110, 5, false);
        pipe.write_control(b"d");
        assert_eq!((pipe.room(20), pipe.sendable(7), pipe.available()), (1, 7, 0));
        pipe.transmit(7);
        pipe.arrive(2);
        assert_eq!(pipe.front(), Some(Piece::Control { len: 2 }));
        pipe.arrive(5);
        let mut scratch = Vec::new();
        assert_eq!(pipe.peek_control(3, &mut scratch), 4);
        assert_eq!(scratch, b"abc");
        pipe.consume(3);
        assert_eq!(pipe.front(), Some(Piece::Payload { content: 4, offset: 100, len: 4, bad: false }));
        pipe.consume(4);
        assert_eq!((pipe.front(), pipe.sendable(7)), (None, 7));
        pipe.transmit(12);
        pipe.arrive(12);
        assert_eq!(pipe.front(), Some(Piece::Payload { content: 4, offset: 104, len: 11, bad: false }));
        pipe.discard_arrived();
        assert_eq!((pipe.available(), pipe.unsent()), (0, 0));
    }
}
