//! An owner and its neighbours in virtual time: who gets what from whom, in rings, lines and drawn arrangements.
//!
//! `CHUNKCAST_SIM_SEEDS=1000` draws as many arrangements; `CHUNKCAST_SIM_FIRST=n` begins with seed `n`.

#![allow(clippy::expect_used, clippy::panic, reason = "a world that goes wrong has to fail its test")]

use std::collections::BTreeMap;
use std::time::Duration;

use chunkcast::core::{Event, FailReason, Rng};
use chunkcast::sim::{Action, GetSpec, HostSpec, Outcome, PlaceSpec, Scenario, Simulation, Target};
use chunkcast::types::Time;

#[path = "common/world.rs"]
mod common;

use common::{FAST_ETHERNET, MIB, campaign_of_seeds, must, seconds, world};

const CHUNK: u32 = 100 << 10;
const OWNER: usize = 0;

fn owner(content: usize, peers: u32) -> HostSpec {
    let place = PlaceSpec::Owner { peers, reassign_after: Duration::from_secs(10) };
    HostSpec { broadcast: false, ..HostSpec::default() }.rate(FAST_ETHERNET).shares(content).placed(place)
}

fn peer(content: usize, neighbours: Vec<usize>) -> HostSpec {
    let place = PlaceSpec::Peer { owner: OWNER, neighbours, owner_fallback: None };
    let host = HostSpec { broadcast: false, ..HostSpec::default() };
    host.rate(FAST_ETHERNET).gets(Target::Id(content)).placed(place)
}

/// Host 0 owns a content of `size` bytes; hosts 1 to `count` stand in a ring, each downloading from the next. All start at
/// random within 3 s.
fn ring(seed: u64, size: u64, count: usize) -> (Scenario, usize) {
    let mut rng = Rng::new(seed);
    let mut scenario = Scenario::new(seed);
    redial_soon(&mut scenario);
    let content = scenario.ring_content("talk.mkv", size, CHUNK);
    let start = |rng: &mut Rng| Time::ZERO + rng.duration_below(Duration::from_secs(3));
    let places = u32::try_from(count).expect("few");
    scenario.host(owner(content, places).starts_at(start(&mut rng)));
    for at in 1..=count {
        scenario.host(peer(content, vec![at % count + 1]).starts_at(start(&mut rng)));
    }
    (scenario, content)
}

/// As the command line has it for neighbours.
fn redial_soon(scenario: &mut Scenario) {
    scenario.limits.redial_wait_min = Duration::from_millis(100);
    scenario.limits.redial_wait_max = Duration::from_secs(2);
}

/// How often each chunk left a host.
fn sent_by(world: &Simulation, from: usize) -> BTreeMap<u32, u32> {
    let mut sent = BTreeMap::new();
    for (_, host, event) in world.events() {
        if let (true, Event::ChunkSent { chunk, .. }) = (*host == from, event) {
            *sent.entry(*chunk).or_default() += 1;
        }
    }
    sent
}

#[track_caller]
fn assert_each_left_once(world: &Simulation, content: usize) {
    let chunks = world.content(content).geometry().chunks();
    let once: BTreeMap<u32, u32> = (0..chunks).map(|chunk| (chunk, 1)).collect();
    assert_eq!(sent_by(world, OWNER), once);
}

#[track_caller]
fn assert_finished(world: &Simulation, hosts: impl IntoIterator<Item = usize>, content: usize) {
    for host in hosts {
        let outcome = world.outcome(host, content);
        assert!(
            matches!(outcome, Some(Outcome::Finished(_))),
            "host {host}: {outcome:?}\n{}",
            world.report()
        );
    }
}

fn count(world: &Simulation, of: usize, matching: impl Fn(&Event) -> bool) -> usize {
    world.events().iter().filter(|(_, host, event)| *host == of && matching(event)).count()
}

