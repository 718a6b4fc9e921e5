//! `serve`: the headless peer. Shares folders, watches them, and mirrors what others offer.

mod stats;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::Outcome;
use crate::cli::args::Global;
use crate::cli::classic::setup::{Beside, Role};
use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::human;
use crate::cli::output::Output;
use crate::cli::run::{Mode, Run, Target};
use crate::cli::serve::stats::Stats;
use crate::cli::units::{parse_interval, parse_size};
use crate::cli::wanted::{shell_quoted, wanted};
use crate::core::{Command, Fault};
use crate::shell::ShellEvent;
use crate::store::OnConflict;
use crate::types::name::printable;
use crate::wire::message::Wanted;

/// The signal that asks for a look at the folders.
const SIGHUP: i32 = 1;

const ABOUT: &str = "\
Share all files below folders, watch the folders, and, if asked to, fetch what others offer: a peer that runs for \
months without anybody at the screen.

What is new, changed, renamed or removed in the folders is noticed within --rescan and two seconds, in which a file \
that is being written comes to rest. Looking takes a hundredth of the time at most: with very many files the looks \
are further apart. A folder that goes away is withdrawn, and shared again when it is back.

--mirror fetches whatever matches and is not here, now and whenever it appears, verifies it, and serves it from the \
first DIR, or from --mirror-dir. What is removed from there is not fetched again as long as this runs. Files of one \
name and different content are kept beside each other, as NAME and NAME (2).

SIGHUP looks at the folders at once.";

const EXAMPLES: &str = "\
Examples:
  chunkcast serve ~/Public
  chunkcast serve ~/Videos /srv/iso --rescan 30s
  chunkcast serve ~/Mirror --mirror '*.mkv' --mirror '*.iso' --mirror-max 500GiB
  chunkcast serve ~/Public --mirror '*' --mirror-dir ~/Others --json

Exit: 0 ended by Ctrl-C or SIGTERM, 2 usage, 4 no network, 7 a folder cannot be used.";

/// Share and watch folders, mirror what others offer
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Folders whose files are shared; the first one takes what is mirrored
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// How often to look for what changed in the folders
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    rescan: Duration,
    /// Fetch what others offer and matches (a pattern, a name or an id; several times)
    #[arg(long, value_name = "GLOB", value_parser = parse_mirror)]
    mirror: Vec<Wanted>,
    /// Where to put what is mirrored; it is served too [default: the first DIR]
    #[arg(long, value_name = "DIR", requires = "mirror")]
    mirror_dir: Option<PathBuf>,
    /// Fetch no more than makes this, with what is in that folder at the start
    #[arg(long, value_name = "SIZE", default_value = "100GiB", value_parser = parse_size)]
    mirror_max: u64,
    #[command(flatten)]
    classic: Beside,
}

pub(crate) fn run(args: &ServeArgs, global: &Global, out: &mut Output) -> Outcome {
    if let Some(file) = args.folders().iter().find(|path| path.is_file()) {
        let (shown, word) = (human::quoted_path(file), printable(&shell_quoted(&file.to_string_lossy())));
        let next = format!("share a single file with: chunkcast share {word}");
        out.error(Exit::Usage, &format!("{shown} is a file, and serve takes folders"), Some(&next));
        return Outcome::of(Exit::Usage);
    }
    let target = Target { dir: args.target().to_path_buf(), name: None, on_conflict: OnConflict::Rename };
    let mode = Mode::native(args.classic.speak(Role::Serves, global));
    let mut run = match Run::start("serve", global, target, mode, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    let mut serve = Serve { args, stats: Stats::new(global.port) };
    let exit = match watch_all(args, &mut run) {
        Ok(()) => run.drive(&mut serve).map_or_else(|exit| exit, |()| Exit::Ok),
        Err(fault) => run.report_fault(&fault),
    };
    let mut stats = serve.stats;
    run.leave(|run, event| stats.take(run, &event));
    Outcome { exit, done: stats.done(), failed: stats.failed(), bytes: stats.bytes() }
}

impl ServeArgs {
    /// Where what is mirrored goes.
    fn target(&self) -> &Path {
        self.mirror_dir.as_deref().or(self.dirs.first().map(PathBuf::as_path)).unwrap_or(Path::new("."))
    }

    /// All folders to watch: the one for the mirror too, unless it lies in another.
    fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> = self.dirs.iter().map(PathBuf::as_path).collect();
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let target = absolute(self.target());
        if !folders.iter().any(|folder| target.starts_with(absolute(folder))) {
            folders.push(self.target());
        }
        folders
    }
}

fn watch_all(args: &ServeArgs, run: &mut Run<'_>) -> Result<(), Fault> {
    for folder in args.folders() {
        run.reactor.watch(folder, args.rescan)?;
    }
    if args.mirror.is_empty() { Ok(()) } else { run.reactor.store.open_target() }
}

/// What runs until a signal ends it.
struct Serve<'a> {
    args: &'a ServeArgs,
    stats: Stats,
}

impl Driven for Serve<'_> {
    type End = ();

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<(), Option<Instant>> {
        self.stats.tick(run);
        ControlFlow::Continue(self.stats.next_tick())
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<()> {
        match event {
            ShellEvent::Signal(SIGHUP) => run.reactor.store.rescan(),
            ShellEvent::Signal(_) => return ControlFlow::Break(()),
            ShellEvent::ScanDone { files, bytes } => {
                self.stats.started(run, files, bytes);
                mirror(self.args, run);
            }
            event => self.stats.take(run, &event),
        }
        ControlFlow::Continue(())
    }
}

/// Everything that is here is known: what else is offered can be fetched.
fn mirror(args: &ServeArgs, run: &mut Run<'_>) {
    if args.mirror.is_empty() {
        return;
    }
    let target = args.target();
    let here_bytes = run.reactor.store.bytes_below(target);
    let room_bytes = args.mirror_max.saturating_sub(here_bytes);
    let shown = human::quoted_path(target);
    if room_bytes == 0 {
        run.out.note(&format!(
            "warning: {} are in {shown} already, as much as --mirror-max allows: nothing is fetched",
            human::size(here_bytes)
        ));
    } else {
        run.out.note(&format!("mirroring into {shown}, {} at most", human::size(room_bytes)));
    }
    run.reactor.command(Command::Mirror { ticket: 0, wanted: args.mirror.clone(), room_bytes });
}

fn parse_mirror(text: &str) -> Result<Wanted, String> {
    match text {
        "" => Err("name what to mirror, for example '*' or '*.mkv'".to_owned()),
        _ => wanted(text),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        serve: ServeArgs,
    }

    #[test]
    fn what_is_mirrored_goes_to_a_folder_that_is_watched() {
        let folders = |args: &[&str]| {
            let serve = Only::try_parse_from(std::iter::once(&"serve").chain(args)).unwrap().serve;
            let folders: Vec<PathBuf> = serve.folders().iter().map(|path| path.to_path_buf()).collect();
            (serve.target().to_path_buf(), folders)
        };
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(folders(&["a", "b", "--mirror", "*"]), ("a".into(), paths(&["a", "b"])));
        let elsewhere = folders(&["a", "--mirror", "*", "--mirror-dir", "b"]);
        assert_eq!(elsewhere, ("b".into(), paths(&["a", "b"])));
        let inside = folders(&["a", "--mirror", "*", "--mirror-dir", "a/b"]);
        assert_eq!(inside, ("a/b".into(), paths(&["a"])));
    }
}
