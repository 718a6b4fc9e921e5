//! What a failed call on a file becomes: a fault that names the thing and the next step.

use std::path::Path;

use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::types::name::quoted;

/// The fault that `errno` is, met while doing `what` (a verb) to `path`, a file that is only read.
pub(crate) fn reading(what: &str, path: &Path, errno: Errno) -> Fault {
    let step = match errno {
        Errno::ACCESS | Errno::PERM => "check its permissions",
        Errno::NOENT => "check the name",
        Errno::MFILE | Errno::NFILE => OPEN_FILES,
        Errno::NOTDIR | Errno::LOOP | Errno::NXIO => "something else is in its place; check the name",
        _ => "check the device",
    };
    with_step(what, path, errno, step)
}

/// The fault that `errno` is, met while doing `what` (a verb) to `path`, in the target folder.
pub(crate) fn writing(what: &str, path: &Path, errno: Errno) -> Fault {
    with_step(what, path, errno, &writing_step(errno, "-o"))
}

/// The fault that `errno` is, met while doing `what` (a verb) to `path`, which the classic dialects need.
pub(crate) fn keeping(what: &str, path: &Path, errno: Errno) -> Fault {
    with_step(what, path, errno, &writing_step(errno, "--dir"))
}

/// The fault that `errno` is, met while doing `what` (a verb) to `path`, where files are sent. Nothing of them is resumed.
pub(crate) fn transferred(what: &str, path: &Path, errno: Errno) -> Fault {
    let step = match errno {
        Errno::NOSPC | Errno::DQUOT => "free some space, or use another folder (--dir)".to_owned(),
        errno => writing_step(errno, "--dir"),
    };
    with_step(what, path, errno, &step)
}

/// The fault that `errno` is, met with the state directory.
pub(crate) fn of_state(path: &Path, errno: Errno) -> Fault {
    with_step("use the state directory", path, errno, "name another one with --state-dir")
}

/// The fault that `errno` is, met while doing `what` (a verb) to the transfer log.
pub(crate) fn of_log(what: &str, path: &Path, errno: Errno) -> Fault {
    with_step(what, path, errno, "name another file with --log-file")
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
    quoted(&path.to_string_lossy())
}

/// What the system says about an error number, in lower case.
pub(crate) fn spoken(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The next step; `option` names another folder.
fn writing_step(errno: Errno, option: &str) -> String {
    match errno {
        Errno::NOSPC => "free some space and run the command again, it resumes".to_owned(),
        Errno::DQUOT => {
            "the quota is used up: free some space and run the command again, it resumes".to_owned()
        }
        Errno::FBIG => format!("files may not become so large there: use another folder ({option})"),
        Errno::ROFS => format!("use a folder that can be written to ({option})"),
        Errno::ACCESS | Errno::PERM => format!("check its permissions, or use another folder ({option})"),
        Errno::NOTDIR | Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::EXIST => {
            format!("something else is in the way there; move it, or use another folder ({option})")
        }
        Errno::NOENT => "it is not there any more: run the command again".to_owned(),
        Errno::MFILE | Errno::NFILE => OPEN_FILES.to_owned(),
        _ => "check the device".to_owned(),
    }
}

const OPEN_FILES: &str = "raise the limit of open files (ulimit -n)";

fn with_step(what: &str, path: &Path, errno: Errno, step: &str) -> Fault {
    let kind = match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => FaultKind::Full,
        Errno::ROFS | Errno::ACCESS | Errno::PERM => FaultKind::Denied,
        Errno::NOTDIR | Errno::LOOP | Errno::ISDIR | Errno::NOENT | Errno::NXIO => FaultKind::Denied,
        Errno::EXIST => FaultKind::Exists,
        _ => FaultKind::Io,
    };
    fault(kind, format!("cannot {what} {}: {}; {step}", shown(path), spoken(errno)))
}
