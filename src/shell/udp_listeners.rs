//! The UDP ports of the classic dialects: what is announced there is heard.
//!
//! Broadcasts reach only sockets bound to all addresses, and every process of the host may have one on the same port.
//! A unicast datagram reaches only one of them; so who has an address of its own has a second socket, bound to it.
//! Nothing is sent from here: that would tie up the port for foreign programs that do not share it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::{Registry, Token};

use crate::shell::config::{ClassicPorts, ShellError};
use crate::shell::datagrams::{Endpoint, register};
use crate::shell::sockets;

/// Sockets that listen at most, and so tokens that they take.
pub(super) const UDP_LISTENERS_MAX: usize = 16;

/// The sockets.
#[derive(Debug)]
pub(super) struct UdpListeners {
    list: Vec<UdpListener>,
    first_token: usize,
    /// Whose turn it is to be read.
    turn: usize,
}

/// A place to listen at.
#[derive(Debug)]
struct UdpListener {
    address: Ipv4Addr,
    port: u16,
    /// `None`: the port is taken; it is tried again.
    endpoint: Option<Endpoint>,
}

/// What a look at the sockets brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UdpReceived {
    /// A datagram of so many bytes came to this port.
    Datagram { port: u16, from: SocketAddr, len: usize },
    /// One that could not be read.
    Lost,
    /// Nothing waits any more.
    Nothing,
}

impl UdpListeners {
    /// Listens where it is asked to; without `broadcasts`, only at the own address. A port that cannot be had is a
    /// failure or joins `warnings`, as the settings say.
    pub(super) fn open(
        registry: &Registry,
        bind: Option<IpAddr>,
        broadcasts: bool,
        classic: Option<&ClassicPorts>,
        first_token: Token,
        warnings: &mut Vec<String>,
    ) -> Result<UdpListeners, ShellError> {
        let mut udp_listeners = UdpListeners { list: Vec::new(), first_token: first_token.0, turn: 0 };
        let own = match bind {
            Some(IpAddr::V4(own)) if !own.is_unspecified() => Some(own),
            _ => None,
        };
        let everywhere = broadcasts.then_some(Ipv4Addr::UNSPECIFIED);
        for &wanted in classic.iter().flat_map(|classic| &classic.udp) {
            let mut port = wanted;
            for address in [everywhere, own].into_iter().flatten() {
                match udp_listeners.add(registry, address, port) {
                    // The system chose one: the own address has the same.
                    Ok(got) => port = got,
                    Err(text) if classic.is_some_and(|classic| classic.strict) => {
                        return Err(ShellError::Network(text));
                    }
                    Err(text) => warnings.push(text),
                }
            }
        }
        Ok(udp_listeners)
    }

    /// Tries again where a port was taken.
    pub(super) fn refresh(&mut self, registry: &Registry) {
        for at in 0..self.list.len() {
            if self.list[at].endpoint.is_none() {
                let _ = self.open_at(registry, at);
            }
        }
    }

    /// The ports that are listened at.
    #[cfg(test)]
    pub(super) fn ports(&self) -> Vec<u16> {
        let open = self.list.iter().filter(|listener| listener.endpoint.is_some());
        let mut ports: Vec<u16> = open.map(|listener| listener.port).collect();
        ports.dedup();
        ports
    }

    /// The socket of this token has something to read.
    pub(super) fn set_ready(&mut self, token: Token) {
        let listener = self.list.get_mut(token.0.wrapping_sub(self.first_token));
        if let Some(endpoint) = listener.and_then(|listener| listener.endpoint.as_mut()) {
            endpoint.readable = true;
        }
    }

    /// Whether [`UdpListeners::receive`] may have something.
    pub(super) fn is_ready(&self) -> bool {
        self.list.iter().any(|listener| listener.endpoint.as_ref().is_some_and(|endpoint| endpoint.readable))
    }

    /// Takes one datagram from the socket whose turn it is.
    pub(super) fn receive(&mut self, into: &mut [u8]) -> UdpReceived {
        let count = self.list.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let UdpListener { port, endpoint, .. } = &mut self.list[self.turn];
            let Some(endpoint) = endpoint.as_mut().filter(|endpoint| endpoint.readable) else { continue };
            match endpoint.socket.recv_from(into) {
                Ok((len, from)) => return UdpReceived::Datagram { port: *port, from, len },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => endpoint.readable = false,
                Err(error) => {
                    log::debug!("UDP port {port}: {error}");
                    return UdpReceived::Lost;
                }
            }
        }
        UdpReceived::Nothing
    }

    /// Adds a place to listen at, and tells its port, or why it cannot be had, in a sentence.
    fn add(&mut self, registry: &Registry, address: Ipv4Addr, port: u16) -> Result<u16, String> {
        if self.list.iter().any(|listener| port != 0 && (listener.address, listener.port) == (address, port))
        {
            return Ok(port);
        }
        if self.list.len() >= UDP_LISTENERS_MAX {
            return Err(format!(
                "UDP port {port} takes more than {UDP_LISTENERS_MAX} sockets; name fewer with --udp-port"
            ));
        }
        self.list.push(UdpListener { address, port, endpoint: None });
        let at = self.list.len() - 1;
        let opened = self.open_at(registry, at);
        opened.map(|()| self.list[at].port).map_err(|error| cannot_hear(address, port, &error))
    }

    fn open_at(&mut self, registry: &Registry, at: usize) -> io::Result<()> {
        let listener = &mut self.list[at];
        let socket = sockets::hearing_at(listener.address, listener.port)?;
        let endpoint = register(registry, socket, Token(self.first_token + at))?;
        listener.port = endpoint.socket.local_addr()?.port();
        listener.endpoint = Some(endpoint);
        Ok(())
    }
}

