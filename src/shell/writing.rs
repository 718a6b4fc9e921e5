//! What goes out on a connection, pulled from the core when the socket has room.

use std::io;
use std::net::Shutdown;
use std::time::Instant;

use crate::core::{BrokenWhy, ConnId, Input, Segment, SpanFault, SpanSource};
use crate::shell::links::Phase;
use crate::shell::reactor::Reactor;
use crate::shell::span::{Sent, send_bytes, send_span, through_memory};

/// Bytes written to one connection before the next one has its turn.
const WRITE_BUDGET_BYTES: u64 = 2 << 20;
/// The rest of a chunk that may go beyond that: a chunk's header must not cost its last bytes a turn of their own.
const REST_BYTES_MAX: u64 = 64 << 10;
/// A span of so many bytes goes out in full segments; of a shorter one the last, which waits for nothing, is most of it.
const CORKED_BYTES_MIN: u64 = 128 << 10;
/// An answer to a classic peer of so many bytes is one write: the kernel would take it page by page from the file, and who reads
/// once would have a part.
const WHOLE_BYTES_MAX: u64 = 64 << 10;

/// What one visit to a socket may send, and has promised.
struct Turn {
    budget: u64,
    /// What was looked at before its chunk was promised: the first span of that chunk needs no other look.
    looked: Option<SpanSource>,
    promised: u32,
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

    /// Writes while there is something, room for it, and the budget lasts. True when only the budget ended it.
    fn write(&mut self, key: usize) -> bool {
        let room = self.up.room(Instant::now());
        let mut turn = Turn { budget: WRITE_BUDGET_BYTES.min(room), looked: None, promised: 0 };
        loop {
            let Some(link) = self.links.get(key) else { return false };
            let (conn, now) = (link.conn, self.clock.now());
            let is_open = link.phase == Phase::Open;
            let sent = match self.peer.next_segment(now, conn) {
                Segment::Nothing => {
                    link.cork(false);
                    return false;
                }
                end @ (Segment::Close | Segment::Abort) => {
                    match end {
                        Segment::Abort => self.links.reset(key),
                        _ => self.links.close(key, Instant::now()),
                    }
                    self.peer.handle(now, Input::Closed { conn });
                    self.drain();
                    return false;
                }
                _ if !is_open => return false,
                Segment::HalfClose => {
                    link.stream.shutdown(Shutdown::Write).map_or_else(Sent::Broken, |()| Sent::Bytes(1))
                }
                _ if !link.writable => return false,
                _ if turn.budget == 0 => return self.up.is_over(key),
                Segment::Bytes { bytes, span_of: None } => send_bytes(&link.stream, bytes, false),
                // Once the header is out, the chunk is promised: so the file is looked at before.
                Segment::Bytes { bytes, span_of: Some(source) } => match self.store.span(source) {
                    Ok(_) => {
                        turn.looked = Some(source);
                        turn.promised += 1;
                        send_bytes(&link.stream, bytes, true)
                    }
                    Err(why) => return self.span_failed(conn, source, why),
                },
                Segment::Span { source, offset, len } => {
                    match self.write_span(key, &mut turn, source, (offset, len)) {
                        Sent::Fault(why) => return self.span_failed(conn, source, why),
                        sent => sent,
                    }
                }
            };
            match sent {
                Sent::Bytes(count) => {
                    if let Some(link) = self.links.get(key) {
                        link.moved(now, count, self.peer.carries());
                    }
                    turn.budget = turn.budget.saturating_sub(count);
                    self.up.moved(count);
                    self.moved_bytes += usize::try_from(count).unwrap_or(usize::MAX);
                    self.peer.sent(now, conn, count);
                    self.drain();
                }
                Sent::Full => {
                    if let Some(link) = self.links.get(key) {
                        link.writable = false;
                    }
                    return false;
                }
                Sent::Broken(error) => {
                    self.broken(key, &error);
                    return false;
                }
                // Told to the core where it arises.
                Sent::Fault(_) => return true,
            }
        }
    }

    /// Sends as much of a range of a file as the turn allows and the socket takes.
    fn write_span(
        &mut self,
        key: usize,
        turn: &mut Turn,
        source: SpanSource,
        (offset, len): (u64, u64),
    ) -> Sent {
        let file = match turn.looked.take() == Some(source) {
            true => self.store.span_again(source),
            false => self.store.span(source),
        };
        let file = match file {
            Ok(file) => file,
            Err(why) => return Sent::Fault(why),
        };
        let Some(link) = self.links.get(key) else { return Sent::Full };
        // Small chunks leave together when several are sent in one turn: nothing else spares more.
        if len >= CORKED_BYTES_MIN || turn.promised > 1 {
            link.cork(true);
        }
        let may_exceed = if self.up.is_unlimited() { REST_BYTES_MAX } else { 0 };
        let count = if len <= turn.budget + may_exceed { len } else { turn.budget };
        match link.takes_whole() && count <= WHOLE_BYTES_MAX {
            true => through_memory(&link.stream, file, offset, count, &mut self.scratch),
            false => send_span(&link.stream, file, offset, count, &mut self.scratch),
        }
    }

    /// A span cannot be sent as promised. What the core makes of it is this connection's next turn.
    fn span_failed(&mut self, conn: ConnId, source: SpanSource, why: SpanFault) -> bool {
        let now = self.clock.now();
        self.peer.handle(now, Input::SpanFailed { conn, source, why });
        self.drain();
        true
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
