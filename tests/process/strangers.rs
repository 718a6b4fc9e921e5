//! What answers where a peer was named, and is none: dialled ever more rarely, and told once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::child::{Ended, Launch};
use crate::lan::Lan;

/// Accepts, reads, answers this, closes; again and again.
struct Stranger {
    at: SocketAddr,
    accepted: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stranger {
    fn new(answer: &'static [u8]) -> Stranger {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (accepted, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (accepted, over) = (Arc::clone(&accepted), Arc::clone(&over));
            move || {
                for stream in listener.incoming() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    accepted.fetch_add(1, Ordering::SeqCst);
                    let mut stream = stream.unwrap();
                    // Whoever is dialled may be gone by now.
                    let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer));
                }
            }
        });
        Stranger { at, accepted, over, thread: Some(thread) }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.at);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[track_caller]
fn assert_told_once(ended: &Ended, stranger: &Stranger, said: &str) {
    let told = format!(
        "{} answers, but not as a chunkcast peer (it said {said}); next: check the port",
        stranger.at
    );
    assert_eq!(ended.stderr.matches(&told).count(), 1, "{}", ended.stderr);
    let lines =
        ended.of_type("not_a_peer").into_iter().filter(|line| line["peer"] == stranger.at.to_string());
    assert_eq!(lines.count(), 1, "{:?}", ended.lines);
}

#[test]
fn a_peer_of_a_ring_says_what_answers_in_the_place_of_owner_and_neighbour() {
    let lan = Lan::new();
    let (owner, neighbour) = (Stranger::new(b"pong"), Stranger::new(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let listen = format!("127.0.1.2:{}", lan.port);
    let state = lan.state("peer");
    let folder = lan.folder("got");
    let ended = Launch::new("peer")
        .args(&["ring", "peer", &owner.at.to_string(), &listen, &neighbour.at.to_string()])
        .args(&["--timeout", "3s", "--json", "--name", "peer"])
        .args(&["-o".as_ref(), folder.as_os_str(), "--state-dir".as_ref(), state.as_os_str()])
        .run()
        .expect(124);
    // After 0.1, 0.2, 0.4, 0.8 and 1.6 s: six times each; ten times as many is still no storm.
    for stranger in [&owner, &neighbour] {
        assert!((2..=60).contains(&stranger.accepted()), "{} connections", stranger.accepted());
    }
    assert_told_once(&ended, &owner, "\"pong\"");
    assert_told_once(&ended, &neighbour, "\"HTTP/1.1 400 Bad Request\"");
    assert!(
        ended.stderr.contains(&format!("what answers at {} is no chunkcast peer", owner.at)),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_get_says_what_answers_at_the_peer_that_was_named() {
    let lan = Lan::new();
    let stranger = Stranger::new(b"pong");
    let ended = lan
        .launch("getter", &["get", "talk.mkv", "--wait", "2s", "--json", "--peer", &stranger.at.to_string()])
        .args(&["-o".as_ref(), lan.folder("got").as_os_str()])
        .run()
        .expect(3);
    assert!((1..=30).contains(&stranger.accepted()), "{} connections", stranger.accepted());
    assert_told_once(&ended, &stranger, "\"pong\"");
}

#[test]
fn where_nobody_listens_is_told_once() {
    let lan = Lan::new();
    let at = |host: u8| format!("127.0.1.{host}:{}", lan.port);
    let (state, folder) = (lan.state("peer"), lan.folder("got"));
    let ended = Launch::new("peer")
        .args(&["ring", "peer", &at(1), &at(2), &at(3), "--timeout", "1s", "--name", "peer"])
        .args(&["-o".as_ref(), folder.as_os_str(), "--state-dir".as_ref(), state.as_os_str()])
        .run()
        .expect(124);
    for who in [format!("the owner {}", at(1)), format!("the download neighbour {}", at(3))] {
        let told = format!("{who} does not answer; trying again");
        assert_eq!(ended.stderr.matches(&told).count(), 1, "{}", ended.stderr);
    }
}
