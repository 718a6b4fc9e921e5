//! The one reporter: every command reports an event in the same way to people, to programs and to the transfer log.

mod classic;
pub(crate) mod neighbours;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use classic::line as classic_line;

use crate::cli::command_line::command_for;
use crate::cli::human;
use crate::cli::json::Line;
use crate::cli::run::Run;
use crate::core::{ClassicEvent, Event, EventObject, Reader};
use crate::shell::ShellEvent;
use crate::store::ShareEvent;
use crate::types::name::{printable, quoted};
use crate::types::{ContentId, Geometry};

/// More different complaints about peers than this are left to the log.
const COMPLAINTS_MAX: usize = 32;
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

/// When an event is a JSON line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Printed {
    Always,
    /// With `--json=chunks`.
    WithChunks,
    /// Never, or when a command says so.
    Elsewhere,
}

impl Run<'_> {
    /// Reports an event.
    pub(super) fn report(&mut self, event: &ShellEvent) {
        match event {
            ShellEvent::Core(event) => {
                self.note_known(event);
                match event {
                    Event::Classic(event) => self.note_classic(event),
                    event => self.note(event),
                }
                let (is_logged, printed) = places(event);
                if is_logged {
                    self.log_event(event, None);
                }
                match printed {
                    Printed::Always => self.print(event, None),
                    Printed::WithChunks if self.out.prints_chunks() => self.print(event, None),
                    Printed::WithChunks | Printed::Elsewhere => {}
                }
            }
            ShellEvent::Share(ShareEvent::Skipped { path, why }) => {
                if !self.left_out.takes(path, why) {
                    self.out.note(&format!("left out {}: {}", human::quoted_path(path), printable(why)));
                }
            }
            ShellEvent::Share(ShareEvent::Unsettled { name }) => {
                self.unsettled += 1;
                if self.unsettled <= UNSETTLED_TOLD_MAX {
                    let name = human::quoted(name);
                    self.out.note(&format!("waiting for {name}: it was written to less than 2 s ago"));
                }
            }
            ShellEvent::Share(ShareEvent::ScanDone { .. }) => {
                self.is_scanned = true;
                self.report_left_out();
                let more = std::mem::take(&mut self.unsettled).saturating_sub(UNSETTLED_TOLD_MAX);
                if more > 0 {
                    let files = human::counted(more, "more file that was", "more files that were");
                    self.out.note(&format!("waiting for {files} written to less than 2 s ago"));
                }
            }
            ShellEvent::Share(ShareEvent::Folder { .. }) | ShellEvent::Signal(_) => {}
        }
    }

    /// Reports how many links were left out since the last report of them.
    pub(super) fn report_left_out(&mut self) {
        if let Some(line) = self.left_out.line() {
            self.out.note(&line);
        }
    }

    /// Prints an event as a JSON line; among neighbours with what the peer is.
    pub(crate) fn print(&mut self, event: &Event, role: Option<&'static str>) {
        if self.out.is_json() {
            let reader = if role.is_some() { Reader::Neighbours } else { Reader::Output };
            let (name, chunks) = name_of(event, &self.known);
            self.out.json(&EventObject { event, name: &name, chunks, role, reader });
        }
    }

    /// Adds an event to the transfer log.
    pub(crate) fn log_event(&mut self, event: &Event, role: Option<&'static str>) {
        let (name, chunks) = name_of(event, &self.known);
        let object = EventObject { event, name: &name, chunks, role, reader: Reader::Log };
        self.log.write(&object, self.out);
    }

    /// What is known of a content; its id for a name when nothing is.
    pub(crate) fn known(&self, content: &ContentId) -> Known {
        let unknown = || Known { name: content.to_string().into(), chunks: 0 };
        self.known.get(content).cloned().unwrap_or_else(unknown)
    }

    /// Forgets the name of a content, if it is this one: no more will be reported of it.
    pub(crate) fn forget(&mut self, content: &ContentId, name: &str) {
        if self.known.get(content).is_some_and(|known| *known.name == *name) {
            self.known.remove(content);
        }
    }

    /// Keeps what later events do not say of a content.
    fn note_known(&mut self, event: &Event) {
        let (content, name, size) = match event {
            Event::Offered { content, name, size } => (content, name.as_str().into(), size),
            Event::Resolved { content, name, size, .. } => (content, Arc::clone(name), size),
            Event::Started { content, geometry, .. } => {
                if let Some(known) = self.known.get_mut(content) {
                    known.chunks = geometry.chunks();
                }
                return;
            }
            _ => return,
        };
        let chunks = Geometry::native(*size).map_or(0, |geometry| geometry.chunks());
        self.known.insert(*content, Known { name, chunks });
    }

    /// Tells people, as far as that does not depend on the command.
    fn note(&mut self, event: &Event) {
        match event {
            Event::PeerFound(peer) => log::info!("peer found: {}", human::peer(peer)),
            Event::PeerLost(peer) => log::info!("peer lost: {}", human::peer(peer)),
            Event::PeerBanned { peer, why } => {
                self.out.note(&format!("{} is no longer asked for chunks: {why}", human::peer(peer)));
            }
            Event::ChunkMissed { content, chunk, from, why } if self.is_new_complaint(from.addr, why) => {
                let (name, from) = (human::label(&self.known(content).name), human::peer(from));
                self.out.note(&format!(
                    "{name}: chunk {chunk} did not come from {from}: {why}; asking other peers"
                ));
            }
            Event::SourceLost { content, from, why } if self.is_new_complaint(from.addr, why) => {
                let (name, from) = (human::label(&self.known(content).name), human::peer(from));
                self.out.note(&match *why {
                    LEAVING => format!("{from} is shutting down"),
                    why => format!("{name}: {from} stopped sending: {why}"),
                });
            }
            Event::Replaced { content, by, from, begun } => {
                let (who, shown) = (human::peer(from), human::quoted(&self.known(content).name));
                let next = match begun {
                    true => "getting the new version".to_owned(),
                    false => format!(
                        "this download waits for the old version; for the new one: {}",
                        command_for(&by.id)
                    ),
                };
                self.out.note(&format!("{who} replaced {shown}: {next}"));
            }
            Event::NotAPeer { addr, said } => {
                self.report_stranger(*addr, said, "answers", "check the port");
            }
            Event::StrangerCame { addr, said } => {
                self.report_stranger(
                    *addr,
                    said,
                    "came",
                    "start 'chunkcast ring peer' there, or look what uses the port",
                );
            }
            Event::Warning(text) => self.out.note(&format!("warning: {}", printable(text))),
            _ => {}
        }
    }

    fn report_stranger(&mut self, addr: SocketAddr, said: &[u8], did: &str, next: &str) {
        let message = format!("{}; next: {next}", stranger_text(addr, did, said));
        self.out.note(&message);
        let said = String::from_utf8_lossy(said);
        self.out.json(&Line::NotAPeer { peer: addr.to_string(), said: &said, message: &message });
    }

    /// People hear once of each peer and reason, the log of every chunk.
    fn is_new_complaint(&mut self, peer: SocketAddr, why: &'static str) -> bool {
        self.complaints.len() < COMPLAINTS_MAX && self.complaints.insert((peer, why))
    }
}

