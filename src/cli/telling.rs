//! What happens in every run, told the same way by every command: JSON lines, the transfer log, and the notes that do
//! not depend on the command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::command_line::command_for;
use crate::cli::human;
use crate::cli::json::{Direction, Line, PeerEvent, Who, seconds};
use crate::cli::run::Run;
use crate::cli::transfer_log::Record;
use crate::core::{Event, PeerRef};
use crate::shell::ShellEvent;
use crate::types::name::{printable, quoted};
use crate::types::{ContentId, Geometry};

/// More different complaints about peers than this are left to the log.
pub(super) const COMPLAINTS_MAX: usize = 32;
/// Why a download is begun anew, or waits for who has the content that was asked for, as a JSON line says it.
const REPLACED: &str = "replaced";
/// Why a download waits, as a JSON line says it.
const WAITING: &str = "waiting-for-holders";
/// Why a peer that ends in order sends nothing more.
const LEAVING: &str = "leaving";
/// The most files being written that are named; more are counted.
const UNSETTLED_TOLD_MAX: usize = 5;

/// What is known of a content that events name by its id.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: Arc<str>,
    /// Chunks there are; 0 when not known.
    pub(crate) chunks: u32,
}

/// A chunk that came or went.
struct Moved<'a> {
    dir: Direction,
    content: &'a ContentId,
    index: u32,
    of: u32,
    bytes: u32,
    took: Duration,
}

/// Bytes that a reader by HTTP asked for.
struct Read<'a> {
    content: &'a ContentId,
    first: u64,
    asked: u64,
    of: u64,
    bytes: u64,
    to: SocketAddr,
    /// How long it took, or why not all of them went.
    ended: Result<Duration, &'static str>,
}

