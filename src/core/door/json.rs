//! Events as JSON objects: what `--json` prints and what the transfer log keeps. Keys stand in the order of the
//! documentation.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde::ser::{Error, SerializeMap};
use serde::{Deserialize, Serialize, Serializer};

use crate::core::door::{ClassicEvent, Event, PeerRef};
use crate::types::id::ContentId;
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

/// A JSON object in the making.
pub(crate) struct Object<M>(M);

/// A text that is written without being made before.
struct Text<T>(T);

impl<M: SerializeMap> Object<M> {
    /// An object of the type `t`.
    pub(crate) fn new(map: M, t: &str) -> Result<Self, M::Error> {
        Object(map).put("t", t)
    }

    /// Adds a value.
    pub(crate) fn put(
        mut self,
        key: &'static str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<Self, M::Error> {
        self.0.serialize_entry(key, value)?;
        Ok(self)
    }

    /// Adds a value, if there is one.
    pub(crate) fn put_some(self, key: &'static str, value: Option<impl Serialize>) -> Result<Self, M::Error> {
        match value {
            Some(value) => self.put(key, &value),
            None => Ok(self),
        }
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<M::Ok, M::Error> {
        self.0.end()
    }

    fn peer(self, peer: &PeerRef) -> Result<Self, M::Error> {
        self.put("peer", &peer.addr)?.put("user", &peer.user)?.put_some("peer_id", peer.id)
    }

    /// How a chunk or an answer by HTTP ended: how long it took, or why it did not go.
    fn outcome(self, ended: Result<&Duration, &str>) -> Result<Self, M::Error> {
        let line = self.put_some("dur", ended.ok().map(seconds))?.put("ok", &ended.is_ok())?;
        line.put_some("reason", ended.err())
    }

    /// A file that is in its place.
    fn done(self, path: &Path, bytes: u64, took: Duration, peers: usize) -> Result<Self, M::Error> {
        let line = self.put("path", &*path.to_string_lossy())?.put("bytes", &bytes)?;
        line.put("dur", &seconds(&took))?.put("peers", &peers)
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A duration in JSON: seconds, to the microsecond.
pub(crate) fn seconds(took: &Duration) -> f64 {
    // Microseconds of any plausible duration are exact in 53 bits.
    took.as_micros() as f64 / 1_000_000.0
}

impl Serialize for EventObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = serializer.serialize_map(None)?;
        match self.event {
            Event::PeerFound(peer) => peer_line(map, "found", peer, None),
            Event::PeerLost(peer) => peer_line(map, "lost", peer, None),
            Event::PeerStruck { peer, why } => peer_line(map, "struck", peer, Some(why)),
            Event::Offered { content, name, size } => {
                let line = Object::new(map, "content")?.put("event", "shared")?.put("id", content)?;
                line.put("name", name)?.put("size", size)?.put("of", &self.chunks)?.end()
            }
            Event::Withdrawn { content, name, why } => {
                let line = Object::new(map, "content")?.put("event", "withdrawn")?.put("id", content)?;
                let line = line.put("name", name)?.put("size", &0)?.put("of", &0)?;
                line.put("reason", &Text(why))?.end()
            }
            Event::Started { content, geometry, had } => {
                let line = self.named(map, "start", content)?.put("size", &geometry.size_bytes())?;
                let line = line.put("chunks", &geometry.chunks())?;
                line.put("chunk_bytes", &geometry.chunk_bytes())?.put("had", had)?.end()
            }
            Event::ChunkReceived { .. } | Event::ChunkSent { .. } if self.reader == Reader::Neighbours => {
                self.activity(map)
            }
            Event::ChunkReceived { .. } | Event::ChunkSent { .. } | Event::ChunkUnsent { .. } => {
                self.chunk(map)
            }
            Event::ChunkMissed { .. } if self.reader == Reader::Log => self.chunk(map),
            Event::ChunkMissed { .. }
            | Event::SourceLost { .. }
            | Event::Replaced { .. }
            | Event::Waiting { .. } => self.retry(map),
            Event::HttpSent { .. } | Event::HttpUnsent { .. } => self.http(map),
            Event::ChunkRequested { .. }
            | Event::RequestReceived { .. }
            | Event::ListReceived { .. }
            | Event::ListSent { .. } => self.activity(map),
            Event::Finished { content, path, bytes, took, peers } => {
                let line = self.named(map, "done", content)?.done(path, *bytes, *took, *peers)?;
                line.put("verified", &true)?.put("skipped", &false)?.end()
            }
            Event::Skipped { content, path } => {
                let line = self.named(map, "done", content)?.done(path, 0, Duration::ZERO, 0)?;
                line.put("verified", &false)?.put("skipped", &true)?.end()
            }
            Event::Classic(event) => self.classic(map, event),
            _ => Err(no_object()),
        }
    }
}

impl EventObject<'_> {
    /// An object of the type `t` about a content.
    fn named<M: SerializeMap>(&self, map: M, t: &str, id: &ContentId) -> Result<Object<M>, M::Error> {
        Object::new(map, t)?.put("id", id)?.put("name", self.name)
    }

