//! Files sent from peer to peer in virtual time: offered, accepted, fetched, through losses and restarts.

#![allow(clippy::expect_used, clippy::panic, reason = "a world that goes wrong has to fail its test")]

use chunkcast::core::{Event, OfferEnd, OfferEvent};
use chunkcast::sim::{Action, DiskSpec, HostSpec, Scenario, Simulation};
use chunkcast::types::Time;
use chunkcast::wire::message::{Answer, Delivery};

#[path = "common/world.rs"]
mod common;

use common::{MIB, finished, host, must, seconds, world};

/// Host 0 sends one content of `size` bytes to `count` others, at 8 s, when all were there for long.
fn one_to_many(seed: u64, size: u64, count: usize) -> (Scenario, usize) {
    let mut scenario = Scenario::new(seed);
    let content = scenario.content("talk.mkv", size);
    scenario.host(host().shares(content).starts_at(seconds(7)));
    for to in 1..=count {
        scenario.host(host().receives());
        scenario.at(seconds(8), Action::Send(0, content, to));
    }
    (scenario, content)
}

/// How the offers of the world ended, by the numbers of their actions.
fn ends(world: &Simulation) -> Vec<(u32, OfferEnd)> {
    let ended = |event: &Event| match event {
        Event::Offer(OfferEvent::Ended { ticket, end, .. }) => Some((*ticket, end.clone())),
        _ => None,
    };
    let mut ends: Vec<_> = world.events().iter().filter_map(|(_, _, event)| ended(event)).collect();
    ends.sort_by_key(|(ticket, _)| *ticket);
    ends
}

fn until_ended(world: &mut Simulation, count: usize, limit: Time) {
    must(world.run_while(limit, |world| ends(world).len() < count));
    assert_eq!(ends(world).len(), count, "{:?}\n{}", world.events(), world.report());
}

#[test]
fn an_offer_is_accepted_fetched_and_verified() {
    let (scenario, content) = one_to_many(1, 8 * MIB, 1);
    let mut world = world(scenario);
    until_ended(&mut world, 1, seconds(20));
    assert_eq!(ends(&world), [(0, OfferEnd::Verified)]);
    assert!(finished(&world, 1, content));
    let report = world.report();
    assert_eq!(report.hosts[0].payload_sent[content], 8 * MIB, "{report}");
    // Found, asked after 100 ms, and 0.7 s on this link.
    assert!(world.now() < seconds(10), "{}", world.now());
}

#[test]
fn files_of_every_size_arrive() {
    for size in [0, 1, 1024, 1025, (16 << 10) + 1, 33 * MIB] {
        let (scenario, content) = one_to_many(size, size, 2);
        let mut world = world(scenario);
        until_ended(&mut world, 2, seconds(60));
        assert!(ends(&world).iter().all(|(_, end)| *end == OfferEnd::Verified), "{size}: {:?}", ends(&world));
        assert!(finished(&world, 1, content) && finished(&world, 2, content));
    }
}

#[test]
fn who_declines_who_does_not_receive_and_who_is_not_there() {
    let mut scenario = Scenario::new(2);
    let content = scenario.content("talk.mkv", MIB);
    scenario.host(host().shares(content));
    scenario.host(HostSpec { receives: Some(false), ..host() });
    scenario.host(host());
    for to in [1, 2, 9] {
        scenario.at(seconds(2), Action::Send(0, content, to));
    }
    let mut world = world(scenario);
    until_ended(&mut world, 3, seconds(20));
    let declined = |answer| OfferEnd::Declined(answer);
    let expected =
        [declined(Answer::Declined), declined(Answer::NotReceiving), OfferEnd::Nobody { peers: 2 }];
    assert_eq!(ends(&world).into_iter().map(|(_, end)| end).collect::<Vec<_>>(), expected);
    assert_eq!(world.report().hosts[0].payload_sent[content], 0);
}

#[test]
fn receivers_of_one_offer_feed_each_other() {
    for seed in 0..4 {
        let (scenario, content) = one_to_many(seed, 64 * MIB, 5);
        let mut world = world(scenario);
        until_ended(&mut world, 5, seconds(120));
        assert!(ends(&world).iter().all(|(_, end)| *end == OfferEnd::Verified), "{:?}", ends(&world));
        let sent = world.report().hosts[0].payload_sent[content];
        assert!(sent < 2 * 64 * MIB, "{sent} bytes are {} files\n{}", sent / (64 * MIB), world.report());
    }
}

