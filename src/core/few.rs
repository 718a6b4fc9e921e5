//! An ordered map that holds one thing or few most of the time, and many some of the time.
//!
//! A `BTreeMap` is a row of blocks, each with memory of its own and room for more; of a map that holds one thing, and is there
//! a thousand times, most of that is waste. One thing lies in the map itself, few in a sorted list that is no longer than they
//! are, many in a `BTreeMap`.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// So many lie in a list.
const FEW: usize = 8;

/// See the file's head.
#[derive(Debug)]
pub(in crate::core) enum FewMap<K, V> {
    One(Option<(K, V)>),
    Few(Vec<(K, V)>),
    Many(Box<BTreeMap<K, V>>),
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> FewMap<K, V> {
        FewMap::One(None)
    }
}

impl<K: Ord, V> FewMap<K, V> {
    /// How many things there are.
    pub(in crate::core) fn len(&self) -> usize {
        match self {
            FewMap::Many(map) => map.len(),
            few => few.few().len(),
        }
    }

    /// Whether there is nothing.
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands under `key`.
    pub(in crate::core) fn get(&self, key: &K) -> Option<&V> {
        match self {
            FewMap::Many(map) => map.get(key),
            few => few.few().iter().find(|(present, _)| present == key).map(|(_, value)| value),
        }
    }

    /// What stands under `key`, to change it.
    pub(in crate::core) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let list = match self {
            FewMap::Many(map) => return map.get_mut(key),
            FewMap::One(one) => one.as_mut_slice(),
            FewMap::Few(list) => list,
        };
        list.iter_mut().find(|(present, _)| present == key).map(|(_, value)| value)
    }

    /// `value` stands under `key` from now on.
    pub(in crate::core) fn insert(&mut self, key: K, value: V) {
        if let Some(present) = self.get_mut(&key) {
            *present = value;
            return;
        }
        match self {
            FewMap::Many(map) => {
                map.insert(key, value);
            }
            FewMap::One(one) => {
                let Some(present) = one.take() else {
                    *one = Some((key, value));
                    return;
                };
                let new = (key, value);
                let list = if present.0 < new.0 { [present, new] } else { [new, present] };
                *self = FewMap::Few(list.into());
            }
            FewMap::Few(list) if list.len() < FEW => {
                let at = list.partition_point(|(present, _)| *present < key);
                list.reserve_exact(1);
                list.insert(at, (key, value));
            }
            FewMap::Few(list) => {
                let mut map: BTreeMap<K, V> = std::mem::take(list).into_iter().collect();
                map.insert(key, value);
                *self = FewMap::Many(Box::new(map));
            }
        }
    }

    /// Everything, in the order of the keys.
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let many = match self {
            FewMap::Many(map) => Some(&**map),
            _ => None,
        };
        self.few().iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }

    /// What is not before `key`, in the order of the keys.
    pub(in crate::core) fn from<Q: Ord>(&self, key: &Q) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let many = match self {
            FewMap::Many(map) => Some(map.range(key..)),
            _ => None,
        };
        let few = self.few();
        let before = few.partition_point(|(present, _)| present.borrow() < key);
        let few = few.get(before..).unwrap_or_default();
        few.iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }

    /// Takes out what stands under `key`.
    pub(in crate::core) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            FewMap::One(one) => one.take_if(|(present, _)| present == key).map(|(_, value)| value),
            FewMap::Few(list) => {
                let at = list.iter().position(|(present, _)| present == key)?;
                Some(list.remove(at).1)
            }
            FewMap::Many(map) => map.remove(key),
        }
    }

    /// Takes out the first key, and what stands under it.
    pub(in crate::core) fn pop_first(&mut self) -> Option<(K, V)> {
        match self {
            FewMap::One(one) => one.take(),
            FewMap::Few(list) if list.is_empty() => None,
            FewMap::Few(list) => Some(list.remove(0)),
            FewMap::Many(map) => map.pop_first(),
        }
    }

    /// Only what `keep` says yes to stays.
    pub(in crate::core) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        match self {
            FewMap::One(one) => {
                one.take_if(|(key, value)| !keep(key, value));
            }
            FewMap::Few(list) => list.retain_mut(|(key, value)| keep(key, value)),
            FewMap::Many(map) => map.retain(keep),
        }
    }

    /// Everything, where it is few.
    fn few(&self) -> &[(K, V)] {
        match self {
            FewMap::One(one) => one.as_slice(),
            FewMap::Few(list) => list,
            FewMap::Many(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_map_when_it_grows() {
        let mut few = FewMap::default();
        let mut map = BTreeMap::new();
        for key in (0..40u32).map(|key| key * 7 % 20) {
            few.insert(key, key + 1);
            map.insert(key, key + 1);
            assert!(few.iter().eq(map.iter()));
            assert_eq!(few.len(), map.len());
            for key in 0..21 {
                assert_eq!(few.get(&key), map.get(&key));
                assert_eq!(few.get_mut(&key), map.get_mut(&key));
                assert!(few.from(&key).eq(map.range(key..)));
            }
            assert_eq!(matches!(few, FewMap::Many(_)), map.len() > FEW);
            assert_eq!(matches!(few, FewMap::One(_)), map.len() <= 1);
        }
    }

    #[test]
    fn what_is_not_kept_goes() {
        for count in [1u32, 5, 50] {
            let mut few = FewMap::default();
            (0..count).for_each(|key| few.insert(key, ()));
            few.retain(|key, ()| key % 2 == 0);
            assert!(few.iter().map(|(key, ())| *key).eq((0..count).step_by(2)));
            assert_eq!((few.remove(&2), few.remove(&2)), ((count > 2).then_some(()), None));
            let left = (0..count).step_by(2).filter(|key| *key != 2);
            assert!(std::iter::from_fn(|| few.pop_first()).map(|(key, ())| key).take(2).eq(left.take(2)));
            few.insert(7, ());
            few.retain(|_, ()| false);
            assert!(few.is_empty());
        }
    }
}
