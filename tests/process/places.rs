//! Places in the directory of a peer: what one host sends keeps neither that host nor another out. On hosts of their own,
//! because limits by address do not hold for loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chunkcast::types::PeerId;
use chunkcast::wire::message::{Announcement, Frame, Hello, PROTOCOL_VERSION, Query, Wanted};
use chunkcast::wire::{datagram, frame};

use crate::child::{Child, PATIENCE};
use crate::files::{MIB, assert_same, random_file};
use crate::hosts::Hosts;

/// The discovery port, and the TCP port of a peer that is alone on its host.
const PORT: u16 = 7117;

/// What was not read is told again after so long.
const AGAIN: Duration = Duration::from_millis(100);

fn id(number: u32) -> PeerId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PeerId(bytes)
}

fn question(number: u32) -> Vec<u8> {
    let wanted = Wanted::Glob("*".into());
    let query = Query { peer: id(number), user: "looks".into(), port: PORT, nonce: 1, wanted };
    datagram::encode_query(&query).unwrap()
}

fn presence(number: u32) -> Vec<u8> {
    let announcement = Announcement {
        peer: id(number),
        user: "invented".into(),
        port: PORT,
        interval_ms: 3_600_000,
        known_peers: 0,
        generation: 1,
        catalogue: 0,
        entries: Vec::new(),
        answers: None,
    };
    datagram::encode_announcement(&announcement).0
}

/// A socket on a host, at one of its addresses.
fn socket(hosts: &Hosts, host: u8, address: Ipv4Addr) -> UdpSocket {
    hosts.inside(host, || UdpSocket::bind(SocketAddrV4::new(address, 0)).unwrap())
}

/// Waits until a process has told that it heard a peer.
fn wait_found(child: &mut Child, number: u32) {
    let id = id(number).to_string();
    child.wait_json("a peer", |line| {
        (line["t"] == "peer" && line["event"] == "found" && line["peer_id"] == id.as_str()).then_some(())
    });
}

#[test]
fn a_host_that_looks_again_and_again_can_get_at_once() {
    let Some(hosts) = Hosts::new(2) else { return };
    let source = hosts.path("talk.mkv");
    random_file(&source, MIB, 200);
    let sharer = hosts.share(1, "sharer", &source);
    // 75 peers that look and are gone, as those of 75 more processes.
    let asks = socket(&hosts, 2, hosts.address(2));
    for number in 0..75 {
        asks.send_to(&question(number), (hosts.address(1), PORT)).unwrap();
    }
    for number in 0..5 {
        let ls = hosts.launch(2, &format!("looks-{number}"), &["ls", "--wait", "200ms", "--json"]).run();
        assert!(ls.expect(0).text().contains("talk.mkv"), "{number}");
    }
    let folder = hosts.folder("got");
    hosts.get(2, "getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    // What was sent in the host's name that looks like peers to stay keeps it out as little, and so where it dials who
    // was named.
    for number in 100..180 {
        asks.send_to(&presence(number), (hosts.address(1), PORT)).unwrap();
    }
    let named = hosts.address(1).to_string();
    let folder = hosts.folder("named");
    let get = hosts.get(2, "named", "talk.mkv", &folder).args(&["--no-broadcast", "--peer", &named]);
    get.run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    sharer.interrupt().expect(0);
}

#[test]
fn a_directory_full_of_invented_peers_keeps_nobody_out() {
    let Some(hosts) = Hosts::new(3) else { return };
    let source = hosts.path("talk.mkv");
    random_file(&source, MIB, 201);
    let mut sharer = hosts.share(1, "sharer", &source);
    // 64 at each of 64 addresses. They are told again until the last of each is known: so many strangers at once may be more
    // than the sharer reads in a second.
    for address in 0..64u8 {
        let from = Ipv4Addr::new(10, 77, 3, address + 1);
        hosts.add_address(3, from);
        let invents = socket(&hosts, 3, from);
        let first = u32::from(address) * 64;
        let (is_known, to) = (AtomicBool::new(false), (hosts.address(1), PORT));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_known.load(Ordering::Relaxed) {
                    (first..first + 64).for_each(|number| {
                        invents.send_to(&presence(number), to).unwrap();
                    });
                    thread::park_timeout(AGAIN);
                }
            });
            wait_found(&mut sharer, first + 63);
            is_known.store(true, Ordering::Relaxed);
        });
    }
    let folder = hosts.folder("got");
    hosts.get(2, "getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    // Whoever announces itself now is heard.
    let newcomer = socket(&hosts, 2, hosts.address(2));
    newcomer.send_to(&presence(1_000_000), (hosts.address(1), PORT)).unwrap();
    wait_found(&mut sharer, 1_000_000);
    sharer.interrupt().expect(0);
}

#[test]
fn a_hello_with_the_id_of_another_takes_nothing_from_it() {
    let Some(hosts) = Hosts::new(3) else { return };
    let (ours, theirs) = (hosts.path("ours.mkv"), hosts.path("theirs.mkv"));
    random_file(&ours, MIB, 202);
    random_file(&theirs, MIB, 203);
    let mut victim = hosts.share(1, "victim", &ours);
    let good = hosts.share(2, "good", &theirs);
    let of_good = |line: &serde_json::Value, event: &str| {
        line["t"] == "peer" && line["event"] == event && line["user"] == "good"
    };
    let peer = victim.wait_json("the good one", |line| {
        of_good(line, "found").then(|| line["peer_id"].as_str().unwrap().to_owned())
    });
    let peer: PeerId = peer.parse().unwrap();
    let mut stream = hosts.inside(3, || TcpStream::connect((hosts.address(1), PORT)).unwrap());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = Hello { v: PROTOCOL_VERSION, peer, user: "good".into(), port: PORT, agent: "x".into() };
    let bytes = |said: &Frame| {
        let mut bytes = Vec::new();
        frame::encode(said, &mut bytes);
        bytes
    };
    stream.write_all(&bytes(&Frame::Hello(hello))).unwrap();
    // It is greeted like anybody; then it leaves.
    let mut greeting = [0; 1];
    stream.read_exact(&mut greeting).unwrap();
    stream.write_all(&bytes(&Frame::Bye { reason: "leaving".into() })).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let mark = socket(&hosts, 3, hosts.address(3));
    mark.send_to(&presence(5), (hosts.address(1), PORT)).unwrap();
    wait_found(&mut victim, 5);
    let ended = victim.interrupt().expect(0);
    let lost = ended.of_type("peer").into_iter().filter(|line| of_good(line, "lost")).count();
    assert_eq!(lost, 0, "{}", ended.text());
    good.interrupt().expect(0);
}
