//! Serving: requests in, chunks, pages and manifests out.

use crate::core::context::Later;
use crate::core::io::{ConnId, Event, Output, SpanFault, SpanSource, StoreJob};
use crate::core::native::session::{CATALOGUE_REQUESTS_MAX, ListOut, Outgoing, Phase as ConnectionPhase};
use crate::core::native::upload::seeding::Change;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::core::uploader::UploadRequest;
use crate::types::manifest::ManifestPage;
use crate::types::{Bitfield, ContentId};
use crate::wire::message::{CatalogueRequest, Frame, RefuseReason};

/// So often one connection may say that a chunk from here is bad; an honest one leaves before.
const BAD_CLAIMS_MAX: u32 = 8;

impl Engine {
    pub(crate) fn on_sent(&mut self, ctx: &mut Ctx, conn: ConnId, bytes: u64) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let done = connection.sent(ctx.now, bytes);
        ctx.uploads.carried(ctx.now, bytes);
        if !connection.lists_out.is_empty() {
            self.tell_lists(ctx, conn);
        }
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if let Some(out) = done {
            connection.requests.give_back();
            connection.payload = Some(ctx.now);
            let content = out.content;
            let event = Event::ChunkSent {
                content: out.content,
                chunk: out.chunk,
                bytes: out.len,
                of: out.of,
                to: connection.peer_ref(),
                took: ctx.now.since(out.began),
            };
            ctx.outputs.event(event);
            self.note_seeding(ctx, out.content, [Change::Sent(conn, out.chunk)]);
            ctx.uploads.finish(conn, ctx.now, u64::from(out.len));
            self.grant_uploads(ctx);
            self.note_room(ctx, content);
            ctx.after.review_leaving = true;
        } else {
            ctx.uploads.moved(conn, ctx.now);
        }
        self.read_next_manifest(ctx, conn);
    }

    /// What a connection's outbox told of what is here is out.
    fn tell_lists(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let (to, lists) = (connection.peer_ref(), std::mem::take(&mut connection.lists_out));
        for ListOut { content, new, have, of } in lists {
            ctx.outputs.event(Event::ListSent { content, new, have, of, to: to.clone() });
        }
    }

    pub(crate) fn on_catalogue_request(&mut self, ctx: &mut Ctx, conn: ConnId, request: CatalogueRequest) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.catalogue_asks.len() >= CATALOGUE_REQUESTS_MAX {
            return self.close_for_fault(ctx, conn, "asks faster than it reads");
        }
        connection.catalogue_asks.push_back(request);
        self.wake(ctx, conn);
    }

    pub(crate) fn on_request(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, chunk: u32) {
        let Some((number, channel)) = ctx.conns.native(conn).and_then(|c| c.channels.of_theirs(theirs))
        else {
            return self.close_for_fault(ctx, conn, "asked for a chunk of nothing");
        };
        let content = channel.content;
        let mut request = UploadRequest { channel: number, content, chunk, bytes: 0 };
        let Some(cut) = channel.our_cut.filter(|_| !channel.withdrawn) else {
            return self.reject_request(ctx, conn, request, RefuseReason::Unknown);
        };
        if chunk >= cut.chunks() {
            return self.close_for_fault(ctx, conn, "asked for a chunk that does not exist");
        }
        let holding = ctx.catalogue.get(&content);
        let here =
            holding.is_some_and(|held| held.is_complete() || (held.geometry == cut && held.has(chunk)));
        let hidden = !ctx.config.topology.serves_unadvertised()
            && channel.advertised.as_ref().is_some_and(|advertised| !advertised.bits().get(chunk));
        if !here || hidden {
            return self.reject_request(ctx, conn, request, RefuseReason::NotHere);
        }
        if ctx.is_leaving || ctx.uploads.queued(conn) >= ctx.config.limits.queued_requests_max {
            return self.reject_request(ctx, conn, request, RefuseReason::Busy);
        }
        let had = channel.remote.as_ref().map_or(0, Bitfield::count);
        if !ctx.conns.native_mut(conn).is_some_and(|connection| connection.requests.take(ctx.now)) {
            ctx.counters.add("requests over the allowance");
            return self.reject_request(ctx, conn, request, RefuseReason::Busy);
        }
        request.bytes = cut.chunk_span(chunk).map_or(0, |(_, len)| len);
        ctx.uploads.push(conn, request, u64::from(had), u64::from(cut.chunks()));
        self.end_idleness(ctx);
        if ctx.config.topology.follows_lists() {
            self.note_taker(ctx, conn);
            if let Some(by) = ctx.conns.native(conn).map(|connection| connection.peer_ref()) {
                ctx.outputs.event(Event::RequestReceived { content, chunk, by });
            }
        }
        self.grant_uploads(ctx);
    }

    pub(crate) fn on_cancel(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, chunk: u32) {
        let Some((number, _)) = ctx.conns.native(conn).and_then(|c| c.channels.of_theirs(theirs)) else {
            return self.close_for_fault(ctx, conn, "cancelled a chunk of nothing");
        };
        ctx.uploads.cancel(conn, number, chunk);
        self.grant_uploads(ctx);
    }

    /// A peer revokes a request: if the chunk was not begun, the peer hears that it will not come.
    pub(crate) fn on_revoke(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, chunk: u32) {
        let Some((number, _)) = ctx.conns.native(conn).and_then(|c| c.channels.of_theirs(theirs)) else {
            return self.close_for_fault(ctx, conn, "recalled a chunk of nothing");
        };
        if ctx.uploads.cancel(conn, number, chunk) {
            // A swarm revokes few requests. A peer that revokes more pays for them as for those it cancels.
            if ctx.conns.native_mut(conn).is_some_and(|connection| connection.revokes.take(ctx.now)) {
                self.give_request_back(ctx, conn);
            }
            self.say(ctx, conn, Frame::Reject { channel: number, chunk, reason: RefuseReason::Revoked });
            self.grant_uploads(ctx);
        }
    }

    /// A receiver says that a chunk from here was not what the id demands: the store hashes it again, unless it just did.
    /// Anybody can say so, and hashing costs more than saying.
    pub(crate) fn on_bad(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, chunk: u32) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.bad_claims = connection.bad_claims.saturating_add(1);
        if connection.bad_claims > BAD_CLAIMS_MAX {
            return self.close_for_fault(ctx, conn, "finds too many chunks bad");
        }
        let Some((_, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "found a chunk of nothing bad");
        };
        let content = channel.content;
        if let Some(cut) = channel.our_cut.filter(|cut| chunk < cut.chunks() && !channel.withdrawn) {
            let to = connection.peer_ref();
            ctx.outputs.event(Event::ChunkUnsent { content, chunk, to, why: "found bad by the receiver" });
            if !ctx.catalogue.take_recheck(ctx.now, &content, ctx.config.limits.recheck_gap) {
                return ctx.counters.add("bad chunks told too soon after others");
            }
            ctx.outputs.push(Output::Store(StoreJob::Recheck {
                content,
                chunk,
                chunk_bytes: cut.chunk_bytes(),
            }));
        }
    }

    /// A file is not what it was. A chunk whose header is out was promised, and that promise cannot be kept: the
    /// connection is closed. Before that, a rejection will do.
    pub(crate) fn on_span_failed(&mut self, ctx: &mut Ctx, conn: ConnId, source: SpanSource, why: SpanFault) {
        let SpanSource::Content(content) = source else { return };
        let reason = why.reason();
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some(out) = connection.outgoing.filter(|out| out.content == content) else { return };
        let channel = connection.channels.of(&content).map(|(number, _)| number);
        match (connection.take_back_chunk(), channel) {
            (Some(_), Some(channel)) => {
                ctx.uploads.end_turn(conn);
                self.give_request_back(ctx, conn);
                let request = UploadRequest { channel, content, chunk: out.chunk, bytes: out.len };
                self.reject(ctx, conn, request, reason);
                self.grant_uploads(ctx);
            }
            _ => {
                let to = connection.peer_ref();
                ctx.outputs.event(Event::ChunkUnsent { content, chunk: out.chunk, to, why: reason.text() });
                self.close(ctx, conn, None);
            }
        }
    }

    /// Gives free upload slots to who waits for one.
    pub(crate) fn grant_uploads(&mut self, ctx: &mut Ctx) {
        let scarce_first = ctx.config.limits.tactics.scarce_first;
        while let Some(conn) =
            ctx.uploads.grant(ctx.now, |content| self.copies.find(content).filter(|_| scarce_first))
        {
            if ctx.conns.native(conn).is_some() {
                self.wake(ctx, conn);
            } else if let Some(connection) = ctx.conns.get_mut(conn) {
                connection.note_turn(ctx.now);
                ctx.rouse(conn);
            }
        }
        match ctx.uploads.deadline(ctx.now) {
            Some(at) => ctx.timers.set(Timer::UploadSlot, at),
            None => ctx.timers.clear(Timer::UploadSlot),
        }
    }

    /// A request that comes to nothing. Each is told and logged, so nobody may make many of them.
    fn reject_request(&mut self, ctx: &mut Ctx, conn: ConnId, request: UploadRequest, reason: RefuseReason) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if !connection.rejections.take(ctx.now) {
            return self.close_for_fault(ctx, conn, "asks for what it cannot have again and again");
        }
        self.reject(ctx, conn, request, reason);
    }

    /// A request of this connection's comes to nothing through this peer, so it may make another.
    pub(crate) fn give_request_back(&mut self, ctx: &mut Ctx, conn: ConnId) {
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.requests.give_back();
        }
    }

    /// Tells somebody that a chunk will not come.
    pub(crate) fn reject(&mut self, ctx: &mut Ctx, conn: ConnId, of: UploadRequest, reason: RefuseReason) {
        let UploadRequest { channel, content, chunk, .. } = of;
        if ctx.conns.native(conn).is_none() {
            return ctx.after.later.push(Later::Unserved(conn, reason));
        }
        let Some(connection) = ctx.conns.native(conn) else { return };
        let to = connection.peer_ref();
        let opened = connection.channels.get(channel).is_some_and(|channel| channel.opened);
        ctx.outputs.event(Event::ChunkUnsent { content, chunk, to, why: reason.text() });
        // On a channel that was refused before it was ever opened, the refusal says it all.
        if opened {
            self.say(ctx, conn, Frame::Reject { channel, chunk, reason });
        }
    }

    /// If it is this connection's turn, the next chunk it asked for goes behind the outbox.
    pub(crate) fn begin_upload(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let scarce_first = ctx.config.limits.tactics.scarce_first;
        let copies = |content: &ContentId| self.copies.find(content).filter(|_| scarce_first);
        let request = ctx.uploads.begin(conn, ctx.now, copies);
        let Some(request) = request else { return };
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let cut = connection.channels.get(request.channel).and_then(|channel| channel.our_cut);
        let Some((cut, (offset, len))) = cut.and_then(|cut| Some((cut, cut.chunk_span(request.chunk)?)))
        else {
            ctx.uploads.end_turn(conn);
            return self.grant_uploads(ctx);
        };
        let UploadRequest { channel, content, chunk, .. } = request;
        connection.begin_chunk(
            channel,
            Outgoing { content, chunk, of: cut.chunks(), offset, len, sent: 0, began: ctx.now },
        );
        self.note_room(ctx, content);
    }
}

