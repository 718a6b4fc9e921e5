//! An owner's part in an arrangement of neighbours: each connection is shown what it was dealt, and nothing else.

use crate::core::door::ConnId;
use crate::core::door::Event;
use crate::core::native::session::shown::Shown;
use crate::core::native::upload::dealer::Dealer;
use crate::core::native::{Ctx, Engine};
use crate::core::picker;
use crate::core::picker::WINDOW_USUAL;
use crate::core::timers::Timer;
use crate::core::topology::Seeding;
use crate::types::id::ContentId;

impl Engine {
    /// Somebody named a content that is dealt here: its place is taken.
    pub(crate) fn seat(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        let (peers, deal_after) = match ctx.config.topology.seeding() {
            Seeding::Dealt { peers, deal_after } => (peers, deal_after),
            Seeding::Open => return,
            Seeding::Assigned => return self.begin_assigning(ctx, conn, content),
        };
        let Some(holding) = ctx.catalogue.get(&content).filter(|holding| holding.is_complete()) else {
            return;
        };
        let geometry = holding.geometry;
        let chunks = geometry.chunks();
        let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content)) else {
            return;
        };
        if channel.shown.is_some() || channel.withdrawn {
            return;
        }
        channel.shown = Some(Shown::nothing(chunks));
        // One more than is asked for at once, so that there always is something to ask for.
        let shown_max =
            picker::window_of(&ctx.config.limits, &geometry).max(WINDOW_USUAL as usize).saturating_add(1);
        let dealer = self.dealers.entry(content);
        dealer.or_insert_with(|| Dealer::new(chunks, peers, deal_after, shown_max)).arrive(ctx.now, conn);
        self.show_dealt(ctx, content);
    }

    /// Tells each connection what it may be shown by now.
    pub(crate) fn show_dealt(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(dealer) = self.dealers.get_mut(&content) else { return };
        for (conn, chunk) in dealer.take_news() {
            let channel = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content));
            let Some(shown) = channel.and_then(|(_, channel)| channel.shown.as_mut()) else { continue };
            shown.add(chunk);
            self.note_stale_haves(ctx, conn, content);
        }
        match self.dealers.values().filter_map(Dealer::deadline).min() {
            Some(at) => ctx.timers.set(Timer::Deal, at),
            None => ctx.timers.clear(Timer::Deal),
        }
    }

    /// Shares that nobody came for may be due.
    pub(crate) fn review_dealing(&mut self, ctx: &mut Ctx) {
        for content in self.dealers.keys().copied().collect::<Vec<_>>() {
            if let Some(dealer) = self.dealers.get_mut(&content) {
                dealer.review(ctx.now);
            }
            self.show_dealt(ctx, content);
        }
    }

    /// A connection takes no part in a content any more: what it was to get goes to others.
    pub(crate) fn unseat(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        self.end_assigning(ctx, conn, content);
        if let Some(dealer) = self.dealers.get_mut(&content) {
            dealer.depart(ctx.now, conn);
            self.show_dealt(ctx, content);
        }
    }

    /// A chunk left for somebody.
    pub(crate) fn note_dealt(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, chunk: u32) {
        self.note_assigned(ctx, conn, content, chunk);
        if let Some(dealer) = self.dealers.get_mut(&content) {
            dealer.note_sent(conn, chunk);
            self.show_dealt(ctx, content);
        }
    }

    /// Somebody asks to be shown all there is, for want of another source.
    pub(crate) fn on_show(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((number, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "asked to be shown nothing");
        };
        let content = channel.content;
        if let Some(shown) = connection.channels.get_mut(number).and_then(|channel| channel.shown.as_mut()) {
            shown.add_all();
            self.note_stale_haves(ctx, conn, content);
        }
    }

    /// Somebody told which chunks it has: so many more than before.
    pub(crate) fn note_list(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, new: Vec<u32>) {
        if !ctx.config.topology.follows_lists() {
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
}
