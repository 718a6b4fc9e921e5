//! What is kind to peers of the field: answers in one piece, and lists without dead entries.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use super::field::Field;
use crate::reference::dialect::Dialect;
use crate::reference::listener::{Listener, Reader};
use crate::reference::loopback::own_address;
use crate::reference::manner::Manner;

/// What one `recv` gives of the answer to a request for this chunk.
fn first_read(at: Ipv4Addr, chunk: &str) -> usize {
    let mut stream = TcpStream::connect((at, Dialect::C.tcp_port())).unwrap();
    stream.write_all(format!("{{\"requested_content\": \"{chunk}\"}}").as_bytes()).unwrap();
    stream.read(&mut vec![0; 1 << 20]).unwrap()
}

#[test]
fn an_answer_of_up_to_64_kib_arrives_in_one_read() {
    // The second chunk begins in the midst of a page of memory.
    for chunk_bytes in [60_001, 65_535] {
        let (field, at) = (Field::new(5 * chunk_bytes), own_address());
        let sharer = field.share(at);
        let chunk = format!("{}_2", field.stem);
        let reads: Vec<usize> = (0..50).map(|_| first_read(at, &chunk)).collect();
        assert!(reads.iter().all(|read| *read == chunk_bytes), "{reads:?}");
        drop(sharer.interrupt().expect(0));
    }
}

#[test]
fn a_limit_of_rate_does_not_cut_such_an_answer_in_pieces() {
    let (field, at) = (Field::new(5 * 60_001), own_address());
    let sharer = field.share_with(at, &["--limit-up", "500kB"]);
    let chunk = format!("{}_2", field.stem);
    let reads: Vec<usize> = (0..8).map(|_| first_read(at, &chunk)).collect();
    assert!(reads.iter().all(|read| *read == 60_001), "{reads:?}");
    drop(sharer.interrupt().expect(0));
}

/// Waits until a peer has announced so often from now on.
fn wait_rounds(ear: &Listener, of: Ipv4Addr, rounds: usize) {
    let count = || ear.datagrams().iter().filter(|(from, _)| from.ip() == of).count();
    let enough = count() + rounds;
    while count() < enough {
        ear.wait_datagrams(ear.datagrams().len() + 1);
    }
}

#[test]
fn what_is_fetched_in_passing_is_announced_only_by_who_stays() {
    for stays in [false, true] {
        let (field, at, other) = (Field::new(60_001), own_address(), own_address());
        let folder = field.folder("target");
        let ear = Listener::start(Reader::Files, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5000)]);
        let chunks = field.chunks(Dialect::A);
        let holder = Field::holder(Dialect::A, &chunks[..4], Manner::default(), at);
        let seed: &[&str] = if stays { &["--seed"] } else { &[] };
        let getter = field.get(at, &folder).args(seed).start();
        holder.uploader.wait_asked(4);
        // Somebody who announces as often tells how much time has passed.
        let clock = Field::new(5);
        let sharer = clock.share(other);
        wait_rounds(&ear, other, 30);
        let is_announced = || ear.dictionary().values().any(|peers| peers.contains(&at));
        assert_eq!(is_announced(), stays);
        let last = Field::holder(Dialect::A, &chunks[4..], Manner::default(), at);
        if stays {
            ear.wait_for(at, &[&format!("{}_5", field.stem), &format!("{}.png_5", field.stem)]);
            drop(getter.interrupt().expect(0));
        } else {
            drop(getter.end().expect(0));
            assert!(!is_announced());
        }
        field.assert_got(&folder);
        drop((holder, last, sharer));
    }
}
