//! The side of a classic connection that serves: requests in, answers out, one after the other.
//!
//! Owns how far an answer is. What is served, and from where, it is told, and so is when it is its turn to send a chunk's bytes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::io::{ConnId, Expect, Segment, Sink, SpanSource};
use crate::core::limits::Limits;
use crate::core::uploader::{TURN_BYTES, UploadRequest, is_progress};
use crate::types::{ContentId, Time};
use crate::wire::classic::answer::{self, AnswerStep};
use crate::wire::classic::request::{Request, RequestDecoder, RequestError};
use crate::wire::classic::{ChunkName, Dialect};

/// A turn is so many bytes of a chunk; over a fast link, as many as come to [`TURN_BYTES`]. There are receivers that take what one
/// read gives them for the whole chunk, so that a short answer, and each chunk that has a fixed size, is one turn.
const ANSWER_TURN_BYTES: u64 = 128 << 10;
/// Receivers that are used to peers which do not close take a silence for the end of an answer, after
/// [`QUIET_END`](crate::wire::classic::QUIET_END) at the earliest. Who waits in the middle of a chunk for so long is sent so many bytes meanwhile.
const SILENCE_MAX: Duration = Duration::from_secs(1);
const MEANWHILE_BYTES: u64 = 4 << 10;
/// Chunks that are kept have no id. In line they count as one content.
const KEPT: ContentId = ContentId([0; 32]);
/// Classic chunks are cut otherwise than native ones: none of those is meant.
const NO_CHUNK: u32 = u32::MAX;

/// The side that serves.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) stage: Stage,
    decoder: RequestDecoder,
    /// When the stage or a step of it began, or a good part of a chunk last went.
    pub(super) moved: Time,
    /// It answered a request before.
    pub(super) answered: bool,
    /// The other side will send nothing more.
    pub(super) ended: bool,
    /// So many requests were for what is not here.
    pub(super) missed: u32,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The next request is to come.
    Listening,
    /// The store looks for the chunk.
    Looking(Sought),
    /// An answer goes out.
    Answering(Answer),
    /// All is said; the other side's end is waited for.
    Lingering,
}

/// What somebody asked for.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    pub(super) name: ChunkName,
    pub(super) dialect: Dialect,
    pub(super) began: Time,
}

/// Where the bytes of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// In a shared file, from this byte on.
    Content(ContentId, u64),
    /// In the kept chunk that the store opened.
    Kept,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) sought: Sought,
    pub(super) bytes: u64,
    pub(super) source: Option<Source>,
    steps: VecDeque<AnswerStep>,
    /// Of the first of the steps.
    sent: u64,
    /// It is this receiver's turn.
    has_slot: bool,
    /// Up to here the chunk may go.
    turn_end: u64,
    /// Up to here it may in any case.
    turn_end_min: u64,
    /// The first of the steps is a pause that is over then.
    pub(super) pause_end: Option<Time>,
}

/// What became of an answer with some bytes sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// More is to come.
    Some,
    /// The turn is over, the chunk is not.
    Turn,
    /// The last byte of the chunk is out.
    Payload,
}

impl Serving {
    /// At a port of the dialects whose own port is `tcp_port`.
    pub(super) fn new(tcp_port: u16, now: Time) -> Serving {
        Serving {
            stage: Stage::Listening,
            decoder: RequestDecoder::new(tcp_port),
            moved: now,
            answered: false,
            ended: false,
            missed: 0,
        }
    }

