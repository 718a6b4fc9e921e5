//! The transfer log's file: appended to, rotated, read back. What a line says is the command line's business.
//!
//! Several processes append to one file: lines go there whole, those of one turn of the loop in one `write` with
//! `O_APPEND`, and whoever finds the file full rotates it under a lock.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::fault;
use crate::store::fs::{File, Fs, FsResult, Make};

/// A log of this many bytes is rotated before the next line.
pub const LOG_BYTES_MAX: u64 = 10 << 20;
/// How many older logs are kept, as `NAME.1` (the newest) to `NAME.3`.
pub const OLDER_LOGS_KEPT: u32 = 3;
/// A line longer than this is none of ours, and is left out when a log is read.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines that wait to be written, in bytes: with so many they are not kept back any longer.
const PENDING_BYTES: usize = 32 << 10;
/// Bytes of a log that are read at once.
const READ_BYTES: usize = 64 << 10;

/// An open transfer log.
#[derive(Debug)]
pub struct TransferLog {
    fs: Fs,
    path: PathBuf,
    folder: File,
    name: String,
    file: File,
    /// Lines that are to be written with the next flush.
    pending: Vec<u8>,
    bytes_max: u64,
}

impl TransferLog {
    /// Opens the log at `path` for appending; makes it, and the folders above it, when missing.
    pub fn open(path: &Path) -> Result<TransferLog, Fault> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let text = format!("{} is no name for a log; choose another with --log-file", fault::shown(path));
            return Err(fault::fault(FaultKind::NameRefused, text));
        };
        // A fault plan is about shared and fetched files; the log is not part of it.
        let fs = Fs::default();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |errno| fault::of_log("open the transfer log", path, errno);
        fs.make_private_folders(parent).map_err(failed)?;
        let folder = fs.open_folder(parent).map_err(failed)?;
        let file = fs.open_private_append_at(&folder, name).map_err(failed)?;
        Ok(TransferLog {
            fs,
            path: path.to_owned(),
            folder,
            name: name.to_owned(),
            file,
            pending: Vec::new(),
            bytes_max: LOG_BYTES_MAX,
        })
    }

    /// The lines that wait: where to put one more, with its line end. Follow with [`TransferLog::flush_when_many`].
    pub fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Writes the lines that wait, if many do; else they are in the file after [`TransferLog::flush`].
    pub fn flush_when_many(&mut self) -> Result<(), Fault> {
        if self.pending.len() < PENDING_BYTES { Ok(()) } else { self.flush() }
    }

    /// Writes the lines that wait, with one appending call. Those that cannot be written are dropped.
    pub fn flush(&mut self) -> Result<(), Fault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let made = self.make_room().and_then(|()| self.fs.append(&self.file, &self.pending));
        self.pending.clear();
        made.map_err(|errno| fault::of_log("write the transfer log", &self.path, errno))
    }

    /// Rotates a full log. A log that another process rotated is full too, and so is noticed and opened anew.
    fn make_room(&mut self) -> FsResult<()> {
        let ours = self.fs.look(&self.file)?.stamp;
        if ours.size < self.bytes_max {
            return Ok(());
        }
        let lock = self.fs.open_private_at(&self.folder, &format!("{}.lock", self.name), Make::IfMissing)?;
        if !self.fs.try_lock(&lock)? {
            // Somebody rotates it right now. This line still goes to the full log, which stays one of the older.
            return Ok(());
        }
        let there = self.fs.look_at(&self.folder, Path::new(&self.name));
        if there.is_ok_and(|there| there.stamp.same_file(&ours)) {
            for age in (1..OLDER_LOGS_KEPT).rev() {
                self.rename_if_there(&older(&self.name, age), &older(&self.name, age + 1))?;
            }
            self.rename_if_there(&self.name, &older(&self.name, 1))?;
        }
        self.file = self.fs.open_private_append_at(&self.folder, &self.name)?;
        Ok(())
    }

    fn rename_if_there(&self, from: &str, to: &str) -> FsResult<()> {
        match self.fs.rename_over(&self.folder, from, to) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }
}

