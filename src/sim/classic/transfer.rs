//! One read and one write of a driver on a connection where every byte is really there: a classic one, or one on which
//! a file is sent.

use crate::core::{ConnId, Expect, Segment, Sink, SpanSource};
use crate::sim::network::pair;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Piece, StreamRef};
use crate::sim::transfer::{Due, Step};

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

    /// Writes bytes. Returns how many there are.
    pub(in crate::sim) fn write_classic(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        conn: ConnId,
        due: Due,
    ) -> Result<u64, Step> {
        let now = self.now;
        let bytes = match due {
            Due::Bytes(bytes) => bytes,
            Due::Span { source: SpanSource::Kept(of), offset, len } => {
                let bytes = self.hosts[host].disk.bytes.as_mut();
                match bytes.and_then(|bytes| bytes.span(of, offset, len)) {
                    Some(span) if of == conn => span,
                    _ => {
                        self.oracle.fail(format!(
                            "host {host} {conn}: sends {len} bytes at {offset} of a chunk that is not open"
                        ));
                        return Err(Step::Stop);
                    }
                }
            }
            Due::Span { source: SpanSource::Content(id), offset, len } => {
                let (content, good) = self.open_span(host, conn, id, offset, len)?;
                let mut bytes = self.library.contents[content].bytes(offset, len);
                if !good {
                    bytes.iter_mut().for_each(|byte| *byte ^= 1);
                }
                bytes
            }
        };
        let found = self.streams.get_mut(stream).ok_or(Step::Stop)?;
        let is_offer = found.transfer;
        let [writer, other] = pair(&mut found.ends, end);
        let heard = match end {
            _ if is_offer => Ok(Vec::new()),
            0 => writer.classic.asks(&bytes, &other.classic),
            // Who stood still, or whose clock jumped, cannot be held to its pauses.
            _ if self.watch.is_disturbed(host) => {
                let _ = writer.classic.answers(now, &bytes, &other.classic);
                Ok(Vec::new())
            }
            _ => writer.classic.answers(now, &bytes, &other.classic).map(|()| Vec::new()),
        };
        let to = other.address.ip();
        writer.out.write_control(&bytes);
        self.trace.update(&bytes);
        let heard = heard.and_then(|requests| {
            requests.iter().try_for_each(|asked| self.watch.asked(now, host, to, asked, &self.hosts))
        });
        self.oracle.checked(host, conn, heard);
        Ok(bytes.len() as u64)
    }
}
