//! Discovery's sockets: one shared listener that hears broadcasts, and a socket of its own per network to send from
//! and to be answered on.
//!
//! A socket bound to a unicast address hears no broadcast, so the shared one is bound to all addresses, and every
//! peer of the host has one on the same port. A unicast datagram to that port reaches only one of them, hence the
//! own sockets. No error here is fatal: networks come and go.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::Socket;

use crate::core::{DatagramTo, IfaceId};
use crate::shell::ifaces::{self, Choice, NETWORKS_MAX, Network};
use crate::shell::sockets;

/// Tokens that discovery takes, from the one it is given on.
pub(super) const TOKENS: usize = NETWORKS_MAX + 1;

/// Classes of failures that are remembered so as to be logged once.
const REPORTED_MAX: usize = 256;

/// All of discovery's sockets.
#[derive(Debug)]
pub(super) struct Discovery {
    choice: Choice,
    speech: Speech,
    /// Peers somebody named, who may be outside of all networks.
    fixed: BTreeSet<IpAddr>,
    first_token: usize,
    shared: Option<Endpoint>,
    own: Vec<Own>,
    next_iface: u32,
    /// Whose turn it is to be read, over the shared and the own sockets.
    turn: usize,
    reported: BTreeSet<String>,
    /// Datagrams dropped for their source.
    pub(super) foreign: u64,
    /// Datagrams that could not be sent.
    pub(super) unsent: u64,
}

/// What is said and heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speech {
    /// The discovery port.
    pub(super) port: u16,
    /// Whether native peers are spoken to and heard.
    pub(super) native: bool,
    /// Whether broadcasts are sent and heard.
    pub(super) broadcasts: bool,
}

/// A socket, and whether it may have something to read.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) socket: UdpSocket,
    pub(super) readable: bool,
}

/// The socket of one network.
#[derive(Debug)]
struct Own {
    id: IfaceId,
    /// Its token is this far behind the shared listener's.
    place: usize,
    network: Network,
    endpoint: Endpoint,
}

/// What a look at the sockets brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A datagram of so many bytes.
    Datagram { iface: IfaceId, from: SocketAddr, len: usize },
    /// One that does not count.
    Dropped,
    /// Nothing waits any more.
    Nothing,
}

impl Discovery {
    /// No sockets yet: they come with [`Discovery::refresh`].
    pub(super) fn new(choice: Choice, speech: Speech, fixed: BTreeSet<IpAddr>, token: Token) -> Discovery {
        Discovery {
            choice,
            speech,
            fixed,
            first_token: token.0,
            shared: None,
            own: Vec::new(),
            next_iface: 0,
            turn: 0,
            reported: BTreeSet::new(),
            foreign: 0,
            unsent: 0,
        }
    }

    /// Why no network is in use.
    pub(super) fn no_network(&self) -> String {
        let networks = ifaces::enumerate().map(|(_, networks)| networks).unwrap_or_default();
        ifaces::none_of(&self.choice, &networks)
    }

    /// Makes the sockets fit the networks there are now: those of networks that stayed are kept.
    pub(super) fn refresh(&mut self, registry: &Registry) {
        self.adopt(registry, ifaces::enumerate().map(|(_, networks)| networks));
    }

    /// Makes the sockets fit the networks that were listed. A list that cannot be had, for lack of a descriptor
    /// perhaps, says nothing of the networks in use: they stay.
    fn adopt(&mut self, registry: &Registry, listed: io::Result<Vec<Network>>) {
        let networks = match listed {
            Ok(networks) => self.choice.select(&networks),
            Err(error) => {
                self.report("list interfaces", &error);
                if !self.own.is_empty() {
                    return;
                }
                Vec::new()
            }
        };
        let networks = if networks.is_empty() { self.fallback() } else { networks };
        self.own.retain(|own| networks.contains(&own.network));
        for network in networks {
            if !self.own.iter().any(|own| own.network == network) {
                self.open_own(registry, network);
            }
        }
        if self.shared.is_none() && self.wants_shared() {
            self.open_shared(registry, self.speech.port);
        }
    }

    /// How many networks are in use.
    pub(super) fn networks(&self) -> usize {
        self.own.len()
    }

