//! Questions about offers and transfers, one after the other, while the loop goes on.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::cli::receive::incoming::{Incoming, Number};
use crate::cli::run::Run;
use crate::shell::terminal;

/// How often an answer that somebody types is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A line that comes sooner than this after a question took the place of another was typed for the other.
const MISTAKEN: Duration = Duration::from_millis(700);

/// What somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Accept,
    Decline,
    /// Accept, and everything else from this sender too.
    Always,
}

/// What is asked, and what is to be.
#[derive(Debug)]
pub(super) struct Questions {
    /// Whether there is anybody to ask.
    may_ask: bool,
    waiting: VecDeque<Incoming>,
    /// The first of these is on the screen, since then.
    asked: Option<Instant>,
    /// It came in the place of one that is gone.
    replaces: bool,
    /// The next line that is typed. It is waited for until it comes, whatever becomes of its question.
    typed: Option<Receiver<String>>,
}

impl Questions {
    pub(super) fn new(may_ask: bool) -> Questions {
        Questions { may_ask, waiting: VecDeque::new(), asked: None, replaces: false, typed: None }
    }

    /// Whether there is anybody to ask.
    pub(super) fn may_ask(&self) -> bool {
        self.may_ask
    }

    /// Whether a question is on the screen.
    pub(super) fn are_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// When [`Questions::step`] has something to do again.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| now + LOOK_INTERVAL)
    }

    /// One more question, behind the others.
    pub(super) fn add(&mut self, incoming: Incoming) {
        self.waiting.push_back(incoming);
    }

    /// Nobody waits for an answer any more. Returns it if it was to be asked about.
    pub(super) fn gone(&mut self, run: &mut Run<'_>, number: Number) -> Option<Incoming> {
        let at = self.waiting.iter().position(|incoming| incoming.number() == number)?;
        let gone = self.waiting.remove(at)?;
        if at == 0 && self.asked.take().is_some() {
            self.replaces = true;
            run.out.answered();
            run.out.fail("");
            run.out.note(&format!("{} is gone, and its offer with it", gone.sender()));
        }
        Some(gone)
    }

    /// Takes out what else came from the same sender and has not been asked about.
    pub(super) fn take_from(&mut self, sender_of: &Incoming) -> Vec<Incoming> {
        let from = |incoming: &Incoming| incoming.is_of_sender_of(sender_of);
        let (taken, left) = std::mem::take(&mut self.waiting).into_iter().partition(from);
        self.waiting = left;
        Vec::from(taken)
    }

    /// Asks the next question, or looks whether the present one is answered.
    pub(super) fn step(&mut self, run: &mut Run<'_>, now: Instant) -> Option<(Incoming, Reply)> {
        let first = self.waiting.front()?;
        if !self.may_ask {
            return self.waiting.pop_front().map(|incoming| (incoming, Reply::Decline));
        }
        let Some(asked) = self.asked else {
            run.out.ask(format!(
                "{} sends {}\n[a]ccept, [d]ecline, accept from this [s]ender always? ",
                first.sender(),
                first.what()
            ));
            self.asked = Some(now);
            self.typed.get_or_insert_with(terminal::read_line);
            return None;
        };
        let Some(line) = self.typed.as_ref().and_then(|typed| typed.try_recv().ok()) else {
            run.out.ask_again();
            return None;
        };
        self.typed = None;
        run.out.answered();
        let mistaken = std::mem::take(&mut self.replaces) && now.saturating_duration_since(asked) < MISTAKEN;
        self.asked = None;
        if line.is_empty() {
            // The end of input: nobody will answer any more.
            self.may_ask = false;
            run.out.fail("");
            return None;
        }
        match reply(&line) {
            Some(reply) if !mistaken => self.waiting.pop_front().map(|incoming| (incoming, reply)),
            // It is asked again.
            _ => None,
        }
    }
}

/// What a typed line says.
fn reply(line: &str) -> Option<Reply> {
    match line.trim().to_lowercase().as_str() {
        "a" | "accept" | "y" | "yes" => Some(Reply::Accept),
        "d" | "decline" | "n" | "no" => Some(Reply::Decline),
        "s" | "sender" | "always" => Some(Reply::Always),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_letters_or_words() {
        for (line, said) in [
            ("a\n", Some(Reply::Accept)),
            (" Yes \n", Some(Reply::Accept)),
            ("d", Some(Reply::Decline)),
            ("S\r\n", Some(Reply::Always)),
            ("\n", None),
            ("maybe", None),
        ] {
            assert_eq!(reply(line), said, "{line:?}");
        }
    }
}
