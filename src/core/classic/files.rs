//! Which names of chunks are of one file.
//!
//! Names with one extension and names that tell none are of one file, as long as only one extension is told for the
//! stem. With several, names without an extension belong to none of those files.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::classic::ChunkName;

/// The files that some names of chunks stand for.
#[derive(Debug, Default)]
pub(super) struct Files {
    stems: BTreeMap<String, BTreeSet<Option<String>>>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileKey {
    stem: String,
    extension: Option<String>,
    /// Names that tell no extension are of this file.
    takes_bare: bool,
}

/// What a wanted name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Nothing that is known.
    Nothing,
    /// One file.
    One(FileKey),
    /// Several.
    Several(Vec<FileKey>),
}

impl Files {
    /// Takes in a name.
    pub(super) fn add(&mut self, name: &ChunkName) {
        let extension = name.extension().map(str::to_owned);
        match self.stems.get_mut(name.stem()) {
            Some(extensions) => extensions.insert(extension),
            None => self.stems.entry(name.stem().to_owned()).or_default().insert(extension),
        };
    }

    /// All files.
    pub(super) fn all(&self) -> Vec<FileKey> {
        self.stems.keys().flat_map(|stem| self.of_stem(stem)).collect()
    }

    /// What a name, with or without extension, stands for.
    pub(super) fn find(&self, wanted: &str) -> Match {
        let bare = wanted.rsplit_once('.').map_or(wanted, |(stem, _)| stem);
        let mut keys: BTreeSet<FileKey> = self.of_stem(wanted).into_iter().collect();
        keys.extend(self.of_stem(bare).into_iter().filter(|key| {
            // An extension that is told otherwise is not the wanted one.
            key.extension.is_none() || key.file_name() == wanted
        }));
        if let Some(exact) = keys.iter().find(|key| key.extension.is_some() && key.file_name() == wanted) {
            return Match::One(exact.clone());
        }
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next()) {
            (None, _) => Match::Nothing,
            (Some(one), None) => Match::One(one),
            (Some(first), Some(second)) => Match::Several([first, second].into_iter().chain(keys).collect()),
        }
    }

    /// A file by what is known now: its extension may have been told since, or proven not to be the only one.
    pub(super) fn renew(&self, key: &FileKey) -> FileKey {
        let keys = self.of_stem(&key.stem);
        let same = |found: &&FileKey| key.extension.is_none() || found.extension == key.extension;
        match keys.as_slice() {
            [one] if same(&one) => one.clone(),
            keys => keys.iter().find(|found| found.extension == key.extension).unwrap_or(key).clone(),
        }
    }

    fn of_stem(&self, stem: &str) -> Vec<FileKey> {
        let Some(extensions) = self.stems.get(stem) else { return Vec::new() };
        let told = extensions.iter().flatten().count();
        let key = |extension: &Option<String>| FileKey {
            stem: stem.to_owned(),
            extension: extension.clone(),
            takes_bare: extension.is_none() || told == 1,
        };
        extensions.iter().filter(|extension| extension.is_some() || told != 1).map(key).collect()
    }
}

impl FileKey {
    /// The part of the name that stands in every form.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// Whether a chunk is of this file.
    pub(super) fn takes(&self, name: &ChunkName) -> bool {
        name.stem() == self.stem
            && match name.extension() {
                Some(extension) => self.extension.as_deref() == Some(extension),
                None => self.takes_bare,
            }
    }

    /// The file's name as far as it is told.
    pub(super) fn file_name(&self) -> String {
        match &self.extension {
            Some(extension) => format!("{}.{extension}", self.stem),
            None => self.stem.clone(),
        }
    }

    /// The name that the file will have: with the extension that was told, or that was wanted, or else the one that
    /// receivers of the dialects take.
    pub(super) fn merged_name(&self, wanted: &str) -> String {
        let by_wanted = || wanted.strip_prefix(self.stem.as_str())?.strip_prefix('.');
        match (&self.extension, by_wanted()) {
            (Some(_), _) => self.file_name(),
            (None, Some(extension)) if !extension.is_empty() => wanted.to_owned(),
            (None, _) => {
                let name = ChunkName::parse(&format!("{}_1", self.stem));
                name.map_or_else(|_| self.stem.clone(), |name| name.merged_file_name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Files {
        let mut files = Files::default();
        names.iter().for_each(|name| files.add(&ChunkName::parse(name).unwrap()));
        files
    }

    fn found(names: &[&str], wanted: &str) -> Vec<String> {
        match files(names).find(wanted) {
            Match::Nothing => Vec::new(),
            Match::One(key) => vec![key.merged_name(wanted)],
            Match::Several(keys) => keys.iter().map(|key| key.merged_name(wanted)).collect(),
        }
    }

    #[test]
    fn a_name_finds_its_file() {
        let all = ["forest_1", "forest_2.png", "sea_1", "a.tar.gz_1"];
        assert_eq!(found(&all, "forest"), ["forest.png"]);
        assert_eq!(found(&all, "forest.png"), ["forest.png"]);
        assert_eq!(found(&all, "forest.jpg"), [""; 0]);
        assert_eq!(found(&all, "forest_1"), [""; 0]);
        assert_eq!(found(&all, "sea"), ["sea.png"]);
        assert_eq!(found(&all, "sea.mp4"), ["sea.mp4"]);
        assert_eq!(found(&all, "a.tar.gz"), ["a.tar.gz"]);
        assert_eq!(found(&[], "a"), [""; 0]);
    }

    #[test]
    fn a_stem_with_two_extensions_stands_for_several_files() {
        let all = ["forest_1", "forest_1.png", "forest.jpg_1"];
        assert_eq!(found(&all, "forest").len(), 3);
        assert_eq!(found(&all, "forest.png"), ["forest.png"]);
        let Match::One(key) = files(&all).find("forest.jpg") else { panic!("one file") };
        let takes = |name: &str| key.takes(&ChunkName::parse(name).unwrap());
        assert!(takes("forest.jpg_2") && takes("forest_3.jpg"));
        assert!(!takes("forest_1") && !takes("forest_1.png"));
    }

    #[test]
    fn an_extension_that_is_told_later_is_taken_over() {
        let Match::One(key) = files(&["forest_1"]).find("forest") else { panic!("one file") };
        let renewed = files(&["forest_1", "forest_2.jpg"]).renew(&key);
        assert_eq!(renewed.merged_name("forest"), "forest.jpg");
        assert_eq!(files(&["forest_1", "forest_2.jpg", "forest_2.gif"]).renew(&key), key);
    }
}
