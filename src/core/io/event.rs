//! What people, logs and scripts are told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::core::io::{ClassicEvent, Fault, OfferEvent, SpanFault, TransferEvent};
use crate::types::{ContentId, Geometry, PeerId};
use crate::wire::message::Entry;

/// A peer as events and logs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRef {
    /// Its id, once it said hello or announced itself.
    pub id: Option<PeerId>,
    /// Its address and the TCP port it listens on (until its hello: the connection's).
    pub addr: SocketAddr,
    /// Its user name, from the network; empty until it is known.
    pub user: String,
}

impl PeerRef {
    /// Whether it is meant by a user name, `NAME#id4`, or an address with or without its port.
    pub fn is_called(&self, name: &str) -> bool {
        let with_id = |id: PeerId| format!("{}#{}", self.user, id.short()) == name;
        self.user == name
            || self.id.is_some_and(with_id)
            || self.addr.to_string() == name
            || self.addr.ip().to_string() == name
    }
}

/// Why a download, or the search for one, ended without the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailReason {
    /// Nobody offers it.
    NobodyOffers {
        /// How many peers were heard meanwhile.
        peers: usize,
        /// Names on offer that look alike.
        similar: Vec<String>,
    },
    /// The name stands for several contents.
    Ambiguous {
        /// Each with one peer that offers it.
        candidates: Vec<(Entry, PeerRef)>,
    },
    /// No holder for too long; the part is kept.
    Stalled {
        /// Chunks that are missing.
        missing: u32,
        /// Chunks there are, 0 when that is not known.
        of: u32,
    },
    /// Every holder seen was banned, or delivered what the id does not demand.
    Integrity {
        /// The peers that were banned.
        banned: Vec<PeerRef>,
    },
    /// It has another size than it was offered with to whoever accepted it.
    OtherSize {
        /// The size of the offer, in bytes.
        claimed: u64,
        /// The size that its verified manifest tells, in bytes.
        size: u64,
    },
    /// The file was replaced so often that it was not begun once more.
    KeepsChanging {
        /// How often.
        times: u32,
    },
    /// The only peer that offered it has removed the file, and nothing of it is here.
    Removed {
        /// That peer.
        from: PeerRef,
    },
    /// The store failed.
    Storage(Fault),
    /// It was given up by [`crate::core::Command::Cancel`] or [`crate::core::Command::Leave`].
    Cancelled,
}

