//! Files sent to peers of one's choice: accepted, declined, resumed, refused; to several at once; from hostile senders.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use chunkcast::wire::message::{Answer, Delivery};
use rustix::process::Signal;
use serde_json::Value;

use crate::child::{Child, Launch, Trap, skip};
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;
use crate::wire_peer::{Bytes, WirePeer};

/// A file of 2,048 chunks, the most there are below 2 GiB; see [`Trap`].
const BYTES: u64 = 64 * MIB;
const CHUNKS: usize = 2048;

/// `send` of a path, telling each chunk.
pub(crate) fn send(lan: &Lan, path: &Path, to: &[&str]) -> Launch {
    let to: Vec<&str> = to.iter().flat_map(|to| ["--to", to]).collect();
    lan.launch("sender", &["send".as_ref(), path.as_os_str()]).args(&to).json_chunks()
}

/// `receive` as `name` into the folder of that name.
pub(crate) fn receive(lan: &Lan, name: &str, args: &[&str]) -> Launch {
    let folder = lan.folder(name);
    lan.launch(name, &["receive".as_ref(), "--dir".as_ref(), folder.as_os_str()]).args(args).json_chunks()
}

/// Starts it and waits until it stands; with its TCP port.
pub(crate) fn standing(launch: Launch) -> (Child, u16) {
    let mut child = launch.start();
    let port = child.wait_json("its port", |line| line["tcp_port"].as_u64());
    (child, u16::try_from(port).unwrap())
}

pub(crate) fn is_offer(line: &Value, event: &str) -> bool {
    line["t"] == "push" && line["event"] == event
}

/// A file of this name and size to send.
pub(crate) fn source(lan: &Lan, name: &str, bytes: u64, seed: u64) -> PathBuf {
    let path = lan.folder("out").join(name);
    random_file(&path, bytes, seed);
    path
}

#[test]
fn a_receiver_says_that_it_made_its_folder() {
    let lan = Lan::new();
    let folder = lan.path("in box");
    let said = || {
        let args = ["receive".as_ref(), "--dir".as_ref(), folder.as_os_str()];
        let mut receiver = lan.launch("receiver", &args).start();
        receiver.wait_stderr(&["receiving into"]);
        receiver.interrupt().expect(0).stderr
    };
    let made = format!("made the folder \"{}\"", folder.display());
    let first = said();
    assert!(first.lines().any(|line| line == made), "{first}");
    let second = said();
    assert!(!second.contains("made the folder"), "{second}");
}

#[test]
fn a_file_is_sent_verified_and_told_on_both_sides() {
    let lan = Lan::new();
    let path = source(&lan, "notes.pdf", 3 * MIB, 500);
    let (receiver, _) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
    let sent = send(&lan, &path, &["receiver"]).run().expect(0);
    let received = receiver.end().expect(0);
    assert_same(&path, &lan.path("receiver/notes.pdf"));
    assert_eq!(names_in(&lan.path("receiver")), ["notes.pdf"]);
    let events: Vec<&str> = sent.of_type("push").iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(
        events.iter().filter(|event| **event != "sending").copied().collect::<Vec<_>>(),
        ["offered", "accepted", "verified"]
    );
    assert_eq!(sent.of_type("summary")[0]["done"], 1);
    assert_eq!(received.of_type("done").len(), 1);
    assert_eq!(received.of_type("push")[0]["user"], "sender");
    let log = lan.transfer_log("sender");
    let done = log.lines().find(|line| line.contains(" DONE ")).unwrap_or_else(|| panic!("{log}"));
    assert!(done.contains("user=receiver") && done.ends_with(" sent"), "{done}");
    assert!(lan.transfer_log("receiver").contains(" DONE \"notes.pdf\""));
}

#[test]
fn without_a_terminal_it_is_declined_unless_the_sender_is_named() {
    let lan = Lan::new();
    let path = source(&lan, "notes.pdf", MIB, 501);
    let (mut receiver, _) = standing(receive(&lan, "receiver", &["--from", "friend"]));
    let declined = send(&lan, &path, &["receiver"]).run().expect(9);
    assert!(declined.stderr.contains("declined") && declined.stderr.contains("--yes"), "{}", declined.stderr);
    assert_eq!(declined.of_type("error")[0]["kind"], "declined");
    receiver.wait_json("that it declined", |line| is_offer(line, "declined").then_some(()));
    assert_eq!(names_in(&lan.path("receiver")), [""; 0]);
    let friend =
        lan.launch("friend", &["send".as_ref(), path.as_os_str(), "--to".as_ref(), "receiver".as_ref()]);
    let friend = friend.run().expect(0);
    assert!(friend.stdout.contains("notes.pdf: receiver (127.0.0.1:"), "{}", friend.stdout);
    assert_same(&path, &lan.path("receiver/notes.pdf"));
    receiver.interrupt().expect(0);
    // By its address.
    let (receiver, port) = standing(receive(&lan, "second", &["--from", "127.0.0.1", "--once"]));
    send(&lan, &path, &[&format!("127.0.0.1:{port}")]).run().expect(0);
    receiver.end().expect(0);
    assert_same(&path, &lan.path("second/notes.pdf"));
}

