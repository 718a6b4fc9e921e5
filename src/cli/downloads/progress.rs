//! How far the downloads are, shown: the line that renews itself on a terminal, plain lines elsewhere, `progress` lines with
//! `--json`; each no more often than it is read.

use std::time::Instant;

use crate::cli::classic::fetches::Fetches;
use crate::cli::downloads::Downloads;
use crate::cli::downloads::item::{Flow, Item};
use crate::cli::human;
use crate::cli::json::Line;
use crate::cli::progress::Pace;
use crate::cli::run::Run;
use crate::core::status::DownloadStatus;
use crate::types::name::printable;

impl Downloads {
    /// Tells how far things are, as often as is due.
    pub(crate) fn tick(&mut self, run: &mut Run<'_>, now: Instant) {
        let live = run.out.is_live() && self.live.is_due(now);
        let plain = !run.out.is_live() && !run.out.is_quiet() && self.is_plain_due(now);
        let json = run.out.is_json() && self.json.is_due(now);
        if !live && !plain && !json {
            return;
        }
        let peer = run.reactor.core();
        let (downloads, connected) = (peer.downloads(), peer.connected());
        for download in &downloads {
            let Some(item) = self.items.get_mut(&download.content).filter(|item| !item.ended) else {
                continue;
            };
            item.bytes = download.bytes.min(item.size);
            item.have = download.have;
            let fetched = item.fetched();
            let flow = item.flow_mut();
            flow.pace.add(now, fetched);
            if json && flow.line.is_due(now) {
                item.report(run, download);
            }
        }
        self.pace.add(now, self.items.values().map(Item::fetched).fold(0, u64::saturating_add));
        if live {
            run.out.show(&self.line(&downloads, connected));
        } else if plain {
            run.out.note(&self.line(&downloads, connected));
        }
    }

    /// Whether it is time to say, where there is no terminal, that something is looked for or on its way.
    fn is_plain_due(&mut self, now: Instant) -> bool {
        self.plain.is_due(now) && !self.are_over()
    }

    /// How far everything is, in a line.
    fn line(&self, downloads: &[DownloadStatus], connected: usize) -> String {
        let whole = self.items.values().map(|item| item.size).fold(0, u64::saturating_add);
        let had: u64 = self.items.values().map(|item| item.bytes).fold(0, u64::saturating_add);
        let (what, peers) = match self.files {
            0 => {
                let classic = self.classic.as_ref().and_then(Fetches::line);
                return classic.unwrap_or_else(|| "looking for it".to_owned());
            }
            1 => {
                let name =
                    self.items.values().next().map(|item| human::shortened(&printable(&item.name), 32));
                (name.unwrap_or_default(), downloads.first().map_or(0, |download| download.sources))
            }
            all => {
                let files = format!(
                    "{} of {}",
                    human::count(all.saturating_sub(self.open_files) as u64),
                    human::counted(all, "file", "files")
                );
                (files, connected)
            }
        };
        format!(
            "{what}  {}%  {} of {}  {}  {}",
            human::percent(had, whole),
            human::size(had),
            human::size(whole),
            flow(&self.pace, whole.saturating_sub(had), peers),
            human::counted(peers, "peer", "peers")
        )
    }
}

/// How fast `left` bytes come, and when they will be here. Without a peer nothing comes, whatever the rate of the last few
/// seconds was.
fn flow(pace: &Pace, left: u64, peers: usize) -> String {
    match pace.eta(left).filter(|_| peers > 0 || left == 0) {
        Some(eta) => format!("{}  {} left", human::rate(pace.bytes_per_s()), human::eta(eta)),
        None => "waiting".to_owned(),
    }
}

impl Item {
    fn report(&self, run: &mut Run<'_>, download: &DownloadStatus) {
        let Some(Flow { pace, .. }) = self.flow.as_deref() else { return };
        run.out.json(&Line::Progress {
            id: download.content,
            name: &self.name,
            size: self.size,
            bytes: self.bytes,
            have: download.have,
            chunks: download.chunks,
            in_flight: download.in_flight,
            rate: pace.bytes_per_s(),
            eta: pace.eta(self.size.saturating_sub(self.bytes)).map(|eta| eta.as_secs()),
            peers: download.sources,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::progress::Plain;
    use crate::cli::run::Target;
    use crate::cli::wanted::Request;

    #[test]
    fn what_is_looked_for_is_told_where_there_is_no_terminal() {
        let requests = vec![Request::parse("talk.mkv").unwrap()];
        let (wait, stall) = (Duration::from_secs(60), Duration::from_secs(600));
        let mut downloads = Downloads::new(requests, Target::default(), wait, stall, 7117);
        let start = Instant::now();
        let told: Vec<u64> =
            (0..=20).filter(|s| downloads.is_plain_due(start + Duration::from_secs(*s))).collect();
        assert_eq!(told, [5, 10, 15, 20]);
        assert_eq!(downloads.line(&[], 0), "looking for it");
        downloads.searches[0].ended = true;
        assert!(!downloads.is_plain_due(start + Duration::from_secs(30)), "it is over");
    }

    #[test]
    fn a_rate_is_for_who_has_a_peer() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        pace.begin(start, 0);
        assert_eq!(flow(&pace, 1 << 30, 1), "waiting");
        pace.add(start + Plain::INTERVAL, 50 << 20);
        assert_eq!(flow(&pace, 100 << 20, 1), "10.0 MiB/s  10 s left");
        assert_eq!(flow(&pace, 100 << 20, 0), "waiting");
    }
}
