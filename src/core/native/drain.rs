//! What follows in other parts of the engine from what one part did.

use crate::core::io::ConnId;
use crate::core::io::Event;
use crate::core::io::Output;
use crate::core::native::discovery::searches::title;
use crate::core::native::effects::Effect;
use crate::core::native::offer::receiving::delivery_of;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::id::ContentId;
use crate::types::id::PeerId;
use std::net::SocketAddr;

/// So many bytes are told of what a stranger said.
const SAID_MAX: usize = 64;

impl Engine {
    /// Sees to what the parts left to be done.
    pub(crate) fn drain(&mut self, ctx: &mut Ctx) {
        while let Some(effect) = self.effects.pop() {
            match effect {
                Effect::Heard(peer) => {
                    self.note_heard(&peer);
                    self.note_recipient(ctx);
                }
                Effect::Met { dialled_to, endpoint, peer } => self.meet(ctx, dialled_to, endpoint, peer),
                Effect::Answered { at, peer } => self.offers.meet(at, peer),
                Effect::GuestCame => self.note_recipient(ctx),
                Effect::Connected { conn, peer } => self.greet(ctx, conn, &peer),
                Effect::DialOver { conn, addr, said } => {
                    if let Some(said) = said {
                        self.note_stranger(ctx, addr, said);
                    }
                    self.note_away(ctx, conn);
                }
                Effect::Disconnected { conn, dialled, buffer, contents } => {
                    if let Some(buffer) = buffer {
                        self.downloader.free_buffer(buffer);
                        ctx.outputs.push(Output::Release(buffer));
                    }
                    self.part(ctx, conn, contents);
                    if dialled {
                        self.review_guests(ctx);
                    }
                }
                Effect::Banned { peer, contents } => self.note_banned(&peer, &contents),
                Effect::Started(content) => self.seek_receivers(ctx, content),
                Effect::Ended { content, outcome } => self.conclude_offers(ctx, content, outcome),
                Effect::Failed { content, names, reason } => {
                    for (name, layout) in names {
                        self.searches.note_failed(title(content, &name, layout));
                    }
                    self.conclude_offers(ctx, content, delivery_of(&reason));
                }
                Effect::MirrorFreed => self.fetch_what_was_put_off(ctx),
                Effect::Listed { peer, entries } => {
                    self.mirror_matches(ctx, &peer, &entries);
                    self.walk_for_mirror(ctx, &peer);
                }
                Effect::HeardElsewhere { heard, entries } => self.test_where_known(ctx, &heard, &entries),
            }
        }
    }

    /// The driver has closed a connection, or it broke.
    pub(crate) fn on_gone(&mut self, ctx: &mut Ctx, conn: ConnId) {
        self.detach(ctx, conn);
        self.drain(ctx);
        ctx.timers.clear(Timer::Connection(conn));
        ctx.conns.remove(conn);
        self.seek_neighbours(ctx);
        ctx.after.review_leaving = true;
    }

    /// A connection stands to a peer: its catalogue is asked for, and it hears what it may want to know.
    pub(crate) fn greet(&mut self, ctx: &mut Ctx, conn: ConnId, peer: &PeerId) {
        self.walk_for_mirror(ctx, peer);
        self.walk_catalogue(ctx, peer);
        self.greet_neighbour(ctx, conn);
        self.note_recipient(ctx);
        self.meet_for_mirror(ctx, peer);
        for content in self.downloader.wanting() {
            if self.is_on_overlay(ctx, peer, &content) {
                self.name_on(ctx, conn, content);
            }
        }
    }

    /// A connection takes part in nothing any more.
    pub(crate) fn part(&mut self, ctx: &mut Ctx, conn: ConnId, contents: Vec<ContentId>) {
        self.grant_uploads(ctx);
        self.end_walks(ctx, conn);
        self.lose_recipient(ctx, conn);
        self.lose_sender(ctx, conn);
        for content in contents {
            self.lose_source(ctx, conn, content);
        }
        self.retry_blocked(ctx);
    }

    /// What came in is no peer. The owner of a ring waits for a few peers, one of which that may have been meant to be.
    pub(crate) fn note_foreign(&mut self, ctx: &mut Ctx, addr: SocketAddr, said: &[u8]) {
        if ctx.config.topology.is_owner() && ctx.dialer.note_stranger(SocketAddr::new(addr.ip(), 0)) {
            let said = said.iter().take(SAID_MAX).copied().collect();
            ctx.outputs.event(Event::StrangerCame { addr, said });
        }
    }

    /// The program at an endpoint did not greet as a peer does. Where somebody named the endpoint, that is told. A peer
    /// may be killed, or be full, before it says a word; so that is told when it happens again.
    pub(crate) fn note_stranger(&mut self, ctx: &mut Ctx, addr: SocketAddr, said: Vec<u8>) {
        let named = ctx.config.fixed_peers.contains(&addr)
            || self.neighbourhood.ends().any(|end| end.addr == addr)
            || self.offers.is_for(&addr);
        let sure = !said.is_empty() || ctx.dialer.failures(&addr) > 1;
        if named && sure && ctx.dialer.note_stranger(addr) {
            // That it is away is told with it.
            let ends = self.neighbourhood.ends_mut().filter(|end| end.addr == addr);
            ends.for_each(|end| end.away = true);
            ctx.outputs.event(Event::NotAPeer { addr, said });
        }
    }
}
