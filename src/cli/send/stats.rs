//! The offers of one `send`: their recipients, progress and results. This module owns the counts and the printed text.

mod refused;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::cli::command_line::again;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::json::{Line, OfferLine, Who, seconds};
use crate::cli::log::writer::Ending;
use crate::cli::progress::{Live, Pace, Plain, ProgressLine};
use crate::cli::run::Run;
use crate::cli::send::offer_event;
use crate::cli::send::result::{exit_of, failure_of, is_of_recipient};
use crate::core::{Command, Direction, Event, Fault, OfferEnd, OfferEvent, PeerRef, Recipient};
use crate::shell::ShellEvent;
use crate::store::ShareEvent;
use crate::types::ContentId;
use crate::wire::message::Answer;

/// Offers that one recipient has open at once; the others wait here.
const OPEN_MAX: usize = 16;

/// Everything that one `send` sends.
#[derive(Debug, Default)]
pub(super) struct Stats {
    recipients: Vec<To>,
    wait: Duration,
    port: u16,
    contents: BTreeSet<ContentId>,
    /// At the places of their tickets.
    items: Vec<Item>,
    /// Which of them chunks belong to.
    by_peer: BTreeMap<(ContentId, SocketAddr), usize>,
    scanned: bool,
    open: usize,
    done: usize,
    bytes: u64,
    sent: u64,
    failures: Vec<Exit>,
    pace: Pace,
    live: Live,
    plain: Plain,
}

/// One recipient.
#[derive(Debug)]
struct To {
    /// As it was typed.
    text: String,
    recipient: Recipient,
    open: usize,
    waiting: VecDeque<usize>,
    /// What it did not take because it has enough, at the places of their tickets.
    refused: Vec<usize>,
    /// How it was found that nothing can be sent to it.
    ended: Option<OfferEnd>,
}

/// One file for one recipient.
#[derive(Debug)]
struct Item {
    content: ContentId,
    name: String,
    /// Its name with the folders in it.
    source: String,
    size: u64,
    to: usize,
    peer: Option<PeerRef>,
    began: Instant,
    sent: u64,
    accepted: bool,
    ended: bool,
    line: ProgressLine,
}

impl Stats {
    /// Nothing yet. `port` is the discovery port, for messages.
    pub(super) fn new(recipients: Vec<(String, Recipient)>, wait: Duration, port: u16) -> Stats {
        let to = |(text, recipient)| {
            let (waiting, refused) = (VecDeque::new(), Vec::new());
            To { text, recipient, open: 0, waiting, refused, ended: None }
        };
        Stats {
            recipients: recipients.into_iter().map(to).collect(),
            wait,
            port,
            plain: Plain::from_now(),
            ..Stats::default()
        }
    }

    /// How many files are with their recipients; one for each of these.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// How many are not.
    pub(super) fn failed(&self) -> usize {
        self.failures.len() + self.open
    }

    /// Bytes of those that are.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether every offer has ended.
    pub(super) fn is_over(&self) -> bool {
        self.scanned && self.open == 0
    }

    /// The exit code, once all is over.
    pub(super) fn exit(&self) -> Exit {
        Exit::of_all(self.done, &self.failures)
    }

    /// A path that cannot be sent.
    pub(super) fn unreadable(&mut self, run: &mut Run<'_>, fault: &Fault) {
        self.failures.push(run.report_fault(fault));
    }

    /// None of the paths can be sent.
    pub(super) fn nothing_to_read(&mut self) {
        self.scanned = true;
    }

    /// Takes in an event.
    pub(super) fn take(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        if let Some(event) = offer_event(event) {
            return self.take_offer(run, event);
        }
        match event {
            ShellEvent::Core(Event::Offered { content, name, size }) => self.add(run, content, name, *size),
            ShellEvent::Core(Event::ChunkSent { content, bytes, to, .. }) => {
                self.sent = self.sent.saturating_add(u64::from(*bytes));
                if let Some(item) =
                    self.by_peer.get(&(*content, to.addr)).and_then(|at| self.items.get_mut(*at))
                {
                    item.sent = item.sent.saturating_add(u64::from(*bytes));
                }
            }
            ShellEvent::Share(ShareEvent::Skipped { .. }) => self.failures.push(Exit::Storage),
            ShellEvent::Share(ShareEvent::ScanDone { .. }) => self.scan_done(run),
            _ => {}
        }
    }

    fn scan_done(&mut self, run: &mut Run<'_>) {
        self.scanned = true;
        if self.contents.is_empty() && self.failures.is_empty() {
            let next = "name a readable file, or a folder with readable files in it";
            run.out.error(Exit::Storage, "there is nothing to send", Some(next));
            self.failures.push(Exit::Storage);
        }
    }

