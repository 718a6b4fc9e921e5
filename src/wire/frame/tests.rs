//! Round trips, lies, and every way to split a stream.

use proptest::prelude::*;

use super::*;
use crate::types::manifest::{ManifestPage, SizeProof};
use crate::types::{ContentId, PeerId};
use crate::wire::message::{
    Answer, CatalogueRequest, Delivery, Hello, NAME_BYTES_MAX, Offer, OfferAnswer, OfferOutcome,
    RefuseReason, Wanted,
};

type Outcome = (Vec<Decoded>, Option<FrameError>);

/// What a decoder makes of a stream that comes in these pieces. The payload of chunks is left out.
fn decode_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let (mut decoder, mut found, mut payload) = (Decoder::default(), Vec::new(), 0usize);
    for mut piece in pieces {
        while !piece.is_empty() {
            let skipped = payload.min(piece.len());
            (payload, piece) = (payload - skipped, &piece[skipped..]);
            match decoder.decode(piece) {
                Err(error) => return (found, Some(error)),
                Ok((used, decoded)) => {
                    assert!(decoded.is_some() || used == piece.len());
                    if let Some(Decoded::Chunk { bytes, .. }) = decoded {
                        payload = bytes as usize;
                    }
                    found.extend(decoded);
                    piece = &piece[used..];
                }
            }
        }
    }
    (found, None)
}

fn decode_all(bytes: &[u8]) -> Outcome {
    decode_pieces(std::iter::once(bytes))
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(frame, &mut bytes);
    bytes
}

fn raw(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 1).to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

fn content() -> impl Strategy<Value = ContentId> {
    any::<[u8; 32]>().prop_map(ContentId)
}

fn entry() -> impl Strategy<Value = Entry> {
    (content(), ".{1,40}", any::<u64>(), any::<[u32; 2]>()).prop_map(|(id, name, size, [a, b])| Entry {
        id,
        name,
        size,
        have: a.min(b),
        of: a.max(b),
    })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        Just(Wanted::All),
        content().prop_map(Wanted::Id),
        "[0-9a-f]{1,63}".prop_map(Wanted::Prefix),
        ".{1,40}".prop_map(Wanted::Name),
        ".{1,40}".prop_map(Wanted::Glob),
    ]
}

fn reason() -> impl Strategy<Value = RefuseReason> {
    (1u8..=8).prop_map(|byte| RefuseReason::from_byte(byte).unwrap())
}

fn answer() -> impl Strategy<Value = Answer> {
    use Answer::{Accepted, Busy, Declined, Name, NoSpace, NotReceiving, Other, Quota};
    prop::sample::select(vec![Accepted, Declined, NotReceiving, Quota, NoSpace, Name, Busy, Other])
}

fn delivery() -> impl Strategy<Value = Delivery> {
    use Delivery::{Cancelled, GaveUp, Integrity, Name, NoSpace, Other, Size, Storage, Verified};
    prop::sample::select(vec![Verified, NoSpace, Name, Storage, Size, Integrity, GaveUp, Cancelled, Other])
}

