//! The other programs' senders send to `receive`.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, SocketAddr};

use crate::child::Launch;
use crate::place::{Place, bytes, name_of, told};
use crate::reference::{dial, hears_end, hears_ok, metadata, send_json, send_named, send_short, send_steps};

/// A receiver has far less in memory than an image of some gigabytes.
const MEMORY_BYTES_MAX: u64 = 200 << 20;

#[test]
fn each_form_is_received_to_the_byte() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    let files = [bytes(300_001, 1), bytes(70_000, 2), bytes(1, 3)];

    assert!(send_json(to, &metadata("alice", "cars.csv", "csv"), &files[0]));
    let line = told(&mut child, "received");
    assert_eq!(
        (&line["form"], &line["user"], &line["bytes"]),
        (&"json".into(), &"alice".into(), &300_001.into())
    );
    // What it is follows from its bytes.
    assert_eq!(line["kind"], "other");
    assert!(line["latency"].is_f64() && line["rate"].is_u64(), "{line}");
    assert_eq!(fs::read(place.inbox().join("cars.csv")).unwrap(), files[0]);

    assert_eq!(send_steps(to, ".png", "x.png", "70000", &files[1]), 4);
    assert_eq!(fs::read(place.inbox().join("x.png")).unwrap(), files[1]);

    assert_eq!(send_short(to, "1", &files[2]), 2);
    assert_eq!(fs::read(place.inbox().join("push-from-127-0-0-1")).unwrap(), files[2]);

    // The same name again replaces nothing.
    assert_eq!(send_steps(to, ".png", "x.png", "1", &files[2]), 4);
    assert_eq!(fs::read(place.inbox().join("x (2).png")).unwrap(), files[2]);
    // A file without a byte is one where its size is said.
    assert_eq!(send_steps(to, ".csv", "empty.csv", "0", &[]), 4);
    assert_eq!(fs::read(place.inbox().join("empty.csv")).unwrap(), b"");

    let state = place.path("state of receive");
    let log = Launch::new("log").args(&["log", "--state-dir"]).args(&[state]).run().expect(0).stdout;
    assert!(log.contains("DONE \"cars.csv\" bytes=300001") && log.contains("push=json"), "{log}");
    let ended = child.interrupt().expect(0);
    assert_eq!(ended.of_type("summary")[0]["done"], 5);
}

#[test]
fn the_named_form_is_named_after_its_sender() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0=named");
    let file = [b"77 digits at the beginning".as_slice(), &bytes(50_000, 4)].concat();
    send_named(to, &file.len().to_string(), &file, "alice");
    let line = told(&mut child, "received");
    assert_eq!((name_of(&line).as_str(), &line["user"]), ("alice.png", &"alice".into()));
    assert_eq!(fs::read(place.inbox().join("alice.png")).unwrap(), file);
    child.interrupt().expect(0);
    let log = fs::read_to_string(place.inbox().join("log.txt")).unwrap();
    let fields: Vec<&str> = log.trim_end().split(" | ").collect();
    assert_eq!((fields.len(), fields[0], fields[1], fields[2].len()), (3, "alice", "alice.png", 19), "{log}");
}

#[test]
fn metadata_may_come_split_or_glued_to_the_file() {
    let place = Place::new();
    let (_child, to) = place.receiver("0");
    let file = bytes(10_000, 5);
    let mut stream = dial(to);
    for byte in metadata("alice", "split.csv", "csv").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(hears_ok(&mut stream));
    stream.write_all(&file).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears_end(&mut stream));
    assert_eq!(fs::read(place.inbox().join("split.csv")).unwrap(), file);

    let mut stream = dial(to);
    let glued = [metadata("alice", "glued.csv", "csv").as_bytes(), &file].concat();
    stream.write_all(&glued).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears_ok(&mut stream) && hears_end(&mut stream));
    assert_eq!(fs::read(place.inbox().join("glued.csv")).unwrap(), file);
}

