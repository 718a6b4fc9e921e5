//! Native frames on a connection: `u32 length, u8 kind, body`, big-endian.
//!
//! This file owns the framing: where a frame begins and ends. `frame/body.rs` owns the bodies. Other modules decide
//! what a frame means and whether it may come now.

mod body;

use std::fmt;

use crate::types::geometry::UNITS_MAX;
use crate::wire::message::{CataloguePage, Entry, Frame};

/// The most bytes of a control frame, length field excluded; only of [`Frame::HaveMap`] there may be more.
pub const CONTROL_BYTES_MAX: usize = 64 << 10;
/// The most bytes of the bits in a [`Frame::HaveMap`].
pub const HAVE_MAP_BITS_BYTES_MAX: usize = (UNITS_MAX / 8) as usize;
/// The most bytes of the program's name in a hello.
pub const AGENT_BYTES_MAX: usize = 255;
/// The most bytes of the reason in a [`Frame::Bye`].
pub const BYE_BYTES_MAX: usize = 1024;
/// Bytes of a chunk frame before its payload begins: length, kind, channel, chunk.
pub const CHUNK_HEADER_BYTES: usize = 4 + 1 + 4 + 4;
/// What the length of a chunk frame counts beside its payload.
const CHUNK_OVERHEAD_BYTES: u32 = CHUNK_HEADER_BYTES as u32 - 4;

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

/// Kinds of frames, and the lengths that each may have.
mod kind {
    use std::ops::RangeInclusive;

    use super::{CONTROL_BYTES_MAX, HAVE_MAP_BITS_BYTES_MAX};
    use crate::types::geometry::CHUNK_BYTES_MAX;

    pub(super) const HELLO: u8 = 0x01;
    pub(super) const CATALOGUE_REQUEST: u8 = 0x02;
    pub(super) const CATALOGUE_PAGE: u8 = 0x03;
    pub(super) const OPEN: u8 = 0x04;
    pub(super) const REFUSE: u8 = 0x05;
    pub(super) const WITHDRAW: u8 = 0x06;
    pub(super) const MANIFEST_REQUEST: u8 = 0x07;
    pub(super) const MANIFEST_PAGE: u8 = 0x08;
    pub(super) const HAVE_MAP: u8 = 0x09;
    pub(super) const HAVE: u8 = 0x0a;
    pub(super) const REQUEST: u8 = 0x0b;
    pub(super) const CANCEL: u8 = 0x0c;
    pub(super) const REJECT: u8 = 0x0d;
    pub(super) const BAD: u8 = 0x0e;
    pub(super) const CHUNK: u8 = 0x0f;
    pub(super) const PING: u8 = 0x10;
    pub(super) const PONG: u8 = 0x11;
    pub(super) const BYE: u8 = 0x12;
    pub(super) const SHOW: u8 = 0x13;
    pub(super) const OFFER: u8 = 0x14;
    pub(super) const OFFER_ANSWER: u8 = 0x15;
    pub(super) const OFFER_OUTCOME: u8 = 0x16;
    pub(super) const IDLE: u8 = 0x17;
    pub(super) const REVOKE: u8 = 0x18;

    /// From this kind on, a peer skips the kinds that it does not know.
    const IGNORABLE_FROM: u8 = 0x80;

    /// Bytes before the values of a manifest page: channel, size, chunk size, first, count.
    pub(super) const PAGE_HEAD_BYTES: u32 = 4 + 8 + 4 + 4 + 2;

    /// Whether a frame of this kind is passed over.
    pub(super) fn is_ignorable(kind: u8) -> bool {
        kind >= IGNORABLE_FROM
    }

    /// How many bytes the body of a frame of this kind has; `None`: there is no such kind.
    pub(super) fn body_bytes(kind: u8) -> Option<RangeInclusive<u32>> {
        let exactly = |bytes: u32| bytes..=bytes;
        // The length that is bounded counts the kind, too.
        const BODY_BYTES_MAX: u32 = CONTROL_BYTES_MAX as u32 - 1;
        const MAP_BYTES_MAX: u32 = 4 + HAVE_MAP_BITS_BYTES_MAX as u32;
        Some(match kind {
            HELLO | CATALOGUE_REQUEST | CATALOGUE_PAGE | OFFER | OFFER_ANSWER | OFFER_OUTCOME => {
                2..=BODY_BYTES_MAX
            }
            OPEN => exactly(4 + 32 + 8 + 4),
            REFUSE => exactly(32 + 1),
            WITHDRAW => exactly(4 + 1),
            MANIFEST_REQUEST | REQUEST | CANCEL | REVOKE | BAD => exactly(4 + 4),
            MANIFEST_PAGE => PAGE_HEAD_BYTES..=BODY_BYTES_MAX,
            HAVE_MAP => 4..=MAP_BYTES_MAX,
            HAVE => exactly(4 + 4 + 4),
            REJECT => exactly(4 + 4 + 1),
            CHUNK => 4 + 4 + 1..=4 + 4 + CHUNK_BYTES_MAX,
            PING | PONG => exactly(0),
            SHOW | IDLE => exactly(4),
            BYE => 0..=super::BYE_BYTES_MAX as u32,
            _ if is_ignorable(kind) => 0..=BODY_BYTES_MAX,
            _ => return None,
        })
    }
}

