//! A seed's part in a mesh: until each chunk has left once, each neighbour is shown what is assigned to it.

use crate::core::door::ConnId;
use crate::core::native::session::shown::Shown;
use crate::core::native::upload::assigner::{self, Assigner, Show};
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::bitfield::Bitfield;
use crate::types::id::ContentId;

impl Engine {
    /// Somebody named a content that is here whole: from now on it is shown what is assigned to it, unless it was told
    /// already what is here.
    pub(crate) fn begin_assigning(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        let Some(holding) = ctx.catalogue.get(&content).filter(|holding| holding.is_complete()) else {
            return;
        };
        let (cut, chunks) = (holding.geometry, holding.geometry.chunks());
        let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content)) else {
            return;
        };
        let all = channel.remote.as_ref().is_some_and(Bitfield::is_full);
        let told = channel.shown.is_some() || channel.told.is_some();
        if !ctx.config.limits.tactics.seed_assigns
            || channel.withdrawn
            || channel.our_cut != Some(cut)
            || all
            || told
            || chunks < 2
        {
            return;
        }
        channel.shown = Some(Shown::nothing(chunks));
        let assigner = self.assigners.entry(content);
        let assigner = assigner.or_insert_with(|| Assigner::new(chunks, ctx.rng));
        assigner.arrive(ctx.now, conn);
        self.show_assigned(ctx, content);
    }

    /// A chunk left for somebody.
    pub(crate) fn note_assigned(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, chunk: u32) {
        if let Some(assigner) = self.assigners.get_mut(&content) {
            assigner.note_sent(ctx.now, conn, chunk);
            self.show_assigned(ctx, content);
        }
    }

    /// Somebody has chunks.
    pub(crate) fn note_spread(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        chunks: impl IntoIterator<Item = u32>,
    ) {
        if let Some(assigner) = self.assigners.get_mut(&content) {
            chunks.into_iter().for_each(|chunk| assigner.note_seen(ctx.now, conn, chunk));
            self.show_assigned(ctx, content);
        }
    }

    /// A connection takes no part in a content any more.
    pub(crate) fn end_assigning(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        if let Some(assigner) = self.assigners.get_mut(&content) {
            assigner.depart(ctx.now, conn);
            self.show_assigned(ctx, content);
        }
    }

    /// Neighbours that do not get on may be due.
    pub(crate) fn review_assigning(&mut self, ctx: &mut Ctx) {
        for content in self.assigners.keys().copied().collect::<Vec<_>>() {
            if let Some(assigner) = self.assigners.get_mut(&content) {
                assigner.review(ctx.now);
            }
            self.show_assigned(ctx, content);
        }
    }

    /// Tells each connection what it may be shown by now.
    pub(crate) fn show_assigned(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(assigner) = self.assigners.get_mut(&content) else { return };
        let mut news = assigner.take_news();
        if assigner.is_over() {
            news.extend(assigner.conns().map(Show::All));
            self.assigners.remove(&content);
        }
        for show in news {
            let (Show::One(conn, _) | Show::All(conn)) = show;
            let channel = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content));
            let Some(shown) = channel.and_then(|(_, channel)| channel.shown.as_mut()) else { continue };
            match show {
                Show::One(_, chunk) => shown.add(chunk),
                Show::All(_) => shown.add_all(),
            }
            self.note_stale_haves(ctx, conn, content);
        }
        match self.assigners.is_empty() {
            false => ctx.timers.set_no_later(Timer::Assign, ctx.now + assigner::REVIEW),
            true => ctx.timers.clear(Timer::Assign),
        }
    }
}
