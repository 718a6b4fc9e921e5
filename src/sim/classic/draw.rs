//! Classic scenarios drawn from a seed: foreign peers of all dialects and manners, peers of ours among them, faults.

use std::time::Duration;

use crate::core::Rng;
use crate::sim::classic::{ClassicSpec, Ears, ForeignSpec, Manner};
use crate::sim::draw::{COMMON_FAULT_KINDS, common_fault};
use crate::sim::scenario::{Action, HostSpec, Scenario};
use crate::types::Time;
use crate::wire::classic::Dialect;

/// Faults happen before this.
const CHAOS: Duration = Duration::from_secs(40);
/// How long a get waits for somebody who announces what is missing.
const WAIT: Duration = Duration::from_secs(20);
/// What one try to fetch one chunk may take: the dial, the wait for its answer, and the answer itself.
const TRY: Duration = Duration::from_secs(45);
/// How often a chunk may be asked of one holder.
const ROUNDS: u32 = 2;
/// How often gets that failed are asked again after the chaos.
const ROUNDS_AFTER: u32 = 2;
/// Of larger files, fewer than five chunks are no file.
const TINY_BYTES_MAX: u64 = 20;
/// What binds its socket anew for each datagram is deaf for so long.
const BIND: Duration = Duration::from_millis(20);
/// When foreign hosts must have been served.
const SERVED_BY: Duration = Duration::from_secs(240);
/// Kinds of faults on the timeline.
const FAULT_KINDS: u32 = 9;

/// A drawn classic scenario and what has to come of it.
#[derive(Debug, Clone)]
pub struct ClassicDrawn {
    /// What happens.
    pub scenario: Scenario,
    /// When every get must be over.
    pub done_by: Time,
    /// Nothing goes wrong in it, so that every get must bring its file.
    pub is_calm: bool,
    /// Foreign hosts, and contents that they must have by [`ClassicDrawn::served_by`].
    pub served: Vec<(usize, usize)>,
    /// A few rounds of announcements after the last start; by then no luck can have made up for what they do not understand.
    pub served_by: Time,
}

impl Scenario {
    /// A small world with classic peers, and, half of the time, with faults and peers that are broken or hostile. Somebody
    /// who is neither has all of each content at the beginning.
    pub fn draw_classic(seed: u64) -> ClassicDrawn {
        let mut rng = Rng::new(seed ^ 0x0063_6c61_7373_6963);
        let mut scenario = Scenario::new(seed);
        scenario.check_every = 8;
        scenario.announce_interval = Duration::from_secs(10);
        let is_calm = coin(&mut rng);
        draw_network(&mut scenario, is_calm, &mut rng);
        draw_contents(&mut scenario, &mut rng);
        draw_holders(&mut scenario, is_calm, &mut rng);
        draw_askers(&mut scenario, &mut rng);
        if !is_calm {
            draw_faults(&mut scenario, &mut rng);
            heal(&mut scenario);
        }
        let done_by = bound(&scenario);
        let served = if is_calm { served(&scenario) } else { Vec::new() };
        ClassicDrawn { scenario, done_by, is_calm, served, served_by: Time::ZERO + SERVED_BY }
    }
}

/// When every get must be over: each chunk was asked of each host as often as it may be, one after the other.
fn bound(scenario: &Scenario) -> Time {
    let chunks: u64 = scenario.contents.iter().map(|content| 5 + content.size / 100_000).sum();
    let tries = chunks * scenario.hosts.len() as u64 * u64::from(ROUNDS);
    let once = WAIT * 2 + TRY * u32::try_from(tries).unwrap_or(u32::MAX);
    Time::ZERO + CHAOS + once * (1 + ROUNDS_AFTER)
}

