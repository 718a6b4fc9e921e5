//! Chunks of the classic dialects on the disk, and the files that the field's programs share.

use std::path::Path;

use crate::core::Fault;
use crate::store::ClassicRecords;
use crate::store::fault;
use crate::store::fs::Fs;
use crate::wire::classic::{ChunkName, ChunkRule, NameForm};

/// Cuts a file into chunk files.
pub fn split(file: &Path, _: &Path, _: NameForm, _: ChunkRule) -> Result<Vec<ChunkName>, Fault> {
    Err(fault::bug(&format!("{} cannot be cut", fault::shown(file))))
}

/// Adds chunks to the record of available ones.
pub fn note_available(records: &ClassicRecords, _: &[ChunkName]) -> Result<(), Fault> {
    Err(fault::bug(&format!("{} cannot be written", fault::shown(&records.available))))
}

/// Appends a line to a log of the field's programs.
pub fn append_line(dir: &Path, file_name: &str, line: &str) -> Result<(), Fault> {
    let fs = Fs::default();
    let appended = fs.open_folder(dir).and_then(|folder| {
        let file = fs.open_append_at(&folder, file_name)?;
        fs.append(&file, format!("{line}\n").as_bytes())
    });
    appended.map_err(|errno| fault::writing("write", &dir.join(file_name), errno))
}
