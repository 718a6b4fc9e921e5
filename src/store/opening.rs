//! Finding out what is there of a content before its download: the file itself, a part, or nothing.
//!
//! What has the right size under the final name, or is listed in a part's state, is hashed, slice by slice.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind, PartState};
use crate::store::fs::{Fs, Stamp};
use crate::store::hash::{FileHash, SLICE_BYTES};
use crate::store::library::Library;
use crate::store::part::Part;
use crate::store::publish::WHOLE_BYTES_MAX;
use crate::store::resume::{self, Resumable};
use crate::store::served::Place;
use crate::store::target::{Folder, NUMBER_MAX, Names, Target, numbered};
use crate::store::{OnConflict, fault};
use crate::types::name::Layout;
use crate::types::{ContentId, Geometry};

/// A download that is being looked for on disk.
#[derive(Debug)]
pub(crate) struct Opening {
    content: ContentId,
    name: String,
    size: u64,
    names: Names,
    folder: Folder,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It is known that nothing is there.
    Nothing,
    /// Look at what has the final name, or this number of it.
    Look { number: u32 },
    /// Hash what has it.
    Hash { number: u32, hash: FileHash },
    /// Look for a part.
    Part,
    /// Hash what the part is said to have.
    Recheck { resumable: Resumable, next: u32 },
}

/// A download of which nothing is there yet.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) names: Names,
    pub(crate) folder: Folder,
}

/// What a slice of looking gave.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is more to do.
    More(Opening),
    /// It is known what is there.
    Done(Opened),
}

/// What came of looking.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Nothing is there.
    Fresh(Planned),
    /// A part is there.
    Resumed(Box<Part>),
    /// The file is there and served now, or is to be left alone.
    Settled(PartState),
}

impl Opening {
    /// Begins to look for a content of `size` bytes that is offered under `name`.
    pub(crate) fn new(
        content: ContentId,
        name: String,
        layout: Layout,
        size: u64,
        target: &mut Target,
    ) -> Result<Opening, Fault> {
        let (folder, names) = target.place(&content, &name, layout)?;
        // Only where the file's name, once it is given, is compared with what may be there by then, and another will do.
        let renames = matches!(target.on_conflict, OnConflict::Rename | OnConflict::Overwrite);
        let absent = size <= WHOLE_BYTES_MAX && renames && folder.is_target() && target.lacks(&names);
        let stage = if absent { Stage::Nothing } else { Stage::Look { number: 1 } };
        Ok(Opening { content, name, size, names, folder, stage })
    }

    /// Whether the next slice hashes nothing.
    pub(crate) fn is_quick(&self) -> bool {
        matches!(self.stage, Stage::Nothing | Stage::Look { .. } | Stage::Part)
    }

    /// Does one slice of looking.
    pub(crate) fn step(mut self, library: &mut Library, target: &Target) -> Result<Step, Fault> {
        match std::mem::replace(&mut self.stage, Stage::Part) {
            Stage::Nothing => {
                let Opening { name, names, folder, .. } = self;
                Ok(Step::Done(Opened::Fresh(Planned { name, names, folder })))
            }
            Stage::Look { number } => self.look(number, library, target),
            Stage::Hash { number, mut hash } => match hash.step(&library.fs, &mut library.scratch) {
                Ok(false) => {
                    self.stage = Stage::Hash { number, hash };
                    Ok(Step::More(self))
                }
                Ok(true) => match hash.finish(&library.fs) {
                    Ok(hashed) => {
                        let (id, stamp) = (hashed.id, hashed.stamp);
                        let place = self.place(number, library, target);
                        library.learn(&place, hashed);
                        self.hashed(number, id, place, stamp, library, target)
                    }
                    Err(_) => self.conflict(number, target),
                },
                Err(_) => self.conflict(number, target),
            },
            Stage::Part => self.part(library),
            Stage::Recheck { mut resumable, mut next } => {
                resumable.recheck(&mut next, library);
                if next < resumable.listed.len() {
                    self.stage = Stage::Recheck { resumable, next };
                    return Ok(Step::More(self));
                }
                Ok(Step::Done(Opened::Resumed(resumable.part)))
            }
        }
    }

