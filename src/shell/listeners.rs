//! All TCP ports of the peer: the native one, if there is one, and those of the field's dialects.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Registry, Token};

use crate::shell::config::no_loop;
use crate::shell::config::{ClassicPorts, Listen, ShellError, TransferPorts};
use crate::shell::listener::{Listener, Reserve, cannot_have, ip_of};
use crate::shell::port_use;

/// How long a port is tried again that connections of an earlier program hold: the minute that the system keeps them,
/// and what its clocks add.
const LEFT_BEHIND_MAX: Duration = Duration::from_secs(70);
/// Between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Ports that are listened on at most, and so tokens that they take.
pub(super) const LISTENERS_MAX: usize = 16;

/// A port that is listened on, and no other in its place.
#[derive(Debug, Clone, Copy)]
struct FixedPort {
    ip: IpAddr,
    port: u16,
    /// The flag that names another, if there is one.
    flag: Option<&'static str>,
    /// It is of the field's dialects.
    is_field: bool,
    /// Whether it is a failure when it cannot be had; else a warning.
    is_strict: bool,
}

/// A port that is tried again: connections of a program that has ended hold it.
#[derive(Debug)]
struct LeftBehind {
    fixed: FixedPort,
    next: Instant,
    until: Instant,
}

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Listeners {
    list: Vec<Listener>,
    left_behind: Vec<LeftBehind>,
    /// One for all of them.
    reserve: Reserve,
    first_token: usize,
    /// The native port; 0: there is none.
    pub(super) native_port: u16,
    /// The classic ports, each with the dialects' own port that it stands in for.
    pub(super) ports: BTreeMap<u16, u16>,
    /// The ports for transfers in the order of the settings, each with whether a digit begins the named form there.
    pub(super) transfer_ports: Vec<(u16, bool)>,
}

impl Listeners {
    /// Listens where it is asked to. A classic port that cannot be had is a failure or joins `warnings`, as the
    /// settings say. One that a program left behind is tried again: see [`Listeners::retry`].
    pub(super) fn bind(
        bind: Option<IpAddr>,
        listen: Listen,
        classic: Option<&ClassicPorts>,
        transfers: Option<&TransferPorts>,
        first_token: Token,
        warnings: &mut Vec<String>,
    ) -> Result<Listeners, ShellError> {
        let mut listeners = Listeners {
            list: Vec::new(),
            left_behind: Vec::new(),
            reserve: Reserve::new(),
            first_token: first_token.0,
            native_port: 0,
            ports: BTreeMap::new(),
            transfer_ports: Vec::new(),
        };
        let fixed =
            |port, flag, is_field| FixedPort { ip: ip_of(bind), port, flag, is_field, is_strict: true };
        match listen {
            Listen::Nowhere => {}
            Listen::Near(port) => {
                let listener = Listener::near(bind, port)?;
                listeners.native_port = listener.port();
                listeners.list.push(listener);
            }
            Listen::At(port) => {
                let fixed = fixed(port, None, false);
                listeners.native_port = listeners.add_port(fixed, warnings).map_err(ShellError::Network)?;
            }
        }
        for &(port, stands_for) in classic.iter().flat_map(|classic| &classic.tcp) {
            if port != 0 && listeners.ports.contains_key(&port) {
                continue;
            }
            let is_strict = classic.is_some_and(|classic| classic.strict);
            match listeners
                .add_port(FixedPort { is_strict, ..fixed(port, Some("--tcp-port"), true) }, warnings)
            {
                Ok(port) => {
                    listeners.ports.insert(port, stands_for);
                }
                Err(text) if is_strict => return Err(ShellError::Network(text)),
                Err(text) => warnings.push(text),
            }
        }
        for &(port, is_named) in transfers.iter().flat_map(|transfers| &transfers.tcp) {
            if port != 0 && listeners.transfer_ports.iter().any(|taken| taken.0 == port) {
                continue;
            }
            let added = listeners.add_port(fixed(port, Some("--listen"), true), warnings);
            listeners.transfer_ports.push((added.map_err(ShellError::Network)?, is_named));
        }
        Ok(listeners)
    }

    /// Tries those ports again whose time has come. Gives the sentences about those that cannot be had after all.
    pub(super) fn retry(&mut self, now: Instant, registry: &Registry) -> Result<Vec<String>, ShellError> {
        let mut warnings = Vec::new();
        for mut waiting in std::mem::take(&mut self.left_behind) {
            let FixedPort { ip, port, flag, is_strict, .. } = waiting.fixed;
            if waiting.next > now {
                self.left_behind.push(waiting);
                continue;
            }
            match waiting.fixed.open() {
                Ok(mut listener) => {
                    let token = Token(self.first_token + self.list.len());
                    listener.register(registry, token).map_err(|error| no_loop(&error))?;
                    self.list.push(listener);
                    log::info!("TCP port {port} of {ip} is free now");
                }
                Err(_) if now < waiting.until && port_use::is_listened_on(ip, port) != Some(true) => {
                    waiting.next = now + RETRY_INTERVAL;
                    self.left_behind.push(waiting);
                }
                Err(error) if is_strict => {
                    return Err(ShellError::Network(cannot_have(ip, port, flag, &error)));
                }
                Err(error) => warnings.push(cannot_have(ip, port, flag, &error)),
            }
        }
        Ok(warnings)
    }

