//! What a look at a file gives.

use rustix::fs::FileType;

/// What tells one state of a file from another. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
    pub(crate) ctime_ns: i64,
}

/// A look at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) stamp: Stamp,
    pub(crate) kind: FileType,
    /// How many names the file has: none once it was removed, several when somebody linked it.
    pub(crate) names: u64,
    /// Whether its owner may execute it, or, of a folder, enter it.
    pub(crate) is_executable: bool,
}

impl Stamp {
    /// Whether both are of the same file, whatever its state.
    pub(crate) fn same_file(&self, other: &Stamp) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}
