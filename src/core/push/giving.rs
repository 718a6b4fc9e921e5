//! The side of a push that gives a file: its script, how far it is in it, and how long each step may take.

use std::collections::VecDeque;

use crate::core::door::{BrokenWhy, Expect, ForeignFailure, Segment, Sink, SpanSource};
use crate::core::limits::Limits;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::push::{OkHearing, Step};

/// The side that gives.
#[derive(Debug)]
pub(in crate::core) struct Giving {
    /// The ticket of the command.
    pub(in crate::core) ticket: u32,
    pub(in crate::core) content: ContentId,
    /// The file's size in bytes.
    pub(in crate::core) size: u64,
    /// When it was dialled.
    pub(in crate::core) began: Time,
    /// Whether the receiver says at the end that it has the file.
    pub(in crate::core) acknowledged: bool,
    is_dialling: bool,
    /// Until when it is not even dialled, because its receiver failed just before.
    waits_until: Option<Time>,
    steps: VecDeque<Step>,
    /// Bytes of the first of them that went.
    sent: u64,
    /// The file, or what is said first where nothing lets it come, has begun to go.
    begun: bool,
    /// All bytes of the file are in the kernel.
    file_out: bool,
    ok: OkHearing,
    /// When the step began, or a byte last moved in it.
    moved: Time,
    told: Time,
}

/// What bytes, silence or an end brought about.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::core) enum Turn {
    /// Nothing to do.
    Nothing,
    /// The receiver is to be dialled.
    Dial,
    /// The next step has begun.
    Wake,
    /// So has the file.
    Begun,
    /// So many bytes of the file went.
    Moved(u64),
    /// All is done.
    Done,
    /// It failed.
    Failed(ForeignFailure),
}

impl Giving {
    /// What is to be done with a file of `size` bytes, once a connection stands.
    pub(in crate::core) fn new(
        ticket: u32,
        content: ContentId,
        size: u64,
        steps: Vec<Step>,
        acknowledged: bool,
        now: Time,
    ) -> Giving {
        Giving {
            ticket,
            content,
            size,
            began: now,
            acknowledged,
            is_dialling: true,
            waits_until: None,
            // A file without a byte has none to be sent.
            steps: steps.into_iter().filter(|step| *step != Step::File(0)).collect(),
            sent: 0,
            begun: false,
            file_out: false,
            ok: OkHearing::default(),
            moved: now,
            told: now,
        }
    }

    /// The receiver is not dialled before this.
    pub(in crate::core) fn wait_until(&mut self, at: Time) {
        self.waits_until = Some(at);
    }

    /// Whether the receiver was not dialled yet.
    pub(in crate::core) fn is_waiting(&self) -> bool {
        self.waits_until.is_some()
    }

    /// The connection stands.
    pub(in crate::core) fn connected(&mut self, now: Time) {
        self.is_dialling = false;
        self.moved = now;
    }

    /// Takes what the receiver says.
    pub(in crate::core) fn push(&mut self, now: Time, bytes: &[u8]) -> Turn {
        match (self.steps.front(), self.ok.push(bytes)) {
            (Some(Step::HearOk), Ok(false)) => Turn::Nothing,
            (Some(Step::HearOk), Ok(true)) => {
                self.ok = OkHearing::default();
                self.next_step(now)
            }
            _ => Turn::Failed(ForeignFailure::NotOk),
        }
    }