#[test]
fn five_in_a_ring_each_do_everything_and_each_chunk_leaves_the_owner_once() {
    for seed in 0..20 {
        let (scenario, content) = ring(seed, 10 * MIB, 5);
        let mut world = world(scenario);
        must(world.run_until_done(seconds(60)));
        assert_finished(&world, 1..=5, content);
        assert_each_left_once(&world, content);
        for host in 1..=5 {
            let all: [fn(&Event) -> bool; 6] = [
                |event| matches!(event, Event::ChunkReceived { .. }),
                |event| matches!(event, Event::ChunkSent { .. }),
                |event| matches!(event, Event::ListReceived { .. }),
                |event| matches!(event, Event::ListSent { .. }),
                |event| matches!(event, Event::ChunkRequested { .. }),
                |event| matches!(event, Event::RequestReceived { .. }),
            ];
            let counts = all.map(|kind| count(&world, host, kind));
            assert!(counts.iter().all(|count| *count > 0), "seed {seed}, host {host}: {counts:?}");
            // Nothing came twice.
            assert_eq!(counts[0], 103, "seed {seed}, host {host}");
        }
        let report = world.report();
        assert!(report.hosts.iter().all(|host| host.datagrams_sent == 0), "{report}");
    }
}

#[test]
fn any_number_of_peers_and_any_size() {
    let kib = |count: u64| count << 10;
    let sizes = [0, 1, kib(4), kib(5), kib(499), kib(500), kib(500) + 1, kib(2_000), kib(2_000) + 1];
    for count in [1, 2, 3, 5, 20] {
        for (seed, size) in (100..).zip(sizes) {
            let (scenario, content) = ring(seed, size, count);
            let mut world = world(scenario);
            must(world.run_until_done(seconds(60)));
            assert_finished(&world, 1..=count, content);
            assert_each_left_once(&world, content);
        }
    }
}

#[test]
fn places_that_nobody_takes_are_dealt_out_and_who_is_late_gets_all() {
    let (mut scenario, content) = ring(1, 4 * MIB, 3);
    scenario.hosts[OWNER] = owner(content, 5);
    scenario.hosts[3].starts_at = seconds(30);
    let mut world = world(scenario);
    must(world.run_until(seconds(9)));
    assert!(world.outcome(1, content).is_none() && world.outcome(2, content).is_none());
    must(world.run_until_done(seconds(60)));
    assert_finished(&world, 1..=3, content);
    assert_each_left_once(&world, content);
}

#[test]
fn a_line_needs_the_owner_as_the_last_resort() {
    for fallback in [Some(Duration::from_secs(5)), None] {
        let (mut scenario, content) = ring(2, 2 * MIB, 4);
        // The last has nobody to download from.
        let nobody =
            scenario.host(HostSpec { broadcast: false, starts_at: seconds(3600), ..HostSpec::default() });
        for host in 1..=4 {
            let neighbours = vec![if host == 4 { nobody } else { host + 1 }];
            scenario.hosts[host].place =
                Some(PlaceSpec::Peer { owner: OWNER, neighbours, owner_fallback: fallback });
            scenario.hosts[host].gets[0].stall = Duration::from_secs(30);
        }
        let mut world = world(scenario);
        must(world.run_until(seconds(60)));
        let waiting = |host| {
            world.events().iter().find_map(|(_, at, event)| match event {
                Event::Waiting { missing, missing_count, .. } if *at == host => {
                    Some((missing.clone(), *missing_count))
                }
                _ => None,
            })
        };
        let (named, missing) = waiting(4).expect("it says what it waits for");
        assert!((10..=17).contains(&missing) && named.len() == 8, "{missing} of 21 chunks: {named:?}");
        match fallback {
            Some(_) => assert_finished(&world, 1..=4, content),
            None => {
                let failed = world.outcome(4, content);
                let stalled = matches!(
                    failed,
                    Some(Outcome::Failed(_, FailReason::Stalled { missing: left, .. })) if *left == missing
                );
                assert!(stalled, "{failed:?}");
            }
        }
    }
}

#[test]
fn killed_half_way_it_goes_on_from_its_part() {
    for (seed, down) in [(3, 100), (4, 2_500), (5, 6_000)] {
        let (mut scenario, content) = ring(seed, 10 * MIB, 5);
        scenario.hosts.iter_mut().for_each(|host| (host.up, host.down) = (2_000_000, 2_000_000));
        scenario.at(seconds(4), Action::Kill(2));
        scenario.at(seconds(4) + Duration::from_millis(down), Action::Start(2));
        let mut world = world(scenario);
        must(world.run_until(seconds(4)));
        let held = world.chunks_held(2, content);
        assert!((1..103).contains(&held), "{held} chunks at 4 s");
        must(world.run_until_done(seconds(60)));
        assert_finished(&world, 1..=5, content);
        assert!(world.report().hosts[2].chunks_had > 0);
        // What left the owner again is what was lost with it.
        assert!(sent_by(&world, OWNER).values().all(|count| *count <= 2));
    }
}

