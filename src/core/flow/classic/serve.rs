//! Serving classic peers: a request in, a chunk of a shared file or a kept one out.

use crate::core::classic::conversation::{Conversation, Side};
use crate::core::classic::serving::{Sent, Sought, Source, Stage, Waits};
use crate::core::door::{ClassicEvent, ClassicJob, ConnId, Event, Output, SpanFault, SpanSource, StoreJob};
use crate::core::flow::serve::reason_of;
use crate::core::peer::Peer;
use crate::types::time::Time;
use crate::wire::classic::request::Request;

/// So often one connection may ask for what is not here. Each is told and logged.
const MISSES_MAX: u32 = 64;

impl Peer {
    pub(super) fn on_request_bytes(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let serving = self.connections.classic_mut(conn).and_then(Conversation::as_serving);
        match serving.map(|serving| serving.push(bytes)) {
            Some(Ok((used, request))) => {
                if let Some(request) = request {
                    self.on_classic_request(now, conn, request);
                }
                used
            }
            Some(Err(_)) => {
                self.counters.add("classic requests that are none");
                self.end_serving(conn, "no request");
                bytes.len()
            }
            None => 0,
        }
    }

    fn on_classic_request(&mut self, now: Time, conn: ConnId, request: Request) {
        let Some(conversation) = self.connections.classic_mut(conn) else { return };
        let Request { key, name, dialect } = request;
        // One dialect asks as another does, and has to be named by who knows: for this peer, or for all.
        let classic = self.config.classic.as_ref();
        let of_peer =
            classic.and_then(|classic| classic.dialects.get(&conversation.transport.addr.ip())).copied();
        let of_all = classic
            .and_then(|classic| classic.speaks)
            .filter(|speaks| speaks.name_form() == dialect.name_form());
        let named = of_peer.or(of_all).filter(|named| named.request_key() == key);
        let dialect = named.unwrap_or(dialect);
        let sought = Sought { name, dialect, began: now };
        let Some(serving) = conversation.as_serving() else { return };
        serving.stage = Stage::Looking(sought.clone());
        serving.moved = now;
        match self.classic.shelf.find(&sought.name).filter(|(content, _)| self.is_whole(content)) {
            Some((content, size)) => {
                let range = sought.dialect.chunk_rule().range(size, sought.name.index());
                let found = range.map(|range| {
                    (Source::Content(content, range.start), range.end.saturating_sub(range.start))
                });
                self.answer_classic(now, conn, found);
            }
            None => {
                let job = ClassicJob::OpenChunk { conn, name: sought.name };
                self.output(Output::Store(StoreJob::Classic(job)));
                self.review_classic(now, conn);
            }
        }
    }

    fn is_whole(&self, content: &crate::types::id::ContentId) -> bool {
        self.catalogue.get(content).is_some_and(|holding| holding.is_complete())
    }

    /// The store has looked for a kept chunk.
    pub(super) fn on_chunk_opened(&mut self, now: Time, conn: ConnId, bytes: Option<u64>) {
        let serving = self.connections.classic_mut(conn).and_then(Conversation::as_serving);
        if serving.is_some_and(|serving| matches!(serving.stage, Stage::Looking(_))) {
            let found = bytes.filter(|bytes| *bytes > 0).map(|bytes| (Source::Kept, bytes));
            self.answer_classic(now, conn, found);
            if bytes.is_some() && found.is_none() {
                self.close_chunk(conn);
            }
        } else if bytes.is_some() {
            // Who asked is gone.
            self.close_chunk(conn);
        }
    }

