//! What comes: who may send, what is asked, and what the store makes of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::receiving::{Receiving, Stage};
use super::{Ctx, Engine, Side, Transfer, Turn, submit, tell};
use crate::core::connection::Transport;
use crate::core::io::{ConnId, SpoolId, TransferEvent, TransferFailure, TransferJob, TransferReply};
use crate::types::Time;
use crate::types::name::local_file_name;
use crate::wire::transfer::{Announced, Form, OK, named};

/// A file that came whole.
#[derive(Debug)]
pub(super) struct Arrival {
    transfer: u32,
    /// Who still waits for a last word.
    conn: ConnId,
    from: SocketAddr,
    said: Announced,
    bytes: u64,
    latency: Duration,
    took: Duration,
}

impl Engine {
    /// Whether a connection from there, beside all that there are, may be a sender's.
    pub(crate) fn admits<'t>(
        &self,
        ctx: &Ctx,
        from: SocketAddr,
        transfers: impl Iterator<Item = (ConnId, &'t Transfer)>,
    ) -> bool {
        let (ip, limits) = (from.ip(), &ctx.config.limits);
        let its = transfers.filter(|(_, transfer)| transfer.transport.addr.ip() == ip);
        !ctx.is_leaving
            && self.receiving.len() < limits.pushes_max
            && (ctx.is_own(ip) || its.count() < limits.pushes_per_address_max)
    }

    /// The state of a connection that came in; `is_named` where a digit begins the named form.
    pub(crate) fn accept(&mut self, now: Time, from: SocketAddr, is_named: bool) -> Transfer {
        let number = self.numbered;
        self.numbered = number.wrapping_add(1);
        let side = Side::Receiving(Receiving::new(number, is_named, now));
        Transfer { transport: Transport::accepted(from), side }
    }

    /// So many bytes of a file are in its spool.
    pub(crate) fn payload(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer, bytes: u64) {
        let Side::Receiving(receiving) = &mut transfer.side else { return };
        let mut turn = receiving.stored(ctx.now, bytes);
        if receiving.size().is_none() {
            self.charged_bytes = self.charged_bytes.saturating_add(bytes);
            // Others took of the same quota meanwhile.
            let quota = quota(ctx);
            if self.charged_bytes > quota {
                let left = quota.saturating_sub(receiving.came);
                turn = Turn::Failed(TransferFailure::OverQuota { left });
            }
        }
        if let Some(event) = receiving.news(ctx.now, &ctx.config.limits) {
            tell(ctx, event);
        }
        self.turn(ctx, conn, transfer, turn);
    }

    /// It is known what would come: is it refused without asking?
    pub(super) fn described(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        transfer: &mut Transfer,
        said: Announced,
    ) {
        let (from, left) = (transfer.transport.addr, self.quota_left(ctx));
        let Side::Receiving(receiving) = &mut transfer.side else { return };
        receiving.enter(ctx.now, Stage::Asked);
        if said.name.as_ref().is_some_and(|name| local_file_name(name).is_none()) {
            self.fail(ctx, conn, transfer, TransferFailure::NameRefused);
        } else if said.size.unwrap_or(1) > left {
            // Without a size, there must be room for something.
            self.fail(ctx, conn, transfer, TransferFailure::OverQuota { left });
        } else {
            tell(ctx, TransferEvent::Came { transfer: receiving.number, from, said });
        }
    }

