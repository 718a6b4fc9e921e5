//! Scenarios of transfers drawn from a seed: senders and receivers of every form, and, half of the time, what cuts, stalls,
//! fills and kills.

use std::time::Duration;

use crate::core::Rng;
use crate::sim::scenario::{Action, HostSpec, Scenario};
use crate::sim::transfers::TakesSpec;
use crate::types::Time;
use crate::wire::transfer::Form;

/// Transfers and faults begin before this.
const BEGUN: Duration = Duration::from_secs(20);
/// By then every transfer has ended, ten of the largest files on the slowest link too.
const OVER: Duration = Duration::from_secs(3_600);
/// What a link carries in a second, in bytes, when nothing is to go wrong: no message is torn apart for so long that its
/// end is mistaken.
const RATES: [u64; 2] = [1_000_000, 125_000_000];
/// And when something is.
const RATES_OF_CHAOS: [u64; 4] = [1_000, 20_000, 1_000_000, 125_000_000];
/// Sizes of files, some of them as long as a message, or such that a slow link takes a while.
const SIZES: [u64; 9] = [1, 2, 9, 10, 101, 4_096, 30_000, 65_537, 120_001];

/// A drawn scenario of transfers and what has to come of it.
#[derive(Debug, Clone)]
pub struct TransfersDrawn {
    /// What happens.
    pub scenario: Scenario,
    /// The numbers of the actions that send, each with the receiver.
    pub transfers: Vec<(usize, usize)>,
    /// When every transfer must be over.
    pub done_by: Time,
    /// Nothing goes wrong in it, so that every transfer must come.
    pub is_calm: bool,
}

impl Scenario {
    /// A few senders that send to a few receivers, in all forms.
    pub fn draw_transfers(seed: u64) -> TransfersDrawn {
        let mut rng = Rng::new(seed ^ 0x7075_7368);
        let mut scenario = Scenario::new(seed);
        let is_calm = coin(&mut rng);
        draw_network(&mut scenario, &mut rng);
        let contents = 1 + rng.below(3);
        for number in 0..contents {
            let name = format!("x{number}.{}", pick(&mut rng, &["png", "csv", "json"]));
            let size = pick(&mut rng, &SIZES);
            scenario.content(&name, size);
        }
        let senders = 1 + rng.below(4);
        for _ in 0..senders {
            let up = if is_calm { pick(&mut rng, &RATES) } else { pick(&mut rng, &RATES_OF_CHAOS) };
            let host = HostSpec { up, shares: (0..contents).collect(), ..HostSpec::default() };
            scenario.host(host);
        }
        let receivers = 1 + rng.below(2);
        for _ in 0..receivers {
            let answer_takes = Duration::from_millis(pick(&mut rng, &[0, 100, 5_000]));
            let mut host = HostSpec::default().takes(TakesSpec { answer_takes, ..TakesSpec::default() });
            host.disk.latency = Duration::from_micros(pick(&mut rng, &[0, 100, 20_000]));
            scenario.host(host);
        }
        let mut transfers = Vec::new();
        for _ in 0..2 + rng.below(8) {
            let at = Time::from_millis(500) + rng.duration_below(BEGUN);
            let (from, to) = (rng.below(senders), senders + rng.below(receivers));
            transfers.push((scenario.timeline.len(), to));
            let form = pick(&mut rng, &Form::ALL);
            scenario.at(at, Action::Transfer(from, rng.below(contents), to, form));
        }
        if !is_calm {
            draw_faults(&mut scenario, senders, receivers, &mut rng);
        }
        TransfersDrawn { scenario, transfers, done_by: Time::ZERO + OVER, is_calm }
    }
}

fn draw_network(scenario: &mut Scenario, rng: &mut Rng) {
    let network = &mut scenario.network;
    network.latency = Duration::from_micros(50 + rng.below(2_000) as u64);
    network.shuffle = coin(rng);
    network.piece_bytes_max = pick(rng, &[1_448, 20_000]);
    network.send_buffer_bytes = pick(rng, &[4 << 10, 64 << 10, 256 << 10]);
    network.window_bytes = pick(rng, &[4 << 10, 64 << 10]);
}

fn draw_faults(scenario: &mut Scenario, senders: usize, receivers: usize, rng: &mut Rng) {
    let hosts = senders + receivers;
    for _ in 0..1 + rng.below(6) {
        let at = Time::from_millis(500) + rng.duration_below(BEGUN * 2);
        let longest = Duration::from_secs(pick(rng, &[1, 10, 60]));
        let span = rng.duration_below(longest);
        let (host, receiver) = (rng.below(hosts), senders + rng.below(receivers));
        match rng.below(9) {
            0 => {
                scenario.at(at, Action::Kill(host));
                scenario.at(at + span, Action::Start(host));
            }
            1 => {
                scenario.at(at, Action::PowerOff(host));
                scenario.at(at + span, Action::Start(host));
            }
            2 => scenario.at(at, Action::Pause(host, span)),
            3 => {
                scenario.at(at, Action::Isolate(vec![host]));
                scenario.at(at + span, Action::Rejoin);
            }
            4 => scenario.at(at, Action::Reset(rng.below(senders), receiver)),
            5 => {
                scenario.at(at, Action::DiskFull(receiver));
                scenario.at(at + span, Action::DiskMended(receiver));
            }
            6 => scenario.at(at, Action::Change(rng.below(senders), rng.below(scenario.contents.len()))),
            7 => scenario.hosts[receiver].disk.write_error_ppm = 100_000,
            _ => {
                let quota_bytes = pick(rng, &[10, 40_000, 200_000]);
                let accepts = !rng.chance_ppm(250_000);
                let takes = TakesSpec { quota_bytes, accepts, ..TakesSpec::default() };
                scenario.hosts[receiver].takes = Some(takes);
            }
        }
    }
}

fn coin(rng: &mut Rng) -> bool {
    rng.chance_ppm(500_000)
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len())]
}
