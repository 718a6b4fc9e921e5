//! `demo`: a swarm on this machine. One peer shares, the others download over loopback; then the demo checks the bytes
//! and prints what happened.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::demo_stats::{Reported, Stats};
use crate::cli::exit::Exit;
use crate::cli::json::{Line, path_text};
use crate::cli::output::Output;
use crate::cli::units::parse_size;
use crate::cli::{Outcome, human};
use crate::core::Fault;
use crate::shell::process::{DrawnPort, FromGroup, Group};
use crate::store::{self, scratch};
use crate::types::ContentId;
use crate::types::name::printable;

/// The file's name.
const FILE_NAME: &str = "demo.bin";
/// The broadcast address that keeps it all on this machine.
const BROADCAST: &str = "127.255.255.255";
/// The address of every peer.
const ADDRESS: &str = "127.0.0.1";
/// How long a demo may take, apart from the time its bytes need.
const PATIENCE: Duration = Duration::from_secs(60);
/// The slowest pace at which a demo's bytes are waited for, in bytes a second.
const PACE_FLOOR_BYTES_PER_S: u64 = 4 << 20;
/// How long the peers may take to end.
const END_GRACE: Duration = Duration::from_secs(5);

/// See a swarm on this machine: one peer shares a file, the others download it
#[derive(Debug, Args)]
#[command(after_help = "\
One peer shares a file, the others download it from it and from each other. Every byte is checked.
Everything stays on the loopback interface and in a temporary folder that is removed at the end.

Examples:
  chunkcast demo
  chunkcast demo --peers 8 --size 256MiB

Exit: 0 every byte is right, 1 otherwise.")]
pub(crate) struct DemoArgs {
    /// Number of downloading peers
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    peers: u16,
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    size: u64,
}

/// What ended a demo before its time.
#[derive(Debug)]
enum Broken {
    /// The disk.
    Storage(Fault),
    /// Anything else, in a sentence.
    Failed(String),
    /// A signal.
    Signal(i32),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        Broken::Storage(fault)
    }
}

pub(crate) fn run(args: &DemoArgs, out: &mut Output) -> Result<Outcome, Exit> {
    let (exit, why) = match demonstrate(args, out) {
        Ok(()) => {
            return Ok(Outcome { exit: Exit::Ok, done: args.peers.into(), failed: 0, bytes: args.size });
        }
        Err(Broken::Storage(fault)) => (Exit::of_fault(&fault), printable(&fault.text)),
        Err(Broken::Signal(signal)) => (Exit::of_signal(signal), "ended before the demo was over".to_owned()),
        Err(Broken::Failed(why)) => (Exit::Bug, why),
    };
    Err(out.refuse(exit, &why, None))
}

fn demonstrate(args: &DemoArgs, out: &mut Output) -> Result<(), Broken> {
    let failed = |what: &'static str| move |error: std::io::Error| Broken::Failed(format!("{what}: {error}"));
    // Dropped after the group: a peer that still writes would keep the folder from being removed.
    let scratch = scratch::Scratch::new()?;
    // From here on a signal is heard, not obeyed: what is on the disk is removed first.
    let mut group = Group::new().map_err(failed("signals cannot be heard"))?;
    let folder = scratch.folder("sharer")?;
    let original = scratch.random_file(&folder, FILE_NAME, args.size, || !group.is_signalled())?;
    let port = DrawnPort::draw().map_err(failed("no port can be drawn on loopback"))?;
    let mut names = vec!["sharer".to_owned()];
    names.extend((1..=args.peers).map(|number| format!("peer-{number}")));

    out.result(&format!(
        "A file of {} random bytes, {} on this machine, over loopback.\n",
        human::size(args.size),
        human::counted(names.len(), "peer", "peers")
    ));
    let began = Instant::now();
    let until =
        began + PATIENCE + Duration::from_secs(args.size / PACE_FLOOR_BYTES_PER_S * u64::from(args.peers));
    let mut stats = Stats::default();

    let start = |group: &mut Group, who: &str, words: &[&str]| {
        let folder = scratch.path().join(who);
        group.spawn(&peer_args(&folder, who, port.port(), words)).map_err(failed("a peer cannot be started"))
    };
    if group.is_signalled() {
        next_reported(&mut group, &mut stats, &names, until)?;
    }
    start(&mut group, &names[0], &["share", &original.to_string_lossy()])?;
    let id = loop {
        if let Reported::Shared(id) = next_reported(&mut group, &mut stats, &names, until)? {
            break id;
        }
    };
    out.result(&format!("sharer shares {FILE_NAME}\n  id {id}\n"));
    let fetching = Instant::now();
    let mut targets = Vec::new();
    for name in &names[1..] {
        let folder = scratch.folder(name)?;
        targets.push(folder.join(FILE_NAME));
        start(&mut group, name, &["get", FILE_NAME, "--seed", "--output", &folder.to_string_lossy()])?;
    }
    while stats.done() < targets.len() {
        next_reported(&mut group, &mut stats, &names, until)?;
        out.show(&format!("{} of {} have it", stats.done(), human::counted(targets.len(), "peer", "peers")));
    }
    let took = fetching.elapsed();
    out.clear();
    if !group.end(END_GRACE) {
        log::warn!("a peer did not end within {} s and was killed", END_GRACE.as_secs());
    }
    out.result(&stats.report(&names, args.size));
    let id = check(&original, &targets, &id)?;
    out.result(&format!(
        "\nAll {} have the file, {} after their request. Compared byte by byte, every copy equals the shared file.",
        human::counted(targets.len(), "peer", "peers"),
        human::span(took)
    ));
    for (who, path) in (1..).zip(&targets) {
        out.json(&Line::Done {
            id,
            name: FILE_NAME,
            path: path_text(path),
            bytes: args.size,
            dur: stats.seconds(who),
            peers: stats.givers(who),
            verified: true,
            skipped: false,
        });
    }
    Ok(())
}

