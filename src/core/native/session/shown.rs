//! What of a content one connection is shown, where that is not all that is here.

use crate::types::bitfield::Bitfield;

/// Some chunks of what we have, in the order in which they were shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Those that were shown one by one.
    order: Vec<u32>,
    bits: Bitfield,
    /// What was shown before all was. The rest is not listed: a seed keeps this for each of thousands of connections.
    before_all: Option<Bitfield>,
}

impl Shown {
    /// Nothing of `chunks` chunks.
    pub(crate) fn nothing(chunks: u32) -> Shown {
        Shown { order: Vec::new(), bits: Bitfield::empty(chunks), before_all: None }
    }

    /// One more chunk is shown.
    pub(crate) fn add(&mut self, chunk: u32) {
        if self.bits.set(chunk) {
            self.order.push(chunk);
        }
    }

    /// Everything is shown.
    pub(crate) fn add_all(&mut self) {
        if self.before_all.is_none() {
            let all = Bitfield::full(self.bits.len());
            self.before_all = Some(std::mem::replace(&mut self.bits, all));
        }
    }

    /// Whether a chunk is shown.
    pub(crate) fn has(&self, chunk: u32) -> bool {
        self.bits.get(chunk)
    }

    /// The chunks that are shown.
    pub(crate) fn bits(&self) -> &Bitfield {
        &self.bits
    }

    /// The chunks that are shown, as a frame has them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.bits.to_bytes()
    }

    /// How many chunks are shown.
    pub(crate) fn len(&self) -> usize {
        self.bits.count() as usize
    }

    /// The chunks that were shown since a cursor stood at `from`.
    pub(crate) fn since(&self, from: usize) -> Vec<u32> {
        let mut news = self.order.get(from..).unwrap_or_default().to_vec();
        if let Some(before) = self.before_all.as_ref().filter(|_| from <= self.order.len()) {
            news.extend(before.missing());
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_in_its_own_order_and_tells_nothing_twice() {
        let mut shown = Shown::nothing(5);
        [3, 1, 3].into_iter().for_each(|chunk| shown.add(chunk));
        assert_eq!((shown.len(), shown.since(0), shown.since(1)), (2, vec![3, 1], vec![1]));
        assert!(shown.has(3) && !shown.has(0));
        assert_eq!(shown.to_bytes(), [0b0101_0000]);
        shown.add_all();
        shown.add_all();
        assert_eq!((shown.len(), shown.since(2), shown.since(1)), (5, vec![0, 2, 4], vec![1, 0, 2, 4]));
        shown.add(2);
        assert!(shown.since(5).is_empty());
    }
}
