//! The discovery: hears announcements, keeps who has what, and dies of a datagram it did not expect.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::life::{LOOK, Life, PATIENCE};
use super::loopback::shared_udp;
use super::python::Json;

/// The `recvfrom` of all but D: the rest of a longer datagram is lost, and what came is no JSON any more.
const SMALL_RECV_BYTES: usize = 1024;
/// That of D: any datagram.
const LARGE_RECV_BYTES: usize = 65_535;

/// How a listener reads a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// `json.loads(datagram)`, then `["username"]` and `["files"]`: A, A-size, E.
    Files,
    /// `json.loads(datagram)["chunks"]`: most B and C.
    Chunks,
    /// Takes the first value for the chunks and a second one for the address, whatever their keys: some B.
    FirstValue,
    /// `eval(datagram)["chunks"]`, to which `true`, `false` and `null` are unknown names: some B.
    Eval,
    /// `json.loads(datagram)["chunks"]` as a dictionary, which replaces what the peer said before: D. Chunks that
    /// are a list are some B's, and passed over.
    Batch,
}

impl Reader {
    /// All that listen on UDP 5001, beside D.
    pub(crate) const ON_5001: [Reader; 3] = [Reader::Chunks, Reader::FirstValue, Reader::Eval];

    fn recv_bytes(self) -> usize {
        if self == Reader::Batch { LARGE_RECV_BYTES } else { SMALL_RECV_BYTES }
    }

    /// The chunks that a datagram tells; `None` when it is passed over, an error when it kills the program.
    fn read(self, datagram: &[u8]) -> Result<Option<BTreeMap<String, Told>>, String> {
        let said = Json::loads(datagram)?;
        let member = |key: &str| said.get(key).ok_or_else(|| format!("KeyError: {key:?}"));
        let chunks = match self {
            Reader::Files => {
                member("username")?.as_text().ok_or("a username that is no string")?;
                member("files")?
            }
            Reader::Chunks => member("chunks")?,
            Reader::FirstValue => first_value(&said)?,
            Reader::Eval if said.has_literal() => Err("NameError: true, false or null")?,
            Reader::Eval => member("chunks")?,
            Reader::Batch => match member("chunks")? {
                Json::List(_) => return Ok(None),
                chunks => return batch(chunks).map(Some),
            },
        };
        let names = chunks.as_texts().ok_or("chunks that are no list of strings")?;
        Ok(Some(names.into_iter().map(|name| (name, Told::default())).collect()))
    }
}

/// What a listener does with datagrams that it can read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// It hears each of them and adds them up; D replaces what a peer said before.
    #[default]
    Adds,
    /// It keeps the newest datagram of a peer alone, and of its names those of the form `forest_1` or `forest.png_1`.
    Newest,
    /// It binds its port again after each datagram, this pause later; what came meanwhile is lost.
    OnePerBind { pause: Duration },
}

/// What a peer told of a chunk; only D tells anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) size_bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
}

/// What a listener died of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) from: SocketAddr,
    /// What was received of the datagram.
    pub(crate) datagram: Vec<u8>,
    pub(crate) why: String,
}

impl fmt::Debug for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Death { from, datagram, why } = self;
        write!(formatter, "{why}, of {} bytes from {from}: ", datagram.len())?;
        formatter.write_str(&String::from_utf8_lossy(datagram))
    }
}

/// The chunks, and who has them.
pub(crate) type Dictionary = BTreeMap<String, BTreeSet<Ipv4Addr>>;

/// A running listener. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Arc<Shared>,
    at: Vec<SocketAddrV4>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    life: Life,
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    peers: BTreeMap<Ipv4Addr, BTreeMap<String, Told>>,
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// What it died of, by whom. It goes on, for others may send here that have nothing to do with the test.
    deaths: BTreeMap<Ipv4Addr, Death>,
}

impl Heard {
    fn dictionary(&self) -> Dictionary {
        let mut dictionary = Dictionary::new();
        for (peer, chunks) in &self.peers {
            for name in chunks.keys() {
                dictionary.entry(name.clone()).or_default().insert(*peer);
            }
        }
        dictionary
    }
}

impl Listener {
    /// Listens at each of `at` (D: two ports); port 0 leaves the choice to the system. At a unicast address only
    /// unicast is heard, at 127.255.255.255 only broadcast, at 0.0.0.0 both.
    pub(crate) fn start(reader: Reader, at: &[SocketAddrV4]) -> Listener {
        Listener::start_as(reader, Hearing::Adds, at)
    }

    /// The same, with a quirk.
    pub(crate) fn start_as(reader: Reader, hearing: Hearing, at: &[SocketAddrV4]) -> Listener {
        let shared = Arc::new(Shared::default());
        let mut listener = Listener { shared, at: Vec::new(), threads: Vec::new() };
        for at in at {
            let ip = at.ip();
            assert!(ip.is_loopback() || ip.is_unspecified(), "{ip}");
            let socket = shared_udp(*at);
            let SocketAddr::V4(at) = socket.local_addr().unwrap() else { unreachable!("bound to IPv4") };
            listener.at.push(at);
            let shared = Arc::clone(&listener.shared);
            listener.threads.push(std::thread::spawn(move || shared.listen((reader, hearing), socket)));
        }
        listener
    }

    /// Where it listens, in the order given.
    pub(crate) fn at(&self) -> &[SocketAddrV4] {
        &self.at
    }

    /// Who has what, as far as heard.
    pub(crate) fn dictionary(&self) -> Dictionary {
        self.shared.heard().dictionary()
    }

