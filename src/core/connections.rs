//! The slab of connections: native ones, classic ones, readers by HTTP, foreign pushes. Owns their ids, which are never
//! used twice.
//!
//! Who asks for a connection of one kind never sees one of another.

use std::net::SocketAddr;

use slab::Slab;

use crate::core::classic::conversation::Conversation;
use crate::core::connection::Connection;
use crate::core::door::ConnId;
use crate::core::http::Reader;
use crate::core::limits::Limits;
use crate::core::places::Places;
use crate::core::push::conversation::Conversation as Push;
use crate::types::time::Time;

/// All connections, behind ids that are never used twice.
#[derive(Debug, Default)]
pub(in crate::core) struct Connections {
    slots: Slab<(u32, Entry)>,
    /// The native ones, side by side: what lies in few pages is found sooner.
    natives: Slab<Connection>,
    generations: Vec<u32>,
    /// The connections that have a place, of all kinds.
    pub(in crate::core) places: Places,
}

#[derive(Debug)]
enum Entry {
    /// Its place among the native ones.
    Native(u32),
    Classic(Box<Conversation>),
    Http(Box<Reader>),
    Push(Box<Push>),
}

impl Connections {
    /// A new native connection.
    pub(in crate::core) fn insert(
        &mut self,
        addr: SocketAddr,
        dialled: bool,
        limits: &Limits,
        now: Time,
    ) -> ConnId {
        // Bounded as the slots are.
        let place = self.natives.insert(Connection::new(addr, dialled, limits, now));
        let conn = self.insert_entry(Entry::Native(place as u32), addr, now);
        if let Some(connection) = self.natives.get_mut(place) {
            connection.id = Some(conn);
        }
        conn
    }

    /// A new classic one.
    pub(in crate::core) fn insert_classic(&mut self, conversation: Conversation, now: Time) -> ConnId {
        let addr = conversation.addr;
        self.insert_entry(Entry::Classic(Box::new(conversation)), addr, now)
    }

    /// A new one on which a file is pushed in a dialect of the field.
    pub(in crate::core) fn insert_push(&mut self, push: Push, now: Time) -> ConnId {
        let addr = push.addr;
        self.insert_entry(Entry::Push(Box::new(push)), addr, now)
    }

    /// A native connection turned out to be a classic one. It keeps its id.
    pub(in crate::core) fn become_classic(&mut self, conn: ConnId, conversation: Conversation) {
        self.become_other(conn, Entry::Classic(Box::new(conversation)));
    }

    /// A native connection turned out to be a reader's. It keeps its id.
    pub(in crate::core) fn become_http(&mut self, conn: ConnId, reader: Reader) {
        self.become_other(conn, Entry::Http(Box::new(reader)));
    }

