//! Downloads that cannot get on: whether the file was replaced or removed while somebody began to fetch it, who else is asked, and
//! for how long it waits. Of a content under several names, one may be withdrawn.

use std::sync::Arc;
use std::time::Duration;

use crate::core::io::{ConnId, Event, FailReason, PeerRef};
use crate::core::native::discovery::searches::{Asked, Purpose, title};
use crate::core::native::download::manifest::PAGE_DEADLINE;
use crate::core::native::download::state::{Phase, Wish};
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::types::name::Layout;
use crate::wire::message::{Entry, RefuseReason, Wanted};

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

/// A download without sources for so long says what it waits for.
const WAITING_AFTER: Duration = Duration::from_millis(900);

/// After the last holder was banned, another may still turn up within this time.
const INTEGRITY_GRACE: Duration = Duration::from_secs(2);

/// The first few missing chunks that are named.
const MISSING_NAMED_MAX: usize = 8;
/// A download in an arrangement of neighbours says what it waits for after so long.
const NEIGHBOURS_WAITING_AFTER: Duration = Duration::from_secs(5);

impl Engine {
    /// Can this download get on with the peers that are connected?
    pub(crate) fn review_supply(&mut self, ctx: &mut Ctx, content: ContentId) {
        let Some(download) = self.downloader.get(&content) else { return };
        let idle_for = ctx.now.since(download.supplied);
        let (missing_count, missing) = match &download.phase {
            // Until it is late, a page that was asked for is on its way.
            Phase::Manifest(Some(_)) if idle_for < PAGE_DEADLINE => return,
            Phase::Manifest(None) if self.downloader.blocked.contains(&content) => {
                return self.note_supplied(ctx, content);
            }
            Phase::Manifest(_) => (0, Vec::new()),
            Phase::Running | Phase::Proving(_) => {
                let coming = download.flights.values().flatten().any(|flight| !flight.late);
                // For want of buffers or of room at a source it waits for itself, not for others.
                let blocked = self.downloader.blocked.contains(&content);
                if coming || blocked || !download.storing.is_empty() {
                    return self.note_supplied(ctx, content);
                }
                let missing = self.missing_chunks(ctx, &content);
                let named = missing.iter().copied().take(MISSING_NAMED_MAX).collect();
                (u32::try_from(missing.len()).unwrap_or(u32::MAX), named)
            }
            _ => return,
        };
        if self.review_replaced(ctx, content) {
            return;
        }
        if self.review_removed(ctx, content) {
            return;
        }
        let Some(download) = self.downloader.get(&content) else { return };
        if self.all_banned(ctx, &content) && idle_for >= INTEGRITY_GRACE {
            let banned = download.banned.clone();
            return self.fail_download(ctx, content, FailReason::Integrity { banned });
        }
        if idle_for >= self.stall_of(ctx, &content) {
            let of = download.geometry.map_or(0, |geometry| geometry.chunks());
            let have = ctx.catalogue.get(&content).map_or(0, |holding| holding.count());
            return self.fail_download(
                ctx,
                content,
                FailReason::Stalled { missing: of.saturating_sub(have), of },
            );
        }
        let ask_again = download.next_query <= ctx.now;
        let Some(download) = self.downloader.get_mut(&content) else { return };
        if ask_again {
            download.queried(ctx.now);
        }
        let waiting_after =
            if ctx.config.topology.finds_peers() { WAITING_AFTER } else { NEIGHBOURS_WAITING_AFTER };
        let say = !download.waiting && idle_for >= waiting_after;
        download.waiting |= say;
        if say {
            ctx.outputs.event(Event::Waiting { content, missing, missing_count });
        }
        if ask_again {
            self.query(ctx, Wanted::Id(content));
            if let Some(name) = self.name_to_ask(ctx, &content) {
                self.query(ctx, name);
            }
        }
    }
}

/// What its only holder removed may be on offer again within this time: some programs save a file so.
const REMOVED_GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// A holder withdrew a content because its file changed or is gone. A download that was asked for by name, and of which
    /// nothing is here, counts on nobody any more who offers the content under other names only.
    pub(crate) fn note_changed(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        reason: RefuseReason,
    ) {
        if !matches!(reason, RefuseReason::Changed | RefuseReason::Gone)
            || ctx.catalogue.get(&content).is_some_and(|holding| holding.count() > 0)
        {
            return;
        }
        let from = ctx.conns.native(conn).map(|connection| connection.peer_ref());
        let Some(download) = self.downloader.get_mut(&content).filter(|download| download.wants_peers())
        else {
            return;
        };
        download.removed =
            from.filter(|_| reason == RefuseReason::Gone).map(|from| Box::new((ctx.now, from)));
        let asked = download.wish.ticket.and_then(|ticket| self.searches.asked(ticket));
        if asked.is_some_and(|asked| asked.by_name) {
            self.directory.name_only(content, &download.wish.name);
        }
    }

    /// The only holder of a download removed the file, and nothing of it is here: the download fails soon. True when it
    /// has.
    pub(crate) fn review_removed(&mut self, ctx: &mut Ctx, content: ContentId) -> bool {
        let removed = self.downloader.get(&content).and_then(|download| download.removed.as_deref());
        let Some((since, from)) = removed.cloned() else { return false };
        let is_begun = ctx.catalogue.get(&content).is_some_and(|holding| holding.count() > 0);
        let is_over =
            !is_begun && ctx.now.since(since) >= REMOVED_GRACE && self.name_to_ask(ctx, &content).is_some();
        if is_over {
            self.fail_download(ctx, content, FailReason::Removed { from });
        }
        is_over
    }

    /// A peer does not hold a content after all.
    pub(crate) fn unlist(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, reason: RefuseReason) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.of(&content).is_none_or(|(_, channel)| channel.refused) {
            // Said once is enough.
            return;
        }
        let (from, known) = (connection.peer_ref(), connection.known_peer());
        // Who only looks for it, too, will name it; so will a neighbour that does not know yet what there is.
        let holds = known.is_some_and(|peer| self.directory.is_holder(&peer, &content));
        let seeks = known.is_some_and(|peer| self.is_on_overlay(ctx, &peer, &content)) && !holds;
        let not_yet = reason == RefuseReason::Unknown && (seeks || !ctx.config.topology.finds_peers());
        if let Some(peer) = known {
            self.directory.unlist(&peer, &content);
        }
        if self.downloader.get(&content).is_some_and(|download| download.wants_peers()) && !not_yet {
            ctx.outputs.event(Event::SourceLost { content, from, why: reason.text() });
        }
        self.note_changed(ctx, conn, content, reason);
        self.lose_source(ctx, conn, content);
        if self.name_to_ask(ctx, &content).is_some()
            && let Some(download) = self.downloader.get_mut(&content)
        {
            // The next review asks who has the name now, whenever the last question was.
            download.next_query = ctx.now;
        }
    }
}
