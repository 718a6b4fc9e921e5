//! Values that many peers have in common: each is there once, however many hold it.
//!
//! Without it a thousand peers that list the same files would keep a thousand copies of each name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// A value is kept as long as somebody holds the [`Arc`] that [`Interned::keep`] returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interned<T: Ord> {
    things: BTreeSet<Arc<T>>,
}

impl<T: Ord> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned { things: BTreeSet::new() }
    }
}

impl<T: Ord> Interned<T> {
    /// Somebody keeps this from now on. Give it back with [`Interned::release`].
    pub(crate) fn keep(&mut self, thing: T) -> Arc<T> {
        if let Some(present) = self.find(&thing) {
            return Arc::clone(present);
        }
        let thing = Arc::new(thing);
        self.things.insert(Arc::clone(&thing));
        thing
    }

    /// Somebody keeps this no longer.
    pub(crate) fn release(&mut self, thing: Arc<T>) {
        // One is the caller's, one lies here.
        if Arc::strong_count(&thing) <= 2 {
            self.things.remove(&thing);
        }
    }

    /// How many keep this.
    pub(crate) fn keepers(&self, thing: &T) -> usize {
        self.find(thing).map_or(0, |present| Arc::strong_count(present).saturating_sub(1))
    }

    /// Panics when not so many keep each thing.
    pub(crate) fn check(&self, keepers: &BTreeMap<&T, usize>)
    where
        T: Debug,
    {
        let counted = self.things.iter().map(|thing| (&**thing, self.keepers(thing)));
        assert!(counted.eq(keepers.iter().map(|(thing, count)| (*thing, *count))), "{keepers:?} are kept");
    }

    fn find(&self, thing: &T) -> Option<&Arc<T>> {
        self.things.range::<T, _>(thing..).next().filter(|present| ***present == *thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_there_once_and_as_long_as_somebody_keeps_it() {
        let mut shared = Interned::default();
        let first = shared.keep("a".to_owned());
        let second = shared.keep("a".to_owned());
        let other = shared.keep("b".to_owned());
        assert!(Arc::ptr_eq(&first, &second));
        shared.check(&[(&"a".to_owned(), 2), (&"b".to_owned(), 1)].into());
        assert_eq!(["a", "b", "c"].map(|text| shared.keepers(&text.to_owned())), [2, 1, 0]);
        shared.release(first);
        shared.release(other);
        shared.check(&[(&"a".to_owned(), 1)].into());
        shared.release(second);
        shared.check(&BTreeMap::new());
    }
}
