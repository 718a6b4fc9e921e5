//! The single place of calls on files: every one can be counted, and made to fail.
//!
//! [`Fs`] owns the confinement of paths below a folder, short reads and writes, and the fault plan of the tests.
//! `calls.rs` makes the calls: to the kernel, or to a disk in memory (`memory.rs`), on which simulations run the
//! store. Nothing here knows what the files mean.

mod calls;
pub(crate) mod memory;
#[cfg(test)]
mod tests;

use std::path::{Component, Path};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, NaiveDateTime};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub(crate) use calls::{Entries, Entry, File, Look, Stamp};

use crate::store::fault_plan::{FaultPlan, Struck};
use crate::store::fs::calls::At;
use crate::store::fs::memory::MemoryFile;

/// What a call on a file gives.
pub(crate) type FsResult<T> = Result<T, Errno>;

const NEW_FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const PRIVATE_FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const NEW_FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);
const PRIVATE_FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);
/// Neither waits for the other end of a FIFO nor makes a terminal ours.
const OPEN: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const OPEN_READ: OFlags = OFlags::RDONLY.union(OPEN);
const OPEN_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The calls on files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fs {
    plan: Option<Arc<FaultPlan>>,
    /// The root of a disk in memory; `None`: the kernel's files.
    root: Option<Arc<MemoryFile>>,
}

/// Whether opening makes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// It must be there.
    Never,
    /// It must not be there.
    New,
    /// It may be there.
    IfMissing,
}

impl Fs {
    /// The kernel's files. A debug build reads a fault plan from `CHUNKCAST_FS_FAULT`, for tests that kill a real
    /// process.
    pub(crate) fn new() -> Fs {
        #[cfg(debug_assertions)]
        if let Some(plan) = std::env::var("CHUNKCAST_FS_FAULT").ok().and_then(|text| FaultPlan::parse(&text))
        {
            return Fs::with_plan(Arc::new(plan));
        }
        Fs::default()
    }

