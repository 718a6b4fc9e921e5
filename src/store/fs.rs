//! The single place of system calls on files: every one can be counted, and made to fail.
//!
//! Owns the retrying of interrupted and short calls, the confinement of paths below a folder, and the fault plan of
//! the tests. Does not know what the files mean.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, DirEntry, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::store::fault_plan::{FaultPlan, Struck};

/// What a call on a file gives.
pub(crate) type FsResult<T> = Result<T, Errno>;

const NEW_FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const PRIVATE_FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const NEW_FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);
const PRIVATE_FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);
/// Neither waits for the other end of a FIFO nor makes a terminal ours.
const OPEN_READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const OPEN_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The system calls on files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fs {
    plan: Option<Arc<FaultPlan>>,
}

/// What tells one state of a file from another. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
    pub(crate) ctime_ns: i64,
}

/// A look at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) stamp: Stamp,
    pub(crate) kind: FileType,
    /// How many names the file has: none once it was removed, several when somebody linked it.
    pub(crate) names: u64,
}

impl Stamp {
    /// Whether both are of the same file, whatever its state.
    pub(crate) fn same_file(&self, other: &Stamp) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

impl Fs {
    /// The system calls as they are. A debug build reads a fault plan from `CHUNKCAST_FS_FAULT`, for tests that kill
    /// a real process.
    pub(crate) fn new() -> Fs {
        #[cfg(debug_assertions)]
        if let Some(plan) = std::env::var("CHUNKCAST_FS_FAULT").ok().and_then(|text| FaultPlan::parse(&text))
        {
            return Fs::with_plan(Arc::new(plan));
        }
        Fs::default()
    }

    /// The system calls, counted and failing as planned.
    #[cfg(any(test, debug_assertions))]
    pub(crate) fn with_plan(plan: Arc<FaultPlan>) -> Fs {
        Fs { plan: Some(plan) }
    }

    /// Opens a folder that a person named; links are followed.
    pub(crate) fn open_folder(&self, path: &Path) -> FsResult<File> {
        self.count()?;
        retry_on_intr(|| rustix::fs::openat(CWD, path, OPEN_FOLDER, Mode::empty())).map(File::from)
    }

    /// Opens a folder directly below another; a link is refused.
    pub(crate) fn open_folder_at(&self, folder: impl AsFd, name: &Path) -> FsResult<File> {
        self.count()?;
        let flags = OPEN_FOLDER | OFlags::NOFOLLOW;
        retry_on_intr(|| rustix::fs::openat(folder.as_fd(), name, flags, Mode::empty())).map(File::from)
    }

