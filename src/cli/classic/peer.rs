//! `classic peer`: announces, discovers, uploads and downloads in one loop.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::Outcome;
use crate::cli::classic::announce::announced;
use crate::cli::classic::failure::Looked;
use crate::cli::classic::fetches::Fetches;
use crate::cli::classic::setup::{Alone, Duty};
use crate::cli::classic::upload::Sent;
use crate::cli::classic::{self, Diary, until_ended};
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::run::Run;
use crate::cli::units::parse_duration;
use crate::core::{ClassicEvent, Voice};

/// As JSON lines name it.
pub(super) const COMMAND: &str = "classic peer";

const ABOUT: &str = "\
Announce, discover, upload and download in one process, until Ctrl-C. Each FILE is served from where it is: nothing is \
cut on the disk. The shared files of the four programs are kept as well, so other programs can work in the same folder.

Downloaded chunks are announced and served in turn.";

const EXAMPLES: &str = "\
Examples:
  chunkcast classic peer forest.png river.png
  chunkcast classic peer --get forest --dir shared
  chunkcast classic peer --dialect A forest.png
  chunkcast classic peer --udp-port 8000 --tcp-port 5000 --dictionary peers.json

Exit: 0 ended by Ctrl-C or SIGTERM, 2 usage, 4 no network or a port is taken, 7 local storage.";

/// Run all four programs in one process
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct PeerArgs {
    /// Files to serve [default: none]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Download this file (repeatable, or with commas) [default: none]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    get: Vec<String>,
    /// How long to look for peers that have the missing chunks
    #[arg(long, value_name = "TIME", default_value = "65s", value_parser = parse_duration)]
    wait: Duration,
    #[command(flatten)]
    alone: Alone,
}

/// What is counted, written and fetched, of all four programs.
#[derive(Debug)]
struct All {
    formats: Vec<Voice>,
    diary: Diary,
    sent: Sent,
    fetches: Fetches,
}

pub(super) fn run(args: &PeerArgs, global: &Global, out: &mut Output) -> Outcome {
    let folder = args.alone.folder();
    let mut run = match classic::start(COMMAND, Duty::Everything, (&args.alone, &folder), global, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    let mut all = All {
        formats: args.alone.announcement_formats(&folder),
        fetches: Fetches::new(Looked::Itself, args.wait, folder.chunk_dir(), folder.target()),
        diary: Diary::new(folder),
        sent: Sent::default(),
    };
    let exit = match share(&args.files, &mut run) {
        Err(exit) => exit,
        Ok(()) => {
            for (ticket, name) in (0..).zip(&args.get) {
                all.fetches.begin(&mut run, ticket, name);
            }
            until_ended(&mut run, |run, event| all.take(run, event))
        }
    };
    classic::leave(&mut run, |run, event| all.take(run, event));
    all.fetches.abandon(&mut run, Exit::Interrupted.word());
    let All { sent, fetches, .. } = all;
    Outcome {
        exit,
        done: sent.chunks + fetches.done(),
        failed: sent.failed + fetches.failures().len(),
        bytes: sent.bytes.saturating_add(fetches.bytes()),
    }
}

impl All {
    fn take(&mut self, run: &mut Run<'_>, event: &ClassicEvent) {
        if let ClassicEvent::Announced { chunks } = event {
            run.out.note(&announced(*chunks, &self.formats));
        }
        self.sent.take(run, event);
        self.diary.take(run, event);
        self.fetches.take(run, event);
    }
}

/// Shares the files. One that cannot be is told, and ends it when it is the only one.
fn share(files: &[PathBuf], run: &mut Run<'_>) -> Result<(), Exit> {
    let mut failures = Vec::new();
    for file in files {
        if let Err(fault) = run.reactor.share(file) {
            failures.push(run.report_fault(&fault));
        }
    }
    match failures.first() {
        Some(exit) if failures.len() == files.len() => Err(*exit),
        _ => Ok(()),
    }
}
