//! A content that its last holder replaced: the file was edited while somebody began to fetch it.

use std::sync::Arc;

use crate::core::io::{Event, FailReason, PeerRef};
use crate::core::native::discovery::searches::{Asked, Purpose, title};
use crate::core::native::download::state::Wish;
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::types::name::Layout;
use crate::wire::message::{Entry, Wanted};

/// One file is begun anew at most so often because it was replaced. Its owner still writes to it, or somebody makes it seem so.
const RENEWALS_MAX: u32 = 5;

impl Engine {
    /// Nobody has what a download lacks: looks whether a peer that had it offers another content under its name. While
    /// nothing of it is verified, a download that was asked for by name goes on with that one. Else people are told which
    /// one it is, and the download waits. True when this download is over.
    pub(crate) fn review_replaced(&mut self, ctx: &mut Ctx, content: ContentId) -> bool {
        let Some((name, asked)) = self.orphan(ctx, &content) else { return false };
        let Purpose::Get { ticket, layout, stall, .. } = asked.purpose else { return false };
        let offered = self.offered_instead(ctx, &content, &name, &asked);
        let Some((entry, from)) = offered.first().cloned() else { return false };
        let is_begun = ctx.catalogue.get(&content).is_some_and(|holding| holding.count() > 0);
        let comes = offered.iter().all(|(entry, _)| self.comes(ctx, entry, layout));
        let Some(download) = self.downloader.get_mut(&content) else { return false };
        if is_begun || !asked.by_name {
            if download.replaced_by.as_deref() != Some(&entry.id) {
                download.replaced_by = Some(Box::new(entry.id));
                ctx.outputs.event(Event::Replaced { content, by: entry, from, begun: false });
            }
            return false;
        }
        let renewed = download.wish.renewed.saturating_add(1);
        if renewed > RENEWALS_MAX && !comes {
            self.fail_download(ctx, content, FailReason::KeepsChanging { times: renewed });
            return true;
        }
        if offered.len() > 1 && !comes {
            self.fail_download(ctx, content, FailReason::Ambiguous { candidates: offered });
            return true;
        }
        // Whether the content's other names are replaced is looked at when it is their turn.
        let followers = std::mem::take(&mut download.followers);
        let Entry { id, name, size, .. } = entry.clone();
        ctx.outputs.event(Event::Replaced { content, by: entry, from, begun: true });
        self.cancel_download(ctx, content);
        if let Some(download) = self.downloader.get_mut(&content) {
            download.followers = followers;
        }
        self.searches.note_replaced(title(content, &name, layout));
        if !comes {
            self.searches.note_renewed(title(id, &name, layout));
            let name: Arc<str> = name.into();
            ctx.outputs.event(Event::Resolved { ticket, content: id, name: Arc::clone(&name), size });
            let ticket = Some(ticket);
            let wish = Wish { name, layout, size_claimed: size, stall, began: ctx.now, ticket, renewed };
            self.begin_file(ctx, id, wish);
        }
        true
    }

    /// The name that a download is to be asked for under because nobody offers its content any more.
    pub(crate) fn name_to_ask(&self, ctx: &Ctx, content: &ContentId) -> Option<Wanted> {
        self.orphan(ctx, content).map(|(name, _)| Wanted::Name(name))
    }

    /// The name of a download that somebody asked for and that nobody can serve, and what was asked for.
    fn orphan(&self, ctx: &Ctx, content: &ContentId) -> Option<(String, Asked)> {
        let download = self.downloader.get(content)?;
        let asked = self.searches.asked(download.wish.ticket?)?.clone();
        let serves = self.links.on(content).any(|conn| self.is_counted(ctx.conns, conn, content));
        let is_orphan = self.directory.holder_count(content) == 0 && !serves;
        is_orphan.then(|| (download.wish.name.to_string(), asked))
    }

    /// Whether a file that is offered is here or being fetched already, or its end was told.
    pub(crate) fn comes(&self, ctx: &Ctx, entry: &Entry, layout: Layout) -> bool {
        let whole = ctx.catalogue.get(&entry.id).is_some_and(|holding| holding.is_complete());
        self.downloader.is_under(&entry.id, &entry.name, layout)
            || self.searches.comes(&title(entry.id, &entry.name, layout))
            || (whole && ctx.catalogue.names(&entry.id).any(|name| *name == entry.name))
    }

    /// What the peers that offered a content have begun to offer since under exactly its name, of the peer that was asked
    /// for, if one was; nothing when there is no news of them.
    fn offered_instead(
        &mut self,
        ctx: &mut Ctx,
        content: &ContentId,
        name: &str,
        asked: &Asked,
    ) -> Vec<(Entry, PeerRef)> {
        let Purpose::Get { layout, .. } = asked.purpose else { return Vec::new() };
        let mut owners = self
            .downloader
            .get_mut(content)
            .map(|download| std::mem::take(&mut download.owners))
            .unwrap_or_default();
        let mut offered: Vec<(Entry, PeerRef)> = Vec::new();
        for owner in &mut owners {
            // A peer that began again has another id, at the same endpoint.
            let mut peers = self.directory.others_at(&owner.addr, &owner.peer);
            peers.push(owner.peer);
            let news = peers.iter().filter_map(|peer| self.directory.news_of(peer));
            let (latest, entries) = news.fold((0, 0_usize), |(latest, sum), (news, entries)| {
                (news.max(latest), sum.saturating_add(entries))
            });
            if latest <= owner.seen {
                continue;
            }
            let cost =
                u32::try_from(entries).unwrap_or(u32::MAX).min(ctx.config.limits.replaced_looks_at_once);
            if !self.replaced_looks.take_many(ctx.now, cost) {
                continue;
            }
            owner.seen = latest;
            for peer in peers {
                let same = peer == owner.peer;
                let named = self.directory.named_since(&peer, name, same.then_some(owner.generation));
                let (Some(entry), Some(holder)) = (named, self.directory.peer_ref(&peer)) else { continue };
                // What somebody who began again offers may have been there before, as a file of its own.
                let counts = same || !self.comes(ctx, &entry, layout);
                let is_new = entry.id != *content && offered.iter().all(|(other, _)| other.id != entry.id);
                if counts && is_new && asked.purpose.is_about(&holder) {
                    offered.push((entry, holder));
                }
            }
        }
        if let Some(download) = self.downloader.get_mut(content) {
            download.owners = owners;
        }
        offered
    }
}
