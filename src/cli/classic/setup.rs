//! The flags about classic dialects, and the configuration of shell, core and store that follows from them: for native
//! commands with `--classic`, and for the `classic` commands.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::classic::folder::{DictionaryArgs, Folder};
use crate::cli::global::Global;
use crate::cli::units::parse_size;
use crate::core::{ClassicConfig, DictionaryUse, Voice};
use crate::shell::{ClassicPorts, host};
use crate::store::ClassicStore;
use crate::wire::classic::{Dialect, TCP_PORTS, UDP_PORTS};

/// The most of a chunk that is taken where nobody says otherwise, as it is written on a command line.
pub(crate) const CHUNK_MAX_WRITTEN: &str = "16GiB";
/// The same for what only serves, in bytes: nothing comes to it.
const NO_CHUNK: u64 = 0;
/// In the target folder of `get --classic`: the chunks, until they are joined.
const CHUNK_FOLDER: &str = ".chunkcast-classic";
/// What is announced beside native content: every kind of listener finds names in the form that it can ask for.
/// Not in D: it calls chunks of another cut as A-size does, and who hears both would take one for the other.
const ANNOUNCEMENT_FORMATS: [Voice; 4] = [
    Voice { dialect: Dialect::A, port: 5000 },
    Voice { dialect: Dialect::ASize, port: 5000 },
    Voice { dialect: Dialect::E, port: 5000 },
    Voice { dialect: Dialect::B, port: 5001 },
];
/// In the state directory: where a command that fetches nothing would keep chunks.
const NO_CHUNK_FOLDER: &str = "classic";
/// What a `classic` command that names no dialect is asked in.
const DEFAULT_ASKED: [Dialect; 2] = [Dialect::B, Dialect::C];

pub(crate) const CLASSIC: &str = "Classic peers";

/// How a peer speaks the classic dialects, and where it keeps what comes.
#[derive(Debug)]
pub(crate) struct Classic {
    pub(crate) ports: ClassicPorts,
    pub(crate) store: ClassicStore,
}

/// The flags of a native command that speaks the classic dialects beside.
#[derive(Debug, Clone, Args)]
pub(crate) struct Beside {
    /// Also use classic peers, unverified (UDP ports 5000 to 5002, TCP ports 5000, 5001, 8000) [default: no]
    #[arg(long, help_heading = CLASSIC)]
    pub(crate) classic: bool,
    /// Dialect of a classic peer that cannot be detected, as 192.168.2.65=B-json (repeatable, or with commas) [default: detect]
    #[arg(long, value_name = "ADDR=DIALECT", value_delimiter = ',', value_parser = parse_spoken,
          requires = "classic", help_heading = CLASSIC)]
    classic_dialect: Vec<(IpAddr, Dialect)>,
}

/// The role of a native command among classic peers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role<'a> {
    /// It only hears them.
    Hears,
    /// It serves them what is shared.
    Serves,
    /// It fetches into this folder, no chunk larger than so many bytes, and serves what it has. It announces that only if it stays:
    /// lists in the field never forget.
    Fetches { target: &'a Path, chunk_bytes_max: u64, stays: bool },
}

/// The flags of the `classic` commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Alone {
    /// Shared folder of the four programs: chunks, dictionary, logs
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// A, A-size, B, B-json, C, D or E [default: A beside temp, else B, and C on its port]
    #[arg(long, value_name = "DIALECT", value_parser = parse_dialect)]
    dialect: Option<Dialect>,
    /// UDP port for announcements [default: the port of the dialect]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    udp_port: Option<u16>,
    /// TCP port to serve on and to connect to [default: the port of the dialect]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tcp_port: Option<u16>,
    #[command(flatten)]
    dictionary: DictionaryArgs,
    /// Dialect of a peer that cannot be detected, as 192.168.2.65=B-json (repeatable, or with commas) [default: detect]
    #[arg(long, value_name = "ADDR=DIALECT", value_delimiter = ',', value_parser = parse_spoken)]
    classic_dialect: Vec<(IpAddr, Dialect)>,
    /// Largest chunk to accept
    #[arg(long, value_name = "SIZE", default_value = CHUNK_MAX_WRITTEN, value_parser = parse_size)]
    max_size: u64,
}

