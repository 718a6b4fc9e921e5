//! `get`: downloads files from every peer that has them, verifies them, and resumes interrupted downloads.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::cli::classic::failure::Looked;
use crate::cli::classic::fetches::Fetches;
use crate::cli::classic::setup::{Beside, CHUNK_MAX_WRITTEN, CLASSIC, Role};
use crate::cli::downloads::Downloads;
use crate::cli::drive::{Driven, End, after, earliest};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::progress::next_tick;
use crate::cli::run::{Mode, Run, Target};
use crate::cli::units::{parse_duration, parse_size};
use crate::cli::wanted::{Request, lay_out};
use crate::cli::{Outcome, choice, human};
use crate::core::Command;
use crate::shell::ShellEvent;
use crate::store::OnConflict;

/// How long somebody is looked for who offers it.
const WAIT: Duration = Duration::from_secs(3);
/// The same with `--classic`: a round of announcements, and some.
const CLASSIC_WAIT: Duration = Duration::from_secs(65);

const ABOUT: &str = "\
Download files from every peer that has a part of them. Each chunk is verified. Run the same command again to continue \
an interrupted download.

WANTED is an id (64 hexadecimal digits), id:PREFIX (the first digits of an id), a pattern with *, ? or [...], or a \
name: the whole one or its last component. NAME@PEER downloads the version that PEER shares. If the name itself \
contains an @, add one more at its end (photo@2x.png@).

The files that match a pattern keep the folders in their names (a/main.py); with --flat all go directly into the \
target. A file named by a single name or id is written under its last component. If the last components of several \
names are equal, these files keep their folders. A content that is wanted under several names is downloaded once and \
written under each.

The path of each finished file is printed on stdout. Ctrl-C keeps the parts.

With --classic, a name that no native peer shares is downloaded from classic peers, chunk by chunk. They cannot be \
asked: they announce about once a minute. Their data cannot be verified, and `unverified` follows the path. Patterns, \
ids and NAME@PEER work with native peers only.";

const EXAMPLES: &str = "\
Examples:
  chunkcast get talk.mkv                    into the current folder
  chunkcast get '*.txt' id:3f9a -o notes/   several files into a folder
  chunkcast get '*' --flat -o all/          everything, without the folders in its names
  chunkcast get talk.mkv -o film.mkv        under another name
  chunkcast get talk.mkv@lab-7              the version that lab-7 shares
  chunkcast get talk.mkv --seed=10m         keep sharing it for ten minutes
  chunkcast get                             choose from a list
  chunkcast get --classic forest.png        also from classic peers

Exit: 0 complete, 3 no peer offers it, 4 no network, 5 gave up (part kept), 6 integrity,
7 local storage, 8 ambiguous or the target exists, 10 some failed, 124 timed out, 130 interrupted,
143 terminated.";

/// Download files from every peer that has them
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct GetArgs {
    /// Names, patterns or ids [default: choose from a list, on a terminal]
    #[arg(value_name = "WANTED", value_parser = Request::parse)]
    wanted: Vec<Request>,
    /// Target: a folder (it exists, or the word ends in /), or a file name for a single file [default: .]
    #[arg(short, long, value_name = "DIR|FILE")]
    output: Option<PathBuf>,
    /// Write each file under the last component of its name [default: keep the folders of patterns]
    #[arg(long)]
    flat: bool,
    /// Keep sharing after the download, for this long or until Ctrl-C [default: end at once]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = parse_duration)]
    seed: Option<Option<Duration>>,
    /// How long to look for peers that share it [default: 3s, with --classic 65s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Give up when no peer has had the missing parts for this long
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    stall: Duration,
    /// Give up after this long in all [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// What to do when another file has that name
    #[arg(long, value_name = "WHAT", default_value = "rename")]
    on_conflict: Conflict,
    #[command(flatten)]
    classic: Beside,
    /// Largest chunk to accept from a classic peer
    #[arg(long, value_name = "SIZE", default_value = CHUNK_MAX_WRITTEN, value_parser = parse_size,
          requires = "classic", help_heading = CLASSIC)]
    max_size: u64,
}

