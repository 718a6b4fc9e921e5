//! What a session says and reads next: frames that wait in a queue, the bytes of those that are encoded, and behind them the payload
//! of a chunk.

use std::collections::VecDeque;

use crate::core::io::{Expect, Segment, Sink, SpanSource};
use crate::core::native::session::{Incoming, Outgoing, Phase, Session};
use crate::core::uploader::is_progress;
use crate::types::Time;
use crate::wire::frame;
use crate::wire::message::Frame;

/// Control bytes that are encoded at once; more is encoded when these are in the kernel.
const GOAL_BYTES: usize = 32 << 10;
/// An outbox keeps so many bytes of memory while it is empty.
const KEPT_BYTES: usize = 1 << 10;

/// See [the module](self).
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Frame>,
    bytes: Vec<u8>,
    /// So many of the bytes are in the kernel.
    sent: usize,
    /// Where the header of the chunk behind the bytes begins.
    promise_at: usize,
}

impl Outbox {
    /// Queues a frame.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.queue.push_back(frame);
    }

    /// How many frames are queued.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Takes the queue, and returns what the other side must hear before the end: that a chunk was bad, so that an honest
    /// one looks at its file, and what became of its offers.
    fn take_due(&mut self) -> Vec<Frame> {
        let is_due = |frame: &Frame| {
            matches!(frame, Frame::Bad { .. } | Frame::OfferAnswer(_) | Frame::OfferOutcome(_))
        };
        std::mem::take(&mut self.queue).into_iter().filter(is_due).collect()
    }

    /// Encodes what is queued, up to the goal. True while more fits.
    pub(crate) fn encode_queue(&mut self) -> bool {
        while !self.is_full() {
            match self.queue.pop_front() {
                Some(frame) => self.encode(&frame),
                None => {
                    // It begins at the start of its memory again, instead of wandering through all of it.
                    self.queue.clear();
                    return true;
                }
            }
        }
        false
    }

    /// Encodes one frame behind the others.
    pub(crate) fn encode(&mut self, frame: &Frame) {
        frame::encode(frame, &mut self.bytes);
    }

    /// Whether the goal is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= GOAL_BYTES
    }

    /// Encodes the header of a chunk, whose payload goes behind the bytes.
    fn promise(&mut self, channel: u32, chunk: u32, len: u32) {
        self.promise_at = self.bytes.len();
        frame::encode_chunk_header(channel, chunk, len, &mut self.bytes);
    }

    /// Takes back the header of the chunk behind the bytes. False when some of it is in the kernel.
    fn take_back_promise(&mut self) -> bool {
        if self.bytes.is_empty() || self.sent > self.promise_at {
            return false;
        }
        self.bytes.truncate(self.promise_at);
        if self.unsent().is_empty() {
            self.clear();
        }
        true
    }

    /// Drops what is encoded.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// What is encoded and not in the kernel.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// So many bytes more are in the kernel. False when nothing was encoded: they are the payload's.
    pub(crate) fn sent(&mut self, bytes: u64) -> bool {
        let unsent = self.unsent().len();
        let sent = usize::try_from(bytes).unwrap_or(usize::MAX).min(unsent);
        self.sent = self.sent.saturating_add(sent);
        if sent == unsent {
            self.clear();
            // One large page must not keep its memory for the rest of a long connection.
            self.bytes.shrink_to(KEPT_BYTES);
        }
        unsent > 0
    }
}

impl Session {
    /// Whether there is room to encode more: nothing is waiting for the kernel.
    pub(crate) fn outbox_is_empty(&self) -> bool {
        self.outbox.unsent().is_empty() && self.outgoing.is_none()
    }

    /// Puts a chunk behind the outbox; nothing can be encoded until it is through.
    pub(crate) fn begin_chunk(&mut self, channel: u32, outgoing: Outgoing) {
        self.outbox.promise(channel, outgoing.chunk, outgoing.len);
        self.outgoing = Some(outgoing);
    }

    /// Takes back the chunk behind the outbox, if nothing of its header is out.
    pub(crate) fn take_back_chunk(&mut self) -> Option<Outgoing> {
        self.outgoing.take_if(|_| self.outbox.take_back_promise())
    }

    /// The connection ends: nothing more is said than what is encoded, and that only up to a frame's end.
    pub(crate) fn begin_closing(&mut self, last: Option<Frame>) {
        self.phase = Phase::Closing;
        let due = self.outbox.take_due();
        if self.outgoing.take().is_some() {
            // The header that stands in the outbox promised a payload that will not come.
            return self.outbox.clear();
        }
        due.iter().for_each(|frame| self.outbox.encode(frame));
        // A stranger that came in and did not say hello gets no reply.
        let is_stranger = self.identity.is_none() && !self.transport.dialled;
        if let Some(frame) = last.filter(|_| !is_stranger || !self.outbox.unsent().is_empty()) {
            self.outbox.encode(&frame);
        }
    }

    /// Answers the hello of a connection that came in and is closed all the same, so that whoever dialled knows that a peer
    /// is here.
    pub(crate) fn answer_hello(&mut self, hello: &Frame) {
        if !self.transport.dialled && self.phase == Phase::Greeting {
            self.outbox.encode(hello);
        }
    }

    /// What is to be sent next, of what is encoded.
    pub(crate) fn segment(&self) -> Segment<'_> {
        if self.phase == Phase::Dialling {
            return Segment::Nothing;
        }
        let bytes = self.outbox.unsent();
        if !bytes.is_empty() {
            let span_of = self.outgoing.as_ref().map(|outgoing| SpanSource::Content(outgoing.content));
            return Segment::Bytes { bytes, span_of };
        }
        match &self.outgoing {
            Some(out) => Segment::Span {
                source: SpanSource::Content(out.content),
                offset: out.offset.saturating_add(u64::from(out.sent)),
                len: u64::from(out.len.saturating_sub(out.sent)),
            },
            None if self.phase == Phase::Closing => Segment::Close,
            None => Segment::Nothing,
        }
    }

    /// So many bytes of the segment are in the kernel. Returns the chunk that is through with them, if one is.
    pub(crate) fn sent(&mut self, now: Time, bytes: u64) -> Option<Outgoing> {
        self.moved = now;
        if self.outbox.sent(bytes) {
            return None;
        }
        let outgoing = self.outgoing.as_mut()?;
        if is_progress(u64::from(outgoing.sent), bytes) {
            self.payload = Some(now);
        }
        outgoing.sent =
            u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(outgoing.sent).min(outgoing.len);
        if outgoing.sent < outgoing.len { None } else { self.outgoing.take() }
    }

    /// Whether anything is still to be told to the other side.
    pub(crate) fn has_to_say(&self) -> bool {
        self.phase == Phase::Open && (self.is_sending() || self.channels.any_is_stale())
    }

    /// Whether something waits to be sent that the driver was told of.
    pub(crate) fn is_sending(&self) -> bool {
        !self.outbox_is_empty() || self.outbox.queued() > 0
    }

    /// What the next bytes are.
    pub(crate) fn expects(&self) -> Expect {
        match (self.phase, &self.incoming) {
            (Phase::Dialling | Phase::Closing, _) => Expect::Nothing,
            (_, None) => Expect::Control,
            (_, Some(Incoming { buffer, at, len, .. })) => {
                let sink = match *buffer {
                    Some(buffer) => Sink::Buffer { buffer, at: *at, len: *len },
                    None => Sink::Discard,
                };
                Expect::Payload { sink, left: u64::from(len.saturating_sub(*at)) }
            }
        }
    }
}