/// What one process does of what the four programs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    Announce,
    Discover,
    Upload,
    Download,
    /// All of it.
    Everything,
}

impl Beside {
    /// How the command speaks the classic dialects; `None`: it does not.
    pub(crate) fn speak(&self, role: Role<'_>, global: &Global) -> Option<Classic> {
        if !self.classic {
            return None;
        }
        let hears_only = matches!(role, Role::Hears);
        let announces = !matches!(role, Role::Hears | Role::Fetches { stays: false, .. });
        let (chunk_dir, chunk_bytes_max) = match role {
            Role::Fetches { target, chunk_bytes_max, .. } => (target.join(CHUNK_FOLDER), chunk_bytes_max),
            // Without a state directory no peer stands, which is told there.
            _ => (global.state_dir().unwrap_or_default().join(NO_CHUNK_FOLDER), NO_CHUNK),
        };
        let store = ClassicStore { chunk_dir, records: None, remove_joined: true };
        let config = ClassicConfig {
            voices: if announces { ANNOUNCEMENT_FORMATS.to_vec() } else { Vec::new() },
            ..silent(global, &self.classic_dialect, chunk_bytes_max)
        };
        let tcp = if hears_only { Vec::new() } else { TCP_PORTS.map(|port| (port, port)).to_vec() };
        Some(Classic { ports: ClassicPorts { config, udp: UDP_PORTS.to_vec(), tcp, strict: false }, store })
    }
}

impl Alone {
    /// The shared folder, as it is seen to be now.
    pub(crate) fn folder(&self) -> Folder {
        Folder::see(&self.dir, self.dialect, &self.dictionary)
    }

    /// The UDP ports that are announced on.
    pub(crate) fn announcement_formats(&self, folder: &Folder) -> Vec<Voice> {
        let dialect = folder.dialect();
        self.udp_ports(folder).into_iter().map(|port| Voice { dialect, port }).collect()
    }

    /// How a process with this duty speaks. Its ports are what it is for, so each has to be free.
    pub(crate) fn speak(&self, duty: Duty, folder: &Folder, global: &Global) -> Classic {
        let has = |other: Duty| duty == other || duty == Duty::Everything;
        let config = ClassicConfig {
            voices: if has(Duty::Announce) { self.announcement_formats(folder) } else { Vec::new() },
            dial_port: self.tcp_port,
            speaks: folder.told_dialect(),
            dictionary: match duty {
                Duty::Discover | Duty::Everything => DictionaryUse::Write,
                Duty::Download => DictionaryUse::Read,
                Duty::Announce | Duty::Upload => DictionaryUse::None,
            },
            ..silent(global, &self.classic_dialect, self.max_size)
        };
        let udp = if has(Duty::Discover) { self.udp_ports(folder) } else { Vec::new() };
        let tcp = if has(Duty::Upload) { self.ports(folder) } else { Vec::new() };
        Classic { ports: ClassicPorts { config, udp, tcp, strict: true }, store: folder.store() }
    }

    /// The UDP ports that are announced and heard on.
    fn udp_ports(&self, folder: &Folder) -> Vec<u16> {
        self.udp_port.map_or_else(|| folder.dialect().udp_ports().to_vec(), |port| vec![port])
    }

    /// The TCP ports that are served on, each with the dialects' own that it stands in for.
    fn ports(&self, folder: &Folder) -> Vec<(u16, u16)> {
        match (self.tcp_port, folder.told_dialect()) {
            (Some(port), Some(dialect)) => vec![(port, dialect.tcp_port())],
            (Some(port), None) if TCP_PORTS.contains(&port) => vec![(port, port)],
            (Some(port), None) => vec![(port, folder.dialect().tcp_port())],
            (None, Some(dialect)) => vec![(dialect.tcp_port(), dialect.tcp_port())],
            (None, None) => DEFAULT_ASKED.map(|dialect| (dialect.tcp_port(), dialect.tcp_port())).to_vec(),
        }
    }
}

