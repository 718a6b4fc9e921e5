//! Chunks asked for, begun, whole, rejected: the way of a chunk from a request to the store.

use std::time::Duration;

use crate::core::bitfield::Bitfield;
use crate::core::connection::{Incoming, Phase as ConnectionPhase};
use crate::core::door::{ConnId, Event, Output, StoreJob};
use crate::core::downloader::{Flight, Storing};
use crate::core::id::ContentId;
use crate::core::peer::Peer;
use crate::core::picker;
use crate::core::time::Time;
use crate::wire::message::{Frame, RefuseReason};

/// A peer that rejected a request is left alone for so long.
const REJECTED_PAUSE: Duration = Duration::from_millis(500);
/// A late chunk that began so long ago gives up its memory when there is none left.
const TRICKLE_MAX: Duration = Duration::from_secs(60);

impl Peer {
    /// Asks for as many chunks of a download as its window, its sources and the buffers allow.
    pub(in crate::core) fn ask_for_chunks(&mut self, now: Time, content: ContentId) {
        let Some(download) = self.downloader.get(&content).filter(|download| download.is_running()) else {
            return;
        };
        let Some(geometry) = download.geometry else { return };
        let window = picker::window(geometry.chunks(), self.config.limits.window_chunks_max);
        let mut room = window.saturating_sub(download.window_used());
        self.downloader.starving.remove(&content);
        let mut sources = self.idle_sources(now, &content);
        while room > 0 && !sources.is_empty() {
            // The source with the fewest requests first; of equals, any.
            let fewest = sources.iter().map(|(asked, _)| *asked).min().unwrap_or(0);
            let equals: Vec<usize> = (0..sources.len()).filter(|at| sources[*at].0 == fewest).collect();
            let at = equals[self.rng.below(equals.len())];
            let conn = sources[at].1;
            let Some(chunk) = self.pick(&content, conn) else {
                sources.swap_remove(at);
                continue;
            };
            if !self.request(now, content, chunk, conn) {
                self.downloader.starving.insert(content);
                break;
            }
            sources[at].0 += 1;
            if sources[at].0 >= self.requests_max() {
                self.downloader.starving.insert(content);
                sources.swap_remove(at);
            }
            room -= 1;
        }
        if room > 0 {
            self.ask_twice(now, content);
            self.move_late(now, content);
        }
    }

    /// Downloads that wanted buffers or room at a source try again.
    pub(in crate::core) fn feed_starving(&mut self, now: Time) {
        for content in std::mem::take(&mut self.downloader.starving) {
            self.ask_for_chunks(now, content);
        }
    }

    pub(in crate::core) fn on_chunk_header(
        &mut self,
        now: Time,
        conn: ConnId,
        theirs: u32,
        chunk: u32,
        bytes: u32,
    ) {
        let Some((_, channel)) = self.connections.get(conn).and_then(|c| c.channel_theirs(theirs)) else {
            return self.close_for_fault(now, conn, "sent a chunk of nothing");
        };
        let content = channel.content;
        let cut = channel.their_cut;
        if cut.and_then(|cut| cut.chunk_span(chunk)).is_none_or(|(_, len)| len != bytes) {
            return self.close_for_fault(now, conn, "sent a chunk of wrong length");
        }
        let flight = self.downloader.get_mut(&content).and_then(|download| download.flight_mut(chunk, conn));
        let buffer = match flight {
            Some(flight) => {
                flight.begun = Some(now);
                flight.late = false;
                // The memory set aside for the request becomes the buffer's.
                Some(self.downloader.take_buffer(bytes))
            }
            None => None,
        };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        // Of two answers to a chunk that was cancelled and asked for again, the first is taken and the other passed over.
        let expected = buffer.is_some() || connection.forget_cancelled(content, chunk);
        connection.incoming = Some(Incoming { content, chunk, buffer, at: 0, len: bytes });
        if !expected {
            self.close_for_fault(now, conn, "sent a chunk nobody asked for");
        }
    }

