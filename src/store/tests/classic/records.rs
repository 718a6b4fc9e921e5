//! The files that other programs read and write at the same time.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::*;
use crate::store::UnlistedChunks;
use crate::store::classic::note_available;
use crate::wire::classic::ChunkRule;
use crate::wire::classic::records::{
    Dictionary, Tag, Tags, decode_available, decode_dictionary, encode_dictionary,
};

const DICTIONARY: &str = "The_Content_Dictionary.txt";

fn dictionary(entries: &[(&str, &[&str])]) -> Dictionary {
    let holders = |ips: &[&str]| ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
    entries.iter().map(|(chunk, ips)| (name(chunk), holders(ips))).collect()
}

impl Session {
    fn read_dictionary(&mut self) -> Dictionary {
        match self.job(ClassicJob::ReadDictionary).remove(0) {
            ClassicReply::DictionaryRead { dictionary } => dictionary,
            other => panic!("{other:?}"),
        }
    }

    fn write_dictionary(&mut self, dictionary: &Dictionary) {
        let job =
            ClassicJob::WriteDictionary { tags: tags(dictionary, "alice"), newest: "10.0.0.2".parse().ok() };
        assert!(self.job(job).is_empty());
    }
}

fn tags(dictionary: &Dictionary, user: &str) -> Tags {
    let tag = |ip: &IpAddr| Tag { username: user.to_owned(), ip: *ip };
    dictionary.iter().map(|(name, ips)| (name.clone(), ips.iter().map(tag).collect())).collect()
}

