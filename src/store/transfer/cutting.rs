//! A file that is cut out of the stream it came in, slice by slice.

use std::sync::Arc;

use rustix::io::Errno;

use crate::core::SpoolId;
use crate::store::fs::{File, Fs, FsResult};
use crate::store::hash::SLICE_BYTES;
use crate::store::temp::Temp;
use crate::store::transfer::Whole;

/// A file on its way out of a spool.
#[derive(Debug)]
pub(crate) struct Cutting {
    from: Whole,
    /// Where the next byte to copy is, and where the last is behind.
    at: u64,
    end: u64,
    to: Option<Temp>,
}

/// What a slice gave.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is more to do.
    More(Cutting),
    /// All is copied.
    Done(Whole),
}

impl Cutting {
    /// Begins to copy so many bytes behind the first `skip`.
    pub(crate) fn new(from: Whole, skip: u64, bytes: u64) -> Cutting {
        Cutting { from, at: skip, end: skip.saturating_add(bytes), to: None }
    }

    /// Of which spool.
    pub(crate) fn spool(&self) -> SpoolId {
        self.from.spool
    }

    /// Copies one slice.
    pub(crate) fn step(mut self, fs: &Fs, folder: &Arc<File>, scratch: &mut Vec<u8>) -> FsResult<Step> {
        let mut to = match self.to.take() {
            Some(to) => to,
            None => Temp::make(fs, folder)?,
        };
        let len = usize::try_from(self.end - self.at).unwrap_or(SLICE_BYTES).min(SLICE_BYTES);
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        if fs.read_at(self.from.temp.file(), &mut scratch[..len], self.at)? < len {
            return Err(Errno::IO);
        }
        to.append(&scratch[..len])?;
        self.at += len as u64;
        if self.at < self.end {
            self.to = Some(to);
            return Ok(Step::More(self));
        }
        Ok(Step::Done(Whole { temp: to, ..self.from }))
    }
}
