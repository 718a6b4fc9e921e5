//! The process that shows the dialog. It reads failures on stdin, collects those that come together, and shows them
//! with one of the programs of the desktop. It outlives the process that started it.
//!
//! There is never more than one dialog: failures that come while one is open share the next one.

use std::ffi::OsString;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use clap::{ArgAction, Parser};

use crate::cli::exit::Exit;
use crate::cli::failure_notice::report::{self, Report};
use crate::cli::logger;
use crate::cli::units::parse_duration;
use crate::shell::aside::{Watched, leave_session, lines_of_stdin};

/// The command that is this process.
pub(crate) const COMMAND: &str = "show-failures";
/// Failures that come within this time of each other are shown together; the end of stdin ends that too.
const QUIET: Duration = Duration::from_secs(3);
/// How long a notification may take to be delivered.
const NOTIFY_MAX: Duration = Duration::from_secs(20);
/// Nobody comes back to a dialog this old.
const ON_SCREEN_MAX: Duration = Duration::from_secs(24 * 3600);
/// What every window is called.
const TITLE: &str = "chunkcast";

/// Show failures, one JSON object a line on stdin, in a dialog
#[derive(Debug, Parser)]
#[command(name = COMMAND, after_help = "\
Started by the other commands. Tries kdialog, zenity, yad, xmessage and notify-send in turn; one that
ends with an error within the grace has not shown anything. -v says which did.

Exit: 0 all was shown, 5 nothing here shows a dialog.")]
struct DialogArgs {
    /// How long a program has to fail before it counts as shown
    #[arg(long, value_name = "TIME", env = "CHUNKCAST_DIALOG_GRACE", hide_env = true, default_value = "2s",
          value_parser = parse_duration)]
    grace: Duration,
    /// Tell more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// A program that shows text on a desktop.
struct Helper {
    program: &'static str,
    /// Its arguments for a text, and what it reads on stdin.
    call: fn(&str) -> (Vec<String>, String),
    /// Whether it stays until the text was read; else it ends as soon as somebody else shows it.
    stays: bool,
}

/// In the order in which they are tried. None is given text as an option, or reads markup in it: where a program reads
/// escapes of its own, they are written for it.
const HELPERS: [Helper; 5] = [
    // Its label takes text for markup by what the first line looks like, and that line is ours.
    Helper {
        program: "kdialog",
        call: |text| (words(&["--title", TITLE, "--error", &backslashes_doubled(text)]), String::new()),
        stays: true,
    },
    Helper {
        program: "zenity",
        call: |text| {
            let text = format!("--text={text}");
            let title = format!("--title={TITLE}");
            (words(&["--error", "--no-markup", "--no-wrap", &title, &text]), String::new())
        },
        stays: true,
    },
    Helper {
        program: "yad",
        call: |text| {
            let text = format!("--text={}", backslashes_doubled(text));
            let title = format!("--title={TITLE}");
            let fixed = ["--no-markup", "--image=dialog-error", "--center", "--fixed", "--button=OK:0"];
            let mut args = words(&fixed);
            args.extend([title, text]);
            (args, String::new())
        },
        stays: true,
    },
    // It knows no alphabet but the first.
    Helper {
        program: "xmessage",
        call: |text| (words(&["-center", "-title", TITLE, "-buttons", "OK:0", "-file", "-"]), in_ascii(text)),
        stays: true,
    },
    Helper {
        program: "notify-send",
        call: |text| {
            let (summary, body) = text.split_once("\n\n").unwrap_or((text, ""));
            let body = backslashes_doubled(&without_markup(body));
            (words(&["--app-name", TITLE, "--urgency", "critical", "--", summary, &body]), String::new())
        },
        stays: false,
    },
];

/// The process of these arguments, the command's name first.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    match DialogArgs::try_parse_from(args) {
        Ok(args) => {
            logger::start(args.verbose, false);
            leave_session();
            show_all(&lines_of_stdin(), args.grace)
        }
        Err(error) => {
            // Where nobody reads that, nobody misses it.
            let _ = error.print();
            if error.exit_code() == 0 { Exit::Ok } else { Exit::Usage }
        }
    }
}

