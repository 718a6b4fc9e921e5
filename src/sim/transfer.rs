//! One read and one write of a driver: bytes between a socket and the core, payload between a socket and the disk.

use crate::core::{ConnId, Expect, Input, Segment, Sink, SpanSource};
use crate::sim::disk::{SpanError, StoreTask};
use crate::sim::network::{index, pair};
use crate::sim::scenario::Nature;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Piece, StreamRef};
use crate::types::ContentId;

/// Payload bytes that a read brings along behind control bytes, which the core must leave alone.
const STRAY_BYTES_MAX: u64 = 64;

/// What a step of a visit came to.
pub(super) enum Step {
    Moved(u64),
    /// There is more, and others have their turn before.
    TurnOver,
    Stop,
}

/// What a connection is to write.
pub(super) enum Due {
    Bytes(Vec<u8>),
    Span { source: SpanSource, offset: u64, len: u64 },
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
        let step = match found.classic {
            true => self.read_classic(host, stream, end, conn),
            false => self.read_native(host, stream, end, conn),
        };
        if !matches!(step, Step::Stop) {
            self.consumed(stream, 1 - end);
            self.mutated(host);
        }
        step
    }

    /// Reads frames, and payload behind them.
    fn read_native(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) -> Step {
        let now = self.local_now(host);
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        let from = &mut found.ends[usize::from(1 - end)];
        let place = &mut self.hosts[host];
        let Some(peer) = place.peer.as_mut() else { return Step::Stop };
        match (peer.expects(conn), from.out.front()) {
            (Expect::Nothing, _) | (_, None) => Step::Stop,
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
                let turn_over = used < len && peer.expects(conn) == Expect::Control;
                if turn_over && used == 0 {
                    self.oracle.fail(format!("host {host} {conn}: none of {len} control bytes taken"));
                    return Step::Stop;
                }
                self.tally.hosts[host].control_received += used;
                if turn_over { Step::TurnOver } else { Step::Moved(used.max(1)) }
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
                Step::Moved(bytes)
            }
            (expected, Some(piece)) => {
                self.oracle.fail(format!("host {host} {conn}: expects {expected:?}, but {piece:?} is next"));
                Step::Stop
            }
        }
    }

    /// Writes what one system call would.
    pub(super) fn write_step(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) -> Step {
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        if found.ends[usize::from(end)].conn() != Some(conn) {
            return Step::Stop;
        }
        let is_classic = found.classic || self.turns_classic(host, stream, end, conn);
        let due = match self.due(host, stream, end, conn) {
            Ok(due) => due,
            Err(step) => return step,
        };
        let written = match is_classic {
            true => self.write_classic(host, stream, end, conn, due),
            false => match due {
                Due::Bytes(bytes) => {
                    let written = self.write_frames(host, stream, end, conn, &bytes);
                    self.scratch = bytes;
                    written
                }
                Due::Span { source, offset, len } => {
                    self.write_payload(host, stream, end, conn, (source, offset, len))
                }
            },
        };
        written.map_or_else(|step| step, |bytes| self.wrote(host, stream, end, conn, bytes))
    }

    /// What is to be written next, as much of it as there is room for; `Err`: nothing, and what the step came to.
    fn due(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) -> Result<Due, Step> {
        let now = self.local_now(host);
        let capacity = self.scenario.network.send_buffer_bytes;
        let found = self.streams.get_mut(stream).ok_or(Step::Stop)?;
        let (is_offer, is_classic) = (found.transfer, found.classic);
        let writer = &mut found.ends[usize::from(end)];
        let room = writer.out.room(capacity);
        let place = &mut self.hosts[host];
        let lies = place.spec.nature == Nature::Liar && !is_classic;
        match place.peer.as_mut().ok_or(Step::Stop)?.next_segment(now, conn) {
            Segment::Nothing => {}
            Segment::Close => {
                if is_classic
                    && end == 0
                    && !is_offer
                    && let Err(what) = writer.classic.closes(writer.out.fin)
                {
                    self.oracle.fail(format!("host {host} {conn} {what}"));
                }
                self.close(stream, end);
            }
            Segment::Abort => self.abort(stream, end),
            Segment::HalfClose => {
                writer.out.fin = true;
                return Err(self.wrote(host, stream, end, conn, 1));
            }
            Segment::Bytes { span_of: Some(_), .. } | Segment::Span { .. } if lies => {}
            Segment::Bytes { .. } | Segment::Span { .. } if writer.out.fin => {
                self.oracle.fail(format!("host {host} {conn}: writes after its half-close"));
            }
            Segment::Bytes { .. } | Segment::Span { .. } if room == 0 => writer.write_blocked = true,
            Segment::Bytes { bytes: [], .. } | Segment::Span { len: 0, .. } => {
                self.oracle.fail(format!("host {host} {conn}: an empty segment"));
            }
            Segment::Bytes { bytes, .. } => {
                let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                self.tally.hosts[host].control_sent += taken as u64;
                // `write_step` gives the memory back.
                let mut due = std::mem::take(&mut self.scratch);
                due.clear();
                due.extend_from_slice(&bytes[..taken]);
                return Ok(Due::Bytes(due));
            }
            Segment::Span { source, offset, len } => {
                return Ok(Due::Span { source, offset, len: len.min(room) });
            }
        }
        Err(Step::Stop)
    }

    /// So many bytes were written, or a half-close as one.
    fn wrote(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId, bytes: u64) -> Step {
        let now = self.local_now(host);
        if let Some(peer) = self.hosts[host].peer.as_mut() {
            peer.sent(now, conn, bytes);
        }
        self.mutated(host);
        self.kick(stream, end);
        Step::Moved(bytes)
    }

    /// The number of a content of which bytes are sent, and whether they are right; `Err`: they are not sent.
    pub(super) fn open_span(
        &mut self,
        host: usize,
        conn: ConnId,
        id: ContentId,
        offset: u64,
        len: u64,
    ) -> Result<(usize, bool), Step> {
        let Some(content) = self.library.find(&id) else {
            self.oracle.fail(format!("host {host} {conn}: a span of the unknown {id:?}"));
            return Err(Step::Stop);
        };
        let now = self.local_now(host);
        let place = &mut self.hosts[host];
        match place.disk.span(&self.library, content, offset, len) {
            Ok(good) => {
                self.tally.sent(host, content, len);
                Ok((content, good))
            }
            Err(SpanError::NotHad) => {
                self.oracle.fail(format!("host {host} {conn}: sends bytes at {offset} it does not have"));
                Err(Step::Stop)
            }
            Err(SpanError::Fault(why)) => {
                if let Some(peer) = place.peer.as_mut() {
                    peer.handle(now, Input::SpanFailed { conn, source: SpanSource::Content(id), why });
                }
                if let Some(reply) = place.disk.withdraw(&self.library, content, why) {
                    self.submit(host, StoreTask::Tell(reply));
                }
                self.mutated(host);
                Err(Step::Moved(1))
            }
        }
    }

    /// Writes frames. Returns how many bytes they are.
    fn write_frames(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        conn: ConnId,
        bytes: &[u8],
    ) -> Result<u64, Step> {
        let [writer, other] = pair(&mut self.streams.get_mut(stream).ok_or(Step::Stop)?.ends, end);
        writer.out.write_control(bytes);
        // Nobody listens to what is said to a hostile host, because it says what it likes.
        if self.scenario.checks_protocol && self.hosts[other.host()].hostile.is_none() {
            let (disk, limits) = (&self.hosts[host].disk, &self.scenario.limits);
            let heard = writer.checker.control(bytes, &mut other.checker, disk, &self.library, limits);
            self.oracle.checked(host, conn, heard);
        }
        self.trace.update(bytes);
        Ok(bytes.len() as u64)
    }

    /// Writes payload, which is known by its place in a content. Returns how many bytes it is.
    fn write_payload(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        conn: ConnId,
        (source, offset, len): (SpanSource, u64, u64),
    ) -> Result<u64, Step> {
        let SpanSource::Content(id) = source else {
            self.oracle.fail(format!("host {host} {conn}: a span of a kept chunk"));
            return Err(Step::Stop);
        };
        let (content, good) = self.open_span(host, conn, id, offset, len)?;
        let [writer, other] = pair(&mut self.streams.get_mut(stream).ok_or(Step::Stop)?.ends, end);
        // A span under way stays as it began.
        let bad = match (writer.span, self.hosts[host].spec.nature) {
            (Some((of, at, bad)), _) if of == content && at == offset => bad,
            (_, Nature::Poisoner { ppm }) => self.rng.chance_ppm(ppm),
            _ => false,
        };
        writer.span = Some((content, offset + len, bad));
        writer.out.write_payload(index(content), offset, len, bad || !good);
        if self.scenario.checks_protocol && self.hosts[other.host()].hostile.is_none() {
            self.oracle.checked(host, conn, writer.checker.payload(len));
        }
        Ok(len)
    }
}
