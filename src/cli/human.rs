//! Numbers, names and tables for people.

use std::path::Path;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::core::PeerRef;
use crate::types::name::{self, printable};
pub(crate) use crate::types::units::size;

/// The most columns a name from the network takes in a sentence.
const LABEL_COLUMNS_MAX: usize = 72;
/// More characters than that for each column are no text: a letter has few marks, and a picture is made of few others.
const CHARS_PER_COLUMN_MAX: usize = 8;

/// A rate such as `34.1 MiB/s`.
pub(crate) fn rate(bytes_per_s: u64) -> String {
    format!("{}/s", size(bytes_per_s))
}

/// Bytes a second; 0 when no time passed.
pub(crate) fn bytes_per_s(bytes: u64, took: Duration) -> u64 {
    match took.as_nanos() {
        0 => 0,
        nanos => u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX),
    }
}

/// A time span such as `0.4 s`, `12 s`, `3:07 min`, `1:02:03 h`.
pub(crate) fn span(took: Duration) -> String {
    let s = took.as_secs();
    match s {
        0..10 => format!("{}.{} s", s, took.subsec_millis() / 100),
        10..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02} h", s / 3600, s / 60 % 60, s % 60),
    }
}

/// A time that somebody set, without the fractions that it does not have: `3 s`, `0.2 s`, `10 min`.
pub(crate) fn limit(time: Duration) -> String {
    span(time).replace(".0 s", " s").replace(":00 min", " min")
}

/// A time span that is only estimated: no more exact than whole seconds.
pub(crate) fn eta(left: Duration) -> String {
    if left < Duration::from_secs(10) { format!("{} s", left.as_secs()) } else { span(left) }
}

/// A count with its thousands apart: `10,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `3 files`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

/// Parts in a hundred, rounded down; 100 of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        100
    } else {
        u64::try_from(u128::from(part.min(whole)) * 100 / u128::from(whole)).unwrap_or(100)
    }
}

/// The bytes that some of the chunks of a file take, as far as their count tells.
pub(crate) fn share(size: u64, part: u32, whole: u32) -> u64 {
    let bytes = u128::from(size) * u128::from(part.min(whole)) / u128::from(whole.max(1));
    u64::try_from(bytes).unwrap_or(size)
}

/// Text from the network: escaped, and shortened in the middle.
pub(crate) fn label(text: &str) -> String {
    shortened(&printable(text), LABEL_COLUMNS_MAX)
}

/// A name or a pattern of somebody's in a sentence, told from it by quotes: escaped, and shortened in the middle.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", label(text).replace('"', "\\\""))
}

/// A path of this machine in a sentence: quoted and escaped, in full.
pub(crate) fn quoted_path(path: &Path) -> String {
    name::quoted(&path.to_string_lossy())
}

/// A peer: its user name and address, or its address alone.
pub(crate) fn peer(peer: &PeerRef) -> String {
    match peer.user.as_str() {
        "" => peer.addr.to_string(),
        user => format!("{} ({})", label(user), peer.addr),
    }
}

/// Whole numbers as a person would list them: `3, 17, 18 and 40 more`.
pub(crate) fn some_of(numbers: &[u32], of: u64) -> String {
    let listed: Vec<String> = numbers.iter().map(u32::to_string).collect();
    let more = of.saturating_sub(numbers.len() as u64);
    match more {
        0 => listed.join(", "),
        _ => format!("{} and {} more", listed.join(", "), count(more)),
    }
}

/// Shortens text to `columns` of a terminal by leaving out its middle, so that an ending stays.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    [cut(text, room.div_ceil(2)).as_str(), "…", tail(text, room / 2)].concat()
}

/// Cuts a line at `columns` of a terminal.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(chars_max(columns));
    let end = ends.take_while(|end| width(&text[..*end]) <= columns).last().unwrap_or(0);
    text[..end].to_owned()
}

/// The longest end of a text that fits into `columns`. It does not begin with a mark, which would combine with what
/// stands before it.
fn tail(text: &str, columns: usize) -> &str {
    let begins = text.char_indices().rev().map(|(at, _)| at).take(chars_max(columns));
    let begin = begins.take_while(|begin| width(&text[*begin..]) <= columns).last().unwrap_or(text.len());
    text[begin..].trim_start_matches(|c: char| c.width() == Some(0))
}