/// Whether an event stands in the transfer log, and when it is a JSON line.
fn places(event: &Event) -> (bool, Printed) {
    match event {
        Event::ChunkReceived { .. }
        | Event::ChunkSent { .. }
        | Event::ChunkUnsent { .. }
        | Event::HttpSent { .. }
        | Event::HttpUnsent { .. } => (true, Printed::WithChunks),
        Event::ChunkMissed { .. } | Event::Finished { .. } | Event::Skipped { .. } => (true, Printed::Always),
        Event::PeerFound(_)
        | Event::PeerLost(_)
        | Event::PeerBanned { .. }
        | Event::Started { .. }
        | Event::SourceLost { .. }
        | Event::Replaced { .. }
        | Event::Waiting { .. } => (false, Printed::Always),
        Event::Classic(event) => match event {
            ClassicEvent::ChunkReceived { .. }
            | ClassicEvent::ChunkSent { .. }
            | ClassicEvent::ChunkUnsent { .. } => (true, Printed::WithChunks),
            ClassicEvent::ChunkMissed { .. } => (true, Printed::Always),
            ClassicEvent::Announced { .. }
            | ClassicEvent::Heard { .. }
            | ClassicEvent::Gone { .. }
            | ClassicEvent::Begun { .. }
            | ClassicEvent::ChunkFailed { .. }
            | ClassicEvent::Waiting { .. } => (false, Printed::Always),
            // They do not say which file; the command knows.
            ClassicEvent::Finished { .. } | ClassicEvent::Skipped { .. } | ClassicEvent::Failed { .. } => {
                (false, Printed::Elsewhere)
            }
        },
        // What is reported of these depends on the command.
        _ => (false, Printed::Elsewhere),
    }
}

/// The name of the file that an event is about, its id when the name is not known, and how many chunks it has.
fn name_of<'a>(event: &Event, known: &'a BTreeMap<ContentId, Known>) -> (Cow<'a, str>, u32) {
    let Some(content) = event.content() else { return (Cow::Borrowed(""), 0) };
    match known.get(content) {
        Some(known) => (Cow::Borrowed(&known.name), known.chunks),
        None => (Cow::Owned(content.to_string()), 0),
    }
}

/// That something answers at an address, and is no peer: with the first line of what it said, where that is text.
fn stranger_text(addr: SocketAddr, did: &str, said: &[u8]) -> String {
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
    format!("{addr} {did}, but not as a chunkcast peer ({said})")
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
            assert_eq!(stranger_text(addr, "answers", said), text);
        }
    }
}
