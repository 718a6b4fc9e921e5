//! The layout of a file of a given size: chunks to send, units to verify.

use std::fmt;
use std::num::NonZeroU32;

/// The smallest legal chunk size, in bytes.
pub const CHUNK_BYTES_MIN: u32 = 1 << 10;
/// The largest legal chunk size, in bytes.
pub const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// The smallest chunk size of native sharing, in bytes.
pub const NATIVE_CHUNK_BYTES_MIN: u32 = 16 << 10;
/// Native sharing aims at no more than this many chunks a file.
pub const NATIVE_CHUNKS_GOAL: u64 = 2048;
/// The most units a manifest may hold.
pub const UNITS_MAX: u64 = 1 << 20;
/// A ring's owner cuts a file into at least this many chunks, as far as the smallest legal chunk allows.
pub const RING_CHUNKS_MIN: u64 = 5;
/// Chunk sizes that are no power of two are multiples of this, in bytes.
const ODD_CHUNK_STEP_BYTES: u32 = 4 << 10;

/// The cut of one file: its size and its chunk size, checked against each other.
///
/// A *chunk* is what is asked for and moved; the last one may be shorter. A *unit* is what is verified: the
/// largest power of two that divides the chunk size, so that each aligned unit is one subtree of BLAKE3.
///
/// ```
/// use chunkcast::types::Geometry;
/// let cut = Geometry::new(100_000, 16 << 10)?;
/// assert_eq!(cut.chunks(), 7);
/// assert_eq!(cut.chunk_span(6), Some((98_304, 1_696)));
/// # Ok::<(), chunkcast::types::geometry::GeometryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size_bytes: u64,
    /// Never zero, so that an `Option` of a cut is no larger: each channel of each connection has two.
    chunk_bytes: NonZeroU32,
}

/// Why a size and a chunk size do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeometryError {
    /// The chunk size is neither a power of two from 1 KiB to 1 MiB nor a multiple of 4 KiB up to 1 MiB.
    ChunkBytes(u32),
    /// The file would need more than [`UNITS_MAX`] units.
    TooLarge(u64),
}

impl Geometry {
    /// The cut of `size_bytes` bytes into chunks of `chunk_bytes`.
    ///
    /// # Errors
    ///
    /// [`GeometryError::ChunkBytes`] for a chunk size that no cut has, [`GeometryError::TooLarge`] for more than [`UNITS_MAX`]
    /// units.
    pub fn new(size_bytes: u64, chunk_bytes: u32) -> Result<Geometry, GeometryError> {
        let in_range = (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&chunk_bytes);
        let even = chunk_bytes.is_power_of_two() || chunk_bytes.is_multiple_of(ODD_CHUNK_STEP_BYTES);
        let checked = NonZeroU32::new(chunk_bytes).filter(|_| in_range && even);
        let chunk_bytes = checked.ok_or(GeometryError::ChunkBytes(chunk_bytes))?;
        let geometry = Geometry { size_bytes, chunk_bytes };
        if size_bytes.div_ceil(u64::from(geometry.unit_bytes())) > UNITS_MAX {
            return Err(GeometryError::TooLarge(size_bytes));
        }
        Ok(geometry)
    }

    /// The cut that every native holder of a file of this size uses: the smallest power of two that is at
    /// least a 2048th of the size, within 16 KiB and 1 MiB.
    ///
    /// # Errors
    ///
    /// [`GeometryError::TooLarge`] for a file of more than 1 TiB.
    pub fn native(size_bytes: u64) -> Result<Geometry, GeometryError> {
        let goal = size_bytes.div_ceil(NATIVE_CHUNKS_GOAL);
        let goal = goal.clamp(u64::from(NATIVE_CHUNK_BYTES_MIN), u64::from(CHUNK_BYTES_MAX));
        // The clamp keeps the goal far inside u32.
        let chunk_bytes = u32::try_from(goal).unwrap_or(CHUNK_BYTES_MAX).next_power_of_two();
        Geometry::new(size_bytes, chunk_bytes)
    }

