//! This host's name, and the addresses of hosts that somebody named.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::shell::ifaces;

/// Where Linux tells the host's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";
/// The name of a host that has none.
const NAMELESS: &str = "chunkcast";

/// The host's name up to its first dot.
pub fn name() -> String {
    let told = std::fs::read_to_string(HOST_NAME_FILE)
        .or_else(|_| std::env::var("HOSTNAME").map_err(io::Error::other));
    let told = told.unwrap_or_default();
    match told.trim().split('.').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => NAMELESS.to_owned(),
    }
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
}
