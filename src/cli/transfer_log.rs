//! What a line of the transfer log says, written and read back. The file itself is the store's.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Local};

use crate::cli::json::Direction;
use crate::cli::output::stamp;
use crate::core::PeerRef;
use crate::types::ContentId;
use crate::types::name::{printable, quoted};
use crate::wire::classic::{ChunkName, Dialect};
use crate::wire::push::Form;

/// What is logged.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// A chunk came or went.
    Chunk {
        dir: Direction,
        index: u32,
        of: u32,
        name: &'a str,
        bytes: u32,
        peer: &'a PeerRef,
        took: Duration,
    },
    /// A chunk did not come or go. `of` 0: not known.
    ChunkFailed { dir: Direction, index: u32, of: u32, name: &'a str, peer: &'a PeerRef, why: &'a str },
    /// A chunk was asked for, here or there.
    Request { dir: Direction, index: u32, of: u32, name: &'a str, peer: &'a PeerRef },
    /// Bytes of a file went to a reader by HTTP: `asked` from `first` on, all that one request asked for.
    Http { first: u64, asked: u64, of: u64, name: &'a str, bytes: u64, peer: SocketAddr, took: Duration },
    /// They did not go, or not all.
    HttpFailed { first: u64, asked: u64, of: u64, name: &'a str, bytes: u64, peer: SocketAddr, why: &'a str },
    /// A list of `have` chunks came or went; `new` of them had not been told before.
    List { dir: Direction, have: u32, of: u32, name: &'a str, new: u32, peer: &'a PeerRef },
    /// A file is there, by `word`: `verified` or `skipped`.
    Done { name: &'a str, id: ContentId, bytes: u64, took: Duration, peers: usize, word: &'static str },
    /// A classic chunk came or went; its name tells its number.
    ClassicChunk {
        dir: Direction,
        name: &'a ChunkName,
        bytes: u64,
        peer: SocketAddr,
        dialect: Dialect,
        took: Duration,
    },
    /// A classic chunk did not come or go. The dialect is not known of a request that made no sense.
    ClassicChunkFailed {
        dir: Direction,
        name: &'a ChunkName,
        peer: SocketAddr,
        dialect: Option<Dialect>,
        why: &'a str,
    },
    /// A file of classic chunks is there, by `word`: `unverified`, for nothing verifies it, or `skipped`.
    ClassicDone { name: &'a str, bytes: u64, took: Duration, peers: usize, word: &'static str },
    /// A file is with somebody it was sent to, who has verified it.
    Sent { name: &'a str, id: ContentId, bytes: u64, to: &'a PeerRef, took: Duration },
    /// A file was pushed in a dialect of the field. Nothing verifies it.
    Pushed { dir: Direction, name: &'a str, bytes: u64, peer: SocketAddr, form: Form, took: Duration },
    /// A file is not there.
    Failed { name: &'a str, id: Option<ContentId>, took: Duration, why: &'a str },
}

/// Makes lines, and keeps of the last one what the next mostly says again: the moment, as far as a line tells it, and the
/// peer. With many small files there are thousands a second.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    at_ms: i64,
    stamp: String,
    peer: KnownPeer,
}

/// A peer, and what lines say of it.
type KnownPeer = Option<(PeerRef, String)>;

impl Lines {
    /// The line of a record of this moment.
    pub(crate) fn line(&mut self, record: &Record<'_>) -> String {
        let now = Local::now();
        let at_ms = now.timestamp_millis();
        if self.at_ms != at_ms || self.stamp.is_empty() {
            (self.at_ms, self.stamp) = (at_ms, stamp(now));
        }
        line(&self.stamp, record, &mut self.peer)
    }
}

/// The line of a record. The most frequent are put together without the formatter.
fn line(stamp: &str, record: &Record<'_>, known: &mut KnownPeer) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = match record {
        Record::Chunk { dir, index, of, name, bytes, peer, took } => {
            let (dir, name, peer) = (word_of(*dir), quoted(name), peer_fields(peer, known));
            let (index, of, bytes) = (index.to_string(), of.to_string(), bytes.to_string());
            let took = milliseconds(*took);
            let place = [stamp, " ", dir, " chunk ", &index, "/", &of, " "].concat();
            return [&place, &name, " bytes=", &bytes, " ", peer, " dur=", &took, " ok"].concat();
        }
        Record::Done { name, id, bytes, took, peers, word } => {
            let (name, id, took) = (quoted(name), id.to_string(), seconds(*took));
            let (bytes, peers) = (bytes.to_string(), peers.to_string());
            let what = [stamp, " DONE ", &name, " id=", &id, " bytes=", &bytes].concat();
            return [&what, " dur=", &took, " peers=", &peers, " ", word].concat();
        }
        record => write_line(&mut text, stamp, record, known),
    };
    text
}

