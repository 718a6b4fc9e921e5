//! `verify`: whether a file is a content.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Outcome;
use crate::cli::exit::Exit;
use crate::cli::hash;
use crate::cli::json::{Line, path_text};
use crate::cli::output::Output;
use crate::types::ContentId;
use crate::types::name::printable;

/// Tell whether a file is the content with an id
#[derive(Debug, Args)]
#[command(after_help = "Exit: 0 it is, 6 it is not, 7 it cannot be read.")]
pub(crate) struct VerifyArgs {
    /// The file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The id: 64 hexadecimal digits
    #[arg(value_name = "ID")]
    id: ContentId,
}

pub(crate) fn run(args: &VerifyArgs, out: &mut Output) -> Outcome {
    let shown = printable(&args.path.to_string_lossy());
    let (id, bytes) = match hash::hashed(&args.path, out) {
        Ok(hashed) => hashed,
        Err(fault) => {
            let exit = Exit::of_fault(&fault);
            out.error(exit, &printable(&fault.text), None);
            return Outcome::of(exit);
        }
    };
    if id != args.id {
        out.error(
            Exit::Integrity,
            &format!("{shown} is not that content: its id is {id}"),
            Some(&format!("fetch the right one: chunkcast get {}", args.id)),
        );
        return Outcome { bytes, ..Outcome::of(Exit::Integrity) };
    }
    out.json(&Line::Done {
        id,
        name: &args.path.to_string_lossy(),
        path: path_text(&args.path),
        bytes,
        dur: 0.0,
        peers: 0,
        verified: true,
        skipped: false,
    });
    out.result(&format!("{shown} is that content"));
    Outcome { bytes, ..Outcome::of(Exit::Ok) }
}
