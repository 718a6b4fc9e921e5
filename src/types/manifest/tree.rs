//! The arithmetic of the BLAKE3 tree: leaves, subtrees, and how they merge.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::ChainingValue;

/// Bytes of a BLAKE3 chunk, the leaf of its tree.
pub(super) const LEAF_BYTES: u64 = blake3::CHUNK_LEN as u64;

/// The value of the subtree that `bytes`, at least one, make at `offset`: a multiple of what they are cut by.
pub(super) fn subtree(offset: u64, bytes: &[u8]) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset).update(bytes);
    hasher.finalize_non_root()
}

/// The value above these neighbours, at least one, all but the last of one full size.
pub(super) fn merge(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [] => ChainingValue::default(),
        [value] => *value,
        [left, right] => parent(left, right),
        _ => {
            let (left, right) = values.split_at(left_count(values.len()));
            parent(&merge(left), &merge(right))
        }
    }
}

/// The root hash above these neighbours, at least two, all but the last of one full size.
pub(super) fn merge_root(values: &[ChainingValue]) -> [u8; 32] {
    let (left, right) = values.split_at(left_count(values.len()));
    root(&merge(left), &merge(right))
}

/// The value of the node above two subtrees.
pub(super) fn parent(left: &ChainingValue, right: &ChainingValue) -> ChainingValue {
    merge_subtrees_non_root(left, right, Mode::Hash)
}

/// The hash of the topmost node, above two subtrees.
pub(super) fn root(left: &ChainingValue, right: &ChainingValue) -> [u8; 32] {
    *merge_subtrees_root(left, right, Mode::Hash).as_bytes()
}

/// How many of `count` neighbours, at least two, stand left of the topmost node: the largest power of two below
/// their number.
pub(super) fn left_count(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}
