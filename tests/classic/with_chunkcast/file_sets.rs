//! A folder in each form that the field's programs give it, served by one of ours with default flags.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::field::Field;
use super::four::{program, ready};
use crate::reference::announcer::{Announcer, Wording};
use crate::reference::dialect::Dialect;
use crate::reference::downloader::Downloader;
use crate::reference::listener::{Listener, Reader};
use crate::reference::loopback::own_address;
use crate::reference::manner::Manner;
use crate::reference::names::NameForm;
use crate::reference::split::{self, Chunk};
use crate::reference::uploader::Uploader;

/// The chunks of the file as the programs of A that keep `temp` call them.
fn of_temp(field: &Field) -> Vec<Chunk> {
    let mut chunks = field.chunks(Dialect::A);
    for (index, chunk) in (1..).zip(&mut chunks) {
        chunk.name = NameForm::AfterExtension.name(&field.file(), index);
    }
    chunks
}

fn names(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk.name.as_str()).collect()
}

/// Whether nothing else than these lies in a folder.
#[track_caller]
fn assert_holds(folder: &Path, expected: &[&str]) {
    let mut there: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, expected);
}

#[test]
fn the_uploader_serves_plain_chunk_files_and_those_that_come_later() {
    let (field, late, owner) = (Field::new(60_001), Field::new(1003), own_address());
    let here = field.folder("owner");
    split::write(&here, &field.chunks(Dialect::B));
    fs::write(here.join("photo_1.png"), "no chunk").unwrap();
    fs::write(here.join("year_2020"), "no chunk").unwrap();
    let upload = ready(program(&field, owner, "upload", &[], &here));
    let downloader = Downloader::new(Dialect::B, own_address());
    let at = SocketAddrV4::new(owner, Dialect::B.tcp_port());
    assert!(downloader.file(at, &field.file()).unwrap() == field.content);
    // A downloader of another system works in the same folder.
    split::write(&here, &late.chunks(Dialect::B));
    assert!(downloader.file(at, &late.file()).unwrap() == late.content);
    for name in ["photo_1.png", "year_2020", "photo_1"] {
        assert!(downloader.chunk(at, name).is_err(), "{name}");
    }
    upload.interrupt().expect(0);
    assert!(!here.join("Available_Chunks.txt").exists(), "these programs keep no list");
}

#[test]
fn the_announcer_announces_plain_chunk_files_and_those_that_come_later() {
    let (field, late, owner) = (Field::new(60_001), Field::new(1003), own_address());
    let here = field.folder("owner");
    let chunks = field.chunks(Dialect::B);
    split::write(&here, &chunks);
    let ear = Listener::start(Reader::Chunks, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5001)]);
    let announce = program(&field, owner, "announce", &[], &here);
    ear.wait_for(owner, &names(&chunks));
    let chunks = late.chunks(Dialect::B);
    split::write(&here, &chunks);
    ear.wait_for(owner, &names(&chunks));
    announce.interrupt().expect(0);
}

#[test]
fn chunks_that_come_beside_a_list_join_it() {
    let (field, late, owner) = (Field::new(1003), Field::new(60_001), own_address());
    let here = field.folder("owner");
    let chunks = field.chunks(Dialect::C);
    split::write(&here, &chunks);
    let listed = serde_json::json!({ "chunks": names(&chunks[..4]) }).to_string();
    fs::write(here.join("Available_Chunks.txt"), listed).unwrap();
    let upload = ready(program(&field, owner, "upload", &[], &here));
    let downloader = Downloader::new(Dialect::C, own_address());
    let at = SocketAddrV4::new(owner, Dialect::C.tcp_port());
    assert!(downloader.chunk(at, &chunks[3].name).unwrap() == chunks[3].bytes);
    // What lay there unlisted is not offered: the list is what its owner offers.
    assert!(downloader.chunk(at, &chunks[4].name).is_err());
    split::write(&here, &late.chunks(Dialect::C));
    assert!(downloader.file(at, &late.file()).unwrap() == late.content);
    upload.interrupt().expect(0);
}

#[test]
fn the_folder_temp_is_served_and_announced_as_a() {
    for dialect in [&[][..], &["--dialect", "A"]] {
        let (field, late, owner) = (Field::new(60_001), Field::new(1003), own_address());
        let here = field.folder("owner");
        let (temp, chunks) = (field.folder("owner/temp"), of_temp(&field));
        split::write(&temp, &chunks);
        let ear = Listener::start(Reader::Files, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5000)]);
        let upload = ready(program(&field, owner, "upload", dialect, &here));
        let announce = program(&field, owner, "announce", dialect, &here);
        ear.wait_for(owner, &names(&chunks));
        let downloader =
            Downloader { names: NameForm::AfterExtension, ..Downloader::new(Dialect::A, own_address()) };
        let at = SocketAddrV4::new(owner, Dialect::A.tcp_port());
        assert!(downloader.file(at, &field.file()).unwrap() == field.content);
        split::write(&temp, &of_temp(&late));
        assert!(downloader.file(at, &late.file()).unwrap() == late.content);
        ear.wait_for(owner, &names(&of_temp(&late)));
        assert_eq!(ear.death(), None);
        announce.interrupt().expect(0);
        upload.interrupt().expect(0);
        assert_holds(&here, &["server.log", "temp"]);
    }
}

