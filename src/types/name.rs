//! Names from the network, on a screen and on a disk.
//!
//! A name on the wire is for display. [`printable`] makes it safe to show, and [`local_file_name`] makes a local file
//! name of it; no other code may do either. [`local_path`] makes the path of a file in a tree, with one
//! [`local_file_name`] for each component.

use std::borrow::Cow;
use std::fmt::Write;

/// The most bytes of a local file name made here. What is added to it later (`.<8 hex>.part`, ` (2)`) still fits the
/// 255 bytes that file systems allow.
pub const LOCAL_NAME_BYTES_MAX: usize = 200;
/// The most components of a local path made here.
pub const LOCAL_PATH_DEPTH_MAX: usize = 64;
/// The most bytes of a local path made here, with its separators.
pub const LOCAL_PATH_BYTES_MAX: usize = 1024;
/// An extension longer than this, in bytes and with its dot, is none.
const EXTENSION_BYTES_MAX: usize = 16;
/// More combining marks in a row than this climb over the neighbouring lines.
const COMBINING_MARKS_MAX: usize = 4;

/// What a name with several components becomes below the target folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Layout {
    /// Its last component, directly in the target folder.
    #[default]
    Flat,
    /// Its last component, in folders that the others name.
    Tree,
}

/// Makes text from a peer safe to print on one line: control characters, bidirectional overrides, zero-width
/// characters and the like become `\n` or `\u{1b}`, and a backslash becomes two, so that different texts always look
/// different.
pub fn printable(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut marks = COMBINING_MARKS_MAX;
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        marks = if is_combining(c) { marks.saturating_add(1) } else { 0 };
        let joins_emoji = c == ZERO_WIDTH_JOINER
            && before.is_some_and(is_emoji)
            && chars.peek().copied().is_some_and(is_emoji);
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if !joins_emoji && (is_unseen(c) || is_odd_space(c)) || marks > COMBINING_MARKS_MAX => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            _ => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// [`printable`] text in double quotes, those in it escaped.
pub fn quoted(text: &str) -> String {
    if is_plain(text) && !text.contains('"') {
        return ["\"", text, "\""].concat();
    }
    format!("\"{}\"", printable(text).replace('"', "\\\""))
}

/// The local file name that a name from the network becomes: its last component, made safe; `None` when nothing
/// is left of it. A name made here comes back as it is.
pub fn local_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    let safe: Cow<'_, str> = match last.bytes().all(is_file_byte) {
        true => last.into(),
        false => last.chars().filter_map(file_char).collect::<String>().into(),
    };
    let trimmed = safe.trim_matches(' ').trim_end_matches(['.', ' ']);
    if trimmed.is_empty() {
        return None;
    }
    // A dash in front would make a flag of the name where a shell puts it behind a command.
    let (dash, rest) = trimmed.strip_prefix('-').map_or(("", trimmed), |rest| ("_", rest));
    let hidden_or_reserved = dash.is_empty() && (rest.starts_with('.') || is_reserved(rest));
    let prefix = if hidden_or_reserved { "_" } else { dash };
    let suffix = if is_our_state(rest) { "_" } else { "" };
    Some(bounded([prefix, rest, suffix].concat()))
}

/// The components of the path below a target folder that a name from the network becomes: folders, then the file. The
/// error says what keeps the name from being such a path. A name that could lead out of the target folder is refused, not
/// bent: what it becomes would surprise the user, but not the person who made it up.
///
/// # Errors
///
/// What keeps the name from being such a path.
pub fn local_path(name: &str) -> Result<Vec<String>, &'static str> {
    let mut components = Vec::new();
    let mut bytes = 0_usize;
    for component in name.split('/') {
        if component.is_empty() {
            return Err("a component of its path is empty");
        }
        let local = local_file_name(component).ok_or("a component of its path makes no file name")?;
        bytes = bytes.saturating_add(local.len()).saturating_add(1);
        components.push(local);
        if components.len() > LOCAL_PATH_DEPTH_MAX {
            return Err("its path has more than 64 components");
        }
    }
    if bytes > LOCAL_PATH_BYTES_MAX + 1 { Err("its path has more than 1,024 bytes") } else { Ok(components) }
}