fn manifest_page() -> impl Strategy<Value = Frame> {
    let values = |max| prop::collection::vec(any::<[u8; 32]>(), 0..=max);
    let proof = (prop::collection::vec(any::<u8>(), 0..=1024), values(10));
    (any::<[u32; 3]>(), any::<u64>(), any::<bool>(), values(40), proof).prop_map(
        |([channel, chunk_bytes, first], size, begins, values, (tail, left))| {
            let first = if begins { 0 } else { first };
            let proof = (first == 0).then_some(SizeProof { tail, left });
            Frame::ManifestPage(ManifestPage { channel, size, chunk_bytes, first, values, proof })
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    let two = any::<[u32; 2]>;
    prop_oneof![
        (any::<[u8; 16]>(), ".{0,40}", 1024u16.., ".{0,40}", 1u32..).prop_map(
            |(peer, user, port, agent, v)| Frame::Hello(Hello { v, peer: PeerId(peer), user, port, agent })
        ),
        (wanted(), prop::option::of((content(), ".{0,40}")))
            .prop_map(|(wanted, after)| Frame::CatalogueRequest(CatalogueRequest { wanted, after })),
        (prop::collection::vec(entry(), 0..8), any::<bool>(), any::<u64>()).prop_map(
            |(entries, more, generation)| Frame::CataloguePage(CataloguePage { entries, more, generation })
        ),
        (any::<u32>(), content(), any::<u64>(), 1u32..).prop_map(|(channel, content, size, chunk_bytes)| {
            Frame::Open { channel, content, size, chunk_bytes }
        }),
        (any::<u32>(), content()).prop_map(|(channel, content)| Frame::Open {
            channel,
            content,
            size: 0,
            chunk_bytes: 0
        }),
        (content(), reason()).prop_map(|(content, reason)| Frame::Refuse { content, reason }),
        (any::<u32>(), reason()).prop_map(|(channel, reason)| Frame::Withdraw { channel, reason }),
        two().prop_map(|[channel, first]| Frame::ManifestRequest { channel, first }),
        manifest_page(),
        (any::<u32>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(channel, bits)| Frame::HaveMap { channel, bits }),
        (any::<u32>(), 0..u32::MAX, 1u32..).prop_map(|(channel, first, count)| Frame::Have {
            channel,
            first,
            count: count.min(u32::MAX - first)
        }),
        two().prop_map(|[channel, chunk]| Frame::Request { channel, chunk }),
        two().prop_map(|[channel, chunk]| Frame::Cancel { channel, chunk }),
        two().prop_map(|[channel, chunk]| Frame::Revoke { channel, chunk }),
        (two(), reason()).prop_map(|([channel, chunk], reason)| Frame::Reject { channel, chunk, reason }),
        two().prop_map(|[channel, chunk]| Frame::Bad { channel, chunk }),
        any::<u32>().prop_map(|channel| Frame::Show { channel }),
        any::<u32>().prop_map(|channel| Frame::Idle { channel }),
        (any::<u32>(), content(), ".{1,40}", any::<u64>())
            .prop_map(|(offer, id, name, size)| Frame::Offer(Offer { offer, id, name, size })),
        (any::<u32>(), answer())
            .prop_map(|(offer, answer)| Frame::OfferAnswer(OfferAnswer { offer, answer })),
        (any::<u32>(), delivery())
            .prop_map(|(offer, outcome)| Frame::OfferOutcome(OfferOutcome { offer, outcome })),
        Just(Frame::Ping),
        Just(Frame::Pong),
        ".{0,40}".prop_map(|reason| Frame::Bye { reason }),
    ]
}

/// A stream of frames, chunks with small payloads, and frames of kinds not known.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (any::<[u32; 2]>(), 1usize..50).prop_map(|([channel, chunk], len)| {
        let mut bytes = Vec::new();
        encode_chunk_header(channel, chunk, len as u32, &mut bytes);
        bytes.resize(bytes.len() + len, 0xff);
        bytes
    });
    let unknown =
        (0x80u8.., prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(kind, body)| raw(kind, &body));
    let piece = prop_oneof![4 => frame().prop_map(|frame| encoded(&frame)), 1 => chunk, 1 => unknown];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn frames_come_back(frame in frame()) {
        let bytes = encoded(&frame);
        prop_assert_eq!(decode_all(&bytes), (vec![Decoded::Frame(frame)], None));
    }

    #[test]
    fn a_prefix_is_no_frame(frame in frame(), at: prop::sample::Index) {
        let bytes = encoded(&frame);
        prop_assert_eq!(decode_all(&bytes[..at.index(bytes.len())]), (vec![], None));
    }

    #[test]
    fn a_body_too_long_is_refused(frame in frame(), more in 1usize..4) {
        let mut bytes = encoded(&frame);
        bytes.resize(bytes.len() + more, 0);
        let length = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        let may_be_longer = matches!(frame, Frame::HaveMap { .. } | Frame::Bye { .. });
        prop_assert_eq!(decode_all(&bytes).1.is_none(), may_be_longer);
    }

    #[test]
    fn splits_do_not_matter(stream in stream(), change: Option<(prop::sample::Index, u8)>, size in 1usize..40) {
        let mut stream = stream;
        if let Some((at, byte)) = change {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let whole = decode_all(&stream);
        prop_assert_eq!(&decode_pieces(stream.chunks(1)), &whole);
        prop_assert_eq!(&decode_pieces(stream.chunks(size)), &whole);
        for at in [1, 3, 4, 5, 6, 12, 13, 14, size].into_iter().filter(|at| *at < stream.len()) {
            let (left, right) = stream.split_at(at);
            prop_assert_eq!(&decode_pieces([left, right].into_iter()), &whole);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 1u32..300, kind in 0u8..0x19) {
        decode_all(&bytes);
        let begun = [&length.to_be_bytes()[..], &[kind], &bytes].concat();
        prop_assert_eq!(decode_pieces(begun.chunks(1)), decode_all(&begun));
    }
}

#[test]
fn the_examples_of_the_specification() {
    let specification = include_str!("../../../docs/protocol.md");
    let is_example = |bytes: &[u8]| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        specification.lines().any(|line| line == hex.join(" "))
    };
    let request = Frame::Request { channel: 3, chunk: 258 };
    assert_eq!(encoded(&request), [0, 0, 0, 9, 0x0b, 0, 0, 0, 3, 0, 0, 1, 2]);
    assert!(is_example(&encoded(&request)));
    let mut header = Vec::new();
    encode_chunk_header(3, 258, 16_384, &mut header);
    assert_eq!(header, [0, 0, 0x40, 9, 0x0f, 0, 0, 0, 3, 0, 0, 1, 2]);
    assert!(is_example(&header));
    assert_eq!(decode_all(&header).0, [Decoded::Chunk { channel: 3, chunk: 258, bytes: 16_384 }]);
}

