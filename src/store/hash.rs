//! Hashing one file, in slices or in one go, into its id and manifest.

use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::fault;
use crate::store::fs::{File, Fs, Stamp};
use crate::types::manifest::ManifestBuilder;
use crate::types::{ContentId, Geometry, Manifest};

/// The bytes that one slice of hashing takes.
pub(crate) const SLICE_BYTES: usize = 1 << 20;

/// A file on its way to an id.
#[derive(Debug)]
pub(crate) struct FileHash {
    file: File,
    stamp: Stamp,
    begun_ns: i64,
    builder: Box<ManifestBuilder>,
}

/// A file that was hashed from one end to the other, unchanged meanwhile.
#[derive(Debug)]
pub(crate) struct Hashed {
    pub(crate) id: ContentId,
    pub(crate) manifest: Manifest,
    pub(crate) stamp: Stamp,
    /// When the hashing began, in nanoseconds since 1970.
    pub(crate) begun_ns: i64,
}

/// Why a file has no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashFault {
    /// It changed meanwhile.
    Changed,
    /// It is larger than any manifest.
    TooLarge,
    /// It cannot be read.
    Read(Errno),
}

impl FileHash {
    /// Begins with an open file and what a look at it gave.
    pub(crate) fn new(fs: &Fs, file: File, stamp: Stamp) -> Result<FileHash, HashFault> {
        let geometry = Geometry::native(stamp.size).map_err(|_| HashFault::TooLarge)?;
        let builder = Box::new(ManifestBuilder::new(geometry));
        Ok(FileHash { file, stamp, begun_ns: fs.now_ns(), builder })
    }

    /// What the file was when it was opened.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Bytes hashed so far.
    pub(crate) fn done_bytes(&self) -> u64 {
        self.builder.taken_bytes()
    }

    /// Hashes the next slice; true when it was the last.
    pub(crate) fn step(&mut self, fs: &Fs, scratch: &mut Vec<u8>) -> Result<bool, HashFault> {
        let left = self.stamp.size - self.done_bytes();
        let len = usize::try_from(left).unwrap_or(SLICE_BYTES).min(SLICE_BYTES);
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        let read = fs.read_at(&self.file, &mut scratch[..len], self.done_bytes()).map_err(HashFault::Read)?;
        if read < len {
            return Err(HashFault::Changed);
        }
        self.builder.push(&scratch[..len]);
        Ok(left == len as u64)
    }

    /// The id and manifest, when the file still is as it was at the beginning.
    pub(crate) fn finish(self, fs: &Fs) -> Result<Hashed, HashFault> {
        let FileHash { file, stamp, begun_ns, builder } = self;
        if fs.look(&file).map_err(HashFault::Read)?.stamp != stamp {
            return Err(HashFault::Changed);
        }
        let (id, manifest) = builder.finish().map_err(|_| HashFault::Changed)?;
        Ok(Hashed { id, manifest, stamp, begun_ns })
    }
}

impl HashFault {
    /// The fault as a sentence about `path`.
    pub(crate) fn into_fault(self, path: &Path) -> Fault {
        let shown = fault::shown(path);
        match self {
            HashFault::Changed => {
                fault::fault(FaultKind::Io, format!("{shown} changed while it was read; try again"))
            }
            HashFault::TooLarge => fault::fault(
                FaultKind::Denied,
                format!("{shown} is larger than 1 TiB, the most there can be"),
            ),
            HashFault::Read(errno) => fault::reading("read", path, errno),
        }
    }
}

/// Hashes a whole file: its id, as `b3sum` prints it, and its size in bytes. `progress` hears the bytes done, after
/// each slice.
pub fn hash_path(path: &Path, mut progress: impl FnMut(u64)) -> Result<(ContentId, u64), Fault> {
    let fs = Fs::new();
    let failed = |errno| fault::reading("read", path, errno);
    let file = fs.open_read(path).map_err(failed)?;
    let look = fs.look(&file).map_err(failed)?;
    if look.kind != FileType::RegularFile {
        let text = format!("{} is not a file; name the files in it", fault::shown(path));
        return Err(fault::fault(FaultKind::Denied, text));
    }
    let failed = |why: HashFault| why.into_fault(path);
    let mut hash = FileHash::new(&fs, file, look.stamp).map_err(failed)?;
    let mut scratch = Vec::new();
    while !hash.step(&fs, &mut scratch).map_err(failed)? {
        progress(hash.done_bytes());
    }
    progress(hash.done_bytes());
    let hashed = hash.finish(&fs).map_err(failed)?;
    Ok((hashed.id, hashed.stamp.size))
}
