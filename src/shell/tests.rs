//! The whole driver, over loopback.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::core::Limits;
use crate::shell::{Reactor, ShellConfig, ShellError};
use crate::store::{OnConflict, StoreConfig};

/// A peer that stays on loopback, with its files below `folder`.
fn config(folder: &std::path::Path, port: u16) -> ShellConfig {
    ShellConfig {
        user: "tester".into(),
        port,
        bind: Some(Ipv4Addr::LOCALHOST.into()),
        ifaces: Vec::new(),
        broadcast: Some(Ipv4Addr::new(127, 255, 255, 255)),
        no_broadcast: false,
        peers: Vec::new(),
        announce_interval: Duration::from_secs(60),
        limits: Limits::default(),
        store: StoreConfig {
            state_dir: folder.join("state"),
            target_dir: folder.to_owned(),
            target_name: None,
            on_conflict: OnConflict::Rename,
        },
        seed: Some(1),
    }
}

/// A UDP port that the system gave, held by a socket that lets others share it.
fn port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[test]
fn two_peers_of_one_host_take_different_tcp_ports() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let first = Reactor::new(config(&folder.path().join("a"), port)).unwrap();
    let second = Reactor::new(config(&folder.path().join("b"), port)).unwrap();
    assert_ne!(first.tcp_port(), second.tcp_port());
}

#[test]
fn a_turn_ends_when_it_was_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let mut reactor = Reactor::new(config(folder.path(), port)).unwrap();
    let until = Instant::now() + Duration::from_millis(30);
    while Instant::now() < until {
        reactor.turn(Some(until)).unwrap();
    }
    assert!(until.elapsed() < Duration::from_secs(3));
    assert!(reactor.longest_turn() < Duration::from_secs(3));
}

#[test]
fn a_host_without_such_a_network_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let mut config = config(folder.path(), port);
    config.ifaces = vec!["none0".into()];
    let Err(ShellError::Network(text)) = Reactor::new(config.clone()) else {
        unreachable!("there is no interface none0")
    };
    assert!(text.contains("--iface"), "{text}");
    config.peers = vec![(Ipv4Addr::LOCALHOST, port).into()];
    assert!(Reactor::new(config).is_ok());
}

#[test]
fn garbage_is_closed_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let mut reactor = Reactor::new(config(folder.path(), port)).unwrap();
    let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, reactor.tcp_port())).unwrap();
    std::io::Write::write_all(&mut stranger, &[0xff; 64]).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let ended = loop {
        reactor.turn(Some(Instant::now() + Duration::from_millis(20))).unwrap();
        match stranger.read(&mut [0; 4096]) {
            Ok(0) => break true,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break true,
            _ if Instant::now() > until => break false,
            _ => {}
        }
    };
    assert!(ended);
}
