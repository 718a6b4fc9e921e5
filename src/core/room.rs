//! Room for one more connection: which places are taken, by whom, since when each was of no use, and which connection gives way
//! when they are short.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::core::connection::Protocol;
use crate::core::connections::Connections;
use crate::core::context::{Context, Later};
use crate::core::io::ConnId;
use crate::types::Time;

/// Connections that were closed to make room and whose sockets are not closed yet. With more, newcomers are refused.
const CLOSING_MAX: usize = 64;
/// Connections that are looked at for one newcomer. Those that are of use are looked at again only after all others.
const LOOKS_MAX: usize = 32;
/// A connection has so long to say what it is, or to ask for something, before it gives way.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// A neighbour in a download that goes on is kept for so long after its last chunk, and so is who waits for a chunk from here.
pub(crate) const KEPT: Duration = Duration::from_secs(60);
/// An address with fewer places may take that of any connection that is of no use; with more, of its own ones alone. One with
/// more is also no longer protected by the use of its connections where an address has none.
const PLACES_FEW: usize = 8;

/// What is lent for one call.
type Ctx<'p> = Context<'p, &'p mut Connections>;

/// Whether there is a place for one more connection with this address. When places are short, the connection that was
/// of no use for longest gives its place to an address that has few, and to another only if it is of the same address.
/// When all are of use, an address that has none gets a place of the one that has most.
pub(crate) fn make(ctx: &mut Ctx<'_>, ip: IpAddr) -> bool {
    let limits = &ctx.config.limits;
    let of_this_host = ctx.is_own(ip);
    let held = ctx.conns.places.of(ip);
    let reserved = limits.connections_reserved.min(limits.connections_max / 8);
    let kept = if of_this_host || held == 0 { 0 } else { reserved };
    if ctx.conns.places.len() < limits.connections_max.saturating_sub(kept) {
        return true;
    }
    if ctx.conns.len() >= limits.connections_max.saturating_add(CLOSING_MAX) {
        return false;
    }
    let of = (!of_this_host && held >= PLACES_FEW).then_some(ip);
    let unused = least_used(ctx, of);
    let conn = unused.or_else(|| if held == 0 { one_of_a_crowd(ctx) } else { None });
    if let Some(conn) = conn {
        ctx.counters.add("connections that gave way to others");
        ctx.conns.places.give_back(conn);
        ctx.after.later.push(Later::GiveWay(conn));
    }
    conn.is_some()
}

/// The connection that was of no use for longest, of all or of one address.
fn least_used(ctx: &mut Ctx<'_>, of: Option<IpAddr>) -> Option<ConnId> {
    let mut least: Option<(Time, ConnId)> = None;
    for _ in 0..LOOKS_MAX {
        let Some((conn, known)) = ctx.conns.places.oldest(of) else { break };
        let until = of_use_until(ctx, conn).filter(|until| *until <= ctx.now);
        if let Some(until) = until {
            least = Some(least.map_or((until, conn), |least| least.min((until, conn))));
        }
        if until.is_some_and(|until| until <= known) || least.is_some_and(|(least, _)| least <= known) {
            break;
        }
        ctx.conns.places.note(conn, until.unwrap_or(ctx.now));
    }
    least.map(|(_, conn)| conn)
}

/// A connection of the address that has most, if that is many.
fn one_of_a_crowd(ctx: &Ctx<'_>) -> Option<ConnId> {
    let (ip, count) = ctx.conns.places.most_crowded()?;
    let (conn, _) = ctx.conns.places.oldest(Some(ip))?;
    (count > PLACES_FEW && !ctx.is_own(ip)).then_some(conn)
}

/// Until when a connection is, or was, of use; `None`: it stays, or closes anyway.
fn of_use_until(ctx: &Ctx<'_>, conn: ConnId) -> Option<Time> {
    match ctx.conns.get(conn)? {
        Protocol::Sniffing(sniffing) => (!sniffing.closing).then_some(sniffing.since + GRACE),
        Protocol::Native(session) => {
            let is_served = ctx.uploads.serves(conn);
            session.of_use_until(ctx.now, &ctx.config.topology, &ctx.conns.sought, is_served)
        }
        Protocol::Http(reader) => Some(while_busy(reader.is_busy(), reader.moved)),
        Protocol::Classic(conversation) => {
            conversation.moved().map(|moved| while_busy(conversation.is_serving(), moved))
        }
        Protocol::Transfer(transfer) => transfer.silent_since().map(|since| since + GRACE),
    }
}

