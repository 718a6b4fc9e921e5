//! A download's way: begun, opened, run, reviewed, published, finished; or failed.

use crate::core::catalogue::Catalogue;
use crate::core::connections::Connections;
use crate::core::context::Later;
use crate::core::io::{Event, FailReason, Output, PartState, PeerRef, StoreJob};
use crate::core::limits::MIRROR_SOURCE_WAIT;
use crate::core::native::download::state::{Download, Phase, Wish};
use crate::core::native::effects::Effect;
use crate::core::native::{Ctx, Engine};
use crate::core::status::DownloadStatus;
use crate::core::timers::Timer;
use crate::types::name::Layout;
use crate::types::{Bitfield, ContentId};
use crate::wire::message::{Delivery, RefuseReason};
use std::collections::VecDeque;
use std::time::Duration;

/// How often a download that is under way is looked at without other cause.
const REVIEW_INTERVAL: Duration = Duration::from_secs(1);
/// One that has just begun is looked at sooner: its first sources may be too few.
const FIRST_REVIEW: Duration = Duration::from_millis(250);
impl Engine {
    /// Begins a download of a content that somebody offers, when its turn comes.
    pub(crate) fn begin_download(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        name: &str,
        size: u64,
        stall: Duration,
    ) {
        self.note_seekers(&content, name);
        let (name, layout, ticket) = (name.into(), Layout::Flat, None);
        let wish = Wish { name, layout, size_claimed: size, stall, began: ctx.now, ticket, renewed: 0 };
        if self.downloader.add(content, wish) {
            self.activate_downloads(ctx);
        }
    }

    /// Begins a download as [`Peer::begin_download`] does; of a content that is fetched already, once that is here.
    pub(crate) fn begin_file(&mut self, ctx: &mut Ctx, content: ContentId, wish: Wish) {
        self.note_seekers(&content, &wish.name);
        let is_queued = self.downloader.add_or_follow(content, wish);
        self.note_owners(&content);
        if is_queued {
            self.activate_downloads(ctx);
        }
    }

    /// Begins the downloads whose turn has come.
    pub(crate) fn activate_downloads(&mut self, ctx: &mut Ctx) {
        if ctx.is_leaving {
            return;
        }
        while let Some(content) = self.downloader.activate(ctx.now) {
            self.note_sought(ctx, &content);
            let Some(download) = self.downloader.get(&content) else { continue };
            let (name, layout, size) =
                (download.wish.name.to_string(), download.wish.layout, download.wish.size_claimed);
            ctx.outputs.push(Output::Store(StoreJob::OpenPart { content, name, layout, size }));
            ctx.timers.set(Timer::Download(content), ctx.now + FIRST_REVIEW);
            if self.is_copied(ctx, &content) {
                continue;
            }
            // Connecting takes as long as opening; they need not wait for each other.
            self.seek_sources(ctx, content);
            self.open_to_overlay(ctx, content);
        }
    }

    /// Whether the store fills a download from what is here under another name, so that no other peer is needed.
    pub(crate) fn is_copied(&self, ctx: &Ctx, content: &ContentId) -> bool {
        let opens = |download: &Download| matches!(download.phase, Phase::Opening);
        self.downloader.get(content).is_some_and(opens)
            && ctx.catalogue.get(content).is_some_and(|holding| holding.is_complete())
    }

    /// Looks at a download: what is late, whether it can get on. False when it wants nothing of others.
    pub(crate) fn review_download(&mut self, ctx: &mut Ctx, content: ContentId) -> bool {
        let Some(download) = self.downloader.get_mut(&content).filter(|download| download.wants_peers())
        else {
            return false;
        };
        let young = ctx.now.since(download.wish.began) < REVIEW_INTERVAL;
        ctx.timers
            .set(Timer::Download(content), ctx.now + if young { FIRST_REVIEW } else { REVIEW_INTERVAL });
        let connections = &ctx.conns;
        let heard = |conn| connections.native(conn).map(|connection| connection.heard);
        let late = download.mark_late(ctx.now, &ctx.config.limits, heard);
        self.review_manifest(ctx, content);
        for (chunk, conn) in late {
            self.miss(ctx, content, chunk, conn, "late");
        }
        self.request_chunks(ctx, content);
        self.tell_what_waits(ctx, content);
        self.widen(ctx, content);
        self.seek_sources(ctx, content);
        true
    }

