//! Who announces what in the classic dialects: from datagrams, or from the file that another process writes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::classic::holders::{Origin, Told};
use crate::core::door::{ClassicEvent, ClassicJob, DictionaryUse, Event, Output, StoreJob};
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::time::Time;
use crate::wire::classic::announcement::{self, AnnouncementError};
use crate::wire::classic::records::Dictionary;
use crate::wire::classic::{ANNOUNCEMENT_EXPIRY, ChunkName, Dialect, NameForm};

impl Peer {
    pub(in crate::core) fn on_classic_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        if self.config.classic.is_none() || self.leaving.is_some() {
            return;
        }
        let ip = from.ip();
        if !self.rates.admit(now, ip, false) {
            return self.counters.add("classic datagrams over rate");
        }
        if self.is_own_classic(ip) && self.classic.was_sent(bytes) {
            return self.counters.add("own classic datagrams heard");
        }
        let said = match announcement::decode(bytes) {
            Ok(said) => said,
            Err(error) => {
                return self.counters.add(match error {
                    AnnouncementError::TooLong => "classic datagrams too long",
                    AnnouncementError::Malformed => "classic datagrams malformed",
                    AnnouncementError::NoChunks => "classic datagrams without chunks",
                    AnnouncementError::Shape => "classic datagrams without a list of names",
                    AnnouncementError::TooMany => "classic datagrams with too many names",
                });
            }
        };
        for _ in 0..said.names_refused {
            self.counters.add("classic names refused");
        }
        if said.replaces_all {
            let names: BTreeSet<ChunkName> = said.chunks.iter().map(|chunk| chunk.name.clone()).collect();
            self.classic.holders.retain(ip, Dialect::D, &names);
            self.note_holders_changed(now);
        }
        let told = said.chunks.into_iter().filter_map(|chunk| {
            let dialects = self.dialects_of(ip, chunk.dialects);
            (!dialects.is_empty()).then_some(Told { name: chunk.name, dialects, size: chunk.size })
        });
        let told = told.collect();
        self.hear_classic(now, ip, said.user, told, Origin::Announcement);
    }

    /// Another process heard for this one.
    pub(super) fn on_dictionary_read(&mut self, now: Time, dictionary: Dictionary) {
        let mut by_holder: std::collections::BTreeMap<IpAddr, Vec<Told>> = std::collections::BTreeMap::new();
        for (name, holders) in dictionary {
            for ip in holders {
                let dialects = self.dialects_of(ip, self.dialects_of_form(name.form()));
                if !dialects.is_empty() {
                    let told = Told { name: name.clone(), dialects, size: None };
                    by_holder.entry(ip).or_default().push(told);
                }
            }
        }
        for (ip, told) in by_holder {
            self.hear_classic(now, ip, None, told, Origin::Dictionary);
        }
        self.classic.holders.forget_read_before(now);
    }

    /// Asks for the file of another process, and again later, while something is fetched or looked for.
    pub(in crate::core) fn read_dictionary(&mut self, now: Time) {
        let reads = self.config.classic.as_ref().is_some_and(|c| c.dictionary == DictionaryUse::Read);
        let seeks = !self.classic.fetches.is_empty() || self.searches.len() > 0;
        if reads && seeks && self.leaving.is_none() {
            self.output(Output::Store(StoreJob::Classic(ClassicJob::ReadDictionary)));
            let next = now + self.config.limits.classic_dictionary_interval;
            self.timers.set(Timer::ClassicDictionary, next);
        }
    }

    /// The time of the file that tells who has what came.
    pub(in crate::core) fn keep_dictionary(&mut self, now: Time) {
        match self.config.classic.as_ref().map(|classic| classic.dictionary) {
            Some(DictionaryUse::Write) => {
                let (dictionary, tags) = self.classic.holders.records();
                self.classic.written = Some(now);
                let job = ClassicJob::WriteDictionary { dictionary, tags };
                self.output(Output::Store(StoreJob::Classic(job)));
            }
            Some(DictionaryUse::Read) => self.read_dictionary(now),
            Some(DictionaryUse::None) | None => {}
        }
    }

    /// Forgets what was not announced for too long.
    pub(in crate::core) fn expire_classic(&mut self, now: Time) {
        let before = self.classic.holders.all().count();
        for (from, chunks) in self.classic.holders.expire(now) {
            self.event(Event::Classic(ClassicEvent::Gone { from, chunks }));
        }
        if self.classic.holders.all().count() != before {
            self.note_holders_changed(now);
        }
        if let Some(expiry) = self.classic.holders.expiry() {
            self.timers.set(Timer::ClassicExpiry, expiry.max(now + Duration::from_millis(1)));
        }
    }

    fn hear_classic(
        &mut self,
        now: Time,
        from: IpAddr,
        user: Option<String>,
        told: Vec<Told>,
        origin: Origin,
    ) {
        let taken = self.classic.holders.hear(now, from, user.clone(), told, origin);
        if taken.left_out > 0 {
            self.counters.add("classic announcements without room");
        }
        self.timers.set_no_later(Timer::ClassicExpiry, now + ANNOUNCEMENT_EXPIRY);
        if taken.new.is_empty() {
            return;
        }
        self.note_holders_changed(now);
        self.note_offered(now, from, &taken.new);
        self.event(Event::Classic(ClassicEvent::Heard { from, user, chunks: taken.new }));
        self.review_fetches(now);
    }

    fn note_holders_changed(&mut self, now: Time) {
        let writes = self.config.classic.as_ref().is_some_and(|c| c.dictionary == DictionaryUse::Write);
        if writes {
            let gap = self.config.limits.classic_dictionary_gap;
            let earliest = self.classic.written.map_or(now, |written| written + gap);
            self.timers.set_no_later(Timer::ClassicDictionary, earliest.max(now));
        }
    }

    /// Whether an address is this host's. Other processes of it are others all the same.
    fn is_own_classic(&self, ip: IpAddr) -> bool {
        let own = self.config.classic.as_ref().is_some_and(|classic| IpAddr::V4(classic.address) == ip);
        own || self.config.own_addresses.contains(&ip)
    }

    /// What a peer may speak of what its announcement stands for: what was set for it, or what is spoken here at all.
    fn dialects_of(&self, ip: IpAddr, told: &[Dialect]) -> BTreeSet<Dialect> {
        let Some(classic) = &self.config.classic else { return BTreeSet::new() };
        if let Some(dialect) = classic.dialects.get(&ip) {
            return BTreeSet::from([*dialect]);
        }
        let spoken = |dialect: &&Dialect| classic.speaks.is_none_or(|speaks| speaks == **dialect);
        told.iter().filter(spoken).copied().collect()
    }

    /// What serves chunks whose names have this form, where nothing else is known: of those, what is served on the port
    /// that is dialled, if anything is.
    fn dialects_of_form(&self, form: NameForm) -> &'static [Dialect] {
        let port = self.config.classic.as_ref().and_then(|classic| classic.dial_port);
        match (form, port) {
            (NameForm::Stem, Some(5001)) => &[Dialect::A],
            (NameForm::Stem, Some(8000)) => &[Dialect::B, Dialect::BJson],
            (NameForm::Stem, Some(5000)) => &[Dialect::C],
            (NameForm::Stem, _) => &[Dialect::A, Dialect::B, Dialect::BJson, Dialect::C],
            (NameForm::Full, _) => &[Dialect::A],
            (NameForm::Inner, Some(5001)) => &[Dialect::ASize],
            (NameForm::Inner, Some(5000)) => &[Dialect::D],
            (NameForm::Inner, _) => &[Dialect::ASize, Dialect::D],
            (NameForm::FullTemp | NameForm::InnerTemp, _) => &[Dialect::E],
        }
    }
}
