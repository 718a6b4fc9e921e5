//! What a `get` fetches from classic peers because no native peer offers it.

use crate::cli::classic::fetches::Fetches;
use crate::cli::downloads::Downloads;
use crate::cli::human;
use crate::cli::run::Run;
use crate::cli::wanted::Request;
use crate::core::{ClassicEvent, FailReason};
use crate::types::name::printable;
use crate::wire::classic::records::failure_line;
use crate::wire::message::Wanted;

impl Downloads {
    /// From here on, names that no native peer offers are got from classic peers. Says for what that does not hold.
    pub(crate) fn also_classic(&mut self, run: &mut Run<'_>, fetches: Fetches) {
        if self.requests().any(|request| classic_name(request).is_none()) {
            run.out.note(
                "patterns, ids and NAME@PEER are asked of native peers alone; classic peers know names",
            );
        }
        self.classic = Some(fetches);
    }

    /// Goes on with a search that found no native peer among the classic ones; false where that makes no sense.
    pub(super) fn goes_classic(&mut self, run: &mut Run<'_>, ticket: u32, reason: &FailReason) -> bool {
        let Some(classic) = &mut self.classic else { return false };
        let Some(search) = self.searches.get_mut(ticket as usize).filter(|search| !search.ended) else {
            return false;
        };
        let Some(name) = name_for_classic(&search.request, reason) else { return false };
        search.ended = true;
        run.out.note(&format!(
            "{}: no native peer offers it; waiting for the next announcements of classic peers, up to {}",
            human::label(name),
            human::span(classic.wait())
        ));
        classic.begin(run, ticket, name);
        true
    }

    /// Takes in an event about classic peers.
    pub(super) fn take_classic(&mut self, run: &mut Run<'_>, event: &ClassicEvent) {
        let Some(classic) = &mut self.classic else { return };
        if let ClassicEvent::ChunkFailed { name, .. } = event {
            run.out.note(&printable(&failure_line(name)));
        }
        classic.take(run, event);
    }
}

/// The name by which classic peers are asked after a search failed for `reason`.
fn name_for_classic<'a>(request: &'a Request, reason: &FailReason) -> Option<&'a str> {
    classic_name(request).filter(|_| matches!(reason, FailReason::NobodyOffers { .. }))
}

/// The name that a request stands for among classic peers, which know nothing else.
fn classic_name(request: &Request) -> Option<&str> {
    match (&request.wanted, &request.at) {
        (Wanted::Name(name), None) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_that_nobody_offers_is_asked_of_classic_peers() {
        let nobody = FailReason::NobodyOffers { peers: 3, similar: vec![] };
        let several = FailReason::Ambiguous { candidates: vec![] };
        let id = "ab".repeat(32);
        for (text, reason, name) in [
            ("forest.png", &nobody, Some("forest.png")),
            ("photo@2x.png@", &nobody, Some("photo@2x.png")),
            ("forest.png", &several, None),
            ("forest.png@lab-7", &nobody, None),
            ("*.png", &nobody, None),
            ("id:3f9a", &nobody, None),
            (&id, &nobody, None),
        ] {
            let request = Request::parse(text).unwrap();
            assert_eq!(name_for_classic(&request, reason), name, "{text}");
        }
    }
}
