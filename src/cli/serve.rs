//! `serve`: the headless peer. It shares folders, follows their changes, and mirrors what other peers share.

mod stats;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::classic::setup::{Beside, Role};
use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::run::{Mode, Run, Target};
use crate::cli::serve::stats::Stats;
use crate::cli::units::{parse_interval, parse_size};
use crate::cli::wanted::{shell_quoted, spoken, wanted};
use crate::cli::{Outcome, human};
use crate::core::{Command, Fault};
use crate::shell::ShellEvent;
use crate::store::{OnConflict, ShareEvent};
use crate::types::name::printable;
use crate::wire::message::Wanted;

/// The signal that asks for a look at the folders.
const SIGHUP: i32 = 1;

const ABOUT: &str = "\
Share all files in folders, and follow the changes in them, for months. With --mirror also download and share what \
other peers share.

A new, changed, renamed or removed file is noticed within --rescan plus two seconds: a file that is being written is \
shared when nobody has written to it for two seconds. Scanning uses at most 1 % of the time; large folders are scanned \
less often. If a folder disappears, its files are withdrawn; they are shared again when it is back.

--mirror downloads every matching file that is not here yet, now and later, verifies it, and shares it from the first \
DIR, or from --mirror-dir. A file that you remove from there is not downloaded again in the same run. Files with the \
same name and different contents are all kept, as NAME and NAME (2).

SIGHUP starts a scan at once.";

const EXAMPLES: &str = "\
Examples:
  chunkcast serve ~/Public
  chunkcast serve ~/Videos /srv/iso --rescan 30s
  chunkcast serve ~/Mirror --mirror '*.mkv' --mirror '*.iso' --mirror-max 500GiB
  chunkcast serve ~/Public --mirror '*' --mirror-dir ~/Others --json

Exit: 0 ended by Ctrl-C or SIGTERM, 2 usage, 4 no network, 7 a folder cannot be used.";

/// Share folders and follow their changes; mirror what other peers share
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Folders to share; mirrored files go to the first one
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// How often to scan the folders for changes
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    rescan: Duration,
    /// Download matching files that other peers share: a pattern, a name or an id (repeatable) [default: nothing]
    #[arg(long, value_name = "GLOB", value_parser = parse_mirror)]
    mirror: Vec<Wanted>,
    /// Folder for mirrored files; it is shared too [default: the first DIR]
    #[arg(long, value_name = "DIR", requires = "mirror")]
    mirror_dir: Option<PathBuf>,
    /// Keep the mirror folder below this size
    #[arg(long, value_name = "SIZE", default_value = "100GiB", value_parser = parse_size)]
    mirror_max: u64,
    #[command(flatten)]
    classic: Beside,
}

pub(crate) fn run(args: &ServeArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    if let Some(file) = args.folders().iter().find(|path| path.is_file()) {
        let (shown, word) = (human::quoted_path(file), printable(&shell_quoted(&file.to_string_lossy())));
        let next = format!("chunkcast share {word}");
        let why = format!("{shown} is a file, and serve takes folders");
        return Err(out.refuse(Exit::Usage, &why, Some(&next)));
    }
    let target = Target { dir: args.target().to_path_buf(), name: None, on_conflict: OnConflict::Rename };
    let mode = Mode::native(args.classic.speak(Role::Serves, global));
    let mut run = Run::start("serve", global, target, mode, out)?;
    let mut serve = Serve { args, stats: Stats::new(global.port) };
    let exit = match watch_all(args, &mut run) {
        Ok(()) => run.drive(&mut serve).map_or_else(|exit| exit, |()| Exit::Ok),
        Err(fault) => run.report_fault(&fault),
    };
    let mut stats = serve.stats;
    run.leave(|run, event| stats.take(run, &event));
    Ok(Outcome { exit, done: stats.done(), failed: stats.failed(), bytes: stats.bytes() })
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
            ShellEvent::Share(ShareEvent::ScanDone { files, bytes }) => {
                let mirroring = mirror(self.args, run);
                let files = match files {
                    0 => "0 files".to_owned(),
                    _ => format!("{}, {}", human::counted(files, "file", "files"), human::size(bytes)),
                };
                let dirs: Vec<String> = self.args.dirs.iter().map(|dir| human::quoted_path(dir)).collect();
                let (dirs, port) = (dirs.join(", "), run.reactor.tcp_port());
                self.stats.started(run, &format!("serving {files} from {dirs}{mirroring}; port {port}"));
            }
            event => self.stats.take(run, &event),
        }
        ControlFlow::Continue(())
    }
}

/// Starts to mirror, once it is known which files are here. What is mirrored where, for people.
fn mirror(args: &ServeArgs, run: &mut Run<'_>) -> String {
    if args.mirror.is_empty() {
        return String::new();
    }
    let target = args.target();
    let here_bytes = run.reactor.store.bytes_below(target);
    let room_bytes = args.mirror_max.saturating_sub(here_bytes);
    let (shown, max) = (human::quoted_path(target), human::size(args.mirror_max));
    if room_bytes == 0 {
        let here = human::size(here_bytes);
        run.out.note(&format!(
            "warning: {shown} has {here} already, and --mirror-max is {max}: nothing is mirrored\n  \
             next: a larger --mirror-max, or another --mirror-dir"
        ));
    }
    run.reactor.command(Command::Mirror { ticket: 0, wanted: args.mirror.clone(), room_bytes });
    let patterns: Vec<String> = args.mirror.iter().map(spoken).collect();
    format!("; mirroring {} into {shown}, up to {max}", patterns.join(", "))
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
