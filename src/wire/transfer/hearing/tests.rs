use proptest::prelude::*;

use super::*;

/// Everything that is heard when the messages come in pieces with nothing but short pauses between them, each message
/// followed by silence, and how many bytes of the last were left.
fn hear(is_named: bool, messages: &[&[u8]], pieces: usize) -> (Vec<Heard>, usize, Option<TransferError>) {
    let (mut hearing, mut all, mut left) = (Hearing::new(is_named), Vec::new(), 0);
    for message in messages {
        let mut rest = *message;
        'message: for piece in message.chunks(pieces.max(1)) {
            let mut piece = piece;
            while !piece.is_empty() {
                match hearing.push(piece) {
                    Ok((used, heard)) => {
                        let over = used == 0 || matches!(heard, Heard::Announced(_));
                        (piece, rest) = (&piece[used..], &rest[used..]);
                        if heard != Heard::Nothing {
                            all.push(heard);
                        }
                        if over {
                            break 'message;
                        }
                    }
                    Err(error) => return (all, left, Some(error)),
                }
            }
        }
        left = rest.len();
        match hearing.quiet() {
            Ok(Heard::Nothing) => {}
            Ok(heard) => all.push(heard),
            Err(error) => return (all, left, Some(error)),
        }
    }
    (all, left, None)
}

fn announced(heard: &[Heard]) -> &Announced {
    match heard.last() {
        Some(Heard::Announced(announced)) => announced,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_byte_tells_the_form() {
    for (is_named, first, form) in [
        (false, br#"{"name": "alice", "fileName": "a", "fileType": "csv"}"#.as_slice(), Form::Json),
        (true, br#"{"fileName": "a"}"#.as_slice(), Form::Json),
        (false, b"300001".as_slice(), Form::Short),
        (true, b"300001".as_slice(), Form::Named),
    ] {
        assert_eq!(announced(&hear(is_named, &[first], 1).0).form, form);
    }
    assert_eq!(hear(true, &[b".png"], 1).0, [Heard::Step]);
    for nonsense in [b"GET / HTTP/1.1".as_slice(), b"\0", b"OK", b" {", b"["] {
        assert_eq!(hear(false, &[nonsense], 1).2, Some(TransferError::NoForm), "{nonsense:?}");
    }
}

#[test]
fn steps_are_ended_by_silence_alone() {
    let (heard, left, error) = hear(false, &[b".png", b"x.png.png", b"300001\n"], 3);
    assert_eq!((heard.len(), left, error), (3, 0, None));
    let expected = Announced {
        form: Form::Steps,
        sender: None,
        name: Some("x.png.png".to_owned()),
        kind: Some(".png".to_owned()),
        size: Some(300_001),
    };
    assert_eq!(announced(&heard), &expected);
}

#[test]
fn silence_is_waited_for_as_long_as_the_message_looks_incomplete() {
    let mut hearing = Hearing::new(false);
    assert_eq!(hearing.patience(), None);
    let mut patience = |bytes: &[u8], quiet: bool| {
        assert_eq!(hearing.push(bytes).unwrap().1, Heard::Nothing);
        let patience = hearing.patience();
        if quiet {
            hearing.quiet().unwrap();
        }
        patience
    };
    assert_eq!(patience(b".p", false), Some(Patience::Long));
    assert_eq!(patience(b"ng", true), Some(Patience::Short));
    assert_eq!(patience(b".png", false), Some(Patience::Long));
    assert_eq!(patience(b".png", false), Some(Patience::Short));
    assert_eq!(patience(b".x", false), Some(Patience::Long));
    assert_eq!(patience(b".PNG", true), Some(Patience::Short));
    assert_eq!(patience(b"3", false), Some(Patience::Short));
    let mut other = Hearing::new(false);
    other.push(b"{").unwrap();
    assert_eq!(other.patience(), None);
}

#[test]
fn metadata_may_be_glued_to_the_file() {
    let object = br#"{"name": "al\"}ice", "fileName": "cars.csv", "fileType": "csv", "more": [{}]}"#;
    let stream = [object.as_slice(), b"a,b\n{1},2"].concat();
    for pieces in [1, 7, object.len(), stream.len()] {
        let (heard, left, error) = hear(false, &[&stream], pieces);
        assert_eq!(error, None);
        // The rest of the piece is the file's; later pieces would be too.
        assert!(left >= 9, "{left}");
        let expected = Announced {
            form: Form::Json,
            sender: Some("al\"}ice".to_owned()),
            name: Some("cars.csv".to_owned()),
            kind: Some("csv".to_owned()),
            size: None,
        };
        assert_eq!(announced(&heard), &expected);
    }
}

#[test]
fn what_makes_no_sense_is_said_to_make_none() {
    let endless = [b"{\"name\": \"".as_slice(), &vec![b'a'; 10 << 20]].concat();
    for (messages, error) in [
        (vec![b"{}".as_slice()], TransferError::NoName),
        (vec![b"{\"fileName\": 3}"], TransferError::NoName),
        (vec![b"{fileName}"], TransferError::Malformed),
        (vec![&endless], TransferError::TooLong),
        (vec![b".png", b"x\xff.png"], TransferError::Malformed),
        (vec![b".png", b"x.png", b"many"], TransferError::NoSize),
        (vec![b".png", b"x.png", b"-1"], TransferError::NoSize),
        (vec![b"1e3"], TransferError::NoSize),
        (vec![b"99999999999999999999"], TransferError::NoSize),
        (vec![b"300001 and the file at once, unasked"], TransferError::TooLong),
        (vec![b".png", &[b'a'; 9000]], TransferError::TooLong),
    ] {
        assert_eq!(hear(false, &messages, 4096).2, Some(error));
    }
    // An empty name is none, but that is not for this side to judge.
    assert_eq!(announced(&hear(false, &[br#"{"fileName": ""}"#], 4).0).name.as_deref(), Some(""));
}

proptest! {
    #[test]
    fn every_split_is_heard_the_same(
        is_named: bool,
        first in prop_oneof![
            Just(b"{".to_vec()), Just(b".png".to_vec()), Just(b"12".to_vec()), Just(br#"{"fileName": "a"}"#.to_vec()),
            any::<Vec<u8>>(),
        ],
        rest: Vec<u8>,
        more: Vec<Vec<u8>>,
        pieces in 1_usize..20,
    ) {
        let first = [first, rest].concat();
        let messages: Vec<&[u8]> = std::iter::once(&first).chain(&more).map(Vec::as_slice).collect();
        prop_assert_eq!(hear(is_named, &messages, pieces), hear(is_named, &messages, usize::MAX));
    }
}
