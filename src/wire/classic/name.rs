//! Names of chunks on the wire: file name and index in one text, in the forms that classic peers use.
//!
//! A name that was read here is harmless as text: no path, no control character, limited in length. It is not yet a
//! local file name: [`crate::types::name::local_file_name`] makes one from [`ChunkName::merged_file_name`].

use std::fmt;

/// The most bytes of a chunk's name: what file systems allow, for their peers keep each chunk as a file of that name.
pub const NAME_BYTES_MAX: usize = 255;
/// What the receivers append to the name of a file that comes without an extension.
const EXTENSION_BY_DEFAULT: &str = "png";
/// What marks a chunk in dialect E.
const TEMP: &str = "_temp";

/// Where the parts of a chunk's name stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameForm {
    /// `forest_1`: the extension is left out.
    Stem,
    /// `forest.png_1`
    Full,
    /// `forest_1.png`
    Inner,
    /// `forest.png_1_temp`
    FullTemp,
    /// `forest_1.png_temp`
    InnerTemp,
}

/// The name of one chunk. Written out, it is to the byte what it was read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkName {
    stem: String,
    extension: Option<String>,
    index: u32,
    form: NameForm,
}

/// Why a text is no chunk's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameError {
    /// Nothing stands before the index.
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    TooLong,
    /// A path separator, `..`, or a control character.
    Forbidden,
    /// No index of 1 or more where one belongs.
    NoIndex,
}

impl ChunkName {
    /// Reads a name in any form.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a text that no dialect calls a chunk.
    pub fn parse(text: &str) -> Result<ChunkName, NameError> {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        if text.contains(['/', '\\']) || text.contains("..") || text.contains(char::is_control) {
            return Err(NameError::Forbidden);
        }
        let (marked, is_temp) = text.strip_suffix(TEMP).map_or((text, false), |marked| (marked, true));
        let (before, tail) = marked.rsplit_once('_').ok_or(NameError::NoIndex)?;
        let (digits, behind) = tail.split_once('.').map_or((tail, None), |(d, e)| (d, Some(e)));
        let index = index(digits).ok_or(NameError::NoIndex)?;
        let (stem, extension, form) = match (behind, is_temp) {
            (Some(""), _) => return Err(NameError::NoIndex),
            (Some(extension), true) => (before, Some(extension), NameForm::InnerTemp),
            (Some(extension), false) => (before, Some(extension), NameForm::Inner),
            (None, _) => {
                let (stem, extension) = split_extension(before);
                let form = match extension {
                    _ if is_temp => NameForm::FullTemp,
                    Some(_) => NameForm::Full,
                    None => NameForm::Stem,
                };
                (stem, extension, form)
            }
        };
        if stem.is_empty() {
            return Err(NameError::Empty);
        }
        Ok(ChunkName { stem: stem.to_owned(), extension: extension.map(str::to_owned), index, form })
    }

    /// The name of a chunk, counted from 1, of a file of our own, as receivers of this form will read it. A file
    /// without an extension has no place for one, so its form may be another than was asked for.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a file whose chunk has no legal name.
    pub fn of_file(file_name: &str, index: u32, form: NameForm) -> Result<ChunkName, NameError> {
        let (stem, extension) = split_extension(file_name);
        if stem.is_empty() {
            return Err(NameError::Empty);
        }
        let dotted = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
        ChunkName::parse(&match form {
            NameForm::Stem => format!("{stem}_{index}"),
            NameForm::Full => format!("{file_name}_{index}"),
            NameForm::Inner => format!("{stem}_{index}{dotted}"),
            NameForm::FullTemp => format!("{file_name}_{index}{TEMP}"),
            NameForm::InnerTemp => format!("{stem}_{index}{dotted}{TEMP}"),
        })
    }

    /// The file's name up to its extension.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The file's extension without its dot, where the name tells one.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// Which chunk of the file: 1 or more.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Where the parts stand.
    pub fn form(&self) -> NameForm {
        self.form
    }

