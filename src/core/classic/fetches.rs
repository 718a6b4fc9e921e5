//! Classic files that are fetched: which chunks are wanted, asked for, or had, and who was tried.
//!
//! Owns no connection; an attempt knows the one it is made on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::classic::files::FileKey;
use crate::core::io::{ConnId, SpoolId};
use crate::types::Time;
use crate::wire::classic::{ChunkName, ChunkRule, Dialect};

/// All files that are fetched.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    fetches: BTreeMap<u32, Fetch>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    pub(super) wanted: String,
    pub(super) wait: Duration,
    pub(super) began: Time,
    /// When something last came, or somebody was heard to have something of it.
    pub(super) progress: Time,
    /// Which file it is, once somebody announced it.
    pub(super) file: Option<FileKey>,
    /// How it is cut.
    pub(super) rule: ChunkRule,
    /// It was begun in another cut, which nobody could complete.
    pub(super) cut_changed: bool,
    pub(super) chunks: BTreeMap<u32, Chunk>,
    /// Everything is had, and the store joins it.
    pub(super) merging: bool,
    /// The store said what is kept.
    pub(super) listed: bool,
    /// Whether the store lets a file of its name be made; `None`: it was not asked yet.
    pub(super) target: Option<TargetLook>,
    /// It was said that it begins.
    pub(super) told_begun: bool,
    /// What was last said to be announced by nobody.
    pub(super) told_missing: Vec<u32>,
    /// Who delivered something.
    pub(super) contributors: BTreeSet<IpAddr>,
    /// Kept chunks that were replaced, for their sizes cannot be right.
    pub(super) replaced: BTreeSet<ChunkName>,
}

/// How far the question is whether a file may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetLook {
    /// The store looks.
    Asked,
    /// It may.
    Free,
}

/// One chunk of a file that is fetched.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) state: State,
    /// Who was heard to have it while the file was fetched.
    pub(super) offered_by: BTreeSet<IpAddr>,
    /// So often each holder failed, and when it last did.
    pub(super) failures: BTreeMap<IpAddr, (u32, Time)>,
    /// Directory whose chunk has a size that cannot be right.
    pub(super) distrusted: BTreeSet<IpAddr>,
    /// It was said that nobody delivers it.
    pub(super) told_failed: bool,
    /// What was here of it and cannot be right, so that it is fetched again.
    pub(super) misfit: Option<Had>,
}

/// How far a chunk is.
#[derive(Debug, Default)]
pub(super) enum State {
    /// Nobody is asked for it.
    #[default]
    Wanted,
    /// Somebody is.
    ChunkRequest(Attempt),
    /// It came, and the store keeps it.
    Storing(Arrival),
    /// It is kept.
    Had(Had),
}

/// The asking of one holder, over as many connections as that takes.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) ip: IpAddr,
    pub(super) name: ChunkName,
    /// Its size in bytes, where announced.
    pub(super) size: Option<u64>,
    pub(super) routes: Vec<Route>,
    /// Which of them is gone now.
    pub(super) route: usize,
    /// On one of them somebody answered that does not have the chunk.
    pub(super) answered_missing: bool,
    /// So often all of them were refused.
    pub(super) retries: u32,
    pub(super) conn: Option<ConnId>,
    /// While there is no connection: when the next one is dialled.
    pub(super) again: Time,
    pub(super) began: Time,
}

/// A way to ask a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) dialect: Dialect,
    pub(super) port: u16,
    /// Who announces like this may answer as B-json does.
    pub(super) may_be_json: bool,
}

/// A chunk that came.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    pub(super) dialect: Dialect,
    pub(super) spool: SpoolId,
    pub(super) began: Time,
}

/// A chunk that is kept.
#[derive(Debug, Clone)]
pub(super) struct Had {
    pub(super) name: ChunkName,
    pub(super) bytes: u64,
    /// From whom, unless it was here before.
    pub(super) from: Option<SocketAddr>,
}

impl Fetch {
    /// Wanted from `now` on; `wait`: for somebody who announces what is missing.
    pub(super) fn new(wanted: String, wait: Duration, now: Time) -> Fetch {
        Fetch { wanted, wait, began: now, progress: now, ..Fetch::default() }
    }

    /// Whether there is anything to be decided about it now.
    pub(super) fn is_open(&self) -> bool {
        self.listed && !self.merging
    }