    /// Takes bytes of a request as they come, none while one is answered.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(usize, Option<Request>), RequestError> {
        match self.stage {
            Stage::Listening => self.decoder.push(bytes),
            _ => Ok((0, None)),
        }
    }

    /// Answers with a chunk of so many bytes, or says that it is missing.
    pub(super) fn answer(&mut self, now: Time, sought: Sought, found: Option<(Source, u64)>) {
        let found = found.filter(|(_, bytes)| *bytes > 0);
        let steps = match found {
            Some((_, bytes)) => answer::found(sought.dialect, &sought.name, bytes),
            None => answer::missing(sought.dialect),
        };
        let mut answer = Answer {
            sought,
            bytes: found.map_or(0, |(_, bytes)| bytes),
            source: found.map(|(source, _)| source),
            steps: steps.into(),
            sent: 0,
            has_slot: false,
            turn_end: 0,
            turn_end_min: 0,
            pause_end: None,
        };
        answer.begin_step(now);
        self.moved = now;
        self.answered = true;
        self.stage = Stage::Answering(answer);
    }

    /// So many bytes of the segment are in the kernel.
    pub(super) fn sent(&mut self, now: Time, bytes: u64) -> Sent {
        let Stage::Answering(answer) = &mut self.stage else { return Sent::Some };
        let steps = answer.steps.len();
        let progress = is_progress(answer.sent, bytes);
        let sent = answer.sent(now, bytes);
        if progress || answer.steps.len() < steps {
            self.moved = now;
        }
        sent
    }

    /// Whether it is this receiver's turn.
    pub(super) fn has_slot(&self) -> bool {
        matches!(&self.stage, Stage::Answering(answer) if answer.has_slot)
    }

    /// Goes on with what the answer's next step is, if that is not something to send. True when the stage changed.
    pub(super) fn turn(&mut self, now: Time) -> bool {
        let Stage::Answering(answer) = &mut self.stage else { return false };
        if answer.pause_end.is_some_and(|end| end <= now) {
            answer.next_step(now);
        }
        self.stage = match answer.steps.front() {
            Some(AnswerStep::KeepOpen) => Stage::Listening,
            Some(_) => return false,
            None => Stage::Lingering,
        };
        self.moved = now;
        true
    }

    /// What stands in line for the next bytes of a chunk.
    pub(super) fn request(&self) -> Option<UploadRequest> {
        let Stage::Answering(answer) = &self.stage else { return None };
        let Some(AnswerStep::Payload(len)) = answer.steps.front() else { return None };
        let content = match answer.source? {
            Source::Content(content, _) => content,
            Source::Kept => KEPT,
        };
        let bytes = u32::try_from(len.saturating_sub(answer.sent).min(ANSWER_TURN_BYTES)).unwrap_or(u32::MAX);
        (!answer.has_slot).then_some(UploadRequest { channel: 0, content, chunk: NO_CHUNK, bytes })
    }

    /// It may send bytes of its chunk.
    pub(super) fn begin_turn(&mut self, now: Time) {
        self.moved = now;
        if let Stage::Answering(answer) = &mut self.stage {
            answer.has_slot = true;
            answer.turn_end = answer.sent.saturating_add(TURN_BYTES);
            answer.turn_end_min = answer.sent.saturating_add(ANSWER_TURN_BYTES);
        }
    }

    /// Its turn ends where it may in any case. True when that is now.
    pub(super) fn cut_turn(&mut self) -> bool {
        let Stage::Answering(answer) = &mut self.stage else { return false };
        answer.turn_end = answer.turn_end.min(answer.turn_end_min);
        answer.has_slot && answer.end_turn()
    }

    /// Who waits in the middle of a chunk may send a little. False where nobody does.
    pub(super) fn send_meanwhile(&mut self, now: Time) -> bool {
        let Stage::Answering(answer) = &mut self.stage else { return false };
        let waits = answer.is_waiting() && answer.sent > 0;
        if waits {
            self.moved = now;
            answer.turn_end = answer.sent.saturating_add(MEANWHILE_BYTES);
        }
        waits
    }

    /// Whether a chunk is looked for or on its way.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Looking(_) | Stage::Answering(_))
    }

    /// What the next bytes are.
    pub(super) fn expects(&self) -> Expect {
        match self.stage {
            Stage::Listening => Expect::Control,
            // A close with unread input would reset the connection, and the receiver lose the tail.
            Stage::Lingering => Expect::Payload { sink: Sink::Discard, left: u64::MAX },
            Stage::Looking(_) | Stage::Answering(_) => Expect::Nothing,
        }
    }

    /// What is to be sent next.
    pub(super) fn segment(&self, conn: ConnId) -> Segment<'_> {
        match &self.stage {
            Stage::Answering(answer) => answer.segment(conn),
            _ => Segment::Nothing,
        }
    }

    /// When this has taken too long, if nothing moves until then. Bytes of a first request do not extend its deadline.
    pub(super) fn deadline(&self, now: Time, limits: &Limits) -> Time {
        let wait = match &self.stage {
            // Who waits for a turn cannot be blamed.
            Stage::Answering(answer) if answer.is_waiting() && answer.sent == 0 => {
                return now + limits.send_stall_max;
            }
            Stage::Answering(answer) if answer.is_waiting() => SILENCE_MAX,
            Stage::Listening if self.answered => limits.classic_idle_max,
            Stage::Listening => limits.handshake_deadline,
            Stage::Lingering => limits.classic_linger,
            Stage::Looking(_) | Stage::Answering(_) => limits.send_stall_max,
        };
        self.moved + wait
    }
}

