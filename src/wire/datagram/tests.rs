use super::*;
use crate::types::ContentId;
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = Entry> {
    (any::<[u8; 32]>(), ".{1,80}", any::<u64>(), any::<[u32; 2]>()).prop_map(|(id, name, size, [a, b])| {
        Entry { id: ContentId(id), name, size, have: a.min(b), of: a.max(b) }
    })
}

prop_compose! {
    fn announcements()(
        peer: [u8; 16], user in "[^\"\\\\\\x00-\\x1f]{0,30}", port in PORT_MIN.., interval_ms in 1..=INTERVAL_MS_MAX,
        numbers: (u32, u64, u32), entries in prop::collection::vec(entry(), 0..20), answers: Option<u64>,
    ) -> Announcement {
        let (known_peers, generation, catalogue) = numbers;
        let peer = PeerId(peer);
        Announcement { peer, user, port, interval_ms, known_peers, generation, catalogue, entries, answers }
    }
}

prop_compose! {
    fn queries()(
        peer: [u8; 16], user in "[^\"\\\\\\x00-\\x1f]{0,30}", port in PORT_MIN.., nonce: u64, id: [u8; 32],
        text in ".{1,100}", digits in "[0-9a-f]{1,63}", which in 0..5,
    ) -> Query {
        let wanted = match which {
            0 => Wanted::All,
            1 => Wanted::Id(ContentId(id)),
            2 => Wanted::Prefix(digits),
            3 => Wanted::Name(text),
            _ => Wanted::Glob(text),
        };
        Query { peer: PeerId(peer), user, port, nonce, wanted }
    }
}

fn announced() -> Announcement {
    Announcement {
        peer: PeerId([0xab; 16]),
        user: "lab-7".into(),
        port: 7117,
        interval_ms: 60_000,
        known_peers: 3,
        generation: 9,
        catalogue: 1,
        entries: vec![Entry {
            id: ContentId([0xcd; 32]),
            name: "talk.mkv".into(),
            size: 40_000,
            have: 2,
            of: 3,
        }],
        answers: None,
    }
}

