//! Honest peers beside hosts that mean harm: what they want comes, from whoever has it, and none of them loses its good name.

use std::time::Duration;

use chunkcast::core::Event;
use chunkcast::sim::{Failure, HostSpec, HostileSpec, Hostility, Outcome, Scenario, Simulation, Target};
use chunkcast::types::Time;

use super::{FAST_ETHERNET, MIB, SEEDS, campaign_of_seeds, must, one_to_many, seconds, world};

/// Undisturbed, each download is over a second or two after it was asked for.
const PATIENCE: u64 = 10;

/// Host 0 shares, and host 1 gets it at the second second. Host 2 comes a minute later, gets it too, and shares something that
/// host 1 wants by then. Host 3 does harm.
fn beside(manner: Hostility, every_ms: u64) -> Scenario {
    let (mut scenario, content) = one_to_many(31, 8 * MIB, 1);
    scenario.limit_for_hostile_hosts();
    let new = scenario.content("new.bin", MIB);
    scenario.hosts[1] = scenario.hosts[1].clone().gets(Target::Name("new.bin".to_owned()));
    scenario.hosts[1].gets[1].after = Duration::from_secs(63);
    let newcomer = HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(60)).shares(new);
    scenario.host(newcomer.gets(Target::Id(content)));
    let every = Duration::from_millis(every_ms);
    let hostile = HostSpec::default().rate(FAST_ETHERNET).hostile(HostileSpec { manner, every });
    scenario.host(hostile.starts_at(Time::from_millis(500)));
    scenario
}

fn served(scenario: Scenario) -> Simulation {
    let mut world = world(scenario);
    for (host, content, asked_at) in [(1, 0, 2), (2, 0, 60), (1, 1, 65)] {
        must(world.run_until(seconds(asked_at + PATIENCE)));
        let outcome = world.outcome(host, content);
        let is_there = matches!(outcome, Some(Outcome::Finished(_)));
        assert!(
            is_there,
            "host {host} content {content}: {outcome:?}, {}\n{}",
            world.unfinished(),
            world.report()
        );
    }
    world
}

#[test]
fn a_crowd_that_greets_and_stays_idle_keeps_nobody_out() {
    served(beside(Hostility::IdleCrowd { connections: 120 }, 20));
}

#[test]
fn invented_peers_and_junk_keep_nobody_out() {
    served(beside(Hostility::FloodsDatagrams, 20));
}

#[test]
fn requests_that_are_taken_back_and_pings_do_not_slow_a_download() {
    served(beside(Hostility::FloodsFrames, 5));
}

#[test]
fn datagrams_in_the_names_of_hosts_lock_none_of_them_out() {
    served(beside(Hostility::ForgesSources, 20));
}

#[test]
fn a_hello_with_the_id_of_another_takes_nothing_over() {
    let mut scenario = beside(Hostility::Impersonates, 20);
    scenario.hosts[3].starts_at = seconds(10);
    let world = served(scenario);
    // A newcomer may hear the id from the impostor first, and then believes that it is the peer and leaves; so what counts
    // is who is known where it is.
    let told = |event: &Event| match event {
        Event::PeerFound(peer) => Some((true, peer.id, peer.addr)),
        Event::PeerLost(peer) => Some((false, peer.id, peer.addr)),
        _ => None,
    };
    let events: Vec<_> =
        world.events().iter().filter_map(|(at, _, event)| Some((*at, told(event)?))).collect();
    let found = events.iter().filter(|(at, (found, ..))| *found && *at < seconds(10));
    let known: Vec<_> = found.map(|(_, (_, id, addr))| (*id, *addr)).collect();
    let lost = events.iter().filter(|(_, (found, id, addr))| !*found && known.contains(&(*id, *addr)));
    assert_eq!((known.len(), lost.count()), (2, 0), "{events:?}");
}

#[test]
fn a_catalogue_without_end_does_not_hold_a_search_up() {
    let mut scenario = beside(Hostility::EndlessCatalogue, 20);
    for get in scenario.hosts.iter_mut().flat_map(|host| &mut host.gets) {
        get.what = match &get.what {
            Target::Name(name) => Target::Glob(format!("{name}*")),
            other => other.clone(),
        };
    }
    served(scenario);
}

/// Seeds of worlds in which hostile hosts, alone or several together, once kept somebody from what it wanted.
const ONCE_KEPT_OUT: [u64; 18] =
    [7, 22, 33, 38, 50, 64, 71, 131, 133, 137, 178, 181, 237, 273, 717, 1577, 2160, 2815];

#[test]
fn worlds_in_which_somebody_was_kept_out_once() {
    for seed in ONCE_KEPT_OUT {
        must(campaign_of(seed));
    }
}

#[test]
fn campaign() {
    campaign_of_seeds(SEEDS, campaign_of);
}

/// Plays the scenario that a seed draws until everything wanted is there.
fn campaign_of(seed: u64) -> Result<(), Failure> {
    super::play_until_all_is_there(Scenario::draw_hostile(seed))
}
