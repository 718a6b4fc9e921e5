//! Requests for chunks: which, to which source, how many at once, and when a second time.

use std::ops::Range;
use std::time::Duration;

use crate::core::io::{ConnId, Event};
use crate::core::native::download::flights::Flight;
use crate::core::native::download::state::Download;
use crate::core::native::session::Phase as ConnectionPhase;
use crate::core::native::{Ctx, Engine};
use crate::core::picker;
use crate::types::{Bitfield, ContentId, Time};
use crate::wire::message::Frame;

/// A late chunk that began so long ago gives up its memory when there is none left.
const TRICKLE_MAX: Duration = Duration::from_secs(60);

impl Engine {
    /// Requests as many chunks of a download as its window, its sources and the buffers allow.
    pub(crate) fn request_chunks(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content).filter(|download| download.is_running()) else {
            return;
        };
        let Some(geometry) = download.geometry else { return };
        let window = picker::window_of(&ctx.config.limits, &geometry);
        let mut room = window.saturating_sub(download.window_used());
        self.downloader.blocked.remove(&content);
        if room == 0 {
            return;
        }
        let mut sources = self.idle_sources(ctx, &content);
        let mut open = self.open_chunks(ctx, &content);
        while room > 0 && !sources.is_empty() {
            // The source with the fewest requests first; of equals, any.
            let fewest = sources.iter().map(|(asked, _)| *asked).min().unwrap_or(0);
            let equals = sources.iter().filter(|(asked, _)| *asked == fewest).count();
            let drawn = ctx.rng.below(equals);
            let of_equals = |(_, (asked, _)): &(usize, &mut (usize, ConnId))| *asked == fewest;
            let Some((at, source)) = sources.iter_mut().enumerate().filter(of_equals).nth(drawn) else {
                break;
            };
            let conn = source.1;
            // A request may have closed it: it reads nothing of what it is asked for.
            let is_open = ctx.conns.native(conn).is_some_and(|c| c.phase == ConnectionPhase::Open);
            let asked_of = open.as_ref().filter(|_| is_open);
            let Some(chunk) = asked_of.and_then(|open| self.pick(ctx, &content, conn, open)) else {
                sources.swap_remove(at);
                continue;
            };
            if !self.request(ctx, content, chunk, conn) {
                self.downloader.blocked.insert(content);
                break;
            }
            source.0 = source.0.saturating_add(1);
            if source.0 >= self.requests_max(ctx) {
                self.downloader.blocked.insert(content);
                sources.swap_remove(at);
            }
            room = room.saturating_sub(1);
            if room > 0 {
                open = self.open_chunks(ctx, &content);
            }
        }
        if room > 0 {
            if self.waits_for_room(ctx, &content) {
                self.downloader.blocked.insert(content);
            }
            self.request_twice(ctx, content);
            self.move_late(ctx, content);
        }
    }

    /// Whether a chunk of a download is not requested because its source has as many requests as it takes, over all downloads:
    /// with many small files that is the usual case.
    fn waits_for_room(&self, ctx: &Ctx, content: &ContentId) -> bool {
        let (Some(download), Some(holding)) = (self.downloader.get(content), ctx.catalogue.get(content))
        else {
            return false;
        };
        let under_way = download.flights.len().saturating_add(download.storing.len());
        let is_full = |conn: ConnId| {
            ctx.conns.native(conn).is_some_and(|connection| connection.asked >= self.requests_max(ctx))
        };
        under_way.saturating_add(holding.count() as usize) < self.copies.of(content).len()
            && self.links.on(content).any(|conn| is_full(conn) && self.is_counted(ctx.conns, conn, content))
    }

    /// A source has some more chunks. As long as the window has room, all others that may be requested are, so only these are
    /// looked at.
    pub(crate) fn request_news(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        conn: ConnId,
        chunks: Range<u32>,
    ) {
        for chunk in chunks {
            let (Some(download), Some(holding)) =
                (self.downloader.get(&content), ctx.catalogue.get(&content))
            else {
                return;
            };
            let Some(geometry) = download.geometry.filter(|_| download.is_running()) else { return };
            let window = picker::window_of(&ctx.config.limits, &geometry);
            if download.window_used() >= window {
                return;
            }
            if holding.has(chunk) {
                continue;
            }
            if download.is_under_way(chunk) {
                self.request_twice(ctx, content);
                self.move_late(ctx, content);
            } else if self.is_idle_source(ctx, &content, conn) && !self.request(ctx, content, chunk, conn) {
                self.downloader.blocked.insert(content);
                return;
            }
        }
    }

    /// Retries the downloads that are blocked: they wanted buffers, or room at a source.
    pub(crate) fn retry_blocked(&mut self, ctx: &mut Ctx) {
        for content in std::mem::take(&mut self.downloader.blocked) {
            self.request_manifest_anywhere(ctx, content);
            self.request_chunks(ctx, content);
        }
    }

    /// All that is missing is in flight: a chunk that is late, or has not begun while sources idle, is requested a second time.
    fn request_twice(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        // In a mesh who idles says so.
        let mesh = ctx.config.topology.tells_idle();
        let single: Vec<(u32, Flight)> = download
            .flights
            .iter()
            .filter_map(|(chunk, flights)| match flights.as_slice() {
                [flight] if !download.storing.contains_key(chunk) => Some((*chunk, *flight)),
                _ => None,
            })
            .filter(|(_, flight)| flight.late || (flight.begun.is_none() && !mesh))
            .collect();
        if single.is_empty() {
            return;
        }
        let sources = self.idle_sources(ctx, &content);
        let mut idle: Vec<ConnId> =
            sources.iter().filter(|(asked, _)| *asked == 0).map(|(_, conn)| *conn).collect();
        let mut busy: Vec<ConnId> =
            sources.iter().filter(|(asked, _)| *asked > 0).map(|(_, conn)| *conn).collect();
        for (chunk, flight) in single {
            let has = |conn: &ConnId| *conn != flight.conn && self.may_request(ctx, *conn, &content, chunk);
            // Only a late request is worth a place at a source that has others to serve.
            let place = idle.iter().position(has).map(|at| idle.swap_remove(at));
            let place = place.or_else(|| {
                flight.late.then(|| busy.iter().position(has).map(|at| busy.swap_remove(at))).flatten()
            });
            if let Some(conn) = place
                && !self.request(ctx, content, chunk, conn)
            {
                return;
            }
        }
    }

    /// Where both requests of a chunk are late and another source has it, one that was not begun moves there. Its source
    /// has shown that it does not answer and is left alone for a while.
    fn move_late(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let both_late =
            |flights: &&Vec<Flight>| flights.len() > 1 && flights.iter().all(|flight| flight.late);
        let late: Vec<(u32, Vec<Flight>)> = download
            .flights
            .iter()
            .filter(|(chunk, flights)| both_late(flights) && !download.storing.contains_key(chunk))
            .map(|(chunk, flights)| (*chunk, flights.clone()))
            .collect();
        for (chunk, flights) in late {
            let asked = |conn: &ConnId| flights.iter().any(|flight| flight.conn == *conn);
            let mut others = self.idle_sources(ctx, &content).into_iter().map(|(_, conn)| conn);
            let other = others.find(|conn| !asked(conn) && self.may_request(ctx, *conn, &content, chunk));
            let unbegun = flights.iter().find(|flight| flight.begun.is_none()).map(|flight| flight.conn);
            let (Some(other), Some(unbegun)) = (other, unbegun) else { continue };
            self.cancel(ctx, unbegun, content, chunk);
            if let Some(connection) = ctx.conns.native_mut(unbegun) {
                connection.busy_until = ctx.now + ctx.config.limits.request_wait_max;
            }
            if !self.request(ctx, content, chunk, other) {
                return;
            }
        }
    }

    /// The sources that take requests for chunks of a download, each with the number of requests it has from us.
    fn idle_sources(&self, ctx: &Ctx, content: &ContentId) -> Vec<(usize, ConnId)> {
        let Some(download) = self.downloader.get(content) else { return Vec::new() };
        self.links
            .on(content)
            .filter_map(|conn| Some((self.idle_load(ctx, content, download, conn)?, conn)))
            .collect()
    }

    /// Whether one connection takes requests for chunks of a download.
    pub(crate) fn is_idle_source(&self, ctx: &Ctx, content: &ContentId, conn: ConnId) -> bool {
        self.downloader
            .get(content)
            .is_some_and(|download| self.idle_load(ctx, content, download, conn).is_some())
    }

    /// How many requests a connection has from us, if it takes more for chunks of a download.
    fn idle_load(&self, ctx: &Ctx, content: &ContentId, download: &Download, conn: ConnId) -> Option<usize> {
        let connection = ctx.conns.native(conn)?;
        let open = connection.phase == ConnectionPhase::Open
            && connection.busy_until <= ctx.now
            && connection.asked < self.requests_max(ctx);
        let idle = open
            && !download.flights.is_late_at(conn)
            && connection
                .channels
                .of(content)
                .is_some_and(|(_, channel)| channel.counts_for(download.geometry))
            && self.is_to_ask(ctx, conn);
        idle.then_some(connection.asked)
    }

    pub(crate) fn requests_max(&self, ctx: &Ctx) -> usize {
        // The other side's limit is taken to be like ours; a little below it leaves room for what crosses a cancel.
        ctx.config.limits.queued_requests_max.saturating_sub(4).max(1)
    }

    /// The chunks of a download that are missing and not requested.
    pub(crate) fn open_chunks(&self, ctx: &Ctx, content: &ContentId) -> Option<Bitfield> {
        let download = self.downloader.get(content)?;
        // Nothing is missing of what is here whole.
        let mut open = ctx.catalogue.get(content)?.bits()?.inverse();
        for chunk in download.flights.keys().chain(download.storing.keys()) {
            open.clear(*chunk);
        }
        Some(open)
    }

    /// The one of the `open` chunks to request of this source.
    pub(crate) fn pick(
        &mut self,
        ctx: &mut Ctx,
        content: &ContentId,
        conn: ConnId,
        open: &Bitfield,
    ) -> Option<u32> {
        let remote = ctx.conns.native(conn)?.channels.of(content)?.1.remote.as_ref()?;
        if ctx.config.topology.picks_rarest() && ctx.config.limits.tactics.rarest_first {
            self.downloader.get(content)?;
            return picker::rarest_first(remote, open, self.copies.of(content), ctx.rng);
        }
        let mut rng = ctx.rng.clone();
        let chunk = picker::any(remote, open, |chunk| self.may_request(ctx, conn, content, chunk), &mut rng);
        *ctx.rng = rng;
        chunk
    }

    /// Requests one chunk of one source. False when there is no memory for it.
    pub(crate) fn request(&mut self, ctx: &mut Ctx, content: ContentId, chunk: u32, conn: ConnId) -> bool {
        let Some((number, _)) = ctx.conns.native(conn).and_then(|c| c.channels.of(&content)) else {
            return false;
        };
        let Some(len) = self.chunk_len(&content, chunk) else { return false };
        if !self.downloader.reserve(len) && !self.reclaim(ctx, len) {
            return false;
        }
        let Some(download) = self.downloader.get_mut(&content) else { return false };
        download.flights.insert(
            chunk,
            Flight { conn, asked: ctx.now, begun: None, late: false, moved: false, revoked: None },
        );
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.asked = connection.asked.saturating_add(1);
        }
        self.say(ctx, conn, Frame::Request { channel: number, chunk });
        if ctx.config.topology.follows_lists()
            && let Some(from) = ctx.conns.native(conn).map(|connection| connection.peer_ref())
        {
            ctx.outputs.event(Event::ChunkRequested { content, chunk, from });
        }
        true
    }

    /// The memory is used up. What was set aside for requests that nobody answers, or that trickle, is used for one of
    /// `bytes` bytes elsewhere, and their holders get no request for a while. False when that does not make enough room.
    fn reclaim(&mut self, ctx: &mut Ctx, bytes: u32) -> bool {
        let hopeless = |flight: &Flight| {
            flight.late && flight.begun.is_none_or(|begun| ctx.now.since(begun) >= TRICKLE_MAX)
        };
        let mut late: Vec<(Time, ContentId, u32, ConnId)> = Vec::new();
        for (content, download) in self.downloader.iter() {
            for (chunk, flights) in download.flights.iter() {
                let hopeless = flights.iter().filter(|flight| hopeless(flight));
                late.extend(hopeless.map(|flight| (flight.asked, content, *chunk, flight.conn)));
            }
        }
        late.sort_unstable();
        for (_, content, chunk, conn) in late {
            self.discard_rest(ctx, conn, content, chunk);
            self.cancel(ctx, conn, content, chunk);
            if let Some(connection) = ctx.conns.native_mut(conn) {
                connection.busy_until = ctx.now + ctx.config.limits.request_wait_max;
            }
            if self.downloader.reserve(bytes) {
                return true;
            }
        }
        false
    }
}
