//! Connections that keep others out: an idle crowd, more of them than there are descriptors, channels without end.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use chunkcast::types::{ContentId, PeerId};
use chunkcast::wire::frame::{self, Decoded, Decoder};
use chunkcast::wire::message::{Frame, Hello, PROTOCOL_VERSION};

use crate::child::{Child, PATIENCE};
use crate::files::{MIB, assert_same, random_file};
use crate::hosts::Hosts;
use crate::lan::Lan;

const MEMORY_BYTES_MAX: u64 = 64 * MIB;

/// Starts the binary with at most so many descriptors.
fn limited(descriptors: u32) -> [String; 3] {
    let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
    ["sh".to_owned(), "-c".to_owned(), script]
}

fn port_of(child: &mut Child) -> u16 {
    let port = child.wait_json("its port", |line| line["tcp_port"].as_u64());
    u16::try_from(port).unwrap()
}

/// A connection from this address to a peer, which has said hello; whether it is answered is not looked at.
fn greeting(from: Option<IpAddr>, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    if let Some(ip) = from {
        socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    }
    socket.connect(&to.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = Hello {
        v: PROTOCOL_VERSION,
        peer: PeerId(fastrand::u128(..).to_be_bytes()),
        user: "crowd".to_owned(),
        port: 2_000,
        agent: String::new(),
    };
    let mut bytes = Vec::new();
    frame::encode(&Frame::Hello(hello), &mut bytes);
    // It may be closed before.
    let _ = stream.write_all(&bytes);
    stream
}

/// Whether the peer says anything on a connection before it closes it. Fails when it does neither.
fn is_answered(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(count) => count > 0,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) => panic!("neither answered nor closed: {error}"),
    }
}

#[test]
fn an_idle_crowd_does_not_keep_a_new_host_out() {
    let Some(hosts) = Hosts::new(3) else { return };
    let source = hosts.path("talk.mkv");
    random_file(&source, 4 * MIB, 41);
    // Of 256 descriptors 128 are for connections: three addresses with 62 each are enough to take all.
    let namespace = hosts.namespace(1);
    let enter = ["ip", "netns", "exec", &namespace].map(str::to_owned);
    let arguments = ["share".as_ref(), source.as_os_str()];
    let launch = hosts.launch(1, "sharer", &arguments).json_chunks();
    let mut sharer = launch.through(&[&enter[..], &limited(256)[..]].concat()).start();
    sharer.wait_json("the first offer", |line| (line["t"] == "content").then_some(()));
    let to = SocketAddr::from((hosts.address(1), port_of(&mut sharer)));
    let addresses = [hosts.address(2), Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 1, 2)];
    addresses[1..].iter().for_each(|address| hosts.add_address(2, *address));
    let mut crowd: Vec<TcpStream> = hosts.inside(2, || {
        let each = |address: &Ipv4Addr| {
            let from = Some(IpAddr::V4(*address));
            (0..62).map(move |_| greeting(from, to)).collect::<Vec<_>>()
        };
        addresses.iter().flat_map(each).collect()
    });
    let answered = crowd.iter_mut().filter_map(|stream| is_answered(stream).then_some(())).count();
    assert!(answered >= 100, "only {answered} of the crowd were let in: it was no crowd");
    let folder = hosts.folder("got");
    // Those who idle are closed for their silence after 45 s: the new host has to be served long before.
    hosts.get(3, "getter", "talk.mkv", &folder).args(&["--stall", "20s"]).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    drop(crowd);
    sharer.interrupt().expect(0);
}

#[test]
fn a_connection_for_which_there_is_no_descriptor_is_closed_at_once() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 42);
    let arguments = ["share".as_ref(), source.as_os_str()];
    let launch = lan.launch("sharer", &arguments).json_chunks();
    let mut sharer = launch.through(&limited(32)).start();
    sharer.wait_json("the first offer", |line| (line["t"] == "content").then_some(()));
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of(&mut sharer)));
    // All connect before the first is looked at: those that are not closed hold their descriptors.
    let mut crowd: Vec<TcpStream> = (0..60).map(|_| greeting(None, to)).collect();
    let answered = crowd.iter_mut().filter_map(|stream| is_answered(stream).then_some(())).count();
    assert!((1..60).contains(&answered), "{answered} of 60 were answered");
    drop(crowd);
    lan.get("getter", "talk.mkv", &lan.folder("got")).run().expect(0);
    sharer.interrupt().expect(0);
}

#[test]
fn channels_of_unknown_contents_take_no_memory() {
    const CONNECTIONS: u32 = 24;
    const CHANNELS: u32 = 20_000;
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 43);
    let mut sharer = lan.share("sharer", &source);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of(&mut sharer)));
    let mut refused = 0;
    let connections: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|number| {
            let mut stream = greeting(None, to);
            refused += names_unknown(&mut stream, number, CHANNELS);
            stream
        })
        .collect();
    assert_eq!(refused, CONNECTIONS * CHANNELS);
    let memory = sharer.peak_memory_bytes();
    assert!(memory <= MEMORY_BYTES_MAX, "the sharer took {memory} bytes");
    lan.get("getter", "talk.mkv", &lan.folder("got")).run().expect(0);
    drop(connections);
    sharer.interrupt().expect(0);
}

/// Names so many contents that nobody has, each of them once, and counts how many are refused.
fn names_unknown(stream: &mut TcpStream, connection: u32, channels: u32) -> u32 {
    let (mut decoder, mut bytes) = (Decoder::default(), vec![0; 64 << 10]);
    let mut refused = 0;
    for first in (0..channels).step_by(1_000) {
        let mut said = Vec::new();
        for channel in first..channels.min(first + 1_000) {
            let mut id = [0x5a; 32];
            id[..4].copy_from_slice(&connection.to_be_bytes());
            id[4..8].copy_from_slice(&channel.to_be_bytes());
            let content = ContentId(id);
            frame::encode(&Frame::Open { channel, content, size: 0, chunk_bytes: 0 }, &mut said);
        }
        stream.write_all(&said).unwrap();
        // Whoever says more before it has heard the answers is closed.
        while refused < channels.min(first + 1_000) {
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "closed after {refused} contents were refused");
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                let (used, decoded) = decoder.decode(rest).unwrap();
                rest = &rest[used..];
                refused += u32::from(matches!(decoded, Some(Decoded::Frame(Frame::Refuse { .. }))));
            }
        }
    }
    refused
}
