//! The folder that downloads are asked into, and the names in it.
//!
//! The folder is opened once; everything below goes through that descriptor, so that nobody can swap it. Names are
//! single components, made from the network's by [`local_file_name`] and [`local_path`] alone. Folders below it are
//! opened one from the other, and no link is followed.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{Fault, FaultKind};
use crate::store::fs::{File, Fs, FsResult};
use crate::store::{OnConflict, StoreConfig, fault};
use crate::types::ContentId;
use crate::types::name::{Layout, local_file_name, local_path, quoted};

/// The most bytes of a file name.
const FILE_NAME_BYTES_MAX: usize = 255;
/// The most bytes of an extension that is kept when a name is cut.
const EXTENSION_BYTES_MAX: usize = 16;
/// The last number tried in `NAME (N)`.
pub(crate) const NUMBER_MAX: u32 = 999;

/// Folders below the target that are kept open for the next file in them.
const RECENT_MAX: usize = 32;
/// Folders in which others were made, and which wait for the next file that is published to be synced, at most.
const MADE_IN_MAX: usize = 64;

/// The target folder.
#[derive(Debug)]
pub(crate) struct Target {
    fs: Fs,
    path: Arc<Path>,
    name: Option<String>,
    /// A name that nothing from the network takes.
    reserved: Option<&'static str>,
    pub(crate) on_conflict: OnConflict,
    folder: Option<Arc<File>>,
    listing: Listing,
    /// The folders below it that files went to last.
    recent: VecDeque<Folder>,
    /// Folders in which others were made, so that they are to be synced with the files in those.
    made_in: Vec<Arc<File>>,
    /// It was there once: if it is away now, it is not made anew in its place.
    was_there: bool,
}

/// The folder that one download goes to: the target folder, or one below it.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) open: Arc<File>,
    /// Where it is, for sentences.
    pub(crate) path: Arc<Path>,
    /// Its path from the target folder on; empty for that itself.
    pub(crate) below: Arc<Path>,
    /// The target folder.
    pub(crate) target: Arc<File>,
}

/// The names of one download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// Whether it is a file of a tree, in which a folder of its name is not there by chance.
    pub(crate) in_tree: bool,
    /// The name it would have if nothing were in the way.
    pub(crate) wished: String,
    /// Its bytes on the way.
    pub(crate) part: String,
    /// What is known of those.
    pub(crate) state: String,
}

impl Target {
    /// The folder that the settings name; not opened yet.
    pub(crate) fn new(fs: Fs, config: &StoreConfig) -> Target {
        Target {
            fs,
            path: std::path::absolute(&config.target_dir)
                .unwrap_or_else(|_| config.target_dir.clone())
                .into(),
            name: config.target_name.clone(),
            reserved: None,
            on_conflict: config.on_conflict,
            folder: None,
            listing: Listing::default(),
            recent: VecDeque::new(),
            made_in: Vec::new(),
            was_there: false,
        }
    }

    /// Nothing from the network takes this name: a file of ours is to have it.
    pub(crate) fn reserve(&mut self, name: &'static str) {
        self.reserved = Some(name);
    }

