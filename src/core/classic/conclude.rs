//! The end of a fetch: its file is joined, waited for, begun anew, or given up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::core::classic::directory::{Offers, is_sized};
use crate::core::classic::fetches::{Chunk, Fetch, Had, State};
use crate::core::classic::{Ctx, Engine};
use crate::core::io::{ClassicEvent, ClassicFailure, ClassicJob};
use crate::core::timers::Timer;
use crate::wire::classic::split::{FIFTHS, FIXED_CHUNK_BYTES};
use crate::wire::classic::{ChunkName, ChunkRule, NameForm};

/// So many missing chunks are told at most.
const MISSING_TOLD_MAX: usize = 64;

impl Engine {
    /// Joins the file if all is here, or gives up if it is time to. True when either happened.
    pub(super) fn conclude(&mut self, ctx: &mut Ctx<'_>, ticket: u32, offers: &Offers) -> bool {
        let Some(fetch) = self.fetches.get(ticket) else { return true };
        let missing = missing_of(fetch, offers);
        if fetch.is_moving() || self.is_holder_resting(ctx, fetch, &missing, offers) {
            return false;
        }
        let misfits = if missing.is_empty() { fetch.misfits() } else { Vec::new() };
        if !misfits.is_empty() {
            return self.fetch_again(ctx, ticket, &misfits, offers);
        }
        let patient = ctx.now < fetch.progress + whole_wait(ctx, fetch);
        let complete = fetch.rule.whole(&fetch.sizes()).is_some();
        let surely = missing.is_empty() && (fetch.rule == ChunkRule::Fifths || has_short_last(fetch));
        if complete && (surely || (!patient && nobody_has_more(fetch, offers))) {
            self.merge(ctx, ticket);
            return true;
        }
        // Nobody else delivers what is in the place of a chunk that cannot be right.
        let spent = |chunk: &Chunk| chunk.misfit.clone().filter(|_| chunk.told_failed);
        if let Some(misfit) = missing.iter().find_map(|index| fetch.chunks.get(index).and_then(spent)) {
            let text = conflict_text(fetch, &misfit);
            self.fail_fetch(ctx, ticket, ClassicFailure::Conflict { text });
            return true;
        }
        let unoffered: Vec<u32> =
            missing.iter().copied().filter(|index| !offers.contains_key(index)).collect();
        if ctx.now >= fetch.progress + fetch.wait {
            if self.change_cut(ctx, ticket) {
                self.review_fetch(ctx, ticket);
                return true;
            }
            let missing = self.names_of_missing(ticket, &missing, offers);
            self.fail_fetch(ctx, ticket, ClassicFailure::Incomplete { missing });
            return true;
        }
        self.tell_waiting(ctx, ticket, unoffered);
        false
    }

    /// Whether a missing chunk is asked for in a moment.
    fn is_holder_resting(&self, ctx: &Ctx<'_>, fetch: &Fetch, missing: &[u32], offers: &Offers) -> bool {
        let rounds = ctx.config.limits.classic_rounds_max;
        let mut wanted = missing.iter().filter_map(|index| fetch.chunks.get(index).zip(offers.get(index)));
        wanted.any(|(chunk, of_chunk)| {
            let mut open = of_chunk.iter().filter(|offer| chunk.may_ask(offer.ip, rounds));
            open.any(|offer| self.directory.rests_until(offer.ip).is_some_and(|until| until > ctx.now))
        })
    }

    /// Begins anew in the other cut, when all of the file is announced in that one. Which cut is whole is not known
    /// when the first peer is heard. True when that was done, which it is at most once.
    fn change_cut(&mut self, ctx: &mut Ctx<'_>, ticket: u32) -> bool {
        let Some(fetch) = self.fetches.get(ticket).filter(|fetch| !fetch.cut_changed) else {
            return false;
        };
        let Some(file) = fetch.file.clone() else { return false };
        let (rule, whole) = match fetch.rule {
            ChunkRule::Fifths => {
                (ChunkRule::Fixed, is_sized(&self.directory.offers_of(&file, ChunkRule::Fixed)))
            }
            ChunkRule::Fixed => (
                ChunkRule::Fifths,
                self.directory.offers_of(&file, ChunkRule::Fifths).len() == FIFTHS as usize,
            ),
        };
        if whole && let Some(fetch) = self.fetches.get_mut(ticket) {
            (fetch.rule, fetch.cut_changed, fetch.progress) = (rule, true, ctx.now);
            fetch.chunks.clear();
            fetch.told_missing.clear();
        }
        whole
    }

    fn tell_waiting(&mut self, ctx: &mut Ctx<'_>, ticket: u32, missing: Vec<u32>) {
        let Some(fetch) = self.fetches.get_mut(ticket) else { return };
        if !missing.is_empty() && fetch.told_missing != missing {
            fetch.told_missing.clone_from(&missing);
            ctx.tell(ClassicEvent::Waiting { ticket, missing });
        }
    }

