//! The record of available chunks, which several processes add to: read, changed and replaced under a lock.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::core::{Fault, FaultKind};
use crate::store::classic::reading::LastGood;
use crate::store::classic::record_file::{Held, RecordFile};
use crate::store::fault;
use crate::store::fs::{Fs, FsResult};
use crate::wire::classic::ChunkName;
use crate::wire::classic::records::{decode_available, encode_available};

/// Who holds the lock for longer is stopped or gone wrong, and is not waited for. Long, for on a busy machine the lock
/// may be somebody else's whenever it is tried, and who goes on without may undo what another has added.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(30);
/// For so long, what cannot be read may be half of what somebody writes.
const WRITING_MAX: Duration = Duration::from_millis(100);

/// The record.
#[derive(Debug)]
pub(crate) struct Available {
    file: RecordFile,
    read: LastGood<Vec<ChunkName>>,
    /// Names to add, in order.
    to_add: Vec<ChunkName>,
    /// Names to take out.
    to_remove: Vec<ChunkName>,
    /// Since when there is something to change.
    since: Option<Instant>,
}

impl Available {
    /// The record at `path`, which need not be there.
    pub(crate) fn open(fs: &Fs, path: &Path) -> Result<Available, Fault> {
        Ok(Available {
            file: RecordFile::open(fs, path)?,
            read: LastGood::new(decode_available),
            to_add: Vec::new(),
            to_remove: Vec::new(),
            since: None,
        })
    }

    /// The names in it, with those that are to be added.
    pub(crate) fn names(&mut self) -> Vec<ChunkName> {
        let mut names = self.read.read(&mut self.file).clone();
        names.retain(|name| !self.to_remove.contains(name));
        merge(&mut names, &self.to_add);
        names
    }

    /// When it was written last.
    pub(crate) fn written_ns(&self) -> Option<i64> {
        self.file.stamp().map(|stamp| stamp.mtime_ns)
    }

    /// Whether there is a list.
    pub(crate) fn is_there(&mut self) -> bool {
        self.read.read(&mut self.file);
        self.read.had_text()
    }

    /// Adds names. They are written by [`Available::step`].
    pub(crate) fn add(&mut self, names: &[ChunkName]) {
        self.to_remove.retain(|name| !names.contains(name));
        merge(&mut self.to_add, names);
    }

    /// Takes names out.
    pub(crate) fn remove(&mut self, names: &[ChunkName]) {
        self.to_add.retain(|name| !names.contains(name));
        merge(&mut self.to_remove, names);
    }

    /// What is said when the changes cannot be made because somebody else has the lock.
    pub(crate) fn is_locked(&self) -> Fault {
        let text = "another process keeps the record of available chunks locked; some are not in it";
        fault::fault(FaultKind::Busy, format!("{}: {text}", fault::shown(self.file.path())))
    }

    /// Whether there is something to change.
    pub(crate) fn has_work(&self) -> bool {
        !self.to_add.is_empty() || !self.to_remove.is_empty()
    }

    /// Tries to make the changes. Nobody is waited for here: while another process is at it, there still is work.
    /// A failure is said, and the changes are given up.
    pub(crate) fn step(&mut self) -> Result<(), Fault> {
        if !self.has_work() {
            return Ok(());
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let changed = match self.file.try_lock() {
            Ok(false) if waited < LOCK_WAIT_MAX => return Ok(()),
            Ok(false) => {
                self.file.warn("another process keeps the folder locked; going on without");
                self.change(waited < WRITING_MAX)
            }
            Ok(true) => {
                let changed = self.change(waited < WRITING_MAX);
                self.file.unlock();
                changed
            }
            Err(errno) => Err(errno),
        };
        match changed {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.forget_changes();
                Ok(())
            }
            Err(errno) => {
                self.forget_changes();
                Err(fault::keeping("write", self.file.path(), errno))
            }
        }
    }

    /// Makes the changes; false when what is there may be half of what somebody writes just now, and `is_early`.
    fn change(&mut self, is_early: bool) -> FsResult<bool> {
        let read = match self.file.read()? {
            Held::Nothing => Some(Vec::new()),
            Held::Text(text, _) if text.trim_ascii().is_empty() && is_early && self.read.had_text() => {
                return Ok(false);
            }
            Held::Text(text, _) => decode_available(&text).ok(),
            Held::Foreign => None,
        };
        let (before, mut names) = match read {
            Some(names) => (names.clone(), names),
            None if is_early => return Ok(false),
            None => {
                self.file.put_aside()?;
                self.file.warn("no record of chunks; it was put aside, and a new one begun");
                (Vec::new(), self.read.value().clone())
            }
        };
        names.retain(|name| !self.to_remove.contains(name));
        merge(&mut names, &self.to_add);
        // Who watches the file hears of changes alone.
        if names != before {
            self.file.replace(&encode_available(&names))?;
        }
        self.read.wrote(names);
        Ok(true)
    }

    fn forget_changes(&mut self) {
        self.to_add = Vec::new();
        self.to_remove = Vec::new();
        self.since = None;
    }
}

/// Puts those that are missing behind the others.
fn merge(names: &mut Vec<ChunkName>, more: &[ChunkName]) {
    let mut there: BTreeSet<ChunkName> = names.iter().cloned().collect();
    names.extend(more.iter().filter(|name| there.insert((*name).clone())).cloned());
}
