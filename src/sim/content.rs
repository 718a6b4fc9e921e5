//! Contents that exist only as their manifest: real ids, real proofs, no bytes.
//!
//! Payload is never carried in a simulation, so nobody needs the bytes that the chaining values stand for. The
//! values of all units but the last are drawn; the last unit is made of real bytes, because the size proof shows
//! its tail. Merged, they give an id that [`Manifest::verify`] accepts.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::core::Rng;
use crate::types::geometry::GeometryError;
use crate::types::manifest::{ChainingValue, ManifestPage, PAGE_VALUES_MAX, PROOF_TAIL_BYTES_MAX, SizeProof};
use crate::types::{ContentId, Geometry, Manifest};

/// One content of a scenario.
#[derive(Debug)]
pub struct SimContent {
    /// Its id.
    pub id: ContentId,
    /// The name it is shared under.
    pub name: String,
    /// Its verified manifest, in the cut that the hosts use.
    pub manifest: Manifest,
    /// What its bytes are drawn from where they are carried.
    seed: u64,
}

impl SimContent {
    /// The content that `seed` draws, of `size` bytes.
    pub fn new(name: &str, size: u64, seed: u64) -> Result<SimContent, GeometryError> {
        Ok(SimContent::cut(name, Geometry::native(size)?, seed))
    }

    /// The content that `seed` draws, in this cut.
    pub fn cut(name: &str, geometry: Geometry, seed: u64) -> SimContent {
        let size = geometry.size_bytes();
        let mut rng = Rng::new(seed ^ size.rotate_left(32));
        let last = last_unit(&geometry, &mut rng);
        let offset = size - last.len() as u64;
        let units = geometry.units();
        if units <= 1 {
            let id = ContentId(*blake3::hash(&last).as_bytes());
            let proof = size_proof(&last, 0);
            let manifest = Manifest { geometry, values: Vec::new(), proof };
            return SimContent { id, name: name.to_owned(), manifest, seed };
        }
        let mut values: Vec<ChainingValue> = (1..units).map(|_| drawn_value(&mut rng)).collect();
        values.push(chaining_value(&last, offset));
        let id = ContentId(merged_root(&values));
        let proof = size_proof(&last, offset);
        SimContent { id, name: name.to_owned(), manifest: Manifest { geometry, values, proof }, seed }
    }

    /// Size and cut.
    pub fn geometry(&self) -> Geometry {
        self.manifest.geometry
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.manifest.geometry.size_bytes()
    }

    /// Bytes of it, as classic peers see them. Those of an odd seed are all digits, which some dialects put their sizes
    /// in front of. What native peers verify is drawn apart from them.
    pub(super) fn bytes(&self, offset: u64, len: u64) -> Vec<u8> {
        let byte = |at: u64| {
            let word = (at ^ self.seed.rotate_left(40) ^ self.size()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let byte = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()[0];
            if self.seed % 2 == 1 { b'0' + byte % 10 } else { byte }
        };
        (offset..offset.saturating_add(len)).map(byte).collect()
    }

    /// The page of the manifest that begins at value `first`; `None` when there is none.
    pub(super) fn page(&self, channel: u32, first: u32) -> Option<ManifestPage> {
        let from = first as usize;
        if from > self.manifest.values.len() || (from == self.manifest.values.len() && from > 0) {
            return None;
        }
        let to = (from + PAGE_VALUES_MAX).min(self.manifest.values.len());
        Some(ManifestPage {
            channel,
            size: self.manifest.geometry.size_bytes(),
            chunk_bytes: self.manifest.geometry.chunk_bytes(),
            first,
            values: self.manifest.values[from..to].to_vec(),
            proof: (first == 0).then(|| self.manifest.proof.clone()),
        })
    }
}

fn last_unit(geometry: &Geometry, rng: &mut Rng) -> Vec<u8> {
    let len =
        geometry.units().checked_sub(1).and_then(|last| geometry.unit_span(last)).map_or(0, |(_, len)| len);
    let mut bytes = Vec::with_capacity(len as usize + 8);
    while bytes.len() < len as usize {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(len as usize);
    bytes
}

fn drawn_value(rng: &mut Rng) -> ChainingValue {
    let mut value = [0; 32];
    value[..16].copy_from_slice(&rng.bytes16());
    value[16..].copy_from_slice(&rng.bytes16());
    value
}

fn chaining_value(bytes: &[u8], offset: u64) -> ChainingValue {
    Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

fn size_proof(last: &[u8], offset: u64) -> SizeProof {
    let (mut rest, mut at, mut left) = (last, offset, Vec::new());
    while rest.len() > PROOF_TAIL_BYTES_MAX {
        // The left subtree is shorter than `rest`, whose length is a usize.
        let len = left_subtree_len(rest.len() as u64) as usize;
        left.push(chaining_value(&rest[..len], at));
        rest = &rest[len..];
        at += len as u64;
    }
    SizeProof { tail: rest.to_vec(), left }
}

fn merged_root(values: &[ChainingValue]) -> [u8; 32] {
    let (left, right) = values.split_at(left_count(values.len()));
    *merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).as_bytes()
}

fn merged(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [value] => *value,
        _ => {
            let (left, right) = values.split_at(left_count(values.len()));
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

/// The largest power of two below `count`, which is at least 2.
fn left_count(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_contents_verify() {
        for size in [0, 1, 1024, 1025, 16 << 10, (16 << 10) + 1, 100_000, 1 << 20, 5_000_001, 1 << 30] {
            let content = SimContent::new("a", size, 3).unwrap();
            assert_eq!(content.manifest.verify(&content.id), Ok(()), "{size}");
            assert_eq!(content.manifest.values.len(), Manifest::values_of(&content.geometry()) as usize);
        }
    }

    #[test]
    fn seeds_and_sizes_tell_contents_apart() {
        let id = |size, seed| SimContent::new("a", size, seed).unwrap().id;
        assert_eq!(id(100_000, 1), id(100_000, 1));
        assert_ne!(id(100_000, 1), id(100_000, 2));
        assert_ne!(id(100_000, 1), id(100_001, 1));
    }
}