fn write_line(
    text: &mut String,
    stamp: &str,
    record: &Record<'_>,
    known: &mut KnownPeer,
) -> std::fmt::Result {
    write!(text, "{stamp} ")?;
    match record {
        Record::Chunk { .. } | Record::Done { .. } => Ok(()),
        Record::ChunkFailed { dir, index, of, name, peer, why } => {
            let (dir, name, peer) = (word_of(*dir), quoted(name), peer_fields(peer, known));
            let of = if *of == 0 { "?".to_owned() } else { of.to_string() };
            write!(text, "{dir} chunk {index}/{of} {name} {peer} failed {}", printable(why))
        }
        Record::Request { dir, index, of, name, peer } => {
            let (dir, name, peer) = (word_of(*dir), quoted(name), peer_fields(peer, known));
            write!(text, "{dir} request {index}/{of} {name} {peer} ok")
        }
        Record::Http { first, asked, of, name, bytes, peer, took } => {
            let (last, name, took) = (last_of(*first, *asked), quoted(name), took.as_secs_f64());
            write!(text, "UP http {first}-{last}/{of} {name} bytes={bytes} peer={peer} dur={took:.3} ok")
        }
        Record::HttpFailed { first, asked, of, name, bytes, peer, why } => {
            let (last, name, why) = (last_of(*first, *asked), quoted(name), printable(why));
            write!(text, "UP http {first}-{last}/{of} {name} bytes={bytes} peer={peer} failed {why}")
        }
        Record::List { dir, have, of, name, new, peer } => {
            let (dir, name, peer) = (word_of(*dir), quoted(name), peer_fields(peer, known));
            write!(text, "{dir} list {have}/{of} {name} new={new} {peer} ok")
        }
        Record::Sent { name, id, bytes, to, took } => {
            let (name, peer, took) = (quoted(name), peer_fields(to, known), seconds(*took));
            write!(text, "DONE {name} id={id} bytes={bytes} {peer} dur={took} sent")
        }
        Record::ClassicChunk { dir, name, bytes, peer, dialect, took } => {
            let (dir, index, took) = (word_of(*dir), name.index(), took.as_secs_f64());
            let name = quoted(&name.to_string());
            write!(
                text,
                "{dir} chunk {index}/? {name} bytes={bytes} peer={peer} classic={dialect} dur={took:.3} ok"
            )
        }
        Record::ClassicChunkFailed { dir, name, peer, dialect, why } => {
            let (dir, index, name) = (word_of(*dir), name.index(), quoted(&name.to_string()));
            let dialect = dialect.map_or("?", Dialect::as_str);
            write!(
                text,
                "{dir} chunk {index}/? {name} peer={peer} classic={dialect} failed {}",
                printable(why)
            )
        }
        Record::ClassicDone { name, bytes, took, peers, word } => {
            let (name, took) = (quoted(name), seconds(*took));
            write!(text, "DONE {name} bytes={bytes} dur={took} peers={peers} {word}")
        }
        Record::Pushed { dir, name, bytes, peer, form, took } => {
            let (name, took) = (quoted(name), seconds(*took));
            let word = match dir {
                Direction::Down => "received, unverified",
                Direction::Up => "sent, unverified",
            };
            write!(text, "DONE {name} bytes={bytes} peer={peer} push={form} dur={took} {word}")
        }
        Record::Failed { name, id, took, why } => {
            let id = id.map(|id| format!(" id={id}")).unwrap_or_default();
            let (name, took) = (quoted(name), seconds(*took));
            write!(text, "FAIL {name}{id} dur={took} {}", printable(why))
        }
    }
}

