//! The activities of a ring, one line each: on the terminal, as JSON, and in the transfer log.

use chrono::Local;

use crate::cli::human;
use crate::cli::json::{Direction, Line, Who};
use crate::cli::output::stamp;
use crate::cli::run::Run;
use crate::cli::telling::Known;
use crate::cli::transfer_log::Record;
use crate::core::{Event, PeerRef};
use crate::types::name::printable;
use crate::types::{ContentId, PeerId};

/// One thing that happened to a chunk, or to a list of chunks.
struct Activity<'a> {
    /// As JSON lines name it.
    what: &'static str,
    /// As people read it, before and behind the number.
    words: [&'static str; 2],
    content: &'a ContentId,
    /// The chunk; `None`: a list.
    index: Option<u32>,
    of: u32,
    /// Of a list: the chunks in it, and those of them that are new.
    list: Option<(u32, u32)>,
    peer: &'a PeerRef,
}

/// Tells of an event, if it is something that neighbours do. `owner` is who that is, where this peer is not it itself.
pub(super) fn tell(run: &mut Run<'_>, event: &Event, owner: Option<PeerId>) {
    if let Some(activity) = of(run, event) {
        let dir = match event {
            Event::ListReceived { .. } | Event::ChunkRequested { .. } => Some(Direction::Down),
            Event::ListSent { .. } | Event::RequestReceived { .. } => Some(Direction::Up),
            // The log has these already.
            _ => None,
        };
        activity.tell(run, owner, dir);
    }
}

/// Tells that a content is complete, here or wherever it was to go.
pub(super) fn complete(run: &mut Run<'_>, content: &ContentId, of: u32, more: &str) {
    let Known { name, .. } = run.known(content);
    run.out.json(&Line::Activity {
        what: "complete",
        id: *content,
        name: &name,
        index: None,
        of,
        have: Some(of),
        new: None,
        part: None,
        who: None,
    });
    if !run.out.is_quiet() {
        let name = human::label(&name);
        run.out.result(&format!("{} complete {name}, {of} of {of} chunks{more}", stamp(Local::now())));
    }
}

/// What a peer is, as people and programs read it.
pub(super) fn part_of(peer: &PeerRef, owner: Option<PeerId>) -> &'static str {
    if owner.is_some() && peer.id == owner { "owner" } else { "neighbour" }
}

fn of<'a>(run: &Run<'_>, event: &'a Event) -> Option<Activity<'a>> {
    let chunks = |content: &ContentId| run.known(content).chunks;
    Some(match event {
        Event::ChunkReceived { content, chunk, from, .. } => Activity {
            what: "received_chunk",
            words: ["received chunk", "from"],
            content,
            index: Some(*chunk),
            of: chunks(content),
            list: None,
            peer: from,
        },
        Event::ChunkSent { content, chunk, of, to, .. } => Activity {
            what: "sent_chunk",
            words: ["sent chunk", "to"],
            content,
            index: Some(*chunk),
            of: *of,
            list: None,
            peer: to,
        },
        Event::ChunkRequested { content, chunk, from } => Activity {
            what: "requested_chunk",
            words: ["requested chunk", "from"],
            content,
            index: Some(*chunk),
            of: chunks(content),
            list: None,
            peer: from,
        },
        Event::RequestReceived { content, chunk, by } => Activity {
            what: "received_request",
            words: ["received request for chunk", "from"],
            content,
            index: Some(*chunk),
            of: chunks(content),
            list: None,
            peer: by,
        },
        Event::ListReceived { content, new, have, of, from } => Activity {
            what: "received_list",
            words: ["received chunk list", "from"],
            content,
            index: None,
            of: *of,
            list: Some((*have, *new)),
            peer: from,
        },
        Event::ListSent { content, new, have, of, to } => Activity {
            what: "sent_list",
            words: ["sent chunk list", "to"],
            content,
            index: None,
            of: *of,
            list: Some((*have, *new)),
            peer: to,
        },
        _ => return None,
    })
}

impl Activity<'_> {
    fn tell(&self, run: &mut Run<'_>, owner: Option<PeerId>, logged: Option<Direction>) {
        let Known { name, .. } = run.known(self.content);
        let part = part_of(self.peer, owner);
        run.out.json(&Line::Activity {
            what: self.what,
            id: *self.content,
            name: &name,
            index: self.index,
            of: self.of,
            have: self.list.map(|(have, _)| have),
            new: self.list.map(|(_, new)| new),
            part: Some(part),
            who: Some(Who::of(self.peer)),
        });
        if let Some(dir) = logged {
            run.log(&match (self.index, self.list) {
                (Some(index), _) => Record::Request { dir, index, of: self.of, name: &name, peer: self.peer },
                (None, list) => {
                    let (have, new) = list.unwrap_or_default();
                    Record::List { dir, have, of: self.of, name: &name, new, peer: self.peer }
                }
            });
        }
        if !run.out.is_quiet() {
            let [what, preposition] = self.words;
            let number = match (self.index, self.list) {
                (Some(index), _) => format!("{index}/{}", self.of),
                (None, list) => {
                    let (have, new) = list.unwrap_or_default();
                    format!("{have}/{} (+{new})", self.of)
                }
            };
            let peer = printable(&human::peer(self.peer));
            let stamp = stamp(Local::now());
            run.out.result(&format!("{stamp} {what} {number} {preposition} {part} {peer}"));
        }
    }
}
