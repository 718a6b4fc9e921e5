//! The names of contents on the command line: an id, the beginning of one, a pattern or a name, and optionally a peer.

use crate::types::ContentId;
use crate::types::glob::{BRACKET_BYTES_MAX, WILDCARDS_MAX};
use crate::types::name::Layout;
use crate::wire::message::{NAME_BYTES_MAX, Wanted};

/// The characters that make a pattern of a name.
const GLOB_CHARS: [char; 3] = ['*', '?', '['];

/// One thing to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The argument as it was written, for messages.
    pub(crate) text: String,
    /// What it stands for.
    pub(crate) wanted: Wanted,
    /// Only as this holder offers it.
    pub(crate) at: Option<String>,
    /// What becomes of the folders in the names that it stands for.
    pub(crate) layout: Layout,
}

impl Request {
    /// Reads an argument.
    ///
    /// The last `@` separates the holder: `talk.mkv@lab-7`, `talk.mkv@lab-7#3f9a`, `talk.mkv@192.168.1.27:7117`. A name that
    /// itself contains an `@` is written with one more at its end, which stands for any holder: `photo@2x.png@`.
    pub(crate) fn parse(text: &str) -> Result<Request, String> {
        let (what, at) = match text.rsplit_once('@') {
            Some((what, "")) => (what, None),
            Some((what, at)) => (what, Some(at.to_owned())),
            None => (text, None),
        };
        if what.is_empty() {
            return Err("write a name before the @, for example talk.mkv@lab-7 or '*@lab-7'".to_owned());
        }
        Ok(Request { text: text.to_owned(), wanted: wanted(what)?, at, layout: Layout::Flat })
    }

    /// Whether `name`, without its folders, may be in the way of a file of this request.
    fn clashes(&self, name: &str) -> bool {
        match &self.wanted {
            Wanted::Name(other) => other != name && last(other) == last(name),
            Wanted::Glob(_) | Wanted::All => self.wanted.matches(name, &ContentId([0; 32])),
            Wanted::Id(_) | Wanted::Prefix(_) => false,
        }
    }

    /// Whether it stands for exactly one content.
    pub(crate) fn is_single(&self) -> bool {
        !matches!(self.wanted, Wanted::All | Wanted::Glob(_))
    }
}

/// Decides which of several requests make folders: patterns do, and names whose last component may be that of a file of
/// another request. With `flat` none does.
pub(crate) fn lay_out(requests: &mut [Request], flat: bool) {
    let layouts: Vec<Layout> = requests
        .iter()
        .map(|request| match &request.wanted {
            _ if flat => Layout::Flat,
            Wanted::Glob(_) | Wanted::All => Layout::Tree,
            Wanted::Name(name) if requests.iter().any(|other| other.clashes(name)) => Layout::Tree,
            Wanted::Name(_) | Wanted::Id(_) | Wanted::Prefix(_) => Layout::Flat,
        })
        .collect();
    for (request, layout) in requests.iter_mut().zip(layouts) {
        request.layout = layout;
    }
}

/// The last component of a name.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What a text without a holder stands for.
pub(crate) fn wanted(text: &str) -> Result<Wanted, String> {
    if let Ok(id) = text.parse::<ContentId>() {
        return Ok(Wanted::Id(id));
    }
    if let Some(prefix) = text.strip_prefix("id:") {
        return id_prefix(prefix);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(format!("a name has at most {NAME_BYTES_MAX} bytes"));
    }
    let wanted = match text.contains(GLOB_CHARS) {
        true => Wanted::Glob(text.to_owned()),
        false => Wanted::Name(text.to_owned()),
    };
    if wanted.is_costly() {
        return Err(format!(
            "a pattern has at most {WILDCARDS_MAX} wildcards (*, ? and brackets) and {BRACKET_BYTES_MAX} bytes inside \
             brackets; shorten it, for example with one * in place of several ?"
        ));
    }
    Ok(wanted)
}

/// How `get` is told to fetch a content that is shared under `name`: the name when it says just that, else the id.
pub(crate) fn argument_for(id: &ContentId, name: &str) -> String {
    let written = if name.contains('@') { format!("{name}@") } else { name.to_owned() };
    let plain =
        !name.starts_with('-') && name.chars().all(|c| c == ' ' || !(c.is_control() || c.is_whitespace()));
    let says_it = Request::parse(&written)
        .is_ok_and(|request| request.at.is_none() && request.wanted == Wanted::Name(name.to_owned()));
    if plain && says_it && crate::types::name::printable(name) == name {
        shell_quoted(&written)
    } else {
        id.to_string()
    }
}

