//! The folder that downloads are asked into, and the names in it.
//!
//! The folder is opened once; everything below goes through that descriptor, so that nobody can swap it. Names are
//! single components, made from the network's by [`local_file_name`] alone.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use crate::core::name::{local_file_name, quoted};
use crate::core::{ContentId, Fault, FaultKind};
use crate::store::fault;
use crate::store::fs::Fs;
use crate::store::listing::Listing;
use crate::store::{OnConflict, StoreConfig};

/// The most bytes of a file name.
const FILE_NAME_BYTES_MAX: usize = 255;
/// The most bytes of an extension that is kept when a name is cut.
const EXTENSION_BYTES_MAX: usize = 16;
/// The last number tried in `NAME (N)`.
pub(crate) const NUMBER_MAX: u32 = 999;

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
    /// It was there once: if it is away now, it is not made anew in its place.
    was_there: bool,
}

/// The names of one download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
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
            Err(Errno::NOENT) if !self.was_there => {
                self.fs.make_folder(&self.path).and_then(|()| self.fs.open_folder(&self.path))
            }
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

    /// Whether nothing is there of a download, as far as one look at the whole folder tells.
    pub(crate) fn lacks(&mut self, names: &Names) -> bool {
        self.folder.as_ref().is_some_and(|folder| self.listing.lacks(&self.fs, folder, names))
    }

    /// Lets go of the folder: what is at its path may be another, or nothing for now.
    pub(crate) fn release(&mut self) {
        self.folder = None;
        self.listing = Listing::default();
    }

    /// The names of a content that is offered under `name`.
    pub(crate) fn names(&self, content: &ContentId, name: &str) -> Result<Names, Fault> {
        let wished = self.wished(name)?;
        let stem = cut(&wished, FILE_NAME_BYTES_MAX - ".12345678.state.bad-100".len());
        let short = content.short();
        let (part, state) = ([stem, ".", &short, ".part"].concat(), [stem, ".", &short, ".state"].concat());
        Ok(Names { part, state, wished })
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
