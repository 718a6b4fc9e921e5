//! The head of a request, assembled from pieces and parsed: its target, whose names are percent-encoded, and the part of a content
//! that a conditional request asks for. The tag of a content is its id, so it never goes stale.
//!
//! Bytes that are no request at all are told apart from a malformed request: they get no answer.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use crate::types::ContentId;
use crate::wire::http::response::{Status, Stays};

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

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The decoded path without its first slash: an id, a name, or nothing, which is the listing. It leads to no file.
    pub path: String,
    /// Where the listing is to go on.
    pub after: Option<Cursor>,
}

/// The last entry of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The name, which listings are in the order of.
    pub name: String,
    /// The content, for there may be several of one name.
    pub id: ContentId,
}

/// What an asker takes a host for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, in lower case, without a dot at its end.
    Name(String),
}

/// The fields that decide it, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `Range`.
    pub range: Option<String>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

/// What follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The asker has it.
    NotModified,
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// A part that does not exist.
    Beyond,
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
    let (authority, path) = split_absolute(path);
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

impl Target {
    /// Reads a path with its query; `None` when it is neither valid nor text.
    pub fn parse(text: &str) -> Option<Target> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = percent_decoded(path.strip_prefix('/')?)?;
        let after = query.split('&').find_map(|part| part.strip_prefix("after="));
        match after {
            Some(text) => Some(Target { path, after: Some(Cursor::parse(text)?) }),
            None => Some(Target { path, after: None }),
        }
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Cursor> {
        let decoded = percent_decoded(text)?;
        let (id, name) = decoded.split_once('/')?;
        Some(Cursor { id: id.parse().ok()?, name: name.to_owned() })
    }

    /// As it stands in a query.
    pub fn encoded(&self) -> String {
        format!("{}/{}", self.id, percent_encoded(&self.name))
    }
}

impl Host {
    /// Reads `HOST` or `HOST:PORT`; the port tells nothing, for others may forward theirs.
    pub fn parse(text: &str) -> Option<Host> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, rest)) => {
                let port = rest.strip_prefix(':').or(rest.is_empty().then_some(""))?;
                return is_port(port).then_some(Host::Ip(v6.parse::<Ipv6Addr>().ok()?.into()));
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.is_empty() || !host.chars().all(is_plain) || !is_port(port) {
            return None;
        }
        Some(match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
        })
    }
}

/// The authority and the rest of a target that names its host itself.
pub(super) fn split_absolute(target: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = target.split_at_checked(7) else { return (None, target) };
    if !scheme.eq_ignore_ascii_case("http://") {
        return (None, target);
    }
    match rest.find(['/', '?']).and_then(|end| rest.split_at_checked(end)) {
        Some((authority, path)) if path.starts_with('/') => (Some(authority), path),
        Some(_) => (None, target),
        None => (Some(rest), "/"),
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// The text that percent-encoded text stands for; `None` when it stands for none.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Text with everything percent-encoded that could mean something in a path, a query or a field.
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

impl Conditions {
    /// What is wanted of a content of so many bytes. A range that is malformed, or several, count as none.
    pub fn judge(&self, content: &ContentId, size: u64) -> Verdict {
        let tag = format!("\"{content}\"");
        let is_it = |text: &str| {
            let text = text.trim();
            text == "*" || text.strip_prefix("W/").unwrap_or(text) == tag
        };
        if self.if_none_match.as_ref().is_some_and(|list| list.split(',').any(is_it)) {
            return Verdict::NotModified;
        }
        let same = self.if_range.as_ref().is_none_or(|text| text.trim() == tag);
        match self.range.as_deref().filter(|_| same).and_then(|text| part_of(text, size)) {
            None => Verdict::Whole,
            Some(None) => Verdict::Beyond,
            Some(Some(part)) => Verdict::Part(part),
        }
    }
}

/// The one range of a field; `None`: it says nothing. `Some(None)`: nothing is there.
fn part_of(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let part = match (first.is_empty(), last.is_empty()) {
        (true, true) => return None,
        (true, false) => size.saturating_sub(number(last)?)..size,
        (false, true) => number(first)?..size,
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some((part.start < part.end).then_some(part))
}

/// A number of bytes; one that does not fit is beyond every file's end.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX))
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
mod tests;