    /// The cut that a ring's owner uses who wishes for chunks of `wish_bytes`. Smaller ones where there would be fewer than
    /// [`RING_CHUNKS_MIN`]: the largest legal size that makes so many, or the smallest there is (so a file of up to 4 KiB has
    /// fewer). The next larger power of two that will do where there would be more than [`UNITS_MAX`] units.
    ///
    /// # Errors
    ///
    /// [`GeometryError::ChunkBytes`] for a wish that no cut has, [`GeometryError::TooLarge`] for a file of more than 1 TiB.
    pub fn ring(size_bytes: u64, wish_bytes: u32) -> Result<Geometry, GeometryError> {
        let wished = match Geometry::new(size_bytes, wish_bytes) {
            Err(GeometryError::TooLarge(_)) => {
                let above = wish_bytes.checked_ilog2().unwrap_or(0).saturating_add(1);
                let larger = (above..=CHUNK_BYTES_MAX.ilog2()).map(|power| 1 << power);
                let mut cuts = larger.filter_map(|bytes| Geometry::new(size_bytes, bytes).ok());
                return cuts.next().ok_or(GeometryError::TooLarge(size_bytes));
            }
            wished => wished?,
        };
        if u64::from(wished.chunks()) >= RING_CHUNKS_MIN {
            return Ok(wished);
        }
        // The last of so many chunks has at least one byte. With fewer than those it is less than four wishes, so it fits.
        let most = u32::try_from(size_bytes.saturating_sub(1) / (RING_CHUNKS_MIN - 1)).unwrap_or(wish_bytes);
        let chunk_bytes = match most {
            ODD_CHUNK_STEP_BYTES.. => most.saturating_sub(most % ODD_CHUNK_STEP_BYTES),
            _ => 1 << most.max(CHUNK_BYTES_MIN).ilog2(),
        };
        Geometry::new(size_bytes, chunk_bytes)
    }

    /// The file's size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The chunk size in bytes; the last chunk may be shorter.
    pub fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes.get()
    }

    /// How many chunks there are; none in an empty file.
    pub fn chunks(&self) -> u32 {
        // At most UNITS_MAX, since a chunk holds at least one unit.
        u32::try_from(self.size_bytes.div_ceil(u64::from(self.chunk_bytes()))).unwrap_or(u32::MAX)
    }

    /// Where chunk `index` begins and how many bytes it has; `None` past the end.
    pub fn chunk_span(&self, index: u32) -> Option<(u64, u32)> {
        span(self.size_bytes, self.chunk_bytes(), index)
    }

    /// The unit size in bytes: the largest power of two that divides the chunk size.
    pub fn unit_bytes(&self) -> u32 {
        1 << self.chunk_bytes.trailing_zeros()
    }

    /// How many units there are; none in an empty file.
    pub fn units(&self) -> u32 {
        u32::try_from(self.size_bytes.div_ceil(u64::from(self.unit_bytes()))).unwrap_or(u32::MAX)
    }

    /// Where unit `index` begins and how many bytes it has; `None` past the end.
    pub fn unit_span(&self, index: u32) -> Option<(u64, u32)> {
        span(self.size_bytes, self.unit_bytes(), index)
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GeometryError::ChunkBytes(bytes) => write!(
                f,
                "{bytes} is not a legal chunk size: powers of two from 1 KiB to 1 MiB and multiples of 4 KiB are"
            ),
            GeometryError::TooLarge(bytes) => {
                write!(
                    f,
                    "a file of {bytes} bytes needs more than {UNITS_MAX} units; larger chunks are needed"
                )
            }
        }
    }
}

impl std::error::Error for GeometryError {}

