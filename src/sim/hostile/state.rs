//! A hostile host as a value: what it heard of others, and its conversations.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::core::{ConnId, Rng};
use crate::sim::host::DISCOVERY_PORT;
use crate::sim::hostile::HostileSpec;
use crate::types::{ContentId, PeerId};
use crate::wire::frame::Decoder;
use crate::wire::message::{Announcement, Entry, Hello, PROTOCOL_VERSION, Query, Wanted};

/// The ids that it heard last and may take over.
const HEARD_MAX: usize = 16;

/// See [the module](self).
#[derive(Debug)]
pub(in crate::sim) struct Hostile {
    pub(in crate::sim) spec: HostileSpec,
    pub(in crate::sim) is_up: bool,
    pub(super) talks: BTreeMap<ConnId, Talk>,
    /// Whose announcements and queries it heard, the latest last.
    pub(super) heard: Vec<PeerId>,
    next_conn: u32,
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) decoder: Decoder,
    /// The other host.
    pub(super) with: usize,
    /// Who it says that it is.
    pub(super) id: PeerId,
    /// It said hello.
    pub(super) greeted: bool,
    /// Pages of its catalogue that were asked for.
    pub(super) pages_due: usize,
}

impl Hostile {
    pub(in crate::sim) fn new(spec: HostileSpec) -> Hostile {
        Hostile { spec, is_up: false, talks: BTreeMap::new(), heard: Vec::new(), next_conn: 0 }
    }

    pub(in crate::sim) fn stop(&mut self) {
        self.is_up = false;
        self.talks.clear();
    }

    /// A new conversation.
    pub(super) fn converse(&mut self, with: usize, id: PeerId) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId { slot: self.next_conn, generation: 0 };
        let decoder = Decoder::default();
        self.talks.insert(conn, Talk { decoder, with, id, greeted: false, pages_due: 0 });
        conn
    }

    /// Somebody's id was on the wire.
    pub(super) fn hear(&mut self, peer: PeerId) {
        if !self.heard.contains(&peer) {
            self.heard.push(peer);
            let over = self.heard.len().saturating_sub(HEARD_MAX);
            self.heard.drain(..over);
        }
    }
}

/// An address that belongs to no host of the world, one of so many.
pub(super) fn stranger(rng: &mut Rng, of: usize) -> IpAddr {
    let [.., high, low] = (rng.below(of) as u64).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(192, 168, high, low))
}

/// Where a stranger would be dialled.
pub(super) fn endpoint(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, DISCOVERY_PORT)
}

pub(super) fn hello(peer: PeerId) -> Hello {
    let (user, agent) = ("mallory".to_owned(), "hostile".to_owned());
    Hello { v: PROTOCOL_VERSION, peer, user, port: DISCOVERY_PORT, agent }
}

/// An announcement of `peer`, that it offers these.
pub(super) fn announcement(peer: PeerId, generation: u64, entries: Vec<Entry>) -> Announcement {
    Announcement {
        peer,
        user: "mallory".to_owned(),
        port: DISCOVERY_PORT,
        interval_ms: 3_600_000,
        known_peers: 1,
        generation,
        catalogue: u32::try_from(entries.len()).unwrap_or(u32::MAX),
        entries,
        answers: None,
    }
}

pub(super) fn query(peer: PeerId, nonce: u64, wanted: Wanted) -> Query {
    Query { peer, user: "mallory".to_owned(), port: DISCOVERY_PORT, nonce, wanted }
}

/// An entry of a content that nobody has.
pub(super) fn invented(rng: &mut Rng) -> Entry {
    let [a, b] = [rng.bytes16(), rng.bytes16()];
    let mut id = [0; 32];
    id[..16].copy_from_slice(&a);
    id[16..].copy_from_slice(&b);
    Entry {
        id: ContentId(id),
        name: format!("invented/{:016x}", rng.next_u64()),
        size: 1 << 20,
        have: 64,
        of: 64,
    }
}