    /// So many bytes of the segment are in the kernel.
    pub(in crate::core) fn sent(&mut self, now: Time, bytes: u64, limits: &Limits) -> Turn {
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
    pub(in crate::core) fn end(&self) -> Turn {
        match self.steps.front() {
            None => Turn::Done,
            Some(Step::HearEnd) => Turn::Done,
            _ if self.file_out => Turn::Failed(ForeignFailure::Unacknowledged),
            _ if self.begun => Turn::Failed(ForeignFailure::Broken(BrokenWhy::Reset)),
            _ => Turn::Failed(ForeignFailure::Refused),
        }
    }

    /// The connection broke, or never stood.
    pub(in crate::core) fn broken(&self, why: BrokenWhy) -> ForeignFailure {
        match self.steps.front() {
            _ if self.is_dialling => ForeignFailure::NoConnection(why),
            Some(Step::HearOk) if !self.begun => ForeignFailure::Refused,
            Some(Step::HearOk) if self.file_out => ForeignFailure::Unacknowledged,
            _ => ForeignFailure::Broken(why),
        }
    }

    /// Time has passed.
    pub(in crate::core) fn review(&mut self, now: Time, limits: &Limits) -> Turn {
        if now < self.deadline(limits) {
            return Turn::Nothing;
        }
        if self.waits_until.take().is_some() {
            (self.began, self.moved) = (now, now);
            return Turn::Dial;
        }
        match self.steps.front() {
            _ if self.is_dialling => Turn::Failed(ForeignFailure::NoConnection(BrokenWhy::Unreachable)),
            Some(Step::HearOk) => Turn::Failed(ForeignFailure::NoOk),
            // Not all who have everything close.
            Some(Step::HearEnd) | None => Turn::Done,
            Some(Step::Say(_) | Step::File(_) | Step::HalfClose) => Turn::Failed(ForeignFailure::Stalled),
        }
    }

    /// When [`Giving::review`] will find something, if nothing happens until then.
    pub(in crate::core) fn deadline(&self, limits: &Limits) -> Time {
        if let Some(at) = self.waits_until {
            return at;
        }
        self.moved
            + match self.steps.front() {
                _ if self.is_dialling => limits.dial_deadline,
                Some(Step::HearOk | Step::HearEnd) | None => limits.push_ok_wait,
                Some(Step::Say(_) | Step::File(_) | Step::HalfClose) => limits.send_stall_max,
            }
    }

    /// What the next bytes are.
    pub(in crate::core) fn expects(&self) -> Expect {
        match self.steps.front() {
            Some(Step::HearOk) if !self.is_dialling => Expect::Control,
            Some(Step::HearEnd) => Expect::Payload { sink: Sink::Discard, left: u64::MAX },
            _ => Expect::Nothing,
        }
    }

    /// What is to be sent next.
    pub(in crate::core) fn segment(&self) -> Segment<'_> {
        if self.is_dialling {
            return Segment::Nothing;
        }
        match self.steps.front() {
            Some(Step::Say(said)) => {
                let sent = usize::try_from(self.sent).unwrap_or(usize::MAX);
                Segment::Bytes { bytes: said.get(sent..).unwrap_or_default(), span_of: None }
            }
            Some(Step::File(size)) => Segment::Span {
                source: SpanSource::Content(self.content),
                offset: self.sent,
                len: size.saturating_sub(self.sent),
            },
            Some(Step::HalfClose) => Segment::HalfClose,
            Some(Step::HearOk | Step::HearEnd) | None => Segment::Nothing,
        }
    }

    /// Whether a receiver would take a connection that ends now for a file that is whole: some of it may have gone, and its
    /// end is to be the end of what is sent.
    pub(in crate::core) fn would_look_whole(&self) -> bool {
        (self.begun || self.sent > 0) && self.steps.contains(&Step::HalfClose)
    }

    fn next_step(&mut self, now: Time) -> Turn {
        self.steps.pop_front();
        (self.sent, self.moved) = (0, now);
        match self.steps.front() {
            None => Turn::Done,
            Some(Step::File(_)) if !self.begun => {
                self.begun = true;
                Turn::Begun
            }
            _ => Turn::Wake,
        }
    }

    fn news(&mut self, now: Time, limits: &Limits) -> Turn {
        if now.since(self.told) < limits.push_progress_interval {
            return Turn::Nothing;
        }
        self.told = now;
        Turn::Moved(self.sent)
    }
}
