//! The files of classic peers in `ls --classic`. Every line is marked, because nothing in it is verified.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::cli::classic::json::Line;
use crate::cli::human;
use crate::cli::output::Output;
use crate::core::ClassicContent;
use crate::types::ContentId;
use crate::types::name::printable;
use crate::wire::classic::Dialect;
use crate::wire::classic::split::{ChunkRule, FIFTHS};
use crate::wire::message::Wanted;

/// The widest a name is in a table, in columns.
const NAME_COLUMNS_MAX: usize = 60;
/// Whoever listens for less than this may miss peers: they announce once a minute.
const ROUND: Duration = Duration::from_secs(60);
/// What stands beside everything listed here.
const MARK: &str = "classic, unverified";

/// What to add for people when it was not listened long enough to hear every peer.
pub(crate) fn hint(wait: Duration) -> Option<&'static str> {
    (wait < ROUND).then_some("classic peers announce about once a minute; use --wait 65s to hear all of them")
}

/// Lists the files that are asked for; how many there are.
pub(crate) fn list_contents(
    contents: &[ClassicContent],
    wanted: &Wanted,
    long: bool,
    out: &mut Output,
) -> usize {
    let contents: Vec<&ClassicContent> = contents.iter().filter(|content| asked(wanted, content)).collect();
    for content in &contents {
        out.json(&Line::listed(content, of(content)).marked());
    }
    if !contents.is_empty() {
        let table = if long { long_table(&contents) } else { short_table(&contents) };
        out.result(table.trim_end());
    }
    contents.len()
}

/// Lists the peers that announced something; how many there are.
pub(crate) fn list_peers(contents: &[ClassicContent], out: &mut Output) -> usize {
    let peers = peers(contents);
    for (&peer, offered) in &peers {
        out.json(&Line::Peer { event: "listed", peer, count: offered.chunks }.marked());
    }
    if !peers.is_empty() {
        out.result(peer_table(&peers).trim_end());
    }
    peers.len()
}

/// What a peer announced.
#[derive(Debug, Default)]
struct Offered<'a> {
    files: BTreeSet<&'a str>,
    chunks: usize,
}

fn peers(contents: &[ClassicContent]) -> BTreeMap<IpAddr, Offered<'_>> {
    let mut peers: BTreeMap<IpAddr, Offered<'_>> = BTreeMap::new();
    for content in contents {
        for holder in content.chunks.values().flatten() {
            let offered = peers.entry(*holder).or_default();
            offered.files.insert(&content.file);
            offered.chunks += 1;
        }
    }
    peers
}

/// Whether a file is meant: by its name, or by that without its extension, which not every dialect tells.
fn asked(wanted: &Wanted, content: &ClassicContent) -> bool {
    let none = ContentId([0; 32]);
    match wanted {
        Wanted::All => true,
        Wanted::Name(_) | Wanted::Glob(_) => {
            let stem = content.file.rsplit_once('.').map_or(content.file.as_str(), |(stem, _)| stem);
            wanted.matches(&content.file, &none) || wanted.matches(stem, &none)
        }
        _ => false,
    }
}

/// How many chunks a file has, as far as announcements tell it.
fn of(content: &ClassicContent) -> Option<u32> {
    if content.dialects.iter().any(|dialect| dialect.chunk_rule() == ChunkRule::Fifths) {
        return Some(FIFTHS);
    }
    content.size.and_then(|size| ChunkRule::Fixed.count(size))
}

fn short_table(contents: &[&ClassicContent]) -> String {
    let rows: Vec<Vec<String>> = contents
        .iter()
        .map(|content| {
            let name = human::shortened(&printable(&content.file), NAME_COLUMNS_MAX);
            let holders: BTreeSet<&IpAddr> = content.chunks.values().flatten().collect();
            vec![name, chunks(content), holders.len().to_string(), dialects(content), MARK.to_owned()]
        })
        .collect();
    human::table(&["NAME", "CHUNKS", "PEERS", "DIALECTS", "MARK"], &[1, 2], &rows)
}

