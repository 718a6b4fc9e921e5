//! The results of a simulation, for users and for programs.

use std::time::Duration;

use serde::Serialize;

use crate::cli::human;
use crate::cli::json::seconds;
use crate::sim::{Swarm, SwarmFigures, SwarmSpec};

/// The line that renews itself.
pub(super) fn progress(swarm: &Swarm, took: Duration) -> String {
    format!(
        "{} of {} have it  virtual time {}  {} events a second",
        swarm.complete(),
        swarm.spec().peers,
        swarm.now(),
        human::count(a_second(swarm.happenings(), took))
    )
}

/// The figures, a line each.
pub(super) fn report(spec: &SwarmSpec, figures: &SwarmFigures, chunks: u32, took: Duration) -> String {
    let longest = figures.took.map_or_else(|| "never".to_owned(), human::span);
    let rows = [
        (
            "swarm",
            format!(
                "1 seed, {}, {} in {}",
                human::counted(spec.peers, "peer", "peers"),
                human::size(spec.size),
                human::counted(chunks as usize, "chunk", "chunks")
            ),
        ),
        ("bound", format!("{} (the file once through one link)", human::span(spec.bound()))),
        ("last peer has it", format!("{longest}, {:.3} times the bound", figures.over_bound)),
        (
            "half of them",
            format!(
                "{:.3} times the bound; slowest over median {:.3}",
                figures.median_over_bound, figures.slowest_over_median
            ),
        ),
        ("the seed sent", format!("{:.2} copies", figures.seed_copies)),
        ("wasted", format!("{} ({:.2} %)", human::size(figures.wasted_bytes), figures.waste * 100.0)),
        ("fairness", format!("{:.3} (1: all peers send equally)", figures.fairness)),
        (
            "bytes",
            format!(
                "payload {}, frames {}, datagrams {} ({})",
                human::size(figures.payload_bytes),
                human::size(figures.control_bytes),
                human::size(figures.datagram_bytes),
                human::count(figures.datagrams)
            ),
        ),
        (
            "simulation",
            format!(
                "{} events in {}: {} a second",
                human::count(figures.happenings),
                human::span(took),
                human::count(a_second(figures.happenings, took))
            ),
        ),
        ("trace", figures.digest.clone()),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, text)| format!("{name:<17} {text}")).collect();
    lines.join("\n")
}

/// The same as a JSON line.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename = "simulated")]
pub(super) struct Simulated<'a> {
    seed: u64,
    peers: usize,
    complete: usize,
    size: u64,
    chunks: u32,
    bound: f64,
    took: Option<f64>,
    over_bound: f64,
    median_over_bound: f64,
    slowest_over_median: f64,
    seed_copies: f64,
    waste: f64,
    wasted_bytes: u64,
    fairness: f64,
    payload_bytes: u64,
    control_bytes: u64,
    datagram_bytes: u64,
    datagrams: u64,
    events: u64,
    events_per_s: u64,
    digest: &'a str,
}

impl Simulated<'_> {
    pub(super) fn of<'a>(
        spec: &SwarmSpec,
        figures: &'a SwarmFigures,
        chunks: u32,
        took: Duration,
    ) -> Simulated<'a> {
        Simulated {
            seed: spec.seed,
            peers: spec.peers,
            complete: figures.complete,
            size: spec.size,
            chunks,
            bound: seconds(spec.bound()),
            took: figures.took.map(seconds),
            over_bound: figures.over_bound,
            median_over_bound: figures.median_over_bound,
            slowest_over_median: figures.slowest_over_median,
            seed_copies: figures.seed_copies,
            waste: figures.waste,
            wasted_bytes: figures.wasted_bytes,
            fairness: figures.fairness,
            payload_bytes: figures.payload_bytes,
            control_bytes: figures.control_bytes,
            datagram_bytes: figures.datagram_bytes,
            datagrams: figures.datagrams,
            events: figures.happenings,
            events_per_s: a_second(figures.happenings, took),
            digest: &figures.digest,
        }
    }
}

/// How many a second of real time.
fn a_second(count: u64, took: Duration) -> u64 {
    human::bytes_per_s(count, took)
}
