//! JSON lines about classic peers that are no events: listings and failures. Every object has `classic: true` and
//! `verified: false` besides the common fields, and no id, because classic dialects have none.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::core::ClassicContent;

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
    /// A peer in a listing, with how many chunks are known of it.
    Peer { event: &'static str, peer: IpAddr, count: usize },
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
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::classic::Dialect;

    fn value(line: Line<'_>) -> Value {
        serde_json::to_value(line.marked()).unwrap()
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
}
