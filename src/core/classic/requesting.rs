//! Requesting a chunk of a holder: chosen, dialled, asked, read, tried again where it was refused.

use std::net::{IpAddr, SocketAddr};

use crate::core::classic::chunk_request::{ChunkRequest, Outcome, Review};
use crate::core::classic::conversation::{Conversation, Side};
use crate::core::classic::directory::{Offer, Offers};
use crate::core::classic::fetches::{Arrival, Attempt, Chunk, Route, State};
use crate::core::classic::{Ctx, Engine};
use crate::core::connection::Transport;
use crate::core::io::{BrokenWhy, ClassicEvent, ClassicJob, ConnId, Output, SpoolId};
use crate::core::timers::Timer;
use crate::types::Time;
use crate::wire::classic::answer::Asked;
use crate::wire::classic::{Dialect, NEXT_DIAL_PAUSE, RETRIES_MAX, RETRY_PAUSE};

/// Connections to one holder for one process: a second one only when the answer on the first seems to be over.
const REQUESTS_PER_HOLDER_MAX: usize = 2;

/// Why a chunk did not come from who answered.
const MISSING: &str = "the peer does not have it";

/// An ask that is over, whatever came of it.
struct Ended {
    ticket: u32,
    index: u32,
    spool: SpoolId,
    dialect: Dialect,
    answered: bool,
    from: SocketAddr,
}

impl Engine {
    /// Asks for chunks, each of the holder that failed least and is asked for least, by the name that is the quickest.
    pub(super) fn request_from_holders(&mut self, ctx: &mut Ctx<'_>, ticket: u32, offers: &Offers) {
        for index in self.waiting_attempts(ctx, ticket) {
            self.dial_attempt(ctx, ticket, index);
        }
        for (index, of_chunk) in offers {
            let Some(fetch) = self.fetches.get_mut(ticket) else { return };
            if fetch.asking() >= ctx.config.limits.classic_asks_max {
                return;
            }
            let chunk = fetch.chunks.entry(*index).or_default();
            if !matches!(chunk.state, State::Wanted) {
                continue;
            }
            let Some(offer) = self.choose_holder(ctx, ticket, *index, of_chunk) else { continue };
            let attempt = Attempt {
                ip: offer.ip,
                name: offer.name.clone(),
                size: offer.size,
                routes: self.routes_to(ctx, offer),
                route: 0,
                answered_missing: false,
                retries: 0,
                conn: None,
                again: ctx.now,
                began: ctx.now,
            };
            if let Some(chunk) = self.fetches.chunk_mut(ticket, *index) {
                chunk.state = State::ChunkRequest(attempt);
            }
            self.dial_attempt(ctx, ticket, *index);
        }
    }

