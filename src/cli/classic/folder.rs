//! The folder that the four classic programs share: the places of its files, and the writes that the store does not do
//! for the core. The store makes every call on files.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Local};

use crate::core::{ClassicEvent, Fault};
use crate::store::{ClassicRecords, ClassicStore, classic};
use crate::wire::classic::records::{
    self, AVAILABLE_CHUNKS, CLIENT_LOG, CONTENT_DICTIONARY, SERVER_LOG, TAGS,
};
use crate::wire::classic::{ChunkName, Dialect};

/// In a folder of dialect A: the chunks.
const TEMP: &str = "temp";
/// In a folder of dialect A: the joined files.
const DOWNLOADS: &str = "downloads";

/// The shared folder, with the file names of a dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    dir: PathBuf,
    dialect: Dialect,
    dictionary: PathBuf,
}

impl Folder {
    /// The folder `dir` of programs that speak `dialect`; `dictionary` names the file of who has what otherwise.
    pub(crate) fn new(dir: &Path, dialect: Dialect, dictionary: Option<&Path>) -> Folder {
        let own = if has_tags(dialect) { TAGS } else { CONTENT_DICTIONARY };
        let dictionary = dir.join(dictionary.unwrap_or(Path::new(own)));
        Folder { dir: dir.to_owned(), dialect, dictionary }
    }

    /// Where the store keeps chunks and records.
    pub(crate) fn store(&self) -> ClassicStore {
        ClassicStore { chunk_dir: self.chunk_dir(), records: Some(self.records()), remove_joined: false }
    }

    /// Where joined files go.
    pub(crate) fn target_dir(&self) -> PathBuf {
        if has_tags(self.dialect) { self.dir.join(DOWNLOADS) } else { self.dir.clone() }
    }

    /// Cuts a file into chunks beside the others, and adds them to those that are available.
    pub(crate) fn cut(&self, file: &Path) -> Result<Vec<ChunkName>, Fault> {
        let chunks =
            classic::split(file, &self.chunk_dir(), self.dialect.name_form(), self.dialect.chunk_rule())?;
        classic::note_available(&self.records(), &chunks)?;
        Ok(chunks)
    }

    /// Appends what happened to the log that is for it, if there is one.
    pub(crate) fn log(&self, event: &ClassicEvent) -> Result<(), Fault> {
        match self.line(event, Local::now().fixed_offset()) {
            Some((log, line)) => classic::append_line(&self.dir, log, &line),
            None => Ok(()),
        }
    }

    /// The line about an event, and the log that it belongs to.
    fn line(&self, event: &ClassicEvent, now: DateTime<FixedOffset>) -> Option<(&'static str, String)> {
        match (event, has_tags(self.dialect)) {
            (ClassicEvent::ChunkReceived { name, from, .. }, true) => {
                Some((CLIENT_LOG, records::client_line(now, name, from.ip())))
            }
            (ClassicEvent::ChunkReceived { name, from, .. }, false) => {
                Some((records::DOWNLOAD_LOG, records::download_line(now, name, from.ip())))
            }
            (ClassicEvent::ChunkSent { name, to, .. }, true) => {
                Some((SERVER_LOG, records::server_line(now, name, to.ip())))
            }
            (ClassicEvent::ChunkSent { name, to, .. }, false) => {
                Some((records::UPLOAD_LOG, records::upload_line(now, name, to.ip())))
            }
            _ => None,
        }
    }

    fn chunk_dir(&self) -> PathBuf {
        if has_tags(self.dialect) { self.dir.join(TEMP) } else { self.dir.clone() }
    }

    fn records(&self) -> ClassicRecords {
        ClassicRecords {
            available: self.dir.join(AVAILABLE_CHUNKS),
            dictionary: self.dictionary.clone(),
            tags: has_tags(self.dialect),
        }
    }
}

/// Whether programs of this dialect keep user names beside addresses, and chunks and files in folders of their own.
fn has_tags(dialect: Dialect) -> bool {
    dialect == Dialect::A
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn folder(dialect: Dialect, dictionary: Option<&str>) -> Folder {
        Folder::new(Path::new("shared"), dialect, dictionary.map(Path::new))
    }

    #[test]
    fn files_lie_where_the_programs_of_the_dialect_look() {
        let store = folder(Dialect::C, None).store();
        let records = store.records.unwrap();
        assert_eq!(store.chunk_dir, Path::new("shared"));
        assert_eq!(records.available, Path::new("shared/Available_Chunks.txt"));
        assert_eq!(records.dictionary, Path::new("shared/The_Content_Dictionary.txt"));
        assert!(!records.tags && !store.remove_joined);
        assert_eq!(folder(Dialect::C, None).target_dir(), Path::new("shared"));

        let store = folder(Dialect::A, None).store();
        let records = store.records.unwrap();
        assert_eq!(store.chunk_dir, Path::new("shared/temp"));
        assert_eq!((records.dictionary.as_path(), records.tags), (Path::new("shared/tags.txt"), true));
        assert_eq!(folder(Dialect::A, None).target_dir(), Path::new("shared/downloads"));

        let records = folder(Dialect::B, Some("peers.json")).store().records.unwrap();
        assert_eq!(records.dictionary, Path::new("shared/peers.json"));
    }

    #[test]
    fn chunks_are_logged_as_the_dialect_does() {
        let now = DateTime::parse_from_rfc3339("2026-11-20T04:28:00.406457+03:00").unwrap();
        let name = ChunkName::parse("forest_1").unwrap();
        let (dialect, took) = (Dialect::B, Duration::from_millis(3));
        let addr = "192.168.2.65:8000".parse().unwrap();
        let came = ClassicEvent::ChunkReceived {
            ticket: 0,
            name: name.clone(),
            bytes: 9,
            from: addr,
            dialect,
            took,
        };
        let went = ClassicEvent::ChunkSent { name, bytes: 9, to: addr, dialect, took };
        let line = |dialect, event| folder(dialect, None).line(event, now).unwrap();
        assert_eq!(
            line(Dialect::B, &came),
            (
                "Download_Log.txt",
                "\"1795138080.406457 | forest_1 | 192.168.2.65 | 20-11-2026 04:28:00\"".to_owned()
            )
        );
        assert_eq!(
            line(Dialect::B, &went),
            ("Upload_log.txt", "forest_1 | 192.168.2.65 | 20-11-2026 04:28:00".to_owned())
        );
        assert_eq!(
            line(Dialect::A, &came),
            (
                "client.log",
                "2026-11-20 04:28:00.406457: Download of 'forest_1' from 192.168.2.65 is successful."
                    .to_owned()
            )
        );
        assert_eq!(line(Dialect::A, &went).0, "server.log");
        assert_eq!(folder(Dialect::A, None).line(&ClassicEvent::Announced { chunks: 1 }, now), None);
    }
}