    /// The addresses of this host in the networks in use, as far as they are known.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let addresses = self.own.iter().map(|own| own.network.addr);
        addresses.filter(|addr| !addr.is_unspecified()).map(IpAddr::V4).collect()
    }

    /// Whether the port that hears broadcasts is open, or not wanted.
    pub(super) fn hears(&self) -> bool {
        self.shared.is_some() || !self.wants_shared()
    }

    fn wants_shared(&self) -> bool {
        self.speech.native && self.speech.broadcasts
    }

    /// Whether a TCP connection from there is welcome.
    pub(super) fn admits(&self, ip: IpAddr) -> bool {
        let restricted = self.choice.broadcast.is_some_and(|address| !address.is_broadcast());
        match ip.to_canonical() {
            IpAddr::V4(ip) => !restricted || self.own.iter().any(|own| own.network.contains(ip)),
            IpAddr::V6(_) => !restricted,
        }
    }

    /// The socket of this token has something to read. What comes without native speech is nobody's and stays there.
    pub(super) fn set_ready(&mut self, token: Token) {
        if !self.speech.native {
            return;
        }
        let place = token.0.wrapping_sub(self.first_token);
        if place == 0 {
            if let Some(shared) = &mut self.shared {
                shared.readable = true;
            }
        } else if let Some(own) = self.own.iter_mut().find(|own| own.place == place) {
            own.endpoint.readable = true;
        }
    }

    /// Whether [`Discovery::receive`] may have something.
    pub(super) fn is_ready(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.readable)
            || self.own.iter().any(|own| own.endpoint.readable)
    }

    /// Takes one datagram from the socket whose turn it is.
    pub(super) fn receive(&mut self, into: &mut [u8]) -> Received {
        let count = self.own.len() + 1;
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let endpoint = match self.turn.checked_sub(1) {
                None => self.shared.as_mut(),
                Some(at) => self.own.get_mut(at).map(|own| &mut own.endpoint),
            };
            let Some(endpoint) = endpoint.filter(|endpoint| endpoint.readable) else { continue };
            match endpoint.socket.recv_from(into) {
                Ok((len, from)) => return self.judge(from, len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => endpoint.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Received::Dropped,
                Err(error) => {
                    self.report("receive", &error);
                    return Received::Dropped;
                }
            }
        }
        Received::Nothing
    }

    /// Sends a datagram. What cannot be sent is dropped, as the network might have done.
    pub(super) fn send(&mut self, to: DatagramTo, bytes: &[u8]) {
        match to {
            DatagramTo::Everybody if self.wants_shared() => self.broadcast(self.speech.port, bytes),
            DatagramTo::EverybodyAt { port } if self.speech.broadcasts => self.broadcast_classic(port, bytes),
            DatagramTo::Everybody | DatagramTo::EverybodyAt { .. } => {}
            DatagramTo::One { iface, addr } => match self.sender(iface, addr.ip()) {
                Some(at) => self.send_from(at, addr, bytes),
                None => self.unsent += 1,
            },
        }
    }

    fn broadcast(&mut self, port: u16, bytes: &[u8]) {
        for at in 0..self.own.len() {
            if let Some(address) = self.own[at].network.broadcast {
                self.send_from(at, SocketAddrV4::new(address, port).into(), bytes);
            }
        }
    }

    fn broadcast_classic(&mut self, port: u16, bytes: &[u8]) {
        for at in 0..self.own.len() {
            let all = self.own.iter().map(|own| &own.network);
            if let Some(address) = self.own[at].network.broadcast_beside(all) {
                self.send_from(at, SocketAddrV4::new(address, port).into(), bytes);
            }
        }
    }

    /// From which own socket a datagram to `ip` leaves.
    fn sender(&self, iface: Option<IfaceId>, ip: IpAddr) -> Option<usize> {
        let IpAddr::V4(ip) = ip.to_canonical() else { return None };
        let by = |wanted: &dyn Fn(&Own) -> bool| self.own.iter().position(wanted);
        iface
            .and_then(|id| by(&|own| own.id == id))
            .or_else(|| by(&|own| own.network.contains(ip)))
            // What is in none of the networks is behind a router, and loopback leads to none.
            .or_else(|| by(&|own| !own.network.is_loopback()))
            .or_else(|| by(&|_| true))
    }

    fn send_from(&mut self, at: usize, to: SocketAddr, bytes: &[u8]) {
        let own = &self.own[at];
        if let Err(error) = own.endpoint.socket.send_to(bytes, to) {
            self.unsent += 1;
            let doing = format!("send to {} from {} on {}", to.ip(), own.network.addr, own.network.iface);
            self.report(&doing, &error);
        }
    }

    /// Whether a datagram from there, that came to a socket of another's, counts.
    pub(super) fn counts(&mut self, from: SocketAddr) -> bool {
        self.judge(from, 0) != Received::Dropped
    }

    /// Whether a datagram from there counts, and by which network it came.
    fn judge(&mut self, from: SocketAddr, len: usize) -> Received {
        match self.iface_of(from) {
            Some(iface) => Received::Datagram { iface, from, len },
            None => {
                self.foreign += 1;
                Received::Dropped
            }
        }
    }

    fn iface_of(&self, from: SocketAddr) -> Option<IfaceId> {
        let IpAddr::V4(ip) = from.ip() else { return None };
        let is_broadcast = self.own.iter().any(|own| own.network.broadcast == Some(ip));
        if from.port() == 0 || is_broadcast || !ifaces::is_sender(ip) {
            return None;
        }
        let of_network = self.own.iter().find(|own| own.network.contains(ip));
        match of_network {
            Some(own) => Some(own.id),
            None if self.fixed.contains(&from.ip()) && self.admits(from.ip()) => {
                self.own.get(self.sender(None, from.ip())?).map(|own| own.id)
            }
            None => None,
        }
    }

    /// Without a single network known: anywhere the default route leads. Not when particular networks are wanted.
    fn fallback(&self) -> Vec<Network> {
        if !self.choice.ifaces.is_empty() || self.choice.bind.is_some() || self.choice.broadcast.is_some() {
            return Vec::new();
        }
        let any = Ipv4Addr::UNSPECIFIED;
        vec![Network { iface: "any".into(), addr: any, mask: any, broadcast: Some(Ipv4Addr::BROADCAST) }]
    }

    fn open_own(&mut self, registry: &Registry, network: Network) {
        let taken = |place: usize| self.own.iter().any(|own| own.place == place);
        let Some(place) = (1..TOKENS).find(|&place| !taken(place)) else { return };
        let token = Token(self.first_token + place);
        match sockets::sending(network.addr, self.speech.port)
            .and_then(|socket| register(registry, socket, token))
        {
            Ok(endpoint) => {
                let id = IfaceId(self.next_iface);
                self.next_iface = self.next_iface.wrapping_add(1);
                log::debug!("discovery on {} from {:?}", network.iface, endpoint.socket.local_addr());
                self.own.push(Own { id, place, network, endpoint });
            }
            Err(error) => self.report(&format!("use {} on {}", network.addr, network.iface), &error),
        }
    }

    fn open_shared(&mut self, registry: &Registry, port: u16) {
        let opened = sockets::hearing(port);
        match opened.and_then(|socket| register(registry, socket, Token(self.first_token))) {
            Ok(endpoint) => self.shared = Some(endpoint),
            Err(error) => self.report(&format!("hear broadcasts on UDP port {port}"), &error),
        }
    }

    /// Logs a class of failure once.
    fn report(&mut self, doing: &str, error: &io::Error) {
        let class = format!("{doing}: {:?}", error.kind());
        if self.reported.len() < REPORTED_MAX && self.reported.insert(class) {
            log::warn!("discovery cannot {doing}: {error}");
        }
    }
}

/// Makes a socket one of the loop's.
pub(super) fn register(registry: &Registry, socket: Socket, token: Token) -> io::Result<Endpoint> {
    socket.set_nonblocking(true)?;
    let mut socket = UdpSocket::from_std(socket.into());
    // What cannot be sent at once is dropped, so nobody waits for room.
    registry.register(&mut socket, token, Interest::READABLE)?;
    Ok(Endpoint { socket, readable: false })
}
