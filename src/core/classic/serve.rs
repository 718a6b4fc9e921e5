//! Serving classic peers: a request in, a chunk of a shared file or a kept one out.

use crate::core::classic::conversation::{Conversation, Side};
use crate::core::classic::serving::{Sent, Sought, Source, Stage};
use crate::core::classic::{Ctx, Engine};
use crate::core::io::{ClassicEvent, ClassicJob, ConnId};
use crate::types::{ContentId, Time};
use crate::wire::classic::request::Request;

/// So often one connection may ask for what is not here. Each is told and logged.
const MISSES_MAX: u32 = 64;

impl Engine {
    pub(super) fn on_request_bytes(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: &[u8]) -> usize {
        let serving = ctx.conns.get_mut(conn).and_then(Conversation::as_serving);
        match serving.map(|serving| serving.push(bytes)) {
            Some(Ok((used, request))) => {
                if let Some(request) = request {
                    self.on_request(ctx, conn, request);
                }
                used
            }
            Some(Err(_)) => {
                ctx.counters.add("classic requests that are none");
                self.end_serving(ctx, conn, "no request");
                bytes.len()
            }
            None => 0,
        }
    }

    fn on_request(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, request: Request) {
        let Some(conversation) = ctx.conns.get_mut(conn) else { return };
        let Request { key, name, dialect } = request;
        // One dialect asks as another does, and has to be named by who knows: for this peer, or for all.
        let Some(classic) = &ctx.config.classic else { return };
        let of_peer = classic.dialects.get(&conversation.transport.addr.ip()).copied();
        let of_all = classic.speaks.filter(|speaks| speaks.name_form() == dialect.name_form());
        let named = of_peer.or(of_all).filter(|named| named.request_key() == key);
        let dialect = named.unwrap_or(dialect);
        let sought = Sought { name, dialect, began: ctx.now };
        let Some(serving) = conversation.as_serving() else { return };
        serving.stage = Stage::Looking(sought.clone());
        serving.moved = ctx.now;
        let is_whole =
            |content: &ContentId| ctx.catalogue.get(content).is_some_and(|holding| holding.is_complete());
        match self.catalogue.find(&sought.name).filter(|(content, _)| is_whole(content)) {
            Some((content, size)) => {
                let range = sought.dialect.chunk_rule().range(size, sought.name.index());
                let found = range.map(|range| {
                    (Source::Content(content, range.start), range.end.saturating_sub(range.start))
                });
                self.answer(ctx, conn, found);
            }
            None if self.catalogue.is_of_another(&sought.name) => self.answer(ctx, conn, None),
            None => {
                ctx.store(ClassicJob::OpenChunk { conn, name: sought.name });
                self.review(ctx, conn);
            }
        }
    }

    /// The store has looked for a kept chunk.
    pub(super) fn on_chunk_opened(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: Option<u64>) {
        let serving = ctx.conns.get_mut(conn).and_then(Conversation::as_serving);
        if serving.is_some_and(|serving| matches!(serving.stage, Stage::Looking(_))) {
            let found = bytes.filter(|bytes| *bytes > 0).map(|bytes| (Source::Kept, bytes));
            self.answer(ctx, conn, found);
            if bytes.is_some() && found.is_none() {
                ctx.store(ClassicJob::CloseChunk { conn });
            }
        } else if bytes.is_some() {
            // Who asked is gone.
            ctx.store(ClassicJob::CloseChunk { conn });
        }
    }

    fn answer(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, found: Option<(Source, u64)>) {
        let Some(conversation) = ctx.conns.get_mut(conn) else { return };
        let to = conversation.transport.addr;
        let Some(serving) = conversation.as_serving() else { return };
        let Stage::Looking(sought) = &serving.stage else { return };
        let sought = sought.clone();
        let name = sought.name.clone();
        serving.answer(ctx.now, sought, found);
        if found.is_none() {
            serving.missed = serving.missed.saturating_add(1);
            let again_and_again = serving.missed > MISSES_MAX;
            ctx.tell(ClassicEvent::ChunkUnsent { name, to, why: "not here" });
            if again_and_again {
                ctx.counters.add("classic connections closed for asking for what is not here");
                return self.end_serving(ctx, conn, "not here");
            }
        }
        self.go_on_serving(ctx, conn);
    }

