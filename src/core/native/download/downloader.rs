//! What is missing, in flight, timed out, to blame: the state of downloads.
//!
//! Owns each download's phase, requests and sources' counts, and the pool of chunk buffers. Knows no connection
//! but by its id; what is had stands in the catalogue.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use crate::core::door::{BufferId, ConnId, PeerRef};
use crate::core::limits::Limits;
use crate::core::native::download::flights::{Flight, Flights};
use crate::core::native::download::overlay::Overlay;
use crate::types::geometry::Geometry;
use crate::types::id::{ContentId, PeerId};
use crate::types::manifest::ManifestPages;
use crate::types::name::Layout;
use crate::types::time::Time;

/// So many complete downloads may wait for the store to publish them before no other is begun: each keeps a file open,
/// and the more there are, the fewer syncs they take.
const PUBLISHING_MAX: usize = 128;

/// So many peers are remembered that offered a content wholly.
const OWNERS_MAX: usize = 4;

/// A peer that offered a content wholly when it was to be fetched, or since.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) peer: PeerId,
    pub(crate) addr: SocketAddr,
    /// The state of its catalogue in which it last said so.
    pub(crate) generation: u64,
    /// What it offered up to here was looked at for another content of the same name.
    pub(crate) seen: u64,
}

/// How far a download has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Waits for its turn among many.
    Queued,
    /// The store looks for what is there already.
    Opening,
    /// The manifest is wanted; it comes in pages from one peer at a time.
    Manifest(Option<(ConnId, Box<ManifestPages>)>),
    /// There is one chunk, which proves itself and so the size that its holder tells: it is asked of this peer, or is whole
    /// and with the store.
    Proving(ConnId),
    /// The store makes the part.
    Creating,
    /// Chunks are asked for.
    Running,
    /// The store publishes the file.
    Publishing,
    /// The store lets go of the part.
    ClosingPart,
}

/// A chunk that is whole and on its way through verification to the disk.
#[derive(Debug, Clone)]
pub(crate) struct Storing {
    pub(crate) conn: ConnId,
    pub(crate) from: PeerRef,
    pub(crate) from_complete: bool,
    pub(crate) asked: Time,
}

/// A file that somebody wants: one content under one name.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: Arc<str>,
    pub(crate) layout: Layout,
    pub(crate) size_claimed: u64,
    pub(crate) stall: Duration,
    pub(crate) began: Time,
    /// The ticket of the search that it came of.
    pub(crate) ticket: Option<u32>,
    /// So often what was asked for was replaced, and begun anew, before this one.
    pub(crate) renewed: u32,
}

/// One download.
#[derive(Debug)]
pub(crate) struct Download {
    /// Counts up with each download that is begun.
    pub(crate) number: u64,
    pub(crate) name: Arc<str>,
    pub(crate) layout: Layout,
    pub(crate) size_claimed: u64,
    pub(crate) began: Time,
    pub(crate) stall: Duration,
    /// The ticket of the search that it came of.
    pub(crate) ticket: Option<u32>,
    /// So often what was asked for was replaced, and begun anew, before this one.
    pub(crate) renewed: u32,
    /// Some peers that offered it wholly: what they offer under its name later has replaced it.
    pub(crate) owners: Vec<Owner>,
    /// The content that replaced it, once that was told.
    pub(crate) replaced_by: Option<Box<ContentId>>,
    /// Since when its file is not there any more at the holder that told so last, while nothing of it is here.
    pub(crate) removed: Option<Box<(Time, PeerRef)>>,
    pub(crate) phase: Phase,
    /// It was complete, and gave its place to another while the store publishes it.
    pub(crate) gave_way: bool,
    /// When a page of the manifest was last asked for.
    pub(crate) page_asked: Time,
    /// The most values of the manifest that came from one peer. Less than that again is no progress.
    pub(crate) values_best: u32,
    /// What begins when this one is over, one after the other: the content under its other names, or, when this one has
    /// failed, once more.
    pub(crate) followers: VecDeque<Wish>,
    /// Known from the manifest on.
    pub(crate) geometry: Option<Geometry>,
    /// What is asked for, by chunk.
    pub(crate) flights: Flights,
    /// Chunks on their way to the disk.
    pub(crate) storing: BTreeMap<u32, Storing>,
    /// Peers that chunks came from.
    pub(crate) contributors: BTreeSet<SocketAddr>,
    /// Peers that were banned over it.
    pub(crate) banned: Vec<PeerRef>,
    /// When it last got on, or could have.
    pub(crate) supplied: Time,
    /// `Event::Waiting` was said and not taken back.
    pub(crate) waiting: bool,
    /// When to ask the LAN for holders again, and how long to wait after that.
    pub(crate) next_query: Time,
    pub(crate) query_gap: Duration,
    /// What a whole chunk takes, from its first byte to its last.
    pub(crate) pace: Option<Duration>,
    /// So often its sources were found too few: each time it connects to twice as many of many holders.
    pub(crate) widened: u32,
    /// Its overlay neighbours where many have or want it.
    pub(crate) overlay: Overlay,
}

