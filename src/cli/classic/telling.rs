//! Events about classic peers, reported in the same way by every command: JSON lines, the transfer log, and the notes
//! that do not depend on the command.

use std::net::{IpAddr, SocketAddr};

use crate::cli::classic::json::{Line, PeerEvent};
use crate::cli::human;
use crate::cli::json::Direction;
use crate::cli::run::Run;
use crate::cli::telling::COMPLAINTS_MAX;
use crate::cli::transfer_log::Record;
use crate::core::ClassicEvent;
use crate::types::name::printable;
use crate::wire::classic::records::failure_line;
use crate::wire::classic::{ChunkName, Dialect};

/// For a peer that did not deliver a chunk, people hear once of it, whatever the reason.
const MISSED: &str = "classic chunk missed";
/// Why nothing is asked for the moment, as a JSON line says it.
const WAITING: &str = "waiting-for-announcements";
/// Why a chunk is not asked of anybody else, as a JSON line says it.
const NOBODY: &str = "nobody-delivers";
/// The most names of chunks in one line for people.
const NAMES_MAX: usize = 64;

impl Run<'_> {
    /// Tells of an event.
    pub(in crate::cli) fn tell_classic(&mut self, event: &ClassicEvent) {
        match event {
            ClassicEvent::Announced { chunks } => {
                self.out.json(&Line::Announced { chunks: *chunks }.marked())
            }
            ClassicEvent::Heard { from, user, chunks } => {
                let event = PeerEvent::Announced;
                log::info!("classic peer {from} announces {}", names(chunks));
                self.tell_announcer(event, *from, user.as_deref(), chunks.len(), chunks);
            }
            ClassicEvent::Gone { from, chunks } => {
                log::info!("classic peer {from} went silent");
                self.tell_announcer(PeerEvent::Lost, *from, None, *chunks, &[]);
            }
            ClassicEvent::Begun { file, had, holders, .. } => {
                self.out.json(&Line::Start { name: file, had: *had, peers: *holders }.marked());
            }
            ClassicEvent::ChunkReceived { .. }
            | ClassicEvent::ChunkSent { .. }
            | ClassicEvent::ChunkUnsent { .. } => self.tell_classic_chunk(event),
            ClassicEvent::ChunkMissed { name, from, dialect, why, .. } => {
                self.tell_classic_miss(name, *from, *dialect, why);
            }
            ClassicEvent::ChunkFailed { name, .. } => {
                self.tell_classic_retry(Some(name), None, NOBODY, &[]);
            }
            ClassicEvent::Waiting { missing, .. } => self.tell_classic_retry(None, None, WAITING, missing),
            ClassicEvent::Finished { .. } | ClassicEvent::Skipped { .. } | ClassicEvent::Failed { .. } => {}
        }
    }

    fn tell_announcer(
        &mut self,
        event: PeerEvent,
        peer: IpAddr,
        user: Option<&str>,
        count: usize,
        chunks: &[ChunkName],
    ) {
        let chunks = chunks.iter().map(ChunkName::to_string).collect();
        self.out.json(&Line::Peer { event, peer, user, count, chunks }.marked());
    }

    fn tell_classic_chunk(&mut self, event: &ClassicEvent) {
        let moved = |dir, name, bytes: &u64, peer: &SocketAddr, dialect: &Dialect, took: &_| {
            Record::ClassicChunk { dir, name, bytes: *bytes, peer: *peer, dialect: *dialect, took: *took }
        };
        match event {
            ClassicEvent::ChunkReceived { name, bytes, from, dialect, took, .. } => {
                self.log(&moved(Direction::Down, name, bytes, from, dialect, took));
            }
            ClassicEvent::ChunkSent { name, bytes, to, dialect, took } => {
                self.log(&moved(Direction::Up, name, bytes, to, dialect, took));
            }
            ClassicEvent::ChunkUnsent { name, to, why } => {
                let (dir, peer) = (Direction::Up, *to);
                self.log(&Record::ClassicChunkFailed { dir, name, peer, dialect: None, why });
            }
            _ => return,
        }
        if let Some(line) = Line::of_chunk(event).filter(|_| self.out.tells_chunks()) {
            self.out.json(&line.marked());
        }
    }

    /// People hear once of each peer, the log of every chunk.
    fn tell_classic_miss(&mut self, name: &ChunkName, from: SocketAddr, dialect: Dialect, why: &str) {
        if self.complaints.len() < COMPLAINTS_MAX && self.complaints.insert((from, MISSED)) {
            let (name, why) = (human::quoted(&name.to_string()), printable(why));
            self.out.note(&format!("{name} did not come from {from} ({dialect}): {why}; asking other peers"));
        }
        let dir = Direction::Down;
        self.log(&Record::ClassicChunkFailed { dir, name, peer: from, dialect: Some(dialect), why });
        self.tell_classic_retry(Some(name), Some((from, dialect)), why, &[]);
    }

    fn tell_classic_retry(
        &mut self,
        chunk: Option<&ChunkName>,
        from: Option<(SocketAddr, Dialect)>,
        reason: &str,
        missing: &[u32],
    ) {
        let line = Line::Retry {
            name: chunk.map(ChunkName::to_string),
            index: chunk.map(ChunkName::index),
            peer: from.map(|(peer, _)| peer),
            dialect: from.map(|(_, dialect)| dialect.as_str()),
            reason,
            missing,
        };
        self.out.json(&line.marked());
    }
}

