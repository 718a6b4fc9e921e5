//! The flags that every command takes. Each has an environment variable, named in its `env`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use crate::cli::failure_notice;
use crate::cli::output::JsonMode;
use crate::cli::units::{parse_interval, parse_limit};
use crate::shell::host;

/// The discovery port, unless another is asked for.
pub(crate) const DEFAULT_PORT: u16 = 7117;
/// The headings of these flags in the help.
pub(crate) const NETWORK: &str = "Network";
pub(crate) const COMMON: &str = "Everywhere";

/// The flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Discovery port (UDP), the same for all peers. TCP uses this port or one of the next 16
    #[arg(long, global = true, value_name = "PORT", env = "CHUNKCAST_PORT", hide_env = true, hide_short_help = true, help_heading = NETWORK,
          default_value_t = DEFAULT_PORT, value_parser = parse_port)]
    pub(crate) port: u16,
    /// Use only this address of this host [default: all addresses]
    #[arg(long, global = true, value_name = "ADDR", env = "CHUNKCAST_BIND", hide_env = true, hide_short_help = true, help_heading = NETWORK)]
    pub(crate) bind: Option<IpAddr>,
    /// Use only this interface (repeatable, or with commas) [default: all interfaces]
    #[arg(long, global = true, value_name = "NAME", env = "CHUNKCAST_IFACE", hide_env = true, hide_short_help = true, help_heading = NETWORK,
          value_delimiter = ',')]
    pub(crate) iface: Vec<String>,
    /// Broadcast only to this address, and ignore other networks [default: every network]
    #[arg(long, global = true, value_name = "ADDR", env = "CHUNKCAST_BROADCAST", hide_env = true, hide_short_help = true,
          help_heading = NETWORK)]
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// Do not use broadcasts; name the peers with --peer [default: use them]
    #[arg(long, global = true, env = "CHUNKCAST_NO_BROADCAST", hide_env = true, hide_short_help = true, help_heading = NETWORK,
          action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) no_broadcast: bool,
    /// Do not let browsers download what is shared [default: they may]
    #[arg(long, global = true, env = "CHUNKCAST_NO_HTTP", hide_env = true, hide_short_help = true, help_heading = NETWORK,
          action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) no_http: bool,
    /// Also ask this peer directly (repeatable, or with commas) [default: nobody]
    #[arg(long, global = true, value_name = "HOST[:PORT]", env = "CHUNKCAST_PEER", hide_env = true, hide_short_help = true,
          help_heading = NETWORK, value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Where the peers were named: the flag, or its variable.
    #[arg(skip = "--peer")]
    pub(crate) peer_from: &'static str,
    /// Your name, as other peers see it [default: this host's name]
    #[arg(long, global = true, value_name = "USER", env = "CHUNKCAST_NAME", hide_env = true, hide_short_help = true, help_heading = NETWORK)]
    pub(crate) name: Option<String>,
    /// Send at most this much a second, to all peers together: 10MB, 80Mbit [default: no limit]
    #[arg(long, global = true, value_name = "RATE", env = "CHUNKCAST_LIMIT_UP", hide_env = true, hide_short_help = true,
          help_heading = NETWORK, value_parser = parse_limit)]
    pub(crate) limit_up: Option<u64>,
    /// Receive at most this much a second, from all peers together [default: no limit]
    #[arg(long, global = true, value_name = "RATE", env = "CHUNKCAST_LIMIT_DOWN", hide_env = true, hide_short_help = true,
          help_heading = NETWORK, value_parser = parse_limit)]
    pub(crate) limit_down: Option<u64>,
    /// How often to announce what is shared
    #[arg(long, global = true, value_name = "TIME", env = "CHUNKCAST_ANNOUNCE_INTERVAL", hide_env = true, hide_short_help = true,
          help_heading = NETWORK, default_value = "60s", value_parser = parse_interval)]
    pub(crate) announce_interval: Duration,
    /// Folder for known hashes and the transfer log [default: $XDG_STATE_HOME/chunkcast]
    #[arg(long, global = true, value_name = "DIR", env = "CHUNKCAST_STATE_DIR", hide_env = true, hide_short_help = true, help_heading = COMMON)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Transfer log [default: transfers.log in the state directory]
    #[arg(long, global = true, value_name = "FILE", env = "CHUNKCAST_LOG_FILE", hide_env = true, hide_short_help = true,
          help_heading = COMMON)]
    pub(crate) log_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: failure_notice::FailureNoticeArgs,
    /// Print one JSON object per line on stdout; =chunks adds one for each chunk [default: off]
    #[arg(long, global = true, value_name = "MODE", env = "CHUNKCAST_JSON", hide_env = true, hide_short_help = true, help_heading = COMMON,
          num_args = 0..=1, require_equals = true, default_value = "off", default_missing_value = "lines",
          hide_default_value = true, value_parser = JsonMode::parse)]
    pub(crate) json: JsonMode,
    /// Print only results and failures [default: progress too]
    #[arg(short, long, global = true, env = "CHUNKCAST_QUIET", hide_env = true, hide_short_help = true, help_heading = COMMON,
          action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Print more (-vv and -vvv: still more) [default: warnings only]
    #[arg(short, long, global = true, env = "CHUNKCAST_VERBOSE", hide_env = true, hide_short_help = true, help_heading = COMMON,
          action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// End when the parent process ends
    #[arg(long, global = true, hide = true)]
    pub(crate) with_parent: bool,
}

impl Global {
    /// The state directory: as asked for, else below `$XDG_STATE_HOME`, else below `$HOME/.local/state`.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, String> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        let var = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = var("XDG_STATE_HOME").or_else(|| var("HOME").map(|home| home.join(".local/state")));
        base.map(|base| base.join("chunkcast"))
            .ok_or_else(|| "there is no home folder; name a folder with --state-dir".to_owned())
    }

    /// The transfer log.
    pub(crate) fn log_file(&self) -> Result<PathBuf, String> {
        match &self.log_file {
            Some(file) => Ok(file.clone()),
            None => Ok(self.state_dir()?.join("transfers.log")),
        }
    }

    /// Where this process asks for peers, in words; empty when nowhere.
    pub(crate) fn asked(&self) -> String {
        let networks = match self.no_broadcast {
            true => Vec::new(),
            false => host::asked_networks(self.bind, &self.iface, self.broadcast),
        };
        let peers = self.peer.iter().map(|peer| peer.escape_debug().to_string());
        let asked: Vec<String> = networks.into_iter().chain(peers).collect();
        match asked.split_last() {
            None => String::new(),
            Some((last, [])) => format!("on {last}"),
            Some((last, rest)) => format!("on {} and {last}", rest.join(", ")),
        }
    }

    /// Refuses peers with IPv6 addresses: nothing here reaches them.
    pub(crate) fn check_ipv4(&self) -> Result<(), String> {
        let Some(peer) = self.peer.iter().find(|peer| is_ipv6(peer)) else { return Ok(()) };
        let (from, shown) = (self.peer_from, peer.escape_debug());
        Err(format!(
            "{from} names {shown}, an IPv6 address, and peers are reached over IPv4 alone\n\n  \
             tip: name the peer's host or its IPv4 address, for example 192.168.1.27"
        ))
    }
}

/// Whether an endpoint is written with an IPv6 address: `HOST:PORT` has one colon.
fn is_ipv6(text: &str) -> bool {
    text.matches(':').count() > 1
}

fn parse_port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}
