//! The command line: commands, help, and how arguments are read. A flag overrides its environment variable, and that
//! overrides the default. The flags of all commands are in `global.rs`.

use std::ffi::OsString;
use std::io::Write;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::exit::Exit;
use crate::cli::global::{Global, NETWORK};
use crate::cli::{
    classic, completions, demo, get, hash, log, ls, receive, ring, send, serve, share, simulate, verify,
};

/// The widest help, in columns.
const HELP_COLUMNS_MAX: usize = 100;

/// The commands that have no flags of the network.
const WITHOUT_NETWORK: [&str; 6] = ["hash", "verify", "log", "simulate", "completions", "man"];

const EXAMPLES: &str = "\
Examples:
  chunkcast share ~/Videos/talk.mkv     share a file until Ctrl-C
  chunkcast ls                          list the files that peers on the network share
  chunkcast get talk.mkv                download it from every peer that has a part of it
  chunkcast send notes.pdf --to lab-7   send it to lab-7, where chunkcast receive runs
  chunkcast demo                        see a swarm of five peers on this machine

More: chunkcast COMMAND -h; chunkcast COMMAND --help for the flags of all commands; chunkcast man.
Each of those flags has an environment variable: --state-dir is CHUNKCAST_STATE_DIR.";

/// Share files on the local network, without configuration. Every byte is verified
#[derive(Debug, Parser)]
#[command(
    name = "chunkcast",
    version,
    after_help = EXAMPLES,
    max_term_width = HELP_COLUMNS_MAX,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    Share(share::ShareArgs),
    Serve(serve::ServeArgs),
    Get(get::GetArgs),
    Send(send::SendArgs),
    Receive(receive::ReceiveArgs),
    Ls(ls::LsArgs),
    Classic(classic::ClassicArgs),
    Ring(ring::RingArgs),
    Hash(hash::HashArgs),
    Verify(verify::VerifyArgs),
    Log(log::LogArgs),
    Demo(demo::DemoArgs),
    Simulate(simulate::SimulateArgs),
    Completions(completions::CompletionsArgs),
    /// Print the manual page (example: chunkcast man | man -l -)
    #[command(after_help = "Example:\n  chunkcast man | man -l -")]
    Man,
}

/// What became of the arguments.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A command to run.
    Command(Box<Cli>),
    /// Help or a complaint was printed.
    Ended(Exit),
}

/// Reads the arguments; prints help and complaints.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed {
    match try_parse(args) {
        Ok(cli) => Parsed::Command(Box::new(cli)),
        Err(error) if is_without_command(&error) => {
            let _ = writeln!(std::io::stderr(), "{}", short_help());
            Parsed::Ended(Exit::Usage)
        }
        Err(error) => {
            // A closed pipe is a clean end here too.
            let _ = error.print();
            Parsed::Ended(if error.exit_code() == 0 { Exit::Ok } else { Exit::Usage })
        }
    }
}

/// What is shown when no command was typed: the commands and examples, without the flags.
fn short_help() -> StyledStr {
    let command =
        command().mut_args(|arg| arg.hide(true)).override_usage("chunkcast COMMAND [OPTIONS] [ARGUMENTS]");
    command.disable_help_flag(true).disable_version_flag(true).render_help()
}

/// Whether the program was called without any command, rather than a command of commands without one of its own.
fn is_without_command(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand)
        && error.render().to_string().contains("Usage: chunkcast [")
}

/// The definition of the command line. The short help of a command has its own flags alone.
pub(crate) fn command() -> Command {
    let program = Cli::command();
    let network: Vec<Arg> = program.get_arguments().filter(|arg| is_of_network(arg)).cloned().collect();
    program.mut_subcommands(|command| {
        let (command, others) = if WITHOUT_NETWORK.contains(&command.get_name()) {
            (without(command, &network), "--json, -q, ...")
        } else {
            (command, "--port, --peer, --json, -q, ...")
        };
        pointing("chunkcast", others, command)
    })
}

/// Adds to the short help of a command, and of its subcommands, how to see the flags that all commands take.
fn pointing(parents: &str, others: &str, command: Command) -> Command {
    let name = format!("{parents} {}", command.get_name());
    let pointer = format!("Flags of all commands ({others}): {name} --help");
    let command = match command.get_after_help().cloned() {
        Some(examples) => {
            let short = format!("{pointer}\n\n{examples}");
            command.after_help(short).after_long_help(examples)
        }
        None => command.after_help(pointer).after_long_help(""),
    };
    command.mut_subcommands(|below| pointing(&name, others, below))
}