/// Waits for the next line of a peer, and counts what it says.
fn next_reported(
    group: &mut Group,
    stats: &mut Stats,
    names: &[String],
    until: Instant,
) -> Result<Reported, Broken> {
    let name = |who: usize| names.get(who).map_or("a peer", String::as_str);
    match group.next(until) {
        FromGroup::Line(who, line) => match stats.take(who, &line) {
            Reported::Failed => Err(Broken::Failed(stats.errors(names).join("; "))),
            told => Ok(told),
        },
        FromGroup::Closed(who) => Err(Broken::Failed(format!("{} ended too early", name(who)))),
        FromGroup::Signal(signal) => Err(Broken::Signal(signal)),
        FromGroup::TimedOut => Err(Broken::Failed(format!(
            "after a long wait only {} of {} have the file",
            stats.done(),
            human::counted(names.len().saturating_sub(1), "peer", "peers")
        ))),
    }
}

/// Compares every copy with the original, byte by byte, and its hash with the id, which it returns.
fn check(original: &Path, targets: &[PathBuf], id: &str) -> Result<ContentId, Broken> {
    let id: ContentId = id.parse().map_err(|_| Broken::Failed(format!("the sharer named no id but {id}")))?;
    for target in targets {
        let shown = human::quoted_path(target);
        if !scratch::same_bytes(original, target)? {
            return Err(Broken::Failed(format!("{shown} differs from what was shared")));
        }
        let (hashed, _) = store::hash_path(target, |_| {})?;
        if hashed != id {
            return Err(Broken::Failed(format!("the id of {shown} is {hashed}, not {id}")));
        }
    }
    Ok(id)
}

/// The arguments of one peer: its command, and what keeps it on this machine and in its folder.
fn peer_args(folder: &Path, name: &str, port: u16, command: &[&str]) -> Vec<String> {
    let state = folder.join("state");
    let port = port.to_string();
    let flags = [
        "--quiet",
        "--with-parent",
        "--json=chunks",
        "--dialog=never",
        "--broadcast",
        BROADCAST,
        "--bind",
        ADDRESS,
        "--port",
        &port,
        "--name",
        name,
        "--state-dir",
        &state.to_string_lossy(),
    ]
    .map(str::to_owned);
    command.iter().map(|word| (*word).to_owned()).chain(flags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::try_parse;

    #[test]
    fn peers_are_started_with_arguments_that_parse() {
        for command in [&["share", "x"][..], &["get", "x", "--seed", "--output", "y"][..]] {
            let args = peer_args(Path::new("folder"), "peer-1", 7117, command);
            let cli = try_parse(std::iter::once("chunkcast".to_owned()).chain(args).map(Into::into)).unwrap();
            assert_eq!((cli.global.name.as_deref(), cli.global.with_parent), (Some("peer-1"), true));
            assert_eq!(cli.global.broadcast.map(|addr| addr.to_string()).as_deref(), Some(BROADCAST));
        }
    }
}
