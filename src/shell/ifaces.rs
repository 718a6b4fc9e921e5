//! Which networks this host is in, and over which of them peers are looked for. No sockets here.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use if_addrs::{IfAddr, Interface};

/// Networks beyond this many are left out: each costs a socket and a datagram at every announcement.
pub(super) const NETWORKS_MAX: usize = 64;

/// One network: an address of an interface, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// The interface's name.
    pub(super) iface: String,
    /// The host's own address in it.
    pub(super) addr: Ipv4Addr,
    /// Its mask.
    pub(super) mask: Ipv4Addr,
    /// The address that reaches everybody in it; `None`: there is none.
    pub(super) broadcast: Option<Ipv4Addr>,
}

/// What the configuration says about networks.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    /// Only these interfaces, by name; empty: all.
    pub(super) ifaces: Vec<String>,
    /// Only the network with this address, which senders are bound to.
    pub(super) bind: Option<IpAddr>,
    /// Only the network with this broadcast address.
    pub(super) broadcast: Option<Ipv4Addr>,
}

impl Network {
    /// Whether `ip` is an address of this network.
    pub(super) fn contains(&self, ip: Ipv4Addr) -> bool {
        let mask = u32::from(self.mask);
        u32::from(ip) & mask == u32::from(self.addr) & mask
    }

    /// Where it reaches everybody, beside the other networks of this host. What goes to another network is heard by this
    /// host too; heard by loopback as well, it would seem to be of a second peer, which nobody else can reach.
    pub(super) fn broadcast_beside<'a>(
        &self,
        mut others: impl Iterator<Item = &'a Network>,
    ) -> Option<Ipv4Addr> {
        let is_beyond = |other: &Network| other.broadcast.is_some() && !other.is_loopback();
        self.broadcast.filter(|_| !self.is_loopback() || !others.any(is_beyond))
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.addr.is_loopback()
    }

    /// The interface and its address, for people.
    pub(super) fn spoken(&self) -> String {
        if self.is_loopback() { self.iface.clone() } else { format!("{} {}", self.iface, self.addr) }
    }

    /// The network of an interface; `None` when it is not IPv4.
    fn of(interface: &Interface) -> Option<Network> {
        let IfAddr::V4(v4) = &interface.addr else { return None };
        let calculated = Ipv4Addr::from(u32::from(v4.ip) | !u32::from(v4.netmask));
        let broadcast = match v4.broadcast {
            // What stands there for a link between two is the other end.
            _ if interface.is_p2p => None,
            // The loopback interface says nothing, or its own address.
            Some(reported) if reported != v4.ip => Some(reported),
            _ => Some(calculated).filter(|&address| address != v4.ip && v4.prefixlen < 31),
        };
        Some(Network { iface: interface.name.clone(), addr: v4.ip, mask: v4.netmask, broadcast })
    }
}

impl Choice {
    /// The networks to use of those there are, with the address to send from and the broadcast address to send to.
    pub(super) fn select(&self, all: &[Network]) -> Vec<Network> {
        let mut chosen: Vec<Network> = Vec::new();
        for network in all {
            let Some(network) = self.adopt(network) else { continue };
            // A second address in the same network reaches nobody new.
            let same = |other: &Network| other.iface == network.iface && other.contains(network.addr);
            if chosen.len() < NETWORKS_MAX && !chosen.iter().any(same) {
                chosen.push(network);
            }
        }
        chosen
    }

    /// The network as it is to be used; `None`: it is not.
    fn adopt(&self, network: &Network) -> Option<Network> {
        let mut network = network.clone();
        if !self.ifaces.is_empty() && !self.ifaces.contains(&network.iface) {
            return None;
        }
        match self.bind {
            Some(IpAddr::V6(_)) => return None,
            Some(IpAddr::V4(bind)) if !bind.is_unspecified() => {
                if !network.contains(bind) {
                    return None;
                }
                network.addr = bind;
            }
            _ => {}
        }
        if let Some(broadcast) = self.broadcast {
            if !broadcast.is_broadcast() && !network.contains(broadcast) {
                return None;
            }
            network.broadcast = Some(broadcast);
        }
        Some(network)
    }
}

/// The addresses of this host: all of them, and the IPv4 networks they are in.
pub(super) fn enumerate() -> io::Result<(Vec<IpAddr>, Vec<Network>)> {
    let interfaces = if_addrs::get_if_addrs()?;
    let addresses = interfaces.iter().map(Interface::ip).collect();
    let networks = interfaces.iter().filter_map(Network::of).collect();
    Ok((addresses, networks))
}

/// Why no network is in use, and which there are.
pub(super) fn none_of(choice: &Choice, all: &[Network]) -> String {
    let mut there: Vec<&str> = all.iter().map(|network| network.iface.as_str()).collect();
    there.dedup();
    let unknown: Vec<&str> =
        choice.ifaces.iter().map(String::as_str).filter(|name| !there.contains(name)).collect();
    let networks: Vec<String> = all.iter().map(Network::spoken).collect();
    let networks = networks.join(", ");
    match (unknown.is_empty(), choice.broadcast, choice.bind) {
        (false, _, _) => format!("--iface {}: this host has {}", unknown.join(","), there.join(", ")),
        (true, Some(broadcast), _) => {
            format!("--broadcast {broadcast} is in no network in use; this host has {networks}")
        }
        (true, None, Some(bind)) => format!("--bind {bind} is in no network; this host has {networks}"),
        (true, None, None) if all.is_empty() => "this host has no IPv4 network".to_owned(),
        (true, None, None) => format!("no network can be used; this host has {networks}"),
    }
}