    /// What was told of a chunk.
    pub(crate) fn told(&self, peer: Ipv4Addr, chunk: &str) -> Option<Told> {
        self.shared.heard().peers.get(&peer)?.get(chunk).cloned()
    }

    /// Every datagram that came, as far as it was received.
    pub(crate) fn datagrams(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.shared.heard().datagrams.clone()
    }

    /// What it died of, if it did.
    pub(crate) fn death(&self) -> Option<Death> {
        self.shared.heard().deaths.values().next().cloned()
    }

    /// Waits until a peer is known to have all these chunks; fails when the listener dies of what that peer says.
    #[track_caller]
    pub(crate) fn wait_for(&self, peer: Ipv4Addr, chunks: &[&str]) -> Dictionary {
        let has = |dictionary: &Dictionary, chunk: &str| {
            dictionary.get(chunk).is_some_and(|peers| peers.contains(&peer))
        };
        let has_all = |dictionary: &Dictionary| chunks.iter().all(|chunk| has(dictionary, chunk));
        let heard =
            self.shared.wait(|heard| heard.deaths.contains_key(&peer) || has_all(&heard.dictionary()));
        let dictionary = heard.dictionary();
        assert_eq!(heard.deaths.get(&peer), None, "waiting for {chunks:?} of {peer}");
        assert!(has_all(&dictionary), "{chunks:?} of {peer} did not come: {dictionary:?}");
        dictionary
    }

    /// Waits until that many datagrams came.
    #[track_caller]
    pub(crate) fn wait_datagrams(&self, count: usize) {
        let heard = self.shared.wait(|heard| heard.datagrams.len() >= count);
        assert!(heard.datagrams.len() >= count, "only {} datagrams came", heard.datagrams.len());
    }

    /// Waits until it died.
    #[track_caller]
    pub(crate) fn wait_death(&self) -> Death {
        let heard = self.shared.wait(|heard| !heard.deaths.is_empty());
        heard.deaths.values().next().cloned().expect("it lives on")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.life.end();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    /// Waits until it is so, or patience ends.
    fn wait(&self, so: impl Fn(&Heard) -> bool) -> MutexGuard<'_, Heard> {
        self.changed.wait_timeout_while(self.heard(), PATIENCE, |heard| !so(heard)).unwrap().0
    }

    fn listen(&self, (reader, hearing): (Reader, Hearing), mut socket: UdpSocket) {
        let SocketAddr::V4(at) = socket.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        let mut bytes = vec![0; reader.recv_bytes()];
        while !self.life.ended() {
            socket.set_read_timeout(Some(LOOK)).unwrap();
            let Ok((len, from)) = socket.recv_from(&mut bytes) else { continue };
            if let Hearing::OnePerBind { pause } = hearing {
                drop(socket);
                self.hear((reader, hearing), &bytes[..len], from);
                self.life.pause(pause);
                socket = shared_udp(at);
            } else {
                self.hear((reader, hearing), &bytes[..len], from);
            }
        }
    }

    fn hear(&self, (reader, hearing): (Reader, Hearing), datagram: &[u8], from: SocketAddr) {
        let SocketAddr::V4(peer) = from else { return };
        let mut heard = self.heard();
        heard.datagrams.push((from, datagram.to_vec()));
        match reader.read(datagram) {
            Ok(None) => {}
            Ok(Some(chunks)) if reader == Reader::Batch => drop(heard.peers.insert(*peer.ip(), chunks)),
            Ok(Some(mut chunks)) if hearing == Hearing::Newest => {
                chunks.retain(|name, _| is_of_a(name));
                heard.peers.insert(*peer.ip(), chunks);
            }
            Ok(Some(chunks)) => heard.peers.entry(*peer.ip()).or_default().extend(chunks),
            Err(why) => {
                let death = Death { from, datagram: datagram.to_vec(), why };
                heard.deaths.entry(*peer.ip()).or_insert(death);
            }
        }
        self.changed.notify_all();
    }
}

/// Whether nothing stands behind the index.
fn is_of_a(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, index)| index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `list(said.values())[0]`, and `[1]` where there is one. A program whose first value is something else goes wrong
/// later, with a dictionary of nonsense; here it dies at once.
fn first_value(said: &Json) -> Result<&Json, String> {
    let Json::Members(members) = said else { return Err("no dictionary".to_owned()) };
    match members.as_slice() {
        [] => Err("IndexError: an empty dictionary".to_owned()),
        [(key, _), ..] if key != "chunks" => Err(format!("the first key is {key:?}")),
        [_, (key, _), ..] if key != "ip_address" => Err(format!("the second key is {key:?}")),
        [_, (_, value), ..] if value.as_text().is_none() => Err("an address that is no string".to_owned()),
        [(_, chunks), ..] => Ok(chunks),
    }
}

fn batch(chunks: &Json) -> Result<BTreeMap<String, Told>, String> {
    let Json::Members(chunks) = chunks else { return Err("chunks that are no dictionary".to_owned()) };
    let told = chunks.iter().map(|(name, detail)| {
        let Some(Json::Number(size)) = detail.get("size") else { return Err(format!("no size of {name:?}")) };
        let Some(Json::Text(sha256)) = detail.get("checksum") else {
            return Err(format!("no checksum of {name:?}"));
        };
        Ok((name.clone(), Told { size_bytes: Some(*size), sha256: Some(sha256.clone()) }))
    });
    told.collect()
}
