//! Opening a part that a process before left: what is in it, and how much of that is certain.

use std::sync::Arc;

use crate::core::Fault;
use crate::store::fs::{File, Fs, Stamp};
use crate::store::hash::SLICE_BYTES;
use crate::store::library::Library;
use crate::store::part::{LockedFile, Part};
use crate::store::state::{Found, StateFile};
use crate::store::target::{Folder, Names};
use crate::store::{bad, fault};
use crate::types::geometry::NATIVE_CHUNK_BYTES_MIN;
use crate::types::manifest::ManifestBuilder;
use crate::types::{Bitfield, ContentId, Geometry, Manifest};

/// A part that is open, with what it is said to have.
#[derive(Debug)]
pub(crate) struct Resumable {
    /// The part; it has what was hashed by now.
    pub(crate) part: Box<Part>,
    /// The chunks that may be there.
    pub(crate) listed: Bitfield,
    /// Whether they are there for certain.
    pub(crate) certain: bool,
    /// Whether the state file does not know what is listed.
    pub(crate) unrecorded: bool,
}

/// Opens and locks the part of a content; `None` when there is none, or when nothing is known of what it has.
pub(crate) fn open(
    content: ContentId,
    name: &str,
    names: &Names,
    folder: &Folder,
    library: &mut Library,
) -> Result<Option<Resumable>, Fault> {
    let fs = library.fs.clone();
    let Some(LockedFile { file, stamp }) = LockedFile::open(&fs, &folder.path, &folder.open, names)? else {
        return Ok(None);
    };
    let failed = |path: &str| {
        let path = folder.path.join(path);
        move |errno| fault::writing("open", &path, errno)
    };
    let state_failed = failed(&names.state);
    let found = StateFile::open(&fs, &folder.open, &names.state, &content, &stamp).map_err(&state_failed)?;
    if matches!(found, Found::Bad) {
        bad::put_aside(&fs, &folder.open, &names.state).map_err(&state_failed)?;
    }
    let unrecorded = !matches!(found, Found::State(..));
    let (state, manifest, listed, certain) = match found {
        Found::State(state, saved) => {
            if saved.suspect {
                // What memory holds of the part is not what the device holds; a failure leaves only that risk.
                let _ = fs.forget_cached(&file);
            }
            (Some(state), Arc::new(saved.manifest), saved.listed, saved.certain && !saved.suspect)
        }
        Found::Missing | Found::Bad => {
            let Some(manifest) = known_manifest(&content, &file, &stamp, library) else { return Ok(None) };
            let chunks = manifest.geometry.chunks();
            let state = match chunks {
                0 | 1 => None,
                _ => Some(
                    StateFile::create(&fs, &folder.open, &names.state, &content, &manifest)
                        .map_err(&state_failed)?,
                ),
            };
            (state, manifest, Bitfield::full(chunks), false)
        }
    };
    if stamp.size != manifest.geometry.size_bytes() {
        fs.set_len(&file, manifest.geometry.size_bytes()).map_err(failed(&names.part))?;
    }
    let part = Box::new(Part {
        content,
        name: name.to_owned(),
        names: names.clone(),
        folder: folder.clone(),
        file: Arc::new(file),
        state,
        have: Bitfield::empty(listed.len()),
        manifest,
        writing: 0,
        publishing: false,
    });
    Ok(Some(Resumable { part, listed, certain, unrecorded }))
}

impl Resumable {
    /// Hashes a slice of what is listed, from chunk `next` on. What cannot be read is not there.
    pub(crate) fn recheck(&mut self, next: &mut u32, library: &mut Library) {
        let (mut budget, chunks) = (SLICE_BYTES, self.listed.len());
        while budget > 0 && *next < chunks {
            let chunk = *next;
            *next += 1;
            if !self.listed.get(chunk) {
                continue;
            }
            // Set first, so that a chunk that is not right is noted as lost.
            self.part.have.set(chunk);
            let good = self.part.recheck(&library.fs, chunk, &mut library.scratch);
            if let Some(state) = self.part.state.as_mut().filter(|_| good && self.unrecorded) {
                state.chunk(&library.fs, chunk);
            }
            budget = budget.saturating_sub(self.part.manifest.geometry.chunk_bytes() as usize);
        }
    }
}

/// The manifest of a part without a state: from the state directory, or, of a small one, from its bytes.
fn known_manifest(
    content: &ContentId,
    file: &File,
    stamp: &Stamp,
    library: &mut Library,
) -> Option<Arc<Manifest>> {
    if let Some(manifest) = library.manifests.get(content) {
        return Some(manifest);
    }
    manifest_of_small(content, file, stamp, &library.fs)
}

/// The manifest of a content of one chunk, from the bytes of its file.
pub(crate) fn manifest_of_small(
    content: &ContentId,
    file: &File,
    stamp: &Stamp,
    fs: &Fs,
) -> Option<Arc<Manifest>> {
    if stamp.size > u64::from(NATIVE_CHUNK_BYTES_MIN) {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(stamp.size).ok()?];
    let read = fs.read_at(file, &mut bytes, 0).ok()?;
    let mut builder = ManifestBuilder::new(Geometry::native(stamp.size).ok()?);
    builder.push(&bytes[..read]);
    let (id, manifest) = builder.finish().ok()?;
    (id == *content).then(|| Arc::new(manifest))
}
