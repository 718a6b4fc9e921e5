//! Fetching a file of the classic dialects: found, asked for chunk by chunk, joined, or given up.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::classic::conversation::Conversation;
use crate::core::classic::fetches::{Attempt, Chunk, Fetch, Had, State, TargetLook};
use crate::core::classic::files::Match;
use crate::core::door::{ClassicEvent, ClassicFailure, ClassicJob, ConnId, Event, Output, StoreJob};
use crate::core::flow::classic::files::{Offer, Offers};
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::time::Time;
use crate::wire::classic::split::{FIFTHS, FIXED_CHUNK_BYTES};
use crate::wire::classic::{ChunkName, ChunkRule, NameForm};

/// So many missing chunks are told at most.
const MISSING_TOLD_MAX: usize = 64;
/// Connections to one holder for one process: a second one only when the answer on the first seems to be over.
const ASKS_PER_HOLDER_MAX: usize = 2;

impl Peer {
    pub(in crate::core) fn on_get_classic(&mut self, now: Time, ticket: u32, name: String, wait: Duration) {
        self.fail_fetch(now, ticket, ClassicFailure::Cancelled);
        if self.config.classic.is_none() || self.leaving.is_some() {
            let reason = ClassicFailure::NobodyOffers { peers: 0, files: Vec::new() };
            return self.event(Event::Classic(ClassicEvent::Failed { ticket, reason }));
        }
        self.classic.fetches.insert(ticket, Fetch::new(name, wait, now));
        // What was kept before need not be fetched again.
        self.output(Output::Store(StoreJob::Classic(ClassicJob::List)));
        self.read_dictionary(now);
        self.timers.set(Timer::ClassicFetch(ticket), now + wait);
    }

    /// Looks at every fetch again: something came, or somebody was heard.
    pub(super) fn review_fetches(&mut self, now: Time) {
        for ticket in self.classic.fetches.tickets() {
            self.review_fetch(now, ticket);
        }
    }

    /// Goes on with a fetch as far as that is possible now.
    pub(in crate::core) fn review_fetch(&mut self, now: Time, ticket: u32) {
        let is_open = self.classic.fetches.get(ticket).is_some_and(Fetch::is_open);
        if !is_open || self.leaving.is_some() || !self.locate(now, ticket) {
            return;
        }
        let Some(offers) = self.choose_rule(ticket) else { return };
        self.take_kept(ticket, &offers);
        if !self.may_make_file(ticket) {
            return;
        }
        self.tell_begun(ticket, &offers);
        self.ask_holders(now, ticket, &offers);
        self.tell_failed_chunks(ticket, &offers);
        if !self.conclude(now, ticket, &offers) {
            self.set_fetch_timer(now, ticket, &offers);
        }
    }

