//! Downloads that cannot get on: whether the file was replaced or removed, who else is asked, and for how long it waits.

use crate::core::io::{Event, FailReason};
use crate::core::native::download::manifest::PAGE_DEADLINE;
use crate::core::native::download::state::Phase;
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::wire::message::Wanted;
use std::time::Duration;

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
