//! Connections that are cut at the beginning, in the middle and at the end, on either side and in every form; senders that
//! are slow, or interrupted.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use socket2::SockRef;

use crate::place::{Place, bytes};
use crate::reference::{
    Got, dial, hears_end, hears_ok, message, metadata, receiver, send_json, send_short, send_steps,
};

/// Far more than sockets hold, so that who sends it is in its midst when its receiver breaks off.
const LARGE: usize = 32 << 20;

/// The forms whose senders are heard at the first port; the named one has a port of its own.
const ANSWERED: [&str; 3] = ["json", "steps", "short"];

/// A sender of the field that was let send a file of 200,000 bytes.
fn let_send(to: SocketAddr, form: &str) -> TcpStream {
    let mut stream = dial(to);
    let said: &[&str] = match form {
        "json" => &[r#"{"name": "alice", "fileName": "x.csv", "fileType": "csv"}"#],
        "steps" => &[".csv", "x.csv", "200000"],
        "short" => &["200000"],
        _ => &[],
    };
    for message in said {
        stream.write_all(message.as_bytes()).unwrap();
        assert!(hears_ok(&mut stream), "{form}");
    }
    if form == "named" {
        // No prefix of it is the size of so short a stream.
        stream.write_all(b"700000").unwrap();
    }
    stream
}

/// Breaks a connection off, so that the other side sees a reset.
fn break_off(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn senders_that_are_cut_leave_nothing_in_any_form() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    let named = Place::new();
    let (mut named_child, named_to) = named.receiver("0=named");
    let file = bytes(200_000, 1);
    let mut failed = 0;
    for percent in [0, 50, 99] {
        let part = &file[..file.len() * percent / 100];
        for form in ANSWERED {
            let mut stream = let_send(to, form);
            stream.write_all(part).unwrap();
            break_off(stream);
            failed += 1;
            let seen = failed;
            let mut count = 0;
            let reason = child.wait_json("its failure", |line| {
                count += usize::from(line["event"] == "failed");
                (count == seen).then(|| line["reason"].as_str().unwrap().to_owned())
            });
            // Where a reset overtakes the end of what came, the size tells.
            assert!(reason.contains("broke") || reason.contains("after"), "{form} {percent}: {reason}");
            assert_eq!(place.received(), [""; 0], "{form} {percent}");
        }
        // In the named form the end of the stream, in order, is too early as well.
        let mut stream = let_send(named_to, "named");
        stream.write_all(part).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(hears_end(&mut stream));
        break_off(let_send(named_to, "named"));
    }
    let mut count = 0;
    named_child.wait_json("six failures", |line| {
        count += usize::from(line["event"] == "failed");
        (count == 6).then_some(())
    });
    assert_eq!(named.received(), [""; 0]);
    // Everybody else is served.
    assert_eq!(send_short(to, "3", b"abc"), 2);
    let ended = child.interrupt().expect(0);
    assert!(ended.stderr.contains("was not received"), "{}", ended.stderr);
    named_child.interrupt().expect(0);
}

#[test]
fn receivers_that_are_cut_are_told_of_in_every_form() {
    let place = Place::new();
    place.file("x.png", &bytes(LARGE, 2));
    for dialect in ["json", "steps", "short", "named"] {
        for percent in [0, 50, 99] {
            let (to, got) = receiver(move |mut stream| {
                let messages = match dialect {
                    "json" | "short" => 1,
                    "steps" => 3,
                    _ => 0,
                };
                for _ in 0..messages {
                    message(&mut stream);
                    stream.write_all(b"OK").unwrap();
                }
                // One byte at least: a reset before would overtake the OK.
                let mut part = vec![0; (LARGE / 100 * percent).max(1)];
                stream.read_exact(&mut part).unwrap();
                break_off(stream);
                Got { said: Vec::new(), file: part }
            });
            let ended = place
                .launch("send")
                .args(&["--dialect", dialect, "--name", "alice", "--to", &to.to_string()])
                .args(&[place.path("x.png")])
                .run()
                .expect(5);
            got.join().unwrap();
            let failed = ended.of_type("foreign");
            let reason = failed.last().unwrap()["reason"].as_str().unwrap();
            assert_eq!(failed.last().unwrap()["event"], "failed", "{dialect} {percent}");
            assert!(
                reason.contains("broke") || reason.contains("without saying"),
                "{dialect} {percent}: {reason}"
            );
            assert!(ended.stderr.contains("\"x.png\" was not sent to"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_sender_that_is_interrupted_does_not_end_like_one_that_is_done() {
    let place = Place::new();
    place.file("x.png", &bytes(LARGE, 3));
    for dialect in ["json", "named"] {
        let (began, begun) = channel();
        let (go_on, goes_on) = channel::<()>();
        let (to, got) = receiver(move |mut stream| {
            if dialect == "json" {
                message(&mut stream);
                stream.write_all(b"OK").unwrap();
            }
            stream.read_exact(&mut [0; 1_000]).unwrap();
            began.send(()).unwrap();
            goes_on.recv().unwrap();
            let mut file = Vec::new();
            let end = stream.read_to_end(&mut file);
            assert!(file.len() < LARGE);
            assert_eq!(
                end.map_err(|error| error.kind()),
                Err(std::io::ErrorKind::ConnectionReset),
                "{dialect}"
            );
            Got { said: Vec::new(), file }
        });
        let sender = place
            .launch("send")
            .args(&["--dialect", dialect, "--name", "alice", "--to", &to.to_string()])
            .args(&[place.path("x.png")])
            .start();
        begun.recv().unwrap();
        sender.interrupt().expect(130);
        go_on.send(()).unwrap();
        got.join().unwrap();
    }
}

/// Goes on with a transfer at a kilobyte a second, until it is told to end, or for `bytes` of it.
fn drip(stream: &mut TcpStream, file: &[u8], told: &std::sync::mpsc::Receiver<()>, tell: &Sender<()>) {
    let mut pieces = file.chunks(1_000);
    for piece in pieces.by_ref() {
        stream.write_all(piece).unwrap();
        let _ = tell.send(());
        if told.recv_timeout(Duration::from_secs(1)).is_ok() {
            break;
        }
    }
    for piece in pieces {
        stream.write_all(piece).unwrap();
    }
}

#[test]
fn a_kilobyte_a_second_delays_nobody() {
    let place = Place::new();
    let (mut child, to) = place.receiver("0");
    // More than it can have sent before it is told to end.
    let slow_file = bytes(1 << 20, 4);
    let (tell, told) = channel();
    let (began, begun) = channel();
    std::thread::scope(|scope| {
        let slow_file = &slow_file;
        let slow = scope.spawn(move || {
            let mut stream = dial(to);
            stream.write_all(metadata("slow", "slow.csv", "csv").as_bytes()).unwrap();
            assert!(hears_ok(&mut stream));
            drip(&mut stream, slow_file, &told, &began);
            stream.shutdown(Shutdown::Write).unwrap();
            assert!(hears_end(&mut stream));
        });
        begun.recv().unwrap();
        let files: Vec<Vec<u8>> = (0..10).map(|seed| bytes(300_000, 10 + seed)).collect();
        for (at, file) in files.iter().enumerate() {
            assert!(send_json(to, &metadata("bob", &format!("{at}.csv"), "csv"), file));
            assert_eq!(send_steps(to, ".png", &format!("{at}.png"), "300000", file), 4);
            assert_eq!(fs::read(place.inbox().join(format!("{at}.png"))).unwrap(), *file);
        }
        // All of them are there, and the slow one still is under way.
        assert!(!slow.is_finished() && !place.received().contains(&"slow.csv".to_owned()));
        tell.send(()).unwrap();
        slow.join().unwrap();
    });
    child.wait_json("the slow one", |line| line["path"].as_str()?.ends_with("slow.csv").then_some(()));
    assert_eq!(fs::read(place.inbox().join("slow.csv")).unwrap(), slow_file);
    let ended = child.interrupt().expect(0);
    assert_eq!(ended.of_type("summary")[0]["done"], 21);
}
