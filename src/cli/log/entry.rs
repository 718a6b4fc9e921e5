//! A line of the transfer log, read back: an object, or a line of the older form. Printed for people, and as `log --json`
//! has always had it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde::Deserialize;

use crate::cli::json::{JsonLine, VERSION};
use crate::cli::log::text;
use crate::core::Direction;
use crate::core::io::json::Object;
use crate::types::ContentId;
use crate::types::name::{printable, quoted};

/// What a line is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    #[default]
    Chunk,
    Http,
    Activity,
    Done,
    Error,
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    #[serde(skip)]
    pub(super) stamp: DateTime<FixedOffset>,
    pub(super) ts: String,
    #[serde(rename = "t")]
    pub(super) kind: Kind,
    pub(super) dir: Direction,
    /// Of an activity: what it was.
    pub(super) what: String,
    pub(super) id: Option<ContentId>,
    pub(super) name: String,
    pub(super) index: Option<u32>,
    /// Of an answer by HTTP: the first byte, and how many were asked for.
    pub(super) first: u64,
    pub(super) asked: u64,
    /// Chunks, or bytes, there are; 0: unknown.
    pub(super) of: u64,
    pub(super) have: Option<u32>,
    pub(super) new: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) peer: Option<String>,
    pub(super) user: Option<String>,
    pub(super) classic: bool,
    pub(super) dialect: Option<String>,
    /// Of a transfer in a dialect of the field.
    pub(super) form: Option<String>,
    pub(super) dur: Option<f64>,
    pub(super) peers: Option<u64>,
    pub(super) ok: bool,
    pub(super) reason: Option<String>,
    pub(super) verified: bool,
    pub(super) skipped: bool,
    pub(super) message: String,
}

impl Entry {
    /// Reads a line; `None` for anything that is none of ours.
    pub(super) fn parse(line: &str) -> Option<Entry> {
        if !line.starts_with('{') {
            return text::parse(line);
        }
        let entry: Entry = serde_json::from_str(line).ok()?;
        Some(Entry { stamp: DateTime::parse_from_rfc3339(&entry.ts).ok()?, ..entry })
    }

    /// When it was written, as lines say it.
    pub(super) fn ts(&self) -> String {
        self.stamp.to_rfc3339_opts(SecondsFormat::Millis, false)
    }

    /// The user name, if the peer has told one.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref().filter(|user| !user.is_empty())
    }

    /// What stands before the name: which way what went, or how it ended.
    fn place(&self) -> String {
        let dir = match self.dir {
            Direction::Down => "DOWN",
            Direction::Up => "UP",
        };
        let (index, of) = (self.index.unwrap_or_default(), self.of);
        match (self.kind, self.what.as_str()) {
            (Kind::Chunk, _) if self.classic || (!self.ok && of == 0) => format!("{dir} chunk {index}/?"),
            (Kind::Chunk, _) => format!("{dir} chunk {index}/{of}"),
            (Kind::Http, _) => {
                let last = self.first.saturating_add(self.asked.saturating_sub(1));
                format!("UP http {}-{last}/{of}", self.first)
            }
            (Kind::Activity, "requested_chunk") => format!("DOWN request {index}/{of}"),
            (Kind::Activity, "received_request") => format!("UP request {index}/{of}"),
            (Kind::Activity, what) => {
                let dir = if what == "sent_list" { "UP" } else { "DOWN" };
                format!("{dir} list {}/{of}", self.have.unwrap_or_default())
            }
            (Kind::Done, _) => "DONE".to_owned(),
            (Kind::Error, _) => "FAIL".to_owned(),
        }
    }

    /// How the line ends.
    fn ending(&self) -> String {
        match self.kind {
            Kind::Activity => "ok".to_owned(),
            Kind::Chunk | Kind::Http if self.ok => "ok".to_owned(),
            Kind::Chunk | Kind::Http => {
                format!("failed {}", printable(self.reason.as_deref().unwrap_or_default()))
            }
            Kind::Error => printable(&self.message),
            Kind::Done => match (self.form.is_some(), self.dir) {
                (true, Direction::Down) => "received, unverified",
                (true, Direction::Up) => "sent, unverified",
                (false, Direction::Up) => "sent",
                _ if self.skipped => "skipped",
                _ if self.verified => "verified",
                _ => "unverified",
            }
            .to_owned(),
        }
    }
}

/// The line as people read it.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.ts(), self.place(), quoted(&self.name))?;
        let field = |f: &mut fmt::Formatter<'_>, key: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {key}={value}"),
            None => Ok(()),
        };
        let is_ending = matches!(self.kind, Kind::Done | Kind::Error);
        field(f, "id", self.id.filter(|_| is_ending).map(|id| id.to_string()))?;
        field(f, "bytes", self.bytes.map(|bytes| bytes.to_string()))?;
        field(f, "new", self.new.map(|new| new.to_string()))?;
        field(f, "peer", self.peer.as_deref().map(printable))?;
        field(f, "user", self.user().map(text::bare_or_quoted))?;
        if self.classic && self.kind == Kind::Chunk {
            field(f, "classic", Some(printable(self.dialect.as_deref().unwrap_or("?"))))?;
        }
        field(f, "push", self.form.as_deref().map(printable))?;
        field(f, "dur", self.dur.map(|dur| seconds(dur, self.kind)))?;
        field(f, "peers", self.peers.map(|peers| peers.to_string()))?;
        write!(f, " {}", self.ending())
    }
}

/// The object that `log --json` prints.
impl JsonLine for Entry {
    fn write(&self, bytes: &mut Vec<u8>, ts: &str) {
        Object::write(bytes, VERSION, ts, |line| match self.kind {
            Kind::Chunk => {
                line.plain("t", "chunk").put("dir", self.dir).put("name", &self.name);
                line.put("index", self.index.unwrap_or_default()).put("of", self.of).put("bytes", self.bytes);
                line.put("peer", &self.peer).put("user", self.user()).put("dur", self.dur);
                let dialect = self.dialect.as_deref().or(Some("?")).filter(|_| self.classic);
                line.put_some("dialect", dialect).put("ok", self.ok).put_some("reason", self.reason.as_ref());
            }
            Kind::Http => {
                line.plain("t", "http").plain("dir", "up").put("name", &self.name).put("first", self.first);
                line.put("asked", self.asked).put("of", self.of).put("bytes", self.bytes);
                line.put("peer", &self.peer).put("dur", self.dur).put("ok", self.ok);
                line.put_some("reason", self.reason.as_ref());
            }
            Kind::Activity => {
                line.plain("t", "activity").put("what", &self.what).put("name", &self.name);
                line.put_some("index", self.index).put("of", self.of).put_some("have", self.have);
                line.put_some("new", self.new).put("peer", &self.peer).put("user", self.user());
            }
            Kind::Done => {
                line.plain("t", "done").put("id", self.id).put("name", &self.name).put("bytes", self.bytes);
                line.put("dur", self.dur).put("peers", self.peers);
                line.put("verified", self.verified).put("skipped", self.skipped);
            }
            Kind::Error => {
                line.plain("t", "error").put("id", self.id).put("name", &self.name);
                line.put("dur", self.dur).put("message", &self.message);
            }
        });
    }
}

/// Seconds to the millisecond; of a file that took one or more, with the precision that matters to a person.
fn seconds(dur: f64, kind: Kind) -> String {
    let took = Duration::try_from_secs_f64(dur).unwrap_or_default();
    if matches!(kind, Kind::Done | Kind::Error) && took.as_secs() > 0 {
        return format!("{dur:.1}");
    }
    let ms = took.as_nanos().saturating_add(500_000) / 1_000_000;
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests;
