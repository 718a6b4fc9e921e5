//! A private folder below the system's temporary one, for as long as it is needed; random files, compared.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::core::{Fault, FaultKind};

/// Bytes that are written or compared at once.
const STEP_BYTES: usize = 1 << 20;

/// A folder of this user alone, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder, empty.
    pub fn new() -> Result<Scratch, Fault> {
        let path = std::env::temp_dir().join(format!("chunkcast-{:016x}", fastrand::u64(..)));
        // Not recursive: a folder that somebody else made first is refused.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Scratch { path }),
            Err(error) => Err(fault("make the folder", &path, &error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.path.join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| fault("make the folder", &path, &error))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            log::warn!("{} could not be removed: {error}", self.path.display());
        }
    }
}

/// Makes a file of `bytes` random bytes.
pub fn random_file(path: &Path, bytes: u64) -> Result<(), Fault> {
    write_random(path, bytes).map_err(|error| fault("write", path, &error))
}

/// Whether two files hold the same bytes.
pub fn same_bytes(one: &Path, other: &Path) -> Result<bool, Fault> {
    let open = |path: &Path| File::open(path).map_err(|error| fault("read", path, &error));
    let (mut one_file, mut other_file) = (open(one)?, open(other)?);
    let (mut one_bytes, mut other_bytes) = (Vec::new(), Vec::new());
    loop {
        fill(&mut one_file, &mut one_bytes).map_err(|error| fault("read", one, &error))?;
        fill(&mut other_file, &mut other_bytes).map_err(|error| fault("read", other, &error))?;
        if one_bytes != other_bytes {
            return Ok(false);
        }
        if one_bytes.is_empty() {
            return Ok(true);
        }
    }
}

fn write_random(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut random = fastrand::Rng::new();
    let mut step = vec![0; STEP_BYTES];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        random.fill(&mut step[..now]);
        file.write_all(&step[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// Reads the next step of a file; nothing at its end.
fn fill(file: &mut File, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    file.take(STEP_BYTES as u64).read_to_end(bytes)?;
    Ok(())
}

fn fault(what: &str, path: &Path, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultKind::Denied,
        _ => FaultKind::Io,
    };
    let path = path.to_string_lossy();
    let text = format!("cannot {what} {}: {error}; TMPDIR names another folder for it", path.escape_debug());
    Fault { kind, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_files_differ_copies_do_not_and_all_is_removed() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.folder("peer").unwrap();
        let bytes = STEP_BYTES as u64 + 5;
        let [one, other, copy] = ["one", "other", "copy"].map(|name| folder.join(name));
        random_file(&one, bytes).unwrap();
        random_file(&other, bytes).unwrap();
        fs::copy(&one, &copy).unwrap();
        assert_eq!(fs::metadata(&one).unwrap().len(), bytes);
        assert!(same_bytes(&one, &copy).unwrap() && !same_bytes(&one, &other).unwrap());
        File::options().append(true).open(&copy).unwrap().write_all(b"x").unwrap();
        assert!(!same_bytes(&one, &copy).unwrap());
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }
}
