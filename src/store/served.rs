//! The whole files that are served: where each lies, what it was when it was hashed, and a few of them open.
//!
//! Keeps some 250 bytes a file, so that a million of them can be shared. Does not hash; does not know parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;
use slab::Slab;

use crate::core::SpanFault;
use crate::store::fs::{File, Fs, FsResult, Look, Stamp};
use crate::types::ContentId;

/// Files kept open at most, beyond the folders.
const OPEN_MAX: usize = 256;
/// Files of one content that are looked at when somebody opens it: each look is a few system calls.
const TWINS_LOOKED_AT_MAX: usize = 64;
/// With so many open, those that were used least recently are closed at once, so that not each new one looks for the
/// oldest.
const CLOSED_TOGETHER: usize = 64;

/// A folder below which files are served; held open, so that nobody can swap it.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// `None` while it is away.
    folder: Option<Arc<File>>,
    /// Whether what changes below it is found by looking again and again.
    watched: bool,
}

/// Where a file lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The folder below which `path` lies; `None`: a person named the file itself, by this path.
    pub(crate) root: Option<u32>,
    /// From there on.
    pub(crate) path: Box<Path>,
}

/// A file that is served.
#[derive(Debug)]
pub(crate) struct ServedFile {
    pub(crate) content: ContentId,
    pub(crate) place: Place,
    pub(crate) stamp: Stamp,
    /// The name it has on the network when that does not follow from its place: that of a download.
    pub(crate) download_name: Option<Box<str>>,
    /// In which pass over the folders it was last seen.
    seen: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Served {
    fs: Fs,
    roots: Vec<Root>,
    files: Slab<ServedFile>,
    bytes: u64,
    /// Content, hash of the name, number in `files`.
    by_content: BTreeSet<(ContentId, u64, u32)>,
    /// Hash of the place, number in `files`.
    by_place: BTreeSet<(u64, u32)>,
    /// The pass over the folders that is under way, or was the last.
    pass: u32,
    open: BTreeMap<u32, Open>,
    uses: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    last_use: u64,
}

/// A file that is served no more.
#[derive(Debug)]
pub(crate) struct Withdrawal {
    pub(crate) file: ServedFile,
    /// Its name, when nothing else is served under it with this content.
    pub(crate) last_of_name: Option<String>,
    pub(crate) why: SpanFault,
}

impl Served {
    /// Nothing yet.
    pub(crate) fn new(fs: Fs) -> Served {
        Served { fs, ..Served::default() }
    }

    /// How many files there are, and their bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        (self.files.len(), self.bytes)
    }

