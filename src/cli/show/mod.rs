//! A received file on a terminal: tables, indented JSON, text, a few words about an image.
//!
//! Pure functions: bytes in, lines out, and every line is safe to print. The type follows from the bytes, never from
//! the name or the words of the sender. This module owns no file and no stream.

#[cfg(feature = "draw")]
mod draw;
mod json;
pub(crate) mod kind;
mod table;

use crate::cli::human;
use crate::cli::show::kind::Kind;
use crate::types::name::printable;

/// So many bytes of a file are looked at to show it.
pub(crate) const LOOK_BYTES_MAX: usize = if cfg!(feature = "draw") { 16 << 20 } else { 1 << 20 };
/// So many bytes of it are shown, images apart.
const SHOWN_BYTES_MAX: usize = 256 << 10;
/// The most lines of one file.
const LINES_MAX: usize = 200;
/// The most columns of a line where nobody says how many there are.
pub(crate) const COLUMNS_DEFAULT: usize = 100;
/// A tab becomes so many spaces.
const TAB: &str = "    ";

/// Where something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Its columns.
    pub(crate) columns: usize,
    /// Whether it shows 24-bit colours.
    pub(crate) has_colours: bool,
}

impl Screen {
    /// What stdout and the environment tell of it.
    pub(crate) fn of(
        is_terminal: bool,
        columns: Option<usize>,
        var: impl Fn(&str) -> Option<String>,
    ) -> Screen {
        let deep = var("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
        let refused = var("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            columns: columns.unwrap_or(COLUMNS_DEFAULT).max(20),
            has_colours: is_terminal && deep && !refused,
        }
    }
}

/// The lines that show a file of `total` bytes that begins with these.
pub(crate) fn lines(bytes: &[u8], total: u64, kind: &Kind, screen: Screen) -> Vec<String> {
    let part = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let is_whole = part.len() as u64 == total;
    let (mut lines, is_cut) = match kind {
        Kind::Csv { delimiter } => table::lines(part, *delimiter, screen.columns, LINES_MAX, is_whole),
        Kind::Json => limited(json::indented(part).into_iter(), screen.columns),
        Kind::Text => limited(text(part).lines().map(str::to_owned), screen.columns),
        Kind::Image { .. } => (image(bytes, total, kind, screen), false),
        Kind::Empty | Kind::Other => (Vec::new(), false),
    };
    let is_text = matches!(kind, Kind::Csv { .. } | Kind::Json | Kind::Text);
    if is_cut || (is_text && !is_whole) {
        lines.push(format!("... and so on: {} in all", human::size(total)));
    }
    lines
}

#[cfg(feature = "draw")]
fn image(bytes: &[u8], total: u64, kind: &Kind, screen: Screen) -> Vec<String> {
    let whole = screen.has_colours && bytes.len() as u64 == total;
    if whole { draw::lines(bytes, kind, screen.columns) } else { Vec::new() }
}

#[cfg(not(feature = "draw"))]
fn image(_: &[u8], _: u64, _: &Kind, _: Screen) -> Vec<String> {
    Vec::new()
}

/// The first lines, and whether there are more.
fn limited(mut lines: impl Iterator<Item = String>, columns: usize) -> (Vec<String>, bool) {
    let first: Vec<String> =
        lines.by_ref().take(LINES_MAX).map(|line| human::cut(&safe(&line), columns)).collect();
    (first, lines.next().is_some())
}

/// Text of which the end may be missing in the middle of a character.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A line from a file, safe to print. Unlike names, files are full of backslashes that mean nothing: they stay.
fn safe(line: &str) -> String {
    line.replace('\t', TAB).split('\\').map(printable).collect::<Vec<_>>().join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCREEN: Screen = Screen { columns: 60, has_colours: true };

    fn shown(bytes: &[u8]) -> Vec<String> {
        lines(bytes, bytes.len() as u64, &kind::of(bytes, true), SCREEN)
    }

    #[test]
    fn tables_are_aligned_and_cannot_move_the_cursor() {
        let lines = shown(b"name,price\nfiat \x1b[2J\x1b[H,9\n\"a,b\",1000\n");
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
        let column = |line: &String, what: &str| line.find(what).map(|at| human::width(&line[..at]));
        assert_eq!(column(&lines[0], "price"), column(&lines[2], "1000"), "{lines:?}");
    }

    #[test]
    fn json_keeps_its_order_and_its_numbers() {
        let lines = shown(br#"{"z":1,"a":[12345678901234567890,1.10,{}],"e":[],"s":"a{b,\"c\\"}"#);
        assert_eq!(
            lines,
            [
                "{",
                r#"  "z": 1,"#,
                r#"  "a": ["#,
                "    12345678901234567890,",
                "    1.10,",
                "    {}",
                "  ],",
                r#"  "e": [],"#,
                r#"  "s": "a{b,\"c\\""#,
                "}"
            ]
        );
    }

    #[test]
    fn long_files_are_cut_with_a_note() {
        let many = "a line\n".repeat(10_000);
        let lines = shown(many.as_bytes());
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines.last().unwrap().contains("68.4 KiB in all"), "{:?}", lines.last());
        let table = "a,b\n".repeat(10_000);
        assert_eq!(shown(table.as_bytes()).len(), LINES_MAX + 1);
    }

    #[test]
    fn what_is_no_text_is_not_shown() {
        assert_eq!(shown(b"\x7fELF\0\0\x01\x02"), Vec::<String>::new());
        assert_eq!(shown(b""), Vec::<String>::new());
    }

    #[test]
    fn colours_only_where_they_are_seen() {
        let screen = |terminal, set: &'static [(&str, &str)]| {
            let var =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Screen::of(terminal, None, var).has_colours
        };
        assert!(screen(true, &[("COLORTERM", "truecolor")]));
        assert!(!screen(false, &[("COLORTERM", "truecolor")]));
        assert!(!screen(true, &[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]));
        assert!(!screen(true, &[]));
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_controls_the_terminal(
            begin in prop_oneof![Just("a,b\n"), Just("{\"a\": "), Just("[1,"), Just("")],
            rest in "(\\PC|\u{1b}|\u{7f}|\u{9b}|\u{202e}|,|\"|\n|\r|\\}|\\]){0,80}",
            cut in 0_u64..3,
        ) {
            let bytes = [begin.as_bytes(), rest.as_bytes()].concat();
            let kind = kind::of(&bytes, cut == 0);
            let screen = Screen { has_colours: false, ..SCREEN };
            for line in lines(&bytes, bytes.len() as u64 + cut, &kind, screen) {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
                prop_assert!(!line.contains(char::from_u32(0x202e).unwrap()));
            }
        }
    }
}
