//! What a hostile host does, and worlds with such hosts, drawn from a seed.

use std::time::Duration;

use crate::core::Rng;
use crate::sim::draw::Drawn;
use crate::sim::scenario::{HostSpec, Scenario, Target};
use crate::types::Time;

/// A host that means harm: it does one thing at its own interval, as long as the world lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostileSpec {
    /// What it does.
    pub manner: Hostility,
    /// How often it acts.
    pub every: Duration,
}

/// What a hostile host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hostility {
    /// It keeps so many connections with each honest host, from many addresses, that greet and stay idle.
    IdleCrowd {
        /// Connections with each host.
        connections: usize,
    },
    /// It broadcasts junk, and announcements and queries of peers that it invents, from many addresses.
    FloodsDatagrams,
    /// It requests chunks and cancels them, and sends pings and `bad`, without end, on two connections with each host.
    FloodsFrames,
    /// It broadcasts announcements and queries of invented peers in the names of honest hosts: from their addresses.
    ForgesSources,
    /// It says hello with the public id of another host and then bye, and announces and answers with that id.
    Impersonates,
    /// Its catalogue has no end.
    EndlessCatalogue,
}

impl Hostility {
    /// Each of them once.
    pub const ALL: [Hostility; 6] = [
        Hostility::IdleCrowd { connections: 120 },
        Hostility::FloodsDatagrams,
        Hostility::FloodsFrames,
        Hostility::ForgesSources,
        Hostility::Impersonates,
        Hostility::EndlessCatalogue,
    ];
}

impl Scenario {
    /// A small world with faults as [`Scenario::draw`] has them, and hostile hosts: each kind of them is absent with
    /// probability one half. Limits are small, so that a few peers, connections and datagrams are a flood.
    pub fn draw_hostile(seed: u64) -> Drawn {
        let mut rng = Rng::new(seed ^ 0x0068_6f73_7469_6c65);
        let Drawn { mut scenario, done_by } = Scenario::draw(rng.next_u64());
        scenario.seed = seed;
        scenario.limit_for_hostile_hosts();
        for host in &mut scenario.hosts {
            for get in &mut host.gets {
                if let Target::Name(name) = &get.what
                    && rng.chance_ppm(500_000)
                {
                    get.what = Target::Glob(format!("{name}*"));
                }
            }
        }
        for manner in Hostility::ALL {
            if rng.chance_ppm(500_000) {
                continue;
            }
            let every = Duration::from_millis(50 + rng.below(150) as u64);
            let mut host = HostSpec::default().hostile(HostileSpec { manner, every });
            host.starts_at = Time::ZERO + rng.duration_below(Duration::from_secs(10));
            scenario.host(host);
        }
        // An honest download keeps half of its speed beside them.
        Drawn { scenario, done_by: Time::ZERO + done_by.since(Time::ZERO) * 2 }
    }

    /// Makes the tables so small that the hostile hosts of a simulation can fill them.
    pub fn limit_for_hostile_hosts(&mut self) {
        let limits = &mut self.limits;
        limits.connections_max = 96;
        limits.half_open_per_address_max = 8;
        limits.peers_max = 64;
        limits.peers_per_address_max = 8;
        limits.entries_per_peer_max = 1_000;
        limits.entry_bytes_per_peer_max = 100_000;
        limits.entry_bytes_max = 400_000;
        limits.datagrams_per_source_per_s = 20;
        limits.datagrams_per_s = 60;
    }
}
