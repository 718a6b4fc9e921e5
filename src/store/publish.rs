//! Giving complete parts their final names, durably.
//!
//! This is the I/O thread's work, because syncs cannot be cut into slices. Several parts that wait share one sync
//! of their folder; many share one of everything, which is one wait for the device instead of one a file.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind, SpoolId};
use crate::store::fs::{File, Fs, Stamp};
use crate::store::target::{NUMBER_MAX, Names, numbered};
use crate::store::{OnConflict, fault};
use crate::types::ContentId;
use crate::types::geometry::NATIVE_CHUNK_BYTES_MIN;

/// Parts that share one sync of their folder at most.
pub(crate) const BATCH_MAX: usize = 256;
/// So many parts are brought to the device by one sync of their file system.
const SYNC_AROUND_MIN: usize = 8;
/// The first Linux whose sync of a file system tells of failed writes.
const SYNC_AROUND_TELLS: (u32, u32) = (5, 8);

/// A content of so many bytes is one chunk. Whether it is what has its final name already can be seen at once.
pub(crate) const WHOLE_BYTES_MAX: u64 = NATIVE_CHUNK_BYTES_MIN as u64;

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The part of a content.
    Content(ContentId),
    /// A file that was joined from chunks, by the ticket of the job.
    Joined(u32),
    /// A file that was sent here, by its spool.
    Transferred(SpoolId),
}

/// A complete part that wants its final name.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) goal: Goal,
    pub(crate) size_bytes: u64,
    pub(crate) file: Arc<File>,
    pub(crate) folder: Arc<File>,
    /// Where the folder is, for sentences.
    pub(crate) folder_path: Arc<Path>,
    /// Folders in which some were made on the way to it, and which are not synced yet.
    pub(crate) made_in: Vec<Arc<File>>,
    pub(crate) names: Names,
    pub(crate) has_state: bool,
    pub(crate) on_conflict: OnConflict,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) goal: Goal,
    pub(crate) result: Result<Published, Failure>,
}

/// A file under its final name.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) name: String,
    pub(crate) stamp: Stamp,
}

/// Why a part is not published.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The part is as it was.
    Kept(Fault),
    /// The part may not be on the device as it is in memory.
    Suspect(Fault),
    /// The part has its final name, but that may not be on the device.
    Undurable(Fault),
}

impl Failure {
    /// In words.
    pub(crate) fn into_fault(self) -> Fault {
        let (Failure::Kept(fault) | Failure::Suspect(fault) | Failure::Undurable(fault)) = self;
        fault
    }
}

/// Publishes batch after batch.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    /// Whether one sync of a file system stands for those of its files; `None`: not known yet.
    sync_around: Option<bool>,
}

impl Publisher {
    /// Gives each part of a batch its final name.
    pub(crate) fn publish(&mut self, fs: &Fs, batch: Vec<Request>) -> Vec<Outcome> {
        publish(fs, batch, &mut self.sync_around)
    }
}

/// Files to the device first, then their names, then the folder, and only then the states are gone.
fn publish(fs: &Fs, batch: Vec<Request>, sync_around: &mut Option<bool>) -> Vec<Outcome> {
    let synced =
        batch.len() >= SYNC_AROUND_MIN && *sync_around.get_or_insert_with(|| sync_around_tells(fs)) && {
            let result = batch.first().map_or(Ok(()), |first| fs.sync_around(&first.folder));
            // A failed write is told of only once, perhaps to a batch that it does not concern: from then on, each file
            // is asked itself.
            *sync_around = Some(result.is_ok());
            result.is_ok()
        };
    let named: Vec<(Request, Result<Named, Failure>)> = batch
        .into_iter()
        .map(|request| {
            let named = sync(fs, &request, synced).and_then(|()| name(fs, &request));
            (request, named)
        })
        .collect();
    let mut folders: Vec<(&Arc<File>, Result<(), Errno>)> = Vec::new();
    let mut outcomes = Vec::with_capacity(named.len());
    for (request, named) in &named {
        let of_file = named.is_ok().then_some(&request.folder);
        for folder in request.made_in.iter().chain(of_file) {
            if !folders.iter().any(|(synced, _)| Arc::ptr_eq(synced, folder)) {
                folders.push((folder, fs.sync(folder)));
            }
        }
    }
    for (request, named) in &named {
        let concerns = |folder: &Arc<File>| {
            Arc::ptr_eq(folder, &request.folder)
                || request.made_in.iter().any(|made| Arc::ptr_eq(folder, made))
        };
        let failed = folders.iter().find(|(folder, result)| result.is_err() && concerns(folder));
        let folder_sync = failed.map_or(Ok(()), |(_, result)| *result);
        let result = match named {
            Ok(Named { name, there: Some(stamp) }) => match folder_sync {
                Ok(()) => Ok(Published { name: name.clone(), stamp: *stamp }),
                Err(errno) => {
                    let path = request.folder_path.join(name);
                    Err(Failure::Undurable(fault::writing("save", &path, errno)))
                }
            },
            Ok(Named { name, there: None }) => settle(fs, request, name, folder_sync),
            Err(failure) => {
                // Its bytes cost little to fetch again, and the next look would find them in memory, not on the device.
                if matches!((failure, request.goal), (Failure::Suspect(_), Goal::Content(_)))
                    && !request.has_state
                {
                    let _ = fs.unlink(&request.folder, &request.names.part);
                }
                Err(failure.clone())
            }
        };
        outcomes.push(Outcome { goal: request.goal, result });
    }
    outcomes
}