    /// The number of a folder for [`Place::root`]; the same for the same path.
    pub(crate) fn root(&mut self, path: &Path, folder: Arc<File>) -> u32 {
        let same = |root: &Root| {
            root.path == path && root.folder.as_ref().is_some_and(|held| self.is_same(held, &folder))
        };
        let at = self.roots.iter().position(same).unwrap_or_else(|| {
            self.roots.push(Root { path: path.to_path_buf(), folder: Some(folder), watched: false });
            self.roots.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn is_same(&self, one: &Arc<File>, other: &Arc<File>) -> bool {
        let same_file = || Some(self.fs.look(one).ok()?.stamp.same_file(&self.fs.look(other).ok()?.stamp));
        Arc::ptr_eq(one, other) || same_file() == Some(true)
    }

    /// How many folders have a number.
    pub(crate) fn roots(&self) -> usize {
        self.roots.len()
    }

    /// The folder behind a number.
    pub(crate) fn folder(&self, root: u32) -> Option<Arc<File>> {
        self.roots.get(root as usize).and_then(|root| root.folder.clone())
    }

    /// What is below a folder is found by looking again and again.
    pub(crate) fn watch(&mut self, root: u32) {
        if let Some(root) = self.roots.get_mut(root as usize) {
            root.watched = true;
        }
    }

    /// Whether what is at a place is found by looking again and again.
    pub(crate) fn is_watched(&self, place: &Place) -> bool {
        let root = place.root.and_then(|root| self.roots.get(root as usize));
        root.is_some_and(|root| root.watched)
    }

    /// Another folder has taken a folder's place (true), or the same is still there; `None`: it is away (true when
    /// that is new).
    pub(crate) fn set_folder(&mut self, root: u32, folder: Option<Arc<File>>) -> bool {
        let held = self.folder(root);
        let same = match (&held, &folder) {
            (Some(held), Some(folder)) => self.is_same(held, folder),
            (held, folder) => held.is_none() && folder.is_none(),
        };
        if !same && let Some(root) = self.roots.get_mut(root as usize) {
            root.folder = folder;
        }
        !same
    }

    /// The bytes of all files below the folder at `path`.
    pub(crate) fn bytes_below(&self, path: &Path) -> u64 {
        let of_path = |root: u32| self.roots.get(root as usize).is_some_and(|root| root.path == path);
        let below = self.files.iter().filter(|(_, file)| file.place.root.is_some_and(of_path));
        below.map(|(_, file)| file.stamp.size).fold(0, u64::saturating_add)
    }

    /// A pass over the folders begins: what it sees is marked.
    pub(crate) fn begin_pass(&mut self) {
        self.pass = self.pass.wrapping_add(1);
    }

    /// A file was seen at a place. True when it is what is served there; what else is served there is given in
    /// `changed`.
    pub(crate) fn see(&mut self, place: &Place, stamp: &Stamp, changed: &mut Vec<u32>) -> bool {
        let numbers: Vec<u32> = self.at_place(place).collect();
        let mut same = false;
        for at in numbers {
            match self.files.get_mut(at as usize) {
                Some(file) if file.stamp == *stamp => {
                    file.seen = self.pass;
                    same = true;
                }
                _ => changed.push(at),
            }
        }
        same
    }

    /// Those of the next `count` files from number `from` on that are below a folder and were not seen in this pass;
    /// and where to go on, if there are more.
    pub(crate) fn unseen(&self, root: u32, from: u32, count: u32) -> (Vec<u32>, Option<u32>) {
        let end = from.saturating_add(count);
        let unseen = |at: &u32| {
            let file = self.files.get(*at as usize);
            file.is_some_and(|file| file.place.root == Some(root) && file.seen != self.pass)
        };
        let more = (end as usize) < self.files.capacity();
        ((from..end).filter(unseen).collect(), more.then_some(end))
    }

    /// The whole path of a place, for sentences.
    pub(crate) fn path(&self, place: &Place) -> PathBuf {
        match place.root.and_then(|root| self.roots.get(root as usize)) {
            Some(root) => root.path.join(&place.path),
            None => place.path.to_path_buf(),
        }
    }

    /// Opens the file at a place, if it is one.
    pub(crate) fn open_at(&self, place: &Place) -> FsResult<(File, Look)> {
        let file = match place.root.map(|root| self.folder(root)) {
            None => self.fs.open_read(&place.path)?,
            Some(Some(folder)) => self.fs.open_read_below(&folder, &place.path)?,
            Some(None) => return Err(Errno::NOENT),
        };
        let look = self.fs.look(&file)?;
        if look.kind == FileType::RegularFile { Ok((file, look)) } else { Err(Errno::LOOP) }
    }

    /// Serves a file from now on, by `download_name` when its name does not follow from its place. False when its content
    /// was served under its name before.
    pub(crate) fn add(
        &mut self,
        place: Place,
        stamp: Stamp,
        content: ContentId,
        download_name: Option<Box<str>>,
    ) -> bool {
        let file = ServedFile { content, place, stamp, download_name, seen: self.pass };
        let (content, name) = (file.content, file.name());
        let hash = name_hash(&name);
        let of_name: Vec<u32> = self.of_name(&content, &name).collect();
        if let Some(&same) = of_name.iter().find(|&&at| self.files[at as usize].place == file.place) {
            self.open.remove(&same);
            let present = &mut self.files[same as usize];
            (present.stamp, present.seen) = (file.stamp, self.pass);
            return false;
        }
        self.bytes += file.stamp.size;
        let place = place_hash(&file.place);
        let at = u32::try_from(self.files.insert(file)).unwrap_or(u32::MAX);
        self.by_content.insert((content, hash, at));
        self.by_place.insert((place, at));
        of_name.is_empty()
    }

    /// Some file of a content.
    pub(crate) fn any_of(&self, content: &ContentId) -> Option<&ServedFile> {
        self.first_of(content).and_then(|at| self.files.get(at as usize))
    }

    /// A file of a content, open, that still is what was hashed. Those that are not are withdrawn.
    pub(crate) fn find(
        &mut self,
        content: &ContentId,
        withdrawn: &mut Vec<Withdrawal>,
    ) -> Result<u32, SpanFault> {
        let mut fault = SpanFault::Gone;
        while let Some(at) = self.first_of(content) {
            match self.check(at) {
                Ok(()) => return Ok(at),
                Err(SpanFault::Unreadable) => return Err(SpanFault::Unreadable),
                Err(why) => {
                    fault = why;
                    withdrawn.extend(self.withdraw(at, why));
                }
            }
        }
        Err(fault)
    }

    /// Those of the first files of a content that are not what was hashed.
    pub(crate) fn changed_of(&self, content: &ContentId) -> Vec<(u32, SpanFault)> {
        let numbers = self.by_content.range((*content, 0, 0)..=(*content, u64::MAX, u32::MAX));
        let numbers = numbers.map(|(_, _, at)| *at).take(TWINS_LOOKED_AT_MAX);
        numbers.filter_map(|at| Some((at, self.why_changed(at)?))).collect()
    }

    /// Why what is at the place of a file is not what was hashed; `None`: it is, or that cannot be told.
    fn why_changed(&self, at: u32) -> Option<SpanFault> {
        let file = self.files.get(at as usize)?;
        match self.open_at(&file.place) {
            Ok((_, look)) => (look.stamp != file.stamp).then_some(SpanFault::Changed),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => {
                Some(SpanFault::Gone)
            }
            Err(_) => None,
        }
    }

    /// The open file of a number that [`Served::find`] gave.
    pub(crate) fn opened(&self, at: u32) -> Option<&File> {
        self.open.get(&at).map(|open| &open.file)
    }

    /// The open file that [`Served::find`] found of a content.
    pub(crate) fn opened_of(&self, content: &ContentId) -> Option<&File> {
        self.first_of(content).and_then(|at| self.opened(at))
    }

    /// Serves the file of this number no more.
    pub(crate) fn withdraw(&mut self, at: u32, why: SpanFault) -> Option<Withdrawal> {
        self.open.remove(&at);
        let file = self.files.try_remove(at as usize)?;
        let name = file.name();
        self.by_content.remove(&(file.content, name_hash(&name), at));
        self.by_place.remove(&(place_hash(&file.place), at));
        self.bytes -= file.stamp.size;
        let is_last = self.of_name(&file.content, &name).next().is_none();
        let last_of_name = is_last.then_some(name);
        Some(Withdrawal { file, last_of_name, why })
    }

    /// Looks whether a file still is what was hashed; opens it when it is not open.
    fn check(&mut self, at: u32) -> Result<(), SpanFault> {
        self.uses += 1;
        let stamp = self.files.get(at as usize).ok_or(SpanFault::Gone)?.stamp;
        let look = match self.open.get_mut(&at) {
            Some(open) => {
                open.last_use = self.uses;
                self.fs.look(&open.file).map_err(|_| SpanFault::Unreadable)?
            }
            None => self.open(at)?,
        };
        match look.stamp == stamp {
            true => Ok(()),
            false if look.names > 0 => Err(SpanFault::Changed),
            // Another file may have taken its place.
            false => Err(self.why_changed(at).unwrap_or(SpanFault::Gone)),
        }
    }

    fn open(&mut self, at: u32) -> Result<Look, SpanFault> {
        if self.open.len() >= OPEN_MAX {
            self.close_oldest(CLOSED_TOGETHER);
        }
        let place = &self.files[at as usize].place;
        let mut opened = self.open_at(place);
        if matches!(opened, Err(Errno::MFILE | Errno::NFILE)) {
            // Others need descriptors more than this reserve does.
            self.close_oldest(self.open.len().div_ceil(2));
            opened = self.open_at(&self.files[at as usize].place);
        }
        match opened {
            Ok((file, look)) => {
                self.open.insert(at, Open { file, last_use: self.uses });
                Ok(look)
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => {
                Err(SpanFault::Gone)
            }
            Err(_) => Err(SpanFault::Unreadable),
        }
    }

    fn close_oldest(&mut self, count: usize) {
        let mut uses: Vec<(u64, u32)> = self.open.iter().map(|(at, open)| (open.last_use, *at)).collect();
        uses.sort_unstable();
        for (_, at) in uses.into_iter().take(count) {
            self.open.remove(&at);
        }
    }

    fn first_of(&self, content: &ContentId) -> Option<u32> {
        let mut numbers = self.by_content.range((*content, 0, 0)..=(*content, u64::MAX, u32::MAX));
        numbers.next().map(|(_, _, at)| *at)
    }

    fn at_place<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = u32> + 'a {
        let hash = place_hash(place);
        let with_hash = self.by_place.range((hash, 0)..=(hash, u32::MAX));
        with_hash.map(|(_, at)| *at).filter(move |at| self.files[*at as usize].place == *place)
    }

    fn of_name<'a>(&'a self, content: &ContentId, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        let hash = name_hash(name);
        let with_hash = self.by_content.range((*content, hash, 0)..=(*content, hash, u32::MAX));
        with_hash.map(|(_, _, at)| *at).filter(move |at| self.files[*at as usize].name() == name)
    }
}

fn place_hash(place: &Place) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&place.root.map_or([u8::MAX; 4], u32::to_le_bytes));
    hash.update(place.path.as_os_str().as_encoded_bytes());
    hash.finalize().as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The name of a file on the network: for a file in a shared folder its path from there, else its last component.
pub(crate) fn name_of(place: &Place, download_name: Option<&str>) -> String {
    match (download_name, place.root) {
        (Some(name), _) => name.to_owned(),
        (None, Some(_)) => network_name(&place.path),
        (None, None) => network_name(Path::new(place.path.file_name().unwrap_or_default())),
    }
}

impl ServedFile {
    fn name(&self) -> String {
        name_of(&self.place, self.download_name.as_deref())
    }
}

/// A relative path as a name: UTF-8, what is not escaped as `%NN` (a backslash would be taken for a separator by who
/// fetches it), leading folders left out when it is too long.
fn network_name(path: &Path) -> String {
    use crate::wire::message::NAME_BYTES_MAX;
    let mut name = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        name.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| name.push_str(&format!("%{byte:02x}")));
    }
    while name.len() > NAME_BYTES_MAX {
        // A component is at most 255 bytes, three times that escaped.
        let Some((_, rest)) = name.split_once('/') else { break };
        name = rest.to_owned();
    }
    name
}

fn name_hash(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
