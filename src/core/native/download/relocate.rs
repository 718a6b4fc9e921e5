//! Requests that wait at a busy holder move to one that has nothing to send.
//!
//! Whoever was asked first is asked not to send, and says so if it has not begun: only then is another asked, so that nothing
//! comes twice.

use crate::core::io::ConnId;
use crate::core::native::download::flights::Flight;
use crate::core::native::session::Incoming;
use crate::core::native::{Ctx, Engine};
use crate::core::picker;
use crate::types::ContentId;
use crate::wire::message::Frame;
use std::time::Duration;

/// A holder whose chunks take so many times as long as those of others gets only what nobody else was asked for.
const SLOW: u32 = 3;
/// A chunk that is coming in is asked of another, too, if it would come so many times as soon from there.
const SOONER: u32 = 2;
/// A request stays where it is if it will not wait so many times as long as a chunk takes: it may have been begun already.
const WAITS_LONG: u32 = 3;
/// The same, however short chunks take: so much may lie in buffers on the way.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// Who has so many chunks coming in waits for its own link, not for holders: nothing is moved.
const COMING_ENOUGH: usize = 3;
/// A holder that does not say in this time whether a request was revoked in time has much under way, or is gone: the request is
/// cancelled.
const ANSWER_MAX: Duration = Duration::from_millis(50);
/// A holder of which so much was asked since it said that it idles gets nothing more in the place of another; what nobody was asked
/// for it gets a little longer (`upload/idle.rs`).
const ASKED_FEW: usize = 2;

/// A holder of which so much was asked does not idle any more. Over a slow link it is heard late that one idles, and several times
/// at once: without this bound, most of what is asked for at all would soon wait at the slowest.
const ASKED_MAX: usize = 3;

impl Engine {
    /// All that is missing is asked for: what would wait longest elsewhere is asked of an idle holder instead, and what comes
    /// in slowly is asked of it, too.
    fn move_to(&mut self, ctx: &mut Ctx, content: ContentId, conn: ConnId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let Some(usual) = download.pace else { return };
        let coming = download.flights.values().flatten().filter(|flight| flight.begun.is_some()).count();
        let Some(connection) = ctx.conns.native(conn).filter(|_| coming < COMING_ENOUGH) else {
            return;
        };
        let pace = connection.pace.unwrap_or(usual);
        if pace > usual.saturating_mul(SLOW) {
            return;
        }
        let single = download.flights.iter().filter_map(|(chunk, flights)| match flights.as_slice() {
            [flight] => Some((*chunk, flight)),
            _ => None,
        });
        let movable = single.filter(|(chunk, flight)| {
            flight.conn != conn
                && flight.revoked.is_none_or(|(_, since)| ctx.now.since(since) >= ANSWER_MAX)
                // Unasked it moves once: who moves a request again and again gets each answer that crossed, and keeps none.
                && (!flight.moved || self.is_asked_first(ctx, flight))
                && !connection.was_cancelled(&content, *chunk)
                && !download.storing.contains_key(chunk)
                && self.may_request(ctx, conn, &content, *chunk)
        });
        let left = movable.map(|(chunk, flight)| {
            let waits = flight.begun.is_none();
            let left =
                if waits { self.wait_left(ctx, flight) } else { self.rest_left(ctx, chunk, flight, usual) };
            (waits, left, chunk, flight.conn, self.is_asked_first(ctx, flight))
        });
        let Some((waits, left, chunk, from, asks_first)) = left.max() else { return };
        let worth = match waits {
            true => left > usual.saturating_mul(WAITS_LONG).max(WAIT_MIN),
            false => left > pace.saturating_mul(SOONER),
        };
        if !worth {
            return;
        }
        if asks_first {
            return self.revoke(ctx, content, chunk, from, conn);
        }
        if waits {
            self.cancel(ctx, from, content, chunk);
        }
        if self.request(ctx, content, chunk, conn) {
            self.note_moved(content, chunk, conn);
        }
    }

    /// Whether a holder is asked first before a request there moves. Behind a chunk that is coming in from there its answer would
    /// be late, and what waits behind that has not been begun.
    fn is_asked_first(&self, ctx: &Ctx, flight: &Flight) -> bool {
        let sends = ctx.conns.native(flight.conn).is_some_and(|connection| connection.incoming.is_some());
        let waits = flight.begun.is_none() && flight.revoked.is_none();
        ctx.config.limits.tactics.revokes && waits && !sends
    }

