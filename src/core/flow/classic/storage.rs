//! What the store answers to the jobs of the classic dialects, and what follows from it.

use std::collections::BTreeSet;

use crate::core::classic::conversation::Side;
use crate::core::classic::fetches::{Fetch, Had, State, TargetLook};
use crate::core::door::{
    ClassicEvent, ClassicFailure, ClassicJob, ClassicReply, ConnId, Event, Fault, Output, SpoolId, StoreJob,
};
use crate::core::peer::Peer;
use crate::types::time::Time;
use crate::wire::classic::ChunkName;

impl Peer {
    pub(in crate::core) fn on_classic_stored(&mut self, now: Time, reply: ClassicReply) {
        match reply {
            ClassicReply::Kept { chunks } => self.on_kept(now, chunks),
            ClassicReply::ChunkOpened { conn, bytes } => self.on_chunk_opened(now, conn, bytes),
            ClassicReply::Digested { chunks, now } => self.on_digested(&chunks, now),
            ClassicReply::SpoolFailed { spool, fault } => self.on_spool_failed(now, spool, fault),
            ClassicReply::ChunkKept { spool, name, bytes } => self.on_chunk_kept(now, spool, name, bytes),
            ClassicReply::TargetFree { ticket } => {
                if let Some(fetch) = self.classic.fetches.get_mut(ticket) {
                    fetch.target = Some(TargetLook::Free);
                    self.review_fetch(now, ticket);
                }
            }
            ClassicReply::TargetLeft { ticket, path } => {
                if self.end_fetch(now, ticket).is_some() {
                    self.event(Event::Classic(ClassicEvent::Skipped { ticket, path }));
                }
                self.review_leaving(now, false);
            }
            ClassicReply::Merged { ticket, path, bytes } => {
                if let Some(fetch) = self.end_fetch(now, ticket) {
                    self.drop_replaced(&fetch);
                    let (took, peers) = (now.since(fetch.began), fetch.contributors.len());
                    let event = ClassicEvent::Finished { ticket, path, bytes, took, peers };
                    self.event(Event::Classic(event));
                }
                self.review_leaving(now, false);
            }
            ClassicReply::MergeFailed { ticket, fault } => {
                self.fail_fetch(now, ticket, ClassicFailure::Storage(fault));
                self.review_leaving(now, false);
            }
            ClassicReply::DictionaryRead { dictionary } => self.on_dictionary_read(now, dictionary),
        }
    }

    /// A file is whole without these: they were kept under other names than what came in their place, and are not to
    /// be announced and served on.
    fn drop_replaced(&mut self, fetch: &Fetch) {
        let joined: BTreeSet<&ChunkName> = fetch.had().map(|(_, had)| &had.name).collect();
        let is_of_use = |name: &ChunkName| joined.contains(name) || self.classic.fetches.are_with(name);
        let replaced: Vec<&ChunkName> = fetch.replaced.iter().filter(|name| !is_of_use(name)).collect();
        for name in replaced {
            self.classic.shelf.drop_kept(name);
            self.output(Output::Store(StoreJob::Classic(ClassicJob::DropChunk { name: name.clone() })));
        }
    }

    fn on_kept(&mut self, now: Time, chunks: Vec<(ChunkName, u64)>) {
        let news = self.classic.shelf.set_kept(chunks);
        if self.classic.round_due {
            self.send_classic_round();
        } else if news {
            self.announce_classic_soon(now);
        }
        for ticket in self.classic.fetches.tickets() {
            if let Some(fetch) = self.classic.fetches.get_mut(ticket) {
                fetch.listed = true;
            }
        }
        self.review_fetches(now);
    }

    fn on_chunk_kept(&mut self, now: Time, spool: SpoolId, name: ChunkName, bytes: u64) {
        let stored = self.classic.fetches.storing(spool);
        self.spools.free(spool);
        let rule = stored.and_then(|(ticket, _)| Some(self.classic.fetches.get(ticket)?.rule));
        self.classic.shelf.keep(name.clone(), bytes, rule);
        self.announce_classic_soon(now);
        let fetch =
            stored.and_then(|(ticket, index)| Some((ticket, index, self.classic.fetches.get_mut(ticket)?)));
        let Some((ticket, index, fetch)) = fetch else { return };
        let Some(chunk) = fetch.chunks.get_mut(&index) else { return };
        let State::Storing(arrival) = std::mem::take(&mut chunk.state) else { return };
        let (from, dialect) = (arrival.from, arrival.dialect);
        chunk.state = State::Had(Had { name: name.clone(), bytes, from: Some(from) });
        fetch.contributors.insert(from.ip());
        fetch.progress = now;
        let took = now.since(arrival.began);
        let event = ClassicEvent::ChunkReceived { ticket, name, bytes, from, dialect, took };
        self.event(Event::Classic(event));
        self.review_fetches(now);
    }

    fn on_spool_failed(&mut self, now: Time, spool: SpoolId, fault: Fault) {
        let asked = self.connections.classics().find_map(|(conn, conversation)| {
            let asking = match &conversation.side {
                Side::Asking(asking) => asking,
                _ => return None,
            };
            (asking.spool == spool).then_some((conn, asking.ticket))
        });
        let stored = self.classic.fetches.storing(spool);
        let ticket = asked.map(|(_, ticket): (ConnId, u32)| ticket).or(stored.map(|(ticket, _)| ticket));
        if let Some(ticket) = ticket {
            self.fail_fetch(now, ticket, ClassicFailure::Storage(fault));
        }
        self.spools.free(spool);
        self.review_leaving(now, false);
    }
}
