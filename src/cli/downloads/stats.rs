//! What became of very many downloads, said when all of them are over.

use std::time::Duration;

use crate::cli::downloads::{ANNOUNCED_MAX, Downloads, Item};
use crate::cli::failure::command_line;
use crate::cli::human;
use crate::cli::run::Run;

/// A rate over less time than this says nothing.
const RATE_OVER_MIN: Duration = Duration::from_millis(100);

/// The counts at the end.
#[derive(Debug)]
struct Stats {
    files: usize,
    /// Files that are complete, and those left alone because others were in their place.
    done: usize,
    left_alone: usize,
    /// Bytes of the complete files, and those that came over the network.
    bytes: u64,
    fetched: u64,
    took: Duration,
    /// Peers that they came from.
    peers: usize,
}

impl Downloads {
    /// All is over: says how often what went wrong did so, and of very many files what became of them.
    pub(crate) fn close(&self, run: &mut Run<'_>) {
        for repeated in self.failures.repeated.iter().filter(|repeated| repeated.more > 0) {
            let files = human::counted(repeated.more, "more file was", "more files were");
            let first = human::quoted(&repeated.first);
            run.out.fail(&format!("chunkcast: {files} not fetched for the same reason as {first}"));
        }
        if self.files <= ANNOUNCED_MAX {
            return;
        }
        let took = self.began.zip(self.ended).map(|(began, ended)| ended.saturating_duration_since(began));
        let stats = Stats {
            files: self.files,
            done: self.done,
            left_alone: self.left_alone,
            bytes: self.bytes,
            fetched: self.items.values().map(Item::fetched).fold(0, u64::saturating_add),
            took: took.unwrap_or_default(),
            peers: self.sources.len(),
        };
        run.out.note(&stats.text());
        if stats.failed() > 0 {
            run.out
                .note(&format!("  the same command again fetches only what is missing: {}", command_line()));
        }
    }
}

impl Stats {
    fn failed(&self) -> usize {
        self.files.saturating_sub(self.done)
    }

    fn text(&self) -> String {
        let whole = self.failed() == 0 && self.left_alone == 0;
        let mut text = match self.failed() {
            0 => human::counted(self.files, "file", "files"),
            _ => {
                let files = human::counted(self.files, "file", "files");
                format!("{} of {files}", human::count(self.done as u64))
            }
        };
        let all = if whole { "all " } else { "" };
        if self.done > self.left_alone {
            text += &format!(", {}", human::size(self.bytes));
            text += &match self.peers {
                0 => format!(": {all}here already, verified"),
                peers => {
                    let mut came = format!(" in {}", human::span(self.took));
                    if self.took >= RATE_OVER_MIN {
                        let rate = human::bytes_per_s(self.fetched, self.took);
                        came += &format!(", {},", human::rate(rate));
                    }
                    format!("{came} from {}, {all}verified", human::counted(peers, "peer", "peers"))
                }
            };
        }
        if self.left_alone > 0 {
            text += &format!("; {} left alone", human::count(self.left_alone as u64));
        }
        if self.failed() > 0 {
            text += &format!("; {} failed", human::count(self.failed() as u64));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_told_as_far_as_there_are_any() {
        let took = Duration::from_secs(3);
        let all = Stats { files: 300, done: 300, left_alone: 0, bytes: 790, fetched: 790, took, peers: 1 };
        for (stats, text) in [
            (Stats { ..all }, "300 files, 790 B in 3.0 s, 263 B/s, from 1 peer, all verified"),
            (
                Stats { took: Duration::from_millis(99), peers: 2, ..all },
                "300 files, 790 B in 0.0 s from 2 peers, all verified",
            ),
            (Stats { fetched: 0, peers: 0, ..all }, "300 files, 790 B: all here already, verified"),
            (
                Stats { done: 297, ..all },
                "297 of 300 files, 790 B in 3.0 s, 263 B/s, from 1 peer, verified; 3 failed",
            ),
            (
                Stats { left_alone: 2, ..all },
                "300 files, 790 B in 3.0 s, 263 B/s, from 1 peer, verified; 2 left alone",
            ),
            (Stats { done: 0, bytes: 0, peers: 0, ..all }, "0 of 300 files; 300 failed"),
            (Stats { left_alone: 300, bytes: 0, peers: 0, ..all }, "300 files; 300 left alone"),
        ] {
            assert_eq!(stats.text(), text);
        }
    }
}
