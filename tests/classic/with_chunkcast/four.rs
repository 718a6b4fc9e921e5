//! The four programs as four processes over one folder, and each replaced by one of the field.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use serde_json::Value;

use super::SIZES;
use super::field::{Field, OFTEN};
use crate::child::Child;
use crate::reference::announcer::{Announcer, Wording};
use crate::reference::dialect::Dialect;
use crate::reference::downloader::Downloader;
use crate::reference::listener::{Listener, Reader};
use crate::reference::loopback::own_address;
use crate::reference::manner::Manner;
use crate::reference::sha256;
use crate::reference::split;
use crate::reference::uploader::Uploader;

/// One of the programs over a folder.
pub(super) fn program(field: &Field, at: Ipv4Addr, name: &str, args: &[&str], dir: &Path) -> Child {
    let words = [&["classic", name], args].concat();
    field.launch(at, &words).args(&["--dir".as_ref(), dir.as_os_str()]).start()
}

/// Waits until a program stands.
pub(super) fn ready(mut child: Child) -> Child {
    child.wait_json("its greeting", |line| (line["t"] == "hello").then_some(()));
    child
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn four_processes_do_the_whole_job() {
    for dialect in ["B", "A"] {
        let (field, owner, taker) = (Field::new(60_001), own_address(), own_address());
        let path = field.written("owner");
        let (here, there) = (field.folder("owner"), field.folder("taker"));
        let speak = ["--dialect", dialect];
        let discover = ready(program(&field, taker, "discover", &speak, &there));
        let upload = ready(program(&field, owner, "upload", &speak, &here));
        let file = path.to_str().unwrap();
        let announce = program(&field, owner, "announce", &[&speak[..], &[file]].concat(), &here);
        let download =
            program(&field, taker, "download", &[&speak[..], &[&field.stem, "--wait=30s"]].concat(), &there);
        download.end().expect(0);
        let merged = if dialect == "A" { there.join("downloads") } else { there.clone() };
        field.assert_got(&merged);
        for child in [discover, upload, announce] {
            child.interrupt().expect(0);
        }
        let (down, up) = if dialect == "A" {
            ("client.log", "server.log")
        } else {
            ("Download_Log.txt", "Upload_log.txt")
        };
        for (log, peer) in [(there.join(down), owner), (here.join(up), taker)] {
            let log = fs::read_to_string(log).unwrap();
            assert_eq!(log.lines().count(), 5, "{log}");
            for index in 1..=5 {
                let name = format!("{}_{index}", field.stem);
                let of_chunk = |line: &&str| line.contains(&name) && line.contains(&peer.to_string());
                assert_eq!(log.lines().filter(of_chunk).count(), 1, "{name} in {log}");
            }
        }
        let dictionary =
            read_json(&there.join(if dialect == "A" { "tags.txt" } else { "The_Content_Dictionary.txt" }));
        let first = &dictionary[format!("{}_1", field.stem)][0];
        let holder = if dialect == "A" { &first["ip"] } else { first };
        assert_eq!(holder.as_str(), Some(owner.to_string().as_str()), "{dictionary}");
        let available = read_json(&here.join("Available_Chunks.txt"));
        assert_eq!(available["chunks"].as_array().map(Vec::len), Some(5), "{available}");
    }
}

#[test]
fn the_announcer_and_the_uploader_are_replaced() {
    let (field, owner, taker) = (Field::new(1003), own_address(), own_address());
    let chunks = field.chunks(Dialect::C);
    let there = field.folder("taker");
    let discover = ready(program(&field, taker, "discover", &[], &there));
    let uploader = Uploader::start(Dialect::C, SocketAddrV4::new(owner, 5000), &chunks, Manner::default());
    let ear = [SocketAddrV4::new(taker, 5001)];
    let _announcer = Announcer::start(Wording::ChunksAndAddress, &chunks, owner, &ear, OFTEN);
    program(&field, taker, "download", &[&field.stem, "--wait=30s"], &there).end().expect(0);
    field.assert_got(&there);
    assert_eq!((uploader.asked().len(), uploader.death()), (5, None));
    discover.interrupt().expect(0);
}

#[test]
fn the_discovery_and_the_downloader_are_replaced() {
    let (field, owner, taker) = (Field::new(1003), own_address(), own_address());
    let here = field.folder("owner");
    let path = field.written("elsewhere");
    let ear = Listener::start(Reader::Eval, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5001)]);
    let upload = ready(program(&field, owner, "upload", &[], &here));
    let announce = program(&field, owner, "announce", &[path.to_str().unwrap()], &here);
    let names: Vec<String> = field.chunks(Dialect::B).into_iter().map(|chunk| chunk.name).collect();
    ear.wait_for(owner, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for dialect in [Dialect::B, Dialect::C] {
        let got = Downloader::new(dialect, taker)
            .file(SocketAddrV4::new(owner, dialect.tcp_port()), &field.file())
            .unwrap();
        assert!(got == field.content, "{dialect:?}");
    }
    assert_eq!(ear.death(), None);
    announce.interrupt().expect(0);
    upload.interrupt().expect(0);
}

