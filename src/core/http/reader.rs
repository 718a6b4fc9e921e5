//! One reader by HTTP: requests in, answers out, one after the other.
//!
//! Owns how far an answer is. What is answered it is told, and so is when it is its turn to send a file's bytes.

use std::ops::Range;
use std::time::Duration;

use crate::core::connection::Transport;
use crate::core::io::{Expect, Segment, SpanSource};
use crate::core::limits::Limits;
use crate::core::uploader::{Quantum, is_progress};
use crate::types::{ContentId, Time};
use crate::wire::http::{Request, RequestDecoder, RequestError, Stays};

/// One connection of a reader.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) transport: Transport,
    pub(super) stage: Stage,
    decoder: RequestDecoder,
    /// When the head that is being read began.
    head_began: Option<Time>,
    /// When the stage or a turn began, or a good part of a content last went.
    pub(crate) moved: Time,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The next request is to come.
    Reading,
    /// An answer goes out.
    Answering(Answer),
    /// It is to be closed.
    Closing,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its head, and a text where that is all of it.
    text: Vec<u8>,
    text_sent: usize,
    pub(super) body: Option<Body>,
    stays: Stays,
}

/// Bytes of a content behind an answer's head.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) content: ContentId,
    /// Which bytes in all.
    pub(super) range: Range<u64>,
    /// How many the whole content has.
    pub(super) size: u64,
    /// When it was asked for.
    pub(super) began: Time,
    /// The next byte that goes.
    pub(super) at: u64,
    /// How far it may go before others have their turn.
    turn: Quantum,
}

/// What became of an answer with some bytes sent.
#[derive(Debug)]
pub(super) enum Sent {
    /// More is to come.
    Some,
    /// The turn is over, the answer is not.
    Turn,
    /// All of it is out.
    All(Option<Body>),
}

impl Reader {
    /// One whose connection stands since `since`; its first head began then.
    pub(super) fn new(transport: Transport, since: Time, now: Time) -> Reader {
        Reader {
            transport,
            stage: Stage::Reading,
            decoder: RequestDecoder::default(),
            head_began: Some(since),
            moved: now,
        }
    }

    /// Takes bytes of a request as they come, none while one is answered.
    pub(super) fn push(&mut self, now: Time, bytes: &[u8]) -> Result<(usize, Option<Request>), RequestError> {
        if !matches!(self.stage, Stage::Reading) {
            return Ok((0, None));
        }
        let taken = self.decoder.push(bytes)?;
        self.head_began = if self.decoder.has_begun() { self.head_began.or(Some(now)) } else { None };
        Ok(taken)
    }

    /// Answers with a text alone, or with a text and bytes of a content behind it.
    pub(super) fn answer(&mut self, now: Time, text: Vec<u8>, body: Option<Body>, stays: Stays) {
        let body = body.filter(|body| !body.range.is_empty());
        self.moved = now;
        self.head_began = None;
        self.stage = Stage::Answering(Answer { text, text_sent: 0, body, stays });
    }

    /// It is answered no more; returns what of a content was promised and did not go.
    pub(super) fn close(&mut self) -> Option<Body> {
        match std::mem::replace(&mut self.stage, Stage::Closing) {
            Stage::Answering(answer) => answer.body,
            Stage::Reading | Stage::Closing => None,
        }
    }

    /// The bytes of a content that are being sent, or are to be.
    pub(super) fn body(&self) -> Option<&Body> {
        match &self.stage {
            Stage::Answering(answer) => answer.body.as_ref(),
            Stage::Reading | Stage::Closing => None,
        }
    }

    /// Whether nothing of the answer is out, so that it can still become another.
    pub(super) fn is_unsaid(&self) -> bool {
        matches!(&self.stage, Stage::Answering(answer) if answer.text_sent == 0)
    }

