//! What suites in virtual time share: units, a world that must go right, campaigns of seeds.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::panic::{RefUnwindSafe, catch_unwind};
use std::time::Duration;

use chunkcast::sim::{Failure, HostSpec, Outcome, Scenario, Simulation};
use chunkcast::types::Time;

pub(crate) const MIB: u64 = 1 << 20;
/// 100 Mbit/s, in bytes a second.
pub(crate) const FAST_ETHERNET: u64 = 12_500_000;

pub(crate) fn seconds(count: u64) -> Time {
    Time::ZERO + Duration::from_secs(count)
}

pub(crate) fn world(scenario: Scenario) -> Simulation {
    Simulation::new(scenario).expect("the contents can be cut")
}

/// Unwraps with what it takes to see a failure again.
pub(crate) fn must<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

/// A host with a link of 100 Mbit/s.
pub(crate) fn host() -> HostSpec {
    HostSpec::default().rate(FAST_ETHERNET)
}

pub(crate) fn finished(world: &Simulation, host: usize, content: usize) -> bool {
    matches!(world.outcome(host, content), Some(Outcome::Finished(_)))
}

pub(crate) fn finished_at(world: &Simulation, host: usize, content: usize) -> Time {
    match world.outcome(host, content) {
        Some(Outcome::Finished(at)) => *at,
        other => panic!("host {host}: {other:?}"),
    }
}

/// Fails unless what a seed draws, played until `end`, is the same each time, and differs from seed to seed.
#[track_caller]
pub(crate) fn assert_seeds_are_all_chance(draw: impl Fn(u64) -> Scenario, end: Time) {
    let play = |seed| {
        let mut world = world(draw(seed));
        must(world.run_until(end));
        world.report()
    };
    for seed in [3, 4] {
        assert_eq!(play(seed), play(seed));
    }
    assert_ne!(play(3).digest, play(4).digest);
}

/// Plays as many seeds as were asked for, `usually` so many, and fails with all that went wrong.
pub(crate) fn campaign_of_seeds(usually: u64, play: impl Fn(u64) -> Result<(), Failure> + RefUnwindSafe) {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, count) = (number("CHUNKCAST_SIM_FIRST", 0), number("CHUNKCAST_SIM_SEEDS", usually));
    let mut failures = Vec::new();
    for seed in first..first + count {
        let failure = match catch_unwind(|| play(seed)) {
            Ok(Ok(())) => continue,
            Ok(Err(failure)) if count == 1 => panic!("{failure}"),
            Ok(Err(failure)) => format!("at {} step {}: {}", failure.at, failure.step, failure.what),
            Err(_) => "panics".to_owned(),
        };
        failures.push(format!("seed {seed} {failure}"));
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}
