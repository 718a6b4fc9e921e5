//! The engines, what they share, and the connections: what concerns several engines, such as which of them takes a connection in,
//! commands, and the end.
//!
//! A connection that came in at this peer's own port says with its first byte what is spoken; until then it is nobody's.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::catalogue::Catalogue;
use crate::core::config::Config;
use crate::core::connection::{Kind, Protocol, Sniffed, Sniffing, Transport};
use crate::core::connections::Connections;
use crate::core::context::Outputs;
use crate::core::counters::Counters;
use crate::core::dialer::Dialer;
use crate::core::io::{
    Command, ConnId, Event, Output, SpanFault, StoreReply, TransferFailure, TransferReply,
};
use crate::core::limits::Limits;
use crate::core::looks::{Looks, Sought};
use crate::core::native::discovery::searches::Purpose;
use crate::core::native::{self, Session};
use crate::core::rates::Rates;
use crate::core::rng::Rng;
use crate::core::spools::Spools;
use crate::core::timers::{Timer, Timers};
use crate::core::transfer::{self, Order, Transfer};
use crate::core::uploader::Uploader;
use crate::core::{classic, http, room};
use crate::types::{PeerId, Time};
use crate::wire::message::RefuseReason;
use crate::wire::transfer::Outgoing;

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

    /// Whether there is a place for one more connection with this address.
    pub(crate) fn make_room(&mut self, now: Time, ip: IpAddr) -> bool {
        self.native(now, |_, ctx| room::make(ctx, ip))
    }

    /// A connection is closed to make room for another.
    pub(crate) fn give_way(&mut self, now: Time, conn: ConnId) {
        match self.connections.kind(conn) {
            Some(Kind::Sniffing) => self.native(now, |_, ctx| end_sniffing(ctx, conn)),
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
        if !self.native(now, |_, ctx| admits_sniffing(ctx, from)) {
            self.counters.add("connections refused: half-open of one address");
            return None;
        }
        if !self.make_room(now, from.ip()) {
            self.counters.add("connections refused: table full");
            return None;
        }
        Some(self.native(now, |_, ctx| accept_sniffing(ctx, from)))
    }

    /// A connection that said nothing is gone.
    pub(crate) fn end_gone_sniffing(&mut self, now: Time, conn: ConnId) {
        self.native(now, |native, ctx| {
            end_sniffing(ctx, conn);
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

    /// A connection that has said nothing yet is a reader's from now on, if it may be one.
    fn become_http(&mut self, now: Time, conn: ConnId, sniffing: &Sniffing) -> bool {
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
    fn close_readers(&mut self, now: Time, all: bool) {
        for conn in self.speakers.http.open() {
            self.http(now, conn, |http, ctx, conn, reader| {
                if all || !reader.is_busy() {
                    http.close(ctx, conn, reader, "this peer leaves");
                }
            });
        }
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

    fn send_transfer(&mut self, now: Time, order: Order) {
        let has_room = self.connections.len() < self.config.limits.connections_max;
        let transfer = self.with_engines(now, |ctx, engines, _| engines.transfer.send(ctx, order, has_room));
        if let Some(transfer) = transfer {
            self.begin_transfer(now, transfer);
        }
    }

    fn begin_transfer(&mut self, now: Time, transfer: Transfer) -> ConnId {
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
    fn fail_transfer(&mut self, now: Time, conn: ConnId, reason: TransferFailure) {
        self.transfer(now, conn, |engine, ctx, conn, it| engine.fail(ctx, conn, it, reason));
    }

    /// Cancels the transfers that end first when this peer leaves, or all.
    fn cancel_transfers(&mut self, now: Time, all: bool) {
        let of_those = self.connections.transfers().filter(|(_, transfer)| all || transfer.ends_first());
        let conns: Vec<ConnId> = of_those.map(|(conn, _)| conn).collect();
        conns.into_iter().for_each(|conn| self.fail_transfer(now, conn, TransferFailure::Cancelled));
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
                    Kind::Sniffing => self.native(now, |_, ctx| end_sniffing(ctx, conn)),
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

    /// The first bytes of a connection that came in say what is spoken on it. False when they do not.
    pub(crate) fn sniff(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> bool {
        let Some(first) = bytes.first() else { return false };
        let Some(sniffing @ Sniffing { closing: false, .. }) = self.connections.sniffing(conn).copied()
        else {
            return false;
        };
        let Sniffing { transport, since, .. } = sniffing;
        let is_another = match Sniffed::of(*first) {
            Sniffed::Classic => self.classic(now, |classic, ctx| classic.take_over(ctx, conn, transport)),
            Sniffed::Http => self.become_http(now, conn, &sniffing),
            Sniffed::Native => false,
        };
        if is_another {
            self.connections.half_open_remove(&transport.addr.ip());
        } else {
            if *first != 0 {
                self.native(now, |native, ctx| native.note_foreign(ctx, transport.addr, bytes));
            }
            // What is nothing that is known here, the native codec says so.
            let session = Session::new(transport, &self.config.limits, since);
            self.connections.become_protocol(conn, Protocol::Native(Box::new(session)));
        }
        true
    }

    /// What the store says of files and contents. Of shared files, all who offer them take note.
    pub(crate) fn on_stored(&mut self, now: Time, reply: StoreReply) {
        match reply {
            StoreReply::Offered { content, name, size } => {
                if self.native(now, |native, ctx| native.on_offered(ctx, content, &name, size)) {
                    self.classic(now, |classic, ctx| classic.offer(ctx, content, &name, size));
                    self.outputs.event(Event::Offered { content, name, size });
                }
            }
            StoreReply::Withdrawn { content, name, why } => {
                self.native(now, |native, ctx| native.on_withdrawn(ctx, content, &name, why.reason()));
                self.classic(now, |classic, ctx| classic.withdraw(ctx, content, &name));
                self.outputs.event(Event::Withdrawn { content, name, why });
            }
            reply => self.native(now, |native, ctx| native.on_stored(ctx, reply)),
        }
    }

    pub(crate) fn on_command(&mut self, now: Time, command: Command) {
        match command {
            Command::Get { ticket, wanted, at, layout, wait, stall } => self.native(now, |native, ctx| {
                native.on_get(ctx, Purpose::Get { ticket, at, layout, stall }, wanted, wait)
            }),
            Command::GetClassic { ticket, name, wait } => {
                self.classic(now, |classic, ctx| classic.fetch(ctx, ticket, name, wait))
            }
            Command::Mirror { ticket, wanted, room_bytes } => {
                self.native(now, |native, ctx| native.on_mirror(ctx, ticket, wanted, room_bytes));
            }
            Command::Offer { ticket, content, name, to, wait } => {
                self.native(now, |native, ctx| native.on_offer_command(ctx, ticket, content, name, to, wait));
            }
            Command::Receive => self.speakers.native.receive(),
            Command::Answer { offer, decision, ticket, stall } => {
                self.native(now, |native, ctx| native.on_answer_command(ctx, offer, decision, ticket, stall));
            }
            Command::SendTransfer { ticket, to, form, content, name, sender } => {
                let file = Outgoing { form, sender, name, size: 0 };
                self.send_transfer(now, Order { ticket, to, content, file });
            }
            Command::AnswerTransfer { transfer, accept } => {
                self.with_engines(now, |ctx, engines, connections| {
                    engines.transfer.answer(ctx, (transfer, accept), |conn| connections.transfer_mut(conn));
                })
            }
            // What was let come already may come.
            Command::LimitTransfers { quota_bytes } => {
                if let Some(transfers) = &mut self.config.transfers {
                    transfers.quota_bytes = quota_bytes;
                }
            }
            Command::Look { wanted, wait } => {
                self.native(now, |native, ctx| native.on_look(ctx, wanted, wait));
                let is_searching = self.speakers.native.is_searching();
                self.classic(now, |classic, ctx| classic.read_dictionary(ctx, is_searching));
            }
            Command::Cancel { content } => {
                self.native(now, |native, ctx| native.cancel_download(ctx, content))
            }
            Command::Leave => self.leave(now),
        }
    }
}

/// Whether one more connection from there may say what it is.
fn admits_sniffing(ctx: &native::Ctx<'_>, from: SocketAddr) -> bool {
    ctx.is_own(from.ip()) || ctx.conns.half_open(&from.ip()) < ctx.config.limits.half_open_per_address_max
}

/// A connection came in.
fn accept_sniffing(ctx: &mut native::Ctx<'_>, from: SocketAddr) -> ConnId {
    let sniffing = Sniffing { transport: Transport::accepted(from), since: ctx.now, closing: false };
    let conn = ctx.conns.insert(Protocol::Sniffing(sniffing), ctx.now);
    ctx.conns.half_open_add(from.ip());
    ctx.timers.set(Timer::Connection(conn), ctx.now + ctx.config.limits.handshake_deadline);
    // Nothing is said before the other side has: it may speak another dialect, or none. Reading may begin.
    ctx.outputs.push(Output::Wake(conn));
    conn
}

/// A connection that came in and says nothing ends, or is to be looked at again later.
pub(crate) fn review_sniffing(ctx: &mut native::Ctx<'_>, conn: ConnId) {
    let Some(sniffing) = ctx.conns.sniffing(conn).filter(|sniffing| !sniffing.closing) else { return };
    let deadline = sniffing.since + ctx.config.limits.handshake_deadline;
    if deadline <= ctx.now {
        ctx.counters.add("connections without a hello");
        return end_sniffing(ctx, conn);
    }
    ctx.timers.set(Timer::Connection(conn), deadline.max(ctx.now + Duration::from_millis(1)));
}

/// A connection that said nothing is closed.
pub(crate) fn end_sniffing(ctx: &mut native::Ctx<'_>, conn: ConnId) {
    if let Some(Protocol::Sniffing(sniffing)) = ctx.conns.get_mut(conn)
        && !std::mem::replace(&mut sniffing.closing, true)
    {
        let ip = sniffing.transport.addr.ip();
        ctx.conns.half_open_remove(&ip);
        ctx.timers.clear(Timer::Connection(conn));
        ctx.rouse(conn);
    }
}

/// A peer that is about to leave.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// Uploads that are not through by then are cut.
    deadline: Time,
    /// Neither a connection that takes no byte nor a disk that does not answer may hold the process for so long after that.
    grace: Duration,
    /// Every connection was told to close.
    closing: bool,
    /// It was said that this peer has left.
    said: bool,
}

impl Leaving {
    /// One that begins now.
    pub(crate) fn new(now: Time, limits: &Limits, timers: &mut Timers) -> Leaving {
        let grace = limits.leave_grace;
        timers.set(Timer::Leave, now + grace);
        Leaving { deadline: now + grace, grace, closing: false, said: false }
    }

    /// Whether all connections are to be closed now, which is said once.
    pub(crate) fn is_to_close(&mut self, now: Time, is_idle: bool, is_late: bool) -> bool {
        let is_due = is_idle || is_late || now >= self.deadline;
        is_due && !std::mem::replace(&mut self.closing, is_due)
    }

    /// Whether this peer has left, which is said once.
    pub(crate) fn is_over(&mut self, now: Time, is_gone: bool, is_late: bool, timers: &mut Timers) -> bool {
        if !self.closing || self.said {
            return false;
        }
        let end = self.deadline + self.grace;
        if is_late {
            timers.set(Timer::Leave, end);
        }
        self.said = is_gone || now >= end;
        if self.said {
            timers.clear(Timer::Leave);
        }
        self.said
    }
}
