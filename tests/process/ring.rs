//! An owner and its neighbours as real processes: rings of any length, a line, odd sizes, a peer that is killed, bad use.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chunkcast::types::ContentId;
use serde_json::Value;

use crate::child::{Child, Ended, Launch, Trap};
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

const KIB: u64 = 1 << 10;
/// Owner and peers start within so long.
const STARTS: Duration = Duration::from_secs(3);

/// A place of one test: its block of ports is its own, and each process has an address of its own.
struct Ring {
    lan: Lan,
    source: PathBuf,
    id: ContentId,
    peers: usize,
}

impl Ring {
    fn new(bytes: u64, peers: usize, seed: u64) -> Ring {
        let lan = Lan::new();
        let source = lan.path("talk.mkv");
        let id = random_file(&source, bytes, seed);
        Ring { lan, source, id, peers }
    }

    /// Where process `number` listens; the owner is number 0.
    fn at(&self, number: usize) -> String {
        format!("127.0.1.{}:{}", number + 1, self.lan.port)
    }

    fn launch(&self, name: &str, args: &[&str]) -> Launch {
        let state = self.lan.state(name);
        Launch::new(name)
            .args(args)
            .args(&["--name", name])
            .args(&["--state-dir".as_ref(), state.as_os_str()])
    }

    fn owner(&self) -> Launch {
        let (at, peers) = (self.at(0), self.peers.to_string());
        self.launch("owner", &["ring", "owner", "--listen", &at, "--peers", &peers, "--exit-when-done"])
            .args(&[&self.source])
    }

    /// Peer `number` with this download neighbour.
    fn peer(&self, number: usize, neighbour: usize) -> Launch {
        let (owner, listen, neighbour) = (self.at(0), self.at(number), self.at(neighbour));
        let folder = self.folder(number);
        self.launch(&name_of(number), &["ring", "peer", &owner, &listen, &neighbour, "--exit-when-done"])
            .args(&["-o".as_ref(), folder.as_os_str()])
    }

    /// Peer `number` of a ring in which each downloads from the next.
    fn ring_peer(&self, number: usize) -> Launch {
        self.peer(number, if self.peers == 1 { 0 } else { number % self.peers + 1 })
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.lan.folder(&name_of(number))
    }

    fn assert_all_same(&self) {
        (1..=self.peers).for_each(|number| assert_same(&self.source, &self.folder(number).join("talk.mkv")));
    }

    /// Starts owner and peers in random order, each at a random moment of this span, and waits for all; the owner first in
    /// what is given back.
    fn run(&self, seed: u64, within: Duration) -> Vec<Ended> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut starts: Vec<(Duration, usize)> =
            (0..=self.peers).map(|number| (within.mul_f64(rng.f64()), number)).collect();
        rng.shuffle(&mut starts);
        starts.sort_by_key(|(at, _)| *at);
        let began = Instant::now();
        let mut running: Vec<(usize, Child)> = Vec::new();
        for (at, number) in starts {
            #[allow(
                clippy::disallowed_methods,
                reason = "when each starts is what is tried; nobody waits for anything by it"
            )]
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            running.push((number, if number == 0 { self.owner() } else { self.ring_peer(number) }.start()));
        }
        running.sort_unstable_by_key(|(number, _)| *number);
        running.into_iter().map(|(_, child)| child.end().expect(0)).collect()
    }
}

fn name_of(number: usize) -> String {
    format!("peer-{number}")
}

/// The chunks of the lines that begin so, behind their time stamp, with how often each is there.
fn chunks_of(ended: &Ended, activity: &str) -> BTreeMap<u32, u32> {
    let mut chunks = BTreeMap::new();
    for line in ended.stdout.lines().filter_map(|line| line.split_once(' ')).map(|(_, line)| line) {
        let number = line.strip_prefix(activity).and_then(|rest| rest.trim_start().split_once('/'));
        if let Some(chunk) = number.and_then(|(number, _)| number.parse().ok()) {
            *chunks.entry(chunk).or_default() += 1;
        }
    }
    chunks
}