/// A line that was read back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Logged {
    pub(crate) stamp: DateTime<FixedOffset>,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The fields between name and ending, in their order, unquoted.
    pub(crate) fields: Vec<(String, String)>,
    /// How the line ends: `ok`, `failed ...`, `verified`, `skipped`, a reason.
    pub(crate) ending: String,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chunk {
        dir: Direction,
        index: u32,
        of: u32,
    },
    Request {
        dir: Direction,
        index: u32,
        of: u32,
    },
    List {
        dir: Direction,
        have: u32,
        of: u32,
    },
    /// Bytes from `first` to `last`, to a reader by HTTP.
    Http {
        first: u64,
        last: u64,
        of: u64,
    },
    Done,
    Failed,
}

impl Logged {
    /// Reads a line back; `None` for anything that [`line`] does not write.
    pub(crate) fn parse(line: &str) -> Option<Logged> {
        let (stamp, rest) = line.split_once(' ')?;
        let stamp = DateTime::parse_from_rfc3339(stamp).ok()?;
        let (word, rest) = rest.split_once(' ')?;
        let (kind, rest) = match word {
            "DONE" => (Kind::Done, rest),
            "FAIL" => (Kind::Failed, rest),
            "DOWN" => place(Direction::Down, rest)?,
            "UP" => place(Direction::Up, rest)?,
            _ => return None,
        };
        let (name, mut rest) = unquoted(rest)?;
        let mut fields = Vec::new();
        loop {
            rest = rest.strip_prefix(' ')?;
            let Some((key, value)) = rest.split_once('=').filter(|(key, _)| is_key(key)) else { break };
            let (value, after) = match value.starts_with('"') {
                true => unquoted(value)?,
                false => {
                    let end = value.find(' ').unwrap_or(value.len());
                    (value[..end].to_owned(), &value[end..])
                }
            };
            fields.push((key.to_owned(), value));
            rest = after;
        }
        Some(Logged { stamp, kind, name, fields, ending: rest.to_owned() })
    }

    /// The value of a field.
    pub(crate) fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

fn word_of(dir: Direction) -> &'static str {
    match dir {
        Direction::Down => "DOWN",
        Direction::Up => "UP",
    }
}

/// The last of `count` bytes, at least one, from `first` on.
fn last_of(first: u64, count: u64) -> u64 {
    first.saturating_add(count.saturating_sub(1))
}

/// Seconds with the precision that matters to a person.
fn seconds(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 1.0 { milliseconds(took) } else { format!("{seconds:.1}") }
}

/// Seconds to the millisecond.
fn milliseconds(took: Duration) -> String {
    let rounded = took.as_nanos().saturating_add(500_000) / 1_000_000;
    let (whole, rest) = ((rounded / 1000).to_string(), (1000 + rounded % 1000).to_string());
    [&whole, ".", &rest[1..]].concat()
}

fn peer_fields<'a>(peer: &PeerRef, known: &'a mut KnownPeer) -> &'a str {
    match known {
        Some((of, _)) if of == peer => {}
        _ => *known = Some((peer.clone(), fields_of(peer))),
    }
    known.as_ref().map_or("", |(_, fields)| fields)
}

fn fields_of(peer: &PeerRef) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    match peer.user.as_str() {
        "" => format!("peer={}", peer.addr),
        user if user.chars().all(bare) => format!("peer={} user={user}", peer.addr),
        user => format!("peer={} user={}", peer.addr, quoted(user)),
    }
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

