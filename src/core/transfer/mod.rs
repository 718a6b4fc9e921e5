//! Transfers: files that a sender hands to a receiver in the four forms of the field, which know neither hashes nor requests.
//!
//! Owns which files are received, what of them is being stored, and how much was let come. What comes goes into spools, unseen; what
//! goes are spans of what is shared, each when its turn in the one line of uploads comes. Knows no other protocol, and holds no file.
//!
//! Of each connection the calls come in this order: [`Engine::accept`] or [`Engine::send`] makes its state, [`Engine::begin`] knows
//! its id; then [`Engine::received`], [`Engine::payload`], [`Engine::refill`] and [`Engine::sent`] as the driver reads and writes,
//! [`Engine::answer`] and [`Engine::stored`] for what people and the store say, [`Engine::review`] when its deadline comes; at last
//! [`Engine::broken`] or [`Engine::closed`].

mod arrivals;
mod receiving;
mod sending;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::Transport;
use crate::core::context::Context;
use crate::core::io::{
    BrokenWhy, ConnId, Event, Expect, Output, Segment, SpoolId, StoreJob, TransferEvent, TransferFailure,
    TransferJob,
};
use crate::core::spools::Spools;
use crate::core::timers::Timer;
use crate::core::uploader::Uploader;
use crate::types::{ContentId, Time};
use crate::wire::transfer::{Announced, Outgoing};
use arrivals::Arrival;
use receiving::{Receiving, Stage};
use sending::Sending;

/// What the engine is lent for one call.
pub(crate) type Ctx<'p> = Context<'p>;

/// See [the module](self).
#[derive(Debug, Default)]
pub(crate) struct Engine {
    /// So many have come in so far.
    numbered: u32,
    /// The connections on which something is received, by the number of the transfer.
    receiving: BTreeMap<u32, ConnId>,
    /// The connection that fills each spool.
    filling: BTreeMap<SpoolId, ConnId>,
    /// What has come whole, and is on its way to its name.
    storing: BTreeMap<SpoolId, Arrival>,
    /// Bytes of all that was received, and of what was let come.
    charged_bytes: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) transport: Transport,
    side: Side,
}

/// Which side this peer is on.
#[derive(Debug)]
enum Side {
    Receiving(Receiving),
    Sending(Sending),
    /// Neither any more: once these bytes are out, it is to be closed.
    Closing(&'static [u8]),
    /// What went out is not the whole file, and must not end like one.
    Aborting,
}

/// What bytes, silence or an end brought about.
#[derive(Debug)]
enum Turn {
    Nothing,
    /// There is something to say, or to read again.
    Wake,
    /// What would come is described: it has to be decided whether it may.
    Described(Announced),
    /// The whole file is in this spool.
    Whole(SpoolId),
    /// The receiver is to be dialled.
    Dial,
    /// The file begins to go.
    Begun(TransferEvent),
    /// It goes.
    Moved(TransferEvent),
    /// All of it went.
    Done(TransferEvent),
    Failed(TransferFailure),
}

/// A file that is to be sent.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) ticket: u32,
    pub(crate) to: SocketAddr,
    pub(crate) content: ContentId,
    /// What is said of it; its size is known here.
    pub(crate) file: Outgoing,
}

impl Transfer {
    /// What the next bytes are.
    pub(crate) fn expects(&self) -> Expect {
        match &self.side {
            Side::Receiving(receiving) => receiving.expects(),
            Side::Sending(sending) => sending.expects(),
            Side::Closing(_) | Side::Aborting => Expect::Nothing,
        }
    }

