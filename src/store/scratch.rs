//! A private folder below the system's temporary one, for as long as it is needed; random files, compared.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::core::Fault;
use crate::store::fault;
use crate::store::fs::{File, Fs, FsResult, Make};

/// Bytes that are written or compared at once.
const STEP_BYTES: usize = 1 << 20;

/// A folder of this user alone, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    fs: Fs,
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder, empty.
    pub fn new() -> Result<Scratch, Fault> {
        let fs = Fs::default();
        let path = std::env::temp_dir().join(format!("chunkcast-{:016x}", fastrand::u64(..)));
        // A folder that somebody else made first is refused.
        fs.make_private_folder(&path).map_err(|errno| fault::writing("make the folder", &path, errno))?;
        Ok(Scratch { fs, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.path.join(name);
        self.fs
            .make_private_folder(&path)
            .map_err(|errno| fault::writing("make the folder", &path, errno))?;
        Ok(path)
    }

    /// Makes a file of `bytes` random bytes in a folder of it; fewer when `go_on`, asked again and again, says no.
    pub fn random_file(
        &self,
        folder: &Path,
        name: &str,
        bytes: u64,
        go_on: impl FnMut() -> bool,
    ) -> Result<PathBuf, Fault> {
        let path = folder.join(name);
        match self.write_random(folder, name, bytes, go_on) {
            Ok(()) => Ok(path),
            Err(errno) => Err(fault::writing("write", &path, errno)),
        }
    }

    fn write_random(
        &self,
        folder: &Path,
        name: &str,
        bytes: u64,
        mut go_on: impl FnMut() -> bool,
    ) -> FsResult<()> {
        let folder = self.fs.open_folder(folder)?;
        let file = self.fs.open_write_at(&folder, name, Make::New)?;
        let mut random = fastrand::Rng::new();
        let mut step = vec![0; STEP_BYTES];
        let mut offset = 0;
        while offset < bytes && go_on() {
            let now = usize::try_from(bytes - offset).unwrap_or(STEP_BYTES).min(STEP_BYTES);
            random.fill(&mut step[..now]);
            self.fs.write_at(&file, &step[..now], offset)?;
            offset += now as u64;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = self.fs.open_folder(&self.path).and_then(|folder| empty(&self.fs, &folder));
        if let Err(errno) = removed.and_then(|()| self.fs.remove_folder(&self.path)) {
            log::warn!("{} could not be removed: {}", fault::shown(&self.path), fault::spoken(errno));
        }
    }
}

/// Whether two files hold the same bytes.
pub fn same_bytes(one: &Path, other: &Path) -> Result<bool, Fault> {
    let fs = Fs::default();
    let open = |path: &Path| fs.open_read(path).map_err(|errno| fault::reading("read", path, errno));
    let files = [open(one)?, open(other)?];
    let (mut one_step, mut other_step) = (vec![0; STEP_BYTES], vec![0; STEP_BYTES]);
    let mut offset = 0;
    loop {
        let read = |file: &File, path: &Path, step: &mut [u8]| {
            fs.read_at(file, step, offset).map_err(|errno| fault::reading("read", path, errno))
        };
        let lens = (read(&files[0], one, &mut one_step)?, read(&files[1], other, &mut other_step)?);
        if one_step[..lens.0] != other_step[..lens.1] {
            return Ok(false);
        }
        if lens.0 == 0 {
            return Ok(true);
        }
        offset += lens.0 as u64;
    }
}

/// Removes everything below a folder. No link is followed.
fn empty(fs: &Fs, folder: &File) -> FsResult<()> {
    let mut entries = fs.entries(folder)?;
    let mut names = Vec::new();
    while let Some(entry) = fs.next_entry(&mut entries)? {
        match entry.file_name().to_str() {
            Ok("." | "..") => {}
            Ok(name) => names.push(name.to_owned()),
            Err(_) => return Err(rustix::io::Errno::ILSEQ),
        }
    }
    for name in names {
        if fs.look_at(folder, Path::new(&name))?.kind == FileType::Directory {
            empty(fs, &fs.open_folder_at(folder, Path::new(&name))?)?;
            fs.remove_folder_at(folder, &name)?;
        } else {
            fs.unlink(folder, &name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_files_differ_copies_do_not_and_all_is_removed() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.folder("peer").unwrap();
        scratch.folder("peer/deep").unwrap();
        let bytes = STEP_BYTES as u64 + 5;
        let [one, other] =
            ["one", "other"].map(|name| scratch.random_file(&folder, name, bytes, || true).unwrap());
        let copy = folder.join("deep/copy");
        std::fs::copy(&one, &copy).unwrap();
        std::os::unix::fs::symlink("/", folder.join("link")).unwrap();
        assert_eq!(std::fs::metadata(&one).unwrap().len(), bytes);
        assert!(same_bytes(&one, &copy).unwrap() && !same_bytes(&one, &other).unwrap());
        std::fs::write(&copy, &std::fs::read(&one).unwrap()[..STEP_BYTES]).unwrap();
        assert!(!same_bytes(&one, &copy).unwrap());
        assert!(scratch.folder("peer").is_err());
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }
}