/// What people, logs and scripts want to know. Text in it that came from the network is raw: whoever shows it
/// escapes it with [`crate::types::name::printable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer was heard for the first time.
    PeerFound(PeerRef),
    /// A peer was silent for too long, or left.
    PeerLost(PeerRef),
    /// A peer was banned.
    PeerBanned {
        /// Which.
        peer: PeerRef,
        /// Why.
        why: &'static str,
    },
    /// A shared file can be fetched from now on.
    Offered {
        /// The content.
        content: ContentId,
        /// Its name.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A shared file changed or vanished.
    Withdrawn {
        /// The content.
        content: ContentId,
        /// Its name.
        name: String,
        /// Why.
        why: SpanFault,
    },
    /// The time of [`crate::core::Command::Look`] is over; the status holds what was heard.
    Looked {
        /// Whether somebody has more than could be listed in that time, or than is kept.
        cut_short: bool,
    },
    /// A search found a content; a download of it begins. A glob gives one of these for each content and each of its names
    /// that becomes a file of its own. Each of these is followed by one [`Event::Finished`], [`Event::Skipped`] or
    /// [`Event::Failed`] of that content; those of one content come in the order in which they were resolved. What is asked
    /// for once more while it is under way is resolved once more, and ends once.
    Resolved {
        /// The ticket of [`crate::core::Command::Get`].
        ticket: u32,
        /// The content.
        content: ContentId,
        /// The name it was found under.
        name: Arc<str>,
        /// Its size in bytes, as claimed.
        size: u64,
    },
    /// A search has named all it will; after a glob, `found` files.
    SearchDone {
        /// The ticket of [`crate::core::Command::Get`].
        ticket: u32,
        /// How many files it resolved to; those count too that are fetched for another search already.
        found: usize,
        /// Whether more match than one search fetches, or than could be listed in its time.
        cut_short: bool,
    },
    /// A search failed.
    SearchFailed {
        /// The ticket of [`crate::core::Command::Get`].
        ticket: u32,
        /// Why.
        reason: FailReason,
    },
    /// The manifest is verified and the part open: chunks are fetched from now on.
    Started {
        /// The content.
        content: ContentId,
        /// Size and cut.
        geometry: Geometry,
        /// Chunks that were there before.
        had: u32,
    },
    /// A chunk came, was right, and is written.
    ChunkReceived {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// Its bytes.
        bytes: u32,
        /// From whom.
        from: PeerRef,
        /// Whether that peer held the whole content.
        from_complete: bool,
        /// From its request to its storing.
        took: Duration,
    },
    /// A chunk that was asked for did not come, or came wrong; it is asked elsewhere.
    ChunkMissed {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// From whom.
        from: PeerRef,
        /// Why, as the transfer log says it.
        why: &'static str,
    },
    /// A chunk is in the kernel on its way to somebody.
    ChunkSent {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// Its bytes.
        bytes: u32,
        /// Chunks there are in this cut.
        of: u32,
        /// To whom.
        to: PeerRef,
        /// From its turn to its last byte.
        took: Duration,
    },
    /// A chunk that somebody asked for was not sent.
    ChunkUnsent {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// Who asked.
        to: PeerRef,
        /// Why, as the transfer log says it.
        why: &'static str,
    },
    /// Bytes of a content are in the kernel on their way to a reader by HTTP: all that one request asked for.
    HttpSent {
        /// The content.
        content: ContentId,
        /// The first of them.
        first: u64,
        /// How many.
        bytes: u64,
        /// How many the content has.
        of: u64,
        /// To whom.
        to: SocketAddr,
        /// From its request to its last byte.
        took: Duration,
    },
    /// Bytes of a content that a reader by HTTP asked for were not sent, or not all.
    HttpUnsent {
        /// The content.
        content: ContentId,
        /// The first of them.
        first: u64,
        /// How many went.
        bytes: u64,
        /// How many were asked for.
        asked: u64,
        /// How many the content has.
        of: u64,
        /// Who asked.
        to: SocketAddr,
        /// Why, as the transfer log says it.
        why: &'static str,
    },
    /// A chunk was asked for. This and the next four are told in an arrangement of neighbours only.
    ChunkRequested {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// Whom.
        from: PeerRef,
    },
    /// Somebody asks for a chunk that is here.
    RequestReceived {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// Who.
        by: PeerRef,
    },
    /// Somebody told which chunks it has.
    ListReceived {
        /// The content.
        content: ContentId,
        /// How many of them it had not told before.
        new: u32,
        /// How many it has, as far as it told.
        have: u32,
        /// Chunks there are in its cut.
        of: u32,
        /// Who.
        from: PeerRef,
    },
    /// Somebody was told which chunks are here.
    ListSent {
        /// The content.
        content: ContentId,
        /// How many of them it was not told before.
        new: u32,
        /// How many it was told of.
        have: u32,
        /// Chunks there are in the cut.
        of: u32,
        /// Who.
        to: PeerRef,
    },
    /// Something answers where somebody named a peer, but it is none: what it said is no hello. Said once, until a peer
    /// answers there.
    NotAPeer {
        /// Where.
        addr: SocketAddr,
        /// The first bytes that it said.
        said: Vec<u8>,
    },
    /// Something came to the owner of a ring that is no peer: what it said is no hello. Said once of each address.
    StrangerCame {
        /// From where.
        addr: SocketAddr,
        /// The first bytes that it said.
        said: Vec<u8>,
    },
    /// Nobody answers where a neighbour was named, or its connection is over. Said once, until it is back.
    NeighbourAway {
        /// Where.
        addr: SocketAddr,
    },
    /// A neighbour that was away is there.
    NeighbourBack {
        /// Where.
        addr: SocketAddr,
    },
    /// A neighbour offers another content than the owner.
    OtherContent {
        /// Which neighbour.
        from: PeerRef,
        /// What it offers.
        theirs: ContentId,
        /// The name of that.
        name: String,
        /// What is wanted.
        wanted: ContentId,
    },
    /// A peer that was to be asked for chunks does not offer the content, or no longer.
    SourceLost {
        /// The content.
        content: ContentId,
        /// Which peer.
        from: PeerRef,
        /// Why.
        why: &'static str,
    },
    /// Nobody offers a content that is fetched any more, and a peer that offered it offers another under its name. Said
    /// once of each.
    Replaced {
        /// The content.
        content: ContentId,
        /// What is on offer in its place.
        by: Entry,
        /// A peer that offers that.
        from: PeerRef,
        /// Whether that is fetched instead: [`Event::Failed`] of this one is no failure, and a [`Event::Resolved`] with the
        /// same ticket follows, unless that file is fetched or here already. Else its download waits for other holders.
        begun: bool,
    },
    /// A download can go on only when somebody with the missing chunks comes (back). Said once, until it goes on.
    Waiting {
        /// The content.
        content: ContentId,
        /// The first few of the chunks that are missing.
        missing: Vec<u32>,
        /// How many those are; 0 with an empty list while the manifest itself is missing.
        missing_count: u32,
    },
    /// A waiting download goes on.
    Resumed {
        /// The content.
        content: ContentId,
    },
    /// A download is complete, verified, and under its final name; or was there already.
    Finished {
        /// The content.
        content: ContentId,
        /// Where.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// From the search's end to now.
        took: Duration,
        /// How many peers chunks came from; 0 when it was there already.
        peers: usize,
    },
    /// The target exists and was left alone.
    Skipped {
        /// The content.
        content: ContentId,
        /// Where.
        path: PathBuf,
    },
    /// A download ended without the file.
    Failed {
        /// The content.
        content: ContentId,
        /// Why.
        reason: FailReason,
    },
    /// Something about files that somebody sends to somebody.
    Offer(OfferEvent),
    /// Something about the classic dialects.
    Classic(ClassicEvent),
    /// Something about a transfer.
    Transfer(TransferEvent),
    /// Something a person should know that no other event says.
    Warning(String),
    /// [`crate::core::Command::Leave`] is carried out; the driver may end.
    Left,
}

impl Event {
    /// The content that it is about, where it names that by its id alone or has to do with its chunks.
    pub fn content(&self) -> Option<&ContentId> {
        match self {
            Event::Started { content, .. }
            | Event::ChunkReceived { content, .. }
            | Event::ChunkMissed { content, .. }
            | Event::ChunkSent { content, .. }
            | Event::ChunkUnsent { content, .. }
            | Event::HttpSent { content, .. }
            | Event::HttpUnsent { content, .. }
            | Event::ChunkRequested { content, .. }
            | Event::RequestReceived { content, .. }
            | Event::ListReceived { content, .. }
            | Event::ListSent { content, .. }
            | Event::SourceLost { content, .. }
            | Event::Replaced { content, .. }
            | Event::Waiting { content, .. }
            | Event::Offered { content, .. }
            | Event::Finished { content, .. }
            | Event::Skipped { content, .. } => Some(content),
            _ => None,
        }
    }
}