    /// A file is hashed: everybody is to have it.
    fn add(&mut self, run: &mut Run<'_>, content: &ContentId, name: &str, size: u64) {
        if !self.contents.insert(*content) {
            return run.out.note(&format!(
                "{}: another of these files has the same content; it is sent once",
                human::label(name)
            ));
        }
        // Names of folders are not sent: what is received lies in one folder.
        let source = name;
        let name = name.rsplit('/').next().unwrap_or(name);
        for to in 0..self.recipients.len() {
            let ticket = self.items.len();
            self.items.push(Item {
                content: *content,
                name: name.to_owned(),
                source: source.to_owned(),
                size,
                to,
                peer: None,
                began: Instant::now(),
                sent: 0,
                accepted: false,
                ended: false,
                line: ProgressLine::default(),
            });
            self.open += 1;
            self.recipients[to].waiting.push_back(ticket);
            self.offer_more(run, to);
        }
    }

    /// Offers a recipient as much as it may have open; what is left of one that cannot be reached has ended.
    fn offer_more(&mut self, run: &mut Run<'_>, to: usize) {
        let Some(place) = self.recipients.get_mut(to) else { return };
        if place.ended.is_some() {
            let left = std::mem::take(&mut place.waiting);
            for at in left {
                self.give_up(run, at);
            }
            return;
        }
        while place.open < OPEN_MAX
            && let Some(at) = place.waiting.pop_front()
        {
            let Some(item) = self.items.get_mut(at) else { continue };
            place.open += 1;
            item.began = Instant::now();
            run.reactor.command(Command::Offer {
                ticket: u32::try_from(at).unwrap_or(u32::MAX),
                content: item.content,
                name: item.name.clone(),
                to: place.recipient.clone(),
                wait: self.wait,
            });
        }
    }

    fn take_offer(&mut self, run: &mut Run<'_>, event: &OfferEvent) {
        match event {
            OfferEvent::Offered { ticket, to } => {
                let at = *ticket as usize;
                let Some(item) = self.items.get_mut(at) else { return };
                let again = item.peer.is_some();
                item.peer = Some(to.clone());
                self.by_peer.insert((item.content, to.addr), at);
                if !again {
                    let (name, size) = (human::quoted(&item.name), human::size(item.size));
                    run.out.note(&format!("offered to {}: {name} ({size})", human::peer(to)));
                }
                self.report(run, at, OfferLine::Offered, None);
            }
            OfferEvent::Accepted { ticket, to } => {
                let at = *ticket as usize;
                if !self.items.iter().any(|item| item.accepted && !item.ended) {
                    // While everybody was asked, nothing went, and that is no rate.
                    self.pace.begin(Instant::now(), self.sent);
                }
                let Some(item) = self.items.get_mut(at) else { return };
                if !std::mem::replace(&mut item.accepted, true) {
                    run.out.note(&format!("{} accepts {}", human::peer(to), human::quoted(&item.name)));
                }
                self.report(run, at, OfferLine::Accepted, None);
            }
            OfferEvent::Lost { ticket, to } => {
                let at = *ticket as usize;
                let Some(item) = self.items.get(at) else { return };
                let name = human::label(&item.name);
                run.out.note(&format!("{name}: {} is gone; waiting for it to come back", human::peer(to)));
                self.report(run, at, OfferLine::Lost, None);
            }
            OfferEvent::Ended { ticket, end, .. } => self.ended(run, *ticket as usize, end),
            OfferEvent::Came { .. } | OfferEvent::Gone { .. } | OfferEvent::Untold { .. } => {}
        }
    }

    fn ended(&mut self, run: &mut Run<'_>, at: usize, end: &OfferEnd) {
        let Some(item) = self.items.get_mut(at).filter(|item| !item.ended) else { return };
        item.ended = true;
        let to = item.to;
        self.open -= 1;
        if *end == OfferEnd::Verified {
            self.verified(run, at);
        } else {
            self.not_sent(run, at, end);
        }
        if let Some(place) = self.recipients.get_mut(to) {
            place.open = place.open.saturating_sub(1);
            if is_of_recipient(end) {
                place.ended.get_or_insert_with(|| end.clone());
            }
        }
        self.offer_more(run, to);
    }

    fn verified(&mut self, run: &mut Run<'_>, at: usize) {
        let Some(item) = self.items.get(at) else { return };
        self.done += 1;
        self.bytes = self.bytes.saturating_add(item.size);
        let Some(to) = &item.peer else { return };
        let took = item.began.elapsed();
        run.log(&Ending::Done {
            dir: Direction::Up,
            id: Some(item.content),
            name: &item.name,
            bytes: item.size,
            who: Who::of(to),
            form: None,
            dur: seconds(took),
            verified: false,
            skipped: false,
        });
        let (name, size, peer) = (human::label(&item.name), human::size(item.size), human::peer(to));
        run.out.result(&format!("{name}: {peer} has it, {size} in {}, verified", human::span(took)));
        self.report(run, at, OfferLine::Verified, None);
    }

