//! `send --dialect`: files for receivers of other programs.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cli::drive::{Driven, earliest};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::failure_notice::Subject;
use crate::cli::global::Global;
use crate::cli::json::{Line, TransferLine, seconds};
use crate::cli::output::Output;
use crate::cli::progress::Live;
use crate::cli::run::{Mode, Run, Target};
use crate::cli::transfer::{exit_of, log_transfer};
use crate::cli::{Outcome, human};
use crate::core::{Command, Direction, Event, TransferEvent, TransferFailure};
use crate::shell::{ShellEvent, host};
use crate::store::ShareEvent;
use crate::types::ContentId;
use crate::types::name::printable;
use crate::wire::transfer::{Form, Outgoing};

/// One file for one receiver.
#[derive(Debug, Clone)]
struct Errand {
    content: ContentId,
    name: String,
    to: SocketAddr,
}

/// What is sent to whom.
#[derive(Debug)]
struct Sending {
    form: Form,
    sender: String,
    to: Vec<SocketAddr>,
    /// Errands that wait: each receiver gets one file at a time, for many of them take no more.
    waiting: VecDeque<Errand>,
    under_way: BTreeMap<u32, Errand>,
    tickets: u32,
    /// Everything that was named is hashed.
    is_scanned: bool,
    reading: Live,
    /// When it ends, whatever is left.
    deadline: Option<Instant>,
    done: usize,
    failures: Vec<Exit>,
    bytes: u64,
}

/// Transfers `paths` to each of `to` in a form; the whole command.
pub(crate) fn run(
    form: Form,
    paths: &[PathBuf],
    to: &[String],
    until: Option<Instant>,
    global: &Global,
    out: &mut Output,
) -> Result<Outcome, Exit> {
    let sender = sender(global);
    for path in paths {
        let next = "another --dialect, or none if chunkcast runs there";
        usable(form, path, &sender).map_err(|why| out.refuse(Exit::Usage, &why, Some(next)))?;
    }
    let mut receivers = Vec::new();
    for text in to {
        receivers.push(resolved(form, text).map_err(|why| {
            let next =
                format!("name a host or an address: --to 192.168.1.27, or 192.168.1.27:{}", form.port());
            out.refuse(Exit::Nobody, &format!("--to {why}"), Some(&next))
        })?);
    }
    Ok(transfer(form, paths, receivers, until, global, &mut start(global, out)?))
}

/// Starts a peer that can send to other programs.
pub(crate) fn start<'a>(global: &Global, out: &'a mut Output) -> Result<Run<'a>, Exit> {
    let mode = Mode { native: false, classic: None, transfers: None };
    Run::start("send", global, Target::default(), mode, out)
}

/// Transfers everything to everybody, and leaves.
pub(crate) fn transfer(
    form: Form,
    paths: &[PathBuf],
    to: Vec<SocketAddr>,
    until: Option<Instant>,
    global: &Global,
    run: &mut Run<'_>,
) -> Outcome {
    let mut sending = Sending {
        form,
        sender: sender(global),
        to,
        waiting: VecDeque::new(),
        under_way: BTreeMap::new(),
        tickets: 0,
        is_scanned: false,
        reading: Live::default(),
        deadline: until,
        done: 0,
        failures: Vec::new(),
        bytes: 0,
    };
    let mut shared = 0;
    for path in paths {
        match run.reactor.share(path) {
            Ok(()) => shared += 1,
            Err(fault) => {
                sending.failures.push(run.report_fault(&fault));
            }
        }
    }
    sending.is_scanned = shared == 0;
    let exit = run.drive(&mut sending).unwrap_or_else(|exit| exit);
    run.out.clear();
    run.leave(|run, event| sending.note(run, &event));
    let Sending { done, failures, bytes, .. } = sending;
    Outcome { exit, done, failed: failures.len(), bytes }
}

fn sender(global: &Global) -> String {
    global.name.clone().unwrap_or_else(host::name)
}

/// Whether the form can say what is to be said of a file.
pub(crate) fn usable(form: Form, path: &Path, sender: &str) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let shown = human::quoted(&name);
    let outgoing = Outgoing { form, sender: sender.to_owned(), name, size: 0 };
    match outgoing.steps() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{shown} cannot be sent with --dialect {form}: {error}")),
    }
}

/// Whose receiver of this form is meant.
pub(crate) fn resolved(form: Form, text: &str) -> Result<SocketAddr, String> {
    host::resolve(text, form.port())
        .map_err(|error| format!("{} cannot be resolved: {error}", printable(text)))
}

impl Driven for Sending {
    type End = Exit;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<Exit, Option<Instant>> {
        if self.is_scanned && self.waiting.is_empty() && self.under_way.is_empty() {
            return ControlFlow::Break(Exit::of_all(self.done, &self.failures));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return ControlFlow::Break(Exit::TimedOut);
        }
        ControlFlow::Continue(earliest([self.report_reading(run), self.deadline]))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Exit> {
        if let ShellEvent::Signal(signal) = event {
            return ControlFlow::Break(Exit::of_signal(signal));
        }
        self.note(run, &event);
        ControlFlow::Continue(())
    }
}

impl Sending {
    /// Reports how much of a file is read that is not sent yet; when to do so again.
    fn report_reading(&mut self, run: &mut Run<'_>) -> Option<Instant> {
        if self.is_scanned || !run.out.is_live() {
            return None;
        }
        let now = Instant::now();
        if self.reading.is_due(now)
            && let Some(line) = run.reading()
        {
            run.out.show(&line);
        }
        Some(now + Live::INTERVAL)
    }

