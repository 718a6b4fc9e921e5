//! The whole driver, over loopback.

mod classic;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::core::{Command, Event, Limits};
use crate::shell::{Listen, Reactor, ShellConfig, ShellError, ShellEvent};
use crate::types::name::Layout;
use crate::types::{Geometry, PeerId};
use crate::wire::frame;
use crate::wire::message::{Frame, Hello, Wanted};

/// A peer that stays on loopback, with its files below `folder`.
fn config(folder: &Path, port: u16) -> ShellConfig {
    ShellConfig {
        port,
        listen: Listen::Near(port),
        seed: Some(1),
        ..ShellConfig::new("tester", folder.join("state"), folder).on_loopback()
    }
}

/// A UDP port that the system gave, held by a socket that lets others share it.
fn port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
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
    assert!(reactor.longest_turn < Duration::from_secs(3));
    let micros = u64::try_from(reactor.longest_turn.as_micros()).unwrap();
    assert!(micros > 0 && reactor.status().counters.contains(&("longest turn in microseconds", micros)));
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
    stranger.write_all(&[0xff; 64]).unwrap();
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

/// A file of `len` bytes that look random, in a folder of its own.
fn file(folder: &Path, name: &str, len: usize) -> PathBuf {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(len as u64).fill(&mut bytes);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
    folder.join(name)
}

fn get(name: &str) -> Command {
    Command::Get {
        ticket: 1,
        wanted: Wanted::Name(name.into()),
        at: None,
        layout: Layout::Flat,
        wait: Duration::from_secs(20),
        stall: Duration::from_secs(20),
    }
}

/// Turns all peers by turns until `done` says of an event, with the number of its peer, that it was the last.
fn turn_until(reactors: &mut [&mut Reactor], mut done: impl FnMut(usize, &ShellEvent) -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        for (number, reactor) in reactors.iter_mut().enumerate() {
            reactor.turn(Some(Instant::now() + Duration::from_millis(1))).unwrap();
            while let Some(event) = reactor.next_event() {
                if done(number, &event) {
                    return;
                }
            }
        }
    }
    unreachable!("what was waited for did not happen: {:?}", reactors[0].status());
}

#[test]
fn peers_of_one_host_find_each_other_by_broadcast() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let mut first = Reactor::new(config(&folder.path().join("a"), port)).unwrap();
    let second = ShellConfig { seed: Some(2), ..config(&folder.path().join("b"), port) };
    let mut second = Reactor::new(second).unwrap();
    let began = Instant::now();
    second.command(Command::Look { wanted: Wanted::All, wait: Duration::from_secs(30) });
    let mut found = [false; 2];
    turn_until(&mut [&mut first, &mut second], |number, event| {
        found[number] |= matches!(event, ShellEvent::Core(Event::PeerFound(_)));
        found == [true; 2]
    });
    // The asker does not wait for the minute.
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// The path of the download that `event` says is complete.
fn finished(event: &ShellEvent) -> Option<PathBuf> {
    match event {
        ShellEvent::Core(Event::Finished { path, .. }) => Some(path.clone()),
        ShellEvent::Core(Event::Failed { .. } | Event::SearchFailed { .. }) => unreachable!("{event:?}"),
        _ => None,
    }
}

/// One peer shares a file of `len` bytes, another gets it while `strangers` hold connections to the first; `named`:
/// they do not broadcast, the sharer is named.
fn transfer(len: usize, named: bool, strangers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir_all(&b).unwrap();
    let shared = file(&a.join("files"), "talk.mkv", len);

    let sharer = ShellConfig { no_broadcast: named, ..config(&a, port) };
    let mut sharer = Reactor::new(sharer).unwrap();
    sharer.share(&shared).unwrap();
    turn_until(&mut [&mut sharer], |_, event| {
        matches!(event, ShellEvent::Share(crate::store::ShareEvent::ScanDone { files: 1, .. }))
    });
    let _strangers: Vec<TcpStream> = (0..strangers)
        .map(|number| {
            let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, sharer.tcp_port())).unwrap();
            let says: [&[u8]; 4] = [b"", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 9000], &[0, 0, 1, 0, 1]];
            stranger.write_all(says[number % says.len()]).unwrap();
            stranger
        })
        .collect();
    let mut getter = ShellConfig { no_broadcast: named, seed: Some(2), ..config(&b, port) };
    if named {
        getter.peers = vec![(Ipv4Addr::LOCALHOST, sharer.tcp_port()).into()];
    }
    let mut getter = Reactor::new(getter).unwrap();
    getter.command(get("talk.mkv"));
    let mut path = None;
    turn_until(&mut [&mut sharer, &mut getter], |number, event| {
        path = path.take().or_else(|| (number == 1).then(|| finished(event)).flatten());
        path.is_some()
    });
    assert!(std::fs::read(path.unwrap()).unwrap() == std::fs::read(&shared).unwrap());

    getter.command(Command::Leave);
    sharer.command(Command::Leave);
    let mut left = [false; 2];
    turn_until(&mut [&mut sharer, &mut getter], |number, event| {
        left[number] |= matches!(event, ShellEvent::Core(Event::Left));
        left == [true; 2]
    });
}

