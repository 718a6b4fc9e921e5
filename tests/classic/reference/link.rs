//! One TCP connection, used the way a script uses a socket: `recv`, `sendall`, `shutdown`, `close`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::life::{LOOK, Life};

/// A connection; dropping it is a plain `close`, which resets the connection when something came that nobody read.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    peer: IpAddr,
    life: Arc<Life>,
    patience: Duration,
}

impl Link {
    /// Takes over an open connection with `peer`. What it sends leaves at once, each write for itself.
    pub(crate) fn new(stream: TcpStream, peer: IpAddr, life: Arc<Life>, patience: Duration) -> Link {
        // Accepted connections inherit it on some systems.
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(LOOK)).unwrap();
        stream.set_write_timeout(Some(LOOK)).unwrap();
        // Fails only on a connection that is over; reading will tell.
        let _ = stream.set_nodelay(true);
        Link { stream, peer, life, patience }
    }

    /// Connects from a given address.
    pub(crate) fn connect(
        from: Ipv4Addr,
        to: SocketAddrV4,
        life: Arc<Life>,
        patience: Duration,
    ) -> io::Result<Link> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddrV4::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), patience)?;
        Ok(Link::new(socket.into(), (*to.ip()).into(), life, patience))
    }

    /// One `recv(max)`: waits for something to come and returns what is there, no more than `max` bytes; nothing at
    /// the end of the stream.
    pub(crate) fn recv(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; max];
        let deadline = Instant::now() + self.patience;
        loop {
            match self.stream.read(&mut bytes) {
                Ok(len) => {
                    bytes.truncate(len);
                    return Ok(bytes);
                }
                Err(e) => self.bear(e, deadline)?,
            }
        }
    }

    /// `sendall`: in as few writes as the socket takes.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut deadline = Instant::now() + self.patience;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(len) => {
                    bytes = &bytes[len..];
                    deadline = Instant::now() + self.patience;
                }
                Err(e) => self.bear(e, deadline)?,
            }
        }
        Ok(())
    }

    /// `shutdown(SHUT_WR)`.
    pub(crate) fn close_writing_half(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// A pause that the dialect demands.
    pub(crate) fn pause(&self, pause: Duration) {
        self.life.pause(pause);
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Waits until the other side ends, whatever it still says.
    pub(crate) fn wait_for_end(&mut self) {
        while self.recv(4096).is_ok_and(|bytes| !bytes.is_empty()) {}
    }

    /// Whether to try again after an error: while nothing came, nobody ended us and patience lasts.
    fn bear(&self, error: io::Error, deadline: Instant) -> io::Result<()> {
        match error.kind() {
            ErrorKind::Interrupted => Ok(()),
            ErrorKind::WouldBlock | ErrorKind::TimedOut if self.life.ended() => Err(error),
            ErrorKind::WouldBlock | ErrorKind::TimedOut if Instant::now() < deadline => Ok(()),
            _ => Err(error),
        }
    }
}
