//! One TCP port on which the peer takes connections in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::Socket;

use crate::shell::config::ShellError;
use crate::shell::sockets::{self, FALLBACK_PORTS};

/// How long accepting rests after it failed for lack of descriptors or memory. An edge-triggered listener would
/// stay silent for ever if nobody asked again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Connections that are turned away at once for lack of descriptors before others have their turn.
const TURNED_AWAY_AT_ONCE: usize = 64;

/// A descriptor in reserve: when there is no other, a connection is accepted with it and closed at once. Whoever connects
/// learns so that there is no room, instead of waiting in the kernel for somebody who never comes.
#[derive(Debug)]
pub(super) struct Reserve(Option<Socket>);

impl Reserve {
    /// Takes a descriptor, if there is one.
    pub(super) fn new() -> Reserve {
        Reserve(sockets::idle().ok())
    }

    /// Frees the descriptor for the time of `use_it`, if it is there; or gets one for the next time.
    fn lend<T>(&mut self, use_it: impl FnOnce() -> T) -> Option<T> {
        let done = self.0.take().map(|socket| {
            drop(socket);
            use_it()
        });
        *self = Reserve::new();
        done
    }
}

/// The listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    ready: bool,
    resting_until: Option<Instant>,
    /// How often accepting failed for lack of something.
    pub(super) failures: u64,
    /// Connections that were closed at once for lack of descriptors.
    pub(super) turned_away: u64,
}

impl Listener {
    /// Listens near a port, for native peers: at it, or else at the next free one of its range, or else at any.
    pub(super) fn near(bind: Option<IpAddr>, port: u16) -> Result<Listener, ShellError> {
        let ip = ip_of(bind);
        let socket = bind_first_free(ip, port).and_then(Listener::of);
        socket.map_err(|error| ShellError::Network(cannot_listen(ip, &error)))
    }

    /// Listens at this port and no other; 0: at any.
    pub(super) fn at(ip: IpAddr, port: u16) -> io::Result<Listener> {
        Listener::of(TcpListener::from_std(sockets::listening(SocketAddr::new(ip, port))?.into()))
    }

    /// Has connections that it accepts take a whole answer at once: who asks may read only once.
    pub(super) fn tune_for_whole_answers(&self) {
        sockets::tune_for_whole_answers(&self.socket);
    }

    fn of(socket: TcpListener) -> io::Result<Listener> {
        let address = socket.local_addr()?;
        // Edges from before the registration are told by it; until then nothing is known.
        Ok(Listener { socket, address, ready: false, resting_until: None, failures: 0, turned_away: 0 })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Whether [`Listener::accept`] may have something at `now`.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.ready && self.resting_until.is_none_or(|until| until <= now)
    }

    /// When to try again, if accepting rests.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.resting_until.filter(|_| self.ready)
    }

    /// The next connection that waits. Those for which there is no descriptor are closed with the one in `reserve`.
    pub(super) fn accept(&mut self, now: Instant, reserve: &mut Reserve) -> Option<(TcpStream, SocketAddr)> {
        let mut turned_away = 0;
        while self.is_ready(now) && turned_away < TURNED_AWAY_AT_ONCE {
            match self.socket.accept() {
                Ok(accepted) => {
                    self.resting_until = None;
                    return Some(accepted);
                }
                Err(error) if lacks_descriptors(&error) => {
                    turned_away += usize::from(self.turn_away(&error, now, reserve));
                }
                Err(error) => self.refused(&error, now),
            }
        }
        None
    }

    /// There is no descriptor for the connection that waits, if one does: it is closed with the one in reserve. False when that
    /// was not possible.
    fn turn_away(&mut self, error: &io::Error, now: Instant, reserve: &mut Reserve) -> bool {
        match reserve.lend(|| self.socket.accept().map(drop)) {
            Some(Ok(())) => {
                if self.turned_away == 0 {
                    log::warn!(
                        "connections are closed at once: all descriptors are in use (see `ulimit -n`)"
                    );
                }
                self.turned_away = self.turned_away.saturating_add(1);
                return true;
            }
            // The system says that descriptors lack even when nobody waits; with one, it says that.
            Some(Err(error)) => self.refused(&error, now),
            None => self.refused(error, now),
        }
        false
    }

    /// Decides what a failure of accepting means for the next attempt.
    fn refused(&mut self, error: &io::Error, now: Instant) {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.ready = false;
                self.resting_until = None;
            }
            // The one who dialled has given up meanwhile; the next may still be there.
            io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset => {}
            // Descriptors, memory: connections wait in the kernel, those that stand go on.
            _ => {
                if self.failures == 0 {
                    log::warn!("cannot accept connections for now: {error}");
                }
                self.failures += 1;
                self.resting_until = Some(now + ACCEPT_RETRY);
            }
        }
    }
}

