//! The only code that touches sockets, clocks, signals and processes: the real driver of the core.

pub mod host;
pub mod process;
pub mod terminal;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::core::{Command, Event, Fault, Limits, Status};
use crate::store::StoreConfig;

/// How a peer stands on its network and its disk.
#[derive(Debug, Clone)]
pub struct ShellConfig {
    /// The user's name, for display.
    pub user: String,
    /// The discovery port, and the preferred TCP port.
    pub port: u16,
    /// The address that the TCP listener and the senders are bound to; `None`: all.
    pub bind: Option<IpAddr>,
    /// Only these interfaces, by name; empty: all.
    pub ifaces: Vec<String>,
    /// The one broadcast address to use; everything from outside its network is then ignored.
    pub broadcast: Option<std::net::Ipv4Addr>,
    /// Neither send broadcasts nor listen for them.
    pub no_broadcast: bool,
    /// Peers by address, resolved.
    pub peers: Vec<SocketAddr>,
    /// How often the peer announces itself.
    pub announce_interval: Duration,
    /// All bounds of the core.
    pub limits: Limits,
    /// The store's settings.
    pub store: StoreConfig,
    /// The seed of all randomness; `None`: from the operating system.
    pub seed: Option<u64>,
}

/// Why a peer cannot stand.
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
    /// A path that was to be shared, or a file in it, is left out, and why.
    Skipped {
        /// Which.
        path: PathBuf,
        /// Why, in a sentence.
        why: String,
    },
    /// Everything that was to be shared by now is hashed.
    ScanDone {
        /// Files shared now.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A signal that asks to end came: SIGINT, SIGTERM or SIGHUP, by its number.
    Signal(i32),
}

/// The peer on real sockets, files and time: one poll loop.
#[derive(Debug)]
pub struct Reactor {}

impl Reactor {
    /// Binds the ports, opens the store, starts the peer.
    pub fn new(config: ShellConfig) -> Result<Reactor, ShellError> {
        let _ = config;
        Err(ShellError::Network(String::new()))
    }

    /// The TCP port the peer listens on.
    pub fn tcp_port(&self) -> u16 {
        0
    }

    /// Shares a file, or all files below a folder.
    pub fn share(&mut self, path: &std::path::Path) -> Result<(), Fault> {
        let _ = path;
        Ok(())
    }

    /// Hands a command to the core.
    pub fn command(&mut self, command: Command) {
        let _ = command;
    }

    /// One turn of the loop: waits for something to happen, at most until `until` (`None`: as long as it takes), and
    /// does what follows from it. Then drain [`Reactor::next_event`].
    pub fn turn(&mut self, until: Option<Instant>) -> Result<(), ShellError> {
        let _ = until;
        Ok(())
    }

    /// The next event of the past turns.
    pub fn next_event(&mut self) -> Option<ShellEvent> {
        None
    }

    /// A snapshot for people.
    pub fn status(&self) -> Status {
        Status::default()
    }
}
