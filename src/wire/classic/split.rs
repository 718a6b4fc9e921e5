//! The chunks of the classic dialects, and what the sizes of received chunks tell about the file.
//!
//! Only D announces sizes, so a downloader has to find out from the received chunks whether they can be of one file.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// The size of a chunk in dialect D, in bytes.
pub const FIXED_CHUNK_BYTES: u64 = 102_400;
/// Into how many chunks the other dialects cut: at most, and for all but the smallest files exactly.
pub const FIFTHS: u32 = 5;

/// The rule by which a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ChunkRule {
    /// A fifth of the file, rounded up, in each.
    #[default]
    Fifths,
    /// [`FIXED_CHUNK_BYTES`] in each, any number of them.
    Fixed,
}

/// A chunk whose size cannot be right if the others' are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeConflict {
    /// Which chunk, from 1.
    pub index: u32,
    /// Its size in bytes.
    pub bytes: u64,
    /// The size that the others have, which it may not differ from, or, as the last, not exceed. `None` when no chunk
    /// of that index, or without bytes, exists at all.
    pub others_bytes: Option<u64>,
}

impl ChunkRule {
    /// The size of all chunks but the last of a file of `size` bytes; 0 for the empty file.
    pub const fn chunk_bytes(self, size: u64) -> u64 {
        match self {
            ChunkRule::Fifths => size.div_ceil(FIFTHS as u64),
            ChunkRule::Fixed if size == 0 => 0,
            ChunkRule::Fixed => FIXED_CHUNK_BYTES,
        }
    }

    /// How many chunks a file of `size` bytes has. `None`: more than can be numbered.
    pub fn count(self, size: u64) -> Option<u32> {
        match self.chunk_bytes(size) {
            0 => Some(0),
            chunk_bytes => u32::try_from(size.div_ceil(chunk_bytes)).ok(),
        }
    }

    /// Whether some file has a chunk of this number.
    pub fn may_have(self, index: u32) -> bool {
        index >= 1 && (self == ChunkRule::Fixed || index <= FIFTHS)
    }

    /// Where chunk `index`, from 1, of a file of `size` bytes lies; `None` when there is none.
    pub fn range(self, size: u64, index: u32) -> Option<Range<u64>> {
        let chunk_bytes = self.chunk_bytes(size);
        let begin = u64::from(index.checked_sub(1)?).checked_mul(chunk_bytes)?;
        (begin < size).then(|| begin..size.min(begin.saturating_add(chunk_bytes)))
    }

    /// Whether chunks of these sizes, by index, can be of one file: all but its last are equally long, and that is no
    /// longer. Of which the last is, nothing is known but that none follows the fifth fifth; so the highest here passes
    /// for it.
    ///
    /// # Errors
    ///
    /// [`SizeConflict`] with two chunks that are of different files.
    pub fn agree(self, sizes: &BTreeMap<u32, u64>) -> Result<(), SizeConflict> {
        let Some((&highest, _)) = sizes.last_key_value() else { return Ok(()) };
        let mut others_bytes = (self == ChunkRule::Fixed).then_some(FIXED_CHUNK_BYTES);
        for (&index, &bytes) in sizes {
            if bytes < 1 || !self.may_have(index) {
                return Err(SizeConflict { index, bytes, others_bytes: None });
            }
            let others = *others_bytes.get_or_insert(bytes);
            let fits = if index == highest { self.ends_with(index, bytes, others) } else { bytes == others };
            if !fits {
                return Err(SizeConflict { index, bytes, others_bytes: Some(others) });
            }
        }
        Ok(())
    }

    /// Whether a chunk may be the last one behind others of `others` bytes. The fifth fifth is shorter than they are by
    /// what rounding makes of it, and not by more: then it was cut short on its way.
    pub fn ends_with(self, index: u32, bytes: u64, others: u64) -> bool {
        let is_surely_last = self == ChunkRule::Fifths && index == FIFTHS;
        bytes <= others && (!is_surely_last || bytes.saturating_add(FIFTHS.into()) >= others)
    }

    /// The size of the file if these chunks, by index, are all of it; `None` when they cannot be. Three chunks of 2
    /// bytes are all of a file of 6, or the beginning of one of 9: the caller has to know that no more were announced.
    pub fn whole(self, sizes: &BTreeMap<u32, u64>) -> Option<u64> {
        let size = sizes.values().try_fold(0u64, |sum, bytes| sum.checked_add(*bytes))?;
        let count = u32::try_from(sizes.len()).ok()?;
        let is_last = |index: u32| index == count;
        let contiguous = sizes.keys().copied().eq(1..=count);
        let fits = match self {
            // A peer that rounds otherwise than all known ones still makes five that fit together.
            ChunkRule::Fifths if is_last(FIFTHS) => true,
            _ => {
                self.count(size) == Some(count)
                    && sizes.iter().all(|(&index, &bytes)| is_last(index) || bytes == self.chunk_bytes(size))
            }
        };
        (count > 0 && contiguous && fits && self.agree(sizes).is_ok()).then_some(size)
    }
}

impl fmt::Display for SizeConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SizeConflict { index, bytes, others_bytes } = self;
        match others_bytes {
            Some(others) => write!(f, "chunk {index} has {bytes} bytes where others have {others}"),
            None => write!(f, "no file has a chunk {index} of {bytes} bytes"),
        }
    }
}

impl std::error::Error for SizeConflict {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: [ChunkRule; 2] = [ChunkRule::Fifths, ChunkRule::Fixed];

