//! Transfers in the forms of other programs in virtual time: peers of ours at both ends, and everything between them that cuts,
//! stalls, fills and kills.

use std::time::Duration;

use chunkcast::core::TransferFailure;
use chunkcast::sim::{Action, Failure, HostSpec, Scenario, Simulation, TakesSpec, TransferOutcome};
use chunkcast::types::Time;
use chunkcast::wire::transfer::Form;

use super::{SEEDS, assert_seeds_are_all_chance, campaign_of_seeds, must, seconds, world};

/// How long a receiver needs at most to notice that nothing comes any more.
const SETTLED: Duration = Duration::from_secs(120);

/// Host 0 sends a file of `size` bytes to host 1, at one second, over a link of `rate` bytes a second.
fn one_to_one(form: Form, size: u64, rate: u64) -> Scenario {
    let mut scenario = Scenario::new(size);
    let content = scenario.content("x.png", size);
    scenario.network.piece_bytes_max = 1_448;
    scenario.network.send_buffer_bytes = 4 << 10;
    scenario.network.window_bytes = 4 << 10;
    scenario.host(HostSpec { up: rate, ..HostSpec::default() }.shares(content));
    scenario.host(HostSpec::default().takes(TakesSpec::default()));
    scenario.at(seconds(1), Action::Transfer(0, content, 1, form));
    scenario
}

/// Plays until the first transfer is over and nobody is in the midst of anything.
fn play(scenario: Scenario) -> Simulation {
    let mut world = world(scenario);
    must(world.run_while(seconds(1_000), |world| world.transfer_outcome(0).is_none()));
    let settled = world.now() + SETTLED;
    must(world.run_until(settled));
    assert!(!world.has_spools(1), "something is left without a name");
    world
}

fn names(world: &Simulation) -> Vec<String> {
    world.transferred_files(1).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn each_form_arrives_to_the_byte() {
    for form in Form::ALL {
        for size in [1, 9, 10, 1_003, 300_001] {
            let world = play(one_to_one(form, size, 12_500_000));
            let acknowledged = form.is_acknowledged();
            let outcome = world.transfer_outcome(0);
            let sent = matches!(outcome, Some(TransferOutcome::Sent { acknowledged: said, .. }) if *said == acknowledged);
            assert!(sent, "{form} {size}: {outcome:?}");
            let name = match form {
                Form::Json | Form::Steps => "x.png",
                Form::Short => "push-from-10-0-0-1",
                Form::Named => "host-0.png",
            };
            // That the bytes are right is the oracle's.
            assert_eq!(names(&world), [name], "{form} {size}");
        }
    }
}

#[test]
fn a_kilobyte_a_second_is_borne() {
    for form in Form::ALL {
        let world = play(one_to_one(form, 100_000, 1_000));
        assert!(matches!(world.transfer_outcome(0), Some(TransferOutcome::Sent { .. })), "{form}");
        assert_eq!(names(&world).len(), 1, "{form}");
    }
}

#[test]
fn who_is_cut_anywhere_leaves_nothing() {
    for form in Form::ALL {
        // 3 s of it, and what is said before takes at most two.
        for at in (1_000..4_000).step_by(150) {
            let mut scenario = one_to_one(form, 300_001, 100_000);
            scenario.at(Time::from_millis(at), Action::Reset(0, 1));
            let world = play(scenario);
            assert_eq!(names(&world), [""; 0], "{form} at {at}");
            let outcome = world.transfer_outcome(0);
            // The last bytes of the forms that nobody answers may be in the kernel by then.
            let failed = matches!(outcome, Some(TransferOutcome::Failed(_)));
            assert!(failed || !form.is_acknowledged(), "{form} at {at}: {outcome:?}");
        }
    }
}

#[test]
fn who_stands_still_is_given_up_and_who_goes_on_is_not() {
    for form in Form::ALL {
        for (pause, arrives) in [(20, true), (40, false)] {
            let mut scenario = one_to_one(form, 300_001, 100_000);
            scenario.at(Time::from_millis(3_200), Action::Pause(0, Duration::from_secs(pause)));
            let world = play(scenario);
            assert_eq!(names(&world).len(), usize::from(arrives), "{form} {pause}");
        }
        let mut scenario = one_to_one(form, 300_001, 100_000);
        scenario.at(Time::from_millis(3_200), Action::PowerOff(0));
        let world = play(scenario);
        assert_eq!(
            (names(&world), world.transfer_outcome(0)),
            (vec![], Some(&TransferOutcome::Died)),
            "{form}"
        );
    }
}

#[test]
fn a_full_disk_and_a_file_that_changes_end_it() {
    for form in Form::ALL {
        let mut scenario = one_to_one(form, 300_001, 100_000);
        scenario.at(Time::from_millis(3_000), Action::DiskFull(1));
        let world = play(scenario);
        assert_eq!(names(&world), [""; 0], "{form}");
        let mut scenario = one_to_one(form, 300_001, 100_000);
        scenario.at(Time::from_millis(3_000), Action::Change(0, 0));
        let world = play(scenario);
        let outcome = world.transfer_outcome(0);
        assert!(
            matches!(outcome, Some(TransferOutcome::Failed(TransferFailure::File(_)))),
            "{form}: {outcome:?}"
        );
        assert_eq!(names(&world), [""; 0], "{form}");
    }
}

#[test]
fn the_same_seed_gives_the_same_digest() {
    assert_seeds_are_all_chance(|seed| Scenario::draw_transfers(seed).scenario, seconds(100));
}

#[test]
fn campaign() {
    campaign_of_seeds(SEEDS, campaign_of);
}

/// Plays the scenario that a seed draws until every transfer is over and every receiver has noticed.
fn campaign_of(seed: u64) -> Result<(), Failure> {
    let drawn = Scenario::draw_transfers(seed);
    let last = drawn.scenario.timeline.iter().map(|(at, _)| *at).max().unwrap_or(Time::ZERO);
    let mut world = world(drawn.scenario);
    let is_over = |world: &Simulation| {
        // Whose sender does not run is not begun at all.
        let over =
            |(push, _): &(usize, usize)| world.transfer_outcome(*push).is_some() || !world.is_begun(*push);
        world.now() > last && drawn.transfers.iter().all(over)
    };
    world.run_while(drawn.done_by, |world| !is_over(world))?;
    if !is_over(&world) {
        return Err(world.failure(format!("not all pushes are over by {}", world.now())));
    }
    let settled = world.now() + SETTLED;
    world.run_until(settled)?;
    let receivers = drawn.transfers.iter().map(|(_, to)| *to);
    // What a sender has given to its system before it was over may still be on its way, over the slowest link for long.
    let busy = receivers.clone();
    world.run_while(drawn.done_by, |world| busy.clone().any(|to| world.has_spools(to)))?;
    if let Some(left) = receivers.clone().find(|to| world.has_spools(*to)) {
        return Err(world.failure(format!("host {left} has something left without a name")));
    }
    let mut distinct: Vec<usize> = receivers.collect();
    distinct.sort_unstable();
    distinct.dedup();
    let kept: usize = distinct.iter().map(|to| world.transferred_files(*to).len()).sum();
    match drawn.is_calm && kept != drawn.transfers.len() {
        true => Err(world.failure(format!("{kept} of {} files are there", drawn.transfers.len()))),
        false => Ok(()),
    }
}
