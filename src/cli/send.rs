//! `send`: offers files to named peers, which accept or decline.

mod account;
mod menu;
mod result;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::Outcome;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::push::sending;
use crate::cli::run::{Run, Standing, Target};
use crate::cli::send::account::Account;
use crate::cli::share::flags;
use crate::cli::units::parse_duration;
use crate::core::{Event, Recipient};
use crate::shell::{ShellEvent, host};
use crate::types::name::printable;
use crate::wire::push::Form;

const ABOUT: &str = "\
Offer files, and all files in folders, to the peers you name. Each of them is asked first. An accepted file is \
verified chunk by chunk, and you hear when it has arrived. Several recipients help each other, so that your link \
carries the file about once. Run the same command again to continue an interrupted one.

PEER is a name in the output of `chunkcast ls --peers`, NAME#ID where several peers have that name, or HOST[:PORT]. On \
the other machine run `chunkcast receive`. The names of folders are not sent.

While this runs, every peer on the network can list and download these files.

--dialect sends to receivers of other programs (docs/push.md). They verify nothing, and PEER is HOST[:PORT].";

const EXAMPLES: &str = "\
Examples:
  chunkcast send notes.pdf --to lab-7
  chunkcast send talk.mkv slides/ --to lab-7 --to lab-8
  chunkcast send notes.pdf --to 192.168.1.27         where broadcasts do not reach
  chunkcast send notes.pdf --to lab-7 --timeout 5m   give up after five minutes
  chunkcast send                                     asks for your name, the file and the recipient
  chunkcast send --dialect json                      the same, for other programs' receivers
  chunkcast send --dialect json cars.csv --to 192.168.1.27

Exit: 0 every recipient has verified every file, 2 usage, 3 no peer of that name, 4 no network,
5 a recipient was lost or gave up, 6 integrity, 7 a file cannot be read, 8 several peers of that
name, 9 declined, 10 some of it, 124 timed out, 130 interrupted, 143 terminated.";

/// Send files to peers, which accept or decline
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// Files and folders to send [default: a menu, on a terminal]
    #[arg(value_name = "PATH", requires = "to")]
    paths: Vec<PathBuf>,
    /// Peer to send to (repeatable)
    #[arg(long, value_name = "PEER", requires = "paths", value_parser = parse_peer)]
    to: Vec<String>,
    /// How long to look for these peers
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    wait: Duration,
    /// Give up after this long in all [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Send to another program's receiver: json, steps or short (port 8080), named (port 5000) [default: chunkcast]
    #[arg(long, value_name = "FORM")]
    dialect: Option<Form>,
}

/// Why a `send` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Every offer ended.
    Over,
    /// A signal came.
    Signal(i32),
    /// `--timeout` is over.
    TimedOut,
    /// stdout is closed, or the loop broke; that was told.
    Exit(Exit),
}

pub(crate) fn run(args: &SendArgs, global: &Global, out: &mut Output) -> Outcome {
    if args.paths.is_empty() {
        if out.may_ask() {
            return menu::run(args, global, out);
        }
        let next = "name both, for example: chunkcast send notes.pdf --to lab-7";
        out.error(Exit::Usage, "a file to send and a recipient are missing", Some(next));
        return Outcome::of(Exit::Usage);
    }
    if let Some(form) = args.dialect {
        // A deadline beyond the clock's end is none.
        let until = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        return sending::run(form, &args.paths, &args.to, until, global, out);
    }
    match start(global, out) {
        Ok(mut run) => send(&args.paths, &args.to, args, global, &mut run),
        Err(exit) => Outcome::of(exit),
    }
}

/// Starts a peer that can send.
fn start<'a>(global: &Global, out: &'a mut Output) -> Result<Run<'a>, Exit> {
    Run::start("send", global, Target::default(), Standing::native(None), out)
}

/// Sends everything to everybody, and leaves.
fn send(paths: &[PathBuf], to: &[String], args: &SendArgs, global: &Global, run: &mut Run<'_>) -> Outcome {
    let recipients = to.iter().map(|text| (text.clone(), recipient(text, global.port))).collect();
    let mut account = Account::new(recipients, args.wait, global.port);
    let mut readable = 0;
    for path in paths {
        match run.share(path) {
            Ok(()) => readable += 1,
            Err(fault) => account.unreadable(run, Exit::of_fault(&fault), &printable(&fault.text)),
        }
    }
    if readable == 0 {
        account.nothing_to_read();
    }
    // A deadline beyond the clock's end is none.
    let deadline = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let end = until_over(run, &mut account, deadline);
    run.out.clear();
    account.tell_refused(run, |source| path_of(paths, source), &flags(global));
    let exit = match end {
        End::Over => account.exit(),
        End::Signal(signal) => Exit::of_signal(signal),
        End::TimedOut => Exit::TimedOut,
        End::Exit(exit) => exit,
    };
    if matches!(end, End::Signal(_) | End::TimedOut) {
        account.cut_short(run, exit);
    }
    run.leave(|run, event| account.take(run, &event));
    Outcome { exit, done: account.done(), failed: account.failed(), bytes: account.bytes() }
}

/// Where a file lies that a scan of `paths` found under this name.
fn path_of(paths: &[PathBuf], source: &str) -> PathBuf {
    let is_it = |path: &&PathBuf| match path.is_dir() {
        true => path.join(source).exists(),
        false => path.file_name().is_some_and(|name| name == source),
    };
    match paths.iter().find(is_it) {
        Some(path) if path.is_dir() => path.join(source),
        Some(path) => path.clone(),
        None => PathBuf::from(source),
    }
}

/// The loop, until every offer has ended or something ends it.
fn until_over(run: &mut Run<'_>, account: &mut Account, deadline: Option<Instant>) -> End {
    loop {
        if account.is_over() {
            return End::Over;
        }
        let until = [deadline, account.next_tick(run)].into_iter().flatten().min();
        if let Err(exit) = run.turn(until) {
            return End::Exit(exit);
        }
        while let Some(event) = run.next_event() {
            if let ShellEvent::Signal(signal) = event {
                return End::Signal(signal);
            }
            account.take(run, &event);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) && !account.is_over() {
            return End::TimedOut;
        }
        account.tick(run);
        if let Some(exit) = run.out.ended() {
            return End::Exit(exit);
        }
    }
}

/// Who is meant. What has a dot or a port is a host, unless it cannot be resolved: user names default to a host's name
/// up to its first dot.
fn recipient(text: &str, port: u16) -> Recipient {
    let host = text.contains(['.', ':']).then(|| host::resolve(text, port).ok()).flatten();
    host.map_or_else(|| Recipient::Called(text.to_owned()), Recipient::At)
}

fn parse_peer(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("name a peer (chunkcast ls --peers lists them) or a host".to_owned()),
        peer => Ok(peer.to_owned()),
    }
}

/// What an event tells of files that are sent.
fn push_event(event: &ShellEvent) -> Option<&crate::core::PushEvent> {
    match event {
        ShellEvent::Core(Event::Push(event)) => Some(event),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts_are_told_apart() {
        let at = |text: &str| Recipient::At(text.parse().unwrap());
        assert_eq!(recipient("192.168.1.27", 7117), at("192.168.1.27:7117"));
        assert_eq!(recipient("192.168.1.27:9", 7117), at("192.168.1.27:9"));
        for name in ["lab-7", "lab-7#0a1b", "Frau Müller"] {
            assert_eq!(recipient(name, 7117), Recipient::Called(name.to_owned()));
        }
        assert!(parse_peer(" ").is_err());
    }
}
