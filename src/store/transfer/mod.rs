//! Files that are received in the forms of other programs: from a spool in the target folder to a final name.
//!
//! Nothing here is verified, and nothing has a name before it is whole. What stands around the file in its stream is cut
//! away by a copy, slice by slice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use crate::core::{Fault, FaultKind, SpoolId, StoreReply, TransferJob, TransferReply};
use crate::store::fs::{File, Fs, FsResult};
use crate::store::hash::SLICE_BYTES;
use crate::store::io_thread::IoThread;
use crate::store::library::Library;
use crate::store::publish::{Failure, Goal, Published, Request};
use crate::store::spools::{Spool, Spools};
use crate::store::target::{Names, Target};
use crate::store::temp::{Temp, sweep};
use crate::store::{OnConflict, fault};
use crate::types::name::quoted;

/// What is said of a spool that nobody opened.
const NOT_THERE: &str = "a pushed file was to be stored of which nothing is here";

/// All that comes in.
#[derive(Debug)]
pub(crate) struct Transfers {
    fs: Fs,
    spools: Spools,
    /// Files that the I/O thread has.
    publishing: BTreeMap<SpoolId, Temp>,
    /// What processes that died have left in the folder is gone.
    is_swept: bool,
}

/// A file that is whole, and the name it is to have.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) spool: SpoolId,
    pub(crate) name: String,
    pub(crate) temp: Temp,
}

impl Transfers {
    /// Nothing yet.
    pub(crate) fn new(fs: Fs) -> Transfers {
        Transfers { fs, spools: Spools::default(), publishing: BTreeMap::new(), is_swept: false }
    }

    /// Whether a spool is one of these.
    pub(crate) fn has(&self, spool: SpoolId) -> bool {
        self.spools.contains(spool)
    }

    /// Carries out a job; what is left to do in slices is given back.
    pub(crate) fn submit(
        &mut self,
        job: TransferJob,
        target: &mut Target,
        io: &mut IoThread,
        library: &mut Library,
    ) -> Option<Cutting> {
        let (spool, replied) = match job {
            TransferJob::OpenSpool { spool, bytes } => {
                let opened = self.open(spool, bytes, target);
                (spool, opened.map(|()| Some(TransferReply::Opened { spool })))
            }
            TransferJob::ReadEnds { spool, head, tail } => {
                (spool, self.read_ends(spool, head, tail, target.path()))
            }
            TransferJob::Keep { spool, name, skip, bytes } => match self.take(spool, name) {
                Ok(Some(whole)) if (skip, bytes) != (0, whole.temp.bytes()) => {
                    return Some(Cutting::new(whole, skip, bytes));
                }
                Ok(Some(whole)) => (spool, self.publish(whole, target, io).map(|()| None)),
                Ok(None) => return None,
                Err(fault) => (spool, Err(fault)),
            },
            TransferJob::DropSpool { spool } => {
                self.spools.drop_spool(spool);
                // The number may serve another file before this would be heard.
                library.retract_spool(spool);
                return None;
            }
        };
        match replied {
            Ok(told) => told.into_iter().for_each(|told| reply(library, told)),
            Err(fault) => reply(library, TransferReply::SpoolFailed { spool, fault }),
        }
        None
    }

