//! Files that their owner edits while others fetch them: by name, by id, before anything came and half-way.

use super::*;

/// Contents that have one name, one after the other, and one of another size each.
fn versions(scenario: &mut Scenario, count: u64, size: u64) -> Vec<usize> {
    (0..count).map(|version| scenario.content("notes.txt", size + version)).collect()
}

/// The contents that replaced others at a host, each with whether it was begun.
fn replaced(world: &Simulation, host: usize) -> Vec<(usize, bool)> {
    let at = |id| (0..8).find(|content| world.content(*content).id == id).expect("a content of the world");
    let replaced = |event: &Event| match event {
        Event::Replaced { by, begun, .. } => Some((at(by.id), *begun)),
        _ => None,
    };
    world
        .events()
        .iter()
        .filter(|(_, at, _)| *at == host)
        .filter_map(|(_, _, event)| replaced(event))
        .collect()
}

#[test]
fn what_changed_before_anything_came_is_fetched_as_it_is_now() {
    // Of one chunk, which proves itself, and of many, which need a manifest; by name and by pattern.
    for (seed, size) in [(60, 1_000), (61, 3 * MIB)] {
        for wanted in [Target::Name("notes.txt".to_owned()), Target::Glob("*.txt".to_owned())] {
            let mut scenario = Scenario::new(seed);
            let versions = versions(&mut scenario, 2, size);
            scenario.host(HostSpec::default().rate(FAST_ETHERNET).shares(versions[0]));
            scenario
                .host(HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(20)).gets(wanted.clone()));
            scenario.at(seconds(10), Action::Change(0, versions[0]));
            // Its store has waited until nobody wrote to it for two seconds, and hashed it.
            scenario.at(seconds(24), Action::Share(0, versions[1]));
            let mut world = world(scenario);
            must(world.run_until_done(seconds(60)));
            assert_eq!(replaced(&world, 1), [(versions[1], true)], "{wanted:?}\n{}", world.report());
            let at = finished_at(&world, 1, versions[1]);
            assert!(at < seconds(27), "{wanted:?}: {at:?}\n{}", world.report());
            assert_eq!(world.chunks_held(1, versions[0]), 0);
        }
    }
}

#[test]
fn what_is_half_here_or_wanted_by_its_id_waits_and_names_what_is_there_now() {
    let mut scenario = Scenario::new(62);
    let versions = versions(&mut scenario, 2, 64 * MIB);
    let host = || HostSpec::default().rate(FAST_ETHERNET);
    scenario.host(host().shares(versions[0]));
    let half = scenario.host(host().starts_at(seconds(2)).gets(Target::Name("notes.txt".to_owned())));
    scenario.at(seconds(4), Action::Change(0, versions[0]));
    scenario.at(seconds(7), Action::Share(0, versions[1]));
    scenario.host(host().starts_at(seconds(40)).shares(versions[0]));
    let mut world = world(scenario);
    must(world.run_until(seconds(30)));
    assert_eq!(replaced(&world, half), [(versions[1], false)], "{}", world.report());
    let had = world.chunks_held(half, versions[0]);
    assert!(had > 0 && had < world.content(versions[0]).geometry().chunks(), "{had}");
    // Another holder of what was begun comes: it goes on with that.
    must(world.run_until_done(seconds(90)));
    finished_at(&world, half, versions[0]);
    assert_eq!((world.chunks_held(half, versions[1]), replaced(&world, half).len()), (0, 1));

    let mut scenario = Scenario::new(63);
    let versions = self::versions(&mut scenario, 2, MIB);
    scenario.host(host().shares(versions[0]));
    let by_id = scenario.host(host().starts_at(seconds(20)).gets(Target::Id(versions[0])));
    scenario.at(seconds(10), Action::Change(0, versions[0]));
    scenario.at(seconds(24), Action::Share(0, versions[1]));
    let mut world = self::world(scenario);
    must(world.run_until(seconds(60)));
    assert_eq!(replaced(&world, by_id), [(versions[1], false)], "{}", world.report());
    assert_eq!(world.chunks_held(by_id, versions[1]), 0);
}

#[test]
fn a_file_that_never_stays_as_it_is_ends_in_a_failure_that_says_so() {
    let mut scenario = Scenario::new(64);
    let versions = versions(&mut scenario, 8, 1_000);
    let host = || HostSpec::default().rate(FAST_ETHERNET);
    scenario.host(host().shares(versions[0]));
    scenario.host(host().starts_at(seconds(20)).gets(Target::Name("notes.txt".to_owned())));
    scenario.at(seconds(10), Action::Change(0, versions[0]));
    for (step, version) in (0..).zip(&versions[1..]) {
        // Offered, and changed again before anybody asks for it.
        scenario.at(seconds(24 + 4 * step), Action::Share(0, *version));
        scenario.at(seconds(24 + 4 * step) + Duration::from_millis(10), Action::Change(0, *version));
    }
    let mut world = world(scenario);
    must(world.run_until_done(seconds(90)));
    let begun = replaced(&world, 1);
    assert_eq!(begun, versions[1..6].iter().map(|version| (*version, true)).collect::<Vec<_>>());
    let failed = world.outcome(1, versions[5]);
    assert!(
        matches!(failed, Some(Outcome::Failed(_, FailReason::KeepsChanging { times: 6 }))),
        "{failed:?}\n{}",
        world.report()
    );
}
