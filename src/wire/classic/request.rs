//! Requests: one JSON object with one key, without a terminator.
//!
//! An object that arrives in pieces is assembled here. Its key and the form of the name tell the dialect of the sender.

use std::fmt;

use serde_json::Value;

use crate::wire::classic::{ChunkName, Dialect, NameError, RequestKey};
use crate::wire::json::{self, ClosingScan};

/// The most bytes of a request that is looked at, white space before it included.
pub const REQUEST_BYTES_ACCEPTED_MAX: usize = 4096;

/// A request for one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key it came with.
    pub key: RequestKey,
    /// The chunk it asks for.
    pub name: ChunkName,
    /// What its sender speaks, as far as it can be told: see [`Dialect::of_request`].
    pub dialect: Dialect,
}

/// Why bytes are no request. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestError {
    /// The first byte opens no object.
    NoObject,
    /// Longer than [`REQUEST_BYTES_ACCEPTED_MAX`].
    TooLong,
    /// Not JSON.
    Malformed,
    /// None of the keys, or several.
    Key,
    /// The value is no text.
    NoText,
    /// The name is none.
    Name(NameError),
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct RequestDecoder {
    tcp_port: u16,
    pending: Vec<u8>,
    scan: ClosingScan,
    skipped: usize,
}

impl RequestDecoder {
    /// A decoder for a connection that was accepted on the port whose dialect's own number is `tcp_port`: when another
    /// port stands in for it, still that.
    pub fn new(tcp_port: u16) -> RequestDecoder {
        RequestDecoder { tcp_port, pending: Vec::new(), scan: ClosingScan::default(), skipped: 0 }
    }

