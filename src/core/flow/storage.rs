//! What the store answers, and what follows from it.

use crate::core::door::{
    BufferId, Event, FailReason, Fault, Output, PartState, SpanFault, StoreJob, StoreReply,
};
use crate::core::downloader::Phase;
use crate::core::flow::serve::reason_of;
use crate::core::peer::Peer;
use crate::types::bitfield::Bitfield;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::message::{Delivery, Frame, RefuseReason};

impl Peer {
    pub(in crate::core) fn on_stored(&mut self, now: Time, reply: StoreReply) {
        match reply {
            StoreReply::Offered { content, name, size } => self.on_offered(now, content, name, size),
            StoreReply::Withdrawn { content, name, why } => self.on_withdrawn(now, content, name, why),
            StoreReply::PartOpened { content, state } => self.on_part_opened(now, content, state),
            StoreReply::PartCreated { content } => self.on_part_created(now, content),
            StoreReply::PartFailed { content, fault } => self.on_part_failed(now, content, fault),
            StoreReply::ChunkStored { content, chunk, buffer } => {
                self.on_chunk_stored(now, content, chunk, buffer)
            }
            StoreReply::ChunkBad { content, chunk, buffer } => self.on_chunk_bad(now, content, chunk, buffer),
            StoreReply::ChunkFailed { content, chunk, buffer, fault } => {
                self.on_chunk_failed(now, content, chunk, buffer, fault);
            }
            StoreReply::WholeStored { content, path, buffer } => {
                self.on_whole_stored(now, content, path, buffer);
            }
            StoreReply::Published { content, path } => self.on_published(now, content, path),
            StoreReply::PartClosed { content } => self.on_part_closed(now, content),
            StoreReply::ManifestRead { conn, content, page } => {
                self.on_manifest_read(now, conn, content, page)
            }
            StoreReply::Rechecked { content, chunk, good } => self.on_rechecked(now, content, chunk, good),
            StoreReply::Classic(reply) => self.classic(now, |classic, ctx| classic.replied(ctx, reply)),
            StoreReply::Foreign(reply) => self.on_transfer_stored(now, reply),
        }
    }

