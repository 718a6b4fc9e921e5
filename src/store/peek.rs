//! A look at the beginning of a file that is to be shown.

use std::path::Path;

use crate::core::Fault;
use crate::store::fault;
use crate::store::fs::Fs;

/// At most `bytes_max` bytes of a file's beginning, and its size.
pub fn peek(path: &Path, bytes_max: usize) -> Result<(Vec<u8>, u64), Fault> {
    let fs = Fs::new();
    let read = fs.open_read(path).and_then(|file| {
        let size = fs.look(&file)?.stamp.size;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(bytes_max).min(bytes_max)];
        let read = fs.read_at(&file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok((bytes, size))
    });
    read.map_err(|errno| fault::reading("read", path, errno))
}
