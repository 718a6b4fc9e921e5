//! The announcer: says over UDP, again and again, which chunks there are.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::dialect::Dialect;
use super::life::Life;
use super::loopback::assert_loopback;
use super::python::Json;
use super::sha256;
use super::split::Chunk;

/// When a D peer says its chunks are from; nobody looks.
const TIMESTAMP: &str = "2026-11-20 04:42:43";

/// How the chunks are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    /// `{"username": "alice", "files": [...]}`: A, A-size, E.
    Username,
    /// `{"name": "alice", "files": [...]}`: some A.
    Name,
    /// `{"chunks": [...]}`: B, B-json, C.
    Chunks,
    /// `{"chunks": [...], "ip_address": "127.0.0.1"}`: one B.
    ChunksAndAddress,
    /// `{"chunk": [...]}`: another B.
    Chunk,
    /// `{"peer_ip": ..., "chunks": {"forest_1.png": {"size": ..., ...}}, ...}`: D.
    Batch,
}

impl Wording {
    /// The usual one of a dialect.
    pub(crate) fn of(dialect: Dialect) -> Wording {
        match dialect {
            Dialect::A | Dialect::ASize | Dialect::E => Wording::Username,
            Dialect::B | Dialect::BJson | Dialect::C => Wording::Chunks,
            Dialect::D => Wording::Batch,
        }
    }

    /// The datagram that tells these chunks: always one, however long it becomes.
    pub(crate) fn datagram(self, chunks: &[Chunk], from: Ipv4Addr) -> Vec<u8> {
        let names = Json::texts(chunks.iter().map(|chunk| chunk.name.as_str()));
        let text = match self {
            Wording::Username => Json::members([("username", Json::text("alice")), ("files", names)]),
            Wording::Name => Json::members([("name", Json::text("alice")), ("files", names)]),
            Wording::Chunks => Json::members([("chunks", names)]),
            Wording::ChunksAndAddress => {
                Json::members([("chunks", names), ("ip_address", Json::text(&from.to_string()))])
            }
            Wording::Chunk => Json::members([("chunk", names)]),
            Wording::Batch => batch(chunks, from),
        };
        text.dumps().into_bytes()
    }
}

/// A running announcer. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Announcer {
    life: Arc<Life>,
    thread: Option<JoinHandle<()>>,
}

impl Announcer {
    /// Announces at once and then `every` so often, from a port of the system's choice at `from`, to each of `to`:
    /// unicast or 127.255.255.255.
    pub(crate) fn start(
        wording: Wording,
        chunks: &[Chunk],
        from: Ipv4Addr,
        to: &[SocketAddrV4],
        every: Duration,
    ) -> Announcer {
        Announcer::repeat(wording.datagram(chunks, from), from, to, every)
    }

    /// Sends any bytes so: for what no sane peer says.
    pub(crate) fn repeat(
        datagram: Vec<u8>,
        from: Ipv4Addr,
        to: &[SocketAddrV4],
        every: Duration,
    ) -> Announcer {
        let socket = voice(from);
        let to = to.to_vec();
        to.iter().for_each(|to| assert_loopback(*to.ip()));
        let life = Arc::new(Life::default());
        let thread = std::thread::spawn({
            let life = Arc::clone(&life);
            move || {
                while !life.ended() {
                    for to in &to {
                        // The answer to an earlier datagram may be that nobody listens there.
                        let _ = socket.send_to(&datagram, *to);
                    }
                    life.pause(every);
                }
            }
        });
        Announcer { life, thread: Some(thread) }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.life.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends one datagram, once.
pub(crate) fn say(datagram: &[u8], from: Ipv4Addr, to: SocketAddrV4) {
    assert_loopback(*to.ip());
    voice(from).send_to(datagram, to).unwrap();
}

fn voice(from: Ipv4Addr) -> UdpSocket {
    assert_loopback(from);
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_broadcast(true).unwrap();
    socket
}

fn batch(chunks: &[Chunk], from: Ipv4Addr) -> Json {
    let told = chunks.iter().map(|chunk| {
        let detail = Json::members([
            ("size", Json::Number(chunk.bytes.len() as u64)),
            ("checksum", Json::text(&sha256::hex(&chunk.bytes))),
            ("timestamp", Json::text(TIMESTAMP)),
        ]);
        (chunk.name.clone(), detail)
    });
    Json::members([
        ("peer_ip", Json::text(&from.to_string())),
        ("chunks", Json::Members(told.collect())),
        ("timestamp", Json::text(TIMESTAMP)),
        ("batch_info", Json::members([("current", Json::Number(1)), ("total", Json::Number(1))])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_to_the_byte() {
        let chunks = Dialect::D.split("forest.png", b"abc");
        let say = |wording: Wording| {
            String::from_utf8(wording.datagram(&chunks, Ipv4Addr::new(127, 0, 0, 9))).unwrap()
        };
        assert_eq!(say(Wording::Username), r#"{"username": "alice", "files": ["forest_1.png"]}"#);
        assert_eq!(say(Wording::Name), r#"{"name": "alice", "files": ["forest_1.png"]}"#);
        assert_eq!(say(Wording::Chunks), r#"{"chunks": ["forest_1.png"]}"#);
        assert_eq!(
            say(Wording::ChunksAndAddress),
            r#"{"chunks": ["forest_1.png"], "ip_address": "127.0.0.9"}"#
        );
        assert_eq!(say(Wording::Chunk), r#"{"chunk": ["forest_1.png"]}"#);
        let batch = concat!(
            r#"{"peer_ip": "127.0.0.9", "chunks": {"forest_1.png": {"size": 3, "checksum": "#,
            r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "#,
            r#""timestamp": "2026-11-20 04:42:43"}}, "timestamp": "2026-11-20 04:42:43", "#,
            r#""batch_info": {"current": 1, "total": 1}}"#
        );
        assert_eq!(say(Wording::Batch), batch);
    }
}
