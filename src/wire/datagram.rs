//! Native datagrams: one JSON object each, at most 1,200 bytes, each useful by itself.
//!
//! Each begins with the same bytes, [`MAGIC`], and the version of the protocol, so that foreign and newer datagrams are
//! recognised from these alone. Other modules decide whether a datagram is believed or answered.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::PeerId;
use crate::wire::message::{
    Announcement, Datagram, Entry, NAME_BYTES_MAX, PORT_MIN, PROTOCOL_VERSION, Query, Wanted,
};

/// The most bytes of a datagram that is sent, and the exact size of a query.
pub const DATAGRAM_BYTES_MAX: usize = 1200;
/// The most bytes of a datagram that is looked at.
pub const DATAGRAM_BYTES_ACCEPTED_MAX: usize = 1400;
/// The fewest bytes of a datagram that is looked at.
pub const DATAGRAM_BYTES_ACCEPTED_MIN: usize = 24;
/// What every datagram begins with; the version follows.
pub const MAGIC: &[u8] = br#"{"chunkcast":"#;
/// The longest announcement interval, in milliseconds: a day.
pub const INTERVAL_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// The most bytes of a user name as JSON in a datagram that is sent; a hello has the whole of it.
const USER_JSON_BYTES_MAX: usize = 128;

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatagramError {
    /// Too short or too long to be one.
    Size,
    /// Not a JSON object of ours.
    Malformed,
    /// A newer version of the protocol.
    NewerVersion(u32),
    /// A query whose pattern would cost too much ([`Wanted::is_costly`]).
    Pattern,
}

/// Looks at a datagram's size and first bytes: most of what is none of ours is told by that.
///
/// # Errors
///
/// Why it is none of ours, as far as that is told: never [`DatagramError::Pattern`].
pub fn glance(bytes: &[u8]) -> Result<(), DatagramError> {
    if !(DATAGRAM_BYTES_ACCEPTED_MIN..=DATAGRAM_BYTES_ACCEPTED_MAX).contains(&bytes.len()) {
        return Err(DatagramError::Size);
    }
    match version(bytes).ok_or(DatagramError::Malformed)? {
        PROTOCOL_VERSION => Ok(()),
        newer if newer > PROTOCOL_VERSION => Err(DatagramError::NewerVersion(newer)),
        _ => Err(DatagramError::Malformed),
    }
}