fn long_table(contents: &[&ClassicContent]) -> String {
    let mut text = String::new();
    for content in contents {
        text += &format!(
            "{}\n  {MARK}  {} chunks  {}\n",
            printable(&content.file),
            chunks(content),
            dialects(content)
        );
        for (index, holders) in &content.chunks {
            let holders: Vec<String> = holders.iter().map(IpAddr::to_string).collect();
            text += &format!("  chunk {index} at {}\n", holders.join(", "));
        }
    }
    text
}

fn peer_table(peers: &BTreeMap<IpAddr, Offered<'_>>) -> String {
    let row = |(peer, offered): (&IpAddr, &Offered<'_>)| {
        let (files, chunks) = (offered.files.len() as u64, offered.chunks as u64);
        vec![peer.to_string(), human::count(files), human::count(chunks), MARK.to_owned()]
    };
    let rows: Vec<Vec<String>> = peers.iter().map(row).collect();
    human::table(&["ADDRESS", "FILES", "CHUNKS", "MARK"], &[1, 2], &rows)
}

/// Chunks that somebody has, of those there are.
fn chunks(content: &ClassicContent) -> String {
    let of = of(content).map_or("?".to_owned(), |of| of.to_string());
    format!("{}/{of}", content.chunks.len())
}

fn dialects(content: &ClassicContent) -> String {
    content.dialects.iter().copied().map(Dialect::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(file: &str, holders: &[(u32, &[u8])], dialects: &[Dialect]) -> ClassicContent {
        let ip = |host: &u8| IpAddr::from([10, 0, 0, *host]);
        let chunks = holders.iter().map(|(index, hosts)| (*index, hosts.iter().map(ip).collect())).collect();
        ClassicContent { file: file.to_owned(), chunks, dialects: dialects.to_vec(), size: None }
    }

    #[test]
    fn files_are_listed_with_what_is_known_and_their_mark() {
        let holders: &[(u32, &[u8])] = &[(1, &[1, 2]), (2, &[2]), (4, &[2]), (5, &[3])];
        let forest = content("forest\u{1b}.png", holders, &[Dialect::B, Dialect::C]);
        assert_eq!(
            short_table(&[&forest]),
            "NAME              CHUNKS  PEERS  DIALECTS  MARK\n\
             forest\\u{1b}.png     4/5      3  B C       classic, unverified\n"
        );
        let long = long_table(&[&forest]);
        assert!(long.contains("classic, unverified  4/5 chunks  B C") && !long.contains('\u{1b}'), "{long}");
        assert!(long.contains("  chunk 1 at 10.0.0.1, 10.0.0.2\n"), "{long}");
        let peers = peer_table(&peers(std::slice::from_ref(&forest)));
        assert!(peers.contains("10.0.0.2      1       3  classic, unverified"), "{peers}");
    }

    #[test]
    fn how_many_chunks_there_are_follows_from_the_dialect_or_the_size() {
        let mut of_d = content("a.png", &[(1, &[1])], &[Dialect::D]);
        assert_eq!(chunks(&of_d), "1/?");
        of_d.size = Some(250_000);
        assert_eq!(chunks(&of_d), "1/3");
        assert_eq!(chunks(&content("a.png", &[(1, &[1])], &[Dialect::A])), "1/5");
    }

    #[test]
    fn names_are_asked_for_with_and_without_extension_and_ids_never() {
        let forest = content("forest.png", &[], &[Dialect::B]);
        for (wanted, is) in [
            (Wanted::All, true),
            (Wanted::Name("forest.png".into()), true),
            (Wanted::Name("forest".into()), true),
            (Wanted::Name("fore".into()), false),
            (Wanted::Glob("*.png".into()), true),
            (Wanted::Glob("*.jpg".into()), false),
            (Wanted::Id(ContentId([0; 32])), false),
            (Wanted::Prefix("0".into()), false),
        ] {
            assert_eq!(asked(&wanted, &forest), is, "{wanted:?}");
        }
    }

    #[test]
    fn who_listens_less_than_a_round_is_told_so() {
        assert!(hint(Duration::from_secs(1)).is_some());
        assert!(hint(Duration::from_secs(65)).is_none());
    }
}