#[test]
fn nobody_several_and_who_does_not_receive() {
    let lan = Lan::new();
    let path = source(&lan, "notes.pdf", MIB, 502);
    let ended = send(&lan, &path, &["nobody"]).args(&["--wait", "300ms"]).run().expect(3);
    assert!(ended.stderr.contains("no peer answered"), "{}", ended.stderr);
    let ended = send(&lan, &path, &["127.0.0.1:1"]).args(&["--wait", "300ms"]).run().expect(3);
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);

    let _sharer = lan.share("sharer", &path);
    let ended = send(&lan, &path, &["sharer"]).run().expect(9);
    assert!(ended.stderr.contains("does not receive files"), "{}", ended.stderr);

    let twins = ["one", "two"].map(|folder| {
        let folder = lan.folder(folder);
        let twin =
            lan.launch("twin", &["receive".as_ref(), "--yes".as_ref(), "--dir".as_ref(), folder.as_os_str()]);
        standing(twin.json_chunks()).0
    });
    let ended = send(&lan, &path, &["twin"]).run().expect(8);
    let next = ended.of_type("error")[0]["next"].as_str().unwrap();
    let whole = next.split('\'').nth(1).unwrap_or_else(|| panic!("{next}"));
    assert!(whole.starts_with("twin#"), "{next}");
    // One of several recipients is not there: some of it is done.
    send(&lan, &path, &[whole, "nobody"]).run().expect(10);
    let got = names_in(&lan.path("one")).len() + names_in(&lan.path("two")).len();
    assert_eq!(got, 1);
    for twin in twins {
        twin.interrupt().expect(0);
    }
}

#[test]
fn the_quota_is_looked_at_before_a_byte_is_taken() {
    let lan = Lan::new();
    let paths = [source(&lan, "a.bin", MIB, 503), source(&lan, "b.bin", MIB, 504)];
    let (receiver, _) = standing(receive(&lan, "receiver", &["--yes", "--quota", "1500KiB"]));
    send(&lan, &paths[0], &["receiver"]).run().expect(0);
    let ended = send(&lan, &paths[1], &["receiver"]).run().expect(9);
    assert!(ended.stderr.contains("larger than what is left of --quota there"), "{}", ended.stderr);
    // What is there already is taken again without a byte, and counts once.
    send(&lan, &paths[0], &["receiver"]).run().expect(0);
    let received = receiver.interrupt().expect(0);
    assert_eq!(names_in(&lan.path("receiver")), ["a.bin"]);
    assert_eq!(received.chunks().len(), 64);
}

#[test]
fn a_full_disk_is_told_on_both_sides_and_others_still_arrive() {
    let lan = Lan::new();
    let paths = [source(&lan, "large.bin", 4 * MIB, 505), source(&lan, "small.bin", MIB / 4, 506)];
    // Files of more than 1 MiB cannot be written.
    let limited = ["/bin/sh", "-c", "ulimit -f 2048; exec \"$0\" \"$@\""];
    let (receiver, _) = standing(receive(&lan, "receiver", &["--yes"]).through(&limited));
    let ended = send(&lan, &paths[0], &["receiver"]).run().expect(5);
    assert!(ended.stderr.contains("the disk there has too little space"), "{}", ended.stderr);
    send(&lan, &paths[1], &["receiver"]).run().expect(0);
    let received = receiver.interrupt().expect(0);
    assert_eq!(received.of_type("error")[0]["exit"], 7, "{}", received.stderr);
    let names = names_in(&lan.path("receiver"));
    assert!(names.contains(&"small.bin".to_owned()) && !names.contains(&"large.bin".to_owned()), "{names:?}");
}

#[test]
fn a_receiver_killed_half_way_goes_on_when_it_is_back() {
    let lan = Lan::new();
    let path = source(&lan, "talk.mkv", BYTES, 507);
    let (mut receiver, _) = standing(receive(&lan, "receiver", &["--yes"]).trap(Trap::Kill(BYTES / 2)));
    let mut sender = send(&lan, &path, &["receiver"]).start();
    receiver.wait_trapped();
    let killed = receiver.end();
    assert_eq!(killed.code, None);
    assert!(!lan.path("receiver/talk.mkv").exists());
    sender.wait_json("that it is lost", |line| is_offer(line, "lost").then_some(()));
    let (receiver, _) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
    sender.end().expect(0);
    let resumed = receiver.end().expect(0);
    assert_same(&path, &lan.path("receiver/talk.mkv"));
    assert_eq!(names_in(&lan.path("receiver")), ["talk.mkv"]);
    let had = resumed.of_type("start")[0]["had"].as_u64().unwrap();
    assert!(had >= CHUNKS as u64 / 2 && resumed.chunks().len() <= CHUNKS / 2, "{had}");
}