/// How something that is wanted is typed in a shell.
pub(crate) fn spoken(wanted: &Wanted) -> String {
    let word = match wanted {
        Wanted::All => "*".to_owned(),
        Wanted::Id(id) => id.to_string(),
        Wanted::Prefix(digits) => format!("id:{digits}"),
        Wanted::Name(text) | Wanted::Glob(text) => text.clone(),
    };
    crate::types::name::printable(&shell_quoted(&word))
}

fn id_prefix(prefix: &str) -> Result<Wanted, String> {
    let digits = prefix.to_ascii_lowercase();
    if let Ok(id) = digits.parse::<ContentId>() {
        return Ok(Wanted::Id(id));
    }
    if (1..64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Wanted::Prefix(digits));
    }
    Err("id: is followed by 1 to 64 hexadecimal digits, the beginning of an id in the output of 'chunkcast ls'"
        .to_owned())
}

/// A word as a POSIX shell reads it back.
pub(crate) fn shell_quoted(word: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || "-_./+,:@%=".contains(c);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(bare) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Wanted, Option<String>) {
        let request = Request::parse(text).unwrap();
        (request.wanted, request.at)
    }

    #[test]
    fn ids_prefixes_globs_names() {
        let id = "AB".repeat(32);
        assert_eq!(parsed(&id), (Wanted::Id(ContentId([0xab; 32])), None));
        assert_eq!(parsed(&format!("id:{id}")), (Wanted::Id(ContentId([0xab; 32])), None));
        assert_eq!(parsed("id:3F9a"), (Wanted::Prefix("3f9a".into()), None));
        assert_eq!(parsed("*.txt"), (Wanted::Glob("*.txt".into()), None));
        assert_eq!(parsed("a[1].txt"), (Wanted::Glob("a[1].txt".into()), None));
        assert_eq!(parsed("talk.mkv"), (Wanted::Name("talk.mkv".into()), None));
        assert_eq!(parsed(&id[..63]), (Wanted::Name(id[..63].into()), None));
        assert_eq!(parsed(&"?".repeat(64)), (Wanted::Glob("?".repeat(64)), None));
        let (long, bracket) = ("?".repeat(65), format!("[{}]", "a".repeat(257)));
        for bad in [
            "",
            "@",
            "@lab-7",
            "id:",
            "id:xyz",
            &format!("id:{}", "a".repeat(65)),
            &"n".repeat(1025),
            &long,
            &bracket,
        ] {
            assert!(Request::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn holders() {
        assert_eq!(
            parsed("talk.mkv@lab-7#3f9a"),
            (Wanted::Name("talk.mkv".into()), Some("lab-7#3f9a".into()))
        );
        assert_eq!(parsed("photo@2x.png@"), (Wanted::Name("photo@2x.png".into()), None));
        assert_eq!(parsed("photo@2x.png@lab"), (Wanted::Name("photo@2x.png".into()), Some("lab".into())));
        assert_eq!(parsed("*@lab"), (Wanted::Glob("*".into()), Some("lab".into())));
    }

    #[test]
    fn names_keep_their_folders_where_they_would_be_in_each_others_way() {
        let trees = |texts: &[&str], flat| {
            let mut requests: Vec<Request> = texts.iter().map(|text| Request::parse(text).unwrap()).collect();
            lay_out(&mut requests, flat);
            requests.iter().map(|request| request.layout == Layout::Tree).collect::<Vec<_>>()
        };
        assert_eq!(trees(&["pkg/LICENSE"], false), [false]);
        assert_eq!(trees(&["*", "id:3f9a"], false), [true, false]);
        assert_eq!(trees(&["a/x", "b/y"], false), [false, false]);
        assert_eq!(trees(&["a/x", "b/x", "c/y"], false), [true, true, false]);
        assert_eq!(trees(&["a/x", "a/x@lab"], false), [false, false]);
        assert_eq!(trees(&["a/x", "*.txt"], false), [false, true]);
        assert_eq!(trees(&["a/x.txt", "*.txt"], false), [true, true]);
        assert_eq!(trees(&["a/x.txt", "*.txt", "b/x.txt"], true), [false; 3]);
    }

    #[test]
    fn the_argument_leads_back_to_the_content() {
        let id = ContentId([7; 32]);
        assert_eq!(argument_for(&id, "talk.mkv"), "talk.mkv");
        assert_eq!(argument_for(&id, "my talk's.mkv"), r"'my talk'\''s.mkv'");
        assert_eq!(argument_for(&id, "photo@2x.png"), "photo@2x.png@");
        for unsayable in ["a*b", "-rf", "new\nline", "id:ab", &"ab".repeat(32), "tab\t", "bell\u{7}"] {
            assert_eq!(argument_for(&id, unsayable), id.to_string(), "{unsayable}");
        }
    }
}
