//! A file that a command was asked to write: a drawing, say. It replaces what stands there, at once or not at all.

use std::path::Path;

use crate::core::Fault;
use crate::store::fault;
use crate::store::fs::{Fs, FsResult, Make};

/// Writes a whole file.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    replace(path, bytes).map_err(|errno| fault::writing("write", path, errno))
}

fn replace(path: &Path, bytes: &[u8]) -> FsResult<()> {
    let fs = Fs::default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs.open_folder(folder)?;
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(rustix::io::Errno::INVAL);
    };
    let part = format!("{name}.{:016x}.tmp", fastrand::u64(..));
    let written = fs
        .open_write_at(&folder, &part, Make::New)
        .and_then(|file| fs.write_at(&file, bytes, 0))
        .and_then(|()| fs.rename_over(&folder, &part, name));
    if written.is_err() {
        // What could not be written is of no use; that it cannot be removed either is no second failure.
        let _ = fs.unlink(&folder, &part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_replaces_what_stands_there_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        for text in ["longer than the second", "short"] {
            write_file(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_file(&folder.path().join("none").join("b"), b"").is_err());
    }
}
