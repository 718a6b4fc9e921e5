//! The downloader: asks for chunks over TCP and reads the answers, each dialect in its own fragile way.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use super::dialect::Dialect;
use super::life::{Life, PATIENCE};
use super::link::Link;
use super::loopback::assert_loopback;
use super::names::NameForm;
use super::python::Json;
use super::split::CHUNKS;

/// What one `recv` takes at most where it is repeated.
const RECV_BYTES: usize = 64 << 10;
/// A-size: after the status it waits, and then takes the next `recv` for the size. Bytes that come 1.2 s after the
/// status are late enough even on a busy machine.
const BEFORE_SIZE: Duration = Duration::from_millis(700);
/// A `recv` for the status of A-size, and one for its size; for the list of B-json; for the line of D.
const SMALL_RECV_BYTES: usize = 1024;
/// How often a kind downloader tries again where nobody listens, and how long it waits in between.
const KIND_RETRIES: (u32, Duration) = (10, Duration::from_millis(50));

/// A downloader; the default manner is that of most of the field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Downloader {
    pub(crate) dialect: Dialect,
    /// Where it connects from.
    pub(crate) from: Ipv4Addr,
    /// How its chunks are called.
    pub(crate) names: NameForm,
    /// Of the raw dialects: one `recv` of so many bytes is the whole chunk.
    pub(crate) once_bytes: Option<usize>,
    /// Closes the writing half after the request, and tries again where a connection is refused. Few do; D never.
    pub(crate) kind: bool,
    /// How long it waits for each `recv`.
    pub(crate) patience: Duration,
}

/// Why a chunk did not come.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody listens there, or the connection broke, or nothing came in time.
    Connection(io::Error),
    /// The peer does not have it.
    Missing,
    /// What came is not what the dialect says; the reason.
    Garbled(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Connection(error) => write!(formatter, "{error}"),
            Failed::Missing => formatter.write_str("the peer does not have it"),
            Failed::Garbled(why) => formatter.write_str(why),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Connection(error)
    }
}

impl Downloader {
    /// One of a dialect, in its usual manner.
    pub(crate) fn new(dialect: Dialect, from: Ipv4Addr) -> Downloader {
        assert_loopback(from);
        let names = dialect.names();
        Downloader { dialect, from, names, once_bytes: None, kind: false, patience: PATIENCE }
    }

    /// Asks a peer for a chunk, on a connection of its own.
    pub(crate) fn chunk(&self, at: SocketAddrV4, name: &str) -> Result<Vec<u8>, Failed> {
        self.ask(&mut self.connect(at)?, name)
    }

    /// Asks for exactly five chunks, as the field does however many there are, and tries the holders of each in turn.
    pub(crate) fn five(
        &self,
        file: &str,
        holders: impl Fn(&str) -> Vec<SocketAddrV4>,
    ) -> [Result<Vec<u8>, Failed>; CHUNKS] {
        std::array::from_fn(|index| {
            let name = self.names.name(file, index + 1);
            let mut last = Err(Failed::Missing);
            for holder in holders(&name) {
                last = self.chunk(holder, &name);
                if last.is_ok() {
                    break;
                }
            }
            last
        })
    }

    /// The whole file from one peer, of which five chunks are asked for; the first failure.
    pub(crate) fn file(&self, at: SocketAddrV4, file: &str) -> Result<Vec<u8>, Failed> {
        let chunks: Result<Vec<_>, _> = self.five(file, |_| vec![at]).into_iter().collect();
        Ok(chunks?.concat())
    }

    /// D: these chunks, one after the other on one connection.
    pub(crate) fn on_one_connection(
        &self,
        at: SocketAddrV4,
        names: &[String],
    ) -> Result<Vec<Result<Vec<u8>, Failed>>, Failed> {
        assert_eq!(self.dialect, Dialect::D, "only D keeps a connection");
        let mut link = self.connect(at)?;
        Ok(names.iter().map(|name| self.ask(&mut link, name)).collect())
    }

    fn connect(&self, at: SocketAddrV4) -> Result<Link, Failed> {
        assert_loopback(*at.ip());
        let life = Arc::new(Life::default());
        let (mut retries, pause) = if self.kind { KIND_RETRIES } else { (0, Duration::ZERO) };
        loop {
            match Link::connect(self.from, at, Arc::clone(&life), self.patience) {
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && retries > 0 => {
                    retries -= 1;
                    life.pause(pause);
                }
                connected => return Ok(connected?),
            }
        }
    }

