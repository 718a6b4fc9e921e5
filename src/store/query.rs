//! Questions about whole files: a page of a manifest in some chunk size, or whether a chunk still is right.
//!
//! Manifests at hand answer at once; smaller units than they have, or a manifest that was lost, take hashing in
//! slices.

use blake3::hazmat::HasherExt;

use crate::core::{ConnId, SpanFault, StoreReply};
use crate::store::hash::{FileHash, SLICE_BYTES};
use crate::store::library::Library;
use crate::store::manifests::Manifests;
use crate::types::manifest::{ChainingValue, ManifestBuilder, ManifestPage, PAGE_VALUES_MAX, SizeProof};
use crate::types::{ContentId, Geometry, Manifest};

/// A question on its way to an answer.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) content: ContentId,
    pub(crate) question: Question,
    stage: Stage,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// The page of the manifest in this chunk size that begins at value `first`.
    Page { conn: ConnId, channel: u32, chunk_bytes: u32, first: u32 },
    /// Whether a chunk of this chunk size is right.
    Chunk { chunk: u32, chunk_bytes: u32 },
}

#[derive(Debug)]
enum Stage {
    /// Find the manifest.
    Begin,
    /// Hash the file for its manifest.
    Rebuild(FileHash),
    /// Hash units for a page.
    Units(Box<UnitPage>),
}

/// A page in smaller units than the manifest has.
#[derive(Debug)]
struct UnitPage {
    geometry: Geometry,
    page: ManifestPage,
    /// How many values it will have.
    count: usize,
}

impl Query {
    /// A question that nobody has looked at yet.
    pub(crate) fn new(content: ContentId, question: Question) -> Query {
        Query { content, question, stage: Stage::Begin }
    }

    /// Does one slice of answering; the question again when there is more to do.
    pub(crate) fn step(mut self, library: &mut Library) -> Option<Query> {
        let next = match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin => self.begin(library),
            Stage::Rebuild(hash) => self.rebuild(hash, library),
            Stage::Units(page) => self.units(page, library),
        };
        match next {
            Ok(stage) => {
                self.stage = stage;
                Some(self)
            }
            Err(answer) => {
                library.reply(self.reply(answer));
                None
            }
        }
    }

    fn begin(&self, library: &mut Library) -> Result<Stage, Answer> {
        let at = library.find(&self.content).map_err(|_| Answer::No)?;
        let size = library.served.any_of(&self.content).ok_or(Answer::No)?.stamp.size;
        if !Manifests::has_file_for(size) {
            return self.small(at, size, library);
        }
        let Some(manifest) = library.manifests.get(&self.content) else {
            let file = library.served.any_of(&self.content).ok_or(Answer::No)?;
            let (file, look) = library.served.open_at(&file.place).map_err(|_| Answer::No)?;
            return FileHash::new(&library.fs, file, look.stamp).map(Stage::Rebuild).map_err(|_| Answer::No);
        };
        match self.question {
            Question::Page { .. } => self.page_of(&manifest),
            Question::Chunk { chunk, chunk_bytes } => {
                let wrong = self.find_wrong(&manifest, chunk, chunk_bytes, at, library);
                if wrong {
                    library.withdraw(at, SpanFault::Changed);
                }
                Err(if wrong { Answer::No } else { Answer::Right })
            }
        }
    }

    /// A file of one native chunk has no manifest on disk: it is read and hashed at once, through the descriptor that it is
    /// served by.
    fn small(&self, at: u32, size: u64, library: &mut Library) -> Result<Stage, Answer> {
        let mut builder = ManifestBuilder::new(Geometry::native(size).map_err(|_| Answer::No)?);
        builder.push(read(library, at, 0, size as usize).ok_or(Answer::No)?);
        let (id, manifest) = builder.finish().map_err(|_| Answer::No)?;
        if id != self.content {
            library.withdraw(at, SpanFault::Changed);
            return Err(Answer::No);
        }
        match self.question {
            Question::Page { .. } => self.page_of(&manifest),
            Question::Chunk { .. } => Err(Answer::Right),
        }
    }

    fn rebuild(&self, mut hash: FileHash, library: &mut Library) -> Result<Stage, Answer> {
        if !hash.step(&library.fs, &mut library.scratch).map_err(|_| Answer::No)? {
            return Ok(Stage::Rebuild(hash));
        }
        let hashed = hash.finish(&library.fs).map_err(|_| Answer::No)?;
        if hashed.id != self.content {
            if let Ok(at) = library.find(&self.content) {
                library.withdraw(at, SpanFault::Changed);
            }
            return Err(Answer::No);
        }
        // A failure costs another hashing when it is asked for again.
        let _ = library.manifests.put(&self.content, hashed.manifest.clone());
        match self.question {
            Question::Page { .. } => self.page_of(&hashed.manifest),
            Question::Chunk { .. } => Err(Answer::Right),
        }
    }

    /// The page, from a manifest whose units are small enough; else the way to it.
    fn page_of(&self, manifest: &Manifest) -> Result<Stage, Answer> {
        let Question::Page { channel, chunk_bytes, first, .. } = self.question else {
            return Err(Answer::No);
        };
        match page_from(manifest, channel, chunk_bytes, first) {
            Some(page) => Err(Answer::Page(Box::new(page))),
            None => UnitPage::new(manifest, channel, chunk_bytes, first)
                .map(|page| Stage::Units(Box::new(page)))
                .ok_or(Answer::No),
        }
    }

    fn units(&self, mut page: Box<UnitPage>, library: &mut Library) -> Result<Stage, Answer> {
        let mut budget = SLICE_BYTES;
        while budget > 0 && page.page.values.len() < page.count {
            let at = library.find(&self.content).map_err(|_| Answer::No)?;
            let value = page.next_value(&self.content, at, library).ok_or(Answer::No)?;
            page.page.values.push(value);
            budget = budget.saturating_sub(page.geometry.unit_bytes() as usize);
        }
        if page.page.values.len() < page.count {
            return Ok(Stage::Units(page));
        }
        Err(Answer::Page(Box::new(page.page)))
    }

    /// Whether any chunk of the manifest's cut that overlaps the one in question is wrong.
    fn find_wrong(
        &self,
        manifest: &Manifest,
        chunk: u32,
        chunk_bytes: u32,
        at: u32,
        library: &mut Library,
    ) -> bool {
        let own = &manifest.geometry;
        let asked = Geometry::new(own.size_bytes(), chunk_bytes).ok().and_then(|cut| cut.chunk_span(chunk));
        // A chunk that there is not cannot be wrong.
        let Some((offset, len)) = asked else { return false };
        let number = |offset: u64| u32::try_from(offset / u64::from(own.chunk_bytes())).unwrap_or(u32::MAX);
        let chunks = number(offset)..=number(offset + u64::from(len) - 1);
        chunks.into_iter().any(|index| {
            let Some((offset, len)) = own.chunk_span(index) else { return false };
            let bytes = read(library, at, offset, len as usize);
            // What cannot be read is no proof of anything.
            bytes.is_some_and(|bytes| !manifest.verify_chunk(&self.content, index, bytes))
        })
    }

    fn reply(&self, answer: Answer) -> StoreReply {
        let content = self.content;
        match self.question {
            Question::Page { conn, .. } => {
                let page = if let Answer::Page(page) = answer { Some(page) } else { None };
                StoreReply::ManifestRead { conn, content, page }
            }
            Question::Chunk { chunk, .. } => {
                StoreReply::Rechecked { content, chunk, good: matches!(answer, Answer::Right) }
            }
        }
    }
}