/// Until when a connection is of use on which something last moved then. It is not judged by requests that it queued, nor by an
/// answer that it began to take.
pub(crate) fn while_busy(is_busy: bool, moved: Time) -> Time {
    moved + if is_busy { KEPT } else { GRACE }
}

/// The connections that have a place. A connection that is being closed to make room has none any more.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: BTreeMap<ConnId, (IpAddr, Time)>,
    /// By the moment up to which each is known to have been of use. Nobody says so when that changes: who looks for a
    /// connection that can go looks at the first ones, and moves those that were of use since ([`Places::note`]).
    by_age: BTreeSet<(Time, ConnId)>,
    /// The same for each address.
    by_address: BTreeSet<(IpAddr, Time, ConnId)>,
    /// How many each address has, and the addresses by that.
    counts: BTreeMap<IpAddr, usize>,
    by_count: BTreeSet<(usize, IpAddr)>,
}

impl Places {
    /// A connection with this address takes a place.
    pub(crate) fn take(&mut self, conn: ConnId, ip: IpAddr, now: Time) {
        self.give_back(conn);
        self.taken.insert(conn, (ip, now));
        self.by_age.insert((now, conn));
        self.by_address.insert((ip, now, conn));
        self.count(ip, self.of(ip).saturating_add(1));
    }

    /// A connection leaves its place, if it has one.
    pub(crate) fn give_back(&mut self, conn: ConnId) {
        if let Some((ip, at)) = self.taken.remove(&conn) {
            self.by_age.remove(&(at, conn));
            self.by_address.remove(&(ip, at, conn));
            self.count(ip, self.of(ip).saturating_sub(1));
        }
    }

    /// How many are taken.
    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }

    /// How many connections with this address have one.
    pub(crate) fn of(&self, ip: IpAddr) -> usize {
        self.counts.get(&ip).copied().unwrap_or(0)
    }

    /// The address that has most, and how many.
    pub(crate) fn most_crowded(&self) -> Option<(IpAddr, usize)> {
        self.by_count.last().map(|(count, ip)| (*ip, *count))
    }

    /// The connection that was of use least recently, as far as is known, of all or of one address; and when that was.
    pub(crate) fn oldest(&self, of: Option<IpAddr>) -> Option<(ConnId, Time)> {
        match of {
            Some(ip) => self.first_of(ip),
            None => self.by_age.first().map(|(at, conn)| (*conn, *at)),
        }
    }

    /// A connection was of use at this moment.
    pub(crate) fn note(&mut self, conn: ConnId, at: Time) {
        if let Some((ip, _)) = self.taken.get(&conn) {
            self.take(conn, *ip, at);
        }
    }

    fn count(&mut self, ip: IpAddr, count: usize) {
        if let Some(was) = self.counts.remove(&ip) {
            self.by_count.remove(&(was, ip));
        }
        if count > 0 {
            self.counts.insert(ip, count);
            self.by_count.insert((count, ip));
        }
    }

    fn first_of(&self, ip: IpAddr) -> Option<(ConnId, Time)> {
        let first = (ip, Time::ZERO, ConnId { slot: 0, generation: 0 });
        let (of, at, conn) = self.by_address.range(first..).next()?;
        (*of == ip).then_some((*conn, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_who_was_of_use_least_recently() {
        let conn = |slot| ConnId { slot, generation: 0 };
        let host = |last| IpAddr::from([10, 0, 0, last]);
        let mut places = Places::default();
        for slot in 0..6 {
            places.take(conn(slot), host(slot as u8 % 2), Time::from_millis(u64::from(slot)));
        }
        assert_eq!(places.oldest(None), Some((conn(0), Time::ZERO)));
        assert_eq!(places.oldest(Some(host(1))), Some((conn(1), Time::from_millis(1))));
        places.note(conn(0), Time::from_millis(9));
        assert_eq!(places.oldest(None), Some((conn(1), Time::from_millis(1))));
        assert_eq!(places.oldest(Some(host(0))), Some((conn(2), Time::from_millis(2))));
        [1, 3, 5, 5].into_iter().for_each(|slot| places.give_back(conn(slot)));
        assert_eq!((places.of(host(1)), places.of(host(0))), (0, 3));
        assert_eq!((places.most_crowded(), places.oldest(Some(host(1)))), (Some((host(0), 3)), None));
        places.note(conn(1), Time::ZERO);
        assert_eq!((places.len(), places.oldest(None)), (3, Some((conn(2), Time::from_millis(2)))));
    }
}
