//! Fetching a file of the classic dialects: found, asked for chunk by chunk, joined, or given up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::core::classic::directory::{Offers, is_sized};
use crate::core::classic::fetches::{Fetch, Had, State, TargetLook};
use crate::core::classic::files::{Files, Match};
use crate::core::classic::{Ctx, Engine};
use crate::core::io::{ClassicEvent, ClassicFailure, ClassicJob, ConnId};
use crate::core::timers::Timer;
use crate::types::Time;
use crate::wire::classic::split::FIFTHS;
use crate::wire::classic::{ChunkName, ChunkRule};

impl Engine {
    /// A file of this name is wanted; `wait`: for somebody who announces what is missing.
    pub(crate) fn fetch(&mut self, ctx: &mut Ctx<'_>, ticket: u32, name: String, wait: Duration) {
        self.fail_fetch(ctx, ticket, ClassicFailure::Cancelled);
        if ctx.config.classic.is_none() || ctx.is_leaving {
            let reason = ClassicFailure::NobodyOffers { peers: 0, files: Vec::new() };
            return ctx.tell(ClassicEvent::Failed { ticket, reason });
        }
        self.fetches.insert(ticket, Fetch::new(name, wait, ctx.now));
        // What was kept before need not be fetched again.
        ctx.store(ClassicJob::List);
        self.read_dictionary(ctx, false);
        ctx.timers.set(Timer::ClassicFetch(ticket), ctx.now + wait);
    }

    /// Looks at every fetch again: something came, or somebody was heard.
    pub(super) fn review_fetches(&mut self, ctx: &mut Ctx<'_>) {
        for ticket in self.fetches.tickets() {
            self.review_fetch(ctx, ticket);
        }
    }

    /// Goes on with a fetch as far as that is possible now.
    pub(crate) fn review_fetch(&mut self, ctx: &mut Ctx<'_>, ticket: u32) {
        let is_open = self.fetches.get(ticket).is_some_and(Fetch::is_open);
        if !is_open || ctx.is_leaving || !self.locate(ctx, ticket) {
            return;
        }
        let Some(offers) = self.choose_rule(ticket) else { return };
        self.take_kept(ticket, &offers);
        if !self.may_make_file(ctx, ticket) {
            return;
        }
        self.tell_begun(ctx, ticket, &offers);
        self.request_from_holders(ctx, ticket, &offers);
        self.tell_failed_chunks(ctx, ticket, &offers);
        if !self.conclude(ctx, ticket, &offers) {
            self.set_fetch_timer(ctx, ticket, &offers);
        }
    }

    /// New chunks are announced by a peer. What is missing is waited for anew, but once for each that a peer has: who
    /// announces and takes back again and again would keep a fetch waiting for ever. Until its wait is over, who failed
    /// is tried again.
    pub(super) fn note_offered(&mut self, now: Time, from: IpAddr, names: &[ChunkName]) {
        for ticket in self.fetches.tickets() {
            let Some(fetch) = self.fetches.get_mut(ticket) else { continue };
            let Some(file) = fetch.file.clone() else { continue };
            for name in names.iter().filter(|name| file.takes(name) && fetch.rule.may_have(name.index())) {
                let chunk = fetch.chunks.entry(name.index()).or_default();
                let is_had = matches!(chunk.state, State::Had(_));
                if chunk.offered_by.insert(from) && !is_had {
                    fetch.progress = now;
                }
                if now < fetch.progress + fetch.wait {
                    chunk.failures.remove(&from);
                    chunk.told_failed = false;
                }
            }
        }
    }

    /// Ends a fetch without its file.
    pub(super) fn fail_fetch(&mut self, ctx: &mut Ctx<'_>, ticket: u32, reason: ClassicFailure) {
        if self.end_fetch(ctx, ticket).is_some() {
            ctx.tell(ClassicEvent::Failed { ticket, reason });
        }
    }

    /// Gives up every fetch but those whose file will be there in a moment.
    pub(super) fn cancel_fetches(&mut self, ctx: &mut Ctx<'_>) {
        for ticket in self.fetches.tickets() {
            if self.fetches.get(ticket).is_some_and(|fetch| !fetch.merging) {
                self.fail_fetch(ctx, ticket, ClassicFailure::Cancelled);
            }
        }
    }

    /// Takes a fetch out, and with it its connections.
    pub(super) fn end_fetch(&mut self, ctx: &mut Ctx<'_>, ticket: u32) -> Option<Fetch> {
        let fetch = self.fetches.remove(ticket)?;
        ctx.timers.clear(Timer::ClassicFetch(ticket));
        let asks: Vec<ConnId> = fetch
            .chunks
            .values()
            .filter_map(|chunk| match &chunk.state {
                State::ChunkRequest(attempt) => attempt.conn,
                _ => None,
            })
            .collect();
        asks.into_iter().for_each(|conn| self.close(ctx, conn));
        Some(fetch)
    }

