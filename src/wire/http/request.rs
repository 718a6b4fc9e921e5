//! The head of a request, assembled from pieces and parsed.
//!
//! Bytes that are no request at all are told apart from a malformed request: they get no answer.

use std::fmt;

use crate::wire::http::conditions::Conditions;
use crate::wire::http::response::{Status, Stays};
use crate::wire::http::target::{self, Host, Target};

/// The most bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// The most bytes of a method's name.
const METHOD_BYTES_MAX: usize = 16;
/// The most fields of a head.
const FIELDS_MAX: usize = 64;

/// Somebody wants to read something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Only the answer's head is wanted.
    pub head_only: bool,
    /// What is wanted.
    pub target: Target,
    /// What the asker takes this host for; none only in HTTP/1.0.
    pub host: Option<Host>,
    /// Which part is wanted, and what the asker has of it.
    pub conditions: Conditions,
    /// Whether the connection may be used again.
    pub stays: Stays,
}

/// Why there is no request. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// These bytes are not HTTP.
    Foreign,
    /// They are, and are answered with this.
    Refused(Status),
}

/// Decodes the requests of one connection. Keeps at most one incomplete head.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    head: Vec<u8>,
    method_is_over: bool,
    first_line_is_over: bool,
}

impl RequestDecoder {
    /// Takes bytes up to the end of the first head in them; says how many it took, and what the head asks for. `None`
    /// with all bytes taken: the head is not complete yet.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for a head that is too long, or none.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(usize, Option<Request>), RequestError> {
        for (at, byte) in bytes.iter().enumerate() {
            self.head.push(*byte);
            self.look_at_last()?;
            if self.head.ends_with(b"\r\n\r\n") {
                let head = std::mem::take(self).head;
                return understand(&head)
                    .map(|request| (at.saturating_add(1), Some(request)))
                    .map_err(RequestError::Refused);
            }
            if self.head.len() >= HEAD_BYTES_MAX {
                return Err(RequestError::Refused(Status::HeadTooLarge));
            }
        }
        Ok((bytes.len(), None))
    }

    /// Whether a head was begun.
    pub fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    /// Whether what came so far can still become a request. Each byte is looked at once, so that it does not matter in
    /// which pieces they come.
    fn look_at_last(&mut self) -> Result<(), RequestError> {
        let Some((last, before)) = self.head.split_last() else { return Ok(()) };
        if !self.method_is_over {
            self.method_is_over = *last == b' ' && !before.is_empty();
            let belongs = last.is_ascii_uppercase() && before.len() < METHOD_BYTES_MAX;
            return if self.method_is_over || belongs { Ok(()) } else { Err(RequestError::Foreign) };
        }
        if *last != b'\n' {
            return Ok(());
        }
        if !self.first_line_is_over {
            self.first_line_is_over = true;
            let version = before.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            if !version.starts_with(b"HTTP/") {
                return Err(RequestError::Foreign);
            }
        }
        // Where one reader sees the end of a line and another does not, requests can be smuggled.
        if before.last() == Some(&b'\r') { Ok(()) } else { Err(RequestError::Refused(Status::BadRequest)) }
    }
}

/// What a complete head asks for.
fn understand(head: &[u8]) -> Result<Request, Status> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut room);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Err(httparse::Error::Version) => return Err(Status::Version),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        _ => return Err(Status::BadRequest),
    }
    let fields = Fields(parsed.headers);
    let (method, path) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let modern = parsed.version == Some(1);
    let content_length = fields.one("content-length")?;
    let transfer_encoding = fields.has("transfer-encoding");
    let length = content_length.map(length_of).transpose()?;
    if transfer_encoding && length.is_some() {
        return Err(Status::BadRequest);
    }
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Status::MethodNotAllowed),
    };
    if transfer_encoding {
        return Err(Status::LengthRequired);
    }
    if length.is_some_and(|length| length > 0) {
        return Err(Status::TooLarge);
    }
    let (authority, path) = target::split_absolute(path);
    let said = fields.one("host")?;
    if modern && said.is_none() {
        return Err(Status::BadRequest);
    }
    let host = authority.or(said).map(|text| Host::parse(text).ok_or(Status::BadRequest)).transpose()?;
    let conditions = Conditions {
        range: fields.only("range").map(str::to_owned),
        if_range: fields.only("if-range").map(str::to_owned),
        if_none_match: fields.joined("if-none-match"),
    };
    let stays = match (fields.says("connection", "close"), modern, fields.says("connection", "keep-alive")) {
        (false, true, _) | (false, false, true) => Stays::Open,
        _ => Stays::Closes,
    };
    let target = Target::parse(path).ok_or(Status::BadRequest)?;
    Ok(Request { head_only, target, host, conditions, stays })
}

/// The fields of a head.
struct Fields<'a, 'b>(&'a [httparse::Header<'b>]);

impl<'b> Fields<'_, 'b> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of a field that may stand there only once.
    fn one(&self, name: &str) -> Result<Option<&'b str>, Status> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() {
            return Err(Status::BadRequest);
        }
        first.map(|value| std::str::from_utf8(value).map_err(|_| Status::BadRequest)).transpose()
    }

    /// The value of a field that means nothing when it is not clear.
    fn only(&self, name: &str) -> Option<&'b str> {
        self.one(name).ok().flatten()
    }

    /// The values of a field that is a list.
    fn joined(&self, name: &str) -> Option<String> {
        let texts: Vec<&str> = self.all(name).filter_map(|value| std::str::from_utf8(value).ok()).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    }

    /// Whether this word stands in a field that is a list of words.
    fn says(&self, name: &str, word: &str) -> bool {
        let is = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
        self.all(name).any(|value| value.split(|byte| *byte == b',').any(is))
    }
}

