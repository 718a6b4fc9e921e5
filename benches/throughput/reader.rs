//! One reader: asks for its share, throws away what comes.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use chunkcast::types::{ContentId, Geometry, PeerId};
use chunkcast::wire::frame::{self, Decoded, Decoder};
use chunkcast::wire::message::{Frame, Hello, PROTOCOL_VERSION};
use mio::net::TcpStream;

/// Chunks asked for at once, as a peer that downloads does.
const WINDOW: u64 = 12;
/// The one channel.
const CHANNEL: u32 = 0;
/// Bytes read before the next reader has its turn.
const TURN_BYTES: u64 = 1 << 20;
/// Headers and frames are read in pieces of this size.
const CONTROL_BYTES: usize = 4 << 10;
/// The longest answer's header that is understood.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// How a server is spoken to.
#[derive(Clone)]
pub(crate) enum Speech {
    /// As a peer that wants this content.
    Native(ContentId),
    /// By HTTP, for this path.
    Http(String),
}

enum Conversation {
    Native { content: ContentId, geometry: Geometry, decoder: Decoder, next: u64, end: u64 },
    Http { header: Vec<u8> },
}

/// A connection that reads.
pub(crate) struct Reader {
    pub(crate) stream: TcpStream,
    conversation: Conversation,
    /// What could not be sent yet.
    out: Vec<u8>,
    payload_left: u64,
    share_bytes: u64,
    pub(crate) got_bytes: u64,
    began: Instant,
    /// Until the first whole chunk (or as many bytes) was here.
    pub(crate) first: Option<Duration>,
    /// Until the whole share was here.
    pub(crate) finished: Option<Duration>,
}

impl Reader {
    /// Reader `number` asks for `share_bytes` of a file of `size_bytes`, from a place of its own on.
    pub(crate) fn new(
        stream: TcpStream,
        speech: &Speech,
        number: u64,
        size_bytes: u64,
        share_bytes: u64,
    ) -> Reader {
        let geometry = Geometry::native(size_bytes).expect("a legal size");
        let mut out = Vec::new();
        let (conversation, share_bytes) = match speech {
            Speech::Native(content) => {
                let mut peer = [0x5a; 16];
                peer[..8].copy_from_slice(&number.to_be_bytes());
                let hello = Hello {
                    v: PROTOCOL_VERSION,
                    peer: PeerId(peer),
                    user: format!("reader-{number}"),
                    port: 7117,
                    agent: "throughput".to_owned(),
                };
                frame::encode(&Frame::Hello(hello), &mut out);
                let chunk_bytes = geometry.chunk_bytes();
                let (content, size) = (*content, size_bytes);
                frame::encode(&Frame::Open { channel: CHANNEL, content, size, chunk_bytes }, &mut out);
                let chunks = share_bytes.div_ceil(u64::from(chunk_bytes));
                let next = number * chunks % u64::from(geometry.chunks());
                let end = next + chunks;
                (
                    Conversation::Native { content, geometry, decoder: Decoder::default(), next, end },
                    chunks * u64::from(chunk_bytes),
                )
            }
            Speech::Http(path) => {
                let room = size_bytes - share_bytes + 1;
                let first = number * share_bytes % room;
                let last = first + share_bytes - 1;
                out.extend(
                    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes={first}-{last}\r\n\r\n")
                        .bytes(),
                );
                (Conversation::Http { header: Vec::new() }, share_bytes)
            }
        };
        Reader {
            stream,
            conversation,
            out,
            payload_left: 0,
            share_bytes,
            got_bytes: 0,
            began: Instant::now(),
            first: None,
            finished: None,
        }
    }

