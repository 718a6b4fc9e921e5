//! Manifests given to peers that ask.

use crate::core::io::{ConnId, Output, StoreJob};
use crate::core::native::session::Phase as ConnectionPhase;
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::types::manifest::ManifestPage;
use crate::wire::message::{Frame, RefuseReason};

/// Manifest requests that one connection may have waiting.
const MANIFEST_REQUESTS_MAX: usize = 1_024;

impl Engine {
    pub(crate) fn on_manifest_request(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, first: u32) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((number, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "asked for the manifest of nothing");
        };
        if channel.withdrawn || channel.our_cut.is_none() {
            // They hear, or heard, a refusal.
            return;
        }
        if connection.manifest_asks.len() >= MANIFEST_REQUESTS_MAX {
            return self.close_for_fault(ctx, conn, "asks faster than it reads");
        }
        connection.manifest_asks.push_back((number, first));
        self.read_next_manifest(ctx, conn);
    }

    /// The store gave a page that somebody asked for, or could not.
    pub(crate) fn on_manifest_read(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        page: Option<Box<ManifestPage>>,
    ) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.manifest_job = false;
        match (page, connection.channels.of_mut(&content)) {
            (Some(page), Some(_)) => self.say(ctx, conn, Frame::ManifestPage(*page)),
            (None, Some((number, channel))) if !channel.withdrawn => {
                channel.withdrawn = true;
                self.say(ctx, conn, Frame::Withdraw { channel: number, reason: RefuseReason::Unreadable });
            }
            _ => {}
        }
        self.read_next_manifest(ctx, conn);
    }

    /// Has the store read the next page for a connection: one at a time, and only while what was read goes out.
    pub(crate) fn read_next_manifest(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.manifest_job
            || connection.outbox.queued() >= 4
            || connection.phase != ConnectionPhase::Open
        {
            return;
        }
        while let Some((number, first)) = connection.manifest_asks.pop_front() {
            let Some(channel) = connection.channels.get(number).filter(|c| !c.withdrawn) else {
                continue;
            };
            let Some(cut) = channel.our_cut else { continue };
            connection.manifest_job = true;
            let (content, chunk_bytes) = (channel.content, cut.chunk_bytes());
            let job = StoreJob::ReadManifest { content, chunk_bytes, first, conn, channel: number };
            return ctx.outputs.push(Output::Store(job));
        }
    }
}
