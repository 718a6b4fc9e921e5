//! One run of a peer by a command: from the flags to a started peer, through its loop, to an orderly end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::classic::setup::Classic;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::human;
use crate::cli::json::{self, Line};
use crate::cli::left_out::LeftOut;
use crate::cli::log::writer::{Ending, LogWriter};
use crate::cli::output::Output;
use crate::cli::report::Known;
use crate::cli::wanted::shell_quoted;
use crate::core::{Command, Event, Fault};
use crate::shell::{Listen, Rates, Reactor, ShellConfig, ShellError, ShellEvent, TransferPorts, host};
use crate::store::{OnConflict, StoreConfig};
use crate::types::ContentId;
use crate::types::name::{Layout, local_file_name, local_path, printable};

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

/// The mode of a peer: which peers see it, and which may connect to it.
#[derive(Debug)]
pub(crate) struct Mode {
    /// Whether it speaks with native peers at all.
    pub(crate) native: bool,
    /// How it speaks the classic dialects; `None`: it does not.
    pub(crate) classic: Option<Classic>,
    /// Where it takes in transfers; `None`: nowhere.
    pub(crate) transfers: Option<TransferPorts>,
}

/// A started peer and what its command prints.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) reactor: Reactor,
    pub(crate) out: &'a mut Output,
    pub(super) log: LogWriter,
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
    /// The loop broke, which was reported: it takes no further turn.
    is_broken: bool,
}

