//! Mirrors in virtual time: what matches is fetched, now and later, whatever happens to the network and the hosts.

#![allow(clippy::expect_used, clippy::panic, reason = "a world that goes wrong has to fail its test")]

use chunkcast::core::Event;
use chunkcast::sim::{Action, HostSpec, Nature, Scenario, Simulation, Target};
use chunkcast::types::Time;

#[path = "common/world.rs"]
mod common;

use common::{MIB, finished, host, must, seconds, world};

/// How often a host began to fetch a content.
fn begun(world: &Simulation, host: usize, content: usize) -> usize {
    let id = world.content(content).id;
    let begins = |event: &Event| matches!(event, Event::Resolved { content, .. } if *content == id);
    world.events().iter().filter(|(_, at, event)| *at == host && begins(event)).count()
}

#[test]
fn what_matches_is_fetched_and_what_appears_later_too() {
    let mut scenario = Scenario::new(1);
    let [early, other, late, own] =
        ["a.mkv", "a.txt", "d/b.mkv", "own.mkv"].map(|name| scenario.content(name, MIB));
    scenario.host(host().shares(early).shares(other));
    let mirror = scenario.host(host().shares(own).mirrors("*.mkv", u64::MAX));
    scenario.host(host().starts_at(seconds(100)).shares(late).shares(early).shares(own));
    let mut world = world(scenario);
    must(world.run_until(seconds(90)));
    assert!(finished(&world, mirror, early) && !finished(&world, mirror, late), "{}", world.report());
    must(world.run_until(seconds(110)));
    assert!(finished(&world, mirror, late), "{}", world.report());
    let counts = [early, late, other, own].map(|content| begun(&world, mirror, content));
    assert_eq!(counts, [1, 1, 0, 0]);
}

#[test]
fn an_empty_file_is_mirrored() {
    let mut scenario = Scenario::new(9);
    let [empty, other] =
        [("empty.txt", 0), ("other.txt", 1)].map(|(name, size)| scenario.content(name, size));
    scenario.host(host().shares(empty).shares(other));
    let mirror = scenario.host(host().mirrors("*.txt", u64::MAX));
    let mut world = world(scenario);
    must(world.run_until(seconds(30)));
    assert!(finished(&world, mirror, empty) && finished(&world, mirror, other), "{}", world.report());
    assert_eq!(begun(&world, mirror, empty), 1);
}

#[test]
fn a_large_catalogue_is_walked() {
    let mut scenario = Scenario::new(2);
    let mut sharer = host();
    for number in 0..300 {
        let name = if number % 3 == 0 { format!("{number}.txt") } else { format!("{number}.png") };
        sharer = sharer.shares(scenario.content(&name, 100 + number));
    }
    scenario.host(sharer);
    scenario.host(host().mirrors("*.txt", u64::MAX));
    let fixed = HostSpec { broadcast: false, fixed_peers: vec![0], ..host() };
    scenario.host(fixed.mirrors("*.txt", u64::MAX));
    let mut world = world(scenario);
    must(world.run_until(seconds(60)));
    for mirror in [1, 2] {
        let fetched = (0..300).filter(|content| finished(&world, mirror, *content)).count();
        assert_eq!(fetched, 100, "host {mirror}\n{}", world.report());
    }
}

#[test]
fn a_catalogue_of_several_pages_is_walked_to_its_end() {
    let mut scenario = Scenario::new(8);
    let sharer = (0..1_200).fold(host(), |sharer, number| {
        let content = scenario.content(&format!("{number}.txt"), 100 + number);
        sharer.shares(content)
    });
    scenario.host(sharer);
    scenario.host(host().mirrors("*", u64::MAX));
    let mut world = world(scenario);
    must(world.run_until(seconds(60)));
    let fetched = (0..1_200).filter(|content| finished(&world, 1, *content)).count();
    assert_eq!(fetched, 1_200, "{}", world.report());
}

#[test]
fn loss_and_churn_only_delay() {
    for seed in 0..4 {
        let mut scenario = Scenario::new(100 + seed);
        scenario.network.loss_ppm = 300_000;
        scenario.network.shuffle = true;
        scenario.check_every = 16;
        let contents: Vec<usize> =
            (0..40).map(|number| scenario.content(&format!("{number}.bin"), number * 50_000)).collect();
        let shares = |from: usize, to: usize| {
            contents[from..to].iter().fold(host().mirrors("*", u64::MAX), |host, one| host.shares(*one))
        };
        scenario.host(shares(0, 20));
        scenario.host(shares(20, 30));
        scenario.host(shares(30, 40).starts_at(seconds(70)));
        scenario.host(host().starts_at(seconds(1)).mirrors("*", u64::MAX));
        scenario.at(Time::from_millis(1_500), Action::Kill(0));
        scenario.at(seconds(40), Action::Start(0));
        scenario.at(seconds(41), Action::PowerOff(3));
        scenario.at(seconds(50), Action::Start(3));
        scenario.at(seconds(71), Action::Kill(2));
        scenario.at(seconds(75), Action::Isolate(vec![1]));
        scenario.at(seconds(120), Action::Rejoin);
        scenario.at(seconds(200), Action::Start(2));
        scenario.at(seconds(210), Action::Loss(0));
        let mut world = world(scenario);
        must(world.run_until(seconds(900)));
        for at in 0..4 {
            let missing: Vec<usize> = contents
                .iter()
                .copied()
                .filter(|content| {
                    world.chunks_held(at, *content) < world.content(*content).geometry().chunks()
                })
                .collect();
            assert!(missing.is_empty(), "seed {seed}: host {at} lacks {missing:?}\n{}", world.report());
        }
    }
}

