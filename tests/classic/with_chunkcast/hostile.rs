//! Broken and hostile peers of the field cost a log line, never the process, never a file outside the folder.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};

use super::field::{Field, OFTEN};
use crate::reference::announcer::{Announcer, Wording, say};
use crate::reference::dialect::Dialect;
use crate::reference::downloader::Downloader;
use crate::reference::loopback::own_address;
use crate::reference::manner::{Manner, Sending};
use crate::reference::split::Chunk;

/// Datagrams that nobody should send.
fn garbage() -> Vec<Vec<u8>> {
    let deep = [vec![b'['; 30_000], vec![b']'; 30_000]].concat();
    let many: Vec<String> = (0..4000).map(|index| format!("\"f_{index}\"")).collect();
    vec![
        Vec::new(),
        b"{".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        vec![b'x'; 60_000],
        deep,
        b"null".to_vec(),
        br#"{"chunks": 7}"#.to_vec(),
        br#"{"chunks": ["../../etc/passwd_1", "/etc/passwd_1", "..\\x_1", "\u001b[2J_1", "_1", "x_0"]}"#
            .to_vec(),
        br#"{"username": ["x"], "files": {"a": 1}}"#.to_vec(),
        format!("{{\"chunks\": [{}]}}", many.join(", ")).into_bytes(),
        br#"{"chunks": {"forest_1.png": {"size": -1, "checksum": 5}}, "batch_info": []}"#.to_vec(),
    ]
}

/// Whether it still serves.
#[track_caller]
fn assert_serves(field: &Field, at: Ipv4Addr) {
    let got = Downloader::new(Dialect::C, own_address()).file(SocketAddrV4::new(at, 5000), &field.file());
    assert!(got.unwrap() == field.content);
}

#[test]
fn datagrams_that_kill_others() {
    let (field, at) = (Field::new(1003), own_address());
    let sharer = field.share(at);
    for datagram in garbage() {
        for port in [5000, 5001, 5002] {
            say(&datagram, own_address(), SocketAddrV4::new(at, port));
        }
    }
    assert_serves(&field, at);
    sharer.interrupt().expect(0);
}

#[test]
fn requests_that_are_none() {
    let (field, at) = (Field::new(1003), own_address());
    let sharer = field.share(at);
    let requests: [&[u8]; 9] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x05\x01hello",
        b"{",
        b"{}",
        br#"{"requested_content": "../../../../etc/passwd"}"#,
        br#"{"requested_content": "/etc/passwd_1"}"#,
        br#"{"requested_content": 5, "filename": []}"#,
        &[b' '; 5000],
    ];
    for request in requests {
        for port in [5000, 5001, 8000] {
            let mut stream = TcpStream::connect((at, port)).unwrap();
            stream.set_read_timeout(Some(crate::child::PATIENCE)).unwrap();
            // It may be closed already, which is as good.
            let _ = stream.write_all(request);
            let _ = stream.shutdown(Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.is_empty(), "{:?}: {answer:?}", String::from_utf8_lossy(request));
        }
    }
    assert_serves(&field, at);
    sharer.interrupt().expect(0);
}

#[test]
fn answers_that_lie_never_end_or_name_other_places() {
    let (field, at) = (Field::new(60_001), own_address());
    let b = field.chunks(Dialect::B);
    let lies = Manner { lie_bytes: 1 << 40, ..Manner::default() };
    let short = Manner { lie_bytes: -100, ..Manner::default() };
    let endless = Manner { sending: Sending::Endless, ..Manner::default() };
    let _bad = [
        Field::holder(Dialect::BJson, &b, lies, at),
        Field::holder(Dialect::ASize, &field.chunks(Dialect::ASize), short, at),
        Field::holder(Dialect::A, &b, endless, at),
    ];
    let escape = Chunk { name: "../../escaped_1".to_owned(), bytes: vec![1; 10] };
    let ears = [SocketAddrV4::new(at, 5001)];
    let _escaping = Announcer::start(Wording::Chunks, &[escape], own_address(), &ears, OFTEN);
    let _good = Field::holder(Dialect::C, &b, Manner::default(), at);
    let got = field.folder("got/deep");
    let child = field.get(at, &got).args(&["--max-size", "1MiB"]).start();
    child.end().expect(0);
    field.assert_got(&got);
    let left: Vec<_> = std::fs::read_dir(field.folder("got")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
