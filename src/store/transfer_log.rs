//! The transfer log's file: appended to, rotated, read back. What a line says is the command line's business.
//!
//! Several processes append to one file: each line is one `write` with `O_APPEND`, and whoever finds the file full
//! rotates it under a lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::core::{Fault, FaultKind};

/// A log of this many bytes is rotated before the next line.
pub const LOG_BYTES_MAX: u64 = 10 << 20;
/// How many older logs are kept, as `NAME.1` (the newest) to `NAME.3`.
pub const OLDER_LOGS_KEPT: u32 = 3;

/// An open transfer log.
#[derive(Debug)]
pub struct TransferLog {
    path: PathBuf,
    file: File,
    bytes_max: u64,
}

impl TransferLog {
    /// Opens the log at `path` for appending; makes it, and the folders above it, when missing.
    pub fn open(path: &Path) -> Result<TransferLog, Fault> {
        let opened = make_folder_of(path).and_then(|()| open_to_append(path));
        let file = opened.map_err(|error| fault(path, &error))?;
        Ok(TransferLog { path: path.to_owned(), file, bytes_max: LOG_BYTES_MAX })
    }

    /// Appends one line; `line` has no line end.
    pub fn append(&mut self, line: &str) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let appended = self.make_room().and_then(|()| self.file.write(&bytes));
        match appended {
            Ok(written) if written == bytes.len() => Ok(()),
            Ok(_) => Err(fault(&self.path, &io::Error::from(io::ErrorKind::StorageFull))),
            Err(error) => Err(fault(&self.path, &error)),
        }
    }

    /// Rotates a full log. A log that another process rotated is full too, and so is noticed and opened anew.
    fn make_room(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() < self.bytes_max {
            return Ok(());
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(with_suffix(&self.path, "lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let ours = self.file.metadata()?;
        let still_in_place = fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if still_in_place {
            for age in (1..OLDER_LOGS_KEPT).rev() {
                rename_if_there(&older(&self.path, age), &older(&self.path, age + 1))?;
            }
            rename_if_there(&self.path, &older(&self.path, 1))?;
        }
        self.file = open_to_append(&self.path)?;
        Ok(())
    }
}

/// Hands every line of the log at `path` to `each`, the oldest first, older logs included; `each` returns false to
/// end. No log is no lines.
pub fn read(path: &Path, mut each: impl FnMut(&str) -> bool) -> Result<(), Fault> {
    let logs = (1..=OLDER_LOGS_KEPT).rev().map(|age| older(path, age)).chain([path.to_owned()]);
    for log in logs {
        let file = match File::open(&log) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&log, &error)),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) if each(String::from_utf8_lossy(&line).trim_end_matches('\n')) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(unreadable(&log, &error)),
            }
        }
    }
    Ok(())
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)
        }
        _ => Ok(()),
    }
}

fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn older(path: &Path, age: u32) -> PathBuf {
    with_suffix(path, &age.to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            FaultKind::Full
        }
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => FaultKind::Denied,
        _ => FaultKind::Io,
    };
    let text = format!(
        "the transfer log {} cannot be written: {error}; --log-file names another place",
        path.to_string_lossy().escape_debug()
    );
    Fault { kind, text }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let text = format!(
        "the transfer log {} cannot be read: {error}; --log-file names another",
        path.to_string_lossy().escape_debug()
    );
    Fault { kind: FaultKind::Denied, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        read(path, |line| {
            lines.push(line.to_owned());
            true
        })
        .unwrap();
        lines
    }

    #[test]
    fn lines_come_back_over_rotations_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/transfers.log");
        let mut log = TransferLog::open(&path).unwrap();
        log.bytes_max = 20;
        for number in 0..30 {
            log.append(&format!("line {number:02}")).unwrap();
        }
        // Three lines of eight bytes fill a log.
        assert_eq!(lines(&path), (18..30).map(|number| format!("line {number:02}")).collect::<Vec<_>>());
        assert!(!older(&path, 4).exists());
    }

    #[test]
    fn a_log_that_another_rotated_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfers.log");
        let (mut one, mut other) = (TransferLog::open(&path).unwrap(), TransferLog::open(&path).unwrap());
        (one.bytes_max, other.bytes_max) = (20, 20);
        for number in 0..12 {
            [&mut one, &mut other][number % 2].append(&format!("line {number:02}")).unwrap();
        }
        assert_eq!(lines(&path), (0..12).map(|number| format!("line {number:02}")).collect::<Vec<_>>());
        assert_eq!(fs::read_to_string(&path).unwrap(), "line 09\nline 10\nline 11\n");
    }

    #[test]
    fn no_log_is_no_lines_and_a_folder_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lines(&folder.path().join("none")).is_empty());
        let fault = TransferLog::open(folder.path()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Denied);
    }
}
