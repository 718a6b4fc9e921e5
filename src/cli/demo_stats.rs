//! The report of a demo: how many chunks each peer got from which peer, and how long it took.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::human;
use crate::types::name::printable;

/// What is counted in one demo.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Chunks by (who got it, who gave it).
    chunks: BTreeMap<(usize, String), u64>,
    /// Of those, chunks from peers that did not have the whole file yet.
    from_partial: u64,
    /// Seconds each downloader needed.
    took: BTreeMap<usize, f64>,
    /// What went wrong, by who told.
    errors: Vec<(usize, String)>,
}

/// What a line of a peer means for the demo as a whole.
#[derive(Debug, PartialEq)]
pub(crate) enum Reported {
    /// The sharer offers a file: its id.
    Shared(String),
    /// A downloader has the file.
    Done,
    /// Something failed.
    Failed,
    /// Anything else.
    Nothing,
}

impl Stats {
    /// Takes in a JSON line of peer `who`.
    pub(crate) fn take(&mut self, who: usize, line: &str) -> Reported {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return Reported::Nothing };
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        match line["t"].as_str() {
            Some("content") if text("event") == "shared" => Reported::Shared(text("id")),
            Some("chunk") if text("dir") == "down" => {
                *self.chunks.entry((who, text("user"))).or_insert(0) += 1;
                if line["from_complete"] == Value::Bool(false) {
                    self.from_partial += 1;
                }
                Reported::Nothing
            }
            Some("done") => {
                self.took.insert(who, line["dur"].as_f64().unwrap_or_default());
                Reported::Done
            }
            Some("error") => {
                self.errors.push((who, text("message")));
                Reported::Failed
            }
            _ => Reported::Nothing,
        }
    }

    /// How many downloaders have the file.
    pub(crate) fn done(&self) -> usize {
        self.took.len()
    }

    /// Seconds that downloader `who` needed.
    pub(crate) fn seconds(&self, who: usize) -> f64 {
        self.took.get(&who).copied().unwrap_or_default()
    }

    /// How many peers gave downloader `who` a chunk.
    pub(crate) fn givers(&self, who: usize) -> usize {
        self.chunks.keys().filter(|(getter, _)| *getter == who).count()
    }

    /// What went wrong, as sentences.
    pub(crate) fn errors(&self, names: &[String]) -> Vec<String> {
        let name = |who: usize| names.get(who).map_or("?", String::as_str);
        self.errors.iter().map(|(who, text)| format!("{}: {}", name(*who), printable(text))).collect()
    }

    /// All of it in a table and a sentence; `names` are the peers' by number, the sharer's first.
    pub(crate) fn report(&self, names: &[String], bytes: u64) -> String {
        let mut headings = vec!["", "TIME", "RATE"];
        headings.extend(names.iter().map(String::as_str));
        let from: Vec<String> =
            std::iter::repeat_n(String::new(), 3).chain(names.iter().map(|_| "gave".to_owned())).collect();
        let rows = names.iter().enumerate().skip(1).map(|(who, name)| {
            let seconds = self.seconds(who);
            let took = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
            let mut row =
                vec![name.clone(), format!("{seconds:.2} s"), human::rate(human::bytes_per_s(bytes, took))];
            row.extend(names.iter().map(|giver| match self.chunks.get(&(who, giver.clone())) {
                Some(chunks) => chunks.to_string(),
                None => "-".to_owned(),
            }));
            row
        });
        let rows: Vec<Vec<String>> = std::iter::once(from).chain(rows).collect();
        let right: Vec<usize> = (1..headings.len()).collect();
        let table = human::table(&headings, &right, &rows);
        let all: u64 = self.chunks.values().sum();
        if all == 0 {
            return table;
        }
        let from_sharer: u64 =
            self.chunks.iter().filter(|((_, from), _)| Some(from) == names.first()).map(|(_, n)| n).sum();
        let (all_text, partial) = (human::count(all), human::count(self.from_partial));
        format!(
            "{table}\nOf {all_text} chunks, {} came from the sharer and {} from other peers, {partial} of them from a peer that was \
             not complete yet.",
            human::count(from_sharer),
            human::count(all - from_sharer)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted_by_giver() {
        let names = ["sharer", "peer-1", "peer-2"].map(str::to_owned);
        let mut stats = Stats::default();
        let chunk = |user: &str, complete: bool| {
            format!(r#"{{"t":"chunk","dir":"down","user":"{user}","from_complete":{complete}}}"#)
        };
        assert_eq!(
            stats.take(0, r#"{"t":"content","event":"shared","id":"ab"}"#),
            Reported::Shared("ab".into())
        );
        for (who, user, complete) in
            [(1, "sharer", true), (1, "sharer", true), (1, "peer-2", false), (2, "sharer", true)]
        {
            assert_eq!(stats.take(who, &chunk(user, complete)), Reported::Nothing);
        }
        assert_eq!(stats.take(1, r#"{"t":"chunk","dir":"up","user":"peer-2"}"#), Reported::Nothing);
        assert_eq!(stats.take(1, r#"{"t":"done","dur":0.5}"#), Reported::Done);
        assert_eq!(stats.take(2, "not json"), Reported::Nothing);
        assert_eq!((stats.done(), stats.seconds(1), stats.givers(1)), (1, 0.5, 2));
        let report = stats.report(&names, 1 << 20);
        assert!(report.contains("peer-1  0.50 s  2.0 MiB/s       2       -       1"), "{report}");
        assert!(
            report.contains("Of 4 chunks, 3 came from the sharer and 1 from other peers, 1 of them"),
            "{report}"
        );
        stats.take(2, r#"{"t":"error","message":"no\u001b"}"#);
        assert_eq!(stats.errors(&names).len(), 1);
        assert!(!stats.errors(&names)[0].contains('\u{1b}'));
    }
}
