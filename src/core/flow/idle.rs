//! Who has nothing to send says so to some who lack what it has; who hears it asks there, if need be for what waits elsewhere.
//!
//! Without it requests wait at busy holders while others idle: who asks does not know how long the lines are.

use std::time::Duration;

use crate::core::connection::{Channel, Incoming};
use crate::core::door::ConnId;
use crate::core::flights::Flight;
use crate::core::id::ContentId;
use crate::core::peer::Peer;
use crate::core::time::Time;
use crate::core::timers::Timer;
use crate::wire::message::Frame;

/// So many are told at once.
const TOLD_AT_ONCE: usize = 2;
/// With so few chunks under way, and none waiting, a peer counts as idle: by the time the next request is here, they are out.
const UNDER_WAY_FEW: usize = 2;
/// If nobody asks for so long, others are told; the pause doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
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

/// What an idle peer remembers.
#[derive(Debug)]
pub(in crate::core) struct Idleness {
    /// What was sent, or came, last.
    content: Option<ContentId>,
    pause: Duration,
}

impl Default for Idleness {
    fn default() -> Idleness {
        Idleness { content: None, pause: PAUSE_MIN }
    }
}

impl Peer {
    /// A chunk of a content begins to leave, has left, or has come: if nothing waits to be sent, others are told.
    pub(in crate::core) fn note_room(&mut self, now: Time, content: ContentId) {
        self.idleness.content = Some(content);
        if self.is_idle() && !self.timers.is_set(&Timer::Idle) {
            self.tell_idle(now);
        }
    }

    /// Somebody asked: there is no need to tell others.
    pub(in crate::core) fn end_idleness(&mut self) {
        self.idleness.pause = PAUSE_MIN;
        self.timers.clear(Timer::Idle);
    }

    /// Tells some who lack what is here that it can be had at once, and others again when nobody asks.
    pub(in crate::core) fn tell_idle(&mut self, now: Time) {
        let Some(content) = self.idleness.content.filter(|_| self.is_idle()) else { return };
        let conns: Vec<ConnId> = self.links.on(&content).collect();
        let first = self.rng.below(conns.len().max(1));
        let mut told = 0;
        for conn in conns[first..].iter().chain(&conns[..first]) {
            if told < TOLD_AT_ONCE
                && let Some(channel) = self.channel_of_lacking(*conn, &content)
            {
                self.say(now, *conn, Frame::Idle { channel });
                told += 1;
            }
        }
        // With nobody to tell there is nothing to repeat: the next chunk that comes begins anew.
        if told > 0 {
            self.timers.set(Timer::Idle, now + self.idleness.pause);
            self.idleness.pause = (self.idleness.pause * 2).min(PAUSE_MAX);
        }
    }

    /// A holder has nothing to send: it is asked for a chunk, beyond the window if need be, or for one that waits elsewhere.
    pub(in crate::core) fn on_idle(&mut self, now: Time, conn: ConnId, theirs: u32) {
        let Some((_, channel)) = self.connections.get(conn).and_then(|c| c.channel_theirs(theirs)) else {
            return self.close_for_fault(now, conn, "offers chunks of nothing");
        };
        let content = channel.content;
        let Some(download) = self.downloader.get(&content).filter(|download| download.is_running()) else {
            return;
        };
        let Some(geometry) = download.geometry else { return };
        if !self.is_idle_source(now, &content, conn) {
            return;
        }
        let window = self.window_of(&geometry);
        let room = download.window_used() < window + window.div_ceil(2);
        match self.pick(&content, conn) {
            Some(chunk) if room => {
                self.request(now, content, chunk, conn);
            }
            Some(_) => {}
            None => self.move_to(now, content, conn),
        }
    }

    /// All that is missing is asked for: what would wait longest elsewhere is asked of an idle holder instead, and what comes
    /// in slowly is asked of it, too.
    fn move_to(&mut self, now: Time, content: ContentId, conn: ConnId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let Some(usual) = download.pace else { return };
        let coming = download.flights.values().flatten().filter(|flight| flight.begun.is_some()).count();
        let Some(connection) = self.connections.get(conn).filter(|_| coming < COMING_ENOUGH) else { return };
        let pace = connection.pace.unwrap_or(usual);
        if pace > usual * SLOW {
            return;
        }
        let single = download.flights.iter().filter(|(chunk, flights)| {
            flights.len() == 1
                && flights[0].conn != conn
                && !flights[0].moved
                && !connection.was_cancelled(&content, **chunk)
                && !download.storing.contains_key(chunk)
                && self.offers(conn, &content, **chunk)
        });
        let left = single.map(|(chunk, flights)| {
            let waits = flights[0].begun.is_none();
            let left = if waits {
                self.wait_left(now, &flights[0])
            } else {
                self.rest_left(now, *chunk, &flights[0], usual)
            };
            (waits, left, *chunk, flights[0].conn)
        });
        let Some((waits, left, chunk, from)) = left.max() else { return };
        let worth = if waits { left > (usual * WAITS_LONG).max(WAIT_MIN) } else { left > pace * SOONER };
        if !worth {
            return;
        }
        if waits {
            self.cancel(now, from, content, chunk);
        }
        // Once is enough: who moves a request again and again gets each answer that crossed.
        if self.request(now, content, chunk, conn)
            && let Some(download) = self.downloader.get_mut(&content)
        {
            download.flights.note_moved(chunk, conn);
        }
    }

    /// How long a request will wait until its chunk is begun, by what others waited there.
    fn wait_left(&self, now: Time, flight: &Flight) -> Duration {
        let waited = now.since(flight.asked);
        let usual = self.connections.get(flight.conn).and_then(|connection| connection.turn);
        match usual {
            Some(usual) if waited < usual * 2 => usual.saturating_sub(waited),
            // What has waited for so long may wait as long again.
            _ => waited,
        }
    }

    /// How long a chunk that is coming in will take, if it goes on as it came; nothing before it took as long as `usual`.
    fn rest_left(&self, now: Time, chunk: u32, flight: &Flight, usual: Duration) -> Duration {
        let incoming = self.connections.get(flight.conn).and_then(|connection| connection.incoming.as_ref());
        let (Some(&Incoming { chunk: coming, at, len, .. }), Some(begun)) = (incoming, flight.begun) else {
            return Duration::ZERO;
        };
        let taken = now.since(begun);
        match coming == chunk && taken > usual {
            true => taken.saturating_mul(len - at) / at.max(1),
            false => Duration::ZERO,
        }
    }

    fn is_idle(&self) -> bool {
        self.config.topology.is_mesh()
            && self.leaving.is_none()
            && self.uploader.waiting() == 0
            && self.uploader.len() <= UNDER_WAY_FEW
    }

    /// The channel on which a connection is told of a content of which it lacks something that it is shown.
    fn channel_of_lacking(&self, conn: ConnId, content: &ContentId) -> Option<u32> {
        let (number, channel) = self.connections.get(conn)?.channel_of(content)?;
        let holding = self.catalogue.get(content)?;
        let told = channel.told.is_some() && !channel.withdrawn && !channel.refused;
        let Channel { remote, shown, .. } = channel;
        let lacks = match (shown, holding.bits(), remote) {
            _ if holding.count() == 0 => false,
            (_, _, Some(remote)) if remote.is_full() => false,
            (_, _, None) => true,
            (Some(shown), _, Some(remote)) => !shown.bits().is_within(remote),
            (None, None, Some(_)) => true,
            (None, Some(bits), Some(remote)) => !bits.is_within(remote),
        };
        (told && lacks).then_some(number)
    }
}
