//! The side of a classic connection that asks: one request out, one answer in.
//!
//! Owns where the answer's data begins and ends. The data itself goes into a spool, unseen but for its first bytes where
//! a dialect puts the size among them.

use std::time::Duration;

use crate::core::classic::fetches::Route;
use crate::core::io::{Expect, Segment, Sink, SpoolId};
use crate::core::limits::Limits;
use crate::types::Time;
use crate::wire::classic::answer::{
    self, AnswerDecoder, AnswerError, AnswerHead, Asked, PayloadExtent, SIZE_DIGITS_MAX,
};
use crate::wire::classic::{Dialect, QUIET_END, request};

/// When a peer that does not close may have said everything: then the next connection may make it close this one.
pub(super) const QUIET_BEGIN: Duration = Duration::from_millis(200);

/// The side that asks.
#[derive(Debug)]
pub(super) struct ChunkRequest {
    /// For which fetch.
    pub(super) ticket: u32,
    /// For which of its chunks.
    pub(super) index: u32,
    /// Where the data goes.
    pub(super) spool: SpoolId,
    /// In which dialect the answer is, as far as it is known by now.
    pub(super) dialect: Dialect,
    /// The answer seems to be over, but its end did not come.
    pub(super) quiet: bool,
    /// When the connection was dialled, then when it stood, then when a byte last came.
    heard: Time,
    first_byte: Option<Time>,
    stage: Stage,
    request: Vec<u8>,
    request_sent: usize,
    half_close_due: bool,
    decoder: AnswerDecoder,
    bytes_max: u64,
    /// Bytes of the data so far, the size before it included where it is sized by text.
    taken: u64,
    /// The first of them, where it is sized by text.
    first: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialling,
    Head,
    Sizing,
    Data(PayloadExtent),
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The spool holds the chunk, behind so many bytes that are not the chunk's.
    Complete {
        /// So many.
        skip: u64,
    },
    /// The peer does not have it.
    Missing,
    /// The answer is none, in a few words.
    Failed(String),
}

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// So many were control bytes.
    pub(super) used: usize,
    /// These belong to the spool.
    pub(super) spooled: Vec<u8>,
    /// The answer is over.
    pub(super) outcome: Option<Outcome>,
}

impl ChunkRequest {
    /// Asks for a chunk of a fetch.
    pub(super) fn new(
        now: Time,
        (ticket, index): (u32, u32),
        route: Route,
        asked: Asked,
        spool: SpoolId,
    ) -> ChunkRequest {
        let dialect = route.dialect;
        let bytes_max = asked.bytes_max;
        ChunkRequest {
            ticket,
            index,
            spool,
            dialect,
            quiet: false,
            heard: now,
            first_byte: None,
            stage: Stage::Dialling,
            request: request::encode(dialect, &asked.name),
            request_sent: 0,
            half_close_due: dialect.half_closes_after_request(),
            decoder: if route.may_be_json {
                AnswerDecoder::raw_or_json(asked)
            } else {
                AnswerDecoder::new(dialect, asked)
            },
            bytes_max,
            taken: 0,
            first: Vec::new(),
        }
    }

    /// The connection stands. False when it did before.
    pub(super) fn connected(&mut self, now: Time) -> bool {
        if self.stage != Stage::Dialling {
            return false;
        }
        self.stage = Stage::Head;
        self.heard = now;
        true
    }

    /// Whether the connection does not stand yet.
    pub(super) fn is_dialling(&self) -> bool {
        self.stage == Stage::Dialling
    }

    /// Whether a byte came.
    pub(super) fn is_answered(&self) -> bool {
        self.first_byte.is_some()
    }

    /// What the next bytes are.
    pub(super) fn expects(&self) -> Expect {
        match self.stage {
            Stage::Dialling => Expect::Nothing,
            Stage::Head | Stage::Sizing => Expect::Control,
            Stage::Data(_) => Expect::Payload { sink: Sink::Spool(self.spool), left: self.left() },
        }
    }

