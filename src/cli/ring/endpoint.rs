//! Addresses on the command line of a ring: a port of this host, or `HOST:PORT`; and texts about who stands there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::human;
use crate::cli::output::Output;
use crate::cli::run::{Mode, Run, Target};
use crate::core::status::{EndStatus, NeighboursStatus};
use crate::core::{Place, Topology};
use crate::shell::{Listen, host};
use crate::wire::message::PORT_MIN;

/// How soon, and how late at most, an endpoint where nobody answers is dialled again.
const REDIAL_WAIT_MIN: Duration = Duration::from_millis(100);
const REDIAL_WAIT_MAX: Duration = Duration::from_secs(2);

/// An endpoint, not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `None`: this host.
    host: Option<String>,
    port: u16,
}

impl Endpoint {
    /// Reads an argument.
    pub(crate) fn parse(text: &str) -> Result<Endpoint, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => (Some(host.to_owned()), port),
            Some(_) => return Err("write a port of this host, or HOST:PORT".to_owned()),
            None => (None, text),
        };
        let port: u16 = port.parse().map_err(|_| "write a port of this host, or HOST:PORT".to_owned())?;
        if port < PORT_MIN {
            return Err(format!("ports of peers are {PORT_MIN} and above"));
        }
        Ok(Endpoint { host, port })
    }

    /// Where to dial; a port of this host is one of `bind`, or of loopback.
    pub(crate) fn resolve(&self, bind: Option<IpAddr>) -> Result<SocketAddr, String> {
        let this = bind.filter(|ip| !ip.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        match &self.host {
            None => Ok(SocketAddr::new(this, self.port)),
            Some(host) => {
                let text = format!("{host}:{}", self.port);
                host::resolve(&text, self.port)
                    .map_err(|error| format!("{} cannot be resolved: {error}", text.escape_debug()))
            }
        }
    }

    /// Where to listen: at the host's address that was named, else at that of `--bind`, else at all.
    pub(crate) fn listen(&self, global: &Global) -> Result<(Option<IpAddr>, u16), String> {
        match self.host {
            Some(_) => self.resolve(None).map(|addr| (Some(addr.ip()), addr.port())),
            None => Ok((global.bind, self.port)),
        }
    }
}

/// Whether who listens at `listen` would reach itself at `addr`.
pub(crate) fn is_itself(listen: (Option<IpAddr>, u16), addr: SocketAddr) -> bool {
    let (ip, port) = listen;
    port == addr.port()
        && match ip.filter(|ip| !ip.is_unspecified()) {
            Some(ip) => ip == addr.ip() || addr.ip().is_unspecified(),
            None => host::is_own(addr.ip()),
        }
}

/// Starts a peer that finds nobody but its neighbours, and listens at this place alone.
pub(super) fn start<'a>(
    global: &Global,
    target: Target,
    (bind, port): (Option<IpAddr>, u16),
    place: Place,
    out: &'a mut Output,
) -> Result<Run<'a>, Exit> {
    Run::start_as("ring", global, target, Mode::native(None), out, |config| {
        config.listen = Listen::At(port);
        config.bind = bind;
        config.discovers = false;
        config.no_broadcast = true;
        config.broadcast = None;
        config.peers = Vec::new();
        config.limits.redial_wait_min = REDIAL_WAIT_MIN;
        config.limits.redial_wait_max = REDIAL_WAIT_MAX;
        config.topology = Topology::Neighbours(place);
    })
}

/// Where the owner was named, and who answered there.
pub(super) fn owner_of(status: Option<&NeighboursStatus>) -> Option<&EndStatus> {
    status.and_then(|status| status.owner.as_ref())
}

/// Who an endpoint is to this peer.
pub(super) fn who(status: Option<&NeighboursStatus>, addr: SocketAddr) -> String {
    let owner = owner_of(status).is_some_and(|end| end.addr == addr);
    format!("{} {addr}", if owner { "the owner" } else { "the download neighbour" })
}

/// The chunks that are missing; `count` of them, of which the first are known.
pub(super) fn missing_text(missing: &[u32], count: u32) -> String {
    match count {
        0 => "the list of chunks".to_owned(),
        1 => format!("chunk {}", human::some_of(missing, 1)),
        _ => format!("chunks {}", human::some_of(missing, count.into())),
    }
}

/// From whom what is missing could come; `falls_back`: whether the owner is asked for it anyway.
pub(super) fn sources_text(status: Option<&NeighboursStatus>, falls_back: bool) -> String {
    let Some(status) = status else { return String::new() };
    let end = |what: &str, end: &EndStatus| {
        let state = if end.connected { format!("has {}", end.have) } else { "not connected".to_owned() };
        format!("{what} {} ({state})", end.addr)
    };
    let upstream = status.upstream.iter().map(|up| end("the download neighbour", up));
    let last = if falls_back { "the owner" } else { "with --owner-fallback the owner" };
    let owner = status.owner.iter().map(|owner| end(last, owner));
    let ends: Vec<String> = upstream.chain(owner).collect();
    format!("possible sources: {}", ends.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_or_a_host_and_a_port() {
        let resolved = |text: &str, bind: Option<&str>| {
            Endpoint::parse(text)?.resolve(bind.map(|ip| ip.parse().unwrap())).map(|addr| addr.to_string())
        };
        assert_eq!(resolved("7200", None), Ok("127.0.0.1:7200".into()));
        assert_eq!(resolved("7200", Some("127.0.0.5")), Ok("127.0.0.5:7200".into()));
        assert_eq!(resolved("127.0.0.9:7200", Some("127.0.0.5")), Ok("127.0.0.9:7200".into()));
        assert_eq!(resolved("localhost:7200", None), Ok("127.0.0.1:7200".into()));
        assert_eq!(resolved("[::1]:7200", None), Ok("[::1]:7200".into()));
        for wrong in ["", "x", ":7200", "0", "80", "70000", "host:", "host:x"] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ones_own_place_is_known() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let here = Some("127.0.0.2".parse().unwrap());
        assert!(
            is_itself((None, 7200), at("127.0.0.1:7200")) && !is_itself((None, 7200), at("127.0.0.1:7201"))
        );
        assert!(
            is_itself((here, 7200), at("127.0.0.2:7200")) && !is_itself((here, 7200), at("127.0.0.1:7200"))
        );
        assert!(!is_itself((None, 7200), at("192.0.2.1:7200")));
    }
}
