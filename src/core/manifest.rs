//! The manifest: what proves each chunk of a content alone.
//!
//! BLAKE3 is a tree. Each aligned power-of-two run of bytes is a subtree with a chaining value of its own
//! (`blake3::hazmat`). The manifest holds the values of a content's units; merging them gives the content's
//! id. The values alone bind neither size nor unit, so the manifest also carries a [`SizeProof`].

use std::fmt;

use crate::core::geometry::Geometry;
use crate::core::id::ContentId;

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
    pub fn verify(&self, _id: &ContentId) -> Result<(), ManifestError> {
        Err(ManifestError::Id)
    }

    /// Whether `bytes` are chunk `index` of the content with id `id`. Only meaningful once the manifest is
    /// verified.
    pub fn verify_chunk(&self, _id: &ContentId, _index: u32, _bytes: &[u8]) -> bool {
        false
    }
}
