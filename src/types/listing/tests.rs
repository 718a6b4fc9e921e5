use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn entry(path: &str, kind: EntryKind) -> ListingEntry {
    ListingEntry { path: path.to_owned(), kind }
}

fn file(path: &str) -> ListingEntry {
    sized(path, 5)
}

fn sized(path: &str, size: u64) -> ListingEntry {
    entry(path, EntryKind::File { id: ContentId([7; 32]), size, executable: false })
}

fn link(path: &str, target: &str) -> ListingEntry {
    entry(path, EntryKind::Link { target: target.to_owned() })
}

fn why(entries: Vec<ListingEntry>) -> Option<EntryFault> {
    match Listing::new(entries) {
        Err(ListingError::Entry { why, .. }) => Some(why),
        _ => None,
    }
}

/// The example of `docs/protocol.md`.
#[test]
fn the_bytes_are_those_of_the_specification() {
    let script = EntryKind::File { id: ContentId([0xab; 32]), size: 258, executable: true };
    let entries = vec![
        link("bin/latest", "run.sh"),
        entry("bin/run.sh", script),
        entry("empty", EntryKind::EmptyFolder),
    ];
    let mut bytes = b"chunkcast folder 1\n".to_vec();
    bytes.extend_from_slice(b"\x03\x00\x00\x00\x0abin/latest\x00\x06run.sh");
    bytes.extend_from_slice(b"\x01\x00\x04\x00\x06run.sh\x00\x00\x00\x00\x00\x00\x01\x02");
    bytes.extend_from_slice(&[0xab; 32]);
    bytes.extend_from_slice(b"\x02\x00\x00\x00\x05empty");
    let listing = Listing::new(entries.clone()).unwrap();
    assert_eq!(listing.encode(), bytes);
    assert_eq!(Listing::decode(&bytes), Ok(listing.clone()));
    assert_eq!(listing.id(), ContentId(*blake3::hash(&bytes).as_bytes()));
    assert_eq!(listing.id().short(), "780d7764");
    assert_eq!(listing.files(), (1, 258));
    assert_eq!(listing.get("empty"), Some(&entries[2]));
    assert_eq!(listing.get("bin"), None);
    assert_eq!(Listing::default().encode(), b"chunkcast folder 1\n");
}

#[test]
fn no_path_leads_out_comes_twice_or_lies_below_something_that_is_no_folder() {
    use EntryFault::{BelowAnEntry, Dots, EmptyComponent, TooDeep, TooLong, Twice, Zero};
    for (path, fault) in [
        ("", EmptyComponent),
        ("/etc/passwd", EmptyComponent),
        ("a//b", EmptyComponent),
        ("a/", EmptyComponent),
        ("..", Dots),
        ("a/../../b", Dots),
        ("a/./b", Dots),
        ("a\0b", Zero),
    ] {
        assert_eq!(why(vec![file(path)]), Some(fault), "{path:?}");
    }
    assert_eq!(why(vec![file(&"a".repeat(256))]), Some(TooLong));
    assert_eq!(why(vec![file(&vec!["abc"; 257].join("/"))]), Some(TooLong));
    assert_eq!(why(vec![file(&vec!["a"; 65].join("/"))]), Some(TooDeep));
    assert!(Listing::new(vec![file(&vec!["a"; 64].join("/")), file(&"b".repeat(255))]).is_ok());
    assert_eq!(why(vec![file("a"), file("a")]), Some(Twice));
    // Other names stand between a name and what lies below it.
    let below = |upper| why(vec![upper, file("a+b"), file("a-b/c"), file("a/b/c")]);
    assert_eq!(below(file("a")), Some(BelowAnEntry));
    assert_eq!(below(link("a/b", "x")), Some(BelowAnEntry));
    assert_eq!(below(entry("a", EntryKind::EmptyFolder)), Some(BelowAnEntry));
    assert_eq!(why(vec![file("a/b/c"), file("a/b/d"), file("a/b/d/e/f"), file("a/b")]), Some(BelowAnEntry));
    // Names that only look alike are others.
    assert!(
        Listing::new(vec![file("a"), file("A"), file("..."), file(".hidden"), file("-rf"), file("a\nb")])
            .is_ok()
    );
}

