//! `send`: push files to receivers of the field, in one of its dialects.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Outcome;
use crate::cli::args::Global;
use crate::cli::output::Output;
use crate::cli::push::sending;
use crate::wire::push::Form;

const EXAMPLES: &str = "\
Examples:
  chunkcast send --dialect json cars.csv --to 192.168.1.27
  chunkcast send --dialect named photo.png --to lab-7:5000 --name alice

Exit: 0 all sent, 2 usage, 3 nobody there, 4 no network, 5 broken, 7 a file cannot be read,
9 declined, 10 some of it, 130 interrupted, 143 terminated.";

/// Send files to receivers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// Files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Who to send to (several times)
    #[arg(long, required = true, value_name = "HOST[:PORT]")]
    to: Vec<String>,
    /// In which of the field's dialects: json, steps, short (port 8080) or named (port 5000)
    #[arg(long, required = true, value_name = "FORM")]
    dialect: Form,
}

pub(crate) fn run(args: &SendArgs, global: &Global, out: &mut Output) -> Outcome {
    sending::run(args.dialect, &args.paths, &args.to, None, global, out)
}
