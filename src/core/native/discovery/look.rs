//! Names looked through for others' queries and requests, a slice at a time.

use std::net::IpAddr;
use std::ops::Bound;

use crate::core::io::ConnId;
use crate::core::looks::{Asker, Sought, Title, Turn};
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::wire::frame;
use crate::wire::message::{CataloguePage, CatalogueRequest, Frame, Wanted};

/// What a slice brought.
enum Slice {
    /// There is more to look through, after so many steps.
    More(Sought, u64),
    /// The page of a connection.
    Page(ConnId, CataloguePage),
    /// It is done with.
    Over,
}

impl Engine {
    /// Answers a query if anything matches it: at once when the budget lasts for that, or when it takes next to nothing.
    pub(crate) fn look_for_answer(&mut self, ctx: &mut Ctx, asker: Asker, wanted: Wanted) {
        let source = asker.addr.ip();
        if is_found_at_once(&wanted) {
            let (found, _, _) =
                self.look_for_first(ctx, source, &wanted, None, ctx.config.limits.look_first_steps);
            return self.answer_found(ctx, asker, wanted, found);
        }
        let admitted = ctx.looks.admits(ctx.now, source);
        if !(admitted && ctx.looks.begin_query(source, Sought::Answer { asker, wanted, after: None })) {
            return ctx.counters.add("queries over rate");
        }
        self.look_on(ctx);
    }

    /// The page that a connection asked for, if the budget lasts for it; else it is said later.
    pub(crate) fn look_for_page(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        request: CatalogueRequest,
    ) -> Option<CataloguePage> {
        let connection = ctx.conns.native_mut(conn)?;
        connection.page_waits = true;
        let source = connection.transport.addr.ip();
        ctx.looks.keep_page(source, Sought::Page { conn, request });
        self.look_on_for(ctx, Some(conn))
    }

    /// Goes on with what waits, each a slice in turn, as far as the budget lasts.
    pub(crate) fn look_on(&mut self, ctx: &mut Ctx) {
        self.look_on_for(ctx, None);
    }

    /// The same, for a connection that is about to write: its page is not queued.
    fn look_on_for(&mut self, ctx: &mut Ctx, writing: Option<ConnId>) -> Option<CataloguePage> {
        ctx.looks.renew(ctx.now);
        let mut page_of_writing = None;
        while let Some(Turn { source, sought, taken, steps }) = ctx.looks.next(ctx.now) {
            match self.look(ctx, source, sought, steps) {
                Slice::More(sought @ Sought::Page { .. }, _) => ctx.looks.keep_page(source, sought),
                Slice::More(sought, steps) => {
                    if !ctx.looks.keep_query(source, sought, taken.saturating_add(steps)) {
                        ctx.counters.add("queries over rate");
                    }
                }
                Slice::Page(conn, page) if Some(conn) == writing => page_of_writing = Some(page),
                Slice::Page(conn, page) => self.say(ctx, conn, Frame::CataloguePage(page)),
                Slice::Over => {}
            }
        }
        self.await_looks(ctx);
        page_of_writing
    }

    /// So many steps were taken for an address.
    pub(crate) fn took_steps(&mut self, ctx: &mut Ctx, source: IpAddr, steps: u64) {
        ctx.looks.took(source, steps);
        ctx.counters.add_many("steps of looking through names", steps);
    }

    fn await_looks(&mut self, ctx: &mut Ctx) {
        if let Some(at) = ctx.looks.due(ctx.now) {
            ctx.timers.set_no_later(Timer::Look, at);
        }
    }

    /// Looks through names for about so many steps, which `source` pays for.
    fn look(&mut self, ctx: &mut Ctx, source: IpAddr, sought: Sought, steps: u32) -> Slice {
        let admitted = ctx.looks.admits(ctx.now, source);
        match sought {
            Sought::Answer { .. } if !admitted => {
                ctx.counters.add("queries over rate");
                Slice::Over
            }
            Sought::Answer { asker, wanted, after } => {
                let (found, after, steps) = self.look_for_first(ctx, source, &wanted, after, steps);
                if found.is_none() && after.is_some() {
                    return Slice::More(Sought::Answer { asker, wanted, after }, steps);
                }
                self.answer_found(ctx, asker, wanted, found);
                Slice::Over
            }
            Sought::Page { conn, .. } if ctx.conns.native(conn).is_none() => Slice::Over,
            Sought::Page { .. } if !admitted => {
                ctx.counters.add("catalogue pages put off");
                ctx.looks.stall_page(source, sought);
                Slice::Over
            }
            Sought::Page { conn, mut request } => {
                let from = request.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
                let mut looking = ctx.catalogue.look(&request.wanted, from, steps);
                let mut page = frame::catalogue_page(&mut looking, ctx.catalogue.generation());
                let (after, steps) = (looking.cut_behind(), looking.steps());
                self.took_steps(ctx, source, steps);
                if after.is_some() && page.entries.is_empty() {
                    request.after = after;
                    return Slice::More(Sought::Page { conn, request }, steps);
                }
                // A page may be shorter than it could be; an empty one would be the last.
                page.more |= after.is_some();
                if let Some(connection) = ctx.conns.native_mut(conn) {
                    connection.page_waits = false;
                }
                Slice::Page(conn, page)
            }
        }
    }

    /// The first name behind `after` that matches, or behind which name to go on; and what that took.
    fn look_for_first(
        &mut self,
        ctx: &mut Ctx,
        source: IpAddr,
        wanted: &Wanted,
        after: Option<Title>,
        steps: u32,
    ) -> (Option<Title>, Option<Title>, u64) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut looking = ctx.catalogue.look(wanted, from, steps);
        let found = looking.next().map(|entry| (entry.id, entry.name));
        let (after, steps) = (looking.cut_behind(), looking.steps());
        self.took_steps(ctx, source, steps);
        (found, after, steps)
    }

    fn answer_found(&mut self, ctx: &mut Ctx, asker: Asker, wanted: Wanted, found: Option<Title>) {
        if found.is_some() || wanted == Wanted::All {
            self.answer(ctx, asker, wanted, found);
        }
    }
}

/// Whether the first name that matches is the first one that is looked at, if there is any: then it is looked for whatever
/// others ask, and needs no budget.
pub(crate) fn is_found_at_once(wanted: &Wanted) -> bool {
    matches!(wanted, Wanted::All | Wanted::Id(_) | Wanted::Prefix(_))
}