    pub(in crate::core) fn on_payload(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.heard = now;
        connection.pinged = false;
        let Some(incoming) = &mut connection.incoming else { return };
        incoming.at += u32::try_from(bytes).unwrap_or(u32::MAX).min(incoming.len - incoming.at);
        if incoming.at < incoming.len {
            return;
        }
        let Incoming { content, chunk, buffer, .. } = *incoming;
        connection.incoming = None;
        if let Some(buffer) = buffer {
            let from = connection.peer_ref();
            let remote = connection.channel_of(&content).and_then(|(_, channel)| channel.remote.as_ref());
            let from_complete = remote.is_some_and(Bitfield::is_full);
            connection.asked = connection.asked.saturating_sub(1);
            let download = self.downloader.get_mut(&content);
            let flight = download.and_then(|download| {
                let flight = download.remove_flight(chunk, conn)?;
                let new = download.is_running() && !download.storing.contains_key(&chunk);
                let storing = Storing { conn, from, from_complete, asked: flight.asked };
                new.then(|| download.storing.insert(chunk, storing))
            });
            if flight.is_some() {
                self.output(Output::Store(StoreJob::WriteChunk { content, chunk, buffer }));
            } else {
                self.downloader.free_buffer(buffer);
                self.output(Output::Release(buffer));
            }
        }
        self.ask_for_chunks(now, content);
        self.feed_starving(now);
    }

