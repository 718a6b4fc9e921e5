//! What was not fetched, and how much of that is told.

use std::sync::Arc;

use crate::cli::downloads::Downloads;
use crate::cli::exit::Exit;
use crate::cli::failure::{Circumstances, Failure};
use crate::cli::failure_notice::Subject;
use crate::cli::run::Run;
use crate::core::FailReason;
use crate::types::ContentId;
use crate::types::name::Layout;

/// More failures than this are counted, not told one by one, to people.
const FAILURES_TOLD_MAX: usize = 10;

/// The failures of one command.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// The exit codes, in order.
    pub(super) exits: Vec<Exit>,
    /// The faults of the store that were told.
    pub(super) repeated: Vec<Repeated>,
    /// What people read below a failure, in place of the same command again.
    pub(super) advice: Option<&'static str>,
}

/// A failure of several files that has one reason.
#[derive(Debug)]
pub(super) struct Repeated {
    /// What happened, as it was told of the first of them.
    happened: String,
    pub(super) first: Arc<str>,
    /// How many files had it after that.
    pub(super) more: usize,
}

impl Downloads {
    /// Of what a request stands for, some is not fetched: it would be too much, or could not be listed in time.
    pub(super) fn cut_short(&mut self, run: &mut Run<'_>, ticket: u32, found: usize) {
        let Some(search) = self.searches.get(ticket as usize) else { return };
        let text = search.request.text.clone();
        let failure = Failure::of_too_many(&text, found);
        run.log_failure(&text, None, self.wait, &failure.happened);
        let path = Some(self.target.path(None, Layout::Flat));
        self.failures.add(run, &failure, &Subject { id: None, name: Some(&text), path });
    }

    pub(super) fn search_failed(&mut self, run: &mut Run<'_>, ticket: u32, reason: &FailReason) {
        if self.goes_classic(run, ticket, reason) {
            return;
        }
        let around = self.around(None, None);
        let Some(search) = self.searches.get_mut(ticket as usize).filter(|search| !search.ended) else {
            return;
        };
        search.ended = true;
        let text = search.request.text.clone();
        if *reason == FailReason::Cancelled {
            return;
        }
        let failure = Failure::of(&text, reason, &around);
        run.log_failure(&text, None, self.wait, &failure.happened);
        self.failures.add(
            run,
            &failure,
            &Subject { id: None, name: Some(&text), path: Some(self.target.path(None, Layout::Flat)) },
        );
    }

    pub(super) fn failed_item(&mut self, run: &mut Run<'_>, content: &ContentId, reason: &FailReason) {
        let Some(item) = self.items.get_mut(content).filter(|item| !item.ended) else { return };
        // The chunks were fetched for another name of the content, so nothing is kept for this one.
        let had = Some((item.have, item.chunks)).filter(|(have, _)| *have > 0 && item.first.is_none());
        if *reason == FailReason::Cancelled {
            // Whoever cancelled it says so, once for all.
            return;
        }
        let (name, layout, took, size) = (item.name.clone(), item.layout, item.began.elapsed(), item.size);
        let replaced_by = item.replaced_by.clone();
        item.go_on();
        self.open_files = self.open_files.saturating_sub(1);
        let mut failure = Failure::of(&name, reason, &self.around(Some(size), had));
        if let Some(advice) = self.failures.advice {
            failure.next = vec![advice.to_owned()];
        } else if let (Some((by, from)), FailReason::Stalled { .. } | FailReason::Integrity { .. }) =
            (replaced_by.as_deref(), reason)
        {
            failure.replaced(by, from);
        }
        run.log_failure(&name, Some(*content), took, &failure.happened);
        let path = Some(self.target.path(Some(&name), layout));
        let of = Subject { id: Some(*content), name: Some(&name), path };
        // What is wrong with a folder is wrong for each file in it.
        if layout == Layout::Tree
            && failure.exit == Exit::Storage
            && self.failures.is_repeated(&failure.happened, &name)
        {
            self.failures.exits.push(failure.exit);
            return failure.list(run.out, &of);
        }
        self.failures.add(run, &failure, &of);
    }

    fn around(&self, size: Option<u64>, had: Option<(u32, u32)>) -> Circumstances {
        Circumstances { wait: self.wait, stall: self.stall, port: self.port, size, had }
    }
}

impl Failures {
    /// One more: tells of it, unless too many were told.
    fn add(&mut self, run: &mut Run<'_>, failure: &Failure, of: &Subject<'_>) {
        self.exits.push(failure.exit);
        if self.told() <= FAILURES_TOLD_MAX || run.out.is_json() {
            return failure.report_of(run.out, of);
        }
        if self.told() == FAILURES_TOLD_MAX + 1 {
            run.out.fail("chunkcast: more failures follow; for all of them: chunkcast log");
        }
        run.out.shown.add(failure, of);
    }

    /// How many failures were told, each by itself.
    fn told(&self) -> usize {
        self.exits.len() - self.repeated.iter().map(|known| known.more).sum::<usize>()
    }

    /// Whether people were told that this happened to another file. The first few such reasons are remembered.
    fn is_repeated(&mut self, happened: &str, name: &Arc<str>) -> bool {
        if let Some(known) = self.repeated.iter_mut().find(|known| known.happened == happened) {
            known.more += 1;
            return true;
        }
        if self.repeated.len() < FAILURES_TOLD_MAX {
            self.repeated.push(Repeated { happened: happened.to_owned(), first: Arc::clone(name), more: 0 });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_repeated_as_often_as_files_have_it() {
        let mut failures = Failures::default();
        let name = Arc::from("a/talk.mkv");
        let told = ["a is no folder", "b is no folder", "a is no folder", "a is no folder"];
        assert_eq!(told.map(|why| failures.is_repeated(why, &name)), [false, false, true, true]);
        assert_eq!(failures.repeated.iter().map(|known| known.more).collect::<Vec<_>>(), [2, 0]);
        failures.exits = vec![Exit::Storage; told.len()];
        assert_eq!(failures.told(), 2, "what is repeated keeps nothing else from being told");
        // As many others as are told one by one are remembered.
        let others: Vec<String> = (0..2 * FAILURES_TOLD_MAX).map(|at| at.to_string()).collect();
        others.iter().for_each(|why| assert!(!failures.is_repeated(why, &name)));
        assert_eq!(failures.repeated.len(), FAILURES_TOLD_MAX);
    }
}