    /// A person or a rule has decided whether what has this number may come.
    pub(crate) fn answer<'t>(
        &mut self,
        ctx: &mut Ctx,
        (number, accept): (u32, bool),
        find: impl FnOnce(ConnId) -> Option<&'t mut Transfer>,
    ) {
        let Some(conn) = self.receiving.get(&number).copied() else { return };
        let Some(transfer) = find(conn) else { return };
        let Side::Receiving(receiving) = &mut transfer.side else { return };
        let (size, left) = (receiving.size(), self.quota_left(ctx));
        if receiving.stage != Stage::Asked {
            return;
        }
        if !accept {
            return self.fail(ctx, conn, transfer, TransferFailure::Declined);
        }
        // Others were let come meanwhile.
        if size.unwrap_or(1) > left {
            return self.fail(ctx, conn, transfer, TransferFailure::OverQuota { left });
        }
        let spool = ctx.spools.take();
        receiving.enter(ctx.now, Stage::Opening(spool));
        self.filling.insert(spool, conn);
        self.charged_bytes = self.charged_bytes.saturating_add(size.unwrap_or_default());
        submit(ctx, TransferJob::OpenSpool { spool, bytes: size });
        self.turn(ctx, conn, transfer, Turn::Nothing);
    }

    /// The store has done a job, or failed at it. Of what was thrown away meanwhile nothing is known here any more.
    pub(crate) fn stored<'t>(
        &mut self,
        ctx: &mut Ctx,
        reply: TransferReply,
        find: impl FnOnce(ConnId) -> Option<&'t mut Transfer>,
    ) {
        match reply {
            TransferReply::Opened { spool } => self.opened(ctx, spool, find),
            TransferReply::Ends { spool, head, tail, bytes } => {
                let Some(arrival) = self.storing.get_mut(&spool) else { return };
                match named::parts(&head, &tail, bytes) {
                    Some(parts) => {
                        let name = arrival.learn(parts.bytes, parts.user);
                        let job = TransferJob::Keep { spool, name, skip: parts.digits, bytes: parts.bytes };
                        submit(ctx, job);
                    }
                    None => self.lose(ctx, spool, TransferFailure::NoParts, find),
                }
            }
            TransferReply::Kept { spool, path } => {
                let Some(arrival) = self.storing.remove(&spool) else { return };
                ctx.spools.free(spool);
                let Arrival { transfer, conn, from, said, bytes, latency, took } = arrival;
                let last: &[u8] = if said.form.is_acknowledged() { OK } else { &[] };
                tell(ctx, TransferEvent::Received { transfer, from, said, bytes, latency, took, path });
                if let Some(transfer) = find(conn) {
                    self.end(ctx, conn, transfer, Side::Closing(last));
                }
                ctx.after.review_leaving = true;
            }
            TransferReply::SpoolFailed { spool, fault } => {
                let reason = TransferFailure::Storage(fault);
                match self.filling.get(&spool).copied() {
                    Some(conn) => {
                        if let Some(transfer) = find(conn) {
                            self.fail(ctx, conn, transfer, reason);
                        }
                    }
                    None => self.lose(ctx, spool, reason, find),
                }
                ctx.after.review_leaving = true;
            }
        }
    }

    /// The store has made room: the sender is told to go on.
    fn opened<'t>(
        &mut self,
        ctx: &mut Ctx,
        spool: SpoolId,
        find: impl FnOnce(ConnId) -> Option<&'t mut Transfer>,
    ) {
        let Some(conn) = self.filling.get(&spool).copied() else { return };
        let Some(transfer) = find(conn) else { return };
        let Side::Receiving(receiving) = &mut transfer.side else { return };
        if receiving.stage == Stage::Opening(spool) {
            receiving.begin(ctx.now, spool, self.quota_left(ctx));
            tell(ctx, TransferEvent::Accepted { transfer: receiving.number });
            self.turn(ctx, conn, transfer, Turn::Wake);
        }
    }

    /// All of it is here.
    pub(super) fn whole(&mut self, ctx: &mut Ctx, conn: ConnId, transfer: &mut Transfer, spool: SpoolId) {
        let from = transfer.transport.addr;
        let Side::Receiving(receiving) = &mut transfer.side else { return };
        let Some(said) = receiving.said.clone() else { return };
        let bytes = receiving.came;
        let job = match said.form {
            Form::Named => TransferJob::ReadEnds { spool, head: named::HEAD_BYTES, tail: named::TAIL_BYTES },
            Form::Json | Form::Steps | Form::Short => {
                TransferJob::Keep { spool, name: name_of(&said, from), skip: 0, bytes }
            }
        };
        let (transfer, (latency, took)) = (receiving.number, receiving.durations());
        receiving.enter(ctx.now, Stage::Storing);
        self.filling.remove(&spool);
        self.storing.insert(spool, Arrival { transfer, conn, from, said, bytes, latency, took });
        submit(ctx, job);
    }

    /// A file that came whole is not kept.
    fn lose<'t>(
        &mut self,
        ctx: &mut Ctx,
        spool: SpoolId,
        reason: TransferFailure,
        find: impl FnOnce(ConnId) -> Option<&'t mut Transfer>,
    ) {
        let Some(arrival) = self.storing.remove(&spool) else { return };
        let Arrival { transfer, conn, from, said, bytes, .. } = arrival;
        self.drop_spool(ctx, spool, bytes);
        tell(ctx, TransferEvent::Failed { transfer, from, name: said.name, reason });
        if let Some(transfer) = find(conn) {
            self.end(ctx, conn, transfer, Side::Closing(&[]));
        }
    }

    /// Throws away what came, for which so many bytes of the quota were set aside.
    pub(super) fn drop_spool(&mut self, ctx: &mut Ctx, spool: SpoolId, reserved: u64) {
        self.charged_bytes = self.charged_bytes.saturating_sub(reserved);
        self.filling.remove(&spool);
        ctx.spools.free(spool);
        submit(ctx, TransferJob::DropSpool { spool });
    }

    fn quota_left(&self, ctx: &Ctx) -> u64 {
        quota(ctx).saturating_sub(self.charged_bytes)
    }
}

impl Arrival {
    /// Of the form that separates nothing it is known at the end how long the file is, and who sent it; returns the file's name.
    fn learn(&mut self, bytes: u64, user: String) -> String {
        let name = format!("{user}.png");
        self.bytes = bytes;
        self.said.size = Some(bytes);
        self.said.name = Some(name.clone());
        self.said.sender = Some(user);
        name
    }
}

/// The most bytes that are received, over all transfers.
fn quota(ctx: &Ctx) -> u64 {
    ctx.config.transfers.as_ref().map_or(0, |transfers| transfers.quota_bytes)
}

/// The name of a file whose sender may have said none.
fn name_of(said: &Announced, from: SocketAddr) -> String {
    said.name.clone().unwrap_or_else(|| {
        let address = from.ip().to_string().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        format!("push-from-{address}")
    })
}
