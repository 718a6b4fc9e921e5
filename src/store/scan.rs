//! Sharing: walks the folders that were named, hashes the files in them, slice by slice.
//!
//! Owns the queue of what is to be hashed. A walk holds one open folder a level, never a list of files, and follows
//! no link.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::StoreEvent;
use crate::store::fault;
use crate::store::fs::{Look, Stamp};
use crate::store::hash::{FileHash, HashFault, SLICE_BYTES};
use crate::store::library::Library;
use crate::store::served::Place;
use crate::store::target;

/// Folders deeper than this below the one that was named are left out.
const DEPTH_MAX: usize = 64;
/// A file that changed while it was hashed is tried again so often.
const TRIES_MAX: u32 = 3;
/// So many folders are held open for the files that were named one by one; others are found by their whole path.
const FOLDERS_HELD_MAX: usize = 64;
/// What looking at one entry costs, in bytes hashed: so that a slice of small files is no longer than one of a large.
const ENTRY_COST_BYTES: usize = 32 << 10;

/// What is still to be hashed.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    wanted: VecDeque<Place>,
    walks: VecDeque<Walk>,
    hashing: Option<Hashing>,
    /// Whether the end of all this is still to be told.
    tell_done: bool,
}

/// A folder, on the way through all that is below it.
#[derive(Debug)]
struct Walk {
    root: u32,
    levels: Vec<Level>,
    /// The path from the root to the folder that is read now.
    below: PathBuf,
}

#[derive(Debug)]
struct Level {
    folder: Arc<File>,
    entries: Dir,
}

#[derive(Debug)]
struct Hashing {
    place: Place,
    hash: FileHash,
    try_number: u32,
}

impl Scan {
    /// Takes a file, or a folder with all that is below it.
    pub(crate) fn share(&mut self, path: &Path, library: &mut Library) -> Result<(), Fault> {
        let failed = |errno| fault::reading("share", path, errno);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        // Opened as a file first: a folder can be opened so too, and one look then tells what it is.
        let file = library.fs.open_read(&path).map_err(failed)?;
        match library.fs.look(&file).map_err(failed)?.kind {
            FileType::RegularFile => self.wanted.push_back(place_of(path, library)),
            FileType::Directory => {
                let folder = Arc::new(library.fs.open_folder(&path).map_err(failed)?);
                let level = Level::new(Arc::clone(&folder), library).map_err(failed)?;
                let root = library.served.root(&path, folder);
                self.walks.push_back(Walk { root, levels: vec![level], below: PathBuf::new() });
            }
            _ => {
                let text =
                    format!("{} is neither a file nor a folder; it cannot be shared", fault::shown(&path));
                return Err(fault::fault(FaultKind::Denied, text));
            }
        }
        self.tell_done = true;
        Ok(())
    }

    /// Whether there is something to do.
    pub(crate) fn has_work(&self, library: &Library) -> bool {
        self.tell_done || self.hashing.is_some() || !library.changed.is_empty()
    }

    /// Does one slice.
    pub(crate) fn step(&mut self, library: &mut Library) {
        let mut budget = SLICE_BYTES;
        while budget > 0 && self.has_work(library) {
            let cost = match self.hashing.take() {
                Some(hashing) => self.hash_slice(hashing, library),
                None => {
                    self.next(library);
                    ENTRY_COST_BYTES
                }
            };
            budget = budget.saturating_sub(cost);
        }
    }

    /// Finds the next file to hash, or a part of the way there.
    fn next(&mut self, library: &mut Library) {
        if let Some(place) = library.changed.pop_front() {
            self.open(place, Trust::Nothing, library);
        } else if let Some(place) = self.wanted.pop_front() {
            self.open(place, Trust::Index, library);
        } else if let Some(mut walk) = self.walks.pop_front() {
            let entry = walk.next(library);
            if !walk.levels.is_empty() {
                self.walks.push_front(walk);
            }
            if let Some((place, file, stamp)) = entry {
                self.begin(place, file, stamp, Trust::Index, 1, library);
            }
        } else if std::mem::take(&mut self.tell_done) {
            let (files, bytes) = library.served.totals();
            library.index.forget();
            library.tell(StoreEvent::ScanDone { files, bytes });
        }
    }

    fn open(&mut self, place: Place, trust: Trust, library: &mut Library) {
        match library.served.open_at(&place) {
            Ok((file, look)) => self.begin(place, file, look.stamp, trust, 1, library),
            // What was served and vanished has been withdrawn; there is no more to say.
            Err(Errno::NOENT) if trust == Trust::Nothing => {}
            Err(errno) => library.skipped(library.served.path(&place), left_out(errno)),
        }
    }

    /// Begins to hash an open file, if need be.
    fn begin(
        &mut self,
        place: Place,
        file: File,
        stamp: Stamp,
        trust: Trust,
        try_number: u32,
        library: &mut Library,
    ) {
        let known = if trust == Trust::Index { library.known_id(&stamp) } else { None };
        if let Some(content) = known {
            return library.offer(place, stamp, content);
        }
        match FileHash::new(file, stamp) {
            Ok(hash) => self.hashing = Some(Hashing { place, hash, try_number }),
            Err(why) => {
                let path = library.served.path(&place);
                library.skipped(path.clone(), why.into_fault(&path).text);
            }
        }
    }

