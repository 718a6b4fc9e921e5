//! What the store answers, and what follows from it.

use crate::core::context::Later;
use crate::core::io::{BufferId, Event, FailReason, Fault, Output, PartState, StoreJob, StoreReply};
use crate::core::native::download::state::Phase;
use crate::core::native::effects::Effect;
use crate::core::native::{Ctx, Engine};
use crate::types::bitfield::Bitfield;
use crate::types::id::ContentId;
use crate::wire::message::{Delivery, Frame, RefuseReason};

impl Engine {
    pub(crate) fn on_stored(&mut self, ctx: &mut Ctx, reply: StoreReply) {
        match reply {
            StoreReply::PartOpened { content, state } => self.on_part_opened(ctx, content, state),
            StoreReply::PartCreated { content } => self.on_part_created(ctx, content),
            StoreReply::PartFailed { content, fault } => {
                self.fail_download(ctx, content, FailReason::Storage(fault));
            }
            StoreReply::ChunkStored { content, chunk, buffer } => {
                self.on_chunk_stored(ctx, content, chunk, buffer)
            }
            StoreReply::ChunkBad { content, chunk, buffer } => self.on_chunk_bad(ctx, content, chunk, buffer),
            StoreReply::ChunkFailed { content, chunk, buffer, fault } => {
                self.on_chunk_failed(ctx, content, chunk, buffer, fault);
            }
            StoreReply::WholeStored { content, path, buffer } => {
                self.on_single_chunk_stored(ctx, content, path, buffer);
            }
            StoreReply::Published { content, path } => self.on_published(ctx, content, path),
            StoreReply::PartClosed { content } => self.on_part_closed(ctx, content),
            StoreReply::ManifestRead { conn, content, page } => {
                self.on_manifest_read(ctx, conn, content, page)
            }
            StoreReply::Rechecked { content, chunk, good } => self.on_rechecked(ctx, content, chunk, good),
            // The peer and the other engines see to these.
            StoreReply::Offered { .. }
            | StoreReply::Withdrawn { .. }
            | StoreReply::Classic(_)
            | StoreReply::Transfer(_) => {}
        }
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
    pub(crate) fn run_download(&mut self, ctx: &mut Ctx, content: ContentId, have: Bitfield) {
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

    pub(crate) fn on_chunk_stored(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        chunk: u32,
        buffer: BufferId,
    ) {
        self.downloader.free_buffer(buffer);
        let stored = self.downloader.get_mut(&content).and_then(|download| {
            let storing = download.storing.remove(&chunk)?;
            download.contributors.insert(storing.from.addr);
            Some((storing, download.geometry?.chunk_span(chunk)?.1))
        });
        if let Some((storing, bytes)) = stored {
            self.note_use(ctx, storing.conn, &storing.from);
            if ctx.catalogue.add_chunk(&content, chunk) {
                ctx.outputs.event(Event::ChunkReceived {
                    content,
                    chunk,
                    bytes,
                    from: storing.from,
                    from_complete: storing.from_complete,
                    took: ctx.now.since(storing.asked),
                });
                self.tell_haves(ctx, content);
                self.note_room(ctx, content);
            }
            self.cancel_others(ctx, content, chunk);
            self.note_supplied(ctx, content);
            self.mirror_came(ctx, &content);
            if !self.publish_if_complete(ctx, content) {
                self.request_chunks(ctx, content);
            }
        }
        self.retry_blocked(ctx);
    }

    pub(crate) fn on_chunk_bad(&mut self, ctx: &mut Ctx, content: ContentId, chunk: u32, buffer: BufferId) {
        self.downloader.free_buffer(buffer);
        let storing = self.downloader.get_mut(&content).and_then(|download| download.storing.remove(&chunk));
        if let Some(storing) = storing {
            let from = storing.from;
            ctx.outputs.event(Event::ChunkMissed {
                content,
                chunk,
                from: from.clone(),
                why: "hash-mismatch",
            });
            let number = ctx.conns.native(storing.conn).and_then(|c| c.channels.of(&content)).map(|(n, _)| n);
            if let Some(channel) = number {
                self.say(ctx, storing.conn, Frame::Bad { channel, chunk });
            }
            if ctx.dialer.bad_chunk(from.addr) >= ctx.config.limits.bad_chunks_max {
                self.ban(ctx, storing.conn, "sent bad chunks");
            }
            self.on_disproved(ctx, content);
            self.mirror_missed(ctx, &content);
            self.request_chunks(ctx, content);
        }
        self.retry_blocked(ctx);
    }

    pub(crate) fn on_chunk_failed(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        chunk: u32,
        buffer: BufferId,
        fault: Fault,
    ) {
        self.downloader.free_buffer(buffer);
        if let Some(download) = self.downloader.get_mut(&content) {
            download.storing.remove(&chunk);
        }
        self.fail_download(ctx, content, FailReason::Storage(fault));
        self.retry_blocked(ctx);
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
        let closing = |download: &crate::core::native::download::state::Download| {
            matches!(download.phase, Phase::ClosingPart)
        };
        if self.downloader.get(&content).is_some_and(closing) {
            self.end_download(ctx, content);
        }
    }

    /// Of a part, a chunk that is not right any more is fetched again; a shared file is withdrawn by the store.
    pub(crate) fn on_rechecked(&mut self, ctx: &mut Ctx, content: ContentId, chunk: u32, good: bool) {
        if good {
            return;
        }
        ctx.outputs.event(Event::Warning(format!(
            "chunk {chunk} of {content} was found bad by a receiver, and it is: the file changed or the disk fails"
        )));
        if self.downloader.get(&content).is_some_and(|download| download.is_running()) {
            ctx.catalogue.remove_chunk(&content, chunk);
            for (conn, request) in ctx.uploads.cancel_chunk(&content, chunk) {
                self.give_request_back(ctx, conn);
                self.reject(ctx, conn, request.channel, content, chunk, RefuseReason::NotHere);
            }
            self.request_chunks(ctx, content);
        }
    }

    /// Everybody who named the content before its cut was known hears it now.
    pub(crate) fn tell_cut(&mut self, ctx: &mut Ctx, content: ContentId) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            self.name_on(ctx, conn, content);
        }
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
}
