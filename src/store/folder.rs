//! What is in a folder: its files, for people to choose from, and the whole tree below it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use crate::core::Fault;
use crate::store::fault;
use crate::store::fs::Fs;
use crate::store::walk::{Step, Walk, Why};
use crate::types::listing::{EntryKind, ListingEntry, link_stays_inside};
use crate::types::name::quoted;

/// Why a name is left out that cannot be sent.
const NOT_UTF8: &str = "its name is not UTF-8";

/// Whether there is a file or a folder that can be read, and else why not.
pub fn look(path: &Path) -> Result<(), Fault> {
    Fs::new().open_read(path).map(drop).map_err(|errno| fault::reading("send", path, errno))
}

/// The names of the files directly in a folder, at most `max` of them, in order. Hidden ones, links and names that are
/// not UTF-8 are left out.
pub fn files_in(path: &Path, max: usize) -> Result<Vec<String>, Fault> {
    let fs = Fs::new();
    let failed = |errno| fault::reading("list", path, errno);
    let folder = fs.open_folder(path).map_err(failed)?;
    let mut entries = fs.entries(&folder).map_err(failed)?;
    let mut names = Vec::new();
    while names.len() < max
        && let Some(entry) = fs.next_entry(&mut entries).map_err(failed)?
    {
        let is_file = match entry.file_type() {
            // On file systems that do not tell an entry's type.
            FileType::Unknown => true,
            kind => kind == FileType::RegularFile,
        };
        match entry.file_name().to_str() {
            Ok(name) if is_file && !name.starts_with('.') => names.push(name.to_owned()),
            _ => {}
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What is below a folder, but for the ids of its files.
#[derive(Debug, Default)]
pub struct Tree {
    /// Its files, in the order of their paths, each with whether its owner may execute it.
    pub files: Vec<(PathBuf, bool)>,
    /// Its links, and the folders in which nothing is.
    pub others: Vec<ListingEntry>,
    /// What is no part of it, each with the reason.
    pub left_out: Vec<(PathBuf, String)>,
}

/// What is below a folder. Hidden files are left out without a word; `None` for what is no folder.
///
/// # Errors
///
/// A folder that cannot be read.
pub fn tree(path: &Path) -> Result<Option<Tree>, Fault> {
    let fs = Fs::new();
    let failed = |errno| fault::reading("read", path, errno);
    let file = fs.open_read(path).map_err(failed)?;
    if fs.look(&file).map_err(failed)?.kind != FileType::Directory {
        return Ok(None);
    }
    let folder = fs.open_folder(path).map(Arc::new).map_err(failed)?;
    let mut walk = Walk::new(0, folder, &fs).map_err(failed)?;
    let (mut tree, mut folders) = (Tree::default(), Vec::new());
    loop {
        match walk.next(&fs) {
            Step::Over => break,
            Step::Onward => {}
            Step::Folder(below) => folders.extend(below.to_str().map(str::to_owned)),
            Step::File(below) => match walk.look(&below, &fs) {
                Ok(look) if below.to_str().is_some() => tree.files.push((below, look.is_executable)),
                Ok(_) => tree.left_out.push((below, NOT_UTF8.to_owned())),
                Err(errno) => return Err(fault::reading("read", &path.join(below), errno)),
            },
            Step::LeftOut(below, Why::Kind(FileType::Symlink)) => match link_at(&walk, &below, &fs) {
                Ok(link) => tree.others.push(link),
                Err(why) => tree.left_out.push((below, why)),
            },
            Step::LeftOut(below, why) => tree.left_out.push((below, why.spoken())),
            Step::Unreadable(below, errno) => return Err(fault::reading("read", &path.join(below), errno)),
        }
    }
    tree.files.sort_unstable();
    tree.add_empty(folders);
    Ok(Some(tree))
}

/// The entry of a link, or why it cannot be part of a folder that others get.
fn link_at(walk: &Walk, below: &Path, fs: &Fs) -> Result<ListingEntry, String> {
    let target = walk.read_link(below, fs).map_err(|errno| Why::Errno(errno).spoken())?;
    let path = below.to_str().ok_or(NOT_UTF8)?.to_owned();
    let target = String::from_utf8(target).map_err(|_| NOT_UTF8)?;
    if !link_stays_inside(&path, &target) {
        return Err(format!("it is a link that leads out of the folder, to {}", quoted(&target)));
    }
    Ok(ListingEntry { path, kind: EntryKind::Link { target } })
}

impl Tree {
    /// Adds those of the folders in which nothing is that is part of the tree.
    fn add_empty(&mut self, mut folders: Vec<String>) {
        let files = self.files.iter().filter_map(|(path, _)| path.to_str());
        let mut paths: BTreeSet<String> =
            files.chain(self.others.iter().map(|entry| entry.path.as_str())).map(str::to_owned).collect();
        // The deepest come first, for an empty folder is something in the one around it.
        folders.sort_unstable_by(|one, other| other.cmp(one));
        for path in folders {
            let inside = [path.as_str(), "/"].concat();
            let is_empty = paths.range(inside.clone()..).next().is_none_or(|next| !next.starts_with(&inside));
            if is_empty {
                paths.insert(path.clone());
                self.others.push(ListingEntry { path, kind: EntryKind::EmptyFolder });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tree_has_files_links_and_empty_folders_and_names_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["deep/er/none", "deep/hidden", "only/odd"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for path in ["b", "deep/run.sh", "deep/hidden/.x", "a-b"] {
            fs::write(at(path), "x").unwrap();
        }
        fs::set_permissions(at("deep/run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
        for (target, path) in [("../b", "deep/link"), ("/etc/passwd", "out"), ("../..", "deep/up")] {
            symlink(target, at(path)).unwrap();
        }
        let _fifo = rustix::fs::mkfifoat(rustix::fs::CWD, at("only/odd/pipe"), rustix::fs::Mode::RUSR);
        let tree = tree(folder.path()).unwrap().unwrap();
        let files: Vec<(&str, bool)> =
            tree.files.iter().map(|(path, executable)| (path.to_str().unwrap(), *executable)).collect();
        assert_eq!(files, [("a-b", false), ("b", false), ("deep/run.sh", true)]);
        let mut others: Vec<String> = tree.others.iter().map(|entry| format!("{entry:?}")).collect();
        others.sort_unstable();
        assert_eq!(
            others,
            [
                r#"ListingEntry { path: "deep/er/none", kind: EmptyFolder }"#,
                r#"ListingEntry { path: "deep/hidden", kind: EmptyFolder }"#,
                r#"ListingEntry { path: "deep/link", kind: Link { target: "../b" } }"#,
                r#"ListingEntry { path: "only/odd", kind: EmptyFolder }"#,
            ]
        );
        let mut left: Vec<String> =
            tree.left_out.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "caf\u{fffd}: its name is not UTF-8",
                "deep/up: it is a link that leads out of the folder, to \"../..\"",
                "only/odd/pipe: it is not a file",
                "out: it is a link that leads out of the folder, to \"/etc/passwd\"",
            ]
        );
        assert!(super::tree(&at("b")).unwrap().is_none());
    }

    #[test]
    fn files_that_are_seen_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.png", ".hidden"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(files_in(folder.path(), 10).unwrap(), ["a.png", "b.txt"]);
        assert_eq!(files_in(folder.path(), 1).unwrap().len(), 1);
        assert!(files_in(&folder.path().join("away"), 1).is_err());
        assert!(look(folder.path()).is_ok() && look(&folder.path().join("a.png")).is_ok());
        assert!(look(&folder.path().join("away")).unwrap_err().text.contains("away"));
    }
}
