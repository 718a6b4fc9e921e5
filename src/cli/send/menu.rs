//! `send` without arguments: whoever sits at the terminal is asked for a name, a file and a recipient, again and again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Outcome;
use crate::cli::args::Global;
use crate::cli::choice::{self, Offer};
use crate::cli::exit::Exit;
use crate::cli::human;
use crate::cli::ls;
use crate::cli::output::Output;
use crate::cli::run::Run;
use crate::cli::send::{SendArgs, parse_peer, send, start};
use crate::core::Command;
use crate::shell::{host, terminal};
use crate::store::folder::files_in;
use crate::wire::message::Wanted;

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
    let mut global = global.clone();
    let default = global.name.clone().unwrap_or_else(host::name);
    out.prompt(&format!("your name, as others see it [{}]: ", human::label(&default)));
    // No peer runs yet that would be kept waiting.
    let name = terminal::read_line().recv().unwrap_or_default();
    if !name.trim().is_empty() {
        global.name = Some(name.trim().to_owned());
    }
    let mut all = Outcome { exit: Exit::Ok, done: 0, failed: 0, bytes: 0 };
    loop {
        let mut run = match start(&global, out) {
            Ok(run) => run,
            Err(exit) => return Outcome { exit, ..all },
        };
        let chosen = if all.done + all.failed > 0 { again(&mut run) } else { Ok(()) };
        let sent = match chosen.and_then(|()| choose(&mut run)) {
            Ok((path, to)) => send(&[path], &to, args, &global, &mut run),
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

/// Whether something else is to be sent. `Exit::Ok` when not.
fn again(run: &mut Run<'_>) -> Result<(), Exit> {
    run.out.prompt("[a]gain or [e]xit? ");
    match choice::answer(run)?.trim().to_lowercase().as_str() {
        "a" | "again" | "y" | "yes" => Ok(()),
        _ => Err(Exit::Ok),
    }
}

/// Asks for a file and who is to have it. `Exit::Ok` when somebody chose nothing.
fn choose(run: &mut Run<'_>) -> Result<(PathBuf, Vec<String>), Exit> {
    let kind = loop {
        run.out.prompt("what to send: [i]mage, [c]sv, [j]son or [a]ny file? ");
        if let Some(kind) = Kind::read(&choice::answer(run)?) {
            break kind;
        }
    };
    let mut names = files_in(Path::new("."), LISTED_MAX).unwrap_or_default();
    names.retain(|name| kind.has(name));
    for (number, name) in (1..).zip(&names) {
        run.out.fail(&format!("{number:>3}  {}", human::label(name)));
    }
    let path = loop {
        run.out.prompt("which? (a number, or a path; nothing to leave) ");
        let line = choice::answer(run)?;
        match line.trim() {
            "" => return Err(Exit::Ok),
            text => match picked(text, &names) {
                Some(path) => break path,
                None => run.out.fail("there is no such number"),
            },
        }
    };
    run.out.note("looking who is there ...");
    run.command(Command::Look { wanted: Wanted::All, wait: PEERS_WAIT });
    ls::until_looked(run)?;
    let offer =
        |peer: &crate::core::PeerRef| Offer { label: human::peer(peer), chosen: peer.addr.to_string() };
    let peers: Vec<Offer<String>> = run.status().peers.iter().map(|status| offer(&status.peer)).collect();
    if peers.is_empty() {
        run.out.fail("nobody answered; on the other machine: chunkcast receive. Or type its name or address");
    }
    Ok((path, choice::among(run, &peers, parse_peer)?))
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
