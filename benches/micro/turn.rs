//! One turn of the real loop that answers one connection, while none or a thousand others stand idle.

#![allow(clippy::expect_used, reason = "a benchmark of something that does not work has no figures")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chunkcast::core::Limits;
use chunkcast::shell::{Listen, Reactor, ShellConfig};
use chunkcast::store::{OnConflict, StoreConfig};
use chunkcast::types::PeerId;
use chunkcast::wire::frame;
use chunkcast::wire::message::{Frame, Hello, PROTOCOL_VERSION};
use criterion::{Criterion, criterion_group};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(20);

criterion_group!(group, turns);

fn turns(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn");
    // A connection that says nothing at all is closed before long: so this is not measured for long either.
    group.sample_size(30).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for idle in [0, 1_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut reactor = Reactor::new(config(folder.path())).expect("loopback");
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, reactor.tcp_port()));
        let mut streams: Vec<TcpStream> =
            (0..=idle).map(|number| greeted(&mut reactor, at, number)).collect();
        let mut busy = streams.pop().expect("one");
        let mut ping = Vec::new();
        frame::encode(&Frame::Ping, &mut ping);
        let mut pong = [0; 64];
        group.bench_function(format!("a ping answered beside {idle} idle connections"), |b| {
            b.iter(|| {
                busy.write_all(&ping).expect("open");
                loop {
                    turn(&mut reactor);
                    match busy.read(&mut pong) {
                        Ok(count) => break count,
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                    }
                }
            });
        });
        assert_eq!(reactor.core().connected(), idle as usize + 1, "all are still connected");
    }
    group.finish();
}

/// A connection that has said who it is, and has heard who the peer is.
fn greeted(reactor: &mut Reactor, at: SocketAddr, number: u16) -> TcpStream {
    let mut stream = TcpStream::connect(at).expect("room");
    stream.set_nonblocking(true).expect("a socket");
    let mut peer = [1; 16];
    peer[..2].copy_from_slice(&number.to_be_bytes());
    let hello = Hello {
        v: PROTOCOL_VERSION,
        peer: PeerId(peer),
        user: format!("idle-{number}"),
        port: 7117,
        agent: "bench".to_owned(),
    };
    let mut bytes = Vec::new();
    frame::encode(&Frame::Hello(hello), &mut bytes);
    stream.write_all(&bytes).expect("open");
    let (before, until) = (reactor.core().connected(), Instant::now() + PATIENCE);
    while reactor.core().connected() == before {
        assert!(Instant::now() < until, "nobody was let in");
        turn(reactor);
    }
    let mut heard = [0; 512];
    while stream.read(&mut heard).is_err() {
        assert!(Instant::now() < until, "nobody was greeted");
        turn(reactor);
    }
    stream
}

fn turn(reactor: &mut Reactor) {
    reactor.turn(Some(Instant::now() + Duration::from_millis(1))).expect("a loop");
    while reactor.next_event().is_some() {}
}

fn config(folder: &std::path::Path) -> ShellConfig {
    ShellConfig {
        user: "bench".to_owned(),
        port: 7117,
        listen: Listen::Near(0),
        discovers: false,
        topology: chunkcast::core::Topology::Mesh,
        bind: Some(Ipv4Addr::LOCALHOST.into()),
        ifaces: Vec::new(),
        // Without discovery there is no network that this peer could keep to.
        broadcast: None,
        no_broadcast: true,
        peers: Vec::new(),
        announce_interval: Duration::from_secs(60),
        classic: None,
        http: true,
        transfers: None,
        limits: Limits::default(),
        store: StoreConfig {
            state_dir: folder.join("state"),
            target_dir: folder.to_path_buf(),
            target_name: None,
            on_conflict: OnConflict::Rename,
            classic: None,
        },
        rates: chunkcast::shell::Rates::default(),
        seed: Some(1),
    }
}
