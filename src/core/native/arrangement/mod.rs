//! An arrangement of neighbours: who was named is dialled and asked, the owner for its share alone; and who comes is served.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::catalogue::Catalogue;
use crate::core::config::Config;
use crate::core::connections::Connections;
use crate::core::door::{ConnId, Event, FailReason, Fault, FaultKind, PeerRef};
use crate::core::native::download::downloader::Phase;
use crate::core::native::topology::neighbourhood::{End, Part};
use crate::core::native::{Ctx, Engine};
use crate::core::status::{EndStatus, NeighboursStatus};
use crate::core::timers::Timer;
use crate::core::topology::{Place, Topology};
use crate::core::uploader::Uploader;
use crate::types::bitfield::Bitfield;
use crate::types::geometry::Geometry;
use crate::types::id::{ContentId, PeerId};
use crate::wire::message::{CataloguePage, CatalogueRequest, Entry, Frame, RefuseReason, Wanted};

/// Stands among the walks of a connection for a look at what a neighbour offers.
/// No search has this key, nor has the mirror.
pub(in crate::core) const NEIGHBOUR_WALK: u32 = u32::MAX - 1;
/// An owner that offers nothing yet is asked again after so long.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// A download in an arrangement of neighbours says what it waits for after so long.
pub(in crate::core) const NEIGHBOURS_WAITING_AFTER: Duration = Duration::from_secs(5);

impl Engine {
    /// Sees to it that this peer is connected to who was named, as far as it needs them.
    pub(in crate::core) fn seek_neighbours(&mut self, ctx: &mut Ctx<'_>) {
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

    /// Whether this peer wants to be connected to who was named at an endpoint: to everybody while it lacks chunks, and
    /// after that to the owner, which wants to know, until either leaves.
    fn needs(&self, ctx: &Ctx<'_>, addr: SocketAddr) -> bool {
        let owner = self.neighbourhood.owner.as_ref().is_some_and(|end| end.addr == addr);
        !ctx.is_leaving && (self.lacks_chunks(ctx.catalogue) || (owner && !self.neighbourhood.owner_left))
    }

    /// Somebody said hello: is it one of those that were named?
    pub(in crate::core) fn meet(
        &mut self,
        ctx: &mut Ctx<'_>,
        dialled_to: Option<SocketAddr>,
        endpoint: SocketAddr,
        peer: PeerId,
    ) {
        let mut back = Vec::new();
        for end in self.neighbourhood.ends_mut() {
            if dialled_to == Some(end.addr) || end.addr == endpoint {
                end.peer = Some(peer);
                if std::mem::take(&mut end.away) && !back.contains(&end.addr) {
                    back.push(end.addr);
                }
            }
        }
        if self.neighbourhood.part_of(&peer).owner {
            self.neighbourhood.owner_left = false;
        }
        for addr in back {
            ctx.outputs.event(Event::NeighbourBack { addr });
        }
    }

    /// A connection to one of those that were named is open.
    pub(in crate::core) fn greet_neighbour(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Part { owner, upstream } = self.part_at(ctx, conn);
        if owner && self.neighbourhood.content.is_none() {
            self.look_at_neighbour(ctx, conn);
        } else if owner || upstream {
            self.name_content(ctx, conn);
        }
    }

    /// A dial to one of those that were named came to nothing, or its connection is over.
    pub(in crate::core) fn note_away(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let addr = connection.transport.addr;
        if !self.needs(ctx, addr) {
            return;
        }
        let links = &self.links;
        let elsewhere = |end: &End| {
            end.peer.and_then(|peer| links.to_peer(&peer)).is_some_and(|standing| standing != conn)
        };
        let ends = self.neighbourhood.ends_mut();
        let mut lost = ends.filter(|end| end.addr == addr && !end.away && !elsewhere(end)).peekable();
        let said = lost.peek().is_some();
        lost.for_each(|end| end.away = true);
        if said {
            ctx.outputs.event(Event::NeighbourAway { addr });
        }
    }

    /// What the peer behind a connection is to this one.
    pub(in crate::core) fn part_at(&self, ctx: &Ctx<'_>, conn: ConnId) -> Part {
        let identity = ctx.conns.native(conn).and_then(|connection| connection.identity.as_ref());
        identity.map_or(Part::default(), |identity| self.neighbourhood.part_of(&identity.peer))
    }

    /// Whether this peer asks whoever is behind a connection for chunks at all.
    pub(in crate::core) fn is_to_ask(&self, ctx: &Ctx<'_>, conn: ConnId) -> bool {
        if ctx.config.topology.is_mesh() {
            return true;
        }
        let part = self.part_at(ctx, conn);
        part.owner || part.upstream
    }

    /// Whether a chunk may be asked for at a connection: it is there, and of the owner only what no download neighbour has.
    pub(in crate::core) fn offers(
        &self,
        ctx: &Ctx<'_>,
        conn: ConnId,
        content: &ContentId,
        chunk: u32,
    ) -> bool {
        if !self.remote_has(ctx, conn, content, chunk) {
            return false;
        }
        let part = self.part_at(ctx, conn);
        let others_have = || {
            let conns = self.neighbourhood.upstream.iter().filter_map(|end| self.links.to_peer(&end.peer?));
            conns.into_iter().any(|other| other != conn && self.remote_has(ctx, other, content, chunk))
        };
        !part.owner || part.upstream || !others_have()
    }

    /// A neighbour tells what it offers: the owner what there is to get, another perhaps something else.
    pub(in crate::core) fn on_neighbour_page(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        page: CataloguePage,
    ) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let from = connection.peer_ref();
        if let Some(peer) = from.id {
            self.on_catalogue(ctx, &peer, page.generation, None, page.entries.clone(), 0);
        }
        let Some(content) = self.neighbourhood.content else {
            return self.take_offer(ctx, conn, page.entries);
        };
        let other = page.entries.first().filter(|_| page.entries.iter().all(|entry| entry.id != content));
        if let Some(Entry { id, name, .. }) = other
            && from.id.is_some_and(|peer| self.neighbourhood.strangers.insert(peer))
        {
            ctx.outputs.event(Event::OtherContent { from, theirs: *id, name: name.clone(), wanted: content });
        }
    }

