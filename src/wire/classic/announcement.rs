//! Announcements: one JSON object in a datagram, which lists the chunks of its sender.
//!
//! The keys of a datagram tell its family, not its port, because ports can be chosen. Its source address is its sender;
//! addresses inside it are ignored.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use chrono::NaiveDateTime;
use serde_json::{Map, Value};

use crate::wire::classic::{ChunkName, DATAGRAM_BYTES_MAX, Dialect, NameForm};
use crate::wire::json::{between, member, string};
use crate::wire::message::clipped;

/// The most bytes of a datagram that is looked at: more than UDP over IPv4 carries.
pub const DATAGRAM_BYTES_ACCEPTED_MAX: usize = 64 << 10;
/// The most names in a datagram that is believed.
pub const NAMES_MAX: usize = 4096;
/// The most bytes of a user name that is kept.
pub const USER_BYTES_MAX: usize = 255;
/// The most bytes of D's one datagram: what UDP over IPv4 carries.
pub const BATCH_BYTES_MAX: usize = 65_507;
/// The most bytes of a user name as JSON, quotes excluded, in a datagram that is sent.
const USER_JSON_BYTES_MAX: usize = 128;

/// What D's datagram takes beside its chunks, at most.
const BATCH_FRAME_BYTES: usize = 256;

/// What one datagram told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// How its sender is called, where it says so.
    pub user: Option<String>,
    /// What can be had from it, in its order but for D; no name twice.
    pub chunks: Vec<AnnouncedChunk>,
    /// How many names in it are none, and were left out.
    pub names_refused: usize,
    /// Whether this is all that its sender has, and what it announced before is gone.
    pub replaces_all: bool,
}

/// A point in time as D tells it: without a zone, to the second.
pub type LocalTime = NaiveDateTime;

/// One chunk that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedChunk {
    /// Its name, by which it has to be asked for.
    pub name: ChunkName,
    /// What its holder may speak: as told by the datagram's keys and the form of the name.
    pub dialects: &'static [Dialect],
    /// Its size in bytes, where told.
    pub size: Option<u64>,
    /// Its SHA-256, where told.
    pub sha256: Option<[u8; 32]>,
}

/// A chunk as D announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchChunk {
    /// Its name.
    pub name: ChunkName,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// When it was made, in local time.
    pub made: LocalTime,
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnnouncementError {
    /// Longer than [`DATAGRAM_BYTES_ACCEPTED_MAX`].
    TooLong,
    /// No JSON object.
    Malformed,
    /// None of the keys under which chunks are announced.
    NoChunks,
    /// Something else than names where names belong.
    Shape,
    /// More than [`NAMES_MAX`] names.
    TooMany,
}

