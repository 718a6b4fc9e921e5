//! What the flows of the classic dialects remember: who announced what, what is offered here, who is spoken with, and
//! what is fetched. State only; what follows from what is decided in `flow/classic`.

pub(in crate::core) mod asking;
pub(in crate::core) mod conversation;
pub(in crate::core) mod fetches;
pub(in crate::core) mod files;
pub(in crate::core) mod holders;
pub(in crate::core) mod serving;
pub(in crate::core) mod shelf;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::core::classic::fetches::Fetches;
use crate::core::classic::holders::Holders;
use crate::core::classic::shelf::Shelf;
use crate::core::door::ConnId;
use crate::core::limits::Limits;
use crate::types::time::Time;

/// Rounds of announcements whose datagrams are remembered, to be known when they come back.
const ROUNDS_KEPT: usize = 2;

/// The state of the classic dialects.
#[derive(Debug)]
pub(in crate::core) struct Classic {
    /// Who announced which chunk.
    pub(in crate::core) holders: Holders,
    /// What is offered here.
    pub(in crate::core) shelf: Shelf,
    /// What is fetched.
    pub(in crate::core) fetches: Fetches,
    /// Conversations that came in, by who asks.
    pub(in crate::core) served: BTreeSet<(IpAddr, ConnId)>,
    /// A round of announcements waits for the store to say what is kept.
    pub(in crate::core) round_due: bool,
    /// The store was asked for what D announces, and did not answer yet.
    pub(in crate::core) digests_due: bool,
    /// When the file that tells who has what was last written.
    pub(in crate::core) written: Option<Time>,
    sent: VecDeque<BTreeSet<Vec<u8>>>,
}

impl Classic {
    /// Nothing yet.
    pub(in crate::core) fn new(limits: &Limits) -> Classic {
        Classic {
            holders: Holders::new(limits),
            shelf: Shelf::default(),
            fetches: Fetches::default(),
            served: BTreeSet::new(),
            round_due: false,
            digests_due: false,
            written: None,
            sent: VecDeque::new(),
        }
    }

    /// How many conversations of an address are served.
    pub(in crate::core) fn served_of(&self, ip: IpAddr) -> usize {
        let first = ConnId { slot: 0, generation: 0 };
        let last = ConnId { slot: u32::MAX, generation: u32::MAX };
        self.served.range((ip, first)..=(ip, last)).count()
    }

    /// These datagrams went out in one round.
    pub(in crate::core) fn note_sent(&mut self, round: BTreeSet<Vec<u8>>) {
        if self.sent.len() >= ROUNDS_KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back(round);
    }

    /// This datagram of the last round went out behind the others.
    pub(in crate::core) fn note_sent_late(&mut self, datagram: Vec<u8>) {
        match self.sent.back_mut() {
            Some(round) => {
                round.insert(datagram);
            }
            None => self.sent.push_back(BTreeSet::from([datagram])),
        }
    }

    /// Whether a datagram is, to the byte, one of those that went out lately.
    pub(in crate::core) fn was_sent(&self, bytes: &[u8]) -> bool {
        self.sent.iter().any(|round| round.contains(bytes))
    }
}
