//! Readers by HTTP: who is served, what is answered, and turns among all who are served.
//!
//! A request means the listing, or a content by its id, its name, or the beginning of its id; never a path.
//!
//! Owns the readers' states ([`Reader`]) and the index of those that are served. What is offered it reads from the catalogue, and
//! each chunk of an answer stands in the one line of uploads, as those of native peers do. Knows no other protocol.
//!
//! Of each connection the calls come in this order: [`Engine::accept`]; then [`Engine::received`], [`Engine::refill`] and
//! [`Engine::sent`] as the driver reads and writes, [`Engine::review`] when its deadline comes; at last [`Engine::gone`].

mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::catalogue::Catalogue;
use crate::core::config::Config;
use crate::core::connection::Transport;
use crate::core::context::Context;
use crate::core::io::{ConnId, Event, Output};
use crate::core::timers::Timer;
use crate::core::uploader::{UploadRequest, Uploader};
use crate::types::{ContentId, Time};
use crate::wire::http::{
    Cursor, Host, PAGE_ENTRIES_MAX, Request, RequestError, Row, Status, Stays, Verdict, beyond, choices,
    content, listing, not_modified, page, refusal,
};
pub(crate) use reader::Reader;
use reader::{Body, Sent, Stage};

/// A beginning of an id has at least so many digits.
const PREFIX_DIGITS_MIN: usize = 8;
/// What this host is called besides its name; nobody can register a name that ends so.
const LOCAL_SUFFIXES: [&str; 3] = ["local", "lan", "home.arpa"];
/// What every host is called by itself.
const LOCALHOST: &str = "localhost";

/// What a path stands for.
enum Meaning {
    /// One content, under this name.
    One(ContentId, String),
    /// Several, each with a name and its size.
    Several(BTreeMap<ContentId, (String, u64)>),
    /// None.
    Nothing,
}

/// What the engine is lent for one call.
pub(crate) type Ctx<'p> = Context<'p>;

/// See [the module](self).
#[derive(Debug, Default)]
pub(crate) struct Engine {
    /// The readers that are served, with the address of each, for none may have too many.
    open: BTreeSet<(IpAddr, ConnId)>,
}

impl Engine {
    /// Whether a connection from there may be a reader's.
    pub(crate) fn admits(&self, ctx: &Ctx, from: SocketAddr) -> bool {
        let (ip, limits) = (from.ip(), &ctx.config.limits);
        ctx.config.http.is_some()
            && ctx.config.topology.serves_readers()
            && !ctx.is_leaving
            && (ctx.is_own(ip) || self.count_of(ip) < limits.http_readers_per_address_max)
            && self.open.len() < limits.http_readers_max
    }

    /// The state of a connection that stands since `since` and is a reader's from now on.
    pub(crate) fn accept(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        transport: Transport,
        since: Time,
    ) -> Reader {
        self.open.insert((transport.addr.ip(), conn));
        ctx.outputs.push(Output::Wake(conn));
        Reader::new(transport, since, ctx.now)
    }

    /// Takes bytes of a request; returns how many.
    pub(crate) fn received(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        reader: &mut Reader,
        bytes: &[u8],
    ) -> usize {
        match reader.push(ctx.now, bytes) {
            Ok((used, request)) => {
                if let Some(request) = request {
                    self.answer(ctx, conn, reader, &request);
                }
                self.review(ctx, conn, reader);
                used
            }
            Err(RequestError::Foreign) => {
                ctx.counters.add("connections closed for a fault");
                self.close(ctx, conn, reader, "speaks no dialect of ours");
                bytes.len()
            }
            Err(RequestError::Refused(status)) => {
                ctx.counters.add("HTTP requests refused");
                self.say(ctx, conn, reader, refusal(status, false, Stays::Closes), Stays::Closes);
                bytes.len()
            }
        }
    }

    /// The other side will send nothing more. What it asked for before, it still gets.
    pub(crate) fn ended(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        if !reader.is_busy() {
            self.close(ctx, conn, reader, "the connection ended");
        }
    }

