//! Computes a manifest from the bytes of a file, in slices.

use std::fmt;

use blake3::Hasher;
use blake3::hazmat::HasherExt;

use super::{ChainingValue, Manifest, SizeProof, tree};
use crate::types::geometry::Geometry;
use crate::types::id::ContentId;

/// Hashes a file of known size, fed in order, into its id and its manifest. Slices of whole units are fastest.
///
/// The file is hashed as a row of pieces, each a subtree: every unit but the last, then what stands on the right
/// edge inside the last unit, which is what the size proof is made of.
#[derive(Debug, Clone)]
pub struct ManifestBuilder {
    geometry: Geometry,
    hasher: Hasher,
    /// Where the piece that is being hashed ends.
    piece_end: u64,
    /// Bytes taken so far.
    at: u64,
    /// Bytes that came after the end of the file.
    surplus: u64,
    values: Vec<ChainingValue>,
    proof: SizeProof,
}

/// The bytes fed to a [`ManifestBuilder`] are not as many as the size it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongSize {
    /// The size it was made for.
    pub expected_bytes: u64,
    /// What came.
    pub actual_bytes: u64,
}

impl fmt::Display for WrongSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} bytes, got {}", self.expected_bytes, self.actual_bytes)
    }
}

impl std::error::Error for WrongSize {}

impl ManifestBuilder {
    /// Begins a manifest of this size and cut.
    pub fn new(geometry: Geometry) -> ManifestBuilder {
        let mut builder = ManifestBuilder {
            geometry,
            hasher: Hasher::new(),
            piece_end: 0,
            at: 0,
            surplus: 0,
            values: Vec::new(),
            proof: SizeProof::default(),
        };
        builder.piece_end = builder.piece_end_after(0);
        builder
    }

    /// How many bytes were taken so far.
    pub fn taken_bytes(&self) -> u64 {
        self.at.saturating_add(self.surplus)
    }

    /// Takes the next bytes of the file. Bytes beyond its size are only counted.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.piece_end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            if room == 0 {
                self.surplus = self.surplus.saturating_add(bytes.len() as u64);
                return;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if self.in_tail() {
                self.proof.tail.extend_from_slice(now);
            } else {
                self.hasher.update(now);
            }
            self.at = self.at.saturating_add(now.len() as u64);
            bytes = later;
            if self.at == self.piece_end && self.at < self.geometry.size_bytes() {
                self.end_piece();
            }
        }
    }

    /// The id and the manifest, when as many bytes came as were expected.
    ///
    /// # Errors
    ///
    /// [`WrongSize`] when there were fewer bytes, or more.
    pub fn finish(mut self) -> Result<(ContentId, Manifest), WrongSize> {
        let size = self.geometry.size_bytes();
        if self.at != size || self.surplus > 0 {
            return Err(WrongSize { expected_bytes: size, actual_bytes: self.taken_bytes() });
        }
        let id = if self.geometry.units() > 1 {
            self.values.push(self.proof.last_unit_value(size));
            tree::merge_root(&self.values)
        } else {
            self.proof.root(size)
        };
        Ok((ContentId(id), Manifest { geometry: self.geometry, values: self.values, proof: self.proof }))
    }

    /// Keeps the value of the piece that ends here, and begins the next.
    fn end_piece(&mut self) {
        let value = self.hasher.finalize_non_root();
        if self.at <= last_unit_offset(&self.geometry) {
            self.values.push(value);
        } else {
            self.proof.left.push(value);
        }
        // `Hasher::reset` keeps the offset of the piece before, and then miscounts.
        self.hasher = Hasher::new();
        self.hasher.set_input_offset(self.at);
        self.piece_end = self.piece_end_after(self.at);
    }

    /// Where the piece that begins at `offset` ends.
    fn piece_end_after(&self, offset: u64) -> u64 {
        if offset < last_unit_offset(&self.geometry) {
            return offset.saturating_add(u64::from(self.geometry.unit_bytes()));
        }
        let left = self.geometry.size_bytes().saturating_sub(offset);
        let piece = if left <= tree::LEAF_BYTES { left } else { left.div_ceil(2).next_power_of_two() };
        offset.saturating_add(piece)
    }

    /// Whether the next byte belongs to the file's last leaf.
    fn in_tail(&self) -> bool {
        self.piece_end == self.geometry.size_bytes()
    }
}

/// Where the last unit begins; 0 when there is none.
pub(super) fn last_unit_offset(geometry: &Geometry) -> u64 {
    u64::from(geometry.units().saturating_sub(1)).saturating_mul(u64::from(geometry.unit_bytes()))
}
