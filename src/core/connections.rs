//! The slab of connections. Owns their ids, which are never used twice, and their places.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use slab::Slab;

use crate::core::classic::Conversation;
use crate::core::connection::{Kind, Protocol, Sniffing, Transport};
use crate::core::http::Reader;
use crate::core::io::ConnId;
use crate::core::limits::Limits;
use crate::core::native::session::Session;
use crate::core::room::Places;
use crate::core::transfer::Transfer;
use crate::types::{ContentId, Time};

/// The classic connections alone, lent to their engine.
#[derive(Debug)]
pub(crate) struct Classics<'p>(&'p mut Connections);

/// All connections, behind ids that are never used twice.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Slab<(u32, Protocol)>,
    generations: Vec<u32>,
    /// The connections that have a place, of all kinds.
    pub(crate) places: Places,
    /// Contents that downloads want of other peers: connections on which they are named are of use.
    pub(crate) sought: BTreeSet<ContentId>,
    /// Of each address, the connections that came in and have not said what they are.
    half_open: BTreeMap<IpAddr, usize>,
}

impl Connections {
    /// A new connection.
    pub(crate) fn insert(&mut self, connection: Protocol, now: Time) -> ConnId {
        let ip = connection.transport().addr.ip();
        let vacant = self.slots.vacant_entry();
        let slot = vacant.key();
        if self.generations.len() <= slot {
            self.generations.resize(slot.saturating_add(1), 0);
        }
        let mut generation = 0;
        if let Some(next) = self.generations.get_mut(slot) {
            generation = *next;
            *next = generation.wrapping_add(1);
        }
        vacant.insert((generation, connection));
        // Bounded by `Limits::connections_max`, which callers check.
        let conn = ConnId { slot: slot as u32, generation };
        self.places.take(conn, ip, now);
        conn
    }

    /// A native connection that is dialled.
    pub(crate) fn dial(&mut self, to: SocketAddr, limits: &Limits, now: Time) -> ConnId {
        let session = Session::new(Transport::dialled(to), limits, now);
        self.insert(Protocol::Native(Box::new(session)), now)
    }

    /// It is known now what is spoken on a connection. It keeps its id.
    pub(crate) fn become_protocol(&mut self, conn: ConnId, protocol: Protocol) {
        if let Some(connection) = self.get_mut(conn) {
            *connection = protocol;
        }
    }

