//! The connections' sockets, from dial or accept until the last byte is out, and whose turn it is.
//!
//! A socket's place here is its token. It outlives the core's connection while it lingers, which is why places are
//! not the core's slots.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::core::ConnId;
use crate::shell::pace::{Pace, UNSENT_BYTES};
use crate::shell::ready::ReadyQueue;
use crate::shell::sockets;
use crate::types::Time;

/// How long a socket lingers.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Bytes that are read and thrown away while a socket lingers.
const LINGER_BYTES_MAX: usize = 4 << 20;
/// One socket.
#[derive(Debug)]
pub(super) struct Link {
    /// The core's name for it.
    pub(super) conn: ConnId,
    pub(super) stream: TcpStream,
    pub(super) phase: Phase,
    /// Reading has not said `WouldBlock` since the last event.
    pub(super) readable: bool,
    /// Writing has not said `WouldBlock` since the last event.
    pub(super) writable: bool,
    /// The other side will send nothing more, and the core knows.
    pub(super) ended: bool,
    /// An event said that the socket has an error.
    pub(super) faulty: bool,
    /// Bytes that were read when the core wanted no more.
    pub(super) held: Option<Held>,
    /// What does not fill a segment waits in the kernel for what follows.
    corked: bool,
    /// How much may wait there unsent; `None`: as much as fits.
    pace: Option<Pace>,
}

/// Bytes that were read and wait for the core.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// How many of them the core has taken.
    taken: usize,
}

/// How far a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connecting.
    Dialing,
    /// The core's.
    Open,
    /// The core has forgotten it. What the other side still sends is thrown away, for closing with unread bytes
    /// would take back what it has not read yet.
    Lingering { until: Instant, bytes_left: usize },
}

/// All of them.
#[derive(Debug)]
pub(super) struct Links {
    registry: Registry,
    first_token: usize,
    sockets: Slab<Link>,
    /// The place of each connection that the core knows, by its slot.
    by_slot: Vec<Option<usize>>,
    /// Who has something to do.
    pub(super) ready: ReadyQueue,
    /// Who lingers, the oldest first; some may be gone.
    lingering: VecDeque<(Instant, usize)>,
    lingering_count: usize,
    lingering_max: usize,
}

impl Link {
    /// Lets what does not fill a segment wait for what follows, or sends it. Without this, whatever part of a span is not a whole
    /// segment when an acknowledgement comes goes out as one.
    pub(super) fn cork(&mut self, corked: bool) {
        if self.corked != corked {
            self.corked = corked;
            sockets::cork(&self.stream, corked);
        }
    }

    /// Whether an answer is to leave in as few writes as it can: who asks may read only once.
    pub(super) fn takes_whole(&self) -> bool {
        self.pace.is_none()
    }

    /// So many bytes were written, and this host's link carries `carries` bytes a second, if that is known.
    pub(super) fn moved(&mut self, now: Time, bytes: u64, carries: Option<u64>) {
        if let Some(unsent) = self.pace.as_mut().and_then(|pace| pace.moved(now, bytes, carries)) {
            sockets::bound_unsent(&self.stream, unsent);
        }
    }
}

impl Held {
    /// All of these wait.
    pub(super) fn new(bytes: &[u8]) -> Held {
        Held { bytes: bytes.to_vec(), taken: 0 }
    }

    /// The bytes that wait.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// The core has taken `count` more. False when no bytes wait any more.
    pub(super) fn skip(&mut self, count: usize) -> bool {
        self.taken = self.taken.saturating_add(count);
        self.taken < self.bytes.len()
    }
}

impl Links {
    /// Takes all tokens from `first_token` on. Of more than `lingering_max` sockets that linger, the oldest is closed.
    pub(super) fn new(registry: Registry, first_token: Token, lingering_max: usize) -> Links {
        Links {
            registry,
            first_token: first_token.0,
            sockets: Slab::new(),
            by_slot: Vec::new(),
            ready: ReadyQueue::default(),
            lingering: VecDeque::new(),
            lingering_count: 0,
            lingering_max,
        }
    }

    /// Begins to connect, from `bind` when that is of the same family.
    pub(super) fn dial(&mut self, conn: ConnId, to: SocketAddr, bind: Option<IpAddr>) -> io::Result<()> {
        let socket = sockets::dialing(to, bind)?;
        let stream = TcpStream::from_std(socket.into());
        let key = self.insert(conn, stream, Phase::Dialing)?;
        self.keep_pace(key);
        // A connection over loopback may stand already.
        self.ready.push(key);
        Ok(())
    }

    /// Adds a connection that came in.
    pub(super) fn accept(&mut self, conn: ConnId, stream: TcpStream) -> io::Result<()> {
        let key = self.insert(conn, stream, Phase::Open)?;
        self.keep_pace(key);
        self.ready.push(key);
        Ok(())
    }

    /// Adds a connection that came in, to which as much as possible is given to the kernel at once.
    pub(super) fn accept_whole(&mut self, conn: ConnId, stream: TcpStream) -> io::Result<()> {
        let key = self.insert(conn, stream, Phase::Open)?;
        self.ready.push(key);
        Ok(())
    }