#[test]
fn a_file_is_found_by_broadcast_and_fetched() {
    for len in [0, 1, 1024, 1025, 5_000_000] {
        transfer(len, false, 0);
    }
}

#[test]
fn a_file_is_fetched_from_a_peer_that_was_named() {
    transfer(40_000_000, true, 0);
}

#[test]
fn strangers_do_not_keep_a_file_from_arriving() {
    transfer(10_000_000, false, 300);
}

/// A stranger's connection to `port`, with a receive buffer as small as may be, that has said all of `frames`.
fn stranger(port: u16, frames: &[Frame]) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame::encode(frame, &mut bytes));
    stream.write_all(&bytes).unwrap();
    stream
}

#[test]
fn who_asks_and_never_reads_is_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let size = 4_000_000;
    let shared = file(&folder.path().join("files"), "talk.mkv", size);
    let mut config = config(folder.path(), port);
    config.limits.send_stall_max = Duration::from_millis(300);
    config.limits.leave_grace = Duration::from_millis(100);
    let mut reactor = Reactor::new(config).unwrap();
    reactor.share(&shared).unwrap();
    let mut offered = None;
    turn_until(&mut [&mut reactor], |_, event| {
        if let ShellEvent::Core(Event::Offered { content, .. }) = event {
            offered = Some(*content);
        }
        offered.is_some()
    });

    let hello =
        Hello { v: 1, peer: PeerId([7; 16]), user: "stranger".into(), port: 2_000, agent: String::new() };
    let geometry = Geometry::native(size as u64).unwrap();
    let (content, chunk_bytes) = (offered.unwrap(), geometry.chunk_bytes());
    let open = Frame::Open { channel: 0, content, size: size as u64, chunk_bytes };
    let mut frames = vec![Frame::Hello(hello), open];
    frames.extend((0..60).map(|chunk| Frame::Request { channel: 0, chunk }));
    let _stranger = stranger(reactor.tcp_port(), &frames);

    let until = Instant::now() + Duration::from_secs(20);
    let mut was_open = false;
    while !was_open || reactor.links.lingering() == 0 {
        assert!(Instant::now() < until, "{:?}", reactor.status());
        reactor.turn(Some(Instant::now() + Duration::from_millis(20))).unwrap();
        while reactor.next_event().is_some() {}
        was_open |= reactor.status().connections == 1;
    }
    assert_eq!(reactor.status().connections, 0);
}

#[test]
fn frames_beyond_those_of_one_turn_are_handled_without_another_byte_from_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, port) = port();
    let mut reactor = Reactor::new(config(folder.path(), port)).unwrap();
    let mut other = TcpStream::connect((Ipv4Addr::LOCALHOST, reactor.tcp_port())).unwrap();
    other.set_nonblocking(true).unwrap();
    let mut said = Vec::new();
    let hello = Hello { v: 1, peer: PeerId([7; 16]), user: "x".into(), port: 2_000, agent: "x".into() };
    frame::encode(&Frame::Hello(hello), &mut said);
    // All of it is in the socket before the first turn, and too little to fill the memory of one read.
    let turns_needed = 100;
    for _ in 0..Limits::default().frames_at_once_max * turns_needed {
        frame::encode(&Frame::Ping, &mut said);
    }
    let content = crate::types::ContentId([9; 32]);
    frame::encode(&Frame::Open { channel: 0, content, size: 0, chunk_bytes: 0 }, &mut said);
    other.write_all(&said).unwrap();
    let (mut decoder, mut turns, mut pongs) = (frame::Decoder::default(), 0, 0);
    let until = Instant::now() + Duration::from_secs(60);
    let mut is_refused = false;
    while !is_refused && Instant::now() < until {
        reactor.turn(Some(Instant::now() + Duration::from_millis(20))).unwrap();
        turns += 1;
        let mut bytes = [0; 4096];
        let count = other.read(&mut bytes).unwrap_or(0);
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            let (used, decoded) = decoder.decode(rest).unwrap();
            rest = &rest[used..];
            match decoded {
                Some(frame::Decoded::Frame(Frame::Pong)) => pongs += 1,
                Some(frame::Decoded::Frame(Frame::Refuse { .. })) => is_refused = true,
                _ => {}
            }
        }
    }
    assert!(is_refused, "the frame behind all pings was never handled");
    // Others had their turn in between, and what is said meanwhile goes out.
    assert!(turns >= turns_needed && pongs >= turns_needed, "{turns} turns, {pongs} pongs");
}
