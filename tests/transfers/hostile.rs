//! Senders that lie, end early, are not wanted, or want elsewhere.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, SocketAddr};

use crate::place::{Place, bytes, listening, name_of, told};
use crate::reference::{dial, hears_end, hears_ok, metadata, send_json, send_named, send_short, send_steps};

#[test]
fn without_a_terminal_everything_is_declined_but_what_is_allowed() {
    let place = Place::new();
    let (child, to) = place.receiver_with("0", &["--from", "alice"]);
    assert!(!send_json(to, &metadata("mallory", "cars.csv", "csv"), b"a,b\n"));
    assert_eq!(send_short(to, "5", b"12345"), 0);
    assert_eq!(place.received(), Vec::<String>::new());
    assert!(send_json(to, &metadata("alice", "cars.csv", "csv"), b"a,b\n"));
    assert_eq!(place.received(), ["cars.csv"]);
    let ended = child.interrupt().expect(0);
    assert!(ended.text().contains("declined"), "{}", ended.text());
}

#[test]
fn the_quota_is_looked_at_before_a_byte_is_taken() {
    let place = Place::new();
    let (mut child, to) = place.receiver_with("0", &["--yes", "--quota", "1000"]);
    assert_eq!(send_short(to, "1001", &[7; 1001]), 0);
    assert!(told(&mut child, "failed")["reason"].as_str().unwrap().contains("1000 bytes left of --quota"));
    assert_eq!(send_short(to, "600", &[7; 600]), 2);
    assert_eq!(send_short(to, "600", &[7; 600]), 0);
    // Where no size is said, it counts as it comes.
    let mut stream = dial(to);
    stream.write_all(metadata("alice", "cars.csv", "csv").as_bytes()).unwrap();
    assert!(hears_ok(&mut stream));
    let _ = stream.write_all(&[7; 401]);
    assert!(hears_end(&mut stream));
    assert_eq!(place.received(), ["push-from-127-0-0-1"]);
    child.interrupt().expect(0);
}

#[test]
fn sizes_that_lie_leave_nothing() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    // More than announced: no last OK.
    assert_eq!(send_short(to, "10", &[7; 11]), 1);
    let line = told(&mut child, "failed");
    assert!(line["reason"].as_str().unwrap().contains("more came than the 10 bytes"), "{line}");
    // Fewer.
    let mut stream = dial(to);
    stream.write_all(b"10").unwrap();
    assert!(hears_ok(&mut stream));
    stream.write_all(&[7; 9]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears_end(&mut stream));
    child.wait_json("too few", |line| line["reason"].as_str()?.contains("after 9 of 10 bytes").then_some(()));
    // More than there is room for.
    assert_eq!(send_steps(to, ".csv", "a.csv", "9000000000000000000", b"x"), 2);
    assert_eq!(place.received(), Vec::<String>::new());
    child.interrupt().expect(0);
}

#[test]
fn who_stops_half_way_leaves_nothing() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    let file = bytes(200_000, 1);
    for percent in [0, 50, 99] {
        let mut stream = dial(to);
        stream.write_all(b"200000").unwrap();
        assert!(hears_ok(&mut stream));
        stream.write_all(&file[..file.len() * percent / 100]).unwrap();
        drop(stream);
        let came = format!("after {} of", file.len() * percent / 100);
        child.wait_json(&came, |line| line["reason"].as_str()?.contains(&came).then_some(()));
        assert_eq!(place.received(), Vec::<String>::new(), "{percent}");
    }
    // Of the JSON form, whose size nobody says, none at all.
    assert!(send_json(to, &metadata("alice", "cars.csv", "csv"), b""));
    child.wait_json("none", |line| line["reason"].as_str()?.contains("before a byte").then_some(()));
    // In the middle of its description.
    let mut stream = dial(to);
    stream.write_all(b"{\"name\": \"al").unwrap();
    drop(stream);
    child.wait_json("cut", |line| {
        line["reason"].as_str()?.contains("before the file was described").then_some(())
    });
    assert_eq!(place.received(), Vec::<String>::new());
    child.interrupt().expect(0);
}

