//! A spool on its way to be a chunk: what is not the chunk's at its beginning is left behind, slice by slice.

use rustix::io::Errno;

use crate::core::{Fault, FaultKind, SpoolId};
use crate::store::classic::folder::ChunkFolder;
use crate::store::classic::kept::file_name;
use crate::store::fault;
use crate::store::fs::{Fs, FsResult};
use crate::store::hash::SLICE_BYTES;
use crate::store::spools::{Spool, Spools};
use crate::store::temp::Temp;
use crate::types::name::quoted;
use crate::wire::classic::ChunkName;

/// A spool that becomes a chunk.
#[derive(Debug)]
pub(crate) struct Keeping {
    spool: SpoolId,
    name: ChunkName,
    from: Temp,
    /// Where the next byte to copy is; 0: all bytes are the chunk's.
    at: u64,
    to: Option<Temp>,
}

/// What a slice gave.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is more to do.
    More(Keeping),
    /// The chunk has its name.
    Done { spool: SpoolId, name: ChunkName, bytes: u64 },
    /// It has not; the spool is gone.
    Failed { spool: SpoolId, fault: Fault },
}

impl Keeping {
    /// Begins with a spool that has more than `skip` bytes, and takes it; `None`: its fault was told before.
    pub(crate) fn of(
        spools: &mut Spools,
        spool: SpoolId,
        name: ChunkName,
        skip: u64,
    ) -> Result<Option<Keeping>, Fault> {
        match spools.take(spool) {
            Some(Spool::Open(from)) if from.bytes() > skip => {
                Ok(Some(Keeping { spool, name, from, at: skip, to: None }))
            }
            Some(Spool::Failed) => Ok(None),
            Some(Spool::Open(_)) | None => {
                let shown = quoted(&name.to_string());
                let text = format!("no byte of the chunk {shown} came; ask another peer for it");
                Err(fault::fault(FaultKind::Io, text))
            }
        }
    }

    /// Whether nothing has to be copied, so that the next step is the last.
    pub(crate) fn is_quick(&self) -> bool {
        self.at == 0
    }

    /// Copies one slice, or gives the chunk its name.
    pub(crate) fn step(mut self, fs: &Fs, folder: &mut ChunkFolder, scratch: &mut Vec<u8>) -> Step {
        let (spool, name) = (self.spool, self.name.clone());
        let path = folder.path().join(name.to_string());
        let failed = |errno| {
            let fault = fault::keeping("keep", &path, errno);
            Step::Failed { spool, fault }
        };
        if !self.is_quick() {
            return match self.copy(fs, folder, scratch) {
                Ok(()) => Step::More(self),
                Err(errno) => failed(errno),
            };
        }
        let bytes = self.from.bytes();
        match file_name(&name).and_then(|text| self.from.name_over(&text)) {
            Ok(()) => Step::Done { spool, name, bytes },
            Err(errno) => failed(errno),
        }
    }

    fn copy(&mut self, fs: &Fs, folder: &mut ChunkFolder, scratch: &mut Vec<u8>) -> FsResult<()> {
        let mut to = match self.to.take() {
            Some(to) => to,
            None => folder.make_temp()?,
        };
        let left = self.from.bytes() - self.at;
        let len = usize::try_from(left).unwrap_or(SLICE_BYTES).min(SLICE_BYTES);
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        if fs.read_at(self.from.file(), &mut scratch[..len], self.at)? < len {
            return Err(Errno::IO);
        }
        to.append(&scratch[..len])?;
        self.at += len as u64;
        if self.at < self.from.bytes() {
            self.to = Some(to);
        } else {
            (self.from, self.at) = (to, 0);
        }
        Ok(())
    }
}
