//! The transfer log, written: objects as `--json` has them, one a line.

use std::path::Path;

use chrono::Local;
use serde::Serialize;

use crate::cli::json::{JsonLine, Who};
use crate::cli::output::{Output, stamp};
use crate::core::{Direction, Fault};
use crate::store::transfer_log::TransferLog;
use crate::types::ContentId;

/// What the log keeps besides events: how a file ended that a command speaks of.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(crate) enum Ending<'a> {
    /// A file went to somebody, or came in a form that nothing verifies.
    Done {
        dir: Direction,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<ContentId>,
        name: &'a str,
        bytes: u64,
        #[serde(flatten)]
        who: Who<'a>,
        /// Of a transfer in a dialect of the field.
        #[serde(skip_serializing_if = "Option::is_none")]
        form: Option<&'static str>,
        dur: f64,
        verified: bool,
        skipped: bool,
    },
    /// A file is not there.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<ContentId>,
        name: &'a str,
        dur: f64,
        message: &'a str,
    },
}

/// An open log. One that cannot be written to is complained about once, and keeps nothing else from working.
#[derive(Debug)]
pub(crate) struct LogWriter {
    log: Option<TransferLog>,
    /// The moment of the last line: with many small files there are thousands a second.
    at_ms: i64,
    stamp: String,
}

impl LogWriter {
    /// Opens the log at `path`.
    pub(crate) fn open(path: &Path, out: &mut Output) -> LogWriter {
        let log = TransferLog::open(path).inspect_err(|fault| complain(out, fault)).ok();
        LogWriter { log, at_ms: 0, stamp: String::new() }
    }

    /// Adds a line of this moment.
    pub(crate) fn write(&mut self, line: &impl JsonLine, out: &mut Output) {
        let Some(log) = &mut self.log else { return };
        let now = Local::now();
        let at_ms = now.timestamp_millis();
        if self.at_ms != at_ms || self.stamp.is_empty() {
            (self.at_ms, self.stamp) = (at_ms, stamp(now));
        }
        line.write(log.pending(), &self.stamp);
        let written = log.flush_when_many();
        self.note(written, out);
    }

    /// Writes the lines that wait.
    pub(crate) fn flush(&mut self, out: &mut Output) {
        let flushed = self.log.as_mut().map_or(Ok(()), TransferLog::flush);
        self.note(flushed, out);
    }

    fn note(&mut self, written: Result<(), Fault>, out: &mut Output) {
        if let Err(fault) = written {
            complain(out, &fault);
            self.log = None;
        }
    }
}

fn complain(out: &mut Output, fault: &Fault) {
    out.fail(&format!("chunkcast: {fault}"));
}