#[test]
fn d_is_announced_with_the_checksums_of_its_chunks() {
    std::thread::scope(|scope| {
        for size in SIZES {
            scope.spawn(move || {
                let (field, owner) = (Field::new(size), own_address());
                let ports = [5001, 5002].map(|port| SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
                let ear = Listener::start(Reader::Batch, &ports);
                let path = field.written("owner");
                let args = ["--dialect", "D", path.to_str().unwrap()];
                let peer = program(&field, owner, "peer", &args, &field.folder("owner"));
                let chunks = field.chunks(Dialect::D);
                let names: Vec<&str> = chunks.iter().map(|chunk| chunk.name.as_str()).collect();
                ear.wait_for(owner, &names);
                for chunk in &chunks {
                    let told = ear.told(owner, &chunk.name).unwrap();
                    assert_eq!(told.size_bytes, Some(chunk.bytes.len() as u64), "{}", chunk.name);
                    assert_eq!(told.sha256, Some(sha256::hex(&chunk.bytes)), "{}", chunk.name);
                }
                let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
                let at = SocketAddrV4::new(owner, Dialect::D.tcp_port());
                let got = Downloader::new(Dialect::D, own_address()).on_one_connection(at, &names).unwrap();
                let got: Result<Vec<_>, _> = got.into_iter().collect();
                assert!(got.unwrap().concat() == field.content, "{size} bytes");
                assert_eq!(ear.death(), None);
                peer.interrupt().expect(0);
            });
        }
    });
}

#[test]
fn the_uploader_alone_serves_what_a_foreign_announcer_lists() {
    let (field, owner) = (Field::new(1003), own_address());
    let here = field.folder("owner");
    let chunks = field.chunks(Dialect::B);
    split::write(&here, &chunks);
    let names: Vec<String> = chunks.iter().map(|chunk| format!("{:?}", chunk.name)).collect();
    fs::write(here.join("Available_Chunks.txt"), format!("{{\"chunks\": [{}]}}", names.join(", "))).unwrap();
    fs::write(here.join("secret"), "no chunk").unwrap();
    let upload = ready(program(&field, owner, "upload", &[], &here));
    let downloader = Downloader::new(Dialect::B, own_address());
    let at = SocketAddrV4::new(owner, Dialect::B.tcp_port());
    assert!(downloader.file(at, &field.file()).unwrap() == field.content);
    for name in ["secret", "../owner/secret", "/etc/passwd"] {
        assert!(downloader.chunk(at, name).is_err(), "{name}");
    }
    upload.interrupt().expect(0);
}

#[test]
fn ports_and_the_dictionary_can_be_others() {
    let (field, owner, taker) = (Field::new(1003), own_address(), own_address());
    let there = field.folder("taker");
    let args = ["--udp-port", "8000", "--dictionary", "heard.json"];
    let discover = ready(program(&field, taker, "discover", &args, &there));
    let chunks = field.chunks(Dialect::B);
    let _uploader = Uploader::start(Dialect::B, SocketAddrV4::new(owner, 5000), &chunks, Manner::default());
    let ear = [SocketAddrV4::new(taker, 8000)];
    let _announcer = Announcer::start(Wording::Chunks, &chunks, owner, &ear, OFTEN);
    let args = ["--tcp-port", "5000", "--dictionary", "heard.json", "--wait=30s", &field.stem];
    program(&field, taker, "download", &args, &there).end().expect(0);
    field.assert_got(&there);
    assert!(there.join("heard.json").exists() && !there.join("The_Content_Dictionary.txt").exists());
    discover.interrupt().expect(0);
}

#[test]
fn a_port_that_is_taken_is_said_and_ends_with_4() {
    let (field, at) = (Field::new(1003), own_address());
    let _taken = std::net::TcpListener::bind((at, 8000)).unwrap();
    let ended = program(&field, at, "upload", &["--tcp-port", "8000"], &field.folder("here")).end().expect(4);
    assert!(ended.text().contains("8000") && ended.text().contains("--tcp-port"), "{}", ended.text());
}
