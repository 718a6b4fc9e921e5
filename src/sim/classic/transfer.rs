//! One read and one write of a driver on a connection where every byte is really there: a classic one, or one on which
//! a file is pushed.

use crate::core::{ConnId, Expect, Input, Segment, Sink, SpanSource};
use crate::sim::disk::{SpanError, StoreTask};
use crate::sim::network::pair;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Piece, StreamRef};
use crate::sim::transfer::Step;

impl Simulation {
    /// Reads what one system call would; the end of the stream is seen to already.
    pub(in crate::sim) fn read_classic(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        conn: ConnId,
    ) -> Step {
        let now = self.local_now(host);
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        let from = &mut found.ends[usize::from(1 - end)];
        let Some(Piece::Control { len }) = from.out.front() else { return Step::Stop };
        let Some(peer) = self.hosts[host].peer.as_mut() else { return Step::Stop };
        let moved = match peer.expects(conn) {
            Expect::Nothing => return Step::Stop,
            Expect::Control => {
                from.out.peek_control(len, &mut self.scratch);
                let used = peer.received(now, conn, &self.scratch) as u64;
                if used > len || (used == 0 && peer.expects(conn) == Expect::Control) {
                    self.oracle.fail(format!("host {host} {conn}: {used} of {len} control bytes taken"));
                    return Step::Stop;
                }
                from.out.consume(used);
                self.tally.hosts[host].control_received += used;
                used
            }
            Expect::Payload { left: 0, .. } => {
                self.oracle.fail(format!("host {host} {conn}: expects no bytes of payload"));
                return Step::Stop;
            }
            Expect::Payload { sink, left } => {
                let bytes = len.min(left);
                from.out.peek_control(bytes, &mut self.scratch);
                from.out.consume(bytes);
                self.tally.hosts[host].payload_received += bytes;
                match sink {
                    Sink::Spool(spool) => {
                        let payload = std::mem::take(&mut self.scratch);
                        self.write_spool(host, spool, &payload);
                        self.scratch = payload;
                    }
                    Sink::Discard => self.tally.hosts[host].payload_discarded += bytes,
                    Sink::Buffer { .. } => {
                        self.oracle.fail(format!("host {host} {conn}: a buffer for a classic answer"));
                    }
                }
                if let Some(peer) = self.hosts[host].peer.as_mut() {
                    peer.stored(now, conn, bytes);
                }
                bytes
            }
        };
        self.consumed(stream, 1 - end);
        self.mutated(host);
        Step::Moved(moved.max(1))
    }

    /// Whether the first byte of a connection to the native port makes it a classic one.
    pub(in crate::sim) fn turns_classic(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        conn: ConnId,
    ) -> bool {
        let now = self.local_now(host);
        let place = &mut self.hosts[host];
        let (Some(_), Some(peer)) = (&place.spec.classic, place.peer.as_mut()) else { return false };
        let Some(found) = self.streams.get_mut(stream) else { return false };
        found.classic = end == 0
            && found.ends[0].out.is_fresh()
            && matches!(peer.next_segment(now, conn), Segment::Bytes { bytes: [b'{', ..], .. });
        found.classic
    }

    /// Writes what one system call would.
    pub(in crate::sim) fn write_classic(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        conn: ConnId,
    ) -> Step {
        let (now, world_now) = (self.local_now(host), self.now);
        let capacity = self.scenario.network.send_buffer_bytes;
        let Some(found) = self.streams.get_mut(stream) else { return Step::Stop };
        let is_push = found.push;
        let [writer, other] = pair(&mut found.ends, end);
        let room = writer.out.room(capacity);
        let place = &mut self.hosts[host];
        let Some(peer) = place.peer.as_mut() else { return Step::Stop };
        let bytes = match peer.next_segment(now, conn) {
            Segment::Nothing => return Step::Stop,
            Segment::Close => {
                if end == 0
                    && !is_push
                    && let Err(what) = writer.classic.closes(writer.out.fin)
                {
                    self.oracle.fail(format!("host {host} {conn} {what}"));
                }
                self.close(stream, end);
                return Step::Stop;
            }
            Segment::Abort => {
                self.abort(stream, end);
                return Step::Stop;
            }
            Segment::HalfClose => {
                writer.out.fin = true;
                peer.sent(now, conn, 1);
                self.mutated(host);
                self.kick(stream, end);
                return Step::Moved(1);
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
                self.tally.hosts[host].control_sent += taken as u64;
                bytes[..taken].to_vec()
            }
            Segment::Span { source: SpanSource::Kept(of), offset, len } => {
                let bytes = place.disk.bytes.as_mut();
                match bytes.and_then(|bytes| bytes.span(of, offset, len.min(room))) {
                    Some(span) if of == conn => span,
                    _ => {
                        self.oracle.fail(format!(
                            "host {host} {conn}: sends {len} bytes at {offset} of a chunk that is not open"
                        ));
                        return Step::Stop;
                    }
                }
            }
            Segment::Span { source: SpanSource::Content(id), offset, len } => {
                let Some(content) = self.library.find(&id) else {
                    self.oracle.fail(format!("host {host} {conn}: a span of the unknown {id:?}"));
                    return Step::Stop;
                };
                let taken = len.min(room);
                match place.disk.span(&self.library, content, offset, taken) {
                    Ok(good) => {
                        self.tally.sent(host, content, taken);
                        let mut bytes = self.library.contents[content].bytes(offset, taken);
                        if !good {
                            bytes.iter_mut().for_each(|byte| *byte ^= 1);
                        }
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
        let heard = match end {
            _ if is_push => Ok(Vec::new()),
            0 => writer.classic.asks(&bytes, &other.classic),
            // Who stood still, or whose clock jumped, cannot be held to its pauses.
            _ if self.watch.is_disturbed(host) => {
                let _ = writer.classic.answers(world_now, &bytes, &other.classic);
                Ok(Vec::new())
            }
            _ => writer.classic.answers(world_now, &bytes, &other.classic).map(|()| Vec::new()),
        };
        let to = other.address.ip();
        writer.out.write_control(&bytes);
        peer.sent(now, conn, bytes.len() as u64);
        self.trace.update(&bytes);
        let heard = heard.and_then(|requests| {
            requests.iter().try_for_each(|asked| self.watch.asked(world_now, host, to, asked, &self.hosts))
        });
        self.oracle.checked(host, conn, heard);
        self.mutated(host);
        self.kick(stream, end);
        Step::Moved(bytes.len() as u64)
    }
}
