//! What the flows of pushes in the field's dialects remember: which are under way, which are being stored, how much
//! was taken in. State only; what follows from what is decided in `flow/foreign_push`.

pub(in crate::core) mod conversation;
pub(in crate::core) mod giving;
pub(in crate::core) mod taking;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::door::{ConnId, SpoolId};
use crate::wire::push::Announced;

/// The state of all pushes in the field's dialects.
#[derive(Debug, Default)]
pub(in crate::core) struct Pushes {
    /// So many have come in so far.
    numbered: u32,
    /// Connections on which something is taken in, by the number of the push.
    pub(in crate::core) taking: BTreeMap<u32, ConnId>,
    /// What has come whole, and is on its way to its name.
    pub(in crate::core) storing: BTreeMap<SpoolId, Arrival>,
    /// Bytes of all that was taken in, and of what was let come.
    pub(in crate::core) taken_bytes: u64,
}

/// A file that came whole.
#[derive(Debug)]
pub(in crate::core) struct Arrival {
    pub(in crate::core) push: u32,
    /// Who still waits for a last word.
    pub(in crate::core) conn: ConnId,
    pub(in crate::core) from: SocketAddr,
    pub(in crate::core) said: Announced,
    pub(in crate::core) bytes: u64,
    pub(in crate::core) latency: Duration,
    pub(in crate::core) took: Duration,
}

impl Pushes {
    /// The number of the next push.
    pub(in crate::core) fn number(&mut self) -> u32 {
        let number = self.numbered;
        self.numbered = number.wrapping_add(1);
        number
    }
}
