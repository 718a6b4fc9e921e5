//! Pushes in the dialects of the field: a connection's life, what is taken in and given, what the store says about it.

mod give;
mod storage;
mod take;

use std::time::Duration;

use crate::core::door::{BrokenWhy, ConnId, ForeignFailure, SpanFault};
use crate::core::peer::Peer;
use crate::core::push::conversation::Side;
use crate::core::push::taking::{Stage, Turn};
use crate::core::timers::Timer;
use crate::types::time::Time;

impl Peer {
    pub(in crate::core) fn on_push_connected(&mut self, now: Time, conn: ConnId) {
        self.on_giving_connected(now, conn);
        self.time_push(now, conn);
    }

    pub(in crate::core) fn on_push_bytes(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let used = match self.connections.transfer_mut(conn).map(|push| &mut push.side) {
            Some(Side::Taking(taking)) => {
                let (used, turn) = taking.push(now, bytes);
                self.turn_taking(now, conn, turn);
                used
            }
            Some(Side::Giving(giving)) => {
                let turn = giving.push(now, bytes);
                self.turn_giving(now, conn, turn);
                bytes.len()
            }
            Some(Side::Closing(_) | Side::Aborting) | None => 0,
        };
        self.time_push(now, conn);
        used
    }

    pub(in crate::core) fn on_push_payload(&mut self, now: Time, conn: ConnId, bytes: u64) {
        self.on_taken_bytes(now, conn, bytes);
        self.time_push(now, conn);
    }

