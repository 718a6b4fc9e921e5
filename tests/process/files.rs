//! Files to share, and whether what came is what was shared.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hasher;
use chunkcast::types::ContentId;

/// One mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// Writes `bytes` random bytes that follow from `seed`, and returns their id.
pub(crate) fn random_file(path: &Path, bytes: u64, seed: u64) -> ContentId {
    let mut stream = Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut file = File::create(path).unwrap();
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let len = usize::try_from(left.min(MIB)).unwrap();
        stream.fill(&mut buffer[..len]);
        hasher.update(&buffer[..len]);
        file.write_all(&buffer[..len]).unwrap();
        left -= len as u64;
    }
    // Written long ago, so that nobody waits until it is quiet.
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    ContentId(*hasher.finalize().as_bytes())
}

/// Fails unless two files hold the same bytes.
#[track_caller]
pub(crate) fn assert_same(left: &Path, right: &Path) {
    let mut files =
        [left, right].map(|path| File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut offset = 0;
    loop {
        let lens = [0, 1].map(|side| fill(&mut files[side], &mut buffers[side]));
        assert!(
            lens[0] == lens[1] && buffers[0][..lens[0]] == buffers[1][..lens[1]],
            "{} and {} differ in the MiB from {offset} on",
            left.display(),
            right.display()
        );
        if lens[0] == 0 {
            return;
        }
        offset += lens[0];
    }
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> usize {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]).unwrap() {
            0 => break,
            more => len += more,
        }
    }
    len
}
