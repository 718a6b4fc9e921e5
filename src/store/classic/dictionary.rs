//! The record of who has what: one process writes it, others read it again and again.

use std::path::Path;

use crate::core::Fault;
use crate::store::classic::reading::LastGood;
use crate::store::classic::record_file::{Held, RecordFile};
use crate::store::fault;
use crate::store::fs::{Fs, FsResult};
use crate::wire::classic::records::{
    Dictionary, RecordError, Tag, Tags, decode_dictionary, decode_tags, encode_dictionary, encode_tags,
};

/// The record.
#[derive(Debug)]
pub(crate) struct DictionaryRecord {
    file: RecordFile,
    /// Whether it is in the shape of `tags.txt`.
    tags: bool,
    read: LastGood<Dictionary>,
}

impl DictionaryRecord {
    /// The record at `path`, which need not be there.
    pub(crate) fn open(fs: &Fs, path: &Path, tags: bool) -> Result<DictionaryRecord, Fault> {
        let decode = if tags { decode_tags_plainly } else { decode_dictionary };
        Ok(DictionaryRecord { file: RecordFile::open(fs, path)?, tags, read: LastGood::new(decode) })
    }

    /// What it says.
    pub(crate) fn read(&mut self) -> Dictionary {
        self.read.read(&mut self.file).clone()
    }

    /// Makes it say this. What says so already is left alone, so that who watches it hears of changes alone.
    pub(crate) fn write(&mut self, dictionary: &Dictionary, tags: &Tags) {
        let text = if self.tags { encode_tags(tags) } else { encode_dictionary(dictionary) };
        match self.replace(&text) {
            Ok(()) => self.file.is_well(),
            Err(errno) => self.file.warn(&format!("cannot be written: {}", fault::spoken(errno))),
        }
    }

    fn replace(&self, text: &str) -> FsResult<()> {
        match self.file.read() {
            Ok(Held::Text(there, _)) if there == text.as_bytes() => Ok(()),
            _ => self.file.replace(text),
        }
    }
}

/// Reads `tags.txt` without the user names.
fn decode_tags_plainly(text: &[u8]) -> Result<Dictionary, RecordError> {
    let plain = |(name, tags): (_, Vec<_>)| {
        let mut holders = Vec::with_capacity(tags.len());
        for Tag { ip, .. } in tags {
            if !holders.contains(&ip) {
                holders.push(ip);
            }
        }
        (name, holders)
    };
    Ok(decode_tags(text)?.into_iter().map(plain).collect())
}
