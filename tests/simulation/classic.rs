//! The classic dialects in virtual time: foreign peers of each dialect, kind and broken ones, with peers of ours among
//! them.

use std::time::Duration;

use chunkcast::core::{ClassicEvent, ClassicFailure, DictionaryUse, Event};
use chunkcast::sim::{
    Action, ClassicOutcome, ClassicSpec, DiskSpec, Failure, ForeignSpec, HostSpec, Manner, Scenario,
    Simulation,
};
use chunkcast::types::Time;
use chunkcast::wire::classic::{ChunkName, Dialect};

#[path = "classic_quirks.rs"]
mod quirks;

use super::{SEEDS, assert_seeds_are_all_chance, campaign_of_seeds, must, seconds, world};

/// The sizes that the dialects cut into fewer or uneven chunks, and some that they do not.
const SIZES: [u64; 9] = [1, 2, 5, 6, 9, 13, 1_003, 60_001, 300_000];

const WAIT: Duration = Duration::from_secs(20);

fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A world with one content that is called forest.png.
fn forest(seed: u64, size: u64) -> Scenario {
    let mut scenario = Scenario::new(seed);
    scenario.content("forest.png", size);
    scenario.contents[0].seed = seed;
    scenario
}

fn foreign(scenario: &mut Scenario, foreign: ForeignSpec) -> usize {
    scenario.host(HostSpec::default().foreign(foreign))
}

/// A host of ours that fetches forest.png from classic peers alone.
fn asker(scenario: &mut Scenario, after: Duration) -> usize {
    let classic = ClassicSpec::default().classic_only().gets("forest.png", after, WAIT);
    scenario.host(HostSpec::default().classic(classic))
}

/// Plays until every classic get is over, and no longer than `limit`.
fn play(scenario: Scenario, limit: Time) -> Simulation {
    let mut world = world(scenario);
    must(world.run_until_done(limit));
    world
}

/// Plays until the get of `host` is over, which has to bring the file; from how many peers, and when.
fn brings(scenario: Scenario, host: usize, limit: Time) -> (Simulation, Time) {
    let world = play(scenario, limit);
    match world.classic_outcome(host, 0) {
        Some(ClassicOutcome::Finished { at, .. }) => {
            let at = *at;
            assert!(world.merged(host, "forest.png").is_some());
            (world, at)
        }
        other => panic!("host {host}: {other:?}\n{:#?}", said(&world, host)),
    }
}

fn fails(scenario: Scenario, host: usize, limit: Time) -> (Simulation, ClassicFailure) {
    let world = play(scenario, limit);
    match world.classic_outcome(host, 0) {
        Some(ClassicOutcome::Failed(_, why)) => {
            let why = why.clone();
            (world, why)
        }
        other => panic!("host {host}: {other:?}\n{:#?}", said(&world, host)),
    }
}

/// What a host said of the classic dialects, and when.
fn said(world: &Simulation, host: usize) -> Vec<(Time, &ClassicEvent)> {
    let of_host = world.events().iter().filter(|(_, by, _)| *by == host);
    of_host
        .filter_map(|(at, _, event)| match event {
            Event::Classic(event) => Some((*at, event)),
            _ => None,
        })
        .collect()
}

#[test]
fn foreign_peers_exchange_in_every_dialect() {
    for (dialect, size) in Dialect::ALL.into_iter().flat_map(|dialect| SIZES.map(|size| (dialect, size))) {
        for seed in 0..2 {
            let mut scenario = forest(seed, size);
            foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]));
            let asker = foreign(&mut scenario, ForeignSpec::new(dialect).wants(0));
            let mut world = world(scenario);
            must(world.run_while(seconds(40), |world| !world.foreign_has(asker, 0)));
            assert!(world.foreign_has(asker, 0), "{dialect} {size}");
        }
    }
}

