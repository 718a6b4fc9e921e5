//! Manifests on disk, one immutable file each in the state directory, and a few of them in memory.
//!
//! Every manifest read is verified against its id, so that nothing here depends on syncs or on trust. Contents of
//! one native chunk have no file: hashing them is as quick as reading one.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::store::fs::{File, Fs, FsResult, Make};
use crate::types::geometry::NATIVE_CHUNK_BYTES_MIN;
use crate::types::manifest::{ChainingValue, PROOF_LEFT_MAX, PROOF_TAIL_BYTES_MAX, SizeProof};
use crate::types::{ContentId, Geometry, Manifest};

/// Manifests kept in memory at most.
const KEPT_MAX: usize = 16;
/// Values of all manifests kept in memory at most (32 bytes each); the last used one is kept in any case.
const KEPT_VALUES_MAX: usize = 128 << 10;
/// The first bytes of an encoded manifest; the digit is the version.
const MAGIC: [u8; 4] = *b"CCM1";
/// Bytes of an encoded manifest before its values.
const HEADER_BYTES: usize = 4 + 8 + 4 + 4 + 2 + 2;

/// The manifests that this user's processes share.
#[derive(Debug)]
pub(crate) struct Manifests {
    fs: Fs,
    folder: File,
    kept: VecDeque<(ContentId, Arc<Manifest>)>,
}

impl Manifests {
    /// The manifests in `folder`.
    pub(crate) fn new(fs: Fs, folder: File) -> Manifests {
        Manifests { fs, folder, kept: VecDeque::new() }
    }

    /// Whether a content of this size has a file of its own here.
    pub(crate) fn has_file_for(size_bytes: u64) -> bool {
        size_bytes > u64::from(NATIVE_CHUNK_BYTES_MIN)
    }

    /// Whether the manifest of a content is at hand, or need not be.
    pub(crate) fn is_there(&self, id: &ContentId, size_bytes: u64) -> bool {
        !Manifests::has_file_for(size_bytes) || self.has(id)
    }

    /// The verified manifest of a content, from memory or disk.
    pub(crate) fn get(&mut self, id: &ContentId) -> Option<Arc<Manifest>> {
        let manifest = match self.kept.iter().position(|(kept, _)| kept == id) {
            Some(at) => self.kept.remove(at)?.1,
            None => Arc::new(self.read(id)?),
        };
        self.keep(*id, Arc::clone(&manifest));
        Some(manifest)
    }

    /// Keeps a verified manifest, on disk too when it is worth a file. A failure costs a hashing later, nothing else.
    pub(crate) fn put(&mut self, id: &ContentId, manifest: Manifest) -> FsResult<()> {
        if self.is_there(id, manifest.geometry.size_bytes()) {
            return Ok(());
        }
        let name = id.to_string();
        let draft = format!("{name}.{}", std::process::id());
        let written = self.write_draft(&draft, &manifest);
        self.keep(*id, Arc::new(manifest));
        match written.and_then(|()| self.fs.rename_over(&self.folder, &draft, &name)) {
            Ok(()) => Ok(()),
            Err(errno) => {
                let _ = self.fs.unlink(&self.folder, &draft);
                Err(errno)
            }
        }
    }

    fn has(&self, id: &ContentId) -> bool {
        self.kept.iter().any(|(kept, _)| kept == id)
            || self.fs.look_at(&self.folder, Path::new(&id.to_string())).is_ok()
    }

    fn write_draft(&self, draft: &str, manifest: &Manifest) -> FsResult<()> {
        let file = self.fs.open_private_at(&self.folder, draft, Make::IfMissing)?;
        let bytes = encode(manifest);
        self.fs.write_at(&file, &bytes, 0)?;
        self.fs.set_len(&file, bytes.len() as u64)
    }

    /// Reads and verifies; one that is not what it should be is removed.
    fn read(&self, id: &ContentId) -> Option<Manifest> {
        let name = id.to_string();
        let file = self.fs.open_read_at(&self.folder, Path::new(&name)).ok()?;
        let len = self.fs.look(&file).ok()?.stamp.size;
        let mut bytes = vec![0; usize::try_from(len.min(ENCODED_BYTES_MAX)).ok()?];
        let read = self.fs.read_at(&file, &mut bytes, 0).ok()?;
        let manifest = decode(&bytes[..read]).filter(|manifest| manifest.verify(id).is_ok());
        if manifest.is_none() {
            let _ = self.fs.unlink(&self.folder, &name);
        }
        manifest
    }

    fn keep(&mut self, id: ContentId, manifest: Arc<Manifest>) {
        self.kept.retain(|(kept, _)| *kept != id);
        self.kept.push_back((id, manifest));
        let values = |kept: &VecDeque<(ContentId, Arc<Manifest>)>| -> usize {
            kept.iter().map(|(_, manifest)| manifest.values.len()).sum()
        };
        while self.kept.len() > KEPT_MAX || (self.kept.len() > 1 && values(&self.kept) > KEPT_VALUES_MAX) {
            self.kept.pop_front();
        }
    }
}

/// The most bytes an encoded manifest has.
pub(crate) const ENCODED_BYTES_MAX: u64 = HEADER_BYTES as u64
    + crate::types::geometry::UNITS_MAX * 32
    + PROOF_TAIL_BYTES_MAX as u64
    + PROOF_LEFT_MAX as u64 * 32;