    fn sizes(sizes: &[(u32, u64)]) -> BTreeMap<u32, u64> {
        sizes.iter().copied().collect()
    }

    fn cut(rule: ChunkRule, size: u64) -> BTreeMap<u32, u64> {
        let ranges = (1..).map_while(|index| Some((index, rule.range(size, index)?)));
        ranges.map(|(index, range)| (index, range.end - range.start)).collect()
    }

    #[test]
    fn small_files_have_fewer_than_five() {
        let few: Vec<u64> = (0..100_000).filter(|size| ChunkRule::Fifths.count(*size) != Some(5)).collect();
        assert_eq!(few, [0, 1, 2, 3, 4, 6, 7, 8, 11, 12, 16]);
    }

    #[test]
    fn known_cuts() {
        for (rule, size, lengths) in [
            (ChunkRule::Fifths, 0, &[][..]),
            (ChunkRule::Fifths, 1, &[1]),
            (ChunkRule::Fifths, 6, &[2, 2, 2]),
            (ChunkRule::Fifths, 9, &[2, 2, 2, 2, 1]),
            (ChunkRule::Fifths, 13, &[3, 3, 3, 3, 1]),
            (ChunkRule::Fifths, 60_001, &[12_001, 12_001, 12_001, 12_001, 11_997]),
            (ChunkRule::Fixed, 0, &[]),
            (ChunkRule::Fixed, 200, &[200]),
            (ChunkRule::Fixed, 204_800, &[102_400, 102_400]),
            (ChunkRule::Fixed, 204_801, &[102_400, 102_400, 1]),
        ] {
            assert_eq!(cut(rule, size).into_values().collect::<Vec<u64>>(), lengths, "{size}");
        }
        assert_eq!(ChunkRule::Fifths.range(10, 0), None);
        assert_eq!(ChunkRule::Fifths.range(10, 6), None);
        assert_eq!(ChunkRule::Fifths.range(10, 5), Some(8..10));
        assert_eq!(ChunkRule::Fifths.range(u64::MAX, 5).map(|range| range.end), Some(u64::MAX));
        assert_eq!(ChunkRule::Fixed.count(u64::MAX), None);
    }

    #[test]
    fn sizes_that_cannot_be_of_one_file_are_told() {
        let conflict = |rule: ChunkRule, of: &[(u32, u64)]| {
            let told = rule.agree(&sizes(of)).map_err(|error| (error.index, error.others_bytes));
            told.err()
        };
        for (of, told) in [
            (&[][..], None),
            (&[(3, 7)], None),
            (&[(1, 7), (4, 7)], None),
            (&[(1, 7), (4, 6)], None),
            (&[(1, 7), (4, 8)], Some((4, Some(7)))),
            (&[(1, 7), (2, 6), (3, 7)], Some((2, Some(7)))),
            (&[(1, 600), (4, 100)], None),
            (&[(1, 600), (5, 596)], None),
            (&[(1, 600), (5, 100)], Some((5, Some(600)))),
            (&[(1, 7), (6, 7)], Some((6, None))),
            (&[(0, 7)], Some((0, None))),
            (&[(1, 0)], Some((1, None))),
        ] {
            assert_eq!(conflict(ChunkRule::Fifths, of), told, "{of:?}");
        }
        assert_eq!(conflict(ChunkRule::Fixed, &[(2, 102_400), (9, 5)]), None);
        assert_eq!(conflict(ChunkRule::Fixed, &[(2, 5), (9, 5)]), Some((2, Some(102_400))));
        assert_eq!(conflict(ChunkRule::Fixed, &[(9, 102_401)]), Some((9, Some(102_400))));
    }

    #[test]
    fn what_may_be_whole() {
        let fifths = |of: &[(u32, u64)]| ChunkRule::Fifths.whole(&sizes(of));
        assert_eq!(fifths(&[(1, 2), (2, 2), (3, 2)]), Some(6));
        assert_eq!(fifths(&[(1, 2), (2, 2), (3, 2), (4, 2)]), Some(8));
        assert_eq!(fifths(&[(1, 200), (2, 200), (3, 200)]), None);
        assert_eq!(fifths(&[(1, 2), (3, 2)]), None);
        assert_eq!(fifths(&[(1, 9), (2, 9), (3, 9), (4, 9), (5, 4)]), Some(40));
        assert_eq!(fifths(&[(1, 9), (2, 9), (3, 9), (4, 9), (5, 1)]), None);
        assert_eq!(fifths(&[(1, u64::MAX), (2, 1)]), None);
        assert_eq!(fifths(&[]), None);
    }

    proptest! {
        #[test]
        fn the_chunks_of_a_file_cover_it_and_agree(size in 0u64..3_000_000, keep: [bool; 5], which in 0usize..2) {
            let rule = RULES[which];
            let whole = cut(rule, size);
            prop_assert_eq!(whole.values().sum::<u64>(), size);
            prop_assert_eq!(rule.count(size), Some(whole.len() as u32));
            prop_assert_eq!(rule.whole(&whole), (size > 0).then_some(size));
            let some = whole.into_iter().filter(|(index, _)| keep[*index as usize % 5]).collect();
            prop_assert_eq!(rule.agree(&some), Ok(()));
        }

        #[test]
        fn no_sizes_panic(of in prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..8), size: u64, index: u32) {
            let of = BTreeMap::from_iter(of);
            for rule in RULES {
                let _ = (rule.agree(&of), rule.whole(&of), rule.range(size, index), rule.count(size));
            }
        }
    }
}