#[test]
fn a_name_is_only_a_suggestion() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    let long = "n".repeat(4096) + ".csv";
    for (at, (name, kept)) in [
        ("../../etc/passwd", "passwd"),
        ("CON", "_CON"),
        ("a\\u001b[2Jb\\n.csv", "a_[2Jb_.csv"),
        (".bashrc", "_.bashrc"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(send_json(to, &metadata("alice", name, "csv"), b"x"), "{name}");
        let kept_as = child.wait_json(name, |line| {
            (line["event"] == "received").then(|| name_of(line)).filter(|found| found == kept)
        });
        assert_eq!((kept_as.as_str(), place.received().len()), (kept, at + 1));
    }
    assert!(send_json(to, &metadata("alice", &long, "csv"), b"x"));
    let all = place.received();
    assert!(all.iter().any(|name| name.starts_with("nnnn") && name.ends_with(".csv") && name.len() <= 200));
    // One of which nothing is left is refused before a byte.
    assert!(!send_json(to, &metadata("alice", "", "csv"), b"x"));
    assert_eq!(send_steps(to, ".csv", "..", "1", b"x"), 2);
    assert_eq!(place.received(), all);
    assert!(!fs::exists(place.path("etc")).unwrap());
    let ended = child.interrupt().expect(0);
    assert!(ended.text().contains("its name makes no file name here"), "{}", ended.text());
}

#[test]
fn a_name_is_only_a_suggestion_in_every_form() {
    let hostile = [
        ("../../etc/passwd", "passwd"),
        ("CON", "_CON"),
        ("a\u{1b}[2Jb\n", "a_[2Jb_"),
        (".bashrc", "_.bashrc"),
        ("/etc/shadow", "shadow"),
    ];
    // The stepwise form: a name ends with its extension.
    let place = Place::new();
    let (child, to) = place.receiver("0");
    for (at, (name, kept)) in hostile.into_iter().enumerate() {
        assert_eq!(send_steps(to, ".csv", &format!("{name}.csv"), "1", b"x"), 4, "{name:?}");
        let kept = format!("{kept}.csv");
        assert!(
            place.received().contains(&kept) && place.received().len() == at + 1,
            "{:?}",
            place.received()
        );
    }
    let long = "n".repeat(4096) + ".csv";
    assert_eq!(send_steps(to, ".csv", &long, "1", b"x"), 4);
    assert!(place.received().iter().all(|name| name.len() <= 204), "{:?}", place.received());
    let all = place.received();
    // Without a name there is nothing to wait for; the message is not over.
    let mut stream = dial(to);
    stream.write_all(b".csv").unwrap();
    assert!(hears_ok(&mut stream));
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears_end(&mut stream));
    // More than any message may have.
    assert_eq!(send_steps(to, ".csv", &("n".repeat(9 << 10) + ".csv"), "1", b"x"), 1);
    // The short form has no name: the sender's address makes one.
    assert_eq!(send_short(to, "1", b"x"), 2);
    assert_eq!(place.received().len(), all.len() + 1);
    let ended = child.interrupt().expect(0);
    assert!(!ended.text().contains('\u{1b}'), "{}", ended.text());

    // The named form: the sender's name becomes that of the file.
    let place = Place::new();
    let (mut child, to) = place.receiver("0=named");
    for (at, (user, kept)) in
        [("../../etc/passwd", "passwd.png"), ("CON", "_CON.png"), (".bashrc", "_.bashrc.png")]
            .into_iter()
            .enumerate()
    {
        send_named(to, "7", b"a file!", user);
        child.wait_json(user, |line| {
            (line["event"] == "received").then(|| name_of(line)).filter(|found| found == kept)
        });
        assert_eq!(place.received().iter().filter(|name| *name != "log.txt").count(), at + 1);
    }
    let all = place.received();
    // No name, one of 4 KiB, one that would move the cursor: refused.
    for user in ["", &"n".repeat(4096), "a\u{1b}[2J"] {
        send_named(to, "7", b"a file!", user);
    }
    let mut refused = 0;
    child.wait_json("three refusals", |line| {
        refused += usize::from(line["event"] == "failed");
        (refused == 3).then_some(())
    });
    assert_eq!(place.received(), all);
    child.interrupt().expect(0);
    let log = fs::read_to_string(place.inbox().join("log.txt")).unwrap();
    assert_eq!((log.lines().count(), log.contains("../../etc/passwd | passwd.png | ")), (3, true), "{log}");
}

