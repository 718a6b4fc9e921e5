//! The engines, what they share, and the connections: lends each what it needs for one call, and sees to what it leaves to be done.

use std::net::{IpAddr, SocketAddr};

use crate::core::catalogue::Catalogue;
use crate::core::classic;
use crate::core::config::Config;
use crate::core::connection::{Kind, Protocol, Sniffing};
use crate::core::connections::Connections;
use crate::core::context::{After, Context, Later, Outputs};
use crate::core::counters::Counters;
use crate::core::dialer::Dialer;
use crate::core::http::{self, Reader};
use crate::core::io::{ConnId, Event, SpanFault, TransferFailure, TransferReply};
use crate::core::leaving::Leaving;
use crate::core::looks::{Looks, Sought};
use crate::core::native::{self};
use crate::core::rates::Rates;
use crate::core::rng::Rng;
use crate::core::room;
use crate::core::sniffing;
use crate::core::spools::Spools;
use crate::core::timers::Timers;
use crate::core::transfer::{self, Order, Transfer};
use crate::core::uploader::Uploader;
use crate::types::id::PeerId;
use crate::types::time::Time;
use crate::wire::message::RefuseReason;

/// One engine for each protocol.
#[derive(Debug)]
pub(crate) struct Speakers {
    pub(crate) classic: classic::Engine,
    pub(crate) http: http::Engine,
    pub(crate) native: native::Engine,
    pub(crate) transfer: transfer::Engine,
}

/// [The module](self).
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) id: PeerId,
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) outputs: Outputs,
    pub(crate) timers: Timers,
    pub(crate) counters: Counters,
    pub(crate) connections: Connections,
    pub(crate) catalogue: Catalogue,
    pub(crate) uploader: Uploader,
    pub(crate) dialer: Dialer,
    pub(crate) rates: Rates,
    /// Names that are looked through for others, and how many may be.
    pub(crate) looks: Looks<Sought>,
    pub(crate) spools: Spools,
    pub(crate) speakers: Speakers,
    pub(crate) leaving: Option<Leaving>,
}

impl Engines {
    /// Those of a peer that begins at `now`; all its randomness comes from `seed`.
    pub(crate) fn new(config: Config, seed: u64, now: Time) -> Engines {
        let (mut rng, mut timers) = (Rng::new(seed), Timers::default());
        let limits = &config.limits;
        let native = native::Engine::new(&config, now, &mut rng, &mut timers);
        let classic = classic::Engine::new(&config, now, &mut rng, &mut timers);
        let (http, transfer) = (http::Engine::default(), transfer::Engine::default());
        Engines {
            id: PeerId(rng.bytes16()),
            outputs: Outputs::default(),
            timers,
            counters: Counters::default(),
            connections: Connections::default(),
            catalogue: Catalogue::default(),
            uploader: Uploader::new(limits),
            dialer: Dialer::new(limits.redial_wait_min, limits.redial_wait_max, config.own_addresses.clone()),
            rates: Rates::new(limits),
            looks: Looks::new(limits, now),
            spools: Spools::default(),
            speakers: Speakers { classic, http, native, transfer },
            leaving: None,
            rng,
            config,
        }
    }

    /// What the engines share, the engines, and the connections: what `split` makes of them for the context, and for beside it.
    pub(crate) fn lend<'p, C, R>(
        &'p mut self,
        now: Time,
        split: impl FnOnce(&'p mut Connections) -> (C, R),
    ) -> (Context<'p, C>, &'p mut Speakers, R) {
        let (conns, rest) = split(&mut self.connections);
        let ctx = Context {
            now,
            id: self.id,
            config: &self.config,
            is_leaving: self.leaving.is_some(),
            timers: &mut self.timers,
            outputs: &mut self.outputs,
            counters: &mut self.counters,
            catalogue: &mut self.catalogue,
            uploads: &mut self.uploader,
            looks: &mut self.looks,
            rng: &mut self.rng,
            rates: &mut self.rates,
            dialer: &mut self.dialer,
            spools: &mut self.spools,
            conns,
            after: After::default(),
        };
        (ctx, &mut self.speakers, rest)
    }

