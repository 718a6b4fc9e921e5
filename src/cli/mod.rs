//! The command line: one file for each command, and the parts that commands share.
//!
//! This module owns arguments, exit codes and all printed text; it does not know how a peer works. stdout carries
//! results, or one JSON object per line; stderr carries progress, questions and the diagnostic log.

mod args;
mod choice;
mod classic;
mod command_line;
mod completions;
mod demo;
mod demo_stats;
mod downloads;
mod drive;
mod exit;
mod failure;
mod failure_notice;
mod get;
mod global;
mod hash;
mod human;
mod json;
mod left_out;
mod log;
mod logger;
mod ls;
mod output;
mod progress;
mod receive;
mod report;
mod ring;
mod run;
mod send;
mod serve;
mod share;
mod show;
mod simulate;
mod transfer;
mod units;
mod verify;
mod viewing;
mod wanted;

use std::process::ExitCode;
use std::time::Instant;

use args::{Action, Parsed};
use exit::Exit;
use json::Line;
use output::{JsonMode, Output};

/// What a command did, for its last JSON line and its exit code.
#[derive(Debug)]
struct Outcome {
    exit: Exit,
    /// Things done.
    done: usize,
    /// Things that failed.
    failed: usize,
    /// Their bytes.
    bytes: u64,
}

impl Outcome {
    /// Of a command that does one thing, or none that can be counted.
    fn of(exit: Exit) -> Outcome {
        Outcome { exit, done: usize::from(exit == Exit::Ok), failed: usize::from(exit != Exit::Ok), bytes: 0 }
    }
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    // No command of the user's, and not among those that are listed and completed.
    if std::env::args_os().nth(1).is_some_and(|word| word == failure_notice::dialog::COMMAND) {
        return failure_notice::dialog::main(std::env::args_os().skip(1)).into();
    }
    let cli = match args::parse(std::env::args_os()) {
        Parsed::Command(cli) => *cli,
        Parsed::Ended(exit) => return exit.into(),
    };
    let (global, began) = (&cli.global, Instant::now());
    logger::start(global.verbose, global.quiet);
    if global.with_parent {
        crate::shell::process::end_with_parent();
    }
    // What a shell or `man` reads is never JSON.
    let json =
        if matches!(cli.action, Action::Completions(_) | Action::Man) { JsonMode::Off } else { global.json };
    let shown = failure_notice::FailureNotice::new(&global.shown, cli.action.fetches());
    let out = &mut Output::new(json, global.quiet).showing(shown);
    let ended = match &cli.action {
        Action::Share(args) => share::run(args, global, out),
        Action::Serve(args) => serve::run(args, global, out),
        Action::Get(args) => get::run(args, global, out),
        Action::Send(args) => send::run(args, global, out),
        Action::Receive(args) => receive::run(args, global, out),
        Action::Ls(args) => ls::run(args, global, out),
        Action::Classic(args) => Ok(classic::run(args, global, out)),
        Action::Ring(args) => ring::run(args, global, out),
        Action::Hash(args) => hash::run(args, out),
        Action::Verify(args) => verify::run(args, out),
        Action::Log(args) => log::run(args, global, out),
        Action::Demo(args) => demo::run(args, out),
        Action::Simulate(args) => simulate::run(args, out),
        Action::Completions(args) => completions::completions(args, out),
        Action::Man => completions::man(out),
    };
    let outcome = ended.unwrap_or_else(Outcome::of);
    out.end_showing();
    out.clear();
    out.json(&Line::Summary {
        command: cli.action.name(),
        exit: outcome.exit.code(),
        kind: outcome.exit.word(),
        done: outcome.done,
        failed: outcome.failed,
        bytes: outcome.bytes,
        dur: json::seconds(began.elapsed()),
    });
    // A reader of stdout that has gone turns a success into a clean end, and nothing else into one.
    match (outcome.exit, out.ended()) {
        (Exit::Ok, Some(ended)) => ended.into(),
        (exit, _) => exit.into(),
    }
}
