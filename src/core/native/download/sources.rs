//! Sources: which holders of a wanted content to connect to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::io::{ConnId, FailReason, Fault, FaultKind};
use crate::core::native::download::overlay::Overlay;
use crate::core::native::download::state::Phase;
use crate::core::native::session::channels::Channel;
use crate::core::native::topology::neighbourhood::Part;
use crate::core::native::{Ctx, Engine};
use crate::types::{ContentId, PeerId};
use crate::wire::message::Wanted;

/// A download with fewer sources than this connects to more holders, if there are more.
const SOURCES_FEW: usize = 8;
/// How often the overlay is doubled for a download that finds too few sources.
const OVERLAY_DOUBLED_MAX: u32 = 8;
/// Before that one is enough: holders turn up one after the other.
const SOURCES_WAIT: Duration = Duration::from_secs(1);

impl Engine {
    /// Sees to it that a download is connected to who holds its content: who lacks chunks dials.
    pub(crate) fn seek_sources(&mut self, ctx: &mut Ctx, content: ContentId) {
        if ctx.is_leaving
            || self.is_copied(ctx, &content)
            || !self.downloader.get(&content).is_some_and(|download| download.wants_peers())
        {
            return;
        }
        if !ctx.config.topology.finds_peers() {
            return self.seek_neighbours(ctx);
        }
        self.draw_overlay(ctx, &content);
        let peers = if self.are_many(ctx, &content) {
            self.overlay_neighbours(ctx, &content)
        } else {
            self.overlay_peers(ctx, &content)
        };
        for peer in peers {
            if self.is_to_connect(ctx, &peer, &content) {
                self.seek_source(ctx, &peer, content);
            }
        }
        if self.directory.holder_count(&content) == 0 {
            self.dial_fixed_peers(ctx);
        }
    }

    /// A peer holds some of a content that is wanted: a download connects to it, if the two are to be connected.
    pub(crate) fn seek_holder(&mut self, ctx: &mut Ctx, peer: &PeerId, content: ContentId) {
        if !ctx.config.topology.finds_peers() {
            return self.seek_sources(ctx, content);
        }
        if let Some(download) = self.downloader.get_mut(&content) {
            download.overlay.note(&ctx.id, peer);
        }
        if !ctx.is_leaving && self.is_to_connect(ctx, peer, &content) {
            self.seek_source(ctx, peer, content);
        }
    }

    /// Somebody looks for something: if that is fetched here, too, the two may be to connect. Says whether it is.
    pub(crate) fn meet_seeker(&mut self, ctx: &mut Ctx, peer: &PeerId) -> bool {
        let mut met = false;
        if ctx.config.topology.finds_peers() {
            for content in self.downloader.wanting() {
                if self.is_on_overlay(ctx, peer, &content) {
                    met = true;
                    self.seek_holder(ctx, peer, content);
                }
            }
        }
        met
    }

    /// A content is fetched or held here under this name from now on: who looks for it is of use.
    pub(crate) fn note_seekers(&mut self, content: &ContentId, name: &str) {
        let last = name.rsplit('/').next().unwrap_or(name);
        self.directory.is_here(&Wanted::Id(*content));
        self.directory.is_here(&Wanted::Name(name.to_owned()));
        if last != name {
            self.directory.is_here(&Wanted::Name(last.to_owned()));
        }
    }

    /// Whether a peer is on the overlay of a content that is fetched here: it has some of it, or looks for it, too.
    pub(crate) fn is_on_overlay(&self, ctx: &Ctx, peer: &PeerId, content: &ContentId) -> bool {
        let Some(download) = self.downloader.get(content) else { return false };
        self.directory.is_holder(peer, content)
            || (ctx.config.limits.tactics.meets_seekers
                && self.directory.is_seeker(peer, content, &download.wish.name))
    }

    /// The peers on the overlay of a content that is fetched here.
    fn overlay_peers(&self, ctx: &Ctx, content: &ContentId) -> Vec<PeerId> {
        let Some(download) = self.downloader.get(content) else { return Vec::new() };
        if self.directory.seekers_of(content, &download.wish.name) == 0 {
            return self.directory.holders(content).copied().collect();
        }
        let peers = self.directory.peers().map(|(peer, _)| peer);
        peers.filter(|peer| self.is_on_overlay(ctx, peer, content)).copied().collect()
    }

