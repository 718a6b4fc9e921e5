//! Manifests: fetched whole from one peer, verified against the id; and given to who asks.

use std::time::Duration;

use crate::core::door::{ConnId, Output, StoreJob};
use crate::core::downloader::Phase;
use crate::core::peer::Peer;
use crate::core::session::Phase as ConnectionPhase;
use crate::types::id::ContentId;
use crate::types::manifest::ManifestPage;
use crate::types::manifest::ManifestPages;
use crate::types::time::Time;
use crate::wire::message::{Frame, RefuseReason};

/// Manifest requests that one connection may have waiting.
const MANIFEST_ASKS_MAX: usize = 1_024;
/// A page that does not come within this time is asked of another peer.
pub(in crate::core) const PAGE_DEADLINE: Duration = Duration::from_secs(4);

impl Peer {
    /// Asks this peer for the manifest, if one is wanted and nobody else is being asked. Who tells a cut can prove it.
    pub(in crate::core) fn request_manifest(&mut self, now: Time, conn: ConnId, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        if !matches!(download.phase, Phase::Manifest(None)) {
            return;
        }
        let Some(connection) = self.connections.native(conn).filter(|c| c.phase == ConnectionPhase::Open)
        else {
            return;
        };
        let Some((number, channel)) = connection.channels.of(&content) else { return };
        // A manifest proves the unit, not how many units make a chunk. All native holders cut alike; one that does not
        // would lead this peer away from the others. Among neighbours it is the owner's cut that all use.
        let agreed = match self.neighbourhood.cut {
            Some(owners) => channel.their_cut.filter(|cut| *cut == owners),
            None => {
                let mesh_chunk_bytes = self.config.limits.tactics.chunk_bytes;
                channel
                    .their_cut
                    .filter(|cut| self.config.topology.cut(cut.size_bytes(), mesh_chunk_bytes) == Ok(*cut))
            }
        };
        let stands = channel.opened && !channel.refused && !channel.withdrawn;
        let Some(cut) = agreed.filter(|_| stands && self.is_to_ask(conn)) else { return };
        if self.proves_itself(&content, &cut) {
            return self.request_whole(now, conn, content, cut);
        }
        let Some(download) = self.downloader.get_mut(&content) else { return };
        download.phase = Phase::Manifest(Some((conn, Box::new(ManifestPages::new()))));
        download.page_asked = now;
        self.say(now, conn, Frame::ManifestRequest { channel: number, first: 0 });
    }

    /// Asks somebody for the manifest of a download that needs one, or for the one chunk it has: whoever let it wait least,
    /// and of those who was asked for least.
    pub(in crate::core) fn request_manifest_anywhere(&mut self, now: Time, content: ContentId) {
        let is_wanted = |phase: &Phase| matches!(phase, Phase::Manifest(None));
        if !self.downloader.get(&content).is_some_and(|download| is_wanted(&download.phase)) {
            return;
        }
        let mut conns: Vec<ConnId> = self.links.on(&content).collect();
        let late = |conn: &ConnId| {
            let connection = self.connections.native(*conn)?;
            Some((connection.channels.of(&content)?.1.pages_late, connection.asked))
        };
        conns.sort_by_key(late);
        for conn in conns {
            self.request_manifest(now, conn, content);
        }
    }

    /// A page that does not come in time is asked of somebody else, from the start.
    pub(in crate::core) fn review_manifest(&mut self, now: Time, content: ContentId) {
        let Some(download) = self.downloader.get_mut(&content) else { return };
        match download.phase {
            Phase::Manifest(None) => {}
            Phase::Manifest(Some((conn, _))) if now.since(download.page_asked) >= PAGE_DEADLINE => {
                download.phase = Phase::Manifest(None);
                self.note_pages_late(conn, &content);
            }
            Phase::Proving(conn) => return self.review_whole(now, content, conn),
            _ => return,
        }
        self.request_manifest_anywhere(now, content);
    }

