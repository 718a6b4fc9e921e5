//! What lies on a disk in memory: files and folders, what of them is on the device, and what the power takes.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::Rng;
use crate::store::fs::{FsResult, Look, Stamp};

/// For so long a kernel may hold back what was done to a folder.
const FOLDER_HELD_BACK_NS: i64 = 5_000_000_000;
/// For so long a kernel may hold back what was written to a file.
const FILE_HELD_BACK_NS: i64 = 30_000_000_000;
/// The folder that all paths begin at.
pub(super) const ROOT: u64 = 1;

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) numbered: u64,
    pub(super) now_ns: i64,
    pub(super) free_bytes: Option<u64>,
    /// So many of a million changes fail.
    pub(super) error_ppm: u32,
    rng: Rng,
    /// Files that were not hidden and lost their name, with that.
    pub(super) replaced: Vec<(String, Arc<Vec<u8>>)>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) what: What,
    pub(super) mtime_ns: i64,
    pub(super) ctime_ns: i64,
    names: u64,
    pub(super) openings: u64,
    pub(super) locked_by: Option<u64>,
}

#[derive(Debug)]
pub(super) enum What {
    File {
        bytes: Arc<Vec<u8>>,
        synced: Arc<Vec<u8>>,
        /// The bytes that it takes on the disk.
        taken: u64,
    },
    Folder {
        names: BTreeMap<String, u64>,
        synced: BTreeMap<String, u64>,
        changes: Vec<(i64, Change)>,
    },
}

/// What was done to a folder at once.
#[derive(Debug, Clone)]
pub(super) struct Change {
    removed: Option<String>,
    added: Option<(String, u64)>,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Disk {
        let mut disk = Disk {
            nodes: BTreeMap::new(),
            numbered: 0,
            now_ns: 0,
            free_bytes: None,
            error_ppm: 0,
            rng: Rng::new(seed),
            replaced: Vec::new(),
        };
        disk.add(What::folder());
        disk
    }

    pub(super) fn lose_power(&mut self) {
        let now_ns = self.now_ns;
        let mut rng = Rng::new(self.rng.next_u64());
        for node in self.nodes.values_mut() {
            let is_old = now_ns.saturating_sub(node.mtime_ns) > FILE_HELD_BACK_NS;
            node.lose(now_ns, is_old, &mut rng);
        }
        self.count_names();
    }

    pub(super) fn add(&mut self, what: What) -> u64 {
        self.numbered += 1;
        let (now_ns, number) = (self.now_ns, self.numbered);
        let node = Node { what, mtime_ns: now_ns, ctime_ns: now_ns, names: 0, openings: 0, locked_by: None };
        self.nodes.insert(number, node);
        number
    }

    pub(super) fn fail_by_lot(&mut self) -> FsResult<()> {
        match self.error_ppm > 0 && self.rng.chance_ppm(self.error_ppm) {
            true => Err(Errno::IO),
            false => Ok(()),
        }
    }

    pub(super) fn find(&self, from: u64, path: &Path) -> FsResult<u64> {
        let mut at = from;
        for component in path.components() {
            at = match component {
                Component::RootDir => ROOT,
                Component::CurDir => at,
                Component::Normal(name) => {
                    let name = name.to_str().ok_or(Errno::ILSEQ)?;
                    *self.names(at)?.get(name).ok_or(Errno::NOENT)?
                }
                Component::ParentDir | Component::Prefix(_) => return Err(Errno::XDEV),
            };
        }
        if path.as_os_str().is_empty() { Err(Errno::NOENT) } else { Ok(at) }
    }

