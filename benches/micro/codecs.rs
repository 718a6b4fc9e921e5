//! Frames and datagrams to bytes and back.

use std::hint::black_box;

use chunkcast::types::{Bitfield, ContentId, PeerId};
use chunkcast::wire::datagram;
use chunkcast::wire::frame::{self, Decoder};
use chunkcast::wire::message::{Announcement, Entry, Frame, Query, Wanted};
use criterion::{Criterion, Throughput, criterion_group};

const FRAMES: u32 = 1000;

criterion_group!(group, frames, datagrams);

fn frames(c: &mut Criterion) {
    let requests: Vec<Frame> = (0..FRAMES).map(|chunk| Frame::Request { channel: 3, chunk }).collect();
    let map = vec![Frame::HaveMap { channel: 3, bits: Bitfield::full(100_000).to_bytes() }];
    let mut group = c.benchmark_group("frame");
    for (name, frames) in [("1,000 requests", requests), ("map of 100,000 chunks", map)] {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame::encode(frame, &mut bytes));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("encode {name}"), |b| {
            let mut out = Vec::with_capacity(bytes.len());
            b.iter(|| {
                out.clear();
                black_box(&frames).iter().for_each(|frame| frame::encode(frame, &mut out));
                out.len()
            });
        });
        group.bench_function(format!("decode {name}"), |b| b.iter(|| decode_all(black_box(&bytes))));
        group.bench_function(format!("decode {name}, cut at every 100th byte"), |b| {
            b.iter(|| {
                let mut decoder = Decoder::default();
                black_box(&bytes).chunks(100).map(|piece| decode(&mut decoder, piece)).sum::<usize>()
            });
        });
    }
    group.finish();
}

fn decode_all(bytes: &[u8]) -> usize {
    decode(&mut Decoder::default(), bytes)
}

/// Decodes all frames in `bytes`; how many there were.
fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let Ok((used, decoded)) = decoder.decode(bytes) else { return count };
        bytes = &bytes[used..];
        count += usize::from(decoded.is_some());
    }
    count
}

fn datagrams(c: &mut Criterion) {
    let entry = |number: u8| Entry {
        id: ContentId([number; 32]),
        name: format!("lectures/2026/talk-{number}.mkv"),
        size: 1 << 30,
        have: 2048,
        of: 2048,
    };
    let announcement = Announcement {
        peer: PeerId([1; 16]),
        user: "lab-7".to_owned(),
        port: 7117,
        interval_ms: 60_000,
        known_peers: 9,
        generation: 4,
        catalogue: 6,
        entries: (0..6).map(entry).collect(),
        answers: Some(7),
    };
    let query = Query {
        peer: PeerId([1; 16]),
        user: "lab-7".to_owned(),
        port: 7117,
        nonce: 7,
        wanted: Wanted::Name("talk-3.mkv".to_owned()),
    };
    let mut group = c.benchmark_group("datagram");
    group.bench_function("encode an announcement of 6", |b| {
        b.iter(|| datagram::encode_announcement(black_box(&announcement)));
    });
    let (bytes, _) = datagram::encode_announcement(&announcement);
    group.bench_function("decode an announcement of 6", |b| b.iter(|| datagram::decode(black_box(&bytes))));
    group.bench_function("encode a query", |b| b.iter(|| datagram::encode_query(black_box(&query))));
    let bytes = datagram::encode_query(&query).unwrap_or_default();
    group.bench_function("decode a query", |b| b.iter(|| datagram::decode(black_box(&bytes))));
    group.finish();
}
