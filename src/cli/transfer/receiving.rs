//! Files that other programs send here: what is printed, shown and logged about them. `receive` decides which are
//! accepted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Local;
use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::json::{Line, TransferLine, seconds};
use crate::cli::run::Run;
use crate::cli::transfer::{exit_of, log_transfer};
use crate::cli::viewing::{Look, Viewing, kind_words, look};
use crate::core::{Command, Direction, TransferConfig, TransferEvent, TransferFailure};
use crate::shell::TransferPorts;
use crate::store::classic::append_line;
use crate::types::name::printable;
use crate::wire::transfer::{Announced, Form, NAMED_LOG, NAMED_PORT};

/// The flags about other programs' senders.
#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// Also take files from other programs on this TCP port; 5000 is for the `named` format (repeatable) [default: none]
    #[arg(long, value_name = "PORT[=named]", value_parser = parse_listen)]
    listen: Vec<(u16, bool)>,
}

/// A transfer that has to be decided about.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) number: u32,
    pub(crate) from: SocketAddr,
    pub(crate) said: Announced,
}

/// Files from other programs' senders.
#[derive(Debug)]
pub(crate) struct Receiving {
    dir: PathBuf,
    done: usize,
    failures: Vec<Exit>,
    bytes: u64,
    /// A log that cannot be written to is complained about once.
    complained: bool,
}

impl ListenArgs {
    /// Where to listen, and for how much; `None`: nowhere.
    pub(crate) fn ports(&self, quota_bytes: u64) -> Option<TransferPorts> {
        let config = TransferConfig { quota_bytes, ..TransferConfig::default() };
        (!self.listen.is_empty()).then(|| TransferPorts { config, tcp: self.listen.clone() })
    }
}

impl Transfer {
    /// What wants to come, safe to print.
    pub(crate) fn what(&self) -> String {
        let Announced { form, name, size, .. } = &self.said;
        let name = name.as_deref().map_or_else(|| "a file without a name".to_owned(), human::quoted);
        let size = size.map_or_else(|| "size not told".to_owned(), human::size);
        format!("{name} ({size}; {form}, unverified)")
    }

    /// Who sends, safe to print.
    pub(crate) fn sender(&self) -> String {
        sender(&self.said, self.from)
    }
}

impl Receiving {
    /// Files go to `dir`.
    pub(crate) fn new(dir: &Path) -> Receiving {
        Receiving { dir: dir.to_owned(), done: 0, failures: Vec::new(), bytes: 0, complained: false }
    }

    /// Takes in what happened. A transfer that has to be decided about is given back.
    pub(crate) fn take(
        &mut self,
        run: &mut Run<'_>,
        viewing: &mut Viewing,
        event: &TransferEvent,
    ) -> Option<Transfer> {
        match event {
            TransferEvent::Came { transfer, from, said } => {
                report(run, "came", *from, Some(said), |_| {});
                return Some(Transfer { number: *transfer, from: *from, said: said.clone() });
            }
            TransferEvent::Accepted { .. } => {}
            TransferEvent::Progress { bytes, of, .. } => {
                let of = of.map(|of| format!(" of {}", human::size(of))).unwrap_or_default();
                run.out.show(&format!("receiving: {}{of}", human::size(*bytes)));
            }
            TransferEvent::Received { from, said, bytes, latency, took, path, .. } => {
                let received =
                    Received { from: *from, said, bytes: *bytes, latency: *latency, took: *took, path };
                self.received(run, viewing, &received);
            }
            TransferEvent::Failed { from, name, reason, .. } => {
                self.failed(run, *from, name.as_deref(), reason)
            }
            TransferEvent::SendBegun { .. }
            | TransferEvent::SendProgress { .. }
            | TransferEvent::Sent { .. }
            | TransferEvent::SendFailed { .. } => {}
        }
        None
    }

    /// How many files came; [`Receiving::failures`] did not.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Bytes of those that came.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The exit codes of those that did not.
    pub(crate) fn failures(&self) -> &[Exit] {
        &self.failures
    }

    fn received(&mut self, run: &mut Run<'_>, viewing: &mut Viewing, file: &Received<'_>) {
        self.done += 1;
        self.bytes = self.bytes.saturating_add(file.bytes);
        let look = look(file.path);
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let rate = human::bytes_per_s(file.bytes, file.took);
        let path = file.path.to_string_lossy();
        report(run, "received", file.from, Some(file.said), |line| {
            line.path = Some(&path);
            line.bytes = Some(file.bytes);
            line.kind = look.as_ref().map(|look| look.kind.word());
            line.latency = Some(seconds(file.latency));
            line.rate = Some(rate);
        });
        let form = file.said.form;
        log_transfer(run, Direction::Down, &name, file.bytes, (file.from, form), file.latency);
        run.out.note(&file.facts(&name, look.as_ref(), rate));
        run.out.result(&printable(&path));
        if file.said.form == Form::Named {
            self.note_named(run, file, &name);
        }
        viewing.view(run, file.path, look.as_ref());
    }

