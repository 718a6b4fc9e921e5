//! The names of chunks on the wire and in the folders of the field.

/// Where the index stands in a chunk's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameForm {
    /// `forest_1`: the extension is lost, and receivers append `.png`.
    Bare,
    /// `forest.png_1`
    AfterExtension,
    /// `forest_1.png`
    BeforeExtension,
    /// `forest.png_1_temp`
    Temp,
}

impl NameForm {
    /// The name of chunk `index`, counted from 1, of a file.
    pub(crate) fn name(self, file: &str, index: usize) -> String {
        let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        match self {
            NameForm::Bare => format!("{stem}_{index}"),
            NameForm::AfterExtension => format!("{file}_{index}"),
            NameForm::BeforeExtension if extension.is_empty() => format!("{stem}_{index}"),
            NameForm::BeforeExtension => format!("{stem}_{index}.{extension}"),
            NameForm::Temp => format!("{file}_{index}_temp"),
        }
    }
}

/// The file and the index that a chunk's name tells, `.png` appended where it tells no extension; `None` for a name
/// of another kind.
pub(crate) fn read(name: &str) -> Option<(String, usize)> {
    let name = name.strip_suffix("_temp").unwrap_or(name);
    let (stem, index) = name.rsplit_once('_')?;
    let (digits, extension) = index.split_once('.').unwrap_or((index, ""));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || stem.is_empty() {
        return None;
    }
    let file = match extension {
        "" if stem.contains('.') => stem.to_owned(),
        "" => format!("{stem}.png"),
        extension => format!("{stem}.{extension}"),
    };
    Some((file, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let forms = [
            (NameForm::Bare, "my_forest_3"),
            (NameForm::AfterExtension, "my_forest.png_3"),
            (NameForm::BeforeExtension, "my_forest_3.png"),
            (NameForm::Temp, "my_forest.png_3_temp"),
        ];
        for (form, name) in forms {
            assert_eq!(form.name("my_forest.png", 3), name);
            assert_eq!(read(name), Some(("my_forest.png".to_owned(), 3)), "{form:?}");
        }
        for other in ["forest", "forest_", "_1", "forest_x", "forest_1_", "forest_.png"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
