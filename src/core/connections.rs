//! The slab of connections. Owns their ids, which are never used twice.

use std::net::SocketAddr;

use slab::Slab;

use crate::core::connection::Connection;
use crate::core::door::ConnId;
use crate::core::time::Time;

/// All connections, behind ids that are never used twice.
#[derive(Debug, Default)]
pub(in crate::core) struct Connections {
    slots: Slab<(u32, Connection)>,
    generations: Vec<u32>,
}

impl Connections {
    /// A new connection.
    pub(in crate::core) fn insert(&mut self, addr: SocketAddr, dialled: bool, now: Time) -> ConnId {
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 0);
        }
        let generation = self.generations[slot];
        self.generations[slot] = generation.wrapping_add(1);
        entry.insert((generation, Connection::new(addr, dialled, now)));
        // Bounded by `Limits::connections_max`, which callers check.
        ConnId { slot: slot as u32, generation }
    }

    /// The connection, unless it is gone.
    pub(in crate::core) fn get(&self, conn: ConnId) -> Option<&Connection> {
        let (generation, connection) = self.slots.get(conn.slot as usize)?;
        (*generation == conn.generation).then_some(connection)
    }

    /// The connection, to change it, unless it is gone.
    pub(in crate::core) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let (generation, connection) = self.slots.get_mut(conn.slot as usize)?;
        (*generation == conn.generation).then_some(connection)
    }

    /// Takes a connection out.
    pub(in crate::core) fn remove(&mut self, conn: ConnId) -> Option<Connection> {
        self.get(conn)?;
        self.slots.try_remove(conn.slot as usize).map(|(_, connection)| connection)
    }

    /// All connections, in the order of their slots.
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.slots.iter().map(|(slot, (generation, connection))| {
            (ConnId { slot: slot as u32, generation: *generation }, connection)
        })
    }

    /// How many there are.
    pub(in crate::core) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut connections = Connections::default();
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let first = connections.insert(addr, true, Time::ZERO);
        assert!(connections.remove(first).is_some());
        let second = connections.insert(addr, true, Time::ZERO);
        assert_eq!(first.slot, second.slot);
        assert!(connections.get(first).is_none() && connections.remove(first).is_none());
        assert!(connections.get(second).is_some());
    }
}