impl Run<'_> {
    /// Tells of an event.
    pub(super) fn tell(&mut self, event: &ShellEvent) {
        match event {
            ShellEvent::Core(event) => self.tell_core(event),
            ShellEvent::Skipped { path, why } => {
                if !self.left_out.takes(path, why) {
                    self.out.note(&format!("left out {}: {}", human::quoted_path(path), printable(why)));
                }
            }
            ShellEvent::Unsettled { name } => {
                self.unsettled += 1;
                if self.unsettled <= UNSETTLED_TOLD_MAX {
                    let name = human::quoted(name);
                    self.out.note(&format!("waiting for {name}: it was written to less than 2 s ago"));
                }
            }
            ShellEvent::ScanDone { .. } => {
                self.is_scanned = true;
                self.tell_left_out();
                let more = std::mem::take(&mut self.unsettled).saturating_sub(UNSETTLED_TOLD_MAX);
                if more > 0 {
                    let files = human::counted(more, "more file that was", "more files that were");
                    self.out.note(&format!("waiting for {files} written to less than 2 s ago"));
                }
            }
            ShellEvent::Folder { .. } | ShellEvent::Signal(_) => {}
        }
    }

    /// Tells how many links were left out, since that was told last.
    pub(super) fn tell_left_out(&mut self) {
        if let Some(line) = self.left_out.line() {
            self.out.note(&line);
        }
    }

    fn tell_core(&mut self, event: &Event) {
        match event {
            Event::PeerFound(peer) => {
                log::info!("peer found: {}", human::peer(peer));
                self.tell_peer(PeerEvent::Found, peer, None);
            }
            Event::PeerLost(peer) => {
                log::info!("peer lost: {}", human::peer(peer));
                self.tell_peer(PeerEvent::Lost, peer, None);
            }
            Event::PeerStruck { peer, why } => {
                self.out.note(&format!("{} is no longer asked for chunks: {why}", human::peer(peer)));
                self.tell_peer(PeerEvent::Struck, peer, Some(why));
            }
            Event::Offered { content, name, size } => self.know(content, name.as_str().into(), *size),
            Event::Resolved { content, name, size, .. } => self.know(content, Arc::clone(name), *size),
            Event::Started { content, geometry, had } => self.tell_started(content, geometry, *had),
            Event::ChunkReceived { content, chunk, bytes, from, from_complete, took } => {
                let of = self.known(content).chunks;
                let moved =
                    Moved { dir: Direction::Down, content, index: *chunk, of, bytes: *bytes, took: *took };
                self.tell_moved(&moved, from, Some(*from_complete));
            }
            Event::ChunkMissed { content, chunk, from, why } => self.tell_missed(content, *chunk, from, why),
            Event::SourceLost { content, from, why } => self.tell_source_lost(content, from, why),
            Event::ChunkSent { content, chunk, bytes, of, to, took } => {
                let moved =
                    Moved { dir: Direction::Up, content, index: *chunk, of: *of, bytes: *bytes, took: *took };
                self.tell_moved(&moved, to, None);
            }
            Event::ChunkUnsent { content, chunk, to, why } => self.tell_unsent(content, *chunk, to, why),
            Event::HttpSent { content, first, bytes, of, to, took } => {
                let (first, of, bytes, to, ended) = (*first, *of, *bytes, *to, Ok(*took));
                self.tell_read(&Read { content, first, asked: bytes, of, bytes, to, ended });
            }
            Event::HttpUnsent { content, first, bytes, asked, of, to, why } => {
                let (first, asked, of, bytes, to, ended) = (*first, *asked, *of, *bytes, *to, Err(*why));
                self.tell_read(&Read { content, first, asked, of, bytes, to, ended });
            }
            Event::Replaced { content, by, from, begun } => {
                let Known { name, .. } = self.known(content);
                let (who, shown) = (human::peer(from), human::quoted(&name));
                let next = match begun {
                    true => "getting the new version".to_owned(),
                    false => format!(
                        "this download waits for the old version; for the new one: {}",
                        command_for(&by.id)
                    ),
                };
                self.out.note(&format!("{who} replaced {shown}: {next}"));
                self.out.json(&Line::Retry {
                    id: *content,
                    name: &name,
                    index: None,
                    who: Some(Who::of(from)),
                    reason: REPLACED,
                    missing: &[],
                    missing_count: None,
                    replaced_by: Some(by.id),
                });
            }
            Event::Waiting { content, missing, missing_count } => {
                let Known { name, .. } = self.known(content);
                self.out.json(&Line::Retry {
                    id: *content,
                    name: &name,
                    index: None,
                    who: None,
                    reason: WAITING,
                    missing,
                    missing_count: Some(*missing_count),
                    replaced_by: None,
                });
            }
            Event::NotAPeer { addr, said } => self.tell_stranger(*addr, said),
            Event::Warning(text) => self.out.note(&format!("warning: {}", printable(text))),
            Event::Classic(event) => self.tell_classic(event),
            // What is told of these depends on the command.
            Event::ChunkRequested { .. }
            | Event::RequestReceived { .. }
            | Event::ListReceived { .. }
            | Event::ListSent { .. }
            | Event::NeighbourAway { .. }
            | Event::NeighbourBack { .. }
            | Event::OtherContent { .. }
            | Event::Push(_)
            | Event::Foreign(_)
            | Event::Withdrawn { .. }
            | Event::Looked { .. }
            | Event::SearchDone { .. }
            | Event::SearchFailed { .. }
            | Event::Resumed { .. }
            | Event::Finished { .. }
            | Event::Skipped { .. }
            | Event::Failed { .. }
            | Event::Left => {}
        }
    }

    /// What is known of a content; its id for a name when nothing is.
    pub(crate) fn known(&self, content: &ContentId) -> Known {
        self.known
            .get(content)
            .cloned()
            .unwrap_or_else(|| Known { name: content.to_string().into(), chunks: 0 })
    }

    /// A content can be spoken of by its name from now on.
    fn know(&mut self, content: &ContentId, name: Arc<str>, size: u64) {
        let chunks = Geometry::native(size).map_or(0, |geometry| geometry.chunks());
        self.known.insert(*content, Known { name, chunks });
    }

    fn tell_stranger(&mut self, addr: SocketAddr, said: &[u8]) {
        let message = format!("{}; next: check the port", stranger_text(addr, said));
        self.out.note(&message);
        let said = String::from_utf8_lossy(said);
        self.out.json(&Line::NotAPeer { peer: addr.to_string(), said: &said, message: &message });
    }

    fn tell_peer(&mut self, event: PeerEvent, peer: &PeerRef, reason: Option<&str>) {
        let who = Who::of(peer);
        self.out.json(&Line::Peer { event, who, offers: None, silent: None, connected: None, reason });
    }

    fn tell_started(&mut self, content: &ContentId, geometry: &Geometry, had: u32) {
        let chunks = geometry.chunks();
        if let Some(known) = self.known.get_mut(content) {
            known.chunks = chunks;
        }
        if !self.out.is_json() {
            return;
        }
        let Known { name, .. } = self.known(content);
        let (size, chunk_bytes) = (geometry.size_bytes(), geometry.chunk_bytes());
        self.out.json(&Line::Start { id: *content, name: &name, size, chunks, chunk_bytes, had });
    }

    fn tell_moved(&mut self, moved: &Moved<'_>, peer: &PeerRef, from_complete: Option<bool>) {
        let Moved { dir, content, index, of, bytes, took } = *moved;
        let Known { name, .. } = self.known(content);
        self.log(&Record::Chunk { dir, index, of, name: &name, bytes, peer, took });
        if self.out.tells_chunks() {
            self.out.json(&Line::Chunk {
                dir,
                id: *content,
                name: &name,
                index,
                of,
                bytes: Some(bytes),
                who: Who::of(peer),
                from_complete,
                dur: Some(seconds(took)),
                ok: true,
                reason: None,
            });
        }
    }

    fn tell_read(&mut self, read: &Read<'_>) {
        let Read { content, first, asked, of, bytes, to: peer, ended } = *read;
        let Known { name, .. } = self.known(content);
        self.log(&match ended {
            Ok(took) => Record::Http { first, asked, of, name: &name, bytes, peer, took },
            Err(why) => Record::HttpFailed { first, asked, of, name: &name, bytes, peer, why },
        });
        if self.out.tells_chunks() {
            self.out.json(&Line::Http {
                dir: Direction::Up,
                id: *content,
                name: &name,
                first,
                asked,
                of,
                bytes,
                peer: peer.to_string(),
                dur: ended.ok().map(seconds),
                ok: ended.is_ok(),
                reason: ended.err(),
            });
        }
    }

    /// People hear once of each peer and reason, the log of every chunk.
    fn tell_missed(&mut self, content: &ContentId, index: u32, from: &PeerRef, why: &'static str) {
        let Known { name, chunks } = self.known(content);
        let dir = Direction::Down;
        let logged = format!("{why}, asked elsewhere");
        if self.complaints.len() < COMPLAINTS_MAX && self.complaints.insert((from.addr, why)) {
            let (name, from) = (human::label(&name), human::peer(from));
            self.out
                .note(&format!("{name}: chunk {index} did not come from {from}: {why}; asking other peers"));
        }
        self.log(&Record::ChunkFailed { dir, index, of: chunks, name: &name, peer: from, why: &logged });
        self.tell_retry(content, Some(index), from, why);
    }

    fn tell_source_lost(&mut self, content: &ContentId, from: &PeerRef, why: &'static str) {
        let Known { name, .. } = self.known(content);
        if self.complaints.len() < COMPLAINTS_MAX && self.complaints.insert((from.addr, why)) {
            self.out.note(&match why {
                LEAVING => format!("{} is shutting down", human::peer(from)),
                _ => format!("{}: {} stopped sending: {why}", human::label(&name), human::peer(from)),
            });
        }
        self.tell_retry(content, None, from, why);
    }

    /// What `from` was asked for is asked elsewhere: a chunk, or the whole content.
    fn tell_retry(&mut self, content: &ContentId, index: Option<u32>, from: &PeerRef, why: &str) {
        let Known { name, .. } = self.known(content);
        let (id, who) = (*content, Some(Who::of(from)));
        self.out.json(&Line::Retry {
            id,
            name: &name,
            index,
            who,
            reason: why,
            missing: &[],
            missing_count: None,
            replaced_by: None,
        });
    }

    fn tell_unsent(&mut self, content: &ContentId, index: u32, to: &PeerRef, why: &str) {
        let Known { name, chunks } = self.known(content);
        let dir = Direction::Up;
        self.log(&Record::ChunkFailed { dir, index, of: chunks, name: &name, peer: to, why });
        if self.out.tells_chunks() {
            self.out.json(&Line::Chunk {
                dir,
                id: *content,
                name: &name,
                index,
                of: chunks,
                bytes: None,
                who: Who::of(to),
                from_complete: None,
                dur: None,
                ok: false,
                reason: Some(why),
            });
        }
    }
}