    /// The owner tells how it cuts the content: the download can begin.
    pub(in crate::core) fn on_owner_cut(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: ContentId) {
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(&content));
        let cut = channel.and_then(|(_, channel)| channel.their_cut);
        let Topology::Neighbours(Place::Peer { stall, .. }) = ctx.config.topology else { return };
        let expected = self.neighbourhood.content == Some(content) && self.neighbourhood.cut.is_none();
        if let Some(cut) = cut.filter(|_| expected && self.part_at(ctx, conn).owner) {
            self.neighbourhood.cut = Some(cut);
            let (name, size) = (self.neighbourhood.name.clone(), cut.size_bytes());
            ctx.outputs.event(Event::Resolved { ticket: 0, content, name: name.as_str().into(), size });
            self.begin_download(ctx, content, &name, size, stall);
        }
    }

    /// A neighbour refuses the content: it may have another, or what is here may be cut otherwise.
    pub(in crate::core) fn on_neighbour_refusal(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        content: ContentId,
        reason: RefuseReason,
    ) {
        let Part { owner, upstream } = self.part_at(ctx, conn);
        match reason {
            RefuseReason::Unknown if owner || upstream => self.look_at_neighbour(ctx, conn),
            RefuseReason::ChunkSize if owner => self.refuse_part(ctx, content),
            _ => {}
        }
    }

    /// The cut of a content that was found here: the owner's, whatever it was kept in. `None`: a part in another cut, which
    /// is of no use among these neighbours.
    pub(in crate::core) fn owners_cut(&self, found: Geometry, whole: bool) -> Option<Geometry> {
        match self.neighbourhood.cut {
            Some(cut) if cut.size_bytes() == found.size_bytes() && (whole || cut == found) => Some(cut),
            Some(_) => None,
            None => Some(found),
        }
    }

    /// The part that is here is of no use.
    pub(in crate::core) fn refuse_part(&mut self, ctx: &mut Ctx<'_>, content: ContentId) {
        let kib = self.neighbourhood.cut.map_or(0, |cut| cut.chunk_bytes() >> 10);
        let text = format!(
            "a part of this file is here in chunks of another size than the owner's {kib} KiB; move the .part file away, \
             or use another folder (-o)"
        );
        let fault = Fault { kind: FaultKind::Denied, text };
        self.fail_download(ctx, content, FailReason::Storage(fault));
    }

    /// Somebody came to take from here.
    pub(in crate::core) fn note_taker(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(from) = ctx.conns.native(conn).map(|connection| connection.peer_ref()) else {
            return;
        };
        if let Some(peer) = from.id.filter(|_| !ctx.config.topology.is_mesh()) {
            self.neighbourhood.takes(from.addr, peer);
        }
    }

    /// Somebody told which chunks it has: so many more than before.
    pub(in crate::core) fn note_list(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        content: ContentId,
        new: Vec<u32>,
    ) {
        if ctx.config.topology.is_mesh() {
            return;
        }
        let Some(connection) = ctx.conns.native(conn) else { return };
        let Some((_, channel)) = connection.channels.of(&content) else { return };
        let Some(remote) = &channel.remote else { return };
        let (have, of, whole) = (remote.count(), remote.len(), remote.is_full());
        let from = connection.peer_ref();
        if let Some(peer) = from.id.filter(|_| whole) {
            self.neighbourhood.is_done(&from.addr, &peer);
        }
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        if let Some(dealer) = self.dealers.get_mut(&content) {
            new.into_iter().for_each(|chunk| dealer.note_has(conn, chunk));
            self.show_dealt(ctx, content);
        }
        ctx.outputs.event(Event::ListReceived { content, new: count, have, of, from });
    }

    /// A content without chunks is had whole by who knows that it has none.
    pub(in crate::core) fn note_empty(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let empty = |cut: Geometry| cut.chunks() == 0;
        let channel = connection.channels.of(content);
        if channel.is_some_and(|(_, channel)| channel.their_cut.is_some_and(empty))
            && let PeerRef { id: Some(peer), addr, .. } = connection.peer_ref()
        {
            self.neighbourhood.is_done(&addr, &peer);
        }
    }

    /// If a download has not got on for long enough, the owner is asked to show all it has.
    pub(in crate::core) fn fall_back(&mut self, ctx: &mut Ctx<'_>, content: ContentId) {
        let Topology::Neighbours(Place::Peer { owner_fallback: Some(after), .. }) = ctx.config.topology
        else {
            return;
        };
        let idle = self.downloader.get(&content).is_some_and(|download| {
            matches!(download.phase, Phase::Running) && ctx.now.since(download.supplied) >= after
        });
        let owner = self.neighbourhood.owner.as_ref().and_then(|end| self.links.to_peer(&end.peer?));
        let Some(conn) = owner.filter(|_| idle) else { return };
        let Some((number, channel)) = ctx.conns.native(conn).and_then(|c| c.channels.of(&content)) else {
            return;
        };
        // Whoever was shown everything need not ask again.
        if !channel.refused && !channel.remote.as_ref().is_some_and(Bitfield::is_full) {
            self.say(ctx, conn, Frame::Show { channel: number });
        }
    }

    /// The arrangement as people see it; `None` in a mesh.
    pub(in crate::core) fn neighbours_status(
        &self,
        config: &Config,
        conns: &Connections,
        catalogue: &Catalogue,
        uploads: &Uploader,
    ) -> Option<NeighboursStatus> {
        if config.topology.is_mesh() {
            return None;
        }
        let end = |end: &End| {
            let conn = end.peer.and_then(|peer| self.links.to_peer(&peer));
            let content = self.neighbourhood.content;
            let channel = conn.and_then(|conn| conns.native(conn)?.channels.of(&content?));
            EndStatus {
                addr: end.addr,
                peer: end.peer,
                connected: conn.is_some(),
                have: channel.and_then(|(_, channel)| Some(channel.remote.as_ref()?.count())).unwrap_or(0),
            }
        };
        let takers = &self.neighbourhood.takers;
        let open = takers.values().filter(|taker| !taker.done).map(|taker| self.links.to_peer(&taker.peer));
        Some(NeighboursStatus {
            owner: self.neighbourhood.owner.as_ref().map(end),
            upstream: self.neighbourhood.upstream.iter().map(end).collect(),
            owner_left: self.neighbourhood.owner_left,
            holds_all: self.holds_all(catalogue),
            takers_done: takers.values().filter(|taker| taker.done).count(),
            takers_lost: open.clone().filter(Option::is_none).count(),
            takers_open: open.flatten().count(),
            quiet: uploads.is_idle() && conns.natives().all(|(_, c)| !c.has_to_say()),
        })
    }

    /// Whether what the owner offers is here whole, and published.
    fn holds_all(&self, catalogue: &Catalogue) -> bool {
        let published = |content| self.downloader.get(&content).is_none();
        !self.lacks_chunks(catalogue) && self.neighbourhood.content.is_some_and(published)
    }

    /// Whether some of what the owner offers is not here, or it is not known what that is.
    fn lacks_chunks(&self, catalogue: &Catalogue) -> bool {
        let whole = |content| catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        !self.neighbourhood.content.is_some_and(whole)
    }

    /// Names the content on a connection where it never was. Who refused it names it once it has it.
    fn name_content(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(content) = self.neighbourhood.content else { return };
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(&content));
        if channel.is_none_or(|(_, channel)| !channel.opened) {
            self.open_channel(ctx, conn, content);
        }
    }

    fn look_at_neighbour(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(connection) = ctx.conns.native_mut(conn)
            && !connection.walks.contains(&NEIGHBOUR_WALK)
        {
            connection.walks.push_back(NEIGHBOUR_WALK);
            let request = CatalogueRequest { wanted: Wanted::All, after: None };
            self.say(ctx, conn, Frame::CatalogueRequest(request));
        }
    }

    /// The owner told what it offers. One content is what is to be got; none yet is asked for again.
    fn take_offer(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, entries: Vec<Entry>) {
        if !self.part_at(ctx, conn).owner {
            return;
        }
        let Some(first) = entries.first() else {
            // It may be hashing what it offers.
            return ctx.timers.set_no_later(Timer::Offer, ctx.now + ASK_AGAIN);
        };
        if entries.iter().any(|entry| entry.id != first.id) {
            let Some(from) = ctx.conns.native(conn).map(|connection| connection.peer_ref()) else {
                return;
            };
            let candidates = entries.into_iter().map(|entry| (entry, from.clone())).collect();
            let reason = FailReason::Ambiguous { candidates };
            return ctx.outputs.event(Event::SearchFailed { ticket: 0, reason });
        }
        self.neighbourhood.content = Some(first.id);
        self.neighbourhood.name = first.name.clone();
        self.seek_neighbours(ctx);
        // Who came before this was known, and was told that it is not here, hears of it once its cut is known.
    }

    /// An owner that offered nothing yet is asked again.
    pub(in crate::core) fn ask_for_offer(&mut self, ctx: &mut Ctx<'_>) {
        let owner = self.neighbourhood.owner.as_ref().and_then(|end| self.links.to_peer(&end.peer?));
        if let Some(conn) = owner.filter(|_| self.neighbourhood.content.is_none()) {
            self.look_at_neighbour(ctx, conn);
        }
    }
}
