//! What the store answers to the jobs of pushes, and what follows from it.

use crate::core::door::{
    Event, Fault, ForeignEvent, ForeignFailure, ForeignJob, ForeignReply, Output, SpoolId, StoreJob,
};
use crate::core::peer::Peer;
use crate::core::push::Arrival;
use crate::types::time::Time;
use crate::wire::push::{OK, named};

impl Peer {
    pub(in crate::core) fn on_push_stored(&mut self, now: Time, reply: ForeignReply) {
        match reply {
            ForeignReply::Opened { spool } => self.on_spool_opened(now, spool),
            ForeignReply::Ends { spool, head, tail, bytes } => self.on_ends(spool, &head, &tail, bytes),
            ForeignReply::Kept { spool, path } => {
                self.spools.free(spool);
                let Some(arrival) = self.pushes.storing.remove(&spool) else { return };
                let Arrival { push, conn, from, said, bytes, latency, took } = arrival;
                let last: &[u8] = if said.form.is_acknowledged() { OK } else { &[] };
                self.event(Event::Foreign(ForeignEvent::Received {
                    push,
                    from,
                    said,
                    bytes,
                    latency,
                    took,
                    path,
                }));
                self.end_push_with(conn, last);
                self.time_push(now, conn);
                self.review_leaving(now, false);
            }
            ForeignReply::SpoolFailed { spool, fault } => self.on_push_spool_failed(now, spool, fault),
        }
    }

    /// The parts of a stream that separates nothing.
    fn on_ends(&mut self, spool: SpoolId, head: &[u8], tail: &[u8], total: u64) {
        let Some(arrival) = self.pushes.storing.get_mut(&spool) else { return };
        match named::parts(head, tail, total) {
            Some(parts) => {
                arrival.bytes = parts.bytes;
                arrival.said.size = Some(parts.bytes);
                let name = format!("{}.png", parts.user);
                arrival.said.name = Some(name.clone());
                arrival.said.sender = Some(parts.user);
                let job = ForeignJob::Keep { spool, name, skip: parts.digits, bytes: parts.bytes };
                self.output(Output::Store(StoreJob::Foreign(job)));
            }
            None => self.fail_storing(spool, ForeignFailure::NoParts),
        }
    }

    fn on_push_spool_failed(&mut self, now: Time, spool: SpoolId, fault: Fault) {
        let reason = ForeignFailure::Storage(fault);
        if let Some(conn) = self.taking_into(spool).map(|(conn, _)| conn) {
            self.fail_taking(conn, reason);
        } else {
            self.fail_storing(spool, reason);
        }
        self.review_leaving(now, false);
    }

    /// A file that came whole is not kept.
    fn fail_storing(&mut self, spool: SpoolId, reason: ForeignFailure) {
        let Some(arrival) = self.pushes.storing.remove(&spool) else { return };
        let Arrival { push, conn, from, said, bytes, .. } = arrival;
        self.pushes.taken_bytes = self.pushes.taken_bytes.saturating_sub(bytes);
        self.drop_push_spool(spool);
        self.event(Event::Foreign(ForeignEvent::Failed { push, from, name: said.name, reason }));
        self.end_foreign_push(conn);
    }
}
