//! `classic upload`: serves the chunks in the folder.

use clap::Args;

use crate::cli::classic::setup::{Alone, Duty};
use crate::cli::classic::{self, Diary, until_ended};
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::run::Run;
use crate::cli::{Outcome, human};
use crate::core::ClassicEvent;

/// As JSON lines name it.
pub(super) const COMMAND: &str = "classic upload";

const ABOUT: &str = "\
Serve the chunks in the folder until Ctrl-C, on TCP ports 8000 (B) and 5000 (C), or on the port of --dialect. Each port \
answers every dialect: the request tells which one it is. Chunks are the files that Available_Chunks.txt lists; those in \
the folder temp (dialect A); or, without either, those with names like forest_1. Chunks that another program adds later \
are served too. Each uploaded chunk is logged in Upload_log.txt (beside temp: server.log).

Each uploaded chunk and its receiver are printed on stdout.";

const EXAMPLES: &str = "\
Examples:
  chunkcast classic upload
  chunkcast classic upload --dialect A --dir shared
  chunkcast classic upload --classic-dialect 192.168.2.65=B-json

Exit: 0 ended by Ctrl-C or SIGTERM, 4 no network or a port is taken, 7 the folder cannot be used.";

/// Serve the chunks in the folder
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct UploadArgs {
    #[command(flatten)]
    alone: Alone,
}

/// What went.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) chunks: usize,
    pub(super) failed: usize,
    pub(super) bytes: u64,
}

pub(super) fn run(args: &UploadArgs, global: &Global, out: &mut Output) -> Outcome {
    let folder = args.alone.folder();
    let mut run = match classic::start(COMMAND, Duty::Upload, (&args.alone, &folder), global, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    if let Some(missing) = folder.missing() {
        run.out.note(&missing);
    }
    let (mut diary, mut sent) = (Diary::new(folder), Sent::default());
    let mut take = |run: &mut Run<'_>, event: &ClassicEvent| {
        sent.take(run, event);
        diary.take(run, event);
    };
    let exit = until_ended(&mut run, &mut take);
    classic::leave(&mut run, &mut take);
    Outcome { exit, done: sent.chunks, failed: sent.failed, bytes: sent.bytes }
}

impl Sent {
    /// Counts an event; what was not sent is said.
    pub(super) fn take(&mut self, run: &mut Run<'_>, event: &ClassicEvent) {
        match event {
            ClassicEvent::ChunkSent { bytes, .. } => {
                self.chunks += 1;
                self.bytes = self.bytes.saturating_add(*bytes);
            }
            ClassicEvent::ChunkUnsent { name, to, why } => {
                self.failed += 1;
                run.out.note(&format!(
                    "{} was not sent to {}: {why}",
                    human::quoted(&name.to_string()),
                    to.ip()
                ));
            }
            _ => {}
        }
    }
}
