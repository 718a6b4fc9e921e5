//! chunkcast fetches what peers of the field announce and serve.

use std::time::Duration;

use super::SIZES;
use super::field::Field;
use crate::reference::dialect::Dialect;
use crate::reference::loopback::own_address;
use crate::reference::manner::{Care, Ending, Manner, Sending};

/// Every size from one peer of this manner, at once.
fn each_size(dialect: Dialect, manner: Manner) {
    std::thread::scope(|scope| {
        for size in SIZES {
            scope.spawn(move || {
                let (field, at) = (Field::new(size), own_address());
                let holder = Field::holder(dialect, &field.chunks(dialect), manner, at);
                let got = field.folder("got");
                let ended = field.get(at, &got).run().expect(0);
                field.assert_got(&got);
                let done = ended.of_type("done");
                assert_eq!(done.len(), 1, "{dialect:?}, {size} bytes");
                assert_eq!((&done[0]["verified"], &done[0]["classic"]), (&false.into(), &true.into()));
                assert_eq!(holder.uploader.death(), None, "{dialect:?}, {size} bytes");
                let asked = holder.uploader.asked();
                assert!(asked.iter().all(|asked| asked.from == at), "{asked:?}");
                let mut names: Vec<_> = asked.into_iter().map(|asked| asked.chunk).collect();
                names.sort();
                let mut all: Vec<_> = field.chunks(dialect).into_iter().map(|chunk| chunk.name).collect();
                all.sort();
                assert_eq!(names, all, "each chunk is asked for once, and nothing else");
            });
        }
    });
}

/// A peer that dies of the first request that it does not expect.
const FRAIL: Manner = Manner {
    care: Care::Dies,
    ending: Ending::Closes,
    sending: Sending::Whole,
    lie_bytes: 0,
    hurries: false,
};

#[test]
fn from_a() {
    each_size(Dialect::A, FRAIL);
}

#[test]
fn from_a_with_size() {
    each_size(Dialect::ASize, FRAIL);
}

#[test]
fn from_b() {
    each_size(Dialect::B, FRAIL);
}

#[test]
fn from_b_with_json() {
    each_size(Dialect::BJson, FRAIL);
    // Some send the list and the bytes in one write, which their own readers do not always survive.
    each_size(Dialect::BJson, Manner { hurries: true, ..FRAIL });
}

#[test]
fn from_c() {
    each_size(Dialect::C, FRAIL);
}

#[test]
fn from_d() {
    each_size(Dialect::D, FRAIL);
}

#[test]
fn from_e() {
    each_size(Dialect::E, FRAIL);
}

#[test]
fn from_one_that_closes_only_at_the_next_connection() {
    let ending = Ending::ClosesAtTheNext;
    each_size(Dialect::C, Manner { ending, ..FRAIL });
}

#[test]
fn from_one_that_has_no_listener_for_a_moment_after_each_chunk() {
    let ending = Ending::Rebinds { gap: Duration::from_millis(60) };
    let (field, at) = (Field::new(60_001), own_address());
    let manner = Manner { ending, ..Manner::default() };
    let holder = Field::holder(Dialect::B, &field.chunks(Dialect::B), manner, at);
    let got = field.folder("got");
    field.get(at, &got).run().expect(0);
    field.assert_got(&got);
    assert_eq!(holder.uploader.death(), None);
}

#[test]
fn from_one_that_sends_in_small_pieces() {
    let sending = Sending::Pieces { bytes: 500, gap: Duration::from_millis(2) };
    let (field, at) = (Field::new(60_001), own_address());
    let manner = Manner { sending, ..FRAIL };
    let _holder = Field::holder(Dialect::A, &field.chunks(Dialect::A), manner, at);
    let got = field.folder("got");
    field.get(at, &got).run().expect(0);
    field.assert_got(&got);
}

#[test]
fn what_has_the_name_is_treated_as_on_conflict_says() {
    let dialect = Dialect::B;
    std::thread::scope(|scope| {
        for (on_conflict, there, code, named, asked) in [
            ("rename", "mine", 0, Some(" (2).png"), 5),
            ("overwrite", "mine", 0, Some(".png"), 5),
            ("skip", "mine", 0, None, 0),
            ("error", "mine", 8, None, 5),
            ("error", "same", 0, Some(".png"), 5),
        ] {
            scope.spawn(move || {
                let (field, at, got) = (Field::new(1003), own_address(), own_address());
                let holder = Field::holder(dialect, &field.chunks(dialect), Manner::default(), at);
                let got = field.folder(&format!("got-{got}"));
                let is_same = there == "same";
                let before = if is_same { field.content.clone() } else { there.as_bytes().to_vec() };
                std::fs::write(got.join(field.file()), &before).unwrap();
                let told = got.join("told");
                let hook = format!("echo \"$CHUNKCAST_ERROR_PATH\" > {}", told.display());
                let ended = field
                    .get(at, &got)
                    .args(&["--on-conflict", on_conflict, "--on-error", &hook])
                    .run()
                    .expect(code);
                let path = |ending: &str| got.join(format!("{}{ending}", field.stem));
                match named {
                    Some(ending) => assert!(std::fs::read(path(ending)).unwrap() == field.content),
                    None => assert_eq!(std::fs::read(path(".png")).unwrap(), before, "{on_conflict}"),
                }
                assert_eq!(holder.uploader.asked().len(), asked, "{on_conflict}");
                let skipped = ended.of_type("done").iter().filter(|done| done["skipped"] == true).count();
                assert_eq!(skipped, usize::from(on_conflict == "skip"), "{}", ended.text());
                // What came for a file that is not there is kept; else nothing is left behind.
                assert_eq!(got.join(".chunkcast-classic").exists(), code != 0, "{on_conflict}");
                let told = std::fs::read_to_string(told).unwrap_or_default();
                let failed = if code == 0 { String::new() } else { format!("{}\n", path(".png").display()) };
                assert_eq!(told, failed, "{on_conflict}");
            });
        }
    });
}