#[test]
fn sizes_that_lie_leave_nothing_in_the_other_forms() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    assert_eq!(send_steps(to, ".csv", "a.csv", "10", &[7; 11]), 3, "more than was announced");
    let mut stream = dial(to);
    for message in [".csv", "b.csv", "10"] {
        stream.write_all(message.as_bytes()).unwrap();
        assert!(hears_ok(&mut stream));
    }
    stream.write_all(&[7; 9]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears_end(&mut stream), "fewer");
    child.wait_json("too few", |line| line["reason"].as_str()?.contains("after 9 of 10 bytes").then_some(()));
    assert_eq!(place.received(), [""; 0]);
    child.interrupt().expect(0);

    // The named form: no name fits behind so many bytes.
    let place = Place::new();
    let (mut child, to) = place.receiver("0=named");
    for size in ["10", "300", "4000"] {
        send_named(to, size, &[7; 200], "alice");
    }
    let mut refused = 0;
    child.wait_json("three refusals", |line| {
        refused += usize::from(line["event"] == "failed");
        (refused == 3).then_some(())
    });
    assert_eq!(place.received(), [""; 0]);
    child.interrupt().expect(0);
}

#[test]
fn endless_metadata_and_nonsense_are_refused() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    let mut stream = dial(to);
    let endless = [b"{\"name\": \"".as_slice(), &vec![b'a'; 10 << 20]].concat();
    let _ = stream.write_all(&endless);
    assert!(hears_end(&mut stream));
    assert!(told(&mut child, "failed")["reason"].as_str().unwrap().contains("too great a length"));
    // Digits and extensions without end.
    for begin in ["1", "."] {
        let mut stream = dial(to);
        let _ = stream.write_all(&[begin.as_bytes(), &vec![b'7'; 10 << 20]].concat());
        assert!(hears_end(&mut stream));
    }
    let mut stream = dial(to);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(hears_end(&mut stream));
    // Nobody else is the worse for it.
    assert_eq!(send_short(to, "3", b"abc"), 2);
    child.interrupt().expect(0);
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let place = Place::new();
    // Every call on a file fails from here on. Where that is, the first call of a transfer included, is met in turn.
    let mut met = 0;
    for at in (20..120).step_by(9) {
        let launch =
            place.launch("receive").args(&["--yes", "--listen", "0", "--dir"]).args(&[place.inbox()]);
        let fault = format!("CHUNKCAST_FS_FAULT=28@{at}+");
        let child = launch.through(&["env", &fault]).start();
        let (child, to) = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listening(child))) {
            Ok(started) => started,
            // It met the fault before it stood.
            Err(_) => continue,
        };
        let file = bytes(400_000, 3);
        let answers = send_steps(to, ".csv", "x.csv", "400000", &file);
        let kept = place.received();
        if answers == 4 {
            assert_eq!(fs::read(place.inbox().join(&kept[0])).unwrap(), file);
        } else {
            met += 1;
            // When only the sync of the folder failed, the file has its name already; then it is whole.
            for name in kept.iter().filter(|name| name.ends_with(".csv")) {
                assert_eq!(fs::read(place.inbox().join(name)).unwrap(), file, "{name} is cut short");
            }
        }
        let ended = child.interrupt();
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert!(answers == 4 || ended.text().contains("no space left"), "{}", ended.text());
        let _ = fs::remove_dir_all(place.inbox());
    }
    assert!(met > 0, "no call of a push failed");
}

#[test]
fn no_push_takes_the_name_of_the_named_forms_log() {
    let place = Place::new();
    let (mut child, named) = place.receiver_with("0=named", &["--yes", "--listen", "0"]);
    let port = child.wait_json("its other port", |line| line["push_tcp"][1].as_u64());
    let json = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
    for name in ["log.txt", "LOG.TXT", "../log.txt"] {
        assert!(send_json(json, &metadata("mallory", name, "json"), b"mallory | forged.png | "));
        told(&mut child, "received");
    }
    // Nor does a file that a native peer sends.
    let file = place.file("log.txt", b"forged");
    let to = child.wait_json("its native port", |line| line["tcp_port"].as_u64());
    place.launch("send").args(&[&file]).args(&["--to", &format!("127.0.0.1:{to}")]).run().expect(0);
    send_named(named, "7", b"a file!", "alice");
    child.wait_json("the named one", |line| line["path"].as_str()?.ends_with("alice.png").then_some(()));
    child.interrupt().expect(0);
    let log = fs::read_to_string(place.inbox().join("log.txt")).unwrap();
    assert_eq!((log.lines().count(), log.contains("alice | alice.png | ")), (1, true), "{log}");
    assert_eq!(
        place.received(),
        ["_LOG.TXT", "_log (2).txt", "_log (3).txt", "_log.txt", "alice.png", "log.txt"]
    );
}