    fn note(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        match event {
            ShellEvent::Core(Event::Offered { content, name, .. }) => {
                let name = name.rsplit('/').next().unwrap_or(name).to_owned();
                let errand = |to: &SocketAddr| Errand { content: *content, name: name.clone(), to: *to };
                self.waiting.extend(self.to.iter().map(errand));
                self.begin_next(run);
            }
            ShellEvent::Share(ShareEvent::Skipped { .. }) => self.failures.push(Exit::Storage),
            ShellEvent::Share(ShareEvent::ScanDone { .. }) => self.is_scanned = true,
            ShellEvent::Core(Event::Transfer(event)) => self.take_transfer(run, event),
            _ => {}
        }
    }

    /// Begins what waits for receivers to which nothing is under way.
    fn begin_next(&mut self, run: &mut Run<'_>) {
        for errand in std::mem::take(&mut self.waiting) {
            if self.under_way.values().any(|other| other.to == errand.to) {
                self.waiting.push_back(errand);
                continue;
            }
            let ticket = self.tickets;
            self.tickets = ticket.wrapping_add(1);
            let Errand { content, name, to } = errand.clone();
            self.under_way.insert(ticket, errand);
            let (form, sender) = (self.form, self.sender.clone());
            run.reactor.command(Command::SendTransfer { ticket, to, form, content, name, sender });
        }
    }

    fn take_transfer(&mut self, run: &mut Run<'_>, event: &TransferEvent) {
        match event {
            TransferEvent::SendBegun { ticket } => {
                if let Some(errand) = self.under_way.get(ticket) {
                    run.out.show(&format!("sending {} to {}", human::quoted(&errand.name), errand.to));
                }
            }
            TransferEvent::SendProgress { ticket, bytes, of } => {
                if let Some(errand) = self.under_way.get(ticket) {
                    let (name, percent) = (human::quoted(&errand.name), human::percent(*bytes, *of));
                    run.out.show(&format!("sending {name} to {}: {percent} %", errand.to));
                }
            }
            TransferEvent::Sent { ticket, bytes, took, acknowledged, .. } => {
                let Some(errand) = self.under_way.remove(ticket) else { return };
                self.done += 1;
                self.bytes = self.bytes.saturating_add(*bytes);
                let form = self.form;
                let Errand { name, to, .. } = &errand;
                let mut line = self.line("sent", &errand);
                line.bytes = Some(*bytes);
                line.acknowledged = Some(*acknowledged);
                line.latency = Some(seconds(*took));
                run.out.json(&Line::Transfer(line));
                log_transfer(run, Direction::Up, name, *bytes, (*to, form), *took);
                let said =
                    if *acknowledged { "the receiver has it" } else { "this dialect has no acknowledgement" };
                let (name, size) = (human::quoted(name), human::size(*bytes));
                run.out.result(&format!("sent {name} ({size}) to {to} in {}: {said}", human::span(*took)));
                self.begin_next(run);
            }
            TransferEvent::SendFailed { ticket, reason, .. } => {
                let Some(errand) = self.under_way.remove(ticket) else { return };
                self.failed(run, &errand, reason);
                if matches!(reason, TransferFailure::NoConnection(_)) {
                    self.give_up_on(run, errand.to, reason);
                }
                self.begin_next(run);
            }
            TransferEvent::Came { .. }
            | TransferEvent::Accepted { .. }
            | TransferEvent::Progress { .. }
            | TransferEvent::Received { .. }
            | TransferEvent::Failed { .. } => {}
        }
    }

    /// A receiver cannot be reached: what else waits for it is not tried, one file after the other.
    fn give_up_on(&mut self, run: &mut Run<'_>, to: SocketAddr, reason: &TransferFailure) {
        for errand in std::mem::take(&mut self.waiting) {
            if errand.to == to {
                self.failed(run, &errand, reason);
            } else {
                self.waiting.push_back(errand);
            }
        }
    }

    fn failed(&mut self, run: &mut Run<'_>, errand: &Errand, reason: &TransferFailure) {
        let (exit, why) = (exit_of(reason), printable(&reason.to_string()));
        self.failures.push(exit);
        let mut line = self.line("failed", errand);
        line.reason = Some(&why);
        run.out.json(&Line::Transfer(line));
        let next = match reason {
            TransferFailure::NoConnection(_) => {
                format!("start a receiver of this dialect there, on port {}", errand.to.port())
            }
            _ => "check the messages of the receiver, then send it again".to_owned(),
        };
        let failure = Failure {
            exit,
            title: format!("{} was not sent to {}", human::quoted(&errand.name), errand.to),
            happened: why,
            kept: None,
            next: vec![next],
        };
        failure
            .report_of(run.out, &Subject { id: Some(errand.content), name: Some(&errand.name), path: None });
    }

    /// A JSON line about an errand.
    fn line<'a>(&self, event: &'static str, errand: &'a Errand) -> TransferLine<'a> {
        TransferLine {
            event,
            dir: Direction::Up,
            peer: errand.to.to_string(),
            form: Some(self.form.as_str()),
            name: Some(&errand.name),
            ..TransferLine::default()
        }
    }
}
