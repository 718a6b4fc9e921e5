//! JSON lines: one object a line, the interface for programs.
//!
//! Every object has `v`, `ts` and `t`; readers ignore what they do not know. Bytes are integers, durations seconds, ids
//! hexadecimal. Names are the raw text of the network; characters that could mislead a terminal are written as
//! `\uXXXX`, which any JSON reader turns back.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::core::PeerRef;
use crate::types::name::printable;
use crate::types::{ContentId, PeerId};

/// The version of the objects.
const VERSION: u32 = 1;

/// One object.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    /// A peer stands; the first line of a command that runs one.
    Hello {
        command: &'static str,
        version: &'static str,
        user: &'a str,
        /// The discovery port; none where only the classic dialects are spoken.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// The TCP port; none where no native peer can connect.
        #[serde(skip_serializing_if = "Option::is_none")]
        tcp_port: Option<u16>,
        /// UDP ports on which classic peers are heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        classic_udp: Option<&'a [u16]>,
        /// TCP ports on which classic peers are served.
        #[serde(skip_serializing_if = "Option::is_none")]
        classic_tcp: Option<&'a [u16]>,
        /// TCP ports on which files are taken from senders of the field.
        #[serde(skip_serializing_if = "Option::is_none")]
        push_tcp: Option<&'a [u16]>,
        /// Where browsers see what is shared.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        urls: &'a [String],
        pid: u32,
    },
    /// A peer was found, lost or struck, or stands in a listing.
    Peer {
        event: PeerEvent,
        #[serde(flatten)]
        who: Who<'a>,
        /// Entries in its catalogue.
        #[serde(skip_serializing_if = "Option::is_none")]
        offers: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        silent: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        connected: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// A content is shared here, no longer so, or offered by others.
    Content {
        event: ContentEvent,
        id: ContentId,
        name: &'a str,
        size: u64,
        /// Chunks there are.
        of: u32,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        holders: &'a [Holder<'a>],
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A download begins: its manifest is verified.
    Start { id: ContentId, name: &'a str, size: u64, chunks: u32, chunk_bytes: u32, had: u32 },
    /// How far a download is; at most two a second and download.
    Progress {
        id: ContentId,
        name: &'a str,
        size: u64,
        bytes: u64,
        have: u32,
        chunks: u32,
        in_flight: usize,
        /// Bytes a second.
        rate: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        eta: Option<u64>,
        peers: usize,
    },
    /// A chunk came or went; only with `--json=chunks`.
    Chunk {
        dir: Direction,
        id: ContentId,
        name: &'a str,
        index: u32,
        of: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u32>,
        #[serde(flatten)]
        who: Who<'a>,
        /// Whether that peer held the whole content.
        #[serde(skip_serializing_if = "Option::is_none")]
        from_complete: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dur: Option<f64>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// Bytes of a file went to a reader by HTTP, all that one request asked for; only with `--json=chunks`.
    Http {
        dir: Direction,
        id: ContentId,
        name: &'a str,
        /// The first byte asked for, how many were, and how many the file has.
        first: u64,
        asked: u64,
        of: u64,
        /// How many went.
        bytes: u64,
        peer: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        dur: Option<f64>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// Something that neighbours do.
    Activity {
        what: &'static str,
        id: ContentId,
        name: &'a str,
        /// The chunk.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
        of: u32,
        /// Of a list of chunks: how many there are in it, and how many of them were not told before.
        #[serde(skip_serializing_if = "Option::is_none")]
        have: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new: Option<u32>,
        /// What the peer is to this one.
        #[serde(skip_serializing_if = "Option::is_none")]
        part: Option<&'static str>,
        #[serde(flatten)]
        who: Option<Who<'a>>,
    },
    /// A chunk is asked elsewhere, or a download waits for holders.
    Retry {
        id: ContentId,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
        #[serde(flatten)]
        who: Option<Who<'a>>,
        reason: &'a str,
        /// The first few chunks that no connected peer has.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        missing: &'a [u32],
        #[serde(skip_serializing_if = "Option::is_none")]
        missing_count: Option<u32>,
        /// The content that has the name now.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaced_by: Option<ContentId>,
    },
    /// An offer of a file to somebody, made here or come in.
    Push {
        event: PushLine,
        id: ContentId,
        name: &'a str,
        size: u64,
        #[serde(flatten)]
        who: Option<Who<'a>>,
        /// The recipient, as it was typed.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
        /// Bytes of it that this process sent there.
        #[serde(skip_serializing_if = "Option::is_none")]
        sent: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(flatten)]
        arrival: Option<ArrivalLine>,
    },
    /// A file is pushed in a dialect of the field.
    Foreign(ForeignLine<'a>),
    /// A file is complete, verified, in place; or was there, or was left alone.
    Done {
        id: ContentId,
        name: &'a str,
        path: String,
        bytes: u64,
        dur: f64,
        /// Peers that chunks came from; 0 when it was there already.
        peers: usize,
        verified: bool,
        /// The target exists and was left alone.
        skipped: bool,
    },
    /// Something answers where a peer was named, but it is none.
    NotAPeer {
        /// Its address.
        peer: String,
        /// The first bytes that it said, as text.
        said: &'a str,
        message: &'a str,
    },
    /// Something failed.
    Error {
        /// The exit code this alone would end with.
        exit: u8,
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<ContentId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
    },
    /// A chunk that the transfer log tells of.
    #[serde(rename = "chunk")]
    LoggedChunk {
        dir: Direction,
        name: &'a str,
        index: u32,
        of: u32,
        bytes: Option<u64>,
        peer: Option<&'a str>,
        user: Option<&'a str>,
        dur: Option<f64>,
        /// The classic dialect it moved in.
        #[serde(skip_serializing_if = "Option::is_none")]
        dialect: Option<&'a str>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// What a reader by HTTP took, as the transfer log tells it.
    #[serde(rename = "http")]
    LoggedHttp {
        dir: Direction,
        name: &'a str,
        first: u64,
        asked: u64,
        of: u64,
        bytes: Option<u64>,
        peer: Option<&'a str>,
        dur: Option<f64>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// A request or a list of chunks that the transfer log tells of.
    #[serde(rename = "activity")]
    LoggedActivity {
        what: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
        of: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        have: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new: Option<u64>,
        peer: Option<&'a str>,
        user: Option<&'a str>,
    },
    /// A file that the transfer log says is there.
    #[serde(rename = "done")]
    LoggedDone {
        id: Option<ContentId>,
        name: &'a str,
        bytes: Option<u64>,
        dur: Option<f64>,
        peers: Option<u64>,
        verified: bool,
        skipped: bool,
    },
    /// A file that the transfer log says is not.
    #[serde(rename = "error")]
    LoggedError { id: Option<ContentId>, name: &'a str, dur: Option<f64>, message: &'a str },
    /// There is more on offer than what was listed.
    More { listed: usize },
    /// How it all ended; always last.
    Summary {
        command: &'static str,
        exit: u8,
        kind: &'static str,
        done: usize,
        failed: usize,
        bytes: u64,
        dur: f64,
    },
}

/// What a `foreign` line tells: a file that comes from a sender of the field, or goes to a receiver. What is not known
/// is left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ForeignLine<'a> {
    /// `came`, `received`, `sent` or `failed`.
    pub(crate) event: &'static str,
    pub(crate) dir: Direction,
    pub(crate) peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) form: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    /// The size that the sender says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// What the bytes are: `image`, `csv`, `json`, `text`, `empty` or `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<&'a str>,
    /// From the connection to the last byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<f64>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u64>,
    /// Whether the receiver said that it has the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acknowledged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
}

/// What a `peer` line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PeerEvent {
    Found,
    Lost,
    Struck,
    Listed,
}

/// What a `push` line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PushLine {
    /// The recipient has the offer.
    Offered,
    /// The recipient accepted, or somebody here did.
    Accepted,
    /// How far it is.
    Sending,
    /// The recipient went away, and is waited for.
    Lost,
    /// The recipient has the file, verified.
    Verified,
    /// The recipient does not have it.
    Failed,
    /// An offer came.
    Came,
    /// An offer was declined here.
    Declined,
    /// Its sender waits for no answer any more.
    Gone,
    /// The file is here, verified.
    Received,
}

/// What is known of a file that came.
#[derive(Debug, Serialize)]
pub(crate) struct ArrivalLine {
    /// What its bytes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    /// From the offer to the verified file.
    pub(crate) latency: f64,
    /// Bytes a second.
    pub(crate) rate: u64,
}

/// What a `content` line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContentEvent {
    /// Shared by this process from now on.
    Shared,
    /// No longer shared by this process.
    Withdrawn,
    /// In a listing of what others offer.
    Listed,
    /// The hash of a local file.
    Hashed,
}