/// That something answers at an address, and is no peer: with the first line of what it said, where that is text.
fn stranger_text(addr: SocketAddr, said: &[u8]) -> String {
    let text = match std::str::from_utf8(said) {
        Ok(text) => text,
        // The kept bytes end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(said.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => "",
    };
    let line = text.lines().next().filter(|line| !line.is_empty() && !line.contains(char::is_control));
    let said = match (line, said.len()) {
        (_, 0) => "it said nothing".to_owned(),
        (Some(line), _) => format!("it said {}", quoted(line)),
        (None, 1) => "its first byte is no hello".to_owned(),
        (None, bytes) => format!("its first {bytes} bytes are no hello"),
    };
    format!("{addr} answers, but not as a chunkcast peer ({said})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_in_the_place_of_a_peer_is_told() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 5000));
        for (said, told) in [
            (&b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"[..], r#"it said "HTTP/1.1 400 Bad Request""#),
            (b"pong", r#"it said "pong""#),
            (b"a \"quoted\" \xe2\x80\xae word", r#"it said "a \"quoted\" \u{202e} word""#),
            (b"cut in \xe2\x80", r#"it said "cut in ""#),
            (b"\x1b[2J", "its first 4 bytes are no hello"),
            (b"\xff\xfe\0\0", "its first 4 bytes are no hello"),
            (b"\0", "its first byte is no hello"),
            (b"", "it said nothing"),
        ] {
            let text = format!("127.0.0.1:5000 answers, but not as a chunkcast peer ({told})");
            assert_eq!(stranger_text(addr, said), text);
        }
    }
}
