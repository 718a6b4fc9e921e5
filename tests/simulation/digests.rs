//! What whole worlds put out, to the last byte: a table of digests that a change of structure leaves as it is.
//!
//! Each line of `digests.txt` is a world by name, and the digest of everything that its peers put out. A change that moves code
//! keeps every line. A change that alters behaviour changes lines, in a commit of its own that says why:
//! `CHUNKCAST_WRITE_DIGESTS=1 cargo test --test simulation digests` writes the table anew.

use std::time::Duration;

use chunkcast::core::Limits;
use chunkcast::sim::{
    Churn, HostSpec, HostileSpec, Hostility, Join, PlaceSpec, Scenario, Swarm, SwarmSpec, Target,
};
use chunkcast::types::Time;

use super::{FAST_ETHERNET, MIB, must, seconds, world};

const TABLE: &str = include_str!("digests.txt");
const TABLE_PATH: &str = "tests/simulation/digests.txt";

/// Hexadecimal digits of a digest that the table shows: two different runs are told apart by far fewer.
const SHOWN: usize = 24;

#[test]
fn worlds_put_out_what_they_always_did() {
    let table: String = worlds().iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
    if std::env::var_os("CHUNKCAST_WRITE_DIGESTS").is_some() {
        std::fs::write(TABLE_PATH, &table).expect("the table can be written");
        return;
    }
    let changed: Vec<_> = table.lines().filter(|line| !TABLE.lines().any(|known| known == *line)).collect();
    assert!(changed.is_empty(), "not what {TABLE_PATH} says:\n{}", changed.join("\n"));
    assert_eq!(table.lines().count(), TABLE.lines().count(), "{TABLE_PATH} has other worlds:\n{table}");
}

fn worlds() -> Vec<(String, String)> {
    let mut worlds = Vec::new();
    let mut add = |name: String, digest: String| worlds.push((name, digest[..SHOWN].to_owned()));
    for seed in 1..=6 {
        add(format!("mesh-{seed}"), played(Scenario::draw(seed).scenario, seconds(90)));
        add(format!("classic-{seed}"), played(Scenario::draw_classic(seed).scenario, seconds(90)));
        add(format!("transfers-{seed}"), played(Scenario::draw_transfers(seed).scenario, seconds(100)));
        add(format!("hostile-{seed}"), played(Scenario::draw_hostile(seed).scenario, seconds(90)));
    }
    for seed in 1..=3 {
        add(format!("ring-{seed}"), played(ring(seed), seconds(60)));
    }
    add("mirror".to_owned(), played(mirror(), seconds(120)));
    for (name, manner) in [
        ("idle-crowd", Hostility::IdleCrowd { connections: 120 }),
        ("floods-datagrams", Hostility::FloodsDatagrams),
        ("floods-frames", Hostility::FloodsFrames),
        ("forges-sources", Hostility::ForgesSources),
        ("impersonates", Hostility::Impersonates),
        ("endless-catalogue", Hostility::EndlessCatalogue),
    ] {
        add(name.to_owned(), played(beside(manner), seconds(60)));
    }
    for (name, spec) in swarms() {
        let mut swarm = Swarm::new(spec).expect("the content can be cut");
        while must(swarm.go_on(10_000)) {}
        add(format!("swarm-{name}"), swarm.figures().digest);
    }
    worlds.sort();
    worlds
}

fn played(scenario: Scenario, until: Time) -> String {
    let mut world = world(scenario);
    must(world.run_until(until));
    world.report().digest
}

/// An owner and five peers, each of which downloads from the next.
fn ring(seed: u64) -> Scenario {
    let mut scenario = Scenario::new(seed);
    let content = scenario.ring_content("talk.mkv", 5 * MIB, 100 << 10);
    let apart =
        |place| HostSpec { broadcast: false, ..HostSpec::default() }.rate(FAST_ETHERNET).placed(place);
    let owner = PlaceSpec::Owner { peers: 5, reassign_after: Duration::from_secs(10) };
    scenario.host(apart(owner).shares(content));
    for at in 1..=5 {
        let place = PlaceSpec::Peer { owner: 0, neighbours: vec![at % 5 + 1], owner_fallback: None };
        scenario.host(apart(place).gets(Target::Id(content)).starts_at(Time::from_millis(200 * at as u64)));
    }
    scenario
}

/// Two hosts share, a third mirrors, and a fourth wants what the third has when the others are gone.
fn mirror() -> Scenario {
    let mut scenario = Scenario::new(9);
    let contents =
        [scenario.content("a.mkv", 3 * MIB), scenario.content("b.mkv", 0), scenario.content("c.txt", 9)];
    let host = || HostSpec::default().rate(FAST_ETHERNET);
    scenario.host(host().shares(contents[0]).shares(contents[1]));
    scenario.host(host().shares(contents[2]));
    scenario.host(host().mirrors("*.mkv", u64::MAX));
    scenario.host(host().starts_at(seconds(60)).gets(Target::Glob("*".to_owned())));
    scenario
}

/// One shares, one gets, and one does harm.
fn beside(manner: Hostility) -> Scenario {
    let mut scenario = Scenario::new(31);
    scenario.limit_for_hostile_hosts();
    let content = scenario.content("talk.mkv", 4 * MIB);
    scenario.host(HostSpec::default().rate(FAST_ETHERNET).shares(content));
    let wanted = Target::Name("talk.mkv".to_owned());
    scenario.host(HostSpec::default().rate(FAST_ETHERNET).starts_at(seconds(2)).gets(wanted));
    let hostile = HostileSpec { manner, every: Duration::from_millis(20) };
    scenario.host(HostSpec::default().rate(FAST_ETHERNET).hostile(hostile));
    scenario
}

/// Swarms of equal peers, late ones, slow ones and crashing ones, and of more peers than each has neighbours.
fn swarms() -> Vec<(&'static str, SwarmSpec)> {
    let swarm = || SwarmSpec { size: 8 * MIB, chunk_bytes: Some(32 << 10), ..SwarmSpec::default() };
    let churn = Churn { share_percent: 50, every: Duration::from_millis(700) };
    let few = Limits { neighbours_max: 8, ..Limits::default() };
    vec![
        ("equal", swarm()),
        ("late", SwarmSpec { join: Join::Half(Duration::from_millis(400)), ..swarm() }),
        ("slow", SwarmSpec { slow: vec![(3, 1_500_000)], ..swarm() }),
        ("churn", SwarmSpec { churn: Some(churn), ..swarm() }),
        ("lossy", SwarmSpec { loss_ppm: 100_000, join: Join::Staggered(Duration::from_secs(1)), ..swarm() }),
        ("many", SwarmSpec { peers: 40, limits: few, ..swarm() }),
    ]
}
