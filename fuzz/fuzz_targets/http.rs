//! A stream of requests is read the same wherever it is split, and what they ask for makes lawful answers.
#![no_main]

use chunkcast::types::ContentId;
use chunkcast::wire::http::{Request, RequestDecoder, RequestError, Row, Stays, Verdict, content, listing};
use libfuzzer_sys::fuzz_target;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Request>, Option<RequestError>) {
    let (mut decoder, mut found) = (RequestDecoder::default(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.push(piece) {
                Ok((used, request)) => {
                    found.extend(request);
                    piece = &piece[used..];
                }
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|input: (usize, u64, Vec<u8>)| {
    let (at, size, stream) = input;
    let whole = decode(std::iter::once(&stream[..]));
    assert_eq!(decode(stream.chunks(1 + at % 64)), whole);
    let (left, right) = stream.split_at(at % (stream.len() + 1));
    assert_eq!(decode([left, right].into_iter()), whole);
    let id = ContentId([7; 32]);
    for request in whole.0 {
        let part = match request.conditions.judge(&id, size) {
            Verdict::Part(part) => {
                assert!(part.start < part.end && part.end <= size);
                Some(part)
            }
            _ => None,
        };
        let name = &request.target.path;
        let head = content(&id, name, size, part.as_ref(), Stays::Open);
        assert_eq!(head.windows(4).filter(|four| *four == b"\r\n\r\n").count(), 1);
        let html = listing(name, [Row { id, name, size }], false);
        assert!(!html.contains("<script"));
    }
});