/// Whether a failure is that of a process, or a system, in which no more descriptors can be opened.
fn lacks_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The address to listen on.
pub(super) fn ip_of(bind: Option<IpAddr>) -> IpAddr {
    bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// A listening socket on the first port that is free.
fn bind_first_free(ip: IpAddr, preferred: u16) -> io::Result<TcpListener> {
    let range = preferred..=preferred.saturating_add(FALLBACK_PORTS);
    for port in range.chain([0]) {
        match sockets::listening(SocketAddr::new(ip, port)) {
            Ok(socket) => return Ok(TcpListener::from_std(socket.into())),
            Err(error) if port != 0 && is_taken(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Whether another port may do better: this one is somebody else's, or only the administrator's.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn cannot_listen(ip: IpAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {ip}: no interface of this host has that address; check --bind")
        }
        _ => format!("cannot listen on {ip}: {error}"),
    }
}

/// Why a port and no other cannot be had, in a sentence that names the flag for it, if there is one.
pub(super) fn cannot_have(ip: IpAddr, port: u16, flag: Option<&str>, error: &io::Error) -> String {
    match (error.kind(), flag) {
        (io::ErrorKind::AddrInUse, Some(flag)) => format!(
            "TCP port {port} of {ip} is taken by another program: end it, or listen on another with {flag}"
        ),
        (io::ErrorKind::AddrInUse, None) => {
            format!("TCP port {port} of {ip} is in use; end the program that has it, or choose another port")
        }
        (io::ErrorKind::PermissionDenied, Some(flag)) => {
            format!("TCP port {port} is for the administrator alone: listen on another with {flag}")
        }
        _ => cannot_listen(ip, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener as StdListener;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_taken_port_gives_way_to_another() {
        let taken = StdListener::bind((LOCAL, 0)).unwrap();
        let preferred = taken.local_addr().unwrap().port();
        let first = Listener::near(Some(LOCAL), preferred).unwrap();
        let second = Listener::near(Some(LOCAL), preferred).unwrap();
        assert_ne!(first.port(), preferred);
        assert_ne!(first.port(), second.port());
        assert_ne!(second.port(), preferred);
        assert_ne!(second.port(), 0);
    }

    #[test]
    fn the_last_ports_do_not_overflow() {
        let listener = Listener::near(Some(LOCAL), u16::MAX).unwrap();
        let other = Listener::near(Some(LOCAL), u16::MAX).unwrap();
        assert_ne!(listener.port(), other.port());
    }

    #[test]
    fn an_address_of_somebody_else_is_said_to_be_so() {
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
        let Err(ShellError::Network(text)) = Listener::near(Some(elsewhere), 0) else {
            unreachable!("nobody has 192.0.2.77")
        };
        assert!(text.contains("192.0.2.77") && text.contains("--bind"), "{text}");
    }

    #[test]
    fn a_connection_without_a_descriptor_is_closed_with_the_one_in_reserve() {
        use std::io::Read;
        let mut listener = Listener::near(Some(LOCAL), 0).unwrap();
        let mut reserve = Reserve::new();
        let mut waiting = std::net::TcpStream::connect((LOCAL, listener.port())).unwrap();
        waiting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (now, lack) =
            (Instant::now(), io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()));
        listener.set_ready();
        assert!(listener.turn_away(&lack, now, &mut reserve) && listener.ready);
        assert_eq!((waiting.read(&mut [0]).unwrap(), listener.turned_away), (0, 1));
        // The reserve is there again. When nobody waits, the next edge is waited for; without a reserve, a while.
        assert!(reserve.0.is_some() && !listener.turn_away(&lack, now, &mut reserve));
        assert!(!listener.ready && listener.deadline().is_none());
        listener.set_ready();
        let _waiting = std::net::TcpStream::connect((LOCAL, listener.port())).unwrap();
        assert!(!listener.turn_away(&lack, now, &mut Reserve(None)));
        assert_eq!((listener.deadline(), listener.turned_away), (Some(now + ACCEPT_RETRY), 1));
    }

    #[test]
    fn lack_of_descriptors_rests_and_only_would_block_ends() {
        let mut listener = Listener::near(Some(LOCAL), 0).unwrap();
        let now = Instant::now();
        listener.set_ready();
        listener.refused(&io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()), now);
        assert!(!listener.is_ready(now));
        assert_eq!(listener.deadline(), Some(now + ACCEPT_RETRY));
        assert!(listener.is_ready(now + ACCEPT_RETRY));
        listener.refused(&io::ErrorKind::ConnectionAborted.into(), now);
        assert!(listener.ready);
        assert!(listener.accept(now + ACCEPT_RETRY, &mut Reserve::new()).is_none());
        assert!(!listener.ready);
        assert_eq!(listener.deadline(), None);
    }
}