#[test]
fn without_the_owner_the_others_get_what_left_it() {
    let (mut scenario, content) = ring(6, 10 * MIB, 5);
    // 103 chunks take the owner about 5 s; the last of it spreads without it.
    scenario.hosts[OWNER].up = 2 * MIB;
    for host in &mut scenario.hosts {
        host.starts_at = Time::ZERO;
    }
    scenario.at(seconds(6), Action::Kill(OWNER));
    let mut world = world(scenario);
    must(world.run_until_done(seconds(60)));
    assert_finished(&world, 1..=5, content);

    let (mut scenario, content) = ring(7, 10 * MIB, 5);
    scenario.hosts[OWNER].up = 2 * MIB;
    for host in &mut scenario.hosts {
        host.starts_at = Time::ZERO;
    }
    scenario.at(seconds(3), Action::Kill(OWNER));
    let mut world = self::world(scenario);
    must(world.run_until(seconds(40)));
    let left = sent_by(&world, OWNER).len();
    assert!((20..103).contains(&left), "{left} chunks left the owner");
    for host in 1..=5 {
        let missing = world.events().iter().rev().find_map(|(_, at, event)| match event {
            Event::Waiting { missing_count, .. } if *at == host => Some(*missing_count as usize),
            _ => None,
        });
        // Two may have been on their way to each when the owner went: as much as a socket holds.
        let missing = missing.expect("it says what it waits for");
        assert!((103 - left..=103 - left + 10).contains(&missing), "host {host}: {missing}, {left} left");
        assert_eq!(103 - world.chunks_held(host, content) as usize, missing);
    }
}

#[test]
fn who_is_needed_no_more_may_go_without_a_word() {
    let (mut scenario, content) = ring(9, 2 * MIB, 3);
    for (at, host) in [(30, 2), (31, OWNER)] {
        scenario.at(seconds(at), Action::Leave(host));
    }
    let mut world = world(scenario);
    must(world.run_until(seconds(40)));
    assert_finished(&world, 1..=3, content);
    let away = |(at, _, event): &&(Time, usize, Event)| {
        *at >= seconds(30) && matches!(event, Event::NeighbourAway { .. })
    };
    assert_eq!(world.events().iter().filter(away).count(), 0);
}

#[test]
fn who_is_named_twice_is_missed_and_found_once() {
    let (mut scenario, content) = ring(10, MIB, 1);
    scenario.hosts[OWNER].starts_at = seconds(2);
    scenario.hosts[1] = peer(content, vec![OWNER]);
    let mut world = world(scenario);
    must(world.run_until_done(seconds(30)));
    assert_finished(&world, [1], content);
    assert_each_left_once(&world, content);
    assert_eq!(count(&world, 1, |event| matches!(event, Event::NeighbourAway { .. })), 1);
    assert_eq!(count(&world, 1, |event| matches!(event, Event::NeighbourBack { .. })), 1);
}

#[test]
fn a_neighbour_with_another_file_is_told() {
    let (mut scenario, content) = ring(8, MIB, 2);
    let other = scenario.ring_content("other.mkv", MIB, CHUNK);
    let stranger = scenario.host(owner(other, 1));
    scenario.hosts[1].place =
        Some(PlaceSpec::Peer { owner: OWNER, neighbours: vec![stranger], owner_fallback: None });
    let (ours, theirs) = (scenario.contents.len(), stranger);
    let mut world = world(scenario);
    must(world.run_until(seconds(10)));
    let (wanted, offered) = (world.content(content).id, world.content(other).id);
    let told = count(
        &world,
        1,
        |event| matches!(event, Event::OtherContent { theirs, wanted: w, .. } if (*theirs, *w) == (offered, wanted)),
    );
    assert_eq!(told, 1, "{ours} contents, stranger {theirs}");
}

