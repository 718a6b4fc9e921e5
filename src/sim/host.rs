//! A host: its links, its disk, and, while it runs, its peer with the driver's own books about it.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::core::{Config, ConnId, DictionaryUse, Peer, Rng};
use crate::sim::bytes::ByteStore;
use crate::sim::classic::{ClassicGets, Foreign};
use crate::sim::disk::Disk;
use crate::sim::gets::Gets;
use crate::sim::hostile::Hostile;
use crate::sim::scenario::{HostSpec, Nature};
use crate::sim::tcp::StreamRef;
use crate::types::Time;

/// The port of discovery, shared by all, and the TCP port of every peer.
pub(super) const DISCOVERY_PORT: u16 = 7117;
/// The port a host sends its datagrams from and hears the answers on.
pub(super) const OWN_PORT: u16 = 7118;

/// Which host has this address, if there are so many.
pub(super) fn number_of(ip: IpAddr) -> Option<u32> {
    let IpAddr::V4(ip) = ip else { return None };
    let [10, high, mid, low] = ip.octets() else { return None };
    u32::from_be_bytes([0, high, mid, low]).checked_sub(1)
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) paused_until: Time,
    pub(super) downlink_free_at: Time,
    /// How often a peer was started here. Peer `n`'s late events find another number.
    pub(super) incarnation: u32,
    /// Cut off from hosts of other groups.
    pub(super) group: u32,
    /// In the queue of hosts that something happened to.
    pub(super) touched: bool,
    pub(super) uplink_busy: bool,
    /// Whether the machine answers packets at all.
    pub(super) powered: bool,
    /// The peer was asked to leave.
    pub(super) leaving: bool,
    /// The peer said that it has left.
    pub(super) left: bool,
    pub(super) spec: HostSpec,
    /// How far its clock is ahead of the world's.
    pub(super) clock_ahead: Duration,
    /// The earliest timer in the queue.
    pub(super) timer: Option<Time>,
    /// The running peer; `None` while there is none.
    pub(super) peer: Option<Box<Peer>>,
    /// The peer that is not ours, if that is what this host is for.
    pub(super) foreign: Option<Box<Foreign>>,
    /// The peer that means harm, if that is what this host is for.
    pub(super) hostile: Option<Box<Hostile>>,
    /// Ends that woke or whose socket became ready, in that order.
    pub(super) ready: VecDeque<(StreamRef, u8)>,
    /// Streams whose bytes wait for the uplink, and whether it is busy.
    pub(super) uplink: VecDeque<(StreamRef, u8)>,
    /// The stream of each of the core's connections, by slot, and which end of it this host is.
    sockets: Vec<Option<(ConnId, StreamRef, u8)>>,
    next_port: u16,
    pub(super) ip: IpAddr,
    pub(super) disk: Disk,
    pub(super) rng: Rng,
    pub(super) gets: Gets,
    pub(super) classic_gets: ClassicGets,
    /// The last garbage datagram's model.
    pub(super) heard: Vec<u8>,
}

impl Host {
    pub(super) fn new(index: usize, spec: &HostSpec, rng: Rng) -> Host {
        let [_, high, mid, low] = u32::try_from(index + 1).unwrap_or(u32::MAX).to_be_bytes();
        let keeps = spec.classic.as_ref();
        let bytes = (keeps.is_some() || spec.takes.is_some()).then(|| {
            let has_records = keeps.is_some_and(|classic| classic.dictionary != DictionaryUse::None);
            let chunk_bytes_max = keeps.map(|classic| classic.chunk_bytes_max);
            ByteStore::new(rng.clone().next_u64(), chunk_bytes_max, has_records)
        });
        Host {
            spec: spec.clone(),
            ip: IpAddr::V4(Ipv4Addr::new(10, high, mid, low)),
            peer: None,
            foreign: spec.foreign.clone().map(|spec| Box::new(Foreign::new(spec))),
            hostile: spec.hostile.map(|spec| Box::new(Hostile::new(spec))),
            incarnation: 0,
            powered: true,
            paused_until: Time::ZERO,
            clock_ahead: Duration::ZERO,
            disk: Disk::new(spec.disk.clone(), spec.nature == Nature::Forger, bytes),
            rng,
            sockets: Vec::new(),
            ready: VecDeque::new(),
            timer: None,
            touched: false,
            uplink: VecDeque::new(),
            uplink_busy: false,
            downlink_free_at: Time::ZERO,
            group: 0,
            next_port: 40_000,
            gets: Gets::new(spec.gets.len()),
            classic_gets: ClassicGets::new(spec.classic.as_ref().map_or(0, |classic| classic.gets.len())),
            leaving: false,
            left: false,
            heard: Vec::new(),
        }
    }