    pub(in crate::core) fn on_manifest_page(&mut self, now: Time, conn: ConnId, page: ManifestPage) {
        let channel =
            self.connections.native(conn).and_then(|connection| connection.channels.of_theirs(page.channel));
        let Some((number, channel)) = channel else {
            return self.close_for_fault(now, conn, "sent a manifest of nothing");
        };
        let (content, cut, was_late) = (channel.content, channel.their_cut, channel.pages_late > 0);
        let Some(download) = self.downloader.get_mut(&content) else {
            return self.counters.add("manifest pages nobody waits for");
        };
        let Phase::Manifest(Some((from, pages))) = &mut download.phase else {
            return self.counters.add("manifest pages nobody waits for");
        };
        if *from != conn {
            return self.counters.add("manifest pages nobody waits for");
        }
        if page.first < pages.next_first() || (page.first > pages.next_first() && was_late) {
            // A page that was late comes after all, and what it was part of was asked for again from the start.
            return self.counters.add("manifest pages nobody waits for");
        }
        match pages.push(page) {
            Ok(None) => {
                let first = pages.next_first();
                download.page_asked = now;
                if first > download.values_best {
                    download.values_best = first;
                    download.supplied = now;
                }
                self.say(now, conn, Frame::ManifestRequest { channel: number, first });
            }
            Ok(Some(manifest)) if cut == Some(manifest.geometry) && manifest.verify(&content).is_ok() => {
                download.supplied = now;
                download.geometry = Some(manifest.geometry);
                download.phase = Phase::Creating;
                if !self.is_as_offered(now, content, manifest.geometry.size_bytes()) {
                    return;
                }
                if !self.mirror_has_room(&content, manifest.geometry.size_bytes()) {
                    return self.cancel_download(now, content);
                }
                self.output(Output::Store(StoreJob::CreatePart { content, manifest: Box::new(manifest) }));
            }
            Ok(Some(_)) | Err(_) => {
                download.phase = Phase::Manifest(None);
                self.strike(now, conn, "sent a manifest that is not the id's");
                self.request_manifest_anywhere(now, content);
            }
        }
    }

    pub(in crate::core) fn on_manifest_request(&mut self, now: Time, conn: ConnId, theirs: u32, first: u32) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let Some((number, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(now, conn, "asked for the manifest of nothing");
        };
        if channel.withdrawn || channel.our_cut.is_none() {
            // They hear, or heard, a refusal.
            return;
        }
        if connection.manifest_asks.len() >= MANIFEST_ASKS_MAX {
            return self.close_for_fault(now, conn, "asks faster than it reads");
        }
        connection.manifest_asks.push_back((number, first));
        self.read_next_manifest(conn);
    }

    /// The store gave a page that somebody asked for, or could not.
    pub(in crate::core) fn on_manifest_read(
        &mut self,
        now: Time,
        conn: ConnId,
        content: ContentId,
        page: Option<Box<ManifestPage>>,
    ) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        connection.manifest_job = false;
        match (page, connection.channels.of_mut(&content)) {
            (Some(page), Some(_)) => self.say(now, conn, Frame::ManifestPage(*page)),
            (None, Some((number, channel))) if !channel.withdrawn => {
                channel.withdrawn = true;
                self.say(now, conn, Frame::Withdraw { channel: number, reason: RefuseReason::Unreadable });
            }
            _ => {}
        }
        self.read_next_manifest(conn);
    }

    /// Has the store read the next page for a connection: one at a time, and only while what was read goes out.
    pub(in crate::core) fn read_next_manifest(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.manifest_job
            || connection.queued_frames() >= 4
            || connection.phase != ConnectionPhase::Open
        {
            return;
        }
        while let Some((number, first)) = connection.manifest_asks.pop_front() {
            let Some(channel) = connection.channels.get(number).filter(|c| !c.withdrawn) else {
                continue;
            };
            let Some(cut) = channel.our_cut else { continue };
            connection.manifest_job = true;
            let (content, chunk_bytes) = (channel.content, cut.chunk_bytes());
            let job = StoreJob::ReadManifest { content, chunk_bytes, first, conn, channel: number };
            return self.output(Output::Store(job));
        }
    }
}
