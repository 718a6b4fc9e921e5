//! The messages of native peers, in datagrams and on connections.

mod offer;

use serde::{Deserialize, Serialize};

pub use offer::{Answer, Delivery, Offer, OfferAnswer, OfferOutcome};

use crate::types::manifest::ManifestPage;
use crate::types::{ContentId, PeerId, glob};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// The most bytes of a name (of a content or of a user) on the wire, as UTF-8.
pub const NAME_BYTES_MAX: usize = 1024;

/// The lowest port that a peer may say it listens on: nobody is to be sent to another's system services.
pub const PORT_MIN: u16 = 1024;

/// What somebody looks for.
///
/// ```
/// use chunkcast::types::ContentId;
/// use chunkcast::wire::message::Wanted;
/// let films = Wanted::Glob("*.mk[v4]".to_owned());
/// let id = ContentId([0; 32]);
/// assert!(films.matches("2024/talk.mkv", &id) && !films.matches("talk.txt", &id));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Everything.
    #[default]
    All,
    /// The content with this id.
    Id(ContentId),
    /// Contents whose id begins with these lower-case hexadecimal digits (1 to 63).
    Prefix(String),
    /// Contents with this name, or whose name's last component is this.
    Name(String),
    /// Contents whose name, or its last component, matches this pattern (`*`, `?`, `[...]`).
    Glob(String),
}

impl Wanted {
    /// Whether this may stand on the wire: texts of 1 to [`NAME_BYTES_MAX`] bytes, patterns within [`glob::WILDCARDS_MAX`]
    /// and [`glob::BRACKET_BYTES_MAX`], prefixes of 1 to 63 lower-case hexadecimal digits.
    pub fn is_legal(&self) -> bool {
        match self {
            Wanted::All | Wanted::Id(_) => true,
            Wanted::Prefix(digits) => {
                (1..=63).contains(&digits.len())
                    && digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
            }
            Wanted::Name(text) | Wanted::Glob(text) => {
                (1..=NAME_BYTES_MAX).contains(&text.len()) && !self.is_costly()
            }
        }
    }

    /// Whether this is a pattern with more wildcards, or more bytes inside brackets, than a pattern may have. Plain
    /// characters do not count.
    pub fn is_costly(&self) -> bool {
        matches!(self, Wanted::Glob(pattern) if !glob::is_within_limits(pattern))
    }

    /// Whether a content with this id, offered under this name, is what is looked for. Upper and lower case differ.
    /// In a pattern `*` stands for any characters, `?` for one, `[a-z]` for one of these and `[!a-z]` for one of no
    /// such; `/` is a character like any other, because a name is no path.
    pub fn matches(&self, name: &str, id: &ContentId) -> bool {
        self.matcher().matches(name, id)
    }

    /// What compares many names with this: it reads a pattern once.
    pub fn matcher(&self) -> Matcher<'_> {
        let pattern = match self {
            Wanted::Glob(pattern) => Some(glob::Pattern::new(pattern)),
            _ => None,
        };
        Matcher { wanted: self, pattern }
    }
}

/// Compares names and ids with what is looked for.
#[derive(Debug)]
pub struct Matcher<'w> {
    wanted: &'w Wanted,
    pattern: Option<glob::Pattern<'w>>,
}

impl Matcher<'_> {
    /// See [`Wanted::matches`].
    pub fn matches(&mut self, name: &str, id: &ContentId) -> bool {
        match (self.wanted, &mut self.pattern) {
            (Wanted::All, _) => true,
            (Wanted::Id(wanted), _) => wanted == id,
            (Wanted::Prefix(digits), _) => id.begins_with(digits),
            (Wanted::Name(wanted), _) => {
                let before = name.strip_suffix(wanted.as_str());
                before.is_some_and(|path| path.is_empty() || (path.ends_with('/') && !wanted.contains('/')))
            }
            (Wanted::Glob(_), Some(pattern)) => {
                pattern.matches(name) || name.rsplit_once('/').is_some_and(|(_, last)| pattern.matches(last))
            }
            (Wanted::Glob(_), None) => false,
        }
    }

    /// What patterns took so far: reading one, and comparing it with names. What is not a pattern takes none.
    pub fn steps(&self) -> u64 {
        self.pattern.as_ref().map_or(0, glob::Pattern::steps)
    }
}

