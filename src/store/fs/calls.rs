//! The system calls on files: the kernel's, or those of a disk in memory.
//!
//! An open file says which of the two it is of, so each call is one `match`. Interrupted calls are made again here;
//! what the calls are for, and which of them fail on purpose, is decided one level up.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::vec;

use rustix::fs::{AtFlags, CWD, Dir, DirEntry, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::store::fs::FsResult;
use crate::store::fs::memory::{MemoryEntry, MemoryFile};

/// An open file or folder.
#[derive(Debug)]
pub(crate) enum File {
    /// The kernel's.
    Kernel(std::fs::File),
    /// One of a disk in memory.
    Memory(MemoryFile),
}

/// Where a path begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    Kernel(BorrowedFd<'a>),
    Memory(&'a MemoryFile),
}

/// The entries of a folder that are still to be read.
#[derive(Debug)]
pub(crate) enum Entries {
    Kernel(Dir),
    Memory(vec::IntoIter<MemoryEntry>),
}

/// An entry of a folder.
#[derive(Debug)]
pub(crate) enum Entry {
    Kernel(DirEntry),
    Memory(MemoryEntry),
}

impl File {
    /// The file as the kernel has it; `None` for one in memory.
    pub(crate) fn of_kernel(&self) -> Option<&std::fs::File> {
        match self {
            File::Kernel(file) => Some(file),
            File::Memory(_) => None,
        }
    }

    pub(super) fn at(&self) -> At<'_> {
        match self {
            File::Kernel(folder) => At::Kernel(folder.as_fd()),
            File::Memory(folder) => At::Memory(folder),
        }
    }

    pub(super) fn stat(&self) -> FsResult<Look> {
        match self {
            File::Kernel(file) => rustix::fs::fstat(file).map(|stat| look_of(&stat)),
            File::Memory(file) => Ok(file.stat()),
        }
    }

    /// Takes something of ours from all others. What is not this user's stays as it is; it can be used all the same.
    pub(super) fn make_private(&self, mode: Mode) {
        // A disk in memory has one user.
        let File::Kernel(file) = self else { return };
        let is_open = |stat: rustix::fs::Stat| Mode::from_raw_mode(stat.st_mode) != mode;
        if rustix::fs::fstat(file).is_ok_and(is_open) {
            let _ = retry_on_intr(|| rustix::fs::fchmod(file, mode));
        }
    }

    /// Reads once; 0 bytes are the end.
    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> FsResult<usize> {
        match self {
            File::Kernel(file) => retry_on_intr(|| rustix::io::pread(file, &mut *bytes, offset)),
            File::Memory(file) => Ok(file.read(bytes, offset)),
        }
    }

    /// Writes once, and perhaps not all.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> FsResult<usize> {
        match self {
            File::Kernel(file) => retry_on_intr(|| rustix::io::pwrite(file, bytes, offset)),
            File::Memory(file) => file.write(bytes, offset),
        }
    }

    /// Writes once to the end, and perhaps not all.
    pub(super) fn append(&self, bytes: &[u8]) -> FsResult<usize> {
        match self {
            File::Kernel(file) => retry_on_intr(|| rustix::io::write(file, bytes)),
            File::Memory(file) => file.write(bytes, file.stat().stamp.size),
        }
    }

    pub(super) fn set_len(&self, len: u64) -> FsResult<()> {
        match self {
            File::Kernel(file) => retry_on_intr(|| rustix::fs::ftruncate(file, len)),
            File::Memory(file) => file.set_len(len),
        }
    }

    pub(super) fn sync(&self) -> FsResult<()> {
        match self {
            File::Kernel(file) => retry_on_intr(|| rustix::fs::fsync(file)),
            File::Memory(file) => file.sync(),
        }
    }

    /// Brings all of the file system that this is on to the device.
    pub(super) fn sync_around(&self) -> FsResult<()> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            File::Kernel(file) => retry_on_intr(|| rustix::fs::syncfs(file)),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            File::Kernel(_) => Err(Errno::NOSYS),
            File::Memory(_) => Err(Errno::NOSYS),
        }
    }

    pub(super) fn forget_cached(&self) -> FsResult<()> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            File::Kernel(file) => {
                retry_on_intr(|| rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed))
            }
            _ => Ok(()),
        }
    }

    /// False when another open file has the lock.
    pub(super) fn lock(&self) -> FsResult<bool> {
        let File::Kernel(file) = self else { return Ok(self.memory().is_none_or(MemoryFile::lock)) };
        match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            // Where there are no locks, going on without is all there is.
            Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn unlock(&self) -> FsResult<()> {
        match self {
            File::Kernel(file) => retry_on_intr(|| rustix::fs::flock(file, FlockOperation::Unlock)),
            File::Memory(file) => {
                file.unlock();
                Ok(())
            }
        }
    }

    pub(super) fn entries(&self) -> FsResult<Entries> {
        match self {
            File::Kernel(folder) => retry_on_intr(|| Dir::read_from(folder)).map(Entries::Kernel),
            File::Memory(folder) => Ok(Entries::Memory(folder.entries()?.into_iter())),
        }
    }

    pub(super) fn free_bytes(&self) -> FsResult<u64> {
        match self {
            File::Kernel(folder) => {
                let stat = retry_on_intr(|| rustix::fs::fstatvfs(folder))?;
                Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
            }
            File::Memory(folder) => Ok(folder.free_bytes()),
        }
    }

    fn memory(&self) -> Option<&MemoryFile> {
        match self {
            File::Kernel(_) => None,
            File::Memory(file) => Some(file),
        }
    }
}

