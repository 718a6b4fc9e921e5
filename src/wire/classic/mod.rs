//! The classic dialects: the messages of the older peers on the LAN, as pure codecs.
//!
//! This file owns the table of dialects: code that depends on a dialect asks it here. The files beside it own the
//! bytes. No code here uses a socket or a clock; `docs/classic.md` describes the same in prose.

pub mod announcement;
pub mod answer;
pub mod name;
pub mod records;
pub mod request;
pub mod split;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use name::{ChunkName, NameError, NameForm};
pub use split::ChunkRule;

/// The most bytes of a datagram that is sent, D's excepted: listeners take no more, and what is cut kills some.
pub const DATAGRAM_BYTES_MAX: usize = 1024;
/// Every request that is sent is shorter, in bytes: servers read it with one `recv`.
pub const REQUEST_BYTES_MAX: usize = 1024;
/// What a peer announced is forgotten when it was silent so long: three times the 60 s of their specification.
pub const ANNOUNCEMENT_EXPIRY: Duration = Duration::from_secs(180);
/// Between the parts of an answer that have to arrive in segments of their own: A-size reads its status byte and its
/// size apart, D drops what came with its header line, and B-json takes what came with its list for a part of the list.
pub const SEGMENT_PAUSE: Duration = Duration::from_millis(50);
/// Between the size and the data of an A-size answer: what comes earlier than this after the status byte may be taken
/// for a part of the size.
pub const SIZE_PAUSE: Duration = Duration::from_millis(1200);
/// An answer without a length is over when nothing came for so long after at least one byte: some peers never close.
pub const QUIET_END: Duration = Duration::from_millis(1500);
/// Between two tries of a refused connection: one uploader has no listener for a moment after each chunk.
pub const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Between the end of one connection and the next to the same peer, where none is kept: an uploader that binds its port
/// anew after each chunk dies of a client that comes back at once.
pub const NEXT_DIAL_PAUSE: Duration = Duration::from_millis(100);
/// Between two datagrams of a round: one listener binds its socket anew for each datagram.
pub const DATAGRAM_PAUSE: Duration = Duration::from_millis(30);
/// How often a refused connection is tried again.
pub const RETRIES_MAX: u32 = 10;
/// The UDP ports on which classic peers announce.
pub const UDP_PORTS: [u16; 3] = [5000, 5001, 5002];
/// The TCP ports on which classic peers serve.
pub const TCP_PORTS: [u16; 3] = [5000, 5001, 8000];

/// One of the dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// User names and files; raw answers.
    A,
    /// As A, with the extension behind the index and the size as text before the data.
    ASize,
    /// Chunks alone; raw answers.
    B,
    /// As B, with name and size as a JSON list before the data.
    BJson,
    /// As B, served on another port.
    C,
    /// Sizes and checksums announced, a header line before the data, many requests on one connection.
    D,
    /// As A, with `_temp` behind the index, served on another port.
    E,
}

/// Where an answer's data begins, and how its end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The first byte is data; the end of the stream ends it.
    Raw,
    /// A status byte, the size as text, then the data to the end of the stream.
    SizeText,
    /// `["forest_1", 60001]`, then so many bytes.
    JsonHeader,
    /// `60001` and a line feed, then so many bytes.
    HeaderLine,
}