    /// Hashes one slice of a file; gives what that cost, in bytes.
    fn hash_slice(&mut self, mut hashing: Hashing, library: &mut Library) -> usize {
        let before = hashing.hash.done_bytes();
        let stepped = hashing.hash.step(&library.fs, &mut library.scratch);
        let cost = usize::try_from(hashing.hash.done_bytes() - before).unwrap_or(SLICE_BYTES);
        let Hashing { place, hash, try_number } = hashing;
        match stepped {
            Ok(false) => self.hashing = Some(Hashing { place, hash, try_number }),
            Ok(true) => match hash.finish(&library.fs) {
                Ok(hashed) => {
                    let (stamp, id) = (hashed.stamp, hashed.id);
                    library.learn(&place, hashed);
                    library.offer(place, stamp, id);
                }
                Err(why) => self.failed(place, why, try_number, library),
            },
            Err(why) => self.failed(place, why, try_number, library),
        }
        cost + ENTRY_COST_BYTES
    }

    fn failed(&mut self, place: Place, why: HashFault, try_number: u32, library: &mut Library) {
        if why == HashFault::Changed
            && try_number < TRIES_MAX
            && let Ok((file, look)) = library.served.open_at(&place)
        {
            return self.begin(place, file, look.stamp, Trust::Nothing, try_number + 1, library);
        }
        let path = library.served.path(&place);
        let why = match why {
            HashFault::Changed => {
                "it keeps changing while it is read; share it again when it is done".to_owned()
            }
            other => other.into_fault(&path).text,
        };
        library.skipped(path, why);
    }
}

/// Where the file lies that a person named by this path: in its folder, held open, so that a link that somebody puts
/// in its place later is not followed. A link that the person named is.
fn place_of(path: PathBuf, library: &mut Library) -> Place {
    if library.served.roots() < FOLDERS_HELD_MAX
        && let (Some(folder_path), Some(name)) = (path.parent(), path.file_name().map(Path::new))
        && let Ok(folder) = library.fs.open_folder(folder_path)
        && library.fs.look_at(&folder, name).is_ok_and(|look| look.kind == FileType::RegularFile)
    {
        let root = library.served.root(folder_path, Arc::new(folder));
        return Place { root: Some(root), path: name.into() };
    }
    Place { root: None, path: path.into_boxed_path() }
}

/// Whether an id may come from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Index,
    Nothing,
}

impl Level {
    fn new(folder: Arc<File>, library: &Library) -> Result<Level, Errno> {
        let entries = library.fs.entries(&folder)?;
        Ok(Level { folder, entries })
    }
}

impl Walk {
    /// Looks at the next entry; gives it when it is a file to share.
    fn next(&mut self, library: &mut Library) -> Option<(Place, File, Stamp)> {
        let level = self.levels.last_mut()?;
        let entry = match library.fs.next_entry(&mut level.entries) {
            Ok(Some(entry)) => entry,
            end => {
                if let Err(errno) = end {
                    self.skip(&self.below, left_out(errno), library);
                }
                self.levels.pop();
                self.below.pop();
                return None;
            }
        };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name.as_bytes().starts_with(b".") || target::is_ours(name) {
            return None;
        }
        let path = self.below.join(name);
        match entry.file_type() {
            FileType::Directory => self.enter(path, name, library),
            FileType::RegularFile => return self.open(path, name, library),
            FileType::Unknown => return self.open_unknown(path, name, library),
            kind => self.skip(&path, not_shared(kind).to_owned(), library),
        }
        None
    }

    /// On file systems that do not tell an entry's type.
    fn open_unknown(
        &mut self,
        path: PathBuf,
        name: &OsStr,
        library: &mut Library,
    ) -> Option<(Place, File, Stamp)> {
        let folder = &self.levels.last()?.folder;
        match library.fs.look_at(folder, Path::new(name)) {
            Ok(Look { kind: FileType::Directory, .. }) => self.enter(path, name, library),
            Ok(Look { kind: FileType::RegularFile, .. }) => return self.open(path, name, library),
            Ok(Look { kind, .. }) => self.skip(&path, not_shared(kind).to_owned(), library),
            Err(errno) => self.skip(&path, left_out(errno), library),
        }
        None
    }

    fn open(&self, path: PathBuf, name: &OsStr, library: &mut Library) -> Option<(Place, File, Stamp)> {
        let folder = &self.levels.last()?.folder;
        let opened = library.fs.open_read_at(folder, Path::new(name));
        let looked = opened.and_then(|file| library.fs.look(&file).map(|look| (file, look)));
        match looked {
            Ok((file, Look { stamp, kind: FileType::RegularFile, .. })) => {
                let place = Place { root: Some(self.root), path: path.into_boxed_path() };
                return Some((place, file, stamp));
            }
            Ok((_, Look { kind, .. })) => self.skip(&path, not_shared(kind).to_owned(), library),
            Err(errno) => self.skip(&path, left_out(errno), library),
        }
        None
    }

    fn enter(&mut self, path: PathBuf, name: &OsStr, library: &mut Library) {
        let Some(level) = self.levels.last() else { return };
        if self.levels.len() > DEPTH_MAX {
            let why = format!("it lies more than {DEPTH_MAX} folders deep; share a folder nearer to it");
            return self.skip(&path, why, library);
        }
        let folder = library.fs.open_folder_at(&level.folder, Path::new(name)).map(Arc::new);
        match folder.and_then(|folder| Level::new(folder, library)) {
            Ok(level) => {
                self.levels.push(level);
                self.below = path;
            }
            Err(errno) => self.skip(&path, left_out(errno), library),
        }
    }

    fn skip(&self, path: &Path, why: String, library: &mut Library) {
        let place = Place { root: Some(self.root), path: path.into() };
        library.skipped(library.served.path(&place), why);
    }
}

fn not_shared(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "it is a link; links in shared folders are not followed",
        _ => "it is not a file",
    }
}

fn left_out(errno: Errno) -> String {
    match errno {
        Errno::LOOP | Errno::NXIO => "it is a link, or not a file".to_owned(),
        errno => format!("it cannot be read: {}", fault::spoken(errno)),
    }
}
