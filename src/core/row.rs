//! A row of things, of which there is one most of the time: it lies in the row itself, so that there is one way less to it
//! through memory.

use std::ops::{Deref, DerefMut};

/// See the file's head.
#[derive(Debug, Clone)]
pub(in crate::core) enum Row<T> {
    One(Option<T>),
    Many(Vec<T>),
}

impl<T> Row<T> {
    /// A row of nothing.
    pub(in crate::core) const fn new() -> Row<T> {
        Row::One(None)
    }

    /// Puts a thing behind all.
    pub(in crate::core) fn push(&mut self, thing: T) {
        self.insert(self.len(), thing);
    }

    /// Puts a thing before the one that is at `at`, or behind all.
    pub(in crate::core) fn insert(&mut self, at: usize, thing: T) {
        match self {
            Row::One(one @ None) => *one = Some(thing),
            Row::One(Some(_)) => {
                let mut many = std::mem::replace(self, Row::new()).into_vec();
                many.insert(at, thing);
                *self = Row::Many(many);
            }
            Row::Many(many) => many.insert(at, thing),
        }
    }

    /// Takes out the thing that is at `at`, which is there.
    pub(in crate::core) fn remove(&mut self, at: usize) -> Option<T> {
        match self {
            Row::One(one) => one.take(),
            Row::Many(many) => Some(many.remove(at)),
        }
    }

    /// Keeps what `keep` says yes to.
    pub(in crate::core) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        match self {
            Row::One(one) => drop(one.take_if(|thing| !keep(thing))),
            Row::Many(many) => many.retain(keep),
        }
    }

    /// The row as a list.
    pub(in crate::core) fn into_vec(self) -> Vec<T> {
        match self {
            Row::One(one) => one.into_iter().collect(),
            Row::Many(many) => many,
        }
    }
}

impl<T> Deref for Row<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Row::One(one) => one.as_slice(),
            Row::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Row<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Row::One(one) => one.as_mut_slice(),
            Row::Many(many) => many,
        }
    }
}
