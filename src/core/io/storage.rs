//! What the core has the store do, and what the store answers.

use std::fmt;
use std::path::PathBuf;

use crate::core::io::{BufferId, ClassicJob, ClassicReply, ConnId, SpanFault, TransferJob, TransferReply};
use crate::types::manifest::ManifestPage;
use crate::types::name::Layout;
use crate::types::{Bitfield, ContentId, Geometry, Manifest};

/// A job for the store. Each has exactly one reply, at once or later; those of the classic dialects say which they have.
#[derive(Debug)]
pub enum StoreJob {
    /// Look for what is there of a content: the file itself, a part, or nothing. Where it is here under another name, a part
    /// is filled from there. Reply: `PartOpened` or `PartFailed`.
    OpenPart {
        /// The content.
        content: ContentId,
        /// The name it is offered under, from the network.
        name: String,
        /// What becomes of the folders in the name.
        layout: Layout,
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
    /// Verify the one chunk of a content, which is all of it, and have that stand under its final name, durably. Reply:
    /// `SingleChunkStored`, `ChunkBad` or `ChunkFailed`.
    StoreSingleChunk {
        /// The content, of which `OpenPart` found nothing.
        content: ContentId,
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
    /// Let go of a part and delete it. Reply: `PartClosed`.
    DropPart {
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
    /// Look whether the files of a content still are what was hashed, each under its name. Those that are not are told by
    /// `Withdrawn`; there is no other reply.
    Look {
        /// The content.
        content: ContentId,
    },
    /// One of the classic dialects.
    Classic(ClassicJob),
    /// One of a transfer.
    Transfer(TransferJob),
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
    /// The one chunk was right, and is the file that stands under its final name, durably, and is served from there.
    SingleChunkStored {
        /// The content.
        content: ContentId,
        /// Where.
        path: PathBuf,
        /// The buffer, free again.
        buffer: BufferId,
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
    /// To a job of the classic dialects.
    Classic(ClassicReply),
    /// To a job of a transfer.
    Transfer(TransferReply),
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

impl FaultKind {
    /// Whether this may be the fault of the one place in the target folder where a file was to go, so that another may do.
    pub fn is_of_place(self) -> bool {
        matches!(self, FaultKind::Denied | FaultKind::NameRefused | FaultKind::Exists | FaultKind::Busy)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