fn is_of_network(arg: &Arg) -> bool {
    arg.is_global_set() && arg.get_help_heading() == Some(NETWORK)
}

/// Hides flags from all help of a command; one of its own by the same name stays. [`refused`] keeps them from being given.
fn without(command: Command, flags: &[Arg]) -> Command {
    let is_own = |flag: &&Arg| command.get_arguments().any(|arg| arg.get_id() == flag.get_id());
    let others = flags.iter().filter(|flag| !is_own(flag));
    let hidden: Vec<Arg> = others.map(|flag| flag.clone().hide(true)).collect();
    command.args(hidden)
}

/// Reads the arguments.
pub(crate) fn try_parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = command().try_get_matches_from(&args).map_err(|error| blamed(error, &args))?;
    let typed = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    let mut cli = Cli::from_arg_matches(&matches)?;
    if WITHOUT_NETWORK.contains(&cli.action.name()) {
        refused(cli.action.name(), typed)?;
    } else {
        if !typed("peer") {
            cli.global.peer_from = "CHUNKCAST_PEER";
        }
        cli.global.check_ipv4().map_err(|why| command().error(ErrorKind::ValueValidation, why))?;
    }
    // `log` uses two global flags as filters; what the environment says about the network filters nothing.
    if let Action::Log(filter) = &mut cli.action {
        if !typed("peer") {
            filter.peer.clear();
        }
        if !typed("name") {
            filter.name = None;
        }
    }
    Ok(cli)
}

