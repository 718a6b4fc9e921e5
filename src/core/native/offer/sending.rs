//! Files sent: the recipient is found, offered the file, and says what became of it.
//!
//! The file itself is fetched by the recipient like any other content.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::io::{ConnId, Event, OfferEnd, OfferEvent, PeerRef, Recipient};
use crate::core::native::offer::offers::{SentOffer, Stage};
use crate::core::native::session::Phase;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::ContentId;
use crate::wire::message::{Answer, Delivery, Frame, Offer, OfferAnswer, OfferOutcome, Wanted};

/// How often a recipient that is looked for is tried again without other cause.
const SEEK_INTERVAL: Duration = Duration::from_millis(250);
/// After the first peer of a name was heard, others who have it too are waited for so long.
const SETTLE: Duration = Duration::from_millis(250);

impl Engine {
    pub(crate) fn on_offer_command(
        &mut self,
        ctx: &mut Ctx,
        ticket: u32,
        content: ContentId,
        name: String,
        to: Recipient,
        wait: Duration,
    ) {
        if ctx.is_leaving {
            return;
        }
        let Some(holding) = ctx.catalogue.get(&content).filter(|holding| holding.is_complete()) else {
            let end = OfferEnd::Withdrawn;
            return ctx.outputs.event(Event::Offer(OfferEvent::Ended { ticket, to: None, end }));
        };
        let size = holding.geometry.size_bytes();
        let stage = Stage::seeking(ctx.now, wait);
        if self.offers.add(ticket, SentOffer { content, name, size, to, stage, peer: None }) {
            // Commands that come together make one question.
            ctx.timers.set_no_later(Timer::Offers, ctx.now);
        }
    }

    /// Looks for recipients, and for the other receivers of what was accepted.
    pub(crate) fn review_offers(&mut self, ctx: &mut Ctx) {
        if ctx.is_leaving {
            return;
        }
        let mut ask = false;
        for ticket in self.offers.seeking() {
            ask |= self.offers.sent.get_mut(&ticket).is_some_and(|sent| sent.stage.take_request(ctx.now));
            self.seek_recipient(ctx, ticket);
        }
        if ask {
            self.query(ctx, Wanted::All);
            self.dial_fixed_peers(ctx);
        }
        for content in self.offers.take_swarm_queries(ctx.now) {
            self.query(ctx, Wanted::Id(content));
        }
        let again = (!self.offers.seeking().is_empty()).then_some(ctx.now + SEEK_INTERVAL);
        match [self.offers.deadline(), again].into_iter().flatten().min() {
            Some(at) => ctx.timers.set(Timer::Offers, at.max(ctx.now + Duration::from_millis(1))),
            None => ctx.timers.clear(Timer::Offers),
        }
    }

    /// Somebody was heard, or a connection stands: it may be who a file is to be sent to.
    pub(crate) fn note_recipient(&mut self, ctx: &mut Ctx) {
        if !self.offers.seeking().is_empty() {
            ctx.timers.set_no_later(Timer::Offers, ctx.now);
        }
    }

    /// Offers a file to its recipient if it can be reached, or sees to it that it is.
    fn seek_recipient(&mut self, ctx: &mut Ctx, ticket: u32) {
        let Some(sent) = self.offers.sent.get_mut(&ticket) else { return };
        let Stage::Seeking { until, .. } = sent.stage else { return };
        let (to, is_lost) = (sent.to.clone(), sent.peer.is_some());
        let addr = match &to {
            Recipient::At(addr) => Some(*addr),
            Recipient::Called(name) => match self.recipient_called(ctx, ticket, name, is_lost) {
                Ok(addr) => addr,
                Err(candidates) => return self.end_offer(ctx, ticket, OfferEnd::Ambiguous { candidates }),
            },
        };
        if let Some(conn) = addr.and_then(|addr| self.open_to(ctx, &addr)) {
            return self.offer(ctx, ticket, conn);
        }
        if ctx.now >= until {
            let peers = self.directory.len();
            let end = if is_lost { OfferEnd::Lost } else { OfferEnd::Nobody { peers } };
            return self.end_offer(ctx, ticket, end);
        }
        if let Some(addr) = addr {
            self.dial_or_wait(ctx, addr);
        }
    }

    /// Where who is called so listens; `None` as long as nobody is known, or others may still be heard. An error with
    /// all who are called so when these are several.
    fn recipient_called(
        &mut self,
        ctx: &mut Ctx,
        ticket: u32,
        name: &str,
        is_lost: bool,
    ) -> Result<Option<SocketAddr>, Vec<PeerRef>> {
        let mut at: BTreeMap<SocketAddr, PeerRef> = BTreeMap::new();
        let ids: Vec<_> = self.directory.peers().map(|(id, _)| *id).collect();
        for peer in ids.iter().filter_map(|id| self.directory.peer_ref(id)) {
            if peer.is_called(name) {
                at.insert(peer.addr, peer);
            }
        }
        // Who cannot be reached may be a peer that is gone and was not silent for long enough yet.
        if at.len() > 1 {
            let reachable = |addr: &SocketAddr| ctx.dialer.again(ctx.now, addr).is_none();
            if at.keys().any(reachable) {
                at.retain(|addr, _| ctx.dialer.again(ctx.now, addr).is_none());
            }
        }
        let Some(first) = at.keys().next().copied() else { return Ok(None) };
        let whole_id = name.contains('#');
        let Some(SentOffer { stage: Stage::Seeking { until, settles, .. }, .. }) =
            self.offers.sent.get_mut(&ticket)
        else {
            return Ok(None);
        };
        let settles = *settles.get_or_insert(if whole_id || is_lost {
            ctx.now
        } else {
            (ctx.now + SETTLE).min(*until)
        });
        match at.len() {
            _ if ctx.now < settles => Ok(None),
            1 => Ok(Some(first)),
            // One of them may be what is left of the one that was lost; it will show that it cannot be reached.
            _ if is_lost => Ok(Some(first)),
            _ => Err(at.into_values().collect()),
        }
    }