    /// The kernel's files; calls are counted, and fail as planned.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn with_plan(plan: Arc<FaultPlan>) -> Fs {
        Fs { plan: Some(plan), root: None }
    }

    /// The files of a disk in memory; calls are counted, and fail as planned.
    pub(crate) fn in_memory(root: MemoryFile, plan: Arc<FaultPlan>) -> Fs {
        Fs { plan: Some(plan), root: Some(Arc::new(root)) }
    }

    /// Whether the disk is in memory: then time is virtual, and all work is done where it is asked for.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.root.is_some()
    }

    /// The time that files are stamped with, in nanoseconds since 1970.
    pub(crate) fn now_ns(&self) -> i64 {
        match &self.root {
            Some(root) => root.now_ns(),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            }
        }
    }

    /// What people here call a time of files.
    pub(crate) fn local_time(&self, ns: i64) -> NaiveDateTime {
        let time = DateTime::from_timestamp_nanos(ns);
        match &self.root {
            Some(_) => time.naive_utc(),
            None => time.with_timezone(&Local).naive_local(),
        }
    }

    /// A number that no other file on its way to a name has, most likely.
    pub(crate) fn unique(&self) -> u64 {
        self.root.as_ref().map_or_else(|| fastrand::u64(..), |root| root.unique())
    }

    /// Opens a folder that a person named; links are followed.
    pub(crate) fn open_folder(&self, path: &Path) -> FsResult<File> {
        self.start()?.open(path, OPEN_FOLDER, Mode::empty())
    }

    /// Opens a folder directly below another; a link is refused.
    pub(crate) fn open_folder_at(&self, folder: &File, name: &Path) -> FsResult<File> {
        self.at(folder)?.open(name, OPEN_FOLDER | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Makes one folder.
    pub(crate) fn make_folder(&self, path: &Path) -> FsResult<()> {
        self.start()?.make_folder(path, NEW_FOLDER_MODE)
    }

    /// Makes one folder directly below another.
    pub(crate) fn make_folder_at(&self, folder: &File, name: &str) -> FsResult<()> {
        self.at(folder)?.make_folder(Path::new(name), NEW_FOLDER_MODE)
    }

    /// Makes one folder, for this user alone.
    pub(crate) fn make_private_folder(&self, path: &Path) -> FsResult<()> {
        self.start()?.make_folder(path, PRIVATE_FOLDER_MODE)
    }

    /// Makes a folder and what is missing above it, for this user alone.
    pub(crate) fn make_private_folders(&self, path: &Path) -> FsResult<()> {
        self.make_folders_for(path, PRIVATE_FOLDER_MODE)
    }

    /// Makes a folder and what is missing above it.
    pub(crate) fn make_folders(&self, path: &Path) -> FsResult<()> {
        self.make_folders_for(path, NEW_FOLDER_MODE)
    }

    fn make_folders_for(&self, path: &Path, mode: Mode) -> FsResult<()> {
        let mut missing: Vec<&Path> = Vec::new();
        for ancestor in path.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty()) {
            match self.start()?.make_folder(ancestor, mode) {
                Ok(()) | Err(Errno::EXIST | Errno::ISDIR) => break,
                Err(Errno::NOENT) => missing.push(ancestor),
                Err(errno) => return Err(errno),
            }
        }
        while let Some(folder) = missing.pop() {
            match self.start()?.make_folder(folder, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// The entries of an open folder.
    pub(crate) fn entries(&self, folder: &File) -> FsResult<Entries> {
        self.counted(folder)?.entries()
    }

    /// The next entry of a folder, `None` at its end.
    pub(crate) fn next_entry(&self, entries: &mut Entries) -> FsResult<Option<Entry>> {
        self.counted(entries)?.next()
    }

    /// Opens a file that a person named, to read; links are followed.
    pub(crate) fn open_read(&self, path: &Path) -> FsResult<File> {
        self.start()?.open(path, OPEN_READ, Mode::empty())
    }

    /// Opens a file directly below a folder, to read; a link is refused.
    pub(crate) fn open_read_at(&self, folder: &File, name: &Path) -> FsResult<File> {
        self.at(folder)?.open(name, OPEN_READ | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Opens a file somewhere below a folder, to read; no link on the way is followed.
    pub(crate) fn open_read_below(&self, folder: &File, path: &Path) -> FsResult<File> {
        match self.at(folder)?.open_beneath(path, OPEN_READ) {
            // No such call here, or forbidden, or disturbed by a rename: walk instead.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL) => self.walk_below(folder, path),
            other => other,
        }
    }

    /// Opens a file directly below a folder, to read and write, and makes it when `make` says so; a link is
    /// refused.
    pub(crate) fn open_write_at(&self, folder: &File, name: &str, make: Make) -> FsResult<File> {
        self.open_write_with(folder, name, make, NEW_FILE_MODE)
    }

    fn open_write_with(&self, folder: &File, name: &str, make: Make, mode: Mode) -> FsResult<File> {
        let making = match make {
            Make::Never => OFlags::empty(),
            Make::New => OFlags::CREATE | OFlags::EXCL,
            Make::IfMissing => OFlags::CREATE,
        };
        self.at(folder)?.open(Path::new(name), OFlags::RDWR | OFlags::NOFOLLOW | OPEN | making, mode)
    }

    /// The same for a file of ours: for this user alone, whatever the umask says, and whoever made it.
    pub(crate) fn open_private_at(&self, folder: &File, name: &str, make: Make) -> FsResult<File> {
        let file = self.open_write_with(folder, name, make, PRIVATE_FILE_MODE)?;
        file.make_private(PRIVATE_FILE_MODE);
        Ok(file)
    }

    /// Opens a file directly below a folder so that each write goes to its end, made when missing. A FIFO that
    /// nobody reads is refused.
    pub(crate) fn open_append_at(&self, folder: &File, name: &str) -> FsResult<File> {
        self.open_append_with(folder, name, NEW_FILE_MODE)
    }

    /// The same for a file of ours, as [`Fs::open_private_at`].
    pub(crate) fn open_private_append_at(&self, folder: &File, name: &str) -> FsResult<File> {
        let file = self.open_append_with(folder, name, PRIVATE_FILE_MODE)?;
        file.make_private(PRIVATE_FILE_MODE);
        Ok(file)
    }

    fn open_append_with(&self, folder: &File, name: &str, mode: Mode) -> FsResult<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OPEN;
        self.at(folder)?.open(Path::new(name), flags, mode)
    }

    /// Takes an open folder of ours from all others, which an older version may have let in.
    pub(crate) fn make_folder_private(&self, folder: &File) {
        folder.make_private(PRIVATE_FOLDER_MODE);
    }

    /// A look at an open file.
    pub(crate) fn look(&self, file: &File) -> FsResult<Look> {
        self.counted(file)?.stat()
    }

    /// A look at a name directly below a folder; a link is not followed.
    pub(crate) fn look_at(&self, folder: &File, name: &Path) -> FsResult<Look> {
        self.at(folder)?.stat(name)
    }

    /// The path that the link of this name holds.
    pub(crate) fn read_link_at(&self, folder: &File, name: &Path) -> FsResult<Vec<u8>> {
        self.at(folder)?.read_link(name)
    }

    /// Reads until `bytes` is full or the file ends; gives how much was read.
    pub(crate) fn read_at(&self, file: &File, bytes: &mut [u8], offset: u64) -> FsResult<usize> {
        self.count()?;
        let mut done = 0;
        while done < bytes.len() {
            match file.read(&mut bytes[done..], offset + done as u64)? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Writes all of `bytes`.
    pub(crate) fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> FsResult<()> {
        let struck = self.plan.as_ref().map_or(Struck::No, |plan| plan.count());
        if matches!(struck, Struck::Fail(_) | Struck::Abort) {
            // A write that is struck may have begun.
            let _ = write_all_at(file, &bytes[..bytes.len() / 2], offset);
        }
        outcome_of(struck)?;
        write_all_at(file, bytes, offset)
    }

    /// Appends `bytes` with one writing call.
    pub(crate) fn append(&self, file: &File, bytes: &[u8]) -> FsResult<()> {
        match self.counted(file)?.append(bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(Errno::NOSPC),
        }
    }

    /// Sets the length of a file; what is added is a hole.
    pub(crate) fn set_len(&self, file: &File, len: u64) -> FsResult<()> {
        self.counted(file)?.set_len(len)
    }

    /// Brings a file or folder to the device.
    pub(crate) fn sync(&self, file: &File) -> FsResult<()> {
        self.counted(file)?.sync()
    }

    /// Brings all of the file system that `folder` is on to the device; an error when that cannot be done, or when
    /// anything on it could not be written since the last time.
    pub(crate) fn sync_around(&self, folder: &File) -> FsResult<()> {
        self.counted(folder)?.sync_around()
    }

    /// Asks the kernel to forget what it holds of a file in memory, so that the next read is from the device.
    pub(crate) fn forget_cached(&self, file: &File) -> FsResult<()> {
        self.counted(file)?.forget_cached()
    }

    /// Takes the lock of an open file for this process alone; false when another has it.
    pub(crate) fn try_lock(&self, file: &File) -> FsResult<bool> {
        self.counted(file)?.lock()
    }

    /// Gives the lock of an open file back.
    pub(crate) fn unlock(&self, file: &File) -> FsResult<()> {
        self.counted(file)?.unlock()
    }

    /// Renames within a folder; [`Errno::EXIST`] when the new name is taken.
    pub(crate) fn rename_new(&self, folder: &File, from: &str, to: &str) -> FsResult<()> {
        match self.at(folder)?.rename_new(from, to) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.link_new(folder, from, to),
            other => other,
        }
    }

    /// Renames where the system has no call for it: a second name first, then the first one goes.
    fn link_new(&self, folder: &File, from: &str, to: &str) -> FsResult<()> {
        match self.at(folder)?.link(from, to) {
            Ok(()) => self.unlink(folder, from),
            // A file system without links: a look, and then a rename that trusts it.
            Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP | Errno::MLINK) => {
                match self.look_at(folder, Path::new(to)) {
                    Err(Errno::NOENT) => self.rename_over(folder, from, to),
                    Ok(_) => Err(Errno::EXIST),
                    Err(errno) => Err(errno),
                }
            }
            Err(errno) => Err(errno),
        }
    }

    /// Renames within a folder, in place of what has the new name.
    pub(crate) fn rename_over(&self, folder: &File, from: &str, to: &str) -> FsResult<()> {
        self.at(folder)?.rename(from, to)
    }

    /// Removes a file directly below a folder.
    pub(crate) fn unlink(&self, folder: &File, name: &str) -> FsResult<()> {
        self.at(folder)?.unlink(Path::new(name))
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, path: &Path) -> FsResult<()> {
        self.start()?.remove_folder(path)
    }

    /// Removes an empty folder directly below another.
    pub(crate) fn remove_folder_at(&self, folder: &File, name: &str) -> FsResult<()> {
        self.at(folder)?.remove_folder(Path::new(name))
    }

    /// The bytes that may still be written where a folder is.
    pub(crate) fn free_bytes(&self, folder: &File) -> FsResult<u64> {
        self.counted(folder)?.free_bytes()
    }

    /// Opens each component of `path` in turn, no link followed, none but plain names allowed.
    fn walk_below(&self, folder: &File, path: &Path) -> FsResult<File> {
        let mut components = path.components().peekable();
        let mut below: Option<File> = None;
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else { return Err(Errno::XDEV) };
            let at = below.as_ref().unwrap_or(folder);
            if components.peek().is_none() {
                return self.open_read_at(at, Path::new(name));
            }
            below = Some(self.open_folder_at(at, Path::new(name))?);
        }
        Err(Errno::NOENT)
    }

    fn start(&self) -> FsResult<At<'_>> {
        self.counted(At::start(self.root.as_deref()))
    }

    /// What a call is about that stands in a folder.
    fn at<'f>(&self, folder: &'f File) -> FsResult<At<'f>> {
        self.counted(folder.at())
    }

    /// What a call is about, once the call is counted; fails when the plan says so.
    fn counted<T>(&self, about: T) -> FsResult<T> {
        self.count().map(|()| about)
    }

    /// Counts a call; fails when the plan says so.
    fn count(&self) -> FsResult<()> {
        self.plan.as_ref().map_or(Ok(()), |plan| outcome_of(plan.count()))
    }
}

#[allow(clippy::disallowed_methods, reason = "a planned death is to be as sudden as a real one")]
fn outcome_of(struck: Struck) -> FsResult<()> {
    match struck {
        Struck::No => Ok(()),
        Struck::Fail(errno) => Err(errno),
        Struck::Dead => Err(Errno::IO),
        Struck::Abort => std::process::abort(),
    }
}

fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> FsResult<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write(&bytes[done..], offset + done as u64)? {
            0 => return Err(Errno::IO),
            written => done += written,
        }
    }
    Ok(())
}
