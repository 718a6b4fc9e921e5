//! One run of a peer by a command: from the flags to a standing peer, through its loop, to an orderly end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::classic::setup::Classic;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::human;
use crate::cli::json::Line;
use crate::cli::left_out::LeftOut;
use crate::cli::output::Output;
use crate::cli::telling::Known;
use crate::cli::transfer_log::{Lines, Record};
use crate::core::status::{DownloadStatus, NeighboursStatus};
use crate::core::{Command, Event, Fault, Limits, Status, Topology};
use crate::shell::{ForeignPorts, Listen, Reactor, ShellConfig, ShellError, ShellEvent, host};
use crate::store::transfer_log::TransferLog;
use crate::store::{OnConflict, StoreConfig};
use crate::types::{Bitfield, ContentId, Geometry};

/// How long an orderly end may take: what the core allows itself, and some.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// Where downloads go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// The file name of the one download; else it follows from the content's name.
    pub(crate) name: Option<String>,
    /// What to do when something is in the way.
    pub(crate) on_conflict: OnConflict,
}

/// As what a peer stands: who it is seen by, and who may connect to it.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Whether it speaks with native peers at all.
    pub(crate) native: bool,
    /// How it speaks the classic dialects; `None`: it does not.
    pub(crate) classic: Option<Classic>,
    /// Where it takes in pushes in the field's dialects; `None`: nowhere.
    pub(crate) foreign: Option<ForeignPorts>,
}

/// A standing peer and what its command prints.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    reactor: Reactor,
    pub(crate) out: &'a mut Output,
    log: Option<TransferLog>,
    lines: Lines,
    /// Where browsers see what is shared here; none where they may not.
    pub(crate) urls: Vec<String>,
    /// Names and cuts of the contents that events speak of by id.
    pub(super) known: BTreeMap<ContentId, Known>,
    /// Which peers people heard did not send a chunk, and why.
    pub(super) complaints: BTreeSet<(SocketAddr, &'static str)>,
    /// Files that are written to, of those that were found since the last scan was done.
    pub(super) unsettled: usize,
    /// Links that a scan left out, and whether the first scan is done.
    pub(super) left_out: LeftOut,
    pub(super) is_scanned: bool,
}

impl Standing {
    /// As a native peer that speaks the classic dialects too, if that is asked for.
    pub(crate) fn native(classic: Option<Classic>) -> Standing {
        Standing { native: true, classic, foreign: None }
    }
}

impl Default for Target {
    /// For commands that fetch nothing.
    fn default() -> Target {
        Target { dir: PathBuf::from("."), name: None, on_conflict: OnConflict::Rename }
    }
}

