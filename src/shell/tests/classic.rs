//! The ports of the classic dialects, beside native ones and without.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};

use super::*;
use crate::core::{ClassicConfig, DictionaryUse};
use crate::shell::ClassicPorts;

fn classic(udp: &[u16], tcp: &[(u16, u16)], strict: bool) -> Option<ClassicPorts> {
    let config = ClassicConfig {
        address: Ipv4Addr::LOCALHOST,
        voices: Vec::new(),
        announce_interval: Duration::from_secs(60),
        ports: BTreeMap::new(),
        address_alone: false,
        dial_port: None,
        dialects: BTreeMap::new(),
        speaks: None,
        dictionary: DictionaryUse::None,
        chunk_bytes_max: 1 << 20,
    };
    Some(ClassicPorts { config, udp: udp.to_vec(), tcp: tcp.to_vec(), strict })
}

/// A peer that speaks nothing native.
fn alone(folder: &Path, classic: Option<ClassicPorts>) -> ShellConfig {
    ShellConfig { listen: Listen::Nowhere, discovers: false, classic, ..config(folder, 9) }
}

fn warnings(reactor: &mut Reactor) -> Vec<String> {
    let warning = |event| match event {
        ShellEvent::Core(Event::Warning(text)) => Some(text),
        _ => None,
    };
    std::iter::from_fn(|| reactor.next_event()).filter_map(warning).collect()
}

#[test]
fn a_classic_peer_listens_on_its_ports_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let classic = classic(&[0], &[(0, 5000), (0, 8000)], true);
    let mut reactor = Reactor::new(alone(folder.path(), classic)).unwrap();
    assert_eq!((reactor.tcp_port(), reactor.classic_tcp_ports().len()), (0, 2));
    assert_eq!(reactor.udp_listeners.ports().len(), 1);
    let tcp = reactor.classic_tcp_ports();
    let mut dialects: Vec<u16> = tcp.iter().map(|(_, dialects)| *dialects).collect();
    dialects.sort_unstable();
    assert_eq!(dialects, [5000, 8000]);
    assert!(tcp.iter().all(|(local, _)| *local != 0));
    assert_eq!(warnings(&mut reactor), [""; 0]);

    // Connections to each are taken in.
    let mut strangers: Vec<TcpStream> = tcp
        .iter()
        .flat_map(|(local, _)| (0..3).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, *local)).unwrap()))
        .collect();
    let mut ended = vec![false; strangers.len()];
    for stranger in &mut strangers {
        stranger.write_all(&[0xff; 64]).unwrap();
        stranger.set_nonblocking(true).unwrap();
    }
    let until = Instant::now() + Duration::from_secs(10);
    while ended.contains(&false) {
        assert!(Instant::now() < until, "{ended:?}");
        reactor.turn(Some(Instant::now() + Duration::from_millis(20))).unwrap();
        for (stranger, ended) in strangers.iter_mut().zip(&mut ended) {
            *ended |= match stranger.read(&mut [0; 64]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
        }
    }
}

#[test]
fn a_peer_may_listen_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let both = ShellConfig { classic: classic(&[0, 0], &[(0, 5001)], false), ..config(folder.path(), port) };
    let reactor = Reactor::new(both).unwrap();
    assert_ne!(reactor.tcp_port(), 0);
    assert_eq!((reactor.classic_tcp_ports().len(), reactor.udp_listeners.ports().len()), (1, 2));
    assert_ne!(reactor.classic_tcp_ports()[0].0, reactor.tcp_port());
}

#[test]
fn a_classic_port_that_is_taken_is_an_end_or_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = (tcp.local_addr().unwrap().port(), tcp);
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let udp = (udp.local_addr().unwrap().port(), udp);
    for (ports, named) in [
        (classic(&[], &[(tcp.0, 5000)], true), [format!("TCP port {}", tcp.0), "--tcp-port".into()]),
        (classic(&[udp.0], &[], true), [format!("UDP port {}", udp.0), "--udp-port".into()]),
    ] {
        let Err(ShellError::Network(text)) = Reactor::new(alone(folder.path(), ports)) else {
            unreachable!("the port is taken")
        };
        assert!(named.iter().all(|part| text.contains(part)), "{text}");
    }
    let ports = classic(&[udp.0], &[(tcp.0, 5000), (0, 8000)], false);
    let mut reactor = Reactor::new(alone(folder.path(), ports)).unwrap();
    let warnings = warnings(&mut reactor);
    assert!(warnings.iter().any(|text| text.contains("TCP port")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("UDP port")), "{warnings:?}");
    assert_eq!(reactor.classic_tcp_ports().len(), 1);
}

#[test]
fn too_many_ports_are_refused_not_fatal() {
    let folder = tempfile::tempdir().unwrap();
    let ports = classic(&[0; 40], &[(0, 5000); 40], false);
    let mut reactor = Reactor::new(alone(folder.path(), ports)).unwrap();
    assert_eq!(reactor.classic_tcp_ports().len(), 16);
    assert!(reactor.udp_listeners.ports().len() <= 16);
    assert!(!warnings(&mut reactor).is_empty());
    reactor.turn(Some(Instant::now())).unwrap();
}

#[test]
fn processes_of_one_host_have_the_same_port_on_addresses_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = |last: u8, tcp: u16, udp: u16| {
        let bind = Ipv4Addr::new(127, 82, 4, last);
        let folder = folder.path().join(last.to_string());
        let classic = classic(&[udp], &[(tcp, 5000)], true);
        Reactor::new(ShellConfig { bind: Some(bind.into()), ..alone(&folder, classic) }).unwrap()
    };
    let first = at(1, 0, 0);
    let (tcp, udp) = (first.classic_tcp_ports()[0].0, first.udp_listeners.ports()[0]);
    let second = at(2, tcp, udp);
    assert_eq!(second.classic_tcp_ports(), [(tcp, 5000)]);
    assert_eq!(second.udp_listeners.ports(), [udp]);
}

#[test]
fn a_network_that_is_not_there_is_said_without_naming_peers() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        ShellConfig { ifaces: vec!["none0".into()], ..alone(folder.path(), classic(&[], &[], true)) };
    let Err(ShellError::Network(text)) = Reactor::new(config) else {
        unreachable!("there is no interface none0")
    };
    assert!(text.contains("--iface") && !text.contains("--peer"), "{text}");
}
