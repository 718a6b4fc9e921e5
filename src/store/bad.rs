//! Putting aside what cannot be understood: `NAME` becomes `NAME.bad-N`, and nothing is lost.

use rustix::io::Errno;

use crate::store::fs::{File, Fs, FsResult};

/// So many files of one name are put aside; the last place is then used again.
const PLACES_MAX: u32 = 100;

/// Renames `name` in `folder` to the first of `NAME.bad-1`, `NAME.bad-2`, ... that is free.
pub(crate) fn put_aside(fs: &Fs, folder: &File, name: &str) -> FsResult<()> {
    for place in 1..PLACES_MAX {
        match fs.rename_new(folder, name, &format!("{name}.bad-{place}")) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
    fs.rename_over(folder, name, &format!("{name}.bad-{PLACES_MAX}"))
}
