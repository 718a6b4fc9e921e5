//! Leaving: what is on the wire and queued is finished, parts are closed, then every connection.

use crate::core::connection::Kind;
use crate::core::door::{ConnId, Event, FailReason};
use crate::core::downloader::{Download, Phase};
use crate::core::flow::conversation::LEAVING;
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::time::Time;

/// A peer that is about to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) struct Leaving {
    /// Uploads that are not through by then are cut.
    deadline: Time,
    /// Every connection was told to close.
    closing: bool,
    /// It was said that this peer has left.
    said: bool,
}

impl Peer {
    pub(in crate::core) fn on_leave(&mut self, now: Time) {
        if self.leaving.is_some() {
            return;
        }
        let deadline = now + self.config.limits.leave_grace;
        self.leaving = Some(Leaving { deadline, closing: false, said: false });
        self.timers.set(Timer::Leave, deadline);
        self.drop_searches();
        self.mirror = None;
        self.timers.clear(Timer::Mirror);
        let under_way: Vec<_> = self.downloader.iter().map(|(content, _)| content).collect();
        for content in under_way {
            let publishing = |download: &Download| matches!(download.phase, Phase::Publishing);
            let whole = |download: &Download| {
                matches!(download.phase, Phase::Proving(_)) && !download.storing.is_empty()
            };
            // A file that is being published will be there in a moment; its content is written under no other name then.
            if !self.downloader.get(&content).is_some_and(|d| publishing(d) || whole(d)) {
                self.fail_download(now, content, FailReason::Cancelled);
            } else if let Some(download) = self.downloader.get_mut(&content) {
                for _ in std::mem::take(&mut download.followers) {
                    self.event(Event::Failed { content, reason: FailReason::Cancelled });
                }
            }
        }
        self.classic(now, |classic, ctx| classic.leave(ctx));
        self.close_readers(now, false);
        self.cancel_transfers(now, false);
        self.review_leaving(now, false);
    }

    /// Leaves as soon as nothing is left to finish, or the time is over.
    pub(in crate::core) fn review_leaving(&mut self, now: Time, late: bool) {
        let Some(leaving) = self.leaving else { return };
        let over = late || now >= leaving.deadline;
        let busy = self.is_classic_busy()
            || self.connections.readers().any(|(_, reader)| reader.is_busy())
            || self.is_transfer_busy();
        let idle = self.uploader.is_idle() && self.downloader.all_done() && !busy;
        if !leaving.closing && (idle || over) {
            self.leaving = Some(Leaving { closing: true, ..leaving });
            let all: Vec<(ConnId, Kind)> = self.connections.kinds().collect();
            for (conn, kind) in all {
                match kind {
                    Kind::Sniffing => self.end_sniffing(conn),
                    Kind::Native => self.close(now, conn, Some(LEAVING)),
                    Kind::Http | Kind::Classic | Kind::Transfer => {}
                }
            }
            self.classic(now, |classic, ctx| classic.close_all(ctx));
            self.close_readers(now, true);
            self.cancel_transfers(now, true);
        }
        let Some(leaving) = self.leaving.filter(|leaving| leaving.closing && !leaving.said) else { return };
        let gone = self.connections.len() == 0 && self.downloader.all_done();
        // Neither a connection that takes no byte nor a disk that does not answer may hold the process.
        let end = leaving.deadline + self.config.limits.leave_grace;
        if late {
            self.timers.set(Timer::Leave, end);
        }
        if gone || now >= end {
            self.leaving = Some(Leaving { said: true, ..leaving });
            self.timers.clear(Timer::Leave);
            self.event(Event::Left);
        }
    }
}