/// Decodes one direction of one connection. Keeps at most one incomplete control frame, and of that no more than
/// came.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: bool,
    pending: Vec<u8>,
    /// Bytes of a frame of an ignorable kind that are still to come.
    skip: usize,
}

/// How far the frame that begins some bytes goes, as far as they tell.
enum Extent {
    /// So many of its bytes must be there to tell more.
    Unclear(usize),
    /// A control frame of so many bytes in all.
    Control(usize),
    /// A chunk frame.
    Chunk,
    /// A frame of so many bytes in all that is passed over.
    Ignorable(usize),
}

impl Decoder {
    /// Takes bytes up to the end of the first frame or chunk header in them, and says how many it took and what
    /// they were. `None` with all bytes taken: the frame is not complete yet.
    ///
    /// # Errors
    ///
    /// [`FrameError`] for bytes that are no frame. The decoder is of no use after that.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<(usize, Option<Decoded>), FrameError> {
        if let (false, Some(first)) = (self.begun, bytes.first()) {
            // No frame is so long that the first byte of its length is not zero.
            if *first != 0 {
                return Err(FrameError::Dialect(*first));
            }
            self.begun = true;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (used, decoded) = if self.skip > 0 {
                let skipped = self.skip.min(rest.len());
                self.skip = self.skip.saturating_sub(skipped);
                (skipped, None)
            } else if self.pending.is_empty() {
                self.take_whole(rest)?
            } else {
                self.take_more(rest)?
            };
            rest = rest.get(used..).unwrap_or_default();
            if decoded.is_some() {
                return Ok((bytes.len().saturating_sub(rest.len()), decoded));
            }
        }
        Ok((bytes.len(), None))
    }

    /// Reads a frame that is whole in `bytes` where it stands; keeps what is not.
    fn take_whole(&mut self, bytes: &[u8]) -> Result<(usize, Option<Decoded>), FrameError> {
        let whole = match extent(bytes)? {
            Extent::Ignorable(len) => {
                self.skip = len;
                return Ok((0, None));
            }
            Extent::Control(len) => match bytes.get(..len) {
                Some(frame) => Some((len, control(frame)?)),
                None => None,
            },
            Extent::Chunk => chunk(bytes).map(|chunk| (CHUNK_HEADER_BYTES, chunk)),
            Extent::Unclear(_) => None,
        };
        Ok(match whole {
            Some((len, decoded)) => (len, Some(decoded)),
            None => {
                self.pending.extend_from_slice(bytes);
                (bytes.len(), None)
            }
        })
    }

    /// Adds to what is kept no more than belongs to the frame, and reads that once it is whole.
    fn take_more(&mut self, bytes: &[u8]) -> Result<(usize, Option<Decoded>), FrameError> {
        let need = match extent(&self.pending)? {
            Extent::Unclear(need) | Extent::Control(need) => need,
            Extent::Chunk => CHUNK_HEADER_BYTES,
            Extent::Ignorable(need) => {
                self.skip = need.saturating_sub(self.pending.len());
                self.pending = Vec::new();
                return Ok((0, None));
            }
        };
        let missing = need.saturating_sub(self.pending.len());
        let more = bytes.get(..missing).unwrap_or(bytes);
        let used = more.len();
        self.pending.extend_from_slice(more);
        let decoded = match extent(&self.pending)? {
            Extent::Control(len) if len == self.pending.len() => Some(control(&self.pending)?),
            Extent::Chunk => chunk(&self.pending),
            _ => None,
        };
        if decoded.is_some() {
            // An idle connection keeps no memory.
            self.pending = Vec::new();
        }
        Ok((used, decoded))
    }
}