    /// Chunks whose sizes cannot be right are fetched from others, as long as there are others. True when the fetch
    /// ended.
    fn fetch_again(&mut self, ctx: &mut Ctx<'_>, ticket: u32, misfits: &[u32], offers: &Offers) -> bool {
        let rounds = ctx.config.limits.classic_rounds_max;
        let Some(fetch) = self.fetches.get_mut(ticket) else { return true };
        for index in misfits {
            let Some(chunk) = fetch.chunks.get_mut(index) else { continue };
            let State::Had(had) = &chunk.state else { continue };
            let had = had.clone();
            chunk.misfit = Some(had.clone());
            chunk.distrusted.extend(had.from.map(|from| from.ip()));
            let others = offers.get(index).into_iter().flatten();
            if !others.into_iter().any(|offer| chunk.may_ask(offer.ip, rounds)) {
                let text = conflict_text(fetch, &had);
                self.fail_fetch(ctx, ticket, ClassicFailure::Conflict { text });
                return true;
            }
        }
        for index in misfits {
            if let Some(chunk) = fetch.chunks.get_mut(index)
                && let State::Had(had) = std::mem::take(&mut chunk.state)
            {
                fetch.replaced.insert(had.name);
            }
        }
        fetch.progress = ctx.now;
        self.request_from_holders(ctx, ticket, offers);
        false
    }

    fn merge(&mut self, ctx: &mut Ctx<'_>, ticket: u32) {
        let Some(fetch) = self.fetches.get_mut(ticket) else { return };
        let Some(file) = &fetch.file else { return };
        fetch.merging = true;
        let file = file.merged_name(&fetch.wanted);
        let chunks: Vec<ChunkName> = fetch.had().map(|(_, had)| had.name.clone()).collect();
        ctx.timers.clear(Timer::ClassicFetch(ticket));
        ctx.store(ClassicJob::Merge { ticket, file, chunks });
    }

    /// When a fetch is looked at again, if nothing comes until then.
    pub(super) fn set_fetch_timer(&self, ctx: &mut Ctx<'_>, ticket: u32, offers: &Offers) {
        let Some(fetch) = self.fetches.get(ticket) else { return };
        let limits = &ctx.config.limits;
        let mut moments = vec![fetch.progress + fetch.wait, fetch.progress + whole_wait(ctx, fetch)];
        for (index, chunk) in &fetch.chunks {
            match &chunk.state {
                State::ChunkRequest(attempt) if attempt.conn.is_none() => moments.push(attempt.again),
                State::Wanted => {
                    let of_chunk = offers.get(index).into_iter().flatten();
                    let open = of_chunk.filter(|o| chunk.may_ask(o.ip, limits.classic_rounds_max));
                    moments.extend(open.map(|offer| self.rested_at(ctx, chunk, offer.ip)));
                }
                _ => {}
            }
        }
        match moments.into_iter().filter(|at| *at > ctx.now).min() {
            Some(at) => ctx.timers.set(Timer::ClassicFetch(ticket), at),
            None => ctx.timers.clear(Timer::ClassicFetch(ticket)),
        }
    }

    fn names_of_missing(&self, ticket: u32, missing: &[u32], offers: &Offers) -> Vec<ChunkName> {
        let Some(fetch) = self.fetches.get(ticket) else { return Vec::new() };
        let of_file = fetch.file.as_ref().map(|file| file.file_name()).unwrap_or_default();
        let any = offers.values().flatten().map(|offer| &offer.name).next();
        let name = |index: &u32| {
            let announced = offers.get(index).and_then(|offers| offers.first()).map(|o| o.name.clone());
            let alike = || any.and_then(|name| name.sibling(*index).ok());
            let made = || ChunkName::of_file(&of_file, *index, NameForm::Stem).ok();
            announced.or_else(alike).or_else(made)
        };
        missing.iter().filter_map(name).collect()
    }
}

/// How long more chunks are waited for when those that are had may be all.
fn whole_wait(ctx: &Ctx<'_>, fetch: &Fetch) -> Duration {
    fetch.wait.min(ctx.config.limits.classic_whole_wait)
}

/// The chunks that are not had, as far as is known how many there are.
fn missing_of(fetch: &Fetch, offers: &Offers) -> Vec<u32> {
    let last = match fetch.rule {
        ChunkRule::Fifths => FIFTHS,
        ChunkRule::Fixed => {
            let had = fetch.had().last().map_or(0, |(index, _)| index);
            offers.last_key_value().map_or(0, |(last, _)| *last).max(had)
        }
    };
    let had: BTreeSet<u32> = fetch.had().map(|(index, _)| index).collect();
    (1..=last).filter(|index| !had.contains(index)).take(MISSING_TOLD_MAX).collect()
}

/// Whether the last chunk is shorter than others can be, so that none follows.
fn has_short_last(fetch: &Fetch) -> bool {
    fetch.had().last().is_some_and(|(_, had)| had.bytes < FIXED_CHUNK_BYTES)
}

/// Whether somebody announces exactly the chunks that are had, and nobody another.
fn nobody_has_more(fetch: &Fetch, offers: &Offers) -> bool {
    let had: BTreeSet<u32> = fetch.had().map(|(index, _)| index).collect();
    let holders: BTreeSet<IpAddr> = offers.values().flatten().map(|offer| offer.ip).collect();
    let has_all = |ip: &IpAddr| {
        had.iter().all(|index| offers.get(index).is_some_and(|of| of.iter().any(|offer| offer.ip == *ip)))
    };
    offers.keys().all(|index| had.contains(index)) && holders.iter().any(has_all)
}

fn conflict_text(fetch: &Fetch, misfit: &Had) -> String {
    let others = fetch.had().filter(|(_, had)| had.name != misfit.name).map(|(_, had)| had.bytes).max();
    let from = misfit.from.map_or_else(|| "kept here".to_owned(), |from| format!("from {}", from.ip()));
    format!(
        "chunk {} has {} bytes ({from}) where others have {}: these are not of one file",
        misfit.name,
        misfit.bytes,
        others.unwrap_or(0)
    )
}
