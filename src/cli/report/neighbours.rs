//! The activities of a ring, one line each: on the terminal, as JSON, and in the transfer log.

use chrono::Local;

use crate::cli::human;
use crate::cli::json::Line;
use crate::cli::output::stamp;
use crate::cli::report::Known;
use crate::cli::run::Run;
use crate::core::{Event, PeerRef};
use crate::types::name::printable;
use crate::types::{ContentId, PeerId};

/// Reports an event, if it is something that neighbours do. `owner` is who that is, where this peer is not it itself.
pub(crate) fn report(run: &mut Run<'_>, event: &Event, owner: Option<PeerId>) {
    let Some((text, peer)) = text(run, event) else { return };
    let role = role_of(peer, owner);
    run.print(event, Some(role));
    // Chunks that moved are in the log already.
    if !matches!(event, Event::ChunkReceived { .. } | Event::ChunkSent { .. }) {
        run.log_event(event, Some(role));
    }
    if !run.out.is_quiet() {
        let (stamp, peer) = (stamp(Local::now()), printable(&human::peer(peer)));
        run.out.result(&format!("{stamp} {text} {role} {peer}"));
    }
}

/// Reports that a content is complete, here or wherever it was to go.
pub(crate) fn complete(run: &mut Run<'_>, content: &ContentId, of: u32, more: &str) {
    let Known { name, .. } = run.known(content);
    run.out.json(&Line::Activity { what: "complete", id: *content, name: &name, of, have: of });
    if !run.out.is_quiet() {
        let name = human::label(&name);
        run.out.result(&format!("{} complete {name}, {of} of {of} chunks{more}", stamp(Local::now())));
    }
}

/// What a peer is, as people and programs read it.
pub(crate) fn role_of(peer: &PeerRef, owner: Option<PeerId>) -> &'static str {
    if owner.is_some() && peer.id == owner { "owner" } else { "neighbour" }
}

/// What people read of an event up to the peer, and that.
fn text<'a>(run: &Run<'_>, event: &'a Event) -> Option<(String, &'a PeerRef)> {
    let chunks = || event.content().map_or(0, |content| run.known(content).chunks);
    Some(match event {
        Event::ChunkReceived { chunk, from, .. } => {
            (format!("received chunk {chunk}/{} from", chunks()), from)
        }
        Event::ChunkSent { chunk, of, to, .. } => (format!("sent chunk {chunk}/{of} to"), to),
        Event::ChunkRequested { chunk, from, .. } => {
            (format!("requested chunk {chunk}/{} from", chunks()), from)
        }
        Event::RequestReceived { chunk, by, .. } => {
            (format!("received request for chunk {chunk}/{} from", chunks()), by)
        }
        Event::ListReceived { new, have, of, from, .. } => {
            (format!("received chunk list {have}/{of} (+{new}) from"), from)
        }
        Event::ListSent { new, have, of, to, .. } => (format!("sent chunk list {have}/{of} (+{new}) to"), to),
        _ => return None,
    })
}
