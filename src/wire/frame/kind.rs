//! Kinds of frames, and the lengths that each may have.

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
