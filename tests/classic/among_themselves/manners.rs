//! Quirk by quirk: what goes wrong between peers that are not made for each other.

use std::sync::Arc;
use std::time::Duration;

use super::{FILE, chunks, content};
use crate::reference::dialect::Dialect;
use crate::reference::downloader::{Downloader, Failed};
use crate::reference::life::{Life, PATIENCE};
use crate::reference::link::Link;
use crate::reference::loopback::own_address;
use crate::reference::manner::{Care, Ending, Manner, Sending};
use crate::reference::uploader::Uploader;

/// The patience of a downloader that is going to be let down.
const SHORT: Duration = Duration::from_millis(200);
/// Chunks of 200 and 201 bytes.
const SIZE: usize = 1003;

fn uploader(dialect: Dialect, size: usize, manner: Manner) -> Uploader {
    Uploader::anywhere(dialect, own_address(), &chunks(dialect, size), manner)
}

fn downloader(dialect: Dialect) -> Downloader {
    Downloader { patience: SHORT, ..Downloader::new(dialect, own_address()) }
}

/// The first chunk of the file.
fn first(downloader: Downloader, uploader: &Uploader) -> Result<Vec<u8>, Failed> {
    downloader.chunk(uploader.at(), &downloader.names.name(FILE, 1))
}

#[track_caller]
fn assert_timed_out<T: std::fmt::Debug>(got: Result<T, Failed>) {
    let Err(Failed::Connection(error)) = &got else { panic!("{got:?}") };
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
}

#[test]
fn one_recv_loses_what_was_not_there_yet() {
    let once = Downloader { once_bytes: Some(1 << 20), ..downloader(Dialect::B) };
    let chunk = &chunks(Dialect::B, 60_001)[0].bytes;
    // The rest would come; but the reader is content with what it has.
    let stalling = Manner { sending: Sending::StallsAt(1000), ..Manner::default() };
    let got = first(once, &uploader(Dialect::B, 60_001, stalling)).unwrap();
    assert_eq!(got, chunk[..1000]);
    let pieces = Sending::Pieces { bytes: 1000, gap: Duration::from_millis(20) };
    let slow = Manner { sending: pieces, ..Manner::default() };
    let got = first(once, &uploader(Dialect::B, 60_001, slow)).unwrap();
    assert!(got.len() < chunk.len() && chunk.starts_with(&got));
    // And a recv that is too small loses the rest however it was sent.
    let small = Downloader { once_bytes: Some(10_000), ..once };
    let got = first(small, &uploader(Dialect::B, 60_001, Manner::default())).unwrap();
    assert_eq!(got, chunk[..10_000]);
}

#[test]
fn five_are_asked_for_though_there_are_three() {
    // A-size takes its time.
    std::thread::scope(|scope| {
        for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::D) {
            scope.spawn(move || five_of_three(dialect));
        }
    });
}

fn five_of_three(dialect: Dialect) {
    const BYTES: usize = 6;
    let shrugging = uploader(dialect, BYTES, Manner::default());
    let patient = Downloader::new(dialect, own_address());
    let got = patient.five(FILE, |_| vec![shrugging.at()]);
    let came = got.each_ref().map(|chunk| match chunk {
        Ok(_) => true,
        Err(Failed::Missing) => false,
        Err(other) => panic!("{dialect:?}: {other}"),
    });
    assert_eq!(came, [true, true, true, false, false], "{dialect:?}");
    assert_eq!((shrugging.asked().len(), shrugging.death()), (5, None));
    let dying = uploader(dialect, BYTES, Manner { care: Care::Dies, ..Manner::default() });
    patient.chunk(dying.at(), &patient.names.name(FILE, 4)).unwrap_err();
    assert!(dying.wait_death().contains("FileNotFoundError"), "{dialect:?}");
}

#[test]
fn a_missing_chunk_of_d_leaves_the_connection_open() {
    let names = ["other_1.png", "forest_1.png"].map(str::to_owned);
    let uploader = uploader(Dialect::D, SIZE, Manner::default());
    let got = Downloader::new(Dialect::D, own_address()).on_one_connection(uploader.at(), &names).unwrap();
    assert!(matches!(&got[0], Err(Failed::Missing)), "{got:?}");
    assert_eq!(*got[1].as_ref().unwrap(), content(SIZE));
}

#[test]
fn what_else_kills_an_uploader() {
    let dies = Manner { care: Care::Dies, ..Manner::default() };
    for dialect in Dialect::ALL {
        let request = dialect.request("forest_1");
        // No request, half of one, two at once, and one of no dialect.
        for bytes in [&b""[..], &request[..9], &request.repeat(2), br#"{"what": "forest_1"}"#] {
            let uploader = uploader(dialect, SIZE, dies);
            let life = Arc::new(Life::default());
            let mut link = Link::connect(own_address(), uploader.at(), life, PATIENCE).unwrap();
            link.send(bytes).unwrap();
            link.close_writing_half().unwrap();
            uploader.wait_death();
        }
    }
}

