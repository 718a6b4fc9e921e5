//! Quirks of single programs in the field: which names they know, what they make of datagrams, and when their listener dies.

use std::time::Duration;

use chunkcast::sim::{Ears, ForeignSpec, HostSpec, Manner, Scenario};
use chunkcast::types::Time;
use chunkcast::wire::classic::{Dialect, NameForm};

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A host of ours that shares the content as `share --classic` announces it.
fn sharer(scenario: &mut Scenario, contents: usize) {
    let dialects = [Dialect::A, Dialect::ASize, Dialect::E, Dialect::B];
    let host = HostSpec::default().classic(ClassicSpec::default().speaks(&dialects));
    scenario.host((0..contents).fold(host, HostSpec::shares));
}

/// Plays until a foreign host has a content.
fn is_had(scenario: Scenario, host: usize, content: usize, limit: Time) {
    let mut world = world(scenario);
    must(world.run_while(limit, |world| !world.foreign_has(host, content)));
    assert!(world.foreign_has(host, content), "host {host} lacks content {content}");
}

#[test]
fn both_name_forms_of_a_are_found() {
    for form in [NameForm::Stem, NameForm::Full] {
        for seed in 0..3 {
            let mut scenario = forest(seed, 60_001);
            sharer(&mut scenario, 1);
            let asker = foreign(&mut scenario, ForeignSpec::new(Dialect::A).named(form).wants(0));
            is_had(scenario, asker, 0, seconds(60));
        }
    }
}

/// What one of ours fetched under one form of its names serves those who know the other, when the first holder is gone.
#[test]
fn a_second_source_has_the_form_that_was_heard() {
    for (first, second) in [(NameForm::Full, NameForm::Full), (NameForm::Full, NameForm::Stem)] {
        let mut scenario = forest(1, 60_001);
        let holder = foreign(&mut scenario, ForeignSpec::new(Dialect::A).named(first).holds(0, &[]));
        asker(&mut scenario, s(1));
        let last = foreign(&mut scenario, ForeignSpec::new(Dialect::A).named(second).wants(0));
        scenario.hosts[last].starts_at = seconds(10);
        scenario.at(seconds(8), Action::PowerOff(holder));
        is_had(scenario, last, 0, seconds(150));
    }
}

#[test]
fn who_keeps_the_newest_datagram_of_a_peer_finds_what_is_shared() {
    for form in [NameForm::Stem, NameForm::Full] {
        for seed in 0..10 {
            let mut scenario = forest(seed, 60_001);
            sharer(&mut scenario, 1);
            let listener = ForeignSpec::new(Dialect::A).named(form).ears(Ears::NewestOnly).wants(0);
            let listener = foreign(&mut scenario, listener);
            is_had(scenario, listener, 0, seconds(90));
        }
    }
}

#[test]
fn who_hears_one_datagram_per_bind_misses_no_name() {
    for dialect in [Dialect::A, Dialect::ASize, Dialect::E, Dialect::B] {
        let mut scenario = Scenario::new(3);
        let contents = 40;
        for number in 0..contents {
            scenario.content(&format!("a picture of a rather long name {number:02}.png"), 13);
        }
        sharer(&mut scenario, contents);
        let listener = (0..contents).fold(ForeignSpec::new(dialect), ForeignSpec::wants);
        let listener = foreign(&mut scenario, listener.ears(Ears::OnePerBind(MS(20))));
        // It starts with its socket bound, and hears one round: the next one is a minute later.
        scenario.announce_interval = Duration::from_secs(1_000);
        is_had(scenario, listener, contents - 1, seconds(400));
    }
}

#[test]
fn a_listener_that_dies_of_haste_delivers_a_whole_file() {
    for dialect in Dialect::ALL {
        for seed in 0..3 {
            let mut scenario = forest(seed, 300_000);
            let dies = Manner::DiesOfHaste(MS(30));
            foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]).manner(dies));
            let asker = asker(&mut scenario, s(1));
            brings(scenario, asker, seconds(60));
        }
    }
}

/// When a file is there that so many foreign hosts have, after it was asked for.
fn took(dialect: Dialect, holders: usize, size: u64) -> Duration {
    let mut scenario = forest(7, size);
    for _ in 0..holders {
        foreign(&mut scenario, ForeignSpec::new(dialect).holds(0, &[]));
    }
    for host in &mut scenario.hosts {
        (host.up, host.down) = (1_000_000, 1_000_000);
    }
    let after = s(7);
    let asker = asker(&mut scenario, after);
    let (_, at) = brings(scenario, asker, seconds(120));
    at.since(Time::ZERO + after)
}

/// Five hosts have a file of five chunks: nobody is asked twice, so that the pause between two connections costs nothing.
#[test]
fn a_pause_at_one_peer_is_work_for_another() {
    let of = |holders| took(Dialect::C, holders, 1_000_000);
    let (one, two, five) = (of(1), of(2), of(5));
    println!("1 MB at 1 MB/s for each host: from one {one:?}, from two {two:?}, from five {five:?}");
    assert!(five < MS(1_100), "{five:?}");
    assert!(one < MS(2_000), "{one:?}");
}
