//! The side that sends a file: its script, how far it is in it, and how long each step may take. When it is its turn to send bytes
//! of the file it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Ctx, Order, Turn};
use crate::core::io::{BrokenWhy, Expect, Segment, Sink, SpanSource, TransferEvent, TransferFailure};
use crate::core::limits::Limits;
use crate::core::uploader::{Quantum, UploadRequest};
use crate::types::{ContentId, Geometry, Time};
use crate::wire::transfer::{OkHearing, Outgoing, Step};

/// A receiver takes a long silence for the end of its sender, some after 30 s. A transfer that waits for a turn for so long is sent
/// so many bytes meanwhile.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const MEANWHILE_BYTES: u64 = 4 << 10;

/// The side that sends.
#[derive(Debug)]
pub(super) struct Sending {
    /// The ticket of the command.
    pub(super) ticket: u32,
    to: SocketAddr,
    content: ContentId,
    geometry: Geometry,
    /// When it was dialled.
    began: Time,
    /// Whether the receiver says at the end that it has the file.
    acknowledged: bool,
    is_dialling: bool,
    /// Until when it is not even dialled, because its receiver failed just before.
    waits_until: Option<Time>,
    steps: VecDeque<Step>,
    /// Bytes of the first of them that went.
    sent: u64,
    /// It is this transfer's turn.
    has_slot: bool,
    /// How far the file may go.
    turn: Quantum,
    /// The file, or what is said first where nothing lets it come, has begun to go.
    begun: bool,
    /// All bytes of the file are in the kernel.
    file_out: bool,
    ok: OkHearing,
    /// When the step began, or a byte last moved in it.
    moved: Time,
    told: Time,
}

impl Sending {
    /// A file with its script; the receiver is not dialled before `again`.
    pub(super) fn new(
        order: &Order,
        (geometry, steps): (Geometry, Vec<Step>),
        now: Time,
        again: Option<Time>,
    ) -> Sending {
        Sending {
            ticket: order.ticket,
            to: order.to,
            content: order.content,
            geometry,
            began: now,
            acknowledged: order.file.form.is_acknowledged(),
            is_dialling: true,
            waits_until: again,
            // A file without a byte has none to be sent.
            steps: steps.into_iter().filter(|step| *step != Step::File(0)).collect(),
            sent: 0,
            has_slot: false,
            turn: Quantum::default(),
            begun: false,
            file_out: false,
            ok: OkHearing::default(),
            moved: now,
            told: now,
        }
    }