    /// Makes one folder.
    pub(crate) fn make_folder(&self, path: &Path) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::mkdirat(CWD, path, NEW_FOLDER_MODE))
    }

    /// Makes one folder directly below another.
    pub(crate) fn make_folder_at(&self, folder: &File, name: &str) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::mkdirat(folder, name, NEW_FOLDER_MODE))
    }

    /// Makes one folder, for this user alone.
    pub(crate) fn make_private_folder(&self, path: &Path) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::mkdirat(CWD, path, PRIVATE_FOLDER_MODE))
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
            self.count()?;
            match retry_on_intr(|| rustix::fs::mkdirat(CWD, ancestor, mode)) {
                Ok(()) | Err(Errno::EXIST | Errno::ISDIR) => break,
                Err(Errno::NOENT) => missing.push(ancestor),
                Err(errno) => return Err(errno),
            }
        }
        while let Some(folder) = missing.pop() {
            self.count()?;
            match retry_on_intr(|| rustix::fs::mkdirat(CWD, folder, mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// The entries of an open folder.
    pub(crate) fn entries(&self, folder: &File) -> FsResult<Dir> {
        self.count()?;
        retry_on_intr(|| Dir::read_from(folder))
    }

    /// The next entry of a folder, `None` at its end.
    pub(crate) fn next_entry(&self, entries: &mut Dir) -> FsResult<Option<DirEntry>> {
        self.count()?;
        loop {
            match entries.read() {
                Some(Err(Errno::INTR)) => {}
                other => return other.transpose(),
            }
        }
    }

    /// Opens a file that a person named, to read; links are followed.
    pub(crate) fn open_read(&self, path: &Path) -> FsResult<File> {
        self.count()?;
        retry_on_intr(|| rustix::fs::openat(CWD, path, OPEN_READ, Mode::empty())).map(File::from)
    }

    /// Opens a file directly below a folder, to read; a link is refused.
    pub(crate) fn open_read_at(&self, folder: impl AsFd, name: &Path) -> FsResult<File> {
        self.count()?;
        let flags = OPEN_READ | OFlags::NOFOLLOW;
        retry_on_intr(|| rustix::fs::openat(folder.as_fd(), name, flags, Mode::empty())).map(File::from)
    }

    /// Opens a file somewhere below a folder, to read; no link on the way is followed.
    pub(crate) fn open_read_below(&self, folder: &File, path: &Path) -> FsResult<File> {
        self.count()?;
        match open_beneath(folder, path) {
            // No such call here, or forbidden, or disturbed by a rename: walk instead.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL) => self.walk_below(folder, path),
            other => other.map(File::from),
        }
    }

    /// Opens a file directly below a folder, to read and write, and makes it when `make` says so; a link is
    /// refused.
    pub(crate) fn open_write_at(&self, folder: &File, name: &str, make: Make) -> FsResult<File> {
        self.open_write_with(folder, name, make, NEW_FILE_MODE)
    }

    fn open_write_with(&self, folder: &File, name: &str, make: Make, mode: Mode) -> FsResult<File> {
        self.count()?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let flags = match make {
            Make::Never => flags,
            Make::New => flags | OFlags::CREATE | OFlags::EXCL,
            Make::IfMissing => flags | OFlags::CREATE,
        };
        retry_on_intr(|| rustix::fs::openat(folder, name, flags, mode)).map(File::from)
    }

    /// The same for a file of ours: for this user alone, whatever the umask says, and whoever made it.
    pub(crate) fn open_private_at(&self, folder: &File, name: &str, make: Make) -> FsResult<File> {
        let file = self.open_write_with(folder, name, make, PRIVATE_FILE_MODE)?;
        self.make_private(&file, PRIVATE_FILE_MODE);
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
        self.make_private(&file, PRIVATE_FILE_MODE);
        Ok(file)
    }

    fn open_append_with(&self, folder: &File, name: &str, mode: Mode) -> FsResult<File> {
        self.count()?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        retry_on_intr(|| rustix::fs::openat(folder, name, flags, mode)).map(File::from)
    }

    /// Takes an open folder of ours from all others, which an older version may have let in.
    pub(crate) fn make_folder_private(&self, folder: &File) {
        self.make_private(folder, PRIVATE_FOLDER_MODE);
    }

    /// Takes something of ours from all others. What is not this user's stays as it is; it can be used all the same.
    fn make_private(&self, file: &File, mode: Mode) {
        let is_open = |stat: rustix::fs::Stat| Mode::from_raw_mode(stat.st_mode) != mode;
        if rustix::fs::fstat(file).is_ok_and(is_open) {
            let _ = retry_on_intr(|| rustix::fs::fchmod(file, mode));
        }
    }

    /// A look at an open file.
    pub(crate) fn look(&self, file: &File) -> FsResult<Look> {
        self.count()?;
        rustix::fs::fstat(file).map(|stat| look_of(&stat))
    }

    /// A look at a name directly below a folder; a link is not followed.
    pub(crate) fn look_at(&self, folder: impl AsFd, name: &Path) -> FsResult<Look> {
        self.count()?;
        retry_on_intr(|| rustix::fs::statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW))
            .map(|stat| look_of(&stat))
    }

    /// Reads until `bytes` is full or the file ends; gives how much was read.
    pub(crate) fn read_at(&self, file: &File, bytes: &mut [u8], offset: u64) -> FsResult<usize> {
        self.count()?;
        let mut done = 0;
        while done < bytes.len() {
            match retry_on_intr(|| rustix::io::pread(file, &mut bytes[done..], offset + done as u64))? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Writes all of `bytes`.
    pub(crate) fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> FsResult<()> {
        let struck = self.plan.as_ref().map_or(Struck::No, |plan| plan.count());
        if struck != Struck::No {
            // A write that is struck may have begun.
            let _ = write_all_at(file, &bytes[..bytes.len() / 2], offset);
        }
        outcome_of(struck)?;
        write_all_at(file, bytes, offset)
    }

    /// Appends `bytes` with one writing call.
    pub(crate) fn append(&self, file: &File, bytes: &[u8]) -> FsResult<()> {
        self.count()?;
        match retry_on_intr(|| rustix::io::write(file, bytes))? {
            written if written == bytes.len() => Ok(()),
            _ => Err(Errno::NOSPC),
        }
    }

    /// Sets the length of a file; what is added is a hole.
    pub(crate) fn set_len(&self, file: &File, len: u64) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::ftruncate(file, len))
    }

    /// Brings a file or folder to the device.
    pub(crate) fn sync(&self, file: &File) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::fsync(file))
    }

    /// Brings all of the file system that `folder` is on to the device; an error when that cannot be done, or when
    /// anything on it could not be written since the last time.
    pub(crate) fn sync_around(&self, folder: &File) -> FsResult<()> {
        self.count()?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return retry_on_intr(|| rustix::fs::syncfs(folder));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = folder;
            Err(Errno::NOSYS)
        }
    }

    /// Asks the kernel to forget what it holds of a file in memory, so that the next read is from the device.
    pub(crate) fn forget_cached(&self, file: &File) -> FsResult<()> {
        self.count()?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return retry_on_intr(|| rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Ok(())
    }

    /// Takes the lock of an open file for this process alone; false when another has it.
    pub(crate) fn try_lock(&self, file: &File) -> FsResult<bool> {
        self.count()?;
        match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            // Where there are no locks, going on without is all there is.
            Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    /// Gives the lock of an open file back.
    pub(crate) fn unlock(&self, file: &File) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::flock(file, FlockOperation::Unlock))
    }

    /// Renames within a folder; [`Errno::EXIST`] when the new name is taken.
    pub(crate) fn rename_new(&self, folder: &File, from: &str, to: &str) -> FsResult<()> {
        self.count()?;
        match rename_noreplace(folder, from, to) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.link_new(folder, from, to),
            other => other,
        }
    }

    /// Renames where the system has no call for it: a second name first, then the first one goes.
    fn link_new(&self, folder: &File, from: &str, to: &str) -> FsResult<()> {
        self.count()?;
        match retry_on_intr(|| rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())) {
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
        self.count()?;
        retry_on_intr(|| rustix::fs::renameat(folder, from, folder, to))
    }

    /// Removes a file directly below a folder.
    pub(crate) fn unlink(&self, folder: &File, name: &str) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::unlinkat(folder, name, AtFlags::empty()))
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, path: &Path) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR))
    }

    /// Removes an empty folder directly below another.
    pub(crate) fn remove_folder_at(&self, folder: &File, name: &str) -> FsResult<()> {
        self.count()?;
        retry_on_intr(|| rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR))
    }

    /// The bytes that may still be written where a folder is.
    pub(crate) fn free_bytes(&self, folder: &File) -> FsResult<u64> {
        self.count()?;
        let stat = retry_on_intr(|| rustix::fs::fstatvfs(folder))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
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

    /// Counts a call; fails when the plan says so.
    fn count(&self) -> FsResult<()> {
        self.plan.as_ref().map_or(Ok(()), |plan| outcome_of(plan.count()))
    }
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

#[allow(clippy::disallowed_methods, reason = "a planned death is to be as sudden as a real one")]
fn outcome_of(struck: Struck) -> FsResult<()> {
    match struck {
        Struck::No => Ok(()),
        Struck::Fail(errno) => Err(errno),
        Struck::Abort => std::process::abort(),
    }
}

fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> FsResult<()> {
    let mut done = 0;
    while done < bytes.len() {
        match retry_on_intr(|| rustix::io::pwrite(file, &bytes[done..], offset + done as u64))? {
            0 => return Err(Errno::IO),
            written => done += written,
        }
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_beneath(folder: &File, path: &Path) -> FsResult<OwnedFd> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    retry_on_intr(|| rustix::fs::openat2(folder, path, OPEN_READ, Mode::empty(), resolve))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_beneath(_folder: &File, _path: &Path) -> FsResult<OwnedFd> {
    Err(Errno::NOSYS)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_noreplace(folder: &File, from: &str, to: &str) -> FsResult<()> {
    retry_on_intr(|| rustix::fs::renameat_with(folder, from, folder, to, rustix::fs::RenameFlags::NOREPLACE))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_noreplace(_folder: &File, _from: &str, _to: &str) -> FsResult<()> {
    Err(Errno::NOSYS)
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the widths of these fields differ between systems; all values fit"
)]
fn look_of(stat: &rustix::fs::Stat) -> Look {
    let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    Look {
        stamp: Stamp {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime_ns: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime_ns: ns(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        },
        kind: FileType::from_raw_mode(stat.st_mode),
        names: stat.st_nlink as u64,
    }
}
