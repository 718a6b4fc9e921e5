//! Connections that came in at this peer's own port and have said nothing yet: their first byte says what is spoken.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::{Protocol, Sniffing, Transport};
use crate::core::connections::Connections;
use crate::core::context::Context;
use crate::core::io::{ConnId, Output};
use crate::core::timers::Timer;

/// What is lent for one call.
type Ctx<'p> = Context<'p, &'p mut Connections>;

/// Whether one more connection from there may say what it is.
pub(crate) fn admits(ctx: &Ctx<'_>, from: SocketAddr) -> bool {
    ctx.is_own(from.ip()) || ctx.conns.half_open(&from.ip()) < ctx.config.limits.half_open_per_address_max
}

/// A connection came in.
pub(crate) fn accept(ctx: &mut Ctx<'_>, from: SocketAddr) -> ConnId {
    let sniffing = Sniffing { transport: Transport::accepted(from), since: ctx.now, closing: false };
    let conn = ctx.conns.insert(Protocol::Sniffing(sniffing), ctx.now);
    ctx.conns.half_open_add(from.ip());
    ctx.timers.set(Timer::Connection(conn), ctx.now + ctx.config.limits.handshake_deadline);
    // Nothing is said before the other side has: it may speak another dialect, or none. Reading may begin.
    ctx.outputs.push(Output::Wake(conn));
    conn
}

/// A connection that came in and says nothing ends, or is to be looked at again later.
pub(crate) fn review(ctx: &mut Ctx<'_>, conn: ConnId) {
    let Some(sniffing) = ctx.conns.sniffing(conn).filter(|sniffing| !sniffing.closing) else { return };
    let deadline = sniffing.since + ctx.config.limits.handshake_deadline;
    if deadline <= ctx.now {
        ctx.counters.add("connections without a hello");
        return end(ctx, conn);
    }
    ctx.timers.set(Timer::Connection(conn), deadline.max(ctx.now + Duration::from_millis(1)));
}

/// A connection that said nothing is closed.
pub(crate) fn end(ctx: &mut Ctx<'_>, conn: ConnId) {
    if let Some(Protocol::Sniffing(sniffing)) = ctx.conns.get_mut(conn)
        && !std::mem::replace(&mut sniffing.closing, true)
    {
        let ip = sniffing.transport.addr.ip();
        ctx.conns.half_open_remove(&ip);
        ctx.timers.clear(Timer::Connection(conn));
        ctx.rouse(conn);
    }
}
