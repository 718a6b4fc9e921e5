//! What goes out on a connection, pulled from the core when the socket has room; bytes of a file within the kernel where that can
//! be done, else through memory.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use mio::net::TcpStream;
use rustix::net::SendFlags;

use crate::core::{ConnId, Input, Segment, SpanFault, SpanSource};
use crate::shell::links::Phase;
use crate::shell::reactor::Reactor;

/// Bytes written to one connection before the next one has its turn.
const WRITE_BUDGET_BYTES: u64 = 2 << 20;
/// The rest of a chunk that may go beyond that: a chunk's header must not cost its last bytes a turn of their own.
const REST_BYTES_MAX: u64 = 64 << 10;
/// A span of so many bytes goes out in full segments; of a shorter one the last, which waits for nothing, is most of it.
const CORKED_BYTES_MIN: u64 = 128 << 10;
/// An answer to a classic peer of so many bytes is one write: the kernel would take it page by page from the file, and who reads
/// once would have a part.
const WHOLE_BYTES_MAX: u64 = 64 << 10;

/// What came of an attempt to send.
#[derive(Debug)]
enum Sent {
    /// So many bytes are in the kernel, at least one.
    Bytes(u64),
    /// The socket is full for now.
    Full,
    /// The file is not as promised.
    Fault(SpanFault),
    /// The connection broke.
    Broken(io::Error),
}

/// What one visit to a socket may send, and has promised.
struct Turn {
    budget: u64,
    /// What was looked at before its chunk was promised: the first span of that chunk needs no other look.
    looked: Option<SpanSource>,
    promised: u32,
}

impl Reactor {
    /// Writes while there is something, room for it, and the budget lasts. True when only the budget ended it.
    pub(super) fn write(&mut self, key: usize) -> bool {
        let room = self.rates.up.room_of(key);
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
                _ if turn.budget == 0 => return self.rates.up.is_over(key),
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
                    self.rates.up.moved(count);
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
        if link.takes_whole() && len <= WHOLE_BYTES_MAX {
            // Within a limit of rate as well: what follows waits for longer.
            return through_memory(&link.stream, file, offset, len, &mut self.scratch);
        }
        let may_exceed = if self.rates.up.is_unlimited() { REST_BYTES_MAX } else { 0 };
        let count = if len <= turn.budget + may_exceed { len } else { turn.budget };
        send_span(&link.stream, file, offset, count, &mut self.scratch)
    }

    /// A span cannot be sent as promised. What the core makes of it is this connection's next turn.
    fn span_failed(&mut self, conn: ConnId, source: SpanSource, why: SpanFault) -> bool {
        let now = self.clock.now();
        self.peer.handle(now, Input::SpanFailed { conn, source, why });
        self.drain();
        true
    }
}

/// Sends up to `len` bytes of `file` from `offset` on; `scratch` serves where the kernel cannot do it alone.
fn send_span(stream: &TcpStream, file: &File, offset: u64, len: u64, scratch: &mut [u8]) -> Sent {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match within_kernel(stream, file, offset, len) {
        // Some file systems cannot.
        Sent::Broken(error) if is_unsupported(&error) => {}
        sent => return sent,
    }
    through_memory(stream, file, offset, len, scratch)
}

/// Sends bytes from memory. `more`: others follow at once.
fn send_bytes(stream: &TcpStream, bytes: &[u8], more: bool) -> Sent {
    let mut flags = SendFlags::NOSIGNAL;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    flags.set(SendFlags::MORE, more);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = more;
    loop {
        match rustix::net::send(stream, bytes, flags) {
            Ok(count) => return Sent::Bytes(count as u64),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => return Sent::Full,
            Err(error) => return Sent::Broken(error.into()),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn within_kernel(stream: &TcpStream, file: &File, offset: u64, len: u64) -> Sent {
    use rustix::io::Errno;
    let mut at = offset;
    let count = usize::try_from(len).unwrap_or(usize::MAX);
    loop {
        match rustix::fs::sendfile(stream, file, Some(&mut at), count) {
            // Where bytes should be, there is the end.
            Ok(0) => return Sent::Fault(SpanFault::Changed),
            Ok(count) => return Sent::Bytes(count as u64),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Sent::Full,
            Err(Errno::IO | Errno::STALE | Errno::OVERFLOW | Errno::ISDIR | Errno::BADF) => {
                return Sent::Fault(SpanFault::Unreadable);
            }
            Err(error) => return Sent::Broken(error.into()),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn through_memory(stream: &TcpStream, file: &File, offset: u64, len: u64, scratch: &mut [u8]) -> Sent {
    let room = usize::try_from(len).unwrap_or(usize::MAX).min(scratch.len());
    let count = loop {
        match file.read_at(&mut scratch[..room], offset) {
            Ok(0) => return Sent::Fault(SpanFault::Changed),
            Ok(count) => break count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Sent::Fault(SpanFault::Unreadable),
        }
    };
    send_bytes(stream, &scratch[..count], (count as u64) < len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (TcpStream::from_std(near), far)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    type Way = fn(&TcpStream, &File, u64, u64) -> Sent;

    /// Both ways of moving a span.
    fn ways() -> Vec<Way> {
        vec![
            |stream, file, offset, len| send_span(stream, file, offset, len, &mut [0; 1000]),
            |stream, file, offset, len| through_memory(stream, file, offset, len, &mut [0; 1000]),
        ]
    }

    #[test]
    fn a_span_arrives_as_it_stands_in_the_file() {
        let bytes: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        let file = file(&bytes);
        for way in ways() {
            let (near, mut far) = pair();
            let (first, last) = (1_001u64, 299_999u64);
            let mut at = first;
            let mut received = Vec::new();
            let mut piece = [0; 65_536];
            while at < last {
                match way(&near, &file, at, last - at) {
                    Sent::Bytes(count) => at += count,
                    Sent::Full => {
                        let count = far.read(&mut piece).unwrap();
                        received.extend_from_slice(&piece[..count]);
                    }
                    other => unreachable!("{other:?}"),
                }
            }
            drop(near);
            far.read_to_end(&mut received).unwrap();
            assert!(received == bytes[first as usize..last as usize]);
        }
    }

    #[test]
    fn a_file_that_shrank_is_told_from_a_broken_connection() {
        let file = file(&[1; 100]);
        for way in ways() {
            let (near, far) = pair();
            assert!(matches!(way(&near, &file, 40, 100), Sent::Bytes(60)));
            assert!(matches!(way(&near, &file, 100, 40), Sent::Fault(SpanFault::Changed)));
            drop(far);
            let broken = (0..1000).find_map(|_| match way(&near, &file, 0, 100) {
                Sent::Broken(error) => Some(error),
                _ => {
                    std::thread::yield_now();
                    None
                }
            });
            assert!(broken.is_some());
        }
    }
}
