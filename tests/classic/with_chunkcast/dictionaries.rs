//! The files of who has what that systems keep in shapes and under names of their own.

use std::fs;
use std::net::SocketAddrV4;

use super::field::{Field, OFTEN};
use super::four::{program, ready};
use crate::reference::announcer::{Announcer, Wording};
use crate::reference::dialect::Dialect;
use crate::reference::loopback::own_address;
use crate::reference::manner::Manner;
use crate::reference::python::Json;
use crate::reference::split::Chunk;
use crate::reference::uploader::Uploader;

fn names(chunks: &[Chunk]) -> Json {
    Json::texts(chunks.iter().map(|chunk| chunk.name.as_str()))
}

#[test]
fn the_last_announcement_alone_is_followed_and_kept() {
    let (field, owner, taker) = (Field::new(60_001), own_address(), own_address());
    let there = field.folder("taker");
    let chunks = field.chunks(Dialect::B);
    let (text, list) = (Json::text(&owner.to_string()), names(&chunks));
    let said = Json::members([("ip_address", text), ("chunks", list)]).dumps();
    let file = there.join("dictionary.json");
    // Of another program that hears.
    fs::write(&file, &said).unwrap();
    let _uploader = Uploader::start(Dialect::C, SocketAddrV4::new(owner, 5000), &chunks, Manner::default());
    let download = ["--tcp-port", "5000", &field.stem, "--wait=30s"];
    program(&field, taker, "download", &download, &there).end().expect(0);
    field.assert_got(&there);

    // Ours hears for another program that downloads.
    fs::write(&file, r#"{"ip_address": "127.0.0.9", "chunks": ["old_1"]}"#).unwrap();
    let discover = ready(program(&field, taker, "discover", &["--udp-port", "8000"], &there));
    let (wording, other) = (Wording::ChunksAndAddress, Field::new(1003));
    let ear = [SocketAddrV4::new(taker, 8000)];
    let announcer = Announcer::start(wording, &chunks, owner, &ear, OFTEN);
    field.wait_file(&file, |text| text == said, &discover);
    drop(announcer);
    // Whoever was heard last stands in it, though the first is known too, and again when it is heard again.
    let (second, late) = (own_address(), other.chunks(Dialect::B));
    let newer = Json::members([("ip_address", Json::text(&second.to_string())), ("chunks", names(&late))]);
    let announcer = Announcer::start(wording, &late, second, &ear, OFTEN);
    field.wait_file(&file, |text| text == newer.dumps(), &discover);
    drop(announcer);
    let _announcer = Announcer::start(wording, &chunks, owner, &ear, OFTEN);
    field.wait_file(&file, |text| text == said, &discover);
    discover.interrupt().expect(0);
    assert!(!there.join("The_Content_Dictionary.txt").exists());
}

#[test]
fn a_new_dictionary_has_the_shape_that_is_asked_for() {
    let (field, owner, taker) = (Field::new(13), own_address(), own_address());
    let chunks = field.chunks(Dialect::B);
    let holder = owner.to_string();
    let one = &chunks[..1];
    let by_name =
        |holder: Json| Json::Members(vec![(chunks[0].name.clone(), Json::List(vec![holder]))]).dumps();
    let datagram = Json::members([("ip_address", Json::text(&holder)), ("chunks", names(one))]).dumps();
    let user = Json::members([("username", Json::text("")), ("ip", Json::text(&holder))]);
    let _announcer = Announcer::start(Wording::Chunks, one, owner, &[SocketAddrV4::new(taker, 8000)], OFTEN);
    for (shape, text) in
        [("datagram", datagram), ("users", by_name(user)), ("addresses", by_name(Json::text(&holder)))]
    {
        let there = field.folder(shape);
        let args = ["--udp-port", "8000", "--dictionary", "heard.json", "--dictionary-shape", shape];
        let discover = ready(program(&field, taker, "discover", &args, &there));
        field.wait_file(&there.join("heard.json"), |there| there == text, &discover);
        discover.interrupt().expect(0);
    }
}

#[test]
fn the_dictionary_of_the_system_that_speaks_a_without_temp_is_kept() {
    for before in [r#"{"old_1": ["127.0.0.9"]}"#, "{}", ""] {
        keeps_content_dict(before);
    }
}

fn keeps_content_dict(before: &str) {
    let (field, owner, taker) = (Field::new(60_001), own_address(), own_address());
    let there = field.folder("taker");
    let file = there.join("content_dict.txt");
    fs::write(&file, before).unwrap();
    let chunks = field.chunks(Dialect::A);
    let at = SocketAddrV4::new(owner, Dialect::A.tcp_port());
    let _uploader = Uploader::start(Dialect::A, at, &chunks, Manner::default());
    let discover = ready(program(&field, taker, "discover", &[], &there));
    let ear = [SocketAddrV4::new(taker, 5000)];
    let _announcer = Announcer::start(Wording::Username, &chunks, owner, &ear, OFTEN);
    let known = chunks.iter().map(|chunk| (chunk.name.clone(), Json::texts([owner.to_string().as_str()])));
    let known = Json::Members(known.collect()).dumps();
    field.wait_file(&file, |text| text == known, &discover);
    program(&field, taker, "download", &[&field.stem, "--wait=30s"], &there).end().expect(0);
    field.assert_got(&there);
    discover.interrupt().expect(0);
    assert!(!there.join("tags.txt").exists() && !there.join("temp").exists());
}

#[test]
fn a_file_that_is_no_dictionary_is_put_aside_and_that_is_said() {
    let (field, owner, taker) = (Field::new(13), own_address(), own_address());
    let chunks = field.chunks(Dialect::B);
    let _announcer =
        Announcer::start(Wording::Chunks, &chunks, owner, &[SocketAddrV4::new(taker, 5001)], OFTEN);
    for (name, text) in [("notes.txt", "my notes"), ("dictionary.json", r#"{"settings": {"colour": "red"}}"#)]
    {
        let there = field.folder(name);
        fs::write(there.join(name), text).unwrap();
        let mut discover = ready(program(&field, taker, "discover", &["--dictionary", name], &there));
        field.wait_file(&there.join(name), |text| text.contains(&chunks[0].name), &discover);
        discover.wait_stderr(&[name, "put aside"]);
        discover.interrupt().expect(0);
        assert_eq!(fs::read_to_string(there.join(format!("{name}.bad-1"))).unwrap(), text);
    }
}