    /// What is to be sent next.
    pub(super) fn segment(&self) -> Segment<'_> {
        if self.stage == Stage::Dialling {
            return Segment::Nothing;
        }
        match self.request.get(self.request_sent..) {
            Some(bytes) if !bytes.is_empty() => Segment::Bytes { bytes, span_of: None },
            _ if self.half_close_due => Segment::HalfClose,
            _ => Segment::Nothing,
        }
    }

    /// So many bytes of the segment are in the kernel.
    pub(super) fn sent(&mut self, bytes: u64) {
        if self.request_sent < self.request.len() {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            self.request_sent = self.request_sent.saturating_add(bytes).min(self.request.len());
        } else {
            self.half_close_due = false;
        }
    }

    /// Takes control bytes up to where data begins.
    pub(super) fn push(&mut self, now: Time, bytes: &[u8]) -> Taken {
        self.note_byte(now);
        match self.stage {
            Stage::Head => self.take_head(bytes),
            Stage::Sizing => self.take_sizes(bytes),
            Stage::Dialling | Stage::Data(_) => Taken { used: 0, spooled: Vec::new(), outcome: None },
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> Taken {
        match self.decoder.push(bytes) {
            Ok((used, None)) => Taken { used, spooled: Vec::new(), outcome: None },
            Ok((used, Some(head))) => {
                let (spooled, outcome) = self.begin(head);
                Taken { used, spooled, outcome }
            }
            Err(error) => Taken { used: bytes.len(), spooled: Vec::new(), outcome: Some(failed(error)) },
        }
    }

    fn take_sizes(&mut self, bytes: &[u8]) -> Taken {
        let wanted = SIZE_DIGITS_MAX.saturating_sub(self.first.len());
        let spooled = bytes.get(..wanted).unwrap_or(bytes).to_vec();
        let used = spooled.len();
        self.first.extend_from_slice(&spooled);
        if self.first.len() >= SIZE_DIGITS_MAX {
            self.stage = Stage::Data(PayloadExtent::SizedToEnd);
        }
        let outcome = self.took(used as u64);
        Taken { used, spooled, outcome }
    }

    /// Data begins, or the chunk is missing.
    fn begin(&mut self, head: AnswerHead) -> (Vec<u8>, Option<Outcome>) {
        match head {
            AnswerHead::Missing => (Vec::new(), Some(Outcome::Missing)),
            AnswerHead::Payload { extent, begins_with } => {
                self.stage = match extent {
                    PayloadExtent::SizedToEnd => Stage::Sizing,
                    _ => Stage::Data(extent),
                };
                if self.dialect == Dialect::B && matches!(extent, PayloadExtent::Exact(_)) {
                    self.dialect = Dialect::BJson;
                }
                let outcome = self.took(begins_with.len() as u64);
                (begins_with, outcome)
            }
        }
    }

    /// So many bytes went into the spool past the core.
    pub(super) fn stored(&mut self, now: Time, bytes: u64) -> Option<Outcome> {
        self.note_byte(now);
        self.took(bytes)
    }

    fn took(&mut self, bytes: u64) -> Option<Outcome> {
        self.taken = self.taken.saturating_add(bytes);
        match self.stage {
            Stage::Data(PayloadExtent::Exact(len)) => {
                (self.taken >= len).then_some(Outcome::Complete { skip: 0 })
            }
            _ => (self.taken > self.taken_max())
                .then(|| Outcome::Failed(format!("the answer has more than {} bytes", self.bytes_max))),
        }
    }

    /// The other side will send nothing more: bytes that belong to the spool, and how the answer ended.
    pub(super) fn end(&mut self) -> (Vec<u8>, Outcome) {
        let mut spooled = Vec::new();
        let outcome = match self.stage {
            Stage::Dialling => Outcome::Missing,
            Stage::Head => match self.decoder.end() {
                Ok(head) => {
                    let (bytes, outcome) = self.begin(head);
                    spooled = bytes;
                    outcome.unwrap_or_else(|| self.data_end())
                }
                Err(error) => failed(error),
            },
            Stage::Sizing | Stage::Data(_) => self.data_end(),
        };
        (spooled, outcome)
    }

    fn data_end(&self) -> Outcome {
        match self.stage {
            Stage::Data(PayloadExtent::Exact(_)) => Outcome::Failed("the answer was cut short".to_owned()),
            Stage::Sizing | Stage::Data(PayloadExtent::SizedToEnd) => match self.size_digits() {
                Some(digits) => Outcome::Complete { skip: digits },
                None => Outcome::Failed("the size in the answer is not that of the data".to_owned()),
            },
            _ if self.taken == 0 => Outcome::Missing,
            _ => Outcome::Complete { skip: 0 },
        }
    }

    fn size_digits(&self) -> Option<u64> {
        answer::leading_size(&self.first, self.taken).map(|digits| digits as u64)
    }

    /// Whether only the end of the stream, or silence, ends this answer.
    fn is_open_ended(&self) -> bool {
        match self.stage {
            Stage::Data(PayloadExtent::Exact(_)) | Stage::Dialling | Stage::Head => false,
            Stage::Sizing | Stage::Data(_) => self.taken > 0,
        }
    }

    /// Silence has lasted until now: what follows from it, and when to look again.
    pub(super) fn review(&mut self, now: Time, limits: &Limits) -> Review {
        let silent = now.since(self.heard);
        let wait = match self.stage {
            Stage::Dialling => limits.dial_deadline,
            _ => limits.classic_answer_wait,
        };
        if self.is_open_ended() {
            // Between the size and the data there is a pause that looks like the end.
            let sized = matches!(self.stage, Stage::Sizing);
            let quiet_end = if sized { wait } else { QUIET_END };
            if silent >= quiet_end {
                return Review::Over(self.data_end());
            }
            if silent >= QUIET_BEGIN && !self.quiet && !sized {
                self.quiet = true;
                return Review::Quiet(self.heard + quiet_end);
            }
        }
        if silent >= wait {
            return Review::Over(Outcome::Failed(match self.stage {
                Stage::Dialling => "no connection in time".to_owned(),
                Stage::Head => "no answer in time".to_owned(),
                _ => "the answer stopped".to_owned(),
            }));
        }
        if self.first_byte.is_some_and(|first| now > first + self.allowed(limits)) {
            return Review::Over(Outcome::Failed("the answer is too slow".to_owned()));
        }
        Review::Wait(self.next_review(wait, limits))
    }

    fn next_review(&self, wait: Duration, limits: &Limits) -> Time {
        let silence = match self.stage {
            Stage::Sizing => wait,
            _ if !self.is_open_ended() => wait,
            _ if self.quiet => QUIET_END,
            _ => QUIET_BEGIN,
        };
        let slow = self.first_byte.map(|first| first + self.allowed(limits) + Duration::from_millis(1));
        slow.map_or(self.heard + silence, |slow| slow.min(self.heard + silence))
    }

    /// How long an answer of so many bytes may have taken.
    fn allowed(&self, limits: &Limits) -> Duration {
        let seconds = self.taken.checked_div(limits.classic_floor_bytes_per_s).unwrap_or(self.taken);
        limits.classic_answer_grace.saturating_add(Duration::from_secs(seconds))
    }

    fn note_byte(&mut self, now: Time) {
        self.heard = now;
        self.quiet = false;
        self.first_byte.get_or_insert(now);
    }

    /// So many bytes may still be read: where the length is not known, one more than is accepted, to know that it is
    /// too many.
    fn left(&self) -> u64 {
        let most = match self.stage {
            Stage::Data(PayloadExtent::Exact(len)) => len,
            _ => self.taken_max().saturating_add(1),
        };
        most.saturating_sub(self.taken)
    }

    fn taken_max(&self) -> u64 {
        match self.stage {
            Stage::Sizing | Stage::Data(PayloadExtent::SizedToEnd) => {
                self.bytes_max.saturating_add(SIZE_DIGITS_MAX as u64)
            }
            _ => self.bytes_max,
        }
    }
}

/// What follows from silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Review {
    /// Nothing; look again then.
    Wait(Time),
    /// The answer seems to be over; look again then.
    Quiet(Time),
    /// The answer is over.
    Over(Outcome),
}

fn failed(error: AnswerError) -> Outcome {
    Outcome::Failed(error.to_string())
}
