//! Super-seeding: a connection is told only of the chunks that are assigned to it, so that each chunk leaves this peer once
//! before any leaves it twice. A seed of a mesh assigns by demand, the owner of a ring by place.
//!
//! This file is the flow of both policies, and the only one that says what is advertised on a channel. The policies own which
//! chunk is assigned to whom; they know a connection only by its id.

mod by_demand;
mod by_place;

use crate::core::io::{ConnId, Event};
use crate::core::native::session::channels::Advertised;
use crate::core::native::{Ctx, Engine};
use crate::core::picker::{self, WINDOW_USUAL};
use crate::core::timers::Timer;
use crate::core::topology::SuperSeeding;
use crate::types::{Bitfield, ContentId, Time};
use by_demand::ByDemand;
use by_place::ByPlace;

/// Which chunks of one content are assigned to whom, by one of two policies.
#[derive(Debug)]
pub(crate) enum Policy {
    ByDemand(ByDemand),
    ByPlace(ByPlace),
}

/// What happened to a content that is super-seeded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// A connection named the content.
    Arrived(ConnId),
    /// A connection no longer takes part.
    Departed(ConnId),
    /// A chunk was sent to a connection.
    Sent(ConnId, u32),
    /// The other side of a connection has a chunk, from here or from elsewhere.
    Has(ConnId, u32),
    /// The deadline has passed.
    Review,
}

/// What a connection is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advert {
    /// One more chunk.
    Chunk(ConnId, u32),
    /// Every chunk.
    All(ConnId),
}

impl Policy {
    fn note(&mut self, now: Time, change: Change) {
        match (self, change) {
            (Policy::ByDemand(policy), Change::Arrived(conn)) => policy.arrive(now, conn),
            (Policy::ByDemand(policy), Change::Departed(conn)) => policy.depart(now, conn),
            (Policy::ByDemand(policy), Change::Sent(conn, chunk)) => policy.note_sent(now, conn, chunk),
            (Policy::ByDemand(policy), Change::Has(conn, chunk)) => policy.note_has(now, conn, chunk),
            (Policy::ByDemand(policy), Change::Review) => policy.review(now),
            (Policy::ByPlace(policy), Change::Arrived(conn)) => policy.arrive(now, conn),
            (Policy::ByPlace(policy), Change::Departed(conn)) => policy.depart(now, conn),
            (Policy::ByPlace(policy), Change::Sent(conn, chunk)) => policy.note_sent(conn, chunk),
            (Policy::ByPlace(policy), Change::Has(conn, chunk)) => policy.note_has(conn, chunk),
            (Policy::ByPlace(policy), Change::Review) => policy.review(now),
        }
    }

    /// What is to be told since this was last asked, and whether super-seeding is over.
    fn take_adverts(&mut self) -> (Vec<Advert>, bool) {
        match self {
            Policy::ByDemand(policy) => policy.take_adverts(),
            Policy::ByPlace(policy) => (policy.take_adverts(), false),
        }
    }

    /// When a review is due at the latest.
    fn deadline(&self, now: Time) -> Option<Time> {
        match self {
            Policy::ByDemand(_) => Some(now + by_demand::REVIEW),
            Policy::ByPlace(policy) => policy.deadline(),
        }
    }

    /// Panics when a chunk is assigned to nobody, or twice.
    pub(crate) fn check(&self) {
        match self {
            Policy::ByDemand(policy) => policy.check(),
            Policy::ByPlace(policy) => policy.check(),
        }
    }
}

