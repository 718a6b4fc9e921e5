//! Serving: requests in, chunks and pages out.

use crate::core::connection::Kind;
use crate::core::door::{ConnId, Event, Output, SpanFault, SpanSource, StoreJob};
use crate::core::downloader::Downloader;
use crate::core::http;
use crate::core::peer::Peer;
use crate::core::session::{CATALOGUE_ASKS_MAX, ListOut, Outgoing, Phase};
use crate::core::timers::Timer;
use crate::core::uploader::Ask;
use crate::types::bitfield::Bitfield;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::message::{CatalogueRequest, Frame, RefuseReason};

/// So often one connection may say that a chunk from here is bad; an honest one leaves before.
const BAD_CLAIMS_MAX: u32 = 8;

impl Peer {
    /// Makes a connection's outbox full again, now that the driver has room: frames, pages, haves, the next chunk.
    pub(in crate::core) fn refill(&mut self, now: Time, conn: ConnId) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if !connection.outbox_is_empty() || !matches!(connection.phase, Phase::Greeting | Phase::Open) {
            return;
        }
        if connection.pong {
            connection.pong = false;
            connection.encode(&Frame::Pong);
        }
        if !connection.encode_queue() || connection.phase != Phase::Open {
            return;
        }
        if !connection.page_waits
            && let Some(request) = connection.catalogue_asks.pop_front()
            && let Some(page) = self.look_for_page(now, conn, request)
            && let Some(connection) = self.connections.native_mut(conn)
        {
            connection.encode(&Frame::CataloguePage(page));
        }
        self.encode_haves(conn);
        self.begin_upload(now, conn);
    }

    pub(in crate::core) fn on_sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let done = connection.sent(now, bytes);
        self.uploader.carried(now, bytes);
        if !connection.lists_out.is_empty() {
            self.tell_lists(conn);
        }
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if let Some(out) = done {
            connection.requests.give_back();
            connection.payload = Some(now);
            let content = out.content;
            let event = Event::ChunkSent {
                content: out.content,
                chunk: out.chunk,
                bytes: out.len,
                of: out.of,
                to: connection.peer_ref(),
                took: now.since(out.began),
            };
            self.event(event);
            self.note_dealt(now, conn, out.content, out.chunk);
            self.uploader.finish(conn, now, u64::from(out.len));
            self.grant_uploads(now);
            self.note_room(now, content);
            self.review_leaving(now, false);
        } else {
            self.uploader.moved(conn, now);
        }
        self.read_next_manifest(conn);
    }

    /// What a connection's outbox told of what is here is out.
    fn tell_lists(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let (to, lists) = (connection.peer_ref(), std::mem::take(&mut connection.lists_out));
        for ListOut { content, new, have, of } in lists {
            self.event(Event::ListSent { content, new, have, of, to: to.clone() });
        }
    }

    pub(in crate::core) fn on_catalogue_request(
        &mut self,
        now: Time,
        conn: ConnId,
        request: CatalogueRequest,
    ) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.catalogue_asks.len() >= CATALOGUE_ASKS_MAX {
            return self.close_for_fault(now, conn, "asks faster than it reads");
        }
        connection.catalogue_asks.push_back(request);
        self.wake(now, conn);
    }

    pub(in crate::core) fn on_request(&mut self, now: Time, conn: ConnId, theirs: u32, chunk: u32) {
        let Some((number, channel)) =
            self.connections.native(conn).and_then(|c| c.channels.of_theirs(theirs))
        else {
            return self.close_for_fault(now, conn, "asked for a chunk of nothing");
        };
        let content = channel.content;
        let Some(cut) = channel.our_cut.filter(|_| !channel.withdrawn) else {
            return self.reject_request(now, conn, number, content, chunk, RefuseReason::Unknown);
        };
        if chunk >= cut.chunks() {
            return self.close_for_fault(now, conn, "asked for a chunk that does not exist");
        }
        let holding = self.catalogue.get(&content);
        let here =
            holding.is_some_and(|held| held.is_complete() || (held.geometry == cut && held.has(chunk)));
        // A seed of a mesh hides what it assigns to others from who goes by what it is shown; who does not is served all the same.
        let hidden =
            !self.config.topology.is_mesh() && channel.shown.as_ref().is_some_and(|shown| !shown.has(chunk));
        if !here || hidden {
            return self.reject_request(now, conn, number, content, chunk, RefuseReason::NotHere);
        }
        if self.leaving.is_some() || self.uploader.queued(conn) >= self.config.limits.queued_requests_max {
            return self.reject_request(now, conn, number, content, chunk, RefuseReason::Busy);
        }
        let had = channel.remote.as_ref().map_or(0, Bitfield::count);
        if !self.connections.native_mut(conn).is_some_and(|connection| connection.requests.take(now)) {
            self.counters.add("requests over the allowance");
            return self.reject_request(now, conn, number, content, chunk, RefuseReason::Busy);
        }
        let bytes = cut.chunk_span(chunk).map_or(0, |(_, len)| len);
        let ask = Ask { channel: number, content, chunk, bytes };
        self.uploader.push(conn, ask, u64::from(had), u64::from(cut.chunks()));
        self.end_idleness();
        if !self.config.topology.is_mesh() {
            self.note_taker(conn);
            if let Some(by) = self.connections.native(conn).map(|connection| connection.peer_ref()) {
                self.event(Event::RequestReceived { content, chunk, by });
            }
        }
        self.grant_uploads(now);
    }

    pub(in crate::core) fn on_cancel(&mut self, now: Time, conn: ConnId, theirs: u32, chunk: u32) {
        let Some((number, _)) = self.connections.native(conn).and_then(|c| c.channels.of_theirs(theirs))
        else {
            return self.close_for_fault(now, conn, "cancelled a chunk of nothing");
        };
        self.uploader.cancel(conn, number, chunk);
        self.grant_uploads(now);
    }

    /// Somebody would rather have a chunk from elsewhere: if it was not begun, they hear that it will not come.
    pub(in crate::core) fn on_recall(&mut self, now: Time, conn: ConnId, theirs: u32, chunk: u32) {
        let Some((number, _)) = self.connections.native(conn).and_then(|c| c.channels.of_theirs(theirs))
        else {
            return self.close_for_fault(now, conn, "recalled a chunk of nothing");
        };
        if self.uploader.cancel(conn, number, chunk) {
            // A swarm's own recalls are few. Whoever makes more pays for them as for what it cancels.
            if self.connections.native_mut(conn).is_some_and(|connection| connection.recalls.take(now)) {
                self.give_request_back(conn);
            }
            self.say(now, conn, Frame::Reject { channel: number, chunk, reason: RefuseReason::Recalled });
            self.grant_uploads(now);
        }
    }

    /// A receiver says that a chunk from here was not what the id demands: the store hashes it again, unless it just did.
    /// Anybody can say so, and hashing costs more than saying.
    pub(in crate::core) fn on_bad(&mut self, now: Time, conn: ConnId, theirs: u32, chunk: u32) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        connection.bad_claims = connection.bad_claims.saturating_add(1);
        if connection.bad_claims > BAD_CLAIMS_MAX {
            return self.close_for_fault(now, conn, "finds too many chunks bad");
        }
        let Some((_, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(now, conn, "found a chunk of nothing bad");
        };
        let content = channel.content;
        if let Some(cut) = channel.our_cut.filter(|cut| chunk < cut.chunks() && !channel.withdrawn) {
            let to = connection.peer_ref();
            self.event(Event::ChunkUnsent { content, chunk, to, why: "found bad by the receiver" });
            if !self.catalogue.take_recheck(now, &content, self.config.limits.recheck_gap) {
                return self.counters.add("bad chunks told too soon after others");
            }
            self.output(Output::Store(StoreJob::Recheck { content, chunk, chunk_bytes: cut.chunk_bytes() }));
        }
    }

    /// A file is not what it was. A chunk whose header is out was promised, and that promise cannot be kept: the
    /// connection is closed. Before that, a rejection will do.
    pub(in crate::core) fn on_span_failed(
        &mut self,
        now: Time,
        conn: ConnId,
        source: SpanSource,
        why: SpanFault,
    ) {
        let SpanSource::Content(content) = source else { return };
        let reason = reason_of(why);
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let Some(out) = connection.outgoing.filter(|out| out.content == content) else { return };
        let channel = connection.channels.of(&content).map(|(number, _)| number);
        match (connection.take_back_chunk(), channel) {
            (Some(_), Some(channel)) => {
                self.uploader.end_turn(conn);
                self.give_request_back(conn);
                self.reject(now, conn, channel, content, out.chunk, reason);
                self.grant_uploads(now);
            }
            _ => {
                let to = connection.peer_ref();
                self.event(Event::ChunkUnsent { content, chunk: out.chunk, to, why: reason.text() });
                self.close(now, conn, None);
            }
        }
    }

    /// Gives free upload slots to who waits for one.
    pub(in crate::core) fn grant_uploads(&mut self, now: Time) {
        let scarce_first = self.config.limits.tactics.scarce_first;
        while let Some(conn) =
            self.uploader.grant(now, |content| copies(&self.downloader, scarce_first, content))
        {
            match self.connections.kind(conn) {
                Some(Kind::Http) => {
                    self.http(now, conn, |_, ctx, conn, reader| http::wake(ctx, conn, reader))
                }
                Some(Kind::Classic) => self.classic(now, |_, ctx| ctx.rouse(conn)),
                _ => self.wake(now, conn),
            }
        }
        match self.uploader.deadline(now) {
            Some(at) => self.timers.set(Timer::UploadSlot, at),
            None => self.timers.clear(Timer::UploadSlot),
        }
    }

    /// A request that comes to nothing. Each is told and logged, so nobody may make many of them.
    fn reject_request(
        &mut self,
        now: Time,
        conn: ConnId,
        channel: u32,
        content: ContentId,
        chunk: u32,
        reason: RefuseReason,
    ) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if !connection.rejections.take(now) {
            return self.close_for_fault(now, conn, "asks for what it cannot have again and again");
        }
        self.reject(now, conn, channel, content, chunk, reason);
    }

    /// A request of this connection's comes to nothing through this peer, so it may make another.
    pub(in crate::core) fn give_request_back(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.native_mut(conn) {
            connection.requests.give_back();
        }
    }

    /// Tells somebody that a chunk will not come.
    pub(in crate::core) fn reject(
        &mut self,
        now: Time,
        conn: ConnId,
        channel: u32,
        content: ContentId,
        chunk: u32,
        reason: RefuseReason,
    ) {
        let why = reason.text();
        match self.connections.kind(conn) {
            Some(Kind::Http) => return self.lose_reader(now, conn, why),
            Some(Kind::Classic) => {
                return self.classic(now, |classic, ctx| classic.end_serving(ctx, conn, why));
            }
            _ => {}
        }
        let Some(connection) = self.connections.native(conn) else { return };
        let to = connection.peer_ref();
        let opened = connection.channels.get(channel).is_some_and(|channel| channel.opened);
        self.event(Event::ChunkUnsent { content, chunk, to, why });
        // On a channel that was refused before it was ever opened, the refusal says it all.
        if opened {
            self.say(now, conn, Frame::Reject { channel, chunk, reason });
        }
    }

    /// If it is this connection's turn, the next chunk it asked for goes behind the outbox.
    fn begin_upload(&mut self, now: Time, conn: ConnId) {
        let scarce_first = self.config.limits.tactics.scarce_first;
        let ask = self.uploader.begin(conn, now, |content| copies(&self.downloader, scarce_first, content));
        let Some(ask) = ask else { return };
        let Some(connection) = self.connections.native_mut(conn) else { return };
        let cut = connection.channels.get(ask.channel).and_then(|channel| channel.our_cut);
        let Some((cut, (offset, len))) = cut.and_then(|cut| Some((cut, cut.chunk_span(ask.chunk)?))) else {
            self.uploader.end_turn(conn);
            return self.grant_uploads(now);
        };
        let Ask { channel, content, chunk, .. } = ask;
        connection.begin_chunk(
            channel,
            Outgoing { content, chunk, of: cut.chunks(), offset, len, sent: 0, began: now },
        );
        self.note_room(now, content);
    }
}

/// How many neighbours have each chunk of a content that is being fetched here, if that is to matter to who is served.
fn copies<'a>(downloader: &'a Downloader, scarce_first: bool, content: &ContentId) -> Option<&'a [u16]> {
    let download = downloader.get(content).filter(|_| scarce_first)?;
    Some(&download.availability)
}

/// What others are told of a fault of a shared file.
pub(in crate::core) fn reason_of(why: SpanFault) -> RefuseReason {
    match why {
        SpanFault::Changed => RefuseReason::Changed,
        SpanFault::Gone => RefuseReason::Gone,
        SpanFault::Unreadable => RefuseReason::Unreadable,
    }
}
