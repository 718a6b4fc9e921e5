//! Sources: which holders of a wanted content to connect to.

use std::net::SocketAddr;

use crate::core::connection::Channel;
use crate::core::door::ConnId;
use crate::core::downloader::Phase;
use crate::core::id::{ContentId, PeerId};
use crate::core::peer::Peer;
use crate::core::time::Time;
use crate::core::timers::Timer;
use crate::core::topology;

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
        let mut connected = self.links.on(&content).filter(|conn| self.is_neighbour(*conn, &content)).count();
        let most = self.config.limits.neighbours_max;
        if connected < most {
            for peer in self.holders_to_seek(&content) {
                if connected >= most {
                    break;
                }
                connected += usize::from(self.seek_source(now, &peer, content));
            }
        }
        if self.directory.holders(&content).next().is_none() {
            self.dial_fixed_peers(now);
        }
    }

    /// The holders that a download would connect to: all where they are few, and of many those that are drawn.
    fn holders_to_seek(&self, content: &ContentId) -> Vec<PeerId> {
        let holders: Vec<PeerId> = self.directory.holders(content).copied().collect();
        match self.config.limits.tactics.drawn_neighbours {
            Some(count) if holders.len() > self.config.limits.neighbours_max => {
                // Those that cannot be dialled now do not count, and a download that gets nothing looks further.
                let stuck = self.downloader.get(content).is_some_and(|download| download.waiting);
                let count = if stuck { self.config.limits.neighbours_max } else { count };
                topology::drawn(&self.id, &holders, count)
            }
            _ => holders,
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

    /// Whether a connection takes one of a download's places: who refuses, or lets it wait, keeps nobody else out.
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
