//! How the field cuts a file into chunks and puts it together again.

use std::fs;
use std::path::Path;

/// What every downloader of the field asks for, however many there are.
pub(crate) const CHUNKS: usize = 5;
/// The chunks of dialect D, of any number.
pub(crate) const D_CHUNK_BYTES: usize = 102_400;

/// A chunk under its name on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Cuts into pieces of ceil(size / 5): five, or fewer of the smallest files.
pub(crate) fn in_five(content: &[u8]) -> Vec<Vec<u8>> {
    cut(content, content.len().div_ceil(CHUNKS))
}

/// Cuts as dialect D does.
pub(crate) fn in_blocks(content: &[u8]) -> Vec<Vec<u8>> {
    cut(content, D_CHUNK_BYTES)
}

/// Writes the chunks as files of their names into a folder.
pub(crate) fn write(folder: &Path, chunks: &[Chunk]) {
    for chunk in chunks {
        fs::write(folder.join(&chunk.name), &chunk.bytes).unwrap();
    }
}

/// Puts the named files of a folder together; `None` when one is missing.
pub(crate) fn merge(folder: &Path, names: &[String]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    for name in names {
        content.extend(fs::read(folder.join(name)).ok()?);
    }
    Some(content)
}

/// Reads `chunk_bytes` at a time until nothing comes.
fn cut(content: &[u8], chunk_bytes: usize) -> Vec<Vec<u8>> {
    content.chunks(chunk_bytes.max(1)).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_small_files_give_fewer_than_five() {
        let fewer: Vec<usize> = (0..100).filter(|size| in_five(&vec![0; *size]).len() < CHUNKS).collect();
        assert_eq!(fewer, [0, 1, 2, 3, 4, 6, 7, 8, 11, 12, 16]);
        assert!((0..1000).all(|size| in_five(&vec![0; size]).len() <= CHUNKS));
    }
}