/// The file below the target folder that a name stands for, as text: two names of one content with the same destination
/// are one file. A name that makes no path stands for itself.
pub fn destination(name: &str, layout: Layout) -> String {
    let made = match layout {
        Layout::Flat => local_file_name(name),
        Layout::Tree => local_path(name).ok().map(|components| components.join("/")),
    };
    made.unwrap_or_else(|| name.to_owned())
}

/// Whether nothing in a text needs a second look: most names are that.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Whether a byte stands for a character that a file name keeps; most names consist of these.
fn is_file_byte(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'<' | b'>' | b':' | b'"' | b'|' | b'?' | b'*')
}

/// What a character becomes in a file name; `None`: it is left out.
fn file_char(c: char) -> Option<char> {
    match c {
        _ if c.is_control() => Some('_'),
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => Some('_'),
        _ if is_odd_space(c) => Some(' '),
        _ if is_unseen(c) => None,
        _ => Some(c),
    }
}

/// Characters that cannot be seen, or change how others are seen.
fn is_unseen(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || code & 0xfffe == 0xfffe
        || matches!(c,
            // Soft hyphen, grapheme joiner, Arabic letter mark, fillers and vowel separators.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
            // Zero width, directional marks, separators, overrides, isolates, invisible operators.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotation, noncharacters.
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}'
            // Shorthand and musical format controls, tags, variation selectors of ideographs.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Spaces that are not the one on the keyboard; the ideographic space is that.
fn is_odd_space(c: char) -> bool {
    c.is_whitespace() && !c.is_control() && !matches!(c, ' ' | '\u{3000}' | '\u{2028}' | '\u{2029}')
        || c == '\u{2800}'
}

/// The blocks of marks that combine with any letter.
fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Characters that a zero-width joiner makes one picture of.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}')
}

/// Names that are devices on Windows, with any extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")).map(|port| port.chars());
    port.is_some_and(|mut port| {
        matches!(port.next(), Some('0'..='9' | '¹' | '²' | '³')) && port.next().is_none()
    })
}

/// Names that end as the files of a download under way do.
fn is_our_state(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".part") || lower.ends_with(".state")
}

