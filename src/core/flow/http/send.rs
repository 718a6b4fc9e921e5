//! An answer's way out: bytes of contents in turns, in the same line as the chunks of native peers.

use std::net::SocketAddr;

use crate::core::door::{ConnId, Event, SpanFault};
use crate::core::flow::serve::reason_of;
use crate::core::http::{Body, Reader, Sent, Stage};
use crate::core::peer::Peer;
use crate::core::uploader::{Ask, TURN_BYTES};
use crate::types::time::Time;
use crate::wire::http::{Status, Stays, refusal};

/// Readers have no channels.
const NO_CHANNEL: u32 = 0;

impl Peer {
    /// Answers with a text alone.
    pub(super) fn say_http(&mut self, now: Time, conn: ConnId, text: Vec<u8>, stays: Stays) {
        if let Some(reader) = self.connections.http_mut(conn) {
            reader.answer(now, text, None, stays);
            self.review_http(now, conn);
            self.wake_http(now, conn);
        }
    }

    /// Answers with a head and bytes of a content behind it, as soon as it is this reader's turn.
    pub(super) fn send_http(&mut self, now: Time, conn: ConnId, head: Vec<u8>, body: Body, stays: Stays) {
        let Some(reader) = self.connections.http_mut(conn) else { return };
        reader.answer(now, head, Some(body), stays);
        self.review_http(now, conn);
        if self.connections.http(conn).is_some_and(Reader::waits) {
            self.line_up_http(now, conn);
        } else {
            self.wake_http(now, conn);
        }
    }

    /// The chunk that the next byte is in is asked for, as a native peer would.
    fn line_up_http(&mut self, now: Time, conn: ConnId) {
        let body = self.connections.http(conn).and_then(Reader::body);
        let Some(body) = body else { return };
        let (content, at) = (body.content, body.at);
        let chunk_bytes = self.catalogue.get(&content).map(|held| u64::from(held.geometry.chunk_bytes()));
        let Some(chunk_bytes) = chunk_bytes else {
            return self.end_reader(now, conn, "the file is gone");
        };
        let chunk =
            at.checked_div(chunk_bytes).and_then(|chunk| u32::try_from(chunk).ok()).unwrap_or(u32::MAX);
        // Readers pass nothing on, so none goes before another, wherever in the file it reads and however often it comes back;
        // among peers they count as half done.
        let into_chunk = at.checked_rem(chunk_bytes).unwrap_or(0);
        let bytes = chunk_bytes.saturating_sub(into_chunk).min(body.range.end.saturating_sub(at));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.uploader.push(conn, Ask { channel: NO_CHANNEL, content, chunk, bytes }, 1, 2);
        self.grant_uploads(now);
    }

    /// If it is this reader's turn, so many bytes may go: to the end of the chunk, or some more as long as they go fast.
    pub(in crate::core) fn refill_http(&mut self, now: Time, conn: ConnId) {
        if !self.connections.http(conn).is_some_and(Reader::waits) {
            return;
        }
        let Some(ask) = self.uploader.begin(conn, now, |_| None) else { return };
        let chunk_bytes = self.catalogue.get(&ask.content).map(|held| u64::from(held.geometry.chunk_bytes()));
        let Some(reader) = self.connections.http_mut(conn) else { return };
        let at = reader.body().map_or(0, |body| body.at);
        // Of a content that is gone, the store will say so.
        let next_chunk = u64::from(ask.chunk).saturating_add(1);
        let end = chunk_bytes.map_or(at.saturating_add(1), |bytes| next_chunk.saturating_mul(bytes));
        reader.begin_turn(now, end, at.saturating_add(TURN_BYTES));
    }

    pub(in crate::core) fn on_http_sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let Some(reader) = self.connections.http_mut(conn) else { return };
        let to = reader.transport.addr;
        self.uploader.carried(now, bytes);
        match reader.sent(now, bytes) {
            Sent::Some => {
                if !self.uploader.moved(conn, now)
                    && self.connections.http_mut(conn).is_some_and(Reader::cut_turn)
                {
                    self.end_turn_http(now, conn);
                }
            }
            Sent::Turn => self.end_turn_http(now, conn),
            Sent::All(body) => {
                if let Some(body) = body {
                    self.uploader.end_turn(conn);
                    self.grant_uploads(now);
                    self.event(Event::HttpSent {
                        content: body.content,
                        first: body.range.start,
                        bytes: body.sent_bytes(),
                        of: body.size,
                        to,
                        took: body.took(now),
                    });
                }
                self.go_on_reading(now, conn);
            }
        }
    }

    fn end_turn_http(&mut self, now: Time, conn: ConnId) {
        self.uploader.end_turn(conn);
        self.line_up_http(now, conn);
    }

    /// An answer is out: the next request may come, or the connection is closed.
    fn go_on_reading(&mut self, now: Time, conn: ConnId) {
        let closes = self.connections.http(conn).is_some_and(|reader| matches!(reader.stage, Stage::Closing));
        if closes || self.leaving.is_some() {
            self.end_reader(now, conn, "the connection ended");
            return self.review_leaving(now, false);
        }
        self.review_http(now, conn);
        // The next request may have come already, which a driver that only writes would not notice.
        self.wake_http(now, conn);
    }

    pub(in crate::core) fn on_http_span_failed(&mut self, now: Time, conn: ConnId, why: SpanFault) {
        self.lose_http(now, conn, reason_of(why).text());
    }

    /// A shared file is not what it was. Before the head is out that can be said; after it, what was promised cannot be kept.
    pub(in crate::core) fn lose_http(&mut self, now: Time, conn: ConnId, why: &'static str) {
        let Some(reader) = self.connections.http(conn) else { return };
        let Some(body) = reader.body().filter(|_| reader.is_unsaid()).cloned() else {
            return self.end_reader(now, conn, why);
        };
        let to = reader.transport.addr;
        self.tell_unsent_http(&body, to, why);
        self.uploader.remove(conn);
        self.say_http(now, conn, refusal(Status::Gone, false, Stays::Closes), Stays::Closes);
        self.grant_uploads(now);
    }

    pub(super) fn tell_unsent_http(&mut self, body: &Body, to: SocketAddr, why: &'static str) {
        self.event(Event::HttpUnsent {
            content: body.content,
            first: body.range.start,
            bytes: body.sent_bytes(),
            asked: body.range.end.saturating_sub(body.range.start),
            of: body.size,
            to,
            why,
        });
    }
}
