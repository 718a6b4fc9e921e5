//! The downloads of this process, from what was found of them on disk to their final names.

mod outcomes;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use crate::core::{BufferId, Fault, FaultKind, PartState, SpanFault, StoreReply};
use crate::store::fs::{File, Fs};
use crate::store::io_thread::{IoThread, NewFile};
use crate::store::library::Library;
use crate::store::opening::{Opened, Planned};
use crate::store::part::{LockedFile, Part};
use crate::store::publish::{Failure, Goal, Published, Request};
use crate::store::state::StateFile;
use crate::store::target::{Folder, Names, Target};
use crate::store::{OnConflict, StoreConfig, copying, fault};
use crate::types::{Bitfield, ContentId, Geometry, Manifest};

/// Contents smaller than this are not worth a look at the free space: writing them tells as soon.
const SPACE_LOOK_BYTES_MIN: u64 = 1 << 20;

/// All of them.
#[derive(Debug)]
pub(crate) struct Downloads {
    fs: Fs,
    pub(crate) target: Target,
    by_content: BTreeMap<ContentId, Download>,
    /// Which content has a path below the target by way of this process, where names are overwritten: a second content of the same
    /// name is not to replace the first, for both were asked for.
    given: BTreeMap<PathBuf, ContentId>,
    pub(crate) io: IoThread,
    /// What came of files that are no parts, until somebody takes it.
    others: VecDeque<Other>,
}

/// What came of a file that is no part: one joined from chunks, or sent here.
type Other = (Goal, Result<Published, Failure>);

#[derive(Debug)]
enum Download {
    /// Nothing is there yet.
    Planned(Planned),
    /// The part is open.
    Open(Box<Part>),
    /// The part goes to its final name; nobody waits for it as a part any more.
    Leaving(Box<Part>),
    /// All of it is with the I/O thread, which makes the file.
    Whole(Box<Whole>),
}

/// Whether a download can be filled from what is here.
#[derive(Debug)]
pub(crate) enum Fill {
    /// This part can, from a file that is served.
    From(Box<Part>),
    /// There is nothing to fill, or nothing to fill it from.
    Nothing(Opened),
}

/// A content of one chunk that is being stored.
#[derive(Debug)]
struct Whole {
    name: String,
    folder: Folder,
    geometry: Geometry,
    buffer: BufferId,
    /// It was let go of, and somebody wants to know again what is there of it.
    reopened: bool,
}

impl Downloads {
    /// None yet, into the folder that the settings name.
    pub(crate) fn new(fs: Fs, config: &StoreConfig) -> Downloads {
        Downloads {
            target: Target::new(fs.clone(), config),
            by_content: BTreeMap::new(),
            given: BTreeMap::new(),
            others: VecDeque::new(),
            io: IoThread::new(fs.clone()),
            fs,
        }
    }

    /// Sets what is called when the I/O thread has done something.
    pub(crate) fn on_result(&mut self, wake: Box<dyn Fn() + Send>) {
        self.io.on_result(wake);
    }

    /// What the open part of a content has, if there is one.
    pub(crate) fn reopen(&mut self, content: &ContentId) -> Option<PartState> {
        if let Some(Download::Leaving(_)) = self.by_content.get(content)
            && let Some(Download::Leaving(part)) = self.by_content.remove(content)
        {
            self.by_content.insert(*content, Download::Open(part));
        }
        let part = self.part(content)?;
        Some(PartState::Resumed { geometry: part.manifest.geometry, have: part.have.clone() })
    }

    /// Takes what was found of a content on disk; gives its reply.
    pub(crate) fn opened(&mut self, content: ContentId, opened: Opened) -> StoreReply {
        let (download, state) = match opened {
            Opened::Fresh(planned) => (Download::Planned(planned), PartState::Fresh),
            Opened::Resumed(part) => {
                let state = PartState::Resumed { geometry: part.manifest.geometry, have: part.have.clone() };
                (Download::Open(part), state)
            }
            Opened::Settled(state) => {
                if let PartState::Complete { path, .. } = &state
                    && let Ok(path) = path.strip_prefix(self.target.path())
                {
                    self.given.entry(path.to_owned()).or_insert(content);
                }
                return StoreReply::PartOpened { content, state };
            }
        };
        self.by_content.insert(content, download);
        StoreReply::PartOpened { content, state }
    }

