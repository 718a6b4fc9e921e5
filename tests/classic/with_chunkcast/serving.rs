//! Peers of the field fetch what chunkcast announces and serves, straight from the shared file.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::SIZES;
use super::field::Field;
use crate::reference::dialect::Dialect;
use crate::reference::downloader::Downloader;
use crate::reference::listener::{Listener, Reader};
use crate::reference::loopback::own_address;

/// Every size, by a downloader that hears of it first.
fn each_size(dialect: Dialect, reader: Reader, kind: bool, setting: &[&str]) {
    std::thread::scope(|scope| {
        for size in SIZES {
            scope.spawn(move || {
                let (field, at, from) = (Field::new(size), own_address(), own_address());
                let port = dialect.udp_ports()[0];
                let ear = Listener::start(reader, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)]);
                let path = field.written("shared");
                let setting: Vec<String> =
                    setting.iter().map(|text| text.replace("FROM", &from.to_string())).collect();
                let args = ["share".as_ref(), "--classic".as_ref(), path.as_os_str()];
                let sharer = field.launch(at, &args).args(&setting).start();
                let names: Vec<String> =
                    (1..=5).map(|index| dialect.names().name(&field.file(), index)).collect();
                ear.wait_for(at, &names.iter().map(String::as_str).collect::<Vec<_>>());
                let downloader = Downloader { kind, ..Downloader::new(dialect, from) };
                let tcp = SocketAddrV4::new(at, dialect.tcp_port());
                let got = downloader.file(tcp, &field.file()).unwrap();
                assert!(got == field.content, "{dialect:?}, {size} bytes");
                drop(sharer.interrupt().expect(0));
                assert_eq!(ear.death(), None);
            });
        }
    });
}

#[test]
fn to_a() {
    each_size(Dialect::A, Reader::Files, false, &[]);
}

#[test]
fn to_a_with_size() {
    each_size(Dialect::ASize, Reader::Files, false, &[]);
}

#[test]
fn to_b() {
    each_size(Dialect::B, Reader::FirstValue, true, &[]);
}

#[test]
fn to_b_with_json() {
    each_size(Dialect::BJson, Reader::Chunks, false, &["--classic-dialect", "FROM=B-json"]);
}

#[test]
fn to_c() {
    each_size(Dialect::C, Reader::Eval, false, &[]);
}

#[test]
fn to_e() {
    each_size(Dialect::E, Reader::Files, false, &[]);
}

#[test]
fn to_d_on_one_connection() {
    for size in SIZES {
        let (field, at) = (Field::new(size), own_address());
        let mut sharer = field.share(at);
        sharer.wait_json("its readiness", |line| (line["t"] == "content").then_some(()));
        let names: Vec<String> = field.chunks(Dialect::D).into_iter().map(|chunk| chunk.name).collect();
        let downloader = Downloader::new(Dialect::D, own_address());
        let at = SocketAddrV4::new(at, Dialect::D.tcp_port());
        let got = downloader.on_one_connection(at, &names).unwrap();
        let got: Result<Vec<_>, _> = got.into_iter().collect();
        assert!(got.unwrap().concat() == field.content, "{size} bytes");
    }
}

#[test]
fn a_chunk_that_is_not_there_is_refused_as_each_dialect_does() {
    use crate::reference::downloader::Failed;
    let (field, at) = (Field::new(1003), own_address());
    let _sharer = field.share(at);
    std::thread::scope(|scope| {
        for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::BJson) {
            let field = &field;
            scope.spawn(move || {
                let downloader = Downloader::new(dialect, own_address());
                let tcp = SocketAddrV4::new(at, dialect.tcp_port());
                for name in [downloader.names.name(&field.file(), 6), downloader.names.name("other.png", 1)] {
                    let got = downloader.chunk(tcp, &name);
                    assert!(matches!(got, Err(Failed::Missing)), "{dialect:?} {name}: {got:?}");
                }
                assert!(downloader.chunk(tcp, &downloader.names.name(&field.file(), 1)).is_ok());
            });
        }
    });
}