    pub(in crate::core) fn on_reject(
        &mut self,
        now: Time,
        conn: ConnId,
        theirs: u32,
        chunk: u32,
        reason: RefuseReason,
    ) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Some((_, channel)) = connection.channel_theirs(theirs) else {
            return self.close_for_fault(now, conn, "rejected a chunk of nothing");
        };
        let content = channel.content;
        if !self.drop_flight(content, chunk, conn) {
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.forget_cancelled(content, chunk);
            }
            return;
        }
        // Who rejects as fast as it is asked would keep both sides busy with nothing else.
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.busy_until = connection.busy_until.max(now + REJECTED_PAUSE);
        }
        if reason != RefuseReason::Busy {
            self.count_remote(conn, &content, false);
            if let Some((_, channel)) =
                self.connections.get_mut(conn).and_then(|c| c.channel_of_mut(&content))
                && let Some(remote) = &mut channel.remote
            {
                remote.clear(chunk);
            }
            self.count_remote(conn, &content, true);
        }
        self.miss(content, chunk, conn, reason.text());
        self.ask_for_chunks(now, content);
        self.feed_starving(now);
    }

    /// Cancels the requests of a chunk that is had now, as far as they are not begun.
    pub(in crate::core) fn cancel_others(&mut self, now: Time, content: ContentId, chunk: u32) {
        let Some(download) = self.downloader.get(&content) else { return };
        let others: Vec<Flight> = download.flights.get(&chunk).cloned().unwrap_or_default();
        for flight in others {
            if flight.begun.is_some() {
                self.discard_rest(flight.conn, content, chunk);
            } else {
                self.cancel(now, flight.conn, content, chunk);
            }
        }
    }

    /// Takes back all requests of a download.
    pub(in crate::core) fn cancel_all(&mut self, now: Time, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        for chunk in download.flights.keys().copied().collect::<Vec<_>>() {
            self.cancel_others(now, content, chunk);
        }
    }

    /// A connection is no source of a content any more: what was asked of it is asked elsewhere.
    pub(in crate::core) fn lose_source(&mut self, now: Time, conn: ConnId, content: ContentId) {
        self.count_remote(conn, &content, false);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let lost = connection.phase == ConnectionPhase::Closing;
        if let Some((_, channel)) = connection.channel_of_mut(&content) {
            channel.remote = None;
            channel.refused = true;
        }
        if lost {
            self.links.unnamed(&content, conn);
        }
        let Some(download) = self.downloader.get_mut(&content) else { return };
        let asked = download.flights_at(conn);
        let forget_manifest = download.forget_manifest_source(conn);
        for chunk in asked {
            let begun = self
                .downloader
                .get_mut(&content)
                .and_then(|download| download.flight_mut(chunk, conn)?.begun);
            // A chunk that is coming may still come whole while its connection stands.
            if (begun.is_none() || lost) && self.drop_flight(content, chunk, conn) {
                self.miss(content, chunk, conn, if lost { "connection lost" } else { "withdrawn" });
            }
        }
        if forget_manifest {
            self.request_manifest_anywhere(now, content);
        }
        self.ask_for_chunks(now, content);
        self.seek_sources(now, content);
    }

    /// Says that a chunk asked of somebody did not come.
    pub(in crate::core) fn miss(&mut self, content: ContentId, chunk: u32, conn: ConnId, why: &'static str) {
        if let Some(connection) = self.connections.get(conn) {
            let from = connection.peer_ref();
            self.event(Event::ChunkMissed { content, chunk, from, why });
        }
    }

    /// All that is missing is in flight: what is late, or has not begun while sources idle, is asked of one more.
    fn ask_twice(&mut self, now: Time, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let sources = self.idle_sources(now, &content);
        let single: Vec<(u32, Flight)> = download
            .flights
            .iter()
            .filter(|(chunk, flights)| flights.len() == 1 && !download.storing.contains_key(chunk))
            .map(|(chunk, flights)| (*chunk, flights[0]))
            .filter(|(_, flight)| flight.late || flight.begun.is_none())
            .collect();
        let mut idle: Vec<ConnId> =
            sources.iter().filter(|(asked, _)| *asked == 0).map(|(_, conn)| *conn).collect();
        let mut busy: Vec<ConnId> =
            sources.iter().filter(|(asked, _)| *asked > 0).map(|(_, conn)| *conn).collect();
        for (chunk, flight) in single {
            let has = |conn: &ConnId| *conn != flight.conn && self.remote_has(*conn, &content, chunk);
            // Only a late request is worth a place at a source that has others to serve.
            let place = idle.iter().position(has).map(|at| idle.swap_remove(at));
            let place = place.or_else(|| {
                flight.late.then(|| busy.iter().position(has).map(|at| busy.swap_remove(at))).flatten()
            });
            if let Some(conn) = place
                && !self.request(now, content, chunk, conn)
            {
                return;
            }
        }
    }

    /// Where both requests of a chunk are late and another source has it, one that was not begun moves there. Its source
    /// has shown that it does not answer and is left alone for a while.
    fn move_late(&mut self, now: Time, content: ContentId) {
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
            let mut others = self.idle_sources(now, &content).into_iter().map(|(_, conn)| conn);
            let other = others.find(|conn| !asked(conn) && self.remote_has(*conn, &content, chunk));
            let unbegun = flights.iter().find(|flight| flight.begun.is_none()).map(|flight| flight.conn);
            let (Some(other), Some(unbegun)) = (other, unbegun) else { continue };
            self.cancel(now, unbegun, content, chunk);
            if let Some(connection) = self.connections.get_mut(unbegun) {
                connection.busy_until = now + self.config.limits.request_wait_max;
            }
            if !self.request(now, content, chunk, other) {
                return;
            }
        }
    }

    /// The sources that may be asked for chunks of a download, each with the number of requests it has from us.
    fn idle_sources(&self, now: Time, content: &ContentId) -> Vec<(usize, ConnId)> {
        let Some(download) = self.downloader.get(content) else { return Vec::new() };
        let late: Vec<ConnId> = download
            .flights
            .values()
            .flatten()
            .filter(|flight| flight.late)
            .map(|flight| flight.conn)
            .collect();
        let may_ask = |conn: &ConnId| {
            let open = |c: &crate::core::connection::Connection| {
                c.phase == ConnectionPhase::Open && c.busy_until <= now && c.asked < self.requests_max()
            };
            self.connections.get(*conn).is_some_and(open)
                && !late.contains(conn)
                && self.is_counted(*conn, content)
        };
        let with_load = |conn| (self.connections.get(conn).map_or(0, |connection| connection.asked), conn);
        self.links.on(content).filter(may_ask).map(with_load).collect()
    }

    fn requests_max(&self) -> usize {
        // The other side's limit is taken to be like ours; a little below it leaves room for what crosses a cancel.
        self.config.limits.queued_requests_max.saturating_sub(4).max(1)
    }

    fn remote_has(&self, conn: ConnId, content: &ContentId, chunk: u32) -> bool {
        let remote = self.connections.get(conn).and_then(|c| c.channel_of(content)?.1.remote.as_ref());
        remote.is_some_and(|remote| remote.get(chunk))
    }

    /// The chunk to ask this source for.
    fn pick(&mut self, content: &ContentId, conn: ConnId) -> Option<u32> {
        let remote = self.connections.get(conn)?.channel_of(content)?.1.remote.as_ref()?;
        let download = self.downloader.get(content)?;
        let holding = self.catalogue.get(content)?;
        let open = |chunk| !holding.has(chunk) && !download.is_under_way(chunk);
        picker::rarest_first(remote, &download.availability, open, &mut self.rng)
    }

    /// Asks one source for one chunk. False when there is no memory for it.
    fn request(&mut self, now: Time, content: ContentId, chunk: u32, conn: ConnId) -> bool {
        let Some((number, _)) = self.connections.get(conn).and_then(|c| c.channel_of(&content)) else {
            return false;
        };
        let Some(len) = self.chunk_len(&content, chunk) else { return false };
        if !self.downloader.reserve(len) && !self.reclaim(now, len) {
            return false;
        }
        let Some(download) = self.downloader.get_mut(&content) else { return false };
        download.flights.entry(chunk).or_default().push(Flight {
            conn,
            asked: now,
            begun: None,
            late: false,
        });
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.asked += 1;
        }
        self.say(now, conn, Frame::Request { channel: number, chunk });
        true
    }

    /// The memory is used up. What was set aside for requests that nobody answers, or that trickle, is used for one of
    /// `bytes` bytes elsewhere, and who was asked is left alone for a while. False when that does not make enough room.
    fn reclaim(&mut self, now: Time, bytes: u32) -> bool {
        let hopeless =
            |flight: &Flight| flight.late && flight.begun.is_none_or(|begun| now.since(begun) >= TRICKLE_MAX);
        let mut late: Vec<(Time, ContentId, u32, ConnId)> = Vec::new();
        for (content, download) in self.downloader.iter() {
            for (chunk, flights) in &download.flights {
                let hopeless = flights.iter().filter(|flight| hopeless(flight));
                late.extend(hopeless.map(|flight| (flight.asked, content, *chunk, flight.conn)));
            }
        }
        late.sort_unstable();
        for (_, content, chunk, conn) in late {
            self.discard_rest(conn, content, chunk);
            self.cancel(now, conn, content, chunk);
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.busy_until = now + self.config.limits.request_wait_max;
            }
            if self.downloader.reserve(bytes) {
                return true;
            }
        }
        false
    }

    fn cancel(&mut self, now: Time, conn: ConnId, content: ContentId, chunk: u32) {
        if !self.drop_flight(content, chunk, conn) {
            return;
        }
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.note_cancelled(content, chunk);
        if let Some((number, _)) = connection.channel_of(&content) {
            self.say(now, conn, Frame::Cancel { channel: number, chunk });
        }
    }

    /// The rest of a chunk that is coming in is not wanted any more.
    fn discard_rest(&mut self, conn: ConnId, content: ContentId, chunk: u32) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Some(incoming) = &mut connection.incoming else { return };
        if (incoming.content, incoming.chunk) != (content, chunk) {
            return;
        }
        if let Some(buffer) = incoming.buffer.take() {
            connection.asked = connection.asked.saturating_sub(1);
            if let Some(download) = self.downloader.get_mut(&content) {
                download.remove_flight(chunk, conn);
            }
            self.downloader.free_buffer(buffer);
            self.output(Output::Release(buffer));
        }
    }

    /// Forgets one request, with the memory set aside for it. False when there was none.
    fn drop_flight(&mut self, content: ContentId, chunk: u32, conn: ConnId) -> bool {
        let Some(flight) = self.downloader.get_mut(&content).and_then(|d| d.remove_flight(chunk, conn))
        else {
            return false;
        };
        if flight.begun.is_none()
            && let Some(len) = self.chunk_len(&content, chunk)
        {
            self.downloader.unreserve(len);
        }
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.asked = connection.asked.saturating_sub(1);
        }
        true
    }

    fn chunk_len(&self, content: &ContentId, chunk: u32) -> Option<u32> {
        Some(self.downloader.get(content)?.geometry?.chunk_span(chunk)?.1)
    }

    /// Panics when requests and connections do not agree.
    pub(in crate::core) fn check_flights(&self) {
        let mut asked = std::collections::BTreeMap::new();
        for (content, download) in self.downloader.iter() {
            for (chunk, flight) in
                download.flights.iter().flat_map(|(c, flights)| flights.iter().map(move |f| (c, f)))
            {
                *asked.entry(flight.conn).or_insert(0) += 1;
                let connection = self.connections.get(flight.conn);
                assert!(
                    connection.is_some_and(|c| c.phase == ConnectionPhase::Open),
                    "{content:?} {chunk} flies"
                );
            }
            if download.is_running() {
                let mut counts = vec![0u16; download.availability.len()];
                for conn in self.links.on(&content).filter(|conn| self.is_counted(*conn, &content)) {
                    let remote =
                        self.connections.get(conn).and_then(|c| c.channel_of(&content)?.1.remote.as_ref());
                    remote.into_iter().flat_map(Bitfield::iter).for_each(|chunk| counts[chunk as usize] += 1);
                }
                assert_eq!(counts, download.availability, "{content:?}: availability is what the peers have");
            }
        }
        for (conn, connection) in self.connections.iter().filter(|(_, c)| c.phase == ConnectionPhase::Open) {
            let expected = asked.get(&conn).copied().unwrap_or(0);
            assert_eq!(expected, connection.asked, "{conn} is asked for so many chunks");
        }
    }
}