impl<'a> Run<'a> {
    /// Starts a peer from the flags. On failure the error has been printed; returns the exit code.
    pub(crate) fn start(
        command: &'static str,
        global: &Global,
        target: Target,
        standing: Standing,
        out: &'a mut Output,
    ) -> Result<Run<'a>, Exit> {
        Run::start_as(command, global, target, standing, out, |_| {})
    }

    /// The same, for a command that has the peer stand otherwise than the flags say.
    pub(crate) fn start_as(
        command: &'static str,
        global: &Global,
        target: Target,
        standing: Standing,
        out: &'a mut Output,
        adapt: impl FnOnce(&mut ShellConfig),
    ) -> Result<Run<'a>, Exit> {
        let user = global.name.clone().unwrap_or_else(host::name);
        let is_native = standing.native;
        let classic_udp = standing.classic.as_ref().map(|classic| classic.ports.udp.clone());
        let config = config(global, user.clone(), target, standing).inspect_err(|(exit, why, next)| {
            out.error(*exit, why, next.as_deref());
        });
        let mut config = config.map_err(|(exit, _, _)| exit)?;
        adapt(&mut config);
        let log_file = global.log_file().unwrap_or_else(|_| config.store.state_dir.join("transfers.log"));
        let reactor = match Reactor::new(config) {
            Ok(reactor) => reactor,
            Err(error) => return Err(tell_shell_error(out, &error)),
        };
        let log = open_log(&log_file, out);
        let classic_tcp: Option<Vec<u16>> = classic_udp
            .as_ref()
            .map(|_| reactor.classic_tcp_ports().iter().map(|(local, _)| *local).collect());
        let push_tcp: Vec<u16> = reactor.push_ports().iter().map(|(local, _)| *local).collect();
        if !push_tcp.is_empty() {
            log::info!("other programs' senders are served on TCP ports {push_tcp:?}");
        }
        let urls = if is_native && !global.no_http { urls(&reactor) } else { Vec::new() };
        out.json(&Line::Hello {
            command,
            version: env!("CARGO_PKG_VERSION"),
            user: &user,
            port: is_native.then_some(global.port),
            tcp_port: is_native.then(|| reactor.tcp_port()),
            classic_udp: classic_udp.as_deref(),
            classic_tcp: classic_tcp.as_deref(),
            push_tcp: Some(&push_tcp[..]).filter(|ports| !ports.is_empty()),
            urls: &urls,
            pid: std::process::id(),
        });
        if is_native {
            log::info!("listening on TCP port {}, discovery port {}", reactor.tcp_port(), global.port);
            if !urls.is_empty() {
                log::info!("browsers can download at {}", urls.join(", "));
            }
        }
        if let (Some(udp), Some(tcp)) = (classic_udp, classic_tcp) {
            log::info!("classic peers: listening on UDP ports {udp:?}, serving on TCP ports {tcp:?}");
        }
        let lines = Lines::default();
        Ok(Run {
            reactor,
            out,
            log,
            lines,
            urls,
            known: BTreeMap::new(),
            complaints: BTreeSet::new(),
            unsettled: 0,
            left_out: LeftOut::default(),
            is_scanned: false,
        })
    }

    /// Shares a file or a folder.
    pub(crate) fn share(&mut self, path: &Path) -> Result<(), crate::core::Fault> {
        self.reactor.share(path)
    }

    /// The same, but waits for each file until nobody has written to it for a while.
    pub(crate) fn share_when_quiet(&mut self, path: &Path) -> Result<(), crate::core::Fault> {
        self.reactor.share_when_quiet(path)
    }

    /// Shares the files below a folder, and looks about every `interval` for what changed there.
    pub(crate) fn watch(&mut self, path: &Path, interval: Duration) -> Result<(), crate::core::Fault> {
        self.reactor.watch(path, interval)
    }

    /// Looks at the watched folders as soon as possible.
    pub(crate) fn rescan(&mut self) {
        self.reactor.rescan();
    }

    /// Opens the folder that downloads go to, before the first of them.
    pub(crate) fn open_target(&mut self) -> Result<(), crate::core::Fault> {
        self.reactor.open_target()
    }

    /// The bytes that may still be written where downloads go, if that is told.
    pub(crate) fn free_bytes(&mut self) -> Option<u64> {
        self.reactor.free_bytes()
    }

    /// What is being read to be sent or shared, in words.
    pub(crate) fn reading(&self) -> Option<String> {
        let (name, done, size) = self.reactor.hashing()?;
        let (percent, size) = (human::percent(done, size), human::size(size));
        Some(format!("reading {}: {percent} % of {size}", human::quoted(&name)))
    }

    /// Bytes that pushes in the dialects of the field have taken in, or are let take in.
    pub(crate) fn foreign_bytes(&self) -> u64 {
        self.reactor.foreign_bytes()
    }

    /// The bytes of all files served from below the folder at `path`.
    pub(crate) fn bytes_below(&self, path: &Path) -> u64 {
        self.reactor.bytes_below(path)
    }

    /// Forgets the name of a content, if it is this one: no more will be told of it.
    pub(crate) fn forget(&mut self, content: &ContentId, name: &str) {
        if self.known.get(content).is_some_and(|known| *known.name == *name) {
            self.known.remove(content);
        }
    }

    /// Hands a command to the core.
    pub(crate) fn command(&mut self, command: Command) {
        self.reactor.command(command);
    }

    /// One turn of the loop, at most until `until`. What breaks it is told, and is the exit code.
    pub(crate) fn turn(&mut self, until: Option<Instant>) -> Result<(), Exit> {
        self.reactor.turn(until).map_err(|error| tell_shell_error(self.out, &error))
    }

    /// The next event, after logs and JSON lines have heard of it. What one turn's events have to say goes out together
    /// when the last of them is through: with many small files, a `write` for each line costs as much as fetching them.
    pub(crate) fn next_event(&mut self) -> Option<ShellEvent> {
        let Some(event) = self.reactor.next_event() else {
            self.release();
            return None;
        };
        self.out.hold();
        self.tell(&event);
        Some(event)
    }

    /// Writes what was held back of stdout and of the transfer log.
    fn release(&mut self) {
        if self.is_scanned {
            self.tell_left_out();
        }
        self.out.release();
        let flushed = self.log.as_mut().map_or(Ok(()), TransferLog::flush);
        self.note_logged(flushed);
    }

    /// What the peer knows and does.
    pub(crate) fn status(&self) -> Status {
        self.reactor.status()
    }

    /// How an arrangement of neighbours stands; `None` in a mesh.
    pub(crate) fn neighbours(&self) -> Option<NeighboursStatus> {
        self.reactor.neighbours()
    }

    /// The cut of a content that is here, wholly or in part, and which of its chunks are.
    pub(crate) fn held(&self, content: &ContentId) -> Option<(Geometry, Bitfield)> {
        self.reactor.held(content)
    }

    /// Reads a chunk that is here.
    pub(crate) fn read_chunk(
        &mut self,
        content: &ContentId,
        cut: &Geometry,
        chunk: u32,
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.reactor.read_chunk(content, cut, chunk, into)
    }

    /// The TCP port that it listens on.
    pub(crate) fn tcp_port(&self) -> u16 {
        self.reactor.tcp_port()
    }

    /// How far the downloads are that are not over, and how many peers a connection stands to.
    pub(crate) fn downloads(&self) -> (Vec<DownloadStatus>, usize) {
        (self.reactor.downloads(), self.reactor.connected())
    }

    /// Ends in order: finishes what is on the wire, closes every part with a clean mark. A second signal, or a core
    /// that takes too long, ends at once. `take` hears of what still happens.
    pub(crate) fn leave(&mut self, mut take: impl FnMut(&mut Run<'a>, ShellEvent)) {
        self.command(Command::Leave);
        let until = Instant::now() + LEAVE_MAX;
        while Instant::now() < until {
            if self.turn(Some(until)).is_err() {
                return;
            }
            while let Some(event) = self.next_event() {
                match event {
                    ShellEvent::Core(Event::Left) | ShellEvent::Signal(_) => return,
                    event => take(self, event),
                }
            }
        }
        log::warn!("the peer did not end within {} s", LEAVE_MAX.as_secs());
    }

    /// Appends a record to the transfer log. A log that cannot be written is complained about once.
    pub(crate) fn log(&mut self, record: &Record<'_>) {
        let Some(log) = &mut self.log else { return };
        let line = self.lines.line(record);
        let appended = log.append(&line);
        self.note_logged(appended);
    }

    fn note_logged(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            self.out.fail(&format!("chunkcast: {fault}"));
            self.log = None;
        }
    }
}

