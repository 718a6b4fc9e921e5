//! JSON lines about classic peers and their data. Every object has `classic: true` and `verified: false` besides the
//! common fields, and no id, because classic dialects have none.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::cli::json::Direction;
use crate::core::{ClassicContent, ClassicEvent};
use crate::wire::classic::{ChunkName, Dialect};

/// One object, with its marks.
#[derive(Debug, Serialize)]
pub(crate) struct Marked<'a> {
    classic: bool,
    verified: bool,
    #[serde(flatten)]
    line: Line<'a>,
}

/// What an object says; type and fields are those of the native lines, as far as there is the same to say.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    /// A round of announcements went out.
    Announced { chunks: usize },
    /// A peer announced chunks, went silent, or stands in a listing.
    Peer {
        event: PeerEvent,
        peer: IpAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        /// How many chunks are new, forgotten, or known.
        count: usize,
        /// The new ones.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        chunks: Vec<String>,
    },
    /// A file in a listing of what others offer.
    Content {
        event: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Chunks that somebody has.
        have: usize,
        /// Chunks there are, as far as can be said.
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<u32>,
        dialects: Vec<&'static str>,
        /// Who has which chunk, by its number from 1.
        chunks: &'a BTreeMap<u32, Vec<IpAddr>>,
    },
    /// A file was found; its chunks are fetched.
    Start { name: &'a str, had: u32, peers: usize },
    /// A chunk came or went; only with `--json=chunks`.
    Chunk {
        dir: Direction,
        name: String,
        index: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        peer: SocketAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        dialect: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dur: Option<f64>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// A chunk is asked of another peer, of nobody for now, or a file waits for announcements.
    Retry {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<SocketAddr>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dialect: Option<&'static str>,
        reason: &'a str,
        /// Numbers of the chunks that nobody announces.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        missing: &'a [u32],
    },
    /// A file is joined and in place.
    Done { name: &'a str, path: String, bytes: u64, dur: f64, peers: usize, skipped: bool },
    /// A file was not got.
    Error {
        exit: u8,
        kind: &'static str,
        name: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
        /// Names of the chunks that are missing.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<String>,
    },
}

/// What a `peer` line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PeerEvent {
    Announced,
    Lost,
    Listed,
}

impl<'a> Line<'a> {
    /// With the marks of everything classic.
    pub(crate) fn marked(self) -> Marked<'a> {
        Marked { classic: true, verified: false, line: self }
    }

    /// A file in a listing.
    pub(crate) fn listed(content: &'a ClassicContent, of: Option<u32>) -> Line<'a> {
        Line::Content {
            event: "listed",
            name: &content.file,
            size: content.size,
            have: content.chunks.len(),
            of,
            dialects: content.dialects.iter().map(|dialect| dialect.as_str()).collect(),
            chunks: &content.chunks,
        }
    }

    /// The line about a chunk that came, went, or did not; `None` for other events.
    pub(crate) fn of_chunk(event: &'a ClassicEvent) -> Option<Line<'a>> {
        let moved = |dir, name: &ChunkName, bytes: u64, peer, dialect: Dialect, took| Line::Chunk {
            dir,
            name: name.to_string(),
            index: name.index(),
            bytes: Some(bytes),
            peer,
            dialect: Some(dialect.as_str()),
            dur: Some(crate::cli::json::seconds(took)),
            ok: true,
            reason: None,
        };
        match event {
            ClassicEvent::ChunkReceived { name, bytes, from, dialect, took, .. } => {
                Some(moved(Direction::Down, name, *bytes, *from, *dialect, *took))
            }
            ClassicEvent::ChunkSent { name, bytes, to, dialect, took } => {
                Some(moved(Direction::Up, name, *bytes, *to, *dialect, *took))
            }
            ClassicEvent::ChunkUnsent { name, to, why } => Some(Line::Chunk {
                dir: Direction::Up,
                name: name.to_string(),
                index: name.index(),
                bytes: None,
                peer: *to,
                dialect: None,
                dur: None,
                ok: false,
                reason: Some(why),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn value(line: Line<'_>) -> Value {
        let bytes = crate::cli::json::encode(&line.marked(), "2026-11-20T16:02:11.482+03:00").unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_chunk_has_its_marks_and_its_dialect_and_no_id() {
        let event = ClassicEvent::ChunkReceived {
            ticket: 0,
            name: ChunkName::parse("forest_3").unwrap(),
            bytes: 200,
            from: "192.168.2.65:8000".parse().unwrap(),
            dialect: Dialect::BJson,
            took: Duration::from_millis(250),
        };
        assert_eq!(
            value(Line::of_chunk(&event).unwrap()),
            json!({
                "v": 1, "t": "chunk", "ts": "2026-11-20T16:02:11.482+03:00", "classic": true, "verified": false,
                "dir": "down", "name": "forest_3", "index": 3, "bytes": 200, "peer": "192.168.2.65:8000",
                "dialect": "B-json", "dur": 0.25, "ok": true,
            })
        );
        assert!(Line::of_chunk(&ClassicEvent::Announced { chunks: 1 }).is_none());
    }

    #[test]
    fn a_listed_file_says_who_has_which_chunk() {
        let content = ClassicContent {
            file: "forest.png".into(),
            chunks: BTreeMap::from([(1, vec!["10.0.0.1".parse().unwrap()]), (4, vec![])]),
            dialects: vec![Dialect::A, Dialect::C],
            size: None,
        };
        let value = value(Line::listed(&content, Some(5)));
        assert_eq!((&value["t"], &value["event"]), (&json!("content"), &json!("listed")));
        assert_eq!((&value["have"], &value["of"]), (&json!(2), &json!(5)));
        assert_eq!((&value["classic"], &value["verified"]), (&json!(true), &json!(false)));
        assert_eq!(value["chunks"], json!({ "1": ["10.0.0.1"], "4": [] }));
        assert_eq!(value["dialects"], json!(["A", "C"]));
        assert!(value.get("id").is_none() && value.get("size").is_none());
    }

    #[test]
    fn a_file_that_is_there_is_not_verified() {
        let (name, path) = ("forest.png", "./forest.png".to_owned());
        let line = value(Line::Done { name, path, bytes: 1000, dur: 0.5, peers: 3, skipped: false });
        assert_eq!(
            (&line["t"], &line["verified"], &line["classic"]),
            (&json!("done"), &json!(false), &json!(true))
        );
    }
}