#[test]
fn some_close_only_when_the_next_one_comes() {
    let manner = Manner { ending: Ending::ClosesAtTheNext, ..Manner::default() };
    let uploader = uploader(Dialect::C, SIZE, manner);
    // Who reads to the end waits for it in vain.
    assert_timed_out(first(downloader(Dialect::C), &uploader));
    // The end comes with the next connection, so another one sets it free.
    let patient = Downloader::new(Dialect::C, own_address());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| first(patient, &uploader));
        uploader.wait_asked(2);
        let once = Downloader { once_bytes: Some(4096), ..patient };
        assert_eq!(first(once, &uploader).unwrap(), content(SIZE)[..201]);
        assert_eq!(waiting.join().unwrap().unwrap(), content(SIZE)[..201]);
    });
}

#[test]
fn who_binds_again_is_only_for_the_kind() {
    let rebinding = |gap: Duration| {
        uploader(Dialect::A, SIZE, Manner { ending: Ending::Rebinds { gap }, ..Manner::default() })
    };
    let kind = Downloader { kind: true, ..Downloader::new(Dialect::A, own_address()) };
    assert_eq!(kind.file(rebinding(SHORT).at(), FILE).unwrap(), content(SIZE));
    // Else each waits for the other to end.
    assert_timed_out(first(downloader(Dialect::A), &rebinding(SHORT)));
    // And who does not try again finds nobody listening in the gap.
    let absent = rebinding(PATIENCE);
    first(kind, &absent).unwrap();
    assert!(matches!(first(downloader(Dialect::A), &absent), Err(Failed::Connection(_))));
}

#[test]
fn who_binds_again_without_sharing_its_port_dies_of_a_client_that_returns_at_once() {
    let pause = Duration::from_millis(50);
    let dying = || {
        uploader(Dialect::A, SIZE, Manner { ending: Ending::RebindsOrDies { pause }, ..Manner::default() })
    };
    let kind = Downloader { kind: true, ..Downloader::new(Dialect::A, own_address()) };
    let hurried = dying();
    kind.file(hurried.at(), FILE).unwrap_err();
    assert!(hurried.wait_death().contains("already in use"));
    let patient = dying();
    for index in 1..=5 {
        kind.chunk(patient.at(), &kind.names.name(FILE, index)).unwrap();
        Life::default().pause(10 * pause);
    }
    assert_eq!(patient.death(), None);
}

#[test]
fn the_hurried_are_not_understood() {
    let manner = Manner { hurries: true, ..Manner::default() };
    for dialect in [Dialect::ASize, Dialect::BJson] {
        let got = first(downloader(dialect), &uploader(dialect, SIZE, manner));
        assert!(matches!(got, Err(Failed::Garbled(_))), "{got:?}");
    }
    // What came with the newline was dropped, and is waited for.
    assert_timed_out(first(downloader(Dialect::D), &uploader(Dialect::D, SIZE, manner)));
}

#[test]
fn a_lie_about_the_size_is_seen() {
    for lie_bytes in [-1, 1] {
        let manner = Manner { lie_bytes, ..Manner::default() };
        let got =
            first(Downloader::new(Dialect::ASize, own_address()), &uploader(Dialect::ASize, SIZE, manner));
        assert!(matches!(got, Err(Failed::Garbled(_))), "{got:?}");
    }
    // Who reads as many bytes as were told sees only that there are too few.
    let more = Manner { lie_bytes: 1, ..Manner::default() };
    let got = first(downloader(Dialect::BJson), &uploader(Dialect::BJson, SIZE, more));
    assert!(matches!(got, Err(Failed::Garbled(_))), "{got:?}");
    assert_timed_out(first(downloader(Dialect::D), &uploader(Dialect::D, SIZE, more)));
}

#[test]
fn an_end_in_the_middle_is_a_short_chunk_to_the_raw_dialects() {
    let manner = Manner { sending: Sending::StopsAt(30), ..Manner::default() };
    for dialect in Dialect::ALL {
        let got = first(Downloader::new(dialect, own_address()), &uploader(dialect, SIZE, manner));
        match got {
            Ok(got) if dialect.is_raw() => assert_eq!(got, content(SIZE)[..30], "{dialect:?}"),
            Err(Failed::Garbled(_)) if !dialect.is_raw() => {}
            got => panic!("{dialect:?}: {got:?}"),
        }
    }
}

#[test]
fn a_stalled_answer_does_not_end_though_the_request_did() {
    let manner = Manner { sending: Sending::StallsAt(30), ..Manner::default() };
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::ASize) {
        let kind = Downloader { kind: true, ..downloader(dialect) };
        assert_timed_out(first(kind, &uploader(dialect, SIZE, manner)));
    }
}

#[test]
fn an_endless_answer_ends_where_the_reader_has_enough() {
    let manner = Manner { sending: Sending::Endless, ..Manner::default() };
    for dialect in [Dialect::BJson, Dialect::D] {
        let uploader = uploader(dialect, SIZE, manner);
        let got = first(Downloader::new(dialect, own_address()), &uploader).unwrap();
        assert!(content(SIZE).starts_with(&got), "{dialect:?}");
    }
    let uploader = uploader(Dialect::A, SIZE, manner);
    let once = Downloader { once_bytes: Some(4096), ..downloader(Dialect::A) };
    assert!(first(once, &uploader).unwrap().starts_with(&content(SIZE)[..201]));
}