impl<'a> At<'a> {
    /// Where the paths that people name begin.
    pub(super) fn start(root: Option<&'a MemoryFile>) -> At<'a> {
        root.map_or(At::Kernel(CWD), At::Memory)
    }

    pub(super) fn open(self, path: &Path, flags: OFlags, mode: Mode) -> FsResult<File> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::openat(at, path, flags, mode)).map(File::of),
            At::Memory(at) => at.open(path, flags).map(File::Memory),
        }
    }

    /// Opens a file somewhere below, where the kernel can be asked to follow no link on the way.
    pub(super) fn open_beneath(self, path: &Path, flags: OFlags) -> FsResult<File> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            At::Kernel(at) => {
                use rustix::fs::ResolveFlags;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                retry_on_intr(|| rustix::fs::openat2(at, path, flags, Mode::empty(), resolve)).map(File::of)
            }
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            At::Kernel(_) => Err(Errno::NOSYS),
            At::Memory(_) => Err(Errno::NOSYS),
        }
    }

    pub(super) fn make_folder(self, path: &Path, mode: Mode) -> FsResult<()> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::mkdirat(at, path, mode)),
            At::Memory(at) => at.make_folder(path),
        }
    }

    pub(super) fn stat(self, path: &Path) -> FsResult<Look> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::statat(at, path, AtFlags::SYMLINK_NOFOLLOW))
                .map(|stat| look_of(&stat)),
            At::Memory(at) => at.stat_at(path),
        }
    }

    /// The path that a link holds.
    pub(super) fn read_link(self, path: &Path) -> FsResult<Vec<u8>> {
        match self {
            At::Kernel(at) => {
                retry_on_intr(|| rustix::fs::readlinkat(at, path, Vec::new())).map(CString::into_bytes)
            }
            // It has no links.
            At::Memory(_) => Err(Errno::INVAL),
        }
    }

    /// Renames in place of what has the new name.
    pub(super) fn rename(self, from: &str, to: &str) -> FsResult<()> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::renameat(at, from, at, to)),
            At::Memory(at) => at.rename(from, to, true),
        }
    }

    /// Renames when nothing has the new name.
    pub(super) fn rename_new(self, from: &str, to: &str) -> FsResult<()> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
            At::Kernel(at) => retry_on_intr(|| {
                rustix::fs::renameat_with(at, from, at, to, rustix::fs::RenameFlags::NOREPLACE)
            }),
            #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
            At::Kernel(_) => Err(Errno::NOSYS),
            At::Memory(at) => at.rename(from, to, false),
        }
    }

    pub(super) fn link(self, from: &str, to: &str) -> FsResult<()> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::linkat(at, from, at, to, AtFlags::empty())),
            At::Memory(_) => Err(Errno::NOSYS),
        }
    }

    pub(super) fn unlink(self, path: &Path) -> FsResult<()> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::unlinkat(at, path, AtFlags::empty())),
            At::Memory(at) => at.remove(path, false),
        }
    }

    pub(super) fn remove_folder(self, path: &Path) -> FsResult<()> {
        match self {
            At::Kernel(at) => retry_on_intr(|| rustix::fs::unlinkat(at, path, AtFlags::REMOVEDIR)),
            At::Memory(at) => at.remove(path, true),
        }
    }
}

impl File {
    fn of(fd: OwnedFd) -> File {
        File::Kernel(fd.into())
    }
}

impl Entries {
    pub(super) fn next(&mut self) -> FsResult<Option<Entry>> {
        let entries = match self {
            Entries::Kernel(entries) => entries,
            Entries::Memory(entries) => return Ok(entries.next().map(Entry::Memory)),
        };
        loop {
            match entries.read() {
                Some(Err(Errno::INTR)) => {}
                other => return Ok(other.transpose()?.map(Entry::Kernel)),
            }
        }
    }
}

impl Entry {
    /// Its name, below the folder.
    pub(crate) fn file_name(&self) -> &CStr {
        match self {
            Entry::Kernel(entry) => entry.file_name(),
            Entry::Memory((name, _)) => name,
        }
    }

    /// What it is, as far as the folder says.
    pub(crate) fn file_type(&self) -> FileType {
        match self {
            Entry::Kernel(entry) => entry.file_type(),
            Entry::Memory((_, kind)) => *kind,
        }
    }
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
        is_executable: Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR),
    }
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
    /// Whether its owner may execute it, or, of a folder, enter it.
    pub(crate) is_executable: bool,
}

impl Stamp {
    /// Whether both are of the same file, whatever its state.
    pub(crate) fn same_file(&self, other: &Stamp) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}
