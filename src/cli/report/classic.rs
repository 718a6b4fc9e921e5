//! Notes about classic peers that do not depend on the command.

use std::net::SocketAddr;

use crate::cli::human;
use crate::cli::run::Run;
use crate::core::{ClassicEvent, Event, EventObject, Reader};
use crate::types::name::printable;
use crate::wire::classic::records::failure_line;
use crate::wire::classic::{ChunkName, Dialect};

/// For a peer that did not deliver a chunk, people hear once of it, whatever the reason.
const MISSED: &str = "classic chunk missed";
/// The most names of chunks in one line for people.
const NAMES_MAX: usize = 64;

impl Run<'_> {
    /// Tells people, as far as that does not depend on the command.
    pub(super) fn note_classic(&mut self, event: &ClassicEvent) {
        match event {
            ClassicEvent::Heard { from, chunks, .. } => {
                log::info!("classic peer {from} announces {}", names(chunks));
            }
            ClassicEvent::Gone { from, .. } => log::info!("classic peer {from} went silent"),
            ClassicEvent::ChunkMissed { name, from, dialect, why, .. }
                if self.is_new_complaint(*from, MISSED) =>
            {
                let (name, why) = (human::quoted(&name.to_string()), printable(why));
                let text = format!("{name} did not come from {from} ({dialect}): {why}; asking other peers");
                self.out.note(&text);
            }
            _ => {}
        }
    }

    /// Reports the end of a file that is there, which only the command knows the name of.
    pub(crate) fn report_classic_end(&mut self, event: &ClassicEvent, name: &str) {
        let event = &Event::Classic(event.clone());
        let object = EventObject { event, name, chunks: 0, role: None, reader: Reader::Log };
        self.log.write(&object, self.out);
        self.out.json(&EventObject { reader: Reader::Output, ..object });
    }
}

/// What one of the four programs prints of an event, if anything.
pub(crate) fn line(event: &ClassicEvent) -> Option<String> {
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