impl Engine {
    /// A connection named a content: it takes part in super-seeding, if this peer seeds the content and has not told the
    /// connection yet what is here.
    pub(crate) fn begin_seeding(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        let Some(holding) = ctx.catalogue.get(&content).filter(|holding| holding.is_complete()) else {
            return;
        };
        let geometry = holding.geometry;
        let chunks = geometry.chunks();
        let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content)) else {
            return;
        };
        if channel.advertised.is_some() || channel.withdrawn {
            return;
        }
        let (seeding, limits) = (self.seedings.get(&content), &ctx.config.limits);
        let begun = match ctx.config.topology.super_seeding() {
            SuperSeeding::Off => return,
            SuperSeeding::ByDemand => {
                let has_all = channel.remote.as_ref().is_some_and(Bitfield::is_full);
                let is_told = channel.told.is_some() || channel.our_cut != Some(geometry);
                if !limits.tactics.seed_assigns || is_told || has_all || chunks < 2 {
                    return;
                }
                seeding.is_none().then(|| Policy::ByDemand(ByDemand::new(chunks, ctx.rng)))
            }
            SuperSeeding::ByPlace { peers, reassign_after } => seeding.is_none().then(|| {
                // One more than is requested at once, so that there always is something to request.
                let window = picker::window_of(limits, &geometry).max(WINDOW_USUAL as usize);
                let policy = ByPlace::new(chunks, peers, reassign_after, window.saturating_add(1));
                Policy::ByPlace(policy)
            }),
        };
        channel.advertised = Some(Box::new(Advertised::nothing(chunks)));
        if let Some(policy) = begun {
            self.seedings.insert(content, policy);
        }
        self.note_seeding(ctx, content, [Change::Arrived(conn)]);
    }

    /// Takes in what happened to a content, and tells each connection what is assigned to it by now.
    pub(crate) fn note_seeding(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        changes: impl IntoIterator<Item = Change>,
    ) {
        let Some(seeding) = self.seedings.get_mut(&content) else { return };
        changes.into_iter().for_each(|change| seeding.note(ctx.now, change));
        let (adverts, is_over) = seeding.take_adverts();
        let deadline = seeding.deadline(ctx.now).filter(|_| !is_over);
        if is_over {
            self.seedings.remove(&content);
        }
        adverts.into_iter().for_each(|advert| self.advertise(ctx, content, advert));
        // The timer may be early, which costs one review for nothing, but never late.
        match deadline {
            Some(at) => ctx.timers.set_no_later(Timer::Seeding, at),
            None if self.seedings.values().all(|seeding| seeding.deadline(ctx.now).is_none()) => {
                ctx.timers.clear(Timer::Seeding);
            }
            None => {}
        }
    }

    /// Some chunk may be late, or some place may stay empty.
    pub(crate) fn review_seeding(&mut self, ctx: &mut Ctx) {
        for content in self.seedings.keys().copied().collect::<Vec<_>>() {
            self.note_seeding(ctx, content, [Change::Review]);
        }
    }

    fn advertise(&mut self, ctx: &mut Ctx, content: ContentId, advert: Advert) {
        let (Advert::Chunk(conn, _) | Advert::All(conn)) = advert;
        let channel = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content));
        let Some(advertised) = channel.and_then(|(_, channel)| channel.advertised.as_mut()) else { return };
        match advert {
            Advert::Chunk(_, chunk) => advertised.add(chunk),
            Advert::All(_) => advertised.add_all(),
        }
        self.note_stale_haves(ctx, conn, content);
    }

    /// A peer requests to be told of every chunk, because it has no other source.
    pub(crate) fn on_show(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        let Some((_, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "asked to be shown nothing");
        };
        self.advertise(ctx, channel.content, Advert::All(conn));
    }

    /// The other side of a connection told which chunks it has; `new` of them are more than it told before.
    pub(crate) fn note_list(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        chunks: impl IntoIterator<Item = u32>,
        new: u32,
    ) {
        self.note_seeding(ctx, content, chunks.into_iter().map(|chunk| Change::Has(conn, chunk)));
        if !ctx.config.topology.follows_lists() {
            return;
        }
        let Some(connection) = ctx.conns.native(conn) else { return };
        let Some((_, channel)) = connection.channels.of(&content) else { return };
        let Some(remote) = &channel.remote else { return };
        let from = connection.peer_ref();
        if let Some(peer) = from.id.filter(|_| remote.is_full()) {
            self.neighbourhood.is_done(&from.addr, &peer);
        }
        let (have, of) = (remote.count(), remote.len());
        ctx.outputs.event(Event::ListReceived { content, new, have, of, from });
    }
}
