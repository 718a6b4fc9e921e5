//! What a swarm is asked to be, and the scenario that follows from it.

use std::time::Duration;

use crate::core::{Limits, Rng};
use crate::sim::scenario::{Action, GetSpec, HostSpec, NetworkSpec, Scenario, Target};
use crate::types::defaults::defaults;
use crate::types::geometry::GeometryError;
use crate::types::{Geometry, Time};

/// The seed has announced itself by then, and the first peers come.
const BEGIN: Time = Time::from_millis(2_000);
/// Waiting is no part of what is measured, so nobody gives up.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// A swarm that takes so many times the bound, and [`LIMIT_GRACE`], has failed.
const LIMIT_BOUNDS: u32 = 50;
const LIMIT_GRACE: Duration = Duration::from_secs(300);
/// The oracle never sweeps: that costs more than what is measured, and other simulations do it.
const NEVER: Duration = Duration::from_secs(1 << 32);

/// When the peers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All at once.
    Flash,
    /// One by one, evenly over so long.
    Staggered(Duration),
    /// Every second one so much later.
    Half(Duration),
}

/// Peers that crash and come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Churn {
    /// So many of a hundred peers crash together, drawn anew each time.
    pub share_percent: u32,
    /// So often. They start again half of this later.
    pub every: Duration,
}

defaults! {
    /// One file and many who want it.
    ///
    /// The default: eight peers on 100 Mbit/s that all want 64 MiB at once.
    #[derive(Debug, Clone)]
    pub struct SwarmSpec {
        /// All randomness follows from this.
        pub seed: u64 = 1,
        /// How many want the file; one more has it.
        pub peers: usize = 8,
        /// The file's size in bytes.
        pub size: u64 = 64 << 20,
        /// The size of a chunk in bytes; `None`: the one that native sharing uses for a file of that size.
        pub chunk_bytes: Option<u32> = None,
        /// What every uplink carries, in bytes a second.
        pub up: u64 = 12_500_000,
        /// What every downlink carries, in bytes a second.
        pub down: u64 = 12_500_000,
        /// From any host to any other.
        pub latency: Duration = Duration::from_micros(200),
        /// So many of a million datagrams are lost.
        pub loss_ppm: u32 = 0,
        /// When the peers come.
        pub join: Join = Join::Flash,
        /// Who crashes.
        pub churn: Option<Churn> = None,
        /// Peers, from 1, whose links carry so many bytes a second both ways.
        pub slow: Vec<(usize, u64)> = Vec::new(),
        /// The bounds and tactics of every peer.
        pub limits: Limits = Limits::default(),
        /// Whether it is kept when each chunk came where.
        pub keeps_arrivals: bool = false,
    }
}

impl SwarmSpec {
    /// When a peer, from 1, comes.
    pub fn starts_at(&self, peer: usize) -> Time {
        match self.join {
            Join::Flash => BEGIN,
            Join::Staggered(over) => {
                let before = u32::try_from(peer.saturating_sub(1)).unwrap_or(u32::MAX);
                let others = u32::try_from(self.peers.saturating_sub(1)).unwrap_or(u32::MAX).max(1);
                BEGIN + over.saturating_mul(before) / others
            }
            Join::Half(later) if peer.is_multiple_of(2) => BEGIN + later,
            Join::Half(_) => BEGIN,
        }
    }

    /// When all of them have come.
    fn all_there(&self) -> Time {
        match self.join {
            Join::Flash => BEGIN,
            Join::Staggered(after) | Join::Half(after) => BEGIN + after,
        }
    }

    /// What nobody can beat: the time in which the file passes one link, the slower way.
    pub fn bound(&self) -> Duration {
        self.alone_at(self.up.min(self.down))
    }

    fn alone_at(&self, rate: u64) -> Duration {
        Duration::from_secs_f64(self.size as f64 / rate.max(1) as f64)
    }

    /// When it has failed.
    pub(super) fn limit(&self) -> Time {
        let rates = self.slow.iter().map(|(_, rate)| *rate);
        let slowest = rates.chain([self.up, self.down]).min().unwrap_or(0);
        self.all_there() + self.alone_at(slowest).saturating_mul(LIMIT_BOUNDS) + LIMIT_GRACE
    }

    /// The world in which this happens.
    pub(super) fn scenario(&self) -> Result<Scenario, GeometryError> {
        let cut = match self.chunk_bytes {
            Some(bytes) => Geometry::new(self.size, bytes)?,
            None => Geometry::native(self.size)?,
        };
        let mut scenario = Scenario::new(self.seed);
        scenario.limits = self.limits.clone();
        scenario.limits.tactics.chunk_bytes = Some(cut.chunk_bytes());
        scenario.network =
            NetworkSpec { latency: self.latency, loss_ppm: self.loss_ppm, ..NetworkSpec::default() };
        (scenario.check_every, scenario.sweep_every) = (0, NEVER);
        (scenario.checks_protocol, scenario.keep_events) = (false, false);
        scenario.keep_arrivals = self.keeps_arrivals;
        let content = scenario.content("swarm.bin", self.size);
        scenario.contents[content].chunk_bytes = Some(cut.chunk_bytes());
        scenario.host(HostSpec { up: self.up, down: self.down, ..HostSpec::default() }.shares(content));
        for peer in 1..=self.peers {
            let slow = self.slow.iter().find(|(number, _)| *number == peer).map(|(_, rate)| *rate);
            let mut host = HostSpec {
                up: slow.unwrap_or(self.up),
                down: slow.unwrap_or(self.down),
                starts_at: self.starts_at(peer),
                ..HostSpec::default()
            };
            let (what, after) = (Target::Id(content), Duration::ZERO);
            host.gets.push(GetSpec { what, after, wait: PATIENCE, stall: PATIENCE });
            scenario.host(host);
        }
        self.plan_crashes(&mut scenario);
        Ok(scenario)
    }

    fn plan_crashes(&self, scenario: &mut Scenario) {
        let Some(Churn { share_percent, every }) = self.churn.filter(|churn| !churn.every.is_zero()) else {
            return;
        };
        let mut rng = Rng::new(self.seed ^ 0x6372_6173_6865_7300);
        let mut at = self.all_there() + every;
        while at < self.limit() {
            for peer in 1..=self.peers {
                if rng.below(100) < share_percent as usize {
                    scenario.at(at, Action::Kill(peer));
                    scenario.at(at + every / 2, Action::Start(peer));
                }
            }
            at = at + every;
        }
    }
}
