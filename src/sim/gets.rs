//! What became of what a host wanted, read from its peer's events.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{Event, FailReason};
use crate::types::{ContentId, Time};

/// How one download of one host ended, as far as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The file is there, complete.
    Finished(Time),
    /// It ended without the file.
    Failed(Time, FailReason),
}

/// One get of a host in its peer's present life.
#[derive(Debug, Clone, Default)]
struct Get {
    asked: bool,
    named_all: bool,
    contents: BTreeSet<ContentId>,
    search_failed: Option<FailReason>,
}

/// All gets of a host. Tickets are their indices.
#[derive(Debug, Clone)]
pub(super) struct Gets {
    gets: Vec<Get>,
    outcomes: BTreeMap<ContentId, Outcome>,
}

impl Gets {
    pub(super) fn new(count: usize) -> Gets {
        Gets { gets: vec![Get::default(); count], outcomes: BTreeMap::new() }
    }

    /// A new peer knows nothing of what the one before it was asked; what was finished is finished.
    pub(super) fn restart(&mut self) {
        self.gets.fill(Get::default());
        self.outcomes.retain(|_, outcome| matches!(outcome, Outcome::Finished(_)));
    }

    /// A get is asked (again); its failures so far do not count.
    pub(super) fn ask(&mut self, get: usize) {
        if let Some(get) = self.gets.get_mut(get) {
            for content in &get.contents {
                if matches!(self.outcomes.get(content), Some(Outcome::Failed(..))) {
                    self.outcomes.remove(content);
                }
            }
            *get = Get { asked: true, ..Get::default() };
        }
    }

    pub(super) fn note(&mut self, now: Time, event: &Event) {
        match event {
            Event::Resolved { ticket, content, .. } => {
                if let Some(get) = self.gets.get_mut(*ticket as usize) {
                    get.contents.insert(*content);
                }
            }
            Event::SearchDone { ticket, .. } => {
                if let Some(get) = self.gets.get_mut(*ticket as usize) {
                    get.named_all = true;
                }
            }
            Event::SearchFailed { ticket, reason } => {
                if let Some(get) = self.gets.get_mut(*ticket as usize) {
                    get.search_failed = Some(reason.clone());
                }
            }
            Event::Replaced { content, begun: true, .. } => {
                self.gets.iter_mut().for_each(|get| {
                    get.contents.remove(content);
                });
            }
            Event::Finished { content, .. } | Event::Skipped { content, .. } => {
                self.outcomes.insert(*content, Outcome::Finished(now));
            }
            Event::Failed { content, reason } => {
                self.outcomes.insert(*content, Outcome::Failed(now, reason.clone()));
            }
            _ => {}
        }
    }

    /// Whether a get was asked and nothing more will come of it.
    pub(super) fn is_over(&self, get: usize) -> bool {
        self.gets.get(get).is_some_and(|get| {
            let concluded = get.contents.iter().all(|content| self.outcomes.contains_key(content));
            get.search_failed.is_some()
                || (get.named_all && concluded)
                || (!get.contents.is_empty() && concluded)
        })
    }

    /// Whether a get was asked, is over, and brought every file it named.
    pub(super) fn succeeded(&self, get: usize) -> bool {
        self.is_over(get)
            && self.gets.get(get).is_some_and(|get| {
                let finished = |content| matches!(self.outcomes.get(content), Some(Outcome::Finished(_)));
                get.search_failed.is_none() && !get.contents.is_empty() && get.contents.iter().all(finished)
            })
    }

    /// Whether a get was asked and is not over.
    pub(super) fn is_pending(&self, get: usize) -> bool {
        self.gets.get(get).is_some_and(|get| get.asked) && !self.is_over(get)
    }

    pub(super) fn len(&self) -> usize {
        self.gets.len()
    }

    /// Why the search of a get failed, if it did.
    pub(super) fn search_failure(&self, get: usize) -> Option<&FailReason> {
        self.gets.get(get).and_then(|get| get.search_failed.as_ref())
    }

    pub(super) fn outcomes(&self) -> &BTreeMap<ContentId, Outcome> {
        &self.outcomes
    }
}
