//! The report of `serve`: shared, withdrawn and mirrored files. This module owns the counts, and limits how many lines
//! are printed when much happens at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::exit::Exit;
use crate::cli::failure::{Circumstances, Failure};
use crate::cli::human;
use crate::cli::json::{ContentEvent, Line};
use crate::cli::run::Run;
use crate::core::limits::MIRROR_STALL;
use crate::core::{Event, FailReason};
use crate::shell::ShellEvent;
use crate::store::ShareEvent;
use crate::types::{ContentId, Geometry};

/// More changes than this in one interval are counted, not told one by one, to people.
const TOLD_MAX: usize = 20;
/// That interval.
const TOLD_INTERVAL: Duration = Duration::from_secs(1);
/// Files whose failure people heard of; they hear of it once, the log each time.
const FAILURES_TOLD_MAX: usize = 1_000;

/// What happened, and how much of it was told.
#[derive(Debug, Default)]
pub(super) struct Stats {
    port: u16,
    started: bool,
    /// What is being fetched, since when.
    coming: BTreeMap<ContentId, Instant>,
    failures_told: BTreeSet<ContentId>,
    mirrored: usize,
    mirrored_bytes: u64,
    /// The interval that is under way, and what was told in it and what was not.
    since: Option<Instant>,
    told: usize,
    untold: usize,
}

impl Stats {
    /// Nothing yet. `port` is the discovery port, for messages.
    pub(super) fn new(port: u16) -> Stats {
        Stats { port, ..Stats::default() }
    }

    /// Files that were mirrored.
    pub(super) fn done(&self) -> usize {
        self.mirrored
    }

    /// Files that were not, and are still wanted.
    pub(super) fn failed(&self) -> usize {
        self.failures_told.len()
    }

    /// Bytes that were mirrored.
    pub(super) fn bytes(&self) -> u64 {
        self.mirrored_bytes
    }

    /// The first scan of all folders is done: `what` says what is served from where.
    pub(super) fn started(&mut self, run: &mut Run<'_>, what: &str) {
        self.started = true;
        if !run.out.is_quiet() {
            run.out.result(what);
        }
    }

    /// Takes in an event.
    pub(super) fn take(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        match event {
            ShellEvent::Core(event) => self.take_core(run, event),
            ShellEvent::Share(ShareEvent::Folder { path, away }) => folder(run, path, away.as_deref()),
            _ => {}
        }
    }

    /// When to tell of what was not told, if anything was not.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.since.filter(|_| self.untold > 0).map(|since| since + TOLD_INTERVAL)
    }

    /// Tells of what was not told, in its time.
    pub(super) fn tick(&mut self, run: &mut Run<'_>) {
        if self.since.is_some_and(|since| since.elapsed() >= TOLD_INTERVAL) {
            let untold = std::mem::take(&mut self.untold);
            (self.since, self.told) = (None, 0);
            if untold > 0 {
                run.out.result(&format!("and {} more", human::counted(untold, "change", "changes")));
            }
        }
    }

    fn take_core(&mut self, run: &mut Run<'_>, event: &Event) {
        match event {
            Event::Offered { name, size, .. } => {
                run.print(event, None);
                if self.started {
                    self.change(run, &format!("shared: {}, {}", human::quoted(name), human::size(*size)));
                }
            }
            Event::Withdrawn { content, name, why } => {
                run.print(event, None);
                self.change(run, &format!("no longer shared: {}: {why}", human::quoted(name)));
                run.forget(content, name);
            }
            Event::Resolved { content, .. } => {
                self.coming.insert(*content, Instant::now());
            }
            Event::Finished { content, path, bytes, peers, .. } => {
                self.finished(run, content, path, *bytes, *peers);
            }
            Event::Failed { content, reason } => self.not_fetched(run, content, reason),
            _ => {}
        }
    }

    fn finished(&mut self, run: &mut Run<'_>, content: &ContentId, path: &Path, bytes: u64, peers: usize) {
        self.coming.remove(content);
        self.failures_told.remove(content);
        self.mirrored += 1;
        self.mirrored_bytes = self.mirrored_bytes.saturating_add(bytes);
        run.out.json(&Line::Content {
            event: ContentEvent::Shared,
            id: *content,
            name: &run.known(content).name,
            size: bytes,
            of: Geometry::native(bytes).map_or(0, |geometry| geometry.chunks()),
            holders: &[],
        });
        let from = human::counted(peers, "peer", "peers");
        let path = human::quoted_path(path);
        self.change(run, &format!("mirrored: {path}, {}, from {from}, verified", human::size(bytes)));
    }

    fn not_fetched(&mut self, run: &mut Run<'_>, content: &ContentId, reason: &FailReason) {
        let began = self.coming.remove(content);
        if *reason == FailReason::Cancelled {
            return;
        }
        let name = run.known(content).name;
        let (port, stall) = (self.port, MIRROR_STALL);
        let around = Circumstances { wait: Duration::ZERO, stall, port, size: None, had: None };
        let mut failure = Failure::of(&name, reason, &around);
        failure.next = vec!["none: serve tries again while a peer offers it".to_owned()];
        let took = began.map_or(Duration::ZERO, |began| began.elapsed());
        run.log_failure(&name, Some(*content), took, &failure.happened);
        let new = self.failures_told.len() < FAILURES_TOLD_MAX && self.failures_told.insert(*content);
        if new || run.out.is_json() {
            failure.report(run.out, Some(*content), Some(&name));
        }
        run.forget(content, &name);
    }

    /// A line about a change, unless there are too many.
    fn change(&mut self, run: &mut Run<'_>, text: &str) {
        if run.out.is_quiet() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        if self.told < TOLD_MAX {
            self.told += 1;
            run.out.result(text);
        } else {
            self.untold += 1;
        }
    }
}

fn folder(run: &mut Run<'_>, path: &Path, away: Option<&str>) {
    let shown = human::quoted_path(path);
    match away {
        Some(why) => {
            let message = format!("the folder {shown} is away ({why}); its files are not shared");
            run.out.error(Exit::Storage, &message, Some("none: serve shares it again when it is back"));
        }
        None => run.out.note(&format!("the folder {shown} is back")),
    }
}
