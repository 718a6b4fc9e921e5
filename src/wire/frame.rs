//! Native frames over a connection: `u32 length, u8 kind, body`, big-endian.

use std::fmt;

use crate::wire::message::Frame;

/// The most bytes of a control frame, length field excluded.
pub const CONTROL_BYTES_MAX: usize = 64 << 10;
/// Bytes of a chunk frame before its payload begins: length, kind, channel, chunk.
pub const CHUNK_HEADER_BYTES: usize = 4 + 1 + 4 + 4;

/// Why bytes are no frames. The connection cannot go on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The first byte begins no dialect spoken here.
    Dialect(u8),
    /// A length that no frame of its kind has.
    Length {
        /// The frame's kind.
        kind: u8,
        /// The length it claimed.
        bytes: u32,
    },
    /// A kind that does not exist and may not be skipped.
    Kind(u8),
    /// A body that does not say what its kind demands.
    Body {
        /// The frame's kind.
        kind: u8,
        /// What is wrong.
        why: &'static str,
    },
}

/// What a decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A whole control frame.
    Frame(Frame),
    /// The header of a chunk frame; `bytes` bytes of payload follow, which are not the decoder's.
    Chunk {
        /// The sender's channel.
        channel: u32,
        /// The chunk.
        chunk: u32,
        /// The payload's length in bytes, at least 1.
        bytes: u32,
    },
}

/// Decodes one direction of one connection. Keeps at most one incomplete control frame.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Takes bytes up to the end of the first frame or chunk header in them, and says how many it took and what
    /// they were. `None` with all bytes taken: the frame is not complete yet.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(usize, Option<Decoded>), FrameError> {
        let _ = (&mut self.pending, bytes);
        Ok((0, None))
    }
}

/// Appends the bytes of a control frame.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let _ = (frame, out);
}

/// Appends the header of a chunk frame whose payload of `bytes` bytes follows.
pub fn encode_chunk_header(channel: u32, chunk: u32, bytes: u32, out: &mut Vec<u8>) {
    let _ = (channel, chunk, bytes, out);
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Dialect(byte) => write!(f, "first byte 0x{byte:02x} begins no dialect spoken here"),
            FrameError::Length { kind, bytes } => {
                write!(f, "frame kind {kind} with a length of {bytes} bytes")
            }
            FrameError::Kind(kind) => write!(f, "unknown frame kind {kind}"),
            FrameError::Body { kind, why } => write!(f, "frame kind {kind}: {why}"),
        }
    }
}

impl std::error::Error for FrameError {}