    fn answer_classic(&mut self, now: Time, conn: ConnId, found: Option<(Source, u64)>) {
        let Some(conversation) = self.connections.classic_mut(conn) else { return };
        let to = conversation.transport.addr;
        let Some(serving) = conversation.as_serving() else { return };
        let Stage::Looking(sought) = &serving.stage else { return };
        let sought = sought.clone();
        let name = sought.name.clone();
        serving.answer(now, sought, found);
        if found.is_none() {
            serving.missed = serving.missed.saturating_add(1);
            let again_and_again = serving.missed > MISSES_MAX;
            self.event(Event::Classic(ClassicEvent::ChunkUnsent { name, to, why: "not here" }));
            if again_and_again {
                self.counters.add("classic connections closed for asking for what is not here");
                return self.end_serving(conn, "not here");
            }
        }
        self.go_on_serving(now, conn);
    }

    pub(super) fn on_answer_sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let Some(conversation) = self.connections.classic_mut(conn) else { return };
        let to = conversation.transport.addr;
        let Some(serving) = conversation.as_serving() else { return };
        let sent = serving.sent(now, bytes);
        let Stage::Answering(answer) = &serving.stage else { return };
        if sent == Sent::Payload {
            let (sought, bytes) = (answer.sought.clone(), answer.bytes);
            let kept = answer.source == Some(Source::Kept);
            self.event(Event::Classic(ClassicEvent::ChunkSent {
                name: sought.name,
                bytes,
                to,
                dialect: sought.dialect,
                took: now.since(sought.began),
            }));
            if kept {
                self.close_chunk(conn);
            }
        }
        self.go_on_serving(now, conn);
    }

    /// Takes an answer's next step, where it is none that sends.
    fn go_on_serving(&mut self, now: Time, conn: ConnId) {
        let Some(serving) = self.connections.classic_mut(conn).and_then(Conversation::as_serving) else {
            return;
        };
        let turned = serving.turn(now);
        let over = turned && (serving.ended || (self.leaving.is_some() && !serving.is_busy()));
        if over {
            return self.end_serving(conn, "the connection ended");
        }
        self.review_classic(now, conn);
        // A new stage may mean to read again, which a driver that only writes would not notice.
        let asleep = self.connections.classic(conn).is_some_and(|conversation| conversation.transport.asleep);
        if turned || asleep {
            self.rouse(conn);
        }
    }

    /// A shared file is not what it was, or a kept chunk cannot be read. What was begun cannot be kept.
    pub(in crate::core) fn on_classic_span_failed(&mut self, conn: ConnId, _: SpanSource, why: SpanFault) {
        self.end_serving(conn, reason_of(why).text());
    }

    /// A side that serves ends, with nothing more said; `why` is told if a chunk was to be sent.
    pub(super) fn end_serving(&mut self, conn: ConnId, why: &'static str) {
        let Some(conversation) = self.connections.classic_mut(conn) else { return };
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
            self.event(Event::Classic(ClassicEvent::ChunkUnsent { name, to, why }));
        }
        if kept {
            self.close_chunk(conn);
        }
        self.classic.served.remove(&(to.ip(), conn));
        self.end_conversation(conn);
    }

    /// A deadline of a side that serves came: when to look again.
    pub(super) fn review_serving(&mut self, now: Time, conn: ConnId) -> Option<Time> {
        let limits = &self.config.limits;
        let waits = Waits {
            request: limits.handshake_deadline,
            idle: limits.classic_idle_max,
            stall: limits.send_stall_max,
            linger: limits.classic_linger,
        };
        let serving = self.connections.classic_mut(conn).and_then(Conversation::as_serving)?;
        let pause_end = match &serving.stage {
            Stage::Answering(answer) => answer.pause_end,
            _ => None,
        };
        if pause_end.is_some_and(|end| end <= now) {
            self.go_on_serving(now, conn);
            return None;
        }
        let deadline = pause_end.unwrap_or_else(|| serving.deadline(&waits));
        if deadline > now {
            return Some(deadline);
        }
        if matches!(serving.stage, Stage::Listening) && !serving.answered {
            self.counters.add("classic connections without a request");
        }
        self.end_serving(conn, "takes no bytes");
        None
    }

    fn close_chunk(&mut self, conn: ConnId) {
        self.output(Output::Store(StoreJob::Classic(ClassicJob::CloseChunk { conn })));
    }
}
