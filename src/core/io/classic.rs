//! What goes in or out of the core for the classic dialects: settings, instructions to the store, and what people are told.
//!
//! Nothing of this content is verified: no classic dialect has an id to verify it by.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::core::io::{ConnId, Fault};
use crate::types::ContentId;
use crate::wire::classic::announcement::{BatchChunk, LocalTime};
use crate::wire::classic::records::{Dictionary, Tags};
use crate::wire::classic::{ChunkName, Dialect};

/// How a peer speaks the classic dialects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicConfig {
    /// This host's address, as announcements tell it. Receivers use the datagram's source.
    pub address: Ipv4Addr,
    /// What is announced where; empty: nothing is.
    pub voices: Vec<Voice>,
    /// How often.
    pub announce_interval: Duration,
    /// Local TCP ports on which every connection is classic, each with the port of the dialects that it stands in for.
    pub ports: BTreeMap<u16, u16>,
    /// They are served on `address` alone, and not on every address of this host.
    pub address_alone: bool,
    /// The TCP port that is dialled instead of the dialect's own.
    pub dial_port: Option<u16>,
    /// What peers speak where that cannot be told: both to them and with them.
    pub dialects: BTreeMap<IpAddr, Dialect>,
    /// The only dialect in which chunks are asked for; `None`: whichever their holder announced them in.
    pub speaks: Option<Dialect>,
    /// Who has what, where other processes have a part in knowing it.
    pub dictionary: DictionaryUse,
    /// The most bytes of a chunk that are taken.
    pub chunk_bytes_max: u64,
}

/// In which dialect, on which UDP port, something is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voice {
    /// The dialect.
    pub dialect: Dialect,
    /// The port.
    pub port: u16,
}

/// What the file that tells who has what is to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DictionaryUse {
    /// Nothing: what was heard stays here.
    None,
    /// Written whenever what was heard changes, for other processes.
    Write,
    /// Read again and again: another process hears for this one.
    Read,
}

/// The bytes of one answer or transfer on their way in. The core hands out the numbers (small, used again); for an answer the
/// store makes the file with the first bytes, and has it until [`ClassicJob::KeepSpool`] is answered or
/// [`ClassicJob::DropSpool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(pub u32);

/// A job for the store.
#[derive(Debug)]
pub enum ClassicJob {
    /// Say which chunks are kept. Reply: `Kept`.
    List,
    /// Add chunks that are served from whole files to the record of available chunks. No reply.
    NoteAvailable {
        /// Their names.
        chunks: Vec<ChunkName>,
    },
    /// Open a kept chunk, to be sent as [`crate::core::SpanSource::Kept`] of this connection. Reply: `ChunkOpened`.
    OpenChunk {
        /// Who asked.
        conn: ConnId,
        /// Under which name, in any form: that of another form stands for the same chunk.
        name: ChunkName,
    },
    /// Tell what D announces of chunks beside their names. Reply: `Digested`.
    Digest {
        /// Their names, and where their bytes are.
        chunks: Vec<(ChunkName, ChunkBytes)>,
    },
    /// Close the chunk that is open for a connection. No reply.
    CloseChunk {
        /// Who asked.
        conn: ConnId,
    },
    /// Put these bytes behind those in the spool. Reply only when it fails: `SpoolFailed`.
    WriteSpool {
        /// The spool.
        spool: SpoolId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Keep the bytes of a spool as a chunk; a chunk of this name that is kept gives way. Reply: `ChunkKept` or
    /// `SpoolFailed`.
    KeepSpool {
        /// The spool.
        spool: SpoolId,
        /// The chunk.
        name: ChunkName,
        /// So many bytes at its beginning are not the chunk's.
        skip: u64,
    },
    /// Throw a spool away, if it is there. No reply.
    DropSpool {
        /// The spool.
        spool: SpoolId,
    },
    /// Remove a kept chunk, if it is there, and its name from the record of available ones. No reply.
    DropChunk {
        /// The name under which it is kept, to the byte.
        name: ChunkName,
    },
    /// Say whether a file may be made at all where something has its name. Reply: `TargetFree` or `TargetLeft`.
    LookAtTarget {
        /// Comes back in the reply.
        ticket: u32,
        /// The file's name, as the chunks tell it.
        file: String,
    },
    /// Join kept chunks into a file, durably, and as the settings say where another has its name. Reply: `Merged`,
    /// `TargetLeft` or `MergeFailed`.
    Merge {
        /// Comes back in the reply.
        ticket: u32,
        /// The file's name, as the chunks tell it.
        file: String,
        /// Its chunks, in order.
        chunks: Vec<ChunkName>,
    },
    /// Write who has what. No reply.
    WriteDictionary {
        /// Holders by chunk.
        tags: Tags,
        /// The peer that was heard last.
        newest: Option<IpAddr>,
    },
    /// Read who has what. Reply: `DictionaryRead`.
    ReadDictionary,
}

/// Where the bytes of a chunk are that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkBytes {
    /// In a chunk of that name that is kept, in any form of the name.
    Kept,
    /// In a shared file.
    Shared {
        /// The file.
        content: ContentId,
        /// Where the chunk begins.
        offset: u64,
        /// So many bytes of it.
        bytes: u64,
    },
}

