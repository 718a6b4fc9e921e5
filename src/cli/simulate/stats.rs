//! The results of a simulation, for users and for programs.

use std::time::Duration;

use crate::cli::human;
use crate::cli::json::{JsonLine, VERSION, seconds};
use crate::core::io::json::Object;
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
pub(super) struct Simulated<'a> {
    pub(super) spec: &'a SwarmSpec,
    pub(super) figures: &'a SwarmFigures,
    pub(super) chunks: u32,
    pub(super) took: Duration,
}

impl JsonLine for Simulated<'_> {
    fn write(&self, bytes: &mut Vec<u8>, ts: &str) {
        let Simulated { spec, figures, chunks, took } = self;
        Object::write(bytes, VERSION, ts, |line| {
            line.plain("t", "simulated").put("seed", spec.seed).put("peers", spec.peers);
            line.put("complete", figures.complete).put("size", spec.size).put("chunks", chunks);
            line.put("bound", seconds(spec.bound())).put("took", figures.took.map(seconds));
            line.put("over_bound", figures.over_bound);
            line.put("median_over_bound", figures.median_over_bound);
            line.put("slowest_over_median", figures.slowest_over_median);
            line.put("seed_copies", figures.seed_copies).put("waste", figures.waste);
            line.put("wasted_bytes", figures.wasted_bytes).put("fairness", figures.fairness);
            line.put("payload_bytes", figures.payload_bytes).put("control_bytes", figures.control_bytes);
            line.put("datagram_bytes", figures.datagram_bytes).put("datagrams", figures.datagrams);
            line.put("events", figures.happenings);
            line.put("events_per_s", a_second(figures.happenings, *took)).put("digest", &figures.digest);
        });
    }
}

/// How many a second of real time.
fn a_second(count: u64, took: Duration) -> u64 {
    human::bytes_per_s(count, took)
}
