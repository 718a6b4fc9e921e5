//! A peer made of the wire codecs alone, that says and sends what a test wants: the honest one never would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use chunkcast::types::manifest::ManifestBuilder;
use chunkcast::types::{Bitfield, ContentId, Geometry, Manifest, PeerId};
use chunkcast::wire::datagram;
use chunkcast::wire::frame::{self, Decoded, Decoder};
use chunkcast::wire::message::{
    Announcement, Answer, CataloguePage, Datagram, Delivery, Entry, Frame, Hello, Offer, PROTOCOL_VERSION,
    RefuseReason,
};

use crate::child::PATIENCE;
use crate::lan::{BROADCAST, Lan};

/// The channel it opens: its only one.
const CHANNEL: u32 = 0;
/// How often its threads look whether they are to end.
const LOOK: Duration = Duration::from_millis(50);

/// What it does with the bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// Sends them as they are.
    Right,
    /// Sends as many others.
    Wrong,
    /// Sends so many chunks right, and of the next one half, and is gone.
    Until(usize),
    /// Says that it has the content, and shows a manifest that is another's.
    Forged,
    /// Does not know what it has offered.
    Unknown,
    /// Does not know it either, and says that it has others without end: each page of its catalogue is full, and none is
    /// the last.
    Endless,
}

/// Entries on a page of a catalogue without end: as many as the frame holds.
const ENDLESS_PAGE_ENTRIES: usize = 450;
/// The size of each content of such a catalogue, in bytes.
const ENDLESS_SIZE: u64 = 12_345;

/// A running wire peer. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct WirePeer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    peer: PeerId,
    user: String,
    port: u16,
    entry: Entry,
    manifest: Manifest,
    content: Vec<u8>,
    bytes: Bytes,
    chunks_sent: AtomicUsize,
    entries_listed: AtomicUsize,
    ended: AtomicBool,
    /// It has broken off, and speaks with nobody any more.
    gone: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl WirePeer {
    /// Offers `content` as `name` on the LAN; what it announces and its manifest are true.
    pub(crate) fn start(lan: &Lan, user: &str, name: &str, content: Vec<u8>, bytes: Bytes) -> WirePeer {
        let geometry = Geometry::native(content.len() as u64).unwrap();
        let mut builder = ManifestBuilder::new(geometry);
        builder.push(&content);
        let (id, manifest) = builder.finish().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let chunks = geometry.chunks();
        let shared = Arc::new(Shared {
            peer: PeerId(fastrand::u128(..).to_be_bytes()),
            user: user.to_owned(),
            port: listener.local_addr().unwrap().port(),
            entry: Entry { id, name: name.to_owned(), size: content.len() as u64, have: chunks, of: chunks },
            manifest,
            content,
            bytes,
            chunks_sent: AtomicUsize::new(0),
            entries_listed: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let ear = lan.ear();
        ear.set_read_timeout(Some(LOOK)).unwrap();
        let voice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        voice.set_broadcast(true).unwrap();
        voice.send_to(&shared.announcement(None), (BROADCAST, lan.port)).unwrap();
        let threads = vec![
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.answer_queries(&ear, &voice)
            }),
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.accept(&listener)
            }),
        ];
        WirePeer { shared, threads }
    }

    /// Offers its content under this name and size to who listens on a port of this host, serves it if it is accepted,
    /// and says what it was answered and how that ended; `None` where the connection was closed before.
    pub(crate) fn send(&self, port: u16, name: &str, size: u64) -> (Option<Answer>, Option<Delivery>) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let offer = Offer { offer: 1, id: self.content(), name: name.to_owned(), size };
        let mut said = (None, None);
        // Whoever closes is done with it.
        let _ = self.shared.converse(stream, Some(&offer), &mut said);
        said
    }

    /// The id of what it offers.
    pub(crate) fn content(&self) -> ContentId {
        self.shared.entry.id
    }

    /// How many entries of a catalogue without end it has listed.
    pub(crate) fn entries_listed(&self) -> usize {
        self.shared.entries_listed.load(Ordering::Relaxed)
    }

    /// How many chunks it has sent.
    pub(crate) fn chunks_sent(&self) -> usize {
        self.shared.chunks_sent.load(Ordering::Relaxed)
    }
}

