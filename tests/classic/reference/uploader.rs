//! The uploader: listens on TCP, is asked for a chunk, answers its bytes. Its quirks are its [`Manner`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::dialect::Dialect;
use super::life::{Life, PATIENCE};
use super::link::Link;
use super::loopback::assert_loopback;
use super::manner::{Care, Ending, Manner, Sending};
use super::python::Json;
use super::split::Chunk;

/// One `recv` of this many bytes is the whole request.
const REQUEST_BYTES: usize = 1024;
/// A-size: between the status and the size
/// (50 ms are enough; this is kinder to a busy machine).
const BEFORE_SIZE: Duration = Duration::from_millis(150);
/// A-size: between the size and the bytes, which come 1.2 s or more after the status.
const BEFORE_BYTES: Duration = Duration::from_millis(1100);
/// B-json and D: between the header and the bytes (50 ms are enough).
const AFTER_HEADER: Duration = Duration::from_millis(80);
/// How often a listener looks for a connection.
const ACCEPT_LOOK: Duration = Duration::from_millis(2);

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) from: IpAddr,
    pub(crate) chunk: String,
}

/// A running uploader. Dropping it ends it. All but D serve one connection at a time.
#[derive(Debug)]
pub(crate) struct Uploader {
    shared: Arc<Shared>,
    at: SocketAddrV4,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    dialect: Dialect,
    manner: Manner,
    chunks: BTreeMap<String, Vec<u8>>,
    life: Arc<Life>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Vec<Asked>,
    connections: usize,
    death: Option<String>,
}

impl Uploader {
    /// Serves these chunks at an address; port 0 leaves the choice to the system.
    pub(crate) fn start(dialect: Dialect, at: SocketAddrV4, chunks: &[Chunk], manner: Manner) -> Uploader {
        assert_loopback(*at.ip());
        let listener = TcpListener::bind(at).unwrap_or_else(|e| panic!("tcp {at}: {e}"));
        let at = SocketAddrV4::new(*at.ip(), listener.local_addr().unwrap().port());
        let shared = Arc::new(Shared {
            dialect,
            manner,
            chunks: chunks.iter().map(|chunk| (chunk.name.clone(), chunk.bytes.clone())).collect(),
            life: Arc::default(),
            seen: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(listener, at)
        });
        Uploader { shared, at, thread: Some(thread) }
    }

    /// Serves at a port of the system's choice.
    pub(crate) fn anywhere(dialect: Dialect, at: Ipv4Addr, chunks: &[Chunk], manner: Manner) -> Uploader {
        Uploader::start(dialect, SocketAddrV4::new(at, 0), chunks, manner)
    }

