//! `share`: shares files and folders until Ctrl-C.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::cli::classic::setup::{Beside, Role};
use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::global::{DEFAULT_PORT, Global};
use crate::cli::output::Output;
use crate::cli::progress::{Live, Plain};
use crate::cli::run::{Mode, Run, Target};
use crate::cli::wanted::argument_for;
use crate::cli::{Outcome, human};
use crate::core::Event;
use crate::shell::ShellEvent;
use crate::store::ShareEvent;
use crate::types::ContentId;
use crate::types::name::printable;

/// With more files than this, one line tells of the rest.
const TOLD_MAX: usize = 20;
const ABOUT: &str = "\
Share files, and all files in folders, until Ctrl-C. Nothing is copied: the files stay where they are. Each file is \
hashed once; a file that is being written is hashed when nobody has written to it for two seconds. Hidden files in a \
folder are left out, and links are not followed.

For each file its id and name are printed on stdout, and the command that downloads it on another machine.";

const EXAMPLES: &str = "\
Examples:
  chunkcast share talk.mkv
  chunkcast share ~/Videos notes.pdf
  chunkcast share talk.mkv --json=chunks      one JSON object per line, for scripts
  chunkcast share --classic forest.png        for classic peers too

Exit: 0 ended by Ctrl-C or SIGTERM, 4 no network, 7 nothing could be shared.";

/// Share files and folders until Ctrl-C
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct ShareArgs {
    /// Files and folders to share
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    classic: Beside,
}

/// What is shared, and how that is told.
#[derive(Debug, Default)]
struct Shares {
    /// What the fetching machine's command line needs besides the name.
    flags: String,
    offered: usize,
    bytes: u64,
    /// Files that somebody still writes to.
    awaited: usize,
    /// Everything was looked at once. What is told after that is told when no file is awaited.
    is_scanned: bool,
    failed: usize,
    first_failure: Option<Exit>,
    live: Live,
    plain: Plain,
}

pub(crate) fn run(args: &ShareArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    let mode = Mode::native(args.classic.speak(Role::Serves, global));
    let mut run = Run::start("share", global, Target::default(), mode, out)?;
    let mut shares = Shares { flags: flags(global), ..Shares::default() };
    for url in &run.urls {
        run.out.note(&format!("in any browser: {url}"));
    }
    for path in &args.paths {
        if let Err(fault) = run.reactor.share_when_quiet(path) {
            shares.failed += 1;
            let exit = run.report_fault(&fault);
            shares.first_failure.get_or_insert(exit);
        }
    }
    let exit = match shares.first_failure {
        Some(exit) if shares.failed == args.paths.len() => exit,
        _ => run.drive(&mut shares).unwrap_or_else(|exit| exit),
    };
    run.leave(|run, event| shares.note(run, &event));
    Ok(Outcome { exit, done: shares.offered, failed: shares.failed, bytes: shares.bytes })
}

impl Driven for Shares {
    type End = Exit;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<Exit, Option<Instant>> {
        self.report_reading(run, Instant::now());
        ControlFlow::Continue(None)
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Exit> {
        match event {
            ShellEvent::Signal(_) => return ControlFlow::Break(Exit::Ok),
            ShellEvent::Share(ShareEvent::ScanDone { .. }) if self.offered == 0 && self.awaited() == 0 => {
                let exit = self.first_failure.unwrap_or(Exit::Storage);
                let next = "name a readable file, or a folder with readable files in it";
                run.out.error(exit, "there is nothing to share", Some(next));
                return ControlFlow::Break(exit);
            }
            event => self.note(run, &event),
        }
        ControlFlow::Continue(())
    }
}

impl Shares {
    /// How many files are awaited when a scan is done.
    fn awaited(&self) -> usize {
        if self.is_scanned { 0 } else { self.awaited }
    }

    /// Reports what is being hashed, as often as is due.
    fn report_reading(&mut self, run: &mut Run<'_>, now: Instant) {
        match run.reading() {
            None => {
                run.out.clear();
                // A plain line is for a file that takes longer than the interval.
                self.plain.begin(now);
            }
            Some(line) if run.out.is_live() && self.live.is_due(now) => run.out.show(&line),
            Some(line) if !run.out.is_live() && self.plain.is_due(now) => run.out.note(&line),
            Some(_) => {}
        }
    }

    fn note(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        match event {
            ShellEvent::Core(event @ Event::Offered { content, name, size }) => {
                run.print(event, None);
                self.offered(run, content, name, *size);
            }
            ShellEvent::Core(event @ Event::Withdrawn { name, why, .. }) => {
                run.out.note(&format!("no longer shared: {}: {why}", human::quoted(name)));
                run.print(event, None);
            }
            ShellEvent::Share(ShareEvent::Skipped { .. }) => self.failed += 1,
            ShellEvent::Share(ShareEvent::Unsettled { .. }) => self.awaited += 1,
            ShellEvent::Share(ShareEvent::ScanDone { files, bytes }) => {
                let (files, bytes) = (human::counted(*files, "file", "files"), human::size(*bytes));
                if self.offered > TOLD_MAX {
                    let flags = &self.flags;
                    run.out.result(&format!("sharing {files}, {bytes}"));
                    run.out.result(&format!("chunkcast get{flags} '*'"));
                }
                let later = match self.awaited() {
                    0 => String::new(),
                    1 => "; 1 more once it is written".to_owned(),
                    more => format!("; {} more once they are written", human::count(more as u64)),
                };
                self.is_scanned = true;
                run.out.note(&format!("sharing {files}, {bytes}{later}; Ctrl-C ends"));
            }
            _ => {}
        }
    }

    fn offered(&mut self, run: &mut Run<'_>, content: &ContentId, name: &str, size: u64) {
        self.offered += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.offered <= TOLD_MAX {
            run.out.result(&format!("{content}  {}", printable(name)));
            run.out.result(&format!("chunkcast get{} {}", self.flags, argument_for(content, name)));
        } else if self.offered == TOLD_MAX + 1 {
            run.out.note("and more files ...");
        }
    }
}

/// The flags that a command of another peer on this network needs too, with a space before each.
pub(crate) fn flags(global: &Global) -> String {
    let mut flags = String::new();
    if global.port != DEFAULT_PORT {
        flags += &format!(" --port {}", global.port);
    }
    if let Some(broadcast) = global.broadcast {
        flags += &format!(" --broadcast {broadcast}");
    }
    flags
}