/// Whether a datagram can come from `ip` at all, as far as can be said without knowing the networks.
pub(super) fn is_sender(ip: Ipv4Addr) -> bool {
    !(ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(iface: &str, addr: [u8; 4], prefix: u32, broadcast: Option<[u8; 4]>) -> Network {
        let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix).unwrap_or(0));
        Network { iface: iface.into(), addr: addr.into(), mask, broadcast: broadcast.map(Into::into) }
    }

    #[test]
    fn what_was_asked_for_and_what_there_is_is_told() {
        let told = |ifaces: &[&str], bind: Option<[u8; 4]>, broadcast: Option<[u8; 4]>| {
            let ifaces = ifaces.iter().map(|name| (*name).to_owned()).collect();
            let choice = Choice { ifaces, bind: bind.map(Into::into), broadcast: broadcast.map(Into::into) };
            none_of(&choice, &host()[..2])
        };
        assert_eq!(told(&["nope0"], None, None), "--iface nope0: this host has lo, eth0");
        assert_eq!(
            told(&[], None, Some([10, 9, 9, 255])),
            "--broadcast 10.9.9.255 is in no network in use; this host has lo, eth0 192.0.2.2"
        );
        assert_eq!(
            told(&[], Some([10, 9, 9, 9]), None),
            "--bind 10.9.9.9 is in no network; this host has lo, eth0 192.0.2.2"
        );
    }

    fn host() -> Vec<Network> {
        vec![
            network("lo", [127, 0, 0, 1], 8, Some([127, 255, 255, 255])),
            network("eth0", [192, 0, 2, 2], 24, Some([192, 0, 2, 255])),
            network("eth0", [192, 0, 2, 3], 24, Some([192, 0, 2, 255])),
            network("wlan0", [198, 51, 100, 9], 24, Some([198, 51, 100, 255])),
            network("tun0", [10, 8, 0, 2], 32, None),
        ]
    }

    fn names(networks: &[Network]) -> Vec<(&str, Ipv4Addr)> {
        networks.iter().map(|network| (network.iface.as_str(), network.addr)).collect()
    }

    #[test]
    fn one_sender_a_network() {
        let chosen = Choice::default().select(&host());
        let wanted = [
            ("lo", [127, 0, 0, 1].into()),
            ("eth0", [192, 0, 2, 2].into()),
            ("wlan0", [198, 51, 100, 9].into()),
            ("tun0", [10, 8, 0, 2].into()),
        ];
        assert_eq!(names(&chosen), wanted);
    }

    #[test]
    fn loopback_is_for_hosts_without_another_network() {
        let all = host();
        let reached = |networks: &[Network]| {
            let beside = networks.iter().filter_map(|network| network.broadcast_beside(networks.iter()));
            beside.map(|address| address.octets()[0]).collect::<Vec<u8>>()
        };
        assert_eq!(reached(&all), [192, 192, 198]);
        assert_eq!(reached(&all[..1]), [127]);
        // Nothing that goes there comes back.
        assert_eq!(reached(&[all[0].clone(), all[4].clone()]), [127]);
    }

    #[test]
    fn an_explicit_broadcast_address_keeps_to_its_network() {
        let choice = Choice { broadcast: Some([127, 255, 255, 255].into()), ..Choice::default() };
        let chosen = choice.select(&host());
        assert_eq!(names(&chosen), [("lo", [127, 0, 0, 1].into())]);
        assert!(chosen[0].contains([127, 9, 9, 9].into()));
        assert!(!chosen[0].contains([192, 0, 2, 2].into()));

        let nowhere = Choice { broadcast: Some([203, 0, 113, 255].into()), ..Choice::default() };
        assert!(nowhere.select(&host()).is_empty());

        let limited = Choice { broadcast: Some(Ipv4Addr::BROADCAST), ..Choice::default() };
        let chosen = limited.select(&host());
        assert_eq!(chosen.len(), 4);
        assert!(chosen.iter().all(|network| network.broadcast == Some(Ipv4Addr::BROADCAST)));
    }

    #[test]
    fn senders_are_bound_where_the_listener_is() {
        let bind = |ip: [u8; 4]| Choice { bind: Some(IpAddr::from(ip)), ..Choice::default() };
        assert_eq!(names(&bind([127, 0, 0, 5]).select(&host())), [("lo", [127, 0, 0, 5].into())]);
        assert_eq!(names(&bind([192, 0, 2, 3]).select(&host())), [("eth0", [192, 0, 2, 3].into())]);
        assert_eq!(bind([0, 0, 0, 0]).select(&host()).len(), 4);
        let v6 = Choice { bind: Some(IpAddr::from([0u16; 8])), ..Choice::default() };
        assert!(v6.select(&host()).is_empty());
    }

    #[test]
    fn interfaces_are_chosen_by_name() {
        let choice = Choice { ifaces: vec!["wlan0".into()], ..Choice::default() };
        assert_eq!(names(&choice.select(&host())), [("wlan0", [198, 51, 100, 9].into())]);
        let nowhere = Choice { ifaces: vec!["none0".into()], ..Choice::default() };
        assert!(nowhere.select(&host()).is_empty());
    }

    #[test]
    fn this_host_has_a_loopback_network() {
        let (addresses, networks) = enumerate().unwrap();
        let loopback = networks.iter().find(|network| network.is_loopback()).unwrap();
        assert_eq!(loopback.broadcast, Some([127, 255, 255, 255].into()));
        assert!(addresses.contains(&IpAddr::V4(loopback.addr)));
    }

    #[test]
    fn nobody_sends_from_everywhere_or_nowhere() {
        for ip in [[0, 0, 0, 0], [224, 0, 0, 251], [239, 1, 2, 3], [255, 255, 255, 255]] {
            assert!(!is_sender(ip.into()), "{ip:?}");
        }
        assert!(is_sender([192, 0, 2, 9].into()));
    }
}
