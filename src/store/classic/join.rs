//! Joining chunks into a file: a look at what has its name, a copy in slices, and then the I/O thread publishes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::classic::row::Row;
use crate::store::fs::{File, Fs, FsResult};
use crate::store::publish::{Goal, Request};
use crate::store::target::{NUMBER_MAX, Names, Target, numbered};
use crate::store::temp::{Temp, sweep};
use crate::store::{OnConflict, fault};

/// A file that is being joined.
#[derive(Debug)]
pub(crate) struct Join {
    fs: Fs,
    ticket: u32,
    /// Where the chunks are, for sentences.
    chunk_path: PathBuf,
    wished: String,
    folder: Arc<File>,
    /// The chunks, read to their beginning.
    row: Row,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Look at what has the final name, or this number of it.
    Look { number: u32 },
    /// Compare what has it.
    Compare { number: u32, file: File, row: Row, offset: u64 },
    /// Copy.
    Copy { row: Row, temp: Temp },
}

/// What a slice gave.
#[derive(Debug)]
pub(crate) enum Joined {
    /// There is more to do.
    More(Join),
    /// The file is there already, to the byte.
    There { path: PathBuf, row: Row },
    /// Something else is there, and is left alone.
    Left { path: PathBuf, row: Row },
    /// All is copied; it wants its final name.
    Copied { request: Request, temp: Temp, row: Row },
}

impl Join {
    /// Begins to join these chunks into the file called `file`.
    pub(crate) fn new(
        fs: &Fs,
        ticket: u32,
        file: &str,
        chunk_path: &Path,
        row: Row,
        target: &mut Target,
    ) -> Result<Join, Fault> {
        let wished = target.wished(file)?;
        let folder = target.folder()?;
        // What processes that died left there is only in the way of the space.
        let _ = sweep(fs, &folder);
        let stage = Stage::Look { number: 1 };
        Ok(Join { fs: fs.clone(), ticket, chunk_path: chunk_path.to_owned(), wished, folder, row, stage })
    }

    /// Of which job.
    pub(crate) fn ticket(&self) -> u32 {
        self.ticket
    }

    /// Does one slice.
    pub(crate) fn step(mut self, scratch: &mut Vec<u8>, target: &Target) -> Result<Joined, Fault> {
        match std::mem::replace(&mut self.stage, Stage::Look { number: 1 }) {
            Stage::Look { number } => self.look(number, target),
            Stage::Compare { number, file, mut row, offset } => {
                let len = row.next(&self.chunk_path, scratch)?;
                if len == 0 {
                    let path = target.path().join(numbered(&self.wished, number));
                    return Ok(Joined::There { path, row: self.row });
                }
                if !self.is_same(&file, offset, &scratch[..len]) {
                    return self.conflict(number, target);
                }
                self.stage = Stage::Compare { number, file, row, offset: offset + len as u64 };
                Ok(Joined::More(self))
            }
            Stage::Copy { mut row, mut temp } => {
                let len = row.next(&self.chunk_path, scratch)?;
                if len == 0 {
                    return Ok(self.copied(temp, target));
                }
                let path = target.path().join(&self.wished);
                temp.append(&scratch[..len]).map_err(|errno| fault::writing("write", &path, errno))?;
                self.stage = Stage::Copy { row, temp };
                Ok(Joined::More(self))
            }
        }
    }

    fn look(mut self, number: u32, target: &Target) -> Result<Joined, Fault> {
        let name = numbered(&self.wished, number);
        let path = target.path().join(&name);
        let look = match self.fs.look_at(&self.folder, Path::new(&name)) {
            Err(Errno::NOENT) => return self.begin_copy(target),
            other => other.map_err(|errno| fault::writing("look at", &path, errno))?,
        };
        if look.kind == FileType::Directory && target.on_conflict == OnConflict::Overwrite {
            let text = format!("{} is a folder; give another name with -o FILE", fault::shown(&path));
            return Err(fault::fault(FaultKind::Exists, text));
        }
        if look.kind == FileType::RegularFile && look.stamp.size == self.row.bytes() {
            let file = self.open_file(&name);
            if let Ok(file) = file {
                self.stage = Stage::Compare { number, file, row: self.row.again(), offset: 0 };
                return Ok(Joined::More(self));
            }
        }
        self.conflict(number, target)
    }

    fn open_file(&self, name: &str) -> FsResult<File> {
        let file = self.fs.open_read_at(&self.folder, Path::new(name))?;
        // What was opened need not be what was looked at.
        let look = self.fs.look(&file)?;
        let same = look.kind == FileType::RegularFile && look.stamp.size == self.row.bytes();
        if same { Ok(file) } else { Err(Errno::LOOP) }
    }

    fn is_same(&self, file: &File, offset: u64, bytes: &[u8]) -> bool {
        let mut there = vec![0; bytes.len()];
        self.fs.read_at(file, &mut there, offset).is_ok_and(|read| there[..read] == *bytes)
    }

    /// Something else has the final name.
    fn conflict(mut self, number: u32, target: &Target) -> Result<Joined, Fault> {
        match target.on_conflict {
            OnConflict::Overwrite => return self.begin_copy(target),
            OnConflict::Rename if number < NUMBER_MAX => {
                self.stage = Stage::Look { number: number + 1 };
                return Ok(Joined::More(self));
            }
            OnConflict::Skip => {
                let path = target.path().join(numbered(&self.wished, number));
                return Ok(Joined::Left { path, row: self.row });
            }
            OnConflict::Rename | OnConflict::Error => {}
        }
        let shown = fault::shown(&target.path().join(numbered(&self.wished, number)));
        let text = format!("{shown} exists and is another file; move it, or say --on-conflict rename");
        Err(fault::fault(FaultKind::Exists, text))
    }

    fn begin_copy(mut self, target: &Target) -> Result<Joined, Fault> {
        let temp = Temp::make(&self.fs, &self.folder)
            .map_err(|errno| fault::writing("make", &target.path().join(&self.wished), errno))?;
        self.stage = Stage::Copy { row: self.row.again(), temp };
        Ok(Joined::More(self))
    }

    fn copied(self, temp: Temp, target: &Target) -> Joined {
        let names =
            Names { wished: self.wished, part: temp.name().to_owned(), state: String::new(), in_tree: false };
        let request = Request {
            goal: Goal::Joined(self.ticket),
            size_bytes: temp.bytes(),
            file: Arc::clone(temp.file()),
            folder: self.folder,
            folder_path: target.shared_path(),
            made_in: Vec::new(),
            names,
            has_state: false,
            // What was there at the look is left alone, and so is what came since.
            on_conflict: match target.on_conflict {
                OnConflict::Skip => OnConflict::Error,
                other => other,
            },
        };
        Joined::Copied { request, temp, row: self.row }
    }
}
