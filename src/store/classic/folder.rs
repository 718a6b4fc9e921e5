//! The folder that the chunks lie in: there from the start where other programs work in it too; else made with the
//! first chunk that comes, and removed at the end when nothing is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::store::classic::record_file::open_or_make_folder;
use crate::store::fs::{File, Fs, FsResult};
use crate::store::temp::{Temp, sweep};

/// The folder.
#[derive(Debug)]
pub(crate) struct ChunkFolder {
    fs: Fs,
    path: PathBuf,
    /// `None`: it need not be there yet.
    open: Option<Arc<File>>,
    /// It is there only while there are chunks in it.
    is_passing: bool,
}

impl ChunkFolder {
    /// The folder at `path`, without what processes that died have left in it.
    pub(crate) fn open(fs: &Fs, path: &Path, is_passing: bool) -> FsResult<ChunkFolder> {
        let open = if is_passing {
            match fs.open_folder(path) {
                Err(Errno::NOENT | Errno::NOTDIR) => None,
                other => Some(other?),
            }
        } else {
            Some(open_or_make_folder(fs, path)?)
        };
        if let Some(folder) = &open {
            sweep(fs, folder)?;
        }
        Ok(ChunkFolder { fs: fs.clone(), path: path.to_owned(), open: open.map(Arc::new), is_passing })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open folder, if it is there.
    pub(crate) fn get(&self) -> Option<&Arc<File>> {
        self.open.as_ref()
    }

    /// A file on its way to a name in the folder, which is made when missing.
    pub(crate) fn make_temp(&mut self) -> FsResult<Temp> {
        if let Some(folder) = &self.open {
            match Temp::make(&self.fs, folder) {
                // Another process has removed it while nothing was in it.
                Err(Errno::NOENT) if self.is_passing => self.open = None,
                other => return other,
            }
        }
        let folder = Arc::new(open_or_make_folder(&self.fs, &self.path)?);
        let temp = Temp::make(&self.fs, &folder)?;
        self.open = Some(folder);
        Ok(temp)
    }
}

impl Drop for ChunkFolder {
    /// A folder that is not empty stays: that is what keeps the chunks of a file that is not whole yet.
    fn drop(&mut self) {
        if self.is_passing && self.open.take().is_some() {
            let _ = self.fs.remove_folder(&self.path);
        }
    }
}