    /// Writes down who sent what, as receivers of the named form do.
    fn note_named(&mut self, run: &mut Run<'_>, file: &Received<'_>, name: &str) {
        let user = printable(file.said.sender.as_deref().unwrap_or_default());
        let stamp = Local::now().format("%d-%m-%Y %H:%M:%S");
        if let Err(fault) =
            append_line(&self.dir, NAMED_LOG, &format!("{user} | {} | {stamp}", printable(name)))
        {
            self.complain(run, &fault.text);
        }
    }

    fn failed(&mut self, run: &mut Run<'_>, from: SocketAddr, name: Option<&str>, reason: &TransferFailure) {
        let why = report_failed(run, from, name, reason);
        let what = name.map_or_else(|| "a file".to_owned(), human::quoted);
        let exit = exit_of(reason);
        self.failures.push(exit);
        run.log_failure(name.unwrap_or("?"), None, Duration::ZERO, &why);
        let failure = Failure {
            exit,
            title: format!("{what} from {} was not received", from.ip()),
            happened: why,
            kept: None,
            next: vec!["have it sent again".to_owned()],
        };
        failure.report_of(run.out, &Subject { id: None, name, path: None });
    }

    /// What was never accepted did not come: strangers that say nothing sensible, or too much, are nobody's failure.
    pub(crate) fn refused(
        &self,
        run: &mut Run<'_>,
        from: SocketAddr,
        name: Option<&str>,
        reason: &TransferFailure,
    ) {
        let why = report_failed(run, from, name, reason);
        // Whoever declined it said so.
        if *reason != TransferFailure::Declined {
            let what = name.map_or_else(|| "a file".to_owned(), human::quoted);
            run.out.note(&format!("{what} from {} was not received: {why}", from.ip()));
        }
    }

    fn complain(&mut self, run: &mut Run<'_>, text: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            run.out.fail(&format!("chunkcast: {}", printable(text)));
        }
    }
}

/// Lets a transfer come, or not.
pub(crate) fn answer(run: &mut Run<'_>, transfer: &Transfer, accept: bool) {
    run.reactor.command(Command::AnswerTransfer { transfer: transfer.number, accept });
}

/// Tells scripts of a transfer without a file, and gives back why.
fn report_failed(
    run: &mut Run<'_>,
    from: SocketAddr,
    name: Option<&str>,
    reason: &TransferFailure,
) -> String {
    let why = printable(&reason.to_string());
    report(run, "failed", from, None, |line| {
        line.name = name;
        line.reason = Some(&why);
    });
    why
}

/// A file that came.
struct Received<'a> {
    from: SocketAddr,
    said: &'a Announced,
    bytes: u64,
    latency: Duration,
    took: Duration,
    path: &'a Path,
}

impl Received<'_> {
    fn facts(&self, name: &str, look: Option<&Look>, rate: u64) -> String {
        let kind = kind_words(look);
        let (size, sender) = (human::size(self.bytes), sender(self.said, self.from));
        format!(
            "received {} from {sender}\n  type {kind}, {size}, latency {:.3} s, {}; {}, unverified",
            human::quoted(name),
            self.latency.as_secs_f64(),
            human::rate(rate),
            self.said.form,
        )
    }
}

fn sender(said: &Announced, from: SocketAddr) -> String {
    match &said.sender {
        Some(sender) => format!("{} ({})", human::label(sender), from.ip()),
        None => from.ip().to_string(),
    }
}

/// A JSON line about a transfer that comes in.
fn report<'a>(
    run: &mut Run<'_>,
    event: &'static str,
    from: SocketAddr,
    said: Option<&'a Announced>,
    more: impl FnOnce(&mut TransferLine<'a>),
) {
    let mut line = TransferLine {
        event,
        dir: Direction::Down,
        peer: from.to_string(),
        form: said.map(|said| said.form.as_str()),
        user: said.and_then(|said| said.sender.as_deref()),
        name: said.and_then(|said| said.name.as_deref()),
        size: said.and_then(|said| said.size),
        ..TransferLine::default()
    };
    more(&mut line);
    run.out.json(&Line::Transfer(line));
}

fn parse_listen(text: &str) -> Result<(u16, bool), String> {
    let (port, is_named) = match text.strip_suffix("=named") {
        Some(port) => (port, true),
        None => (text, false),
    };
    let port: u16 = port.parse().map_err(|_| "write a port, for example 8080, or 5001=named".to_owned())?;
    Ok((port, is_named || port == NAMED_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_tell_the_form_of_digits() {
        assert_eq!(parse_listen("8080"), Ok((8080, false)));
        assert_eq!(parse_listen("5000"), Ok((5000, true)));
        assert_eq!(parse_listen("9000=named"), Ok((9000, true)));
        assert!(parse_listen("70000").is_err() && parse_listen("x").is_err());
    }

    #[test]
    fn questions_cannot_move_the_cursor() {
        let said = Announced {
            form: Form::Json,
            sender: Some("al\u{1b}[2Jice".to_owned()),
            name: Some("a\nb\u{202e}".to_owned()),
            kind: None,
            size: None,
        };
        let transfer = Transfer { number: 1, from: SocketAddr::from(([10, 0, 0, 2], 9)), said };
        let sentence = format!("{} sends {}", transfer.sender(), transfer.what());
        assert!(!sentence.chars().any(char::is_control) && sentence.contains("10.0.0.2"), "{sentence}");
    }
}
