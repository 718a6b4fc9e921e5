//! The manifest: hashes that prove each chunk of a content alone.
//!
//! BLAKE3 is a tree. Each aligned power-of-two run of bytes is a subtree with its own chaining value
//! (`blake3::hazmat`). The manifest holds the values of the units of a content; merging them gives the id of the
//! content. The values alone bind neither size nor unit, so the manifest also carries a [`SizeProof`].

mod build;
mod pages;
mod tree;

use std::fmt;

pub use build::{ManifestBuilder, WrongSize};
pub use pages::{ManifestPage, ManifestPages, PageError};

use crate::types::geometry::Geometry;
use crate::types::id::ContentId;

/// The most unit values in one page of a manifest on the wire.
pub const PAGE_VALUES_MAX: usize = 1024;
/// The most bytes of [`SizeProof::tail`]: one BLAKE3 chunk.
pub const PROOF_TAIL_BYTES_MAX: usize = 1024;
/// The most values of [`SizeProof::left`]: the depth of a unit of 1 MiB over BLAKE3 chunks of 1 KiB.
pub const PROOF_LEFT_MAX: usize = 10;

/// The chaining value of a subtree that is not the root.
pub type ChainingValue = [u8; 32];

/// What fixes size and unit of a manifest: the last BLAKE3 chunk and what stands left of it inside its unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SizeProof {
    /// The content's last BLAKE3 chunk: 1 to 1,024 bytes; none for the empty content.
    pub tail: Vec<u8>,
    /// The chaining values left of the tail on the right edge inside the last unit, from the top downwards.
    pub left: Vec<ChainingValue>,
}

/// Size, cut and unit values of one content. Not trusted until [`Manifest::verify`] passed.
///
/// ```
/// use chunkcast::types::Geometry;
/// use chunkcast::types::manifest::ManifestBuilder;
/// let bytes = vec![7; 40_000];
/// let mut builder = ManifestBuilder::new(Geometry::native(40_000)?);
/// builder.push(&bytes);
/// let (id, manifest) = builder.finish()?;
/// assert!(manifest.verify(&id).is_ok());
/// assert!(manifest.verify_chunk(&id, 2, &bytes[32_768..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Size and cut.
    pub geometry: Geometry,
    /// The chaining values of the units in order; none when there is at most one unit.
    pub values: Vec<ChainingValue>,
    /// What binds the geometry to the id.
    pub proof: SizeProof,
}

