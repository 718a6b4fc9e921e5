//! The values that cross the core's door, in both directions.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::bitfield::Bitfield;
use crate::core::geometry::Geometry;
use crate::core::id::{ContentId, PeerId};
use crate::core::manifest::Manifest;
use crate::wire::message::{Entry, ManifestPage, Wanted};

/// A connection: a slot and the generation of what is in it, so that a stale event finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The slot; small numbers that are used again.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

/// A network interface, by a number of the driver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfaceId(pub u32);

/// A chunk buffer. The core hands out the numbers (small, used again); the driver owns the memory, from the first
/// [`Sink::Buffer`] that names it until [`Output::Release`] or until the store's reply to the job it went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came in.
    Datagram {
        /// The interface it came by (that of the network its source belongs to).
        iface: IfaceId,
        /// Its source.
        from: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A dial succeeded.
    Connected {
        /// The connection that was dialled.
        conn: ConnId,
    },
    /// The other side will send nothing more.
    EndOfStream {
        /// The connection.
        conn: ConnId,
    },
    /// A dial failed or a connection broke; the driver has forgotten it.
    Broken {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: BrokenWhy,
    },
    /// The driver has carried out [`Segment::Close`] and forgotten the connection.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// A [`Segment::Span`] cannot be sent as promised.
    SpanFailed {
        /// The connection.
        conn: ConnId,
        /// The content the span is of.
        content: ContentId,
        /// Why.
        why: SpanFault,
    },
    /// The store answers, or tells what it found.
    Stored(StoreReply),
    /// A person or a script wants something.
    Command(Command),
    /// Time passed; deadlines may be due.
    Tick,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenWhy {
    /// Nobody listens there.
    Refused,
    /// No way there, or no answer.
    Unreachable,
    /// The other side reset it.
    Reset,
    /// Anything else the driver met.
    Failed,
}

/// Why a span of a shared file cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanFault {
    /// The file is not what was hashed any more.
    Changed,
    /// The file is gone or cannot be opened.
    Gone,
    /// The file cannot be read there.
    Unreadable,
}

/// What people and scripts ask of a running peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Find one content and fetch it, or each content that a pattern matches.
    Get {
        /// Comes back in the events about it.
        ticket: u32,
        /// What to fetch. [`Wanted::Glob`] and [`Wanted::All`] fetch each content they match.
        wanted: Wanted,
        /// Only as this holder offers it (its user name, `NAME#id4`, or address).
        at: Option<String>,
        /// How long to look for somebody who offers it.
        wait: Duration,
        /// How long a download that was begun waits for holders.
        stall: Duration,
    },
    /// Ask everybody what they offer; what is heard stands in the status, as [`Event::Looked`] says.
    Look {
        /// What is looked for.
        wanted: Wanted,
        /// How long to listen.
        wait: Duration,
    },
    /// Give up a download; its part is kept.
    Cancel {
        /// Which.
        content: ContentId,
    },
    /// Finish what is on the wire and queued, close every part with a clean mark, then say [`Event::Left`].
    Leave,
}

/// One instruction to the driver.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Datagram {
        /// Where to.
        to: DatagramTo,
        /// What.
        bytes: Vec<u8>,
    },
    /// Connect.
    Dial {
        /// The id the connection has from here on.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// `expects` or `next_segment` of this connection turned from nothing to something.
    Wake(ConnId),
    /// A job for the store.
    Store(StoreJob),
    /// The buffer's bytes are not needed; its memory may serve another.
    Release(BufferId),
    /// Something people or logs want to know.
    Event(Event),
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatagramTo {
    /// To the discovery port at the broadcast address of each interface, each from the sender's own socket there.
    Everybody,
    /// To one address, from the own socket of one interface.
    One {
        /// The interface; `None`: the one whose network holds the address, else any.
        iface: Option<IfaceId>,
        /// The address.
        addr: SocketAddr,
    },
}

/// What the core makes of the next bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Control bytes: read into scratch memory and hand to `received`.
    Control,
    /// Payload: read no more than `left` bytes into the sink and tell `stored`.
    Payload {
        /// Where the bytes go.
        sink: Sink,
        /// How many are still to come.
        left: u64,
    },
    /// Do not read.
    Nothing,
}