impl Drop for TransferLog {
    /// Nobody is left to hear that the last lines cannot be written.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Hands every line of the log at `path` to `each`, the oldest first, older logs included; `each` returns false to
/// end. No log is no lines.
pub fn read(path: &Path, mut each: impl FnMut(&str) -> bool) -> Result<(), Fault> {
    let fs = Fs::default();
    let name = path.to_string_lossy();
    let logs =
        (1..=OLDER_LOGS_KEPT).rev().map(|age| PathBuf::from(older(&name, age))).chain([path.to_owned()]);
    for log in logs {
        let going_on = match fs.open_read(&log) {
            Ok(file) => read_lines(&fs, &file, &mut each),
            Err(Errno::NOENT) => Ok(true),
            Err(errno) => Err(errno),
        };
        if !going_on.map_err(|errno| fault::writing("read the transfer log", &log, errno))? {
            break;
        }
    }
    Ok(())
}

/// Hands the lines of one log to `each`; false when that wants no more.
fn read_lines(fs: &Fs, file: &File, each: &mut impl FnMut(&str) -> bool) -> FsResult<bool> {
    let mut lines = Vec::new();
    let mut offset = 0;
    let mut block = vec![0; READ_BYTES];
    loop {
        let read = fs.read_at(file, &mut block, offset)?;
        offset += read as u64;
        lines.extend_from_slice(&block[..read]);
        let whole = if read == 0 {
            lines.len()
        } else {
            lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        };
        for line in lines[..whole].split_inclusive(|byte| *byte == b'\n') {
            if !each(String::from_utf8_lossy(line).trim_end_matches('\n')) {
                return Ok(false);
            }
        }
        lines.drain(..whole);
        if read == 0 {
            return Ok(true);
        }
        if lines.len() > LINE_BYTES_MAX {
            lines.clear();
        }
    }
}

fn older(name: &str, age: u32) -> String {
    format!("{name}.{age}")
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

    fn append(log: &mut TransferLog, line: &str) -> Result<(), Fault> {
        log.pending().extend_from_slice(line.as_bytes());
        log.pending().push(b'\n');
        log.flush_when_many()
    }

    fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("line {number:02}")).collect()
    }

    #[test]
    fn lines_come_back_over_rotations_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/transfers.log");
        let mut log = TransferLog::open(&path).unwrap();
        log.bytes_max = 20;
        for line in numbered(0..30) {
            append(&mut log, &line).and_then(|()| log.flush()).unwrap();
        }
        // Three lines of eight bytes fill a log.
        assert_eq!(lines(&path), numbered(18..30));
        assert!(!folder.path().join("deep/transfers.log.4").exists());
    }

    #[test]
    fn a_log_that_another_rotated_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfers.log");
        let (mut one, mut other) = (TransferLog::open(&path).unwrap(), TransferLog::open(&path).unwrap());
        (one.bytes_max, other.bytes_max) = (20, 20);
        for (number, line) in numbered(0..12).iter().enumerate() {
            let log = if number % 2 == 0 { &mut one } else { &mut other };
            append(log, line).and_then(|()| log.flush()).unwrap();
        }
        assert_eq!(lines(&path), numbered(0..12));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line 09\nline 10\nline 11\n");
    }

    #[test]
    fn lines_wait_for_each_other_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfers.log");
        let mut log = TransferLog::open(&path).unwrap();
        for line in numbered(0..3) {
            append(&mut log, &line).unwrap();
        }
        assert!(lines(&path).is_empty());
        log.flush().unwrap();
        assert_eq!(lines(&path), numbered(0..3));
        append(&mut log, &"x".repeat(PENDING_BYTES)).unwrap();
        assert_eq!(lines(&path).len(), 4);
        append(&mut log, "the last").unwrap();
        drop(log);
        assert_eq!(lines(&path).last().unwrap(), "the last");
    }

    #[test]
    fn lines_across_blocks_a_torn_one_and_an_endless_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfers.log");
        let long = "x".repeat(READ_BYTES - 3);
        std::fs::write(&path, format!("{long}\nsecond\n{}\nlast, torn", "y".repeat(2 * LINE_BYTES_MAX)))
            .unwrap();
        let lines = lines(&path);
        assert_eq!((&lines[0], lines[1].as_str(), lines[3].as_str()), (&long, "second", "last, torn"));
        assert!(lines[2].len() < LINE_BYTES_MAX);
        let mut heard = 0;
        read(&path, |_| {
            heard += 1;
            false
        })
        .unwrap();
        assert_eq!(heard, 1);
    }

    #[test]
    fn no_log_is_no_lines_and_a_folder_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lines(&folder.path().join("none")).is_empty());
        assert_eq!(TransferLog::open(folder.path()).unwrap_err().kind, FaultKind::Denied);
        assert_eq!(TransferLog::open(Path::new("..")).unwrap_err().kind, FaultKind::NameRefused);
    }
}
