//! A failure on its way to the dialog: a line of JSON, and the text for the user.

use serde::{Deserialize, Serialize};

use crate::cli::failure::{Failure, wrapped};
use crate::cli::human;
use crate::shell::aside::LINE_BYTES_MAX;

/// The most failures that one dialog tells of; the others are counted.
const LISTED_MAX: usize = 5;
/// The longest line of a dialog, in columns.
const COLUMNS_MAX: usize = 68;
/// The most columns that each text of a failure has; the first with which it all fits a line on the pipe.
const TEXT_COLUMNS_MAX: [usize; 3] = [400, 150, 40];
/// The most next steps that a dialog lists.
const NEXT_MAX: usize = 4;

/// A failure as the dialog's process is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Which failure of the run it is, counted from 1. A gap tells of those that were not told.
    number: usize,
    title: String,
    happened: String,
    #[serde(default)]
    kept: Option<String>,
    #[serde(default)]
    next: Vec<String>,
}

impl Report {
    /// Of the failure with this number.
    pub(super) fn of(failure: &Failure, number: usize) -> Report {
        Report {
            number,
            title: failure.title.clone(),
            happened: failure.happened.clone(),
            kept: failure.kept.clone(),
            next: failure.next.iter().take(NEXT_MAX).cloned().collect(),
        }
    }

    /// The line, with its end; at most [`LINE_BYTES_MAX`] bytes.
    pub(super) fn line(&self) -> Vec<u8> {
        let encoded = |columns| {
            let short = |text: &String| human::shortened(text, columns);
            let report = Report {
                number: self.number,
                title: short(&self.title),
                happened: short(&self.happened),
                kept: self.kept.as_ref().map(short),
                next: self.next.iter().map(short).collect(),
            };
            let mut line = serde_json::to_vec(&report).unwrap_or_default();
            line.push(b'\n');
            line
        };
        TEXT_COLUMNS_MAX
            .map(encoded)
            .into_iter()
            .find(|line| line.len() <= LINE_BYTES_MAX)
            .unwrap_or_default()
    }

    /// Reads a line back.
    pub(super) fn parse(line: &str) -> Option<Report> {
        serde_json::from_str(line).ok()
    }

    /// What happened, what was kept, what to do next.
    fn paragraph(&self) -> String {
        let mut text = wrapped(&self.title, COLUMNS_MAX).join("\n");
        let mut add = |heading: &str, told: &str| {
            for (at, line) in wrapped(&format!("{heading}: {told}"), COLUMNS_MAX - 8).iter().enumerate() {
                text += &format!("\n{}{line}", if at == 0 { "    " } else { "        " });
            }
        };
        add("What happened", &self.happened);
        if let Some(kept) = &self.kept {
            add("Kept", kept);
        }
        for next in &self.next {
            add("Next", next);
        }
        text
    }
}

/// What a dialog says of these failures, of which the last before had number `before`.
pub(super) fn text(reports: &[Report], before: usize) -> String {
    let last = reports.iter().map(|report| report.number).max().unwrap_or(before);
    let all = last.saturating_sub(before).max(reports.len());
    let mut text = match all {
        1 => "A download failed.".to_owned(),
        _ => format!("{} downloads failed.", human::count(all as u64)),
    };
    for report in reports.iter().take(LISTED_MAX) {
        text += "\n\n";
        text += &report.paragraph();
    }
    let more = all - reports.len().min(LISTED_MAX);
    if more > 0 {
        text +=
            &format!("\n\nand {} more; the transfer log has them: chunkcast log", human::count(more as u64));
    }
    text
}

/// The number of the last of these failures.
pub(super) fn last_number(reports: &[Report], before: usize) -> usize {
    reports.iter().map(|report| report.number).max().unwrap_or(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    fn failure(title: &str, next: &[&str]) -> Failure {
        Failure {
            exit: Exit::GaveUp,
            title: format!("{title} was not fetched"),
            happened: "nobody has the 5 missing of 2,048 chunks, for 10:00 min".to_owned(),
            kept: Some("2,043 of 2,048 chunks, verified".to_owned()),
            next: next.iter().map(|next| (*next).to_owned()).collect(),
        }
    }

    #[test]
    fn a_line_is_read_back_and_never_too_long() {
        let report = Report::of(&failure("talk.mkv", &["chunkcast get talk.mkv"]), 7);
        assert_eq!(Report::parse(std::str::from_utf8(&report.line()).unwrap()), Some(report));
        for long in ["\\\"".repeat(5_000), "漢".repeat(5_000), "x ".repeat(5_000)] {
            let mut failure = failure(&long, &[long.as_str(); 100]);
            failure.happened = long.clone();
            failure.kept = Some(long);
            let line = Report::of(&failure, usize::MAX).line();
            assert!(line.len() <= LINE_BYTES_MAX && line.len() > 100, "{}", line.len());
            assert!(Report::parse(std::str::from_utf8(&line).unwrap()).is_some());
        }
        assert_eq!(Report::parse("{}"), None);
        assert_eq!(Report::parse("what"), None);
    }

    #[test]
    fn one_failure_says_what_happened_what_was_kept_and_what_is_next() {
        let text = text(&[Report::of(&failure("talk.mkv", &["chunkcast get talk.mkv"]), 1)], 0);
        assert_eq!(
            text,
            "A download failed.\n\n\
             talk.mkv was not fetched\n    \
             What happened: nobody has the 5 missing of 2,048 chunks, for\n        \
             10:00 min\n    \
             Kept: 2,043 of 2,048 chunks, verified\n    \
             Next: chunkcast get talk.mkv"
        );
    }

    #[test]
    fn several_failures_are_one_text_and_the_many_are_counted() {
        let some: Vec<Report> =
            (11..=20).map(|number| Report::of(&failure(&format!("file-{number}"), &[]), number)).collect();
        let told = text(&some, 10);
        assert!(told.starts_with("10 downloads failed.\n"), "{told}");
        assert!(told.contains("file-15 was") && !told.contains("file-16 was"), "{told}");
        assert!(told.ends_with("and 5 more; the transfer log has them: chunkcast log"), "{told}");
        // Those that were not told are counted by the gap they left.
        assert!(text(&some[9..], 10).contains("and 9 more"), "{}", text(&some[9..], 10));
        assert_eq!((last_number(&some, 10), last_number(&[], 10)), (20, 10));
    }
}