    /// The open connection to who listens at an address, whoever dialled.
    fn open_to(&self, ctx: &Ctx, addr: &SocketAddr) -> Option<ConnId> {
        let is_open = |conn: &ConnId| ctx.conns.native(*conn).is_some_and(|c| c.phase == Phase::Open);
        let dialled = self.links.to_endpoint(addr).filter(is_open);
        let known = || {
            let mut open = self.links.all_open();
            open.find(|(peer, _)| self.directory.get(peer).is_some_and(|known| known.addr == *addr))
        };
        let met = || self.links.to_peer(self.offers.met.get(addr)?).filter(is_open);
        dialled.or_else(|| known().map(|(_, conn)| conn)).or_else(met)
    }

    /// Says an offer, if not too many are open there.
    pub(crate) fn offer(&mut self, ctx: &mut Ctx, ticket: u32, conn: ConnId) {
        if self.offers.on(conn).len() >= ctx.config.limits.offers_made_max {
            // Its turn comes when one of those has ended; until then nobody is to be looked for.
            if let Some(SentOffer { stage: Stage::Seeking { until, .. }, .. }) =
                self.offers.sent.get_mut(&ticket)
            {
                *until = (*until).max(ctx.now + ctx.config.limits.offer_grace);
            }
            return;
        }
        let number = self.offers.number();
        let Some(to) = ctx.conns.native(conn).map(|connection| connection.peer_ref()) else { return };
        let Some(sent) = self.offers.sent.get_mut(&ticket) else { return };
        sent.stage = Stage::Asked { conn, number };
        sent.peer = Some(to.clone());
        let offer = Offer { offer: number, id: sent.content, name: sent.name.clone(), size: sent.size };
        ctx.outputs.event(Event::Offer(OfferEvent::Offered { ticket, to }));
        self.say(ctx, conn, Frame::Offer(offer));
        self.count_offers(ctx, conn);
    }

    pub(crate) fn on_offer_answer(&mut self, ctx: &mut Ctx, conn: ConnId, said: OfferAnswer) {
        let Some(ticket) = self.offers.numbered(conn, said.offer) else {
            return ctx.counters.add("answers to offers that are not open");
        };
        let Some(sent) = self.offers.sent.get_mut(&ticket) else { return };
        let Stage::Asked { number, .. } = sent.stage else {
            return ctx.counters.add("answers to offers that are not open");
        };
        if said.answer != Answer::Accepted {
            return self.end_offer(ctx, ticket, OfferEnd::Declined(said.answer));
        }
        sent.stage = Stage::Accepted { conn, number };
        if let Some(to) = sent.peer.clone() {
            ctx.outputs.event(Event::Offer(OfferEvent::Accepted { ticket, to }));
        }
    }

    pub(crate) fn on_offer_outcome(&mut self, ctx: &mut Ctx, conn: ConnId, said: OfferOutcome) {
        let Some(ticket) = self.offers.numbered(conn, said.offer) else {
            return ctx.counters.add("outcomes of offers that are not open");
        };
        let end = match said.outcome {
            Delivery::Verified => OfferEnd::Verified,
            outcome => OfferEnd::Failed(outcome),
        };
        self.end_offer(ctx, ticket, end);
    }

    /// A connection is over: what was offered on it is offered again when its recipient is back.
    pub(crate) fn lose_recipient(&mut self, ctx: &mut Ctx, conn: ConnId) {
        for ticket in self.offers.on(conn) {
            let Some(sent) = self.offers.sent.get_mut(&ticket) else { continue };
            sent.stage = Stage::seeking(ctx.now, ctx.config.limits.offer_grace);
            if let Some(to) = sent.peer.clone() {
                ctx.outputs.event(Event::Offer(OfferEvent::Lost { ticket, to }));
            }
            self.note_recipient(ctx);
        }
    }

    /// A file is not what it was: nobody is to be sent it.
    pub(crate) fn withdraw_offers(&mut self, ctx: &mut Ctx, content: &ContentId) {
        for ticket in self.offers.of(content) {
            self.end_offer(ctx, ticket, OfferEnd::Withdrawn);
        }
    }

    fn end_offer(&mut self, ctx: &mut Ctx, ticket: u32, end: OfferEnd) {
        let Some(sent) = self.offers.sent.remove(&ticket) else { return };
        if let Some(conn) = sent.stage.conn() {
            self.count_offers(ctx, conn);
        }
        ctx.outputs.event(Event::Offer(OfferEvent::Ended { ticket, to: sent.peer, end }));
        // Another may have waited for its place.
        self.note_recipient(ctx);
    }

    /// An offer was made or ended on a connection.
    pub(crate) fn count_offers(&mut self, ctx: &mut Ctx, conn: ConnId) {
        if let Some(connection) = ctx.conns.native_mut(conn) {
            connection.offers_open =
                self.offers.on(conn).len().saturating_add(self.offers.received_on(conn).count());
        }
    }
}