    /// New chunks are announced by a peer. What is missing is waited for anew, but once for each that a peer has: who
    /// announces and takes back again and again would keep a fetch waiting for ever. Until its wait is over, who failed
    /// is tried again.
    pub(super) fn note_offered(&mut self, now: Time, from: IpAddr, names: &[ChunkName]) {
        for ticket in self.classic.fetches.tickets() {
            let Some(fetch) = self.classic.fetches.get_mut(ticket) else { continue };
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
    pub(super) fn fail_fetch(&mut self, now: Time, ticket: u32, reason: ClassicFailure) {
        if self.end_fetch(now, ticket).is_some() {
            self.event(Event::Classic(ClassicEvent::Failed { ticket, reason }));
        }
    }

    /// Gives up every fetch but those whose file will be there in a moment.
    pub(super) fn cancel_fetches(&mut self, now: Time) {
        for ticket in self.classic.fetches.tickets() {
            if self.classic.fetches.get(ticket).is_some_and(|fetch| !fetch.merging) {
                self.fail_fetch(now, ticket, ClassicFailure::Cancelled);
            }
        }
    }

    /// Takes a fetch out, and with it its connections.
    pub(super) fn end_fetch(&mut self, now: Time, ticket: u32) -> Option<Fetch> {
        let fetch = self.classic.fetches.remove(ticket)?;
        self.timers.clear(Timer::ClassicFetch(ticket));
        let asks: Vec<ConnId> = fetch
            .chunks
            .values()
            .filter_map(|chunk| match &chunk.state {
                State::Asking(attempt) => attempt.conn,
                _ => None,
            })
            .collect();
        asks.into_iter().for_each(|conn| self.close_classic(now, conn));
        Some(fetch)
    }

    /// Finds out which file is wanted. False while that is not known.
    fn locate(&mut self, now: Time, ticket: u32) -> bool {
        let Some(fetch) = self.classic.fetches.get(ticket) else { return false };
        if let Some(file) = &fetch.file {
            let renewed = self.files_of_stems(&[file.stem()]).renew(file);
            if let Some(fetch) = self.classic.fetches.get_mut(ticket) {
                fetch.file = Some(renewed);
            }
            return true;
        }
        let (wanted, deadline) = (fetch.wanted.clone(), fetch.progress + fetch.wait);
        let bare = wanted.rsplit_once('.').map_or(wanted.as_str(), |(stem, _)| stem);
        let files = self.files_of_stems(&[&wanted, bare]);
        match files.find(&wanted) {
            Match::One(file) => {
                if let Some(fetch) = self.classic.fetches.get_mut(ticket) {
                    fetch.file = Some(file);
                    fetch.progress = now;
                }
                return true;
            }
            Match::Several(files) => {
                let names: BTreeSet<String> = files.iter().map(|file| file.merged_name(&wanted)).collect();
                let reason = ClassicFailure::Ambiguous { files: names.into_iter().collect() };
                self.fail_fetch(now, ticket, reason);
            }
            Match::Nothing if now >= deadline => {
                let (peers, files) = (self.classic.holders.len(), self.classic_files());
                self.fail_fetch(now, ticket, ClassicFailure::NobodyOffers { peers, files });
            }
            Match::Nothing => self.timers.set(Timer::ClassicFetch(ticket), deadline),
        }
        false
    }

    /// Decides how the file is cut, until the first chunk came: chunks of different cuts never go together.
    fn choose_rule(&mut self, ticket: u32) -> Option<Offers> {
        let fetch = self.classic.fetches.get(ticket)?;
        let (file, rule) = (fetch.file.clone()?, fetch.rule);
        let begun = fetch.is_moving() || fetch.had().next().is_some() || fetch.cut_changed;
        let offers = self.offers_of(&file, rule);
        if begun {
            return Some(offers);
        }
        let fifths = self.offers_of(&file, ChunkRule::Fifths);
        let fixed = self.offers_of(&file, ChunkRule::Fixed);
        // Inner names that were read from a file tell no dialect; but no other than D counts beyond five.
        let beyond = fixed.last_key_value().is_some_and(|(last, _)| *last > FIFTHS);
        let takes_fixed = !fixed.is_empty()
            && (fifths.is_empty() || beyond || (fifths.len() < FIFTHS as usize && is_sized(&fixed)));
        let (rule, offers) =
            if takes_fixed { (ChunkRule::Fixed, fixed) } else { (ChunkRule::Fifths, fifths) };
        self.classic.fetches.get_mut(ticket)?.rule = rule;
        Some(offers)
    }

    /// Chunks that are kept are had, if they can be of this file and this cut.
    fn take_kept(&mut self, ticket: u32, offers: &Offers) {
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return };
        let (Some(file), rule) = (fetch.file.clone(), fetch.rule) else { return };
        for (name, bytes) in self.classic.shelf.kept() {
            let index = name.index();
            let is_of_cut = rule.may_have(index) && self.classic.shelf.may_be_cut_by(name, rule);
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

    fn tell_begun(&mut self, ticket: u32, offers: &Offers) {
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return };
        let Some(file) = fetch.file.as_ref().filter(|_| !fetch.told_begun) else { return };
        let file = file.merged_name(&fetch.wanted);
        fetch.told_begun = true;
        let had = u32::try_from(fetch.had().count()).unwrap_or(u32::MAX);
        let holders: BTreeSet<IpAddr> = offers.values().flatten().map(|offer| offer.ip).collect();
        let event = ClassicEvent::Begun { ticket, file, had, holders: holders.len() };
        self.event(Event::Classic(event));
    }

    /// Whether the file may be made; the store is asked first, for what is there may have to be left alone, and then no
    /// peer is to be asked for anything.
    fn may_make_file(&mut self, ticket: u32) -> bool {
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return false };
        if let (None, Some(file)) = (fetch.target, &fetch.file) {
            let file = file.merged_name(&fetch.wanted);
            fetch.target = Some(TargetLook::Asked);
            self.output(Output::Store(StoreJob::Classic(ClassicJob::LookAtTarget { ticket, file })));
            return false;
        }
        fetch.target == Some(TargetLook::Free)
    }

    /// Asks for chunks, each of the holder that failed least and is asked for least, by the name that is the quickest.
    fn ask_holders(&mut self, now: Time, ticket: u32, offers: &Offers) {
        for index in self.waiting_attempts(now, ticket) {
            self.dial_attempt(now, ticket, index);
        }
        for (index, of_chunk) in offers {
            let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return };
            if fetch.asking() >= self.config.limits.classic_asks_max {
                return;
            }
            let chunk = fetch.chunks.entry(*index).or_default();
            if !matches!(chunk.state, State::Wanted) {
                continue;
            }
            let Some(offer) = self.choose_holder(now, ticket, *index, of_chunk) else { continue };
            let attempt = Attempt {
                ip: offer.ip,
                name: offer.name.clone(),
                size: offer.size,
                routes: self.routes_to(offer),
                route: 0,
                retries: 0,
                conn: None,
                again: now,
                began: now,
            };
            if let Some(fetch) = self.classic.fetches.get_mut(ticket)
                && let Some(chunk) = fetch.chunks.get_mut(index)
            {
                chunk.state = State::Asking(attempt);
            }
            self.dial_attempt(now, ticket, *index);
        }
    }

