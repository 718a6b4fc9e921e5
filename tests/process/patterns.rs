//! Costly patterns from one host, by datagram and over connections, while another fetches from the peer they are sent to.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use chunkcast::types::PeerId;
use chunkcast::wire::datagram;
use chunkcast::wire::frame;
use chunkcast::wire::message::{CatalogueRequest, Frame, Hello, PROTOCOL_VERSION, Query, Wanted};

use crate::files::{MIB, assert_same, random_file};
use crate::hosts::Hosts;

/// The port that all hosts of a namespace share.
const PORT: u16 = 7117;
const FILES: usize = 3_000;
const CONNECTIONS: u16 = 4;
/// Queries that are sent at once, and how often; for at most a minute.
const QUERIES_AT_ONCE: u16 = 4;
const QUERY_GAP: Duration = Duration::from_millis(50);
const QUERY_GAPS_MAX: u16 = 1_200;

/// A pattern within the limits of the protocol that no name matches, though each `a` of a name may begin what does.
fn hostile_pattern() -> String {
    let bracket = format!("[!{}]", "~".repeat(20));
    format!("*{}{}~*", bracket.repeat(12), "a".repeat(600))
}

fn frames(peer: u8, pattern: &str) -> Vec<u8> {
    let id = PeerId([peer; 16]);
    let hello = Hello { v: PROTOCOL_VERSION, peer: id, user: "x".into(), port: PORT, agent: "x".into() };
    let mut bytes = Vec::new();
    frame::encode(&Frame::Hello(hello), &mut bytes);
    for _ in 0..8 {
        let request = CatalogueRequest { wanted: Wanted::Glob(pattern.to_owned()), after: None };
        frame::encode(&Frame::CatalogueRequest(request), &mut bytes);
    }
    bytes
}

#[test]
fn costly_patterns_of_one_host_do_not_keep_another_from_fetching() {
    let Some(hosts) = Hosts::new(3) else { return };
    let shared = hosts.folder("shared");
    for number in 0..FILES {
        std::fs::write(shared.join(format!("{number:04}{}", "a".repeat(240))), number.to_string()).unwrap();
    }
    let source = shared.join("talk.mkv");
    random_file(&source, 4 * MIB, 14);
    let mut sharer = hosts.launch(1, "sharer", &["share".as_ref(), shared.as_os_str()]).json_chunks().start();
    let mut offered = 0;
    sharer.wait_json("all files", |line| {
        offered += usize::from(line["t"] == "content");
        (offered > FILES).then_some(())
    });

    let pattern = hostile_pattern();
    let voices: Vec<UdpSocket> =
        hosts.inside(3, || (0..8).map(|_| UdpSocket::bind((hosts.address(3), 0)).unwrap()).collect());
    let to = (hosts.address(1), PORT);
    let connections: Vec<TcpStream> =
        hosts.inside(3, || (0..CONNECTIONS).map(|_| TcpStream::connect(to).unwrap()).collect());
    for (peer, mut connection) in (100..).zip(&connections) {
        connection.write_all(&frames(peer, &pattern)).unwrap();
    }
    let (stop, stopped) = channel::<()>();
    let (tell, began) = channel::<()>();
    let attack = std::thread::spawn(move || {
        for gap in 0..QUERY_GAPS_MAX {
            for number in 0..QUERIES_AT_ONCE {
                // Each looks like another peer, so that none is refused for having asked just now.
                let (nonce, peer) =
                    (u64::from(gap), (gap * QUERIES_AT_ONCE + number).to_be_bytes().repeat(8));
                let query = Query {
                    peer: PeerId(peer.try_into().unwrap()),
                    user: "x".into(),
                    port: PORT,
                    nonce,
                    wanted: Wanted::Glob(pattern.clone()),
                };
                let bytes = datagram::encode_query(&query).unwrap();
                let voice = &voices[usize::from(gap * QUERIES_AT_ONCE + number) % voices.len()];
                voice.send_to(&bytes, to).unwrap();
            }
            let _ = tell.send(());
            if stopped.recv_timeout(QUERY_GAP) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    for _ in 0..10 {
        began.recv().unwrap();
    }

    let folder = hosts.folder("got");
    hosts.get(2, "getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    stop.send(()).unwrap();
    attack.join().unwrap();
    sharer.interrupt().expect(0);
}
