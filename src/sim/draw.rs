//! Scenarios drawn from a seed: chaos first, then everything heals, then what was wanted must come.

use std::time::Duration;

use crate::core::Rng;
use crate::sim::scenario::{Action, HostSpec, Nature, Scenario, Target};
use crate::types::Time;

/// Faults happen before this.
const CHAOS: Duration = Duration::from_secs(60);
/// What a download may take at most after all has healed, apart from the time the bytes need.
const SETTLE: Duration = Duration::from_secs(240);

/// Kinds of faults on the timeline.
const FAULT_KINDS: u32 = 14;
/// Of these, the first ones that worlds of all protocols have.
pub(super) const COMMON_FAULT_KINDS: u32 = 7;

/// A drawn scenario and when all of it must be over.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// What happens.
    pub scenario: Scenario,
    /// When every honest host must have what it wanted.
    pub done_by: Time,
}

impl Scenario {
    /// A small world with faults, each kind of them off with probability one half. Some host that always lives, or comes
    /// back, has each content wholly.
    pub fn draw(seed: u64) -> Drawn {
        let mut rng = Rng::new(seed);
        let mut scenario = Scenario::new(seed);
        scenario.check_every = 32;
        draw_network(&mut scenario, &mut rng);
        draw_contents(&mut scenario, &mut rng);
        draw_hosts(&mut scenario, &mut rng);
        draw_faults(&mut scenario, &mut rng);
        heal(&mut scenario);
        let bytes: u64 = scenario.contents.iter().map(|content| content.size).sum();
        let slowest = scenario.hosts.iter().map(|host| host.up.min(host.down)).min().unwrap_or(1).max(1);
        let moving = Duration::from_secs(bytes * scenario.hosts.len() as u64 * 3 / slowest / 2 + 1);
        Drawn { scenario, done_by: Time::ZERO + CHAOS + SETTLE + moving }
    }
}

fn draw_network(scenario: &mut Scenario, rng: &mut Rng) {
    let network = &mut scenario.network;
    network.latency = Duration::from_micros(50 + rng.below(5_000) as u64);
    if coin(rng) {
        network.jitter = Duration::from_micros(rng.below(5_000) as u64);
    }
    if coin(rng) {
        network.loss_ppm = ppm(rng, 300_000);
    }
    if coin(rng) {
        network.duplicate_ppm = ppm(rng, 100_000);
    }
    if coin(rng) {
        network.reorder_ppm = ppm(rng, 200_000);
    }
    if coin(rng) {
        network.mutilate_ppm = ppm(rng, 50_000);
    }
    network.shuffle = coin(rng);
    network.piece_bytes_max = pick(rng, &[1_448, 20_000, 64 << 10, 1 << 20]);
    network.send_buffer_bytes = pick(rng, &[4 << 10, 64 << 10, 256 << 10]);
    network.window_bytes = pick(rng, &[4 << 10, 64 << 10, 1 << 20]);
}

fn draw_contents(scenario: &mut Scenario, rng: &mut Rng) {
    const SIZES: [u64; 13] = [
        0,
        1,
        1_023,
        1_024,
        1_025,
        16_384,
        16_385,
        100_000,
        500_000,
        1 << 20,
        3_000_001,
        9_999_999,
        20_000_000,
    ];
    for number in 0..1 + rng.below(3) {
        let size = pick(rng, &SIZES);
        scenario.content(&format!("content-{number}"), size);
    }
}

fn draw_hosts(scenario: &mut Scenario, rng: &mut Rng) {
    let rate = |rng: &mut Rng| pick(rng, &[500_000, 2_000_000, 12_500_000, 125_000_000]);
    let contents = scenario.contents.len();
    let seeds = 1 + rng.below(2);
    for seed in 0..seeds {
        let mut host = HostSpec { up: rate(rng), down: rate(rng), ..HostSpec::default() };
        host.shares = (0..contents).filter(|_| seed == 0 || coin(rng)).collect();
        scenario.host(host);
    }
    for _ in 0..1 + rng.below(4) {
        let mut host = HostSpec { up: rate(rng), down: rate(rng), ..HostSpec::default() };
        host.starts_at = Time::ZERO + rng.duration_below(Duration::from_secs(10));
        host.disk.latency = Duration::from_micros(pick(rng, &[0, 100, 10_000]));
        for content in 0..contents {
            if content == 0 || coin(rng) {
                let named = Target::Name(scenario.contents[content].name.clone());
                host = host.gets(if coin(rng) { named } else { Target::Id(content) });
            }
        }
        for get in &mut host.gets {
            get.wait = Duration::from_secs(30);
        }
        scenario.host(host);
    }
    if coin(rng) {
        let natures = [
            Nature::Poisoner { ppm: ppm(rng, 1_000_000) },
            Nature::Liar,
            Nature::Mute,
            Nature::Silent,
            Nature::Forger,
            Nature::Garbage { every: Duration::from_millis(20 + rng.below(500) as u64) },
        ];
        let nature = natures[rng.below(natures.len())];
        let shares = (0..contents).collect();
        scenario.host(HostSpec { nature, shares, up: rate(rng), down: rate(rng), ..HostSpec::default() });
    }
    let garbage = |host: &HostSpec| matches!(host.nature, Nature::Garbage { .. });
    if scenario.network.mutilate_ppm > 0 || scenario.hosts.iter().any(garbage) {
        get_by_id(scenario);
    }
}

