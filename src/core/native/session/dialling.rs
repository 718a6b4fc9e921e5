//! Dials: when an endpoint is dialled, and what its answer, or the lack of one, says of it.

use crate::core::io::{ConnId, Output, PeerRef};
use crate::core::native::effects::Effect;
use crate::core::native::session::Phase;
use crate::core::native::{Ctx, Engine};
use crate::core::room;
use crate::core::timers::Timer;
use std::net::SocketAddr;
use std::time::Duration;

/// Endpoints that are not dialled at once are drawn after this time.
pub(crate) const DIALS_PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Dials an endpoint, unless it may not be dialled now or a dial to it is under way.
    pub(crate) fn dial(&mut self, ctx: &mut Ctx, to: SocketAddr) -> Option<ConnId> {
        if self.is_connected(&to) { None } else { self.dial_though_connected(ctx, to) }
    }

    /// The same, whoever is connected and says that it listens there.
    pub(crate) fn dial_though_connected(&mut self, ctx: &mut Ctx, to: SocketAddr) -> Option<ConnId> {
        let own = to.port() == ctx.config.tcp_port && ctx.config.own_addresses.contains(&to.ip());
        if own
            || ctx.is_leaving
            || self.links.to_endpoint(&to).is_some()
            || !ctx.dialer.may_dial(ctx.now, &to)
            || !room::make(ctx, to.ip())
        {
            return None;
        }
        let conn = ctx.conns.dial(to, &ctx.config.limits, ctx.now);
        self.links.dialled(to, conn);
        ctx.timers.set(Timer::Connection(conn), ctx.now + ctx.config.limits.dial_deadline);
        ctx.outputs.push(Output::Dial { conn, to });
        Some(conn)
    }

    /// Whether a connection stands to who listens at this endpoint, whoever dialled.
    fn is_connected(&self, endpoint: &SocketAddr) -> bool {
        self.links.all_open().any(|(peer, _)| self.directory.get(peer).is_some_and(|k| k.addr == *endpoint))
    }

    /// A connection that was dialled is over, whoever ended it: its endpoint is dialled again after a wait, which grows each
    /// time unless the connection was of use or stood for a while. A hello alone is of no use: whoever greets and closes
    /// would be dialled for ever.
    pub(crate) fn note_dial_over(&mut self, ctx: &mut Ctx, conn: ConnId, was: Phase) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let (addr, since) = (connection.transport.addr, connection.since);
        let said = connection.first_words.take().filter(|_| was == Phase::Greeting);
        if was == Phase::Dialling || said.is_some() {
            ctx.dialer.unanswered(addr);
            self.test_claims_at(ctx, &addr, None);
        }
        if was == Phase::Open && ctx.now.since(since) >= ctx.config.limits.redial_forgives {
            ctx.dialer.succeeded(&addr);
        }
        ctx.dialer.failed(ctx.now, addr);
        self.effects.push(Effect::DialOver { conn, addr, said });
    }

    /// A chunk from a peer was right: its endpoint, and the one that was dialled, have not failed.
    pub(crate) fn note_use(&mut self, ctx: &mut Ctx, conn: ConnId, from: &PeerRef) {
        ctx.dialer.succeeded(&from.addr);
        if let Some(connection) = ctx.conns.native(conn).filter(|connection| connection.transport.dialled) {
            ctx.dialer.succeeded(&connection.transport.addr);
        }
    }

    /// Dials an endpoint, or sees to it that it is dialled once its wait is over.
    pub(crate) fn dial_or_wait(&mut self, ctx: &mut Ctx, addr: SocketAddr) -> bool {
        if let Some(again) = ctx.dialer.again(ctx.now, &addr) {
            ctx.timers.set_no_later(Timer::Dial, again);
        }
        self.dial(ctx, addr).is_some()
    }

    /// Dials the peers that somebody named.
    pub(crate) fn dial_fixed_peers(&mut self, ctx: &mut Ctx) {
        for addr in ctx.config.fixed_peers.clone() {
            self.dial_or_wait(ctx, addr);
        }
    }

    /// Dials an endpoint that the mirror wants something of, within one bound for all of them: anybody can announce what it
    /// wants, in the name of any address. Half of that is not for who was heard last but for those that are drawn.
    pub(crate) fn dial_for_mirror(&mut self, ctx: &mut Ctx, addr: SocketAddr) -> bool {
        if ctx.config.fixed_peers.contains(&addr) || ctx.dialer.again(ctx.now, &addr).is_some() {
            return self.dial_or_wait(ctx, addr);
        }
        if !self.mirror_dials.has_above(ctx.now, ctx.config.limits.mirror_dials_at_once / 2) {
            ctx.timers.set_no_later(Timer::Dial, ctx.now + DIALS_PAUSE);
            return false;
        }
        self.dial_counted(ctx, addr)
    }

    pub(crate) fn dial_counted(&mut self, ctx: &mut Ctx, addr: SocketAddr) -> bool {
        let dialled = self.dial(ctx, addr).is_some();
        if dialled {
            self.mirror_dials.take(ctx.now);
        }
        dialled
    }
}