    /// A chunk that moved, or did not.
    fn chunk<M: SerializeMap>(&self, map: M) -> Result<M::Ok, M::Error> {
        let missed: String;
        let (dir, content, index, of, bytes, peer, complete, ended) = match self.event {
            Event::ChunkReceived { content, chunk, bytes, from, from_complete, took } => (
                Direction::Down,
                content,
                chunk,
                self.chunks,
                Some(bytes),
                from,
                Some(from_complete),
                Ok(took),
            ),
            Event::ChunkSent { content, chunk, bytes, of, to, took } => {
                (Direction::Up, content, chunk, *of, Some(bytes), to, None, Ok(took))
            }
            Event::ChunkUnsent { content, chunk, to, why } => {
                (Direction::Up, content, chunk, self.chunks, None, to, None, Err(*why))
            }
            Event::ChunkMissed { content, chunk, from, why } => {
                missed = [why, ", asked elsewhere"].concat();
                (Direction::Down, content, chunk, self.chunks, None, from, None, Err(missed.as_str()))
            }
            _ => return Err(no_object()),
        };
        let line = Object::new(map, "chunk")?.put("dir", &dir)?.put("id", content)?.put("name", self.name)?;
        let line = line.put("index", index)?.put("of", &of)?.put_some("bytes", bytes)?.peer(peer)?;
        line.put_some("from_complete", complete)?.outcome(ended)?.end()
    }

    /// What one request by HTTP asked for.
    fn http<M: SerializeMap>(&self, map: M) -> Result<M::Ok, M::Error> {
        let (content, first, asked, of, bytes, to, ended) = match self.event {
            Event::HttpSent { content, first, bytes, of, to, took } => {
                (content, first, bytes, of, bytes, to, Ok(took))
            }
            Event::HttpUnsent { content, first, bytes, asked, of, to, why } => {
                (content, first, asked, of, bytes, to, Err(*why))
            }
            _ => return Err(no_object()),
        };
        let line = Object::new(map, "http")?.put("dir", &Direction::Up)?.put("id", content)?;
        let line = line.put("name", self.name)?.put("first", first)?.put("asked", asked)?.put("of", of)?;
        line.put("bytes", bytes)?.put("peer", to)?.outcome(ended)?.end()
    }

