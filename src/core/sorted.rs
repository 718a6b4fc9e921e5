//! A map in the order of its keys, as `std`'s, that costs the program a quarter of the code.
//!
//! The compiler writes a map's code once for each pair of types it is used with, and this program has sixty such pairs:
//! with the standard library's B-tree that was a seventh of it (docs/performance.md). This one is two levels deep and made
//! of what `Vec` can do: a row of blocks, none of them empty, each a sorted row of entries. A search halves the
//! row, then the block, unless the key is the one that was found last: what happens to one thing is looked up many times
//! in a row. A change moves what lies behind it in its block, at most [`BLOCK_BYTES`], and one time in many the row. It is meant for up to a few million entries. The methods mean what they mean in `std`.

mod iter;
mod set;

use std::borrow::Borrow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, Index, RangeBounds};

pub use iter::{IntoIter, Iter, IterMut};
pub use set::{Members, SortedSet};

/// How large a block becomes before it is cut into two: small enough to be moved in less than a microsecond.
const BLOCK_BYTES: usize = 4096;

/// A map whose entries are in the order of their keys.
#[derive(Clone)]
pub struct SortedMap<K, V> {
    blocks: Vec<Vec<(K, V)>>,
    len: usize,
    /// Where the last key was that was found, block and place; by now another may be there, or none.
    last: Cell<(u32, u32)>,
}

/// Where an entry is, or would be: its block, and its place in that. The end of all is the first place of the block
/// behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    block: usize,
    at: usize,
}

/// One key's place in a map, vacant or not.
#[derive(Debug)]
pub struct Entry<'a, K, V> {
    map: &'a mut SortedMap<K, V>,
    key: K,
    found: Result<Spot, Spot>,
}

impl<K, V> SortedMap<K, V> {
    /// How many entries a block holds at most: a number at which the room of a vector arrives by doubling, so that a full block
    /// has no more of it.
    const BLOCK: usize = {
        let bytes = size_of::<(K, V)>();
        let most = BLOCK_BYTES / if bytes == 0 { 1 } else { bytes };
        if most < 8 {
            8
        } else if most > 256 {
            256
        } else {
            1 << most.ilog2()
        }
    };

    /// A map of nothing.
    pub const fn new() -> SortedMap<K, V> {
        SortedMap { blocks: Vec::new(), len: 0, last: Cell::new((0, 0)) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.len = 0;
    }

    /// The entry with the least key.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        let (key, value) = self.blocks.first()?.first()?;
        Some((key, value))
    }