    /// The driver has closed the connection; its state may go.
    pub(crate) fn gone(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        self.close(ctx, conn, reader, "the connection broke");
        ctx.timers.clear(Timer::Connection(conn));
        ctx.after.forget = Some(conn);
        ctx.after.review_leaving = true;
    }

    /// A reader is not served any more; the driver closes the connection.
    pub(crate) fn close(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader, why: &'static str) {
        let addr = reader.transport.addr;
        if let Some(body) = reader.close() {
            ctx.uploads.remove(conn);
            ctx.after.grant_uploads = true;
            tell_unsent(ctx, &body, addr, why);
        }
        if self.open.remove(&(addr.ip(), conn)) {
            // What it had of turns before is forgotten with it.
            ctx.uploads.remove(conn);
            ctx.timers.clear(Timer::Connection(conn));
            wake(ctx, conn, reader);
        }
    }

    /// A reader's deadline may have come: it neither asked nor took anything for too long.
    pub(crate) fn review(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        let Some(deadline) = reader.deadline(ctx.now, &ctx.config.limits) else { return };
        if deadline <= ctx.now {
            let why = if reader.is_busy() { "takes no bytes" } else { "asks for nothing" };
            return self.close(ctx, conn, reader, why);
        }
        ctx.timers.set(Timer::Connection(conn), deadline.max(ctx.now + Duration::from_millis(1)));
    }

    /// If it is this reader's turn, bytes of its answer may go: to the end of the chunk, or some more as long as they go fast.
    pub(crate) fn refill(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        if reader.waits()
            && let Some(request) = ctx.uploads.begin(conn, ctx.now, |_| None)
        {
            reader.begin_turn(ctx.now, u64::from(request.bytes));
        }
    }

    /// So many bytes of the segment are in the kernel.
    pub(crate) fn sent(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader, bytes: u64) {
        ctx.uploads.carried(ctx.now, bytes);
        match reader.sent(ctx.now, bytes) {
            Sent::Some => {
                if !ctx.uploads.moved(conn, ctx.now) && reader.cut_turn() {
                    self.end_turn(ctx, conn, reader);
                }
            }
            Sent::Turn => self.end_turn(ctx, conn, reader),
            Sent::All(body) => {
                if let Some(body) = body {
                    ctx.uploads.end_turn(conn);
                    ctx.after.grant_uploads = true;
                    ctx.outputs.event(Event::HttpSent {
                        content: body.content,
                        first: body.range.start,
                        bytes: body.sent_bytes(),
                        of: body.size,
                        to: reader.transport.addr,
                        took: body.took(ctx.now),
                    });
                }
                self.go_on_reading(ctx, conn, reader);
            }
        }
    }

    /// A shared file is not what it was. Before the head is out that can be said; after it, what was promised cannot be kept.
    pub(crate) fn lose(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader, why: &'static str) {
        let Some(body) = reader.body().filter(|_| reader.is_unsaid()).cloned() else {
            return self.close(ctx, conn, reader, why);
        };
        tell_unsent(ctx, &body, reader.transport.addr, why);
        ctx.uploads.remove(conn);
        ctx.after.grant_uploads = true;
        self.say(ctx, conn, reader, refusal(Status::Gone, false, Stays::Closes), Stays::Closes);
    }

    /// The readers that are served.
    pub(crate) fn open(&self) -> Vec<ConnId> {
        self.open.iter().map(|(_, conn)| *conn).collect()
    }