#[test]
fn a_link_stays_in_the_folder_whatever_other_links_do() {
    for (path, target) in [
        ("a", "b"),
        ("a", "."),
        ("snapshots/1/model.bin", "../../blobs/3f9a"),
        ("x/y", "./../z/"),
        ("x/y", ".."),
        ("a", "..."),
        ("a", "nowhere//at/all"),
    ] {
        assert!(link_stays_inside(path, target), "{path} -> {target}");
    }
    for (path, target) in [
        ("a", ""),
        ("a", "/etc/shadow"),
        ("a", ".."),
        ("a", "./.."),
        ("x/y", "../../z"),
        // Through a link to the folder itself, this would be above it.
        ("x/y", "../a/b/../z"),
        ("a", "b\0c"),
    ] {
        assert!(!link_stays_inside(path, target), "{path} -> {target}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    assert_eq!(Listing::new(vec![sized("a", u64::MAX), sized("b", 1)]).unwrap_err(), ListingError::Sizes);
    let many = (0..=ENTRIES_MAX).map(|number| entry(&number.to_string(), EntryKind::EmptyFolder)).collect();
    assert_eq!(Listing::new(many).unwrap_err(), ListingError::Entries);
    let stem = "x".repeat(200);
    let long = (0..300_000).map(|number| entry(&format!("{number}{stem}"), EntryKind::EmptyFolder)).collect();
    let listing = Listing::new(long);
    assert!(listing.is_ok(), "{:?}", listing.err());
    let long = (0..330_000).map(|number| entry(&format!("{number}{stem}"), EntryKind::EmptyFolder)).collect();
    assert_eq!(Listing::new(long).unwrap_err(), ListingError::Bytes);
}

#[test]
fn bytes_that_no_encoder_writes_are_refused() {
    let listing = Listing::new(vec![file("ab"), file("ac"), link("l", "ab")]).unwrap();
    let bytes = listing.encode();
    for len in 0..bytes.len() {
        match Listing::decode(&bytes[..len]) {
            // What ends after an entry is the listing of a smaller folder.
            Ok(shorter) => assert_eq!(shorter.encode(), &bytes[..len]),
            Err(error) => assert!(matches!(error, ListingError::Malformed | ListingError::NotAListing)),
        }
    }
    let refused = |tail: &[u8]| Listing::decode(&[b"chunkcast folder 1\n", tail].concat()).unwrap_err();
    // Of another kind; out of order; less of the path before than there is in common; more than there is.
    assert_eq!(refused(b"\x04\0\0\0\x01a"), ListingError::Malformed);
    assert_eq!(refused(b"\x02\0\0\0\x01b\x02\0\0\0\x01a"), ListingError::Malformed);
    assert_eq!(refused(b"\x02\0\0\0\x02ab\x02\0\0\0\x02ac"), ListingError::Malformed);
    assert_eq!(refused(b"\x02\0\0\0\x02ab\x02\0\x03\0\x02ac"), ListingError::Malformed);
    assert_eq!(refused(b"\x02\0\0\0\x01\xff"), ListingError::Malformed);
    let twice = refused(b"\x02\0\0\0\x01a\x02\0\x01\0\0");
    assert_eq!(twice.to_string(), "the path \"a\" comes twice");
}

/// Short paths over few letters, so that many lie below others.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.\u{e9}-]{1,2}", 1..5).prop_map(|components| components.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    let component = prop_oneof![Just(".."), Just("."), Just("a"), Just("b"), Just(""), Just("ab")];
    prop::collection::vec(component, 1..6).prop_map(|components| components.join("/"))
}

fn some_entry() -> impl Strategy<Value = ListingEntry> {
    let file = (any::<[u8; 32]>(), any::<u32>(), any::<bool>()).prop_map(|(id, size, executable)| {
        EntryKind::File { id: ContentId(id), size: size.into(), executable }
    });
    let kind = prop_oneof![
        file,
        Just(EntryKind::EmptyFolder),
        target().prop_map(|target| EntryKind::Link { target })
    ];
    (path(), kind).prop_map(|(path, kind)| ListingEntry { path, kind })
}

/// Entries that make a listing: what does not fit to those before is left out.
fn entries() -> impl Strategy<Value = Vec<ListingEntry>> {
    prop::collection::vec(some_entry(), 0..24).prop_map(|drawn| {
        let mut kept: Vec<ListingEntry> = Vec::new();
        for entry in drawn {
            kept.push(entry);
            if Listing::new(kept.clone()).is_err() {
                kept.pop();
            }
        }
        kept
    })
}

/// Where a path leads below a folder with these links: the components of what is reached; `None` where it is above the
/// folder. Follows a bounded number of links.
fn resolved(links: &BTreeMap<String, String>, path: &str, follows: &mut u32) -> Option<Vec<String>> {
    let mut at: Vec<String> = Vec::new();
    let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    while let Some(component) = left.pop() {
        match component.as_str() {
            "" | "." => {}
            ".." => _ = at.pop()?,
            _ => {
                at.push(component);
                if let Some(target) = links.get(&at.join("/")).filter(|_| *follows > 0) {
                    *follows -= 1;
                    at.pop();
                    left.extend(target.split('/').rev().map(str::to_owned));
                }
            }
        }
    }
    Some(at)
}

proptest! {
    #[test]
    fn the_same_entries_have_the_same_bytes_and_come_back(entries in entries()) {
        let listing = Listing::new(entries.clone()).unwrap();
        let backwards = Listing::new(entries.into_iter().rev().collect()).unwrap();
        prop_assert_eq!(listing.encode(), backwards.encode());
        prop_assert_eq!(listing.encode().len(), listing.encoded_len());
        prop_assert_eq!(Listing::decode(&listing.encode()), Ok(listing));
    }

    #[test]
    fn what_is_decoded_is_written_in_one_way_only(entries in entries(), at: prop::sample::Index, to: u8) {
        let mut bytes = Listing::new(entries).unwrap().encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(listing) = Listing::decode(&bytes) {
            prop_assert_eq!(listing.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [b"chunkcast folder 1\n", tail.as_slice()].concat();
        if let Ok(listing) = Listing::decode(&bytes) {
            prop_assert_eq!(listing.encode(), bytes);
        }
    }

    #[test]
    fn no_entry_lies_below_another(entries in prop::collection::vec(some_entry(), 0..24)) {
        let paths: BTreeSet<String> = entries.iter().map(|entry| entry.path.clone()).collect();
        let below = paths.iter().any(|path| {
            path.match_indices('/').any(|(end, _)| paths.contains(&path[..end]))
        });
        if Listing::new(entries).is_ok() {
            prop_assert!(!below);
        }
    }

    #[test]
    fn no_link_leads_out_through_others(entries in entries()) {
        let links: BTreeMap<String, String> = entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Link { target } => Some((entry.path.clone(), target.clone())),
            _ => None,
        }).collect();
        for path in links.keys() {
            prop_assert!(resolved(&links, path, &mut 40).is_some(), "{path} in {links:?}");
        }
    }
}
