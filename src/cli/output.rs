//! stdout and stderr: results and JSON lines go to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Local, SecondsFormat};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::failure_notice::FailureNotice;
use crate::cli::human;
use crate::cli::json::{JsonLine, Line};
use crate::shell::terminal;

/// What stdout carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonMode {
    /// Text for people.
    Off,
    /// One JSON object a line.
    Lines,
    /// The same, with a line a chunk.
    Chunks,
}

impl JsonMode {
    /// Reads the value of `--json`, or of its environment variable.
    pub(crate) fn parse(text: &str) -> Result<JsonMode, String> {
        match text {
            "lines" | "1" | "true" | "yes" => Ok(JsonMode::Lines),
            "chunks" => Ok(JsonMode::Chunks),
            "off" | "0" | "false" | "no" | "" => Ok(JsonMode::Off),
            _ => Err("write --json, --json=chunks or --json=off".to_owned()),
        }
    }
}

/// Results that are held back, in bytes: with so many they are written.
const HELD_BYTES: usize = 32 << 10;

/// A question that somebody at the terminal has not answered.
#[derive(Debug)]
struct Question {
    text: String,
    /// Other lines took its place on the screen.
    interrupted: bool,
}

/// The two streams of a command.
#[derive(Debug)]
pub(crate) struct Output {
    mode: JsonMode,
    quiet: bool,
    live: LiveLine,
    /// What somebody is asked, while it is not answered.
    question: Option<Question>,
    /// Whether lines for stdout wait for those that follow at once.
    holds: bool,
    /// Those that wait.
    held: Vec<u8>,
    /// What the command ends with because stdout takes nothing any more.
    ended: Option<Exit>,
    /// What shows failures beyond stderr.
    pub(crate) shown: FailureNotice,
}

impl Output {
    /// The streams of a process; `quiet` leaves out everything on stderr but failures.
    pub(crate) fn new(mode: JsonMode, quiet: bool) -> Output {
        let live = LiveLine::new(!quiet && io::stderr().is_terminal());
        let shown = FailureNotice::plainly();
        Output { mode, quiet, live, question: None, holds: false, held: Vec::new(), ended: None, shown }
    }

    /// These streams, with failures shown as `shown` says.
    pub(crate) fn showing(self, shown: FailureNotice) -> Output {
        Output { shown, ..self }
    }

    /// Whether stdout carries JSON lines.
    pub(crate) fn is_json(&self) -> bool {
        self.mode != JsonMode::Off
    }

    /// Whether each chunk is a JSON line.
    pub(crate) fn prints_chunks(&self) -> bool {
        self.mode == JsonMode::Chunks
    }

