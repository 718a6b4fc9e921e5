//! One read and one write of a driver: bytes between a socket and the core, payload between a socket and the disk.

use crate::core::{ConnId, Expect, Input, Segment, Sink, SpanSource};
use crate::sim::disk::{SpanError, StoreTask};
use crate::sim::network::{index, pair};
use crate::sim::scenario::Nature;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Piece, StreamRef};

/// Payload bytes that a read brings along behind control bytes, which the core must leave alone.
const STRAY_BYTES_MAX: u64 = 64;
/// What a step of a visit came to.
pub(super) enum Step {
    Moved(u64),
    /// There is more, and others have their turn before.
    TurnOver,
    Stop,
}

impl Simulation {
    /// Reads what one system call would.
    pub(super) fn read_step(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) -> Step {
        let now = self.local_now(host);
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        if found.ends[usize::from(end)].conn() != Some(conn) {
            return Step::Stop;
        }
        let from = &mut found.ends[usize::from(1 - end)];
        if !found.classic && from.out.available() == 0 && !from.out.at_end() {
            return Step::Stop;
        }
        let place = &mut self.hosts[host];
        let Some(peer) = place.peer.as_mut() else { return Step::Stop };
        let expected = peer.expects(conn);
        if expected == Expect::Nothing {
            return Step::Stop;
        }
        if from.out.at_end() {
            let told = &mut found.ends[usize::from(end)].end_told;
            if !std::mem::replace(told, true) {
                peer.handle(now, Input::EndOfStream { conn });
                self.mutated(host);
            }
            return Step::Stop;
        }
        if found.classic {
            return self.read_classic(host, stream, end, conn);
        }
        let mut turn_over = false;
        let moved = match (expected, from.out.front()) {
            (Expect::Nothing, _) | (_, None) => return Step::Stop,
            (Expect::Control, Some(Piece::Control { len })) => {
                let behind = from.out.peek_control(len, &mut self.scratch);
                let strays = usize::try_from(behind.min(STRAY_BYTES_MAX)).unwrap_or(0);
                self.scratch.resize(self.scratch.len() + strays, 0xaa);
                let used = peer.received(now, conn, &self.scratch) as u64;
                if used > len {
                    self.oracle.fail(format!(
                        "host {host} {conn}: {} payload bytes are taken as control",
                        used - len
                    ));
                    return Step::Stop;
                }
                from.out.consume(used);
                // It took as many frames as it handles at once.
                turn_over = used < len && peer.expects(conn) == Expect::Control;
                if turn_over && used == 0 {
                    self.oracle.fail(format!("host {host} {conn}: none of {len} control bytes taken"));
                    return Step::Stop;
                }
                self.tally.hosts[host].control_received += used;
                used.max(1)
            }
            (Expect::Payload { sink, left }, Some(Piece::Payload { content, offset, len, bad })) => {
                let bytes = len.min(left);
                match sink {
                    Sink::Buffer { buffer, at, len: room } => {
                        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                        if bytes > room.saturating_sub(at) {
                            self.oracle.fail(format!("host {host} {conn}: {bytes} bytes to {at} of {room}"));
                        }
                        let start = offset.wrapping_sub(u64::from(at));
                        place.disk.fill(buffer, at, content, start, bytes, bad);
                        self.oracle.heed_buffers(host, &mut place.disk);
                    }
                    Sink::Spool(_) => self.oracle.fail(format!("host {host} {conn}: a spool")),
                    Sink::Discard => self.tally.hosts[host].payload_discarded += bytes,
                }
                from.out.consume(bytes);
                self.tally.hosts[host].payload_received += bytes;
                if bytes > 0 {
                    peer.stored(now, conn, bytes);
                } else {
                    self.oracle.fail(format!("host {host} {conn}: expects no bytes of payload"));
                }
                bytes
            }
            (expected, Some(piece)) => {
                self.oracle.fail(format!("host {host} {conn}: expects {expected:?}, but {piece:?} is next"));
                return Step::Stop;
            }
        };
        self.consumed(stream, 1 - end);
        self.mutated(host);
        if turn_over { Step::TurnOver } else { Step::Moved(moved) }
    }