#[test]
fn broken_foreign_peers_deliver_nothing_right() {
    let manners = [Manner::Empty, Manner::CutsShort, Manner::LiesAboutSize, Manner::Forges, Manner::Mute];
    for (dialect, manner) in Dialect::ALL.into_iter().flat_map(|dialect| manners.map(|m| (dialect, m))) {
        let mut scenario = forest(0, 1_003);
        foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]).manner(manner));
        let asker = foreign(&mut scenario, ForeignSpec::new(dialect).wants(0));
        let mut world = world(scenario);
        must(world.run_until(seconds(30)));
        assert!(!world.foreign_has(asker, 0), "{dialect} {manner:?}");
    }
}

#[test]
fn we_fetch_in_every_dialect() {
    for (dialect, size) in Dialect::ALL.into_iter().flat_map(|dialect| SIZES.map(|size| (dialect, size))) {
        for seed in 0..2 {
            let mut scenario = forest(seed, size);
            foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]));
            let asker = asker(&mut scenario, s(1));
            brings(scenario, asker, seconds(120));
        }
    }
}

/// The dialects that our peers announce in by themselves.
const OUR_DIALECTS: [Dialect; 5] = [Dialect::A, Dialect::ASize, Dialect::B, Dialect::C, Dialect::E];

#[test]
fn every_dialect_fetches_what_we_share() {
    for (dialect, size) in OUR_DIALECTS.into_iter().flat_map(|dialect| SIZES.map(|size| (dialect, size))) {
        for native in [true, false] {
            let mut scenario = forest(u64::from(native), size);
            let classic = ClassicSpec { native, ..ClassicSpec::default().speaks(&[dialect]) };
            scenario.host(HostSpec::default().shares(0).classic(classic));
            let asker = foreign(&mut scenario, ForeignSpec::new(dialect).wants(0));
            let mut world = world(scenario);
            must(world.run_while(seconds(90), |world| !world.foreign_has(asker, 0)));
            assert!(world.foreign_has(asker, 0), "{dialect} {size}");
        }
    }
}

#[test]
fn a_downloader_of_b_json_is_served_when_we_are_told_of_it() {
    let mut scenario = forest(0, 60_001);
    let asker = foreign(&mut scenario, ForeignSpec::new(Dialect::BJson).wants(0));
    let classic = ClassicSpec { told: vec![(asker, Dialect::BJson)], ..ClassicSpec::default() };
    scenario.host(HostSpec::default().shares(0).classic(classic));
    let mut world = world(scenario);
    must(world.run_while(seconds(90), |world| !world.foreign_has(asker, 0)));
    assert!(world.foreign_has(asker, 0));
}

#[test]
fn ours_fetch_from_ours_in_every_dialect() {
    for (dialect, size) in OUR_DIALECTS.into_iter().flat_map(|dialect| SIZES.map(|size| (dialect, size))) {
        let mut scenario = forest(size % 2, size);
        let classic = ClassicSpec::default().classic_only().speaks(&[dialect]);
        scenario.host(HostSpec::default().shares(0).classic(classic));
        let asker = asker(&mut scenario, s(1));
        brings(scenario, asker, seconds(120));
    }
}

#[test]
fn what_was_fetched_is_served_in_other_dialects() {
    let mut scenario = forest(1, 60_001);
    let holder = foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(0, &[]));
    let asker = asker(&mut scenario, s(1));
    let last = foreign(&mut scenario, ForeignSpec::new(Dialect::A).wants(0));
    scenario.at(seconds(8), Action::PowerOff(holder));
    let mut world = world(scenario);
    must(world.run_while(seconds(150), |world| !world.foreign_has(last, 0)));
    assert!(world.foreign_has(last, 0));
    assert!(matches!(world.classic_outcome(asker, 0), Some(ClassicOutcome::Finished { .. })));
}

/// One peer of A, one of B and two of C with overlapping parts, and one of ours that wants the file.
fn swarm(seed: u64) -> (Scenario, usize) {
    let mut scenario = forest(seed, 300_000);
    foreign(&mut scenario, ForeignSpec::new(Dialect::A).holds(0, &[1, 2, 5]));
    foreign(&mut scenario, ForeignSpec::new(Dialect::B).holds(0, &[2, 3]));
    foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(0, &[3, 4, 1]));
    foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(0, &[4, 5]));
    for host in &mut scenario.hosts {
        (host.up, host.down) = (200_000, 200_000);
    }
    let asker = asker(&mut scenario, s(1));
    (scenario, asker)
}

