//! The folder that the four classic programs share: the places of its files, and the writes that the store does not do
//! for the core. The store makes every call on files.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Local};
use clap::Args;

use crate::cli::human;
use crate::cli::run::Target;
use crate::core::{ClassicEvent, Fault};
use crate::store::classic::{SeenFolder, TEMP, see};
use crate::store::{ClassicRecords, ClassicStore, UnlistedChunks, classic};
use crate::wire::classic::records::{
    self, AVAILABLE_CHUNKS, CLIENT_LOG, CONTENT_DICT, CONTENT_DICTIONARY, DICTIONARY_JSON, DictionaryShape,
    SERVER_LOG, TAGS,
};
use crate::wire::classic::{ChunkName, Dialect, NameForm};

/// Beside [`TEMP`]: the joined files.
const DOWNLOADS: &str = "downloads";
/// The dialect where none is named and the folder shows none: B, and C, which announces alike.
const DEFAULT_DIALECT: Dialect = Dialect::B;

/// The flags about the file of who has what.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DictionaryArgs {
    /// Dictionary file in DIR [default: the one in DIR, else The_Content_Dictionary.txt, or tags.txt beside temp]
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// Shape of a new dictionary: addresses, users or datagram [default: the usual one of its name]
    #[arg(long, value_name = "SHAPE", value_parser = parse_shape)]
    dictionary_shape: Option<DictionaryShape>,
}

/// The shared folder, in the form that it was seen to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    dir: PathBuf,
    seen: SeenFolder,
    /// `None`: the default, which stands for C too.
    dialect: Option<Dialect>,
    /// Chunks lie in [`TEMP`], and joined files in [`DOWNLOADS`].
    has_temp: bool,
    /// That form was seen, though there is no chunk yet; nobody named it.
    shows_temp: bool,
    dictionary: PathBuf,
    shape: DictionaryShape,
}

impl Folder {
    /// Looks at the folder `dir` of programs that speak `dialect`, if that is named.
    pub(crate) fn see(dir: &Path, dialect: Option<Dialect>, dictionary: &DictionaryArgs) -> Folder {
        Folder::of(dir, dialect, dictionary, see(dir, unlisted(dialect, false)))
    }

    /// The form follows from where chunks are; where there are none, from the dialect, or from what else is there.
    fn of(dir: &Path, dialect: Option<Dialect>, named: &DictionaryArgs, seen: SeenFolder) -> Folder {
        let has_in_temp = !seen.in_temp.is_empty();
        // Our own programs keep a list of what is in `temp` too; and a file of a chunk's name need not be a chunk.
        let has_beside = seen.has_whole_beside || (seen.has_list && !has_in_temp);
        let seen_beside = || {
            let usual = [CONTENT_DICTIONARY, CONTENT_DICT, DICTIONARY_JSON];
            let seen = usual.into_iter().find(|name| seen.dictionaries.contains(name));
            seen.unwrap_or(CONTENT_DICTIONARY).into()
        };
        let beside_own = named.dictionary.clone().unwrap_or_else(seen_beside);
        let is_a_beside = beside_own == Path::new(CONTENT_DICT);
        let has_tags = seen.dictionaries.contains(&TAGS);
        let shows_temp = dialect.is_none()
            && !(has_in_temp || has_beside)
            && (seen.has_temp || has_tags)
            && seen.dictionaries.iter().all(|name| *name == TAGS);
        let has_temp = match dialect {
            Some(Dialect::A) => {
                let is_beside = has_beside || is_a_beside || !(seen.has_temp || seen.beside.is_empty());
                has_in_temp || !is_beside
            }
            Some(_) => false,
            None => shows_temp || (has_in_temp && !has_beside),
        };
        let own = match &named.dictionary {
            None if has_temp => TAGS.into(),
            _ => beside_own,
        };
        let is = |name: &str| own == Path::new(name);
        let usual = if is(DICTIONARY_JSON) {
            DictionaryShape::Datagram
        } else if is(TAGS) || (has_temp && !is(CONTENT_DICT)) {
            DictionaryShape::Users
        } else {
            DictionaryShape::Addresses
        };
        let dialect = dialect.or((has_temp || is_a_beside).then_some(Dialect::A));
        let shape = named.dictionary_shape.unwrap_or(usual);
        Folder { dir: dir.to_owned(), dictionary: dir.join(own), seen, dialect, has_temp, shows_temp, shape }
    }

