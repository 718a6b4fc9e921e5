//! The figures of a run: values that tests compare and people read.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::Event;
use crate::sim::gets::Outcome;
use crate::sim::scenario::Scenario;
use crate::types::{ContentId, Time};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The virtual time.
    pub now: Time,
    /// Events of the virtual world.
    pub happenings: u64,
    /// Mutations of peers.
    pub steps: u64,
    /// One a host, in their order.
    pub hosts: Vec<HostReport>,
    /// BLAKE3 of all that all peers put out, in order: equal for equal seeds.
    pub digest: String,
}

/// What one host did, over all lives of its peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostReport {
    /// How its downloads ended, in its peer's last life.
    pub outcomes: BTreeMap<ContentId, Outcome>,
    /// Bytes of payload it sent, by content.
    pub payload_sent: Vec<u64>,
    /// Bytes of payload that came.
    pub payload_received: u64,
    /// Of those, bytes that nobody wanted any more.
    pub payload_discarded: u64,
    /// Bytes of chunks that were right and written to its disk.
    pub written_bytes: u64,
    /// Chunks that came and were wrong.
    pub chunks_bad: u64,
    /// Chunks that came from a peer that had all, and from others.
    pub chunks_from: ChunkSources,
    /// Bytes of frames and chunk headers that it sent.
    pub control_sent: u64,
    /// Bytes of frames and chunk headers that came.
    pub control_received: u64,
    /// Datagrams it sent; a broadcast is one.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub datagram_bytes: u64,
    /// Requests that were not answered with a right chunk.
    pub chunks_missed: u64,
    /// Downloads its peers began.
    pub started: u64,
    /// Chunks that were there when they began.
    pub chunks_had: u64,
}

/// Where chunks came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChunkSources {
    /// From peers that held the whole content.
    pub complete: u64,
    /// From peers that held a part of it.
    pub partial: u64,
}

/// Figures under way.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) hosts: Vec<HostReport>,
    pub(super) datagrams_carried: u64,
}

impl HostReport {
    /// Bytes of payload that came and were not written: what was discarded, wrong, late or lost in a crash.
    pub fn wasted_bytes(&self) -> u64 {
        self.payload_received.saturating_sub(self.written_bytes)
    }

    /// When the last of its downloads was finished.
    pub fn finished_at(&self) -> Option<Time> {
        let finished = |outcome: &Outcome| match outcome {
            Outcome::Finished(at) => Some(*at),
            Outcome::Failed(..) => None,
        };
        self.outcomes.values().filter_map(finished).max()
    }
}

impl Tally {
    pub(super) fn new(scenario: &Scenario) -> Tally {
        let host = HostReport { payload_sent: vec![0; scenario.contents.len()], ..HostReport::default() };
        Tally { hosts: vec![host; scenario.hosts.len()], datagrams_carried: 0 }
    }

    pub(super) fn sent(&mut self, host: usize, content: usize, bytes: u64) {
        self.hosts[host].payload_sent[content] += bytes;
    }

    pub(super) fn event(&mut self, host: usize, event: &Event) {
        let host = &mut self.hosts[host];
        match event {
            Event::ChunkReceived { from_complete: true, .. } => host.chunks_from.complete += 1,
            Event::ChunkReceived { from_complete: false, .. } => host.chunks_from.partial += 1,
            Event::ChunkMissed { .. } => host.chunks_missed += 1,
            Event::Started { had, .. } => {
                host.started += 1;
                host.chunks_had += u64::from(*had);
            }
            _ => {}
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} happenings, {} steps, {} virtual time", self.happenings, self.steps, self.now)?;
        writeln!(f, "host   finished      payload up    payload down        wasted   control up  datagrams")?;
        for (number, host) in self.hosts.iter().enumerate() {
            let finished = host.finished_at().map_or_else(|| "-".to_owned(), |at| at.to_string());
            writeln!(
                f,
                "{number:>4} {finished:>10} {:>15} {:>15} {:>13} {:>12} {:>10}",
                host.payload_sent.iter().sum::<u64>(),
                host.payload_received,
                host.wasted_bytes(),
                host.control_sent,
                host.datagrams_sent
            )?;
        }
        write!(f, "digest {}", self.digest)
    }
}
