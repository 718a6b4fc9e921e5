//! This host's name, and the addresses of hosts that somebody named.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use crate::shell::ifaces::{self, Choice, Network};

/// Where Linux tells the host's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";
/// The name of a host that has none.
const NAMELESS: &str = "chunkcast";

/// The host's name up to its first dot.
pub fn name() -> String {
    match full_name().split('.').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => NAMELESS.to_owned(),
    }
}

/// What this host is called: its name, and that up to its first dot.
pub fn names() -> Vec<String> {
    let mut names = vec![name().to_ascii_lowercase(), full_name().to_ascii_lowercase()];
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

fn full_name() -> String {
    let told = std::fs::read_to_string(HOST_NAME_FILE)
        .or_else(|_| std::env::var("HOSTNAME").map_err(io::Error::other));
    told.unwrap_or_default().trim().to_owned()
}

/// This host's addresses, and the one that is bound to.
pub fn own_addresses(bind: Option<IpAddr>) -> Vec<IpAddr> {
    let mut addresses = ifaces::enumerate().map(|(addresses, _)| addresses).unwrap_or_default();
    addresses.extend(bind.filter(|ip| !ip.is_unspecified() && !addresses.contains(ip)));
    addresses
}

/// Whether an address is one of this host's.
pub fn is_own(ip: IpAddr) -> bool {
    let own = || ifaces::enumerate().is_ok_and(|(addresses, _)| addresses.contains(&ip));
    ip.is_loopback() || ip.is_unspecified() || own()
}

/// The address of `HOST` or `HOST:PORT`. Asks the system's resolver, which may take seconds: only at a start, never
/// in the loop. An IPv4 address goes before an IPv6 one.
pub fn resolve(text: &str, default_port: u16) -> io::Result<SocketAddr> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(addr);
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, default_port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (
            host,
            port.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the port is no number"))?,
        ),
        None => (text, default_port),
    };
    let addrs: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let chosen = addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first());
    chosen.copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// The IPv4 address by which other hosts know this one, as far as that can be said: the one it is bound to, else that of
/// the first network in use, those beyond this host before its own.
pub fn own_address(bind: Option<IpAddr>, ifaces: &[String], broadcast: Option<Ipv4Addr>) -> Ipv4Addr {
    if let Some(IpAddr::V4(bind)) = bind
        && !bind.is_unspecified()
    {
        return bind;
    }
    let networks = ifaces::enumerate().map(|(_, networks)| networks).unwrap_or_default();
    let chosen = Choice { ifaces: ifaces.to_vec(), bind: None, broadcast }.select(&networks);
    let beyond = chosen.iter().find(|network| !network.is_loopback());
    beyond.or(chosen.first()).map_or(Ipv4Addr::LOCALHOST, |network| network.addr)
}

/// The networks that broadcasts of this host go to, in words: `eth0 192.0.2.2`, or `lo`.
pub fn asked_networks(bind: Option<IpAddr>, ifaces: &[String], broadcast: Option<Ipv4Addr>) -> Vec<String> {
    let networks = ifaces::enumerate().map(|(_, networks)| networks).unwrap_or_default();
    let chosen = Choice { ifaces: ifaces.to_vec(), bind, broadcast }.select(&networks);
    let asked = chosen.iter().filter(|network| network.broadcast_beside(chosen.iter()).is_some());
    asked.map(Network::spoken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_port() {
        let ok = |text| resolve(text, 7117).unwrap().to_string();
        assert_eq!(ok("127.0.0.2"), "127.0.0.2:7117");
        assert_eq!(ok("127.0.0.2:9000"), "127.0.0.2:9000");
        assert_eq!(ok("::1"), "[::1]:7117");
        assert_eq!(ok("[::1]:9000"), "[::1]:9000");
        assert_eq!(ok("localhost:9000"), "127.0.0.1:9000");
        assert!(resolve("localhost:port", 7117).is_err());
        assert!(!name().is_empty());
    }

    #[test]
    fn the_own_address_is_the_bound_one_or_that_of_a_network_in_use() {
        let bound = |ip: [u8; 4]| own_address(Some(IpAddr::from(ip)), &[], None);
        assert_eq!(bound([127, 3, 2, 1]), Ipv4Addr::new(127, 3, 2, 1));
        assert!(!bound([0, 0, 0, 0]).is_unspecified());
        let loopback = Some(Ipv4Addr::new(127, 255, 255, 255));
        assert_eq!(own_address(None, &[], loopback), Ipv4Addr::LOCALHOST);
        assert_eq!(own_address(None, &["none0".to_owned()], None), Ipv4Addr::LOCALHOST);
    }
}
