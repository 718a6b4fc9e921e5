//! A chunk's way in: begun, whole, handed to the store, stored; or rejected, bad, or not to be written.

use std::time::Duration;

use crate::core::connections::Connections;
use crate::core::io::{BufferId, ConnId, Event, FailReason, Fault, Output, StoreJob};
use crate::core::native::download::state::{Phase, Storing, smoothed};
use crate::core::native::session::{Incoming, Phase as ConnectionPhase};
use crate::core::native::{Ctx, Engine};
use crate::types::{Bitfield, ContentId};
use crate::wire::message::{Frame, RefuseReason};

/// A peer that rejected a request is left alone for so long.
const REJECTED_PAUSE: Duration = Duration::from_millis(500);

impl Engine {
    pub(crate) fn on_chunk_header(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        theirs: u32,
        chunk: u32,
        bytes: u32,
    ) {
        let Some((_, channel)) = ctx.conns.native(conn).and_then(|c| c.channels.of_theirs(theirs)) else {
            return self.close_for_fault(ctx, conn, "sent a chunk of nothing");
        };
        let content = channel.content;
        let cut = channel.their_cut;
        if cut.and_then(|cut| cut.chunk_span(chunk)).is_none_or(|(_, len)| len != bytes) {
            return self.close_for_fault(ctx, conn, "sent a chunk of wrong length");
        }
        let download = self.downloader.get_mut(&content);
        let asked = download.and_then(|download| download.flights.begin(chunk, conn, ctx.now));
        let waited = asked.map(|asked| ctx.now.since(asked));
        // The memory set aside for the request becomes the buffer's.
        let buffer = asked.map(|_| self.downloader.take_buffer(bytes));
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if let Some(waited) = waited {
            connection.turn = Some(smoothed(connection.turn, waited));
        }
        // Of two answers to a chunk that was cancelled and asked for again, the first is taken and the other passed over.
        let expected = buffer.is_some() || connection.forget_cancelled(content, chunk);
        connection.incoming = Some(Incoming { content, chunk, buffer, at: 0, len: bytes });
        if !expected {
            self.close_for_fault(ctx, conn, "sent a chunk nobody asked for");
        }
    }