/// Foreign hosts that want a content which one of ours announces to them, and nobody whom they misunderstand has.
fn served(scenario: &Scenario) -> Vec<(usize, usize)> {
    let mut served = Vec::new();
    for (at, host) in scenario.hosts.iter().enumerate() {
        let Some(asker) = &host.foreign else { continue };
        let hears = |dialect: &Dialect| {
            let key = |of: Dialect| (of.request_key(), of.name_form(), of.chunk_rule());
            key(*dialect) == key(asker.dialect)
        };
        for content in asker.wants.iter().copied() {
            let announces = |other: &HostSpec| {
                let classic = other.classic.as_ref().filter(|_| other.shares.contains(&content));
                classic.is_some_and(|classic| classic.dialects.iter().any(hears))
            };
            let misleads = |other: &HostSpec| {
                let holder = other.foreign.as_ref();
                holder.is_some_and(|holder| {
                    let misread = holder.dialect == Dialect::BJson && !holder.holds.is_empty();
                    // The asker waits for an end of the stream that comes with somebody else's request, if at all.
                    let waits = holder.manner == Manner::NeverCloses
                        && holder.holds.iter().any(|held| held.content == content);
                    misread || waits
                })
            };
            if scenario.hosts.iter().any(announces) && !scenario.hosts.iter().any(misleads) {
                served.push((at, content));
            }
        }
    }
    served
}

fn draw_network(scenario: &mut Scenario, is_calm: bool, rng: &mut Rng) {
    let network = &mut scenario.network;
    network.latency = Duration::from_micros(50 + rng.below(2_000) as u64);
    network.shuffle = coin(rng);
    network.piece_bytes_max = pick(rng, &[1_448, 10_000, 20_000]);
    network.send_buffer_bytes = pick(rng, &[4 << 10, 64 << 10, 256 << 10]);
    network.window_bytes = pick(rng, &[4 << 10, 64 << 10]);
    if coin(rng) {
        network.jitter = Duration::from_micros(rng.below(2_000) as u64);
    }
    if coin(rng) {
        network.duplicate_ppm = 100_000;
    }
    if !is_calm && coin(rng) {
        network.loss_ppm = 300_000;
    }
    if !is_calm && coin(rng) {
        network.reorder_ppm = 200_000;
    }
}

fn draw_contents(scenario: &mut Scenario, rng: &mut Rng) {
    const SIZES: [u64; 13] = [1, 2, 3, 5, 6, 9, 10, 13, 1_003, 4_096, 60_001, 102_401, 300_000];
    for number in 0..1 + rng.below(2) {
        let size = pick(rng, &SIZES);
        scenario.content(&format!("content{number}.png"), size);
    }
}

fn draw_holders(scenario: &mut Scenario, is_calm: bool, rng: &mut Rng) {
    let contents = scenario.contents.len();
    for content in 0..contents {
        if coin(rng) {
            let classic = ClassicSpec { native: coin(rng), dialects: voices(rng), ..ClassicSpec::default() };
            scenario.host(HostSpec::default().shares(content).classic(classic));
        } else {
            let dialect = pick(rng, &Dialect::ALL);
            let foreign = foreign(dialect, rng).holds(content, &[]).manner(kind_manner(rng));
            scenario.host(HostSpec::default().foreign(foreign));
        }
    }
    for _ in 0..rng.below(4) {
        let dialect = pick(rng, &Dialect::ALL);
        let content = rng.below(contents);
        // D cuts otherwise than the others. A part of a tiny file may be all of a tinier one.
        let is_tiny = scenario.contents[content].size <= TINY_BYTES_MAX;
        let parts: Vec<u32> = match dialect {
            Dialect::D => Vec::new(),
            _ if is_tiny => Vec::new(),
            _ => (1..=5).filter(|_| coin(rng)).collect(),
        };
        let manner = if is_calm { kind_manner(rng) } else { any_manner(rng) };
        let foreign = foreign(dialect, rng).holds(content, &parts).manner(manner);
        scenario.host(HostSpec::default().foreign(foreign));
    }
}

/// One that speaks this dialect, with names in one of its forms.
fn foreign(dialect: Dialect, rng: &mut Rng) -> ForeignSpec {
    let form = dialect.other_name_form().filter(|_| coin(rng));
    ForeignSpec { form, ..ForeignSpec::new(dialect) }
}

/// Of who delivers to the kind.
const KIND_MANNERS: [Manner; 4] = [
    Manner::Plain,
    Manner::NeverCloses,
    Manner::Rebinds(Duration::from_millis(30)),
    Manner::DiesOfHaste(Duration::from_millis(30)),
];