#[track_caller]
fn assert_each_left_once(owner: &Ended, chunks: u32) {
    let once: BTreeMap<u32, u32> = (0..chunks).map(|chunk| (chunk, 1)).collect();
    assert_eq!(chunks_of(owner, "sent chunk "), once);
}

#[test]
fn five_in_a_ring_in_any_order() {
    let ring = Ring::new(10 * MIB, 5, 400);
    let ended = ring.run(1, STARTS);
    ring.assert_all_same();
    assert_each_left_once(&ended[0], 103);
    for (number, peer) in ended.iter().enumerate().skip(1) {
        for activity in [
            "received chunk ",
            "sent chunk ",
            "received chunk list ",
            "sent chunk list ",
            "requested chunk ",
            "received request for chunk ",
            "complete talk.mkv",
        ] {
            let told = peer.stdout.lines().filter_map(|line| line.split_once(' '));
            assert!(told.clone().any(|(_, line)| line.starts_with(activity)), "peer {number}: no {activity}");
        }
        assert_eq!(chunks_of(peer, "received chunk ").values().sum::<u32>(), 103);
        let log = ring.lan.transfer_log(&name_of(number));
        for word in
            ["DOWN chunk ", "UP chunk ", "DOWN list ", "UP list ", "DOWN request ", "UP request ", "DONE "]
        {
            assert!(log.contains(&format!(" {word}")), "no {word}in the log of peer {number}");
        }
    }
    assert!(ended[0].stdout.contains("complete talk.mkv"), "{}", ended[0].stdout);
    let state = ring.lan.state("peer-1");
    let log = Launch::new("log").args(&["log", "--json", "--state-dir"]).args(&[&state]).run().expect(0);
    assert!(log.of_type("activity").iter().any(|line| line["what"] == "received_request"));
}

#[test]
fn one_two_and_twenty_peers() {
    for (peers, bytes) in [(1, 2 * MIB), (2, 2 * MIB), (20, 4 * MIB)] {
        let ring = Ring::new(bytes, peers, 410);
        let ended = ring.run(peers as u64, STARTS);
        ring.assert_all_same();
        assert_each_left_once(&ended[0], u32::try_from(bytes.div_ceil(100 * KIB)).unwrap());
    }
}

#[test]
fn sizes_at_the_edges_of_chunks() {
    let sizes = [
        (1000 * KIB, 10),
        (1000 * KIB + 1, 11),
        (499 * KIB, 5),
        (5 * KIB, 5),
        (400 * KIB, 5),
        (3, 1),
        (0, 0),
    ];
    for (bytes, chunks) in sizes {
        let ring = Ring::new(bytes, 3, 420);
        let ended = ring.run(bytes, Duration::ZERO);
        ring.assert_all_same();
        assert_each_left_once(&ended[0], chunks);
    }
}

#[test]
fn in_a_line_the_owner_is_the_last_resort() {
    let ring = Ring::new(2 * MIB, 3, 430);
    let owner = ring.owner().start();
    // Nobody ever listens where the last one downloads from.
    let start = |number| ring.peer(number, number + 1).args(&["--owner-fallback=1s"]).start();
    let peers: Vec<Child> = (1..=3).map(start).collect();
    let ended: Vec<Ended> = peers.into_iter().map(|peer| peer.end().expect(0)).collect();
    ring.assert_all_same();
    owner.end().expect(0);
    // The last had no other source.
    let from_owner = |line: &&str| is_chunk(line) && line.contains(" from owner ");
    assert_eq!(ended[2].stdout.lines().filter(from_owner).count(), 21);
}