    /// Whether the receiver was not dialled yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_until.is_some()
    }

    /// The bytes of the file that wait for a turn.
    pub(super) fn request(&self) -> Option<UploadRequest> {
        let at = self.file_at().filter(|_| !self.has_slot)?;
        Some(UploadRequest::rest_of_chunk(self.content, &self.geometry, at, self.geometry.size_bytes()))
    }

    /// It may send so many bytes of the file, and more if nobody cuts its turn.
    pub(super) fn begin_turn(&mut self, now: Time, bytes_min: u64) {
        if let Some(at) = self.file_at() {
            (self.has_slot, self.turn, self.moved) = (true, Quantum::new(at, bytes_min), now);
        }
    }

    /// Whether it is its turn.
    pub(super) fn has_slot(&self) -> bool {
        self.has_slot
    }

    /// Its turn ends with what it may send; where it is `cut`, as soon as it may. True when that is now.
    pub(super) fn end_turn(&mut self, is_cut: bool) -> bool {
        if is_cut {
            self.turn.cut();
        }
        self.has_slot = self.file_at().is_some_and(|at| self.turn.left(at) > 0);
        !self.has_slot
    }

    /// Whether nothing may go before its turn comes.
    fn waits_for_turn(&self) -> bool {
        !self.has_slot && self.file_at().is_some_and(|at| self.turn.left(at) == 0)
    }

    /// The next byte of the file, if that is what goes next. A text that nothing separates from the file goes with it.
    fn file_at(&self) -> Option<u64> {
        match (self.steps.front()?, self.steps.get(1)) {
            _ if self.is_dialling => None,
            (Step::File(_), _) => Some(self.sent),
            (Step::Say(_), Some(Step::File(_))) => Some(0),
            _ => None,
        }
    }

    /// The connection stands.
    pub(super) fn connected(&mut self, now: Time) {
        self.is_dialling = false;
        self.moved = now;
    }

    /// Takes what the receiver says.
    pub(super) fn received(&mut self, now: Time, bytes: &[u8]) -> Turn {
        match (self.steps.front(), self.ok.push(bytes)) {
            (Some(Step::HearOk), Ok(false)) => Turn::Nothing,
            (Some(Step::HearOk), Ok(true)) => {
                self.ok = OkHearing::default();
                self.next_step(now)
            }
            _ => Turn::Failed(TransferFailure::NotOk),
        }
    }

    /// So many bytes of the segment are in the kernel.
    pub(super) fn sent(&mut self, now: Time, bytes: u64, limits: &Limits) -> Turn {
        self.moved = now;
        self.sent = self.sent.saturating_add(bytes);
        match self.steps.front() {
            Some(Step::Say(said)) if self.sent < said.len() as u64 => Turn::Nothing,
            Some(Step::File(size)) if self.sent < *size => self.news(now, limits),
            Some(Step::File(_)) => {
                self.file_out = true;
                self.next_step(now)
            }
            Some(Step::Say(_) | Step::HalfClose) => self.next_step(now),
            Some(Step::HearOk | Step::HearEnd) | None => Turn::Nothing,
        }
    }

    /// The receiver will say nothing more.
    pub(super) fn ended(&self, now: Time) -> Turn {
        match self.steps.front() {
            Some(Step::HearEnd) | None => self.done(now),
            _ if self.file_out => Turn::Failed(TransferFailure::Unacknowledged),
            _ if self.begun => Turn::Failed(TransferFailure::Broken(BrokenWhy::Reset)),
            _ => Turn::Failed(TransferFailure::Refused),
        }
    }

    /// The connection broke, or never stood.
    pub(super) fn broken(&self, why: BrokenWhy) -> TransferFailure {
        match self.steps.front() {
            _ if self.is_dialling => TransferFailure::NoConnection(why),
            Some(Step::HearOk) if !self.begun => TransferFailure::NoOk,
            Some(Step::HearOk) if self.file_out => TransferFailure::Unacknowledged,
            _ => TransferFailure::Broken(why),
        }
    }

    /// Time has passed.
    pub(super) fn review(&mut self, now: Time, limits: &Limits) -> Turn {
        if now < self.deadline(limits) {
            return Turn::Nothing;
        }
        if self.waits_until.take().is_some() {
            (self.began, self.moved) = (now, now);
            return Turn::Dial;
        }
        if self.waits_for_turn() {
            (self.turn, self.moved) = (Quantum::only(self.sent, MEANWHILE_BYTES), now);
            return Turn::Wake;
        }
        match self.steps.front() {
            _ if self.is_dialling => Turn::Failed(TransferFailure::NoConnection(BrokenWhy::Unreachable)),
            Some(Step::HearOk) => Turn::Failed(TransferFailure::NoOk),
            // Not all who have everything close.
            Some(Step::HearEnd) | None => self.done(now),
            Some(Step::Say(_) | Step::File(_) | Step::HalfClose) => Turn::Failed(TransferFailure::Stalled),
        }
    }

    /// When [`Sending::review`] will find something, if nothing happens until then.
    pub(super) fn deadline(&self, limits: &Limits) -> Time {
        if let Some(at) = self.waits_until {
            return at;
        }
        let wait = match self.steps.front() {
            _ if self.is_dialling => limits.dial_deadline,
            _ if self.waits_for_turn() => SILENCE_MAX,
            Some(Step::HearOk | Step::HearEnd) | None => limits.transfer_ok_wait,
            Some(Step::Say(_) | Step::File(_) | Step::HalfClose) => limits.send_stall_max,
        };
        self.moved + wait
    }

    /// What the next bytes are.
    pub(super) fn expects(&self) -> Expect {
        match self.steps.front() {
            Some(Step::HearOk) if !self.is_dialling => Expect::Control,
            Some(Step::HearEnd) => Expect::Payload { sink: Sink::Discard, left: u64::MAX },
            _ => Expect::Nothing,
        }
    }

    /// What is to be sent next.
    pub(super) fn segment(&self) -> Segment<'_> {
        match self.steps.front() {
            _ if self.is_dialling || self.waits_for_turn() => Segment::Nothing,
            Some(Step::Say(said)) => {
                let sent = usize::try_from(self.sent).unwrap_or(usize::MAX);
                Segment::Bytes { bytes: said.get(sent..).unwrap_or_default(), span_of: None }
            }
            Some(Step::File(size)) => Segment::Span {
                source: SpanSource::Content(self.content),
                offset: self.sent,
                len: size.saturating_sub(self.sent).min(self.turn.left(self.sent)),
            },
            Some(Step::HalfClose) => Segment::HalfClose,
            Some(Step::HearOk | Step::HearEnd) | None => Segment::Nothing,
        }
    }

    /// Whether a receiver would take a connection that ends now for a file that is whole: some of it may have gone, and its
    /// end is to be the end of what is sent.
    pub(super) fn would_look_whole(&self) -> bool {
        (self.begun || self.sent > 0) && self.steps.contains(&Step::HalfClose)
    }

    fn next_step(&mut self, now: Time) -> Turn {
        self.steps.pop_front();
        (self.sent, self.moved) = (0, now);
        match self.steps.front() {
            None => self.done(now),
            Some(Step::File(_)) if !self.begun => {
                self.begun = true;
                Turn::Begun(TransferEvent::SendBegun { ticket: self.ticket })
            }
            _ => Turn::Wake,
        }
    }

    fn news(&mut self, now: Time, limits: &Limits) -> Turn {
        if now.since(self.told) < limits.transfer_progress_interval {
            return Turn::Nothing;
        }
        self.told = now;
        let of = self.geometry.size_bytes();
        Turn::Moved(TransferEvent::SendProgress { ticket: self.ticket, bytes: self.sent, of })
    }

    fn done(&self, now: Time) -> Turn {
        let (took, bytes) = (now.since(self.began), self.geometry.size_bytes());
        let (ticket, to, acknowledged) = (self.ticket, self.to, self.acknowledged);
        Turn::Done(TransferEvent::Sent { ticket, to, bytes, took, acknowledged })
    }
}

/// The geometry of a file that is to be sent, and what is said and heard with it.
pub(super) fn script(
    ctx: &Ctx,
    order: &Order,
    has_room: bool,
) -> Result<(Geometry, Vec<Step>), TransferFailure> {
    if ctx.is_leaving || !has_room {
        return Err(TransferFailure::Cancelled);
    }
    let whole = ctx.catalogue.get(&order.content).filter(|holding| holding.is_complete());
    let geometry = whole.ok_or(TransferFailure::NotShared)?.geometry;
    let file = Outgoing { size: geometry.size_bytes(), ..order.file.clone() };
    Ok((geometry, file.steps().map_err(TransferFailure::Form)?))
}
