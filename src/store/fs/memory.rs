//! A disk in memory, for simulations: the same bytes each time, virtual time, and faults by lot.
//!
//! What a process did is there for the next process on the disk. What was not brought to the device may be gone when
//! the power goes ([`MemoryDisk::lose_power`]): of a folder the latest changes, in their order, and of a file what was
//! written since its last sync. Changes that are older than what a kernel holds back are on the device by themselves.
//! There are no links, and one user.

mod disk;

use std::ffi::CString;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::store::fault_plan::FaultPlan;
use crate::store::fs::memory::disk::{Disk, Node, ROOT, What, usize_of};
use crate::store::fs::{Fs, FsResult, Look};

/// A disk, for who looks at it from outside.
#[derive(Debug, Clone)]
pub(crate) struct MemoryDisk {
    disk: Shared,
}

/// An open file or folder.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    disk: Shared,
    node: u64,
    /// Tells this opening from others of the same file, as locks do.
    opening: u64,
}

/// A name in a folder, and what it is.
pub(crate) type MemoryEntry = (CString, FileType);

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Disk>>);

impl MemoryDisk {
    /// An empty disk. The seed decides which calls fail, and what is lost with the power.
    pub(crate) fn new(seed: u64) -> MemoryDisk {
        MemoryDisk { disk: Shared(Arc::new(Mutex::new(Disk::new(seed)))) }
    }

    /// The calls of a process on this disk.
    pub(crate) fn fs(&self, plan: Arc<FaultPlan>) -> Fs {
        Fs::in_memory(self.disk.opened(ROOT), plan)
    }

    /// Time goes on.
    pub(crate) fn set_now_ns(&self, now_ns: i64) {
        self.disk.lock().now_ns = now_ns;
    }

    /// So many bytes may be written from now on, and so many of a million changes fail.
    pub(crate) fn set_limits(&self, free_bytes: Option<u64>, error_ppm: u32) {
        let mut disk = self.disk.lock();
        (disk.free_bytes, disk.error_ppm) = (free_bytes, error_ppm);
    }

    /// The bytes that may still be written; `None`: any number.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.disk.lock().free_bytes
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn read(&self, path: &Path) -> Option<Arc<Vec<u8>>> {
        let disk = self.disk.lock();
        let node = disk.find(ROOT, path).ok()?;
        disk.bytes(node).cloned()
    }

    /// Puts a file there, and the folders above it, as another program would; all is on the device.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut disk = self.disk.lock();
        let mut at = ROOT;
        let mut components = path.components().filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let mut next = components.next();
        while let Some(name) = next {
            next = components.next();
            let there = disk.names(at).ok().and_then(|names| names.get(name).copied());
            at = match there.filter(|_| next.is_some()) {
                Some(folder) => folder,
                None => {
                    let mut what = if next.is_some() { What::folder() } else { What::file() };
                    if let What::File { bytes: there, .. } = &mut what {
                        *there = Arc::new(bytes.to_vec());
                    }
                    let node = disk.add(what);
                    // A folder is there.
                    let _ = disk.change(at, None, Some((name.to_owned(), node)));
                    node
                }
            };
        }
        drop(disk);
        self.settle();
    }

    /// Everything is on the device.
    pub(crate) fn settle(&self) {
        self.disk.lock().nodes.values_mut().for_each(Node::settle);
    }

    /// The names in a folder that are files of some bytes; none when it is not there.
    pub(crate) fn files(&self, path: &Path) -> Vec<String> {
        let disk = self.disk.lock();
        let Ok(names) = disk.find(ROOT, path).and_then(|node| disk.names(node)) else { return Vec::new() };
        let is_file = |node: &u64| disk.bytes(*node).is_some();
        names.iter().filter(|(_, node)| is_file(node)).map(|(name, _)| name.clone()).collect()
    }

    /// Whether a process has the lock of a file.
    pub(crate) fn is_locked(&self, path: &Path) -> bool {
        let disk = self.disk.lock();
        let node = disk.find(ROOT, path).ok().and_then(|node| disk.nodes.get(&node));
        node.is_some_and(|node| node.locked_by.is_some())
    }

    /// Files that were not hidden and lost their name since the beginning, with that.
    pub(crate) fn replaced(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        self.disk.lock().replaced.clone()
    }

    /// The power goes: what was not brought to the device may be lost. Nobody may have a file open.
    pub(crate) fn lose_power(&self) {
        self.disk.lock().lose_power();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, node: u64) -> MemoryFile {
        let mut disk = self.lock();
        disk.numbered += 1;
        let opening = disk.numbered;
        if let Some(node) = disk.nodes.get_mut(&node) {
            node.openings += 1;
        }
        MemoryFile { disk: self.clone(), node, opening }
    }
}

impl MemoryFile {
    pub(super) fn now_ns(&self) -> i64 {
        self.disk.lock().now_ns
    }

    pub(super) fn unique(&self) -> u64 {
        let mut disk = self.disk.lock();
        disk.numbered += 1;
        disk.numbered
    }

    pub(super) fn open(&self, path: &Path, flags: OFlags) -> FsResult<MemoryFile> {
        let mut disk = self.disk.lock();
        let makes = flags.contains(OFlags::CREATE);
        let node = match disk.find(self.node, path) {
            Ok(_) if makes && flags.contains(OFlags::EXCL) => return Err(Errno::EXIST),
            Ok(node) => node,
            Err(Errno::NOENT) if makes => {
                let (folder, name) = disk.place(self.node, path)?;
                disk.fail_by_lot()?;
                let node = disk.add(What::file());
                disk.change(folder, None, Some((name, node)))?;
                node
            }
            Err(errno) => return Err(errno),
        };
        let is_folder = disk.bytes(node).is_none();
        drop(disk);
        match (is_folder, flags.contains(OFlags::DIRECTORY)) {
            (false, true) => Err(Errno::NOTDIR),
            (true, false) if flags.intersects(OFlags::RDWR | OFlags::WRONLY) => Err(Errno::ISDIR),
            _ => Ok(self.disk.opened(node)),
        }
    }