/// Why a manifest is not that of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestError {
    /// The number of values does not follow from the geometry.
    Values,
    /// The proof's shape does not follow from the geometry.
    Proof,
    /// The values and the proof do not merge to the id.
    Id,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ManifestError::Values => "the number of values does not fit the size",
            ManifestError::Proof => "the size proof does not fit the size",
            ManifestError::Id => "the values do not merge to the id",
        })
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// How many values a manifest of this cut has: one a unit, none when there is at most one unit.
    pub fn values_of(geometry: &Geometry) -> u32 {
        if geometry.units() > 1 { geometry.units() } else { 0 }
    }

    /// Checks that values and proof merge to `id`, and so that size, unit and values are those of the content.
    ///
    /// # Errors
    ///
    /// What does not fit first: the number of values, the proof, or the id.
    pub fn verify(&self, id: &ContentId) -> Result<(), ManifestError> {
        if self.values.len() != Manifest::values_of(&self.geometry) as usize {
            return Err(ManifestError::Values);
        }
        if !self.proof.fits(&self.geometry) {
            return Err(ManifestError::Proof);
        }
        let root = match self.values.last() {
            None => self.proof.root(self.geometry.size_bytes()),
            Some(last) if *last == self.proof.last_unit_value(self.geometry.size_bytes()) => {
                tree::merge_root(&self.values)
            }
            Some(_) => return Err(ManifestError::Id),
        };
        if root == id.0 { Ok(()) } else { Err(ManifestError::Id) }
    }

    /// Whether `bytes` are chunk `index` of the content with id `id`. Only meaningful once the manifest is
    /// verified.
    pub fn verify_chunk(&self, id: &ContentId, index: u32, bytes: &[u8]) -> bool {
        let Some((offset, len)) = self.geometry.chunk_span(index) else { return false };
        if bytes.len() != len as usize {
            return false;
        }
        if self.values.is_empty() {
            return blake3::hash(bytes).as_bytes() == &id.0;
        }
        let unit_bytes = self.geometry.unit_bytes();
        let before = offset.checked_div(u64::from(unit_bytes));
        let first = before.and_then(|units| usize::try_from(units).ok()).unwrap_or(usize::MAX);
        let units = bytes.chunks(unit_bytes as usize);
        let values = self.values.get(first..).unwrap_or_default();
        values.len() >= units.len()
            && (offset..)
                .step_by(unit_bytes as usize)
                .zip(units)
                .zip(values)
                .all(|((offset, unit), value)| tree::subtree(offset, unit) == *value)
    }

    /// The manifest of the same content in another cut whose units are no smaller; `None` when they are, or when
    /// the sizes differ. As good as this one: verified when this one is.
    pub fn coarsen(&self, geometry: Geometry) -> Option<Manifest> {
        let same_size = geometry.size_bytes() == self.geometry.size_bytes();
        if !same_size || geometry.unit_bytes() < self.geometry.unit_bytes() {
            return None;
        }
        let merged_units = geometry.unit_bytes().checked_div(self.geometry.unit_bytes())? as usize;
        let several = geometry.units() > 1;
        let values =
            if several { self.values.chunks(merged_units).map(tree::merge).collect() } else { Vec::new() };
        let mut edge = self.values.chunks(merged_units).last().unwrap_or_default();
        let mut left = Vec::new();
        while edge.len() > 1 {
            let (whole, rest) = edge.split_at(tree::left_count(edge.len()));
            left.push(tree::merge(whole));
            edge = rest;
        }
        left.extend_from_slice(&self.proof.left);
        Some(Manifest { geometry, values, proof: SizeProof { tail: self.proof.tail.clone(), left } })
    }
}

impl SizeProof {
    /// Whether tail and left values are as long and as many as the geometry demands.
    fn fits(&self, geometry: &Geometry) -> bool {
        let last_unit_bytes = geometry.size_bytes().saturating_sub(build::last_unit_offset(geometry));
        let mut leaves = last_unit_bytes.div_ceil(tree::LEAF_BYTES);
        let whole_bytes = leaves.saturating_sub(1).saturating_mul(tree::LEAF_BYTES);
        let mut left = 0_usize;
        while leaves > 1 {
            leaves = leaves.saturating_sub(leaves.div_ceil(2).next_power_of_two());
            left = left.saturating_add(1);
        }
        self.tail.len() as u64 == last_unit_bytes.saturating_sub(whole_bytes) && self.left.len() == left
    }

    /// The value of the last unit of a content of `size_bytes`, which has several.
    fn last_unit_value(&self, size_bytes: u64) -> ChainingValue {
        fold(&self.left, self.tail_value(size_bytes))
    }

    /// The root hash of a content of `size_bytes`, which has at most one unit.
    fn root(&self, size_bytes: u64) -> [u8; 32] {
        match self.left.split_first() {
            None => *blake3::hash(&self.tail).as_bytes(),
            Some((top, below)) => tree::root(top, &fold(below, self.tail_value(size_bytes))),
        }
    }

    /// The value of the tail, which ends at `size_bytes`, is not empty, and is not the root.
    fn tail_value(&self, size_bytes: u64) -> ChainingValue {
        tree::subtree(size_bytes.saturating_sub(self.tail.len() as u64), &self.tail)
    }
}

