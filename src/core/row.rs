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
        match self {
            Row::One(one @ None) => *one = Some(thing),
            Row::One(one) => *self = Row::Many(one.take().into_iter().chain([thing]).collect()),
            Row::Many(many) => many.push(thing),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_many_are_a_row() {
        let mut row = Row::new();
        assert!(row.is_empty());
        for thing in 0..5 {
            row.push(thing);
            assert!(row.iter().copied().eq(0..=thing));
            if let Some(last) = row.last_mut() {
                assert_eq!(std::mem::replace(last, thing), thing);
            }
            assert_eq!(matches!(row, Row::One(_)), thing == 0);
        }
    }
}
