//! What comes in on a connection: control bytes to the core, payload into its buffer or spool.

use std::io::{self, Read};

use crate::core::{ConnId, Expect, Input, Sink};
use crate::shell::reactor::Reactor;

/// Bytes read from one connection before the next one has its turn.
const READ_BUDGET_BYTES: usize = 1 << 20;

impl Reactor {
    /// Reads while there is something, the core wants it, and the budget lasts. True when only the budget ended it.
    pub(super) fn read(&mut self, key: usize) -> bool {
        let mut budget = READ_BUDGET_BYTES;
        while budget > 0 {
            let Some(link) = self.links.open(key) else { return false };
            let conn = link.conn;
            let expected = self.peer.expects(conn);
            if expected == Expect::Nothing {
                return false;
            }
            if !link.held.is_empty() {
                let held = std::mem::take(&mut link.held);
                self.scratch[..held.len()].copy_from_slice(&held);
                if self.distribute(key, conn, held.len()) == 0 {
                    return false;
                }
                continue;
            }
            if !link.readable || link.ended {
                return false;
            }
            let got = match expected {
                Expect::Payload { sink: Sink::Buffer { buffer, at, len }, left } => {
                    let room = room_of(at, len, left).min(budget);
                    let memory = self.buffers.get_or_make(buffer, len as usize);
                    // Without room the read would return nothing, which stands for the end of the stream.
                    match memory.get_mut(at as usize..at as usize + room).filter(|room| !room.is_empty()) {
                        Some(memory) => (&link.stream).read(memory),
                        None => return false,
                    }
                }
                Expect::Payload { sink: Sink::Discard | Sink::Spool(_), left } => {
                    let room = usize::try_from(left).unwrap_or(usize::MAX).min(self.scratch.len());
                    if room == 0 {
                        return false;
                    }
                    (&link.stream).read(&mut self.scratch[..room])
                }
                Expect::Control | Expect::Nothing => (&link.stream).read(&mut self.scratch),
            };
            match got {
                Ok(0) => {
                    link.ended = true;
                    let now = self.clock.now();
                    self.peer.handle(now, Input::EndOfStream { conn });
                    self.drain();
                    return false;
                }
                Ok(count) => {
                    budget = budget.saturating_sub(count);
                    self.moved_bytes += count;
                    match expected {
                        Expect::Control | Expect::Nothing => {
                            self.distribute(key, conn, count);
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
        true
    }

    /// Hands `count` bytes of scratch memory to whom they concern: the core, or the sinks that it names. What the
    /// core does not want yet is held. Returns how many bytes found their way.
    fn distribute(&mut self, key: usize, conn: ConnId, count: usize) -> usize {
        let mut at = 0;
        let mut was_idle = false;
        while at < count {
            let taken = match self.peer.expects(conn) {
                Expect::Control => {
                    let now = self.clock.now();
                    let used = self.peer.received(now, conn, &self.scratch[at..count]);
                    self.drain();
                    used
                }
                Expect::Payload { sink, left } => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(count - at);
                    let taken = match sink {
                        Sink::Discard => most,
                        Sink::Spool(spool) => {
                            self.store.write_spool(spool, &self.scratch[at..at + most]);
                            most
                        }
                        Sink::Buffer { buffer, at: to, len } => {
                            let taken = room_of(to, len, left).min(most);
                            let memory = self.buffers.get_or_make(buffer, len as usize);
                            if let Some(room) = memory.get_mut(to as usize..to as usize + taken) {
                                room.copy_from_slice(&self.scratch[at..at + taken]);
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
            // The core may have taken nothing only because payload begins here; asked again it says so. But once.
            if taken == 0 && was_idle {
                break;
            }
            was_idle = taken == 0;
            at += taken;
        }
        if at < count
            && let Some(link) = self.links.open(key)
        {
            link.held = self.scratch[at..count].to_vec();
        }
        at
    }

    fn payload_stored(&mut self, conn: ConnId, count: usize) {
        let now = self.clock.now();
        self.peer.stored(now, conn, count as u64);
        self.drain();
    }
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