/// How long after the first look a download asks the LAN again; doubles up to the longest.
const QUERY_GAP_MIN: Duration = Duration::from_secs(2);
const QUERY_GAP_MAX: Duration = Duration::from_secs(60);

impl Download {
    /// A download that waits for its turn.
    pub(crate) fn new(wish: Wish) -> Download {
        let Wish { name, layout, size_claimed, stall, began: now, ticket, renewed } = wish;
        Download {
            number: 0,
            name,
            layout,
            size_claimed,
            began: now,
            stall,
            ticket,
            renewed,
            owners: Vec::new(),
            replaced_by: None,
            removed: None,
            phase: Phase::Queued,
            gave_way: false,
            page_asked: now,
            values_best: 0,
            followers: VecDeque::new(),
            geometry: None,
            flights: Flights::default(),
            storing: BTreeMap::new(),
            contributors: BTreeSet::new(),
            banned: Vec::new(),
            supplied: now,
            waiting: false,
            next_query: now + QUERY_GAP_MIN,
            query_gap: QUERY_GAP_MIN,
            pace: None,
            widened: 0,
            overlay: Overlay::default(),
        }
    }

    /// Whether its content is to be written under this name, by it or by another that follows.
    fn is_under(&self, name: &str, layout: Layout) -> bool {
        let same = |other: &str, other_layout: Layout| (other, other_layout) == (name, layout);
        let failed = matches!(self.phase, Phase::ClosingPart);
        (!failed && same(&self.name, self.layout))
            || self.followers.iter().any(|other| same(&other.name, other.layout))
    }

    /// Has a wish follow this download, unless it is that of this one or of another that follows.
    fn follow(&mut self, wish: Wish) {
        if !self.is_under(&wish.name, wish.layout) {
            self.followers.push_back(wish);
        }
    }

    /// A peer offers its content wholly, in a state of its catalogue. The first few are remembered.
    pub(crate) fn note_owner(&mut self, peer: PeerId, addr: SocketAddr, generation: u64) {
        if let Some(owner) = self.owners.iter_mut().find(|owner| owner.peer == peer) {
            (owner.addr, owner.generation) = (addr, generation);
        } else if self.owners.len() < OWNERS_MAX {
            self.owners.reserve_exact(1);
            self.owners.push(Owner { peer, addr, generation, seen: 0 });
        }
    }

    /// Whether it wants something of other peers.
    pub(crate) fn wants_peers(&self) -> bool {
        matches!(
            self.phase,
            Phase::Opening | Phase::Manifest(_) | Phase::Proving(_) | Phase::Creating | Phase::Running
        )
    }

    /// A chunk came whole after this time.
    pub(crate) fn note_pace(&mut self, took: Duration) {
        self.pace = Some(smoothed(self.pace, took));
    }

