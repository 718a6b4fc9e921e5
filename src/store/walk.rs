//! A walk through a folder and all that is below it, one entry at a time.
//!
//! Holds one open folder a level, never a list of files, and follows no link. What becomes of the files is the
//! walker's business.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::store::fs::{Entries, File, Fs, FsResult, Look};
use crate::store::served::Place;
use crate::store::{fault, target};

/// Folders deeper than this below the one that was named are left out.
const DEPTH_MAX: usize = 64;

/// A folder, on the way through all that is below it.
#[derive(Debug)]
pub(crate) struct Walk {
    root: u32,
    levels: Vec<Level>,
    /// The path from the root to the folder that is read now.
    below: PathBuf,
}

#[derive(Debug)]
struct Level {
    folder: Arc<File>,
    entries: Entries,
}

/// What the next entry is.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is none: the walk is over.
    Over,
    /// Nothing that matters.
    Onward,
    /// A folder, which is read from now on.
    Folder(PathBuf),
    /// A file, in the folder that is read now.
    File(PathBuf),
    /// Something that is not shared.
    LeftOut(PathBuf, Why),
    /// A folder that cannot be read (on).
    Unreadable(PathBuf, Errno),
}

/// Why something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is of this kind.
    Kind(FileType),
    /// It lies too deep.
    Deep,
    /// It cannot be read.
    Errno(Errno),
}

impl Walk {
    /// A walk through an open folder, the one of number `root`.
    pub(crate) fn new(root: u32, folder: Arc<File>, fs: &Fs) -> FsResult<Walk> {
        Ok(Walk { root, levels: vec![Level::new(folder, fs)?], below: PathBuf::new() })
    }

    /// The place of a path that a step gave.
    pub(crate) fn place(&self, path: PathBuf) -> Place {
        Place { root: Some(self.root), path: path.into_boxed_path() }
    }

    /// The next entry.
    pub(crate) fn next(&mut self, fs: &Fs) -> Step {
        let Some(level) = self.levels.last_mut() else { return Step::Over };
        let entry = match fs.next_entry(&mut level.entries) {
            Ok(Some(entry)) => entry,
            end => {
                let read = self.below.clone();
                self.levels.pop();
                self.below.pop();
                return end.err().map_or(Step::Onward, |errno| Step::Unreadable(read, errno));
            }
        };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name.as_bytes().starts_with(b".") || target::is_ours(name) {
            return Step::Onward;
        }
        let path = self.below.join(name);
        let kind = match entry.file_type() {
            // On file systems that do not tell an entry's type.
            FileType::Unknown => match self.look(&path, fs) {
                Ok(look) => look.kind,
                Err(errno) => return Step::LeftOut(path, Why::Errno(errno)),
            },
            kind => kind,
        };
        match kind {
            FileType::Directory => self.enter(path, fs),
            FileType::RegularFile => Step::File(path),
            kind => Step::LeftOut(path, Why::Kind(kind)),
        }
    }

    /// A look at the entry that the last step gave.
    pub(crate) fn look(&self, path: &Path, fs: &Fs) -> FsResult<Look> {
        let level = self.levels.last().ok_or(Errno::NOENT)?;
        fs.look_at(&level.folder, Path::new(path.file_name().unwrap_or_default()))
    }

    /// The path that the link holds that the last step gave.
    pub(crate) fn read_link(&self, path: &Path, fs: &Fs) -> FsResult<Vec<u8>> {
        let level = self.levels.last().ok_or(Errno::NOENT)?;
        fs.read_link_at(&level.folder, Path::new(path.file_name().unwrap_or_default()))
    }

    /// Opens the file that the last step gave.
    pub(crate) fn open(&self, path: &Path, fs: &Fs) -> FsResult<(File, Look)> {
        let level = self.levels.last().ok_or(Errno::NOENT)?;
        let file = fs.open_read_at(&level.folder, Path::new(path.file_name().unwrap_or_default()))?;
        let look = fs.look(&file)?;
        Ok((file, look))
    }

    fn enter(&mut self, path: PathBuf, fs: &Fs) -> Step {
        let Some(level) = self.levels.last() else { return Step::Over };
        if self.levels.len() > DEPTH_MAX {
            return Step::LeftOut(path, Why::Deep);
        }
        let name = Path::new(path.file_name().unwrap_or_default());
        let folder = fs.open_folder_at(&level.folder, name).map(Arc::new);
        match folder.and_then(|folder| Level::new(folder, fs)) {
            Ok(level) => {
                self.levels.push(level);
                self.below.clone_from(&path);
                Step::Folder(path)
            }
            Err(errno) => Step::Unreadable(path, errno),
        }
    }
}

impl Level {
    fn new(folder: Arc<File>, fs: &Fs) -> FsResult<Level> {
        let entries = fs.entries(&folder)?;
        Ok(Level { folder, entries })
    }
}

/// Why a scan leaves out a link.
pub const LINK_LEFT_OUT: &str = "it is a link; links in shared folders are not followed";

impl Why {
    /// As a sentence.
    pub(crate) fn spoken(self) -> String {
        match self {
            Why::Kind(FileType::Symlink) => LINK_LEFT_OUT.to_owned(),
            Why::Kind(_) => "it is not a file".to_owned(),
            Why::Deep => {
                format!("it lies more than {DEPTH_MAX} folders deep; share a folder nearer to it")
            }
            Why::Errno(Errno::LOOP | Errno::NXIO) => "it is a link, or not a file".to_owned(),
            Why::Errno(errno) => format!("it cannot be read: {}", fault::spoken(errno)),
        }
    }

    /// Whether it has more to do with this moment than with the file.
    pub(crate) fn is_passing(self) -> bool {
        matches!(self, Why::Errno(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR))
    }
}
