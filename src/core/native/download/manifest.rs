//! Manifests: fetched whole from one peer, verified against the id; and given to who asks.

use crate::core::io::{ConnId, FailReason, Output, StoreJob};
use crate::core::native::download::state::Phase;
use crate::core::native::session::Phase as ConnectionPhase;
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::types::manifest::{ManifestPage, ManifestPages};
use crate::wire::message::Frame;
use std::time::Duration;

/// A page that does not come within this time is asked of another peer.
pub(crate) const PAGE_DEADLINE: Duration = Duration::from_secs(4);

impl Engine {
    /// Asks this peer for the manifest, if one is wanted and nobody else is being asked. Who tells a cut can prove it.
    pub(crate) fn request_manifest(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        if !matches!(download.phase, Phase::Manifest(None)) {
            return;
        }
        let Some(connection) = ctx.conns.native(conn).filter(|c| c.phase == ConnectionPhase::Open) else {
            return;
        };
        let Some((number, channel)) = connection.channels.of(&content) else { return };
        // A manifest proves the unit, not how many units make a chunk. All native holders cut alike; one that does not
        // would lead this peer away from the others. Among neighbours it is the owner's cut that all use.
        let agreed = match self.neighbourhood.cut {
            Some(owners) => channel.their_cut.filter(|cut| *cut == owners),
            None => {
                let mesh_chunk_bytes = ctx.config.limits.tactics.chunk_bytes;
                channel
                    .their_cut
                    .filter(|cut| ctx.config.topology.cut(cut.size_bytes(), mesh_chunk_bytes) == Ok(*cut))
            }
        };
        let stands = channel.opened && !channel.refused && !channel.withdrawn;
        let Some(cut) = agreed.filter(|_| stands && self.is_to_ask(ctx, conn)) else { return };
        if self.proves_itself(ctx, &content, &cut) {
            return self.request_single_chunk(ctx, conn, content, cut);
        }
        let Some(download) = self.downloader.get_mut(&content) else { return };
        download.phase = Phase::Manifest(Some((conn, Box::new(ManifestPages::new()))));
        download.page_asked = ctx.now;
        self.say(ctx, conn, Frame::ManifestRequest { channel: number, first: 0 });
    }

    /// Asks somebody for the manifest of a download that needs one, or for the one chunk it has: whoever let it wait least,
    /// and of those who was asked for least.
    pub(crate) fn request_manifest_anywhere(&mut self, ctx: &mut Ctx, content: ContentId) {
        let is_wanted = |phase: &Phase| matches!(phase, Phase::Manifest(None));
        if !self.downloader.get(&content).is_some_and(|download| is_wanted(&download.phase)) {
            return;
        }
        let mut conns: Vec<ConnId> = self.links.on(&content).collect();
        let late = |conn: &ConnId| {
            let connection = ctx.conns.native(*conn)?;
            Some((connection.channels.of(&content)?.1.pages_late, connection.asked))
        };
        conns.sort_by_key(late);
        for conn in conns {
            self.request_manifest(ctx, conn, content);
        }
    }

    /// A page that does not come in time is asked of somebody else, from the start.
    pub(crate) fn review_manifest(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get_mut(&content) else { return };
        match download.phase {
            Phase::Manifest(None) => {}
            Phase::Manifest(Some((conn, _))) if ctx.now.since(download.page_asked) >= PAGE_DEADLINE => {
                download.phase = Phase::Manifest(None);
                self.note_pages_late(ctx, conn, &content);
            }
            Phase::Proving(conn) => return self.review_single_chunk(ctx, content, conn),
            _ => return,
        }
        self.request_manifest_anywhere(ctx, content);
    }

    pub(crate) fn on_manifest_page(&mut self, ctx: &mut Ctx, conn: ConnId, page: ManifestPage) {
        let channel =
            ctx.conns.native(conn).and_then(|connection| connection.channels.of_theirs(page.channel));
        let Some((number, channel)) = channel else {
            return self.close_for_fault(ctx, conn, "sent a manifest of nothing");
        };
        let (content, cut, was_late) = (channel.content, channel.their_cut, channel.pages_late > 0);
        let Some(download) = self.downloader.get_mut(&content) else {
            return ctx.counters.add("manifest pages nobody waits for");
        };
        let Phase::Manifest(Some((from, pages))) = &mut download.phase else {
            return ctx.counters.add("manifest pages nobody waits for");
        };
        if *from != conn {
            return ctx.counters.add("manifest pages nobody waits for");
        }
        if page.first < pages.next_first() || (page.first > pages.next_first() && was_late) {
            // A page that was late comes after all, and what it was part of was asked for again from the start.
            return ctx.counters.add("manifest pages nobody waits for");
        }
        match pages.push(page) {
            Ok(None) => {
                let first = pages.next_first();
                download.page_asked = ctx.now;
                if first > download.values_best {
                    download.values_best = first;
                    download.supplied = ctx.now;
                }
                self.say(ctx, conn, Frame::ManifestRequest { channel: number, first });
            }
            Ok(Some(manifest)) if cut == Some(manifest.geometry) && manifest.verify(&content).is_ok() => {
                download.supplied = ctx.now;
                download.geometry = Some(manifest.geometry);
                download.phase = Phase::Creating;
                if !self.is_as_offered(ctx, content, manifest.geometry.size_bytes()) {
                    return;
                }
                if !self.mirror_has_room(ctx, &content, manifest.geometry.size_bytes()) {
                    return self.cancel_download(ctx, content);
                }
                ctx.outputs
                    .push(Output::Store(StoreJob::CreatePart { content, manifest: Box::new(manifest) }));
            }
            Ok(Some(_)) | Err(_) => {
                download.phase = Phase::Manifest(None);
                self.ban(ctx, conn, "sent a manifest that is not the id's");
                self.request_manifest_anywhere(ctx, content);
            }
        }
    }

    /// A manifest is verified. False when it tells another size than an offer that was accepted: what was asked of
    /// whoever accepted it was another thing.
    pub(crate) fn is_as_offered(&mut self, ctx: &mut Ctx, content: ContentId, size: u64) -> bool {
        let Some(claimed) = self.downloader.other_size_offered(&content, size) else { return true };
        self.fail_download(ctx, content, FailReason::OtherSize { claimed, size });
        false
    }
}
