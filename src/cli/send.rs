//! `send`: offers files to named peers, which accept or decline.

mod menu;
mod result;
mod stats;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::Outcome;
use crate::cli::drive::{Driven, End, after, earliest};
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::progress::next_tick;
use crate::cli::run::{Mode, Run, Target};
use crate::cli::send::stats::Stats;
use crate::cli::share::flags;
use crate::cli::transfer::sending;
use crate::cli::units::parse_duration;
use crate::core::{Event, Recipient};
use crate::shell::{ShellEvent, host};
use crate::wire::transfer::Form;

const ABOUT: &str = "\
Offer files, and all files in folders, to the peers you name. Each of them is asked first. An accepted file is \
verified chunk by chunk, and you hear when it has arrived. Several recipients help each other, so that your link \
carries the file about once. Run the same command again to continue an interrupted one.

PEER is a name in the output of `chunkcast ls --peers`, NAME#ID where several peers have that name, or HOST[:PORT]. On \
the other machine run `chunkcast receive`. The names of folders are not sent.

While this runs, every peer on the network can list and download these files.

--dialect sends to receivers of other programs (docs/sending.md). They verify nothing, and PEER is HOST[:PORT].";

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

pub(crate) fn run(args: &SendArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    if args.paths.is_empty() {
        if out.may_ask() {
            return Ok(menu::run(args, global, out));
        }
        let next = "name both, for example: chunkcast send notes.pdf --to lab-7";
        return Err(out.refuse(Exit::Usage, "a file to send and a recipient are missing", Some(next)));
    }
    if let Some(form) = args.dialect {
        return sending::run(form, &args.paths, &args.to, args.timeout.and_then(after), global, out);
    }
    Ok(send(&args.paths, &args.to, args, global, &mut start(global, out)?))
}

/// Starts a peer that can send.
fn start<'a>(global: &Global, out: &'a mut Output) -> Result<Run<'a>, Exit> {
    Run::start("send", global, Target::default(), Mode::native(None), out)
}

/// Sends everything to everybody, and leaves.
fn send(paths: &[PathBuf], to: &[String], args: &SendArgs, global: &Global, run: &mut Run<'_>) -> Outcome {
    let recipients = to.iter().map(|text| (text.clone(), recipient(text, global.port))).collect();
    let mut stats = Stats::new(recipients, args.wait, global.port);
    let mut readable = 0;
    for path in paths {
        match run.reactor.share(path) {
            Ok(()) => readable += 1,
            Err(fault) => stats.unreadable(run, &fault),
        }
    }
    if readable == 0 {
        stats.nothing_to_read();
    }
    let deadline = args.timeout.and_then(after);
    let end = run.drive(&mut Offers { stats: &mut stats, deadline });
    run.out.clear();
    stats.report_refused(run, paths, &flags(global));
    let exit = end.map_or_else(|exit| exit, |end| end.exit(stats.exit()));
    if matches!(end, Ok(End::Signal(_) | End::TimedOut)) {
        stats.cut_short(run, exit);
    }
    run.leave(|run, event| stats.take(run, &event));
    Outcome { exit, done: stats.done(), failed: stats.failed(), bytes: stats.bytes() }
}

/// The offers until each has ended, or something ends them.
struct Offers<'a> {
    stats: &'a mut Stats,
    deadline: Option<Instant>,
}

impl Driven for Offers<'_> {
    type End = End;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<End, Option<Instant>> {
        if self.stats.is_over() {
            return ControlFlow::Break(End::Over);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return ControlFlow::Break(End::TimedOut);
        }
        self.stats.tick(run);
        ControlFlow::Continue(earliest([self.deadline, next_tick(run.out, Instant::now())]))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<End> {
        if let ShellEvent::Signal(signal) = event {
            return ControlFlow::Break(End::Signal(signal));
        }
        self.stats.take(run, &event);
        ControlFlow::Continue(())
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
fn offer_event(event: &ShellEvent) -> Option<&crate::core::OfferEvent> {
    match event {
        ShellEvent::Core(Event::Offer(event)) => Some(event),
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