/// Manifest requests that one connection may have waiting.
const MANIFEST_REQUESTS_MAX: usize = 1_024;

impl Engine {
    pub(crate) fn on_manifest_request(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, first: u32) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((number, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "asked for the manifest of nothing");
        };
        if channel.withdrawn || channel.our_cut.is_none() {
            // They hear, or heard, a refusal.
            return;
        }
        if connection.manifest_asks.len() >= MANIFEST_REQUESTS_MAX {
            return self.close_for_fault(ctx, conn, "asks faster than it reads");
        }
        connection.manifest_asks.push_back((number, first));
        self.read_next_manifest(ctx, conn);
    }

    /// The store gave a page that somebody asked for, or could not.
    pub(crate) fn on_manifest_read(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        page: Option<Box<ManifestPage>>,
    ) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.manifest_job = false;
        match (page, connection.channels.of_mut(&content)) {
            (Some(page), Some(_)) => self.say(ctx, conn, Frame::ManifestPage(*page)),
            (None, Some((number, channel))) if !channel.withdrawn => {
                channel.withdrawn = true;
                self.say(ctx, conn, Frame::Withdraw { channel: number, reason: RefuseReason::Unreadable });
            }
            _ => {}
        }
        self.read_next_manifest(ctx, conn);
    }

    /// Has the store read the next page for a connection: one at a time, and only while what was read goes out.
    pub(crate) fn read_next_manifest(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.manifest_job
            || connection.outbox.queued() >= 4
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
            return ctx.outputs.push(Output::Store(job));
        }
    }
}