/// Which way a chunk went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    #[default]
    Down,
    Up,
}

/// A peer, in every line about one.
#[derive(Debug, Serialize)]
pub(crate) struct Who<'a> {
    /// Its address.
    peer: String,
    /// Its user name.
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<PeerId>,
}

/// Who holds how much of a content.
#[derive(Debug, Serialize)]
pub(crate) struct Holder<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    have: u32,
}

impl<'a> Who<'a> {
    pub(crate) fn of(peer: &'a PeerRef) -> Who<'a> {
        Who { peer: peer.addr.to_string(), user: &peer.user, peer_id: peer.id }
    }
}

impl<'a> Holder<'a> {
    pub(crate) fn of(peer: &'a PeerRef, have: u32) -> Holder<'a> {
        Holder { who: Who::of(peer), have }
    }
}

/// A duration as JSON lines carry it: seconds, to the microsecond.
pub(crate) fn seconds(took: Duration) -> f64 {
    // Microseconds of any plausible duration are exact in 53 bits.
    took.as_micros() as f64 / 1_000_000.0
}

/// A path as JSON lines carry it.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The object as one line, stamped `ts`, with its line end.
pub(crate) fn encode(line: &impl Serialize, ts: &str) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Stamped<'a, L> {
        v: u32,
        ts: &'a str,
        #[serde(flatten)]
        line: &'a L,
    }
    let mut bytes = Vec::with_capacity(256);
    Stamped { v: VERSION, ts, line }
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, TerminalSafe))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Compact JSON in which no character beyond ASCII stands as itself that [`printable`] would escape.
struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\u{7f}') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut place = [0; 4];
        for c in fragment.chars() {
            let text = &*c.encode_utf8(&mut place);
            if (c.is_ascii() && c != '\u{7f}') || printable(text) == text {
                writer.write_all(text.as_bytes())?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn value(line: &Line<'_>) -> Value {
        let bytes = encode(line, "2026-11-20T16:02:11.482+03:00").unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&bytes).unwrap()
    }

    fn lab() -> PeerRef {
        PeerRef {
            id: Some(PeerId([1; 16])),
            addr: "192.168.1.27:7117".parse().unwrap(),
            user: "lab-7".into(),
        }
    }

    #[test]
    fn a_chunk_line() {
        let peer = lab();
        let line = Line::Chunk {
            dir: Direction::Down,
            id: ContentId([0xab; 32]),
            name: "talk.mkv",
            index: 12,
            of: 2048,
            bytes: Some(524_288),
            who: Who::of(&peer),
            from_complete: Some(true),
            dur: Some(seconds(Duration::from_micros(6250))),
            ok: true,
            reason: None,
        };
        assert_eq!(
            value(&line),
            json!({
                "v": 1, "t": "chunk", "ts": "2026-11-20T16:02:11.482+03:00",
                "dir": "down", "id": "ab".repeat(32), "name": "talk.mkv", "index": 12, "of": 2048, "bytes": 524_288,
                "peer": "192.168.1.27:7117", "user": "lab-7", "peer_id": "01".repeat(16),
                "from_complete": true, "dur": 0.00625, "ok": true,
            })
        );
    }

    #[test]
    fn a_waiting_line_has_no_peer() {
        let line = Line::Retry {
            id: ContentId([0; 32]),
            name: "a",
            index: None,
            who: None,
            reason: "waiting",
            missing: &[3, 17],
            missing_count: Some(2),
            replaced_by: None,
        };
        let value = value(&line);
        assert_eq!((&value["t"], &value["missing"]), (&json!("retry"), &json!([3, 17])));
        assert!(value.get("peer").is_none() && value.get("index").is_none());
    }

    #[test]
    fn summaries_and_errors() {
        let line = Line::Summary {
            command: "get",
            exit: 10,
            kind: "partial",
            done: 1,
            failed: 2,
            bytes: 5,
            dur: 1.5,
        };
        assert_eq!(value(&line)["exit"], json!(10));
        let line =
            Line::Error { exit: 3, kind: "nobody-offers", id: None, name: None, message: "m", next: None };
        assert_eq!(value(&line)["kind"], json!("nobody-offers"));
    }

    #[test]
    fn hostile_names_come_back_and_show_nothing() {
        let name = "a\u{1b}[2J\n\u{202e}gpj.exe\u{7f}\u{9b}\u{e0041}ü漢";
        let line =
            Line::Start { id: ContentId([0; 32]), name, size: 0, chunks: 0, chunk_bytes: 1024, had: 0 };
        let text = String::from_utf8(encode(&line, "now").unwrap()).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7f}', '\u{9b}', '\u{e0041}']), "{text}");
        assert!(text.contains("ü漢"));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["name"], json!(name));
    }
}
