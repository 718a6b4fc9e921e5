//! What a request means: the listing, or a content by its id, its name, or the beginning of its id. Never a path.

use std::collections::{BTreeMap, BTreeSet};

use super::{Body, Engine, Reader};
use crate::core::catalogue::Catalogue;
use crate::core::config::Config;
use crate::core::context::Context;
use crate::core::io::ConnId;
use crate::types::id::ContentId;
use crate::wire::http::{
    Cursor, Host, PAGE_ENTRIES_MAX, Request, Row, Status, Verdict, beyond, choices, content, listing,
    not_modified, page, refusal,
};

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

impl Engine {
    /// Answers a request.
    pub(super) fn answer(
        &mut self,
        ctx: &mut Context<'_>,
        conn: ConnId,
        reader: &mut Reader,
        request: &Request,
    ) {
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
}

/// The answer to a request for one content: a head, and the bytes behind it if there are to be some.
fn content_of(ctx: &Context<'_>, id: ContentId, name: &str, request: &Request) -> (Vec<u8>, Option<Body>) {
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
fn listing_after(ctx: &Context<'_>, after: Option<&Cursor>) -> String {
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