/// What one of the four programs prints of an event, if anything.
pub(super) fn line(event: &ClassicEvent) -> Option<String> {
    let moved = |name: &ChunkName, way: &str, addr: &SocketAddr, bytes: u64, dialect: &Dialect| {
        let (name, ip, size) = (printable(&name.to_string()), addr.ip(), human::size(bytes));
        Some(format!("{name} {way} {ip} ({size}, {dialect})"))
    };
    match event {
        ClassicEvent::Heard { from, user, chunks } => {
            let user = user.as_ref().map(|user| format!(" ({})", human::label(user))).unwrap_or_default();
            Some(format!("{from}{user}: {}", names(chunks)))
        }
        ClassicEvent::Gone { from, chunks } => {
            Some(format!("{from}: silent, {} forgotten", human::counted(*chunks, "chunk", "chunks")))
        }
        ClassicEvent::ChunkReceived { name, bytes, from, dialect, .. } => {
            moved(name, "from", from, *bytes, dialect)
        }
        ClassicEvent::ChunkSent { name, bytes, to, dialect, .. } => moved(name, "to", to, *bytes, dialect),
        ClassicEvent::ChunkFailed { name, .. } => Some(printable(&failure_line(name))),
        _ => None,
    }
}

/// The names of chunks, one after the other.
fn names(chunks: &[ChunkName]) -> String {
    let mut text: Vec<String> =
        chunks.iter().take(NAMES_MAX).map(|name| printable(&name.to_string())).collect();
    if chunks.len() > NAMES_MAX {
        text.push(format!("and {} more", chunks.len() - NAMES_MAX));
    }
    text.join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(text: &str) -> ChunkName {
        ChunkName::parse(text).unwrap()
    }

    #[test]
    fn what_the_four_programs_print() {
        let (dialect, took) = (Dialect::C, Duration::ZERO);
        let addr = "192.168.2.65:5000".parse().unwrap();
        let heard = |user: Option<&str>, chunks: &[&str]| ClassicEvent::Heard {
            from: "192.168.2.65".parse().unwrap(),
            user: user.map(str::to_owned),
            chunks: chunks.iter().map(|text| name(text)).collect(),
        };
        for (event, text) in [
            (heard(Some("alice"), &["forest_1", "forest_2"]), "192.168.2.65 (alice): forest_1 forest_2"),
            (heard(None, &["forest_1"]), "192.168.2.65: forest_1"),
            (
                ClassicEvent::Gone { from: "192.168.2.65".parse().unwrap(), chunks: 1 },
                "192.168.2.65: silent, 1 chunk forgotten",
            ),
            (
                ClassicEvent::ChunkReceived {
                    ticket: 0,
                    name: name("a_1"),
                    bytes: 9,
                    from: addr,
                    dialect,
                    took,
                },
                "a_1 from 192.168.2.65 (9 B, C)",
            ),
            (
                ClassicEvent::ChunkSent { name: name("a_1"), bytes: 2048, to: addr, dialect, took },
                "a_1 to 192.168.2.65 (2.0 KiB, C)",
            ),
            (
                ClassicEvent::ChunkFailed { ticket: 0, name: name("forest_3") },
                "CHUNK forest_3 CANNOT BE DOWNLOADED FROM ONLINE PEERS.",
            ),
        ] {
            assert_eq!(line(&event).as_deref(), Some(text));
        }
        assert_eq!(line(&ClassicEvent::Announced { chunks: 3 }), None);
    }

    #[test]
    fn names_from_the_network_are_tamed_and_bounded() {
        let evil = ClassicEvent::Heard {
            from: "10.0.0.1".parse().unwrap(),
            user: Some("\u{1b}[2Jbob".into()),
            chunks: (1..=100).map(|index| name(&format!("a\u{202e}_{index}"))).collect(),
        };
        let line = line(&evil).unwrap();
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
        assert!(line.ends_with("and 36 more"), "{line}");
    }
}