impl Answer {
    /// Whether bytes of a chunk are still to go.
    pub(super) fn is_owing(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, AnswerStep::Payload(_)))
    }

    fn sent(&mut self, now: Time, bytes: u64) -> Sent {
        self.sent = self.sent.saturating_add(bytes);
        let (len, is_payload) = match self.steps.front() {
            Some(AnswerStep::Bytes(step)) => (step.len() as u64, false),
            Some(AnswerStep::Payload(len)) => (*len, true),
            Some(AnswerStep::HalfClose) => (1, false),
            Some(AnswerStep::Pause(_) | AnswerStep::KeepOpen) | None => return Sent::Some,
        };
        if self.sent < len {
            return if is_payload && self.end_turn() { Sent::Turn } else { Sent::Some };
        }
        self.next_step(now);
        if is_payload { Sent::Payload } else { Sent::Some }
    }

    /// Whether bytes of a chunk wait for a turn.
    fn is_waiting(&self) -> bool {
        let is_payload = matches!(self.steps.front(), Some(AnswerStep::Payload(_)));
        is_payload && !self.has_slot && self.sent >= self.turn_end
    }

    /// The turn ends if all that may go is out. True when it did.
    fn end_turn(&mut self) -> bool {
        let is_over = self.sent >= self.turn_end;
        self.has_slot &= !is_over;
        is_over
    }

    fn next_step(&mut self, now: Time) {
        self.steps.pop_front();
        self.begin_step(now);
    }

    fn begin_step(&mut self, now: Time) {
        (self.sent, self.turn_end, self.has_slot) = (0, 0, false);
        self.pause_end = match self.steps.front() {
            Some(AnswerStep::Pause(pause)) => Some(now + *pause),
            _ => None,
        };
    }

    fn segment(&self, conn: ConnId) -> Segment<'_> {
        match self.steps.front() {
            Some(AnswerStep::Bytes(bytes)) => {
                let sent = usize::try_from(self.sent).unwrap_or(usize::MAX);
                // In every dialect a pause stands between a header and its data.
                Segment::Bytes { bytes: bytes.get(sent..).unwrap_or_default(), span_of: None }
            }
            Some(AnswerStep::Payload(len)) => match (self.source, self.span_source(conn)) {
                (Some(from), Some(source)) => {
                    let begin = match from {
                        Source::Content(_, offset) => offset,
                        Source::Kept => 0,
                    };
                    let offset = begin.saturating_add(self.sent);
                    let len = (*len).min(self.turn_end).saturating_sub(self.sent);
                    if len == 0 { Segment::Nothing } else { Segment::Span { source, offset, len } }
                }
                _ => Segment::Nothing,
            },
            Some(AnswerStep::HalfClose) => Segment::HalfClose,
            Some(AnswerStep::Pause(_) | AnswerStep::KeepOpen) | None => Segment::Nothing,
        }
    }

    fn span_source(&self, conn: ConnId) -> Option<SpanSource> {
        self.source.map(|source| match source {
            Source::Content(content, _) => SpanSource::Content(content),
            Source::Kept => SpanSource::Kept(conn),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { slot: 3, generation: 0 };

    fn sought(dialect: Dialect) -> Sought {
        let name = ChunkName::of_file("forest.png", 1, dialect.name_form()).unwrap();
        Sought { name, dialect, began: Time::ZERO }
    }

    #[test]
    fn an_answer_goes_out_in_any_pieces_and_its_end_is_waited_for() {
        let mut serving = Serving::new(8000, Time::ZERO);
        serving.answer(Time::ZERO, sought(Dialect::BJson), Some((Source::Kept, 7)));
        let header = br#"["forest_1", 7]"#;
        assert_eq!(serving.segment(CONN), Segment::Bytes { bytes: header, span_of: None });
        assert_eq!(serving.sent(Time::ZERO, 4), Sent::Some);
        assert_eq!(serving.segment(CONN), Segment::Bytes { bytes: &header[4..], span_of: None });
        serving.sent(Time::ZERO, header.len() as u64 - 4);
        assert_eq!(serving.segment(CONN), Segment::Nothing);
        let now = Time::from_millis(50);
        serving.turn(now);
        assert!(serving.segment(CONN) == Segment::Nothing && serving.request().is_some());
        serving.begin_turn(now);
        serving.sent(now, 3);
        let rest = Segment::Span { source: SpanSource::Kept(CONN), offset: 3, len: 4 };
        assert_eq!(serving.segment(CONN), rest);
        assert_eq!(serving.sent(now, 4), Sent::Payload);
        assert_eq!(serving.segment(CONN), Segment::HalfClose);
        serving.sent(now, 1);
        assert!(serving.turn(now));
        assert!(matches!(serving.expects(), Expect::Payload { sink: Sink::Discard, .. }));
    }

    #[test]
    fn a_pause_holds_back_what_follows_it() {
        let mut serving = Serving::new(5000, Time::ZERO);
        serving.answer(Time::ZERO, sought(Dialect::D), Some((Source::Content(ContentId([1; 32]), 100), 7)));
        assert_eq!(serving.segment(CONN), Segment::Bytes { bytes: b"7\n", span_of: None });
        serving.sent(Time::ZERO, 2);
        assert_eq!(serving.segment(CONN), Segment::Nothing);
        assert!(!serving.turn(Time::from_millis(49)));
        assert_eq!(serving.segment(CONN), Segment::Nothing);
        serving.turn(Time::from_millis(50));
        serving.begin_turn(Time::from_millis(50));
        let source = SpanSource::Content(ContentId([1; 32]));
        assert_eq!(serving.segment(CONN), Segment::Span { source, offset: 100, len: 7 });
        serving.sent(Time::from_millis(50), 7);
        assert!(serving.turn(Time::from_millis(50)));
        assert_eq!(serving.expects(), Expect::Control);
    }

    #[test]
    fn a_turn_is_cut_where_others_wait_and_a_short_answer_has_one() {
        for (bytes, cuts) in [(65_536, 0), (102_400, 0), (300_000, 2)] {
            let mut serving = Serving::new(8000, Time::ZERO);
            serving.answer(Time::ZERO, sought(Dialect::B), Some((Source::Kept, bytes)));
            let (mut turns, mut went) = (0, 0);
            while let Some(request) = serving.request() {
                assert_eq!(u64::from(request.bytes), (bytes - went).min(ANSWER_TURN_BYTES));
                serving.begin_turn(Time::ZERO);
                assert!(!serving.cut_turn());
                let Segment::Span { len, .. } = serving.segment(CONN) else { panic!("it is its turn") };
                went += len;
                match serving.sent(Time::ZERO, len) {
                    Sent::Payload => break,
                    sent => assert_eq!(sent, Sent::Turn),
                }
                turns += 1;
            }
            assert_eq!((turns, went), (cuts, bytes));
        }
    }
}
