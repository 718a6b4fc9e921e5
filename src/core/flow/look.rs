//! Names looked through for others' queries and requests, a slice at a time.

use std::net::IpAddr;
use std::ops::Bound;

use crate::core::announcer::Asker;
use crate::core::door::ConnId;
use crate::core::looks::Turn;
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::frame;
use crate::wire::message::{CataloguePage, CatalogueRequest, Frame, Wanted};

/// A name of a content.
type Title = (ContentId, String);

/// What is looked for, and for what.
#[derive(Debug)]
pub(in crate::core) enum Sought {
    /// An answer to a query: the first name behind `after` that matches.
    Answer { asker: Asker, wanted: Wanted, after: Option<Title> },
    /// A page for a connection: the names behind the request's cursor that match.
    Page { conn: ConnId, request: CatalogueRequest },
}

/// What a slice brought.
enum Slice {
    /// There is more to look through, after so many steps.
    More(Sought, u64),
    /// The page of a connection.
    Page(ConnId, CataloguePage),
    /// It is done with.
    Over,
}

impl Peer {
    /// Answers a query if anything matches it: at once when the budget lasts for that, or when it takes next to nothing.
    pub(in crate::core) fn look_for_answer(&mut self, now: Time, asker: Asker, wanted: Wanted) {
        let source = asker.addr.ip();
        if is_found_at_once(&wanted) {
            let (found, _, _) =
                self.look_for_first(source, &wanted, None, self.config.limits.look_first_steps);
            return self.answer_found(now, asker, wanted, found);
        }
        let admitted = self.looks.admits(now, source);
        if !(admitted && self.looks.begin_query(source, Sought::Answer { asker, wanted, after: None })) {
            return self.counters.add("queries over rate");
        }
        self.look_on(now);
    }

    /// The page that a connection asked for, if the budget lasts for it; else it is said later.
    pub(in crate::core) fn look_for_page(
        &mut self,
        now: Time,
        conn: ConnId,
        request: CatalogueRequest,
    ) -> Option<CataloguePage> {
        let connection = self.connections.native_mut(conn)?;
        connection.page_waits = true;
        let source = connection.transport.addr.ip();
        self.looks.keep_page(source, Sought::Page { conn, request });
        self.look_on_for(now, Some(conn))
    }

    /// Goes on with what waits, each a slice in turn, as far as the budget lasts.
    pub(in crate::core) fn look_on(&mut self, now: Time) {
        self.look_on_for(now, None);
    }

    /// The same, for a connection that is about to write: its page is not queued.
    fn look_on_for(&mut self, now: Time, writing: Option<ConnId>) -> Option<CataloguePage> {
        self.looks.renew(now);
        let mut page_of_writing = None;
        while let Some(Turn { source, sought, taken, steps }) = self.looks.next(now) {
            match self.look(now, source, sought, steps) {
                Slice::More(sought @ Sought::Page { .. }, _) => self.looks.keep_page(source, sought),
                Slice::More(sought, steps) => {
                    if !self.looks.keep_query(source, sought, taken.saturating_add(steps)) {
                        self.counters.add("queries over rate");
                    }
                }
                Slice::Page(conn, page) if Some(conn) == writing => page_of_writing = Some(page),
                Slice::Page(conn, page) => self.say(now, conn, Frame::CataloguePage(page)),
                Slice::Over => {}
            }
        }
        self.await_looks(now);
        page_of_writing
    }

    /// So many steps were taken for an address.
    pub(in crate::core) fn took_steps(&mut self, source: IpAddr, steps: u64) {
        self.looks.took(source, steps);
        self.counters.add_many("steps of looking through names", steps);
    }

    fn await_looks(&mut self, now: Time) {
        if let Some(at) = self.looks.due(now) {
            self.timers.set_no_later(Timer::Look, at);
        }
    }

    /// Looks through names for about so many steps, which `source` pays for.
    fn look(&mut self, now: Time, source: IpAddr, sought: Sought, steps: u32) -> Slice {
        let admitted = self.looks.admits(now, source);
        match sought {
            Sought::Answer { .. } if !admitted => {
                self.counters.add("queries over rate");
                Slice::Over
            }
            Sought::Answer { asker, wanted, after } => {
                let (found, after, steps) = self.look_for_first(source, &wanted, after, steps);
                if found.is_none() && after.is_some() {
                    return Slice::More(Sought::Answer { asker, wanted, after }, steps);
                }
                self.answer_found(now, asker, wanted, found);
                Slice::Over
            }
            Sought::Page { conn, .. } if self.connections.native(conn).is_none() => Slice::Over,
            Sought::Page { .. } if !admitted => {
                self.counters.add("catalogue pages put off");
                self.looks.stall_page(source, sought);
                Slice::Over
            }
            Sought::Page { conn, mut request } => {
                let from = request.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
                let mut looking = self.catalogue.look(&request.wanted, from, steps);
                let mut page = frame::catalogue_page(&mut looking, self.catalogue.generation());
                let (after, steps) = (looking.cut_behind(), looking.steps());
                self.took_steps(source, steps);
                if after.is_some() && page.entries.is_empty() {
                    request.after = after;
                    return Slice::More(Sought::Page { conn, request }, steps);
                }
                // A page may be shorter than it could be; an empty one would be the last.
                page.more |= after.is_some();
                if let Some(connection) = self.connections.native_mut(conn) {
                    connection.page_waits = false;
                }
                Slice::Page(conn, page)
            }
        }
    }

    /// The first name behind `after` that matches, or behind which name to go on; and what that took.
    fn look_for_first(
        &mut self,
        source: IpAddr,
        wanted: &Wanted,
        after: Option<Title>,
        steps: u32,
    ) -> (Option<Title>, Option<Title>, u64) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut looking = self.catalogue.look(wanted, from, steps);
        let found = looking.next().map(|entry| (entry.id, entry.name));
        let (after, steps) = (looking.cut_behind(), looking.steps());
        self.took_steps(source, steps);
        (found, after, steps)
    }

    fn answer_found(&mut self, now: Time, asker: Asker, wanted: Wanted, found: Option<Title>) {
        if found.is_some() || wanted == Wanted::All {
            self.answer(now, asker, wanted, found);
        }
    }
}

/// Whether the first name that matches is the first one that is looked at, if there is any: then it is looked for whatever
/// others ask, and needs no budget.
pub(in crate::core) fn is_found_at_once(wanted: &Wanted) -> bool {
    matches!(wanted, Wanted::All | Wanted::Id(_) | Wanted::Prefix(_))
}