fn cannot_hear(address: Ipv4Addr, port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "UDP port {port} is taken by another program that does not share it: end it, or listen on another \
             with --udp-port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {address}: no interface of this host has that address; check --bind")
        }
        io::ErrorKind::PermissionDenied => {
            format!("UDP port {port} is for the administrator alone: listen on another with --udp-port")
        }
        _ => format!("cannot listen on UDP port {port}: {error}; listen on another with --udp-port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ClassicConfig, DictionaryUse};
    use std::net::UdpSocket;
    use std::time::Duration;

    use std::collections::BTreeMap;

    fn ports(udp: &[u16], strict: bool) -> ClassicPorts {
        let config = ClassicConfig {
            address: Ipv4Addr::LOCALHOST,
            voices: Vec::new(),
            announce_interval: Duration::from_secs(60),
            ports: BTreeMap::new(),
            address_alone: false,
            dial_port: None,
            speaks: None,
            dialects: BTreeMap::new(),
            dictionary: DictionaryUse::None,
            chunk_bytes_max: 1 << 20,
        };
        ClassicPorts { config, udp: udp.to_vec(), tcp: Vec::new(), strict }
    }

    fn open(poll: &mio::Poll, own: Option<Ipv4Addr>, broadcasts: bool, port: u16) -> UdpListeners {
        let own = own.map(IpAddr::V4);
        let classic = ports(&[port], true);
        UdpListeners::open(poll.registry(), own, broadcasts, Some(&classic), Token(5), &mut Vec::new())
            .unwrap()
    }

    fn hear(poll: &mut mio::Poll, udp_listeners: &mut UdpListeners) -> (u16, Vec<u8>) {
        let mut events = mio::Events::with_capacity(16);
        let mut bytes = vec![0; 1 << 16];
        for _ in 0..50 {
            while udp_listeners.is_ready() {
                if let UdpReceived::Datagram { port, len, .. } = udp_listeners.receive(&mut bytes) {
                    return (port, bytes[..len].to_vec());
                }
            }
            poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            events.iter().for_each(|event| udp_listeners.set_ready(event.token()));
        }
        unreachable!("no datagram came")
    }

    #[test]
    fn all_of_one_host_hear_broadcasts_and_each_its_own_mail() {
        let mut polls = [mio::Poll::new().unwrap(), mio::Poll::new().unwrap()];
        let addresses = [Ipv4Addr::new(127, 81, 3, 1), Ipv4Addr::new(127, 81, 3, 2)];
        let first = open(&polls[0], Some(addresses[0]), true, 0);
        let port = first.ports()[0];
        assert_eq!(first.ports(), [port]);
        let second = open(&polls[1], Some(addresses[1]), true, port);
        let mut udp_listeners = [first, second];
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.set_broadcast(true).unwrap();
        sender.send_to(b"to all", (Ipv4Addr::new(127, 255, 255, 255), port)).unwrap();
        for (poll, udp_listeners) in polls.iter_mut().zip(&mut udp_listeners) {
            assert_eq!(hear(poll, udp_listeners), (port, b"to all".to_vec()));
        }
        let long = vec![b'x'; 65_000];
        for (number, address) in addresses.iter().enumerate() {
            sender.send_to(&long, (*address, port)).unwrap();
            assert_eq!(hear(&mut polls[number], &mut udp_listeners[number]), (port, long.clone()));
        }
        assert_eq!(udp_listeners[0].receive(&mut [0; 10]), UdpReceived::Nothing);
    }

    #[test]
    fn without_broadcasts_only_the_own_address_listens() {
        let poll = mio::Poll::new().unwrap();
        assert!(open(&poll, None, false, 0).ports().is_empty());
        let own = Ipv4Addr::new(127, 81, 3, 3);
        let udp_listeners = open(&poll, Some(own), false, 0);
        assert_eq!((udp_listeners.list.len(), udp_listeners.list[0].address), (1, own));
    }

    #[test]
    fn a_port_that_is_not_shared_is_named_and_tried_again() {
        let poll = mio::Poll::new().unwrap();
        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let open = |strict: bool, warnings: &mut Vec<String>| {
            let classic = ports(&[port], strict);
            UdpListeners::open(poll.registry(), None, true, Some(&classic), Token(5), warnings)
        };
        let Err(ShellError::Network(text)) = open(true, &mut Vec::new()) else {
            unreachable!("the port is taken")
        };
        assert!(text.contains(&format!("UDP port {port}")) && text.contains("--udp-port"), "{text}");
        let mut warnings = Vec::new();
        let mut udp_listeners = open(false, &mut warnings).unwrap();
        assert_eq!((warnings, udp_listeners.ports()), (vec![text], Vec::new()));
        drop(taken);
        udp_listeners.refresh(poll.registry());
        assert_eq!(udp_listeners.ports(), [port]);
    }
}
