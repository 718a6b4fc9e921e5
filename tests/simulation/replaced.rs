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

/// What became of the files of a host.
#[derive(Debug, Default, PartialEq, Eq)]
struct Files {
    resolved: usize,
    /// Of these, those of a content that was resolved before.
    again: usize,
    done: usize,
    failed: usize,
    replaced: usize,
}

fn files(world: &Simulation, host: usize) -> Files {
    let (mut files, mut known) = (Files::default(), Vec::new());
    for (_, _, event) in world.events().iter().filter(|(_, at, _)| *at == host) {
        match event {
            Event::Resolved { content, .. } => {
                files.resolved += 1;
                files.again += usize::from(known.contains(content));
                known.push(*content);
            }
            Event::Finished { .. } | Event::Skipped { .. } => files.done += 1,
            Event::Failed { reason: FailReason::Cancelled, .. } => {}
            Event::Failed { .. } => files.failed += 1,
            Event::Replaced { begun: true, .. } => files.replaced += 1,
            _ => {}
        }
    }
    files
}

fn all_with_stall(stall: Duration) -> GetSpec {
    let what = Target::Glob("*".to_owned());
    GetSpec { what, after: Duration::ZERO, wait: Duration::from_secs(3), stall }
}

#[test]
fn what_somebody_else_offers_under_the_same_name_replaces_nothing() {
    const COUNT: usize = 20;
    let size = |number| if number < COUNT / 2 { 1_000 } else { MIB };
    // The first one leaves when some of what it has is fetched, or has none of it any more when it is asked.
    for (seed, changes) in [(65, false), (66, true)] {
        let mut scenario = Scenario::new(seed);
        let mut sharers = [500_000, FAST_ETHERNET].map(|rate| HostSpec::default().rate(rate));
        let mut firsts = Vec::new();
        for number in 0..COUNT {
            let of = [1, 2].map(|extra| scenario.content(&format!("{number}.txt"), size(number) + extra));
            firsts.push(of[0]);
            for (sharer, content) in sharers.iter_mut().zip(of) {
                *sharer = sharer.clone().shares(content);
            }
        }
        sharers.into_iter().for_each(|sharer| {
            scenario.host(sharer);
        });
        let mut getter = HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(20));
        getter.gets.push(all_with_stall(Duration::from_secs(8)));
        let getter = scenario.host(getter);
        match changes {
            true => firsts.iter().for_each(|first| scenario.at(seconds(10), Action::Change(0, *first))),
            false => scenario.at(seconds(24), Action::Kill(0)),
        }
        let mut world = world(scenario);
        must(world.run_until(seconds(120)));
        let files = files(&world, getter);
        let has_come = |first: &&usize| matches!(world.outcome(getter, **first), Some(Outcome::Finished(_)));
        let came = firsts.iter().filter(has_come).count();
        assert!(if changes { came == 0 } else { 0 < came && came < COUNT }, "{came}\n{}", world.report());
        let of_both = COUNT + came;
        let expected = Files { resolved: 2 * COUNT, done: of_both, failed: COUNT - came, ..Files::default() };
        assert_eq!(files, expected, "{came} of the first one's came\n{}", world.report());
    }
}

#[test]
fn what_is_edited_while_all_is_fetched_is_fetched_once() {
    // The search begins what is there now, or is over.
    for (seed, shared_after) in [(67, 1), (68, 2), (69, 6)] {
        for size in [1_000, 3 * MIB] {
            let mut scenario = Scenario::new(seed);
            let versions = versions(&mut scenario, 2, size);
            let mut sharer = HostSpec::default().rate(FAST_ETHERNET).shares(versions[0]);
            for number in 0..5 {
                sharer = sharer.shares(scenario.content(&format!("{number}.bin"), 1_000 + number));
            }
            scenario.host(sharer);
            let mut getter = HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(20));
            getter.gets.push(all_with_stall(Duration::from_secs(30)));
            scenario.host(getter);
            scenario.at(seconds(10), Action::Change(0, versions[0]));
            scenario.at(seconds(20 + shared_after), Action::Share(0, versions[1]));
            let mut world = world(scenario);
            must(world.run_until(seconds(80)));
            finished_at(&world, 1, versions[1]);
            let expected = Files { resolved: 7, done: 6, replaced: 1, ..Files::default() };
            assert_eq!(files(&world, 1), expected, "after {shared_after} s\n{}", world.report());
        }
    }
}

#[test]
fn an_owner_that_began_again_may_replace_its_file() {
    let mut scenario = Scenario::new(70);
    let versions = versions(&mut scenario, 2, 1_000);
    scenario.host(HostSpec::default().rate(FAST_ETHERNET).shares(versions[0]));
    let name = Target::Name("notes.txt".to_owned());
    scenario.host(HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(20)).gets(name));
    scenario.at(seconds(10), Action::Change(0, versions[0]));
    scenario.at(seconds(22), Action::Kill(0));
    scenario.at(seconds(23), Action::Start(0));
    scenario.at(seconds(25), Action::Share(0, versions[1]));
    let mut world = world(scenario);
    must(world.run_until_done(seconds(60)));
    assert_eq!(replaced(&world, 1), [(versions[1], true)], "{}", world.report());
    finished_at(&world, 1, versions[1]);
}
