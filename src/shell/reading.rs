//! One visit to a connection, and what comes in on it: control bytes to the core, payload into its buffer or spool.

use std::io::{self, Read};

use crate::core::{BrokenWhy, ConnId, Expect, Input, Sink};
use crate::shell::links::{Held, Phase};
use crate::shell::reactor::Reactor;
use crate::store::Buffers;

/// Bytes read from one connection before the next one has its turn.
const READ_BUDGET_BYTES: usize = 1 << 20;
/// Reads that begin where a control frame is expected, before the next connection has its turn. Chunks, however short, come to
/// fewer in their bytes; frames that trickle in do not.
const CONTROL_READS_MAX: usize = 16;

/// What became of bytes that were handed on.
struct Handed {
    /// How many found their way.
    bytes: usize,
    /// The core has handled as many frames of this connection as it does at once.
    turn_over: bool,
}

impl Reactor {
    /// Does what one socket's turn allows.
    pub(super) fn visit(&mut self, key: usize) {
        match self.links.get(key).map(|link| link.phase) {
            None => return,
            Some(Phase::Lingering { .. }) => {
                if self.links.discard(key, &mut self.scratch) {
                    self.links.ready.push(key);
                }
                return;
            }
            Some(Phase::Dialing) => self.finish_dial(key),
            Some(Phase::Open) => {}
        }
        let read_on = self.read(key);
        let write_on = self.write(key);
        // A look at what is to be sent may have asked for something, such as a page of a manifest.
        self.drain();
        if read_on || write_on {
            self.links.ready.push(key);
        } else {
            self.look_for_fault(key);
        }
    }