    /// Copies one slice of what is cut; what is left is given back.
    pub(crate) fn step(
        &mut self,
        cutting: Cutting,
        target: &mut Target,
        io: &mut IoThread,
        library: &mut Library,
    ) -> Option<Cutting> {
        let spool = cutting.spool();
        let stepped = match target.folder() {
            Ok(folder) => cutting
                .step(&self.fs, &folder, &mut library.scratch)
                .map_err(|errno| fault::transferred("write in", target.path(), errno)),
            Err(fault) => Err(fault),
        };
        let failure = match stepped {
            Ok(Step::More(cutting)) => return Some(cutting),
            Ok(Step::Done(whole)) => self.publish(whole, target, io).err(),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = failure {
            reply(library, TransferReply::SpoolFailed { spool, fault });
        }
        None
    }

    /// Puts bytes behind those in a spool.
    pub(crate) fn write(&mut self, spool: SpoolId, bytes: &[u8], path: &Path, library: &mut Library) {
        if let Err(errno) = self.spools.append(spool, bytes) {
            let fault = fault::transferred("write in", path, errno);
            reply(library, TransferReply::SpoolFailed { spool, fault });
        }
    }

    /// The I/O thread is done with a file.
    pub(crate) fn published(
        &mut self,
        spool: SpoolId,
        result: Result<Published, Failure>,
        target: &Target,
        library: &mut Library,
    ) {
        let Some(temp) = self.publishing.remove(&spool) else { return };
        let told = match result {
            Ok(Published { name, .. }) => {
                temp.was_named();
                TransferReply::Kept { spool, path: target.path().join(name) }
            }
            Err(failure) => TransferReply::SpoolFailed { spool, fault: failure.into_fault() },
        };
        reply(library, told);
    }

    /// Makes a spool where there is room for it.
    fn open(&mut self, spool: SpoolId, bytes: Option<u64>, target: &mut Target) -> Result<(), Fault> {
        let folder = target.folder()?;
        let failed = |errno| fault::transferred("write in", target.path(), errno);
        if !std::mem::replace(&mut self.is_swept, true) {
            // What stays is only in the way of the space.
            let _ = sweep(&self.fs, &folder);
        }
        let free = self.fs.free_bytes(&folder).map_err(failed)?;
        if bytes.is_some_and(|bytes| bytes > free) {
            return Err(failed(Errno::NOSPC));
        }
        let temp = Temp::make(&self.fs, &folder).map_err(failed)?;
        self.spools.open(spool, temp);
        Ok(())
    }

    /// The first and the last bytes in a spool; nothing where its failure is on its way already.
    fn read_ends(
        &mut self,
        spool: SpoolId,
        head: usize,
        tail: usize,
        path: &Path,
    ) -> Result<Option<TransferReply>, Fault> {
        let temp = match self.spools.get(spool) {
            Some(Spool::Open(temp)) => temp,
            Some(Spool::Failed) => return Ok(None),
            None => return Err(fault::bug(NOT_THERE)),
        };
        let bytes = temp.bytes();
        let tail_begin = bytes.saturating_sub(tail as u64);
        let read = read(&self.fs, temp.file(), 0, head)
            .and_then(|head| Ok((head, read(&self.fs, temp.file(), tail_begin, tail)?)));
        let (head, tail) = read.map_err(|errno| fault::transferred("read in", path, errno))?;
        Ok(Some(TransferReply::Ends { spool, head, tail, bytes }))
    }

    /// Takes a spool out; nothing where its failure is on its way already.
    fn take(&mut self, spool: SpoolId, name: String) -> Result<Option<Whole>, Fault> {
        match self.spools.take(spool) {
            Some(Spool::Open(temp)) => Ok(Some(Whole { spool, name, temp })),
            Some(Spool::Failed) => Ok(None),
            None => Err(fault::bug(NOT_THERE)),
        }
    }

    /// Has the I/O thread give a file its name.
    fn publish(&mut self, whole: Whole, target: &mut Target, io: &mut IoThread) -> Result<(), Fault> {
        let Whole { spool, name, temp } = whole;
        let wished = target.local_name(&name).ok_or_else(|| {
            let text = format!("{} makes no file name here; have it sent under another", quoted(&name));
            fault::fault(FaultKind::NameRefused, text)
        })?;
        let names = Names { wished, part: temp.name().to_owned(), state: String::new(), in_tree: false };
        io.publish(Request {
            goal: Goal::Transferred(spool),
            size_bytes: temp.bytes(),
            file: Arc::clone(temp.file()),
            folder: target.folder()?,
            folder_path: target.shared_path(),
            made_in: target.take_made_in(),
            names,
            has_state: false,
            // A sender replaces nothing here.
            on_conflict: OnConflict::Rename,
        })?;
        self.publishing.insert(spool, temp);
        Ok(())
    }
}

/// At most so many bytes from a place on.
fn read(fs: &Fs, file: &File, at: u64, bytes_max: usize) -> FsResult<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let read = fs.read_at(file, &mut bytes, at)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn reply(library: &mut Library, reply: TransferReply) {
    library.reply(StoreReply::Transfer(reply));
}

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