    /// The native connection, unless it is gone.
    pub(in crate::core) fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.natives.get(self.place(conn)?)
    }

    /// The native connection, to change it, unless it is gone.
    pub(in crate::core) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.natives.get_mut(self.place(conn)?)
    }

    /// Where among the native connections one is. As long as there are no others, that is where its slot is among all.
    fn place(&self, conn: ConnId) -> Option<usize> {
        let slot = conn.slot as usize;
        if self.natives.get(slot).is_some_and(|connection| connection.id == Some(conn)) {
            return Some(slot);
        }
        match self.entry(conn)? {
            Entry::Native(place) => Some(*place as usize),
            _ => None,
        }
    }

    /// The classic conversation, unless it is gone.
    pub(in crate::core) fn classic(&self, conn: ConnId) -> Option<&Conversation> {
        match self.entry(conn)? {
            Entry::Classic(conversation) => Some(conversation),
            _ => None,
        }
    }

    /// The classic conversation, to change it, unless it is gone.
    pub(in crate::core) fn classic_mut(&mut self, conn: ConnId) -> Option<&mut Conversation> {
        match self.entry_mut(conn)? {
            Entry::Classic(conversation) => Some(conversation),
            _ => None,
        }
    }

    /// The reader by HTTP, unless it is gone.
    pub(in crate::core) fn http(&self, conn: ConnId) -> Option<&Reader> {
        match self.entry(conn)? {
            Entry::Http(reader) => Some(reader),
            _ => None,
        }
    }

    /// The reader by HTTP, to change it, unless it is gone.
    pub(in crate::core) fn http_mut(&mut self, conn: ConnId) -> Option<&mut Reader> {
        match self.entry_mut(conn)? {
            Entry::Http(reader) => Some(reader),
            _ => None,
        }
    }

    /// The push, unless it is gone.
    pub(in crate::core) fn push(&self, conn: ConnId) -> Option<&Push> {
        match self.entry(conn)? {
            Entry::Push(push) => Some(push),
            _ => None,
        }
    }

    /// The push, to change it, unless it is gone.
    pub(in crate::core) fn push_mut(&mut self, conn: ConnId) -> Option<&mut Push> {
        match self.entry_mut(conn)? {
            Entry::Push(push) => Some(push),
            _ => None,
        }
    }

    /// Takes a connection of any kind out.
    pub(in crate::core) fn remove(&mut self, conn: ConnId) {
        if self.entry(conn).is_some() {
            let (_, entry) = self.slots.remove(conn.slot as usize);
            self.places.give_back(conn);
            self.forget(&entry);
        }
    }

    /// All native connections, in the order of their slots.
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.slots.iter().filter_map(|(slot, (generation, entry))| match entry {
            Entry::Native(place) => {
                let connection = self.natives.get(*place as usize)?;
                Some((ConnId { slot: slot as u32, generation: *generation }, connection))
            }
            _ => None,
        })
    }

    /// All classic conversations, in the order of their slots.
    pub(in crate::core) fn iter_classic(&self) -> impl Iterator<Item = (ConnId, &Conversation)> {
        self.slots.iter().filter_map(|(slot, (generation, entry))| match entry {
            Entry::Classic(conversation) => {
                Some((ConnId { slot: slot as u32, generation: *generation }, &**conversation))
            }
            _ => None,
        })
    }

    /// All readers by HTTP, in the order of their slots.
    pub(in crate::core) fn iter_http(&self) -> impl Iterator<Item = (ConnId, &Reader)> {
        self.slots.iter().filter_map(|(slot, (generation, entry))| match entry {
            Entry::Http(reader) => Some((ConnId { slot: slot as u32, generation: *generation }, &**reader)),
            _ => None,
        })
    }

    /// All pushes, in the order of their slots.
    pub(in crate::core) fn iter_pushes(&self) -> impl Iterator<Item = (ConnId, &Push)> {
        self.slots.iter().filter_map(|(slot, (generation, entry))| match entry {
            Entry::Push(push) => Some((ConnId { slot: slot as u32, generation: *generation }, &**push)),
            _ => None,
        })
    }

    /// How many there are, of all kinds.
    pub(in crate::core) fn len(&self) -> usize {
        self.slots.len()
    }

    fn insert_entry(&mut self, new: Entry, addr: SocketAddr, now: Time) -> ConnId {
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
        vacant.insert((generation, new));
        // Bounded by `Limits::connections_max`, which callers check.
        let conn = ConnId { slot: slot as u32, generation };
        self.places.take(conn, addr.ip(), now);
        conn
    }

    /// A connection turned out to be of another kind.
    fn become_other(&mut self, conn: ConnId, other: Entry) {
        if let Some(entry) = self.entry_mut(conn) {
            let former = std::mem::replace(entry, other);
            self.forget(&former);
        }
    }

    /// What was a native connection leaves its place to another.
    fn forget(&mut self, entry: &Entry) {
        if let Entry::Native(place) = *entry {
            self.natives.try_remove(place as usize);
            if self.natives.is_empty() {
                // Of many that came at once the memory must not stay for ever.
                self.natives = Slab::new();
            }
        }
    }

    fn entry(&self, conn: ConnId) -> Option<&Entry> {
        let (generation, entry) = self.slots.get(conn.slot as usize)?;
        (*generation == conn.generation).then_some(entry)
    }

    fn entry_mut(&mut self, conn: ConnId) -> Option<&mut Entry> {
        let (generation, entry) = self.slots.get_mut(conn.slot as usize)?;
        (*generation == conn.generation).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut connections = Connections::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let first = connections.insert(addr, true, &Limits::default(), Time::ZERO);
        connections.remove(first);
        let second = connections.insert(addr, true, &Limits::default(), Time::ZERO);
        assert_eq!(first.slot, second.slot);
        connections.remove(first);
        assert!(connections.get(first).is_none());
        assert!(connections.get(second).is_some());
    }

    #[test]
    fn a_native_connection_is_found_wherever_it_lies() {
        let mut connections = Connections::default();
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut conns = Vec::new();
        for port in 0..20 {
            let conn = connections.insert(addr(port), false, &Limits::default(), Time::ZERO);
            if port % 3 == 0 {
                connections.become_http(conn, Reader::new(addr(port), Time::ZERO, Time::ZERO));
            } else if port % 5 == 0 {
                connections.remove(conn);
            } else {
                conns.push((port, conn));
            }
        }
        for (port, conn) in conns {
            assert_eq!(connections.get(conn).map(|connection| connection.addr), Some(addr(port)));
            assert!(connections.get_mut(ConnId { generation: 9, ..conn }).is_none());
        }
    }

    #[test]
    fn connections_of_different_kinds_are_not_taken_for_each_other() {
        let mut connections = Connections::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let conn = connections.insert(addr, false, &Limits::default(), Time::ZERO);
        connections.become_classic(conn, Conversation::serving(addr, 5001, Time::ZERO));
        assert!(connections.get(conn).is_none() && connections.classic(conn).is_some());
        assert_eq!((connections.iter().count(), connections.iter_classic().count()), (0, 1));
        connections.remove(conn);
        assert!(connections.classic(conn).is_none() && connections.len() == 0);
        let conn = connections.insert(addr, false, &Limits::default(), Time::ZERO);
        connections.become_http(conn, Reader::new(addr, Time::ZERO, Time::ZERO));
        assert!(connections.get(conn).is_none() && connections.classic(conn).is_none());
        assert_eq!((connections.iter().count(), connections.iter_http().count()), (0, 1));
    }
}