/// Where payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Into a chunk buffer of `len` bytes, from `at` on.
    Buffer {
        /// The buffer.
        buffer: BufferId,
        /// Where the next byte goes.
        at: u32,
        /// The chunk's length, and so the buffer's.
        len: u32,
    },
    /// Nowhere: nobody wants it any more.
    Discard,
}

/// What a connection wants to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// These bytes.
    Bytes {
        /// The bytes.
        bytes: &'a [u8],
        /// A span of this content follows at once. The kernel may wait for it; and if the file is not what it was, the
        /// driver says [`Input::SpanFailed`] *instead* of sending these bytes, which promise it.
        span_of: Option<ContentId>,
    },
    /// Bytes of a shared file.
    Span {
        /// The content.
        content: ContentId,
        /// From which byte on.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Close the writing half.
    HalfClose,
    /// Close, letting what was sent arrive; then say [`Input::Closed`].
    Close,
    /// Nothing for now.
    Nothing,
}

/// A job for the store. Each has exactly one reply, at once or later.
#[derive(Debug)]
pub enum StoreJob {
    /// Look for what is there of a content: the file itself, a part, or nothing. Reply: `PartOpened` or `PartFailed`.
    OpenPart {
        /// The content.
        content: ContentId,
        /// The name it is offered under, from the network.
        name: String,
        /// Its size in bytes, as claimed.
        size: u64,
    },
    /// Make a part. Reply: `PartCreated` or `PartFailed`.
    CreatePart {
        /// The content; `OpenPart` came before.
        content: ContentId,
        /// Its verified manifest.
        manifest: Box<Manifest>,
    },
    /// Verify a chunk and write it. Reply: `ChunkStored`, `ChunkBad` or `ChunkFailed`.
    WriteChunk {
        /// The content, with an open part.
        content: ContentId,
        /// Which chunk.
        chunk: u32,
        /// Where its bytes are; the driver's again with the reply.
        buffer: BufferId,
    },
    /// Give a complete part its final name, durably. Reply: `Published` or `PartFailed`.
    Publish {
        /// The content.
        content: ContentId,
    },
    /// Let go of a part with a clean mark; it stays on disk. Reply: `PartClosed`.
    ClosePart {
        /// The content.
        content: ContentId,
    },
    /// Read a page of a manifest that this peer can prove. Reply: `ManifestRead`.
    ReadManifest {
        /// The content.
        content: ContentId,
        /// In which chunk size.
        chunk_bytes: u32,
        /// The first value.
        first: u32,
        /// Who asked; comes back in the reply.
        conn: ConnId,
        /// The page's channel; comes back in the reply.
        channel: u32,
    },
    /// Somebody says a chunk from here is bad: hash again what it came from. Reply: `Rechecked`.
    Recheck {
        /// The content.
        content: ContentId,
        /// The chunk, and in which chunk size.
        chunk: u32,
        /// The chunk size in bytes.
        chunk_bytes: u32,
    },
}

