//! Answers: the steps of an outgoing answer, and the place in an incoming one where the data begins.
//!
//! This module does not look at the data, except for the first bytes where a dialect puts the size. The owner of a
//! clock decides when a pause is over and when a silent peer is done.

use std::fmt;
use std::time::Duration;

use crate::wire::classic::{ChunkName, Dialect, Framing, SEGMENT_PAUSE, SIZE_PAUSE};
use crate::wire::json::{self, ClosingScan};

/// The most bytes of a header that is looked at: D's error and B-json's longest name fit.
pub const HEADER_BYTES_MAX: usize = 1024;
/// The most digits of a size that is read as text: those of `u64::MAX`.
pub const SIZE_DIGITS_MAX: usize = 20;
/// What D answers instead of a chunk it does not have.
const NOT_FOUND: &[u8] = b"ERROR: Chunk not found";

/// One step of an answer that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerStep {
    /// These bytes, in one write.
    Bytes(Vec<u8>),
    /// Nothing for at least so long, so that what was written arrives alone.
    Pause(Duration),
    /// So many bytes of the chunk, in as few and as large writes as the socket takes.
    Payload(u64),
    /// Shut down writing, read to the end of the stream, close.
    HalfClose,
    /// Wait for the next request.
    KeepOpen,
}

/// What begins behind the control bytes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerHead {
    /// The chunk is not there.
    Missing,
    /// Data.
    Payload {
        /// How far it goes.
        extent: PayloadExtent,
        /// Its first bytes, which were taken for control bytes before it was clear that they are none.
        begins_with: Vec<u8>,
    },
}

/// How far the data of an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadExtent {
    /// So many bytes.
    Exact(u64),
    /// To the end of the stream.
    ToEnd,
    /// To the end of the stream, its size as text before it: [`leading_size`] tells the two apart at the end.
    SizedToEnd,
}

/// Why an answer is none. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerError {
    /// Other bytes than the dialect's header has.
    Header,
    /// A header longer than [`HEADER_BYTES_MAX`].
    TooLong,
    /// A header for another chunk than the one that was asked for.
    OtherChunk,
    /// A size of more bytes than are accepted for a chunk.
    TooLarge(u64),
    /// A size other than the announced one.
    OtherSize {
        /// What the header says, in bytes.
        told: u64,
        /// What was announced, in bytes.
        announced: u64,
    },
    /// The stream ended inside the header.
    Truncated,
}

/// What an answer is measured against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The chunk that was asked for.
    pub name: ChunkName,
    /// Its size in bytes, where it was announced.
    pub announced_bytes: Option<u64>,
    /// The most bytes that are accepted for it.
    pub bytes_max: u64,
}

/// Reads the control bytes of one answer.
#[derive(Debug)]
pub struct AnswerDecoder {
    framing: Framing,
    /// Whether bytes that are no JSON header are data instead of an error.
    may_be_raw: bool,
    asked: Asked,
    pending: Vec<u8>,
    scan: ClosingScan,
}

/// The answer for a chunk of `size` bytes. An empty chunk is a missing one: no dialect can tell the two apart.
pub fn found(dialect: Dialect, name: &ChunkName, size: u64) -> Vec<AnswerStep> {
    if size == 0 {
        return missing(dialect);
    }
    let digits = size.to_string();
    let mut steps = match dialect.framing() {
        Framing::Raw => Vec::new(),
        Framing::SizeText => vec![
            AnswerStep::Bytes(b"1".to_vec()),
            AnswerStep::Pause(SEGMENT_PAUSE),
            AnswerStep::Bytes(digits.into_bytes()),
            AnswerStep::Pause(SIZE_PAUSE),
        ],
        Framing::JsonHeader => {
            let header = json::between('[', [json::string(&name.to_string()), digits], ']');
            vec![AnswerStep::Bytes(header.into_bytes()), AnswerStep::Pause(SEGMENT_PAUSE)]
        }
        Framing::HeaderLine => {
            vec![AnswerStep::Bytes((digits + "\n").into_bytes()), AnswerStep::Pause(SEGMENT_PAUSE)]
        }
    };
    steps.extend([AnswerStep::Payload(size), last_step(dialect)]);
    steps
}