/// Shows what comes, until no more does. Where nothing shows the first, nothing would show the next.
fn show_all(lines: &Receiver<String>, grace: Duration) -> Exit {
    let mut before = 0;
    loop {
        let (reports, over) = collected(lines);
        if !reports.is_empty() {
            let text = report::text(&reports, before);
            before = report::last_number(&reports, before);
            match first_shown(&text, grace) {
                Some(helper) => until_closed(helper),
                None => return Exit::GaveUp,
            }
        }
        if over {
            return Exit::Ok;
        }
    }
}

/// The next failures that come together, and whether no more will come.
fn collected(lines: &Receiver<String>) -> (Vec<Report>, bool) {
    let Ok(first) = lines.recv() else { return (Vec::new(), true) };
    let mut reports: Vec<Report> = Report::parse(&first).into_iter().collect();
    loop {
        match lines.recv_timeout(QUIET) {
            Ok(line) => reports.extend(Report::parse(&line)),
            Err(RecvTimeoutError::Timeout) => return (reports, false),
            Err(RecvTimeoutError::Disconnected) => return (reports, true),
        }
    }
}

/// The first program that shows the text: still on the screen, or closed already (the inner `None`).
fn first_shown(text: &str, grace: Duration) -> Option<Option<Watched>> {
    HELPERS.iter().find_map(|helper| {
        let tried = tried(helper, text, grace);
        let program = helper.program;
        match &tried {
            Ok(_) => log::info!("{program} shows it"),
            Err(why) => log::info!("{program} does not show it: {why}"),
        }
        tried.ok()
    })
}

/// Whether a program shows the text: it does when it ends well, or when it stays and has not failed within the grace.
fn tried(helper: &Helper, text: &str, grace: Duration) -> Result<Option<Watched>, String> {
    let (args, stdin) = (helper.call)(text);
    let mut watched = Watched::start(helper.program, &args, &stdin).map_err(|error| error.to_string())?;
    let within = if helper.stays { grace } else { NOTIFY_MAX };
    match watched.wait(within, || false) {
        Some(Ok(status)) if status.success() => Ok(None),
        Some(Ok(status)) => Err(format!("it ended with {status}")),
        Some(Err(error)) => Err(error.to_string()),
        None if helper.stays => Ok(Some(watched)),
        None => {
            watched.end();
            Err(format!("it did not end within {} s", within.as_secs()))
        }
    }
}

fn until_closed(helper: Option<Watched>) {
    if let Some(mut helper) = helper
        && helper.wait(ON_SCREEN_MAX, || false).is_none()
    {
        helper.end();
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn backslashes_doubled(text: &str) -> String {
    text.replace('\\', "\\\\")
}

fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What is not ASCII as an escape, but for an ellipsis.
fn in_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '…' => ascii += "...",
            _ if c.is_ascii() => ascii.push(c),
            _ => ascii += &format!("\\u{{{:x}}}", u32::from(c)),
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "A download failed.\n\n--help <b>&amp; \\n ä… was not fetched";

    #[test]
    fn no_helper_takes_text_for_options_or_markup() {
        for helper in &HELPERS {
            let (args, stdin) = (helper.call)(HOSTILE);
            let all = format!("{}\n{stdin}", args.join("\n"));
            assert!(all.contains("A download failed.") && all.contains(TITLE), "{}: {all}", helper.program);
            let mut options = args.iter().take_while(|arg| *arg != "--");
            assert!(!options.any(|arg| arg.starts_with("--help")), "{}: {args:?}", helper.program);
            let says_no = args.iter().any(|arg| arg == "--no-markup");
            let escaped = !all.contains("<b>");
            // kdialog looks at the first line alone; xmessage knows no markup.
            let blind = matches!(helper.program, "kdialog" | "xmessage");
            assert!(says_no || escaped || blind, "{}: {all}", helper.program);
        }
        assert_eq!(in_ascii("ä… x"), "\\u{e4}... x");
    }
}