    /// The local file name that a name from the network becomes here; `None` when nothing is left of it.
    pub(crate) fn local_name(&self, name: &str) -> Option<String> {
        let safe = local_file_name(name)?;
        // Not every file system tells capital letters from small ones.
        let is_reserved = self.reserved.is_some_and(|reserved| safe.eq_ignore_ascii_case(reserved));
        Some(if is_reserved { format!("_{safe}") } else { safe })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, for who needs it longer.
    pub(crate) fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// The open folder; made when only its last component is missing.
    pub(crate) fn folder(&mut self) -> Result<Arc<File>, Fault> {
        if let Some(folder) = &self.folder {
            return Ok(Arc::clone(folder));
        }
        let opened = match self.fs.open_folder(&self.path) {
            Err(Errno::NOENT) if !self.was_there => self.make_folder(),
            other => other,
        };
        let folder = Arc::new(opened.map_err(|errno| match errno {
            Errno::NOENT => {
                let shown = fault::shown(&self.path);
                let text = format!("the folder {shown} does not exist; make it (mkdir -p) and try again");
                fault::fault(FaultKind::Denied, text)
            }
            errno => fault::writing("use the folder", &self.path, errno),
        })?);
        self.folder = Some(Arc::clone(&folder));
        self.was_there = true;
        Ok(folder)
    }

    fn make_folder(&mut self) -> FsResult<File> {
        self.fs.make_folder(&self.path)?;
        // Who may make a folder need not be allowed to read the one it is in.
        if let Some(parent) = self.path.parent().and_then(|parent| self.fs.open_folder(parent).ok()) {
            self.note_made_in(&Arc::new(parent))?;
        }
        self.fs.open_folder(&self.path)
    }

    /// Where a content goes that is offered under `name`, the folder opened, and made where it is missing.
    pub(crate) fn place(
        &mut self,
        content: &ContentId,
        name: &str,
        layout: Layout,
    ) -> Result<(Folder, Names), Fault> {
        let in_tree = self.name.is_none() && layout == Layout::Tree;
        let (folders, wished) = match in_tree {
            false => (Vec::new(), self.wished(name)?),
            true => {
                let path = local_path(name);
                let mut folders = path.map_err(|why| {
                    let text = format!("{why}; get it alone, by its id, or everything with --flat");
                    fault::fault(FaultKind::NameRefused, text)
                })?;
                let last = folders.pop().ok_or_else(|| fault::bug("a path has no component"))?;
                (folders, last)
            }
        };
        Ok((self.folder_below(&folders)?, names(content, wished, in_tree)))
    }

    /// The folders that are to be synced with the next file that is published.
    pub(crate) fn take_made_in(&mut self) -> Vec<Arc<File>> {
        std::mem::take(&mut self.made_in)
    }

    /// The open folder of these components below the target, made where it is missing. No link is followed.
    fn folder_below(&mut self, components: &[String]) -> Result<Folder, Fault> {
        let target = self.folder()?;
        let below = Path::new(&components.join("/")).into();
        if let Some(folder) = self.recent.iter().find(|folder| folder.below == below) {
            return Ok(folder.clone());
        }
        let (mut open, mut path) = (Arc::clone(&target), self.path.to_path_buf());
        for component in components {
            path.push(component);
            open = Arc::new(self.open_or_make(&open, component, &path)?);
        }
        let folder = Folder { open, path: path.into(), below, target };
        if !components.is_empty() {
            self.recent.truncate(RECENT_MAX - 1);
            self.recent.push_front(folder.clone());
        }
        Ok(folder)
    }

    fn open_or_make(&mut self, parent: &Arc<File>, name: &str, path: &Path) -> Result<File, Fault> {
        let opened = match self.fs.open_folder_at(parent, Path::new(name)) {
            Err(Errno::NOENT) => match self.fs.make_folder_at(parent, name) {
                Ok(()) => {
                    self.note_made_in(parent)
                        .map_err(|errno| fault::writing("make the folder", path, errno))?;
                    self.fs.open_folder_at(parent, Path::new(name))
                }
                // Somebody else made it meanwhile.
                Err(Errno::EXIST) => self.fs.open_folder_at(parent, Path::new(name)),
                Err(errno) => return Err(fault::writing("make the folder", path, errno)),
            },
            other => other,
        };
        opened.map_err(|errno| {
            let there = self.fs.look_at(parent, Path::new(name)).map(|look| look.kind);
            let what = match there {
                Ok(FileType::Symlink) => "a link, and none is followed here",
                Ok(kind) if kind != FileType::Directory => "no folder",
                _ => return fault::writing("use the folder", path, errno),
            };
            let text = format!("{} is {what}; move it, or use another folder (-o)", fault::shown(path));
            fault::fault(FaultKind::Denied, text)
        })
    }

    fn note_made_in(&mut self, parent: &Arc<File>) -> Result<(), Errno> {
        if self.made_in.iter().any(|folder| Arc::ptr_eq(folder, parent)) {
            return Ok(());
        }
        if self.made_in.len() >= MADE_IN_MAX {
            // Rather a slow turn than descriptors without end.
            return self.fs.sync(parent);
        }
        self.made_in.push(Arc::clone(parent));
        Ok(())
    }

    /// Whether nothing is there of a download, as far as one look at the whole folder tells.
    pub(crate) fn lacks(&mut self, names: &Names) -> bool {
        self.folder.as_ref().is_some_and(|folder| self.listing.lacks(&self.fs, folder, names))
    }

    /// Lets go of the folder: what is at its path may be another, or nothing for now.
    pub(crate) fn release(&mut self) {
        self.folder = None;
        self.listing = Listing::default();
        self.recent.clear();
    }

    /// The name that a file offered under `name` would have if nothing were in the way.
    pub(crate) fn wished(&self, name: &str) -> Result<String, Fault> {
        let wished = match &self.name {
            Some(own) => Some(own.clone()).filter(|own| is_one_component(own)),
            None => self.local_name(name).filter(|safe| is_one_component(safe)),
        };
        wished.ok_or_else(|| {
            let shown = quoted(self.name.as_deref().unwrap_or(name));
            let text = format!("{shown} makes no file name here; give one with -o FILE");
            fault::fault(FaultKind::NameRefused, text)
        })
    }
}

impl Folder {
    /// Whether it is the target folder itself.
    pub(crate) fn is_target(&self) -> bool {
        self.below.as_os_str().is_empty()
    }