/// Reads one datagram of any dialect.
///
/// # Errors
///
/// [`AnnouncementError`] for a datagram of no dialect.
pub fn decode(bytes: &[u8]) -> Result<Announcement, AnnouncementError> {
    if bytes.len() > DATAGRAM_BYTES_ACCEPTED_MAX {
        return Err(AnnouncementError::TooLong);
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(bytes) else {
        return Err(AnnouncementError::Malformed);
    };
    let named = |keys: [&str; 2]| keys.into_iter().find_map(|key| members.get(key));
    let user = named(["username", "name"]).and_then(Value::as_str).map(kept_user);
    let mut announcement = Announcement { user, chunks: Vec::new(), names_refused: 0, replaces_all: false };
    if let Some(files) = members.get("files") {
        announcement.take_names(files, dialects_of_file)?;
    } else {
        match named(["chunks", "chunk"]).ok_or(AnnouncementError::NoChunks)? {
            Value::Object(chunks) => {
                announcement.take_batch(chunks)?;
                announcement.replaces_all = is_only_batch(&members);
            }
            names => announcement.take_names(names, |_| &[Dialect::B, Dialect::BJson, Dialect::C])?,
        }
    }
    Ok(announcement)
}

/// The datagrams of A, A-size and E: `username` and `files`, as many as the names need; none without names.
pub fn encode_files(user: &str, names: &[ChunkName]) -> Vec<Vec<u8>> {
    let user = string(&short_user(user));
    datagrams(&format!("{{{}, \"files\": [", member("username", &user)), names, "]}")
}

/// The datagrams of B, B-json and C: `chunks` before `ip_address`, as many as the names need; none without names.
pub fn encode_chunks(ip_address: Ipv4Addr, names: &[ChunkName]) -> Vec<Vec<u8>> {
    let own_address = member("ip_address", &string(&ip_address.to_string()));
    datagrams("{\"chunks\": [", names, &format!("], {own_address}}}"))
}

/// As many of the files as D's one datagram has room for, with all their chunks. A file that misses some would be taken
/// for a shorter one.
pub fn fit_batch(files: Vec<Vec<ChunkName>>) -> Vec<ChunkName> {
    let mut left = BATCH_BYTES_MAX - BATCH_FRAME_BYTES;
    let mut fitting = Vec::new();
    for file in files {
        let bytes: usize = file.iter().map(batch_entry_bytes_max).sum();
        if let Some(rest) = left.checked_sub(bytes) {
            left = rest;
            fitting.extend(file);
        }
    }
    fitting
}

/// The one datagram of D, with as many of the chunks, from the first on, as [`BATCH_BYTES_MAX`] allows, and how many
/// those are. `now` is local time. Nothing is to be sent when there are no chunks.
pub fn encode_batch(peer_ip: Ipv4Addr, chunks: &[BatchChunk], now: LocalTime) -> (Vec<u8>, usize) {
    let head = format!("{{{}, \"chunks\": {{", member("peer_ip", &string(&peer_ip.to_string())));
    let stamp = member("timestamp", &timestamp(now));
    let end = format!("}}, {stamp}, \"batch_info\": {{\"current\": 1, \"total\": 1}}}}");
    let mut json = head;
    let mut taken = 0_usize;
    for chunk in chunks {
        let separator = if taken == 0 { "" } else { ", " };
        let entry = batch_entry(chunk);
        if bytes_of([&json, separator, &entry, &end]) > BATCH_BYTES_MAX {
            break;
        }
        json.push_str(separator);
        json.push_str(&entry);
        taken = taken.saturating_add(1);
    }
    json.push_str(&end);
    (json.into_bytes(), taken)
}

impl Announcement {
    /// Takes a list of names, or a single one.
    fn take_names(
        &mut self,
        names: &Value,
        dialects: impl Fn(NameForm) -> &'static [Dialect],
    ) -> Result<(), AnnouncementError> {
        let names = match names {
            Value::Array(names) => names.as_slice(),
            Value::String(_) => std::slice::from_ref(names),
            _ => return Err(AnnouncementError::Shape),
        };
        if names.len() > NAMES_MAX {
            return Err(AnnouncementError::TooMany);
        }
        let mut seen = BTreeSet::new();
        for name in names {
            let Some(Ok(name)) = name.as_str().map(ChunkName::parse) else {
                self.names_refused = self.names_refused.saturating_add(1);
                continue;
            };
            if seen.insert(name.clone()) {
                let dialects = dialects(name.form());
                self.chunks.push(AnnouncedChunk { name, dialects, size: None, sha256: None });
            }
        }
        Ok(())
    }

    /// Takes D's object of chunks.
    fn take_batch(&mut self, chunks: &Map<String, Value>) -> Result<(), AnnouncementError> {
        if chunks.len() > NAMES_MAX {
            return Err(AnnouncementError::TooMany);
        }
        for (name, told) in chunks {
            match (ChunkName::parse(name), told) {
                (Ok(name), Value::Object(told)) => self.chunks.push(AnnouncedChunk {
                    name,
                    dialects: &[Dialect::D],
                    size: told.get("size").and_then(Value::as_u64),
                    sha256: told.get("checksum").and_then(Value::as_str).and_then(sha256),
                }),
                _ => self.names_refused = self.names_refused.saturating_add(1),
            }
        }
        Ok(())
    }
}

/// What serves a name of this form that was announced under `files`.
fn dialects_of_file(form: NameForm) -> &'static [Dialect] {
    match form {
        NameForm::Stem | NameForm::Full => &[Dialect::A],
        NameForm::Inner => &[Dialect::ASize],
        NameForm::FullTemp | NameForm::InnerTemp => &[Dialect::E],
    }
}

