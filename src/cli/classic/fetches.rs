//! The downloads of one command from classic peers: their list, progress and results. This module prints what all
//! commands print about them; the command prints the chunks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cli::classic::failure::{self, Circumstances, Looked};
use crate::cli::exit::Exit;
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::json::path_text;
use crate::cli::run::{Run, Target};
use crate::core::{ClassicEvent, ClassicFailure, Command};
use crate::types::name::{local_file_name, printable};

/// The most numbers of chunks in one line for people.
const NUMBERS_MAX: usize = 16;

/// The files, by ticket.
#[derive(Debug)]
pub(crate) struct Fetches {
    files: BTreeMap<u32, File>,
    looked: Looked,
    wait: Duration,
    chunk_dir: PathBuf,
    /// Where the files go.
    target: Target,
    done: usize,
    bytes: u64,
    failures: Vec<Exit>,
}

/// One file.
#[derive(Debug)]
struct File {
    /// As it was asked for; once it was found, as it will be called.
    name: String,
    began: Instant,
    found: bool,
    /// Chunks that are here, and bytes of those that came.
    chunks: u32,
    bytes: u64,
    ended: bool,
}

impl Fetches {
    /// None yet. Each will be looked for as long as `wait`; its chunks are kept in `chunk_dir`.
    pub(crate) fn new(looked: Looked, wait: Duration, chunk_dir: PathBuf, target: Target) -> Fetches {
        let (done, bytes) = (0, 0);
        Fetches { files: BTreeMap::new(), looked, wait, chunk_dir, target, done, bytes, failures: Vec::new() }
    }

    /// How long each file is looked for.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Begins to get a file.
    pub(crate) fn begin(&mut self, run: &mut Run<'_>, ticket: u32, name: &str) {
        let began = Instant::now();
        let file = File { name: name.to_owned(), began, found: false, chunks: 0, bytes: 0, ended: false };
        self.files.insert(ticket, file);
        run.reactor.command(Command::GetClassic { ticket, name: name.to_owned(), wait: self.wait });
    }

    /// Takes in an event.
    pub(crate) fn take(&mut self, run: &mut Run<'_>, event: &ClassicEvent) {
        match event {
            ClassicEvent::Begun { ticket, file, had, holders } => {
                self.begun(run, *ticket, file, *had, *holders);
            }
            ClassicEvent::ChunkReceived { ticket, bytes, .. } => {
                if let Some(file) = self.files.get_mut(ticket) {
                    file.chunks = file.chunks.saturating_add(1);
                    file.bytes = file.bytes.saturating_add(*bytes);
                }
            }
            ClassicEvent::Waiting { ticket, missing } => self.waiting(run, *ticket, missing),
            ClassicEvent::Finished { ticket, path, bytes, took, peers } => {
                let Some(file) = self.files.get_mut(ticket).filter(|file| !file.ended) else { return };
                file.ended = true;
                self.done += 1;
                self.bytes = self.bytes.saturating_add(*bytes);
                run.report_classic_end(event, &file.name);
                run.out.result(&result(&path_text(path)));
                run.out.note(&format!(
                    "{}: {} in {}, from {}, classic, unverified",
                    human::label(&file.name),
                    human::size(*bytes),
                    human::span(*took),
                    human::counted(*peers, "peer", "peers")
                ));
            }
            ClassicEvent::Skipped { ticket, path } => {
                let Some(file) = self.files.get_mut(ticket).filter(|file| !file.ended) else { return };
                file.ended = true;
                self.done += 1;
                run.report_classic_end(event, &file.name);
                let (name, path) = (human::label(&file.name), human::quoted_path(path));
                run.out.note(&format!("{name}: {path} exists and is left alone"));
            }
            ClassicEvent::Failed { ticket, reason } => self.failed(run, *ticket, reason),
            _ => {}
        }
    }

    /// Whether everything that was asked for has ended.
    pub(crate) fn are_over(&self) -> bool {
        self.files.values().all(|file| file.ended)
    }

    /// How many have not ended.
    pub(crate) fn open(&self) -> usize {
        self.files.values().filter(|file| !file.ended).count()
    }

    /// How many files are complete.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The exit codes of those that failed.
    pub(crate) fn failures(&self) -> &[Exit] {
        &self.failures
    }

    /// What is kept of those that have not ended; `None`: nothing.
    pub(crate) fn kept(&self) -> Option<String> {
        let open = self.files.values().filter(|file| !file.ended);
        failure::kept(open.map(|file| file.chunks).fold(0, u32::saturating_add), &self.chunk_dir)
    }

    /// Ends what has not ended when the command does: a line in the log for each.
    pub(crate) fn abandon(&mut self, run: &mut Run<'_>, why: &str) {
        for file in self.files.values_mut().filter(|file| !file.ended) {
            file.ended = true;
            run.log_failure(&file.name, None, file.began.elapsed(), why);
        }
    }

