//! Classic files that are fetched: which chunks are wanted, asked for, or had, and who was tried.
//!
//! Owns no connection; an attempt knows the one it is made on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::classic::files::FileKey;
use crate::core::door::{ConnId, SpoolId};
use crate::types::time::Time;
use crate::wire::classic::{ChunkName, ChunkRule, Dialect};

/// All files that are fetched.
#[derive(Debug, Default)]
pub(in crate::core) struct Fetches {
    fetches: BTreeMap<u32, Fetch>,
    /// Connections on which something is asked.
    asks: BTreeSet<ConnId>,
}

/// One of them.
#[derive(Debug)]
pub(in crate::core) struct Fetch {
    pub(in crate::core) wanted: String,
    pub(in crate::core) wait: Duration,
    pub(in crate::core) began: Time,
    /// When something last came, or somebody was heard to have something of it.
    pub(in crate::core) progress: Time,
    /// Which file it is, once somebody announced it.
    pub(in crate::core) file: Option<FileKey>,
    /// How it is cut.
    pub(in crate::core) rule: ChunkRule,
    /// It was begun in another cut, which nobody could complete.
    pub(in crate::core) cut_changed: bool,
    pub(in crate::core) chunks: BTreeMap<u32, Chunk>,
    /// Everything is had, and the store joins it.
    pub(in crate::core) merging: bool,
    /// The store said what is kept.
    pub(in crate::core) listed: bool,
    /// Whether the store lets a file of its name be made; `None`: it was not asked yet.
    pub(in crate::core) target: Option<TargetLook>,
    /// It was said that it begins.
    pub(in crate::core) told_begun: bool,
    /// What was last said to be announced by nobody.
    pub(in crate::core) told_missing: Vec<u32>,
    /// Who delivered something.
    pub(in crate::core) contributors: BTreeSet<IpAddr>,
    /// Kept chunks that were replaced, for their sizes cannot be right.
    pub(in crate::core) replaced: BTreeSet<ChunkName>,
}

/// How far the question is whether a file may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum TargetLook {
    /// The store looks.
    Asked,
    /// It may.
    Free,
}

/// One chunk of a file that is fetched.
#[derive(Debug, Default)]
pub(in crate::core) struct Chunk {
    pub(in crate::core) state: State,
    /// Who was heard to have it while the file was fetched.
    pub(in crate::core) offered_by: BTreeSet<IpAddr>,
    /// So often each holder failed, and when it last did.
    pub(in crate::core) failures: BTreeMap<IpAddr, (u32, Time)>,
    /// Holders whose chunk has a size that cannot be right.
    pub(in crate::core) distrusted: BTreeSet<IpAddr>,
    /// It was said that nobody delivers it.
    pub(in crate::core) told_failed: bool,
    /// What was here of it and cannot be right, so that it is fetched again.
    pub(in crate::core) misfit: Option<Had>,
}

/// How far a chunk is.
#[derive(Debug, Default)]
pub(in crate::core) enum State {
    /// Nobody is asked for it.
    #[default]
    Wanted,
    /// Somebody is.
    Asking(Attempt),
    /// It came, and the store keeps it.
    Storing(Arrival),
    /// It is kept.
    Had(Had),
}

/// The asking of one holder, over as many connections as that takes.
#[derive(Debug, Clone)]
pub(in crate::core) struct Attempt {
    pub(in crate::core) ip: IpAddr,
    pub(in crate::core) name: ChunkName,
    /// Its size in bytes, where announced.
    pub(in crate::core) size: Option<u64>,
    pub(in crate::core) routes: Vec<Route>,
    /// Which of them is gone now.
    pub(in crate::core) route: usize,
    /// So often all of them were refused.
    pub(in crate::core) retries: u32,
    pub(in crate::core) conn: Option<ConnId>,
    /// While there is no connection: when the next one is dialled.
    pub(in crate::core) again: Time,
    pub(in crate::core) began: Time,
}

/// A way to ask a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) struct Route {
    pub(in crate::core) dialect: Dialect,
    pub(in crate::core) port: u16,
    /// Who announces like this may answer as B-json does.
    pub(in crate::core) may_be_json: bool,
}

