//! chunkcast: a headless peer that shares files on a local network.
//!
//! One process, one poll loop. Peers find each other by UDP broadcast, cut files into chunks, and fetch every chunk
//! from whichever peer has it: verified against the file's BLAKE3 hash, resumable, over plain TCP.
//!
//! # A peer inside of another program
//!
//! A [`Reactor`] is a peer on real sockets and files. The program gives it [`Command`]s, turns its loop, and reads what
//! happened. Here two peers of one program share a file over loopback:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use chunkcast::{Command, Config, Event, Layout, Reactor, ShellEvent, Wanted};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let config = |name: &str| Config {
//!     no_broadcast: true,
//!     ..Config::new(name, folder.join(name), folder.join(name)).on_loopback()
//! };
//! std::fs::write(folder.join("talk.txt"), "hello")?;
//! let mut alice = Reactor::new(config("alice"))?;
//! alice.share(&folder.join("talk.txt")).map_err(|fault| fault.text)?;
//!
//! // Without broadcasts, peers are named. With them, `peers` stays empty.
//! let at = ([127, 0, 0, 1], alice.tcp_port()).into();
//! let mut bob = Reactor::new(Config { peers: vec![at], ..config("bob") })?;
//! bob.command(Command::Get {
//!     ticket: 1,
//!     wanted: Wanted::Name("talk.txt".to_owned()),
//!     at: None,
//!     layout: Layout::Flat,
//!     wait: Duration::from_secs(10),
//!     stall: Duration::from_secs(30),
//! });
//! let path = 'got: loop {
//!     for peer in [&mut alice, &mut bob] {
//!         peer.turn(Some(Instant::now() + Duration::from_millis(5)))?;
//!     }
//!     while let Some(event) = bob.next_event() {
//!         match event {
//!             ShellEvent::Core(Event::Finished { path, .. }) => break 'got path,
//!             ShellEvent::Core(Event::SearchFailed { reason, .. }) => panic!("{reason:?}"),
//!             _ => {}
//!         }
//!     }
//! };
//! assert_eq!(std::fs::read_to_string(path)?, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed.rs` is a program that does so.
//!
//! # The bare core
//!
//! A [`core::Peer`] knows no socket, file or clock. What happened goes in, and instructions come out. The one law: after each
//! call that changes the peer, `poll` is drained. `examples/custom_loop.rs` is a whole driver, with a network and a disk of its
//! own.
//!
//! ```
//! use std::time::Duration;
//! use chunkcast::core::{Config, DatagramTo, Input, Limits, Output, Peer, Topology};
//! use chunkcast::types::Time;
//!
//! let config = Config {
//!     topology: Topology::Mesh,
//!     limits: Limits::default(),
//!     user: "alice".to_owned(),
//!     tcp_port: 7117,
//!     announce_interval: Duration::from_secs(60),
//!     discovers: true,
//!     broadcast: true,
//!     classic: None,
//!     http: None,
//!     transfers: None,
//!     fixed_peers: Vec::new(),
//!     own_addresses: Vec::new(),
//!     agent: "mine/1.0".to_owned(),
//! };
//! let mut peer = Peer::new(config, 7, Time::ZERO);
//! let (first, _) = peer.deadline().expect("it announces itself");
//! peer.handle(first, Input::Tick);
//! while let Some(output) = peer.poll() {
//!     assert!(matches!(output, Output::Datagram { to: DatagramTo::Everybody, .. }));
//! }
//! ```
//!
//! # A swarm in virtual time
//!
//! [`sim`] drives many cores in one process. The same seed gives the same run.
//!
//! ```
//! use std::time::Duration;
//! use chunkcast::sim::{HostSpec, Outcome, Scenario, Simulation, Target};
//! use chunkcast::types::Time;
//!
//! let mut scenario = Scenario::new(1);
//! let film = scenario.content("talk.mkv", 8 << 20);
//! scenario.host(HostSpec::default().shares(film));
//! scenario.host(HostSpec::default().gets(Target::Name("talk.mkv".to_owned())));
//! let mut swarm = Simulation::new(scenario).expect("the content can be cut");
//! swarm.run_until_done(Time::ZERO + Duration::from_secs(30)).expect("no invariant breaks");
//! assert!(matches!(swarm.outcome(1, film), Some(Outcome::Finished(_))));
//! ```
//!
//! # The map
//!
//! Each line is one floor of the house; `ARCHITECTURE.md` has the longer story:
//!
//! * [`types`]: the values that all the others share.
//! * [`core`]: the peer as one deterministic value; no sockets, files, clocks or threads.
//! * [`wire`]: bytes to messages and back.
//! * `store`: the only code that touches files.
//! * [`shell`]: the only code that touches sockets, clocks, signals and processes: the real driver.
//! * [`sim`]: the virtual driver: the same core in virtual time, with faults, checked by an oracle.
//! * `cli`: one file a command.

#[doc(hidden)]
pub mod cli;
pub mod core;
pub mod shell;
pub mod sim;
#[doc(hidden)]
pub mod store;
pub mod types;
pub mod wire;

pub use crate::core::{Command, Event, Fault};
pub use crate::shell::{Listen, Reactor, ShellConfig as Config, ShellError as Error, ShellEvent};
#[doc(inline)]
pub use crate::store::{OnConflict, ShareEvent, StoreConfig};
pub use crate::types::ContentId;
pub use crate::types::name::Layout;
pub use crate::wire::message::Wanted;
