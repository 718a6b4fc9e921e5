//! Native datagrams: one JSON object each, at most 1,200 bytes, each useful by itself.

use std::fmt;

use crate::wire::message::{Announcement, Datagram, Query};

/// The most bytes of a datagram that is sent, and the exact size of a query.
pub const DATAGRAM_BYTES_MAX: usize = 1200;
/// The most bytes of a datagram that is looked at.
pub const DATAGRAM_BYTES_ACCEPTED_MAX: usize = 1400;

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatagramError {
    /// Too short or too long to be one.
    Size,
    /// Not a JSON object of ours.
    Malformed,
    /// A newer version of the protocol.
    NewerVersion(u32),
}

/// Reads one datagram.
pub fn decode(bytes: &[u8]) -> Result<Datagram, DatagramError> {
    let _ = bytes;
    Err(DatagramError::Malformed)
}

/// The bytes of an announcement with as many of its entries, from the first on, as fit, and how many those are.
/// An entry that fits in no datagram is counted as taken and left out, so that a caller always gets on.
pub fn encode_announcement(announcement: &Announcement) -> (Vec<u8>, usize) {
    let _ = announcement;
    (Vec::new(), 0)
}

/// The bytes of a query, padded to [`DATAGRAM_BYTES_MAX`] so that an answer is never larger than its question.
/// `None` when what is looked for does not fit.
pub fn encode_query(query: &Query) -> Option<Vec<u8>> {
    let _ = query;
    None
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatagramError::Size => f.write_str("size"),
            DatagramError::Malformed => f.write_str("malformed"),
            DatagramError::NewerVersion(version) => write!(f, "version {version}"),
        }
    }
}