impl GetArgs {
    /// What is wanted, as it was written.
    pub(crate) fn wanted_texts(&self) -> Vec<&str> {
        self.wanted.iter().map(|request| request.text.as_str()).collect()
    }
}

/// What to do when the target exists with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Conflict {
    /// Use another name: NAME (2)
    Rename,
    /// Keep the old file and do not download
    Skip,
    /// Replace the old file when the download is complete
    Overwrite,
    /// Fail with exit code 8
    Error,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> OnConflict {
        match conflict {
            Conflict::Rename => OnConflict::Rename,
            Conflict::Skip => OnConflict::Skip,
            Conflict::Overwrite => OnConflict::Overwrite,
            Conflict::Error => OnConflict::Error,
        }
    }
}

impl GetArgs {
    /// Where it all goes.
    fn target(&self) -> Result<Target, String> {
        let single = matches!(&self.wanted[..], [one] if one.is_single());
        Target::asked(self.output.as_deref(), single, self.on_conflict.into())
    }

    /// How long native peers are looked for. Classic ones are heard meanwhile.
    fn native_wait(&self) -> Duration {
        match self.wait {
            Some(wait) if self.classic.classic => wait.min(WAIT),
            Some(wait) => wait,
            None => WAIT,
        }
    }

    /// How long classic peers are looked for after that.
    fn classic_wait(&self) -> Duration {
        self.wait.unwrap_or(CLASSIC_WAIT).saturating_sub(self.native_wait())
    }
}

pub(crate) fn run(args: &GetArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    if args.wanted.is_empty() && !out.may_ask() {
        let why = "what to get is missing: a name, a pattern or an id";
        return Err(out.refuse(Exit::Usage, why, Some("chunkcast ls")));
    }
    let target = args.target().map_err(|why| out.refuse(Exit::Usage, &why, None))?;
    let (chunk_bytes_max, stays) = (args.max_size, args.seed.is_some());
    let classic = args.classic.speak(Role::Fetches { target: &target.dir, chunk_bytes_max, stays }, global);
    let chunk_dir = classic.as_ref().map(|classic| classic.store.chunk_dir.clone());
    let mut run = Run::start("get", global, target.clone(), Mode::native(classic), out)?;
    let mut requests = if args.wanted.is_empty() {
        choice::ask(&mut run).inspect_err(|_| run.leave(|_, _| {}))?
    } else {
        args.wanted.clone()
    };
    lay_out(&mut requests, args.flat);
    let fetches = chunk_dir.map(|dir| Fetches::new(Looked::Beside, args.classic_wait(), dir, target.clone()));
    let mut downloads = Downloads::new(requests, target, args.native_wait(), args.stall, global.port);
    if let Some(fetches) = fetches {
        downloads.also_classic(&mut run, fetches);
    }
    let exit = fetch(args, &mut run, &mut downloads);
    let failed = downloads.failed() + downloads.open();
    Ok(Outcome { exit, done: downloads.done(), failed, bytes: downloads.bytes() })
}

/// Fetches everything, seeds if asked to, leaves.
fn fetch(args: &GetArgs, run: &mut Run<'_>, downloads: &mut Downloads) -> Exit {
    for (ticket, request) in (0..).zip(downloads.requests()) {
        run.reactor.command(Command::Get {
            ticket,
            wanted: request.wanted.clone(),
            at: request.at.clone(),
            layout: request.layout,
            wait: args.native_wait(),
            stall: args.stall,
        });
    }
    let deadline = args.timeout.and_then(after);
    let end = run.drive(&mut Fetch { downloads, deadline });
    run.out.clear();
    if end == Ok(End::Over) {
        downloads.close(run);
        if downloads.done() > 0 {
            seed(args, run);
        }
    }
    // Said before the end, which may take a moment.
    let exit = end.map_or_else(|exit| exit, |end| end.exit(downloads.exit()));
    let kept = downloads.kept();
    run.leave(|run, event| downloads.take(run, &event));
    if matches!(end, Ok(End::Signal(_) | End::TimedOut)) {
        if downloads.are_over() && exit != Exit::TimedOut {
            // What was asked for came in the last moment; the signal was still first.
            return exit;
        }
        let mut failure = Failure::cut_short(exit, downloads.done(), downloads.open(), kept);
        if let Some((by, from)) = downloads.open_replaced() {
            failure.replaced(by, from);
        }
        failure.report_of(run.out, &downloads.open_subject());
        downloads.abandon(run, exit.word());
    }
    exit
}

