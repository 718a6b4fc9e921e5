//! The files that the programs of one folder share, and which chunks they say are there.

use std::time::{Duration, Instant};

use crate::core::Fault;
use crate::store::ClassicRecords;
use crate::store::classic::available::Available;
use crate::store::classic::dictionary::DictionaryRecord;
use crate::store::classic::folder::ChunkFolder;
use crate::store::classic::kept::look_at_chunk;
use crate::store::classic::unlisted::Unlisted;
use crate::store::fault;
use crate::store::fs::{File, Fs, FsResult, Stamp};
use crate::wire::classic::ChunkName;

/// At the end, the records are tried to be written for so long.
const LAST_WRITE_MAX: Duration = Duration::from_secs(10);
/// Between two looks at a lock that somebody else has, at the end.
const LOCK_LOOK: Duration = Duration::from_millis(1);

/// The shared files.
#[derive(Debug)]
pub(super) struct Records {
    /// `None`: the programs in this folder keep no list.
    pub(super) available: Option<Available>,
    pub(super) dictionary: DictionaryRecord,
    unlisted: Option<Unlisted>,
    /// Whether the list is being written.
    is_queued: bool,
}

impl Records {
    pub(super) fn open(fs: &Fs, records: &ClassicRecords, folder: &ChunkFolder) -> Result<Records, Fault> {
        let mut available = records.available.as_ref().map(|path| Available::open(fs, path)).transpose()?;
        let listed = available.as_mut().and_then(|available| available.is_there().then(|| available.names()));
        let unlisted = match (records.unlisted, folder.get()) {
            (Some(of), Some(open)) => Some(
                Unlisted::new(fs, open, of, listed.as_deref())
                    .map_err(|errno| fault::keeping("list", folder.path(), errno))?,
            ),
            _ => None,
        };
        let dictionary = DictionaryRecord::open(fs, &records.dictionary, records.shape)?;
        Ok(Records { available, dictionary, unlisted, is_queued: false })
    }

    /// The chunks that are listed, and those that count without; where there is a list, these are added to it.
    pub(super) fn chunks(&mut self, fs: &Fs, folder: &File) -> FsResult<Vec<(ChunkName, u64)>> {
        let listed = self.available.as_mut().map(Available::names).unwrap_or_default();
        let look =
            |name: &ChunkName| look_at_chunk(fs, folder, name).ok().map(|stamp| (name.clone(), stamp.size));
        let mut chunks: Vec<_> = listed.iter().filter_map(look).collect();
        let Some(unlisted) = &mut self.unlisted else { return Ok(chunks) };
        let found = unlisted.look(fs, folder)?.iter().filter(|(name, _)| !listed.contains(name));
        let listed_chunks = chunks.len();
        chunks.extend(found.cloned());
        if let Some(available) = self.available.as_mut().filter(|_| chunks.len() > listed_chunks)
            && available.is_there()
        {
            let new: Vec<ChunkName> =
                chunks.iter().skip(listed_chunks).map(|(name, _)| name.clone()).collect();
            available.add(&new);
        }
        Ok(chunks)
    }

    /// Whether nobody is writing the chunk that has this stamp. What was written before the list, and is in it, its
    /// owner offers as it is.
    pub(super) fn has_whole(&mut self, fs: &Fs, folder: &File, name: &ChunkName, stamp: &Stamp) -> bool {
        let Some(unlisted) = &self.unlisted else { return true };
        let is_listed = |available: &mut Available| {
            available.written_ns().is_some_and(|written| written >= stamp.mtime_ns)
                && available.names().contains(name)
        };
        unlisted.is_whole(fs, folder, name, stamp) || self.available.as_mut().is_some_and(is_listed)
    }

    /// A chunk was put into the folder.
    pub(super) fn put(&mut self, name: &ChunkName) {
        if let Some(unlisted) = &mut self.unlisted {
            unlisted.put(name);
        }
    }

    /// Whether the list has to be written and is not on its way to that.
    pub(super) fn queue(&mut self) -> bool {
        let has_work = self.available.as_ref().is_some_and(Available::has_work);
        has_work && !std::mem::replace(&mut self.is_queued, true)
    }

    /// Tries to write the list; whether it has to be tried again.
    pub(super) fn step(&mut self) -> bool {
        let Some(available) = &mut self.available else { return false };
        if let Err(fault) = available.step() {
            log::warn!("{}", fault.text);
        }
        self.is_queued = available.has_work();
        self.is_queued
    }

    /// Takes chunks that were removed off the list, and writes what is not written yet. Gives what failed of that.
    pub(super) fn finish(&mut self, removed: &[ChunkName]) -> Vec<Fault> {
        let mut failed = Vec::new();
        let Some(available) = &mut self.available else { return failed };
        available.remove(removed);
        let until = Instant::now() + LAST_WRITE_MAX;
        while available.has_work() {
            if let Err(fault) = available.step() {
                failed.push(fault);
            } else if available.has_work() && Instant::now() >= until {
                failed.push(available.is_locked());
                break;
            } else if available.has_work() {
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the loop has ended; who has the lock needs the processor"
                )]
                std::thread::sleep(LOCK_LOOK);
            }
        }
        failed
    }
}