    fn ask(&self, link: &mut Link, name: &str) -> Result<Vec<u8>, Failed> {
        link.send(&self.dialect.request(name))?;
        if self.kind && self.dialect != Dialect::D {
            link.close_writing_half()?;
        }
        match self.dialect {
            Dialect::A | Dialect::B | Dialect::C | Dialect::E => self.read_raw(link),
            Dialect::ASize => read_after_status(link),
            Dialect::BJson => read_after_json(link, name),
            Dialect::D => read_after_header(link),
        }
    }

    /// The answer is the chunk: all up to the end of the stream, or what one `recv` happens to return.
    fn read_raw(&self, link: &mut Link) -> Result<Vec<u8>, Failed> {
        let chunk = match self.once_bytes {
            Some(once) => link.recv(once)?,
            None => read_to_the_end(link)?,
        };
        if chunk.is_empty() { Err(Failed::Missing) } else { Ok(chunk) }
    }
}

/// A-size: what one `recv` returns is the status, what the next one returns after a pause is the size, and the rest
/// up to the end is the chunk. Whatever arrives together is taken together, and is no number then.
fn read_after_status(link: &mut Link) -> Result<Vec<u8>, Failed> {
    let status = link.recv(SMALL_RECV_BYTES)?;
    match status.as_slice() {
        b"0" | b"" => return Err(Failed::Missing),
        b"1" => {}
        _ => return Err(Failed::Garbled(format!("the status {:?}", String::from_utf8_lossy(&status)))),
    }
    link.pause(BEFORE_SIZE);
    let size = number(&link.recv(SMALL_RECV_BYTES)?)?;
    let chunk = read_to_the_end(link)?;
    if chunk.len() == size {
        Ok(chunk)
    } else {
        Err(Failed::Garbled(format!("{} bytes instead of {size}", chunk.len())))
    }
}

/// B-json: what one `recv` returns is a list of the name and the size, and the rest is the chunk. Whatever arrives with
/// the list is taken with it, and is no JSON then.
fn read_after_json(link: &mut Link, name: &str) -> Result<Vec<u8>, Failed> {
    let header = link.recv(SMALL_RECV_BYTES)?;
    if header.is_empty() {
        return Err(Failed::Missing);
    }
    let size = match Json::loads(&header).map_err(Failed::Garbled)? {
        Json::List(values) => match values.as_slice() {
            [Json::Text(told), Json::Number(size)] if told == name => usize::try_from(*size).unwrap(),
            _ => return Err(Failed::Garbled(format!("the list {values:?}"))),
        },
        other => return Err(Failed::Garbled(format!("no list: {other:?}"))),
    };
    let mut chunk = Vec::new();
    read_up_to(link, &mut chunk, size)?;
    Ok(chunk)
}

/// D: a line with the size, then the chunk. What arrived with the newline is dropped, and then missed at the end.
fn read_after_header(link: &mut Link) -> Result<Vec<u8>, Failed> {
    let mut header = Vec::new();
    while !header.contains(&b'\n') {
        let more = link.recv(SMALL_RECV_BYTES)?;
        header.extend(&more);
        if header.starts_with(b"ERROR") || header.is_empty() {
            return Err(Failed::Missing);
        }
        if more.is_empty() {
            return Err(Failed::Garbled("no newline before the end".to_owned()));
        }
    }
    let line = header.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut chunk = Vec::new();
    read_up_to(link, &mut chunk, number(line)?)?;
    Ok(chunk)
}

fn read_to_the_end(link: &mut Link) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    loop {
        match link.recv(RECV_BYTES)? {
            more if more.is_empty() => return Ok(bytes),
            more => bytes.extend(more),
        }
    }
}

/// Reads until there are `size` bytes, and not one more.
fn read_up_to(link: &mut Link, bytes: &mut Vec<u8>, size: usize) -> Result<(), Failed> {
    while bytes.len() < size {
        let more = link.recv((size - bytes.len()).min(RECV_BYTES))?;
        if more.is_empty() {
            return Err(Failed::Garbled(format!("{} bytes instead of {size}", bytes.len())));
        }
        bytes.extend(more);
    }
    bytes.truncate(size);
    Ok(())
}

/// `int(text)`.
fn number(text: &[u8]) -> Result<usize, Failed> {
    let text = String::from_utf8_lossy(text);
    text.parse().map_err(|_| Failed::Garbled(format!("ValueError: {text:?}")))
}