    /// Whether it asks for chunks.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether it takes a place among the active ones.
    pub(crate) fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Queued) && !self.gave_way
    }

    /// Whether `chunk` is asked for or on its way to the disk.
    pub(crate) fn is_under_way(&self, chunk: u32) -> bool {
        self.flights.contains_key(&chunk) || self.storing.contains_key(&chunk)
    }

    /// How many chunks are asked for and not late: what counts against the window.
    pub(crate) fn window_used(&self) -> usize {
        self.flights.timely()
    }

    /// The chunks asked of `conn`.
    pub(crate) fn flights_at(&self, conn: ConnId) -> Vec<u32> {
        let at = |flights: &Vec<Flight>| flights.iter().any(|flight| flight.conn == conn);
        self.flights.iter().filter(|(_, flights)| at(flights)).map(|(chunk, _)| *chunk).collect()
    }

    /// Marks the requests that took too long by `now`. Returns those that were not late before.
    pub(crate) fn mark_late(
        &mut self,
        now: Time,
        limits: &Limits,
        quiet_since: impl Fn(ConnId) -> Option<Time>,
    ) -> Vec<(u32, ConnId)> {
        let Some(geometry) = self.geometry else { return Vec::new() };
        let mut late = Vec::new();
        for (chunk, flights) in self.flights.iter() {
            let bytes = geometry.chunk_span(*chunk).map_or(0, |(_, len)| u64::from(len));
            for flight in flights.iter().filter(|flight| !flight.late) {
                let floor_ms = bytes.saturating_mul(1000).checked_div(limits.chunk_floor_bytes_per_s);
                let floor = floor_ms.map_or(Duration::MAX, Duration::from_millis);
                let is_late = match flight.begun {
                    Some(begun) => now.since(begun) > limits.chunk_grace.saturating_add(floor),
                    // Not begun: the queue before it may be long, so only silence of the whole connection counts.
                    None => {
                        let heard = quiet_since(flight.conn).unwrap_or(Time::ZERO).max(flight.asked);
                        now.since(heard) > limits.chunk_grace
                            || now.since(flight.asked) > limits.request_wait_max
                    }
                };
                if is_late {
                    late.push((*chunk, flight.conn));
                }
            }
        }
        late.iter().for_each(|(chunk, conn)| self.flights.mark_late(*chunk, *conn));
        late
    }

    /// If the manifest was coming from `conn`, it no longer is.
    pub(crate) fn forget_manifest_source(&mut self, conn: ConnId) {
        if matches!(&self.phase, Phase::Manifest(Some((from, _))) if *from == conn) {
            self.phase = Phase::Manifest(None);
        }
    }

    /// The LAN was asked for holders: the next time is later.
    pub(crate) fn queried(&mut self, now: Time) {
        self.next_query = now + self.query_gap;
        self.query_gap = self.query_gap.saturating_mul(2).min(QUERY_GAP_MAX);
    }

    /// It got on: what was asked of the LAN for want of holders may be asked again soon.
    pub(crate) fn got_on(&mut self, now: Time) {
        self.supplied = now;
        self.query_gap = QUERY_GAP_MIN;
    }
}

/// What something takes usually, of which the latest instance took `took`.
pub(crate) fn smoothed(usual: Option<Duration>, took: Duration) -> Duration {
    let Some(usual) = usual else { return took };
    usual.saturating_mul(7).saturating_add(took).checked_div(8).unwrap_or_default()
}

/// All downloads, and what they share.
#[derive(Debug)]
pub(crate) struct Downloader {
    downloads: BTreeMap<ContentId, Download>,
    begun: u64,
    queue: VecDeque<ContentId>,
    /// The sizes that contents were offered with which were accepted, in bytes.
    sizes_offered: BTreeMap<ContentId, Vec<u64>>,
    /// Downloads that could ask for more but for want of buffers or of room at a source.
    pub(crate) blocked: BTreeSet<ContentId>,
    active: usize,
    active_max: usize,
    /// Downloads that gave way.
    giving_way: usize,
    pool_bytes_left: u64,
    buffers: Slab<u32>,
}

impl Downloader {
    /// No downloads; `active_max` at once, `pool_bytes` for their chunks.
    pub(crate) fn new(active_max: usize, pool_bytes: u64) -> Downloader {
        Downloader {
            downloads: BTreeMap::new(),
            begun: 0,
            queue: VecDeque::new(),
            sizes_offered: BTreeMap::new(),
            blocked: BTreeSet::new(),
            active: 0,
            active_max: active_max.max(1),
            giving_way: 0,
            pool_bytes_left: pool_bytes,
            buffers: Slab::new(),
        }
    }

