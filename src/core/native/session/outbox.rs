//! What a session says next: frames that wait in a queue, and the bytes of those that are encoded.
//!
//! The payload of a chunk, which goes behind these bytes, is the session's.

use std::collections::VecDeque;

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
    pub(crate) fn take_due(&mut self) -> Vec<Frame> {
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
    pub(crate) fn promise(&mut self, channel: u32, chunk: u32, len: u32) {
        self.promise_at = self.bytes.len();
        frame::encode_chunk_header(channel, chunk, len, &mut self.bytes);
    }

    /// Takes back the header of the chunk behind the bytes. False when some of it is in the kernel.
    pub(crate) fn take_back_promise(&mut self) -> bool {
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