fn sync(fs: &Fs, request: &Request, synced: bool) -> Result<(), Failure> {
    if synced {
        return Ok(());
    }
    let part_path = request.folder_path.join(&request.names.part);
    fs.sync(&request.file).map_err(|errno| Failure::Suspect(fault::writing("save", &part_path, errno)))
}

/// The final name of a part.
#[derive(Debug)]
struct Named {
    name: String,
    /// What had it already, which is the same; the part is gone.
    there: Option<Stamp>,
}

/// Gives the part its final name, when it still is the file that was written.
fn name(fs: &Fs, request: &Request) -> Result<Named, Failure> {
    let part_path = request.folder_path.join(&request.names.part);
    let kept = |errno| Failure::Kept(fault::writing("rename", &part_path, errno));
    let open = fs.look(&request.file).map_err(kept)?.stamp;
    let named = fs.look_at(&request.folder, Path::new(&request.names.part)).map_err(kept)?.stamp;
    if !named.same_file(&open) || open.size != request.size_bytes {
        let text = format!("{} was changed by somebody else; get it again", fault::shown(&part_path));
        return Err(Failure::Suspect(fault::fault(FaultKind::Io, text)));
    }
    rename(fs, request)
}

/// Gives the part its final name, or the next that is free.
fn rename(fs: &Fs, request: &Request) -> Result<Named, Failure> {
    let Request { folder, folder_path, names, on_conflict, .. } = request;
    let failed = |name: &str, errno| Failure::Kept(fault::writing("make", &folder_path.join(name), errno));
    if *on_conflict == OnConflict::Overwrite {
        let name = names.wished.clone();
        return match fs.rename_over(folder, &names.part, &name) {
            Ok(()) => Ok(Named { name, there: None }),
            Err(errno) => Err(failed(&name, errno)),
        };
    }
    let numbers = if *on_conflict == OnConflict::Rename { 1..=NUMBER_MAX } else { 1..=1 };
    for number in numbers {
        let name = numbered(&names.wished, number);
        match fs.rename_new(folder, &names.part, &name) {
            Ok(()) => return Ok(Named { name, there: None }),
            Err(Errno::EXIST) => {
                if let Some(there) = same_file_there(fs, request, &name) {
                    let _ = fs.unlink(folder, &names.part);
                    return Ok(Named { name, there: Some(there) });
                }
                let there = fs.look_at(folder, Path::new(&name));
                if names.in_tree && there.is_ok_and(|look| look.kind == FileType::Directory) {
                    break;
                }
            }
            Err(errno) => return Err(failed(&name, errno)),
        }
    }
    if let (Goal::Content(_), false) = (request.goal, request.has_state) {
        // A small part would be found by no later run, which the name in the way stops before.
        let _ = fs.unlink(folder, &names.part);
    }
    let shown = fault::shown(&folder_path.join(&names.wished));
    let text = format!("{shown} was made by somebody else meanwhile; move it, and get this again");
    Err(Failure::Kept(fault::fault(FaultKind::Exists, text)))
}

/// Whether what has a name already is what was to get it: that of a small file, which may have come there since the folder
/// was looked at.
fn same_file_there(fs: &Fs, request: &Request, name: &str) -> Option<Stamp> {
    let Goal::Content(content) = request.goal else { return None };
    if request.size_bytes > WHOLE_BYTES_MAX {
        return None;
    }
    let file = fs.open_read_at(&request.folder, Path::new(name)).ok()?;
    let look = fs.look(&file).ok()?;
    if look.kind != FileType::RegularFile || look.stamp.size != request.size_bytes {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(look.stamp.size).ok()?];
    let read = fs.read_at(&file, &mut bytes, 0).ok()?;
    let same = read == bytes.len() && blake3::hash(&bytes) == content.0;
    // Who made it may not have waited for the device.
    (same && fs.sync(&file).is_ok()).then_some(look.stamp)
}

/// The file has its name: is that durable, and what does it look like now?
fn settle(
    fs: &Fs,
    request: &Request,
    name: &str,
    folder_sync: Result<(), Errno>,
) -> Result<Published, Failure> {
    let path = request.folder_path.join(name);
    let undurable = |errno| Failure::Undurable(fault::writing("save", &path, errno));
    folder_sync.map_err(undurable)?;
    if request.has_state {
        // One that stays behind is put aside or replaced by the next download of this content.
        let _ = fs.unlink(&request.folder, &request.names.state);
    }
    let stamp = fs.look(&request.file).map_err(undurable)?.stamp;
    Ok(Published { name: name.to_owned(), stamp })
}

/// Whether a sync of a file system can be relied on: it tells of failed writes.
fn sync_around_tells(fs: &Fs) -> bool {
    let mut text = [0; 32];
    let read = fs
        .open_read(Path::new("/proc/sys/kernel/osrelease"))
        .and_then(|file| fs.read_at(&file, &mut text, 0))
        .unwrap_or(0);
    let release = String::from_utf8_lossy(&text[..read]);
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version: Option<(u32, u32)> = numbers.next().zip(numbers.next());
    version.is_some_and(|version| version >= SYNC_AROUND_TELLS)
}