    /// Whether an answer is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Answering(_))
    }

    /// Whether bytes of a content wait for a turn.
    pub(super) fn waits(&self) -> bool {
        self.body().is_some_and(|body| body.left() == 0)
    }

    /// It may send so many bytes of the content, and more if nobody cuts its turn.
    pub(super) fn begin_turn(&mut self, now: Time, bytes_min: u64) {
        self.moved = now;
        if let Stage::Answering(Answer { body: Some(body), .. }) = &mut self.stage {
            body.turn = Quantum::new(body.at, bytes_min);
        }
    }

    /// Its turn ends with the chunk. True when that is now.
    pub(super) fn cut_turn(&mut self) -> bool {
        let Stage::Answering(Answer { body: Some(body), .. }) = &mut self.stage else { return false };
        body.turn.cut();
        body.left() == 0
    }

    /// So many bytes of the segment are in the kernel.
    pub(super) fn sent(&mut self, now: Time, bytes: u64) -> Sent {
        let Stage::Answering(answer) = &mut self.stage else { return Sent::Some };
        if answer.text_sent < answer.text.len() {
            if is_progress(answer.text_sent as u64, bytes) {
                self.moved = now;
            }
            answer.text_sent = answer.text_sent.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
            if answer.text_sent < answer.text.len() || answer.body.is_some() {
                return Sent::Some;
            }
        } else if let Some(body) = &mut answer.body {
            if is_progress(body.sent_bytes(), bytes) {
                self.moved = now;
            }
            body.at = body.at.saturating_add(bytes);
            if body.at < body.range.end {
                return if body.left() == 0 { Sent::Turn } else { Sent::Some };
            }
        }
        self.moved = now;
        let body = answer.body.take();
        self.stage = match answer.stays {
            Stays::Open => Stage::Reading,
            Stays::Closes => Stage::Closing,
        };
        Sent::All(body)
    }

    /// What the next bytes are.
    pub(crate) fn expects(&self) -> Expect {
        match self.stage {
            Stage::Reading => Expect::Control,
            Stage::Answering(_) | Stage::Closing => Expect::Nothing,
        }
    }

    /// What is to be sent next. A head that promises bytes waits with them for their turn, so that it can be taken back.
    pub(crate) fn segment(&self) -> Segment<'_> {
        let answer = match &self.stage {
            Stage::Reading => return Segment::Nothing,
            Stage::Closing => return Segment::Close,
            Stage::Answering(answer) => answer,
        };
        let source = answer.body.as_ref().map(|body| SpanSource::Content(body.content));
        match &answer.body {
            Some(body) if body.left() == 0 => Segment::Nothing,
            Some(body) if answer.text_sent >= answer.text.len() => {
                let source = SpanSource::Content(body.content);
                Segment::Span { source, offset: body.at, len: body.left() }
            }
            _ => Segment::Bytes {
                bytes: answer.text.get(answer.text_sent..).unwrap_or_default(),
                span_of: source,
            },
        }
    }

    /// When this has taken too long, if nothing moves until then.
    pub(super) fn deadline(&self, now: Time, limits: &Limits) -> Option<Time> {
        match &self.stage {
            Stage::Reading => Some(match self.head_began {
                Some(began) => began + limits.handshake_deadline,
                None => self.moved + limits.http_idle_max,
            }),
            // Who waits for a turn cannot be blamed.
            Stage::Answering(_) if self.waits() => Some(now + limits.send_stall_max),
            Stage::Answering(_) => Some(self.moved + limits.send_stall_max),
            Stage::Closing => None,
        }
    }
}

impl Body {
    /// These bytes of a content of `size` bytes.
    pub(super) fn new(content: ContentId, range: Range<u64>, size: u64, began: Time) -> Body {
        Body { content, at: range.start, range, size, began, turn: Quantum::default() }
    }

    /// How many are out.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.at.saturating_sub(self.range.start)
    }

    /// How many may go in the turn that it has.
    fn left(&self) -> u64 {
        self.turn.left(self.at).min(self.range.end.saturating_sub(self.at))
    }

    /// How long it has taken.
    pub(super) fn took(&self, now: Time) -> Duration {
        now.since(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    const A: ContentId = ContentId([1; 32]);

    fn reader() -> Reader {
        Reader::new(Transport::accepted(SocketAddr::from(([10, 0, 0, 2], 40_000))), Time::ZERO, Time::ZERO)
    }

    #[test]
    fn a_head_waits_with_its_bytes_for_their_turn() {
        let mut reader = reader();
        let body = Body::new(A, 10..30, 100, Time::ZERO);
        reader.answer(Time::ZERO, b"head".to_vec(), Some(body), Stays::Open);
        assert!(reader.waits() && reader.is_unsaid());
        assert_eq!(reader.segment(), Segment::Nothing);
        reader.begin_turn(Time::ZERO, 6);
        assert!(!reader.cut_turn());
        let source = SpanSource::Content(A);
        assert_eq!(reader.segment(), Segment::Bytes { bytes: b"head", span_of: Some(source) });
        assert!(matches!(reader.sent(Time::ZERO, 1), Sent::Some) && !reader.is_unsaid());
        assert!(matches!(reader.sent(Time::ZERO, 3), Sent::Some));
        assert_eq!(reader.segment(), Segment::Span { source, offset: 10, len: 6 });
        assert!(matches!(reader.sent(Time::ZERO, 2), Sent::Some));
        assert!(matches!(reader.sent(Time::ZERO, 4), Sent::Turn));
        assert_eq!(reader.segment(), Segment::Nothing);
        reader.begin_turn(Time::ZERO, 4);
        assert_eq!(reader.segment(), Segment::Span { source, offset: 16, len: 14 });
        assert!(!reader.cut_turn());
        assert_eq!(reader.segment(), Segment::Span { source, offset: 16, len: 4 });
        assert!(matches!(reader.sent(Time::ZERO, 4), Sent::Turn));
        reader.begin_turn(Time::ZERO, 4);
        assert!(matches!(reader.sent(Time::ZERO, 5), Sent::Some) && reader.cut_turn());
        reader.begin_turn(Time::ZERO, 4);
        let Sent::All(Some(body)) = reader.sent(Time::ZERO, 5) else { panic!("it is over") };
        assert_eq!(body.sent_bytes(), 20);
        assert_eq!(reader.expects(), Expect::Control);
    }

    #[test]
    fn a_text_needs_no_turn_and_closes_if_it_says_so() {
        for (stays, segment) in [(Stays::Open, Segment::Nothing), (Stays::Closes, Segment::Close)] {
            let mut reader = reader();
            reader.answer(Time::ZERO, b"text".to_vec(), Some(Body::new(A, 0..0, 0, Time::ZERO)), stays);
            assert_eq!(reader.segment(), Segment::Bytes { bytes: b"text", span_of: None });
            assert!(matches!(reader.sent(Time::ZERO, 4), Sent::All(None)));
            assert_eq!(reader.segment(), segment);
        }
    }
}
