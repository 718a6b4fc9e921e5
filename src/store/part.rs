//! The part of one download on disk: locked, written chunk by chunk, nothing in it that was not verified first.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind, SpanFault};
use crate::store::fault;
use crate::store::fs::{File, Fs, Make, Stamp};
use crate::store::state::StateFile;
use crate::store::target::{Folder, Names};
use crate::types::{Bitfield, ContentId, Manifest};

/// How often a part that somebody renames while it is opened is looked for again.
const OPEN_TRIES_MAX: u32 = 3;

/// The open part of a download.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) content: ContentId,
    /// The name it is offered under.
    pub(crate) name: String,
    pub(crate) names: Names,
    pub(crate) folder: Folder,
    pub(crate) file: Arc<File>,
    /// None for a content of one chunk: there is nothing to resume.
    pub(crate) state: Option<StateFile>,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) have: Bitfield,
    /// Chunks of it that the I/O thread has.
    pub(crate) writing: usize,
    /// Whether the I/O thread has it.
    pub(crate) publishing: bool,
}

/// A part file, open, locked, and under its name.
#[derive(Debug)]
pub(crate) struct LockedFile {
    pub(crate) file: File,
    pub(crate) stamp: Stamp,
}

impl LockedFile {
    /// Opens and locks the part file that is there; `None` when there is none of its own.
    pub(crate) fn open(
        fs: &Fs,
        folder_path: &Path,
        folder: &File,
        names: &Names,
    ) -> Result<Option<LockedFile>, Fault> {
        let failed = |errno| fault::writing("open", &folder_path.join(&names.part), errno);
        for _ in 0..OPEN_TRIES_MAX {
            let file = match fs.open_write_at(folder, &names.part, Make::Never) {
                Err(Errno::NOENT) => return Ok(None),
                other => other.map_err(failed)?,
            };
            let look = fs.look(&file).map_err(failed)?;
            if look.kind != FileType::RegularFile {
                return Err(failed(Errno::LOOP));
            }
            if look.names > 1 {
                // Somebody's file has this name too, and is not to be written to. It keeps its other name.
                fs.unlink(folder, &names.part).map_err(failed)?;
                continue;
            }
            if !fs.try_lock(&file).map_err(failed)? {
                return Err(busy(fs, folder, names, folder_path));
            }
            // Between the opening and the locking another process may have given it its final name.
            match fs.look_at(folder, Path::new(&names.part)) {
                Ok(named) if named.stamp.same_file(&look.stamp) => {
                    return Ok(Some(LockedFile { file, stamp: named.stamp }));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Err(busy(fs, folder, names, folder_path))
    }

    /// Opens the part file that is there, or makes one; locked in either case. With how many bytes it has.
    pub(crate) fn open_or_make(
        fs: &Fs,
        folder_path: &Path,
        folder: &File,
        names: &Names,
    ) -> Result<(File, u64), Fault> {
        let failed = |errno| fault::writing("write", &folder_path.join(&names.part), errno);
        let file = match fs.open_write_at(folder, &names.part, Make::New) {
            Err(Errno::EXIST) => {
                let there = LockedFile::open(fs, folder_path, folder, names)?;
                let there = there.ok_or_else(|| busy(fs, folder, names, folder_path))?;
                return Ok((there.file, there.stamp.size));
            }
            other => other.map_err(failed)?,
        };
        if !fs.try_lock(&file).map_err(failed)? {
            return Err(busy(fs, folder, names, folder_path));
        }
        Ok((file, 0))
    }
}

impl Part {
    /// Where a chunk belongs, if these are its bytes.
    pub(crate) fn place_of(&self, chunk: u32, bytes: &[u8]) -> Option<u64> {
        let (offset, _) = self.manifest.geometry.chunk_span(chunk)?;
        self.manifest.verify_chunk(&self.content, chunk, bytes).then_some(offset)
    }

    /// Takes note of a chunk that is written.
    pub(crate) fn note(&mut self, fs: &Fs, chunk: u32) {
        if self.have.set(chunk)
            && let Some(state) = &mut self.state
        {
            state.chunk(fs, chunk);
        }
    }

    /// The file, after a look that it is as long as it should be.
    pub(crate) fn span(&self, fs: &Fs) -> Result<&File, SpanFault> {
        let look = fs.look(&self.file).map_err(|_| SpanFault::Unreadable)?;
        let whole = look.stamp.size == self.manifest.geometry.size_bytes();
        if whole { Ok(&self.file) } else { Err(SpanFault::Changed) }
    }

    /// Hashes a chunk that is there again; false, and no longer there, when it is not right or cannot be read.
    pub(crate) fn recheck(&mut self, fs: &Fs, chunk: u32, scratch: &mut Vec<u8>) -> bool {
        let Some((offset, len)) = self.manifest.geometry.chunk_span(chunk) else { return false };
        let len = len as usize;
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        let read = fs.read_at(&self.file, &mut scratch[..len], offset).unwrap_or(0);
        let good = self.manifest.verify_chunk(&self.content, chunk, &scratch[..read]);
        if !good
            && self.have.clear(chunk)
            && let Some(state) = &mut self.state
        {
            state.lost(fs, chunk);
        }
        good
    }

    /// Lets go of the part, with a clean mark. One that has nothing is removed.
    pub(crate) fn close(mut self, fs: &Fs) {
        if self.have.count() == 0 {
            return self.delete(fs);
        }
        if let (Some(state), Ok(look)) = (&mut self.state, fs.look(&self.file)) {
            state.clean(fs, &look.stamp);
        }
    }

    /// Removes the part with all that it has.
    pub(crate) fn delete(self, fs: &Fs) {
        // The lock is held until `self` is dropped, so nobody else can have begun to fill it.
        let _ = fs.unlink(&self.folder.open, &self.names.part);
        if self.state.is_some() {
            let _ = fs.unlink(&self.folder.open, &self.names.state);
        }
    }

    /// Lets go of a part that could not be brought to the device: nothing in it counts until it was read from there.
    pub(crate) fn close_suspect(mut self, fs: &Fs) {
        if let Some(state) = &mut self.state {
            state.suspect(fs);
        }
    }
}

/// Another process has the part.
fn busy(fs: &Fs, folder: &File, names: &Names, folder_path: &Path) -> Fault {
    let owner = match StateFile::owner(fs, folder, &names.state) {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    let shown = fault::shown(&folder_path.join(&names.part));
    fault::fault(
        FaultKind::Busy,
        format!("{owner} is downloading into {shown}; wait for it, or end it, and try again"),
    )
}