    /// How far the first one is that has not ended, in a line.
    pub(crate) fn line(&self) -> Option<String> {
        let file = self.files.values().find(|file| !file.ended)?;
        let name = human::shortened(&printable(&file.name), 32);
        Some(match file.found {
            false => format!("{name}  waiting for the announcements of classic peers"),
            true => format!(
                "{name}  {}, {} fetched, classic, unverified",
                human::counted(file.chunks as usize, "chunk", "chunks"),
                human::size(file.bytes)
            ),
        })
    }

    fn begun(&mut self, run: &mut Run<'_>, ticket: u32, name: &str, had: u32, holders: usize) {
        let Some(file) = self.files.get_mut(&ticket) else { return };
        (file.name, file.found, file.chunks) = (name.to_owned(), true, had);
        let here = match had {
            0 => String::new(),
            _ => format!(", {} here already", human::counted(had as usize, "chunk is", "chunks are")),
        };
        let peers = human::counted(holders, "classic peer", "classic peers");
        run.out.note(&format!("getting {} from {peers}{here}; unverified", human::quoted(name)));
    }

    fn waiting(&self, run: &mut Run<'_>, ticket: u32, missing: &[u32]) {
        let Some(file) = self.files.get(&ticket).filter(|file| file.found) else { return };
        let what = if missing.len() == 1 { "chunk" } else { "chunks" };
        run.out.note(&format!(
            "{}: waiting for {what} {}; no classic peer announces it now (giving up after {})",
            human::label(&file.name),
            human::some_of(&missing[..missing.len().min(NUMBERS_MAX)], missing.len() as u64),
            human::limit(self.wait)
        ));
    }

    fn failed(&mut self, run: &mut Run<'_>, ticket: u32, reason: &ClassicFailure) {
        // Whoever cancelled it says so, once for all.
        if *reason == ClassicFailure::Cancelled {
            return;
        }
        let Some(file) = self.files.get_mut(&ticket).filter(|file| !file.ended) else { return };
        file.ended = true;
        let (looked, wait, kept) = (self.looked, self.wait, file.chunks);
        let around = Circumstances { looked, wait, kept, chunk_dir: &self.chunk_dir };
        let failure = failure::of(&file.name, reason, &around);
        let (name, took) = (&file.name, file.began.elapsed());
        run.log_failure(name, None, took, &failure.happened);
        let path = path_of(&self.target, file);
        failure::report(&failure, &Subject { id: None, name: Some(name), path: Some(path) }, reason, run.out);
        self.failures.push(failure.exit);
    }
}

/// Where a file was to go; the folder while it is not known what it will be called.
fn path_of(target: &Target, file: &File) -> PathBuf {
    let called = || local_file_name(&file.name).filter(|_| file.found);
    target.name.clone().or_else(called).map_or_else(|| target.dir.clone(), |name| target.dir.join(name))
}

/// The line of results about a file that is there: nobody shall take it for verified.
fn result(path: &str) -> String {
    format!("{}  unverified", printable(path))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn fetches(files: &[(bool, u32, bool)]) -> Fetches {
        let target = Target { dir: "films".into(), ..Target::default() };
        let mut fetches = Fetches::new(Looked::Itself, Duration::from_secs(65), "chunks".into(), target);
        for (ticket, (found, chunks, ended)) in (0..).zip(files) {
            let (found, chunks, ended) = (*found, *chunks, *ended);
            let (name, began) = (format!("file-{ticket}\u{1b}"), Instant::now());
            fetches.files.insert(ticket, File { name, began, found, chunks, bytes: 2048, ended });
        }
        fetches
    }

    #[test]
    fn how_far_and_what_is_kept_is_that_of_those_that_have_not_ended() {
        let fetches = fetches(&[(true, 5, true), (true, 3, false), (false, 0, false)]);
        assert!(!fetches.are_over());
        assert_eq!(fetches.open(), 2);
        assert_eq!(fetches.kept().as_deref(), Some("3 chunks, unverified, in \"chunks\""));
        let line = fetches.line().unwrap();
        assert!(
            line.starts_with("file-1") && line.ends_with("3 chunks, 2.0 KiB fetched, classic, unverified")
        );
        assert!(!line.contains('\u{1b}'));
    }

    #[test]
    fn where_a_file_was_to_go_is_as_far_as_it_is_known() {
        let mut fetches = fetches(&[(true, 5, true), (false, 0, false)]);
        let path = |fetches: &Fetches, ticket| path_of(&fetches.target, &fetches.files[&ticket]);
        assert_eq!(path(&fetches, 0), Path::new("films/file-0_"));
        assert_eq!(path(&fetches, 1), Path::new("films"));
        fetches.target.name = Some("mine.png".into());
        assert_eq!(path(&fetches, 1), Path::new("films/mine.png"));
    }

    #[test]
    fn nothing_open_is_over_and_has_no_line() {
        let fetches = fetches(&[(true, 5, true)]);
        assert!(fetches.are_over());
        assert_eq!((fetches.line(), fetches.kept()), (None, None));
    }

    #[test]
    fn a_file_that_is_there_is_marked_in_the_results() {
        assert_eq!(result("./a\u{1b}.png"), "./a\\u{1b}.png  unverified");
    }
}
