//! `receive`: waits for files that other peers send, and asks the user or follows the flags.

mod arrivals;
mod incoming;
mod policy;
mod questions;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::downloads::Downloads;
use crate::cli::drive::{Driven, earliest};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::global::Global;
use crate::cli::json::{ArrivalLine, Line, OfferLine, Who};
use crate::cli::output::Output;
use crate::cli::progress::next_tick;
use crate::cli::receive::arrivals::{Arrivals, Arrived};
use crate::cli::receive::incoming::{Incoming, Number, Offer};
use crate::cli::receive::policy::{Policy, Room, Verdict};
use crate::cli::receive::questions::{Questions, Reply};
use crate::cli::run::{Mode, Run, Target};
use crate::cli::transfer::receiving::{ListenArgs, Receiving, answer};
use crate::cli::units::{parse_duration, parse_size};
use crate::cli::viewing::{ViewArgs, Viewing};
use crate::cli::{Outcome, human};
use crate::core::{Command, Decision, Event, OfferEvent, TransferEvent};
use crate::shell::{ShellEvent, host};
use crate::store::OnConflict;
use crate::types::name::printable;
use crate::wire::message::Answer;

/// What people read below a file that was not received.
const SENT_AGAIN: &str = "to continue, have it sent again";

/// How long `--once` waits for a sender that was lost to come back and hear that its file is here.
const UNTOLD_STAY: Duration = Duration::from_secs(5);

const ABOUT: &str = "\
Wait for files that other peers send to this machine. You are asked about each: name, size and sender. Without a \
terminal, only the files that --yes or --from allows are accepted.

An accepted file is verified chunk by chunk and appears in the folder when it is complete; its path is printed on \
stdout. No file is ever overwritten: a second notes.pdf becomes `notes (2).pdf`. To continue an interrupted file, have \
it sent again. While the sender sends it to others too, they get parts of it from here.

--listen also takes files from other programs' senders (docs/transfer.md); these files cannot be verified.

The content of a received file is shown: tables, JSON, text, the kind of an image. A user name proves nothing, because \
every peer can use it; an address is harder to fake.";

const EXAMPLES: &str = "\
Examples:
  chunkcast receive                           ask about each file, into the current folder
  chunkcast receive --dir ~/Inbox --yes       accept everything, up to --quota
  chunkcast receive --from lab-7 --from 192.168.1.27
  chunkcast receive --yes --once              accept one file and end
  chunkcast receive --listen 8080 --listen 5000    also from other programs' senders

Exit: 0 ended by Ctrl-C or SIGTERM, or with --once when the file is there; 4 no network or a port is
taken; 7 the folder cannot be used; with --once also 5 gave up (part kept), 6 integrity.";

/// Receive files that other peers send
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct ReceiveArgs {
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Accept everything without asking [default: ask]
    #[arg(long)]
    yes: bool,
    /// Accept everything from this peer: a name, NAME#ID or an address (repeatable) [default: ask]
    #[arg(long, value_name = "PEER")]
    from: Vec<String>,
    /// End after one file [default: receive until Ctrl-C]
    #[arg(long)]
    once: bool,
    /// Accept at most this much in all
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = parse_size)]
    quota: u64,
    /// Give up a file when its sender has been away for this long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    stall: Duration,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    view: ViewArgs,
}

/// What one `receive` has to do with.
#[derive(Debug)]
struct Receiver<'a> {
    args: &'a ReceiveArgs,
    policy: Policy,
    questions: Questions,
    downloads: Downloads,
    arrivals: Arrivals,
    /// Files of other programs' senders.
    receiving: Receiving,
    viewing: Viewing,
    /// Until then `--once` waits for the sender of its file to come back and hear that it is here.
    stays: Option<Instant>,
}