    /// Registers all of them.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (at, listener) in self.list.iter_mut().enumerate() {
            listener.register(registry, Token(self.first_token + at))?;
        }
        Ok(())
    }

    /// The listener of this token has something to accept.
    pub(super) fn set_ready(&mut self, token: Token) {
        if let Some(listener) = self.list.get_mut(token.0.wrapping_sub(self.first_token)) {
            listener.set_ready();
        }
    }

    /// Whether one of them may have something at `now`.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.list.iter().any(|listener| listener.is_ready(now))
    }

    /// When to try again, if accepting rests somewhere, or a port was left behind.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let retries = self.left_behind.iter().map(|waiting| waiting.next);
        self.list.iter().filter_map(Listener::deadline).chain(retries).min()
    }

    /// How often accepting failed for lack of something.
    pub(super) fn failures(&self) -> u64 {
        self.list.iter().map(|listener| listener.failures).sum()
    }

    /// How many connections were closed at once for lack of descriptors.
    pub(super) fn turned_away(&self) -> u64 {
        self.list.iter().map(|listener| listener.turned_away).sum()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The next connection that waits at one of them, and the port it came to.
    pub(super) fn accept(&mut self, at: usize, now: Instant) -> Option<(TcpStream, SocketAddr, u16)> {
        let listener = self.list.get_mut(at)?;
        let (stream, from) = listener.accept(now, &mut self.reserve)?;
        Some((stream, from, listener.port()))
    }

    /// Opens a port and tells its number, or why not, in a sentence that names the flag for it.
    fn add_port(&mut self, fixed: FixedPort, warnings: &mut Vec<String>) -> Result<u16, String> {
        let FixedPort { ip, port, flag, .. } = fixed;
        if self.list.len() + self.left_behind.len() >= LISTENERS_MAX {
            let flag = flag.map(|flag| format!(" with {flag}")).unwrap_or_default();
            return Err(format!("TCP port {port} is one more than {LISTENERS_MAX}; name fewer{flag}"));
        }
        match fixed.open() {
            Ok(listener) => {
                let port = listener.port();
                self.list.push(listener);
                Ok(port)
            }
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && port_use::is_listened_on(ip, port) == Some(false) =>
            {
                warnings.push(format!(
                    "TCP port {port} of {ip} is held by connections of a program that has ended; it is tried again for \
                     up to a minute"
                ));
                let now = Instant::now();
                let (next, until) = (now + RETRY_INTERVAL, now + LEFT_BEHIND_MAX);
                self.left_behind.push(LeftBehind { fixed, next, until });
                Ok(port)
            }
            Err(error) => Err(cannot_have(ip, port, flag, &error)),
        }
    }
}

impl FixedPort {
    fn open(&self) -> io::Result<Listener> {
        let listener = Listener::at(self.ip, self.port)?;
        if self.is_field {
            listener.tune_for_whole_answers();
        }
        Ok(listener)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::core::TransferConfig;

    /// A connection of a program that did not share its port, and whose listener is gone.
    fn left_behind(ip: IpAddr) -> (u16, Socket) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::new(ip, 0).into()).unwrap();
        listener.listen(1).unwrap();
        let listener = TcpListener::from(listener);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        (port, listener.accept().unwrap().0.into())
    }

    /// Ends it at once, instead of a minute later.
    fn end(connection: Socket) {
        connection.set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn bind(ip: IpAddr, listen: Listen, port: Option<u16>) -> (Listeners, Vec<String>) {
        let tcp = port.map(|port| (port, false)).into_iter().collect();
        let transfers = TransferPorts { config: TransferConfig::default(), tcp };
        let mut warnings = Vec::new();
        let listeners = Listeners::bind(Some(ip), listen, None, Some(&transfers), Token(1), &mut warnings);
        (listeners.unwrap(), warnings)
    }

    #[test]
    fn a_port_that_a_program_left_behind_is_tried_again() {
        let (ip, poll) = (IpAddr::from([127, 82, 7, 1]), mio::Poll::new().unwrap());
        let (native, held_native) = left_behind(ip);
        let (transfer, held) = left_behind(ip);
        let (mut listeners, warnings) = bind(ip, Listen::At(native), Some(transfer));
        assert!(warnings[0].contains(&native.to_string()) && warnings[1].contains(&transfer.to_string()));
        assert_eq!(
            (listeners.native_port, listeners.transfer_ports.clone()),
            (native, vec![(transfer, false)])
        );
        let due = listeners.deadline().unwrap();
        let mut retry = |now| listeners.retry(now, poll.registry());
        assert_eq!(retry(due).unwrap(), [""; 0]);
        end(held_native);
        end(held);
        assert_eq!(retry(due + RETRY_INTERVAL).unwrap(), [""; 0]);
        assert_eq!((listeners.len(), listeners.deadline()), (2, None));
        assert!([native, transfer].iter().all(|port| TcpStream::connect((ip, *port)).is_ok()));
    }

    #[test]
    fn a_program_that_listens_there_meanwhile_is_named_and_nothing_is_waited_for_for_ever() {
        let (ip, poll) = (IpAddr::from([127, 82, 7, 2]), mio::Poll::new().unwrap());
        let (port, held) = left_behind(ip);
        let (mut listeners, _) = bind(ip, Listen::Nowhere, Some(port));
        let due = listeners.deadline().unwrap();
        end(held);
        let _other = TcpListener::bind((ip, port)).unwrap();
        let Err(ShellError::Network(text)) = listeners.retry(due, poll.registry()) else {
            unreachable!("taken")
        };
        assert!(text.contains("taken by another program") && text.contains("--listen"), "{text}");

        let (port, _held) = left_behind(ip);
        let (mut listeners, _) = bind(ip, Listen::Nowhere, Some(port));
        let due = listeners.deadline().unwrap();
        assert!(listeners.retry(due + LEFT_BEHIND_MAX, poll.registry()).is_err());
    }
}