    /// The path of a file in it from the target folder on.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.below.join(name)
    }
}

/// The names of a content whose file is to be called `wished`.
fn names(content: &ContentId, wished: String, in_tree: bool) -> Names {
    let stem = cut(&wished, FILE_NAME_BYTES_MAX - ".12345678.state.bad-100".len());
    let short = content.short();
    let (part, state) = ([stem, ".", &short, ".part"].concat(), [stem, ".", &short, ".state"].concat());
    Names { in_tree, part, state, wished }
}

/// `NAME`, then `NAME (2)`, `NAME (3)`, ... with the extension kept at the end.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    if number <= 1 {
        return name.to_owned();
    }
    let suffix = format!(" ({number})");
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX => name.split_at(dot),
        _ => (name, ""),
    };
    let stem = cut(stem, FILE_NAME_BYTES_MAX - suffix.len() - extension.len());
    format!("{stem}{suffix}{extension}")
}

/// Whether a file is one of a download that is not complete: a part or its state.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let Some((rest, kind)) = name.rsplit_once('.') else { return false };
    let (rest, kind) =
        if kind.starts_with("bad-") { rest.rsplit_once('.').unwrap_or(("", "")) } else { (rest, kind) };
    let Some((_, short)) = rest.rsplit_once('.') else { return false };
    matches!(kind, "part" | "state") && short.len() == 8 && short.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a name means a file directly below a folder and nothing else.
pub(crate) fn is_one_component(name: &str) -> bool {
    let taken = matches!(name, "" | "." | "..");
    !taken && name.len() <= FILE_NAME_BYTES_MAX && !name.contains(['/', '\0'])
}

/// At most so many bytes of a name, cut between characters.
fn cut(name: &str, bytes_max: usize) -> &str {
    let mut end = name.len().min(bytes_max);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// So long a listing counts.
const LISTING_AGE_MAX: Duration = Duration::from_secs(1);
/// So many looks are made one by one within that time before the folder is listed.
const LOOKS_BEFORE: u32 = 16;
/// Of a folder with more names than this, each is looked at.
const NAMES_MAX: usize = 4_096;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct Listing {
    since: Instant,
    looks: u32,
    /// `None`: not listed, or too long a list.
    names: Option<BTreeSet<String>>,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing { since: Instant::now(), looks: 0, names: None }
    }
}

impl Listing {
    /// Whether neither a download's file nor its part was in the folder a moment ago, and no other download of this name
    /// has asked since.
    pub(crate) fn lacks(&mut self, fs: &Fs, folder: &File, names: &Names) -> bool {
        if self.since.elapsed() > LISTING_AGE_MAX {
            *self = Listing::default();
        }
        self.looks = self.looks.saturating_add(1);
        if self.looks == LOOKS_BEFORE {
            // A folder that cannot be listed may still be looked into.
            self.names = list(fs, folder).unwrap_or_default();
            self.since = Instant::now();
        }
        let Some(listed) = &mut self.names else { return false };
        !listed.contains(names.part.as_str()) && listed.insert(names.wished.clone())
    }
}

/// The names in a folder; `None` when these are too many.
fn list(fs: &Fs, folder: &File) -> FsResult<Option<BTreeSet<String>>> {
    let (mut entries, mut names) = (fs.entries(folder)?, BTreeSet::new());
    while let Some(entry) = fs.next_entry(&mut entries)? {
        if names.len() >= NAMES_MAX {
            return Ok(None);
        }
        // What is no text has none of our names.
        if let Ok(name) = entry.file_name().to_str() {
            names.insert(name.to_owned());
        }
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_extension() {
        assert_eq!(numbered("talk.mkv", 1), "talk.mkv");
        assert_eq!(numbered("talk.mkv", 2), "talk (2).mkv");
        assert_eq!(numbered("talk", 17), "talk (17)");
        assert_eq!(numbered(".hidden", 2), ".hidden (2)");
        let long = format!("{}.mkv", "ü".repeat(125));
        let second = numbered(&long, 999);
        assert!(second.len() <= 255 && second.ends_with(" (999).mkv"), "{second}");
        assert!(numbered(&"x.".repeat(127), 2).len() <= 255);
    }

    #[test]
    fn parts_and_states_are_known_by_their_names() {
        for ours in ["a.0123abcd.part", "a.b.0123ABCD.state", "a.0123abcd.state.bad-3"] {
            assert!(is_ours(OsStr::new(ours)), "{ours}");
        }
        for other in
            ["part", "a.part", "a.012.part", "a.0123abcg.part", "a.0123abcd.parts", "a.bad-1", ".part"]
        {
            assert!(!is_ours(OsStr::new(other)), "{other}");
        }
    }
}
