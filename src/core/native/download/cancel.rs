//! Requests taken back: because the chunk is had, the download is over, or the source is lost.

use crate::core::io::{ConnId, Event, Output};
use crate::core::native::download::flights::Flight;
use crate::core::native::session::Phase as ConnectionPhase;
use crate::core::native::upload::seeding::Change;
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::wire::message::Frame;

impl Engine {
    /// Cancels the requests of a chunk that is had now, as far as they are not begun.
    pub(crate) fn cancel_others(&mut self, ctx: &mut Ctx, content: ContentId, chunk: u32) {
        let Some(download) = self.downloader.get(&content) else { return };
        let others: Vec<Flight> = download.flights.get(&chunk).cloned().unwrap_or_default();
        for flight in others {
            if flight.begun.is_some() {
                self.discard_rest(ctx, flight.conn, content, chunk);
            } else {
                self.cancel(ctx, flight.conn, content, chunk);
            }
        }
    }

    /// Takes back all requests of a download.
    pub(crate) fn cancel_all(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        for chunk in download.flights.keys().copied().collect::<Vec<_>>() {
            self.cancel_others(ctx, content, chunk);
        }
    }

    /// A connection is no source of a content any more: what was asked of it is asked elsewhere.
    pub(crate) fn lose_source(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        self.count_remote(ctx, conn, &content, false);
        self.note_seeding(ctx, content, [Change::Departed(conn)]);
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let lost = connection.phase == ConnectionPhase::Closing;
        if let Some((_, channel)) = connection.channels.of_mut(&content) {
            channel.remote = None;
            channel.refused = true;
        }
        if lost {
            self.links.unnamed(&content, conn);
        }
        let Some(download) = self.downloader.get_mut(&content) else { return };
        let asked = download.flights_at(conn);
        download.forget_manifest_source(conn);
        for chunk in asked {
            let begun =
                self.downloader.get(&content).and_then(|download| download.flights.at(chunk, conn)?.begun);
            // A chunk that is coming may still come whole while its connection stands.
            if (begun.is_none() || lost) && self.drop_flight(ctx, content, chunk, conn) {
                self.miss(ctx, content, chunk, conn, if lost { "connection lost" } else { "withdrawn" });
            }
        }
        self.request_manifest_anywhere(ctx, content);
        self.request_chunks(ctx, content);
        self.seek_sources(ctx, content);
    }

    /// Says that a chunk asked of somebody did not come.
    pub(crate) fn miss(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        chunk: u32,
        conn: ConnId,
        why: &'static str,
    ) {
        if let Some(connection) = ctx.conns.native(conn) {
            let from = connection.peer_ref();
            ctx.outputs.event(Event::ChunkMissed { content, chunk, from, why });
        }
    }

    pub(crate) fn cancel(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, chunk: u32) {
        if !self.drop_flight(ctx, content, chunk, conn) {
            return;
        }
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.note_cancelled(content, chunk);
        if let Some((number, _)) = connection.channels.of(&content) {
            self.say(ctx, conn, Frame::Cancel { channel: number, chunk });
        }
    }

    /// The rest of a chunk that is coming in is not wanted any more.
    pub(crate) fn discard_rest(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, chunk: u32) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some(incoming) = &mut connection.incoming else { return };
        if (incoming.content, incoming.chunk) != (content, chunk) {
            return;
        }
        if let Some(buffer) = incoming.buffer.take() {
            connection.asked = connection.asked.saturating_sub(1);
            if let Some(download) = self.downloader.get_mut(&content) {
                download.flights.remove(chunk, conn);
            }
            self.downloader.forget_proof(&content);
            self.downloader.free_buffer(buffer);
            ctx.outputs.push(Output::Release(buffer));
        }
    }

    /// Forgets one request, with the memory set aside for it. False when there was none.
    pub(crate) fn drop_flight(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        chunk: u32,
        conn: ConnId,
    ) -> bool {
        let Some(flight) = self.downloader.get_mut(&content).and_then(|d| d.flights.remove(chunk, conn))
        else {
            return false;
        };
        if flight.begun.is_none()
            && let Some(len) = self.chunk_len(&content, chunk)
        {
            self.downloader.unreserve(len);
        }
        self.downloader.forget_proof(&content);
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.asked = connection.asked.saturating_sub(1);
        }
        true
    }

    pub(crate) fn chunk_len(&self, content: &ContentId, chunk: u32) -> Option<u32> {
        Some(self.downloader.get(content)?.geometry?.chunk_span(chunk)?.1)
    }
}