    /// The name of the same file's chunk `index`, in the same form.
    ///
    /// # Errors
    ///
    /// [`NameError`] for an index that no chunk has.
    pub fn sibling(&self, index: u32) -> Result<ChunkName, NameError> {
        ChunkName::parse(&ChunkName { index, ..self.clone() }.to_string())
    }

    /// The file's name as far as this name tells it.
    pub fn file_name(&self) -> String {
        match &self.extension {
            Some(extension) => format!("{}.{extension}", self.stem),
            None => self.stem.clone(),
        }
    }

    /// The name that the merged file gets, by the rule of their receivers: the extension where the name tells one,
    /// else `.png`.
    pub fn merged_file_name(&self) -> String {
        format!("{}.{}", self.stem, self.extension().unwrap_or(EXTENSION_BY_DEFAULT))
    }
}

/// An index as it is written: no sign, no leading zero.
fn index(digits: &str) -> Option<u32> {
    let canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| digits.parse().ok())?
}

/// Stem and extension. A name that is only an extension has none, and neither has one whose last dot stands before an
/// underscore, where an index could be read into it.
fn split_extension(file_name: &str) -> (&str, Option<&str>) {
    match file_name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() && !extension.contains('_') => {
            (stem, Some(extension))
        }
        _ => (file_name, None),
    }
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChunkName { stem, extension, index, form } = self;
        let dot = if extension.is_some() { "." } else { "" };
        let extension = extension.as_deref().unwrap_or_default();
        match form {
            NameForm::Stem | NameForm::Full => write!(f, "{stem}{dot}{extension}_{index}"),
            NameForm::Inner => write!(f, "{stem}_{index}{dot}{extension}"),
            NameForm::FullTemp => write!(f, "{stem}{dot}{extension}_{index}{TEMP}"),
            NameForm::InnerTemp => write!(f, "{stem}_{index}{dot}{extension}{TEMP}"),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "the name has nothing before its index",
            NameError::TooLong => "the name is longer than 255 bytes",
            NameError::Forbidden => "the name has a path separator, `..` or a control character in it",
            NameError::NoIndex => "the name does not say which chunk it is",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [NameForm; 5] =
        [NameForm::Stem, NameForm::Full, NameForm::Inner, NameForm::FullTemp, NameForm::InnerTemp];

    #[test]
    fn every_form_is_read() {
        use NameForm::*;
        for (text, stem, extension, index, form, merged) in [
            ("forest_1", "forest", None, 1, Stem, "forest.png"),
            ("forest.png_1", "forest", Some("png"), 1, Full, "forest.png"),
            ("forest_1.jpg", "forest", Some("jpg"), 1, Inner, "forest.jpg"),
            ("forest.jpg_12_temp", "forest", Some("jpg"), 12, FullTemp, "forest.jpg"),
            ("forest_1_temp", "forest", None, 1, FullTemp, "forest.png"),
            ("forest_1.jpg_temp", "forest", Some("jpg"), 1, InnerTemp, "forest.jpg"),
            ("my_old_2_5", "my_old_2", None, 5, Stem, "my_old_2.png"),
            ("a_2.png_3", "a_2", Some("png"), 3, Full, "a_2.png"),
            ("a.tar.gz_3", "a.tar", Some("gz"), 3, Full, "a.tar.gz"),
            ("a_3.tar.gz", "a", Some("tar.gz"), 3, Inner, "a.tar.gz"),
            ("v1.2_x_3", "v1.2_x", None, 3, Stem, "v1.2_x.png"),
            ("_temp_3", "_temp", None, 3, Stem, "_temp.png"),
            ("__1", "_", None, 1, Stem, "_.png"),
            (".png_1", ".png", None, 1, Stem, ".png.png"),
            ("日本 語_4294967295", "日本 語", None, u32::MAX, Stem, "日本 語.png"),
        ] {
            let name = ChunkName::parse(text).unwrap();
            assert_eq!(
                (name.stem(), name.extension(), name.index(), name.form()),
                (stem, extension, index, form)
            );
            assert_eq!((name.to_string(), name.merged_file_name()), (text.to_owned(), merged.to_owned()));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, error) in [
            ("", NameError::NoIndex),
            ("forest", NameError::NoIndex),
            ("forest_", NameError::NoIndex),
            ("forest_0", NameError::NoIndex),
            ("forest_01", NameError::NoIndex),
            ("forest_+1", NameError::NoIndex),
            ("forest_4294967296", NameError::NoIndex),
            ("forest_1.", NameError::NoIndex),
            ("forest_1x", NameError::NoIndex),
            ("forest_.png", NameError::NoIndex),
            ("forest_٣", NameError::NoIndex),
            ("x_temp", NameError::NoIndex),
            ("_1", NameError::Empty),
            ("_1.png", NameError::Empty),
            ("../forest_1", NameError::Forbidden),
            ("/etc/passwd_1", NameError::Forbidden),
            (r"a\b_1", NameError::Forbidden),
            (".._1", NameError::Forbidden),
            ("a_1..", NameError::Forbidden),
            ("a\n_1", NameError::Forbidden),
            ("a\0_1", NameError::Forbidden),
            ("a\u{7f}_1", NameError::Forbidden),
            ("a\u{9b}_1", NameError::Forbidden),
        ] {
            assert_eq!(ChunkName::parse(text), Err(error), "{text:?}");
        }
        assert!(ChunkName::parse(&("x".repeat(253) + "_1")).is_ok());
        assert_eq!(ChunkName::parse(&("x".repeat(254) + "_1")), Err(NameError::TooLong));
    }

    #[test]
    fn files_are_named_in_each_form() {
        let named = |file: &str, form| ChunkName::of_file(file, 2, form).map(|name| name.to_string());
        for (file, names) in [
            ("a b.png", ["a b_2", "a b.png_2", "a b_2.png", "a b.png_2_temp", "a b_2.png_temp"]),
            ("notes", ["notes_2", "notes_2", "notes_2", "notes_2_temp", "notes_2_temp"]),
            ("x.1_5", ["x.1_5_2", "x.1_5_2", "x.1_5_2", "x.1_5_2_temp", "x.1_5_2_temp"]),
        ] {
            assert_eq!(FORMS.map(|form| named(file, form).unwrap()), names);
        }
        assert_eq!(named("", NameForm::Inner), Err(NameError::Empty));
        assert_eq!(named("a/b", NameForm::Inner), Err(NameError::Forbidden));
        assert_eq!(ChunkName::of_file("a", 0, NameForm::Stem), Err(NameError::NoIndex));
        let sibling = ChunkName::parse("a.b_1_temp").unwrap().sibling(5);
        assert_eq!(sibling.unwrap().to_string(), "a.b_5_temp");
    }

    proptest! {
        #[test]
        fn names_come_back_as_they_were(text in "[a_0-9.temp/é\\u{1}]{0,12}(_[0-9.png]{1,4})?(_temp)?") {
            if let Ok(name) = ChunkName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
                let merged = name.merged_file_name();
                prop_assert!(!merged.contains(['/', '\\']) && !merged.contains(char::is_control) && merged != "..");
                prop_assert!(name.index() > 0 && !name.stem().is_empty());
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>(), index: u32) {
            let _ = ChunkName::parse(&text);
            for form in FORMS {
                let _ = ChunkName::of_file(&text, index, form);
            }
        }

        #[test]
        fn files_keep_index_and_stem(file in "[a_0-9.é]{1,12}", index in 1u32.., form in prop::sample::select(&FORMS)) {
            if let Ok(name) = ChunkName::of_file(&file, index, form) {
                prop_assert_eq!(name.index(), index);
                if matches!(form, NameForm::Full | NameForm::FullTemp | NameForm::Inner | NameForm::InnerTemp) {
                    prop_assert_eq!(name.file_name(), file);
                }
            } else {
                prop_assert!(file.contains(".."));
            }
        }
    }
}
