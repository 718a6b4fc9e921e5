//! Three hundred connections that mean no good, and a download beside them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::child::PATIENCE;
use crate::files::{MIB, assert_same, random_file};
use crate::lan::Lan;

const OF_EACH: usize = 100;
const MEMORY_BYTES_MAX: u64 = 64 * MIB;
/// What a port scanner, a browser with TLS and a broken client begin with.
const GARBAGE: [&[u8]; 4] = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\0",
];

#[test]
fn three_hundred_bad_connections_do_not_stop_a_download() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 64 * MIB, 100);
    let mut sharer = lan.share("sharer", &source);
    let port = sharer.wait_json("its port", |line| line["tcp_port"].as_u64());
    let connect = || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut silent: Vec<TcpStream> = (0..OF_EACH).map(|_| connect()).collect();
    let slow: Vec<TcpStream> = (0..OF_EACH).map(|_| connect()).collect();
    let mut garbage: Vec<TcpStream> = (0..OF_EACH).map(|_| connect()).collect();
    for (number, stream) in garbage.iter_mut().enumerate() {
        // It may be closed before all is written.
        let _ = stream.write_all(&GARBAGE[number % GARBAGE.len()].repeat(1 + number));
    }
    let (stop, stopped) = channel::<()>();
    let drip = std::thread::spawn(move || {
        // The beginning of a long frame, one byte a second, from each.
        for byte in [0, 0, 0xff, 0, 1].into_iter().chain(std::iter::repeat(b' ')) {
            slow.iter().for_each(|mut stream| drop(stream.write(&[byte])));
            if stopped.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });

    let folder = lan.folder("got");
    lan.get("getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));

    // Who says nothing that makes sense is sent away, who says nothing at all too, each by its deadline.
    for stream in garbage.iter_mut().chain(&mut silent) {
        assert!(is_closed(stream), "a connection that said no hello is still open");
    }
    stop.send(()).unwrap();
    drip.join().unwrap();
    let memory = sharer.peak_memory_bytes();
    assert!(memory <= MEMORY_BYTES_MAX, "the sharer took {memory} bytes");
    lan.get("again", "talk.mkv", &lan.folder("again")).run().expect(0);
    sharer.interrupt().expect(0);
}

/// Waits until the other side closes, skipping what it says before.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}
