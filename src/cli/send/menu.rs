//! `send` without arguments: a menu that asks for a name, a file and a recipient, again and again.
//! With `--dialect`, recipients are receivers of other programs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::choice::{self, Offer};
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::run::Run;
use crate::cli::send::{SendArgs, parse_peer, send, start};
use crate::cli::transfer::sending::{self, resolved};
use crate::cli::{Outcome, human, ls};
use crate::core::{Command, PeerRef};
use crate::shell::{host, terminal};
use crate::store::folder::{files_in, look};
use crate::types::name::printable;
use crate::wire::message::Wanted;
use crate::wire::transfer::Form;

/// How long is listened before the peers there are to choose from are shown.
const PEERS_WAIT: Duration = Duration::from_secs(1);
/// The most files of a folder that are listed.
const LISTED_MAX: usize = 200;

/// What kind of file is looked for. It only says which files are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Csv,
    Json,
    Any,
}

impl Kind {
    /// What somebody typed; nothing means any.
    fn read(line: &str) -> Option<Kind> {
        Some(match line.trim().to_lowercase().as_str() {
            "i" | "image" => Kind::Image,
            "c" | "csv" => Kind::Csv,
            "j" | "json" => Kind::Json,
            "" | "a" | "any" => Kind::Any,
            _ => return None,
        })
    }

    /// Whether a file of this name is of this kind, as far as its extension tells.
    fn has(self, name: &str) -> bool {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
        match self {
            Kind::Image => {
                ["png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff"].contains(&extension.as_str())
            }
            Kind::Csv => extension == "csv",
            Kind::Json => extension == "json",
            Kind::Any => true,
        }
    }
}

pub(super) fn run(args: &SendArgs, global: &Global, out: &mut Output) -> Outcome {
    let mut all = Outcome { exit: Exit::Ok, done: 0, failed: 0, bytes: 0 };
    let Some(global) = named(global, out) else { return all };
    let form = args.dialect;
    loop {
        let started = if form.is_some() { sending::start(&global, out) } else { start(&global, out) };
        let mut run = match started {
            Ok(run) => run,
            Err(exit) => return Outcome { exit, ..all },
        };
        let goes_on = if all.done + all.failed > 0 { again(&mut run) } else { Ok(()) };
        let sent = match goes_on.and_then(|()| one(args, &global, &mut run)) {
            Ok(sent) => sent,
            Err(exit) => {
                run.leave(|_, _| {});
                // Who leaves a question without an answer has what was sent before.
                return if exit == Exit::Ok { all } else { Outcome { exit, ..all } };
            }
        };
        let failed = if all.exit == Exit::Ok { sent.exit } else { all.exit };
        let mixed = (all.done > 0 && sent.done == 0) || (all.failed > 0 && sent.done > 0);
        all = Outcome {
            exit: if mixed { Exit::Partial } else { failed },
            done: all.done + sent.done,
            failed: all.failed + sent.failed,
            bytes: all.bytes.saturating_add(sent.bytes),
        };
        if matches!(sent.exit, Exit::Interrupted | Exit::Terminated) {
            return Outcome { exit: sent.exit, ..all };
        }
    }
}

/// Asks for the sender's name; `None` at the end of input.
fn named(global: &Global, out: &mut Output) -> Option<Global> {
    let mut global = global.clone();
    let default = global.name.clone().unwrap_or_else(host::name);
    out.prompt(&format!("your name, as others see it [{}]: ", human::label(&default)));
    // No peer runs yet that would be kept waiting.
    let name = terminal::read_line().recv().unwrap_or_default();
    if name.is_empty() {
        out.fail("");
        return None;
    }
    if !name.trim().is_empty() {
        global.name = Some(name.trim().to_owned());
    }
    Some(global)
}

/// Whether something else is to be sent. `Exit::Ok` when not.
fn again(run: &mut Run<'_>) -> Result<(), Exit> {
    loop {
        match asked(run, "[a]gain or [e]xit? ")?.to_lowercase().as_str() {
            "a" | "again" | "y" | "yes" => return Ok(()),
            "" | "e" | "exit" | "n" | "no" | "q" | "quit" => return Err(Exit::Ok),
            _ => {}
        }
    }
}