#[test]
fn a_sender_killed_half_way_sends_again_and_nothing_comes_twice() {
    let lan = Lan::new();
    let path = source(&lan, "talk.mkv", BYTES, 508);
    let (mut receiver, _) = standing(receive(&lan, "receiver", &["--yes", "--once"]));
    let mut sender = send(&lan, &path, &["receiver"]).trap(Trap::HoldServing(BYTES / 2)).start();
    sender.wait_trapped();
    sender.kill();
    receiver.wait_stderr(&["waiting for chunk"]);
    assert_eq!(names_in(&lan.path("receiver")).iter().filter(|name| *name == "talk.mkv").count(), 0);
    send(&lan, &path, &["receiver"]).run().expect(0);
    let received = receiver.end().expect(0);
    assert_same(&path, &lan.path("receiver/talk.mkv"));
    assert_eq!(received.chunks().len(), CHUNKS);
}

#[test]
fn five_receivers_of_one_file_feed_each_other() {
    let lan = Lan::new();
    let path = source(&lan, "talk.mkv", BYTES, 509);
    let names: Vec<String> = (0..5).map(|number| format!("receiver-{number}")).collect();
    let receivers: Vec<Child> =
        names.iter().map(|name| standing(receive(&lan, name, &["--yes", "--once"])).0).collect();
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    let sent = send(&lan, &path, &to).run().expect(0);
    let bytes: u64 = sent.of_type("chunk").iter().filter_map(|line| line["bytes"].as_u64()).sum();
    assert!(bytes < 2 * BYTES, "{bytes} bytes are {} files", bytes as f64 / BYTES as f64);
    for (name, receiver) in names.iter().zip(receivers) {
        receiver.end().expect(0);
        assert_same(&path, &lan.path(name).join("talk.mkv"));
    }
    let verified = sent.of_type("push").iter().filter(|line| is_offer(line, "verified")).count();
    assert_eq!(verified, 5);
}

#[test]
fn a_folder_is_sent_file_by_file_and_overwrites_nothing() {
    let lan = Lan::new();
    let out = lan.folder("out/slides/deep");
    for (name, seed) in [("a.txt", 1), ("b.txt", 2)] {
        random_file(&out.join(name), 70_000, 510 + seed);
    }
    fs::copy(out.join("a.txt"), lan.path("out/slides/twin.txt")).unwrap();
    fs::write(lan.folder("receiver").join("a.txt"), "precious").unwrap();
    let (receiver, _) = standing(receive(&lan, "receiver", &["--yes"]));
    let sent = send(&lan, &lan.path("out/slides"), &["receiver"]).run().expect(0);
    assert_eq!(sent.of_type("summary")[0]["done"], 2, "{}", sent.text());
    receiver.interrupt().expect(0);
    let names = names_in(&lan.path("receiver"));
    assert_eq!(fs::read(lan.path("receiver/a.txt")).unwrap(), b"precious");
    assert!(names.len() == 3 && names.contains(&"b.txt".to_owned()), "{names:?}");
}

#[test]
fn hostile_names_become_file_names_of_the_folder_or_are_declined() {
    let lan = Lan::new();
    let wire = WirePeer::start(&lan, "mallory\u{1b}[2J", "x", vec![7; 5_000], Bytes::Right);
    let (receiver, port) = standing(receive(&lan, "receiver", &["--yes"]));
    let long = "ü".repeat(400) + ".txt";
    let verified = (Some(Answer::Accepted), Some(Delivery::Verified));
    for (name, stored) in [
        ("../../etc/passwd", "passwd"),
        ("CON", "_CON"),
        ("a\u{1b}[2J\nb.txt", "a_[2J_b.txt"),
        (".bashrc", "_.bashrc"),
        ("/etc/shadow", "shadow"),
    ] {
        assert_eq!(wire.send(port, name, 5_000), verified, "{name:?}");
        assert!(lan.path("receiver").join(stored).is_file(), "{:?}", names_in(&lan.path("receiver")));
    }
    assert_eq!(wire.send(port, &long, 5_000), verified);
    assert!(names_in(&lan.path("receiver")).iter().all(|name| name.len() <= 255));
    assert_eq!(wire.send(port, "..", 5_000), (Some(Answer::Name), None));
    // The protocol has no such names.
    assert_eq!(wire.send(port, "", 5_000), (None, None));
    assert_eq!(wire.send(port, &"x".repeat(4 << 10), 5_000), (None, None));
    let received = receiver.interrupt().expect(0);
    assert_eq!(names_in(&lan.path("receiver")).len(), 6);
    assert!(!received.text().contains('\u{1b}'), "{}", received.text());
}