/// What the store answers.
#[derive(Debug)]
pub enum ClassicReply {
    /// The chunks that are kept, each with its bytes; also told unasked at the start.
    Kept {
        /// In the order in which they are announced.
        chunks: Vec<(ChunkName, u64)>,
    },
    /// A chunk is open for a connection; `None`: there is no such chunk.
    ChunkOpened {
        /// Who asked.
        conn: ConnId,
        /// Its bytes.
        bytes: Option<u64>,
    },
    /// What D announces of chunks beside their names.
    Digested {
        /// In the order in which they were asked for, without those that cannot be read.
        chunks: Vec<BatchChunk>,
        /// The local time.
        now: LocalTime,
    },
    /// A spool cannot be written or kept; it is gone.
    SpoolFailed {
        /// Which.
        spool: SpoolId,
        /// Why.
        fault: Fault,
    },
    /// A spool became a chunk; its number is free.
    ChunkKept {
        /// Which.
        spool: SpoolId,
        /// The chunk.
        name: ChunkName,
        /// Its bytes.
        bytes: u64,
    },
    /// A file of this name may be made.
    TargetFree {
        /// Of the job.
        ticket: u32,
    },
    /// Something has the file's name, and is to be left alone.
    TargetLeft {
        /// Of the job.
        ticket: u32,
        /// Where.
        path: PathBuf,
    },
    /// The file stands under its name.
    Merged {
        /// Of the job.
        ticket: u32,
        /// Where.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The file could not be joined; the chunks are still kept.
    MergeFailed {
        /// Of the job.
        ticket: u32,
        /// Why.
        fault: Fault,
    },
    /// Who has what, as another process heard it.
    DictionaryRead {
        /// Addresses by chunk; empty when there is no such file, or it cannot be read.
        dictionary: Dictionary,
    },
}

/// What people, logs and scripts are told. Text that came from the network is raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassicEvent {
    /// A round of announcements went out.
    Announced {
        /// So many chunks are announced.
        chunks: usize,
    },
    /// A peer announced chunks that were not known of it.
    Heard {
        /// From where.
        from: IpAddr,
        /// As it calls itself.
        user: Option<String>,
        /// The new chunks.
        chunks: Vec<ChunkName>,
    },
    /// A peer went silent; what it announced is forgotten.
    Gone {
        /// Which.
        from: IpAddr,
        /// So many chunks were known of it.
        chunks: usize,
    },
    /// A file was found; its chunks are fetched from now on.
    Begun {
        /// The ticket of [`crate::core::Command::GetClassic`].
        ticket: u32,
        /// The name the file will have.
        file: String,
        /// So many chunks were here before.
        had: u32,
        /// So many peers announced some of it.
        holders: usize,
    },
    /// A chunk came and is kept.
    ChunkReceived {
        /// The ticket.
        ticket: u32,
        /// The chunk.
        name: ChunkName,
        /// Its bytes.
        bytes: u64,
        /// From whom.
        from: SocketAddr,
        /// In which dialect.
        dialect: Dialect,
        /// From its request to its end.
        took: Duration,
    },
    /// A peer did not deliver a chunk; the next one is tried.
    ChunkMissed {
        /// The ticket.
        ticket: u32,
        /// The chunk.
        name: ChunkName,
        /// Which peer.
        from: SocketAddr,
        /// In which dialect it was asked.
        dialect: Dialect,
        /// Why.
        why: String,
    },
    /// No peer delivers a chunk.
    ChunkFailed {
        /// The ticket.
        ticket: u32,
        /// The chunk.
        name: ChunkName,
    },
    /// A chunk is in the kernel on its way to somebody.
    ChunkSent {
        /// The chunk, by the name it was asked for.
        name: ChunkName,
        /// Its bytes.
        bytes: u64,
        /// To whom.
        to: SocketAddr,
        /// In which dialect.
        dialect: Dialect,
        /// From its request to its last byte.
        took: Duration,
    },
    /// A chunk that somebody asked for was not sent.
    ChunkUnsent {
        /// The chunk.
        name: ChunkName,
        /// Who asked.
        to: SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// Chunks are wanted that nobody announces for now. Said once, until there is something new.
    Waiting {
        /// The ticket.
        ticket: u32,
        /// Their numbers, from 1.
        missing: Vec<u32>,
    },
    /// A file stands under its name, unverified.
    Finished {
        /// The ticket.
        ticket: u32,
        /// Where.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// From the command to now.
        took: Duration,
        /// How many peers chunks came from.
        peers: usize,
    },
    /// The target exists and was left alone.
    Skipped {
        /// The ticket.
        ticket: u32,
        /// Where.
        path: PathBuf,
    },
    /// A file was not got; chunks that came are kept.
    Failed {
        /// The ticket.
        ticket: u32,
        /// Why.
        reason: ClassicFailure,
    },
}

/// Why a file was not got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassicFailure {
    /// Nobody announces a chunk of it.
    NobodyOffers {
        /// How many peers were heard.
        peers: usize,
        /// Files on offer, by the names they would have.
        files: Vec<String>,
    },
    /// The name stands for several files.
    Ambiguous {
        /// The names that they would have.
        files: Vec<String>,
    },
    /// Some chunks are announced by nobody, or delivered by nobody who announced them.
    Incomplete {
        /// Their names.
        missing: Vec<ChunkName>,
    },
    /// The chunks that came cannot be of one file; nothing is merged.
    Conflict {
        /// Which differ, in a sentence.
        text: String,
    },
    /// The store failed.
    Storage(Fault),
    /// It was given up.
    Cancelled,
}

/// A file of the classic dialects on offer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicContent {
    /// The name it would have.
    pub file: String,
    /// Who has which chunk: addresses by the chunk's number.
    pub chunks: BTreeMap<u32, Vec<IpAddr>>,
    /// The dialects in which some of it is offered.
    pub dialects: Vec<Dialect>,
    /// Its size in bytes, where announcements tell it.
    pub size: Option<u64>,
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}