    /// Finds out which file is wanted. False while that is not known.
    fn locate(&mut self, ctx: &mut Ctx<'_>, ticket: u32) -> bool {
        let Some(fetch) = self.fetches.get(ticket) else { return false };
        if let Some(file) = &fetch.file {
            let renewed = self.files_of_stems(&[file.stem()]).renew(file);
            if let Some(fetch) = self.fetches.get_mut(ticket) {
                fetch.file = Some(renewed);
            }
            return true;
        }
        let (wanted, deadline) = (fetch.wanted.clone(), fetch.progress + fetch.wait);
        let bare = wanted.rsplit_once('.').map_or(wanted.as_str(), |(stem, _)| stem);
        let files = self.files_of_stems(&[&wanted, bare]);
        match files.find(&wanted) {
            Match::One(file) => {
                if let Some(fetch) = self.fetches.get_mut(ticket) {
                    fetch.file = Some(file);
                    fetch.progress = ctx.now;
                }
                return true;
            }
            Match::Several(files) => {
                let names: BTreeSet<String> = files.iter().map(|file| file.merged_name(&wanted)).collect();
                let reason = ClassicFailure::Ambiguous { files: names.into_iter().collect() };
                self.fail_fetch(ctx, ticket, reason);
            }
            Match::Nothing if ctx.now >= deadline => {
                let (peers, files) = (self.directory.len(), self.directory.file_names());
                self.fail_fetch(ctx, ticket, ClassicFailure::NobodyOffers { peers, files });
            }
            Match::Nothing => ctx.timers.set(Timer::ClassicFetch(ticket), deadline),
        }
        false
    }

    /// Decides how the file is cut, until the first chunk came: chunks of different cuts never go together.
    fn choose_rule(&mut self, ticket: u32) -> Option<Offers> {
        let fetch = self.fetches.get(ticket)?;
        let (file, rule) = (fetch.file.clone()?, fetch.rule);
        let begun = fetch.is_moving() || fetch.had().next().is_some() || fetch.cut_changed;
        let offers = self.directory.offers_of(&file, rule);
        if begun {
            return Some(offers);
        }
        let fifths = self.directory.offers_of(&file, ChunkRule::Fifths);
        let fixed = self.directory.offers_of(&file, ChunkRule::Fixed);
        // Inner names that were read from a file tell no dialect; but no other than D counts beyond five.
        let beyond = fixed.last_key_value().is_some_and(|(last, _)| *last > FIFTHS);
        let takes_fixed = !fixed.is_empty()
            && (fifths.is_empty() || beyond || (fifths.len() < FIFTHS as usize && is_sized(&fixed)));
        let (rule, offers) =
            if takes_fixed { (ChunkRule::Fixed, fixed) } else { (ChunkRule::Fifths, fifths) };
        self.fetches.get_mut(ticket)?.rule = rule;
        Some(offers)
    }

    /// Chunks that are kept are had, if they can be of this file and this cut.
    fn take_kept(&mut self, ticket: u32, offers: &Offers) {
        let Some(fetch) = self.fetches.get_mut(ticket) else { return };
        let (Some(file), rule) = (fetch.file.clone(), fetch.rule) else { return };
        for (name, bytes) in self.catalogue.kept() {
            let index = name.index();
            let is_of_cut = rule.may_have(index) && self.catalogue.may_be_cut_by(name, rule);
            if !file.takes(name) || !is_of_cut {
                continue;
            }
            let announced = offers.get(&index).into_iter().flatten().find_map(|offer| offer.size);
            let chunk = fetch.chunks.entry(index).or_default();
            let untouched = chunk.distrusted.is_empty() && chunk.misfit.is_none();
            if matches!(chunk.state, State::Wanted) && untouched && announced.is_none_or(|size| size == bytes)
            {
                chunk.state = State::Had(Had { name: name.clone(), bytes, from: None });
            }
        }
    }

    fn tell_begun(&mut self, ctx: &mut Ctx<'_>, ticket: u32, offers: &Offers) {
        let Some(fetch) = self.fetches.get_mut(ticket) else { return };
        let Some(file) = fetch.file.as_ref().filter(|_| !fetch.told_begun) else { return };
        let file = file.merged_name(&fetch.wanted);
        fetch.told_begun = true;
        let had = u32::try_from(fetch.had().count()).unwrap_or(u32::MAX);
        let holders: BTreeSet<IpAddr> = offers.values().flatten().map(|offer| offer.ip).collect();
        let event = ClassicEvent::Begun { ticket, file, had, holders: holders.len() };
        ctx.tell(event);
    }

    /// Whether the file may be made; the store is asked first, for what is there may have to be left alone, and then no
    /// peer is to be asked for anything.
    fn may_make_file(&mut self, ctx: &mut Ctx<'_>, ticket: u32) -> bool {
        let Some(fetch) = self.fetches.get_mut(ticket) else { return false };
        if let (None, Some(file)) = (fetch.target, &fetch.file) {
            let file = file.merged_name(&fetch.wanted);
            fetch.target = Some(TargetLook::Asked);
            ctx.store(ClassicJob::LookAtTarget { ticket, file });
            return false;
        }
        fetch.target == Some(TargetLook::Free)
    }

    /// The files that names with one of these stems stand for: those that are announced, and those that are kept here.
    fn files_of_stems(&self, stems: &[&str]) -> Files {
        let mut files = Files::default();
        for stem in stems {
            self.directory.of_stem(stem).for_each(|(_, name, _)| files.add(name));
        }
        let kept = self.catalogue.kept().map(|(name, _)| name);
        kept.filter(|name| stems.contains(&name.stem())).for_each(|name| files.add(name));
        files
    }
}
