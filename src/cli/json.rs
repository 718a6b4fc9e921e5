//! JSON lines: one object a line, the interface for programs.
//!
//! Every object has `v`, `ts` and `t`; readers ignore what they do not know. Bytes are integers, durations seconds, ids
//! hexadecimal. Names are the raw text of the network; characters that could mislead a terminal are written as
//! `\uXXXX`, which any JSON reader turns back.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::core::io::json::{Object, TerminalSafe};
use crate::core::{Direction, EventObject, PeerRef};
use crate::types::{ContentId, PeerId};

/// The version of the objects.
pub(crate) const VERSION: u32 = 1;

/// One object.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    /// A peer is started; the first line of a command that runs one.
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
        #[serde(rename = "push_tcp", skip_serializing_if = "Option::is_none")]
        transfer_tcp: Option<&'a [u16]>,
        /// Where browsers see what is shared.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        urls: &'a [String],
        pid: u32,
    },
    /// A peer in a listing.
    Peer {
        event: &'static str,
        #[serde(flatten)]
        who: Who<'a>,
        /// Entries in its catalogue.
        offers: u32,
        silent: f64,
        connected: bool,
    },
    /// A content is offered by others, is a local file's, or is shared once it was fetched.
    Content {
        event: ContentEvent,
        id: ContentId,
        name: &'a str,
        size: u64,
        /// Chunks there are.
        of: u32,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        holders: &'a [Holder<'a>],
    },
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
    /// A file is complete, here or wherever it was to go, among neighbours.
    Activity { what: &'static str, id: ContentId, name: &'a str, of: u32, have: u32 },
    /// An offer of a file to somebody, made here or come in.
    #[serde(rename = "push")]
    Offer {
        event: OfferLine,
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
    /// A file is sent in a form of other programs.
    #[serde(rename = "foreign")]
    Transfer(TransferLine<'a>),
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
    /// Something answers where a peer was named, or came to the owner of a ring, but it is none.
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
pub(crate) struct TransferLine<'a> {
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

/// What a `push` line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OfferLine {
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
    /// In a listing of what others offer.
    Listed,
    /// The hash of a local file.
    Hashed,
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
    crate::core::io::json::seconds(&took)
}

/// A path as JSON lines carry it.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Something that is an object of its own.
pub(crate) trait JsonLine {
    /// Adds it to `bytes` as one line, stamped `ts`, with its line end.
    fn write(&self, bytes: &mut Vec<u8>, ts: &str);
}

impl<L: Serialize> JsonLine for L {
    fn write(&self, bytes: &mut Vec<u8>, ts: &str) {
        #[derive(Serialize)]
        struct Stamped<'a, L> {
            v: u32,
            ts: &'a str,
            #[serde(flatten)]
            line: &'a L,
        }
        let before = bytes.len();
        let written = Stamped { v: VERSION, ts, line: self }
            .serialize(&mut serde_json::Serializer::with_formatter(&mut *bytes, TerminalSafe));
        if let Err(error) = written {
            log::error!("a JSON line could not be made: {error}");
            return bytes.truncate(before);
        }
        bytes.push(b'\n');
    }
}

impl JsonLine for EventObject<'_> {
    fn write(&self, bytes: &mut Vec<u8>, ts: &str) {
        let (before, mut is_made) = (bytes.len(), true);
        Object::write(bytes, VERSION, ts, |line| is_made = self.put_into(line));
        if !is_made {
            bytes.truncate(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn value(line: &Line<'_>) -> Value {
        let mut bytes = Vec::new();
        line.write(&mut bytes, "2026-11-20T16:02:11.482+03:00");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&bytes).unwrap()
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
        let (id, event) = (ContentId([0; 32]), ContentEvent::Shared);
        let mut bytes = Vec::new();
        Line::Content { event, id, name, size: 0, of: 0, holders: &[] }.write(&mut bytes, "now");
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7f}', '\u{9b}', '\u{e0041}']), "{text}");
        assert!(text.contains("ü漢"));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["name"], json!(name));
    }
}
