//! What one turn of a receiver outside of the native protocol may send: the rest of a chunk, and over a fast link more.

use crate::core::uploader::{TURN_BYTES, UploadRequest};
use crate::types::{ContentId, Geometry};

/// Where the turn of a receiver ends, in bytes of what it is sent. The default is no turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quantum {
    end: u64,
    /// The turn reaches this byte in any case.
    end_min: u64,
}

impl Quantum {
    /// A turn that begins with byte `at` and has `bytes_min` bytes in any case.
    pub(crate) fn new(at: u64, bytes_min: u64) -> Quantum {
        let end_min = at.saturating_add(bytes_min);
        Quantum { end: at.saturating_add(TURN_BYTES).max(end_min), end_min }
    }

    /// So many bytes from byte `at` on, and no more.
    pub(crate) fn only(at: u64, bytes: u64) -> Quantum {
        let end = at.saturating_add(bytes);
        Quantum { end, end_min: end }
    }

    /// Others wait, or the link is slow: the turn ends as soon as it may.
    pub(crate) fn cut(&mut self) {
        self.end = self.end.min(self.end_min);
    }

    /// How many bytes may go from byte `at` on.
    pub(crate) fn left(&self, at: u64) -> u64 {
        self.end.saturating_sub(at)
    }
}

impl UploadRequest {
    /// The rest of the chunk that byte `at` is in, for a receiver without channels that wants nothing from byte `end` on.
    pub(crate) fn rest_of_chunk(content: ContentId, geometry: &Geometry, at: u64, end: u64) -> UploadRequest {
        let chunk_bytes = u64::from(geometry.chunk_bytes());
        let chunk =
            at.checked_div(chunk_bytes).and_then(|chunk| u32::try_from(chunk).ok()).unwrap_or(u32::MAX);
        let into_chunk = at.checked_rem(chunk_bytes).unwrap_or(0);
        let bytes = chunk_bytes.saturating_sub(into_chunk).min(end.saturating_sub(at));
        UploadRequest { channel: 0, content, chunk, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }
}
