//! What cannot be done is said in one sentence, with the listed exit code.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::child::Ended;
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

#[test]
fn nobody_offers_it() {
    let lan = Lan::new();
    let source = lan.path("talk-2026.mkv");
    random_file(&source, MIB, 80);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    let began = Instant::now();
    // Within --wait, which is 3 s, and what a loaded machine takes to start and end a process.
    let ended = lan.get("getter", "talk-2025.mkv", &folder).run().expect(3);
    assert!(began.elapsed() < Duration::from_secs(6), "it took {:?}", began.elapsed());
    let said = &ended.stderr;
    assert!(said.contains("talk-2025.mkv") && said.contains("talk-2026.mkv"), "no similar name in: {said}");
    assert!(said.contains("peer"), "not what was tried: {said}");
    assert_eq!(names_in(&folder), [""; 0]);
    one_sentence(&ended, 3);
}

#[test]
fn nobody_is_there_at_all() {
    let lan = Lan::new();
    let ended = lan.get("getter", "talk.mkv", &lan.folder("got")).args(&["--wait", "300ms"]).run().expect(3);
    one_sentence(&ended, 3);
    lan.launch("reader", &["ls", "--wait", "300ms"]).run().expect(0);
    let ended = lan.launch("reader", &["ls", "talk.mkv", "--wait", "300ms"]).run().expect(3);
    assert!(ended.stderr.contains("no peer offers \"talk.mkv\""), "{}", ended.stderr);
}

#[test]
fn a_discovery_port_of_another_program_leaves_peers_that_are_named() {
    let lan = Lan::new();
    // Without SO_REUSEADDR it is its own alone.
    let _other = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, lan.port)).unwrap();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 81);
    let mut sharer = lan.share("sharer", &source);
    sharer.wait_stderr(&[&lan.port.to_string()]);
    let folder = lan.folder("got");
    let peer = format!("127.0.0.1:{}", sharer.wait_json("its port", |line| line["tcp_port"].as_u64()));
    let ended = lan.get("getter", "talk.mkv", &folder).args(&["--peer", &peer]).run().expect(0);
    assert!(ended.stderr.contains(&lan.port.to_string()), "the taken port is not told: {}", ended.stderr);
    assert_same(&source, &folder.join("talk.mkv"));
}

#[test]
fn an_address_of_another_machine_cannot_be_bound() {
    let lan = Lan::new();
    let ended =
        lan.get("getter", "talk.mkv", &lan.folder("got")).args(&["--bind", "192.0.2.1"]).run().expect(4);
    assert!(ended.stderr.contains("192.0.2.1"), "{}", ended.stderr);
    one_sentence(&ended, 4);
}

#[test]
fn a_taken_tcp_port_is_no_obstacle() {
    let lan = Lan::new();
    let _other = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, lan.port)).unwrap();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 82);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    lan.get("getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
}

#[test]
fn two_contents_of_one_name() {
    let lan = Lan::new();
    // Both in one answer: of two peers, the second's may come after the first's was taken as unique.
    let shared = lan.folder("shared");
    let sources = ["one", "two"].map(|name| lan.folder(&format!("shared/{name}")).join("talk.mkv"));
    let ids = [random_file(&sources[0], MIB, 83), random_file(&sources[1], MIB, 84)].map(|id| id.to_string());
    let mut sharer = lan.share("sharer", &shared);
    for id in &ids {
        sharer.wait_json("both", |line| (line["t"] == "content" && line["id"] == id.as_str()).then_some(()));
    }
    let folder = lan.folder("got");
    let ended = lan.get("getter", "talk.mkv", &folder).run().expect(8);
    for id in &ids {
        assert!(ended.stderr.contains(&id[..8]), "{}", ended.stderr);
    }
    assert_eq!(names_in(&folder), [""; 0]);
    // The whole name and the id are unique.
    lan.get("getter", "two/talk.mkv", &folder).run().expect(0);
    assert_same(&sources[1], &folder.join("talk.mkv"));
    lan.get("getter", &ids[0], &folder).run().expect(0);
    assert_same(&sources[0], &folder.join("talk (2).mkv"));
}

#[test]
fn a_name_at_one_holder() {
    let lan = Lan::new();
    let shares = ["one", "two"].map(|name| lan.folder(name).join("talk.mkv"));
    random_file(&shares[0], MIB, 85);
    random_file(&shares[1], MIB, 86);
    let _sharers = [lan.share("one", &shares[0]), lan.share("two", &shares[1])];
    let folder = lan.folder("got");
    lan.get("getter", "talk.mkv@two", &folder).run().expect(0);
    assert_same(&shares[1], &folder.join("talk.mkv"));
}

#[test]
fn what_exists_is_not_overwritten_unless_asked() {
    let lan = Lan::new();
    let source = lan.path("notes.txt");
    random_file(&source, 100_000, 85);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    let target = folder.join("notes.txt");
    let get = |on_conflict: &str| {
        lan.get("getter", "notes.txt", &folder).args(&["--on-conflict", on_conflict]).run()
    };
    fs::write(&target, "precious").unwrap();
    get("error").expect(8);
    get("skip").expect(0);
    assert_eq!(names_in(&folder), ["notes.txt"]);
    get("rename").expect(0);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_same(&source, &folder.join("notes (2).txt"));
    fs::remove_file(folder.join("notes (2).txt")).unwrap();
    get("overwrite").expect(0);
    assert_same(&source, &target);
    assert_eq!(names_in(&folder), ["notes.txt"]);
}

#[test]
fn usage_is_told() {
    let lan = Lan::new();
    let nothing = crate::child::Launch::new("nothing").run().expect(2);
    assert!(
        nothing.text().contains("chunkcast share") && nothing.text().contains("chunkcast get"),
        "{}",
        nothing.text()
    );
    lan.launch("getter", &["get", "talk.mkv", "--on-conflict", "perhaps"]).run().expect(2);
    lan.launch("sharer", &["share"]).run().expect(2);
    let missing = lan.path("not there");
    let ended = lan.launch("sharer", &["share".as_ref(), missing.as_os_str()]).run().expect(7);
    assert!(ended.stderr.contains("not there"), "{}", ended.stderr);
}

/// Fails unless one error with this exit code was told, and people read one line of reason and perhaps what to do.
#[track_caller]
fn one_sentence(ended: &Ended, exit: u64) {
    let errors = ended.of_type("error");
    assert_eq!((errors.len(), errors[0]["exit"].as_u64()), (1, Some(exit)), "{}", ended.text());
    let message = errors[0]["message"].as_str().unwrap();
    assert!(!message.is_empty() && !message.contains('\n') && !message.contains("Os {"), "{message}");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
