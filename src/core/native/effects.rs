//! What a part of the engine did that concerns parts above it: a value in a queue, which the engine sees to when the call, or
//! the frame, is over; and what follows from each.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::core::io::{BufferId, ConnId, Event, FailReason, Output, PeerRef};
use crate::core::native::discovery::searches::{Search, title};
use crate::core::native::offer::receiving::delivery_of;
use crate::core::native::peers::directory::Heard;
use crate::core::native::session::Claim;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::name::Layout;
use crate::types::{ContentId, PeerId};
use crate::wire::message::{Delivery, Entry};

/// So many bytes are told of what a stranger said.
const SAID_MAX: usize = 64;

/// One of them.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A peer was heard, by datagram or hello.
    Heard(PeerId),
    /// A peer said hello, and that it listens at an endpoint.
    Met { dialled_to: Option<SocketAddr>, endpoint: SocketAddr, peer: PeerId },
    /// This peer answered at an endpoint that was dialled.
    Answered { at: SocketAddr, peer: PeerId },
    /// A connection stands to somebody who only claims to be a peer.
    GuestCame,
    /// A connection stands to a peer.
    Connected { conn: ConnId, peer: PeerId },
    /// A connection that was dialled is over; `said`: the first bytes that came, if they were no hello.
    DialOver { conn: ConnId, addr: SocketAddr, said: Option<Vec<u8>> },
    /// A connection is over, on which these contents were named.
    Disconnected { conn: ConnId, dialled: bool, buffer: Option<BufferId>, contents: Vec<ContentId> },
    /// A peer was banned, which had named these contents.
    Banned { peer: PeerRef, contents: Vec<ContentId> },
    /// A download has its manifest: chunks can come.
    Started(ContentId),
    /// A download ended, and the file is there or was skipped.
    Ended { content: ContentId, outcome: Delivery },
    /// A download ended without the file, under these names.
    Failed { content: ContentId, names: Vec<(String, Layout)>, reason: FailReason },
    /// Of what an address claims to have, some came, or will not: the mirror may want more of it.
    MirrorFreed,
    /// A peer that is known told these entries of its catalogue.
    Listed { peer: PeerId, entries: Vec<Entry> },
    /// Somebody offers these entries with the id of a peer that is known at another address.
    HeardElsewhere { heard: Heard, entries: Vec<Entry> },
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Effects(VecDeque<Effect>);

impl Effects {
    /// Leaves an effect for the engine.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.0.push_back(effect);
    }

    /// Takes out the one that was left first.
    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }
}

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

impl Engine {
    /// A peer offers something from another address than the one at which it is known. If that is wanted here, dials show who is
    /// where: an impostor that was heard first would keep the peer out as long as it likes.
    pub(crate) fn test_where_known(&mut self, ctx: &mut Ctx, heard: &Heard, entries: &[Entry]) {
        let Some(known) = self.directory.get(&heard.peer).filter(|known| known.addr != heard.addr) else {
            return;
        };
        let addr = known.addr;
        let is_sought = self.is_sought(heard, entries);
        if !is_sought && !self.is_for_mirror_anew(ctx, entries) {
            return;
        }
        if let Some(standing) = self.links.to_peer(&heard.peer) {
            return match self.claim_of(ctx, standing) {
                Claim::Proven => {}
                Claim::Untested => self.dial_to_test(ctx, addr, is_sought),
                Claim::Refuted => self.dial_to_test(ctx, heard.addr, is_sought),
            };
        }
        let dialled = self.links.to_endpoint(&addr).and_then(|conn| ctx.conns.native(conn));
        match dialled.map(|connection| connection.identity.as_ref().map(|identity| identity.peer)) {
            None => {
                self.dial_to_test(ctx, addr, is_sought);
                self.dial_to_test(ctx, heard.addr, is_sought);
            }
            Some(Some(there)) if there != heard.peer => {
                self.forget_impostors(ctx, &addr, &there);
                self.dial_to_test(ctx, heard.addr, is_sought);
            }
            // The answer there is awaited.
            Some(_) => {}
        }
    }

    /// Whether some of this is looked for or fetched.
    pub(crate) fn is_sought(&self, heard: &Heard, entries: &[Entry]) -> bool {
        let holder = PeerRef { id: Some(heard.peer), addr: heard.addr, user: heard.user.clone() };
        entries.iter().any(|entry| {
            let matches = |search: &Search| {
                search.purpose.is_about(&holder) && search.wanted.matches(&entry.name, &entry.id)
            };
            self.searches.iter().any(|(_, search)| matches(search))
                || self.downloader.get(&entry.id).is_some_and(|download| download.wants_peers())
        })
    }

    fn dial_to_test(&mut self, ctx: &mut Ctx, to: SocketAddr, is_sought: bool) {
        if is_sought {
            self.dial_though_connected(ctx, to);
        } else {
            self.dial_for_mirror(ctx, to);
        }
    }
}
