//! A content that its last holder replaced: the file was edited while somebody began to fetch it.

use std::time::Duration;

use crate::core::door::{Event, FailReason, PeerRef};
use crate::core::downloader::Wish;
use crate::core::id::ContentId;
use crate::core::peer::Peer;
use crate::core::searches::{Asked, Purpose, Search};
use crate::core::time::Time;
use crate::wire::message::{Entry, Wanted};

/// One file is begun anew at most so often because it was replaced. Its owner still writes to it, or somebody makes it seem so.
const RENEWALS_MAX: u32 = 5;

impl Peer {
    /// Nobody has what a download lacks: looks whether another content is on offer under its name. While nothing of it is
    /// verified, a download that was asked for by name goes on with that one. Else people are told which one it is, and
    /// the download waits. True when this download is over.
    pub(in crate::core) fn review_replaced(&mut self, now: Time, content: ContentId) -> bool {
        let Some((name, asked)) = self.orphan(&content) else { return false };
        let offered = self.offered_instead(now, &content, &name, &asked);
        let Some((entry, from)) = offered.first().cloned() else { return false };
        let is_begun = self.catalogue.get(&content).is_some_and(|holding| holding.count() > 0);
        let Some(download) = self.downloader.get_mut(&content) else { return false };
        if is_begun || !asked.by_name {
            if download.replaced_by.replace(entry.id) != Some(entry.id) {
                self.event(Event::Replaced { content, by: entry, from, begun: false });
            }
            return false;
        }
        let renewed = download.renewed.saturating_add(1);
        if renewed > RENEWALS_MAX {
            self.fail_download(now, content, FailReason::KeepsChanging { times: renewed });
            return true;
        }
        if offered.len() > 1 {
            self.fail_download(now, content, FailReason::Ambiguous { candidates: offered });
            return true;
        }
        let Purpose::Get { ticket, layout, stall, .. } = asked.purpose else { return false };
        // Whether the content's other names are replaced is looked at when it is their turn.
        let followers = std::mem::take(&mut download.followers);
        let Entry { id, name, size, .. } = entry.clone();
        self.event(Event::Replaced { content, by: entry, from, begun: true });
        self.cancel_download(now, content);
        if let Some(download) = self.downloader.get_mut(&content) {
            download.followers = followers;
        }
        self.event(Event::Resolved { ticket, content: id, name: name.clone(), size });
        let ticket = Some(ticket);
        self.begin_file(
            now,
            id,
            Wish { name, layout, size_claimed: size, stall, began: now, ticket, renewed },
        );
        true
    }

    /// The name that a download is to be asked for under because nobody offers its content any more.
    pub(in crate::core) fn name_to_ask(&self, content: &ContentId) -> Option<Wanted> {
        self.orphan(content).map(|(name, _)| Wanted::Name(name))
    }

    /// The name of a download that somebody asked for and that nobody can serve, and what was asked for.
    fn orphan(&self, content: &ContentId) -> Option<(String, Asked)> {
        let download = self.downloader.get(content)?;
        let asked = self.searches.asked(download.ticket?)?.clone();
        let serves = self.links.on(content).any(|conn| self.is_counted(conn, content));
        let is_orphan = self.directory.holder_count(content) == 0 && !serves;
        is_orphan.then(|| (download.name.clone(), asked))
    }

    /// What else is on offer under exactly this name, of the peer that was asked for, if one was.
    fn offered_instead(
        &self,
        now: Time,
        content: &ContentId,
        name: &str,
        asked: &Asked,
    ) -> Vec<(Entry, PeerRef)> {
        let wanted = Wanted::Name(name.to_owned());
        let mut offered = self.found(&Search::new(asked.purpose.clone(), wanted, Duration::ZERO, now));
        offered.retain(|(entry, _)| {
            let can_be_fetched = entry.have > 0 || (entry.size == 0 && entry.of == 0);
            entry.id != *content && entry.name == name && can_be_fetched
        });
        offered
    }
}
