//! A stream of frames is read the same wherever it is split, and what was read is written as it was.
#![no_main]

use chunkcast::wire::frame::{Decoded, Decoder, FrameError, encode};
use libfuzzer_sys::fuzz_target;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Decoded>, Option<FrameError>) {
    let (mut decoder, mut found, mut payload) = (Decoder::default(), Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            let skipped = piece.len().min(payload);
            (payload, piece) = (payload - skipped, &piece[skipped..]);
            let (used, decoded) = match decoder.decode(piece) {
                Ok(taken) => taken,
                Err(error) => return (found, Some(error)),
            };
            if let Some(Decoded::Chunk { bytes, .. }) = decoded {
                payload = bytes as usize;
            }
            found.extend(decoded);
            piece = &piece[used..];
        }
    }
    (found, None)
}

fuzz_target!(|input: (usize, Vec<u8>)| {
    let (size, stream) = input;
    let whole = decode(std::iter::once(&stream[..]));
    assert_eq!(decode(stream.chunks(1 + size % 64)), whole);
    let (left, right) = stream.split_at(size % (stream.len() + 1));
    assert_eq!(decode([left, right].into_iter()), whole);
    for decoded in whole.0 {
        let Decoded::Frame(frame) = &decoded else { continue };
        let mut bytes = Vec::new();
        encode(frame, &mut bytes);
        // Only the first frame of a connection tells the dialect; each begins with a zero byte anyway.
        assert_eq!(decode(std::iter::once(&bytes[..])), (vec![decoded], None));
    }
});