    pub(crate) fn on_part_opened(&mut self, ctx: &mut Ctx, content: ContentId, state: PartState) {
        let state = match state {
            PartState::Complete { geometry, path } => {
                PartState::Complete { geometry: self.owners_cut(geometry, true).unwrap_or(geometry), path }
            }
            PartState::Resumed { geometry, .. } if self.owners_cut(geometry, false).is_none() => {
                return self.refuse_part(ctx, content);
            }
            state => state,
        };
        let Some(download) = self.downloader.get_mut(&content) else { return };
        if !matches!(download.phase, Phase::Opening) {
            return;
        }
        match state {
            PartState::Fresh => {
                download.phase = Phase::Manifest(None);
                download.supplied = ctx.now;
                if let Some(mirror) = &mut self.mirror {
                    mirror.nothing_there(&content);
                }
                self.request_manifest_anywhere(ctx, content);
                self.seek_sources(ctx, content);
            }
            PartState::Resumed { geometry, have } => {
                download.geometry = Some(geometry);
                if !self.is_as_offered(ctx, content, geometry.size_bytes()) {
                    return;
                }
                if have.count() > 0 && !self.mirror_reserves(&content) {
                    return self.cancel_download(ctx, content);
                }
                self.run_download(ctx, content, have);
            }
            PartState::Complete { geometry, path } => {
                let (name, took) = (download.wish.name.clone(), ctx.now.since(download.wish.began));
                ctx.catalogue.add_complete(content, &name, geometry);
                self.announce_soon(ctx);
                let bytes = geometry.size_bytes();
                ctx.after.later.push(Later::Whole(content, name.to_string(), bytes));
                self.mirror_finished(ctx, &content, None);
                ctx.outputs.event(Event::Finished { content, path, bytes, took, peers: 0 });
                self.effects.push(Effect::Ended { content, outcome: Delivery::Verified });
                self.end_download(ctx, content);
                self.tell_cut(ctx, content);
            }
            PartState::Skipped { path } => {
                ctx.outputs.event(Event::Skipped { content, path });
                self.effects.push(Effect::Ended { content, outcome: Delivery::Cancelled });
                self.end_download(ctx, content);
            }
        }
    }

    pub(crate) fn on_part_created(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        if let (Phase::Creating, Some(geometry)) = (&download.phase, download.geometry) {
            self.run_download(ctx, content, Bitfield::empty(geometry.chunks()));
        }
    }

    /// The part is open and the manifest verified: chunks can come.
    fn run_download(&mut self, ctx: &mut Ctx, content: ContentId, have: Bitfield) {
        let Some(download) = self.downloader.get_mut(&content) else { return };
        let Some(geometry) = download.geometry else { return };
        download.phase = Phase::Running;
        download.supplied = ctx.now;
        let (name, had) = (download.wish.name.clone(), have.count());
        ctx.catalogue.add_part(content, &name, geometry, have);
        ctx.outputs.event(Event::Started { content, geometry, had });
        self.announce_soon(ctx);
        self.effects.push(Effect::Started(content));
        self.count_all_remotes(ctx, &content);
        self.tell_cut(ctx, content);
        if self.publish_if_complete(ctx, content) {
            return;
        }
        self.request_chunks(ctx, content);
        self.seek_sources(ctx, content);
    }

    /// Has the store publish a download that has every chunk. True when it has.
    pub(crate) fn publish_if_complete(&mut self, ctx: &mut Ctx, content: ContentId) -> bool {
        let complete = ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        if complete && self.downloader.publish(&content) {
            ctx.outputs.push(Output::Store(StoreJob::Publish { content }));
            self.note_sought(ctx, &content);
            self.activate_downloads(ctx);
        }
        complete
    }

    pub(crate) fn on_published(&mut self, ctx: &mut Ctx, content: ContentId, path: std::path::PathBuf) {
        let Some(download) = self.downloader.get(&content) else { return };
        let (Phase::Publishing, Some(geometry)) = (&download.phase, download.geometry) else { return };
        let (took, peers) = (ctx.now.since(download.wish.began), download.contributors.len());
        let (name, bytes) = (download.wish.name.clone(), geometry.size_bytes());
        ctx.catalogue.add_complete(content, &name, geometry);
        ctx.after.later.push(Later::Whole(content, name.to_string(), bytes));
        self.mirror_finished(ctx, &content, Some(bytes));
        ctx.outputs.event(Event::Finished { content, path, bytes, took, peers });
        self.effects.push(Effect::Ended { content, outcome: Delivery::Verified });
        self.end_download(ctx, content);
        self.end_sated_channels(ctx, &content);
    }

