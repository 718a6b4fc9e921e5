//! The report of files that recipients did not take because they have enough: one failure for each recipient.

use std::path::PathBuf;

use crate::cli::run::Run;
use crate::cli::send::result::Refusal;
use crate::cli::send::stats::{Item, Stats};

impl Stats {
    /// Reports each recipient that has enough, once for all files that it did not take. `paths` are those of the command,
    /// and `flags` are those of this network.
    pub(in crate::cli::send) fn report_refused(&mut self, run: &mut Run<'_>, paths: &[PathBuf], flags: &str) {
        for (at, place) in self.recipients.iter_mut().enumerate() {
            let refused = std::mem::take(&mut place.refused);
            let items: Vec<&Item> = refused.iter().filter_map(|at| self.items.get(*at)).collect();
            let Some(peer) = items.iter().find_map(|item| item.peer.as_ref()) else { continue };
            let all = self.items.iter().filter(|item| item.to == at);
            let (all, took) = all.fold((0, false), |(all, took), item| (all + 1, took || item.accepted));
            let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
            let paths: Vec<PathBuf> = items.iter().map(|item| path_of(paths, &item.source)).collect();
            let refusal = Refusal { to: &place.text, peer, names: &names, paths: &paths, all, took };
            refusal.failure(flags).show_plainly(run.out);
        }
    }
}

/// Where a file lies that a scan of `paths` found under this name.
fn path_of(paths: &[PathBuf], source: &str) -> PathBuf {
    let is_it = |path: &&PathBuf| match path.is_dir() {
        true => path.join(source).exists(),
        false => path.file_name().is_some_and(|name| name == source),
    };
    match paths.iter().find(is_it) {
        Some(path) if path.is_dir() => path.join(source),
        Some(path) => path.clone(),
        None => PathBuf::from(source),
    }
}