    /// Looks whether a file of a content is served here that a download of it lacks something of, and makes a part for that
    /// when there is none.
    pub(crate) fn to_fill(
        &self,
        content: ContentId,
        opened: Opened,
        library: &mut Library,
    ) -> Result<Fill, Fault> {
        let lacks = match &opened {
            Opened::Fresh(_) => true,
            Opened::Resumed(part) => !part.have.is_full(),
            Opened::Settled(_) => false,
        };
        if !lacks || !copying::is_here(&content, library)? {
            return Ok(Fill::Nothing(opened));
        }
        match opened {
            Opened::Fresh(planned) => {
                let manifest = copying::manifest_of(&content, library).ok_or_else(|| {
                    let text = "what the content consists of is not known any more; run the command again";
                    fault::fault(FaultKind::Io, text.to_owned())
                })?;
                let part = self.make_part(content, planned, (*manifest).clone(), library)?;
                Ok(Fill::From(Box::new(part)))
            }
            Opened::Resumed(part) => Ok(Fill::From(part)),
            Opened::Settled(_) => Ok(Fill::Nothing(opened)),
        }
    }

    /// Makes the part of a content of which nothing is there.
    pub(crate) fn create(
        &mut self,
        content: ContentId,
        manifest: Manifest,
        library: &mut Library,
    ) -> StoreReply {
        let created = match self.by_content.remove(&content) {
            Some(Download::Planned(planned)) => self.make_part(content, planned, manifest, library),
            Some(other) => {
                self.by_content.insert(content, other);
                Err(fault::bug("a part was to be made that is there already"))
            }
            None => Err(fault::bug("a part was to be made that nobody looked for")),
        };
        match created {
            Ok(part) => {
                self.by_content.insert(content, Download::Open(Box::new(part)));
                StoreReply::PartCreated { content }
            }
            Err(fault) => StoreReply::PartFailed { content, fault },
        }
    }

    /// Hands a complete part to the I/O thread; a reply only when that is not possible.
    pub(crate) fn publish(&mut self, content: ContentId) -> Option<StoreReply> {
        let failed = |fault| Some(StoreReply::PartFailed { content, fault });
        let Some(Download::Open(part)) = self.by_content.get_mut(&content) else {
            return failed(fault::bug("a part was to be published that is not open"));
        };
        if part.publishing {
            // It was let go of meanwhile and is wanted again: what was begun gives the reply.
            return None;
        }
        if !part.have.is_full() {
            return failed(fault::bug("a part was to be published that is not complete"));
        }
        let names = part.names.clone();
        let path = part.folder.path_of(&names.wished);
        let on_conflict = self.conflict_rule(content, path);
        let made_in = self.target.take_made_in();
        let Some(Download::Open(part)) = self.by_content.get_mut(&content) else { return None };
        let request = Request {
            goal: Goal::Content(content),
            size_bytes: part.manifest.geometry.size_bytes(),
            file: Arc::clone(&part.file),
            folder: Arc::clone(&part.folder.open),
            folder_path: Arc::clone(&part.folder.path),
            made_in,
            names,
            has_state: part.state.is_some(),
            on_conflict,
        };
        part.publishing = true;
        self.io.publish(request).err().and_then(|fault| {
            part.publishing = false;
            failed(fault)
        })
    }

    /// Verifies a content of one chunk, of which nothing is there, and has the I/O thread make the file; a reply only
    /// when that is not possible.
    pub(crate) fn store_whole(
        &mut self,
        content: ContentId,
        buffer: BufferId,
        bytes: Arc<Vec<u8>>,
    ) -> Option<StoreReply> {
        let failed = |fault| Some(StoreReply::ChunkFailed { content, chunk: 0, buffer, fault });
        let planned = match self.by_content.remove(&content) {
            Some(Download::Planned(planned)) => planned,
            other => {
                other.and_then(|other| self.by_content.insert(content, other));
                return failed(fault::bug("a content was to be stored that nobody looked for"));
            }
        };
        // As in `write`, here and not by the I/O thread.
        let cut = Geometry::native(bytes.len() as u64).ok().filter(|_| blake3::hash(&bytes) == content.0);
        let Some(geometry) = cut else {
            self.by_content.insert(content, Download::Planned(planned));
            return Some(StoreReply::ChunkBad { content, chunk: 0, buffer });
        };
        let Planned { name, names, folder } = planned;
        let on_conflict = self.conflict_rule(content, folder.path_of(&names.wished));
        self.io.make(NewFile {
            content,
            bytes,
            folder: Arc::clone(&folder.open),
            folder_path: Arc::clone(&folder.path),
            made_in: self.target.take_made_in(),
            names,
            on_conflict,
        });
        let whole = Whole { name, folder, geometry, buffer, reopened: false };
        self.by_content.insert(content, Download::Whole(Box::new(whole)));
        None
    }

    /// Whether all of a content is with the I/O thread, so that what is there of it is told when that is done.
    pub(crate) fn await_whole(&mut self, content: &ContentId) -> bool {
        match self.by_content.get_mut(content) {
            Some(Download::Whole(whole)) => {
                whole.reopened = true;
                true
            }
            _ => false,
        }
    }

