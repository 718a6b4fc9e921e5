//! Pushes that somebody at the terminal is asked about, one after the other, while the loop goes on.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::cli::push::receiving::Incoming;
use crate::cli::run::Run;
use crate::shell::terminal;

/// How often an answer that somebody types is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Accept,
    Decline,
    /// Accept, and everything else from this sender too.
    Always,
}

/// What is asked, and what is to be.
#[derive(Debug)]
pub(crate) struct Questions {
    waiting: VecDeque<Incoming>,
    is_asked: bool,
    typed: Option<Receiver<String>>,
}

impl Questions {
    pub(crate) fn new() -> Questions {
        Questions { waiting: VecDeque::new(), is_asked: false, typed: None }
    }

    /// When [`Questions::step`] has something to do again.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| Instant::now() + LOOK_INTERVAL)
    }

    /// One more question, behind the others.
    pub(crate) fn add(&mut self, incoming: Incoming) {
        self.waiting.push_back(incoming);
    }

    /// A push is over before it was decided.
    pub(crate) fn gone(&mut self, run: &mut Run<'_>, push: u32) {
        let is_first = self.waiting.front().is_some_and(|first| first.push == push);
        self.waiting.retain(|incoming| incoming.push != push);
        if is_first && std::mem::take(&mut self.is_asked) {
            run.out.fail("");
        }
    }

    /// Asks the next question, or looks whether the present one is answered.
    pub(crate) fn step(&mut self, run: &mut Run<'_>) -> Option<(Incoming, Reply)> {
        let first = self.waiting.front()?;
        if !std::mem::replace(&mut self.is_asked, true) {
            let question = "[a]ccept, [d]ecline, accept from this [s]ender always? ";
            run.out.prompt(&format!("{}\n{question}", first.sentence()));
            self.typed.get_or_insert_with(terminal::read_line);
            return None;
        }
        let line = self.typed.as_ref()?.try_recv().ok()?;
        (self.typed, self.is_asked) = (None, false);
        // The end of input: nobody will answer any more.
        let reply = if line.is_empty() { Some(Reply::Decline) } else { reply(&line) };
        reply.and_then(|reply| self.waiting.pop_front().map(|incoming| (incoming, reply)))
    }
}

/// What a typed line says; `None`: it is asked again.
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
