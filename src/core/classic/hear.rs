//! Who announces what in the classic dialects: from datagrams, or from the file that another process writes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::classic::directory::{Origin, Told};
use crate::core::classic::{Ctx, Engine};
use crate::core::io::{ClassicConfig, ClassicEvent, ClassicJob, DictionaryUse};
use crate::core::timers::Timer;
use crate::wire::classic::announcement::{self, AnnouncementError};
use crate::wire::classic::records::Dictionary;
use crate::wire::classic::{ANNOUNCEMENT_EXPIRY, ChunkName, Dialect, NameForm};

impl Engine {
    /// A datagram came to a port of the dialects.
    pub(crate) fn heard(&mut self, ctx: &mut Ctx<'_>, from: SocketAddr, bytes: &[u8]) {
        let Some(classic) = ctx.config.classic.as_ref().filter(|_| !ctx.is_leaving) else { return };
        let ip = from.ip();
        if !ctx.rates.admit(ctx.now, ip, false) {
            return ctx.counters.add("classic datagrams over rate");
        }
        // Other processes of this host are others all the same.
        let is_own = IpAddr::V4(classic.address) == ip || ctx.config.own_addresses.contains(&ip);
        if is_own && self.sent.iter().any(|round| round.contains(bytes)) {
            return ctx.counters.add("own classic datagrams heard");
        }
        let said = match announcement::decode(bytes) {
            Ok(said) => said,
            Err(error) => {
                return ctx.counters.add(match error {
                    AnnouncementError::TooLong => "classic datagrams too long",
                    AnnouncementError::Malformed => "classic datagrams malformed",
                    AnnouncementError::NoChunks => "classic datagrams without chunks",
                    AnnouncementError::Shape => "classic datagrams without a list of names",
                    AnnouncementError::TooMany => "classic datagrams with too many names",
                });
            }
        };
        for _ in 0..said.names_refused {
            ctx.counters.add("classic names refused");
        }
        if said.replaces_all {
            let names: BTreeSet<ChunkName> = said.chunks.iter().map(|chunk| chunk.name.clone()).collect();
            self.directory.retain(ip, Dialect::D, &names);
            self.note_changed(ctx);
        }
        let told = said.chunks.into_iter().filter_map(|chunk| {
            let dialects = dialects_of(classic, ip, chunk.dialects);
            (!dialects.is_empty()).then_some(Told { name: chunk.name, dialects, size: chunk.size })
        });
        let told = told.collect();
        self.hear(ctx, ip, said.user, told, Origin::Announcement);
    }

    /// Another process heard for this one.
    pub(super) fn on_dictionary_read(&mut self, ctx: &mut Ctx<'_>, dictionary: Dictionary) {
        let Some(classic) = &ctx.config.classic else { return };
        let mut by_holder: BTreeMap<IpAddr, Vec<Told>> = BTreeMap::new();
        for (name, holders) in dictionary {
            for ip in holders {
                let dialects = dialects_of(classic, ip, dialects_of_form(classic, name.form()));
                if !dialects.is_empty() {
                    let told = Told { name: name.clone(), dialects, size: None };
                    by_holder.entry(ip).or_default().push(told);
                }
            }
        }
        for (ip, told) in by_holder {
            self.hear(ctx, ip, None, told, Origin::Dictionary);
        }
        self.directory.forget_read_before(ctx.now);
    }

    /// Asks for the file of another process, and again later, while something is fetched or looked for.
    pub(crate) fn read_dictionary(&mut self, ctx: &mut Ctx<'_>, is_searching: bool) {
        let reads = ctx.config.classic.as_ref().is_some_and(|c| c.dictionary == DictionaryUse::Read);
        let seeks = is_searching || !self.fetches.is_empty();
        if reads && seeks && !ctx.is_leaving {
            ctx.store(ClassicJob::ReadDictionary);
            let next = ctx.now + ctx.config.limits.classic_dictionary_interval;
            ctx.timers.set(Timer::ClassicDictionary, next);
        }
    }

    /// The time of the file that tells who has what came.
    pub(crate) fn keep_dictionary(&mut self, ctx: &mut Ctx<'_>, is_searching: bool) {
        match ctx.config.classic.as_ref().map(|classic| classic.dictionary) {
            Some(DictionaryUse::Write) => {
                let (tags, newest) = self.directory.record();
                self.written = Some(ctx.now);
                ctx.store(ClassicJob::WriteDictionary { tags, newest });
            }
            Some(DictionaryUse::Read) => self.read_dictionary(ctx, is_searching),
            Some(DictionaryUse::None) | None => {}
        }
    }

    /// Forgets what was not announced for too long.
    pub(crate) fn expire(&mut self, ctx: &mut Ctx<'_>) {
        let before = self.directory.all().count();
        for (from, chunks) in self.directory.expire(ctx.now) {
            ctx.tell(ClassicEvent::Gone { from, chunks });
        }
        if self.directory.all().count() != before {
            self.note_changed(ctx);
        }
        if let Some(expiry) = self.directory.expiry() {
            ctx.timers.set(Timer::ClassicExpiry, expiry.max(ctx.now + Duration::from_millis(1)));
        }
    }

    fn hear(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: IpAddr,
        user: Option<String>,
        told: Vec<Told>,
        origin: Origin,
    ) {
        let newest = self.directory.newest();
        let taken = self.directory.hear(ctx.now, from, user.clone(), told, origin);
        if taken.left_out > 0 {
            ctx.counters.add("classic announcements without room");
        }
        ctx.timers.set_no_later(Timer::ClassicExpiry, ctx.now + ANNOUNCEMENT_EXPIRY);
        if !taken.new.is_empty() || newest != self.directory.newest() {
            self.note_changed(ctx);
        }
        if taken.new.is_empty() {
            return;
        }
        self.note_offered(ctx.now, from, &taken.new);
        ctx.tell(ClassicEvent::Heard { from, user, chunks: taken.new });
        self.review_fetches(ctx);
    }

    fn note_changed(&mut self, ctx: &mut Ctx<'_>) {
        let writes = ctx.config.classic.as_ref().is_some_and(|c| c.dictionary == DictionaryUse::Write);
        if writes {
            let gap = ctx.config.limits.classic_dictionary_gap;
            let earliest = self.written.map_or(ctx.now, |written| written + gap);
            ctx.timers.set_no_later(Timer::ClassicDictionary, earliest.max(ctx.now));
        }
    }
}

/// What a peer may speak of what its announcement stands for: what was set for it, or what is spoken here at all.
fn dialects_of(classic: &ClassicConfig, ip: IpAddr, told: &[Dialect]) -> BTreeSet<Dialect> {
    if let Some(dialect) = classic.dialects.get(&ip) {
        return BTreeSet::from([*dialect]);
    }
    let spoken = |dialect: &&Dialect| classic.speaks.is_none_or(|speaks| speaks == **dialect);
    told.iter().filter(spoken).copied().collect()
}

/// What serves chunks whose names have this form, where nothing else is known: of those, what is served on the port
/// that is dialled, if anything is.
fn dialects_of_form(classic: &ClassicConfig, form: NameForm) -> &'static [Dialect] {
    match (form, classic.dial_port) {
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
