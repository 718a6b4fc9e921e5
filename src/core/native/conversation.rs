//! What reaches the engine from outside: bytes of a connection become messages, and each message, like each reply of the store, goes to
//! the part that it concerns.

use crate::core::io::{ConnId, Event, Expect, FailReason, StoreReply};
use crate::core::native::mirror::MIRROR_KEY;
use crate::core::native::session::Phase;
use crate::core::native::topology::neighbourhood::NEIGHBOUR_WALK;
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::wire::frame::{Decoded, FrameError};
use crate::wire::message::{CataloguePage, CatalogueRequest, Frame, RefuseReason};

/// The reason in the last frame of a peer that leaves the LAN.
pub(crate) const LEAVING: &str = "leaving";

impl Engine {
    /// Decodes control bytes up to where payload begins, but no more frames than one connection may have handled before
    /// others have their turn; returns how many bytes were taken.
    pub(crate) fn on_bytes(&mut self, ctx: &mut Ctx, conn: ConnId, bytes: &[u8]) -> usize {
        let (mut rest, mut frames) = (bytes, 0_usize);
        if let Some(connection) = ctx.conns.native_mut(conn).filter(|c| c.phase == Phase::Greeting) {
            connection.note_first_words(bytes);
        }
        while let Some(connection) = ctx.conns.native_mut(conn) {
            let is_over = frames >= ctx.config.limits.frames_at_once_max;
            if rest.is_empty() || is_over || connection.expects() != Expect::Control {
                break;
            }
            connection.heard = ctx.now;
            connection.pinged = false;
            match connection.decoder.decode(rest) {
                Ok((taken, decoded)) => {
                    rest = rest.get(taken..).unwrap_or_default();
                    frames = frames.saturating_add(1);
                    match decoded {
                        Some(Decoded::Frame(frame)) => self.on_frame(ctx, conn, frame),
                        Some(Decoded::Chunk { channel, chunk, bytes }) => {
                            self.on_chunk_header(ctx, conn, channel, chunk, bytes);
                        }
                        None if taken == 0 => break,
                        None => {}
                    }
                    self.drain(ctx);
                }
                Err(error) => {
                    self.on_garbage(ctx, conn, &error);
                    return bytes.len();
                }
            }
        }
        bytes.len().saturating_sub(rest.len())
    }

    fn on_garbage(&mut self, ctx: &mut Ctx, conn: ConnId, error: &FrameError) {
        let fault = match error {
            FrameError::Dialect(_) => "speaks no dialect of ours",
            FrameError::Length { .. } => "sent a frame of impossible length",
            FrameError::Kind(_) => "sent a frame of unknown kind",
            FrameError::Body { .. } => "sent a malformed frame",
        };
        self.close_for_fault(ctx, conn, fault);
    }