/// The nonce that a datagram says it answers, found without reading the rest: the key `answers` can stand in no string, where
/// its quotes would be escaped.
pub fn answers(bytes: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"answers\"";
    let at = bytes.windows(KEY.len()).position(|window| window == KEY)?;
    let rest = bytes.get(at.checked_add(KEY.len())?..)?.trim_ascii_start();
    let rest = rest.strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads one datagram.
///
/// # Errors
///
/// Why the datagram is dropped.
pub fn decode(bytes: &[u8]) -> Result<Datagram, DatagramError> {
    glance(bytes)?;
    let object: Object = serde_json::from_slice(bytes).map_err(|_| DatagramError::Malformed)?;
    match (object.announce, object.query) {
        (Some(body), None) => announcement(body).map(Datagram::Announcement).ok_or(DatagramError::Malformed),
        // A shorter question would let its answer be larger.
        (None, Some(_)) if bytes.len() != DATAGRAM_BYTES_MAX => Err(DatagramError::Size),
        (None, Some(body)) => query(body).map(Datagram::Query),
        _ => Err(DatagramError::Malformed),
    }
}

/// The bytes of an announcement with as many of its entries, from the first on, as fit, and how many those are.
/// An entry that fits in no datagram, or is not legal, is counted as taken and left out, so that a caller always gets
/// on. A user name that is too long is cut, an interval brought within 1 ms and [`INTERVAL_MS_MAX`]; the port is to be
/// at least [`PORT_MIN`].
pub fn encode_announcement(announcement: &Announcement) -> (Vec<u8>, usize) {
    const END: &[u8] = b"]}}";
    let mut bytes = to_json(&Object {
        chunkcast: PROTOCOL_VERSION,
        announce: Some(AnnounceBody::of(announcement)),
        query: None,
        pad: None,
    });
    bytes.truncate(bytes.len().saturating_sub(END.len()));
    let head_bytes = bytes.len();
    let mut taken = 0_usize;
    for entry in &announcement.entries {
        let entry_json = if entry.is_legal() { to_json(entry) } else { Vec::new() };
        let comma: &[u8] = if bytes.len() > head_bytes { b"," } else { b"" };
        let entry_bytes = entry_json.len().saturating_add(END.len());
        let fits_none = head_bytes.saturating_add(entry_bytes) > DATAGRAM_BYTES_MAX;
        if !entry_json.is_empty() && !fits_none {
            if bytes.len().saturating_add(comma.len()).saturating_add(entry_bytes) > DATAGRAM_BYTES_MAX {
                break;
            }
            bytes.extend_from_slice(comma);
            bytes.extend_from_slice(&entry_json);
        }
        taken = taken.saturating_add(1);
    }
    bytes.extend_from_slice(END);
    (bytes, taken)
}

/// The bytes of a query, padded to [`DATAGRAM_BYTES_MAX`] so that an answer is never larger than its question.
/// `None` when what is looked for is not legal or does not fit. A user name that is too long is cut; the port is to be
/// at least [`PORT_MIN`].
///
/// ```
/// use chunkcast::types::PeerId;
/// use chunkcast::wire::datagram::{decode, encode_query};
/// use chunkcast::wire::message::{Datagram, Query, Wanted};
/// let wanted = Wanted::Glob("*.mkv".to_owned());
/// let query = Query { peer: PeerId([1; 16]), user: "lab-7".to_owned(), port: 7117, nonce: 5, wanted };
/// let bytes = encode_query(&query).ok_or("it is legal")?;
/// assert_eq!(bytes.len(), 1200);
/// assert_eq!(decode(&bytes), Ok(Datagram::Query(query)));
/// # Ok::<(), &str>(())
/// ```
pub fn encode_query(query: &Query) -> Option<Vec<u8>> {
    let mut object = Object {
        chunkcast: PROTOCOL_VERSION,
        announce: None,
        query: Some(QueryBody::of(query)),
        pad: Some(String::new()),
    };
    let room = DATAGRAM_BYTES_MAX.checked_sub(to_json(&object).len())?;
    object.pad = Some(" ".repeat(room));
    query.wanted.is_legal().then(|| to_json(&object))
}

/// The object of a datagram: either `announce` or `query` is there. Keys that are not known are passed over.
#[derive(Serialize, Deserialize)]
struct Object {
    chunkcast: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    announce: Option<AnnounceBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<QueryBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pad: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct AnnounceBody {
    peer: PeerId,
    user: String,
    port: u16,
    every: u64,
    peers: u32,
    generation: u64,
    count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answers: Option<u64>,
    /// Last, so that entries can be added to the text.
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct QueryBody {
    peer: PeerId,
    user: String,
    port: u16,
    nonce: u64,
    wanted: Wanted,
}

impl AnnounceBody {
    /// All of an announcement but its entries.
    fn of(announcement: &Announcement) -> AnnounceBody {
        AnnounceBody {
            peer: announcement.peer,
            user: short_user(&announcement.user),
            port: announcement.port,
            every: announcement.interval_ms.clamp(1, INTERVAL_MS_MAX),
            peers: announcement.known_peers,
            generation: announcement.generation,
            count: announcement.catalogue,
            answers: announcement.answers,
            entries: Vec::new(),
        }
    }
}

impl QueryBody {
    fn of(query: &Query) -> QueryBody {
        QueryBody {
            peer: query.peer,
            user: short_user(&query.user),
            port: query.port,
            nonce: query.nonce,
            wanted: query.wanted.clone(),
        }
    }
}

/// The version in a datagram that begins as ours do.
fn version(bytes: &[u8]) -> Option<u32> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    let ends = matches!(rest.first(), Some(b',' | b'}')) && digits.first() != Some(&b'0');
    ends.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

fn announcement(body: AnnounceBody) -> Option<Announcement> {
    let legal = body.port >= PORT_MIN
        && body.user.len() <= NAME_BYTES_MAX
        && (1..=INTERVAL_MS_MAX).contains(&body.every)
        && body.entries.iter().all(Entry::is_legal);
    legal.then_some(Announcement {
        peer: body.peer,
        user: body.user,
        port: body.port,
        interval_ms: body.every,
        known_peers: body.peers,
        generation: body.generation,
        catalogue: body.count,
        entries: body.entries,
        answers: body.answers,
    })
}

fn query(body: QueryBody) -> Result<Query, DatagramError> {
    let QueryBody { peer, user, port, nonce, wanted } = body;
    if wanted.is_legal() && port >= PORT_MIN && user.len() <= NAME_BYTES_MAX {
        return Ok(Query { peer, user, port, nonce, wanted });
    }
    // A pattern is read once more only to say what is wrong.
    Err(if wanted.is_costly() { DatagramError::Pattern } else { DatagramError::Malformed })
}

/// As much of a user name as fits [`USER_JSON_BYTES_MAX`] in JSON, where a control character takes six bytes and a
/// quote two.
fn short_user(user: &str) -> String {
    let mut json_bytes = 0_usize;
    user.chars()
        .take_while(|c| {
            json_bytes = json_bytes.saturating_add(match c {
                '\0'..='\u{1f}' => 6,
                '"' | '\\' => 2,
                _ => c.len_utf8(),
            });
            json_bytes <= USER_JSON_BYTES_MAX
        })
        .collect()
}

fn to_json(message: &impl Serialize) -> Vec<u8> {
    // Writing plain strings and numbers into memory cannot fail.
    serde_json::to_vec(message).unwrap_or_default()
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatagramError::Size => f.write_str("size"),
            DatagramError::Malformed => f.write_str("malformed"),
            DatagramError::NewerVersion(version) => write!(f, "version {version}"),
            DatagramError::Pattern => f.write_str("pattern"),
        }
    }
}

impl std::error::Error for DatagramError {}