    /// An event came for the socket of this token. Of a socket that is gone, nothing happens; a new one in its place
    /// is looked at once too often.
    pub(super) fn set_ready(&mut self, event: &mio::event::Event) {
        let Some(key) = event.token().0.checked_sub(self.first_token) else { return };
        let Some(link) = self.sockets.get_mut(key) else { return };
        link.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        link.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        link.faulty |= event.is_error();
        self.ready.push(key);
    }

    /// The core has something for this connection.
    pub(super) fn wake(&mut self, conn: ConnId) {
        if let Some(key) = self.place_of(conn) {
            self.ready.push(key);
        }
    }

    pub(super) fn get(&mut self, key: usize) -> Option<&mut Link> {
        self.sockets.get_mut(key)
    }

    /// The socket at `key`, when it is a connection of the core's that stands.
    pub(super) fn open(&mut self, key: usize) -> Option<&mut Link> {
        self.sockets.get_mut(key).filter(|link| link.phase == Phase::Open)
    }

    /// Forgets a connection at once.
    pub(super) fn remove(&mut self, key: usize) {
        if let Some(link) = self.sockets.try_remove(key) {
            match link.phase {
                Phase::Lingering { .. } => self.lingering_count -= 1,
                Phase::Dialing | Phase::Open => self.by_slot[link.conn.slot as usize] = None,
            }
        }
    }

    /// Forgets a connection with a reset: the other side sees that it broke.
    pub(super) fn reset(&mut self, key: usize) {
        if let Some(link) = self.sockets.get(key) {
            // Where that fails, the other side sees an end and may take it for that of what was sent.
            if let Err(error) = sockets::reset_when_closed(&link.stream) {
                log::debug!("{}: cannot be reset: {error}", link.conn);
            }
        }
        self.remove(key);
    }

    /// Forgets a connection so that everything sent arrives: closes the writing half, and lets the socket linger
    /// while the other side may still send.
    pub(super) fn close(&mut self, key: usize, now: Instant) {
        let Some(link) = self.sockets.get_mut(key) else { return };
        let is_done = link.stream.shutdown(Shutdown::Write).is_err() || link.ended;
        if is_done || link.phase != Phase::Open {
            return self.remove(key);
        }
        let until = now + LINGER_MAX;
        link.phase = Phase::Lingering { until, bytes_left: LINGER_BYTES_MAX };
        link.held = None;
        self.by_slot[link.conn.slot as usize] = None;
        self.lingering_count += 1;
        self.lingering.push_back((until, key));
        self.ready.push(key);
        while self.lingering_count > self.lingering_max {
            self.close_oldest();
        }
        self.drop_stale();
    }

    /// Reads and throws away what came for a socket that lingers. True when it has to be visited again.
    pub(super) fn discard(&mut self, key: usize, scratch: &mut [u8]) -> bool {
        let Some(link) = self.sockets.get_mut(key).filter(|link| link.readable) else { return false };
        let Phase::Lingering { until, bytes_left } = link.phase else { return false };
        match (&link.stream).read(scratch) {
            Ok(count) if count > 0 && bytes_left > count => {
                link.phase = Phase::Lingering { until, bytes_left: bytes_left - count };
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                link.readable = false;
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            // The end, an error, or more than is put up with.
            Ok(_) | Err(_) => {
                self.remove(key);
                false
            }
        }
    }

    /// Closes those that lingered long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.lingering.front().is_some_and(|&(until, _)| until <= now) {
            self.close_oldest();
        }
    }

    /// When the next one has lingered long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lingering.front().map(|&(until, _)| until)
    }

    /// How many linger.
    pub(super) fn lingering(&self) -> usize {
        self.lingering_count
    }

    /// Of what is written to this socket, little is to wait in the kernel.
    fn keep_pace(&mut self, key: usize) {
        if let Some(link) = self.sockets.get_mut(key) {
            sockets::bound_unsent(&link.stream, UNSENT_BYTES);
            link.pace = Some(Pace::default());
        }
    }

    fn place_of(&self, conn: ConnId) -> Option<usize> {
        let key = self.by_slot.get(conn.slot as usize).copied().flatten()?;
        (self.sockets.get(key)?.conn == conn).then_some(key)
    }

    /// Registers a socket, once and for both directions.
    fn insert(&mut self, conn: ConnId, mut stream: TcpStream, phase: Phase) -> io::Result<usize> {
        sockets::tune(&stream);
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        let token = Token(self.first_token + key);
        self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        // Of a connection that stands, both directions are tried before an event says so: it spares a turn.
        let is_open = phase == Phase::Open;
        entry.insert(Link {
            conn,
            stream,
            phase,
            readable: is_open,
            writable: is_open,
            ended: false,
            faulty: false,
            held: None,
            corked: false,
            pace: None,
        });
        let slot = conn.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, None);
        }
        self.by_slot[slot] = Some(key);
        Ok(key)
    }

    fn close_oldest(&mut self) {
        if let Some((until, key)) = self.lingering.pop_front()
            && self.lingers(until, key)
        {
            self.remove(key);
        }
    }

    fn drop_stale(&mut self) {
        while self.lingering.front().is_some_and(|&(until, key)| !self.lingers(until, key)) {
            self.lingering.pop_front();
        }
    }

    fn lingers(&self, since: Instant, key: usize) -> bool {
        let phase = self.sockets.get(key).map(|link| link.phase);
        matches!(phase, Some(Phase::Lingering { until, .. }) if until == since)
    }
}
