//! What of a content one connection is shown, where that is not all that is here.

use crate::core::bitfield::Bitfield;

/// Some chunks of what we have, in the order in which they were shown.
#[derive(Debug)]
pub(in crate::core) struct Shown {
    order: Vec<u32>,
    bits: Bitfield,
}

impl Shown {
    /// Nothing of `chunks` chunks.
    pub(in crate::core) fn nothing(chunks: u32) -> Shown {
        Shown { order: Vec::new(), bits: Bitfield::empty(chunks) }
    }

    /// One more chunk is shown.
    pub(in crate::core) fn add(&mut self, chunk: u32) {
        if self.bits.set(chunk) {
            self.order.push(chunk);
        }
    }

    /// Everything is shown.
    pub(in crate::core) fn add_all(&mut self) {
        self.order.extend(self.bits.missing());
        self.bits = Bitfield::full(self.bits.len());
    }

    /// Whether a chunk is shown.
    pub(in crate::core) fn has(&self, chunk: u32) -> bool {
        self.bits.get(chunk)
    }

    /// The chunks that are shown.
    pub(in crate::core) fn bits(&self) -> &Bitfield {
        &self.bits
    }

    /// The chunks that are shown, as a frame has them.
    pub(in crate::core) fn to_bytes(&self) -> Vec<u8> {
        self.bits.to_bytes()
    }

    /// How many chunks are shown.
    pub(in crate::core) fn len(&self) -> usize {
        self.order.len()
    }

    /// The chunks that were shown since a cursor stood at `from`.
    pub(in crate::core) fn since(&self, from: usize) -> &[u32] {
        self.order.get(from..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_in_its_own_order_and_tells_nothing_twice() {
        let mut shown = Shown::nothing(5);
        [3, 1, 3].into_iter().for_each(|chunk| shown.add(chunk));
        assert_eq!((shown.len(), shown.since(0), shown.since(1)), (2, &[3, 1][..], &[1][..]));
        assert!(shown.has(3) && !shown.has(0));
        assert_eq!(shown.to_bytes(), [0b0101_0000]);
        shown.add_all();
        shown.add_all();
        assert_eq!(shown.since(2), [0, 2, 4]);
    }
}