    /// Reads while there is something, the core wants it, and the budget lasts. True when only the budget ended it.
    fn read(&mut self, key: usize) -> bool {
        let mut room = usize::try_from(self.rates.down.room_of(key)).unwrap_or(usize::MAX);
        let (mut budget, mut control_reads) = (READ_BUDGET_BYTES, 0);
        loop {
            let Some(link) = self.links.open(key) else { return false };
            let conn = link.conn;
            let expected = self.peer.expects(conn);
            if expected == Expect::Nothing {
                return false;
            }
            if let Some(held) = link.held.take() {
                let handed = self.distribute_held(key, conn, held);
                if handed.bytes == 0 || handed.turn_over {
                    return handed.turn_over;
                }
                continue;
            }
            if !link.readable || link.ended {
                return false;
            }
            if budget == 0 || room == 0 || control_reads == CONTROL_READS_MAX {
                return self.rates.down.is_over(key);
            }
            let most = Most { budget, room };
            let memory = memory_for(expected, most, &mut self.buffers, &mut self.scratch);
            // Without room the read would return nothing, which stands for the end of the stream.
            if memory.is_empty() {
                return false;
            }
            match (&link.stream).read(memory) {
                Ok(0) => {
                    link.ended = true;
                    let now = self.clock.now();
                    self.peer.handle(now, Input::EndOfStream { conn });
                    self.drain();
                    return false;
                }
                Ok(count) => {
                    budget = budget.saturating_sub(count);
                    if room < usize::MAX {
                        room = room.saturating_sub(count);
                        self.rates.down.moved(count as u64);
                    }
                    self.moved_bytes += count;
                    match expected {
                        Expect::Control | Expect::Nothing => {
                            control_reads += 1;
                            if self.distribute_scratch(key, conn, count) {
                                return true;
                            }
                        }
                        Expect::Payload { sink, .. } => {
                            if let Sink::Spool(spool) = sink {
                                self.store.write_spool(spool, &self.scratch[..count]);
                            }
                            self.payload_stored(conn, count);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.readable = false;
                    return false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.broken(key, &error);
                    return false;
                }
            }
        }
    }

    /// Hands held bytes to whom they concern, and goes on holding the rest.
    fn distribute_held(&mut self, key: usize, conn: ConnId, mut held: Held) -> Handed {
        let handed = self.distribute(conn, held.rest());
        if held.skip(handed.bytes)
            && let Some(link) = self.links.open(key)
        {
            link.held = Some(held);
        }
        handed
    }

    /// Hands `count` bytes of scratch memory to whom they concern, and holds what the core does not want yet. True when the
    /// connection's turn is over.
    fn distribute_scratch(&mut self, key: usize, conn: ConnId, count: usize) -> bool {
        let scratch = std::mem::take(&mut self.scratch);
        let bytes = scratch.get(..count).unwrap_or(&scratch);
        let handed = self.distribute(conn, bytes);
        if let Some(rest) = bytes.get(handed.bytes..).filter(|rest| !rest.is_empty())
            && let Some(link) = self.links.open(key)
        {
            link.held = Some(Held::new(rest));
        }
        self.scratch = scratch;
        handed.turn_over
    }

    /// Hands bytes to whom they concern: the core, or the sinks that it names.
    fn distribute(&mut self, conn: ConnId, bytes: &[u8]) -> Handed {
        let mut rest = bytes;
        let mut was_idle = false;
        let mut turn_over = false;
        while !rest.is_empty() {
            let taken = match self.peer.expects(conn) {
                Expect::Control => {
                    let now = self.clock.now();
                    let used = self.peer.received(now, conn, rest);
                    self.drain();
                    turn_over = used > 0 && used < rest.len() && self.peer.expects(conn) == Expect::Control;
                    used
                }
                Expect::Payload { sink, left } => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let taken = match sink {
                        Sink::Discard => most,
                        Sink::Spool(spool) => {
                            self.store.write_spool(spool, rest.get(..most).unwrap_or_default());
                            most
                        }
                        Sink::Buffer { buffer, at: to, len } => {
                            let taken = room_of(to, len, left).min(most);
                            let memory = self.buffers.get_or_make(buffer, len as usize);
                            if let (Some(room), Some(bytes)) =
                                (memory.get_mut(to as usize..to as usize + taken), rest.get(..taken))
                            {
                                room.copy_from_slice(bytes);
                            }
                            taken
                        }
                    };
                    if taken > 0 {
                        self.payload_stored(conn, taken);
                    }
                    taken
                }
                Expect::Nothing => 0,
            };
            rest = rest.get(taken..).unwrap_or_default();
            // The core may have taken nothing only because payload begins here; asked again it says so. But once.
            if turn_over || (taken == 0 && was_idle) {
                break;
            }
            was_idle = taken == 0;
        }
        Handed { bytes: bytes.len() - rest.len(), turn_over }
    }

    /// Looks whether a dial has succeeded or failed by now.
    fn finish_dial(&mut self, key: usize) {
        let Some(link) = self.links.get(key) else { return };
        let failed = match link.stream.take_error() {
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(error),
        };
        let (conn, peer, own) = (link.conn, link.stream.peer_addr(), link.stream.local_addr());
        match (failed, peer) {
            (Some(error), _) => self.broken(key, &error),
            // A dial of a free port of this host can meet itself.
            (None, Ok(peer)) if own.is_ok_and(|own| own == peer) => {
                self.broken(key, &io::ErrorKind::ConnectionRefused.into());
            }
            (None, Ok(_)) => {
                link.phase = Phase::Open;
                link.readable = true;
                link.writable = true;
                let now = self.clock.now();
                self.peer.handle(now, Input::Connected { conn });
                self.drain();
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => {}
            (None, Err(error)) => self.broken(key, &error),
        }
    }

    /// A connection that neither reads nor writes for now would not notice that it broke.
    fn look_for_fault(&mut self, key: usize) {
        let Some(link) = self.links.open(key) else { return };
        if std::mem::take(&mut link.faulty)
            && let Ok(Some(error)) = link.stream.take_error()
        {
            self.broken(key, &error);
        }
    }

    /// Forgets a connection and tells the core.
    pub(super) fn broken(&mut self, key: usize, error: &io::Error) {
        let Some(conn) = self.links.get(key).map(|link| link.conn) else { return };
        log::debug!("{conn}: {error}");
        self.links.remove(key);
        let now = self.clock.now();
        self.peer.handle(now, Input::Broken { conn, why: why_broken(error) });
        self.drain();
    }

    fn payload_stored(&mut self, conn: ConnId, count: usize) {
        let now = self.clock.now();
        self.peer.stored(now, conn, count as u64);
        self.drain();
    }
}

/// What an error of a socket is for the core.
pub(super) fn why_broken(error: &io::Error) -> BrokenWhy {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => BrokenWhy::Refused,
        Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::TimedOut
        | Kind::AddrNotAvailable => BrokenWhy::Unreachable,
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted | Kind::NotConnected => {
            BrokenWhy::Reset
        }
        _ => BrokenWhy::Failed,
    }
}

/// How much may be read at once.
struct Most {
    /// Before another connection has its turn.
    budget: usize,
    /// Within the rate of this process.
    room: usize,
}

/// Where the next bytes of a connection go: payload into its buffer, all else into `scratch`.
fn memory_for<'a>(
    expected: Expect,
    most: Most,
    buffers: &'a mut Buffers,
    scratch: &'a mut [u8],
) -> &'a mut [u8] {
    let room = match expected {
        Expect::Payload { sink: Sink::Buffer { buffer, at, len }, left } => {
            let room = room_of(at, len, left).min(most.budget).min(most.room);
            let memory = buffers.get_or_make(buffer, len as usize);
            return memory.get_mut(at as usize..at as usize + room).unwrap_or_default();
        }
        Expect::Payload { sink: Sink::Discard | Sink::Spool(_), left } => {
            usize::try_from(left).unwrap_or(usize::MAX)
        }
        Expect::Control | Expect::Nothing => usize::MAX,
    };
    let room = room.min(most.room).min(scratch.len());
    &mut scratch[..room]
}

/// How many bytes a buffer of `len` bytes takes from `at` on, of `left` that are still to come.
fn room_of(at: u32, len: u32, left: u64) -> usize {
    let room = len.saturating_sub(at);
    usize::try_from(left.min(u64::from(room))).unwrap_or(room as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_behind_a_buffer() {
        assert_eq!(room_of(0, 100, 100), 100);
        assert_eq!(room_of(90, 100, 1000), 10);
        assert_eq!(room_of(0, 100, 7), 7);
        assert_eq!(room_of(101, 100, 7), 0);
        assert_eq!(room_of(0, u32::MAX, u64::MAX), u32::MAX as usize);
    }
}
