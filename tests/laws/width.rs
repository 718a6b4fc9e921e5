//! How wide the lines of a document are. Narrow lines let a change be read as a diff.

/// Columns of a line. Tables and code are excepted, and a line that cannot be wrapped.
pub(crate) const WIDTH_MAX: usize = 100;

/// The numbers of the lines that are too wide, from 1 on.
pub(crate) fn too_wide(text: &str) -> impl Iterator<Item = usize> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let inner = line.trim();
        if inner.starts_with("```") {
            is_code = !is_code;
        }
        let is_table = inner.starts_with('|');
        let wide = !is_code && !is_table && line.trim_end().chars().count() > WIDTH_MAX;
        (wide && words(inner.trim_start_matches(['*', '-', ' '])) > 1).then_some(index + 1)
    })
}

/// Words of a line, where code and links are one word each, whatever is in them.
fn words(line: &str) -> usize {
    let mut count = 0;
    let mut in_word = false;
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        in_word = !first.is_whitespace() && {
            count += usize::from(!in_word);
            true
        };
        rest = &rest[unbreakable(rest).unwrap_or(first.len_utf8())..];
    }
    count
}

/// Bytes of the code or the link that a text begins with.
fn unbreakable(text: &str) -> Option<usize> {
    let (close, before) = match text.as_bytes().first()? {
        b'`' => ("`", 1),
        b'[' => (")", text.find("](").filter(|end| !text[1..*end].contains(']'))?),
        _ => return None,
    };
    Some(before + text[before..].find(close)? + 1)
}
