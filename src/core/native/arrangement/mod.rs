//! An arrangement of neighbours: who was named is dialled and asked, the owner for its share alone; and who comes is served.

use std::time::Duration;

use crate::core::catalogue::Catalogue;
use crate::core::config::Config;
use crate::core::connections::Connections;
use crate::core::io::{ConnId, Event, FailReason};
use crate::core::native::download::state::Phase;
use crate::core::native::topology::neighbourhood::{End, Part};
use crate::core::native::{Ctx, Engine};
use crate::core::status::{EndStatus, NeighboursStatus};
use crate::core::timers::Timer;
use crate::core::uploader::Uploader;
use crate::types::{Bitfield, ContentId};
use crate::wire::message::{CataloguePage, Entry, Frame, RefuseReason};

/// An owner that offers nothing yet is asked again after so long.
const QUERY_AGAIN: Duration = Duration::from_millis(250);
impl Engine {
    /// A neighbour tells what it offers: the owner what there is to get, another perhaps something else.
    pub(crate) fn on_neighbour_page(&mut self, ctx: &mut Ctx, conn: ConnId, page: CataloguePage) {
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
    pub(crate) fn on_owner_cut(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(&content));
        let cut = channel.and_then(|(_, channel)| channel.their_cut);
        let Some(stall) = ctx.config.topology.stall() else { return };
        let expected = self.neighbourhood.content == Some(content) && self.neighbourhood.cut.is_none();
        if let Some(cut) = cut.filter(|_| expected && self.part_at(ctx, conn).owner) {
            self.neighbourhood.cut = Some(cut);
            let (name, size) = (self.neighbourhood.name.clone(), cut.size_bytes());
            ctx.outputs.event(Event::Resolved { ticket: 0, content, name: name.as_str().into(), size });
            self.begin_download(ctx, content, &name, size, stall);
        }
    }

    /// A neighbour refuses the content: it may have another, or what is here may be cut otherwise.
    pub(crate) fn on_neighbour_refusal(
        &mut self,
        ctx: &mut Ctx,
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

    /// If a download has not got on for long enough, the owner is asked to show all it has.
    pub(crate) fn fall_back(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(after) = ctx.config.topology.owner_fallback() else { return };
        let idle = self.downloader.get(&content).is_some_and(|download| {
            matches!(download.phase, Phase::Running) && ctx.now.since(download.supplied) >= after
        });
        let owner = self.neighbourhood.owner.as_ref().and_then(|end| self.links.to_peer(&end.peer?));
        let Some(conn) = owner.filter(|_| idle) else { return };
        let Some((number, channel)) = ctx.conns.native(conn).and_then(|c| c.channels.of(&content)) else {
            return;
        };
        // A peer that was told of every chunk need not request that again.
        if !channel.refused && !channel.remote.as_ref().is_some_and(Bitfield::is_full) {
            self.say(ctx, conn, Frame::Show { channel: number });
        }
    }

    /// The arrangement as people see it; `None` in a mesh.
    pub(crate) fn neighbours_status(
        &self,
        config: &Config,
        conns: &Connections,
        catalogue: &Catalogue,
        uploads: &Uploader,
    ) -> Option<NeighboursStatus> {
        if config.topology.finds_peers() {
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

    /// The owner told what it offers. One content is what is to be got; none yet is asked for again.
    pub(crate) fn take_offer(&mut self, ctx: &mut Ctx, conn: ConnId, entries: Vec<Entry>) {
        if !self.part_at(ctx, conn).owner {
            return;
        }
        let Some(first) = entries.first() else {
            // It may be hashing what it offers.
            return ctx.timers.set_no_later(Timer::Owner, ctx.now + QUERY_AGAIN);
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
    pub(crate) fn ask_for_offer(&mut self, ctx: &mut Ctx) {
        let owner = self.neighbourhood.owner.as_ref().and_then(|end| self.links.to_peer(&end.peer?));
        if let Some(conn) = owner.filter(|_| self.neighbourhood.content.is_none()) {
            self.look_at_neighbour(ctx, conn);
        }
    }

    /// Whether what the owner offers is here whole, and published.
    pub(crate) fn holds_all(&self, catalogue: &Catalogue) -> bool {
        let published = |content| self.downloader.get(&content).is_none();
        !self.lacks_chunks(catalogue) && self.neighbourhood.content.is_some_and(published)
    }
}
