//! All TCP ports of the peer: the native one, if there is one, and those of the field's dialects.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Registry, Token};

use crate::shell::config::{ClassicPorts, Listen, ShellError, TransferPorts};
use crate::shell::listener::{Listener, Reserve};

/// Ports that are listened on at most, and so tokens that they take.
pub(super) const LISTENERS_MAX: usize = 16;

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Listeners {
    list: Vec<Listener>,
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
    /// settings say.
    pub(super) fn bind(
        bind: Option<IpAddr>,
        listen: Listen,
        classic: Option<&ClassicPorts>,
        foreign: Option<&TransferPorts>,
        first_token: Token,
        warnings: &mut Vec<String>,
    ) -> Result<Listeners, ShellError> {
        let mut listeners = Listeners {
            list: Vec::new(),
            reserve: Reserve::new(),
            first_token: first_token.0,
            native_port: 0,
            ports: BTreeMap::new(),
            transfer_ports: Vec::new(),
        };
        if listen != Listen::Nowhere {
            let listener = Listener::bind(bind, listen)?;
            listeners.native_port = listener.port();
            listeners.list.push(listener);
        }
        for &(port, stands_for) in classic.iter().flat_map(|classic| &classic.tcp) {
            if port != 0 && listeners.ports.contains_key(&port) {
                continue;
            }
            match listeners.add_port(bind, port, "--tcp-port") {
                Ok(port) => {
                    listeners.ports.insert(port, stands_for);
                }
                Err(text) if classic.is_some_and(|classic| classic.strict) => {
                    return Err(ShellError::Network(text));
                }
                Err(text) => warnings.push(text),
            }
        }
        for &(port, is_named) in foreign.iter().flat_map(|foreign| &foreign.tcp) {
            if port != 0 && listeners.transfer_ports.iter().any(|taken| taken.0 == port) {
                continue;
            }
            let port = listeners.add_port(bind, port, "--listen").map_err(ShellError::Network)?;
            listeners.transfer_ports.push((port, is_named));
        }
        Ok(listeners)
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

    /// When to try again, if accepting rests somewhere.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(Listener::deadline).min()
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

    /// Opens a port of the field's dialects and tells its number, or why not, in a sentence that names the flag for it.
    fn add_port(&mut self, bind: Option<IpAddr>, port: u16, flag: &str) -> Result<u16, String> {
        if self.list.len() >= LISTENERS_MAX {
            return Err(format!("TCP port {port} is one more than {LISTENERS_MAX}; name fewer with {flag}"));
        }
        let listener = Listener::bind_fixed(bind, port, flag)?;
        let port = listener.port();
        self.list.push(listener);
        Ok(port)
    }
}