    fn on_offered(&mut self, now: Time, content: ContentId, name: String, size: u64) {
        let Ok(geometry) = self.config.topology.cut(size, self.config.limits.tactics.chunk_bytes) else {
            return;
        };
        self.catalogue.add_complete(content, &name, geometry);
        self.note_seekers(&content, &name);
        if let Some(mirror) = &mut self.mirror {
            mirror.returned(&content);
        }
        if self.config.topology.is_owner() {
            // Who asked before it was hashed was told that it is not here.
            self.tell_cut(now, content);
            self.links
                .on(&content)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|conn| self.seat(now, conn, content));
        }
        self.tell_haves(now, content);
        self.announce_soon(now);
        self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, size));
        self.event(Event::Offered { content, name, size });
    }

    fn on_withdrawn(&mut self, now: Time, content: ContentId, name: String, why: SpanFault) {
        let reason = reason_of(why);
        if self.catalogue.remove_name(&content, &name) {
            self.catalogue.note_gone(content, reason);
            self.withdraw_everywhere(now, content, reason);
            self.withdraw_pushes(now, &content);
            if let Some(mirror) = &mut self.mirror {
                mirror.gone(content);
            }
        } else {
            self.withdraw_from_beginners(now, content, reason);
        }
        self.announce_soon(now);
        self.classic(now, |classic, ctx| classic.withdraw(ctx, content, &name));
        self.event(Event::Withdrawn { content, name, why });
    }

    fn on_part_opened(&mut self, now: Time, content: ContentId, state: PartState) {
        let state = match state {
            PartState::Complete { geometry, path } => {
                PartState::Complete { geometry: self.owners_cut(geometry, true).unwrap_or(geometry), path }
            }
            PartState::Resumed { geometry, .. } if self.owners_cut(geometry, false).is_none() => {
                return self.refuse_part(now, content);
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
                download.supplied = now;
                if let Some(mirror) = &mut self.mirror {
                    mirror.nothing_there(&content);
                }
                self.request_manifest_anywhere(now, content);
                self.seek_sources(now, content);
            }
            PartState::Resumed { geometry, have } => {
                download.geometry = Some(geometry);
                if !self.is_as_offered(now, content, geometry.size_bytes()) {
                    return;
                }
                if have.count() > 0 && !self.mirror_reserves(&content) {
                    return self.cancel_download(now, content);
                }
                self.run_download(now, content, have);
            }
            PartState::Complete { geometry, path } => {
                let (name, took) = (download.name.clone(), now.since(download.began));
                self.catalogue.add_complete(content, &name, geometry);
                self.announce_soon(now);
                let bytes = geometry.size_bytes();
                self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, bytes));
                self.mirror_finished(now, &content, None);
                self.event(Event::Finished { content, path, bytes, took, peers: 0 });
                self.conclude_offers(now, content, Delivery::Verified);
                self.end_download(now, content);
                self.tell_cut(now, content);
            }
            PartState::Skipped { path } => {
                self.event(Event::Skipped { content, path });
                self.conclude_offers(now, content, Delivery::Cancelled);
                self.end_download(now, content);
            }
        }
    }

    fn on_part_created(&mut self, now: Time, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        if let (Phase::Creating, Some(geometry)) = (&download.phase, download.geometry) {
            self.run_download(now, content, Bitfield::empty(geometry.chunks()));
        }
    }

    /// The part is open and the manifest verified: chunks can come.
    fn run_download(&mut self, now: Time, content: ContentId, have: Bitfield) {
        let Some(download) = self.downloader.get_mut(&content) else { return };
        let Some(geometry) = download.geometry else { return };
        download.phase = Phase::Running;
        download.supplied = now;
        let (name, had) = (download.name.clone(), have.count());
        self.catalogue.add_part(content, &name, geometry, have);
        self.event(Event::Started { content, geometry, had });
        self.announce_soon(now);
        self.seek_receivers(now, content);
        self.count_all_remotes(&content);
        self.tell_cut(now, content);
        if self.publish_if_complete(now, content) {
            return;
        }
        self.ask_for_chunks(now, content);
        self.seek_sources(now, content);
    }

    fn on_chunk_stored(&mut self, now: Time, content: ContentId, chunk: u32, buffer: BufferId) {
        self.downloader.free_buffer(buffer);
        let stored = self.downloader.get_mut(&content).and_then(|download| {
            let storing = download.storing.remove(&chunk)?;
            download.contributors.insert(storing.from.addr);
            Some((storing, download.geometry?.chunk_span(chunk)?.1))
        });
        if let Some((storing, bytes)) = stored {
            self.note_use(storing.conn, &storing.from);
            if self.catalogue.add_chunk(&content, chunk) {
                self.event(Event::ChunkReceived {
                    content,
                    chunk,
                    bytes,
                    from: storing.from,
                    from_complete: storing.from_complete,
                    took: now.since(storing.asked),
                });
                self.tell_haves(now, content);
                self.note_room(now, content);
            }
            self.cancel_others(now, content, chunk);
            self.note_supplied(now, content);
            self.mirror_came(now, &content);
            if !self.publish_if_complete(now, content) {
                self.ask_for_chunks(now, content);
            }
        }
        self.feed_starving(now);
    }

    fn on_chunk_bad(&mut self, now: Time, content: ContentId, chunk: u32, buffer: BufferId) {
        self.downloader.free_buffer(buffer);
        let storing = self.downloader.get_mut(&content).and_then(|download| download.storing.remove(&chunk));
        if let Some(storing) = storing {
            let from = storing.from;
            self.event(Event::ChunkMissed { content, chunk, from: from.clone(), why: "hash-mismatch" });
            let number =
                self.connections.native(storing.conn).and_then(|c| c.channels.of(&content)).map(|(n, _)| n);
            if let Some(channel) = number {
                self.say(now, storing.conn, Frame::Bad { channel, chunk });
            }
            if self.dialer.bad_chunk(from.addr) >= self.config.limits.bad_chunks_max {
                self.strike(now, storing.conn, "sent bad chunks");
            }
            self.on_disproved(now, content);
            self.mirror_missed(now, &content);
            self.ask_for_chunks(now, content);
        }
        self.feed_starving(now);
    }

    fn on_chunk_failed(&mut self, now: Time, content: ContentId, chunk: u32, buffer: BufferId, fault: Fault) {
        self.downloader.free_buffer(buffer);
        if let Some(download) = self.downloader.get_mut(&content) {
            download.storing.remove(&chunk);
        }
        self.fail_download(now, content, FailReason::Storage(fault));
        self.feed_starving(now);
    }

    fn on_part_failed(&mut self, now: Time, content: ContentId, fault: Fault) {
        self.fail_download(now, content, FailReason::Storage(fault));
    }

    fn on_published(&mut self, now: Time, content: ContentId, path: std::path::PathBuf) {
        let Some(download) = self.downloader.get(&content) else { return };
        let (Phase::Publishing, Some(geometry)) = (&download.phase, download.geometry) else { return };
        let (took, peers) = (now.since(download.began), download.contributors.len());
        let (name, bytes) = (download.name.clone(), geometry.size_bytes());
        self.catalogue.add_complete(content, &name, geometry);
        self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, bytes));
        self.mirror_finished(now, &content, Some(bytes));
        self.event(Event::Finished { content, path, bytes, took, peers });
        self.conclude_offers(now, content, Delivery::Verified);
        self.end_download(now, content);
        self.end_sated_channels(now, &content);
    }

    fn on_part_closed(&mut self, now: Time, content: ContentId) {
        let closing =
            |download: &crate::core::downloader::Download| matches!(download.phase, Phase::ClosingPart);
        if self.downloader.get(&content).is_some_and(closing) {
            self.end_download(now, content);
        }
    }

    /// Of a part, a chunk that is not right any more is fetched again; a shared file is withdrawn by the store.
    fn on_rechecked(&mut self, now: Time, content: ContentId, chunk: u32, good: bool) {
        if good {
            return;
        }
        self.event(Event::Warning(format!(
            "chunk {chunk} of {content} was found bad by a receiver, and it is: the file changed or the disk fails"
        )));
        if self.downloader.get(&content).is_some_and(|download| download.is_running()) {
            self.catalogue.remove_chunk(&content, chunk);
            for (conn, ask) in self.uploader.cancel_chunk(&content, chunk) {
                self.give_request_back(conn);
                self.reject(now, conn, ask.channel, content, chunk, RefuseReason::NotHere);
            }
            self.ask_for_chunks(now, content);
        }
    }

    /// Everybody who named the content before its cut was known hears it now.
    fn tell_cut(&mut self, now: Time, content: ContentId) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            self.open_channel(now, conn, content);
        }
    }

    /// Has the store publish a download that has every chunk. True when it has.
    fn publish_if_complete(&mut self, now: Time, content: ContentId) -> bool {
        let complete = self.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        if complete && self.downloader.publish(&content) {
            self.output(Output::Store(StoreJob::Publish { content }));
            self.activate_downloads(now);
        }
        complete
    }
}