#[test]
fn what_is_recorded_and_there_is_kept_in_the_order_of_the_record() {
    let place = Place::new();
    place.put_chunk("b_1", b"b");
    place.put_chunk("a_1", b"aa");
    place.put_chunk("unrecorded_1", b"u");
    note_available(&place.records(), &names(&["b_1", "gone_1", "a_1"])).unwrap();
    let mut session = place.open_as(place.recorded(), None);
    assert_eq!(kept(classic(replies(session.run()))), pairs(&[("b_1", 1), ("a_1", 2)]));
    assert_eq!(session.open_chunk(CONN, "unrecorded_1"), None);
    // Another process adds to it.
    note_available(&place.records(), &names(&["unrecorded_1"])).unwrap();
    assert_eq!(session.open_chunk(CONN, "unrecorded_1"), Some(1));
    session.keep(0, "c_1", b"ccc");
    session.job(ClassicJob::NoteAvailable { chunks: names(&["from_whole_1", "a_1"]) });
    let text = fs::read_to_string(place.path("Available_Chunks.txt")).unwrap();
    assert_eq!(text, r#"{"chunks": ["b_1", "gone_1", "a_1", "unrecorded_1", "c_1", "from_whole_1"]}"#);
    assert_eq!(session.list(), pairs(&[("b_1", 1), ("a_1", 2), ("unrecorded_1", 1), ("c_1", 3)]));
}

#[test]
fn a_chunk_file_without_a_list_counts_once_it_cannot_be_half_written() {
    let place = Place::new();
    let mut config = place.recorded();
    let records = config.classic.as_mut().unwrap().records.as_mut().unwrap();
    records.available = None;
    records.unlisted =
        Some(UnlistedChunks { rule: ChunkRule::Fifths, takes_inner: false, has_own_folder: false });
    let quiet = |name: &str| {
        let file = fs::File::options().write(true).open(place.in_chunks(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3)).unwrap();
    };
    for name in ["f_1", "photo_1.png", "year_2020"] {
        place.put_chunk(name, &[0; 100]);
    }
    let mut session = place.open_as(config, None);
    assert_eq!(kept(classic(replies(session.run()))), pairs(&[]));
    assert_eq!(session.open_chunk(CONN, "f_1"), None);
    ["f_1", "photo_1.png", "year_2020"].into_iter().for_each(quiet);
    assert_eq!(session.list(), pairs(&[("f_1", 100)]));
    // All five, and they fit together: nothing is missing, however new they are.
    for name in ["f_2", "f_3", "f_4", "f_5"] {
        place.put_chunk(name, &[0; 100]);
    }
    assert_eq!(session.open_chunk(CONN, "f_5"), Some(100));
    assert_eq!(session.list().len(), 5);
    place.put_chunk("f_3", &[0; 99]);
    assert_eq!(session.list(), pairs(&[("f_1", 100)]));
    // What this process has put there is whole.
    session.keep(0, "g_2", b"g");
    assert_eq!(session.list(), pairs(&[("f_1", 100), ("g_2", 1)]));
    assert!(!place.path("Available_Chunks.txt").exists());
}

/// The file was last written so many seconds ago.
fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn counting_unlisted(place: &Place) -> StoreConfig {
    let mut config = place.recorded();
    config.classic.as_mut().unwrap().records.as_mut().unwrap().unlisted =
        Some(UnlistedChunks { rule: ChunkRule::Fifths, takes_inner: false, has_own_folder: false });
    config
}

#[test]
fn a_whole_file_that_the_list_lacks_is_offered_after_a_restart() {
    let place = Place::new();
    note_available(&place.records(), &names(&["a_1", "b_1"])).unwrap();
    for name in ["a_1", "a_2", "b_1", "notes_1", "c_2"] {
        place.put_chunk(name, b"x");
    }
    let five = place.put_five("forest", &[7; 13]);
    let mut session = place.open_as(counting_unlisted(&place), None);
    session.run();
    session.list();
    let listed = decode_available(&fs::read(place.path("Available_Chunks.txt")).unwrap()).unwrap();
    assert_eq!(listed, [names(&["a_1", "b_1"]), five].concat());
    assert_eq!(session.open_chunk(CONN, "forest_5"), Some(1));
    for left_out in ["a_2", "notes_1", "c_2"] {
        assert_eq!(session.open_chunk(CONN, left_out), None, "{left_out}");
    }
}

#[test]
fn a_chunk_that_somebody_writes_in_place_is_not_opened() {
    let place = Place::new();
    let five = place.put_five("forest", &[7; 1000]);
    note_available(&place.records(), &five).unwrap();
    let old = |name: &ChunkName| age(&place.in_chunks(&name.to_string()), 60);
    five.iter().for_each(old);
    let list = place.path("Available_Chunks.txt");
    age(&list, 30);
    let mut session = place.open_as(counting_unlisted(&place), None);
    session.run();
    assert_eq!(session.open_chunk(CONN, "forest_2"), Some(200));
    fs::write(place.in_chunks("forest_2"), [7; 70]).unwrap();
    assert_eq!(session.open_chunk(CONN, "forest_2"), None);
    assert_eq!(session.open_chunk(CONN, "forest_3"), Some(200));
    // It fits again, or nobody wrote to it for a while, or the list was written later.
    fs::write(place.in_chunks("forest_2"), [7; 200]).unwrap();
    assert_eq!(session.open_chunk(CONN, "forest_2"), Some(200));
    fs::write(place.in_chunks("forest_2"), [7; 70]).unwrap();
    assert_eq!(session.open_chunk(CONN, "forest_2"), None);
    age(&place.in_chunks("forest_2"), 3);
    assert_eq!(session.open_chunk(CONN, "forest_2"), Some(70));
    age(&place.in_chunks("forest_2"), 1);
    assert_eq!(session.open_chunk(CONN, "forest_2"), None);
    age(&list, 0);
    assert_eq!(session.open_chunk(CONN, "forest_2"), Some(70));
    // What this process has put there is whole.
    session.keep(0, "g_2", b"g");
    age(&list, 30);
    assert_eq!(session.open_chunk(CONN, "g_2"), Some(1));
}

#[test]
fn two_processes_add_and_nobody_sees_half_of_it() {
    let place = Place::new();
    let done = AtomicBool::new(false);
    let path = place.path("Available_Chunks.txt");
    note_available(&place.records(), &[]).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) {
                if let Ok(text) = fs::read(&path) {
                    let names = decode_available(&text).unwrap();
                    assert!(!text.is_empty() && names.len() >= seen, "torn or lost");
                    seen = names.len();
                }
            }
        });
        let writers: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|stem| {
                let place = &place;
                scope.spawn(move || {
                    let mut session = place.open_as(place.recorded(), None);
                    session.run();
                    for index in 1..=100 {
                        session.keep(0, &format!("{stem}_{index}"), b"bytes");
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
    assert_eq!(decode_available(&fs::read(&path).unwrap()).unwrap().len(), 200);
    assert_eq!(listing(place.root.path()), ["Available_Chunks.txt", "chunks", "state", "target"]);
}

#[test]
fn what_says_so_already_is_not_written_again() {
    let place = Place::new();
    let inode = |name: &str| fs::metadata(place.path(name)).unwrap().ino();
    let mut session = place.open_as(place.recorded(), None);
    session.run();
    session.keep(0, "a_1", b"a");
    let known = dictionary(&[("a_1", &["10.0.0.1", "10.0.0.2"])]);
    session.write_dictionary(&known);
    let before = (inode("Available_Chunks.txt"), inode(DICTIONARY));
    session.keep(0, "a_1", b"a");
    session.write_dictionary(&known);
    assert_eq!((inode("Available_Chunks.txt"), inode(DICTIONARY)), before);
    // Another program says the same in its own way.
    fs::write(place.path("Available_Chunks.txt"), "{\"chunks\":[\"a_1\"]}\n").unwrap();
    session.job(ClassicJob::NoteAvailable { chunks: names(&["a_1"]) });
    assert_eq!(fs::read(place.path("Available_Chunks.txt")).unwrap(), b"{\"chunks\":[\"a_1\"]}\n");
    session.write_dictionary(&dictionary(&[]));
    assert_eq!(fs::read_to_string(place.path(DICTIONARY)).unwrap(), "{}");
}

#[test]
fn a_record_that_is_none_is_put_aside_and_nothing_is_lost() {
    let too_long = vec![b' '; (4 << 20) + 1];
    for garbage in [&b"{\"chunks\": [\"a_1\""[..], b"\xff\xfe", b"{\"a\": 1}", &too_long] {
        let place = Place::new();
        place.put_chunk("a_1", b"a");
        fs::write(place.path("Available_Chunks.txt"), garbage).unwrap();
        let mut session = place.open_as(place.recorded(), None);
        assert_eq!(kept(classic(replies(session.run()))), pairs(&[]));
        session.keep(0, "b_1", b"b");
        assert!(fs::read(place.path("Available_Chunks.txt.bad-1")).unwrap() == garbage);
        assert_eq!(session.list(), pairs(&[("b_1", 1)]));
        // What was known of a good one outlives a bad one.
        fs::write(place.path("Available_Chunks.txt"), garbage).unwrap();
        assert_eq!(session.list(), pairs(&[("b_1", 1)]));
        session.keep(0, "c_1", b"c");
        let text = fs::read_to_string(place.path("Available_Chunks.txt")).unwrap();
        assert_eq!(text, r#"{"chunks": ["b_1", "c_1"]}"#);
    }
}

#[test]
fn a_record_that_is_a_link_is_replaced_and_not_written_through() {
    let place = Place::new();
    fs::write(place.path("theirs"), "{\"chunks\": []}").unwrap();
    for file in ["Available_Chunks.txt", DICTIONARY] {
        std::os::unix::fs::symlink("theirs", place.path(file)).unwrap();
    }
    let mut session = place.open_as(place.recorded(), None);
    session.run();
    session.keep(0, "b_1", b"b");
    session.write_dictionary(&dictionary(&[("b_1", &["10.0.0.1"])]));
    assert_eq!(fs::read_to_string(place.path("theirs")).unwrap(), "{\"chunks\": []}");
    assert_eq!(session.list(), pairs(&[("b_1", 1)]));
    assert_eq!(session.read_dictionary().len(), 1);
}

#[test]
fn a_dictionary_that_is_being_written_keeps_its_last_sense() {
    let place = Place::new();
    let mut session = place.open_as(place.recorded(), None);
    session.run();
    assert_eq!(session.read_dictionary(), Dictionary::new());
    let known = dictionary(&[("a_1", &["10.0.0.1"])]);
    fs::write(place.path(DICTIONARY), encode_dictionary(&known)).unwrap();
    assert_eq!(session.read_dictionary(), known);
    for half in [&b""[..], b"{\"a_1\": [\"10.0", b"[]", b"\0\0\0"] {
        fs::write(place.path(DICTIONARY), half).unwrap();
        assert_eq!(session.read_dictionary(), known, "{half:?}");
    }
    let more = dictionary(&[("a_1", &["10.0.0.1", "10.0.0.3"]), ("b.png_1", &["10.0.0.2"])]);
    fs::write(place.path(DICTIONARY), encode_dictionary(&more)).unwrap();
    assert_eq!(session.read_dictionary(), more);
    // One that stays empty is empty.
    fs::write(place.path(DICTIONARY), b"").unwrap();
    assert_eq!(session.read_dictionary(), more);
    assert_eq!(session.read_dictionary(), Dictionary::new());
    fs::write(place.path(DICTIONARY), encode_dictionary(&more)).unwrap();
    assert_eq!(session.read_dictionary(), more);
    fs::remove_file(place.path(DICTIONARY)).unwrap();
    assert_eq!(session.read_dictionary(), Dictionary::new());
}

#[test]
fn a_dictionary_is_never_seen_half_written() {
    let place = Place::new();
    let done = AtomicBool::new(false);
    let mut session = place.open_as(place.recorded(), None);
    session.run();
    session.write_dictionary(&dictionary(&[("a_1", &["10.0.0.1"])]));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let text = fs::read(place.path(DICTIONARY)).unwrap();
                assert_eq!(decode_dictionary(&text).unwrap().len(), 1);
            }
        });
        for round in 0..200 {
            let ip = format!("10.0.0.{round}");
            session.write_dictionary(&dictionary(&[("a_1", &[ip.as_str()])]));
        }
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
}

#[test]
fn a_dictionary_is_written_in_the_shape_that_it_has() {
    let known = dictionary(&[("a_1", &["10.0.0.1", "10.0.0.2"]), ("b_1", &["10.0.0.1"])]);
    for (there, written, read) in [
        ("", r#"{"a_1": ["10.0.0.1", "10.0.0.2"], "b_1": ["10.0.0.1"]}"#, known.clone()),
        (
            r#"{"ip_address": "10.0.0.9", "chunks": ["c_1"]}"#,
            r#"{"ip_address": "10.0.0.2", "chunks": ["a_1"]}"#,
            dictionary(&[("a_1", &["10.0.0.2"])]),
        ),
        (
            r#"{"c_1": [{"username": "bob", "ip": "10.0.0.9"}]}"#,
            r#"{"a_1": [{"username": "alice", "ip": "10.0.0.1"}, {"username": "alice", "ip": "10.0.0.2"}], "b_1": [{"username": "alice", "ip": "10.0.0.1"}]}"#,
            known.clone(),
        ),
    ] {
        let place = Place::new();
        fs::write(place.path(DICTIONARY), there).unwrap();
        let mut session = place.open_as(place.recorded(), None);
        session.run();
        session.write_dictionary(&known);
        assert_eq!(fs::read_to_string(place.path(DICTIONARY)).unwrap(), written);
        assert_eq!(session.read_dictionary(), read);
        // Half of it does not change the shape.
        fs::write(place.path(DICTIONARY), &there[..there.len() / 2]).unwrap();
        session.write_dictionary(&known);
        assert_eq!(fs::read_to_string(place.path(DICTIONARY)).unwrap(), written);
    }
}

#[test]
fn tags_have_user_names() {
    let place = Place::new();
    let mut config = place.recorded();
    if let Some(records) = config.classic.as_mut().and_then(|classic| classic.records.as_mut()) {
        records.shape = DictionaryShape::Users;
        records.dictionary = place.path("tags.txt");
    }
    let mut session = place.open_as(config, None);
    session.run();
    let known = dictionary(&[("forest.png_1", &["25.0.0.2"])]);
    session.write_dictionary(&known);
    let text = fs::read_to_string(place.path("tags.txt")).unwrap();
    assert_eq!(text, r#"{"forest.png_1": [{"username": "alice", "ip": "25.0.0.2"}]}"#);
    assert_eq!(session.read_dictionary(), known);
}

#[test]
fn who_holds_the_lock_is_waited_for_without_standing_still() {
    let place = Place::new();
    let mut session = place.open_as(place.recorded(), None);
    session.run();
    let folder = Fs::default().open_folder(place.root.path()).unwrap();
    assert!(Fs::default().try_lock(&folder).unwrap());
    session.store.write_spool(SpoolId(0), b"bytes");
    let keep = ClassicJob::KeepSpool { spool: SpoolId(0), name: name("a_1"), skip: 0 };
    session.store.submit(StoreJob::Classic(keep), &mut session.buffers);
    (0..5).for_each(|_| session.store.step());
    assert!(session.store.has_work() && !place.path("Available_Chunks.txt").exists());
    Fs::default().unlock(&folder).unwrap();
    session.run();
    assert!(place.path("Available_Chunks.txt").exists());
}
