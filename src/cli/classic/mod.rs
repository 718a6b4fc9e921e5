//! The classic dialects on the command line: `--classic` of native commands, and `chunkcast classic ...`, which runs one
//! of the four programs of a classic peer or all of them.
//!
//! This module owns the flags, the printed text and the logs of the programs. The core owns the bytes on the wire.

mod announce;
mod discover;
mod download;
pub(crate) mod failure;
pub(crate) mod fetches;
mod folder;
pub(crate) mod json;
pub(crate) mod listing;
mod peer;
pub(crate) mod setup;
mod upload;

use std::ops::ControlFlow;

use clap::{Args, Subcommand};

use crate::cli::classic::folder::Folder;
use crate::cli::classic::setup::{Alone, Duty};
use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::run::{Mode, Run};
use crate::cli::{Outcome, report};
use crate::core::{ClassicEvent, Event};
use crate::shell::ShellEvent;

const ABOUT: &str = "\
Classic peers consist of four programs: announce, discover, upload and download. These commands replace each of them, or \
all four (`peer`). The programs share one folder (--dir) and work together through its files, so you can replace one of \
them and keep the others.

Data from classic peers cannot be verified: their dialects carry no hashes.";

const EXAMPLES: &str = "\
Examples:
  chunkcast classic peer forest.png            all four programs in one
  chunkcast classic announce forest.png        cut a file and announce its chunks every minute
  chunkcast classic discover                   record what other peers announce
  chunkcast classic upload                     serve the chunks in the folder
  chunkcast classic download forest            download from the recorded peers

Native commands work with classic peers too: chunkcast get --classic forest.png";

/// Run one of the four programs of a classic peer, or all of them
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct ClassicArgs {
    #[command(subcommand)]
    program: Program,
}

/// Which of them.
#[derive(Debug, Subcommand)]
enum Program {
    Announce(announce::AnnounceArgs),
    Discover(discover::DiscoverArgs),
    Upload(upload::UploadArgs),
    Download(download::DownloadArgs),
    Peer(peer::PeerArgs),
}

impl ClassicArgs {
    /// The command's name.
    pub(crate) fn name(&self) -> &'static str {
        match self.program {
            Program::Announce(_) => announce::COMMAND,
            Program::Discover(_) => discover::COMMAND,
            Program::Upload(_) => upload::COMMAND,
            Program::Download(_) => download::COMMAND,
            Program::Peer(_) => peer::COMMAND,
        }
    }

    /// Whether it is there to download.
    pub(crate) fn fetches(&self) -> bool {
        matches!(self.program, Program::Download(_))
    }
}

pub(crate) fn run(args: &ClassicArgs, global: &Global, out: &mut Output) -> Outcome {
    match &args.program {
        Program::Announce(args) => announce::run(args, global, out),
        Program::Discover(args) => discover::run(args, global, out),
        Program::Upload(args) => upload::run(args, global, out),
        Program::Download(args) => download::run(args, global, out),
        Program::Peer(args) => peer::run(args, global, out),
    }
}

/// Starts a process with this duty: it speaks nothing but the classic dialects.
fn start<'a>(
    command: &'static str,
    duty: Duty,
    (alone, folder): (&Alone, &Folder),
    global: &Global,
    out: &'a mut Output,
) -> Result<Run<'a>, Exit> {
    let mode = Mode { native: false, classic: Some(alone.speak(duty, folder, global)), transfers: None };
    Run::start(command, global, folder.target(), mode, out)
}

/// Drives a program that ends by a signal, which is success; `each` takes in the events.
fn until_ended(run: &mut Run<'_>, each: impl FnMut(&mut Run<'_>, &ClassicEvent)) -> Exit {
    match run.drive(&mut Endless(each)) {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

/// A program that a signal ends, and nothing else.
struct Endless<F>(F);

impl<F: FnMut(&mut Run<'_>, &ClassicEvent)> Driven for Endless<F> {
    type End = ();

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<()> {
        match event {
            ShellEvent::Signal(_) => return ControlFlow::Break(()),
            ShellEvent::Core(Event::Classic(event)) => (self.0)(run, &event),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Leaves; `each` hears what still happens.
fn leave(run: &mut Run<'_>, mut each: impl FnMut(&mut Run<'_>, &ClassicEvent)) {
    run.leave(|run, event| {
        if let ShellEvent::Core(Event::Classic(event)) = event {
            each(run, &event);
        }
    });
}

/// Prints what happens and writes it to the programs' logs.
#[derive(Debug)]
struct Diary {
    folder: Folder,
    /// A log that cannot be written to is complained about once.
    broken: bool,
}

impl Diary {
    fn new(folder: Folder) -> Diary {
        Diary { folder, broken: false }
    }

    fn take(&mut self, run: &mut Run<'_>, event: &ClassicEvent) {
        if let Some(line) = report::classic_line(event) {
            run.out.result(&line);
        }
        if let Err(fault) = self.folder.log(event)
            && !self.broken
        {
            self.broken = true;
            run.out.fail(&format!("chunkcast: {fault}"));
        }
    }
}