/// A chunk that came.
#[derive(Debug, Clone)]
pub(in crate::core) struct Arrival {
    pub(in crate::core) from: SocketAddr,
    pub(in crate::core) dialect: Dialect,
    pub(in crate::core) spool: SpoolId,
    pub(in crate::core) began: Time,
}

/// A chunk that is kept.
#[derive(Debug, Clone)]
pub(in crate::core) struct Had {
    pub(in crate::core) name: ChunkName,
    pub(in crate::core) bytes: u64,
    /// From whom, unless it was here before.
    pub(in crate::core) from: Option<SocketAddr>,
}

impl Fetch {
    /// Wanted from `now` on; `wait`: for somebody who announces what is missing.
    pub(in crate::core) fn new(wanted: String, wait: Duration, now: Time) -> Fetch {
        Fetch {
            wanted,
            wait,
            began: now,
            progress: now,
            file: None,
            rule: ChunkRule::Fifths,
            cut_changed: false,
            chunks: BTreeMap::new(),
            merging: false,
            listed: false,
            target: None,
            told_begun: false,
            told_missing: Vec::new(),
            contributors: BTreeSet::new(),
            replaced: BTreeSet::new(),
        }
    }

    /// Whether there is anything to be decided about it now.
    pub(in crate::core) fn is_open(&self) -> bool {
        self.listed && !self.merging
    }

    /// How many chunks are asked for.
    pub(in crate::core) fn asking(&self) -> usize {
        self.chunks.values().filter(|chunk| matches!(chunk.state, State::Asking(_))).count()
    }

    /// Whether something is asked for or stored.
    pub(in crate::core) fn is_moving(&self) -> bool {
        self.chunks.values().any(|chunk| matches!(chunk.state, State::Asking(_) | State::Storing(_)))
    }

    /// The chunks that are had.
    pub(in crate::core) fn had(&self) -> impl Iterator<Item = (u32, &Had)> {
        self.chunks.iter().filter_map(|(index, chunk)| match &chunk.state {
            State::Had(had) => Some((*index, had)),
            _ => None,
        })
    }

    /// Their sizes.
    pub(in crate::core) fn sizes(&self) -> BTreeMap<u32, u64> {
        self.had().map(|(index, had)| (index, had.bytes)).collect()
    }

    /// The attempt to get a chunk.
    pub(in crate::core) fn attempt_mut(&mut self, index: u32) -> Option<&mut Attempt> {
        match &mut self.chunks.get_mut(&index)?.state {
            State::Asking(attempt) => Some(attempt),
            _ => None,
        }
    }

    /// Chunks whose size cannot be right if that of most others is: those that differ, or a last one that is longer.
    pub(in crate::core) fn misfits(&self) -> Vec<u32> {
        let sizes = self.sizes();
        if self.rule.agree(&sizes).is_ok() {
            return Vec::new();
        }
        let Some((&last, _)) = sizes.last_key_value() else { return Vec::new() };
        let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
        for (_, bytes) in sizes.iter().filter(|(index, _)| **index != last) {
            let count = votes.entry(*bytes).or_default();
            *count = count.saturating_add(1);
        }
        let most = match self.rule {
            ChunkRule::Fixed => crate::wire::classic::split::FIXED_CHUNK_BYTES,
            // Of two sizes that as many have, the longer: chunks are cut short more often than they grow.
            ChunkRule::Fifths => {
                votes.iter().max_by_key(|(bytes, count)| (**count, **bytes)).map_or(0, |(bytes, _)| *bytes)
            }
        };
        let fits = |index: u32, bytes: u64| {
            if index == last { self.rule.ends_with(index, bytes, most) } else { bytes == most }
        };
        sizes.into_iter().filter(|(index, bytes)| !fits(*index, *bytes)).map(|(index, _)| index).collect()
    }
}

impl Fetches {
    /// One that begins; another one of this ticket gives way.
    pub(in crate::core) fn insert(&mut self, ticket: u32, fetch: Fetch) {
        self.fetches.insert(ticket, fetch);
    }

