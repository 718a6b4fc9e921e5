//! Downloads for the mirror: room is reserved before a chunk is written.

use crate::core::io::{Event, FailReason};
use crate::core::native::download::state::Phase;
use crate::core::native::effects::Effect;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::{ContentId, units};

impl Engine {
    /// Some of a content is about to be written. False when it is the mirror's and there is no room for all of it.
    pub(crate) fn mirror_reserves(&mut self, content: &ContentId) -> bool {
        let geometry = self.downloader.get(content).and_then(|download| download.geometry);
        match (&mut self.mirror, geometry) {
            (Some(mirror), Some(geometry)) => mirror.reserve(content, geometry.size_bytes()),
            _ => true,
        }
    }

    /// The true size of a download is known. False when the mirror fetches it and has no room for that now.
    pub(crate) fn mirror_has_room(&mut self, ctx: &mut Ctx, content: &ContentId, size: u64) -> bool {
        let has_room = self.mirror.as_ref().is_none_or(|mirror| mirror.has_room(content, size));
        let grew = self.downloader.get(content).is_some_and(|download| download.wish.size_claimed < size);
        if !has_room && grew {
            let text = format!(
                "a file of {} is larger than announced and does not fit into --mirror-max",
                units::size(size)
            );
            ctx.outputs.event(Event::Warning(text));
        }
        has_room
    }

    /// Whether a content is fetched for the mirror.
    pub(crate) fn is_for_mirror(&self, content: &ContentId) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| mirror.is_coming(content))
    }

    /// A content is here wholly that was fetched, with so many bytes, or (`None`) was found here.
    pub(crate) fn mirror_finished(&mut self, _ctx: &mut Ctx, content: &ContentId, fetched: Option<u64>) {
        if let Some(mirror) = &mut self.mirror {
            mirror.finished(content, fetched);
            self.effects.push(Effect::MirrorFreed);
        }
    }

    /// A chunk of a content came and was right.
    pub(crate) fn mirror_came(&mut self, _ctx: &mut Ctx, content: &ContentId) {
        if let Some(mirror) = &mut self.mirror {
            mirror.came(content);
            self.effects.push(Effect::MirrorFreed);
        }
    }

    /// A chunk was not right: when it was the first, its content has no room.
    pub(crate) fn mirror_missed(&mut self, ctx: &mut Ctx, content: &ContentId) {
        let has_some = ctx.catalogue.get(content).is_some_and(|holding| holding.count() > 0)
            || self.downloader.get(content).is_some_and(|download| !download.storing.is_empty());
        if let Some(mirror) = self.mirror.as_mut().filter(|_| !has_some) {
            mirror.nothing_there(content);
            self.effects.push(Effect::MirrorFreed);
        }
    }

    /// A download ended without the file: if the mirror wanted it, it is tried again. Says whether its part is to be deleted.
    pub(crate) fn mirror_failed(&mut self, ctx: &mut Ctx, content: ContentId, reason: &FailReason) -> bool {
        let Some(download) = self.downloader.get(&content) else { return false };
        let part_bytes = match download.phase {
            Phase::Running | Phase::Publishing => ctx.catalogue.get(&content).map(|holding| {
                let (count, geometry) = (u64::from(holding.count()), holding.geometry);
                count.saturating_mul(geometry.chunk_bytes().into()).min(geometry.size_bytes())
            }),
            Phase::Proving(_) => Some(0),
            _ => None,
        };
        let (name, size) = (&download.wish.name, download.wish.size_claimed);
        let failure =
            self.mirror.as_mut().and_then(|mirror| mirror.failed(ctx.now, content, name, size, part_bytes));
        if let Some(failure) = failure.filter(|_| !ctx.is_leaving && *reason != FailReason::Cancelled) {
            ctx.timers.set_no_later(Timer::Mirror, failure.again);
        }
        self.effects.push(Effect::MirrorFreed);
        failure.is_some_and(|failure| failure.drops_part)
    }
}
