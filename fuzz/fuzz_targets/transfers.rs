//! What a sender says of its file is heard the same wherever it is split, and streams that separate nothing are taken
//! apart without a panic.
#![no_main]

use chunkcast::wire::transfer::{Heard, Hearing, TransferError, named};
use libfuzzer_sys::fuzz_target;

fn hear<'a>(is_named: bool, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Heard>, usize, Option<TransferError>) {
    let (mut hearing, mut all, mut taken) = (Hearing::new(is_named), Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            match hearing.push(piece) {
                Ok((used, heard)) => {
                    (piece, taken) = (&piece[used..], taken + used);
                    let is_over = used == 0 || matches!(heard, Heard::Announced(_));
                    all.extend(Some(heard).filter(|heard| *heard != Heard::Nothing));
                    if is_over {
                        return (all, taken, None);
                    }
                }
                Err(error) => return (all, taken, Some(error)),
            }
        }
    }
    match hearing.quiet() {
        Ok(heard) => all.push(heard),
        Err(error) => return (all, taken, Some(error)),
    }
    (all, taken, None)
}

fuzz_target!(|input: (usize, bool, Vec<u8>)| {
    let (size, is_named, stream) = input;
    // A refusal may come sooner when more is there at once; what it is does not change.
    let outcome = |(heard, taken, error): (Vec<Heard>, usize, Option<TransferError>)| {
        (heard, error.is_none().then_some(taken), error)
    };
    let whole = outcome(hear(is_named, std::iter::once(&stream[..])));
    assert_eq!(outcome(hear(is_named, stream.chunks(1 + size % 64))), whole);
    let head = &stream[..stream.len().min(named::HEAD_BYTES)];
    let tail = &stream[stream.len().saturating_sub(named::TAIL_BYTES)..];
    let total = stream.len() as u64;
    if let Some(parts) = named::parts(head, tail, total) {
        assert_eq!(parts.digits + parts.bytes + parts.user.len() as u64, total);
    }
    let _ = named::parts(head, tail, size as u64);
});
