//! What a failed call on a file becomes: a fault that names the thing and the next step.

use std::path::Path;

use rustix::io::Errno;

use crate::core::{Fault, FaultKind};

/// The fault that `errno` is, met while doing `what` (a verb) to `path`.
pub(crate) fn of(what: &str, path: &Path, errno: Errno) -> Fault {
    let (kind, step) = match errno {
        Errno::NOSPC => (FaultKind::Full, "; free some space and run the command again, it resumes"),
        Errno::DQUOT => {
            (FaultKind::Full, "; the quota is used up: free some space and run the command again")
        }
        Errno::FBIG => (FaultKind::Full, "; files may not become so large there: use another folder (-o)"),
        Errno::ROFS => (FaultKind::Denied, "; use a folder that can be written to (-o)"),
        Errno::ACCESS | Errno::PERM => {
            (FaultKind::Denied, "; check its permissions, or use another folder (-o)")
        }
        Errno::NOTDIR | Errno::LOOP | Errno::ISDIR => {
            (FaultKind::Denied, "; something else is in the way there")
        }
        Errno::NOENT => (FaultKind::Denied, "; it is not there (any more)"),
        Errno::MFILE | Errno::NFILE => (FaultKind::Io, "; raise the limit of open files (ulimit -n)"),
        _ => (FaultKind::Io, "; check the device"),
    };
    fault(kind, format!("cannot {what} {}: {}{step}", shown(path), spoken(errno)))
}

/// A fault with these words.
pub(crate) fn fault(kind: FaultKind, text: String) -> Fault {
    Fault { kind, text }
}

/// What was expected of our own parts did not hold.
pub(crate) fn bug(text: &str) -> Fault {
    fault(FaultKind::Bug, format!("{text}; this is a mistake in chunkcast, please report it"))
}

/// A path for a sentence: quoted, control characters escaped.
pub(crate) fn shown(path: &Path) -> String {
    format!("{path:?}")
}

/// What the system says about an error number, in lower case.
pub(crate) fn spoken(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