/// Mutilated announcements may lend a name to a content that does not exist; ids cannot be lent.
fn get_by_id(scenario: &mut Scenario) {
    let named = |name: &str| scenario.contents.iter().position(|content| content.name == name);
    for get in scenario.hosts.iter_mut().flat_map(|host| &mut host.gets) {
        if let Target::Name(name) = &get.what
            && let Some(content) = named(name)
        {
            get.what = Target::Id(content);
        }
    }
}

fn draw_faults(scenario: &mut Scenario, rng: &mut Rng) {
    let (hosts, contents) = (scenario.hosts.len(), scenario.contents.len());
    for kind in 0..FAULT_KINDS {
        if coin(rng) {
            continue;
        }
        for _ in 0..1 + rng.below(4) {
            let (host, other, content) = (rng.below(hosts), rng.below(hosts), rng.below(contents));
            let (at, outage) = (moment(rng), outage(rng));
            let back = at + outage;
            match kind {
                0..COMMON_FAULT_KINDS => common_fault(scenario, kind, [host, other], at, outage),
                7 => scenario.at(at, Action::Cancel(host, content)),
                8 => {
                    scenario.at(at, Action::Leave(host));
                    scenario.at(back, Action::Start(host));
                }
                9 => {
                    scenario.at(at, Action::Rates(host, 20_000, 20_000));
                    let (up, down) = (scenario.hosts[host].up, scenario.hosts[host].down);
                    scenario.at(back, Action::Rates(host, up, down));
                }
                // What the first host has stays right, so that everything can be had from it.
                10 if host > 0 => scenario.at(at, Action::Change(host, content)),
                11 if host > 0 => {
                    let chunk = u32::try_from(rng.below(600)).unwrap_or(0);
                    scenario.at(at, Action::Rot(host, content, chunk));
                }
                12 => scenario.hosts[host].disk.write_error_ppm = ppm(rng, 50_000),
                _ => scenario.at(at, Action::Loss(ppm(rng, 1_000_000))),
            }
        }
    }
}

/// A fault of a kind that worlds of all protocols have: it begins at `at`, and is over after `outage` where it has an end.
pub(super) fn common_fault(
    scenario: &mut Scenario,
    kind: u32,
    [host, other]: [usize; 2],
    at: Time,
    outage: Duration,
) {
    let (fault, end) = match kind {
        0 => (Action::Kill(host), Some(Action::Start(host))),
        1 => (Action::PowerOff(host), Some(Action::Start(host))),
        2 => (Action::Pause(host, outage), None),
        3 => (Action::Isolate(vec![host, other]), Some(Action::Rejoin)),
        4 => (Action::Reset(host, other), None),
        5 => (Action::DiskFull(host), Some(Action::DiskMended(host))),
        _ => (Action::ClockJump(host, outage), None),
    };
    scenario.at(at, fault);
    end.into_iter().for_each(|end| scenario.at(at + outage, end));
}

/// Half of all faults come while most downloads are under way.
fn moment(rng: &mut Rng) -> Time {
    let span = if coin(rng) { Duration::from_secs(35) } else { Duration::from_secs(10) };
    Time::from_millis(100) + rng.duration_below(span)
}

/// Half of all outages are short.
fn outage(rng: &mut Rng) -> Duration {
    let longest = if coin(rng) { Duration::from_secs(20) } else { Duration::from_millis(500) };
    rng.duration_below(longest)
}

/// Everything works again, and who gave up asks once more.
fn heal(scenario: &mut Scenario) {
    let healed = Time::ZERO + CHAOS;
    scenario.at(healed, Action::Loss(0));
    scenario.at(healed, Action::Rejoin);
    for host in 0..scenario.hosts.len() {
        scenario.at(healed, Action::DiskMended(host));
        scenario.at(healed, Action::Start(host));
        for round in 0..3 {
            // A search that began in the chaos may fail as late as its wait is long.
            scenario.at(healed + Duration::from_secs(5 + 35 * round), Action::GetAgain(host));
        }
    }
}

fn coin(rng: &mut Rng) -> bool {
    rng.chance_ppm(500_000)
}

fn ppm(rng: &mut Rng, most: usize) -> u32 {
    u32::try_from(rng.below(most)).unwrap_or(0)
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len())]
}
