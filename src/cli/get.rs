//! `get`: fetch from every peer that has it, verify, resume.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::cli::Outcome;
use crate::cli::args::Global;
use crate::cli::choice;
use crate::cli::downloads::Downloads;
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, command_line};
use crate::cli::human;
use crate::cli::output::Output;
use crate::cli::run::{Run, Target};
use crate::cli::units::parse_duration;
use crate::cli::wanted::Request;
use crate::core::Command;
use crate::shell::ShellEvent;
use crate::store::OnConflict;

const ABOUT: &str = "\
Fetch from every peer that has a part of it: verified chunk by chunk, resumed after any interruption.

WANTED is 64 hexadecimal digits (an id), id:PREFIX (the beginning of one), a pattern with *, ? or [...], or else a \
name: the whole one or its last component. NAME@PEER picks one holder's; a name that itself contains an @ is \
written with one more at its end (photo@2x.png@).

Each finished file's path goes to stdout. Ctrl-C keeps what is there; the same command goes on from it.";

const EXAMPLES: &str = "\
Examples:
  chunkcast get talk.mkv                    into the current folder
  chunkcast get '*.txt' id:3f9a -o notes/   all of these into a folder
  chunkcast get talk.mkv -o film.mkv        under another name
  chunkcast get talk.mkv@lab-7              only as lab-7 offers it
  chunkcast get talk.mkv --seed=10m         stay for others afterwards
  chunkcast get                             list what there is, and ask

Exit: 0 complete, 3 nobody offers it, 4 no network, 5 gave up (part kept), 6 integrity,
7 local storage, 8 ambiguous or the target exists, 10 some failed, 124 timed out, 130 interrupted,
143 terminated.";

/// Fetch files from everybody who has them
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct GetArgs {
    /// Names, patterns or ids; none on a terminal: list and ask
    #[arg(value_name = "WANTED", value_parser = Request::parse)]
    wanted: Vec<Request>,
    /// Where to: a folder (it exists, or ends in /), or a file name for a single content [default: .]
    #[arg(short, long, value_name = "DIR|FILE")]
    output: Option<PathBuf>,
    /// Keep sharing afterwards, until Ctrl-C or for this long
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = parse_duration)]
    seed: Option<Option<Duration>>,
    /// How long to look for somebody who offers it
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    wait: Duration,
    /// How long a download that was begun waits for holders
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    stall: Duration,
    /// How long all of it may take [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// When a file of that name with other content is there
    #[arg(long, value_name = "WHAT", default_value = "rename")]
    on_conflict: Conflict,
}

/// What to do when the target exists with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Conflict {
    /// Take another name: NAME (2)
    Rename,
    /// Leave it alone and do not download
    Skip,
    /// Replace it once the download is complete
    Overwrite,
    /// Fail with exit code 8
    Error,
}

/// Why a `get` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything ended.
    Over,
    /// A signal came.
    Signal(i32),
    /// `--timeout` is over.
    TimedOut,
    /// stdout is closed.
    Output(Exit),
    /// The loop broke; that was told.
    Broken(Exit),
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