/// Appends the bytes of a control frame.
///
/// User names, agents and reasons that are too long are cut. For the rest the caller answers: that what is wanted,
/// the entries and offers are legal and a catalogue page is not too long (see [`catalogue_page`]), that a manifest page is
/// one of [`crate::types::Manifest::page`], that a range of chunks is not empty, and that ports are at least
/// [`crate::wire::message::PORT_MIN`]. The other side's decoder refuses what is not so.
///
/// ```
/// use chunkcast::wire::frame::{Decoded, Decoder, encode};
/// use chunkcast::wire::message::Frame;
/// let mut bytes = Vec::new();
/// encode(&Frame::Bye { reason: "leaving".to_owned() }, &mut bytes);
/// let (used, found) = Decoder::default().decode(&bytes)?;
/// assert_eq!(used, bytes.len());
/// assert_eq!(found, Some(Decoded::Frame(Frame::Bye { reason: "leaving".to_owned() })));
/// # Ok::<(), chunkcast::wire::frame::FrameError>(())
/// ```
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    body::encode(frame, out);
    let Some((length, rest)) = out.get_mut(begin..).and_then(<[u8]>::split_first_chunk_mut) else { return };
    // The kind is counted with the body.
    *length = u32::try_from(rest.len()).unwrap_or(u32::MAX).to_be_bytes();
}

/// Appends the header of a chunk frame whose payload of `bytes` bytes, 1 to 1 MiB, follows.
pub fn encode_chunk_header(channel: u32, chunk: u32, bytes: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&bytes.saturating_add(CHUNK_OVERHEAD_BYTES).to_be_bytes());
    out.push(kind::CHUNK);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&chunk.to_be_bytes());
}

/// The page that begins with the first of these entries, which come in the order of (id, name), and has as many as
/// one frame holds. Entries that are not legal are left out. The next page begins behind the last entry of this one.
pub fn catalogue_page(entries: impl IntoIterator<Item = Entry>, generation: u64) -> CataloguePage {
    let mut page = CataloguePage { entries: Vec::new(), more: false, generation };
    let mut json = Vec::new();
    // The kind, an empty page with its longest words, and behind each entry a comma.
    let mut bytes = br#"k{"entries":[],"more":false,"generation":18446744073709551615}"#.len();
    for entry in entries.into_iter().filter(Entry::is_legal) {
        json.clear();
        // Writing strings and numbers into memory cannot fail.
        let _ = serde_json::to_writer(&mut json, &entry);
        bytes = bytes.saturating_add(json.len()).saturating_add(1);
        if bytes > CONTROL_BYTES_MAX {
            page.more = true;
            break;
        }
        page.entries.push(entry);
    }
    page
}

/// How far the frame that begins `bytes` goes; an error as soon as they cannot begin one.
fn extent(bytes: &[u8]) -> Result<Extent, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(Extent::Unclear(4)) };
    let length = u32::from_be_bytes(*length);
    let Some(of_body) = length.checked_sub(1) else {
        return Err(FrameError::Length { kind: 0, bytes: 0 });
    };
    let Some(kind) = rest.first().copied() else { return Ok(Extent::Unclear(5)) };
    let body_bytes = kind::body_bytes(kind).ok_or(FrameError::Kind(kind))?;
    if !body_bytes.contains(&of_body) {
        return Err(FrameError::Length { kind, bytes: length });
    }
    let len = (length as usize).saturating_add(4);
    Ok(match kind {
        kind::CHUNK => Extent::Chunk,
        _ if kind::is_ignorable(kind) => Extent::Ignorable(len),
        _ => Extent::Control(len),
    })
}

/// Reads a whole control frame.
fn control(frame: &[u8]) -> Result<Decoded, FrameError> {
    let [_, _, _, _, kind, body @ ..] = frame else {
        return Err(FrameError::Body { kind: 0, why: "too short" });
    };
    body::decode(*kind, body).map(Decoded::Frame).map_err(|why| FrameError::Body { kind: *kind, why })
}

/// Reads the header of a chunk frame, whose length was looked at; `None` while it is not whole.
fn chunk(bytes: &[u8]) -> Option<Decoded> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (_kind, rest) = rest.split_first()?;
    let (channel, rest) = rest.split_first_chunk()?;
    let (chunk, _) = rest.split_first_chunk()?;
    Some(Decoded::Chunk {
        channel: u32::from_be_bytes(*channel),
        chunk: u32::from_be_bytes(*chunk),
        bytes: u32::from_be_bytes(*length).saturating_sub(CHUNK_OVERHEAD_BYTES),
    })
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

#[cfg(test)]
mod tests;
