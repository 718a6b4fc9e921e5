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
use crate::wire::classic::{ChunkName, Dialect, RequestKey};

/// Rounds of announcements whose datagrams are remembered, to be known when they come back.
const ROUNDS_KEPT: usize = 2;

impl Engine {
    /// The time of a round came: first the store says what is kept, for other processes keep chunks too.
    pub(crate) fn begin_round(&mut self, ctx: &mut Ctx<'_>) {
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
        let mut sent = BTreeSet::new();
        let mut chunks = 0;
        for Voice { dialect, port } in &classic.voices {
            if dialect.announces_checksum() {
                self.ask_for_digests(ctx, *dialect);
                continue;
            }
            let names = self.catalogue.names(*dialect);
            chunks = chunks.max(names.len());
            let datagrams = if dialect.request_key() == RequestKey::Filename {
                encode_files(&ctx.config.user, &names)
            } else {
                encode_chunks(classic.address, &names)
            };
            for bytes in datagrams {
                self.send(ctx, *port, &bytes);
                sent.insert(bytes);
            }
        }
        if self.sent.len() >= ROUNDS_KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back(sent);
        if chunks > 0 {
            ctx.tell(ClassicEvent::Announced { chunks });
        }
    }

    /// The store reads what this dialect announces; its datagram follows when that is done.
    fn ask_for_digests(&mut self, ctx: &mut Ctx<'_>, dialect: Dialect) {
        if self.digests_due {
            return;
        }
        let mut files: BTreeMap<String, Vec<ChunkName>> = BTreeMap::new();
        for name in self.catalogue.names(dialect) {
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
        for voice in classic.voices.iter().filter(|voice| voice.dialect.announces_checksum()) {
            self.send(ctx, voice.port, &datagram);
        }
        // It belongs to the round that went out before.
        match self.sent.back_mut() {
            Some(round) => _ = round.insert(datagram),
            None => self.sent.push_back(BTreeSet::from([datagram])),
        }
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
