//! Announcing in the classic dialects: each voice in its own datagrams, to everybody and to each peer heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::core::classic::{Ctx, Engine};
use crate::core::io::{ClassicEvent, ClassicJob, DatagramTo, Output, Voice};
use crate::core::timers::Timer;
use crate::types::ContentId;
use crate::wire::classic::announcement::{
    BatchChunk, LocalTime, encode_batch, encode_chunks, encode_files, fit_batch,
};
use crate::wire::classic::{ChunkName, DATAGRAM_PAUSE, Dialect, NameForm, RequestKey};

/// Rounds of announcements whose datagrams are remembered, to be known when they come back.
const ROUNDS_KEPT: usize = 2;

impl Engine {
    /// The time of a round came: first the store says what is kept, for other processes keep chunks too.
    pub(crate) fn begin_round(&mut self, ctx: &mut Ctx<'_>) {
        if !self.outbox.is_empty() {
            // The round before is not all out.
            let datagrams = u32::try_from(self.outbox.len()).unwrap_or(u32::MAX);
            let out = ctx.now + DATAGRAM_PAUSE.saturating_mul(datagrams);
            return ctx.timers.set(Timer::ClassicAnnounce, out);
        }
        self.rhythm.round_sent(ctx.now, ctx.rng);
        ctx.timers.set(Timer::ClassicAnnounce, self.rhythm.next());
        if !ctx.is_leaving {
            self.round_due = true;
            ctx.store(ClassicJob::List);
        }
    }

    /// What is kept is known: the round goes out if one is due.
    pub(super) fn send_round(&mut self, ctx: &mut Ctx<'_>) {
        if !std::mem::take(&mut self.round_due) || ctx.is_leaving {
            return;
        }
        let Some(classic) = &ctx.config.classic else { return };
        let mut voices = classic.voices.clone();
        voices.sort_by_key(|voice| voice.dialect.ends_rounds());
        let mut chunks = 0;
        let mut round = Vec::new();
        for Voice { dialect, port } in voices {
            if dialect.announces_checksum() {
                self.ask_for_digests(ctx, dialect);
                continue;
            }
            let forms = [Some(dialect.name_form()), dialect.other_name_form()];
            let by_form = forms.into_iter().flatten().map(|form| self.names(dialect, form));
            let mut names = BTreeSet::new();
            for names_of in by_form {
                chunks = chunks.max(names_of.len());
                names.extend(names_of);
            }
            let names: Vec<ChunkName> = names.into_iter().collect();
            let datagrams = if dialect.request_key() == RequestKey::Filename {
                encode_files(&ctx.config.user, &names)
            } else {
                encode_chunks(classic.address, &names)
            };
            round.extend(datagrams.into_iter().map(|bytes| (port, bytes)));
        }
        if self.sent.len() >= ROUNDS_KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back(BTreeSet::new());
        self.post(ctx, round);
        if chunks > 0 {
            ctx.tell(ClassicEvent::Announced { chunks });
        }
    }

    fn names(&self, dialect: Dialect, form: NameForm) -> BTreeSet<ChunkName> {
        self.catalogue.names(dialect, form, |stem| self.directory.extension_of(stem))
    }

    /// The store reads what this dialect announces; its datagram follows when that is done.
    fn ask_for_digests(&mut self, ctx: &mut Ctx<'_>, dialect: Dialect) {
        if self.digests_due {
            return;
        }
        let mut files: BTreeMap<String, Vec<ChunkName>> = BTreeMap::new();
        for name in self.names(dialect, dialect.name_form()) {
            files.entry(name.file_name()).or_default().push(name);
        }
        let names = fit_batch(files.into_values().collect());
        if names.is_empty() {
            return;
        }
        let rule = dialect.chunk_rule();
        let chunks = names.into_iter().map(|name| {
            let bytes = self.catalogue.bytes_of(&name, rule);
            (name, bytes)
        });
        let chunks = chunks.collect();
        self.digests_due = true;
        ctx.store(ClassicJob::Digest { chunks });
    }