    /// The classic connections alone.
    pub(crate) fn classics_alone(&mut self) -> Classics<'_> {
        Classics(self)
    }

    /// The connection, unless it is gone.
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Protocol> {
        let (generation, connection) = self.slots.get(conn.slot as usize)?;
        (*generation == conn.generation).then_some(connection)
    }

    /// The connection, to change it, unless it is gone.
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Protocol> {
        let (generation, connection) = self.slots.get_mut(conn.slot as usize)?;
        (*generation == conn.generation).then_some(connection)
    }

    /// What is spoken on it.
    pub(crate) fn kind(&self, conn: ConnId) -> Option<Kind> {
        Some(self.get(conn)?.kind())
    }

    /// One that has said nothing yet.
    pub(crate) fn sniffing(&self, conn: ConnId) -> Option<&Sniffing> {
        let Protocol::Sniffing(sniffing) = self.get(conn)? else { return None };
        Some(sniffing)
    }

    /// The session with a native peer, unless it is gone.
    pub(crate) fn native(&self, conn: ConnId) -> Option<&Session> {
        let Protocol::Native(found) = self.get(conn)? else { return None };
        Some(found)
    }

    /// The same, to change it.
    pub(crate) fn native_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        let Protocol::Native(found) = self.get_mut(conn)? else { return None };
        Some(found)
    }

    /// The reader by HTTP, to change it, unless it is gone.
    pub(crate) fn http_mut(&mut self, conn: ConnId) -> Option<&mut Reader> {
        let Protocol::Http(found) = self.get_mut(conn)? else { return None };
        Some(found)
    }

    /// The transfer, to change it, unless it is gone.
    pub(crate) fn transfer_mut(&mut self, conn: ConnId) -> Option<&mut Transfer> {
        let Protocol::Transfer(found) = self.get_mut(conn)? else { return None };
        Some(found)
    }

    /// Takes a connection out.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        if self.get(conn).is_some() {
            self.slots.remove(conn.slot as usize);
            self.places.give_back(conn);
        }
    }

    /// All connections with what is spoken on each, in the order of their slots.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (ConnId, Kind)> {
        self.iter().map(|(conn, connection)| (conn, connection.kind()))
    }

    fn iter(&self) -> impl Iterator<Item = (ConnId, &Protocol)> {
        self.slots.iter().map(|(slot, (generation, connection))| {
            (ConnId { slot: slot as u32, generation: *generation }, connection)
        })
    }

    /// All sessions, in the order of their slots.
    pub(crate) fn natives(&self) -> impl Iterator<Item = (ConnId, &Session)> {
        self.iter().filter_map(|(conn, connection)| {
            let Protocol::Native(found) = connection else { return None };
            Some((conn, &**found))
        })
    }

    /// All classic connections, in the order of their slots.
    pub(crate) fn classics(&self) -> impl Iterator<Item = (ConnId, &Conversation)> {
        self.iter().filter_map(|(conn, connection)| {
            let Protocol::Classic(found) = connection else { return None };
            Some((conn, &**found))
        })
    }

    /// All readers by HTTP, in the order of their slots.
    pub(crate) fn readers(&self) -> impl Iterator<Item = (ConnId, &Reader)> {
        self.iter().filter_map(|(conn, connection)| {
            let Protocol::Http(found) = connection else { return None };
            Some((conn, &**found))
        })
    }

    /// All transfers, in the order of their slots.
    pub(crate) fn transfers(&self) -> impl Iterator<Item = (ConnId, &Transfer)> {
        self.iter().filter_map(|(conn, connection)| {
            let Protocol::Transfer(found) = connection else { return None };
            Some((conn, &**found))
        })
    }

    /// Connections of one address that came in and have not said hello.
    pub(crate) fn half_open(&self, ip: &IpAddr) -> usize {
        self.half_open.get(ip).copied().unwrap_or(0)
    }

    /// One more of them.
    pub(crate) fn half_open_add(&mut self, ip: IpAddr) {
        let count = self.half_open.entry(ip).or_default();
        *count = count.saturating_add(1);
    }

    /// One less of them.
    pub(crate) fn half_open_remove(&mut self, ip: &IpAddr) {
        if let Some(count) = self.half_open.get_mut(ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.half_open.remove(ip);
            }
        }
    }

    /// How many there are, of all kinds.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl Classics<'_> {
    /// A new one, dialled or at a port of the dialects.
    pub(crate) fn insert(&mut self, conversation: Conversation, now: Time) -> ConnId {
        self.0.insert(Protocol::Classic(Box::new(conversation)), now)
    }

    /// A connection that had said nothing is a classic one. It keeps its id.
    pub(crate) fn replace(&mut self, conn: ConnId, conversation: Conversation) {
        self.0.become_protocol(conn, Protocol::Classic(Box::new(conversation)));
    }

    /// One of them, unless it is gone.
    pub(crate) fn get(&self, conn: ConnId) -> Option<&Conversation> {
        let Protocol::Classic(found) = self.0.get(conn)? else { return None };
        Some(found)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conversation> {
        let Protocol::Classic(found) = self.0.get_mut(conn)? else { return None };
        Some(found)
    }

    /// All of them, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conversation)> {
        self.0.classics()
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        self.0.remove(conn);
    }

    /// Whether there is room for one more connection, of any kind.
    pub(crate) fn has_room(&self, limits: &Limits) -> bool {
        self.0.len() < limits.connections_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut connections = Connections::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let first = connections.dial(addr, &Limits::default(), Time::ZERO);
        let other = connections.dial(addr, &Limits::default(), Time::ZERO);
        connections.remove(first);
        let second = connections.dial(addr, &Limits::default(), Time::ZERO);
        assert_eq!(first.slot, second.slot);
        connections.remove(first);
        assert!(connections.native(first).is_none());
        assert!(connections.native(second).is_some() && connections.native(other).is_some());
        [second, other].into_iter().for_each(|conn| connections.remove(conn));
        let third = connections.dial(addr, &Limits::default(), Time::ZERO);
        assert!(connections.len() == 1 && ![first, second, other].contains(&third));
    }

    #[test]
    fn connections_of_different_kinds_are_not_taken_for_each_other() {
        let mut connections = Connections::default();
        let transport = Transport::accepted(SocketAddr::from(([127, 0, 0, 1], 1)));
        let sniffing = || Protocol::Sniffing(Sniffing { transport, since: Time::ZERO, closing: false });
        let conn = connections.insert(sniffing(), Time::ZERO);
        assert!(connections.native(conn).is_none() && connections.kind(conn) == Some(Kind::Sniffing));
        let conversation = Conversation::serving(transport, 5001, Time::ZERO);
        connections.become_protocol(conn, Protocol::Classic(Box::new(conversation)));
        assert!(connections.native(conn).is_none() && Classics(&mut connections).get(conn).is_some());
        assert_eq!((connections.natives().count(), connections.classics().count()), (0, 1));
        connections.remove(conn);
        assert!(Classics(&mut connections).get(conn).is_none() && connections.len() == 0);
    }
}