/// Whether a datagram of D is the only one of its round.
fn is_only_batch(members: &Map<String, Value>) -> bool {
    let total = members.get("batch_info").and_then(|batch| batch.get("total"));
    total.is_none_or(|total| total.as_u64() == Some(1))
}

/// The digest that 64 hexadecimal digits say.
fn sha256(hex: &str) -> Option<[u8; 32]> {
    let (pairs, odd) = hex.as_bytes().as_chunks();
    let mut digest = [0; 32];
    if pairs.len() != digest.len() || !odd.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(digest)
}

/// As much of a user name as is kept.
fn kept_user(user: &str) -> String {
    clipped(user, USER_BYTES_MAX).to_owned()
}

/// As much of a user name as takes [`USER_JSON_BYTES_MAX`] in JSON.
fn short_user(user: &str) -> String {
    let mut json_bytes = 0;
    let fits = |c: &char| {
        // Without the quotes that each string has.
        let bytes = string(c.encode_utf8(&mut [0; 4])).len().saturating_sub(2);
        json_bytes = bytes.saturating_add(json_bytes);
        json_bytes <= USER_JSON_BYTES_MAX
    };
    user.chars().take_while(fits).collect()
}

/// Complete datagrams, each with as many of the names as fit between head and end. One always fits: head and end take
/// less than 200 bytes, and a name of 255 bytes at most three times as many in JSON. Names of one file that fit into one
/// datagram stay together, for who keeps only the last one.
fn datagrams(head: &str, names: &[ChunkName], end: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut json = head.to_owned();
    for file in names.chunk_by(|one, next| one.stem() == next.stem()) {
        let names: Vec<String> = file.iter().map(|name| string(&name.to_string())).collect();
        let together = names.join(", ");
        let fits = bytes_of([head, &together, end]) <= DATAGRAM_BYTES_MAX;
        for name in if fits { vec![together] } else { names } {
            let is_first = json.len() == head.len();
            let separator = if is_first { "" } else { ", " };
            if !is_first && bytes_of([&json, separator, &name, end]) > DATAGRAM_BYTES_MAX {
                json.push_str(end);
                all.push(std::mem::replace(&mut json, head.to_owned()).into_bytes());
            } else {
                json.push_str(separator);
            }
            json.push_str(&name);
        }
    }
    if json.len() > head.len() {
        json.push_str(end);
        all.push(json.into_bytes());
    }
    all
}

/// The bytes that a chunk takes in D's datagram, whatever is told of it.
fn batch_entry_bytes_max(name: &ChunkName) -> usize {
    let told =
        BatchChunk { name: name.clone(), size: u64::MAX, sha256: [0; 32], made: NaiveDateTime::default() };
    bytes_of([&batch_entry(&told), ", "])
}

/// How long texts are together.
fn bytes_of<const N: usize>(texts: [&str; N]) -> usize {
    texts.iter().fold(0, |bytes, text| text.len().saturating_add(bytes))
}

fn batch_entry(chunk: &BatchChunk) -> String {
    let checksum: String = chunk.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let told = [
        member("size", &chunk.size.to_string()),
        member("checksum", &string(&checksum)),
        member("timestamp", &timestamp(chunk.made)),
    ];
    member(&chunk.name.to_string(), &between('{', told, '}'))
}

fn timestamp(time: NaiveDateTime) -> String {
    string(&time.format("%Y-%m-%d %H:%M:%S").to_string())
}

impl fmt::Display for AnnouncementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AnnouncementError::TooLong => "longer than 64 KiB",
            AnnouncementError::Malformed => "no JSON object",
            AnnouncementError::NoChunks => "announces no chunks",
            AnnouncementError::Shape => "no list of names",
            AnnouncementError::TooMany => "more than 4096 names",
        })
    }
}

impl std::error::Error for AnnouncementError {}

#[cfg(test)]
mod tests;
