//! What to get, asked of whoever sits at the terminal.

use std::time::{Duration, Instant};

use crate::cli::exit::Exit;
use crate::cli::human;
use crate::cli::ls;
use crate::cli::run::Run;
use crate::cli::wanted::Request;
use crate::core::Command;
use crate::core::name::printable;
use crate::shell::{ShellEvent, terminal};
use crate::wire::message::Wanted;

/// How long is listened before what there is to choose from is shown.
const CHOICE_WAIT: Duration = Duration::from_secs(1);
/// How often an answer that somebody types is looked for.
const ANSWER_INTERVAL: Duration = Duration::from_millis(50);

/// Lists what the network offers and asks which of it to get.
pub(crate) fn ask(run: &mut Run<'_>) -> Result<Vec<Request>, Exit> {
    run.out.note("looking at what is on offer ...");
    run.command(Command::Look { wanted: Wanted::All, wait: CHOICE_WAIT });
    ls::until_looked(run)?;
    let contents = run.status().contents;
    if contents.is_empty() {
        let next = "on the other machine: chunkcast share FILE";
        run.out.error(Exit::Nobody, "nobody offers anything", Some(next));
        return Err(Exit::Nobody);
    }
    let digits = contents.len().to_string().len();
    for (number, content) in (1..).zip(&contents) {
        let (name, size) = (human::label(&content.name), human::size(content.size));
        run.out.fail(&format!("{number:>digits$}  {name}  ({size})"));
    }
    loop {
        run.out.prompt("which? (numbers or names, nothing to leave) ");
        let answer = answer(run)?;
        if answer.trim().is_empty() {
            return Err(Exit::Ok);
        }
        let chosen: Result<Vec<Request>, String> = answer
            .split([' ', ','])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| match word.parse::<usize>() {
                Ok(number) => match number.checked_sub(1).and_then(|at| contents.get(at)) {
                    Some(content) => Request::parse(&content.id.to_string()),
                    None => Err(format!("there is no number {number}")),
                },
                Err(_) => Request::parse(word),
            })
            .collect();
        match chosen {
            Ok(requests) => return Ok(requests),
            Err(why) => run.out.fail(&printable(&why)),
        }
    }
}

/// What somebody types, while the loop goes on.
fn answer(run: &mut Run<'_>) -> Result<String, Exit> {
    let typed = terminal::read_line();
    loop {
        if let Ok(line) = typed.try_recv() {
            return Ok(line);
        }
        run.turn(Some(Instant::now() + ANSWER_INTERVAL))?;
        while let Some(event) = run.next_event() {
            if let ShellEvent::Signal(signal) = event {
                run.out.fail("");
                return Err(Exit::of_signal(signal));
            }
        }
    }
}