fn span(size_bytes: u64, piece_bytes: u32, index: u32) -> Option<(u64, u32)> {
    let offset = u64::from(index).checked_mul(u64::from(piece_bytes))?;
    let left = size_bytes.checked_sub(offset).filter(|left| *left > 0)?;
    Some((offset, u32::try_from(left.min(u64::from(piece_bytes))).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_chunk_size_follows_from_the_size() {
        let chunk = |size| Geometry::native(size).map(|g| g.chunk_bytes());
        assert_eq!(chunk(0), Ok(16 << 10));
        assert_eq!(chunk(32 << 20), Ok(16 << 10));
        assert_eq!(chunk((32 << 20) + 1), Ok(32 << 10));
        assert_eq!(chunk(1 << 30), Ok(512 << 10));
        assert_eq!(chunk(1 << 40), Ok(1 << 20));
        assert_eq!(chunk((1 << 40) + 1), Err(GeometryError::TooLarge((1 << 40) + 1)));
    }

    #[test]
    fn a_ring_has_five_chunks_if_it_can() {
        const WISH: u32 = 100 << 10;
        let cut = |size| Geometry::ring(size, WISH).map(|g| (g.chunk_bytes(), g.chunks()));
        let kib = |count: u64| count << 10;
        assert_eq!(cut(kib(500)), Ok((WISH, 5)));
        assert_eq!(cut(kib(499)), Ok((WISH, 5)));
        assert_eq!(cut(kib(400) + 1), Ok((WISH, 5)));
        assert_eq!(cut(kib(400)), Ok((96 << 10, 5)));
        assert_eq!(cut(kib(16) + 1), Ok((4 << 10, 5)));
        assert_eq!(cut(kib(16)), Ok((2 << 10, 8)));
        assert_eq!(cut(kib(5)), Ok((1 << 10, 5)));
        assert_eq!(cut(kib(4)), Ok((1 << 10, 4)));
        assert_eq!([cut(1), cut(0)], [Ok((1 << 10, 1)), Ok((1 << 10, 0))]);
        // 4 KiB units are used up at 4 GiB.
        assert_eq!(cut(kib(4 << 20)), Ok((WISH, 41_944)));
        assert_eq!(cut(kib(4 << 20) + 1).map(|cut| cut.0), Ok(128 << 10));
        assert_eq!(cut(1 << 40).map(|cut| cut.0), Ok(1 << 20));
        assert_eq!(cut((1 << 40) + 1), Err(GeometryError::TooLarge((1 << 40) + 1)));
        assert_eq!(Geometry::ring(1 << 20, 5_000), Err(GeometryError::ChunkBytes(5_000)));
        for size in 1..70_000 {
            let cut = Geometry::ring(size, WISH).unwrap();
            assert!(cut.chunks() >= 5 || size <= 4096, "{size}");
            let larger =
                [1, 2, 4].map(|k: u32| k << 10).into_iter().chain((8..=100).step_by(4).map(|k| k << 10));
            let fewer = |bytes| Geometry::new(size, bytes).unwrap().chunks() < 5;
            assert!(larger.filter(|bytes| *bytes > cut.chunk_bytes()).all(fewer), "{size}");
        }
    }

    #[test]
    fn legal_chunk_sizes() {
        for legal in [1 << 10, 2 << 10, 4 << 10, 100 << 10, 1 << 20] {
            assert!(Geometry::new(5, legal).is_ok(), "{legal}");
        }
        for illegal in [0, 1, 512, 3 << 10, 6 << 10, 2 << 20, u32::MAX] {
            assert_eq!(Geometry::new(5, illegal), Err(GeometryError::ChunkBytes(illegal)));
        }
    }

    #[test]
    fn spans_cover_the_file_once() {
        for size in [0, 1, 102_399, 102_400, 102_401, 1_000_000] {
            let geometry = Geometry::new(size, 100 << 10).unwrap();
            assert_eq!(geometry.unit_bytes(), 4 << 10);
            let mut end = 0;
            for index in 0..geometry.chunks() {
                let (offset, len) = geometry.chunk_span(index).unwrap();
                assert_eq!(offset, end);
                end += u64::from(len);
            }
            assert_eq!(end, size);
            assert_eq!(geometry.chunk_span(geometry.chunks()), None);
        }
    }
}