fn length_of(text: &str) -> Result<u64, Status> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Status::BadRequest);
    }
    // What does not fit is too large in any case.
    Ok(text.parse().unwrap_or(u64::MAX))
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Foreign => f.write_str("no HTTP"),
            RequestError::Refused(status) => write!(f, "a request that is answered with {}", status.code()),
        }
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Decoded = (Vec<Request>, Option<RequestError>);

    fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
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

    fn whole(text: &str) -> Decoded {
        decode(std::iter::once(text.as_bytes()))
    }

    fn refused(text: &str) -> Option<u16> {
        match whole(text) {
            (found, Some(RequestError::Refused(status))) if found.is_empty() => Some(status.code()),
            _ => None,
        }
    }

    #[test]
    fn a_browser_is_understood() {
        let head = "GET /a%20b?x=1 HTTP/1.1\r\nHost: Lab-7:7117\r\nRange: bytes=1-2\r\nIf-None-Match: \"a\"\r\n\
                    if-none-match: \"b\"\r\nIf-Range: \"c\"\r\n\r\n";
        let (found, error) = whole(head);
        assert_eq!((found.len(), error), (1, None));
        let request = &found[0];
        assert_eq!(request.target.path, "a b");
        assert_eq!(request.host, Some(Host::Name("lab-7".to_owned())));
        assert_eq!(request.conditions.range.as_deref(), Some("bytes=1-2"));
        assert_eq!(request.conditions.if_none_match.as_deref(), Some("\"a\",\"b\""));
        assert_eq!((request.head_only, request.stays), (false, Stays::Open));
    }

    #[test]
    fn connections_stay_as_their_version_has_it() {
        for (line, fields, stays) in [
            ("HEAD / HTTP/1.1", "Host: x\r\n", Stays::Open),
            ("GET / HTTP/1.1", "Host: x\r\nConnection: TE, Close\r\n", Stays::Closes),
            ("GET / HTTP/1.0", "", Stays::Closes),
            ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", Stays::Open),
        ] {
            assert_eq!(whole(&format!("{line}\r\n{fields}\r\n")).0[0].stays, stays, "{line} {fields}");
        }
    }

    #[test]
    fn what_is_not_http_is_nobodys_request() {
        for text in [
            "get / HTTP/1.1\r\n",
            "SSH-2.0-OpenSSH_9.6\r\n",
            "HELO x\r\n",
            "GET /\r\n",
            " GET",
            "G\0",
            "G1",
            "ABCDEFGHIJKLMNOPQ",
            "GET / FTP/1.1\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(whole(text), (vec![], Some(RequestError::Foreign)), "{text:?}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let host = "Host: x\r\n";
        for (code, line, fields) in [
            (400, "GET / HTTP/1.1", ""),
            (400, "GET / HTTP/1.1", "Host: x\r\nHost: x\r\n"),
            (400, "GET / HTTP/1.1", "Host: x/y\r\n"),
            (400, "GET / HTTP/1.1", "Host: x\r\n folded\r\n"),
            (400, "GET / HTTP/1.1", "Host: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n"),
            (400, "GET / HTTP/1.1", "Host: x\r\nContent-Length: +1\r\n"),
            (400, "GET / HTTP/1.1", "Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            (411, "GET / HTTP/1.1", "Host: x\r\nTransfer-Encoding: chunked\r\n"),
            (413, "GET / HTTP/1.1", "Host: x\r\nContent-Length: 99999999999999999999999\r\n"),
            (405, "POST / HTTP/1.1", "Host: x\r\nContent-Length: 3\r\n"),
            (405, "DELETE /x HTTP/1.1", host),
            (505, "PRI * HTTP/2.0", ""),
            (400, "GET * HTTP/1.1", host),
            (400, "GET x HTTP/1.1", host),
            (400, "GET /%zz HTTP/1.1", host),
            (400, "GET /%ff HTTP/1.1", host),
        ] {
            assert_eq!(refused(&format!("{line}\r\n{fields}\r\n")), Some(code), "{line} {fields}");
        }
        assert_eq!(refused("GET / HTTP/1.1\nHost: x\n\n"), Some(400));
        let many: String = (0..=FIELDS_MAX).map(|n| format!("x{n}: y\r\n")).collect();
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Some(431));
    }

    #[test]
    fn a_head_has_eight_kibibytes() {
        let filled = |len: usize| {
            let (before, behind) = ("GET / HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n");
            format!("{before}{}{behind}", "y".repeat(len - before.len() - behind.len()))
        };
        assert_eq!(whole(&filled(HEAD_BYTES_MAX)).0.len(), 1);
        assert_eq!(refused(&filled(HEAD_BYTES_MAX + 1)), Some(431));
        assert_eq!(refused(&format!("GET /{}", "y".repeat(9 << 10))), Some(431));
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "GET ",
            "HEAD ",
            "/",
            " HTTP/1.1\r\n",
            "Host: x\r\n",
            "Range: bytes=0-\r\n",
            "\r\n",
            "\n",
            "%41",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            " ",
            "\0",
            "é",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_are_split(stream in stream(), size in 1usize..9) {
            let whole = decode(std::iter::once(&stream[..]));
            prop_assert_eq!(decode(stream.chunks(size)), whole);
        }

        #[test]
        fn any_bytes_end_in_requests_or_an_error(stream in any::<Vec<u8>>()) {
            let _ = decode(std::iter::once(&stream[..]));
            let _ = understand(&stream);
        }
    }
}
