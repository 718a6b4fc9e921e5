//! The chunks of a content that one connection is told of, where they are not all that are here.

use crate::types::Bitfield;

/// Some chunks of what is here, in the order in which they were advertised.
#[derive(Debug)]
pub(crate) struct Advertised {
    /// The chunks that were advertised one by one.
    order: Vec<u32>,
    bits: Bitfield,
    /// What was advertised before all was. The rest is not listed: a seed keeps this for each of thousands of connections.
    before_all: Option<Bitfield>,
}

impl Advertised {
    /// Nothing of `chunks` chunks.
    pub(crate) fn nothing(chunks: u32) -> Advertised {
        Advertised { order: Vec::new(), bits: Bitfield::empty(chunks), before_all: None }
    }

    /// Advertises one more chunk.
    pub(crate) fn add(&mut self, chunk: u32) {
        if self.bits.set(chunk) {
            self.order.push(chunk);
        }
    }

    /// Advertises every chunk.
    pub(crate) fn add_all(&mut self) {
        if self.before_all.is_none() {
            let all = Bitfield::full(self.bits.len());
            self.before_all = Some(std::mem::replace(&mut self.bits, all));
        }
    }

    /// The advertised chunks.
    pub(crate) fn bits(&self) -> &Bitfield {
        &self.bits
    }

    /// The chunks that were advertised since a cursor stood at `from`.
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
        let mut advertised = Advertised::nothing(5);
        [3, 1, 3].into_iter().for_each(|chunk| advertised.add(chunk));
        assert_eq!(
            (advertised.bits().count(), advertised.since(0), advertised.since(1)),
            (2, vec![3, 1], vec![1])
        );
        assert!(advertised.bits().get(3) && !advertised.bits().get(0));
        assert_eq!(advertised.bits().to_bytes(), [0b0101_0000]);
        advertised.add_all();
        advertised.add_all();
        assert_eq!(
            (advertised.bits().count(), advertised.since(2), advertised.since(1)),
            (5, vec![0, 2, 4], vec![1, 0, 2, 4])
        );
        advertised.add(2);
        assert!(advertised.since(5).is_empty());
    }
}
