//! How a peer is opened: from settings to sockets, store and core.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Waker};

use crate::core::{ClassicConfig, Config, Event, HttpConfig, Limits, Peer, TransferConfig};
use crate::shell::clock::{Clock, random_seed};
use crate::shell::config::{ShellConfig, ShellError, ShellEvent, no_loop};
use crate::shell::datagrams::{Discovery, Speech};
use crate::shell::ifaces::Choice;
use crate::shell::links::Links;
use crate::shell::listeners::Listeners;
use crate::shell::rate_limit::RateLimits;
use crate::shell::reactor::{
    DISCOVERY, EVENTS_MAX, IFACE_INTERVAL, LINKS, LISTENERS, Reactor, SCRATCH_BYTES, SIGNALS, STORE,
    UDP_LISTENERS,
};
use crate::shell::signals::Signals;
use crate::shell::udp_listeners::UdpListeners;
use crate::shell::{descriptors, host};
use crate::store::{Buffers, Store};
use crate::wire::transfer::NAMED_LOG;

impl Reactor {
    /// Binds the ports, opens the store, starts the peer.
    pub fn new(config: ShellConfig) -> Result<Reactor, ShellError> {
        let poll = Poll::new().map_err(|error| no_loop(&error))?;
        let open_max = descriptors::raise_limit();
        let limits = within(config.limits.clone(), open_max);
        let (bind, seed, port, broadcasts) = (config.bind, config.seed, config.port, !config.no_broadcast);
        let (classic, mut warnings) = (config.classic.as_ref(), Vec::new());
        let transfers = config.transfers.as_ref();
        let mut listeners =
            Listeners::bind(bind, config.listen, classic, transfers, LISTENERS, &mut warnings)?;
        listeners.register(poll.registry()).map_err(|error| no_loop(&error))?;
        let udp_listeners =
            UdpListeners::open(poll.registry(), bind, broadcasts, classic, UDP_LISTENERS, &mut warnings)?;
        let signals = Signals::new(poll.registry(), SIGNALS).map_err(|error| no_loop(&error))?;
        let discovery = open_discovery(&config, poll.registry())?;
        if !discovery.hears() {
            warnings.push(format!("UDP port {port} is taken: other peers are not heard until it is free"));
        }
        let store = open_store(&config, &poll)?;
        let clock = Clock::new();
        let buffers = Buffers::new(usize::try_from(limits.buffer_pool_bytes).unwrap_or(usize::MAX));
        let (speaks_datagrams, rates) = (config.speaks_datagrams(), config.rates);
        let core = core_config(config, &listeners, limits);
        let peer = Peer::new(core, seed.unwrap_or_else(random_seed), clock.now());
        let registry = poll.registry().try_clone().map_err(|error| no_loop(&error))?;
        let warnings = warnings.into_iter().map(|text| ShellEvent::Core(Event::Warning(text)));
        let mut reactor = Reactor {
            peer,
            store,
            buffers,
            clock,
            links: Links::new(registry, LINKS, descriptors::lingering_max(open_max)),
            discovery,
            speaks_datagrams,
            bind,
            scratch: vec![0; SCRATCH_BYTES],
            event_queue: warnings.collect(),
            failed_dials: VecDeque::new(),
            moved_bytes: 0,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            listeners,
            udp_listeners,
            signals,
            signalled: false,
            ifaces_due: Instant::now() + IFACE_INTERVAL,
            left_by: None,
            longest_turn: Duration::ZERO,
            rates: RateLimits::new(rates, Instant::now()),
        };
        reactor.drain();
        Ok(reactor)
    }
}

impl ShellConfig {
    /// Whether there are sockets for datagrams at all.
    fn speaks_datagrams(&self) -> bool {
        self.discovers || self.classic.is_some()
    }
}

/// The limits, with no more connections than this process may have open files.
fn within(mut limits: Limits, open_max: Option<u64>) -> Limits {
    let wished = limits.connections_max;
    limits.connections_max = descriptors::connections_max(wished, open_max);
    if limits.connections_max < wished {
        log::info!(
            "at most {} connections instead of {wished}: `ulimit -Hn {}` allows all",
            limits.connections_max,
            wished * 2
        );
    }
    limits
}

/// The sockets that other peers are found by.
fn open_discovery(config: &ShellConfig, registry: &Registry) -> Result<Discovery, ShellError> {
    let choice = Choice { ifaces: config.ifaces.clone(), bind: config.bind, broadcast: config.broadcast };
    let speech = Speech { port: config.port, native: config.discovers, broadcasts: !config.no_broadcast };
    let named = config.peers.iter().map(SocketAddr::ip).collect();
    let mut discovery = Discovery::new(choice, speech, named, DISCOVERY);
    if config.speaks_datagrams() {
        discovery.refresh(registry);
        let speaks_v4 = config.bind.is_none_or(|ip| ip.is_ipv4());
        if discovery.networks() == 0 && config.peers.is_empty() && speaks_v4 {
            return Err(ShellError::Network(discovery.no_network()));
        }
    }
    Ok(discovery)
}

/// The store, whose results wake the loop.
fn open_store(config: &ShellConfig, poll: &Poll) -> Result<Store, ShellError> {
    let waker = Arc::new(Waker::new(poll.registry(), STORE).map_err(|error| no_loop(&error))?);
    let mut store = Store::open(config.store.clone()).map_err(ShellError::Storage)?;
    if config.transfers.is_some() {
        store.reserve_name(NAMED_LOG);
    }
    store.on_result(Box::new(move || {
        if let Err(error) = waker.wake() {
            log::debug!("a result of the store waits for the next turn: {error}");
        }
    }));
    Ok(store)
}

/// What the core is told: the settings, and the ports that it got.
fn core_config(config: ShellConfig, listeners: &Listeners, limits: Limits) -> Config {
    Config {
        user: config.user,
        tcp_port: listeners.native_port,
        announce_interval: config.announce_interval,
        discovers: config.discovers,
        topology: config.topology,
        broadcast: !config.no_broadcast,
        classic: config.classic.map(|classic| ClassicConfig {
            ports: listeners.ports.clone(),
            address_alone: config.bind.is_some_and(|ip| !ip.is_unspecified()),
            ..classic.config
        }),
        http: config.http.then(|| HttpConfig { names: host::names() }),
        transfers: config.transfers.map(|transfers| TransferConfig {
            ports: listeners.transfer_ports.iter().copied().collect(),
            ..transfers.config
        }),
        fixed_peers: config.peers,
        own_addresses: host::own_addresses(config.bind),
        agent: concat!("chunkcast/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits,
    }
}