#[test]
fn fifty_senders_at_once_and_a_slow_one_delays_nobody() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    // It has begun before all others, and is not done before they are.
    let mut slow = dial(to);
    slow.write_all(b"4").unwrap();
    assert!(hears_ok(&mut slow));
    slow.write_all(b"s").unwrap();

    let files: Vec<Vec<u8>> = (0..50).map(|seed| bytes(20_000 + 1_000 * seed, seed as u64)).collect();
    std::thread::scope(|scope| {
        for (at, file) in files.iter().enumerate() {
            scope.spawn(move || {
                let name = format!("{at}.csv");
                match at % 2 {
                    0 => assert!(send_json(to, &metadata("bob", &name, "csv"), file)),
                    _ => assert_eq!(send_steps(to, ".csv", &name, &file.len().to_string(), file), 4),
                }
            });
        }
    });
    for (at, file) in files.iter().enumerate() {
        assert_eq!(fs::read(place.inbox().join(format!("{at}.csv"))).unwrap(), *file, "{at}");
    }
    for byte in b"low" {
        slow.write_all(&[*byte]).unwrap();
    }
    assert!(hears_ok(&mut slow) && hears_end(&mut slow));
    child.wait_json("the slow one", |line| {
        line["path"].as_str()?.ends_with("push-from-127-0-0-1").then_some(())
    });
    let ended = child.interrupt().expect(0);
    assert_eq!(ended.of_type("summary")[0]["done"], 51);
    assert_eq!(place.received().len(), 51);
}

#[test]
fn offers_and_pushes_come_to_one_receiver_under_one_quota() {
    let place = Place::new();
    place.file("offered.csv", b"name,price\nfiat,9\n");
    place.file("large.csv", &[b'x'; 600]);
    let (mut child, to) = place.receiver_with("0", &["--yes", "--quota", "1000"]);
    let peer = format!("127.0.0.1:{}", child.wait_json("its own port", |line| line["tcp_port"].as_u64()));
    let offer = |file: &str| place.launch("send").args(&["--to", &peer]).args(&[place.path(file)]).run();
    offer("offered.csv").expect(0);
    let line = child.wait_json("the offered file", |line| {
        (line["t"] == "push" && line["event"] == "received").then(|| line.clone())
    });
    assert_eq!((&line["kind"], &line["name"]), (&"csv".into(), &"offered.csv".into()), "{line}");
    assert!(line["latency"].is_f64() && line["rate"].is_u64(), "{line}");
    // 18 bytes are gone, and each kind of sender finds what the other left.
    assert_eq!(send_short(to, "983", &[7; 983]), 0);
    assert_eq!(send_short(to, "500", &[7; 500]), 2);
    offer("large.csv").expect(9);
    assert_eq!(send_short(to, "482", &[7; 482]), 2);
    assert_eq!(place.received(), ["offered.csv", "push-from-127-0-0-1", "push-from-127-0-0-1 (2)"]);
    let ended = child.interrupt().expect(0);
    assert_eq!(ended.of_type("summary")[0]["done"], 3);
}

#[test]
fn what_came_is_shown_and_cannot_move_the_cursor() {
    let place = Place::new();
    // An address of this test's own, on which even a fixed port is free.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let to = SocketAddr::from(([127, 230, high, low.max(1)], 8080));
    let mut child = Launch::new("receive")
        .args(&["receive", "--yes", "-v", "--listen", "8080", "--broadcast", "127.255.255.255", "--bind"])
        .args(&[to.ip().to_string()])
        .args(&["--state-dir"])
        .args(&[place.path("state")])
        .args(&["--dir"])
        .args(&[place.inbox()])
        .start();
    child.wait_stderr(&["TCP ports [8080]"]);
    let table = b"name,price\nfiat\x1b[2J,9\nford,1000\n";
    assert!(send_json(to, &metadata("al\u{1b}ice", "cars.csv", "image").replace('\u{1b}', "\\u001b"), table));
    child.wait_stdout("ford");
    // An image that would fill the memory is described by what it says of itself.
    let bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x03\x0d\x40\0\x03\x0d\x40\x08\x02\0\0\0\0\0\0\0";
    assert!(send_json(to, &metadata("alice", "bomb.png", "image"), bomb));
    child.wait_stderr(&["type PNG image, 200,000 × 200,000"]);
    let peak = child.peak_memory_bytes();
    assert!(peak < MEMORY_BYTES_MAX, "{peak} bytes");
    let ended = child.interrupt().expect(0);
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{}", ended.text());
    assert!(ended.stdout.contains("\nford           1000\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("type CSV, 32 B, latency "), "{}", ended.stderr);
}
