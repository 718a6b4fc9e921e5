//! Many small files.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use crate::files::{MIB, names_in};
use crate::lan::{Lan, hear};

const FILES: usize = 10_000;
const MEMORY_BYTES_MAX: u64 = 64 * MIB;
/// Datagrams of one announcement round (`Limits::announce_datagrams_max`).
const ROUND_DATAGRAMS_MAX: usize = 4;
/// Two rounds are further apart (`Limits::announce_gap_min`), the datagrams of one are not.
const ROUND_GAP_MIN: Duration = Duration::from_secs(2);

#[test]
fn ten_thousand_small_files_are_shared_listed_and_fetched() {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    for number in 0..FILES {
        let mut file = fs::File::create(shared.join(format!("file-{number:05}.txt"))).unwrap();
        file.write_all(format!("content of file {number}\n").as_bytes()).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let ear = lan.ear();
    let mut sharer = lan
        .launch("sharer", &["share".as_ref(), shared.as_os_str()])
        .args(&["--announce-interval", "6s"])
        .json_chunks()
        .start();
    let mut offered = BTreeSet::new();
    let mut seen = 0;
    sharer.wait_json("all offers", |line| {
        seen += 1;
        if line["t"] == "content" {
            offered.insert(line["id"].as_str().unwrap().to_owned());
        }
        (offered.len() == FILES).then_some(())
    });
    assert!(seen >= FILES);

    let listed = lan.launch("reader", &["ls", "--json"]).run().expect(0);
    assert_eq!(listed.of_type("content").len(), FILES);

    let folder = lan.folder("got");
    // It stays after the last file, so that its memory can be read.
    let mut getter = lan
        .launch("getter", &["get".as_ref(), "*.txt".as_ref(), "-o".as_ref(), folder.as_os_str()])
        .args(&["--seed", "--json"])
        .start();
    let mut done = 0;
    getter.wait_json("all files", |line| {
        done += usize::from(line["t"] == "done");
        (done == FILES).then_some(())
    });
    let memory = [&sharer, &getter].map(|peer| peer.peak_memory_bytes());
    getter.signal(Signal::TERM);
    getter.end();
    assert_eq!(names_in(&folder).len(), FILES);
    for number in 0..FILES {
        let text = fs::read_to_string(folder.join(format!("file-{number:05}.txt"))).unwrap();
        assert_eq!(text, format!("content of file {number}\n"));
    }
    assert!(memory.iter().all(|bytes| *bytes <= MEMORY_BYTES_MAX), "sharer and getter took {memory:?} bytes");

    let rounds = rounds(&ear, "sharer");
    assert!(rounds.iter().any(|round| round.full), "no round with the whole catalogue was heard: {rounds:?}");
    assert!(rounds.iter().all(|round| round.datagrams <= ROUND_DATAGRAMS_MAX), "{rounds:?}");
    sharer.interrupt().expect(0);
}

#[derive(Debug)]
struct Round {
    last: Instant,
    datagrams: usize,
    /// Whether the catalogue had all files by then.
    full: bool,
}

/// The announcement rounds of a peer from now on, until one with the whole catalogue is over.
fn rounds(ear: &std::net::UdpSocket, user: &str) -> Vec<Round> {
    // What came meanwhile waits in the socket without its time, and would look like one round.
    while hear(ear, Duration::from_millis(1)).is_some() {}
    let mut rounds: Vec<Round> = Vec::new();
    loop {
        let over = rounds.last().is_some_and(|round| round.full);
        let within = if over { ROUND_GAP_MIN } else { Duration::from_secs(30) };
        let Some(announcement) = hear(ear, within) else { return rounds };
        if announcement.user != user || announcement.answers.is_some() {
            continue;
        }
        let full = announcement.catalogue as usize == FILES;
        match rounds.last_mut().filter(|round| round.last.elapsed() < ROUND_GAP_MIN) {
            Some(round) => {
                round.last = Instant::now();
                round.datagrams += 1;
                round.full |= full;
            }
            None if over => return rounds,
            None => rounds.push(Round { last: Instant::now(), datagrams: 1, full }),
        }
    }
}