pub(crate) fn run(args: &ReceiveArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    let target = Target { dir: args.dir.clone(), name: None, on_conflict: OnConflict::Rename };
    let mode = Mode { transfers: args.listen.ports(args.quota), ..Mode::native(None) };
    let mut run = Run::start("receive", global, target.clone(), mode, out)?;
    let is_new = !args.dir.exists();
    if let Err(fault) = run.reactor.store.open_target() {
        let exit = run.report_fault(&fault);
        run.leave(|_, _| {});
        return Err(exit);
    }
    if is_new {
        run.out.note(&format!("made the folder {}", human::quoted_path(&args.dir)));
    }
    let mut downloads = Downloads::new(Vec::new(), target, Duration::ZERO, args.stall, global.port);
    downloads.advise(SENT_AGAIN);
    let policy = Policy::new(args.yes, args.from.clone(), args.quota, args.once);
    let mut receiver = Receiver {
        args,
        policy,
        questions: Questions::new(run.out.may_ask()),
        downloads,
        arrivals: Arrivals::default(),
        receiving: Receiving::new(&args.dir),
        viewing: Viewing::new(&args.view),
        stays: None,
    };
    run.reactor.command(Command::Receive);
    let name = global.name.clone().unwrap_or_else(host::name);
    let dir = human::quoted_path(&args.dir);
    run.out.note(&format!(
        "receiving into {dir} as {}; Ctrl-C ends\n  on the other machine: chunkcast send FILE --to {}",
        human::label(&name),
        crate::cli::wanted::shell_quoted(&printable(&name))
    ));
    let exit = run.drive(&mut receiver).unwrap_or_else(|exit| exit);
    run.out.clear();
    let kept = receiver.downloads.kept();
    run.leave(|run, event| receiver.take_last(run, &event));
    let cut_short = receiver.cut_short(&mut run, kept);
    let Receiver { downloads, receiving, .. } = &receiver;
    Ok(Outcome {
        exit,
        done: downloads.done() + receiving.done(),
        failed: downloads.failed() + receiving.failures().len() + cut_short,
        bytes: downloads.bytes().saturating_add(receiving.bytes()),
    })
}

impl Driven for Receiver<'_> {
    type End = Exit;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<Exit, Option<Instant>> {
        if self.args.once && self.has_ended() {
            return ControlFlow::Break(self.exit());
        }
        let now = Instant::now();
        if let Some((incoming, reply)) = self.questions.step(run, now) {
            self.replied(run, &incoming, reply);
        }
        let is_over = self.downloads.are_over();
        if !self.questions.are_asked() && !is_over {
            self.downloads.tick(run, now);
        }
        let tick = if is_over { None } else { next_tick(run.out, now) };
        ControlFlow::Continue(earliest([tick, self.questions.next_look(now), self.stays]))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Exit> {
        if let ShellEvent::Signal(_) = event {
            return ControlFlow::Break(Exit::Ok);
        }
        self.note(run, &event);
        ControlFlow::Continue(())
    }
}