    /// What is to be sent next.
    pub(crate) fn segment(&self) -> Segment<'_> {
        match &self.side {
            Side::Receiving(receiving) => receiving.segment(),
            Side::Sending(sending) => sending.segment(),
            Side::Aborting => Segment::Abort,
            Side::Closing([]) => Segment::Close,
            Side::Closing(last) => Segment::Bytes { bytes: last, span_of: None },
        }
    }

    /// Since when the other side has said nothing at all, if it is its turn to speak.
    pub(crate) fn silent_since(&self) -> Option<Time> {
        match &self.side {
            Side::Receiving(receiving) => receiving.is_silent().then_some(receiving.began),
            Side::Sending(_) | Side::Closing(_) | Side::Aborting => None,
        }
    }

    /// Whether a peer that leaves waits for it.
    pub(crate) fn is_busy(&self) -> bool {
        match &self.side {
            Side::Receiving(receiving) => receiving.spool().is_some(),
            Side::Sending(_) | Side::Closing(_) | Side::Aborting => true,
        }
    }

    /// Whether a peer that leaves ends it at once: it has not begun, or would look whole if this process ended in its midst.
    pub(crate) fn ends_first(&self) -> bool {
        match &self.side {
            Side::Receiving(receiving) => matches!(receiving.stage, Stage::Hearing | Stage::Asked),
            Side::Sending(sending) => sending.would_look_whole() || sending.is_waiting(),
            Side::Closing(_) | Side::Aborting => false,
        }
    }
}

impl Engine {
    /// The state of a connection on which a file is sent, unless it cannot be.
    pub(crate) fn send(&mut self, ctx: &mut Ctx, order: Order, has_room: bool) -> Option<Transfer> {
        let (ticket, to) = (order.ticket, order.to);
        match sending::script(ctx, &order, has_room) {
            Ok(script) => {
                let sending = Sending::new(&order, script, ctx.now, ctx.dialer.again(ctx.now, &to));
                Some(Transfer { transport: Transport::dialled(to), side: Side::Sending(sending) })
            }
            Err(reason) => {
                tell(ctx, TransferEvent::SendFailed { ticket, to, reason });
                None
            }
        }
    }

    /// A transfer has its connection.
    pub(crate) fn begin(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer) {
        let turn = match &transfer.side {
            Side::Receiving(receiving) => {
                self.receiving.insert(receiving.number, conn);
                Turn::Wake
            }
            Side::Sending(sending) if !sending.is_waiting() => Turn::Dial,
            Side::Sending(_) | Side::Closing(_) | Side::Aborting => Turn::Nothing,
        };
        self.turn(ctx, conn, transfer, turn);
    }

    /// The receiver that was dialled is there.
    pub(crate) fn connected(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer) {
        if let Side::Sending(sending) = &mut transfer.side {
            sending.connected(ctx.now);
            self.turn(ctx, conn, transfer, Turn::Wake);
        }
    }

    /// Takes bytes of what is said; returns how many.
    pub(crate) fn received(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        transfer: &mut Transfer,
        bytes: &[u8],
    ) -> usize {
        let (used, turn) = match &mut transfer.side {
            Side::Receiving(receiving) => receiving.received(ctx.now, bytes),
            Side::Sending(sending) => (bytes.len(), sending.received(ctx.now, bytes)),
            Side::Closing(_) | Side::Aborting => (0, Turn::Nothing),
        };
        self.turn(ctx, conn, transfer, turn);
        used
    }

    /// If it is this transfer's turn, bytes of its file may go.
    pub(crate) fn refill(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer) {
        if let Side::Sending(sending) = &mut transfer.side
            && sending.request().is_some()
            && let Some(request) = ctx.uploads.begin(conn, ctx.now, |_| None)
        {
            sending.begin_turn(ctx.now, u64::from(request.bytes));
            time(ctx, conn, transfer);
        }
    }

    /// So many bytes of the segment are in the kernel.
    pub(crate) fn sent(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer, bytes: u64) {
        let mut turn = Turn::Nothing;
        match &mut transfer.side {
            Side::Receiving(receiving) => receiving.sent(bytes),
            Side::Sending(sending) => {
                turn = sending.sent(ctx.now, bytes, &ctx.config.limits);
                ctx.uploads.carried(ctx.now, bytes);
                if sending.has_slot() && sending.end_turn(!ctx.uploads.moved(conn, ctx.now)) {
                    ctx.uploads.end_turn(conn);
                    ctx.after.grant_uploads = true;
                } else if sending.request().is_none() && ctx.uploads.queued(conn) > 0 {
                    // The last bytes went while it waited for its turn.
                    ctx.uploads.remove(conn);
                    ctx.after.grant_uploads = true;
                }
            }
            Side::Closing(last) => {
                *last = last.get(usize::try_from(bytes).unwrap_or(usize::MAX)..).unwrap_or_default();
            }
            Side::Aborting => {}
        }
        self.turn(ctx, conn, transfer, turn);
    }

