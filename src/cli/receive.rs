//! `receive`: take files that senders of the field push here.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Outcome;
use crate::cli::args::Global;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::push::questions::{Questions, Reply};
use crate::cli::push::receiving::{ListenArgs, Receiving, answer};
use crate::cli::run::{Run, Standing, Target};
use crate::cli::units::parse_size;
use crate::core::name::printable;
use crate::core::{Event, ForeignEvent};
use crate::shell::ShellEvent;
use crate::store::OnConflict;

const EXAMPLES: &str = "\
Examples:
  chunkcast receive --listen 8080                        ask about each
  chunkcast receive --listen 8080 --listen 5000 --yes    take everything, up to --quota

Exit: 0 ended by Ctrl-C or SIGTERM, or with --once when the file is there; 4 no network or a port is
taken, 7 local storage.";

/// Wait for files that others send
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReceiveArgs {
    /// Where files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Accept everything
    #[arg(long)]
    yes: bool,
    /// Accept everything from this sender: a name or an address (several times)
    #[arg(long, value_name = "PEER")]
    from: Vec<String>,
    /// End after one file
    #[arg(long)]
    once: bool,
    /// Accept no more than this in all
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = parse_size)]
    quota: u64,
    #[command(flatten)]
    listen: ListenArgs,
}

pub(crate) fn run(args: &ReceiveArgs, global: &Global, out: &mut Output) -> Outcome {
    let target = Target { dir: args.dir.clone(), name: None, on_conflict: OnConflict::Rename };
    let foreign = args.listen.ports(args.quota);
    if foreign.is_none() {
        out.error(Exit::Usage, "say where to listen", Some("chunkcast receive --listen 8080"));
        return Outcome::of(Exit::Usage);
    }
    let standing = Standing { native: false, classic: None, foreign };
    let mut run = match Run::start("receive", global, target, standing, out) {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    if let Err(fault) = run.open_target() {
        run.out.error(Exit::of_fault(&fault), &printable(&fault.text), None);
        run.leave(|_, _| {});
        return Outcome::of(Exit::of_fault(&fault));
    }
    let mut receiving = Receiving::new(&args.listen, &args.dir, args.yes, args.from.clone());
    let exit = until_ended(args, &mut run, &mut receiving);
    run.out.clear();
    run.leave(|run, event| {
        if let ShellEvent::Core(Event::Foreign(event)) = event {
            receiving.take(run, &event);
        }
    });
    Outcome { exit, done: receiving.done(), failed: receiving.failed_count(), bytes: receiving.bytes() }
}

fn until_ended(args: &ReceiveArgs, run: &mut Run<'_>, receiving: &mut Receiving) -> Exit {
    let mut questions = Questions::new();
    loop {
        if let Err(exit) = run.turn(questions.next_look()) {
            return exit;
        }
        while let Some(event) = run.next_event() {
            match event {
                ShellEvent::Signal(_) => return Exit::Ok,
                ShellEvent::Core(Event::Foreign(event)) => {
                    if let ForeignEvent::Failed { push, .. } = &event {
                        questions.gone(run, *push);
                    }
                    match receiving.take(run, &event) {
                        Some(incoming) if run.out.may_ask() => questions.add(incoming),
                        Some(incoming) => answer(run, &incoming, false),
                        None => {}
                    }
                }
                _ => {}
            }
        }
        if args.once && receiving.done() + receiving.failed_count() > 0 {
            return receiving.exit();
        }
        if let Some((incoming, reply)) = questions.step(run) {
            if reply == Reply::Always {
                receiving.trust(&incoming);
            }
            answer(run, &incoming, reply != Reply::Decline);
        }
        if let Some(exit) = run.out.ended() {
            return exit;
        }
    }
}
