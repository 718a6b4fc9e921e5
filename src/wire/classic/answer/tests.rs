use proptest::prelude::*;

use super::*;

const BYTES_MAX: u64 = 1 << 40;

fn name(dialect: Dialect) -> ChunkName {
    ChunkName::of_file("fo\"rest.png", 1, dialect.name_form()).unwrap()
}

fn asked(dialect: Dialect) -> Asked {
    Asked { name: name(dialect), announced_bytes: None, bytes_max: BYTES_MAX }
}

/// All that stands in the stream of a plan, with `data` as its payload.
fn stream(steps: &[AnswerStep], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in steps {
        match step {
            AnswerStep::Bytes(text) => bytes.extend_from_slice(text),
            AnswerStep::Payload(size) => {
                assert_eq!(*size, data.len() as u64);
                bytes.extend_from_slice(data);
            }
            AnswerStep::Pause(_) | AnswerStep::HalfClose | AnswerStep::KeepOpen => {}
        }
    }
    bytes
}

/// Reads a whole stream in pieces that end at `ends` and returns the data, or `None` for a missing chunk.
fn read(
    mut decoder: AnswerDecoder,
    stream: &[u8],
    mut ends: Vec<usize>,
) -> Result<Option<Vec<u8>>, AnswerError> {
    ends.sort_unstable();
    ends.push(stream.len());
    let mut at = 0;
    let mut head = None;
    for end in ends {
        if head.is_none() && at < end {
            let (used, told) = decoder.push(&stream[at..end])?;
            at += used;
            head = told;
            assert!(head.is_some() || at == end);
        }
    }
    let head = head.map_or_else(|| decoder.end(), Ok)?;
    let AnswerHead::Payload { extent, begins_with } = head else { return Ok(None) };
    let data = [&begins_with[..], &stream[at..]].concat();
    Ok(Some(match extent {
        PayloadExtent::ToEnd => data,
        PayloadExtent::Exact(bytes) => data[..usize::try_from(bytes).unwrap()].to_vec(),
        PayloadExtent::SizedToEnd => {
            let header = leading_size(&data[..data.len().min(SIZE_DIGITS_MAX)], data.len() as u64);
            data[header.expect("a size that is true")..].to_vec()
        }
    }))
}

