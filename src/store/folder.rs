//! Lists of files: those of one folder, for people to choose from, and those below a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use crate::core::Fault;
use crate::store::fault;
use crate::store::fs::Fs;
use crate::store::walk::{Step, Walk};

/// Whether there is a file or a folder that can be read, and else why not.
pub fn look(path: &Path) -> Result<(), Fault> {
    Fs::new().open_read(path).map(drop).map_err(|errno| fault::reading("send", path, errno))
}

/// The names of the files directly in a folder, at most `max` of them, in order. Hidden ones, links and names that are
/// not UTF-8 are left out.
pub fn files_in(path: &Path, max: usize) -> Result<Vec<String>, Fault> {
    let fs = Fs::new();
    let failed = |errno| fault::reading("list", path, errno);
    let folder = fs.open_folder(path).map_err(failed)?;
    let mut entries = fs.entries(&folder).map_err(failed)?;
    let mut names = Vec::new();
    while names.len() < max
        && let Some(entry) = fs.next_entry(&mut entries).map_err(failed)?
    {
        let is_file = match entry.file_type() {
            // On file systems that do not tell an entry's type.
            FileType::Unknown => true,
            kind => kind == FileType::RegularFile,
        };
        match entry.file_name().to_str() {
            Ok(name) if is_file && !name.starts_with('.') => names.push(name.to_owned()),
            _ => {}
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The files below a folder that sharing it would offer, in order; of a file, that file.
pub fn files_below(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let fs = Fs::new();
    let failed = |errno| fault::reading("read", path, errno);
    let file = fs.open_read(path).map_err(failed)?;
    if fs.look(&file).map_err(failed)?.kind != FileType::Directory {
        return Ok(vec![path.to_owned()]);
    }
    let folder = fs.open_folder(path).map(Arc::new).map_err(failed)?;
    let mut walk = Walk::new(0, folder, &fs).map_err(failed)?;
    let mut files = Vec::new();
    loop {
        match walk.next(&fs) {
            Step::Over => break,
            Step::File(below) => files.push(path.join(below)),
            Step::Unreadable(below, errno) => return Err(fault::reading("read", &path.join(below), errno)),
            Step::Onward | Step::LeftOut(..) => {}
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_seen_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.png", ".hidden"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(files_in(folder.path(), 10).unwrap(), ["a.png", "b.txt"]);
        assert_eq!(files_in(folder.path(), 1).unwrap().len(), 1);
        assert!(files_in(&folder.path().join("away"), 1).is_err());
        assert!(look(folder.path()).is_ok() && look(&folder.path().join("a.png")).is_ok());
        assert!(look(&folder.path().join("away")).unwrap_err().text.contains("away"));
    }
}