/// Each kind with its name, the fewest and the most bytes of its body, as the table of the specification has them.
#[test]
fn the_table_of_the_specification() {
    let rows = include_str!("../../../docs/protocol.md").lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let kind =
            u8::from_str_radix(cells.get(1)?.trim_matches('`'), 16).ok().filter(|_| cells.len() == 6)?;
        let numbers =
            cells[4].replace(',', "").split(" to ").map(|n| n.parse::<u32>().unwrap()).collect::<Vec<_>>();
        Some((kind, numbers[0], numbers[numbers.len() - 1]))
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), (0x01..=0x18).collect::<Vec<_>>());
    for (kind, min, max) in rows {
        assert_eq!(kind::body_bytes(kind), Some(min..=max), "{kind:#x}");
    }
}

#[test]
fn the_first_byte_tells_the_dialect() {
    assert_eq!(decode_all(b"GET / HTTP/1.1"), (vec![], Some(FrameError::Dialect(b'G'))));
    assert_eq!(decode_all(b"{"), (vec![], Some(FrameError::Dialect(b'{'))));
    let mut later = encoded(&Frame::Ping);
    later.extend_from_slice(b"GET /");
    assert_eq!(decode_all(&later).1, Some(FrameError::Kind(b'/')));
}

#[test]
fn lengths_no_frame_has_are_refused_at_once() {
    let begin = |length: u32, kind| {
        let bytes = [&length.to_be_bytes()[..], &[kind]].concat();
        assert_eq!(decode_pieces(bytes.chunks(1)), decode_all(&bytes));
        decode_all(&bytes).1
    };
    let control_max = CONTROL_BYTES_MAX as u32;
    assert_eq!(decode_all(&[0; 4]).1, Some(FrameError::Length { kind: 0, bytes: 0 }));
    for (kind, legal, illegal) in [
        (kind::PING, 1, 2),
        (kind::REQUEST, 9, 8),
        (kind::HELLO, control_max, control_max + 1),
        (kind::HAVE_MAP, 5 + (1 << 17), 6 + (1 << 17)),
        (kind::CHUNK, 9 + (1 << 20), 10 + (1 << 20)),
        (kind::CHUNK, 10, 9),
        (0x80, control_max, control_max + 1),
    ] {
        assert_eq!(begin(legal, kind), None, "{kind}");
        assert_eq!(begin(illegal, kind), Some(FrameError::Length { kind, bytes: illegal }));
    }
    assert_eq!(begin(1, 0x00), Some(FrameError::Kind(0x00)));
    assert_eq!(begin(1, 0x19), Some(FrameError::Kind(0x19)));
    assert_eq!(begin(1, 0x7f), Some(FrameError::Kind(0x7f)));
}