    /// Writes what one system call would.
    pub(super) fn write_step(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) -> Step {
        let now = self.local_now(host);
        let capacity = self.scenario.network.send_buffer_bytes;
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        if found.ends[usize::from(end)].conn() != Some(conn) {
            return Step::Stop;
        }
        if found.classic || self.turns_classic(host, stream, end, conn) {
            return self.write_classic(host, stream, end, conn);
        }
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        let [writer, other] = pair(&mut found.ends, end);
        // Nobody listens to what is said to a hostile host, because it says what it likes.
        let checks = self.scenario.checks_protocol && self.hosts[other.host()].hostile.is_none();
        let room = writer.out.room(capacity);
        let place = &mut self.hosts[host];
        let nature = place.spec.nature;
        let Some(peer) = place.peer.as_mut() else { return Step::Stop };
        let moved = match peer.next_segment(now, conn) {
            Segment::Nothing => return Step::Stop,
            Segment::Close => {
                self.close(stream, end);
                return Step::Stop;
            }
            Segment::Abort => {
                self.abort(stream, end);
                return Step::Stop;
            }
            Segment::HalfClose => {
                writer.out.fin = true;
                1
            }
            Segment::Bytes { span_of: Some(_), .. } | Segment::Span { .. } if nature == Nature::Liar => {
                return Step::Stop;
            }
            Segment::Bytes { .. } | Segment::Span { .. } if writer.out.fin => {
                self.oracle.fail(format!("host {host} {conn}: writes after its half-close"));
                return Step::Stop;
            }
            Segment::Bytes { .. } | Segment::Span { .. } if room == 0 => {
                writer.write_blocked = true;
                return Step::Stop;
            }
            Segment::Bytes { bytes: [], .. } | Segment::Span { len: 0, .. } => {
                self.oracle.fail(format!("host {host} {conn}: an empty segment"));
                return Step::Stop;
            }
            Segment::Bytes { bytes, .. } => {
                let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                writer.out.write_control(&bytes[..taken]);
                if checks {
                    let (disk, limits) = (&place.disk, &self.scenario.limits);
                    let heard = writer.checker.control(
                        &bytes[..taken],
                        &mut other.checker,
                        disk,
                        &self.library,
                        limits,
                    );
                    self.oracle.checked(host, conn, heard);
                }
                self.trace.update(&bytes[..taken]);
                self.tally.hosts[host].control_sent += taken as u64;
                taken as u64
            }
            Segment::Span { source: SpanSource::Kept(_), .. } => {
                self.oracle.fail(format!("host {host} {conn}: a span of a kept chunk"));
                return Step::Stop;
            }
            Segment::Span { source: SpanSource::Content(id), offset, len } => {
                let Some(content) = self.library.find(&id) else {
                    self.oracle.fail(format!("host {host} {conn}: a span of the unknown {id:?}"));
                    return Step::Stop;
                };
                let bytes = len.min(room);
                match place.disk.span(&self.library, content, offset, bytes) {
                    Ok(good) => {
                        let number = index(content);
                        // A span under way stays as it began.
                        let bad = match writer.span {
                            Some((c, at, bad)) if c == content && at == offset => bad,
                            _ => match nature {
                                Nature::Poisoner { ppm } => self.rng.chance_ppm(ppm),
                                _ => false,
                            },
                        };
                        writer.span = Some((content, offset + bytes, bad));
                        writer.out.write_payload(number, offset, bytes, bad || !good);
                        if checks {
                            self.oracle.checked(host, conn, writer.checker.payload(bytes));
                        }
                        self.tally.sent(host, content, bytes);
                        bytes
                    }
                    Err(SpanError::NotHad) => {
                        self.oracle
                            .fail(format!("host {host} {conn}: sends bytes at {offset} it does not have"));
                        return Step::Stop;
                    }
                    Err(SpanError::Fault(why)) => {
                        peer.handle(now, Input::SpanFailed { conn, source: SpanSource::Content(id), why });
                        if let Some(reply) = place.disk.withdraw(&self.library, content, why) {
                            self.submit(host, StoreTask::Tell(reply));
                        }
                        self.mutated(host);
                        return Step::Moved(1);
                    }
                }
            }
        };
        if let Some(peer) = self.hosts[host].peer.as_mut() {
            peer.sent(now, conn, moved);
        }
        self.mutated(host);
        self.kick(stream, end);
        Step::Moved(moved)
    }
}