    /// The other side will send nothing more.
    pub(crate) fn ended(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer) {
        let turn = match &mut transfer.side {
            Side::Receiving(receiving) => receiving.ended(),
            Side::Sending(sending) => sending.ended(ctx.now),
            Side::Closing(_) | Side::Aborting => Turn::Nothing,
        };
        self.turn(ctx, conn, transfer, turn);
    }

    /// The connection broke, or never stood; its state may go.
    pub(crate) fn broken(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer, why: BrokenWhy) {
        let reason = match &transfer.side {
            Side::Sending(sending) => sending.broken(why),
            Side::Receiving(_) | Side::Closing(_) | Side::Aborting => TransferFailure::Broken(why),
        };
        self.turn(ctx, conn, transfer, Turn::Failed(reason));
        self.closed(ctx, conn, transfer);
    }

    /// The driver has closed the connection; its state may go.
    pub(crate) fn closed(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer) {
        self.fail(ctx, conn, transfer, TransferFailure::Cancelled);
        ctx.timers.clear(Timer::Connection(conn));
        ctx.after.forget = Some(conn);
        ctx.after.review_leaving = true;
    }

    /// The deadline of a transfer came.
    pub(crate) fn review(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer) {
        let limits = &ctx.config.limits;
        let turn = match &mut transfer.side {
            Side::Receiving(receiving) => receiving.review(ctx.now, limits),
            Side::Sending(sending) => sending.review(ctx.now, limits),
            // The last word found no way out in time.
            Side::Closing(last) => {
                *last = &[];
                Turn::Wake
            }
            Side::Aborting => Turn::Nothing,
        };
        if matches!(turn, Turn::Failed(_)) && transfer.silent_since().is_some() {
            ctx.counters.add("connections for a push that said nothing");
        }
        self.turn(ctx, conn, transfer, turn);
    }

    /// A file does not come, or does not go. Nothing is left of what came of it; its sender learns it by the connection's end.
    pub(crate) fn fail(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        transfer: &mut Transfer,
        reason: TransferFailure,
    ) {
        let addr = transfer.transport.addr;
        let mut last = Side::Closing(&[]);
        match &transfer.side {
            // One that said nothing failed at nothing. One that has sent everything may end: the store tells what became of it.
            Side::Receiving(receiving) if receiving.is_silent() || receiving.stage == Stage::Storing => {}
            Side::Receiving(receiving) => {
                if let Some(spool) = receiving.spool() {
                    self.drop_spool(ctx, spool, receiving.reserved());
                }
                tell(ctx, receiving.failed(addr, reason));
            }
            Side::Sending(sending) => {
                tell(ctx, TransferEvent::SendFailed { ticket: sending.ticket, to: addr, reason });
                if sending.is_waiting() {
                    // The driver was not told of it.
                    transfer.transport.gone = true;
                    ctx.after.forget = Some(conn);
                } else if sending.would_look_whole() {
                    last = Side::Aborting;
                }
            }
            Side::Closing(_) | Side::Aborting => return,
        }
        self.end(ctx, conn, transfer, last);
    }

    /// Bytes that were received, or are let come.
    pub(crate) fn charged_bytes(&self) -> u64 {
        self.charged_bytes
    }

    /// Whether a file that came is being stored.
    pub(crate) fn is_storing(&self) -> bool {
        !self.storing.is_empty()
    }

