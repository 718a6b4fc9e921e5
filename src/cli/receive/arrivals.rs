//! The report of offered files that have arrived.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::human;
use crate::cli::json::{ArrivalLine, OfferLine, seconds};
use crate::cli::receive::incoming::Offer;
use crate::cli::receive::report_offer;
use crate::cli::run::Run;
use crate::cli::viewing::{Viewing, kind_words, look};
use crate::types::ContentId;

/// The offers that were accepted and have not ended.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    by_content: BTreeMap<ContentId, Offer>,
}

/// A file that is here.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub(super) path: &'a Path,
    /// Bytes of it that came over the network in this run, and how long that took.
    pub(super) fetched: u64,
    pub(super) took: Duration,
}

impl Arrivals {
    pub(super) fn accepted(&mut self, offer: &Offer) {
        self.by_content.insert(offer.content, offer.clone());
    }

    pub(super) fn failed(&mut self, content: &ContentId) {
        self.by_content.remove(content);
    }

    /// The file is here: it is told by whom, and shown.
    pub(super) fn finished(
        &mut self,
        run: &mut Run<'_>,
        viewing: &mut Viewing,
        content: &ContentId,
        file: &Arrived<'_>,
    ) {
        let Some(offer) = self.by_content.remove(content) else { return };
        let look = look(file.path);
        let latency = Instant::now().saturating_duration_since(offer.came);
        let rate = human::bytes_per_s(file.fetched, file.took);
        let kind = look.as_ref().map(|look| look.kind.word());
        let line = ArrivalLine { kind, latency: seconds(latency), rate };
        report_offer(run, &offer, OfferLine::Received, None, Some(line));
        run.out.note(&format!(
            "received {} from {}\n  type {}, {}, latency {:.3} s, {}; verified",
            human::quoted(&offer.name),
            human::peer(&offer.from),
            kind_words(look.as_ref()),
            human::size(offer.size),
            latency.as_secs_f64(),
            human::rate(rate),
        ));
        viewing.view(run, file.path, look.as_ref());
    }
}
