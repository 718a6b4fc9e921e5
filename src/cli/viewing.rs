//! Received files are shown on the terminal, or opened in the viewer of the desktop, as the flags say.

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;

use crate::cli::run::Run;
use crate::cli::show::kind::Kind;
use crate::cli::show::{self, Screen, kind};
use crate::shell::{aside, terminal};
use crate::store::peek;
use crate::types::name::printable;

/// What hands a file to the desktop's viewer.
const OPENER: &str = "xdg-open";

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// Open each received file in the viewer of the desktop [default: no]
    #[arg(long)]
    open: bool,
    /// Do not show the content of received files [default: show it]
    #[arg(long)]
    no_show: bool,
}

/// What becomes of each file.
#[derive(Debug)]
pub(crate) struct Viewing {
    shows: bool,
    opens: bool,
    /// A viewer that is not there is complained about once.
    complained: bool,
}

/// The beginning of a file.
#[derive(Debug)]
pub(crate) struct Look {
    bytes: Vec<u8>,
    total: u64,
    pub(crate) kind: Kind,
}

/// Looks at a file; `None`: it is not to be read.
pub(crate) fn look(path: &Path) -> Option<Look> {
    let (bytes, total) = peek(path, show::LOOK_BYTES_MAX).ok()?;
    let kind = kind::of(&bytes, bytes.len() as u64 == total);
    Some(Look { bytes, total, kind })
}

/// What is known of the type of a file, in words.
pub(crate) fn kind_words(look: Option<&Look>) -> String {
    look.map_or_else(|| "unreadable".to_owned(), |look| look.kind.to_string())
}

impl Viewing {
    pub(crate) fn new(args: &ViewArgs) -> Viewing {
        Viewing { shows: !args.no_show, opens: args.open, complained: false }
    }

    /// Shows a file that was looked at, and opens it, as far as that is wanted.
    pub(crate) fn view(&mut self, run: &mut Run<'_>, path: &Path, look: Option<&Look>) {
        if let (true, Some(Look { bytes, total, kind })) = (self.shows, look) {
            let is_terminal = io::stdout().is_terminal();
            let columns = if is_terminal { terminal::stdout_columns() } else { None };
            let screen = Screen::of(is_terminal, columns, |name| std::env::var(name).ok());
            for line in show::lines(bytes, *total, kind, screen) {
                run.out.result(&line);
            }
        }
        if self.opens
            && let Err(error) = aside::start_alone(OPENER, &[path])
            && !std::mem::replace(&mut self.complained, true)
        {
            run.out
                .fail(&format!("chunkcast: {OPENER} cannot be started: {}", printable(&error.to_string())));
        }
    }
}
