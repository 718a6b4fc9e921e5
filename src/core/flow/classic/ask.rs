//! Asking a holder for a chunk: dialled, asked, read, tried again where it was refused.

use std::net::SocketAddr;

use crate::core::classic::asking::{Asking, Outcome, Review};
use crate::core::classic::conversation::{Conversation, Side};
use crate::core::classic::fetches::{Arrival, Attempt, State};
use crate::core::connection::Transport;
use crate::core::door::{BrokenWhy, ClassicEvent, ClassicJob, ConnId, Event, Output, SpoolId, StoreJob};
use crate::core::flow::classic::get::holder_endpoint;
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::time::Time;
use crate::wire::classic::answer::Asked;
use crate::wire::classic::{Dialect, RETRIES_MAX, RETRY_PAUSE};

/// An ask that is over, whatever came of it.
struct Ended {
    ticket: u32,
    index: u32,
    spool: SpoolId,
    dialect: Dialect,
    answered: bool,
    from: SocketAddr,
}

impl Peer {
    /// Dials the holder of an attempt that has no connection and is due.
    pub(super) fn dial_attempt(&mut self, now: Time, ticket: u32, index: u32) {
        let Some(classic) = &self.config.classic else { return };
        let bytes_max = classic.chunk_bytes_max;
        let room = self.connections.len() < self.config.limits.connections_max;
        let Some(attempt) = self.classic.fetches.get_mut(ticket).and_then(|fetch| fetch.attempt_mut(index))
        else {
            return;
        };
        let Some(route) = attempt.routes.get(attempt.route).copied() else { return };
        if attempt.conn.is_some() || attempt.again > now {
            return;
        }
        if !room {
            attempt.again = now + RETRY_PAUSE;
            return;
        }
        let (to, name) = (SocketAddr::new(attempt.ip, route.port), attempt.name.clone());
        let asked = Asked { name: name.clone(), announced_bytes: attempt.size, bytes_max };
        let spool = self.spools.take();
        let asking = Asking::new(now, (ticket, index), &name, route.dialect, route.may_be_json, asked, spool);
        let conn = self.connections.insert_classic(Conversation::asking(Transport::dialled(to), asking), now);
        self.classic.fetches.asked(conn);
        if let Some(attempt) = self.classic.fetches.get_mut(ticket).and_then(|fetch| fetch.attempt_mut(index))
        {
            attempt.conn = Some(conn);
        }
        self.timers.set(Timer::Connection(conn), now + self.config.limits.dial_deadline);
        self.output(Output::Dial { conn, to });
    }

    pub(super) fn on_answer_bytes(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let Some(asking) = self.connections.classic_mut(conn).and_then(Conversation::as_asking) else {
            return 0;
        };
        let spool = asking.spool;
        let taken = asking.push(now, bytes);
        self.write_spool(spool, taken.spooled);
        match taken.outcome {
            Some(outcome) => self.end_ask(now, conn, outcome),
            None => self.review_classic(now, conn),
        }
        taken.used
    }

    /// The answer is over.
    pub(super) fn end_ask(&mut self, now: Time, conn: ConnId, outcome: Outcome) {
        let Some(ended) = self.take_ask(conn) else { return };
        self.end_conversation(conn);
        match outcome {
            Outcome::Complete { skip } => self.store_chunk(ended, skip),
            Outcome::Missing => {
                self.drop_spool(ended.spool);
                self.miss_chunk(now, ended.ticket, ended.index, "the peer does not have it".to_owned());
            }
            Outcome::Failed(why) => {
                self.drop_spool(ended.spool);
                self.miss_chunk(now, ended.ticket, ended.index, why);
            }
        }
        self.review_fetches(now);
    }

    /// The connection was refused, or broke. Who has no listener for a moment is tried again.
    pub(super) fn break_ask(&mut self, now: Time, conn: ConnId, why: BrokenWhy) {
        let Some(ended) = self.take_ask(conn) else { return };
        self.end_conversation(conn);
        self.drop_spool(ended.spool);
        let Ended { ticket, index, answered, .. } = ended;
        let Some(attempt) = self.classic.fetches.get_mut(ticket).and_then(|fetch| fetch.attempt_mut(index))
        else {
            return;
        };
        let reason = match why {
            _ if answered => "the connection broke",
            BrokenWhy::Refused => "nobody listens there",
            BrokenWhy::Unreachable => "no way there",
            BrokenWhy::Reset => "the connection was reset",
            BrokenWhy::Failed => "the connection failed",
        };
        let again = !answered
            && match why {
                BrokenWhy::Refused => attempt.take_next_route(now) || attempt.begin_again(now),
                BrokenWhy::Reset => attempt.begin_again(now),
                BrokenWhy::Unreachable | BrokenWhy::Failed => attempt.take_next_route(now),
            };
        if !again {
            self.miss_chunk(now, ticket, index, reason.to_owned());
        }
    }

