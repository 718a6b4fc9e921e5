//! What a peer is told at its start.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::io::{ClassicConfig, HttpConfig, TransferConfig};
use crate::core::limits::Limits;
use crate::core::topology::Topology;

/// What a peer is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom it dials, asks and serves.
    pub topology: Topology,
    /// All bounds.
    pub limits: Limits,
    /// The user's name, for display.
    pub user: String,
    /// The TCP port the driver listens on.
    pub tcp_port: u16,
    /// How often it announces itself.
    pub announce_interval: Duration,
    /// Whether it speaks of itself, and listens to others, by native datagrams at all. When not, it is found by nobody.
    pub discovers: bool,
    /// Whether it sends broadcasts at all.
    pub broadcast: bool,
    /// How it speaks the classic dialects; `None`: it does not.
    pub classic: Option<ClassicConfig>,
    /// How it serves readers by HTTP; `None`: it does not.
    pub http: Option<HttpConfig>,
    /// How it takes in transfers; `None`: it does not. It sends in them whenever it is told to.
    pub transfers: Option<TransferConfig>,
    /// Peers that somebody named: dialled and asked without being heard first.
    pub fixed_peers: Vec<SocketAddr>,
    /// This host's own addresses, which some limits except.
    pub own_addresses: Vec<IpAddr>,
    /// Program and version, for display.
    pub agent: String,
}

impl Config {
    /// Whether an address is this host's, which limits by address except.
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.own_addresses.contains(&ip)
    }
}
