//! The record of who has what: one process writes it, others read it again and again.

use std::net::IpAddr;
use std::path::Path;

use crate::core::Fault;
use crate::store::classic::reading::LastGood;
use crate::store::classic::record_file::{Held, RecordFile};
use crate::store::fault;
use crate::store::fs::{Fs, FsResult};
use crate::wire::classic::records::{
    Dictionary, DictionaryShape, Tag, Tags, decode_dictionary, dictionary_shape, encode_datagram,
    encode_dictionary, encode_tags, is_dictionary,
};

/// The record.
#[derive(Debug)]
pub(crate) struct DictionaryRecord {
    file: RecordFile,
    /// The shape in which it was seen last, or a new one is written.
    shape: DictionaryShape,
    read: LastGood<Dictionary>,
}

impl DictionaryRecord {
    /// The record at `path`, which need not be there.
    pub(crate) fn open(fs: &Fs, path: &Path, shape: DictionaryShape) -> Result<DictionaryRecord, Fault> {
        Ok(DictionaryRecord {
            file: RecordFile::open(fs, path)?,
            shape,
            read: LastGood::new(decode_dictionary),
        })
    }

    /// What it says.
    pub(crate) fn read(&mut self) -> Dictionary {
        self.read.read(&mut self.file).clone()
    }

    /// Makes it say this, `newest` being the peer that was heard last. What says so already is left alone, so that who
    /// watches it hears of changes alone.
    pub(crate) fn write(&mut self, tags: &Tags, newest: Option<IpAddr>) {
        match self.replace(tags, newest) {
            Ok(()) => self.file.is_well(),
            Err(errno) => self.file.warn(&format!("cannot be written: {}", fault::spoken(errno))),
        }
    }

    fn replace(&mut self, tags: &Tags, newest: Option<IpAddr>) -> FsResult<()> {
        let there = match self.file.read() {
            Ok(Held::Text(there, _)) if is_dictionary(&there) => there,
            Ok(Held::Text(..) | Held::Foreign) => {
                self.file.put_aside()?;
                // It may have been complained about when it was read.
                self.file.is_well();
                self.file.warn("no dictionary; it was put aside, and a new one begun");
                Vec::new()
            }
            Ok(Held::Nothing) | Err(_) => Vec::new(),
        };
        self.shape = dictionary_shape(&there).unwrap_or(self.shape);
        let text = match self.shape {
            DictionaryShape::Addresses => {
                let plain = |holders: &Vec<_>| holders.iter().map(|tag: &Tag| tag.ip).collect();
                let plain = tags.iter().map(|(name, holders)| (name.clone(), plain(holders)));
                encode_dictionary(&plain.collect())
            }
            DictionaryShape::Users => encode_tags(tags),
            DictionaryShape::Datagram => encode_datagram(tags, newest),
        };
        if there == text.as_bytes() { Ok(()) } else { self.file.replace(&text) }
    }
}