#[test]
fn a_mixed_swarm_brings_the_file() {
    for seed in 0..10 {
        let (scenario, asker) = swarm(seed);
        let (world, _) = brings(scenario, asker, seconds(60));
        let outcome = world.classic_outcome(asker, 0);
        assert!(matches!(outcome, Some(ClassicOutcome::Finished { peers: 2.., .. })), "{outcome:?}");
    }
}

#[test]
fn a_mixed_swarm_goes_on_when_one_dies() {
    for seed in 0..40 {
        let (mut scenario, asker) = swarm(seed);
        // Each chunk is held by two.
        scenario.at(Time::from_millis(1_000 + 20 * seed), Action::PowerOff(seed as usize % 4));
        brings(scenario, asker, seconds(120));
    }
}

#[test]
fn a_third_of_all_announcements_may_be_lost() {
    for seed in 0..20 {
        let (mut scenario, asker) = swarm(seed);
        scenario.network.loss_ppm = 300_000;
        scenario.network.duplicate_ppm = 100_000;
        scenario.network.reorder_ppm = 200_000;
        brings(scenario, asker, seconds(60));
    }
}

#[test]
fn who_went_silent_is_forgotten() {
    let mut scenario = forest(0, 60_001);
    let gone = foreign(&mut scenario, ForeignSpec::new(Dialect::A).holds(0, &[]));
    let late = HostSpec::default().starts_at(seconds(150));
    scenario.host(late.foreign(ForeignSpec::new(Dialect::B).holds(0, &[])));
    let asker = asker(&mut scenario, s(200));
    scenario.at(seconds(10), Action::PowerOff(gone));
    let (world, at) = brings(scenario, asker, seconds(260));
    assert!(at < seconds(206), "{at}");
    let missed =
        said(&world, asker).iter().any(|(_, event)| matches!(event, ClassicEvent::ChunkMissed { .. }));
    assert!(!missed);
    assert!(said(&world, asker).iter().any(|(_, event)| matches!(event, ClassicEvent::Gone { .. })));
}

#[test]
fn nobody_left_is_said() {
    let mut scenario = forest(0, 60_001);
    let gone = foreign(&mut scenario, ForeignSpec::new(Dialect::A).holds(0, &[]));
    let asker = asker(&mut scenario, s(200));
    scenario.at(seconds(10), Action::PowerOff(gone));
    let (_, why) = fails(scenario, asker, seconds(240));
    assert!(matches!(why, ClassicFailure::NobodyOffers { .. }), "{why:?}");
}

#[test]
fn uploaders_with_their_quirks_deliver() {
    for manner in [Manner::NeverCloses, Manner::Rebinds(Duration::from_millis(30))] {
        for dialect in Dialect::ALL {
            let mut scenario = forest(0, 60_001);
            foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]).manner(manner));
            let asker = asker(&mut scenario, s(1));
            brings(scenario, asker, seconds(60));
        }
    }
}

#[test]
fn who_delivers_nothing_only_delays() {
    for manner in [Manner::Empty, Manner::Mute, Manner::Endless] {
        for dialect in Dialect::ALL {
            let mut scenario = forest(0, 60_001);
            foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]).manner(manner));
            foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(0, &[]));
            let asker = asker(&mut scenario, s(3));
            brings(scenario, asker, seconds(400));
        }
    }
}

#[test]
fn an_answer_that_is_framed_and_cut_short_comes_from_elsewhere() {
    for manner in [Manner::CutsShort, Manner::LiesAboutSize] {
        for dialect in [Dialect::ASize, Dialect::BJson, Dialect::D] {
            let mut scenario = forest(0, 60_001);
            foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]).manner(manner));
            foreign(&mut scenario, ForeignSpec::new(Dialect::E).holds(0, &[]));
            let asker = asker(&mut scenario, s(3));
            let (world, _) = brings(scenario, asker, seconds(400));
            let file = world.merged(asker, "forest.png").map(|bytes| bytes.len());
            assert_eq!(file, Some(60_001), "{dialect} {manner:?}");
        }
    }
}