    /// Takes bytes as they come, up to the end of a request: how many were used, and the request if that was its end.
    /// What is left belongs to the next one.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for bytes that are no request.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(usize, Option<Request>), RequestError> {
        for (at, byte) in bytes.iter().copied().enumerate() {
            if self.pending.len().saturating_add(self.skipped) >= REQUEST_BYTES_ACCEPTED_MAX {
                return Err(RequestError::TooLong);
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' if self.pending.is_empty() => {
                    self.skipped = self.skipped.saturating_add(1);
                    continue;
                }
                b'{' => {}
                _ if self.pending.is_empty() => return Err(RequestError::NoObject),
                _ => {}
            }
            self.pending.push(byte);
            if self.scan.closes(byte) {
                let request = request(&self.pending, self.tcp_port)?;
                *self = RequestDecoder::new(self.tcp_port);
                return Ok((at.saturating_add(1), Some(request)));
            }
        }
        Ok((bytes.len(), None))
    }

    /// Whether a request has begun and not ended.
    pub fn is_midway(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// The bytes of a request, to go out in one write: always under [`super::REQUEST_BYTES_MAX`], for a name is no longer
/// than 255 bytes, which take at most three times as many in JSON.
pub fn encode(dialect: Dialect, name: &ChunkName) -> Vec<u8> {
    let member = json::member(dialect.request_key().as_str(), &json::string(&name.to_string()));
    json::between('{', [member], '}').into_bytes()
}

/// Reads a whole object.
fn request(object: &[u8], tcp_port: u16) -> Result<Request, RequestError> {
    let Ok(Value::Object(members)) = serde_json::from_slice(object) else {
        return Err(RequestError::Malformed);
    };
    let mut known = RequestKey::ALL.into_iter().filter_map(|key| Some((key, members.get(key.as_str())?)));
    let (Some((key, value)), None) = (known.next(), known.next()) else { return Err(RequestError::Key) };
    let text = value.as_str().ok_or(RequestError::NoText)?;
    let name = ChunkName::parse(text).map_err(RequestError::Name)?;
    let dialect = Dialect::of_request(key, name.form(), tcp_port);
    Ok(Request { key, name, dialect })
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::NoObject => f.write_str("a request that begins with no JSON object"),
            RequestError::TooLong => f.write_str("a request longer than 4 KiB"),
            RequestError::Malformed => f.write_str("a request that is not JSON"),
            RequestError::Key => f.write_str("a request without a known key, or with several"),
            RequestError::NoText => f.write_str("a request for something that is no text"),
            RequestError::Name(why) => write!(f, "a request for no chunk: {why}"),
        }
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::classic::REQUEST_BYTES_MAX;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<(usize, Option<Request>), RequestError> {
        RequestDecoder::new(5001).push(bytes)
    }

    #[test]
    fn requests_of_each_dialect() {
        for (dialect, json) in [
            (Dialect::A, r#"{"filename": "forest_1"}"#),
            (Dialect::ASize, r#"{"filename": "forest_1.png"}"#),
            (Dialect::B, r#"{"requested_content": "forest_1"}"#),
            (Dialect::BJson, r#"{"requested_content": "forest_1"}"#),
            (Dialect::C, r#"{"requested_content": "forest_1"}"#),
            (Dialect::D, r#"{"chunk": "forest_1.png"}"#),
            (Dialect::E, r#"{"filename": "forest.png_1_temp"}"#),
        ] {
            let name = ChunkName::of_file("forest.png", 1, dialect.name_form()).unwrap();
            assert_eq!(encode(dialect, &name), json.as_bytes());
            let (used, request) = RequestDecoder::new(dialect.tcp_port()).push(json.as_bytes()).unwrap();
            let told = if dialect == Dialect::BJson { Dialect::B } else { dialect };
            let request_told = Request { key: dialect.request_key(), name, dialect: told };
            assert_eq!((used, request), (json.len(), Some(request_told)));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let long = format!("{{\"filename\": \"{}\"}}", "x".repeat(4096));
        let deep = format!("{{\"filename\": {}{}}}", "[".repeat(500), "]".repeat(500));
        for (bytes, error) in [
            (&b"GET / HTTP/1.1"[..], RequestError::NoObject),
            (b"\0\0\0\x05", RequestError::NoObject),
            (b"[\"a_1\"]", RequestError::NoObject),
            (&[b' '; 4097], RequestError::TooLong),
            (long.as_bytes(), RequestError::TooLong),
            (deep.as_bytes(), RequestError::Malformed),
            (b"{]", RequestError::Malformed),
            (b"{}", RequestError::Key),
            (b"{'filename': 'a_1'}", RequestError::Malformed),
            (b"{\"filename\": \"\xff_1\"}", RequestError::Malformed),
            (b"{\"fileName\": \"a_1\"}", RequestError::Key),
            (b"{\"filename\": \"a_1\", \"chunk\": \"a_1\"}", RequestError::Key),
            (b"{\"filename\": null}", RequestError::NoText),
            (b"{\"filename\": \"../a_1\"}", RequestError::Name(NameError::Forbidden)),
            (b"{\"chunk\": \"a\"}", RequestError::Name(NameError::NoIndex)),
        ] {
            assert_eq!(decode(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(decode(b"{\"filename\": \"a_1\""), Ok((18, None)));
    }

    proptest! {
        #[test]
        fn requests_come_back_in_any_pieces(
            file in "[a-zé日 \"'.]{1,60}", index in 1u32.., which in 0..Dialect::ALL.len(), cuts: Vec<prop::sample::Index>,
        ) {
            let dialect = Dialect::ALL[which];
            let Ok(name) = ChunkName::of_file(&file, index, dialect.name_form()) else { return Ok(()) };
            let one = encode(dialect, &name);
            prop_assert!(one.len() < REQUEST_BYTES_MAX);
            let stream = [&b"\r\n"[..], &one, b"\n", &one].concat();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            ends.sort_unstable();
            ends.push(stream.len());
            let (mut decoder, mut at, mut requests) = (RequestDecoder::new(dialect.tcp_port()), 0, Vec::new());
            for end in ends {
                while at < end {
                    let (used, request) = decoder.push(&stream[at..end]).unwrap();
                    at += used;
                    requests.extend(request);
                }
            }
            prop_assert!(!decoder.is_midway());
            prop_assert_eq!(requests.len(), 2);
            prop_assert!(requests.iter().all(|request| request.name == name));
        }

        #[test]
        fn the_longest_names_fit(text in "[\u{80}-\u{10ffff}\"]{60,255}") {
            if let Ok(name) = ChunkName::parse(&(text + "_1")) {
                for dialect in Dialect::ALL {
                    prop_assert!(encode(dialect, &name).len() < REQUEST_BYTES_MAX);
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text: String) {
            let _ = decode(&bytes);
            let _ = decode(format!("{{\"filename\": {text}}}").as_bytes());
            let _ = decode(&[b"{", &bytes[..], b"}"].concat());
        }
    }
}