    /// What to do when something is in the way of a content's final name.
    fn conflict_rule(&mut self, content: ContentId, wished: PathBuf) -> OnConflict {
        if self.target.on_conflict != OnConflict::Overwrite {
            return self.target.on_conflict;
        }
        let holder = self.given.entry(wished).or_insert(content);
        if *holder == content { OnConflict::Overwrite } else { OnConflict::Rename }
    }

    /// Lets go of a part, if there is one, of which no chunk is with the I/O thread; it is kept or deleted.
    pub(crate) fn close(&mut self, content: &ContentId, keep: bool) {
        match self.by_content.remove(content) {
            Some(Download::Open(part)) if part.publishing => {
                self.by_content.insert(*content, Download::Leaving(part));
            }
            Some(Download::Leaving(part)) => {
                self.by_content.insert(*content, Download::Leaving(part));
            }
            Some(Download::Open(part)) if keep => part.close(&self.fs),
            Some(Download::Open(part)) => part.delete(&self.fs),
            Some(Download::Whole(whole)) => {
                self.by_content.insert(*content, Download::Whole(whole));
            }
            Some(Download::Planned(_)) | None => {}
        }
    }

    fn part_mut(&mut self, content: &ContentId) -> Option<&mut Part> {
        match self.by_content.get_mut(content)? {
            Download::Open(part) | Download::Leaving(part) => Some(part),
            Download::Planned(_) | Download::Whole(_) => None,
        }
    }

    /// The open part of a content.
    pub(crate) fn part(&self, content: &ContentId) -> Option<&Part> {
        match self.by_content.get(content)? {
            Download::Open(part) | Download::Leaving(part) => Some(part),
            Download::Planned(_) | Download::Whole(_) => None,
        }
    }

    /// The file of an open part, for the chunks that are had.
    pub(crate) fn span(&self, content: &ContentId) -> Result<&File, SpanFault> {
        self.part(content).ok_or(SpanFault::Gone)?.span(&self.fs)
    }

    /// Hashes a chunk of an open part again; `None` when no part is open.
    pub(crate) fn recheck(
        &mut self,
        content: &ContentId,
        chunk: u32,
        chunk_bytes: u32,
        scratch: &mut Vec<u8>,
    ) -> Option<bool> {
        let Some(Download::Open(part)) = self.by_content.get_mut(content) else { return None };
        // A partial holder serves its own cut alone; of another nothing came from here.
        let foreign = part.manifest.geometry.chunk_bytes() != chunk_bytes;
        Some(foreign || part.have.get(chunk) && part.recheck(&self.fs, chunk, scratch))
    }

    fn make_part(
        &self,
        content: ContentId,
        planned: Planned,
        manifest: Manifest,
        library: &mut Library,
    ) -> Result<Part, Fault> {
        let Planned { name, names, folder } = planned;
        let geometry = manifest.geometry;
        self.check_space(&folder.open, geometry.size_bytes())?;
        let (file, bytes) = LockedFile::open_or_make(&self.fs, &folder.path, &folder.open, &names)?;
        let sized = if bytes != geometry.size_bytes() && (geometry.chunks() > 1 || bytes > 0) {
            self.fs.set_len(&file, geometry.size_bytes())
        } else {
            Ok(())
        };
        let state = sized.and_then(|()| {
            let worth_it = geometry.chunks() > 1;
            worth_it
                .then(|| StateFile::create(&self.fs, &folder.open, &names.state, &content, &manifest))
                .transpose()
        });
        let state = state.map_err(|errno| {
            self.remove(&folder, &names);
            fault::writing("make", &folder.path.join(&names.part), errno)
        })?;
        // Kept there too for the case that the state file is lost; a failure loses nothing else.
        // One in another cut than the native one would lead a later download of the same content away from the others.
        if Geometry::native(geometry.size_bytes()) == Ok(geometry) {
            let _ = library.manifests.put(&content, manifest.clone());
        }
        Ok(Part {
            content,
            name,
            names,
            folder,
            file: Arc::new(file),
            state,
            have: Bitfield::empty(geometry.chunks()),
            manifest: Arc::new(manifest),
            writing: 0,
            publishing: false,
        })
    }

    fn check_space(&self, folder: &File, needed_bytes: u64) -> Result<(), Fault> {
        if needed_bytes < SPACE_LOOK_BYTES_MIN {
            return Ok(());
        }
        match self.fs.free_bytes(folder) {
            Ok(free_bytes) if free_bytes < needed_bytes => {
                let shown = fault::shown(self.target.path());
                let text = format!(
                    "{needed_bytes} bytes are needed in {shown} and {free_bytes} are free; free some space, or use \
                     another folder (-o)"
                );
                Err(fault::fault(FaultKind::Full, text))
            }
            // Where the free space is not told, writing will tell.
            _ => Ok(()),
        }
    }

    fn remove(&self, folder: &Folder, names: &Names) {
        let _ = self.fs.unlink(&folder.open, &names.part);
        let _ = self.fs.unlink(&folder.open, &names.state);
    }
}