    /// A content was offered to this peer with this size, in bytes, and that was accepted.
    pub(crate) fn note_offered(&mut self, content: ContentId, size: u64) {
        self.sizes_offered.entry(content).or_default().push(size);
    }

    /// Those who offered a content hear how its download ended.
    pub(crate) fn forget_offered(&mut self, content: &ContentId) {
        self.sizes_offered.remove(content);
    }

    /// Another size than this one with which a content was offered and accepted.
    pub(crate) fn other_size_offered(&self, content: &ContentId, size: u64) -> Option<u64> {
        self.sizes_offered.get(content)?.iter().copied().find(|offered| *offered != size)
    }

    /// A download.
    pub(crate) fn get(&self, content: &ContentId) -> Option<&Download> {
        self.downloads.get(content)
    }

    /// A download, to change it.
    pub(crate) fn get_mut(&mut self, content: &ContentId) -> Option<&mut Download> {
        self.downloads.get_mut(content)
    }

    /// Downloads that are not over, in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ContentId, &Download)> {
        self.downloads.iter().map(|(content, download)| (*content, download))
    }

    /// The contents of downloads that want something of other peers.
    pub(crate) fn wanting(&self) -> Vec<ContentId> {
        self.iter().filter(|(_, download)| download.wants_peers()).map(|(content, _)| content).collect()
    }

    /// Queues a download. False when there is one of that content that is not over; if that has failed and only its part
    /// is being closed, this one follows it.
    pub(crate) fn add(&mut self, content: ContentId, wish: Wish) -> bool {
        if let Some(present) = self.downloads.get_mut(&content) {
            if matches!(present.phase, Phase::ClosingPart) {
                present.follow(wish);
            }
            return false;
        }
        self.begun = self.begun.saturating_add(1);
        self.downloads.insert(content, Download { number: self.begun, ..Download::new(wish) });
        self.queue.push_back(content);
        true
    }

    /// Queues a download, or has it follow the one of that content that is not over. True when it was queued.
    pub(crate) fn add_or_follow(&mut self, content: ContentId, wish: Wish) -> bool {
        match self.downloads.get_mut(&content) {
            Some(present) => {
                present.follow(wish);
                false
            }
            None => self.add(content, wish),
        }
    }

    /// Whether a content is being fetched, or will be, to be written under this name.
    pub(crate) fn is_under(&self, content: &ContentId, name: &str, layout: Layout) -> bool {
        self.downloads.get(content).is_some_and(|download| download.is_under(name, layout))
    }

    /// How many names of a content wait for the download of it to be over.
    pub(crate) fn follower_count(&self, content: &ContentId) -> usize {
        self.downloads.get(content).map_or(0, |download| download.followers.len())
    }

    /// A download that runs has every chunk. It needs no other peer any more, so its place among the active ones is
    /// another's. False when it does not run.
    pub(crate) fn publish(&mut self, content: &ContentId) -> bool {
        let Some(download) = self.downloads.get_mut(content).filter(|download| download.is_running()) else {
            return false;
        };
        download.phase = Phase::Publishing;
        self.give_way(content);
        true
    }

    /// A download needs no other peer any more: its place among the active ones is another's.
    pub(crate) fn give_way(&mut self, content: &ContentId) {
        if let Some(download) = self.downloads.get_mut(content).filter(|download| download.is_active()) {
            download.gave_way = true;
            self.active = self.active.saturating_sub(1);
            self.giving_way = self.giving_way.saturating_add(1);
        }
    }

    /// A download that gave way needs other peers after all.
    pub(crate) fn take_back_place(&mut self, content: &ContentId) {
        if let Some(download) = self.downloads.get_mut(content).filter(|download| download.gave_way) {
            download.gave_way = false;
            self.active = self.active.saturating_add(1);
            self.giving_way = self.giving_way.saturating_sub(1);
        }
    }

    /// The one chunk of a download is asked of nobody, or was not right: what was told of its size counts no more.
    pub(crate) fn forget_proof(&mut self, content: &ContentId) {
        let Some(download) = self.downloads.get_mut(content) else { return };
        let is_open = download.flights.is_empty() && download.storing.is_empty();
        if matches!(download.phase, Phase::Proving(_)) && is_open {
            download.phase = Phase::Manifest(None);
            download.geometry = None;
        }
    }

    /// The next download whose turn it is, now `Opening`; `None` when enough are active or are being published.
    pub(crate) fn activate(&mut self, now: Time) -> Option<ContentId> {
        if self.active >= self.active_max || self.giving_way >= PUBLISHING_MAX {
            return None;
        }
        loop {
            let content = self.queue.pop_front()?;
            let Some(download) = self.downloads.get_mut(&content) else { continue };
            // It may have been cancelled while it waited.
            if matches!(download.phase, Phase::Queued) {
                download.phase = Phase::Opening;
                download.supplied = now;
                self.active = self.active.saturating_add(1);
                return Some(content);
            }
        }
    }

    /// A download is over; its place is free, and who follows it is queued.
    pub(crate) fn finish(&mut self, content: &ContentId) {
        self.blocked.remove(content);
        let Some(download) = self.downloads.remove(content) else { return };
        match download.gave_way {
            true => self.giving_way = self.giving_way.saturating_sub(1),
            false => self.active = self.active.saturating_sub(usize::from(download.is_active())),
        }
        let mut followers = download.followers;
        if let Some(next) = followers.pop_front() {
            self.add(*content, next);
            if let Some(next) = self.downloads.get_mut(content) {
                next.followers = followers;
                next.owners = download.owners;
            }
        }
    }

    /// Whether every download is over.
    pub(crate) fn all_done(&self) -> bool {
        self.downloads.is_empty()
    }

    /// Sets memory aside for a chunk that is about to be asked for. False when there is not enough.
    pub(crate) fn reserve(&mut self, bytes: u32) -> bool {
        match self.pool_bytes_left.checked_sub(u64::from(bytes)) {
            Some(left) => {
                self.pool_bytes_left = left;
                true
            }
            None => false,
        }
    }

    /// Gives back memory that was set aside.
    pub(crate) fn unreserve(&mut self, bytes: u32) {
        self.pool_bytes_left = self.pool_bytes_left.saturating_add(u64::from(bytes));
    }

    /// A buffer for a chunk of `bytes` bytes for which memory was set aside.
    pub(crate) fn take_buffer(&mut self, bytes: u32) -> BufferId {
        // The pool bounds how many there are.
        BufferId(self.buffers.insert(bytes) as u32)
    }

    /// A buffer is free again, and the memory that was set aside for it.
    pub(crate) fn free_buffer(&mut self, buffer: BufferId) {
        if let Some(bytes) = self.buffers.try_remove(buffer.0 as usize) {
            self.unreserve(bytes);
        }
    }

    /// Panics when counts are not what they count. `pool_bytes` is what the pool began with.
    pub(crate) fn check(&self, pool_bytes: u64) {
        let active = self.downloads.values().filter(|download| download.is_active()).count();
        assert_eq!(active, self.active, "active downloads");
        let giving_way = self.downloads.values().filter(|download| download.gave_way).count();
        assert_eq!(giving_way, self.giving_way, "downloads that gave way");
        let buffers: u64 = self.buffers.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
        let mut reserved = 0_u64;
        for (content, download) in &self.downloads {
            download.flights.check();
            for (chunk, flights) in download.flights.iter() {
                assert!((1..=2).contains(&flights.len()), "{content:?} chunk {chunk} is asked of one or two");
                let bytes = download
                    .geometry
                    .and_then(|geometry| geometry.chunk_span(*chunk))
                    .map_or(0, |span| span.1);
                let waiting = flights.iter().filter(|flight| flight.begun.is_none()).count() as u64;
                reserved = reserved.saturating_add(waiting.saturating_mul(u64::from(bytes)));
            }
        }
        let set_aside = buffers.saturating_add(reserved);
        assert_eq!(
            pool_bytes.checked_sub(set_aside),
            Some(self.pool_bytes_left),
            "memory set aside for chunks"
        );
    }
}
