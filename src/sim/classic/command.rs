//! What our peers are told of the classic dialects: how to speak them, what lies on their disks, what to fetch.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use crate::core::{ClassicConfig, ClassicEvent, Command, Input};
use crate::sim::classic::{ClassicOutcome, FIRST_TICKET};
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::simulation::Simulation;
use crate::wire::classic::{ChunkName, ChunkRule};

impl Simulation {
    pub(in crate::sim) fn classic_config(&self, host: usize) -> Option<ClassicConfig> {
        let place = &self.hosts[host];
        let spec = place.spec.classic.as_ref()?;
        let address = match place.ip {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Some(ClassicConfig {
            address,
            voices: spec.voices(),
            announce_interval: self.scenario.announce_interval,
            ports: spec.ports.clone(),
            address_alone: false,
            dial_port: spec.dial_port,
            dialects: spec.told.iter().map(|(host, dialect)| (self.hosts[*host].ip, *dialect)).collect(),
            speaks: spec.asks_in,
            dictionary: spec.dictionary,
            chunk_bytes_max: spec.chunk_bytes_max,
        })
    }

    /// Puts the chunks on a host's disk that lie there from the beginning.
    pub(in crate::sim) fn put_chunks(&mut self, host: usize) {
        let place = &mut self.hosts[host];
        let (Some(spec), Some(bytes)) = (&place.spec.classic, &mut place.disk.bytes) else { return };
        let mut chunks = Vec::new();
        for (holding, form) in &spec.keeps {
            let content = &self.library.contents[holding.content];
            for index in 1..=ChunkRule::Fifths.count(content.size()).unwrap_or(0) {
                let range = ChunkRule::Fifths.range(content.size(), index);
                let name = ChunkName::of_file(&content.name, index, *form);
                if let (Some(range), Ok(name)) = (range, name)
                    && (holding.chunks.is_empty() || holding.chunks.contains(&index))
                {
                    chunks.push((name, content.bytes(range.start, range.end - range.start)));
                }
            }
        }
        bytes.put_chunks(&chunks);
    }

    /// A peer has started: its gets come in their time.
    pub(in crate::sim) fn start_classic(&mut self, host: usize) {
        let Some(spec) = self.hosts[host].spec.classic.clone() else { return };
        let incarnation = self.hosts[host].incarnation;
        for (get, after) in (0u32..).zip(spec.gets.iter().map(|get| get.after)) {
            self.queue.push(self.now + after, Happening::ClassicGet { host: index(host), incarnation, get });
        }
    }

    /// A host asks its peer for one of the files it wants from classic peers, unless it has it.
    pub(in crate::sim) fn ask_classic(&mut self, host: usize, get: usize) {
        let Some(spec) = self.hosts[host].spec.classic.as_ref().and_then(|classic| classic.gets.get(get))
        else {
            return;
        };
        let (name, wait) = (spec.name.clone(), spec.wait);
        if self.hosts[host].classic_gets.ask(get) {
            let ticket = FIRST_TICKET + index(get);
            self.tell(host, Input::Command(Command::GetClassic { ticket, name, wait }));
        }
    }

    /// A host asks again for what it was not given.
    pub(in crate::sim) fn ask_classic_again(&mut self, host: usize) {
        for get in 0..self.hosts[host].classic_gets.len() {
            if self.hosts[host].peer.is_some() && self.hosts[host].classic_gets.has_failed(get) {
                self.ask_classic(host, get);
            }
        }
    }

    /// A peer tells something of the classic dialects.
    pub(in crate::sim) fn note_classic(&mut self, host: usize, event: &ClassicEvent) {
        let noted = self.hosts[host].classic_gets.note(self.now, event);
        let told = self.watch.event(host, event, &self.hosts, &self.library);
        if let Err(what) = noted.and(told) {
            self.oracle.fail(format!("host {host} {what}"));
        }
    }

    /// How a host's classic get ended, if it did.
    pub fn classic_outcome(&self, host: usize, get: usize) -> Option<&ClassicOutcome> {
        self.hosts[host].classic_gets.outcome(get)
    }

    /// Whether every classic get of every host is over.
    pub fn classic_gets_over(&self) -> bool {
        self.hosts.iter().filter(|host| host.is_up()).all(|host| host.classic_gets.all_over())
    }

    /// A file that was merged on a host, by the name it stands under.
    pub fn merged(&self, host: usize, file: &str) -> Option<Arc<Vec<u8>>> {
        self.hosts[host].disk.bytes.as_ref()?.file(Path::new(file))
    }

    /// Writes into a host's dictionary, as another process there would.
    pub fn write_down(&mut self, host: usize, chunk: ChunkName, holder: usize) {
        let holder = self.hosts[holder].ip;
        if let Some(bytes) = &mut self.hosts[host].disk.bytes {
            bytes.write_down(chunk, holder);
        }
    }
}