    /// Panics when readers, their index and their turns do not hang together.
    pub(crate) fn check<'r>(&self, uploads: &Uploader, readers: impl Iterator<Item = (ConnId, &'r Reader)>) {
        let mut open = BTreeSet::new();
        for (conn, reader) in readers {
            if !matches!(reader.stage, Stage::Closing) {
                open.insert((reader.transport.addr.ip(), conn));
            }
            assert_eq!(uploads.queued(conn), usize::from(reader.waits()), "{conn} waits for its turn");
        }
        assert_eq!(self.open, open, "readers that are served");
    }

    /// Answers a request.
    fn answer(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader, request: &Request) {
        let Request { head_only, stays, .. } = *request;
        let path = request.target.path.as_str();
        let refuse = |status: Status| refusal(status, head_only, stays);
        let is_misled = request.host.as_ref().is_some_and(|host| !is_called(ctx.config, host));
        let text = if is_misled {
            ctx.counters.add("HTTP requests for another host");
            refuse(Status::Misdirected)
        } else if path.parse::<ContentId>().is_err() && !ctx.may_look_at_all(reader.transport.addr.ip()) {
            ctx.counters.add("HTTP requests over rate");
            refuse(Status::Busy)
        } else if path.is_empty() {
            let html = listing_after(ctx, request.target.after.as_ref());
            page(Status::Found, &html, head_only, stays)
        } else {
            match meaning_of(ctx.catalogue, path) {
                Meaning::One(id, name) => match content_of(ctx, id, &name, request) {
                    (head, Some(body)) => return self.send(ctx, conn, reader, (head, body), stays),
                    (text, None) => text,
                },
                Meaning::Several(contents) => {
                    let rows = contents.iter().map(|(id, (name, size))| Row { id: *id, name, size: *size });
                    page(Status::Choices, &choices(path, rows), head_only, stays)
                }
                Meaning::Nothing => refuse(Status::NotFound),
            }
        };
        self.say(ctx, conn, reader, text, stays);
    }

    /// Answers with a text alone.
    fn say(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader, text: Vec<u8>, stays: Stays) {
        reader.answer(ctx.now, text, None, stays);
        self.review(ctx, conn, reader);
        wake(ctx, conn, reader);
    }

    /// Answers with a head and bytes of a content behind it, as soon as it is this reader's turn.
    fn send(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        reader: &mut Reader,
        (head, body): (Vec<u8>, Body),
        stays: Stays,
    ) {
        reader.answer(ctx.now, head, Some(body), stays);
        self.review(ctx, conn, reader);
        if reader.waits() {
            self.line_up(ctx, conn, reader);
        } else {
            wake(ctx, conn, reader);
        }
    }

    /// The chunk that the next byte is in is asked for, as a native peer would.
    fn line_up(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        let Some(body) = reader.body() else { return };
        let Some(held) = ctx.catalogue.get(&body.content) else {
            return self.close(ctx, conn, reader, "the file is gone");
        };
        let request = UploadRequest::rest_of_chunk(body.content, &held.geometry, body.at, body.range.end);
        ctx.uploads.add_outside(conn, request);
        ctx.after.grant_uploads = true;
    }

    fn end_turn(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        ctx.uploads.end_turn(conn);
        self.line_up(ctx, conn, reader);
    }

    /// An answer is out: the next request may come, or the connection is closed.
    fn go_on_reading(&mut self, ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
        if matches!(reader.stage, Stage::Closing) || ctx.is_leaving {
            ctx.after.review_leaving = true;
            return self.close(ctx, conn, reader, "the connection ended");
        }
        self.review(ctx, conn, reader);
        // The next request may have come already, which a driver that only writes would not notice.
        wake(ctx, conn, reader);
    }

    /// How many connections of one address are served.
    fn count_of(&self, ip: IpAddr) -> usize {
        let first = ConnId { slot: 0, generation: 0 };
        let last = ConnId { slot: u32::MAX, generation: u32::MAX };
        self.open.range((ip, first)..=(ip, last)).count()
    }
}

/// Tells the driver to visit a reader that has something to send or to read again.
pub(crate) fn wake(ctx: &mut Ctx, conn: ConnId, reader: &mut Reader) {
    reader.moved = ctx.now;
    ctx.wake(conn, &mut reader.transport);
}