    fn choose_holder<'a>(
        &self,
        now: Time,
        ticket: u32,
        index: u32,
        offers: &'a [Offer],
    ) -> Option<&'a Offer> {
        let chunk = self.classic.fetches.get(ticket)?.chunks.get(&index)?;
        let rounds = self.config.limits.classic_rounds_max;
        let open = offers
            .iter()
            .filter(|offer| chunk.may_ask(offer.ip, rounds) && self.rested_at(now, chunk, offer.ip) <= now);
        let open = open.filter_map(|offer| Some((offer, self.load_of(offer.ip)?)));
        // Equals take turns, so that chunks come from several at once.
        let turn = |at: usize| at.saturating_add(index as usize).checked_rem(offers.len());
        let ranked = open.enumerate().map(|(at, (offer, load))| {
            let failures = chunk.failures.get(&offer.ip).map_or(0, |(count, _)| *count);
            // Who announces a chunk under several names may be quicker by one of them.
            let late = offer.dialects.iter().all(|dialect| dialect.answers_late());
            ((failures, load, late, turn(at)), offer)
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, offer)| offer)
    }

    /// When a holder may be asked for a chunk again: after its last failure with this chunk, and with any other.
    fn rested_at(&self, now: Time, chunk: &Chunk, ip: IpAddr) -> Time {
        let pause = self.config.limits.classic_round_pause;
        let of_chunk = chunk.failures.get(&ip).map(|(_, last)| *last + pause);
        of_chunk.max(self.dialer.again(now, &holder_endpoint(ip))).unwrap_or(now)
    }

    /// How much a holder is asked for; `None` when that is as much as it may be.
    fn load_of(&self, ip: IpAddr) -> Option<usize> {
        let attempts = self.classic.fetches.attempts().filter(|(_, _, attempt)| attempt.ip == ip);
        let mut load = 0_usize;
        for (_, _, attempt) in attempts {
            let conversation = attempt.conn.and_then(|conn| self.connections.classic(conn));
            if !conversation.is_some_and(Conversation::is_quiet) {
                return None;
            }
            load = load.saturating_add(1);
        }
        (load < ASKS_PER_HOLDER_MAX).then_some(load)
    }

    fn waiting_attempts(&self, now: Time, ticket: u32) -> Vec<u32> {
        let attempts = self.classic.fetches.attempts();
        let due = attempts
            .filter(|(of, _, attempt)| *of == ticket && attempt.conn.is_none() && attempt.again <= now);
        due.map(|(_, index, _)| index).collect()
    }

    /// Says once of each chunk that every holder of it has failed.
    fn tell_failed_chunks(&mut self, ticket: u32, offers: &Offers) {
        let rounds = self.config.limits.classic_rounds_max;
        for (index, of_chunk) in offers {
            let fetch = self.classic.fetches.get_mut(ticket);
            let Some(chunk) = fetch.and_then(|fetch| fetch.chunks.get_mut(index)) else { continue };
            let wanted = matches!(chunk.state, State::Wanted);
            let spent = of_chunk.iter().all(|offer| !chunk.may_ask(offer.ip, rounds));
            if wanted && spent && !chunk.told_failed {
                chunk.told_failed = true;
                let name = of_chunk.first().map(|offer| offer.name.clone());
                if let Some(name) = name {
                    self.event(Event::Classic(ClassicEvent::ChunkFailed { ticket, name }));
                }
            }
        }
    }

    /// Joins the file if all is here, or gives up if it is time to. True when either happened.
    fn conclude(&mut self, now: Time, ticket: u32, offers: &Offers) -> bool {
        let Some(fetch) = self.classic.fetches.get(ticket) else { return true };
        let missing = missing_of(fetch, offers);
        let moving = fetch.is_moving();
        if moving {
            return false;
        }
        let misfits = if missing.is_empty() { fetch.misfits() } else { Vec::new() };
        if !misfits.is_empty() {
            return self.fetch_again(now, ticket, &misfits, offers);
        }
        let patient = now < fetch.progress + self.whole_wait(fetch);
        let complete = fetch.rule.whole(&fetch.sizes()).is_some();
        let surely = missing.is_empty() && (fetch.rule == ChunkRule::Fifths || has_short_last(fetch));
        if complete && (surely || (!patient && nobody_has_more(fetch, offers))) {
            self.merge(ticket);
            return true;
        }
        // Nobody else delivers what is in the place of a chunk that cannot be right.
        let spent = |chunk: &Chunk| chunk.misfit.clone().filter(|_| chunk.told_failed);
        if let Some(misfit) = missing.iter().find_map(|index| fetch.chunks.get(index).and_then(spent)) {
            let text = conflict_text(fetch, &misfit);
            self.fail_fetch(now, ticket, ClassicFailure::Conflict { text });
            return true;
        }
        let unoffered: Vec<u32> =
            missing.iter().copied().filter(|index| !offers.contains_key(index)).collect();
        if now >= fetch.progress + fetch.wait {
            if self.change_cut(now, ticket) {
                self.review_fetch(now, ticket);
                return true;
            }
            let missing = self.names_of_missing(ticket, &missing, offers);
            self.fail_fetch(now, ticket, ClassicFailure::Incomplete { missing });
            return true;
        }
        self.tell_waiting(ticket, unoffered);
        false
    }

    /// Begins anew in the other cut, when all of the file is announced in that one. Which cut is whole is not known
    /// when the first peer is heard. True when that was done, which it is at most once.
    fn change_cut(&mut self, now: Time, ticket: u32) -> bool {
        let Some(fetch) = self.classic.fetches.get(ticket).filter(|fetch| !fetch.cut_changed) else {
            return false;
        };
        let Some(file) = fetch.file.clone() else { return false };
        let (rule, whole) = match fetch.rule {
            ChunkRule::Fifths => (ChunkRule::Fixed, is_sized(&self.offers_of(&file, ChunkRule::Fixed))),
            ChunkRule::Fixed => {
                (ChunkRule::Fifths, self.offers_of(&file, ChunkRule::Fifths).len() == FIFTHS as usize)
            }
        };
        if whole && let Some(fetch) = self.classic.fetches.get_mut(ticket) {
            (fetch.rule, fetch.cut_changed, fetch.progress) = (rule, true, now);
            fetch.chunks.clear();
            fetch.told_missing.clear();
        }
        whole
    }

    fn tell_waiting(&mut self, ticket: u32, missing: Vec<u32>) {
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return };
        if !missing.is_empty() && fetch.told_missing != missing {
            fetch.told_missing.clone_from(&missing);
            self.event(Event::Classic(ClassicEvent::Waiting { ticket, missing }));
        }
    }

    /// Chunks whose sizes cannot be right are fetched from others, as long as there are others. True when the fetch
    /// ended.
    fn fetch_again(&mut self, now: Time, ticket: u32, misfits: &[u32], offers: &Offers) -> bool {
        let rounds = self.config.limits.classic_rounds_max;
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return true };
        for index in misfits {
            let Some(chunk) = fetch.chunks.get_mut(index) else { continue };
            let State::Had(had) = &chunk.state else { continue };
            let had = had.clone();
            chunk.misfit = Some(had.clone());
            chunk.distrusted.extend(had.from.map(|from| from.ip()));
            let others = offers.get(index).into_iter().flatten();
            if !others.into_iter().any(|offer| chunk.may_ask(offer.ip, rounds)) {
                let text = conflict_text(fetch, &had);
                self.fail_fetch(now, ticket, ClassicFailure::Conflict { text });
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
        fetch.progress = now;
        self.ask_holders(now, ticket, offers);
        false
    }

    fn merge(&mut self, ticket: u32) {
        let Some(fetch) = self.classic.fetches.get_mut(ticket) else { return };
        let Some(file) = &fetch.file else { return };
        fetch.merging = true;
        let file = file.merged_name(&fetch.wanted);
        let chunks: Vec<ChunkName> = fetch.had().map(|(_, had)| had.name.clone()).collect();
        self.timers.clear(Timer::ClassicFetch(ticket));
        self.output(Output::Store(StoreJob::Classic(ClassicJob::Merge { ticket, file, chunks })));
    }

    /// When a fetch is looked at again, if nothing comes until then.
    fn set_fetch_timer(&mut self, now: Time, ticket: u32, offers: &Offers) {
        let Some(fetch) = self.classic.fetches.get(ticket) else { return };
        let limits = &self.config.limits;
        let mut moments = vec![fetch.progress + fetch.wait, fetch.progress + self.whole_wait(fetch)];
        for (index, chunk) in &fetch.chunks {
            match &chunk.state {
                State::Asking(attempt) if attempt.conn.is_none() => moments.push(attempt.again),
                State::Wanted => {
                    let of_chunk = offers.get(index).into_iter().flatten();
                    let open = of_chunk.filter(|o| chunk.may_ask(o.ip, limits.classic_rounds_max));
                    moments.extend(open.map(|offer| self.rested_at(now, chunk, offer.ip)));
                }
                _ => {}
            }
        }
        match moments.into_iter().filter(|at| *at > now).min() {
            Some(at) => self.timers.set(Timer::ClassicFetch(ticket), at),
            None => self.timers.clear(Timer::ClassicFetch(ticket)),
        }
    }

    /// How long more chunks are waited for when those that are had may be all.
    fn whole_wait(&self, fetch: &Fetch) -> Duration {
        fetch.wait.min(self.config.limits.classic_whole_wait)
    }

    fn names_of_missing(&self, ticket: u32, missing: &[u32], offers: &Offers) -> Vec<ChunkName> {
        let Some(fetch) = self.classic.fetches.get(ticket) else { return Vec::new() };
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

/// The ports of a classic holder are ways to the same peer, so that the back-off counts them as one endpoint.
pub(super) fn holder_endpoint(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}

impl Chunk {
    /// Whether a holder has not failed too often, nor delivered what cannot be right.
    fn may_ask(&self, ip: IpAddr, rounds_max: u32) -> bool {
        let failed = self.failures.get(&ip).is_some_and(|(count, _)| *count >= rounds_max);
        !failed && !self.distrusted.contains(&ip)
    }
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

/// Whether sizes tell that these are all the chunks of a file.
fn is_sized(offers: &Offers) -> bool {
    let sizes = offers.iter().filter_map(|(index, of)| Some((*index, of.iter().find_map(|o| o.size)?)));
    ChunkRule::Fixed.whole(&sizes.collect()).is_some()
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