    /// Something that neighbours do.
    fn activity<M: SerializeMap>(&self, map: M) -> Result<M::Ok, M::Error> {
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
            _ => return Err(no_object()),
        };
        let line = Object::new(map, "activity")?.put("what", what)?.put("id", content)?;
        let line = line.put("name", self.name)?.put_some("index", index)?.put("of", &of)?;
        let line = line.put_some("have", list.map(|(have, _)| have))?;
        let line = line.put_some("new", list.map(|(_, new)| new))?;
        line.put_some("part", self.role)?.peer(peer)?.end()
    }

    /// A chunk or a content that another peer is asked for, or nobody for now.
    fn retry<M: SerializeMap>(&self, map: M) -> Result<M::Ok, M::Error> {
        match self.event {
            Event::ChunkMissed { content, chunk, from, why } => {
                let line = self.named(map, "retry", content)?.put("index", chunk)?;
                line.peer(from)?.put("reason", why)?.end()
            }
            Event::SourceLost { content, from, why } => {
                self.named(map, "retry", content)?.peer(from)?.put("reason", why)?.end()
            }
            Event::Replaced { content, by, from, .. } => {
                let line = self.named(map, "retry", content)?.peer(from)?.put("reason", "replaced")?;
                line.put("replaced_by", &by.id)?.end()
            }
            Event::Waiting { content, missing, missing_count } => {
                let line = self.named(map, "retry", content)?.put("reason", "waiting-for-holders")?;
                let line = line.put_some("missing", Some(missing).filter(|missing| !missing.is_empty()))?;
                line.put("missing_count", missing_count)?.end()
            }
            _ => Err(no_object()),
        }
    }

    /// Something about classic peers: marked, for nothing of it is verified.
    fn classic<M: SerializeMap>(&self, map: M, event: &ClassicEvent) -> Result<M::Ok, M::Error> {
        let line = Object(map).put("classic", &true)?.put("verified", &false)?;
        match event {
            ClassicEvent::Announced { chunks } => line.put("t", "announced")?.put("chunks", chunks)?.end(),
            ClassicEvent::Heard { from, user, chunks } => {
                let line = line.put("t", "peer")?.put("event", "announced")?.put("peer", from)?;
                let line = line.put_some("user", user.as_ref())?.put("count", &chunks.len())?;
                let names: Vec<Text<&ChunkName>> = chunks.iter().map(Text).collect();
                line.put_some("chunks", Some(names).filter(|names| !names.is_empty()))?.end()
            }
            ClassicEvent::Gone { from, chunks } => {
                let line = line.put("t", "peer")?.put("event", "lost")?.put("peer", from)?;
                line.put("count", chunks)?.end()
            }
            ClassicEvent::Begun { file, had, holders, .. } => {
                line.put("t", "start")?.put("name", file)?.put("had", had)?.put("peers", holders)?.end()
            }
            ClassicEvent::ChunkMissed { name, from, dialect, why, .. } if self.reader != Reader::Log => {
                let line = line.put("t", "retry")?.put("name", &Text(name))?.put("index", &name.index())?;
                line.put("peer", from)?.put("dialect", dialect.as_str())?.put("reason", why)?.end()
            }
            ClassicEvent::ChunkFailed { name, .. } => {
                let line = line.put("t", "retry")?.put("name", &Text(name))?.put("index", &name.index())?;
                line.put("reason", "nobody-delivers")?.end()
            }
            ClassicEvent::Waiting { missing, .. } => {
                let line = line.put("t", "retry")?.put("reason", "waiting-for-announcements")?;
                line.put_some("missing", Some(missing).filter(|missing| !missing.is_empty()))?.end()
            }
            ClassicEvent::Finished { path, bytes, took, peers, .. } => {
                let line = line.put("t", "done")?.put("name", self.name)?;
                line.done(path, *bytes, *took, *peers)?.put("skipped", &false)?.end()
            }
            ClassicEvent::Skipped { path, .. } => {
                let line = line.put("t", "done")?.put("name", self.name)?;
                line.done(path, 0, Duration::ZERO, 0)?.put("skipped", &true)?.end()
            }
            ClassicEvent::Failed { .. } => Err(no_object()),
            event => classic_chunk(line, event),
        }
    }
}

fn peer_line<M: SerializeMap>(
    map: M,
    event: &str,
    peer: &PeerRef,
    reason: Option<&str>,
) -> Result<M::Ok, M::Error> {
    Object::new(map, "peer")?.put("event", event)?.peer(peer)?.put_some("reason", reason)?.end()
}

/// A classic chunk that moved, or did not.
fn classic_chunk<M: SerializeMap>(line: Object<M>, event: &ClassicEvent) -> Result<M::Ok, M::Error> {
    let (dir, name, bytes, peer, dialect, ended) = match event {
        ClassicEvent::ChunkReceived { name, bytes, from, dialect, took, .. } => {
            (Direction::Down, name, Some(bytes), from, Some(*dialect), Ok(took))
        }
        ClassicEvent::ChunkSent { name, bytes, to, dialect, took } => {
            (Direction::Up, name, Some(bytes), to, Some(*dialect), Ok(took))
        }
        ClassicEvent::ChunkUnsent { name, to, why } => (Direction::Up, name, None, to, None, Err(*why)),
        ClassicEvent::ChunkMissed { name, from, dialect, why, .. } => {
            (Direction::Down, name, None, from, Some(*dialect), Err(why.as_str()))
        }
        _ => return Err(no_object()),
    };
    let line = line.put("t", "chunk")?.put("dir", &dir)?.put("name", &Text(name))?;
    let line = line.put("index", &name.index())?.put_some("bytes", bytes)?.put("peer", peer)?;
    line.put_some("dialect", dialect.map(Dialect::as_str))?.outcome(ended)?.end()
}

fn no_object<E: Error>() -> E {
    E::custom("this event has no object of its own")
}

#[cfg(test)]
mod tests;
