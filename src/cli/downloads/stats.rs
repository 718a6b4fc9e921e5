//! What became of very many downloads, said when all of them are over.

use std::time::Duration;

use crate::cli::command_line::command_line;
use crate::cli::downloads::{ANNOUNCED_MAX, Downloads, Item};
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

/// One file that is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneFile<'a> {
    pub(super) name: &'a str,
    /// Its bytes, and those that came over the network.
    pub(super) bytes: u64,
    pub(super) fetched: u64,
    pub(super) took: Duration,
    /// Peers that it came from, and the name of the only one.
    pub(super) peers: usize,
    pub(super) from: Option<&'a str>,
    /// The first name of the same content, if this is another.
    pub(super) same_as: Option<&'a str>,
}

impl OneFile<'_> {
    pub(super) fn text(&self) -> String {
        let name = human::label(self.name);
        match (self.peers, self.same_as) {
            (0, Some(first)) => format!("{name}: the same content as {}, verified", human::quoted(first)),
            (0, None) if self.bytes == 0 => format!("{name}: empty"),
            (0, None) => format!("{name}: already here, verified"),
            (peers, _) => {
                let (size, rate) = (human::size(self.bytes), human::bytes_per_s(self.fetched, self.took));
                let pace = match self.took < RATE_OVER_MIN {
                    true => String::new(),
                    false => format!(" in {}, {},", human::span(self.took), human::rate(rate)),
                };
                let from = match self.from.filter(|name| peers == 1 && !name.is_empty()) {
                    Some(peer) => human::label(peer),
                    None => human::counted(peers, "peer", "peers"),
                };
                format!("{name}: {size}{pace} from {from}, verified")
            }
        }
    }
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
            run.out.note(&format!("  next: fetch only the missing files: {}", command_line()));
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
            text += &format!("; {} not changed", human::count(self.left_alone as u64));
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
    fn one_file_has_a_rate_only_when_it_took_a_while() {
        let ms = Duration::from_millis;
        let (name, peers) = ("one.jpg", 1);
        let one = OneFile {
            name,
            bytes: 300,
            fetched: 300,
            took: ms(4),
            peers,
            from: Some("alice"),
            same_as: None,
        };
        for (file, text) in [
            (one, "one.jpg: 300 B from alice, verified"),
            (OneFile { from: None, ..one }, "one.jpg: 300 B from 1 peer, verified"),
            (OneFile { peers: 2, ..one }, "one.jpg: 300 B from 2 peers, verified"),
            (OneFile { took: ms(1500), ..one }, "one.jpg: 300 B in 1.5 s, 200 B/s, from alice, verified"),
            (OneFile { peers: 0, ..one }, "one.jpg: already here, verified"),
            (OneFile { peers: 0, bytes: 0, ..one }, "one.jpg: empty"),
            (
                OneFile { peers: 0, same_as: Some("two.jpg"), ..one },
                "one.jpg: the same content as \"two.jpg\", verified",
            ),
        ] {
            assert_eq!(file.text(), text);
        }
    }

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
                "300 files, 790 B in 3.0 s, 263 B/s, from 1 peer, verified; 2 not changed",
            ),
            (Stats { done: 0, bytes: 0, peers: 0, ..all }, "0 of 300 files; 300 failed"),
            (Stats { left_alone: 300, bytes: 0, peers: 0, ..all }, "300 files; 300 not changed"),
        ] {
            assert_eq!(stats.text(), text);
        }
    }
}
