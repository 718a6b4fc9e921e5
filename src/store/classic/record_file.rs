//! One of the files that the field's programs share: read as it is, replaced as a whole.
//!
//! Others do not write it so: they truncate it and write it anew, and who reads meanwhile sees half of it. What that
//! means is decided where it is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::fs::{File, Fs, FsResult, Stamp};
use crate::store::temp::{Temp, sweep};
use crate::store::{bad, fault};
use crate::wire::classic::records::RECORD_BYTES_MAX;

/// A file that is shared with other programs.
#[derive(Debug)]
pub(crate) struct RecordFile {
    fs: Fs,
    folder: Arc<File>,
    name: String,
    path: PathBuf,
    /// Something is wrong with it, and that was said.
    was_warned_of: bool,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) enum Held {
    /// There is no such file.
    Nothing,
    /// These bytes.
    Text(Vec<u8>, Stamp),
    /// What none of the programs has put there: a link, a folder, or more than is ever read.
    Foreign,
}

impl RecordFile {
    /// The file at `path`, which need not be there; the folder it is in is made when missing.
    pub(crate) fn open(fs: &Fs, path: &Path) -> Result<RecordFile, Fault> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let text = format!("{} is no name for a file; choose another", fault::shown(path));
            return Err(fault::fault(FaultKind::NameRefused, text));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |errno| fault::keeping("use the folder", parent, errno);
        let folder = open_or_make_folder(fs, parent).map_err(failed)?;
        // What cannot be swept away now is at the next start.
        let _ = sweep(fs, &folder);
        Ok(RecordFile {
            fs: fs.clone(),
            folder: Arc::new(folder),
            name: name.to_owned(),
            path: path.to_owned(),
            was_warned_of: false,
        })
    }

    /// The time that it is stamped with.
    pub(crate) fn now_ns(&self) -> i64 {
        self.fs.now_ns()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds now.
    pub(crate) fn read(&self) -> FsResult<Held> {
        let file = match self.fs.open_read_at(&self.folder, Path::new(&self.name)) {
            Err(Errno::NOENT) => return Ok(Held::Nothing),
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Held::Foreign),
            other => other?,
        };
        let look = self.fs.look(&file)?;
        let size = usize::try_from(look.stamp.size).unwrap_or(usize::MAX);
        if look.kind != FileType::RegularFile || size > RECORD_BYTES_MAX {
            return Ok(Held::Foreign);
        }
        // It may have grown since; what is too long for its kind is seen by who decodes it.
        let mut text = vec![0; (size + 1).min(RECORD_BYTES_MAX + 1)];
        let read = self.fs.read_at(&file, &mut text, 0)?;
        text.truncate(read);
        Ok(Held::Text(text, look.stamp))
    }

    /// What a look at its name gives; `None` when there is nothing to look at.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.fs.look_at(&self.folder, Path::new(&self.name)).ok().map(|look| look.stamp)
    }

    /// Puts a whole new text in its place: who reads sees the old one or the new one.
    pub(crate) fn replace(&self, text: &str) -> FsResult<()> {
        let mut temp = Temp::make(&self.fs, &self.folder)?;
        temp.append(text.as_bytes())?;
        temp.name_over(&self.name)
    }

    /// Puts aside what cannot be understood.
    pub(crate) fn put_aside(&self) -> FsResult<()> {
        bad::put_aside(&self.fs, &self.folder, &self.name)
    }

    /// Takes the lock under which it is read and replaced; false when somebody else has it. It is the folder's, for
    /// the file itself is another after each replacement.
    pub(crate) fn try_lock(&self) -> FsResult<bool> {
        self.fs.try_lock(&self.folder)
    }

    /// Gives the lock back.
    pub(crate) fn unlock(&self) {
        let _ = self.fs.unlock(&self.folder);
    }

    /// Says once that something is wrong with it.
    pub(crate) fn warn(&mut self, why: &str) {
        if !std::mem::replace(&mut self.was_warned_of, true) {
            log::warn!("{}: {why}", fault::shown(&self.path));
        }
    }

    /// It is as it should be; what is wrong later is said again.
    pub(crate) fn is_well(&mut self) {
        self.was_warned_of = false;
    }
}

/// Opens a folder, made when missing.
pub(crate) fn open_or_make_folder(fs: &Fs, path: &Path) -> FsResult<File> {
    match fs.open_folder(path) {
        Err(Errno::NOENT) => {
            fs.make_folders(path)?;
            fs.open_folder(path)
        }
        other => other,
    }
}