    /// The dialect that is named or seen.
    pub(crate) fn told_dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// The dialect that is announced in, and files are cut for.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or(DEFAULT_DIALECT)
    }

    /// Where the store keeps chunks and records.
    pub(crate) fn store(&self) -> ClassicStore {
        ClassicStore { chunk_dir: self.chunk_dir(), records: Some(self.records()), remove_joined: false }
    }

    /// Where joined files go.
    pub(crate) fn target(&self) -> Target {
        let dir = if self.has_temp { self.dir.join(DOWNLOADS) } else { self.dir.clone() };
        Target { dir, ..Target::default() }
    }

    /// What is missing when the folder had no chunk to offer, and the next step.
    pub(crate) fn missing(&self) -> Option<String> {
        let names = if self.has_temp { &self.seen.in_temp } else { &self.seen.beside };
        if !names.is_empty() || self.seen.has_list {
            return (!self.has_temp && !self.seen.in_temp.is_empty()).then(|| {
                "the chunks in the folder temp are not offered, for the programs keep others beside it. Next: \
                 offer those in temp with --dialect A"
                    .to_owned()
            });
        }
        let (in_temp, next) = match self.seen.in_temp.is_empty() {
            true => (
                "no chunks in the folder temp, ",
                "run 'chunkcast classic announce FILE', or name the folder with --dir",
            ),
            false => ("", "offer the chunks in the folder temp with --dialect A"),
        };
        let (place, after) = match self.has_temp {
            true => ("the folder temp", ""),
            false => ("the folder itself", ", those in a folder temp after another start"),
        };
        Some(format!(
            "there is nothing to offer in {}: no {AVAILABLE_CHUNKS}, {in_temp}no chunk file such as forest_1; chunks \
             that come into {place} are offered{after}. Next: {next}",
            human::quoted_path(&self.dir)
        ))
    }

    /// Cuts a file into chunks beside the others, and adds them to those that are available.
    pub(crate) fn cut(&self, file: &Path) -> Result<Vec<ChunkName>, Fault> {
        let chunks = classic::split(file, &self.chunk_dir(), self.name_form(), self.dialect().chunk_rule())?;
        classic::note_available(&self.records(), &chunks)?;
        Ok(chunks)
    }

    /// How chunk files are called: those in [`TEMP`] keep the extension, unless they are seen to lack it.
    fn name_form(&self) -> NameForm {
        let has = |form| self.seen.in_temp.iter().any(|name| name.form() == form);
        let keeps_tags = self.shows_temp || self.seen.dictionaries.contains(&TAGS);
        let has_full = || has(NameForm::Full) || (keeps_tags && !has(NameForm::Stem));
        let is_of_temp = self.has_temp && self.dialect() == Dialect::A && has_full();
        if is_of_temp { NameForm::Full } else { self.dialect().name_form() }
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
        match (event, self.has_temp) {
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

    /// Where chunks are kept.
    pub(crate) fn chunk_dir(&self) -> PathBuf {
        if self.has_temp { self.dir.join(TEMP) } else { self.dir.clone() }
    }

    fn records(&self) -> ClassicRecords {
        let has_chunks = !self.seen.beside.is_empty() || !self.seen.in_temp.is_empty();
        ClassicRecords {
            // Programs that keep chunks, or a folder for them, and no list want none.
            available: (self.seen.has_list || !(has_chunks || self.shows_temp))
                .then(|| self.dir.join(AVAILABLE_CHUNKS)),
            unlisted: Some(unlisted(self.dialect, self.has_temp)),
            dictionary: self.dictionary.clone(),
            shape: self.shape,
        }
    }
}

/// Reads the name of a shape.
fn parse_shape(text: &str) -> Result<DictionaryShape, String> {
    let named = DictionaryShape::ALL.into_iter().find(|shape| shape.as_str() == text);
    named.ok_or_else(|| format!("no shape is called {text:?}; there are addresses, users, datagram"))
}

/// Which chunk files count in a folder of programs that speak this dialect.
fn unlisted(dialect: Option<Dialect>, has_own_folder: bool) -> UnlistedChunks {
    let dialect = dialect.unwrap_or(DEFAULT_DIALECT);
    let takes_inner = dialect.name_form() == NameForm::Inner;
    UnlistedChunks { rule: dialect.chunk_rule(), takes_inner, has_own_folder }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn folder(dialect: Dialect, dictionary: Option<&str>) -> Folder {
        Folder::of(Path::new("shared"), Some(dialect), &named(dictionary), SeenFolder::default())
    }

    fn named(dictionary: Option<&str>) -> DictionaryArgs {
        DictionaryArgs { dictionary: dictionary.map(PathBuf::from), dictionary_shape: None }
    }

    fn names(names: &[&str]) -> Vec<ChunkName> {
        names.iter().map(|name| ChunkName::parse(name).unwrap()).collect()
    }

    #[test]
    fn files_lie_where_the_programs_of_the_dialect_look() {
        let store = folder(Dialect::C, None).store();
        let records = store.records.unwrap();
        assert_eq!(store.chunk_dir, Path::new("shared"));
        assert_eq!(records.available.as_deref(), Some(Path::new("shared/Available_Chunks.txt")));
        assert_eq!(records.dictionary, Path::new("shared/The_Content_Dictionary.txt"));
        assert!(records.shape == DictionaryShape::Addresses && !store.remove_joined);
        assert_eq!(folder(Dialect::C, None).target().dir, Path::new("shared"));

        let store = folder(Dialect::A, None).store();
        let records = store.records.unwrap();
        assert_eq!(store.chunk_dir, Path::new("shared/temp"));
        assert_eq!(
            (records.dictionary.as_path(), records.shape),
            (Path::new("shared/tags.txt"), DictionaryShape::Users)
        );
        assert_eq!(folder(Dialect::A, None).target().dir, Path::new("shared/downloads"));

        let records = folder(Dialect::B, Some("peers.json")).store().records.unwrap();
        assert_eq!(records.dictionary, Path::new("shared/peers.json"));
    }

    #[test]
    fn the_form_of_a_folder_is_seen() {
        let beside = || SeenFolder { beside: names(&["forest_1"]), ..SeenFolder::default() };
        let whole = || SeenFolder { has_whole_beside: true, ..beside() };
        let listed = || SeenFolder { has_list: true, ..SeenFolder::default() };
        let in_temp = |list: &[&str]| SeenFolder { in_temp: names(list), ..SeenFolder::default() };
        let full = || in_temp(&["forest.png_1"]);
        let fresh = || SeenFolder { has_temp: true, ..SeenFolder::default() };
        let (a, b) = (Some(Dialect::A), Some(Dialect::B));
        for (dialect, seen, has_temp, has_list, form) in [
            (None, SeenFolder::default(), false, true, NameForm::Stem),
            (None, beside(), false, false, NameForm::Stem),
            (None, listed(), false, true, NameForm::Stem),
            (None, full(), true, false, NameForm::Full),
            (None, SeenFolder { in_temp: full().in_temp, ..whole() }, false, false, NameForm::Stem),
            (None, SeenFolder { in_temp: full().in_temp, ..beside() }, true, false, NameForm::Full),
            (None, SeenFolder { in_temp: full().in_temp, ..listed() }, true, true, NameForm::Full),
            (a, SeenFolder::default(), true, true, NameForm::Stem),
            (a, SeenFolder { dictionaries: vec![TAGS], ..SeenFolder::default() }, true, true, NameForm::Full),
            (None, fresh(), true, false, NameForm::Full),
            (None, SeenFolder { dictionaries: vec![TAGS], ..fresh() }, true, false, NameForm::Full),
            (None, SeenFolder { has_temp: true, ..listed() }, false, true, NameForm::Stem),
            (None, SeenFolder { has_temp: true, ..whole() }, false, false, NameForm::Stem),
            (None, SeenFolder { has_temp: true, ..beside() }, true, false, NameForm::Full),
            (a, SeenFolder { has_temp: true, ..beside() }, true, false, NameForm::Stem),
            (
                None,
                SeenFolder { dictionaries: vec![CONTENT_DICTIONARY], ..fresh() },
                false,
                true,
                NameForm::Stem,
            ),
            (a, fresh(), true, true, NameForm::Stem),
            (b, fresh(), false, true, NameForm::Stem),
            (a, in_temp(&["forest_1"]), true, false, NameForm::Stem),
            (a, SeenFolder { in_temp: full().in_temp, ..listed() }, true, true, NameForm::Full),
            (a, beside(), false, false, NameForm::Stem),
            (b, full(), false, false, NameForm::Stem),
        ] {
            let shown = format!("{dialect:?} {seen:?}");
            let folder = Folder::of(Path::new("."), dialect, &named(None), seen);
            let records = folder.records();
            assert_eq!(
                (folder.has_temp, records.available.is_some(), folder.name_form()),
                (has_temp, has_list, form),
                "{shown}"
            );
            assert_eq!(folder.dialect(), dialect.unwrap_or(if has_temp { Dialect::A } else { Dialect::B }));
            let has_next = folder.missing().map(|text| text.contains("--dialect A"));
            let expected = match (&folder.seen, has_temp) {
                (seen, false) if seen.beside.is_empty() && !seen.has_list => Some(!seen.in_temp.is_empty()),
                (seen, true) if seen.in_temp.is_empty() => Some(false),
                (seen, false) if !seen.in_temp.is_empty() => Some(true),
                _ => None,
            };
            assert_eq!(has_next, expected, "{shown}");
        }
    }

    #[test]
    fn the_dictionary_is_the_one_that_is_there() {
        use DictionaryShape::*;
        let (a, all) = (Some(Dialect::A), [CONTENT_DICTIONARY, TAGS, CONTENT_DICT, DICTIONARY_JSON]);
        for (dialect, name, there, file, shape, speaks_a, has_temp) in [
            (None, None, &all[..], CONTENT_DICTIONARY, Addresses, false, false),
            (None, None, &all[1..], CONTENT_DICT, Addresses, true, false),
            (None, None, &all[3..], DICTIONARY_JSON, Datagram, false, false),
            (None, None, &[TAGS], TAGS, Users, true, true),
            (a, None, &[], TAGS, Users, true, true),
            (a, None, &[CONTENT_DICT], CONTENT_DICT, Addresses, true, false),
            (a, Some(CONTENT_DICT), &[], CONTENT_DICT, Addresses, true, false),
            (a, Some("heard.json"), &all, "heard.json", Users, true, true),
            (None, Some(DICTIONARY_JSON), &all, DICTIONARY_JSON, Datagram, false, false),
        ] {
            let seen = SeenFolder { dictionaries: there.to_vec(), ..SeenFolder::default() };
            let folder = Folder::of(Path::new("."), dialect, &named(name), seen);
            let found =
                (folder.dictionary.as_path(), folder.shape, folder.told_dialect() == a, folder.has_temp);
            assert_eq!(
                found,
                (Path::new(".").join(file).as_path(), shape, speaks_a, has_temp),
                "{name:?} {there:?}"
            );
        }
        let args = DictionaryArgs { dictionary_shape: Some(Datagram), ..named(None) };
        assert_eq!(Folder::of(Path::new("."), None, &args, SeenFolder::default()).shape, Datagram);
        for shape in DictionaryShape::ALL {
            assert_eq!(parse_shape(shape.as_str()), Ok(shape));
        }
        assert!(parse_shape("tags").is_err());
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