/// The settings of a peer that only listens, as far as all commands have them in common.
fn silent(global: &Global, spoken: &[(IpAddr, Dialect)], chunk_bytes_max: u64) -> ClassicConfig {
    ClassicConfig {
        address: host::own_address(global.bind, &global.iface, global.broadcast),
        voices: Vec::new(),
        announce_interval: global.announce_interval,
        ports: BTreeMap::new(),
        address_alone: false,
        dial_port: None,
        dialects: spoken.iter().copied().collect(),
        speaks: None,
        dictionary: DictionaryUse::None,
        chunk_bytes_max,
    }
}

/// Reads the name of a dialect.
fn parse_dialect(text: &str) -> Result<Dialect, String> {
    text.parse().map_err(|error: crate::wire::classic::UnknownDialect| error.to_string())
}

/// Reads `ADDR=DIALECT`.
fn parse_spoken(text: &str) -> Result<(IpAddr, Dialect), String> {
    let (addr, dialect) = text
        .split_once('=')
        .ok_or_else(|| "write an address and what it speaks: 192.168.2.65=B-json".to_owned())?;
    let addr = addr.parse().map_err(|_| format!("{:?} is no address: write 192.168.2.65=B-json", addr))?;
    Ok((addr, parse_dialect(dialect)?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Native {
        #[command(flatten)]
        global: Global,
        #[command(flatten)]
        beside: Beside,
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        global: Global,
        #[command(flatten)]
        alone: Alone,
    }

    fn native(args: &str) -> Native {
        Native::try_parse_from(std::iter::once("x").chain(args.split_whitespace())).unwrap()
    }

    fn program(args: &str) -> (Alone, Global) {
        let parsed = Program::try_parse_from(std::iter::once("x").chain(args.split_whitespace())).unwrap();
        (parsed.alone, parsed.global)
    }

    #[test]
    fn beside_a_native_command_everything_is_heard_and_served_on_the_known_ports() {
        let args = native("--classic --bind 127.0.0.7 --classic-dialect 10.0.0.1=b-json,10.0.0.2=C");
        let role = Role::Fetches { target: Path::new("films"), chunk_bytes_max: 1 << 20, stays: true };
        let Classic { ports, store } = args.beside.speak(role, &args.global).unwrap();
        assert_eq!((ports.udp.as_slice(), ports.strict), (&UDP_PORTS[..], false));
        assert_eq!(ports.tcp, [(5000, 5000), (5001, 5001), (8000, 8000)]);
        assert_eq!(ports.config.address.to_string(), "127.0.0.7");
        assert_eq!(ports.config.voices, ANNOUNCEMENT_FORMATS);
        assert_eq!((ports.config.chunk_bytes_max, ports.config.dictionary), (1 << 20, DictionaryUse::None));
        let spoken: Vec<String> =
            ports.config.dialects.iter().map(|(addr, dialect)| format!("{addr} {dialect}")).collect();
        assert_eq!(spoken, ["10.0.0.1 B-json", "10.0.0.2 C"]);
        assert_eq!(store.chunk_dir, Path::new("films/.chunkcast-classic"));
        assert!(store.records.is_none() && store.remove_joined);

        assert!(Native::try_parse_from(["x", "--classic-dialect", "10.0.0.1=B"]).is_err());
        assert!(native("").beside.speak(Role::Serves, &args.global).is_none());
    }

    #[test]
    fn who_only_looks_says_and_serves_nothing() {
        let args = native("--classic --bind 127.0.0.7 --state-dir state");
        let Classic { ports, store } = args.beside.speak(Role::Hears, &args.global).unwrap();
        assert!(ports.config.voices.is_empty() && ports.tcp.is_empty());
        assert_eq!(
            (ports.udp.as_slice(), store.chunk_dir.as_path()),
            (&UDP_PORTS[..], Path::new("state/classic"))
        );
        let ports = args.beside.speak(Role::Serves, &args.global).unwrap().ports;
        assert_eq!((ports.config.voices.as_slice(), ports.tcp.len()), (&ANNOUNCEMENT_FORMATS[..], 3));
    }

    #[test]
    fn what_is_fetched_in_passing_is_not_announced() {
        let args = native("--classic --bind 127.0.0.7");
        for stays in [false, true] {
            let role = Role::Fetches { target: Path::new("films"), chunk_bytes_max: 1, stays };
            let ports = args.beside.speak(role, &args.global).unwrap().ports;
            assert_eq!(!ports.config.voices.is_empty(), stays);
            assert_eq!(ports.tcp.len(), 3);
        }
    }

    #[test]
    fn voices_are_those_that_the_dialects_listen_to() {
        for format in ANNOUNCEMENT_FORMATS {
            assert!(format.dialect.udp_ports().contains(&format.port), "{format:?}");
        }
    }

    #[test]
    fn each_program_has_the_ports_of_its_duty() {
        let ports = |args: &str, duty| {
            let (alone, global) = program(args);
            let ports = alone.speak(duty, &alone.folder(), &global).ports;
            assert!(ports.strict);
            let voices: Vec<(Dialect, u16)> =
                ports.config.voices.iter().map(|format| (format.dialect, format.port)).collect();
            (voices, ports.udp, ports.tcp, ports.config.dictionary)
        };
        let none = DictionaryUse::None;
        assert_eq!(ports("", Duty::Announce), (vec![(Dialect::B, 5001)], vec![], vec![], none));
        assert_eq!(ports("", Duty::Discover), (vec![], vec![5001], vec![], DictionaryUse::Write));
        assert_eq!(ports("", Duty::Upload), (vec![], vec![], vec![(8000, 8000), (5000, 5000)], none));
        assert_eq!(ports("", Duty::Download), (vec![], vec![], vec![], DictionaryUse::Read));
        assert_eq!(
            ports("--dialect a --udp-port 8000 --tcp-port 6000", Duty::Everything),
            (vec![(Dialect::A, 8000)], vec![8000], vec![(6000, 5001)], DictionaryUse::Write)
        );
        assert_eq!(ports("--tcp-port 5000", Duty::Upload).2, [(5000, 5000)]);
        assert_eq!(ports("--tcp-port 6000", Duty::Upload).2, [(6000, 8000)]);
        assert_eq!(ports("--dialect E", Duty::Upload).2, [(5000, 5000)]);
        assert_eq!(ports("--dialect D", Duty::Discover).1, [5001, 5002]);
        assert_eq!(ports("--dialect D", Duty::Announce).0, [(Dialect::D, 5001), (Dialect::D, 5002)]);
    }

    #[test]
    fn a_named_dialect_and_port_hold_for_every_peer_that_is_asked() {
        let (alone, global) = program("--dialect A --tcp-port 6001");
        let config = alone.speak(Duty::Download, &alone.folder(), &global).ports.config;
        assert_eq!((config.speaks, config.dial_port), (Some(Dialect::A), Some(6001)));
        let (alone, global) = program("");
        let config = alone.speak(Duty::Download, &alone.folder(), &global).ports.config;
        assert_eq!((config.speaks, config.dial_port), (None, None));
    }

    #[test]
    fn what_is_no_dialect_or_address_is_refused() {
        for text in ["", "B", "host=B", "10.0.0.1=", "10.0.0.1=F", "=B"] {
            assert!(parse_spoken(text).is_err(), "{text}");
        }
        assert_eq!(parse_spoken("10.0.0.1=a-SIZE").unwrap().1, Dialect::ASize);
    }
}