/// Whether a line tells of a chunk that came.
fn is_chunk(line: &str) -> bool {
    line.split_once(" received chunk ")
        .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn without_a_way_the_chunks_that_are_missing_are_named() {
    let ring = Ring::new(MIB, 2, 440);
    let _owner = ring.owner().start();
    let _first = ring.peer(1, 2).start();
    let told = ring.lan.path("told");
    let hook = format!(
        "echo $CHUNKCAST_ERROR_NAME $CHUNKCAST_ERROR_EXIT $CHUNKCAST_ERROR_PATH > {}",
        told.display()
    );
    // It is looked at every second, and waiting is told after five: one look may come late, several do not.
    let mut second = ring.peer(2, 3).args(&["--stall", "9s", "--on-error", &hook]).start();
    second.wait_stderr(&["waiting for chunks"]);
    let ended = second.end().expect(5);
    // While it waits, and when it gives up.
    for said in ["waiting for ", "\"talk.mkv\" was not fetched: "] {
        let line = ended.stderr.lines().find_map(|line| line.split_once(said)).expect(said).1;
        // Its share is every second one.
        assert!(line.starts_with("chunks 1, 3, 5") || line.starts_with("chunks 0, 2, 4"), "{line}");
        for named in [ring.at(3), ring.at(0), "--owner-fallback".to_owned()] {
            assert!(line.contains(&named), "no {named} in {line}");
        }
    }
    let path = ring.folder(2).join("talk.mkv");
    assert_eq!(fs::read_to_string(told).unwrap(), format!("talk.mkv 5 {}\n", path.display()));
}

#[test]
fn killed_half_way_it_goes_on_from_its_part() {
    let ring = Ring::new(40 * MIB, 3, 450);
    let owner = ring.owner().start();
    let others = [1, 3].map(|number| ring.ring_peer(number).start());
    let killed = ring.ring_peer(2).json_chunks().trap(Trap::Kill(8 * MIB)).start().end();
    assert_eq!(killed.code, None, "it ended before it was killed");
    let again = ring.ring_peer(2).json_chunks().run().expect(0);
    let had = again.of_type("start")[0]["had"].as_u64().unwrap();
    assert!(had >= 60 && again.chunks().len() as u64 + had == 410, "{had}");
    others.into_iter().for_each(|other| drop(other.end().expect(0)));
    owner.end().expect(0);
    ring.assert_all_same();
}

#[test]
fn chunks_and_a_summary_stand_beside_the_file() {
    let ring = Ring::new(MIB, 2, 460);
    let owner = ring.owner().start();
    let other = ring.ring_peer(1).start();
    ring.ring_peer(2).args(&["--keep-chunks"]).run().expect(0);
    other.end().expect(0);
    owner.end().expect(0);
    let folder = ring.folder(2);
    assert_eq!(names_in(&folder), ["talk.mkv", "talk.mkv.chunks", "talk.mkv.summary.json"]);
    let summary: Value =
        serde_json::from_slice(&fs::read(folder.join("talk.mkv.summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["id"], &summary["complete"]), (&ring.id.to_string().into(), &true.into()));
    let held = summary["held"].as_array().unwrap();
    assert_eq!((held.len(), names_in(&folder.join("talk.mkv.chunks")).len()), (11, 11));
    let mut whole = Vec::new();
    for (number, chunk) in held.iter().enumerate() {
        let bytes = fs::read(folder.join(format!("talk.mkv.chunks/{number}"))).unwrap();
        assert_eq!(chunk["id"], blake3::hash(&bytes).to_hex().as_str());
        let part = if chunk["from"]["user"] == "owner" { "owner" } else { "neighbour" };
        assert_eq!(chunk["from"]["part"], part);
        whole.extend(bytes);
    }
    assert_eq!(whole, fs::read(&ring.source).unwrap());
}

#[test]
fn plain_ports_are_those_of_this_host() {
    let ring = Ring::new(MIB, 2, 470);
    let port = |number: u16| (ring.lan.port + number).to_string();
    let bind = ["--bind", "127.0.0.1"];
    let owner =
        ring.launch("owner", &["ring", "owner", "--listen", &port(0), "--peers", "2", "--exit-when-done"]);
    let owner = owner.args(&bind).args(&[&ring.source]).start();
    let peer = |number: u16, neighbour: u16| {
        let name = name_of(usize::from(number));
        let folder = ring.folder(usize::from(number));
        let launch = ring.launch(&name, &["ring", "peer", &port(0), &port(number), &port(neighbour)]);
        launch.args(&bind).args(&["--exit-when-done"]).args(&["--dir".as_ref(), folder.as_os_str()]).start()
    };
    let peers = [peer(1, 2), peer(2, 1)];
    peers.into_iter().for_each(|peer| drop(peer.end().expect(0)));
    owner.end().expect(0);
    ring.assert_all_same();
}

#[test]
fn bad_use_is_told() {
    let ring = Ring::new(MIB, 2, 480);
    let own = ring.peer(1, 1).run().expect(2);
    assert!(own.stderr.contains(&ring.at(1)), "{}", own.stderr);
    let alone = ring.peer(1, 2).args(&["--timeout", "500ms"]).run().expect(124);
    assert!(alone.stderr.contains("owner") && alone.stderr.contains(&ring.at(0)), "{}", alone.stderr);
    let _other = TcpListener::bind(ring.at(1)).unwrap();
    let taken = ring.peer(1, 2).run().expect(4);
    assert!(taken.stderr.contains(&ring.lan.port.to_string()), "{}", taken.stderr);
    for (args, exit) in [
        (&["no-such-file"][..], 7),
        (&["/"], 2),
        (&["x", "--chunk-size", "5000"], 2),
        (&["x", "--peers", "0"], 2),
    ] {
        let owner = ring.launch("owner", &["ring", "owner", "--listen", &ring.at(0)]);
        let ended = owner.args(args).run().expect(exit);
        assert!(!ended.stderr.is_empty());
    }
}

#[test]
fn a_neighbour_with_another_file_is_told_at_once() {
    let (ring, other) = (Ring::new(MIB, 2, 490), Ring::new(MIB, 1, 491));
    let (_owner, _other_owner) = (ring.owner().start(), other.owner().start());
    let listen = ring.at(1);
    let folder = ring.folder(1);
    let ended = ring
        .launch("peer-1", &["ring", "peer", &ring.at(0), &listen, &other.at(0)])
        .args(&["-o".as_ref(), folder.as_os_str()])
        .run()
        .expect(8);
    for id in [ring.id, other.id] {
        assert!(ended.stderr.contains(&id.to_string()), "{}", ended.stderr);
    }
}

#[test]
fn an_owner_says_when_something_else_than_a_peer_comes() {
    use std::io::Write;
    let ring = Ring::new(MIB, 1, 495);
    let mut owner = ring.owner().start();
    owner.wait_stderr(&["waiting for 1 peer"]);
    for _ in 0..2 {
        let mut stranger = std::net::TcpStream::connect(ring.at(0)).unwrap();
        stranger.write_all(b"{\"requested_content\": \"talk_1\"}").unwrap();
        owner.wait_stderr(&["came, but not as a chunkcast peer"]);
        assert_eq!(std::io::Read::read(&mut stranger, &mut [0]).unwrap_or(0), 0);
    }
    ring.ring_peer(1).run().expect(0);
    let ended = owner.end().expect(0);
    let said: Vec<&str> =
        ended.stderr.lines().filter(|line| line.contains("not as a chunkcast peer")).collect();
    assert!(
        said.len() == 1 && said[0].contains("requested_content") && said[0].contains("ring peer"),
        "{said:?}"
    );
}

#[test]
fn an_owner_that_offers_two_files_is_told() {
    let ring = Ring::new(MIB, 1, 500);
    let other = ring.lan.path("other.mkv");
    let ids = [ring.id, random_file(&other, MIB, 501)];
    let share = ["share", "--bind", "127.0.0.1", "--no-broadcast", "--json"];
    let mut sharer = ring.launch("sharer", &share).args(&[&ring.source, &other]).start();
    let port = sharer.wait_json("hello", |line| line["tcp_port"].as_u64()).to_string();
    for id in ids {
        sharer.wait_json("shared", |line| (line["id"] == id.to_string()).then_some(()));
    }
    let folder = ring.folder(1);
    let peer = ring.launch("peer-1", &["ring", "peer", &port, &ring.at(1), &port]);
    let ended = peer.args(&["-o".as_ref(), folder.as_os_str()]).run().expect(8);
    assert!(ended.stderr.contains("offers 2 files instead of one"), "{}", ended.stderr);
}
