//! Each of the four programs replaced by ours, in a folder of each form, while three of the field work there.
//!
//! The four share a folder and an address. They offer a file of their own to a peer elsewhere and get one from it, which
//! they offer in turn; that peer is played here.

use std::fs;
use std::net::SocketAddrV4;
use std::time::Instant;

use super::field::Field;
use super::four::program;
use crate::child::Child;
use crate::reference::downloader::Downloader;
use crate::reference::life::{LOOK, Life, PATIENCE};
use crate::reference::listener::{Listener, Reader};
use crate::reference::loopback::own_address;
use crate::reference::manner::Manner;
use crate::reference::programs::{FileSet, Process, Program};
use crate::reference::split::Chunk;

/// From a few bytes in one segment to many segments.
const SIZES: [usize; 3] = [13, 60_001, 300_001];

/// One of the four.
enum Running {
    Ours(Child),
    Theirs { _process: Process },
}

fn names(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk.name.as_str()).collect()
}

/// Ours plays this program, in the folder of this form; nothing is said to it that the form does not show.
fn each_size(set: FileSet, ours: Program) {
    for size in SIZES {
        replaced(set, ours, size, true);
    }
    replaced(set, ours, SIZES[1], false);
}

fn replaced(set: FileSet, ours: Program, size: usize, was_used: bool) {
    let (own, other, old) = (Field::new(size), Field::new(size), Field::new(1003));
    let (here, there) = (own_address(), own_address());
    let dir = own.folder("shared");
    if was_used {
        set.put(&dir, &set.split(&old.file(), &old.content));
    } else if set == FileSet::Temp {
        // The programs of the other forms start in an empty folder.
        own.folder("shared/temp");
    }
    let path = own.written("elsewhere");
    let (mine, theirs) = (set.split(&own.file(), &own.content), set.split(&other.file(), &other.content));
    let dialect = set.dialect();
    let _holder = Field::holder_at(there, dialect, &theirs, Manner::default(), here);
    let reader = if set == FileSet::Temp { Reader::Files } else { Reader::Chunks };
    let ear = Listener::start(reader, &[SocketAddrV4::new(there, dialect.udp_ports()[0])]);
    let start = |kind: Program| {
        let (name, file) = match kind {
            Program::Announce => ("announce", path.clone()),
            Program::Discover => ("discover", path.clone()),
            Program::Upload => ("upload", path.clone()),
            Program::Download => ("download", other.file().into()),
        };
        if kind != ours {
            return Running::Theirs { _process: Process::start(set, kind, (here, there), &dir, &file) };
        }
        let there = there.to_string();
        let mut args = vec!["--peer", &there];
        if matches!(kind, Program::Announce | Program::Download) {
            args.push(file.to_str().unwrap());
        }
        Running::Ours(program(&own, here, name, &args, &dir))
    };
    let programs = [Program::Announce, Program::Discover, Program::Upload, Program::Download];
    let running = programs.map(start);
    let (life, deadline) = (Life::default(), Instant::now() + PATIENCE);
    let joined = set.joined(&dir, &other.file());
    while !fs::read(&joined).is_ok_and(|got| got == other.content) {
        assert!(Instant::now() < deadline, "{set:?} {ours:?} {size}: the file did not come to {joined:?}");
        life.pause(LOOK);
    }
    ear.wait_for(here, &names(&mine));
    ear.wait_for(here, &names(&theirs));
    let downloader = Downloader { names: set.names(), ..Downloader::new(dialect, there) };
    let at = SocketAddrV4::new(here, dialect.tcp_port());
    for field in [&own, &other] {
        let got = downloader.file(at, &field.file()).unwrap();
        assert!(got == field.content, "{set:?} {ours:?} {size}");
    }
    assert_eq!(ear.death(), None, "{set:?} {ours:?} {size}");
    for running in running {
        match running {
            Running::Ours(child) if ours == Program::Download => drop(child.end().expect(0)),
            Running::Ours(child) => drop(child.interrupt().expect(0)),
            Running::Theirs { .. } => {}
        }
    }
}

#[test]
fn the_announcer_beside_a_list() {
    each_size(FileSet::List, Program::Announce);
}

#[test]
fn the_discovery_beside_a_list() {
    each_size(FileSet::List, Program::Discover);
}

#[test]
fn the_uploader_beside_a_list() {
    each_size(FileSet::List, Program::Upload);
}

#[test]
fn the_downloader_beside_a_list() {
    each_size(FileSet::List, Program::Download);
}

#[test]
fn the_announcer_beside_temp() {
    each_size(FileSet::Temp, Program::Announce);
}

#[test]
fn the_discovery_beside_temp() {
    each_size(FileSet::Temp, Program::Discover);
}

#[test]
fn the_uploader_beside_temp() {
    each_size(FileSet::Temp, Program::Upload);
}

#[test]
fn the_downloader_beside_temp() {
    each_size(FileSet::Temp, Program::Download);
}

#[test]
fn the_announcer_beside_plain_chunks() {
    each_size(FileSet::Plain, Program::Announce);
}

#[test]
fn the_discovery_beside_plain_chunks() {
    each_size(FileSet::Plain, Program::Discover);
}

#[test]
fn the_uploader_beside_plain_chunks() {
    each_size(FileSet::Plain, Program::Upload);
}

#[test]
fn the_downloader_beside_plain_chunks() {
    each_size(FileSet::Plain, Program::Download);
}