/// The value of the right edge that has these values on its left, from the top downwards, and ends in `below`.
fn fold(left: &[ChainingValue], below: ChainingValue) -> ChainingValue {
    left.iter().rfold(below, |below, left| tree::parent(left, &below))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that repeat late enough for no two units to be equal.
    pub(crate) fn bytes(len: usize) -> Vec<u8> {
        (0u64..).flat_map(|word| (word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).take(len).collect()
    }

    pub(crate) fn manifest_of(bytes: &[u8], chunk_bytes: u32) -> (ContentId, Manifest) {
        let mut builder = ManifestBuilder::new(Geometry::new(bytes.len() as u64, chunk_bytes).unwrap());
        builder.push(bytes);
        builder.finish().unwrap()
    }

    fn check(bytes: &[u8], chunk_bytes: u32) {
        let (id, manifest) = manifest_of(bytes, chunk_bytes);
        assert_eq!(id.0, *blake3::hash(bytes).as_bytes(), "{} in {chunk_bytes}", bytes.len());
        assert_eq!(manifest.verify(&id), Ok(()), "{} in {chunk_bytes}", bytes.len());
        assert!(
            manifest.proof.left.len() <= PROOF_LEFT_MAX && manifest.proof.tail.len() <= PROOF_TAIL_BYTES_MAX
        );
    }

    fn chunk(manifest: &Manifest, bytes: &[u8], index: u32) -> Vec<u8> {
        let (offset, len) = manifest.geometry.chunk_span(index).unwrap();
        bytes[offset as usize..][..len as usize].to_vec()
    }

    const UNITS: [u32; 7] = [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];

    /// Every size from 0 to 70,000 in one unit size, which rotates so that each meets every remainder, and the sizes
    /// next to every leaf's edge in all of them.
    #[test]
    fn ids_are_those_of_blake3_at_every_size() {
        let bytes = bytes(70_000);
        for size in 0..=bytes.len() {
            let near_an_edge = (size + 1) % 1024 <= 2;
            let units = if near_an_edge { &UNITS[..] } else { &UNITS[size % UNITS.len()..][..1] };
            units.iter().for_each(|unit| check(&bytes[..size], *unit));
        }
    }

    #[test]
    fn the_example_of_the_specification() {
        let manifest = manifest_of(&bytes(70_000), 16 << 10).1;
        let (values, proof) = (manifest.values.len(), manifest.proof);
        assert_eq!((values, proof.left.len(), proof.tail.len()), (5, 1, 368));
        assert_eq!(proof.left[0], tree::subtree(65_536, &bytes(70_000)[65_536..][..4096]));
    }

    #[test]
    fn large_and_odd_chunks_too() {
        let bytes = bytes((2 << 20) + 5_000);
        for size in [0, 1, 102_399, 102_400, 102_401, 1 << 20, (1 << 20) + 1, bytes.len()] {
            for chunk_bytes in [12 << 10, 100 << 10, 128 << 10, 512 << 10, 1 << 20] {
                check(&bytes[..size], chunk_bytes);
            }
        }
    }

    /// The last leaf's value holds its place and length, so no other size and no other unit merges to the id.
    #[test]
    fn every_lie_about_size_or_unit_is_refused() {
        let bytes = bytes(40_000);
        let sizes = [0, 1, 1023, 1024, 1025, 2048, 4096, 5000, 8192, 12_288, 16_384, 16_385, 20_000];
        for (size, unit) in sizes.into_iter().flat_map(|size| UNITS.map(|unit| (size, unit))) {
            let (id, manifest) = manifest_of(&bytes[..size], unit);
            let lies = sizes.into_iter().chain([size + 1, size.saturating_sub(1), size + 1024, 2 * size]);
            for (lie, lied_unit) in lies.flat_map(|lie| UNITS.map(|unit| (lie, unit))) {
                let geometry = Geometry::new(lie as u64, lied_unit).unwrap();
                let lying = Manifest { geometry, ..manifest.clone() };
                // A cut in which the whole content is one unit is the same manifest in each such unit.
                let same =
                    lie == size && (lied_unit == unit || geometry.units() <= 1 && size <= unit as usize);
                assert_eq!(lying.verify(&id).is_ok(), same, "{size} in {unit} as {lie} in {lied_unit}");
                // Nor does it help to bring values and proof into the shape the lie demands.
                let shape = manifest_of(&bytes[..lie], lied_unit).1;
                let mut shaped = lying;
                shaped.values.resize(shape.values.len(), [7; 32]);
                shaped.proof.tail.resize(shape.proof.tail.len(), 7);
                shaped.proof.left.resize(shape.proof.left.len(), [7; 32]);
                assert_eq!(shaped.verify(&id), if same { Ok(()) } else { Err(ManifestError::Id) });
            }
        }
    }

    #[test]
    fn a_chunk_proves_itself_alone() {
        let bytes = bytes(300_000);
        for (size, chunk_bytes) in [(1, 1024), (4096, 100 << 10), (16_384, 16 << 10), (300_000, 16 << 10)]
            .into_iter()
            .chain([(300_000, 100 << 10), (4097, 100 << 10), (300_000, 1 << 20), (204_800, 12 << 10)])
        {
            let (id, manifest) = manifest_of(&bytes[..size], chunk_bytes);
            for index in 0..manifest.geometry.chunks() {
                let mut right = chunk(&manifest, &bytes, index);
                assert!(manifest.verify_chunk(&id, index, &right), "{size} in {chunk_bytes}: {index}");
                assert!(!manifest.verify_chunk(&id, index + 1, &right));
                for at in [0, right.len() / 2, right.len() - 1] {
                    right[at] ^= 1;
                    assert!(!manifest.verify_chunk(&id, index, &right));
                    right[at] ^= 1;
                }
                assert!(!manifest.verify_chunk(&id, index, &right[1..]));
                right.push(0);
                assert!(!manifest.verify_chunk(&id, index, &right));
            }
            assert!(!manifest.verify_chunk(&id, manifest.geometry.chunks(), &[]));
            assert!(!manifest.verify_chunk(&id, u32::MAX, &bytes));
        }
    }

    #[test]
    fn coarser_manifests_are_those_of_the_file() {
        let bytes = bytes(300_000);
        for size in [0, 1, 1024, 1025, 4096, 4097, 65_536, 131_072, 131_073, 300_000] {
            for (fine, coarse) in [(1, 1), (1, 2), (1, 100), (4, 100), (4, 64), (100, 4), (16, 64), (1, 1024)]
            {
                let manifest = manifest_of(&bytes[..size], fine << 10).1;
                let geometry = Geometry::new(size as u64, coarse << 10).unwrap();
                let expected = manifest_of(&bytes[..size], coarse << 10).1;
                assert_eq!(manifest.coarsen(geometry), Some(expected), "{size}: {fine} to {coarse}");
            }
        }
        let manifest = manifest_of(&bytes, 16 << 10).1;
        assert_eq!(manifest.coarsen(Geometry::new(300_000, 8 << 10).unwrap()), None);
        assert_eq!(manifest.coarsen(Geometry::new(300_001, 16 << 10).unwrap()), None);
    }

    #[test]
    fn a_wrong_number_of_bytes_makes_no_manifest() {
        for (size, came) in [(0, 1), (1, 0), (1024, 1023), (1024, 1025), (70_000, 69_999), (70_000, 80_000)] {
            let mut builder = ManifestBuilder::new(Geometry::new(size, 16 << 10).unwrap());
            builder.push(&bytes(came as usize));
            assert_eq!(builder.taken_bytes(), came);
            let wrong = WrongSize { expected_bytes: size, actual_bytes: came };
            assert_eq!(builder.finish(), Err(wrong));
        }
    }

    proptest! {
        #[test]
        fn slices_do_not_matter(size in 0usize..150_000, unit in 0usize..7, slice in 1usize..40_000) {
            let bytes = bytes(size);
            let mut builder = ManifestBuilder::new(Geometry::new(size as u64, UNITS[unit]).unwrap());
            bytes.chunks(slice).for_each(|slice| builder.push(slice));
            prop_assert_eq!(builder.finish().unwrap(), manifest_of(&bytes, UNITS[unit]));
        }

        #[test]
        fn one_flipped_bit_is_refused(size in 1usize..150_000, unit in 0usize..7, place: usize, bit in 0u8..8) {
            let (id, mut manifest) = manifest_of(&bytes(size), UNITS[unit]);
            let (values, left) = (manifest.values.len() * 32, manifest.proof.left.len() * 32);
            let place = place % (values + left + manifest.proof.tail.len());
            let byte = if place < values {
                &mut manifest.values[place / 32][place % 32]
            } else if place < values + left {
                &mut manifest.proof.left[(place - values) / 32][place % 32]
            } else {
                &mut manifest.proof.tail[place - values - left]
            };
            *byte ^= 1 << bit;
            prop_assert_eq!(manifest.verify(&id), Err(ManifestError::Id));
        }
    }
}
