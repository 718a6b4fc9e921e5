//! Who has nothing to send says so to some who lack what it has; who hears it asks there, if need be for what waits elsewhere.
//!
//! Without it requests wait at busy holders while others idle: who asks does not know how long the lines are.

use std::time::Duration;

use crate::core::io::ConnId;
use crate::core::native::session::channels::Channel;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::ContentId;
use crate::wire::message::Frame;

/// So many are told at once.
const TOLD_AT_ONCE: usize = 2;
/// With so few chunks under way, and none waiting, a peer counts as idle: by the time the next request is here, they are out.
const UNDER_WAY_FEW: usize = 2;
/// If nobody asks for so long, others are told; the pause doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What an idle peer remembers.
#[derive(Debug)]
pub(crate) struct Idleness {
    /// What was sent, or came, last.
    content: Option<ContentId>,
    pause: Duration,
}

impl Default for Idleness {
    fn default() -> Idleness {
        Idleness { content: None, pause: PAUSE_MIN }
    }
}

impl Engine {
    /// A chunk of a content begins to leave, has left, or has come: if nothing waits to be sent, others are told.
    pub(crate) fn note_room(&mut self, ctx: &mut Ctx, content: ContentId) {
        self.idleness.content = Some(content);
        if self.is_idle(ctx) && !ctx.timers.is_set(&Timer::Idle) {
            self.tell_idle(ctx);
        }
    }

    /// Somebody asked: there is no need to tell others.
    pub(crate) fn end_idleness(&mut self, ctx: &mut Ctx) {
        self.idleness.pause = PAUSE_MIN;
        ctx.timers.clear(Timer::Idle);
    }

    /// Tells some who lack what is here that it can be had at once, and others again when nobody asks.
    pub(crate) fn tell_idle(&mut self, ctx: &mut Ctx) {
        let Some(content) = self.idleness.content.filter(|_| self.is_idle(ctx)) else { return };
        let mut conns: Vec<ConnId> = self.links.on(&content).collect();
        let first = ctx.rng.below(conns.len().max(1)).min(conns.len());
        conns.rotate_left(first);
        let mut told = 0_usize;
        for conn in conns {
            if told < TOLD_AT_ONCE
                && let Some(channel) = self.channel_of_lacking(ctx, conn, &content)
            {
                self.say(ctx, conn, Frame::Idle { channel });
                told = told.saturating_add(1);
            }
        }
        // With nobody to tell there is nothing to repeat: the next chunk that comes begins anew.
        if told > 0 {
            ctx.timers.set(Timer::Idle, ctx.now + self.idleness.pause);
            self.idleness.pause = self.idleness.pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    pub(crate) fn is_idle(&self, ctx: &Ctx) -> bool {
        ctx.config.topology.tells_idle()
            && !ctx.is_leaving
            && ctx.uploads.waiting() == 0
            && ctx.uploads.len() <= UNDER_WAY_FEW
    }

    /// The channel on which a connection is told of a content of which it lacks something that is advertised.
    fn channel_of_lacking(&self, ctx: &Ctx, conn: ConnId, content: &ContentId) -> Option<u32> {
        let (number, channel) = ctx.conns.native(conn)?.channels.of(content)?;
        let holding = ctx.catalogue.get(content)?;
        let told = channel.told.is_some() && !channel.withdrawn && !channel.refused;
        let Channel { remote, advertised, .. } = channel;
        let lacks = match (advertised, holding.bits(), remote) {
            _ if holding.count() == 0 => false,
            (_, _, Some(remote)) if remote.is_full() => false,
            (_, _, None) => true,
            (Some(advertised), _, Some(remote)) => !advertised.bits().is_within(remote),
            (None, None, Some(_)) => true,
            (None, Some(bits), Some(remote)) => !bits.is_within(remote),
        };
        (told && lacks).then_some(number)
    }
}