fn tell_unsent(ctx: &mut Ctx, body: &Body, to: SocketAddr, why: &'static str) {
    ctx.outputs.event(Event::HttpUnsent {
        content: body.content,
        first: body.range.start,
        bytes: body.sent_bytes(),
        asked: body.range.end.saturating_sub(body.range.start),
        of: body.size,
        to,
        why,
    });
}

/// The answer to a request for one content: a head, and the bytes behind it if there are to be some.
fn content_of(ctx: &Ctx, id: ContentId, name: &str, request: &Request) -> (Vec<u8>, Option<Body>) {
    let Request { head_only, stays, .. } = *request;
    let size = ctx.catalogue.get(&id).map_or(0, |held| held.geometry.size_bytes());
    let range = match request.conditions.judge(&id, size) {
        Verdict::NotModified => return (not_modified(&id, stays), None),
        Verdict::Beyond => return (beyond(size, head_only, stays), None),
        Verdict::Whole => None,
        Verdict::Part(range) => Some(range),
    };
    let head = content(&id, name, size, range.as_ref(), stays);
    let body = Body::new(id, range.unwrap_or(0..size), size, ctx.now);
    (head, (!head_only).then_some(body))
}

/// Whether this host has that name. Rejects foreign `Host` headers: protection against DNS rebinding.
fn is_called(config: &Config, host: &Host) -> bool {
    let names = || config.http.iter().flat_map(|http| &http.names);
    let goes_by = |asked: &str, name: &String| {
        let rest = asked.strip_prefix(name.as_str());
        let suffix = rest.and_then(|rest| rest.strip_prefix('.'));
        asked == name || suffix.is_some_and(|suffix| LOCAL_SUFFIXES.contains(&suffix))
    };
    match host {
        Host::Ip(ip) => config.is_own(*ip),
        Host::Name(asked) => asked == LOCALHOST || names().any(|name| goes_by(asked, name)),
    }
}

/// A whole name goes before a last component, and that before the beginning of an id.
fn meaning_of(catalogue: &Catalogue, path: &str) -> Meaning {
    if let Ok(id) = path.parse::<ContentId>() {
        let name = catalogue.complete_of(&id).next();
        return name.map_or(Meaning::Nothing, |(name, _)| Meaning::One(id, name.to_owned()));
    }
    let last = |name: &str| name.rsplit('/').next() == Some(path);
    let whole = meaning(catalogue.complete().filter(|(_, name, _)| *name == path));
    if !matches!(whole, Meaning::Nothing) {
        return whole;
    }
    match meaning(catalogue.complete().filter(|(_, name, _)| last(name))) {
        Meaning::Nothing if path.len() >= PREFIX_DIGITS_MIN && is_hexadecimal(path) => {
            meaning(catalogue.complete().filter(|(id, _, _)| id.begins_with(path)))
        }
        found => found,
    }
}

/// A page of what is shared, in the order of names.
fn listing_after(ctx: &Ctx, after: Option<&Cursor>) -> String {
    let mut first = BTreeSet::new();
    let mut more = false;
    for (id, name, size) in ctx.catalogue.complete() {
        if after.is_some_and(|after| (name, id) <= (after.name.as_str(), after.id)) {
            continue;
        }
        first.insert((name, id, size));
        if first.len() > PAGE_ENTRIES_MAX {
            first.pop_last();
            more = true;
        }
    }
    listing(&ctx.config.user, first.into_iter().map(|(name, id, size)| Row { id, name, size }), more)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn meaning<'a>(found: impl Iterator<Item = (ContentId, &'a str, u64)>) -> Meaning {
    let mut contents = BTreeMap::new();
    for (id, name, size) in found {
        contents.entry(id).or_insert((name.to_owned(), size));
        // More than a page takes are not told anyway.
        if contents.len() > PAGE_ENTRIES_MAX {
            break;
        }
    }
    match contents.len() {
        1 => contents.pop_first().map_or(Meaning::Nothing, |(id, (name, _))| Meaning::One(id, name)),
        0 => Meaning::Nothing,
        _ => Meaning::Several(contents),
    }
}