    /// The store has read it.
    pub(super) fn on_digested(&mut self, ctx: &mut Ctx<'_>, chunks: &[BatchChunk], now: LocalTime) {
        self.digests_due = false;
        let Some(classic) = ctx.config.classic.as_ref().filter(|_| !ctx.is_leaving) else { return };
        let (datagram, taken) = encode_batch(classic.address, chunks, now);
        if taken == 0 {
            return;
        }
        let voices = classic.voices.iter().filter(|voice| voice.dialect.announces_checksum());
        let datagrams = voices.map(|voice| (voice.port, datagram.clone())).collect();
        self.post(ctx, datagrams);
        ctx.tell(ClassicEvent::Announced { chunks: taken });
    }

    /// What is offered changed; tell the others soon.
    pub(super) fn announce_soon(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.config.classic.as_ref().is_some_and(|classic| !classic.voices.is_empty()) {
            self.rhythm.changed(ctx.now, ctx.rng);
            ctx.timers.set(Timer::ClassicAnnounce, self.rhythm.next());
        }
    }

    /// A whole file can be served under this name.
    pub(crate) fn offer(&mut self, ctx: &mut Ctx<'_>, content: ContentId, name: &str, size: u64) {
        let Some(classic) = &ctx.config.classic else { return };
        if !self.catalogue.add_file(name, content, size) {
            return;
        }
        // The names of its chunks in every voice.
        let dialects: BTreeSet<Dialect> = classic.voices.iter().map(|voice| voice.dialect).collect();
        let names_in =
            |dialect: Dialect| self.catalogue.names_of(name, dialect.name_form(), dialect.chunk_rule());
        let chunks: BTreeSet<ChunkName> = dialects.into_iter().flat_map(names_in).collect();
        if !chunks.is_empty() {
            ctx.store(ClassicJob::NoteAvailable { chunks: chunks.into_iter().collect() });
        }
        self.announce_soon(ctx);
    }

    /// It cannot any more.
    pub(crate) fn withdraw(&mut self, ctx: &mut Ctx<'_>, content: ContentId, name: &str) {
        if self.catalogue.remove_file(name, &content) {
            self.announce_soon(ctx);
        }
    }

    /// Datagrams of the last round go out, each in its time.
    fn post(&mut self, ctx: &mut Ctx<'_>, datagrams: Vec<(u16, Vec<u8>)>) {
        if let Some(round) = self.sent.back_mut() {
            round.extend(datagrams.iter().map(|(_, bytes)| bytes.clone()));
        }
        self.outbox.extend(datagrams);
        self.send_next(ctx);
    }

    /// The next datagram goes out, unless the one before it went a moment ago.
    pub(crate) fn send_next(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.now >= self.next_datagram
            && let Some((port, bytes)) = self.outbox.pop_front()
        {
            self.send(ctx, port, &bytes);
            self.next_datagram = ctx.now + DATAGRAM_PAUSE;
        }
        if !self.outbox.is_empty() {
            ctx.timers.set(Timer::ClassicDatagram, self.next_datagram);
        }
    }

    /// Listeners that are bound to one address hear only what is sent to it.
    fn send(&self, ctx: &mut Ctx<'_>, port: u16, bytes: &[u8]) {
        if ctx.config.broadcast {
            let to = DatagramTo::EverybodyAt { port };
            ctx.outputs.push(Output::Datagram { to, bytes: bytes.to_vec() });
        }
        let named = ctx.config.fixed_peers.iter().map(SocketAddr::ip);
        let known: BTreeSet<IpAddr> = self.directory.addresses().chain(named).collect();
        for ip in known {
            let to = DatagramTo::One { iface: None, addr: SocketAddr::new(ip, port) };
            ctx.outputs.push(Output::Datagram { to, bytes: bytes.to_vec() });
        }
    }
}