#[test]
fn what_its_owner_took_away_is_not_fetched_again() {
    let mut scenario = Scenario::new(4);
    let (taken, later) = (scenario.content("taken", MIB), scenario.content("later", MIB));
    scenario.host(host().shares(taken));
    let mirror = scenario.host(host().mirrors("*", u64::MAX));
    scenario.at(seconds(20), Action::Change(mirror, taken));
    // Somebody who asks the mirror makes its store notice.
    let getter = host().starts_at(seconds(30)).gets(Target::Name("taken".to_owned()));
    scenario.host(getter);
    scenario.host(host().starts_at(seconds(200)).shares(later).shares(taken));
    let mut world = world(scenario);
    must(world.run_until(seconds(300)));
    let withdrawn = |event: &Event| matches!(event, Event::Withdrawn { .. });
    assert!(world.events().iter().any(|(_, at, event)| *at == mirror && withdrawn(event)));
    assert!(finished(&world, mirror, later), "{}", world.report());
    assert_eq!(begun(&world, mirror, taken), 1);
}

#[test]
fn there_is_an_end_to_the_room() {
    let mut scenario = Scenario::new(5);
    let [large, small] =
        [("large", 9 * MIB), ("small", MIB)].map(|(name, size)| scenario.content(name, size));
    scenario.host(host().shares(large).shares(small));
    let mirror = scenario.host(host().mirrors("*", 5 * MIB));
    let mut world = world(scenario);
    must(world.run_until(seconds(200)));
    assert!(finished(&world, mirror, small) && begun(&world, mirror, large) == 0, "{}", world.report());
    let warned = |event: &Event| matches!(event, Event::Warning(text) if text.contains("does not fit into --mirror-max"));
    assert_eq!(world.events().iter().filter(|(_, at, event)| *at == mirror && warned(event)).count(), 1);
}

#[test]
fn what_is_begun_has_the_room_to_end_and_the_disk_holds_no_more_than_there_is() {
    const ROOM: u64 = 10 * MIB;
    let mut scenario = Scenario::new(7);
    // All of them could be active at once, and there is room for two.
    let contents: Vec<usize> =
        (0..16).map(|number| scenario.content(&format!("{number}"), 4 * MIB)).collect();
    scenario.host(contents.iter().fold(host(), |host, content| host.shares(*content)));
    let mirror = scenario.host(host().mirrors("*", ROOM));
    let mut world = world(scenario);
    for second in 1..=400 {
        must(world.run_until(seconds(second)));
        let on_disk = |content: &usize| {
            let geometry = world.content(*content).geometry();
            u64::from(world.chunks_held(mirror, *content)) * u64::from(geometry.chunk_bytes())
        };
        let bytes: u64 = contents.iter().map(on_disk).sum();
        assert!(bytes <= ROOM, "{bytes} bytes after {second} s\n{}", world.report());
    }
    let here = contents.iter().filter(|content| finished(&world, mirror, **content)).count();
    assert_eq!(here, 2, "{}", world.report());
    let came = |event: &Event| matches!(event, Event::ChunkReceived { .. });
    let chunks = world.events().iter().filter(|(_, at, event)| *at == mirror && came(event)).count();
    let chunks_of_one = world.content(contents[0]).geometry().chunks() as usize;
    assert_eq!(chunks, 2 * chunks_of_one, "nothing else came");
}

#[test]
fn what_fails_harms_nothing_else_and_is_tried_again() {
    let mut scenario = Scenario::new(6);
    let (forged, good) = (scenario.content("forged", MIB), scenario.content("good", MIB));
    scenario.host(HostSpec { nature: Nature::Forger, ..host() }.shares(forged));
    scenario.host(host().shares(good));
    let mirror = scenario.host(host().mirrors("*", u64::MAX));
    scenario.host(host().starts_at(seconds(100)).shares(forged));
    let mut world = world(scenario);
    must(world.run_until(seconds(60)));
    assert!(finished(&world, mirror, good) && !finished(&world, mirror, forged), "{}", world.report());
    must(world.run_until(seconds(400)));
    assert!(finished(&world, mirror, forged), "{}", world.report());
    // While the only holder is banned it is not begun.
    assert!(begun(&world, mirror, forged) >= 2, "{}", begun(&world, mirror, forged));
    assert!(begun(&world, mirror, forged) < 12, "{}", begun(&world, mirror, forged));
}