    /// A deadline of a side that asks came: when to look again.
    pub(super) fn review_asking(&mut self, now: Time, conn: ConnId) -> Option<Time> {
        let limits = self.config.limits.clone();
        let asking = self.connections.classic_mut(conn).and_then(Conversation::as_asking)?;
        match asking.review(now, &limits) {
            Review::Wait(next) => Some(next),
            Review::Quiet(next) => {
                self.timers.set(Timer::Connection(conn), next);
                self.review_fetches(now);
                None
            }
            Review::Over(Outcome::Failed(_)) if asking.is_dialling() => {
                self.break_ask(now, conn, BrokenWhy::Unreachable);
                self.review_fetches(now);
                None
            }
            Review::Over(outcome) => {
                self.end_ask(now, conn, outcome);
                None
            }
        }
    }

    /// A chunk did not come from the holder that was asked.
    fn miss_chunk(&mut self, now: Time, ticket: u32, index: u32, why: String) {
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return };
        let Some(chunk) = fetch.chunks.get_mut(&index) else { return };
        let State::Asking(Attempt { ip, name, routes, route, .. }) = std::mem::take(&mut chunk.state) else {
            return;
        };
        let failures = chunk.failures.entry(ip).or_insert((0, now));
        *failures = (failures.0.saturating_add(1), now);
        // All ways and all retries were one attempt.
        let wait_max = self.config.limits.classic_redial_wait_max;
        self.dialer.failed_at_most(now, holder_endpoint(ip), wait_max);
        // Another way may lead there the next time.
        self.classic.holders.prove(ip, None);
        if let Some(route) = routes.get(route) {
            let (from, dialect) = (SocketAddr::new(ip, route.port), route.dialect);
            self.event(Event::Classic(ClassicEvent::ChunkMissed { ticket, name, from, dialect, why }));
        }
    }

    /// A chunk is in its spool: the store keeps it.
    fn store_chunk(&mut self, ended: Ended, skip: u64) {
        let Ended { ticket, index, spool, dialect, from, .. } = ended;
        self.classic.holders.prove(from.ip(), Some(dialect));
        self.dialer.succeeded(&holder_endpoint(from.ip()));
        let chunk = self.classic.fetches.get_mut(ticket).and_then(|fetch| fetch.chunks.get_mut(&index));
        let Some(chunk) = chunk else { return self.drop_spool(spool) };
        let State::Asking(attempt) = std::mem::take(&mut chunk.state) else {
            return self.drop_spool(spool);
        };
        let name = attempt.name;
        chunk.state = State::Storing(Arrival { from, dialect, spool, began: attempt.began });
        self.output(Output::Store(StoreJob::Classic(ClassicJob::KeepSpool { spool, name, skip })));
    }

    /// Nothing is asked on a connection any more. `None`: nothing was.
    fn take_ask(&mut self, conn: ConnId) -> Option<Ended> {
        let conversation = self.connections.classic(conn)?;
        let Side::Asking(asking) = &conversation.side else { return None };
        let ended = Ended {
            ticket: asking.ticket,
            index: asking.index,
            spool: asking.spool,
            dialect: asking.dialect,
            answered: asking.is_answered(),
            from: conversation.transport.addr,
        };
        self.classic.fetches.unasked(conn);
        let fetch = self.classic.fetches.get_mut(ended.ticket);
        if let Some(attempt) = fetch.and_then(|fetch| fetch.attempt_mut(ended.index)) {
            attempt.conn = None;
        }
        Some(ended)
    }

    pub(super) fn drop_spool(&mut self, spool: SpoolId) {
        self.spools.free(spool);
        self.output(Output::Store(StoreJob::Classic(ClassicJob::DropSpool { spool })));
    }
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

    /// Goes the first way again after a pause, but not for ever.
    fn begin_again(&mut self, now: Time) -> bool {
        let more = self.retries < RETRIES_MAX;
        if more {
            self.retries = self.retries.saturating_add(1);
            self.route = 0;
            self.again = now + RETRY_PAUSE;
        }
        more
    }
}
