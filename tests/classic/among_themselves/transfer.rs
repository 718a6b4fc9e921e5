//! Each downloader against each uploader that it can work with.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::{FILE, SIZES, chunks, content};
use crate::reference::announcer::{Announcer, Wording};
use crate::reference::dialect::Dialect;
use crate::reference::downloader::{Downloader, Failed};
use crate::reference::listener::{Listener, Reader};
use crate::reference::loopback::own_address;
use crate::reference::manner::{Care, Ending, Manner, Sending};
use crate::reference::names::{self, NameForm};
use crate::reference::split;
use crate::reference::uploader::Uploader;

/// What the one `recv` of some of the field takes.
const ONCE_BYTES: [usize; 4] = [4096, 10_000, 262_144, 1 << 20];
/// The pause of an uploader that binds its port again.
const GAP: Duration = Duration::from_millis(60);

/// Careful uploaders of all kinds: they would die of a request for anything that is not there.
fn manners(dialect: Dialect, size: usize) -> Vec<Manner> {
    let sane = Manner { care: Care::Dies, ..Manner::default() };
    let pieces = Sending::Pieces { bytes: (size / 40).max(1), gap: Duration::from_millis(1) };
    let mut manners = vec![sane, Manner { sending: pieces, ..sane }];
    if dialect.is_raw() {
        manners.push(Manner { ending: Ending::Rebinds { gap: GAP }, ..sane });
    }
    manners
}

fn each_size(dialect: Dialect, kind: bool) {
    std::thread::scope(|scope| {
        for size in SIZES {
            for manner in manners(dialect, size) {
                let rebinds = matches!(manner.ending, Ending::Rebinds { .. });
                if rebinds && !kind {
                    continue;
                }
                scope.spawn(move || {
                    let downloader = Downloader { kind, ..Downloader::new(dialect, own_address()) };
                    let uploader = Uploader::anywhere(dialect, own_address(), &chunks(dialect, size), manner);
                    let got = downloader.file(uploader.at(), FILE).unwrap();
                    assert!(got == content(size), "{dialect:?}, {size} bytes, {manner:?}");
                    assert_eq!(uploader.death(), None);
                    assert!(uploader.asked().iter().all(|asked| asked.from == downloader.from));
                });
            }
        }
    });
}

#[test]
fn a() {
    each_size(Dialect::A, false);
    each_size(Dialect::A, true);
}

#[test]
fn a_with_size() {
    each_size(Dialect::ASize, true);
}

#[test]
fn b() {
    each_size(Dialect::B, false);
    each_size(Dialect::B, true);
}

#[test]
fn b_with_json() {
    each_size(Dialect::BJson, false);
    each_size(Dialect::BJson, true);
}

#[test]
fn c() {
    each_size(Dialect::C, false);
    each_size(Dialect::C, true);
}

#[test]
fn e() {
    each_size(Dialect::E, false);
    each_size(Dialect::E, true);
}

#[test]
fn d() {
    std::thread::scope(|scope| {
        for size in SIZES {
            for manner in manners(Dialect::D, size) {
                scope.spawn(move || {
                    let chunks = chunks(Dialect::D, size);
                    let uploader = Uploader::anywhere(Dialect::D, own_address(), &chunks, manner);
                    let names: Vec<String> = chunks.iter().map(|chunk| chunk.name.clone()).collect();
                    let downloader = Downloader::new(Dialect::D, own_address());
                    let got = downloader.on_one_connection(uploader.at(), &names).unwrap();
                    let got: Result<Vec<_>, _> = got.into_iter().collect();
                    assert!(got.unwrap().concat() == content(size), "{size} bytes, {manner:?}");
                    assert_eq!((uploader.connections(), uploader.death()), (1, None));
                });
            }
        }
    });
}

