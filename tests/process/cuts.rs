//! Files sent natively, and what comes between: connections that are cut at the beginning, in the middle and at the end,
//! sides that stay away, contents that are not what was offered.

use chunkcast::wire::message::{Answer, Delivery};

use crate::cable::{Break, Cable};
use crate::child::{Child, Trap};
use crate::files::{MIB, assert_same, names_in};
use crate::lan::Lan;
use crate::sending::{is_offer, receive, send, source, standing};
use crate::wire_peer::{Bytes, WirePeer};

/// Of this size are the files here, but for one: 100 chunks and a half one.
const BYTES: u64 = (100 << 14) + (8 << 10);
const CHUNKS: usize = 101;
/// How many bytes whoever sends has said, at most, before the first chunk: greeting, offer, and the manifest, of 32 bytes
/// a chunk.
const HEAD_BYTES: u64 = 4 << 10;

/// Where a transfer is cut, in bytes of the sender's stream: at its first chunk, in its middle, in its last.
const CUTS: [u64; 3] = [HEAD_BYTES, BYTES / 2, BYTES * 99 / 100];

#[test]
fn a_connection_that_is_cut_goes_on_from_what_is_there() {
    for (cut, name) in CUTS.into_iter().zip(["first", "middle", "last"]) {
        let lan = Lan::new();
        let path = source(&lan, "talk.mkv", BYTES, 540);
        let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
        let cable = Cable::to(port, cut, Break::Cut);
        let sent = send(&lan, &path, &[&cable.addr.to_string()]).run().expect(0);
        cable.wait_broken();
        let received = receiver.end().expect(0);
        assert_same(&path, &lan.path("receiver/talk.mkv"));
        assert_eq!(names_in(&lan.path("receiver")), ["talk.mkv"], "{name}");
        // What was there is not fetched a second time, and both sides tell the end of it once.
        assert_eq!(received.chunks().len(), CHUNKS, "{name}");
        assert!(sent.of_type("push").iter().any(|line| is_offer(line, "lost")), "{name}: {}", sent.text());
        assert!(sent.stderr.contains("is gone; waiting for it to come back"), "{name}: {}", sent.stderr);
        assert_eq!(
            (sent.of_type("summary")[0]["done"].as_u64(), received.of_type("done").len()),
            (Some(1), 1)
        );
    }
}

#[test]
fn a_receiver_that_stays_away_is_told_and_what_it_has_is_kept() {
    // All at once, for each sender waits for its receiver to come back; and apart, or receivers would feed each other.
    let worlds: Vec<(Lan, Child)> = CUTS
        .into_iter()
        .map(|cut| {
            let lan = Lan::new();
            let path = source(&lan, "talk.mkv", BYTES, 541);
            let (receiver, port) = standing(receive(&lan, "receiver", &["--yes"]));
            let cable = Cable::to(port, cut, Break::Hold);
            let mut sender = send(&lan, &path, &[&cable.addr.to_string()]).start();
            cable.wait_broken();
            sender.wait_json("that it is accepted", |line| is_offer(line, "accepted").then_some(()));
            receiver.kill();
            (lan, sender)
        })
        .collect();
    for (lan, sender) in worlds {
        let ended = sender.end().expect(5);
        let why = "went away and did not come back";
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert!(ended.stderr.contains("continue with: chunkcast"), "{}", ended.stderr);
        assert!(ended.of_type("push").iter().any(|line| is_offer(line, "failed")));
        assert!(!lan.path("receiver/talk.mkv").exists());
        // Sent again it is accepted again, and goes on.
        let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
        let path = lan.path("out/talk.mkv");
        send(&lan, &path, &[&format!("127.0.0.1:{port}")]).run().expect(0);
        receiver.end().expect(0);
        assert_same(&path, &lan.path("receiver/talk.mkv"));
    }
}

