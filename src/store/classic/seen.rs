//! Which form a shared folder has: the programs of the field keep its files in several.

use std::path::Path;

use crate::store::UnlistedChunks;
use crate::store::classic::kept::chunks_in;
use crate::store::classic::unlisted::Files;
use crate::store::fs::Fs;
use crate::wire::classic::ChunkName;
use crate::wire::classic::records::{
    AVAILABLE_CHUNKS, CONTENT_DICT, CONTENT_DICTIONARY, DICTIONARY_JSON, RECORD_BYTES_MAX, TAGS,
    dictionary_shape, is_dictionary,
};

/// The folder in which some programs of dialect A keep their chunks.
pub const TEMP: &str = "temp";

/// What lies in a shared folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenFolder {
    /// It has a list of available chunks.
    pub has_list: bool,
    /// Some of the chunk files beside the programs are a whole file.
    pub has_whole_beside: bool,
    /// The names of chunk files beside the programs.
    pub beside: Vec<ChunkName>,
    /// It has the folder [`TEMP`].
    pub has_temp: bool,
    /// The names of chunk files in [`TEMP`].
    pub in_temp: Vec<ChunkName>,
    /// The files of who has what, under their usual names, that name somebody; [`TAGS`] and the only one in any
    /// case.
    pub dictionaries: Vec<&'static str>,
}

/// Looks at a folder. What cannot be read is not there.
pub fn see(dir: &Path, unlisted: UnlistedChunks) -> SeenFolder {
    let fs = Fs::new();
    let chunks = |path: &Path| -> Vec<_> {
        let chunks = fs.open_folder(path).and_then(|folder| chunks_in(&fs, &folder)).unwrap_or_default();
        chunks.into_iter().filter(|(name, _)| unlisted.takes(name)).collect()
    };
    let names = |chunks: Vec<(ChunkName, _)>| chunks.into_iter().map(|(name, _)| name).collect();
    let beside = chunks(dir);
    let files = Files::of(unlisted.rule, &beside);
    let read = |name: &str| {
        let file = fs.open_read(&dir.join(name)).ok()?;
        let size = usize::try_from(fs.look(&file).ok()?.stamp.size).ok()?;
        let mut text = vec![0; size.min(RECORD_BYTES_MAX)];
        let len = fs.read_at(&file, &mut text, 0).ok()?;
        text.truncate(len);
        Some(text)
    };
    let usual = [CONTENT_DICTIONARY, TAGS, CONTENT_DICT, DICTIONARY_JSON].into_iter();
    let there = usual.filter_map(|name| Some((name, read(name).filter(|text| is_dictionary(text))?)));
    let mut there: Vec<_> = there.collect();
    // An empty one shows the form of the folder where it is the only one.
    if there.len() > 1 {
        there.retain(|(name, text)| *name == TAGS || dictionary_shape(text).is_some());
    }
    SeenFolder {
        has_list: read(AVAILABLE_CHUNKS).is_some(),
        has_whole_beside: beside.iter().any(|(name, _)| files.fit_as_several(name)),
        beside: names(beside),
        has_temp: fs.open_folder(&dir.join(TEMP)).is_ok(),
        in_temp: names(chunks(&dir.join(TEMP))),
        dictionaries: there.into_iter().map(|(name, _)| name).collect(),
    }
}
