//! One receiver for both kinds of senders: whom it asks about, what ends it, and what it opens.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use crate::child::{Child, Launch, PATIENCE, Trap, skip};
use crate::desktop::Fakes;
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;
use crate::sending::{at_a_terminal, has_script, is_offer, receive, send, source, standing};

/// A sender of the field that has described its file in the JSON form.
fn describe(to: SocketAddr, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = format!(r#"{{"name": "alice", "fileName": "{name}", "fileType": "csv"}}"#);
    stream.write_all(said.as_bytes()).unwrap();
    stream
}

/// Whether it may send; if so, it sends, and waits for the end.
fn sends(mut stream: TcpStream, bytes: &[u8]) -> bool {
    let mut answer = [0; 2];
    if stream.read_exact(&mut answer).is_err() {
        return false;
    }
    assert_eq!(&answer, b"OK");
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut answer).unwrap(), 0);
    true
}

/// Waits for the port at which senders of the field are heard.
fn field_port(child: &mut Child) -> SocketAddr {
    let port = child.wait_json("its ports", |line| line["push_tcp"][0].as_u64());
    SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()))
}

/// A receiver that opens what it gets, or not, and where senders of the field reach it.
fn opening(lan: &Lan, fakes: &Fakes, args: &[&str]) -> (Child, SocketAddr) {
    let mut child = fakes.found_by(receive(lan, "receiver", args).args(&["--listen", "0"])).start();
    let at = field_port(&mut child);
    (child, at)
}

#[test]
fn offers_and_pushes_are_asked_about_one_after_the_other() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let paths: Vec<_> = (0..3).map(|at| source(&lan, &format!("{at}.bin"), 20_000, 550 + at)).collect();
    let folder = lan.folder("receiver");
    // An address of this test's own, on which even a fixed port is free.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let field = SocketAddr::from(([127, 231, high, low.max(1)], 8080));
    let launch = lan.launch("receiver", &["receive".as_ref(), "--dir".as_ref(), folder.as_os_str()]).args(&[
        "--listen",
        "8080",
        "--bind",
        &field.ip().to_string(),
    ]);
    let (mut receiver, mut typed) = at_a_terminal(&lan, launch);
    receiver.wait_stdout("receiving into");

    // A question about an offer, and one about a transfer that waits behind it.
    let mut offer = send(&lan, &paths[0], &["receiver"]).start();
    receiver.wait_stdout("sends \"0.bin\"");
    let push = describe(field, "a.csv");
    offer.wait_json("the offer", |line| is_offer(line, "offered").then_some(()));
    typed.write_all(b"perhaps\na\n").unwrap();
    offer.end().expect(0);
    receiver.wait_stdout("sends \"a.csv\" (size not told; json, unverified)");
    // The other way round.
    let mut second = send(&lan, &paths[1], &["receiver"]).start();
    second.wait_json("the offer", |line| is_offer(line, "offered").then_some(()));
    // Its connection breaks: nobody waits for an answer any more.
    SockRef::from(&push).set_linger(Some(Duration::ZERO)).unwrap();
    drop(push);
    receiver.wait_stdout("is gone, and its offer with it");
    receiver.wait_stdout("sends \"1.bin\"");
    typed.write_all(b"x\nd\n").unwrap();
    second.end().expect(9);

    // Everything else from a sender of the field, and nothing from others.
    let push = describe(field, "b.csv");
    receiver.wait_stdout("sends \"b.csv\"");
    typed.write_all(b"x\ns\n").unwrap();
    assert!(sends(push, b"a,b\n1,2\n"));
    assert!(sends(describe(field, "c.csv"), b"a,b\n3,4\n"));
    let third = send(&lan, &paths[2], &["receiver"]).start();
    receiver.wait_stdout("sends \"2.bin\"");
    typed.write_all(b"x\nd\n").unwrap();
    third.end().expect(9);
    typed.write_all(b"\x03").unwrap();
    receiver.end().expect(0);
    assert_eq!(names_in(&folder), ["0.bin", "b.csv", "c.csv"]);
}