/// How many characters are looked at to fill some columns: a stranger's text may have any number that take none.
fn chars_max(columns: usize) -> usize {
    columns.saturating_mul(CHARS_PER_COLUMN_MAX)
}

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Rows under their headings, columns two spaces apart; a column named in `right` stands right.
pub(crate) fn table(headings: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let cell = |row: &[String], at: usize| row.get(at).map_or(0, |text| width(text));
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(at, heading)| rows.iter().map(|row| cell(row, at)).max().unwrap_or(0).max(width(heading)))
        .collect();
    let mut text = String::new();
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for (at, (cell, columns)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(columns.saturating_sub(width(cell)));
            let gap = if at == 0 { "" } else { "  " };
            line +=
                &if right.contains(&at) { format!("{gap}{pad}{cell}") } else { format!("{gap}{cell}{pad}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (24_536_679, "23.4 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(bytes_per_s(10, Duration::ZERO), 0);
        assert_eq!(bytes_per_s(u64::MAX, Duration::from_nanos(1)), u64::MAX);
        assert_eq!(rate(bytes_per_s(1 << 20, Duration::from_millis(500))), "2.0 MiB/s");
        assert_eq!((percent(1, 3), percent(5, 3), percent(0, 0)), (33, 100, 100));
    }

    #[test]
    fn spans_and_counts() {
        assert_eq!(span(Duration::from_millis(440)), "0.4 s");
        assert_eq!(span(Duration::from_secs(187)), "3:07 min");
        assert_eq!(span(Duration::from_secs(3723)), "1:02:03 h");
        let limits = [3_000, 200, 600_000, 187_000].map(|ms| limit(Duration::from_millis(ms)));
        assert_eq!(limits, ["3 s", "0.2 s", "10 min", "3:07 min"]);
        assert_eq!(
            (count(999), count(10_000), count(1_234_567)),
            ("999".into(), "10,000".into(), "1,234,567".into())
        );
        assert_eq!(some_of(&[3, 17], 2), "3, 17");
        assert_eq!(some_of(&[3, 17], 42), "3, 17 and 40 more");
    }

    #[test]
    fn text_from_the_network_is_tamed() {
        assert!(!label("\u{1b}[2Jboo\r\n").contains(['\u{1b}', '\r', '\n']));
        let long = label(&format!("{}.mkv", "x".repeat(500)));
        assert_eq!(width(&long), LABEL_COLUMNS_MAX);
        assert!(long.ends_with(".mkv"));
        assert_eq!(shortened("漢字漢字漢字", 7), "漢…字");
        assert_eq!(quoted("a \"b\"\n"), r#""a \"b\"\n""#);
        assert_eq!(width(&quoted(&"x".repeat(500))), LABEL_COLUMNS_MAX + 2);
        assert_eq!(quoted_path(Path::new("in \"box\"")), r#""in \"box\"""#);
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        for (text, columns) in [
            ("talk.mkv", 8),
            ("cafe\u{301}", 4),
            ("漢字", 4),
            ("हिन्दी", 5),
            ("ไทย", 3),
            ("ಕನ್ನಡ", 4),
            ("한글", 4),
            ("─…", 2),
            ("👍🏽", 2),
            ("👩\u{200d}👩\u{200d}👧", 2),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
        let rows = [vec!["हिन्दी".into(), "1".into()], vec!["e\u{301}".into(), "2".into()]];
        assert_eq!(table(&["NAME", "N"], &[1], &rows), "NAME   N\nहिन्दी  1\ne\u{301}      2\n");
    }

    #[test]
    fn shortened_text_keeps_marks_with_their_letters_and_fits() {
        assert_eq!(shortened("e\u{301}e\u{301}e\u{301}e\u{301}", 3), "e\u{301}…e\u{301}");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
        for text in ["हिन्दी".repeat(40), "👩\u{200d}👩\u{200d}👧".repeat(40), "❤\u{fe0f}🇩🇪".repeat(40)]
        {
            for columns in 0..20 {
                assert!(width(&shortened(&text, columns)) <= columns.max(1), "{text} in {columns}");
                assert!(width(&cut(&text, columns)) <= columns, "{text} in {columns}");
            }
        }
    }

    #[test]
    fn tables_line_up() {
        let rows = [vec!["a".into(), "1".into()], vec!["long".into(), "22".into()]];
        assert_eq!(table(&["NAME", "N"], &[1], &rows), "NAME   N\na      1\nlong  22\n");
    }
}