    /// Writes and reads what can be; true when there may be more.
    pub(crate) fn turn(&mut self, scratch: &mut [u8]) -> bool {
        let mut budget = TURN_BYTES;
        loop {
            if !self.out.is_empty() {
                match self.stream.write(&self.out) {
                    Ok(count) => drop(self.out.drain(..count)),
                    Err(error) if is_idle(&error) => {}
                    Err(error) => panic!("the server went away: {error}"),
                }
            }
            if self.finished.is_some() {
                return false;
            }
            if budget == 0 {
                return true;
            }
            let result = if self.payload_left > 0 {
                let most = self.payload_left.min(budget).min(scratch.len() as u64) as usize;
                discard(&self.stream, &mut scratch[..most]).inspect(|&count| self.payload(count as u64))
            } else {
                let result = self.stream.read(&mut scratch[..CONTROL_BYTES]);
                if let Ok(count) = result {
                    self.heard(&scratch[..count]);
                }
                result
            };
            match result {
                Ok(0) => panic!("the server closed the connection"),
                Ok(count) => budget = budget.saturating_sub(count as u64),
                Err(error) if is_idle(&error) => return false,
                Err(error) => panic!("the connection broke: {error}"),
            }
        }
    }

    fn payload(&mut self, bytes: u64) {
        self.payload_left -= bytes;
        self.got_bytes += bytes;
        if self.payload_left == 0 {
            self.ask(1);
        }
        let took = self.began.elapsed();
        let first_bytes = match &self.conversation {
            Conversation::Native { geometry, .. } => u64::from(geometry.chunk_bytes()),
            Conversation::Http { .. } => 512 << 10,
        };
        if self.got_bytes >= first_bytes.min(self.share_bytes) {
            self.first.get_or_insert(took);
        }
        if self.got_bytes >= self.share_bytes {
            self.finished.get_or_insert(took);
        }
    }

    /// Asks for up to `count` more chunks.
    fn ask(&mut self, count: u64) {
        if let Conversation::Native { geometry, next, end, .. } = &mut self.conversation {
            for number in *next..(*next + count).min(*end) {
                let chunk = u32::try_from(number % u64::from(geometry.chunks())).expect("below a u32");
                frame::encode(&Frame::Request { channel: CHANNEL, chunk }, &mut self.out);
                *next = number + 1;
            }
        }
    }

    fn heard(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let count = self.payload_left.min(bytes.len() as u64);
                self.payload(count);
                bytes = &bytes[count as usize..];
                continue;
            }
            match &mut self.conversation {
                Conversation::Native { content, decoder, .. } => {
                    let (used, decoded) = decoder.decode(bytes).expect("a frame");
                    bytes = &bytes[used..];
                    match decoded {
                        Some(Decoded::Chunk { bytes, .. }) => self.payload_left = u64::from(bytes),
                        Some(Decoded::Frame(Frame::Open { content: named, .. })) if named == *content => {
                            self.ask(WINDOW);
                        }
                        Some(Decoded::Frame(Frame::Ping)) => frame::encode(&Frame::Pong, &mut self.out),
                        Some(Decoded::Frame(
                            frame @ (Frame::Reject { .. } | Frame::Refuse { .. } | Frame::Bye { .. }),
                        )) => panic!("the server says {frame:?}"),
                        _ => {}
                    }
                }
                Conversation::Http { header } => {
                    let before = header.len();
                    header.extend_from_slice(bytes);
                    let end = header.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
                    let Some(end) = end else {
                        assert!(header.len() < HEADER_BYTES_MAX, "no end of the header");
                        return;
                    };
                    assert!(
                        header.starts_with(b"HTTP/1.1 206"),
                        "{}",
                        String::from_utf8_lossy(&header[..end])
                    );
                    self.payload_left = self.share_bytes;
                    bytes = &bytes[end - before..];
                }
            }
        }
    }
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}

/// Receives without copying, where the kernel can: so that the server is measured rather than the readers.
#[cfg(target_os = "linux")]
fn discard(stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    let (_, count) = rustix::net::recv(stream, room, rustix::net::RecvFlags::TRUNC)?;
    Ok(count)
}

#[cfg(not(target_os = "linux"))]
fn discard(mut stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    stream.read(room)
}