#[test]
fn an_endless_answer_fails_alone() {
    for dialect in [Dialect::A, Dialect::ASize, Dialect::C] {
        let mut scenario = forest(0, 60_001);
        foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]).manner(Manner::Endless));
        let asker = asker(&mut scenario, s(1));
        let (_, why) = fails(scenario, asker, seconds(400));
        assert!(matches!(why, ClassicFailure::Incomplete { .. }), "{why:?}");
    }
}

#[test]
fn a_chunk_that_nobody_has_is_named() {
    let mut scenario = forest(0, 60_001);
    foreign(&mut scenario, ForeignSpec::new(Dialect::B).holds(0, &[1, 2, 5]));
    foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(0, &[2, 4]));
    let asker = asker(&mut scenario, s(1));
    let (_, why) = fails(scenario, asker, seconds(120));
    match why {
        ClassicFailure::Incomplete { missing } => {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            assert_eq!(missing, ["forest_3"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_begun_in_a_cut_that_nobody_completes_comes_in_the_other() {
    let mut scenario = forest(0, 300_000);
    foreign(&mut scenario, ForeignSpec::new(Dialect::B).holds(0, &[2]));
    let whole = ForeignSpec::new(Dialect::D).holds(0, &[]);
    scenario.host(HostSpec::default().starts_at(seconds(4)).foreign(whole));
    let asker = asker(&mut scenario, s(1));
    brings(scenario, asker, seconds(60));
}

#[test]
fn chunks_of_two_files_are_a_conflict() {
    let mut scenario = forest(0, 60_001);
    let other = scenario.content("forest.png", 70_001);
    foreign(&mut scenario, ForeignSpec::new(Dialect::B).holds(0, &[1, 2]));
    foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(other, &[3, 4, 5]));
    let asker = asker(&mut scenario, s(1));
    let (world, why) = fails(scenario, asker, seconds(120));
    assert!(matches!(why, ClassicFailure::Conflict { .. }), "{why:?}");
    assert_eq!(world.merged(asker, "forest.png"), None);
}

#[test]
fn a_full_disk_is_said() {
    // There is room for no chunk; for one; for all of them, but not for the file.
    for free in [0, 15_000, 70_000] {
        let mut scenario = forest(0, 60_001);
        foreign(&mut scenario, ForeignSpec::new(Dialect::B).holds(0, &[]));
        let asker = asker(&mut scenario, s(1));
        scenario.hosts[asker].disk = DiskSpec { free_bytes: Some(free), ..DiskSpec::default() };
        let (_, why) = fails(scenario, asker, seconds(120));
        assert!(matches!(why, ClassicFailure::Storage(_)), "{free}: {why:?}");
    }
}

#[test]
fn chunks_outlive_the_process_that_fetched_them() {
    for seed in 0..20 {
        let (mut scenario, asker) = swarm(seed);
        let killed_at = Time::from_millis(1_100 + 50 * seed);
        scenario.at(killed_at, Action::Kill(asker));
        scenario.at(killed_at + s(1), Action::Start(asker));
        let (world, _) = brings(scenario, asker, seconds(60));
        let twice = world.report().hosts[asker].payload_received;
        assert!(twice <= 2 * 300_000, "seed {seed}: {twice}");
    }
}

#[test]
fn garbage_harms_nobody() {
    let (mut scenario, asker) = swarm(3);
    for dialect in [Dialect::A, Dialect::C] {
        let manner = Manner::Floods(Duration::from_millis(3));
        foreign(&mut scenario, ForeignSpec::new(dialect).manner(manner));
    }
    brings(scenario, asker, seconds(60));
}

#[test]
fn a_dictionary_tells_who_is_to_be_asked() {
    let mut scenario = forest(0, 60_001);
    let holder = foreign(&mut scenario, ForeignSpec::new(Dialect::C).holds(0, &[]));
    let classic = ClassicSpec {
        hears: Vec::new(),
        asks_in: Some(Dialect::C),
        dictionary: DictionaryUse::Read,
        dialects: Vec::new(),
        ..ClassicSpec::default().classic_only().gets("forest", s(1), WAIT)
    };
    let asker = scenario.host(HostSpec::default().classic(classic));
    let mut world = world(scenario);
    for index in 1..=5 {
        let name = ChunkName::parse(&format!("forest_{index}")).expect("a chunk's name");
        world.write_down(asker, name, holder);
    }
    must(world.run_until_done(seconds(60)));
    let outcome = world.classic_outcome(asker, 0);
    assert!(matches!(outcome, Some(ClassicOutcome::Finished { .. })), "{outcome:?}");
}

/// When a host was last given a chunk of so many bytes.
fn given(world: &Simulation, host: usize, chunk: &str, size: u64) -> Option<Time> {
    let of_chunk = said(world, host).into_iter().rev().filter(|(_, event)| match event {
        ClassicEvent::ChunkReceived { name, bytes, .. } => name.to_string() == chunk && *bytes == size,
        _ => false,
    });
    of_chunk.map(|(at, _)| at).next()
}

/// One of ours serves a chunk that it was given cut short, and has the whole one before the other has stored the piece.
#[test]
fn a_chunk_may_be_replaced_while_it_is_served() {
    let mut replaced = 0;
    // The first asks the same peer for the other chunks before.
    for after in (0..800).step_by(4) {
        let mut scenario = forest(0, 1_003);
        let cuts_short = ForeignSpec::new(Dialect::B).holds(0, &[1]).manner(Manner::CutsShort);
        scenario.host(HostSpec::default().foreign(cuts_short));
        let whole = ClassicSpec::default().classic_only().speaks(&[Dialect::C]);
        scenario.host(HostSpec::default().starts_at(seconds(15)).shares(0).classic(whole));
        let first = asker(&mut scenario, s(6));
        let second = asker(&mut scenario, s(15) + Duration::from_millis(after));
        scenario.hosts[second].disk.latency = Duration::from_millis(10);
        let (world, _) = brings(scenario, second, seconds(60));
        let whole_at = given(&world, first, "forest_1", 201);
        replaced += u32::from(given(&world, second, "forest_1", 100) > whole_at && whole_at.is_some());
    }
    assert!(replaced > 0);
}

/// What a peer announces and takes back again and again is no news: a get is over when its wait is.
#[test]
fn who_announces_and_takes_back_keeps_no_get_waiting() {
    let mut scenario = forest(0, 1_003);
    foreign(&mut scenario, ForeignSpec::new(Dialect::A).holds(0, &[1, 2, 3, 4]));
    // Some of its garbage passes for an announcement of all that it has.
    let floods = Manner::Floods(Duration::from_millis(50));
    foreign(&mut scenario, ForeignSpec::new(Dialect::D).holds(0, &[]).manner(floods));
    let asker = asker(&mut scenario, s(2));
    let world = play(scenario, seconds(120));
    assert!(world.classic_outcome(asker, 0).is_some(), "{:#?}", said(&world, asker));
}

#[test]
fn the_same_seed_gives_the_same_digest() {
    assert_seeds_are_all_chance(|seed| Scenario::draw_classic(seed).scenario, seconds(60));
}

#[test]
fn campaign() {
    campaign_of_seeds(SEEDS, campaign_of);
}

/// Plays the scenario that a seed draws until every get is over.
fn campaign_of(seed: u64) -> Result<(), Failure> {
    let drawn = Scenario::draw_classic(seed);
    let rounds_end = drawn.scenario.timeline.iter().map(|(at, _)| *at).max().unwrap_or(Time::ZERO);
    let mut world = world(drawn.scenario);
    let is_served =
        |world: &Simulation| drawn.served.iter().all(|(host, content)| world.foreign_has(*host, *content));
    world.run_while(drawn.served_by, |world| !is_served(world))?;
    if !is_served(&world) {
        return Err(world.failure(format!("not all of {:?} (host, content) is there", drawn.served)));
    }
    let done = |world: &Simulation| world.now() > rounds_end && world.is_done() && world.classic_gets_over();
    world.run_while(drawn.done_by, |world| !done(world))?;
    match done(&world) && (!drawn.is_calm || world.all_succeeded()) {
        true => Ok(()),
        false => Err(world.failure(format!("not all is there by {}: {}", world.now(), world.unfinished()))),
    }
}