/// One name under which a peer offers a content, wholly or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The content.
    pub id: ContentId,
    /// The name it is offered under: for display, never a path. `/` separates components.
    pub name: String,
    /// The size in bytes, as claimed.
    pub size: u64,
    /// How many chunks the peer holds.
    pub have: u32,
    /// How many chunks there are, as claimed.
    pub of: u32,
}

impl Entry {
    /// Whether this may stand on the wire: a name of 1 to [`NAME_BYTES_MAX`] bytes, no more chunks held than there
    /// are.
    pub fn is_legal(&self) -> bool {
        (1..=NAME_BYTES_MAX).contains(&self.name.len()) && self.have <= self.of
    }
}

/// What a peer tells of itself in datagrams, unasked or in answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Who announces.
    pub peer: PeerId,
    /// The user's name, for display.
    pub user: String,
    /// The TCP port it listens on, at the datagram's source address.
    pub port: u16,
    /// How often it announces, in milliseconds.
    pub interval_ms: u64,
    /// How many peers it knows.
    pub known_peers: u32,
    /// Grows with each change of its catalogue.
    pub generation: u64,
    /// How many entries its catalogue has.
    pub catalogue: u32,
    /// Some of those entries.
    pub entries: Vec<Entry>,
    /// The nonce of the query this answers; `None` for an announcement nobody asked for.
    pub answers: Option<u64>,
}

/// A question to everybody: who has this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub peer: PeerId,
    /// The asker's user name, for display.
    pub user: String,
    /// The TCP port the asker listens on.
    pub port: u16,
    /// Comes back in the answers.
    pub nonce: u64,
    /// What is looked for.
    pub wanted: Wanted,
}

/// One native datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram {
    /// A peer tells what it offers.
    Announcement(Announcement),
    /// A peer asks.
    Query(Query),
}

/// The first frame of each side of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version, [`PROTOCOL_VERSION`].
    pub v: u32,
    /// Who speaks.
    pub peer: PeerId,
    /// The user's name, for display.
    pub user: String,
    /// The TCP port the speaker listens on.
    pub port: u16,
    /// Program and version, for display.
    pub agent: String,
}

/// A request for a page of the other side's catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueRequest {
    /// Which entries.
    pub wanted: Wanted,
    /// Only entries that stand behind this one in the order of (id, name); `None` begins at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<(ContentId, String)>,
}

/// A page of a catalogue, in the order of (id, name).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CataloguePage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether more follow behind the last entry.
    pub more: bool,
    /// The generation of the catalogue this page is of.
    pub generation: u64,
}

/// Why a content, or one chunk of it, is not to be had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefuseReason {
    /// This peer does not offer the content.
    Unknown = 1,
    /// This peer holds the content in another chunk size.
    ChunkSize = 2,
    /// This peer does not have the chunk.
    NotHere = 3,
    /// Too many requests are queued.
    Busy = 4,
    /// The file changed; the content is no longer offered.
    Changed = 5,
    /// The file cannot be read.
    Unreadable = 6,
    /// The file vanished; the content is no longer offered.
    Gone = 7,
    /// The request was revoked, in time.
    Revoked = 8,
}

impl RefuseReason {
    /// What it means, as logs say it.
    pub fn text(self) -> &'static str {
        match self {
            RefuseReason::Unknown => "not offered there",
            RefuseReason::ChunkSize => "held in another chunk size there",
            RefuseReason::NotHere => "chunk not there",
            RefuseReason::Busy => "busy",
            RefuseReason::Changed => "file changed there",
            RefuseReason::Unreadable => "file unreadable there",
            RefuseReason::Gone => "file gone there",
            RefuseReason::Revoked => "recalled",
        }
    }

    /// The reason with this number.
    pub fn from_byte(byte: u8) -> Option<RefuseReason> {
        Some(match byte {
            1 => RefuseReason::Unknown,
            2 => RefuseReason::ChunkSize,
            3 => RefuseReason::NotHere,
            4 => RefuseReason::Busy,
            5 => RefuseReason::Changed,
            6 => RefuseReason::Unreadable,
            7 => RefuseReason::Gone,
            8 => RefuseReason::Revoked,
            _ => return None,
        })
    }
}