#[test]
fn a_receiver_that_is_interrupted_says_what_it_keeps() {
    let lan = Lan::new();
    let path = source(&lan, "talk.mkv", 64 * MIB, 543);
    let trap = Trap::Hold(8 * MIB);
    let (mut receiver, port) = standing(receive(&lan, "receiver", &["--yes"]).trap(trap));
    let sender = send(&lan, &path, &[&format!("127.0.0.1:{port}")]).start();
    receiver.wait_trapped();
    let ended = receiver.interrupt().expect(0);
    for part in [
        "not every accepted file is complete: interrupted; 1 file is incomplete",
        "of 2,048 chunks",
        "have it sent again",
    ] {
        assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
    }
    assert_eq!(ended.of_type("summary")[0]["failed"], 1);
    let ended = sender.end().expect(5);
    assert!(ended.stderr.contains("accepted it, and then"), "{}", ended.stderr);
}

#[test]
fn a_sender_that_stays_away_is_told_and_what_came_is_kept() {
    for chunks in [0, 50, 100] {
        let lan = Lan::new();
        let path = source(&lan, "talk.mkv", BYTES, 542);
        let content = std::fs::read(&path).unwrap();
        let gone = WirePeer::start(&lan, "fickle", "talk.mkv", content, Bytes::Until(chunks));
        let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--once", "--stall", "300ms"]));
        assert_eq!(gone.send(port, "talk.mkv", BYTES), (Some(Answer::Accepted), None), "{chunks}");
        let ended = receiver.end().expect(5);
        let failed = ended.of_type("error").first().map(|line| line["kind"].clone()).unwrap();
        assert_eq!(failed, "gave-up", "{chunks}: {}", ended.text());
        assert!(ended.stderr.contains("to continue, have it sent again"), "{}", ended.stderr);
        let names = names_in(&lan.path("receiver"));
        assert!(!names.contains(&"talk.mkv".to_owned()), "{chunks}: {names:?}");
        drop(gone);
        let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
        send(&lan, &path, &[&format!("127.0.0.1:{port}")]).run().expect(0);
        let resumed = receiver.end().expect(0);
        assert_same(&path, &lan.path("receiver/talk.mkv"));
        assert_eq!(names_in(&lan.path("receiver")), ["talk.mkv"]);
        assert_eq!(resumed.chunks().len(), CHUNKS - chunks, "{chunks}");
    }
}

#[test]
fn a_content_that_is_not_what_its_id_says_is_refused() {
    // Who has shown a wrong manifest is waited for a little, in case somebody else has the content.
    for (bytes, stall, kind, exit, said) in [
        (Bytes::Forged, "1m", "integrity", 6, Delivery::Integrity),
        (Bytes::Unknown, "300ms", "gave-up", 5, Delivery::GaveUp),
    ] {
        let lan = Lan::new();
        let liar = WirePeer::start(&lan, "liar", "x.bin", vec![7; 3 << 20], bytes);
        let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--once", "--stall", stall]));
        let (answer, outcome) = liar.send(port, "x.bin", 3 << 20);
        assert_eq!(answer, Some(Answer::Accepted), "{bytes:?}");
        // Who is closed for it hears nothing more.
        assert!(outcome.is_none_or(|outcome| outcome == said), "{bytes:?}: {outcome:?}");
        let ended = receiver.end().expect(exit);
        assert_eq!(ended.of_type("error")[0]["kind"], kind, "{bytes:?}: {}", ended.text());
        assert_eq!(names_in(&lan.path("receiver")), [""; 0], "{bytes:?}");
        assert_eq!(liar.chunks_sent(), 0);
    }
    // Its bytes are not those of the manifest.
    let lan = Lan::new();
    let forger = WirePeer::start(&lan, "forger", "y.bin", vec![8; MIB as usize], Bytes::Wrong);
    let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
    assert_eq!(forger.send(port, "y.bin", MIB).0, Some(Answer::Accepted));
    let ended = receiver.end().expect(6);
    assert_eq!(ended.of_type("error")[0]["kind"], "integrity", "{}", ended.text());
    let names = names_in(&lan.path("receiver"));
    assert!(!names.contains(&"y.bin".to_owned()), "{names:?}");
}
