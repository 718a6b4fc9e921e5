//! `completions` and `man`: generated from the definition of the command line.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::{Outcome, args};

/// The name of the program, as shells complete it.
const PROGRAM: &str = "chunkcast";
/// The command that the definition has by itself, which says what `--help` does.
const HELP: &str = "help";

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chunkcast completions bash > ~/.local/share/bash-completion/completions/chunkcast"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn completions(args: &CompletionsArgs, out: &mut Output) -> Result<Outcome, Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), PROGRAM, &mut text);
    Ok(print(&text, out))
}

/// The manual page of the program, then those of its commands.
pub(crate) fn man(out: &mut Output) -> Result<Outcome, Exit> {
    let mut program = args::command();
    program.build();
    let mut text = Vec::new();
    for command in with_commands(&program) {
        clap_mangen::Man::new(command.clone()).render(&mut text).map_err(|error| {
            out.refuse(Exit::Bug, &format!("the manual page could not be made: {error}"), None)
        })?;
    }
    Ok(print(&text, out))
}

/// A command, then the commands below it.
fn with_commands(command: &Command) -> Vec<&Command> {
    let below =
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != HELP);
    std::iter::once(command).chain(below.flat_map(with_commands)).collect()
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
        let mut program = args::command();
        program.build();
        let commands = with_commands(&program);
        for command in &commands {
            let mut page = Vec::new();
            clap_mangen::Man::new((*command).clone()).render(&mut page).unwrap();
            assert!(page.len() > 500, "{}", command.get_name());
        }
        assert!(commands.iter().any(|command| command.get_name() == "announce"));
    }
}