/// One native control frame. Chunks are not among them: their payload never is a message
/// (see [`crate::wire::frame::Decoded`]).
///
/// Each side names a content once with [`Frame::Open`]; the channel in every later frame is the *sender's*
/// own number for that content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Who speaks; once, first.
    Hello(Hello),
    /// Asks for a page of the catalogue.
    CatalogueRequest(CatalogueRequest),
    /// A page of the catalogue.
    CataloguePage(CataloguePage),
    /// Names a content. Who does not know its cut yet says 0 and 0 and learns it from the other side's `Open`.
    Open {
        /// The sender's number for the content from here on.
        channel: u32,
        /// The content.
        content: ContentId,
        /// Size in bytes; 0 with `chunk_bytes` 0 when not known.
        size: u64,
        /// Chunk size in bytes; 0 when not known.
        chunk_bytes: u32,
    },
    /// The answer to an `Open` that leads nowhere.
    Refuse {
        /// The content that was named.
        content: ContentId,
        /// Why not.
        reason: RefuseReason,
    },
    /// The sender no longer offers what it opened this channel for; the channel stays closed.
    Withdraw {
        /// The sender's channel.
        channel: u32,
        /// Why.
        reason: RefuseReason,
    },
    /// Asks for the page of the manifest that begins at value `first`.
    ManifestRequest {
        /// The sender's channel.
        channel: u32,
        /// The index of the first value wanted.
        first: u32,
    },
    /// A page of the manifest.
    ManifestPage(ManifestPage),
    /// What the sender has: as many bits as the content has chunks (`Bitfield::to_bytes`).
    HaveMap {
        /// The sender's channel.
        channel: u32,
        /// One bit a chunk.
        bits: Vec<u8>,
    },
    /// The sender has `count` chunks from `first` on.
    Have {
        /// The sender's channel.
        channel: u32,
        /// The first chunk.
        first: u32,
        /// How many.
        count: u32,
    },
    /// Asks for a chunk.
    Request {
        /// The sender's channel.
        channel: u32,
        /// The chunk.
        chunk: u32,
    },
    /// Takes a request back, as far as the chunk has not been begun.
    Cancel {
        /// The sender's channel.
        channel: u32,
        /// The chunk.
        chunk: u32,
    },
    /// Takes a request back, as [`Frame::Cancel`] does; that it was in time is answered by [`RefuseReason::Revoked`].
    Revoke {
        /// The sender's channel.
        channel: u32,
        /// The chunk.
        chunk: u32,
    },
    /// Says that a requested chunk will not come.
    Reject {
        /// The sender's channel.
        channel: u32,
        /// The chunk.
        chunk: u32,
        /// Why.
        reason: RefuseReason,
    },
    /// Says that a chunk that came was not what the id demands.
    Bad {
        /// The sender's channel.
        channel: u32,
        /// The chunk.
        chunk: u32,
    },
    /// Asks who shows the sender only some of what it has to show all of it.
    Show {
        /// The sender's channel.
        channel: u32,
    },
    /// Says that the sender has nothing to send, and some that the other side lacks.
    Idle {
        /// The sender's channel.
        channel: u32,
    },
    /// Offers a file.
    Offer(Offer),
    /// Says whether an offer is taken.
    OfferAnswer(OfferAnswer),
    /// Says how an accepted offer ended.
    OfferOutcome(OfferOutcome),
    /// Asks for a [`Frame::Pong`].
    Ping,
    /// A sign of life.
    Pong,
    /// The sender closes the connection and says why, for people.
    Bye {
        /// Why.
        reason: String,
    },
}

/// As much of `text`, from its beginning, as `bytes_max` bytes hold.
pub(crate) fn clipped(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_known_by_id_name_or_last_component() {
        let id = ContentId([0xab; 32]);
        let name = "films/2024/talk.mkv";
        for wanted in [
            Wanted::All,
            Wanted::Id(id),
            Wanted::Prefix("a".into()),
            Wanted::Prefix("abababa".into()),
            Wanted::Name(name.into()),
            Wanted::Name("talk.mkv".into()),
            Wanted::Glob("*.mkv".into()),
            Wanted::Glob("talk.*".into()),
            Wanted::Glob("films/*".into()),
        ] {
            assert!(wanted.matches(name, &id), "{wanted:?}");
        }
        for wanted in [
            Wanted::Id(ContentId([0xac; 32])),
            Wanted::Prefix("b".into()),
            Wanted::Name("2024/talk.mkv".into()),
            Wanted::Name("Talk.mkv".into()),
            Wanted::Name("*.mkv".into()),
            Wanted::Glob("2024/*".into()),
            Wanted::Glob("*.mp4".into()),
        ] {
            assert!(!wanted.matches(name, &id), "{wanted:?}");
        }
    }
}
