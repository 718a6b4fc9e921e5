//! The real binary among the reference peers: each dialect, in both directions, with the field's quirks.

mod dictionaries;
mod fetching;
mod field;
mod file_sets;
mod four;
mod hostile;
mod left_behind;
mod manners;
mod matrix;
mod mixed;
mod serving;

/// The sizes that a file has in turn.
const SIZES: [usize; 7] = [5, 9, 10, 13, 1003, 60_001, 3_000_000];