#[test]
fn one_recv_takes_a_chunk_that_was_written_at_once() {
    // Up to a segment of the loopback interface; what one recv returns of more is a matter of luck.
    for size in SIZES.into_iter().filter(|size| *size <= 60_001) {
        let endings = [Ending::Closes, Ending::ClosesAtTheNext];
        for (once_bytes, ending) in ONCE_BYTES.into_iter().zip(endings.into_iter().cycle()) {
            let chunks = chunks(Dialect::B, size);
            if once_bytes < chunks[0].bytes.len() {
                continue;
            }
            let manner = Manner { ending, ..Manner::default() };
            let uploader = Uploader::anywhere(Dialect::B, own_address(), &chunks, manner);
            let downloader =
                Downloader { once_bytes: Some(once_bytes), ..Downloader::new(Dialect::B, own_address()) };
            let got = downloader.file(uploader.at(), FILE).unwrap();
            assert!(got == content(size), "{size} bytes, {once_bytes} at once, {ending:?}");
        }
    }
}

#[test]
fn from_announcement_to_merged_file_with_the_fixed_ports() {
    // Two peers hold parts that overlap, under the second form of A's names.
    let (size, here) = (60_001, own_address());
    let mut chunks = chunks(Dialect::A, size);
    for (index, chunk) in (1..).zip(&mut chunks) {
        chunk.name = NameForm::AfterExtension.name(FILE, index);
    }
    let port = Dialect::A.tcp_port();
    let listener = Listener::start(Reader::Files, &[SocketAddrV4::new(here, Dialect::A.udp_ports()[0])]);
    let peers = [(own_address(), &chunks[..3]), (own_address(), &chunks[2..])].map(|(peer, part)| {
        let uploader = Uploader::start(Dialect::A, SocketAddrV4::new(peer, port), part, Manner::default());
        let every = Duration::from_secs(60);
        let announcer = Announcer::start(Wording::Username, part, peer, listener.at(), every);
        let part: Vec<&str> = part.iter().map(|chunk| chunk.name.as_str()).collect();
        listener.wait_for(peer, &part);
        (uploader, announcer)
    });
    let dictionary = listener.dictionary();
    let downloader =
        Downloader { names: NameForm::AfterExtension, ..Downloader::new(Dialect::A, own_address()) };
    let got = downloader
        .five(FILE, |name| dictionary[name].iter().map(|peer| SocketAddrV4::new(*peer, port)).collect());
    let asked: usize = peers.iter().map(|(uploader, _)| uploader.asked().len()).sum();
    assert_eq!(asked, 5);
    let folder = tempfile::tempdir().unwrap();
    let got: Vec<_> = (chunks.iter().zip(got))
        .map(|(chunk, bytes)| split::Chunk { name: chunk.name.clone(), bytes: bytes.unwrap() })
        .collect();
    split::write(folder.path(), &got);
    let mut names: Vec<String> = dictionary.keys().cloned().collect();
    assert!(names.iter().all(|name| names::read(name).is_some_and(|(file, _)| file == FILE)));
    assert!(split::merge(folder.path(), &names).unwrap() == content(size));
    names.push("forest.png_6".to_owned());
    assert_eq!(split::merge(folder.path(), &names), None);
}

#[test]
fn the_next_holder_is_asked_when_one_fails() {
    let chunks = chunks(Dialect::C, 1003);
    let broken = Manner { sending: Sending::StopsAt(0), ..Manner::default() };
    let broken = Uploader::anywhere(Dialect::C, own_address(), &chunks, broken);
    let uploader = Uploader::anywhere(Dialect::C, own_address(), &chunks, Manner::default());
    let downloader = Downloader::new(Dialect::C, own_address());
    let got = downloader.five(FILE, |_| vec![broken.at(), uploader.at()]);
    let got: Result<Vec<_>, Failed> = got.into_iter().collect();
    assert_eq!(got.unwrap().concat(), content(1003));
    assert_eq!((broken.asked().len(), uploader.asked().len()), (5, 5));
}