    /// Panics when transfers, their index, their spools and their turns do not hang together.
    pub(crate) fn check<'t>(
        &self,
        spools: &Spools,
        uploads: &Uploader,
        transfers: impl Iterator<Item = (ConnId, &'t Transfer)>,
    ) {
        let (mut receiving, mut filling) = (BTreeMap::new(), BTreeMap::new());
        for (conn, transfer) in transfers {
            let (mut waits, mut has_slot) = (false, false);
            match &transfer.side {
                Side::Receiving(side) => {
                    receiving.insert(side.number, conn);
                    filling.extend(side.spool().map(|spool| (spool, conn)));
                }
                Side::Sending(side) => (waits, has_slot) = (side.request().is_some(), side.has_slot()),
                Side::Closing(_) | Side::Aborting => {}
            }
            assert_eq!(uploads.queued(conn), usize::from(waits), "{conn} waits for its turn");
            assert_eq!(uploads.serves(conn), waits || has_slot, "{conn} has a turn");
        }
        assert_eq!(self.receiving, receiving, "connections on which something is received");
        assert_eq!(self.filling, filling, "connections that fill a spool");
        for spool in self.filling.keys().chain(self.storing.keys()) {
            assert!(spools.contains(*spool), "{spool} is in use");
        }
    }

    /// Does what follows, and sets the moment at which the transfer is looked at again.
    fn turn(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer, turn: Turn) {
        let to = transfer.transport.addr;
        match turn {
            Turn::Nothing => {}
            Turn::Wake => ctx.wake(conn, &mut transfer.transport),
            Turn::Described(said) => self.described(ctx, conn, transfer, said),
            Turn::Whole(spool) => self.whole(ctx, conn, transfer, spool),
            Turn::Dial => ctx.outputs.push(Output::Dial { conn, to }),
            Turn::Begun(event) => {
                tell(ctx, event);
                ctx.wake(conn, &mut transfer.transport);
            }
            Turn::Moved(event) => tell(ctx, event),
            Turn::Done(event) => {
                ctx.dialer.succeeded(&to);
                tell(ctx, event);
                self.end(ctx, conn, transfer, Side::Closing(&[]));
            }
            Turn::Failed(reason) => {
                if matches!(transfer.side, Side::Sending(_)) {
                    // The next file is sent to this receiver after a wait.
                    ctx.dialer.failed_at_most(ctx.now, to, ctx.config.limits.transfer_redial_wait_max);
                }
                self.fail(ctx, conn, transfer, reason);
            }
        }
        if let Side::Sending(sending) = &transfer.side
            && let Some(request) = sending.request().filter(|_| ctx.uploads.queued(conn) == 0)
        {
            ctx.uploads.add_outside(conn, request);
            ctx.after.grant_uploads = true;
        }
        time(ctx, conn, transfer);
    }

    /// Nothing more is received or sent on a connection; the driver closes it as `last` says.
    fn end(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer, last: Side) {
        match &transfer.side {
            Side::Receiving(receiving) => _ = self.receiving.remove(&receiving.number),
            Side::Sending(_) => {
                ctx.after.grant_uploads |= ctx.uploads.serves(conn);
                ctx.uploads.remove(conn);
            }
            Side::Closing(_) | Side::Aborting => {}
        }
        transfer.side = last;
        ctx.wake(conn, &mut transfer.transport);
        time(ctx, conn, transfer);
    }
}

/// Sets the moment at which a transfer is looked at again.
fn time(ctx: &mut Ctx, conn: ConnId, transfer: &Transfer) {
    let limits = &ctx.config.limits;
    let next = match &transfer.side {
        Side::Receiving(receiving) => receiving.deadline(limits),
        Side::Sending(sending) => Some(sending.deadline(limits)),
        Side::Closing(last) => (!last.is_empty()).then(|| ctx.now + limits.transfer_ok_wait),
        Side::Aborting => None,
    };
    match next {
        Some(next) => {
            ctx.timers.set(Timer::Connection(conn), next.max(ctx.now + Duration::from_millis(1)));
        }
        None => ctx.timers.clear(Timer::Connection(conn)),
    }
}

fn tell(ctx: &mut Ctx, event: TransferEvent) {
    ctx.outputs.event(Event::Transfer(event));
}

fn submit(ctx: &mut Ctx, job: TransferJob) {
    ctx.outputs.push(Output::Store(StoreJob::Transfer(job)));
}