    pub(super) fn make_folder(&self, path: &Path) -> FsResult<()> {
        let mut disk = self.disk.lock();
        if disk.find(self.node, path).is_ok() {
            return Err(Errno::EXIST);
        }
        let (folder, name) = disk.place(self.node, path)?;
        disk.fail_by_lot()?;
        let node = disk.add(What::folder());
        disk.change(folder, None, Some((name, node)))
    }

    pub(super) fn stat(&self) -> Look {
        self.disk.lock().look(self.node)
    }

    pub(super) fn stat_at(&self, path: &Path) -> FsResult<Look> {
        let disk = self.disk.lock();
        disk.find(self.node, path).map(|node| disk.look(node))
    }

    pub(super) fn read(&self, into: &mut [u8], offset: u64) -> usize {
        let disk = self.disk.lock();
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(rest) = disk.bytes(self.node).and_then(|bytes| bytes.get(begin..)) else { return 0 };
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        read
    }

    pub(super) fn write(&self, from: &[u8], offset: u64) -> FsResult<usize> {
        let mut disk = self.disk.lock();
        disk.fail_by_lot()?;
        let end = offset + from.len() as u64;
        let (free, now_ns) = (disk.free_bytes, disk.now_ns);
        let Some(Node { what: What::File { bytes, taken, .. }, mtime_ns, ctime_ns, .. }) =
            disk.nodes.get_mut(&self.node)
        else {
            return Err(Errno::BADF);
        };
        let more = end.saturating_sub(*taken);
        if free.is_some_and(|free| more > free) {
            return Err(Errno::NOSPC);
        }
        *taken = end.max(*taken);
        (*mtime_ns, *ctime_ns) = (now_ns, now_ns);
        let (begin, end) = (usize_of(offset), usize_of(end));
        let bytes = Arc::make_mut(bytes);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[begin..end].copy_from_slice(from);
        disk.free_bytes = free.map(|free| free - more);
        Ok(from.len())
    }

    pub(super) fn set_len(&self, len: u64) -> FsResult<()> {
        let mut disk = self.disk.lock();
        disk.fail_by_lot()?;
        let now_ns = disk.now_ns;
        let Some(Node { what: What::File { bytes, taken, .. }, mtime_ns, ctime_ns, .. }) =
            disk.nodes.get_mut(&self.node)
        else {
            return Err(Errno::BADF);
        };
        (*mtime_ns, *ctime_ns) = (now_ns, now_ns);
        Arc::make_mut(bytes).resize(usize_of(len), 0);
        let given_back = taken.saturating_sub(len);
        *taken -= given_back;
        disk.free_bytes = disk.free_bytes.map(|free| free + given_back);
        Ok(())
    }

    pub(super) fn sync(&self) -> FsResult<()> {
        let mut disk = self.disk.lock();
        disk.fail_by_lot()?;
        if let Some(node) = disk.nodes.get_mut(&self.node) {
            node.settle();
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> bool {
        let mut disk = self.disk.lock();
        let Some(node) = disk.nodes.get_mut(&self.node) else { return true };
        *node.locked_by.get_or_insert(self.opening) == self.opening
    }

    pub(super) fn unlock(&self) {
        let mut disk = self.disk.lock();
        if let Some(node) = disk.nodes.get_mut(&self.node) {
            node.locked_by = node.locked_by.filter(|opening| *opening != self.opening);
        }
    }

    pub(super) fn entries(&self) -> FsResult<Vec<MemoryEntry>> {
        let disk = self.disk.lock();
        let entry =
            |(name, node): (&String, &u64)| Some((CString::new(name.as_str()).ok()?, disk.look(*node).kind));
        Ok(disk.names(self.node)?.iter().filter_map(entry).collect())
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.disk.lock().free_bytes.unwrap_or(u64::MAX)
    }

    /// Renames within this folder.
    pub(super) fn rename(&self, from: &str, to: &str, replaces: bool) -> FsResult<()> {
        let mut disk = self.disk.lock();
        let node = *disk.names(self.node)?.get(from).ok_or(Errno::NOENT)?;
        if !replaces && disk.names(self.node)?.contains_key(to) {
            return Err(Errno::EXIST);
        }
        disk.fail_by_lot()?;
        disk.change(self.node, Some(from.to_owned()), Some((to.to_owned(), node)))
    }

    pub(super) fn remove(&self, path: &Path, folder: bool) -> FsResult<()> {
        let mut disk = self.disk.lock();
        let node = disk.find(self.node, path)?;
        match disk.names(node) {
            Ok(_) if !folder => return Err(Errno::ISDIR),
            Ok(names) if !names.is_empty() => return Err(Errno::NOTEMPTY),
            Err(_) if folder => return Err(Errno::NOTDIR),
            _ => {}
        }
        let (folder, name) = disk.place(self.node, path)?;
        disk.change(folder, Some(name), None)
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.unlock();
        let mut disk = self.disk.lock();
        if let Some(node) = disk.nodes.get_mut(&self.node) {
            node.openings -= 1;
        }
        disk.forget_if_over(self.node);
    }
}