    pub(crate) fn on_payload(&mut self, ctx: &mut Ctx, conn: ConnId, bytes: u64) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.heard = ctx.now;
        connection.pinged = false;
        let Some(incoming) = &mut connection.incoming else { return };
        incoming.at = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(incoming.at).min(incoming.len);
        if incoming.at < incoming.len {
            return;
        }
        let Incoming { content, chunk, buffer, .. } = *incoming;
        connection.incoming = None;
        connection.payload = Some(ctx.now);
        if let Some(buffer) = buffer {
            let from = connection.peer_ref();
            let remote = connection.channels.of(&content).and_then(|(_, channel)| channel.remote.as_ref());
            // A seed that assigns shows only some of what it has.
            let told = || from.id.is_some_and(|peer| self.directory.holds_all(&peer, &content));
            let from_complete = remote.is_some_and(Bitfield::is_full) || told();
            connection.asked = connection.asked.saturating_sub(1);
            let pace = &mut connection.pace;
            let download = self.downloader.get_mut(&content);
            let flight = download.and_then(|download| {
                let flight = download.flights.remove(chunk, conn)?;
                if let Some(begun) = flight.begun {
                    *pace = Some(smoothed(*pace, ctx.now.since(begun)));
                    download.note_pace(ctx.now.since(begun));
                }
                let is_proof = matches!(download.phase, Phase::Proving(_));
                let new = (download.is_running() || is_proof) && !download.storing.contains_key(&chunk);
                let storing = Storing { conn, from, from_complete, asked: flight.asked };
                new.then(|| download.storing.insert(chunk, storing));
                new.then_some(is_proof)
            });
            match flight {
                Some(_) if !self.mirror_reserves(&content) => {
                    if let Some(download) = self.downloader.get_mut(&content) {
                        download.storing.remove(&chunk);
                    }
                    self.downloader.free_buffer(buffer);
                    ctx.outputs.push(Output::Release(buffer));
                    self.cancel_download(ctx, content);
                }
                Some(true) => return self.store_single_chunk(ctx, content, buffer),
                Some(false) => {
                    ctx.outputs.push(Output::Store(StoreJob::WriteChunk { content, chunk, buffer }))
                }
                None => {
                    self.downloader.free_buffer(buffer);
                    ctx.outputs.push(Output::Release(buffer));
                }
            }
        }
        self.request_chunks(ctx, content);
        self.retry_blocked(ctx);
    }

    pub(crate) fn on_reject(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        theirs: u32,
        chunk: u32,
        reason: RefuseReason,
    ) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((_, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "rejected a chunk of nothing");
        };
        let content = channel.content;
        let flight = self.downloader.get(&content).and_then(|download| download.flights.at(chunk, conn));
        let is_revoked = reason == RefuseReason::Revoked;
        let revoked =
            flight.and_then(|flight| Some((flight.revoked?.0, flight.moved))).filter(|_| is_revoked);
        // A request that was given back without having been revoked is one from before the one that stands.
        let is_former = is_revoked && revoked.is_none();
        if is_former || !self.drop_flight(ctx, content, chunk, conn) {
            if let Some(connection) = ctx.conns.native_mut(conn) {
                connection.forget_cancelled(content, chunk);
            }
            return;
        }
        if let Some((to, moved)) = revoked {
            return self.request_elsewhere(ctx, content, chunk, to, moved);
        }
        // Who rejects as fast as it is asked would keep both sides busy with nothing else.
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.busy_until = connection.busy_until.max(ctx.now + REJECTED_PAUSE);
        }
        if reason != RefuseReason::Busy {
            self.count_remote(ctx, conn, &content, false);
            if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content))
                && let Some(remote) = &mut channel.remote
            {
                remote.clear(chunk);
            }
            self.count_remote(ctx, conn, &content, true);
        }
        self.miss(ctx, content, chunk, conn, reason.text());
        self.request_manifest_anywhere(ctx, content);
        self.request_chunks(ctx, content);
        self.retry_blocked(ctx);
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
                self.reject(ctx, conn, request, RefuseReason::NotHere);
            }
            self.request_chunks(ctx, content);
        }
    }

    /// Panics when requests and connections do not agree.
    pub(crate) fn check_flights(&self, conns: &Connections) {
        let mut asked = std::collections::BTreeMap::new();
        for (content, download) in self.downloader.iter() {
            for (chunk, flight) in
                download.flights.iter().flat_map(|(c, flights)| flights.iter().map(move |f| (c, f)))
            {
                let count = asked.entry(flight.conn).or_insert(0_usize);
                *count = count.saturating_add(1);
                let connection = conns.native(flight.conn);
                assert!(
                    connection.is_some_and(|c| c.phase == ConnectionPhase::Open),
                    "{content:?} {chunk} flies"
                );
            }
            if download.is_running() {
                let mut counts = vec![0u16; self.copies.of(&content).len()];
                for conn in self.links.on(&content).filter(|conn| self.is_counted(conns, *conn, &content)) {
                    let remote = conns.native(conn).and_then(|c| c.channels.of(&content)?.1.remote.as_ref());
                    for chunk in remote.into_iter().flat_map(Bitfield::iter) {
                        let Some(count) = counts.get_mut(chunk as usize) else { continue };
                        *count = count.saturating_add(1);
                    }
                }
                assert_eq!(
                    counts,
                    self.copies.of(&content),
                    "{content:?}: availability is what the peers have"
                );
            }
        }
        for (conn, connection) in conns.natives().filter(|(_, c)| c.phase == ConnectionPhase::Open) {
            let expected = asked.get(&conn).copied().unwrap_or(0);
            assert_eq!(expected, connection.asked, "{conn} is asked for so many chunks");
        }
    }
}