/// What the store answers, or tells unasked.
#[derive(Debug)]
pub enum StoreReply {
    /// A shared file was hashed, or hashed again, and is served from now on.
    Offered {
        /// The content.
        content: ContentId,
        /// The name it is shared under.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A file is no longer shared under this name.
    Withdrawn {
        /// The content.
        content: ContentId,
        /// The name it was shared under.
        name: String,
        /// Why.
        why: SpanFault,
    },
    /// What is there of a content.
    PartOpened {
        /// The content.
        content: ContentId,
        /// What is there.
        state: PartState,
    },
    /// The part is made; chunks can come.
    PartCreated {
        /// The content.
        content: ContentId,
    },
    /// The part cannot be opened, made, or published.
    PartFailed {
        /// The content.
        content: ContentId,
        /// Why.
        fault: Fault,
    },
    /// The chunk is right and written.
    ChunkStored {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// The buffer, free again.
        buffer: BufferId,
    },
    /// The chunk is not what the id demands; nothing was written.
    ChunkBad {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// The buffer, free again.
        buffer: BufferId,
    },
    /// The chunk is right but could not be written.
    ChunkFailed {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// The buffer, free again.
        buffer: BufferId,
        /// Why.
        fault: Fault,
    },
    /// The file stands under its final name, durably, and is served from there.
    Published {
        /// The content.
        content: ContentId,
        /// Where.
        path: PathBuf,
    },
    /// The part is let go of.
    PartClosed {
        /// The content.
        content: ContentId,
    },
    /// A page of a manifest, or `None` when this peer cannot give it.
    ManifestRead {
        /// Who asked.
        conn: ConnId,
        /// The content.
        content: ContentId,
        /// The page, with the channel of the job.
        page: Option<Box<ManifestPage>>,
    },
    /// A chunk was hashed again. When it is not right, `Withdrawn` comes for a shared file; of a part the chunk is
    /// no longer had.
    Rechecked {
        /// The content.
        content: ContentId,
        /// The chunk.
        chunk: u32,
        /// Whether it is right.
        good: bool,
    },
}

/// What is there of a content when a download begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// Nothing.
    Fresh,
    /// A part with a verified manifest, open, each chunk of it hashed.
    Resumed {
        /// Size and cut.
        geometry: Geometry,
        /// The chunks that are right.
        have: Bitfield,
    },
    /// The whole file, under its final name; it is served from there.
    Complete {
        /// Size and cut.
        geometry: Geometry,
        /// Where.
        path: PathBuf,
    },
    /// The target exists and is to be left alone (`--on-conflict skip`).
    Skipped {
        /// Where.
        path: PathBuf,
    },
}

/// What went wrong in the store, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// One sentence that names the thing and the next step.
    pub text: String,
}

/// Kinds of [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// No space, quota or file size limit.
    Full,
    /// Read-only, no permission, not a folder.
    Denied,
    /// The name makes no local file name.
    NameRefused,
    /// The target exists, and that was to be an error.
    Exists,
    /// Another process has the part.
    Busy,
    /// The device fails.
    Io,
    /// What is in the way is a mistake of ours.
    Bug,
}

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
    /// Every holder seen was struck, or delivered what the id does not demand.
    Integrity {
        /// The peers that were struck.
        struck: Vec<PeerRef>,
    },
    /// The store failed.
    Storage(Fault),
    /// It was given up by [`Command::Cancel`] or [`Command::Leave`].
    Cancelled,
}

/// What people, logs and scripts want to know. Text in it that came from the network is raw: whoever shows it
/// escapes it with [`crate::core::name::printable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer was heard for the first time.
    PeerFound(PeerRef),
    /// A peer was silent for too long, or left.
    PeerLost(PeerRef),
    /// A peer was struck.
    PeerStruck {
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
    /// The time of [`Command::Look`] is over; the status holds what was heard.
    Looked,
    /// A search found a content; a download of it begins. A glob gives one of these for each content.
    Resolved {
        /// The ticket of [`Command::Get`].
        ticket: u32,
        /// The content.
        content: ContentId,
        /// The name it was found under.
        name: String,
        /// Its size in bytes, as claimed.
        size: u64,
    },
    /// A search has named all it will; after a glob, `found` contents.
    SearchDone {
        /// The ticket of [`Command::Get`].
        ticket: u32,
        /// How many contents it resolved to.
        found: usize,
    },
    /// A search failed.
    SearchFailed {
        /// The ticket of [`Command::Get`].
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
    /// A peer that was to be asked for chunks does not offer the content, or no longer.
    SourceLost {
        /// The content.
        content: ContentId,
        /// Which peer.
        from: PeerRef,
        /// Why.
        why: &'static str,
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
    /// Something a person should know that no other event says.
    Warning(String),
    /// [`Command::Leave`] is carried out; the driver may end.
    Left,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.slot, self.generation)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for SpanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpanFault::Changed => "the file changed",
            SpanFault::Gone => "the file is gone",
            SpanFault::Unreadable => "the file cannot be read",
        })
    }
}