    /// The folder that a path leads to, and the name in it.
    pub(super) fn place(&self, from: u64, path: &Path) -> FsResult<(u64, String)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(Errno::NOENT)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.find(from, parent)?,
            _ => from,
        };
        match self.nodes.get(&folder) {
            Some(node) if node.names > 0 || folder == ROOT => Ok((folder, name.to_owned())),
            _ => Err(Errno::NOENT),
        }
    }

    pub(super) fn names(&self, folder: u64) -> FsResult<&BTreeMap<String, u64>> {
        match self.nodes.get(&folder).map(|node| &node.what) {
            Some(What::Folder { names, .. }) => Ok(names),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn bytes(&self, file: u64) -> Option<&Arc<Vec<u8>>> {
        match self.nodes.get(&file).map(|node| &node.what) {
            Some(What::File { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn look(&self, number: u64) -> Look {
        let node = self.nodes.get(&number);
        let size = self.bytes(number).map_or(0, |bytes| bytes.len() as u64);
        let (mtime_ns, ctime_ns) = node.map_or((0, 0), |node| (node.mtime_ns, node.ctime_ns));
        Look {
            stamp: Stamp { dev: 1, ino: number, size, mtime_ns, ctime_ns },
            kind: if self.bytes(number).is_some() { FileType::RegularFile } else { FileType::Directory },
            names: node.map_or(0, |node| node.names),
            is_executable: false,
        }
    }

    /// Takes a name out of a folder and puts one in, at once.
    pub(super) fn change(
        &mut self,
        folder: u64,
        removed: Option<String>,
        added: Option<(String, u64)>,
    ) -> FsResult<()> {
        let now_ns = self.now_ns;
        let lost = added.as_ref().map(|(name, _)| name).or(removed.as_ref()).cloned();
        let Some(Node { what: What::Folder { names, synced, changes }, mtime_ns, .. }) =
            self.nodes.get_mut(&folder)
        else {
            return Err(Errno::NOTDIR);
        };
        *mtime_ns = now_ns;
        let change = Change { removed, added };
        let nameless = change.apply(names);
        let settled = changes.partition_point(|(at, _)| now_ns - at > FOLDER_HELD_BACK_NS);
        for (_, change) in changes.drain(..settled) {
            change.apply(synced);
        }
        changes.push((now_ns, change.clone()));
        if let Some(node) = change.added.and_then(|(_, node)| self.nodes.get_mut(&node)) {
            node.names = 1;
            node.ctime_ns = now_ns;
        }
        if let (Some(number), Some(name)) = (nameless, lost) {
            let bytes = self.bytes(number).filter(|_| !name.starts_with('.')).cloned();
            self.replaced.extend(bytes.map(|bytes| (name, bytes)));
            if let Some(node) = self.nodes.get_mut(&number) {
                node.names = 0;
            }
            self.forget_if_over(number);
        }
        Ok(())
    }

    /// A file that has no name and that nobody has open takes no place; but it comes back when the power goes before
    /// the device knows of that.
    pub(super) fn forget_if_over(&mut self, number: u64) {
        let Some(node) = self.nodes.get_mut(&number).filter(|node| node.names + node.openings == 0) else {
            return;
        };
        if let What::File { taken, .. } = &mut node.what {
            let given_back = std::mem::take(taken);
            self.free_bytes = self.free_bytes.map(|free| free + given_back);
        }
    }

    /// Counts the names of each file anew, and forgets those that have none.
    fn count_names(&mut self) {
        let named: Vec<u64> = self
            .nodes
            .keys()
            .filter_map(|node| self.names(*node).ok())
            .flat_map(BTreeMap::values)
            .copied()
            .collect();
        for (number, node) in &mut self.nodes {
            node.names = u64::from(named.contains(number));
        }
        self.nodes.retain(|number, node| *number == ROOT || node.names + node.openings > 0);
    }
}

impl Change {
    /// Makes the change; gives what has no name any more.
    fn apply(&self, names: &mut BTreeMap<String, u64>) -> Option<u64> {
        let removed = self.removed.as_ref().and_then(|name| names.remove(name));
        match &self.added {
            Some((name, node)) => names.insert(name.clone(), *node).filter(|before| before != node),
            None => removed,
        }
    }
}

impl Node {
    /// All of it is on the device.
    pub(super) fn settle(&mut self) {
        match &mut self.what {
            What::File { bytes, synced, .. } => *synced = Arc::clone(bytes),
            What::Folder { names, synced, changes } => {
                *synced = names.clone();
                changes.clear();
            }
        }
    }

    /// What is not on the device may be lost.
    fn lose(&mut self, now_ns: i64, is_old: bool, rng: &mut Rng) {
        match &mut self.what {
            What::File { bytes, synced, .. } if !is_old && bytes != synced => match rng.below(4) {
                0 => *bytes = Arc::clone(synced),
                1 => {
                    let kept = rng.below(bytes.len()).max(synced.len().min(bytes.len()));
                    Arc::make_mut(bytes).truncate(kept);
                }
                _ => {}
            },
            What::File { .. } => {}
            What::Folder { names, synced, changes } => {
                let is_held_back = |(at, _): &(i64, Change)| now_ns - at <= FOLDER_HELD_BACK_NS;
                let held_back = changes.iter().filter(|change| is_held_back(change)).count();
                let kept = changes.len() - rng.below(held_back + 1);
                *names = std::mem::take(synced);
                for (_, change) in &changes[..kept] {
                    change.apply(names);
                }
            }
        }
        self.settle();
    }
}

impl What {
    pub(super) fn file() -> What {
        What::File { bytes: Arc::default(), synced: Arc::default(), taken: 0 }
    }

    pub(super) fn folder() -> What {
        What::Folder { names: BTreeMap::new(), synced: BTreeMap::new(), changes: Vec::new() }
    }
}

pub(super) fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
