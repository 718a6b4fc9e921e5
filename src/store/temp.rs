//! Files on their way to a name: hidden, locked for as long as somebody has them, and gone with who made them.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::store::fs::{File, Fs, FsResult, Make};

/// No chunk has such a name, for nothing in it is an index; and hidden files are not shared.
const PREFIX: &str = ".chunkcast-";
const SUFFIX: &str = ".temp";
/// How often another name is tried.
const TRIES_MAX: u32 = 8;

/// A file under a hidden name, removed when this is dropped before it has another one.
#[derive(Debug)]
pub(crate) struct Temp {
    fs: Fs,
    folder: Arc<File>,
    name: String,
    file: Arc<File>,
    bytes: u64,
    is_named: bool,
}

impl Temp {
    /// Makes an empty one. Its name tells people which process it is of.
    pub(crate) fn make(fs: &Fs, folder: &Arc<File>) -> FsResult<Temp> {
        for _ in 0..TRIES_MAX {
            let name = format!("{PREFIX}{}-{:016x}{SUFFIX}", std::process::id(), fs.unique());
            let file = match fs.open_write_at(folder, &name, Make::New) {
                Err(Errno::EXIST) => continue,
                other => Arc::new(other?),
            };
            let temp =
                Temp { fs: fs.clone(), folder: Arc::clone(folder), name, file, bytes: 0, is_named: false };
            // Who sweeps may have taken it for a left-over before it was locked, and be done with that already.
            if fs.try_lock(&temp.file)? && temp.has_its_name()? {
                return Ok(temp);
            }
        }
        Err(Errno::BUSY)
    }

    fn has_its_name(&self) -> FsResult<bool> {
        let stamp = self.fs.look(&self.file)?.stamp;
        match self.fs.look_at(&self.folder, Path::new(&self.name)) {
            Err(Errno::NOENT) => Ok(false),
            other => Ok(other?.stamp.same_file(&stamp)),
        }
    }

    /// Puts bytes behind those that are there.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> FsResult<()> {
        self.fs.write_at(&self.file, bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The open file.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its hidden name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Gives it a name, in place of what has it.
    pub(crate) fn name_over(mut self, name: &str) -> FsResult<()> {
        self.fs.rename_over(&self.folder, &self.name, name)?;
        self.is_named = true;
        Ok(())
    }

    /// Somebody else gave it a name.
    pub(crate) fn was_named(mut self) {
        self.is_named = true;
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = self.fs.unlink(&self.folder, &self.name);
        }
    }
}

/// Removes what processes that are no more have left in a folder. Whoever lives holds the lock of its files.
pub(crate) fn sweep(fs: &Fs, folder: &File) -> FsResult<()> {
    let mut entries = fs.entries(folder)?;
    while let Some(entry) = fs.next_entry(&mut entries)? {
        let Ok(name) = entry.file_name().to_str() else { continue };
        if is_ours(name) {
            // One that cannot be looked at now is there at the next start.
            let _ = remove_left_over(fs, folder, name);
        }
    }
    Ok(())
}

/// Whether a name is that of a file on its way to another.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

fn remove_left_over(fs: &Fs, folder: &File, name: &str) -> FsResult<()> {
    let file = fs.open_read_at(folder, Path::new(name))?;
    if fs.look(&file)?.kind == FileType::RegularFile && fs.try_lock(&file)? {
        fs.unlink(folder, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// What sweeps all the time must not take away what somebody has.
    #[test]
    fn sweeping_leaves_alone_what_is_being_made() {
        let (place, fs) = (tempfile::tempdir().unwrap(), Fs::new());
        let folder = Arc::new(fs.open_folder(place.path()).unwrap());
        let is_over = AtomicBool::new(false);
        let made = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        sweep(&fs, &folder).unwrap();
                    }
                });
            }
            let make = |at: u32| Temp::make(&fs, &folder)?.name_over(&format!("chunk_{at}"));
            // A name that is taken away too often in a row is given up, and that is said.
            let made = (1..=2_000).map(make).find(|made| !matches!(made, Ok(()) | Err(Errno::BUSY)));
            is_over.store(true, Ordering::Relaxed);
            made
        });
        assert_eq!(made, None);
    }
}
