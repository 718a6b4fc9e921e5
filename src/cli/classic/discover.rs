//! `classic discover`: listens to announcements and keeps the dictionary of which peer has which chunk.

use clap::Args;

use crate::cli::Outcome;
use crate::cli::classic::setup::{Alone, Duty};
use crate::cli::classic::{self, Diary, until_ended};
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::core::ClassicEvent;

/// As JSON lines name it.
pub(super) const COMMAND: &str = "classic discover";

const ABOUT: &str = "\
Listen to the announcements of classic peers until Ctrl-C, and record in the dictionary which peer has which chunk. The \
dictionary is the one in the folder, in its shape, or else a new The_Content_Dictionary.txt (beside temp: tags.txt). A peer that has been silent for three minutes is removed. The file is always \
replaced as a whole, so that no reader sees half of it.

Each peer with its new chunks is printed on stdout.";

const EXAMPLES: &str = "\
Examples:
  chunkcast classic discover
  chunkcast classic discover --udp-port 8000 --dictionary peers.json --dictionary-shape datagram
  chunkcast classic discover --dialect A --dir shared

Exit: 0 ended by Ctrl-C or SIGTERM, 4 no network or the port is taken, 7 the folder cannot be used.";

/// Record what other peers announce
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct DiscoverArgs {
    #[command(flatten)]
    alone: Alone,
}

pub(super) fn run(args: &DiscoverArgs, global: &Global, out: &mut Output) -> Outcome {
    let folder = args.alone.folder();
    let mut run = match classic::start(COMMAND, Duty::Discover, (&args.alone, &folder), global, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    let (mut diary, mut heard) = (Diary::new(folder), 0);
    let exit = until_ended(&mut run, |run, event| {
        if let ClassicEvent::Heard { chunks, .. } = event {
            heard += chunks.len();
        }
        diary.take(run, event);
    });
    classic::leave(&mut run, |_, _| {});
    Outcome { exit, done: heard, failed: usize::from(exit != Exit::Ok), bytes: 0 }
}