#[test]
fn the_nonce_that_is_answered_is_found_without_reading_the_rest() {
    for (text, nonce) in [
        (r#"{"answers": 7,"x":1}"#, Some(7)),
        (r#"{"x":1,"answers":18446744073709551615}"#, Some(u64::MAX)),
        (r#"{"answers":18446744073709551616}"#, None),
        (r#"{"answers":-1}"#, None),
        (r#"{"user":"\"answers\":7"}"#, None),
        ("{}", None),
        (r#"{"answers""#, None),
    ] {
        assert_eq!(answers(text.as_bytes()), nonce, "{text}");
    }
}

proptest! {
    #[test]
    fn announcements_come_back_with_what_fits(announcement in announcements()) {
        let mut left = announcement;
        loop {
            let (bytes, taken) = encode_announcement(&left);
            prop_assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
            let later = left.entries.split_off(taken);
            prop_assert_eq!(decode(&bytes), Ok(Datagram::Announcement(left.clone())));
            prop_assert_eq!(answers(&bytes), left.answers);
            if later.is_empty() {
                break;
            }
            prop_assert!(taken > 0);
            left.entries = later;
        }
    }

    #[test]
    fn queries_come_back_at_their_exact_size(query in queries()) {
        let bytes = encode_query(&query).unwrap();
        prop_assert_eq!(bytes.len(), DATAGRAM_BYTES_MAX);
        prop_assert_eq!(decode(&bytes), Ok(Datagram::Query(query)));
    }

    #[test]
    fn a_prefix_is_no_datagram(announcement in announcements(), query in queries(), at: prop::sample::Index) {
        for bytes in [encode_announcement(&announcement).0, encode_query(&query).unwrap()] {
            prop_assert!(decode(&bytes[..at.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..1500), at: prop::sample::Index, byte: u8) {
        let _ = (decode(&bytes), answers(&bytes));
        let _ = decode(&[MAGIC, b"1,\"query\":", &bytes].concat());
        let mut changed = encode_announcement(&announced()).0;
        let at = at.index(changed.len());
        changed[at] = byte;
        let _ = decode(&changed);
    }
}

#[test]
fn the_example_of_the_specification() {
    let json = format!(
        r#"{{"chunkcast":1,"announce":{{"peer":"{}","user":"lab-7","port":7117,"every":60000,"peers":3,"generation":9,"count":1,"entries":[{{"id":"{}","name":"talk.mkv","size":40000,"have":2,"of":3}}]}}}}"#,
        "ab".repeat(16),
        "cd".repeat(32),
    );
    assert!(include_str!("../../../docs/protocol.md").lines().any(|line| line == json));
    assert_eq!(encode_announcement(&announced()), (json.into_bytes(), 1));
}

#[test]
fn what_is_not_ours_is_refused() {
    let json = String::from_utf8(encode_announcement(&announced()).0).unwrap();
    let decoded = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        decode(json.replacen(from, to, 1).as_bytes())
    };
    assert!(decoded("\"port\"", "\"new\":{\"x\":[1]},\"port\"").is_ok());
    for (from, to) in [
        ("7117", "0"),
        ("7117", "1023"),
        ("7117", "65536"),
        ("60000", "0"),
        ("60000", "86400001"),
        ("\"have\":2", "\"have\":4"),
        ("talk.mkv", ""),
        ("\"port\"", "\"port\":7117,\"port\""),
        ("\"announce\"", "\"announced\""),
        (":1,", ":01,"),
        (":1,", ":0,"),
        (":1,", ":-1,"),
        (":1,", ":1 ,"),
        (":1,", ":1,\"chunkcast\":1,"),
        ("]}}", "]}},"),
        ("]}}", "]}}{}"),
        ("{", " {"),
        ("lab", "\\ud800"),
    ] {
        assert_eq!(decoded(from, to), Err(DatagramError::Malformed), "{from} to {to}");
    }
    assert_eq!(decoded(":1,", ":2,"), Err(DatagramError::NewerVersion(2)));
    assert_eq!(decode(br#"{"chunkcast":4294967295}"#), Err(DatagramError::NewerVersion(u32::MAX)));
    assert_eq!(decode(br#"{"chunkcast":4294967296}"#), Err(DatagramError::Malformed));
    assert_eq!(decode(&[b' '; 23]), Err(DatagramError::Size));
    assert_eq!(decode(&[b' '; 1401]), Err(DatagramError::Size));
    assert_eq!(decode(&[0xff; 1400]), Err(DatagramError::Malformed));
    let deep = [MAGIC, b"1,\"x\":", "[".repeat(1300).as_bytes()].concat();
    assert_eq!(decode(&deep), Err(DatagramError::Malformed));
}

#[test]
fn a_query_of_another_size_is_refused() {
    let wanted = Wanted::Name("a".into());
    let query = Query { peer: PeerId([1; 16]), user: "u".into(), port: 7117, nonce: 5, wanted };
    let mut bytes = encode_query(&query).unwrap();
    bytes.push(b' ');
    assert_eq!(decode(&bytes), Err(DatagramError::Size));
    let json = String::from_utf8(bytes).unwrap().replace("  ", "");
    assert_eq!(decode(json.as_bytes()), Err(DatagramError::Size));
    assert_eq!(encode_query(&Query { wanted: Wanted::Name("\n".repeat(1024)), ..query.clone() }), None);
    assert_eq!(encode_query(&Query { wanted: Wanted::Prefix("X".into()), ..query.clone() }), None);
    for (pattern, ok) in [("*a".repeat(64), true), ("*a".repeat(65), false)] {
        let query = Query { wanted: Wanted::Glob(pattern.clone()), ..query.clone() };
        assert_eq!(encode_query(&query).is_some(), ok);
        let bytes = encode_query(&Query { wanted: Wanted::Name(pattern), ..query.clone() }).unwrap();
        let json = String::from_utf8(bytes).unwrap().replace("\"name\"", "\"glob\"");
        let decoded = decode(json.as_bytes());
        assert_eq!(decoded, if ok { Ok(Datagram::Query(query)) } else { Err(DatagramError::Pattern) });
    }
    let user = "\u{1}\"ä".repeat(1000);
    let bytes = encode_query(&Query { wanted: Wanted::Name("x".repeat(800)), user, ..query }).unwrap();
    assert!(
        matches!(decode(&bytes), Ok(Datagram::Query(query)) if query.user == "\u{1}\"ä".repeat(12) + "\u{1}\"")
    );
}

#[test]
fn an_entry_that_fits_nowhere_is_left_out() {
    let mut announcement = announced();
    let fits = announcement.entries[0].clone();
    let huge = Entry { name: "\n".repeat(1000), ..fits.clone() };
    let illegal = Entry { have: 4, ..fits.clone() };
    announcement.entries = vec![huge.clone(), fits.clone(), illegal, huge, fits.clone()];
    let (bytes, taken) = encode_announcement(&announcement);
    assert_eq!(taken, 5);
    announcement.entries = vec![fits.clone(), fits];
    assert_eq!(decode(&bytes), Ok(Datagram::Announcement(announcement)));
}