    /// One of them.
    pub(in crate::core) fn get(&self, ticket: u32) -> Option<&Fetch> {
        self.fetches.get(&ticket)
    }

    /// One of them, to change it.
    pub(in crate::core) fn get_mut(&mut self, ticket: u32) -> Option<&mut Fetch> {
        self.fetches.get_mut(&ticket)
    }

    /// Takes one out.
    pub(in crate::core) fn remove(&mut self, ticket: u32) -> Option<Fetch> {
        self.fetches.remove(&ticket)
    }

    /// The tickets of all.
    pub(in crate::core) fn tickets(&self) -> Vec<u32> {
        self.fetches.keys().copied().collect()
    }

    /// Whether nothing is fetched.
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    /// The fetch and the chunk that a spool is stored for.
    pub(in crate::core) fn storing(&self, spool: SpoolId) -> Option<(u32, u32)> {
        self.fetches.iter().find_map(|(ticket, fetch)| {
            let mut chunks = fetch.chunks.iter();
            let is_it =
                |chunk: &Chunk| matches!(&chunk.state, State::Storing(arrival) if arrival.spool == spool);
            chunks.find(|(_, chunk)| is_it(chunk)).map(|(index, _)| (*ticket, *index))
        })
    }

    /// Whether a chunk that is kept under this name is of use to one of them.
    pub(in crate::core) fn are_with(&self, name: &ChunkName) -> bool {
        self.fetches.values().any(|fetch| fetch.had().any(|(_, had)| had.name == *name))
    }

    /// Something is asked on a connection.
    pub(in crate::core) fn asked(&mut self, conn: ConnId) {
        self.asks.insert(conn);
    }

    /// Nothing is asked on it any more.
    pub(in crate::core) fn unasked(&mut self, conn: ConnId) {
        self.asks.remove(&conn);
    }

    /// The attempts under way: of which fetch, for which chunk.
    pub(in crate::core) fn attempts(&self) -> impl Iterator<Item = (u32, u32, &Attempt)> {
        self.fetches.iter().flat_map(|(ticket, fetch)| {
            fetch.chunks.iter().filter_map(move |(index, chunk)| match &chunk.state {
                State::Asking(attempt) => Some((*ticket, *index, attempt)),
                _ => None,
            })
        })
    }

    /// The spools that become chunks.
    pub(in crate::core) fn spools(&self) -> impl Iterator<Item = SpoolId> {
        let chunks = self.fetches.values().flat_map(|fetch| fetch.chunks.values());
        chunks.filter_map(|chunk| match &chunk.state {
            State::Storing(arrival) => Some(arrival.spool),
            _ => None,
        })
    }

    /// Panics when what is asked does not agree with the index.
    pub(in crate::core) fn check(&self) {
        let conns: BTreeSet<ConnId> = self.attempts().filter_map(|(_, _, attempt)| attempt.conn).collect();
        assert_eq!(conns, self.asks, "connections on which something is asked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(sizes: &[u64]) -> Fetch {
        let mut fetch = Fetch::new("forest".into(), Duration::ZERO, Time::ZERO);
        for (index, bytes) in (1..).zip(sizes) {
            let name = ChunkName::parse(&format!("forest_{index}")).unwrap();
            let chunk = fetch.chunks.entry(index).or_default();
            chunk.state = State::Had(Had { name, bytes: *bytes, from: None });
        }
        fetch
    }

    #[test]
    fn what_differs_from_most_is_a_misfit() {
        for (sizes, misfits) in [
            (&[12, 12, 12, 12, 9][..], &[][..]),
            (&[12, 12, 11, 12, 9], &[3]),
            (&[11, 12, 12, 12, 9], &[1]),
            (&[12, 12, 12, 12, 13], &[5]),
            (&[12, 12, 12, 12, 6], &[5]),
            (&[12, 12, 11, 11, 9], &[3, 4]),
        ] {
            assert_eq!(with(sizes).misfits(), misfits, "{sizes:?}");
        }
    }
}
