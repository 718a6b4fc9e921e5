//! Events as JSON objects: what `--json` prints and what the transfer log keeps. Keys stand in the order of the
//! documentation.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::core::io::{ClassicEvent, Event, PeerRef};
use crate::types::ContentId;
use crate::types::name::printable;
use crate::wire::classic::{ChunkName, Dialect};

/// Which way something went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It came.
    #[default]
    Down,
    /// It went.
    Up,
}

/// Where an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// On the standard output of a command.
    Output,
    /// In the transfer log. A chunk that did not come is a chunk there, and no retry.
    Log,
    /// Among the activities of neighbours. A chunk that moved is an activity there.
    Neighbours,
}

/// An event with what it does not carry itself: the object that it is in JSON.
///
/// Events about searches, offers and transfers have no object: what a command knows of them is told by the command.
#[derive(Debug, Clone, Copy)]
pub struct EventObject<'a> {
    /// The event.
    pub event: &'a Event,
    /// The name of the file that it is about.
    pub name: &'a str,
    /// How many chunks that file has, where the event does not say; 0: unknown.
    pub chunks: u32,
    /// What the peer is to this one, in an arrangement of neighbours.
    pub role: Option<&'static str>,
    /// Who reads it.
    pub reader: Reader,
}

/// A JSON line in the making. Keys are written as they are, and what is known to need no escape too: most of a line is that,
/// and with many small files there are thousands of lines a second.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    bytes: &'a mut Vec<u8>,
}

/// A text that is written without being made before.
struct Text<T>(T);

/// Compact JSON in which no character beyond ASCII stands as itself that [`printable`] would escape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TerminalSafe;