    fn on_frame(&mut self, ctx: &mut Ctx, conn: ConnId, frame: Frame) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.phase == Phase::Greeting {
            connection.first_words = None;
        }
        match (connection.phase, frame) {
            (Phase::Greeting, Frame::Hello(hello)) => self.on_hello(ctx, conn, hello),
            (Phase::Greeting, Frame::Bye { .. }) => self.on_end_of_stream(ctx, conn),
            (Phase::Greeting, _) => self.close_for_fault(ctx, conn, "spoke before its hello"),
            (Phase::Open, frame) => self.on_message(ctx, conn, frame),
            (Phase::Dialling | Phase::Closing, _) => {}
        }
    }

    fn on_message(&mut self, ctx: &mut Ctx, conn: ConnId, frame: Frame) {
        let is_over = |theirs| ctx.conns.native(conn).is_some_and(|c| c.channels.is_over(theirs));
        if channel_of(&frame).is_some_and(is_over) {
            return self.on_frame_too_late(ctx, conn, &frame);
        }
        match frame {
            Frame::Hello(_) => self.close_for_fault(ctx, conn, "said hello twice"),
            Frame::CatalogueRequest(request) => self.on_catalogue_request(ctx, conn, request),
            Frame::CataloguePage(page) => self.on_catalogue_page(ctx, conn, page),
            Frame::Open { channel, content, size, chunk_bytes } => {
                self.on_open(ctx, conn, channel, content, size, chunk_bytes);
            }
            Frame::Refuse { content, reason } => self.on_refuse(ctx, conn, content, reason),
            Frame::Withdraw { channel, reason } => self.on_withdraw(ctx, conn, channel, reason),
            Frame::ManifestRequest { channel, first } => self.on_manifest_request(ctx, conn, channel, first),
            Frame::ManifestPage(page) => self.on_manifest_page(ctx, conn, page),
            Frame::HaveMap { channel, bits } => self.on_have_map(ctx, conn, channel, &bits),
            Frame::Have { channel, first, count } => self.on_have(ctx, conn, channel, first, count),
            Frame::Request { channel, chunk } => self.on_request(ctx, conn, channel, chunk),
            Frame::Cancel { channel, chunk } => self.on_cancel(ctx, conn, channel, chunk),
            Frame::Revoke { channel, chunk } => self.on_revoke(ctx, conn, channel, chunk),
            Frame::Reject { channel, chunk, reason } => self.on_reject(ctx, conn, channel, chunk, reason),
            Frame::Bad { channel, chunk } => self.on_bad(ctx, conn, channel, chunk),
            Frame::Show { channel } => self.on_show(ctx, conn, channel),
            Frame::Idle { channel } => self.on_idle(ctx, conn, channel),
            Frame::Offer(offer) => self.on_offer(ctx, conn, offer),
            Frame::OfferAnswer(said) => self.on_offer_answer(ctx, conn, said),
            Frame::OfferOutcome(said) => self.on_offer_outcome(ctx, conn, said),
            Frame::Ping => self.on_ping(ctx, conn),
            Frame::Pong => {}
            Frame::Bye { reason } => self.on_bye(ctx, conn, &reason),
        }
    }

    /// A frame for a channel that is over crossed what ended it, and says nothing: not even that the cut of the content is known
    /// now. One connection may not do so for ever.
    fn on_frame_too_late(&mut self, ctx: &mut Ctx, conn: ConnId, frame: &Frame) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let asks = match *frame {
            // A cut is told once.
            Frame::Open { channel, size, chunk_bytes, .. } => {
                let adds_cut = (size, chunk_bytes) != (0, 0);
                !(adds_cut && connection.channels.note_late_cut(channel))
            }
            _ => matches!(frame, Frame::Request { .. } | Frame::ManifestRequest { .. }),
        };
        if asks && !connection.rejections.take(ctx.now) {
            self.close_for_fault(ctx, conn, "asks for what it cannot have again and again");
        }
    }

    fn on_ping(&mut self, ctx: &mut Ctx, conn: ConnId) {
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.pong = true;
            self.wake(ctx, conn);
        }
    }

    /// The other side closes. When it leaves the LAN, that can be believed over a connection: it is gone at once.
    fn on_bye(&mut self, ctx: &mut Ctx, conn: ConnId, reason: &str) {
        let peer = ctx.conns.native(conn).and_then(|connection| connection.known_peer());
        self.neighbourhood.owner_left |= reason == LEAVING && self.part_at(ctx, conn).owner;
        self.note_second(ctx, conn, reason);
        self.on_end_of_stream(ctx, conn);
        self.drain(ctx);
        if let Some(peer) = peer.filter(|_| reason == LEAVING)
            && let Some(peer_ref) = self.directory.peer_ref(&peer)
        {
            self.directory.remove(&peer);
            ctx.outputs.event(Event::PeerLost(peer_ref));
        }
    }

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
            StoreReply::SingleChunkStored { content, path, buffer } => {
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

    /// A shared file is offered from now on. False when its size is impossible.
    pub(crate) fn on_offered(&mut self, ctx: &mut Ctx, content: ContentId, name: &str, size: u64) -> bool {
        let Ok(geometry) = ctx.config.topology.cut(size, ctx.config.limits.tactics.chunk_bytes) else {
            return false;
        };
        ctx.catalogue.add_complete(content, name, geometry);
        self.note_seekers(&content, name);
        if let Some(mirror) = &mut self.mirror {
            mirror.returned(&content);
        }
        if ctx.config.topology.is_owner() {
            // Who asked before it was hashed was told that it is not here.
            self.tell_cut(ctx, content);
            self.links
                .on(&content)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|conn| self.begin_seeding(ctx, conn, content));
        }
        self.tell_haves(ctx, content);
        self.announce_soon(ctx);
        true
    }

    /// A shared file is not offered any more.
    pub(crate) fn on_withdrawn(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        name: &str,
        reason: RefuseReason,
    ) {
        if ctx.catalogue.remove_name(&content, name) {
            ctx.catalogue.note_gone(content, reason);
            self.withdraw_everywhere(ctx, content, reason);
            self.withdraw_offers(ctx, &content);
            if let Some(mirror) = &mut self.mirror {
                mirror.gone(content);
            }
        } else {
            self.withdraw_from_beginners(ctx, content, reason);
        }
        self.announce_soon(ctx);
    }

    /// Makes a connection's outbox full again, now that the driver has room: frames, pages, haves, the next chunk.
    pub(crate) fn refill(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if !connection.outbox_is_empty() || !matches!(connection.phase, Phase::Greeting | Phase::Open) {
            return;
        }
        if connection.pong {
            connection.pong = false;
            connection.outbox.encode(&Frame::Pong);
        }
        if !connection.outbox.encode_queue() || connection.phase != Phase::Open {
            return;
        }
        if !connection.page_waits
            && let Some(request) = connection.catalogue_asks.pop_front()
            && let Some(page) = self.look_for_page(ctx, conn, request)
            && let Some(connection) = ctx.conns.native_mut(conn)
        {
            connection.outbox.encode(&Frame::CataloguePage(page));
        }
        self.encode_haves(ctx, conn);
        self.begin_upload(ctx, conn);
    }

    /// Seeks the sources of every download, and the peers that somebody named while something is looked for.
    pub(crate) fn seek_all_sources(&mut self, ctx: &mut Ctx) {
        if !ctx.config.topology.finds_peers() {
            return self.seek_neighbours(ctx);
        }
        for content in self.downloader.wanting() {
            self.seek_sources(ctx, content);
        }
        if self.searches.len() > 0 {
            self.dial_fixed_peers(ctx);
        }
        self.walk_all_for_mirror(ctx);
    }

    fn on_catalogue_page(&mut self, ctx: &mut Ctx, conn: ConnId, page: CataloguePage) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let (Some(key), Some(identity)) = (connection.walks.pop_front(), &connection.identity) else {
            return self.close_for_fault(ctx, conn, "sent a catalogue page nobody asked for");
        };
        if key == NEIGHBOUR_WALK {
            return self.on_neighbour_page(ctx, conn, page);
        }
        let peer = identity.peer;
        let last = page.entries.last().map(|entry| (entry.id, entry.name.clone()));
        // The last page, or one that pretends that more follows nothing, ends the walk.
        let next = last.filter(|_| page.more);
        let (generation, entries) = (page.generation, page.entries.len());
        self.on_catalogue(ctx, &peer, generation, None, page.entries, 0);
        if key == MIRROR_KEY {
            return self.on_mirror_page(ctx, conn, &peer, generation, entries, next);
        }
        let Some(search) = self.searches.get_mut(key) else { return };
        if search.walked(ctx.now, conn, entries, next.is_some(), &ctx.config.limits) {
            let wanted = search.wanted.clone();
            return self.request_page(ctx, conn, key, CatalogueRequest { wanted, after: next });
        }
        self.step_search(ctx, key);
    }
}

/// The channel that a frame is about.
fn channel_of(frame: &Frame) -> Option<u32> {
    match frame {
        Frame::Open { channel, .. }
        | Frame::Withdraw { channel, .. }
        | Frame::ManifestRequest { channel, .. }
        | Frame::HaveMap { channel, .. }
        | Frame::Have { channel, .. }
        | Frame::Request { channel, .. }
        | Frame::Cancel { channel, .. }
        | Frame::Revoke { channel, .. }
        | Frame::Reject { channel, .. }
        | Frame::Bad { channel, .. }
        | Frame::Show { channel }
        | Frame::Idle { channel } => Some(*channel),
        Frame::ManifestPage(page) => Some(page.channel),
        _ => None,
    }
}
