//! Leaving: what is on the wire and queued is finished, parts are closed, then every connection.

use std::time::Duration;

use crate::core::limits::Limits;
use crate::core::timers::{Timer, Timers};
use crate::types::Time;

/// A peer that is about to leave.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// Uploads that are not through by then are cut.
    deadline: Time,
    /// Neither a connection that takes no byte nor a disk that does not answer may hold the process for so long after that.
    grace: Duration,
    /// Every connection was told to close.
    closing: bool,
    /// It was said that this peer has left.
    said: bool,
}

impl Leaving {
    /// One that begins now.
    pub(crate) fn new(now: Time, limits: &Limits, timers: &mut Timers) -> Leaving {
        let grace = limits.leave_grace;
        timers.set(Timer::Leave, now + grace);
        Leaving { deadline: now + grace, grace, closing: false, said: false }
    }

    /// Whether all connections are to be closed now, which is said once.
    pub(crate) fn is_to_close(&mut self, now: Time, is_idle: bool, is_late: bool) -> bool {
        let is_due = is_idle || is_late || now >= self.deadline;
        is_due && !std::mem::replace(&mut self.closing, is_due)
    }

    /// Whether this peer has left, which is said once.
    pub(crate) fn is_over(&mut self, now: Time, is_gone: bool, is_late: bool, timers: &mut Timers) -> bool {
        if !self.closing || self.said {
            return false;
        }
        let end = self.deadline + self.grace;
        if is_late {
            timers.set(Timer::Leave, end);
        }
        self.said = is_gone || now >= end;
        if self.said {
            timers.clear(Timer::Leave);
        }
        self.said
    }
}