impl Receiver<'_> {
    /// What was accepted and is not here when this ends is told like other failures; how many files that are.
    fn cut_short(&mut self, run: &mut Run<'_>, kept: Option<String>) -> usize {
        let (done, open) = (self.downloads.done(), self.downloads.open());
        if open > 0 {
            let failure = Failure {
                title: "not every accepted file is complete".to_owned(),
                next: vec![SENT_AGAIN.to_owned()],
                ..Failure::cut_short(Exit::Interrupted, done, open, kept)
            };
            failure.report_of(run.out, &self.downloads.open_subject());
        }
        self.downloads.abandon(run, "interrupted");
        open
    }

    /// Whether the one file is here or failed, and its sender was told, or does not come back to be told.
    fn has_ended(&self) -> bool {
        let transferred = self.receiving.done() + self.receiving.failures().len();
        let ended = self.downloads.done() + self.downloads.failed() + transferred > 0;
        ended && self.downloads.are_over() && self.stays.is_none_or(|until| Instant::now() >= until)
    }

    /// The exit code of all that came or failed.
    fn exit(&self) -> Exit {
        let failures = [&self.downloads.failures(), self.receiving.failures()].concat();
        Exit::of_all(self.downloads.done() + self.receiving.done(), &failures)
    }

    fn note(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        match event {
            ShellEvent::Core(Event::Offer(OfferEvent::Came { offer, from, content, name, size })) => {
                let (number, from, name, came) = (*offer, from.clone(), name.clone(), Instant::now());
                let offer = Offer { number, from, content: *content, name, size: *size, came };
                report_offer(run, &offer, OfferLine::Came, None, None);
                self.came(run, Incoming::Offer(offer));
            }
            ShellEvent::Core(Event::Offer(OfferEvent::Gone { offer })) => {
                if let Some(Incoming::Offer(offer)) = self.questions.gone(run, Number::Offer(*offer)) {
                    report_offer(run, &offer, OfferLine::Gone, None, None);
                }
            }
            ShellEvent::Core(Event::Offer(OfferEvent::Untold { .. })) if self.args.once => {
                self.stays = Some(Instant::now() + UNTOLD_STAY);
            }
            ShellEvent::Core(Event::Transfer(event)) => self.take_transfer(run, event),
            event => {
                self.downloads.take(run, event);
                match event {
                    ShellEvent::Core(Event::Failed { content, .. }) => {
                        self.policy.failed(content);
                        self.arrivals.failed(content);
                        self.share_quota(run);
                    }
                    ShellEvent::Core(Event::Finished { content, path, took, .. }) => {
                        self.policy.finished(content);
                        self.stays = None;
                        let file = Arrived { path, fetched: self.downloads.fetched(content), took: *took };
                        self.arrivals.finished(run, &mut self.viewing, content, &file);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Something happens to another program's transfer.
    fn take_transfer(&mut self, run: &mut Run<'_>, event: &TransferEvent) {
        match event {
            // Nothing is drawn over a question.
            TransferEvent::Progress { .. } if self.questions.are_asked() => return,
            TransferEvent::Failed { transfer, from, name, reason } => {
                self.questions.gone(run, Number::Transfer(*transfer));
                if !self.policy.transfer_failed(*transfer) {
                    return self.receiving.refused(run, *from, name.as_deref(), reason);
                }
            }
            _ => {}
        }
        if let Some(transfer) = self.receiving.take(run, &mut self.viewing, event) {
            self.came(run, Incoming::Transfer(transfer));
        }
    }

    /// What still happens while this peer leaves: nothing is accepted any more.
    fn take_last(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        match event {
            ShellEvent::Core(Event::Transfer(TransferEvent::Came { .. })) => {}
            ShellEvent::Core(Event::Transfer(event)) => self.take_transfer(run, event),
            event => self.downloads.take(run, event),
        }
    }

    /// An offer or a transfer came.
    fn came(&mut self, run: &mut Run<'_>, incoming: Incoming) {
        match self.policy.verdict(&incoming, room(run), self.questions.may_ask()) {
            Verdict::Accept => self.accept(run, &incoming),
            Verdict::Ask => self.questions.add(incoming),
            Verdict::Decline(answer, why) => decline(run, &incoming, answer, Some(why)),
        }
    }

    /// Somebody answered.
    fn replied(&mut self, run: &mut Run<'_>, incoming: &Incoming, reply: Reply) {
        match reply {
            Reply::Decline => decline(run, incoming, Answer::Declined, None),
            Reply::Always => {
                self.policy.always(incoming);
                self.accept_if_it_fits(run, incoming);
                for other in self.questions.take_from(incoming) {
                    self.accept_if_it_fits(run, &other);
                }
            }
            Reply::Accept => self.accept_if_it_fits(run, incoming),
        }
    }

    /// Accepts what somebody wants, unless there is no room for it.
    fn accept_if_it_fits(&mut self, run: &mut Run<'_>, incoming: &Incoming) {
        // What was accepted meanwhile may have taken the room.
        match self.policy.refusal(incoming, room(run)) {
            Some((answer, why)) => decline(run, incoming, answer, Some(why)),
            None => self.accept(run, incoming),
        }
    }

    fn accept(&mut self, run: &mut Run<'_>, incoming: &Incoming) {
        run.out.note(&format!("accepted: {} from {}", incoming.what(), incoming.sender()));
        self.policy.accepted(incoming);
        match incoming {
            Incoming::Offer(offer) => {
                report_offer(run, offer, OfferLine::Accepted, None, None);
                self.downloads.forget_ended();
                self.arrivals.accepted(offer);
                self.share_quota(run);
                let (decision, stall) = (Decision::Accept, self.args.stall);
                run.reactor.command(Command::Answer { offer: offer.number, decision, ticket: 0, stall });
            }
            Incoming::Transfer(transfer) => answer(run, transfer, true),
        }
    }

    /// What offers have taken of the quota is no longer the transfers'.
    fn share_quota(&self, run: &mut Run<'_>) {
        run.reactor.command(Command::LimitTransfers { quota_bytes: self.policy.quota_for_transfers() });
    }
}

/// How much room there is now.
fn room(run: &mut Run<'_>) -> Room {
    Room { free_bytes: run.reactor.store.free_bytes(), pushed_bytes: run.reactor.core().foreign_bytes() }
}

/// Declines; `words` say why, unless the user did it.
fn decline(run: &mut Run<'_>, incoming: &Incoming, why: Answer, words: Option<&str>) {
    let because = words.map(|words| format!(": {words}")).unwrap_or_default();
    run.out.note(&format!("declined: {} from {}{because}", incoming.what(), incoming.sender()));
    match incoming {
        Incoming::Offer(offer) => {
            report_offer(run, offer, OfferLine::Declined, words.or(Some("by the user")), None);
            let decision = Decision::Decline(why);
            run.reactor.command(Command::Answer {
                offer: offer.number,
                decision,
                ticket: 0,
                stall: Duration::ZERO,
            });
        }
        Incoming::Transfer(transfer) => answer(run, transfer, false),
    }
}

/// A JSON line about an offer.
fn report_offer(
    run: &mut Run<'_>,
    offer: &Offer,
    event: OfferLine,
    reason: Option<&str>,
    arrival: Option<ArrivalLine>,
) {
    run.out.json(&Line::Offer {
        event,
        id: offer.content,
        name: &offer.name,
        size: offer.size,
        who: Some(Who::of(&offer.from)),
        to: None,
        sent: None,
        reason,
        arrival,
    });
}