/// An error about a value, blamed on the variable where that gave it and not the flag.
fn blamed(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let of = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let what = |error: &clap::Error| {
        [ContextKind::InvalidArg, ContextKind::InvalidValue].map(|kind| of(error, kind))
    };
    let [Some(flag), Some(_)] = what(&error) else { return error };
    let mut program = command();
    program.build();
    let given_by = |arg: &&Arg| {
        arg.to_string() == flag && arg.get_env().is_some_and(|name| std::env::var_os(name).is_some())
    };
    let Some(arg) = program.get_arguments().find(given_by) else { return error };
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The flag goes over the variable: what is still wrong without variables was typed.
    let typed = without_variables(command()).try_get_matches_from(args);
    if typed.err().is_none_or(|other| what(&other) != what(&error)) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

fn without_variables(command: Command) -> Command {
    command.mut_args(|arg| arg.env(None::<&str>)).mut_subcommands(without_variables)
}

/// Refuses flags of the network that were typed for a command without one.
fn refused(name: &str, typed: impl Fn(&str) -> bool) -> Result<(), clap::Error> {
    let mut program = command();
    program.build();
    let Some(command) = program.find_subcommand_mut(name) else { return Ok(()) };
    let is_refused = |arg: &&Arg| is_of_network(arg) && typed(arg.get_id().as_str());
    let given = command.get_arguments().find(is_refused).and_then(Arg::get_long);
    let Some(flag) = given else { return Ok(()) };
    let why = format!("'{name}' uses no network, so it has no flag '--{flag}'; leave that out");
    Err(command.error(ErrorKind::UnknownArgument, why))
}

impl Action {
    /// The command's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Action::Share(_) => "share",
            Action::Serve(_) => "serve",
            Action::Get(_) => "get",
            Action::Send(_) => "send",
            Action::Receive(_) => "receive",
            Action::Ls(_) => "ls",
            Action::Classic(args) => args.name(),
            Action::Ring(_) => "ring",
            Action::Hash(_) => "hash",
            Action::Verify(_) => "verify",
            Action::Log(_) => "log",
            Action::Demo(_) => "demo",
            Action::Simulate(_) => "simulate",
            Action::Completions(_) => "completions",
            Action::Man => "man",
        }
    }

    /// Whether this command downloads, so that its failure is shown as a failed download.
    pub(crate) fn fetches(&self) -> bool {
        match self {
            Action::Get(_) | Action::Receive(_) => true,
            Action::Classic(args) => args.fetches(),
            Action::Ring(args) => args.fetches(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::cli::output::JsonMode;

    fn parsed(args: &str) -> Cli {
        try_parsed(args).unwrap()
    }

    fn try_parsed(args: &str) -> Result<Cli, clap::Error> {
        try_parse(std::iter::once("chunkcast").chain(args.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn examples_and_exit_codes_fit_the_width_of_help() {
        let program = command();
        let commands = std::iter::once(&program).chain(program.get_subcommands());
        for command in commands.flat_map(|command| std::iter::once(command).chain(command.get_subcommands()))
        {
            let after = command.get_after_help().map(|help| help.to_string()).unwrap_or_default();
            let long = after.lines().find(|line| line.chars().count() > HELP_COLUMNS_MAX);
            assert_eq!(long, None, "{}", command.get_name());
        }
    }

    #[test]
    fn global_flags_stand_before_and_behind_the_command() {
        for args in ["--port 9000 --json get x", "get x --port 9000 --json", "get --json x --port=9000"] {
            let cli = parsed(args);
            assert_eq!((cli.global.port, cli.global.json), (9000, JsonMode::Lines), "{args}");
        }
    }

    #[test]
    fn values() {
        let global = parsed(
            "share x --bind 127.0.0.1 --iface a,b --iface c --broadcast 127.255.255.255 --peer h1:1,h2 --name me \
             --announce-interval 250ms --json=chunks -qvv --no-broadcast",
        )
        .global;
        assert_eq!(global.bind, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(global.iface, ["a", "b", "c"]);
        assert_eq!(global.broadcast, Some(Ipv4Addr::new(127, 255, 255, 255)));
        assert_eq!(global.peer, ["h1:1", "h2"]);
        assert_eq!(global.name.as_deref(), Some("me"));
        assert_eq!(global.announce_interval, Duration::from_millis(250));
        assert_eq!(global.json, JsonMode::Chunks);
        assert_eq!((global.quiet, global.verbose, global.no_broadcast), (true, 2, true));
    }

    #[test]
    fn defaults() {
        let global = parsed("ls").global;
        assert_eq!((global.port, global.json, global.quiet, global.verbose), (7117, JsonMode::Off, false, 0));
        assert_eq!(global.announce_interval, Duration::from_secs(60));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            "",
            "serve",
            "serve x --mirror-dir y",
            "serve x --rescan 0",
            "serve x --mirror id:xyz",
            "--port 0 ls",
            "ls --port 65536",
            "ls --json=xml",
            "share",
            "get x --stall 5",
            "get x --on-conflict what",
            "get @lab",
            "verify x",
            "verify x abcd",
            "ls --announce-interval 0",
            "ls --broadcast lan",
            "ls --peer [::1]:9",
            "hash x --port 9",
            "log --bind 127.0.0.1",
            "classic",
            "classic serve",
            "classic discover --dialect F",
            "classic discover --udp-port 0",
            "classic download x --classic-dialect lab=B",
            "get x --max-size 1MiB",
            "ls --classic-dialect 10.0.0.1=B",
            "get x --dialog perhaps",
            "send x",
            "send --to lab-7",
            "receive x",
            "receive --quota much",
            "send x --dialect morse --to y",
            "receive --listen 70000",
        ] {
            assert!(try_parsed(args).is_err(), "{args}");
        }
    }

    #[test]
    fn the_four_programs_and_what_stands_beside_native_commands() {
        for (args, name) in [
            ("classic announce", "classic announce"),
            ("classic announce forest.png --dir shared --dialect a-size", "classic announce"),
            ("classic discover --udp-port 8000 --dictionary peers.json", "classic discover"),
            ("classic upload --tcp-port 5000 --bind 127.0.0.2", "classic upload"),
            ("classic download forest --wait 5s --classic-dialect 10.0.0.1=B-json", "classic download"),
            ("classic peer a.png b.png --get c,d --max-size 1MiB", "classic peer"),
            ("ls --classic --classic-dialect 10.0.0.1=C,10.0.0.2=A", "ls"),
            ("get x --classic --max-size 2GiB", "get"),
            ("share x --classic", "share"),
        ] {
            assert_eq!(parsed(args).action.name(), name, "{args}");
        }
    }

    #[test]
    fn log_filters_with_the_global_flags() {
        for args in ["log --peer lab-7 --name *.mkv", "--peer lab-7 --name *.mkv log"] {
            let Action::Log(log) = parsed(args).action else { panic!("{args}") };
            assert_eq!((log.peer, log.name.as_deref()), (vec!["lab-7".to_owned()], Some("*.mkv")), "{args}");
        }
    }
}
