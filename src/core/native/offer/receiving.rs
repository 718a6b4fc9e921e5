//! Files received: an offer comes, somebody decides, what is accepted is fetched, and the sender hears how that ended.

use std::time::Duration;

use crate::core::io::{ConnId, Decision, Event, FailReason, FaultKind, OfferEvent};
use crate::core::native::offer::offers::ReceivedOffer;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::{ContentId, Geometry};
use crate::wire::message::{Answer, Delivery, Entry, Frame, Offer, OfferAnswer, OfferOutcome, RefuseReason};

impl Engine {
    pub(crate) fn on_offer(&mut self, ctx: &mut Ctx, conn: ConnId, said: Offer) {
        let Offer { offer: theirs, id: content, name, size } = said;
        if self.offers.received_on(conn).any(|(_, received)| received.theirs == theirs) {
            return self.close_for_fault(ctx, conn, "offered twice under one number");
        }
        if self.offers.received_on(conn).count() >= ctx.config.limits.offers_open_max {
            return self.close_for_fault(ctx, conn, "offers without end");
        }
        let decline = match Geometry::native(size) {
            _ if !self.offers.receives || ctx.is_leaving => Some(Answer::NotReceiving),
            _ if self.offers.received.len() >= ctx.config.limits.offers_open_all_max => Some(Answer::Busy),
            Err(_) => Some(Answer::NoSpace),
            Ok(_) => None,
        };
        if let Some(answer) = decline {
            return self.decline(ctx, conn, theirs, answer);
        }
        let Some(from) = ctx.conns.native(conn).map(|connection| connection.peer_ref()) else {
            return;
        };
        let received =
            ReceivedOffer { conn: Some(conn), theirs, content, name: name.clone(), size, accepted: false };
        let offer = self.offers.keep(received);
        self.count_offers(ctx, conn);
        ctx.outputs.event(Event::Offer(OfferEvent::Came { offer, from, content, name, size }));
    }

    pub(crate) fn on_answer_command(
        &mut self,
        ctx: &mut Ctx,
        offer: u32,
        decision: Decision,
        ticket: u32,
        stall: Duration,
    ) {
        let Some(received) = self.offers.received.get_mut(&offer).filter(|received| !received.accepted)
        else {
            return;
        };
        let (Some(conn), theirs) = (received.conn, received.theirs) else { return };
        if let Decision::Decline(answer) = decision {
            self.offers.received.remove(&offer);
            self.count_offers(ctx, conn);
            return self.decline(ctx, conn, theirs, answer);
        }
        received.accepted = true;
        let (content, name, size) = (received.content, received.name.clone(), received.size);
        self.say(ctx, conn, Frame::OfferAnswer(OfferAnswer { offer: theirs, answer: Answer::Accepted }));
        ctx.outputs.event(Event::Resolved { ticket, content, name: name.as_str().into(), size });
        self.forget_complete(ctx, content);
        self.downloader.note_offered(content, size);
        self.begin_download(ctx, content, &name, size, stall);
        self.believe_sender(ctx, conn, content, &name, size);
    }

    /// A content that was received before is looked for on disk again: it may be gone, or be wanted under another name.
    fn forget_complete(&mut self, ctx: &mut Ctx, content: ContentId) {
        let whole = ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        if whole && self.downloader.get(&content).is_none() {
            self.withdraw_everywhere(ctx, content, RefuseReason::Unknown);
            ctx.catalogue.remove(&content);
        }
    }

    /// Who offers a content has it, whatever was heard of its catalogue.
    fn believe_sender(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, name: &str, size: u64) {
        let known = ctx.conns.native(conn).and_then(|connection| connection.known_peer());
        let Some(peer) = known else {
            // Nothing is known of who it is, but it can be asked.
            return self.name_on(ctx, conn, content);
        };
        let of = Geometry::native(size).map_or(0, |geometry| geometry.chunks());
        let entry = Entry { id: content, name: name.to_owned(), size, have: of, of };
        let generation = self.directory.get(&peer).map_or(0, |known| known.generation());
        self.on_catalogue(ctx, &peer, generation, None, vec![entry], 0);
    }

    /// What was accepted can be fetched: others who fetch it too are looked for at once.
    pub(crate) fn seek_receivers(&mut self, ctx: &mut Ctx, content: ContentId) {
        self.offers.begin_swarm(ctx.now, content);
        if let Some(at) = self.offers.deadline() {
            ctx.timers.set_no_later(Timer::Offers, at);
        }
    }

    /// A download is over: who offered it hears how it ended.
    pub(crate) fn conclude_offers(&mut self, ctx: &mut Ctx, content: ContentId, outcome: Delivery) {
        self.offers.end_swarm(&content);
        self.downloader.forget_offered(&content);
        let offers: Vec<u32> = self.offers.accepted(&content).map(|(offer, _)| offer).collect();
        for offer in offers {
            match self.offers.received.remove(&offer) {
                Some(ReceivedOffer { conn: Some(conn), theirs, .. }) => {
                    self.count_offers(ctx, conn);
                    self.say(ctx, conn, Frame::OfferOutcome(OfferOutcome { offer: theirs, outcome }));
                }
                Some(_) if outcome == Delivery::Verified => {
                    ctx.outputs.event(Event::Offer(OfferEvent::Untold { content }));
                }
                _ => {}
            }
        }
    }

    /// A connection is over: what came on it and nobody has answered is gone; what was accepted is fetched on, from
    /// whoever else has it, or from its sender when that is back.
    pub(crate) fn lose_sender(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let on: Vec<(u32, bool)> =
            self.offers.received_on(conn).map(|(offer, received)| (offer, received.accepted)).collect();
        for (offer, accepted) in on {
            if accepted {
                if let Some(received) = self.offers.received.get_mut(&offer) {
                    received.conn = None;
                }
            } else {
                self.offers.received.remove(&offer);
                ctx.outputs.event(Event::Offer(OfferEvent::Gone { offer }));
            }
        }
    }

    /// Declines an offer. Whoever goes on offering what is declined is closed.
    pub(crate) fn decline(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, answer: Answer) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if !connection.declines.take(ctx.now) {
            return self.close_for_fault(ctx, conn, "offers what is declined again and again");
        }
        self.say(ctx, conn, Frame::OfferAnswer(OfferAnswer { offer: theirs, answer }));
    }
}

/// What a sender hears of a download that failed.
pub(crate) fn delivery_of(reason: &FailReason) -> Delivery {
    match reason {
        FailReason::NobodyOffers { .. }
        | FailReason::Ambiguous { .. }
        | FailReason::Stalled { .. }
        | FailReason::KeepsChanging { .. }
        | FailReason::Removed { .. } => Delivery::GaveUp,
        FailReason::Integrity { .. } => Delivery::Integrity,
        FailReason::OtherSize { .. } => Delivery::Size,
        FailReason::Storage(fault) => match fault.kind {
            FaultKind::Full => Delivery::NoSpace,
            FaultKind::NameRefused | FaultKind::Exists => Delivery::Name,
            FaultKind::Denied | FaultKind::Busy | FaultKind::Io | FaultKind::Bug => Delivery::Storage,
        },
        FailReason::Cancelled => Delivery::Cancelled,
    }
}
