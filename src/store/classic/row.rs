//! Chunks one behind the other, read in slices.

use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::classic::kept::{Kept, is_unchanged, look_at_chunk, open_chunk};
use crate::store::fault;
use crate::store::fs::{File, Fs, Stamp};
use crate::store::hash::SLICE_BYTES;
use crate::wire::classic::ChunkName;

/// The chunks of one file, in order, and how far they were read.
#[derive(Debug)]
pub(crate) struct Row {
    fs: Fs,
    folder: Arc<File>,
    chunks: Arc<[(ChunkName, Stamp)]>,
    at: usize,
    open: Option<File>,
    offset: u64,
}

impl Row {
    /// Looks at each of these chunks; what is no chunk under its own name may be one under another form of it.
    pub(crate) fn new(
        fs: &Fs,
        folder: &Arc<File>,
        path: &Path,
        names: &[ChunkName],
        kept: &Kept,
    ) -> Result<Row, Fault> {
        let mut chunks = Vec::with_capacity(names.len());
        for name in names {
            let found = std::iter::once(name.clone())
                .chain(kept.stand_ins(name))
                .find_map(|name| look_at_chunk(fs, folder, &name).ok().map(|stamp| (name, stamp)));
            chunks.push(found.ok_or_else(|| missing(path, name))?);
        }
        Ok(Row {
            fs: fs.clone(),
            folder: Arc::clone(folder),
            chunks: chunks.into(),
            at: 0,
            open: None,
            offset: 0,
        })
    }

    /// The same chunks from the beginning.
    pub(crate) fn again(&self) -> Row {
        Row {
            fs: self.fs.clone(),
            folder: Arc::clone(&self.folder),
            chunks: Arc::clone(&self.chunks),
            at: 0,
            open: None,
            offset: 0,
        }
    }

    /// The bytes of all.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|(_, stamp)| stamp.size).fold(0, u64::saturating_add)
    }

    /// The names under which they are kept.
    pub(crate) fn names(&self) -> Vec<ChunkName> {
        self.chunks.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Reads the next slice into scratch memory and tells its length; 0 at the end. `path` is that of the folder, for
    /// sentences.
    pub(crate) fn next(&mut self, path: &Path, scratch: &mut Vec<u8>) -> Result<usize, Fault> {
        let chunks = Arc::clone(&self.chunks);
        let Some((name, stamp)) = chunks.get(self.at) else { return Ok(0) };
        let shown = || path.join(name.to_string());
        let failed = |errno| fault::keeping("read", &shown(), errno);
        let file = match self.open.take() {
            Some(file) => file,
            None => {
                let (file, opened) =
                    open_chunk(&self.fs, &self.folder, name).map_err(|errno| match errno {
                        Errno::NOENT => missing(path, name),
                        errno => failed(errno),
                    })?;
                if !is_unchanged(&opened, stamp) {
                    return Err(changed(&shown()));
                }
                file
            }
        };
        let left = stamp.size - self.offset;
        let len = usize::try_from(left).unwrap_or(SLICE_BYTES).min(SLICE_BYTES);
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        let read = self.fs.read_at(&file, &mut scratch[..len], self.offset).map_err(failed)?;
        if read < len {
            return Err(changed(&shown()));
        }
        self.offset += len as u64;
        if self.offset < stamp.size {
            self.open = Some(file);
            return Ok(len);
        }
        let now = self.fs.look(&file).map_err(failed)?.stamp;
        if !is_unchanged(&now, stamp) {
            return Err(changed(&shown()));
        }
        (self.at, self.offset) = (self.at + 1, 0);
        Ok(len)
    }
}

fn missing(path: &Path, name: &ChunkName) -> Fault {
    let shown = fault::shown(&path.join(name.to_string()));
    fault::fault(FaultKind::Io, format!("{shown} is no chunk or not there any more; run the command again"))
}

fn changed(path: &Path) -> Fault {
    let shown = fault::shown(path);
    fault::fault(
        FaultKind::Io,
        format!("{shown} was changed by somebody else meanwhile; run the command again"),
    )
}
