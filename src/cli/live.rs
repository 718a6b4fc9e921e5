//! The progress line on a terminal, which is redrawn in place.

use std::io::{self, Write};

use crate::cli::human;
use crate::shell::terminal;

/// Columns of a terminal that does not say how many it has.
const COLUMNS_UNKNOWN: usize = 80;
/// Columns left free at the end: a terminal shows a Ctrl-C as `^C`, which must not begin a line of its own.
const COLUMNS_FREE: usize = 3;
/// Back to the line's beginning, and clear to its end.
pub(crate) const CLEAR: &str = "\r\u{1b}[K";

/// A line at the bottom of stderr, shown and taken away. Off, it does nothing.
#[derive(Debug)]
pub(crate) struct LiveLine {
    on: bool,
    shown: bool,
}

impl LiveLine {
    pub(crate) fn new(on: bool) -> LiveLine {
        LiveLine { on, shown: false }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Shows `text` in the place of what was shown, cut at the terminal's width.
    pub(crate) fn show(&mut self, text: &str) {
        if self.on {
            let columns = terminal::stderr_columns().unwrap_or(COLUMNS_UNKNOWN);
            let text = human::cut(text, columns.saturating_sub(COLUMNS_FREE));
            self.write(&format!("{CLEAR}{text}"));
            self.shown = true;
        }
    }

    /// Takes the line away, so that another can be written.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            self.write(CLEAR);
            self.shown = false;
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        // A terminal that went away takes nothing with it.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        self.clear();
    }
}