    fn choose_holder<'a>(
        &self,
        ctx: &Ctx<'_>,
        ticket: u32,
        index: u32,
        offers: &'a [Offer],
    ) -> Option<&'a Offer> {
        let chunk = self.fetches.get(ticket)?.chunks.get(&index)?;
        let rounds = ctx.config.limits.classic_rounds_max;
        let open = offers.iter().filter(|offer| {
            chunk.may_ask(offer.ip, rounds)
                && self.rested_at(ctx, chunk, offer.ip) <= ctx.now
                && !self.routes_to(ctx, offer).is_empty()
        });
        let open = open.filter_map(|offer| Some((offer, self.load_of(ctx, offer.ip)?)));
        // Equals take turns, so that chunks come from several at once.
        let turn = |at: usize| at.saturating_add(index as usize).checked_rem(offers.len());
        let ranked = open.enumerate().map(|(at, (offer, load))| {
            let failures = chunk.failures.get(&offer.ip).map_or(0, |(count, _)| *count);
            // Who announces a chunk under several names may be quicker by one of them.
            let late = offer.dialects.iter().all(|dialect| dialect.answers_late());
            ((failures, load, late, turn(at)), offer)
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, offer)| offer)
    }

    /// How much a holder is asked for; `None` when that is as much as it may be.
    fn load_of(&self, ctx: &Ctx<'_>, ip: IpAddr) -> Option<usize> {
        let attempts = self.fetches.attempts().filter(|(_, _, attempt)| attempt.ip == ip);
        let mut load = 0_usize;
        for (_, _, attempt) in attempts {
            let conversation = attempt.conn.and_then(|conn| ctx.conns.get(conn));
            if !conversation.is_some_and(Conversation::is_quiet) {
                return None;
            }
            load = load.saturating_add(1);
        }
        (load < REQUESTS_PER_HOLDER_MAX).then_some(load)
    }

    fn waiting_attempts(&self, ctx: &Ctx<'_>, ticket: u32) -> Vec<u32> {
        let attempts = self.fetches.attempts();
        let due = attempts
            .filter(|(of, _, attempt)| *of == ticket && attempt.conn.is_none() && attempt.again <= ctx.now);
        due.map(|(_, index, _)| index).collect()
    }

    /// Says once of each chunk that every holder of it has failed.
    pub(super) fn tell_failed_chunks(&mut self, ctx: &mut Ctx<'_>, ticket: u32, offers: &Offers) {
        let rounds = ctx.config.limits.classic_rounds_max;
        for (index, of_chunk) in offers {
            let Some(chunk) = self.fetches.chunk_mut(ticket, *index) else { continue };
            let wanted = matches!(chunk.state, State::Wanted);
            let spent = of_chunk.iter().all(|offer| !chunk.may_ask(offer.ip, rounds));
            if wanted && spent && !chunk.told_failed {
                chunk.told_failed = true;
                if let Some(offer) = of_chunk.first() {
                    ctx.tell(ClassicEvent::ChunkFailed { ticket, name: offer.name.clone() });
                }
            }
        }
    }

    /// The ways to ask a peer for a chunk, the likeliest first; only one where that is known to lead there. None leads to
    /// this peer itself, whose chunks other programs of this host may list.
    fn routes_to(&self, ctx: &Ctx<'_>, offer: &Offer) -> Vec<Route> {
        let Some(classic) = &ctx.config.classic else { return Vec::new() };
        let json = offer.dialects.contains(&Dialect::BJson);
        let is_at_every = !classic.address_alone && (ctx.is_own(offer.ip) || offer.ip.is_unspecified());
        let is_here = is_at_every || offer.ip == classic.address;
        let mut routes: Vec<Route> = Vec::new();
        for dialect in offer.dialects.iter().copied() {
            let port = classic.dial_port.unwrap_or(dialect.tcp_port());
            if is_here && classic.ports.contains_key(&port) {
                continue;
            }
            let same =
                |route: &Route| route.port == port && route.dialect.request_key() == dialect.request_key();
            if !routes.iter().any(same) {
                let may_be_json = json && dialect == Dialect::B;
                routes.push(Route { dialect, port, may_be_json });
            }
        }
        let proven = self.directory.proven(offer.ip);
        let known = routes.iter().copied().find(|route| {
            proven == Some(route.dialect) || (route.may_be_json && proven == Some(Dialect::BJson))
        });
        known.map_or(routes, |route| vec![route])
    }

    /// Dials the holder of an attempt that has no connection and is due.
    pub(super) fn dial_attempt(&mut self, ctx: &mut Ctx<'_>, ticket: u32, index: u32) {
        let Some(classic) = &ctx.config.classic else { return };
        let Some(attempt) = self.fetches.attempt_mut(ticket, index) else { return };
        let Some(route) = attempt.routes.get(attempt.route).copied() else { return };
        let rested = self.directory.rests_until(attempt.ip);
        attempt.again = rested.map_or(attempt.again, |rested| attempt.again.max(rested));
        if attempt.conn.is_some() || attempt.again > ctx.now {
            return;
        }
        if !ctx.conns.has_room(&ctx.config.limits) {
            attempt.again = ctx.now + RETRY_PAUSE;
            return;
        }
        let to = SocketAddr::new(attempt.ip, route.port);
        let (name, bytes_max) = (attempt.name.clone(), classic.chunk_bytes_max);
        let asked = Asked { name, announced_bytes: attempt.size, bytes_max };
        let request = ChunkRequest::new(ctx.now, (ticket, index), route, asked, ctx.spools.take());
        let conn = ctx.conns.insert(Conversation::request(Transport::dialled(to), request), ctx.now);
        attempt.conn = Some(conn);
        ctx.timers.set(Timer::Connection(conn), ctx.now + ctx.config.limits.dial_deadline);
        ctx.outputs.push(Output::Dial { conn, to });
    }

    pub(super) fn on_answer_bytes(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(request) = ctx.conns.get_mut(conn).and_then(Conversation::as_request) else { return 0 };
        let spool = request.spool;
        let taken = request.push(ctx.now, bytes);
        ctx.write_spool(spool, taken.spooled);
        match taken.outcome {
            Some(outcome) => self.end_request(ctx, conn, outcome),
            None => self.review(ctx, conn),
        }
        taken.used
    }

    /// The answer is over.
    pub(super) fn end_request(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, outcome: Outcome) {
        let Some(ended) = self.take_request(ctx, conn) else { return };
        ctx.end(conn);
        if !matches!(outcome, Outcome::Complete { .. }) {
            ctx.drop_spool(ended.spool);
        }
        let Ended { ticket, index, dialect, from, .. } = ended;
        match outcome {
            Outcome::Complete { skip } => self.store_chunk(ctx, ended, skip),
            Outcome::Missing => {
                let is_proven = self.directory.proven(from.ip()) == Some(dialect);
                let attempt = self.fetches.attempt_mut(ticket, index).filter(|_| !is_proven);
                if !attempt.is_some_and(|attempt| attempt.leave_route(ctx.now)) {
                    self.miss_chunk(ctx, ticket, index, MISSING.to_owned());
                }
            }
            Outcome::Failed(why) => self.miss_chunk(ctx, ticket, index, why),
        }
        self.review_fetches(ctx);
    }

    /// The connection was refused, or broke. Who has no listener for a moment is tried again.
    pub(super) fn break_request(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, why: BrokenWhy) {
        let Some(ended) = self.take_request(ctx, conn) else { return };
        ctx.end(conn);
        ctx.drop_spool(ended.spool);
        let Ended { ticket, index, answered, .. } = ended;
        let Some(attempt) = self.fetches.attempt_mut(ticket, index) else { return };
        let reason = match why {
            _ if answered => "the connection broke",
            _ if attempt.answered_missing => MISSING,
            BrokenWhy::Refused => "nobody listens there",
            BrokenWhy::Unreachable => "no way there",
            BrokenWhy::Reset => "the connection was reset",
            BrokenWhy::Failed => "the connection failed",
        };
        let again = !answered
            && match why {
                BrokenWhy::Refused => attempt.take_next_route(ctx.now) || attempt.begin_again(ctx.now),
                BrokenWhy::Reset => attempt.begin_again(ctx.now),
                BrokenWhy::Unreachable | BrokenWhy::Failed => attempt.take_next_route(ctx.now),
            };
        if !again {
            self.miss_chunk(ctx, ticket, index, reason.to_owned());
        }
    }

    /// A deadline of a side that asks came: when to look again.
    pub(super) fn review_request(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) -> Option<Time> {
        let request = ctx.conns.get_mut(conn).and_then(Conversation::as_request)?;
        match request.review(ctx.now, &ctx.config.limits) {
            Review::Wait(next) => Some(next),
            Review::Quiet(next) => {
                ctx.timers.set(Timer::Connection(conn), next);
                self.review_fetches(ctx);
                None
            }
            Review::Over(Outcome::Failed(_)) if request.is_dialling() => {
                self.break_request(ctx, conn, BrokenWhy::Unreachable);
                self.review_fetches(ctx);
                None
            }
            Review::Over(outcome) => {
                self.end_request(ctx, conn, outcome);
                None
            }
        }
    }

    /// A chunk did not come from the holder that was asked.
    fn miss_chunk(&mut self, ctx: &mut Ctx<'_>, ticket: u32, index: u32, why: String) {
        let Some(chunk) = self.fetches.chunk_mut(ticket, index) else { return };
        let State::ChunkRequest(Attempt { ip, name, routes, route, .. }) = std::mem::take(&mut chunk.state)
        else {
            return;
        };
        let failures = chunk.failures.entry(ip).or_insert((0, ctx.now));
        *failures = (failures.0.saturating_add(1), ctx.now);
        // All ways and all retries were one attempt.
        let wait_max = ctx.config.limits.classic_redial_wait_max;
        ctx.dialer.failed_at_most(ctx.now, holder_endpoint(ip), wait_max);
        // Another way may lead there the next time.
        self.directory.prove(ip, None);
        if let Some(route) = routes.get(route) {
            let (from, dialect) = (SocketAddr::new(ip, route.port), route.dialect);
            ctx.tell(ClassicEvent::ChunkMissed { ticket, name, from, dialect, why });
        }
    }

    /// A chunk is in its spool: the store keeps it.
    fn store_chunk(&mut self, ctx: &mut Ctx<'_>, ended: Ended, skip: u64) {
        let Ended { ticket, index, spool, dialect, from, .. } = ended;
        self.directory.prove(from.ip(), Some(dialect));
        ctx.dialer.succeeded(&holder_endpoint(from.ip()));
        let chunk = self.fetches.chunk_mut(ticket, index);
        let Some(chunk) = chunk else { return ctx.drop_spool(spool) };
        let State::ChunkRequest(attempt) = std::mem::take(&mut chunk.state) else {
            return ctx.drop_spool(spool);
        };
        let name = attempt.name;
        chunk.state = State::Storing(Arrival { from, dialect, spool, began: attempt.began });
        ctx.store(ClassicJob::KeepSpool { spool, name, skip });
    }

    /// Nothing is asked on a connection any more. `None`: nothing was.
    fn take_request(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) -> Option<Ended> {
        let conversation = ctx.conns.get(conn)?;
        let Side::ChunkRequest(request) = &conversation.side else { return None };
        let ended = Ended {
            ticket: request.ticket,
            index: request.index,
            spool: request.spool,
            dialect: request.dialect,
            answered: request.is_answered(),
            from: conversation.transport.addr,
        };
        if !request.is_dialling() && !request.dialect.keeps_connection() {
            self.directory.rest(ended.from.ip(), ctx.now + NEXT_DIAL_PAUSE);
        }
        if let Some(attempt) = self.fetches.attempt_mut(ended.ticket, ended.index) {
            attempt.conn = None;
        }
        Some(ended)
    }

    /// When a holder may be asked for a chunk again: after its last failure with this chunk, and with any other, and a moment
    /// after its last connection.
    pub(super) fn rested_at(&self, ctx: &Ctx<'_>, chunk: &Chunk, ip: IpAddr) -> Time {
        let pause = ctx.config.limits.classic_round_pause;
        let of_chunk = chunk.failures.get(&ip).map(|(_, last)| *last + pause);
        let of_dials = ctx.dialer.again(ctx.now, &holder_endpoint(ip));
        of_chunk.max(of_dials).max(self.directory.rests_until(ip)).unwrap_or(ctx.now)
    }
}

/// The ports of a classic holder are ways to the same peer, so that the back-off counts them as one endpoint.
fn holder_endpoint(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}

impl Attempt {
    /// Goes another way, if one is left.
    fn take_next_route(&mut self, now: Time) -> bool {
        let next = self.route.saturating_add(1);
        let more = next < self.routes.len();
        if more {
            self.route = next;
            self.again = now;
        }
        more
    }

    /// Goes another way for good, if one is left: who answered on this one does not have the chunk, and may not be the
    /// program that announced it.
    fn leave_route(&mut self, now: Time) -> bool {
        let left = self.route;
        let more = self.take_next_route(now);
        if more {
            self.routes.remove(left);
            (self.route, self.answered_missing) = (left, true);
        }
        more
    }

    /// Goes the first way again after a pause, but not for ever, and not where somebody answered.
    fn begin_again(&mut self, now: Time) -> bool {
        let more = self.retries < RETRIES_MAX && !self.answered_missing;
        if more {
            self.retries = self.retries.saturating_add(1);
            self.route = 0;
            self.again = now + RETRY_PAUSE;
        }
        more
    }
}
