//! A LAN of one test's own on the loopback interface: its ports, its folders, and how processes join it.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chunkcast::wire::datagram;
use chunkcast::wire::message::{Announcement, Datagram};
use socket2::{Domain, Protocol, Socket, Type};
use tempfile::TempDir;

use crate::child::{Launch, PATIENCE};

/// Where a run on loopback broadcasts to.
pub(crate) const BROADCAST: &str = "127.255.255.255";

/// Ports of one block: the discovery port, sixteen that peers fall back to, and the one that holds the block.
const BLOCK_PORTS: u16 = 32;
/// Blocks lie below the ports that systems hand out to outgoing connections, which would take one at any moment.
const BLOCKS: std::ops::Range<u16> = 12_288 / BLOCK_PORTS..32_768 / BLOCK_PORTS;
/// Discovery port to last fallback.
const PEER_PORTS: u16 = 17;

/// One test's network and folder.
#[derive(Debug)]
pub(crate) struct Lan {
    /// The discovery port.
    pub(crate) port: u16,
    folder: TempDir,
    /// Listening on the block's last port is the sign, to every other test of every process, that the block is taken.
    _held: TcpListener,
}

impl Lan {
    /// Draws a free block of ports and holds it, and makes a folder.
    pub(crate) fn new() -> Lan {
        let blocks: Vec<u16> = BLOCKS.collect();
        let first = fastrand::usize(..blocks.len());
        let free = (0..blocks.len()).find_map(|step| {
            let port = blocks[(first + step) % blocks.len()] * BLOCK_PORTS;
            let held = TcpListener::bind((Ipv4Addr::LOCALHOST, port + BLOCK_PORTS - 1)).ok()?;
            (port..port + PEER_PORTS).all(is_free).then_some((port, held))
        });
        let (port, held) = free.expect("a free block of ports");
        let folder = tempfile::Builder::new().prefix("chunkcast-test-").tempdir().unwrap();
        Lan { port, folder, _held: held }
    }

    /// The folder `name` of this test, made when missing.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The path of `name` in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The state directory of the peer `name`; the same name comes back to the same state.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.folder(&format!("state-{name}"))
    }

    /// A process that joins this LAN as `name`; `args` are the command and what belongs to it.
    pub(crate) fn launch<A: AsRef<std::ffi::OsStr>>(&self, name: &str, args: &[A]) -> Launch {
        Launch::new(name)
            .args(args)
            .args(&["--port", &self.port.to_string(), "--broadcast", BROADCAST, "--name", name])
            .args(&["--state-dir".as_ref(), self.state(name).as_os_str()])
    }

    /// `share` of `path`; returns once it is offered. Chunks that are sent are told too.
    pub(crate) fn share(&self, name: &str, path: &Path) -> crate::child::Child {
        let mut sharer = self.launch(name, &["share".as_ref(), path.as_os_str()]).json_chunks().start();
        sharer.wait_json("the first offer", |line| (line["t"] == "content").then_some(()));
        sharer
    }

    /// `get` of `what` into `folder`, telling each chunk.
    pub(crate) fn get(&self, name: &str, what: &str, folder: &Path) -> Launch {
        self.launch(name, &["get".as_ref(), what.as_ref(), "-o".as_ref(), folder.as_os_str()]).json_chunks()
    }

    /// The transfer log of the peer `name`, as people read it.
    pub(crate) fn transfer_log(&self, name: &str) -> String {
        Launch::new("log").args(&["log", "--state-dir"]).args(&[self.state(name)]).run().expect(0).stdout
    }

    /// A socket that hears what is broadcast here, beside the peers.
    pub(crate) fn ear(&self) -> UdpSocket {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        // A peer with a large catalogue must not be able to overflow it unseen.
        let _ = socket.set_recv_buffer_size(4 << 20);
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.port).into()).unwrap();
        UdpSocket::from(socket)
    }
}

/// Hears one announcement; `None` when there was none in `within`.
pub(crate) fn hear(ear: &UdpSocket, within: Duration) -> Option<Announcement> {
    let mut bytes = [0; 2048];
    let deadline = std::time::Instant::now() + within.min(PATIENCE);
    loop {
        let left =
            deadline.checked_duration_since(std::time::Instant::now()).filter(|left| !left.is_zero())?;
        ear.set_read_timeout(Some(left)).unwrap();
        let (len, _) = ear.recv_from(&mut bytes).ok()?;
        if let Ok(Datagram::Announcement(announcement)) = datagram::decode(&bytes[..len]) {
            return Some(announcement);
        }
    }
}

/// Whether nobody uses a port, for TCP or UDP.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