/// What a question comes to.
#[derive(Debug)]
enum Answer {
    No,
    Right,
    Page(Box<ManifestPage>),
}

/// A page in this chunk size, from a manifest whose units are no larger.
pub(crate) fn page_from(
    manifest: &Manifest,
    channel: u32,
    chunk_bytes: u32,
    first: u32,
) -> Option<ManifestPage> {
    if manifest.geometry.chunk_bytes() == chunk_bytes {
        return manifest.page(channel, first);
    }
    let geometry = Geometry::new(manifest.geometry.size_bytes(), chunk_bytes).ok()?;
    manifest.coarsen(geometry)?.page(channel, first)
}

impl UnitPage {
    fn new(manifest: &Manifest, channel: u32, chunk_bytes: u32, first: u32) -> Option<UnitPage> {
        let size = manifest.geometry.size_bytes();
        let geometry = Geometry::new(size, chunk_bytes).ok()?;
        let all = Manifest::values_of(&geometry);
        if geometry.unit_bytes() >= manifest.geometry.unit_bytes() || (first > 0 && first >= all) {
            return None;
        }
        let count = (all.checked_sub(first)? as usize).min(PAGE_VALUES_MAX);
        let proof = (first == 0).then(|| rechunked_proof(&manifest.proof, &geometry));
        let page = ManifestPage { channel, size, chunk_bytes, first, values: Vec::new(), proof };
        Some(UnitPage { geometry, page, count })
    }

    fn next_value(&self, content: &ContentId, at: u32, library: &mut Library) -> Option<ChainingValue> {
        let index = self.page.first + u32::try_from(self.page.values.len()).ok()?;
        if let Some(value) = library.rechunked.get(content, &self.geometry, index) {
            return Some(value);
        }
        let (offset, len) = self.geometry.unit_span(index)?;
        let bytes = read(library, at, offset, len as usize)?;
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset).update(bytes);
        let value = hasher.finalize_non_root();
        library.rechunked.put(content, &self.geometry, index, value);
        Some(value)
    }
}

/// The proof for smaller units: the lower end of the larger ones' right edge.
fn rechunked_proof(proof: &SizeProof, geometry: &Geometry) -> SizeProof {
    let last_unit_bytes = geometry.units().checked_sub(1).and_then(|last| geometry.unit_span(last));
    let mut leaves = u64::from(last_unit_bytes.map_or(0, |(_, len)| len)).div_ceil(blake3::CHUNK_LEN as u64);
    let mut levels = 0;
    while leaves > 1 {
        leaves -= leaves.div_ceil(2).next_power_of_two();
        levels += 1;
    }
    let above = proof.left.len().saturating_sub(levels);
    SizeProof { tail: proof.tail.clone(), left: proof.left[above..].to_vec() }
}

/// Bytes of an open file that is served; `None` when they cannot be read.
fn read(library: &mut Library, at: u32, offset: u64, len: usize) -> Option<&[u8]> {
    if library.scratch.len() < len {
        library.scratch.resize(len, 0);
    }
    let file = library.served.opened(at)?;
    let read = library.fs.read_at(file, &mut library.scratch[..len], offset).ok()?;
    (read == len).then(|| &library.scratch[..len])
}
