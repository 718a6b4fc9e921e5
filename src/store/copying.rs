//! Filling a download from a file of the same content that is served here, slice by slice: a content that is wanted under
//! several names is fetched once.
//!
//! The part it fills is one like any other: it has its final name only when it is whole and synced, and what a process that
//! dies leaves of it is resumed. Each chunk is verified again before it is written, for the file may change meanwhile.

use std::sync::Arc;

use crate::core::{Fault, FaultKind, SpanFault};
use crate::store::fault;
use crate::store::hash::SLICE_BYTES;
use crate::store::library::Library;
use crate::store::part::Part;
use crate::store::resume::manifest_of_small;
use crate::types::{ContentId, Manifest};

/// A download that is being filled.
#[derive(Debug)]
pub(crate) struct Copying {
    pub(crate) part: Box<Part>,
    next: u32,
}

/// What a slice of copying gave.
#[derive(Debug)]
pub(crate) enum Copied {
    /// There is more to do.
    More(Copying),
    /// The part has all that can be had here, which is everything unless the files changed.
    Done(Box<Part>),
    /// It cannot go on; the part is let go of.
    Failed(Fault),
}

/// Whether a file of a content is served here, as far as one look tells.
pub(crate) fn is_here(content: &ContentId, library: &mut Library) -> Result<bool, Fault> {
    if library.served.any_of(content).is_none() {
        return Ok(false);
    }
    match library.find(content) {
        Ok(_) => Ok(true),
        Err(SpanFault::Changed | SpanFault::Gone) => Ok(false),
        Err(SpanFault::Unreadable) => Err(unreadable()),
    }
}

/// The manifest of a content whose file is served here.
pub(crate) fn manifest_of(content: &ContentId, library: &mut Library) -> Option<Arc<Manifest>> {
    if let Some(manifest) = library.manifests.get(content) {
        return Some(manifest);
    }
    let file = library.served.opened_of(content)?;
    let stamp = library.fs.look(file).ok()?.stamp;
    manifest_of_small(content, file, &stamp, &library.fs)
}

impl Copying {
    /// Begins to fill what a part lacks.
    pub(crate) fn new(part: Box<Part>) -> Copying {
        Copying { part, next: 0 }
    }

    /// Copies a slice.
    pub(crate) fn step(mut self, library: &mut Library) -> Copied {
        let mut budget = SLICE_BYTES;
        while budget > 0 {
            let Some(chunk) = (self.next..self.part.have.len()).find(|chunk| !self.part.have.get(*chunk))
            else {
                return Copied::Done(self.part);
            };
            self.next = chunk;
            match self.copy(chunk, library) {
                Ok(true) => self.next += 1,
                // Another file of the content may have it.
                Ok(false) if library.served.any_of(&self.part.content).is_some() => {}
                Ok(false) => return Copied::Done(self.part),
                Err(fault) => {
                    self.part.close(&library.fs);
                    return Copied::Failed(fault);
                }
            }
            budget = budget.saturating_sub(self.part.manifest.geometry.chunk_bytes() as usize);
        }
        Copied::More(self)
    }

    /// Copies a chunk; false when the file is not what it was, and so served no more.
    fn copy(&mut self, chunk: u32, library: &mut Library) -> Result<bool, Fault> {
        let content = self.part.content;
        let at = match library.find(&content) {
            Ok(at) => at,
            Err(SpanFault::Changed | SpanFault::Gone) => return Ok(false),
            Err(SpanFault::Unreadable) => return Err(unreadable()),
        };
        let (offset, len) = self.part.manifest.geometry.chunk_span(chunk).unwrap_or_default();
        let Library { served, fs, scratch, .. } = library;
        let Some(file) = served.opened(at) else { return Ok(false) };
        if scratch.len() < len as usize {
            scratch.resize(len as usize, 0);
        }
        let bytes = scratch.get_mut(..len as usize).unwrap_or_default();
        let read = fs.read_at(file, bytes, offset).map_err(|_| unreadable())?;
        if read < bytes.len() || self.part.place_of(chunk, bytes).is_none() {
            library.withdraw(at, SpanFault::Changed);
            return Ok(false);
        }
        let written = fs.write_at(&self.part.file, bytes, offset);
        written.map_err(|errno| {
            fault::writing("write", &self.part.folder.path.join(&self.part.names.part), errno)
        })?;
        self.part.note(&library.fs, chunk);
        Ok(true)
    }
}

fn unreadable() -> Fault {
    let text =
        "the content is here under another name, and cannot be read there; check the device".to_owned();
    fault::fault(FaultKind::Io, text)
}
