//! How a file spreads: who has which chunk since when, and who has all.

use crate::core::Event;
use crate::types::Time;

/// A chunk was received, verified and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// By which host.
    pub host: u32,
    /// Which.
    pub chunk: u32,
}

/// What was noted of a run.
#[derive(Debug)]
pub struct Spread {
    keeps_arrivals: bool,
    chunks: u32,
    arrivals: Vec<Arrival>,
    complete: Vec<Option<Time>>,
    complete_count: usize,
}

impl Spread {
    /// Nobody of `hosts` hosts has any of a file of `chunks` chunks.
    pub(in crate::sim) fn new(hosts: usize, chunks: u32, keeps_arrivals: bool) -> Spread {
        Spread {
            keeps_arrivals,
            chunks,
            arrivals: Vec::new(),
            complete: vec![None; hosts],
            complete_count: 0,
        }
    }

    /// A host's peer tells something.
    pub(in crate::sim) fn note(&mut self, now: Time, host: usize, event: &Event) {
        match event {
            Event::ChunkReceived { chunk, .. } if self.keeps_arrivals => {
                let host = u32::try_from(host).unwrap_or(u32::MAX);
                self.arrivals.push(Arrival { at: now, host, chunk: *chunk });
            }
            Event::Finished { .. } => {
                let complete = &mut self.complete[host];
                self.complete_count += usize::from(complete.is_none());
                complete.get_or_insert(now);
            }
            _ => {}
        }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Every chunk that came, in the order of time, if that was to be kept.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// When a host first had the whole file.
    pub fn complete_at(&self, host: usize) -> Option<Time> {
        self.complete.get(host).copied().flatten()
    }

    /// How many fetched the whole file.
    pub fn complete_count(&self) -> usize {
        self.complete_count
    }
}
