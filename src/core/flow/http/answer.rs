//! What a request means: the listing, or a content by its id, its name, or the beginning of its id. Never a path.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::door::ConnId;
use crate::core::http::Body;
use crate::core::peer::Peer;
use crate::types::id::ContentId;
use crate::types::time::Time;
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

impl Peer {
    pub(super) fn on_http_request(&mut self, now: Time, conn: ConnId, request: Request) {
        let Request { head_only, stays, .. } = request;
        let refuse = |status: Status| refusal(status, head_only, stays);
        if !request.host.as_ref().is_none_or(|host| self.is_called(host)) {
            self.counters.add("HTTP requests for another host");
            return self.say_http(now, conn, refuse(Status::Misdirected), stays);
        }
        let is_id = request.target.path.parse::<ContentId>().is_ok();
        if !is_id && !self.may_look_at_all(now, conn) {
            self.counters.add("HTTP requests over rate");
            return self.say_http(now, conn, refuse(Status::Busy), stays);
        }
        if request.target.path.is_empty() {
            let html = self.listing_after(request.target.after.as_ref());
            return self.say_http(now, conn, page(Status::Found, &html, head_only, stays), stays);
        }
        match self.meaning_of(&request.target.path) {
            Meaning::One(id, name) => self.answer_content(now, conn, id, &name, &request),
            Meaning::Several(contents) => {
                let rows = contents.iter().map(|(id, (name, size))| Row { id: *id, name, size: *size });
                let html = choices(&request.target.path, rows);
                self.say_http(now, conn, page(Status::Choices, &html, head_only, stays), stays);
            }
            Meaning::Nothing => self.say_http(now, conn, refuse(Status::NotFound), stays),
        }
    }

    fn answer_content(&mut self, now: Time, conn: ConnId, id: ContentId, name: &str, request: &Request) {
        let Request { head_only, stays, .. } = *request;
        let size = self.catalogue.get(&id).map_or(0, |held| held.geometry.size_bytes());
        let range = match request.conditions.judge(&id, size) {
            Verdict::NotModified => return self.say_http(now, conn, not_modified(&id, stays), stays),
            Verdict::Beyond => return self.say_http(now, conn, beyond(size, head_only, stays), stays),
            Verdict::Whole => None,
            Verdict::Part(range) => Some(range),
        };
        let head = content(&id, name, size, range.as_ref(), stays);
        if head_only {
            return self.say_http(now, conn, head, stays);
        }
        let body = Body::new(id, range.unwrap_or(0..size), size, now);
        self.send_http(now, conn, head, body, stays);
    }

    /// Whether this host goes by that name. A page of somebody else's, whose name was made to lead here, is not to read
    /// what is shared in the name of who looks at it.
    fn is_called(&self, host: &Host) -> bool {
        let names = || self.config.http.iter().flat_map(|http| &http.names);
        let goes_by = |asked: &str, name: &String| {
            let rest = asked.strip_prefix(name.as_str());
            let suffix = rest.and_then(|rest| rest.strip_prefix('.'));
            asked == name || suffix.is_some_and(|suffix| LOCAL_SUFFIXES.contains(&suffix))
        };
        match host {
            Host::Ip(ip) => ip.is_loopback() || self.config.own_addresses.contains(ip),
            Host::Name(asked) => asked == LOCALHOST || names().any(|name| goes_by(asked, name)),
        }
    }

    /// A whole name goes before a last component, and that before the beginning of an id.
    fn meaning_of(&self, path: &str) -> Meaning {
        if let Ok(id) = path.parse::<ContentId>() {
            let name = self.catalogue.complete_of(&id).next();
            return name.map_or(Meaning::Nothing, |(name, _)| Meaning::One(id, name.to_owned()));
        }
        let last = |name: &str| name.rsplit('/').next() == Some(path);
        let whole = meaning(self.catalogue.complete().filter(|(_, name, _)| *name == path));
        if !matches!(whole, Meaning::Nothing) {
            return whole;
        }
        match meaning(self.catalogue.complete().filter(|(_, name, _)| last(name))) {
            Meaning::Nothing if path.len() >= PREFIX_DIGITS_MIN && is_hexadecimal(path) => {
                meaning(self.catalogue.complete().filter(|(id, _, _)| id.begins_with(path)))
            }
            found => found,
        }
    }

    /// A page of what is shared, in the order of names.
    fn listing_after(&self, after: Option<&Cursor>) -> String {
        let mut first = BTreeSet::new();
        let mut more = false;
        for (id, name, size) in self.catalogue.complete() {
            if after.is_some_and(|after| (name, id) <= (after.name.as_str(), after.id)) {
                continue;
            }
            first.insert((name, id, size));
            if first.len() > PAGE_ENTRIES_MAX {
                first.pop_last();
                more = true;
            }
        }
        listing(&self.config.user, first.into_iter().map(|(name, id, size)| Row { id, name, size }), more)
    }
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