impl Drop for Run<'_> {
    /// A command may end with events that nobody took.
    fn drop(&mut self) {
        self.release();
    }
}

/// Where browsers reach this peer: an address for each network, and no name, which might not resolve where it is typed.
fn urls(reactor: &Reactor) -> Vec<String> {
    let addresses = reactor.addresses();
    let of_networks: Vec<IpAddr> = addresses.iter().copied().filter(|addr| !addr.is_loopback()).collect();
    let addresses = if of_networks.is_empty() { addresses } else { of_networks };
    let port = reactor.tcp_port();
    addresses.iter().map(|addr| format!("http://{}/", SocketAddr::new(*addr, port))).collect()
}

/// The flags as the shell takes them; else exit code, sentence and next step.
fn config(
    global: &Global,
    user: String,
    target: Target,
    standing: Standing,
) -> Result<ShellConfig, (Exit, String, Option<String>)> {
    let state_dir = global.state_dir().map_err(|why| (Exit::Storage, why, None))?;
    let mut peers = Vec::new();
    for text in &global.peer {
        let peer = host::resolve(text, global.port).map_err(|error| {
            let (from, shown) = (global.peer_from, text.escape_debug());
            let next = "name a host that resolves, or an address: --peer 192.168.1.27".to_owned();
            (Exit::Network, format!("{from} {shown} cannot be resolved: {error}"), Some(next))
        })?;
        if peer.is_ipv6() {
            let (from, shown) = (global.peer_from, text.escape_debug());
            let next = "name the peer's IPv4 address, for example --peer 192.168.1.27".to_owned();
            let why = format!("{from} {shown} has no IPv4 address, and peers are reached over IPv4 alone");
            return Err((Exit::Network, why, Some(next)));
        }
        peers.push(peer);
    }
    let (ports, kept) = standing.classic.map(|classic| (classic.ports, classic.store)).unzip();
    Ok(ShellConfig {
        user,
        port: global.port,
        listen: if standing.native { Listen::Near(global.port) } else { Listen::Nowhere },
        discovers: standing.native,
        topology: Topology::Mesh,
        classic: ports,
        http: !global.no_http,
        bind: global.bind,
        ifaces: global.iface.clone(),
        broadcast: global.broadcast,
        no_broadcast: global.no_broadcast,
        peers,
        announce_interval: global.announce_interval,
        foreign: standing.foreign,
        limits: Limits::default(),
        store: StoreConfig {
            state_dir,
            target_dir: target.dir,
            target_name: target.name,
            on_conflict: target.on_conflict,
            classic: kept,
        },
        seed: None,
    })
}

/// A log that cannot be opened keeps nothing else from working.
fn open_log(path: &Path, out: &mut Output) -> Option<TransferLog> {
    TransferLog::open(path).inspect_err(|fault| out.fail(&format!("chunkcast: {fault}"))).ok()
}

fn tell_shell_error(out: &mut Output, error: &ShellError) -> Exit {
    let exit = Exit::of_shell(error);
    match error {
        ShellError::Network(why) => out.error(exit, why, None),
        ShellError::Storage(fault) => out.error(exit, &fault.text, None),
    }
    exit
}