    /// This peer's neighbours on the overlay; where the overlay is large it connects to no other peer.
    fn overlay_neighbours(&self, ctx: &Ctx, content: &ContentId) -> Vec<PeerId> {
        let Some(download) = self.downloader.get(content) else { return Vec::new() };
        let neighbours = download.overlay.neighbours().filter(|peer| self.is_on_overlay(ctx, peer, content));
        neighbours.copied().collect::<BTreeSet<PeerId>>().into_iter().collect()
    }

    /// Whether more have or want a content that is fetched here than all connect to.
    fn are_many(&self, ctx: &Ctx, content: &ContentId) -> bool {
        let Some(download) = self.downloader.get(content) else { return false };
        // This peer is one of them.
        let others = ctx.config.limits.neighbours_max.saturating_sub(1);
        self.directory.holder_count(content) > others
            || self.directory.seekers_of(content, &download.wish.name) > others
    }

    /// Finds the overlay neighbours of this peer, where that has not been done or one of them is gone.
    fn draw_overlay(&mut self, ctx: &mut Ctx, content: &ContentId) {
        let Some(download) = self.downloader.get(content) else { return };
        // A circle gives two neighbours.
        let circles = ctx.config.limits.tactics.drawn_neighbours.div_ceil(2);
        let count = circles.saturating_mul(1 << download.widened.min(OVERLAY_DOUBLED_MAX));
        let overlay = &download.overlay;
        if overlay.len() == count && overlay.neighbours().all(|peer| self.is_there(ctx, peer, content)) {
            return;
        }
        let mut overlay = Overlay::new(count);
        for peer in self.overlay_peers(ctx, content) {
            if self.is_there(ctx, &peer, content) {
                overlay.note(&ctx.id, &peer);
            }
        }
        if let Some(download) = self.downloader.get_mut(content) {
            download.overlay = overlay;
        }
    }

    /// Whether a peer has or wants a content and is connected, or can be dialled.
    pub(crate) fn is_there(&self, ctx: &Ctx, peer: &PeerId, content: &ContentId) -> bool {
        let dialled = |addr: &SocketAddr| ctx.dialer.again(ctx.now, addr).is_none();
        self.is_on_overlay(ctx, peer, content)
            && (self.links.to_peer(peer).is_some()
                || self.directory.get(peer).is_some_and(|known| dialled(&known.addr)))
    }

    /// Whether a download dials a peer that has or wants the same: each where they are few, and of many its overlay neighbours.
    /// A peer that has everything dials nobody, so it is dialled from both sides.
    fn is_to_connect(&self, ctx: &Ctx, peer: &PeerId, content: &ContentId) -> bool {
        let Some(download) = self.downloader.get(content) else { return false };
        if !self.are_many(ctx, content) {
            // Of two who look for it one dials.
            return self.directory.is_holder(peer, content) || ctx.id < *peer;
        }
        download.overlay.is_next(peer)
            || (download.overlay.is_before(peer) && self.directory.holds_all(peer, content))
    }

    /// A download that has found few sources, though there are more, connects to more.
    pub(crate) fn widen(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let enough = if ctx.now.since(download.wish.began) < SOURCES_WAIT { 1 } else { SOURCES_FEW };
        let sources = self.links.on(&content).filter(|conn| self.is_neighbour(ctx, *conn, &content)).count();
        if sources < enough.min(self.directory.holder_count(&content))
            && let Some(download) = self.downloader.get_mut(&content)
        {
            download.widened = download.widened.saturating_add(1);
        }
    }