impl<'a> Object<'a> {
    /// Adds a line to `bytes`: an object of the version `version` and the moment `ts`, and what `fill` puts into it.
    pub(crate) fn write(bytes: &'a mut Vec<u8>, version: u32, ts: &str, fill: impl FnOnce(&mut Object<'_>)) {
        bytes.extend_from_slice(b"{\"v\":");
        let mut object = Object { bytes };
        object.value(&version);
        object.plain("ts", ts);
        fill(&mut object);
        object.bytes.extend_from_slice(b"}\n");
    }

    /// Adds a value.
    pub(crate) fn put(&mut self, key: &str, value: impl Serialize) -> &mut Self {
        self.key(key);
        self.value(&value);
        self
    }

    /// Adds a value, if there is one.
    pub(crate) fn put_some(&mut self, key: &str, value: Option<impl Serialize>) -> &mut Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// Adds a text of ASCII in which nothing is to be escaped.
    pub(crate) fn plain(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(b'"');
        self
    }

    /// Adds a text, as most are: of ASCII in which nothing is to be escaped, which is looked at once and copied.
    fn text(&mut self, key: &str, text: &str) -> &mut Self {
        let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) { self.plain(key, text) } else { self.put(key, text) }
    }

    /// Adds an id by its digits.
    fn id(&mut self, key: &str, digits: &[u8]) -> &mut Self {
        self.plain(key, std::str::from_utf8(digits).unwrap_or_default())
    }

    fn key(&mut self, key: &str) {
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn value(&mut self, value: &impl Serialize) {
        let before = self.bytes.len();
        let mut serializer = serde_json::Serializer::with_formatter(&mut *self.bytes, TerminalSafe);
        if value.serialize(&mut serializer).is_err() {
            // Memory takes everything, and none of the values here refuses to be written.
            self.bytes.truncate(before);
            self.bytes.extend_from_slice(b"null");
        }
    }

    fn peer(&mut self, peer: &PeerRef) -> &mut Self {
        self.put("peer", peer.addr).text("user", &peer.user);
        match peer.id {
            Some(id) => self.id("peer_id", &id.digits()),
            None => self,
        }
    }

    /// How a chunk or an answer by HTTP ended: how long it took, or why it did not go.
    fn outcome(&mut self, ended: Result<&Duration, &str>) {
        self.put_some("dur", ended.ok().map(seconds))
            .put("ok", ended.is_ok())
            .put_some("reason", ended.err());
    }

    /// A file that is in its place.
    fn done(&mut self, path: &Path, bytes: u64, took: &Duration, peers: usize) -> &mut Self {
        let path = path.to_string_lossy();
        self.text("path", &path).put("bytes", bytes).put("dur", seconds(took)).put("peers", peers)
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| byte < 0x7f) {
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

/// A duration in JSON: seconds, to the microsecond.
pub(crate) fn seconds(took: &Duration) -> f64 {
    // Microseconds of any plausible duration are exact in 53 bits.
    took.as_micros() as f64 / 1_000_000.0
}

impl EventObject<'_> {
    /// Writes what the object says behind its version and its moment. False for an event that has none.
    pub(crate) fn put_into(&self, line: &mut Object<'_>) -> bool {
        match self.event {
            Event::PeerFound(peer) => {
                line.plain("t", "peer").plain("event", "found").peer(peer);
            }
            Event::PeerLost(peer) => {
                line.plain("t", "peer").plain("event", "lost").peer(peer);
            }
            Event::PeerBanned { peer, why } => {
                line.plain("t", "peer").plain("event", "struck").peer(peer).put("reason", why);
            }
            Event::Offered { content, name, size } => {
                line.plain("t", "content")
                    .plain("event", "shared")
                    .id("id", &content.digits())
                    .text("name", name);
                line.put("size", size).put("of", self.chunks);
            }
            Event::Withdrawn { content, name, why } => {
                line.plain("t", "content")
                    .plain("event", "withdrawn")
                    .id("id", &content.digits())
                    .text("name", name);
                line.put("size", 0).put("of", 0).put("reason", Text(why));
            }
            Event::Started { content, geometry, had } => {
                self.named(line, "start", content).put("size", geometry.size_bytes());
                line.put("chunks", geometry.chunks())
                    .put("chunk_bytes", geometry.chunk_bytes())
                    .put("had", had);
            }
            Event::Finished { content, path, bytes, took, peers } => {
                self.named(line, "done", content).done(path, *bytes, took, *peers);
                line.put("verified", true).put("skipped", false);
            }
            Event::Skipped { content, path } => {
                self.named(line, "done", content).done(path, 0, &Duration::ZERO, 0);
                line.put("verified", false).put("skipped", true);
            }
            Event::Classic(event) => return self.classic(line, event),
            _ if self.reader == Reader::Neighbours => return self.activity(line),
            _ => return self.chunk(line) || self.http(line) || self.retry(line) || self.activity(line),
        }
        true
    }

    /// An object of the type `t` about a content.
    fn named<'o, 'b>(&self, line: &'o mut Object<'b>, t: &str, id: &ContentId) -> &'o mut Object<'b> {
        line.plain("t", t).id("id", &id.digits()).text("name", self.name)
    }

    /// A chunk that moved, or did not.
    fn chunk(&self, line: &mut Object<'_>) -> bool {
        let missed: String;
        let (dir, content, index, of, bytes, peer, complete, ended) = match self.event {
            Event::ChunkReceived { content, chunk, bytes, from, from_complete, took } => {
                ("down", content, chunk, self.chunks, Some(bytes), from, Some(from_complete), Ok(took))
            }
            Event::ChunkSent { content, chunk, bytes, of, to, took } => {
                ("up", content, chunk, *of, Some(bytes), to, None, Ok(took))
            }
            Event::ChunkUnsent { content, chunk, to, why } => {
                ("up", content, chunk, self.chunks, None, to, None, Err(*why))
            }
            Event::ChunkMissed { content, chunk, from, why } if self.reader == Reader::Log => {
                missed = [why, ", asked elsewhere"].concat();
                ("down", content, chunk, self.chunks, None, from, None, Err(missed.as_str()))
            }
            _ => return false,
        };
        line.plain("t", "chunk").plain("dir", dir).id("id", &content.digits()).text("name", self.name);
        line.put("index", index).put("of", of).put_some("bytes", bytes).peer(peer);
        line.put_some("from_complete", complete).outcome(ended);
        true
    }

    /// What one request by HTTP asked for.
    fn http(&self, line: &mut Object<'_>) -> bool {
        let (content, first, asked, of, bytes, to, ended) = match self.event {
            Event::HttpSent { content, first, bytes, of, to, took } => {
                (content, first, bytes, of, bytes, to, Ok(took))
            }
            Event::HttpUnsent { content, first, bytes, asked, of, to, why } => {
                (content, first, asked, of, bytes, to, Err(*why))
            }
            _ => return false,
        };
        line.plain("t", "http").plain("dir", "up").id("id", &content.digits()).text("name", self.name);
        line.put("first", first).put("asked", asked).put("of", of).put("bytes", bytes).put("peer", to);
        line.outcome(ended);
        true
    }

    /// Something that neighbours do.
    fn activity(&self, line: &mut Object<'_>) -> bool {
        let (what, content, index, of, list, peer) = match self.event {
            Event::ChunkReceived { content, chunk, from, .. } => {
                ("received_chunk", content, Some(chunk), self.chunks, None, from)
            }
            Event::ChunkSent { content, chunk, of, to, .. } => {
                ("sent_chunk", content, Some(chunk), *of, None, to)
            }
            Event::ChunkRequested { content, chunk, from } => {
                ("requested_chunk", content, Some(chunk), self.chunks, None, from)
            }
            Event::RequestReceived { content, chunk, by } => {
                ("received_request", content, Some(chunk), self.chunks, None, by)
            }
            Event::ListReceived { content, new, have, of, from } => {
                ("received_list", content, None, *of, Some((have, new)), from)
            }
            Event::ListSent { content, new, have, of, to } => {
                ("sent_list", content, None, *of, Some((have, new)), to)
            }
            _ => return false,
        };
        line.plain("t", "activity").plain("what", what).id("id", &content.digits()).text("name", self.name);
        line.put_some("index", index).put("of", of).put_some("have", list.map(|(have, _)| have));
        line.put_some("new", list.map(|(_, new)| new)).put_some("part", self.role).peer(peer);
        true
    }

    /// A chunk or a content that another peer is asked for, or nobody for now.
    fn retry(&self, line: &mut Object<'_>) -> bool {
        match self.event {
            Event::ChunkMissed { content, chunk, from, why } => {
                self.named(line, "retry", content).put("index", chunk).peer(from).put("reason", why);
            }
            Event::SourceLost { content, from, why } => {
                self.named(line, "retry", content).peer(from).put("reason", why);
            }
            Event::Replaced { content, by, from, .. } => {
                self.named(line, "retry", content).peer(from).plain("reason", "replaced");
                line.id("replaced_by", &by.id.digits());
            }
            Event::Waiting { content, missing, missing_count } => {
                self.named(line, "retry", content).plain("reason", "waiting-for-holders");
                line.put_some("missing", Some(missing).filter(|missing| !missing.is_empty()));
                line.put("missing_count", missing_count);
            }
            _ => return false,
        }
        true
    }

    /// Something about classic peers: marked, for nothing of it is verified.
    fn classic(&self, line: &mut Object<'_>, event: &ClassicEvent) -> bool {
        line.put("classic", true).put("verified", false);
        match event {
            ClassicEvent::Announced { chunks } => {
                line.plain("t", "announced").put("chunks", chunks);
            }
            ClassicEvent::Heard { from, user, chunks } => {
                line.plain("t", "peer").plain("event", "announced").put("peer", from);
                line.put_some("user", user.as_ref()).put("count", chunks.len());
                let names: Vec<Text<&ChunkName>> = chunks.iter().map(Text).collect();
                line.put_some("chunks", Some(names).filter(|names| !names.is_empty()));
            }
            ClassicEvent::Gone { from, chunks } => {
                line.plain("t", "peer").plain("event", "lost").put("peer", from).put("count", chunks);
            }
            ClassicEvent::Begun { file, had, holders, .. } => {
                line.plain("t", "start").text("name", file).put("had", had).put("peers", holders);
            }
            ClassicEvent::ChunkMissed { name, from, dialect, why, .. } if self.reader != Reader::Log => {
                line.plain("t", "retry").put("name", Text(name)).put("index", name.index());
                line.put("peer", from).plain("dialect", dialect.as_str()).put("reason", why);
            }
            ClassicEvent::ChunkFailed { name, .. } => {
                line.plain("t", "retry").put("name", Text(name)).put("index", name.index());
                line.plain("reason", "nobody-delivers");
            }
            ClassicEvent::Waiting { missing, .. } => {
                line.plain("t", "retry").plain("reason", "waiting-for-announcements");
                line.put_some("missing", Some(missing).filter(|missing| !missing.is_empty()));
            }
            ClassicEvent::Finished { path, bytes, took, peers, .. } => {
                line.plain("t", "done").text("name", self.name).done(path, *bytes, took, *peers);
                line.put("skipped", false);
            }
            ClassicEvent::Skipped { path, .. } => {
                line.plain("t", "done").text("name", self.name).done(path, 0, &Duration::ZERO, 0);
                line.put("skipped", true);
            }
            event => return classic_chunk(line, event),
        }
        true
    }
}

/// A classic chunk that moved, or did not.
fn classic_chunk(line: &mut Object<'_>, event: &ClassicEvent) -> bool {
    let (dir, name, bytes, peer, dialect, ended) = match event {
        ClassicEvent::ChunkReceived { name, bytes, from, dialect, took, .. } => {
            ("down", name, Some(bytes), from, Some(*dialect), Ok(took))
        }
        ClassicEvent::ChunkSent { name, bytes, to, dialect, took } => {
            ("up", name, Some(bytes), to, Some(*dialect), Ok(took))
        }
        ClassicEvent::ChunkUnsent { name, to, why } => ("up", name, None, to, None, Err(*why)),
        ClassicEvent::ChunkMissed { name, from, dialect, why, .. } => {
            ("down", name, None, from, Some(*dialect), Err(why.as_str()))
        }
        _ => return false,
    };
    line.plain("t", "chunk").plain("dir", dir).put("name", Text(name)).put("index", name.index());
    line.put_some("bytes", bytes).put("peer", peer).put_some("dialect", dialect.map(Dialect::as_str));
    line.outcome(ended);
    true
}

#[cfg(test)]
mod tests;