impl Mode {
    /// As a native peer that speaks the classic dialects too, if that is asked for.
    pub(crate) fn native(classic: Option<Classic>) -> Mode {
        Mode { native: true, classic, transfers: None }
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
        mode: Mode,
        out: &'a mut Output,
    ) -> Result<Run<'a>, Exit> {
        Run::start_as(command, global, target, mode, out, |_| {})
    }

    /// The same, for a command that changes what the flags say.
    pub(crate) fn start_as(
        command: &'static str,
        global: &Global,
        target: Target,
        mode: Mode,
        out: &'a mut Output,
        adapt: impl FnOnce(&mut ShellConfig),
    ) -> Result<Run<'a>, Exit> {
        let user = global.name.clone().unwrap_or_else(host::name);
        let is_native = mode.native;
        let classic_udp = mode.classic.as_ref().map(|classic| classic.ports.udp.clone());
        let config = config(global, &user, target, mode).inspect_err(|(exit, why, next)| {
            out.error(*exit, why, next.as_deref());
        });
        let mut config = config.map_err(|(exit, _, _)| exit)?;
        adapt(&mut config);
        let log_file = global.log_file().unwrap_or_else(|_| config.store.state_dir.join("transfers.log"));
        let reactor = match Reactor::new(config) {
            Ok(reactor) => reactor,
            Err(error) => return Err(report_shell_error(out, &error)),
        };
        let log = LogWriter::open(&log_file, out);
        let classic_tcp: Option<Vec<u16>> = classic_udp
            .as_ref()
            .map(|_| reactor.classic_tcp_ports().iter().map(|(local, _)| *local).collect());
        let transfer_tcp: Vec<u16> = reactor.transfer_ports().iter().map(|(local, _)| *local).collect();
        if !transfer_tcp.is_empty() {
            log::info!("other programs' senders are served on TCP ports {transfer_tcp:?}");
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
            transfer_tcp: Some(&transfer_tcp[..]).filter(|ports| !ports.is_empty()),
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
        Ok(Run {
            reactor,
            out,
            log,
            urls,
            known: BTreeMap::new(),
            complaints: BTreeSet::new(),
            unsettled: 0,
            left_out: LeftOut::default(),
            is_scanned: false,
            is_broken: false,
        })
    }

    /// What is being read to be sent or shared, in words.
    pub(crate) fn reading(&self) -> Option<String> {
        let (name, done, size) = self.reactor.store.hashing()?;
        let (percent, size) = (human::percent(done, size), human::size(size));
        Some(format!("reading {}: {percent} % of {size}", human::quoted(&name)))
    }

    /// One turn of the loop, at most until `until`. What breaks it is reported, and is the exit code.
    pub(super) fn turn(&mut self, until: Option<Instant>) -> Result<(), Exit> {
        self.reactor.turn(until).map_err(|error| {
            self.is_broken = true;
            report_shell_error(self.out, &error)
        })
    }

    /// The next event, after it was reported. What one turn's events have to say goes out together when the last of
    /// them is through: with many small files, a `write` for each line costs as much as fetching them.
    pub(super) fn next_event(&mut self) -> Option<ShellEvent> {
        let Some(event) = self.reactor.next_event() else {
            self.release();
            return None;
        };
        self.out.hold();
        self.report(&event);
        Some(event)
    }

    /// Writes what was held back of stdout and of the transfer log.
    fn release(&mut self) {
        if self.is_scanned {
            self.report_left_out();
        }
        self.out.release();
        self.log.flush(self.out);
    }

    /// Ends in order: finishes what is on the wire, closes every part with a clean mark. A second signal, or a core
    /// that takes too long, ends at once. `take` hears of what still happens.
    pub(crate) fn leave(&mut self, take: impl FnMut(&mut Run<'a>, ShellEvent)) {
        self.leave_network(take);
        for fault in self.reactor.close() {
            self.out.fail(&format!("chunkcast: {fault}"));
        }
    }

    fn leave_network(&mut self, mut take: impl FnMut(&mut Run<'a>, ShellEvent)) {
        self.reactor.command(Command::Leave);
        let until = Instant::now() + LEAVE_MAX;
        while Instant::now() < until {
            if self.is_broken || self.turn(Some(until)).is_err() {
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

    /// Adds a line to the transfer log that is no event.
    pub(crate) fn log(&mut self, ending: &Ending<'_>) {
        self.log.write(ending, self.out);
    }

    /// Adds to the transfer log that a file is not there.
    pub(crate) fn log_failure(&mut self, name: &str, id: Option<ContentId>, took: Duration, why: &str) {
        self.log(&Ending::Error { id, name, dur: json::seconds(took), message: why });
    }

    /// Says that a path cannot be used, and gives back the exit code of that.
    pub(crate) fn report_fault(&mut self, fault: &Fault) -> Exit {
        let exit = Exit::of_fault(fault);
        self.out.error(exit, &printable(&fault.text), None);
        exit
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
    user: &str,
    target: Target,
    mode: Mode,
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
    let (ports, kept) = mode.classic.map(|classic| (classic.ports, classic.store)).unzip();
    let defaults = ShellConfig::new(user, state_dir, target.dir);
    Ok(ShellConfig {
        port: global.port,
        listen: if mode.native { Listen::Near(global.port) } else { Listen::Nowhere },
        discovers: mode.native,
        classic: ports,
        http: !global.no_http,
        bind: global.bind,
        ifaces: global.iface.clone(),
        broadcast: global.broadcast,
        no_broadcast: global.no_broadcast,
        peers,
        announce_interval: global.announce_interval,
        transfers: mode.transfers,
        store: StoreConfig {
            target_name: target.name,
            on_conflict: target.on_conflict,
            classic: kept,
            ..defaults.store
        },
        rates: Rates { up: global.limit_up, down: global.limit_down },
        ..defaults
    })
}

fn report_shell_error(out: &mut Output, error: &ShellError) -> Exit {
    let exit = Exit::of_shell(error);
    match error {
        ShellError::Network(why) => out.error(exit, why, None),
        ShellError::Storage(fault) => out.error(exit, &fault.text, None),
    }
    exit
}

impl Target {
    /// As `-o` says; `single`: whether all that is asked for is one content, which alone can have a file name.
    pub(crate) fn asked(
        output: Option<&Path>,
        single: bool,
        on_conflict: OnConflict,
    ) -> Result<Target, String> {
        let Some(output) = output else { return Ok(Target { on_conflict, ..Target::default() }) };
        let text = output.to_string_lossy();
        if text.is_empty() {
            return Err("-o needs a folder or a file name".to_owned());
        }
        if text.ends_with('/') || output.is_dir() || output.file_name().is_none() {
            return Ok(Target { dir: output.to_owned(), name: None, on_conflict });
        }
        if !single {
            let [file, folder] =
                [text.to_string(), format!("{text}/")].map(|word| printable(&shell_quoted(&word)));
            return Err(format!(
                "-o {file}: several files cannot become one file; to make a folder: -o {folder}"
            ));
        }
        let name = output.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| "the file name after -o is not UTF-8; choose another".to_owned())?;
        let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Target { dir: dir.to_owned(), name: Some(name.to_owned()), on_conflict })
    }

    /// Where a content of this name is to go; the folder when its name is not known, or makes no path.
    pub(crate) fn path(&self, name: Option<&str>, layout: Layout) -> PathBuf {
        let local = self.name.clone().or_else(|| {
            let name = name?;
            match layout {
                Layout::Flat => local_file_name(name),
                Layout::Tree => local_path(name).ok().map(|components| components.join("/")),
            }
        });
        local.map_or_else(|| self.dir.clone(), |local| self.dir.join(local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_a_folder_or_the_name_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().to_str().unwrap();
        let asked = |output: Option<&str>, single| {
            let target = Target::asked(output.map(Path::new), single, OnConflict::Rename);
            target.map(|target| (target.dir, target.name))
        };
        assert_eq!(asked(None, true), Ok((".".into(), None)));
        assert_eq!(asked(Some(there), false), Ok((there.into(), None)));
        assert_eq!(asked(Some("new/"), false), Ok(("new/".into(), None)));
        assert_eq!(asked(Some(".."), true), Ok(("..".into(), None)));
        assert_eq!(asked(Some("y"), true), Ok((".".into(), Some("y".into()))));
        assert_eq!(asked(Some("d/y"), true), Ok(("d".into(), Some("y".into()))));
        assert!(asked(Some("y"), false).is_err());
        assert!(asked(Some(""), true).is_err());
    }

    #[test]
    fn what_a_name_leads_to_stays_in_the_folder() {
        let target = |name: Option<&str>| Target {
            dir: "d".into(),
            name: name.map(str::to_owned),
            on_conflict: OnConflict::Rename,
        };
        let flat = Layout::Flat;
        assert_eq!(target(None).path(None, flat), Path::new("d"));
        assert_eq!(target(None).path(Some("a/talk.mkv"), flat), Path::new("d").join("talk.mkv"));
        assert_eq!(target(Some("film.mkv")).path(Some("talk.mkv"), flat), Path::new("d").join("film.mkv"));
        assert_eq!(target(None).path(Some("a/talk.mkv"), Layout::Tree), Path::new("d/a/talk.mkv"));
        assert_eq!(target(None).path(Some("../talk.mkv"), Layout::Tree), Path::new("d"));
    }
}