    /// Whether a connection counts among a download's sources: who refuses, or lets it wait, keeps nobody else out.
    fn is_neighbour(&self, ctx: &Ctx, conn: ConnId, content: &ContentId) -> bool {
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(content));
        let (Some((_, channel)), Some(download)) = (channel, self.downloader.get(content)) else {
            return false;
        };
        let late = match download.phase {
            Phase::Manifest(_) => channel.pages_late > 0,
            _ => download.flights.is_late_at(conn),
        };
        !channel.refused && !late
    }

    /// A download begins: the content is named to connected peers that are on its overlay.
    pub(crate) fn open_to_overlay(&mut self, ctx: &mut Ctx, content: ContentId) {
        let open: Vec<(PeerId, ConnId)> = self.links.all_open().map(|(peer, conn)| (*peer, conn)).collect();
        for (peer, conn) in open {
            if self.is_on_overlay(ctx, &peer, &content) {
                self.name_on(ctx, conn, content);
            }
        }
    }

    /// Connects to one holder, or names the content on the connection that stands. True when something new came of it.
    fn seek_source(&mut self, ctx: &mut Ctx, peer: &PeerId, content: ContentId) -> bool {
        if let Some(conn) = self.links.to_peer(peer) {
            let stands = |channel: &Channel| !channel.refused && !channel.withdrawn;
            let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(&content));
            let named = channel.is_some_and(|(_, channel)| stands(channel));
            // Who only looks for it, too, and refused it names it as soon as it knows it.
            let named = named || (channel.is_some() && !self.directory.is_holder(peer, &content));
            if !named {
                self.name_on(ctx, conn, content);
            }
            return !named;
        }
        match self.directory.get(peer).map(|known| known.addr) {
            Some(addr) if self.is_for_mirror(&content) => self.dial_for_mirror(ctx, addr),
            Some(addr) => self.dial_or_wait(ctx, addr),
            None => false,
        }
    }

    /// Remembers who offers a content wholly that is to be fetched: only they can replace it.
    pub(crate) fn note_owners(&mut self, content: &ContentId) {
        let Some(download) =
            self.downloader.get_mut(content).filter(|download| download.wish.ticket.is_some())
        else {
            return;
        };
        let wished = Arc::clone(&download.wish.name);
        for (peer, name, generation) in self.directory.complete_holders(content, &wished) {
            if let Some(known) = self.directory.get(&peer) {
                download.note_owner(peer, known.addr, name, generation);
            }
        }
    }

    /// A peer told that it offers a content wholly under a name.
    pub(crate) fn note_owner(&mut self, peer: &PeerId, generation: u64, content: &ContentId, name: &str) {
        if let Some(download) =
            self.downloader.get_mut(content).filter(|download| download.wish.ticket.is_some())
            && let Some(known) = self.directory.get(peer).filter(|known| known.generation() == generation)
        {
            download.note_owner(*peer, known.addr, name, generation);
        }
    }
}

impl Engine {
    /// Sees to it that this peer is connected to who was named, as far as it needs them.
    pub(crate) fn seek_neighbours(&mut self, ctx: &mut Ctx) {
        let ends = self.neighbourhood.ends().filter(|end| self.needs(ctx, end.addr));
        let ends: Vec<(SocketAddr, Option<PeerId>)> = ends.map(|end| (end.addr, end.peer)).collect();
        for (addr, peer) in ends {
            match peer.and_then(|peer| self.links.to_peer(&peer)) {
                Some(conn) => self.name_content(ctx, conn),
                None => {
                    self.dial_or_wait(ctx, addr);
                }
            }
        }
    }

    /// A connection to one of those that were named is open.
    pub(crate) fn greet_neighbour(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Part { owner, upstream } = self.part_at(ctx, conn);
        if owner && self.neighbourhood.content.is_none() {
            self.look_at_neighbour(ctx, conn);
        } else if owner || upstream {
            self.name_content(ctx, conn);
        }
    }

    /// Names the content on a connection where it never was. Who refused it names it once it has it.
    fn name_content(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(content) = self.neighbourhood.content else { return };
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(&content));
        if channel.is_none_or(|(_, channel)| !channel.opened) {
            self.name_on(ctx, conn, content);
        }
    }

    /// The part that is here is of no use.
    pub(crate) fn refuse_part(&mut self, ctx: &mut Ctx, content: ContentId) {
        let kib = self.neighbourhood.cut.map_or(0, |cut| cut.chunk_bytes() >> 10);
        let text = format!(
            "a part of this file is here in chunks of another size than the owner's {kib} KiB; move the .part file away, \
             or use another folder (-o)"
        );
        let fault = Fault { kind: FaultKind::Denied, text };
        self.fail_download(ctx, content, FailReason::Storage(fault));
    }
}