/// Asks what is to be sent to whom, and sends it.
fn one(args: &SendArgs, global: &Global, run: &mut Run<'_>) -> Result<Outcome, Exit> {
    let path = choose_file(args.dialect, global, run)?;
    match args.dialect {
        None => {
            let to = choose_peers(run)?;
            Ok(send(&[path], &to, args, global, run))
        }
        Some(form) => {
            let to = choose_hosts(form, run)?;
            Ok(sending::transfer(form, &[path], to, None, global, run))
        }
    }
}

/// Asks for a file. `Exit::Ok` when somebody chose none.
fn choose_file(form: Option<Form>, global: &Global, run: &mut Run<'_>) -> Result<PathBuf, Exit> {
    let kind = loop {
        let line = asked(run, "what to send: list [i]mages, [c]sv, [j]son or [a]ll files? ")?;
        if let Some(kind) = Kind::read(&line) {
            break kind;
        }
    };
    let sender = global.name.clone().unwrap_or_else(host::name);
    let usable = |path: &Path| form.map_or(Ok(()), |form| sending::usable(form, path, &sender));
    let mut names = files_in(Path::new("."), LISTED_MAX).unwrap_or_default();
    names.retain(|name| kind.has(name) && usable(Path::new(name)).is_ok());
    for (number, name) in (1..).zip(&names) {
        run.out.fail(&format!("{number:>3}  {}", human::label(name)));
    }
    loop {
        let line = asked(run, "which? (a number or a path; empty to leave) ")?;
        if line.is_empty() {
            return Err(Exit::Ok);
        }
        let Some(path) = picked(&line, &names) else {
            run.out.fail("there is no such number");
            continue;
        };
        match usable(&path).and_then(|()| look(&path).map_err(|fault| printable(&fault.text))) {
            Ok(()) => return Ok(path),
            Err(why) => run.out.fail(&why),
        }
    }
}

/// Asks which of the peers that answer are to have it, or others. `Exit::Ok` when somebody chose none.
fn choose_peers(run: &mut Run<'_>) -> Result<Vec<String>, Exit> {
    run.out.note("looking for peers ...");
    run.reactor.command(Command::Look { wanted: Wanted::All, wait: PEERS_WAIT });
    ls::until_looked(run)?;
    let offer = |peer: &PeerRef| Offer { label: human::peer(peer), chosen: peer.addr.to_string() };
    let peers: Vec<Offer<String>> =
        run.reactor.status().peers.iter().map(|status| offer(&status.peer)).collect();
    if peers.is_empty() {
        run.out.fail("no peer answered\n  next: on the other machine: chunkcast receive");
    }
    let question = "to which peer? (numbers, names or addresses; empty to leave) ";
    choice::among(run, &peers, question, parse_peer)
}

/// Asks for hosts with receivers of this form, which nobody announces. `Exit::Ok` when somebody names none.
fn choose_hosts(form: Form, run: &mut Run<'_>) -> Result<Vec<SocketAddr>, Exit> {
    let question =
        format!("to which host? (HOST or HOST:PORT, default port {}; empty to leave) ", form.port());
    choice::among(run, &[], &question, |text| resolved(form, text))
}

/// What somebody answers. `Exit::Ok` at the end of input.
fn asked(run: &mut Run<'_>, question: &str) -> Result<String, Exit> {
    run.out.prompt(question);
    let line = choice::answer(run)?;
    if line.is_empty() {
        run.out.fail("");
        return Err(Exit::Ok);
    }
    Ok(line.trim().to_owned())
}

/// The path that somebody typed, or whose number.
fn picked(text: &str, names: &[String]) -> Option<PathBuf> {
    match text.parse::<usize>() {
        Ok(number) => names.get(number.checked_sub(1)?).map(|name| Path::new(".").join(name)),
        Err(_) => Some(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_chosen_by_kind_number_or_path() {
        assert_eq!(Kind::read(" I\n"), Some(Kind::Image));
        assert_eq!((Kind::read("\n"), Kind::read("films")), (Some(Kind::Any), None));
        assert!(Kind::Image.has("a.PNG") && !Kind::Image.has("png") && Kind::Csv.has("b.csv"));
        let names = ["a.txt".to_owned()];
        assert_eq!(picked("1", &names), Some(PathBuf::from("./a.txt")));
        assert_eq!((picked("2", &names), picked("0", &names)), (None, None));
        assert_eq!(picked("notes.pdf", &names), Some(PathBuf::from("notes.pdf")));
    }
}
