//! Texts about the named addresses: which of them does not answer, and which of them could send the missing chunks.

use std::net::SocketAddr;

use crate::cli::human;
use crate::core::status::{EndStatus, NeighboursStatus};

/// Where the owner was named, and who answered there.
pub(super) fn owner_of(status: Option<&NeighboursStatus>) -> Option<&EndStatus> {
    status.and_then(|status| status.owner.as_ref())
}

/// Who an endpoint is to this peer.
pub(super) fn who(status: Option<&NeighboursStatus>, addr: SocketAddr) -> String {
    let owner = owner_of(status).is_some_and(|end| end.addr == addr);
    format!("{} {addr}", if owner { "the owner" } else { "the download neighbour" })
}

/// The chunks that are missing; `count` of them, of which the first are known.
pub(super) fn missing_text(missing: &[u32], count: u32) -> String {
    match count {
        0 => "the list of chunks".to_owned(),
        1 => format!("chunk {}", human::some_of(missing, 1)),
        _ => format!("chunks {}", human::some_of(missing, count.into())),
    }
}

/// From whom what is missing could come; `falls_back`: whether the owner is asked for it anyway.
pub(super) fn sources_text(status: Option<&NeighboursStatus>, falls_back: bool) -> String {
    let Some(status) = status else { return String::new() };
    let end = |what: &str, end: &EndStatus| {
        let state = if end.connected { format!("has {}", end.have) } else { "not connected".to_owned() };
        format!("{what} {} ({state})", end.addr)
    };
    let upstream = status.upstream.iter().map(|up| end("the download neighbour", up));
    let last = if falls_back { "the owner" } else { "with --owner-fallback the owner" };
    let owner = status.owner.iter().map(|owner| end(last, owner));
    let ends: Vec<String> = upstream.chain(owner).collect();
    format!("possible sources: {}", ends.join(", "))
}
