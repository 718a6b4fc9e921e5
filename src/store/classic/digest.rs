//! What D announces of chunks beside their names: size, SHA-256, and when they were made. Read in slices; what was read
//! for the round before and did not change is not read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec;

use chrono::NaiveDateTime;
use sha2::{Digest, Sha256};

use crate::core::ChunkBytes;
use crate::store::classic::kept::{Kept, is_unchanged, open_chunk};
use crate::store::fs::{File, Stamp};
use crate::store::hash::SLICE_BYTES;
use crate::store::library::Library;
use crate::types::ContentId;
use crate::wire::classic::ChunkName;
use crate::wire::classic::announcement::BatchChunk;

/// What was read of a chunk, and of which bytes.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    bytes: Bytes,
    chunk: BatchChunk,
}

/// Bytes that do not change without being told apart from what they were.
#[derive(Debug, Clone, Copy)]
enum Bytes {
    /// Of a kept chunk's file.
    Kept(Stamp),
    /// Of a shared file, from here on.
    Shared(ContentId, u64),
}

/// Chunks that are being read.
#[derive(Debug)]
pub(crate) struct Digesting {
    wanted: vec::IntoIter<(ChunkName, ChunkBytes)>,
    reading: Option<Reading>,
    known: BTreeMap<ChunkName, Known>,
}

/// One of them.
#[derive(Debug)]
struct Reading {
    name: ChunkName,
    bytes: Bytes,
    /// The file of a kept chunk. That of a shared file is asked for with each slice, for it may be withdrawn.
    file: Option<File>,
    at: u64,
    end: u64,
    size: u64,
    made: NaiveDateTime,
    sha256: Sha256,
}

impl Digesting {
    /// Nothing is read yet.
    pub(crate) fn new(chunks: Vec<(ChunkName, ChunkBytes)>) -> Digesting {
        Digesting { wanted: chunks.into_iter(), reading: None, known: BTreeMap::new() }
    }

    /// Reads one slice. False when nothing is left to read.
    pub(crate) fn step(
        &mut self,
        folder: Option<&Arc<File>>,
        kept: &Kept,
        known: &BTreeMap<ChunkName, Known>,
        library: &mut Library,
    ) -> bool {
        if let Some(reading) = self.reading.take() {
            self.read(reading, library);
            return true;
        }
        let Some((name, bytes)) = self.wanted.next() else { return false };
        let begun = match bytes {
            ChunkBytes::Kept => begin_kept(&name, folder, kept, library),
            ChunkBytes::Shared { content, offset, bytes } => {
                begin_shared(&name, content, offset, bytes, library)
            }
        };
        let Some(reading) = begun else { return true };
        match known.get(&name).filter(|known| known.bytes.are(&reading.bytes)) {
            Some(known) => {
                self.known.insert(name, known.clone());
            }
            None => self.reading = Some(reading),
        }
        true
    }

    /// What was read, and the same to be known in the next round.
    pub(crate) fn finish(self) -> (Vec<BatchChunk>, BTreeMap<ChunkName, Known>) {
        (self.known.values().map(|known| known.chunk.clone()).collect(), self.known)
    }

    /// Reads one slice of a chunk; one that cannot be read is left out.
    fn read(&mut self, mut reading: Reading, library: &mut Library) {
        if reading.slice(library).is_none() {
            return;
        }
        if reading.at < reading.end {
            self.reading = Some(reading);
            return;
        }
        let sha256 = reading.sha256.finalize().into();
        let Reading { name, bytes, size, made, .. } = reading;
        let chunk = BatchChunk { name: name.clone(), size, sha256, made };
        self.known.insert(name, Known { bytes, chunk });
    }
}

impl Reading {
    /// `None` when the bytes are not there as they were.
    fn slice(&mut self, library: &mut Library) -> Option<()> {
        let len = usize::try_from(self.end - self.at).unwrap_or(SLICE_BYTES).min(SLICE_BYTES);
        let mut slice = std::mem::take(&mut library.scratch);
        slice.resize(len.max(slice.len()), 0);
        let file = match (&self.file, &self.bytes) {
            (Some(file), _) => Some(file),
            (None, Bytes::Shared(content, _)) => {
                let at = library.find(content).ok();
                at.and_then(|at| library.served.opened(at))
            }
            (None, Bytes::Kept(_)) => None,
        };
        let read = file.and_then(|file| library.fs.read_at(file, &mut slice[..len], self.at).ok());
        let is_whole = read == Some(len);
        if is_whole {
            self.sha256.update(&slice[..len]);
            self.at += len as u64;
        }
        library.scratch = slice;
        is_whole.then_some(())
    }
}

impl Bytes {
    fn are(&self, other: &Bytes) -> bool {
        match (self, other) {
            (Bytes::Kept(a), Bytes::Kept(b)) => is_unchanged(a, b),
            (Bytes::Shared(a, from), Bytes::Shared(b, other_from)) => (a, from) == (b, other_from),
            _ => false,
        }
    }
}

fn begin_kept(
    name: &ChunkName,
    folder: Option<&Arc<File>>,
    kept: &Kept,
    library: &Library,
) -> Option<Reading> {
    let names = std::iter::once(name.clone()).chain(kept.stand_ins(name));
    let folder = folder?;
    let (file, stamp) = names.into_iter().find_map(|name| open_chunk(&library.fs, folder, &name).ok())?;
    Some(Reading {
        name: name.clone(),
        bytes: Bytes::Kept(stamp),
        file: Some(file),
        at: 0,
        end: stamp.size,
        size: stamp.size,
        made: library.fs.local_time(stamp.mtime_ns),
        sha256: Sha256::new(),
    })
}

fn begin_shared(
    name: &ChunkName,
    content: ContentId,
    offset: u64,
    bytes: u64,
    library: &mut Library,
) -> Option<Reading> {
    let at = library.find(&content).ok()?;
    let stamp = library.fs.look(library.served.opened(at)?).ok()?.stamp;
    Some(Reading {
        name: name.clone(),
        bytes: Bytes::Shared(content, offset),
        file: None,
        at: offset,
        end: offset.saturating_add(bytes),
        size: bytes,
        made: library.fs.local_time(stamp.mtime_ns),
        sha256: Sha256::new(),
    })
}
