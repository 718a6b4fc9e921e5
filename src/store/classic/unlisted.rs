//! Chunk files that no list names: what lies in the folder of programs that keep no list, and what other programs put
//! there beside a list after this one has started.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::UnlistedChunks;
use crate::store::classic::kept::chunks_in;
use crate::store::fs::{File, Fs, FsResult, Stamp};
use crate::wire::classic::{ChunkName, ChunkRule, NameForm};

/// A file that was written to within this time may be half written.
const WRITING_NS: u64 = 2_000_000_000;

/// The chunks in a folder, put together to files.
#[derive(Debug)]
pub(crate) struct Files {
    rule: ChunkRule,
    /// By file, the sizes of its chunks by index.
    sizes: BTreeMap<(String, NameForm), BTreeMap<u32, u64>>,
}

/// The chunk files of a folder that count without being listed.
#[derive(Debug)]
pub(crate) struct Unlisted {
    of: UnlistedChunks,
    /// Files that were there, beside a list, before this process.
    left_out: BTreeSet<ChunkName>,
    /// Files that this process has put there as a whole.
    own: BTreeSet<ChunkName>,
    /// What was found when the folder had this stamp; the folder has not changed since if it still has it.
    found: Vec<(ChunkName, u64)>,
    settled: Option<Stamp>,
}

impl Unlisted {
    /// Leaves out what lies in the folder already where a list says what is offered, but no whole file: another
    /// program, which keeps no list, has put that there to be offered.
    pub(crate) fn new(
        fs: &Fs,
        folder: &File,
        of: UnlistedChunks,
        listed: Option<&[ChunkName]>,
    ) -> FsResult<Unlisted> {
        let mut left_out = BTreeSet::new();
        if let Some(listed) = listed.filter(|_| !of.has_own_folder) {
            let mut chunks = chunks_in(fs, folder)?;
            left_out = chunks.iter().map(|(name, _)| name.clone()).collect();
            chunks.retain(|(name, _)| of.takes(name) && !listed.contains(name));
            let files = Files::of(of.rule, &chunks);
            left_out.retain(|name| !files.fit_as_several(name) || listed.contains(name));
        }
        Ok(Unlisted { of, left_out, own: BTreeSet::new(), found: Vec::new(), settled: None })
    }

    /// This process has put a chunk there.
    pub(crate) fn put(&mut self, name: &ChunkName) {
        self.left_out.remove(name);
        self.own.insert(name.clone());
    }

    /// The chunks that are in the folder now.
    pub(crate) fn look(&mut self, fs: &Fs, folder: &File) -> FsResult<&[(ChunkName, u64)]> {
        let stamp = fs.look(folder)?.stamp;
        if self.settled != Some(stamp) {
            let mut chunks = chunks_in(fs, folder)?;
            chunks.retain(|(name, _)| self.of.takes(name) && !self.left_out.contains(name));
            let found = chunks.len();
            self.found = self.whole(fs, chunks);
            let is_settled = found == self.found.len() && !is_fresh(fs, &stamp);
            self.settled = is_settled.then_some(stamp);
        }
        Ok(&self.found)
    }

    /// Whether this chunk is not being written, as [`Unlisted::whole`] has it.
    pub(crate) fn is_whole(&self, fs: &Fs, folder: &File, name: &ChunkName, stamp: &Stamp) -> bool {
        let fits = || chunks_in(fs, folder).is_ok_and(|chunks| Files::of(self.of.rule, &chunks).fit(name));
        !is_fresh(fs, stamp) || self.own.contains(name) || fits()
    }

    /// The chunks that are not being written: those of this process, those that are old enough, and those of a file
    /// whose chunks fit together.
    fn whole(&self, fs: &Fs, chunks: Vec<(ChunkName, Stamp)>) -> Vec<(ChunkName, u64)> {
        let files = Files::of(self.of.rule, &chunks);
        let is_whole = |(name, stamp): &(ChunkName, Stamp)| {
            !is_fresh(fs, stamp) || self.own.contains(name) || files.fit(name)
        };
        chunks.into_iter().filter(is_whole).map(|(name, stamp)| (name, stamp.size)).collect()
    }
}

impl Files {
    /// Puts chunks together.
    pub(crate) fn of(rule: ChunkRule, chunks: &[(ChunkName, Stamp)]) -> Files {
        let mut sizes: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (name, stamp) in chunks {
            let of_file = sizes.entry((name.file_name(), name.form())).or_default();
            of_file.insert(name.index(), stamp.size);
        }
        Files { rule, sizes }
    }

    /// Whether the chunks of this one's file can be all of it.
    pub(crate) fn fit(&self, name: &ChunkName) -> bool {
        self.sizes_of(name).is_some_and(|sizes| self.rule.whole(sizes).is_some())
    }

    /// The same, of several chunks: a small file that is no chunk may look like the only one of its file.
    pub(crate) fn fit_as_several(&self, name: &ChunkName) -> bool {
        self.fit(name) && self.sizes_of(name).is_some_and(|sizes| sizes.len() > 1)
    }

    fn sizes_of(&self, name: &ChunkName) -> Option<&BTreeMap<u32, u64>> {
        self.sizes.get(&(name.file_name(), name.form()))
    }
}

impl UnlistedChunks {
    /// Whether a file of this name is taken for a chunk. Many a file that is none is called like `photo_1.png` or
    /// `year_2020`.
    pub(crate) fn takes(&self, name: &ChunkName) -> bool {
        let is_inner = matches!(name.form(), NameForm::Inner | NameForm::InnerTemp);
        (self.takes_inner || !is_inner) && self.rule.may_have(name.index())
    }
}

fn is_fresh(fs: &Fs, stamp: &Stamp) -> bool {
    fs.now_ns().abs_diff(stamp.mtime_ns) < WRITING_NS
}