#[test]
fn plans_are_kind() {
    use AnswerStep::*;
    let bytes = |text: &str| Bytes(text.as_bytes().to_vec());
    let short = Pause(Duration::from_millis(50));
    for (dialect, steps, none) in [
        (Dialect::A, vec![Payload(60_001), HalfClose], vec![HalfClose]),
        (Dialect::B, vec![Payload(60_001), HalfClose], vec![HalfClose]),
        (Dialect::C, vec![Payload(60_001), HalfClose], vec![HalfClose]),
        (Dialect::E, vec![Payload(60_001), HalfClose], vec![HalfClose]),
        (
            Dialect::BJson,
            vec![bytes(r#"["forest_1", 60001]"#), short.clone(), Payload(60_001), HalfClose],
            vec![HalfClose],
        ),
        (
            Dialect::ASize,
            vec![
                bytes("1"),
                short.clone(),
                bytes("60001"),
                Pause(Duration::from_millis(1200)),
                Payload(60_001),
                HalfClose,
            ],
            vec![bytes("0"), HalfClose],
        ),
        (
            Dialect::D,
            vec![bytes("60001\n"), short, Payload(60_001), KeepOpen],
            vec![bytes("ERROR: Chunk not found"), KeepOpen],
        ),
    ] {
        let name = ChunkName::of_file("forest.png", 1, dialect.name_form()).unwrap();
        assert_eq!(found(dialect, &name, 60_001), steps);
        assert_eq!(missing(dialect), none);
        assert_eq!(found(dialect, &name, 0), none);
    }
}

#[test]
fn a_missing_chunk_is_told() {
    for dialect in Dialect::ALL {
        assert_eq!(read(AnswerDecoder::new(dialect, asked(dialect)), b"", vec![]), Ok(None), "{dialect}");
        let none = stream(&missing(dialect), b"");
        assert_eq!(read(AnswerDecoder::new(dialect, asked(dialect)), &none, vec![]), Ok(None), "{dialect}");
    }
    assert_eq!(read(AnswerDecoder::raw_or_json(asked(Dialect::B)), b"", vec![]), Ok(None));
    assert_eq!(read(AnswerDecoder::new(Dialect::D, asked(Dialect::D)), b"0\n", vec![]), Ok(None));
}

#[test]
fn the_error_of_d_ends_before_the_next_answer() {
    let mut decoder = AnswerDecoder::new(Dialect::D, asked(Dialect::D));
    assert_eq!(decoder.push(b"ERROR: Chunk"), Ok((12, None)));
    assert_eq!(decoder.push(b" not found5\nhello"), Ok((10, Some(AnswerHead::Missing))));
}

#[test]
fn headers_that_are_none_are_refused() {
    let long = [b"[\"".as_slice(), &[b'x'; 2000]].concat();
    let other = AnswerError::OtherSize { told: 8, announced: 7 };
    for (dialect, bytes, error) in [
        (Dialect::ASize, &b"2"[..], AnswerError::Header),
        (Dialect::ASize, b"\x89PNG", AnswerError::Header),
        (Dialect::D, b"\n", AnswerError::Header),
        (Dialect::D, b"07\n", AnswerError::Header),
        (Dialect::D, b"-7\n", AnswerError::Header),
        (Dialect::D, b"7\r\n", AnswerError::Header),
        (Dialect::D, b"ERROR: no", AnswerError::Header),
        (Dialect::D, b"E7\n", AnswerError::Header),
        (Dialect::D, b"18446744073709551616\n", AnswerError::Header),
        (Dialect::D, b"111111111111111111111111", AnswerError::Header),
        (Dialect::D, b"18446744073709551615\n", AnswerError::TooLarge(u64::MAX)),
        (Dialect::D, b"7", AnswerError::Truncated),
        (Dialect::D, b"ERROR", AnswerError::Truncated),
        (Dialect::BJson, b"\x89PNG", AnswerError::Header),
        (Dialect::BJson, b"[]", AnswerError::Header),
        (Dialect::BJson, br#"["fo\"rest_1", -7]"#, AnswerError::Header),
        (Dialect::BJson, br#"["fo\"rest_1", 7, 8]"#, AnswerError::Header),
        (Dialect::BJson, br#"["fo\"rest_2", 7]"#, AnswerError::OtherChunk),
        (Dialect::BJson, br#"["fo\"rest_1", 18446744073709551615]"#, AnswerError::TooLarge(u64::MAX)),
        (Dialect::BJson, br#"["fo\"rest_1", 7"#, AnswerError::Truncated),
        (Dialect::BJson, &long, AnswerError::TooLong),
        (Dialect::D, b"8\n", other),
        (Dialect::BJson, br#"["fo\"rest_1", 8]"#, other),
    ] {
        let mut asked = asked(dialect);
        asked.announced_bytes = (error == other).then_some(7);
        let told = read(AnswerDecoder::new(dialect, asked), bytes, vec![]);
        assert_eq!(told, Err(error), "{dialect} {}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_is_no_header_of_b_json_is_raw() {
    let long = [b"[\"".as_slice(), &[b'x'; 2000]].concat();
    for bytes in [&b"\x89PNG"[..], b"[", b"[]", b"[[[", br#"["fo\"rest_2", 7]datadata"#, b"[1, 2]", &long] {
        let raw = read(AnswerDecoder::raw_or_json(asked(Dialect::B)), bytes, vec![]);
        assert_eq!(raw, Ok(Some(bytes.to_vec())));
    }
    let sized = read(AnswerDecoder::raw_or_json(asked(Dialect::B)), br#"["fo\"rest_1",4]data"#, vec![]);
    assert_eq!(sized, Ok(Some(b"data".to_vec())));
    let mut too_large = asked(Dialect::B);
    too_large.bytes_max = 3;
    let error = read(AnswerDecoder::raw_or_json(too_large), br#"["fo\"rest_1", 4]data"#, vec![]);
    assert_eq!(error, Err(AnswerError::TooLarge(4)));
}

#[test]
fn the_size_among_the_first_bytes() {
    for (bytes, header) in [
        (&b"5hello"[..], Some(1)),
        (b"512345", Some(1)),
        (b"11", Some(1)),
        (b"4hello", None),
        (b"6hello", None),
        (b"hello", None),
        (b"", None),
        (b"5", None),
        (b"0", None),
        (b"05hello", None),
        (b"101234567890", Some(2)),
        (b"9123456789", Some(1)),
    ] {
        assert_eq!(leading_size(bytes, bytes.len() as u64), header, "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(leading_size(b"18446744073709551615", u64::MAX), None);
}

proptest! {
    #[test]
    fn answers_are_read_in_any_pieces(
        data in prop_oneof![prop::collection::vec(any::<u8>(), 1..200), prop::collection::vec(b'0'..=b'9', 1..200)],
        cuts: Vec<prop::sample::Index>, which in 0..Dialect::ALL.len(),
    ) {
        let dialect = Dialect::ALL[which];
        let stream = stream(&found(dialect, &name(dialect), data.len() as u64), &data);
        let ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        let decoder = AnswerDecoder::new(dialect, asked(dialect));
        prop_assert_eq!(read(decoder, &stream, ends.clone()), Ok(Some(data.clone())));
        if matches!(dialect, Dialect::B | Dialect::BJson | Dialect::C) {
            let decoder = AnswerDecoder::raw_or_json(asked(dialect));
            prop_assert_eq!(read(decoder, &stream, ends), Ok(Some(data)));
        }
    }

    #[test]
    fn only_one_run_of_digits_is_the_size(digits in prop::collection::vec(b'0'..=b'9', 0..24), total: u64) {
        for total in [total, digits.len() as u64, total % 2000] {
            let fits = |run: &usize| decimal(&digits[..*run]).is_some_and(|size| {
                size > 0 && size.checked_add(*run as u64) == Some(total)
            });
            let runs: Vec<usize> = (1..=digits.len().min(SIZE_DIGITS_MAX)).filter(fits).collect();
            prop_assert!(runs.len() <= 1);
            prop_assert_eq!(leading_size(&digits, total), runs.first().copied());
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, which in 0..Dialect::ALL.len(), total: u64) {
        let dialect = Dialect::ALL[which];
        let mut decoder = AnswerDecoder::new(dialect, asked(dialect));
        let _ = (decoder.push(&bytes), decoder.end());
        let mut decoder = AnswerDecoder::raw_or_json(asked(dialect));
        let _ = (decoder.push(&bytes), decoder.end());
        let _ = leading_size(&bytes, total);
    }
}