#[test]
fn bodies_that_say_nothing_legal_are_refused() {
    let id = "ab".repeat(32);
    let peer = "cd".repeat(16);
    let hello = |more: &str| format!(r#"{{"v":1,"peer":"{peer}","user":"u","agent":"a"{more}}}"#);
    let page =
        |entry: &str| format!(r#"{{"entries":[{{"id":"{id}",{entry}}}],"more":false,"generation":1}}"#);
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for (kind, body) in [
        (kind::HELLO, hello("")),
        (kind::HELLO, hello(r#","port":0"#)),
        (kind::HELLO, hello(r#","port":1023"#)),
        (kind::HELLO, hello(r#","port":65536"#)),
        (kind::HELLO, hello(r#","port":7117,"v":1"#)),
        (kind::HELLO, hello(r#","port":7117"#) + "x"),
        (kind::HELLO, hello(r#","port":7117"#).replace("\"u\"", &format!("\"{long}\""))),
        (kind::HELLO, hello(r#","port":7117"#).replace("\"a\"", &format!("\"{}\"", "x".repeat(256)))),
        (kind::CATALOGUE_REQUEST, r#"{"wanted":{"prefix":""}}"#.into()),
        (kind::CATALOGUE_REQUEST, r#"{"wanted":{"prefix":"AB"}}"#.into()),
        (kind::CATALOGUE_REQUEST, format!(r#"{{"wanted":{{"prefix":"{id}"}}}}"#)),
        (kind::CATALOGUE_REQUEST, r#"{"wanted":{"name":""}}"#.into()),
        (kind::CATALOGUE_REQUEST, format!(r#"{{"wanted":{{"glob":"{long}"}}}}"#)),
        (kind::CATALOGUE_REQUEST, r#"{"wanted":"nothing"}"#.into()),
        (kind::CATALOGUE_PAGE, page(r#""name":"n","size":1,"have":2,"of":1"#)),
        (kind::CATALOGUE_PAGE, page(r#""name":"","size":1,"have":1,"of":1"#)),
        (kind::CATALOGUE_PAGE, page(&format!(r#""name":"{long}","size":1,"have":1,"of":1"#))),
        (kind::CATALOGUE_PAGE, page(r#""name":"n","size":-1,"have":1,"of":1"#)),
        (kind::CATALOGUE_PAGE, page(r#""name":"n","size":18446744073709551616,"have":1,"of":1"#)),
        (kind::OFFER, format!(r#"{{"offer":1,"id":"{id}","name":"","size":1}}"#)),
        (kind::OFFER, format!(r#"{{"offer":1,"id":"{id}","name":"{long}","size":1}}"#)),
        (kind::OFFER, format!(r#"{{"offer":1,"id":"{id}","name":"n","size":-1}}"#)),
        (kind::OFFER, format!(r#"{{"offer":1,"id":"{id}","name":"n"}}"#)),
        (kind::OFFER_ANSWER, r#"{"offer":4294967296,"answer":"accepted"}"#.into()),
        (kind::OFFER_ANSWER, r#"{"offer":1}"#.into()),
        (kind::OFFER_OUTCOME, r#"{"offer":1,"outcome":7}"#.into()),
    ] {
        let outcome = decode_all(&raw(kind, body.as_bytes()));
        assert!(matches!(outcome, (_, Some(FrameError::Body { .. }))), "{body}: {outcome:?}");
    }
    assert_eq!(decode_all(&raw(kind::HELLO, hello(r#","port":7117,"new":[1]"#).as_bytes())).0.len(), 1);
    let of_later = raw(kind::OFFER_ANSWER, br#"{"offer":1,"answer":"perhaps","when":"later"}"#);
    let answer = Frame::OfferAnswer(OfferAnswer { offer: 1, answer: Answer::Other });
    assert_eq!(decode_all(&of_later), (vec![Decoded::Frame(answer)], None));
    for (kind, body) in [
        (kind::WITHDRAW, &[0, 0, 0, 1, 0][..]),
        (kind::WITHDRAW, &[0, 0, 0, 1, 9]),
        (kind::HAVE, &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]),
        (kind::HAVE, &[0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255]),
        (kind::BYE, &[0xff]),
        (kind::MANIFEST_PAGE, &[0; 22]),
    ] {
        assert!(
            matches!(decode_all(&raw(kind, body)), (_, Some(FrameError::Body { .. }))),
            "{kind}: {body:?}"
        );
    }
}

#[test]
fn an_idle_decoder_keeps_no_memory() {
    let mut decoder = Decoder::default();
    let bits = vec![0; HAVE_MAP_BITS_BYTES_MAX];
    let bytes = encoded(&Frame::HaveMap { channel: 1, bits });
    let (left, right) = bytes.split_at(bytes.len() - 1);
    assert_eq!(decoder.decode(left), Ok((left.len(), None)));
    assert!(matches!(decoder.decode(right), Ok((1, Some(_)))));
    assert_eq!(decoder.pending.capacity(), 0);
    decoder.decode(&bytes).unwrap();
    assert_eq!(decoder.pending.capacity(), 0);
}

#[test]
fn texts_too_long_are_cut_where_a_character_ends() {
    let long = "ä".repeat(700);
    let hello =
        Hello { v: 1, peer: PeerId([1; 16]), user: long.clone(), port: 7117, agent: format!("x{long}") };
    let (found, error) = decode_all(&encoded(&Frame::Hello(hello)));
    assert_eq!(error, None);
    assert!(
        matches!(&found[..], [Decoded::Frame(Frame::Hello(h))] if h.user.len() == 1024 && h.agent.len() == 255)
    );
    assert_eq!(
        decode_all(&encoded(&Frame::Bye { reason: long.clone() })).0,
        [Decoded::Frame(Frame::Bye { reason: long[..1024].to_owned() })]
    );
}

#[test]
fn catalogue_pages_fit_their_frame_and_lose_nothing() {
    let name = |n: u32| match n % 3 {
        0 => format!("{n}{}", "\u{1}".repeat(1000)),
        1 => format!("{n}"),
        _ => format!("{n}{}", "ä".repeat(100)),
    };
    let entry =
        |n: u32| Entry { id: ContentId([n as u8; 32]), name: name(n), size: u64::MAX, have: n, of: n };
    let all: Vec<Entry> = (0..300).map(entry).collect();
    let mut taken = 0;
    loop {
        let page = catalogue_page(all[taken..].iter().cloned(), u64::MAX);
        let bytes = encoded(&Frame::CataloguePage(page.clone()));
        assert!(bytes.len() <= 4 + CONTROL_BYTES_MAX && !page.entries.is_empty());
        assert_eq!(decode_all(&bytes).0, [Decoded::Frame(Frame::CataloguePage(page.clone()))]);
        assert_eq!(page.entries, all[taken..][..page.entries.len()]);
        taken += page.entries.len();
        if !page.more {
            break;
        }
        assert!(bytes.len() > CONTROL_BYTES_MAX - 8_000);
    }
    assert_eq!(taken, all.len());
    let illegal = Entry { name: String::new(), ..entry(1) };
    assert_eq!(catalogue_page([illegal], 1), CataloguePage { entries: vec![], more: false, generation: 1 });
}
