//! `send --dialect` sends to receivers of other programs.

use std::io::Write;

use crate::child::Ended;
use crate::place::{Place, bytes};
use crate::reference::{Got, message, receiver, take_json, take_named, take_short, take_steps};

fn send(place: &Place, dialect: &str, file: &str, to: std::net::SocketAddr) -> Ended {
    place
        .launch("send")
        .args(&["--dialect", dialect, "--name", "alice", "--to", &to.to_string()])
        .args(&[place.path(file)])
        .run()
}

#[test]
fn each_form_is_sent_to_the_byte() {
    let place = Place::new();
    let file = bytes(300_001, 1);
    for (dialect, script, said, behind) in [
        (
            "json",
            take_json as fn(_) -> Got,
            vec![r#"{"name": "alice", "fileName": "x.png", "fileType": "image"}"#],
            "",
        ),
        ("steps", take_steps, vec![".png", "x.png", "300001"], ""),
        ("short", take_short, vec!["300001"], ""),
        ("named", take_named, vec![], "alice"),
    ] {
        place.file("x.png", &file);
        let (to, got) = receiver(script);
        let ended = send(&place, dialect, "x.png", to).expect(0);
        let got = got.join().unwrap();
        let said: Vec<Vec<u8>> = said.into_iter().map(|text| text.as_bytes().to_vec()).collect();
        let before: &[u8] = if dialect == "named" { b"300001" } else { b"" };
        assert_eq!(got.said, said, "{dialect}");
        assert!(got.file == [before, &file, behind.as_bytes()].concat(), "{dialect}");
        let sent = ended.of_type("foreign");
        let acknowledged = matches!(dialect, "steps" | "short");
        assert_eq!(sent.last().unwrap()["acknowledged"], acknowledged, "{dialect}");
    }
}

#[test]
fn what_a_receiver_does_instead_of_taking_it_is_told() {
    let place = Place::new();
    place.file("cars.csv", b"a,b\n");
    let nothing = || Got { said: Vec::new(), file: Vec::new() };
    let (to, got) = receiver(move |mut stream| {
        message(&mut stream);
        nothing()
    });
    let ended = send(&place, "json", "cars.csv", to).expect(9);
    assert!(ended.text().contains("declines"), "{}", ended.text());
    assert!(ended.text().contains("the receiver did not answer"), "{}", ended.text());
    got.join().unwrap();

    // It closes with the request unread, which resets the connection.
    let (to, got) = receiver(move |stream| {
        assert!(stream.peek(&mut [0]).unwrap() > 0);
        nothing()
    });
    let ended = send(&place, "json", "cars.csv", to).expect(5);
    assert!(ended.text().contains("the receiver did not answer"), "{}", ended.text());
    assert!(!ended.text().contains("declines"), "{}", ended.text());
    got.join().unwrap();

    let (to, got) = receiver(move |mut stream| {
        message(&mut stream);
        stream.write_all(b"NO").unwrap();
        message(&mut stream);
        nothing()
    });
    let ended = send(&place, "steps", "cars.csv", to).expect(5);
    assert!(ended.text().contains("something else than OK"), "{}", ended.text());
    got.join().unwrap();

    // It takes the file and says nothing.
    let (to, got) = receiver(move |mut stream| {
        message(&mut stream);
        stream.write_all(b"OK").unwrap();
        message(&mut stream);
        nothing()
    });
    let ended = send(&place, "short", "cars.csv", to).expect(5);
    assert!(ended.text().contains("without saying that it has the file"), "{}", ended.text());
    got.join().unwrap();
}

#[test]
fn who_is_not_there_is_said_not_to_be() {
    let place = Place::new();
    place.file("cars.csv", b"a,b\n");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let ended = send(&place, "json", "cars.csv", port).expect(3);
    assert!(ended.text().contains("nobody listens there"), "{}", ended.text());
}

#[test]
fn what_a_form_cannot_say_is_a_usage_error() {
    let place = Place::new();
    place.file("talk.mkv", b"x");
    let to = "127.0.0.1:9".parse().unwrap();
    let ended = send(&place, "json", "talk.mkv", to).expect(2);
    assert!(ended.text().contains("images, CSV and JSON"), "{}", ended.text());
}

#[test]
fn chunkcast_pushes_to_chunkcast() {
    let place = Place::new();
    let file = bytes(123_456, 7);
    place.file("x.png", &file);
    for (dialect, listen, name) in [
        ("json", "0", "x.png"),
        ("steps", "0", "x (2).png"),
        ("short", "0", "push-from-127-0-0-1"),
        ("named", "0=named", "alice.png"),
    ] {
        let (child, to) = place.receiver_with(listen, &["--yes", "--once"]);
        send(&place, dialect, "x.png", to).expect(0);
        child.end().expect(0);
        assert!(std::fs::read(place.inbox().join(name)).unwrap() == file, "{dialect}");
    }
}
