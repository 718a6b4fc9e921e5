//! A peer whose catalogue has no end: each command that walks it ends, keeps its promises, and says what it left out.

use std::fs;
use std::time::{Duration, Instant};

use crate::files::MIB;
use crate::lan::Lan;
use crate::wire_peer::{Bytes, WirePeer};

/// The most contents that one `get` begins, and that are listed of one peer.
const CONTENTS_MAX: usize = 100_000;
/// Contents of a mirror's walk that are on their way when its bound is reached: a page.
const PAGE: usize = 500;
/// What 100,000 contents may take, each once in the directory, once as a download and once in the command's account; this
/// build is not optimised. Without the bound it is several times that after ten seconds.
const MEMORY_BYTES_MAX: u64 = 300 * MIB;

#[test]
fn a_get_begins_so_many_contents_and_says_that_there_were_more() {
    let lan = Lan::new();
    let _endless = WirePeer::start(&lan, "endless", "talk.mkv", b"talk".to_vec(), Bytes::Endless);
    let folder = lan.folder("got");
    // A file in the way of each of them, which is left alone: so each ends without being fetched.
    fs::write(folder.join("talk.mkv"), "another").unwrap();
    let mut getter = lan
        .launch("getter", &["get".as_ref(), "*".as_ref(), "-o".as_ref(), folder.as_os_str()])
        .args(&["--wait", "1s", "--on-conflict", "skip", "--timeout", "80s", "--seed", "--json"])
        .start();
    let told = getter.wait_json("that there were more", |line| (line["t"] == "error").then(|| line.clone()));
    getter.wait_stderr(&["sharing it"]);
    let memory = getter.peak_memory_bytes();
    let ended = getter.interrupt().expect(10);
    assert_eq!(told["exit"].as_u64(), Some(10), "{told}");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("100,000")), "{told}");
    let summary = ended.of_type("summary");
    assert_eq!(summary[0]["done"].as_u64(), Some(CONTENTS_MAX as u64), "{}", summary[0]);
    assert!(memory <= MEMORY_BYTES_MAX, "{memory} bytes");
}

#[test]
fn ls_ends_after_its_wait_and_says_that_there_is_more() {
    let lan = Lan::new();
    let _endless = WirePeer::start(&lan, "endless", "talk.mkv", b"talk".to_vec(), Bytes::Endless);
    let began = Instant::now();
    let args = ["ls", "--wait", "1s", "--watch", "--every", "1h"];
    let mut reader = lan.launch("reader", &args).start();
    // Ten times what was promised, for a machine that has much else to do; without a bound it is thirty seconds more.
    reader.wait_stdout("talk.mkv");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    reader.wait_stderr(&["the list is incomplete"]);
    let memory = reader.peak_memory_bytes();
    reader.interrupt().expect(130);
    assert!(memory <= MEMORY_BYTES_MAX, "{memory} bytes");
    let once = lan.launch("reader", &["ls", "--wait", "100ms", "--json"]).run().expect(0);
    assert_eq!(once.of_type("more").len(), 1, "{}", once.stderr);
}

#[test]
fn a_mirror_walks_so_many_contents_of_a_peer() {
    let lan = Lan::new();
    let endless = WirePeer::start(&lan, "endless", "talk.mkv", b"talk".to_vec(), Bytes::Endless);
    let folder = lan.folder("mirror");
    let mut mirror = lan
        .launch("mirror", &["serve".as_ref(), folder.as_os_str()])
        .args(&["--mirror", "*", "--json"])
        .start();
    mirror.wait_stderr(&["offers more than"]);
    let walked = endless.entries_listed();
    assert!((CONTENTS_MAX..=CONTENTS_MAX + PAGE).contains(&walked), "{walked}");
    // It goes on with others, and asks for no other page.
    let source = lan.path("notes.txt");
    fs::write(&source, "notes").unwrap();
    let _honest = lan.share("honest", &source);
    mirror.wait_json("the honest peer", |line| {
        (line["event"] == "found" && line["user"] == "honest").then_some(())
    });
    assert_eq!(endless.entries_listed(), walked);
    let memory = mirror.peak_memory_bytes();
    assert!(memory <= MEMORY_BYTES_MAX, "{memory} bytes");
    mirror.interrupt().expect(0);
}