#[test]
fn a_question_is_asked_again_after_what_took_its_place() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let paths = ["0.bin", "1.bin"].map(|name| source(&lan, name, 20_000, 570));
    random_file(&paths[1], 20_000, 571);
    let folder = lan.folder("receiver");
    let launch = lan.launch("receiver", &["receive".as_ref(), "--dir".as_ref(), folder.as_os_str()]);
    let (mut receiver, mut typed) = at_a_terminal(&lan, launch.args(&["--from", "friend"]));
    receiver.wait_stdout("receiving into");
    let mut asking = send(&lan, &paths[0], &["receiver"]).start();
    receiver.wait_stdout("sends \"0.bin\"");
    asking.wait_json("the offer", |line| is_offer(line, "offered").then_some(()));
    // What comes without a question takes the place of the one that stands.
    let words = ["send".as_ref(), paths[1].as_os_str(), "--to".as_ref(), "receiver".as_ref()];
    lan.launch("friend", &words).run().expect(0);
    receiver.wait_stdout_after("received \"1.bin\" from friend", "sends \"0.bin\"");
    typed.write_all(b"a\n").unwrap();
    asking.end().expect(0);
    typed.write_all(b"\x03").unwrap();
    let said = receiver.end().expect(0).stdout;
    assert_eq!(names_in(&folder), ["0.bin", "1.bin"]);
    // What takes its place begins at the beginning of the line, not behind it; the answer is typed behind the last one.
    assert!(!said.contains("always? getting"), "{said}");
    let asked = said.matches("sends \"0.bin\"").count();
    assert_eq!(said.matches("accept from this [s]ender always? ").count(), asked, "{said}");
}

#[test]
fn once_is_once_whichever_way_the_file_comes() {
    let lan = Lan::new();
    let path = source(&lan, "talk.mkv", 64 * MIB, 560);
    let listening = |trap| {
        let launch = receive(&lan, "receiver", &["--yes", "--once", "--listen", "0"]).trap(trap);
        let (mut child, port) = standing(launch);
        let at = field_port(&mut child);
        (child, at, format!("127.0.0.1:{port}"))
    };
    // A transfer under way: an offer is declined.
    let (receiver, field, native) = listening(Trap::None);
    let mut push = describe(field, "cars.csv");
    push.read_exact(&mut [0; 2]).unwrap();
    let declined = send(&lan, &path, &[&native]).run().expect(9);
    assert!(declined.stderr.contains("takes no more files now"), "{}", declined.stderr);
    push.write_all(b"a,b\n").unwrap();
    push.shutdown(Shutdown::Write).unwrap();
    let ended = receiver.end().expect(0);
    assert_eq!(ended.of_type("summary")[0]["done"], 1, "{}", ended.text());
    // A download under way: a transfer is not let come.
    let (mut receiver, field, native) = listening(Trap::Hold(MIB));
    let sender = send(&lan, &path, &[&native]).start();
    receiver.wait_trapped();
    let push = describe(field, "other.csv");
    receiver.release();
    assert!(!sends(push, b"a,b\n"));
    sender.end().expect(0);
    receiver.end().expect(0);
    assert_eq!(names_in(&lan.path("receiver")), ["cars.csv", "talk.mkv"]);
    assert_same(&path, &lan.path("receiver/talk.mkv"));
}

#[test]
fn what_came_is_handed_to_the_viewer_and_one_that_hangs_keeps_nobody() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    fakes.add("xdg-open", "exec /bin/sleep 100000");
    let (receiver, field) = opening(&lan, &fakes, &["--yes", "--open"]);
    let path = source(&lan, "-x.bin", 20_000, 570);
    send(&lan, &path, &["receiver"]).run().expect(0);
    let first = fakes.next_call();
    let shown = lan.path("receiver/_x.bin");
    assert_eq!(first.words[0], shown.to_str().unwrap(), "{:?}", first.words);
    // The viewer still runs.
    assert!(sends(describe(field, "cars.csv"), b"a,b\n1,2\n"));
    let second = fakes.next_call();
    assert_eq!(second.words[0], lan.path("receiver/cars.csv").to_str().unwrap());
    let ended = receiver.interrupt().expect(0);
    assert_eq!(ended.of_type("summary")[0]["done"], 2);
    // Neither was ended with the receiver.
    first.kill();
    second.kill();
}

