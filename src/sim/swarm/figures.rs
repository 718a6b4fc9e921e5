//! What a swarm came to, in figures.

use std::time::Duration;

use crate::sim::report::Report;
use crate::sim::swarm::{Spread, SwarmSpec};
use crate::types::Time;

/// What a simulated swarm is measured by. Times are those from a peer's coming to its having the file.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmFigures {
    /// How many got the file.
    pub complete: usize,
    /// From the first peer's coming to the last one's having the file; `None` when somebody never got it.
    pub took: Option<Duration>,
    /// The longest time of a peer that is as fast as the others, over the bound.
    pub over_bound: f64,
    /// The median time over the bound.
    pub median_over_bound: f64,
    /// The longest of those times over the median.
    pub slowest_over_median: f64,
    /// Payload that the seed sent, in files.
    pub seed_copies: f64,
    /// Payload that came and was of no use, over what had to come.
    pub waste: f64,
    /// The same, in bytes.
    pub wasted_bytes: u64,
    /// Jain's index of what the peers sent: 1 when all sent alike, 1/N when one sent all.
    pub fairness: f64,
    /// Payload that came, in bytes.
    pub payload_bytes: u64,
    /// Frames and chunk headers, in bytes.
    pub control_bytes: u64,
    /// Datagrams, in bytes; a broadcast counts once.
    pub datagram_bytes: u64,
    /// Datagrams; a broadcast is one.
    pub datagrams: u64,
    /// Events of the virtual world.
    pub happenings: u64,
    /// The digest of everything that every peer put out.
    pub digest: String,
}

impl SwarmFigures {
    pub(super) fn of(spec: &SwarmSpec, report: &Report, spread: &Spread) -> SwarmFigures {
        let begin = spec.starts_at(1);
        let is_slow = |peer: &usize| spec.slow.iter().any(|(number, _)| number == peer);
        let time = |peer: usize| Some(spread.complete_at(peer)?.since(spec.starts_at(peer)));
        let mut times: Vec<Duration> =
            (1..=spec.peers).filter(|peer| !is_slow(peer)).filter_map(time).collect();
        times.sort_unstable();
        let (median, longest) = (
            times.get(times.len() / 2).copied().unwrap_or_default(),
            times.last().copied().unwrap_or_default(),
        );
        let last: Option<Vec<Time>> = (1..=spec.peers).map(|peer| spread.complete_at(peer)).collect();
        let peers = report.hosts.get(1..).unwrap_or_default();
        let sum = |figure: fn(&crate::sim::HostReport) -> u64| report.hosts.iter().map(figure).sum::<u64>();
        let wasted_bytes = sum(|host| host.wasted_bytes());
        let of_files = |bytes: u64, files: usize| over(bytes as f64, spec.size as f64 * files as f64);
        SwarmFigures {
            complete: spread.complete_count(),
            took: last.and_then(|times| times.into_iter().max()).map(|last| last.since(begin)),
            over_bound: over(longest.as_secs_f64(), spec.bound().as_secs_f64()),
            median_over_bound: over(median.as_secs_f64(), spec.bound().as_secs_f64()),
            slowest_over_median: over(longest.as_secs_f64(), median.as_secs_f64()),
            seed_copies: of_files(report.hosts.first().map_or(0, |host| host.payload_sent.iter().sum()), 1),
            waste: of_files(wasted_bytes, spec.peers),
            wasted_bytes,
            fairness: jain(peers.iter().map(|host| host.payload_sent.iter().sum::<u64>() as f64)),
            payload_bytes: sum(|host| host.payload_received),
            control_bytes: sum(|host| host.control_sent),
            datagram_bytes: sum(|host| host.datagram_bytes),
            datagrams: sum(|host| host.datagrams_sent),
            happenings: report.happenings,
            digest: report.digest.clone(),
        }
    }
}

/// A ratio; 0 where there is nothing to compare with.
fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The square of the sum over the number times the sum of the squares.
fn jain(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        sum += value;
        squares += value * value;
    }
    if squares > 0.0 { sum * sum / (count * squares) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_when_all_give_alike_and_one_nth_when_one_gives_all() {
        assert!((jain([3.0; 4].into_iter()) - 1.0).abs() < 1e-9);
        assert!((jain([8.0, 0.0, 0.0, 0.0].into_iter()) - 0.25).abs() < 1e-9);
        assert!((jain([0.0; 3].into_iter()) - 1.0).abs() < 1e-9);
    }
}
