//! Lines of a transfer log that an earlier version wrote: text for people instead of objects.

use chrono::DateTime;

use crate::cli::log::entry::{Entry, Kind};
use crate::core::Direction;
use crate::types::name::quoted;

/// What stands between the name and the ending.
const KEYS: [&str; 8] = ["bytes", "peer", "user", "classic", "dur", "id", "peers", "new"];

/// Reads such a line; `None` for anything else.
pub(super) fn parse(line: &str) -> Option<Entry> {
    let (stamp, rest) = line.split_once(' ')?;
    let stamp = DateTime::parse_from_rfc3339(stamp).ok()?;
    let (word, rest) = rest.split_once(' ')?;
    let (mut entry, rest) = match word {
        "DONE" => (Entry { kind: Kind::Done, ..Entry::default() }, rest),
        "FAIL" => (Entry { kind: Kind::Error, ..Entry::default() }, rest),
        "DOWN" => place(Direction::Down, rest)?,
        "UP" => place(Direction::Up, rest)?,
        _ => return None,
    };
    let (name, mut rest) = unquoted(rest)?;
    (entry.stamp, entry.name) = (stamp, name);
    loop {
        rest = rest.strip_prefix(' ')?;
        let Some((key, value)) = rest.split_once('=').filter(|(key, _)| KEYS.contains(key)) else { break };
        let (value, after) = match value.starts_with('"') {
            true => unquoted(value)?,
            false => {
                let (value, after) = value.split_at(value.find(' ').unwrap_or(value.len()));
                (value.to_owned(), after)
            }
        };
        match key {
            "id" => entry.id = value.parse().ok(),
            "bytes" => entry.bytes = value.parse().ok(),
            "new" => entry.new = value.parse().ok(),
            "peer" => entry.peer = Some(value),
            "user" => entry.user = Some(value),
            "classic" => (entry.classic, entry.dialect) = (true, Some(value)),
            "dur" => entry.dur = value.parse().ok(),
            _ => entry.peers = value.parse().ok(),
        }
        rest = after;
    }
    entry.ok = rest == "ok";
    entry.reason = rest.strip_prefix("failed ").map(str::to_owned);
    (entry.verified, entry.skipped) = (rest == "verified", rest == "skipped");
    entry.message = rest.to_owned();
    Some(entry)
}

/// What stands before the name of a line about a chunk, a request or a list.
fn place(dir: Direction, rest: &str) -> Option<(Entry, &str)> {
    let (what, rest) = rest.split_once(' ')?;
    let (place, rest) = rest.split_once(' ')?;
    let (number, of) = place.split_once('/')?;
    if what == "http" {
        let (first, last) = number.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let (asked, of) = (last.saturating_sub(first).saturating_add(1), of.parse().ok()?);
        let entry = Entry { kind: Kind::Http, dir, first, asked, of, ..Entry::default() };
        return (dir == Direction::Up).then_some((entry, rest));
    }
    let of: u32 = if of == "?" { 0 } else { of.parse().ok()? };
    let (of, number) = (of.into(), Some(number.parse().ok()?));
    let entry = Entry { kind: Kind::Activity, dir, of, ..Entry::default() };
    let entry = match (what, dir) {
        ("chunk", _) => Entry { kind: Kind::Chunk, index: number, ..entry },
        ("request", Direction::Down) => Entry { what: "requested_chunk".to_owned(), index: number, ..entry },
        ("request", Direction::Up) => Entry { what: "received_request".to_owned(), index: number, ..entry },
        ("list", Direction::Down) => Entry { what: "received_list".to_owned(), have: number, ..entry },
        ("list", Direction::Up) => Entry { what: "sent_list".to_owned(), have: number, ..entry },
        _ => return None,
    };
    Some((entry, rest))
}

/// A user name as lines have it: in quotes, unless it needs none.
pub(super) fn bare_or_quoted(user: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if user.chars().all(bare) { user.to_owned() } else { quoted(user) }
}

/// What [`quoted`] wrote, and the rest of the line.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => match chars.next()? {
                'u' => {
                    let (digits, after) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    chars = after.chars();
                }
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                escaped => out.push(escaped),
            },
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: &str = "2026-11-20T16:02:11.482+03:00";

    #[test]
    fn other_lines_are_left_alone() {
        for line in
            ["", "x", "2026-11-20T16:02:11.482+03:00 WHAT \"x\" ok", "2026-11-20T16:02:11.482+03:00 DONE \"x"]
        {
            assert_eq!(Entry::parse(line), None, "{line}");
        }
        assert_eq!(Entry::parse(&format!("{STAMP} DOWN http 1-2/3 \"x\" bytes=2 ok")), None);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in any::<String>()) {
            let _ = Entry::parse(&line);
            let _ = Entry::parse(&format!("{STAMP} DOWN chunk 1/2 {line}"));
        }
    }
}