    pub(in crate::core) fn on_push_sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let limits = &self.config.limits;
        match self.connections.transfer_mut(conn).map(|push| &mut push.side) {
            Some(Side::Taking(taking)) => taking.sent(bytes),
            Some(Side::Giving(giving)) => {
                let turn = giving.sent(now, bytes, limits);
                self.turn_giving(now, conn, turn);
            }
            Some(Side::Closing(last)) => {
                let sent = usize::try_from(bytes).unwrap_or(usize::MAX);
                *last = last.get(sent..).unwrap_or_default();
            }
            Some(Side::Aborting) | None => {}
        }
        self.time_push(now, conn);
    }

    pub(in crate::core) fn on_push_end(&mut self, now: Time, conn: ConnId) {
        match self.connections.transfer_mut(conn).map(|push| &mut push.side) {
            Some(Side::Taking(taking)) if taking.is_silent() => self.end_foreign_push(conn),
            Some(Side::Taking(taking)) => {
                let turn = taking.end();
                self.turn_taking(now, conn, turn);
            }
            Some(Side::Giving(giving)) => {
                let turn = giving.end();
                self.turn_giving(now, conn, turn);
            }
            Some(Side::Closing(_) | Side::Aborting) | None => {}
        }
        self.time_push(now, conn);
    }

    pub(in crate::core) fn on_push_broken(&mut self, now: Time, conn: ConnId, why: BrokenWhy) {
        match self.connections.transfer(conn).map(|push| &push.side) {
            Some(Side::Taking(taking)) if taking.is_silent() => {}
            Some(Side::Taking(_)) => self.fail_taking(conn, ForeignFailure::Broken(why)),
            Some(Side::Giving(giving)) => {
                let reason = giving.broken(why);
                if let Some(to) = self.connections.transfer(conn).map(|push| push.transport.addr) {
                    self.note_receiver_failed(now, to);
                }
                self.fail_giving(conn, reason);
            }
            Some(Side::Closing(_) | Side::Aborting) | None => {}
        }
        self.forget_push(now, conn);
    }

    pub(in crate::core) fn on_push_closed(&mut self, now: Time, conn: ConnId) {
        self.cancel_push(conn);
        self.forget_push(now, conn);
    }

    /// The file that is given is not what it was. What was begun cannot be kept.
    pub(in crate::core) fn on_push_span_failed(&mut self, conn: ConnId, why: SpanFault) {
        self.fail_giving(conn, ForeignFailure::File(why));
    }

    /// A push's deadline came.
    pub(in crate::core) fn review_push(&mut self, now: Time, conn: ConnId) {
        let limits = &self.config.limits;
        match self.connections.transfer_mut(conn).map(|push| &mut push.side) {
            Some(Side::Taking(taking)) => {
                let was_silent = taking.is_silent();
                match taking.review(now, limits) {
                    Turn::Failed(_) if was_silent => {
                        self.counters.add("connections for a push that said nothing");
                        self.end_foreign_push(conn);
                    }
                    turn => self.turn_taking(now, conn, turn),
                }
            }
            Some(Side::Giving(giving)) => {
                let turn = giving.review(now, limits);
                self.turn_giving(now, conn, turn);
            }
            // The last word found no way out in time.
            Some(Side::Closing(last)) => {
                *last = &[];
                self.rouse(conn);
            }
            Some(Side::Aborting) | None => {}
        }
        self.time_push(now, conn);
    }

    /// Sets the moment at which a push is looked at again.
    fn time_push(&mut self, now: Time, conn: ConnId) {
        let limits = &self.config.limits;
        let next = match self.connections.transfer(conn).map(|push| &push.side) {
            Some(Side::Taking(taking)) => taking.deadline(limits),
            Some(Side::Giving(giving)) => Some(giving.deadline(limits)),
            Some(Side::Closing(last)) => (!last.is_empty()).then(|| now + limits.push_ok_wait),
            Some(Side::Aborting) | None => None,
        };
        match next {
            Some(next) => self.timers.set(Timer::Connection(conn), next.max(now + Duration::from_millis(1))),
            None => self.timers.clear(Timer::Connection(conn)),
        }
    }

    /// Nothing more happens on a connection; the driver closes it.
    fn end_foreign_push(&mut self, conn: ConnId) {
        self.end_push_with(conn, &[]);
    }

    /// The same, once these bytes are out.
    fn end_push_with(&mut self, conn: ConnId, last: &'static [u8]) {
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        if let Side::Taking(taking) = &push.side {
            self.pushes.taking.remove(&taking.push);
        }
        push.side = Side::Closing(last);
        self.timers.clear(Timer::Connection(conn));
        self.rouse(conn);
    }

    /// The same with a reset, where the end of the connection would be taken for that of the file.
    fn abort_push(&mut self, conn: ConnId) {
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        push.side = Side::Aborting;
        self.timers.clear(Timer::Connection(conn));
        self.rouse(conn);
    }

    fn forget_push(&mut self, now: Time, conn: ConnId) {
        if let Some(Side::Taking(taking)) = self.connections.transfer(conn).map(|push| &push.side) {
            self.pushes.taking.remove(&taking.push);
        }
        self.timers.clear(Timer::Connection(conn));
        self.connections.remove(conn);
        self.review_leaving(now, false);
    }

    pub(in crate::core) fn cancel_push(&mut self, conn: ConnId) {
        match self.connections.transfer(conn).map(|push| &push.side) {
            Some(Side::Taking(taking)) if taking.is_silent() => self.end_foreign_push(conn),
            Some(Side::Taking(taking)) if taking.stage == Stage::Storing => self.end_foreign_push(conn),
            Some(Side::Taking(_)) => self.fail_taking(conn, ForeignFailure::Cancelled),
            Some(Side::Giving(_)) => self.fail_giving(conn, ForeignFailure::Cancelled),
            Some(Side::Closing(_) | Side::Aborting) | None => {}
        }
    }

    /// Whether a file comes, goes or is being stored, that a peer that leaves waits for.
    pub(in crate::core) fn is_push_busy(&self) -> bool {
        !self.pushes.storing.is_empty()
            || self.connections.transfers().any(|(_, push)| match &push.side {
                Side::Taking(taking) => taking.spool().is_some(),
                Side::Giving(_) | Side::Closing(_) | Side::Aborting => true,
            })
    }

    /// Who has not begun goes; and so does at once what would look whole if this process ended in its midst.
    pub(in crate::core) fn leave_pushes(&mut self) {
        let goes = |side: &Side| match side {
            Side::Taking(taking) => matches!(taking.stage, Stage::Hearing | Stage::Asked),
            Side::Giving(giving) => giving.would_look_whole() || giving.is_waiting(),
            Side::Closing(_) | Side::Aborting => false,
        };
        let pushes = self.connections.transfers().filter(|(_, push)| goes(&push.side));
        let all: Vec<ConnId> = pushes.map(|(conn, _)| conn).collect();
        all.into_iter().for_each(|conn| self.cancel_push(conn));
    }

    /// Closes every push.
    pub(in crate::core) fn close_all_pushes(&mut self) {
        let all: Vec<ConnId> = self.connections.transfers().map(|(conn, _)| conn).collect();
        all.into_iter().for_each(|conn| self.cancel_push(conn));
    }

    /// Panics when the state of pushes does not hang together.
    pub(in crate::core) fn check_pushes(&self) {
        let taking = self.connections.transfers().filter_map(|(conn, push)| match &push.side {
            Side::Taking(taking) => Some((taking.push, conn)),
            Side::Giving(_) | Side::Closing(_) | Side::Aborting => None,
        });
        assert_eq!(self.pushes.taking, taking.collect(), "connections on which something is taken in");
        let spools = self.connections.transfers().filter_map(|(_, push)| match &push.side {
            Side::Taking(taking) => taking.spool(),
            Side::Giving(_) | Side::Closing(_) | Side::Aborting => None,
        });
        for spool in spools.chain(self.pushes.storing.keys().copied()) {
            assert!(self.spools.contains(spool), "{spool} is in use");
        }
    }
}
