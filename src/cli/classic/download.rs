//! `classic download`: downloads files from the peers in the dictionary and joins their chunks.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::choice::{self, Offer};
use crate::cli::classic::failure::Looked;
use crate::cli::classic::fetches::Fetches;
use crate::cli::classic::setup::{Alone, Duty};
use crate::cli::classic::{self, Diary};
use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::run::Run;
use crate::cli::units::parse_duration;
use crate::cli::{Outcome, human, ls};
use crate::core::{ClassicContent, ClassicEvent, Command, Event};
use crate::shell::ShellEvent;
use crate::wire::message::Wanted;

/// As JSON lines name it.
pub(super) const COMMAND: &str = "classic download";
/// How long is waited for the dictionary before what stands in it is shown.
const CHOICE_WAIT: Duration = Duration::from_secs(1);
/// How often the line that renews itself does so.
const LIVE_INTERVAL: Duration = Duration::from_millis(500);

const ABOUT: &str = "\
Download files from the peers in the dictionary of the folder, such as The_Content_Dictionary.txt, whichever program \
keeps it, in any of its shapes. Several chunks are downloaded at once; if a peer fails, the next one that has the chunk \
is asked. Chunks are stored in the folder, listed in Available_Chunks.txt if the folder has one, and joined when all are \
there. The dictionary is read again and again until \
--wait is over, so that new peers count.

NAME is a file name, with or without its extension. Without NAME, a terminal shows a list to choose from. Each chunk and \
then the path of the file are printed on stdout. Each chunk is logged in Download_Log.txt (with --dialect A: client.log).

The data cannot be verified. If the sizes of the chunks do not fit one file, they are reported and not joined.";

const EXAMPLES: &str = "\
Examples:
  chunkcast classic download forest
  chunkcast classic download --dialect A --dir shared forest.png
  chunkcast classic download                 choose from a list

Exit: 0 complete, 2 usage, 3 no peer has it, 4 no network, 5 chunks are missing (others kept),
6 the chunks are not of one file, 7 local storage, 8 ambiguous, 10 some failed, 130 interrupted,
143 terminated.";

/// Download files from the peers in the dictionary
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct DownloadArgs {
    /// Files, with or without extension [default: choose from a list, on a terminal]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How long to look for peers that have the missing chunks
    #[arg(long, value_name = "TIME", default_value = "65s", value_parser = parse_duration)]
    wait: Duration,
    #[command(flatten)]
    alone: Alone,
}

pub(super) fn run(args: &DownloadArgs, global: &Global, out: &mut Output) -> Outcome {
    if args.names.is_empty() && !out.may_ask() {
        let next = "chunkcast ls --classic --wait 65s";
        out.error(Exit::Usage, "the name of a file to download is missing", Some(next));
        return Outcome::of(Exit::Usage);
    }
    let folder = args.alone.folder();
    let mut run = match classic::start(COMMAND, Duty::Download, (&args.alone, &folder), global, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    let names = match names(args, &mut run) {
        Ok(names) => names,
        Err(exit) => {
            classic::leave(&mut run, |_, _| {});
            return Outcome::of(exit);
        }
    };
    let mut fetches = Fetches::new(Looked::InDictionary, args.wait, folder.chunk_dir(), folder.target());
    for (ticket, name) in (0..).zip(&names) {
        fetches.begin(&mut run, ticket, name);
    }
    let mut download = Download { fetches, diary: Diary::new(folder) };
    let exit = fetch(&mut run, &mut download);
    let fetches = &download.fetches;
    let failed = fetches.failures().len() + fetches.open();
    Outcome { exit, done: fetches.done(), failed, bytes: fetches.bytes() }
}

/// What is fetched and written down.
struct Download {
    fetches: Fetches,
    diary: Diary,
}

impl Download {
    fn note(&mut self, run: &mut Run<'_>, event: &ClassicEvent) {
        // Who is in the dictionary is not what was asked for.
        if !matches!(event, ClassicEvent::Heard { .. } | ClassicEvent::Gone { .. }) {
            self.diary.take(run, event);
        }
        self.fetches.take(run, event);
    }
}

impl Driven for Download {
    type End = Exit;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<Exit, Option<Instant>> {
        if self.fetches.are_over() {
            return ControlFlow::Break(Exit::of_all(self.fetches.done(), self.fetches.failures()));
        }
        if let Some(line) = self.fetches.line() {
            run.out.show(&line);
        }
        ControlFlow::Continue(run.out.is_live().then(|| Instant::now() + LIVE_INTERVAL))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Exit> {
        match event {
            ShellEvent::Signal(signal) => return ControlFlow::Break(Exit::of_signal(signal)),
            ShellEvent::Core(Event::Classic(event)) => self.note(run, &event),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Fetches until all have ended or a signal comes, and leaves.
fn fetch(run: &mut Run<'_>, download: &mut Download) -> Exit {
    let exit = run.drive(download).unwrap_or_else(|exit| exit);
    run.out.clear();
    classic::leave(run, |run, event| download.note(run, event));
    let fetches = &mut download.fetches;
    if matches!(exit, Exit::Interrupted | Exit::Terminated) && !fetches.are_over() {
        Failure::cut_short(exit, fetches.done(), fetches.open(), fetches.kept()).report(run.out, None, None);
        fetches.abandon(run, exit.word());
    }
    exit
}

/// The files to download: those on the command line, else the answer of the user at the terminal.
fn names(args: &DownloadArgs, run: &mut Run<'_>) -> Result<Vec<String>, Exit> {
    if !args.names.is_empty() {
        return Ok(args.names.clone());
    }
    run.reactor.command(Command::Look { wanted: Wanted::All, wait: CHOICE_WAIT });
    ls::until_looked(run)?;
    let contents = run.reactor.status().classic;
    if contents.is_empty() {
        let next = "hear what others announce: chunkcast classic discover";
        run.out.error(Exit::Nobody, "the dictionary has no peer with a chunk", Some(next));
        return Err(Exit::Nobody);
    }
    let offer = |content: &ClassicContent| Offer {
        label: format!(
            "{}  ({}, unverified)",
            human::label(&content.file),
            human::counted(content.chunks.len(), "chunk", "chunks")
        ),
        chosen: content.file.clone(),
    };
    let offers: Vec<Offer<String>> = contents.iter().map(offer).collect();
    choice::among(run, &offers, choice::WHICH, |word| Ok(word.to_owned()))
}