    /// The entry with the greatest key.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        let (key, value) = self.blocks.last()?.last()?;
        Some((key, value))
    }

    /// Takes the entry with the least key out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (self.len > 0).then(|| self.remove_at(Spot { block: 0, at: 0 }))
    }

    /// Takes the entry with the greatest key out.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let block = self.blocks.len().checked_sub(1)?;
        let at = self.blocks[block].len().checked_sub(1)?;
        Some(self.remove_at(Spot { block, at }))
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.blocks, Spot { block: 0, at: 0 }, Spot { block: self.blocks.len(), at: 0 })
    }

    /// All entries in the order of their keys, the values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut::new(&mut self.blocks)
    }

    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// All values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, value)| value)
    }

    /// The keys themselves, in order.
    pub fn into_keys(self) -> impl Iterator<Item = K> {
        self.into_iter().map(|(key, _)| key)
    }

    /// The values themselves, in the order of their keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    /// Keeps the entries that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for block in &mut self.blocks {
            block.retain_mut(|(key, value)| keep(key, value));
        }
        self.blocks.retain(|block| !block.is_empty());
        for block in (0..self.blocks.len()).rev() {
            self.join(block);
        }
        self.len = self.blocks.iter().map(Vec::len).sum();
    }

    /// Puts an entry where its key belongs, and says where that was in the end.
    fn insert_at(&mut self, mut spot: Spot, entry: (K, V)) -> Spot {
        if self.blocks.is_empty() {
            self.blocks.push(Vec::new());
        }
        if self.blocks[spot.block].len() >= Self::BLOCK {
            spot = self.make_room(spot);
        }
        self.blocks[spot.block].insert(spot.at, entry);
        self.len += 1;
        self.last.set((spot.block as u32, spot.at as u32));
        spot
    }

    /// Makes room in a full block, and says where the spot in it is then.
    fn make_room(&mut self, spot: Spot) -> Spot {
        let Spot { block, at } = spot;
        let full = self.blocks[block].len();
        // What comes in order fills its blocks: the last one is left as it is, and the next one begun.
        let last = block + 1 == self.blocks.len() && at == full;
        let cut = if last { full } else { full / 2 };
        let rest = self.blocks[block].split_off(cut);
        // The same where something greater is there already: what the last cut left half empty is filled by this one.
        if at >= cut && block > 0 && self.blocks[block - 1].len() + cut <= Self::BLOCK {
            let mut half = std::mem::replace(&mut self.blocks[block], rest);
            self.blocks[block - 1].append(&mut half);
            return Spot { block, at: at - cut };
        }
        self.blocks.insert(block + 1, rest);
        if last || at > cut { Spot { block: block + 1, at: at - cut } } else { spot }
    }

    /// Takes an entry out that is there.
    fn remove_at(&mut self, spot: Spot) -> (K, V) {
        let entry = self.blocks[spot.block].remove(spot.at);
        self.len -= 1;
        if self.blocks[spot.block].is_empty() {
            self.blocks.remove(spot.block);
        } else {
            self.join(spot.block);
        }
        if spot.block > 0 {
            self.join(spot.block - 1);
        }
        entry
    }

    /// Makes one block of this and the next, if both together fill half of one: so a quarter of the room is used at least.
    fn join(&mut self, block: usize) {
        let Some(next) = self.blocks.get(block + 1) else { return };
        if self.blocks[block].len() + next.len() <= Self::BLOCK / 2 {
            let mut next = self.blocks.remove(block + 1);
            self.blocks[block].append(&mut next);
        }
    }

    /// The value at a spot that has an entry.
    fn value_at(&mut self, spot: Spot) -> &mut V {
        &mut self.blocks[spot.block][spot.at].1
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where a key is, or where it belongs.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Spot, Spot>
    where
        K: Borrow<Q>,
    {
        let (block, at) = self.last.get();
        let last = Spot { block: block as usize, at: at as usize };
        let there = self.blocks.get(last.block).and_then(|entries| entries.get(last.at));
        if there.is_some_and(|(k, _)| k.borrow().cmp(key).is_eq()) {
            return Ok(last);
        }
        // Written out, because optimising for size leaves each closure of the library's searches a call.
        let (mut low, mut high) = (0, self.blocks.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.blocks[middle].first() {
                Some((k, _)) if k.borrow().cmp(key).is_le() => low = middle + 1,
                _ => high = middle,
            }
        }
        let block = low.saturating_sub(1);
        let Some(entries) = self.blocks.get(block) else { return Err(Spot { block, at: 0 }) };
        let (mut low, mut high) = (0, entries.len());
        while low < high {
            let at = low + (high - low) / 2;
            match entries[at].0.borrow().cmp(key) {
                Ordering::Less => low = at + 1,
                Ordering::Greater => high = at,
                Ordering::Equal => {
                    self.last.set((block as u32, at as u32));
                    return Ok(Spot { block, at });
                }
            }
        }
        Err(Spot { block, at: low })
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let spot = self.find(key).ok()?;
        Some(&self.blocks.get(spot.block)?.get(spot.at)?.1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let spot = self.find(key).ok()?;
        Some(self.value_at(spot))
    }

    /// Whether a key has an entry.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets a key's value, and returns the one it had. The key that was there stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(spot) => Some(std::mem::replace(self.value_at(spot), value)),
            Err(spot) => {
                self.insert_at(spot, (key, value));
                None
            }
        }
    }

    /// Takes a key's entry out, and returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let spot = self.find(key).ok()?;
        Some(self.remove_at(spot).1)
    }

    /// A key's place, to look at and to fill with one search.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        let found = self.find(&key);
        Entry { map: self, key, found }
    }

    /// The entries whose keys are in a range, in order.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let front = match range.start_bound() {
            Bound::Included(key) => self.edge(key, false),
            Bound::Excluded(key) => self.edge(key, true),
            Bound::Unbounded => Spot { block: 0, at: 0 },
        };
        let back = match range.end_bound() {
            Bound::Included(key) => self.edge(key, true),
            Bound::Excluded(key) => self.edge(key, false),
            Bound::Unbounded => Spot { block: self.blocks.len(), at: 0 },
        };
        Iter::new(&self.blocks, front, back)
    }

    /// The first spot whose key is not below this one, or (`behind`) is above it.
    fn edge<Q: Ord + ?Sized>(&self, key: &Q, behind: bool) -> Spot
    where
        K: Borrow<Q>,
    {
        let spot = match self.find(key) {
            Ok(Spot { block, at }) => Spot { block, at: at + usize::from(behind) },
            Err(spot) => spot,
        };
        match self.blocks.get(spot.block) {
            Some(entries) if spot.at >= entries.len() => Spot { block: spot.block + 1, at: 0 },
            _ => spot,
        }
    }
}

impl<'a, K, V> Entry<'a, K, V> {
    /// The value that is there, or this one from now on.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value that is there, or the one that `make` gives from now on.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let spot = match self.found {
            Ok(spot) => spot,
            Err(spot) => self.map.insert_at(spot, (self.key, make())),
        };
        self.map.value_at(spot)
    }

    /// The value that is there, or the default one from now on.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value that is there, if one is.
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        if let Ok(spot) = self.found {
            change(self.map.value_at(spot));
        }
        self
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for SortedMap<K, V> {}

impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        match self.find(key) {
            Ok(spot) => &self.blocks[spot.block][spot.at].1,
            Err(spot) => &self.blocks[spot.block][usize::MAX].1,
        }
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: serde::Serialize, V: serde::Serialize> serde::Serialize for SortedMap<K, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

#[cfg(test)]
mod tests;
