//! `--limit-up` and `--limit-down`: no more moves than they say, for any protocol, and everything still arrives.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::child::PATIENCE;
use crate::files::{assert_same, random_file};
use crate::lan::Lan;

const BYTES: u64 = 1_000_000;
/// A quarter of that a second, as bytes and as bits.
const LIMITS: [&str; 2] = ["250kB", "2Mbit"];

/// The least time that all bytes take within [`LIMITS`], the burst of a twentieth of a second left out.
const LEAST: Duration = Duration::from_millis(3_950);

#[test]
fn a_download_is_no_quicker_than_either_side_allows() {
    for up in [true, false] {
        let lan = Lan::new();
        let source = lan.path("talk.mkv");
        random_file(&source, BYTES, 1);
        let mut share = lan.launch("sharer", &["share".as_ref(), source.as_os_str()]).json_chunks();
        let mut get = lan.get("getter", "talk.mkv", &lan.folder("got"));
        if up {
            share = share.args(&["--limit-up", LIMITS[0]]);
        } else {
            get = get.args(&["--limit-down", LIMITS[1]]);
        }
        let mut sharer = share.start();
        sharer.wait_json("the offer", |line| (line["t"] == "content").then_some(()));
        let began = Instant::now();
        let ended = get.run().expect(0);
        assert!(began.elapsed() >= LEAST, "up {up}: {:?}", began.elapsed());
        assert_same(&source, &lan.folder("got").join("talk.mkv"));
        // Nothing was fetched twice for being slow.
        let bytes = ended.of_type("summary")[0]["bytes"].as_u64().unwrap();
        assert_eq!(bytes, BYTES, "{}", ended.text());
        sharer.interrupt().expect(0);
    }
}

#[test]
fn the_limit_holds_for_all_readers_together_and_keeps_none_out() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, BYTES / 2, 2);
    let mut sharer = lan
        .launch("sharer", &["share".as_ref(), source.as_os_str()])
        .args(&["--limit-up", LIMITS[0]])
        .json_chunks()
        .start();
    let port = sharer.wait_json("its port", |line| line["tcp_port"].as_u64());
    sharer.wait_json("the offer", |line| (line["t"] == "content").then_some(()));
    let began = Instant::now();
    // Two browsers, and the second one is not behind the first.
    let mut readers = [0, 1].map(|_| {
        let mut reader = TcpStream::connect((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap())).unwrap();
        reader.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(reader, "GET /talk.mkv HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
            .unwrap();
        reader
    });
    let mut first = [0; 100_000];
    readers[1].read_exact(&mut first).unwrap();
    let bodies = readers.each_mut().map(|reader| {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        rest
    });
    assert!(began.elapsed() >= LEAST, "{:?}", began.elapsed());
    let wanted = fs::read(&source).unwrap();
    assert!(bodies[0].ends_with(&wanted) && [&first[..], &bodies[1]].concat().ends_with(&wanted));
    sharer.interrupt().expect(0);
}
