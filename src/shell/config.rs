//! What a driver is told at its start, and what it tells.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::core::{ClassicConfig, Event, Fault, Limits, Topology, TransferConfig};
use crate::store::{OnConflict, ShareEvent, StoreConfig};

/// The port of discovery, and the first of those that connections are taken in at.
const PORT: u16 = 7117;

/// How a peer stands on its network and its disk. [`ShellConfig::new`] has the defaults; the fields are set one by one.
///
/// ```
/// # use chunkcast::Config;
/// let config = Config { no_broadcast: true, ..Config::new("alice", "state", "downloads") };
/// assert_eq!(config.port, 7117);
/// ```
#[derive(Debug, Clone)]
pub struct ShellConfig {
    /// The user's name, for display.
    pub user: String,
    /// The discovery port.
    pub port: u16,
    /// Where TCP connections of native peers are taken in.
    pub listen: Listen,
    /// Whether the peer speaks of itself, and listens to others, by native datagrams.
    pub discovers: bool,
    /// Whom the peer dials, asks and serves.
    pub topology: Topology,
    /// The address that the TCP listener and the senders are bound to; `None`: all.
    pub bind: Option<IpAddr>,
    /// Only these interfaces, by name; empty: all.
    pub ifaces: Vec<String>,
    /// The one broadcast address to use; everything from outside its network is then ignored.
    pub broadcast: Option<Ipv4Addr>,
    /// Neither send broadcasts nor listen for them.
    pub no_broadcast: bool,
    /// Peers by address, resolved.
    pub peers: Vec<SocketAddr>,
    /// How often the peer announces itself.
    pub announce_interval: Duration,
    /// How the peer speaks the classic dialects; `None`: it does not.
    pub classic: Option<ClassicPorts>,
    /// Whether readers by HTTP are served on the port of native peers.
    pub http: bool,
    /// Where transfers are taken in; `None`: nowhere.
    pub transfers: Option<TransferPorts>,
    /// All bounds of the core.
    pub limits: Limits,
    /// The store's settings.
    pub store: StoreConfig,
    /// How much may move.
    pub rates: Rates,
    /// The seed of all randomness; `None`: from the operating system.
    pub seed: Option<u64>,
}

/// The most bytes that may move in a second, over all connections and datagrams together. `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Out of this process.
    pub up: Option<u64>,
    /// Into it.
    pub down: Option<u64>,
}

impl ShellConfig {
    /// A peer on all networks of this host, as `chunkcast serve` is one: found by others, and served by HTTP too.
    pub fn new(user: &str, state_dir: impl Into<PathBuf>, target_dir: impl Into<PathBuf>) -> ShellConfig {
        ShellConfig {
            user: user.to_owned(),
            port: PORT,
            listen: Listen::Near(PORT),
            discovers: true,
            topology: Topology::Mesh,
            bind: None,
            ifaces: Vec::new(),
            broadcast: None,
            no_broadcast: false,
            peers: Vec::new(),
            announce_interval: Duration::from_secs(60),
            classic: None,
            http: true,
            transfers: None,
            limits: Limits::default(),
            store: StoreConfig {
                state_dir: state_dir.into(),
                target_dir: target_dir.into(),
                target_name: None,
                on_conflict: OnConflict::Rename,
                classic: None,
            },
            rates: Rates::default(),
            seed: None,
        }
    }

    /// The same peer, on this machine alone.
    pub fn on_loopback(mut self) -> ShellConfig {
        self.bind = Some(Ipv4Addr::LOCALHOST.into());
        self.broadcast = Some(Ipv4Addr::new(127, 255, 255, 255));
        self
    }
}

/// Where TCP connections of native peers are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// At this port, or else at the next free one of its range, or else at any.
    Near(u16),
    /// At this port and no other.
    At(u16),
    /// Nowhere.
    Nowhere,
}

/// How a peer speaks the classic dialects, and where it listens for them.
#[derive(Debug, Clone)]
pub struct ClassicPorts {
    /// What the core is told; the driver fills in `ports` with the ports it got.
    pub config: ClassicConfig,
    /// UDP ports that announcements are heard on; 0: one that the system chooses.
    pub udp: Vec<u16>,
    /// TCP ports that requests are taken in on, each with the dialects' own port that it stands in for. Port 0: one
    /// that the system chooses.
    pub tcp: Vec<(u16, u16)>,
    /// Whether a port that is taken is a failure; else a warning.
    pub strict: bool,
}

/// Where transfers are taken in. A port that is taken is a failure.
#[derive(Debug, Clone)]
pub struct TransferPorts {
    /// What the core is told; the driver fills in `ports` with the ports it got.
    pub config: TransferConfig,
    /// TCP ports, each with whether a digit begins the named form there. Port 0: one that the system chooses.
    pub tcp: Vec<(u16, bool)>,
}

/// Why a peer cannot start.
#[derive(Debug)]
pub enum ShellError {
    /// A port is taken, or there is no network.
    Network(String),
    /// The store cannot be opened.
    Storage(Fault),
}

/// What a turn of the loop brought.
#[derive(Debug)]
pub enum ShellEvent {
    /// The core tells.
    Core(Event),
    /// What becomes of what is to be shared.
    Share(ShareEvent),
    /// A signal that asks to end came: SIGINT, SIGTERM or SIGHUP, by its number.
    Signal(i32),
}

impl fmt::Display for ShellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShellError::Network(text) => f.write_str(text),
            ShellError::Storage(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ShellError {}

/// What keeps a peer from its sockets.
pub(super) fn no_loop(error: &io::Error) -> ShellError {
    ShellError::Network(format!("the system does not let this process wait for its sockets: {error}"))
}