    fn not_sent(&mut self, run: &mut Run<'_>, at: usize, end: &OfferEnd) {
        let Some(item) = self.items.get(at) else { return };
        let Some(place) = self.recipients.get(item.to) else { return };
        let failure = failure_of(&item.name, &place.text, item.peer.as_ref(), end, self.wait, self.port);
        self.failures.push(failure.exit);
        let took = item.began.elapsed();
        run.log_failure(&item.name, Some(item.content), took, &failure.happened);
        self.report(run, at, OfferLine::Failed, Some(&failure.happened));
        let of = Subject { id: Some(item.content), name: Some(&item.name), path: None };
        if *end != OfferEnd::Declined(Answer::Busy) {
            return failure.report_of(run.out, &of);
        }
        failure.list(run.out, &of);
        let to = item.to;
        self.recipients[to].refused.push(at);
    }

    /// Nothing can be sent to its recipient, as was told of another file.
    fn give_up(&mut self, run: &mut Run<'_>, at: usize) {
        let Some(item) = self.items.get_mut(at).filter(|item| !item.ended) else { return };
        item.ended = true;
        self.open -= 1;
        let Some(end) = self.recipients.get(item.to).and_then(|place| place.ended.as_ref()) else { return };
        self.failures.push(exit_of(end));
        let (name, why) = (&item.name, "the recipient takes nothing");
        run.log_failure(name, Some(item.content), Duration::ZERO, why);
        let text = format!("{}: not sent either: {why}", human::label(&item.name));
        run.out.note(&text);
        self.report(run, at, OfferLine::Failed, Some(why));
    }

    /// A signal or the clock ends the command before its offers.
    pub(super) fn cut_short(&mut self, run: &mut Run<'_>, exit: Exit) {
        let why = exit.cause();
        let failure = Failure {
            exit,
            title: "not everything was sent".to_owned(),
            happened: match self.items.len() {
                0 => format!("{why} before anything was offered"),
                all => format!("{why}; {} of {} arrived", self.done, human::counted(all, "file", "files")),
            },
            kept: None,
            next: vec![again()],
        };
        failure.report(run.out, None, None);
        for item in self.items.iter_mut().filter(|item| !item.ended) {
            item.ended = true;
            let took = item.began.elapsed();
            run.log_failure(&item.name, Some(item.content), took, exit.word());
        }
    }

    /// A JSON line about an offer.
    fn report(&self, run: &mut Run<'_>, at: usize, event: OfferLine, reason: Option<&str>) {
        let Some(item) = self.items.get(at) else { return };
        run.out.json(&Line::Offer {
            event,
            id: item.content,
            name: &item.name,
            size: item.size,
            who: item.peer.as_ref().map(Who::of),
            to: self.recipients.get(item.to).map(|place| place.text.as_str()),
            sent: Some(item.sent),
            reason,
            arrival: None,
        });
    }

    /// Tells how far things are, as often as is due.
    pub(super) fn tick(&mut self, run: &mut Run<'_>) {
        let now = Instant::now();
        if self.items.iter().any(|item| item.accepted && !item.ended) {
            self.pace.add(now, self.sent);
        }
        if run.out.is_json() {
            for at in 0..self.items.len() {
                let item = &mut self.items[at];
                if item.accepted && !item.ended && item.line.is_due(now) {
                    self.report(run, at, OfferLine::Sending, None);
                }
            }
        }
        let live = run.out.is_live() && self.live.is_due(now);
        let plain = !run.out.is_live() && !run.out.is_quiet() && self.plain.is_due(now);
        if live {
            let line = self.line(run);
            run.out.show(&line);
        } else if plain && (self.open > 0 || !self.scanned) {
            run.out.note(&self.line(run));
        }
    }

    /// How far everything is, in a line.
    fn line(&self, run: &Run<'_>) -> String {
        let reading = run.reading();
        if self.items.is_empty() {
            return reading.unwrap_or_else(|| "reading the files".to_owned());
        }
        let accepted = self.items.iter().filter(|item| item.accepted && !item.ended).count();
        let rest = match accepted {
            0 => "waiting for an answer".to_owned(),
            _ => format!("{}  {accepted} under way", human::rate(self.pace.bytes_per_s())),
        };
        let of = human::counted(self.items.len(), "offer", "offers");
        let reading = reading.map(|reading| format!("  {reading}")).unwrap_or_default();
        format!("sent {}  {} of {of} done  {rest}{reading}", human::size(self.sent), self.done)
    }
}
