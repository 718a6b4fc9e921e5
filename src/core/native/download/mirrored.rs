//! Downloads for the mirror: room is reserved before a chunk is written.

use crate::core::door::Event;
use crate::core::native::{Ctx, Engine};
use crate::types::id::ContentId;

impl Engine {
    /// Some of a content is about to be written. False when it is the mirror's and there is no room for all of it.
    pub(in crate::core) fn mirror_reserves(&mut self, content: &ContentId) -> bool {
        let geometry = self.downloader.get(content).and_then(|download| download.geometry);
        match (&mut self.mirror, geometry) {
            (Some(mirror), Some(geometry)) => mirror.reserve(content, geometry.size_bytes()),
            _ => true,
        }
    }

    /// The true size of a download is known. False when the mirror fetches it and has no room for that now.
    pub(in crate::core) fn mirror_has_room(
        &mut self,
        ctx: &mut Ctx<'_>,
        content: &ContentId,
        size: u64,
    ) -> bool {
        let has_room = self.mirror.as_ref().is_none_or(|mirror| mirror.has_room(content, size));
        let grew = self.downloader.get(content).is_some_and(|download| download.size_claimed < size);
        if !has_room && grew {
            let text =
                format!("no room to mirror a file that is larger than it was said to be: {size} bytes");
            ctx.outputs.event(Event::Warning(text));
        }
        has_room
    }

    /// Whether a content is fetched for the mirror.
    pub(in crate::core) fn is_for_mirror(&self, content: &ContentId) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| mirror.is_coming(content))
    }
}
