//! The table of downloads: who waits, who is active, who follows whom, and the pool of chunk buffers.
//!
//! What one download knows stands in `state.rs`; which chunks are had stands in the catalogue.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use slab::Slab;

use crate::core::io::BufferId;
use crate::core::native::download::state::{Download, Phase, Wish};
use crate::types::name::Layout;
use crate::types::{ContentId, Time};

/// So many complete downloads may wait for the store to publish them before no other is begun: each keeps a file open,
/// and the more there are, the fewer syncs they take.
const PUBLISHING_MAX: usize = 128;

/// All downloads, and what they share.
#[derive(Debug, Default)]
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
        Downloader { active_max: active_max.max(1), pool_bytes_left: pool_bytes, ..Downloader::default() }
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
        self.downloads.insert(content, Download::new(self.begun, wish));
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