    pub(crate) fn on_part_closed(&mut self, ctx: &mut Ctx, content: ContentId) {
        let closing = |download: &Download| matches!(download.phase, Phase::ClosingPart);
        if self.downloader.get(&content).is_some_and(closing) {
            self.end_download(ctx, content);
        }
    }

    /// Everybody who named the content before its cut was known hears it now.
    pub(crate) fn tell_cut(&mut self, ctx: &mut Ctx, content: ContentId) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            self.name_on(ctx, conn, content);
        }
    }

    /// A download gets on.
    pub(crate) fn note_supplied(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get_mut(&content) else { return };
        download.got_on(ctx.now);
        if std::mem::take(&mut download.waiting) {
            ctx.outputs.event(Event::Resumed { content });
        }
    }

    /// A download is over with the file in place.
    pub(crate) fn end_download(&mut self, ctx: &mut Ctx, content: ContentId) {
        self.cancel_all(ctx, content);
        ctx.timers.clear(Timer::Download(content));
        self.directory.any_name(&content);
        self.copies.end(&content);
        self.downloader.finish(&content);
        self.note_sought(ctx, &content);
        self.activate_downloads(ctx);
        ctx.after.review_leaving = true;
    }

    /// A download is over without the file; its part is kept, unless the mirror has no room for that.
    pub(crate) fn fail_download(&mut self, ctx: &mut Ctx, content: ContentId, reason: FailReason) {
        let drops_part = self.mirror_failed(ctx, content, &reason);
        let Some(download) = self.downloader.get_mut(&content) else { return };
        if matches!(download.phase, Phase::ClosingPart) && reason != FailReason::Cancelled {
            // It has failed already, and only who gives up means those that follow.
            return;
        }
        // A fault of one name or place need not keep the content from its other names.
        let alone = match &reason {
            FailReason::Storage(fault) => fault.kind.is_of_place(),
            FailReason::KeepsChanging { .. } | FailReason::Ambiguous { .. } | FailReason::Removed { .. } => {
                true
            }
            _ => false,
        };
        let followers = if alone { VecDeque::new() } else { std::mem::take(&mut download.followers) };
        let files = followers.iter().map(|wish| (&wish.name, wish.layout));
        let files = files.chain([(&download.wish.name, download.wish.layout)]);
        let names = files.map(|(name, layout)| (name.to_string(), layout)).collect();
        let followers = followers.len();
        let mut failed = followers.saturating_add(1);
        match download.phase {
            Phase::ClosingPart if followers == 0 => return,
            Phase::ClosingPart => failed = followers,
            Phase::Queued => self.end_download(ctx, content),
            _ => {
                self.cancel_all(ctx, content);
                self.forget_part(ctx, content);
                ctx.timers.clear(Timer::Download(content));
                self.downloader.blocked.remove(&content);
                if let Some(download) = self.downloader.get_mut(&content) {
                    download.phase = Phase::ClosingPart;
                }
                self.note_sought(ctx, &content);
                let job =
                    if drops_part { StoreJob::DropPart { content } } else { StoreJob::ClosePart { content } };
                ctx.outputs.push(Output::Store(job));
            }
        }
        self.effects.push(Effect::Failed { content, names, reason: reason.clone() });
        for _ in 1..failed {
            ctx.outputs.event(Event::Failed { content, reason: reason.clone() });
        }
        ctx.outputs.event(Event::Failed { content, reason });
    }

    /// What a download that fails had of its content is offered no more. A content that was here before it, under another
    /// name, still is.
    fn forget_part(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        if matches!(download.phase, Phase::Opening) || ctx.catalogue.get(&content).is_none() {
            return;
        }
        if ctx.catalogue.names(&content).any(|name| **name != *download.wish.name) {
            ctx.catalogue.remove_name(&content, &download.wish.name);
            return;
        }
        self.withdraw_everywhere(ctx, content, RefuseReason::Unknown);
        ctx.catalogue.remove(&content);
    }

    pub(crate) fn cancel_download(&mut self, ctx: &mut Ctx, content: ContentId) {
        self.fail_download(ctx, content, FailReason::Cancelled);
    }

    /// Downloads as people see them, with those that wait for their turn or without.
    pub(crate) fn download_statuses(
        &self,
        conns: &Connections,
        catalogue: &Catalogue,
        with_queued: bool,
    ) -> Vec<DownloadStatus> {
        let is_queued = |download: &Download| matches!(download.phase, Phase::Queued);
        let downloads = self.downloader.iter().filter(|(_, download)| with_queued || !is_queued(download));
        let mut downloads: Vec<(ContentId, &Download)> = downloads.collect();
        downloads.sort_unstable_by_key(|(_, download)| download.number);
        downloads
            .into_iter()
            .map(|(content, download)| self.download_status(conns, catalogue, content, download))
            .collect()
    }

    fn download_status(
        &self,
        conns: &Connections,
        catalogue: &Catalogue,
        content: ContentId,
        download: &Download,
    ) -> DownloadStatus {
        let holding = catalogue.get(&content);
        let (chunks, chunk_bytes) =
            download.geometry.map_or((0, 0), |g| (g.chunks(), u64::from(g.chunk_bytes())));
        let size = download.geometry.map_or(download.wish.size_claimed, |geometry| geometry.size_bytes());
        let have = holding.map_or(0, |holding| holding.count());
        let coming = |conn| conns.native(conn).and_then(|connection| connection.incoming);
        let partly: u64 = download
            .flights
            .values()
            .flatten()
            .filter(|flight| flight.begun.is_some())
            .filter_map(|flight| coming(flight.conn).filter(|incoming| incoming.content == content))
            .map(|incoming| u64::from(incoming.at))
            .sum();
        let written_or_writing = u64::from(have).saturating_add(download.storing.len() as u64);
        let here = written_or_writing.saturating_mul(chunk_bytes).saturating_add(partly);
        let whole = holding.is_some_and(|holding| holding.is_complete());
        let bytes = if whole { size } else { here.min(size) };
        DownloadStatus {
            content,
            name: download.wish.name.to_string(),
            size,
            chunks,
            have,
            bytes,
            in_flight: download.flights.len(),
            sources: self.links.on(&content).filter(|conn| self.is_counted(conns, *conn, &content)).count(),
            contributors: download.contributors.len(),
        }
    }

    /// The chunks that are not had.
    pub(crate) fn missing_chunks(&self, ctx: &Ctx, content: &ContentId) -> Vec<u32> {
        let bits = ctx.catalogue.get(content).and_then(|holding| holding.bits());
        bits.map_or(Vec::new(), |bits| bits.missing().collect())
    }

    /// Whether somebody was banned over a download and every holder that is known is banned.
    pub(crate) fn all_banned(&self, ctx: &Ctx, content: &ContentId) -> bool {
        let banned = |peer: &PeerRef| ctx.dialer.is_banned(ctx.now, &peer.addr);
        self.downloader.get(content).is_some_and(|download| !download.banned.is_empty())
            && self
                .directory
                .holders(content)
                .filter_map(|peer| self.directory.peer_ref(peer))
                .all(|peer| banned(&peer))
    }

    /// How long a download waits for others when it does not get on. One of the mirror keeps its place for a moment only
    /// when nothing of it came and nobody who is connected says that it has it.
    pub(crate) fn stall_of(&self, ctx: &Ctx, content: &ContentId) -> Duration {
        let stall = self.downloader.get(content).map_or(Duration::MAX, |download| download.wish.stall);
        let is_source = |conn| {
            let Some(connection) = ctx.conns.native(conn) else { return false };
            let Some((_, channel)) = connection.channels.of(content) else { return false };
            // While it sends something else, it cannot say so.
            !channel.refused && !channel.withdrawn && (channel.opened || connection.incoming.is_some())
        };
        let awaits_first = self.mirror.as_ref().is_some_and(|mirror| mirror.awaits_first(content));
        match awaits_first && !self.links.on(content).any(is_source) {
            true => stall.min(MIRROR_SOURCE_WAIT),
            false => stall,
        }
    }

    /// A peer was banned which had named these contents: those that are fetched remember it.
    pub(crate) fn note_banned(&mut self, peer: &PeerRef, contents: &[ContentId]) {
        for content in contents {
            let download = self.downloader.get_mut(content);
            if let Some(download) = download.filter(|download| download.wants_peers()) {
                download.banned.push(peer.clone());
            }
        }
    }

    /// A download has begun to want something of others, or wants nothing of them any more.
    fn note_sought(&self, ctx: &mut Ctx, content: &ContentId) {
        if self.downloader.get(content).is_some_and(|download| download.wants_peers()) {
            ctx.conns.sought.insert(*content);
        } else {
            ctx.conns.sought.remove(content);
        }
    }
}
