//! Sources: which holders of a wanted content to connect to.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::Channel;
use crate::core::door::ConnId;
use crate::core::downloader::Phase;
use crate::core::id::{ContentId, PeerId};
use crate::core::peer::Peer;
use crate::core::time::Time;
use crate::core::timers::Timer;
use crate::core::topology;
use crate::wire::message::Wanted;

/// A download with fewer sources than this connects to more holders, if there are more.
const SOURCES_FEW: usize = 8;
/// Before that one is enough: holders turn up one after the other.
const SOURCES_WAIT: Duration = Duration::from_secs(1);

impl Peer {
    /// Sees to it that a download is connected to who holds its content: who lacks chunks dials.
    pub(in crate::core) fn seek_sources(&mut self, now: Time, content: ContentId) {
        if self.leaving.is_some()
            || !self.downloader.get(&content).is_some_and(|download| download.wants_peers())
        {
            return;
        }
        if !self.config.topology.is_mesh() {
            return self.seek_neighbours(now);
        }
        let drawn = self.directory.holders(&content).filter(|peer| self.is_to_connect(peer, &content));
        for peer in drawn.copied().collect::<Vec<_>>() {
            self.seek_source(now, &peer, content);
        }
        if self.directory.holder_count(&content) == 0 {
            self.dial_fixed_peers(now);
        }
    }

    /// A peer holds some of a content that is wanted: a download connects to it, if the two are to be connected.
    pub(in crate::core) fn seek_holder(&mut self, now: Time, peer: &PeerId, content: ContentId) {
        if !self.config.topology.is_mesh() {
            return self.seek_sources(now, content);
        }
        if self.leaving.is_none() && self.is_to_connect(peer, &content) {
            self.seek_source(now, peer, content);
        }
    }

    /// Whether a download connects to a holder: to each where they are few, and of many to those that are drawn. Who wants
    /// the same will hold some of it soon, and counts already.
    fn is_to_connect(&self, peer: &PeerId, content: &ContentId) -> bool {
        let Some(download) = self.downloader.get(content) else { return false };
        let holders = self.directory.holder_count(content);
        let by_name = self.directory.seeker_count(&Wanted::Name(download.name.clone()));
        let many = holders.max(by_name).max(self.directory.seeker_count(&Wanted::Id(*content))) + 1;
        let most = self.config.limits.neighbours_max;
        let count = self.config.limits.tactics.drawn_neighbours.saturating_mul(1 << download.widened.min(16));
        many <= most || topology::is_drawn(&self.id, peer, count, many)
    }

    /// A download that has found few sources, though there are more, connects to more.
    pub(in crate::core) fn widen(&mut self, now: Time, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let enough = if now.since(download.began) < SOURCES_WAIT { 1 } else { SOURCES_FEW };
        let sources = self.links.on(&content).filter(|conn| self.is_neighbour(*conn, &content)).count();
        if sources < enough.min(self.directory.holder_count(&content))
            && let Some(download) = self.downloader.get_mut(&content)
        {
            download.widened = download.widened.saturating_add(1);
        }
    }

    /// Seeks the sources of every download, and the peers that somebody named while something is looked for.
    pub(in crate::core) fn seek_all_sources(&mut self, now: Time) {
        if !self.config.topology.is_mesh() {
            return self.seek_neighbours(now);
        }
        for content in self.downloader.wanting() {
            self.seek_sources(now, content);
        }
        if self.searches.len() > 0 {
            self.dial_fixed_peers(now);
        }
        self.walk_all_for_mirror(now);
    }

    /// Dials the peers that somebody named.
    pub(in crate::core) fn dial_fixed_peers(&mut self, now: Time) {
        for addr in self.config.fixed_peers.clone() {
            self.dial_or_wait(now, addr);
        }
    }

    /// Whether a connection counts among a download's sources: who refuses, or lets it wait, keeps nobody else out.
    fn is_neighbour(&self, conn: ConnId, content: &ContentId) -> bool {
        let channel = self.connections.get(conn).and_then(|connection| connection.channel_of(content));
        let (Some((_, channel)), Some(download)) = (channel, self.downloader.get(content)) else {
            return false;
        };
        let late = match download.phase {
            Phase::Manifest(_) => channel.pages_late > 0,
            _ => download.flights.is_late_at(conn),
        };
        !channel.refused && !late
    }

    /// Connects to one holder, or names the content on the connection that stands. True when something new came of it.
    fn seek_source(&mut self, now: Time, peer: &PeerId, content: ContentId) -> bool {
        if let Some(conn) = self.links.to_peer(peer) {
            let stands = |channel: &Channel| !channel.refused && !channel.withdrawn;
            let channel = self.connections.get(conn).and_then(|connection| connection.channel_of(&content));
            let named = channel.is_some_and(|(_, channel)| stands(channel));
            if !named {
                self.open_channel(now, conn, content);
            }
            return !named;
        }
        match self.directory.get(peer).map(|known| known.addr) {
            Some(addr) => self.dial_or_wait(now, addr),
            None => false,
        }
    }

    /// Dials an endpoint, or sees to it that it is dialled once its wait is over.
    pub(in crate::core) fn dial_or_wait(&mut self, now: Time, addr: SocketAddr) -> bool {
        if let Some(again) = self.dialer.again(now, &addr) {
            self.timers.set_no_later(Timer::Dial, again);
        }
        self.dial(now, addr).is_some()
    }
}