    pub(crate) fn note_moved(&mut self, content: ContentId, chunk: u32, conn: ConnId) {
        if let Some(download) = self.downloader.get_mut(&content) {
            download.flights.note_moved(chunk, conn);
        }
    }

    /// Asks a holder not to send a chunk, so that another can be asked for it.
    fn revoke(&mut self, ctx: &mut Ctx, content: ContentId, chunk: u32, from: ConnId, to: ConnId) {
        let channel = ctx.conns.native(from).and_then(|connection| connection.channels.of(&content));
        let (Some((channel, _)), Some(download)) = (channel, self.downloader.get_mut(&content)) else {
            return;
        };
        download.flights.note_revoked(chunk, from, to, ctx.now);
        self.say(ctx, from, Frame::Revoke { channel, chunk });
    }

    /// A holder says that a request was revoked in time: the chunk is requested of the holder that it was revoked for, if that still
    /// has room.
    /// `moved`: it had moved unasked before.
    pub(crate) fn request_elsewhere(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        chunk: u32,
        to: ConnId,
        moved: bool,
    ) {
        let is_open = self.downloader.get(&content).is_some_and(|d| d.is_running() && !d.is_under_way(chunk));
        let is_free = ctx.conns.native(to).is_some_and(|connection| connection.asked < ASKED_FEW);
        let offers =
            is_free && self.is_idle_source(ctx, &content, to) && self.may_request(ctx, to, &content, chunk);
        if is_open && offers && self.request(ctx, content, chunk, to) && moved {
            self.note_moved(content, chunk, to);
        }
        self.request_chunks(ctx, content);
        self.retry_blocked(ctx);
    }

    /// How long a request will wait until its chunk is begun, by what others waited there.
    fn wait_left(&self, ctx: &Ctx, flight: &Flight) -> Duration {
        let waited = ctx.now.since(flight.asked);
        let usual = ctx.conns.native(flight.conn).and_then(|connection| connection.turn);
        match usual {
            Some(usual) if waited < usual.saturating_mul(2) => usual.saturating_sub(waited),
            // What has waited for so long may wait as long again.
            _ => waited,
        }
    }

    /// How long a chunk that is coming in will take, if it goes on as it came; nothing before it took as long as `usual`.
    fn rest_left(&self, ctx: &Ctx, chunk: u32, flight: &Flight, usual: Duration) -> Duration {
        let incoming = ctx.conns.native(flight.conn).and_then(|connection| connection.incoming.as_ref());
        let (Some(&Incoming { chunk: coming, at, len, .. }), Some(begun)) = (incoming, flight.begun) else {
            return Duration::ZERO;
        };
        let taken = ctx.now.since(begun);
        match coming == chunk && taken > usual {
            true => taken.saturating_mul(len.saturating_sub(at)).checked_div(at).unwrap_or(Duration::MAX),
            false => Duration::ZERO,
        }
    }

    /// A holder has nothing to send: it is asked for a chunk, beyond the window if need be, or for one that waits elsewhere.
    pub(crate) fn on_idle(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32) {
        let Some((_, channel)) = ctx.conns.native(conn).and_then(|c| c.channels.of_theirs(theirs)) else {
            return self.close_for_fault(ctx, conn, "offers chunks of nothing");
        };
        let content = channel.content;
        let Some(download) = self.downloader.get(&content).filter(|download| download.is_running()) else {
            return;
        };
        let Some(geometry) = download.geometry else { return };
        if !self.is_idle_source(ctx, &content, conn) {
            return;
        }
        let is_free = ctx.conns.native(conn).is_some_and(|connection| connection.asked < ASKED_MAX);
        let window = picker::window_of(&ctx.config.limits, &geometry);
        let room = download.window_used() < window.saturating_add(window.div_ceil(2));
        match self.open_chunks(ctx, &content).and_then(|open| self.pick(ctx, &content, conn, &open)) {
            Some(chunk) if room && (is_free || self.is_there_alone(&content, chunk)) => {
                self.request(ctx, content, chunk, conn);
            }
            None if is_free => self.move_to(ctx, content, conn),
            _ => {}
        }
    }

    /// Whether a chunk is to be had of one holder only, as far as is known here: waiting for another would be worse.
    fn is_there_alone(&self, content: &ContentId, chunk: u32) -> bool {
        self.copies.of(content).get(chunk as usize).is_some_and(|copies| *copies <= 1)
    }
}