/// A manifest as bytes, little-endian: magic, size (u64), chunk size (u32), count of values (u32), bytes of tail
/// (u16), count of left values (u16), values, tail, left values.
pub(crate) fn encode(manifest: &Manifest) -> Vec<u8> {
    let Manifest { geometry, values, proof } = manifest;
    let mut bytes =
        Vec::with_capacity(HEADER_BYTES + 32 * (values.len() + PROOF_LEFT_MAX) + PROOF_TAIL_BYTES_MAX);
    bytes.extend(MAGIC);
    bytes.extend(geometry.size_bytes().to_le_bytes());
    bytes.extend(geometry.chunk_bytes().to_le_bytes());
    // Counts of a verified manifest are far inside these widths; others are refused when read.
    bytes.extend(u32::try_from(values.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(u16::try_from(proof.tail.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(u16::try_from(proof.left.len()).unwrap_or(u16::MAX).to_le_bytes());
    values.iter().for_each(|value| bytes.extend(value));
    bytes.extend(&proof.tail);
    proof.left.iter().for_each(|value| bytes.extend(value));
    bytes
}

/// The manifest that `bytes` are, all of them; not verified.
pub(crate) fn decode(bytes: &[u8]) -> Option<Manifest> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (chunk, rest) = rest.split_first_chunk()?;
    let (value_count, rest) = rest.split_first_chunk()?;
    let (tail_bytes, rest) = rest.split_first_chunk()?;
    let (left_count, rest) = rest.split_first_chunk()?;
    let geometry = Geometry::new(u64::from_le_bytes(*size), u32::from_le_bytes(*chunk)).ok()?;
    let value_bytes = usize::try_from(u32::from_le_bytes(*value_count)).ok()?.checked_mul(32)?;
    let tail_bytes = usize::from(u16::from_le_bytes(*tail_bytes));
    let left_bytes = usize::from(u16::from_le_bytes(*left_count)) * 32;
    if *magic != MAGIC || rest.len() != value_bytes.checked_add(tail_bytes + left_bytes)? {
        return None;
    }
    let (values, rest) = rest.split_at(value_bytes);
    let (tail, left) = rest.split_at(tail_bytes);
    let values_of = |bytes: &[u8]| bytes.as_chunks().0.to_vec();
    Some(Manifest {
        geometry,
        values: values_of(values),
        proof: SizeProof { tail: tail.to_vec(), left: values_of(left) },
    })
}

/// The values of one content in one unit size, as far as they were computed: 33 bytes a unit, of which there are at most
/// [`crate::types::geometry::UNITS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct RechunkedValues {
    of: Option<(ContentId, Geometry)>,
    values: Vec<Option<ChainingValue>>,
}

impl RechunkedValues {
    /// The value of a unit, if it is kept.
    pub(crate) fn get(&self, content: &ContentId, cut: &Geometry, unit: u32) -> Option<ChainingValue> {
        let same = self.of.as_ref() == Some(&(*content, *cut));
        self.values.get(unit as usize).copied().flatten().filter(|_| same)
    }

    /// Keeps the value of a unit; those of another content or cut make room.
    pub(crate) fn put(&mut self, content: &ContentId, cut: &Geometry, unit: u32, value: ChainingValue) {
        if self.of != Some((*content, *cut)) {
            self.of = Some((*content, *cut));
            self.values = vec![None; cut.units() as usize];
        }
        if let Some(place) = self.values.get_mut(unit as usize) {
            *place = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(values: usize) -> Manifest {
        let geometry = Geometry::new(values as u64 * 1024 + 7, 1024).unwrap();
        let proof = SizeProof { tail: vec![3; 7], left: vec![[4; 32]; 2] };
        Manifest { geometry, values: vec![[5; 32]; values], proof }
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let bytes = encode(&manifest(3));
        assert_eq!(decode(&bytes), Some(manifest(3)));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None);
        }
        assert_eq!(decode(&[&bytes[..], b"x"].concat()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            begins_right in any::<bool>(),
        ) {
            if begins_right {
                bytes.splice(..bytes.len().min(4), MAGIC);
            }
            if let Some(manifest) = decode(&bytes) {
                prop_assert_eq!(encode(&manifest), bytes);
            }
        }
    }

    #[test]
    fn values_of_one_content_in_one_cut_are_kept() {
        let (a, b) = (ContentId([1; 32]), ContentId([2; 32]));
        let [cut, other] = [1024, 2048].map(|bytes| Geometry::new(5_000, bytes).unwrap());
        let mut rechunked = RechunkedValues::default();
        rechunked.put(&a, &cut, 4, [7; 32]);
        rechunked.put(&a, &cut, 5, [8; 32]);
        assert_eq!([4, 5, 0].map(|unit| rechunked.get(&a, &cut, unit)), [Some([7; 32]), None, None]);
        assert_eq!((rechunked.get(&b, &cut, 4), rechunked.get(&a, &other, 4)), (None, None));
        rechunked.put(&b, &cut, 0, [9; 32]);
        assert_eq!((rechunked.get(&a, &cut, 4), rechunked.get(&b, &cut, 0)), (None, Some([9; 32])));
    }
}
