//! The target of downloads, as `-o` sets it: a folder, or a file name for one of them.

use std::path::{Path, PathBuf};

use crate::cli::run::Target;
use crate::cli::wanted::shell_quoted;
use crate::store::OnConflict;
use crate::types::name::{Layout, local_file_name, local_path, printable};

impl Target {
    /// As `-o` says; `single`: whether all that is asked for is one content, which alone can have a file name.
    pub(crate) fn asked(
        output: Option<&Path>,
        single: bool,
        on_conflict: OnConflict,
    ) -> Result<Target, String> {
        let Some(output) = output else { return Ok(Target { on_conflict, ..Target::default() }) };
        let text = output.to_string_lossy();
        if text.is_empty() {
            return Err("-o needs a folder or a file name".to_owned());
        }
        if text.ends_with('/') || output.is_dir() || output.file_name().is_none() {
            return Ok(Target { dir: output.to_owned(), name: None, on_conflict });
        }
        if !single {
            let [file, folder] =
                [text.to_string(), format!("{text}/")].map(|word| printable(&shell_quoted(&word)));
            return Err(format!(
                "-o {file}: several files cannot become one file; to make a folder: -o {folder}"
            ));
        }
        let name = output.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| "the file name after -o is not UTF-8; choose another".to_owned())?;
        let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Target { dir: dir.to_owned(), name: Some(name.to_owned()), on_conflict })
    }

    /// Where a content of this name is to go; the folder when its name is not known, or makes no path.
    pub(crate) fn path(&self, name: Option<&str>, layout: Layout) -> PathBuf {
        let local = self.name.clone().or_else(|| {
            let name = name?;
            match layout {
                Layout::Flat => local_file_name(name),
                Layout::Tree => local_path(name).ok().map(|components| components.join("/")),
            }
        });
        local.map_or_else(|| self.dir.clone(), |local| self.dir.join(local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_a_folder_or_the_name_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().to_str().unwrap();
        let asked = |output: Option<&str>, single| {
            let target = Target::asked(output.map(Path::new), single, OnConflict::Rename);
            target.map(|target| (target.dir, target.name))
        };
        assert_eq!(asked(None, true), Ok((".".into(), None)));
        assert_eq!(asked(Some(there), false), Ok((there.into(), None)));
        assert_eq!(asked(Some("new/"), false), Ok(("new/".into(), None)));
        assert_eq!(asked(Some(".."), true), Ok(("..".into(), None)));
        assert_eq!(asked(Some("y"), true), Ok((".".into(), Some("y".into()))));
        assert_eq!(asked(Some("d/y"), true), Ok(("d".into(), Some("y".into()))));
        assert!(asked(Some("y"), false).is_err());
        assert!(asked(Some(""), true).is_err());
    }

    #[test]
    fn what_a_name_leads_to_stays_in_the_folder() {
        let target = |name: Option<&str>| Target {
            dir: "d".into(),
            name: name.map(str::to_owned),
            on_conflict: OnConflict::Rename,
        };
        let flat = Layout::Flat;
        assert_eq!(target(None).path(None, flat), Path::new("d"));
        assert_eq!(target(None).path(Some("a/talk.mkv"), flat), Path::new("d").join("talk.mkv"));
        assert_eq!(target(Some("film.mkv")).path(Some("talk.mkv"), flat), Path::new("d").join("film.mkv"));
        assert_eq!(target(None).path(Some("a/talk.mkv"), Layout::Tree), Path::new("d/a/talk.mkv"));
        assert_eq!(target(None).path(Some("../talk.mkv"), Layout::Tree), Path::new("d"));
    }
}