/// The answer for a chunk that is not there.
pub fn missing(dialect: Dialect) -> Vec<AnswerStep> {
    let bytes = match dialect.framing() {
        Framing::Raw | Framing::JsonHeader => None,
        Framing::SizeText => Some(b"0".to_vec()),
        Framing::HeaderLine => Some(NOT_FOUND.to_vec()),
    };
    bytes.map(AnswerStep::Bytes).into_iter().chain([last_step(dialect)]).collect()
}

/// How many of the first bytes of an A-size answer, its status byte excluded, are the size as text: the one run of
/// leading digits whose value is the number of all bytes behind it. `first_bytes` are at least the first
/// [`SIZE_DIGITS_MAX`], or all; `total_bytes` is how many came up to the end of the stream. `None`: the size is a lie, or
/// the stream was cut.
pub fn leading_size(first_bytes: &[u8], total_bytes: u64) -> Option<usize> {
    // No chunk is empty, and no size begins with a zero.
    let digits = first_bytes.iter().take(SIZE_DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    (1..=digits).find(|run| {
        let size = first_bytes.get(..*run).and_then(decimal).filter(|size| *size > 0);
        let with_size = size.and_then(|size| size.checked_add(u64::try_from(*run).ok()?));
        with_size == Some(total_bytes)
    })
}

impl AnswerDecoder {
    /// A decoder for the answer of a peer whose dialect is known.
    pub fn new(dialect: Dialect, asked: Asked) -> AnswerDecoder {
        let (framing, may_be_raw) = (dialect.framing(), false);
        AnswerDecoder { framing, may_be_raw, asked, pending: Vec::new(), scan: ClosingScan::default() }
    }

    /// A decoder for the answer of a peer that announced as B, and so may answer as B-json does: what begins with the
    /// header for the chunk that was asked for is B-json, everything else raw.
    pub fn raw_or_json(asked: Asked) -> AnswerDecoder {
        AnswerDecoder { may_be_raw: true, ..AnswerDecoder::new(Dialect::BJson, asked) }
    }

    /// Takes bytes as they come, up to where the data begins: how many were used, and what begins behind them if that
    /// is clear now. After that the decoder has done its work.
    ///
    /// # Errors
    ///
    /// [`AnswerError`] for bytes that begin no answer.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(usize, Option<AnswerHead>), AnswerError> {
        if bytes.is_empty() {
            return Ok((0, None));
        }
        if self.framing == Framing::Raw {
            return Ok((0, Some(payload(PayloadExtent::ToEnd))));
        }
        for (at, byte) in bytes.iter().copied().enumerate() {
            self.pending.push(byte);
            if let Some(head) = self.head(byte)? {
                return Ok((at.saturating_add(1), Some(head)));
            }
        }
        Ok((bytes.len(), None))
    }

    /// What it means that the stream ended before data began.
    ///
    /// # Errors
    ///
    /// [`AnswerError`] for an end inside of what comes before the data.
    pub fn end(&mut self) -> Result<AnswerHead, AnswerError> {
        if self.pending.is_empty() {
            return Ok(AnswerHead::Missing);
        }
        self.not_json(AnswerError::Truncated)
    }

    /// What begins behind the pending bytes, of which `byte` is the last.
    fn head(&mut self, byte: u8) -> Result<Option<AnswerHead>, AnswerError> {
        match self.framing {
            Framing::Raw => Ok(None),
            Framing::SizeText => match byte {
                b'0' => Ok(Some(AnswerHead::Missing)),
                b'1' => Ok(Some(payload(PayloadExtent::SizedToEnd))),
                _ => Err(AnswerError::Header),
            },
            Framing::JsonHeader => self.json_head(byte),
            Framing::HeaderLine => self.line_head(byte),
        }
    }

    fn json_head(&mut self, byte: u8) -> Result<Option<AnswerHead>, AnswerError> {
        if self.pending.first() != Some(&b'[') {
            return self.not_json(AnswerError::Header).map(Some);
        }
        if self.scan.closes(byte) {
            return match self.json_size() {
                Ok(size) => self.sized(size).map(Some),
                Err(error) => self.not_json(error).map(Some),
            };
        }
        if self.pending.len() == HEADER_BYTES_MAX {
            return self.not_json(AnswerError::TooLong).map(Some);
        }
        Ok(None)
    }

    /// The size in a whole header for the right chunk.
    fn json_size(&self) -> Result<u64, AnswerError> {
        let header: Result<(String, u64), _> = serde_json::from_slice(&self.pending);
        let (name, size) = header.map_err(|_| AnswerError::Header)?;
        if name == self.asked.name.to_string() { Ok(size) } else { Err(AnswerError::OtherChunk) }
    }

    /// The pending bytes begin the data of a raw answer, where that may come; else the error.
    fn not_json(&mut self, error: AnswerError) -> Result<AnswerHead, AnswerError> {
        if !self.may_be_raw {
            return Err(error);
        }
        let begins_with = std::mem::take(&mut self.pending);
        Ok(AnswerHead::Payload { extent: PayloadExtent::ToEnd, begins_with })
    }

    fn line_head(&mut self, byte: u8) -> Result<Option<AnswerHead>, AnswerError> {
        if NOT_FOUND.starts_with(&self.pending) {
            return Ok((self.pending == NOT_FOUND).then_some(AnswerHead::Missing));
        }
        match (byte, self.pending.split_last()) {
            (b'\n', Some((_, digits))) => {
                let size = decimal(digits).ok_or(AnswerError::Header)?;
                self.sized(size).map(Some)
            }
            (b'0'..=b'9', _) if self.pending.len() <= SIZE_DIGITS_MAX => Ok(None),
            _ => Err(AnswerError::Header),
        }
    }

    /// What a header that says this size begins.
    fn sized(&self, size: u64) -> Result<AnswerHead, AnswerError> {
        match self.asked.announced_bytes {
            _ if size == 0 => Ok(AnswerHead::Missing),
            Some(announced) if announced != size => Err(AnswerError::OtherSize { told: size, announced }),
            _ if size > self.asked.bytes_max => Err(AnswerError::TooLarge(size)),
            _ => Ok(payload(PayloadExtent::Exact(size))),
        }
    }
}

fn last_step(dialect: Dialect) -> AnswerStep {
    if dialect.keeps_connection() { AnswerStep::KeepOpen } else { AnswerStep::HalfClose }
}

fn payload(extent: PayloadExtent) -> AnswerHead {
    AnswerHead::Payload { extent, begins_with: Vec::new() }
}

/// A decimal number without leading zeros; 0 alone is one.
fn decimal(digits: &[u8]) -> Option<u64> {
    let canonical = digits == b"0" || !digits.starts_with(b"0") && digits.iter().all(u8::is_ascii_digit);
    canonical.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Header => f.write_str("the answer begins with no header of its dialect"),
            AnswerError::TooLong => f.write_str("the answer's header has more than 1,024 bytes"),
            AnswerError::OtherChunk => f.write_str("the answer is for another chunk"),
            AnswerError::TooLarge(bytes) => write!(f, "the answer is said to have {bytes} bytes: too many"),
            AnswerError::OtherSize { told, announced } => {
                write!(f, "the answer is said to have {told} bytes, announced were {announced}")
            }
            AnswerError::Truncated => f.write_str("the answer ended inside its header"),
        }
    }
}

impl std::error::Error for AnswerError {}

#[cfg(test)]
mod tests;