/// A strongly connected arrangement of up to 200 peers: a ring in random order, with some more links. Peers are killed and
/// come back while it goes on.
fn drawn(seed: u64) -> (Scenario, usize, usize) {
    let mut rng = Rng::new(seed);
    let most = [5, 20, 60, 200][rng.below(4)];
    let peers = 2 + rng.below(most - 1);
    let mut scenario = Scenario::new(seed);
    redial_soon(&mut scenario);
    scenario.check_every = 64;
    scenario.network.shuffle = rng.chance_ppm(500_000);
    let size = 1 + rng.below(3 << 20) as u64;
    let content = scenario.ring_content("talk.mkv", size, [CHUNK, 16 << 10, 64 << 10][rng.below(3)]);
    let places = u32::try_from(1 + rng.below(2 * peers)).expect("few");
    scenario.host(owner(content, places).rate(FAST_ETHERNET));
    let mut order: Vec<usize> = (1..=peers).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, rng.below(at + 1));
    }
    let mut links: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, host) in order.iter().enumerate() {
        links.entry(*host).or_default().push(order[(at + 1) % order.len()]);
    }
    for _ in 0..rng.below(peers) {
        let (from, to) = (1 + rng.below(peers), 1 + rng.below(peers));
        let neighbours = links.entry(from).or_default();
        if from != to && !neighbours.contains(&to) {
            neighbours.push(to);
        }
    }
    for neighbours in links.into_values() {
        let starts_at = Time::ZERO + rng.duration_below(Duration::from_secs(3));
        let mut host = peer(content, neighbours).starts_at(starts_at);
        host.gets = vec![GetSpec { stall: Duration::from_secs(600), ..host.gets[0].clone() }];
        scenario.host(host);
    }
    for _ in 0..rng.below(1 + peers / 2) {
        let host = 1 + rng.below(peers);
        let at = Time::ZERO + rng.duration_below(Duration::from_secs(20));
        scenario.at(at, Action::Kill(host));
        scenario.at(at + rng.duration_below(Duration::from_secs(20)), Action::Start(host));
    }
    // Whatever order the kills and starts had, everybody is there in the end.
    (1..=peers).for_each(|host| scenario.at(seconds(45), Action::Start(host)));
    (scenario, content, peers)
}

#[test]
fn drawn_arrangements_with_churn_complete() {
    campaign_of_seeds(12, |seed| {
        let (scenario, content, peers) = drawn(seed);
        let churned = !scenario.timeline.iter().all(|(_, action)| matches!(action, Action::Start(_)));
        let mut world = world(scenario);
        world.run_until(seconds(45))?;
        world.run_until_done(seconds(300))?;
        assert_finished(&world, 1..=peers, content);
        if !churned {
            assert_each_left_once(&world, content);
        }
        Ok(())
    });
}

#[test]
fn the_owner_gone_they_name_what_cannot_be_had() {
    for seed in 1_000..1_006 {
        let (mut scenario, content, peers) = drawn(seed);
        let mut rng = Rng::new(seed);
        scenario.timeline.clear();
        let goes = Time::from_millis(200) + rng.duration_below(Duration::from_secs(5));
        scenario.at(goes, Action::Kill(OWNER));
        let mut world = world(scenario);
        must(world.run_until(seconds(120)));
        let chunks = world.content(content).geometry().chunks();
        let held: Vec<u32> = (1..=peers).map(|host| world.chunks_held(host, content)).collect();
        for host in 1..=peers {
            if world.outcome(host, content).is_some() {
                continue;
            }
            let said = world.events().iter().rev().find_map(|(_, at, event)| match event {
                Event::Waiting { missing_count, .. } if *at == host => Some(*missing_count),
                // Who came when the owner had gone knows of nothing.
                Event::NeighbourAway { .. } if *at == host && held[host - 1] == 0 => Some(0),
                _ => None,
            });
            let missing = if held[host - 1] == 0 { 0 } else { chunks - held[host - 1] };
            assert!(
                said.is_some_and(|said| said == missing || said == chunks),
                "seed {seed}, host {host}: {said:?}"
            );
        }
    }
}
