//! What became of the files that a host wanted from classic peers, read from its peer's events.

use std::path::PathBuf;

use crate::core::{ClassicEvent, ClassicFailure};
use crate::types::Time;

/// Tickets of classic gets begin here, so that they are told apart from those of native ones.
pub(in crate::sim) const FIRST_TICKET: u32 = 1 << 16;

/// How a classic get ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassicOutcome {
    /// The file is there.
    Finished {
        /// Since when.
        at: Time,
        /// Under which name.
        path: PathBuf,
        /// From how many peers.
        peers: usize,
    },
    /// It ended without the file.
    Failed(Time, ClassicFailure),
}

#[derive(Debug, Clone, Default)]
struct Get {
    asked: bool,
    outcome: Option<ClassicOutcome>,
}

/// All classic gets of a host. Their tickets follow [`FIRST_TICKET`] in their order.
#[derive(Debug)]
pub(in crate::sim) struct ClassicGets {
    gets: Vec<Get>,
}

impl ClassicGets {
    pub(in crate::sim) fn new(count: usize) -> ClassicGets {
        ClassicGets { gets: vec![Get::default(); count] }
    }

    /// A new peer knows nothing of what the one before it was asked; what was finished is finished.
    pub(in crate::sim) fn restart(&mut self) {
        for get in &mut self.gets {
            if !matches!(get.outcome, Some(ClassicOutcome::Finished { .. })) {
                *get = Get::default();
            }
        }
    }

    /// A get is asked, unless it was finished; whether it has to be.
    pub(in crate::sim) fn ask(&mut self, get: usize) -> bool {
        match self.gets.get_mut(get) {
            Some(get) if !matches!(get.outcome, Some(ClassicOutcome::Finished { .. })) => {
                *get = Get { asked: true, outcome: None };
                true
            }
            _ => false,
        }
    }

    /// Takes in an event. Fails when a get ends that is not under way.
    pub(in crate::sim) fn note(&mut self, now: Time, event: &ClassicEvent) -> Result<(), String> {
        let (ticket, outcome) = match event {
            ClassicEvent::Finished { ticket, path, peers, .. } => {
                (*ticket, ClassicOutcome::Finished { at: now, path: path.clone(), peers: *peers })
            }
            ClassicEvent::Failed { ticket, reason } => (*ticket, ClassicOutcome::Failed(now, reason.clone())),
            _ => return Ok(()),
        };
        let get = ticket.checked_sub(FIRST_TICKET).and_then(|get| self.gets.get_mut(get as usize));
        match get {
            Some(get) if get.asked && get.outcome.is_none() => {
                get.outcome = Some(outcome);
                Ok(())
            }
            _ => Err(format!("ends the classic get {ticket}, which is not under way: {outcome:?}")),
        }
    }

    /// How a get ended, if it did.
    pub(in crate::sim) fn outcome(&self, get: usize) -> Option<&ClassicOutcome> {
        self.gets.get(get)?.outcome.as_ref()
    }

    pub(in crate::sim) fn all_over(&self) -> bool {
        self.gets.iter().all(|get| get.outcome.is_some())
    }

    pub(in crate::sim) fn all_finished(&self) -> bool {
        self.gets.iter().all(|get| matches!(get.outcome, Some(ClassicOutcome::Finished { .. })))
    }

    pub(in crate::sim) fn any_pending(&self) -> bool {
        self.gets.iter().any(|get| get.asked && get.outcome.is_none())
    }

    pub(in crate::sim) fn has_failed(&self, get: usize) -> bool {
        matches!(self.outcome(get), Some(ClassicOutcome::Failed(..)))
    }

    pub(in crate::sim) fn len(&self) -> usize {
        self.gets.len()
    }
}
