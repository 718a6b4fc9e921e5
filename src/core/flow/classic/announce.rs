//! Announcing in the classic dialects: each voice in its own datagrams, to everybody and to each peer heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::core::door::{ClassicEvent, ClassicJob, DatagramTo, Event, Output, StoreJob, Voice};
use crate::core::peer::Peer;
use crate::core::timers::Timer;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::classic::announcement::{
    BatchChunk, LocalTime, encode_batch, encode_chunks, encode_files, fit_batch,
};
use crate::wire::classic::{ChunkName, Dialect, RequestKey};

impl Peer {
    /// The time of a round came: first the store says what is kept, for other processes keep chunks too.
    pub(in crate::core) fn begin_classic_round(&mut self, now: Time) {
        self.classic_announcer.round_sent(now, &mut self.rng);
        self.timers.set(Timer::ClassicAnnounce, self.classic_announcer.next_round());
        if self.leaving.is_none() {
            self.classic.round_due = true;
            self.output(Output::Store(StoreJob::Classic(ClassicJob::List)));
        }
    }

    /// What is kept is known: the round goes out if one is due.
    pub(super) fn send_classic_round(&mut self) {
        if !std::mem::take(&mut self.classic.round_due) || self.leaving.is_some() {
            return;
        }
        let Some(classic) = &self.config.classic else { return };
        let (voices, address) = (classic.voices.clone(), classic.address);
        let mut sent = BTreeSet::new();
        let mut chunks = 0;
        for Voice { dialect, port } in voices {
            if dialect.announces_checksum() {
                self.ask_for_digests(dialect);
                continue;
            }
            let names = self.classic.shelf.names(dialect);
            chunks = chunks.max(names.len());
            let datagrams = if dialect.request_key() == RequestKey::Filename {
                encode_files(&self.config.user, &names)
            } else {
                encode_chunks(address, &names)
            };
            for bytes in datagrams {
                self.send_classic(port, &bytes);
                sent.insert(bytes);
            }
        }
        self.classic.note_sent(sent);
        if chunks > 0 {
            self.event(Event::Classic(ClassicEvent::Announced { chunks }));
        }
    }

    /// The store reads what this dialect announces; its datagram follows when that is done.
    fn ask_for_digests(&mut self, dialect: Dialect) {
        if self.classic.digests_due {
            return;
        }
        let mut files: BTreeMap<String, Vec<ChunkName>> = BTreeMap::new();
        for name in self.classic.shelf.names(dialect) {
            files.entry(name.file_name()).or_default().push(name);
        }
        let names = fit_batch(files.into_values().collect());
        if names.is_empty() {
            return;
        }
        let rule = dialect.chunk_rule();
        let chunks = names.into_iter().map(|name| {
            let bytes = self.classic.shelf.bytes_of(&name, rule);
            (name, bytes)
        });
        let chunks = chunks.collect();
        self.classic.digests_due = true;
        self.output(Output::Store(StoreJob::Classic(ClassicJob::Digest { chunks })));
    }

    /// The store has read it.
    pub(super) fn on_digested(&mut self, chunks: &[BatchChunk], now: LocalTime) {
        self.classic.digests_due = false;
        let Some(classic) = self.config.classic.as_ref().filter(|_| self.leaving.is_none()) else { return };
        let (voices, address) = (classic.voices.clone(), classic.address);
        let (datagram, taken) = encode_batch(address, chunks, now);
        if taken == 0 {
            return;
        }
        for voice in voices.into_iter().filter(|voice| voice.dialect.announces_checksum()) {
            self.send_classic(voice.port, &datagram);
        }
        self.classic.note_sent_late(datagram);
        self.event(Event::Classic(ClassicEvent::Announced { chunks: taken }));
    }

    /// What is offered changed; tell the others soon.
    pub(super) fn announce_classic_soon(&mut self, now: Time) {
        if self.config.classic.as_ref().is_some_and(|classic| !classic.voices.is_empty()) {
            self.classic_announcer.changed(now, &mut self.rng);
            self.timers.set(Timer::ClassicAnnounce, self.classic_announcer.next_round());
        }
    }

    /// A whole file can be served under this name.
    pub(in crate::core) fn shelve(&mut self, now: Time, content: ContentId, name: &str, size: u64) {
        if self.config.classic.is_none() || !self.classic.shelf.add_file(name, content, size) {
            return;
        }
        let chunks = self.voiced_names(name);
        if !chunks.is_empty() {
            self.output(Output::Store(StoreJob::Classic(ClassicJob::NoteAvailable { chunks })));
        }
        self.announce_classic_soon(now);
    }

    /// It cannot any more.
    pub(in crate::core) fn unshelve(&mut self, now: Time, content: ContentId, name: &str) {
        if self.classic.shelf.remove_file(name, &content) {
            self.announce_classic_soon(now);
        }
    }

    /// The names of a file's chunks in every voice.
    fn voiced_names(&self, file: &str) -> Vec<ChunkName> {
        let voices = self.config.classic.iter().flat_map(|classic| &classic.voices);
        let dialects: BTreeSet<Dialect> = voices.map(|voice| voice.dialect).collect();
        let names = dialects
            .into_iter()
            .flat_map(|dialect| self.classic.shelf.names_of(file, dialect.name_form(), dialect.chunk_rule()));
        names.collect::<BTreeSet<ChunkName>>().into_iter().collect()
    }

    /// Listeners that are bound to one address hear only what is sent to it.
    fn send_classic(&mut self, port: u16, bytes: &[u8]) {
        if self.config.broadcast {
            let to = DatagramTo::EverybodyAt { port };
            self.output(Output::Datagram { to, bytes: bytes.to_vec() });
        }
        let named = self.config.fixed_peers.iter().map(SocketAddr::ip);
        let known: BTreeSet<IpAddr> = self.classic.holders.addresses().chain(named).collect();
        for ip in known {
            let to = DatagramTo::One { iface: None, addr: SocketAddr::new(ip, port) };
            self.output(Output::Datagram { to, bytes: bytes.to_vec() });
        }
    }
}
