//! Lists what can be downloaded and asks the user at the terminal which of it to get.

use std::ops::ControlFlow;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::run::Run;
use crate::cli::wanted::Request;
use crate::cli::{human, ls};
use crate::core::Command;
use crate::shell::{ShellEvent, terminal};
use crate::types::name::printable;
use crate::wire::message::Wanted;

/// How long is listened before what there is to choose from is shown.
const CHOICE_WAIT: Duration = Duration::from_secs(1);
/// How often an answer that somebody types is looked for.
const ANSWER_INTERVAL: Duration = Duration::from_millis(50);

/// What is asked about things on offer.
pub(crate) const WHICH: &str = "which? (numbers or names; empty to leave) ";

/// Something to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer<T> {
    /// What people read; safe to print.
    pub(crate) label: String,
    /// What its number stands for.
    pub(crate) chosen: T,
}

/// Lists what the network offers and asks which of it to get.
pub(crate) fn ask(run: &mut Run<'_>) -> Result<Vec<Request>, Exit> {
    run.out.note("looking for files ...");
    run.reactor.command(Command::Look { wanted: Wanted::All, wait: CHOICE_WAIT });
    ls::until_looked(run)?;
    let status = run.reactor.status();
    let native = status.contents.iter().filter_map(|content| {
        let label = format!("{}  ({})", human::label(&content.name), human::size(content.size));
        Some(Offer { label, chosen: Request::parse(&content.id.to_string()).ok()? })
    });
    // Nobody is heard here but by --classic. An @ in a name is not to be read as whose it is.
    let classic = status.classic.iter().filter_map(|content| {
        let label = format!("{}  (classic, unverified)", human::label(&content.file));
        let written =
            if content.file.contains('@') { format!("{}@", content.file) } else { content.file.clone() };
        Some(Offer { label, chosen: Request::parse(&written).ok()? })
    });
    let offers: Vec<Offer<Request>> = native.chain(classic).collect();
    if offers.is_empty() {
        let next = "on the other machine: chunkcast share FILE";
        run.out.error(Exit::Nobody, "no peer shares anything", Some(next));
        return Err(Exit::Nobody);
    }
    among(run, &offers, WHICH, Request::parse)
}

/// Lists `offers` and asks `question`, until it is answered; `read` reads what is no number.
pub(crate) fn among<T: Clone>(
    run: &mut Run<'_>,
    offers: &[Offer<T>],
    question: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Exit> {
    let digits = offers.len().to_string().len();
    for (number, offer) in (1..).zip(offers) {
        run.out.fail(&format!("{number:>digits$}  {}", offer.label));
    }
    loop {
        run.out.prompt(question);
        let answer = answer(run)?;
        if answer.trim().is_empty() {
            return Err(Exit::Ok);
        }
        match chosen(&answer, offers, &read) {
            Ok(chosen) => return Ok(chosen),
            Err(why) => run.out.fail(&printable(&why)),
        }
    }
}

/// What an answer stands for: numbers, or words that `read` reads.
fn chosen<T: Clone>(
    answer: &str,
    offers: &[Offer<T>],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let words = answer.split([' ', ',']).map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| match word.parse::<usize>() {
            Ok(number) => match number.checked_sub(1).and_then(|at| offers.get(at)) {
                Some(offer) => Ok(offer.chosen.clone()),
                None => Err(format!("there is no number {number}")),
            },
            Err(_) => read(word),
        })
        .collect()
}

/// What somebody types, while the loop goes on.
pub(crate) fn answer(run: &mut Run<'_>) -> Result<String, Exit> {
    run.drive(&mut Answer(terminal::read_line()))?
}

/// A line that is being typed.
struct Answer(Receiver<String>);

impl Driven for Answer {
    type End = Result<String, Exit>;

    fn step(&mut self, _run: &mut Run<'_>) -> ControlFlow<Self::End, Option<Instant>> {
        match self.0.try_recv() {
            Ok(line) => ControlFlow::Break(Ok(line)),
            Err(_) => ControlFlow::Continue(Some(Instant::now() + ANSWER_INTERVAL)),
        }
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Self::End> {
        let ShellEvent::Signal(signal) = event else { return ControlFlow::Continue(()) };
        run.out.fail("");
        ControlFlow::Break(Err(Exit::of_signal(signal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_chosen_in_their_order() {
        let offers = ["a", "b"].map(|name| Offer { label: name.to_owned(), chosen: name.to_owned() });
        let read = |word: &str| if word == "bad" { Err("bad".to_owned()) } else { Ok(word.to_owned()) };
        assert_eq!(chosen("2, x 1\n", &offers, read), Ok(vec!["b".into(), "x".into(), "a".into()]));
        for answer in ["0", "3", "1 bad"] {
            assert!(chosen(answer, &offers, read).is_err(), "{answer}");
        }
    }
}
