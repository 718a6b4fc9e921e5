//! Sharing: walks the folders that were named, hashes the files in them, slice by slice.
//!
//! Owns the queue of what is to be hashed. How folders are walked stands in `walk.rs`, how they are watched in
//! `watch.rs`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::fs::{File, FsResult, Stamp};
use crate::store::hash::{FileHash, HashFault, SLICE_BYTES};
use crate::store::library::Library;
use crate::store::served::{Place, name_of};
use crate::store::walk::{Step, Walk, Why};
use crate::store::watch::Watch;
use crate::store::{ShareEvent, fault};

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
    /// What is looked at again and again.
    pub(crate) watch: Watch,
    /// Whether a file is hashed only when it is quiet, although nobody watches its folder.
    pub(crate) is_patient: bool,
    /// Whether the end of all this is still to be told.
    tell_done: bool,
    /// Whether it is to be told once more when nothing is awaited any longer.
    tell_settled: bool,
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
                self.share_folder(&path, library).map_err(failed)?;
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

    /// Takes a folder with all that is below it, and looks about every `interval` for what changed there.
    pub(crate) fn watch(
        &mut self,
        path: &Path,
        interval: Duration,
        library: &mut Library,
    ) -> Result<(), Fault> {
        let failed = |errno| fault::reading("serve", path, errno);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let root = self.share_folder(&path, library).map_err(failed)?;
        library.served.watch(root);
        self.watch.add(&path, root, interval);
        self.tell_done = true;
        Ok(())
    }

    fn share_folder(&mut self, path: &Path, library: &mut Library) -> FsResult<u32> {
        let folder = Arc::new(library.fs.open_folder(path)?);
        let root = library.served.root(path, Arc::clone(&folder));
        self.walks.push_back(Walk::new(root, folder, &library.fs)?);
        Ok(root)
    }

    /// Whether there is something to do.
    pub(crate) fn has_work(&self, library: &Library) -> bool {
        self.has_files(library) || self.watch.is_due()
    }

    /// Whether there is something to hash, or to look for the first time.
    fn has_files(&self, library: &Library) -> bool {
        self.tell_done
            || self.hashing.is_some()
            || !library.changed.is_empty()
            || self.watch.has_files()
            || self.has_settled()
    }

    /// Whether everything that was awaited is shared or gone.
    fn has_settled(&self) -> bool {
        self.tell_settled && self.hashing.is_none() && self.watch.is_settled()
    }

    /// How far the file is that is being hashed: its name, its bytes that are, and all of them.
    pub(crate) fn progress(&self) -> Option<(String, u64, u64)> {
        let Hashing { place, hash, .. } = self.hashing.as_ref()?;
        Some((name_of(place, None), hash.done_bytes(), hash.stamp().size))
    }

    /// Does one slice.
    pub(crate) fn step(&mut self, library: &mut Library) {
        self.watch.step(self.hashing.as_ref().map(|hashing| &hashing.place), library);
        // What is shared for the first time is looked up in the index, whose log can be long.
        let looks_up = !(self.wanted.is_empty() && self.walks.is_empty());
        if looks_up && !library.index.read_on() {
            return;
        }
        let mut budget = SLICE_BYTES;
        while budget > 0 && self.has_files(library) {
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
            let step = walk.next(&library.fs);
            let over = matches!(step, Step::Over);
            self.stepped(&walk, step, library);
            if !over {
                self.walks.push_front(walk);
            }
        } else if std::mem::take(&mut self.tell_done) {
            let (files, bytes) = library.served.totals();
            library.index.forget();
            self.watch.begin();
            library.tell(ShareEvent::ScanDone { files, bytes });
        } else if self.has_settled() {
            self.tell_settled = false;
            self.tell_done = true;
        } else if let Some((place, file, stamp)) = self.watch.next_file(library) {
            // A small file is hashed sooner than the index is read.
            let trust = if stamp.size > SLICE_BYTES as u64 { Trust::Index } else { Trust::Nothing };
            self.begin(place, file, stamp, trust, 1, library);
            if !self.watch.has_files() {
                library.index.forget();
            }
        }
    }

    /// Takes what a step of a walk gave.
    fn stepped(&mut self, walk: &Walk, step: Step, library: &mut Library) {
        let (path, why) = match step {
            Step::Over | Step::Onward | Step::Folder(_) => return,
            Step::File(path) => match walk.open(&path, &library.fs) {
                Ok((file, look)) if look.kind == FileType::RegularFile => {
                    let place = walk.place(path);
                    if !self.awaits(&place, &look.stamp, library) {
                        self.begin(place, file, look.stamp, Trust::Index, 1, library);
                    }
                    return;
                }
                Ok((_, look)) => (path, Why::Kind(look.kind)),
                Err(errno) => (path, Why::Errno(errno)),
            },
            Step::LeftOut(path, why) => (path, why),
            Step::Unreadable(path, errno) => (path, Why::Errno(errno)),
        };
        let stamp = walk.look(&path, &library.fs).ok().map(|look| look.stamp);
        self.leave_out(walk.place(path), stamp, why.spoken(), library);
    }

    fn leave_out(&mut self, place: Place, stamp: Option<Stamp>, why: String, library: &mut Library) {
        if library.served.is_watched(&place) {
            self.watch.leave_out_for(place, stamp, why, library);
        } else {
            library.skipped(library.served.path(&place), why);
        }
    }

    fn open(&mut self, place: Place, trust: Trust, library: &mut Library) {
        match library.served.open_at(&place) {
            Ok((_, look)) if self.awaits(&place, &look.stamp, library) => {}
            Ok((file, look)) => self.begin(place, file, look.stamp, trust, 1, library),
            // What was served and vanished has been withdrawn; there is no more to say.
            Err(Errno::NOENT) if trust == Trust::Nothing => {}
            Err(errno) => library.skipped(library.served.path(&place), Why::Errno(errno).spoken()),
        }
    }

    /// Whether a file is to be hashed only later, because somebody writes to it.
    fn awaits(&mut self, place: &Place, stamp: &Stamp, library: &mut Library) -> bool {
        let awaits =
            self.is_patient && !library.served.is_watched(place) && self.watch.awaits(place, stamp, library);
        self.tell_settled |= awaits;
        awaits
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
        match FileHash::new(&library.fs, file, stamp) {
            Ok(hash) => self.hashing = Some(Hashing { place, hash, try_number }),
            Err(why) => {
                let why = why.into_fault(&library.served.path(&place)).text;
                self.leave_out(place, Some(stamp), why, library);
            }
        }
    }

    /// Hashes one slice of a file; gives what that cost, in bytes.
    fn hash_slice(&mut self, mut hashing: Hashing, library: &mut Library) -> usize {
        let before = hashing.hash.done_bytes();
        let stepped = hashing.hash.step(&library.fs, &mut library.scratch);
        let cost = usize::try_from(hashing.hash.done_bytes() - before).unwrap_or(SLICE_BYTES);
        let Hashing { place, hash, try_number } = hashing;
        let stamp = hash.stamp();
        match stepped {
            Ok(false) => self.hashing = Some(Hashing { place, hash, try_number }),
            Ok(true) => match hash.finish(&library.fs) {
                Ok(hashed) => {
                    let (stamp, id) = (hashed.stamp, hashed.id);
                    library.learn(&place, hashed);
                    library.offer(place, stamp, id);
                }
                Err(why) => self.failed(place, stamp, why, try_number, library),
            },
            Err(why) => self.failed(place, stamp, why, try_number, library),
        }
        cost + ENTRY_COST_BYTES
    }

    fn failed(&mut self, place: Place, stamp: Stamp, why: HashFault, try_number: u32, library: &mut Library) {
        if why == HashFault::Changed && library.served.is_watched(&place) {
            return self.watch.unsettle(place, stamp, library.fs.now_ns());
        }
        if why == HashFault::Changed
            && let Ok((_, look)) = library.served.open_at(&place)
            && self.awaits(&place, &look.stamp, library)
        {
            return;
        }
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
        self.leave_out(place, Some(stamp), why, library);
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
