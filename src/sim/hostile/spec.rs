//! What a hostile host does. Values only.

use std::time::Duration;

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
