//! The set of chunks of a content that a peer has.

/// A fixed number of bits, one a chunk, with the count of those set.
///
/// ```
/// use chunkcast::types::Bitfield;
/// let mut have = Bitfield::empty(5);
/// assert!(have.set(3) && !have.set(3));
/// assert_eq!(have.missing().collect::<Vec<_>>(), [0, 1, 2, 4]);
/// assert!(have.is_within(&Bitfield::full(5)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitfield {
    words: Vec<u64>,
    len: u32,
    ones: u32,
}

impl Bitfield {
    /// `len` bits, none set.
    pub fn empty(len: u32) -> Bitfield {
        Bitfield { words: vec![0; len.div_ceil(64) as usize], len, ones: 0 }
    }

    /// `len` bits, all set.
    pub fn full(len: u32) -> Bitfield {
        let mut bits = Bitfield::empty(len);
        bits.set_range(0, len);
        bits
    }

    /// How many bits there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no bits at all (the bitfield of an empty file).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bits are set.
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Whether every bit is set.
    pub fn is_full(&self) -> bool {
        self.ones == self.len
    }

    /// Whether bit `index` is set; false past the end.
    pub fn get(&self, index: u32) -> bool {
        self.words.get(word_of(index)).is_some_and(|word| word & bit_of(index) != 0)
    }

    /// Sets bit `index`. True when it was not set before; past the end nothing happens.
    pub fn set(&mut self, index: u32) -> bool {
        if index >= self.len {
            return false;
        }
        let Some(word) = self.words.get_mut(word_of(index)).filter(|word| **word & bit_of(index) == 0) else {
            return false;
        };
        *word |= bit_of(index);
        self.ones = self.ones.saturating_add(1);
        true
    }

    /// Clears bit `index`. True when it was set before.
    pub fn clear(&mut self, index: u32) -> bool {
        let Some(word) = self.words.get_mut(word_of(index)).filter(|word| **word & bit_of(index) != 0) else {
            return false;
        };
        *word &= !bit_of(index);
        self.ones = self.ones.saturating_sub(1);
        true
    }

    /// Whether every bit set here is set in `other`, which is as long.
    pub fn is_within(&self, other: &Bitfield) -> bool {
        self.words.iter().zip(&other.words).all(|(own, others)| own & !others == 0)
    }

    /// Sets `count` bits from `first` on, as far as there are any.
    pub fn set_range(&mut self, first: u32, count: u32) {
        for index in first..first.saturating_add(count).min(self.len) {
            self.set(index);
        }
    }

    /// The indices of the set bits, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.words.iter().zip((0u32..).step_by(64));
        words.flat_map(|(word, first)| ones(*word).map(move |bit| first | bit))
    }

    /// The bits that are set in both of the same length, in order.
    pub(crate) fn common<'a>(&'a self, other: &'a Bitfield) -> impl Iterator<Item = u32> + 'a {
        let words = self.words.iter().zip(&other.words).zip((0u32..).step_by(64));
        words.flat_map(|((here, there), first)| ones(here & there).map(move |bit| first | bit))
    }

    /// The bits that are not set here are set there, and the other way around.
    pub(crate) fn inverse(&self) -> Bitfield {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        if let Some(last) = words.last_mut() {
            *last &= u64::MAX >> (self.len.wrapping_neg() % 64);
        }
        Bitfield { words, len: self.len, ones: self.len.saturating_sub(self.ones) }
    }

    /// The indices of the bits that are not set, in order.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len).filter(|index| !self.get(*index))
    }

    /// The bits as bytes, the first bit the highest of the first byte, spare bits zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        // The first bit is the lowest of a word, and the highest of a byte.
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes()).map(u8::reverse_bits);
        bytes.take(self.len.div_ceil(8) as usize).collect()
    }

    /// `len` bits from bytes as [`Bitfield::to_bytes`] writes them; `None` when there are too few or too many
    /// bytes, or when a spare bit is set.
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Option<Bitfield> {
        if bytes.len() != len.div_ceil(8) as usize {
            return None;
        }
        let mut bits = Bitfield::empty(len);
        for (byte, first) in bytes.iter().zip((0u32..).step_by(8)) {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                if !bits.set(first | bit) {
                    return None;
                }
            }
        }
        Some(bits)
    }
}

/// The word in which a bit is.
fn word_of(index: u32) -> usize {
    (index / 64) as usize
}

/// A bit in its word.
fn bit_of(index: u32) -> u64 {
    1 << (index % 64)
}

/// Which bits of a word are set, the lowest first.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        // The lowest bit that is set goes; of zero there is none.
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_set() {
        let mut bits = Bitfield::empty(70);
        assert!(bits.set(0) && bits.set(69) && !bits.set(69) && !bits.set(70));
        assert_eq!((bits.count(), bits.get(69), bits.get(70)), (2, true, false));
        assert!(bits.clear(69) && !bits.clear(69));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0]);
        bits.set_range(60, 100);
        assert_eq!(bits.count(), 11);
        assert!(bits.is_within(&Bitfield::full(70)) && !bits.is_within(&Bitfield::empty(70)));
        assert!(Bitfield::full(70).is_full() && Bitfield::empty(0).is_full());
        assert_eq!(Bitfield::full(130).iter().collect::<Vec<_>>(), (0..130).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_set_is_set_in_the_inverse() {
        for len in [0, 1, 63, 64, 65, 130] {
            assert_eq!(Bitfield::full(len).inverse(), Bitfield::empty(len));
            assert_eq!(Bitfield::empty(len).inverse(), Bitfield::full(len));
        }
        let mut bits = Bitfield::full(130);
        (60..70).for_each(|index| assert!(bits.clear(index)));
        assert!(bits.inverse().iter().eq(60..70) && bits.inverse().count() == 10);
        assert!(bits.common(&Bitfield::full(130)).eq(bits.iter()));
        assert_eq!(bits.common(&bits.inverse()).next(), None);
    }

    #[test]
    fn bytes_come_back_and_spare_bits_are_refused() {
        for len in [0, 1, 7, 8, 9, 64, 65, 200] {
            let mut bits = Bitfield::empty(len);
            (0..len).step_by(3).for_each(|index| {
                bits.set(index);
            });
            assert_eq!(Bitfield::from_bytes(len, &bits.to_bytes()), Some(bits));
        }
        assert_eq!(Bitfield::from_bytes(7, &[0x01]), None);
        assert_eq!(Bitfield::from_bytes(7, &[0x00, 0x00]), None);
        assert_eq!(Bitfield::from_bytes(9, &[0xff]), None);
    }
}
