//! What the store answers to the jobs of the classic dialects, and what follows from it.

use std::collections::BTreeSet;

use crate::core::classic::conversation::Side;
use crate::core::classic::fetches::{Fetch, Had, State, TargetLook};
use crate::core::classic::{Ctx, Engine};
use crate::core::io::{ClassicEvent, ClassicFailure, ClassicJob, ClassicReply, Fault, SpoolId};
use crate::wire::classic::ChunkName;

impl Engine {
    /// The store has answered.
    pub(crate) fn replied(&mut self, ctx: &mut Ctx<'_>, reply: ClassicReply) {
        match reply {
            ClassicReply::Kept { chunks } => self.on_kept(ctx, chunks),
            ClassicReply::ChunkOpened { conn, bytes } => self.on_chunk_opened(ctx, conn, bytes),
            ClassicReply::Digested { chunks, now } => self.on_digested(ctx, &chunks, now),
            ClassicReply::SpoolFailed { spool, fault } => self.on_spool_failed(ctx, spool, fault),
            ClassicReply::ChunkKept { spool, name, bytes } => self.on_chunk_kept(ctx, spool, name, bytes),
            ClassicReply::TargetFree { ticket } => {
                if let Some(fetch) = self.fetches.get_mut(ticket) {
                    fetch.target = Some(TargetLook::Free);
                    self.review_fetch(ctx, ticket);
                }
            }
            ClassicReply::TargetLeft { ticket, path } => {
                if self.end_fetch(ctx, ticket).is_some() {
                    ctx.tell(ClassicEvent::Skipped { ticket, path });
                }
                ctx.after.review_leaving = true;
            }
            ClassicReply::Merged { ticket, path, bytes } => {
                if let Some(fetch) = self.end_fetch(ctx, ticket) {
                    self.drop_replaced(ctx, &fetch);
                    if let Some(file) = &fetch.file {
                        let chunks = fetch.had().map(|(_, had)| &had.name);
                        self.catalogue.join(&file.merged_name(&fetch.wanted), chunks);
                        self.announce_soon(ctx);
                    }
                    let (took, peers) = (ctx.now.since(fetch.began), fetch.contributors.len());
                    ctx.tell(ClassicEvent::Finished { ticket, path, bytes, took, peers });
                }
                ctx.after.review_leaving = true;
            }
            ClassicReply::MergeFailed { ticket, fault } => {
                self.fail_fetch(ctx, ticket, ClassicFailure::Storage(fault));
                ctx.after.review_leaving = true;
            }
            ClassicReply::DictionaryRead { dictionary } => self.on_dictionary_read(ctx, dictionary),
        }
    }

    /// A file is whole without these: they were kept under other names than what came in their place, and are not to
    /// be announced and served on.
    fn drop_replaced(&mut self, ctx: &mut Ctx<'_>, fetch: &Fetch) {
        let joined: BTreeSet<&ChunkName> = fetch.had().map(|(_, had)| &had.name).collect();
        let is_of_use = |name: &ChunkName| joined.contains(name) || self.fetches.are_with(name);
        let replaced: Vec<&ChunkName> = fetch.replaced.iter().filter(|name| !is_of_use(name)).collect();
        for name in replaced {
            self.catalogue.drop_kept(name);
            ctx.store(ClassicJob::DropChunk { name: name.clone() });
        }
    }

    fn on_kept(&mut self, ctx: &mut Ctx<'_>, chunks: Vec<(ChunkName, u64)>) {
        let news = self.catalogue.set_kept(chunks);
        if self.round_due {
            self.send_round(ctx);
        } else if news {
            self.announce_soon(ctx);
        }
        for ticket in self.fetches.tickets() {
            if let Some(fetch) = self.fetches.get_mut(ticket) {
                fetch.listed = true;
            }
        }
        self.review_fetches(ctx);
    }

    fn on_chunk_kept(&mut self, ctx: &mut Ctx<'_>, spool: SpoolId, name: ChunkName, bytes: u64) {
        let stored = self.fetches.storing(spool);
        ctx.spools.free(spool);
        let rule = stored.and_then(|(ticket, _)| Some(self.fetches.get(ticket)?.rule));
        self.catalogue.keep(name.clone(), bytes, rule);
        let file = stored.and_then(|(ticket, _)| self.fetches.get(ticket)?.file_known());
        if let Some(file) = file {
            self.catalogue.join(&file, [&name]);
        }
        self.announce_soon(ctx);
        let fetch = stored.and_then(|(ticket, index)| Some((ticket, index, self.fetches.get_mut(ticket)?)));
        let Some((ticket, index, fetch)) = fetch else { return };
        let Some(chunk) = fetch.chunks.get_mut(&index) else { return };
        let State::Storing(arrival) = std::mem::take(&mut chunk.state) else { return };
        let (from, dialect) = (arrival.from, arrival.dialect);
        chunk.state = State::Had(Had { name: name.clone(), bytes, from: Some(from) });
        fetch.contributors.insert(from.ip());
        fetch.progress = ctx.now;
        let took = ctx.now.since(arrival.began);
        ctx.tell(ClassicEvent::ChunkReceived { ticket, name, bytes, from, dialect, took });
        self.review_fetches(ctx);
    }

    fn on_spool_failed(&mut self, ctx: &mut Ctx<'_>, spool: SpoolId, fault: Fault) {
        let asked = ctx.conns.iter().find_map(|(_, conversation)| match &conversation.side {
            Side::ChunkRequest(asking) if asking.spool == spool => Some(asking.ticket),
            _ => None,
        });
        if let Some(ticket) = asked.or(self.fetches.storing(spool).map(|(ticket, _)| ticket)) {
            self.fail_fetch(ctx, ticket, ClassicFailure::Storage(fault));
        }
        ctx.spools.free(spool);
        ctx.after.review_leaving = true;
    }
}