    /// Has engines do something with what they share and the connections, and sees to what is left to be done.
    pub(crate) fn with_engines<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Context<'_>, &mut Speakers, &mut Connections) -> T,
    ) -> T {
        let (mut ctx, engines, connections) = self.lend(now, |connections| ((), connections));
        let value = act(&mut ctx, engines, connections);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    /// Sees to what an engine left to be done.
    pub(crate) fn after(&mut self, now: Time, after: After) {
        for later in after.later {
            match later {
                Later::GiveWay(conn) => self.give_way(now, conn),
                Later::Unserved(conn, why) => self.end_serving(now, conn, why),
                Later::Whole(content, name, bytes) => {
                    self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, bytes));
                }
            }
        }
        if after.grant_uploads {
            self.native(now, native::Engine::grant_uploads);
        }
        if let Some(conn) = after.forget {
            self.connections.remove(conn);
        }
        if after.review_leaving {
            self.review_leaving(now, false);
        }
    }

    /// Has the native engine do something.
    pub(crate) fn native<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut native::Engine, &mut native::Ctx<'_>) -> T,
    ) -> T {
        let (mut ctx, engines, ()) = self.lend(now, |connections| (connections, ()));
        let value = act(&mut engines.native, &mut ctx);
        engines.native.drain(&mut ctx);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    /// Whether there is a place for one more connection with this address.
    pub(crate) fn make_room(&mut self, now: Time, ip: IpAddr) -> bool {
        self.native(now, |_, ctx| room::make(ctx, ip))
    }

    /// A connection is closed to make room for another.
    pub(crate) fn give_way(&mut self, now: Time, conn: ConnId) {
        match self.connections.kind(conn) {
            Some(Kind::Sniffing) => self.native(now, |_, ctx| sniffing::end(ctx, conn)),
            Some(Kind::Native) => self.native(now, |native, ctx| {
                native.close(ctx, conn, Some("idle, and others wait for a connection"));
            }),
            Some(Kind::Http) => self.http(now, conn, |http, ctx, conn, reader| {
                http.close(ctx, conn, reader, "others waited for its place");
            }),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.close(ctx, conn)),
            Some(Kind::Transfer) => self.fail_transfer(now, conn, TransferFailure::Cancelled),
            None => {}
        }
    }

    pub(crate) fn accept_sniffing(&mut self, now: Time, from: SocketAddr) -> Option<ConnId> {
        if !self.native(now, |_, ctx| sniffing::admits(ctx, from)) {
            self.counters.add("connections refused: half-open of one address");
            return None;
        }
        if !self.make_room(now, from.ip()) {
            self.counters.add("connections refused: table full");
            return None;
        }
        Some(self.native(now, |_, ctx| sniffing::accept(ctx, from)))
    }

    /// A connection that said nothing is gone.
    pub(crate) fn end_gone_sniffing(&mut self, now: Time, conn: ConnId) {
        self.native(now, |native, ctx| {
            sniffing::end(ctx, conn);
            ctx.conns.remove(conn);
            native.seek_neighbours(ctx);
            ctx.after.review_leaving = true;
        });
    }

    /// A file that is being sent outside of the native protocol is not what it was.
    pub(crate) fn end_serving(&mut self, now: Time, conn: ConnId, reason: RefuseReason) {
        let why = reason.text();
        match self.connections.kind(conn) {
            Some(Kind::Http) => self.http(now, conn, |http, ctx, conn, it| http.lose(ctx, conn, it, why)),
            Some(Kind::Classic) => self.classic(now, |classic, ctx| classic.end_serving(ctx, conn, why)),
            Some(Kind::Transfer) => {
                let fault = SpanFault::of(reason);
                let failure = fault.map_or(TransferFailure::NotShared, TransferFailure::File);
                self.fail_transfer(now, conn, failure);
            }
            Some(Kind::Native | Kind::Sniffing) | None => {}
        }
    }

    /// Has the HTTP engine do something with a reader, if there is one.
    pub(crate) fn http<T: Default>(
        &mut self,
        now: Time,
        conn: ConnId,
        act: impl FnOnce(&mut http::Engine, &mut Context<'_>, ConnId, &mut Reader) -> T,
    ) -> T {
        self.with_engines(now, |ctx, engines, connections| match connections.http_mut(conn) {
            Some(reader) => act(&mut engines.http, ctx, conn, reader),
            None => T::default(),
        })
    }

    /// A connection that has said nothing yet is a reader's from now on, if it may be one.
    pub(crate) fn become_http(&mut self, now: Time, conn: ConnId, sniffing: &Sniffing) -> bool {
        self.with_engines(now, |ctx, engines, connections| {
            let may = engines.http.admits(ctx, sniffing.transport.addr);
            if may {
                let reader = engines.http.accept(ctx, conn, sniffing.transport, sniffing.since);
                connections.become_protocol(conn, Protocol::Http(Box::new(reader)));
            }
            may
        })
    }

    /// Closes the readers that are not being answered, or all.
    pub(crate) fn close_readers(&mut self, now: Time, all: bool) {
        for conn in self.speakers.http.open() {
            self.http(now, conn, |http, ctx, conn, reader| {
                if all || !reader.is_busy() {
                    http.close(ctx, conn, reader, "this peer leaves");
                }
            });
        }
    }

    /// Has the transfer engine do something with a transfer, if there is one.
    pub(crate) fn transfer<T: Default>(
        &mut self,
        now: Time,
        conn: ConnId,
        act: impl FnOnce(&mut transfer::Engine, &mut Context<'_>, ConnId, &mut Transfer) -> T,
    ) -> T {
        self.with_engines(now, |ctx, engines, connections| match connections.transfer_mut(conn) {
            Some(transfer) => act(&mut engines.transfer, ctx, conn, transfer),
            None => T::default(),
        })
    }

    pub(crate) fn accept_transfer(&mut self, now: Time, from: SocketAddr, is_named: bool) -> Option<ConnId> {
        let may = self.with_engines(now, |ctx, engines, connections| {
            engines.transfer.admits(ctx, from, connections.transfers())
        });
        if !may || !self.make_room(now, from.ip()) {
            self.counters.add("pushes refused");
            return None;
        }
        let transfer = self.speakers.transfer.accept(now, from, is_named);
        Some(self.begin_transfer(now, transfer))
    }

    pub(crate) fn send_transfer(&mut self, now: Time, order: Order) {
        let has_room = self.connections.len() < self.config.limits.connections_max;
        let transfer = self.with_engines(now, |ctx, engines, _| engines.transfer.send(ctx, order, has_room));
        if let Some(transfer) = transfer {
            self.begin_transfer(now, transfer);
        }
    }

    pub(crate) fn begin_transfer(&mut self, now: Time, transfer: Transfer) -> ConnId {
        let conn = self.connections.insert(Protocol::Transfer(Box::new(transfer)), now);
        self.transfer(now, conn, transfer::Engine::begin);
        conn
    }

    /// What the store says of what came.
    pub(crate) fn on_transfer_stored(&mut self, now: Time, reply: TransferReply) {
        self.with_engines(now, |ctx, engines, connections| {
            engines.transfer.stored(ctx, reply, |conn| connections.transfer_mut(conn));
        });
    }

    /// A file does not come, or does not go.
    pub(crate) fn fail_transfer(&mut self, now: Time, conn: ConnId, reason: TransferFailure) {
        self.transfer(now, conn, |engine, ctx, conn, it| engine.fail(ctx, conn, it, reason));
    }

    /// Cancels the transfers that end first when this peer leaves, or all.
    pub(crate) fn cancel_transfers(&mut self, now: Time, all: bool) {
        let of_those = self.connections.transfers().filter(|(_, transfer)| all || transfer.ends_first());
        let conns: Vec<ConnId> = of_those.map(|(conn, _)| conn).collect();
        conns.into_iter().for_each(|conn| self.fail_transfer(now, conn, TransferFailure::Cancelled));
    }

    /// Has the classic engine do something.
    pub(crate) fn classic<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut classic::Engine, &mut classic::Ctx<'_>) -> T,
    ) -> T {
        let (mut ctx, engines, ()) = self.lend(now, |connections| (connections.classics_alone(), ()));
        let value = act(&mut engines.classic, &mut ctx);
        let after = ctx.after;
        self.after(now, after);
        value
    }

    pub(crate) fn accept_classic(&mut self, now: Time, from: SocketAddr, tcp_port: u16) -> Option<ConnId> {
        if !self.classic(now, |classic, ctx| classic.admits(ctx, from)) || !self.make_room(now, from.ip()) {
            self.counters.add("classic connections refused");
            return None;
        }
        Some(self.classic(now, |classic, ctx| classic.accept(ctx, from, tcp_port)))
    }

    pub(crate) fn leave(&mut self, now: Time) {
        if self.leaving.is_none() {
            self.leaving = Some(Leaving::new(now, &self.config.limits, &mut self.timers));
            self.native(now, |native, ctx| native.leave(ctx));
            self.classic(now, |classic, ctx| classic.leave(ctx));
            self.close_readers(now, false);
            self.cancel_transfers(now, false);
            self.review_leaving(now, false);
        }
    }

    /// Leaves as soon as nothing is left to finish, or the time is over.
    pub(crate) fn review_leaving(&mut self, now: Time, is_late: bool) {
        let is_busy = || {
            self.speakers.classic.is_busy(self.connections.classics())
                || self.connections.readers().any(|(_, reader)| reader.is_busy())
                || self.speakers.transfer.is_storing()
                || self.connections.transfers().any(|(_, it)| it.is_busy())
        };
        let is_fetching = self.speakers.native.is_fetching();
        let is_idle = self.leaving.is_some() && self.uploader.is_idle() && !is_fetching && !is_busy();
        if let Some(leaving) = &mut self.leaving
            && leaving.is_to_close(now, is_idle, is_late)
        {
            let all: Vec<(ConnId, Kind)> = self.connections.kinds().collect();
            for (conn, kind) in all {
                match kind {
                    Kind::Sniffing => self.native(now, |_, ctx| sniffing::end(ctx, conn)),
                    Kind::Native => {
                        self.native(now, |native, ctx| native.close(ctx, conn, Some(native::LEAVING)))
                    }
                    Kind::Http | Kind::Classic | Kind::Transfer => {}
                }
            }
            self.classic(now, |classic, ctx| classic.close_all(ctx));
            self.close_readers(now, true);
            self.cancel_transfers(now, true);
        }
        let is_gone = self.connections.len() == 0 && !self.speakers.native.is_fetching();
        if let Some(leaving) = &mut self.leaving
            && leaving.is_over(now, is_gone, is_late, &mut self.timers)
        {
            self.outputs.event(Event::Left);
        }
    }
}
