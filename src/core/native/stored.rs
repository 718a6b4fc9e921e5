//! What the store says of shared files.

use crate::core::native::{Ctx, Engine};
use crate::types::id::ContentId;
use crate::wire::message::RefuseReason;

impl Engine {
    /// A shared file is offered from now on. False when its size is impossible.
    pub(crate) fn on_offered(&mut self, ctx: &mut Ctx, content: ContentId, name: &str, size: u64) -> bool {
        let Ok(geometry) = ctx.config.topology.cut(size, ctx.config.limits.tactics.chunk_bytes) else {
            return false;
        };
        ctx.catalogue.add_complete(content, name, geometry);
        self.note_seekers(&content, name);
        if let Some(mirror) = &mut self.mirror {
            mirror.returned(&content);
        }
        if ctx.config.topology.is_owner() {
            // Who asked before it was hashed was told that it is not here.
            self.tell_cut(ctx, content);
            self.links
                .on(&content)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|conn| self.begin_seeding(ctx, conn, content));
        }
        self.tell_haves(ctx, content);
        self.announce_soon(ctx);
        true
    }

    /// A shared file is not offered any more.
    pub(crate) fn on_withdrawn(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        name: &str,
        reason: RefuseReason,
    ) {
        if ctx.catalogue.remove_name(&content, name) {
            ctx.catalogue.note_gone(content, reason);
            self.withdraw_everywhere(ctx, content, reason);
            self.withdraw_offers(ctx, &content);
            if let Some(mirror) = &mut self.mirror {
                mirror.gone(content);
            }
        } else {
            self.withdraw_from_beginners(ctx, content, reason);
        }
        self.announce_soon(ctx);
    }
}