fn kind_manner(rng: &mut Rng) -> Manner {
    pick(rng, &KIND_MANNERS)
}

fn any_manner(rng: &mut Rng) -> Manner {
    let manners = [
        Manner::Empty,
        Manner::CutsShort,
        Manner::Endless,
        Manner::LiesAboutSize,
        Manner::Forges,
        Manner::Mute,
        Manner::Floods(Duration::from_millis(50)),
    ];
    if rng.below(3) == 0 { kind_manner(rng) } else { pick(rng, &manners) }
}

/// What a peer of ours announces in.
fn voices(rng: &mut Rng) -> Vec<Dialect> {
    pick(
        rng,
        &[
            &[Dialect::A, Dialect::B][..],
            &[Dialect::A, Dialect::ASize, Dialect::E, Dialect::B],
            &[Dialect::A, Dialect::ASize, Dialect::E, Dialect::B],
            &[Dialect::D],
            &[Dialect::A],
            &[Dialect::B],
            &[Dialect::C],
            &[Dialect::ASize],
            &[Dialect::E],
        ],
    )
    .to_vec()
}

fn draw_askers(scenario: &mut Scenario, rng: &mut Rng) {
    let contents = scenario.contents.len();
    for _ in 0..1 + rng.below(3) {
        let mut classic = ClassicSpec { native: coin(rng), dialects: voices(rng), ..ClassicSpec::default() };
        for content in 0..contents {
            if content == 0 || coin(rng) {
                let name = scenario.contents[content].name.clone();
                classic = classic.gets(&name, rng.duration_below(Duration::from_secs(8)), WAIT);
            }
        }
        let mut host = HostSpec::default().classic(classic);
        host.starts_at = Time::ZERO + rng.duration_below(Duration::from_secs(8));
        host.disk.latency = Duration::from_micros(pick(rng, &[0, 100, 10_000]));
        scenario.host(host);
    }
    if coin(rng) {
        let dialect = pick(rng, &[Dialect::A, Dialect::A, Dialect::B, Dialect::C, Dialect::E]);
        // Who keeps only the newest datagram understands A, or has a port without it.
        let ears: &[Ears] = match dialect {
            Dialect::E => &[Ears::Keen, Ears::OnePerBind(BIND)],
            _ => &[Ears::Keen, Ears::OnePerBind(BIND), Ears::NewestOnly],
        };
        let asker = foreign(dialect, rng).ears(pick(rng, ears)).wants(rng.below(contents));
        scenario.host(HostSpec::default().foreign(asker));
    }
}

fn draw_faults(scenario: &mut Scenario, rng: &mut Rng) {
    let hosts = scenario.hosts.len();
    for kind in 0..FAULT_KINDS {
        if coin(rng) {
            continue;
        }
        for _ in 0..1 + rng.below(3) {
            let (host, other) = (rng.below(hosts), rng.below(hosts));
            let at = Time::from_millis(100) + rng.duration_below(Duration::from_secs(20));
            let longest = Duration::from_secs(if coin(rng) { 15 } else { 1 });
            let span = rng.duration_below(longest);
            match kind {
                0..COMMON_FAULT_KINDS => common_fault(scenario, kind, [host, other], at, span),
                7 => scenario.hosts[host].disk.write_error_ppm = 50_000,
                _ => scenario.at(at, Action::Loss(u32::try_from(rng.below(1_000_000)).unwrap_or(0))),
            }
        }
    }
}

/// Everything works again, and who was not given what it wanted asks once more.
fn heal(scenario: &mut Scenario) {
    let healed = Time::ZERO + CHAOS;
    scenario.at(healed, Action::Loss(0));
    scenario.at(healed, Action::Rejoin);
    for host in 0..scenario.hosts.len() {
        scenario.at(healed, Action::DiskMended(host));
        scenario.at(healed, Action::Start(host));
        for round in 1..=ROUNDS_AFTER {
            scenario.at(healed + WAIT * 2 * round, Action::GetAgain(host));
        }
    }
}

fn coin(rng: &mut Rng) -> bool {
    rng.chance_ppm(500_000)
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len())]
}