    /// Whether stderr shows a line that renews itself.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_on()
    }

    /// Whether progress is for nobody.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What the command ends with because stdout takes nothing any more: success when its reader closed it.
    pub(crate) fn ended(&self) -> Option<Exit> {
        self.ended
    }

    /// A line of results; left out with `--json`.
    pub(crate) fn result(&mut self, text: &str) {
        if !self.is_json() {
            self.live.clear();
            self.held.extend_from_slice(text.as_bytes());
            self.held.push(b'\n');
            self.written();
        }
    }

    /// A JSON line; left out without `--json`.
    pub(crate) fn json(&mut self, line: &impl JsonLine) {
        if self.is_json() {
            self.json_at(line, &stamp(Local::now()));
        }
    }

    /// A JSON line about another moment.
    pub(crate) fn json_at(&mut self, line: &impl JsonLine, ts: &str) {
        if !self.is_json() {
            return;
        }
        // On one terminal the line that renews itself gives way; a pipe has a place of its own.
        if self.live.is_on() && io::stdout().is_terminal() {
            self.live.clear();
        }
        line.write(&mut self.held, ts);
        self.written();
    }

    /// A line of what goes on, on stderr; left out with `-q`.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.fail(text);
        }
    }

    /// A line on stderr that even `-q` shows. A stderr that cannot be written to is nobody's loss.
    pub(crate) fn fail(&mut self, text: &str) {
        self.flush();
        self.live.clear();
        self.interrupt();
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Whether somebody watches what stands on stdout: it is a terminal and no JSON.
    pub(crate) fn is_watched(&self) -> bool {
        !self.is_json() && io::stdout().is_terminal()
    }

    /// Whether there is somebody to ask: stdin and stderr are terminals.
    pub(crate) fn may_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// A question, with the cursor behind it.
    pub(crate) fn prompt(&mut self, text: &str) {
        self.flush();
        self.live.clear();
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
    }

    /// A question that stands until [`Output::answered`], while other lines are written: call [`Output::ask_again`] after them.
    pub(crate) fn ask(&mut self, text: String) {
        self.prompt(&text);
        self.question = Some(Question { text, interrupted: false });
    }

    /// Shows the question again if other lines took its place.
    pub(crate) fn ask_again(&mut self) {
        if let Some(question) = self.question.take_if(|question| question.interrupted) {
            self.ask(question.text);
        }
    }

    /// The question is answered, or nobody waits for the answer any more.
    pub(crate) fn answered(&mut self) {
        self.question = None;
    }

    /// A line is about to be written where the cursor stands behind a question.
    fn interrupt(&mut self) {
        if let Some(question) = self.question.as_mut().filter(|question| !question.interrupted) {
            question.interrupted = true;
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
    }

    /// A failure of the whole command: a sentence, and what to do next.
    pub(crate) fn error(&mut self, exit: Exit, message: &str, next: Option<&str>) {
        if self.shown.concerns(exit) {
            return Failure::of_command(exit, message, next).report(self, None, None);
        }
        self.json(&Line::Error { exit: exit.code(), kind: exit.word(), id: None, name: None, message, next });
        self.fail(&format!("chunkcast: {message}"));
        if let Some(next) = next {
            self.fail(&format!("  next: {next}"));
        }
    }

    /// The same, for a command that ends with it before it has begun; gives back the exit code.
    pub(crate) fn refuse(&mut self, exit: Exit, message: &str, next: Option<&str>) -> Exit {
        self.error(exit, message, next);
        exit
    }

    /// The end of the run, as far as failures are shown: waits a bounded time for the command of `--on-error`.
    pub(crate) fn end_showing(&mut self) {
        let complaints = self.shown.end();
        self.complain(&complaints);
    }

    /// Says what went wrong in showing failures.
    pub(crate) fn complain(&mut self, complaints: &[String]) {
        for complaint in complaints {
            self.fail(&format!("chunkcast: {complaint}"));
        }
    }

    /// Shows the line that renews itself, where there is a terminal.
    pub(crate) fn show(&mut self, text: &str) {
        self.flush();
        self.live.show(text);
    }

    /// Takes that line away.
    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }

    /// More lines for stdout follow at once: they are written together. Follow with [`Output::release`].
    pub(crate) fn hold(&mut self) {
        self.holds = true;
    }

    /// Nothing follows for now: writes what was held.
    pub(crate) fn release(&mut self) {
        self.holds = false;
        self.flush();
    }

    /// A line was added to those that wait: they go to stdout at once, unless they are held, because a reader of lines
    /// must not wait.
    fn written(&mut self) {
        if !self.holds || self.held.len() >= HELD_BYTES {
            self.flush();
        }
    }

    /// Writes what waits, before anything else is said.
    fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() || self.ended.is_some() {
            return;
        }
        if self.question.is_some() && io::stdout().is_terminal() {
            self.interrupt();
        }
        let mut stdout = io::stdout().lock();
        let Err(error) = stdout.write_all(&held).and_then(|()| stdout.flush()) else { return };
        drop(stdout);
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.ended = Some(Exit::Ok);
        } else {
            self.ended = Some(Exit::Storage);
            self.fail(&format!("chunkcast: the output cannot be written: {error}"));
        }
    }
}

/// A moment as logs and JSON lines write it: RFC 3339, milliseconds, offset.
pub(crate) fn stamp(at: DateTime<Local>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, false)
}

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
