//! Single-chunk contents: the chunk proves itself, and with itself the size that its holder told. So no manifest is requested,
//! only the chunk, of one holder at a time, and the store makes the file of it in one go.

use crate::core::context::Later;
use crate::core::io::{BufferId, ConnId, Event, Output, StoreJob};
use crate::core::native::download::state::Phase;
use crate::core::native::effects::Effect;
use crate::core::native::{Ctx, Engine};
use crate::types::{Bitfield, ContentId, Geometry};
use crate::wire::message::Delivery;

impl Engine {
    /// Whether a download's only chunk may be requested without a manifest: its holder tells the size that was looked for. Of
    /// another size the manifest says what is right, before anything is done about it.
    pub(crate) fn proves_itself(&self, ctx: &Ctx, content: &ContentId, cut: &Geometry) -> bool {
        let size = cut.size_bytes();
        !ctx.config.topology.agrees_on_layout()
            && cut.chunks() == 1
            && self.downloader.get(content).is_some_and(|download| download.wish.size_claimed == size)
            && self.downloader.other_size_offered(content, size).is_none()
    }

    /// Requests the only chunk of a download of a holder that told this geometry.
    pub(crate) fn request_single_chunk(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        cut: Geometry,
    ) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        // Who tells the cut says in its next frame that it has the chunk, or later.
        if connection.busy_until > ctx.now || !self.remote_has(ctx, conn, &content, 0) {
            return;
        }
        if connection.asked >= self.requests_max(ctx) {
            self.downloader.blocked.insert(content);
            return;
        }
        let Some(download) = self.downloader.get_mut(&content) else { return };
        download.phase = Phase::Proving(conn);
        download.geometry = Some(cut);
        if !self.request(ctx, content, 0, conn) {
            self.downloader.forget_proof(&content);
            self.downloader.blocked.insert(content);
        }
    }

    /// The only chunk is late: if another holder has it too, it is requested there.
    pub(crate) fn review_single_chunk(&mut self, ctx: &mut Ctx, content: ContentId, conn: ConnId) {
        let late = self.downloader.get(&content).is_some_and(|download| download.flights.is_late_at(conn));
        let other = |other: &ConnId| *other != conn && self.remote_has(ctx, *other, &content, 0);
        if late && self.links.on(&content).any(|at| other(&at)) {
            self.note_pages_late(ctx, conn, &content);
            self.cancel_others(ctx, content, 0);
            self.request_manifest_anywhere(ctx, content);
        }
    }

    /// The only chunk is here, and goes to the store. What it needs of others is done, so its place among the active
    /// downloads is another's.
    pub(crate) fn store_single_chunk(&mut self, ctx: &mut Ctx, content: ContentId, buffer: BufferId) {
        self.downloader.give_way(&content);
        // Others from there need not wait for the store.
        self.mirror_came(ctx, &content);
        ctx.outputs.push(Output::Store(StoreJob::StoreSingleChunk { content, buffer }));
        self.activate_downloads(ctx);
        self.retry_blocked(ctx);
    }

    /// The only chunk is not what the id demands: chunk or size was a lie. It is requested of another holder, if there is one.
    pub(crate) fn on_disproved(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let Phase::Proving(conn) = download.phase else { return };
        self.note_pages_late(ctx, conn, &content);
        self.downloader.take_back_place(&content);
        self.downloader.forget_proof(&content);
        if ctx.is_leaving {
            return self.cancel_download(ctx, content);
        }
        self.request_manifest_anywhere(ctx, content);
    }

    /// The only chunk was right, and the file is there.
    pub(crate) fn on_single_chunk_stored(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        path: std::path::PathBuf,
        buffer: BufferId,
    ) {
        self.downloader.free_buffer(buffer);
        let Some(download) = self.downloader.get_mut(&content) else { return };
        let (Phase::Proving(_), Some(geometry)) = (&download.phase, download.geometry) else { return };
        let Some(storing) = download.storing.remove(&0) else { return };
        let (name, took) = (std::mem::take(&mut download.wish.name), ctx.now.since(download.wish.began));
        let bytes = geometry.size_bytes();
        self.note_use(ctx, storing.conn, &storing.from);
        ctx.catalogue.add_complete(content, &name, geometry);
        ctx.outputs.event(Event::Started { content, geometry, had: 0 });
        ctx.outputs.event(Event::ChunkReceived {
            content,
            chunk: 0,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            from: storing.from,
            from_complete: storing.from_complete,
            took: ctx.now.since(storing.asked),
        });
        self.announce_soon(ctx);
        ctx.after.later.push(Later::Whole(content, name.to_string(), bytes));
        self.mirror_finished(ctx, &content, Some(bytes));
        ctx.outputs.event(Event::Finished { content, path, bytes, took, peers: 1 });
        self.effects.push(Effect::Ended { content, outcome: Delivery::Verified });
        self.end_download(ctx, content);
        self.tell_seekers(ctx, content);
        self.end_sated_channels(ctx, &content);
        self.retry_blocked(ctx);
    }

    /// Who named a content and does not have all of it hears that it is here. Who has it need not know.
    fn tell_seekers(&mut self, ctx: &mut Ctx, content: ContentId) {
        let has_all = |conn: &ConnId| {
            let channel = ctx.conns.native(*conn).and_then(|connection| connection.channels.of(&content));
            channel.is_some_and(|(_, channel)| channel.remote.as_ref().is_some_and(Bitfield::is_full))
        };
        for conn in self.links.on(&content).filter(|conn| !has_all(conn)).collect::<Vec<_>>() {
            self.name_on(ctx, conn, content);
        }
    }

    /// A source did not give what proves a content.
    pub(crate) fn note_pages_late(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
        if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(content)) {
            channel.pages_late = channel.pages_late.saturating_add(1);
        }
    }
}