#[test]
fn a_receiver_that_was_killed_half_way_goes_on() {
    let (mut scenario, content) = one_to_many(3, 32 * MIB, 1);
    // 2.7 s on this link.
    scenario.at(Time::from_millis(9_800), Action::Kill(1));
    scenario.at(seconds(12), Action::Start(1));
    let mut world = world(scenario);
    until_ended(&mut world, 1, seconds(40));
    assert_eq!(ends(&world), [(0, OfferEnd::Verified)], "{:?}", world.report());
    assert!(finished(&world, 1, content));
    let report = world.report();
    assert!(report.hosts[0].payload_sent[content] < 36 * MIB, "{report}");
}

#[test]
fn a_receiver_that_stays_away_is_given_up_and_goes_on_when_it_is_sent_again() {
    let (mut scenario, content) = one_to_many(4, 32 * MIB, 1);
    scenario.at(Time::from_millis(9_800), Action::Kill(1));
    scenario.at(seconds(60), Action::Start(1));
    scenario.at(seconds(70), Action::Send(0, content, 1));
    let mut world = world(scenario);
    until_ended(&mut world, 2, seconds(100));
    assert_eq!(ends(&world), [(0, OfferEnd::Lost), (3, OfferEnd::Verified)]);
    assert!(world.report().hosts[0].payload_sent[content] < 36 * MIB, "{}", world.report());
}

#[test]
fn a_sender_that_was_killed_half_way_sends_again() {
    let (mut scenario, content) = one_to_many(5, 32 * MIB, 2);
    scenario.at(seconds(10), Action::Kill(0));
    scenario.at(seconds(20), Action::Start(0));
    scenario.at(seconds(22), Action::Send(0, content, 1));
    scenario.at(seconds(22), Action::Send(0, content, 2));
    let mut world = world(scenario);
    until_ended(&mut world, 2, seconds(60));
    assert!(ends(&world).iter().all(|(_, end)| *end == OfferEnd::Verified), "{:?}", ends(&world));
    assert!(finished(&world, 1, content) && finished(&world, 2, content));
}

#[test]
fn connections_that_break_only_delay() {
    for seed in 0..4 {
        let (mut scenario, content) = one_to_many(seed, 16 * MIB, 3);
        scenario.network.loss_ppm = 200_000;
        for ms in [8_200, 8_700, 9_500, 11_000] {
            for to in 1..=3 {
                scenario.at(Time::from_millis(ms + 37 * to as u64), Action::Reset(0, to));
            }
        }
        let mut world = world(scenario);
        until_ended(&mut world, 3, seconds(120));
        assert!(ends(&world).iter().all(|(_, end)| *end == OfferEnd::Verified), "{:?}", ends(&world));
        assert!((1..=3).all(|to| finished(&world, to, content)));
    }
}

#[test]
fn a_full_disk_is_told_to_the_sender() {
    let (mut scenario, _) = one_to_many(6, 8 * MIB, 2);
    scenario.hosts[1].disk = DiskSpec { free_bytes: Some(4 * MIB), ..DiskSpec::default() };
    let mut world = world(scenario);
    until_ended(&mut world, 2, seconds(30));
    let expected = [(0, OfferEnd::Failed(Delivery::NoSpace)), (1, OfferEnd::Verified)];
    assert_eq!(ends(&world), expected, "{}", world.report());
}

#[test]
fn a_file_that_changes_is_not_sent() {
    let (mut scenario, content) = one_to_many(7, 32 * MIB, 1);
    scenario.at(seconds(9), Action::Change(0, content));
    let mut world = world(scenario);
    until_ended(&mut world, 1, seconds(60));
    assert_eq!(ends(&world), [(0, OfferEnd::Withdrawn)]);
    assert!(!finished(&world, 1, content));
}

#[test]
fn a_file_that_was_received_is_received_again_without_a_byte() {
    let (mut scenario, content) = one_to_many(8, 8 * MIB, 1);
    scenario.at(seconds(20), Action::Send(0, content, 1));
    let mut world = world(scenario);
    until_ended(&mut world, 2, seconds(40));
    assert!(ends(&world).iter().all(|(_, end)| *end == OfferEnd::Verified), "{:?}", ends(&world));
    assert_eq!(world.report().hosts[0].payload_sent[content], 8 * MIB);
}
