//! Reports of failed downloads beyond stderr: a dialog on a desktop, and the command of `--on-error`.
//!
//! A command calls [`Failure::report`] or [`Failure::report_of`] for each failure. `Action::fetches` names the commands
//! whose own failure is reported too. The first failure starts the process of the dialog (`dialog`), which gets every
//! failure on its stdin; the loop waits neither for it nor for the command.

pub(crate) mod dialog;
mod hook;
mod manner;
mod report;

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::shell::aside::{CommandQueue, Detached};
use crate::types::ContentId;
use manner::{DialogMode, Manner, Surroundings};
use report::Report;

/// The flags that say how failures are shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct FailureNoticeArgs {
    /// How to report a failed download: in a dialog, or on stderr
    #[arg(long, global = true, value_name = "WHEN", env = "CHUNKCAST_DIALOG", hide_env = true, hide_short_help = true,
          help_heading = crate::cli::global::COMMON, default_value = "auto")]
    dialog: DialogMode,
    /// Shell command to run for each failed download; see docs/cli.md for its variables [default: none]
    #[arg(long, global = true, value_name = "CMD", env = hook::VARIABLE, hide_env = true, hide_short_help = true,
          help_heading = crate::cli::global::COMMON)]
    on_error: Option<String>,
}

/// What it was that failed, as far as that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) id: Option<ContentId>,
    /// Its name, as it came from the network or was asked for.
    pub(crate) name: Option<&'a str>,
    /// Where it was to go: a file, or a folder when its name is not known.
    pub(crate) path: Option<PathBuf>,
}

/// How the failures of this run are shown.
#[derive(Debug)]
pub(crate) struct FailureNotice {
    manner: Manner,
    /// Whether the failure of the whole command is one of a download.
    fetches: bool,
    failures: usize,
    dialog: Option<Detached>,
    hook: Option<CommandQueue>,
    complaints: Vec<String>,
}

impl FailureNotice {
    /// As the flags and this process's surroundings say. `fetches`: the command is there to download.
    pub(crate) fn new(args: &FailureNoticeArgs, fetches: bool) -> FailureNotice {
        let around = Surroundings::of(io::stderr().is_terminal(), |name| std::env::var_os(name));
        let command = args.on_error.as_ref().filter(|command| !command.trim().is_empty());
        FailureNotice {
            manner: Manner::decided(args.dialog, &around),
            fetches,
            failures: 0,
            dialog: None,
            hook: command.map(|command| hook::queue(command.clone())),
            complaints: Vec::new(),
        }
    }

    /// On stderr alone.
    pub(crate) fn plainly() -> FailureNotice {
        let manner = Manner { dialog: false, frame: io::stderr().is_terminal() };
        FailureNotice {
            manner,
            fetches: false,
            failures: 0,
            dialog: None,
            hook: None,
            complaints: Vec::new(),
        }
    }

    /// Whether messages on stderr are framed.
    pub(crate) fn frames(&self) -> bool {
        self.manner.frame
    }

    /// Whether a failure of the whole command is to be shown like that of a download. What was typed wrongly is read
    /// by its user.
    pub(crate) fn concerns(&self, exit: Exit) -> bool {
        self.fetches && exit != Exit::Usage
    }

    /// Shows a failure, apart from stderr. Whoever ended the command by a signal knows of it.
    pub(crate) fn add(&mut self, failure: &Failure, of: &Subject<'_>) {
        if matches!(failure.exit, Exit::Interrupted | Exit::Terminated) {
            return;
        }
        self.failures += 1;
        if let Some(queue) = &mut self.hook {
            queue.run(hook::variables(failure, of));
        }
        if self.manner.dialog
            && let Err(error) = self.report_to_dialog(&Report::of(failure, self.failures))
        {
            log::debug!("the dialog was not told of a failure: {error}");
        }
    }

    /// What went wrong in showing, in sentences.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        let mut complaints = std::mem::take(&mut self.complaints);
        let of_hook = self.hook.as_mut().map(CommandQueue::complaints).unwrap_or_default();
        complaints.extend(of_hook.iter().map(|clause| hook::complaint(clause)));
        complaints
    }

    /// The end of the run: no more failures come. Waits for the command of `--on-error`, for a bounded time.
    pub(crate) fn end(&mut self) -> Vec<String> {
        // Its stdin ends, so it shows what it has.
        self.dialog = None;
        let mut complaints = self.complaints();
        if let Some(queue) = self.hook.take() {
            complaints.extend(queue.finish(hook::END_MAX).iter().map(|clause| hook::complaint(clause)));
        }
        complaints
    }

    fn report_to_dialog(&mut self, report: &Report) -> io::Result<()> {
        let first = self.dialog.is_none();
        if first {
            match Detached::start(&[dialog::COMMAND]) {
                Ok(started) => self.dialog = Some(started),
                Err(error) => {
                    self.manner.dialog = false;
                    self.complaints.push(format!("no dialog can be shown: {error}"));
                }
            }
        }
        let Some(dialog) = &mut self.dialog else { return Ok(()) };
        if !first && dialog.has_ended() {
            // It found nothing that shows a dialog, and would not now.
            self.manner.dialog = false;
            self.dialog = None;
            return Ok(());
        }
        dialog.send(&report.line())
    }
}