    /// Where it listens.
    pub(crate) fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// What it was asked for, in this order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.seen().asked.clone()
    }

    /// How many connections it accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.seen().connections
    }

    /// What it died of, if it did.
    pub(crate) fn death(&self) -> Option<String> {
        self.shared.seen().death.clone()
    }

    /// Waits until it died.
    #[track_caller]
    pub(crate) fn wait_death(&self) -> String {
        self.shared.wait(|seen| seen.death.is_some()).death.clone().expect("it lives on")
    }

    /// Waits until it was asked for that many chunks.
    #[track_caller]
    pub(crate) fn wait_asked(&self, count: usize) {
        let seen = self.shared.wait(|seen| seen.asked.len() >= count);
        assert!(seen.asked.len() >= count, "only asked for {:?}", seen.asked);
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.shared.life.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Waits until it is so, or patience ends.
    fn wait(&self, so: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        self.changed.wait_timeout_while(self.seen(), PATIENCE, |seen| !so(seen)).unwrap().0
    }

    fn run(self: Arc<Shared>, mut listener: TcpListener, at: SocketAddrV4) {
        let mut kept = None;
        let mut threads = Vec::new();
        while let Some(mut link) = self.accept(&listener) {
            drop(kept.take());
            if self.dialect == Dialect::D {
                let shared = Arc::clone(&self);
                threads.push(std::thread::spawn(move || shared.converse(&mut link)));
                continue;
            }
            self.converse(&mut link);
            match self.manner.ending {
                Ending::Closes => {}
                Ending::ClosesAtTheNext => kept = Some(link),
                Ending::Rebinds { gap } => {
                    link.wait_for_end();
                    drop(listener);
                    drop(link);
                    self.life.pause(gap);
                    let Some(again) = self.bind(at) else { return };
                    listener = again;
                }
                Ending::RebindsOrDies { pause } => {
                    link.wait_for_end();
                    drop(link);
                    self.life.pause(pause);
                    if let Ok(returned) = listener.accept() {
                        drop((listener, returned));
                        return self.die("OSError: [Errno 98] Address already in use");
                    }
                    drop(listener);
                    let Some(again) = self.bind(at) else { return };
                    listener = again;
                }
            }
        }
        drop(listener);
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// The next connection; `None` when it is over.
    fn accept(&self, listener: &TcpListener) -> Option<Link> {
        listener.set_nonblocking(true).unwrap();
        while !self.life.ended() {
            if let Ok((stream, peer)) = listener.accept() {
                self.seen().connections += 1;
                self.changed.notify_all();
                return Some(Link::new(stream, peer.ip(), Arc::clone(&self.life), PATIENCE));
            }
            self.life.pause(ACCEPT_LOOK);
        }
        None
    }

    /// The port again; another program may hold it for a moment.
    fn bind(&self, at: SocketAddrV4) -> Option<TcpListener> {
        let deadline = Instant::now() + PATIENCE;
        while !self.life.ended() && Instant::now() < deadline {
            if let Ok(listener) = TcpListener::bind(at) {
                return Some(listener);
            }
            self.life.pause(ACCEPT_LOOK);
        }
        None
    }

    /// Answers one request; those of D until the other side ends.
    fn converse(&self, link: &mut Link) {
        let mut first = true;
        loop {
            let request = link.recv(REQUEST_BYTES).unwrap_or_default();
            if self.life.ended() {
                return;
            }
            if request.is_empty() {
                return if first {
                    self.mind("a connection without a request")
                };
            }
            first = false;
            let kept = match self.dialect.requested(&request) {
                Ok(name) => self.answer(link, name),
                Err(why) => {
                    self.mind(&why);
                    Ok(())
                }
            };
            if self.dialect != Dialect::D || kept.is_err() || self.life.ended() {
                return;
            }
        }
    }

    fn answer(&self, link: &mut Link, name: String) -> io::Result<()> {
        let from = link.peer();
        self.seen().asked.push(Asked { from, chunk: name.clone() });
        self.changed.notify_all();
        let Some(bytes) = self.chunks.get(&name) else {
            self.mind(&format!("FileNotFoundError: {name:?}"));
            return match self.dialect {
                _ if self.life.ended() => Ok(()),
                Dialect::ASize => link.send(b"0"),
                Dialect::D => link.send(b"ERROR: Chunk not found"),
                _ => Ok(()),
            };
        };
        let size = (bytes.len() as u64).saturating_add_signed(self.manner.lie_bytes);
        let head = match self.dialect {
            Dialect::A | Dialect::B | Dialect::C | Dialect::E => Vec::new(),
            Dialect::BJson if self.manner.hurries => list(name, size),
            Dialect::ASize if self.manner.hurries => format!("1{size}").into_bytes(),
            Dialect::D if self.manner.hurries => format!("{size}\n").into_bytes(),
            Dialect::ASize => {
                link.send(b"1")?;
                link.pause(BEFORE_SIZE);
                link.send(size.to_string().as_bytes())?;
                link.pause(BEFORE_BYTES);
                Vec::new()
            }
            Dialect::BJson => {
                link.send(&list(name, size))?;
                link.pause(AFTER_HEADER);
                Vec::new()
            }
            Dialect::D => {
                link.send(format!("{size}\n").as_bytes())?;
                link.pause(AFTER_HEADER);
                Vec::new()
            }
        };
        self.send(link, &[&head, bytes.as_slice()].concat())
    }

    fn send(&self, link: &mut Link, bytes: &[u8]) -> io::Result<()> {
        let up_to = |len: usize| &bytes[..len.min(bytes.len())];
        match self.manner.sending {
            Sending::Whole => link.send(bytes),
            Sending::Pieces { bytes: piece, gap } => bytes.chunks(piece).try_for_each(|piece| {
                link.send(piece)?;
                self.life.pause(gap);
                Ok(())
            }),
            Sending::StopsAt(len) => {
                link.send(up_to(len))?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Sending::StallsAt(len) => {
                link.send(up_to(len))?;
                self.life.pause(PATIENCE);
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Sending::Endless => {
                link.send(bytes)?;
                loop {
                    link.send(&[0x55; 64 << 10])?;
                }
            }
        }
    }

    /// Something that a careful program shrugs off, and others die of.
    fn mind(&self, what: &str) {
        if self.manner.care == Care::Dies {
            self.die(what);
        }
    }

    fn die(&self, what: &str) {
        self.seen().death.get_or_insert(what.to_owned());
        self.life.end();
        self.changed.notify_all();
    }
}

/// What stands before the bytes of a B-json answer.
fn list(name: String, size: u64) -> Vec<u8> {
    Json::List(vec![Json::Text(name), Json::Number(size)]).dumps().into_bytes()
}
