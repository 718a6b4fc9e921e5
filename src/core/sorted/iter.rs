//! Ways through a sorted map.

use std::iter::Flatten;
use std::{slice, vec};

use super::{SortedMap, Spot};

/// The entries between two spots, from both ends.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    blocks: &'a [Vec<(K, V)>],
    front: Spot,
    back: Spot,
}

/// All entries, the values to be changed.
#[derive(Debug)]
pub struct IterMut<'a, K, V>(Flatten<slice::IterMut<'a, Vec<(K, V)>>>);

/// All entries themselves.
pub type IntoIter<K, V> = Flatten<vec::IntoIter<Vec<(K, V)>>>;

impl<'a, K, V> Iter<'a, K, V> {
    /// Both spots are of entries, or the end of all. A range that ends before it begins holds nothing.
    pub(super) fn new(blocks: &'a [Vec<(K, V)>], front: Spot, back: Spot) -> Iter<'a, K, V> {
        let turned = (back.block, back.at) < (front.block, front.at);
        Iter { blocks, front, back: if turned { front } else { back } }
    }
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter { ..*self }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        let entries = self.blocks.get(self.front.block)?;
        let (key, value) = entries.get(self.front.at)?;
        self.front.at += 1;
        if self.front.at == entries.len() {
            self.front = Spot { block: self.front.block + 1, at: 0 };
        }
        Some((key, value))
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front == self.back {
            return None;
        }
        if self.back.at == 0 {
            let block = self.back.block.checked_sub(1)?;
            self.back = Spot { block, at: self.blocks.get(block)?.len() };
        }
        self.back.at -= 1;
        let (key, value) = self.blocks.get(self.back.block)?.get(self.back.at)?;
        Some((key, value))
    }
}

impl<'a, K, V> IterMut<'a, K, V> {
    /// Through all these blocks.
    pub(super) fn new(blocks: &'a mut [Vec<(K, V)>]) -> IterMut<'a, K, V> {
        IterMut(blocks.iter_mut().flatten())
    }
}

impl<'a, K, V> Iterator for IterMut<'a, K, V> {
    type Item = (&'a K, &'a mut V);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.0.next()?;
        Some((key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut SortedMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = IterMut<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.into_iter().flatten()
    }
}
