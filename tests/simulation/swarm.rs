//! One file and many who want it: how near they come to the bound, in virtual time, and that they all get it.

use std::time::Duration;

use chunkcast::sim::{Action, Churn, HostSpec, Join, Swarm, SwarmFigures, SwarmSpec, Target};
use chunkcast::types::Time;

use super::{FAST_ETHERNET, MIB, finished_at, must, one_to_many, seconds, world};

/// 32 MiB in 512 chunks on 100 Mbit/s: 2.7 s for who is alone.
fn spec(seed: u64, peers: usize) -> SwarmSpec {
    SwarmSpec { seed, peers, size: 32 * MIB, chunk_bytes: Some(64 << 10), ..SwarmSpec::default() }
}

fn played(spec: SwarmSpec) -> SwarmFigures {
    let peers = spec.peers;
    let mut swarm = Swarm::new(spec).expect("the file can be cut");
    while must(swarm.go_on(10_000)) {}
    let figures = swarm.figures();
    assert_eq!(figures.complete, peers, "{figures:?}");
    figures
}

#[test]
fn eight_equal_peers_are_near_the_bound_and_the_seed_sends_little_more_than_once() {
    for seed in 1..=3 {
        let figures = played(spec(seed, 8));
        assert!(figures.over_bound < 1.2 && figures.slowest_over_median < 1.1, "seed {seed}: {figures:?}");
        assert!(figures.seed_copies < 1.2 && figures.waste < 0.06, "seed {seed}: {figures:?}");
    }
}

#[test]
fn a_slow_peer_and_late_ones_hardly_delay_the_others() {
    for seed in 1..=3 {
        let slow = vec![(1, FAST_ETHERNET / 8)];
        let figures = played(SwarmSpec { slow: slow.clone(), ..spec(seed, 8) });
        assert!(figures.over_bound < 1.4, "seed {seed}: {figures:?}");
        let join = Join::Staggered(Duration::from_secs(1));
        let figures = played(SwarmSpec { slow, join, ..spec(seed, 8) });
        assert!(figures.over_bound < 1.7, "seed {seed}: {figures:?}");
    }
}

#[test]
fn who_is_slow_and_idles_does_not_gather_what_late_ones_ask_for() {
    for seed in 1..=3 {
        let spec = SwarmSpec {
            seed,
            chunk_bytes: Some(32 << 10),
            size: 64 * MIB,
            down: FAST_ETHERNET * 10,
            slow: vec![(1, FAST_ETHERNET / 8)],
            join: Join::Half(Duration::from_secs(2)),
            ..SwarmSpec::default()
        };
        let mut swarm = Swarm::new(spec.clone()).expect("the file can be cut");
        while must(swarm.go_on(10_000)) {}
        for late in [2, 4, 6, 8] {
            let took = swarm.spread().complete_at(late).map(|at| at.since(spec.starts_at(late)));
            assert!(took.is_some_and(|took| took < spec.bound() * 17 / 20), "seed {seed}, {late}: {took:?}");
        }
    }
}

#[test]
fn among_many_each_is_connected_to_some_and_all_get_it() {
    let mut spec = spec(1, 40);
    (spec.limits.neighbours_max, spec.limits.tactics.drawn_neighbours) = (8, 8);
    let figures = played(spec);
    // If all connected to the same few, these would have to send everything to all others.
    assert!(figures.over_bound < 1.5 && figures.fairness > 0.9, "{figures:?}");
}

#[test]
fn all_have_as_many_neighbours_so_nobody_is_left_behind() {
    let mut spec = spec(2, 60);
    spec.limits.tactics.drawn_neighbours = 12;
    let figures = played(spec);
    assert!(figures.slowest_over_median < 1.05 && figures.fairness > 0.97, "{figures:?}");
}

#[test]
fn who_looks_for_the_same_is_met_at_once_so_nobody_gathers_neighbours() {
    let mut met = spec(1, 40);
    met.limits.tactics.drawn_neighbours = 10;
    let mut strangers = met.clone();
    strangers.limits.tactics.meets_seekers = false;
    let (met, strangers) = (played(met), played(strangers));
    assert!(met.control_bytes * 10 < strangers.control_bytes * 9, "{met:?} {strangers:?}");
}

#[test]
fn who_has_a_chunk_or_finds_it_at_many_is_not_told_of_it_by_itself() {
    let waits = spec(1, 16);
    let mut at_once = waits.clone();
    at_once.limits.tactics.haves_wait = false;
    let (waits, at_once) = (played(waits), played(at_once));
    assert!(waits.happenings * 100 < at_once.happenings * 85, "{waits:?} {at_once:?}");
}

#[test]
fn half_of_the_peers_crash_and_return_and_all_get_it() {
    for seed in 1..=2 {
        let churn = Some(Churn { share_percent: 50, every: Duration::from_millis(800) });
        let figures = played(SwarmSpec { churn, ..spec(seed, 10) });
        assert!(figures.seed_copies < 3.0, "seed {seed}: {figures:?}");
    }
}

/// Invariants are checked after each step here, and every frame is looked at.
#[test]
fn who_was_assigned_chunks_may_vanish_or_stand_still() {
    for seed in 1..=3 {
        let (mut scenario, content) = one_to_many(seed, 4 * MIB, 9);
        scenario.limits.neighbours_max = 4;
        scenario.limits.tactics.drawn_neighbours = 5;
        scenario.host(
            HostSpec::default().rate(FAST_ETHERNET / 10).starts_at(seconds(2)).gets(Target::Id(content)),
        );
        scenario.at(Time::from_millis(2_300), Action::PowerOff(1));
        scenario.at(Time::from_millis(2_300), Action::Pause(2, Duration::from_secs(3)));
        scenario.at(seconds(4), Action::Start(1));
        let mut world = world(scenario);
        must(world.run_until_done(seconds(120)));
        for host in 1..=10 {
            finished_at(&world, host, content);
        }
    }
}