#[test]
fn beside_programs_that_keep_temp_a_file_is_cut_and_fetched_as_they_do() {
    let (field, other, owner, taker) = (Field::new(60_001), Field::new(1003), own_address(), own_address());
    let here = field.folder("owner");
    split::write(&field.folder("owner/temp"), &of_temp(&other));
    let path = field.written("elsewhere");
    let mut announce = program(&field, owner, "announce", &[path.to_str().unwrap()], &here);
    announce.wait_json("its greeting", |line| (line["t"] == "hello").then_some(()));
    for chunk in of_temp(&field) {
        assert!(fs::read(here.join("temp").join(&chunk.name)).unwrap() == chunk.bytes, "{}", chunk.name);
    }
    announce.interrupt().expect(0);

    let there = field.folder("taker");
    let chunks = of_temp(&field);
    split::write(&field.folder("taker/temp"), &of_temp(&other));
    let discover = ready(program(&field, taker, "discover", &[], &there));
    let at = SocketAddrV4::new(owner, Dialect::A.tcp_port());
    let _uploader = Uploader::start(Dialect::A, at, &chunks, Manner::default());
    let ear = [SocketAddrV4::new(taker, 5000)];
    let _announcer = Announcer::start(Wording::Username, &chunks, owner, &ear, super::field::OFTEN);
    program(&field, taker, "download", &[&field.file(), "--wait=30s"], &there).end().expect(0);
    field.assert_got(&there.join("downloads"));
    assert_eq!(fs::read_dir(there.join("temp")).unwrap().count(), 10);
    discover.interrupt().expect(0);
    assert!(there.join("tags.txt").exists() && !there.join("Available_Chunks.txt").exists());
}

#[test]
fn a_folder_without_chunks_is_said_with_the_next_step() {
    for (name, next) in [("announce", "classic announce FILE"), ("upload", "classic announce FILE")] {
        let (field, owner) = (Field::new(13), own_address());
        let mut child = program(&field, owner, name, &[], &field.folder("owner"));
        child.wait_stderr(&["Available_Chunks.txt"]);
        let ended = child.interrupt().expect(0);
        for part in ["temp", "forest_1", next, "--dir"] {
            assert!(ended.stderr.contains(part), "{name}: {part} in {}", ended.stderr);
        }
    }
}

#[test]
fn a_fresh_folder_of_a_shows_its_form() {
    let (field, owner, taker) = (Field::new(60_001), own_address(), own_address());
    let (here, there) = (field.folder("owner"), field.folder("taker"));
    let (temp, chunks) = (field.folder("owner/temp"), of_temp(&field));
    fs::write(here.join("tags.txt"), "{}").unwrap();
    let upload = ready(program(&field, owner, "upload", &[], &here));
    let announce = ready(program(&field, owner, "announce", &[], &here));
    fs::write(there.join("tags.txt"), "").unwrap();
    let discover = ready(program(&field, taker, "discover", &[], &there));
    let ear = Listener::start(Reader::Files, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5000)]);
    split::write(&temp, &chunks);
    ear.wait_for(owner, &names(&chunks));
    program(&field, taker, "download", &[&field.file(), "--wait=30s"], &there).end().expect(0);
    field.assert_got(&there.join("downloads"));
    for child in [discover, announce, upload] {
        child.interrupt().expect(0);
    }
    assert_holds(&here, &["server.log", "tags.txt", "temp"]);
}

#[test]
fn a_stray_file_beside_temp_does_not_hide_it() {
    let (field, owner) = (Field::new(60_001), own_address());
    let here = field.folder("owner");
    split::write(&field.folder("owner/temp"), &of_temp(&field));
    fs::write(here.join("notes_1"), "no chunk").unwrap();
    let upload = ready(program(&field, owner, "upload", &[], &here));
    let downloader =
        Downloader { names: NameForm::AfterExtension, ..Downloader::new(Dialect::A, own_address()) };
    let at = SocketAddrV4::new(owner, Dialect::A.tcp_port());
    assert!(downloader.file(at, &field.file()).unwrap() == field.content);
    upload.interrupt().expect(0);
}