#[test]
fn without_a_viewer_that_is_said_once_and_without_the_flag_nothing_is_opened() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    let (receiver, field) = opening(&lan, &fakes, &["--yes", "--open"]);
    for name in ["a.csv", "b.csv"] {
        assert!(sends(describe(field, name), b"a,b\n"));
    }
    let ended = receiver.interrupt().expect(0);
    assert_eq!(ended.stderr.matches("xdg-open cannot be started").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.of_type("foreign").iter().filter(|line| is_received(line)).count(), 2);

    fakes.add("xdg-open", "exit 0");
    let (receiver, field) = opening(&lan, &fakes, &["--yes"]);
    assert!(sends(describe(field, "c.csv"), b"a,b\n"));
    receiver.interrupt().expect(0);
    assert!(fakes.other_calls().is_empty());
}

fn is_received(line: &Value) -> bool {
    line["event"] == "received"
}

/// What is typed is answered until the menu ends; with what it said.
fn menu(lan: &Lan, args: &[&str], typed: &str) -> String {
    let launch: Launch = lan.launch("sender", &["send"]).args(args);
    let (sender, mut keys) = at_a_terminal(lan, launch);
    keys.write_all(typed.as_bytes()).unwrap();
    let ended = sender.end().expect(0);
    std::fs::remove_file(lan.path("keys")).unwrap();
    ended.stdout
}

#[test]
fn a_menu_asks_again_what_it_cannot_use() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let path = source(&lan, "notes.pdf", 20_000, 580);
    let path = path.display();
    let (receiver, port) = standing(receive(&lan, "receiver", &["--yes"]));
    // A wrong kind, number and path; a number that stands for nobody; the address, typed; a wrong word at the end.
    let typed = format!("\nfilms\na\n9999\n{path}.away\n{path}\n77\n127.0.0.1:{port}\nwhat\ne\n");
    let said = menu(&lan, &[], &typed);
    assert_eq!(said.matches("what to send:").count(), 2, "{said}");
    assert!(said.contains("there is no such number") && said.contains("notes.pdf.away"), "{said}");
    assert!(said.contains("there is no number 77"), "{said}");
    assert_eq!(said.matches("[a]gain or [e]xit?").count(), 2, "{said}");
    assert!(said.contains("notes.pdf: receiver (127.0.0.1:"), "{said}");
    receiver.interrupt().expect(0);
    assert_same(std::path::Path::new(&path.to_string()), &lan.path("receiver/notes.pdf"));
    // The end of input, at each question, ends it.
    for typed in ["\x04", "\n\x04", "\na\n\x04"] {
        menu(&lan, &[], typed);
    }
}

#[test]
fn a_menu_sends_to_receivers_of_the_field_too() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let [notes, cars] = ["notes.pdf", "cars.csv"].map(|name| source(&lan, name, 2_000, 590));
    let mut receiver = receive(&lan, "receiver", &["--yes", "--listen", "0"]).start();
    let field = field_port(&mut receiver);
    let (notes, shown) = (notes.display(), cars.display());
    let typed = format!("alice\na\n{notes}\n{shown}\nno.such.host.invalid\n{field}\ne\n");
    let said = menu(&lan, &["--dialect", "json"], &typed);
    assert!(said.contains("\"notes.pdf\" cannot be sent with --dialect json"), "{said}");
    assert!(said.contains("cannot be resolved") && said.contains("sent \"cars.csv\""), "{said}");
    let ended = receiver.interrupt().expect(0);
    assert_eq!(ended.of_type("foreign").iter().filter(|line| is_received(line)).count(), 1);
    assert_same(&cars, &lan.path("receiver/cars.csv"));
}