#[test]
fn a_size_that_lies_and_bytes_that_lie_leave_nothing() {
    let lan = Lan::new();
    let honest = WirePeer::start(&lan, "liar", "x", vec![7; 3 << 20], Bytes::Right);
    let (receiver, port) = standing(receive(&lan, "receiver", &["--yes", "--quota", "4MiB"]));
    for size in [100, (3 << 20) + 1] {
        let said = honest.send(port, "x.bin", size);
        assert_eq!(said, (Some(Answer::Accepted), Some(Delivery::Size)), "{size}");
    }
    assert_eq!(honest.send(port, "x.bin", u64::MAX), (Some(Answer::NoSpace), None));
    assert_eq!(honest.chunks_sent(), 0);
    let wrong = WirePeer::start(&lan, "forger", "y", vec![8; 3 << 20], Bytes::Wrong);
    assert_eq!(wrong.send(port, "y.bin", 3 << 20).0, Some(Answer::Accepted));
    receiver.interrupt().expect(0);
    assert_eq!(names_in(&lan.path("receiver")), [""; 0]);
}

/// Whether a terminal can be made here.
pub(crate) fn has_script() -> bool {
    fs::metadata("/usr/bin/script").is_ok()
}

/// Starts it at a terminal: what is typed is written to the file, what is shown, on both streams, goes to stdout.
pub(crate) fn at_a_terminal(lan: &Lan, launch: Launch) -> (Child, fs::File) {
    let keys = lan.path("keys");
    assert!(std::process::Command::new("mkfifo").arg(&keys).status().unwrap().success());
    let terminal = format!("exec script -qefc \"exec $0 $*\" /dev/null < '{}'", keys.display());
    let child = launch.through(&["/bin/sh", "-c", &terminal]).start();
    (child, fs::OpenOptions::new().write(true).open(&keys).unwrap())
}

#[test]
fn a_menu_asks_for_name_file_and_recipient() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let path = source(&lan, "notes.pdf", 20_000, 530);
    let (receiver, _) = standing(receive(&lan, "receiver", &["--from", "Somebody Else", "--once"]));
    let (mut sender, mut typed) = at_a_terminal(&lan, lan.launch("sender", &["send"]));
    let lines = format!("Somebody Else\nany\n{}\n1\ne\n", path.display());
    typed.write_all(lines.as_bytes()).unwrap();
    sender.wait_stdout("notes.pdf: receiver (127.0.0.1:");
    sender.end().expect(0);
    receiver.end().expect(0);
    assert_same(&path, &lan.path("receiver/notes.pdf"));
}

#[test]
fn at_a_terminal_it_is_asked_about() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let paths: Vec<PathBuf> = (0..3).map(|at| source(&lan, &format!("{at}.txt"), 20_000, 520 + at)).collect();
    let folder = lan.folder("receiver");
    let launch = lan.launch("receiver", &["receive".as_ref(), "--dir".as_ref(), folder.as_os_str()]);
    let (mut receiver, mut typed) = at_a_terminal(&lan, launch);
    receiver.wait_stdout("receiving into");

    let first = send(&lan, &paths[0], &["receiver"]).start();
    receiver.wait_stdout("sends \"0.txt\"");
    typed.write_all(b"perhaps\nd\n").unwrap();
    first.end().expect(9);

    let mut gone = send(&lan, &paths[1], &["receiver"]).start();
    receiver.wait_stdout("sends \"1.txt\"");
    gone.wait_json("the offer", |line| is_offer(line, "offered").then_some(()));
    gone.signal(Signal::INT);
    gone.end().expect(130);
    receiver.wait_stdout("is gone");

    let mut both = send(&lan, &paths[1], &["receiver"]).args(&[&paths[2]]).start();
    both.wait_json("the offer", |line| is_offer(line, "offered").then_some(()));
    receiver.wait_stdout("accept from this [s]ender always?");
    // The first line may have been typed for the question that is gone, and is passed over.
    typed.write_all(b"x\ns\n").unwrap();
    both.wait_json("the answer", |line| is_offer(line, "accepted").then_some(()));
    both.end().expect(0);
    typed.write_all(b"\x03").unwrap();
    receiver.end().expect(0);
    assert_eq!(names_in(&folder), ["1.txt", "2.txt"]);
}