/// The downloads until everything has ended, or something ends it.
struct Fetch<'a> {
    downloads: &'a mut Downloads,
    deadline: Option<Instant>,
}

impl Driven for Fetch<'_> {
    type End = End;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<End, Option<Instant>> {
        if self.downloads.are_over() {
            return ControlFlow::Break(End::Over);
        }
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return ControlFlow::Break(End::TimedOut);
        }
        self.downloads.tick(run, now);
        ControlFlow::Continue(earliest([self.deadline, next_tick(run.out, now)]))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<End> {
        if let ShellEvent::Signal(signal) = event {
            return ControlFlow::Break(End::Signal(signal));
        }
        self.downloads.take(run, &event);
        ControlFlow::Continue(())
    }
}

/// What is shared until then, or a signal.
struct Seed {
    until: Option<Instant>,
}

impl Driven for Seed {
    type End = ();

    fn step(&mut self, _run: &mut Run<'_>) -> ControlFlow<(), Option<Instant>> {
        match self.until {
            Some(until) if Instant::now() >= until => ControlFlow::Break(()),
            until => ControlFlow::Continue(until),
        }
    }

    fn take(&mut self, _run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<()> {
        if matches!(event, ShellEvent::Signal(_)) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Stays for others as long as `--seed` says.
fn seed(args: &GetArgs, run: &mut Run<'_>) {
    let Some(duration) = args.seed else { return };
    let until = duration.and_then(after);
    run.out.note(&match duration {
        Some(duration) => format!("sharing it for {}; Ctrl-C ends", human::limit(duration)),
        None => "sharing it; Ctrl-C ends".to_owned(),
    });
    // Whatever ends it, the downloads are complete.
    let _ = run.drive(&mut Seed { until });
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        get: GetArgs,
    }

    fn parsed(args: &[&str]) -> GetArgs {
        Only::try_parse_from(std::iter::once(&"get").chain(args)).unwrap().get
    }

    #[test]
    fn seeding_for_ever_for_a_while_and_not() {
        assert_eq!(parsed(&["x"]).seed, None);
        assert_eq!(parsed(&["x", "--seed"]).seed, Some(None));
        assert_eq!(parsed(&["--seed", "x"]).wanted.len(), 1);
        assert_eq!(parsed(&["x", "--seed=5m"]).seed, Some(Some(Duration::from_secs(300))));
    }

    #[test]
    fn classic_peers_are_waited_for_after_native_ones() {
        let waits = |args: &[&str]| {
            let args = parsed(args);
            (args.native_wait(), args.classic_wait())
        };
        let seconds = Duration::from_secs;
        assert_eq!(waits(&["x"]).0, seconds(3));
        assert_eq!(waits(&["x", "--wait", "10s"]).0, seconds(10));
        assert_eq!(waits(&["x", "--classic"]), (seconds(3), seconds(62)));
        assert_eq!(waits(&["x", "--classic", "--wait", "10s"]), (seconds(3), seconds(7)));
        assert_eq!(waits(&["x", "--classic", "--wait", "1s"]), (seconds(1), seconds(0)));
    }

    #[test]
    fn only_one_content_has_a_file_name() {
        let name = |args: &[&str]| parsed(args).target().map(|target| target.name);
        assert_eq!(name(&["x", "-o", "y"]), Ok(Some("y".into())));
        assert!(name(&["x", "z", "-o", "y"]).is_err());
        assert!(name(&["*", "-o", "y"]).is_err());
    }
}
