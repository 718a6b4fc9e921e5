//! The reference peers against each other: they understand each other, and their quirks are real.

mod discovery;
mod manners;
mod transfer;

use crate::reference::dialect::Dialect;
use crate::reference::split::Chunk;

/// From five bytes to many segments; every one gives five chunks.
const SIZES: [usize; 7] = [5, 9, 10, 13, 1003, 60_001, 3_000_000];
/// The name of the file everywhere.
const FILE: &str = "forest.png";

/// Random bytes that follow from their number.
fn content(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    fastrand::Rng::with_seed(bytes as u64).fill(&mut content);
    content
}

/// The chunks of a file of so many bytes.
fn chunks(dialect: Dialect, bytes: usize) -> Vec<Chunk> {
    dialect.split(FILE, &content(bytes))
}