/// The one key of a request's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKey {
    /// `filename`
    Filename,
    /// `requested_content`
    RequestedContent,
    /// `chunk`
    Chunk,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 7] =
        [Dialect::A, Dialect::ASize, Dialect::B, Dialect::BJson, Dialect::C, Dialect::D, Dialect::E];

    /// The dialect's own UDP ports: where its peers announce, and listen.
    pub const fn udp_ports(self) -> &'static [u16] {
        match self {
            Dialect::A | Dialect::ASize | Dialect::E => &[5000],
            Dialect::B | Dialect::BJson | Dialect::C => &[5001],
            Dialect::D => &[5001, 5002],
        }
    }

    /// The dialect's own TCP port, which is never announced.
    pub const fn tcp_port(self) -> u16 {
        match self {
            Dialect::A | Dialect::ASize => 5001,
            Dialect::B | Dialect::BJson => 8000,
            Dialect::C | Dialect::D | Dialect::E => 5000,
        }
    }

    /// The form in which names are announced to peers of this dialect.
    pub const fn name_form(self) -> NameForm {
        match self {
            Dialect::A | Dialect::B | Dialect::BJson | Dialect::C => NameForm::Stem,
            Dialect::ASize | Dialect::D => NameForm::Inner,
            Dialect::E => NameForm::FullTemp,
        }
    }

    /// Another form in which names are announced to peers of this dialect: some who speak A know files by their whole
    /// names.
    pub const fn other_name_form(self) -> Option<NameForm> {
        match self {
            Dialect::A => Some(NameForm::Full),
            _ => None,
        }
    }

    /// Whether its datagrams end a round: one listener of A keeps only the newest datagram of a peer, and understands no
    /// other dialect.
    pub const fn ends_rounds(self) -> bool {
        matches!(self, Dialect::A)
    }

    /// The key of its requests.
    pub const fn request_key(self) -> RequestKey {
        match self {
            Dialect::A | Dialect::ASize | Dialect::E => RequestKey::Filename,
            Dialect::B | Dialect::BJson | Dialect::C => RequestKey::RequestedContent,
            Dialect::D => RequestKey::Chunk,
        }
    }

    /// The framing of its answers.
    pub const fn framing(self) -> Framing {
        match self {
            Dialect::A | Dialect::B | Dialect::C | Dialect::E => Framing::Raw,
            Dialect::ASize => Framing::SizeText,
            Dialect::BJson => Framing::JsonHeader,
            Dialect::D => Framing::HeaderLine,
        }
    }

    /// Whether a connection serves more than one request.
    pub const fn keeps_connection(self) -> bool {
        matches!(self, Dialect::D)
    }

    /// Whether who asked closes its writing half behind the request: always, unless another may follow.
    pub const fn half_closes_after_request(self) -> bool {
        !self.keeps_connection()
    }

    /// Whether its answers make who asks wait before the data comes.
    pub const fn answers_late(self) -> bool {
        matches!(self.framing(), Framing::SizeText)
    }

    /// Whether an answer says how long it is before its data begins.
    pub const fn frames_length(self) -> bool {
        matches!(self.framing(), Framing::JsonHeader | Framing::HeaderLine)
    }

    /// How files are cut.
    pub const fn chunk_rule(self) -> ChunkRule {
        match self {
            Dialect::D => ChunkRule::Fixed,
            _ => ChunkRule::Fifths,
        }
    }

    /// Whether an announcement tells the SHA-256 of a chunk.
    pub const fn announces_checksum(self) -> bool {
        matches!(self, Dialect::D)
    }

    /// The dialect of a request with this key, for a name of
    /// this form, that came to a server on this TCP port. B-json asks as B does, so it is never the answer.
    pub const fn of_request(key: RequestKey, form: NameForm, tcp_port: u16) -> Dialect {
        match (key, form) {
            (RequestKey::Filename, NameForm::Inner) => Dialect::ASize,
            (RequestKey::Filename, NameForm::FullTemp | NameForm::InnerTemp) => Dialect::E,
            (RequestKey::Filename, NameForm::Stem | NameForm::Full) => Dialect::A,
            (RequestKey::RequestedContent, _) if tcp_port == Dialect::C.tcp_port() => Dialect::C,
            (RequestKey::RequestedContent, _) => Dialect::B,
            (RequestKey::Chunk, _) => Dialect::D,
        }
    }

    /// How people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::A => "A",
            Dialect::ASize => "A-size",
            Dialect::B => "B",
            Dialect::BJson => "B-json",
            Dialect::C => "C",
            Dialect::D => "D",
            Dialect::E => "E",
        }
    }
}

impl RequestKey {
    /// All of them.
    pub const ALL: [RequestKey; 3] = [RequestKey::Filename, RequestKey::RequestedContent, RequestKey::Chunk];

    /// The key as it stands in the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestKey::Filename => "filename",
            RequestKey::RequestedContent => "requested_content",
            RequestKey::Chunk => "chunk",
        }
    }
}

/// A text that names no dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    /// Reads what [`Dialect::as_str`] writes, in any case.
    fn from_str(text: &str) -> Result<Dialect, UnknownDialect> {
        let named = Dialect::ALL.into_iter().find(|dialect| dialect.as_str().eq_ignore_ascii_case(text));
        named.ok_or_else(|| UnknownDialect(text.to_owned()))
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Dialect::ALL.map(Dialect::as_str).join(", ");
        write!(f, "no dialect is called {:?}; there are {names}", self.0)
    }
}

impl std::error::Error for UnknownDialect {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_documentation() {
        let page = include_str!("../../../docs/classic.md");
        for dialect in Dialect::ALL {
            let udp: Vec<String> = dialect.udp_ports().iter().map(u16::to_string).collect();
            let name = ChunkName::of_file("forest.png", 1, dialect.name_form()).unwrap();
            let row = format!(
                "| **{dialect}** | {} | {} | `{}` | `{}` |",
                udp.join(", "),
                dialect.tcp_port(),
                name,
                dialect.request_key().as_str(),
            );
            assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
        }
    }

    #[test]
    fn the_ports_are_all_listened_on() {
        for dialect in Dialect::ALL {
            assert!(dialect.udp_ports().iter().all(|port| UDP_PORTS.contains(port)));
            assert!(TCP_PORTS.contains(&dialect.tcp_port()));
            assert_eq!(dialect.frames_length(), matches!(dialect, Dialect::BJson | Dialect::D));
            assert_eq!(dialect.answers_late(), dialect == Dialect::ASize);
            assert_eq!(dialect.half_closes_after_request(), dialect != Dialect::D);
        }
    }

    #[test]
    fn a_request_of_a_dialect_is_known_as_it() {
        for dialect in Dialect::ALL {
            let known = Dialect::of_request(dialect.request_key(), dialect.name_form(), dialect.tcp_port());
            let told = if dialect == Dialect::BJson { Dialect::B } else { dialect };
            assert_eq!(known, told);
        }
        assert_eq!(Dialect::of_request(RequestKey::Filename, NameForm::Full, 5001), Dialect::A);
    }

    #[test]
    fn names_are_read_back() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.as_str().to_lowercase().parse(), Ok(dialect));
        }
        let error = "F".parse::<Dialect>().unwrap_err().to_string();
        assert_eq!(error, "no dialect is called \"F\"; there are A, A-size, B, B-json, C, D, E");
    }
}