impl Drop for WirePeer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // The accepting thread wakes from a connection of our own.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.shared.port));
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn knows_its_content(&self) -> bool {
        !matches!(self.bytes, Bytes::Unknown | Bytes::Endless)
    }

    fn announcement(&self, answers: Option<u64>) -> Vec<u8> {
        let announcement = Announcement {
            peer: self.peer,
            user: self.user.clone(),
            port: self.port,
            interval_ms: 60_000,
            known_peers: 1,
            generation: 1,
            catalogue: if self.bytes == Bytes::Endless { u32::MAX } else { 1 },
            entries: vec![self.entry.clone()],
            answers,
        };
        let (bytes, entries) = datagram::encode_announcement(&announcement);
        assert_eq!(entries, 1, "the entry has to fit a datagram");
        bytes
    }

    fn answer_queries(&self, ear: &UdpSocket, voice: &UdpSocket) {
        let mut bytes = [0; 2048];
        while !self.ended() {
            let Ok((len, from)) = ear.recv_from(&mut bytes) else { continue };
            if let Ok(Datagram::Query(query)) = datagram::decode(&bytes[..len]) {
                let _ = voice.send_to(&self.announcement(Some(query.nonce)), from);
            }
        }
    }

    fn accept(self: Arc<Shared>, listener: &TcpListener) {
        let mut threads = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            if self.ended() {
                break;
            }
            let shared = Arc::clone(&self);
            shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
            threads.push(std::thread::spawn(move || drop(shared.converse(stream, None, &mut (None, None)))));
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Speaks with one peer until it or we have enough.
    fn converse(
        &self,
        mut stream: TcpStream,
        offer: Option<&Offer>,
        said: &mut (Option<Answer>, Option<Delivery>),
    ) -> std::io::Result<()> {
        let mut out = Vec::new();
        let hello = Hello {
            v: PROTOCOL_VERSION,
            peer: self.peer,
            user: self.user.clone(),
            port: self.port,
            agent: "wire-peer".to_owned(),
        };
        frame::encode(&Frame::Hello(hello), &mut out);
        let mut decoder = Decoder::default();
        let mut opened = false;
        let mut bytes = vec![0; 64 << 10];
        loop {
            stream.write_all(&out)?;
            out.clear();
            if self.gone.load(Ordering::Relaxed) {
                return Ok(());
            }
            let len = stream.read(&mut bytes)?;
            if len == 0 {
                return Ok(());
            }
            let mut rest = &bytes[..len];
            while !rest.is_empty() {
                let Ok((used, decoded)) = decoder.decode(rest) else { return Ok(()) };
                rest = &rest[used..];
                match decoded {
                    Some(Decoded::Frame(Frame::Hello(_))) => {
                        if let Some(offer) = offer {
                            frame::encode(&Frame::Offer(offer.clone()), &mut out);
                        }
                    }
                    Some(Decoded::Frame(Frame::OfferAnswer(answer))) => {
                        said.0 = Some(answer.answer);
                        if answer.answer != Answer::Accepted {
                            return Ok(());
                        }
                    }
                    Some(Decoded::Frame(Frame::OfferOutcome(outcome))) => {
                        said.1 = Some(outcome.outcome);
                        return Ok(());
                    }
                    Some(Decoded::Frame(frame)) => self.answer(frame, &mut opened, &mut out),
                    // Nobody was asked for one.
                    Some(Decoded::Chunk { .. }) => return Ok(()),
                    None => {}
                }
            }
        }
    }

    /// `opened`: whether the content was named on this connection already; that is done once.
    fn answer(&self, heard: Frame, opened: &mut bool, out: &mut Vec<u8>) {
        let geometry = self.manifest.geometry;
        match heard {
            Frame::CatalogueRequest(_) if self.bytes == Bytes::Endless => {
                let first = self.entries_listed.fetch_add(ENDLESS_PAGE_ENTRIES, Ordering::Relaxed);
                let entry = |number: usize| {
                    let mut id = [0; 32];
                    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
                    let Entry { name, have, of, .. } = self.entry.clone();
                    Entry { id: ContentId(id), name, size: ENDLESS_SIZE, have, of }
                };
                let entries = (first..first + ENDLESS_PAGE_ENTRIES).map(entry).collect();
                let page = CataloguePage { entries, more: true, generation: 1 };
                frame::encode(&Frame::CataloguePage(page), out);
            }
            Frame::CatalogueRequest(_) => {
                let page = CataloguePage { entries: vec![self.entry.clone()], more: false, generation: 1 };
                frame::encode(&Frame::CataloguePage(page), out);
            }
            Frame::Open { content, .. } if content == self.entry.id && self.knows_its_content() => {
                if std::mem::replace(opened, true) {
                    return;
                }
                let (size, chunk_bytes) = (geometry.size_bytes(), geometry.chunk_bytes());
                frame::encode(&Frame::Open { channel: CHANNEL, content, size, chunk_bytes }, out);
                let bits = Bitfield::full(geometry.chunks()).to_bytes();
                frame::encode(&Frame::HaveMap { channel: CHANNEL, bits }, out);
            }
            Frame::Open { content, .. } => {
                frame::encode(&Frame::Refuse { content, reason: RefuseReason::Unknown }, out);
            }
            Frame::ManifestRequest { first, .. } => {
                if let Some(mut page) = self.manifest.page(CHANNEL, first) {
                    if self.bytes == Bytes::Forged {
                        page.values.iter_mut().for_each(|value| value[0] ^= 1);
                    }
                    frame::encode(&Frame::ManifestPage(page), out);
                }
            }
            Frame::Request { chunk, .. } => {
                let Some((offset, len)) = geometry.chunk_span(chunk) else { return };
                let start = usize::try_from(offset).unwrap();
                let mut payload = self.content[start..start + len as usize].to_vec();
                if self.bytes == Bytes::Wrong {
                    payload.iter_mut().for_each(|byte| *byte ^= 0x55);
                }
                frame::encode_chunk_header(CHANNEL, chunk, len, out);
                if self.bytes == Bytes::Until(self.chunks_sent.load(Ordering::Relaxed)) {
                    payload.truncate(payload.len() / 2);
                    self.gone.store(true, Ordering::Relaxed);
                } else {
                    self.chunks_sent.fetch_add(1, Ordering::Relaxed);
                }
                out.extend(payload);
            }
            Frame::Ping => frame::encode(&Frame::Pong, out),
            _ => {}
        }
    }
}
