//! `completions` and `man`: generated from the same definition as the command line itself.

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Outcome;
use crate::cli::args::Cli;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// The name of the program, as shells complete it.
const PROGRAM: &str = "chunkcast";

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chunkcast completions bash > ~/.local/share/bash-completion/completions/chunkcast"
)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn completions(args: &CompletionsArgs, out: &mut Output) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut text);
    print(&text, out)
}

/// The manual page of the program, then those of its commands.
pub(crate) fn man(out: &mut Output) -> Outcome {
    let mut program = Cli::command();
    program.build();
    let mut text = Vec::new();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let below = |command: &Command| {
        command.get_subcommands().filter(|below| below.get_name() != "help").cloned().collect::<Vec<_>>()
    };
    let commands = commands.flat_map(|command| std::iter::once(command.clone()).chain(below(command)));
    for command in std::iter::once(program.clone()).chain(commands) {
        if let Err(error) = clap_mangen::Man::new(command).render(&mut text) {
            out.error(Exit::Bug, &format!("the manual page could not be made: {error}"), None);
            return Outcome::of(Exit::Bug);
        }
    }
    print(&text, out)
}

fn print(text: &[u8], out: &mut Output) -> Outcome {
    out.result(String::from_utf8_lossy(text).trim_end());
    Outcome::of(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let mut program = Cli::command();
        program.build();
        for command in program.get_subcommands() {
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page).unwrap();
            assert!(page.len() > 500, "{}", command.get_name());
        }
    }
}