    /// The name of the file with its extension, where somebody told it or it was asked for with one.
    pub(super) fn file_known(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let merged = file.merged_name(&self.wanted);
        (merged == self.wanted || merged == file.file_name()).then_some(merged)
    }

    /// How many chunks are asked for.
    pub(super) fn asking(&self) -> usize {
        self.chunks.values().filter(|chunk| matches!(chunk.state, State::ChunkRequest(_))).count()
    }

    /// Whether something is asked for or stored.
    pub(super) fn is_moving(&self) -> bool {
        self.chunks.values().any(|chunk| matches!(chunk.state, State::ChunkRequest(_) | State::Storing(_)))
    }

    /// The chunks that are had.
    pub(super) fn had(&self) -> impl Iterator<Item = (u32, &Had)> {
        self.chunks.iter().filter_map(|(index, chunk)| match &chunk.state {
            State::Had(had) => Some((*index, had)),
            _ => None,
        })
    }

    /// Their sizes.
    pub(super) fn sizes(&self) -> BTreeMap<u32, u64> {
        self.had().map(|(index, had)| (index, had.bytes)).collect()
    }

    /// Chunks whose size cannot be right if that of most others is: those that differ, or a last one that is longer.
    pub(super) fn misfits(&self) -> Vec<u32> {
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

impl Chunk {
    /// Whether a holder has not failed too often, nor delivered what cannot be right.
    pub(super) fn may_ask(&self, ip: IpAddr, rounds_max: u32) -> bool {
        let failed = self.failures.get(&ip).is_some_and(|(count, _)| *count >= rounds_max);
        !failed && !self.distrusted.contains(&ip)
    }
}

impl Fetches {
    /// One that begins; another one of this ticket gives way.
    pub(super) fn insert(&mut self, ticket: u32, fetch: Fetch) {
        self.fetches.insert(ticket, fetch);
    }

    /// One of them.
    pub(super) fn get(&self, ticket: u32) -> Option<&Fetch> {
        self.fetches.get(&ticket)
    }

    /// One of them, to change it.
    pub(super) fn get_mut(&mut self, ticket: u32) -> Option<&mut Fetch> {
        self.fetches.get_mut(&ticket)
    }

    /// One of the chunks of one of them.
    pub(super) fn chunk_mut(&mut self, ticket: u32, index: u32) -> Option<&mut Chunk> {
        self.fetches.get_mut(&ticket)?.chunks.get_mut(&index)
    }

    /// The attempt to get a chunk.
    pub(super) fn attempt_mut(&mut self, ticket: u32, index: u32) -> Option<&mut Attempt> {
        match &mut self.chunk_mut(ticket, index)?.state {
            State::ChunkRequest(attempt) => Some(attempt),
            _ => None,
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, ticket: u32) -> Option<Fetch> {
        self.fetches.remove(&ticket)
    }

    /// The tickets of all.
    pub(super) fn tickets(&self) -> Vec<u32> {
        self.fetches.keys().copied().collect()
    }

    /// Whether nothing is fetched.
    pub(super) fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    /// The fetch and the chunk that a spool is stored for.
    pub(super) fn storing(&self, spool: SpoolId) -> Option<(u32, u32)> {
        self.fetches.iter().find_map(|(ticket, fetch)| {
            let mut chunks = fetch.chunks.iter();
            let is_it =
                |chunk: &Chunk| matches!(&chunk.state, State::Storing(arrival) if arrival.spool == spool);
            chunks.find(|(_, chunk)| is_it(chunk)).map(|(index, _)| (*ticket, *index))
        })
    }

    /// Whether a chunk that is kept under this name is of use to one of them.
    pub(super) fn are_with(&self, name: &ChunkName) -> bool {
        self.fetches.values().any(|fetch| fetch.had().any(|(_, had)| had.name == *name))
    }

    /// The attempts under way: of which fetch, for which chunk.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (u32, u32, &Attempt)> {
        self.fetches.iter().flat_map(|(ticket, fetch)| {
            fetch.chunks.iter().filter_map(move |(index, chunk)| match &chunk.state {
                State::ChunkRequest(attempt) => Some((*ticket, *index, attempt)),
                _ => None,
            })
        })
    }

    /// The spools that become chunks.
    pub(super) fn spools(&self) -> impl Iterator<Item = SpoolId> {
        let chunks = self.fetches.values().flat_map(|fetch| fetch.chunks.values());
        chunks.filter_map(|chunk| match &chunk.state {
            State::Storing(arrival) => Some(arrival.spool),
            _ => None,
        })
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