pub(crate) fn run(args: &GetArgs, global: &Global, out: &mut Output) -> Outcome {
    if args.wanted.is_empty() && !out.may_ask() {
        let next = "see what is on offer: chunkcast ls";
        out.error(Exit::Usage, "say what to get: a name, a pattern or an id", Some(next));
        return Outcome::of(Exit::Usage);
    }
    let target = match target(args) {
        Ok(target) => target,
        Err(why) => {
            out.error(Exit::Usage, &why, None);
            return Outcome::of(Exit::Usage);
        }
    };
    let mut run = match Run::start("get", global, target.clone(), out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    let requests = if args.wanted.is_empty() {
        match choice::ask(&mut run) {
            Ok(requests) => requests,
            Err(exit) => {
                run.leave(|_, _| {});
                return Outcome::of(exit);
            }
        }
    } else {
        args.wanted.clone()
    };
    let mut downloads = Downloads::new(requests, target, args.wait, args.stall, global.port);
    let exit = fetch(args, &mut run, &mut downloads);
    Outcome {
        exit,
        done: downloads.done(),
        failed: downloads.failed() + downloads.open(),
        bytes: downloads.bytes(),
    }
}

/// Fetches everything, seeds if asked to, leaves.
fn fetch(args: &GetArgs, run: &mut Run<'_>, downloads: &mut Downloads) -> Exit {
    for (ticket, request) in (0..).zip(downloads.requests()) {
        run.command(Command::Get {
            ticket,
            wanted: request.wanted.clone(),
            at: request.at.clone(),
            wait: args.wait,
            stall: args.stall,
        });
    }
    // A deadline beyond the clock's end is none.
    let deadline = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let end = until_over(run, downloads, deadline);
    run.out.clear();
    if end == End::Over && downloads.done() > 0 {
        seed(args, run);
    }
    if let End::Broken(exit) = end {
        return exit;
    }
    // Said before the end, which may take a moment.
    let exit = match end {
        End::Signal(signal) => Exit::of_signal(signal),
        End::TimedOut => Exit::TimedOut,
        End::Output(exit) => exit,
        End::Over | End::Broken(_) => downloads.exit(),
    };
    let kept = downloads.kept();
    run.leave(|run, event| downloads.take(run, &event));
    if matches!(end, End::Signal(_) | End::TimedOut) {
        if downloads.are_over() && exit != Exit::TimedOut {
            // What was asked for came in the last moment; the signal was still first.
            return exit;
        }
        tell_cut_short(run, downloads, exit, kept);
        downloads.abandon(run, exit.word());
    }
    exit
}

/// The loop, until everything has ended or something ends it.
fn until_over(run: &mut Run<'_>, downloads: &mut Downloads, deadline: Option<Instant>) -> End {
    loop {
        let now = Instant::now();
        let until = [deadline, downloads.next_tick(run, now)].into_iter().flatten().min();
        if let Err(exit) = run.turn(until) {
            return End::Broken(exit);
        }
        while let Some(event) = run.next_event() {
            if let ShellEvent::Signal(signal) = event {
                return End::Signal(signal);
            }
            downloads.take(run, &event);
        }
        if downloads.are_over() {
            return End::Over;
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return End::TimedOut;
        }
        downloads.tick(run, now);
        if let Some(exit) = run.out.ended() {
            return End::Output(exit);
        }
    }
}

/// Stays for others as long as `--seed` says. Whatever ends it, the downloads are complete.
fn seed(args: &GetArgs, run: &mut Run<'_>) {
    let Some(duration) = args.seed else { return };
    let until = duration.and_then(|duration| Instant::now().checked_add(duration));
    run.out.note(&match duration {
        Some(duration) => format!("sharing it for {}; Ctrl-C ends", human::span(duration)),
        None => "sharing it; Ctrl-C ends".to_owned(),
    });
    while until.is_none_or(|until| Instant::now() < until) && run.out.ended().is_none() {
        if run.turn(until).is_err() {
            return;
        }
        while let Some(event) = run.next_event() {
            if matches!(event, ShellEvent::Signal(_)) {
                return;
            }
        }
    }
}

/// Says what is left when a signal or the clock ends it.
fn tell_cut_short(run: &mut Run<'_>, downloads: &Downloads, exit: Exit, kept: Option<String>) {
    let (done, open) = (downloads.done(), downloads.open());
    let why = match exit {
        Exit::TimedOut => "the time of --timeout is over",
        Exit::Interrupted => "interrupted",
        _ => "terminated",
    };
    let failure = Failure {
        exit,
        title: "the download is not complete".to_owned(),
        happened: format!("{why}; {done} done, {open} not"),
        kept,
        next: vec![format!("the same command again goes on from there: {}", command_line())],
    };
    failure.tell_of(run.out, &downloads.open_subject());
}

/// Where downloads go, as `-o` says.
fn target(args: &GetArgs) -> Result<Target, String> {
    let on_conflict = args.on_conflict.into();
    let Some(output) = &args.output else { return Ok(Target { on_conflict, ..Target::default() }) };
    let text = output.to_string_lossy();
    if text.is_empty() {
        return Err("-o needs a folder or a file name".to_owned());
    }
    if text.ends_with('/') || output.is_dir() || output.file_name().is_none() {
        return Ok(Target { dir: output.clone(), name: None, on_conflict });
    }
    if !matches!(&args.wanted[..], [one] if one.is_single()) {
        let shown = text.escape_debug();
        return Err(format!(
            "-o {shown} is a file name, which only one name or id can have; for a folder: -o {shown}/"
        ));
    }
    let name = output.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| "the file name after -o is not UTF-8; choose another".to_owned())?;
    let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Target { dir: dir.to_owned(), name: Some(name.to_owned()), on_conflict })
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
    fn output_is_a_folder_or_the_name_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().to_str().unwrap();
        let target = |args: &[&str]| target(&parsed(args)).map(|target| (target.dir, target.name));
        assert_eq!(target(&["x"]), Ok((".".into(), None)));
        assert_eq!(target(&["*", "-o", there]), Ok((there.into(), None)));
        assert_eq!(target(&["*", "-o", "new/"]), Ok(("new/".into(), None)));
        assert_eq!(target(&["x", "-o", ".."]), Ok(("..".into(), None)));
        assert_eq!(target(&["x", "-o", "y"]), Ok((".".into(), Some("y".into()))));
        assert_eq!(target(&["x", "-o", "d/y"]), Ok(("d".into(), Some("y".into()))));
        assert!(target(&["x", "z", "-o", "y"]).is_err());
        assert!(target(&["*", "-o", "y"]).is_err());
    }
}
