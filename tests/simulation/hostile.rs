//! Honest peers beside hosts that mean harm: what they want comes, from whoever has it, and none of them loses its good name.

use std::time::Duration;

use chunkcast::core::Time;
use chunkcast::sim::{Failure, HostSpec, HostileSpec, Hostility, Scenario, Target};

use super::{FAST_ETHERNET, MIB, must, one_to_many, seconds, world};

/// Host 0 shares, hosts 1 and 2 get, the second of them a minute later; host 3 does harm from the first second on.
fn beside(manner: Hostility, every: Duration) -> Scenario {
    let (mut scenario, content) = one_to_many(31, 8 * MIB, 1);
    scenario.limit_for_hostile_hosts();
    let newcomer = HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(60));
    scenario.host(newcomer.gets(Target::Id(content)));
    let hostile = HostSpec::default().rate(FAST_ETHERNET).hostile(HostileSpec { manner, every });
    scenario.host(hostile.starts_at(Time::from_millis(500)));
    scenario
}

/// Both downloads are over within so many seconds of their beginning; undisturbed each takes about one.
fn served(manner: Hostility, every_ms: u64) {
    let mut world = world(beside(manner, Duration::from_millis(every_ms)));
    for (host, begins) in [(1, 2), (2, 60)] {
        must(world.run_until(seconds(begins + 10)));
        let outcome = world.outcome(host, 0);
        let is_there = matches!(outcome, Some(chunkcast::sim::Outcome::Finished(_)));
        assert!(is_there, "host {host}: {outcome:?}, {}\n{}", world.unfinished(), world.report());
    }
}

#[test]
fn a_crowd_that_greets_and_stays_idle_keeps_nobody_out() {
    served(Hostility::IdleCrowd { connections: 120 }, 20);
}

#[test]
fn invented_peers_and_junk_keep_nobody_out() {
    served(Hostility::FloodsDatagrams, 20);
}

#[test]
fn requests_that_are_taken_back_and_pings_do_not_slow_a_download() {
    served(Hostility::FloodsFrames, 5);
}

#[test]
fn datagrams_in_the_names_of_hosts_lock_none_of_them_out() {
    served(Hostility::ForgesSources, 20);
}

#[test]
fn a_hello_with_the_id_of_another_takes_nothing_over() {
    served(Hostility::Impersonates, 20);
}

#[test]
fn a_catalogue_without_end_does_not_hold_a_search_up() {
    let mut scenario = beside(Hostility::EndlessCatalogue, Duration::from_millis(20));
    for host in [1, 2] {
        scenario.hosts[host].gets[0].what = Target::Glob("talk*".to_owned());
    }
    let mut world = world(scenario);
    must(world.run_until(seconds(70)));
    assert!(world.is_done() && world.all_succeeded(), "{}\n{}", world.unfinished(), world.report());
}

#[test]
fn campaign() {
    super::campaign_of_seeds(campaign_of);
}

/// Plays the scenario that a seed draws until everything wanted is there.
fn campaign_of(seed: u64) -> Result<(), Failure> {
    super::play_until_all_is_there(Scenario::draw_hostile(seed))
}