    pub(super) fn on_answer_sent(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: u64) {
        let Some(conversation) = ctx.conns.get_mut(conn) else { return };
        let to = conversation.transport.addr;
        let Some(serving) = conversation.as_serving() else { return };
        let had_slot = serving.has_slot();
        let mut sent = serving.sent(ctx.now, bytes);
        ctx.uploads.carried(ctx.now, bytes);
        if sent == Sent::Some && had_slot && !ctx.uploads.moved(conn, ctx.now) && serving.cut_turn() {
            sent = Sent::Turn;
        }
        match sent {
            Sent::Turn | Sent::Payload if had_slot => ctx.uploads.end_turn(conn),
            // The last bytes went while it stood in line for them.
            Sent::Payload => ctx.uploads.remove(conn),
            Sent::Some | Sent::Turn => {}
        }
        ctx.after.grant_uploads |= sent != Sent::Some;
        let Stage::Answering(answer) = &serving.stage else { return };
        if sent == Sent::Payload {
            let (sought, bytes) = (answer.sought.clone(), answer.bytes);
            let kept = answer.source == Some(Source::Kept);
            ctx.tell(ClassicEvent::ChunkSent {
                name: sought.name,
                bytes,
                to,
                dialect: sought.dialect,
                took: ctx.now.since(sought.began),
            });
            if kept {
                ctx.store(ClassicJob::CloseChunk { conn });
            }
        }
        self.go_on_serving(ctx, conn);
    }

    /// If it is this receiver's turn, bytes of its chunk may go.
    pub(crate) fn refill(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(serving) = ctx.conns.get_mut(conn).and_then(Conversation::as_serving) else { return };
        if serving.request().is_some() && ctx.uploads.begin(conn, ctx.now, |_| None).is_some() {
            serving.begin_turn(ctx.now);
        }
    }

    /// Takes an answer's next step, where it is none that sends.
    fn go_on_serving(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(serving) = ctx.conns.get_mut(conn).and_then(Conversation::as_serving) else {
            return;
        };
        let turned = serving.turn(ctx.now);
        let over = turned && (serving.ended || (ctx.is_leaving && !serving.is_busy()));
        if over {
            return self.end_serving(ctx, conn, "the connection ended");
        }
        if let Some(request) = serving.request().filter(|_| ctx.uploads.queued(conn) == 0) {
            ctx.uploads.add_outside(conn, request);
            ctx.after.grant_uploads = true;
        }
        self.review(ctx, conn);
        // A new stage may mean to read again, which a driver that only writes would not notice.
        let asleep = ctx.conns.get(conn).is_some_and(|conversation| conversation.transport.asleep);
        if turned || asleep {
            ctx.rouse(conn);
        }
    }

    /// A side that serves ends, with nothing more said: what was begun cannot be kept. `why` is told if a chunk was to be sent.
    pub(crate) fn end_serving(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, why: &'static str) {
        let Some(conversation) = ctx.conns.get_mut(conn) else { return };
        let to = conversation.transport.addr;
        let Side::Serving(serving) = &conversation.side else { return };
        let (unsent, kept) = match &serving.stage {
            Stage::Looking(sought) => (Some(sought.name.clone()), false),
            Stage::Answering(answer) if answer.is_owing() => {
                (Some(answer.sought.name.clone()), answer.source == Some(Source::Kept))
            }
            _ => (None, false),
        };
        if let Some(name) = unsent {
            ctx.tell(ClassicEvent::ChunkUnsent { name, to, why });
        }
        if kept {
            ctx.store(ClassicJob::CloseChunk { conn });
        }
        self.served.remove(&(to.ip(), conn));
        if ctx.uploads.serves(conn) {
            ctx.after.grant_uploads = true;
        }
        ctx.uploads.remove(conn);
        ctx.end(conn);
    }

    /// A deadline of a side that serves came: when to look again.
    pub(super) fn review_serving(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) -> Option<Time> {
        let serving = ctx.conns.get_mut(conn).and_then(Conversation::as_serving)?;
        let pause_end = match &serving.stage {
            Stage::Answering(answer) => answer.pause_end,
            _ => None,
        };
        if pause_end.is_some_and(|end| end <= ctx.now) {
            self.go_on_serving(ctx, conn);
            return None;
        }
        let deadline = pause_end.unwrap_or_else(|| serving.deadline(ctx.now, &ctx.config.limits));
        if deadline > ctx.now {
            return Some(deadline);
        }
        if serving.send_meanwhile(ctx.now) {
            ctx.rouse(conn);
            return Some(ctx.now + ctx.config.limits.send_stall_max);
        }
        if matches!(serving.stage, Stage::Listening) && !serving.answered {
            ctx.counters.add("classic connections without a request");
        }
        self.end_serving(ctx, conn, "takes no bytes");
        None
    }
}