/// What stands before the name of a line about a chunk, a request or a list.
fn place(dir: Direction, rest: &str) -> Option<(Kind, &str)> {
    let (what, rest) = rest.split_once(' ')?;
    let (place, rest) = rest.split_once(' ')?;
    let (index, of) = place.split_once('/')?;
    if what == "http" {
        let (first, last) = index.split_once('-')?;
        let kind = Kind::Http { first: first.parse().ok()?, last: last.parse().ok()?, of: of.parse().ok()? };
        return (dir == Direction::Up).then_some((kind, rest));
    }
    let of = if of == "?" { 0 } else { of.parse().ok()? };
    let index = index.parse().ok()?;
    let kind = match what {
        "chunk" => Kind::Chunk { dir, index, of },
        "request" => Kind::Request { dir, index, of },
        "list" => Kind::List { dir, have: index, of },
        _ => return None,
    };
    Some((kind, rest))
}

fn is_key(text: &str) -> bool {
    ["bytes", "peer", "user", "classic", "dur", "id", "peers", "new"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: &str = "2026-11-20T16:02:11.482+03:00";

    fn line_of(record: &Record<'_>) -> String {
        line(STAMP, record, &mut None)
    }

    fn peer(user: &str) -> PeerRef {
        PeerRef { id: None, addr: "192.168.1.27:7117".parse().unwrap(), user: user.to_owned() }
    }

    #[test]
    fn lines_are_those_of_the_documentation() {
        let down = Record::Chunk {
            dir: Direction::Down,
            index: 12,
            of: 2048,
            name: "talk.mkv",
            bytes: 524_288,
            peer: &peer("lab-7"),
            took: Duration::from_micros(6_100),
        };
        assert_eq!(
            line_of(&down),
            "2026-11-20T16:02:11.482+03:00 DOWN chunk 12/2048 \"talk.mkv\" bytes=524288 peer=192.168.1.27:7117 \
             user=lab-7 dur=0.006 ok"
        );
        let missed = Record::ChunkFailed {
            dir: Direction::Down,
            index: 77,
            of: 2048,
            name: "talk.mkv",
            peer: &peer(""),
            why: "hash-mismatch, asked elsewhere",
        };
        assert_eq!(
            line_of(&missed),
            "2026-11-20T16:02:11.482+03:00 DOWN chunk 77/2048 \"talk.mkv\" peer=192.168.1.27:7117 failed \
             hash-mismatch, asked elsewhere"
        );
        let done = Record::Done {
            name: "talk.mkv",
            id: ContentId([0x3f; 32]),
            bytes: 1 << 30,
            took: Duration::from_millis(9_800),
            peers: 4,
            word: "verified",
        };
        assert_eq!(
            line_of(&done),
            format!(
                "{STAMP} DONE \"talk.mkv\" id={} bytes=1073741824 dur=9.8 peers=4 verified",
                "3f".repeat(32)
            )
        );
        let failed =
            Record::Failed { name: "x", id: None, took: Duration::from_secs(3), why: "nobody offers it" };
        assert_eq!(line_of(&failed), format!("{STAMP} FAIL \"x\" dur=3.0 nobody offers it"));
        let unknown = Record::ChunkFailed {
            dir: Direction::Up,
            index: 7,
            of: 0,
            name: "x",
            peer: &peer("a b"),
            why: "w",
        };
        assert!(
            line_of(&unknown).contains("UP chunk 7/? \"x\" peer=192.168.1.27:7117 user=\"a b\" failed w")
        );
    }

    #[test]
    fn classic_lines_name_their_dialect_and_are_read_back() {
        let (name, peer) = (ChunkName::parse("forest_3").unwrap(), "192.168.2.65:8000".parse().unwrap());
        let (dir, took) = (Direction::Down, Duration::from_millis(12));
        let came = Record::ClassicChunk { dir, name: &name, bytes: 200, peer, dialect: Dialect::B, took };
        let line = line_of(&came);
        assert_eq!(
            line,
            format!(
                "{STAMP} DOWN chunk 3/? \"forest_3\" bytes=200 peer=192.168.2.65:8000 classic=B dur=0.012 ok"
            )
        );
        let logged = Logged::parse(&line).unwrap();
        assert_eq!((logged.field("classic"), logged.field("bytes")), (Some("B"), Some("200")));
        assert_eq!(logged.kind, Kind::Chunk { dir, index: 3, of: 0 });

        let dialect = Some(Dialect::ASize);
        let missed = Record::ClassicChunkFailed { dir, name: &name, peer, dialect, why: "closed\nearly" };
        let line = line_of(&missed);
        assert!(line.ends_with("peer=192.168.2.65:8000 classic=A-size failed closed\\nearly"), "{line}");
        let word = "unverified";
        let done = Record::ClassicDone { name: "forest.png", bytes: 1000, took, peers: 2, word };
        let logged = Logged::parse(&line_of(&done)).unwrap();
        assert_eq!((logged.kind, logged.ending.as_str()), (Kind::Done, "unverified"));
    }

    #[test]
    fn requests_and_lists_are_read_back() {
        let (name, dir) = ("talk.mkv", Direction::Up);
        let request = line_of(&Record::Request { dir, index: 3, of: 103, name, peer: &peer("lab-7") });
        assert_eq!(
            request,
            format!("{STAMP} UP request 3/103 \"talk.mkv\" peer=192.168.1.27:7117 user=lab-7 ok")
        );
        assert_eq!(Logged::parse(&request).unwrap().kind, Kind::Request { dir, index: 3, of: 103 });
        let dir = Direction::Down;
        let list = line_of(&Record::List { dir, have: 20, of: 103, name, new: 3, peer: &peer("") });
        assert_eq!(list, format!("{STAMP} DOWN list 20/103 \"talk.mkv\" new=3 peer=192.168.1.27:7117 ok"));
        let logged = Logged::parse(&list).unwrap();
        assert_eq!((logged.kind, logged.field("new")), (Kind::List { dir, have: 20, of: 103 }, Some("3")));
    }

    #[test]
    fn what_readers_by_http_took_is_read_back() {
        let (name, peer, took) = ("a b.txt", "192.168.1.30:51514".parse().unwrap(), Duration::from_millis(6));
        let sent = Record::Http { first: 100, asked: 24, of: 1000, name, bytes: 24, peer, took };
        let line = line_of(&sent);
        assert_eq!(
            line,
            format!("{STAMP} UP http 100-123/1000 \"a b.txt\" bytes=24 peer=192.168.1.30:51514 dur=0.006 ok")
        );
        let logged = Logged::parse(&line).unwrap();
        assert_eq!(logged.kind, Kind::Http { first: 100, last: 123, of: 1000 });
        let why = "the connection broke";
        let unsent = Record::HttpFailed { first: 0, asked: 1000, of: 1000, name, bytes: 24, peer, why };
        let logged = Logged::parse(&line_of(&unsent)).unwrap();
        assert_eq!(
            (logged.field("bytes"), logged.ending.as_str()),
            (Some("24"), "failed the connection broke")
        );
        assert_eq!(Logged::parse(&format!("{STAMP} DOWN http 1-2/3 \"x\" bytes=2 ok")), None);
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in
            ["", "x", "2026-11-20T16:02:11.482+03:00 WHAT \"x\" ok", "2026-11-20T16:02:11.482+03:00 DONE \"x"]
        {
            assert_eq!(Logged::parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_name_and_user_make_one_line_that_is_read_back(name in any::<String>(), user in any::<String>()) {
            let peer = peer(&user);
            let took = Duration::from_millis(6);
            let record =
                Record::Chunk { dir: Direction::Up, index: 1, of: 2, name: &name, bytes: 3, peer: &peer, took };
            let line = line_of(&record);
            prop_assert!(!line.chars().any(|c| c.is_control()));
            let logged = Logged::parse(&line).unwrap();
            prop_assert_eq!(&logged.name, &name);
            prop_assert_eq!(logged.kind, Kind::Chunk { dir: Direction::Up, index: 1, of: 2 });
            prop_assert_eq!(logged.field("user").unwrap_or(""), &user);
            prop_assert_eq!(logged.field("bytes"), Some("3"));
            prop_assert_eq!(logged.ending, "ok");
        }

        #[test]
        fn no_line_panics(line in any::<String>()) {
            let _ = Logged::parse(&line);
            let _ = Logged::parse(&format!("{STAMP} DOWN chunk 1/2 {line}"));
        }
    }
}