/// The name, if need be cut in front of its extension, with a few digits of its hash in place of what was cut.
fn bounded(name: String) -> String {
    if name.len() <= LOCAL_NAME_BYTES_MAX {
        return name;
    }
    let parts = name.rfind('.').and_then(|dot| name.split_at_checked(dot));
    let short = |(_, extension): &(&str, &str)| extension.len() <= EXTENSION_BYTES_MAX;
    let (stem, extension) = parts.filter(short).unwrap_or((&name, ""));
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let tail = format!("~{}{extension}", hash.get(..8).unwrap_or_default());
    let room = LOCAL_NAME_BYTES_MAX.saturating_sub(tail.len());
    let end = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{tail}", stem.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readable_text_stays_as_it_is() {
        for text in
            ["", "talk.mkv", "a b (2)", "naïve café", "日本語　名", "e\u{301}", "مرحبا", "नमस्ते", "👍🏽", "❤️"]
        {
            assert_eq!(printable(text), text);
        }
        assert_eq!(printable("👩\u{200d}👩\u{200d}👧"), "👩\u{200d}👩\u{200d}👧");
        assert_eq!(quoted("a \"b\" \\"), r#""a \"b\" \\""#);
    }

    #[test]
    fn what_could_deceive_is_escaped() {
        for (text, shown) in [
            ("a\nb\tc\r", r"a\nb\tc\r"),
            ("\u{1b}[31m", r"\u{1b}[31m"),
            ("\u{0}\u{7f}\u{9b}", r"\u{0}\u{7f}\u{9b}"),
            ("\\n", r"\\n"),
            ("gpj.\u{202e}exe", r"gpj.\u{202e}exe"),
            ("a\u{200b}b\u{2028}\u{feff}", r"a\u{200b}b\u{2028}\u{feff}"),
            ("a\u{200d}b", r"a\u{200d}b"),
            ("a\u{a0}b\u{3164}", r"a\u{a0}b\u{3164}"),
            ("\u{301}a", r"\u{301}a"),
            ("\u{e0041}\u{ffff}", r"\u{e0041}\u{ffff}"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert!(printable(&format!("a{}", "\u{301}".repeat(6))).ends_with(r"\u{301}\u{301}"));
    }

    #[test]
    fn file_names_are_harmless() {
        for (name, local) in [
            ("talk.mkv", "talk.mkv"),
            ("films/talk.mkv", "talk.mkv"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            (r"C:\windows\system.ini", "system.ini"),
            (r"\\server\share\x", "x"),
            ("C:x", "C_x"),
            ("name:stream", "name_stream"),
            ("a<b>\"c\"|d?*", "a_b__c__d__"),
            (".bashrc", "_.bashrc"),
            ("\u{200b}.bashrc", "_.bashrc"),
            (" .bashrc", "_.bashrc"),
            ("a. . .", "a"),
            ("  a  ", "a"),
            ("a\nb\u{1b}", "a_b_"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("Shot 3.04\u{202f}PM.png", "Shot 3.04 PM.png"),
            ("con", "_con"),
            ("Nul.tar.gz", "_Nul.tar.gz"),
            ("aux .txt", "_aux .txt"),
            ("COM1.txt", "_COM1.txt"),
            ("lpt³", "_lpt³"),
            ("conin$", "_conin$"),
            ("COM10", "COM10"),
            ("console", "console"),
            ("x.1234abcd.part", "x.1234abcd.part_"),
            ("x.STATE", "x.STATE_"),
            (".part", "_.part_"),
            ("-rf", "_rf"),
            ("--help", "_-help"),
            (" -rf", "_rf"),
            ("\u{200b}-rf", "_rf"),
            ("-con", "_con"),
            ("-", "_"),
            ("a-b", "a-b"),
            ("...a", "_...a"),
            ("日本語.txt", "日本語.txt"),
        ] {
            assert_eq!(local_file_name(name).as_deref(), Some(local), "{name:?}");
        }
        for nothing in
            ["", ".", "..", "/", "a/", "a/..", "\\", "   ", ". .", "\u{200b}\u{202e}", "a/\u{feff}."]
        {
            assert_eq!(local_file_name(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn paths_are_made_of_file_names_or_refused() {
        for (name, path) in [
            ("talk.mkv", "talk.mkv"),
            ("films/talk.mkv", "films/talk.mkv"),
            (".git/hooks/post-checkout", "_.git/hooks/post-checkout"),
            ("CON/aux.txt", "_CON/_aux.txt"),
            ("a /b./c", "a/b/c"),
            ("a\\..\\b/c", "b/c"),
            ("C:/x.part/y", "C_/x.part_/y"),
        ] {
            assert_eq!(local_path(name).map(|path| path.join("/")).as_deref(), Ok(path), "{name:?}");
        }
        for refused in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "../a",
            "a/../b",
            "..",
            "a/. ./b",
            "a/./b",
            "a/ /b",
            "a\\/b",
        ] {
            assert!(local_path(refused).is_err(), "{refused:?}");
        }
        let deep = |depth: usize| vec!["d"; depth].join("/");
        assert_eq!(local_path(&deep(LOCAL_PATH_DEPTH_MAX)).map(|path| path.len()), Ok(LOCAL_PATH_DEPTH_MAX));
        assert!(local_path(&deep(LOCAL_PATH_DEPTH_MAX + 1)).is_err());
        let long = |last: usize| format!("{}{}", format!("{}/", "l".repeat(127)).repeat(7), "l".repeat(last));
        assert!(local_path(&long(128)).is_ok() && local_path(&long(129)).is_err());
    }

    #[test]
    fn one_destination_is_one_file() {
        for (one, other, layout, same) in [
            ("a/x", "b/x", Layout::Flat, true),
            ("a/x", "b/x", Layout::Tree, false),
            ("a/x", "a /x", Layout::Tree, true),
            ("a//x", "b//x", Layout::Tree, false),
        ] {
            assert_eq!(destination(one, layout) == destination(other, layout), same, "{one} {other}");
        }
    }

    #[test]
    fn long_names_keep_their_extension_and_differ() {
        let long = |tail: &str| local_file_name(&("ä".repeat(200) + tail)).unwrap();
        assert!(long("1.mkv").len() <= LOCAL_NAME_BYTES_MAX && long("1.mkv").ends_with(".mkv"));
        assert!(long("1.mkv").starts_with(&"ä".repeat(90)));
        assert_ne!(long("1.mkv"), long("2.mkv"));
        assert!(long(".part").ends_with(".part_"));
        assert!(!long(&format!(".{}", "x".repeat(40))).contains('.'));
    }

    /// Undoes `printable`.
    fn unescaped(text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((plain, escape)) = rest.split_once('\\') {
            out.push_str(plain);
            let simple = |c: char| (c, &escape[1..]);
            let (c, behind) = match escape.as_bytes()[0] {
                b'n' => simple('\n'),
                b'r' => simple('\r'),
                b't' => simple('\t'),
                b'\\' => simple('\\'),
                _ => {
                    let (code, behind) = escape.strip_prefix("u{").unwrap().split_once('}').unwrap();
                    (char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap(), behind)
                }
            };
            out.push(c);
            rest = behind;
        }
        out + rest
    }

    /// Any text, with more than its share of what needs care.
    fn text() -> impl Strategy<Value = String> {
        let odd = prop::sample::select(
            "\u{1b}\n\\/.:- \u{202e}\u{200d}\u{feff}\u{301}\u{a0}\u{3000}\u{1f469}\u{fe0f}_~u{}n"
                .chars()
                .collect::<Vec<_>>(),
        );
        prop::collection::vec(prop_oneof![any::<char>(), odd], 0..300)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn shown_text_is_safe_and_unambiguous(text in text()) {
            let shown = printable(&text);
            let deceives = |c: char| is_unseen(c) && c != ZERO_WIDTH_JOINER;
            prop_assert!(!shown.chars().any(deceives));
            prop_assert_eq!(unescaped(&shown), text);
        }

        #[test]
        fn local_paths_are_safe_and_final(text in text()) {
            if let Ok(path) = local_path(&text) {
                prop_assert!((1..=LOCAL_PATH_DEPTH_MAX).contains(&path.len()));
                prop_assert!(path.iter().all(|component| local_file_name(component).as_ref() == Some(component)));
                let joined = path.join("/");
                prop_assert!(joined.len() <= LOCAL_PATH_BYTES_MAX);
                prop_assert_eq!(local_path(&joined), Ok(path));
            }
        }

        #[test]
        fn local_names_are_safe_and_final(text in text()) {
            if let Some(local) = local_file_name(&text) {
                prop_assert!((1..=LOCAL_NAME_BYTES_MAX).contains(&local.len()));
                prop_assert!(!local.chars().any(|c| is_unseen(c) || matches!(c, '/' | '\\' | ':')));
                prop_assert!(!local.starts_with(['.', ' ', '-']) && !local.ends_with(['.', ' ']));
                prop_assert!(!is_reserved(&local) && !is_our_state(&local));
                prop_assert_eq!(local_file_name(&local), Some(local));
            }
        }
    }
}