    /// Starts a peer that knows nothing of the one before it; without a config, one that is not ours.
    pub(super) fn start(&mut self, now: Time, config: Option<Config>) {
        self.incarnation += 1;
        self.powered = true;
        self.sockets.clear();
        self.ready.clear();
        self.timer = None;
        self.leaving = false;
        self.left = false;
        self.gets.restart();
        self.classic_gets.restart();
        self.paused_until = Time::ZERO;
        self.disk.restart(now);
        if let Some(config) = config {
            let seed = self.rng.next_u64();
            self.peer = Some(Box::new(Peer::new(config, seed, now + self.clock_ahead)));
        }
    }

    /// Where its peers are dialled.
    pub(super) fn tcp_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, DISCOVERY_PORT)
    }

    /// The address of the next connection that it dials.
    pub(super) fn next_address(&mut self) -> SocketAddr {
        self.next_port = if self.next_port == u16::MAX { 40_000 } else { self.next_port + 1 };
        SocketAddr::new(self.ip, self.next_port)
    }

    /// Whether its peer runs and is not standing still.
    pub(super) fn runs(&self, now: Time) -> bool {
        self.is_up() && self.paused_until <= now
    }

    /// Whether its peer runs, ours or not.
    pub(super) fn is_up(&self) -> bool {
        self.peer.is_some()
            || self.foreign.as_ref().is_some_and(|foreign| foreign.is_up)
            || self.hostile.as_ref().is_some_and(|hostile| hostile.is_up)
    }

    /// Whether a datagram to this port is heard here.
    pub(super) fn hears(&self, port: u16) -> bool {
        let classic = self.spec.classic.as_ref().is_some_and(|classic| classic.hears.contains(&port));
        let foreign = self.spec.foreign.as_ref();
        classic || foreign.is_some_and(|foreign| foreign.dialect.udp_ports().contains(&port))
    }

    /// Whether its peer of ours takes connections on this port.
    pub(super) fn listens(&self, port: u16) -> bool {
        let classic = self.spec.classic.as_ref();
        let native = classic.is_none_or(|classic| classic.native) && port == DISCOVERY_PORT;
        let field = self.spec.takes.as_ref().is_some_and(|takes| takes.config().ports.contains_key(&port));
        native || field || classic.is_some_and(|classic| classic.ports.contains_key(&port))
    }

    /// Whether it does what the protocol says.
    pub(super) fn honest(&self) -> bool {
        self.hostile.is_none() && matches!(self.spec.nature, Nature::Honest | Nature::Garbage { .. })
    }

    pub(super) fn attach(&mut self, conn: ConnId, stream: StreamRef, end: u8) {
        let slot = conn.slot as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize(slot + 1, None);
        }
        self.sockets[slot] = Some((conn, stream, end));
    }

    pub(super) fn detach(&mut self, conn: ConnId) {
        if let Some(place) = self.sockets.get_mut(conn.slot as usize)
            && place.is_some_and(|(held, _, _)| held == conn)
        {
            *place = None;
        }
    }

    /// The stream of a connection, and which end of it this host is.
    pub(super) fn socket(&self, conn: ConnId) -> Option<(StreamRef, u8)> {
        let (held, stream, end) = (*self.sockets.get(conn.slot as usize)?)?;
        (held == conn).then_some((stream, end))
    }

    /// Every stream it holds.
    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamRef, u8)> + '_ {
        self.sockets.iter().flatten().map(|(_, stream, end)| (*stream, *end))
    }
}