    fn look(mut self, number: u32, library: &mut Library, target: &Target) -> Result<Step, Fault> {
        let name = numbered(&self.names.wished, number);
        let look = match library.fs.look_at(&self.folder.open, Path::new(&name)) {
            Err(Errno::NOENT) => {
                self.stage = Stage::Part;
                return Ok(Step::More(self));
            }
            other => {
                other.map_err(|errno| fault::writing("look at", &self.folder.path.join(&name), errno))?
            }
        };
        let is_folder = look.kind == FileType::Directory;
        if is_folder && (self.names.in_tree || target.on_conflict == OnConflict::Overwrite) {
            let next = if self.names.in_tree {
                "move it, or use another folder (-o)"
            } else {
                "give another name with -o FILE"
            };
            let text = format!("{} is a folder; {next}", fault::shown(&self.folder.path.join(&name)));
            return Err(fault::fault(FaultKind::Exists, text));
        }
        if look.kind != FileType::RegularFile || look.stamp.size != self.size {
            return self.conflict(number, target);
        }
        let Ok(file) = library.fs.open_read_at(&self.folder.open, Path::new(&name)) else {
            return self.conflict(number, target);
        };
        // What was opened need not be what was looked at.
        let stamp = match library.fs.look(&file) {
            Ok(look) if look.kind == FileType::RegularFile && look.stamp.size == self.size => look.stamp,
            _ => return self.conflict(number, target),
        };
        // Small files are hashed sooner than the index is read.
        let known = if self.size > SLICE_BYTES as u64 { library.known_id(&stamp) } else { None };
        if let Some(id) = known {
            let place = self.place(number, library, target);
            return self.hashed(number, id, place, stamp, library, target);
        }
        match FileHash::new(&library.fs, file, stamp) {
            Ok(hash) => {
                self.stage = Stage::Hash { number, hash };
                Ok(Step::More(self))
            }
            Err(_) => self.conflict(number, target),
        }
    }

    /// The id of what has the final name is known.
    fn hashed(
        self,
        number: u32,
        id: ContentId,
        place: Place,
        stamp: Stamp,
        library: &mut Library,
        target: &Target,
    ) -> Result<Step, Fault> {
        if id != self.content {
            return self.conflict(number, target);
        }
        self.sweep(&stamp, &library.fs);
        let path = library.served.path(&place);
        let geometry =
            Geometry::native(stamp.size).map_err(|_| fault::bug("a file without a cut was hashed"))?;
        library.serve_download(place, stamp, id, self.name);
        Ok(Step::Done(Opened::Settled(PartState::Complete { geometry, path })))
    }

    /// Removes what a process that died just after publishing has left.
    fn sweep(&self, published: &Stamp, fs: &Fs) {
        let left_over = match fs.look_at(&self.folder.open, Path::new(&self.names.part)) {
            Ok(part) if part.stamp.same_file(published) => {
                fs.unlink(&self.folder.open, &self.names.part).is_ok()
            }
            Ok(_) => false,
            Err(errno) => errno == Errno::NOENT,
        };
        if left_over {
            let _ = fs.unlink(&self.folder.open, &self.names.state);
        }
    }

    /// Something else has the final name.
    fn conflict(mut self, number: u32, target: &Target) -> Result<Step, Fault> {
        let path = self.folder.path.join(numbered(&self.names.wished, number));
        match target.on_conflict {
            OnConflict::Rename if number < NUMBER_MAX => self.stage = Stage::Look { number: number + 1 },
            OnConflict::Overwrite => self.stage = Stage::Part,
            OnConflict::Skip => return Ok(Step::Done(Opened::Settled(PartState::Skipped { path }))),
            OnConflict::Rename | OnConflict::Error => {
                let shown = fault::shown(&path);
                let text =
                    format!("{shown} exists and is another file; move it, or say --on-conflict rename");
                return Err(fault::fault(FaultKind::Exists, text));
            }
        }
        Ok(Step::More(self))
    }

    fn place(&self, number: u32, library: &mut Library, target: &Target) -> Place {
        let root = library.served.root(target.path(), Arc::clone(&self.folder.target));
        let path = self.folder.path_of(&numbered(&self.names.wished, number));
        Place { root: Some(root), path: path.into() }
    }

    /// Looks for a part.
    fn part(mut self, library: &mut Library) -> Result<Step, Fault> {
        let Opening { content, name, names, folder, .. } = self;
        match resume::open(content, &name, &names, &folder, library)? {
            None => Ok(Step::Done(Opened::Fresh(Planned { name, names, folder }))),
            Some(Resumable { mut part, listed, certain: true, .. }) => {
                part.have = listed;
                Ok(Step::Done(Opened::Resumed(part)))
            }
            Some(resumable) => {
                self = Opening { content, name, names, folder, ..self };
                self.stage = Stage::Recheck { resumable, next: 0 };
                Ok(Step::More(self))
            }
        }
    }
}
